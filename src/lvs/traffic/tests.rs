//! Traffic by hand by example: what is ordered, what the table becomes, what is refused.

use super::orders::{Decided, Order, decide};
use super::*;
use crate::lvs::director::Director;
use crate::lvs::table::{Destination, Service, ServiceSettings, Table};
use crate::net::TransportProtocol;
use crate::plan::check::{CheckKind, CheckerPlan, Question, Schedule, Target, WeightChange};
use crate::plan::lvs::{ForwardingMethod, LvsPlan, SorryServer};
use std::time::Duration;

mod groups;

const NOW: Wall = Wall(1_000_000);

fn endpoint(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 80))
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: [192, 0, 2, 1].into(), port }
}

fn check(n: u8) -> CheckerPlan {
    let second = Duration::from_secs(1);
    let schedule =
        Schedule { connect_timeout: second, delay_before_retry: second, ..Schedule::every(second) };
    CheckerPlan::new(CheckKind::Tcp, Target::new(endpoint(n)), schedule, false)
}

fn question(n: u8) -> Question {
    (*check(n).question).clone()
}

fn real(n: u8, weight: u32, set: Option<&str>) -> RealServer {
    RealServer {
        endpoint: endpoint(n),
        weight,
        forwarding: ForwardingMethod::Masquerade,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        checkers: vec![check(n)],
        set: set.map(Box::from),
        slow_start: Duration::ZERO,
    }
}

/// `192.0.2.1 PORT`.
fn web(port: u16, real_servers: Vec<RealServer>) -> VirtualServer {
    let name = format!("192.0.2.1 {port}");
    VirtualServer { scheduler: "wrr".into(), ..VirtualServer::new(name, vec![key(port)], real_servers) }
}

fn plan(virtual_servers: Vec<VirtualServer>) -> LvsPlan {
    LvsPlan { virtual_servers, ..LvsPlan::default() }
}

fn director(virtual_servers: Vec<VirtualServer>) -> Director {
    Director::start(plan(virtual_servers), &Table::default(), &mut Vec::new())
}

/// Two services, three servers of weights 1, 2, 3 at each.
fn two() -> Director {
    let servers = || vec![real(1, 1, None), real(2, 2, None), real(3, 3, None)];
    director(vec![web(80, servers()), web(443, servers())])
}

fn drain(server: &str) -> Order {
    Order::Drain { server: server.into(), virtual_server: None, until: None, force: false }
}

fn weigh(server: &str, weight: u32, ramp_ms: u64) -> Order {
    let (virtual_server, server) = ("192.0.2.1:80".into(), server.into());
    Order::Weight { virtual_server, server, weight: Some(weight), ramp_ms, until: None, force: false }
}

fn switch(set: Option<&str>) -> Order {
    let (virtual_server, set) = ("192.0.2.1 80".into(), set.map(String::from));
    Order::Switch { virtual_server, set, until: None, force: false }
}

fn obey(director: &mut Director, order: &Order) -> Decided {
    let decided = decide(director, order, NOW).expect("the order makes sense");
    director.set_traffic(Traffic::new(decided.overrides.clone(), NOW), &mut Vec::new());
    decided
}

/// Last octet and weight of the destinations of a service.
fn weights(director: &Director, port: u16) -> Vec<(u8, u32)> {
    let last = |endpoint: &SocketAddr| match endpoint.ip() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    };
    let service = &director.desired().services[&key(port)];
    service.destinations.iter().map(|(endpoint, have)| (last(endpoint), have.weight)).collect()
}

