//! virtualServerTable and realServerTable: what is written, joined with what the checker role says and the kernel counts.

use super::KernelService;
use super::counters::Counters;
use super::table::{Extent, Index, Table, cell, counted, number};
use crate::plan::lvs::ServiceKey;
use crate::plan::snmp::{SnmpPlan, SnmpRealServer, SnmpVirtualServer};
use crate::report::{RealServerState, VirtualServerState};
use crate::wire::agentx::Value;
use std::collections::HashMap;
use std::net::SocketAddr;

/// virtualServerTable.
pub(super) const VIRTUAL_SERVERS: Extent = (&[3, 3, 1], 2..=71);

/// realServerTable.
pub(super) const REAL_SERVERS: Extent = (&[3, 4, 1], 2..=55);

/// What changes, in the order of the plan.
#[derive(Debug, Default)]
pub(super) struct Servers {
    virtual_servers: Vec<Virtual>,
    /// Number of each service's virtual server in the plan.
    places: HashMap<ServiceKey, usize>,
    /// Of virtualServerTable.
    virtual_rows: Vec<Index>,
    /// Of realServerTable.
    real_rows: Vec<Index>,
    /// What these are: numbers of the virtual server and its server in the plan; `None` for the sorry server.
    rows: Vec<(usize, Option<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct Virtual {
    /// Is the quorum met? `None` until the checker role says something.
    up: Option<bool>,
    counters: Counters,
    real_servers: Vec<Real>,
    /// Of the sorry server.
    sorry: Counters,
}

#[derive(Clone, Copy, Debug, Default)]
struct Real {
    known: Option<Known>,
    counters: Counters,
}

/// What is known of a server: a trap may come before the checker role was asked.
#[derive(Clone, Copy, Debug)]
struct Known {
    up: bool,
    /// Weight, and how many checks fail.
    more: Option<(u32, u32)>,
}

impl From<&RealServerState> for Known {
    fn from(state: &RealServerState) -> Known {
        Known { up: state.up, more: Some((state.weight, state.failed_checks)) }
    }
}

impl Servers {
    pub(super) fn of(plan: &SnmpPlan) -> Servers {
        let mut servers = Servers::default();
        for (at, server) in plan.virtual_servers.iter().enumerate() {
            servers.places.extend(server.services.iter().map(|key| (*key, at)));
            servers.rows.extend(server.sorry_server.iter().map(|_| (at, None)));
            servers.rows.extend((0..server.real_servers.len()).map(|real| (at, Some(real))));
            let real_servers = vec![Real::default(); server.real_servers.len()];
            servers.virtual_servers.push(Virtual { real_servers, ..Virtual::default() });
        }
        servers.virtual_rows = counted(plan.virtual_servers.len());
        let index = servers.rows.iter().map(|(at, real)| {
            let sorry_first = usize::from(plan.virtual_servers[*at].sorry_server.is_some());
            Index::Two([number(*at), real.map_or(1, |real| number(real + sorry_first))])
        });
        servers.real_rows = index.collect();
        servers
    }

    /// True if it was about every virtual server of the plan with all of its servers: around a reload it may be of another.
    pub(super) fn take_states(&mut self, plan: &SnmpPlan, states: &[VirtualServerState]) -> bool {
        let mut told = vec![false; self.virtual_servers.len()];
        for said in states {
            let Some(at) = said.services.iter().find_map(|key| self.places.get(key)) else { continue };
            let (server, of) = (&mut self.virtual_servers[*at], &plan.virtual_servers[*at]);
            server.up = Some(said.up);
            let mut same = 0;
            // The same order as the plan's.
            for (real, (said, written)) in
                server.real_servers.iter_mut().zip(said.real_servers.iter().zip(&of.real_servers))
            {
                if said.endpoint == written.endpoint {
                    real.known = Some(Known::from(said));
                    same += 1;
                }
            }
            told[*at] |= same == of.real_servers.len();
        }
        told.into_iter().all(|told| told)
    }

    /// What was known of the same virtual servers and servers in another plan.
    pub(super) fn inherit(&mut self, plan: &SnmpPlan, before: &Servers, old: &SnmpPlan) {
        for (server, of) in self.virtual_servers.iter_mut().zip(&plan.virtual_servers) {
            let Some(at) = of.services.iter().find_map(|key| before.places.get(key)) else { continue };
            let known = &before.virtual_servers[*at];
            server.up = known.up;
            let reals = old.virtual_servers[*at].real_servers.iter().zip(&known.real_servers);
            let reals: HashMap<SocketAddr, Option<Known>> =
                reals.map(|(written, real)| (written.endpoint, real.known)).collect();
            for (real, written) in server.real_servers.iter_mut().zip(&of.real_servers) {
                real.known = reals.get(&written.endpoint).copied().flatten();
            }
        }
    }

    pub(super) fn take_table(&mut self, plan: &SnmpPlan, table: &[KernelService]) {
        for server in &mut self.virtual_servers {
            (server.counters, server.sorry) = Default::default();
            server.real_servers.iter_mut().for_each(|real| real.counters = Counters::default());
        }
        for row in table {
            let Some(at) = self.places.get(&row.key) else { continue };
            let (server, of) = (&mut self.virtual_servers[*at], &plan.virtual_servers[*at]);
            server.counters += row.counters;
            let place = |real: &SnmpRealServer| real.forwarding.destination(real.endpoint, &row.key);
            let places = of.real_servers.iter().enumerate().map(|(real, written)| (place(written), real));
            let places: HashMap<SocketAddr, usize> = places.collect();
            for (endpoint, counters) in &row.destinations {
                if let Some(real) = places.get(endpoint) {
                    server.real_servers[*real].counters += *counters;
                } else if of.sorry_server.as_ref().is_some_and(|sorry| place(sorry) == *endpoint) {
                    server.sorry += *counters;
                }
            }
        }
    }

    pub(super) fn tables<'a>(&'a self, plan: &'a SnmpPlan) -> [Table<'a>; 2] {
        let all = &plan.virtual_servers;
        let virtual_servers = Table::new(VIRTUAL_SERVERS, &self.virtual_rows, |row, column| {
            self.of_virtual_server(all.get(row)?, row, column)
        });
        let real_servers = Table::new(REAL_SERVERS, &self.real_rows, |row, column| {
            let (at, real) = *self.rows.get(row)?;
            match real {
                Some(real) => self.of_real_server(&all[at], at, real, column),
                None => of_sorry_server(all[at].sorry_server.as_ref()?, &self.virtual_servers[at], column),
            }
        });
        [virtual_servers, real_servers]
    }

    /// A column of virtualServerTable.
    pub(super) fn of_virtual_server(&self, of: &SnmpVirtualServer, at: usize, column: u32) -> Option<Value> {
        let server = self.virtual_servers.get(at)?;
        match column {
            // It is in the kernel's table, whoever serves.
            11 => Some(Value::Integer(1)),
            // Unknown as long as one of them is.
            21 => {
                let known =
                    server.real_servers.iter().map(|real| real.known.map(|known| u32::from(known.up)));
                known.sum::<Option<u32>>().map(Value::Gauge32)
            }
            23 => server.up.map(|up| Value::Integer(if up { 1 } else { 2 })),
            _ => server.counters.of_virtual_server(column).or_else(|| cell(&of.cells, column)),
        }
    }

    /// A column of realServerTable.
    pub(super) fn of_real_server(
        &self,
        of: &SnmpVirtualServer,
        at: usize,
        real: usize,
        column: u32,
    ) -> Option<Value> {
        let written = of.real_servers.get(real)?;
        let Real { known, counters } = self.virtual_servers[at].real_servers[real];
        let more = known.and_then(|known| known.more);
        match column {
            6 => known.map(|known| Value::Integer(if known.up { 1 } else { 2 })),
            7 => more.map(|(weight, _)| Value::Integer(i32::try_from(weight).unwrap_or(i32::MAX))),
            13 => more.map(|(_, failed_checks)| Value::Gauge32(failed_checks)),
            _ => counters.of_real_server(column).or_else(|| cell(&written.cells, column)),
        }
    }

    /// Number of the virtual server that has this service, in the plan.
    pub(super) fn place(&self, service: &ServiceKey) -> Option<usize> {
        self.places.get(service).copied()
    }

    /// A trap says it before the checker role is asked again.
    pub(super) fn set_quorum(&mut self, at: usize, up: bool) {
        self.virtual_servers[at].up = Some(up);
    }

    /// The same of a server.
    pub(super) fn set_server(&mut self, at: usize, real: usize, up: bool) {
        let known = &mut self.virtual_servers[at].real_servers[real].known;
        *known = Some(Known { up, more: known.and_then(|known| known.more) });
    }
}

fn of_sorry_server(written: &SnmpRealServer, server: &Virtual, column: u32) -> Option<Value> {
    server.sorry.of_real_server(column).or_else(|| cell(&written.cells, column))
}
