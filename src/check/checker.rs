//! One checker: turns outcomes into verdicts and says how long to wait.
//!
//! As keepalived: before the first verdict one failure is enough; later `retry` failures are tolerated, spaced by
//! `delay_before_retry`; one success brings the server up. A web check asks one url per run; the one that brought the
//! server down is asked alone until it answers, then all are asked again before the server is up.

use super::Verdict;
use super::latencies::Latencies;
use super::probe::Outcome;
use crate::plan::check::{CheckKind, HttpCheck, Question, Schedule, WeightChange};
use std::sync::Arc;
use std::time::Duration;

/// The first check waits this long, plus a random part of `warmup`.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);

/// No two runs of a checker are closer than this, whatever the configuration says: the machine must not spin.
pub const MIN_DELAY: Duration = Duration::from_millis(10);

/// What a checker believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// No verdict yet.
    Unknown,
    /// In order.
    Up,
    /// Not in order.
    Down,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Checker {
    question: Arc<Question>,
    belief: Belief,
    part: u32,
    /// The part that brought or keeps the server down.
    failed_part: Option<u32>,
    failures: u32,
    /// Successes in a row while down.
    successes: u32,
    last_result: Option<Box<str>>,
    latencies: Latencies,
    weight: WeightChange,
}

/// What follows from an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Wait this long before the next run.
    pub delay: Duration,
    /// A change of belief.
    pub verdict: Option<Verdict>,
    /// A change of what the answers say of the weight.
    pub weight: Option<WeightChange>,
    /// A failure that changes nothing, where each is to be said.
    pub tolerated: Option<String>,
}

impl Checker {
    /// A checker that knows nothing.
    pub fn new(question: Arc<Question>) -> Checker {
        Checker {
            question,
            belief: Belief::Unknown,
            part: 0,
            failed_part: None,
            failures: 0,
            successes: 0,
            last_result: None,
            latencies: Latencies::default(),
            weight: WeightChange::By(0),
        }
    }

    /// What it asks.
    pub fn question(&self) -> &Arc<Question> {
        &self.question
    }

    /// An equal question, which is held instead.
    pub fn ask(&mut self, question: Arc<Question>) {
        self.question = question;
    }

    fn schedule(&self) -> &Schedule {
        &self.question.schedule
    }

    fn is_web(&self) -> bool {
        matches!(self.question.kind, CheckKind::Http(_))
    }

    /// Time between runs while down.
    fn down_delay(&self) -> Duration {
        let Schedule { delay_loop, delay_before_retry, .. } = *self.schedule();
        if self.is_web() { delay_loop.max(delay_before_retry) } else { delay_loop }
    }

    /// Go on with what a process before this one believed.
    pub fn go_on(&mut self, down: Option<&str>, weight: WeightChange) {
        self.belief = if down.is_some() { Belief::Down } else { Belief::Up };
        self.last_result = down.map(Box::from);
        self.weight = weight;
    }

    /// Time to the first run; `random` is uniform over all of u64.
    pub fn first_delay(&self, random: u64) -> Duration {
        FIRST_DELAY + self.schedule().warmup.mul_f64(random as f64 / u64::MAX as f64)
    }

    /// Which part (url) to ask next.
    pub fn part(&self) -> usize {
        self.part as usize
    }

    /// What it believes.
    pub fn belief(&self) -> Belief {
        self.belief
    }

    /// The last outcome in words.
    pub fn last_result(&self) -> Option<&str> {
        self.last_result.as_deref()
    }

    /// Time the last success took.
    pub fn latency(&self) -> Option<Duration> {
        self.latencies.last()
    }

