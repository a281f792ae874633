//! RTM_NEWROUTE and RTM_DELROUTE; rules are in `rule`.

use super::message::{Attribute, Malformed, Request, attributes};
use super::rule;
use crate::net::{AddressFamily, IpCidr};
use crate::plan::route::{Encapsulation, Insertion, Item, NextHop, RoutePlan};
use crate::vrrp::{GoneRoute, KernelError, RoutingOp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Octets of struct rtmsg.
pub(super) const HEADER: usize = 12;

pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_FLOW: u16 = 11;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;

const RTAX_LOCK: u16 = 1;
/// The congestion control algorithm, by name.
const RTAX_CC_ALGO: u16 = 16;

const RTNH_F_ONLINK: u8 = 4;
/// "Any scope", when a route is to be found.
const SCOPE_NOWHERE: u8 = 255;
/// RTM_F_CLONED: an entry of the cache, no route.
const RTM_F_CLONED: u32 = 0x200;

const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;

/// The requests that perform `op`; all but the last may fail. An error when an interface that it names is unknown.
pub(super) fn encode(op: &RoutingOp) -> Result<Vec<Request>, KernelError> {
    match (&op.item, op.add) {
        (Item::Route(route), true) if route.insertion == Insertion::Add => {
            // What an earlier run left is the same route, and would be in its own way.
            Ok(vec![change(route, false, &op.links)?, change(route, true, &op.links)?])
        }
        (Item::Route(route), add) => Ok(vec![change(route, add, &op.links)?]),
        (Item::Rule(plan), add) => Ok(vec![rule::encode(plan, add)]),
        (Item::Address(address), _) => Err(KernelError {
            errno: libc::EINVAL,
            message: format!("{} is an address, no route", address.cidr),
        }),
    }
}

/// Why a failed request is a success after all: the state that was asked for is there.
pub(super) fn is_already_so(op: &RoutingOp, errno: i32) -> bool {
    match (&op.item, op.add) {
        (Item::Route(route), true) => errno == libc::EEXIST && route.insertion != Insertion::Add,
        (_, true) => errno == libc::EEXIST,
        // Not there, or not even the interface or the table's family.
        (Item::Rule(_), false) => matches!(errno, libc::ENOENT | libc::EAFNOSUPPORT),
        (_, false) => matches!(errno, libc::ESRCH | libc::ENODEV | libc::ENETUNREACH | libc::ENETDOWN),
    }
}

/// Append an address as an attribute.
pub(super) fn address(request: &mut Request, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => request.attribute(kind, &v4.octets()),
        IpAddr::V6(v6) => request.attribute(kind, &v6.octets()),
    };
}

pub(super) fn family_number(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::V4 => libc::AF_INET as u8,
        AddressFamily::V6 => libc::AF_INET6 as u8,
    }
}

fn change(route: &RoutePlan, add: bool, links: &BTreeMap<String, u32>) -> Result<Request, KernelError> {
    let mut request = header(route, add);
    if route.destination.prefix() > 0 {
        address(&mut request, RTA_DST, route.destination.address());
    }
    if let Some(source) = route.source {
        address(&mut request, RTA_SRC, source.address());
    }
    if route.table > u32::from(u8::MAX) {
        request.attribute(RTA_TABLE, &route.table.to_ne_bytes());
    }
    if let Some(source) = route.preferred_source {
        address(&mut request, RTA_PREFSRC, source);
    }
    if let Some(metric) = route.metric {
        request.attribute(RTA_PRIORITY, &metric.to_ne_bytes());
    }
    if add {
        settings(&mut request, route);
    }
    match route.hops.as_slice() {
        [hop] if !route.multipath => single_hop(&mut request, route, hop, links)?,
        [] => {}
        hops => multipath(&mut request, route.family(), hops, links)?,
    }
    Ok(request)
}

fn header(route: &RoutePlan, add: bool) -> Request {
    let (type_, flags) = if add {
        let flags = match route.insertion {
            Insertion::Prepend => NLM_F_CREATE,
            Insertion::Append => NLM_F_CREATE | NLM_F_APPEND,
            Insertion::Add => NLM_F_CREATE | NLM_F_EXCL,
        };
        (RTM_NEWROUTE, flags)
    } else {
        (RTM_DELROUTE, 0)
    };
    let onlink = !route.multipath && route.hops.first().is_some_and(|hop| hop.onlink);
    let table = u8::try_from(route.table).unwrap_or(0);
    let header = [
        family_number(route.family()),
        route.destination.prefix(),
        route.source.map_or(0, IpCidr::prefix),
        route.tos,
        table,
        route.protocol,
        if add { route.scope } else { SCOPE_NOWHERE },
        route.kind,
        if onlink { RTNH_F_ONLINK } else { 0 },
        0,
        0,
        0,
    ];
    Request::new(type_, flags, &header)
}

