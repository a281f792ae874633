//! Traffic by hand: orders go to the checker role, what comes of them into a file. The file is written by a thread, so
//! that a disk that hangs stops nobody's heartbeat; an answer waits for it.

use super::overrides_file;
use super::run::Supervisor;
use super::worker::Worker;
use crate::link::ToChecker;
use crate::link::control::Answer;
use crate::link::frame::encode;
use crate::lvs::traffic::Overrides;
use crate::lvs::traffic::orders::Order;
use crate::report::TrafficOutcome;
use std::path::PathBuf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Writes and answers that may wait for the disk.
const JOBS: usize = 64;

/// Orders under way; clients are fewer.
const PENDING: usize = 64;

/// Orders under way, and what is kept.
#[derive(Debug)]
pub struct Traffic {
    number: u64,
    pending: Vec<Pending>,
    /// What a checker role that starts hears.
    overrides: Overrides,
    /// The file, until the keeper is started.
    file: PathBuf,
    keeper: Option<mpsc::Sender<Job>>,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    until: Instant,
    caller: oneshot::Sender<Answer>,
}

/// Something for the keeper, in order.
#[derive(Debug)]
enum Job {
    Keep(Overrides),
    Answer(Box<TrafficOutcome>, oneshot::Sender<Answer>),
}

impl Traffic {
    /// With what the file says. One that makes no sense is said, and nothing is overridden.
    pub fn from_file(file: PathBuf) -> Traffic {
        let overrides = overrides_file::read(&file).unwrap_or_else(|why| {
            tracing::error!("{why}; what was drained or weighted by hand serves as configured");
            Overrides::default()
        });
        Traffic { number: 0, pending: Vec::new(), overrides, file, keeper: None }
    }

    /// When patience with an order ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.iter().map(|order| order.until).min()
    }

    fn keeper(&mut self) -> &mpsc::Sender<Job> {
        let file = &self.file;
        self.keeper.get_or_insert_with(|| {
            let (jobs, todo) = mpsc::channel(JOBS);
            tokio::spawn(keep(file.clone(), todo));
            jobs
        })
    }

    fn keep(&mut self, overrides: Overrides) {
        self.overrides = overrides.clone();
        if self.keeper().try_send(Job::Keep(overrides)).is_err() {
            tracing::error!(
                "{}: the disk does not take what is said of traffic by hand; a restart forgets it",
                self.file.display()
            );
        }
    }
}

/// Writes what is to be kept, and answers what was ordered, one after the other.
async fn keep(file: PathBuf, mut todo: mpsc::Receiver<Job>) {
    let mut trouble: Option<String> = None;
    while let Some(job) = todo.recv().await {
        match job {
            Job::Keep(overrides) => {
                let path = file.clone();
                let written =
                    tokio::task::spawn_blocking(move || overrides_file::write(&path, &overrides)).await;
                trouble = match written {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(error) => Some(error.to_string()),
                };
                if let Some(why) = &trouble {
                    tracing::error!("{} cannot be written: {why}; {FORGOTTEN}", file.display());
                }
            }
            Job::Answer(mut outcome, caller) => {
                let why = trouble
                    .iter()
                    .map(|why| format!("{} cannot be written: {why}; {FORGOTTEN}", file.display()));
                outcome.trouble.extend(why);
                // A caller that went away does not want to know.
                caller.send(Answer::Traffic(outcome)).ok();
            }
        }
    }
}

const FORGOTTEN: &str = "a restart of the daemon forgets what is said of traffic by hand";

impl Supervisor {
    /// An order of an operator, for the checker role.
    pub(super) fn ask_traffic(&mut self, order: Order, caller: oneshot::Sender<Answer>) {
        let slot = &self.slots[Worker::Checker.index()];
        let number = self.traffic.number + 1;
        let why = match &slot.child {
            Some(_) if self.traffic.pending.len() >= PENDING => "too many orders are under way".to_owned(),
            Some(child) if child.send(encode(&ToChecker::Traffic(number, order))) => {
                let until = Instant::now() + self.settings.limits.snapshot;
                self.traffic.number = number;
                return self.traffic.pending.push(Pending { number, until, caller });
            }
            Some(_) => "the checker role does not read what it is told".to_owned(),
            None => {
                let trouble = slot.trouble(&self.settings.limits);
                format!("the checker role is {}", trouble.unwrap_or_else(|| "not there".to_owned()))
            }
        };
        caller.send(Answer::Refused(why)).ok();
    }

    /// What is said by hand has changed.
    pub(super) fn keep_overrides(&mut self, overrides: Overrides) {
        self.traffic.keep(overrides);
    }

    /// The checker role has answered an order.
    pub(super) fn on_traffic(&mut self, number: u64, result: Result<Box<TrafficOutcome>, String>) {
        let traffic = &mut self.traffic;
        let Some(position) = traffic.pending.iter().position(|order| order.number == number) else { return };
        let Pending { caller, .. } = traffic.pending.swap_remove(position);
        match result {
            Err(why) => drop(caller.send(Answer::Refused(why))),
            Ok(outcome) => match traffic.keeper().try_send(Job::Answer(outcome, caller)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(Job::Answer(mut outcome, caller))) => {
                    outcome.trouble.push(format!("the disk does not answer; {FORGOTTEN}"));
                    caller.send(Answer::Traffic(outcome)).ok();
                }
                Err(_) => {}
            },
        }
    }

    /// Answers those whose order the checker role has not answered in time.
    pub(super) fn finish_traffic(&mut self, now: Instant) {
        let runs = self.slots[Worker::Checker.index()].child.is_some();
        let (late, stays): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.traffic.pending)
            .into_iter()
            .partition(|order| order.until <= now || !runs);
        let why = match runs {
            true => "the checker role has not answered in time; holdfastctl overrides says what is in force",
            false => "the checker role ended before it answered; holdfastctl overrides says what is in force",
        };
        for order in late {
            order.caller.send(Answer::Refused(why.to_owned())).ok();
        }
        self.traffic.pending = stays;
    }

    /// What a checker role that starts must hear, if anything.
    pub(super) fn overrides_frame(&self) -> Option<Vec<u8>> {
        let overrides = &self.traffic.overrides;
        if overrides.0.is_empty() {
            return None;
        }
        encode(&ToChecker::Overrides(overrides.clone())).ok()
    }
}
