//! What must hold. A dead process is not expected to release its addresses: its kernel keeps them until a new
//! process removes what was left. A paused process may be Master beside another one until it wakes.

use super::clock::{MAX_PPM, MS, SECOND};
use super::drill::Drill;
use super::kernel::own_address;
use super::model::{self, down_interval, label};
use super::network::{CALM_DELAY, Network, WILD_DELAY};
use super::node::Node;
use super::rng::Rng;
use super::world::{NEWS_DELAY, WAKE_LATENCY};
use holdfast::net::AddressFamily;
use holdfast::plan::vrrp::{RouterKey, RouterPlan, VrrpPlan};
use holdfast::vrrp::{Action, Command, Event, Frame, State, Transition, TransitionCause};
use std::collections::{BTreeMap, BTreeSet};

/// What comes on top of the formulas once packets of the storm are gone: a wake-up and a packet each way.
const SLACK: u64 = WAKE_LATENCY + 2 * CALM_DELAY + NEWS_DELAY;
/// Settled time that is watched at the end of each quiet stretch.
const WATCHED: u64 = 4 * SECOND;
/// A failed operation is tried again within this time: pauses double, so the next one is no longer than the
/// storm that made operations fail (15 s at most) and what came before.
const RETRY: u64 = 20 * SECOND;

/// A virtual router on one side of a partition.
type Place = (RouterKey, u8);

/// Longer by as much as a slow clock makes it.
fn by_slow_clock(duration: u64) -> u64 {
    duration + duration * (MAX_PPM as u64 + 1) / 1_000_000
}

