//! Health checking, pure: when to probe, what a conversation looks like, what its outcome means.
//!
//! Two small machines. A probe is one conversation without I/O; a checker decides when to probe and
//! turns outcomes into verdicts. The driver (the checker role) owns sockets and deadlines.

use serde::{Deserialize, Serialize};

/// What a checker believes about its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Works.
    Up,
    /// Does not, and why, as a short sentence ("connection refused", "status 503, wanted 200-299").
    Down(String),
}
