//! What a router remembers of what was said: sequence numbers sent and heard, and which checksum a peer uses.

use super::router::Router;
use super::sparse::Blank;
use crate::plan::vrrp::HmacPolicy;
use crate::wire::discard::Discard;
use crate::wire::trailer::{self, Sequence, Trailer};
use std::net::IpAddr;

/// Senders whose last sequence is remembered when they are not listed as peers: more than two at once speak only
/// while masters contend (keepalived has as many).
const UNLISTED_SENDERS: usize = 4;

/// It lives as long as the router, also through a reload; a new process begins anew.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Authentication header: the last sequence number, sent or accepted. keepalived counts both with one number, so
    /// that the next Master goes on where the last one stopped.
    pub header_sequence: u32,
    /// Authentication header: IP identification of the last packet.
    pub identification: u16,
    /// A peer sums unicast VRRPv3 as keepalived before 1.3.7 did: so do we from then on.
    pub old_checksum: bool,
    /// The last trailer signed.
    pub signed: Option<Sequence>,
    /// The last trailer accepted from each sender, the most recent one at the end.
    heard: Vec<(IpAddr, Sequence)>,
}

impl Blank for Speech {
    const BLANK: &'static Speech = &Speech {
        header_sequence: 0,
        identification: 0,
        old_checksum: false,
        signed: None,
        heard: Vec::new(),
    };
}

impl Speech {
    /// Number and identification for the next packet behind an authentication header; peers share them.
    pub fn next_header(&mut self) -> (u32, u16) {
        self.header_sequence = self.header_sequence.wrapping_add(1);
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        (self.header_sequence, self.identification)
    }

    /// A sequence for the next trailer: the time, or more than the last one. One that is ahead of the clock by more
    /// than the window, as after the clock was set back, begins anew from the clock.
    pub fn next_trailer(&mut self, window: Option<u16>, unix_nanoseconds: u64) -> Sequence {
        let now = Sequence::at(unix_nanoseconds);
        let next = match self.signed {
            Some(last) if !now.is_after(last) => {
                let too_far = window.is_some_and(|window| now.seconds_apart(last) > u64::from(window));
                if too_far { now } else { last.next() }
            }
            _ => now,
        };
        self.signed = Some(next);
        next
    }

    /// Is the trailer of `message` one to believe? The sequence to remember when the message is accepted.
    /// `None` for a message that need not be signed and is not.
    pub fn verify(
        &self,
        policy: &HmacPolicy,
        source: IpAddr,
        message: &[u8],
        octets: &[u8; trailer::LEN],
        unix_nanoseconds: u64,
    ) -> Result<Sequence, Discard> {
        let trailer = Trailer::parse(octets).ok_or(Discard::TrailerMalformed)?;
        let key = policy.key(trailer.key_id).ok_or(Discard::TrailerKey)?;
        let now = Sequence::at(unix_nanoseconds);
        let stale = |sequence: Sequence| {
            policy.window.is_some_and(|window| sequence.seconds_apart(now) > u64::from(window))
        };
        if stale(trailer.sequence) {
            return Err(Discard::TrailerStale);
        }
        if !trailer.is_genuine(source, message, key) {
            return Err(Discard::TrailerHmac);
        }
        let last = self.heard.iter().find(|(sender, _)| *sender == source).map(|(_, last)| *last);
        match last.filter(|last| !stale(*last)) {
            Some(last) if !trailer.sequence.is_after(last) => Err(Discard::TrailerReplay),
            _ => Ok(trailer.sequence),
        }
    }

    /// A trailer was accepted. `listed` peers are never forgotten for want of room.
    pub fn remember(&mut self, source: IpAddr, sequence: Sequence, listed: usize) {
        self.heard.retain(|(sender, _)| *sender != source);
        if self.heard.len() >= listed.max(UNLISTED_SENDERS) {
            self.heard.remove(0);
        }
        self.heard.push((source, sequence));
    }
}

