//! Health checking, pure: when to probe, what a conversation looks like, what its outcome means.
//!
//! Two small machines. A probe is one conversation without I/O; a checker decides when to probe and
//! turns outcomes into verdicts. The driver (the checker role) owns sockets and deadlines.

pub mod checker;
pub mod probe;

use crate::plan::check::Question;
use crate::plan::lvs::{LvsPlan, VirtualServer};
use crate::time::Instant;
use checker::Checker;
use probe::{Mark, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

/// A check that starts this much after its time is reported: the machine is overloaded.
pub const LATE: Duration = Duration::from_secs(1);

/// Late starts are reported no more often than this.
pub const LATE_REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// What a checker believes about its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Works.
    Up,
    /// Does not, and why, as a short sentence ("connection refused", "status 503, wanted 200-299").
    Down(String),
}

/// Names a checker inside one core; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub u64);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The questions of a new plan, repetitions allowed. A question asked before keeps its checker.
    Plan {
        /// All questions of the plan, see [`questions`].
        questions: Vec<Question>,
        /// A random number of the driver: spreads the first runs.
        random: u64,
    },
    /// The conversation begun by [`Action::Start`] is over.
    Finished {
        /// Whose.
        check: CheckId,
        /// How.
        outcome: Outcome,
        /// How long it took.
        latency: Duration,
    },
}

/// Something the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin a conversation; answer with [`Event::Finished`].
    Start {
        /// Whose.
        check: CheckId,
        /// What about.
        question: Arc<Question>,
        /// Which part (url) of it.
        part: usize,
        /// For datagram probes.
        mark: Mark,
    },
    /// The checker is gone: drop its conversation, no answer is expected.
    Cancel(CheckId),
    /// The belief changed.
    Verdict(Arc<Question>, Verdict),
    /// A conversation could not be held for a reason of our own; said once until it changes.
    NotRun(Arc<Question>, String),
    /// Since the last report `count` checks started late, the worst by `worst`.
    Late {
        /// How many.
        count: u64,
        /// The longest delay.
        worst: Duration,
    },
}

/// All checkers. `handle`, `handle_timeout` when `next_timeout` is due; actions are performed in order.
#[derive(Debug)]
pub struct Checks {
    checks: BTreeMap<CheckId, Check>,
    by_question: HashMap<Arc<Question>, CheckId, BuildHasherDefault<DefaultHasher>>,
    deadlines: BTreeSet<(Instant, CheckId)>,
    /// Due, but as many conversations as allowed are going on.
    ready: VecDeque<(Instant, CheckId)>,
    running: usize,
    limit: usize,
    next_id: u64,
    late: Lateness,
}

#[derive(Debug)]
struct Check {
    question: Arc<Question>,
    machine: Checker,
    phase: Phase,
    runs: u16,
    not_run: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Ready,
    Running,
}

#[derive(Debug, Default)]
struct Lateness {
    count: u64,
    worst: Duration,
    reported: Option<Instant>,
}

impl Checks {
    /// No checkers yet; at most `limit` conversations at a time (at least 1).
    pub fn new(limit: usize) -> Checks {
        Checks {
            checks: BTreeMap::new(),
            by_question: HashMap::default(),
            deadlines: BTreeSet::new(),
            ready: VecDeque::new(),
            running: 0,
            limit: limit.max(1),
            next_id: 0,
            late: Lateness::default(),
        }
    }

