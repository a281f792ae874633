//! The checker role's view of itself.

use super::traffic;
use super::{CheckerDetail, CheckerStatus, RealServerStatus, VirtualServerStatus};
use crate::check::checker::Belief;
use crate::check::{CheckId, Checks, View};
use crate::lvs::director::Director;
use crate::lvs::traffic::Wall;
use crate::plan::check::CheckerPlan;
use crate::plan::lvs::{RealServer, ServiceKey, VirtualServer};
use crate::time::Instant;
use std::net::SocketAddr;

/// Clocks of a snapshot.
pub struct Clocks<'a> {
    /// The machine's.
    pub wall: Wall,
    /// The moment of the snapshot.
    pub now: Instant,
    /// When the process began.
    pub began: Instant,
    /// Since when a server of a service is what it is, if it changed in the process's time.
    pub since: &'a dyn Fn(&ServiceKey, &SocketAddr) -> Option<Instant>,
}

/// What the policy and the checkers know now. `ipvs_error`: why the kernel's table is not as it should be.
///
/// `output`: what the program of a check printed when it failed last.
pub fn snapshot<'a>(
    director: &Director,
    checks: &Checks,
    ipvs_error: Option<String>,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
    clocks: &Clocks<'_>,
) -> CheckerStatus {
    let servers = director.plan().virtual_servers.iter().enumerate();
    CheckerStatus {
        ipvs_error,
        virtual_servers: servers
            .map(|(index, plan)| virtual_server(director, checks, index, plan, output, clocks))
            .collect(),
        table_latency: None,
        table: None,
        overrides: traffic::overrides(director, clocks.wall),
    }
}

fn virtual_server<'a>(
    director: &Director,
    checks: &Checks,
    index: usize,
    plan: &VirtualServer,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
    clocks: &Clocks<'_>,
) -> VirtualServerStatus {
    let by_hand = director.traffic();
    let up = director.quorum_up(index);
    let real_servers = plan.real_servers.iter().enumerate().map(|(server_index, server)| RealServerStatus {
        endpoint: server.endpoint,
        weight: director.weight(index, server_index),
        up: director.server_up(index, server_index),
        configured_weight: server.weight,
        grows_to: director.grows_to(index, server_index),
        by_hand: traffic::by_hand(by_hand, plan, server),
        set: server.set.as_deref().map(str::to_owned),
        cause: director.cause(index, server_index).map(str::to_owned),
        since_seconds: clocks.now.saturating_duration_since(since(checks, plan, server, clocks)).as_secs(),
        checkers: server.checkers.iter().map(|checker| detail(checks, checker, output)).collect(),
        kept: director.is_kept(index, server_index),
    });
    VirtualServerStatus {
        name: plan.name.clone(),
        up,
        live_weight: director.live_weight(index),
        quorum: plan.quorum,
        hysteresis: plan.hysteresis,
        sorry_server_in_use: plan.sorry_server.is_some() && !up,
        real_servers: real_servers.collect(),
        services: plan.keys.clone(),
        active_set: by_hand.set(plan).map(str::to_owned),
        min_alive: plan.min_alive,
    }
}

/// Since when the server is up or down. One that has not changed is as its checks believe, and a process before this one
/// may have made them believe it.
fn since(checks: &Checks, plan: &VirtualServer, server: &RealServer, clocks: &Clocks<'_>) -> Instant {
    let changed = plan.keys.first().and_then(|key| (clocks.since)(key, &server.endpoint));
    let believed = || {
        server.checkers.iter().filter_map(|checker| checks.view(checker.question())).map(|view| view.since)
    };
    changed.or_else(|| believed().max()).unwrap_or(clocks.began)
}

fn detail<'a>(
    checks: &Checks,
    plan: &CheckerPlan,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
) -> CheckerDetail {
    let question = plan.question();
    let view = checks.view(question);
    let machine = view.map(|view| view.machine);
    CheckerDetail {
        kind: question.kind.keyword().into(),
        state: state(view).into(),
        last_result: machine.and_then(|machine| machine.last_result()).map(str::to_owned),
        latency_us: machine.and_then(|machine| machine.latency()).map(|latency| latency.as_micros() as u64),
        failures: machine.map_or(0, |machine| machine.failures()),
        output: checks.id(question).and_then(output).map(str::to_owned),
    }
}

/// What a checker believes, in a word; one that cannot be asked says just that.
pub(super) fn state(view: Option<View<'_>>) -> &'static str {
    match view.map(|view| (view.not_run, view.machine.belief())) {
        // Of a plan in force only those of `ha_suspend` are not asked.
        None => "suspended",
        Some((Some(_), _)) => "cannot run",
        Some((None, Belief::Unknown)) => "unknown",
        Some((None, Belief::Up)) => "up",
        Some((None, Belief::Down)) => "down",
    }
}
