//! ICMP and ICMPv6 echo (RFC 792, RFC 4443 section 4): one header, two type numbers, two checksums.

use std::net::Ipv6Addr;

/// Octets before the payload: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// An echo request or reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Request or reply.
    pub kind: EchoKind,
    /// Tells processes of one host apart. The kernel writes its own into requests of datagram sockets.
    pub identifier: u16,
    /// Tells the requests of one process apart.
    pub sequence: u16,
    /// Returned unchanged by the peer.
    pub payload: Vec<u8>,
}

/// Direction of an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoKind {
    /// ICMP type 8, ICMPv6 type 128.
    Request,
    /// ICMP type 0, ICMPv6 type 129.
    Reply,
}

/// Why octets are no echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EchoError {
    /// Less than a header.
    #[error("{0} octets are too few for an ICMP echo")]
    Short(usize),
    /// Another ICMP message.
    #[error("type {0} code {1} is not an echo")]
    OtherType(u8, u8),
    /// The sum does not come out.
    #[error("wrong ICMP checksum")]
    Checksum,
}

/// What an ICMPv6 checksum covers beside the message (RFC 8200 section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Sender.
    pub source: Ipv6Addr,
    /// Receiver.
    pub destination: Ipv6Addr,
}

impl Echo {
    /// The message over IPv4, with its checksum.
    pub fn encode_v4(&self) -> Vec<u8> {
        let number = match self.kind {
            EchoKind::Request => 8,
            EchoKind::Reply => 0,
        };
        let mut message = self.layout(number);
        put_checksum(&mut message, 0);
        message
    }

    /// The message over IPv6. Without addresses the checksum stays 0: the kernel fills it in on ICMPv6 sockets
    /// (RFC 3542 section 3.1), and only it knows the source address then.
    pub fn encode_v6(&self, addresses: Option<Addresses>) -> Vec<u8> {
        let number = match self.kind {
            EchoKind::Request => 128,
            EchoKind::Reply => 129,
        };
        let mut message = self.layout(number);
        if let Some(addresses) = addresses {
            let pseudo = addresses.sum(message.len());
            put_checksum(&mut message, pseudo);
        }
        message
    }

    /// From an IPv4 payload.
    pub fn decode_v4(message: &[u8]) -> Result<Echo, EchoError> {
        let echo = Echo::parse(message, |number| match number {
            8 => Some(EchoKind::Request),
            0 => Some(EchoKind::Reply),
            _ => None,
        })?;
        if finish(add(0, message)) != 0 { Err(EchoError::Checksum) } else { Ok(echo) }
    }

    /// From an IPv6 payload. Without addresses the checksum is not looked at: the kernel has done so before an
    /// ICMPv6 socket sees the message.
    pub fn decode_v6(message: &[u8], addresses: Option<Addresses>) -> Result<Echo, EchoError> {
        let echo = Echo::parse(message, |number| match number {
            128 => Some(EchoKind::Request),
            129 => Some(EchoKind::Reply),
            _ => None,
        })?;
        match addresses {
            Some(addresses) if finish(add(addresses.sum(message.len()), message)) != 0 => {
                Err(EchoError::Checksum)
            }
            _ => Ok(echo),
        }
    }

    fn layout(&self, number: u8) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEADER + self.payload.len());
        message.extend_from_slice(&[number, 0, 0, 0]);
        message.extend_from_slice(&self.identifier.to_be_bytes());
        message.extend_from_slice(&self.sequence.to_be_bytes());
        message.extend_from_slice(&self.payload);
        message
    }

    fn parse(message: &[u8], kind: impl Fn(u8) -> Option<EchoKind>) -> Result<Echo, EchoError> {
        let Some((&[number, code, _, _, i0, i1, s0, s1], payload)) = message.split_first_chunk::<HEADER>()
        else {
            return Err(EchoError::Short(message.len()));
        };
        match kind(number) {
            Some(kind) if code == 0 => Ok(Echo {
                kind,
                identifier: u16::from_be_bytes([i0, i1]),
                sequence: u16::from_be_bytes([s0, s1]),
                payload: payload.to_vec(),
            }),
            _ => Err(EchoError::OtherType(number, code)),
        }
    }
}

