//! KEEPALIVED-MIB, its checker part: what an SNMP agent answers, and what a trap says. What the configuration alone decides
//! comes from the plan; states come from the checker role, counters from the kernel's table.

mod counters;
mod servers;
mod table;
mod traps;

pub use counters::Counters;

use crate::plan::lvs::ServiceKey;
use crate::plan::snmp::SnmpPlan;
use crate::report::VirtualServerState;
use crate::wire::agentx::{Oid, Range, Value, VarBind};
use servers::Servers;
use std::net::SocketAddr;
use table::{Rows, Table, first_behind};

/// enterprises.debian.project.keepalived.
pub const KEEPALIVED: [u32; 9] = [1, 3, 6, 1, 4, 1, 9586, 100, 5];

/// What is registered with the master, as keepalived does: each object and each column. What another agent has registered
/// in the same way is refused, so two cannot answer in turn.
pub fn subtrees() -> Vec<Oid> {
    let objects = [
        (&[1_u32][..], 1..=2),
        (&[1, 3], 1..=4),
        (&[1, 3], 6..=10),
        (&[1], 4..=11),
        (&[3, 6], 1..=9),
        (&[3, 7], 1..=3),
    ];
    let tables =
        [table::MAIL, table::GROUPS, table::MEMBERS, servers::VIRTUAL_SERVERS, servers::REAL_SERVERS];
    let all = objects.into_iter().chain(tables);
    all.flat_map(|(place, last)| last.map(move |number| below(place).with(&[number]))).collect()
}

/// Is it a registration about servers? Else it is about the node.
pub fn is_of_servers(subtree: &Oid) -> bool {
    subtree.0.starts_with(&below(&[3]).0)
}

fn below(numbers: &[u32]) -> Oid {
    Oid::from(KEEPALIVED).with(numbers)
}

/// A row of the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelService {
    /// Which.
    pub key: ServiceKey,
    /// Its own.
    pub counters: Counters,
    /// Those of its destinations.
    pub destinations: Vec<(SocketAddr, Counters)>,
}

/// All that can be asked for.
#[derive(Debug, Default)]
pub struct Mib {
    plan: SnmpPlan,
    servers: Servers,
    rows: Rows,
}

impl Mib {
    /// Of this plan; of servers nothing is known but what is written.
    pub fn new(plan: SnmpPlan) -> Mib {
        Mib { servers: Servers::of(&plan), rows: Rows::of(&plan), plan }
    }

    /// The same, with what was known of servers that were there `before`.
    pub fn after(plan: SnmpPlan, before: &Mib) -> Mib {
        let mut mib = Mib::new(plan);
        mib.servers.inherit(&mib.plan, &before.servers, &before.plan);
        mib
    }

    /// What the checker role says; what it said before counts until then. True if it was about every virtual server: one that
    /// has just begun knows of none.
    pub fn take_states(&mut self, states: &[VirtualServerState]) -> bool {
        self.servers.take_states(&self.plan, states)
    }

    /// What the kernel has; counters of what it has not are zero.
    pub fn take_table(&mut self, table: &[KernelService]) {
        self.servers.take_table(&self.plan, table);
    }

    /// The value of a variable.
    pub fn get(&self, name: &Oid) -> Value {
        let Some(numbers) = name.0.strip_prefix(&KEEPALIVED) else { return Value::NoSuchObject };
        self.tables().into_iter().find_map(|table| table.get(numbers)).unwrap_or(Value::NoSuchObject)
    }

    /// The first variable that `range` allows.
    pub fn next(&self, range: &Range) -> VarBind {
        let nothing = || (range.start.clone(), Value::EndOfMibView);
        let start = match range.start.0.strip_prefix(&KEEPALIVED) {
            Some(numbers) => numbers,
            None if range.start.0.as_slice() < KEEPALIVED.as_slice() => &[],
            None => return nothing(),
        };
        let Some((numbers, value)) = first_behind(&self.tables(), start, range.include) else {
            return nothing();
        };
        let name = below(&numbers);
        let is_inside = range.end.0.is_empty() || name < range.end;
        if is_inside { (name, value) } else { nothing() }
    }

    /// In the order of their numbers.
    fn tables(&self) -> Vec<Table<'_>> {
        let mut tables: Vec<Table<'_>> = self.plan.scalars.iter().map(Table::scalar).collect();
        tables.extend(self.rows.tables(&self.plan));
        tables.extend(self.servers.tables(&self.plan));
        tables.sort_by(|a, b| a.place().cmp(b.place()));
        tables
    }
}

#[cfg(test)]
mod tests;
