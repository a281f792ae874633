//! Tracked scripts: when each runs, and what its exit means.
//!
//! As keepalived: a script starts every `interval`, counted from start to start, and never twice at once; a start that
//! falls into a run that goes on is left out. Before the first result one success is enough, and one failure too; later it
//! takes `rise` successes or `fall` failures in a row. Otherwise than keepalived, a run that is too long has failed at its
//! timeout, not when its process is gone.

use super::LogLevel;
use crate::plan::scripts::{CommandPlan, TrackedScript, Unrunnable};
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// From SIGTERM to SIGKILL, as keepalived.
pub const GRACE: Duration = Duration::from_secs(2);

/// Between two SIGKILL for a process that does not go: it sleeps in the kernel.
const KILL_AGAIN: Duration = Duration::from_secs(10);

/// A script that starts this much after its time is late: the machine is overloaded, or too many run at once.
const LATE: Duration = Duration::from_millis(500);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it, by name.
    Signalled(String),
    /// The program cannot be executed, and why.
    NotExecuted(String),
    /// No process could be made, for a reason that lies with this machine and not with the script.
    NoProcess(String),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A predecessor of this process knew this. Comes before the first plan.
    Held(TrackerKey, Sample),
    /// The scripts to run from now on. One that was known by its name keeps its state.
    Plan(Vec<TrackedScript>, Unrunnable),
    /// The run begun by [`Action::Run`] is over: its process is gone, or never was.
    Ended {
        /// Which.
        run: RunId,
        /// How.
        ending: Ending,
        /// What it printed, at most as much as is kept.
        output: String,
    },
}

/// Names a run; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// Something the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process; answer with [`Event::Ended`].
    Run(RunId, Arc<CommandPlan>),
    /// Send SIGTERM to the process group of the run.
    Terminate(RunId),
    /// Send SIGKILL to the process group of the run.
    Kill(RunId),
    /// What is known has changed.
    Sample(TrackerKey, Option<Sample>),
    /// A line for the log.
    Log(LogLevel, String),
}

/// What is believed of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// No result yet.
    Unknown,
    /// It succeeds.
    Up,
    /// It fails.
    Down,
    /// It cannot be run.
    CannotRun,
}

/// One script.
#[derive(Debug)]
pub struct Script {
    /// Its plan.
    pub plan: TrackedScript,
    /// What is believed.
    pub belief: Belief,
    /// Since when.
    pub since: Instant,
    /// The last result in words.
    pub last_result: Option<String>,
    /// What the last failing run printed.
    pub output: Option<String>,
    /// How late the last run started.
    pub late: Duration,
    command: Arc<CommandPlan>,
    /// Results in a row that speak against the belief.
    against: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Starts at.
    Waiting(Instant),
    /// Was due then; as many as may run at once do.
    Ready(Instant),
    Running {
        run: RunId,
        started: Instant,
        until: Instant,
    },
    /// Over time, its end was asked for.
    Ending {
        run: RunId,
        started: Instant,
        until: Instant,
    },
    /// Never runs.
    Never,
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Runs begun.
    pub runs: u64,
    /// Runs that failed.
    pub failures: u64,
    /// Runs that were too long.
    pub timeouts: u64,
    /// Starts left out because the run before went on.
    pub skipped: u64,
    /// Runs that began late.
    pub late: u64,
}

/// All scripts. `handle`, `handle_timeout` when `next_timeout` is due; actions are performed in order.
#[derive(Debug)]
pub struct Scripts {
    scripts: Vec<Script>,
    held: BTreeMap<TrackerKey, Sample>,
    /// Runs of scripts that are gone or run something else now: they end, and count no more.
    orphans: BTreeMap<RunId, Orphan>,
    ready: VecDeque<String>,
    running: usize,
    limit: usize,
    next_run: u64,
    counters: Counters,
    planned: bool,
}

/// A run that nobody waits for.
#[derive(Clone, Copy, Debug)]
struct Orphan {
    until: Instant,
}

