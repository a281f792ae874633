//! Changes to octets.

use super::{
    CHECKSUM_FULL, CHECKSUM_REMOTE, DEST, DIRECT, MASQUERADE, ONE_PACKET, PERSISTENT, SCHEDULER_FLAGS,
    SERVICE, TUNNEL, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_IPIP, address_octets, command, dest, family_number,
    netmask, service,
};
use crate::lvs::table::{Destination, ServiceSettings, TableOp};
use crate::net::AddressFamily;
use crate::netlink::genl;
use crate::netlink::message::Request;
use crate::plan::lvs::{ForwardingMethod, Granularity, ServiceKey, TunnelChecksum, TunnelKind};
use std::net::SocketAddr;

/// Version of the interface (IPVS_GENL_VERSION).
const VERSION: u8 = 1;

/// The request that performs `op`, for the family number that the kernel gave to IPVS.
pub fn encode(family: u16, op: &TableOp) -> Request {
    let with_service = |command, fill: &dyn Fn(&mut Request)| {
        let mut request = request(family, command);
        request.nest(SERVICE, |nest| fill(nest));
        request
    };
    let with_dest = |command, key: &ServiceKey, endpoint: &SocketAddr, settings: Option<&Destination>| {
        let mut request = with_service(command, &|nest| put_key(nest, key));
        request.nest(DEST, |nest| put_dest(nest, *endpoint, settings));
        request
    };
    match op {
        TableOp::AddService(key, settings) => {
            with_service(command::NEW_SERVICE, &|nest| put_service(nest, key, settings))
        }
        TableOp::EditService(key, settings) => {
            with_service(command::SET_SERVICE, &|nest| put_service(nest, key, settings))
        }
        TableOp::DelService(key) => with_service(command::DEL_SERVICE, &|nest| put_key(nest, key)),
        TableOp::AddDest(key, endpoint, dest) => with_dest(command::NEW_DEST, key, endpoint, Some(dest)),
        TableOp::EditDest(key, endpoint, dest) => with_dest(command::SET_DEST, key, endpoint, Some(dest)),
        TableOp::DelDest(key, endpoint) => with_dest(command::DEL_DEST, key, endpoint, None),
    }
}

/// A request without attributes.
pub fn request(family: u16, command: u8) -> Request {
    genl::request(family, command, VERSION)
}

/// A request about the service `key`: to show it, to list its destinations, to zero its counters.
pub fn about(family: u16, command: u8, key: &ServiceKey) -> Request {
    let mut request = request(family, command);
    request.nest(SERVICE, |nest| put_key(nest, key));
    request
}

fn put_key(nest: &mut Request, key: &ServiceKey) {
    nest.attribute(service::AF, &family_number(key.family()).to_ne_bytes());
    match key {
        ServiceKey::Endpoint { protocol, address, port } => {
            nest.attribute(service::PROTOCOL, &u16::from(protocol.number()).to_ne_bytes())
                .attribute(service::ADDR, &address_octets(*address))
                .attribute(service::PORT, &port.to_be_bytes());
        }
        ServiceKey::FwMark { mark, .. } => {
            nest.attribute(service::FWMARK, &mark.to_ne_bytes());
        }
    }
}

fn put_service(nest: &mut Request, key: &ServiceKey, settings: &ServiceSettings) {
    let persistent = if settings.persistence.is_some() { PERSISTENT } else { 0 };
    let one_packet = if settings.one_packet { ONE_PACKET } else { 0 };
    let flags = settings.scheduler_flags & SCHEDULER_FLAGS | persistent | one_packet;
    let (timeout, granularity) =
        settings.persistence.map_or((0, Granularity::Client), |p| (p.timeout_seconds, p.granularity));
    put_key(nest, key);
    nest.text(service::SCHED_NAME, &settings.scheduler);
    if let Some(engine) = &settings.persistence_engine {
        nest.text(service::PE_NAME, engine);
    }
    // struct ip_vs_flags: the flags, and a mask of those to be set.
    nest.attribute(service::FLAGS, &[flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat())
        .attribute(service::TIMEOUT, &timeout.to_ne_bytes())
        .attribute(service::NETMASK, &netmask(key.family(), granularity));
}

fn put_dest(nest: &mut Request, endpoint: SocketAddr, settings: Option<&Destination>) {
    nest.attribute(dest::ADDR_FAMILY, &family_number(AddressFamily::of(endpoint.ip())).to_ne_bytes())
        .attribute(dest::ADDR, &address_octets(endpoint.ip()))
        .attribute(dest::PORT, &endpoint.port().to_be_bytes());
    let Some(settings) = settings else { return };
    let forwarding = match settings.forwarding {
        ForwardingMethod::Masquerade => MASQUERADE,
        ForwardingMethod::DirectRouting => DIRECT,
        ForwardingMethod::Tunnel(_) => TUNNEL,
    };
    nest.attribute(dest::FWD_METHOD, &forwarding.to_ne_bytes())
        .attribute(dest::WEIGHT, &settings.weight.to_ne_bytes())
        .attribute(dest::U_THRESH, &settings.upper_threshold.to_ne_bytes())
        .attribute(dest::L_THRESH, &settings.lower_threshold.to_ne_bytes());
    if let ForwardingMethod::Tunnel(kind) = settings.forwarding {
        let (kind, port, checksum) = match kind {
            TunnelKind::Ipip => (TUNNEL_IPIP, 0, TunnelChecksum::None),
            TunnelKind::Gue { port, checksum } => (TUNNEL_GUE, port, checksum),
            TunnelKind::Gre { checksum } => (TUNNEL_GRE, 0, checksum),
        };
        let flags = match checksum {
            TunnelChecksum::None => 0,
            TunnelChecksum::Full => CHECKSUM_FULL,
            TunnelChecksum::Remote => CHECKSUM_REMOTE,
        };
        nest.attribute(dest::TUN_TYPE, &[kind])
            .attribute(dest::TUN_PORT, &port.to_be_bytes())
            .attribute(dest::TUN_FLAGS, &flags.to_ne_bytes());
    }
}
