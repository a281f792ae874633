//! Where weights of what is tracked do not count, or count otherwise than they stand there: for the owner of the
//! addresses, in a sync group, and where an instance and its group track the same.

use super::setting::{Setting, Settings, Value};
use super::vrrp::VrrpInstance;
use super::{Config, Context};
use crate::source::Span;
use crate::{Code, Diagnostic};
use std::collections::BTreeMap;

/// A line of one of the `track_*` lists, with the weight that counts.
struct Line<'a> {
    list: &'static str,
    name: &'a str,
    span: Span,
    weight: i64,
}

/// The lists, and the blocks that define what they name.
const LISTS: &[(&str, &[&str])] = &[
    ("track_script", &["vrrp_script"]),
    (FILE, &["track_file", "vrrp_track_file"]),
    (PROCESS, &["vrrp_track_process"]),
    (BFD, &["bfd_instance"]),
    (INTERFACE, &[]),
];

const FILE: &str = "track_file";
const PROCESS: &str = "track_process";
const BFD: &str = "track_bfd";
const INTERFACE: &str = "track_interface";

/// What does not work for the owner of the addresses.
const BELOW: &str = "weight 0, or a priority of at most 254";

/// Says all of it; `member_of` gives the place of an instance's group among `config.others`. As in keepalived, each line
/// meets the first of the rules only.
pub(super) fn check(cx: &mut Context, config: &Config, member_of: &BTreeMap<String, usize>) {
    let group_of = |i: &VrrpInstance| member_of.get(&i.name.value).and_then(|at| config.others.get(*at));
    for instance in &config.instances {
        let group = group_of(instance);
        let mut own = lines(&instance.settings.others, config);
        own.extend(instance.settings.track_interfaces.iter().map(|tracked| Line {
            list: INTERFACE,
            name: &tracked.interface.value,
            span: tracked.interface.span,
            weight: tracked.weight.into(),
        }));
        if group.is_some_and(|group| !allows_weights(group)) {
            own.retain(|line| member(cx, instance, line));
        } else if instance.settings.is_owner() {
            own.retain(|line| owner(cx, instance, line));
        }
        let theirs = group.map(|group| lines(&group.block, config)).unwrap_or_default();
        for line in &own {
            if let Some(theirs) = theirs.iter().find(|t| t.list == line.list && t.name == line.name) {
                twice(cx, instance, line, theirs);
            }
        }
    }
    for (index, group) in config.others.iter().enumerate().filter(|(_, s)| s.keyword == "vrrp_sync_group") {
        let here = |i: &&VrrpInstance| member_of.get(&i.name.value) == Some(&index);
        let Some(owner) = config.instances.iter().filter(here).find(|i| i.settings.is_owner()) else {
            continue;
        };
        for line in lines(&group.block, config).iter().filter(|line| line.weight != 0) {
            let title = format!(
                "vrrp_sync_group {}: the weight of {} does not go with {}, which has priority 255",
                group.name().unwrap_or_default(),
                line.name,
                owner.name.value
            );
            let now = "it is a condition: while it fails the whole group is in FAULT, as in keepalived";
            cx.say(Diagnostic::new(Code::Cleared, line.span, title, now).instead(BELOW));
        }
    }
}

fn allows_weights(group: &Setting) -> bool {
    ["sync_group_tracking_weight", "global_tracking"].iter().any(|word| group.block.find(word).is_some())
}

/// The lines among the settings of an instance or a group.
fn lines<'a>(settings: &'a [Setting], config: &Config) -> Vec<Line<'a>> {
    let mut found = Vec::new();
    for setting in settings {
        let Some((list, blocks)) = LISTS.iter().find(|(list, _)| *list == setting.keyword) else { continue };
        for line in &setting.block {
            let name = line.name().unwrap_or_default();
            let defines = |s: &&Setting| blocks.contains(&s.keyword) && s.name() == Some(name);
            let general = || config.others.iter().find(defines)?.block.number("weight");
            let own = line.block.find("weight").and_then(|weight| match weight.value {
                Value::Number(weight) | Value::Weight(weight, _) => Some(weight),
                _ => None,
            });
            // A file without a weight has 1.
            let weight = own.or_else(general).unwrap_or(i64::from(*list == FILE));
            found.push(Line { list, name, span: line.span, weight });
        }
    }
    found
}

/// A line of a member of a group that allows no weights. Is it tracked all the same? What 2.2.7 does, not what it says:
/// an interface changes the priority as if nothing had been said. Of a process it does not even say anything.
fn member(cx: &mut Context, instance: &VrrpInstance, line: &Line) -> bool {
    if line.weight == 0 || line.list == PROCESS {
        return true;
    }
    let who = &instance.name.value;
    let title = format!("vrrp_instance {who}: the weight of {} does not go with its sync group", line.name);
    let (now, kept) = match (line.list, line.weight) {
        (INTERFACE, _) if instance.settings.is_owner() => ("it has no effect, as in keepalived", true),
        (INTERFACE, _) => ("it counts all the same, as in keepalived", true),
        other => without(other),
    };
    let diagnostic = Diagnostic::new(Code::Cleared, line.span, title, now);
    cx.say(diagnostic.instead("sync_group_tracking_weight in the vrrp_sync_group"));
    kept
}

/// A line of the owner of the addresses, whose priority never changes. Is it tracked all the same?
fn owner(cx: &mut Context, instance: &VrrpInstance, line: &Line) -> bool {
    if line.weight == 0 || line.list == PROCESS {
        return true;
    }
    let who = &instance.name.value;
    let title = format!("vrrp_instance {who}: the weight of {} does not go with priority 255", line.name);
    let (now, kept) = without((line.list, line.weight));
    cx.say(Diagnostic::new(Code::Cleared, line.span, title, now).instead(BELOW));
    kept
}

/// What becomes of a line that may have no weight: a file of weight 1, which it has by itself, stays.
fn without(line: (&str, i64)) -> (&'static str, bool) {
    match line {
        (FILE, 1) => ("it is a condition: FAULT while the file says anything but 0, as in keepalived", true),
        _ => ("the line is left out, as in keepalived", false),
    }
}

/// keepalived's `-t` says it of interfaces only, its daemon of all.
fn twice(cx: &mut Context, instance: &VrrpInstance, line: &Line, theirs: &Line) {
    let code = if line.list == INTERFACE { Code::Cleared } else { Code::TrackedTwice };
    let title = format!("vrrp_instance {}: its sync group tracks {} as well", instance.name.value, line.name);
    let now = match line.list {
        BFD => "both lines count, as in keepalived",
        _ if line.weight == 0 => "it counts once, here as a condition, as in keepalived",
        _ => "it counts once, with the weight of the group, as in keepalived",
    };
    let diagnostic = Diagnostic::new(code, line.span, title, now).related(theirs.span, "tracked here too");
    cx.say(diagnostic.instead("one of the two lines"));
}
