//! What the fuzz targets share: chance from a seed, octets that are nearly right, and the loop that tries them.
//!
//! HOLDFAST_FUZZ_SECONDS=600 runs a target for that long instead of a few cases; HOLDFAST_FUZZ_SEED begins elsewhere, so
//! that the seed of a failure alone is tried again with HOLDFAST_FUZZ_SEED=S HOLDFAST_FUZZ_CASES=1.

// Each target uses a part of it.
#![allow(dead_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A target stops after so many failures: the first ones are enough to work on.
const FAILURES: usize = 10;

/// Octets of a value that was repeated until it is too long for most limits.
const LONG: usize = 3000;

/// Steele, Lea and Flood's SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `limit` - 1; 0 for 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True in one of `parts` cases.
    pub fn once_in(&mut self, parts: usize) -> bool {
        self.below(parts) == 0
    }

    /// One of several borrowed things.
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// One of a list.
    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A number that code likes to get wrong, or any.
    pub fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => self.below(4) as u64,
            1 => u64::MAX - self.below(3) as u64,
            2 => 1 << self.below(64),
            3 => (1 << self.below(63)) - 1,
            4 => self.below(256) as u64,
            _ => self.next(),
        }
    }

    /// Any octets, mostly few.
    pub fn octets(&mut self, most: usize) -> Vec<u8> {
        let length = if self.once_in(20) { self.below(most * 20) } else { self.below(most + 1) };
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Up to `most` octets changed, taken out, put in, or everything after one cut off.
    pub fn harm(&mut self, octets: &mut Vec<u8>, most: usize) {
        for _ in 0..self.below(most + 1) {
            let at = self.below(octets.len());
            match self.below(6) {
                0 | 1 if !octets.is_empty() => octets[at] = self.number() as u8,
                2 if !octets.is_empty() => octets[at] ^= 1 << self.below(8),
                3 if !octets.is_empty() => drop(octets.remove(at)),
                4 => octets.insert(at, self.next() as u8),
                _ => octets.truncate(at + 1),
            }
        }
    }

    /// Pieces put together, some of them many times, and a few octets of it harmed.
    pub fn puzzle(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let mut made = Vec::new();
        for _ in 0..1 + self.below(8) {
            let piece = self.one(pieces);
            for _ in 0..if self.once_in(40) { 1 + self.below(LONG) } else { 1 } {
                made.extend_from_slice(piece);
            }
        }
        self.harm(&mut made, 5);
        made
    }
}

/// A number from the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Tries `cases` seeds, or as many as the environment asks for; the seeds that fail are named at the end.
pub fn run(target: &str, cases: u64, survives: impl Fn(u64)) {
    let first = number("HOLDFAST_FUZZ_SEED").unwrap_or(1);
    let cases = number("HOLDFAST_FUZZ_CASES").unwrap_or(cases);
    let begun = Instant::now();
    let limit = number("HOLDFAST_FUZZ_SECONDS").map(Duration::from_secs);
    let goes_on = |tried: u64| limit.map_or(tried < cases, |limit| begun.elapsed() < limit);
    let (mut tried, mut failed, mut slowest) = (0, Vec::new(), (Duration::ZERO, 0));
    while goes_on(tried) && failed.len() < FAILURES {
        let seed = first.wrapping_add(tried);
        let start = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| survives(seed))).is_err() {
            failed.push(seed);
        }
        slowest = slowest.max((start.elapsed(), seed));
        tried += 1;
    }
    let seconds = begun.elapsed().as_secs();
    println!(
        "{target}: {tried} cases in {seconds} s, {} failures; the slowest took {:?} (seed {})",
        failed.len(),
        slowest.0,
        slowest.1
    );
    assert!(
        failed.is_empty(),
        "{target}: seeds that failed: {failed:?} (HOLDFAST_FUZZ_SEED=S HOLDFAST_FUZZ_CASES=1)"
    );
}
