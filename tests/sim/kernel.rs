//! A fake kernel: interfaces, addresses, and operations that take time, fail or stall.

use super::clock::MS;
use super::rng::Rng;
use holdfast::net::{AddressFamily, IpCidr, MacAddr};
use holdfast::plan::track::{Sample, TrackerKey, TrackerKind};
use holdfast::vrrp::{AddressOp, InterfaceFacts, KernelError, Maintenance};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest an address operation takes in a healthy kernel.
pub const OP_LATENCY: u64 = 2 * MS;

/// One interface of one node. Its name is the same on every node, its index is not.
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub lan: usize,
    /// Gone interfaces come back with another index.
    pub exists: bool,
    /// Administratively up, with carrier.
    up: bool,
    /// Is its own IPv6 link-local address there?
    pub has_link_local: bool,
    mac: MacAddr,
    v4: Ipv4Addr,
    link_local: Ipv6Addr,
    /// Addresses that were added, in the order they came.
    pub added: Vec<IpCidr>,
    /// Until when the kernel keeps those of them that have a lease, in the world's time.
    pub leases: BTreeMap<IpCidr, u64>,
}

impl Interface {
    pub fn new(node: usize, lan: usize) -> Interface {
        let (n, l) = (node as u8, lan as u8);
        Interface {
            name: format!("eth{lan}"),
            index: 2 + (lan + 10 * node) as u32,
            lan,
            exists: true,
            up: true,
            has_link_local: true,
            mac: MacAddr([2, 0, 0, 0, l, n]),
            v4: own_v4(node, lan),
            link_local: own_link_local(node, lan),
            added: Vec::new(),
            leases: BTreeMap::new(),
        }
    }

    /// Can it send and receive?
    pub fn works(&self) -> bool {
        self.exists && self.up
    }

    /// Carrier or administrative state; `false` if it was so before.
    pub fn set_up(&mut self, up: bool) -> bool {
        std::mem::replace(&mut self.up, up) != up
    }

    /// The index of an interface made anew.
    pub fn remake(&mut self) {
        self.exists = true;
        self.up = true;
        self.has_link_local = true;
        self.index += 1000;
    }

    /// Takes away what `which` names; returns it.
    pub fn take_off(&mut self, which: impl Fn(&IpCidr) -> bool) -> Vec<IpCidr> {
        let (gone, kept): (Vec<IpCidr>, Vec<IpCidr>) = self.added.iter().partition(|cidr| which(cidr));
        self.added = kept;
        self.leases.retain(|cidr, _| !gone.contains(cidr));
        gone
    }

    /// What the kernel tells about it: added addresses follow the interface's own.
    pub fn facts(&self) -> InterfaceFacts {
        let mut ipv4 = vec![self.v4];
        let mut ipv6_link_local: Vec<_> =
            self.has_link_local.then_some(self.link_local).into_iter().collect();
        for cidr in &self.added {
            match cidr.address() {
                IpAddr::V4(a) => ipv4.push(a),
                IpAddr::V6(a) if a.is_unicast_link_local() => ipv6_link_local.push(a),
                IpAddr::V6(_) => {}
            }
        }
        InterfaceFacts {
            index: self.index,
            name: self.name.clone(),
            up: self.up,
            mac: self.mac,
            mtu: 1500,
            ipv6_forwarding: false,
            ipv4,
            ipv6_link_local,
            ipv6_wide: Vec::new(),
        }
    }
}

/// What a machine may track, and what each may say; the first is good.
pub fn tracked_things() -> [(TrackerKey, &'static [Sample]); 2] {
    let key = |kind, name: &str| TrackerKey { kind, name: name.to_owned() };
    [
        (key(TrackerKind::Script, "chk"), &[Sample::Up, Sample::Down]),
        (
            key(TrackerKind::File, "load"),
            &[Sample::Value(0), Sample::Value(30), Sample::Value(-30), Sample::Value(-300)],
        ),
    ]
}

pub fn own_v4(node: usize, lan: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, lan as u8, 0, 10 + node as u8)
}

