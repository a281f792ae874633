//! Settings of all instances together.

use crate::config::Diagnostics;
use crate::plan::vrrp::{AnnounceGap, AnnouncePolicy};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::config::vrrp::VrrpInstance;
use keepalived_compat::{Code, Config};
use std::time::Duration;

/// `vrrp_startup_delay`.
pub(super) fn startup_delay(config: &Config) -> Duration {
    config.global.others.time("vrrp_startup_delay").unwrap_or_default()
}

/// `vrrp_delay_after_boot`.
pub(super) fn boot_delay(config: &Config) -> Duration {
    config.global.others.time("vrrp_delay_after_boot").unwrap_or_default()
}

/// `disable_local_igmp`.
pub(super) fn no_local_igmp(config: &Config) -> bool {
    config.global.others.is_on("disable_local_igmp")
}

/// `log_unknown_vrids`.
pub(super) fn log_unknown_vrids(config: &Config) -> bool {
    config.global.others.is_on("log_unknown_vrids")
}

/// `vip_lease`.
pub(super) fn vip_lease(config: &Config) -> bool {
    config.global.others.is_on("vip_lease")
}

/// `vrrp_garp_interval` and `vrrp_gna_interval` for every interface by itself, `garp_group` for the interfaces it names.
pub(super) fn announce_gaps(config: &Config, out: &mut Diagnostics) -> Vec<AnnounceGap> {
    let global = &config.global.others;
    let gap = |name| global.time(name).unwrap_or_default();
    let all =
        AnnounceGap { interfaces: Vec::new(), arp: gap("vrrp_garp_interval"), ndp: gap("vrrp_gna_interval") };
    let mut gaps: Vec<AnnounceGap> = Vec::new();
    for group in config.others.iter().filter(|setting| setting.keyword == "garp_group") {
        let mut interfaces: Vec<String> = Vec::new();
        for name in named(group) {
            if gaps.iter().any(|known| known.interfaces.contains(&name)) || interfaces.contains(&name) {
                let title = format!("interface {name} is in a garp_group already");
                out.tell(Code::Duplicate, group.span, title, "the first one counts, as in keepalived");
            } else {
                interfaces.push(name);
            }
        }
        if !interfaces.is_empty() {
            let gap = |name| group.block.time(name).unwrap_or_default();
            gaps.push(AnnounceGap { interfaces, arp: gap("garp_interval"), ndp: gap("gna_interval") });
        }
    }
    if !all.arp.is_zero() || !all.ndp.is_zero() {
        gaps.push(all);
    }
    gaps
}

fn named(group: &Setting) -> impl Iterator<Item = String> + '_ {
    let text = |setting: &Setting| setting.name().map(str::to_owned);
    let one = group.block.iter().filter(|s| s.keyword == "interface").filter_map(text);
    one.chain(
        group
            .block
            .iter()
            .filter(|s| s.keyword == "interfaces")
            .flat_map(|list| &list.block)
            .filter_map(text),
    )
}

/// What the settings of all instances make of an instance's announcements. `vrrp_min_garp`: one packet and no second
/// burst, where nothing else is written.
pub(super) fn announce(instance: &VrrpInstance, config: &Config, policy: AnnouncePolicy) -> AnnouncePolicy {
    let (own, all) = (&instance.settings.garp, &instance.defaults.garp);
    let (elsewhere, elsewhere_virtual) = elsewhere(&instance.settings.others, &config.global.others);
    let mut policy = AnnouncePolicy { elsewhere, elsewhere_virtual, ..policy };
    if config.global.others.is_on("vrrp_min_garp") {
        let (repeat, delay) = (all.repeat.is_none(), all.delay.is_none());
        if repeat && own.repeat.is_none() {
            policy.repeat = 1;
        }
        if delay && own.delay.is_none() {
            policy.delay = Duration::ZERO;
        }
        if repeat && own.lower_prio_repeat.or(all.lower_prio_repeat).is_none() {
            policy.lower_priority_repeat = policy.lower_priority_repeat.min(1);
        }
        if delay && own.lower_prio_delay.or(all.lower_prio_delay).is_none() {
            policy.lower_priority_delay = Duration::ZERO;
        }
    }
    policy
}

