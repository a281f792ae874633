//! Health checking, pure: when to probe, what a conversation looks like, what its outcome means.
//!
//! Two small machines. A probe is one conversation without I/O; a checker decides when to probe and
//! turns outcomes into verdicts. The driver (the checker role) owns sockets and deadlines.

pub mod checker;
pub mod held;
pub mod latencies;
pub mod pace;
pub mod probe;

use crate::plan::check::{CheckKind, FileCheck, Question, WeightChange};
use crate::plan::lvs::{LvsPlan, VirtualServer};
use crate::plan::track::{Sample, TrackerKey};
use crate::time::Instant;
use checker::Checker;
use pace::{Pace, moment_of};
use probe::{Mark, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

/// A check that starts this much after its time is reported: the machine is overloaded.
pub const LATE: Duration = Duration::from_secs(1);

/// Programs that run at once for checks: enough for any sensible table, few enough for any machine. More would wait in the
/// scripts role, where their time runs.
pub const MAX_PROGRAMS: usize = 64;

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
        questions: Vec<Arc<Question>>,
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
    /// Something that is listened to changed; `None`: nothing is known of it any more, and what was known counts on.
    Sample(TrackerKey, Option<Sample>),
    /// These ask now, rather than when they are due; one whose conversation is going on asks again as soon as it ends.
    Hurry(Vec<CheckId>),
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
    /// What the answers say of the weight changed; comes before a verdict of the same run.
    Weight(Arc<Question>, WeightChange),
    /// A failure that changes nothing, of a check whose failures are all to be said.
    Tolerated(Arc<Question>, String),
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
    /// In boxes: nodes of the tree are often half empty.
    checks: BTreeMap<CheckId, Box<Check>>,
    by_question: HashMap<Arc<Question>, CheckId, BuildHasherDefault<DefaultHasher>>,
    /// Checks that listen instead of asking.
    listeners: BTreeSet<(TrackerKey, CheckId)>,
    samples: BTreeMap<TrackerKey, Sample>,
    deadlines: BTreeSet<(Instant, CheckId)>,
    /// Due, but as many conversations as allowed are going on.
    ready: VecDeque<(Instant, CheckId)>,
    /// The same of those that run a program.
    ready_programs: VecDeque<(Instant, CheckId)>,
    running: usize,
    /// How many of these run a program.
    programs: usize,
    limit: usize,
    next_id: u64,
    late: Lateness,
    pace: Pace,
}

// There may be a hundred thousand: what is hardly ever there is a word.
#[allow(clippy::box_collection)]
#[derive(Debug)]
struct Check {
    machine: Checker,
    phase: Phase,
    runs: u16,
    /// In a box: hardly ever there.
    not_run: Option<Box<String>>,
    /// Since when it believes what it believes.
    since: Instant,
    /// By how many microseconds the last run started late (over an hour counts as that).
    late: u32,
    /// It is to ask again as soon as its conversation ends.
    hurried: bool,
}

/// What a check does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It runs next at this time.
    Waiting(Instant),
    /// It is due; as many conversations as allowed are going on.
    Ready,
    /// Its conversation is going on.
    Running,
    /// It asks nothing: it is told.
    Listening,
}

