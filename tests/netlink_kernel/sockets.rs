//! Advertisements and announcements over a veth pair.

use crate::namespace::{in_namespace, ip, receive_from_own_addresses, wait_for_carrier, wait_until};
use holdfast::net::AddressFamily;
use holdfast::netlink::ipvs::Ipvs;
use holdfast::netlink::monitor::Monitor;
use holdfast::netlink::route::RouteSocket;
use holdfast::sys::packet_socket::PacketSocket;
use holdfast::sys::poll::{Poller, Waker};
use holdfast::sys::timer::Timer;
use holdfast::sys::vrrp_socket::{Buffers, Outgoing, VrrpSocket};
use nix::sched::{CloneFlags, unshare};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::Instant;

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
    let batch: Vec<_> = many
        .iter()
        .map(|bytes| Outgoing { source: here, destination: group, hop_limit: 255, bytes })
        .collect();
    let started = Instant::now();
    assert!(a.send_batch(&batch).is_empty());
    let sent = started.elapsed();
    let received = receive(&b, many.len());
    println!("{family}: 1000 messages sent in {sent:?}, received after {:?}", started.elapsed());
    assert!(received.iter().map(|packet| &packet.3).eq(&many), "all, in order, unaltered");

    let mut buffers = Buffers::new();
    assert_eq!(a.receive_batch(&mut buffers).unwrap(), 0, "nobody hears himself");
    assert_eq!(buffers.packets().count(), 0);

    // 255 IPv6 addresses: larger than the MTU, sent in fragments and put together again.
    let large = vec![7; 8 + 255 * 16];
    a.send(here, group, &large).unwrap();
    assert_eq!(receive(&b, 1), [(here, group, 255, large)]);

    let wrong: IpAddr = if family == AddressFamily::V4 { [0u16; 8].into() } else { [0; 4].into() };
    let last = [
        Outgoing { source: wrong, destination: group, hop_limit: 255, bytes: b"x" },
        Outgoing { source: here, destination: group, hop_limit: 255, bytes: b"y" },
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

/// Everything that arrives at interface 11 with this EtherType, from the destination MAC on.
fn listen(ethertype: u16) -> socket2::Socket {
    let protocol = i32::from(ethertype.to_be()).into();
    let socket = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, Some(protocol))
        .expect("packet socket");
    socket.set_nonblocking(true).expect("non-blocking");
    socket
}

/// The next frame that came in through interface 11.
fn next_frame(socket: &socket2::Socket) -> Option<Vec<u8>> {
    let mut buffer = [0u8; 2048];
    loop {
        let (length, from) =
            nix::sys::socket::recvfrom::<nix::sys::socket::LinkAddr>(socket.as_raw_fd(), &mut buffer).ok()?;
        if from.is_some_and(|from| from.ifindex() == 11) {
            return Some(buffer[..length].to_vec());
        }
    }
}

#[test]
fn the_headers_on_the_wire_are_vrrps() {
    in_namespace(|| {
        ip("address add 10.0.0.1/24 dev va");
        ip("address add fe80::a/64 dev va nodad");
        let wire = listen(0x0800);
        let a = VrrpSocket::open(10, "va", AddressFamily::V4).unwrap();
        a.send([10, 0, 0, 1].into(), AddressFamily::V4.vrrp_group(), b"bytes").unwrap();
        let frame = wait_until("an IPv4 frame", || next_frame(&wire).filter(|frame| frame[14 + 9] == 112));
        assert_eq!(frame[..6], [0x01, 0, 0x5e, 0, 0, 0x12], "the group's MAC");
        let header = &frame[14..34];
        assert_eq!((header[0], header[1], header[8]), (0x45, 0xc0, 255), "no options, TOS, TTL");
        assert_eq!(header[6] & 0x40, 0, "may be fragmented");
        assert_eq!(header[12..20], [10, 0, 0, 1, 224, 0, 0, 18]);
        assert_eq!(frame[34..39], *b"bytes");

        let wire = listen(0x86dd);
        let a = VrrpSocket::open(10, "va", AddressFamily::V6).unwrap();
        a.send("fe80::a".parse().unwrap(), AddressFamily::V6.vrrp_group(), b"bytes").unwrap();
        let frame = wait_until("an IPv6 frame", || next_frame(&wire).filter(|frame| frame[14 + 6] == 112));
        assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 0x12], "the group's MAC");
        assert_eq!(
            (frame[14], frame[15] & 0xf0, frame[14 + 7]),
            (0x6c, 0, 255),
            "traffic class 0xc0, hop limit"
        );
        assert_eq!(frame[54..59], *b"bytes", "the kernel put no checksum in");
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
            wait_for_carrier(&["vb"]);
            let sockets = [AddressFamily::V4, AddressFamily::V6]
                .map(|family| VrrpSocket::open(11, "vb", family).unwrap());
            ready.send(nix::unistd::gettid()).unwrap();
            sockets.map(|socket| receive(&socket, 1))
        });
        let tid = wait_ready.recv().unwrap();
        ip(&format!("link set vb netns /proc/{}/task/{tid}/ns/net", std::process::id()));
        moved.send(()).unwrap();
        wait_ready.recv().unwrap();
        wait_for_carrier(&["va"]);
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
        wait_for_carrier(&["vc", "vd"]);
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
        let listener = listen(0x0806);
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 10, 0x08, 0x06]);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 10, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
        let socket = PacketSocket::open().unwrap();
        let batch: Vec<_> = (0..200).map(|_| (10, &frame[..])).collect();
        assert!(socket.send_batch(&batch).is_empty());
        socket.send(10, &frame).unwrap();
        let mut seen = 0;
        wait_until("frames at b", || {
            while let Some(arrived) = next_frame(&listener) {
                assert_eq!(arrived, frame);
                seen += 1;
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

/// The descriptors, standard ones aside, that a program would inherit: those without O_CLOEXEC in their flags.
fn inheritable_descriptors() -> std::io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        // Gone again: the descriptor that read this folder.
        let Ok(info) = std::fs::read_to_string(entry.path()) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim).unwrap_or("0");
        let flags = i32::from_str_radix(flags, 8).unwrap_or(0);
        found.extend(number.filter(|number| *number > 2 && flags & libc::O_CLOEXEC == 0));
    }
    found.sort_unstable();
    Ok(found)
}

#[test]
fn no_program_that_is_started_inherits_a_door() {
    in_namespace(|| {
        let before = inheritable_descriptors().unwrap();
        let doors = (
            VrrpSocket::open(10, "va", AddressFamily::V4).unwrap(),
            VrrpSocket::open(10, "va", AddressFamily::V6).unwrap(),
            PacketSocket::open().unwrap(),
            (Timer::new().unwrap(), Waker::new().unwrap(), Poller::new().unwrap()),
            (RouteSocket::open().unwrap(), Monitor::open().unwrap(), Ipvs::open().ok()),
        );
        assert_eq!(inheritable_descriptors().unwrap(), before);
        drop(doors);
    });
}
