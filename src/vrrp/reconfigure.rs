//! A new plan: what stays equal is not touched, what changed is changed in place.

use super::Core;
use super::context::Context;
use super::event::{Action, LogLevel, RouterId, State, TransitionCause};
use super::group::Group;
use super::kept::{Arrival, Arrivals, Keeper, KeptAddress, KeptPlan, Listed, Planned};
use super::resume::only_whole_groups;
use super::router::{Router, Shared};
use super::state::Phase;
use super::vips::Vip;
use crate::plan::Generation;
use crate::plan::track::TrackerKey;
use crate::plan::vrrp::{RouterKey, RouterPlan, SyncGroupPlan, VrrpPlan};
use crate::time::Instant;
use crate::wire::vrrp::Version;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

impl Core {
    /// Take over a plan. Routers that left go first, then addresses that left their router, then everything
    /// else: an address may move from one router to another in one step.
    //= keepalived M-114
    pub(super) fn adopt(&mut self, plan: VrrpPlan, now: Instant, actions: &mut Vec<Action>) {
        let first_new = RouterId(self.next_router);
        let (kept, left) = self.take_in(plan.routers, actions);
        let mut memories = std::mem::take(&mut self.memories);
        // A process that follows another waits only if that one had not begun either.
        let goes_on = memories.values().any(|memory| memory.state != State::Initialize);
        if self.generation == Generation::default() && !plan.startup_delay.is_zero() && !goes_on {
            self.asleep_until = Some(now + plan.startup_delay);
        }
        self.gaps.adopt(&plan.announce_gaps);
        self.debounce.adopt(plan.link_delays);
        self.note_sources(kept.iter().map(|router| router.plan));
        self.log_unknown = plan.log_unknown_vrids;
        self.handover = plan.handover;
        self.generation = plan.generation;
        let statics = plan.statics;
        self.order = kept.iter().map(|router| router.id).collect();
        self.heard.own(kept.iter().map(|router| &router.plan.key));
        let shared = self.arrange_groups(plan.groups, &kept, now, actions);
        if !memories.is_empty() {
            let group = |id: &RouterId| shared.get(id).and_then(|shared| shared.group);
            only_whole_groups(&kept, group, &mut memories, now);
        }
        self.note_dependants(&kept, &shared);
        self.forget_samples(&kept, &shared);
        let looks_new = self.interfaces.reduce_again();
        for id in left {
            self.with_router(id, now, actions, |router, ctx| {
                router.shared = Arc::default();
                router.end(ctx);
            });
        }
        for Arrival { id, plan, addresses } in kept.iter() {
            self.with_router(id, now, actions, |router, ctx| {
                router.drop_routing(plan, ctx);
                router.drop_addresses(addresses, ctx);
            });
        }
        self.adopt_statics(&statics, now, actions);
        let alone: Arc<Shared> = Arc::default();
        let shared = |id: &RouterId| shared.get(id).unwrap_or(&alone).clone();
        // All of them before any begins: what they say at their beginning would come to lie between them.
        for Arrival { id, plan, addresses } in kept.iter().filter(|router| router.id >= first_new) {
            let mut router = Router::new(id, (plan.clone(), addresses), shared(&id), now);
            router.begin_upkeep(self.maintenance.of(&plan.name));
            self.routers.insert(router);
        }
        for arrival in kept.iter() {
            let Arrival { id, plan, addresses } = arrival;
            if id >= first_new {
                let memory = if memories.is_empty() { None } else { memories.get(&arrival.fingerprint()) };
                self.with_router(id, now, actions, |router, ctx| {
                    if !memory.is_some_and(|memory| router.resume(memory, ctx)) {
                        router.start(ctx);
                    }
                });
            } else {
                let (plan, shared) = (plan.clone(), shared(&id));
                self.with_router(id, now, actions, |router, ctx| router.adopt(plan, addresses, shared, ctx));
            }
        }
        for name in looks_new {
            self.reevaluate_watchers(&name, now, actions);
        }
        self.warn_of_missing_sources(first_new, actions);
        if !memories.is_empty() {
            self.recall_groups();
        }
        self.welcome();
        self.routers.shrink();
        self.receivers.shrink();
    }

    /// What is kept of the plan's routers, each with an identifier, and those that left it.
    fn take_in(&mut self, routers: Vec<RouterPlan>, actions: &mut Vec<Action>) -> (Arrivals, Vec<RouterId>) {
        let key = |id: &RouterId| Some((self.routers.get(id)?.plan.key.to_key(), *id));
        let mut known: BTreeMap<RouterKey, RouterId> = self.order.iter().filter_map(key).collect();
        let mut keeper = Keeper::new(&routers);
        let mut seen = BTreeSet::new();
        for router in routers {
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
            keeper.keep(id, router);
        }
        (keeper.finish(), known.into_values().collect())
    }

