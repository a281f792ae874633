//! The election core: pure, for all virtual routers of a node. Events and time go in, actions come out.
//!
//! A driver (the vrrp role, a scenario, the simulation) calls three kinds of method on [`Core`]:
//! `handle(event, now, &mut actions)`, `handle_timeout(now, &mut actions)` and getters such as
//! `next_timeout()`. Its part of the contract:
//!
//! - It reports the interfaces before the first plan, or routers begin in FAULT for want of them.
//! - It feeds packets that are already queued before it reports a timeout, so that a process that wakes
//!   late hears the current Master before it claims the address.
//! - It performs actions in the order given, kernel operations above all, and answers each of these once.
//!
//! Within: `router` decides, `transition` performs entry and exit, `election` compares, `track` looks at
//! the surroundings, `vips` and `announce` care for the addresses, `reconfigure` compares plans.

mod accept;
mod advert;
mod announce;
mod answers;
mod at_odds;
mod claim;
mod context;
mod debounce;
mod election;
mod event;
mod explain;
mod gaps;
mod group;
mod handover;
mod heard;
mod held;
mod interfaces;
mod kept;
mod linger;
mod names;
mod news;
mod pause;
mod prepare;
mod receivers;
mod reclaim;
mod reconfigure;
mod resume;
mod rival;
mod router;
mod routers;
mod routes;
mod samples;
mod sources;
mod sparse;
mod speech;
mod state;
mod statics;
mod stats;
mod story;
mod strangers;
mod track;
mod transition;
mod upkeep;
mod vips;
mod virtual_mac;

#[cfg(test)]
mod meetings;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod pairs_handover;
#[cfg(test)]
mod pairs_tracked;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod wakeups;

pub use at_odds::AtOddsView;
pub use claim::{ClaimId, ClaimOrder, ClaimView};
pub use election::patience;
pub use event::{
    Action, AddressOp, Command, Event, Frame, GoneRoute, InterfaceFacts, KernelError, LogLevel, OpId, Packet,
    Received, RouterId, RoutingGone, RoutingOp, State, Transition, TransitionCause,
};
pub use group::Group;
pub use handover::{ANNOUNCING, HandoverView, LONGEST, MARGIN, handover_limit};
pub use held::HeldView;
pub use kept::{KeptAddress, KeptKey, KeptPlan, Policy};
pub use names::Name;
pub use news::{GroupTransition, News, PriorityNews, WeakerHeard};
pub use resume::{Memory, Numbers, Remembered, fingerprint, least_patience};
pub use router::Router;
pub use state::ActiveRouter;
pub use stats::Stats;
pub use upkeep::{Maintenance, Upkeep};
pub use vips::AddressView;

use crate::net::IpCidr;
use crate::plan::Generation;
use crate::plan::track::{Sample, TrackerKey};
use crate::time::Instant;
use context::{Context, Operations, PriorityChange};
use debounce::Debounce;
use explain::priority_sentences;
use gaps::Gaps;
use heard::Heard;
use held::{HeldList, comes_up};
use interfaces::Interfaces;
use receivers::Receivers;
use routers::Routers;
use samples::Samples;
use sources::Sources;
use statics::STATICS;
use std::collections::{BTreeMap, BTreeSet};
use strangers::Strangers;

/// All virtual routers of this node.
#[derive(Debug, Default)]
pub struct Core {
    generation: Generation,
    routers: Routers,
    /// The routers of the plan, in its order; `routers` also holds those that are ending.
    order: Vec<RouterId>,
    interfaces: Interfaces,
    /// Static addresses, routes and rules.
    statics: HeldList,
    /// What is known of tracked scripts, files, processes and BFD sessions.
    samples: Samples,
    groups: Vec<Group>,
    /// Groups of which a member changed what it is, wants or lacks; the members in the order in which they did.
    restless: BTreeMap<usize, Vec<RouterId>>,
    /// The group of a member that heard a weaker Master, and the member.
    alarmed: Option<(usize, RouterId)>,
    /// Masters that have not spoken yet and have what they asked the kernel for.
    prepared: Vec<RouterId>,
    gaps: Gaps,
    debounce: Debounce,
    sources: Sources,
    heard: Heard,
    /// Say which VRIDs are heard that no router has.
    log_unknown: bool,
    /// The end of `vrrp_startup_delay`.
    asleep_until: Option<Instant>,
    operations: Operations,
    /// Who a packet is for.
    receivers: Receivers,
    /// When each router has something to do next.
    deadlines: BTreeSet<(Instant, RouterId)>,
    next_router: u32,
    priorities: Vec<PriorityChange>,
    life: Life,
    /// What is in maintenance.
    maintenance: Maintenance,
    /// Masters that stop in order hand over (not with `no_handover`).
    handover: bool,
    strangers: Strangers,
    /// What the process before this one left, until the first plan.
    memories: resume::Memories,
    /// Time of day less monotonic time, in nanoseconds.
    day_offset: i64,
}

