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

/// Programs that run or wait in the scripts role at a time; it takes some more. The others wait here, and their time has
/// not begun.
const MAX_SENT: usize = 512;

/// Orders under way.
pub struct Programs {
    next: u64,
    orders: VecDeque<Order>,
    sent: BTreeMap<u64, oneshot::Sender<RunReport>>,
}

/// An order that has not left.
struct Order {
    order: RunOrder,
    begin: oneshot::Sender<()>,
    tell: oneshot::Sender<RunReport>,
}

impl Programs {
    /// None under way. Numbers begin at `first`: what a process before this one ordered is not mistaken for ours.
    pub fn new(first: u64) -> Programs {
        Programs { next: first, orders: VecDeque::new(), sent: BTreeMap::new() }
    }

    /// Orders a run; the future waits for its end and tells it.
    pub fn run(
        &mut self,
        check: &MiscCheck,
        id: CheckId,
        on_finished: mpsc::Sender<Finished>,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let known = misc::cannot_run(check);
        let (begin, begun) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        if known.is_none() {
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            let command = (*check.command).clone();
            let order = RunOrder { number, command, timeout: check.timeout };
            self.orders.push_back(Order { order, begin, tell });
        }
        let check = check.clone();
        async move {
            if known.is_none() {
                // Fails only when the role has ended.
                begun.await.ok();
            }
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
                    _ => Outcome::NotRun("the scripts role did not say how the program ended".into()),
                },
            };
            let latency = started.elapsed();
            // Fails only when the role has ended.
            let _ended = on_finished.send(Finished { check: id, outcome, latency, output }).await;
        }
    }

    /// An order that has not left yet, if the scripts role has room. One that nobody waits for any more never leaves.
    pub fn next_order(&mut self) -> Option<RunOrder> {
        if self.sent.len() >= MAX_SENT {
            self.sent.retain(|_, tell| !tell.is_closed());
        }
        while self.sent.len() < MAX_SENT {
            let Order { order, begin, tell } = self.orders.pop_front()?;
            if !tell.is_closed() {
                begin.send(()).ok();
                self.sent.insert(order.number, tell);
                return Some(order);
            }
        }
        None
    }

    /// A program has ended.
    pub fn ended(&mut self, report: RunReport) {
        if let Some(tell) = self.sent.remove(&report.number) {
            // Nobody waits for a check that is gone.
            tell.send(report).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scripts::{RunEnd, Unrunnable};

    #[test]
    fn what_the_scripts_role_has_no_room_for_waits_and_is_not_late() {
        let check = MiscCheck {
            command: Box::default(),
            timeout: Duration::from_secs(6),
            dynamic: false,
            unrunnable: Unrunnable::Dropped,
        };
        let mut programs = Programs::new(5);
        let (on_finished, _finished) = mpsc::channel(1);
        let mut futures: Vec<_> = (0..MAX_SENT as u64 + 3)
            .map(|id| Some(Box::pin(programs.run(&check, CheckId(id), on_finished.clone()))))
            .collect();
        let sent: Vec<u64> = std::iter::from_fn(|| programs.next_order()).map(|order| order.number).collect();
        assert_eq!((sent.len(), sent[0]), (MAX_SENT, 5));
        let report =
            RunReport { number: 5, end: RunEnd::Exited(0), output: String::new(), took: Duration::ZERO };
        programs.ended(report);
        assert_eq!(programs.next_order().map(|order| order.number), Some(5 + MAX_SENT as u64));
        assert_eq!(programs.next_order(), None);
        // A check that is gone makes room, and its order never leaves.
        futures[MAX_SENT + 1] = None;
        futures[1] = None;
        assert_eq!(programs.next_order().map(|order| order.number), Some(7 + MAX_SENT as u64));
    }
}
