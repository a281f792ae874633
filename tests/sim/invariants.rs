//! What must hold. A dead process is not expected to release its addresses: its kernel keeps them until a new
//! process removes what was left, or their leases end. A paused process may be Master beside another one until it wakes.

use super::addresses::{Shared, Spots};
use super::clock::{MAX_PPM, MS, SECOND};
use super::drill::Drill;
use super::groups;
use super::handover;
use super::linger;
use super::model::{self, down_interval, label};
use super::network::{CALM_DELAY, Network, WILD_DELAY};
use super::node::Node;
use super::prepare;
use super::rng::Rng;
use super::world::{NEWS_DELAY, WAKE_LATENCY};
use holdfast::plan::vrrp::{RouterKey, RouterPlan, VrrpPlan};
use holdfast::vrrp::State;
use std::collections::{BTreeMap, BTreeSet};

/// What comes on top of the formulas once packets of the storm are gone: a wake-up and a packet each way.
pub(super) const SLACK: u64 = WAKE_LATENCY + 2 * CALM_DELAY + NEWS_DELAY;
/// Settled time that is watched at the end of each quiet stretch.
const WATCHED: u64 = 4 * SECOND;
/// A failed operation is tried again within this time: pauses double, so the next one is no longer than the
/// storm that made operations fail (15 s at most) and what came before.
const RETRY: u64 = 20 * SECOND;

/// Elections that groups may need until one of them is stronger on every LAN or alone.
const GROUP_ROUNDS: u64 = 3;

/// A virtual router on one side of a partition.
type Place = (RouterKey, u8);

/// Longer by as much as a slow clock makes it.
pub(super) fn by_slow_clock(duration: u64) -> u64 {
    duration + duration * (MAX_PPM as u64 + 1) / 1_000_000
}

/// By how much an advertisement may be early to share a wake-up: half a millisecond or one step of priority.
pub(super) fn may_be_early(interval: u64) -> u64 {
    (interval / 256).min(MS / 2)
}

/// Keeps watch.
pub struct Invariants {
    /// Since when no fault happens.
    pub(super) quiet: Option<u64>,
    /// When each virtual router must have settled.
    settled_at: BTreeMap<RouterKey, u64>,
    /// The longest interval that any node ever used.
    pub(super) longest: BTreeMap<RouterKey, u64>,
    without_master: BTreeMap<Place, u64>,
    with_many: BTreeMap<Place, u64>,
    /// The last advertisement of each node and router.
    pub(super) spoke: BTreeMap<(usize, RouterKey), u64>,
    /// When a Backup last heard somebody at least as strong.
    pub(super) outranked: BTreeMap<(usize, RouterKey), u64>,
    pub(super) drill: Option<Drill>,
    /// Since when no kernel and no LAN is in trouble: in quiet and in drills.
    calm: Option<u64>,
    /// Routers that are in a group on any node, in quiet.
    pub(super) grouped: BTreeSet<RouterKey>,
    /// Something may have moved an address, or who answers for it.
    pub(super) touched: bool,
    pub(super) on_many: Shared,
    pub(super) on_none: Spots,
}

impl Invariants {
    pub fn new(nodes: &[Node]) -> Invariants {
        let mut it = Invariants {
            quiet: None,
            settled_at: BTreeMap::new(),
            longest: BTreeMap::new(),
            without_master: BTreeMap::new(),
            with_many: BTreeMap::new(),
            spoke: BTreeMap::new(),
            outranked: BTreeMap::new(),
            drill: None,
            calm: None,
            grouped: BTreeSet::new(),
            touched: true,
            on_many: BTreeMap::new(),
            on_none: BTreeMap::new(),
        };
        nodes.iter().for_each(|node| it.learn_intervals(&node.wanted));
        it
    }

    /// Faults begin.
    pub fn storm(&mut self) {
        self.quiet = None;
        self.drill = None;
        self.calm = None;
        self.on_many.clear();
        self.on_none.clear();
        self.settled_at.clear();
        self.without_master.clear();
        self.with_many.clear();
    }

