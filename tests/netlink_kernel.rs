//! The doors to the kernel, against a real kernel: each test in a network namespace of its own, on a thread of its
//! own. Needs root; without it each test says so and does nothing.

use holdfast::net::{AddressFamily, IpCidr};
use holdfast::netlink::facts::{InterfaceTable, Next};
use holdfast::netlink::monitor::{Monitor, MonitorEvent};
use holdfast::netlink::route::RouteSocket;
use holdfast::sys::packet_socket::PacketSocket;
use holdfast::sys::vrrp_socket::{Buffers, Outgoing, VrrpSocket};
use holdfast::vrrp::{AddressOp, Event};
use nix::sched::{CloneFlags, unshare};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far more than any of this takes; a test that waits so long has failed.
const LIMIT: Duration = Duration::from_secs(20);

/// Run `test` in a fresh network namespace with `lo` up, and a veth pair va (index 10), vb (index 11), both up.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes network namespaces, which needs root");
        return;
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        ip("link set lo up");
        ip("link add va index 10 type veth peer name vb index 11");
        ip("link set va up");
        ip("link set vb up");
        receive_from_own_addresses("vb");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Both ends are on this machine: without this the kernel takes its own address as the source for a forgery.
fn receive_from_own_addresses(interface: &str) {
    for (interface, name, value) in
        [(interface, "accept_local", "1"), (interface, "rp_filter", "0"), ("all", "rp_filter", "0")]
    {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/{name}"), value).expect("sysctl of IPv4");
    }
}

/// The `ip` program, in the calling thread's namespace: somebody else who changes things.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {text}");
}

fn ip_output(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn cidr(text: &str) -> IpCidr {
    let (address, prefix) = text.split_once('/').expect("address/prefix");
    IpCidr::new(address.parse().expect("address"), prefix.parse().expect("prefix")).expect("fits")
}

fn add(text: &str) -> AddressOp {
    AddressOp::Add { interface: 10, cidr: cidr(text), label: None, scope: None, broadcast: None }
}

fn remove(text: &str) -> AddressOp {
    AddressOp::Remove { interface: 10, cidr: cidr(text) }
}

fn wait_until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(value) = ready() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{what}: not within {LIMIT:?}");
}

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
        let labelled = AddressOp::Add {
            interface: 10,
            cidr: cidr("192.0.2.1/24"),
            label: Some("va:vip".into()),
            scope: Some(253),
            broadcast: Some([192, 0, 2, 255].into()),
        };
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
        let nowhere = AddressOp::Add {
            interface: 99,
            cidr: cidr("192.0.2.1/24"),
            label: None,
            scope: None,
            broadcast: None,
        };
        let gone = AddressOp::Remove { interface: 99, cidr: cidr("192.0.2.1/24") };
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

/// Read and fold until `done` says so; everything told on the way.
fn follow(monitor: &mut Monitor, table: &mut InterfaceTable, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut told = Vec::new();
    wait_until("announcements", || {
        let mut events = Vec::new();
        monitor.read(&mut events).unwrap();
        assert_eq!(table.handle(events, &mut told), Next::Continue);
        done(&told).then_some(())
    });
    told
}

fn synchronised() -> (RouteSocket, Monitor, InterfaceTable) {
    let mut route = RouteSocket::open().unwrap();
    let monitor = Monitor::open().unwrap();
    let mut table = InterfaceTable::new();
    let links = route.links().unwrap();
    table.resync(links, route.addresses().unwrap(), &mut Vec::new());
    (route, monitor, table)
}

#[test]
fn an_address_deleted_by_another_is_announced() {
    in_namespace(|| {
        let (mut route, mut monitor, mut table) = synchronised();
        route.apply(&[add("192.0.2.1/24")])[0].as_ref().unwrap();
        follow(&mut monitor, &mut table, |told| {
            told.iter().any(|event| matches!(event, Event::Interface(facts) if facts.index == 10 && facts.ipv4.len() == 1))
        });
        ip("address del 192.0.2.1/24 dev va");
        let lost = Event::AddressRemoved { index: 10, cidr: cidr("192.0.2.1/24") };
        follow(&mut monitor, &mut table, |told| told.contains(&lost));
        assert_eq!(table.facts(10).map(|facts| facts.ipv4), Some(vec![]));
        assert_eq!(monitor.counters(), Default::default());
    });
}

