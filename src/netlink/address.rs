//! RTM_NEWADDR and RTM_DELADDR.

use super::message::{Malformed, Request, attributes};
use super::routing::ip;
use crate::net::{AddressFamily, IpCidr};
use crate::plan::vrrp::AddressOptions;
use crate::vrrp::AddressOp;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Octets of struct ifaddrmsg.
pub(super) const HEADER: usize = 8;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;

/// Not the primary address of its subnet (IPv4).
const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_OPTIMISTIC: u32 = 0x04;

/// Who put the address there: 18, the number that keepalived uses for routes and addresses (RTPROT_KEEPALIVED), so
/// that `ip address show proto keepalived` finds ours too. Kernels before 5.18 ignore it.
const PROTOCOL: u8 = 18;

/// RTM_NEWADDR and RTM_DELADDR.
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub interface: u32,
    /// The local address with its prefix length.
    pub cidr: IpCidr,
    /// The far end, IPv4 only: the kernel has an address once for each.
    pub peer: Option<Ipv4Addr>,
    /// IFA_F_* flags.
    pub flags: u32,
    /// Kernel scope number.
    pub scope: u8,
    /// Who put it there (IFA_PROTO), where the kernel says so.
    pub protocol: Option<u8>,
    /// IPv4 label.
    pub label: Option<String>,
    /// Seconds until the kernel removes it, as of the message; `None` for never.
    pub valid: Option<u32>,
}

/// How long the kernel keeps an address, in seconds from the request on; `u32::MAX` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Until the kernel removes it.
    pub valid: u32,
    /// Until it is no longer picked as the source of new connections; at most `valid`, or the kernel refuses.
    pub preferred: u32,
}

impl Lifetime {
    /// For ever.
    pub const FOREVER: u32 = u32::MAX;

    /// For the address that `op` adds: valid for so many seconds more, `age` after it was first added. A configured
    /// preferred lifetime counts from there, so that renewing the one does not renew the other.
    pub fn of(op: &AddressOp, valid: u32, age: Duration) -> Lifetime {
        let configured = match op {
            AddressOp::Add { cidr, options, .. } => preferred_lifetime(*cidr, options),
            AddressOp::Remove { .. } => None,
        };
        let elapsed = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let left = match configured {
            None | Some(Lifetime::FOREVER) => Lifetime::FOREVER,
            Some(seconds) => seconds.saturating_sub(elapsed),
        };
        Lifetime { valid, preferred: left.min(valid) }
    }
}

impl Address {
    /// Not the primary address of its IPv4 subnet.
    pub fn is_secondary(&self) -> bool {
        is_secondary(self.cidr, self.flags)
    }

    /// May it be used as a source? Not while duplicate address detection runs (unless optimistic) or after it failed.
    pub fn is_usable(&self) -> bool {
        is_usable(self.flags)
    }
}

pub(super) fn is_secondary(cidr: IpCidr, flags: u32) -> bool {
    cidr.family() == AddressFamily::V4 && flags & IFA_F_SECONDARY != 0
}

pub(super) fn is_usable(flags: u32) -> bool {
    let tentative = flags & IFA_F_TENTATIVE != 0 && flags & IFA_F_OPTIMISTIC == 0;
    !tentative && flags & IFA_F_DADFAILED == 0
}

