//! MISC_CHECK: the scripts role runs the program; here it is ordered and waited for.

use super::converse::Finished;
use crate::check::probe::{Outcome, misc};
use crate::check::{CheckId, MAX_PROGRAMS};
use crate::plan::check::MiscCheck;
use crate::plan::scripts::{RunOrder, RunReport};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// How long after its own timeout a program's end may reach us: the scripts role may be busy, or be started anew.
const GRACE: Duration = Duration::from_secs(10);

/// Orders that are remembered before those that nobody waits for any more are forgotten: no more than [`MAX_PROGRAMS`] are
/// waited for.
const REMEMBERED: usize = 2 * MAX_PROGRAMS;

/// Orders under way.
pub struct Programs {
    next: u64,
    orders: VecDeque<RunOrder>,
    waiting: BTreeMap<u64, oneshot::Sender<RunReport>>,
}

impl Programs {
    /// None under way. Numbers begin at `first`: what a process before this one ordered is not mistaken for ours.
    pub fn new(first: u64) -> Programs {
        Programs { next: first, orders: VecDeque::new(), waiting: BTreeMap::new() }
    }

    /// Orders a run; the future waits for its end and tells it.
    pub fn run(
        &mut self,
        check: &MiscCheck,
        id: CheckId,
        on_finished: mpsc::Sender<Finished>,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let known = misc::cannot_run(check);
        let (tell, told) = oneshot::channel();
        if known.is_none() {
            self.order(check, tell);
        }
        let check = check.clone();
        async move {
            let started = Instant::now();
            let mut output = String::new();
            let outcome = match known {
                Some(outcome) => outcome,
                None => match timeout(check.timeout + GRACE, told).await {
                    Ok(Ok(report)) => {
                        let outcome = misc::outcome(&check, &report.end, &report.output);
                        if matches!(outcome, Outcome::Failure(_)) {
                            output = report.output;
                        }
                        outcome
                    }
                    _ => Outcome::NotRun("the scripts role did not say how the program ended".into()),
                },
            };
            let latency = started.elapsed();
            // Fails only when the role has ended.
            let _ended = on_finished.send(Finished { check: id, outcome, latency, output }).await;
        }
    }

    fn order(&mut self, check: &MiscCheck, tell: oneshot::Sender<RunReport>) {
        if self.waiting.len() >= REMEMBERED {
            self.waiting.retain(|_, tell| !tell.is_closed());
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.waiting.insert(number, tell);
        let command = (*check.command).clone();
        self.orders.push_back(RunOrder { number, command, timeout: check.timeout });
    }

    /// An order that has not left yet. One that nobody waits for any more never leaves.
    pub fn next_order(&mut self) -> Option<RunOrder> {
        loop {
            let order = self.orders.pop_front()?;
            match self.waiting.get(&order.number) {
                Some(tell) if !tell.is_closed() => return Some(order),
                _ => self.waiting.remove(&order.number),
            };
        }
    }

    /// A program has ended.
    pub fn ended(&mut self, report: RunReport) {
        if let Some(tell) = self.waiting.remove(&report.number) {
            // Nobody waits for a check that is gone.
            tell.send(report).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scripts::Unrunnable;

    #[test]
    fn what_nobody_waits_for_never_leaves_and_is_forgotten() {
        let check = MiscCheck {
            command: Box::default(),
            timeout: Duration::from_secs(6),
            dynamic: false,
            unrunnable: Unrunnable::Dropped,
        };
        let mut programs = Programs::new(5);
        let (on_finished, _finished) = mpsc::channel(1);
        let mut run = |id| programs.run(&check, CheckId(id), on_finished.clone());
        let first = run(0);
        drop(run(1));
        let third = run(2);
        let sent: Vec<u64> = std::iter::from_fn(|| programs.next_order()).map(|order| order.number).collect();
        assert_eq!(sent, [5, 7]);
        drop(first);
        for id in 0..10 * REMEMBERED as u64 {
            drop(programs.run(&check, CheckId(id), on_finished.clone()));
        }
        assert!(programs.waiting.len() <= REMEMBERED, "{}", programs.waiting.len());
        assert!(programs.waiting.contains_key(&7), "one that is waited for is not forgotten");
        assert_eq!(programs.next_order(), None);
        drop(third);
    }
}
