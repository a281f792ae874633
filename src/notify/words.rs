//! How keepalived writes down whom something is about.

use crate::net::TransportProtocol;
use crate::plan::lvs::ServiceKey;
use std::fmt;
use std::net::SocketAddr;

/// Whom news is about. What is told of one subject is told in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An instance, by name.
    Instance(String),
    /// A sync group, by name.
    Group(String),
    /// A virtual server, by its first service.
    Service(ServiceKey),
    /// A real server of it.
    Server(ServiceKey, SocketAddr),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Instance(name) => write!(f, "vrrp_instance {name}"),
            Subject::Group(name) => write!(f, "vrrp_sync_group {name}"),
            Subject::Service(service) => write!(f, "virtual_server {service}"),
            Subject::Server(service, endpoint) => write!(f, "real_server {endpoint} of {service}"),
        }
    }
}

/// A virtual server as FIFO lines and mail name it: `[192.0.2.1]:tcp:80`, `FWM 5`, `[GROUP]:0`.
pub(super) fn service_label(service: &ServiceKey, group: Option<&str>) -> String {
    match (group, service) {
        // A group has no port of its own; keepalived writes the unset one.
        (Some(group), _) => format!("[{group}]:0"),
        (None, ServiceKey::FwMark { mark, .. }) => format!("FWM {mark}"),
        (None, ServiceKey::Endpoint { protocol, address, port }) => {
            format!("[{address}]:{}:{port}", protocol_word(*protocol))
        }
    }
}

/// A real server as FIFO lines and mail name it: `[10.0.0.1]:tcp:80`; without a protocol it is behind marks alone.
pub(super) fn server_label(protocol: Option<TransportProtocol>, endpoint: &SocketAddr) -> String {
    let protocol = protocol.map_or("none", protocol_word);
    format!("[{}]:{protocol}:{}", endpoint.ip(), endpoint.port())
}

fn protocol_word(protocol: TransportProtocol) -> &'static str {
    match protocol {
        TransportProtocol::Tcp => "tcp",
        TransportProtocol::Udp => "udp",
        TransportProtocol::Sctp => "sctp",
    }
}
