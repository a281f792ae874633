//! What one virtual router more costs in memory: Masters with an address each, on interfaces with 250 of them, as
//! `netns-scripts/bench` has them. Counted by the allocator, so it fails for a few octets too many. What the process
//! as a whole takes is measured there.

mod counting;

use counting::in_use;
use holdfast::net::{AddressFamily, IpCidr, MacAddr, Priority, VirtualRouterId};
use holdfast::netlink::facts::{InterfaceTable, Next};
use holdfast::netlink::monitor::MonitorEvent;
use holdfast::netlink::{Address, Link};
use holdfast::plan::Generation;
use holdfast::plan::vrrp::{RouterKey, RouterPlan, Version, VirtualAddress, VrrpPlan};
use holdfast::time::Instant;
use holdfast::vrrp::{Action, AddressOp, Core, Event, InterfaceFacts, State};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Routers on each interface.
const EACH: u32 = 250;

/// Octets of the core, and of what the role knows of the kernel's addresses, for each router.
const CORE: usize = 672;
const TABLE: usize = 40;

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a01_0000 + ((number / EACH) << 8) + number % EACH + 1)
}

fn facts(interface: u32) -> InterfaceFacts {
    InterfaceFacts {
        index: interface + 2,
        name: format!("v{interface}"),
        up: true,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        ipv6_forwarding: false,
        ipv4: vec![Ipv4Addr::new(10, 200, interface as u8, 1)],
        ipv6_link_local: Vec::new(),
        ipv6_wide: Vec::new(),
    }
}

fn plan(number: u32) -> RouterPlan {
    let (interface, vrid) = (number / EACH, number % EACH + 1);
    let vrid = VirtualRouterId::new(vrid as u8).expect("at most 250");
    let key = RouterKey::new(format!("v{interface}"), AddressFamily::V4, vrid);
    RouterPlan {
        version: Version::V3,
        priority: Priority(150),
        addresses: vec![VirtualAddress::new(IpCidr::host(address(number).into()))],
        ..RouterPlan::new(format!("r{interface}_{vrid}"), key)
    }
}

/// A core and its kernel, which obeys at once.
struct Node {
    core: Core,
    kernel: Vec<InterfaceFacts>,
    now: Instant,
}

impl Node {
    fn new(routers: u32) -> Node {
        let kernel: Vec<InterfaceFacts> = (0..routers.div_ceil(EACH)).map(facts).collect();
        let mut node = Node { core: Core::new(), kernel, now: Instant::ZERO };
        node.feed(node.kernel.iter().cloned().map(Event::Interface).collect());
        let routers = (0..routers).map(plan).collect();
        let plan = VrrpPlan { generation: Generation(1), routers, ..VrrpPlan::default() };
        node.feed(vec![Event::Plan(plan)]);
        node
    }

    fn feed(&mut self, events: Vec<Event>) {
        for event in events {
            let mut actions = Vec::new();
            self.core.handle(event, self.now, &mut actions);
            self.perform(actions);
        }
    }

    /// News of the addresses first, then the answers, as in the role.
    fn perform(&mut self, actions: Vec<Action>) {
        let (mut changed, mut done) = (BTreeSet::new(), Vec::new());
        for action in actions {
            let Action::Kernel(op, what) = action else { continue };
            done.push(Event::KernelDone { op, result: Ok(()) });
            if let AddressOp::Add { interface, cidr, .. } = what
                && let IpAddr::V4(address) = cidr.address()
            {
                self.kernel[interface as usize - 2].ipv4.push(address);
                changed.insert(interface as usize - 2);
            }
        }
        let news = changed.into_iter().map(|at| Event::Interface(self.kernel[at].clone()));
        let events: Vec<Event> = news.chain(done).collect();
        if !events.is_empty() {
            self.feed(events);
        }
    }

    /// Until everybody is Master and has announced itself twice.
    fn settle(&mut self) {
        self.run(Duration::from_secs(12));
        assert!(self.core.routers().all(|router| router.state() == State::Master));
        assert!(self.core.routers().all(|router| router.addresses().all(|view| view.installed)));
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.core.next_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let mut actions = Vec::new();
            self.core.handle_timeout(self.now, &mut actions);
            self.perform(actions);
        }
        self.now = end;
    }
}

/// The most octets of a core of Masters in its first six hours, and in the next six: a list has room for one more now and then.
fn over_the_hours() -> [usize; 2] {
    let mut node = Node::new(20);
    node.settle();
    let hour = |node: &mut Node| {
        node.run(Duration::from_secs(3600));
        in_use()
    };
    [(); 2].map(|()| (0..6).map(|_| hour(&mut node)).max().unwrap_or_default())
}

/// Octets of a core with so many routers.
fn core(routers: u32) -> usize {
    let before = in_use();
    let mut node = Node::new(routers);
    node.settle();
    let Node { core, kernel, .. } = node;
    drop(kernel);
    let octets = in_use() - before;
    drop(core);
    octets
}

/// Octets of what the role knows of so many addresses in the kernel.
fn table(addresses: u32) -> usize {
    let before = in_use();
    let mut table = InterfaceTable::new();
    let link = |index| Link {
        index,
        name: format!("v{index}"),
        up: true,
        running: true,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        ipv6_forwarding: false,
        kind: None,
        ties: Default::default(),
    };
    table.resync((0..addresses.div_ceil(EACH)).map(link).collect(), Vec::new(), &mut Vec::new());
    for number in 0..addresses {
        let cidr = IpCidr::host(address(number).into());
        let (interface, label) = (number / EACH, Some(format!("v{}", number / EACH)));
        let held = Address {
            interface,
            cidr,
            peer: None,
            flags: 0x80,
            scope: 0,
            protocol: Some(18),
            label,
            valid: None,
        };
        assert_eq!(table.handle([MonitorEvent::AddressAdded(held)], &mut Vec::new()), Next::Continue);
    }
    let octets = in_use() - before;
    drop(table);
    octets
}

#[test]
fn a_router_more_costs_little() {
    let each = |octets: fn(u32) -> usize| (octets(4000) - octets(1000)).div_ceil(3000);
    let (core, table) = (each(core), each(table));
    println!("core {core}, table {table}");
    assert!(core <= CORE, "a router costs {core} octets in the core");
    assert!(table <= TABLE, "an address costs {table} octets in the table of interfaces");
    let [first, later] = over_the_hours();
    assert!(later <= first, "{later} octets after {first}, and nothing has happened");
}
