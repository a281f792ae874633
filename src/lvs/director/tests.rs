//! Policy by example: who gets traffic after which verdicts.

use super::*;
use crate::net::TransportProtocol;
use crate::plan::check::{CheckKind, CheckerPlan, HttpCheck, HttpUrl, HttpVersion, Schedule, Target};
use crate::plan::lvs::{ForwardingMethod, SorryServer};
use std::sync::Arc;
use std::time::Duration;

mod floor;

const VIP: &str = "198.51.100.1:80";
const SORRY: &str = "192.0.2.99:80";

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().expect("test addresses parse")
}

pub(super) fn key() -> ServiceKey {
    let vip = address(VIP);
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: vip.ip(), port: vip.port() }
}

fn check(endpoint: &str) -> CheckerPlan {
    let schedule = Schedule::every(Duration::from_secs(6));
    CheckerPlan::new(CheckKind::Tcp, Target::new(address(endpoint)), schedule, false)
}

/// Real server number `n`: 192.0.2.n:80 with one TCP check.
pub(super) fn real(n: u8, weight: u32) -> RealServer {
    let endpoint = format!("192.0.2.{n}:80");
    RealServer {
        endpoint: address(&endpoint),
        weight,
        forwarding: ForwardingMethod::Masquerade,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        checkers: vec![check(&endpoint)],
        set: None,
        slow_start: Duration::ZERO,
    }
}

pub(super) fn virtual_server(real_servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer::new("web".into(), vec![key()], real_servers)
}

fn sorry(inhibit: bool) -> Option<SorryServer> {
    Some(SorryServer { endpoint: address(SORRY), forwarding: ForwardingMethod::Masquerade, inhibit })
}

pub(super) fn plan(server: VirtualServer) -> LvsPlan {
    LvsPlan { virtual_servers: vec![server], ..LvsPlan::default() }
}

/// A kernel table of the one service with these destinations (number, weight); 99 is the sorry server.
fn kernel(destinations: &[(u8, u32)]) -> Table {
    let server = virtual_server(vec![]);
    let destination = |weight| Destination {
        forwarding: ForwardingMethod::Masquerade,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    let destinations =
        destinations.iter().map(|&(n, weight)| (address(&format!("192.0.2.{n}:80")), destination(weight)));
    let service = Service { settings: settings(&server), destinations: destinations.collect() };
    Table { services: [(key(), service.into())].into() }
}

/// A director with the events it has reported.
pub(super) struct Bench {
    pub(super) director: Director,
    pub(super) events: Vec<Event>,
}

impl Bench {
    pub(super) fn new(server: VirtualServer) -> Bench {
        Bench::on(server, &Table::default())
    }

    pub(super) fn of(plan: LvsPlan) -> Bench {
        let mut events = Vec::new();
        let director = Director::start(plan, &Table::default(), &mut events);
        Bench { director, events }
    }

    fn on(server: VirtualServer, observed: &Table) -> Bench {
        let mut events = Vec::new();
        let director = Director::start(plan(server), observed, &mut events);
        Bench { director, events }
    }

    fn up(&mut self, n: u8) -> &mut Bench {
        let question = check(&format!("192.0.2.{n}:80")).question;
        self.director.verdict(&question, Ok(()), &mut self.events);
        self
    }

    pub(super) fn down(&mut self, n: u8) -> &mut Bench {
        let question = check(&format!("192.0.2.{n}:80")).question;
        self.director.verdict(&question, Err("connection refused".into()), &mut self.events);
        self
    }

    fn reload(&mut self, server: VirtualServer) -> &mut Bench {
        self.director.reload(plan(server), &mut self.events);
        self
    }

    /// The destinations as `number:weight`.
    fn serving(&self) -> String {
        let service = &self.director.desired().services[&key()];
        let one = |(endpoint, destination): (&SocketAddr, &Destination)| {
            let name = endpoint.ip().to_string();
            format!("{}:{}", name.rsplit('.').next().expect("an IPv4 address"), destination.weight)
        };
        service.destinations.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events).iter().map(Event::to_string).collect()
    }
}

