//! The program that reads a FIFO (`notify_fifo_script`): started with it, started again when it fails, ended with it.

use super::fifo::Fifo;
use crate::plan::scripts::CommandPlan;
use crate::role::scripts::quiet;
use crate::role::scripts::runner::Push;
use crate::time::Instant;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// How long it may take to end after SIGTERM; then SIGKILL.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause before it is started again; doubled at each failure, back to this when it has lived for [`HEALTHY`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A life that counts as one.
const HEALTHY: Duration = Duration::from_secs(60);

/// A reader of one FIFO.
pub struct Reader {
    path: String,
    command: CommandPlan,
    origin: std::time::Instant,
    state: State,
    pause: Duration,
}

enum State {
    Runs(Running),
    Waits(Instant),
    /// It ended well, or cannot be started.
    Rests,
}

struct Running {
    since: Instant,
    pushes: mpsc::Sender<Push>,
    end: oneshot::Receiver<Result<(), String>>,
}

impl Reader {
    /// Starts the program with the FIFO's path as its last argument.
    pub fn start(fifo: &Fifo, mut command: CommandPlan, origin: std::time::Instant) -> Reader {
        command.words.push(fifo.plan.path.clone());
        let (path, pause) = (fifo.plan.path.clone(), FIRST_PAUSE);
        let mut reader = Reader { path, command, origin, state: State::Rests, pause };
        reader.run();
        reader
    }

    /// Is it of this FIFO?
    pub fn reads(&self, fifo: &Fifo) -> bool {
        self.path == fifo.plan.path
    }

    /// Does it run?
    pub fn runs(&self) -> bool {
        matches!(self.state, State::Runs(_))
    }

    /// When [`Reader::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waits(until) => Some(until),
            State::Runs(_) | State::Rests => None,
        }
    }

    /// Starts it again when that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout().is_some_and(|until| until <= now) {
            self.run();
        }
    }

    /// Ends it, and does not wait for that.
    pub fn dismiss(self) {
        tokio::spawn(self.stop());
    }

    /// Ends it, the hard way if it must be.
    pub async fn stop(self) {
        let State::Runs(mut running) = self.state else { return };
        for push in [Push::Terminate, Push::Kill] {
            running.pushes.try_send(push).ok();
            if tokio::time::timeout(PATIENCE, &mut running.end).await.is_ok() {
                return;
            }
        }
        warn!("the reader of {} does not end", self.path);
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    fn run(&mut self) {
        if self.command.cannot_run.is_some() {
            self.state = State::Rests; // said when the plan came
            return;
        }
        let (pushes, orders) = mpsc::channel(2);
        let (on_end, end) = oneshot::channel();
        let command = self.command.clone();
        tokio::spawn(async move {
            let result = quiet::run(&command, orders).await;
            on_end.send(result).ok();
        });
        self.state = State::Runs(Running { since: self.now(), pushes, end });
    }

    fn ended(&mut self, result: Result<(), String>) {
        let State::Runs(running) = &self.state else { return };
        let now = self.now();
        let name = self.command.words.join(" ");
        self.state = match result {
            // It may have gone into the background.
            Ok(()) => {
                info!("the reader {name} has ended well; it is not started again");
                State::Rests
            }
            Err(why) => {
                if now.saturating_duration_since(running.since) >= HEALTHY {
                    self.pause = FIRST_PAUSE;
                }
                error!(
                    "the reader {name} has ended: {why}; it is started again in {} s",
                    self.pause.as_secs()
                );
                let until = now + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                State::Waits(until)
            }
        };
    }
}

/// Returns when a reader has ended, which is dealt with. Dropping the future loses nothing.
pub async fn ended(readers: &mut [Reader]) {
    let (at, result) = std::future::poll_fn(|context| {
        for (at, reader) in readers.iter_mut().enumerate() {
            if let State::Runs(running) = &mut reader.state
                && let std::task::Poll::Ready(end) = std::pin::Pin::new(&mut running.end).poll(context)
            {
                let result = end.unwrap_or_else(|_| Err("its end was not seen".to_owned()));
                return std::task::Poll::Ready((at, result));
            }
        }
        std::task::Poll::Pending
    })
    .await;
    if let Some(reader) = readers.get_mut(at) {
        reader.ended(result);
    }
}
