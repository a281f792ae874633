//! Octets to what the kernel lists.

use super::{
    CHECKSUM_FULL, CHECKSUM_REMOTE, DEST, DestinationEntry, FORWARDING_MASK, INFO_TABLE_SIZE, INFO_VERSION,
    Info, MASQUERADE, ONE_PACKET, PERSISTENT, SCHEDULER_FLAGS, SERVICE, ServiceRecord, Stats, TUNNEL,
    TUNNEL_GRE, TUNNEL_GUE, USER_FLAGS, dest, family_of, granularity, ip, service,
};
use crate::lvs::table::{Destination, ServiceSettings};
use crate::net::{AddressFamily, TransportProtocol};
use crate::netlink::genl;
use crate::netlink::message::{Attribute, Malformed, attributes};
use crate::plan::lvs::{ForwardingMethod, Persistence, ServiceKey, TunnelChecksum, TunnelKind};
use std::net::SocketAddr;

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
pub fn decode_info(payload: &[u8]) -> Result<Info, Malformed> {
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

/// The attributes inside the first attribute of type `kind`.
pub(super) fn nested(
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
            granularity: granularity(family, self.netmask),
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
pub(in crate::netlink) fn decode_stats(attribute: &Attribute<'_>) -> Result<Stats, Malformed> {
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
