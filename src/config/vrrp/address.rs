//! Address lines to [`VirtualAddress`].

use crate::config::Diagnostics;
use crate::net::{AddressFamily, IpCidr};
use crate::plan::vrrp::{AddressOptions, VirtualAddress};
use keepalived_compat::Code;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::config::vrrp::{self as conf, Broadcast};
use keepalived_compat::{Diagnostic, Spanned};
use std::net::{IpAddr, Ipv4Addr};

/// The advertised addresses: one family. As in keepalived each line is advertised, so that a receiver counts as many.
pub(super) fn addresses(
    name: &str,
    family: AddressFamily,
    own: &str,
    written: &[conf::VirtualAddress],
    out: &mut Diagnostics,
) -> Vec<VirtualAddress> {
    let mut kept: Vec<VirtualAddress> = Vec::new();
    for address in written {
        if AddressFamily::of(address.address) != family {
            let title = format!("vrrp_instance {name}: {} is not an {family} address", address.address);
            let diagnostic =
                Diagnostic::new(Code::BadValue, address.span, title, "it is left out, as in keepalived");
            out.say(diagnostic.instead("put it into virtual_ipaddress_excluded"));
            continue;
        }
        let plan = address_plan(address);
        let first = kept.iter().find(|first| place(first, own) == place(&plan, own)).cloned();
        if first.is_some() {
            let title = format!("vrrp_instance {name}: {} is listed twice", address.address);
            let now = "it is advertised twice and held once, as the first line says, as in keepalived";
            out.tell(Code::AddressTwice, address.span, title, now);
        }
        kept.push(first.unwrap_or(plan));
    }
    kept
}

/// What tells addresses apart in the kernel: another prefix length or peer is another address. An IPv6 address is there
/// once, whatever its prefix length.
fn place<'a>(address: &'a VirtualAddress, own: &'a str) -> (IpAddr, Option<u8>, Option<IpAddr>, &'a str) {
    let (cidr, interface) = (address.cidr, address.interface.as_deref().unwrap_or(own));
    let v4 = cidr.family() == AddressFamily::V4;
    (cidr.address(), v4.then_some(cidr.prefix()), address.options.peer.filter(|_| v4), interface)
}

/// The others, each once.
pub(super) fn excluded(written: &[conf::VirtualAddress]) -> Vec<VirtualAddress> {
    let mut kept: Vec<VirtualAddress> = Vec::new();
    for plan in written.iter().map(address_plan) {
        if !kept.contains(&plan) {
            kept.push(plan);
        }
    }
    kept
}

/// A line of `static_ipaddress`; on `default` when it names no interface. `None` (said) when there is none.
pub(super) fn static_address(
    line: &Setting,
    default: Option<&str>,
    out: &mut Diagnostics,
) -> Option<VirtualAddress> {
    let Value::Prefix(Some((address, prefix))) = line.value else { return None };
    let options = &line.block;
    let interface = options.text("dev").or(default);
    let Some(interface) = interface else {
        let title = format!("the static address {address} has no interface");
        let diagnostic =
            Diagnostic::new(Code::BadValue, line.span, title, "it is left out, as in keepalived");
        out.say(diagnostic.instead("dev INTERFACE, or default_interface in global_defs"));
        return None;
    };
    let broadcast = options.text("broadcast").and_then(|text| match text {
        "+" => Some(Broadcast::Ones),
        "-" => Some(Broadcast::Zeros),
        text => text.parse().ok().map(Broadcast::Address),
    });
    Some(address_plan(&conf::VirtualAddress {
        span: line.span,
        address,
        prefix,
        interface: Some(Spanned::new(interface.to_owned(), line.span)),
        label: options.text("label").map(str::to_owned),
        scope: options.number("scope").and_then(|number| u8::try_from(number).ok()),
        broadcast,
        others: options.clone(),
    }))
}

fn address_plan(address: &conf::VirtualAddress) -> VirtualAddress {
    let cidr = address.prefix.and_then(|p| IpCidr::new(address.address, p));
    let cidr = cidr.unwrap_or(IpCidr::host(address.address));
    VirtualAddress {
        cidr,
        interface: address.interface.as_ref().map(|i| i.value.clone()),
        label: address.label.clone(),
        scope: address.scope,
        broadcast: address.broadcast.and_then(|b| broadcast(b, cidr)),
        options: options(&address.others),
        tracked: !address.others.is_on("no_track"),
    }
}

fn options(written: &[Setting]) -> AddressOptions {
    let peer = written.find("peer").and_then(|setting| match setting.value {
        Value::Address(peer) => Some(peer),
        _ => None,
    });
    AddressOptions {
        peer,
        home: written.is_on("home"),
        detect_duplicates: written.is_on("-nodad"),
        manage_temporary: written.is_on("mngtmpaddr"),
        no_prefix_route: written.is_on("noprefixroute"),
        autojoin: written.is_on("autojoin"),
        preferred_lifetime: written.text("preferred_lft").and_then(|text| match text {
            "forever" => Some(u32::MAX),
            seconds => seconds.parse().ok(),
        }),
    }
}

fn broadcast(written: Broadcast, cidr: IpCidr) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = cidr.address() else { return None };
    let hosts = u32::MAX.checked_shr(u32::from(cidr.prefix())).unwrap_or(0);
    match written {
        Broadcast::Address(address) => Some(address),
        Broadcast::Ones => Some(Ipv4Addr::from(u32::from(address) | hosts)),
        Broadcast::Zeros => Some(Ipv4Addr::from(u32::from(address) & !hosts)),
    }
}

#[cfg(test)]
mod tests;
