//! Settings of all routers together.

use super::{Change, Weight, What};
use crate::plan::vrrp::{AnnounceGap, LinkDelay, PolledLink, VrrpPlan};
use std::time::Duration;

/// Exhaustive on purpose: a setting that is added to the plan must be thought of here.
pub(super) fn compare(old: &VrrpPlan, new: &VrrpPlan, changes: &mut Vec<Change>) {
    let VrrpPlan {
        generation: _,
        routers: _,
        groups: _,
        filter: _,
        statics: _,
        startup_delay,
        log_unknown_vrids,
        announce_gaps,
        vip_lease: _,
        no_resume: _,
        handover: _,
        link_delays,
        boot_delay,
        no_local_igmp,
        polled_links,
    } = old;
    let mut say = |field, before: String, after: String, meaning| {
        if before != after {
            let what = What::VrrpField { field, old: before, new: after, meaning };
            changes.push(Change::new(Weight::Quiet, what));
        }
    };
    let at_start = "counts at the next start of holdfast; a delay that runs goes on";
    say("vrrp_startup_delay", secs(*startup_delay), secs(new.startup_delay), at_start);
    say("vrrp_delay_after_boot", secs(*boot_delay), secs(new.boot_delay), at_start);
    let meaning = "whether an advertisement for a VRID that no router has is logged";
    say("log_unknown_vrids", on(*log_unknown_vrids), on(new.log_unknown_vrids), meaning);
    let meaning = "counts from the next gratuitous ARP or neighbour advertisement on";
    say(
        "vrrp_garp_interval, vrrp_gna_interval, garp_group",
        gaps(announce_gaps),
        gaps(&new.announce_gaps),
        meaning,
    );
    let meaning = "counts for the next change of such an interface; one that waits keeps its moment";
    say("interface_up_down_delays", delays(link_delays), delays(&new.link_delays), meaning);
    let meaning = "whether the kernel tells switches of link-local groups";
    say("disable_local_igmp", on(*no_local_igmp), on(new.no_local_igmp), meaning);
    let meaning = "whose drivers are asked for the link each second";
    say("linkbeat_interfaces", polled(polled_links), polled(&new.polled_links), meaning);
}

fn gaps(gaps: &[AnnounceGap]) -> String {
    let one = |gap: &AnnounceGap| {
        let AnnounceGap { interfaces, arp, ndp } = gap;
        let who = if interfaces.is_empty() { "each interface".to_owned() } else { interfaces.join(" ") };
        format!("{who} {} and {}", secs(*arp), secs(*ndp))
    };
    listed(gaps.iter().map(one))
}

fn delays(delays: &[LinkDelay]) -> String {
    let one = |delay: &LinkDelay| {
        let LinkDelay { interface, down, up } = delay;
        format!("{interface} down {} up {}", secs(*down), secs(*up))
    };
    listed(delays.iter().map(one))
}

fn polled(links: &[PolledLink]) -> String {
    listed(links.iter().map(|link| format!("{} {}", link.interface, link.first.keyword())))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = items.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn secs(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn on(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plans;
    use crate::plan::diff::diff;

    #[test]
    fn what_all_routers_share_is_told_with_what_it_means() {
        let (old, mut new) = (Plans::default(), Plans::default());
        new.vrrp.startup_delay = Duration::from_millis(2500);
        new.vrrp.announce_gaps =
            vec![AnnounceGap { interfaces: Vec::new(), arp: Duration::from_millis(1), ndp: Duration::ZERO }];
        let lines: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("vrrp_startup_delay: 0 s -> 2.5 s: counts at the next start"),
            "{}",
            lines[0]
        );
        assert!(lines[1].contains("none -> each interface 0.001 s and 0 s"), "{}", lines[1]);
    }
}
