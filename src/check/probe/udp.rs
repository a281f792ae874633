//! UDP_CHECK: a datagram that nobody refuses, or that is answered as wanted.

use super::{Mark, Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::check::SplitMix;
use crate::plan::check::UdpCheck;

/// Octets of a datagram for which no payload is configured.
pub const FILLER: usize = 32;

/// One datagram and what comes of it.
#[derive(Debug)]
pub struct Udp {
    payload: Vec<u8>,
    reply: Option<Vec<(u8, u8)>>,
    lengths: std::ops::RangeInclusive<u16>,
}

impl Udp {
    /// A conversation; `mark` makes a datagram without a configured payload differ from the last one.
    pub fn new(check: &UdpCheck, mark: Mark) -> Udp {
        let filler = || {
            let mut random = SplitMix(u64::from(mark.identifier) << 16 | u64::from(mark.sequence));
            (0..FILLER / 8).flat_map(|_| random.next().to_be_bytes()).collect()
        };
        Udp {
            payload: check.payload.clone().unwrap_or_else(filler),
            reply: check.reply.clone(),
            lengths: check.reply_length.clone(),
        }
    }

    /// As keepalived: the length counts only where it is known how the answer begins.
    fn judge(&self, answer: &[u8]) -> Outcome {
        let length = answer.len();
        let Some(wanted) = self.reply.as_ref().filter(|wanted| !wanted.is_empty()) else {
            return Outcome::Success(format!("an answer of {length} octets"));
        };
        if !u16::try_from(length).is_ok_and(|length| self.lengths.contains(&length)) {
            let (low, high) = (self.lengths.start(), self.lengths.end());
            return Outcome::Failure(format!("an answer of {length} octets, wanted {low} to {high}"));
        }
        let fits = |(have, (want, mask)): (&u8, &(u8, u8))| have & mask == want & mask;
        if length < wanted.len() || !answer.iter().zip(wanted).all(fits) {
            let seen: String = answer.iter().take(SHOWN).map(|octet| format!("{octet:02x}")).collect();
            let more = if length > SHOWN { "..." } else { "" };
            return Outcome::Failure(format!("an answer that begins otherwise than wanted: {seen}{more}"));
        }
        Outcome::Success(format!("the wanted answer, {length} octets"))
    }
}

/// Octets of a wrong answer that are shown.
const SHOWN: usize = 16;

impl Probe for Udp {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        ProbeStep::Done(match input {
            ProbeInput::Connected => return ProbeStep::Send(self.payload.clone()),
            ProbeInput::Closed => return ProbeStep::Wait,
            ProbeInput::Data(answer) => self.judge(answer),
            ProbeInput::Broken(how) => Outcome::Failure(how.into()),
            ProbeInput::TimedOut(limit) if self.reply.is_some() => {
                Outcome::Failure(format!("no answer within {}", words(limit)))
            }
            ProbeInput::TimedOut(limit) => Outcome::Success(format!("not refused within {}", words(limit))),
        })
    }
}
