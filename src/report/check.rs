//! The checker role's view of itself.

use super::{CheckerDetail, CheckerStatus, RealServerStatus, VirtualServerStatus};
use crate::check::checker::{Belief, Checker};
use crate::check::{CheckId, Checks};
use crate::lvs::director::Director;
use crate::plan::check::CheckerPlan;
use crate::plan::lvs::VirtualServer;

/// What the policy and the checkers know now. `ipvs_error`: why the kernel's table is not as it should be.
///
/// `output`: what the program of a check printed when it failed last.
pub fn snapshot<'a>(
    director: &Director,
    checks: &Checks,
    ipvs_error: Option<String>,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
) -> CheckerStatus {
    let servers = director.plan().virtual_servers.iter().enumerate();
    CheckerStatus {
        ipvs_error,
        virtual_servers: servers
            .map(|(index, plan)| virtual_server(director, checks, index, plan, output))
            .collect(),
    }
}

fn virtual_server<'a>(
    director: &Director,
    checks: &Checks,
    index: usize,
    plan: &VirtualServer,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
) -> VirtualServerStatus {
    let up = director.quorum_up(index);
    let real_servers = plan.real_servers.iter().enumerate().map(|(server_index, server)| RealServerStatus {
        endpoint: server.endpoint,
        weight: director.weight(index, server_index),
        up: director.server_up(index, server_index),
        checkers: server.checkers.iter().map(|checker| detail(checks, checker, output)).collect(),
    });
    VirtualServerStatus {
        name: plan.name.clone(),
        up,
        live_weight: director.live_weight(index),
        quorum: plan.quorum,
        hysteresis: plan.hysteresis,
        sorry_server_in_use: plan.sorry_server.is_some() && !up,
        real_servers: real_servers.collect(),
    }
}

fn detail<'a>(
    checks: &Checks,
    plan: &CheckerPlan,
    output: &dyn Fn(CheckId) -> Option<&'a str>,
) -> CheckerDetail {
    let question = plan.question();
    let machine = checks.checker(&question);
    CheckerDetail {
        kind: plan.kind.keyword().into(),
        state: state(machine).into(),
        last_result: machine.and_then(|machine| machine.last_result()).map(str::to_owned),
        latency_us: machine.and_then(|machine| machine.latency()).map(|latency| latency.as_micros() as u64),
        failures: machine.map_or(0, |machine| machine.failures()),
        output: checks.id(&question).and_then(output).map(str::to_owned),
    }
}

/// What a checker believes, in a word.
pub(super) fn state(machine: Option<&Checker>) -> &'static str {
    match machine.map(|machine| machine.belief()) {
        // Of a plan in force only those of `ha_suspend` are not asked.
        None => "suspended",
        Some(Belief::Unknown) => "unknown",
        Some(Belief::Up) => "up",
        Some(Belief::Down) => "down",
    }
}
