//! Lifetimes of addresses, as this kernel keeps them.

use crate::namespace::{add, cidr, in_namespace, ip_output, wait_until};
use holdfast::netlink::Lifetime;
use holdfast::netlink::monitor::{Monitor, MonitorEvent};
use holdfast::netlink::route::{Change, Outcome, RouteSocket};
use std::time::{Duration, Instant};

const VIPS: [&str; 2] = ["192.0.2.7/32", "2001:db8:1::7/64"];

fn seconds(valid: u32) -> Lifetime {
    Lifetime { valid, preferred: valid }
}

#[test]
fn a_lease_is_renewed_made_permanent_and_runs_out() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        let ops = VIPS.map(add);
        let each = |route: &mut RouteSocket, change: fn(&_) -> Change<'_>| {
            route.perform(&ops.iter().map(change).collect::<Vec<_>>())
        };
        let done = || [Ok(Outcome::Done), Ok(Outcome::Done)];
        let valid = |route: &mut RouteSocket| -> Vec<Option<Option<u32>>> {
            let listed = route.addresses().unwrap();
            let find = |text: &str| listed.iter().find(|a| a.cidr == cidr(text)).map(|a| a.valid);
            VIPS.map(find).to_vec()
        };
        assert_eq!(each(&mut route, |op| Change::Leased(op, seconds(1000))), done());
        assert!(valid(&mut route).iter().all(|v| matches!(v, Some(Some(990..=1000)))));
        assert_eq!(
            each(&mut route, |op| Change::Leased(op, seconds(5))),
            [Ok(Outcome::WasSo), Ok(Outcome::WasSo)]
        );
        assert!(valid(&mut route).iter().all(|v| matches!(v, Some(Some(990..=1000)))), "left as it is");
        let shown = ip_output("address show dev va");
        assert_eq!(each(&mut route, |op| Change::Renewed(op, seconds(u32::MAX))), done());
        assert_eq!(valid(&mut route), [Some(None), Some(None)], "for ever");
        assert_eq!(each(&mut route, |op| Change::Renewed(op, seconds(1000))), done());
        // All but the lifetimes is as it was.
        let fixed = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.contains("valid_lft")).map(str::to_owned).collect()
        };
        assert_eq!(fixed(&ip_output("address show dev va")), fixed(&shown));
        let started = Instant::now();
        assert_eq!(each(&mut route, |op| Change::Renewed(op, seconds(1))), done());
        wait_until("the kernel takes both back", || (valid(&mut route) == [None, None]).then_some(()));
        println!("a lease of 1 s ended after {:?}", started.elapsed());
        assert!(started.elapsed() > Duration::from_millis(900));
    });
}

#[test]
fn renewing_a_thousand_leases_moves_no_address() {
    in_namespace(|| {
        let mut route = RouteSocket::open().unwrap();
        let names: Vec<String> = (0..1000)
            .map(|n| match n % 2 {
                0 => format!("10.1.{}.{}/24", n / 250, n % 250 + 1),
                _ => format!("2001:db8:{:x}::1/64", n),
            })
            .collect();
        let ops: Vec<_> = names.iter().map(|text| add(text)).collect();
        let leased: Vec<_> = ops.iter().map(|op| Change::Leased(op, seconds(60))).collect();
        assert!(route.perform(&leased).iter().all(|result| *result == Ok(Outcome::Done)));
        let order = |route: &mut RouteSocket| -> Vec<_> {
            route.addresses().unwrap().into_iter().map(|address| address.cidr).collect()
        };
        let before = order(&mut route);
        let mut addresses = Monitor::open().unwrap();
        let started = Instant::now();
        let renewed: Vec<_> = ops.iter().map(|op| Change::Renewed(op, seconds(60))).collect();
        assert!(route.perform(&renewed).iter().all(|result| *result == Ok(Outcome::Done)));
        println!("1000 leases renewed in {:?}", started.elapsed());
        assert_eq!(order(&mut route), before);
        let mut news = Vec::new();
        addresses.read(&mut news).unwrap();
        assert!(news.iter().all(|event| matches!(event, MonitorEvent::AddressAdded(_))), "none was removed");
        assert!(news.len() >= 1000, "each is told once");
    });
}
