//! Netlink's framing: messages and attributes, built and taken apart without trust.

use std::fmt;

/// Octets of a message header (struct nlmsghdr).
pub const HEADER: usize = 16;

/// Octets of an attribute header (struct nlattr).
const ATTRIBUTE_HEADER: usize = 4;

/// Both are padded to this.
const ALIGNMENT: usize = 4;

/// NLA_F_NESTED, set on attributes that hold attributes.
const NESTED: u16 = 0x8000;

/// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER: the attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// What the kernel sent cannot be read; says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed netlink data: {0}")]
pub struct Malformed(pub &'static str);

/// A message that the kernel sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// NLM_F_* flags.
    pub flags: u16,
    /// Sequence number of the request it answers; 0 in notifications.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {:#x} flags {:#x} seq {} {:02x?}", self.kind, self.flags, self.sequence, self.payload)
    }
}

/// The messages in one datagram. Ends after the first error.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (item, next) = match split_message(rest) {
            Ok((message, next)) => (Ok(message), next),
            Err(error) => (Err(error), &[][..]),
        };
        rest = next;
        Some(item)
    })
}

fn split_message(bytes: &[u8]) -> Result<(Message<'_>, &[u8]), Malformed> {
    let header = bytes.first_chunk::<HEADER>().ok_or(Malformed("message header cut short"))?;
    let [a, b, c, d, kind0, kind1, flags0, flags1, s0, s1, s2, s3, _, _, _, _] = *header;
    let length = u32::from_ne_bytes([a, b, c, d]) as usize;
    let payload = bytes.get(HEADER..length).ok_or(Malformed("message longer than its datagram"))?;
    let message = Message {
        kind: u16::from_ne_bytes([kind0, kind1]),
        flags: u16::from_ne_bytes([flags0, flags1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        payload,
    };
    Ok((message, bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or(&[])))
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type, without the flag bits.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// The attributes in `bytes`. Ends after the first error.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<Attribute<'_>, Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (item, next) = match split_attribute(rest) {
            Ok((attribute, next)) => (Ok(attribute), next),
            Err(error) => (Err(error), &[][..]),
        };
        rest = next;
        Some(item)
    })
}

fn split_attribute(bytes: &[u8]) -> Result<(Attribute<'_>, &[u8]), Malformed> {
    let header = bytes.first_chunk::<ATTRIBUTE_HEADER>().ok_or(Malformed("attribute header cut short"))?;
    let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
    let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
    let value = bytes.get(ATTRIBUTE_HEADER..length).ok_or(Malformed("attribute longer than its message"))?;
    Ok((Attribute { kind, value }, bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or(&[])))
}

impl<'a> Attribute<'a> {
    /// The value's first `N` octets. Longer values pass: kernels extend structures at the end.
    pub fn octets<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value.first_chunk().copied().ok_or(Malformed("attribute value cut short"))
    }

    /// As u8.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.octets().map(u8::from_ne_bytes)
    }

    /// As u16 in the machine's order.
    pub fn u16(&self) -> Result<u16, Malformed> {
        self.octets().map(u16::from_ne_bytes)
    }

    /// As u16 in network order.
    pub fn u16_be(&self) -> Result<u16, Malformed> {
        self.octets().map(u16::from_be_bytes)
    }

    /// As u32 in the machine's order.
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.octets().map(u32::from_ne_bytes)
    }

    /// As u64 in the machine's order; netlink aligns to four octets only.
    pub fn u64(&self) -> Result<u64, Malformed> {
        self.octets().map(u64::from_ne_bytes)
    }

    /// As text up to the first NUL, if there is one; octets that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        let end = self.value.iter().position(|octet| *octet == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(self.value.get(..end).unwrap_or(self.value)).into_owned()
    }

    /// The attributes inside.
    pub fn nested(&self) -> impl Iterator<Item = Result<Attribute<'a>, Malformed>> + use<'a> {
        attributes(self.value)
    }
}