/// What is told when the route is made; it is found again without.
fn settings(request: &mut Request, route: &RoutePlan) {
    if !route.metrics.is_empty() || route.congestion.is_some() || route.locked != 0 {
        request.nest(RTA_METRICS, |nest| {
            for (number, value) in &route.metrics {
                nest.attribute(*number, &value.to_ne_bytes());
            }
            if let Some(name) = &route.congestion {
                nest.text(RTAX_CC_ALGO, name);
            }
            if route.locked != 0 {
                nest.attribute(RTAX_LOCK, &route.locked.to_ne_bytes());
            }
        });
    }
    if let Some(realms) = route.realms {
        request.attribute(RTA_FLOW, &realms.to_ne_bytes());
    }
    if let Some(expires) = route.expires {
        request.attribute(RTA_EXPIRES, &expires.to_ne_bytes());
    }
    if let Some(preference) = route.preference {
        request.attribute(RTA_PREF, &[preference]);
    }
    if let Some(propagate) = route.ttl_propagate {
        request.attribute(RTA_TTL_PROPAGATE, &[u8::from(propagate)]);
    }
}

fn single_hop(
    request: &mut Request,
    route: &RoutePlan,
    hop: &NextHop,
    links: &BTreeMap<String, u32>,
) -> Result<(), KernelError> {
    if let Some(index) = index(hop, links)? {
        request.attribute(RTA_OIF, &index.to_ne_bytes());
    }
    gateway(request, route.family(), hop);
    if let Some(realms) = hop.realms {
        request.attribute(RTA_FLOW, &realms.to_ne_bytes());
    }
    Ok(())
}

fn multipath(
    request: &mut Request,
    family: AddressFamily,
    hops: &[NextHop],
    links: &BTreeMap<String, u32>,
) -> Result<(), KernelError> {
    let mut all = Vec::new();
    for hop in hops {
        // struct rtnexthop: length, flags, hops, interface; then attributes. Built as a request for its attributes.
        let mut parts = Request::new(0, 0, &[]);
        gateway(&mut parts, family, hop);
        if let Some(realms) = hop.realms {
            parts.attribute(RTA_FLOW, &realms.to_ne_bytes());
        }
        let length = u16::try_from(8 + parts.payload().len()).unwrap_or(u16::MAX);
        all.extend(length.to_ne_bytes());
        all.extend([if hop.onlink { RTNH_F_ONLINK } else { 0 }, hop.hops]);
        all.extend(index(hop, links)?.unwrap_or(0).to_ne_bytes());
        all.extend(parts.payload());
    }
    request.attribute(RTA_MULTIPATH, &all);
    Ok(())
}

fn gateway(request: &mut Request, family: AddressFamily, hop: &NextHop) {
    match hop.gateway {
        Some(gateway) if AddressFamily::of(gateway) == family => address(request, RTA_GATEWAY, gateway),
        Some(gateway) => {
            let other = u16::from(family_number(AddressFamily::of(gateway)));
            let mut via = other.to_ne_bytes().to_vec();
            match gateway {
                IpAddr::V4(v4) => via.extend(v4.octets()),
                IpAddr::V6(v6) => via.extend(v6.octets()),
            }
            request.attribute(RTA_VIA, &via);
        }
        None => {}
    }
    if let Some(encap) = &hop.encap {
        encapsulation(request, encap);
    }
}

