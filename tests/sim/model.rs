//! What a router should be, worked out from its plan and its kernel alone, independently of the core.

use super::clock::SECOND;
use super::kernel::Kernel;
use super::node::Node;
use holdfast::net::{AddressFamily, IpCidr, Priority};
use holdfast::plan::track::{Sample, TrackedObject};
use holdfast::plan::vrrp::{RouterKey, RouterPlan, Version};
use holdfast::vrrp::{State, Upkeep};
use std::net::IpAddr;

/// A LAN by the name of the interfaces on it: `eth1` is LAN 1.
pub fn lan_of(interface: &str) -> usize {
    interface.strip_prefix("eth").and_then(|n| n.parse().ok()).expect("interfaces are called ethN")
}

fn up(kernel: &Kernel, interface: &str) -> bool {
    kernel.interfaces.iter().any(|i| i.name == interface && i.works())
}

/// The effective priority: base plus what trackers add, kept in 1..=254; owners never change.
pub fn priority(plan: &RouterPlan, kernel: &Kernel) -> Priority {
    if plan.priority == Priority::OWNER {
        return plan.priority;
    }
    if matches!(kernel.maintenance.of(&plan.name), Some(Upkeep { allow_last: true })) {
        return Priority(1);
    }
    let mut total = i64::from(plan.priority.0);
    for tracked in &plan.track_interfaces {
        let weight = i64::from(tracked.weight);
        let counts = if up(kernel, &tracked.interface) { weight > 0 } else { weight < 0 };
        if counts {
            total += if tracked.reverse { -weight } else { weight };
        }
    }
    for tracked in &plan.trackers {
        total += match added(tracked, kernel) {
            Some(number) if number > -254 => number.min(253),
            _ => 0, // FAULT, or nothing known
        };
    }
    Priority(total.clamp(1, 254) as u8)
}

/// What a script or a file adds; a file's number is not bounded yet.
fn added(tracked: &TrackedObject, kernel: &Kernel) -> Option<i64> {
    let weight = i64::from(tracked.weight);
    let number = match kernel.samples.get(&tracked.tracker)? {
        Sample::Up => weight.max(0),
        Sample::Down => weight.min(0),
        Sample::Value(number) => i64::from(*number) * weight,
    };
    Some(if tracked.reverse { -number } else { number })
}

/// Does what it says mean FAULT?
fn fatal(tracked: &TrackedObject, kernel: &Kernel) -> bool {
    let Some(sample) = kernel.samples.get(&tracked.tracker) else { return false };
    match (tracked.weight, sample) {
        (0, sample) => matches!(sample, Sample::Up | Sample::Value(0)) == tracked.reverse,
        (_, Sample::Value(_)) => added(tracked, kernel).is_some_and(|number| number <= -254),
        _ => false,
    }
}

/// Is it in maintenance, and not as the last resort?
pub fn rests(plan: &RouterPlan, kernel: &Kernel) -> bool {
    matches!(kernel.maintenance.of(&plan.name), Some(Upkeep { allow_last: false }))
}

/// Must the router stay out of the election for what it misses itself, or by order?
pub fn faulty(plan: &RouterPlan, kernel: &Kernel) -> bool {
    let own = plan.track_primary && !up(kernel, &plan.key.interface);
    let voiceless = !kernel.interfaces.iter().any(|i| {
        let has_source = plan.key.family == AddressFamily::V4 || i.has_link_local;
        i.name == plan.key.interface && i.exists && has_source
    });
    let held = plan
        .addresses
        .iter()
        .chain(&plan.excluded_addresses)
        .filter_map(|a| a.interface.as_ref())
        .any(|name| *name != plan.key.interface && !up(kernel, name));
    let tracked =
        plan.track_interfaces.iter().any(|t| t.weight == 0 && up(kernel, &t.interface) == t.reverse);
    own || voiceless
        || held
        || tracked
        || rests(plan, kernel)
        || plan.trackers.iter().any(|t| fatal(t, kernel))
}

