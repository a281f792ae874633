//! `vrrp_sync_group` to [`SyncGroupPlan`].

use super::track;
use crate::plan::vrrp::{RouterKey, RouterPlan, SyncGroupPlan, TrackedInterface};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings as _};
use std::collections::BTreeSet;

/// The groups, in the order of the file. Members that are no router of the plan are left out (they have been
/// reported); each is in the first group that names it. Members lose their trackers where keepalived takes them away.
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
            }
            members.push(router.key.clone());
        }
        if members.is_empty() {
            continue;
        }
        let track_interfaces = interfaces(&group.block);
        let trackers = track::trackers(&group.block, config);
        let mut plan = SyncGroupPlan { name: name.to_owned(), members, track_interfaces, trackers };
        let own = |router: &&mut RouterPlan| plan.members.contains(&router.key);
        let mut routers: Vec<&mut RouterPlan> = routers.iter_mut().filter(own).collect();
        if routers.iter().any(|router| router.priority.is_owner()) {
            only_conditions(&mut plan);
        }
        for router in &mut routers {
            track::weigh_as_the_group(router, &plan);
        }
        groups.push(plan);
    }
    groups
}

/// Beside an owner of its addresses (priority 255) whatever the group tracks is a condition (keepalived 2.2.7).
fn only_conditions(group: &mut SyncGroupPlan) {
    for tracked in &mut group.track_interfaces {
        tracked.weight = 0;
    }
    for tracked in &mut group.trackers {
        tracked.weight = 0;
    }
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
    use crate::plan::vrrp::TrackedInterface;

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
        // As keepalived 2.2.7 does: trackers of members with a weight go, but interfaces and processes stay, and a file
        // with no weight but its own is a condition.
        assert_eq!(shown(&a.trackers), ["script chk 0 false", "file load 0 false", "process web 5 false"]);
        assert_eq!(a.track_interfaces[0].weight, 10);
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
        assert_eq!(shown(&allowed.routers[0].trackers)[1..3], ["script heavy 7 true", "file load 1 false"]);
        assert_eq!(allowed.routers[0].track_interfaces[0].weight, 10);
    }

    const TRACKED: &str = "
vrrp_script s {
    script /bin/true
}
track_file f {
    file /tmp/f
}
vrrp_track_process p {
    process nginx
}
bfd_instance b {
    neighbor_ip 10.0.0.9
}
";

    /// A member `a` with these lines and a member `b`, in a group with those.
    fn two(own: &str, group: &str) -> (Vec<String>, Vec<String>) {
        let router = |name, vrid, lines| {
            format!(
                "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\n{lines}\nvirtual_ipaddress {{\n\
                 10.0.0.{vrid}/24\n}}\n}}\n"
            )
        };
        let group = format!("vrrp_sync_group G {{\ngroup {{\na\nb\n}}\n{group}\n}}\n");
        let plan =
            lowered(&(TRACKED.to_owned() + &group + &router("a", 1, own) + &router("b", 2, ""))).0.vrrp;
        let (a, g) = (&plan.routers[0], &plan.groups[0]);
        (shown(&a.track_interfaces, &a.trackers), shown(&g.track_interfaces, &g.trackers))
    }

    fn shown(interfaces: &[TrackedInterface], trackers: &[TrackedObject]) -> Vec<String> {
        let arrow = |reverse| if reverse { " reverse" } else { "" };
        let links = interfaces.iter().map(|t| format!("{} {}{}", t.interface, t.weight, arrow(t.reverse)));
        let rest = trackers.iter().map(|t| format!("{} {}{}", t.tracker, t.weight, arrow(t.reverse)));
        links.chain(rest).collect()
    }

    fn tracks(weights: &str) -> String {
        ["interface {\neth1", "script {\ns", "file {\nf", "process {\np", "bfd {\nb"]
            .map(|list| format!("track_{list} {weights}\n}}\n"))
            .concat()
    }

    #[test]
    fn what_a_group_tracks_with_an_owner_among_its_members_is_a_condition() {
        let (owner, beside) =
            (two("priority 255", &tracks("weight 20")), two("priority 254", &tracks("weight 20")));
        assert_eq!(owner.1, ["eth1 0", "script s 0", "file f 0", "process p 0", "BFD session b 0"]);
        assert_eq!(beside.1, ["eth1 20", "script s 20", "file f 20", "process p 20", "BFD session b 20"]);
        let reversed = two("priority 255", "track_process {\np weight 20 reverse\n}").1;
        assert_eq!(reversed, ["process p 0 reverse"], "its direction stays");
    }

    #[test]
    fn what_a_member_tracks_as_its_group_does_has_the_weight_of_the_group() {
        let group = format!("sync_group_tracking_weight\n{}", tracks("weight -20"));
        let (own, all) = two(&tracks("weight 7 reverse"), &group);
        let expected =
            ["eth1 -20", "script s -20", "file f -20", "process p -20 reverse", "BFD session b 7 reverse"];
        assert_eq!(own, expected);
        assert_eq!(all, ["eth1 -20", "script s -20", "file f -20", "process p -20", "BFD session b -20"]);
        let conditions = ["eth1 0", "script s 0", "file f 0", "process p 0", "BFD session b 0"];
        assert_eq!(two(&tracks("weight 0"), &group).0, conditions, "a condition stays one");
        let without = two(&tracks("weight 7"), &tracks("weight -20")).0;
        assert_eq!(without, ["eth1 -20", "process p -20"], "the others have no weights of their own");
    }

    #[test]
    fn the_owner_of_the_addresses_tracks_nothing_by_weight() {
        let owner =
            |weights| two(&format!("priority 255\n{}", tracks(weights)), "sync_group_tracking_weight").0;
        assert_eq!(owner("weight 100"), ["process p 100"]);
        let conditions = ["eth1 0", "script s 0", "file f 0", "process p 0", "BFD session b 0"];
        assert_eq!(owner("weight 0"), conditions);
        // Weight 1 is that of a file with none written: keepalived 2.2.7 makes it 0, and advises to write that.
        assert_eq!(owner("weight 1"), ["file f 0", "process p 1"]);
        assert_eq!(owner("weight -1"), ["process p -1"]);
        let master = two("state MASTER\ntrack_file {\nf weight 100\n}", "sync_group_tracking_weight").0;
        assert_eq!(master, [""; 0], "state MASTER without a priority is the owner");
    }
}
