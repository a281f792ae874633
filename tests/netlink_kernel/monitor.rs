//! What changes, and what the table makes of it.

use crate::namespace::{add, cidr, in_namespace, ip, remove, wait_until};
use holdfast::netlink::facts::{InterfaceTable, Next};
use holdfast::netlink::monitor::{Monitor, MonitorEvent};
use holdfast::netlink::route::RouteSocket;
use holdfast::vrrp::Event;

/// Read and fold until `done` says so; everything told on the way.
fn follow(monitor: &mut Monitor, table: &mut InterfaceTable, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut told = Vec::new();
    wait_until("announcements", || {
        let mut events = Vec::new();
        monitor.read(&mut events).unwrap();
        assert_eq!(table.handle(events, &mut told), Next::Continue);
        done(&told).then_some(())
    });
    told
}

fn synchronised() -> (RouteSocket, Monitor, InterfaceTable) {
    let mut route = RouteSocket::open().unwrap();
    let monitor = Monitor::open().unwrap();
    let mut table = InterfaceTable::new();
    let links = route.links().unwrap();
    table.resync(links, route.addresses().unwrap(), &mut Vec::new());
    (route, monitor, table)
}

#[test]
fn an_address_deleted_by_another_is_announced() {
    in_namespace(|| {
        let (mut route, mut monitor, mut table) = synchronised();
        route.apply(&[add("192.0.2.1/24")])[0].as_ref().unwrap();
        follow(&mut monitor, &mut table, |told| {
            told.iter().any(|event| matches!(event, Event::Interface(facts) if facts.index == 10 && facts.ipv4.len() == 1))
        });
        ip("address del 192.0.2.1/24 dev va");
        let lost = Event::AddressRemoved { index: 10, cidr: cidr("192.0.2.1/24") };
        follow(&mut monitor, &mut table, |told| told.contains(&lost));
        assert_eq!(table.facts(10).map(|facts| facts.ipv4), Some(vec![]));
        assert_eq!(monitor.counters(), Default::default());
    });
}

#[test]
fn carrier_rename_and_removal_are_announced() {
    in_namespace(|| {
        let (_, mut monitor, mut table) = synchronised();
        let up = |told: &[Event], wanted| {
            told.iter().any(
                |event| matches!(event, Event::Interface(facts) if facts.index == 10 && facts.up == wanted),
            )
        };
        ip("link set vb down");
        follow(&mut monitor, &mut table, |told| up(told, false));
        ip("link set vb up");
        follow(&mut monitor, &mut table, |told| up(told, true));
        ip("link set va down");
        ip("link set va name renamed");
        follow(&mut monitor, &mut table, |told| {
            told.iter().any(|event| matches!(event, Event::Interface(facts) if facts.name == "renamed"))
        });
        assert_eq!(table.link("renamed").map(|link| link.index), Some(10));
        ip("link del vb");
        follow(&mut monitor, &mut table, |told| told.contains(&Event::InterfaceGone { index: 10 }));
    });
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_gone() {
    in_namespace(|| {
        ip("link add br0 index 12 type bridge");
        ip("link set va master br0");
        let (_, mut monitor, mut table) = synchronised();
        ip("link set va nomaster");
        ip("link set va mtu 1400");
        let told = follow(&mut monitor, &mut table, |told| {
            told.iter().any(|event| matches!(event, Event::Interface(facts) if facts.mtu == 1400))
        });
        assert!(!told.iter().any(|event| matches!(event, Event::InterfaceGone { .. })), "{told:?}");
    });
}

#[test]
fn the_order_of_addresses_follows_the_kernels() {
    in_namespace(|| {
        let (mut route, mut monitor, mut table) = synchronised();
        std::fs::write("/proc/sys/net/ipv4/conf/va/promote_secondaries", "1").unwrap();
        for command in [
            "address add 10.0.0.1/8 dev va",
            "address add 10.0.0.2/8 dev va",
            "address add 10.0.0.3/8 dev va",
            "address add 192.0.2.1/24 dev va",
            "address add 169.254.1.1/16 scope link dev va",
            "address add 203.0.113.1/24 dev va",
            "address del 10.0.0.1/8 dev va",
            "address add fe80::1/64 dev va nodad",
            "address add fe80::2/64 dev va nodad",
        ] {
            ip(command);
        }
        let mut fresh = InterfaceTable::new();
        let links = route.links().unwrap();
        fresh.resync(links, route.addresses().unwrap(), &mut Vec::new());
        let mut events = Vec::new();
        wait_until("the announced table equals the dumped one", || {
            monitor.read(&mut events).unwrap();
            let _ = table.handle(events.drain(..), &mut Vec::new());
            let links = route.links().unwrap();
            fresh.resync(links, route.addresses().unwrap(), &mut Vec::new());
            (table.facts(10) == fresh.facts(10) && table.facts(10)?.ipv4.len() == 5).then_some(())
        });
    });
}

#[test]
fn an_overrun_is_noticed_and_a_dump_finds_what_was_lost() {
    in_namespace(|| {
        let (mut route, _, mut table) = synchronised();
        let mut monitor = Monitor::with_receive_buffer(1).unwrap();
        let addresses: Vec<String> = (1..=200).map(|n| format!("192.0.2.{n}/32")).collect();
        assert!(
            route
                .apply(&addresses.iter().map(|text| add(text)).collect::<Vec<_>>())
                .iter()
                .all(Result::is_ok)
        );
        let links = route.links().unwrap();
        table.resync(links, route.addresses().unwrap(), &mut Vec::new());
        assert!(
            route
                .apply(&addresses.iter().map(|text| remove(text)).collect::<Vec<_>>())
                .iter()
                .all(Result::is_ok)
        );

        let mut events = Vec::new();
        monitor.read(&mut events).unwrap();
        assert_eq!(events.last(), Some(&MonitorEvent::Overrun), "after all that was queued");
        assert_eq!(monitor.counters().overruns, 1);
        let mut told = Vec::new();
        assert_eq!(table.handle(events, &mut told), Next::Dump);
        let links = route.links().unwrap();
        table.resync(links, route.addresses().unwrap(), &mut told);
        for text in &addresses {
            assert!(told.contains(&Event::AddressRemoved { index: 10, cidr: cidr(text) }), "{text}");
        }
        assert_eq!(table.facts(10).map(|facts| facts.ipv4), Some(vec![]));
    });
}
