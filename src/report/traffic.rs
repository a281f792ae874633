//! What is said of traffic by hand, for people and programs.

use super::TableHome;
use crate::lvs::director::Director;
use crate::lvs::traffic::orders::Touched;
use crate::lvs::traffic::{Hand, Override, Traffic, Wall};
use crate::plan::lvs::{LvsPlan, RealServer, ServiceKey, VirtualServer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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

impl OverrideStatus {
    /// What it says. `span` writes the seconds that a ramp still takes.
    pub fn words(&self, span: impl Fn(u64) -> String) -> String {
        let place = self.virtual_server.as_deref().unwrap_or("every virtual server");
        let mut words = match (&self.server, self.weight, &self.set) {
            (Some(server), Some(weight), _) => match (self.ramp_seconds, self.weight_now) {
                (Some(left), Some(now)) => {
                    format!("{server} at {place}: weight {now}, {weight} in {}", span(left))
                }
                _ => format!("{server} at {place}: weight {weight}"),
            },
            (Some(server), None, _) => format!("{server} at {place}: drained"),
            (None, _, set) => format!("{place}: set {} serves", set.as_deref().unwrap_or("?")),
        };
        if !self.concerns_something {
            words += " (nothing in the configuration fits)";
        }
        words
    }
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
    /// Where the table is.
    #[serde(default)]
    pub table: Option<TableHome>,
}

/// All overrides at `now`, in their order.
pub fn overrides(director: &Director, now: Wall) -> Vec<OverrideStatus> {
    let traffic = director.traffic();
    traffic.overrides().0.iter().map(|over| one(director.plan(), traffic, over, now)).collect()
}

/// Those in force that `new` has no more, in words.
pub fn ended(director: &Director, new: &Traffic) -> Vec<String> {
    let kept: BTreeSet<u32> = new.overrides().0.iter().map(|over| over.number).collect();
    let all = overrides(director, new.now()).into_iter();
    let gone = all.filter(|over| !kept.contains(&over.number));
    gone.map(|over| over.words(|seconds| format!("{seconds} s"))).collect()
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
    let of = over.hand.service().and_then(|_| plan.virtual_servers.iter().find(|plan| over.is_about(plan)));
    let at = |service: &ServiceKey| match (of, &over.group) {
        (Some(server), _) => server.name.clone(),
        (None, Some(group)) => format!("group {group}"),
        (None, None) => service.to_string(),
    };
    match &over.hand {
        Hand::Drain { service, server } => {
            status.kind = "drain".into();
            status.virtual_server = service.as_ref().map(at);
            status.server = Some(server.to_string());
            let meant = plan.virtual_servers.iter().filter(|plan| over.is_about(plan));
            let mut servers = meant.flat_map(|plan| &plan.real_servers);
            status.concerns_something = servers.any(|real| server.names(&real.endpoint));
        }
        Hand::Weight { service, endpoint, weight, ramp } => {
            status.kind = "weight".into();
            status.virtual_server = Some(at(service));
            status.server = Some(endpoint.to_string());
            status.weight = Some(*weight);
            status.ramp_seconds = ramp.map(|ramp| seconds_to(ramp.end())).filter(|seconds| *seconds > 0);
            let found = of.and_then(|plan| Some((plan, find(plan, endpoint)?)));
            status.weight_now = found.and_then(|(plan, real)| traffic.weight(plan, real));
            status.concerns_something = found.is_some();
        }
        Hand::Set { service, set } => {
            status.kind = "set".into();
            status.virtual_server = Some(at(service));
            status.set = Some(set.clone());
            status.concerns_something = of.is_some_and(|plan| traffic.set(plan) == Some(set.as_str()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvs::table::Table;
    use crate::lvs::traffic::orders::{Order, decide};

    #[test]
    fn what_has_come_to_its_end_is_named() {
        let key = ServiceKey::Endpoint {
            protocol: crate::net::TransportProtocol::Tcp,
            address: [192, 0, 2, 1].into(),
            port: 80,
        };
        let server = RealServer {
            endpoint: "10.0.0.1:80".parse().expect("an endpoint"),
            weight: 1,
            forwarding: crate::plan::lvs::ForwardingMethod::Masquerade,
            inhibit_on_failure: false,
            upper_threshold: 0,
            lower_threshold: 0,
            checkers: Vec::new(),
            set: None,
            slow_start: std::time::Duration::ZERO,
        };
        let web = VirtualServer::new("192.0.2.1 80".to_owned(), vec![key], vec![server]);
        let plan = LvsPlan { virtual_servers: vec![web], ..LvsPlan::default() };
        let mut director = Director::start(plan, &Table::default(), &mut Vec::new());
        let order = Order::Drain {
            server: "10.0.0.1:80".into(),
            virtual_server: None,
            until: Some(Wall(61_000)),
            force: true,
        };
        let decided = decide(&director, &order, Wall(1_000)).expect("it may");
        director.set_traffic(Traffic::new(decided.overrides, Wall(1_000)), &mut Vec::new());
        let then = |at| ended(&director, &director.traffic().at(Wall(at)));
        assert_eq!(then(60_999), [""; 0]);
        assert_eq!(then(61_000), ["10.0.0.1:80 at every virtual server: drained"]);
    }
}