#[test]
fn a_drained_server_has_weight_0_everywhere_until_it_is_undrained() {
    let mut director = two();
    let decided = obey(&mut director, &drain("10.0.0.2:80"));
    assert_eq!(decided.said, ["10.0.0.2:80 is drained at 2 virtual servers: no new connections"]);
    assert_eq!(decided.touched.len(), 2);
    for port in [80, 443] {
        assert_eq!(weights(&director, port), [(1, 1), (2, 0), (3, 3)]);
    }
    assert_eq!(director.take_changed().len(), 2);
    // Of the whole host, and only once in the list.
    obey(&mut director, &drain("10.0.0.2"));
    assert_eq!(director.traffic().overrides().0.len(), 2);
    let undrain = Order::Undrain { server: "10.0.0.2".into(), virtual_server: None };
    obey(&mut director, &undrain);
    assert_eq!(weights(&director, 80), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(
        decide(&director, &undrain, NOW).expect_err("it is not drained"),
        "10.0.0.2 is not drained, nor is any other server"
    );
}

#[test]
fn a_drain_at_one_virtual_server_leaves_the_other_alone() {
    let mut director = two();
    let at = |word: &str| Some(word.to_owned());
    let order = Order::Drain {
        server: "10.0.0.1".into(),
        virtual_server: at("tcp 192.0.2.1:443"),
        until: None,
        force: false,
    };
    obey(&mut director, &order);
    assert_eq!(weights(&director, 80), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(weights(&director, 443), [(1, 0), (2, 2), (3, 3)]);
    obey(&mut director, &drain("10.0.0.1"));
    let undrain = Order::Undrain { server: "10.0.0.1".into(), virtual_server: at("192.0.2.1:443") };
    obey(&mut director, &undrain);
    let refused = decide(&director, &undrain, NOW).expect_err("the other drain is of all");
    assert_eq!(refused, "10.0.0.1 is drained at all virtual servers: undrain it without --vs");
}

#[test]
fn a_drained_server_that_fails_leaves_the_table_and_comes_back_drained() {
    let mut director = two();
    obey(&mut director, &drain("10.0.0.2:80"));
    director.verdict(&question(2), Err("refused".into()), &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 1), (3, 3)]);
    director.verdict(&question(2), Ok(()), &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 1), (2, 0), (3, 3)]);
}

#[test]
fn an_inhibited_server_stays_with_weight_0_drained_or_not() {
    let inhibited = RealServer { inhibit_on_failure: true, ..real(2, 2, None) };
    let mut director = director(vec![web(80, vec![real(1, 1, None), inhibited])]);
    director.verdict(&question(2), Err("refused".into()), &mut Vec::new());
    obey(&mut director, &weigh("10.0.0.2:80", 9, 0));
    assert_eq!(weights(&director, 80), [(1, 1), (2, 0)], "nobody is put into service by hand");
    director.verdict(&question(2), Ok(()), &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 1), (2, 9)]);
}

#[test]
fn what_is_said_by_hand_survives_a_reload_and_a_restart() {
    let mut director = two();
    obey(&mut director, &drain("10.0.0.2:80"));
    obey(&mut director, &weigh("10.0.0.3:80", 7, 0));
    let servers = || vec![real(1, 5, None), real(2, 5, None), real(3, 5, None), real(4, 5, None)];
    director.reload(plan(vec![web(80, servers())]), &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 5), (2, 0), (3, 7), (4, 5)]);
    // Another process finds the table that this one left, and what was said.
    let observed = director.desired().clone();
    let traffic = Traffic::new(director.traffic().overrides().clone(), NOW);
    let mut again = Director::start_with(plan(vec![web(80, servers())]), &observed, traffic, &mut Vec::new());
    assert_eq!(weights(&again, 80), [(1, 5), (2, 0), (3, 7), (4, 5)]);
    obey(&mut again, &Order::Drop(Vec::new()));
    assert_eq!(weights(&again, 80), [(1, 5), (2, 5), (3, 5), (4, 5)]);
}

#[test]
fn a_weight_of_0_that_nobody_gave_still_waits_for_its_checks() {
    let one = Destination {
        forwarding: ForwardingMethod::Masquerade,
        weight: 0,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    let two = Destination { weight: 2, ..one };
    let settings = ServiceSettings {
        scheduler: "wrr".into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
    };
    let destinations = [(endpoint(1), one), (endpoint(2), two)].into();
    let observed = Table { services: [(key(80), Service { settings, destinations }.into())].into() };
    let inhibited = RealServer { inhibit_on_failure: true, ..real(1, 1, None) };
    let plan = plan(vec![web(80, vec![inhibited, real(2, 2, None)])]);
    let director = Director::start(plan, &observed, &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 0), (2, 2)]);
}

