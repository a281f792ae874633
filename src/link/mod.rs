//! Messages between the supervisor and its roles: one enum per direction per role.
//!
//! A frame is a big-endian u32 length and that many octets of JSON. A frame over [`MAX_FRAME`] or one that does
//! not parse ends the link: the peer is dropped and restarted.

pub mod control;
pub mod frame;
pub mod news;

use crate::plan::lvs::LvsPlan;
use crate::plan::track::{Sample, TrackerKey};
use crate::plan::vrrp::VrrpPlan;
use crate::plan::{Generation, Plans};
use crate::report::{CheckerStatus, VrrpStatus};
use crate::vrrp::Transition;
use serde::{Deserialize, Serialize};

/// The largest frame, in octets: a plan with 10,000 services of 100 servers fits with room.
pub const MAX_FRAME: usize = 256 << 20;

/// Supervisor to vrrp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToVrrp {
    /// Do this from now on.
    Plan(VrrpPlan),
    /// Something about a tracked thing changed (from the scripts or the bfd role; `None` when that role died).
    Tracker(TrackerKey, Option<Sample>),
    /// Send a [`FromVrrp::Snapshot`] with this number.
    Snapshot(u64),
    /// Send a [`FromVrrp::Alive`] with this number.
    AreYouThere(u64),
    /// End; give the addresses up only with `release`.
    Stop {
        /// Give them up?
        release: bool,
    },
}

/// Vrrp to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromVrrp {
    /// The plan of this generation is in force.
    Applied(Generation),
    /// State on request.
    Snapshot(u64, VrrpStatus),
    /// Heartbeat answer.
    Alive(u64),
    /// A router changed state.
    Transition(Transition),
    /// Stopped; the process exits next.
    Stopped,
}

/// Supervisor to checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToChecker {
    /// Do this from now on.
    Plan(LvsPlan),
    /// Send a [`FromChecker::Snapshot`] with this number.
    Snapshot(u64),
    /// Send a [`FromChecker::Alive`] with this number.
    AreYouThere(u64),
    /// End; remove our services from the kernel only with `release`.
    Stop {
        /// Remove them?
        release: bool,
    },
}

/// Checker to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromChecker {
    /// The plan of this generation is in force.
    Applied(Generation),
    /// State on request.
    Snapshot(u64, CheckerStatus),
    /// Heartbeat answer.
    Alive(u64),
    /// Stopped; the process exits next.
    Stopped,
}

/// What a compile process answers, once, before it exits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The plans, when the configuration can be run.
    pub plans: Option<Plans>,
    /// Exit status that `holdfast -t` gives for it (0, 2, 4, 5, 6) and, when `plans` is `None`, the daemon at start.
    pub status: u8,
    /// All diagnostics, rendered for people, one string each, in the order of the file.
    pub diagnostics: Vec<String>,
    /// How many of them are errors.
    pub errors: usize,
}
