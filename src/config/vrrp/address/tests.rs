use crate::config::tests::lowered;
use crate::plan::vrrp::RouterPlan;
use keepalived_compat::Code;

/// The router with these lines in `virtual_ipaddress`.
fn router(lines: &str) -> (RouterPlan, Vec<Code>) {
    let (plans, codes) = lowered(&format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n{lines}\n}}\n}}"
    ));
    (plans.vrrp.routers.into_iter().next().expect("a router"), codes)
}

/// keepalived 2.2.7 advertises each line, and the kernel has what is another address to it: tried.
#[test]
fn an_address_given_twice_is_advertised_twice() {
    let of = |lines: &str| {
        let (plan, codes) = router(lines);
        (plan.addresses.iter().map(|a| a.cidr.to_string()).collect::<Vec<_>>(), codes)
    };
    for apart in ["192.0.2.9/32", "192.0.2.9/24 dev eth1", "192.0.2.9 peer 192.0.2.8"] {
        let (addresses, codes) = of(&format!("192.0.2.9/24\n{apart}"));
        assert_eq!((addresses.len(), codes), (2, vec![]), "{apart}");
    }
    for same in ["192.0.2.9/24", "192.0.2.9/24 dev eth0", "192.0.2.9/24 label eth0:1 scope link"] {
        let (addresses, codes) = of(&format!("192.0.2.9/24\n{same}"));
        assert_eq!(addresses, ["192.0.2.9/24"; 2], "{same}");
        assert_eq!(codes, [Code::AddressTwice], "{same}");
    }
    // An interface has an IPv6 address once.
    let (addresses, codes) = of("2001:db8::9/64\n2001:db8::9/128");
    assert_eq!((addresses, codes), (vec!["2001:db8::9/64".to_owned(); 2], vec![Code::AddressTwice]));
}

/// keepalived 2.2.7 holds all of them, the last ones without a peer: tried.
#[test]
fn a_peer_goes_with_a_host_prefix_and_no_broadcast_address() {
    for (line, cidr, peer, said) in [
        ("192.0.2.9 peer 192.0.2.8", "192.0.2.9/32", Some("192.0.2.8"), vec![]),
        ("192.0.2.9/32 peer 192.0.2.8", "192.0.2.9/32", Some("192.0.2.8"), vec![]),
        ("192.0.2.9/24 peer 192.0.2.8", "192.0.2.9/32", Some("192.0.2.8"), vec![Code::Adjusted]),
        ("192.0.2.9 brd + peer 192.0.2.8", "192.0.2.9/32", Some("192.0.2.8"), vec![Code::Adjusted]),
        ("192.0.2.9 peer 192.0.2.8 brd +", "192.0.2.9/32", Some("192.0.2.8"), vec![Code::Adjusted]),
        ("192.0.2.9/24 peer 192.0.2.8/24", "192.0.2.9/24", None, vec![Code::BadValue]),
        ("192.0.2.9/24 peer nobody", "192.0.2.9/24", None, vec![Code::BadValue]),
        ("192.0.2.9 peer 2001:db8::8", "192.0.2.9/32", None, vec![Code::BadValue]),
    ] {
        let (plan, codes) = router(line);
        let [address] = plan.addresses.as_slice() else { panic!("{line}: {:?}", plan.addresses) };
        assert_eq!(address.cidr.to_string(), cidr, "{line}");
        assert_eq!(address.options.peer.map(|peer| peer.to_string()).as_deref(), peer, "{line}");
        assert_eq!((address.broadcast, codes), (None, said), "{line}");
    }
}