/// The process before this one had taken server 2 out and given server 1 another weight.
#[test]
fn verdicts_of_an_earlier_process_leave_the_table_as_it_is() {
    let server = virtual_server(vec![real(1, 10), real(2, 1)]);
    let observed = kernel(&[(1, 7)]);
    let (one, two) = (check("192.0.2.1:80").question, check("192.0.2.2:80").question);
    let mut forgetful = Bench::on(server.clone(), &observed);
    assert_ne!(forgetful.director.desired(), &observed, "without them the weight would be put back");
    let mut bench = Bench::on(server, &observed);
    let restored = bench.director.restore(|question| match question {
        question if *question == *one => Some((Ok(()), WeightChange::To(7))),
        question if *question == *two => Some((Err("refused".into()), WeightChange::By(0))),
        _ => None,
    });
    assert_eq!((restored, bench.director.desired()), (2, &observed));
    bench.up(2);
    assert_eq!(bench.serving(), "1:7 2:1");
    forgetful.down(2);
}

#[test]
fn servers_serve_until_a_check_fails_and_again_when_it_succeeds() {
    let mut bench = Bench::new(virtual_server(vec![real(1, 3), real(2, 5)]));
    assert_eq!(bench.serving(), "1:3 2:5");
    assert_eq!(bench.down(1).serving(), "2:5");
    assert_eq!(bench.up(1).serving(), "1:3 2:5");
    let said = [
        "web: real server 192.0.2.1:80 is down: TCP_CHECK of 192.0.2.1:80: connection refused",
        "web: real server 192.0.2.1:80 is up: all its checks succeed",
    ];
    assert_eq!(bench.said(), said);
}

#[test]
fn only_services_that_changed_are_named() {
    let mut bench = Bench::new(virtual_server(vec![real(1, 3), real(2, 5)]));
    assert_eq!(bench.director.take_changed(), [key()].into());
    bench.up(1);
    assert_eq!(bench.director.take_changed(), BTreeSet::new());
    bench.down(1);
    assert_eq!(bench.director.take_changed(), [key()].into());
}

#[test]
fn alpha_servers_wait_for_their_first_success() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.alpha = true;
    server.real_servers[0].checkers[0].alpha = true;
    server.real_servers[1].checkers[0].alpha = true;
    let mut bench = Bench::new(server);
    assert_eq!(bench.serving(), "");
    assert_eq!(bench.up(2).serving(), "2:1");
    assert_eq!(bench.up(1).serving(), "1:1 2:1");
    assert_eq!(bench.said()[1], "web: quorum gained: live weight 1, 1 wanted");
}

/// As keepalived: its first failure is told of, though nothing changes; that of a web check is not.
#[test]
fn the_first_failure_of_a_server_that_waits_is_told_once() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1), real(3, 1)]);
    for real in &mut server.real_servers {
        real.checkers[0].alpha = true;
    }
    let web = HttpCheck {
        version: HttpVersion::V1_0,
        urls: vec![HttpUrl::new("/")],
        tls: None,
        fast_recovery: false,
    };
    server.real_servers[2].checkers[0].manner_mut().kind = CheckKind::Http(web);
    let of_web = server.real_servers[2].checkers[0].question.clone();
    let mut bench = Bench::new(server);
    bench.said();
    bench.down(1);
    bench.director.verdict(&of_web, Err("status 503".into()), &mut bench.events);
    assert_eq!(
        bench.said(),
        ["web: real server 192.0.2.1:80 is down: TCP_CHECK of 192.0.2.1:80: connection refused"]
    );
    assert_eq!(bench.director.cause(0, 2), Some("HTTP_GET of 192.0.2.3:80: status 503"));
    bench.down(1).down(2).up(2);
    let said = bench.said();
    assert!(said[0].starts_with("web: real server 192.0.2.2:80 is down: "), "{said:?}");
    assert_eq!(said[1], "web: real server 192.0.2.2:80 is up: all its checks succeed");
    // One that an earlier run took out was told of then.
    let mut alpha = virtual_server(vec![real(1, 1), real(2, 1)]);
    alpha.real_servers[1].checkers[0].alpha = true;
    let mut adopted = Bench::on(alpha, &kernel(&[(1, 1)]));
    adopted.said();
    assert_eq!(adopted.down(2).said(), [""; 0]);
}