/// The addresses a Master of this plan holds, with their interfaces.
pub fn addresses(plan: &RouterPlan) -> impl Iterator<Item = (String, IpCidr)> + '_ {
    plan.addresses.iter().chain(&plan.excluded_addresses).map(|address| {
        (address.interface.clone().unwrap_or_else(|| plan.key.interface.clone()), address.cidr)
    })
}

/// What a node must hold in the states its routers are in, sorted; who has just yielded holds on for a moment.
pub fn expected_addresses(node: &Node) -> Vec<(String, IpCidr)> {
    let mut expected: Vec<_> = node
        .applied
        .routers
        .iter()
        .filter(|plan| node.state(&plan.key) == State::Master)
        .flat_map(addresses)
        .chain(node.lingering.values().flat_map(|one| one.held.clone()))
        .collect();
    expected.sort();
    expected
}

/// Skew_Time in nanoseconds when the Master's interval is `interval`: RFC 3768 6.1, RFC 9568 6.1.
pub fn skew(plan: &RouterPlan, priority: Priority, interval: u64) -> u64 {
    let whole = if plan.version == Version::V2 { SECOND } else { interval };
    (256 - u64::from(priority.0)) * whole / 256
}

/// Master_Down_Interval in nanoseconds.
pub fn down_interval(plan: &RouterPlan, priority: Priority, interval: u64) -> u64 {
    u64::from(plan.down_timer_adverts) * interval + skew(plan, priority, interval)
}

/// A VRRP message, read by eye: the fields that the two versions share.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub version: u8,
    pub vrid: u8,
    pub priority: u8,
    pub addresses: Vec<IpAddr>,
    pub interval_centiseconds: u16,
}

/// Reads a message; `None` if it is no advertisement of exactly the right length.
pub fn read(bytes: &[u8], family: AddressFamily) -> Option<Said> {
    let [kind, vrid, priority, count, a, b, _, _, rest @ ..] = bytes else { return None };
    let version = kind >> 4;
    let interval_centiseconds = match version {
        2 => u16::from(*b) * 100,
        3 if a >> 4 == 0 => u16::from_be_bytes([*a, *b]),
        _ => return None,
    };
    let size = if family == AddressFamily::V4 { 4 } else { 16 };
    let (list, tail) = rest.split_at_checked(size * usize::from(*count))?;
    if kind & 15 != 1 || tail.len() != if version == 2 { 8 } else { 0 } {
        return None;
    }
    let address = |chunk: &[u8]| -> IpAddr {
        match <[u8; 4]>::try_from(chunk) {
            Ok(four) => four.into(),
            Err(_) => <[u8; 16]>::try_from(chunk).expect("chunks are 4 or 16 long").into(),
        }
    };
    let addresses = list.chunks(size).map(address).collect();
    Some(Said { version, vrid: *vrid, priority: *priority, addresses, interval_centiseconds })
}

/// What a Master of this plan must say.
pub fn should_say(plan: &RouterPlan, priority: Priority) -> Said {
    Said {
        version: if plan.version == Version::V2 { 2 } else { 3 },
        vrid: plan.key.vrid.get(),
        priority: priority.0,
        addresses: plan.addresses.iter().map(|a| a.cidr.address()).collect(),
        interval_centiseconds: plan.interval.centiseconds(),
    }
}

/// The address that a gratuitous ARP or an unsolicited neighbour advertisement is about.
pub fn announced(frame: &[u8]) -> Option<IpAddr> {
    let field = |from: usize, length: usize| frame.get(from..from + length);
    match field(12, 2)? {
        [0x08, 0x06] => <[u8; 4]>::try_from(field(28, 4)?).ok().map(IpAddr::from),
        [0x86, 0xdd] => <[u8; 16]>::try_from(field(62, 16)?).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A router's identity, short.
pub fn label(key: &RouterKey) -> String {
    format!("{}/{}/{}", key.interface, key.family, key.vrid)
}
