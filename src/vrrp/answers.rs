//! Advertisements out of turn: what a Master answers to a weaker router, or to one that resigns, and how often at most.
//!
//! RFC 9568 6.4.3 answers each at once. Answering every packet of a flood would make a flood of our own, in every peer's
//! socket, and keep this node from speaking in time.

use super::context::Context;
use super::event::LogLevel;
use super::router::{Router, SAID_FLOOD};
use super::state::Phase;
use crate::time::Instant;
use std::time::Duration;

/// Answers within one interval of ours. More than one, as several nodes may start at the same moment, or a weaker one
/// may miss the first answer; few, as all that is said more often than this was said a moment ago.
const PER_INTERVAL: u32 = 8;

/// What is left of the answers of this interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// Each answer takes its part of the interval; those given so far last to this moment.
    spent_until: Instant,
}

impl Answers {
    /// All of them.
    pub fn new(now: Instant) -> Answers {
        Answers { spent_until: now }
    }

    /// Take one, unless this interval's are all given.
    fn take(&mut self, interval: Duration, now: Instant) -> bool {
        let after = self.spent_until.max(now) + interval / PER_INTERVAL;
        let left = after <= now + interval;
        if left {
            self.spent_until = after;
        }
        left
    }
}

impl Router {
    /// Speak at once because of what was heard. False when this was done too often of late: the advertisement that is
    /// due says the same within an interval.
    //= RFC9568 6.4.3 M-73
    //= RFC9568 6.4.3 M-79
    pub(super) fn answer(&mut self, ctx: &mut Context) -> bool {
        let interval = self.own_interval().duration();
        let Phase::Master(master) = &mut self.phase else { return false };
        if master.answers.take(interval, ctx.now) {
            self.send_advertisement(ctx);
            return true;
        }
        self.stats.answers_withheld += 1;
        if self.said.first(SAID_FLOOD) {
            let name = &self.plan.name;
            let what = format!(
                "({name}) more than {PER_INTERVAL} advertisements of others to answer in {interval:?}: the rest is not \
                 answered, ours go out when they are due"
            );
            ctx.log(LogLevel::Warning, what);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::Event;
    use crate::vrrp::testing::{BELOW, Bench, advert, facts, plan, router_plan};

    #[test]
    fn an_interval_has_its_answers_and_they_come_back_one_by_one() {
        let second = Duration::from_secs(1);
        let start = Instant(7);
        let mut answers = Answers::new(start);
        let given = (0..100).filter(|_| answers.take(second, start)).count();
        assert_eq!(given, PER_INTERVAL as usize);
        assert!(!answers.take(second, start + second / PER_INTERVAL / 2));
        assert!(answers.take(second, start + second / PER_INTERVAL));
        assert!(!answers.take(second, start + second / PER_INTERVAL));
        let much_later = start + second * 100;
        assert_eq!((0..100).filter(|_| answers.take(second, much_later)).count(), PER_INTERVAL as usize);
    }

    /// A hundred thousand a second for three seconds, of both kinds that are answered.
    #[test]
    fn a_flood_is_answered_a_few_times_and_our_own_advertisements_keep_their_time() {
        for priority in [50, 0] {
            let mut bench = Bench::new();
            bench.feed(Event::Interface(facts(true)));
            bench.feed(plan(vec![router_plan(255)]));
            let step = Duration::from_micros(10);
            let (mut sent, mut last, mut longest) = (0, bench.now, Duration::ZERO);
            for _ in 0..300_000 {
                bench.now += step;
                let mut said = bench.feed(advert(priority, BELOW));
                if bench.core.next_timeout().is_some_and(|at| at <= bench.now) {
                    said.extend(bench.timeout());
                }
                let adverts = said.iter().filter(|word| *word == "advert 255").count();
                if adverts > 0 {
                    longest = longest.max(bench.now.saturating_duration_since(last));
                    last = bench.now;
                }
                sent += adverts;
            }
            assert!(longest <= Duration::from_secs(1), "priority {priority}: silent for {longest:?}");
            assert!(sent <= 3 + 4 * PER_INTERVAL as usize, "priority {priority}: {sent} in three seconds");
        }
    }
}
