//! Handovers: who has said priority 0 and keeps its addresses still, and what must hold of it. Worked out from frames
//! and states alone, not from what the core believes of itself.

use super::clock::MS;
use super::groups;
use super::invariants::by_slow_clock;
use super::model::{self, label, skew};
use super::node::Node;
use super::world::WAKE_LATENCY;
use holdfast::net::{AddressFamily, Priority};
use holdfast::plan::vrrp::{RouterKey, RouterPlan};
use holdfast::vrrp::{Action, Command, Event, Frame, RouterId, State, TransitionCause};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// From the successor's first advertisement on: it asks its kernel for the addresses and announces them.
pub const ANNOUNCING: u64 = 300 * MS;
/// Over the longest skew of a Backup: a packet each way, and a process that wakes late.
const MARGIN: u64 = 300 * MS;

/// A Master that has resigned and keeps its addresses.
#[derive(Clone, Debug)]
pub struct Departure {
    since: u64,
    /// How long it waits for a successor.
    wait: u64,
    /// When anybody else first spoke.
    heard: Option<u64>,
    /// A reload changed what it should hold.
    pub replanned: bool,
    /// Its process stood still meanwhile: what it hears then comes before its timers.
    pub paused: bool,
}

/// How long a Master of this plan waits for a successor: any Backup that knows its interval has spoken by then.
fn longest_wait(plan: &RouterPlan) -> u64 {
    skew(plan, Priority(1), plan.interval.duration().as_nanos() as u64) + MARGIN
}

/// As long as the slowest member of its sync group: those elsewhere take over together.
fn wait_of(node: &Node, plan: &RouterPlan) -> u64 {
    let members = groups::members(&node.applied, &plan.key).unwrap_or_default();
    let fellows = members.into_iter().filter_map(|key| node.router(key));
    fellows.chain([plan]).map(longest_wait).max().unwrap_or(0)
}

/// From the order to the end of the last of the node's handovers, at most.
pub fn longest(node: &Node) -> u64 {
    let waits = node.applied.routers.iter().map(longest_wait);
    by_slow_clock(waits.max().unwrap_or(0) + ANNOUNCING) + WAKE_LATENCY
}

impl Node {
    /// The router has resigned and is Master to everybody who asks it.
    pub fn departs(&self, key: &RouterKey) -> bool {
        self.departures.contains_key(key)
    }

    /// It answers nobody about these addresses.
    pub fn hush(&mut self, router: RouterId, addresses: &[IpAddr]) {
        if addresses.is_empty() {
            self.silenced.remove(&router);
        } else {
            self.silenced.insert(router, addresses.to_vec());
        }
    }
}

/// After each call of a core, once its states are known.
pub fn follow(
    now: u64,
    number: usize,
    node: &mut Node,
    event: Option<&Event>,
    actions: &[Action],
) -> Result<(), String> {
    note_orders(now, node, event);
    note_successors(now, node, event);
    for key in said(node, actions, |priority| priority > 0) {
        stays(now, number, node, &key)?;
    }
    ends(now, number, node, event, actions)?;
    for key in said(node, actions, |priority| priority == 0) {
        begins(now, number, node, event, &key)?;
    }
    if matches!(event, Some(Event::Plan(_))) {
        node.departures.values_mut().for_each(|departure| departure.replanned = true);
    }
    rest_claims_nothing(number, node, actions)?;
    silence_is_fair(number, node)
}

/// At any moment: nobody hands over for longer than it may.
pub fn end_in_time(now: u64, number: usize, node: &Node) -> Result<(), String> {
    // Told to leave everything as it is, it ends at once; only what its kernel was asked for is still to be done.
    if !node.runs() || node.leaving {
        return Ok(());
    }
    for (key, departure) in &node.departures {
        let limit = by_slow_clock(departure.wait + ANNOUNCING) + WAKE_LATENCY;
        if now > departure.since + limit && !departure.paused {
            let lasted = (now - departure.since) / MS;
            return Err(format!(
                "n{number}: {} hands over for {lasted} ms, at most {} ms",
                label(key),
                limit / MS
            ));
        }
    }
    Ok(())
}

/// The stop and the failover that count for what follows.
fn note_orders(now: u64, node: &mut Node, event: Option<&Event>) {
    match event {
        Some(Event::Command(Command::Stop { release: true })) => {
            node.stop_asked_at.get_or_insert(now);
        }
        Some(Event::Failover { hold, .. }) => {
            let until = now + by_slow_clock(hold.as_nanos() as u64);
            node.held_back_until = node.held_back_until.max(until);
        }
        _ => {}
    }
}

/// Any word of anybody else may be the successor's.
fn note_successors(now: u64, node: &mut Node, event: Option<&Event>) {
    let Some(Event::Advertisement(packet)) = event else { return };
    let family = AddressFamily::of(packet.source);
    let Some(heard) = model::read(&packet.bytes, family).filter(|said| said.priority > 0) else { return };
    let Some(at) = node.kernel.by_index(packet.interface) else { return };
    let name = node.kernel.interfaces[at].name.clone();
    for (key, departure) in &mut node.departures {
        if (key.vrid.get(), key.family, &key.interface) == (heard.vrid, family, &name) {
            departure.heard.get_or_insert(now);
        }
    }
}

