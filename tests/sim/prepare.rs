//! Masters over a weaker one that lives, which have their addresses before they speak: worked out from frames and
//! transitions alone.

use super::calls::says;
use super::clock::MS;
use super::invariants::by_slow_clock;
use super::model::label;
use super::node::Node;
use super::world::WAKE_LATENCY;
use holdfast::plan::vrrp::RouterKey;
use holdfast::vrrp::{Action, Frame, State, TransitionCause};

/// The kernel may take so long, and no more than this part of the interval.
const LONGEST: u64 = 50 * MS;
const PART: u64 = 20;

/// After each call of a core, once its states are known: who has become Master and has not said so yet.
pub fn follow(now: u64, node: &mut Node, actions: &[Action]) {
    for action in actions {
        match action {
            Action::Notify(t) if t.to == State::Master => {
                let said =
                    |action: &Action| matches!(action, Action::Transmit(_, f) if speaks(node, f, &t.key));
                let preempts = matches!(t.cause, TransitionCause::Preempted { .. });
                if preempts && !actions.iter().any(said) {
                    node.preparing.insert(t.key.clone(), now);
                }
            }
            Action::Notify(t) => drop(node.preparing.remove(&t.key)),
            Action::Transmit(_, frame) => {
                let spoken = node.preparing.keys().find(|key| speaks(node, frame, key)).cloned();
                spoken.map(|key| node.preparing.remove(&key));
            }
            _ => {}
        }
    }
}

/// Is it an advertisement of that router?
fn speaks(node: &Node, frame: &Frame, key: &RouterKey) -> bool {
    let Frame::Advertisement { interface, .. } = frame else { return false };
    let at = node.kernel.by_index(*interface);
    says(frame, key).is_some() && at.is_some_and(|at| node.kernel.interfaces[at].name == key.interface)
}

/// At any moment: nobody keeps it to itself for longer than it may, whatever its kernel does.
pub fn end_in_time(now: u64, number: usize, node: &Node) -> Result<(), String> {
    if !node.runs() || node.leaving || !node.inbox.is_empty() {
        return Ok(());
    }
    for (key, since) in &node.preparing {
        let Some(plan) = node.router(key) else { continue };
        let interval = plan.interval.duration().as_nanos() as u64;
        let limit = by_slow_clock(LONGEST.min(interval / PART)) + WAKE_LATENCY;
        if now > since + limit {
            let lasted = (now - since) / MS;
            return Err(format!("n{number}: {} is Master for {lasted} ms and has not said so", label(key)));
        }
    }
    Ok(())
}