impl Router {
    /// Octets that a trailer adds to each advertisement.
    pub(super) fn signs(&self) -> Option<&HmacPolicy> {
        use crate::plan::vrrp::HmacMode;
        self.plan.wire.hmac.as_ref().filter(|hmac| hmac.mode != HmacMode::ReceiveOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::vrrp::{HmacKey, HmacMode};
    use std::net::Ipv4Addr;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 1_800_000_000 * SECOND;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const MESSAGE: [u8; 12] = [0x31, 51, 100, 1, 0, 100, 0, 0, 192, 0, 2, 100];

    fn policy(window: Option<u16>) -> HmacPolicy {
        let keys = vec![HmacKey { id: 7, secret: SECRET.to_vec() }];
        HmacPolicy { keys, active: 7, window, mode: HmacMode::Enforce }
    }

    fn sender(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn hear(
        speech: &mut Speech,
        window: Option<u16>,
        from: u8,
        sequence: Sequence,
        now: u64,
    ) -> Option<Discard> {
        let trailer = trailer::sign(sender(from), &MESSAGE, 7, SECRET, sequence);
        match speech.verify(&policy(window), sender(from), &MESSAGE, &trailer, now) {
            Ok(sequence) => {
                speech.remember(sender(from), sequence, 0);
                None
            }
            Err(reason) => Some(reason),
        }
    }

    #[test]
    fn a_sequence_grows_and_follows_the_clock_back_only_past_the_window() {
        let mut speech = Speech::default();
        let first = speech.next_trailer(Some(5), NOW);
        assert_eq!(first, Sequence::at(NOW));
        assert_eq!(speech.next_trailer(Some(5), NOW), first.next());
        assert_eq!(speech.next_trailer(Some(5), NOW - 3 * SECOND), first.next().next());
        assert_eq!(speech.next_trailer(Some(5), NOW - 9 * SECOND), Sequence::at(NOW - 9 * SECOND));
        let mut monotonic = Speech::default();
        monotonic.next_trailer(None, NOW);
        assert_eq!(monotonic.next_trailer(None, NOW - 999 * SECOND), first.next());
    }

    #[test]
    fn a_replay_is_refused_per_sender_and_a_mark_outside_the_window_expires() {
        let mut speech = Speech::default();
        let sequence = Sequence::at(NOW);
        assert_eq!(hear(&mut speech, Some(5), 1, sequence, NOW), None);
        assert_eq!(hear(&mut speech, Some(5), 1, sequence, NOW), Some(Discard::TrailerReplay));
        assert_eq!(hear(&mut speech, Some(5), 2, sequence, NOW), None);
        assert_eq!(hear(&mut speech, Some(5), 1, sequence.next(), NOW), None);
        assert_eq!(hear(&mut speech, Some(5), 1, sequence, NOW + 6 * SECOND), Some(Discard::TrailerStale));
        let back = NOW - 20 * SECOND;
        assert_eq!(hear(&mut speech, Some(5), 1, Sequence::at(back), back), None);
        assert_eq!(hear(&mut speech, None, 1, Sequence::at(back), NOW), Some(Discard::TrailerReplay));
    }

    #[test]
    fn each_fault_has_its_reason_and_age_is_looked_at_before_the_hmac() {
        let speech = Speech::default();
        let sequence = Sequence::at(NOW);
        let good = trailer::sign(sender(1), &MESSAGE, 7, SECRET, sequence);
        let reason = |change: fn(&mut [u8; trailer::LEN]), now| {
            let mut octets = good;
            change(&mut octets);
            speech.verify(&policy(Some(5)), sender(1), &MESSAGE, &octets, now).err()
        };
        assert_eq!(reason(|_| {}, NOW + 5 * SECOND), None);
        assert_eq!(reason(|t| t[0] = 2, NOW), Some(Discard::TrailerMalformed));
        assert_eq!(reason(|t| t[1] = 8, NOW), Some(Discard::TrailerKey));
        assert_eq!(reason(|t| t[20] ^= 1, NOW), Some(Discard::TrailerHmac));
        assert_eq!(reason(|t| t[20] ^= 1, NOW + 6 * SECOND), Some(Discard::TrailerStale));
    }

    #[test]
    fn five_strangers_share_four_places() {
        let mut speech = Speech::default();
        for from in 1..=5 {
            assert_eq!(hear(&mut speech, None, from, Sequence(9), NOW), None);
        }
        assert_eq!(speech.heard.len(), UNLISTED_SENDERS);
        assert_eq!(hear(&mut speech, None, 5, Sequence(9), NOW), Some(Discard::TrailerReplay));
        assert_eq!(hear(&mut speech, None, 1, Sequence(9), NOW), None);
    }

    #[test]
    fn the_identification_is_never_zero() {
        let mut speech = Speech { identification: u16::MAX, ..Speech::default() };
        assert_eq!(speech.next_header(), (1, 1));
    }
}
