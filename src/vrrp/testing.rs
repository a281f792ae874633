//! What the core's own tests share: a plan, facts, packets, and actions in short words.

use super::{Action, AddressOp, Core, Event, Frame, InterfaceFacts, LogLevel, OpId, Received};
use crate::net::{AddressFamily, IpCidr, MacAddr, Priority, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::vrrp::{
    AnnouncePolicy, ChecksumDialect, RouterKey, RouterPlan, Version, VirtualAddress, VrrpPlan,
};
use crate::time::{Instant, Interval};
use crate::wire::vrrp::{Addresses, Advertisement};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// This node's address: others are below (.1) and above (.3).
pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(super) const BELOW: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const ABOVE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
pub(super) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

pub(super) fn vip(last: u8) -> VirtualAddress {
    VirtualAddress::new(IpCidr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 24).expect("24 is at most 32"))
}

/// VRID 51 on eth0, version 3, 1 s, one address, one announcement.
pub(super) fn router_plan(priority: u8) -> RouterPlan {
    let key = RouterKey {
        interface: "eth0".to_owned(),
        family: AddressFamily::V4,
        vrid: VirtualRouterId::new(51).expect("not 0"),
        among: None,
    };
    RouterPlan {
        version: Version::V3,
        priority: Priority(priority),
        addresses: vec![vip(100)],
        announce: AnnouncePolicy {
            repeat: 1,
            delay: Duration::ZERO,
            lower_priority_repeat: 1,
            lower_priority_delay: Duration::ZERO,
            ..AnnouncePolicy::default()
        },
        ..RouterPlan::new("a".to_owned(), key)
    }
}

pub(super) fn plan(routers: Vec<RouterPlan>) -> Event {
    Event::Plan(VrrpPlan { generation: Generation(1), routers, ..VrrpPlan::default() })
}

pub(super) fn facts(up: bool) -> InterfaceFacts {
    InterfaceFacts {
        index: 2,
        name: "eth0".to_owned(),
        up,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        ipv6_forwarding: false,
        ipv4: vec![OURS],
        ipv6_link_local: Vec::new(),
        ipv6_wide: Vec::new(),
    }
}

pub(super) fn advert(priority: u8, from: Ipv4Addr) -> Event {
    let addresses = Addresses::V4(vec![Ipv4Addr::new(10, 0, 0, 100)]);
    let vrid = VirtualRouterId::new(51).expect("not 0");
    let message =
        Advertisement::v3(vrid, Priority(priority), Interval::ONE_SECOND, addresses).expect("sayable");
    Event::Advertisement(Received {
        interface: 2,
        source: from.into(),
        destination: GROUP.into(),
        hop_limit: 255,
        bytes: message.encode(from.into(), GROUP.into(), ChecksumDialect::PseudoHeader),
    })
}

/// A core with a kernel that obeys at once.
pub(super) struct Bench {
    pub core: Core,
    pub now: Instant,
    /// Operations that wait for [`Bench::answer`] while `holds`.
    pub waiting: Vec<OpId>,
    pub holds: bool,
    /// What becomes of a wish for silence, at once; `None` for no answer.
    pub silences: Option<bool>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench {
            core: Core::new(),
            now: Instant(1_000_000_000),
            waiting: Vec::new(),
            holds: false,
            silences: Some(true),
        }
    }

    /// Feed one event; what came out, in short words.
    pub fn feed(&mut self, event: Event) -> Vec<String> {
        let mut actions = Vec::new();
        self.core.handle(event, self.now, &mut actions);
        self.settle(actions)
    }

    /// Let the next deadline come.
    pub fn timeout(&mut self) -> Vec<String> {
        let mut actions = Vec::new();
        if let Some(at) = self.core.next_timeout() {
            self.now = at;
        }
        self.core.handle_timeout(self.now, &mut actions);
        self.settle(actions)
    }

    /// Time has come to `now`, whatever was due before.
    pub fn wake(&mut self) -> Vec<String> {
        let mut actions = Vec::new();
        self.core.handle_timeout(self.now, &mut actions);
        self.settle(actions)
    }

    /// The kernel's answers that waited.
    pub fn answer(&mut self) -> Vec<String> {
        self.holds = false;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().flat_map(|op| self.feed(Event::KernelDone { op, result: Ok(()) })).collect()
    }

    fn settle(&mut self, actions: Vec<Action>) -> Vec<String> {
        let mut words = Vec::new();
        let mut ops = Vec::new();
        let mut silenced = Vec::new();
        for action in actions {
            match &action {
                Action::Kernel(op, _) | Action::Routing(op, _) => ops.push(*op),
                Action::Silence { router, addresses } if !addresses.is_empty() => silenced.push(*router),
                _ => {}
            }
            words.push(short(&action));
        }
        self.waiting.extend(ops);
        if !self.holds {
            words.extend(self.answer());
        }
        if let Some(done) = self.silences {
            for router in silenced {
                words.extend(self.feed(Event::Silenced { router, done }));
            }
        }
        words
    }
}

fn short(action: &Action) -> String {
    match action {
        Action::Transmit(_, Frame::Advertisement { bytes, .. }) => format!("advert {}", bytes[2]),
        Action::Transmit(_, Frame::Sealed { packet, .. }) => format!("sealed advert {}", packet[46]),
        Action::Transmit(_, Frame::Ethernet { .. }) => "announce".to_owned(),
        Action::Kernel(_, AddressOp::Add { cidr, .. }) => format!("add {}", cidr.address()),
        Action::Kernel(_, AddressOp::Remove { cidr, .. }) => format!("remove {}", cidr.address()),
        Action::Routing(_, op) => format!("{} {}", if op.add { "add" } else { "remove" }, op.item),
        Action::Notify(transition) => format!("{}", transition.to),
        Action::News(_) => "news".to_owned(),
        Action::Log(LogLevel::Error, _) => "error".to_owned(),
        Action::Log(LogLevel::Warning, _) => "warning".to_owned(),
        Action::Log(LogLevel::Info, _) => "info".to_owned(),
        Action::Stopped => "stopped".to_owned(),
        Action::Claim(_) => "claim".to_owned(),
        Action::Unclaim(_) => "unclaim".to_owned(),
        Action::Silence { addresses, .. } => {
            (if addresses.is_empty() { "speak" } else { "silence" }).to_owned()
        }
    }
}
