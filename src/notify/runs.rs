//! When a notify script may start: in order for each subject, and no script waits for that of another subject.

use super::Subject;
use crate::plan::scripts::CommandPlan;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long the scripts of one event may hold up those of the next event of the same subject. keepalived never waits, so
/// scripts that stay in the foreground for as long as a state lasts are in use; a script that only is slow has ended by
/// then, and the next one finds its work done.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Scripts that run at once, those aside that are older than [`PATIENCE`]: enough for a node full of routers that all
/// change state, few enough for a small machine.
pub const MAX_YOUNG: usize = 64;

/// Scripts that run at once, whatever their age: beyond it something starts scripts that never end.
pub const MAX_ALIVE: usize = 1024;

/// Events of one subject that wait. The oldest go when there are more: the last state is the one that must be told.
pub const MAX_WAITING: usize = 16;

/// Names a run. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// A script that is to be started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its name from now on; tell [`Runs::ended`].
    pub run: RunId,
    /// Whom it is about.
    pub subject: Subject,
    /// What to run.
    pub command: CommandPlan,
    /// Is an earlier script of this subject still running?
    pub beside: bool,
}

/// The scripts that wait and that run.
#[derive(Debug, Default)]
pub struct Runs {
    lines: BTreeMap<Subject, Line>,
    /// Subjects with something that may start.
    ready: VecDeque<Subject>,
    alive: BTreeMap<RunId, Alive>,
    /// Runs younger than [`PATIENCE`], by the moment at which they no longer are.
    young: BTreeSet<(Instant, RunId)>,
    next: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Alive {
    subject: Subject,
    until: Instant,
}

/// What waits for one subject, each event's commands together.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Vec<CommandPlan>>,
    /// Commands of the event that has begun, not started yet.
    starting: VecDeque<CommandPlan>,
    /// Its runs that hold the next event up.
    young: usize,
    /// All its runs.
    alive: usize,
    /// Does it stand in `ready`?
    ready: bool,
}

impl Runs {
    /// Adds the commands of an event. Gives the number of events that are dropped for it.
    pub fn push(&mut self, subject: Subject, commands: Vec<CommandPlan>) -> u64 {
        if commands.is_empty() {
            return 0;
        }
        let line = self.lines.entry(subject.clone()).or_default();
        line.waiting.push_back(commands);
        let dropped = u64::from(line.waiting.len() > MAX_WAITING);
        if dropped > 0 {
            line.waiting.pop_front();
        }
        self.dropped += dropped;
        self.make_ready(subject);
        dropped
    }

    /// The next script to start; call it until there is none.
    pub fn start(&mut self, now: Instant) -> Option<Start> {
        if self.young.len() >= MAX_YOUNG || self.alive.len() >= MAX_ALIVE {
            return None;
        }
        let subject = self.ready.front()?.clone();
        let line = self.lines.get_mut(&subject).expect("a subject that is ready has a line");
        if line.starting.is_empty() {
            line.starting = line.waiting.pop_front().unwrap_or_default().into();
        }
        let command = line.starting.pop_front().expect("a subject that is ready has a command");
        let beside = line.alive > line.young;
        line.young += 1;
        line.alive += 1;
        if line.starting.is_empty() {
            line.ready = false;
            self.ready.pop_front();
        }
        let run = RunId(self.next);
        self.next += 1;
        let until = now + PATIENCE;
        self.young.insert((until, run));
        self.alive.insert(run, Alive { subject: subject.clone(), until });
        Some(Start { run, subject, command, beside })
    }

    /// A script has ended, or could not be started.
    pub fn ended(&mut self, run: RunId) {
        let Some(Alive { subject, until }) = self.alive.remove(&run) else { return };
        let was_young = self.young.remove(&(until, run));
        if let Some(line) = self.lines.get_mut(&subject) {
            line.alive = line.alive.saturating_sub(1);
            line.young -= usize::from(was_young && line.young > 0);
        }
        self.make_ready(subject);
    }