impl Scripts {
    /// None yet; at most `limit` processes at a time (at least 1).
    pub fn new(limit: usize) -> Scripts {
        Scripts {
            scripts: Vec::new(),
            held: BTreeMap::new(),
            orphans: BTreeMap::new(),
            ready: VecDeque::new(),
            running: 0,
            limit: limit.max(1),
            next_run: 0,
            counters: Counters::default(),
            planned: false,
        }
    }

    /// Takes an event.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Held(key, sample) => {
                self.held.insert(key, sample);
            }
            Event::Plan(scripts, unrunnable) => self.replan(scripts, unrunnable, now, actions),
            Event::Ended { run, ending, output } => self.ended(run, ending, output, now, actions),
        }
        self.handle_timeout(now, actions);
    }

    /// Starts what is due, ends what is over its time.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for script in &mut self.scripts {
            script.timeout(now, &mut self.ready, &mut self.counters, actions);
        }
        for (run, orphan) in self.orphans.iter_mut().filter(|(_, orphan)| orphan.until <= now) {
            orphan.until = now + KILL_AGAIN;
            actions.push(Action::Kill(*run));
        }
        self.start_ready(now, actions);
    }

    /// When [`Scripts::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Instant> {
        let scripts = self.scripts.iter().filter_map(|script| match script.phase {
            Phase::Waiting(at) => Some(at),
            Phase::Running { until, .. } | Phase::Ending { until, .. } => Some(until),
            Phase::Ready(_) | Phase::Never => None,
        });
        scripts.chain(self.orphans.values().map(|orphan| orphan.until)).min()
    }

    /// The scripts in the order of the plan.
    pub fn scripts(&self) -> &[Script] {
        &self.scripts
    }

    /// What has been counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn replan(
        &mut self,
        plans: Vec<TrackedScript>,
        unrunnable: Unrunnable,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let mut known: BTreeMap<String, Script> =
            self.scripts.drain(..).map(|script| (script.plan.name.clone(), script)).collect();
        for plan in plans {
            let script = match known.remove(&plan.name) {
                Some(script) => self.keep(script, plan, unrunnable, now, actions),
                None => self.add(plan, unrunnable, now, actions),
            };
            self.scripts.push(script);
        }
        for script in known.into_values() {
            self.orphan(&script, now, actions);
        }
        let scripts = &self.scripts;
        self.ready.retain(|name| scripts.iter().any(|s| s.plan.name == *name && s.is_ready()));
        self.held.clear();
        self.planned = true;
    }

    fn add(
        &mut self,
        plan: TrackedScript,
        unrunnable: Unrunnable,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Script {
        let held = self.held.get(&key(&plan.name));
        let belief = match held {
            Some(Sample::Down) => Belief::Down,
            Some(_) => Belief::Up,
            // A reload takes no address away for want of results.
            None if plan.failed_until_rise && !self.planned => Belief::Down,
            None => Belief::Unknown,
        };
        let mut script = Script::new(plan, belief, now);
        if script.refuse(unrunnable, now, actions) {
            return script;
        }
        match belief {
            Belief::Down if held.is_none() => {
                script.last_result = Some("no success yet (init_fail rise)".to_owned());
                actions.push(Action::Sample(script.key(), Some(Sample::Down)));
            }
            // One of this name may have been tracked before.
            Belief::Unknown if self.planned => actions.push(Action::Sample(script.key(), None)),
            _ => {}
        }
        script
    }

    /// A script that was there before: keepalived knows it by its name, whatever it runs.
    fn keep(
        &mut self,
        mut script: Script,
        plan: TrackedScript,
        unrunnable: Unrunnable,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Script {
        let before = std::mem::replace(&mut script.plan, plan);
        if before == script.plan && script.belief != Belief::CannotRun {
            return script;
        }
        let was_unrunnable = script.belief == Belief::CannotRun;
        if was_unrunnable || before.command != script.plan.command {
            self.orphan(&script, now, actions);
            script.command = Arc::new(script.plan.command.clone());
            script.phase = Phase::Waiting(now);
        }
        if script.refuse(unrunnable, now, actions) {
            return script;
        }
        if was_unrunnable {
            script.believe(Belief::Unknown, now);
            actions.push(Action::Sample(script.key(), None));
        }
        if let Phase::Waiting(at) = script.phase {
            script.phase = Phase::Waiting(at.min(now + script.plan.interval));
        }
        script
    }

    /// Ends a run whose result nobody wants any more.
    fn orphan(&mut self, script: &Script, now: Instant, actions: &mut Vec<Action>) {
        if let Phase::Running { run, .. } | Phase::Ending { run, .. } = script.phase {
            self.orphans.insert(run, Orphan { until: now + GRACE });
            actions.push(Action::Terminate(run));
        }
    }

    fn start_ready(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.running < self.limit {
            let Some(name) = self.ready.pop_front() else { return };
            let Some(script) = self.scripts.iter_mut().find(|s| s.plan.name == name) else { continue };
            let Phase::Ready(due) = script.phase else { continue };
            let run = RunId(self.next_run);
            self.next_run += 1;
            self.running += 1;
            self.counters.runs += 1;
            script.late = now.saturating_duration_since(due);
            self.counters.late += u64::from(script.late >= LATE);
            script.phase = Phase::Running { run, started: due, until: now + script.plan.timeout };
            actions.push(Action::Run(run, script.command.clone()));
        }
    }

    fn ended(&mut self, run: RunId, ending: Ending, output: String, now: Instant, actions: &mut Vec<Action>) {
        if self.orphans.remove(&run).is_some() {
            self.running = self.running.saturating_sub(1);
            return;
        }
        let running = |script: &&mut Script| matches!(script.phase, Phase::Running { run: r, .. } | Phase::Ending { run: r, .. } if r == run);
        let Some(script) = self.scripts.iter_mut().find(running) else { return };
        self.running = self.running.saturating_sub(1);
        script.ended(ending, output, now, &mut self.counters, actions);
    }
}

impl Script {
    /// Does a run of it go on?
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Ending { .. })
    }

    fn new(plan: TrackedScript, belief: Belief, now: Instant) -> Script {
        let command = Arc::new(plan.command.clone());
        let (since, phase, late) = (now, Phase::Waiting(now), Duration::ZERO);
        Script { plan, belief, since, last_result: None, output: None, late, command, against: 0, phase }
    }

    /// Its name among all trackers.
    pub fn key(&self) -> TrackerKey {
        key(&self.plan.name)
    }

    fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(_))
    }

    fn believe(&mut self, belief: Belief, now: Instant) {
        self.against = 0;
        if self.belief != belief {
            self.belief = belief;
            self.since = now;
        }
    }

    /// Notes that it cannot be run, if so.
    fn refuse(&mut self, unrunnable: Unrunnable, now: Instant, actions: &mut Vec<Action>) -> bool {
        let Some(why) = &self.plan.command.cannot_run else { return false };
        let sample = match unrunnable {
            Unrunnable::Dropped => None,
            Unrunnable::Fault => Some(Sample::Down),
        };
        let meaning = match unrunnable {
            Unrunnable::Dropped => "nothing is checked and nobody hears of a failure (as in keepalived)",
            Unrunnable::Fault => "it counts as failed (unrunnable_script fault)",
        };
        let line = format!("vrrp_script {} cannot run: {why}; {meaning}", self.plan.name);
        actions.push(Action::Log(LogLevel::Error, line));
        actions.push(Action::Sample(self.key(), sample));
        self.last_result = Some(format!("cannot run: {why}"));
        self.phase = Phase::Never;
        self.believe(Belief::CannotRun, now);
        true
    }

    fn timeout(
        &mut self,
        now: Instant,
        ready: &mut VecDeque<String>,
        counters: &mut Counters,
        actions: &mut Vec<Action>,
    ) {
        match self.phase {
            Phase::Waiting(at) if at <= now => {
                self.phase = Phase::Ready(at);
                ready.push_back(self.plan.name.clone());
            }
            Phase::Running { run, started, until } if until <= now => {
                actions.push(Action::Terminate(run));
                self.phase = Phase::Ending { run, started, until: now + GRACE };
                counters.timeouts += 1;
                let words = format!("no answer within {}", seconds(self.plan.timeout));
                self.failed(words, now, counters, actions);
            }
            Phase::Ending { run, started, until } if until <= now => {
                actions.push(Action::Kill(run));
                self.phase = Phase::Ending { run, started, until: now + KILL_AGAIN };
            }
            _ => {}
        }
    }

    fn ended(
        &mut self,
        ending: Ending,
        output: String,
        now: Instant,
        counters: &mut Counters,
        actions: &mut Vec<Action>,
    ) {
        let (started, in_time) = match self.phase {
            Phase::Running { started, .. } => (started, true),
            Phase::Ending { started, .. } => (started, false),
            Phase::Waiting(_) | Phase::Ready(_) | Phase::Never => return,
        };
        self.phase = Phase::Waiting(self.next_start(started, now, counters));
        if !output.is_empty() && ending != Ending::Exited(0) {
            self.output = Some(output);
        }
        if !in_time {
            return;
        }
        match ending {
            Ending::Exited(0) => self.succeeded(now, actions),
            Ending::Exited(status) => {
                self.failed(format!("exit status {status}"), now, counters, actions);
            }
            Ending::Signalled(signal) => self.failed(format!("ended by {signal}"), now, counters, actions),
            Ending::NotExecuted(why) => {
                let words = format!("{} cannot be executed: {why}", self.program());
                self.failed(words, now, counters, actions);
            }
            Ending::NoProcess(why) => {
                let line = format!(
                    "vrrp_script {} was not run: {why}; what it said last holds, and it is tried again",
                    self.plan.name
                );
                let words = format!("not run: {why}");
                if self.last_result.as_ref() != Some(&words) {
                    actions.push(Action::Log(LogLevel::Error, line));
                }
                self.last_result = Some(words);
            }
        }
    }

    fn program(&self) -> &str {
        self.plan.command.words.first().map_or("", String::as_str)
    }

    /// The next of its times that is still to come.
    fn next_start(&self, started: Instant, now: Instant, counters: &mut Counters) -> Instant {
        let interval = self.plan.interval;
        let next = started + interval;
        if next >= now {
            return next;
        }
        let behind = now.saturating_duration_since(next).as_nanos();
        let missed = u64::try_from(behind.div_ceil(interval.as_nanos().max(1))).unwrap_or(u64::MAX);
        counters.skipped += missed;
        let past = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).saturating_mul(missed);
        next + Duration::from_nanos(past)
    }

    fn succeeded(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.last_result = Some("exit status 0".to_owned());
        self.output = None;
        match self.belief {
            Belief::Up => self.against = 0,
            Belief::Unknown => self.turn(true, now, actions),
            Belief::Down | Belief::CannotRun => {
                self.against += 1;
                if self.against >= self.plan.rise {
                    self.turn(true, now, actions);
                }
            }
        }
    }

    fn failed(&mut self, words: String, now: Instant, counters: &mut Counters, actions: &mut Vec<Action>) {
        counters.failures += 1;
        if self.last_result.as_ref() != Some(&words) {
            let line = format!("vrrp_script {}: {words}", self.plan.name);
            actions.push(Action::Log(LogLevel::Info, line));
        }
        self.last_result = Some(words);
        match self.belief {
            Belief::Down | Belief::CannotRun => self.against = 0,
            Belief::Unknown => self.turn(false, now, actions),
            Belief::Up => {
                self.against += 1;
                if self.against >= self.plan.fall {
                    self.turn(false, now, actions);
                }
            }
        }
    }

    /// Changes the belief and tells it.
    fn turn(&mut self, up: bool, now: Instant, actions: &mut Vec<Action>) {
        let (belief, sample) = if up { (Belief::Up, Sample::Up) } else { (Belief::Down, Sample::Down) };
        self.believe(belief, now);
        let name = &self.plan.name;
        let words = self.last_result.as_deref().unwrap_or_default();
        let (level, line) = match up {
            true => (LogLevel::Info, format!("vrrp_script {name} succeeded")),
            false => (LogLevel::Warning, format!("vrrp_script {name} failed: {words}")),
        };
        actions.push(Action::Log(level, line));
        actions.push(Action::Sample(self.key(), Some(sample)));
    }
}

fn key(name: &str) -> TrackerKey {
    TrackerKey { kind: TrackerKind::Script, name: name.to_owned() }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;
