//! The attributes of IPVS (linux/ip_vs.h): tables and changes to octets and back.

use super::genl;
use super::message::{Attribute, Malformed, Request, attributes};
use crate::lvs::table::{Destination, ServiceSettings, TableOp};
use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::lvs::{ForwardingMethod, Persistence, ServiceKey, TunnelChecksum, TunnelKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Version of the interface (IPVS_GENL_VERSION).
const VERSION: u8 = 1;

/// IPVS_CMD_*.
pub(super) mod command {
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const GET_SERVICE: u8 = 4;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const GET_DEST: u8 = 8;
    pub const GET_INFO: u8 = 15;
    pub const FLUSH: u8 = 17;
}

/// IPVS_CMD_ATTR_*.
const SERVICE: u16 = 1;
const DEST: u16 = 2;

/// IPVS_SVC_ATTR_*.
mod service {
    pub const AF: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const ADDR: u16 = 3;
    pub const PORT: u16 = 4;
    pub const FWMARK: u16 = 5;
    pub const SCHED_NAME: u16 = 6;
    pub const FLAGS: u16 = 7;
    pub const TIMEOUT: u16 = 8;
    pub const NETMASK: u16 = 9;
    pub const STATS: u16 = 10;
    pub const PE_NAME: u16 = 11;
    pub const STATS64: u16 = 12;
}

/// IPVS_DEST_ATTR_*.
mod dest {
    pub const ADDR: u16 = 1;
    pub const PORT: u16 = 2;
    pub const FWD_METHOD: u16 = 3;
    pub const WEIGHT: u16 = 4;
    pub const U_THRESH: u16 = 5;
    pub const L_THRESH: u16 = 6;
    pub const ACTIVE_CONNS: u16 = 7;
    pub const INACT_CONNS: u16 = 8;
    pub const PERSIST_CONNS: u16 = 9;
    pub const STATS: u16 = 10;
    pub const ADDR_FAMILY: u16 = 11;
    pub const STATS64: u16 = 12;
    pub const TUN_TYPE: u16 = 13;
    pub const TUN_PORT: u16 = 14;
    pub const TUN_FLAGS: u16 = 15;
}

/// IPVS_INFO_ATTR_*.
const INFO_VERSION: u16 = 1;
const INFO_TABLE_SIZE: u16 = 2;

/// Service flags (IP_VS_SVC_F_*). 0x2 (HASHED) is the kernel's own.
const PERSISTENT: u32 = 0x1;
const ONE_PACKET: u32 = 0x4;
const SCHEDULER_FLAGS: u32 = 0x38;
/// The flags that a user sets, as `ipvsadm` counts them.
pub const USER_FLAGS: u32 = PERSISTENT | ONE_PACKET | SCHEDULER_FLAGS;

/// The low bits of a destination's flags (IP_VS_CONN_F_FWD_MASK).
const FORWARDING_MASK: u32 = 0x7;
const MASQUERADE: u32 = 0;
const TUNNEL: u32 = 2;
const DIRECT: u32 = 3;

/// IP_VS_CONN_F_TUNNEL_TYPE_*.
const TUNNEL_IPIP: u8 = 0;
const TUNNEL_GUE: u8 = 1;
const TUNNEL_GRE: u8 = 2;

/// IP_VS_TUNNEL_ENCAP_FLAG_*.
const CHECKSUM_FULL: u16 = 1;
const CHECKSUM_REMOTE: u16 = 2;

/// What IPVS says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Version: major, minor, patch.
    pub version: (u8, u8, u8),
    /// Slots of the connection table.
    pub table_size: u32,
}

/// Counters of a service or destination; rates are the kernel's estimates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients (masquerading only).
    pub out_packets: u64,
    /// Octets from clients.
    pub in_bytes: u64,
    /// Octets to clients.
    pub out_bytes: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets from clients per second.
    pub in_packet_rate: u64,
    /// Packets to clients per second.
    pub out_packet_rate: u64,
    /// Octets from clients per second.
    pub in_byte_rate: u64,
    /// Octets to clients per second.
    pub out_byte_rate: u64,
}

