//! Draws a network: nodes, virtual routers, and what each node's plan says about them.

use super::clock::{Clock, MAX_PPM, SECOND};
use super::kernel::{Kernel, own_address, tracked_things};
use super::node::Node;
use super::rng::Rng;
use holdfast::net::{AddressFamily, IpCidr, Priority, VirtualRouterId};
use holdfast::plan::Generation;
use holdfast::plan::vrrp::{
    AnnouncePolicy, Authentication, ChecksumDialect, RouterKey, RouterPlan, SyncGroupPlan, TrackedInterface,
    TrackedObject, Transport, Version, VirtualAddress, VrrpPlan,
};
use holdfast::time::Interval;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Addresses that a router may hold at one time or another.
const POOL: usize = 4;

/// What all nodes must agree on for one virtual router.
struct Common {
    key: RouterKey,
    number: usize,
    version: Version,
    interval: Interval,
    authentication: Authentication,
    checksum: ChecksumDialect,
    unicast: bool,
    /// The node that owns the addresses, if one does.
    owner: Option<usize>,
    /// Is it a member of the sync group?
    grouped: bool,
}

/// All nodes of a drawn network, and the number of LANs.
pub fn draw(rng: &mut Rng) -> (Vec<Node>, usize) {
    let lans = rng.between(1, 2) as usize;
    let nodes = rng.between(2, 5) as usize;
    let commons = draw_commons(rng, nodes, lans);
    let nodes = (0..nodes).map(|node| draw_node(rng, node, nodes, lans, &commons)).collect();
    (nodes, lans)
}

fn draw_commons(rng: &mut Rng, nodes: usize, lans: usize) -> Vec<Common> {
    let mut commons: Vec<Common> = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let family = *rng.pick(&[AddressFamily::V4, AddressFamily::V4, AddressFamily::V6]);
        //= RFC3768 5.3.3 M-100
        // Few VRIDs: the same one on two LANs and in two families is two virtual routers.
        let vrid = VirtualRouterId::new(*rng.pick(&[1, 51, 255])).expect("none of them is 0");
        let key = RouterKey::new(format!("eth{}", rng.index(lans)), family, vrid);
        if commons.iter().any(|c| c.key == key) {
            continue;
        }
        let v2 = family == AddressFamily::V4 && rng.chance(50);
        let version = if v2 { Version::V2 } else { Version::V3 };
        let authentication = match v2 && rng.chance(30) {
            true => Authentication::Password(*b"secret\0\0"),
            false => Authentication::None,
        };
        commons.push(Common {
            key,
            number: commons.len(),
            version,
            interval: draw_interval(rng, version),
            authentication,
            checksum: *rng.pick(&[ChecksumDialect::PseudoHeader, ChecksumDialect::MessageOnly]),
            unicast: rng.chance(20),
            owner: rng.chance(15).then(|| rng.index(nodes)),
            grouped: false,
        });
    }
    if commons.len() > 1 && rng.chance(45) {
        let size = rng.between(2, commons.len() as u64) as usize;
        commons.iter_mut().take(size).for_each(|common| common.grouped = true);
    }
    commons
}

/// An interval that `version` can say; short ones are rarer, as they cost most events.
pub fn draw_interval(rng: &mut Rng, version: Version) -> Interval {
    let centiseconds = match version {
        Version::V2 => *rng.pick(&[100, 100, 200]),
        Version::V3 => *rng.pick(&[10, 30, 100, 100, 137, 200]),
    };
    Interval::from_centiseconds(centiseconds).expect("none of them is 0")
}

fn draw_node(rng: &mut Rng, node: usize, nodes: usize, lans: usize, commons: &[Common]) -> Node {
    let ppm = rng.below(2 * MAX_PPM as u64 + 1) as i64 - MAX_PPM;
    let clock = Clock::new(rng.below(1000) * SECOND, ppm);
    let mut routers = Vec::new();
    // Most operators give all members of a group one priority.
    let (all, even) = (rng.chance(90), rng.chance(70).then(|| draw_priority(rng)));
    for common in commons {
        if common.owner == Some(node) || if common.grouped { all } else { rng.chance(90) } {
            let mut router = draw_router(rng, node, nodes, lans, common);
            if let Some(even) = even.filter(|_| common.grouped && common.owner.is_none()) {
                router.priority = Priority(even);
            }
            routers.push(router);
        }
    }
    let grouped = |router: &&RouterPlan| commons.iter().any(|c| c.grouped && c.key == router.key);
    let members: Vec<RouterKey> = routers.iter().filter(grouped).map(|r| r.key.clone()).collect();
    let group =
        SyncGroupPlan { name: "G".to_owned(), members, track_interfaces: Vec::new(), trackers: Vec::new() };
    let groups = if group.members.is_empty() { Vec::new() } else { vec![group] };
    // Without handover it drops its addresses at once, as keepalived does.
    let (handover, vip_lease) = (rng.chance(70), rng.chance(40));
    let plan =
        VrrpPlan { generation: Generation(1), routers, groups, handover, vip_lease, ..VrrpPlan::default() };
    Node::new(clock, Kernel::new(node, lans), plan)
}