/// How often addresses on other interfaces are announced, and whether only those on virtual MACs are (without `all`).
fn elsewhere(own: &[Setting], global: &[Setting]) -> (Option<Duration>, bool) {
    let of = |settings: &[Setting], names: [&str; 2]| {
        let setting = names.into_iter().find_map(|name| settings.find(name))?;
        let Value::Words(words) = &setting.value else { return None };
        let (seconds, virtual_only) = match words.as_slice() {
            [all, seconds] if all == "all" => (seconds, false),
            [seconds] => (seconds, true),
            _ => return None,
        };
        seconds.parse().ok().map(|seconds| (Duration::from_secs(seconds), virtual_only))
    };
    let found = of(own, ["garp_extra_if", "vmac_garp_intvl"])
        .or_else(|| of(global, ["vrrp_garp_extra_if", "vrrp_vmac_garp_intvl"]));
    match found.filter(|(period, _)| !period.is_zero()) {
        Some((period, virtual_only)) => (Some(period), virtual_only),
        None => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;
    use crate::plan::vrrp::AnnounceGap;
    use std::time::Duration;

    fn file(global: &str, own: &str, more: &str) -> String {
        format!(
            "global_defs {{\n{global}\n}}\n{more}\nvrrp_instance a {{\ninterface eth0\nvirtual_router_id 51\n{own}\n\
             virtual_ipaddress {{\n10.0.0.100/24\n}}\n}}"
        )
    }

    #[test]
    fn gaps_are_by_group_else_by_interface() {
        let global =
            "vrrp_garp_interval 0.001\nvrrp_gna_interval 0.000001\nvrrp_startup_delay 2.5\nlog_unknown_vrids";
        let group = "garp_group {\ngarp_interval 0.5\ninterface eth1\ninterfaces {\neth2\neth3\n}\n}";
        let (plans, codes) = lowered(&file(global, "", group));
        assert_eq!(codes, []);
        let gap = |interfaces: &[&str], arp, ndp| AnnounceGap {
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            arp: Duration::from_micros(arp),
            ndp: Duration::from_micros(ndp),
        };
        let expected = [gap(&["eth1", "eth2", "eth3"], 500_000, 0), gap(&[], 1000, 1)];
        assert_eq!(plans.vrrp.announce_gaps, expected);
        assert_eq!(plans.vrrp.startup_delay, Duration::from_millis(2500));
        assert!(plans.vrrp.log_unknown_vrids);
    }

    #[test]
    fn min_garp_counts_where_nothing_else_is_written() {
        let policy = |global, own| lowered(&file(global, own, "")).0.vrrp.routers[0].announce;
        let one = policy("vrrp_min_garp", "");
        assert_eq!((one.repeat, one.delay, one.lower_priority_repeat), (1, Duration::ZERO, 1));
        let own = policy("vrrp_min_garp", "garp_master_repeat 3\ngarp_master_delay 7");
        assert_eq!((own.repeat, own.delay), (3, Duration::from_secs(7)));
        assert_eq!(policy("vrrp_min_garp\nvrrp_garp_master_repeat 4", "").repeat, 4);
        assert_eq!(policy("vrrp_min_garp off", "").repeat, 5);
    }

    #[test]
    fn extra_interfaces_are_announced_all_of_them_or_only_virtual_ones() {
        let policy = |global, own| {
            let announce = lowered(&file(global, own, "")).0.vrrp.routers[0].announce;
            (announce.elsewhere.map(|period| period.as_secs()), announce.elsewhere_virtual)
        };
        assert_eq!(policy("", ""), (None, false));
        assert_eq!(policy("vrrp_garp_extra_if all 100", ""), (Some(100), false));
        assert_eq!(policy("vrrp_garp_extra_if all 100", "garp_extra_if all 0"), (None, false));
        assert_eq!(policy("vrrp_garp_extra_if 100", "garp_extra_if all 30"), (Some(30), false));
        assert_eq!(policy("vrrp_garp_extra_if 100", ""), (Some(100), true));
    }
}
