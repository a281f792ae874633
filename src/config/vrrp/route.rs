//! Lines of `virtual_routes` and `static_routes` to [`RoutePlan`].

use super::line::Line;
use crate::config::Diagnostics;
use crate::config::names::{NameKind, Names};
use crate::net::AddressFamily;
use crate::plan::route::{
    Encapsulation, Insertion, NextHop, PROTOCOL_KEEPALIVED, RoutePlan, TABLE_MAIN, kind,
};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use std::net::IpAddr;

/// Route types by the words before the destination.
const KINDS: &[(&str, u8)] = &[
    ("unicast", kind::UNICAST),
    ("local", kind::LOCAL),
    ("broadcast", kind::BROADCAST),
    ("brd", kind::BROADCAST),
    ("anycast", kind::ANYCAST),
    ("multicast", kind::MULTICAST),
    ("blackhole", kind::BLACKHOLE),
    ("unreachable", kind::UNREACHABLE),
    ("prohibit", kind::PROHIBIT),
    ("throw", kind::THROW),
    ("nat", kind::NAT),
    ("xresolve", kind::XRESOLVE),
];

/// RTAX_* numbers that may be locked, and those that may not.
const METRICS: &[(&str, u16)] = &[
    ("mtu", 2),
    ("window", 3),
    ("rtt", 4),
    ("rttvar", 5),
    ("ssthresh", 6),
    ("cwnd", 7),
    ("advmss", 8),
    ("reordering", 9),
    ("hoplimit", 10),
    ("initcwnd", 11),
    ("features", 12),
    ("rto_min", 13),
    ("initrwnd", 14),
    ("quickack", 15),
    ("fastopen_no_cookie", 17),
];
const RTAX_CC_ALGO: u16 = 16;
/// RTAX_FEATURE_ECN.
const ECN: u32 = 1;

const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;

/// A route; `None` (said) when it cannot be made.
pub(super) fn route(line: &Setting, names: &Names, out: &mut Diagnostics) -> Option<RoutePlan> {
    lower(&mut Line::new(line, names, out)).ok()
}

fn lower(line: &mut Line) -> Result<RoutePlan, ()> {
    let Some(destination) = line.prefix(&line.line.value) else {
        return line.refuse("a route without a destination".to_owned());
    };
    let number =
        line.options.iter().rev().find_map(|option| {
            KINDS.iter().find(|(name, _)| *name == option.keyword).map(|(_, number)| *number)
        });
    let kind = number.unwrap_or(kind::UNICAST);
    // keepalived 2.2.7 cannot track a route without an interface.
    let named = line.find(&["dev", "oif", "nexthop"]).is_some();
    let tracked = named && !line.options.is_on("no_track");
    let protocol = line.named(NameKind::Protocol, &["protocol"])?.filter(|_| !tracked);
    let table = match line.text(&["vrf"]) {
        Some(_) => line.named(NameKind::Vrf, &["vrf"])?,
        None => line.named(NameKind::Table, &["table"])?,
    };
    let scope = line.named(NameKind::Scope, &["scope"])?;
    let tos = line.named(NameKind::DsField, &["tos", "dsfield"])?;
    let realms = line.realms(line.options.find("realms"))?;
    let (hops, multipath) = hops(line)?;
    let (metrics, locked) = metrics(line);
    Ok(RoutePlan {
        source: line.options.find("from").and_then(|from| line.prefix(&from.value)),
        kind,
        table: table.unwrap_or(TABLE_MAIN),
        protocol: protocol.and_then(|p| u8::try_from(p).ok()).unwrap_or(PROTOCOL_KEEPALIVED),
        scope: scope.and_then(|s| u8::try_from(s).ok()).unwrap_or(default_scope(kind, destination.family())),
        tos: tos.and_then(|t| u8::try_from(t).ok()).unwrap_or(0),
        metric: line.number(&["metric", "priority", "preference"]),
        preferred_source: line.address("src"),
        hops,
        multipath,
        metrics,
        locked,
        congestion: line.options.find("congctl").and_then(|option| match &option.value {
            Value::Words(words) => words.last().cloned(),
            _ => option.name().map(str::to_owned),
        }),
        realms,
        expires: line.number(&["expires"]),
        preference: line.text(&["pref"]).and_then(|text| match text {
            "medium" => Some(0),
            "high" => Some(1),
            "low" => Some(3),
            number => number.parse().ok(),
        }),
        ttl_propagate: line.text(&["ttl-propagate"]).map(|text| text == "enabled"),
        insertion: insertion(line, kind),
        tracked,
        ..RoutePlan::new(destination)
    })
}

/// What the kernel demands at least. keepalived leaves it at 0, and the kernel refuses the route.
fn default_scope(kind: u8, family: AddressFamily) -> u8 {
    match (kind, family) {
        (kind::LOCAL, AddressFamily::V4) => SCOPE_HOST,
        (kind::BROADCAST | kind::ANYCAST, AddressFamily::V4) => SCOPE_LINK,
        _ => 0,
    }
}

/// keepalived 2.2.7: routes of other types than unicast must be the only ones, unless the line says else.
fn insertion(line: &Line, kind: u8) -> Insertion {
    match line.find(&["add", "append", "prepend"]).map(|option| option.keyword) {
        Some("add") => Insertion::Add,
        Some("append") => Insertion::Append,
        Some(_) => Insertion::Prepend,
        None if kind == kind::UNICAST => Insertion::Prepend,
        None => Insertion::Add,
    }
}

