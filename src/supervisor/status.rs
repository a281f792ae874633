//! The status: the supervisor's own facts and a snapshot of each role, within a time limit.

use super::asked::Asked;
use super::privileges::rights_of;
use super::run::Supervisor;
use super::slot::Slot;
use super::worker::{Snapshot, Worker};
use crate::link::control::Answer;
use crate::net::Priority;
use crate::report::{DaemonStatus, RecentTransition, RoleStatus, Status, VERSION};
use crate::vrrp::{GroupTransition, News, State, Transition};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Transitions remembered: enough for the story of a bad night, small enough to forget a flapping week.
pub const RECENT: usize = 100;

/// One round of questions. Callers that come while a round is under way share it.
#[derive(Debug, Default)]
pub struct StatusRound {
    number: u64,
    until: Option<Instant>,
    asked: Asked,
    answers: Vec<Snapshot>,
    callers: Vec<oneshot::Sender<Answer>>,
}

impl StatusRound {
    /// When patience ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Takes a role's answer, if it belongs to this round.
    pub fn collect(&mut self, number: u64, worker: Worker, snapshot: Snapshot) {
        if self.until.is_some() && self.asked.hear(number, worker) {
            self.answers.push(snapshot);
        }
    }
}

/// A transition and when the supervisor heard of it.
#[derive(Debug)]
pub struct Recent {
    heard: Instant,
    report: RecentTransition,
}

impl Supervisor {
    /// Remembers a transition.
    pub(super) fn remember(&mut self, transition: &Transition) {
        let Transition { name, from, to, cause, priority, .. } = transition;
        self.keep(name.clone(), (*from, *to), cause.to_string(), *priority);
    }

    /// Remembers the change of a sync group.
    pub(super) fn remember_news(&mut self, news: &News) {
        if let News::Group(GroupTransition { name, from, to, cause, .. }) = news {
            self.keep(format!("sync group {name}"), (*from, *to), cause.clone(), Priority(0));
        }
    }

    fn keep(&mut self, router: String, (from, to): (State, State), cause: String, priority: Priority) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let report = RecentTransition {
            router,
            from: from.to_string(),
            to: to.to_string(),
            cause,
            priority,
            unix_seconds: unix.as_secs(),
            seconds_ago: 0,
        };
        self.recent.push_back(Recent { heard: Instant::now(), report });
    }

    /// Asks every role for a snapshot, unless that was just done.
    pub(super) fn ask_status(&mut self, caller: oneshot::Sender<Answer>) {
        self.status.callers.push(caller);
        if self.status.until.is_some() {
            return;
        }
        self.status.number += 1;
        self.status.until = Some(Instant::now() + self.settings.limits.snapshot);
        self.status.asked = Asked::round(self.status.number, self.slots.iter());
    }

    /// Answers once every role has answered, or patience has ended.
    pub(super) fn finish_status(&mut self, now: Instant) {
        let Some(until) = self.status.until else { return };
        self.status.asked.ask_again(&self.slots);
        if self.status.asked.waits_for(|_| true) && now < until {
            return;
        }
        let mut status = self.own_status(now);
        for answer in std::mem::take(&mut self.status.answers) {
            match answer {
                Snapshot::Vrrp(vrrp) => status.vrrp = Some(vrrp),
                Snapshot::Checker(checker) => status.checker = Some(checker),
                Snapshot::Scripts(scripts) => status.scripts = Some(scripts),
                Snapshot::Bfd(bfd) => status.bfd = Some(bfd),
                Snapshot::Snmp(snmp) => status.snmp = Some(snmp),
            }
        }
        self.status.until = None;
        let answer = Answer::Status(Box::new(status));
        for caller in self.status.callers.drain(..) {
            // A caller that went away does not want to know.
            caller.send(answer.clone()).ok();
        }
    }

    fn own_status(&self, now: Instant) -> Status {
        let limit = self.settings.limits.snapshot.as_secs_f32();
        let role = |slot: &Slot| RoleStatus {
            name: slot.worker.role().name().to_owned(),
            pid: slot.child.as_ref().map(|child| child.pid),
            restarts: slot.restarts,
            dropped: slot.dropped,
            generation: slot.child.as_ref().and_then(|child| child.generation),
            rights: slot.child.as_ref().and_then(|child| rights_of(child.pid, child.landlock)),
            trouble: slot.trouble(&self.settings.limits).or_else(|| {
                let late = self.status.asked.is_late(slot.worker);
                late.then(|| format!("did not answer within {limit} s"))
            }),
        };
        // Those that serve others are worth a line only when something needs them.
        let shown = |slot: &&Slot| slot.worker.holds() || slot.wanted || slot.child.is_some();
        Status {
            version: VERSION,
            daemon: DaemonStatus {
                program: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                uptime_seconds: now.duration_since(self.started).as_secs(),
                configuration: self.settings.configuration.display().to_string(),
                generation: self.generation,
                refused_reload: self.refused_reload.clone(),
                configuration_errors: self.errors,
                not_yet: self.plans.global.not_yet.clone(),
                roles: self.slots.iter().filter(shown).map(role).collect(),
            },
            vrrp: None,
            checker: None,
            scripts: None,
            bfd: None,
            snmp: None,
            transitions: self.recent.iter().map(|recent| aged(recent, now)).collect(),
        }
    }
}

fn aged(recent: &Recent, now: Instant) -> RecentTransition {
    let seconds_ago = now.saturating_duration_since(recent.heard).as_secs();
    RecentTransition { seconds_ago, ..recent.report.clone() }
}
