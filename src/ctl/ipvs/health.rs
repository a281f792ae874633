//! What the daemon knows of the health of servers, beside the lines of a listing.

use crate::ctl::status::checker;
use crate::ctl::text::{clean, span};
use crate::net::TransportProtocol;
use crate::netlink::ipvs_raw::{MASQUERADE, RawDestination, RawService};
use crate::plan::lvs::ServiceKey;
use crate::report::{CheckerDetail, CheckerStatus, RealServerStatus, VirtualServerStatus};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Servers by service and endpoint.
#[derive(Debug, Default)]
pub struct Health<'a> {
    services: HashMap<ServiceKey, &'a VirtualServerStatus>,
    servers: HashMap<(ServiceKey, SocketAddr), &'a RealServerStatus>,
    /// Those by address alone: packets that are not translated keep the service's port, whatever the server's is called.
    addresses: HashMap<(ServiceKey, IpAddr), &'a RealServerStatus>,
}

impl<'a> Health<'a> {
    /// As the checker role tells it.
    pub fn of(status: &'a CheckerStatus) -> Health<'a> {
        let mut health = Health::default();
        for server in &status.virtual_servers {
            for key in &server.services {
                health.services.insert(*key, server);
                let servers = server.real_servers.iter().map(|real| ((*key, real.endpoint), real));
                health.servers.extend(servers);
                let addresses = server.real_servers.iter().map(|real| ((*key, real.endpoint.ip()), real));
                health.addresses.extend(addresses);
            }
        }
        health
    }

    /// The line of a service, with the state of its virtual server.
    pub fn service(&self, line: &str, service: &RawService) -> String {
        let words = match key_of(service).and_then(|key| self.services.get(&key)) {
            None => "not of this daemon".to_owned(),
            Some(server) if server.sorry_server_in_use => {
                format!(
                    "{}: SORRY SERVER IN USE, live weight {} of {}",
                    server.name, server.live_weight, server.quorum
                )
            }
            Some(server) if server.up => format!("{}: up, live weight {}", server.name, server.live_weight),
            Some(server) => {
                format!("{}: DOWN, live weight {} of {}", server.name, server.live_weight, server.quorum)
            }
        };
        format!("{}  [{}]\n", line.trim_end(), clean(&words))
    }

    /// The line of a destination, with why it is in or out.
    pub fn destination(&self, line: &str, service: &RawService, destination: &RawDestination) -> String {
        let known = key_of(service).and_then(|key| self.server(key, destination));
        match known {
            Some(server) => format!("{}  [{}]\n", line.trim_end(), clean(&words(server))),
            None => line.to_owned(),
        }
    }

    /// Lines for the servers of a service that are not in the kernel's table.
    pub fn missing(&self, service: &RawService, there: &[RawDestination]) -> String {
        let Some(key) = key_of(service) else { return String::new() };
        let known: HashSet<SocketAddr> =
            there.iter().filter_map(|have| self.server(key, have)).map(|real| real.endpoint).collect();
        let servers = self.services.get(&key).into_iter().flat_map(|server| &server.real_servers);
        servers
            .filter(|real| !known.contains(&real.endpoint))
            .map(|real| format!("  -x {:<28} not in the table  [{}]\n", real.endpoint, clean(&words(real))))
            .collect()
    }

    fn server(&self, key: ServiceKey, destination: &RawDestination) -> Option<&'a RealServerStatus> {
        let endpoint = SocketAddr::new(destination.address, destination.port);
        let by_address = || self.addresses.get(&(key, endpoint.ip()));
        let named = self.servers.get(&(key, endpoint));
        named.or_else(|| by_address().filter(|_| destination.forwarding != MASQUERADE)).copied()
    }
}

/// Up or down, since when, why; then what each check heard last.
fn words(server: &RealServerStatus) -> String {
    let state = match (server.up, server.kept) {
        (true, _) => "up",
        (false, true) => "DOWN, kept in service",
        (false, false) => "DOWN",
    };
    let mut words = format!("{state} for {}", span(server.since_seconds));
    if let Some(why) = &server.by_hand {
        words += &format!(", {why}");
    }
    match (&server.cause, server.checkers.is_empty()) {
        (Some(cause), _) => {
            words += &format!(": {cause}");
            // The cause is that of the fall; a check that fails may hear something else by now.
            let news =
                |it: &&CheckerDetail| it.last_result.as_ref().is_some_and(|last| !cause.ends_with(last));
            for failing in server.checkers.iter().filter(|it| it.state != "up").filter(news) {
                words += &format!("; now {}", checker(failing));
            }
        }
        (None, true) => words += ", not checked",
        (None, false) => {
            let checks: Vec<String> = server.checkers.iter().map(checker).collect();
            words += &format!(": {}", checks.join("; "));
        }
    }
    words
}

