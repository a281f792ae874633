//! Which frames pass (RFC 9113 4.1), seen beside the library that reads them: for the record of a conversation, and to
//! end one in which a server says a lot that is no answer.

use crate::check::probe::answer::MAX_HEAD;
use std::fmt;

/// Octets of a frame's head.
const HEAD: usize = 9;

/// The most octets that are no body: heads of frames, header fields, settings, pings. A browser's worst page has a tenth;
/// a server that floods is done in a moment.
pub const MAX_OVERHEAD: u64 = 1 << 20;

/// The most octets of one frame: as long as a client says nothing else (RFC 9113 4.2).
const MAX_FRAME: u32 = 1 << 14;

/// What a client says first (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Octets that follow the head.
    pub length: u32,
    /// Of which stream.
    pub stream: u32,
}

/// The frames of one direction.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; HEAD],
    /// Octets of the head that are there.
    known: usize,
    /// Octets of the frame that are to come.
    rest: u32,
    /// Octets that are no body.
    overhead: u64,
    /// Octets of header fields since a HEADERS frame began them.
    fields: u64,
    /// A frame has begun.
    begun: bool,
}

impl Frames {
    /// Takes octets and tells of each frame that begins; an error, in words, when it is none or they are too many. Then no
    /// more is taken.
    pub fn take(&mut self, mut octets: &[u8], mut told: impl FnMut(Frame)) -> Result<(), String> {
        while !octets.is_empty() {
            if self.rest > 0 {
                let passed = usize::try_from(self.rest).map_or(octets.len(), |rest| rest.min(octets.len()));
                octets = &octets[passed..]; // at most its length
                self.rest -= passed as u32; // at most the rest
                continue;
            }
            let (now, later) = octets.split_at((HEAD - self.known).min(octets.len()));
            self.head[self.known..self.known + now.len()].copy_from_slice(now); // now fits behind what is known
            self.known += now.len();
            octets = later;
            if self.known == HEAD {
                self.known = 0;
                told(self.begin()?);
            }
        }
        Ok(())
    }

    /// A frame has begun, so that it is HTTP/2.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    fn begin(&mut self) -> Result<Frame, String> {
        let [l0, l1, l2, kind, _, s0, s1, s2, s3] = self.head;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        // Later ones are refused by the library.
        if !self.begun && length > MAX_FRAME {
            return Err(match self.head.starts_with(b"HTTP/1.") {
                true => "the server does not speak HTTP/2: it answers with HTTP/1".into(),
                false => "what the server says is not HTTP/2".into(),
            });
        }
        self.begun = true;
        self.rest = length;
        match kind {
            1 | 5 => self.fields = u64::from(length), // HEADERS, PUSH_PROMISE
            9 => self.fields += u64::from(length),    // CONTINUATION; the limit below comes first
            _ => {}
        }
        if self.fields > MAX_HEAD as u64 {
            return Err(format!("headers over {} KiB", MAX_HEAD >> 10));
        }
        self.overhead += HEAD as u64 + if kind == 0 { 0 } else { u64::from(length) }; // 0: DATA
        if self.overhead > MAX_OVERHEAD {
            return Err(format!("{} KiB of frames beside the answer: the server floods", MAX_OVERHEAD >> 10));
        }
        // The first bit is reserved.
        Ok(Frame { kind, length, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) })
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        match NAMES.get(usize::from(self.kind)) {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "frame of type {}", self.kind)?,
        }
        write!(f, "({})", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, body: &[u8]) -> Vec<u8> {
        let [_, l0, l1, l2] = (body.len() as u32).to_be_bytes();
        [&[l0, l1, l2, kind, 0, 0, 0, 0, stream][..], body].concat()
    }

    #[test]
    fn frames_are_named_in_any_pieces() {
        let octets = [frame(4, 0, &[0; 18]), frame(1, 1, b"x"), frame(0, 1, &[7; 300]), frame(99, 0, b"")];
        for size in [1, 2, 8, 9, 10, 4096] {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for piece in octets.concat().chunks(size) {
                frames.take(piece, |frame| seen.push((frame.to_string(), frame.stream))).expect("frames");
            }
            let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["SETTINGS(18)", "HEADERS(1)", "DATA(300)", "frame of type 99(0)"], "{size}");
            assert_eq!(seen[2].1, 1);
            assert_eq!(frames.overhead, 4 * 9 + 18 + 1, "the body does not count");
        }
    }

    #[test]
    fn a_flood_ends_and_a_body_does_not() {
        let mut frames = Frames::default();
        let ping = frame(6, 0, &[0; 8]);
        let most = MAX_OVERHEAD as usize / ping.len();
        let pings = (0..2 * most).take_while(|_| frames.take(&ping, |_| {}).is_ok()).count();
        assert_eq!(pings, most);
        let mut frames = Frames::default();
        let body = frame(0, 1, &[0; 16_384]);
        assert!((0..1000).all(|_| frames.take(&body, |_| {}).is_ok()));
    }

    #[test]
    fn http_1_is_known() {
        let mut frames = Frames::default();
        assert_eq!(frames.take(b"HTTP/1.1", |_| {}), Ok(()), "it may be a frame yet");
        let error = frames.take(b" 400 Bad Request", |_| {}).expect_err("it is none");
        assert_eq!(error, "the server does not speak HTTP/2: it answers with HTTP/1");
    }
}
