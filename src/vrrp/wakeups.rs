//! When the core wants to be woken, and what a wake-up is used for.

use super::State;
use super::testing::{ABOVE, Bench, advert, facts, plan, router_plan};
use super::{Action, Event, Frame, Router, RouterId};
use crate::net::VirtualRouterId;
use crate::plan::vrrp::RouterPlan;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// VRIDs 51 and 52; the second begins `later` than the first.
fn two_masters(later: Duration) -> Bench {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    let mut second: RouterPlan = router_plan(100);
    second.name = "b".to_owned();
    second.key.vrid = VirtualRouterId::new(52).expect("not 0");
    bench.feed(plan(vec![router_plan(100)]));
    bench.now += later;
    bench.feed(plan(vec![router_plan(100), second]));
    while bench.core.routers().map(Router::state).any(|state| state != State::Master) {
        bench.timeout();
    }
    bench
}

/// How many wake-ups, and how many advertisements in each, until `end`.
fn adverts_by_wakeup(bench: &mut Bench, end: Instant) -> Vec<usize> {
    let mut counts = Vec::new();
    while bench.core.next_timeout().is_some_and(|at| at <= end) {
        counts.push(bench.timeout().iter().filter(|word| *word == "advert 100").count());
    }
    counts
}

#[test]
fn masters_that_are_due_together_but_for_a_moment_share_wakeups_and_keep_their_pace() {
    let mut bench = two_masters(Duration::from_micros(400));
    let end = bench.now + Duration::from_millis(10_500);
    assert_eq!(adverts_by_wakeup(&mut bench, end), [2; 10]);
    let mut apart = two_masters(Duration::from_micros(600));
    let end = apart.now + Duration::from_millis(10_500);
    assert_eq!(adverts_by_wakeup(&mut apart, end), [1; 20]);
}

/// `count` Masters of one interval that begin at moments all over it.
fn crowd(count: u8) -> Bench {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    let mut routers = Vec::new();
    for number in 1..=count {
        let mut router = router_plan(100);
        router.name = number.to_string();
        router.key.vrid = VirtualRouterId::new(number).expect("not 0");
        routers.push(router);
        bench.now += Duration::from_micros(15_137);
        bench.feed(plan(routers.clone()));
    }
    while bench.core.routers().map(Router::state).any(|state| state != State::Master) {
        bench.timeout();
    }
    bench
}

#[test]
fn a_crowd_of_masters_gathers_into_convoys_without_speaking_late_or_much_too_early() {
    let (count, second) = (64, Duration::from_secs(1));
    let mut bench = crowd(count);
    let mut heard: BTreeMap<RouterId, Instant> = BTreeMap::new();
    let end = bench.now + second * 200;
    while let Some(at) = bench.core.next_timeout().filter(|at| *at <= end) {
        let mut actions = Vec::new();
        bench.now = at;
        bench.core.handle_timeout(at, &mut actions);
        for action in actions {
            let Action::Transmit(id, Frame::Advertisement { .. }) = action else { continue };
            let gap = heard.insert(id, at).map_or(second, |before| at.saturating_duration_since(before));
            // A wake-up for others may come half a millisecond before the own one.
            let hasty = second - Duration::from_millis(1)..=second + Duration::from_micros(500);
            assert!(hasty.contains(&gap), "{id:?}: {gap:?}");
        }
    }
    assert_eq!(heard.len(), usize::from(count));
    let counts = adverts_by_wakeup(&mut bench, end + second);
    assert!(counts.len() <= 17, "{} wake-ups in a second", counts.len());
    assert!(counts.iter().sum::<usize>() >= usize::from(count) - 1, "{counts:?}");
}

#[test]
fn a_few_masters_keep_their_own_beat() {
    let mut bench = crowd(8);
    let end = bench.now + Duration::from_secs(200);
    adverts_by_wakeup(&mut bench, end);
    let counts = adverts_by_wakeup(&mut bench, end + Duration::from_secs(1));
    assert_eq!(counts, [1; 8]);
}

#[test]
fn a_backup_that_hears_its_master_wakes_once_for_several_advertisements() {
    let mut bench = Bench::new();
    bench.feed(Event::Interface(facts(true)));
    bench.feed(plan(vec![router_plan(100)]));
    let mut wakeups = 0;
    for _ in 0..30 {
        bench.now += Duration::from_secs(1);
        while bench.core.next_timeout().is_some_and(|at| at <= bench.now) {
            wakeups += 1;
            assert_eq!(bench.timeout(), [""; 0]);
        }
        bench.feed(advert(200, ABOVE));
    }
    assert!(wakeups <= 10, "{wakeups} for 30 advertisements");
    let silence = bench.now;
    while bench.core.routers().all(|router| router.state() == State::Backup) {
        bench.timeout();
    }
    let patience = Duration::from_millis(3_000) + Duration::from_secs(1) * 156 / 256;
    assert_eq!(bench.now, silence + patience);
}