#[test]
fn inhibited_servers_stay_with_weight_zero() {
    let mut server = virtual_server(vec![real(1, 3), real(2, 5)]);
    server.real_servers[0].inhibit_on_failure = true;
    let mut bench = Bench::new(server);
    assert_eq!(bench.down(1).down(2).serving(), "1:0");
    assert_eq!(bench.up(1).serving(), "1:3");
}

#[test]
fn a_server_is_down_from_the_first_failed_check_to_the_last_recovery() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.real_servers[0].checkers.push(check("192.0.2.77:80"));
    let mut bench = Bench::new(server);
    assert_eq!(bench.up(1).up(77).down(77).serving(), "2:1");
    assert_eq!(bench.down(1).up(77).serving(), "2:1");
    assert_eq!(bench.up(1).serving(), "1:1 2:1");
}

#[test]
fn a_server_without_checks_is_always_up() {
    let mut server = virtual_server(vec![real(1, 1)]);
    server.real_servers[0].checkers.clear();
    assert_eq!(Bench::new(server.clone()).serving(), "1:1");
    assert_eq!(Bench::on(server, &kernel(&[(99, 1)])).serving(), "1:1");
}

#[test]
fn without_a_sorry_server_servers_come_and_go_one_by_one() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.quorum = 2;
    let mut bench = Bench::new(server);
    assert_eq!(bench.down(1).serving(), "2:1");
    assert!(!bench.director.quorum_up(0));
    let said = "web: quorum lost: live weight 1, at least 2 needed; the servers that are up go on serving";
    assert_eq!(bench.said()[1], said);
    assert_eq!(bench.down(2).serving(), "");
}

#[test]
fn the_sorry_server_takes_over_alone_and_hands_back_all_at_once() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1), real(3, 1)]);
    server.sorry_server = sorry(false);
    server.quorum = 2;
    let mut bench = Bench::new(server);
    assert_eq!(bench.serving(), "1:1 2:1 3:1");
    assert_eq!(bench.down(1).serving(), "2:1 3:1");
    assert_eq!(bench.down(2).serving(), "99:1");
    assert_eq!(bench.up(2).serving(), "2:1 3:1");
    let said = bench.said();
    assert_eq!(
        said[2],
        "web: quorum lost: live weight 1, at least 2 needed; sorry server 192.0.2.99:80 serves"
    );
    let gained = "web: quorum gained: live weight 2, 2 wanted; \
                  sorry server 192.0.2.99:80 rests, the real servers serve";
    assert_eq!(said[4], gained);
}

#[test]
fn hysteresis_widens_the_quorum_to_both_sides() {
    let mut server = virtual_server((1..=5).map(|n| real(n, 1)).collect());
    server.sorry_server = sorry(false);
    (server.quorum, server.hysteresis) = (3, 1);
    let mut bench = Bench::new(server);
    assert_eq!(bench.down(1).down(2).down(3).serving(), "4:1 5:1", "2 is still 3 - 1");
    assert_eq!(bench.down(4).serving(), "99:1");
    assert_eq!(bench.up(1).up(2).serving(), "99:1", "3 is below 3 + 1");
    assert_eq!(bench.up(3).serving(), "1:1 2:1 3:1 5:1");
}

#[test]
fn an_inhibited_sorry_server_waits_with_weight_zero() {
    let mut server = virtual_server(vec![real(1, 2)]);
    server.sorry_server = sorry(true);
    let mut bench = Bench::new(server);
    assert_eq!(bench.serving(), "1:2 99:0");
    assert_eq!(bench.down(1).serving(), "99:1");
}

#[test]
fn a_sorry_server_that_is_a_real_server_too_keeps_the_right_weight() {
    let mut server = virtual_server(vec![real(1, 2), real(2, 7)]);
    server.quorum = 8;
    server.sorry_server =
        Some(SorryServer { endpoint: address("192.0.2.2:80"), ..sorry(true).expect("some") });
    let mut bench = Bench::new(server);
    assert_eq!(bench.serving(), "1:2 2:7");
    assert_eq!(bench.down(1).serving(), "2:1");
    assert_eq!(bench.up(1).serving(), "1:2 2:7");
}