/// The daemon's name of a service, if it could have it.
fn key_of(service: &RawService) -> Option<ServiceKey> {
    if service.mark != 0 {
        return Some(ServiceKey::FwMark { family: service.family, mark: service.mark });
    }
    let protocols = [TransportProtocol::Tcp, TransportProtocol::Udp, TransportProtocol::Sctp];
    let protocol = protocols.into_iter().find(|known| u16::from(known.number()) == service.protocol)?;
    Some(ServiceKey::Endpoint { protocol, address: service.address, port: service.port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::ipvs_raw::DIRECT;

    fn server(last: u8, up: bool) -> RealServerStatus {
        RealServerStatus {
            endpoint: SocketAddr::from(([10, 0, 0, last], 80)),
            weight: 1,
            up,
            checkers: Vec::new(),
            configured_weight: 1,
            grows_to: None,
            by_hand: None,
            set: None,
            cause: (!up).then(|| "TCP_CHECK 10.0.0.2:80: connection \u{1b}refused".to_owned()),
            since_seconds: 75,
            kept: false,
        }
    }

    #[test]
    fn every_line_says_why_and_servers_out_of_the_table_get_one() {
        let key = ServiceKey::Endpoint {
            protocol: TransportProtocol::Tcp,
            address: [192, 0, 2, 1].into(),
            port: 80,
        };
        let checked = RealServerStatus {
            checkers: vec![CheckerDetail {
                kind: "TCP_CHECK".to_owned(),
                state: "up".to_owned(),
                last_result: None,
                latency_us: Some(1234),
                failures: 0,
                output: None,
            }],
            ..server(3, true)
        };
        let failing = |heard: &str| CheckerDetail {
            kind: "TCP_CHECK".to_owned(),
            state: "down".to_owned(),
            last_result: Some(heard.to_owned()),
            latency_us: None,
            failures: 3,
            output: None,
        };
        let out = |heard| {
            words(&RealServerStatus {
                cause: Some("TCP_CHECK 10.0.0.2:80: connection refused".to_owned()),
                checkers: vec![failing(heard)],
                ..server(2, false)
            })
        };
        let since = "DOWN for 1 min 15 s: TCP_CHECK 10.0.0.2:80: connection refused";
        assert_eq!(out("connection refused"), since);
        assert_eq!(out("timed out"), format!("{since}; now TCP_CHECK down (timed out), 3 failures in a row"));
        let drained = RealServerStatus { by_hand: Some("drained by hand".to_owned()), ..server(1, true) };
        let status = CheckerStatus {
            virtual_servers: vec![VirtualServerStatus {
                name: "192.0.2.1 80".to_owned(),
                up: true,
                live_weight: 1,
                quorum: 1,
                hysteresis: 0,
                sorry_server_in_use: false,
                real_servers: vec![drained, server(2, false), checked],
                services: vec![key],
                active_set: None,
                min_alive: 0,
            }],
            ..CheckerStatus::default()
        };
        let health = Health::of(&status);
        let service = RawService::of_key(&key);
        assert_eq!(
            health.service("TCP  192.0.2.1:80 wrr\n", &service),
            "TCP  192.0.2.1:80 wrr  [192.0.2.1 80: up, live weight 1]\n"
        );
        let there: Vec<RawDestination> = [1, 3]
            .map(|last| RawDestination {
                address: [10, 0, 0, last].into(),
                port: 80,
                ..RawDestination::nowhere()
            })
            .into();
        let line = |index: usize| health.destination("  -> x \n", &service, &there[index]);
        assert_eq!(line(0), "  -> x  [up for 1 min 15 s, drained by hand, not checked]\n");
        assert_eq!(line(1), "  -> x  [up for 1 min 15 s: TCP_CHECK up in 1.2 ms]\n");
        assert_eq!(
            health.missing(&service, &there),
            "  -x 10.0.0.2:80                  not in the table  [DOWN for 1 min 15 s: TCP_CHECK 10.0.0.2:80: connection ?refused]\n"
        );
        let foreign = RawService { port: 81, ..service.clone() };
        assert!(health.service("x\n", &foreign).contains("not of this daemon"));
        assert_eq!(health.destination("  -> x \n", &foreign, &there[0]), "  -> x \n");
        assert_eq!(health.missing(&foreign, &there), "");
        // Direct routing: the service's port, whatever the server's is called. With NAT another port is another server.
        let routed = |forwarding| RawDestination { port: 81, forwarding, ..there[0].clone() };
        assert!(health.destination("  -> x \n", &service, &routed(DIRECT)).contains("drained by hand"));
        assert!(!health.missing(&service, &[routed(DIRECT)]).contains("10.0.0.1:80"));
        assert_eq!(health.destination("  -> x \n", &service, &routed(MASQUERADE)), "  -> x \n");
        assert!(health.missing(&service, &[routed(MASQUERADE)]).contains("10.0.0.1:80"));
    }
}
