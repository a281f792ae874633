//! `vrrp_sync_group`: its members must be instances, each in one group only.

use super::setting::{Setting, Settings, Value};
use super::{Config, Context};
use crate::{Code, Diagnostic};
use std::collections::{BTreeMap, BTreeSet};

/// Checks all groups; one without members is left out.
pub(super) fn groups(cx: &mut Context, config: &mut Config) {
    let instances: BTreeSet<&str> = config.instances.iter().map(|i| i.name.value.as_str()).collect();
    let mut member_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut empty = Vec::new();
    for (index, group) in config.others.iter().enumerate().filter(|(_, s)| s.keyword == "vrrp_sync_group") {
        let mut count = 0;
        for member in members(group) {
            let name = member.name().unwrap_or_default();
            if !instances.contains(name) {
                let title = format!("{}: there is no vrrp_instance {name}", title(group));
                cx.tell(Code::UnknownName, member.span, title, "the member is left out, as in keepalived");
            } else if member_of.contains_key(name) {
                let title = format!("{}: {name} is in a sync group already", title(group));
                cx.tell(
                    Code::Duplicate,
                    member.span,
                    title,
                    "it stays in the first one only, as in keepalived",
                );
            } else {
                member_of.insert(name.to_owned(), index);
                count += 1;
            }
        }
        match count {
            0 => {
                let title = format!("{} has no members", title(group));
                let diagnostic = Diagnostic::new(Code::BadValue, group.span, title, "the group is left out");
                cx.say(diagnostic.instead("group { INSTANCE ... }, with instances of this file"));
                empty.push(index);
            }
            1 => {
                let title = format!("{} has only one member", title(group));
                cx.tell(Code::Adjusted, group.span, title, "the instance changes state by itself");
            }
            _ => {}
        }
    }
    weights(cx, config, &member_of);
    let left_out: Vec<_> =
        empty.iter().filter_map(|index| config.others.get(*index)).map(|g| g.span).collect();
    config.scripts.without_groups(&left_out);
    let mut index = 0..;
    config.others.retain(|_| index.next().is_none_or(|i| !empty.contains(&i)));
}

/// The lines of its `group` block.
fn members(group: &Setting) -> &[Setting] {
    group.block.find("group").map_or(&[], |g| &g.block)
}

fn title(group: &Setting) -> String {
    format!("vrrp_sync_group {}", group.name().unwrap_or_default())
}

/// Weights of trackers do not go with a sync group, unless the group allows them.
fn weights(cx: &mut Context, config: &Config, member_of: &BTreeMap<String, usize>) {
    let default = |keyword: &str, name: &str| {
        let block = match keyword {
            "track_script" => "vrrp_script",
            "track_process" => "vrrp_track_process",
            "track_bfd" => "bfd_instance",
            _ => "track_file",
        };
        let object = config.others.iter().find(|s| s.keyword == block && s.name() == Some(name));
        // A file without a weight has 1.
        object.map_or(0, |o| o.block.number("weight").unwrap_or(i64::from(block == "track_file")))
    };
    for instance in &config.instances {
        let group = member_of.get(&instance.name.value).and_then(|index| config.others.get(*index));
        let Some(group) = group else { continue };
        if ["sync_group_tracking_weight", "global_tracking"].iter().any(|k| group.block.find(k).is_some()) {
            continue;
        }
        let who = &instance.name.value;
        let mut ignored = |span, what: &str| {
            let title = format!("vrrp_instance {who}: the weight of {what} does not go with its sync group");
            let diagnostic = Diagnostic::new(Code::Cleared, span, title, "it is ignored, as in keepalived");
            cx.say(diagnostic.instead("sync_group_tracking_weight in the vrrp_sync_group"));
        };
        for tracked in instance.settings.track_interfaces.iter().filter(|t| t.weight != 0) {
            ignored(tracked.interface.span, &tracked.interface.value);
        }
        for list in instance.settings.others.iter().filter(|s| s.keyword.starts_with("track_")) {
            for line in &list.block {
                let name = line.name().unwrap_or_default();
                let own = line.block.find("weight").map(|w| w.value.clone());
                let weight = match own {
                    Some(Value::Number(weight) | Value::Weight(weight, _)) => weight,
                    _ => default(list.keyword, name),
                };
                if weight != 0 {
                    ignored(line.span, name);
                }
            }
        }
    }
}
