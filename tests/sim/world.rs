//! The discrete-event simulator: one queue, one seed, no threads, no real time.

use super::clock::{MS, SECOND};
use super::faults::{self, Deed};
use super::invariants::Invariants;
use super::leases::{Renewal, Renewed};
use super::network::Network;
use super::node::{Node, Process};
use super::rng::Rng;
use super::scenario;
use super::trace::Trace;
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::{RouterKey, RouterPlan, VrrpPlan};
use holdfast::vrrp::{
    Action, AddressOp, Command, Event, OpId, Received, RouterId, State, Transition, TransitionCause,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The longest a due timer waits for its process to be scheduled.
pub const WAKE_LATENCY: u64 = 2 * MS;
/// The longest the kernel's news take to a process that runs.
pub const NEWS_DELAY: u64 = 5 * MS;
/// Stormy and quiet stretches in turn.
const ROUNDS: usize = 3;

/// Most events of a run: ten times what the busiest of 300 seeds had. More is a storm that feeds itself.
const MAX_EVENTS: u64 = 200_000;

/// Turns of a driver's loop until a core that was late has dealt with everything: see `run_node`.
const TURNS: usize = 2;

/// With advertisements more frequent than this, wake-ups and news of the model take too much of the peers' patience.
const RESUMABLE: u64 = 100 * MS;

/// Something that will happen.
pub(super) enum What {
    Packet {
        to: usize,
        received: Received,
    },
    /// The kernel does an operation.
    Perform {
        node: usize,
        incarnation: u32,
        op: OpId,
        body: AddressOp,
    },
    /// The kernel renews leases.
    Renew(Renewal),
    /// And the process hears of it.
    Renewed(Renewed),
    /// A lease on this interface (by its place in the node's list) may have run out.
    Expire {
        node: usize,
        at: usize,
        cidr: IpCidr,
    },
    /// News of the kernel reach the process.
    News {
        node: usize,
        incarnation: u32,
        event: Event,
    },
    /// The kernel answers no questions any more, or cannot be told so.
    Silenced {
        node: usize,
        incarnation: u32,
        router: RouterId,
        done: bool,
    },
    Wake {
        node: usize,
        number: u64,
    },
    Deed(Deed),
}

/// A broken invariant, in words.
#[derive(Debug)]
pub struct Violation(pub String);

/// Nodes, network, queue.
pub struct World {
    pub now: u64,
    pub nodes: Vec<Node>,
    pub network: Network,
    pub trace: Trace,
    /// The plans at the beginning; reloads come back to them now and then.
    pub originals: Vec<VrrpPlan>,
    /// Chance for faults.
    pub faults: Rng,
    pub(super) packets: Rng,
    pub(super) kernels: Rng,
    lans: usize,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    pending: BTreeMap<u64, What>,
    scheduled: u64,
    pub(super) invariants: Invariants,
    violation: Option<Violation>,
}

impl World {
    /// Everything in it follows from `seed`.
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let (nodes, lans) = scenario::draw(&mut rng);
        World {
            now: 0,
            network: Network::new(nodes.len(), lans),
            trace: Trace::new(),
            originals: nodes.iter().map(|n| n.wanted.clone()).collect(),
            faults: rng.fork(),
            packets: rng.fork(),
            kernels: rng.fork(),
            lans,
            queue: BinaryHeap::new(),
            pending: BTreeMap::new(),
            scheduled: 0,
            invariants: Invariants::new(&nodes),
            violation: None,
            nodes,
        }
    }

    /// Storm and quiet in turn; the first broken invariant ends it.
    pub fn run(&mut self) -> Result<(), Violation> {
        for node in 0..self.nodes.len() {
            let at = self.faults.below(3 * SECOND);
            self.schedule(at, What::Deed(Deed::Start { node }));
        }
        for _ in 0..ROUNDS {
            self.storm()?;
            self.quiet()?;
            self.crash_unseen()?;
            self.drill()?;
        }
        Ok(())
    }

    fn storm(&mut self) -> Result<(), Violation> {
        self.invariants.storm();
        self.nodes.iter_mut().for_each(|node| node.may_try_again = node.awry);
        self.trace.line(self.now, "== storm");
        let length = self.faults.between(3 * SECOND, 15 * SECOND);
        let deeds = faults::draw(&mut self.faults, self.nodes.len(), self.lans, length);
        for (after, deed) in deeds {
            self.schedule(self.now + after, What::Deed(deed));
        }
        self.run_until(self.now + length)
    }

    /// Faults end, except what stays as it is: a partition, a dead node, an unplugged cable.
    fn quiet(&mut self) -> Result<(), Violation> {
        // What the storm had still in store does not happen.
        self.pending.retain(|_, what| !matches!(what, What::Deed(_)));
        self.network.calm();
        for lan in 0..self.lans {
            let groups = match self.faults.chance(40) {
                true => faults::draw_groups(&mut self.faults, self.nodes.len()),
                false => vec![0; self.nodes.len()],
            };
            self.inflict(Deed::Partition { lan, groups });
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].kernel.heal();
            for lan in 0..self.lans {
                let up = self.nodes[node].kernel.interfaces[lan].works() || self.faults.chance(85);
                if up {
                    self.inflict(Deed::Appear { node, lan });
                }
                self.inflict(Deed::Link { node, lan, up });
            }
            self.inflict(Deed::Resume { node });
            if !self.nodes[node].kernel.maintenance.is_empty() && self.faults.chance(60) {
                self.inflict(Deed::Maintain { node, instance: None, upkeep: None });
            }
            if self.faults.chance(60) {
                self.inflict(Deed::Start { node });
            }
        }
        self.trace.line(self.now, "== quiet");
        self.invariants.quiet(self.now, &self.nodes);
        let end = self.now + self.invariants.quiet_length(&self.nodes);
        self.run_until(end)?;
        self.invariants.end_of_quiet(&self.nodes, &self.network).map_err(Violation)
    }

    /// A process dies in a settled network and another one goes on, before anybody can miss an advertisement for long:
    /// nobody else changes its state, and who was Master is Master.
    fn crash_unseen(&mut self) -> Result<(), Violation> {
        let alive = |node: &Node| node.runs() && node.stopping.is_none() && node.knows_all();
        let all: Vec<usize> = (0..self.nodes.len()).filter(|n| alive(&self.nodes[*n])).collect();
        let victims: Vec<usize> = all.iter().copied().filter(|n| !self.nodes[*n].awry).collect();
        if victims.is_empty() || self.faults.chance(50) {
            return Ok(());
        }
        let victim = *self.faults.pick(&victims);
        let plans = &self.nodes[victim].applied.routers;
        let shortest = plans.iter().map(|plan| plan.interval.duration().as_nanos() as u64).min().unwrap_or(0);
        let masters = |node: &Node| -> Vec<RouterKey> {
            let is = |(_, state): &(&RouterKey, &State)| **state == State::Master;
            node.states.iter().filter(is).map(|(key, _)| key.clone()).collect()
        };
        let before: Vec<Vec<RouterKey>> = all.iter().map(|n| masters(&self.nodes[*n])).collect();
        self.invariants.storm();
        let length = self.faults.between(MS, shortest.max(2 * MS));
        self.trace.line(self.now, &format!("== n{victim} dies for {} ms", length / MS));
        let deed = match self.faults.chance(50) {
            true => Deed::Crash { node: victim },
            // An upgrade: the process ends as it is told, and leaves everything as it is.
            false => Deed::Stop { node: victim, release: false },
        };
        self.inflict(deed);
        self.run_until(self.now + length)?;
        self.inflict(Deed::StartSoon { node: victim });
        // Until every Master_Down_Interval would have ended, and everybody has heard everybody again.
        let longest = self.invariants.longest.values().copied().max().unwrap_or(0);
        self.run_until(self.now + 5 * longest)?;
        let after: Vec<Vec<RouterKey>> = all.iter().map(|n| masters(&self.nodes[*n])).collect();
        // A Backup that listens anew may be impatient with a Master that speaks more slowly than it would.
        let own = |plan: &RouterPlan| self.nodes[victim].router(&plan.key).map(|own| own.interval);
        let mut others = self.nodes.iter().flat_map(|node| &node.applied.routers);
        let alike = others.all(|plan| own(plan).is_none_or(|interval| interval == plan.interval));
        if alike && shortest >= RESUMABLE && before != after {
            let sentence =
                format!("n{victim} died for {} ms and was missed: {before:?}, then {after:?}", length / MS);
            return Err(Violation(sentence));
        }
        Ok(())
    }

    /// One fault, timed. It ends in the storm that follows.
    fn drill(&mut self) -> Result<(), Violation> {
        let drawn = self.invariants.draw_drill(&mut self.faults, self.now, &self.nodes, &self.network);
        let Some(drill) = drawn else { return Ok(()) };
        self.trace.line(self.now, "== drill");
        let (deed, undo, end) = (drill.deed.clone(), drill.undo.clone(), drill.end());
        self.invariants.begin_drill(self.now, drill);
        self.inflict(deed);
        self.run_until(end)?;
        self.invariants.end_of_drill(&self.nodes).map_err(Violation)?;
        let later = self.now + self.faults.below(3 * SECOND);
        self.schedule(later, What::Deed(undo));
        Ok(())
    }

    fn run_until(&mut self, end: u64) -> Result<(), Violation> {
        while let Some(Reverse((at, number))) =
            self.queue.peek().copied().filter(|Reverse((at, _))| *at <= end)
        {
            self.queue.pop();
            // Withdrawn in the meantime: nothing happens.
            let Some(what) = self.pending.remove(&number) else { continue };
            self.now = at;
            self.happen(what);
            self.check()?;
        }
        self.now = end;
        self.check()
    }

    fn check(&mut self) -> Result<(), Violation> {
        if self.violation.is_none() {
            self.violation =
                self.invariants.observe(self.now, &mut self.nodes, &self.network).err().map(Violation);
        }
        self.violation.take().map_or(Ok(()), Err)
    }

    fn happen(&mut self, what: What) {
        self.invariants.touched |= !matches!(what, What::Packet { .. } | What::Wake { .. });
        match what {
            What::Packet { to, received } => self.arrive(to, received),
            What::Perform { node, incarnation, op, body } => self.perform(node, incarnation, op, &body),
            What::Renew(renewal) => self.perform_renewal(renewal),
            What::Renewed(renewed) => self.note_renewal(renewed),
            What::Expire { node, at, cidr } => self.expire(node, at, cidr),
            What::News { node, incarnation, event } => {
                if self.nodes[node].incarnation == incarnation {
                    self.nodes[node].news_under_way -= 1;
                    self.hand_over(node, event);
                }
            }
            What::Silenced { node, incarnation, router, done } => {
                if self.nodes[node].incarnation == incarnation {
                    self.hand_over(node, Event::Silenced { router, done });
                }
            }
            What::Wake { node, number } => {
                if self.nodes[node].wake == number && self.nodes[node].runs() {
                    self.run_node(node);
                }
            }
            What::Deed(deed) => self.inflict(deed),
        }
    }

    pub(super) fn schedule(&mut self, at: u64, what: What) {
        self.scheduled += 1;
        if self.scheduled == MAX_EVENTS {
            self.fail(format!("{MAX_EVENTS} events: packets beget packets"));
        }
        self.queue.push(Reverse((at.max(self.now), self.scheduled)));
        self.pending.insert(self.scheduled, what);
    }

    pub(super) fn fail(&mut self, sentence: String) {
        self.violation.get_or_insert(Violation(sentence));
    }
}

