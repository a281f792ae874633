//! Every state x every event has a decided result (RFC 9568 6.4 and keepalived's additions).

use super::testing::{ABOVE, BELOW, Bench, advert, facts, plan, router_plan, vip};
use super::{Command, Event, KernelError, OpId, State};
use crate::net::IpCidr;
use crate::plan::vrrp::{RouterPlan, VirtualAddress};
use std::net::Ipv4Addr;
use std::time::Duration;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Resignation,
    Weaker,
    EqualBelow,
    EqualAbove,
    Stronger,
    Garbage,
    Timeout,
    LinkDown,
    LinkUp,
    LinkGone,
    AddressLost,
    ForeignAddressLost,
    StaleAnswer,
    SamePlan,
    OtherPriority,
    OneAddressMore,
    EmptyPlan,
    StopRelease,
    StopRetain,
}

use Happens::{
    AddressLost, EmptyPlan, EqualAbove, EqualBelow, ForeignAddressLost, Garbage, LinkDown, LinkGone, LinkUp,
    OneAddressMore, OtherPriority, Resignation, SamePlan, StaleAnswer, StopRelease, StopRetain, Stronger,
    Timeout, Weaker,
};

const ALL: [Happens; 19] = [
    Resignation,
    Weaker,
    EqualBelow,
    EqualAbove,
    Stronger,
    Garbage,
    Timeout,
    LinkDown,
    LinkUp,
    LinkGone,
    AddressLost,
    ForeignAddressLost,
    StaleAnswer,
    SamePlan,
    OtherPriority,
    OneAddressMore,
    EmptyPlan,
    StopRelease,
    StopRetain,
];

impl Happens {
    fn to(self, bench: &mut Bench) -> Vec<String> {
        let with = |change: fn(&mut RouterPlan)| {
            let mut router = router_plan(100);
            change(&mut router);
            plan(vec![router])
        };
        let lost = |cidr: IpCidr| Event::AddressRemoved { index: 2, cidr };
        let event = match self {
            Resignation => advert(0, BELOW),
            Weaker => advert(50, ABOVE),
            EqualBelow => advert(100, BELOW),
            EqualAbove => advert(100, ABOVE),
            Stronger => advert(200, BELOW),
            Garbage => match advert(200, BELOW) {
                Event::Advertisement(mut packet) => {
                    packet.bytes[2] = 201;
                    Event::Advertisement(packet)
                }
                other => other,
            },
            Timeout => return bench.timeout(),
            LinkDown => Event::Interface(facts(false)),
            LinkUp => Event::Interface(facts(true)),
            LinkGone => Event::InterfaceGone { index: 2 },
            AddressLost => {
                bench.now += Duration::from_secs(10);
                lost(vip(100).cidr)
            }
            ForeignAddressLost => lost(vip(77).cidr),
            StaleAnswer => Event::KernelDone {
                op: OpId(u64::MAX),
                result: Err(KernelError { errno: 1, message: "not permitted".to_owned() }),
            },
            SamePlan => with(|_| {}),
            OtherPriority => with(|router| router.priority = crate::net::Priority(90)),
            OneAddressMore => with(|router| router.addresses.push(vip(101))),
            EmptyPlan => plan(vec![]),
            StopRelease => Event::Command(Command::Stop { release: true }),
            StopRetain => Event::Command(Command::Stop { release: false }),
        };
        bench.feed(event)
    }
}

/// A router of priority 100 in that state.
fn at(state: State) -> Bench {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(state != State::Fault)));
    bench.feed(plan(vec![router_plan(100)]));
    match state {
        State::Backup | State::Fault => {}
        State::Master => {
            bench.timeout();
        }
        // On its way out, the kernel still busy with the address.
        State::Initialize => {
            bench.timeout();
            bench.holds = true;
            bench.feed(Event::Command(Command::Stop { release: true }));
        }
    }
    assert_eq!(bench.core.routers().next().map(super::Router::state), Some(state));
    bench
}

/// The state afterwards, `None` for a router that is gone, and what came out.
fn outcome(state: State, happens: Happens) -> (Option<State>, Vec<String>) {
    let mut bench = at(state);
    let words = happens.to(&mut bench);
    (bench.core.routers().next().map(super::Router::state), words)
}

