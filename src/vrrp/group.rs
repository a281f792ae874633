//! Sync groups: routers that change state together (keepalived's `vrrp_sync_group`).
//!
//! A member decides for itself what it wants; the group decides what happens. It becomes Master when every member
//! wants to; a member that leaves Master or fails takes the others along. Each member goes on advertising for itself.

use super::Core;
use super::election::Wait;
use super::event::{Action, RouterId, State, TransitionCause};
use super::news::{GroupTransition, News};
use super::router::Router;
use crate::plan::vrrp::SyncGroupPlan;
use crate::time::Instant;

/// A group of the plan.
#[derive(Debug)]
pub struct Group {
    pub(super) plan: SyncGroupPlan,
    pub(super) members: Vec<RouterId>,
    pub(super) state: State,
    pub(super) since: Instant,
    pub(super) cause: String,
    /// Before its first state: the one that a process before this one told last.
    pub(super) told: Option<State>,
    /// Its next state, if it is this one, is for the journal only: its members go on as they were.
    pub(super) quiet: Option<State>,
}

/// What the members' wishes and troubles come to.
enum Verdict {
    /// Everybody is where the group is.
    Agreed,
    /// Somebody cannot take part.
    Fail,
    /// Nobody has begun, or nobody has trouble any more.
    Begin,
    /// A member listens to a Master.
    Yield(RouterId),
    /// Everybody wants to be Master, or those that came later want to join the others.
    Take,
}