#[test]
fn live_servers_of_weight_zero_do_not_make_a_quorum() {
    let mut server = virtual_server(vec![real(1, 0), real(2, 1)]);
    server.sorry_server = sorry(false);
    let mut bench = Bench::new(server);
    assert_eq!(bench.serving(), "1:0 2:1");
    assert_eq!(bench.down(2).serving(), "99:1");
}

#[test]
fn a_restart_keeps_who_is_in_and_who_is_out() {
    let server = virtual_server(vec![real(1, 1), real(2, 1)]);
    let mut bench = Bench::on(server.clone(), &kernel(&[(1, 1)]));
    assert_eq!(bench.serving(), "1:1");
    assert_eq!(bench.said().len(), 1, "that 2 waits is said");
    assert_eq!(bench.up(1).serving(), "1:1");
    assert_eq!(bench.up(2).serving(), "1:1 2:1");
    let mut server = server;
    server.real_servers[1].inhibit_on_failure = true;
    let mut bench = Bench::on(server, &kernel(&[(1, 1), (2, 0)]));
    assert_eq!(bench.serving(), "1:1 2:0");
    assert_eq!(bench.down(1).serving(), "2:0");
}

#[test]
fn a_restart_keeps_the_sorry_server_until_the_quorum_is_proved() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.sorry_server = sorry(false);
    let mut bench = Bench::on(server, &kernel(&[(99, 1)]));
    assert_eq!(bench.serving(), "99:1");
    assert_eq!(bench.up(1).serving(), "1:1");
}

#[test]
fn a_restart_within_the_hysteresis_does_not_call_the_sorry_server() {
    let mut server = virtual_server((1..=4).map(|n| real(n, 1)).collect());
    (server.sorry_server, server.quorum, server.hysteresis, server.alpha) = (sorry(false), 3, 1, true);
    let bench = Bench::on(server, &kernel(&[(1, 1), (2, 1)]));
    assert_eq!(bench.serving(), "1:1 2:1", "2 is still 3 - 1");
}

#[test]
fn a_weight_of_zero_is_no_failure_where_those_who_fail_are_removed() {
    // A drain that has ended, a set that rested, another weight in the file.
    let server = virtual_server(vec![real(1, 1), real(2, 5)]);
    let mut bench = Bench::on(server, &kernel(&[(1, 1), (2, 0)]));
    assert_eq!(bench.serving(), "1:1 2:5");
    assert_eq!(bench.down(2).serving(), "1:1");
}

#[test]
fn nobody_waits_for_a_check_where_all_who_serve_have_no_weight_any_more() {
    let inhibited = |n, weight| RealServer { inhibit_on_failure: true, ..real(n, weight) };
    let mut server = virtual_server(vec![inhibited(1, 0), inhibited(2, 5), real(3, 5)]);
    let left = kernel(&[(1, 5), (2, 0)]);
    assert_eq!(Bench::on(server.clone(), &left).serving(), "1:0 2:5 3:5");
    // The sorry server's work is knowledge of all of them.
    server.sorry_server = sorry(false);
    let left = kernel(&[(1, 0), (2, 0), (99, 1)]);
    assert_eq!(Bench::on(server, &left).serving(), "1:0 2:0 99:1");
}

#[test]
fn a_service_in_which_nobody_serves_is_filled_as_if_it_were_new() {
    let server = virtual_server(vec![real(1, 1), real(2, 1)]);
    assert_eq!(Bench::on(server.clone(), &kernel(&[])).serving(), "1:1 2:1");
    assert_eq!(Bench::on(server, &kernel(&[(55, 1)])).serving(), "1:1 2:1");
}

#[test]
fn a_restart_keeps_alpha_servers_that_serve() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.real_servers[0].checkers[0].alpha = true;
    server.real_servers[1].checkers[0].alpha = true;
    let mut bench = Bench::on(server, &kernel(&[(1, 1), (2, 1)]));
    assert_eq!(bench.serving(), "1:1 2:1");
    assert_eq!(bench.down(2).serving(), "1:1");
}

