//! What is said of traffic by hand, for people and programs.

use crate::lvs::director::Director;
use crate::lvs::traffic::orders::Touched;
use crate::lvs::traffic::{Hand, Override, Traffic, Wall};
use crate::plan::lvs::{LvsPlan, RealServer, ServiceKey, VirtualServer};
use serde::{Deserialize, Serialize};

/// One override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideStatus {
    /// Names it (`holdfastctl overrides --drop`).
    pub number: u32,
    /// `drain`, `weight` or `set`.
    pub kind: String,
    /// The virtual server, by name, or by its service when the configuration has it no more; none for all of them.
    pub virtual_server: Option<String>,
    /// The real server, for `drain` and `weight`.
    pub server: Option<String>,
    /// The weight in the end, for `weight`.
    pub weight: Option<u32>,
    /// The weight now, for `weight`.
    pub weight_now: Option<u32>,
    /// The set, for `set`.
    pub set: Option<String>,
    /// Since when, in seconds.
    pub since_seconds: u64,
    /// Seconds until a ramp has arrived.
    pub ramp_seconds: Option<u64>,
    /// Seconds until it ends by itself.
    pub ends_in_seconds: Option<u64>,
    /// Is there anything in the configuration that it concerns?
    pub concerns_something: bool,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficOutcome {
    /// What was done, in sentences.
    pub said: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The servers that were meant.
    pub servers: Vec<Touched>,
    /// All that is said by hand now.
    pub overrides: Vec<OverrideStatus>,
    /// Why a restart would forget it, or the kernel's table does not follow.
    pub trouble: Vec<String>,
}

/// All overrides at `now`, in their order.
pub fn overrides(director: &Director, now: Wall) -> Vec<OverrideStatus> {
    let traffic = director.traffic();
    traffic.overrides().0.iter().map(|over| one(director.plan(), traffic, over, now)).collect()
}

fn one(plan: &LvsPlan, traffic: &Traffic, over: &Override, now: Wall) -> OverrideStatus {
    let seconds_to = |end: Wall| end.0.saturating_sub(now.0).div_ceil(1000);
    let mut status = OverrideStatus {
        number: over.number,
        kind: String::new(),
        virtual_server: None,
        server: None,
        weight: None,
        weight_now: None,
        set: None,
        since_seconds: now.0.saturating_sub(over.given.0) / 1000,
        ramp_seconds: None,
        ends_in_seconds: over.until.map(seconds_to),
        concerns_something: false,
    };
    let of = |service: &ServiceKey| plan.virtual_servers.iter().find(|server| server.keys.contains(service));
    let name = |service: &ServiceKey| of(service).map_or(service.to_string(), |server| server.name.clone());
    match &over.hand {
        Hand::Drain { service, server } => {
            status.kind = "drain".into();
            status.virtual_server = service.as_ref().map(name);
            status.server = Some(server.to_string());
            let at = |plan: &&VirtualServer| service.is_none_or(|service| plan.keys.contains(&service));
            let mut servers = plan.virtual_servers.iter().filter(at).flat_map(|plan| &plan.real_servers);
            status.concerns_something = servers.any(|real| server.names(&real.endpoint));
        }
        Hand::Weight { service, endpoint, weight, ramp } => {
            status.kind = "weight".into();
            status.virtual_server = Some(name(service));
            status.server = Some(endpoint.to_string());
            status.weight = Some(*weight);
            status.ramp_seconds = ramp.map(|ramp| seconds_to(ramp.end())).filter(|seconds| *seconds > 0);
            let found = of(service).and_then(|plan| Some((plan, find(plan, endpoint)?)));
            status.weight_now = found.and_then(|(plan, real)| traffic.weight(plan, real));
            status.concerns_something = found.is_some();
        }
        Hand::Set { service, set } => {
            status.kind = "set".into();
            status.virtual_server = Some(name(service));
            status.set = Some(set.clone());
            status.concerns_something =
                of(service).is_some_and(|plan| traffic.set(plan) == Some(set.as_str()));
        }
    }
    status
}

fn find<'a>(plan: &'a VirtualServer, endpoint: &std::net::SocketAddr) -> Option<&'a RealServer> {
    plan.real_servers.iter().find(|real| real.endpoint == *endpoint)
}

/// Why a server has the weight it has, if somebody or the set in use decided it.
pub fn by_hand(traffic: &Traffic, plan: &VirtualServer, server: &RealServer) -> Option<String> {
    if traffic.drained(plan, &server.endpoint).is_some() {
        return Some("drained by hand".into());
    }
    if traffic.rests(plan, server) {
        let (own, active) =
            (server.set.as_deref().unwrap_or_default(), traffic.set(plan).unwrap_or_default());
        return Some(format!("its set {own} rests, {active} serves"));
    }
    let over = traffic.weighed(plan, &server.endpoint)?;
    match over.hand {
        Hand::Weight { weight, ramp: Some(ramp), .. } if traffic.now() < ramp.end() => {
            Some(format!("by hand on its way to {weight}, configured {}", server.weight))
        }
        _ => Some(format!("by hand, configured {}", server.weight)),
    }
}
