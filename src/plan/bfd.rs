//! What the bfd role must do.

use crate::net::AddressFamily;
use crate::plan::Generation;
use crate::plan::track::{TrackerKey, TrackerKind};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// All BFD sessions of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdPlan {
    /// Which configuration this is.
    pub generation: Generation,
    /// The sessions, in the order of the configuration file; names and neighbours are unique.
    pub sessions: Vec<BfdSessionPlan>,
}

/// One `bfd_instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSessionPlan {
    /// The instance's name: what trackers and checkers call it.
    pub name: String,
    /// The other end.
    pub neighbor: IpAddr,
    /// Address of this end, of the neighbour's family; the kernel chooses when `None`.
    pub source: Option<IpAddr>,
    /// Required Min RX Interval (RFC 5880 6.8.1), at least 1 ms.
    pub min_rx: Duration,
    /// Desired Min TX Interval once the session is up, at least 1 ms.
    pub min_tx: Duration,
    /// Desired Min TX Interval while it is not up, at least 1 s (RFC 5880 6.8.3).
    pub idle_tx: Duration,
    /// Detect Mult: packets that may be missed, 1 to 255.
    pub multiplier: u8,
    /// Say nothing until the neighbour has spoken (RFC 5880 6.1)?
    pub passive: bool,
    /// TTL or hop limit of what is sent.
    pub ttl: u8,
    /// The lowest TTL or hop limit that is heard; 0 hears every packet.
    pub least_ttl: u8,
    /// Port 4784 (RFC 5883) instead of 3784 (RFC 5881)?
    pub multihop: bool,
    /// Do the virtual routers hear of the session's state?
    pub to_vrrp: bool,
    /// Do the checkers?
    pub to_checker: bool,
}

impl BfdSessionPlan {
    /// A session with keepalived's defaults.
    pub fn new(name: String, neighbor: IpAddr) -> BfdSessionPlan {
        BfdSessionPlan {
            name,
            neighbor,
            source: None,
            min_rx: Duration::from_millis(10),
            min_tx: Duration::from_millis(10),
            idle_tx: Duration::from_secs(1),
            multiplier: 5,
            passive: false,
            ttl: 255,
            least_ttl: default_ttl(AddressFamily::of(neighbor)),
            multihop: false,
            to_vrrp: true,
            to_checker: true,
        }
    }

    /// What trackers call it.
    pub fn tracker(&self) -> TrackerKey {
        TrackerKey { kind: TrackerKind::Bfd, name: self.name.clone() }
    }
}

/// The TTL or hop limit with which keepalived sends, and from which `max_hops` counts down, when the configuration
/// names none.
pub const fn default_ttl(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::V4 => 255,
        AddressFamily::V6 => 64,
    }
}