/// Where it leads to, and whether it is a multipath route.
fn hops(line: &mut Line) -> Result<(Vec<NextHop>, bool), ()> {
    let gateway = line.find(&["via", "gw"]).and_then(gateway);
    let interface = line.text(&["dev", "oif"]).map(str::to_owned);
    let onlink = line.options.is_on("onlink");
    let encap = match line.options.find("encap") {
        Some(encap) => Some(encapsulation(line, encap)?),
        None => None,
    };
    let written: Vec<&Setting> = line.options.iter().filter(|option| option.keyword == "nexthop").collect();
    if !written.is_empty() {
        if gateway.is_some() || encap.is_some() {
            let title = "a route with `nexthop` has its gateways there, not before";
            return line.refuse(title.to_owned());
        }
        let mut hops = Vec::new();
        for hop in written {
            let hop = next_hop(line, hop)?;
            hops.push(NextHop { interface: hop.interface.or(interface.clone()), ..hop });
        }
        return Ok((hops, true));
    }
    let first = NextHop { gateway, interface: interface.clone(), onlink, encap, ..NextHop::default() };
    if let Some(second) = line.options.find("or").and_then(self::gateway) {
        let second = NextHop { gateway: Some(second), interface, onlink, ..NextHop::default() };
        return Ok((vec![first, second], true));
    }
    let leads_nowhere = (&first.gateway, &first.interface, &first.encap) == (&None, &None, &None);
    Ok((if leads_nowhere { Vec::new() } else { vec![first] }, false))
}

fn next_hop(line: &mut Line, written: &Setting) -> Result<NextHop, ()> {
    let options = &written.block;
    let encap = match options.find("encap") {
        Some(encap) => Some(encapsulation(line, encap)?),
        None => None,
    };
    let weight = options.number("weight").unwrap_or(1);
    Ok(NextHop {
        gateway: options.find("via").and_then(gateway),
        interface: options.text("dev").or(options.text("oif")).map(str::to_owned),
        hops: u8::try_from(weight - 1).unwrap_or(0),
        onlink: options.is_on("onlink"),
        encap,
        realms: line.realms(options.find("realms"))?,
    })
}

fn gateway(option: &Setting) -> Option<IpAddr> {
    match &option.value {
        Value::Address(address) => Some(*address),
        Value::Words(words) => words.last()?.parse().ok(),
        _ => None,
    }
}

fn encapsulation(line: &mut Line, written: &Setting) -> Result<Encapsulation, ()> {
    let options = &written.block;
    let text = |name: &str| options.text(name);
    let read = match written.name() {
        Some("mpls") => {
            let labels = text("mpls").map(|t| t.split('/').map(str::parse).collect::<Result<Vec<u32>, _>>());
            labels.and_then(Result::ok).map(Encapsulation::Mpls)
        }
        Some("ila") => text("ila").and_then(locator).map(Encapsulation::Ila),
        Some(family) => {
            let number = |name: &str| options.number(name).and_then(|n| u64::try_from(n).ok());
            let address = |name: &str| options.find(name).and_then(gateway);
            let octet = |name: &str| number(name).and_then(|n| u8::try_from(n).ok());
            let tos = text("tos").or(text("tc"));
            let tos = tos.and_then(|tos| line.names.number(NameKind::DsField, tos));
            Some(Encapsulation::Ip {
                family: if family == "ip6" { AddressFamily::V6 } else { AddressFamily::V4 },
                id: number("id"),
                destination: address("dst"),
                source: address("src"),
                tos: tos.and_then(|tos| u8::try_from(tos).ok()),
                ttl: octet("ttl").or(octet("hoplimit")),
                flags: number("flags").and_then(|n| u16::try_from(n).ok()),
            })
        }
        None => None,
    };
    match read {
        Some(encap) => Ok(encap),
        None => line.refuse("`encap` with a label or locator that cannot be read".to_owned()),
    }
}

/// Four groups of hexadecimal digits: `1:2:3:4`.
fn locator(text: &str) -> Option<u64> {
    let groups: Vec<u64> = text
        .split(':')
        .map(|group| u16::from_str_radix(group, 16).map(u64::from))
        .collect::<Result<_, _>>()
        .ok()?;
    (groups.len() == 4).then(|| groups.iter().fold(0, |all, group| all << 16 | group))
}

/// The metrics with their numbers, and a bit for each that is locked.
fn metrics(line: &Line) -> (Vec<(u16, u32)>, u32) {
    let (mut found, mut locked) = (Vec::new(), 0);
    for (name, number) in METRICS {
        let Some(option) = line.options.find(name) else { continue };
        let (lock, text) = locked_text(option);
        let value = match &option.value {
            Value::Number(value) => u32::try_from(*value).ok(),
            _ => text.and_then(|text| metric(name, text)),
        };
        found.extend(value.map(|value| (*number, value)));
        locked |= u32::from(lock) << number;
    }
    if line.options.find("congctl").is_some_and(|option| locked_text(option).0) {
        locked |= 1 << RTAX_CC_ALGO;
    }
    (found, locked)
}

fn locked_text(option: &Setting) -> (bool, Option<&str>) {
    match &option.value {
        Value::Words(words) => (true, words.last().map(String::as_str)),
        _ => (false, option.name()),
    }
}

/// Times are kept in eighths and quarters of a millisecond; without a unit they are written so.
fn metric(name: &str, text: &str) -> Option<u32> {
    if name == "features" {
        return (text == "ecn").then_some(ECN);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 = digits.parse().ok()?;
    let parts = match name {
        "rtt" => 8,
        "rttvar" => 4,
        _ => 1,
    };
    match &text[digits.len()..] {
        "" => Some(number),
        "ms" | "msec" | "msecs" => number.checked_mul(parts),
        "s" | "sec" | "secs" => number.checked_mul(1000)?.checked_mul(parts),
        _ => None,
    }
}
