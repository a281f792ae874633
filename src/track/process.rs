//! Tracked processes: how many there are, and whether that is enough.
//!
//! As keepalived: the state at the start counts at once; later a change counts after `fork_delay` or `terminate_delay`, and
//! not at all if it is undone before.

use super::LogLevel;
use crate::plan::scripts::{ProcessMatch, TrackedProcess};
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Octets of a process's name that the kernel keeps.
const NAME_OCTETS: usize = 15;

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name (`/proc/PID/comm`).
    pub name: Vec<u8>,
    /// Its command line; empty for threads of the kernel.
    pub words: Vec<Vec<u8>>,
}

/// Something that must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is known has changed.
    Sample(TrackerKey, Option<Sample>),
    /// A line for the log.
    Log(LogLevel, String),
}

/// One tracked process.
#[derive(Debug)]
pub struct Process {
    /// Its plan.
    pub plan: TrackedProcess,
    /// Are there enough, and not too many? `None` before it was looked.
    pub up: Option<bool>,
    /// Since when.
    pub since: Instant,
    pids: BTreeSet<i32>,
    /// When a change counts.
    pending: Option<Instant>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Processes {
    processes: Vec<Process>,
    /// Were there plans before?
    planned: bool,
}

impl Processes {
    /// The processes to watch from now on; what was known of one whose plan is the same stays. A whole [`Processes::scan`]
    /// must follow.
    pub fn plan(&mut self, plans: Vec<TrackedProcess>, now: Instant, actions: &mut Vec<Action>) {
        let mut known: BTreeMap<String, Process> =
            self.processes.drain(..).map(|process| (process.plan.name.clone(), process)).collect();
        for plan in plans {
            let before = known.remove(&plan.name).filter(|process| process.plan == plan);
            self.processes.push(before.unwrap_or_else(|| {
                if self.planned {
                    // One of this name may have been tracked before.
                    actions.push(Action::Sample(key(&plan.name), None));
                }
                Process { plan, up: None, since: now, pids: BTreeSet::new(), pending: None }
            }));
        }
        self.planned = true;
    }

    /// All processes that there are.
    pub fn scan(&mut self, found: &[(i32, Facts)], now: Instant, actions: &mut Vec<Action>) {
        for process in &mut self.processes {
            let matching = found.iter().filter(|(_, facts)| process.matches(facts));
            process.pids = matching.map(|(pid, _)| *pid).collect();
            process.count(now, actions);
        }
    }

    /// A process is new, or has become another program.
    pub fn changed(&mut self, pid: i32, facts: &Facts, now: Instant, actions: &mut Vec<Action>) {
        for process in &mut self.processes {
            let changed =
                if process.matches(facts) { process.pids.insert(pid) } else { process.pids.remove(&pid) };
            if changed {
                process.count(now, actions);
            }
        }
    }

    /// A process has ended.
    pub fn gone(&mut self, pid: i32, now: Instant, actions: &mut Vec<Action>) {
        for process in &mut self.processes {
            if process.pids.remove(&pid) {
                process.count(now, actions);
            }
        }
    }

    /// Lets changes count whose delay is over.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for process in &mut self.processes {
            if process.pending.is_some_and(|at| at <= now) {
                process.turn(now, actions);
            }
        }
    }

    /// When [`Processes::handle_timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.processes.iter().filter_map(|process| process.pending).min()
    }

    /// In the order of the plan.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Must the command lines be known, not only the names?
    pub fn want_words(&self) -> bool {
        self.processes.iter().any(|process| process.plan.matching != ProcessMatch::Name)
    }
}

impl Process {
    /// How many there are.
    pub fn found(&self) -> usize {
        self.pids.len()
    }

    /// What is wanted and what there is, in words.
    pub fn words(&self) -> String {
        let TrackedProcess { quorum, quorum_max, .. } = self.plan;
        let wanted = match quorum_max {
            u32::MAX => format!("at least {quorum}"),
            most => format!("{quorum} to {most}"),
        };
        format!("{} running, {wanted} wanted", self.found())
    }

