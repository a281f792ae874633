//! UDP sockets of BFD: one per family and port that listens, one per session that sends.

use super::mmsg::{self, Datagram, Slots};
use super::option::{grow_receive_buffer, set};
use crate::net::AddressFamily;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Thousands of packets may arrive while the process is not scheduled.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What is kept of a datagram. The longest packet that BFD can describe has 255 octets.
const LARGEST: usize = 256;

/// Internetwork control, as other implementations mark it.
const TRAFFIC_CLASS: libc::c_int = 0xc0;

/// The highest queueing priority that needs no capability; set after the traffic class, which would overwrite it.
const QUEUE_PRIORITY: libc::c_int = 6;

/// Listens on one port of every address of one family. Non-blocking.
#[derive(Debug)]
pub struct BfdListener {
    socket: Socket,
}

impl BfdListener {
    /// EADDRINUSE if another program speaks BFD here, EAFNOSUPPORT if the kernel has no IPv6.
    pub fn open(family: AddressFamily, port: u16) -> io::Result<BfdListener> {
        let socket = datagram_socket(family)?;
        grow_receive_buffer(&socket, RECEIVE_BUFFER);
        let (level, name) = match family {
            AddressFamily::V4 => (libc::IPPROTO_IP, libc::IP_RECVTTL),
            AddressFamily::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
        };
        set(&socket, level, name, &1)?;
        socket.bind(&SocketAddr::new(unspecified(family), port).into())?;
        Ok(BfdListener { socket })
    }

    /// Receive up to 64 datagrams. Returns how many the kernel gave, 0 when there are none.
    pub fn receive_batch(&self, buffers: &mut BfdBuffers) -> io::Result<usize> {
        buffers.slots.receive(&self.socket)
    }
}

/// Sends the packets of one session, from a port of its own. Non-blocking.
#[derive(Debug)]
pub struct BfdSender {
    socket: Socket,
    family: AddressFamily,
}

impl BfdSender {
    /// From `source` (the kernel's choice when `None`) and `port`. EADDRINUSE if the port is taken, EADDRNOTAVAIL if
    /// `source` is no address of this machine.
    pub fn open(family: AddressFamily, source: Option<IpAddr>, port: u16) -> io::Result<BfdSender> {
        let socket = datagram_socket(family)?;
        let (level, traffic_class) = match family {
            AddressFamily::V4 => (libc::IPPROTO_IP, libc::IP_TOS),
            AddressFamily::V6 => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
        };
        set(&socket, level, traffic_class, &TRAFFIC_CLASS)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_PRIORITY, &QUEUE_PRIORITY)?;
        socket.bind(&SocketAddr::new(source.unwrap_or(unspecified(family)), port).into())?;
        Ok(BfdSender { socket, family })
    }

    /// TTL or hop limit from now on.
    pub fn set_ttl(&self, ttl: u8) -> io::Result<()> {
        let (level, name) = match self.family {
            AddressFamily::V4 => (libc::IPPROTO_IP, libc::IP_TTL),
            AddressFamily::V6 => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
        };
        set(&self.socket, level, name, &libc::c_int::from(ttl))
    }

    /// Send one packet.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &to.into()).map(drop)
    }
}

/// A received datagram; borrowed from [`BfdBuffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdDatagram<'a> {
    /// Sender.
    pub source: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The payload, at most 256 octets of it.
    pub bytes: &'a [u8],
}

/// Memory for one batch; one serves any number of sockets in turn.
pub struct BfdBuffers {
    slots: Slots,
}

impl BfdBuffers {
    /// Room for one batch. Memory is touched only when packets come.
    pub fn new() -> BfdBuffers {
        BfdBuffers { slots: Slots::new(LARGEST) }
    }

    /// What the last [`BfdListener::receive_batch`] brought, in order of arrival.
    pub fn datagrams(&self) -> impl Iterator<Item = BfdDatagram<'_>> {
        self.slots.datagrams().filter_map(incoming)
    }
}

impl Default for BfdBuffers {
    fn default() -> BfdBuffers {
        BfdBuffers::new()
    }
}

impl AsFd for BfdListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for BfdListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn datagram_socket(family: AddressFamily) -> io::Result<Socket> {
    let domain = match family {
        AddressFamily::V4 => Domain::IPV4,
        AddressFamily::V6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    if family == AddressFamily::V6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

const fn unspecified(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The kernel gives the sender as a socket address and the hop limit as a control message; without either there is
/// nothing to judge the datagram by.
fn incoming(datagram: Datagram<'_>) -> Option<BfdDatagram<'_>> {
    let (family, rest) = datagram.name.split_first_chunk::<2>()?;
    let source: IpAddr = match libc::c_int::from(libc::sa_family_t::from_ne_bytes(*family)) {
        libc::AF_INET => IpAddr::from(*rest.get(2..)?.first_chunk::<4>()?),
        libc::AF_INET6 => IpAddr::from(*rest.get(6..)?.first_chunk::<16>()?),
        _ => return None,
    };
    let hop_limit = mmsg::control_messages(datagram.control).find_map(|(level, kind, data)| {
        let is_hop_limit = (level, kind) == (libc::IPPROTO_IP, libc::IP_TTL)
            || (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT);
        let number = i32::from_ne_bytes(*data.first_chunk::<4>()?);
        u8::try_from(number).ok().filter(|_| is_hop_limit)
    })?;
    Some(BfdDatagram { source, hop_limit, bytes: datagram.payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, Poller};
    use std::time::Duration;

    /// A listener on a free port of the loopback.
    fn listener(family: AddressFamily) -> (BfdListener, SocketAddr) {
        let listener = BfdListener::open(family, 0).expect("a UDP socket");
        let address = listener.socket.local_addr().expect("bound").as_socket().expect("an IP address");
        let localhost: IpAddr = match family {
            AddressFamily::V4 => Ipv4Addr::LOCALHOST.into(),
            AddressFamily::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        (listener, SocketAddr::new(localhost, address.port()))
    }

    #[test]
    fn a_datagram_comes_with_its_sender_and_its_hop_limit() {
        for family in [AddressFamily::V4, AddressFamily::V6] {
            let (listener, to) = listener(family);
            let sender = BfdSender::open(family, Some(to.ip()), 0).expect("a UDP socket");
            for ttl in [255, 7] {
                sender.set_ttl(ttl).expect("a TTL");
                sender.send(to, &[ttl; 24]).expect("loopback takes it");
                let mut poller = Poller::new().expect("epoll");
                poller.add(&listener, 1, Interest::Read).expect("watched");
                assert_eq!(poller.wait(Some(Duration::from_secs(10))).expect("waits").count(), 1);
                let mut buffers = BfdBuffers::new();
                assert_eq!(listener.receive_batch(&mut buffers).expect("it is there"), 1);
                let received: Vec<_> = buffers.datagrams().collect();
                assert_eq!(received, [BfdDatagram { source: to.ip(), hop_limit: ttl, bytes: &[ttl; 24] }]);
            }
            assert_eq!(listener.receive_batch(&mut BfdBuffers::new()).expect("empty"), 0);
        }
    }

    #[test]
    fn a_port_that_is_taken_and_an_address_of_another_machine_are_refused() {
        let (_listener, to) = listener(AddressFamily::V4);
        let taken = BfdListener::open(AddressFamily::V4, to.port()).expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let foreign = Some(IpAddr::from([192, 0, 2, 77]));
        let refused = BfdSender::open(AddressFamily::V4, foreign, 0).expect_err("not ours");
        assert_eq!(refused.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
