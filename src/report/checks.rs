//! The checks one by one: what each does, what it heard, how long it took; and conversations held on request.

use super::check::state;
use crate::check::{CheckId, Checks, Phase};
use crate::lvs::director::Director;
use crate::plan::check::{CheckerPlan, Question};
use crate::plan::lvs::{ServiceKey, VirtualServer};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// `holdfastctl checks --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksReport {
    /// The checks in the order in which the configuration first asks for them.
    pub checks: Vec<CheckReport>,
    /// Conversations going on, of all checks.
    pub running: usize,
    /// Checks that are due and wait until one of these has ended.
    pub waiting_for_room: usize,
}

/// One check: a question, whoever wants the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// What is asked of whom: `TCP_CHECK of 192.0.2.1:80`.
    pub check: String,
    /// Who wants the answer, each a real server of a virtual server. More than one: they share this check.
    pub servers: Vec<Asker>,
    /// `up`, `down`, `unknown` (not asked yet), `cannot run` (our own trouble) or `suspended` (`ha_suspend`).
    pub state: String,
    /// Milliseconds in that state.
    pub since_ms: u64,
    /// Last result in words.
    pub last_result: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Times of the last successes (at most 32).
    pub latency: Option<LatencyReport>,
    /// `waits`, `due` (no room for one more conversation), `runs`, `listens` (a file, a BFD session), `rests` (`ha_suspend`).
    pub phase: String,
    /// Milliseconds until the next run, while it waits.
    pub next_run_ms: Option<u64>,
    /// By how much the last run started late, in microseconds.
    pub late_us: u64,
    /// What the program of a failing MISC_CHECK printed, at most 4 KiB.
    pub output: Option<String>,
}

/// A server that wants an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// Its virtual server, as configured.
    pub virtual_server: String,
    /// Its address and port in the kernel's table.
    pub real_server: SocketAddr,
}

/// Microseconds: the last, and the times that so many of a hundred kept within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// The last one.
    pub last_us: u64,
    /// 50 of 100.
    pub p50_us: u64,
    /// 95 of 100.
    pub p95_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
}

/// `holdfastctl check-now --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckNowReport {
    /// What was said, one after the other as they ended.
    pub conversations: Vec<Conversation>,
    /// What was not asked, or has not ended in time, and why.
    pub left_out: Vec<String>,
}

/// One conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// What was asked of whom.
    pub check: String,
    /// Step by step.
    pub steps: Vec<Step>,
    /// `success`, `failure` or `not made`.
    pub outcome: String,
    /// In words.
    pub words: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What the checker believed after it.
    pub state: String,
}

/// One step of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Microseconds since the beginning.
    pub after_us: u64,
    /// `note`, `sent` or `received`.
    pub kind: String,
    /// What was said (its beginning, controls escaped), or what happened.
    pub text: String,
    /// How many octets were sent or received; 0 for a note.
    pub octets: usize,
}

/// Which servers are asked about: an address, with or without a port; of a real server, a virtual server, or the endpoint
/// that a check asks. All when there is no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFilter {
    /// The address.
    pub address: Option<IpAddr>,
    /// The port; any when `None`.
    pub port: Option<u16>,
}

impl FromStr for ServerFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerFilter, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(ServerFilter { address: Some(address), port: None });
        }
        let endpoint = text.parse::<SocketAddr>();
        let endpoint = endpoint.map_err(|_| format!("{text} is no ADDRESS, ADDRESS:PORT or [IPv6]:PORT"))?;
        Ok(ServerFilter { address: Some(endpoint.ip()), port: Some(endpoint.port()) })
    }
}

impl fmt::Display for ServerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (None, _) => f.write_str("all servers"),
            (Some(address), None) => address.fmt(f),
            (Some(address), Some(port)) => SocketAddr::new(address, port).fmt(f),
        }
    }
}

impl ServerFilter {
    fn takes(&self, endpoint: SocketAddr) -> bool {
        self.address.is_none_or(|address| address == endpoint.ip())
            && self.port.is_none_or(|port| port == endpoint.port())
    }

    fn takes_service(&self, server: &VirtualServer) -> bool {
        server.keys.iter().any(|key| match key {
            ServiceKey::Endpoint { address, port, .. } => self.takes(SocketAddr::new(*address, *port)),
            ServiceKey::FwMark { .. } => false,
        })
    }
}

