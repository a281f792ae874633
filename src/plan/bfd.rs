//! What the bfd role must do.

use crate::plan::Generation;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// All BFD sessions of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdPlan {
    /// Which configuration this is.
    pub generation: Generation,
    /// The sessions, in the order of the file; names are unique.
    pub sessions: Vec<BfdSessionPlan>,
}

/// One `bfd_instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSessionPlan {
    /// Its name.
    pub name: String,
    /// The neighbour's address.
    pub neighbor: IpAddr,
}
