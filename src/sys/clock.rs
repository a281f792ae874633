//! The one place where production code reads the time.

use crate::time::Instant;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The moment now, by CLOCK_MONOTONIC. It does not count time spent in suspend, like the kernel's timers.
pub fn monotonic_now() -> Instant {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
    Instant(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

/// The moment now by CLOCK_BOOTTIME, in nanoseconds since the machine was started. It counts time spent in suspend, and
/// every process reads the same.
pub fn since_boot() -> u64 {
    let now =
        clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists on every Linux since 2.6.39");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// How long the machine has run, time in suspend counted.
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists since Linux 2.6.39");
    now.into()
}

/// Nanoseconds since 1970 by CLOCK_REALTIME, which jumps when somebody sets it.
pub fn unix_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME exists on every Linux");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_advances_and_never_goes_back() {
        let first = monotonic_now();
        let mut later = monotonic_now();
        assert!(later >= first);
        while later == first {
            later = monotonic_now();
        }
        assert!(later > first);
    }
}