fn draw_router(rng: &mut Rng, node: usize, nodes: usize, lans: usize, common: &Common) -> RouterPlan {
    let owner = common.owner == Some(node);
    let priority = match owner {
        true => 255,
        false => draw_priority(rng),
    };
    // In version 3 nodes may differ; in version 2 they would not understand each other.
    let differs = common.version == Version::V3 && rng.chance(25);
    let preempt = owner || rng.chance(75);
    let delayed = preempt && !owner && rng.chance(35);
    let own = |n: usize| own_address(n, super::model::lan_of(&common.key.interface), common.key.family);
    RouterPlan {
        version: common.version,
        priority: Priority(priority),
        interval: if differs { draw_interval(rng, common.version) } else { common.interval },
        preempt,
        preempt_delay: Duration::from_millis(if delayed { *rng.pick(&[300, 2000, 9000]) } else { 0 }),
        down_timer_adverts: if rng.chance(10) { 5 } else { 3 },
        addresses: (0..=rng.index(POOL - 1)).map(|slot| address(rng, common, lans, slot)).collect(),
        excluded_addresses: rng.chance(20).then(|| address(rng, common, lans, POOL)).into_iter().collect(),
        authentication: common.authentication.clone(),
        transport: match common.unicast {
            true => Transport::Unicast {
                source: None,
                peers: (0..nodes).filter(|n| *n != node).map(own).collect(),
            },
            false => Transport::Multicast { source: None, group: None },
        },
        checksum: common.checksum,
        announce: AnnouncePolicy {
            refresh: rng.chance(20).then_some(Duration::from_secs(3)),
            ..AnnouncePolicy::default()
        },
        answer_lower_priority: rng.chance(75),
        answer_higher_priority: rng.chance(15),
        track_primary: rng.chance(90),
        track_interfaces: draw_trackers(rng, lans),
        trackers: draw_objects(rng),
        ..RouterPlan::new(format!("VI_{}", common.number), common.key.clone())
    }
}

/// Equal priorities happen: then addresses decide.
fn draw_priority(rng: &mut Rng) -> u8 {
    *rng.pick(&[1, 50, 100, 100, 101, 150, 200, 254])
}

fn draw_objects(rng: &mut Rng) -> Vec<TrackedObject> {
    let drawn = rng.chance(25).then(|| {
        let (tracker, _) = rng.pick(&tracked_things()).clone();
        TrackedObject { tracker, weight: *rng.pick(&[0, 0, -60, 60, 1, -1, 10]), reverse: rng.chance(20) }
    });
    drawn.into_iter().collect()
}

fn draw_trackers(rng: &mut Rng, lans: usize) -> Vec<TrackedInterface> {
    let drawn = rng.chance(20).then(|| TrackedInterface {
        interface: format!("eth{}", rng.index(lans)),
        weight: *rng.pick(&[0, 0, -60, 60, -254, 254]),
        reverse: false,
    });
    drawn.into_iter().collect()
}

/// The address in `slot` of the router's pool; the first of IPv6 is link-local (RFC 9568 5.2.9).
fn address(rng: &mut Rng, common: &Common, lans: usize, slot: usize) -> VirtualAddress {
    let (number, slot) = (common.number as u16, slot as u16);
    let ip: IpAddr = match common.key.family {
        AddressFamily::V4 => Ipv4Addr::new(10, 9, number as u8, 1 + slot as u8).into(),
        AddressFamily::V6 if slot == 0 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, 1 + number).into(),
        AddressFamily::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, slot).into(),
    };
    let cidr = match rng.chance(50) {
        true => IpCidr::host(ip),
        false => IpCidr::new(ip, 24).expect("24 bits fit both families"),
    };
    let elsewhere = slot > 0 && rng.chance(10);
    let interface = elsewhere.then(|| format!("eth{}", rng.index(lans)));
    VirtualAddress { interface, ..VirtualAddress::new(cidr) }
}

/// Change a plan as an operator might: one thing about one router, or a router goes.
pub fn change(rng: &mut Rng, plan: &mut VrrpPlan) {
    if plan.routers.is_empty() {
        return;
    }
    let several = plan.routers.len() > 1;
    let chosen = rng.index(plan.routers.len());
    let router = &mut plan.routers[chosen];
    let owner = router.priority.is_owner();
    match rng.below(6) {
        0 if !owner => router.priority = Priority(rng.between(1, 254) as u8),
        1 if router.version == Version::V3 => router.interval = draw_interval(rng, Version::V3),
        2 if !owner => {
            router.preempt = !router.preempt;
            router.preempt_delay = Duration::ZERO;
        }
        3 if router.addresses.len() > 1 => {
            let gone = rng.index(router.addresses.len());
            router.addresses.remove(gone);
        }
        4 => router.addresses.rotate_left(1),
        5 if several => {
            plan.routers.remove(chosen);
        }
        _ => router.answer_lower_priority = !router.answer_lower_priority,
    }
}
