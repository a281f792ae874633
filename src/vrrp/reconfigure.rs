//! A new plan: what stays equal is not touched, what changed is changed in place.

use super::Core;
use super::context::Context;
use super::event::{Action, LogLevel, RouterId, State, TransitionCause};
use super::group::Group;
use super::kept::{Keeper, KeptPlan};
use super::router::{Router, Shared};
use super::state::Phase;
use super::vips::Vip;
use crate::plan::Generation;
use crate::plan::track::TrackerKey;
use crate::plan::vrrp::{RouterKey, SyncGroupPlan, VirtualAddress, VrrpPlan};
use crate::time::Instant;
use crate::wire::vrrp::Version;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

impl Core {
    /// Take over a plan. Routers that left go first, then addresses that left their router, then everything
    /// else: an address may move from one router to another in one step.
    //= keepalived M-114
    pub(super) fn adopt(&mut self, plan: VrrpPlan, now: Instant, actions: &mut Vec<Action>) {
        let mut known: BTreeMap<RouterKey, RouterId> =
            self.order.iter().filter_map(|id| Some((self.routers.get(id)?.plan.key.clone(), *id))).collect();
        let mut keeper = Keeper::default();
        let mut kept = Vec::new();
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for router in plan.routers {
            if !seen.insert(router.key.clone()) {
                let RouterKey { interface, family, vrid, .. } = &router.key;
                let what = format!("({}) {family} VRID {vrid} on {interface} is taken: ignored", router.name);
                actions.push(Action::Log(LogLevel::Error, what));
                continue;
            }
            let id = match known.remove(&router.key) {
                Some(id) => id,
                None => self.new_id(),
            };
            order.push(id);
            kept.push((id, keeper.keep(router)));
        }
        if self.generation == Generation::default() && !plan.startup_delay.is_zero() {
            self.asleep_until = Some(now + plan.startup_delay);
        }
        self.gaps.adopt(&plan.announce_gaps);
        self.debounce.adopt(plan.link_delays);
        self.note_sources(kept.iter().map(|(_, router)| router));
        self.log_unknown = plan.log_unknown_vrids;
        self.generation = plan.generation;
        let statics = plan.statics;
        self.order = order;
        let left: Vec<RouterId> = known.into_values().collect();
        self.heard.own(kept.iter().map(|(_, router)| &router.key));
        let mut shared = self.arrange_groups(plan.groups, &kept, now, actions);
        self.note_dependants(&kept, &shared);
        self.forget_samples(&kept, &shared);
        let looks_new = self.interfaces.reduce_again();
        for id in left {
            self.with_router(id, now, actions, |router, ctx| {
                router.shared = Arc::default();
                router.end(ctx);
            });
        }
        for (id, plan) in &kept {
            self.with_router(*id, now, actions, |router, ctx| {
                router.drop_routing(plan, ctx);
                router.drop_addresses(plan, ctx);
            });
        }
        self.adopt_statics(&statics, now, actions);
        let alone: Arc<Shared> = Arc::default();
        for (id, plan) in kept {
            let shared = shared.remove(&id).unwrap_or_else(|| alone.clone());
            if let Entry::Vacant(place) = self.routers.entry(id) {
                place.insert(Box::new(Router::new(id, plan, shared, now)));
                self.with_router(id, now, actions, Router::start);
            } else {
                self.with_router(id, now, actions, |router, ctx| router.adopt(plan, shared, ctx));
            }
        }
        for name in looks_new {
            self.reevaluate_watchers(&name, now, actions);
        }
        self.welcome();
    }

    /// The new plan's groups; a group that keeps its name keeps its state. What each router shares with its group.
    fn arrange_groups(
        &mut self,
        plans: Vec<SyncGroupPlan>,
        routers: &[(RouterId, KeptPlan)],
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> BTreeMap<RouterId, Arc<Shared>> {
        let by_key: HashMap<&RouterKey, RouterId> = routers.iter().map(|(id, r)| (&r.key, *id)).collect();
        for index in 0..self.groups.len() {
            let gone = self.groups.get(index).is_some_and(|g| plans.iter().all(|p| p.name != g.plan.name));
            if gone {
                self.change_group(index, State::Initialize, "removed by the reload".to_owned(), now, actions);
            }
        }
        let mut old = std::mem::take(&mut self.groups);
        let mut shared: BTreeMap<RouterId, Arc<Shared>> = BTreeMap::new();
        for plan in plans {
            let free = |id: &RouterId| !shared.contains_key(id);
            let members: Vec<RouterId> =
                plan.members.iter().filter_map(|key| by_key.get(key).copied()).filter(free).collect();
            let (interfaces, trackers) = (plan.track_interfaces.clone(), plan.trackers.clone());
            let group = Some(self.groups.len());
            let common = Arc::new(Shared { group, interfaces, trackers });
            shared.extend(members.iter().map(|id| (*id, common.clone())));
            let known = old.iter().position(|known| known.plan.name == plan.name);
            self.groups.push(match known.map(|at| old.swap_remove(at)) {
                Some(known) => Group { plan, members, ..known },
                None => Group::new(plan, members, now),
            });
        }
        shared
    }

    /// Members that come to a group that is Master listen first, as every router does; the others stay Master
    /// meanwhile (keepalived 2.2.7 makes all of them Backup).
    fn welcome(&mut self) {
        for (index, group) in self.groups.iter().enumerate() {
            let leads = group
                .members
                .iter()
                .any(|id| self.routers.get(id).is_some_and(|router| router.state() == State::Master));
            for id in &group.members {
                if let Some(router) = self.routers.get_mut(id)
                    && let Phase::Backup(backup) = &router.phase
                {
                    router.joining = leads && backup.active.is_none();
                }
            }
            self.restless.entry(index).or_default();
        }
    }

    /// What no router tracks any more is no longer known.
    fn forget_samples(&mut self, routers: &[(RouterId, KeptPlan)], shared: &BTreeMap<RouterId, Arc<Shared>>) {
        let new = routers.iter().flat_map(|(_, plan)| &plan.trackers);
        let new = new.chain(shared.values().flat_map(|shared| &shared.trackers));
        let wanted: BTreeSet<&TrackerKey> = new.map(|tracked| &tracked.tracker).collect();
        for old in self.routers.values().flat_map(|router| router.trackers()) {
            if !wanted.contains(&old.tracker) {
                self.samples.forget(&old.tracker);
            }
        }
    }

    fn note_dependants(
        &mut self,
        routers: &[(RouterId, KeptPlan)],
        shared: &BTreeMap<RouterId, Arc<Shared>>,
    ) {
        self.interfaces.clear_dependants();
        for (id, plan) in routers {
            self.interfaces.watch(&plan.key.interface, *id);
            self.interfaces.watch(plan.advert_interface(), *id);
            let common = shared.get(id).into_iter().flat_map(|shared| &shared.interfaces);
            for tracked in plan.track_interfaces.iter().chain(common) {
                self.interfaces.watch(&tracked.interface, *id);
            }
            for address in plan.all_addresses() {
                let name = address.interface.as_ref().unwrap_or(&plan.key.interface);
                self.interfaces.hold(address.cidr, name, *id, plan.priority.is_owner());
                self.interfaces.watch(name, *id);
            }
            for name in plan.routing.iter().flat_map(|item| item.interfaces()) {
                self.interfaces.watch(name, *id);
            }
        }
    }
}

impl Router {
    /// The router left the configuration: resign, give the addresses up, end.
    fn end(&mut self, ctx: &mut Context) {
        self.doomed = true;
        for vip in &mut self.vips {
            vip.dropped = true;
        }
        self.routing.drop_others([]);
        self.transition(Phase::Initialize, TransitionCause::Removed, ctx);
    }

