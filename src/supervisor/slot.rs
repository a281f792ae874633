//! The place of one role: its process when it runs, or when and why it will run again.

use super::backoff::{Backoff, Budget, CRASHES, LONGEST, SPAN};
use super::child::{Child, ChildEvents, End, ending};
use super::pidfile;
use super::settings::{Limits, Settings};
use super::worker::{Order, Worker};
use crate::link::kept::KeptPlans;
use crate::role::EXIT_STOPPED;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::Instant;

/// A process that is only to give up what its predecessor held is started so often: what hung or killed the first one
/// from outside need not meet the second.
const RELEASES: u8 = 2;

/// What the end of a process means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was told to.
    Wanted,
    /// Nobody wanted it.
    Unwanted,
    /// It was told to, but what it held is not given up: another one must do that.
    Owing,
}

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
    /// Its process is only there to give up what is held.
    pub releasing: bool,
    /// How many of those have failed.
    failed_releases: u8,
    backoff: Backoff,
    budget: Budget,
}

impl Slot {
    /// An empty place.
    pub fn new(worker: Worker) -> Slot {
        let (child, restart_at, last_end) = (None, None, None);
        let (wanted, restarts, behind, unheard, dropped) = (false, 0, false, false, 0);
        let (releasing, failed_releases) = (false, 0);
        let (backoff, budget) = (Backoff::default(), Budget::default());
        Slot {
            worker,
            wanted,
            child,
            restart_at,
            restarts,
            behind,
            unheard,
            dropped,
            last_end,
            releasing,
            failed_releases,
            backoff,
            budget,
        }
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

    /// Tells its process to stop, once. One that hangs already gets little time, one that is stopped none: its addresses
    /// may be on two nodes.
    pub fn stop(&mut self, release: bool, limits: &Limits) {
        let ident = self.ident();
        let Some(child) = self.child.as_mut().filter(|child| child.end == End::No) else { return };
        if child.is_stopped() {
            return child.kill_stopped(ident);
        }
        let hangs = child.unanswered >= limits.noticed_beats;
        child.stop(release, if hangs { limits.abort } else { limits.stop });
    }

    /// It has no work any more.
    pub fn dismiss(&mut self, limits: &Limits) {
        tracing::info!("stopping {}: it has no work any more", self.ident());
        self.stop(true, limits);
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

    /// The process is gone.
    pub fn on_exit(
        &mut self,
        status: &io::Result<ExitStatus>,
        settings: &Settings,
        daemon_ends: bool,
    ) -> Gone {
        let Some(child) = self.child.take() else { return Gone::Wanted };
        pidfile::remove(settings.pid_file_of(self.worker));
        let (ident, pid) = (self.ident(), child.pid);
        let was_told = matches!(child.end, End::Asked { .. });
        let clean = matches!(status, Ok(s) if s.code() == Some(i32::from(EXIT_STOPPED)));
        if was_told && clean {
            tracing::info!("{ident} (pid {pid}) has stopped");
            self.restart_at = self.wanted.then(Instant::now);
            self.failed_releases = 0;
            if std::mem::take(&mut self.releasing) && !daemon_ends {
                self.rest("and gave up what it held");
            }
            return Gone::Wanted;
        }
        if daemon_ends && settings.release(self.worker) && self.may_release_again() {
            tracing::error!("{ident} (pid {pid}) {} instead of stopping", ending(status));
            return Gone::Owing;
        }
        if daemon_ends || !self.wanted {
            let left = self.worker.leftovers();
            tracing::error!("{ident} (pid {pid}) {} instead of stopping: {left}", ending(status));
            return Gone::Wanted;
        }
        self.bury(format!("(pid {pid}) {}", ending(status)), child.started, settings);
        Gone::Unwanted
    }

    /// What it held is still there: may another process try to give it up?
    fn may_release_again(&mut self) -> bool {
        if std::mem::take(&mut self.releasing) {
            self.failed_releases += 1;
        }
        self.worker.holds() && self.failed_releases < RELEASES
    }

    /// It died too often, and is left alone for a while.
    fn rest(&mut self, and: &str) {
        let (span, wait) = (SPAN.as_secs(), LONGEST.as_secs());
        let how = format!("died {CRASHES} times within {span} s {and}");
        tracing::error!("{} {how}; it is started again in {wait} s, or by a reload", self.ident());
        self.last_end = Some(how);
        self.restart_at = self.wanted.then(|| Instant::now() + LONGEST);
    }

    /// Notes an unwanted end and plans the next start.
    fn bury(&mut self, how: String, started: Instant, settings: &Settings) {
        let lived = started.elapsed();
        self.restarts = self.restarts.saturating_add(1);
        if self.releasing {
            if self.may_release_again() {
                tracing::error!("{} {how} while it gave up what it held: it is tried again", self.ident());
                self.releasing = true;
                self.restart_at = Some(Instant::now());
                return;
            }
            self.failed_releases = 0;
            let left = self.worker.leftovers();
            tracing::error!("{} {how} while it gave up what it held: {left}", self.ident());
            return self.rest("and could not give up what it held");
        }
        if self.worker == Worker::Vrrp && settings.respawn && self.budget.spend(Instant::now()) {
            self.releasing = true;
            tracing::error!(
                "{} {how}, the {CRASHES}th time within {} s: it is started once more, to send priority 0 and to give \
                 its addresses up",
                self.ident(),
                SPAN.as_secs()
            );
            self.last_end = Some(how);
            self.restart_at = Some(Instant::now());
            return;
        }
        let wait = match self.worker {
            // Its peers take over while it waits, and its addresses stay.
            Worker::Vrrp => Duration::ZERO,
            _ => self.backoff.after(lived, settings.limits.settled),
        };
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
        (self.backoff, self.budget) = (Backoff::default(), Budget::default());
        if let Some(at) = &mut self.restart_at {
            *at = Instant::now();
        }
    }

    /// Sends a heartbeat; ends a process that left too many unanswered, or that was told to stop and is stopped.
    pub fn on_beat(&mut self, number: u64, plans: &KeptPlans, limits: &Limits) {
        let (ident, worker) = (self.ident(), self.worker);
        let Some(child) = self.child.as_mut() else { return };
        match child.end {
            End::No => {}
            End::Asked { .. } if child.is_stopped() => return child.kill_stopped(ident),
            End::Asked { .. } | End::Ending { .. } | End::Killed => return,
        }
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
