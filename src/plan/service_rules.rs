//! What the packet filter does for virtual servers: marks for groups of addresses, and other sources for FULLNAT.

use crate::net::TransportProtocol;
use crate::plan::lvs::ServiceKey;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// A table of our own in the packet filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRules {
    /// Name of the table (`nftables_ipvs`).
    pub table: String,
    /// Priority of the chain that marks what comes in (`nftables_ipvs_priority`).
    pub priority: i32,
    /// Where the numbers of marks of ours begin (`nftables_ipvs_start_fwmark`).
    pub first_mark: u32,
    /// Count what the rules match (`nftables_counters`)?
    pub counters: bool,
    /// Packets that get a mark.
    pub marked: Vec<Marked>,
    /// Connections whose clients real servers do not see.
    pub translated: Vec<Translated>,
}

impl ServiceRules {
    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.marked.is_empty() && self.translated.is_empty()
    }
}

impl Default for ServiceRules {
    fn default() -> ServiceRules {
        ServiceRules {
            table: "holdfast_ipvs".into(),
            priority: -1,
            // As in keepalived.
            first_mark: 1000,
            counters: false,
            marked: Vec::new(),
            translated: Vec::new(),
        }
    }
}

/// Packets to this endpoint get this mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// Transport protocol.
    pub protocol: TransportProtocol,
    /// Destination.
    pub address: IpAddr,
    /// Destination port; 0 means every port.
    pub port: u16,
    /// The mark, never 0.
    pub mark: u32,
}

/// What this service sends to this real server comes from the director (`lvs_method FULLNAT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translated {
    /// Of this service.
    pub service: ServiceKey,
    /// To this destination; port 0 means every port.
    pub server: SocketAddr,
    /// From this address; `None`: that of the interface on the way, as masquerading does.
    pub source: Option<IpAddr>,
}