    /// Faults have ended.
    pub fn quiet(&mut self, now: u64, nodes: &[Node]) {
        self.quiet = Some(now);
        self.calm = Some(now);
        let keys: Vec<RouterKey> = self.longest.keys().cloned().collect();
        self.grouped = keys.iter().filter(|key| groups::is_grouped(key, nodes)).cloned().collect();
        // After a failover the better node waits until its hold ends.
        let hold = nodes.iter().map(|node| node.held_back_until.saturating_sub(now)).max().unwrap_or(0);
        for key in keys {
            let down = self.longest_down(&key, nodes);
            let dual = self.longest_contest(&key) + SLACK;
            let delay = plans(&key, nodes).map(|p| p.preempt_delay.as_nanos() as u64).max().unwrap_or(0);
            // Somebody takes over; if it is not the best, the best waits out its delay and takes over.
            let settled = by_slow_clock(2 * down + delay) + hold + 2 * dual + WILD_DELAY;
            self.settled_at.insert(key, now + settled);
        }
        self.settle_groups_later(now, nodes);
    }

    /// A group waits for its slowest member, and two groups may meet on several LANs before one has won everywhere.
    fn settle_groups_later(&mut self, now: u64, nodes: &[Node]) {
        let grouped = |key: &RouterKey| groups::is_grouped(key, nodes);
        let slowest = self.settled_at.iter().filter(|(key, _)| grouped(key)).map(|(_, at)| at - now).max();
        for (key, at) in &mut self.settled_at {
            if groups::is_grouped(key, nodes) {
                *at = now + GROUP_ROUNDS * slowest.unwrap_or(0);
            }
        }
    }

    /// One fault in a settled network that has a Master to lose, or a dead node comes back.
    pub fn draw_drill(&self, rng: &mut Rng, now: u64, nodes: &[Node], network: &Network) -> Option<Drill> {
        let returns = rng.chance(50).then(|| Drill::draw_return(rng, now, nodes, network)).flatten();
        if returns.is_some() {
            return returns;
        }
        Drill::draw(rng, now, nodes, network, |n, key| self.spoke.get(&(n, key.clone())).copied())
    }

    /// Watch this one. Quiet is over.
    pub fn begin_drill(&mut self, now: u64, drill: Drill) {
        self.storm();
        self.calm = Some(now);
        self.drill = Some(drill);
    }

    /// What was to follow has followed.
    pub fn end_of_drill(&self, nodes: &[Node]) -> Result<(), String> {
        self.drill.as_ref().map_or(Ok(()), |drill| drill.finish(nodes))
    }

    /// How long quiet must last to see everything settle.
    pub fn quiet_length(&self, nodes: &[Node]) -> u64 {
        let start = self.quiet.expect("quiet has begun");
        let settled = self.settled_at.values().max().map_or(0, |at| at - start);
        let retry = if nodes.iter().any(|n| n.awry) { RETRY } else { 0 };
        // What a slow kernel was asked for before it healed is done at the old pace.
        let backlogs = nodes.iter().map(|n| n.kernel.backlog_until.saturating_sub(start));
        settled + retry + backlogs.max().unwrap_or(0) + WATCHED
    }

    /// After anything happened.
    pub fn observe(&mut self, now: u64, nodes: &mut [Node], network: &Network) -> Result<(), String> {
        for (number, node) in nodes.iter_mut().enumerate() {
            addresses_follow_states(number, node)?;
            handover::end_in_time(now, number, node)?;
            prepare::end_in_time(now, number, node)?;
            linger::end_in_time(now, number, node)?;
            self.stop_ends(now, number, node)?;
        }
        if let Some(drill) = &mut self.drill {
            drill.observe(now, nodes)?;
        }
        let moved = std::mem::take(&mut self.touched) || !self.on_many.is_empty() || !self.on_none.is_empty();
        let Some(start) = self.quiet else { return Ok(()) };
        let keys: Vec<RouterKey> = self.settled_at.keys().cloned().collect();
        for key in keys {
            for (side, members) in sides(&key, nodes, network) {
                self.observe_side(now, start, (key.clone(), side), &members, nodes, network)?;
            }
            if moved {
                self.observe_addresses(now, start, &key, nodes, network)?;
            }
            if self.is_settled(&key, now) {
                states_fit_surroundings(&key, nodes)?;
            }
        }
        Ok(())
    }

    /// The last moment of a quiet stretch.
    pub fn end_of_quiet(&self, nodes: &[Node], network: &Network) -> Result<(), String> {
        if let Some(number) = nodes.iter().position(|n| n.runs() && (n.awry || n.stopping == Some(true))) {
            return Err(format!(
                "n{number}: long after the kernel works again an address is still wrong, or the process did not stop: \
                 holds {:?}, should hold {:?}",
                nodes[number].held(),
                model::expected_addresses(&nodes[number])
            ));
        }
        for key in self.settled_at.keys() {
            for number in sides(key, nodes, network).into_values().flatten() {
                addresses_were_announced(key, number, &nodes[number])?;
            }
        }
        Ok(())
    }

