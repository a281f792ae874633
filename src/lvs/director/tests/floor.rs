//! `min_alive` and `slow_start`.

use super::*;
use crate::lvs::traffic::{Hand, Override, Overrides, ServerName, Wall};

fn weights(bench: &Bench) -> Vec<(u8, u32)> {
    let service = &bench.director.desired().services[&key()];
    let number = |endpoint: &SocketAddr| match endpoint.ip() {
        std::net::IpAddr::V4(v4) => v4.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    };
    service.destinations.iter().map(|(endpoint, have)| (number(endpoint), have.weight)).collect()
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

/// What is said by hand from now on, of real servers of the one service.
fn by_hand(bench: &mut Bench, hands: &[Hand]) {
    let said = (1..).zip(hands).map(|(number, hand)| Override {
        number,
        hand: hand.clone(),
        given: Wall(0),
        until: None,
        group: None,
    });
    let traffic = Traffic::new(Overrides(said.collect()), Wall(0));
    bench.director.set_traffic(traffic, &mut bench.events);
}

fn drain(n: u8) -> Hand {
    Hand::Drain { service: None, server: ServerName { address: [192, 0, 2, n].into(), port: None } }
}

fn weigh(n: u8, weight: u32) -> Hand {
    let endpoint = address(&format!("192.0.2.{n}:80"));
    Hand::Weight { service: key(), endpoint, weight, ramp: None }
}

#[test]
fn a_floor_keeps_the_servers_that_fail_last() {
    let server = VirtualServer {
        min_alive: 2,
        sorry_server: sorry(false),
        ..virtual_server(vec![real(1, 1), real(2, 1), real(3, 1)])
    };
    let mut bench = Bench::new(server);
    bench.down(2);
    assert_eq!(weights(&bench), [(1, 1), (3, 1)], "two are left: the floor is not touched");
    bench.down(3);
    assert_eq!(weights(&bench), [(1, 1), (3, 1)]);
    assert!(bench.director.is_kept(0, 2) && !bench.director.is_kept(0, 1));
    bench.down(1);
    assert_eq!(weights(&bench), [(1, 1), (3, 1)], "neither the table nor the quorum moves");
    assert!(!bench.director.server_up(0, 0) && bench.director.quorum_up(0));
    bench.up(2);
    assert_eq!(weights(&bench), [(1, 1), (2, 1)], "one that works takes the place of one that does not");
    bench.up(1).up(3);
    assert_eq!(weights(&bench), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(
        told(std::mem::take(&mut bench.events)),
        "-192.0.2.2 -192.0.2.3 F1 -192.0.2.1 F2 +192.0.2.2 F1 +192.0.2.1 F0 +192.0.2.3"
    );
}

#[test]
fn a_floor_puts_nobody_into_service_that_was_out_of_it() {
    let server = VirtualServer { min_alive: 1, ..virtual_server(vec![real(1, 1), real(2, 1)]) };
    let mut bench = Bench::on(server, &kernel(&[(1, 1)]));
    bench.down(2).down(1);
    assert_eq!(weights(&bench), [(1, 1)]);
    let without = VirtualServer { min_alive: 0, ..virtual_server(vec![real(1, 1), real(2, 1)]) };
    bench.reload(without);
    assert_eq!(weights(&bench), [], "a reload takes the floor away");
}

#[test]
fn the_weight_of_a_server_that_is_back_grows() {
    let slow = RealServer { slow_start: Duration::from_secs(40), ..real(1, 100) };
    let mut bench = Bench::new(virtual_server(vec![slow, real(2, 100)]));
    bench.director.advance(at(10));
    bench.up(1);
    assert_eq!(weights(&bench), [(1, 100), (2, 100)], "it was never away");
    assert_eq!(bench.director.next_timeout(), None);
    bench.down(1).down(2);
    bench.director.advance(at(50));
    bench.up(1).up(2);
    assert_eq!(weights(&bench), [(1, 5), (2, 100)], "only the one that is configured so");
    assert_eq!(bench.director.live_weight(0), 200, "a quorum counts it whole");
    assert_eq!((bench.director.grows_to(0, 0), bench.director.grows_to(0, 1)), (Some(100), None));
    bench.director.take_changed();
    assert_eq!(bench.director.next_timeout(), Some(at(52)));
    bench.director.advance(at(51));
    assert!(bench.director.take_changed().is_empty());
    bench.director.advance(at(70));
    assert_eq!((weights(&bench)[0], bench.director.take_changed().len()), ((1, 55), 1));
    let mut steps = 0;
    while let Some(next) = bench.director.next_timeout() {
        bench.director.advance(next);
        steps += 1;
        assert!(steps < 100, "it ends");
    }
    assert_eq!(weights(&bench), [(1, 100), (2, 100)]);
}

#[test]
fn a_server_that_falls_while_it_grows_begins_anew() {
    let slow = RealServer { slow_start: Duration::from_secs(40), ..real(1, 100) };
    let mut bench = Bench::new(virtual_server(vec![slow, real(2, 1)]));
    bench.down(1);
    bench.director.advance(at(0));
    bench.up(1);
    bench.director.advance(at(20));
    bench.down(1);
    bench.director.advance(at(30));
    assert_eq!(bench.director.next_timeout(), None);
    bench.up(1);
    assert_eq!(weights(&bench), [(1, 5), (2, 1)]);
}

#[test]
fn a_restart_lets_what_is_half_grown_grow_on() {
    let slow = |n| RealServer { slow_start: Duration::from_secs(40), ..real(n, 100) };
    let server = virtual_server(vec![slow(1), slow(2), slow(3), real(4, 100), slow(5)]);
    let observed = kernel(&[(1, 25), (2, 100), (4, 25), (5, 25)]);
    let mut bench = Bench::on(server, &observed);
    by_hand(&mut bench, &[weigh(5, 25)]);
    bench.director.go_on_growing(&observed, at(1000));
    assert_eq!(
        weights(&bench),
        [(1, 25), (2, 100), (4, 100), (5, 25)],
        "one grows on, one is grown up, one is down, one knows no growth, one is as somebody wants it"
    );
    assert_eq!(bench.director.next_timeout(), Some(Instant(at(1002).0 - 1)));
    bench.director.advance(at(1010));
    assert_eq!(weights(&bench)[0], (1, 50));
    bench.director.advance(at(1030));
    assert_eq!(weights(&bench)[0], (1, 100));
}

#[test]
fn a_weight_by_hand_is_stronger_than_growth() {
    let slow = RealServer { slow_start: Duration::from_secs(40), ..real(1, 100) };
    let mut bench = Bench::new(virtual_server(vec![slow, real(2, 1)]));
    bench.down(1).up(1);
    assert_eq!(weights(&bench), [(1, 5), (2, 1)]);
    assert_eq!(bench.director.weight(0, 0), 5, "what the kernel has");
    by_hand(&mut bench, &[weigh(1, 80)]);
    assert_eq!(weights(&bench), [(1, 80), (2, 1)]);
    bench.director.advance(at(10));
    assert_eq!(weights(&bench), [(1, 80), (2, 1)], "steps go by unseen");
    by_hand(&mut bench, &[drain(1)]);
    assert_eq!((weights(&bench), bench.director.live_weight(0)), (vec![(1, 0), (2, 1)], 1));
    by_hand(&mut bench, &[]);
    assert_eq!(weights(&bench), [(1, 30), (2, 1)], "taken back, it goes on where it would be");
}

#[test]
fn who_is_out_by_hand_neither_fills_a_floor_nor_stands_on_it() {
    let server = VirtualServer { min_alive: 1, ..virtual_server(vec![real(1, 1), real(2, 1), real(3, 1)]) };
    let mut bench = Bench::new(server);
    by_hand(&mut bench, &[drain(1)]);
    bench.down(2).down(3);
    assert_eq!(weights(&bench), [(1, 0), (3, 1)], "the drained one works and takes nobody");
    assert!(bench.director.is_kept(0, 2) && bench.director.quorum_up(0));
    let nothing = Traffic::default();
    assert_eq!(bench.director.live_weight_with(0, &nothing), 2, "orders are judged with the kept one");
    by_hand(&mut bench, &[drain(1), drain(3)]);
    assert_eq!(weights(&bench), [(1, 0)], "its checks fail, and it was taken out");
    assert!(!bench.director.quorum_up(0));
    by_hand(&mut bench, &[]);
    assert_eq!(weights(&bench), [(1, 1)]);
}
