use super::*;
use crate::net::{AddressFamily, Priority, TransportProtocol};
use crate::plan::check::{CheckKind, CheckerPlan, HttpVersion};
use crate::plan::lvs::{ForwardingMethod, Granularity, Persistence, ServiceKey, TunnelKind, VirtualServer};
use crate::plan::vrrp::{Authentication, ChecksumDialect, RouterPlan, Transport, Unfit, Version};
use keepalived_compat::{Options, Reader};
use std::time::Duration;

/// One file, in memory.
struct Memory<'a>(&'a str);

impl Reader for Memory<'_> {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        if name == "main" { Ok(self.0.as_bytes().to_vec()) } else { Err("there is one file only".to_owned()) }
    }
}

/// Parses and lowers; all codes in the order they were said.
pub(crate) fn lowered(text: &str) -> (Plans, Vec<Code>) {
    let options = Options { config_id: "lb1", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut Memory(text), "main", options);
    let lowered = lower(&parsed.config, Generation(7));
    let codes = parsed.diagnostics.iter().chain(&lowered.diagnostics).map(|d| d.code).collect();
    (lowered.plans, codes)
}

/// The one router of an instance with this body (and an interface, a VRID, an address).
fn router(body: &str) -> (RouterPlan, Vec<Code>) {
    routers(&format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {{ 192.0.2.1/24 }}\n{body}\n}}"
    ))
}

fn routers(text: &str) -> (RouterPlan, Vec<Code>) {
    let (plans, codes) = lowered(text);
    (plans.vrrp.routers.into_iter().next().expect("a router"), codes)
}

/// The one virtual server with this header and body.
fn server(header: &str, body: &str) -> (VirtualServer, Vec<Code>) {
    let (plans, codes) = lowered(&format!("virtual_server {header} {{\n{body}\n}}"));
    (plans.lvs.virtual_servers.into_iter().next().expect("a virtual server"), codes)
}

/// The checkers of a real server 198.51.100.1 8080 with this body in a service 192.0.2.1 80 with that one.
fn checks(of_service: &str, of_server: &str) -> (Vec<CheckerPlan>, Vec<Code>) {
    let body = format!(
        "lvs_sched rr\nlvs_method NAT\nprotocol TCP\n{of_service}\nreal_server 198.51.100.1 8080 {{\n{of_server}\n}}"
    );
    let (server, codes) = server("192.0.2.1 80", &body);
    (server.real_servers.into_iter().next().expect("a real server").checkers, codes)
}

const PLAIN: &str = "lvs_sched rr\nlvs_method NAT\nprotocol TCP\n";
const ONE: &str = "lvs_sched rr\nlvs_method NAT\nprotocol TCP\nreal_server 198.51.100.1 8080 { weight 2 }\n";

#[test]
fn an_instance_has_keepalived_s_defaults() {
    let (plan, codes) = router("");
    assert_eq!(codes, []);
    assert_eq!(
        (plan.version, plan.priority, plan.interval.centiseconds()),
        (Version::V2, Priority(100), 100)
    );
    assert_eq!((plan.preempt, plan.preempt_delay), (true, Duration::ZERO));
    assert_eq!((plan.down_timer_adverts, plan.track_primary), (3, true));
    assert_eq!((plan.answer_lower_priority, plan.answer_higher_priority), (true, false));
    assert_eq!(plan.transport, Transport::Multicast { source: None, group: None });
    assert_eq!(plan.announce, crate::plan::vrrp::AnnouncePolicy::default());
    assert_eq!(plan.checksum, ChecksumDialect::PseudoHeader);
    assert_eq!(plan.key.family, AddressFamily::V4);
    assert_eq!(plan.addresses[0].cidr.to_string(), "192.0.2.1/24");
}

#[test]
fn an_ipv6_instance_speaks_version_3_whatever_is_written() {
    let (plan, codes) = routers(
        "vrrp_instance A { \n interface eth0 \n virtual_router_id 1 \n version 2 \n virtual_ipaddress { \n fe80::1/64 \n } \n }",
    );
    assert_eq!(
        (plan.version, plan.key.family, codes),
        (Version::V3, AddressFamily::V6, vec![Code::NotYetTraffic])
    );
}

/// keepalived 2.2.7 takes the address and says nothing.
#[test]
fn a_prefix_behind_a_source_or_a_peer_is_dropped() {
    let (plan, codes) = router("unicast_src_ip 192.0.2.11/24\nunicast_peer {\n192.0.2.12/24\n}");
    let [source, peer] = ["192.0.2.11", "192.0.2.12"].map(|a| a.parse().expect("an address"));
    assert_eq!(plan.transport, Transport::Unicast { source: Some(source), peers: vec![peer] });
    assert_eq!(codes, [Code::NoEffect, Code::NoEffect]);
}

