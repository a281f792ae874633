//! What each event means to a Master that hands over, and what each order means in each state.

use super::testing::{ABOVE, BELOW, Bench, advert, facts, plan, router_plan, vip};
use super::{Command, Event, Maintenance, State, Upkeep};
use crate::net::{IpCidr, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::vrrp::{RouterKey, RouterPlan, SyncGroupPlan, VrrpPlan};
use crate::time::Interval;
use std::time::Duration;

fn handing_over(plan: Event) -> Event {
    match plan {
        Event::Plan(plan) => Event::Plan(VrrpPlan { handover: true, ..plan }),
        other => other,
    }
}

/// A router of priority 100 in that state, with handover.
fn at(state: State) -> Bench {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(state != State::Fault)));
    bench.feed(handing_over(plan(vec![router_plan(100)])));
    if state == State::Master {
        bench.timeout();
    }
    assert_eq!(state_of(&bench), Some(state));
    bench
}

fn state_of(bench: &Bench) -> Option<State> {
    bench.core.routers().next().map(super::Router::state)
}

fn stop() -> Event {
    Event::Command(Command::Stop { release: true })
}

fn failover() -> Event {
    Event::Failover { routers: Vec::new(), hold: Duration::from_secs(60) }
}

fn maintenance(allow_last: bool) -> Event {
    Event::Maintenance(Maintenance { all: Some(Upkeep { allow_last }), ..Maintenance::default() })
}

#[test]
fn a_stop_means_a_handover_to_a_master_only() {
    for (state, words) in [
        (State::Master, &["advert 0", "info"] as &[&str]),
        (State::Backup, &["INIT", "stopped"]),
        (State::Fault, &["INIT", "stopped"]),
    ] {
        assert_eq!(at(state).feed(stop()), words, "{state}");
    }
}

#[test]
fn orders_mean_little_to_who_is_not_master() {
    for (order, state, after, words) in [
        (failover(), State::Backup, State::Backup, &[] as &[&str]),
        (failover(), State::Fault, State::Fault, &[]),
        (maintenance(false), State::Backup, State::Fault, &["FAULT"]),
        (maintenance(false), State::Fault, State::Fault, &["warning"]),
        (maintenance(true), State::Backup, State::Backup, &["news", "info"]),
        (maintenance(true), State::Fault, State::Fault, &["info"]),
    ] {
        let mut bench = at(state);
        assert_eq!(bench.feed(order.clone()), words, "{state} x {order:?}");
        assert_eq!(state_of(&bench), Some(after), "{state} x {order:?}");
    }
}

/// While it hands over at a stop.
#[test]
fn a_leaving_master_hears_only_what_ends_its_wait() {
    let lost = Event::AddressRemoved {
        index: 2,
        cidr: IpCidr::new([10, 0, 0, 100].into(), 24).expect("24 is at most 32"),
    };
    let over: &[&str] = &["remove 10.0.0.100", "INIT", "info", "stopped"];
    let (nothing, successor): (&[&str], &[&str]) = (&[], &["info", "silence"]);
    let empty = Event::Plan(VrrpPlan { generation: Generation(2), ..VrrpPlan::default() });
    let table = [
        (advert(0, ABOVE), nothing),
        (advert(50, BELOW), successor),
        (advert(200, ABOVE), successor),
        (Event::Interface(facts(false)), over),
        (Event::Interface(facts(true)), nothing),
        (Event::InterfaceGone { index: 2 }, &["INIT", "stopped"]),
        // So soon after it was asked for it may be an echo, as for any Master.
        (lost, &["add 10.0.0.100"]),
        (Event::Paused, nothing),
        (empty, nothing),
        (stop(), nothing),
        (failover(), nothing),
        (maintenance(false), nothing),
        (Event::Command(Command::Orphaned), over),
        (Event::Command(Command::Stop { release: false }), &["stopped"]),
    ];
    for (event, words) in table {
        let mut bench = at(State::Master);
        bench.feed(stop());
        assert_eq!(bench.feed(event.clone()), words, "{event:?}");
    }
}

