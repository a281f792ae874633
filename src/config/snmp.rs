//! What an SNMP agent says of the configuration: [`SnmpPlan`], with the values that keepalived 2.2.7 was seen to serve.

mod groups;
mod scalars;
mod servers;

#[cfg(test)]
mod tests;

pub(super) use servers::{real_server, virtual_server};

use super::{Diagnostics, notify};
use crate::net::AddressFamily;
use crate::plan::lvs::LvsPlan;
use crate::plan::snmp::{Cells, Place, SnmpPlan, SnmpVirtualServer};
use crate::wire::agentx::Value;
use keepalived_compat::config::setting::{Setting, Settings as _};
use keepalived_compat::{Code, Config, Span};
use std::net::IpAddr;
use std::time::Duration;

/// How old counters may be when nothing is written.
const STATS_AGE: Duration = Duration::from_secs(5);

/// What is asked of the agent beside the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `-x`: there is one, whatever the file says.
    pub checker: bool,
    /// `-A`: where its master listens, whatever the file says.
    pub socket: Option<String>,
    /// The name of this machine: its `router_id` when none is written.
    pub host: String,
}

impl Asked {
    pub(super) fn wants_agent(&self, config: &Config) -> bool {
        self.checker || config.global.others.is_on("enable_snmp_checker")
    }
}

/// The plan. `rows` were made one by one ([`virtual_server`]); without them there is no agent. As in keepalived there is
/// none either where the checker has nothing to do.
pub(super) fn lower(
    config: &Config,
    asked: &Asked,
    lvs: &LvsPlan,
    rows: Option<Vec<SnmpVirtualServer>>,
    out: &mut Diagnostics,
) -> SnmpPlan {
    let generation = lvs.generation;
    let Some(virtual_servers) = rows.filter(|_| lvs.has_work()) else {
        return SnmpPlan { generation, ..SnmpPlan::default() };
    };
    let global = config.global.others.as_slice();
    judge_socket(global, asked, out);
    let router_id = config.global.router_id.clone().unwrap_or_else(|| asked.host.clone());
    SnmpPlan {
        generation,
        checker: true,
        socket: asked.socket.clone().or_else(|| socket(global)),
        traps: global.is_on("enable_traps"),
        stats_age: stats_age(global),
        scalars: scalars::scalars(config, lvs, &router_id, &asked.host),
        mail: notify::recipients(global),
        groups: config.groups.iter().map(groups::group).collect(),
        router_id,
        virtual_servers,
    }
}

fn written_socket(global: &[Setting]) -> Option<(&str, Span)> {
    let written = global.find("snmp_socket")?;
    Some((written.name()?, written.span))
}

fn socket(global: &[Setting]) -> Option<String> {
    written_socket(global).map(|(socket, _)| socket.to_owned())
}

/// keepalived's library knows more ways to a master.
fn judge_socket(global: &[Setting], asked: &Asked, out: &mut Diagnostics) {
    if let (None, Some((socket, span))) = (&asked.socket, written_socket(global))
        && let Err(why) = socket.parse::<Place>()
    {
        let title = format!("snmp_socket {socket} is not built in holdfast yet: {why}");
        out.tell(Code::NotYet, span, title, "there is no SNMP agent; the traffic goes on");
    }
}

fn stats_age(global: &[Setting]) -> Duration {
    let age = |keyword| global.time(keyword).unwrap_or(STATS_AGE);
    age("snmp_vs_stats_update_interval").min(age("snmp_rs_stats_update_interval"))
}

/// A row on its way; its columns come in order.
#[derive(Default)]
struct Row(Cells);

impl Row {
    /// With room for that many columns.
    fn with_room(columns: usize) -> Row {
        Row(Vec::with_capacity(columns))
    }

    fn integer(&mut self, column: u32, value: i32) {
        self.0.push((column, Value::Integer(value)));
    }

    /// `true` and `enabled` are 1, `false` and `disabled` are 2.
    fn on(&mut self, column: u32, on: bool) {
        self.integer(column, switch(on));
    }

    fn unsigned(&mut self, column: u32, value: u32) {
        self.0.push((column, Value::Gauge32(value)));
    }

    fn octets(&mut self, column: u32, value: impl Into<Vec<u8>>) {
        self.0.push((column, Value::Octets(value.into())));
    }

    /// Nothing where there is no text.
    fn text(&mut self, column: u32, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.octets(column, value.into());
        }
    }

    fn address(&mut self, column: u32, address: IpAddr) {
        self.octets(column, octets(address));
    }

    fn into_cells(self) -> Cells {
        let mut cells = self.0;
        cells.shrink_to_fit();
        cells
    }
}

const fn switch(on: bool) -> i32 {
    if on { 1 } else { 2 }
}

/// InetAddressType.
const fn address_type(family: AddressFamily) -> i32 {
    match family {
        AddressFamily::V4 => 1,
        AddressFamily::V6 => 2,
    }
}

/// InetAddress.
fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