/// A check as it stands, for those who look.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its machine.
    pub machine: &'a Checker,
    /// What it does.
    pub phase: Phase,
    /// Since when it believes what it believes.
    pub since: Instant,
    /// By how much the last run started late.
    pub late: Duration,
    /// Why the last conversation could not be held, if so.
    pub not_run: Option<&'a str>,
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
            listeners: BTreeSet::new(),
            samples: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            ready: VecDeque::new(),
            ready_programs: VecDeque::new(),
            running: 0,
            programs: 0,
            limit: limit.max(1),
            next_id: 0,
            late: Lateness::default(),
            pace: Pace::default(),
        }
    }

    /// Takes an event.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Plan { questions, random } => self.replan(questions, random, now, actions),
            Event::Finished { check, outcome, latency } => {
                self.finished(check, outcome, latency, now, actions)
            }
            Event::Sample(key, sample) => self.sampled(key, sample, now, actions),
            Event::Hurry(checks) => self.hurry(checks, now),
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
                match check.runs_program() {
                    true => self.ready_programs.push_back((due, id)),
                    false => self.ready.push_back((due, id)),
                }
            }
        }
        self.start_ready(now, actions);
    }

    /// When [`Checks::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Instant> {
        let first = self.deadlines.first().map(|&(due, _)| moment_of(due, self.checks.len()));
        let programs = !self.ready_programs.is_empty() && self.programs < MAX_PROGRAMS;
        let held_up = self.running < self.limit && (programs || !self.ready.is_empty());
        first.into_iter().chain(held_up.then(|| self.pace.next_step())).min()
    }

    /// The machine that asks `question`.
    pub fn checker(&self, question: &Question) -> Option<&Checker> {
        self.by_question.get(question).and_then(|id| self.checks.get(id)).map(|check| &check.machine)
    }

    /// The check that asks `question`.
    pub fn view(&self, question: &Question) -> Option<View<'_>> {
        let check = self.by_question.get(question).and_then(|id| self.checks.get(id))?;
        let not_run = check.not_run.as_deref().map(String::as_str);
        let (phase, since) = (check.phase, check.since);
        let late = Duration::from_micros(u64::from(check.late));
        Some(View { machine: &check.machine, phase, since, late, not_run })
    }

    /// Names the check that asks `question`.
    pub fn id(&self, question: &Question) -> Option<CheckId> {
        self.by_question.get(question).copied()
    }

    /// Is there such a check (still)?
    pub fn is_there(&self, check: CheckId) -> bool {
        self.checks.contains_key(&check)
    }

    /// How many checks are due and wait for room.
    pub fn waiting_for_room(&self) -> usize {
        self.ready.len() + self.ready_programs.len()
    }

    /// Conversations going on.
    pub fn running(&self) -> usize {
        self.running
    }

    fn replan(
        &mut self,
        questions: Vec<Arc<Question>>,
        random: u64,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        // Multiples of the golden ratio: however many there are, no two of them are close, and no gap is wide.
        let mut place = random;
        let mut next_place = || {
            place = place.wrapping_add(GOLDEN);
            place
        };
        let mut kept = Vec::with_capacity(questions.len());
        let mut old = std::mem::take(&mut self.by_question);
        self.by_question.reserve(questions.len());
        for question in questions {
            if self.by_question.contains_key(&question) {
                continue;
            }
            let id = match old.remove(&question) {
                Some(id) => self.keep(question, id),
                None => self.add(question, next_place(), now, actions),
            };
            kept.push(id);
        }
        kept.sort_unstable();
        let is_gone = |id: &&CheckId| kept.binary_search(id).is_err();
        let gone: Vec<CheckId> = self.checks.keys().filter(is_gone).copied().collect();
        for id in gone {
            self.remove(id, actions);
        }
    }

    /// The question as the new plan holds it, so that the old plan's goes.
    fn keep(&mut self, question: Arc<Question>, id: CheckId) -> CheckId {
        if let Some(check) = self.checks.get_mut(&id) {
            check.machine.ask(question.clone());
        }
        self.by_question.insert(question, id);
        id
    }

    fn add(
        &mut self,
        question: Arc<Question>,
        random: u64,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> CheckId {
        let id = CheckId(self.next_id);
        self.next_id += 1;
        let machine = Checker::new(question.clone());
        let tracker = question.kind.tracker();
        let phase = match &tracker {
            Some(_) => Phase::Listening,
            None => Phase::Waiting(now + machine.first_delay(random)),
        };
        if let Phase::Waiting(due) = phase {
            self.deadlines.insert((due, id));
        }
        self.by_question.insert(question, id);
        let check = Check { machine, phase, runs: 0, not_run: None, since: now, late: 0, hurried: false };
        self.checks.insert(id, Box::new(check));
        if let Some(key) = tracker {
            let known = self.samples.get(&key).copied();
            self.listeners.insert((key, id));
            if let Some(sample) = known {
                self.listen(id, sample, now, actions);
            }
        }
        id
    }

    fn remove(&mut self, id: CheckId, actions: &mut Vec<Action>) {
        let Some(check) = self.checks.remove(&id) else { return };
        self.by_question.remove(check.machine.question());
        match check.phase {
            Phase::Waiting(due) => {
                self.deadlines.remove(&(due, id));
            }
            Phase::Ready => {} // start_ready() passes over checkers that are gone
            Phase::Running => {
                self.running -= 1;
                self.programs -= usize::from(check.runs_program());
                actions.push(Action::Cancel(id));
            }
            Phase::Listening => {
                if let Some(key) = check.machine.question().kind.tracker() {
                    self.listeners.remove(&(key, id));
                }
            }
        }
    }

    /// What is listened to is remembered whoever listens: the sample may come before the plan that wants it.
    fn sampled(&mut self, key: TrackerKey, sample: Option<Sample>, now: Instant, actions: &mut Vec<Action>) {
        let Some(sample) = sample else { return };
        let first = (key.clone(), CheckId(0));
        let listeners: Vec<CheckId> =
            self.listeners.range(first..).take_while(|(k, _)| *k == key).map(|(_, id)| *id).collect();
        self.samples.insert(key, sample);
        for id in listeners {
            self.listen(id, sample, now, actions);
        }
    }

    fn listen(&mut self, id: CheckId, sample: Sample, now: Instant, actions: &mut Vec<Action>) {
        let Some(check) = self.checks.get_mut(&id) else { return };
        let outcome = heard(&check.machine.question().kind, sample);
        let next = check.machine.heard(outcome);
        check.tell(next, now, actions);
    }

    fn hurry(&mut self, checks: Vec<CheckId>, now: Instant) {
        for id in checks {
            let Some(check) = self.checks.get_mut(&id) else { continue };
            match check.phase {
                Phase::Waiting(due) if due > now => {
                    self.deadlines.remove(&(due, id));
                    self.deadlines.insert((now, id));
                    check.phase = Phase::Waiting(now);
                }
                Phase::Running => check.hurried = true,
                Phase::Waiting(_) | Phase::Ready | Phase::Listening => {}
            }
        }
    }

    /// The check that waits longest of those there is room for.
    fn next_ready(&mut self) -> Option<(Instant, CheckId)> {
        let program = self.ready_programs.front().filter(|_| self.programs < MAX_PROGRAMS);
        let is_program =
            program.is_some_and(|program| self.ready.front().is_none_or(|asked| program < asked));
        if is_program { self.ready_programs.pop_front() } else { self.ready.pop_front() }
    }

    fn start_ready(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.pace.look(now);
        while self.running < self.limit && self.pace.has_room() {
            let Some((due, id)) = self.next_ready() else { break };
            let Some(check) = self.checks.get_mut(&id) else { continue };
            self.programs += usize::from(check.runs_program());
            check.phase = Phase::Running;
            check.runs = check.runs.wrapping_add(1);
            self.running += 1;
            self.pace.started();
            let late = now.saturating_duration_since(due);
            check.late = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
            self.late.started(late);
            actions.push(Action::Start {
                check: id,
                question: check.machine.question().clone(),
                part: check.machine.part(),
                mark: Mark { identifier: id.0 as u16, sequence: check.runs },
            });
        }
        if self.waiting_for_room() > 0 {
            self.pace.somebody_waits();
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
        self.programs -= usize::from(check.runs_program());
        match &outcome {
            Outcome::NotRun(why) if check.not_run.as_deref() != Some(why) => {
                check.not_run = Some(why.clone().into());
                actions.push(Action::NotRun(check.machine.question().clone(), why.clone()));
            }
            Outcome::NotRun(_) => {}
            Outcome::Success(_) | Outcome::Weighed(..) | Outcome::Failure(_) => check.not_run = None,
        }
        let next = check.machine.finished(outcome, latency);
        let delay = if std::mem::take(&mut check.hurried) { Duration::ZERO } else { next.delay };
        let due = now + delay;
        check.phase = Phase::Waiting(due);
        self.deadlines.insert((due, id));
        check.tell(next, now, actions);
    }
}

impl Check {
    fn runs_program(&self) -> bool {
        matches!(self.machine.question().kind, CheckKind::Misc(_))
    }

    /// Says what changed.
    fn tell(&mut self, next: checker::Next, now: Instant, actions: &mut Vec<Action>) {
        actions.extend(next.weight.map(|change| Action::Weight(self.machine.question().clone(), change)));
        if let Some(verdict) = next.verdict {
            self.since = now;
            actions.push(Action::Verdict(self.machine.question().clone(), verdict));
        }
        actions.extend(next.tolerated.map(|cause| Action::Tolerated(self.machine.question().clone(), cause)));
    }
}

/// What a sample means for a check that listens.
fn heard(kind: &CheckKind, sample: Sample) -> Outcome {
    match (kind, sample) {
        (CheckKind::File(check), Sample::Value(value)) => file_outcome(check, value),
        (CheckKind::Bfd(_), Sample::Up) => Outcome::Success("the session is up".into()),
        (CheckKind::Bfd(_), _) => Outcome::Failure("the session is down".into()),
        (_, Sample::Up) => Outcome::Success("up".into()),
        (_, _) => Outcome::Failure("down".into()),
    }
}

/// As keepalived: the number times the weight is added to the server's weight; where that is as low as can be, or the
/// weight is 0 and the number is not, the check has failed.
fn file_outcome(check: &FileCheck, value: i32) -> Outcome {
    let by = i64::from(value) * i64::from(check.weight);
    if check.weight == 0 && value != 0 {
        return Outcome::Failure(format!("the file says {value}"));
    }
    if by <= -MOST_WEIGHT {
        return Outcome::Failure(format!(
            "the file says {value}, times {} is as low as can be",
            check.weight
        ));
    }
    let words = format!("the file says {value}: weight {by:+}");
    Outcome::Weighed(words, WeightChange::By(by.min(MOST_WEIGHT)))
}

/// The most that a file may add to or take from a weight: the kernel's greatest weight.
const MOST_WEIGHT: i64 = 2_147_483_647;

/// The questions of a plan, in its order, repetitions included.
pub fn questions(plan: &LvsPlan) -> Vec<Arc<Question>> {
    questions_of(plan, |_| true)
}

/// Those of the virtual servers that `asks` says yes to.
pub fn questions_of(plan: &LvsPlan, asks: impl Fn(&VirtualServer) -> bool) -> Vec<Arc<Question>> {
    let asking = plan.virtual_servers.iter().filter(|virtual_server| asks(virtual_server));
    let servers = asking.flat_map(|virtual_server| &virtual_server.real_servers);
    servers.flat_map(|server| &server.checkers).map(|checker| checker.question().clone()).collect()
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

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steele, Lea and Flood's SplitMix64: one random number of the driver becomes one for each checker.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod pace_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
