//! Names that people write, to virtual servers and real servers of the plan. Pure.

use super::ServerName;
use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::lvs::{LvsPlan, ServiceKey, VirtualServer};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Names that a refusal lists.
const LISTED: usize = 5;

/// Edits between a word and a name that may have been meant: a wrong digit or two.
const NEAR: usize = 2;

/// Names compared with a word that is none of them: of a table of 100,000 servers the first must do.
const COMPARED: usize = 10_000;

/// The virtual server that `word` names, by position: its name in the configuration, `group`'s name alone, `ADDRESS:PORT`,
/// `tcp ADDRESS:PORT` and `tcp group NAME`, an address that one virtual server has, `fwmark N` or `N`. With `nftables_ipvs`
/// also an address that a mark stands for. `server` is the real server that is meant there, if one is: who of several has it
/// alone is meant. A mark without a family is the IPv4 one where there are both, `FWM N IPv4` always.
pub fn virtual_server_with(plan: &LvsPlan, word: &str, server: Option<&str>) -> Result<usize, String> {
    let found = virtual_servers(plan, word)?;
    let Some(server) = server.and_then(|word| server_name(word).ok()).filter(|_| found.len() > 1) else {
        return only(plan, word, &found);
    };
    let has = |index: &usize| {
        let real_servers = &plan.virtual_servers[*index].real_servers; // found there
        real_servers.iter().any(|real| server.names(&real.endpoint))
    };
    match found.iter().copied().filter(has).collect::<Vec<_>>().as_slice() {
        [index] => Ok(*index),
        [] => only(plan, word, &found),
        several => only(plan, word, several),
    }
}

/// The same where no real server is named.
pub fn virtual_server(plan: &LvsPlan, word: &str) -> Result<usize, String> {
    virtual_server_with(plan, word, None)
}

/// The one that is meant, of those found: the IPv4 one of two marks.
fn only(plan: &LvsPlan, word: &str, found: &[usize]) -> Result<usize, String> {
    let key = |index: &usize| plan.virtual_servers[*index].known_as().next(); // found there
    let is_v4 =
        |index: &&usize| matches!(key(index), Some(ServiceKey::FwMark { family: AddressFamily::V4, .. }));
    let marks = found.iter().all(|index| matches!(key(index), Some(ServiceKey::FwMark { .. })));
    match (found, found.iter().filter(is_v4).collect::<Vec<_>>().as_slice()) {
        ([index], _) => Ok(*index),
        (_, [index]) if marks => Ok(**index),
        _ => {
            let names = found.iter().map(|index| plan.virtual_servers[*index].name.clone());
            Err(format!("{word} may be any of {}", listed(names)))
        }
    }
}

/// All that the word may name: one at least.
fn virtual_servers(plan: &LvsPlan, word: &str) -> Result<Vec<usize>, String> {
    let word = word.split_whitespace().collect::<Vec<_>>().join(" ");
    let servers = &plan.virtual_servers;
    let all = |fits: &dyn Fn(&VirtualServer) -> bool| -> Vec<usize> {
        (0..servers.len()).filter(|index| fits(&servers[*index])).collect()
    };
    let (said, group) = protocol_and_place(&word);
    let of_group = |server: &VirtualServer| {
        let named =
            server.group().is_some_and(|name| group == name || group.strip_prefix("group ") == Some(name));
        named && said.is_none_or(|said| server.protocol().is_some_and(|protocol| is_called(said, protocol)))
    };
    let mut found = all(&|server| server.name == word);
    if found.is_empty() {
        found = all(&|server| {
            of_group(server) || server.marked.iter().chain(&server.keys).any(|key| names(&word, key))
        });
    }
    if found.is_empty() {
        let known = servers
            .iter()
            .flat_map(|server| std::iter::once(server.name.clone()).chain(server.known_as().map(written)));
        let shown = servers.iter().map(|server| server.name.clone());
        return Err(format!("there is no virtual server {word}{}", hint(&word, known, shown)));
    }
    Ok(found)
}

/// `ADDRESS:PORT`, `[ADDRESS]:PORT`, `ADDRESS PORT` or `ADDRESS`.
pub fn server_name(word: &str) -> Result<ServerName, String> {
    let word = word.trim();
    if let Ok(endpoint) = word.parse::<SocketAddr>() {
        return Ok(ServerName { address: endpoint.ip(), port: Some(endpoint.port()) });
    }
    let mut words = word.split_whitespace();
    let address = words.next().map(|word| word.trim_start_matches('[').trim_end_matches(']'));
    let (address, port) = (address.and_then(|word| word.parse::<IpAddr>().ok()), words.next());
    match (address, port.map(str::parse::<u16>), words.next()) {
        (Some(address), None, None) => Ok(ServerName { address, port: None }),
        (Some(address), Some(Ok(port)), None) => Ok(ServerName { address, port: Some(port) }),
        _ => Err(format!("{word} is no real server: write ADDRESS:PORT, or ADDRESS for all its ports")),
    }
}

