//! What a router needs and what moves its priority: interfaces, a source address, trackers.

use super::context::{Context, PriorityChange};
use super::event::{Action, State};
use super::interfaces::Interfaces;
use super::kept::KeptPlan;
use super::news::{News, PriorityNews};
use super::router::{Router, Shared};
use super::routes::routing_faults;
use super::samples::Effect;
use super::sources::source_fault;
use super::state::Phase;
use super::virtual_mac;
use crate::net::{AddressFamily, Priority};
use crate::plan::track::{TrackedObject, TrackerKind};
use crate::plan::vrrp::{TrackedInterface, Transport};
use std::net::IpAddr;

/// What the surroundings say about a router.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outlook {
    /// Index of the interface that advertisements leave and enter by.
    link: Option<u32>,
    /// Address to send from.
    source: Option<IpAddr>,
    /// Effective priority.
    priority: Priority,
    /// Why it cannot take part, a sentence each; empty if it can.
    faults: Vec<String>,
    /// Conditions of which nothing is known yet, a sentence each.
    pending: Vec<String>,
    /// Is there a tracker of which nothing is known yet?
    unknown: bool,
}

impl Outlook {
    /// Look around.
    fn of(router: &Router, ctx: &Context) -> Outlook {
        let Router { plan, shared, .. } = router;
        let interfaces = ctx.interfaces;
        let own = interfaces.get(&plan.key.interface);
        let source = match plan.transport {
            Transport::Multicast { source: Some(source), .. }
            | Transport::Unicast { source: Some(source), .. } => Some(source),
            _ => own.and_then(|interface| interface.source(plan.key.family)),
        };
        let mut faults = Vec::new();
        faults.extend(plan.wire.unfit.map(|unfit| unfit.sentence().to_owned()));
        let name = &plan.key.interface;
        match own {
            None => faults.push(no_interface(plan)),
            Some(interface) if plan.track_primary && !interface.up => {
                faults.push(format!("interface {name} is down"));
            }
            Some(_) if source.is_none() => faults.push(no_source(plan)),
            Some(_) => {}
        }
        let speaks = interfaces.get(plan.advert_interface());
        if faults.is_empty() {
            faults.extend(virtual_mac::link_fault(plan, speaks));
        }
        faults.extend(source_fault(plan, interfaces));
        faults.extend(address_faults(router, interfaces));
        faults.extend(routing_faults(plan, interfaces));
        let watched = || watched(plan, shared);
        faults.extend(watched().filter_map(|tracked| tracker_fault(tracked, interfaces)));
        let mut added: Vec<i32> =
            watched().map(|tracked| contribution(tracked, is_up(&tracked.interface, interfaces))).collect();
        let (mut pending, mut unknown) = (Vec::new(), false);
        for tracked in trackers(plan, shared) {
            match ctx.samples.effect(tracked) {
                Effect::Adds(number) => added.push(number),
                Effect::Fault(sentence) => faults.push(sentence),
                Effect::Unknown if tracked.weight == 0 => {
                    unknown = true;
                    pending.push(ctx.samples.sentence(&tracked.tracker))
                }
                Effect::Unknown => unknown = true,
            }
        }
        Outlook {
            link: speaks.map(|interface| interface.index),
            source,
            priority: effective_priority(plan.priority, &added),
            faults,
            pending,
            unknown,
        }
    }
}

impl Router {
    /// Something around the router changed: look again and act on the difference. For a member of a sync group, the
    /// group acts.
    pub(super) fn reevaluate(&mut self, ctx: &mut Context) {
        self.look_around(ctx);
        if self.shared.group.is_some() || self.doomed {
            return;
        }
        let faulty = !self.own_faults.is_empty();
        match &self.phase {
            Phase::Initialize => self.begin(ctx),
            Phase::Fault if faulty => self.fail_or_restate(self.own_faults.clone(), ctx),
            Phase::Fault if !self.pending.is_empty() => self.fail_or_restate(self.pending.clone(), ctx),
            Phase::Fault => self.recover(ctx),
            Phase::Leaving(_) if faulty => self.let_go_at_once(ctx),
            Phase::Backup(_) | Phase::Master(_) if faulty => self.fail(self.own_faults.clone(), ctx),
            Phase::Backup(_) | Phase::Master(_) | Phase::Leaving(_) => {}
        }
    }

