use super::super::tests::{Bench, address, key, plan, real, told, virtual_server};
use super::*;
use crate::net::{AddressFamily, TransportProtocol};
use std::net::{IpAddr, Ipv4Addr};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// What a reload from `server`, whose server 3 is down, to `plan` tells: of what leaves, and of the rest.
fn told_by(server: VirtualServer, plan: LvsPlan) -> (String, String) {
    let mut bench = Bench::new(server);
    bench.down(3);
    bench.director.take_first_news();
    bench.events.clear();
    let leaving = bench.director.leaving(&plan);
    bench.director.reload(plan, &mut bench.events);
    let mut rest = std::mem::take(&mut bench.events);
    rest.extend(bench.director.take_first_news());
    (told(leaving), told(rest))
}

fn three() -> VirtualServer {
    virtual_server(vec![real(1, 1), real(2, 1), real(3, 1)])
}

fn of(leaving: &str, rest: &str) -> (String, String) {
    (leaving.to_owned(), rest.to_owned())
}

#[test]
fn a_virtual_server_that_leaves_is_told_of_with_those_of_its_servers_that_were_up() {
    assert_eq!(told_by(three(), LvsPlan::default()), of("x192.0.2.1 x192.0.2.2 xQ", ""));
    let met_by_nobody = VirtualServer { quorum: 9, ..three() };
    assert_eq!(told_by(met_by_nobody, LvsPlan::default()), of("x192.0.2.1 x192.0.2.2 x", ""));
}

#[test]
fn a_server_that_leaves_is_told_of_and_the_quorum_it_takes_along_once() {
    let without = |numbers: &[u8]| virtual_server(numbers.iter().map(|n| real(*n, 1)).collect());
    assert_eq!(told_by(three(), plan(without(&[1, 3]))), of("x192.0.2.2", ""));
    assert_eq!(told_by(three(), plan(without(&[1, 2]))), of("", ""), "it was down");
    assert_eq!(told_by(three(), plan(without(&[3]))), of("x192.0.2.1 x192.0.2.2", "-Q"));
    // keepalived tells of the quorum as lost, and never that it is met again.
    assert_eq!(told_by(three(), plan(without(&[4]))), of("x192.0.2.1 x192.0.2.2", ""));
    let two = |server| VirtualServer { quorum: 2, ..server };
    assert_eq!(told_by(two(three()), plan(two(without(&[1, 3])))), of("x192.0.2.2", "-Q"));
}

#[test]
fn another_key_under_the_same_name_of_a_group_is_the_same() {
    let group =
        |keys: &[ServiceKey]| VirtualServer { group: Some("g".into()), keys: keys.to_vec(), ..three() };
    let other = ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: VIP, port: 443 };
    let of_udp = ServiceKey::Endpoint { protocol: TransportProtocol::Udp, address: VIP, port: 443 };
    let mark = ServiceKey::FwMark { mark: 22, family: AddressFamily::V4 };
    for (before, after) in [
        (vec![key(), other], vec![key()]),
        (vec![key(), other], vec![other]),
        (vec![key()], vec![other]),
        (vec![other], vec![of_udp]),
        (vec![mark], vec![other, mark]),
        (vec![other, mark], vec![mark]),
        (vec![mark], vec![of_udp]),
    ] {
        assert_eq!(told_by(group(&before), plan(group(&after))), of("", ""), "{before:?} to {after:?}");
    }
}

#[test]
fn a_group_with_virtual_servers_of_two_protocols_loses_one() {
    let of_protocol = |protocol, name: &str| VirtualServer {
        name: name.to_owned(),
        group: Some("g".to_owned()),
        keys: vec![ServiceKey::Endpoint { protocol, address: VIP, port: 53 }],
        ..three()
    };
    let both = [TransportProtocol::Tcp, TransportProtocol::Udp].map(|it| of_protocol(it, &format!("{it} g")));
    let plan =
        |servers: &[VirtualServer]| LvsPlan { virtual_servers: servers.to_vec(), ..LvsPlan::default() };
    let bench = Bench::of(plan(&both));
    for (stays, leaves) in [(0, 1), (1, 0)] {
        let leaving = bench.director.leaving(&plan(&both[stays..=stays]));
        let gone = leaving.iter().find_map(|event| match event {
            Event::ServiceGone { virtual_server, .. } => Some(virtual_server),
            _ => None,
        });
        assert_eq!(gone, Some(&both[leaves].name));
    }
}

