//! `linkbeat_interfaces` and `linkbeat_use_polling`: whose driver is asked for its link each second.

use crate::plan::vrrp::{PollMethod, PolledLink, RouterPlan, SyncGroupPlan};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings as _};
use std::collections::BTreeSet;

/// Those of the list first; `linkbeat_use_polling` outside of instances concerns every interface that a router needs,
/// in an instance its own.
pub(super) fn polled_links(
    config: &Config,
    routers: &[RouterPlan],
    groups: &[SyncGroupPlan],
) -> Vec<PolledLink> {
    let lists = config.others.iter().filter(|setting| setting.keyword == "linkbeat_interfaces");
    let mut links: Vec<PolledLink> = Vec::new();
    for link in lists.flat_map(|list| &list.block).filter_map(line) {
        // The last line counts, as for other lists.
        links.retain(|known| known.interface != link.interface);
        links.push(link);
    }
    let everywhere = config.others.is_on("linkbeat_use_polling");
    let asking: BTreeSet<&str> = config
        .instances
        .iter()
        .filter(|instance| instance.settings.others.is_on("linkbeat_use_polling"))
        .map(|instance| instance.name.value.as_str())
        .collect();
    let own = routers.iter().filter(|router| everywhere || asking.contains(router.name.as_str()));
    let mut names: Vec<&str> = own.map(|router| router.key.interface.as_str()).collect();
    if everywhere {
        let tracked = routers.iter().flat_map(|router| &router.track_interfaces);
        let tracked = tracked.chain(groups.iter().flat_map(|group| &group.track_interfaces));
        names.extend(tracked.map(|tracked| tracked.interface.as_str()));
        let held =
            routers.iter().flat_map(|router| router.addresses.iter().chain(&router.excluded_addresses));
        names.extend(held.filter_map(|address| address.interface.as_deref()));
    }
    let made: BTreeSet<&str> =
        routers.iter().flat_map(|router| &router.virtual_links).map(|link| link.name.as_str()).collect();
    for name in names {
        // What we make has the link of what it is made on; and a place is no interface yet.
        if !made.contains(name) && !name.starts_with('/') && links.iter().all(|link| link.interface != name) {
            links.push(PolledLink { interface: name.to_owned(), first: PollMethod::Mii });
        }
    }
    links
}

fn line(line: &Setting) -> Option<PolledLink> {
    let word = line
        .block
        .iter()
        .rev()
        .find_map(|option| PollMethod::ALL.into_iter().find(|method| method.keyword() == option.keyword));
    Some(PolledLink { interface: line.name()?.to_owned(), first: word.unwrap_or(PollMethod::Mii) })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;

    fn polled(before: &str, own: &str) -> Vec<String> {
        let (plans, codes) = lowered(&format!(
            "{before}\nvrrp_instance a {{\ninterface eth0\nvirtual_router_id 51\n{own}\ntrack_interface {{\neth7\n}}\n\
             virtual_ipaddress {{\n10.0.0.100/24\n10.0.1.100/24 dev eth8\n}}\n}}\n\
             vrrp_instance b {{\ninterface eth1\nvirtual_router_id 51\nvirtual_ipaddress {{\n10.0.0.101/24\n}}\n}}"
        ));
        assert!(codes.iter().all(|code| *code == keepalived_compat::Code::Deprecated), "{codes:?}");
        let word =
            |link: &crate::plan::vrrp::PolledLink| format!("{} {}", link.interface, link.first.keyword());
        plans.vrrp.polled_links.iter().map(word).collect()
    }

    #[test]
    fn drivers_are_asked_where_the_configuration_says() {
        assert!(polled("", "").is_empty());
        let list = "linkbeat_interfaces {\neth5\neth6 ETHTOOL\neth0 IOCTL\n}";
        assert_eq!(polled(list, ""), ["eth5 MII", "eth6 ETHTOOL", "eth0 IOCTL"]);
        assert_eq!(polled("", "linkbeat_use_polling"), ["eth0 MII"]);
        assert_eq!(polled(list, "linkbeat_use_polling").len(), 3);
        assert_eq!(
            polled("linkbeat_use_polling", "use_vmac"),
            ["eth0 MII", "eth1 MII", "eth7 MII", "eth8 MII"]
        );
    }
}
