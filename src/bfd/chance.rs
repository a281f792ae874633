//! Numbers that differ between nodes: a sequence that is wholly determined by the seed that the driver gives.

use std::time::Duration;

/// SplitMix64, whose output for a seed is the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `interval` less 0 to 25 %, or 10 to 25 % when a single lost packet is the limit (RFC 5880 6.8.7).
    pub(super) fn jittered(&mut self, interval: Duration, multiplier: u8) -> Duration {
        let most = if multiplier == 1 { 900 } else { 1000 };
        let permille = 750 + self.next() % (most - 750 + 1);
        interval.mul_f64(permille as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_the_bounds_of_the_rfc_and_uses_them() {
        let second = Duration::from_secs(1);
        for (multiplier, longest) in [(1, 900), (2, 1000), (255, 1000)] {
            let mut chance = Chance::new(7);
            let drawn: Vec<u128> =
                (0..2000).map(|_| chance.jittered(second, multiplier).as_millis()).collect();
            let (low, high) = (drawn.iter().min().copied(), drawn.iter().max().copied());
            assert_eq!((low, high), (Some(750), Some(longest)), "multiplier {multiplier}");
        }
    }

    #[test]
    fn a_seed_gives_one_sequence() {
        let draw = |seed| (0..4).map(|_| Chance::new(seed).next()).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