/// Speaking multicast instead would leave two Masters wherever multicast does not arrive.
#[test]
fn an_instance_whose_peers_cannot_be_used_is_in_fault() {
    let (plans, codes) = lowered(
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nunicast_peer {\nnonsense\n}\n\
         virtual_ipaddress { 192.0.2.1/24 }\n}",
    );
    let lacking: Vec<_> = plans.vrrp.routers.iter().map(|router| router.wire.unfit).collect();
    assert_eq!(lacking, [Some(Unfit::NoUsablePeer)]);
    assert_eq!(codes, [Code::BadValue, Code::BadValue]);
}

#[test]
fn an_ipv6_address_may_say_that_it_is_global() {
    let (plan, codes) = routers(
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n\
         fe80::1/64\n2001:db8::1/64 scope global\n}\n}",
    );
    assert_eq!((plan.addresses.len(), codes), (2, vec![]));
}

#[test]
fn state_master_without_priority_is_the_owner() {
    let (plan, _) = router("state MASTER");
    assert_eq!(plan.priority, Priority::OWNER);
    let (plan, _) = router("state MASTER\npriority 150");
    assert_eq!(plan.priority, Priority(150));
    // A priority that cannot be read counts as written.
    let (plan, codes) = router("state MASTER\npriority 300");
    assert_eq!((plan.priority, codes), (Priority(100), vec![Code::BadValue]));
}

#[test]
fn nopreempt_and_delay_are_cleared_by_state_master() {
    let (plan, codes) = router("state MASTER\npriority 150\nnopreempt\npreempt_delay 5");
    assert_eq!((plan.preempt, plan.preempt_delay), (true, Duration::ZERO));
    assert_eq!(codes, [Code::Cleared, Code::Cleared]);
    let (plan, codes) = router("nopreempt\npreempt_delay 5");
    assert_eq!((plan.preempt, plan.preempt_delay, codes), (false, Duration::ZERO, vec![Code::Cleared]));
    let (plan, codes) = router("preempt_delay 2.5");
    assert_eq!((plan.preempt, plan.preempt_delay, codes), (true, Duration::from_millis(2500), vec![]));
    // Strict mode makes a BACKUP of it first.
    let (plan, codes) = router("strict_mode\nstate MASTER\npriority 150\nnopreempt");
    assert_eq!((plan.preempt, codes), (false, vec![Code::Cleared]));
    let (plan, codes) = router("priority 255\nnopreempt");
    assert_eq!((plan.preempt, codes), (true, vec![Code::Cleared]));
}

#[test]
fn an_interval_is_rounded_to_what_the_version_counts() {
    for (version, written, centiseconds, codes) in [
        (2, "2", 200, vec![]),
        (2, "0.3", 100, vec![Code::Adjusted]),
        (2, "1.5", 200, vec![Code::Adjusted]),
        (2, "255", 25500, vec![]),
        (3, "0.01", 1, vec![]),
        (3, "0.125", 13, vec![Code::Adjusted]),
        (3, "100", 4095, vec![Code::Adjusted]),
        (3, "256", 100, vec![Code::BadValue]),
        (3, "0", 100, vec![Code::BadValue]),
    ] {
        let (plan, said) = router(&format!("version {version}\nadvert_int {written}"));
        assert_eq!(
            (plan.interval.centiseconds(), said),
            (centiseconds, codes),
            "version {version}, {written}"
        );
    }
}

#[test]
fn a_password_is_eight_octets_and_not_for_version_3() {
    let auth = "authentication {\nauth_type PASS\nauth_pass hunter2hunter2\n}";
    let (plan, codes) = router(auth);
    assert_eq!((plan.authentication, codes), (Authentication::Password(*b"hunter2h"), vec![Code::Adjusted]));
    let (plan, codes) = router("authentication { \n auth_type PASS \n auth_pass ab \n }");
    assert_eq!((plan.authentication, codes), (Authentication::Password(*b"ab\0\0\0\0\0\0"), vec![]));
    let (plan, codes) = router(&format!("version 3\n{auth}"));
    assert_eq!((plan.authentication, codes), (Authentication::None, vec![Code::Adjusted, Code::Cleared]));
    let (plan, codes) = router("authentication { auth_type PASS }");
    assert_eq!((plan.authentication, codes), (Authentication::None, vec![Code::BadValue]));
}

#[test]
fn an_instance_that_could_not_hear_its_peers_is_in_fault() {
    for block in [
        "auth_hmac { \n key 1 0123456789abcdef0123456789abcdef \n active_key 2 \n }",
        "auth_hmac { \n active_key 1 \n }",
    ] {
        let text = format!(
            "vrrp_instance A {{ \n interface eth0 \n virtual_router_id 1 \n virtual_ipaddress {{ 192.0.2.1 }} \n {block} \n }}"
        );
        let (plans, codes) = lowered(&text);
        let lacking: Vec<_> = plans.vrrp.routers.iter().map(|router| router.wire.unfit).collect();
        assert_eq!((lacking, codes), (vec![Some(Unfit::NoKey)], vec![Code::BadValue]), "{block}");
    }
}

