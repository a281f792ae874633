//! A recorded trace replays: what one node's core was fed, written as JSON lines and read back, makes a fresh core
//! do the same.
//!
//! A line is `[moment, event]`: the node's clock in nanoseconds, and the event as serde writes it; `null` where
//! the driver reported a timeout.

#[allow(dead_code)] // the trace of the whole world is for the other test program
#[path = "sim/mod.rs"]
mod sim;

use holdfast::time::Instant;
use holdfast::vrrp::{Action, Core, Event, State};
use sim::node::Recorded;
use sim::world::World;

/// Seeds whose nodes are recorded.
const SEEDS: u64 = 5;

/// What went into each node's last process and came out of it.
fn record(seed: u64) -> Vec<Vec<Recorded>> {
    let mut world = World::new(seed);
    world.nodes.iter_mut().for_each(|node| node.recording = Some(Vec::new()));
    world.run().unwrap_or_else(|violation| panic!("seed {seed}: {}", violation.0));
    world.nodes.into_iter().map(|node| node.recording.expect("it was switched on")).collect()
}

fn write(recorded: &[Recorded]) -> String {
    let line = |(at, event, _): &Recorded| serde_json::to_string(&(at, event)).expect("plain data");
    recorded.iter().map(|one| line(one) + "\n").collect()
}

fn replay(lines: &str) -> Vec<Vec<Action>> {
    let mut core = Core::new();
    let mut replayed = Vec::new();
    for line in lines.lines() {
        let (at, event): (Instant, Option<Event>) =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let mut actions = Vec::new();
        match event {
            Some(event) => core.handle(event, at, &mut actions),
            None => core.handle_timeout(at, &mut actions),
        }
        replayed.push(actions);
    }
    replayed
}

#[test]
fn a_recorded_trace_replays_to_the_same_actions() {
    let mut takeovers = 0;
    for seed in 0..SEEDS {
        for (node, recorded) in record(seed).into_iter().enumerate() {
            let replayed = replay(&write(&recorded));
            assert_eq!(replayed.len(), recorded.len());
            for (number, (now, before)) in replayed.iter().zip(&recorded).enumerate() {
                assert_eq!(*now, before.2, "seed {seed}, node {node}, line {}: {:?}", number + 1, before.1);
            }
            let is_takeover = |a: &&Action| matches!(a, Action::Notify(t) if t.to == State::Master);
            takeovers += replayed.iter().flatten().filter(is_takeover).count();
        }
    }
    assert!(takeovers > 0, "no recorded node ever became Master: nothing was shown");
}

/// One line as it stands in a file: a change of the format is a change that somebody must mean.
#[test]
fn a_line_of_a_trace_is_a_moment_and_an_event() {
    let timeout: Recorded = (Instant(1_500_000_000), None, Vec::new());
    let gone: Recorded = (Instant(7), Some(Event::InterfaceGone { index: 3 }), Vec::new());
    assert_eq!(write(&[timeout, gone]), "[1500000000,null]\n[7,{\"InterfaceGone\":{\"index\":3}}]\n");
}
