//! What becomes of `use_vmac` and its kin.

use crate::config::lower;
use crate::net::MacAddr;
use crate::plan::Generation;
use crate::plan::vmac::{IpvlanMode, VirtualLinkKind};
use crate::plan::vrrp::{RouterPlan, Transport, Unfit, VrrpPlan};
use keepalived_compat::{Code, Options, Reader, parse};

struct Text(Vec<u8>);

impl Reader for Text {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
}

fn plan(text: &str) -> (VrrpPlan, Vec<Code>) {
    let options = Options { config_id: "", vrrp: true, checker: true };
    let parsed = parse(&mut Text(text.as_bytes().to_vec()), "k.conf", options);
    let lowered = lower(&parsed.config, Generation(1));
    let codes = parsed.diagnostics.iter().chain(&lowered.diagnostics).map(|d| d.code).collect();
    (lowered.plans.vrrp, codes)
}

/// One instance on eth0 with VRID 51 and these lines.
fn instance(name: &str, lines: &str, addresses: &str) -> String {
    format!(
        "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id 51\n{lines}\nvirtual_ipaddress {{\n{addresses}\n}}\n}}\n"
    )
}

fn router(lines: &str) -> (RouterPlan, Vec<Code>) {
    let (plan, codes) = plan(&instance("A", lines, "192.0.2.1/24"));
    (plan.routers.into_iter().next().expect("one router"), codes)
}

fn links(router: &RouterPlan) -> Vec<String> {
    router.virtual_links.iter().map(|link| format!("{} on {}", link.name, link.base)).collect()
}

/// keepalived 2.2.7 names them so: tried.
#[test]
fn names_are_keepaliveds() {
    let text = instance("A", "use_vmac", "192.0.2.1/24")
        + &instance("B", "use_vmac", "2001:db8::1/64")
        + &instance("C", "use_vmac", "192.0.2.3/24").replace("eth0", "eth1")
        + &instance("D", "use_vmac foo", "192.0.2.4/24").replace("eth0", "eth2")
        + &instance("E", "use_vmac foo", "192.0.2.5/24").replace("eth0", "eth3");
    let (plan, codes) = plan(&text);
    let names: Vec<String> = plan.routers.iter().flat_map(links).collect();
    assert_eq!(
        names,
        ["vrrp.51 on eth0", "vrrp6.51 on eth0", "vrrp1.51 on eth1", "foo on eth2", "vrrp2.51 on eth3"]
    );
    assert_eq!(codes, [Code::Duplicate]);
}

#[test]
fn addresses_of_the_family_without_dev_go_to_the_virtual_interface() {
    let lines = "use_vmac\nvirtual_ipaddress_excluded {\n2001:db8::1/64\n192.0.2.9/24 dev eth1\n}";
    let (router, codes) = router(lines);
    assert_eq!(codes, []);
    assert_eq!(router.advert_interface(), "vrrp.51");
    assert_eq!(router.addresses[0].interface.as_deref(), Some("vrrp.51"));
    let excluded: Vec<_> = router.excluded_addresses.iter().map(|a| a.interface.as_deref()).collect();
    assert_eq!(excluded, [None, Some("eth1")]);
}

/// As seen with 2.2.7: `dev` with the interface of the instance is none.
#[test]
fn addresses_on_the_base_go_to_the_virtual_interface() {
    let lines = "use_vmac\nvirtual_ipaddress_excluded {\n192.0.2.9/24 dev eth0\n2001:db8::1/64 dev eth0\n}";
    let (router, _) = router(lines);
    let excluded: Vec<_> = router.excluded_addresses.iter().map(|a| a.interface.as_deref()).collect();
    assert_eq!(excluded, [Some("vrrp.51"), Some("eth0")]);
    let (plan, _) = plan(&instance("A", "use_vmac", "192.0.2.1/24 dev eth0\n192.0.2.2/24 dev eth1"));
    let places: Vec<_> = plan.routers[0].addresses.iter().map(|a| a.interface.as_deref()).collect();
    assert_eq!(places, [Some("vrrp.51"), Some("eth1")]);
}

#[test]
fn use_vmac_addr_gives_all_others_their_own() {
    let lines = "use_vmac\nuse_vmac_addr\nvirtual_ipaddress_excluded {\n2001:db8::1/64\n192.0.2.9/24 dev eth1\n192.0.2.8/24 dev eth1\n}";
    let (router, _) = router(lines);
    assert_eq!(links(&router), ["vrrp.51 on eth0", "vrrp6.51 on eth0", "vrrp1.51 on eth1"]);
    let macs: Vec<_> = router.virtual_links.iter().map(|link| link.kind).collect();
    let mac = |block| VirtualLinkKind::Macvlan { mac: MacAddr([0, 0, 0x5e, 0, block, 51]) };
    assert_eq!(macs, [mac(1), mac(2), mac(1)]);
}

