//! The effective configuration: what the file says, with the values in force and the defaults written out.
//!
//! The values come from the plans, so they are what the daemon runs with. Each instance and each virtual server is
//! lowered twice, alone with the global settings: as written, and without the keywords of the tables below. A value
//! that is equal in both is marked as default: it holds without the line.

mod defaults;
mod tables;

use super::lower;
use crate::plan::lvs::VirtualServer;
use crate::plan::vrrp::RouterPlan;
use crate::plan::{Generation, Plans};
use keepalived_compat::print::{Line, text};
use keepalived_compat::source::encode;
use keepalived_compat::{Options, Reader, parse};
use tables::{CHECKER_BLOCKS, CHECKERS, INSTANCE, REAL_SERVER, Setting, VIRTUAL_SERVER};

/// How a value that holds without its line is marked.
pub const DEFAULT: &str = "default";

/// How an instance or a virtual server that is left out is marked.
pub const NOT_RUN: &str = "not run, see holdfastctl check";

/// `lines` with the values in force; what is not run stays as written and is marked.
pub fn with_values(lines: &[Line]) -> Vec<Line> {
    let shared = |line: &Line| matches!(line.keyword(), "global_defs" | "virtual_server_group");
    let shared: Vec<(usize, &Line)> = lines.iter().enumerate().filter(|(_, line)| shared(line)).collect();
    let with_values = |(index, line)| with_values_at(line, index, &shared);
    let mut lines: Vec<Line> = lines.iter().enumerate().map(with_values).collect();
    defaults::write(&mut lines);
    lines
}

fn with_values_at(line: &Line, index: usize, shared: &[(usize, &Line)]) -> Line {
    let mut line = line.clone();
    let found = match line.keyword() {
        "vrrp_instance" => {
            let plain = without(&line, &[INSTANCE_NAMES]);
            let plans = router(&line, index, shared).zip(router(&plain, index, shared));
            plans.map(|(now, then)| fill(&mut line, INSTANCE, &now, &then))
        }
        "virtual_server" => {
            let plain = without(&line, &[SERVER_NAMES, CHECKER_NAMES]);
            let plans = service(&line, index, shared).zip(service(&plain, index, shared));
            plans.map(|(now, then)| fill_server(&mut line, &now, &then))
        }
        _ => Some(()),
    };
    if found.is_none() {
        line.note = Some(NOT_RUN);
    }
    line
}

/// Says which block's keywords are meant: the block's keyword to the names of its table.
type Names = fn(&str) -> Vec<&'static str>;

const INSTANCE_NAMES: Names = |block| if block == "vrrp_instance" { names(INSTANCE) } else { Vec::new() };
const SERVER_NAMES: Names = |block| match block {
    "virtual_server" => names(VIRTUAL_SERVER),
    "real_server" => names(REAL_SERVER),
    _ => Vec::new(),
};
const CHECKER_NAMES: Names =
    |block| if CHECKER_BLOCKS.contains(&block) { names(CHECKERS) } else { Vec::new() };

fn names<T>(table: &[Setting<T>]) -> Vec<&'static str> {
    table.iter().flat_map(|setting| setting.names).copied().collect()
}

/// A block without the keywords of the tables, inner blocks too.
fn without(line: &Line, tables: &[Names]) -> Line {
    let names: Vec<&str> = tables.iter().flat_map(|table| table(line.keyword())).collect();
    let keep = |inner: &&Line| !names.contains(&inner.keyword());
    let block = line.block.as_ref();
    let block = block.map(|b| b.iter().filter(keep).map(|inner| without(inner, tables)).collect());
    Line { block, ..line.clone() }
}

/// The plan of one instance.
fn router(instance: &Line, index: usize, shared: &[(usize, &Line)]) -> Option<RouterPlan> {
    alone(instance, index, shared, |line| line.keyword() == "global_defs").vrrp.routers.pop()
}

