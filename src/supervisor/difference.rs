//! What a reload changed, in one line for the log.

use super::relay::trackers;
use crate::plan::Plans;
use crate::plan::lvs::VirtualServer;
use crate::plan::vrrp::{RouterKey, RouterPlan, VirtualAddress};
use std::collections::{BTreeMap, HashSet};

/// Names in each part of the line; the rest is counted.
const NAMED: usize = 5;

/// What `new` has more, less or otherwise than `old`: `+1 address, -2 routers (V3, V6), 1 router changed (V1)`.
pub fn difference(old: &Plans, new: &Plans) -> String {
    let mut parts = Vec::new();
    router_parts(old, new, &mut parts);
    let (before, after) = (trackers(&old.scripts, &old.bfd), trackers(&new.scripts, &new.bfd));
    parts.extend(number("+", "tracker", after.difference(&before).count()));
    parts.extend(number("-", "tracker", before.difference(&after).count()));
    server_parts(&servers(old), &servers(new), &mut parts);
    let changed = ipvs_settings(old, new);
    parts.extend((!changed.is_empty()).then(|| format!("{} changed", changed.join(", "))));
    if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
}

fn router_parts(old: &Plans, new: &Plans, parts: &mut Vec<String>) {
    let (old, new) = (routers(old), routers(new));
    let kept = || new.iter().filter_map(|(key, router)| Some((*old.get(key)?, *router)));
    let (mut more, mut less) = (0, 0);
    for (before, after) in kept() {
        let (before, after) = (addresses(before), addresses(after));
        more += after.difference(&before).count();
        less += before.difference(&after).count();
    }
    parts.extend(number("+", "address", more));
    parts.extend(number("-", "address", less));
    let came = new.iter().filter(|(key, _)| !old.contains_key(*key));
    let left = old.iter().filter(|(key, _)| !new.contains_key(*key));
    let changed = kept().filter(|(before, after)| is_changed(before, after));
    parts.extend(part("+", "router", "", came.map(|(_, router)| router.name.as_str()).collect()));
    parts.extend(part("-", "router", "", left.map(|(_, router)| router.name.as_str()).collect()));
    parts.extend(part("", "router", " changed", changed.map(|(_, after)| after.name.as_str()).collect()));
}

fn server_parts(
    old: &BTreeMap<&str, &VirtualServer>,
    new: &BTreeMap<&str, &VirtualServer>,
    parts: &mut Vec<String>,
) {
    let came = new.keys().filter(|name| !old.contains_key(*name));
    let left = old.keys().filter(|name| !new.contains_key(*name));
    let changed = new.iter().filter(|(name, server)| old.get(*name).is_some_and(|known| known != *server));
    parts.extend(part("+", "virtual server", "", came.copied().collect()));
    parts.extend(part("-", "virtual server", "", left.copied().collect()));
    parts.extend(part("", "virtual server", " changed", changed.map(|(name, _)| *name).collect()));
}

/// Keywords of IPVS as a whole that say something else.
fn ipvs_settings(old: &Plans, new: &Plans) -> Vec<&'static str> {
    let (old, new) = (&old.lvs.kernel, &new.lvs.kernel);
    let settings = [
        ("lvs_sync_daemon", old.sync != new.sync),
        ("lvs_timeouts", old.timeouts != new.timeouts),
        ("lvs_flush_on_stop", old.flush_at_stop != new.flush_at_stop),
    ];
    settings.into_iter().filter(|(_, changed)| *changed).map(|(keyword, _)| keyword).collect()
}

fn routers(plans: &Plans) -> BTreeMap<&RouterKey, &RouterPlan> {
    plans.vrrp.routers.iter().map(|router| (&router.key, router)).collect()
}

fn servers(plans: &Plans) -> BTreeMap<&str, &VirtualServer> {
    plans.lvs.virtual_servers.iter().map(|server| (server.name.as_str(), server)).collect()
}

fn addresses(router: &RouterPlan) -> HashSet<&VirtualAddress> {
    router.addresses.iter().chain(&router.excluded_addresses).collect()
}

/// Did more change than which addresses there are? Those are counted for themselves.
fn is_changed(before: &RouterPlan, after: &RouterPlan) -> bool {
    if before == after {
        return false;
    }
    let mut same_addresses = after.clone();
    same_addresses.addresses.clone_from(&before.addresses);
    same_addresses.excluded_addresses.clone_from(&before.excluded_addresses);
    same_addresses != *before || addresses(before) == addresses(after)
}

fn number(sign: &str, what: &str, count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("{sign}1 {what}")),
        n if what.ends_with('s') => Some(format!("{sign}{n} {what}es")),
        n => Some(format!("{sign}{n} {what}s")),
    }
}

fn part(sign: &str, what: &str, happened: &str, names: Vec<&str>) -> Option<String> {
    let counted = number(sign, what, names.len())?;
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let rest = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(", {rest} more"),
    };
    Some(format!("{counted}{happened} ({shown}{rest})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::lvs::Timeouts;

    #[test]
    fn settings_of_ipvs_as_a_whole_are_named() {
        let (old, mut new) = (Plans::default(), Plans::default());
        assert_eq!(difference(&old, &new), "nothing changed");
        new.lvs.kernel.timeouts = Timeouts { tcp: 60, ..Timeouts::default() };
        new.lvs.kernel.flush_at_stop = true;
        assert_eq!(difference(&old, &new), "lvs_timeouts, lvs_flush_on_stop changed");
    }
}
