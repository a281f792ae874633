//! What the scripts role must do: tracked scripts, files and processes.

use crate::plan::Generation;
use crate::plan::notify::NotifyPlan;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Everything that the scripts role runs or watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptsPlan {
    /// Which configuration this is.
    pub generation: Generation,
    /// `vrrp_script` blocks that are tracked by something.
    pub scripts: Vec<TrackedScript>,
    /// `track_file` blocks that are tracked by something.
    pub files: Vec<TrackedFile>,
    /// `vrrp_track_process` blocks that are tracked by something.
    pub processes: Vec<TrackedProcess>,
    /// What becomes of a tracked script that cannot be run.
    pub unrunnable: Unrunnable,
    /// Who is told of what happens.
    pub notify: Box<NotifyPlan>,
    /// Does a health check run programs?
    pub for_checks: bool,
}

impl ScriptsPlan {
    /// Is there anything to run or to watch?
    pub fn has_work(&self) -> bool {
        let ScriptsPlan { generation: _, scripts, files, processes, unrunnable: _, notify, for_checks } =
            self;
        *for_checks || !scripts.is_empty() || !files.is_empty() || !processes.is_empty() || notify.has_work()
    }
}

/// What a tracked script that cannot be run (missing, not executable, unsafe) means for those who track it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unrunnable {
    /// Nothing: the check is dropped, as in keepalived, and said loudly.
    #[default]
    Dropped,
    /// `unrunnable_script fault`: it counts as a script that fails.
    Fault,
}

/// A `vrrp_script`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedScript {
    /// Its name.
    pub name: String,
    /// What is run; exit status 0 is success.
    pub command: CommandPlan,
    /// From one start to the next; not zero.
    pub interval: Duration,
    /// A run that takes longer is ended and has failed; not zero.
    pub timeout: Duration,
    /// Successes in a row that it takes to become up; at least 1.
    pub rise: u32,
    /// Failures in a row that it takes to become down; at least 1.
    pub fall: u32,
    /// `init_fail rise`: at the start of the daemon it counts as failed until `rise` successes; otherwise the first result
    /// decides, as in keepalived with and without `init_fail`.
    pub failed_until_rise: bool,
}

/// A program with its arguments, and whom it runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandPlan {
    /// The program and its arguments; at least the program.
    pub words: Vec<String>,
    /// The account that is written for it, in its own block or in `script_user`.
    pub account: Option<AccountName>,
    /// Whom it runs as, looked up when the configuration was read; as the daemon itself when `None`.
    pub identity: Option<Identity>,
    /// Why it cannot be run, in words, as found when the configuration was read.
    pub cannot_run: Option<String>,
}

/// How a run of a program for a health check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    /// With this exit status.
    Exited(i32),
    /// By a signal; its name.
    Signalled(String),
    /// It took too long and was ended.
    TimedOut,
    /// The program cannot be executed; why.
    NotExecuted(String),
    /// This machine could not start a process; why.
    NoProcess(String),
}

/// A health check's wish to have a program run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrder {
    /// Comes back with the end; never used again by the same asker.
    pub number: u64,
    /// What is run.
    pub command: CommandPlan,
    /// When it is ended.
    pub timeout: Duration,
}

/// The end of a run that was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// The number of its order.
    pub number: u64,
    /// How it ended.
    pub end: RunEnd,
    /// What it printed, at most 4 KiB, where it failed.
    pub output: String,
    /// How long it ran.
    pub took: Duration,
}

/// An account as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountName {
    /// User.
    pub user: String,
    /// Group; the user's own when `None`.
    pub group: Option<String>,
    /// The user's other groups too?
    pub supplementary: bool,
}

/// An account as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A `track_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedFile {
    /// Its name.
    pub name: String,
    /// The file; absolute.
    pub path: String,
    /// `init_file`.
    pub init: Option<InitFile>,
}

/// What is written into a tracked file when it is first watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// The number.
    pub value: i32,
    /// Also where there is a file already?
    pub overwrite: bool,
}

/// A `vrrp_track_process`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedProcess {
    /// The block's name.
    pub name: String,
    /// The process's name, or the first word of its command line.
    pub process: String,
    /// What is compared.
    pub matching: ProcessMatch,
    /// Fewer processes than this are a failure; at least 1 unless `quorum_max` is 0.
    pub quorum: u32,
    /// More than this are one too.
    pub quorum_max: u32,
    /// How long there must be enough processes before it is up.
    pub fork_delay: Duration,
    /// How long there must be too few (or too many) before it is down.
    pub terminate_delay: Duration,
}

/// How a tracked process is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessMatch {
    /// By its name, of which the kernel keeps 15 octets.
    Name,
    /// By the first word of its command line (`full_command`).
    FirstWord,
    /// By the first word of its command line and all its parameters.
    Exact(Vec<String>),
    /// By the first word and parameters of which these are the first (`param_match initial`).
    Initial(Vec<String>),
    /// As `Initial`, the last of them only in its beginning (`param_match partial`).
    Partial(Vec<String>),
}