#[test]
fn carrier_rename_and_removal_are_announced() {
    in_namespace(|| {
        let (_, mut monitor, mut table) = synchronised();
        let up = |told: &[Event], wanted| {
            told.iter().any(
                |event| matches!(event, Event::Interface(facts) if facts.index == 10 && facts.up == wanted),
            )
        };
        ip("link set vb down");
        follow(&mut monitor, &mut table, |told| up(told, false));
        ip("link set vb up");
        follow(&mut monitor, &mut table, |told| up(told, true));
        ip("link set va down");
        ip("link set va name renamed");
        follow(&mut monitor, &mut table, |told| {
            told.iter().any(|event| matches!(event, Event::Interface(facts) if facts.name == "renamed"))
        });
        assert_eq!(table.link("renamed").map(|link| link.index), Some(10));
        ip("link del vb");
        follow(&mut monitor, &mut table, |told| told.contains(&Event::InterfaceGone { index: 10 }));
    });
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_gone() {
    in_namespace(|| {
        ip("link add br0 index 12 type bridge");
        ip("link set va master br0");
        let (_, mut monitor, mut table) = synchronised();
        ip("link set va nomaster");
        ip("link set va mtu 1400");
        let told = follow(&mut monitor, &mut table, |told| {
            told.iter().any(|event| matches!(event, Event::Interface(facts) if facts.mtu == 1400))
        });
        assert!(!told.iter().any(|event| matches!(event, Event::InterfaceGone { .. })), "{told:?}");
    });
}

#[test]
fn the_order_of_addresses_follows_the_kernels() {
    in_namespace(|| {
        let (mut route, mut monitor, mut table) = synchronised();
        std::fs::write("/proc/sys/net/ipv4/conf/va/promote_secondaries", "1").unwrap();
        for command in [
            "address add 10.0.0.1/8 dev va",
            "address add 10.0.0.2/8 dev va",
            "address add 10.0.0.3/8 dev va",
            "address add 192.0.2.1/24 dev va",
            "address add 169.254.1.1/16 scope link dev va",
            "address add 203.0.113.1/24 dev va",
            "address del 10.0.0.1/8 dev va",
            "address add fe80::1/64 dev va nodad",
            "address add fe80::2/64 dev va nodad",
        ] {
            ip(command);
        }
        let mut fresh = InterfaceTable::new();
        let links = route.links().unwrap();
        fresh.resync(links, route.addresses().unwrap(), &mut Vec::new());
        let mut events = Vec::new();
        wait_until("the announced table equals the dumped one", || {
            monitor.read(&mut events).unwrap();
            let _ = table.handle(events.drain(..), &mut Vec::new());
            let links = route.links().unwrap();
            fresh.resync(links, route.addresses().unwrap(), &mut Vec::new());
            (table.facts(10) == fresh.facts(10) && table.facts(10)?.ipv4.len() == 5).then_some(())
        });
    });
}

#[test]
fn an_overrun_is_noticed_and_a_dump_finds_what_was_lost() {
    in_namespace(|| {
        let (mut route, _, mut table) = synchronised();
        let mut monitor = Monitor::with_receive_buffer(1).unwrap();
        let addresses: Vec<String> = (1..=200).map(|n| format!("192.0.2.{n}/32")).collect();
        assert!(
            route
                .apply(&addresses.iter().map(|text| add(text)).collect::<Vec<_>>())
                .iter()
                .all(Result::is_ok)
        );
        let links = route.links().unwrap();
        table.resync(links, route.addresses().unwrap(), &mut Vec::new());
        assert!(
            route
                .apply(&addresses.iter().map(|text| remove(text)).collect::<Vec<_>>())
                .iter()
                .all(Result::is_ok)
        );

        let mut events = Vec::new();
        monitor.read(&mut events).unwrap();
        assert_eq!(events.last(), Some(&MonitorEvent::Overrun), "after all that was queued");
        assert_eq!(monitor.counters().overruns, 1);
        let mut told = Vec::new();
        assert_eq!(table.handle(events, &mut told), Next::Dump);
        let links = route.links().unwrap();
        table.resync(links, route.addresses().unwrap(), &mut told);
        for text in &addresses {
            assert!(told.contains(&Event::AddressRemoved { index: 10, cidr: cidr(text) }), "{text}");
        }
        assert_eq!(table.facts(10).map(|facts| facts.ipv4), Some(vec![]));
    });
}

/// A received packet, owned.
type Packet = (IpAddr, IpAddr, u8, Vec<u8>);

fn receive(socket: &VrrpSocket, count: usize) -> Vec<Packet> {
    let mut buffers = Buffers::new();
    let mut packets = Vec::new();
    wait_until("packets", || {
        while socket.receive_batch(&mut buffers).unwrap() > 0 {
            packets.extend(buffers.packets().map(|packet| {
                let packet = packet.expect("well formed");
                (packet.source, packet.destination, packet.hop_limit, packet.bytes.to_vec())
            }));
        }
        (packets.len() >= count).then_some(())
    });
    packets
}

fn exchange(family: AddressFamily, here: &str) {
    let here: IpAddr = here.parse().unwrap();
    let group = family.vrrp_group();
    let a = VrrpSocket::open(10, "va", family).unwrap();
    let b = VrrpSocket::open(11, "vb", family).unwrap();
    for socket in [&a, &b] {
        socket.join(group).unwrap();
        socket.join(group).unwrap();
    }
    a.send(here, group, b"to the group").unwrap();
    assert_eq!(receive(&b, 1), [(here, group, 255, b"to the group".to_vec())]);

    let many: Vec<Vec<u8>> = (0..1000u32).map(|n| n.to_be_bytes().repeat(5)).collect();
    let batch: Vec<_> =
        many.iter().map(|bytes| Outgoing { source: here, destination: group, bytes }).collect();
    let started = Instant::now();
    assert!(a.send_batch(&batch).is_empty());
    let sent = started.elapsed();
    let received = receive(&b, many.len());
    println!("{family}: 1000 messages sent in {sent:?}, received after {:?}", started.elapsed());
    assert!(received.iter().map(|packet| &packet.3).eq(&many), "all, in order, unaltered");

    let mut buffers = Buffers::new();
    assert_eq!(a.receive_batch(&mut buffers).unwrap(), 0, "nobody hears himself");
    assert_eq!(buffers.packets().count(), 0);

    let wrong: IpAddr = if family == AddressFamily::V4 { [0u16; 8].into() } else { [0; 4].into() };
    let last = [
        Outgoing { source: wrong, destination: group, bytes: b"x" },
        Outgoing { source: here, destination: group, bytes: b"y" },
    ];
    let failures = a.send_batch(&last);
    assert!(matches!(&failures[..], [(0, error)] if error.kind() == std::io::ErrorKind::InvalidInput));
    assert_eq!(receive(&b, 1).len(), 1, "the other one went out");
}

/// A source that is nobody's, as keepalived's mcast_src_ip allows.
fn hidden_source(family: AddressFamily, nobody: &str) {
    let nobody: IpAddr = nobody.parse().unwrap();
    let a = VrrpSocket::open(10, "va", family).unwrap();
    let b = VrrpSocket::open(11, "vb", family).unwrap();
    b.join(family.vrrp_group()).unwrap();
    a.send(nobody, family.vrrp_group(), b"hidden").unwrap();
    assert_eq!(receive(&b, 1), [(nobody, family.vrrp_group(), 255, b"hidden".to_vec())]);
}

#[test]
fn ipv4_advertisements_cross_a_link() {
    in_namespace(|| {
        ip("address add 10.0.0.1/24 dev va");
        ip("address add 10.0.0.3/24 dev va");
        exchange(AddressFamily::V4, "10.0.0.3");
        hidden_source(AddressFamily::V4, "203.0.113.5");
    });
}

#[test]
fn ipv6_advertisements_cross_a_link() {
    in_namespace(|| {
        ip("address add fe80::a/64 dev va nodad");
        ip("address add fe80::c/64 dev va nodad");
        exchange(AddressFamily::V6, "fe80::c");
        hidden_source(AddressFamily::V6, "fe80::dead");
    });
}

/// Two namespaces, so that unicast takes the wire: b goes to another thread's namespace.
#[test]
fn unicast_reaches_the_peer_with_ttl_255_in_both_families() {
    in_namespace(|| {
        ip("address add 10.0.0.1/24 dev va");
        ip("address add 2001:db8::1/64 dev va nodad");
        let (ready, wait_ready) = std::sync::mpsc::channel();
        let (moved, wait_moved) = std::sync::mpsc::channel();
        let peer = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ready.send(nix::unistd::gettid()).unwrap();
            let () = wait_moved.recv().unwrap();
            ip("link set vb up");
            ip("address add 10.0.0.2/24 dev vb");
            ip("address add 2001:db8::2/64 dev vb nodad");
            let sockets = [AddressFamily::V4, AddressFamily::V6]
                .map(|family| VrrpSocket::open(11, "vb", family).unwrap());
            ready.send(nix::unistd::gettid()).unwrap();
            sockets.map(|socket| receive(&socket, 1))
        });
        let tid = wait_ready.recv().unwrap();
        ip(&format!("link set vb netns /proc/{}/task/{tid}/ns/net", std::process::id()));
        moved.send(()).unwrap();
        wait_ready.recv().unwrap();
        for (family, here, there) in
            [(AddressFamily::V4, "10.0.0.1", "10.0.0.2"), (AddressFamily::V6, "2001:db8::1", "2001:db8::2")]
        {
            let a = VrrpSocket::open(10, "va", family).unwrap();
            a.send(here.parse().unwrap(), there.parse().unwrap(), b"unicast").unwrap();
        }
        let [v4, v6] = peer.join().unwrap();
        let expected = |here: &str, there: &str| {
            (here.parse().unwrap(), there.parse().unwrap(), 255, b"unicast".to_vec())
        };
        assert_eq!(v4, [expected("10.0.0.1", "10.0.0.2")]);
        assert_eq!(v6, [expected("2001:db8::1", "2001:db8::2")]);
    });
}

