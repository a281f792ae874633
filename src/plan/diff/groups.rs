//! Sync groups: a group is its name; members that stay keep their state, whoever comes or goes.

use super::vrrp::{objects, tracked};
use super::{Change, Weight, What};
use crate::plan::vrrp::{RouterKey, SyncGroupPlan, VrrpPlan};

pub(super) fn compare(old: &VrrpPlan, new: &VrrpPlan, changes: &mut Vec<Change>) {
    let names = |plan: &VrrpPlan, group: &SyncGroupPlan| -> String {
        let name = |key: &RouterKey| plan.routers.iter().find(|r| r.key == *key).map(|r| r.name.clone());
        group.members.iter().filter_map(name).collect::<Vec<_>>().join(" ")
    };
    for group in old.groups.iter().filter(|g| new.groups.iter().all(|n| n.name != g.name)) {
        let meaning = "its members change state one by one from now on";
        say(group, Weight::MayFailOver, "group", names(old, group), "none".to_owned(), meaning, changes);
    }
    for group in &new.groups {
        let Some(before) = old.groups.iter().find(|known| known.name == group.name) else {
            let meaning = "its members change state together from now on: if one is not Master, none is";
            say(group, Weight::MayFailOver, "group", "none".to_owned(), names(new, group), meaning, changes);
            continue;
        };
        // Exhaustive on purpose: a setting that is added to the plan must be thought of here.
        let SyncGroupPlan { name: _, members, track_interfaces, trackers } = before;
        if *members != group.members {
            let meaning =
                "Masters stay; a member that comes listens first, and if it hears a Master all yield";
            let (was, is) = (names(old, before), names(new, group));
            say(group, Weight::MayFailOver, "group", was, is, meaning, changes);
        }
        let meaning = "counts for every member: priorities may change, or all enter or leave FAULT";
        if *track_interfaces != group.track_interfaces {
            let (was, is) = (tracked(track_interfaces), tracked(&group.track_interfaces));
            say(group, Weight::MayFailOver, "track_interface", was, is, meaning, changes);
        }
        if *trackers != group.trackers {
            let (was, is) = (objects(trackers), objects(&group.trackers));
            say(group, Weight::MayFailOver, "trackers", was, is, meaning, changes);
        }
    }
}

fn say(
    group: &SyncGroupPlan,
    weight: Weight,
    field: &'static str,
    old: String,
    new: String,
    meaning: &str,
    changes: &mut Vec<Change>,
) {
    let (group, meaning) = (group.name.clone(), meaning.to_owned());
    changes.push(Change::new(weight, What::GroupField { group, field, old, new, meaning }));
}