/// Keeps watch.
pub struct Invariants {
    /// Since when no fault happens.
    quiet: Option<u64>,
    /// When each virtual router must have settled.
    settled_at: BTreeMap<RouterKey, u64>,
    /// The longest interval that any node ever used.
    longest: BTreeMap<RouterKey, u64>,
    without_master: BTreeMap<Place, u64>,
    with_many: BTreeMap<Place, u64>,
    /// The last advertisement of each node and router.
    spoke: BTreeMap<(usize, RouterKey), u64>,
    /// When each router of each node last became Backup.
    listens_since: BTreeMap<(usize, RouterKey), u64>,
    drill: Option<Drill>,
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
            listens_since: BTreeMap::new(),
            drill: None,
        };
        nodes.iter().for_each(|node| it.learn_intervals(&node.wanted));
        it
    }

    /// Faults begin.
    pub fn storm(&mut self) {
        self.quiet = None;
        self.drill = None;
        self.settled_at.clear();
        self.without_master.clear();
        self.with_many.clear();
    }

    /// Faults have ended.
    pub fn quiet(&mut self, now: u64, nodes: &[Node]) {
        self.quiet = Some(now);
        let keys: Vec<RouterKey> = self.longest.keys().cloned().collect();
        for key in keys {
            let down = self.longest_down(&key, nodes);
            let dual = self.longest_contest(&key) + SLACK;
            let delay = plans(&key, nodes).map(|p| p.preempt_delay.as_nanos() as u64).max().unwrap_or(0);
            // Somebody takes over; if it is not the best, the best waits out its delay and takes over.
            let settled = by_slow_clock(2 * down + delay) + 2 * dual + WILD_DELAY;
            self.settled_at.insert(key, now + settled);
        }
    }

    /// One fault in a settled network, if it has a Master to lose.
    pub fn draw_drill(&self, rng: &mut Rng, now: u64, nodes: &[Node], network: &Network) -> Option<Drill> {
        Drill::draw(rng, now, nodes, network, |n, key| self.spoke.get(&(n, key.clone())).copied())
    }

    /// Watch this one. Quiet is over.
    pub fn begin_drill(&mut self, drill: Drill) {
        self.storm();
        self.drill = Some(drill);
    }

    /// How long quiet must last to see everything settle.
    pub fn quiet_length(&self, nodes: &[Node]) -> u64 {
        let start = self.quiet.expect("quiet has begun");
        let settled = self.settled_at.values().max().map_or(0, |at| at - start);
        let retry = if nodes.iter().any(|n| n.awry) { RETRY } else { 0 };
        settled + retry + WATCHED
    }

    /// After anything happened.
    pub fn observe(&mut self, now: u64, nodes: &mut [Node], network: &Network) -> Result<(), String> {
        for (number, node) in nodes.iter_mut().enumerate() {
            addresses_follow_states(number, node)?;
        }
        if let Some(drill) = &mut self.drill {
            drill.observe(now, nodes)?;
        }
        let Some(start) = self.quiet else { return Ok(()) };
        let keys: Vec<RouterKey> = self.settled_at.keys().cloned().collect();
        for key in keys {
            for (side, members) in sides(&key, nodes, network) {
                self.observe_side(now, start, (key.clone(), side), &members, nodes)?;
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
    ) -> Result<(), String> {
        let key = place.0.clone();
        let masters: Vec<usize> =
            members.iter().copied().filter(|n| nodes[*n].state(&key) == State::Master).collect();
        let limit = by_slow_clock(self.longest_down(&key, nodes)) + WILD_DELAY + SLACK;
        watch(&mut self.without_master, &place, masters.is_empty(), now, start).map_or(Ok(()), |lasted| {
            within(lasted, limit, || format!("{}: no Master among {members:?}", label(&key)))
        })?;
        // Packets of the storm may be under way when quiet begins, and never after.
        let late = if now < start + 2 * WILD_DELAY { WILD_DELAY } else { 0 };
        let limit = by_slow_clock(self.longest_contest(&key)) + SLACK + late;
        watch(&mut self.with_many, &place, masters.len() > 1, now, start).map_or(Ok(()), |lasted| {
            within(lasted, limit, || format!("{}: Masters {masters:?}", label(&key)))
        })?;
        if !self.is_settled(&key, now) {
            return Ok(());
        }
        let [master] = masters[..] else {
            return Err(format!("{}: settled with Masters {masters:?} among {members:?}", label(&key)));
        };
        self.best_is_master(&key, master, members, nodes)?;
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

    /// A settled Master has spoken within its interval.
    fn speaks_in_time(&self, now: u64, key: &RouterKey, master: usize, nodes: &[Node]) -> Result<(), String> {
        let Some(plan) = nodes[master].router(key) else { return Ok(()) };
        let last = self.spoke.get(&(master, key.clone())).copied().unwrap_or(0);
        let limit = by_slow_clock(plan.interval.duration().as_nanos() as u64) + WAKE_LATENCY;
        within(now - last, limit, || format!("{}: Master n{master} is silent", label(key)))
    }

    fn is_settled(&self, key: &RouterKey, now: u64) -> bool {
        self.settled_at.get(key).is_some_and(|at| now > *at)
    }

    /// The longest Master_Down_Interval that any node may be waiting out.
    fn longest_down(&self, key: &RouterKey, nodes: &[Node]) -> u64 {
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

    fn learn_intervals(&mut self, plan: &VrrpPlan) {
        for router in &plan.routers {
            let interval = router.interval.duration().as_nanos() as u64;
            let longest = self.longest.entry(router.key.clone()).or_default();
            *longest = interval.max(*longest);
        }
    }
}

/// What a change of state must satisfy.
impl Invariants {
    /// Node `number` has just made it.
    pub fn transition(
        &self,
        now: u64,
        nodes: &[Node],
        network: &Network,
        number: usize,
        transition: &Transition,
    ) -> Result<(), String> {
        let it = format!("n{number}: {} {:?}", label(&transition.key), transition.cause);
        if let Some(drill) = self.drill.as_ref().filter(|drill| !drill.allows(number, &transition.key)) {
            return Err(format!("{it} although all that happened is {:?}", drill.deed));
        }
        if self.is_settled(&transition.key, now) {
            return Err(format!("{it} long after the last fault"));
        }
        if let TransitionCause::Outranked { by, priority } = transition.cause {
            let lan = model::lan_of(&transition.key.interface);
            let own = (transition.priority, own_address(number, lan, transition.key.family));
            if (priority, by) <= own {
                return Err(format!("{it} yields although it has {own:?}"));
            }
        }
        match transition.to {
            State::Master => self.is_due(now, nodes, network, number, transition),
            _ => Ok(()),
        }
    }

    /// On a calm LAN nobody takes over from a Master that has been heard all the while, unless it preempts, and
    /// not before its delay is over.
    fn is_due(
        &self,
        now: u64,
        nodes: &[Node],
        network: &Network,
        number: usize,
        transition: &Transition,
    ) -> Result<(), String> {
        let (Some(start), key) = (self.quiet, &transition.key) else { return Ok(()) };
        let heard_since = now.saturating_sub(by_slow_clock(self.longest_down(key, nodes)) + WILD_DELAY);
        let lan = model::lan_of(&key.interface);
        let established = sides(key, nodes, network).into_iter().find_map(|(side, members)| {
            let same = side == network.group(lan, number);
            members.into_iter().filter(|_| same).find(|n| {
                let node = &nodes[*n];
                *n != number && node.state(key) == State::Master && node.since[key] < heard_since
            })
        });
        let (Some(other), Some(plan)) =
            (established.filter(|_| start < heard_since), nodes[number].router(key))
        else {
            return Ok(());
        };
        let waited = now - self.listens_since.get(&(number, key.clone())).copied().unwrap_or(0);
        let patience = plan.preempt_delay.as_nanos() as u64;
        let strong = transition.priority
            > model::priority(nodes[other].router(key).unwrap_or(plan), &nodes[other].kernel);
        let owner = plan.priority.is_owner();
        if owner || (strong && plan.preempt && by_slow_clock(waited) >= patience) {
            return Ok(());
        }
        Err(format!(
            "n{number}: {} takes over from n{other} after {} ms of listening; preempts: {}, after {} ms",
            label(key),
            waited / MS,
            plan.preempt,
            patience / MS
        ))
    }
}

/// What one call of a core must satisfy.
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
            self.learn_intervals(plan);
            take_plan(number, node, plan, actions, before)?;
        }
        stop_is_obeyed(number, node, event, actions, before)?;
        for action in actions {
            if let Action::Notify(Transition { key, to: State::Backup, .. }) = action {
                self.listens_since.insert((number, key.clone()), now);
            }
        }
        let mut speaking = BTreeSet::new();
        for action in actions {
            if let Action::Transmit(_, frame @ Frame::Advertisement { .. }) = action {
                if let Some(key) = check_advertisement(number, node, frame, before)? {
                    speaking.insert(key);
                }
            }
        }
        for key in speaking {
            self.keeps_its_rate(now, number, node, key)?;
        }
        Ok(())
    }

    /// A settled Master does not speak too early.
    fn keeps_its_rate(&mut self, now: u64, number: usize, node: &Node, key: RouterKey) -> Result<(), String> {
        let last = self.spoke.insert((number, key.clone()), now);
        let (Some(last), Some(plan)) = (last, node.router(&key)) else { return Ok(()) };
        let interval = plan.interval.duration().as_nanos() as u64;
        let least = interval - interval * (MAX_PPM as u64 + 1) / 1_000_000 - WAKE_LATENCY;
        if self.is_settled(&key, last) && now - last < least {
            return Err(format!("n{number}: {} spoke again after {} ms", label(&key), (now - last) / MS));
        }
        Ok(())
    }
}