    /// Lets those start that have waited long enough.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((until, run)) = self.young.first().copied()
            && until <= now
        {
            self.young.pop_first();
            let Some(alive) = self.alive.get(&run) else { continue };
            let subject = alive.subject.clone();
            if let Some(line) = self.lines.get_mut(&subject) {
                line.young = line.young.saturating_sub(1);
            }
            self.make_ready(subject);
        }
    }

    /// When [`Runs::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.young.first().map(|(until, _)| *until)
    }

    /// Is a script running or waiting that is not older than [`PATIENCE`]?
    pub fn busy(&self) -> bool {
        !self.young.is_empty() || !self.ready.is_empty()
    }

    /// Scripts that run.
    pub fn alive(&self) -> usize {
        self.alive.len()
    }

    /// Scripts that wait.
    pub fn waiting(&self) -> usize {
        let of = |line: &Line| line.starting.len() + line.waiting.iter().map(Vec::len).sum::<usize>();
        self.lines.values().map(of).sum()
    }

    /// Events whose scripts were not run, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Puts a subject among those that may start something, if it may; forgets it if there is nothing left of it.
    fn make_ready(&mut self, subject: Subject) {
        let Some(line) = self.lines.get_mut(&subject) else { return };
        if line.young > 0 || line.ready {
            return;
        }
        if line.waiting.is_empty() {
            if line.alive == 0 {
                self.lines.remove(&subject);
            }
        } else {
            line.ready = true;
            self.ready.push_back(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(word: &str) -> CommandPlan {
        CommandPlan { words: vec![word.to_owned()], ..CommandPlan::default() }
    }

    fn subject(name: &str) -> Subject {
        Subject::Instance(name.to_owned())
    }

    fn push(runs: &mut Runs, name: &str, words: &[&str]) -> u64 {
        runs.push(subject(name), words.iter().map(|word| command(word)).collect())
    }

    /// What starts at `seconds`, by its word.
    fn started(runs: &mut Runs, seconds: u64) -> Vec<(RunId, String)> {
        let now = Instant::ZERO + Duration::from_secs(seconds);
        runs.handle_timeout(now);
        std::iter::from_fn(|| runs.start(now))
            .map(|start| (start.run, start.command.words.concat()))
            .collect()
    }

    fn words(started: &[(RunId, String)]) -> Vec<&str> {
        started.iter().map(|(_, word)| word.as_str()).collect()
    }

    #[test]
    fn the_scripts_of_one_event_run_beside_each_other_and_those_of_the_next_after_them() {
        let mut runs = Runs::default();
        push(&mut runs, "A", &["master", "any1"]);
        push(&mut runs, "A", &["backup", "any2"]);
        push(&mut runs, "B", &["other"]);
        let first = started(&mut runs, 0);
        assert_eq!(words(&first), ["master", "any1", "other"]);
        runs.ended(first[0].0);
        assert!(started(&mut runs, 1).is_empty());
        runs.ended(first[1].0);
        let second = started(&mut runs, 2);
        assert_eq!(words(&second), ["backup", "any2"]);
        for (run, _) in first.iter().chain(&second) {
            runs.ended(*run);
        }
        assert!(!runs.busy() && runs.lines.is_empty() && runs.next_timeout().is_none(), "{runs:?}");
    }

    #[test]
    fn a_script_that_hangs_delays_its_own_subject_for_a_time_and_nobody_else() {
        let mut runs = Runs::default();
        push(&mut runs, "A", &["hangs"]);
        let hanging = started(&mut runs, 0);
        push(&mut runs, "A", &["next"]);
        push(&mut runs, "B", &["other"]);
        assert_eq!(words(&started(&mut runs, 1)), ["other"]);
        assert_eq!(runs.next_timeout(), Some(Instant::ZERO + PATIENCE));
        assert_eq!(words(&started(&mut runs, 10)), ["next"]);
        push(&mut runs, "A", &["third"]);
        assert!(started(&mut runs, 11).is_empty(), "the second one is young");
        runs.ended(hanging[0].0);
        assert!(started(&mut runs, 12).is_empty(), "the second one still is");
        assert_eq!(words(&started(&mut runs, 20)), ["third"]);
    }

    #[test]
    fn of_many_events_the_last_ones_are_told() {
        let mut runs = Runs::default();
        push(&mut runs, "A", &["hangs"]);
        let hanging = started(&mut runs, 0);
        let dropped: u64 = (0..20).map(|number| push(&mut runs, "A", &[&number.to_string()])).sum();
        assert_eq!((dropped, runs.dropped(), runs.waiting()), (4, 4, 16));
        runs.ended(hanging[0].0);
        assert_eq!(words(&started(&mut runs, 1)), ["4"]);
    }

    #[test]
    fn no_more_scripts_run_at_once_than_the_machine_bears() {
        let mut runs = Runs::default();
        for number in 0..MAX_YOUNG + 1 {
            push(&mut runs, &number.to_string(), &["script"]);
        }
        let first = started(&mut runs, 0);
        assert_eq!(first.len(), MAX_YOUNG);
        runs.ended(first[0].0);
        assert_eq!(started(&mut runs, 1).len(), 1);
    }
}
