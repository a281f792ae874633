//! Who is stronger, and how long silence may last. Pure functions of numbers.

use crate::net::Priority;
use crate::plan::vrrp::RouterPlan;
use crate::time::Interval;
use crate::wire::vrrp::Version;
use std::net::IpAddr;
use std::time::Duration;

/// What decides how long a Backup waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Whose formula.
    pub version: Version,
    /// Effective priority: the stronger, the shorter the skew.
    pub priority: Priority,
    /// Advertisements that may be missed.
    pub down_timer_adverts: u8,
    /// The Master's interval: learned in version 3, our own in version 2.
    pub master_interval: Interval,
}

/// What a Backup waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Master_Down_Interval.
    Down,
    /// Skew_Time: the Master resigned (RFC 9568 6.4.2).
    Skew,
}

impl Timing {
    //= RFC3768 6.1 M-82
    /// How long to wait.
    //= RFC9568 6.1 M-82
    //= RFC9568 6.1 M-84
    pub fn wait(self, wait: Wait) -> Duration {
        match wait {
            Wait::Down => self.master_interval.duration() * u32::from(self.down_timer_adverts) + self.skew(),
            Wait::Skew => self.skew(),
        }
    }

    //= RFC3768 6.1 M-81
    /// Skew_Time: (256 - priority)/256 of a second in version 2 (RFC 3768 6.1), of the Master's interval in
    /// version 3 (RFC 9568 6.1).
    //= RFC9568 6.1 M-81
    //= RFC9568 6.1 M-83
    fn skew(self) -> Duration {
        let whole = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.master_interval.duration(),
        };
        whole * (256 - u32::from(self.priority.0)) / 256
    }
}

/// How long the peers of a router listen to its silence before one takes over: Master_Down_Interval by our own
/// numbers.
pub fn patience(plan: &RouterPlan) -> Duration {
    let RouterPlan { version, priority, down_timer_adverts, interval, .. } = *plan;
    Timing { version, priority, down_timer_adverts, master_interval: interval }.wait(Wait::Down)
}

/// Does the router that speaks beat the Master that hears it? The higher priority wins, then the higher
/// primary address, compared as a number (RFC 9568 6.4.3).
//= RFC9568 6.4.3 M-75
pub(super) fn outranks(theirs: (Priority, IpAddr), ours: (Priority, IpAddr)) -> bool {
    theirs > ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(version: Version, priority: u8, centiseconds: u16) -> Timing {
        Timing {
            version,
            priority: Priority(priority),
            down_timer_adverts: 3,
            master_interval: Interval::from_centiseconds(centiseconds).expect("not 0"),
        }
    }

    /// RFC 3768 6.1: whatever the interval.
    //= RFC3768 6.1 M-81
    #[test]
    fn the_skew_of_version_2_is_part_of_a_second() {
        for (priority, nanoseconds) in [(1, 996_093_750), (100, 609_375_000), (254, 7_812_500)] {
            for interval in [100, 200] {
                let skew = timing(Version::V2, priority, interval).wait(Wait::Skew);
                assert_eq!(skew, Duration::from_nanos(nanoseconds), "priority {priority}");
            }
        }
    }

    /// RFC 9568 6.1.
    //= RFC9568 6.1 M-83
    #[test]
    fn the_skew_of_version_3_is_part_of_the_masters_interval() {
        assert_eq!(timing(Version::V3, 156, 10).wait(Wait::Skew), Duration::from_nanos(39_062_500));
        assert_eq!(timing(Version::V3, 1, 4095).wait(Wait::Skew), Duration::from_nanos(40_790_039_062));
    }

    //= RFC3768 6.1 M-82
    //= RFC9568 6.1 M-84
    #[test]
    fn a_master_is_down_after_three_intervals_and_the_skew() {
        let seconds = |s| Duration::from_secs_f64(s);
        assert_eq!(timing(Version::V2, 100, 100).wait(Wait::Down), seconds(3.609_375));
        assert_eq!(timing(Version::V3, 128, 10).wait(Wait::Down), seconds(0.35));
        let five = Timing { down_timer_adverts: 5, ..timing(Version::V2, 100, 100) };
        assert_eq!(five.wait(Wait::Down), seconds(5.609_375));
    }

    /// RFC 9568 6.4.3.
    //= RFC9568 6.4.3 M-75
    #[test]
    fn priority_decides_before_the_address_and_the_address_as_a_number() {
        let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let ours = (Priority(100), address("10.0.0.9"));
        assert!(outranks((Priority(101), address("10.0.0.1")), ours));
        assert!(!outranks((Priority(99), address("10.0.0.200")), ours));
        assert!(outranks((Priority(100), address("10.0.0.10")), ours));
        assert!(!outranks((Priority(100), address("10.0.0.8")), ours));
        assert!(!outranks(ours, ours));
        let six = (Priority(100), address("fe80::9"));
        assert!(outranks((Priority(100), address("fe80::10")), six));
    }
}
