//! A change as a sentence.

use super::{Change, Weight, What};
use crate::plan::lvs::{ForwardingMethod, ServiceKey, TunnelKind};
use crate::plan::vrrp::{AnnouncePolicy, RouterKey, VirtualAddress};
use std::fmt;

/// Addresses that one line names; the rest is counted.
const NAMED: usize = 4;

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Weight::Stops => "stops",
            Weight::MayFailOver => "may fail over",
            Weight::Shifts => "shifts",
            Weight::Quiet => "quiet",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Snmp { happens } => write!(f, "the SNMP agent {happens}"),
            What::Role { role, starts: true } => write!(f, "the {role} role starts: it has work now"),
            What::Role { role, starts: false } => write!(f, "the {role} role ends: it has no work any more"),
            What::Notify { who, happens } => write!(f, "{who}: {happens}"),
            What::Tracker { tracker, happens } => write!(f, "{tracker}: {happens}"),
            What::VipLease { on: true } => {
                f.write_str("vip_lease: addresses get a lifetime, renewed while this node is Master")
            }
            What::VipLease { on: false } => f.write_str("vip_lease: addresses are made permanent"),
            What::Handover { on: true } => f.write_str("no_handover ends: a stop waits for the successor"),
            What::Handover { on: false } => f.write_str("no_handover: a stop gives the addresses up at once"),
            What::Resume { on: true } => {
                f.write_str("a vrrp role that dies and is restarted will go on as Master")
            }
            What::Resume { on: false } => {
                f.write_str("no_resume: a vrrp role that dies and is restarted will begin a new election")
            }
            What::Confinement { on: true } => {
                f.write_str("no_confinement ends: roles that are started from then on keep what they need only")
            }
            What::Confinement { on: false } => f.write_str(
                "no_confinement: roles that are started from then on keep every right; those that run stay as they are",
            ),
            What::VrrpField { field, old, new, meaning } => write!(f, "{field}: {old} -> {new}: {meaning}"),
            What::Filter { old, new } => write!(f, "the packet filter: {old} -> {new}"),
            What::Process { role } => {
                write!(f, "the {role} role is scheduled or named anew; it goes on without a pause")
            }
            What::Fixed { keyword } => {
                write!(f, "{keyword} differs: only a restart can change it, and the reload is refused")
            }
            What::RouterId { old, new } => {
                let name = |id: &Option<String>| id.clone().unwrap_or_else(|| "the host name".to_owned());
                write!(f, "router_id: {} -> {}", name(old), name(new))
            }
            What::ServiceRemoved { virtual_server, service } => write!(
                f,
                "virtual_server {virtual_server}: service {service} is removed, its connections have nowhere to go"
            ),
            What::ServiceAdded { virtual_server, service, servers } => {
                write!(
                    f,
                    "virtual_server {virtual_server}: service {service} is added, real servers: {servers}"
                )
            }
            What::ServiceField { virtual_server, services, field, old, new, .. } => {
                let many = several(services);
                write!(f, "virtual_server {virtual_server}{many}: {field} {old} -> {new}, in place")
            }
            What::ServerRemoved { virtual_server, services, endpoint } => {
                let many = several(services);
                write!(f, "virtual_server {virtual_server}{many}: real_server {endpoint} is removed")
            }
            What::ServerAdded { virtual_server, services, endpoint, weight, waits } => {
                let (many, when) = (several(services), if *waits { ", once its checks succeed" } else { "" });
                write!(
                    f,
                    "virtual_server {virtual_server}{many}: real_server {endpoint} is added with weight {weight}{when}"
                )
            }
            What::ServerField { virtual_server, services, endpoint, field, old, new, .. } => {
                let many = several(services);
                write!(
                    f,
                    "virtual_server {virtual_server}{many}: real_server {endpoint}: {field} {old} -> {new}, in place"
                )
            }
            What::BfdSession { session, meaning } => write!(f, "bfd_instance {session}: {meaning}"),
            What::CheckEnds { question } => write!(f, "check ends: {question}"),
            What::CheckStarts { question } => write!(
                f,
                "check starts anew: {question}; until it has spoken a server that stays counts as it does now"
            ),
            What::ChecksKept { count: 1 } => write!(f, "1 check goes on with its verdict"),
            What::ChecksKept { count } => write!(f, "{count} checks go on with their verdicts"),
            _ => router(&self.what, f),
        }
    }
}