#[test]
fn strict_mode_takes_away_what_the_rfc_does_not_know() {
    let written = "state MASTER\npriority 150\npreempt_delay 5\ndown_timer_adverts 5\ngarp_lower_prio_repeat 3\n\
                   higher_prio_send_advert\nlower_prio_no_advert off\nauthentication {\nauth_type PASS\nauth_pass abc\n}";
    let (plan, codes) = router(&format!("strict_mode\n{written}"));
    assert_eq!((plan.authentication, plan.preempt_delay), (Authentication::None, Duration::ZERO));
    assert_eq!(plan.down_timer_adverts, 3);
    assert_eq!((plan.answer_lower_priority, plan.answer_higher_priority), (false, false));
    assert_eq!(
        (plan.announce.lower_priority_repeat, plan.announce.lower_priority_delay),
        (0, Duration::ZERO)
    );
    assert_eq!(codes, [Code::Cleared; 7]);
    // The global form, and an instance that opts out.
    let text = |more: &str| {
        format!(
            "global_defs {{ vrrp_strict }}\nvrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\n{more}\n\
             authentication {{\nauth_type AH\nauth_pass abc\n}}\nvirtual_ipaddress {{ 192.0.2.1 }}\n}}"
        )
    };
    assert_eq!(routers(&text("")).0.authentication, Authentication::None);
    assert_eq!(routers(&text("strict_mode off")).0.authentication, Authentication::Header(*b"abc\0\0\0\0\0"));
    // Without an address strict mode refuses.
    let (_, codes) = lowered("vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nstrict_mode\n}");
    assert!(codes.contains(&Code::Incomplete), "{codes:?}");
}

#[test]
fn unicast_needs_peers() {
    let (plan, codes) =
        router("unicast_src_ip 192.0.2.9\nunicast_peer {\n192.0.2.8\n192.0.2.8\n2001:db8::1\n}");
    let peers = vec!["192.0.2.8".parse().expect("an address")];
    let source = Some("192.0.2.9".parse().expect("an address"));
    assert_eq!(plan.transport, Transport::Unicast { source, peers });
    assert_eq!(codes, [Code::Duplicate, Code::BadValue]);
    let (plan, codes) = router("unicast_src_ip 192.0.2.9");
    assert_eq!(plan.transport, Transport::Multicast { source, group: None });
    assert_eq!(codes, [Code::Deprecated]);
}

#[test]
fn global_defaults_count_for_the_instances_below_them() {
    let text = |global: &str| {
        format!(
            "global_defs {{\n{global}\n}}\nvrrp_instance A {{ \n interface eth0 \n virtual_router_id 1 \n virtual_ipaddress {{ 192.0.2.1 }} \n }}"
        )
    };
    let (plan, codes) = routers(&text(
        "vrrp_version 3\nvrrp_garp_master_delay 9\nvrrp_garp_master_repeat 2\nvrrp_garp_master_refresh 60\n\
         vrrp_down_timer_adverts 5\nvrrp_lower_prio_no_advert\nvrrp_mcast_group4 224.0.0.19\nv3_checksum_as_v2",
    ));
    assert_eq!(codes, []);
    assert_eq!((plan.version, plan.down_timer_adverts, plan.answer_lower_priority), (Version::V3, 5, false));
    assert_eq!(
        (plan.announce.delay, plan.announce.lower_priority_delay),
        (Duration::from_secs(9), Duration::from_secs(9))
    );
    assert_eq!((plan.announce.repeat, plan.announce.lower_priority_repeat), (2, 2));
    assert_eq!(plan.announce.refresh, Some(Duration::from_secs(60)));
    assert_eq!(plan.checksum, ChecksumDialect::MessageOnly);
    let group = Some("224.0.0.19".parse().expect("an address"));
    assert_eq!(plan.transport, Transport::Multicast { source: None, group });
    // Below the instance they come too late, as in keepalived.
    let late = "vrrp_instance A { \n interface eth0 \n virtual_router_id 1 \n virtual_ipaddress { 192.0.2.1 } \n }\nglobal_defs { vrrp_version 3 }";
    assert_eq!(routers(late).0.version, Version::V2);
}

#[test]
fn garp_after_lower_priority_follows_the_global_settings() {
    let (plan, codes) = router("garp_master_delay 10\ngarp_master_repeat 3\ngarp_master_refresh 0");
    let a = plan.announce;
    assert_eq!((a.delay.as_secs(), a.repeat, a.refresh, codes), (10, 3, None, vec![]));
    assert_eq!((a.lower_priority_delay.as_secs(), a.lower_priority_repeat), (5, 5));
    let (plan, _) = router("garp_lower_prio_delay 1\ngarp_lower_prio_repeat 0");
    assert_eq!((plan.announce.lower_priority_delay.as_secs(), plan.announce.lower_priority_repeat), (1, 0));
}

