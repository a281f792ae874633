//! Masters that have yielded to a stronger one and hold their addresses for a moment longer, silently: worked out from
//! transitions and operations alone.

use super::clock::MS;
use super::handover::ANNOUNCING;
use super::invariants::by_slow_clock;
use super::model::{self, label};
use super::node::Node;
use super::world::WAKE_LATENCY;
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::RouterKey;
use holdfast::vrrp::{Action, AddressOp, Command, Event, RouterId, State, Transition, TransitionCause};

/// A kernel that has not said by then that it is silent is not waited for.
const CONFIRMING: u64 = 50 * MS;

/// A Backup that serves on.
#[derive(Clone, Debug)]
pub struct Lingering {
    router: RouterId,
    since: u64,
    silent: bool,
    /// What it held when it yielded, and asks the kernel to remove when its time is over.
    kept: Vec<(String, IpCidr)>,
    /// What of that nobody else has removed.
    pub held: Vec<(String, IpCidr)>,
    /// Its process stood still meanwhile.
    pub paused: bool,
}

/// After each call of a core, once its states are known.
pub fn follow(
    now: u64,
    number: usize,
    node: &mut Node,
    event: Option<&Event>,
    actions: &[Action],
) -> Result<(), String> {
    if let Some(Event::Silenced { router, done }) = event {
        node.lingering.values_mut().filter(|one| one.router == *router).for_each(|one| one.silent = *done);
    }
    ends(now, number, node, event, actions)?;
    if let Some(Event::AddressRemoved { index, cidr }) = event
        && let Some(at) = node.kernel.by_index(*index)
    {
        // By somebody else: it is not asked to bring it back. Nor is who has begun to hand over since it was stolen.
        node.awry |= !node.departures.is_empty();
        let gone = (node.kernel.interfaces[at].name.clone(), *cidr);
        node.lingering.values_mut().for_each(|one| one.held.retain(|held| *held != gone));
    }
    for action in actions {
        if let Action::Notify(transition) = action {
            begins(now, number, node, actions, transition)?;
        }
    }
    for (key, one) in &node.lingering {
        let speaks_for_itself = node.silenced.contains_key(&one.router) && node.state(key) == State::Backup;
        if !speaks_for_itself && node.router(key).is_some() {
            return Err(format!("n{number}: {} serves on as {}: {one:?}", label(key), node.state(key)));
        }
    }
    Ok(())
}

/// At any moment: nobody serves on for longer than it may.
pub fn end_in_time(now: u64, number: usize, node: &Node) -> Result<(), String> {
    if !node.runs() || node.leaving || !node.inbox.is_empty() {
        return Ok(());
    }
    for (key, one) in &node.lingering {
        let limit = by_slow_clock(if one.silent { ANNOUNCING } else { CONFIRMING }) + WAKE_LATENCY;
        if now > one.since + limit && !one.paused {
            let (lasted, most) = ((now - one.since) / MS, limit / MS);
            return Err(format!("n{number}: {} serves on for {lasted} ms, at most {most} ms", label(key)));
        }
    }
    Ok(())
}

/// It yielded, and its addresses are not being removed.
fn begins(
    now: u64,
    number: usize,
    node: &mut Node,
    actions: &[Action],
    transition: &Transition,
) -> Result<(), String> {
    let Transition { router, key, from, to, cause, .. } = transition;
    let (Some(plan), State::Master, State::Backup) = (node.router(key), from, to) else { return Ok(()) };
    let held: Vec<(String, IpCidr)> = model::addresses(plan).collect();
    let stays = node.state(key) == State::Backup && !removes(node, actions, &held);
    let silent = node.silenced.contains_key(router);
    if !stays || !silent {
        return Ok(()); // if it holds them all the same, that is seen elsewhere
    }
    let outranked = match cause {
        TransitionCause::Group { cause, .. } => &**cause,
        cause => cause,
    };
    if !matches!(outranked, TransitionCause::Outranked { .. }) || !node.applied.handover {
        return Err(format!("n{number}: {} serves on after {cause:?}", label(key)));
    }
    let one =
        Lingering { router: *router, since: now, silent: false, kept: held.clone(), held, paused: false };
    node.lingering.insert(key.clone(), one);
    Ok(())
}

/// It lets go when it has had its time, when it cannot be silent, or because something else happened; or it is Master again.
fn ends(
    now: u64,
    number: usize,
    node: &mut Node,
    event: Option<&Event>,
    actions: &[Action],
) -> Result<(), String> {
    let told =
        |key: &RouterKey| actions.iter().any(|action| matches!(action, Action::Notify(t) if t.key == *key));
    let over = |key: &RouterKey, one: &Lingering| told(key) || removes(node, actions, &one.kept);
    let over: Vec<RouterKey> =
        node.lingering.iter().filter(|(key, one)| over(key, one)).map(|(key, _)| key.clone()).collect();
    for key in over {
        let Some(one) = node.lingering.remove(&key) else { continue };
        // A group decides when its members have: one whose time is over at that very moment lets go first.
        let grouped = node.applied.groups.iter().any(|group| group.members.contains(&key));
        let at_once = grouped && event.is_none();
        if node.state(&key) == State::Master && removes(node, actions, &one.kept) && !at_once {
            return Err(format!("n{number}: {} is Master again and lets go: {actions:?}", label(&key)));
        }
        let least = if one.silent { ANNOUNCING } else { CONFIRMING };
        let drift = by_slow_clock(least) - least;
        if event.is_none() && !told(&key) && now + drift < one.since + least {
            let lasted = (now - one.since) / MS;
            return Err(format!("n{number}: {} lets go after {lasted} ms: {one:?}", label(&key)));
        }
    }
    let loud = |one: &&Lingering| matches!(event, Some(Event::Silenced { router, done: false }) if one.router == *router);
    match node.lingering.values().find(loud) {
        Some(one) => Err(format!("n{number}: it cannot be silent and serves on: {one:?}")),
        None => Ok(()),
    }
}

/// Is the kernel asked to remove any of these?
fn removes(node: &Node, actions: &[Action], held: &[(String, IpCidr)]) -> bool {
    actions.iter().any(|action| {
        let Action::Kernel(_, AddressOp::Remove { interface, cidr, .. }) = action else { return false };
        let at = node.kernel.by_index(*interface);
        held.iter()
            // One that has just vanished has no name any more.
            .any(|(name, own)| own == cidr && at.is_none_or(|at| node.kernel.interfaces[at].name == *name))
    })
}

/// Told to leave everything as it is, it may still let go of what somebody else holds by now.
pub fn lets_go_only(node: &Node, event: &Event, actions: &[Action]) -> bool {
    let keeps = matches!(event, Event::Command(Command::Stop { release: false }));
    let held: Vec<(String, IpCidr)> = node.lingering.values().flat_map(|one| one.kept.clone()).collect();
    let others = |action: &&Action| {
        !matches!(action, Action::Kernel(..)) || !removes(node, &[(*action).clone()], &held)
    };
    keeps
        && actions
            .iter()
            .filter(others)
            .all(|action| !matches!(action, Action::Transmit(..) | Action::Kernel(..)))
}
