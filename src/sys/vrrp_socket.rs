//! Raw sockets of IP protocol 112: one per interface and family, for receiving and for sending.

pub use super::mmsg::BATCH;
use super::mmsg::{self, Datagram, Message, NAME_ROOM, Slots, Small};
use super::option::{grow_receive_buffer, grow_send_buffer, set};
use crate::net::AddressFamily;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

//= RFC9568 5.1.1.4 M-04
//= RFC9568 5.1.2.4 M-08
/// VRRP's IP protocol number.
const PROTOCOL: libc::c_int = 112;

/// That of the authentication header (RFC 2402).
const SEALED_PROTOCOL: libc::c_int = 51;

//= RFC9568 5.1.1.3 M-03
//= RFC9568 5.1.2.3 M-07
/// TTL and hop limit of every advertisement that does not ask for another.
const HOP_LIMIT: u8 = 255;

/// Internetwork control, as keepalived marks its advertisements.
//= keepalived M-105
const TRAFFIC_CLASS: libc::c_int = 0xc0;

/// The highest queueing priority that needs no capability; set after the traffic class, which would overwrite it.
const QUEUE_PRIORITY: libc::c_int = 6;

/// Thousands of advertisements may arrive while the process is not scheduled.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A burst of a thousand routers becoming Master at once.
const SEND_BUFFER: usize = 2 << 20;

/// The largest datagram kept: an IPv4 header with options (60), the VRRP header (8), 255 IPv6 addresses (4080) and
/// VRRPv2's authentication data (8) fit. Anything larger cannot be VRRP.
const LARGEST: usize = 4352;

/// Batches thrown away while opening: what came in from other interfaces before the socket was bound to its own.
const MAX_DRAINED_BATCHES: usize = 64;

/// Missing from libc for glibc: Linux 4.20's IPV6_MULTICAST_ALL.
const IPV6_MULTICAST_ALL: libc::c_int = 29;

/// A socket for one interface and one family. Non-blocking.
///
/// The kernel never gives back what this socket sends (multicast loopback is off), and delivers only groups that
/// were joined here.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    interface: u32,
    family: AddressFamily,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Source address, not necessarily this machine's.
    pub source: IpAddr,
    /// Group or peer.
    pub destination: IpAddr,
    /// TTL or hop limit. 255, except where a unicast instance asks for another.
    pub hop_limit: u8,
    /// The VRRP message with its checksum, without an IP header.
    pub bytes: &'a [u8],
}

/// A received packet; borrowed from [`Buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Group or own address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The VRRP message, without the IP header.
    pub bytes: &'a [u8],
}

/// Memory for one batch of received packets; one serves any number of sockets in turn.
pub struct Buffers {
    slots: Slots,
    family: AddressFamily,
}

impl VrrpSocket {
    /// Open for the interface `index` called `name`. Needs CAP_NET_RAW. ENODEV if there is no such interface,
    /// EAFNOSUPPORT if the kernel has no IPv6.
    pub fn open(index: u32, name: &str, family: AddressFamily) -> io::Result<VrrpSocket> {
        VrrpSocket::open_protocol(index, name, family, PROTOCOL)
    }

    /// Open for VRRP behind an authentication header, which exists with IPv4 only: whole packets go out by
    /// [`VrrpSocket::send_packets`] and come in by [`Buffers::whole_packets`].
    pub fn open_sealed(index: u32, name: &str) -> io::Result<VrrpSocket> {
        let opened = VrrpSocket::open_protocol(index, name, AddressFamily::V4, SEALED_PROTOCOL)?;
        set(&opened.socket, libc::IPPROTO_IP, libc::IP_HDRINCL, &1)?;
        Ok(opened)
    }

    fn open_protocol(
        index: u32,
        name: &str,
        family: AddressFamily,
        protocol: libc::c_int,
    ) -> io::Result<VrrpSocket> {
        let domain = match family {
            AddressFamily::V4 => Domain::IPV4,
            AddressFamily::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.set_nonblocking(true)?;
        grow_receive_buffer(&socket, RECEIVE_BUFFER);
        grow_send_buffer(&socket, SEND_BUFFER);
        let opened = VrrpSocket { socket, interface: index, family };
        match family {
            AddressFamily::V4 => opened.set_up_v4()?,
            AddressFamily::V6 => opened.set_up_v6()?,
        }
        set(&opened.socket, libc::SOL_SOCKET, libc::SO_PRIORITY, &QUEUE_PRIORITY)?;
        opened.drain()?;
        Ok(opened)
    }

    /// Receive what is sent to `group` on this interface. Joining twice is fine.
    pub fn join(&self, group: IpAddr) -> io::Result<()> {
        let result = match (self.family, group) {
            (AddressFamily::V4, IpAddr::V4(group)) => {
                let request = self.mreqn(group);
                set(&self.socket, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)
            }
            (AddressFamily::V6, IpAddr::V6(group)) => {
                let request = libc::ipv6_mreq {
                    ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
                    ipv6mr_interface: self.interface as libc::c_uint,
                };
                set(&self.socket, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)
            }
            _ => Err(other_family()),
        };
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => Ok(()),
            result => result,
        }
    }