    /// A process exits after it was told to stop.
    pub fn exit(&self, node: &Node, number: usize) -> Result<(), String> {
        let held = node.held();
        if node.stopping == Some(true) && !node.awry && !held.is_empty() {
            return Err(format!("n{number} released and exits, but its kernel still holds {held:?}"));
        }
        Ok(())
    }

    fn observe_side(
        &mut self,
        now: u64,
        start: u64,
        place: Place,
        members: &[usize],
        nodes: &[Node],
        network: &Network,
    ) -> Result<(), String> {
        let key = place.0.clone();
        // One that hands over has resigned: another one is to come.
        let leads = |n: &usize| nodes[*n].state(&key) == State::Master && !nodes[*n].departs(&key);
        let masters: Vec<usize> = members.iter().copied().filter(leads).collect();
        let limit = by_slow_clock(self.longest_down(&key, nodes)) + WILD_DELAY + SLACK;
        let grouped = groups::is_grouped(&key, nodes);
        let missing = masters.is_empty() && !grouped;
        watch(&mut self.without_master, &place, missing, now, start).map_or(Ok(()), |lasted| {
            within(lasted, limit, || format!("{}: no Master among {members:?}", label(&key)))
        })?;
        // Packets of the storm may be under way when quiet begins, and never after.
        let late = if now < start + 2 * WILD_DELAY { WILD_DELAY } else { 0 };
        let limit = by_slow_clock(self.longest_contest(&key)) + SLACK + late;
        watch(&mut self.with_many, &place, masters.len() > 1, now, start).map_or(Ok(()), |lasted| {
            within(lasted, limit, || format!("{}: Masters {masters:?}", label(&key)))
        })?;
        if !self.is_settled(&key, now) || (grouped && !groups::united(&key, nodes, network)) {
            return Ok(());
        }
        let [master] = masters[..] else {
            return Err(format!("{}: settled with Masters {masters:?} among {members:?}", label(&key)));
        };
        if !grouped {
            self.best_is_master(&key, master, members, nodes)?;
        }
        self.speaks_in_time(now, &key, master, nodes)
    }

    fn best_is_master(
        &self,
        key: &RouterKey,
        master: usize,
        members: &[usize],
        nodes: &[Node],
    ) -> Result<(), String> {
        let rank = |n: usize| {
            nodes[n].router(key).map(|plan| (model::priority(plan, &nodes[n].kernel), plan.preempt))
        };
        let Some((holds, _)) = rank(master) else {
            return Err(format!("n{master} is Master of nothing it knows"));
        };
        let robbed = members.iter().find(|n| rank(**n).is_some_and(|(p, preempts)| preempts && p > holds));
        match robbed {
            Some(better) => Err(format!(
                "{}: n{master} with {holds} is Master although n{better} preempts and has {:?}",
                label(key),
                rank(*better)
            )),
            None => Ok(()),
        }
    }

    /// A settled Master has spoken within its interval, which may begin a little early: see `keeps_its_rate`.
    fn speaks_in_time(&self, now: u64, key: &RouterKey, master: usize, nodes: &[Node]) -> Result<(), String> {
        let Some(plan) = nodes[master].router(key) else { return Ok(()) };
        let last = self.spoke.get(&(master, key.clone())).copied().unwrap_or(0);
        let interval = plan.interval.duration().as_nanos() as u64;
        let limit = by_slow_clock(interval + may_be_early(interval)) + WAKE_LATENCY;
        within(now - last, limit, || format!("{}: Master n{master} is silent", label(key)))
    }

    /// Since when everything that is asked for is done at once; `None` in a storm.
    pub(super) fn calm_since(&self) -> Option<u64> {
        self.calm
    }

    pub(super) fn is_settled(&self, key: &RouterKey, now: u64) -> bool {
        self.settled_at.get(key).is_some_and(|at| now > *at)
    }

