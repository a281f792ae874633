//! Two clocks: the world's nanoseconds, and each node's own, which runs a little fast or slow.

use holdfast::time::Instant;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// The largest rate error of a node's clock, in parts per million. Quartz is within 100; NTP slews by 500.
pub const MAX_PPM: i64 = 500;

/// A node's clock: starts anywhere, runs at its own rate.
#[derive(Clone, Copy)]
pub struct Clock {
    offset: u64,
    ppm: i64,
}

impl Clock {
    pub fn new(offset: u64, ppm: i64) -> Clock {
        assert!(ppm.abs() <= MAX_PPM);
        Clock { offset, ppm }
    }

    /// What the node reads at the world's time `world`.
    pub fn read(&self, world: u64) -> Instant {
        let drift = i128::from(world) * i128::from(self.ppm) / 1_000_000;
        Instant((i128::from(self.offset) + i128::from(world) + drift) as u64)
    }

    /// The first moment of the world at which the node reads `deadline` or later; it may have passed.
    pub fn world_time(&self, deadline: Instant) -> u64 {
        let elapsed = i128::from(deadline.0) - i128::from(self.offset);
        let guess = elapsed * 1_000_000 / (1_000_000 + i128::from(self.ppm));
        let mut world = guess.clamp(0, i128::from(u64::MAX >> 1)) as u64;
        while self.read(world) < deadline {
            world += 1;
        }
        world
    }
}