/// The real server of virtual server `index` that `word` names, by position.
pub fn real_server(plan: &LvsPlan, index: usize, word: &str) -> Result<usize, String> {
    let name = server_name(word)?;
    let server = &plan.virtual_servers[index]; // from virtual_server()
    let fits = |at: &usize| name.names(&server.real_servers[*at].endpoint);
    let found: Vec<usize> = (0..server.real_servers.len()).filter(fits).collect();
    let endpoints = || server.real_servers.iter().map(|real| real.endpoint.to_string());
    match found.as_slice() {
        [at] => Ok(*at),
        [] => {
            let hint = hint(&name.to_string(), endpoints(), endpoints());
            Err(format!("{} has no real server {name}{hint}", server.name))
        }
        several => {
            let names = several.iter().map(|at| server.real_servers[*at].endpoint.to_string());
            Err(format!("{name} of {} may be any of {}", server.name, listed(names)))
        }
    }
}

/// What to say of a real server that no virtual server has.
pub fn unknown_server(plan: &LvsPlan, name: &ServerName) -> String {
    let endpoints: BTreeSet<SocketAddr> = plan
        .virtual_servers
        .iter()
        .flat_map(|server| &server.real_servers)
        .map(|real| real.endpoint)
        .collect();
    let words = || endpoints.iter().map(SocketAddr::to_string);
    format!("no virtual server has a real server {name}{}", hint(&name.to_string(), words(), words()))
}

/// What to say of a set that no real server of virtual server `index` belongs to.
pub fn unknown_set(plan: &LvsPlan, index: usize, word: &str) -> String {
    let server = &plan.virtual_servers[index]; // from virtual_server()
    let sets: BTreeSet<&str> = server.real_servers.iter().filter_map(|real| real.set.as_deref()).collect();
    if sets.is_empty() {
        return format!(
            "{} has no sets: give its real servers one each (`set NAME` in real_server), and reload",
            server.name
        );
    }
    let words = || sets.iter().map(|set| (*set).to_owned());
    format!("{} has no real server of a set {word}{}", server.name, hint(word, words(), words()))
}

/// Does the word name this service?
fn names(word: &str, key: &ServiceKey) -> bool {
    match key {
        ServiceKey::FwMark { mark, family } => {
            // As the configuration writes it, and as listings do.
            let number = word.strip_prefix("fwmark ").or(word.strip_prefix("FWM ")).unwrap_or(word);
            let (number, said) = match number.rsplit_once(' ') {
                Some((number, "IPv4")) => (number, Some(AddressFamily::V4)),
                Some((number, "IPv6")) => (number, Some(AddressFamily::V6)),
                _ => (number, None),
            };
            said.is_none_or(|said| said == *family) && number.parse::<u32>().is_ok_and(|said| said == *mark)
        }
        ServiceKey::Endpoint { protocol, address, port } => {
            let (said, place) = protocol_and_place(word);
            if said.is_some_and(|said| !is_called(said, *protocol)) {
                return false;
            }
            server_name(place).is_ok_and(|name| name.names(&SocketAddr::new(*address, *port)))
        }
    }
}

/// `tcp` and the rest, if the word begins with the name of a protocol.
fn protocol_and_place(word: &str) -> (Option<&str>, &str) {
    let protocols = [TransportProtocol::Tcp, TransportProtocol::Udp, TransportProtocol::Sctp];
    match word.split_once(' ') {
        Some((said, place)) if protocols.into_iter().any(|known| is_called(said, known)) => {
            (Some(said), place)
        }
        _ => (None, word),
    }
}

fn is_called(said: &str, protocol: TransportProtocol) -> bool {
    said.eq_ignore_ascii_case(&protocol.to_string())
}

/// As a person would write it.
fn written(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Endpoint { address, port, .. } => SocketAddr::new(*address, *port).to_string(),
        ServiceKey::FwMark { mark, .. } => format!("fwmark {mark}"),
    }
}

/// `: did you mean A?`, or the first names there are.
fn hint(word: &str, known: impl Iterator<Item = String>, shown: impl Iterator<Item = String>) -> String {
    let near =
        known.take(COMPARED).map(|name| (distance(word, &name), name)).filter(|(far, _)| *far <= NEAR).min();
    match near {
        Some((_, name)) => format!(": did you mean {name}?"),
        None => format!(" (there are: {})", listed(shown)),
    }
}

fn listed(mut names: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = names.by_ref().take(LISTED).collect();
    let more = names.count();
    match (words.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => words.join(", "),
        (false, more) => {
            words.push(format!("and {more} more"));
            words.join(", ")
        }
    }
}

/// Edits from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (cell, y) in b.chars().enumerate() {
            let above = row[cell + 1]; // a row is one longer than the word
            let best = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            (row[cell], diagonal, left) = (left, above, best);
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or(0)
}