    /// Remove the addresses that the new plan no longer has.
    fn drop_addresses(&mut self, plan: &KeptPlan, ctx: &mut Context) {
        if self.plan.has_addresses_of(plan) {
            return;
        }
        let wanted: HashSet<&VirtualAddress> = plan.all_addresses().collect();
        for vip in &mut self.vips {
            vip.take_back_or_drop(!wanted.contains(&vip.address));
        }
        self.withdraw_dropped(ctx);
    }

    /// Go on with another plan of the same key. State, counters and the Master heard are kept.
    fn adopt(&mut self, plan: KeptPlan, shared: Arc<Shared>, ctx: &mut Context) {
        if (&self.plan, &self.shared) == (&plan, &shared) {
            // keepalived: a reload puts back what `no_track` left away.
            if matches!(self.phase, Phase::Master(_)) {
                self.retry_claim(ctx);
                if self.may_hold() {
                    self.install_routing(ctx);
                }
            }
            return;
        }
        let leaves = self.shared.group.is_some() && shared.group.is_none();
        self.shared = shared;
        if let Phase::Backup(backup) = &mut self.phase
            && leaves
        {
            // Nobody waits for it any more: its timer, which has ended, decides again.
            backup.wants_master = false;
        }
        let old = std::mem::replace(&mut self.plan, plan);
        self.frames.clear();
        if !old.has_addresses_of(&self.plan) {
            self.arrange_addresses();
        }
        if old.routing != self.plan.routing {
            self.routing.arrange(&self.plan.routing);
        }
        self.adjust_timers(&old, ctx.now);
        self.reevaluate(ctx);
        match &self.phase {
            Phase::Master(_) => {
                self.claim_again(&old, ctx);
                self.take_up(ctx);
            }
            Phase::Initialize | Phase::Backup(_) | Phase::Fault => {
                self.withdraw_routing(ctx);
                self.withdraw_addresses(ctx);
            }
        }
    }

    /// Put the addresses into the new plan's order, the dropped ones last.
    fn arrange_addresses(&mut self) {
        self.story_slot = 0;
        let mut known: HashMap<VirtualAddress, Vip> = HashMap::new();
        let mut leaving = Vec::new();
        for vip in std::mem::take(&mut self.vips) {
            if vip.dropped {
                leaving.push(vip);
            } else {
                known.insert(vip.address.clone(), vip);
            }
        }
        let wanted = self.plan.all_addresses();
        self.vips = wanted
            .map(|address| known.remove(address).unwrap_or_else(|| Vip::new(address.clone())))
            .chain(leaving)
            .collect();
    }

    /// A shorter interval counts at once; a Backup's timer keeps its start and gets today's numbers.
    fn adjust_timers(&mut self, old: &KeptPlan, now: Instant) {
        let own = self.own_interval();
        let refresh_changed = old.announce.refresh != self.plan.announce.refresh;
        let refresh_at = self.first_refresh(now);
        let elsewhere_changed = old.announce.elsewhere != self.plan.announce.elsewhere;
        let elsewhere_at = self.first_elsewhere(now);
        match &mut self.phase {
            Phase::Master(master) => {
                master.next_advertisement = master.next_advertisement.min(now + own.duration());
                if elsewhere_changed {
                    master.elsewhere_at = elsewhere_at;
                }
                if refresh_changed {
                    master.refresh_at = refresh_at;
                }
            }
            Phase::Backup(backup) => {
                if self.plan.version == Version::V2 || backup.active.is_none() {
                    backup.master_interval = own;
                }
                if !self.plan.preempt || self.plan.preempt_delay.is_zero() {
                    backup.preempt_after = None;
                }
            }
            Phase::Initialize | Phase::Fault => {}
        }
        let timing = self.timing();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.recompute(timing);
        }
    }
}
