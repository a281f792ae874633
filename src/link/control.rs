//! What `holdfastctl` asks of the supervisor and what it hears: one framed request and one framed answer per
//! connection of a Unix stream socket.

use crate::plan::Generation;
use crate::report::{CheckNowReport, ChecksReport, ServerFilter, Status};
use serde::{Deserialize, Serialize};

/// Where the supervisor listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/holdfast.sock";

/// The largest request, in octets: requests are words, and nobody may make the supervisor collect more.
pub const MAX_REQUEST: usize = 4096;

/// A question or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What is the state of everything?
    Status,
    /// Read the configuration again; the answer comes when every role has it, or when it was refused.
    Reload,
    /// The checks of these servers, one by one.
    Checks(ServerFilter),
    /// Check these servers now; the answer comes when their conversations have ended.
    CheckNow(ServerFilter),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`].
    Reload(ReloadOutcome),
    /// To [`Request::Checks`].
    Checks(Box<ChecksReport>),
    /// To [`Request::CheckNow`].
    CheckedNow(Box<CheckNowReport>),
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
    /// How many of them are errors.
    pub errors: usize,
    /// What went wrong beside the configuration's text: the compiler died, a role did not report in time.
    pub trouble: Vec<String>,
}