/// The questions of the plan in force that `filter` takes, each once in the order of the plan, with those who ask it.
pub fn asked(director: &Director, filter: ServerFilter) -> Vec<(Arc<Question>, Vec<Asker>)> {
    let mut found: Vec<(Arc<Question>, Vec<Asker>)> = Vec::new();
    let mut places: HashMap<&Question, usize> = HashMap::new();
    for server in &director.plan().virtual_servers {
        for real in &server.real_servers {
            for question in real.checkers.iter().map(CheckerPlan::question) {
                let asker = Asker { virtual_server: server.name.clone(), real_server: real.endpoint };
                let taken = filter.takes(real.endpoint)
                    || filter.takes(question.target.endpoint)
                    || filter.takes_service(server);
                match places.get(&**question).and_then(|at| found.get_mut(*at)) {
                    Some((_, askers)) if askers.last() != Some(&asker) => askers.push(asker),
                    Some(_) => {}
                    None if taken => {
                        places.insert(question, found.len());
                        found.push((question.clone(), vec![asker]));
                    }
                    None => {}
                }
            }
        }
    }
    found
}

/// The checks that `filter` takes. `output`: what the program of a check printed when it failed last.
pub fn report<'a>(
    director: &Director,
    checks: &Checks,
    filter: ServerFilter,
    now: Instant,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
) -> ChecksReport {
    let one = |(question, servers): (Arc<Question>, _)| CheckReport {
        servers,
        ..check(checks, &question, now, output)
    };
    ChecksReport {
        checks: asked(director, filter).into_iter().map(one).collect(),
        running: checks.running(),
        waiting_for_room: checks.waiting_for_room(),
    }
}

/// What the checker that asks `question` believes, in a word.
pub fn belief(checks: &Checks, question: &Question) -> &'static str {
    state(checks.view(question))
}

fn check<'a>(
    checks: &Checks,
    question: &Question,
    now: Instant,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
) -> CheckReport {
    let named = CheckReport { check: question.to_string(), ..CheckReport::default() };
    let Some(view) = checks.view(question) else {
        return CheckReport { state: state(None).into(), phase: "rests".into(), ..named };
    };
    let (phase, next_run) = match view.phase {
        Phase::Waiting(due) => ("waits", Some(due.saturating_duration_since(now))),
        Phase::Ready => ("due", None),
        Phase::Running => ("runs", None),
        Phase::Listening => ("listens", None),
    };
    let latencies = view.machine.latencies();
    let micros = |percent| latencies.percentile(percent).map_or(0, |time| time.as_micros() as u64);
    let last = view.machine.latency();
    CheckReport {
        state: state(Some(view)).into(),
        since_ms: now.saturating_duration_since(view.since).as_millis() as u64,
        last_result: view.machine.last_result().map(str::to_owned),
        failures: view.machine.failures(),
        latency: last.map(|last| LatencyReport {
            last_us: last.as_micros() as u64,
            p50_us: micros(50),
            p95_us: micros(95),
            p99_us: micros(99),
        }),
        phase: phase.into(),
        next_run_ms: next_run.map(|time| time.as_millis() as u64),
        late_us: view.late.as_micros() as u64,
        output: checks.id(question).and_then(output).map(str::to_owned),
        ..named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_address_and_port() {
        let filter = |text: &str| text.parse::<ServerFilter>();
        let endpoint: SocketAddr = ([192, 0, 2, 1], 80).into();
        assert!(filter("192.0.2.1").is_ok_and(|f| f.takes(endpoint)));
        assert!(filter("192.0.2.1:80").is_ok_and(|f| f.takes(endpoint)));
        assert!(filter("192.0.2.1:81").is_ok_and(|f| !f.takes(endpoint)));
        assert!(filter("2001:db8::1").is_ok_and(|f| !f.takes(endpoint)));
        assert_eq!(filter("[2001:db8::1]:443").map(|f| f.to_string()), Ok("[2001:db8::1]:443".into()));
        assert!(filter("web").is_err_and(|why| why.starts_with("web is no ADDRESS")));
        assert!(ServerFilter::default().takes(endpoint));
    }
}
