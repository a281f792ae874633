//! Counters of one router.

use super::sparse::{Blank, Sparse};
use crate::wire::vrrp::Discard;
use std::ops::{Deref, DerefMut};

/// What happened so far. Never reset while the router lives, not even by a reload.
#[derive(Debug, Default)]
pub struct Stats {
    /// Advertisements accepted.
    pub received: u64,
    /// Advertisements sent, each peer of a unicast router counted.
    pub sent: u64,
    /// Gratuitous ARPs and neighbour advertisements sent.
    pub announcements_sent: u64,
    /// Times this router became Master.
    pub became_master: u32,
    seldom: Sparse<Seldom>,
}

/// What most routers never have to count; reached through [`Stats`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seldom {
    /// Of the advertisements accepted, those with priority 0.
    pub resignations_received: u64,
    /// Of those sent, the same.
    pub resignations_sent: u64,
    /// Times this router ceased to be Master.
    pub left_master: u64,
    /// Advertisements of a weaker router, heard as Master.
    pub lower_priority_heard: u64,
    /// Times a weaker Master was met, other than one that is being preempted.
    pub split_brains: u32,
    /// Times it yielded as Master to a stronger one: a split that ended, or preemption. Who yields cannot tell which.
    pub outranked: u32,
    /// Advertisements that would have answered it, or one that resigns, but for being too many.
    pub answers_withheld: u32,
    /// Accepted advertisements whose addresses are not ours.
    pub address_list_mismatch: u64,
    /// Accepted advertisements whose interval is not ours (version 3).
    pub interval_mismatch: u64,
    /// Accepted advertisements without the signature that is configured (`auth_hmac`, not enforced).
    pub unsigned_accepted: u64,
    /// Kernel operations that failed.
    pub kernel_failures: u64,
    /// Claim scripts that failed.
    pub claim_failures: u32,
    discards: Discards,
}

type Discards = Option<Box<[u64; Discard::ALL.len()]>>;

impl Seldom {
    const NONE: Seldom = Seldom {
        resignations_received: 0,
        resignations_sent: 0,
        left_master: 0,
        lower_priority_heard: 0,
        split_brains: 0,
        outranked: 0,
        answers_withheld: 0,
        address_list_mismatch: 0,
        interval_mismatch: 0,
        unsigned_accepted: 0,
        kernel_failures: 0,
        claim_failures: 0,
        discards: None,
    };
}

impl Blank for Seldom {
    const BLANK: &'static Seldom = &Seldom::NONE;
}

impl Deref for Stats {
    type Target = Seldom;

    fn deref(&self) -> &Seldom {
        &self.seldom
    }
}

impl DerefMut for Stats {
    fn deref_mut(&mut self) -> &mut Seldom {
        &mut self.seldom
    }
}

impl Stats {
    /// One more packet was discarded.
    pub fn discard(&mut self, reason: Discard) {
        let discards = self.discards.get_or_insert_with(|| Box::new([0; Discard::ALL.len()]));
        if let Some(counter) = discards.get_mut(reason as usize) {
            *counter += 1;
        }
    }

    /// How many were, for this reason.
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discards.as_ref().and_then(|counters| counters.get(reason as usize)).copied().unwrap_or_default()
    }

    /// Every counter with its name. `discard_unknown_router` is the core's, not a router's, and left out.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let named = [
            ("advertisements_received", self.received),
            ("resignations_received", self.resignations_received),
            ("advertisements_sent", self.sent),
            ("resignations_sent", self.resignations_sent),
            ("became_master", self.became_master.into()),
            ("left_master", self.left_master),
            ("lower_priority_heard", self.lower_priority_heard),
            ("split_brains", self.split_brains.into()),
            ("outranked", self.outranked.into()),
            ("answers_withheld", self.answers_withheld.into()),
            ("address_list_mismatch", self.address_list_mismatch),
            ("interval_mismatch", self.interval_mismatch),
            ("unsigned_accepted", self.unsigned_accepted),
            ("announcements_sent", self.announcements_sent),
            ("kernel_failures", self.kernel_failures),
            ("claim_failures", self.claim_failures.into()),
        ];
        let discards = Discard::ALL
            .into_iter()
            .filter(|reason| *reason != Discard::UnknownRouter)
            .map(|reason| (reason.counter(), self.discarded(reason)));
        named.into_iter().chain(discards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let mut stats = Stats::default();
        for (times, reason) in (1u64..).zip(Discard::ALL) {
            (0..times).for_each(|_| stats.discard(reason));
        }
        for (times, reason) in (1u64..).zip(Discard::ALL) {
            assert_eq!(stats.discarded(reason), times, "{reason:?}");
        }
        let names: std::collections::BTreeSet<_> = stats.counters().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 16 + Discard::ALL.len() - 1);
    }
}