/// A request under construction. Sequence number and length are filled in when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A message of this type with these NLM_F_* flags, followed by the family's fixed header.
    pub fn new(kind: u16, flags: u16, family_header: &[u8]) -> Request {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(family_header);
        let mut request = Request { bytes };
        request.align();
        request
    }

    /// Append an attribute. Values are short by construction (addresses, numbers, names).
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Request {
        self.nest_raw(kind, |request| request.bytes.extend_from_slice(value))
    }

    /// Append a name, NUL-terminated.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Request {
        self.nest_raw(kind, |request| {
            request.bytes.extend_from_slice(value.as_bytes());
            request.bytes.push(0);
        })
    }

    /// Append an attribute that holds those that `fill` appends.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Request)) -> &mut Request {
        self.nest_raw(kind | NESTED, fill)
    }

    /// What follows the message header.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or(&[])
    }

    /// Octets of the message so far.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The finished message.
    pub fn finish(mut self, sequence: u32, extra_flags: u16) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | extra_flags;
        // `new` wrote the 16 octets of the header, so these ranges exist.
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn nest_raw(&mut self, kind: u16, fill: impl FnOnce(&mut Request)) -> &mut Request {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; ATTRIBUTE_HEADER]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        // The header was written above, so these ranges exist.
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.align();
        self
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_has_length_type_flags_sequence_and_padded_attributes() {
        let mut request = Request::new(0x14, 1, &[2, 24, 0, 0, 1, 0, 0, 0]);
        request.attribute(2, &[192, 0, 2, 1]).text(3, "lo").nest(5, |nest| {
            nest.attribute(1, &[7]);
        });
        let bytes = request.finish(9, 4);
        let expected = [
            &52u32.to_ne_bytes()[..],
            &0x14u16.to_ne_bytes(),
            &5u16.to_ne_bytes(),
            &9u32.to_ne_bytes(),
            &[0; 4],
            &[2, 24, 0, 0, 1, 0, 0, 0],
            &8u16.to_ne_bytes(),
            &2u16.to_ne_bytes(),
            &[192, 0, 2, 1],
            &7u16.to_ne_bytes(),
            &3u16.to_ne_bytes(),
            b"lo\0\0",
            &12u16.to_ne_bytes(),
            &0x8005u16.to_ne_bytes(),
            &5u16.to_ne_bytes(),
            &1u16.to_ne_bytes(),
            &[7, 0, 0, 0],
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_message_longer_than_its_datagram_is_malformed_and_the_last() {
        let mut bytes = Request::new(1, 0, &[]).finish(1, 0);
        bytes[0] += 1;
        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(read, [Err(Malformed("message longer than its datagram"))]);
    }

    #[test]
    fn lengths_below_the_header_are_malformed() {
        for length in 0..4u16 {
            let bytes = [length.to_ne_bytes(), 1u16.to_ne_bytes()].concat();
            assert_eq!(attributes(&bytes).collect::<Vec<_>>().len(), 1);
            assert!(attributes(&bytes).all(|attribute| attribute.is_err()));
        }
    }

    #[test]
    fn text_ends_at_the_first_nul_or_at_the_end() {
        let text = |value| Attribute { kind: 1, value }.text();
        assert_eq!(text(b"wlc\0"), "wlc");
        assert_eq!(text(b"wlc"), "wlc");
        assert_eq!(text(b"\0\0"), "");
        assert_eq!(text(&[0xff, b'a']), "\u{fffd}a");
    }

    proptest! {
        #[test]
        fn any_octets_are_taken_apart_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for message in messages(&bytes).flatten() {
                for attribute in attributes(message.payload).flatten() {
                    let _ = (attribute.u8(), attribute.u16_be(), attribute.u32(), attribute.u64());
                    prop_assert!(attribute.nested().count() <= attribute.value.len() + 1);
                }
            }
            prop_assert!(attributes(&bytes).count() <= bytes.len() + 1);
        }

        #[test]
        fn what_is_built_is_read_back(
            parts in proptest::collection::vec((0u16..0x3fff, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            kind: u16, sequence: u32,
        ) {
            let mut request = Request::new(kind, 1, &[1, 2, 3, 4]);
            for (kind, value) in &parts {
                request.attribute(*kind, value);
            }
            let bytes = request.finish(sequence, 0);
            let read: Vec<_> = messages(&bytes).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!((read[0].kind, read[0].sequence), (kind, sequence));
            let found: Vec<_> = attributes(&read[0].payload[4..]).collect::<Result<_, _>>().unwrap();
            let expected: Vec<_> = parts.iter().map(|(kind, value)| Attribute { kind: *kind, value }).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