/// Routers that said something of that priority in this call.
fn said(node: &Node, actions: &[Action], wanted: impl Fn(u8) -> bool) -> BTreeSet<RouterKey> {
    let mut keys = BTreeSet::new();
    for action in actions {
        let Action::Transmit(_, Frame::Advertisement { interface, destination, bytes, .. }) = action else {
            continue;
        };
        let family = AddressFamily::of(*destination);
        let (Some(said), Some(at)) = (model::read(bytes, family), node.kernel.by_index(*interface)) else {
            continue;
        };
        let name = &node.kernel.interfaces[at].name;
        let is_it =
            |key: &RouterKey| (key.vrid.get(), key.family, &key.interface) == (said.vrid, family, name);
        let plans = node.applied.routers.iter().filter(|plan| wanted(said.priority) && is_it(&plan.key));
        keys.extend(plans.map(|plan| plan.key.clone()));
    }
    keys
}

/// It resigned and is Master still: by an order, and only where it may.
fn begins(
    now: u64,
    number: usize,
    node: &mut Node,
    event: Option<&Event>,
    key: &RouterKey,
) -> Result<(), String> {
    if node.state(key) != State::Master {
        return Ok(());
    }
    let ordered = matches!(
        event,
        Some(
            Event::Command(Command::Stop { release: true }) | Event::Failover { .. } | Event::Maintenance(_)
        )
    );
    let Some(plan) = node.router(key).filter(|_| ordered && node.applied.handover && !node.departs(key))
    else {
        return Err(format!("n{number}: {} resigns and stays Master", label(key)));
    };
    let wait = wait_of(node, plan);
    let departure = Departure { since: now, wait, heard: None, replanned: false, paused: false };
    node.departures.insert(key.clone(), departure);
    Ok(())
}

/// A Master that hands over is silent, unless nobody came.
fn stays(now: u64, number: usize, node: &mut Node, key: &RouterKey) -> Result<(), String> {
    let Some(departure) = node.departures.get(key).cloned() else { return Ok(()) };
    if node.state(key) != State::Master {
        return Ok(()); // it became Backup and Master again in one call: seen at its end
    }
    let early = now + drift(departure.wait) < departure.since + departure.wait;
    if early || node.stopping == Some(true) {
        return Err(format!("n{number}: {} speaks although it hands over: {departure:?}", label(key)));
    }
    node.departures.remove(key);
    Ok(())
}

/// It has let go: when its successor had its time, when none came, or when it could not serve any longer.
fn ends(
    now: u64,
    number: usize,
    node: &mut Node,
    event: Option<&Event>,
    actions: &[Action],
) -> Result<(), String> {
    let gone: Vec<RouterKey> =
        node.departures.keys().filter(|key| node.state(key) != State::Master).cloned().collect();
    for key in gone {
        let Some(departure) = node.departures.remove(&key) else { continue };
        // A timer, or a packet of a successor that came before a timer that was due: nothing else has happened.
        let plain = matches!(event, None | Some(Event::Advertisement(_)));
        let grouped = groups::members(&node.applied, &key).is_some();
        let waited = now + drift(departure.wait) >= departure.since + departure.wait;
        let announced = departure.heard.is_some_and(|at| now + drift(ANNOUNCING) >= at + ANNOUNCING);
        if plain && !grouped && !waited && !announced {
            return Err(format!(
                "n{number}: {} lets go after {} ms: {departure:?}, {actions:?}",
                label(&key),
                (now - departure.since) / MS
            ));
        }
    }
    Ok(())
}

/// By how much a fast clock may be early.
fn drift(duration: u64) -> u64 {
    by_slow_clock(duration) - duration
}

/// What is in maintenance asks for no address, and becomes no Master.
fn rest_claims_nothing(number: usize, node: &Node, actions: &[Action]) -> Result<(), String> {
    // The order may be under way still, or come to a process that has stopped and waits for its kernel.
    if !node.knows_all() || node.leaving {
        return Ok(());
    }
    for plan in node.applied.routers.iter().filter(|plan| model::rests(plan, &node.kernel)) {
        let becomes = |action: &Action| {
            matches!(action, Action::Notify(t) if t.key == plan.key && t.to == State::Master
                && !matches!(t.cause, TransitionCause::Resumed { .. }))
        };
        let stays = node.state(&plan.key) == State::Master && !node.departs(&plan.key);
        if stays || actions.iter().any(becomes) {
            return Err(format!("n{number}: {} is in maintenance and claims: {actions:?}", label(&plan.key)));
        }
    }
    Ok(())
}

/// Silent is who hands over and has heard its successor, about all that it holds; nobody else for longer than its
/// addresses take to go.
fn silence_is_fair(number: usize, node: &Node) -> Result<(), String> {
    for router in node.core.routers() {
        let key = &router.plan().key.to_key();
        let silenced = node.silenced.get(&router.id());
        let departure = node.departures.get(key);
        // Whom it heard on an interface that has just vanished, and it does not know, nobody can tell any more.
        let there = node.kernel.interfaces.iter().any(|i| i.exists && i.name == key.interface);
        if node.state(key) == State::Master
            && there
            && silenced.is_some()
            && departure.is_none_or(|d| d.heard.is_none())
        {
            return Err(format!("n{number}: {} is Master and answers nobody", label(key)));
        }
        let troubled = node.awry || node.may_try_again;
        let at_rest = node.state(key) != State::Master && !node.has_news() && !troubled;
        let at_rest = at_rest && !node.lingering.contains_key(key);
        if at_rest && silenced.is_some() && node.stopping.is_none() {
            return Err(format!("n{number}: {} holds nothing and answers nobody still", label(key)));
        }
    }
    Ok(())
}
