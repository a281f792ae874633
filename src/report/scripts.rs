//! What the scripts role knows.

use crate::time::Instant;
use crate::track::process::{Process, Processes};
use crate::track::scripts::{Belief, Script, Scripts};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The scripts role's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptsStatus {
    /// Tracked scripts, files and processes, in the order of the file.
    pub trackers: Vec<TrackerStatus>,
    /// `script_runs`, `script_timeouts`, `news`, ... since the role started; sorted by name.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// One tracked script, file or process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// `script`, `file` or `process`.
    pub kind: String,
    /// The name of its block.
    pub name: String,
    /// `up`, `down`, `unknown` (no result yet), `cannot run`, or the number that a file holds.
    pub state: String,
    /// Seconds in that state.
    pub since_seconds: u64,
    /// The last result in words.
    pub last_result: Option<String>,
    /// How late the last run started, in milliseconds, when that is worth a word.
    #[serde(default)]
    pub late_ms: Option<u64>,
    /// What the last failing run printed, its first 4 KiB.
    #[serde(default)]
    pub output: Option<String>,
    /// Does a run of it go on now?
    #[serde(default)]
    pub running: bool,
}

/// What the cores know at `now`.
pub fn snapshot(scripts: &Scripts, processes: &Processes, now: Instant) -> ScriptsStatus {
    let counted = scripts.counters();
    let counters = [
        ("script_runs", counted.runs),
        ("script_failures", counted.failures),
        ("script_timeouts", counted.timeouts),
        ("script_starts_skipped", counted.skipped),
        ("script_starts_late", counted.late),
        (
            "scripts_cannot_run",
            scripts.scripts().iter().filter(|s| s.belief == Belief::CannotRun).count() as u64,
        ),
    ];
    ScriptsStatus {
        trackers: scripts
            .scripts()
            .iter()
            .map(|script| script_status(script, now))
            .chain(processes.processes().iter().map(|process| process_status(process, now)))
            .collect(),
        counters: counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

/// A start that is later than this is worth a word.
const NOTABLE: Duration = Duration::from_millis(100);

fn script_status(script: &Script, now: Instant) -> TrackerStatus {
    let state = match script.belief {
        Belief::Unknown => "unknown",
        Belief::Up => "up",
        Belief::Down => "down",
        Belief::CannotRun => "cannot run",
    };
    let late = Some(script.late).filter(|late| *late >= NOTABLE);
    TrackerStatus {
        kind: "script".to_owned(),
        name: script.plan.name.clone(),
        state: state.to_owned(),
        since_seconds: now.saturating_duration_since(script.since).as_secs(),
        last_result: script.last_result.clone(),
        late_ms: late.and_then(|late| u64::try_from(late.as_millis()).ok()),
        output: script.output.clone(),
        running: script.is_running(),
    }
}

fn process_status(process: &Process, now: Instant) -> TrackerStatus {
    let state = match process.up {
        None => "unknown",
        Some(true) => "up",
        Some(false) => "down",
    };
    TrackerStatus {
        kind: "process".to_owned(),
        name: process.plan.name.clone(),
        state: state.to_owned(),
        since_seconds: now.saturating_duration_since(process.since).as_secs(),
        last_result: Some(process.words()),
        late_ms: None,
        output: None,
        running: false,
    }
}
