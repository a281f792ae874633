//! The place of one role: its process when it runs, or when and why it will run again.

use super::backoff::Backoff;
use super::child::{Child, ChildEvents, End, ending};
use super::kept::KeptPlans;
use super::pidfile;
use super::settings::{Limits, Settings};
use super::worker::{Order, Worker};
use crate::role::EXIT_STOPPED;
use std::io;
use std::process::ExitStatus;
use tokio::time::Instant;

/// One role's place.
#[derive(Debug)]
pub struct Slot {
    /// Whose.
    pub worker: Worker,
    /// Does the configuration want it to run?
    pub wanted: bool,
    /// Its process.
    pub child: Option<Child>,
    /// When it is started again.
    pub restart_at: Option<Instant>,
    /// How often it was started again.
    pub restarts: u32,
    /// Has its process missed samples of trackers?
    pub behind: bool,
    /// Has it missed samples that are for checkers?
    pub unheard: bool,
    /// Messages that its process did not take, and that were dropped.
    pub dropped: u64,
    /// How it ended last, when nobody told it to.
    pub last_end: Option<String>,
    backoff: Backoff,
}

impl Slot {
    /// An empty place.
    pub fn new(worker: Worker) -> Slot {
        let (child, restart_at, last_end) = (None, None, None);
        let (wanted, restarts, behind, unheard, dropped) = (false, 0, false, false, 0);
        let backoff = Backoff::default();
        Slot { worker, wanted, child, restart_at, restarts, behind, unheard, dropped, last_end, backoff }
    }

