use super::super::testing::{ABOVE, Bench, advert, facts, plan, router_plan, vip};
use super::*;
use crate::plan::track::{Sample, TrackedObject, TrackerKey, TrackerKind};
use crate::plan::vrrp::{SyncGroupPlan, VrrpPlan};
use crate::vrrp::Event;

/// A Master that has spoken `ago` before now, and the record of it.
fn record(plan: &RouterPlan, now: Instant, ago: Duration) -> Remembered {
    let spoke_at = Instant(now.0 - ago.as_nanos() as u64);
    Remembered {
        fingerprint: fingerprint(plan),
        state: State::Master,
        since: Instant(now.0 / 2),
        spoke_at: Some(spoke_at),
        patience: least_patience(plan),
        priority: plan.priority,
        held_back: None,
        numbers: Numbers::default(),
    }
}

/// A bench at 100 s whose process before left `all`.
fn bench(all: Vec<Remembered>) -> Bench {
    let mut bench = Bench { now: Instant(100_000_000_000), ..Bench::new() };
    bench.feed(Event::Interface(facts(true)));
    assert_eq!(bench.feed(Event::Resume(all)), [] as [&str; 0]);
    bench
}

const NOW: Instant = Instant(100_000_000_000);

#[test]
fn a_young_record_makes_a_master_that_keeps_the_rhythm() {
    let router = router_plan(150);
    let mut bench = bench(vec![record(&router, NOW, Duration::from_millis(700))]);
    let said = bench.feed(plan(vec![router]));
    assert_eq!(
        said,
        ["add 10.0.0.100", "MASTER", "announce", "info"],
        "nothing is removed, nothing said yet"
    );
    let resumed = bench.core.routers().next().expect("one");
    assert_eq!(resumed.since(), Instant(NOW.0 / 2));
    assert_eq!(bench.timeout(), ["advert 150"]);
    assert_eq!(bench.now, NOW + Duration::from_millis(300), "when it was due");
    assert_eq!(
        bench.feed(advert(200, ABOVE)),
        ["info", "remove 10.0.0.100", "BACKUP", "info"],
        "the election goes on"
    );
}

#[test]
fn an_overdue_advertisement_leaves_at_once_and_an_old_record_is_refused() {
    let router = router_plan(150);
    let patience = least_patience(&router);
    assert_eq!(patience, Duration::from_secs(3));
    let last = patience - Duration::from_secs(1) / MARGIN_PART;
    let mut late = bench(vec![record(&router, NOW, last - Duration::from_millis(1))]);
    late.feed(plan(vec![router.clone()]));
    assert_eq!(late.timeout(), ["advert 150"]);
    assert_eq!(late.now, NOW);
    let mut old = bench(vec![record(&router, NOW, last)]);
    assert_eq!(old.feed(plan(vec![router])), ["warning", "remove 10.0.0.100", "BACKUP", "info"]);
}

#[test]
fn a_plan_that_holds_something_else_begins_anew() {
    let router = router_plan(150);
    let mut other = router.clone();
    other.addresses.push(vip(101));
    let mut bench = bench(vec![record(&router, NOW, Duration::ZERO)]);
    assert_eq!(bench.feed(plan(vec![other])), ["remove 10.0.0.100", "remove 10.0.0.101", "BACKUP"]);
}

#[test]
fn what_only_a_reload_would_change_is_no_other_plan() {
    let router = router_plan(150);
    let mut other = RouterPlan { priority: Priority(120), name: "b".to_owned(), ..router.clone() };
    other.announce.repeat = 3;
    assert_eq!(fingerprint(&router), fingerprint(&other));
    let mut keeper = crate::vrrp::kept::Keeper::new(&[]);
    keeper.keep(RouterId(0), router.clone());
    assert!(keeper.finish().iter().all(|kept| kept.fingerprint() == fingerprint(&router)));
    let mut another = router.clone();
    another.key.interface = "eth1".to_owned();
    assert_ne!(fingerprint(&router), fingerprint(&another));
    let mut version = router.clone();
    version.version = crate::plan::vrrp::Version::V2;
    assert_ne!(fingerprint(&router), fingerprint(&version));
}

/// The number is written to a record that another build may read.
#[test]
fn a_fingerprint_never_changes() {
    assert_eq!(fingerprint(&router_plan(150)), 17_720_525_894_832_199_516);
}

#[test]
fn what_was_told_is_not_told_again() {
    let router = router_plan(150);
    let mut remembered = record(&router, NOW, Duration::ZERO);
    (remembered.state, remembered.spoke_at) = (State::Backup, None);
    let mut bench = bench(vec![remembered]);
    let mut actions = Vec::new();
    bench.core.handle(plan(vec![router]), NOW, &mut actions);
    let told = actions.iter().find_map(|action| match action {
        Action::Notify(transition) => Some((transition.from, transition.to)),
        _ => None,
    });
    assert_eq!(told, Some((State::Backup, State::Backup)));
}

#[test]
fn a_master_that_became_so_unheard_tells_it() {
    let router = router_plan(150);
    let remembered = Remembered { state: State::Backup, ..record(&router, NOW, Duration::ZERO) };
    let mut bench = bench(vec![remembered]);
    let Event::Plan(plan) = plan(vec![router.clone()]) else { unreachable!("plan() makes a plan") };
    let group = SyncGroupPlan {
        name: "G".to_owned(),
        members: vec![router.key],
        track_interfaces: Vec::new(),
        trackers: Vec::new(),
    };
    let mut actions = Vec::new();
    bench.core.handle(Event::Plan(VrrpPlan { groups: vec![group], ..plan }), NOW, &mut actions);
    let told = actions.iter().find_map(|action| match action {
        Action::Notify(transition) => Some((transition.from, transition.to)),
        _ => None,
    });
    assert_eq!(told, Some((State::Backup, State::Master)));
    let group = actions.iter().find_map(|action| match action {
        Action::News(crate::vrrp::News::Group(group)) => Some(group.to),
        _ => None,
    });
    assert_eq!(group, Some(State::Master));
}