#[test]
fn addresses_keep_their_options() {
    let (plan, codes) = routers(
        "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n\
         192.0.2.1/24 dev eth1 scope link label eth1:v brd +\n192.0.2.2/24 broadcast -\n192.0.2.3\n192.0.2.3\n2001:db8::1\n}\n\
         virtual_ipaddress_excluded {\n2001:db8::2/64 dev eth2\n}\n}",
    );
    assert_eq!(codes, [Code::AddressTwice, Code::BadValue]);
    let [a, b, c, _] = plan.addresses.as_slice() else { panic!("{:?}", plan.addresses) };
    assert_eq!(
        (a.interface.as_deref(), a.label.as_deref(), a.scope),
        (Some("eth1"), Some("eth1:v"), Some(253))
    );
    assert_eq!(a.broadcast, Some("192.0.2.255".parse().expect("an address")));
    assert_eq!(b.broadcast, Some("192.0.2.0".parse().expect("an address")));
    assert_eq!(c.cidr.to_string(), "192.0.2.3/32");
    assert_eq!(plan.excluded_addresses[0].cidr.to_string(), "2001:db8::2/64");
}

#[test]
fn an_address_with_a_wrong_option_is_left_out() {
    for option in ["dev", "dev nosuchinterfacename", "label eth0:much-too-long", "brd 10.0.0.x"] {
        let (plan, codes) =
            router(&format!("virtual_ipaddress {{\n192.0.2.2/24 {option}\n192.0.2.3 scope nonsense\n}}"));
        let addresses: Vec<_> = plan.addresses.iter().map(|a| a.cidr.to_string()).collect();
        assert_eq!(addresses, ["192.0.2.1/24", "192.0.2.3/32"], "{option}");
        assert_eq!(codes, [Code::BadValue, Code::BadValue], "{option}");
    }
}

#[test]
fn the_own_interface_is_not_tracked_twice() {
    let (plan, codes) = router("track_interface {\neth0\neth1 weight -20\neth1\neth2 weight 254 reverse\n}");
    let tracked: Vec<_> =
        plan.track_interfaces.iter().map(|t| (t.interface.as_str(), t.weight, t.reverse)).collect();
    assert_eq!(tracked, [("eth1", -20, false), ("eth2", 253, true)]);
    assert_eq!(codes, [Code::Adjusted, Code::Cleared, Code::Cleared]);
}

#[test]
fn what_keepalived_refuses_is_fatal() {
    let address = "virtual_ipaddress { 192.0.2.1 }";
    for (text, code) in [
        (format!("vrrp_instance A {{ \n interface eth0 \n {address} \n }}"), Code::Incomplete),
        (format!("vrrp_instance A {{ \n virtual_router_id 1 \n {address} \n }}"), Code::Incomplete),
        (
            "vrrp_instance A { \n interface eth0 \n virtual_router_id 1 \n version 3 \n }".to_owned(),
            Code::Incomplete,
        ),
        ("virtual_server {".to_owned(), Code::MissingWord),
        ("vrrp_instance A { \n state \n }".to_owned(), Code::MissingWord),
    ] {
        let (_, codes) = lowered(&text);
        assert!(codes.contains(&code) && code.is_fatal(), "{text}: {codes:?}");
    }
}

#[test]
fn one_vrid_is_one_router() {
    let instance = |name: &str, more: &str, address: &str| {
        format!(
            "vrrp_instance {name} {{ \n interface eth0 \n virtual_router_id 5 \n {more} \n virtual_ipaddress {{ {address} }} \n }}\n"
        )
    };
    let (plans, codes) = lowered(&(instance("A", "", "192.0.2.1") + &instance("B", "", "192.0.2.2")));
    assert_eq!((plans.vrrp.routers.len(), codes), (1, vec![Code::Conflict]));
    // The other family, or a name used twice, is another matter.
    let (plans, codes) = lowered(&(instance("A", "", "192.0.2.1") + &instance("B", "", "fe80::1")));
    assert_eq!((plans.vrrp.routers.len(), codes), (2, vec![]));
    let (plans, codes) = lowered(&(instance("A", "", "192.0.2.1") + &instance("A", "", "192.0.2.2")));
    assert_eq!((plans.vrrp.routers.len(), codes), (1, vec![Code::Duplicate]));
    let peer = "unicast_peer { 192.0.2.7 }";
    let (plans, codes) = lowered(&(instance("A", peer, "192.0.2.1") + &instance("B", peer, "192.0.2.2")));
    assert_eq!((plans.vrrp.routers.len(), codes), (1, vec![Code::Conflict]));
    let other = "unicast_peer { 192.0.2.8 }";
    let (plans, codes) = lowered(&(instance("A", peer, "192.0.2.1") + &instance("B", other, "192.0.2.2")));
    assert_eq!(codes, []);
    let among: Vec<_> = plans.vrrp.routers.iter().map(|r| r.key.among).collect();
    assert_eq!(among, [None, Some("192.0.2.8".parse().expect("an address"))]);
    let group = "mcast_dst_ip 224.0.0.19";
    let (plans, codes) = lowered(&(instance("A", "", "192.0.2.1") + &instance("B", group, "192.0.2.2")));
    assert_eq!((plans.vrrp.routers.len(), codes), (2, vec![]));
    let (plans, codes) = lowered(&(instance("A", group, "192.0.2.1") + &instance("B", group, "192.0.2.2")));
    assert_eq!((plans.vrrp.routers.len(), codes), (1, vec![Code::Conflict]));
}