#[test]
fn a_reload_keeps_verdicts_and_adds_new_servers_at_once() {
    let mut bench = Bench::new(virtual_server(vec![real(1, 1), real(2, 1)]));
    bench.down(1);
    assert_eq!(bench.reload(virtual_server(vec![real(1, 4), real(2, 4), real(3, 4)])).serving(), "2:4 3:4");
    let mut alpha = virtual_server(vec![real(1, 4), real(2, 4), real(4, 1)]);
    alpha.real_servers[2].checkers[0].alpha = true;
    assert_eq!(bench.reload(alpha).serving(), "2:4");
    assert_eq!(bench.up(1).up(4).serving(), "1:4 2:4 4:1");
}

#[test]
fn a_reload_that_changes_a_check_keeps_the_servers_state_until_the_new_check_speaks() {
    let mut bench = Bench::new(virtual_server(vec![real(1, 1), real(2, 1)]));
    bench.down(1);
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.real_servers[0].checkers = vec![check("192.0.2.101:80")];
    server.real_servers[1].checkers = vec![CheckerPlan { alpha: true, ..check("192.0.2.102:80") }];
    assert_eq!(bench.reload(server).serving(), "2:1");
    assert_eq!(bench.up(101).serving(), "1:1 2:1");
    assert_eq!(bench.down(102).serving(), "1:1");
}

#[test]
fn a_reload_of_an_equal_plan_says_and_changes_nothing() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.sorry_server = sorry(false);
    let mut bench = Bench::new(server.clone());
    bench.down(1).down(2);
    bench.director.take_changed();
    bench.said();
    bench.reload(server);
    assert_eq!((bench.director.take_changed(), bench.said()), (BTreeSet::new(), vec![]));
}

#[test]
fn a_service_that_leaves_the_plan_leaves_the_table() {
    let mut bench = Bench::new(virtual_server(vec![real(1, 1)]));
    bench.director.take_changed();
    bench.director.reload(LvsPlan::default(), &mut bench.events);
    assert_eq!(bench.director.desired(), &Table::default());
    assert_eq!(bench.director.take_changed(), [key()].into());
}

#[test]
fn a_new_quorum_takes_effect_at_the_reload() {
    let mut server = virtual_server(vec![real(1, 1), real(2, 1)]);
    server.sorry_server = sorry(false);
    let mut bench = Bench::new(server.clone());
    assert_eq!(bench.down(1).serving(), "2:1");
    server.quorum = 2;
    assert_eq!(bench.reload(server).serving(), "99:1");
}

#[test]
fn one_verdict_serves_every_virtual_server_that_asks_the_question() {
    let mut second = virtual_server(vec![real(1, 9), real(2, 9)]);
    second.name = "other".into();
    second.keys = vec![ServiceKey::FwMark { family: crate::net::AddressFamily::V4, mark: 7 }];
    let plan = LvsPlan {
        virtual_servers: vec![virtual_server(vec![real(1, 1), real(2, 1)]), second],
        ..LvsPlan::default()
    };
    let mut events = Vec::new();
    let director = Director::start(plan, &Table::default(), &mut events);
    let mut bench = Bench { director, events };
    bench.down(1);
    let sizes: Vec<usize> =
        bench.director.desired().services.values().map(|service| service.destinations.len()).collect();
    assert_eq!(sizes, [1, 1]);
}

