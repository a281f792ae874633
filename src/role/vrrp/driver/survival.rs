//! What the loop does for the process that follows it, and when its supervisor is gone.

use super::Driver;
use crate::plan::vrrp::VrrpPlan;
use crate::role::vrrp::record::Record;
use crate::sys::clock::monotonic_now;
use crate::time::Instant;
use crate::vrrp::{Action, Command, Event};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Without a supervisor: advertisements go on for so long, for a new one to come. A service manager starts it within a
/// second; longer than that nobody could tell this process anything, not even a tracker's failure.
const GRACE: Duration = Duration::from_secs(10);

/// How often a process without supervisor looks if a new one is there.
const LOOK: Duration = Duration::from_millis(10);

/// What has become of a process whose supervisor is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orphan {
    /// It waits for a new one until that moment, and looks at this one.
    Waits { until: Instant, look_at: Instant },
    /// It gives everything up, and ends at that moment at the latest.
    Resigns { end: Instant },
}

impl Orphan {
    /// When there is something to do.
    pub(super) fn deadline(self) -> Instant {
        match self {
            Orphan::Waits { until, look_at } => until.min(look_at),
            Orphan::Resigns { end } => end,
        }
    }
}

/// Takes the record over. Without one the role runs, but its successor begins anew. Fails only when another vrrp
/// role keeps it, which must not speak at the same time.
pub fn open_record(path: Option<&Path>) -> io::Result<Option<Record>> {
    let Some(path) = path else { return Ok(None) };
    match Record::open(path) {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::new(error.kind(), "another vrrp role of this daemon runs still"))
        }
        Err(error) => {
            tracing::warn!(
                "{}: {error}; a vrrp role that dies will begin a new election instead of going on",
                path.display()
            );
            Ok(None)
        }
    }
}

impl Driver {
    /// The first plan comes after what the process before this one knew.
    pub(super) fn recall(&mut self, plan: &VrrpPlan) {
        if let Some(record) = &mut self.record {
            let found = record.take_found();
            if !plan.no_resume && !found.is_empty() {
                self.events.push(Event::Resume(found));
            }
        }
    }

    /// Before anything leaves.
    pub(super) fn record_before(&self, actions: &[Action]) {
        if let Some(record) = &self.record {
            record.before(actions);
        }
    }

    /// After it has left.
    pub(super) fn record_after(&self, actions: &[Action]) {
        if let Some(record) = &self.record {
            record.after(actions, &self.core);
        }
    }

    /// The supervisor is gone.
    pub(super) fn lose_supervisor(&mut self) {
        let now = monotonic_now();
        self.record.iter_mut().for_each(Record::is_unheard);
        if self.record.as_ref().is_some_and(Record::is_on) {
            tracing::error!(
                "the supervisor is gone: going on without it for {} s, for a new one to take over",
                GRACE.as_secs()
            );
            self.orphan = Some(Orphan::Waits { until: now + GRACE, look_at: now });
        } else {
            tracing::error!("the supervisor is gone: resigning and giving the addresses up");
            self.resign(now);
        }
    }

    fn resign(&mut self, now: Instant) {
        self.orphan = Some(Orphan::Resigns { end: now + super::ORPHAN_LIMIT });
        self.events.push(Event::Command(Command::Orphaned));
    }

    /// Has a new one come, or none in time?
    pub(super) fn look_for_supervisor(&mut self, now: Instant) {
        match self.orphan {
            Some(Orphan::Waits { until, .. }) if now >= until => {
                tracing::error!(
                    "no new supervisor came within {} s: resigning and giving the addresses up",
                    GRACE.as_secs()
                );
                self.resign(now);
            }
            Some(Orphan::Waits { until, look_at }) if now >= look_at => {
                if self.record.as_ref().is_some_and(Record::is_asked_to_yield) {
                    tracing::info!(
                        "a new supervisor is there: leaving addresses and advertisements to its vrrp role"
                    );
                    self.record.iter().for_each(Record::lives);
                    (self.keep, self.handed_over) = (true, true);
                    self.events.push(Event::Command(Command::Stop { release: false }));
                }
                self.orphan = Some(Orphan::Waits { until, look_at: now + LOOK });
            }
            Some(Orphan::Resigns { end }) if now >= end => {
                tracing::error!("the kernel did not give the addresses back in time; ending all the same");
                self.stopped = true;
            }
            _ => {}
        }
    }
}