    /// Take in interface, source address, priority and trouble as they are now.
    pub(super) fn look_around(&mut self, ctx: &mut Context) {
        let Outlook { link, source, priority, mut faults, pending, unknown } = Outlook::of(self, ctx);
        let held = self.rare.as_deref().and_then(|rare| rare.held_priority);
        let priority = match held {
            Some(held) if unknown => held,
            Some(_) => {
                self.rare().held_priority = None;
                priority
            }
            None => priority,
        };
        let priority = self.upkeep_priority(priority);
        if !matches!(self.phase, Phase::Leaving(_)) {
            faults.extend(self.upkeep_fault());
        }
        // Who has lost its address says so by that address, as keepalived does: the fault that follows is told at once.
        let speaks = matches!(self.phase, Phase::Master(_) | Phase::Leaving(_));
        if !(speaks && source.is_none() && link == self.link) {
            self.link = link;
            self.source = source;
        }
        // An owner that gave way to another one says less until that one is gone.
        let gives_way =
            self.plan.priority.is_owner() && matches!(self.phase, Phase::Backup(_) | Phase::Master(_));
        if priority != self.priority && !(gives_way && priority.is_owner() && self.gave_way) {
            self.change_priority(priority, ctx);
        }
        if (&faults, &pending) != (&*self.own_faults, &*self.pending) {
            self.stirred = true;
            self.own_faults = faults.into();
            self.pending = pending.into();
        }
    }

    /// keepalived recomputes a Backup's timer in place; a Master just says the new number from now on.
    fn change_priority(&mut self, priority: Priority, ctx: &mut Context) {
        let before = std::mem::replace(&mut self.priority, priority);
        let timing = self.timing();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.recompute(timing);
        }
        if self.phase != Phase::Initialize {
            let name = self.plan.name.to_string();
            ctx.priorities.push(PriorityChange { name, from: before, to: priority });
        }
        let state = self.phase.state();
        if matches!(state, State::Master | State::Backup) {
            let (router, key, name) = (self.id, self.plan.key.to_key(), self.plan.name.to_string());
            let news = PriorityNews { router, key, name, state, from: before, priority };
            ctx.actions.push(Action::News(News::Priority(news)));
        }
    }
}

//= RFC9568 5.2.4 M-12
//= RFC9568 5.2.4 M-13
/// keepalived's arithmetic: base plus contributions, kept in 1..=254; an owner never changes.
//= keepalived M-112
fn effective_priority(base: Priority, added: &[i32]) -> Priority {
    if base.is_owner() {
        return base;
    }
    let total = added.iter().fold(i32::from(base.0), |sum, number| sum.saturating_add(*number));
    Priority(u8::try_from(total.clamp(1, 254)).expect("it was brought into 1..=254"))
}

/// The router's interfaces, and those of its sync group: what it tracks itself counts once, by its own line.
fn watched<'a>(plan: &'a KeptPlan, shared: &'a Shared) -> impl Iterator<Item = &'a TrackedInterface> {
    let own = &plan.track_interfaces;
    let known = |theirs: &&TrackedInterface| own.iter().any(|own| own.interface == theirs.interface);
    own.iter().chain(shared.interfaces.iter().filter(move |theirs| !known(theirs)))
}

/// The router's trackers, and those of its sync group, likewise; but for a BFD session both lines count (keepalived 2.2.7).
fn trackers<'a>(plan: &'a KeptPlan, shared: &'a Shared) -> impl Iterator<Item = &'a TrackedObject> {
    let own = &plan.trackers;
    let known = |theirs: &&TrackedObject| {
        theirs.tracker.kind != TrackerKind::Bfd && own.iter().any(|own| own.tracker == theirs.tracker)
    };
    own.iter().chain(shared.trackers.iter().filter(move |theirs| !known(theirs)))
}

/// Up adds a positive weight, down a negative one; `reverse` negates what is added.
fn contribution(tracked: &TrackedInterface, up: bool) -> i32 {
    let weight = i32::from(tracked.weight);
    let added = if up { weight.max(0) } else { weight.min(0) };
    if tracked.reverse { -added } else { added }
}

/// A tracker of weight 0 is a condition: up, or with `reverse` down.
fn tracker_fault(tracked: &TrackedInterface, interfaces: &Interfaces) -> Option<String> {
    let name = &tracked.interface;
    if tracked.weight != 0 || is_up(name, interfaces) != tracked.reverse {
        return None;
    }
    Some(if tracked.reverse {
        format!("tracked interface {name} is up (tracked in reverse)")
    } else if interfaces.get(name).is_none() {
        format!("tracked interface {name} does not exist")
    } else {
        format!("tracked interface {name} is down")
    })
}