fn take_plan(
    number: usize,
    node: &mut Node,
    plan: &VrrpPlan,
    actions: &[Action],
    before: &BTreeMap<RouterKey, State>,
) -> Result<(), String> {
    let had_one = node.applied != VrrpPlan::default();
    if had_one && node.applied.routers == plan.routers && !actions.is_empty() {
        return Err(format!("n{number}: a reload of an equal configuration did {actions:?}"));
    }
    let resigned = |key: &RouterKey| {
        actions.iter().any(|a| matches!(a, Action::Transmit(_, frame) if says(frame, key) == Some(0)))
    };
    for (key, state) in before {
        let removed = !plan.routers.iter().any(|r| r.key == *key);
        if removed && *state == State::Master && could_speak(node, key) && !resigned(key) {
            return Err(format!("n{number}: {} left the configuration without resigning", label(key)));
        }
    }
    node.applied = plan.clone();
    if !had_one {
        node.find_orphans();
    }
    for router in &plan.routers {
        model::addresses(router).for_each(|named| drop(node.orphans.remove(&named)));
    }
    node.states.retain(|key, _| plan.routers.iter().any(|r| r.key == *key));
    Ok(())
}

fn stop_is_obeyed(
    number: usize,
    node: &Node,
    event: Option<&Event>,
    actions: &[Action],
    before: &BTreeMap<RouterKey, State>,
) -> Result<(), String> {
    let Some(Event::Command(Command::Stop { release })) = event else { return Ok(()) };
    if node.stopping != Some(*release) {
        return Ok(()); // it was stopping already
    }
    if !release {
        let touched = actions.iter().any(|a| matches!(a, Action::Transmit(..) | Action::Kernel(..)));
        return if touched {
            Err(format!("n{number}: stopped without release, did {actions:?}"))
        } else {
            Ok(())
        };
    }
    for key in before.iter().filter(|(_, state)| **state == State::Master).map(|(key, _)| key) {
        let resigned =
            actions.iter().any(|a| matches!(a, Action::Transmit(_, frame) if says(frame, key) == Some(0)));
        // Where the interface is away there is nothing to speak on.
        if !resigned && could_speak(node, key) {
            return Err(format!("n{number}: {} was Master, was stopped, did not resign", label(key)));
        }
    }
    Ok(())
}