    /// Times of the last successes.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What the answers say of the weight.
    pub fn weight(&self) -> WeightChange {
        self.weight
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A run has ended after `latency`.
    pub fn finished(&mut self, outcome: Outcome, latency: Duration) -> Next {
        let (mut weight, mut tolerated) = (None, None);
        let (delay, verdict) = match outcome {
            Outcome::Success(words) => {
                self.last_result = Some(words.into());
                self.latencies.add(latency);
                self.succeeded()
            }
            Outcome::Weighed(words, change) => {
                self.last_result = Some(words.into());
                self.latencies.add(latency);
                weight = (std::mem::replace(&mut self.weight, change) != change).then_some(change);
                self.succeeded()
            }
            Outcome::Failure(cause) => {
                self.last_result = Some(cause.as_str().into());
                let (delay, verdict) = self.failed(cause.clone());
                if self.schedule().log_failures && verdict.is_none() && self.belief == Belief::Up {
                    tolerated = Some(cause);
                }
                (delay, verdict)
            }
            // Our own trouble says nothing about the server: only ask again.
            Outcome::NotRun(why) => {
                self.last_result = Some(format!("not run: {why}").into());
                (self.schedule().delay_loop, None)
            }
        };
        // Runs of a program are counted from their start.
        let from_start = matches!(self.question.kind, CheckKind::Misc(_));
        let delay = if from_start { delay.saturating_sub(latency) } else { delay };
        Next { delay: delay.max(MIN_DELAY), verdict, weight, tolerated }
    }

    /// Something that is listened to says so: no retries, no time.
    pub fn heard(&mut self, outcome: Outcome) -> Next {
        let (mut verdict, mut weight) = (None, None);
        match outcome {
            Outcome::NotRun(words) => self.last_result = Some(words.into()),
            Outcome::Success(words) => {
                self.last_result = Some(words.into());
                verdict = (self.belief != Belief::Up).then_some(Verdict::Up);
                self.belief = Belief::Up;
            }
            Outcome::Weighed(words, change) => {
                self.last_result = Some(words.into());
                weight = (std::mem::replace(&mut self.weight, change) != change).then_some(change);
                verdict = (self.belief != Belief::Up).then_some(Verdict::Up);
                self.belief = Belief::Up;
            }
            Outcome::Failure(cause) => {
                self.last_result = Some(cause.as_str().into());
                verdict = (self.belief != Belief::Down).then_some(Verdict::Down(cause));
                self.belief = Belief::Down;
            }
        }
        Next { delay: Duration::ZERO, verdict, weight, tolerated: None }
    }

    fn succeeded(&mut self) -> (Duration, Option<Verdict>) {
        self.failures = 0;
        let repeated = self.failed_part.take().is_some() && self.is_web();
        let fast = matches!(self.question.kind, CheckKind::Http(HttpCheck { fast_recovery: true, .. }));
        let delay = match self.belief {
            Belief::Down if fast => Duration::ZERO,
            Belief::Down => self.down_delay(),
            Belief::Unknown | Belief::Up => self.schedule().delay_loop,
        };
        if repeated {
            // The round starts anew even where there is one url only, as seen of keepalived 2.2.7.
            self.part = 0;
            return (delay, None);
        }
        self.part += 1;
        if self.part() < self.question.kind.parts() {
            return (delay, None);
        }
        self.part = 0;
        self.successes = self.successes.saturating_add(1);
        if self.belief == Belief::Down && self.successes < self.schedule().rise {
            return (self.schedule().delay_loop, None);
        }
        let verdict = (self.belief != Belief::Up).then_some(Verdict::Up);
        self.belief = Belief::Up;
        (self.schedule().delay_loop, verdict)
    }

    fn failed(&mut self, cause: String) -> (Duration, Option<Verdict>) {
        self.failures = self.failures.saturating_add(1);
        self.successes = 0;
        let tolerated = match (self.schedule().fall, self.belief) {
            (0, Belief::Up) => self.schedule().retry,
            (0, _) | (_, Belief::Down) => 0,
            (fall, _) => fall - 1, // at least 1
        };
        if self.failures <= tolerated {
            return (self.schedule().delay_before_retry, None);
        }
        self.failed_part = Some(self.part);
        let verdict = (self.belief != Belief::Down).then_some(Verdict::Down(cause));
        self.belief = Belief::Down;
        (self.down_delay(), verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{http, tcp};
    use super::*;

    fn asking(question: Question) -> Checker {
        Checker::new(Arc::new(question))
    }

    fn ok() -> Outcome {
        Outcome::Success("fine".into())
    }

    fn bad() -> Outcome {
        Outcome::Failure("refused".into())
    }

    /// Runs `outcomes` (`+` success, `-` failure, `?` not run); per run: the part asked, seconds to the next, verdict.
    fn run(checker: &mut Checker, outcomes: &str) -> Vec<String> {
        let one = |symbol| {
            let part = checker.part();
            let outcome = match symbol {
                '+' => ok(),
                '-' => bad(),
                _ => Outcome::NotRun("no socket".into()),
            };
            let next = checker.finished(outcome, Duration::from_millis(1));
            let verdict = match next.verdict {
                Some(Verdict::Up) => " UP",
                Some(Verdict::Down(_)) => " DOWN",
                None => "",
            };
            format!("{part}:{}{verdict}", next.delay.as_secs())
        };
        outcomes.chars().map(one).collect()
    }

    #[test]
    fn before_the_first_verdict_one_failure_is_enough() {
        // delay_loop 6, retry 2, delay_before_retry 3
        assert_eq!(run(&mut asking(tcp()), "--"), ["0:6 DOWN", "0:6"]);
    }

    #[test]
    fn a_server_that_is_up_may_fail_as_often_as_retry_says() {
        let seen = run(&mut asking(tcp()), "+-+---+");
        assert_eq!(seen, ["0:6 UP", "0:3", "0:6", "0:3", "0:3", "0:6 DOWN", "0:6 UP"]);
    }

    #[test]
    fn trouble_of_our_own_changes_nothing() {
        assert_eq!(
            run(&mut asking(tcp()), "?+?-?--"),
            ["0:6", "0:6 UP", "0:6", "0:3", "0:6", "0:3", "0:6 DOWN"]
        );
    }

    #[test]
    fn all_urls_answer_before_the_server_is_up() {
        let mut checker = asking(http(3));
        assert_eq!(run(&mut checker, "++"), ["0:6", "1:6"]);
        assert_eq!(checker.belief(), Belief::Unknown);
        assert_eq!(run(&mut checker, "+"), ["2:6 UP"]);
    }

    #[test]
    fn the_url_that_failed_is_asked_alone_and_then_all_again() {
        let mut checker = asking(http(3));
        assert_eq!(run(&mut checker, "+++"), ["0:6", "1:6", "2:6 UP"]);
        assert_eq!(run(&mut checker, "+---"), ["0:6", "1:3", "1:3", "1:6 DOWN"]);
        assert_eq!(run(&mut checker, "-+"), ["1:6", "1:6"]);
        assert_eq!(run(&mut checker, "+++"), ["0:6", "1:6", "2:6 UP"]);
    }

    #[test]
    fn another_url_that_fails_meanwhile_takes_the_place() {
        let mut checker = asking(http(2));
        assert_eq!(run(&mut checker, "-+"), ["0:6 DOWN", "0:6"]);
        assert_eq!(run(&mut checker, "+--+++"), ["0:6", "1:6", "1:6", "1:6", "0:6", "1:6 UP"]);
    }

    #[test]
    fn a_single_url_that_recovers_is_asked_once_more_as_by_keepalived() {
        assert_eq!(run(&mut asking(http(1)), "-++"), ["0:6 DOWN", "0:6", "0:6 UP"]);
    }

    #[test]
    fn a_web_server_that_is_down_waits_for_the_longer_delay() {
        let mut question = http(1);
        question.manner_mut().schedule.delay_before_retry = Duration::from_secs(20);
        assert_eq!(run(&mut asking(question.clone()), "--"), ["0:20 DOWN", "0:20"]);
        let mut question = tcp();
        question.manner_mut().schedule.delay_before_retry = Duration::from_secs(20);
        assert_eq!(run(&mut asking(question.clone()), "--"), ["0:6 DOWN", "0:6"]);
    }

    #[test]
    fn the_first_run_is_spread_over_the_warmup() {
        let checker = asking(tcp()); // warmup 10 s
        assert_eq!(checker.first_delay(0), Duration::from_secs(1));
        assert_eq!(checker.first_delay(u64::MAX), Duration::from_secs(11));
        let half = checker.first_delay(u64::MAX / 2).as_secs_f64();
        assert!((half - 6.0).abs() < 1e-6, "{half}");
    }

    #[test]
    fn fast_recovery_asks_the_urls_one_after_the_other() {
        let mut question = http(2);
        if let CheckKind::Http(check) = &mut question.manner_mut().kind {
            check.fast_recovery = true;
        }
        let seen = run(&mut asking(question.clone()), "-+++");
        assert_eq!(seen, ["0:6 DOWN", "0:0", "0:0", "1:6 UP"]);
    }

    #[test]
    fn rise_asks_for_successes_in_a_row() {
        let mut question = tcp();
        question.manner_mut().schedule.rise = 3;
        let seen = run(&mut asking(question.clone()), "-++-+++");
        assert_eq!(seen, ["0:6 DOWN", "0:6", "0:6", "0:6", "0:6", "0:6", "0:6 UP"]);
    }

    #[test]
    fn fall_asks_for_failures_in_a_row_from_the_first_check_on() {
        let mut question = tcp();
        question.manner_mut().schedule.fall = 3;
        let seen = run(&mut asking(question.clone()), "--+-+---");
        assert_eq!(seen, ["0:3", "0:3", "0:6 UP", "0:3", "0:6", "0:3", "0:3", "0:6 DOWN"]);
        assert_eq!(run(&mut asking(question.clone()), "----"), ["0:3", "0:3", "0:6 DOWN", "0:6"]);
        question.manner_mut().schedule.fall = 1;
        assert_eq!(run(&mut asking(question.clone()), "+-"), ["0:6 UP", "0:6 DOWN"]);
    }

    #[test]
    fn each_tolerated_failure_is_said_where_that_is_wanted() {
        let mut question = tcp();
        let tolerated = |question: &Question| {
            let mut checker = asking(question.clone());
            let mut said = Vec::new();
            for outcome in [ok(), bad(), ok(), bad(), bad(), bad(), bad()] {
                said.push(checker.finished(outcome, Duration::ZERO).tolerated.is_some());
            }
            said
        };
        assert_eq!(tolerated(&question), [false; 7]);
        question.manner_mut().schedule.log_failures = true;
        assert_eq!(tolerated(&question), [false, true, false, true, true, false, false]);
    }

    #[test]
    fn weights_are_told_when_they_change() {
        let mut checker = asking(tcp());
        let mut weigh =
            |change| checker.finished(Outcome::Weighed("w".into(), change), Duration::ZERO).weight;
        assert_eq!(weigh(WeightChange::By(0)), None);
        assert_eq!(weigh(WeightChange::To(7)), Some(WeightChange::To(7)));
        assert_eq!(weigh(WeightChange::To(7)), None);
        assert_eq!(weigh(WeightChange::By(0)), Some(WeightChange::By(0)));
    }

    #[test]
    fn no_schedule_makes_it_spin() {
        let mut question = tcp();
        question.manner_mut().schedule.delay_loop = Duration::ZERO;
        assert_eq!(asking(question.clone()).finished(ok(), Duration::ZERO).delay, MIN_DELAY);
    }
}
