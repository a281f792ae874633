//! The Internet checksum (RFC 1071) and the pseudo-headers of IPv4 (RFC 793 3.1) and IPv6 (RFC 8200 8.1).

use std::net::IpAddr;

/// A checksum under way. Every piece but the last must have an even number of octets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// Nothing summed yet.
    pub const fn new() -> Checksum {
        Checksum(0)
    }

    /// Add octets as big-endian 16-bit words; a last odd octet is padded with zero.
    #[must_use]
    pub fn with(mut self, bytes: &[u8]) -> Checksum {
        let words = bytes.chunks_exact(2);
        if let [last] = words.remainder() {
            self.0 += u64::from(*last) << 8;
        }
        for word in words {
            if let [high, low] = word {
                self.0 += u64::from(u16::from_be_bytes([*high, *low]));
            }
        }
        self
    }

    /// Add the pseudo-header: both addresses, the payload's length and the protocol or next header.
    /// Addresses of different families are summed as they are; such a packet cannot exist.
    #[must_use]
    pub fn with_pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        length: usize,
    ) -> Checksum {
        let mut sum = self.with_address(source).with_address(destination);
        sum.0 += u64::from(protocol);
        sum.with(&(u32::try_from(length).unwrap_or(u32::MAX)).to_be_bytes())
    }

    /// The one's complement of the one's complement sum: 0 over a message whose checksum field is right.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while let high @ 1.. = sum >> 16 {
            sum = (sum & 0xffff) + high;
        }
        !u16::try_from(sum).expect("the carries above 16 bits were folded in")
    }

    fn with_address(self, address: IpAddr) -> Checksum {
        match address {
            IpAddr::V4(address) => self.with(&address.octets()),
            IpAddr::V6(address) => self.with(&address.octets()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Checksum::new().with(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn an_odd_octet_counts_as_the_high_one() {
        assert_eq!(Checksum::new().with(&[0x12]).finish(), !0x1200);
    }

    #[test]
    fn carries_fold_until_none_is_left() {
        assert_eq!(Checksum::new().with(&[0xff; 65_535]).finish(), !0xff00);
    }

    #[test]
    fn the_pseudo_header_is_addresses_length_and_protocol() {
        let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let destination = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
        let spelled = [10, 0, 0, 1, 224, 0, 0, 18, 0, 112, 0, 12];
        assert_eq!(
            Checksum::new().with_pseudo_header(source, destination, 112, 12).finish(),
            Checksum::new().with(&spelled).finish()
        );
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let sum = Checksum::new().with_pseudo_header(v6, v6, 58, 0x1_0000).finish();
        assert_eq!(sum, !(1 + 1 + 58 + 1));
    }
}