/// Decode what follows the message header; `None` for families other than IPv4 and IPv6.
pub(super) fn decode(payload: &[u8]) -> Result<Option<Address>, Malformed> {
    let (header, rest) =
        payload.split_first_chunk::<HEADER>().ok_or(Malformed("address header cut short"))?;
    let [family, prefix, flags, scope, i0, i1, i2, i3] = *header;
    let family = match libc::c_int::from(family) {
        libc::AF_INET => AddressFamily::V4,
        libc::AF_INET6 => AddressFamily::V6,
        _ => return Ok(None),
    };
    let (mut local, mut address) = (None, None);
    let (mut flags, mut protocol, mut label, mut valid) = (u32::from(flags), None, None, None);
    for attribute in attributes(rest) {
        let attribute = attribute?;
        match attribute.kind {
            IFA_LOCAL => local = Some(ip(family, attribute.value)?),
            IFA_ADDRESS => address = Some(ip(family, attribute.value)?),
            IFA_FLAGS => flags = attribute.u32()?,
            IFA_PROTO => protocol = Some(attribute.u8()?),
            IFA_LABEL => label = Some(attribute.text()),
            IFA_CACHEINFO => valid = valid_seconds(attribute.value)?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the far end and IFA_LOCAL ours; IPv6 leaves IFA_LOCAL out otherwise.
    let own = local.or(address).ok_or(Malformed("address message without an address"))?;
    let cidr = IpCidr::new(own, prefix).ok_or(Malformed("prefix longer than the address"))?;
    Ok(Some(Address {
        interface: u32::from_ne_bytes([i0, i1, i2, i3]),
        cidr,
        peer: address.filter(|address| *address != own).and_then(v4),
        flags,
        scope,
        protocol,
        label,
        valid,
    }))
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

/// `struct ifa_cacheinfo`: preferred, valid, and two time stamps.
fn valid_seconds(info: &[u8]) -> Result<Option<u32>, Malformed> {
    let octets = info.get(4..8).and_then(|octets| octets.first_chunk::<4>());
    let valid = u32::from_ne_bytes(*octets.ok_or(Malformed("address lifetimes cut short"))?);
    Ok((valid != Lifetime::FOREVER).then_some(valid))
}

/// The request that performs `op`. An existing address is left as it is: it may be somebody's own.
//= keepalived M-106
pub(super) fn encode(op: &AddressOp) -> Request {
    build(op, None, (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16)
}

/// As [`encode`], with lifetimes. An existing address is left as it is.
pub(super) fn encode_leased(op: &AddressOp, lifetime: Lifetime) -> Request {
    build(op, Some(lifetime), (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16)
}

/// Begin the lifetimes of an address anew; all else about it stays. The kernel knows no way to ask for that only if the
/// address is there, so one that is gone comes back.
pub(super) fn encode_renewal(op: &AddressOp, lifetime: Lifetime) -> Request {
    build(op, Some(lifetime), (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16)
}

fn build(op: &AddressOp, lifetime: Option<Lifetime>, flags: u16) -> Request {
    match op {
        AddressOp::Add { interface, cidr, label, scope, broadcast, options } => {
            let mut request = header(RTM_NEWADDR, flags, *interface, *cidr, options.peer, scope.unwrap_or(0));
            if let (AddressFamily::V4, Some(label)) = (cidr.family(), label) {
                request.text(IFA_LABEL, label);
            }
            if let (AddressFamily::V4, Some(broadcast)) = (cidr.family(), broadcast) {
                request.attribute(IFA_BROADCAST, &broadcast.octets());
            }
            let flags = ifa_flags(cidr.family(), options);
            if flags != 0 {
                request.attribute(IFA_FLAGS, &flags.to_ne_bytes());
            }
            let for_ever = || {
                let preferred = preferred_lifetime(*cidr, options)?;
                Some(Lifetime { valid: Lifetime::FOREVER, preferred })
            };
            if let Some(lifetime) = lifetime.or_else(for_ever) {
                request.attribute(IFA_CACHEINFO, &cacheinfo(lifetime));
            }
            request.attribute(IFA_PROTO, &[PROTOCOL]);
            request
        }
        AddressOp::Remove { interface, cidr, peer } => header(RTM_DELADDR, 0, *interface, *cidr, *peer, 0),
    }
}

fn ifa_flags(family: AddressFamily, options: &AddressOptions) -> u32 {
    let detection = family == AddressFamily::V4 || options.detect_duplicates;
    [
        (!detection, IFA_F_NODAD),
        (options.home, IFA_F_HOMEADDRESS),
        (options.manage_temporary, IFA_F_MANAGETEMPADDR),
        (options.no_prefix_route, IFA_F_NOPREFIXROUTE),
        (options.autojoin, IFA_F_MCAUTOJOIN),
    ]
    .into_iter()
    .filter_map(|(wanted, flag)| wanted.then_some(flag))
    .fold(0, |flags, flag| flags | flag)
}

/// keepalived: a /128 address is deprecated from the start unless a lifetime is written.
fn preferred_lifetime(cidr: IpCidr, options: &AddressOptions) -> Option<u32> {
    let host = cidr.prefix() == AddressFamily::V6.host_prefix();
    let lifetime = options.preferred_lifetime.or(host.then_some(0));
    lifetime.filter(|_| cidr.family() == AddressFamily::V6)
}

/// Why a failed request is a success after all: the state that was asked for is there.
pub(super) fn is_already_so(op: &AddressOp, errno: i32) -> bool {
    match op {
        AddressOp::Add { .. } => errno == libc::EEXIST,
        // The address is not there, the interface is not there, or it has no IPv6.
        AddressOp::Remove { .. } => matches!(errno, libc::EADDRNOTAVAIL | libc::ENODEV | libc::ENXIO),
    }
}

fn header(kind: u16, flags: u16, interface: u32, cidr: IpCidr, peer: Option<IpAddr>, scope: u8) -> Request {
    let family = match cidr.family() {
        AddressFamily::V4 => libc::AF_INET,
        AddressFamily::V6 => libc::AF_INET6,
    };
    let mut header = [family as u8, cidr.prefix(), 0, scope, 0, 0, 0, 0];
    header[4..].copy_from_slice(&interface.to_ne_bytes());
    let mut request = Request::new(kind, flags, &header);
    for (kind, address) in [(IFA_LOCAL, cidr.address()), (IFA_ADDRESS, peer.unwrap_or(cidr.address()))] {
        super::routing::address(&mut request, kind, address);
    }
    request
}

/// struct ifa_cacheinfo. With a preferred lifetime of 0 it is never picked as the source of outgoing connections.
fn cacheinfo(lifetime: Lifetime) -> [u8; 16] {
    let mut info = [0; 16];
    info[..4].copy_from_slice(&lifetime.preferred.to_ne_bytes());
    info[4..8].copy_from_slice(&lifetime.valid.to_ne_bytes());
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{Attribute, attributes};
    use crate::plan::vrrp::VirtualAddress;
    use proptest::prelude::*;

    fn cidr(text: &str, prefix: u8) -> IpCidr {
        IpCidr::new(text.parse().unwrap(), prefix).unwrap()
    }

    fn add(cidr: IpCidr) -> AddressOp {
        AddressOp::add(2, &VirtualAddress::new(cidr))
    }

    fn parts(request: &Request) -> Vec<Attribute<'_>> {
        attributes(&request.payload()[HEADER..]).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_ipv4_address_carries_label_scope_and_broadcast() {
        let request = encode(&AddressOp::add(
            2,
            &VirtualAddress {
                label: Some("eth0:1".into()),
                scope: Some(253),
                broadcast: Some([192, 0, 2, 255].into()),
                ..VirtualAddress::new(cidr("192.0.2.1", 24))
            },
        ));
        assert_eq!(request.payload()[..4], [2, 24, 0, 253]);
        assert_eq!(request.payload()[4..8], 2u32.to_ne_bytes());
        let found: Vec<_> = parts(&request).iter().map(|part| (part.kind, part.value.to_vec())).collect();
        assert_eq!(
            found,
            [
                (IFA_LOCAL, vec![192, 0, 2, 1]),
                (IFA_ADDRESS, vec![192, 0, 2, 1]),
                (IFA_LABEL, b"eth0:1\0".to_vec()),
                (IFA_BROADCAST, vec![192, 0, 2, 255]),
                (IFA_PROTO, vec![18]),
            ]
        );
    }

    #[test]
    fn an_ipv6_address_skips_detection_and_a_host_address_is_never_preferred() {
        let host = encode(&add(cidr("2001:db8::1", 128)));
        assert!(parts(&host).iter().any(|part| part.kind == IFA_FLAGS && part.value == 2u32.to_ne_bytes()));
        let cacheinfo =
            parts(&host).iter().find(|part| part.kind == IFA_CACHEINFO).map(|part| part.value.to_vec());
        assert_eq!(cacheinfo.as_deref(), Some(&[0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0][..]));
        let subnet = encode(&add(cidr("2001:db8::1", 64)));
        assert!(!parts(&subnet).iter().any(|part| part.kind == IFA_CACHEINFO));
    }

    #[test]
    fn the_far_end_of_a_point_to_point_link_is_not_ours() {
        let mut request = Request::new(RTM_NEWADDR, 0, &[2, 32, 0x80, 0, 5, 0, 0, 0]);
        request.attribute(IFA_ADDRESS, &[10, 0, 0, 2]).attribute(IFA_LOCAL, &[10, 0, 0, 1]);
        let address = decode(request.payload()).unwrap().unwrap();
        assert_eq!(address.cidr, cidr("10.0.0.1", 32));
    }

    #[test]
    fn the_long_flags_win_over_the_short_ones() {
        let mut request = Request::new(RTM_NEWADDR, 0, &[10, 64, 0, 253, 5, 0, 0, 0]);
        request.attribute(IFA_ADDRESS, &[0xfe; 16]).attribute(IFA_FLAGS, &0x48u32.to_ne_bytes());
        let address = decode(request.payload()).unwrap().unwrap();
        assert!(!address.is_usable());
        assert!(!address.is_secondary());
    }

    #[test]
    fn optimistic_addresses_are_usable() {
        let mut address = decode(encode(&add(cidr("fe80::1", 64))).payload()).unwrap().unwrap();
        for (flags, usable) in
            [(0, true), (0x40, false), (0x44, true), (0x08, false), (0x4c, false), (0x80, true)]
        {
            address.flags = flags;
            assert_eq!(address.is_usable(), usable, "{flags:#x}");
        }
    }

    #[test]
    fn wrong_lengths_are_malformed_and_other_families_are_skipped() {
        let mut request = Request::new(RTM_NEWADDR, 0, &[2, 24, 0, 0, 1, 0, 0, 0]);
        request.attribute(IFA_LOCAL, &[1; 16]);
        assert!(decode(request.payload()).is_err());
        let request = Request::new(RTM_NEWADDR, 0, &[2, 33, 0, 0, 1, 0, 0, 0]);
        assert!(decode(request.payload()).is_err());
        assert_eq!(decode(&[7, 24, 0, 0, 1, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn a_state_that_is_already_so_is_a_success() {
        let add = add(cidr("192.0.2.1", 24));
        let remove = AddressOp::remove(2, &VirtualAddress::new(cidr("192.0.2.1", 24)));
        assert!(is_already_so(&add, libc::EEXIST) && !is_already_so(&remove, libc::EEXIST));
        assert!(is_already_so(&remove, libc::ENODEV) && !is_already_so(&add, libc::ENODEV));
        assert!(is_already_so(&remove, libc::EADDRNOTAVAIL) && !is_already_so(&remove, libc::EPERM));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(octets: [u8; 16], v6: bool, prefix in 0u8..=128, interface: u32, scope: u8) {
            let [a, b, c, d, ..] = octets;
            let address = if v6 { IpAddr::from(octets) } else { IpAddr::from([a, b, c, d]) };
            let cidr = IpCidr::new(address, if v6 { prefix } else { prefix.min(32) }).unwrap();
            let op = AddressOp::add(interface, &VirtualAddress { scope: Some(scope), ..VirtualAddress::new(cidr) });
            let decoded = decode(encode(&op).payload()).unwrap().unwrap();
            prop_assert_eq!((decoded.interface, decoded.cidr, decoded.scope), (interface, cidr, scope));
            prop_assert_eq!(decoded.protocol, Some(PROTOCOL));
        }

        #[test]
        fn any_octets_are_an_address_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (decode(&bytes), super::super::link::decode(&bytes));
        }
    }
}