fn encapsulation(request: &mut Request, encap: &Encapsulation) {
    const MPLS: u16 = 1;
    const IP: u16 = 2;
    const ILA: u16 = 3;
    const IP6: u16 = 4;
    const BOTTOM_OF_STACK: u32 = 0x100;
    let number = match encap {
        Encapsulation::Mpls(labels) => {
            let stack: Vec<u8> = labels
                .iter()
                .enumerate()
                .flat_map(|(at, label)| {
                    let bottom = if at + 1 == labels.len() { BOTTOM_OF_STACK } else { 0 };
                    (label << 12 | bottom).to_be_bytes()
                })
                .collect();
            request.nest(RTA_ENCAP, |nest| {
                nest.attribute(1, &stack);
            });
            MPLS
        }
        Encapsulation::Ip { family, id, destination, source, tos, ttl, flags } => {
            request.nest(RTA_ENCAP, |nest| {
                if let Some(id) = id {
                    nest.attribute(1, &id.to_be_bytes());
                }
                for (kind, end) in [(2, destination), (3, source)] {
                    if let Some(end) = end {
                        address(nest, kind, *end);
                    }
                }
                // The kernel numbers them differently: TTL 4, TOS 5; hop limit 4, traffic class 5.
                for (kind, value) in [(4, ttl), (5, tos)] {
                    if let Some(value) = value {
                        nest.attribute(kind, &[*value]);
                    }
                }
                if let Some(flags) = flags {
                    nest.attribute(6, &flags.to_be_bytes());
                }
            });
            if *family == AddressFamily::V4 { IP } else { IP6 }
        }
        Encapsulation::Ila(locator) => {
            request.nest(RTA_ENCAP, |nest| {
                nest.attribute(1, &locator.to_be_bytes());
            });
            ILA
        }
    };
    request.attribute(RTA_ENCAP_TYPE, &number.to_ne_bytes());
}

fn index(hop: &NextHop, links: &BTreeMap<String, u32>) -> Result<Option<u32>, KernelError> {
    let Some(name) = &hop.interface else { return Ok(None) };
    match links.get(name) {
        Some(index) => Ok(Some(*index)),
        None => Err(KernelError { errno: libc::ENODEV, message: format!("interface {name} does not exist") }),
    }
}

/// What a message about a route says of it; `None` for other families, cache entries and routes that do not carry
/// `protocol`: a router with a full table hears of thousands that are not ours.
pub(super) fn decode_gone(payload: &[u8], protocol: u8) -> Result<Option<GoneRoute>, Malformed> {
    let (header, rest) = payload.split_first_chunk::<HEADER>().ok_or(Malformed("route header cut short"))?;
    let [family, to, from, tos, table, origin, _, kind, f0, f1, f2, f3] = *header;
    let family = match libc::c_int::from(family) {
        libc::AF_INET => AddressFamily::V4,
        libc::AF_INET6 => AddressFamily::V6,
        _ => return Ok(None),
    };
    if origin != protocol || u32::from_ne_bytes([f0, f1, f2, f3]) & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let nowhere = cidr(family.unspecified(), to)?;
    let mut route = GoneRoute {
        destination: nowhere,
        source: None,
        kind,
        table: u32::from(table),
        protocol: origin,
        tos,
        metric: 0,
        hops: Vec::new(),
    };
    let mut single = (None, None);
    for attribute in attributes(rest) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_DST => route.destination = cidr(ip(family, attribute.value)?, to)?,
            RTA_SRC => route.source = Some(cidr(ip(family, attribute.value)?, from)?),
            RTA_TABLE => route.table = attribute.u32()?,
            RTA_PRIORITY => route.metric = attribute.u32()?,
            RTA_OIF => single.1 = Some(attribute.u32()?),
            RTA_GATEWAY => single.0 = Some(ip(family, attribute.value)?),
            RTA_VIA => single.0 = via(attribute)?,
            RTA_MULTIPATH => route.hops = hops(family, attribute.value)?,
            _ => {}
        }
    }
    if single != (None, None) {
        route.hops.push(single);
    }
    Ok(Some(route))
}

/// The interface and the address of the local route to an IPv6 address; `None` for other routes.
pub(super) fn decode_local(payload: &[u8]) -> Result<Option<(u32, Ipv6Addr)>, Malformed> {
    let (header, rest) = payload.split_first_chunk::<HEADER>().ok_or(Malformed("route header cut short"))?;
    let [family, to, _, _, _, _, _, kind, ..] = *header;
    if libc::c_int::from(family) != libc::AF_INET6
        || kind != libc::RTN_LOCAL
        || to != AddressFamily::V6.host_prefix()
    {
        return Ok(None);
    }
    let (mut destination, mut interface) = (None, None);
    for attribute in attributes(rest) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_DST => destination = Some(ip(AddressFamily::V6, attribute.value)?),
            RTA_OIF => interface = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok(match (interface, destination) {
        (Some(interface), Some(IpAddr::V6(address))) => Some((interface, address)),
        _ => None,
    })
}

/// Gateway and interface of a next hop.
type Hop = (Option<IpAddr>, Option<u32>);

