//! What the snmp role must do: the AgentX master that it talks to, and the rows of KEEPALIVED-MIB that the configuration
//! alone decides. What changes (states, weights, counters) `report::mib` fills in.

use crate::plan::Generation;
use crate::plan::lvs::{ForwardingMethod, ServiceKey};
use crate::wire::agentx::Value;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The SNMP agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnmpPlan {
    /// Which configuration this is.
    pub generation: Generation,
    /// `enable_snmp_checker`, or `-x`: serve the checker part of KEEPALIVED-MIB. Without it there is no agent, and all
    /// else is empty.
    pub checker: bool,
    /// `snmp_socket`, or `-A`: where the AgentX master listens; see [`SnmpPlan::master`].
    pub socket: Option<String>,
    /// `enable_traps`: tell of servers and quorums.
    pub traps: bool,
    /// `snmp_vs_stats_update_interval` and `snmp_rs_stats_update_interval`: how old counters may be; the shorter of them.
    pub stats_age: Duration,
    /// The name of this node in traps (`router_id`).
    pub router_id: String,
    /// Objects outside tables: their numbers below KEEPALIVED-MIB without the last 0, in order.
    pub scalars: Vec<(Vec<u32>, Value)>,
    /// Addresses that mail goes to.
    pub mail: Vec<String>,
    /// The virtual server groups in the order of the file.
    pub groups: Vec<SnmpGroup>,
    /// The virtual servers in the order of the file.
    pub virtual_servers: Vec<SnmpVirtualServer>,
}

/// Where AgentX masters listen (RFC 2741, 8.2).
const DEFAULT_SOCKET: &str = "unix:/var/agentx/master";

/// Columns of a row that never change, in order of their numbers.
pub type Cells = Vec<(u32, Value)>;

/// A row of virtualServerGroupTable, and those of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnmpGroup {
    /// Its name.
    pub name: String,
    /// Its entries.
    pub members: Vec<Cells>,
}

/// A row of virtualServerTable, and those of its real servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnmpVirtualServer {
    /// Its services, as the checker's status names them.
    pub services: Vec<ServiceKey>,
    /// What never changes.
    pub cells: Cells,
    /// The real servers in the order of the file.
    pub real_servers: Vec<SnmpRealServer>,
    /// The sorry server.
    pub sorry_server: Option<SnmpRealServer>,
}

/// A row of realServerTable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnmpRealServer {
    /// As the checker's status names it.
    pub endpoint: SocketAddr,
    /// How packets reach it: what the kernel has of it is [`ForwardingMethod::destination`].
    pub forwarding: ForwardingMethod,
    /// What never changes.
    pub cells: Cells,
}

impl SnmpPlan {
    /// Is there something to do?
    pub const fn has_work(&self) -> bool {
        self.checker
    }

    /// Where the AgentX master listens, as it is written.
    pub fn master(&self) -> &str {
        self.socket.as_deref().unwrap_or(DEFAULT_SOCKET)
    }
}

/// The port of AgentX (RFC 2741, 8.1.1).
const PORT: u16 = 705;

/// Where a master listens, as net-snmp writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `unix:/var/agentx/master`, or a path alone.
    Path(PathBuf),
    /// `tcp:127.0.0.1:705`, or without `tcp:`, or without the port.
    Tcp(SocketAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let path = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = path {
            return Ok(Place::Path(path.into()));
        }
        let address = text.strip_prefix("tcp:").or_else(|| text.strip_prefix("tcp6:")).unwrap_or(text);
        let named = address.strip_prefix("localhost").map(|rest| format!("127.0.0.1{rest}"));
        let address = named.as_deref().unwrap_or(address);
        let whole = address.parse::<SocketAddr>().ok();
        let alone = || address.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT));
        let port =
            || address.parse::<u16>().ok().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        whole.or_else(alone).or_else(port).map(Place::Tcp).ok_or_else(|| {
            "the agent reaches masters at unix:PATH or tcp:ADDRESS:PORT, with an address in numbers"
                .to_owned()
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => write!(f, "unix:{}", path.display()),
            Place::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_net_snmp_writes_them() {
        let place = |text: &str| text.parse::<Place>().map(|place| place.to_string());
        for (text, read) in [
            ("unix:/var/agentx/master", "unix:/var/agentx/master"),
            ("/run/agentx", "unix:/run/agentx"),
            ("tcp:127.0.0.1:705", "tcp:127.0.0.1:705"),
            ("localhost:705", "tcp:127.0.0.1:705"),
            ("tcp:localhost", "tcp:127.0.0.1:705"),
            ("tcp6:[::1]:7055", "tcp:[::1]:7055"),
            ("705", "tcp:127.0.0.1:705"),
        ] {
            assert_eq!(place(text), Ok(read.to_owned()), "{text}");
        }
        for bad in ["udp:127.0.0.1:705", "tcp:snmp.example.com:705", ""] {
            assert!(place(bad).is_err_and(|why| why.contains("unix:PATH")), "{bad}");
        }
    }
}
