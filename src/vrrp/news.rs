//! News for those outside who asked to be told: notify scripts, FIFOs, mail. A router's own changes of state are
//! [`Transition`](super::Transition)s.

use super::event::{RouterId, State};
use crate::net::Priority;
use crate::plan::vrrp::RouterKey;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Something worth telling that is no change of a router's state. In the order in which it happened, between the
/// transitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// A sync group changed state: after the transitions of its members.
    Group(GroupTransition),
    /// The effective priority of a Master or Backup changed (keepalived's `MASTER_PRIORITY`, `BACKUP_PRIORITY`).
    Priority(PriorityNews),
    /// A Master heard a weaker one (keepalived's `MASTER_RX_LOWER_PRI`): at most twice in an interval.
    WeakerHeard(WeakerHeard),
}

/// A sync group changed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTransition {
    /// The group's name.
    pub name: String,
    /// From: `Initialize` before its first state.
    pub from: State,
    /// To: `Initialize` when the daemon ends or the group left the configuration.
    pub to: State,
    /// Why, a sentence that names the member that began it.
    pub cause: String,
    /// When.
    pub at: Instant,
    /// A reload made the group or took it away, and its members go on as they were: kept in the journal, told to no
    /// script, FIFO or mailbox (keepalived 2.2.7 says nothing of it).
    pub quiet: bool,
}

/// An effective priority changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityNews {
    /// Which router.
    pub router: RouterId,
    /// Its identity.
    pub key: RouterKey,
    /// Its name.
    pub name: String,
    /// Its state, `Master` or `Backup`.
    pub state: State,
    /// Before.
    pub from: Priority,
    /// Now.
    pub priority: Priority,
}

/// A weaker Master speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeakerHeard {
    /// Which router heard it.
    pub router: RouterId,
    /// Its identity.
    pub key: RouterKey,
    /// Its name.
    pub name: String,
    /// Its own effective priority.
    pub priority: Priority,
    /// Who spoke.
    pub by: IpAddr,
    /// With which priority.
    pub theirs: Priority,
}
