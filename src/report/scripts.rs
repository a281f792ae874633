//! What the scripts role knows.

use serde::{Deserialize, Serialize};

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
}
