//! IPVS_*_ATTR_* (linux/ip_vs.h) to values and back.

use super::{FORWARDING_MASK, RawDaemon, RawDestination, RawService, RawTimeouts};
use crate::net::AddressFamily;
use crate::netlink::genl::body;
use crate::netlink::ipvs_codec::Stats;
use crate::netlink::message::{Attribute, Malformed, Request, attributes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPVS_CMD_*.
pub mod command {
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const GET_SERVICE: u8 = 4;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const GET_DEST: u8 = 8;
    pub const NEW_DAEMON: u8 = 9;
    pub const DEL_DAEMON: u8 = 10;
    pub const GET_DAEMON: u8 = 11;
    pub const SET_CONFIG: u8 = 12;
    pub const GET_CONFIG: u8 = 13;
    pub const GET_INFO: u8 = 15;
    pub const ZERO: u8 = 16;
    pub const FLUSH: u8 = 17;
}

/// IPVS_CMD_ATTR_*.
pub const SERVICE: u16 = 1;
pub const DEST: u16 = 2;
pub const DAEMON: u16 = 3;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;

/// The flags that users set; the others are the kernel's.
const USER_FLAGS: u32 = 0x3d;

pub fn put_key(nest: &mut Request, key: &RawService) {
    nest.attribute(1, &family_number(key.family).to_ne_bytes());
    if key.mark != 0 {
        nest.attribute(5, &key.mark.to_ne_bytes());
    } else {
        nest.attribute(2, &key.protocol.to_ne_bytes())
            .attribute(3, &octets(key.address))
            .attribute(4, &key.port.to_be_bytes());
    }
}

pub fn put_service(nest: &mut Request, service: &RawService) {
    put_key(nest, service);
    nest.text(6, &service.scheduler);
    if !service.engine.is_empty() {
        nest.text(11, &service.engine);
    }
    // struct ip_vs_flags: the flags, and a mask of those to be set.
    nest.attribute(7, &[service.flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat())
        .attribute(8, &service.timeout.to_ne_bytes())
        .attribute(9, &service.netmask);
}

pub fn put_endpoint(nest: &mut Request, destination: &RawDestination) {
    nest.attribute(11, &family_number(AddressFamily::of(destination.address)).to_ne_bytes())
        .attribute(1, &octets(destination.address))
        .attribute(2, &destination.port.to_be_bytes());
}

pub fn put_destination(nest: &mut Request, destination: &RawDestination) {
    put_endpoint(nest, destination);
    nest.attribute(3, &destination.forwarding.to_ne_bytes())
        .attribute(4, &destination.weight.to_ne_bytes())
        .attribute(5, &destination.upper_threshold.to_ne_bytes())
        .attribute(6, &destination.lower_threshold.to_ne_bytes())
        .attribute(13, &[destination.tunnel_kind])
        .attribute(14, &destination.tunnel_port.to_be_bytes())
        .attribute(15, &destination.tunnel_flags.to_ne_bytes());
}

pub fn put_timeouts(request: &mut Request, timeouts: RawTimeouts) {
    request
        .attribute(TIMEOUT_TCP, &timeouts.tcp.to_ne_bytes())
        .attribute(TIMEOUT_TCP_FIN, &timeouts.tcp_fin.to_ne_bytes())
        .attribute(TIMEOUT_UDP, &timeouts.udp.to_ne_bytes());
}

pub fn put_daemon(nest: &mut Request, daemon: &RawDaemon) {
    nest.attribute(1, &daemon.state.to_ne_bytes())
        .text(2, &daemon.interface)
        .attribute(3, &daemon.syncid.to_ne_bytes());
    if daemon.maxlen != 0 {
        nest.attribute(4, &daemon.maxlen.to_ne_bytes());
    }
    match daemon.group {
        Some(IpAddr::V4(group)) => {
            nest.attribute(5, &group.octets());
        }
        Some(IpAddr::V6(group)) => {
            nest.attribute(6, &group.octets());
        }
        None => {}
    }
    if daemon.port != 0 {
        nest.attribute(7, &daemon.port.to_ne_bytes());
    }
    if daemon.ttl != 0 {
        nest.attribute(8, &[daemon.ttl]);
    }
}

/// A listed service. `payload` begins with the generic netlink header.
pub fn service(payload: &[u8]) -> Result<RawService, Malformed> {
    let mut service = RawService {
        family: AddressFamily::V4,
        protocol: 0,
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: 0,
        mark: 0,
        scheduler: String::new(),
        engine: String::new(),
        flags: 0,
        timeout: 0,
        netmask: [0; 4],
        stats: Stats::default(),
    };
    let (mut address, mut has_stats64): (&[u8], bool) = (&[0; 16], false);
    for attribute in nested(payload, SERVICE)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => service.family = family_of(attribute.u16()?)?,
            2 => service.protocol = attribute.u16()?,
            3 => address = attribute.value,
            4 => service.port = attribute.u16_be()?,
            5 => service.mark = attribute.u32()?,
            6 => service.scheduler = attribute.text(),
            7 => service.flags = attribute.u32()? & USER_FLAGS,
            8 => service.timeout = attribute.u32()?,
            9 => service.netmask = attribute.octets()?,
            10 => stats(&attribute, false, &mut service.stats, &mut has_stats64)?,
            11 => service.engine = attribute.text(),
            12 => stats(&attribute, true, &mut service.stats, &mut has_stats64)?,
            _ => {}
        }
    }
    service.address = ip(service.family, address)?;
    Ok(service)
}