/// Processes.
impl World {
    /// Start a process unless there is one. It learns of its interfaces, then gets its plan.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].process != Process::Dead {
            return;
        }
        self.nodes[node].begin();
        let mut first: Vec<Event> = self.nodes[node]
            .kernel
            .interfaces
            .iter()
            .filter(|i| i.exists)
            .map(|i| Event::Interface(i.facts()))
            .collect();
        let kernel = &self.nodes[node].kernel;
        if !kernel.maintenance.is_empty() {
            first.push(Event::Maintenance(kernel.maintenance.clone()));
        }
        let samples = kernel.samples.iter();
        first.extend(samples.map(|(key, sample)| Event::Tracker(key.clone(), Some(*sample))));
        first.push(Event::Resume(std::mem::take(&mut self.nodes[node].record)));
        first.push(Event::Plan(self.nodes[node].wanted.clone()));
        self.nodes[node].inbox.extend(first);
        self.run_node(node);
    }

    /// Give the process something to read.
    pub fn hand_over(&mut self, node: usize, event: Event) {
        self.nodes[node].inbox.push_back(event);
        if self.nodes[node].runs() {
            self.run_node(node);
        }
    }

    /// One turn of the driver: all that is queued, then timers that are due.
    pub fn run_node(&mut self, node: usize) {
        if self.was_paused(node) {
            self.step(node, Some(Event::Paused));
        }
        while let Some(event) = self.nodes[node].inbox.pop_front() {
            if !self.mend_lease(node, &event) {
                self.step(node, Some(event));
            }
            if !self.nodes[node].runs() {
                return;
            }
        }
        // As the driver does: what a first timeout made due at once is dealt with in a second turn, and no third is needed.
        let now = self.nodes[node].clock.read(self.now);
        for _ in 0..TURNS {
            if self.nodes[node].core.next_timeout().is_some_and(|at| at <= now) {
                self.step(node, None);
            }
        }
        let next = self.nodes[node].core.next_timeout();
        if next.is_some_and(|at| at <= now) {
            self.fail(format!(
                "n{node}: next_timeout {next:?} is not after {now:?} although timeouts were handled"
            ));
        }
        self.arm(node);
    }

    /// Schedule the wake-up for the next deadline.
    fn arm(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        it.wake += 1;
        if let (true, Some(deadline)) = (it.runs(), it.core.next_timeout()) {
            let number = it.wake;
            // Counted from the deadline: what else happens meanwhile does not postpone it.
            let at = it.clock.world_time(deadline) + self.kernels.below(WAKE_LATENCY);
            self.schedule(at, What::Wake { node, number });
        }
    }

    /// One call of the core and all it asks for.
    fn step(&mut self, node: usize, event: Option<Event>) {
        let it = &mut self.nodes[node];
        let now = it.clock.read(self.now);
        let before = it.states.clone();
        it.begun.clear();
        let mut actions = Vec::new();
        match event.clone() {
            Some(event) => it.core.handle(event, now, &mut actions),
            None => it.core.handle_timeout(now, &mut actions),
        }
        if let Some(recording) = &mut it.recording {
            recording.push((now, event.clone(), actions.clone()));
        }
        self.note(node, event.as_ref(), &actions);
        for action in &actions {
            self.act(node, action);
        }
        self.renew_leases(node, &actions);
        let checked =
            self.invariants.step(self.now, &mut self.nodes[node], node, event.as_ref(), &actions, &before);
        if let Err(sentence) = checked {
            self.fail(sentence);
        }
        if matches!(event, Some(Event::Plan(_))) {
            self.follow_leases(node);
        }
        self.note_first_leases(node, &actions);
        if matches!(event, Some(Event::Command(Command::Stop { release: false }))) {
            self.make_permanent(node);
        }
        self.nodes[node].leaving |= actions.contains(&Action::Stopped);
        self.leave_if_done(node);
    }

    /// A change of state, which begins where the last one ended, be it that of the process before.
    fn note_transition(&mut self, node: usize, transition: &Transition) {
        let it = &mut self.nodes[node];
        let known = it.state(&transition.key);
        let told = it.told.remove(&transition.key);
        if told.is_some() {
            it.begun.insert(transition.key.clone());
        }
        let resumes = matches!(transition.cause, TransitionCause::Resumed { .. });
        it.resumed |= resumes;
        let fits = known == transition.from || (known == State::Initialize && told == Some(transition.from));
        if !fits || (transition.from == transition.to && told.is_none()) {
            self.fail(format!("n{node}: {transition:?}, but the router was in {known}, as {told:?}"));
        }
        if resumes && (told != Some(State::Master) || transition.to != State::Master) {
            self.fail(format!("n{node}: {transition:?}, but the record says {told:?}"));
        }
        let checked = self.invariants.transition(self.now, &self.nodes, &self.network, node, transition);
        if let Err(sentence) = checked {
            self.fail(sentence);
        }
    }

    /// A stopped process exits once the kernel has done what it was asked.
    pub(super) fn leave_if_done(&mut self, node: usize) {
        if self.nodes[node].leaving && self.nodes[node].operations == 0 {
            self.trace.line(self.now, &format!("n{node} exits"));
            if let Err(sentence) = self.invariants.exit(&self.nodes[node], node) {
                self.fail(sentence);
            }
            self.note_record(node);
            self.nodes[node].end();
        }
    }

    fn act(&mut self, node: usize, action: &Action) {
        match action {
            Action::Transmit(_, frame) => self.transmit(node, frame),
            Action::Kernel(op, body) => {
                let incarnation = self.nodes[node].incarnation;
                self.nodes[node].operations += 1;
                let at = self.nodes[node].kernel.schedule(&mut self.kernels, self.now);
                self.schedule(at, What::Perform { node, incarnation, op: *op, body: body.clone() });
            }
            Action::Routing(..) => unreachable!("the simulated plans have no routes"),
            Action::Notify(transition) => {
                self.note_transition(node, transition);
                self.nodes[node].states.insert(transition.key.clone(), transition.to);
                self.nodes[node].since.insert(transition.key.clone(), self.now);
            }
            Action::Claim(_) | Action::Unclaim(_) => unreachable!("the simulated plans claim nothing"),
            Action::Silence { router, addresses } => {
                self.nodes[node].hush(*router, addresses);
                if !addresses.is_empty() {
                    self.be_silent(node, *router);
                }
            }
            Action::News(_) | Action::Log(..) | Action::Stopped => {}
        }
    }
}
