//! `holdfastctl bfd`: each BFD session, and why it is what it is.

use super::client::{AskError, ask};
use super::{Done, print_json, text};
use crate::link::control::{Answer, Request};
use crate::report::{BfdSessionStatus, BfdStatus, Status};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn run(socket: &Path, json: bool) -> Done {
    let status = match ask(socket, Request::Status)? {
        Answer::Status(status) => status,
        other => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
    };
    let Some(bfd) = &status.bfd else { return Err(absence(&status).into()) };
    if json {
        print_json(bfd)?;
    } else {
        text::print(&render(bfd));
    }
    Ok(0)
}

/// Why there is no report of the bfd role.
fn absence(status: &Status) -> String {
    let role = status.daemon.roles.iter().find(|role| role.name == "bfd");
    let silent = role.map(|role| role.trouble.as_deref().unwrap_or("it did not answer"));
    let why = silent.unwrap_or("not running: the configuration has no BFD session, or -B was given");
    format!("the bfd role says nothing: {why}")
}

/// All sessions for people.
fn render(bfd: &BfdStatus) -> String {
    if bfd.sessions.is_empty() {
        return "no BFD session is configured\n".to_owned();
    }
    let mut page: String = bfd.sessions.iter().map(session).collect();
    if let Some(line) = counters(&bfd.counters) {
        page += &text::block(0, &format!("not of one session: {line}"));
    }
    page
}

/// Counters that are not zero.
fn counters(counters: &BTreeMap<String, u64>) -> Option<String> {
    let words: Vec<String> =
        counters.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// One line that says what and why, then the facts.
fn session(session: &BfdSessionStatus) -> String {
    let BfdSessionStatus { name, state, since_seconds, reason, .. } = session;
    let head = format!("{name} {state} for {}: {reason}", text::span(*since_seconds));
    let mut rows = vec![row("neighbor", neighbor(session))];
    if let Some(trouble) = &session.trouble {
        rows.push(row("trouble", trouble.clone()));
    }
    rows.push(row("timing", timing(session)));
    let (ups, downs) = (session.ups, session.downs);
    let last = match session.diagnostic {
        0 => String::new(),
        number => format!("; diagnostic {number}: {}", session.diagnostic_text),
    };
    rows.push(row("history", format!("came up {ups} times, went down {downs} times{last}")));
    if let Some(line) = counters(&session.counters) {
        rows.push(row("counters", line));
    }
    text::block(0, &head) + &text::columns(2, &rows)
}

fn row(label: &str, value: String) -> Vec<String> {
    vec![label.to_owned(), value]
}

fn neighbor(session: &BfdSessionStatus) -> String {
    let from = session.source.map_or(String::new(), |source| format!(" from {source}"));
    let hops = if session.multihop { ", multihop" } else { "" };
    let said = match &session.remote {
        None => "not heard".to_owned(),
        Some(remote) => format!(
            "says {}, sends every {} ms, wants every {} ms, times {}",
            remote.state,
            milliseconds(remote.min_tx_us.into()),
            milliseconds(remote.min_rx_us.into()),
            remote.multiplier
        ),
    };
    format!("{}{from}{hops}: {said}", session.neighbor)
}

fn timing(session: &BfdSessionStatus) -> String {
    let sends = match session.transmit_interval_us {
        0 => "sends nothing for now".to_owned(),
        interval => format!("sends every {} ms", milliseconds(interval)),
    };
    match session.detection_time_us {
        0 => sends,
        time => format!("{sends}, taken for dead after {} ms of silence", milliseconds(time)),
    }
}

/// With as many places as there are.
fn milliseconds(micros: u64) -> String {
    let text = format!("{}.{:03}", micros / 1000, micros % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::bfd::BfdRemote;
    use std::net::IpAddr;

    /// A session that is up, after a bad day.
    pub fn up() -> BfdSessionStatus {
        BfdSessionStatus {
            name: "core".to_owned(),
            neighbor: IpAddr::from([192, 0, 2, 2]),
            source: Some(IpAddr::from([192, 0, 2, 1])),
            multihop: false,
            state: "Up".to_owned(),
            reason: "both ends hear each other".to_owned(),
            since_seconds: 3700,
            diagnostic: 0,
            diagnostic_text: "no diagnostic".to_owned(),
            discriminator: 4711,
            transmit_interval_us: 50_000,
            detection_time_us: 150_000,
            ups: 2,
            downs: 1,
            remote: Some(BfdRemote {
                discriminator: 77,
                state: "Up".to_owned(),
                diagnostic: 1,
                min_tx_us: 50_000,
                min_rx_us: 3_312,
                multiplier: 3,
            }),
            trouble: None,
            counters: [("packets_sent".to_owned(), 12), ("discarded_ttl".to_owned(), 0)].into(),
        }
    }

    #[test]
    fn the_first_line_says_what_and_why() {
        let silent = BfdSessionStatus {
            name: "edge".to_owned(),
            source: None,
            multihop: true,
            state: "Down".to_owned(),
            reason: "nothing was heard for 150 ms (allowed: 3 times 50 ms)".to_owned(),
            since_seconds: 4,
            diagnostic: 1,
            diagnostic_text: "control detection time expired".to_owned(),
            transmit_interval_us: 1_000_000,
            detection_time_us: 0,
            remote: None,
            trouble: Some("no BFD packet to 192.0.2.2 leaves: no route".to_owned()),
            counters: BTreeMap::new(),
            ..up()
        };
        let text = render(&BfdStatus {
            sessions: vec![up(), silent],
            counters: [("discarded_version".to_owned(), 4), ("discarded_ttl".to_owned(), 0)].into(),
        });
        assert_eq!(
            text,
            "core Up for 1 h 1 min: both ends hear each other\n\
             \x20 neighbor  192.0.2.2 from 192.0.2.1: says Up, sends every 50 ms, wants every 3.312 ms, times 3\n\
             \x20 timing    sends every 50 ms, taken for dead after 150 ms of silence\n\
             \x20 history   came up 2 times, went down 1 times\n\
             \x20 counters  packets_sent 12\n\
             edge Down for 4 s: nothing was heard for 150 ms (allowed: 3 times 50 ms)\n\
             \x20 neighbor  192.0.2.2, multihop: not heard\n\
             \x20 trouble   no BFD packet to 192.0.2.2 leaves: no route\n\
             \x20 timing    sends every 1000 ms\n\
             \x20 history   came up 2 times, went down 1 times; diagnostic 1: control detection time expired\n\
             not of one session: discarded_version 4\n"
        );
        assert_eq!(render(&BfdStatus::default()), "no BFD session is configured\n");
    }
}
