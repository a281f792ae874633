//! Every state x every event that comes from trackers, routes, clocks and orders, for a router that has all of them
//! (`pairs` has the events of the election). Tests only.

use super::testing::{BELOW, Bench, advert, facts, plan, router_plan};
use super::{ClaimId, Command, Event, Received, RouterId, RoutingGone, State};
use crate::net::AddressFamily;
use crate::plan::route::{Item, RuleAction, RulePlan};
use crate::plan::track::{Sample, TrackedObject, TrackerKey, TrackerKind};
use crate::plan::vrrp::RouterPlan;
use std::time::Duration;

const ADD_RULE: &str = "add rule 1000: from all lookup 100";
/// Also when an earlier run may have left it.
const REMOVE_RULE: &str = "remove rule 1000: from all lookup 100";

fn tracker(name: &str) -> TrackerKey {
    TrackerKey { kind: TrackerKind::Script, name: name.to_owned() }
}

fn rule(priority: u32) -> RulePlan {
    RulePlan { tracked: true, ..RulePlan::new(AddressFamily::V4, priority, RuleAction::Table(100)) }
}

/// It tracks a script, a condition; and has a rule.
fn tracking_plan() -> RouterPlan {
    let tracked = TrackedObject { tracker: tracker("chk"), weight: 0, reverse: false };
    RouterPlan {
        trackers: vec![tracked],
        routing: vec![Item::Rule(Box::new(rule(1000)))],
        ..router_plan(100)
    }
}

/// Everything that can happen, by name, in the order of the tables.
fn events() -> Vec<(&'static str, Event)> {
    let sealed = Event::Sealed { interface: 2, packet: vec![0x45; 60] };
    let gone = |priority| Event::RoutingGone(RoutingGone::Rule(Box::new(rule(priority))));
    vec![
        ("script up", Event::Tracker(tracker("chk"), Some(Sample::Up))),
        ("script down", Event::Tracker(tracker("chk"), Some(Sample::Down))),
        ("script unknown", Event::Tracker(tracker("chk"), None)),
        ("script's words", Event::TrackerWords(tracker("chk"), "exit status 1".to_owned())),
        ("another script down", Event::Tracker(tracker("other"), Some(Sample::Down))),
        ("the clock is set", Event::TimeOfDay { unix_nanoseconds: 1 }),
        ("sealed packet", sealed),
        ("rule gone", gone(1000)),
        ("another rule gone", gone(2000)),
        ("routing uncertain", Event::RoutingUncertain),
        ("a claim of nobody", Event::Claimed { router: RouterId(0), claim: ClaimId(7), result: Ok(()) }),
        ("paused", Event::Paused),
        ("a late record", Event::Resume(vec![record()])),
        ("stronger", advert(200, BELOW)),
        ("supervisor gone", Event::Command(Command::Orphaned)),
    ]
}

/// A record that comes when the election has begun changes nothing.
fn record() -> super::Remembered {
    let plan = router_plan(100);
    super::Remembered {
        fingerprint: super::fingerprint(&plan),
        state: State::Master,
        since: crate::time::Instant::ZERO,
        spoke_at: Some(crate::time::Instant::ZERO),
        patience: Duration::MAX,
        priority: plan.priority,
        held_back: None,
        numbers: super::Numbers::default(),
    }
}

/// The table in which an event stands. A new one has to be decided for every state: put it into a table here, in
/// `pairs`, in `pairs_handover` or in `linger`.
fn table_of(event: &Event) -> &'static str {
    match event {
        Event::Tracker(..)
        | Event::TrackerWords(..)
        | Event::TimeOfDay { .. }
        | Event::Sealed { .. }
        | Event::RoutingGone(_)
        | Event::RoutingUncertain
        | Event::Claimed { .. }
        | Event::Paused
        | Event::Resume(_)
        | Event::Command(Command::Orphaned) => "here",
        Event::Plan(_)
        | Event::Advertisement(Received { .. })
        | Event::Interface(_)
        | Event::InterfaceGone { .. }
        | Event::AddressRemoved { .. }
        | Event::KernelDone { .. }
        | Event::Command(Command::Stop { .. }) => "pairs",
        Event::Failover { .. } | Event::Maintenance(_) => "pairs_handover",
        Event::Silenced { .. } => "linger",
    }
}

/// A router in that state: INIT is one that waits for its script's first result, FAULT one whose script fails.
fn at(state: State) -> Bench {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    let sample = match state {
        State::Initialize => None,
        State::Backup | State::Master => Some(Sample::Up),
        State::Fault => Some(Sample::Down),
    };
    bench.feed(Event::Tracker(tracker("chk"), sample));
    bench.feed(plan(vec![tracking_plan()]));
    if state == State::Master {
        bench.timeout();
    }
    assert_eq!(bench.core.routers().next().map(super::Router::state), Some(state));
    bench
}

