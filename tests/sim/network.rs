//! Lossy LANs: every packet's fate is drawn; partitions cut pairs of nodes.

use super::clock::MS;
use super::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The longest a packet travels on a calm LAN.
pub const CALM_DELAY: u64 = MS;
/// The longest a packet travels on a troubled LAN.
pub const WILD_DELAY: u64 = 300 * MS;

/// How a LAN treats packets. Reordering comes from delays that differ.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Percent lost.
    pub loss: u64,
    /// Percent that arrive twice.
    pub duplicate: u64,
    /// Percent with one bit turned over.
    pub corrupt: u64,
    /// Percent that the sender hears itself.
    pub reflect: u64,
    /// The longest delay.
    pub delay: u64,
}

impl Conditions {
    pub const CALM: Conditions =
        Conditions { loss: 0, duplicate: 0, corrupt: 0, reflect: 0, delay: CALM_DELAY };

    /// Some trouble or none of each kind.
    pub fn draw(rng: &mut Rng) -> Conditions {
        Conditions {
            loss: *rng.pick(&[0, 2, 10, 30, 60, 95]),
            duplicate: *rng.pick(&[0, 0, 5, 30]),
            corrupt: *rng.pick(&[0, 0, 3]),
            reflect: *rng.pick(&[0, 0, 5]),
            delay: *rng.pick(&[CALM_DELAY, 20 * MS, WILD_DELAY]),
        }
    }
}

/// One arrival of a packet.
pub struct Arrival {
    pub to: usize,
    pub at: u64,
    /// Turn this bit over (modulo the packet's length).
    pub corrupt: Option<u64>,
}

/// All LANs.
pub struct Network {
    nodes: usize,
    conditions: Vec<Conditions>,
    /// Per LAN, per node: nodes of different groups do not hear each other.
    groups: Vec<Vec<u8>>,
    /// (LAN, from, to): this direction is dead.
    one_way: BTreeSet<(usize, usize, usize)>,
    /// (LAN, from, to): a calm LAN keeps the order, so nothing arrives before this moment.
    last: BTreeMap<(usize, usize, usize), u64>,
}

impl Network {
    pub fn new(nodes: usize, lans: usize) -> Network {
        Network {
            nodes,
            conditions: vec![Conditions::CALM; lans],
            groups: vec![vec![0; nodes]; lans],
            one_way: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    pub fn set_conditions(&mut self, lan: usize, conditions: Conditions) {
        self.conditions[lan] = conditions;
    }

    pub fn partition(&mut self, lan: usize, groups: Vec<u8>) {
        assert_eq!(groups.len(), self.nodes);
        self.groups[lan] = groups;
    }

    pub fn cut_one_way(&mut self, lan: usize, from: usize, to: usize) {
        self.one_way.insert((lan, from, to));
    }

    /// Ends loss, delay and one-way cuts; partitions stay.
    pub fn calm(&mut self) {
        self.conditions.fill(Conditions::CALM);
        self.one_way.clear();
    }

    /// Which side of the LAN's partition the node is on.
    pub fn group(&self, lan: usize, node: usize) -> u8 {
        self.groups[lan][node]
    }

    /// Where and when a packet to `destination` (all others if `None`) arrives.
    pub fn send(
        &mut self,
        rng: &mut Rng,
        now: u64,
        lan: usize,
        from: usize,
        destination: Option<usize>,
    ) -> Vec<Arrival> {
        let conditions = self.conditions[lan];
        let mut arrivals = Vec::new();
        for to in 0..self.nodes {
            let wanted = destination.is_none_or(|only| only == to);
            let heard = if to == from {
                rng.chance(conditions.reflect)
            } else {
                self.groups[lan][from] == self.groups[lan][to] && !self.one_way.contains(&(lan, from, to))
            };
            if !wanted || !heard || rng.chance(conditions.loss) {
                continue;
            }
            for _ in 0..1 + u64::from(rng.chance(conditions.duplicate)) {
                let corrupt = rng.chance(conditions.corrupt).then(|| rng.next());
                let drawn = now + rng.between(10_000, conditions.delay);
                let last = self.last.entry((lan, from, to)).or_default();
                let at = if conditions.delay > CALM_DELAY { drawn } else { drawn.max(*last) };
                *last = at;
                arrivals.push(Arrival { to, at, corrupt });
            }
        }
        arrivals
    }
}
