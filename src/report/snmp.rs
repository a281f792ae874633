//! The SNMP agent as `holdfastctl status` shows it.

use super::{RealServerStatus, VirtualServerStatus};
use crate::plan::lvs::ServiceKey;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The snmp role's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnmpStatus {
    /// Where the AgentX master is looked for: `unix:/var/agentx/master`.
    pub master: String,
    /// Is its session open, and all of ours registered?
    pub connected: bool,
    /// Why not, one sentence.
    pub trouble: Option<String>,
    /// Requests that were answered.
    pub requests: u64,
    /// Traps that were handed to the master.
    pub traps: u64,
    /// Traps that nobody took: there was no session, or the master was far behind.
    pub traps_lost: u64,
}

/// What the snmp role is told of a virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServerState {
    /// The kernel's services behind it.
    pub services: Vec<ServiceKey>,
    /// Is the quorum met?
    pub up: bool,
    /// The real servers in the order of the plan.
    pub real_servers: Vec<RealServerState>,
}

/// The same of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServerState {
    /// Address and port.
    pub endpoint: SocketAddr,
    /// Is it in service as far as checks say?
    pub up: bool,
    /// Weight in force, when it is up.
    pub weight: u32,
    /// How many of its checks fail.
    pub failed_checks: u32,
}

impl From<&VirtualServerStatus> for VirtualServerState {
    fn from(status: &VirtualServerStatus) -> VirtualServerState {
        let real_servers = status.real_servers.iter().map(RealServerState::from).collect();
        VirtualServerState { services: status.services.clone(), up: status.up, real_servers }
    }
}

impl From<&RealServerStatus> for RealServerState {
    fn from(status: &RealServerStatus) -> RealServerState {
        let failed = status.checkers.iter().filter(|checker| checker.state == "down").count();
        RealServerState {
            endpoint: status.endpoint,
            up: status.up,
            weight: status.weight,
            failed_checks: u32::try_from(failed).unwrap_or(u32::MAX),
        }
    }
}