impl Addresses {
    /// Sum over the pseudo-header for a message of `length` octets; next header 58.
    fn sum(&self, length: usize) -> u64 {
        let addresses = add(add(0, &self.source.octets()), &self.destination.octets());
        addresses + length as u64 + 58
    }
}

fn put_checksum(message: &mut [u8], pseudo: u64) {
    let sum = finish(add(pseudo, message));
    message[2..4].copy_from_slice(&sum.to_be_bytes()); // layout() always writes a whole header
}

/// Adds 16-bit words, the last one padded (RFC 1071). No message is long enough to overflow 64 bits.
fn add(sum: u64, octets: &[u8]) -> u64 {
    octets.chunks(2).fold(sum, |sum, word| match *word {
        [high, low] => sum + u64::from(u16::from_be_bytes([high, low])),
        [high] => sum + u64::from(u16::from_be_bytes([high, 0])),
        _ => sum,
    })
}

/// Folds the carries and complements; 0 over a message that carries its own right checksum.
fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(payload: &[u8]) -> Echo {
        Echo { kind: EchoKind::Request, identifier: 0x1234, sequence: 7, payload: payload.to_vec() }
    }

    const ADDRESSES: Addresses = Addresses {
        source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    };

    #[test]
    fn an_independent_decoder_reads_the_request() {
        let octets = request(b"hello").encode_v4();
        let slice = etherparse::Icmpv4Slice::from_slice(&octets).expect("an ICMP message");
        let etherparse::Icmpv4Type::EchoRequest(header) = slice.icmp_type() else { panic!("not a request") };
        assert_eq!((header.id, header.seq, slice.payload()), (0x1234, 7, &b"hello"[..]));
        let expected = slice.icmp_type().calc_checksum(b"hello");
        assert_eq!(slice.header().checksum, expected);
    }

    #[test]
    fn an_independent_decoder_agrees_on_the_icmpv6_checksum() {
        let octets = request(b"hello").encode_v6(Some(ADDRESSES));
        let slice = etherparse::Icmpv6Slice::from_slice(&octets).expect("an ICMPv6 message");
        assert!(slice.is_checksum_valid(ADDRESSES.source.octets(), ADDRESSES.destination.octets()));
        assert_eq!(octets[0], 128);
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut octets = request(b"hello").encode_v4();
        octets[9] ^= 1;
        assert_eq!(Echo::decode_v4(&octets), Err(EchoError::Checksum));
    }

    #[test]
    fn other_messages_are_named() {
        assert_eq!(Echo::decode_v4(&[3, 1, 0, 0, 0, 0, 0, 0]), Err(EchoError::OtherType(3, 1)));
        assert_eq!(Echo::decode_v4(&[8, 0, 0]), Err(EchoError::Short(3)));
        assert_eq!(Echo::decode_v6(&[8, 0, 0, 0, 0, 0, 0, 0], None), Err(EchoError::OtherType(8, 0)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(reply: bool, identifier: u16, sequence: u16, payload: Vec<u8>) {
            let kind = if reply { EchoKind::Reply } else { EchoKind::Request };
            let echo = Echo { kind, identifier, sequence, payload };
            prop_assert_eq!(Echo::decode_v4(&echo.encode_v4()), Ok(echo.clone()));
            prop_assert_eq!(Echo::decode_v6(&echo.encode_v6(None), None), Ok(echo.clone()));
            let over = Some(ADDRESSES);
            prop_assert_eq!(Echo::decode_v6(&echo.encode_v6(over), over), Ok(echo));
        }

        #[test]
        fn no_input_panics(octets: Vec<u8>) {
            let v4 = Echo::decode_v4(&octets);
            prop_assert!(octets.len() >= HEADER || v4 == Err(EchoError::Short(octets.len())));
            let v6 = Echo::decode_v6(&octets, Some(ADDRESSES));
            prop_assert!(octets.len() >= HEADER || v6 == Err(EchoError::Short(octets.len())));
        }
    }
}
