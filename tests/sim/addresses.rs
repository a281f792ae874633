//! Where the addresses are, by what the kernels hold, whatever their processes say.

use super::handover::{self, ANNOUNCING};
use super::invariants::{Invariants, SLACK, by_slow_clock, sides, within};
use super::kernel::OP_LATENCY;
use super::model::{self, label};
use super::network::{Network, WILD_DELAY};
use super::node::Node;
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::RouterKey;
use std::collections::{BTreeMap, BTreeSet};

/// An address of a virtual router on one side of a partition: interface, address.
pub(super) type Spot = (RouterKey, u8, String, IpCidr);

/// Most address operations that a node has under way at once when the network is calm.
const OPERATIONS: u64 = 20;

impl Invariants {
    /// In quiet: no two live, connected nodes share an address for longer than a contest and a handover take (who is preempted
    /// while another serves on for it begins anew with its own successor), and with a healthy node none is nowhere for
    /// longer than an election takes.
    pub(super) fn observe_addresses(
        &mut self,
        now: u64,
        start: u64,
        key: &RouterKey,
        nodes: &[Node],
        network: &Network,
    ) -> Result<(), String> {
        let sides = sides(key, nodes, network);
        let lan = model::lan_of(&key.interface);
        let (mut shared, mut missing) = (BTreeSet::new(), BTreeSet::new());
        for (interface, cidr) in all_addresses(key, nodes) {
            for (side, members) in &sides {
                let spot = (key.clone(), *side, interface.clone(), cidr);
                let held = |node: &Node| node.kernel.has(&interface, &cidr);
                let here =
                    |n: usize| network.group(lan, n) == *side && nodes[n].kernel.interfaces[lan].works();
                let holders: Vec<usize> = (0..nodes.len()).filter(|n| here(*n) && held(&nodes[*n])).collect();
                let live: Vec<usize> =
                    holders.iter().copied().filter(|n| is_sound(&nodes[*n], &interface, &cidr)).collect();
                let wanted = members.iter().all(|n| wants(&nodes[*n], key, &interface, &cidr));
                let obeyed = |n: &usize| !nodes[*n].awry && nodes[*n].kernel.backlog_until < now;
                let healthy = members.iter().all(obeyed) && !self.grouped.contains(key);
                for pair in pairs(&live) {
                    let late = if now < start + 2 * WILD_DELAY { WILD_DELAY } else { 0 };
                    let limit = by_slow_clock(self.longest[key] + ANNOUNCING) + SLACK + late;
                    let since = *self.on_many.entry((spot.clone(), pair)).or_insert(now);
                    within(now - since.max(start), limit, || {
                        format!("{}: {cidr} is on nodes {pair:?}", label(key))
                    })?;
                    shared.insert((spot.clone(), pair));
                }
                if holders.is_empty() && wanted && healthy {
                    let limit = by_slow_clock(self.longest_down(key, nodes))
                        + WILD_DELAY
                        + SLACK
                        + OPERATIONS * OP_LATENCY;
                    let since = *self.on_none.entry(spot.clone()).or_insert(now);
                    within(now - since.max(start), limit, || {
                        format!("{}: {cidr} is on none of {members:?}", label(key))
                    })?;
                    missing.insert(spot);
                }
            }
        }
        self.on_many.retain(|place, _| place.0.0 != *key || shared.contains(place));
        self.on_none.retain(|spot, _| spot.0 != *key || missing.contains(spot));
        Ok(())
    }

    /// A process that was told to stop has ended in time, with nothing left.
    pub(super) fn stop_ends(&self, now: u64, number: usize, node: &Node) -> Result<(), String> {
        let (Some(asked), true) = (node.stop_asked_at, node.runs() && !node.awry) else { return Ok(()) };
        // In a storm its kernel may have stood still.
        let Some(calm) = self.calm_since() else { return Ok(()) };
        let limit = handover::longest(node) + SLACK + OPERATIONS * OP_LATENCY;
        let since = asked.max(calm).max(node.kernel.backlog_until);
        within(now.saturating_sub(since), limit, || format!("n{number}: told to stop, and there"))
    }
}

/// Every address that any plan in force names for this router.
fn all_addresses(key: &RouterKey, nodes: &[Node]) -> BTreeSet<(String, IpCidr)> {
    nodes.iter().filter_map(|node| node.router(key)).flat_map(model::addresses).collect()
}

fn pairs(nodes: &[usize]) -> impl Iterator<Item = (usize, usize)> + '_ {
    nodes.iter().enumerate().flat_map(|(at, one)| nodes[at + 1..].iter().map(|other| (*one, *other)))
}

fn wants(node: &Node, key: &RouterKey, interface: &str, cidr: &IpCidr) -> bool {
    node.router(key)
        .is_some_and(|plan| model::addresses(plan).any(|(name, own)| name == interface && own == *cidr))
}

/// Does a living process answer for it, whose kernel does what it is asked?
fn is_sound(node: &Node, interface: &str, cidr: &IpCidr) -> bool {
    let orphan = || node.orphans.contains(&(interface.to_owned(), *cidr));
    node.runs() && !node.awry && !node.has_news() && !orphan()
}

/// Since when each spot is on no node.
pub(super) type Spots = BTreeMap<Spot, u64>;

/// Since when two nodes share a spot.
pub(super) type Shared = BTreeMap<(Spot, (usize, usize)), u64>;
