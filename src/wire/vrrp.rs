//! VRRP advertisements: version 2 (RFC 3768 5, RFC 2338 5.3.6 for passwords) and version 3 (RFC 9568 5).

use crate::net::{AddressFamily, Priority, VirtualRouterId};
use crate::time::Interval;
use crate::wire::checksum::Checksum;
pub use crate::wire::discard::Discard;
use crate::wire::trailer;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// TTL and hop limit of every multicast advertisement (RFC 9568 5.1.1.3, 5.1.2.3).
pub const HOP_LIMIT: u8 = 255;
/// The count field has one octet.
pub const MAX_ADDRESSES: usize = 255;
/// Longest VRRPv3 interval: twelve bits of centiseconds (RFC 9568 5.2.7).
pub const MAX_V3_INTERVAL: u16 = 4095;

/// Octets before the addresses.
const HEADER_LEN: usize = 8;
/// Octets of version 2's authentication data, after the addresses.
const AUTH_LEN: usize = 8;
const TYPE_ADVERTISEMENT: u8 = 1;
const AUTH_NONE: u8 = 0;
const AUTH_PASSWORD: u8 = 1;
const AUTH_HEADER: u8 = 2;
/// Where a message says for which virtual router it is.
pub(super) const VRID_OFFSET: usize = 1;
/// Where it says how many addresses it carries.
const COUNT_OFFSET: usize = 3;

/// The protocol version an instance speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768, IPv4 only.
    V2,
    /// RFC 5798 and RFC 9568.
    V3,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Version::V2 => 2,
            Version::V3 => 3,
        }
    }
}

/// RFC 2338 authentication, kept by VRRPv2 speakers only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// Auth type 0.
    None,
    /// Auth type 1: eight octets, zero padded.
    Password([u8; 8]),
    /// Auth type 2: an IPsec authentication header around the message ([`crate::wire::ah`]) with this key, zero padded.
    Header([u8; 8]),
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Authentication::None => "None",
            Authentication::Password(_) => "Password(hidden)",
            Authentication::Header(_) => "Header(hidden)",
        })
    }
}

/// Does a VRRPv3 checksum over IPv4 include the pseudo-header? keepalived does, RFC 9568 5.2.8 does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumDialect {
    /// keepalived's default; a wrong checksum is discarded.
    PseudoHeader,
    /// `v3_checksum_as_v2`, RFC 9568's way. Received messages may be summed either way.
    MessageOnly,
}

/// The virtual addresses of one family that an advertisement carries, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4.
    V4(Vec<Ipv4Addr>),
    /// IPv6; the first should be link-local (RFC 9568 5.2.9).
    V6(Vec<Ipv6Addr>),
}

impl Addresses {
    /// Their family.
    pub const fn family(&self) -> AddressFamily {
        match self {
            Addresses::V4(_) => AddressFamily::V4,
            Addresses::V6(_) => AddressFamily::V6,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Addresses::V4(list) => list.len(),
            Addresses::V6(list) => list.len(),
        }
    }

    /// None at all? keepalived sends such a list when every address is excluded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An advertisement that can be sent: valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    version: Version,
    vrid: VirtualRouterId,
    priority: Priority,
    interval: Interval,
    authentication: Authentication,
    addresses: Addresses,
}

/// What cannot be said on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsayable {
    /// More than [`MAX_ADDRESSES`].
    #[error("{0} addresses do not fit one advertisement, which holds 255")]
    TooManyAddresses(usize),
    /// Version 2 counts whole seconds up to 255, version 3 up to 4095 centiseconds.
    #[error("an interval of {0} centiseconds cannot be said in this VRRP version")]
    Interval(u16),
}

