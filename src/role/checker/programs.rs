//! MISC_CHECK: the scripts role runs the program; here it is ordered and waited for.

use super::Finished;
use crate::check::CheckId;
use crate::check::probe::{Outcome, misc};
use crate::plan::check::MiscCheck;
use crate::plan::scripts::{RunOrder, RunReport};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// How long after its own timeout a program's end may reach us: the scripts role may be busy, or be started anew.
const GRACE: Duration = Duration::from_secs(10);

/// Programs that are ordered and not heard of; as many as conversations at a time, and some that were given up.
const MAX_WAITING: usize = 1024;

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
                        output = report.output;
                        outcome
                    }
                    Ok(Err(_)) => Outcome::NotRun("too many programs of checks are waited for".into()),
                    Err(_) => Outcome::NotRun("the scripts role did not say how the program ended".into()),
                },
            };
            // Fails only when the role has ended.
            let latency = started.elapsed();
            let _ended = on_finished.send(Finished { check: id, outcome, latency, output }).await;
        }
    }

    fn order(&mut self, check: &MiscCheck, tell: oneshot::Sender<RunReport>) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.retain(|_, tell| !tell.is_closed());
        }
        if self.waiting.len() >= MAX_WAITING {
            return;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.waiting.insert(number, tell);
        let command = (*check.command).clone();
        self.orders.push_back(RunOrder { number, command, timeout: check.timeout });
    }

    /// An order that has not left yet. One that nobody waits for any more never does.
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
