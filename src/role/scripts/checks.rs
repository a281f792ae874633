//! Programs that run for health checks: the checker role never starts a process itself.

use super::runner::{self, Printed, Push};
use crate::check::MAX_PROGRAMS;
use crate::plan::scripts::{RunEnd, RunOrder, RunReport};
use crate::track::scripts::{Ending, GRACE};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// Programs that run at once; the checker role orders no more.
const MAX_RUNNING: usize = MAX_PROGRAMS;

/// Orders that run or wait: those whose check is gone run to their end beside those of new checks.
const MAX_ORDERS: usize = 1024;

/// Signals that may wait for one run.
const PUSHES: usize = 4;

/// What runs and waits.
pub struct CheckRuns {
    room: Arc<Semaphore>,
    tasks: JoinSet<u64>,
    pushes: BTreeMap<u64, mpsc::Sender<Push>>,
    report: mpsc::Sender<RunReport>,
    reports: mpsc::Receiver<RunReport>,
    serial: u64,
}

impl Default for CheckRuns {
    fn default() -> CheckRuns {
        let (report, reports) = mpsc::channel(MAX_ORDERS);
        let room = Arc::new(Semaphore::new(MAX_RUNNING));
        CheckRuns { room, tasks: JoinSet::new(), pushes: BTreeMap::new(), report, reports, serial: 0 }
    }
}

impl CheckRuns {
    /// Runs a program once there is room. What is too much is answered at once.
    pub fn order(&mut self, order: RunOrder) {
        self.tidy();
        let report = self.report.clone();
        if self.tasks.len() >= MAX_ORDERS {
            let end = RunEnd::NoProcess(format!("{MAX_ORDERS} programs of checks run or wait already"));
            let refusal =
                RunReport { number: order.number, end, output: String::new(), took: Duration::ZERO };
            // A full channel means that nobody reads: the checker's own clock ends the wait.
            report.try_send(refusal).ok();
            return;
        }
        self.serial += 1;
        let (serial, room) = (self.serial, self.room.clone());
        let (push, pushed) = mpsc::channel(PUSHES);
        self.pushes.insert(serial, push.clone());
        self.tasks.spawn(async move {
            if let Ok(_place) = room.acquire().await {
                run(order, push, pushed, report).await;
            }
            serial
        });
    }

    /// The next end of a program. Dropping the future loses nothing.
    pub async fn turn(&mut self) -> RunReport {
        loop {
            // The channel is never closed: this holds a sender of it.
            if let Some(report) = self.reports.recv().await {
                return report;
            }
        }
    }

    /// Ends what runs, the hard way what does not end by itself within `moment`.
    pub async fn end(&mut self, moment: Duration) {
        self.room.close();
        for signal in [Push::Terminate, Push::Kill] {
            for push in self.pushes.values() {
                // A full queue holds a SIGKILL already.
                push.try_send(signal).ok();
            }
            let all = async { while self.tasks.join_next().await.is_some() {} };
            if timeout(moment, all).await.is_ok() {
                return;
            }
        }
        warn!("{} programs of health checks did not end", self.tasks.len());
    }

    fn tidy(&mut self) {
        while let Some(Ok(serial)) = self.tasks.try_join_next() {
            self.pushes.remove(&serial);
        }
    }
}

/// One run. A time-out is reported when it happens, not when the process is gone.
async fn run(
    order: RunOrder,
    push: mpsc::Sender<Push>,
    pushed: mpsc::Receiver<Push>,
    report: mpsc::Sender<RunReport>,
) {
    let started = Instant::now();
    let number = order.number;
    let say = |end, output| {
        let took = started.elapsed();
        report.try_send(RunReport { number, end, output, took }).ok();
    };
    let printed = Printed::default();
    let running = runner::run_showing(&order.command, pushed, printed.clone());
    tokio::pin!(running);
    if let Ok((ending, output)) = timeout(order.timeout, &mut running).await {
        return say(end(ending), output);
    }
    say(RunEnd::TimedOut, printed.text());
    push.try_send(Push::Terminate).ok();
    if timeout(GRACE, &mut running).await.is_err() {
        push.try_send(Push::Kill).ok();
        running.await;
    }
}

fn end(ending: Ending) -> RunEnd {
    match ending {
        Ending::Exited(status) => RunEnd::Exited(status),
        Ending::Signalled(name) => RunEnd::Signalled(name),
        Ending::NotExecuted(why) => RunEnd::NotExecuted(why),
        Ending::NoProcess(why) => RunEnd::NoProcess(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scripts::CommandPlan;

    fn order(number: u64, script: &str, timeout: Duration) -> RunOrder {
        let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        RunOrder { number, command: CommandPlan { words, ..CommandPlan::default() }, timeout }
    }

    #[test]
    fn programs_run_and_their_ends_are_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut runs = CheckRuns::default();
            let long = Duration::from_secs(60);
            runs.order(order(1, "exit 0", long));
            runs.order(order(2, "echo no disk; exit 7", long));
            // It has printed before the time is over, however slow this machine is.
            runs.order(order(3, "echo no answer; exec sleep 600", Duration::from_secs(2)));
            runs.order(order(4, "kill -9 $$", long));
            let missing = CommandPlan { words: vec!["/does/not/exist".into()], ..CommandPlan::default() };
            runs.order(RunOrder { number: 5, command: missing, timeout: long });
            let mut seen = BTreeMap::new();
            while seen.len() < 5 {
                let report = runs.turn().await;
                seen.insert(report.number, (report.end, report.output));
            }
            assert_eq!(seen[&1], (RunEnd::Exited(0), String::new()));
            assert_eq!(seen[&2], (RunEnd::Exited(7), "no disk".into()));
            assert_eq!(seen[&3], (RunEnd::TimedOut, "no answer".into()));
            assert_eq!(seen[&4].0, RunEnd::Signalled("SIGKILL".into()));
            assert!(matches!(seen[&5].0, RunEnd::NotExecuted(_)), "{:?}", seen[&5]);
            // The one that was too slow goes, and so does what still runs at the end.
            runs.order(order(6, "trap '' TERM; while :; do sleep 1; done", long));
            runs.end(Duration::from_millis(300)).await;
            assert!(runs.tasks.is_empty());
        });
    }

    #[test]
    fn more_than_runs_at_once_waits_and_none_is_lost() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut runs = CheckRuns::default();
            let count = MAX_RUNNING as u64 + 10;
            for number in 0..count {
                runs.order(order(number, "exit 0", Duration::from_secs(60)));
            }
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < count as usize {
                let report = runs.turn().await;
                assert_eq!(report.end, RunEnd::Exited(0));
                seen.insert(report.number);
            }
        });
    }
}
