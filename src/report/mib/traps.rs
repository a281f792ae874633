//! realServerStateChange and virtualServerQuorumStateChange, with the variables that keepalived puts into them; their names
//! have no index, as there.

use super::{Mib, below};
use crate::plan::lvs::ServiceKey;
use crate::wire::agentx::{Oid, Value, VarBind};
use std::net::SocketAddr;

/// snmpTrapOID.0 (RFC 3418).
const TRAP: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];

const SERVER_CHANGE: [u32; 4] = [3, 5, 0, 1];
const QUORUM_CHANGE: [u32; 4] = [3, 5, 0, 2];

/// virtualServerType.
const TYPE: u32 = 2;

/// virtualServerProtocol, and what it says of a mark, which has none.
const PROTOCOL: u32 = 8;
const NO_PROTOCOL: i32 = 4;

impl Mib {
    /// A server of that service came up or went down; `None` if the plan has no such server.
    pub fn server_changed(
        &mut self,
        service: &ServiceKey,
        endpoint: SocketAddr,
        up: bool,
    ) -> Option<Vec<VarBind>> {
        let at = self.servers.place(service)?;
        let servers = &self.plan.virtual_servers[at].real_servers;
        let real = servers.iter().position(|real| real.endpoint == endpoint)?;
        self.servers.set_server(at, real, up);
        let of_server = [3, 4, 5, 6].into_iter().filter_map(|column| {
            let value = self.servers.of_real_server(&self.plan.virtual_servers[at], at, real, column)?;
            Some((below(&[3, 4, 1, column]), value))
        });
        let mut variables = vec![trap(&SERVER_CHANGE)];
        variables.extend(of_server);
        variables.extend(self.identity(at));
        variables.extend(self.columns(at, &[21, 20]));
        variables.push(self.router_id());
        Some(variables)
    }

    /// The virtual server of that service gained or lost its quorum; `None` if the plan has none.
    pub fn quorum_changed(&mut self, service: &ServiceKey, up: bool) -> Option<Vec<VarBind>> {
        let at = self.servers.place(service)?;
        self.servers.set_quorum(at, up);
        let mut variables = vec![trap(&QUORUM_CHANGE)];
        variables.extend(self.identity(at));
        variables.extend(self.columns(at, &[23, 22, 21, 20]));
        variables.push(self.router_id());
        Some(variables)
    }

    /// Which one it is: its mark, its address, or its group; and the protocol.
    fn identity(&self, at: usize) -> Vec<VarBind> {
        let of = &self.plan.virtual_servers[at];
        let which: &[u32] = match self.servers.of_virtual_server(of, at, TYPE) {
            Some(Value::Integer(1)) => &[TYPE, 4],
            Some(Value::Integer(3)) => &[TYPE, 3],
            _ => &[TYPE, 5, 6, 7],
        };
        let mut variables = self.columns(at, which);
        let protocol = self.servers.of_virtual_server(of, at, PROTOCOL);
        let protocol = protocol.unwrap_or(Value::Integer(NO_PROTOCOL));
        variables.push((below(&[3, 3, 1, PROTOCOL]), protocol));
        variables
    }

    fn columns(&self, at: usize, columns: &[u32]) -> Vec<VarBind> {
        let of = &self.plan.virtual_servers[at];
        let value = |column| self.servers.of_virtual_server(of, at, column);
        columns.iter().filter_map(|column| Some((below(&[3, 3, 1, *column]), value(*column)?))).collect()
    }

    fn router_id(&self) -> VarBind {
        (below(&[1, 2, 0]), Value::text(&self.plan.router_id))
    }
}

fn trap(name: &[u32]) -> VarBind {
    (Oid::from(TRAP), Value::Oid(below(name)))
}