pub fn own_link_local(node: usize, lan: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, lan as u16, 0, 10 + node as u16)
}

/// The address a node speaks from.
pub fn own_address(node: usize, lan: usize, family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => own_v4(node, lan).into(),
        AddressFamily::V6 => own_link_local(node, lan).into(),
    }
}

/// What an operation did.
pub struct Outcome {
    pub result: Result<(), KernelError>,
    /// Interface index and address that went away.
    pub removed: Option<(u32, IpCidr)>,
    /// The interface whose facts changed.
    pub changed: Option<usize>,
}

/// The kernel of one node. It outlives the process.
pub struct Kernel {
    pub interfaces: Vec<Interface>,
    /// What scripts and files on this machine say.
    pub samples: BTreeMap<TrackerKey, Sample>,
    /// What is in maintenance: the supervisor keeps it in a file, which outlives the process.
    pub maintenance: Maintenance,
    /// Operations are done one after the other.
    busy_until: u64,
    /// Until when it does what it was asked for before it healed.
    pub backlog_until: u64,
    /// Percent of operations that fail.
    pub failing: u64,
    /// Added to each operation's time.
    pub stall: u64,
}

impl Kernel {
    pub fn new(node: usize, lans: usize) -> Kernel {
        let interfaces = (0..lans).map(|lan| Interface::new(node, lan)).collect();
        let samples = tracked_things().into_iter().map(|(key, samples)| (key, samples[0])).collect();
        let maintenance = Maintenance::default();
        Kernel { interfaces, samples, maintenance, busy_until: 0, backlog_until: 0, failing: 0, stall: 0 }
    }

    /// When an operation that is handed over now will be done.
    pub fn schedule(&mut self, rng: &mut Rng, now: u64) -> u64 {
        let work = rng.between(20_000, OP_LATENCY) + self.stall;
        self.busy_until = self.busy_until.max(now) + work;
        self.busy_until
    }

    pub fn heal(&mut self) {
        self.backlog_until = self.busy_until;
        self.failing = 0;
        self.stall = 0;
    }

    pub fn by_index(&self, index: u32) -> Option<usize> {
        self.interfaces.iter().position(|i| i.exists && i.index == index)
    }

    /// Does the operation.
    pub fn perform(&mut self, rng: &mut Rng, op: &AddressOp) -> Outcome {
        let (index, cidr) = match op {
            AddressOp::Add { interface, cidr, .. } | AddressOp::Remove { interface, cidr, .. } => {
                (*interface, *cidr)
            }
        };
        let failed = rng.chance(self.failing);
        let Some(at) = self.by_index(index).filter(|_| !failed) else {
            let error = KernelError { errno: 105, message: "No buffer space available".into() };
            return Outcome { result: Err(error), removed: None, changed: None };
        };
        let added = &mut self.interfaces[at].added;
        let held = added.iter().position(|a| *a == cidr);
        let mut outcome = Outcome { result: Ok(()), removed: None, changed: None };
        match (op, held) {
            (AddressOp::Add { .. }, None) => {
                added.push(cidr);
                outcome.changed = Some(at);
            }
            (AddressOp::Remove { .. }, Some(position)) => {
                added.remove(position);
                self.interfaces[at].leases.remove(&cidr);
                outcome.changed = Some(at);
                outcome.removed = Some((index, cidr));
            }
            // "Already there" and "not there" are successes.
            _ => {}
        }
        outcome
    }

    /// Is the address on the interface of that name?
    pub fn has(&self, interface: &str, cidr: &IpCidr) -> bool {
        self.interfaces.iter().any(|i| i.name == interface && i.added.contains(cidr))
    }

    /// All added addresses with their interface, sorted.
    pub fn held(&self) -> Vec<(String, IpCidr)> {
        let mut held: Vec<_> =
            self.interfaces.iter().flat_map(|i| i.added.iter().map(|cidr| (i.name.clone(), *cidr))).collect();
        held.sort();
        held
    }
}
