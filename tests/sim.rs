//! The seeded simulation of whole networks: see `tests/sim/`.
//!
//! `cargo test --test sim` runs [`SEEDS`] seeds; with `--profile sim` each takes a fifth of the time, so that
//! `HOLDFAST_SEEDS=10000 cargo test --profile sim --test sim` is two minutes on two processors. `HOLDFAST_FIRST_SEED`
//! says where to begin (0), for nights of their own (`netns-scripts/nightly`). One seed, with the end of its trace:
//! `HOLDFAST_SEED=S cargo test --test sim one_seed -- --nocapture`.

#[path = "sim/mod.rs"]
mod sim;

use sim::world::{Violation, World};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Seeds of an ordinary run: about ten seconds in a debug build.
const SEEDS: u64 = 250;
/// Seeds that are run twice to see that nothing but the seed decides.
const REPEATED: u64 = 10;

/// What a run was.
struct Outcome {
    /// Lines of the trace and their hash.
    fingerprint: (u64, u64),
    /// What broke, with the end of the trace.
    failure: Option<String>,
    tail: String,
}

fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let broken = match result {
        Ok(Ok(())) => None,
        Ok(Err(Violation(sentence))) => Some(sentence),
        Err(_) => Some("something panicked (its message is above)".to_owned()),
    };
    let tail = format!("{}{}", world.trace.tail(), world.summary());
    let failure = broken.map(|sentence| {
        format!(
            "{tail}\nseed {seed}: {sentence}\n\
             again: HOLDFAST_SEED={seed} cargo test --test sim one_seed -- --nocapture"
        )
    });
    Outcome { fingerprint: world.trace.fingerprint(), failure, tail }
}

/// Runs them on all processors; what failed, in the order of the seeds.
fn failures_among(seeds: Range<u64>) -> Vec<String> {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Some(failure) = run(seed).failure {
                failures.lock().expect("nobody panics while holding it").insert(seed, failure);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    failures.into_inner().expect("nobody panicked while holding it").into_values().collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[test]
fn invariants_hold_for_every_seed() {
    let seeds = number("HOLDFAST_SEEDS").unwrap_or(SEEDS);
    let first = number("HOLDFAST_FIRST_SEED").unwrap_or(0);
    let begun = Instant::now();
    let failures = failures_among(first..first + seeds);
    println!("sim: {seeds} seeds in {} s, from {first}, {} fail", begun.elapsed().as_secs(), failures.len());
    if let Some(first) = failures.first() {
        let lines: Vec<&str> = failures.iter().filter_map(|f| f.lines().rev().nth(1)).collect();
        panic!("{first}\n\n{} of {seeds} seeds fail:\n{}", failures.len(), lines.join("\n"));
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..REPEATED {
        let (first, second) = (run(seed).fingerprint, run(seed).fingerprint);
        assert_eq!(first, second, "seed {seed}: lines and hash of two runs");
        assert!(first.0 > 100, "seed {seed}: hardly anything happened");
    }
    assert_ne!(run(0).fingerprint, run(1).fingerprint, "two seeds, one trace");
}

/// One seed, with the end of its trace: `HOLDFAST_SEED`, else 0.
#[test]
fn one_seed() {
    let outcome = run(number("HOLDFAST_SEED").unwrap_or(0));
    match outcome.failure {
        Some(failure) => panic!("{failure}"),
        None => println!("{}", outcome.tail),
    }
}
