//! What the text file and the JSON file say alike.

use super::Facts;
use crate::plan::notify::InstanceHooks;
use crate::plan::route::Item;
use crate::plan::scripts::CommandPlan;
use crate::plan::vrrp::{RouterPlan, VirtualAddress};
use crate::report::RouterStatus;
use std::time::Duration;

/// keepalived's number of a state.
pub fn state_number(state: &str) -> u8 {
    match state {
        "BACKUP" => 1,
        "MASTER" => 2,
        "FAULT" => 3,
        _ => 0,
    }
}

/// The state that the router wants, where its sync group lets it have it.
pub fn wanted_state(status: &RouterStatus) -> &str {
    if status.wants_master { "MASTER" } else { &status.state }
}

/// Hooks of an instance; those of one that has none are all absent.
pub fn hooks(facts: &Facts, name: &str) -> InstanceHooks {
    let hooks = facts.plans.scripts.notify.instances.iter().find(|hooks| hooks.name == name);
    hooks.cloned().unwrap_or_default()
}

/// `'/usr/bin/program' 'argument'`.
pub fn command(command: &CommandPlan) -> String {
    command.words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

/// The interface that keepalived calls the instance's: the virtual one where there is one.
pub fn interface(plan: &RouterPlan) -> &str {
    virtual_interface(plan).unwrap_or(&plan.key.interface)
}

/// The virtual interface made for the instance.
pub fn virtual_interface(plan: &RouterPlan) -> Option<&str> {
    plan.virtual_links.first().map(|link| link.name.as_str())
}

/// `192.0.2.100/24 dev eth0 scope global label eth0:1 set`; a host prefix is not written, ` set` ends one that is
/// installed. Exporters take the first word for the address and the third for the interface.
pub fn address(plan: &RouterPlan, status: &RouterStatus, address: &VirtualAddress) -> String {
    let cidr = address.cidr;
    let width = if cidr.address().is_ipv4() { 32 } else { 128 };
    let mut text = match cidr.prefix() {
        prefix if prefix == width => cidr.address().to_string(),
        _ => cidr.to_string(),
    };
    // keepalived writes these before the interface; an exporter that counts words then sees another third word there too.
    if let Some(peer) = address.options.peer {
        text += &format!(" peer {peer}");
    }
    if let Some(broadcast) = address.broadcast {
        text += &format!(" brd {broadcast}");
    }
    let name = address.interface.as_deref().unwrap_or(&plan.key.interface);
    text += &format!(" dev {name}");
    if let Some(link) = plan.virtual_links.iter().find(|link| link.name == name) {
        text += &format!("@{}", link.base);
    }
    text += &format!(" scope {}", scope(address.scope));
    if let Some(label) = &address.label {
        text += &format!(" label {label}");
    }
    let is_set = |held: &&crate::report::AddressStatus| held.address == cidr && held.interface == name;
    if status.addresses.iter().find(is_set).is_some_and(|held| held.installed) {
        text += " set";
    }
    text
}

/// keepalived's words for a BFD diagnostic code (RFC 5880 4.1).
pub fn diagnostic(code: u8) -> &'static str {
    match code {
        0 => "No Diagnostic",
        1 => "Control Detection Time Expired",
        2 => "Echo Function Failed",
        3 => "Neighbor Signaled Session Down",
        4 => "Forwarding Plane Reset",
        5 => "Path Down",
        6 => "Concatenated Path Down",
        7 => "Administratively Down",
        8 => "Reverse Concatenated Path Down",
        _ => "Unknown",
    }
}

/// Names of iproute2's rt_scopes.
fn scope(number: Option<u8>) -> String {
    match number.unwrap_or(0) {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        number => number.to_string(),
    }
}

/// Virtual routes in the words of ip(8).
pub fn routes(plan: &RouterPlan) -> Vec<String> {
    let text = |item: &Item| match item {
        Item::Route(route) => Some(route.to_string()),
        Item::Rule(_) | Item::Address(_) => None,
    };
    plan.routing.iter().filter_map(text).collect()
}

/// Virtual rules likewise.
pub fn rules(plan: &RouterPlan) -> Vec<String> {
    let text = |item: &Item| match item {
        Item::Rule(rule) => Some(rule.to_string()),
        Item::Route(_) | Item::Address(_) => None,
    };
    plan.routing.iter().filter_map(text).collect()
}

/// `1795224158.475502`: seconds since 1970.
pub fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}