/// Routers that one call of [`Core::handle_timeout`] serves: what thousands want to say at the same moment would need
/// megabytes for that moment, and packets that have come meanwhile would wait.
pub const ROUND: usize = 512;

/// How far the end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Running,
    /// Masters wait for their successors.
    Leaving,
    /// Addresses are being removed.
    Stopping,
    /// Nothing is done any more.
    Stopped,
}

impl Core {
    /// A core without routers.
    pub fn new() -> Core {
        Core::default()
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        let tracked = if let Event::Tracker(key, _) = &event { Some(key.clone()) } else { None };
        let cause = self.name_event(&event);
        self.act_on(event, now, actions);
        self.settle_groups(now, actions);
        self.speak_prepared(now, actions);
        let cause = cause.or_else(|| tracked.map(|key| self.samples.sentence(&key)));
        self.tell_priorities(cause.as_deref().unwrap_or("reload"), actions);
        self.end_if_left(&TransitionCause::Stopped, now, actions);
    }

    fn tell_priorities(&mut self, cause: &str, actions: &mut Vec<Action>) {
        let changes = std::mem::take(&mut self.priorities);
        actions.extend(priority_sentences(&changes, cause).map(|what| Action::Log(LogLevel::Info, what)));
    }

    /// The same as handling an [`Event::Advertisement`], without a copy of the packet.
    pub fn hear(&mut self, packet: Packet<'_>, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.life, Life::Running | Life::Leaving) {
            self.receive(packet, now, actions);
            self.settle_groups(now, actions);
            self.speak_prepared(now, actions);
            self.tell_priorities("an advertisement", actions);
            self.end_if_left(&TransitionCause::Stopped, now, actions);
        }
    }

    /// The event as the cause of a changed priority; `None` when only a new plan can be it.
    fn name_event(&self, event: &Event) -> Option<String> {
        match event {
            Event::Interface(InterfaceFacts { name, up, .. }) => {
                Some(format!("interface {name} is {}", if *up { "up" } else { "down" }))
            }
            Event::InterfaceGone { index } => {
                self.interfaces.name(*index).map(|name| format!("interface {name} is gone"))
            }
            Event::Maintenance(_) => Some("maintenance".to_owned()),
            _ => None,
        }
    }

    fn act_on(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match (self.life, event) {
            (Life::Stopped, _) => {}
            (Life::Running, Event::Plan(plan)) => self.adopt(plan, now, actions),
            (Life::Running | Life::Leaving, Event::Advertisement(packet)) => {
                self.receive((&packet).into(), now, actions);
            }
            (Life::Running | Life::Leaving, Event::Sealed { interface, packet }) => {
                self.receive_sealed(interface, &packet, now, actions);
            }
            (_, Event::TimeOfDay { unix_nanoseconds }) => self.take_time_of_day(unix_nanoseconds, now),
            (Life::Running | Life::Leaving, Event::AddressRemoved { index, cidr }) => {
                self.address_removed(index, cidr, now, actions);
            }
            (_, Event::Interface(facts)) => self.interface(facts, now, actions),
            (_, Event::InterfaceGone { index }) => self.interface_gone(index, now, actions),
            (_, Event::TrackerWords(key, words)) => self.samples.note_words(key, words),
            (_, Event::Tracker(key, sample)) => self.sampled(key, sample, now, actions),
            (_, Event::KernelDone { op, result }) => {
                match self.operations.finish(op) {
                    None => return,
                    Some((STATICS, slot)) => self.statics_done(op, slot, result, now, actions),
                    Some((id, slot)) => {
                        self.with_router(id, now, actions, |r, ctx| r.operation_done(op, slot, result, ctx));
                    }
                }
                self.end_if_idle(actions);
            }
            (Life::Running, Event::Claimed { router, claim, result }) => {
                self.with_router(router, now, actions, |r, ctx| r.claimed(claim, result, ctx));
            }
            (Life::Running, Event::RoutingGone(gone)) => self.routing_gone(&gone, now, actions),
            (Life::Running, Event::RoutingUncertain) => self.assure_routing(now, actions),
            (Life::Running, Event::Command(Command::Stop { release: true })) => {
                self.stop(TransitionCause::Stopped, now, actions);
            }
            (Life::Running, Event::Command(Command::Orphaned)) => {
                self.stop(TransitionCause::Orphaned, now, actions);
            }
            (Life::Leaving, Event::Command(Command::Orphaned)) => {
                self.cut_short(&TransitionCause::Orphaned, now, actions);
            }
            (Life::Running, Event::Failover { routers, hold }) => {
                self.fail_over(&routers, hold, now, actions);
            }
            (Life::Running, Event::Maintenance(maintenance)) => self.maintain(maintenance, now, actions),
            (Life::Running, Event::Paused) => self.listen_after_pause(now, actions),
            (Life::Running, Event::Silenced { router, done }) => self.silenced(router, done, now, actions),
            (_, Event::Resume(all)) => self.remember(all),
            (_, Event::Command(Command::Stop { release: false })) => self.stop_as_it_is(now, actions),
            (Life::Leaving | Life::Stopping, _) => {}
        }
    }

    /// Deal with what is due, for at most [`ROUND`] routers: for the others [`Core::next_timeout`] stays in the past. The
    /// driver calls it when that has come and no packet is waiting; calling it too early does nothing.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.life == Life::Leaving {
            return self.let_go_in_time(now, actions);
        }
        if self.life != Life::Running {
            return;
        }
        self.wake(now, actions);
        self.links_settled(now, actions);
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now).take(ROUND);
        let due: Vec<RouterId> = due.map(|(_, id)| *id).collect();
        let (speaks, room) = (!due.is_empty(), ROUND - due.len());
        for id in due {
            let Some(router) = self.routers.get_mut(&id) else { continue };
            match router.deadline() {
                Some(at) if at <= now => self.with_router(id, now, actions, Router::timeout),
                deadline => requeue(&mut self.deadlines, router, deadline),
            }
        }
        if speaks {
            self.speak_together(room, now, actions);
        }
        self.retry_statics(now, actions);
        self.settle_groups(now, actions);
        self.speak_prepared(now, actions);
        self.gaps.release(now, actions);
    }

    /// Masters whose advertisements are due within a moment share this wake-up.
    fn speak_together(&mut self, room: usize, now: Instant, actions: &mut Vec<Action>) {
        let soon = self.deadlines.iter().take_while(|(at, _)| *at <= now + advert::EARLIEST);
        let speaks = |id: &RouterId| self.routers.get(id).is_some_and(|router| router.may_speak(now));
        let soon: Vec<RouterId> = soon.map(|(_, id)| *id).filter(speaks).take(room).collect();
        for id in soon {
            self.with_router(id, now, actions, Router::speak_if_due);
            if let Some(router) = self.routers.get_mut(&id) {
                let deadline = router.deadline();
                requeue(&mut self.deadlines, router, deadline);
            }
        }
    }

    /// `vrrp_startup_delay` is over: everybody begins.
    fn wake(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.asleep_until.is_none_or(|at| at > now) {
            return;
        }
        self.asleep_until = None;
        for id in self.order.clone() {
            self.with_router(id, now, actions, Router::start);
        }
    }

    /// No later than the earliest moment at which there is something to do: it may be a deadline that has moved since.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.life {
            Life::Running => {}
            Life::Leaving => return self.leaving_timeout(),
            Life::Stopping | Life::Stopped => return None,
        }
        let routers = self.deadlines.first().map(|(at, _)| *at);
        let others = [
            self.gaps.next_timeout(),
            self.debounce.next_timeout(),
            self.asleep_until,
            self.statics_timeout(),
        ];
        others.into_iter().chain([routers]).flatten().min()
    }

    /// Makes anew what grew between things that are gone by now, so that their memory is free in one piece. Changes
    /// nothing else.
    pub fn tidy(&mut self) {
        self.deadlines = std::mem::take(&mut self.deadlines).into_iter().collect();
    }

    /// Which configuration is in force.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The routers in the order of the plan.
    pub fn routers(&self) -> impl Iterator<Item = &Router> {
        self.order.iter().filter_map(|id| self.router(*id))
    }

    /// One router, also one that is ending.
    pub fn router(&self, id: RouterId) -> Option<&Router> {
        self.routers.get(&id)
    }

    /// The sync groups in the order of the plan.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Announcements that were left out because too many waited for their gap (`garp_interval`).
    pub fn dropped_announcements(&self) -> u64 {
        self.gaps.dropped()
    }

    /// Has the order to stop been carried out?
    pub fn is_stopped(&self) -> bool {
        self.life == Life::Stopped
    }

    fn interface(&mut self, mut facts: InterfaceFacts, now: Instant, actions: &mut Vec<Action>) {
        for index in self.interfaces.superseded_by(&facts) {
            self.interface_gone(index, now, actions);
        }
        self.settle_link(&mut facts, now);
        self.take_interface(facts, now, actions);
    }

    /// Facts that count.
    fn take_interface(&mut self, facts: InterfaceFacts, now: Instant, actions: &mut Vec<Action>) {
        let name = facts.name.clone();
        let mac_before = self.interfaces.get(&name).map(|interface| interface.mac);
        let before = self.interfaces.get(&name).map(|interface| (interface.index, interface.up));
        let comes_up = comes_up(before, &facts);
        let changed = self.interfaces.update(facts);
        if self.life == Life::Running {
            self.look_for_sources(now, actions);
        }
        if !changed {
            return;
        }
        self.reevaluate_watchers(&name, now, actions);
        if comes_up && self.life == Life::Running {
            self.link_up(&name, now, actions);
            self.announce_returned(&name, now, actions);
        }
        let mac = self.interfaces.get(&name).map(|interface| interface.mac);
        if mac_before.is_some() && mac_before != mac {
            for id in self.interfaces.watchers(&name) {
                self.with_router(id, now, actions, |router, ctx| router.announce_new_mac(&name, ctx));
            }
        }
    }

    /// The cable is back for Masters that do not track it (`dont_track_primary`).
    fn announce_returned(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        for id in self.interfaces.watchers(name) {
            self.with_router(id, now, actions, |router, ctx| {
                if *router.plan.key.interface == *name && !router.plan.track_primary {
                    router.announce_returned(ctx);
                }
            });
        }
    }

    fn interface_gone(&mut self, index: u32, now: Instant, actions: &mut Vec<Action>) {
        let Some(name) = self.interfaces.remove(index) else { return };
        self.debounce.forget(index);
        for id in self.interfaces.watchers(&name) {
            self.with_router(id, now, actions, |router, _| {
                router.addresses_gone(&name);
                if let Some(routing) = router.routing.there() {
                    routing.link_gone(&name);
                }
            });
        }
        self.statics.link_gone(&name);
        self.reevaluate_watchers(&name, now, actions);
        if self.life == Life::Running {
            self.look_for_sources(now, actions);
        }
    }

    fn sampled(&mut self, key: TrackerKey, sample: Option<Sample>, now: Instant, actions: &mut Vec<Action>) {
        if !self.samples.update(key.clone(), sample) || self.life != Life::Running {
            return;
        }
        let names_it = |router: &Router| !router.doomed && router.trackers().any(|t| t.tracker == key);
        let watchers: Vec<RouterId> =
            self.routers.values().filter(|router| names_it(router)).map(|router| router.id).collect();
        for id in watchers {
            self.with_router(id, now, actions, Router::reevaluate);
        }
    }

    fn reevaluate_watchers(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        match self.life {
            Life::Running => {
                for id in self.interfaces.watchers(name) {
                    self.with_router(id, now, actions, Router::reevaluate);
                }
            }
            Life::Leaving => self.look_while_leaving(name, now, actions),
            Life::Stopping | Life::Stopped => {}
        }
    }

    fn address_removed(&mut self, index: u32, cidr: IpCidr, now: Instant, actions: &mut Vec<Action>) {
        let Some(name) = self.interfaces.name(index).map(str::to_owned) else { return };
        let holders: Vec<RouterId> = self.interfaces.holders(cidr, &name).collect();
        for id in holders {
            self.with_router(id, now, actions, |router, ctx| {
                if router.address_removed(&name, cidr, ctx) {
                    router.lose_address(TransitionCause::AddressLost { cidr }, ctx);
                }
            });
        }
        self.static_address_gone(&name, cidr, now, actions);
    }

    fn end_if_idle(&mut self, actions: &mut Vec<Action>) {
        if self.life == Life::Stopping && self.operations.is_idle() {
            self.stopped(actions);
        }
    }

    fn stopped(&mut self, actions: &mut Vec<Action>) {
        self.life = Life::Stopped;
        actions.push(Action::Stopped);
    }

    fn new_id(&mut self) -> RouterId {
        let id = RouterId(self.next_router);
        self.next_router += 1;
        id
    }

    /// Let one router handle something, then put its deadline and its receiver's key right.
    fn with_router(
        &mut self,
        id: RouterId,
        now: Instant,
        actions: &mut Vec<Action>,
        work: impl FnOnce(&mut Router, &mut Context),
    ) {
        let crowded = self.routers.len() >= advert::CROWD;
        let Some(router) = self.routers.get_mut(&id) else { return };
        let (interfaces, operations) = (&self.interfaces, &mut self.operations);
        let (priorities, samples) = (&mut self.priorities, &self.samples);
        let day_offset = self.day_offset;
        let (gaps, heard, asleep) = (&mut self.gaps, &self.heard, self.asleep_until.is_some());
        work(
            router,
            &mut Context {
                now,
                day_offset,
                interfaces,
                samples,
                gaps,
                heard,
                asleep,
                overlaps: self.handover,
                crowded,
                operations,
                actions,
                priorities,
            },
        );
        if router.silent {
            router.end_silence(actions);
        }
        if router.is_unspoken() && !router.asks_kernel() {
            self.prepared.push(id);
        }
        if std::mem::take(&mut router.stirred)
            && let Some(group) = router.shared.group
        {
            self.restless.entry(group).or_default().push(id);
        }
        if std::mem::take(&mut router.alarmed)
            && let Some(group) = router.shared.group
        {
            self.alarmed.get_or_insert((group, id));
        }
        // A deadline that moves away, as a Backup's does with every advertisement, is put right when the old one comes.
        let deadline = router.deadline();
        let later = matches!((router.queued, deadline), (Some(old), Some(new)) if now < old && old <= new);
        if !later && router.queued != deadline {
            requeue(&mut self.deadlines, router, deadline);
        }
        let listens_on = if router.doomed { None } else { router.link };
        if router.bound != listens_on {
            let key = |link| (link, router.plan.key.family, router.plan.key.vrid);
            if let Some(old) = router.bound {
                self.receivers.remove(key(old), id);
            }
            if let Some(new) = listens_on {
                self.receivers.insert(key(new), id);
            }
            router.bound = listens_on;
        }
        if router.doomed && router.vips.is_empty() && router.routing.items.is_empty() {
            if let Some(at) = router.queued {
                self.deadlines.remove(&(at, id));
            }
            self.routers.remove(&id);
        }
    }
}

/// Put `router` under its deadline.
fn requeue(deadlines: &mut BTreeSet<(Instant, RouterId)>, router: &mut Router, deadline: Option<Instant>) {
    if let Some(old) = router.queued {
        deadlines.remove(&(old, router.id));
    }
    if let Some(new) = deadline {
        deadlines.insert((new, router.id));
    }
    router.queued = deadline;
}
