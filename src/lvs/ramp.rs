//! `slow_start`: the weight of a server that is back grows in steps, so that a cold cache is not buried in connections.

use crate::time::Instant;
use std::time::Duration;

/// The most steps of one growth: each is a change of the kernel's table.
const MOST_STEPS: u64 = 20;

/// No step is shorter than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// A server's growth; none under way by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ramp {
    since: Option<Instant>,
}

impl Ramp {
    /// The server is back.
    pub fn begin(now: Instant) -> Ramp {
        Ramp { since: Some(now) }
    }

    /// The server has grown to `have` of `full`, and grows on from there.
    pub fn go_on(have: u32, full: u32, length: Duration, now: Instant) -> Ramp {
        let steps = steps(length);
        let done = (u64::from(have) * steps).div_ceil(u64::from(full).max(1)).saturating_sub(1);
        let share = |steps: u64| u32::try_from(steps).unwrap_or(u32::MAX);
        // A nanosecond more, so that rounding takes no step back.
        let grown = length * share(done.min(steps)) / share(steps) + Duration::from_nanos(1);
        Ramp { since: Some(now.before(grown)) }
    }

    /// The weight in force of a server whose weight is to be `full` after `length`: in equal steps, at least 1.
    pub fn weight(&self, full: u32, length: Duration, now: Instant) -> u32 {
        let Some((steps, step)) = self.step(length, now) else { return full };
        let grown = u64::from(full) * (step + 1) / steps;
        u32::try_from(grown).unwrap_or(full).max(full.min(1))
    }

    /// When the next step is due; `None` when the growth is over.
    pub fn next(&self, length: Duration, now: Instant) -> Option<Instant> {
        let (steps, step) = self.step(length, now)?;
        let part = u32::try_from(steps).unwrap_or(u32::MAX);
        let done = u32::try_from(step + 1).unwrap_or(u32::MAX);
        self.since.map(|since| since + length * done / part)
    }

    /// How many steps there are, and how many are behind; `None` when nothing grows.
    fn step(&self, length: Duration, now: Instant) -> Option<(u64, u64)> {
        let elapsed = now.saturating_duration_since(self.since?);
        if elapsed >= length {
            return None;
        }
        let steps = steps(length);
        let step = elapsed.as_nanos() * u128::from(steps) / length.as_nanos().max(1);
        Some((steps, u64::try_from(step).unwrap_or(0)))
    }
}

fn steps(length: Duration) -> u64 {
    (length.as_secs() / SHORTEST.as_secs()).clamp(1, MOST_STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_weight_grows_in_equal_steps_to_its_full_height() {
        let (ramp, length) = (Ramp::begin(at(100)), Duration::from_secs(40));
        let weights = [100, 101, 102, 120, 138, 139, 140, 1000].map(|s| ramp.weight(100, length, at(s)));
        assert_eq!(weights, [5, 5, 10, 55, 100, 100, 100, 100]);
        assert_eq!(ramp.next(length, at(100)), Some(at(102)));
        assert_eq!(ramp.next(length, at(139)), Some(at(140)));
        assert_eq!(ramp.next(length, at(140)), None);
    }

    #[test]
    fn a_small_weight_is_never_0_and_a_weight_of_0_stays() {
        let (ramp, length) = (Ramp::begin(at(0)), Duration::from_secs(60));
        assert_eq!([0, 1, 3].map(|full| ramp.weight(full, length, at(0))), [0, 1, 1]);
        assert_eq!(Ramp::default().weight(7, length, at(0)), 7, "nothing grows");
        assert_eq!(ramp.weight(7, Duration::ZERO, at(0)), 7, "no slow_start");
    }

    #[test]
    fn what_has_grown_so_far_grows_on_from_there() {
        let length = Duration::from_secs(40);
        for full in [1, 3, 7, 20, 100, 1000, 65_535] {
            let whole = Ramp::begin(at(100));
            for second in 100..140 {
                let have = whole.weight(full, length, at(second));
                let next = Ramp::go_on(have, full, length, at(500));
                assert_eq!(next.weight(full, length, at(500)), have, "{have} of {full}");
                assert_eq!(next.weight(full, length, at(540)), full);
            }
        }
        assert_eq!(Ramp::go_on(50, 100, length, at(500)).weight(100, length, at(510)), 75);
    }

    #[test]
    fn steps_are_no_shorter_than_a_second() {
        let (ramp, length) = (Ramp::begin(at(0)), Duration::from_secs(3));
        assert_eq!([0, 1, 2, 3].map(|s| ramp.weight(9, length, at(s))), [3, 6, 9, 9]);
        assert_eq!(ramp.next(length, at(0)), Some(at(1)));
    }
}