#[test]
fn the_hand_is_stronger_than_what_checks_say_of_weights() {
    let mut director = two();
    obey(&mut director, &weigh("10.0.0.1:80", 9, 0));
    director.weigh(&question(1), WeightChange::By(50), &mut Vec::new());
    assert_eq!(weights(&director, 80)[0], (1, 9));
    assert_eq!(weights(&director, 443)[0], (1, 51), "only where it was given");
    let back = Order::Weight {
        virtual_server: "192.0.2.1 80".into(),
        server: "10.0.0.1".into(),
        weight: None,
        ramp_ms: 0,
        until: None,
        force: false,
    };
    obey(&mut director, &back);
    assert_eq!(weights(&director, 80)[0], (1, 51));
    assert!(decide(&director, &back, NOW).is_err());
}

#[test]
fn a_ramp_goes_straight_in_steps_and_ends_where_it_was_told_to() {
    let mut director = two();
    let decided = obey(&mut director, &weigh("10.0.0.1", 101, 100_000));
    assert_eq!(decided.said, ["10.0.0.1:80 at 192.0.2.1 80: weight 1, on its way to 101"]);
    let mut seen = Vec::new();
    while let Some(due) = director.traffic().next_change() {
        let traffic = director.traffic().at(due);
        director.set_traffic(traffic, &mut Vec::new());
        seen.push(weights(&director, 80)[0].1);
    }
    assert_eq!(seen, (2..=101).collect::<Vec<u32>>());
    let far = Ramp { from: 100, begun: NOW, lasts_ms: 10 };
    assert_eq!([0, 5, 10, 11].map(|ms| far.at(0, Wall(NOW.0 + ms))), [100, 50, 0, 0]);
    assert_eq!(far.at(0, Wall(0)), 100, "a clock that was set back");
    assert_eq!(Ramp { from: 0, begun: Wall(0), lasts_ms: 0 }.at(u32::MAX, Wall(5)), 0);
}

#[test]
fn an_override_ends_when_it_was_told_to() {
    let mut director = two();
    let order = Order::Drain {
        server: "10.0.0.1:80".into(),
        virtual_server: None,
        until: Some(Wall(NOW.0 + 60_000)),
        force: false,
    };
    obey(&mut director, &drain("10.0.0.1:80"));
    let warned = "10.0.0.1:80 was drained without an end; now it is drained until the end given";
    assert_eq!(obey(&mut director, &order).warnings, [warned]);
    assert_eq!(obey(&mut director, &order).warnings, [""; 0]);
    assert_eq!(director.traffic().next_change(), Some(Wall(NOW.0 + 60_000)));
    let before = director.traffic().at(Wall(NOW.0 + 59_999));
    assert_eq!(before.overrides().0.len(), 1);
    let after = director.traffic().at(Wall(NOW.0 + 60_000));
    director.set_traffic(after, &mut Vec::new());
    assert_eq!(weights(&director, 80)[0], (1, 1));
    assert_eq!(director.traffic().overrides().0, []);
    let past =
        Order::Drain { server: "10.0.0.1".into(), virtual_server: None, until: Some(NOW), force: false };
    assert_eq!(decide(&director, &past, NOW).expect_err("past"), "its end is in the past");
}

fn colours(active_set: Option<&str>) -> Vec<VirtualServer> {
    let servers = vec![
        real(1, 1, Some("blue")),
        real(2, 1, Some("blue")),
        real(3, 1, Some("green")),
        real(4, 1, Some("green")),
        real(5, 1, None),
    ];
    let active_set = active_set.map(String::from);
    vec![VirtualServer { active_set, quorum: 2, ..web(80, servers) }]
}