fn check(state: State, expected: &[(Happens, Option<State>, &[&str])]) {
    let covered: Vec<Happens> = expected.iter().map(|(happens, ..)| *happens).collect();
    assert_eq!(covered, ALL, "every event, in order");
    for (happens, to, words) in expected {
        let (state_after, said) = outcome(state, *happens);
        assert_eq!(
            (state_after, said),
            (*to, words.iter().map(|w| (*w).to_owned()).collect()),
            "{state:?} x {happens:?}"
        );
    }
}

const INIT: Option<State> = Some(State::Initialize);
const BACKUP: Option<State> = Some(State::Backup);
const MASTER: Option<State> = Some(State::Master);
const FAULT: Option<State> = Some(State::Fault);

/// INIT is left behind at once at start; a router is seen in it only while it ends, and nothing but the
/// order to go at once means anything then.
#[test]
fn initialize() {
    let nothing: &[&str] = &[];
    let table: Vec<_> = ALL
        .into_iter()
        .map(|happens| match happens {
            StopRetain => (happens, INIT, &["stopped"] as &[&str]),
            _ => (happens, INIT, nothing),
        })
        .collect();
    check(State::Initialize, &table);
}

/// RFC 9568 6.4.2.
#[test]
fn backup() {
    check(
        State::Backup,
        &[
            (Resignation, BACKUP, &[]),
            (Weaker, BACKUP, &[]),
            (EqualBelow, BACKUP, &[]),
            (EqualAbove, BACKUP, &[]),
            (Stronger, BACKUP, &[]),
            (Garbage, BACKUP, &["warning"]),
            (Timeout, MASTER, &["advert 100", "add 10.0.0.100", "MASTER", "announce", "info"]),
            (LinkDown, FAULT, &["FAULT"]),
            (LinkUp, BACKUP, &[]),
            (LinkGone, FAULT, &["FAULT"]),
            (AddressLost, BACKUP, &[]),
            (ForeignAddressLost, BACKUP, &[]),
            (StaleAnswer, BACKUP, &[]),
            (SamePlan, BACKUP, &[]),
            (OtherPriority, BACKUP, &["news", "info"]),
            (OneAddressMore, BACKUP, &["remove 10.0.0.101"]),
            (EmptyPlan, None, &["INIT"]),
            (StopRelease, INIT, &["INIT", "stopped"]),
            (StopRetain, BACKUP, &["stopped"]),
        ],
    );
}

/// RFC 9568 6.4.3.
#[test]
fn master() {
    check(
        State::Master,
        &[
            (Resignation, MASTER, &["advert 100"]),
            (Weaker, MASTER, &["advert 100", "news", "announce", "warning"]),
            (EqualBelow, MASTER, &["advert 100", "news", "announce", "warning"]),
            (EqualAbove, BACKUP, &["info", "remove 10.0.0.100", "BACKUP", "info"]),
            (Stronger, BACKUP, &["info", "remove 10.0.0.100", "BACKUP", "info"]),
            (Garbage, MASTER, &["warning"]),
            (Timeout, MASTER, &["advert 100"]),
            (LinkDown, FAULT, &["remove 10.0.0.100", "FAULT", "info"]),
            (LinkUp, MASTER, &[]),
            (LinkGone, FAULT, &["FAULT"]),
            (AddressLost, BACKUP, &["advert 0", "BACKUP"]),
            (ForeignAddressLost, MASTER, &[]),
            (StaleAnswer, MASTER, &[]),
            (SamePlan, MASTER, &[]),
            (OtherPriority, MASTER, &["news", "info"]),
            (OneAddressMore, MASTER, &["add 10.0.0.101", "announce"]),
            (EmptyPlan, None, &["advert 0", "remove 10.0.0.100", "INIT", "info"]),
            (StopRelease, INIT, &["advert 0", "remove 10.0.0.100", "INIT", "info", "stopped"]),
            (StopRetain, MASTER, &["stopped"]),
        ],
    );
}