#[test]
fn a_line_with_use_vmac_has_its_own_and_adverts_stay_where_they_were() {
    let (plan, codes) = plan(&instance("A", "", "192.0.2.1/24 use_vmac\n192.0.2.2/24"));
    let router = &plan.routers[0];
    assert_eq!(codes, []);
    assert_eq!((links(router), router.advert_interface()), (vec!["vrrp.51 on eth0".to_owned()], "eth0"));
    let places: Vec<_> = router.addresses.iter().map(|a| a.interface.as_deref()).collect();
    assert_eq!(places, [Some("vrrp.51"), None]);
}

#[test]
fn unicast_and_vmac_xmit_base_speak_by_the_base() {
    assert_eq!(router("use_vmac\nvmac_xmit_base").0.advert_link, None);
    let (unicast, codes) = router("use_vmac\nunicast_peer {\n192.0.2.9\n}");
    assert_eq!((unicast.advert_link, codes), (None, vec![Code::Adjusted]));
    assert_eq!(unicast.addresses[0].interface.as_deref(), Some("vrrp.51"));
}

#[test]
fn strict_mode_takes_the_mac_and_the_base_away() {
    let (strict, codes) = router("strict_mode on\nuse_vmac v 02:00:00:00:00:01\nvmac_xmit_base");
    assert_eq!(strict.advert_interface(), "v");
    let own = strict.key.vrid.virtual_mac(strict.key.family);
    assert_eq!(strict.virtual_links[0].kind, VirtualLinkKind::Macvlan { mac: own });
    assert_eq!(codes.iter().filter(|code| **code == Code::Cleared).count(), 2, "{codes:?}");
}

/// behaviour of keepalived 2.2.7: tried.
#[test]
fn who_accepts() {
    let accepts = |lines: &str| router(lines).0.accept;
    assert!(accepts(""));
    assert!(!accepts("no_accept"));
    assert!(accepts("no_accept\naccept"));
    assert!(!accepts("strict_mode on"));
    assert!(!accepts("strict_mode on\naccept"), "version 2");
    assert!(accepts("strict_mode on\nversion 3\naccept"));
    assert!(accepts("priority 255\nno_accept"), "the owner");
}

#[test]
fn an_ipvlan_speaks_with_its_own_address() {
    let (router, _) = router("use_ipvlan ipv 192.0.2.7/24 private");
    let address = crate::net::IpCidr::new("192.0.2.7".parse().expect("an address"), 24);
    assert_eq!(router.virtual_links[0].kind, VirtualLinkKind::Ipvlan { mode: IpvlanMode::Private, address });
    assert_eq!((router.advert_interface(), &router.addresses[0].interface), ("ipv", &None));
    let Transport::Multicast { source, .. } = router.transport else { panic!("multicast") };
    assert_eq!(source.map(|source| source.to_string()).as_deref(), Some("192.0.2.7"));
}

/// As keepalived 2.2.7, which makes no ipvlan for it: left out, the rest of its sync group would be Master without it.
#[test]
fn an_ipvlan_without_an_address_stays_in_the_plan_and_its_group() {
    let group = "vrrp_sync_group G {\ngroup {\nA\nB\n}\n}\n";
    let b = instance("B", "", "192.0.2.2/24").replace("51", "52");
    let (plan, codes) = plan(&(group.to_owned() + &instance("A", "use_ipvlan ipv", "192.0.2.1/24") + &b));
    assert_eq!(codes, [Code::BadValue]);
    let lacking: Vec<_> = plan.routers.iter().map(|router| router.wire.unfit).collect();
    assert_eq!(lacking, [Some(Unfit::NoAddress), None]);
    assert_eq!((plan.groups[0].members.len(), links(&plan.routers[0])), (2, Vec::new()));
    assert_eq!(router("use_ipvlan ipv 192.0.2.7/24").0.wire.unfit, None);
}

#[test]
fn the_filter_has_the_name_and_priority_that_are_written() {
    let (plan, _) = plan("global_defs {\nnftables mine\nnftables_priority -5\nnftables_counters\n}\n");
    assert_eq!((plan.filter.table.as_str(), plan.filter.priority, plan.filter.counters), ("mine", -5, true));
    assert_eq!(crate::plan::vmac::FilterSettings::default().table, "holdfast");
}

#[test]
fn secondaries_are_promoted_where_addresses_are_on_the_interface_itself() {
    let promotes = |lines: &str| router(&format!("promote_secondaries\n{lines}")).0.promote_secondaries;
    assert!(promotes(""));
    assert!(promotes("use_ipvlan 192.0.2.9/24"));
    assert!(!promotes("use_vmac"), "its virtual interface has the setting");
    assert!(promotes("use_vmac\nvirtual_ipaddress_excluded {\n2001:db8::2/64 dev eth0\n}"));
    assert!(!router("").0.promote_secondaries);
}