#[test]
fn a_switch_changes_a_whole_set_in_one_batch() {
    let mut director = director(colours(Some("blue")));
    assert_eq!(weights(&director, 80), [(1, 1), (2, 1), (3, 0), (4, 0), (5, 1)]);
    director.take_changed();
    let decided = obey(&mut director, &switch(Some("green")));
    assert_eq!(
        decided.said,
        ["192.0.2.1 80: set green serves, 2 servers; the others take no new connections"]
    );
    assert_eq!(director.take_changed().len(), 1);
    assert_eq!(weights(&director, 80), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]);
    // A weight for a server whose set rests counts when the set is in use.
    let decided = obey(&mut director, &weigh("10.0.0.1", 8, 0));
    assert_eq!(decided.warnings, ["the set of 10.0.0.1:80 is not in use: the weight counts when it is"]);
    assert_eq!(weights(&director, 80)[0], (1, 0));
    obey(&mut director, &switch(None));
    assert_eq!(weights(&director, 80), [(1, 8), (2, 1), (3, 0), (4, 0), (5, 1)]);
}

#[test]
fn a_set_that_a_reload_takes_away_takes_no_server_out() {
    let mut director = director(colours(None));
    obey(&mut director, &switch(Some("green")));
    let renamed = vec![web(80, vec![real(1, 1, Some("red")), real(2, 1, None)])];
    director.reload(plan(renamed), &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 1), (2, 1)]);
}

#[test]
fn a_quorum_is_lost_by_hand_only_if_that_is_meant() {
    let mut director = director(colours(None));
    for n in [3, 4, 5] {
        director.verdict(&question(n), Err("refused".into()), &mut Vec::new());
    }
    let refused = decide(&director, &switch(Some("green")), NOW).expect_err("green is down");
    assert_eq!(
        refused,
        "192.0.2.1 80 loses its quorum: live weight 0, at least 2 needed; nobody takes new connections. Nothing is \
         changed; --force does it in spite of that"
    );
    let Order::Switch { virtual_server, set, until, .. } = switch(Some("green")) else { unreachable!() };
    let decided = obey(&mut director, &Order::Switch { virtual_server, set, until, force: true });
    assert_eq!(decided.warnings.len(), 2, "{:?}", decided.warnings);
    assert!(!director.quorum_up(0));
    assert_eq!(weights(&director, 80), [(1, 0), (2, 0)]);
    // What is lost already is nobody's loss by hand.
    decide(&director, &drain("10.0.0.1"), NOW).expect("there is no quorum to lose");
}

#[test]
fn a_refusal_names_every_virtual_server_that_loses_its_quorum() {
    let ports: Vec<u16> = (80..105).collect();
    let one = |port: &u16| web(*port, vec![real(1, 1, None)]);
    let two = decide(&director(ports[..2].iter().map(one).collect()), &drain("10.0.0.1"), NOW);
    assert_eq!(
        two.expect_err("nobody is left"),
        "192.0.2.1 80 loses its quorum: live weight 0, at least 1 needed; nobody takes new connections. \
         192.0.2.1 81 loses its quorum: live weight 0, at least 1 needed; nobody takes new connections. \
         Nothing is changed; --force does it in spite of that"
    );
    let all = decide(&director(ports.iter().map(one).collect()), &drain("10.0.0.1"), NOW);
    let all = all.expect_err("nobody is left");
    assert_eq!(all.matches("loses its quorum").count(), 20);
    assert!(all.contains(". So do 5 more virtual servers. Nothing is changed"), "{all}");
}

#[test]
fn a_ramp_arrives_before_its_end() {
    let mut director = two();
    let ramp = |until: u64| match weigh("10.0.0.1", 9, 10_000) {
        Order::Weight { virtual_server, server, weight, ramp_ms, force, .. } => {
            let until = Some(Wall(NOW.0 + until));
            Order::Weight { virtual_server, server, weight, ramp_ms, until, force }
        }
        other => other,
    };
    let refused = decide(&director, &ramp(3000), NOW).expect_err("it would never get there");
    assert_eq!(refused, "its end comes before the ramp has arrived: give it a later --until");
    obey(&mut director, &ramp(10_000));
}