fn check(state: State, expected: &[(&str, State, &[&str])]) {
    let mut found = Vec::new();
    for (name, event) in events() {
        let mut bench = at(state);
        // Right after a takeover it could be an echo of an older removal.
        bench.now += Duration::from_secs(if name == "rule gone" { 10 } else { 0 });
        let words = bench.feed(event);
        let after = bench.core.routers().next().map(super::Router::state).expect("the router stays");
        found.push(format!("{name}: {after}, {words:?}"));
    }
    let expected: Vec<String> =
        expected.iter().map(|(name, after, words)| format!("{name}: {after}, {words:?}")).collect();
    assert_eq!(found, expected, "{state}");
}

#[test]
fn every_kind_of_event_stands_in_a_table() {
    for (name, event) in events().into_iter().filter(|(name, _)| *name != "stronger") {
        assert_eq!(table_of(&event), "here", "{name}");
    }
    assert_eq!(table_of(&advert(1, BELOW)), "pairs");
}

/// Nothing is known of its script: it has no state yet, and nothing but that result or the end gives it one.
#[test]
fn waiting() {
    use State::{Backup, Fault, Initialize};
    check(
        Initialize,
        &[
            ("script up", Backup, &[REMOVE_RULE, "BACKUP"]),
            ("script down", Fault, &[REMOVE_RULE, "FAULT"]),
            ("script unknown", Initialize, &[]),
            ("script's words", Initialize, &[]),
            ("another script down", Initialize, &[]),
            ("the clock is set", Initialize, &[]),
            ("sealed packet", Initialize, &[]),
            ("rule gone", Initialize, &[]),
            ("another rule gone", Initialize, &[]),
            ("routing uncertain", Initialize, &[]),
            ("a claim of nobody", Initialize, &[]),
            ("paused", Initialize, &[]),
            ("a late record", Initialize, &[]),
            ("stronger", Initialize, &[]),
            ("supervisor gone", Initialize, &[REMOVE_RULE, "stopped"]),
        ],
    );
}

#[test]
fn backup() {
    use State::{Backup, Fault, Initialize};
    check(
        Backup,
        &[
            ("script up", Backup, &[]),
            ("script down", Fault, &["FAULT"]),
            ("script unknown", Backup, &[]),
            ("script's words", Backup, &[]),
            ("another script down", Backup, &[]),
            ("the clock is set", Backup, &[]),
            ("sealed packet", Backup, &[]),
            ("rule gone", Backup, &[]),
            ("another rule gone", Backup, &[]),
            ("routing uncertain", Backup, &[]),
            ("a claim of nobody", Backup, &[]),
            ("paused", Backup, &[]),
            ("a late record", Backup, &[]),
            ("stronger", Backup, &[]),
            ("supervisor gone", Initialize, &["INIT", "stopped"]),
        ],
    );
}

#[test]
fn master() {
    use State::{Backup, Fault, Initialize, Master};
    check(
        Master,
        &[
            ("script up", Master, &[]),
            ("script down", Fault, &["advert 0", REMOVE_RULE, "remove 10.0.0.100", "FAULT", "info"]),
            ("script unknown", Master, &[]),
            ("script's words", Master, &[]),
            ("another script down", Master, &[]),
            ("the clock is set", Master, &[]),
            ("sealed packet", Master, &[]),
            ("rule gone", Backup, &["advert 0", "remove 10.0.0.100", "BACKUP", "info"]),
            ("another rule gone", Master, &[]),
            ("routing uncertain", Master, &[ADD_RULE]),
            ("a claim of nobody", Master, &[]),
            ("paused", Master, &[]),
            ("a late record", Master, &[]),
            ("stronger", Backup, &["info", REMOVE_RULE, "remove 10.0.0.100", "BACKUP", "info"]),
            (
                "supervisor gone",
                Initialize,
                &["advert 0", REMOVE_RULE, "remove 10.0.0.100", "INIT", "info", "stopped"],
            ),
        ],
    );
}

#[test]
fn fault() {
    use State::{Backup, Fault, Initialize};
    check(
        Fault,
        &[
            ("script up", Backup, &["BACKUP"]),
            ("script down", Fault, &[]),
            ("script unknown", Fault, &[]),
            ("script's words", Fault, &[]),
            ("another script down", Fault, &[]),
            ("the clock is set", Fault, &[]),
            ("sealed packet", Fault, &[]),
            ("rule gone", Fault, &[]),
            ("another rule gone", Fault, &[]),
            ("routing uncertain", Fault, &[]),
            ("a claim of nobody", Fault, &[]),
            ("paused", Fault, &[]),
            ("a late record", Fault, &[]),
            ("stronger", Fault, &[]),
            ("supervisor gone", Initialize, &["INIT", "stopped"]),
        ],
    );
}
