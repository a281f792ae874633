//! Sync groups as the model sees them: who belongs together, and what must hold of members.

use super::model;
use super::network::Network;
use super::node::Node;
use holdfast::plan::vrrp::{RouterKey, VrrpPlan};
use holdfast::vrrp::State;
use std::collections::BTreeSet;

/// The routers that change state together with `key` in this plan, itself among them; `None` if it is for itself.
pub fn members<'a>(plan: &'a VrrpPlan, key: &RouterKey) -> Option<Vec<&'a RouterKey>> {
    let group = plan.groups.iter().find(|group| group.members.contains(key))?;
    let known = |member: &&RouterKey| plan.routers.iter().any(|router| router.key == **member);
    Some(group.members.iter().filter(known).collect())
}

/// Is it in a group on any node, now or in what its operator wants?
pub fn is_grouped(key: &RouterKey, nodes: &[Node]) -> bool {
    nodes
        .iter()
        .any(|node| [&node.applied, &node.wanted].into_iter().any(|plan| members(plan, key).is_some()))
}

/// Must the node's router stay out of the election, for its own trouble or that of its group?
pub fn out(node: &Node, key: &RouterKey) -> bool {
    let faulty = |key: &RouterKey| node.router(key).is_some_and(|plan| model::faulty(plan, &node.kernel));
    match members(&node.applied, key) {
        Some(members) => members.into_iter().any(faulty),
        None => faulty(key),
    }
}

/// Do all nodes have the same group around `key`, and do all that take part hear each other on every LAN of it? Then
/// the group as a whole must behave as one router does. Otherwise only its agreement is asked for.
pub fn united(key: &RouterKey, nodes: &[Node], network: &Network) -> bool {
    let takes_part = |node: &&(usize, &Node)| {
        node.1.runs() && node.1.stopping.is_none() && node.1.router(key).is_some() && !out(node.1, key)
    };
    let all: Vec<(usize, &Node)> = nodes.iter().enumerate().collect();
    let mut known: Option<(BTreeSet<RouterKey>, Vec<u8>)> = None;
    for (number, node) in all.iter().filter(takes_part) {
        let Some(keys) = members(&node.applied, key) else { return false };
        let keys: BTreeSet<RouterKey> = keys.into_iter().cloned().collect();
        let lans: Vec<usize> = keys.iter().map(|key| model::lan_of(&key.interface)).collect();
        if lans.iter().any(|lan| !node.kernel.interfaces[*lan].works()) {
            return false;
        }
        let sides: Vec<u8> = lans.iter().map(|lan| network.group(*lan, *number)).collect();
        let this = (keys, sides);
        if known.as_ref().is_some_and(|known| *known != this) {
            return false;
        }
        known = Some(this);
    }
    // A router of one member's VRID that is for itself on another node is a stranger to the group.
    let Some((keys, _)) = known else { return false };
    keys.iter().all(|member| {
        all.iter()
            .filter(|(_, node)| node.runs() && node.stopping.is_none() && node.router(member).is_some())
            .all(|(_, node)| members(&node.applied, member).is_some_and(|m| m.contains(&key)))
    })
}

/// After each call of a core: members agree. One that a reload brought listens first, beside Masters.
pub fn agree(number: usize, node: &mut Node) -> Result<(), String> {
    // Members that hand over at a stop let go one by one, each when its own successor has had its time.
    // So it is when it is told to leave the rest as it is meanwhile.
    if node.stopping.is_some() && node.applied.handover {
        return Ok(());
    }
    let mut joining = false;
    for group in &node.applied.groups {
        let states: Vec<State> = group
            .members
            .iter()
            .filter(|key| node.router(key).is_some())
            .map(|key| node.state(key))
            .collect();
        let same = states.windows(2).all(|pair| pair[0] == pair[1]);
        // One that waits for the first result of its tracker has no state yet.
        let joins = states.iter().all(|state| *state != State::Fault);
        let excused = same || (node.reloaded && joins);
        if !excused {
            return Err(format!("n{number}: the members of {} are {states:?}", group.name));
        }
        joining |= !same;
    }
    node.reloaded &= joining;
    Ok(())
}