/// Is the router's interface there and up, as far as the process can know?
fn could_speak(node: &Node, key: &RouterKey) -> bool {
    !node.has_news() && node.kernel.interfaces.iter().any(|i| i.name == key.interface && i.works())
}

/// The priority a frame says for that router, if it is about it.
fn says(frame: &Frame, key: &RouterKey) -> Option<u8> {
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
    if said.priority == 0 {
        let leaves = !node.states.iter().any(|(key, state)| is_it(key) && *state == State::Master);
        let fair = was == Some(State::Master) && leaves;
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
    let priority = if node.has_news() {
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

/// A living process that has read all news holds exactly the addresses of its Masters.
fn addresses_follow_states(number: usize, node: &mut Node) -> Result<(), String> {
    if !node.runs() || node.has_news() || node.stopping.is_some() {
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
        if times < plan.announce.repeat {
            return Err(format!("n{number}: {} announced {cidr} {times} times", label(key)));
        }
    }
    Ok(())
}

/// Long after the last fault: out of the election exactly where something needed is missing.
fn states_fit_surroundings(key: &RouterKey, nodes: &[Node]) -> Result<(), String> {
    for (number, node) in nodes.iter().enumerate().filter(|(_, n)| n.runs() && n.stopping.is_none()) {
        let Some(plan) = node.router(key) else { continue };
        let (state, faulty) = (node.state(key), model::faulty(plan, &node.kernel));
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
        let takes_part = node.router(key).is_some_and(|plan| !model::faulty(plan, &node.kernel));
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

fn within(lasted: u64, limit: u64, what: impl Fn() -> String) -> Result<(), String> {
    if lasted <= limit {
        return Ok(());
    }
    Err(format!("{} for {} ms, at most {} ms", what(), lasted / MS, limit / MS))
}
