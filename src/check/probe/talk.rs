//! TCP_CHECK with `send` or `expect`: something is said, and the wanted words are waited for.

use super::{Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::TalkCheck;

/// The most octets that are looked at. A server that says so much else is not the one that is meant.
pub const MOST: usize = 64 << 10;

/// Octets of a wrong answer that are shown.
const SHOWN: usize = 40;

/// One conversation.
#[derive(Debug)]
pub struct Talk {
    send: Vec<u8>,
    expect: Vec<u8>,
    heard: Vec<u8>,
}

impl Talk {
    /// A conversation.
    pub fn new(check: &TalkCheck) -> Talk {
        Talk { send: check.send.clone(), expect: check.expect.clone(), heard: Vec::new() }
    }

    fn take(&mut self, octets: &[u8]) -> ProbeStep {
        // The words may straddle two pieces: look back over what could be their beginning.
        let from = self.heard.len().saturating_sub(self.expect.len().saturating_sub(1));
        let room = MOST.saturating_sub(self.heard.len()).min(octets.len());
        self.heard.extend_from_slice(&octets[..room]); // room is at most its length
        let fresh = &self.heard[from..]; // from is at most the length before
        if fresh.windows(self.expect.len().max(1)).any(|part| part == self.expect) {
            let count = self.heard.len();
            return ProbeStep::Done(Outcome::Success(format!("the expected answer, {count} octets")));
        }
        match self.heard.len() < MOST {
            true => ProbeStep::Wait,
            false => self.fail(&format!("{} KiB without the expected words", MOST >> 10)),
        }
    }

    fn fail(&self, what: &str) -> ProbeStep {
        let seen: String = String::from_utf8_lossy(&self.heard)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(SHOWN)
            .collect();
        ProbeStep::Done(Outcome::Failure(match seen.trim() {
            "" => format!("{what}, nothing was said"),
            seen => format!("{what}, it said: {seen}"),
        }))
    }
}

impl Probe for Talk {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        let waits = !self.expect.is_empty();
        match input {
            ProbeInput::Connected if !self.send.is_empty() => ProbeStep::Send(std::mem::take(&mut self.send)),
            ProbeInput::Connected => ProbeStep::Wait,
            ProbeInput::Data(octets) if waits => self.take(octets),
            // Only `send`: that it was taken, and not answered by a reset, is enough.
            ProbeInput::Data(_) | ProbeInput::Closed if !waits => {
                ProbeStep::Done(Outcome::Success("connected, and took what was sent".into()))
            }
            ProbeInput::TimedOut(limit) if !waits => ProbeStep::Done(Outcome::Success(format!(
                "connected, and took what was sent; silent for {}",
                words(limit)
            ))),
            ProbeInput::Data(_) => ProbeStep::Wait,
            ProbeInput::Closed => self.fail("closed without the expected words"),
            ProbeInput::Broken(how) => ProbeStep::Done(Outcome::Failure(how.into())),
            ProbeInput::TimedOut(limit) => self.fail(&format!("no expected words within {}", words(limit))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn talk(expect: &str) -> Talk {
        Talk::new(&TalkCheck { send: b"PING\r\n".to_vec(), expect: expect.as_bytes().to_vec() })
    }

    /// The end of a conversation in which these pieces come, then the last input.
    fn end(expect: &str, pieces: &[&[u8]], last: ProbeInput<'_>) -> Outcome {
        let mut probe = talk(expect);
        assert_eq!(probe.step(ProbeInput::Connected), ProbeStep::Send(b"PING\r\n".to_vec()));
        for piece in pieces {
            if let ProbeStep::Done(outcome) = probe.step(ProbeInput::Data(piece)) {
                return outcome;
            }
        }
        match probe.step(last) {
            ProbeStep::Done(outcome) => outcome,
            other => panic!("no end: {other:?}"),
        }
    }

    #[test]
    fn words_are_found_in_any_pieces_and_their_absence_is_told() {
        let limit = ProbeInput::TimedOut(Duration::from_secs(5));
        let success = |words: &str| Outcome::Success(words.into());
        let failure = |words: &str| Outcome::Failure(words.into());
        let pong: Vec<&[u8]> = b"+PONG\r\n".chunks(1).collect();
        assert_eq!(end("PONG", &pong, limit), success("the expected answer, 5 octets"));
        assert_eq!(end("PONG", &[b"+PO", b"NG\r\n"], limit), success("the expected answer, 7 octets"));
        assert_eq!(
            end("PONG", &[b"-ERR\r\n"], limit),
            failure("no expected words within 5 s, it said: -ERR")
        );
        assert_eq!(
            end("PONG", &[], ProbeInput::Closed),
            failure("closed without the expected words, nothing was said")
        );
        assert_eq!(end("PONG", &[], ProbeInput::Broken("reset")), failure("reset"));
        assert_eq!(
            end("", &[], limit),
            success("connected, and took what was sent; silent for 5 s"),
            "nothing is expected"
        );
    }

    #[test]
    fn a_server_that_talks_for_ever_is_heard_in_part_only() {
        let mut probe = talk("PONG");
        let piece = [b'x'; 10_000];
        let pieces = (0..100).find(|_| probe.step(ProbeInput::Data(&piece)) != ProbeStep::Wait);
        assert_eq!(pieces, Some(MOST / piece.len()));
        assert!(probe.heard.len() <= MOST);
    }
}
