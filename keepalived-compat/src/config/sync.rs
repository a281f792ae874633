//! `vrrp_sync_group`: its members must be instances, each in one group only.

use super::setting::{Setting, Settings};
use super::{Config, Context, weights};
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
    weights::check(cx, config, &member_of);
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
