//! The table in ipvsadm's layout (ipvsadm 1.31, `-L` and `-Ln`), and the same facts for JSON. Pure.

use super::names::Names;
use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::lvs::{ForwardingMethod, ServiceKey, TunnelKind};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Scheduler flags as bits 3 to 5 of the service flags.
const SCHEDULER_FLAGS: [u32; 3] = [0x08, 0x10, 0x20];

/// The whole table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Version of IPVS.
    pub version: String,
    /// Slots of the connection table.
    pub size: u32,
    /// The services in ipvsadm's order.
    pub services: Vec<ServiceLine>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceLine {
    /// Identity.
    pub key: ServiceKey,
    /// Scheduler.
    pub scheduler: String,
    /// Scheduler flags (0x08, 0x10, 0x20).
    pub scheduler_flags: u32,
    /// Persistence in seconds.
    pub persistence_seconds: Option<u32>,
    /// Clients are grouped by this many leading bits, when persistent.
    pub granularity_prefix: Option<u8>,
    /// Persistence engine.
    pub persistence_engine: Option<String>,
    /// One-packet scheduling.
    pub one_packet: bool,
    /// The destinations in ipvsadm's order.
    pub destinations: Vec<DestinationLine>,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationLine {
    /// Address and port.
    pub endpoint: SocketAddr,
    /// How packets reach it.
    pub forwarding: ForwardingMethod,
    /// Weight.
    pub weight: u32,
    /// Connections in an established state.
    pub active_connections: u32,
    /// Other connections.
    pub inactive_connections: u32,
}

impl Listing {
    /// ipvsadm's order: endpoints before marks; IPv4 before IPv6; protocol, address, port by their numbers.
    ///
    /// ipvsadm compares addresses by the sign of a 32-bit difference, which makes its order depend on the
    /// kernel's when addresses are more than half the range apart (10/8 and 192.168/16). Ours is the plain order.
    pub fn sort(&mut self) {
        self.services.sort_by_key(|service| match service.key {
            ServiceKey::Endpoint { protocol, address, port } => {
                (0, AddressFamily::of(address), Some((protocol.number(), address, port)))
            }
            ServiceKey::FwMark { family, mark } => (mark, family, None),
        });
        for service in &mut self.services {
            service.destinations.sort_by_key(|destination| destination.endpoint);
        }
    }

    /// The text that ipvsadm prints, trailing blanks included.
    pub fn render(&self, names: &Names) -> String {
        let mut text = format!(
            "IP Virtual Server version {} (size={})\n\
             Prot LocalAddress:Port Scheduler Flags\n\
             \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n",
            self.version, self.size
        );
        for service in &self.services {
            text += &service_line(service, names);
            for destination in &service.destinations {
                text += &destination_line(destination, service.key, names);
            }
        }
        text
    }
}

fn service_line(service: &ServiceLine, names: &Names) -> String {
    let name = match service.key {
        ServiceKey::Endpoint { protocol, address, port } => {
            format!(
                "{:<4} {}",
                protocol.to_string(),
                names.endpoint(SocketAddr::new(address, port), Some(protocol))
            )
        }
        ServiceKey::FwMark { family: AddressFamily::V4, mark } => format!("FWM  {mark}"),
        ServiceKey::FwMark { family: AddressFamily::V6, mark } => format!("FWM  {mark} IPv6"),
    };
    let mut line = format!("{name} {}", service.scheduler);
    if service.scheduler_flags != 0 {
        line += &format!(" ({})", scheduler_flags(&service.scheduler, service.scheduler_flags).join(","));
    }
    if let Some(seconds) = service.persistence_seconds {
        line += &format!(" persistent {seconds}");
    }
    let family = service.key.family();
    if let Some(prefix) = service.granularity_prefix.filter(|prefix| *prefix != family.host_prefix()) {
        line += &match family {
            AddressFamily::V4 => format!(" mask {}", mask(prefix)),
            AddressFamily::V6 => format!(" mask {prefix}"),
        };
    }
    if let Some(engine) = &service.persistence_engine {
        line += &format!(" pe {engine}");
    }
    if service.one_packet {
        line += " ops";
    }
    line + "\n"
}

/// The flags by the names that their scheduler gives them.
fn scheduler_flags(scheduler: &str, flags: u32) -> Vec<&'static str> {
    let names = match scheduler {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    SCHEDULER_FLAGS.into_iter().zip(names).filter(|(bit, _)| flags & bit != 0).map(|(_, name)| name).collect()
}

/// A prefix length as a dotted mask.
fn mask(prefix: u8) -> Ipv4Addr {
    let host_bits = 32 - u32::from(prefix.min(32));
    Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

fn destination_line(destination: &DestinationLine, key: ServiceKey, names: &Names) -> String {
    let protocol: Option<TransportProtocol> = match key {
        ServiceKey::Endpoint { protocol, .. } => Some(protocol),
        ServiceKey::FwMark { .. } => None,
    };
    let forward = match destination.forwarding {
        ForwardingMethod::Masquerade => "Masq",
        ForwardingMethod::DirectRouting => "Route",
        ForwardingMethod::Tunnel(TunnelKind::Ipip | TunnelKind::Gue { .. } | TunnelKind::Gre { .. }) => {
            "Tunnel"
        }
    };
    format!(
        "  -> {:<28} {:<7} {:<6} {:<10} {:<10}\n",
        names.endpoint(plain(destination.endpoint), protocol),
        forward,
        destination.weight,
        destination.active_connections,
        destination.inactive_connections
    )
}

/// Without a scope, which ipvsadm does not print.
fn plain(endpoint: SocketAddr) -> SocketAddr {
    match endpoint.ip() {
        IpAddr::V4(_) => endpoint,
        IpAddr::V6(address) => SocketAddr::new(IpAddr::V6(address), endpoint.port()),
    }
}

#[cfg(test)]
mod tests;