    fn matches(&self, facts: &Facts) -> bool {
        let wanted = self.plan.process.as_bytes();
        let Some((first, rest)) = facts.words.split_first() else {
            return self.plan.matching == ProcessMatch::Name && facts.name == shortened(wanted);
        };
        let is_first = first == wanted;
        let begins = |parameters: &[String]| {
            rest.len() >= parameters.len()
                && parameters.iter().zip(rest).all(|(want, have)| want.as_bytes() == have)
        };
        match &self.plan.matching {
            ProcessMatch::Name => facts.name == shortened(wanted),
            ProcessMatch::FirstWord => is_first,
            ProcessMatch::Exact(parameters) => {
                is_first && rest.len() == parameters.len() && begins(parameters)
            }
            ProcessMatch::Initial(parameters) => is_first && begins(parameters),
            ProcessMatch::Partial(parameters) => match parameters.split_last() {
                None => is_first,
                Some((last, before)) => {
                    let part = rest.get(before.len()).is_some_and(|have| have.starts_with(last.as_bytes()));
                    is_first && begins(before) && part
                }
            },
        }
    }

    fn is_enough(&self) -> bool {
        let found = u32::try_from(self.found()).unwrap_or(u32::MAX);
        (self.plan.quorum..=self.plan.quorum_max).contains(&found)
    }

    /// The number of processes may have changed.
    fn count(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let enough = self.is_enough();
        if self.up == Some(enough) {
            self.pending = None;
        } else if self.up.is_none() {
            self.turn(now, actions);
        } else {
            let delay = if enough { self.plan.fork_delay } else { self.plan.terminate_delay };
            let at = *self.pending.get_or_insert(now + delay);
            if at <= now {
                self.turn(now, actions);
            }
        }
    }

    fn turn(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let up = self.is_enough();
        self.pending = None;
        self.since = now;
        self.up = Some(up);
        let (level, sample) = match up {
            true => (LogLevel::Info, Sample::Up),
            false => (LogLevel::Warning, Sample::Down),
        };
        let state = if up { "up" } else { "down" };
        let line = format!("vrrp_track_process {} is {state}: {}", self.plan.name, self.words());
        actions.push(Action::Log(level, line));
        actions.push(Action::Sample(key(&self.plan.name), Some(sample)));
    }
}

fn shortened(name: &[u8]) -> &[u8] {
    &name[..name.len().min(NAME_OCTETS)] // at most its length
}