#[test]
fn drained_servers_keep_their_connections_when_the_sorry_server_serves() {
    let sorry = endpoint(99);
    let mut server = web(80, vec![real(1, 1, None), real(2, 1, None)]);
    server.sorry_server =
        Some(SorryServer { endpoint: sorry, forwarding: ForwardingMethod::Masquerade, inhibit: false });
    let mut director = director(vec![server]);
    obey(&mut director, &drain("10.0.0.1"));
    let forced = Order::Drain { server: "10.0.0.2".into(), virtual_server: None, until: None, force: true };
    let decided = obey(&mut director, &forced);
    assert_eq!(
        decided.warnings,
        [
            "192.0.2.1 80 loses its quorum: live weight 0, at least 1 needed; the sorry server 10.0.0.99:80 serves"
        ]
    );
    assert_eq!(weights(&director, 80), [(1, 0), (2, 0), (99, 1)]);
    director.verdict(&question(2), Err("refused".into()), &mut Vec::new());
    assert_eq!(weights(&director, 80), [(1, 0), (99, 1)]);
}

#[test]
fn names_that_fit_nothing_get_a_hint() {
    let director = two();
    let refusal = |order: &Order| decide(&director, order, NOW).expect_err("it names nothing");
    assert_eq!(
        refusal(&drain("10.0.0.4:80")),
        "no virtual server has a real server 10.0.0.4:80: did you mean 10.0.0.1:80?"
    );
    assert_eq!(
        refusal(&drain("172.16.9.9:8080")),
        "no virtual server has a real server 172.16.9.9:8080 (there are: 10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80)"
    );
    assert_eq!(
        refusal(&drain("web1")),
        "web1 is no real server: write ADDRESS:PORT, or ADDRESS for all its ports"
    );
    let at = |word: &str| {
        let (server, word) = ("10.0.0.1".to_owned(), word.to_owned());
        Order::Drain { server, virtual_server: Some(word), until: None, force: false }
    };
    assert_eq!(
        refusal(&at("192.0.2.1:81")),
        "there is no virtual server 192.0.2.1:81: did you mean 192.0.2.1:80?"
    );
    assert_eq!(refusal(&at("192.0.2.1")), "192.0.2.1 may be any of 192.0.2.1 80, 192.0.2.1 443");
    assert!(refusal(&switch(Some("green"))).starts_with("192.0.2.1 80 has no sets: "));
    assert_eq!(refusal(&Order::Drop(vec![3])), "there is no override 3; nothing is dropped");
}

#[test]
fn virtual_servers_are_found_by_every_name_they_have() {
    let mut group = web(80, vec![real(1, 1, None)]);
    (group.name, group.group) = ("group shop".into(), Some("shop".into()));
    group.keys = vec![key(8080), ServiceKey::FwMark { family: crate::net::AddressFamily::V4, mark: 7 }];
    let plan = plan(vec![web(80, vec![real(1, 1, None)]), group]);
    for (word, index) in [
        ("192.0.2.1 80", 0),
        ("192.0.2.1:80", 0),
        ("TCP 192.0.2.1:80", 0),
        ("tcp  192.0.2.1 80", 0),
        ("group shop", 1),
        ("shop", 1),
        ("fwmark 7", 1),
        ("7", 1),
        ("192.0.2.1:8080", 1),
    ] {
        assert_eq!(resolve::virtual_server(&plan, word), Ok(index), "{word}");
    }
    for word in ["udp 192.0.2.1:80", "", "fwmark", "8", "shoq"] {
        assert!(resolve::virtual_server(&plan, word).is_err(), "{word}");
    }
    assert_eq!(
        resolve::server_name("[2001:db8::1]:80").map(|name| name.to_string()),
        Ok("[2001:db8::1]:80".to_owned())
    );
    assert_eq!(resolve::server_name("2001:db8::1").map(|name| name.port), Ok(None));
}