/// A listed destination of a service of `family`. `payload` begins with the generic netlink header.
pub fn destination(payload: &[u8], family: AddressFamily) -> Result<RawDestination, Malformed> {
    // What an attribute does not say is 0.
    let mut destination = RawDestination {
        address: family.unspecified(),
        forwarding: 0,
        weight: 0,
        ..RawDestination::nowhere()
    };
    let mut family = family;
    let (mut address, mut has_stats64): (&[u8], bool) = (&[], false);
    for attribute in nested(payload, DEST)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => address = attribute.value,
            2 => destination.port = attribute.u16_be()?,
            3 => destination.forwarding = attribute.u32()? & FORWARDING_MASK,
            4 => destination.weight = attribute.u32()?,
            5 => destination.upper_threshold = attribute.u32()?,
            6 => destination.lower_threshold = attribute.u32()?,
            7 => destination.active = attribute.u32()?,
            8 => destination.inactive = attribute.u32()?,
            9 => destination.persistent = attribute.u32()?,
            10 => stats(&attribute, false, &mut destination.stats, &mut has_stats64)?,
            11 => family = family_of(attribute.u16()?)?,
            12 => stats(&attribute, true, &mut destination.stats, &mut has_stats64)?,
            13 => destination.tunnel_kind = attribute.u8()?,
            14 => destination.tunnel_port = attribute.u16_be()?,
            15 => destination.tunnel_flags = attribute.u16()?,
            _ => {}
        }
    }
    destination.address = ip(family, address)?;
    Ok(destination)
}

/// The answer to GET_CONFIG. `payload` begins with the generic netlink header.
pub fn timeouts(payload: &[u8]) -> Result<RawTimeouts, Malformed> {
    let mut timeouts = RawTimeouts::default();
    for attribute in attributes(body(payload)?) {
        let attribute = attribute?;
        match attribute.kind {
            TIMEOUT_TCP => timeouts.tcp = attribute.u32()?,
            TIMEOUT_TCP_FIN => timeouts.tcp_fin = attribute.u32()?,
            TIMEOUT_UDP => timeouts.udp = attribute.u32()?,
            _ => {}
        }
    }
    Ok(timeouts)
}

/// A listed daemon. `payload` begins with the generic netlink header.
pub fn daemon(payload: &[u8]) -> Result<RawDaemon, Malformed> {
    let mut daemon = RawDaemon::default();
    for attribute in nested(payload, DAEMON)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => daemon.state = attribute.u32()?,
            2 => daemon.interface = attribute.text(),
            3 => daemon.syncid = attribute.u32()?,
            4 => daemon.maxlen = attribute.u16()?,
            5 => daemon.group = Some(IpAddr::V4(Ipv4Addr::from(attribute.octets::<4>()?))),
            6 => daemon.group = Some(IpAddr::V6(Ipv6Addr::from(attribute.octets::<16>()?))),
            7 => daemon.port = attribute.u16()?,
            8 => daemon.ttl = attribute.u8()?,
            _ => {}
        }
    }
    Ok(daemon)
}