#[test]
fn a_socket_hears_its_own_interface_only_and_groups_it_joined() {
    in_namespace(|| {
        ip("address add 10.0.0.1/24 dev va");
        ip("link add vc index 20 type veth peer name vd index 21");
        ip("link set vc up");
        ip("link set vd up");
        receive_from_own_addresses("vd");
        ip("address add 10.0.1.1/24 dev vc");
        let v4 = AddressFamily::V4;
        let (a, b) = (VrrpSocket::open(10, "va", v4).unwrap(), VrrpSocket::open(11, "vb", v4).unwrap());
        let (c, d) = (VrrpSocket::open(20, "vc", v4).unwrap(), VrrpSocket::open(21, "vd", v4).unwrap());
        let other: IpAddr = [224, 0, 0, 99].into();
        b.join(v4.vrrp_group()).unwrap();
        d.join(v4.vrrp_group()).unwrap();
        d.join(other).unwrap();
        // Somebody on the machine joined the other group on b: the interface delivers it, the socket must not.
        let eavesdropper = VrrpSocket::open(11, "vb", v4).unwrap();
        eavesdropper.join(other).unwrap();
        a.send([10, 0, 0, 1].into(), other, b"1").unwrap();
        a.send([10, 0, 0, 1].into(), v4.vrrp_group(), b"2").unwrap();
        c.send([10, 0, 1, 1].into(), v4.vrrp_group(), b"3").unwrap();
        assert_eq!(receive(&eavesdropper, 1)[0].3, b"1");
        assert_eq!(receive(&b, 1).iter().map(|packet| &packet.3[..]).collect::<Vec<_>>(), [b"2"]);
        assert_eq!(receive(&d, 1).iter().map(|packet| &packet.3[..]).collect::<Vec<_>>(), [b"3"]);
    });
}

