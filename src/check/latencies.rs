//! Times of a check's last successes, in little room: there may be a hundred thousand checks.

use std::time::Duration;

/// How many successes [`Latencies`] remembers.
pub const REMEMBERED: usize = 32;

/// Bits of a time that are remembered: 0.1 % of it, more than can be measured.
const BITS: u32 = 11;

/// Times of the last successes, in microseconds (over an hour counts as that).
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// The first `count` of these are known.
    ring: Option<Box<[Rough; REMEMBERED]>>,
    count: u8,
    next: u8,
    last: u32,
}

impl Latencies {
    /// One more; the oldest goes.
    pub(super) fn add(&mut self, latency: Duration) {
        self.last = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let ring = self.ring.get_or_insert_default();
        if let Some(place) = ring.get_mut(usize::from(self.next)) {
            *place = Rough::of(self.last);
        }
        let most = REMEMBERED as u8; // 32
        self.next = (self.next + 1) % most;
        self.count = (self.count + 1).min(most);
    }

    /// The last one; `None` before the first.
    pub(super) fn last(&self) -> Option<Duration> {
        self.ring.as_ref().map(|_| Duration::from_micros(u64::from(self.last)))
    }

    /// The time that `percent` of 100 successes keep within (nearest rank); `None` before the first.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let known = self.ring.as_ref()?.get(..usize::from(self.count))?;
        let mut sorted = known.to_vec();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len().max(1));
        sorted.get(rank - 1).map(|rough| Duration::from_micros(rough.micros()))
    }
}

/// Microseconds in two octets: so many of the first bits, and how many follow them. Sorts as they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rough(u16);

/// Times below this are exact; numbers of this half, and how many bits follow, make up the code of the others.
const EXACT: u32 = 1 << BITS;
const HALF: u32 = EXACT / 2;

impl Rough {
    fn of(micros: u32) -> Rough {
        let dropped = (u32::BITS - micros.leading_zeros()).saturating_sub(BITS);
        // At most 21 times HALF, and EXACT.
        Rough(u16::try_from(dropped * HALF + (micros >> dropped)).unwrap_or(u16::MAX))
    }

    /// In the midst of those that have this code.
    fn micros(self) -> u64 {
        let code = u32::from(self.0);
        let dropped = (code / HALF).saturating_sub(1);
        let first = u64::from(code - dropped * HALF) << dropped;
        first + (1 << dropped) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn latencies_are_ranked() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.percentile(50), latencies.last()), (None, None));
        latencies.add(Duration::from_micros(300));
        assert_eq!([1, 50, 99].map(|p| latencies.percentile(p)), [Some(Duration::from_micros(300)); 3]);
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        // The last 32: 69 to 100 ms.
        let ms = |time: Duration| (time.as_secs_f64() * 1000.0).round() as u32;
        let percentiles = [0, 50, 95, 100].map(|p| latencies.percentile(p).map(ms));
        assert_eq!(percentiles, [Some(69), Some(84), Some(99), Some(100)]);
        assert_eq!(latencies.last(), Some(Duration::from_millis(100)));
    }

    proptest! {
        #[test]
        fn times_keep_their_order_and_a_thousandth(a in any::<u32>(), shift in 0u32..32, b in any::<u32>()) {
            let (a, b) = (a >> shift, b >> shift);
            prop_assert!((a <= b) == (a == b || Rough::of(a) <= Rough::of(b)) || Rough::of(a) == Rough::of(b));
            let error = Rough::of(a).micros().abs_diff(u64::from(a));
            prop_assert!(error * 1000 <= u64::from(a), "{a} is {}", Rough::of(a).micros());
        }
    }
}