/// The plan of one virtual server.
fn service(server: &Line, index: usize, shared: &[(usize, &Line)]) -> Option<VirtualServer> {
    let mut words = server.arguments();
    let group = words.next().filter(|word| *word == "group").and_then(|_| words.next());
    let needed = |line: &Line| match line.keyword() {
        "global_defs" => true,
        "virtual_server_group" => group.is_some() && line.arguments().next() == group,
        _ => false,
    };
    alone(server, index, shared, needed).lvs.virtual_servers.pop()
}

/// Lowers one block, standing at `index`, with those of the shared blocks that it needs before and after it.
fn alone(block: &Line, index: usize, shared: &[(usize, &Line)], needed: impl Fn(&Line) -> bool) -> Plans {
    let around = |before: bool| {
        let needed = &needed;
        shared.iter().filter(move |(at, line)| (*at < index) == before && needed(line)).map(|(_, line)| *line)
    };
    let parts: Vec<Line> = around(true).chain([block]).chain(around(false)).cloned().collect();
    let options = Options { config_id: "", vrrp: true, checker: true };
    let parsed = parse(&mut Text(encode(&text(&parts, true))), "", options);
    lower(&parsed.config, Generation::default()).plans
}

/// One file in memory.
struct Text(Vec<u8>);

impl Reader for Text {
    fn resolve(&mut self, pattern: &str, from: Option<&str>) -> Result<Vec<String>, String> {
        // The main file only: a printed configuration includes nothing.
        if from.is_none() { Ok(vec![pattern.to_owned()]) } else { Ok(Vec::new()) }
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
}

/// Puts the values of a table into a block.
fn fill<T>(line: &mut Line, table: &[Setting<T>], now: &T, then: &T) {
    let Some(block) = line.block.as_mut() else { return };
    let mut missing = Vec::new();
    for setting in table {
        let (Some(words), default) = ((setting.value)(now), (setting.value)(then)) else { continue };
        let is_it = |inner: &Line| setting.names.contains(&inner.keyword());
        let last = block.iter().rposition(is_it);
        let mut value = match last.and_then(|at| block.get(at)) {
            Some(written) if setting.as_written => written.clone(),
            _ => Line::new(words),
        };
        let default = default.map(Line::new);
        let same = |default: &Line| {
            let alike = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
            let keyword = setting.as_written || value.keyword() == default.keyword();
            keyword
                && value.arguments().count() == default.arguments().count()
                && value.arguments().zip(default.arguments()).all(|(a, b)| alike(a, b))
        };
        value.note = default.as_ref().is_some_and(same).then_some(DEFAULT);
        match last {
            Some(at) => {
                block[at] = value;
                let mut number = 0;
                block.retain(|inner| {
                    number += 1;
                    setting.as_written || number > at || !is_it(inner)
                });
            }
            None => missing.push(value),
        }
    }
    let at = block.iter().position(|inner| inner.block.is_some()).unwrap_or(block.len());
    block.splice(at..at, missing);
}

fn fill_server(line: &mut Line, now: &VirtualServer, then: &VirtualServer) {
    fill(line, VIRTUAL_SERVER, now, then);
    let servers = inner(line, &["real_server"]);
    if servers.len() != now.real_servers.len() || servers.len() != then.real_servers.len() {
        return;
    }
    for (server, (now, then)) in servers.into_iter().zip(now.real_servers.iter().zip(&then.real_servers)) {
        fill(server, REAL_SERVER, now, then);
        let checkers = inner(server, CHECKER_BLOCKS);
        if checkers.len() != now.checkers.len() || checkers.len() != then.checkers.len() {
            continue;
        }
        for (checker, (now, then)) in checkers.into_iter().zip(now.checkers.iter().zip(&then.checkers)) {
            fill(checker, CHECKERS, now, then);
        }
    }
}

fn inner<'a>(line: &'a mut Line, keywords: &[&str]) -> Vec<&'a mut Line> {
    line.block.iter_mut().flatten().filter(|inner| keywords.contains(&inner.keyword())).collect()
}