fn router(what: &What, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match what {
        What::RouterRemoved { router, key, addresses, becomes } => {
            let list = listed(addresses);
            write!(
                f,
                "vrrp_instance {router} ({}) ends: a Master resigns and gives up {list}",
                identity(key)
            )?;
            match becomes {
                Some(key) => write!(f, "; it begins anew as {}", identity(key)),
                None => Ok(()),
            }
        }
        What::RouterAdded { router, key, addresses, owner, wait } => {
            write!(f, "vrrp_instance {router} ({}) starts: ", identity(key))?;
            let list = listed(addresses);
            if *owner {
                write!(f, "as owner it is Master at once and holds {list}")
            } else {
                let seconds = wait.as_secs_f64();
                write!(f, "a Backup that may take {list} after {seconds:.2} s without a Master")
            }
        }
        What::RouterField { router, field, old, new, meaning, .. } => {
            write!(f, "vrrp_instance {router}: {field} {old} -> {new}, in place: {meaning}")
        }
        What::GroupField { group, field, old, new, meaning } => {
            write!(f, "vrrp_sync_group {group}: {field} {old} -> {new}: {meaning}")
        }
        What::Static { item, comes } => {
            write!(f, "static {item}: {}", if *comes { "is added" } else { "is removed" })
        }
        What::AddressRemoved { router, key, address, moves_to } => {
            let place = super::place(address, key).1;
            write!(f, "vrrp_instance {router}: a Master removes {} from {place}", written(address))?;
            match moves_to {
                Some(other) if other == router => write!(f, " and adds it again as it is written now"),
                Some(other) => write!(f, "; it goes to vrrp_instance {other}, if that is Master"),
                None => Ok(()),
            }
        }
        What::AddressAdded { router, key, address, advertised } => {
            let place = super::place(address, key).1;
            let excluded = if *advertised { "" } else { " (excluded)" };
            write!(f, "vrrp_instance {router}: a Master adds {}{excluded} to {place}", written(address))?;
            let foreign = address.interface.as_ref().filter(|name| **name != key.interface);
            foreign
                .map_or(Ok(()), |name| write!(f, "; the router is in FAULT while {name} is missing or down"))
        }
        // Said by the caller.
        _ => Ok(()),
    }
}

fn identity(key: &RouterKey) -> String {
    format!("VRID {} {} on {}", key.vrid, key.family, key.interface)
}

fn listed(addresses: &[VirtualAddress]) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    let named: Vec<String> = addresses.iter().take(NAMED).map(|a| a.cidr.to_string()).collect();
    let more = addresses.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// An address with what makes it another than one of the same number.
fn written(address: &VirtualAddress) -> String {
    let mut text = address.cidr.to_string();
    if let Some(label) = &address.label {
        text += &format!(" label {label}");
    }
    if let Some(scope) = address.scope {
        text += &format!(" scope {scope}");
    }
    if let Some(broadcast) = address.broadcast {
        text += &format!(" brd {broadcast}");
    }
    text
}

fn several(services: &[ServiceKey]) -> String {
    if services.len() > 1 { format!(" ({} services)", services.len()) } else { String::new() }
}

/// keepalived's words for a forwarding method.
pub(super) fn forwarding(method: ForwardingMethod) -> String {
    match method {
        ForwardingMethod::Masquerade => "NAT".to_owned(),
        ForwardingMethod::DirectRouting => "DR".to_owned(),
        ForwardingMethod::Tunnel(TunnelKind::Ipip) => "TUN".to_owned(),
        ForwardingMethod::Tunnel(TunnelKind::Gue { port, checksum }) => {
            format!("TUN type gue port {port}, checksum {checksum:?}")
        }
        ForwardingMethod::Tunnel(TunnelKind::Gre { checksum }) => {
            format!("TUN type gre, checksum {checksum:?}")
        }
    }
}

/// When addresses are announced.
pub(super) fn announce(policy: &AnnouncePolicy) -> String {
    let AnnouncePolicy {
        repeat,
        delay,
        refresh,
        refresh_repeat,
        lower_priority_repeat,
        lower_priority_delay,
        elsewhere,
        elsewhere_virtual,
    } = policy;
    let refresh = refresh.map_or("never".to_owned(), |every| format!("every {} s", every.as_secs_f64()));
    let others = if *elsewhere_virtual { "virtual" } else { "other" };
    let elsewhere = elsewhere
        .map_or(String::new(), |every| format!(", on {others} interfaces every {} s", every.as_secs_f64()));
    let (delay, lower) = (delay.as_secs_f64(), lower_priority_delay.as_secs_f64());
    format!(
        "{repeat} after {delay} s again, refresh {refresh} by {refresh_repeat}, {lower_priority_repeat} after {lower} s for lower priority{elsewhere}"
    )
}
