//! Messages between the supervisor and its roles: one enum per direction per role.
//!
//! A frame is a big-endian u32 length and that many octets of JSON, packed where it is a plan. A frame over [`MAX_FRAME`] or one that does
//! not parse ends the link: the peer is dropped and restarted.

pub mod control;
pub mod frame;
pub mod kept;
pub mod news;
pub mod pack;
pub mod record;

pub use news::News;

use crate::check::held::HeldVerdict;
use crate::lvs::traffic::Overrides;
use crate::lvs::traffic::orders::Order;
use crate::plan::bfd::BfdPlan;
use crate::plan::lvs::LvsPlan;
use crate::plan::process::ProcessPlan;
use crate::plan::scripts::{RunOrder, RunReport, ScriptsPlan};
use crate::plan::snmp::SnmpPlan;
use crate::plan::track::{Sample, TrackerKey};
use crate::plan::vrrp::VrrpPlan;
use crate::plan::{Generation, Plans};
use crate::report::{
    BfdStatus, CheckNowReport, CheckerStatus, ChecksReport, ScriptsStatus, ServerFilter, SnmpStatus,
    TrafficOutcome, VirtualServerState, VrrpStatus,
};
use crate::vrrp::{ClaimId, ClaimOrder, Maintenance, RouterId, Transition};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The largest frame, in octets: a plan with 10,000 services of 100 servers fits with room.
pub const MAX_FRAME: usize = 256 << 20;

/// Supervisor to vrrp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToVrrp {
    /// Be scheduled like this from now on.
    Process(ProcessPlan),
    /// Do this from now on.
    Plan(VrrpPlan),
    /// Something about a tracked thing changed (from the scripts or the bfd role; `None` when that role died).
    Tracker(TrackerKey, Option<Sample>),
    /// Why a tracked thing is as the next [`ToVrrp::Tracker`] says, a few words ("exit status 1"); sent before it, if at all.
    TrackerWords(TrackerKey, String),
    /// Send a [`FromVrrp::Snapshot`] with this number.
    Snapshot(u64),
    /// Send a [`FromVrrp::Alive`] with this number.
    AreYouThere(u64),
    /// A claim script that a [`FromVrrp::Claim`] asked for has ended, or could not be run.
    Claimed(Claimed),
    /// Masters among these instances (all, if none is named) hand over, and leave their successors in peace for a while.
    Failover {
        /// Names.
        routers: Vec<String>,
        /// How long.
        hold: Duration,
    },
    /// This, and nothing else, is in maintenance from now on. Comes before the plan if anything is.
    Maintenance(Maintenance),
    /// End; give the addresses up only with `release`.
    Stop {
        /// Give them up?
        release: bool,
    },
}

/// Vrrp to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromVrrp {
    /// Said first, and only if it is so: the kernel restricts which files this process may open (Landlock), by rules of this
    /// version.
    Landlock(u32),
    /// The plan of this generation is in force.
    Applied(Generation),
    /// State on request.
    Snapshot(u64, VrrpStatus),
    /// Heartbeat answer.
    Alive(u64),
    /// A router changed state.
    Transition(Transition),
    /// Something else that notify scripts and FIFOs tell, in its order between the transitions.
    News(crate::vrrp::News),
    /// Have the scripts role run a claim script; answered with [`ToVrrp::Claimed`].
    Claim(ClaimOrder),
    /// End that attempt.
    Unclaim(ClaimId),
    /// Stopped; the process exits next.
    Stopped,
}

/// Supervisor to checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToChecker {
    /// Be scheduled like this from now on.
    Process(ProcessPlan),
    /// Do this from now on.
    Plan(LvsPlan),
    /// What a checker listens to changed (a tracked file, a BFD session).
    Tracker(TrackerKey, Option<Sample>),
    /// A program that a checker wanted run has ended.
    Ran(RunReport),
    /// Comes before the first plan when this process follows one that died: what its checks believed.
    Held(Vec<HeldVerdict>),
    /// Is the virtual router that `lvs_sync_daemon` names master? Comes before the plan when it is.
    Master(bool),
    /// Comes before the first plan: what was said of traffic by hand, and still holds.
    Overrides(Overrides),
    /// Change traffic by hand; answered with [`FromChecker::Traffic`] and this number.
    Traffic(u64, Order),
    /// Send a [`FromChecker::Checks`] with this number, of these servers.
    Checks(u64, ServerFilter),
    /// Check these servers now, and send a [`FromChecker::CheckedNow`] with this number.
    CheckNow(u64, ServerFilter),
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
    /// Said first, and only if it is so: the kernel restricts which files this process may open (Landlock), by rules of this
    /// version.
    Landlock(u32),
    /// A server or a quorum changed, for those who asked to be told.
    News(News),
    /// Have a program run for a checker; answered with [`ToChecker::Ran`].
    Run(RunOrder),
    /// What checks believe from now on, to be told to the process that follows this one.
    Verdicts {
        /// Is what was held before to be forgotten?
        all: bool,
        /// One entry for each check.
        list: Vec<HeldVerdict>,
    },
    /// What is said of traffic by hand has changed: this is all of it, to be kept.
    Overrides(Overrides),
    /// What became of an order, or why it is refused; changed overrides come before it.
    Traffic(u64, Result<Box<TrafficOutcome>, String>),
    /// The plan of this generation is in force.
    Applied(Generation),
    /// State on request.
    Snapshot(u64, CheckerStatus),
    /// The checks one by one, on request.
    Checks(u64, ChecksReport),
    /// The conversations of checks that were made on request.
    CheckedNow(u64, CheckNowReport),
    /// Heartbeat answer.
    Alive(u64),
    /// Stopped; the process exits next.
    Stopped,
}

