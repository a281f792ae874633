//! Links and addresses on request.

use crate::namespace::{add, cidr, in_namespace, ip, ip_output, remove, wait_until};
use holdfast::netlink::route::RouteSocket;
use holdfast::plan::vrrp::VirtualAddress;
use holdfast::vrrp::AddressOp;
use std::time::{Duration, Instant};

#[test]
fn links_are_listed_with_their_state() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        ip("link set va mtu 1400 address 02:00:00:00:00:0a");
        let links = route.links().unwrap();
        let a = links.iter().find(|link| link.name == "va").unwrap();
        assert_eq!((a.index, a.mtu, a.kind.as_deref()), (10, 1400, Some("veth")));
        assert_eq!(a.mac.to_string(), "02:00:00:00:00:0a");
        assert!(a.up && a.running);
        assert!(links.iter().any(|link| link.name == "lo" && link.up));
        route.set_up(11, false).unwrap();
        // The kernel tells of carrier a little later (linkwatch).
        let links = wait_until("va without carrier", || {
            let links = route.links().unwrap();
            links.iter().any(|link| link.name == "va" && link.up && !link.running).then_some(links)
        });
        assert!(links.iter().any(|link| link.name == "vb" && !link.up));
        let error = route.set_up(99, true).unwrap_err();
        assert_eq!(error.errno, libc::ENODEV);
    });
}

#[test]
fn virtual_addresses_come_and_go_and_repeating_it_is_a_success() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        let labelled = AddressOp::add(
            10,
            &VirtualAddress {
                label: Some("va:vip".into()),
                scope: Some(253),
                broadcast: Some([192, 0, 2, 255].into()),
                ..VirtualAddress::new(cidr("192.0.2.1/24"))
            },
        );
        let ops = [labelled, add("192.0.2.7/32"), add("2001:db8::7/128"), add("2001:db8:1::7/64")];
        assert_eq!(route.apply(&ops), [Ok(()), Ok(()), Ok(()), Ok(())]);
        assert_eq!(route.apply(&ops), [Ok(()), Ok(()), Ok(()), Ok(())], "already there");
        let shown = ip_output("address show dev va");
        for line in [
            "inet 192.0.2.1/24 brd 192.0.2.255 scope link va:vip",
            "inet 192.0.2.7/32 scope global va",
            "inet6 2001:db8::7/128 scope global nodad deprecated",
            "inet6 2001:db8:1::7/64 scope global nodad",
        ] {
            assert!(shown.contains(line), "{line} not in {shown}");
        }
        assert!(shown.contains("preferred_lft 0sec"), "{shown}");
        let listed = route.addresses().unwrap();
        let vip = listed.iter().find(|address| address.cidr == cidr("192.0.2.1/24")).unwrap();
        assert_eq!((vip.interface, vip.scope, vip.label.as_deref()), (10, 253, Some("va:vip")));
        assert_eq!(vip.protocol, Some(18));
        assert!(listed.iter().any(|address| address.cidr == cidr("2001:db8::7/128") && address.is_usable()));

        let ops: Vec<_> =
            ["192.0.2.1/24", "192.0.2.7/32", "2001:db8::7/128", "2001:db8:1::7/64"].map(remove).into();
        assert!(route.apply(&ops).iter().all(Result::is_ok));
        assert!(route.apply(&ops).iter().all(Result::is_ok), "not there any more");
        let shown = ip_output("address show dev va");
        assert!(!shown.contains("192.0.2.") && !shown.contains("2001:db8"), "{shown}");
    });
}

#[test]
fn one_refused_address_does_not_stop_the_others_and_says_why() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        let nowhere = AddressOp::add(99, &VirtualAddress::new(cidr("192.0.2.1/24")));
        let gone = AddressOp::remove(99, &VirtualAddress::new(cidr("192.0.2.1/24")));
        let results = route.apply(&[add("192.0.2.1/24"), nowhere, gone, add("192.0.2.2/24")]);
        let error = results[1].as_ref().unwrap_err();
        assert_eq!(error.errno, libc::ENODEV);
        assert!(error.message.to_lowercase().contains("device"), "{error:?}");
        assert!([0, 2, 3].iter().all(|n| results[*n].is_ok()), "{results:?}");
        assert_eq!(
            route
                .addresses()
                .unwrap()
                .iter()
                .filter(|address| address.interface == 10 && address.cidr.address().is_ipv4())
                .count(),
            2
        );
    });
}

#[test]
fn thousands_of_addresses_go_in_batches_and_come_back_in_a_dump() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        let all: Vec<String> = (0..3000).map(|n| format!("10.{}.{}.1/32", n / 250, n % 250)).collect();
        let started = Instant::now();
        let results = route.apply(&all.iter().map(|text| add(text)).collect::<Vec<_>>());
        println!("3000 addresses added in {:?}", started.elapsed());
        assert_eq!(results.len(), 3000);
        assert!(results.iter().all(Result::is_ok));
        let started = Instant::now();
        assert_eq!(
            route
                .addresses()
                .unwrap()
                .iter()
                .filter(|address| address.interface == 10 && address.cidr.prefix() == 32)
                .count(),
            3000
        );
        println!("dumped in {:?}", started.elapsed());
        assert!(
            route.apply(&all.iter().map(|text| remove(text)).collect::<Vec<_>>()).iter().all(Result::is_ok)
        );
    });
}

#[test]
fn a_dump_under_change_is_whole() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        let stable: Vec<AddressOp> =
            (0..1000).map(|n| add(&format!("10.0.{}.{}/32", n / 250, n % 250))).collect();
        assert!(route.apply(&stable).iter().all(Result::is_ok));
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let changer = std::thread::spawn(move || {
            let mut route = RouteSocket::open().unwrap();
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(
                    route.apply(&[add("192.0.2.1/32"), remove("192.0.2.1/32")]).iter().all(Result::is_ok)
                );
                // The pauses between tries must find a quiet moment.
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        for _ in 0..50 {
            let mut found: Vec<_> = route.addresses().unwrap().iter().map(|address| address.cidr).collect();
            found.retain(|cidr| cidr.to_string().starts_with("10.0."));
            let count = found.len();
            found.sort_unstable();
            found.dedup();
            assert_eq!((count, found.len()), (1000, 1000), "none missing, none twice");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        changer.join().unwrap();
    });
}