    fn ident(&self) -> &'static str {
        self.worker.role().ident()
    }

    /// Starts a process and gives it its plan, after what it must hear `before`. A failure counts as a short life.
    pub fn start(
        &mut self,
        settings: &Settings,
        plans: &KeptPlans,
        before: Option<Vec<u8>>,
        incarnation: u64,
        events: &ChildEvents,
    ) {
        self.restart_at = None;
        let mut child = match Child::spawn(&settings.launcher, self.worker, incarnation, events) {
            Ok(child) => child,
            Err(error) => return self.bury(format!("cannot be started: {error}"), Instant::now(), settings),
        };
        tracing::info!("started {}, pid {}", self.ident(), child.pid);
        // The queue is empty: what does not fit is the plan itself.
        let heard = before.is_none_or(|frame| child.send(Ok(frame)));
        if !heard || !child.send_plan(plans) {
            child.kill();
        }
        if let Err(error) = pidfile::write(settings.pid_file_of(self.worker), child.pid) {
            tracing::warn!("pid file {}: {error}", settings.pid_file_of(self.worker).display());
        }
        self.child = Some(child);
    }

    /// Tells its process to stop, once.
    pub fn stop(&mut self, release: bool, limit: std::time::Duration) {
        if let Some(child) = self.child.as_mut().filter(|child| child.end == End::No) {
            child.stop(release, limit);
        }
    }

    /// The role closed its link: it ends, or it must.
    pub fn on_link_closed(&mut self, limits: &Limits) {
        if let Some(child) = self.child.as_mut().filter(|child| child.end == End::No) {
            child.expect_end(limits.abort);
        }
    }

    /// The role does not keep to the protocol.
    pub fn on_link_broken(&mut self, reason: &str) {
        let ident = self.ident();
        let Some(child) = &mut self.child else { return };
        tracing::error!("{ident} (pid {}) is ended: its link is unusable: {reason}", child.pid);
        child.kill();
    }

    /// The process is gone. True if nobody wanted that.
    pub fn on_exit(
        &mut self,
        status: &io::Result<ExitStatus>,
        settings: &Settings,
        daemon_ends: bool,
    ) -> bool {
        let Some(child) = self.child.take() else { return false };
        pidfile::remove(settings.pid_file_of(self.worker));
        let (ident, pid) = (self.ident(), child.pid);
        let was_told = matches!(child.end, End::Asked { .. });
        let clean = matches!(status, Ok(s) if s.code() == Some(i32::from(EXIT_STOPPED)));
        if was_told && clean {
            tracing::info!("{ident} (pid {pid}) has stopped");
            self.restart_at = self.wanted.then(Instant::now);
            return false;
        }
        if daemon_ends || !self.wanted {
            let left = self.worker.leftovers();
            tracing::error!("{ident} (pid {pid}) {} instead of stopping: {left}", ending(status));
            return false;
        }
        self.bury(format!("(pid {pid}) {}", ending(status)), child.started, settings);
        true
    }

    /// Notes an unwanted end and plans the next start.
    fn bury(&mut self, how: String, started: Instant, settings: &Settings) {
        let lived = started.elapsed();
        let wait = self.backoff.after(lived, settings.limits.settled);
        self.restarts = self.restarts.saturating_add(1);
        let next = match (settings.respawn, wait.as_secs()) {
            (false, _) => "the daemon ends with it (-R)".to_owned(),
            (true, 0) => "it is started again at once".to_owned(),
            (true, seconds) => format!("it is started again in {seconds} s"),
        };
        tracing::error!("{} {how} after {} s; {next}", self.ident(), lived.as_secs());
        self.last_end = Some(how);
        self.restart_at = settings.respawn.then(|| Instant::now() + wait);
    }

    /// Forgets short lives and the wait that follows from them.
    pub fn hurry(&mut self) {
        self.backoff = Backoff::default();
        if let Some(at) = &mut self.restart_at {
            *at = Instant::now();
        }
    }

    /// Sends a heartbeat; ends a process that left too many unanswered.
    pub fn on_beat(&mut self, number: u64, plans: &KeptPlans, limits: &Limits) {
        let (ident, worker) = (self.ident(), self.worker);
        let Some(child) = self.child.as_mut().filter(|child| child.end == End::No) else { return };
        // A process that has not yet taken its first plan holds nothing, and may be slow to start.
        let patience = match child.generation {
            Some(_) => worker.silent_beats(plans, limits),
            None => limits.silent_beats,
        };
        let (pid, silence) = (child.pid, seconds(child.unanswered, limits));
        if child.unanswered >= patience {
            tracing::error!("{ident} (pid {pid}) has not answered for {silence} and is ended");
            return child.end_silent(limits.abort);
        }
        if child.unanswered == limits.noticed_beats {
            let limit = seconds(patience, limits);
            let meaning = worker.silence();
            tracing::warn!(
                "{ident} (pid {pid}) has not answered for {silence}: it is stopped or starved; {meaning}; \
                 it is ended after {limit}"
            );
        }
        child.unanswered += 1;
        // A full queue is silence too: the count goes on.
        child.send_order(Order::AreYouThere(number));
    }

    /// Ends what has had its time. True if the role must be started now.
    pub fn on_time(&mut self, now: Instant) -> bool {
        let ident = self.ident();
        if let Some(child) = self.child.as_mut().filter(|child| child.deadline().is_some_and(|at| at <= now))
        {
            if matches!(child.end, End::Asked { .. }) {
                tracing::error!("{ident} (pid {}) did not stop in time and is killed", child.pid);
            }
            child.kill();
        }
        self.child.is_none() && self.wanted && self.restart_at.is_some_and(|at| at <= now)
    }

    /// Does its process run and leave heartbeats unanswered?
    pub fn is_silent(&self, limits: &Limits) -> bool {
        self.child.as_ref().is_some_and(|c| c.end == End::No && c.unanswered >= limits.noticed_beats)
    }

    /// When [`Slot::on_time`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.child {
            Some(child) => child.deadline(),
            None => self.restart_at,
        }
    }

    /// Why it does not run, or not well; `None` when all is well.
    pub fn trouble(&self, limits: &Limits) -> Option<String> {
        match (&self.child, self.restart_at) {
            (Some(child), _) => match child.end {
                End::No if self.is_silent(limits) => {
                    Some(format!("has not answered for {}", seconds(child.unanswered, limits)))
                }
                End::No => None,
                End::Asked { .. } => Some("stopping".to_owned()),
                End::Ending { .. } | End::Killed => Some("being ended".to_owned()),
            },
            (None, Some(at)) => {
                let how = self.last_end.as_deref().unwrap_or("ended");
                let wait = at.saturating_duration_since(Instant::now()).as_secs();
                Some(format!("{how}; started again in {wait} s"))
            }
            (None, None) => Some(self.worker.idle().to_owned()),
        }
    }
}

/// How long that many heartbeats take, for people.
fn seconds(beats: u32, limits: &Limits) -> String {
    format!("{} s", (limits.heartbeat * beats).as_secs_f32())
}
