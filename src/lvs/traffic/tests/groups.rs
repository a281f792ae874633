//! Virtual servers of groups: what names them stays when addresses and marks change.

use super::super::resolve::virtual_server;
use super::*;
use crate::net::AddressFamily;

fn at(protocol: TransportProtocol, last: u8) -> ServiceKey {
    ServiceKey::Endpoint { protocol, address: [192, 0, 2, last].into(), port: 80 }
}

/// `group NAME` for a protocol that others of this name have not, with these addresses, and servers 1 and 2 of weight 5.
fn of_group(name: &str, protocol: TransportProtocol, addresses: &[u8]) -> VirtualServer {
    let keys = addresses.iter().map(|last| at(protocol, *last)).collect();
    let server = VirtualServer::new(format!("group {name}"), keys, pair());
    let protocol = protocol.to_string().to_lowercase();
    VirtualServer { name: format!("{protocol} group {name}"), ..server }
}

/// Servers 1 and 2 of weight 5, of sets `a` and `b`.
fn pair() -> Vec<RealServer> {
    vec![real(1, 5, Some("a")), real(2, 5, Some("b"))]
}

/// The same behind a mark of ours.
fn marked(mark: u32, server: VirtualServer) -> VirtualServer {
    let ours = ServiceKey::FwMark { family: AddressFamily::V4, mark };
    VirtualServer { marked: server.keys, keys: vec![ours], ..server }
}

/// Weights of the destinations behind each service of virtual server number `index`; all alike.
fn weights_of(director: &Director, index: usize) -> Vec<u32> {
    let keys = &director.plan().virtual_servers[index].keys;
    let weights =
        |key| director.desired().services[key].destinations.values().map(|have| have.weight).collect();
    let first: Vec<u32> = weights(&keys[0]);
    assert!(keys.iter().all(|key| weights(key) == first), "the services of a group differ");
    first
}

fn orders(word: &str) -> [Order; 3] {
    let (at, until, force) = (word.to_owned(), None, false);
    [
        Order::Drain { server: "10.0.0.1".into(), virtual_server: Some(at.clone()), until, force },
        Order::Weight {
            virtual_server: at.clone(),
            server: "10.0.0.1".into(),
            weight: Some(9),
            ramp_ms: 0,
            until,
            force,
        },
        Order::Switch { virtual_server: at, set: Some("a".into()), until, force },
    ]
}

#[test]
fn what_was_said_of_a_group_holds_when_its_addresses_change() {
    use TransportProtocol::{Tcp, Udp};
    for (order, said) in orders("tcp group WEB").iter().zip([[0, 5], [9, 5], [5, 0]]) {
        let mut director = director(vec![of_group("WEB", Tcp, &[1, 2]), of_group("WEB", Udp, &[1, 2])]);
        let decided = obey(&mut director, order);
        assert!(decided.said[0].contains("tcp group WEB"), "{:?}", decided.said);
        // The address that was the first is now another group's.
        let after =
            vec![of_group("API", Tcp, &[1]), of_group("WEB", Tcp, &[2, 3]), of_group("WEB", Udp, &[2])];
        director.reload(plan(after), &mut Vec::new());
        let weights: Vec<_> = (0..3).map(|index| weights_of(&director, index)).collect();
        assert_eq!(weights, [vec![5, 5], said.to_vec(), vec![5, 5]], "{order:?}");
        let over = &director.traffic().overrides().0[0];
        let about: Vec<bool> =
            director.plan().virtual_servers.iter().map(|plan| over.is_about(plan)).collect();
        assert_eq!(about, [false, true, false]);
    }
}

#[test]
fn a_mark_that_goes_to_another_group_takes_nothing_with_it() {
    let group = |name, last| of_group(name, TransportProtocol::Tcp, &[last]);
    for (order, said) in orders("WEB").iter().zip([[0, 5], [9, 5], [5, 0]]) {
        let mut director = director(vec![marked(1000, group("WEB", 1))]);
        obey(&mut director, order);
        assert_eq!(weights_of(&director, 0), said);
        // A group that stands before it in the file has its mark now.
        let after = vec![marked(1000, group("NEW", 7)), marked(1001, group("WEB", 1))];
        director.reload(plan(after), &mut Vec::new());
        assert_eq!(
            (weights_of(&director, 0), weights_of(&director, 1)),
            (vec![5, 5], said.to_vec()),
            "{order:?}"
        );
    }
}

