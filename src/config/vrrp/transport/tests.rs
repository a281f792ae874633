use super::*;
use crate::config::{Lowered, lower};
use crate::plan::Generation;
use keepalived_compat::{Options, Reader};

/// One file, in memory.
struct Memory<'a>(&'a str);

impl Reader for Memory<'_> {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// The policy of an instance with these lines below these global ones, and all that was said.
fn policy(global: &str, lines: &str) -> (WirePolicy, Vec<Code>) {
    let text = format!(
        "global_defs {{\n{global}\n}}\nvrrp_instance A {{\ninterface eth0\nvirtual_router_id 51\n\
         virtual_ipaddress {{ 192.0.2.1/24 }}\n{lines}\n}}"
    );
    let options = Options { config_id: "", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut Memory(&text), "main", options);
    let Lowered { plans, diagnostics } = lower(&parsed.config, Generation(1));
    let codes = parsed.diagnostics.iter().chain(&diagnostics).map(|d| d.code).collect();
    (plans.vrrp.routers.into_iter().next().expect("a router").wire, codes)
}

const PEER: &str = "unicast_peer { 192.0.2.7 }\n";

#[test]
fn an_instance_believes_everybody_by_default() {
    assert_eq!(policy("", ""), (WirePolicy::default(), vec![]));
    assert_eq!(policy("", PEER).0, WirePolicy::default());
}

#[test]
fn peers_have_limits_and_are_checked_globally_or_by_instance() {
    let (wire, codes) =
        policy("", "unicast_peer {\n192.0.2.7 min_ttl 250\n192.0.2.8 max_ttl 9 min_ttl 2\n192.0.2.9\n}");
    let limits = |last, least, most| PeerLimits { peer: IpAddr::from([192, 0, 2, last]), least, most };
    assert_eq!((wire.peer_limits, codes), (vec![limits(7, 250, 255), limits(8, 2, 9)], vec![]));
    assert!(policy("", &format!("{PEER}check_unicast_src")).0.check_source);
    assert!(policy("vrrp_check_unicast_src", PEER).0.check_source);
    // By multicast there is nobody to check.
    assert!(!policy("vrrp_check_unicast_src", "check_unicast_src").0.check_source);
}

#[test]
fn the_ttl_is_for_unicast_and_never_zero() {
    let ttl = |lines: &str| policy("", lines).0.unicast_hop_limit;
    assert_eq!(ttl(&format!("{PEER}unicast_ttl 7")), 7);
    assert_eq!(ttl("unicast_ttl 7"), 255);
    let (wire, codes) = policy("", &format!("{PEER}unicast_ttl 0"));
    assert_eq!((wire.unicast_hop_limit, codes), (255, vec![Code::Adjusted]));
}

#[test]
fn an_owner_ignores_others_when_told_globally_or_strictly() {
    for (global, lines, ignores) in [
        ("", "priority 255", false),
        ("", "priority 255\nowner_ignore_adverts", true),
        ("vrrp_owner_ignore_adverts", "priority 255", true),
        ("", "priority 255\nstrict_mode", true),
        ("vrrp_owner_ignore_adverts", "priority 254", false),
    ] {
        assert_eq!(policy(global, lines).0.owner_ignores, ignores, "{global} {lines}");
    }
}

#[test]
fn an_old_checksum_is_detected_always_or_never() {
    let old = |lines: &str| policy("", &format!("{PEER}{lines}")).0.old_checksum;
    assert_eq!(old(""), OldChecksum::Detect);
    assert_eq!(old("old_unicast_checksum"), OldChecksum::Always);
    assert_eq!(old("old_unicast_checksum never"), OldChecksum::Never);
}

#[test]
fn without_a_demanded_peer_it_is_multicast_in_fault() {
    let (wire, codes) = policy("", "unicast_fault_no_peer\nunicast_peer { }");
    assert_eq!((wire.unfit, codes), (Some(Unfit::NoPeer), vec![Code::Adjusted]));
    assert_eq!(policy("", &format!("unicast_fault_no_peer\n{PEER}")).0.unfit, None);
}

/// It stays in the plan: left out, the other members of its sync group would be Master without it.
#[test]
fn who_has_only_unusable_peers_or_cannot_sign_is_in_fault() {
    let (wire, codes) = policy("", "unicast_peer { 2001:db8::9 }");
    assert_eq!((wire.unfit, codes), (Some(Unfit::NoUsablePeer), vec![Code::BadValue, Code::BadValue]));
    assert_eq!(policy("", "unicast_peer {\n2001:db8::9\n192.0.2.7\n}").0.unfit, None);
    let (wire, codes) = policy("", "auth_hmac {\nkey 1 0123456789abcdef0123456789abcdef\nactive_key 2\n}");
    assert_eq!((wire.unfit, wire.hmac, codes), (Some(Unfit::NoKey), None, vec![Code::BadValue]));
}

#[test]
fn a_signature_has_a_window_and_a_mode() {
    const KEYS: &str = "key 1 0123456789abcdef0123456789abcdef\nkey 2 hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\nactive_key 2\n";
    let hmac = |more: &str, lines: &str| {
        let (wire, codes) = policy("", &format!("auth_hmac {{\n{KEYS}{more}\n}}\n{lines}"));
        (wire.hmac.expect("signed"), codes)
    };
    let (plain, codes) = hmac("", "");
    assert_eq!(codes, []);
    assert_eq!((plain.active, plain.window, plain.mode), (2, Some(5), HmacMode::Enforce));
    assert_eq!(plain.key(2).expect("a key")[..3], [0, 0x11, 0x22]);
    assert_eq!(hmac("", "advert_int 3").0.window, Some(9));
    assert_eq!(hmac("", "advert_int 200").0.window, Some(300));
    assert_eq!(hmac("time_window 30", "").0.window, Some(30));
    assert_eq!(hmac("anti_replay monotonic", "").0.window, None);
    assert_eq!(hmac("mode receive-only", "").0.mode, HmacMode::ReceiveOnly);
    let (strict, codes) = hmac("mode permissive", "strict_mode");
    assert_eq!(strict.mode, HmacMode::Enforce);
    assert!(codes.contains(&Code::Cleared), "{codes:?}");
    // The old authentication gives way.
    let (_, codes) = hmac("", "authentication {\nauth_type PASS\nauth_pass abc\n}");
    assert_eq!(codes, [Code::Cleared]);
}
