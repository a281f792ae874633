//! Time as the pure cores know it: a number that drivers hand in.

use serde::{Deserialize, Serialize};
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A moment, in nanoseconds since an arbitrary origin (CLOCK_MONOTONIC in production, anything in tests).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(pub u64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(0);

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much earlier; the origin if that is not so long ago.
    pub fn before(self, by: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, by: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

/// A moment by the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// `Mon` to `Sun`.
    pub weekday: &'static str,
    /// `Jan` to `Dec`.
    pub month: &'static str,
    /// 1 to 31.
    pub day: u64,
    /// Of the common era.
    pub year: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
}

impl Civil {
    /// From seconds since 1970.
    pub fn of(unix_seconds: u64) -> Civil {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
        // Days to a date in the proleptic Gregorian calendar, by eras of 400 years that begin in March.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153; // 0 is March
        Civil {
            weekday: DAYS[(days % 7) as usize],         // below 7
            month: MONTHS[((month + 2) % 12) as usize], // below 12
            day: of_year - (153 * month + 2) / 5 + 1,
            year: year_of_era + era * 400 + u64::from(month >= 10),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

/// An advertisement interval in centiseconds, the unit of RFC 9568's Max Advertise Interval.
///
/// VRRPv2 counts whole seconds (1..=255 s, so up to 25500 here), VRRPv3 1..=4095 centiseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval(u16);

impl Interval {
    /// One second, the default of both versions.
    pub const ONE_SECOND: Interval = Interval(100);

    /// From centiseconds; `None` for 0, which no version allows.
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Interval> {
        if centiseconds == 0 { None } else { Some(Interval(centiseconds)) }
    }

    /// From whole seconds (VRRPv2); `None` for 0.
    pub const fn from_seconds(seconds: u8) -> Option<Interval> {
        Interval::from_centiseconds(seconds as u16 * 100)
    }

    /// In centiseconds.
    pub const fn centiseconds(self) -> u16 {
        self.0
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_never_zero() {
        assert_eq!(Interval::from_centiseconds(0), None);
        assert_eq!(Interval::from_seconds(0), None);
    }

    #[test]
    fn an_interval_of_one_second_lasts_one_second() {
        assert_eq!(Interval::from_seconds(1), Some(Interval::ONE_SECOND));
        assert_eq!(Interval::ONE_SECOND.duration(), Duration::from_secs(1));
        assert_eq!(Interval::from_seconds(255).map(Interval::centiseconds), Some(25500));
    }

    #[test]
    fn time_never_runs_backwards_or_wraps() {
        assert_eq!(Instant(5).saturating_duration_since(Instant(9)), Duration::ZERO);
        assert_eq!(Instant(u64::MAX - 1) + Duration::from_secs(1), Instant(u64::MAX));
    }
}