/// A quorum that was lost stays with its group, not with its mark.
#[test]
fn states_stay_with_the_group_when_marks_change() {
    let group = |name, last| VirtualServer {
        quorum: 2,
        hysteresis: 1,
        real_servers: vec![real(1, 1, None), real(2, 2, None)],
        ..of_group(name, TransportProtocol::Tcp, &[last])
    };
    let mut director = director(vec![marked(1000, group("WEB", 1))]);
    for n in [1, 2] {
        director.verdict(&question(n), Err("refused".into()), &mut Vec::new());
    }
    director.verdict(&question(1), Ok(()), &mut Vec::new());
    assert!(!director.quorum_up(0), "a weight of 1 is enough to keep a quorum, not to gain it");
    let mut events = Vec::new();
    let other = VirtualServer { real_servers: vec![real(8, 1, None), real(9, 2, None)], ..group("NEW", 7) };
    director.reload(plan(vec![marked(1000, other), marked(1001, group("WEB", 1))]), &mut events);
    assert_eq!((director.quorum_up(0), director.quorum_up(1), events), (true, false, vec![]));
}

#[test]
fn who_waits_knows_what_a_mark_of_ours_stands_for() {
    use TransportProtocol::{Tcp, Udp};
    let theirs = ServiceKey::FwMark { family: AddressFamily::V4, mark: 7 };
    let mut both = marked(1002, of_group("BOTH", Tcp, &[4]));
    both.keys.push(theirs);
    let bare = VirtualServer { keys: vec![theirs], ..of_group("BARE", Tcp, &[5]) };
    for (server, protocol) in [
        (marked(1000, of_group("WEB", Tcp, &[1])), Some(Tcp)),
        (marked(1001, of_group("DNS", Udp, &[2])), Some(Udp)),
        (both, None),
        (bare, None),
    ] {
        let decided = obey(&mut director(vec![server]), &drain("10.0.0.1"));
        assert_eq!(decided.touched.iter().map(|one| one.protocol).collect::<Vec<_>>(), [protocol]);
    }
}

/// Only of what goes away: a group that was there before has an order of its own, or none.
#[test]
fn what_was_said_of_a_group_follows_it_to_another_name() {
    use TransportProtocol::Tcp;
    for (order, said) in orders("group WEB").iter().zip([[0, 5], [9, 5], [5, 0]]) {
        for (after, follows) in [
            (vec![of_group("SHOP", Tcp, &[2, 3])], true),
            (vec![VirtualServer::new("192.0.2.2 80".into(), vec![at(Tcp, 2)], pair())], true),
            (vec![of_group("API", Tcp, &[2])], false),
            (vec![of_group("SHOP", Tcp, &[4])], false),
        ] {
            let mut director = director(vec![of_group("WEB", Tcp, &[1, 2]), of_group("API", Tcp, &[7])]);
            obey(&mut director, order);
            assert_eq!(director.reload(plan(after), &mut Vec::new()), follows);
            let wanted = if follows { said } else { [5, 5] };
            assert_eq!(weights_of(&director, 0), wanted, "{order:?}");
        }
    }
}

/// `group WEB` with `fwmark 22` and these services behind it.
fn with_mark(services: &[ServiceKey]) -> VirtualServer {
    let keys = [&[ServiceKey::FwMark { family: AddressFamily::V4, mark: 22 }], services].concat();
    VirtualServer::new("group WEB".into(), keys, pair())
}

