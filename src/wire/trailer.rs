//! The HMAC-SHA256 trailer after a VRRP message (draft-cassen-vrrp-auth-hmac, `auth_hmac` of keepalived 2.4.2 and later).
//!
//! 28 octets: type 1, key id, two reserved ones, a sequence of seconds since 1970 (4), 1/65536 s (2) and a counter (2),
//! then the HMAC cut to 16 octets. It covers a pseudo-header (family, version, VRID, sender), the message with its
//! checksum field as zero, and the trailer with its HMAC as zero. The message's own checksum knows nothing of it.

use super::vrrp::VRID_OFFSET;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;

/// Octets of the trailer.
pub const LEN: usize = 28;
/// Shortest key.
pub const MIN_KEY: usize = 32;
/// Longest key.
pub const MAX_KEY: usize = 64;

/// HMAC-SHA256 cut to 128 bits.
const TYPE_SHA256: u8 = 1;
/// Octets before the HMAC.
const HEAD: usize = 12;
/// The checksum field of a message, taken as zero.
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// Seconds, fraction and counter as one number. Compare by [`Sequence::is_after`]: it wraps in 2106.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first of a moment of wall-clock time, in nanoseconds since 1970.
    pub const fn at(unix_nanoseconds: u64) -> Sequence {
        let seconds = unix_nanoseconds / 1_000_000_000 % (1 << 32);
        let fraction = (unix_nanoseconds % 1_000_000_000) * 65_536 / 1_000_000_000;
        Sequence(seconds << 32 | fraction << 16)
    }

    /// Serial number arithmetic (RFC 1982).
    pub const fn is_after(self, other: Sequence) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 63
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Sequence {
        Sequence(self.0.wrapping_add(1))
    }

    /// Whole seconds between two, whichever is later.
    pub const fn seconds_apart(self, other: Sequence) -> u64 {
        let (a, b) = (self.0.wrapping_sub(other.0), other.0.wrapping_sub(self.0));
        let apart = if a < b { a } else { b };
        // Rounded up: a moment past the window is past it.
        apart.div_ceil(1 << 32)
    }
}

/// The trailer for `message`, sent from `source`. `key` has [`MIN_KEY`] to [`MAX_KEY`] octets.
pub fn sign(source: IpAddr, message: &[u8], key_id: u8, key: &[u8], sequence: Sequence) -> [u8; LEN] {
    let mut trailer = [0; LEN];
    trailer[0] = TYPE_SHA256;
    trailer[1] = key_id;
    trailer[4..HEAD].copy_from_slice(&sequence.0.to_be_bytes());
    let digest = hasher(source, message, &trailer, key).finalize().into_bytes();
    trailer[HEAD..].copy_from_slice(digest.first_chunk::<{ LEN - HEAD }>().expect("SHA-256 gives 32 octets"));
    trailer
}

/// A received trailer, not verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    /// Which key signed it, as it claims.
    pub key_id: u8,
    /// When it was signed, as it claims.
    pub sequence: Sequence,
    octets: &'a [u8; LEN],
}

impl<'a> Trailer<'a> {
    /// `None` if it is of another type. The reserved octets are covered but mean nothing.
    pub fn parse(octets: &'a [u8; LEN]) -> Option<Trailer<'a>> {
        let [kind, key_id, _, _, a, b, c, d, e, f, g, h, ..] = *octets;
        let sequence = Sequence(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        (kind == TYPE_SHA256).then_some(Trailer { key_id, sequence, octets })
    }

    /// Does the HMAC fit? Compared in constant time.
    pub fn is_genuine(&self, source: IpAddr, message: &[u8], key: &[u8]) -> bool {
        let mut head = [0; LEN];
        head[..HEAD].copy_from_slice(&self.octets[..HEAD]);
        hasher(source, message, &head, key).verify_truncated_left(&self.octets[HEAD..]).is_ok()
    }
}

/// Over pseudo-header, message and trailer; `trailer` comes with its HMAC as zero.
fn hasher(source: IpAddr, message: &[u8], trailer: &[u8; LEN], key: &[u8]) -> Hmac<Sha256> {
    let mut pseudo = [0; 20];
    pseudo[1] = message.first().copied().unwrap_or_default() >> 4;
    pseudo[2] = message.get(VRID_OFFSET).copied().unwrap_or_default();
    match source {
        IpAddr::V4(address) => {
            pseudo[0] = 4;
            pseudo[4..8].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            pseudo[0] = 6;
            pseudo[4..].copy_from_slice(&address.octets());
        }
    }
    let mut covered = message.to_vec();
    if let Some(checksum) = covered.get_mut(CHECKSUM) {
        checksum.fill(0);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&pseudo);
    mac.update(&covered);
    mac.update(trailer);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const MESSAGE: [u8; 12] = [0x31, 51, 100, 1, 0, 100, 0xab, 0xcd, 192, 0, 2, 100];
    const SECOND: u64 = 1_000_000_000;

    fn source() -> IpAddr {
        Ipv4Addr::new(192, 0, 2, 1).into()
    }

    /// Written out by hand, and the HMAC taken from Python's `hmac` module.
    #[test]
    fn a_trailer_octet_by_octet() {
        let trailer = sign(source(), &MESSAGE, 7, KEY, Sequence::at(1_800_000_000 * SECOND + SECOND / 2));
        assert_eq!(trailer[..12], [1, 7, 0, 0, 0x6b, 0x49, 0xd2, 0x00, 0x80, 0, 0, 0]);
        assert_eq!(trailer[12..], VECTOR);
    }

    const VECTOR: [u8; 16] =
        [0x83, 0xb9, 0x9d, 0x01, 0x50, 0xa4, 0x18, 0x89, 0xbb, 0x01, 0x19, 0x90, 0xb0, 0x49, 0x62, 0xc7];

    #[test]
    fn every_octet_counts_except_the_checksum() {
        let trailer = sign(source(), &MESSAGE, 7, KEY, Sequence(5));
        let genuine = |source, message: &[u8], trailer: &[u8; LEN], key| {
            Trailer::parse(trailer).is_some_and(|t| t.is_genuine(source, message, key))
        };
        assert!(genuine(source(), &MESSAGE, &trailer, KEY));
        for position in 0..MESSAGE.len() {
            let mut message = MESSAGE;
            message[position] ^= 0x10;
            let counts = !CHECKSUM.contains(&position);
            assert_eq!(
                !genuine(source(), &message, &trailer, KEY),
                counts,
                "octet {position} of the message"
            );
        }
        for position in 0..LEN {
            let mut other = trailer;
            other[position] ^= 0x10;
            assert!(!genuine(source(), &MESSAGE, &other, KEY), "octet {position} of the trailer");
        }
        assert!(!genuine(Ipv4Addr::new(192, 0, 2, 2).into(), &MESSAGE, &trailer, KEY));
        let embedded = Ipv6Addr::from([192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!genuine(embedded.into(), &MESSAGE, &trailer, KEY));
        assert!(!genuine(source(), &MESSAGE, &trailer, b"0123456789abcdef0123456789abcdeF"));
    }

    #[test]
    fn sequences_grow_through_the_wrap() {
        let late = Sequence::at(0xffff_ffff * SECOND);
        let wrapped = Sequence::at(0x1_0000_0001 * SECOND);
        assert!(wrapped.is_after(late) && !late.is_after(wrapped));
        assert_eq!((late.seconds_apart(wrapped), wrapped.seconds_apart(late)), (2, 2));
        assert!(!late.is_after(late) && late.next().is_after(late));
        assert_eq!(late.seconds_apart(late.next()), 1);
    }
}