/// Supervisor to scripts.
#[allow(clippy::large_enum_variant, reason = "they are decoded and consumed one at a time")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToScripts {
    /// Comes before the first plan when this process follows one that died: what was known of trackers, and still holds.
    Held(Vec<(TrackerKey, Sample)>),
    /// Do this from now on.
    Plan(ScriptsPlan),
    /// Something happened that scripts, FIFOs or mail may have to tell.
    News(News),
    /// Run the claim script of that instance; answered with [`FromScripts::Claimed`].
    Claim(ClaimOrder),
    /// End that attempt, or every one when the vrrp role that wanted them is gone; not answered.
    Unclaim(Option<ClaimId>),
    /// Run a program for a checker; answered with [`FromScripts::Ran`].
    Run(RunOrder),
    /// Send a [`FromScripts::Snapshot`] with this number.
    Snapshot(u64),
    /// Send a [`FromScripts::Alive`] with this number.
    AreYouThere(u64),
    /// End, once what was told is under way.
    Stop,
}

/// Scripts to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromScripts {
    /// A program that a checker wanted run has ended.
    Ran(RunReport),
    /// The plan of this generation is in force.
    Applied(Generation),
    /// State on request.
    Snapshot(u64, ScriptsStatus),
    /// Heartbeat answer.
    Alive(u64),
    /// A tracker's sample changed; `None`: nothing is known of it any more.
    Tracker(TrackerKey, Option<Sample>),
    /// Why a tracker is as the next [`FromScripts::Tracker`] says, a few words ("exit status 1"); empty when there is nothing
    /// to add. Sent before it.
    TrackerWords(TrackerKey, String),
    /// A claim script has ended, or could not be run.
    Claimed(Claimed),
    /// Stopped; the process exits next.
    Stopped,
}

/// How an attempt of a claim script ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Whose.
    pub router: RouterId,
    /// Which attempt.
    pub claim: ClaimId,
    /// `Ok` for exit status 0, else what went wrong, a few words.
    pub result: Result<(), String>,
}

/// Supervisor to bfd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToBfd {
    /// Be scheduled like this from now on.
    Process(ProcessPlan),
    /// Do this from now on.
    Plan(BfdPlan),
    /// Send a [`FromBfd::Snapshot`] with this number.
    Snapshot(u64),
    /// Send a [`FromBfd::Alive`] with this number.
    AreYouThere(u64),
    /// End.
    Stop,
}

/// Bfd to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromBfd {
    /// Said first, and only if it is so: the kernel restricts which files this process may open (Landlock), by rules of this
    /// version.
    Landlock(u32),
    /// The plan of this generation is in force.
    Applied(Generation),
    /// State on request.
    Snapshot(u64, BfdStatus),
    /// Heartbeat answer.
    Alive(u64),
    /// A session's sample changed; `None`: nothing is known of it any more.
    Tracker(TrackerKey, Option<Sample>),
    /// Stopped; the process exits next.
    Stopped,
}

/// Supervisor to snmp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSnmp {
    /// Do this from now on.
    Plan(SnmpPlan),
    /// The answer to a [`FromSnmp::Servers`]: what the checker role says; `None` when it does not run or does not answer.
    Servers(Option<Vec<VirtualServerState>>),
    /// A server or a quorum changed; told only if the plan has traps.
    News(News),
    /// Send a [`FromSnmp::Snapshot`] with this number.
    Snapshot(u64),
    /// Send a [`FromSnmp::Alive`] with this number.
    AreYouThere(u64),
    /// End.
    Stop,
}

/// Snmp to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromSnmp {
    /// Said first, and only if it is so: the kernel restricts which files this process may open (Landlock), by rules of this
    /// version.
    Landlock(u32),
    /// The plan of this generation is in force.
    Applied(Generation),
    /// Wants to know how the servers are: answered with [`ToSnmp::Servers`]. Asked again before that, it is answered once.
    Servers,
    /// State on request.
    Snapshot(u64, SnmpStatus),
    /// Heartbeat answer.
    Alive(u64),
    /// Stopped; the process exits next.
    Stopped,
}

/// What the configuration says: [`kept::CompileAnswer`] on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The plans, when the configuration can be run.
    pub plans: Option<Plans>,
    /// Exit status that `holdfast -t` gives for it (0, 2, 4, 5, 6) and, when `plans` is `None`, the daemon at start.
    pub status: u8,
    /// All diagnostics, rendered for people, one string each, in the order of the file.
    pub diagnostics: Vec<String>,
    /// How many of them are errors of the file.
    pub errors: usize,
    /// How many are scripts that cannot be run, which are errors too, and refuse no reload.
    #[serde(default)]
    pub cannot_run: usize,
}
