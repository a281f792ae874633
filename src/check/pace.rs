//! When checks that are due begin: those of a moment together, and never too many at once.

use crate::time::Instant;
use std::time::Duration;

/// No more than [`STEP_STARTS`] conversations begin within so long. What is due at once (all with `warmup 0`, everything
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

/// The present step.
#[derive(Debug, Default)]
pub struct Pace {
    began: Instant,
    starts: usize,
}

impl Pace {
    /// It is `now`: a new step begins once the last is over.
    pub fn look(&mut self, now: Instant) {
        if now >= self.next_step() {
            *self = Pace { began: now, starts: 0 };
        }
    }

    /// May one more conversation begin in this step?
    pub fn has_room(&self) -> bool {
        self.starts < STEP_STARTS
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