#[test]
fn a_virtual_server_has_keepalived_s_defaults() {
    let (plan, codes) = server("192.0.2.1 80", ONE);
    assert_eq!(codes, []);
    assert_eq!(
        (plan.name.as_str(), plan.scheduler.as_str(), plan.scheduler_flags),
        ("192.0.2.1 80", "rr", 0)
    );
    assert_eq!((plan.quorum, plan.hysteresis, plan.persistence, plan.one_packet), (1, 0, None, false));
    let address = "192.0.2.1".parse().expect("an address");
    assert_eq!(plan.keys, [ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address, port: 80 }]);
    assert_eq!(plan.real_servers[0].endpoint, "198.51.100.1:8080".parse().expect("an endpoint"));
    assert_eq!(
        (plan.real_servers[0].weight, plan.real_servers[0].forwarding),
        (2, ForwardingMethod::Masquerade)
    );
    let (plan, codes) = server("192.0.2.1 53", "real_server 198.51.100.1 { weight 1 }");
    assert_eq!(codes, [Code::Default, Code::Default, Code::Default]);
    assert_eq!((plan.scheduler.as_str(), plan.real_servers[0].endpoint.port()), ("wlc", 53));
    assert!(matches!(plan.keys[0], ServiceKey::Endpoint { protocol: TransportProtocol::Udp, .. }));
}

#[test]
fn direct_routing_keeps_the_service_s_port() {
    let (plan, codes) = server(
        "192.0.2.1 80",
        "lvs_sched rr\nlvs_method DR\nprotocol TCP\nsorry_server 198.51.100.9 81\nreal_server 198.51.100.1 8080 { TCP_CHECK { } }",
    );
    assert_eq!(plan.real_servers[0].endpoint.port(), 80);
    assert_eq!(plan.sorry_server.expect("a sorry server").endpoint.port(), 80);
    assert_eq!(codes, [Code::Adjusted, Code::Adjusted]);
    // The check still asks the port that was written.
    assert_eq!(plan.real_servers[0].checkers[0].target.endpoint.port(), 8080);
}

#[test]
fn a_mark_has_the_family_of_its_servers_and_ports_only_with_nat() {
    let (plan, codes) =
        server("fwmark 5", "lvs_sched rr\nlvs_method NAT\nreal_server 2001:db8::1 80 { TCP_CHECK { } }");
    assert_eq!(plan.keys, [ServiceKey::FwMark { family: AddressFamily::V6, mark: 5 }]);
    // NAT may give packets of a mark another port; otherwise they keep theirs.
    assert_eq!((plan.real_servers[0].endpoint.port(), codes), (80, vec![]));
    let (plan, codes) =
        server("fwmark 5", "lvs_sched rr\nlvs_method DR\nreal_server 2001:db8::1 80 { TCP_CHECK { } }");
    assert_eq!((plan.real_servers[0].endpoint.port(), codes), (0, vec![Code::Adjusted]));
    assert_eq!(plan.real_servers[0].checkers[0].target.endpoint.port(), 80);
}

#[test]
fn where_ports_of_a_group_differ_one_server_is_there_once_unless_it_is_translated() {
    let plan = |method: &str| {
        let text = format!(
            "virtual_server_group WEB {{\n192.0.2.1 80\n192.0.2.1 443\nfwmark 7\n}}\nvirtual_server group WEB {{\n\
             lvs_sched rr\nlvs_method {method}\nprotocol TCP\nreal_server 198.51.100.1 80 {{ }}\n\
             real_server 198.51.100.1 443 {{ }}\n}}"
        );
        let (plans, codes) = lowered(&text);
        (plans.lvs.virtual_servers[0].real_servers.len(), codes)
    };
    assert_eq!(plan("NAT"), (2, vec![]));
    assert_eq!(plan("DR"), (1, vec![Code::Adjusted, Code::Adjusted, Code::Duplicate]));
}