#[test]
fn the_priority_holds_until_the_trackers_have_spoken() {
    let key = TrackerKey { kind: TrackerKind::Script, name: "chk".to_owned() };
    let tracked = TrackedObject { tracker: key.clone(), weight: 20, reverse: false };
    let router = RouterPlan { trackers: vec![tracked], ..router_plan(150) };
    let mut remembered = record(&router, NOW, Duration::ZERO);
    remembered.priority = Priority(170);
    let mut bench = bench(vec![remembered]);
    bench.feed(plan(vec![router]));
    assert_eq!(bench.timeout(), ["advert 170"]);
    bench.feed(Event::Tracker(key, Some(Sample::Down)));
    assert_eq!(bench.timeout(), ["advert 150"]);
}

#[test]
fn a_backup_that_a_script_made_weaker_stays_as_weak_until_it_has_spoken() {
    let key = TrackerKey { kind: TrackerKind::Script, name: "chk".to_owned() };
    let tracked = TrackedObject { tracker: key.clone(), weight: -100, reverse: false };
    let router = RouterPlan { trackers: vec![tracked], ..router_plan(150) };
    let mut remembered = record(&router, NOW, Duration::ZERO);
    (remembered.state, remembered.spoke_at) = (State::Backup, None);
    remembered.priority = Priority(50);
    let mut bench = bench(vec![remembered]);
    bench.feed(plan(vec![router]));
    let began = bench.now;
    for second in 1..=10 {
        while bench.core.next_timeout().is_some_and(|due| due <= began + Duration::from_secs(second)) {
            let said = bench.timeout();
            assert!(!said.contains(&"MASTER".to_owned()), "after {second} s: {said:?}");
        }
        bench.now = began + Duration::from_secs(second);
        bench.feed(advert(100, ABOVE));
    }
    bench.feed(Event::Tracker(key, Some(Sample::Up)));
    let one = bench.core.routers().next().expect("one");
    assert_eq!(one.priority(), Priority(150));
}

/// Backup since it was told to fail over, with a minute to go.
fn held_back(router: &RouterPlan) -> Remembered {
    let held_back = Some(NOW + Duration::from_secs(60));
    Remembered { state: State::Backup, spoke_at: None, held_back, ..record(router, NOW, Duration::ZERO) }
}

#[test]
fn what_was_told_to_fail_over_leaves_its_successor_in_peace_until_then() {
    for priority in [150, 255] {
        let router = router_plan(priority);
        let mut bench = bench(vec![held_back(&router)]);
        let began = bench.feed(plan(vec![router]));
        assert!(began.contains(&"BACKUP".to_owned()), "{priority}: {began:?}");
        for second in 0..60 {
            bench.now = NOW + Duration::from_secs(second);
            assert_eq!(bench.feed(advert(100, ABOVE)), [] as [&str; 0], "{priority}, after {second} s");
        }
        bench.now = NOW + Duration::from_secs(60);
        bench.feed(advert(100, ABOVE));
        assert!(bench.timeout().contains(&"MASTER".to_owned()), "{priority}: it preempts then");
    }
}

#[test]
fn a_successor_that_is_gone_by_then_is_relieved_at_once() {
    let router = router_plan(150);
    let mut bench = bench(vec![held_back(&router)]);
    bench.feed(plan(vec![router]));
    assert!(bench.timeout().contains(&"MASTER".to_owned()));
    assert!(bench.now < NOW + Duration::from_secs(5));
    assert_eq!(bench.core.routers().next().expect("one").memory().held_back, None);
}

#[test]
fn a_startup_delay_is_not_for_who_goes_on_but_for_who_had_not_begun() {
    for (state, expected) in [(State::Initialize, State::Initialize), (State::Backup, State::Backup)] {
        let router = router_plan(150);
        let remembered = Remembered { state, spoke_at: None, ..record(&router, NOW, Duration::ZERO) };
        let mut bench = bench(vec![remembered]);
        let Event::Plan(plan) = plan(vec![router]) else { unreachable!("plan() makes a plan") };
        bench.feed(Event::Plan(VrrpPlan { startup_delay: Duration::from_secs(60), ..plan }));
        assert_eq!(bench.core.routers().next().expect("one").state(), expected);
    }
}

#[test]
fn a_master_whose_interface_is_gone_says_that_it_resigns() {
    let router = router_plan(150);
    let mut bench = bench(vec![record(&router, NOW, Duration::ZERO)]);
    bench.feed(Event::Interface(facts(false)));
    let said = bench.feed(plan(vec![router]));
    assert!(said.ends_with(&["remove 10.0.0.100".into(), "FAULT".into(), "info".into()]), "{said:?}");
}

#[test]
fn numbers_are_not_used_twice() {
    let mut speech = speech::Speech::default();
    speech.go_on(Numbers { header: 41 << 16 | 7, trailer: 99 });
    assert_eq!(speech.next_header(), (43, 8));
    assert_eq!(speech.next_trailer(None, 0).0, 101);
    assert_eq!(speech.numbers().header, 43 << 16 | 8);
}
