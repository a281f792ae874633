//! When checks that are due begin: those of a moment together, and never too many at once.

use crate::time::Instant;
use std::time::Duration;

/// No more than [`STEP_STARTS`] conversations begin within so long, on average. What is due at once (all with `warmup 0`, everything
/// after this machine was stopped for a while) is spread, and our own packets do not drop each other.
pub const STEP: Duration = Duration::from_millis(10);

/// Four times what 50,000 checks every 10 s need.
pub const STEP_STARTS: usize = 200;

/// Checks that are many: from here on those of a [`MOMENT`] begin together, for waking for each costs more than most do.
pub const MANY: usize = 200;

/// How late a check may begin for the sake of others.
pub const MOMENT: Duration = Duration::from_millis(40);

/// When a check that is due at `due` begins, where there are `checks` of them: then, or at the end of its moment.
pub fn moment_of(due: Instant, checks: usize) -> Instant {
    if checks < MANY {
        return due;
    }
    let moment = MOMENT.as_nanos() as u64; // a constant far below the limit of u64
    due.0.checked_next_multiple_of(moment).map_or(due, Instant)
}

/// Steps that may be made up for at once. On a processor that others want, too, we get our turn every few of them: with one
/// step a turn, more checks than that would come later and later, with time to spare.
pub const MOST_STEPS: u64 = 5;

/// The present step.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    starts: usize,
    /// How many may begin in it.
    room: usize,
    /// Is anybody left for the next one?
    waited_for: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { began: Instant::ZERO, starts: 0, room: STEP_STARTS, waited_for: false }
    }
}

impl Pace {
    /// It is `now`: a new step begins once the last is over. Where somebody has waited for it, those that went by meanwhile
    /// count as well.
    pub fn look(&mut self, now: Instant) {
        if now < self.next_step() {
            return;
        }
        let passed = now.saturating_duration_since(self.began).as_nanos() / STEP.as_nanos();
        let steps = if self.waited_for { passed.min(u128::from(MOST_STEPS)) } else { 1 };
        let room = STEP_STARTS * usize::try_from(steps).unwrap_or(1); // at most MOST_STEPS
        *self = Pace { began: now, starts: 0, room, waited_for: false };
    }

    /// May one more conversation begin in this step?
    pub fn has_room(&self) -> bool {
        self.starts < self.room
    }

    /// Somebody is due and does not begin in this step.
    pub fn somebody_waits(&mut self) {
        self.waited_for = true;
    }

    /// One has begun.
    pub fn started(&mut self) {
        self.starts += 1;
    }

    /// When there is room again.
    pub fn next_step(&self) -> Instant {
        self.began + STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_made_up_for_only_where_somebody_waited() {
        let ms = |ms: u64| Instant::ZERO + Duration::from_millis(ms);
        let starts = |pace: &mut Pace, now: Instant, most: usize| {
            pace.look(now);
            let before = pace.starts;
            while pace.has_room() && pace.starts - before < most {
                pace.started();
            }
            if !pace.has_room() {
                pace.somebody_waits();
            }
            pace.starts - before
        };
        let mut pace = Pace::default();
        assert_eq!(starts(&mut pace, ms(10_000), 10_000), STEP_STARTS, "nobody waited");
        assert_eq!(starts(&mut pace, ms(10_009), 10_000), 0);
        assert_eq!(starts(&mut pace, ms(10_035), 10_000), 3 * STEP_STARTS);
        assert_eq!(starts(&mut pace, ms(20_000), 10_000), MOST_STEPS as usize * STEP_STARTS);
        assert_eq!(starts(&mut pace, ms(20_010), 10), 10);
        assert_eq!(starts(&mut pace, ms(20_100), 10_000), STEP_STARTS, "nobody waited");
        let mut full = Pace::default();
        (0..STEP_STARTS).for_each(|_| full.started());
        assert_eq!(starts(&mut full, ms(10_000), 10_000), STEP_STARTS, "nobody waited");
    }
}
