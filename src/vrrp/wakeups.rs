//! When the core wants to be woken, and what a wake-up is used for.

use super::State;
use super::testing::{ABOVE, Bench, advert, facts, plan, router_plan};
use super::{Event, Router};
use crate::net::VirtualRouterId;
use crate::plan::vrrp::RouterPlan;
use crate::time::Instant;
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