/// keepalived's own state: nothing is sent and nothing heard.
#[test]
fn fault() {
    check(
        State::Fault,
        &[
            (Resignation, FAULT, &[]),
            (Weaker, FAULT, &[]),
            (EqualBelow, FAULT, &[]),
            (EqualAbove, FAULT, &[]),
            (Stronger, FAULT, &[]),
            (Garbage, FAULT, &[]),
            (Timeout, FAULT, &[]),
            (LinkDown, FAULT, &[]),
            (LinkUp, BACKUP, &["BACKUP"]),
            (LinkGone, FAULT, &["warning"]),
            (AddressLost, FAULT, &[]),
            (ForeignAddressLost, FAULT, &[]),
            (StaleAnswer, FAULT, &[]),
            (SamePlan, FAULT, &[]),
            (OtherPriority, FAULT, &["info"]),
            (OneAddressMore, FAULT, &["remove 10.0.0.101"]),
            (EmptyPlan, None, &["INIT"]),
            (StopRelease, INIT, &["INIT", "stopped"]),
            (StopRetain, FAULT, &["stopped"]),
        ],
    );
}

/// RFC 9568 6.4.1: the owner is Master from the start, anybody else begins as Backup.
#[test]
fn the_first_state_depends_on_ownership_and_surroundings() {
    for (priority, up, expected) in [
        (255, true, State::Master),
        (254, true, State::Backup),
        (255, false, State::Fault),
        (1, false, State::Fault),
    ] {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(up)));
        bench.feed(plan(vec![router_plan(priority)]));
        assert_eq!(bench.core.routers().next().map(super::Router::state), Some(expected));
    }
}

#[test]
fn after_the_end_nothing_means_anything() {
    for state in [State::Backup, State::Master, State::Fault] {
        let mut bench = at(state);
        StopRelease.to(&mut bench);
        assert!(bench.core.is_stopped());
        assert_eq!(bench.core.next_timeout(), None);
        for happens in ALL {
            assert_eq!(happens.to(&mut bench), [""; 0], "{state:?}, stopped, {happens:?}");
        }
    }
}

/// A removed router lives on, unseen, until the kernel has let go of its addresses.
#[test]
fn a_removed_router_ends_when_its_addresses_are_gone() {
    let mut bench = at(State::Master);
    let id = bench.core.routers().next().expect("one router").id();
    bench.holds = true;
    EmptyPlan.to(&mut bench);
    assert_eq!(bench.core.routers().count(), 0);
    assert!(bench.core.router(id).is_some());
    bench.answer();
    assert!(bench.core.router(id).is_none());
    assert_eq!(bench.core.next_timeout(), None);
}

/// The wire's count has one octet, whatever a plan says.
#[test]
fn more_addresses_than_the_wire_can_carry_are_held_but_not_advertised() {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    let mut router = router_plan(100);
    let far = |n: u16| {
        let [high, low] = n.to_be_bytes();
        VirtualAddress { cidr: IpCidr::host(Ipv4Addr::new(10, 1, high, low).into()), ..vip(0) }
    };
    router.addresses = (0..277).map(far).collect();
    bench.feed(plan(vec![router]));
    let words = bench.timeout();
    assert_eq!(words.iter().filter(|word| word.starts_with("advert")).count(), 1);
    assert_eq!(words.iter().filter(|word| word.starts_with("add")).count(), 277);
}

#[test]
fn two_routers_of_one_key_are_an_error_and_the_first_counts() {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    let words = bench.feed(plan(vec![router_plan(100), router_plan(50)]));
    assert_eq!(words.first().map(String::as_str), Some("error"));
    assert_eq!(bench.core.routers().map(|router| router.priority().0).collect::<Vec<_>>(), [100]);
}

#[test]
fn an_absurd_burst_is_cut() {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    let mut router = router_plan(100);
    router.announce.repeat = u32::MAX;
    bench.feed(plan(vec![router]));
    let words = bench.timeout();
    assert_eq!(words.iter().filter(|word| *word == "announce").count(), 100);
}

#[test]
fn packets_for_nobody_are_counted_once_for_all() {
    let mut bench = at(State::Backup);
    for bytes in [vec![], vec![0x31], vec![0x31, 0], vec![0x31, 52]] {
        let Event::Advertisement(packet) = advert(200, BELOW) else { panic!("an advertisement") };
        assert_eq!(bench.feed(Event::Advertisement(super::Received { bytes, ..packet })), [""; 0]);
    }
    assert_eq!(bench.core.unknown_router_packets(), 4);
}
