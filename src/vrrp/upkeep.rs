//! Orders of the operator: give mastership up once (`failover`), stay out of the election (`maintenance`).

use super::Core;
use super::context::Context;
use super::election::Wait;
use super::event::{Action, RouterId, TransitionCause};
use super::handover::Exit;
use super::router::Router;
use super::state::{ActiveRouter, Phase};
use crate::net::Priority;
use crate::time::{Instant, Interval};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A router that rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    /// Take over all the same when nobody else speaks, and yield to everybody?
    pub allow_last: bool,
}

/// What is in maintenance, by name: also routers that come with a later plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Every router of this node.
    pub all: Option<Upkeep>,
    /// Single ones.
    pub routers: BTreeMap<String, Upkeep>,
}

impl Maintenance {
    /// Does this router rest?
    pub fn of(&self, name: &str) -> Option<Upkeep> {
        self.routers.get(name).copied().or(self.all)
    }

    /// Is nothing in maintenance?
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.routers.is_empty()
    }
}

impl Core {
    /// Masters among these (all, if none is named) hand over and leave their successor in peace for `hold`. The members
    /// of a sync group go together.
    pub(super) fn fail_over(
        &mut self,
        names: &[String],
        hold: Duration,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let named = |router: &Router| names.is_empty() || names.iter().any(|name| router.plan.name == **name);
        let handover = self.handover;
        for id in self.with_fellows(named) {
            let wait = handover.then(|| self.longest_wait(id));
            self.with_router(id, now, actions, |router, ctx| router.fail_over(wait, hold, ctx));
        }
    }

    /// This, and nothing else, is in maintenance from now on.
    pub(super) fn maintain(&mut self, maintenance: Maintenance, now: Instant, actions: &mut Vec<Action>) {
        self.maintenance = maintenance;
        for allow_last in [false, true] {
            let begins = |router: &Router| {
                let upkeep = self.maintenance.of(&router.plan.name);
                upkeep == Some(Upkeep { allow_last }) && router.upkeep() != upkeep
            };
            let leave = if self.handover { self.with_fellows(begins) } else { Vec::new() };
            for id in leave {
                let wait = self.longest_wait(id);
                self.with_router(id, now, actions, |router, ctx| {
                    if router.may_hand_over(ctx) {
                        router.leave(Exit::Yield, wait, ctx);
                    }
                });
            }
        }
        for id in self.order.clone() {
            let upkeep = self.router(id).and_then(|router| self.maintenance.of(&router.plan.name));
            self.with_router(id, now, actions, |router, ctx| router.maintain(upkeep, ctx));
        }
    }

    /// Those, and the members of their sync groups.
    fn with_fellows(&self, chosen: impl Fn(&Router) -> bool) -> Vec<RouterId> {
        let groups: Vec<usize> =
            self.routers().filter(|router| chosen(router)).filter_map(|router| router.shared.group).collect();
        let belongs = |router: &&Router| {
            chosen(router) || router.shared.group.is_some_and(|group| groups.contains(&group))
        };
        self.routers().filter(belongs).map(|router| router.id).collect()
    }
}

impl Router {
    /// Is it in maintenance?
    pub fn upkeep(&self) -> Option<Upkeep> {
        self.rare.as_deref().and_then(|rare| rare.upkeep)
    }

    /// It begins in maintenance, or not.
    pub(super) fn begin_upkeep(&mut self, upkeep: Option<Upkeep>) {
        if upkeep.is_some() {
            self.rare().upkeep = upkeep;
        }
    }

    /// Told to fail over: until when it leaves a weaker Master in peace.
    pub fn held_back(&self) -> Option<Instant> {
        self.rare.as_deref().and_then(|rare| rare.held_back)
    }

    /// Is a weaker Master left in peace?
    pub(super) fn is_held_back(&self, now: Instant) -> bool {
        self.held_back().is_some_and(|until| now < until)
    }

    /// An owner listens to nobody before it speaks, but for the one that it was told to give way to.
    pub(super) fn begins_as_owner(&self, now: Instant) -> bool {
        self.priority.is_owner() && !self.is_held_back(now)
    }

    /// A weaker Master is no longer left in peace.
    pub(super) fn end_hold(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.held_back = None;
        }
    }

    /// Why maintenance keeps it out of the election. Not while it hands over: that is its way out.
    pub(super) fn upkeep_fault(&self) -> Option<String> {
        let rests = self.upkeep().is_some_and(|upkeep| !upkeep.allow_last);
        rests.then(|| "in maintenance (holdfastctl maintenance off ends it)".to_owned())
    }

    /// Its way out has ended, by itself or by its sync group: from now on maintenance keeps it out.
    pub(super) fn note_rest(&mut self) {
        if matches!(self.phase, Phase::Backup(_) | Phase::Fault)
            && let Some(fault) = self.upkeep_fault()
            && !self.own_faults.contains(&fault)
        {
            let mut faults = self.own_faults.clone();
            faults.push(fault);
            self.own_faults = faults.into();
        }
    }

    /// In maintenance as the last resort: everybody else is stronger.
    pub(super) fn upkeep_priority(&self, priority: Priority) -> Priority {
        match self.upkeep() {
            Some(Upkeep { allow_last: true }) if !priority.is_owner() => Priority(1),
            _ => priority,
        }
    }

    /// `wait`: how long at most for a successor; `None` for no handover.
    fn fail_over(&mut self, wait: Option<Duration>, hold: Duration, ctx: &mut Context) {
        if !matches!(self.phase, Phase::Master(_)) {
            return;
        }
        self.rare().held_back = Some(ctx.now + hold);
        match wait.filter(|_| self.may_hand_over(ctx)) {
            Some(wait) => self.leave(Exit::Yield, wait, ctx),
            None => self.become_backup(Wait::Down, TransitionCause::Ordered, ctx),
        }
    }

    fn maintain(&mut self, upkeep: Option<Upkeep>, ctx: &mut Context) {
        if self.upkeep() == upkeep {
            return;
        }
        self.rare().upkeep = upkeep;
        self.reevaluate(ctx);
    }

    /// The end of a handover by order. What is in maintenance rests, also when that order came later than the first; a
    /// member of a sync group that is not in maintenance itself follows the others by its group.
    pub(super) fn rest_or_follow(&mut self, successor: Option<(ActiveRouter, Interval)>, ctx: &mut Context) {
        match (self.upkeep_fault(), successor) {
            (Some(fault), _) => {
                self.own_faults = vec![fault.clone()].into();
                self.fail(vec![fault], ctx);
            }
            (None, Some((active, interval))) => self.follow(active, interval, ctx),
            (None, None) => self.stay(ctx),
        }
    }
}