/// A service as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Identity.
    pub key: ServiceKey,
    /// Settings.
    pub settings: ServiceSettings,
    /// The flags that a user sets: 0x1 persistent, 0x4 one-packet, 0x08, 0x10 and 0x20 the scheduler's.
    pub flags: u32,
    /// Counters.
    pub stats: Stats,
}

/// A destination as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationEntry {
    /// Address and port.
    pub endpoint: SocketAddr,
    /// Settings.
    pub destination: Destination,
    /// Connections in an established state.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Counters.
    pub stats: Stats,
}

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
pub(super) fn request(family: u16, command: u8) -> Request {
    genl::request(family, command, VERSION)
}

/// The request that lists the destinations of `key`.
pub(super) fn list_destinations(family: u16, key: &ServiceKey) -> Request {
    let mut request = request(family, command::GET_DEST);
    request.nest(SERVICE, |nest| put_key(nest, key));
    request
}

/// A listed service. `None` for a family or protocol that this program has no word for.
/// `payload` begins with the generic netlink header.
pub fn decode_service(payload: &[u8]) -> Result<Option<ServiceRecord>, Malformed> {
    let mut raw = RawService::default();
    for attribute in nested(payload, SERVICE)? {
        raw.take(&attribute?)?;
    }
    raw.finish()
}

/// A listed destination of a service of `family`. `payload` begins with the generic netlink header.
pub fn decode_destination(payload: &[u8], family: AddressFamily) -> Result<DestinationEntry, Malformed> {
    let mut raw = RawDestination::default();
    for attribute in nested(payload, DEST)? {
        raw.take(&attribute?)?;
    }
    raw.finish(family)
}

/// The answer to GET_INFO. `payload` begins with the generic netlink header.
pub(super) fn decode_info(payload: &[u8]) -> Result<Info, Malformed> {
    let (mut version, mut table_size) = (0, 0);
    for attribute in attributes(genl::body(payload)?) {
        let attribute = attribute?;
        match attribute.kind {
            INFO_VERSION => version = attribute.u32()?,
            INFO_TABLE_SIZE => table_size = attribute.u32()?,
            _ => {}
        }
    }
    let [_, major, minor, patch] = version.to_be_bytes();
    Ok(Info { version: (major, minor, patch), table_size })
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
    let host = key.family().host_prefix();
    let (timeout, prefix) =
        settings.persistence.map_or((0, host), |p| (p.timeout_seconds, p.granularity_prefix.min(host)));
    put_key(nest, key);
    nest.text(service::SCHED_NAME, &settings.scheduler);
    if let Some(engine) = &settings.persistence_engine {
        nest.text(service::PE_NAME, engine);
    }
    // struct ip_vs_flags: the flags, and a mask of those to be set.
    nest.attribute(service::FLAGS, &[flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat())
        .attribute(service::TIMEOUT, &timeout.to_ne_bytes())
        .attribute(service::NETMASK, &netmask(key.family(), prefix));
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

/// The attributes inside the first attribute of type `kind`.
fn nested(
    payload: &[u8],
    kind: u16,
) -> Result<impl Iterator<Item = Result<Attribute<'_>, Malformed>>, Malformed> {
    for attribute in attributes(genl::body(payload)?) {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(attribute.nested());
        }
    }
    Err(Malformed("IPVS answer without a service or destination"))
}

/// A service's attributes as they come, in any order.
#[derive(Default)]
struct RawService<'a> {
    af: Option<u16>,
    protocol: Option<u16>,
    address: Option<&'a [u8]>,
    port: u16,
    mark: Option<u32>,
    scheduler: String,
    engine: String,
    flags: u32,
    timeout: u32,
    netmask: [u8; 4],
    stats: Stats,
    has_stats64: bool,
}