/// What is told at start and at the end: `+` for up, `-` for down, `x` for gone, `Q` for the quorum, else the server.
pub(super) fn told(events: Vec<Event>) -> String {
    let one = |event: Event| match event {
        Event::ServerUp { endpoint, .. } => format!("+{}", endpoint.ip()),
        Event::ServerDown { endpoint, .. } => format!("-{}", endpoint.ip()),
        Event::ServerGone { endpoint, .. } => format!("x{}", endpoint.ip()),
        Event::ServiceGone { quorum_up: true, .. } => "xQ".to_owned(),
        Event::ServiceGone { .. } => "x".to_owned(),
        Event::ServerWaits { endpoint, .. } => format!("?{}", endpoint.ip()),
        Event::QuorumGained { .. } => "+Q".to_owned(),
        Event::QuorumLost { .. } => "-Q".to_owned(),
        Event::Floor { kept, .. } => format!("F{kept}"),
    };
    events.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

/// With `alpha` at the virtual server, so at its checks.
fn alpha(mut server: VirtualServer) -> VirtualServer {
    server.alpha = true;
    for checker in server.real_servers.iter_mut().flat_map(|real| &mut real.checkers) {
        checker.alpha = true;
    }
    server
}

fn with_sorry(server: VirtualServer) -> VirtualServer {
    VirtualServer { sorry_server: sorry(false), ..server }
}

/// What is told of a start, what follows from verdicts that are known before what is told although nothing changed.
fn told_at_start(server: VirtualServer, observed: &Table) -> String {
    let mut bench = Bench::on(server, observed);
    let first = bench.director.take_first_news();
    told(bench.events.into_iter().chain(first).collect())
}

#[test]
fn at_start_what_keepalived_tells_is_told() {
    let plain = || virtual_server(vec![real(1, 1)]);
    let unchecked = || {
        let mut server = plain();
        server.real_servers[0].checkers.clear();
        server
    };
    let weightless = || virtual_server(vec![real(1, 0)]);
    let empty = Table::default();
    for (server, wanted) in [
        (plain(), "+Q"),
        (with_sorry(plain()), "+Q"),
        (unchecked(), "+Q"),
        (alpha(unchecked()), "+Q"),
        (alpha(plain()), ""),
        (alpha(with_sorry(plain())), "-Q"),
        (weightless(), ""),
        (with_sorry(weightless()), "-Q"),
    ] {
        assert_eq!(told_at_start(server.clone(), &empty), wanted, "{server:?}");
    }
    let init = LvsPlan { init_notifies: true, ..plan(plain()) };
    assert_eq!(told(Director::start(init, &empty, &mut Vec::new()).take_first_news()), "+192.0.2.1 +Q");
}

#[test]
fn over_a_table_at_work_what_is_at_work_is_told() {
    let two = || virtual_server(vec![real(1, 1), real(2, 1)]);
    assert_eq!(told_at_start(two(), &kernel(&[(1, 1)])), "?192.0.2.2 +Q");
    assert_eq!(told_at_start(alpha(two()), &kernel(&[(1, 1)])), "?192.0.2.2 +192.0.2.1 +Q");
    assert_eq!(told_at_start(with_sorry(two()), &kernel(&[(99, 1)])), "?192.0.2.1 ?192.0.2.2 -Q");
    let quorum = VirtualServer { quorum: 2, ..two() };
    assert_eq!(told_at_start(quorum, &kernel(&[(1, 1)])), "?192.0.2.2 -Q", "it was told of as up");
}

/// As keepalived: nothing is met before it was met with its margin.
#[test]
fn a_new_quorum_wants_its_margin() {
    let server = |weight| {
        let servers = vec![real(1, 1), real(2, weight)];
        with_sorry(VirtualServer { quorum: 2, hysteresis: 1, ..virtual_server(servers) })
    };
    assert_eq!(told_at_start(server(1), &Table::default()), "-Q");
    assert_eq!(Bench::new(server(1)).serving(), "99:1");
    assert_eq!(told_at_start(server(2), &Table::default()), "+Q");
}

/// What a reload tells that adds a virtual server whose one server is asked the same as that of the one there is, which has
/// heard `verdict`.
fn told_of_new(new: VirtualServer, verdict: fn(&mut Bench)) -> String {
    let old = virtual_server(vec![real(1, 1)]);
    let mut bench = Bench::new(old.clone());
    bench.director.take_first_news();
    verdict(&mut bench);
    bench.events.clear();
    let mut new = VirtualServer { name: "new".into(), ..new };
    new.keys = vec![ServiceKey::FwMark { family: crate::net::AddressFamily::V4, mark: 7 }];
    let both = LvsPlan { virtual_servers: vec![old, new], ..LvsPlan::default() };
    bench.director.reload(both.clone(), &mut bench.events);
    let mut events = std::mem::take(&mut bench.events);
    events.extend(bench.director.take_first_news());
    bench.director.reload(both, &mut bench.events);
    bench.events.extend(bench.director.take_first_news());
    assert_eq!(told(bench.events), "", "a second reload brings nothing new");
    told(events)
}

#[test]
fn a_quorum_that_was_never_met_is_not_lost() {
    let never = VirtualServer { quorum: 2, hysteresis: 1, ..with_sorry(virtual_server(vec![real(1, 2)])) };
    let first = Bench::new(never).director.take_first_news();
    let said = "web: quorum not met: live weight 2, at least 3 needed; sorry server 192.0.2.99:80 serves";
    assert_eq!(first[0].to_string(), said);
}

#[test]
fn a_virtual_server_that_a_reload_adds_is_told_of_as_at_start() {
    let plain = || virtual_server(vec![real(1, 1)]);
    let nothing: fn(&mut Bench) = |_| {};
    let up: fn(&mut Bench) = |bench| {
        bench.up(1);
    };
    let down: fn(&mut Bench) = |bench| {
        bench.down(1);
    };
    for (server, verdict, wanted) in [
        (plain(), nothing, "+Q"),
        (alpha(plain()), nothing, ""),
        (alpha(with_sorry(plain())), nothing, "-Q"),
        (plain(), up, "+Q"),
        (alpha(plain()), up, "+192.0.2.1 +Q"),
        (plain(), down, "-192.0.2.1 -Q"),
        (alpha(plain()), down, "-192.0.2.1"),
        (alpha(with_sorry(plain())), down, "-192.0.2.1 -Q"),
    ] {
        assert_eq!(told_of_new(server.clone(), verdict), wanted, "{server:?}");
    }
}

#[test]
fn at_the_end_omega_tells_of_everything_as_down() {
    let server = |omega| VirtualServer { omega, ..virtual_server(vec![real(1, 1), real(2, 1)]) };
    let mut bench = Bench::new(server(true));
    bench.down(2);
    assert_eq!(told(bench.director.last_news()), "-192.0.2.1 -Q");
    assert_eq!(told(Bench::new(server(false)).director.last_news()), "");
}

#[test]
fn a_reload_lets_the_old_plan_go_and_keeps_what_was_known() {
    let server = virtual_server(vec![real(1, 1)]);
    let question = server.real_servers[0].checkers[0].question.clone();
    let mut bench = Bench::new(server);
    bench.down(1);
    assert_eq!(Arc::strong_count(&question), 3, "ours, the plan's, and that of what is known of the answer");
    bench.reload(virtual_server(vec![real(1, 1)]));
    assert_eq!(Arc::strong_count(&question), 1);
    assert!(!bench.director.server_up(0, 0));
}

/// A group of two ports and a mark: NAT goes to the server's port everywhere, the others keep the service's.
#[test]
fn what_is_not_translated_has_the_port_of_each_service() {
    let keys = [
        key(),
        ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: address(VIP).ip(), port: 443 },
        ServiceKey::FwMark { family: crate::net::AddressFamily::V4, mark: 7 },
    ];
    let routed = RealServer { forwarding: ForwardingMethod::DirectRouting, ..real(2, 1) };
    let server = VirtualServer { keys: keys.to_vec(), ..virtual_server(vec![real(1, 1), routed]) };
    let director = Director::start(plan(server.clone()), &Table::default(), &mut Vec::new());
    let ports = |table: &Table, key: &ServiceKey| -> Vec<String> {
        table.services[key].destinations.keys().map(SocketAddr::to_string).collect()
    };
    let mut table = director.desired().clone();
    for (key, port) in keys.iter().zip([80, 443, 0]) {
        assert_eq!(ports(&table, key), ["192.0.2.1:80".to_owned(), format!("192.0.2.2:{port}")]);
    }
    // What an earlier run left is recognised.
    for service in table.services.values_mut() {
        let destinations = &mut Arc::make_mut(service).destinations;
        destinations.retain(|endpoint, _| endpoint.ip() == address("192.0.2.2:80").ip());
    }
    let adopted = Director::start(plan(server), &table, &mut Vec::new());
    assert_eq!([adopted.server_up(0, 0), adopted.server_up(0, 1)], [false, true]);
    assert_eq!(adopted.desired(), &table);
}
