//! `vrrp_sync_group` to [`SyncGroupPlan`].

use super::track;
use crate::plan::vrrp::{RouterKey, RouterPlan, SyncGroupPlan, TrackedInterface};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings as _};
use std::collections::BTreeSet;

/// The groups, in the order of the file. Members that are no router of the plan are left out (they have been
/// reported); each is in the first group that names it. Members lose their weights where keepalived takes them away.
pub(super) fn groups(config: &Config, routers: &mut [RouterPlan]) -> Vec<SyncGroupPlan> {
    let mut taken: BTreeSet<RouterKey> = BTreeSet::new();
    let mut groups = Vec::new();
    for group in config.others.iter().filter(|setting| setting.keyword == "vrrp_sync_group") {
        let Some(name) = group.name() else { continue };
        let weights = ["sync_group_tracking_weight", "global_tracking"].iter().any(|k| group.block.is_on(k));
        let mut members = Vec::new();
        for member in group.block.iter().filter(|s| s.keyword == "group").flat_map(|list| &list.block) {
            let Some(router) = routers.iter_mut().find(|router| member.name() == Some(&router.name)) else {
                continue;
            };
            if !taken.insert(router.key.clone()) {
                continue;
            }
            if !weights {
                track::without_weights(&mut router.trackers);
                router.track_interfaces.iter_mut().for_each(|tracked| tracked.weight = 0);
            }
            members.push(router.key.clone());
        }
        if !members.is_empty() {
            groups.push(SyncGroupPlan {
                name: name.to_owned(),
                members,
                track_interfaces: interfaces(&group.block),
                trackers: track::trackers(&group.block, config),
            });
        }
    }
    groups
}

fn interfaces(settings: &[Setting]) -> Vec<TrackedInterface> {
    let mut found: Vec<TrackedInterface> = Vec::new();
    for line in settings.iter().filter(|s| s.keyword == "track_interface").flat_map(|list| &list.block) {
        let Some(interface) = line.name().map(str::to_owned) else { continue };
        if found.iter().any(|known| known.interface == interface) {
            continue;
        }
        let weight = line.block.number("weight").and_then(|w| i16::try_from(w).ok()).unwrap_or(0);
        found.push(TrackedInterface { interface, weight, reverse: line.block.find("reverse").is_some() });
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;
    use crate::plan::track::TrackedObject;

    #[test]
    fn trackers_and_sync_groups_are_lowered_with_their_weights() {
        let file = r#"
vrrp_script chk {
    script "/bin/true"
}
vrrp_script heavy {
    script "/bin/true"
    weight 5 reverse
}
track_file load {
    file /tmp/load
}
vrrp_track_process web {
    process nginx
    weight 5
}
vrrp_sync_group G {
    group {
        a
        b
    }
    track_interface {
        eth2 weight -20
    }
    track_script {
        heavy weight 7
    }
}
vrrp_instance a {
    interface eth0
    virtual_router_id 51
    track_interface {
        eth3 weight 10
    }
    track_script {
        chk
        heavy
    }
    track_file {
        load
    }
    track_process {
        web
    }
    virtual_ipaddress {
        10.0.0.100/24
    }
}
vrrp_instance b {
    interface eth1
    virtual_router_id 52
    virtual_ipaddress {
        10.0.1.100/24
    }
}
vrrp_instance c {
    interface eth1
    virtual_router_id 53
    track_script {
        heavy weight -7 noreverse
    }
    track_file {
        load weight 3 reverse
    }
    virtual_ipaddress {
        10.0.1.103/24
    }
}
"#;
        let plan = lowered(file).0.vrrp;
        let shown = |list: &[TrackedObject]| -> Vec<String> {
            let one = |t: &TrackedObject| format!("{} {} {}", t.tracker, t.weight, t.reverse);
            list.iter().map(one).collect()
        };
        let [a, _, c] = plan.routers.as_slice() else { panic!("three routers") };
        // As keepalived 2.2.7 dumps it: weights of members go, but those of processes stay.
        assert_eq!(shown(&a.trackers), ["script chk 0 false", "file load 0 false", "process web 5 false"]);
        assert_eq!(a.track_interfaces[0].weight, 0);
        assert_eq!(shown(&c.trackers), ["script heavy -7 false", "file load 3 true"]);
        let [group] = plan.groups.as_slice() else { panic!("one group") };
        assert_eq!(group.name, "G");
        assert_eq!(group.members.iter().map(|key| key.vrid.get()).collect::<Vec<_>>(), [51, 52]);
        assert_eq!(
            (group.track_interfaces[0].interface.as_str(), group.track_interfaces[0].weight),
            ("eth2", -20)
        );
        assert_eq!(shown(&group.trackers), ["script heavy 7 true"]);
        let allowed = lowered(&file.replace(
            "    track_interface {\n        eth2",
            "    sync_group_tracking_weight\n    track_interface {\n        eth2",
        ))
        .0
        .vrrp;
        assert_eq!(shown(&allowed.routers[0].trackers)[1], "script heavy 5 true");
        assert_eq!(allowed.routers[0].track_interfaces[0].weight, 10);
    }
}
