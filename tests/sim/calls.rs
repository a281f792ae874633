//! What one call of a core must satisfy.

use super::clock::{MAX_PPM, MS};
use super::groups;
use super::handover;
use super::invariants::{Invariants, may_be_early};
use super::kernel::{Interface, own_address};
use super::linger;
use super::model::{self, label};
use super::node::Node;
use super::prepare;
use super::world::WAKE_LATENCY;
use holdfast::net::AddressFamily;
use holdfast::plan::vrrp::{RouterKey, VrrpPlan};
use holdfast::vrrp::{Action, Command, Event, Frame, State, TransitionCause};
use std::collections::{BTreeMap, BTreeSet};

impl Invariants {
    /// `before`: the states before the call; the node has those after it.
    pub fn step(
        &mut self,
        now: u64,
        node: &mut Node,
        number: usize,
        event: Option<&Event>,
        actions: &[Action],
        before: &BTreeMap<RouterKey, State>,
    ) -> Result<(), String> {
        if let Some(Event::Plan(plan)) = event {
            if !node.ends {
                self.learn_intervals(plan);
                take_plan(number, node, plan, actions)?;
            } else if !actions.is_empty() {
                return Err(format!("n{number}: a plan for a process that stops did {actions:?}"));
            }
        }
        self.touched |= actions.iter().any(|action| matches!(action, Action::Notify(_)));
        self.note_strength(now, number, node, event);
        own_words_change_nothing(number, node, event, actions)?;
        leaving_is_said(number, node, actions)?;
        prepare::follow(now, node, actions);
        stop_is_obeyed(number, node, event, actions)?;
        groups::agree(number, node)?;
        linger::follow(now, number, node, event, actions)?;
        handover::follow(now, number, node, event, actions)?;
        let mut speaking = BTreeSet::new();
        for action in actions {
            if let Action::Transmit(_, frame @ Frame::Advertisement { .. }) = action
                && let Some(key) = check_advertisement(number, node, frame, before)?
            {
                speaking.insert(key);
            }
        }
        for key in speaking {
            self.keeps_its_rate(now, number, node, key)?;
        }
        Ok(())
    }

    /// A stronger Master that speaks ends the patience with a weaker one.
    fn note_strength(&mut self, now: u64, number: usize, node: &Node, event: Option<&Event>) {
        let Some(Event::Advertisement(packet)) = event else { return };
        let family = AddressFamily::of(packet.source);
        let Some(said) = model::read(&packet.bytes, family) else { return };
        let Some(at) = node.kernel.by_index(packet.interface) else { return };
        let name = &node.kernel.interfaces[at].name;
        let is_it = |k: &RouterKey| k.vrid.get() == said.vrid && k.family == family && k.interface == *name;
        let Some(plan) = node.applied.routers.iter().find(|plan| is_it(&plan.key)) else { return };
        if said.priority >= model::priority(plan, &node.kernel).0 {
            self.outranked.insert((number, plan.key.clone()), now);
        }
    }

    /// A settled Master does not speak too early.
    fn keeps_its_rate(&mut self, now: u64, number: usize, node: &Node, key: RouterKey) -> Result<(), String> {
        let last = self.spoke.insert((number, key.clone()), now);
        let (Some(last), Some(plan)) = (last, node.router(&key)) else { return Ok(()) };
        let interval = plan.interval.duration().as_nanos() as u64;
        let least =
            interval - may_be_early(interval) - interval * (MAX_PPM as u64 + 1) / 1_000_000 - WAKE_LATENCY;
        if self.is_settled(&key, last) && now - last < least {
            return Err(format!("n{number}: {} spoke again after {} ms", label(&key), (now - last) / MS));
        }
        Ok(())
    }
}

/// A switch may send a node's own packets back to it.
fn own_words_change_nothing(
    number: usize,
    node: &Node,
    event: Option<&Event>,
    actions: &[Action],
) -> Result<(), String> {
    let Some(Event::Advertisement(packet)) = event else { return Ok(()) };
    let family = AddressFamily::of(packet.source);
    let own = node.kernel.by_index(packet.interface).map(|at| own_address(number, at, family));
    let acts = actions.iter().any(|a| !matches!(a, Action::Log(..)));
    if own == Some(packet.source) && acts {
        return Err(format!("n{number}: its own packet made it do {actions:?}"));
    }
    Ok(())
}

/// A Master that leaves without having heard a stronger one resigns, so that nobody waits the whole down interval.
fn leaving_is_said(number: usize, node: &Node, actions: &[Action]) -> Result<(), String> {
    for action in actions {
        let Action::Notify(t) = action else { continue };
        let first = if let TransitionCause::Group { cause, .. } = &t.cause { cause } else { &t.cause };
        // What a process before this one was, this one need not leave with a word.
        let yields = matches!(first, TransitionCause::Outranked { .. }) || node.begun.contains(&t.key);
        // One that handed over has said it before; one that was silent for too long may have a successor.
        let yields = yields || node.departs(&t.key) || matches!(first, TransitionCause::Paused { .. });
        // Nobody has been told that it is Master: the weaker one, which lives, has gone on all the while.
        let yields = yields || node.preparing.contains_key(&t.key);
        if t.from != State::Master || yields || !could_speak(node, &t.key) {
            continue;
        }
        let is_resignation =
            |a: &Action| matches!(a, Action::Transmit(_, frame) if says(frame, &t.key) == Some(0));
        if !actions.iter().any(is_resignation) {
            return Err(format!("n{number}: {} left Master without a word: {:?}", label(&t.key), t.cause));
        }
    }
    Ok(())
}