    /// Takes an event.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Plan { questions, random } => self.replan(questions, random, now, actions),
            Event::Finished { check, outcome, latency } => {
                self.finished(check, outcome, latency, now, actions)
            }
        }
        self.start_ready(now, actions);
    }

    /// Starts what is due.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some(&(due, id)) = self.deadlines.first() {
            if due > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(check) = self.checks.get_mut(&id) {
                check.phase = Phase::Ready;
                self.ready.push_back((due, id));
            }
        }
        self.start_ready(now, actions);
    }

    /// When [`Checks::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(due, _)| due)
    }

    /// The machine that asks `question`.
    pub fn checker(&self, question: &Question) -> Option<&Checker> {
        self.by_question.get(question).and_then(|id| self.checks.get(id)).map(|check| &check.machine)
    }

    /// Conversations going on.
    pub fn running(&self) -> usize {
        self.running
    }

    fn replan(&mut self, questions: Vec<Question>, random: u64, now: Instant, actions: &mut Vec<Action>) {
        let mut random = SplitMix(random);
        let mut kept = BTreeSet::new();
        for question in questions {
            let id = match self.by_question.get(&question) {
                Some(&id) => id,
                None => self.add(question, random.next(), now),
            };
            kept.insert(id);
        }
        let gone: Vec<CheckId> = self.checks.keys().filter(|id| !kept.contains(id)).copied().collect();
        for id in gone {
            self.remove(id, actions);
        }
    }

    fn add(&mut self, question: Question, random: u64, now: Instant) -> CheckId {
        let id = CheckId(self.next_id);
        self.next_id += 1;
        let question = Arc::new(question);
        let machine = Checker::new(&question);
        let due = now + machine.first_delay(random);
        self.deadlines.insert((due, id));
        self.by_question.insert(question.clone(), id);
        self.checks
            .insert(id, Check { question, machine, phase: Phase::Waiting(due), runs: 0, not_run: None });
        id
    }

    fn remove(&mut self, id: CheckId, actions: &mut Vec<Action>) {
        let Some(check) = self.checks.remove(&id) else { return };
        self.by_question.remove(&check.question);
        match check.phase {
            Phase::Waiting(due) => {
                self.deadlines.remove(&(due, id));
            }
            Phase::Ready => {} // start_ready() passes over checkers that are gone
            Phase::Running => {
                self.running -= 1;
                actions.push(Action::Cancel(id));
            }
        }
    }

    fn start_ready(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.running < self.limit {
            let Some((due, id)) = self.ready.pop_front() else { break };
            let Some(check) = self.checks.get_mut(&id) else { continue };
            check.phase = Phase::Running;
            check.runs = check.runs.wrapping_add(1);
            self.running += 1;
            self.late.started(now.saturating_duration_since(due));
            actions.push(Action::Start {
                check: id,
                question: check.question.clone(),
                part: check.machine.part(),
                mark: Mark { identifier: id.0 as u16, sequence: check.runs },
            });
        }
        self.late.report(now, actions);
    }

    fn finished(
        &mut self,
        id: CheckId,
        outcome: Outcome,
        latency: Duration,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        // A conversation that ended while its checker was removed says nothing any more.
        let Some(check) = self.checks.get_mut(&id) else { return };
        if check.phase != Phase::Running {
            return;
        }
        self.running -= 1;
        match &outcome {
            Outcome::NotRun(why) if check.not_run.as_ref() != Some(why) => {
                check.not_run = Some(why.clone());
                actions.push(Action::NotRun(check.question.clone(), why.clone()));
            }
            Outcome::NotRun(_) => {}
            Outcome::Success(_) | Outcome::Failure(_) => check.not_run = None,
        }
        let next = check.machine.finished(outcome, latency);
        let due = now + next.delay;
        check.phase = Phase::Waiting(due);
        self.deadlines.insert((due, id));
        if let Some(verdict) = next.verdict {
            actions.push(Action::Verdict(check.question.clone(), verdict));
        }
    }
}

/// The questions of a plan, in its order, repetitions included.
pub fn questions(plan: &LvsPlan) -> Vec<Question> {
    questions_of(plan, |_| true)
}

/// Those of the virtual servers that `asks` says yes to.
pub fn questions_of(plan: &LvsPlan, asks: impl Fn(&VirtualServer) -> bool) -> Vec<Question> {
    let asking = plan.virtual_servers.iter().filter(|virtual_server| asks(virtual_server));
    let servers = asking.flat_map(|virtual_server| &virtual_server.real_servers);
    servers.flat_map(|server| &server.checkers).map(|checker| checker.question()).collect()
}

impl Lateness {
    fn started(&mut self, late: Duration) {
        if late >= LATE {
            self.count += 1;
            self.worst = self.worst.max(late);
        }
    }

    fn report(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let quiet = self.reported.is_some_and(|last| now < last + LATE_REPORT_INTERVAL);
        if self.count > 0 && !quiet {
            actions.push(Action::Late { count: self.count, worst: self.worst });
            *self = Lateness { reported: Some(now), ..Lateness::default() };
        }
    }
}

/// Steele, Lea and Flood's SplitMix64: one random number of the driver becomes one for each checker.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