/// Interfaces that hold virtual addresses are needed as much as the router's own. For one with `no_track` it must be
/// there, and may be down (keepalived 2.2.7).
fn address_faults(router: &Router, interfaces: &Interfaces) -> Vec<String> {
    let plan = &router.plan;
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for (address, _) in router.listed() {
        let Some(name) = address.interface().filter(|name| plan.key.interface != **name) else {
            continue;
        };
        let told = plan.advert_link.as_deref() == Some(name);
        if told || seen.contains(&name) || is_up(name, interfaces) {
            continue;
        }
        let missing = interfaces.get(name).is_none();
        if !missing && !address.tracked() {
            continue;
        }
        seen.push(name);
        let trouble = if missing { "does not exist" } else { "is down" };
        faults.push(format!("interface {name}, which is to hold {}, {trouble}", address.cidr));
    }
    faults
}

fn no_interface(plan: &KeptPlan) -> String {
    match plan.key.place() {
        None => format!("interface {} does not exist", plan.key.interface),
        Some((source, None)) => {
            format!("no interface has the source address {source}, and none is configured")
        }
        Some((source, Some(vrf))) => format!("no interface of VRF {vrf} has the source address {source}"),
    }
}

fn no_source(plan: &KeptPlan) -> String {
    let name = &plan.key.interface;
    match plan.key.family {
        AddressFamily::V4 => format!("interface {name} has no IPv4 address to send from"),
        AddressFamily::V6 => format!("interface {name} has no IPv6 link-local address to send from"),
    }
}

fn is_up(name: &str, interfaces: &Interfaces) -> bool {
    interfaces.get(name).is_some_and(|interface| interface.up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::track::{Sample, TrackerKey};
    use crate::plan::vrrp::{RouterPlan, VrrpPlan};
    use crate::vrrp::event::Event;

    //= RFC9568 5.2.4 M-13
    /// keepalived: the total is kept in 1..=254, the owner is left alone.
    #[test]
    fn weights_add_up_and_stay_in_range() {
        let priority = |base, added: &[i32]| effective_priority(Priority(base), added).0;
        assert_eq!(priority(100, &[20, 30]), 150);
        assert_eq!(priority(100, &[20, -50]), 70);
        assert_eq!(priority(100, &[-253]), 1);
        assert_eq!(priority(100, &[253, -10, 253]), 254);
        assert_eq!(priority(255, &[-100]), 255);
    }

    #[test]
    fn a_weight_counts_only_on_its_own_side() {
        let tracked = |weight, reverse| TrackedInterface { interface: String::new(), weight, reverse };
        let table = [
            (10, false, true, 10),
            (10, false, false, 0),
            (-10, false, true, 0),
            (-10, false, false, -10),
            (10, true, true, -10),
            (10, true, false, 0),
            (-10, true, true, 0),
            (-10, true, false, 10),
        ];
        for (weight, reverse, up, expected) in table {
            assert_eq!(contribution(&tracked(weight, reverse), up), expected, "{weight} {reverse} {up}");
        }
    }

    #[test]
    fn what_a_member_tracks_as_its_group_does_counts_once_by_its_own_line() {
        use crate::plan::vrrp::SyncGroupPlan;
        use crate::vrrp::testing::{Bench, plan, router_plan};

        let tracked = |kind, weight| {
            let tracker = TrackerKey { kind, name: "x".to_owned() };
            TrackedObject { tracker, weight, reverse: false }
        };
        let all = |weight| {
            [TrackerKind::Script, TrackerKind::Process, TrackerKind::Bfd]
                .map(|kind| tracked(kind, weight))
                .to_vec()
        };
        let link = |weight| vec![TrackedInterface { interface: "eth9".to_owned(), weight, reverse: false }];
        let priority = |own: Vec<TrackedObject>, own_link: Vec<TrackedInterface>| {
            let router = RouterPlan { trackers: own, track_interfaces: own_link, ..router_plan(100) };
            let group = SyncGroupPlan {
                name: "G".to_owned(),
                members: vec![router.key.clone()],
                track_interfaces: link(-2),
                trackers: all(-10),
            };
            let Event::Plan(plan) = plan(vec![router]) else { unreachable!("plan() makes a plan") };
            let mut bench = Bench::new();
            bench.feed(Event::Plan(VrrpPlan { groups: vec![group], ..plan }));
            for tracked in all(0) {
                bench.feed(Event::Tracker(tracked.tracker, Some(Sample::Down)));
            }
            bench.core.routers().next().expect("the plan has one").priority.0
        };
        assert_eq!(priority(Vec::new(), Vec::new()), 68, "the lines of the group");
        assert_eq!(priority(all(-1), link(-1)), 86, "the own lines, and the group's for the BFD session");
    }
}