#[test]
fn what_was_said_of_a_group_holds_when_it_gets_a_protocol_and_loses_it() {
    use TransportProtocol::{Tcp, Udp};
    for (order, said) in orders("group WEB").iter().zip([[0, 5], [9, 5], [5, 0]]) {
        let marks = || with_mark(&[]);
        let mut director = director(vec![with_mark(&[at(Tcp, 1)])]);
        obey(&mut director, order);
        assert_eq!(weights_of(&director, 0), said, "the mark stands first: {order:?}");
        for after in [marks(), with_mark(&[at(Tcp, 1)]), of_group("WEB", Tcp, &[2]), marks()] {
            director.reload(plan(vec![after]), &mut Vec::new());
            assert_eq!(weights_of(&director, 0), said, "{order:?} at {:?}", director.plan());
        }
        // One protocol is not the other, nor is one of two what marks were.
        let of = |protocol| of_group("WEB", protocol, &[1]);
        for (after, holds) in [
            (vec![of(Tcp), of(Udp)], [false, false]),
            (vec![marks()], [true, false]),
            (vec![of(Tcp)], [true, false]),
            (vec![of(Udp)], [false, false]),
            (vec![of(Udp), of(Tcp)], [false, true]),
        ] {
            director.reload(plan(after), &mut Vec::new());
            for (index, _) in director.plan().virtual_servers.iter().enumerate() {
                let wanted = if holds[index] { said } else { [5, 5] };
                assert_eq!(
                    weights_of(&director, index),
                    wanted,
                    "{order:?} {index} of {:?}",
                    director.plan()
                );
            }
        }
    }
}

/// Where something was said of both, each keeps its own.
#[test]
fn what_was_said_of_an_heir_before_is_not_overruled() {
    use TransportProtocol::{Tcp, Udp};
    let order = |at: &str, weight| Order::Weight {
        virtual_server: at.to_owned(),
        server: "10.0.0.1".into(),
        weight: Some(weight),
        ramp_ms: 0,
        until: None,
        force: false,
    };
    let mut director = director(vec![of_group("WEB", Tcp, &[1]), of_group("WEB", Udp, &[1])]);
    obey(&mut director, &order("tcp group WEB", 3));
    director.reload(plan(vec![with_mark(&[])]), &mut Vec::new());
    assert_eq!(weights_of(&director, 0), [5, 5], "it was one of two");
    obey(&mut director, &order("group WEB", 9));
    for (after, weight) in [(of_group("WEB", Tcp, &[1]), 3), (with_mark(&[]), 9)] {
        director.reload(plan(vec![after]), &mut Vec::new());
        assert_eq!(weights_of(&director, 0), [weight, 5]);
    }
}

#[test]
fn a_group_of_marks_for_both_families_has_two_virtual_servers() {
    let of_family = |name: &str, family| {
        let server = VirtualServer::new(
            format!("group WEB {name}"),
            vec![ServiceKey::FwMark { family, mark: 5 }],
            pair(),
        );
        VirtualServer { group: Some("WEB".to_owned()), ..server }
    };
    let both = || vec![of_family("IPv4", AddressFamily::V4), of_family("IPv6", AddressFamily::V6)];
    for (order, said) in orders("group WEB IPv6").iter().zip([[0, 5], [9, 5], [5, 0]]) {
        let mut director = director(both());
        obey(&mut director, order);
        for _ in 0..2 {
            assert_eq!(
                (weights_of(&director, 0), weights_of(&director, 1)),
                (vec![5, 5], said.to_vec()),
                "{order:?}"
            );
            director.reload(plan(both()), &mut Vec::new());
        }
    }
}

#[test]
fn a_group_is_named_by_protocol_by_address_and_by_mark() {
    use TransportProtocol::{Tcp, Udp};
    let plan = plan(vec![
        marked(1000, of_group("WEB", Tcp, &[1, 2])),
        marked(1001, of_group("WEB", Udp, &[1, 2])),
        of_group("API", Tcp, &[7]),
    ]);
    for (word, index) in [
        ("tcp group WEB", 0),
        ("UDP WEB", 1),
        ("tcp 192.0.2.2:80", 0),
        ("udp 192.0.2.1", 1),
        ("fwmark 1001", 1),
        ("FWM 1000", 0),
        ("group API", 2),
        ("192.0.2.7:80", 2),
        ("tcp API", 2),
    ] {
        assert_eq!(virtual_server(&plan, word), Ok(index), "{word}");
    }
    let ambiguous = "may be any of tcp group WEB, udp group WEB";
    for word in ["group WEB", "WEB", "192.0.2.1:80", "192.0.2.2"] {
        assert_eq!(virtual_server(&plan, word), Err(format!("{word} {ambiguous}")));
    }
    for word in ["udp API", "sctp group WEB", "FWM 1000 IPv6", "192.0.2.9:80"] {
        assert!(virtual_server(&plan, word).is_err(), "{word}");
    }
}