impl Advertisement {
    /// A version 2 message; `interval` must be whole seconds up to 255.
    pub fn v2(
        vrid: VirtualRouterId,
        priority: Priority,
        interval: Interval,
        authentication: Authentication,
        addresses: Vec<Ipv4Addr>,
    ) -> Result<Advertisement, Unsayable> {
        let centiseconds = interval.centiseconds();
        if !centiseconds.is_multiple_of(100) || centiseconds > 25_500 {
            return Err(Unsayable::Interval(centiseconds));
        }
        let addresses = Addresses::V4(addresses);
        Advertisement { version: Version::V2, vrid, priority, interval, authentication, addresses }.counted()
    }

    /// A version 3 message; `interval` at most [`MAX_V3_INTERVAL`].
    pub fn v3(
        vrid: VirtualRouterId,
        priority: Priority,
        interval: Interval,
        addresses: Addresses,
    ) -> Result<Advertisement, Unsayable> {
        if interval.centiseconds() > MAX_V3_INTERVAL {
            return Err(Unsayable::Interval(interval.centiseconds()));
        }
        let authentication = Authentication::None;
        Advertisement { version: Version::V3, vrid, priority, interval, authentication, addresses }.counted()
    }

    fn counted(self) -> Result<Advertisement, Unsayable> {
        match self.addresses.len() {
            0..=MAX_ADDRESSES => Ok(self),
            more => Err(Unsayable::TooManyAddresses(more)),
        }
    }

    /// Protocol version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Virtual router identifier.
    pub const fn vrid(&self) -> VirtualRouterId {
        self.vrid
    }

    /// The sender's priority.
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// The sender's interval.
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The addresses.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    //= RFC9568 5.2.1 M-09
    //= RFC9568 5.2.2 M-10
    //= RFC9568 5.2.5 M-15
    //= RFC3768 5.3.8 M-20
    //= RFC9568 5.2.8 M-21
    //= RFC9568 5.2.8 M-22
    //= RFC3768 5.3.10 M-25
    /// The message with its checksum. Both addresses enter the checksum of version 3 over IPv6, and over IPv4
    /// as `dialect` says; version 2 needs neither.
    pub fn encode(&self, source: IpAddr, destination: IpAddr, dialect: ChecksumDialect) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).expect("construction checked the number of addresses");
        let trailer = if self.version == Version::V2 { AUTH_LEN } else { 0 };
        let list = address_len(self.addresses.family()) * self.addresses.len();
        let mut bytes = Vec::with_capacity(HEADER_LEN + list + trailer);
        bytes.push(self.version.number() << 4 | TYPE_ADVERTISEMENT);
        bytes.extend([self.vrid.get(), self.priority.0, count]);
        bytes.extend(self.fifth_and_sixth_octet());
        bytes.extend([0, 0]);
        match &self.addresses {
            Addresses::V4(list) => list.iter().for_each(|a| bytes.extend(a.octets())),
            Addresses::V6(list) => list.iter().for_each(|a| bytes.extend(a.octets())),
        }
        if self.version == Version::V2 {
            bytes.extend(match self.authentication {
                Authentication::None | Authentication::Header(_) => [0; AUTH_LEN],
                Authentication::Password(word) => word,
            });
        }
        let pseudo = self.version == Version::V3
            && (self.addresses.family() == AddressFamily::V6 || dialect == ChecksumDialect::PseudoHeader);
        let sum = if pseudo {
            Checksum::new().with_pseudo_header(source, destination, PROTOCOL, bytes.len())
        } else {
            Checksum::new()
        };
        let checksum = sum.with(&bytes).finish();
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    //= RFC3768 5.3.6 M-16
    //= RFC9568 5.2.6 M-17
    //= RFC3768 5.3.7 M-18
    //= RFC9568 5.2.7 M-19
    /// Version 2: auth type and seconds. Version 3: four reserved bits, sent as zero, and centiseconds.
    fn fifth_and_sixth_octet(&self) -> [u8; 2] {
        match self.version {
            Version::V3 => self.interval.centiseconds().to_be_bytes(),
            Version::V2 => {
                let seconds = u8::try_from(self.interval.centiseconds() / 100)
                    .expect("construction checked the interval");
                match self.authentication {
                    Authentication::None => [AUTH_NONE, seconds],
                    Authentication::Password(_) => [AUTH_PASSWORD, seconds],
                    Authentication::Header(_) => [AUTH_HEADER, seconds],
                }
            }
        }
    }
}

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Sender; its family decides how addresses are read.
    pub source: IpAddr,
    /// The group or an own address.
    pub destination: IpAddr,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
}