fn key(name: &str) -> TrackerKey {
    TrackerKey { kind: TrackerKind::Process, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn plan(matching: ProcessMatch) -> TrackedProcess {
        TrackedProcess {
            name: "p".to_owned(),
            process: "/bin/a".to_owned(),
            matching,
            quorum: 1,
            quorum_max: u32::MAX,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        }
    }

    fn facts(line: &str) -> Facts {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        Facts { name: b"a".to_vec(), words }
    }

    fn watching(plan: TrackedProcess) -> Processes {
        let mut core = Processes::default();
        core.plan(vec![plan], Instant::ZERO, &mut Vec::new());
        core
    }

    /// `U`, `D` or nothing.
    fn told(actions: Vec<Action>) -> String {
        let letters = actions.into_iter().filter_map(|action| match action {
            Action::Sample(_, Some(Sample::Up)) => Some('U'),
            Action::Sample(_, Some(_)) => Some('D'),
            Action::Sample(_, None) => Some('?'),
            Action::Log(..) => None,
        });
        letters.collect()
    }

    #[test]
    fn processes_are_recognised_by_name_or_command_line() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let table = [
            (ProcessMatch::FirstWord, "/bin/a", true),
            (ProcessMatch::FirstWord, "/bin/a -x", true),
            (ProcessMatch::FirstWord, "/bin/b", false),
            (ProcessMatch::Exact(words(&[])), "/bin/a", true),
            (ProcessMatch::Exact(words(&[])), "/bin/a -x", false),
            (ProcessMatch::Exact(words(&["-x", "y"])), "/bin/a -x y", true),
            (ProcessMatch::Exact(words(&["-x"])), "/bin/a -x y", false),
            (ProcessMatch::Initial(words(&["-x"])), "/bin/a -x y", true),
            (ProcessMatch::Initial(words(&["-x", "y"])), "/bin/a -x", false),
            (ProcessMatch::Partial(words(&["-x", "ya"])), "/bin/a -x yard", true),
            (ProcessMatch::Partial(words(&["-x", "ya"])), "/bin/a -x y", false),
            (ProcessMatch::Partial(words(&[])), "/bin/a", true),
            (ProcessMatch::Name, "/bin/a", false),
        ];
        for (matching, line, expected) in table {
            let core = watching(plan(matching.clone()));
            assert_eq!(core.processes()[0].matches(&facts(line)), expected, "{matching:?} {line}");
        }
        let named =
            TrackedProcess { process: "a-name-that-is-too-long".to_owned(), ..plan(ProcessMatch::Name) };
        let core = watching(named);
        let cut = Facts { name: b"a-name-that-is-".to_vec(), words: Vec::new() };
        assert!(core.processes()[0].matches(&cut));
    }

    #[test]
    fn quorum_and_quorum_max_decide() {
        let mut core = watching(TrackedProcess { quorum: 2, quorum_max: 3, ..plan(ProcessMatch::FirstWord) });
        let mut actions = Vec::new();
        core.scan(&[(1, facts("/bin/a")), (9, facts("/bin/b"))], Instant::ZERO, &mut actions);
        for pid in 2..=4 {
            core.changed(pid, &facts("/bin/a"), Instant::ZERO, &mut actions);
        }
        assert_eq!(told(std::mem::take(&mut actions)), "DUD");
        core.gone(1, Instant::ZERO, &mut actions);
        core.gone(77, Instant::ZERO, &mut actions);
        assert_eq!(told(std::mem::take(&mut actions)), "U");
        assert_eq!(core.processes()[0].words(), "3 running, 2 to 3 wanted");
        // It becomes another program.
        core.changed(2, &facts("/bin/b"), Instant::ZERO, &mut actions);
        core.changed(3, &facts("/bin/b"), Instant::ZERO, &mut actions);
        assert_eq!(told(actions), "D");
    }

    #[test]
    fn a_change_counts_after_its_delay_unless_it_is_undone() {
        let second = |n| Instant::ZERO + Duration::from_secs(n);
        let (fork_delay, terminate_delay) = (Duration::from_secs(3), Duration::from_secs(5));
        let mut core =
            watching(TrackedProcess { fork_delay, terminate_delay, ..plan(ProcessMatch::FirstWord) });
        let mut actions = Vec::new();
        core.scan(&[(1, facts("/bin/a"))], second(0), &mut actions);
        core.gone(1, second(1), &mut actions);
        assert_eq!(core.next_timeout(), Some(second(6)));
        core.changed(2, &facts("/bin/a"), second(4), &mut actions);
        assert_eq!((core.next_timeout(), told(std::mem::take(&mut actions)).as_str()), (None, "U"));
        core.gone(2, second(10), &mut actions);
        core.handle_timeout(second(14), &mut actions);
        assert_eq!(told(std::mem::take(&mut actions)), "");
        core.handle_timeout(second(15), &mut actions);
        assert_eq!(told(std::mem::take(&mut actions)), "D");
        core.changed(3, &facts("/bin/a"), second(20), &mut actions);
        core.handle_timeout(second(23), &mut actions);
        assert_eq!(told(actions), "U");
    }

    #[test]
    fn a_reload_keeps_what_is_the_same() {
        let mut core = watching(plan(ProcessMatch::FirstWord));
        let mut actions = Vec::new();
        core.scan(&[], Instant::ZERO, &mut actions);
        core.plan(vec![plan(ProcessMatch::FirstWord)], Instant::ZERO, &mut actions);
        core.scan(&[], Instant::ZERO, &mut actions);
        assert_eq!(told(std::mem::take(&mut actions)), "D");
        core.plan(vec![plan(ProcessMatch::Name)], Instant::ZERO, &mut actions);
        core.scan(&[], Instant::ZERO, &mut actions);
        assert_eq!(told(actions), "?D");
    }
}
