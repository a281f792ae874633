//! Numbers of a session, or of what belongs to none.

use crate::wire::bfd::Discard;

/// Each check of RFC 5880 6.8.6 has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets given to the kernel.
    pub sent: u64,
    /// Packets that passed every check.
    pub received: u64,
    /// Polls of the neighbour that were answered.
    pub polls_answered: u64,
    /// Packets with too low a TTL or hop limit.
    pub discarded_ttl: u64,
    /// Packets whose discriminator or sender belongs to no session.
    pub discarded_no_session: u64,
    /// Packets of which the kernel said that it could not send them.
    pub send_errors: u64,
    discarded: [u64; Discard::ALL.len()],
}

impl Counters {
    /// A packet was malformed.
    pub fn discard(&mut self, why: Discard) {
        if let Some(at) = Discard::ALL.iter().position(|d| *d == why)
            && let Some(count) = self.discarded.get_mut(at)
        {
            *count += 1;
        }
    }

    /// All with their names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let own = [
            ("packets_sent", self.sent),
            ("packets_received", self.received),
            ("polls_answered", self.polls_answered),
            ("discarded_ttl", self.discarded_ttl),
            ("discarded_no_session", self.discarded_no_session),
            ("send_errors", self.send_errors),
        ];
        own.into_iter().chain(Discard::ALL.iter().zip(self.discarded).map(|(d, count)| (d.counter(), count)))
    }
}
