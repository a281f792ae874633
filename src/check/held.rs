//! Verdicts that outlive the process: what a checker believed is told to its successor, which goes on from there instead
//! of beginning with servers of which nothing is known.

use super::checker::Belief;
use super::{Check, CheckId, Checks};
use crate::plan::check::{Question, WeightChange};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// What one check believes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldVerdict {
    /// [`print_of`] its question.
    pub question: u64,
    /// Why its servers are down; `None` where they are up.
    pub down: Option<String>,
    /// What it says of their weight.
    pub weight: WeightChange,
    /// Since when, in nanoseconds since boot.
    pub since_boot: u64,
}

/// A number for a question, the same in every process of one build.
pub fn print_of(question: &Question) -> u64 {
    let mut hasher = DefaultHasher::new();
    question.hash(&mut hasher);
    hasher.finish()
}

/// What is held of `question`, of a list in the order of [`HeldVerdict::question`].
pub fn find<'a>(all: &'a [HeldVerdict], question: &Question) -> Option<&'a HeldVerdict> {
    let at = all.binary_search_by_key(&print_of(question), |held| held.question);
    at.ok().and_then(|at| all.get(at))
}

impl Checks {
    /// What this check believes; `None` while it believes nothing, or is gone. `now` and `boot` are one moment by two clocks.
    pub fn held(&self, check: CheckId, now: Instant, boot: u64) -> Option<HeldVerdict> {
        self.checks.get(&check)?.held(now, boot)
    }

    /// What all of them believe.
    pub fn all_held(&self, now: Instant, boot: u64) -> Vec<HeldVerdict> {
        self.checks.values().filter_map(|check| check.held(now, boot)).collect()
    }

    /// What a process before this one believed, in the order of [`find`]: to be called when the first plan is in force. Answers count on from
    /// there, and when to ask stays as it is.
    pub fn restore(&mut self, all: &[HeldVerdict], now: Instant, boot: u64) {
        for check in self.checks.values_mut().filter(|check| check.machine.belief() == Belief::Unknown) {
            if let Some(held) = find(all, check.machine.question()) {
                check.machine.go_on(held.down.as_deref(), held.weight);
                check.since = Instant(now.0.saturating_sub(boot.saturating_sub(held.since_boot)));
            }
        }
    }
}

impl Check {
    fn held(&self, now: Instant, boot: u64) -> Option<HeldVerdict> {
        let down = match self.machine.belief() {
            Belief::Unknown => return None,
            Belief::Up => None,
            Belief::Down => Some(self.machine.last_result().unwrap_or("it failed").to_owned()),
        };
        let age = now.saturating_duration_since(self.since).as_nanos() as u64;
        Some(HeldVerdict {
            question: print_of(self.machine.question()),
            down,
            weight: self.machine.weight(),
            since_boot: boot.saturating_sub(age),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::Outcome;
    use super::super::samples::{tcp, tcp_of};
    use super::super::{Action, Event, Verdict};
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    fn begun(questions: &[Question], now: Instant) -> Checks {
        let mut checks = Checks::new(10);
        checks.handle(super::super::samples::plan(questions), now, &mut Vec::new());
        checks
    }

    fn fails(checks: &mut Checks, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        checks.handle_timeout(now, &mut actions);
        let Some(Action::Start { check, .. }) = actions.first() else { return actions };
        let (check, outcome) = (CheckId(check.0), Outcome::Failure("refused".into()));
        let mut said = Vec::new();
        checks.handle(Event::Finished { check, outcome, latency: Duration::ZERO }, now, &mut said);
        said
    }

    #[test]
    fn a_server_that_was_up_has_its_retries_still() {
        let held = HeldVerdict {
            question: print_of(&tcp()),
            down: None,
            weight: WeightChange::By(0),
            since_boot: at(70).0,
        };
        let mut checks = begun(&[tcp(), tcp_of("192.0.2.2:80")], at(1000));
        checks.restore(&[held], at(1000), at(100).0);
        let view = checks.view(&tcp()).expect("it is asked");
        assert_eq!((view.machine.belief(), view.since), (Belief::Up, at(970)), "up for 30 s");
        assert_eq!(checks.all_held(at(1000), at(100).0).len(), 1, "nothing is known of the other");
        let mut checks = begun(&[tcp()], at(1000));
        let fresh = fails(&mut checks, at(1020));
        assert!(fresh.iter().any(|a| matches!(a, Action::Verdict(_, Verdict::Down(_)))), "{fresh:?}");
        let down = checks.all_held(at(1020), at(120).0);
        assert_eq!(down[0].down.as_deref(), Some("refused"));
        let mut checks = begun(&[tcp()], at(1000));
        let up = HeldVerdict { down: None, ..down[0].clone() };
        checks.restore(&[up], at(1000), at(100).0);
        let tolerated = fails(&mut checks, at(1020));
        assert!(!tolerated.iter().any(|a| matches!(a, Action::Verdict(..))), "{tolerated:?}");
    }
}
