//! VRRPv2 behind an IPsec authentication header (RFC 2402, RFC 2338 5.3.6), as keepalived sends and checks it.
//!
//! An IPv4 packet of protocol 51: IP header, 24 octets of header, the VRRP message with auth type 2 and eight octets of
//! zero at its end. The security parameters index is the source address. The integrity check value is HMAC-MD5-96
//! over the whole packet with these octets taken as zero: type of service, flags and fragment offset, header
//! checksum, the value itself. The TTL is covered as it is, unlike RFC 2402 3.3.3.1.1.1 has it (seen with 2.2.7).

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use std::net::Ipv4Addr;

/// IP protocol number of the authentication header.
pub const PROTOCOL: u8 = 51;

/// Octets of an IPv4 header without options.
const IP_HEADER: usize = 20;
/// Octets of the authentication header with a 96-bit value.
const AH_HEADER: usize = 24;
/// Octets of the truncated value (RFC 2403 2).
const VALUE: usize = 12;
/// Its length in words of four octets, less two (RFC 2402 2.2).
const PAYLOAD_LENGTH: u8 = 4;
/// As keepalived marks its advertisements: internetwork control.
const TRAFFIC_CLASS: u8 = 0xc0;

/// What goes around a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Sender; also the security parameters index.
    pub source: Ipv4Addr,
    /// Group or peer.
    pub destination: Ipv4Addr,
    /// TTL. Covered: a router on the way would break the value.
    pub hop_limit: u8,
    /// IP identification. Covered too, so the kernel must not choose it: not 0.
    pub identification: u16,
    /// Sequence number (RFC 2402 2.5).
    pub sequence: u32,
}

/// The whole IPv4 packet for `message`, complete but for the header checksum, which the kernel writes.
pub fn seal(envelope: Envelope, key: &[u8; 8], message: &[u8]) -> Vec<u8> {
    let total = IP_HEADER + AH_HEADER + message.len();
    let total = u16::try_from(total).expect("a VRRP message has at most 4096 octets");
    let mut packet = Vec::with_capacity(usize::from(total));
    packet.extend([0x45, TRAFFIC_CLASS]);
    packet.extend(total.to_be_bytes());
    packet.extend(envelope.identification.to_be_bytes());
    packet.extend([0, 0, envelope.hop_limit, PROTOCOL, 0, 0]);
    packet.extend(envelope.source.octets());
    packet.extend(envelope.destination.octets());
    packet.extend([super::vrrp::PROTOCOL, PAYLOAD_LENGTH, 0, 0]);
    packet.extend(envelope.source.octets());
    packet.extend(envelope.sequence.to_be_bytes());
    packet.extend([0; VALUE]);
    packet.extend(message);
    let value = value(&packet, IP_HEADER, key);
    packet[IP_HEADER + AH_HEADER - VALUE..IP_HEADER + AH_HEADER].copy_from_slice(&value);
    packet
}

/// A received packet whose lengths were checked; nothing else was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Sender.
    pub source: Ipv4Addr,
    /// Group or own address.
    pub destination: Ipv4Addr,
    /// TTL as received.
    pub hop_limit: u8,
    /// Is the security parameters index the source address?
    pub index_fits: bool,
    /// Sequence number.
    pub sequence: u32,
    /// The VRRP message.
    pub message: &'a [u8],
    packet: &'a [u8],
    header: usize,
}