    /// The longest Master_Down_Interval that any node may be waiting out.
    pub(super) fn longest_down(&self, key: &RouterKey, nodes: &[Node]) -> u64 {
        let interval = self.longest[key];
        nodes
            .iter()
            .filter_map(|n| {
                n.router(key).or_else(|| n.wanted.routers.iter().find(|r| r.key == *key)).map(|p| (n, p))
            })
            .map(|(node, plan)| down_interval(plan, model::priority(plan, &node.kernel), interval))
            .max()
            .unwrap_or(0)
    }

    /// Two Masters last until the stronger one speaks.
    fn longest_contest(&self, key: &RouterKey) -> u64 {
        self.longest[key]
    }

    pub(super) fn learn_intervals(&mut self, plan: &VrrpPlan) {
        for router in &plan.routers {
            let interval = router.interval.duration().as_nanos() as u64;
            let longest = self.longest.entry(router.key.clone()).or_default();
            *longest = interval.max(*longest);
        }
    }
}

/// A living process that has read all news holds exactly the addresses of its Masters.
fn addresses_follow_states(number: usize, node: &mut Node) -> Result<(), String> {
    let replanned = node.departures.values().any(|departure| departure.replanned);
    if !node.runs() || node.has_news() || node.stopping.is_some() || replanned {
        return Ok(());
    }
    let (held, expected) = (node.held(), model::expected_addresses(node));
    if held == expected {
        node.awry = false;
        return Ok(());
    }
    // After a failed operation the core tries again in its own time; the end of quiet asks for the result.
    if node.awry { Ok(()) } else { Err(format!("n{number} holds {held:?}, should hold {expected:?}")) }
}

/// A Master has told the LAN where each of its addresses is, as often as its plan says.
fn addresses_were_announced(key: &RouterKey, number: usize, node: &Node) -> Result<(), String> {
    // A router that does not track its interface speaks into an unplugged cable, and is not asked to repeat it.
    let is_master = |plan: &&RouterPlan| node.state(key) == State::Master && plan.track_primary;
    let Some(plan) = node.router(key).filter(is_master) else { return Ok(()) };
    for (_, cidr) in model::addresses(plan) {
        let times = node.announced.get(&cidr.address()).copied().unwrap_or(0);
        let least = if node.resumed { plan.announce.repeat.min(1) } else { plan.announce.repeat };
        if times < least {
            return Err(format!("n{number}: {} announced {cidr} {times} times", label(key)));
        }
    }
    Ok(())
}

/// Long after the last fault: out of the election exactly where something needed is missing.
fn states_fit_surroundings(key: &RouterKey, nodes: &[Node]) -> Result<(), String> {
    for (number, node) in nodes.iter().enumerate().filter(|(_, n)| n.runs() && n.stopping.is_none()) {
        if node.router(key).is_none() {
            continue;
        }
        let (state, faulty) = (node.state(key), groups::out(node, key));
        let fits =
            if faulty { state == State::Fault } else { matches!(state, State::Backup | State::Master) };
        if !fits {
            return Err(format!("n{number}: {} is {state}, faulty: {faulty}", label(key)));
        }
    }
    Ok(())
}

fn plans<'a>(key: &'a RouterKey, nodes: &'a [Node]) -> impl Iterator<Item = &'a RouterPlan> {
    nodes.iter().filter_map(|node| node.router(key))
}

/// Who takes part in the election, by side of the LAN's partition. A node whose cable is out is with nobody.
pub fn sides(key: &RouterKey, nodes: &[Node], network: &Network) -> BTreeMap<u8, Vec<usize>> {
    let lan = model::lan_of(&key.interface);
    let mut sides: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (number, node) in nodes.iter().enumerate() {
        let linked = node.kernel.interfaces[lan].works() && node.runs() && node.stopping.is_none();
        let takes_part = node.router(key).is_some() && !groups::out(node, key);
        if linked && takes_part {
            sides.entry(network.group(lan, number)).or_default().push(number);
        }
    }
    sides
}

/// How long `is_so` has held in this place, not counting before `start`.
fn watch(since: &mut BTreeMap<Place, u64>, place: &Place, is_so: bool, now: u64, start: u64) -> Option<u64> {
    if !is_so {
        since.remove(place);
        return None;
    }
    let first = *since.entry(place.clone()).or_insert(now);
    Some(now - first.max(start))
}

pub(super) fn within(lasted: u64, limit: u64, what: impl Fn() -> String) -> Result<(), String> {
    if lasted <= limit {
        return Ok(());
    }
    Err(format!("{} for {} ms, at most {} ms", what(), lasted / MS, limit / MS))
}