    /// Send one message from `source` to `destination`, with hop limit 255.
    pub fn send(&self, source: IpAddr, destination: IpAddr, bytes: &[u8]) -> io::Result<()> {
        match self.send_batch(&[Outgoing { source, destination, hop_limit: HOP_LIMIT, bytes }]).pop() {
            None => Ok(()),
            Some((_, error)) => Err(error),
        }
    }

    /// Send messages in order, 64 per system call. Returns the positions of those that failed, with the reason; the
    /// others are sent. WouldBlock means the send queue is full: nothing after that position was tried.
    pub fn send_batch(&self, messages: &[Outgoing<'_>]) -> Vec<(usize, io::Error)> {
        mmsg::send_many(&self.socket, messages, |message| self.encode(message))
    }

    /// As [`VrrpSocket::send_batch`], for whole IPv4 packets and where they go, on a socket that was opened for them.
    pub fn send_packets(&self, packets: &[(Ipv4Addr, &[u8])]) -> Vec<(usize, io::Error)> {
        mmsg::send_many(&self.socket, packets, |(destination, packet)| {
            Ok(Message { name: name_v4(*destination), control: Small::EMPTY, payload: packet })
        })
    }

    /// Receive up to 64 packets. Returns how many the kernel gave, 0 when there are none; malformed ones are among
    /// that number, so call again until it is 0 (or leave the rest to the next wake-up).
    pub fn receive_batch(&self, buffers: &mut Buffers) -> io::Result<usize> {
        buffers.family = self.family;
        buffers.slots.receive(&self.socket)
    }

    /// Index of the interface.
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// The family.
    pub fn family(&self) -> AddressFamily {
        self.family
    }

    fn set_up_v4(&self) -> io::Result<()> {
        let integers = [
            (libc::IP_TTL, libc::c_int::from(HOP_LIMIT)),
            (libc::IP_MULTICAST_TTL, libc::c_int::from(HOP_LIMIT)),
            (libc::IP_TOS, TRAFFIC_CLASS),
            (libc::IP_MULTICAST_LOOP, 0),
            (libc::IP_MULTICAST_ALL, 0),
            (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        ];
        for (name, value) in integers {
            set(&self.socket, libc::IPPROTO_IP, name, &value)?;
        }
        // keepalived lets mcast_src_ip and unicast_src_ip be any address ("to hide the location"); this allows the
        // same. Without the capability for it only own addresses can be the source.
        let _ = set(&self.socket, libc::IPPROTO_IP, libc::IP_TRANSPARENT, &1);
        set(&self.socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &self.mreqn(Ipv4Addr::UNSPECIFIED))
    }

    fn set_up_v6(&self) -> io::Result<()> {
        let integers = [
            (libc::IPV6_UNICAST_HOPS, libc::c_int::from(HOP_LIMIT)),
            (libc::IPV6_MULTICAST_HOPS, libc::c_int::from(HOP_LIMIT)),
            (libc::IPV6_TCLASS, TRAFFIC_CLASS),
            (libc::IPV6_MULTICAST_LOOP, 0),
            (libc::IPV6_MULTICAST_IF, self.interface as libc::c_int),
            (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
            (libc::IPV6_RECVPKTINFO, 1),
            (libc::IPV6_RECVHOPLIMIT, 1),
            // The core sums for itself: the kernel neither writes nor verifies the checksum.
            (libc::IPV6_CHECKSUM, -1),
        ];
        for (name, value) in integers {
            set(&self.socket, libc::IPPROTO_IPV6, name, &value)?;
        }
        // As for IPv4: a source that this machine does not have.
        let _ = set(&self.socket, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, &1);
        // Kernels before 4.20 lack it and deliver groups joined by others too; the core discards by destination.
        let _ = set(&self.socket, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, &0);
        Ok(())
    }

    /// Throw away what arrived between creation and binding, possibly through another interface.
    fn drain(&self) -> io::Result<()> {
        let mut slots = Slots::new(1);
        for _ in 0..MAX_DRAINED_BATCHES {
            if slots.receive(&self.socket)? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn mreqn(&self, group: Ipv4Addr) -> libc::ip_mreqn {
        libc::ip_mreqn {
            imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
            imr_address: libc::in_addr { s_addr: 0 },
            imr_ifindex: self.interface as libc::c_int,
        }
    }

    fn encode<'a>(&self, message: &Outgoing<'a>) -> io::Result<Message<'a>> {
        let (name, control) = match (self.family, message.source, message.destination) {
            (AddressFamily::V4, IpAddr::V4(source), IpAddr::V4(destination)) => {
                (name_v4(destination), pktinfo_v4(self.interface, source))
            }
            (AddressFamily::V6, IpAddr::V6(source), IpAddr::V6(destination)) => {
                (name_v6(destination, self.interface), pktinfo_v6(self.interface, source))
            }
            _ => return Err(other_family()),
        };
        let control = match message.hop_limit {
            HOP_LIMIT => control,
            other => Small::of(&[control.as_slice(), hops(self.family, other).as_slice()]),
        };
        Ok(Message { name, control, payload: message.bytes })
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for VrrpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Buffers {
    /// Room for one batch. Memory is touched only when packets come.
    pub fn new() -> Buffers {
        Buffers { slots: Slots::new(LARGEST), family: AddressFamily::V4 }
    }

    /// What the last [`VrrpSocket::receive_batch`] brought, in order of arrival. `None` stands for a datagram whose
    /// lengths lie or that is larger than any VRRP message: there is nothing in it to look at, only to count.
    pub fn packets(&self) -> impl Iterator<Item = Option<Incoming<'_>>> {
        let decode = match self.family {
            AddressFamily::V4 => incoming_v4,
            AddressFamily::V6 => incoming_v6,
        };
        self.slots.datagrams().map(move |datagram| if datagram.truncated { None } else { decode(datagram) })
    }
}

impl Buffers {
    /// Whole packets from the IP header on, of a socket opened by [`VrrpSocket::open_sealed`]. `None` as in
    /// [`Buffers::packets`].
    pub fn whole_packets(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.slots.datagrams().map(|datagram| (!datagram.truncated).then_some(datagram.payload))
    }
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers::new()
    }
}

fn other_family() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "address of the other family on this VRRP socket")
}

/// sockaddr_in.
fn name_v4(address: Ipv4Addr) -> Small<NAME_ROOM> {
    let family = libc::AF_INET as libc::sa_family_t;
    Small::of(&[&family.to_ne_bytes(), &[0; 2], &address.octets(), &[0; 8]])
}

/// sockaddr_in6; the scope makes link-local destinations unambiguous.
fn name_v6(address: Ipv6Addr, scope: u32) -> Small<NAME_ROOM> {
    let family = libc::AF_INET6 as libc::sa_family_t;
    let scope = if needs_scope(address) { scope } else { 0 };
    Small::of(&[&family.to_ne_bytes(), &[0; 2], &[0; 4], &address.octets(), &scope.to_ne_bytes()])
}

fn needs_scope(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || address.is_multicast()
}

/// A hop limit for one message.
fn hops(family: AddressFamily, limit: u8) -> Small<{ mmsg::SEND_CONTROL_ROOM }> {
    let limit = libc::c_int::from(limit).to_ne_bytes();
    match family {
        AddressFamily::V4 => mmsg::control_message(libc::IPPROTO_IP, libc::IP_TTL, &limit),
        AddressFamily::V6 => mmsg::control_message(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &limit),
    }
}

/// in_pktinfo: interface, source, unused destination.
fn pktinfo_v4(interface: u32, source: Ipv4Addr) -> Small<{ mmsg::SEND_CONTROL_ROOM }> {
    let mut info = [0; 12];
    info[..4].copy_from_slice(&interface.to_ne_bytes());
    info[4..8].copy_from_slice(&source.octets());
    mmsg::control_message(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
}

/// in6_pktinfo: source, interface.
fn pktinfo_v6(interface: u32, source: Ipv6Addr) -> Small<{ mmsg::SEND_CONTROL_ROOM }> {
    let mut info = [0; 20];
    info[..16].copy_from_slice(&source.octets());
    info[16..].copy_from_slice(&interface.to_ne_bytes());
    mmsg::control_message(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
}

/// IPv4 raw sockets deliver the IP header: source, destination and TTL are in it. RFC 791 3.1.
//= RFC791 M-45
//= RFC9568 7.1 M-44
fn incoming_v4(datagram: Datagram<'_>) -> Option<Incoming<'_>> {
    let packet = datagram.payload;
    let header = packet.first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_length < header.len() || libc::c_int::from(header[9]) != PROTOCOL {
        return None;
    }
    Some(Incoming {
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]).into(),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]).into(),
        hop_limit: header[8],
        // None when the header reaches past the total length, or that past what arrived.
        bytes: packet.get(header_length..total_length)?,
    })
}

