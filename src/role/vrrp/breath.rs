//! A short pause while advertisements pour in: a thousand of them cost a wake-up each if they are read one by one, and
//! fifty if the socket is let to fill for half a millisecond.

use crate::plan::vrrp::VrrpPlan;
use crate::time::Instant;
use std::time::Duration;

/// The pause as a part of the shortest interval: two steps of priority in Skew_Time, so that hearing late changes the
/// order of Backups no more than the kernel's own lateness does.
const PART: u32 = 128;

/// The longest pause: orders and news of the kernel wait for its end, too.
const LONGEST: Duration = Duration::from_millis(1);

/// Shorter ones gain nothing: the sleep itself costs a wake-up.
const SHORTEST: Duration = Duration::from_micros(200);

/// Advertisements pour in if those before came no longer ago.
const POURING: Duration = Duration::from_millis(2);

/// When to pause.
#[derive(Debug, Default)]
pub struct Breath {
    pause: Duration,
    heard_at: Option<Instant>,
    pouring: bool,
}

impl Breath {
    /// The shortest interval decides.
    pub fn adopt(&mut self, plan: &VrrpPlan) {
        let shortest = plan.routers.iter().map(|router| router.interval.duration()).min();
        self.pause = shortest.map_or(Duration::ZERO, |interval| (interval / PART).min(LONGEST));
    }

    /// Advertisements were heard.
    pub fn heard(&mut self, now: Instant) {
        self.pouring = self.heard_at.is_some_and(|before| now < before + POURING);
        self.heard_at = Some(now);
    }

    /// How long to let the sockets fill, at most until `deadline`; asked once for each time something was heard.
    pub fn take(&mut self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        let pouring = std::mem::take(&mut self.pouring);
        let room = deadline.map_or(LONGEST, |at| at.saturating_duration_since(now));
        let pause = self.pause.min(room);
        (pouring && pause >= SHORTEST).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{AddressFamily, VirtualRouterId};
    use crate::plan::vrrp::{RouterKey, RouterPlan};
    use crate::time::Interval;

    fn breath(centiseconds: u16) -> Breath {
        let vrid = VirtualRouterId::new(1).expect("not 0");
        let mut router =
            RouterPlan::new("r".to_owned(), RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid));
        router.interval = Interval::from_centiseconds(centiseconds).expect("not 0");
        let mut breath = Breath::default();
        breath.adopt(&VrrpPlan { routers: vec![router], ..VrrpPlan::default() });
        breath
    }

    fn at(microseconds: u64) -> Instant {
        Instant(microseconds * 1000)
    }

    #[test]
    fn one_advertisement_is_read_at_once_and_many_together() {
        let mut breath = breath(10);
        breath.heard(at(0));
        assert_eq!(breath.take(at(0), None), None);
        breath.heard(at(1900));
        assert_eq!(breath.take(at(1900), None), Some(Duration::from_micros(100_000) / PART));
        assert_eq!(breath.take(at(1900), None), None, "nothing was heard since");
        breath.heard(at(9000));
        assert_eq!(breath.take(at(9000), None), None, "they do not pour any more");
    }

    #[test]
    fn no_pause_passes_a_deadline_and_short_intervals_have_none() {
        let mut quick = breath(1);
        let mut slow = breath(100);
        for breath in [&mut quick, &mut slow] {
            breath.heard(at(0));
            breath.heard(at(1));
        }
        assert_eq!(quick.take(at(1), None), None);
        assert_eq!(slow.take(at(1), Some(at(301))), Some(Duration::from_micros(300)));
        slow.heard(at(2));
        assert_eq!(slow.take(at(2), Some(at(3))), None);
        slow.heard(at(3));
        assert_eq!(slow.take(at(3), None), Some(LONGEST));
    }
}