#[test]
fn a_tunnel_may_cross_families() {
    let body = |method: &str| {
        format!(
            "lvs_sched rr\nlvs_method {method}\nprotocol TCP\nreal_server 2001:db8::1 80 {{ }}\nreal_server 198.51.100.1 80 {{ }}"
        )
    };
    let (plan, codes) = server("192.0.2.1 80", &body("TUN type gue port 6080 csum"));
    assert_eq!((plan.real_servers.len(), codes), (2, vec![]));
    assert!(matches!(
        plan.real_servers[0].forwarding,
        ForwardingMethod::Tunnel(TunnelKind::Gue { port: 6080, .. })
    ));
    let (plan, codes) = server("192.0.2.1 80", &body("DR"));
    assert_eq!((plan.real_servers.len(), codes), (1, vec![Code::BadValue]));
}

#[test]
fn persistence_follows_timeout_granularity_and_port_zero() {
    let persistence = |header: &str, body: &str| server(header, &format!("{ONE}{body}")).0.persistence;
    let want = |timeout_seconds, granularity| Some(Persistence { timeout_seconds, granularity });
    let mask = |mask: [u8; 4]| Granularity::Netmask(mask.into());
    assert_eq!(persistence("192.0.2.1 80", "persistence_timeout"), want(360, Granularity::Client));
    assert_eq!(persistence("192.0.2.1 80", "persistence_timeout 50"), want(50, Granularity::Client));
    assert_eq!(
        persistence("192.0.2.1 80", "persistence_granularity 255.255.255.0"),
        want(360, mask([255, 255, 255, 0]))
    );
    // What keepalived takes: any mask, which need not be one of a network.
    assert_eq!(
        persistence("192.0.2.1 80", "persistence_granularity 255.0.255.0"),
        want(360, mask([255, 0, 255, 0]))
    );
    assert_eq!(persistence("192.0.2.1 80", "persistence_granularity 0.0.0.0"), want(360, mask([0; 4])));
    assert_eq!(
        persistence("192.0.2.1 80", "persistence_granularity 255.255.255.255"),
        want(360, Granularity::Client)
    );
    assert_eq!(persistence("192.0.2.1", ""), want(360, Granularity::Client));
    assert_eq!(persistence("192.0.2.1 80", "persistence_timeout 0"), None);
}

#[test]
fn quorum_and_hysteresis_fit_the_weights() {
    let quorum = |body: &str| {
        let (plan, codes) = server("192.0.2.1 80", &format!("{ONE}{body}"));
        (plan.quorum, plan.hysteresis, codes)
    };
    assert_eq!(quorum("quorum 2\nhysteresis 1"), (2, 1, vec![]));
    assert_eq!(quorum("quorum 7"), (2, 0, vec![Code::Adjusted]));
    assert_eq!(quorum("quorum 2\nhysteresis 9"), (2, 1, vec![Code::Adjusted]));
    assert_eq!(quorum("quorum 0"), (1, 0, vec![Code::BadValue]));
}

#[test]
fn scheduler_flags_follow_their_scheduler() {
    let flags = |body: &str| {
        let (plan, codes) =
            server("192.0.2.1 80", &format!("{PLAIN}{body}\nreal_server 198.51.100.1 80 {{ }}"));
        (plan.scheduler, plan.scheduler_flags, codes)
    };
    assert_eq!(flags("lvs_sched sh\nsh-port\nsh-fallback"), ("sh".into(), 0x18, vec![]));
    assert_eq!(flags("mh-port\nlvs_sched mh\nmh-fallback"), ("mh".into(), 0x08, vec![Code::Cleared]));
    assert_eq!(flags("flag-3"), ("rr".into(), 0x20, vec![]));
    assert_eq!(flags("lvs_sched fastest"), ("rr".into(), 0, vec![Code::BadValue]));
}

#[test]
fn a_server_that_cannot_be_is_left_out() {
    for (text, code) in [
        ("virtual_server 192.0.2.1 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method DR\n}", Code::Cleared),
        ("virtual_server 192.0.2.300 80 {\nreal_server 198.51.100.1 80 { }\n}", Code::BadValue),
        ("virtual_server 192.0.2.1 http {\nreal_server 198.51.100.1 80 { }\n}", Code::BadValue),
        (
            "virtual_server group G {\nlvs_sched rr\nlvs_method DR\nreal_server 198.51.100.1 80 { }\n}",
            Code::UnknownName,
        ),
    ] {
        let (plans, codes) = lowered(text);
        assert_eq!((plans.lvs.virtual_servers.len(), codes), (0, vec![code]), "{text}");
    }
    let (plan, codes) = server(
        "192.0.2.1 80",
        &format!("{ONE}real_server 198.51.100.1 8080 {{ weight 9 }}\nreal_server x 1 {{ }}"),
    );
    assert_eq!((plan.real_servers.len(), plan.real_servers[0].weight), (1, 2));
    assert_eq!(codes, [Code::BadValue, Code::Duplicate]);
    let twice = format!("virtual_server 192.0.2.1 80 {{\n{ONE}}}\n").repeat(2);
    let (plans, codes) = lowered(&twice);
    assert_eq!((plans.lvs.virtual_servers.len(), codes), (1, vec![Code::Duplicate]));
}