impl<'a> RawService<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), Malformed> {
        match attribute.kind {
            service::AF => self.af = Some(attribute.u16()?),
            service::PROTOCOL => self.protocol = Some(attribute.u16()?),
            service::ADDR => self.address = Some(attribute.value),
            service::PORT => self.port = attribute.u16_be()?,
            service::FWMARK => self.mark = Some(attribute.u32()?),
            service::SCHED_NAME => self.scheduler = attribute.text(),
            service::PE_NAME => self.engine = attribute.text(),
            service::FLAGS => self.flags = attribute.u32()? & USER_FLAGS,
            service::TIMEOUT => self.timeout = attribute.u32()?,
            service::NETMASK => self.netmask = attribute.octets()?,
            service::STATS => take_stats(attribute, false, &mut self.stats, &mut self.has_stats64)?,
            service::STATS64 => take_stats(attribute, true, &mut self.stats, &mut self.has_stats64)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<ServiceRecord>, Malformed> {
        let af = self.af.ok_or(Malformed("IPVS service without a family"))?;
        let Some(family) = family_of(af) else { return Ok(None) };
        let key = match (self.mark, self.address) {
            (Some(mark), _) => ServiceKey::FwMark { family, mark },
            (None, Some(address)) => {
                let number = self.protocol.ok_or(Malformed("IPVS service without a protocol"))?;
                let known = u8::try_from(number).ok().and_then(TransportProtocol::from_number);
                let Some(protocol) = known else { return Ok(None) };
                ServiceKey::Endpoint { protocol, address: ip(family, address)?, port: self.port }
            }
            (None, None) => return Err(Malformed("IPVS service without address and mark")),
        };
        let persistence = (self.flags & PERSISTENT != 0).then(|| Persistence {
            timeout_seconds: self.timeout,
            granularity_prefix: prefix(family, self.netmask),
        });
        let settings = ServiceSettings {
            scheduler: self.scheduler,
            scheduler_flags: self.flags & SCHEDULER_FLAGS,
            persistence,
            persistence_engine: (!self.engine.is_empty()).then_some(self.engine),
            one_packet: self.flags & ONE_PACKET != 0,
        };
        Ok(Some(ServiceRecord { key, settings, flags: self.flags, stats: self.stats }))
    }
}

/// A destination's attributes as they come, in any order.
#[derive(Default)]
struct RawDestination<'a> {
    af: Option<u16>,
    address: Option<&'a [u8]>,
    port: u16,
    forwarding: u32,
    tunnel: (u8, u16, u16),
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active: u32,
    inactive: u32,
    persistent: u32,
    stats: Stats,
    has_stats64: bool,
}

impl<'a> RawDestination<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), Malformed> {
        match attribute.kind {
            dest::ADDR_FAMILY => self.af = Some(attribute.u16()?),
            dest::ADDR => self.address = Some(attribute.value),
            dest::PORT => self.port = attribute.u16_be()?,
            dest::FWD_METHOD => self.forwarding = attribute.u32()? & FORWARDING_MASK,
            dest::WEIGHT => self.weight = attribute.u32()?,
            dest::U_THRESH => self.upper_threshold = attribute.u32()?,
            dest::L_THRESH => self.lower_threshold = attribute.u32()?,
            dest::ACTIVE_CONNS => self.active = attribute.u32()?,
            dest::INACT_CONNS => self.inactive = attribute.u32()?,
            dest::PERSIST_CONNS => self.persistent = attribute.u32()?,
            dest::TUN_TYPE => self.tunnel.0 = attribute.u8()?,
            dest::TUN_PORT => self.tunnel.1 = attribute.u16_be()?,
            dest::TUN_FLAGS => self.tunnel.2 = attribute.u16()?,
            dest::STATS => take_stats(attribute, false, &mut self.stats, &mut self.has_stats64)?,
            dest::STATS64 => take_stats(attribute, true, &mut self.stats, &mut self.has_stats64)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self, service_family: AddressFamily) -> Result<DestinationEntry, Malformed> {
        // Kernels before 3.18 know no destination of another family than its service's, and do not name it.
        let family = match self.af {
            None => service_family,
            Some(af) => family_of(af).ok_or(Malformed("IPVS destination of an unknown family"))?,
        };
        let address = self.address.ok_or(Malformed("IPVS destination without an address"))?;
        let forwarding = match self.forwarding {
            MASQUERADE => ForwardingMethod::Masquerade,
            TUNNEL => ForwardingMethod::Tunnel(tunnel_kind(self.tunnel)),
            // Local node and bypass, which no user can ask for, send the packet on unchanged as this does.
            _ => ForwardingMethod::DirectRouting,
        };
        Ok(DestinationEntry {
            endpoint: SocketAddr::new(ip(family, address)?, self.port),
            destination: Destination {
                forwarding,
                weight: self.weight,
                upper_threshold: self.upper_threshold,
                lower_threshold: self.lower_threshold,
            },
            active: self.active,
            inactive: self.inactive,
            persistent: self.persistent,
            stats: self.stats,
        })
    }
}

