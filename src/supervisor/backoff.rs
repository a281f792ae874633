//! How long to wait before a dead role is started again.

use std::time::Duration;
use tokio::time::Instant;

/// keepalived's longest wait.
pub const LONGEST: Duration = Duration::from_secs(60);

/// The vrrp role may die so often ...
pub const CRASHES: usize = 5;

/// ... within this time. Each time it is started again at once, because its peers wait for a moment only.
pub const SPAN: Duration = Duration::from_secs(60);

/// The deaths of a role that holds something others are waiting for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    deaths: Vec<Instant>,
}

impl Budget {
    /// It died. True when that was once too often; then it begins anew.
    pub fn spend(&mut self, now: Instant) -> bool {
        self.deaths.retain(|at| now.duration_since(*at) < SPAN);
        self.deaths.push(now);
        let over = self.deaths.len() >= CRASHES;
        if over {
            self.deaths.clear();
        }
        over
    }
}

/// keepalived's rule: at once after a long life, otherwise after 0, 1, 2, 4 ... 60 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    short_lives: u32,
}

impl Backoff {
    /// The wait after a life of `lived`; a life of at least `settled` is a long one.
    pub fn after(&mut self, lived: Duration, settled: Duration) -> Duration {
        if lived >= settled {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        let wait = match self.short_lives {
            0 => Duration::ZERO,
            // 2^6 s is over the longest wait already.
            n => Duration::from_secs(1 << (n - 1).min(6)).min(LONGEST),
        };
        self.short_lives = self.short_lives.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_wait_longer_and_longer_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let settled = Duration::from_secs(60);
        let waits: Vec<u64> =
            (0..10).map(|_| backoff.after(Duration::from_secs(59), settled).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn five_deaths_within_a_minute_are_too_many() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let dies = |budget: &mut Budget, second| budget.spend(start + Duration::from_secs(second));
        assert!([0, 20, 40, 59].iter().all(|second| !dies(&mut budget, *second)));
        assert!(!dies(&mut budget, 60), "the first one is a minute ago");
        assert!(dies(&mut budget, 61));
        assert!(!dies(&mut budget, 62), "it begins anew");
    }

    #[test]
    fn a_long_life_is_forgiven() {
        let mut backoff = Backoff::default();
        let settled = Duration::from_secs(60);
        for _ in 0..5 {
            backoff.after(Duration::ZERO, settled);
        }
        assert_eq!(backoff.after(settled, settled), Duration::ZERO);
        assert_eq!(backoff.after(Duration::ZERO, settled), Duration::ZERO);
        assert_eq!(backoff.after(Duration::ZERO, settled), Duration::from_secs(1));
    }
}