impl Group {
    /// A group before its first state.
    pub(super) fn new(plan: SyncGroupPlan, members: Vec<RouterId>, now: Instant) -> Group {
        let state = State::Initialize;
        Group { plan, members, state, since: now, cause: String::new(), told: None, quiet: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// What all its members are, as far as they agree: FAULT if one is, MASTER if all are.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why, with the member that began it.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// Its members in the order of the plan.
    pub fn members(&self) -> &[RouterId] {
        &self.members
    }
}

impl Core {
    /// Let the groups whose members stirred come to an agreement.
    //= keepalived M-111
    pub(super) fn settle_groups(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Some((index, by)) = self.alarmed.take() {
            let others = self.groups.get(index).map(|group| group.members.clone()).unwrap_or_default();
            for id in others.into_iter().filter(|id| *id != by) {
                self.with_router(id, now, actions, |router, ctx| {
                    router.announce_again(ctx);
                });
            }
        }
        if self.life == super::Life::Leaving {
            self.restless.clear();
            return;
        }
        if self.asleep_until.is_some() {
            return;
        }
        // Each round can only move members towards the verdict; two are enough, a third would find nothing.
        for _ in 0..ROUNDS {
            let restless = std::mem::take(&mut self.restless);
            if restless.is_empty() {
                return;
            }
            for (index, stirred) in restless {
                self.settle(index, &stirred, now, actions);
            }
        }
        self.restless.clear();
    }

    fn settle(&mut self, index: usize, stirred: &[RouterId], now: Instant, actions: &mut Vec<Action>) {
        let Some(group) = self.groups.get(index) else { return };
        let members = group.members.clone();
        // Who began comes first, as in keepalived; the others follow in the order of the group.
        let mut order = members.clone();
        let first = |id: &RouterId| stirred.iter().position(|s| s == id).unwrap_or(usize::MAX);
        order.sort_by_key(first);
        match self.judge(&members, stirred) {
            Verdict::Agreed => {}
            Verdict::Fail => self.fail_group(index, &order, now, actions),
            Verdict::Begin => self.begin_group(&order, now, actions),
            Verdict::Yield(by) => self.yield_group(index, by, &order, now, actions),
            Verdict::Take => {
                // The last one to want it made it possible: it goes first.
                order = members.clone();
                let last = |id: &RouterId| {
                    stirred.iter().rposition(|s| s == id).map_or(usize::MAX, |at| stirred.len() - at)
                };
                order.sort_by_key(last);
                for id in &order {
                    self.with_router(*id, now, actions, |router, ctx| router.take_wanted(ctx));
                }
            }
        }
        self.note_group(index, order.first().copied(), now, actions);
    }

    fn judge(&self, members: &[RouterId], stirred: &[RouterId]) -> Verdict {
        let all = || members.iter().filter_map(|id| self.router(*id));
        if all().any(|router| !router.own_faults.is_empty()) {
            return Verdict::Fail;
        }
        let idle = |router: &Router| matches!(router.state(), State::Initialize | State::Fault);
        if all().any(idle) {
            return if all().any(|router| idle(router) && !router.pending.is_empty()) {
                Verdict::Agreed
            } else {
                Verdict::Begin
            };
        }
        let master = |router: &Router| router.state() == State::Master;
        let leads = all().any(master);
        let listens = |router: &&Router| !master(router) && !router.joining;
        if leads && all().any(|router| listens(&router)) {
            let by = stirred
                .iter()
                .chain(members)
                .find(|id| members.contains(id) && self.router(**id).as_ref().is_some_and(listens));
            return by.map_or(Verdict::Agreed, |by| Verdict::Yield(*by));
        }
        let wants = |router: &Router| router.wants_master();
        let take = if leads { all().any(wants) } else { all().all(wants) };
        if take && all().count() > 0 { Verdict::Take } else { Verdict::Agreed }
    }

    fn fail_group(&mut self, index: usize, order: &[RouterId], now: Instant, actions: &mut Vec<Action>) {
        let Some(group) = self.groups.get(index) else { return };
        let sentence = |by: &Router| {
            format!("sync group {}: {}: {}", group.plan.name, by.plan.name, by.own_faults.join("; "))
        };
        let all = || order.iter().filter_map(|id| self.router(*id));
        let troubled =
            || all().filter(|router| !router.own_faults.is_empty()).map(|by| (by.id, sentence(by)));
        // Of several that have a fault the one that was named first stays named.
        let named = |text: &String| all().any(|router| router.faults.first() == Some(text));
        let Some((by, sentence)) = troubled().find(|(_, text)| named(text)).or_else(|| troubled().next())
        else {
            return;
        };
        let order: Vec<RouterId> =
            std::iter::once(by).chain(order.iter().copied().filter(|id| *id != by)).collect();
        for id in order {
            self.with_router(id, now, actions, |router, ctx| {
                let mut faults = router.own_faults.clone();
                if faults.is_empty() {
                    faults.push(sentence.clone());
                }
                router.fail_or_restate(faults, ctx);
            });
        }
    }

    fn begin_group(&mut self, order: &[RouterId], now: Instant, actions: &mut Vec<Action>) {
        let all = || order.iter().filter_map(|id| self.router(*id));
        let leads = all().any(|router| router.state() == State::Master);
        let owners = all().all(|router| router.begins_as_owner(now));
        for id in order {
            self.with_router(*id, now, actions, |router, ctx| {
                if matches!(router.state(), State::Initialize | State::Fault) {
                    router.joining = leads;
                    router.begin_in_group(owners, ctx);
                }
            });
        }
    }

    fn yield_group(
        &mut self,
        index: usize,
        by: RouterId,
        order: &[RouterId],
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let (Some(group), Some(cause)) = (self.groups.get(index), self.router(by)) else { return };
        let (cause, member) = (Box::new(cause.yielding_cause()), cause.plan.name.to_string());
        let wait =
            if matches!(*cause, TransitionCause::AddressLost { .. }) { Wait::Skew } else { Wait::Down };
        // Of two groups that are stronger on different LANs both yield. Who was stronger on the LAN of the first
        // member waits an interval longer, or they would meet again and again (keepalived's do).
        let outranked = matches!(*cause, TransitionCause::Outranked { .. });
        let patient = group.members.first().copied().filter(|first| outranked && *first != by);
        let cause = TransitionCause::Group { group: group.plan.name.clone(), member, cause };
        for id in order {
            self.with_router(*id, now, actions, |router, ctx| {
                if router.state() == State::Master {
                    router.become_backup(wait, cause.clone(), ctx);
                }
                router.joining = false;
            });
        }
        if let Some(first) = patient {
            self.with_router(first, now, actions, |router, _| router.wait_longer());
        }
    }

    /// Tell what became of the group.
    fn note_group(&mut self, index: usize, by: Option<RouterId>, now: Instant, actions: &mut Vec<Action>) {
        let Some(group) = self.groups.get(index) else { return };
        let members = || group.members.iter().filter_map(|id| self.router(*id));
        let is = |state| members().any(|router| router.state() == state);
        let to = if is(State::Fault) {
            State::Fault
        } else if is(State::Initialize) {
            State::Initialize
        } else if is(State::Backup) && members().any(|r| r.state() == State::Backup && !r.joining) {
            State::Backup
        } else if is(State::Master) {
            State::Master
        } else {
            State::Backup
        };
        if to == group.state {
            return;
        }
        // A member that is what the group is now knows why; who began is asked first.
        let by = by.and_then(|id| self.router(id)).into_iter().chain(members());
        let by = by.min_by_key(|router| router.state() != to);
        let cause = by.map_or_else(String::new, |r| match r.yielding_cause() {
            TransitionCause::Group { member, cause, .. } => format!("{member}: {cause}"),
            cause => format!("{}: {cause}", r.plan.name),
        });
        self.change_group(index, to, cause, now, actions);
    }

    /// The one place where a group changes state.
    pub(super) fn change_group(
        &mut self,
        index: usize,
        to: State,
        cause: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(group) = self.groups.get_mut(index).filter(|group| group.state != to) else { return };
        let from = std::mem::replace(&mut group.state, to);
        group.since = now;
        group.cause.clone_from(&cause);
        if group.told.take() == Some(to) {
            return;
        }
        let quiet = group.quiet.take() == Some(to);
        let name = group.plan.name.clone();
        actions.push(Action::News(News::Group(GroupTransition { name, from, to, cause, at: now, quiet })));
    }
}

/// A verdict's own effects stir the members again: the second round finds them agreed.
const ROUNDS: usize = 3;