/// The attributes inside the first attribute of type `kind`.
fn nested(
    payload: &[u8],
    kind: u16,
) -> Result<impl Iterator<Item = Result<Attribute<'_>, Malformed>>, Malformed> {
    for attribute in attributes(body(payload)?) {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(attribute.nested());
        }
    }
    Err(Malformed("IPVS answer without what was asked for"))
}

/// Both forms may be there (kernels since 4.1 send both); the 64-bit one wins, whichever comes first.
fn stats(
    attribute: &Attribute<'_>,
    is_64: bool,
    stats: &mut Stats,
    has_64: &mut bool,
) -> Result<(), Malformed> {
    if is_64 || !*has_64 {
        *stats = crate::netlink::ipvs_codec::decode_stats(attribute)?;
        *has_64 |= is_64;
    }
    Ok(())
}

fn family_number(family: AddressFamily) -> u16 {
    match family {
        AddressFamily::V4 => libc::AF_INET as u16,
        AddressFamily::V6 => libc::AF_INET6 as u16,
    }
}

fn family_of(number: u16) -> Result<AddressFamily, Malformed> {
    let mut families = [AddressFamily::V4, AddressFamily::V6].into_iter();
    families
        .find(|family| family_number(*family) == number)
        .ok_or(Malformed("IPVS entry of an unknown family"))
}

/// union nf_inet_addr: sixteen octets, of which IPv4 uses the first four.
fn octets(address: IpAddr) -> [u8; 16] {
    let mut octets = [0; 16];
    match address {
        IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => octets = address.octets(),
    }
    octets
}

fn ip(family: AddressFamily, value: &[u8]) -> Result<IpAddr, Malformed> {
    let short = Malformed("IPVS address cut short");
    match family {
        AddressFamily::V4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)).ok_or(short),
        AddressFamily::V6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)).ok_or(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is read back; the octets of an answer are those of a request behind another command.
    #[test]
    fn services_and_destinations_come_back() {
        let written = RawService {
            family: AddressFamily::V4,
            protocol: 6,
            address: "192.0.2.1".parse().expect("an address"),
            port: 80,
            mark: 0,
            scheduler: "sh".into(),
            engine: "sip".into(),
            flags: 0x19,
            timeout: 360,
            netmask: [255, 0, 255, 0],
            stats: Stats::default(),
        };
        let mut request = Request::new(0, 0, &[1, 1, 0, 0]);
        request.nest(SERVICE, |nest| put_service(nest, &written));
        assert_eq!(service(request.payload()).as_ref(), Ok(&written));
        let server = RawDestination {
            address: "2001:db8::1".parse().expect("an address"),
            port: 8080,
            forwarding: super::super::TUNNEL,
            weight: 5,
            upper_threshold: 9,
            lower_threshold: 3,
            tunnel_kind: 1,
            tunnel_port: 6080,
            tunnel_flags: 2,
            active: 0,
            inactive: 0,
            persistent: 0,
            stats: Stats::default(),
        };
        let mut request = Request::new(0, 0, &[1, 1, 0, 0]);
        request.nest(DEST, |nest| put_destination(nest, &server));
        assert_eq!(destination(request.payload(), AddressFamily::V4).as_ref(), Ok(&server));
    }

    #[test]
    fn daemons_and_timeouts_come_back_and_nothing_else_does() {
        let written = RawDaemon {
            state: 2,
            interface: "eth0".into(),
            syncid: 5,
            maxlen: 1000,
            group: Some("ff05::1".parse().expect("an address")),
            port: 99,
            ttl: 3,
        };
        let mut request = Request::new(0, 0, &[1, 1, 0, 0]);
        request.nest(DAEMON, |nest| put_daemon(nest, &written));
        assert_eq!(daemon(request.payload()).as_ref(), Ok(&written));
        assert!(service(request.payload()).is_err());
        let written = RawTimeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        let mut request = Request::new(0, 0, &[1, 1, 0, 0]);
        put_timeouts(&mut request, written);
        assert_eq!(timeouts(request.payload()), Ok(written));
        assert!(timeouts(&[0]).is_err());
    }
}