/// What the receiving router demands of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation<'a> {
    /// Its version.
    pub version: Version,
    /// Its authentication (version 2).
    pub authentication: &'a Authentication,
    /// Its interval; version 2 discards any other, version 3 learns the sender's.
    pub interval: Interval,
    /// Its way of summing.
    pub checksum: ChecksumDialect,
    /// Must the hop limit be 255? Not for unicast, as keepalived has it.
    pub hop_limit_255: bool,
    /// What was found about a trailer ([`crate::wire::trailer`]), which the message no longer has: told after the
    /// version, as keepalived does.
    pub trailer: Result<(), Discard>,
    /// What was found about an authentication header ([`crate::wire::ah`]): told after the authentication type.
    pub header: Result<(), Discard>,
}

/// The VRID of a message, to find the router it is for; `None` if it is too short or the field is 0.
pub fn peek_vrid(bytes: &[u8]) -> Option<VirtualRouterId> {
    bytes.get(VRID_OFFSET).and_then(|&vrid| VirtualRouterId::new(vrid))
}

/// The interval that a message claims, as its version has it; nothing of a message that is too short. It is not looked at
/// otherwise: whose fault a refused packet is does not matter here.
pub fn peek_interval(bytes: &[u8]) -> Duration {
    let [first, _, _, _, high, low, ..] = *bytes else { return Duration::ZERO };
    if first >> 4 == Version::V2.number() {
        Duration::from_secs(u64::from(low))
    } else {
        Duration::from_millis(u64::from(u16::from_be_bytes([high & 0x0f, low])) * 10)
    }
}

/// The addresses that a message of that family carries, unjudged: as many as are there whole.
pub fn peek_addresses(bytes: &[u8], family: AddressFamily) -> impl Iterator<Item = IpAddr> + Clone + '_ {
    let count = usize::from(bytes.get(COUNT_OFFSET).copied().unwrap_or(0));
    let octets = bytes.get(HEADER_LEN..).unwrap_or_default();
    octets.chunks_exact(address_len(family)).take(count).filter_map(|octets| match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
    })
}

/// The message and its HMAC trailer, recognised by the length alone: 28 octets more than the count of addresses says.
/// `family` is that of the packet. `None` when the length is neither that of a message nor that of a signed one.
pub fn split_trailer(bytes: &[u8], family: AddressFamily) -> Option<(&[u8], Option<&[u8; trailer::LEN]>)> {
    let [first, _, _, count, ..] = *bytes else { return None };
    let authentication = if first >> 4 == Version::V2.number() { AUTH_LEN } else { 0 };
    let length = HEADER_LEN + usize::from(count) * address_len(family) + authentication;
    match bytes.split_at_checked(length)? {
        (message, []) => Some((message, None)),
        (message, rest) => Some((message, Some(rest.try_into().ok()?))),
    }
}