fn take_plan(number: usize, node: &mut Node, plan: &VrrpPlan, actions: &[Action]) -> Result<(), String> {
    let had_one = node.applied != VrrpPlan::default();
    let same = (&node.applied.routers, &node.applied.groups) == (&plan.routers, &plan.groups);
    node.reloaded |= had_one && !same;
    if had_one && same && !actions.is_empty() {
        return Err(format!("n{number}: a reload of an equal configuration did {actions:?}"));
    }
    node.applied = plan.clone();
    if !had_one {
        node.find_orphans();
    }
    for router in &plan.routers {
        for named in model::addresses(router) {
            node.orphans.remove(&named);
        }
    }
    node.states.retain(|key, _| plan.routers.iter().any(|r| r.key == *key));
    Ok(())
}

fn stop_is_obeyed(
    number: usize,
    node: &mut Node,
    event: Option<&Event>,
    actions: &[Action],
) -> Result<(), String> {
    let Some(Event::Command(Command::Stop { release })) = event else { return Ok(()) };
    node.ends = true;
    if node.stopping != Some(*release) {
        return Ok(()); // it was stopping already
    }
    let touched = actions.iter().any(|a| matches!(a, Action::Transmit(..) | Action::Kernel(..)));
    let allowed = event.is_some_and(|event| linger::lets_go_only(node, event, actions));
    if !release && touched && !allowed {
        return Err(format!("n{number}: stopped without release, did {actions:?}"));
    }
    Ok(())
}

/// Has the router an interface that is up and an address to speak from, and does the process know?
fn could_speak(node: &Node, key: &RouterKey) -> bool {
    let has_source = |i: &Interface| key.family == AddressFamily::V4 || i.has_link_local;
    let mut interfaces = node.kernel.interfaces.iter();
    node.knows_all() && interfaces.any(|i| i.name == key.interface && i.works() && has_source(i))
}

/// The priority a frame says for that router, if it is about it.
pub(super) fn says(frame: &Frame, key: &RouterKey) -> Option<u8> {
    let Frame::Advertisement { destination, bytes, .. } = frame else { return None };
    let said = model::read(bytes, AddressFamily::of(*destination))?;
    (said.vrid == key.vrid.get() && AddressFamily::of(*destination) == key.family).then_some(said.priority)
}

/// Only a Master speaks, and says what its plan says. Returns the router unless it resigned.
fn check_advertisement(
    number: usize,
    node: &Node,
    frame: &Frame,
    before: &BTreeMap<RouterKey, State>,
) -> Result<Option<RouterKey>, String> {
    let Frame::Advertisement { interface, destination, bytes, .. } = frame else { return Ok(None) };
    let family = AddressFamily::of(*destination);
    let Some(said) = model::read(bytes, family) else {
        return Err(format!("n{number}: an unreadable advertisement {bytes:?}"));
    };
    // A frame for an interface that is gone was judged when it was sent.
    let Some(at) = node.kernel.by_index(*interface) else { return Ok(None) };
    let name = &node.kernel.interfaces[at].name;
    let is_it =
        |key: &RouterKey| key.vrid.get() == said.vrid && key.family == family && key.interface == *name;
    let was = before.iter().find(|(key, _)| is_it(key)).map(|(_, state)| *state);
    // One that goes on as Master and at once has to leave: the process before it was the Master.
    let was = if node.begun.iter().any(is_it) { Some(State::Master) } else { was };
    if said.priority == 0 {
        let leaves = !node.states.iter().any(|(key, state)| is_it(key) && *state == State::Master);
        let hands_over = node.departures.keys().any(is_it);
        let fair = was == Some(State::Master) && (leaves || hands_over);
        return if fair {
            Ok(None)
        } else {
            Err(format!("n{number}: {said:?} from a router that was {was:?}"))
        };
    }
    let Some(plan) = node.applied.routers.iter().find(|plan| is_it(&plan.key)) else {
        return Err(format!("n{number}: {said:?}, which no plan knows"));
    };
    let is_now = node.state(&plan.key);
    if was != Some(State::Master) && is_now != State::Master {
        return Err(format!("n{number}: {said:?} from a router that was {was:?} and is {is_now}"));
    }
    // Until the process has heard of a link that went, its priority is the old one.
    let priority = if !node.knows_all() {
        holdfast::net::Priority(said.priority)
    } else {
        model::priority(plan, &node.kernel)
    };
    let right = model::should_say(plan, priority);
    if said != right {
        return Err(format!("n{number}: says {said:?} instead of {right:?}"));
    }
    Ok(Some(plan.key.clone()))
}