#[test]
fn a_group_of_marks_for_both_families_is_two_virtual_servers() {
    let of_family = |family, server| VirtualServer {
        group: Some("g".to_owned()),
        ..VirtualServer::new(
            format!("group g {family}"),
            vec![ServiceKey::FwMark { mark: 5, family }],
            vec![server],
        )
    };
    let both = || LvsPlan {
        virtual_servers: vec![
            of_family(AddressFamily::V4, real(1, 1)),
            of_family(AddressFamily::V6, real(3, 1)),
        ],
        ..LvsPlan::default()
    };
    let mut bench = Bench::of(both());
    bench.down(3);
    bench.director.take_first_news();
    assert_eq!(told(bench.director.leaving(&both())), "");
    bench.director.reload(both(), &mut Vec::new());
    assert_eq!((bench.director.server_up(0, 0), bench.director.server_up(1, 0)), (true, false));
    assert_eq!((bench.director.quorum_up(0), bench.director.quorum_up(1)), (true, false));
}

#[test]
fn groups_that_exchange_their_services_keep_their_states() {
    let other = ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: VIP, port: 443 };
    let group = |name: &str, key, server| VirtualServer {
        group: Some(name.to_owned()),
        ..VirtualServer::new(name.into(), vec![key], vec![real(server, 1)])
    };
    let both = |first, second| LvsPlan {
        virtual_servers: vec![group("g", first, 1), group("h", second, 3)],
        ..LvsPlan::default()
    };
    let mut bench = Bench::of(both(key(), other));
    bench.down(3);
    bench.director.take_first_news();
    bench.events.clear();
    bench.director.reload(both(other, key()), &mut bench.events);
    bench.events.extend(bench.director.take_first_news());
    assert_eq!(told(bench.events), "");
}

/// A group has a name of its own, which FIFOs and mail show: what they say of one nobody may take for the other.
#[test]
fn another_name_is_another_service_to_those_who_are_told_and_keeps_its_state() {
    let group = |name: &str| VirtualServer { group: Some(name.to_owned()), ..three() };
    assert_eq!(told_by(group("g"), plan(group("h"))), of("x192.0.2.1 x192.0.2.2 xQ", "+Q"));
    let mut bench = Bench::new(group("g"));
    bench.down(3);
    bench.director.reload(plan(group("h")), &mut bench.events);
    assert!(
        bench.director.server_up(0, 0) && !bench.director.server_up(0, 2),
        "it is no other to its checks"
    );
    let serving: Vec<SocketAddr> =
        bench.director.desired().services[&key()].destinations.keys().copied().collect();
    assert_eq!(serving, [address("192.0.2.1:80"), address("192.0.2.2:80")]);
}

#[test]
fn why_a_server_is_up_is_what_is_known() {
    let mut bench = Bench::new(virtual_server(vec![real(1, 1), real(2, 1)]));
    bench.down(1).down(2);
    bench.events.clear();
    bench.director.take_first_news();
    let unchecked = RealServer { checkers: Vec::new(), ..real(1, 1) };
    bench.director.reload(plan(virtual_server(vec![unchecked, real(2, 1)])), &mut bench.events);
    let said: Vec<String> = bench.events.iter().map(Event::to_string).collect();
    assert_eq!(said[0], "web: real server 192.0.2.1:80 is up: nothing checks it");
    bench.events.clear();
    let mut new = plan(virtual_server(vec![real(3, 1)]));
    new.init_notifies = true;
    bench.director.reload(new, &mut bench.events);
    let said = bench.director.take_first_news()[0].to_string();
    assert_eq!(
        said,
        "web: real server 192.0.2.3:80 is up: no check of it has failed, and not all have spoken yet"
    );
}
