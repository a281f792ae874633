//! Tracked scripts, files and processes: the rules of `track` and of the scripts role in words.

use super::{Change, Weight, What};
use crate::plan::scripts::ScriptsPlan;
use std::collections::BTreeMap;

/// A script keeps its state whatever changes but its name; files and processes are looked at anew.
pub(super) fn compare(old: &ScriptsPlan, new: &ScriptsPlan, changes: &mut Vec<Change>) {
    let kept = "in place: what is known of it stays until its next results";
    named("vrrp_script", &old.scripts, &new.scripts, |script| &script.name, (Weight::Quiet, kept), changes);
    let anew = "it is looked at anew at once";
    let weight = Weight::MayFailOver;
    named("track_file", &old.files, &new.files, |file| &file.name, (weight, anew), changes);
    named("vrrp_track_process", &old.processes, &new.processes, |p| &p.name, (weight, anew), changes);
    if old.unrunnable != new.unrunnable {
        let what = "what a script that cannot run means changes";
        let tracker = "unrunnable_script".to_owned();
        changes.push(Change::new(Weight::MayFailOver, What::Tracker { tracker, happens: what }));
    }
}

fn named<T: PartialEq>(
    keyword: &str,
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> &String,
    (weight, changed): (Weight, &'static str),
    changes: &mut Vec<Change>,
) {
    let before: BTreeMap<&String, &T> = old.iter().map(|plan| (name(plan), plan)).collect();
    let after: BTreeMap<&String, &T> = new.iter().map(|plan| (name(plan), plan)).collect();
    let mut say = |weight, name: &String, happens| {
        let tracker = format!("{keyword} {name}");
        changes.push(Change::new(weight, What::Tracker { tracker, happens }));
    };
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        say(Weight::Quiet, name, "nothing tracks it any more");
    }
    for (name, plan) in &after {
        match before.get(name) {
            None => say(Weight::MayFailOver, name, "it is tracked from now on, with no result yet"),
            Some(known) if known != plan => say(weight, name, changed),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scripts::{TrackedFile, Unrunnable};

    fn file(name: &str, path: &str) -> TrackedFile {
        TrackedFile { name: name.to_owned(), path: path.to_owned(), init: None }
    }

    #[test]
    fn trackers_that_come_go_and_change_are_told() {
        let old = ScriptsPlan {
            files: vec![file("a", "/a"), file("b", "/b"), file("c", "/c")],
            ..Default::default()
        };
        let new = ScriptsPlan {
            files: vec![file("b", "/b"), file("c", "/other"), file("d", "/d")],
            unrunnable: Unrunnable::Fault,
            ..Default::default()
        };
        let mut changes = Vec::new();
        compare(&old, &new, &mut changes);
        let said: Vec<String> = changes.iter().map(Change::to_string).collect();
        assert_eq!(
            said,
            [
                "track_file a: nothing tracks it any more",
                "track_file c: it is looked at anew at once",
                "track_file d: it is tracked from now on, with no result yet",
                "unrunnable_script: what a script that cannot run means changes",
            ]
        );
        changes.clear();
        compare(&new, &new.clone(), &mut changes);
        assert_eq!(changes, []);
    }
}
