//! What the bfd role knows.

use serde::{Deserialize, Serialize};

/// The bfd role's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdStatus {
    /// The sessions in the order of the file.
    pub sessions: Vec<BfdSessionStatus>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSessionStatus {
    /// The name of its block.
    pub name: String,
    /// `AdminDown`, `Down`, `Init` or `Up` (RFC 5880 4.1).
    pub state: String,
    /// Why it is in that state, one sentence.
    pub reason: String,
    /// Seconds in that state.
    pub since_seconds: u64,
}