impl<'a> Sealed<'a> {
    /// Take an IPv4 packet apart; octets after its total length are padding. `None` if its lengths lie, or it
    /// holds something other than VRRP behind an authentication header.
    pub fn parse(packet: &'a [u8]) -> Option<Sealed<'a>> {
        let ip = packet.first_chunk::<IP_HEADER>()?;
        let header = usize::from(ip[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        if ip[0] >> 4 != 4 || header < IP_HEADER || ip[9] != PROTOCOL {
            return None;
        }
        let packet = packet.get(..total)?;
        let (ah, message) = packet.get(header..)?.split_first_chunk::<AH_HEADER>()?;
        let source = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
        (ah[0] == super::vrrp::PROTOCOL).then(|| Sealed {
            source,
            destination: Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]),
            hop_limit: ip[8],
            index_fits: ah[4..8] == source.octets(),
            sequence: u32::from_be_bytes([ah[8], ah[9], ah[10], ah[11]]),
            message,
            packet,
            header,
        })
    }

    /// Does the integrity check value fit? Compared in constant time.
    pub fn is_genuine(&self, key: &[u8; 8]) -> bool {
        let end = self.header + AH_HEADER;
        let claimed = self.packet.get(end - VALUE..end).unwrap_or_default();
        hasher(self.packet, self.header, key).verify_truncated_left(claimed).is_ok()
    }
}

fn value(packet: &[u8], header: usize, key: &[u8; 8]) -> [u8; VALUE] {
    let digest = hasher(packet, header, key).finalize().into_bytes();
    *digest.first_chunk().expect("an MD5 digest has 16 octets")
}

/// The HMAC over the packet with the octets that may change on the way as zero.
fn hasher(packet: &[u8], header: usize, key: &[u8; 8]) -> Hmac<Md5> {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("HMAC takes keys of any length");
    let zero = |position: usize| {
        matches!(position, 1 | 6 | 7 | 10 | 11)
            || (header + AH_HEADER - VALUE..header + AH_HEADER).contains(&position)
    };
    let covered: Vec<u8> =
        packet.iter().enumerate().map(|(position, octet)| if zero(position) { 0 } else { *octet }).collect();
    mac.update(&covered);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8; 8] = b"secret\0\0";

    /// Sent by Debian's keepalived 2.2.7 with `auth_pass secret`: its first advertisement.
    const CAPTURED: [u8; 64] = [
        0x45, 0xc0, 0x00, 0x40, 0x00, 0x01, 0x00, 0x00, 0xff, 0x33, 0x18, 0xb6, 0xc0, 0x00, 0x02, 0x01, 0xe0,
        0x00, 0x00, 0x12, 0x70, 0x04, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x01, 0x00, 0x00, 0x00, 0x01, 0x70, 0x54,
        0x1b, 0x79, 0x02, 0xa0, 0x8f, 0x2e, 0xdc, 0xbd, 0x9d, 0xe3, 0x21, 0x33, 0x96, 0x01, 0x02, 0x01, 0x84,
        0x65, 0xc0, 0x00, 0x02, 0x64, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    fn envelope() -> Envelope {
        Envelope {
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(224, 0, 0, 18),
            hop_limit: 255,
            identification: 1,
            sequence: 1,
        }
    }

    //= RFC2338 5.3.6 M-103
    #[test]
    fn what_keepalived_sends_is_genuine_and_sealed_alike() {
        let sealed = Sealed::parse(&CAPTURED).expect("a packet");
        assert!(sealed.is_genuine(KEY) && sealed.index_fits);
        assert_eq!((sealed.source, sealed.hop_limit, sealed.sequence), (envelope().source, 255, 1));
        let mut ours = seal(envelope(), KEY, sealed.message);
        ours[10..12].copy_from_slice(&CAPTURED[10..12]);
        assert_eq!(ours, CAPTURED);
    }

    #[test]
    fn every_octet_counts_but_those_that_change_on_the_way() {
        for position in 0..CAPTURED.len() {
            let mut packet = CAPTURED;
            packet[position] ^= 0x40;
            let genuine = Sealed::parse(&packet).is_some_and(|sealed| sealed.is_genuine(KEY));
            assert_eq!(genuine, matches!(position, 1 | 6 | 7 | 10 | 11), "octet {position}");
        }
        assert!(!Sealed::parse(&CAPTURED).expect("a packet").is_genuine(b"secreT\0\0"));
    }

    #[test]
    fn a_packet_cut_anywhere_is_none_and_padding_does_no_harm() {
        for length in 0..CAPTURED.len() {
            assert_eq!(Sealed::parse(&CAPTURED[..length]), None, "{length} octets");
        }
        let padded = [&CAPTURED[..], &[0; 6]].concat();
        assert!(Sealed::parse(&padded).is_some_and(|sealed| sealed.is_genuine(KEY)));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_packet_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(sealed) = Sealed::parse(&bytes) {
                prop_assert!(sealed.message.len() + IP_HEADER + AH_HEADER <= bytes.len());
                prop_assert!(!sealed.is_genuine(KEY));
            }
        }
    }
}
