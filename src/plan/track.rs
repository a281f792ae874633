//! Things outside the vrrp role whose state moves priorities or is a condition: scripts, files, processes, BFD sessions.

use serde::{Deserialize, Serialize};

/// Names a tracked thing: kinds have names of their own, as in keepalived.conf.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrackerKey {
    /// What it is.
    pub kind: TrackerKind,
    /// The name of its block (`vrrp_script NAME`, `bfd_instance NAME`, ...).
    pub name: String,
}

/// What is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrackerKind {
    /// `vrrp_script`.
    Script,
    /// `track_file`, `vrrp_track_file`.
    File,
    /// `vrrp_track_process`.
    Process,
    /// `bfd_instance`.
    Bfd,
}

impl std::fmt::Display for TrackerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            TrackerKind::Script => "script",
            TrackerKind::File => "file",
            TrackerKind::Process => "process",
            TrackerKind::Bfd => "BFD session",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// What the role that watches a tracked thing says of it, after rise, fall and delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sample {
    /// A script succeeds, a process runs often enough, a session is up.
    Up,
    /// It does not.
    Down,
    /// The number a tracked file holds; the tracker's weight multiplies it.
    Value(i32),
}

/// A line of `track_script`, `track_file`, `track_process` or `track_bfd`, with the weight that counts here (its own, or
/// the one of the block it names).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedObject {
    /// What it names.
    pub tracker: TrackerKey,
    /// -253 to 253; 0 means FAULT when down.
    pub weight: i16,
    /// Up and down change places.
    pub reverse: bool,
}