/// IPv6 raw sockets deliver the payload; the rest is in the socket address and the control messages.
fn incoming_v6(datagram: Datagram<'_>) -> Option<Incoming<'_>> {
    let source: [u8; 16] = datagram.name.get(8..24)?.try_into().ok()?;
    let mut destination = None;
    let mut hop_limit = None;
    for (level, kind, data) in mmsg::control_messages(datagram.control) {
        match (level, kind) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => destination = data.first_chunk::<16>().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let value = data.first_chunk::<4>().map(|octets| i32::from_ne_bytes(*octets));
                hop_limit = value.and_then(|value| u8::try_from(value).ok());
            }
            _ => {}
        }
    }
    Some(Incoming {
        source: Ipv6Addr::from(source).into(),
        destination: Ipv6Addr::from(destination?).into(),
        hop_limit: hop_limit?,
        bytes: datagram.payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: [u8; 20] = [0x45, 0xc0, 0, 24, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18];

    fn v4(packet: &[u8]) -> Option<Incoming<'_>> {
        incoming_v4(Datagram { name: &[], control: &[], payload: packet, truncated: false })
    }

    #[test]
    fn an_ipv4_header_yields_addresses_ttl_and_exactly_the_payload() {
        let packet = [&HEADER[..], &[1, 2, 3, 4]].concat();
        let incoming = v4(&packet).unwrap();
        assert_eq!(incoming.source, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(incoming.destination, IpAddr::from([224, 0, 0, 18]));
        assert_eq!((incoming.hop_limit, incoming.bytes), (255, &[1, 2, 3, 4][..]));
    }

    //= RFC791 M-45
    #[test]
    fn octets_after_the_total_length_are_not_payload() {
        let packet = [&HEADER[..], &[1, 2, 3, 4, 0, 0]].concat();
        assert_eq!(v4(&packet).unwrap().bytes, [1, 2, 3, 4]);
    }

    //= RFC791 M-45
    #[test]
    fn header_options_are_skipped() {
        let mut packet = [&HEADER[..], &[9, 9, 9, 9, 1, 2]].concat();
        packet[0] = 0x46;
        packet[3] = 26;
        assert_eq!(v4(&packet).unwrap().bytes, [1, 2]);
    }

    #[test]
    fn a_header_whose_lengths_lie_is_dropped() {
        let packet = [&HEADER[..], &[1, 2, 3, 4]].concat();
        for (position, value) in [(0, 0x44), (0, 0x65), (0, 0x4f), (3, 19), (3, 25), (2, 1), (9, 111)] {
            let mut packet = packet.clone();
            packet[position] = value;
            assert_eq!(v4(&packet), None, "octet {position} = {value:#x}");
        }
        assert_eq!(v4(&packet[..19]), None);
    }

    #[test]
    fn an_ipv6_packet_needs_both_control_messages() {
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
        let name = name_v6(source, 3);
        let info = pktinfo_v6(3, group);
        let hops = mmsg::control_message(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &255i32.to_ne_bytes());
        let control = [info.as_slice(), hops.as_slice()].concat();
        let decode = |control| {
            incoming_v6(Datagram { name: name.as_slice(), control, payload: &[5], truncated: false })
        };
        let expected =
            Incoming { source: source.into(), destination: group.into(), hop_limit: 255, bytes: &[5] };
        assert_eq!(decode(&control), Some(expected));
        assert_eq!(decode(info.as_slice()), None);
        assert_eq!(decode(hops.as_slice()), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_packet_or_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            control in proptest::collection::vec(any::<u8>(), 0..128),
            name in proptest::collection::vec(any::<u8>(), 0..32),
        ) {
            let datagram = || Datagram { name: &name, control: &control, payload: &bytes, truncated: false };
            if let Some(incoming) = incoming_v4(datagram()) {
                prop_assert!(incoming.bytes.len() + 20 <= bytes.len());
            }
            let _ = incoming_v6(datagram());
        }
    }
}