fn tunnel_kind((kind, port, flags): (u8, u16, u16)) -> TunnelKind {
    let checksum = match flags {
        flags if flags & CHECKSUM_REMOTE != 0 => TunnelChecksum::Remote,
        flags if flags & CHECKSUM_FULL != 0 => TunnelChecksum::Full,
        _ => TunnelChecksum::None,
    };
    match kind {
        TUNNEL_GUE => TunnelKind::Gue { port, checksum },
        TUNNEL_GRE => TunnelKind::Gre { checksum },
        _ => TunnelKind::Ipip,
    }
}

/// Both forms may be there (kernels since 4.1 send both); the 64-bit one wins, whichever comes first.
fn take_stats(
    attribute: &Attribute<'_>,
    is_64: bool,
    stats: &mut Stats,
    has_64: &mut bool,
) -> Result<(), Malformed> {
    if is_64 || !*has_64 {
        *stats = decode_stats(attribute)?;
        *has_64 |= is_64;
    }
    Ok(())
}

/// IPVS_STATS_ATTR_*, the same numbers in both forms. The old form has u32 packets and rates and u64 octets.
fn decode_stats(attribute: &Attribute<'_>) -> Result<Stats, Malformed> {
    let mut stats = Stats::default();
    for counter in attribute.nested() {
        let counter = counter?;
        let slot = match counter.kind {
            1 => &mut stats.connections,
            2 => &mut stats.in_packets,
            3 => &mut stats.out_packets,
            4 => &mut stats.in_bytes,
            5 => &mut stats.out_bytes,
            6 => &mut stats.connection_rate,
            7 => &mut stats.in_packet_rate,
            8 => &mut stats.out_packet_rate,
            9 => &mut stats.in_byte_rate,
            10 => &mut stats.out_byte_rate,
            _ => continue,
        };
        *slot = if counter.value.len() >= 8 { counter.u64()? } else { u64::from(counter.u32()?) };
    }
    Ok(stats)
}

fn family_number(family: AddressFamily) -> u16 {
    match family {
        AddressFamily::V4 => libc::AF_INET as u16,
        AddressFamily::V6 => libc::AF_INET6 as u16,
    }
}

fn family_of(number: u16) -> Option<AddressFamily> {
    [AddressFamily::V4, AddressFamily::V6].into_iter().find(|family| family_number(*family) == number)
}

/// union nf_inet_addr: sixteen octets, of which IPv4 uses the first four.
fn address_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn ip(family: AddressFamily, value: &[u8]) -> Result<IpAddr, Malformed> {
    let short = Malformed("IPVS address cut short");
    match family {
        AddressFamily::V4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)).ok_or(short),
        AddressFamily::V6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)).ok_or(short),
    }
}

/// The persistence mask: an address in network order for IPv4, a number of bits in the machine's order for IPv6.
fn netmask(family: AddressFamily, prefix: u8) -> [u8; 4] {
    match family {
        AddressFamily::V4 => {
            let ones = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(ones).octets()
        }
        AddressFamily::V6 => u32::from(prefix).to_ne_bytes(),
    }
}

/// The leading ones of the mask. Masks with holes cannot be expressed and come out shorter.
fn prefix(family: AddressFamily, netmask: [u8; 4]) -> u8 {
    match family {
        AddressFamily::V4 => u32::from_be_bytes(netmask).leading_ones() as u8,
        AddressFamily::V6 => u8::try_from(u32::from_ne_bytes(netmask)).unwrap_or(128).min(128),
    }
}

#[cfg(test)]
#[path = "ipvs_codec_tests.rs"]
mod tests;