/// While it hands over by order, the daemon lives on.
#[test]
fn a_master_told_to_yield_lives_on() {
    let empty = Event::Plan(VrrpPlan { generation: Generation(2), ..VrrpPlan::default() });
    let table: [(Event, &[&str], Option<State>); 8] = [
        (advert(50, BELOW), &["info", "silence"], Some(State::Master)),
        (Event::Interface(facts(false)), &["remove 10.0.0.100", "FAULT", "info"], Some(State::Fault)),
        (Event::InterfaceGone { index: 2 }, &["FAULT"], Some(State::Fault)),
        (Event::Paused, &[], Some(State::Master)),
        (failover(), &[], Some(State::Master)),
        (empty, &["remove 10.0.0.100", "INIT", "info"], None),
        (stop(), &[], Some(State::Master)),
        (
            Event::Command(Command::Orphaned),
            &["remove 10.0.0.100", "INIT", "info", "stopped"],
            Some(State::Initialize),
        ),
    ];
    for (event, words, after) in table {
        let mut bench = at(State::Master);
        bench.feed(failover());
        assert_eq!(bench.feed(event.clone()), words, "{event:?}");
        assert_eq!(state_of(&bench), after, "{event:?}");
    }
}

/// The silence ends with the addresses, not before.
#[test]
fn nothing_is_answered_until_the_kernel_has_let_go() {
    let mut bench = at(State::Master);
    bench.feed(stop());
    bench.feed(advert(50, BELOW));
    bench.holds = true;
    assert_eq!(bench.timeout(), ["remove 10.0.0.100", "INIT"]);
    assert_eq!(bench.answer(), ["info", "speak", "stopped"]);
}

#[test]
fn a_stop_during_a_failover_takes_its_successor_along() {
    let mut bench = at(State::Master);
    bench.feed(failover());
    bench.feed(advert(50, BELOW));
    assert_eq!(bench.feed(stop()), [] as [&str; 0]);
    assert_eq!(bench.timeout(), ["remove 10.0.0.100", "INIT", "info", "speak", "stopped"]);
}

/// Else a Master with short intervals would take its successor for dead as soon as it has let go.
#[test]
fn a_successor_that_goes_on_speaking_is_followed_from_its_last_word_on() {
    let mut bench = at(State::Master);
    bench.feed(failover());
    bench.feed(advert(50, BELOW));
    bench.now += Duration::from_millis(200);
    let last = bench.now;
    assert_eq!(bench.feed(advert(50, BELOW)), [] as [&str; 0]);
    assert_eq!(bench.timeout(), ["remove 10.0.0.100", "BACKUP", "info", "speak"]);
    let (active, down_at) = bench.core.routers().next().and_then(super::Router::active).expect("it listens");
    assert_eq!((active.at, down_at > last + Duration::from_secs(3)), (last, true));
}

/// The kernel refused an address before the failover, and takes it during the handover: nobody has heard of it yet.
#[test]
fn who_stays_master_announces_what_came_while_it_was_silent() {
    let mut bench = Bench::new();
    bench.holds = true;
    bench.feed(Event::Interface(facts(true)));
    bench.feed(handing_over(plan(vec![router_plan(100)])));
    bench.waiting.clear();
    bench.timeout();
    let op = bench.waiting.pop().expect("the address was asked for");
    bench.holds = false;
    let error = super::KernelError { errno: 105, message: "No buffer space available".to_owned() };
    bench.feed(Event::KernelDone { op, result: Err(error) });
    assert_eq!(bench.feed(failover()), ["advert 0", "info"]);
    assert_eq!(bench.timeout(), ["add 10.0.0.100", "info"], "the kernel is asked again");
    assert_eq!(bench.timeout(), ["advert 100", "announce", "warning"]);
}

