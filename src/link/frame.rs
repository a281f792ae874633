//! Frames: a big-endian u32 length, then that many octets of JSON. Pure: bytes in, messages out.
//!
//! The highest bit of the length says that the JSON is packed (`pack.rs`), as plans are: who passes one on passes a small part.

use super::MAX_FRAME;
use super::pack::{Packed, Packer, Torn, Unpacker};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::BufReader;

/// A message that says how long it is gets room at once, at most so much and so many times what has come of it: a plan of
/// megabytes is not copied over and over while it arrives, and who only announces much gets little.
const FIRST_ROOM: usize = 1 << 20;
const GROWTH: usize = 16;

/// In the length: the JSON is packed.
const PACKED: u32 = 1 << 31;

/// Why a link is unusable. The only cure is to drop the peer.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced more than [`MAX_FRAME`].
    #[error("a frame of {0} octets is over the limit of {MAX_FRAME}")]
    TooLarge(usize),
    /// The body is not the message expected.
    #[error("a frame does not parse: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The body is packed, and does not unpack to a message within the limit.
    #[error("a frame does not parse: {0}")]
    Torn(#[from] Torn),
}

/// The octets of one message.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let body = frame.len() - 4;
    if body > MAX_FRAME {
        return Err(FrameError::TooLarge(body));
    }
    let length = u32::try_from(body).map_err(|_| FrameError::TooLarge(body))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// The frame of a message that was packed with [`pack`].
pub fn packed_frame(packed: &Packed) -> Vec<u8> {
    let octets = packed.octets();
    // Less than MAX_FRAME, which is less than 2^31: pack() saw to it.
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX) | PACKED;
    [&length.to_be_bytes(), octets].concat()
}

/// Packs a message, to be sent as it is or read back with [`unpacked`].
pub fn pack<T: Serialize>(message: &T) -> Result<Packed, FrameError> {
    let mut packer = Packer::default();
    serde_json::to_writer(&mut packer, message)?;
    let size = packer.taken();
    let packed = packer.finish().map_err(serde_json::Error::io)?;
    match size.max(packed.octets().len()) {
        size if size > MAX_FRAME => Err(FrameError::TooLarge(size)),
        _ => Ok(packed),
    }
}

/// The message that was packed.
pub fn unpacked<T: DeserializeOwned>(packed: &Packed) -> Result<T, FrameError> {
    read_packed(packed.octets())
}

fn read_packed<T: DeserializeOwned>(octets: &[u8]) -> Result<T, FrameError> {
    let text = BufReader::new(Unpacker::new(octets, MAX_FRAME));
    serde_json::from_reader(text).map_err(|error| if error.is_io() { Torn.into() } else { error.into() })
}

/// Collects octets until they make messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    read: usize,
}

impl Decoder {
    /// Adds octets from the peer.
    pub fn push(&mut self, octets: &[u8]) {
        if self.buffer.len() + octets.len() > self.buffer.capacity() {
            let known = self.missing().min(FIRST_ROOM.max(self.buffer.len() * GROWTH));
            if known > octets.len() {
                self.buffer.reserve_exact(known);
            }
        }
        self.buffer.extend_from_slice(octets);
    }

    /// How many octets of the message that has begun are still to come; none while that is unknown.
    fn missing(&self) -> usize {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, body)) = rest.split_first_chunk::<4>() else { return 0 };
        let length = (u32::from_be_bytes(*length) & !PACKED) as usize;
        if length > MAX_FRAME { 0 } else { length.saturating_sub(body.len()) }
    }

    /// The next whole message, if there is one.
    pub fn message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.buffer[self.read..];
        let Some((length, body)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let (is_packed, length) = (length & PACKED != 0, (length & !PACKED) as usize);
        if length > MAX_FRAME {
            return Err(FrameError::TooLarge(length));
        }
        let Some(body) = body.get(..length) else { return Ok(None) };
        let message = match is_packed {
            true => read_packed(body)?,
            false => serde_json::from_slice(body)?,
        };
        self.read += 4 + length;
        self.forget_read();
        Ok(Some(message))
    }

    /// Drops what has been read. A plan is large and rare: its memory is given back, also when the start of the next
    /// message has come already.
    fn forget_read(&mut self) {
        if self.read == self.buffer.len() {
            self.buffer = Vec::new();
            self.read = 0;
        } else if self.read > self.buffer.len() / 2 {
            self.buffer = self.buffer.split_off(self.read);
            self.read = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_fragmentation() {
        let octets: Vec<u8> =
            [encode(&"one"), encode(&"two")].into_iter().flat_map(|f| f.expect("strings encode")).collect();
        for size in 1..octets.len() {
            let mut decoder = Decoder::default();
            let mut heard = Vec::new();
            for piece in octets.chunks(size) {
                decoder.push(piece);
                while let Some(word) = decoder.message::<String>().expect("well formed") {
                    heard.push(word);
                }
            }
            assert_eq!(heard, ["one", "two"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_peer_that_is_always_in_the_middle_of_a_frame_costs_no_memory() {
        let frame = encode(&"word").expect("strings encode");
        let mut decoder = Decoder::default();
        decoder.push(&frame[..3]);
        for _ in 0..1000 {
            decoder.push(&frame[3..]);
            decoder.push(&frame[..3]);
            assert_eq!(decoder.message::<String>().expect("well formed").as_deref(), Some("word"));
        }
        assert!(decoder.buffer.len() <= 3 * frame.len(), "{} octets", decoder.buffer.len());
    }

    #[test]
    fn a_long_message_gets_its_room_at_once_and_who_only_announces_one_does_not() {
        let frame = encode(&"x".repeat(3 << 20)).expect("strings encode");
        let mut decoder = Decoder::default();
        let mut rooms = Vec::new();
        for piece in frame.chunks(64 << 10) {
            decoder.push(piece);
            rooms.push(decoder.buffer.capacity());
        }
        rooms.dedup();
        assert!(rooms.len() <= 4, "moved at {rooms:?}");
        assert_eq!(decoder.buffer.capacity(), frame.len());
        let mut liar = Decoder::default();
        liar.push(&u32::try_from(MAX_FRAME).expect("fits").to_be_bytes());
        liar.push(&[0; 100]);
        assert!(liar.buffer.capacity() <= 2 * FIRST_ROOM, "{}", liar.buffer.capacity());
    }

    #[test]
    fn a_packed_message_is_heard_as_any_other() {
        let words = vec!["word".to_owned(); 1000];
        let packed = pack(&words).expect("strings encode");
        assert_eq!(unpacked::<Vec<String>>(&packed).expect("it was packed"), words);
        let mut frame = packed_frame(&packed);
        assert!(frame.len() < 100, "{}", frame.len());
        let mut decoder = Decoder::default();
        decoder.push(&frame);
        decoder.push(&encode(&vec!["next"]).expect("strings encode"));
        assert_eq!(decoder.message::<Vec<String>>().expect("well formed"), Some(words));
        assert_eq!(decoder.message::<Vec<String>>().expect("well formed"), Some(vec!["next".to_owned()]));
        frame[20] ^= 1; // in the midst of the text
        decoder.push(&frame);
        assert!(matches!(decoder.message::<Vec<String>>(), Err(FrameError::Torn(_))));
    }

    #[test]
    fn a_huge_length_is_refused_before_its_body_arrives() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        assert!(matches!(decoder.message::<String>(), Err(FrameError::TooLarge(_))));
    }

    #[test]
    fn a_body_that_does_not_parse_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 1, b'{']);
        assert!(matches!(decoder.message::<String>(), Err(FrameError::Malformed(_))));
    }
}