#[test]
fn whole_frames_reach_the_other_end() {
    in_namespace(|| {
        let listener = socket2::Socket::new(
            socket2::Domain::PACKET,
            socket2::Type::RAW,
            Some((0x0806u16.to_be() as i32).into()),
        )
        .unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 10, 0x08, 0x06]);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 10, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
        let socket = PacketSocket::open().unwrap();
        let batch: Vec<_> = (0..200).map(|_| (10, &frame[..])).collect();
        assert!(socket.send_batch(&batch).is_empty());
        socket.send(10, &frame).unwrap();
        let mut seen = 0;
        wait_until("frames at b", || {
            let mut buffer = [0u8; 2048];
            while let Ok((length, from)) = nix::sys::socket::recvfrom::<nix::sys::socket::LinkAddr>(
                std::os::fd::AsRawFd::as_raw_fd(&listener.as_fd()),
                &mut buffer,
            ) {
                if from.is_some_and(|from| from.ifindex() == 11) {
                    assert_eq!(buffer[..length], frame);
                    seen += 1;
                }
            }
            (seen == 201).then_some(())
        });
        let failures = socket.send_batch(&[(99, &frame), (10, &frame), (10, &frame[..13])]);
        let positions: Vec<_> = failures.iter().map(|(position, _)| *position).collect();
        assert_eq!(positions.len(), 2);
        assert!(positions.contains(&0) && positions.contains(&2), "{failures:?}");
        ip("link set va down");
        assert_eq!(socket.send(10, &frame).unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
    });
}