//= RFC9568 7.1 M-30
//= RFC9568 7.1 M-31
//= RFC9568 7.1 M-32
//= RFC3768 7.1 M-37
//= RFC9568 5.2.6 M-42
/// Read a message. The order of the checks is keepalived's: the first that fails is the reason given.
///
/// A count of 0 is accepted, as keepalived does (RFC 9568 5.2.5 would ignore the message): it sends such
/// messages itself when every address is excluded. Octets after the message are a wrong length.
//= keepalived M-118
pub fn decode(bytes: &[u8], path: Path, expected: Expectation<'_>) -> Result<Advertisement, Discard> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Err(Discard::Length) };
    let [version_and_type, vrid, priority, count, fifth, sixth, _, _] = *header;
    let vrid = VirtualRouterId::new(vrid).ok_or(Discard::UnknownRouter)?;
    if expected.hop_limit_255 && path.hop_limit != HOP_LIMIT {
        return Err(Discard::HopLimit);
    }
    let family = AddressFamily::of(path.source);
    if version_and_type >> 4 != expected.version.number()
        || (expected.version == Version::V2 && family == AddressFamily::V6)
    {
        return Err(Discard::Version);
    }
    expected.trailer?;
    let list_len = usize::from(count) * address_len(family);
    let interval = match expected.version {
        Version::V2 => {
            check_authentication(fifth, body.get(list_len..), expected.authentication)?;
            expected.header?;
            let interval = Interval::from_seconds(sixth).ok_or(Discard::Interval)?;
            if interval != expected.interval {
                return Err(Discard::Interval);
            }
            interval
        }
        // The upper four bits are reserved and ignored (RFC 9568 5.2.6).
        Version::V3 => {
            Interval::from_centiseconds(u16::from_be_bytes([fifth & 0x0f, sixth])).ok_or(Discard::Interval)?
        }
    };
    if version_and_type & 0x0f != TYPE_ADVERTISEMENT {
        return Err(Discard::Type);
    }
    let trailer = if expected.version == Version::V2 { AUTH_LEN } else { 0 };
    if body.len() != list_len + trailer {
        return Err(Discard::Length);
    }
    if !checksum_fits(bytes, path, expected) {
        return Err(Discard::Checksum);
    }
    Ok(Advertisement {
        version: expected.version,
        vrid,
        priority: Priority(priority),
        interval,
        authentication: expected.authentication.clone(),
        addresses: read_addresses(family, body.get(..list_len).unwrap_or_default()),
    })
}

const fn address_len(family: AddressFamily) -> usize {
    match family {
        AddressFamily::V4 => 4,
        AddressFamily::V6 => 16,
    }
}

//= RFC3768 7.1 M-36
//= RFC2338 5.3.6 M-102
/// RFC 2338 7.1. `rest` is what follows the addresses; `None` if the message ends before.
fn check_authentication(kind: u8, rest: Option<&[u8]>, expected: &Authentication) -> Result<(), Discard> {
    match expected {
        Authentication::None if kind == AUTH_NONE => Ok(()),
        Authentication::Header(_) if kind == AUTH_HEADER => Ok(()),
        Authentication::Password(word) if kind == AUTH_PASSWORD => {
            match rest.and_then(|rest| rest.first_chunk::<AUTH_LEN>()) {
                None => Err(Discard::Length),
                Some(data) if data == word => Ok(()),
                Some(_) => Err(Discard::AuthMismatch),
            }
        }
        _ => Err(Discard::AuthType),
    }
}

//= RFC9568 7.1 M-33
//= RFC9568 5.2.8 M-43
/// keepalived with `v3_checksum_as_v2` accepts any IPv4 checksum; here one of the two forms must fit.
fn checksum_fits(bytes: &[u8], path: Path, expected: Expectation<'_>) -> bool {
    let message = || Checksum::new().with(bytes).finish() == 0;
    let pseudo = || {
        Checksum::new()
            .with_pseudo_header(path.source, path.destination, PROTOCOL, bytes.len())
            .with(bytes)
            .finish()
            == 0
    };
    match (expected.version, AddressFamily::of(path.source), expected.checksum) {
        (Version::V2, _, _) => message(),
        (Version::V3, AddressFamily::V4, ChecksumDialect::MessageOnly) => message() || pseudo(),
        (Version::V3, _, _) => pseudo(),
    }
}

fn read_addresses(family: AddressFamily, list: &[u8]) -> Addresses {
    match family {
        AddressFamily::V4 => Addresses::V4(
            list.chunks_exact(4).filter_map(|c| <[u8; 4]>::try_from(c).ok()).map(Ipv4Addr::from).collect(),
        ),
        AddressFamily::V6 => Addresses::V6(
            list.chunks_exact(16).filter_map(|c| <[u8; 16]>::try_from(c).ok()).map(Ipv6Addr::from).collect(),
        ),
    }
}