fn hops(family: AddressFamily, mut bytes: &[u8]) -> Result<Vec<Hop>, Malformed> {
    const HOP: usize = 8;
    let mut found = Vec::new();
    while let Some(header) = bytes.first_chunk::<HOP>() {
        let [l0, l1, _, _, i0, i1, i2, i3] = *header;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let inside = bytes.get(HOP..length).ok_or(Malformed("next hop longer than its message"))?;
        let mut gateway = None;
        for attribute in attributes(inside) {
            let attribute = attribute?;
            match attribute.kind {
                RTA_GATEWAY => gateway = Some(ip(family, attribute.value)?),
                RTA_VIA => gateway = via(attribute)?,
                _ => {}
            }
        }
        found.push((gateway, Some(u32::from_ne_bytes([i0, i1, i2, i3]))));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(found)
}

fn via(attribute: Attribute<'_>) -> Result<Option<IpAddr>, Malformed> {
    let (family, address) = attribute.value.split_first_chunk::<2>().ok_or(Malformed("gateway cut short"))?;
    match libc::c_int::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => ip(AddressFamily::V4, address).map(Some),
        libc::AF_INET6 => ip(AddressFamily::V6, address).map(Some),
        _ => Ok(None),
    }
}

pub(super) fn ip(family: AddressFamily, value: &[u8]) -> Result<IpAddr, Malformed> {
    let wrong = Malformed("address of the wrong length");
    match family {
        AddressFamily::V4 => <[u8; 4]>::try_from(value).map(IpAddr::from).map_err(|_| wrong),
        AddressFamily::V6 => <[u8; 16]>::try_from(value).map(IpAddr::from).map_err(|_| wrong),
    }
}

pub(super) fn cidr(address: IpAddr, prefix: u8) -> Result<IpCidr, Malformed> {
    IpCidr::new(address, prefix).ok_or(Malformed("prefix longer than the address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::route::PROTOCOL_KEEPALIVED;
    use proptest::prelude::*;

    fn route() -> RoutePlan {
        let destination = IpCidr::new([10, 0, 0, 0].into(), 24).expect("24 is at most 32");
        let hop = NextHop {
            gateway: Some([192, 0, 2, 254].into()),
            interface: Some("eth0".to_owned()),
            ..NextHop::default()
        };
        RoutePlan { hops: vec![hop], table: 70_000, metric: Some(5), ..RoutePlan::new(destination) }
    }

    fn op(route: RoutePlan, add: bool) -> RoutingOp {
        RoutingOp { add, item: Item::Route(Box::new(route)), links: [("eth0".to_owned(), 3)].into() }
    }

    #[test]
    fn what_tells_a_route_from_others_is_read_back() {
        let requests = encode(&op(route(), false)).expect("its interface is known");
        let [request] = requests.as_slice() else { panic!("one request removes a route") };
        let gone = decode_gone(request.payload(), PROTOCOL_KEEPALIVED).expect("well formed").expect("ours");
        assert_eq!((gone.destination, gone.table, gone.metric), (route().destination, 70_000, 5));
        assert_eq!(gone.hops, [(Some([192, 0, 2, 254].into()), Some(3))]);
        assert_eq!(decode_gone(request.payload(), 4), Ok(None), "a static route of somebody else");
    }

    #[test]
    fn a_multipath_route_names_each_hop() {
        let two = RoutePlan { multipath: true, hops: vec![route().hops[0].clone(); 2], ..route() };
        let requests = encode(&op(two, true)).expect("its interface is known");
        let gone =
            decode_gone(requests[0].payload(), PROTOCOL_KEEPALIVED).expect("well formed").expect("ours");
        assert_eq!(gone.hops.len(), 2);
        assert!(gone.hops.iter().all(|hop| *hop == (Some([192, 0, 2, 254].into()), Some(3))));
    }

    /// keepalived asks for blackholes and `add` with NLM_F_EXCL: what an earlier run left is removed first.
    #[test]
    fn an_only_route_makes_room_for_itself() {
        let only = RoutePlan { insertion: Insertion::Add, ..route() };
        let requests = encode(&op(only.clone(), true)).expect("its interface is known");
        assert_eq!(requests.len(), 2);
        assert!(!is_already_so(&op(only, true), libc::EEXIST), "then it is somebody else's");
        assert!(is_already_so(&op(route(), true), libc::EEXIST));
        assert!(is_already_so(&op(route(), false), libc::ESRCH));
    }

    #[test]
    fn an_interface_that_does_not_exist_is_named() {
        let error = encode(&RoutingOp { links: BTreeMap::new(), ..op(route(), true) }).expect_err("no eth0");
        assert_eq!((error.errno, error.message.as_str()), (libc::ENODEV, "interface eth0 does not exist"));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_route_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode_gone(&bytes, 18);
        }
    }
}