/// A renewal of its lease that was under way may bring it back, and then nobody would take it away.
#[test]
fn an_address_that_was_lost_meanwhile_is_removed_all_the_same() {
    let cidr = IpCidr::new([10, 0, 0, 100].into(), 24).expect("24 is at most 32");
    let lost = || Event::AddressRemoved { index: 2, cidr };
    let mut bench = at(State::Master);
    bench.now += Duration::from_secs(3);
    bench.feed(failover());
    assert_eq!(bench.feed(lost()), [] as [&str; 0]);
    bench.feed(advert(50, BELOW));
    assert_eq!(bench.timeout(), ["remove 10.0.0.100", "BACKUP", "info", "speak"]);
    let mut bench = at(State::Master);
    bench.now += Duration::from_secs(3);
    bench.feed(failover());
    bench.feed(lost());
    let stays = bench.timeout();
    assert!(stays.contains(&"add 10.0.0.100".to_owned()), "{stays:?}");
}

/// Two members of a sync group, of which the second speaks ten times as often.
fn group() -> VrrpPlan {
    let fast = RouterKey { vrid: VirtualRouterId::new(52).expect("not 0"), ..router_plan(100).key };
    let fast = RouterPlan {
        addresses: vec![vip(101)],
        interval: Interval::from_centiseconds(10).expect("not 0"),
        ..RouterPlan { key: fast, name: "b".to_owned(), ..router_plan(100) }
    };
    let routers = vec![router_plan(100), fast];
    let members = routers.iter().map(|router| router.key.clone()).collect();
    let group =
        SyncGroupPlan { name: "G".to_owned(), members, track_interfaces: Vec::new(), trackers: Vec::new() };
    let Event::Plan(plan) = handing_over(plan(routers)) else { unreachable!("it is a plan") };
    VrrpPlan { groups: vec![group], ..plan }
}

fn leading_group() -> Bench {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    bench.feed(Event::Plan(group()));
    while state_of(&bench) != Some(State::Master) {
        bench.timeout();
    }
    bench
}

/// Members elsewhere take over together, when the slowest may: until then none lets go.
#[test]
fn the_members_of_a_sync_group_wait_for_their_slowest() {
    for order in [stop(), failover(), maintenance(false)] {
        let mut bench = leading_group();
        bench.feed(order.clone());
        let views: Vec<_> =
            bench.core.routers().map(|router| router.handover().map(|v| v.let_go_at)).collect();
        // Skew_Time of priority 1 at 1 s, and the margin.
        let wait = Duration::from_nanos(255 * 1_000_000_000 / 256) + super::MARGIN;
        assert_eq!(views, [Some(bench.now + wait); 2], "{order:?}");
    }
}

/// A successor is heard of one member only. The other one has spoken again when its group takes it along.
#[test]
fn a_member_that_nobody_relieved_resigns_when_its_group_hands_over() {
    let mut bench = leading_group();
    bench.feed(failover());
    bench.now += Duration::from_millis(1200);
    bench.feed(advert(50, BELOW));
    let mut words: Vec<String> = Vec::new();
    while state_of(&bench) == Some(State::Master) {
        words = bench.timeout();
    }
    let backup = words.iter().filter(|word| *word == "BACKUP").count();
    assert!(words.contains(&"advert 0".to_owned()) && backup == 2, "{words:?}");
}

/// The member whose successor is heard first ends it for all of them.
#[test]
fn a_member_in_maintenance_rests_when_its_group_ends_its_handover() {
    let mut bench = leading_group();
    let routers = [("b".to_owned(), Upkeep { allow_last: false })].into();
    bench.feed(Event::Maintenance(Maintenance { all: None, routers }));
    bench.feed(advert(50, BELOW));
    while state_of(&bench) == Some(State::Master) {
        bench.timeout();
    }
    let states: Vec<State> = bench.core.routers().map(super::Router::state).collect();
    assert_eq!(states, [State::Fault, State::Fault]);
}

/// Two Backups spoke at once, and the one that yields spoke last, with a shorter interval.
#[test]
fn of_two_that_answer_the_stronger_one_is_followed() {
    let mut bench = at(State::Master);
    bench.feed(failover());
    bench.feed(advert(60, ABOVE));
    bench.feed(advert(50, BELOW));
    while state_of(&bench) == Some(State::Master) {
        bench.timeout();
    }
    let (active, _) = bench.core.routers().next().and_then(super::Router::active).expect("it listens");
    assert_eq!(active.address, std::net::IpAddr::from(ABOVE));
}