#[test]
fn a_group_is_many_services() {
    let (plans, codes) = lowered(&format!(
        "virtual_server group G {{\n{ONE}}}\nvirtual_server_group G {{\n192.0.2.1-3 80\n192.0.2.9 443\nfwmark 7\n}}"
    ));
    assert_eq!((plans.lvs.virtual_servers[0].keys.len(), codes), (5, vec![]));
    // An empty one costs its virtual server, not the start.
    let (plans, codes) =
        lowered(&format!("virtual_server group G {{\n{ONE}}}\nvirtual_server_group G {{\n}}"));
    assert_eq!((plans.lvs.virtual_servers.len(), codes), (0, vec![Code::UnknownName]));
}

#[test]
fn a_check_has_keepalived_s_defaults() {
    let (checks_, codes) = checks("", "TCP_CHECK { }\nHTTP_GET { url { path / } }\nPING_CHECK { }");
    assert_eq!(codes, []);
    let [tcp, http, ping] = checks_.as_slice() else { panic!("{checks_:?}") };
    let seconds = |c: &CheckerPlan| {
        let s = c.schedule;
        (
            s.delay_loop.as_secs(),
            s.connect_timeout.as_secs(),
            s.retry,
            s.delay_before_retry.as_secs(),
            s.warmup.as_secs(),
        )
    };
    assert_eq!(seconds(tcp), (60, 5, 1, 1, 60));
    assert_eq!(seconds(http), (60, 5, 1, 3, 60));
    assert_eq!(seconds(ping), (60, 5, 1, 1, 60));
    assert_eq!(tcp.target.endpoint, "198.51.100.1:8080".parse().expect("an endpoint"));
    let CheckKind::Http(http) = &http.kind else { panic!("{http:?}") };
    assert_eq!(
        (http.version, &http.urls[0].status, &http.urls[0].host),
        (HttpVersion::V1_0, &vec![200..=299], &None)
    );
}

#[test]
fn the_innermost_setting_counts() {
    let (checks, codes) = checks(
        "delay_loop 6\nretry 5\nwarmup 1\nconnect_timeout 9\nalpha\nvirtualhost vs.example",
        "delay_loop 4\nvirtualhost rs.example\nTCP_CHECK {\nretry 0\nconnect_port 99\nalpha off\nbindto 2001:db8::1\n}\n\
         HTTP_GET {\nnb_get_retry 2\nhttp_protocol 1.1\nurl {\npath /a\nvirtualhost url.example\nstatus_code 200 300-302\n}\nurl {\npath /b\n}\nurl { }\n}",
    );
    let [tcp, http] = checks.as_slice() else { panic!("{checks:?}") };
    assert_eq!((tcp.schedule.delay_loop, tcp.schedule.retry), (Duration::from_secs(4), 0));
    assert_eq!(
        (tcp.schedule.warmup, tcp.schedule.connect_timeout),
        (Duration::from_secs(1), Duration::from_secs(9))
    );
    assert_eq!((tcp.target.endpoint.port(), tcp.target.source().bind_address, tcp.alpha), (99, None, false));
    assert_eq!((http.schedule.retry, http.alpha), (2, true));
    let CheckKind::Http(check) = &http.kind else { panic!("{http:?}") };
    let hosts: Vec<_> = check.urls.iter().map(|u| u.host.as_deref()).collect();
    assert_eq!(hosts, [Some("url.example"), Some("rs.example")]);
    assert_eq!(
        (check.version, check.urls[0].status.clone()),
        (HttpVersion::V1_1, vec![200..=200, 300..=302])
    );
    assert_eq!(codes, [Code::Deprecated, Code::BadValue, Code::BadValue]);
}