    /// The new plan's groups; a group that keeps its name keeps its state. What each router shares with its group.
    ///
    /// As with keepalived 2.2.7 nobody is told of a group that goes, nor of a new one whose members are Master already.
    //= keepalived M-111
    fn arrange_groups(
        &mut self,
        plans: Vec<SyncGroupPlan>,
        routers: &Arrivals,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> BTreeMap<RouterId, Arc<Shared>> {
        let by_key: HashMap<RouterKey, RouterId> = match plans.is_empty() {
            true => HashMap::new(),
            false => routers.iter().map(|router| (router.plan.key.to_key(), router.id)).collect(),
        };
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(index) else { continue };
            if plans.iter().all(|plan| plan.name != group.plan.name) {
                group.quiet = Some(State::Initialize);
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
                None => {
                    let is_master = |id: &RouterId| {
                        self.routers.get(id).is_some_and(|router| router.state() == State::Master)
                    };
                    let quiet = members.iter().any(is_master).then_some(State::Master);
                    Group { quiet, ..Group::new(plan, members, now) }
                }
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
    fn forget_samples(&mut self, routers: &Arrivals, shared: &BTreeMap<RouterId, Arc<Shared>>) {
        let new = routers.iter().flat_map(|router| &router.plan.trackers);
        let new = new.chain(shared.values().flat_map(|shared| &shared.trackers));
        let wanted: BTreeSet<&TrackerKey> = new.map(|tracked| &tracked.tracker).collect();
        for old in self.routers.values().flat_map(|router| router.trackers()) {
            if !wanted.contains(&old.tracker) {
                self.samples.forget(&old.tracker);
            }
        }
    }

    fn note_dependants(&mut self, routers: &Arrivals, shared: &BTreeMap<RouterId, Arc<Shared>>) {
        self.interfaces.clear_dependants();
        for Arrival { id, plan, addresses } in routers.iter() {
            self.interfaces.watch(&plan.key.interface, id);
            self.interfaces.watch(plan.advert_interface(), id);
            let common = shared.get(&id).into_iter().flat_map(|shared| &shared.interfaces);
            for tracked in plan.track_interfaces.iter().chain(common) {
                self.interfaces.watch(&tracked.interface, id);
            }
            for address in addresses.all() {
                let name = address.interface().unwrap_or(&plan.key.interface);
                self.interfaces.hold(address.cidr, name, id, plan.priority.is_owner());
                self.interfaces.watch(name, id);
            }
            for name in plan.routing.iter().flat_map(|item| item.interfaces()) {
                self.interfaces.watch(name, id);
            }
        }
        self.interfaces.shrink();
    }
}

impl Router {
    /// The router left the configuration: resign, give the addresses up, end.
    fn end(&mut self, ctx: &mut Context) {
        self.doomed = true;
        for vip in &mut self.vips {
            vip.dropped = true;
        }
        if let Some(routing) = self.routing.there() {
            routing.drop_others([]);
        }
        self.transition(Phase::Initialize, TransitionCause::Removed, ctx);
    }

    /// Remove the addresses that the new plan no longer has.
    fn drop_addresses(&mut self, addresses: Planned<'_>, ctx: &mut Context) {
        if self.has(addresses) {
            return;
        }
        let wanted: HashSet<&KeptAddress> = addresses.all().collect();
        for vip in &mut self.vips {
            vip.take_back_or_drop(!wanted.contains(&vip.address));
        }
        self.withdraw_dropped(ctx);
    }

    /// Go on with another plan of the same key. State, counters and the Master heard are kept.
    fn adopt(&mut self, plan: KeptPlan, addresses: Planned<'_>, shared: Arc<Shared>, ctx: &mut Context) {
        let same_addresses = self.has(addresses);
        if same_addresses && (&self.plan, &self.shared) == (&plan, &shared) {
            // The old one would keep everything alive that it shares with others.
            self.plan = plan;
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
        let claimed = self.claimable();
        if !same_addresses {
            self.arrange_addresses(addresses);
        }
        if old.routing != self.plan.routing {
            self.routing.arrange(&self.plan.routing);
        }
        self.adjust_timers(&old, ctx.now);
        self.reevaluate(ctx);
        match &self.phase {
            Phase::Master(_) => {
                self.claim_again(&old, &claimed, ctx);
                self.take_up(ctx);
            }
            // Let go soon; what it drops it has dropped above.
            Phase::Leaving(_) => {}
            Phase::Initialize | Phase::Backup(_) | Phase::Fault => {
                self.end_linger();
                self.withdraw_routing(ctx);
                self.withdraw_addresses(ctx);
            }
        }
    }

    /// Put the addresses into the new plan's order, the dropped ones last.
    fn arrange_addresses(&mut self, addresses: Planned<'_>) {
        self.story_begins_anew();
        let mut known: HashMap<KeptAddress, Vip> = HashMap::new();
        let mut leaving = Vec::new();
        for vip in std::mem::take(&mut self.vips) {
            if vip.dropped {
                leaving.push(vip.listed(Listed::Nowhere));
            } else {
                known.insert(vip.address.clone(), vip);
            }
        }
        let wanted = addresses.listed().map(|(address, listed)| match known.remove(address) {
            Some(vip) => vip.listed(listed),
            None => Vip::new(address.clone(), listed),
        });
        self.vips = wanted.chain(leaving).collect();
        self.forget_dropped();
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
            Phase::Initialize | Phase::Fault | Phase::Leaving(_) => {}
        }
        let timing = self.timing();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.recompute(timing);
        }
    }
}
