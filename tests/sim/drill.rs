//! One fault in a settled network, and the takeover timed on both sides: not too late, not too early.

use super::clock::{MAX_PPM, MS};
use super::faults::Deed;
use super::invariants::sides;
use super::model::{down_interval, label, priority, skew};
use super::network::{CALM_DELAY, Network};
use super::node::Node;
use super::rng::Rng;
use super::world::WAKE_LATENCY;
use holdfast::plan::vrrp::{RouterKey, RouterPlan};
use holdfast::vrrp::State;

/// A Master that is about to go, and when its successor must appear.
struct Succession {
    key: RouterKey,
    candidates: Vec<usize>,
    earliest: u64,
    latest: u64,
    done: bool,
}

/// What is done to whom, and what must follow.
pub struct Drill {
    pub deed: Deed,
    /// Ends the fault.
    pub undo: Deed,
    victim: usize,
    successions: Vec<Succession>,
    /// May only the routers of `successions` change state?
    others_rest: bool,
}

impl Drill {
    /// Draws a Master with at least one Backup; `None` if there is none.
    /// `spoke`: when a node last advertised a router.
    pub fn draw(
        rng: &mut Rng,
        now: u64,
        nodes: &[Node],
        network: &Network,
        spoke: impl Fn(usize, &RouterKey) -> Option<u64>,
    ) -> Option<Drill> {
        let masters: Vec<(RouterKey, usize)> = keys(nodes)
            .into_iter()
            .flat_map(|key| {
                let sides = sides(&key, nodes, network);
                let contested = sides.into_values().filter(|members| members.len() > 1).flatten();
                let is_master = |n: &usize| nodes[*n].state(&key) == State::Master;
                contested.filter(is_master).map(|n| (key.clone(), n)).collect::<Vec<_>>()
            })
            .collect();
        if masters.is_empty() {
            return None;
        }
        let (chosen, victim) = rng.pick(&masters).clone();
        let lan = super::model::lan_of(&chosen.interface);
        let (deed, undo) = match rng.below(4) {
            0 | 1 => (Deed::Stop { node: victim, release: true }, Deed::Start { node: victim }),
            2 => (Deed::Crash { node: victim }, Deed::Start { node: victim }),
            _ => (Deed::Link { node: victim, lan, up: false }, Deed::Link { node: victim, lan, up: true }),
        };
        // A pulled cable moves priorities and faults on other LANs too: only the chosen router is timed.
        let pulled = matches!(deed, Deed::Link { .. });
        let resigns = matches!(deed, Deed::Stop { .. });
        let timed = masters.into_iter().filter(|(key, n)| *n == victim && (!pulled || *key == chosen));
        let successions = timed
            .filter_map(|(key, _)| {
                let members = sides(&key, nodes, network).into_values().find(|m| m.contains(&victim))?;
                let candidates: Vec<usize> = members.into_iter().filter(|n| *n != victim).collect();
                let last = if resigns { now } else { spoke(victim, &key)? };
                let interval = nodes[victim].router(&key)?.interval.duration().as_nanos() as u64;
                let wait =
                    |n: &usize| nodes[*n].router(&key).map(|plan| wait(plan, &nodes[*n], interval, resigns));
                let least = candidates.iter().filter_map(wait).min()?;
                let drift = least * (MAX_PPM as u64 + 1) / 1_000_000;
                let (earliest, latest) =
                    (last + least - drift, last + least + drift + CALM_DELAY + WAKE_LATENCY);
                Some(Succession { key, candidates, earliest, latest, done: false })
            })
            .collect();
        Some(Drill { deed, undo, victim, successions, others_rest: !pulled })
    }

    /// When everything must have happened.
    pub fn end(&self) -> u64 {
        self.successions.iter().map(|s| s.latest).max().unwrap_or(0) + 100 * MS
    }

    /// After anything happened.
    pub fn observe(&mut self, now: u64, nodes: &[Node]) -> Result<(), String> {
        for s in self.successions.iter_mut().filter(|s| !s.done) {
            let heir = s.candidates.iter().find(|n| nodes[**n].state(&s.key) == State::Master);
            s.done = heir.is_some();
            let (earliest, latest) = (s.earliest / MS, s.latest / MS);
            let window = format!("between {earliest} and {latest} ms");
            if let Some(heir) = heir.filter(|_| now < s.earliest) {
                return Err(format!("{}: n{heir} is Master at {} ms, not {window}", label(&s.key), now / MS));
            }
            if now > s.latest && !s.done {
                return Err(format!("{}: nobody is Master {window} after {:?}", label(&s.key), self.deed));
            }
        }
        Ok(())
    }

    /// May this router of this node change its state?
    pub fn allows(&self, node: usize, key: &RouterKey) -> bool {
        node == self.victim || !self.others_rest || self.successions.iter().any(|s| s.key == *key)
    }
}

fn wait(plan: &RouterPlan, node: &Node, interval: u64, resigned: bool) -> u64 {
    let priority = priority(plan, &node.kernel);
    if resigned { skew(plan, priority, interval) } else { down_interval(plan, priority, interval) }
}

fn keys(nodes: &[Node]) -> Vec<RouterKey> {
    let mut keys: Vec<RouterKey> =
        nodes.iter().flat_map(|n| n.applied.routers.iter().map(|r| r.key.clone())).collect();
    keys.sort();
    keys.dedup();
    keys
}
