//! `track_script`, `track_file`, `track_process`, `track_bfd`: which weight counts, and what a sync group takes away.

use crate::plan::track::{TrackedObject, TrackerKey, TrackerKind};
use crate::plan::vrrp::{RouterPlan, SyncGroupPlan};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};

/// The lists, what they name, and the blocks that define it.
const LISTS: &[(&str, TrackerKind, &[&str])] = &[
    ("track_script", TrackerKind::Script, &["vrrp_script"]),
    ("track_file", TrackerKind::File, &["track_file", "vrrp_track_file"]),
    ("track_process", TrackerKind::Process, &["vrrp_track_process"]),
    ("track_bfd", TrackerKind::Bfd, &["bfd_instance"]),
];

/// A file's number counts as it is unless a weight is written; everything else is a condition.
const WEIGHT_OF_A_FILE: i64 = 1;

/// The trackers of an instance or a sync group, from the settings of its block; weights are resolved.
pub(super) fn trackers(settings: &[Setting], config: &Config) -> Vec<TrackedObject> {
    let mut found: Vec<TrackedObject> = Vec::new();
    for setting in settings {
        let Some((_, kind, blocks)) = LISTS.iter().find(|(list, ..)| *list == setting.keyword) else {
            continue;
        };
        for line in &setting.block {
            let Some(name) = line.name() else { continue };
            let tracker = TrackerKey { kind: *kind, name: name.to_owned() };
            if found.iter().any(|known| known.tracker == tracker) {
                continue;
            }
            let object = config
                .others
                .iter()
                .find(|block| blocks.contains(&block.keyword) && block.name() == Some(name));
            found.push(tracked(tracker, line, object));
        }
    }
    found
}

/// The line's own weight and direction, else the block's (keepalived 2.2.7: a weight on the line leaves the block's
/// `reverse` in force, `noreverse` ends it).
fn tracked(tracker: TrackerKey, line: &Setting, object: Option<&Setting>) -> TrackedObject {
    let default = if tracker.kind == TrackerKind::File { WEIGHT_OF_A_FILE } else { 0 };
    let (weight, reverse) = match object.and_then(|object| object.block.find("weight")).map(|w| &w.value) {
        Some(Value::Weight(weight, reverse)) => (*weight, *reverse == Some(true)),
        Some(Value::Number(weight)) => (*weight, false),
        _ => (default, false),
    };
    let weight = line.block.number("weight").unwrap_or(weight);
    let word = line.block.iter().rev().find(|s| matches!(s.keyword, "reverse" | "noreverse"));
    let reverse = word.map_or(reverse, |word| word.keyword == "reverse");
    TrackedObject { tracker, weight: i16::try_from(weight.clamp(-254, 254)).unwrap_or(0), reverse }
}

/// What is left of the trackers of an instance that may have no weights, the owner of the addresses (priority 255) or a
/// member of a sync group without `sync_group_tracking_weight` (keepalived 2.2.7, by what it does and not by its dump):
/// scripts, files and BFD sessions with a weight are not tracked, a process keeps its weight. A file of weight 1, the
/// one it has by itself, becomes a condition.
pub(super) fn without_weights(trackers: &mut Vec<TrackedObject>) {
    for file in trackers.iter_mut().filter(|t| t.tracker.kind == TrackerKind::File) {
        if i64::from(file.weight) == WEIGHT_OF_A_FILE {
            file.weight = 0;
        }
    }
    trackers.retain(|tracked| tracked.weight == 0 || tracked.tracker.kind == TrackerKind::Process);
}

/// The owner of the addresses has no weights; interfaces with one are not tracked either (keepalived 2.2.7).
pub(super) fn of_an_owner(router: &mut RouterPlan) {
    without_weights(&mut router.trackers);
    router.track_interfaces.retain(|tracked| tracked.weight == 0);
}

/// What a member tracks and its sync group too has the weight of the group there, unless it is a condition for the
/// member; the line of the group then passes the member by. Both lines count for a BFD session, and a process keeps
/// its direction (all tried with keepalived 2.2.7).
pub(super) fn weigh_as_the_group(router: &mut RouterPlan, group: &SyncGroupPlan) {
    for own in router.track_interfaces.iter_mut().filter(|own| own.weight != 0) {
        if let Some(theirs) = group.track_interfaces.iter().find(|t| t.interface == own.interface) {
            (own.weight, own.reverse) = (theirs.weight, theirs.reverse);
        }
    }
    for own in router.trackers.iter_mut().filter(|own| own.weight != 0) {
        let theirs = group.trackers.iter().find(|t| t.tracker == own.tracker);
        match theirs.map(|theirs| (own.tracker.kind, theirs)) {
            None | Some((TrackerKind::Bfd, _)) => {}
            Some((TrackerKind::Process, theirs)) => own.weight = theirs.weight,
            Some((_, theirs)) => (own.weight, own.reverse) = (theirs.weight, theirs.reverse),
        }
    }
}