#[test]
fn every_kind_of_check_has_its_own_defaults() {
    let (all, codes) = checks(
        "delay_loop 7",
        "SSL_GET {\nurl {\npath /\nregex \"a+\"\nregex_options caseless\ntls_compliant\n}\nenable_sni\nvirtualhost a.example\n}\n\
         UDP_CHECK {\npayload 01ff\nrequire_reply 0aX1\n}\nDNS_CHECK { }\nSMTP_CHECK { }\nMISC_CHECK {\nmisc_path /bin/true\n}",
    );
    assert_eq!(codes, []);
    let [ssl, udp, dns, smtp, misc] = all.as_slice() else { panic!("{all:?}") };
    let CheckKind::Http(web) = &ssl.kind else { panic!("{ssl:?}") };
    assert!(web.tls.as_ref().is_some_and(|tls| tls.enable_sni) && web.urls[0].close_notify);
    assert!(web.urls[0].search.as_ref().is_some_and(|search| search.caseless && search.pattern == "a+"));
    let CheckKind::Udp(check) = &udp.kind else { panic!("{udp:?}") };
    assert_eq!(check.payload, Some(vec![1, 0xff]));
    assert_eq!(check.reply, Some(vec![(0x0a, 0xff), (0x01, 0x0f)]));
    assert_eq!(check.reply_length, 0..=255);
    let CheckKind::Dns(check) = &dns.kind else { panic!("{dns:?}") };
    assert_eq!((check.record_type, dns.schedule.retry), (6, 3));
    assert_eq!(dns.schedule.delay_before_retry, Duration::from_secs(7));
    let CheckKind::Smtp(check) = &smtp.kind else { panic!("{smtp:?}") };
    assert_eq!(check.helo, "smtpchecker.keepalived.org");
    let CheckKind::Misc(check) = &misc.kind else { panic!("{misc:?}") };
    assert_eq!((check.timeout, check.dynamic, misc.schedule.retry), (Duration::from_secs(7), false, 0));
    assert_eq!(check.command.words, ["/bin/true"]);
}

#[test]
fn a_check_that_cannot_ask_is_left_out_and_says_so() {
    let (none, codes) = checks("", "HTTP_GET { }");
    assert_eq!((none.len(), codes), (0, vec![Code::BadValue]));
    let (one, codes) = checks("", "HTTP_GET {\nurl {\npath /\nregex \"a(?=b)\"\n}\n}");
    assert_eq!((one.len(), codes), (1, vec![Code::NotYetTraffic]));
    let (none, codes) = checks("", "DNS_CHECK {\nname a..b\n}");
    assert_eq!((none.len(), codes), (0, vec![Code::BadValue]));
}

#[test]
fn what_is_not_built_of_tracking_is_said() {
    let (_, codes) = lowered(
        "vrrp_script chk {\nscript /bin/true\nraise 2\n}\nvrrp_sync_group G { group { A } }\n\
         vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress { 192.0.2.1 }\ntrack_script { chk }\nuse_vmac\n}",
    );
    assert_eq!(
        codes,
        [
            Code::UnknownKeyword,
            // The group has one member.
            Code::Adjusted,
        ]
    );
}

#[test]
fn the_address_written_first_decides_the_family() {
    let head = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\n";
    let addresses = "virtual_ipaddress {\n2001:db8::1/64\n192.0.2.1/24\n}\n";
    for (body, family) in [
        (addresses.to_owned(), AddressFamily::V6),
        (format!("unicast_peer {{\n192.0.2.9\n}}\n{addresses}"), AddressFamily::V4),
        (format!("mcast_src_ip 192.0.2.9\n{addresses}"), AddressFamily::V4),
        (format!("{addresses}mcast_src_ip 192.0.2.9\n"), AddressFamily::V6),
    ] {
        let (router, _) = routers(&format!("{head}{body}}}\n"));
        assert_eq!((router.key.family, router.addresses.len()), (family, 1), "{body}");
    }
}

#[test]
fn an_owner_has_no_delay_before_it_preempts() {
    let (router, codes) = router("priority 255\npreempt_delay 5");
    assert_eq!((router.preempt_delay, codes), (Duration::ZERO, vec![Code::Cleared]));
}

/// The routing of the instance that has these lines.
fn routing(block: &str, lines: &str) -> Vec<crate::plan::route::Item> {
    let text = format!(
        "vrrp_instance a {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n192.0.2.1\n}}\n{block} {{\n{lines}\n}}\n}}\n"
    );
    let (plans, _) = lowered(&text);
    plans.vrrp.routers.first().map(|router| router.routing.clone()).unwrap_or_default()
}

#[test]
fn a_tunnel_keeps_all_its_options() {
    use crate::plan::route::{Encapsulation, Item};
    let items = routing(
        "virtual_routes",
        "10.0.10.0/24 dev eth0 encap ip id 5 dst 1.2.3.4 src 4.3.2.1 ttl 9 tos 3 flags 16",
    );
    let [Item::Route(route)] = items.as_slice() else { panic!("{items:?}") };
    let encap = route.hops.first().and_then(|hop| hop.encap.clone());
    let expected = Encapsulation::Ip {
        family: AddressFamily::V4,
        id: Some(5),
        destination: "1.2.3.4".parse().ok(),
        source: "4.3.2.1".parse().ok(),
        tos: Some(3),
        ttl: Some(9),
        flags: Some(0x10),
    };
    assert_eq!(encap, Some(expected));
}