/// `fwmark 5` for IPv4, the same for IPv6, and an address and port for TCP and UDP.
fn twins() -> LvsPlan {
    let named = |name: &str, key, servers: &[u8]| {
        let servers = servers.iter().map(|n| real(*n, 5, None)).collect();
        VirtualServer::new(name.into(), vec![key], servers)
    };
    let mark = |family| ServiceKey::FwMark { family, mark: 5 };
    let udp =
        ServiceKey::Endpoint { protocol: TransportProtocol::Udp, address: [192, 0, 2, 1].into(), port: 53 };
    plan(vec![
        named("fwmark 5 IPv4", mark(crate::net::AddressFamily::V4), &[1, 2]),
        named("fwmark 5 IPv6", mark(crate::net::AddressFamily::V6), &[2, 3]),
        named("tcp 192.0.2.1 53", key(53), &[1, 2]),
        named("udp 192.0.2.1 53", udp, &[2, 3]),
    ])
}

#[test]
fn each_of_two_virtual_servers_of_one_name_can_be_named() {
    let plan = twins();
    for (index, server) in plan.virtual_servers.iter().enumerate() {
        let name = &server.name;
        assert_eq!(resolve::virtual_server(&plan, name), Ok(index), "{name}");
        let listed = server.keys[0].to_string();
        assert_eq!(resolve::virtual_server(&plan, &listed), Ok(index), "{listed}");
    }
    for (word, server, index) in [
        ("fwmark 5", None, 0),
        ("5", None, 0),
        ("FWM 5 IPv4", None, 0),
        ("FWM 5 IPv6", None, 1),
        ("fwmark 5", Some("10.0.0.2"), 0),
        ("fwmark 5", Some("10.0.0.3"), 1),
        ("192.0.2.1 53", Some("10.0.0.1"), 2),
        ("192.0.2.1:53", Some("10.0.0.3"), 3),
    ] {
        assert_eq!(resolve::virtual_server_with(&plan, word, server), Ok(index), "{word} {server:?}");
    }
    let unclear = "192.0.2.1 53 may be any of tcp 192.0.2.1 53, udp 192.0.2.1 53";
    for server in [None, Some("10.0.0.2"), Some("10.0.0.9")] {
        assert_eq!(resolve::virtual_server_with(&plan, "192.0.2.1 53", server), Err(unclear.to_owned()));
    }
    assert_eq!(
        resolve::virtual_server(&plan, "none"),
        Err("there is no virtual server none (there are: fwmark 5 IPv4, fwmark 5 IPv6, tcp 192.0.2.1 53, \
             udp 192.0.2.1 53)"
            .to_owned())
    );
}

#[test]
fn numbers_name_overrides_and_the_list_has_an_end() {
    let mut director = two();
    obey(&mut director, &drain("10.0.0.1"));
    obey(&mut director, &weigh("10.0.0.2", 4, 0));
    obey(&mut director, &Order::Drop(vec![1]));
    obey(&mut director, &drain("10.0.0.3"));
    let numbers: Vec<u32> = director.traffic().overrides().0.iter().map(|over| over.number).collect();
    assert_eq!(numbers, [2, 1]);
    let hand =
        Hand::Drain { service: None, server: ServerName { address: [10, 9, 9, 9].into(), port: None } };
    let one = |number| Override { number, hand: hand.clone(), given: NOW, until: None, group: None };
    let full = Overrides((1..=MAX_OVERRIDES as u32).map(one).collect());
    director.set_traffic(Traffic::new(full, NOW), &mut Vec::new());
    assert!(decide(&director, &drain("10.0.0.1"), NOW).is_err());
}

#[test]
fn overrides_are_the_same_after_a_way_through_text() {
    let mut director = director(colours(Some("blue")));
    obey(&mut director, &drain("10.0.0.1"));
    obey(&mut director, &weigh("10.0.0.2", 4, 1000));
    obey(&mut director, &switch(Some("green")));
    let overrides = director.traffic().overrides();
    let text = serde_json::to_string(overrides).expect("text");
    assert_eq!(&serde_json::from_str::<Overrides>(&text).expect("read"), overrides);
}
