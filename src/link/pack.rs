//! Long text that repeats itself, kept small: the plan of four thousand routers is four megabytes of JSON in which
//! one router differs from the next in its name, number and addresses. It is packed as it is written and unpacked as it is
//! read (LZ4 frames, by a library), so that nobody has it whole in memory.

use base64ct::{Base64Unpadded, Encoding};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::{self, Read, Write};

/// Packed octets; base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

/// What should unpack is not what was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed octets do not unpack")]
pub struct Torn;

impl Packed {
    /// As they lie; [`Unpacker`] reads what they were.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// Packs what is written into it.
#[derive(Debug)]
pub struct Packer {
    to: FrameEncoder<Vec<u8>>,
    taken: usize,
}

impl Default for Packer {
    fn default() -> Packer {
        // Blocks look back 64 KiB beyond their beginning, where the last things like this one are.
        let info = FrameInfo::new()
            .block_mode(BlockMode::Linked)
            .block_size(BlockSize::Max64KB)
            .content_checksum(true);
        Packer { to: FrameEncoder::with_frame_info(info, Vec::new()), taken: 0 }
    }
}

impl Packer {
    /// How many octets were written into it.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// All of them, packed.
    pub fn finish(self) -> io::Result<Packed> {
        Ok(Packed(self.to.finish()?.into_boxed_slice()))
    }
}

impl Write for Packer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.to.write(octets)?;
        self.taken += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads what was packed; an error where that is torn, or longer than the limit. Whoever reads on until the end knows that
/// all of it is as it was.
#[derive(Debug)]
pub struct Unpacker<'a> {
    from: FrameDecoder<Input<'a>>,
    left: usize,
    ended: bool,
}

impl<'a> Unpacker<'a> {
    /// Of [`Packed::octets`], `limit` octets at most.
    pub fn new(packed: &'a [u8], limit: usize) -> Unpacker<'a> {
        let from = FrameDecoder::new(Input { rest: packed, ran_out: false });
        Unpacker { from, left: limit, ended: false }
    }
}

impl Read for Unpacker<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ended || to.is_empty() {
            return Ok(0);
        }
        let read = self.from.read(to)?;
        self.left = self.left.checked_sub(read).ok_or_else(|| io::Error::other(Torn))?;
        if read == 0 {
            // The decoder takes an end without its mark for an end, and would go on with what follows.
            let input = self.from.get_ref();
            if input.ran_out || !input.rest.is_empty() {
                return Err(io::Error::other(Torn));
            }
            self.ended = true;
        }
        Ok(read)
    }
}

/// Packed octets that remember whether more of them was wanted than there are.
#[derive(Debug)]
struct Input<'a> {
    rest: &'a [u8],
    ran_out: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.rest.read(to)?;
        self.ran_out |= read < to.len();
        Ok(read)
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Base64Unpadded::encode_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Packed, D::Error> {
        from.deserialize_str(Text)
    }
}

/// Base64, from where it lies.
struct Text;

impl Visitor<'_> for Text {
    type Value = Packed;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("base64 without padding")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Packed, E> {
        let octets = Base64Unpadded::decode_vec(text).map_err(E::custom)?;
        Ok(Packed(octets.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(octets: &[u8]) -> Packed {
        let mut packer = Packer::default();
        // In pieces, as a message is written.
        for piece in octets.chunks(7) {
            packer.write_all(piece).expect("there is room");
        }
        assert_eq!(packer.taken(), octets.len());
        packer.finish().expect("there is room")
    }

    fn unpack(packed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        Unpacker::new(packed, limit).read_to_end(&mut octets).map(|_| octets)
    }

    #[test]
    fn a_list_of_almost_equal_things_becomes_a_twentieth() {
        let router = |n: u32| {
            format!(
                "{{\"name\":\"r{n}\",{},\"address\":\"10.1.{}.{}\"}}",
                "\"x\":null,".repeat(90),
                n >> 8,
                n & 255
            )
        };
        let text: String = (0..4000).map(router).collect();
        let packed = pack(text.as_bytes());
        assert_eq!(unpack(packed.octets(), text.len()).expect("it was packed"), text.as_bytes());
        let size = packed.octets().len();
        assert!(size * 20 < text.len(), "{size} of {}", text.len());
        assert!(unpack(packed.octets(), text.len() - 1).is_err(), "over the limit");
        for cut in (0..20).chain(size - 20..size) {
            assert!(unpack(&packed.octets()[..cut], text.len()).is_err(), "cut short at {cut} of {size}");
        }
        for more in [&[0][..], packed.octets()] {
            let longer = [packed.octets(), more].concat();
            assert!(unpack(&longer, 2 * text.len()).is_err(), "followed by {} octets", more.len());
        }
        let mut changed = packed.octets().to_vec();
        changed[size / 2] ^= 1;
        assert!(unpack(&changed, text.len()).is_err(), "one bit is another");
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..8),
            order in proptest::collection::vec(0usize..8, 0..200),
            times in 0usize..1000,
        ) {
            let octets: Vec<u8> = order.iter().flat_map(|n| words[n % words.len()].clone()).collect();
            let octets = octets.repeat(times);
            let packed = pack(&octets);
            prop_assert_eq!(unpack(packed.octets(), octets.len()).expect("it was packed"), octets);
            let text = serde_json::to_string(&packed).expect("a string");
            prop_assert_eq!(serde_json::from_str::<Packed>(&text).expect("base64"), packed);
        }

        #[test]
        fn any_octets_unpack_within_the_limit_or_not(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(unpacked) = unpack(&octets, 1000) {
                prop_assert!(unpacked.len() <= 1000);
            }
        }

        #[test]
        fn any_text_is_packed_octets_or_not(text in "[A-Za-z0-9+/=]{0,20}") {
            let text = format!("\"{text}\"");
            if let Ok(packed) = serde_json::from_str::<Packed>(&text) {
                prop_assert_eq!(serde_json::to_string(&packed).expect("a string"), text);
            }
        }
    }
}
