//! What `holdfastctl` asks of the supervisor and what it hears: one framed request and one framed answer per
//! connection of a Unix stream socket.

use crate::lvs::traffic::orders::Order;
use crate::plan::Generation;
use crate::report::{CheckNowReport, ChecksReport, ServerFilter, Status, TrafficOutcome};
use crate::vrrp::Upkeep;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the supervisor listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/holdfast.sock";

/// The largest request, in octets: requests are words, and nobody may make the supervisor collect more.
pub const MAX_REQUEST: usize = 4096;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What is the state of everything?
    Status,
    /// Read the configuration again; the answer comes when every role has it, or when it was refused.
    Reload,
    /// Change traffic by hand; the answer comes when it is in force and kept.
    Traffic(Order),
    /// The checks of these servers, one by one.
    Checks(ServerFilter),
    /// Check these servers now; the answer comes when their conversations have ended.
    CheckNow(ServerFilter),
    /// End, handing over.
    Stop {
        /// Leave addresses and the IPVS table instead, for a daemon that is started at once.
        keep: bool,
    },
    /// Become this program, by resume.
    Upgrade {
        /// An absolute path.
        binary: PathBuf,
    },
    /// Hand these instances over once (all, if none is named).
    Failover {
        /// Their names.
        instances: Vec<String>,
        /// How long the successor is left in peace, in seconds.
        hold_seconds: u32,
    },
    /// Put an instance (or all) into maintenance, or take it out.
    Maintenance {
        /// Its name; all when `None`.
        instance: Option<String>,
        /// How it rests; out of maintenance when `None`.
        upkeep: Option<Upkeep>,
    },
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`].
    Reload(ReloadOutcome),
    /// To [`Request::Traffic`].
    Traffic(Box<TrafficOutcome>),
    /// To [`Request::Checks`].
    Checks(Box<ChecksReport>),
    /// To [`Request::CheckNow`].
    CheckedNow(Box<CheckNowReport>),
    /// To the other orders: begun, and for which instances.
    Begun(Vec<String>),
    /// The request cannot be served, and why.
    Refused(String),
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOutcome {
    /// Is the new configuration in force? If not, the old one goes on untouched.
    pub accepted: bool,
    /// The configuration in force now.
    pub generation: Generation,
    /// What the compiler had to say, one rendered diagnostic each, in the order of the file.
    pub diagnostics: Vec<String>,
    /// How many of them are errors of the file.
    pub errors: usize,
    /// How many are scripts that cannot be run: errors that refuse nothing.
    #[serde(default)]
    pub cannot_run: usize,
    /// What went wrong beside the configuration's text: the compiler died, a role did not report in time.
    pub trouble: Vec<String>,
}
