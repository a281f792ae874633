//! What changes without being asked for: links and addresses, as the kernel announces them.

use super::address::{self, Address};
use super::link::{self, Link};
use super::message::{Malformed, Message, messages};
use super::socket::{NetlinkError, RECEIVE_ROOM};
use super::{routing, rule};
use crate::net::IpCidr;
use crate::plan::route::PROTOCOL_KEEPALIVED;
use crate::vrrp::RoutingGone;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// A thousand addresses come and go at once, each with a message of about 1 KiB with overhead, several times over.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Datagrams per [`Monitor::read`]: the poller asks again, and other work gets its turn.
const MAX_READS: usize = 1024;

const GROUPS: &[u32] = &[libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR];

const ROUTING_GROUPS: &[u32] =
    &[libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE, libc::RTNLGRP_IPV4_RULE, libc::RTNLGRP_IPV6_RULE];

/// Where local routes are told of.
const LOCAL_ROUTE_GROUPS: &[u32] = &[libc::RTNLGRP_IPV6_ROUTE];

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorEvent {
    /// A link is new or changed.
    LinkChanged(Link),
    /// A link is gone, or has moved to another network namespace.
    LinkGone {
        /// Its index.
        index: u32,
    },
    /// An address is new or changed.
    AddressAdded(Address),
    /// An address is gone.
    AddressRemoved {
        /// Index of the interface it was on.
        interface: u32,
        /// The address.
        cidr: IpCidr,
        /// As [`Address::peer`].
        peer: Option<Ipv4Addr>,
    },
    /// An IPv6 address on an interface has got its local route: from now on the kernel takes packets to it.
    Answers {
        /// Index of the interface.
        interface: u32,
        /// The address.
        address: Ipv6Addr,
    },
    /// A route or rule of keepalived's protocol is gone.
    RoutingGone(RoutingGone),
    /// Changes were lost, or arrived in a form that cannot be read: dump again. All that was queued has been read
    /// when this comes, so a dump that begins now misses nothing.
    Overrun,
}

/// What went wrong so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonitorCounters {
    /// Times the receive buffer overflowed (ENOBUFS).
    pub overruns: u64,
    /// Messages that did not decode.
    pub undecodable: u64,
    /// Datagrams that did not come from the kernel, ignored.
    pub foreign: u64,
}

/// A non-blocking socket in the groups LINK, IPV4_IFADDR and IPV6_IFADDR, or in those of routes and rules. Open it
/// before the first dump, or before what it shall tell of.
#[derive(Debug)]
pub struct Monitor {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
    counters: MonitorCounters,
    lost: bool,
}

impl Monitor {
    /// Join the groups, in the network namespace of the calling thread.
    pub fn open() -> Result<Monitor, NetlinkError> {
        Monitor::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// Join the groups of routes and rules instead: what is removed of keepalived's protocol is told.
    pub fn of_routing() -> Result<Monitor, NetlinkError> {
        Monitor::join(RECEIVE_BUFFER, ROUTING_GROUPS)
    }

    /// Join the group of IPv6 routes instead, for [`MonitorEvent::Answers`].
    pub fn of_local_routes() -> Result<Monitor, NetlinkError> {
        Monitor::join(RECEIVE_BUFFER, LOCAL_ROUTE_GROUPS)
    }

    /// As [`Monitor::open`], with another size of the kernel's queue in octets (the kernel has a minimum).
    pub fn with_receive_buffer(octets: usize) -> Result<Monitor, NetlinkError> {
        Monitor::join(octets, GROUPS)
    }

    fn join(octets: usize, groups: &[u32]) -> Result<Monitor, NetlinkError> {
        let socket = open(octets, groups).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            NetlinkError::new(errno, "cannot watch interfaces and addresses")
        })?;
        let buffer = Vec::with_capacity(RECEIVE_ROOM);
        Ok(Monitor { socket, buffer, counters: MonitorCounters::default(), lost: false })
    }

    /// Wait until there is something to read, at most for so long (to the millisecond).
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        crate::sys::poll::readable_within(self.socket.as_fd(), limit)
    }

    /// Append what has changed since the last call, oldest first; nothing when nothing has.
    pub fn read(&mut self, events: &mut Vec<MonitorEvent>) -> Result<(), NetlinkError> {
        for _ in 0..MAX_READS {
            match self.receive() {
                Ok(true) => self.take(events),
                Ok(false) => {
                    // The kernel drops events from an overflow until the queue is empty: only now is a dump complete.
                    if std::mem::take(&mut self.lost) {
                        events.push(MonitorEvent::Overrun);
                    }
                    return Ok(());
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.counters.overruns += 1;
                    self.lost = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    return Err(NetlinkError::new(errno, "cannot read changes of interfaces and addresses"));
                }
            }
        }
        Ok(())
    }

    /// What went wrong so far.
    pub fn counters(&self) -> MonitorCounters {
        self.counters
    }

    /// One datagram into the buffer; false when there is none.
    fn receive(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        match self.socket.recv_from(&mut self.buffer, libc::MSG_TRUNC) {
            Ok((_, sender)) if sender.port_number() != 0 => {
                self.counters.foreign += 1;
                self.buffer.clear();
                Ok(true)
            }
            Ok((length, _)) => {
                if length > self.buffer.len() {
                    self.counters.undecodable += 1;
                    self.lost = true;
                    self.buffer.clear();
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, events: &mut Vec<MonitorEvent>) {
        for message in messages(&self.buffer) {
            match message.and_then(|message| decode(&message)) {
                Ok(event) => events.extend(event),
                Err(_) => {
                    self.counters.undecodable += 1;
                    self.lost = true;
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn open(receive_buffer: usize, groups: &[u32]) -> io::Result<netlink_sys::Socket> {
    let mut socket = netlink_sys::Socket::new(libc::NETLINK_ROUTE as isize)?;
    socket.set_non_blocking(true)?;
    crate::sys::process::grow_receive_buffer(&socket, receive_buffer);
    socket.bind_auto()?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    Ok(socket)
}

pub(super) fn decode(message: &Message<'_>) -> Result<Option<MonitorEvent>, Malformed> {
    let removed = |Address { interface, cidr, peer, .. }: Address| MonitorEvent::AddressRemoved {
        interface,
        cidr,
        peer,
    };
    Ok(match message.kind {
        RTM_NEWLINK => link::decode(message.payload)?.map(MonitorEvent::LinkChanged),
        RTM_DELLINK => {
            link::decode(message.payload)?.map(|link| MonitorEvent::LinkGone { index: link.index })
        }
        address::RTM_NEWADDR => address::decode(message.payload)?.map(MonitorEvent::AddressAdded),
        address::RTM_DELADDR => address::decode(message.payload)?.map(removed),
        routing::RTM_NEWROUTE => routing::decode_local(message.payload)?
            .map(|(interface, address)| MonitorEvent::Answers { interface, address }),
        routing::RTM_DELROUTE => routing::decode_gone(message.payload, PROTOCOL_KEEPALIVED)?
            .map(|route| MonitorEvent::RoutingGone(RoutingGone::Route(Box::new(route)))),
        rule::RTM_DELRULE => rule::decode(message.payload, PROTOCOL_KEEPALIVED)?
            .map(|rule| MonitorEvent::RoutingGone(RoutingGone::Rule(Box::new(rule)))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;
    use crate::sys::clock::monotonic_now;
    use proptest::prelude::*;
    use std::time::Duration;

    fn decoded(kind: u16, request: &Request) -> Result<Option<MonitorEvent>, Malformed> {
        decode(&Message { kind, flags: 0, sequence: 0, payload: request.payload() })
    }

    fn link_message(family: u8) -> Request {
        let mut header = link::header(7, None);
        header[0] = family;
        let mut request = Request::new(RTM_NEWLINK, 0, &header);
        request.text(3, "eth7");
        request
    }

    #[test]
    fn only_the_links_own_message_says_that_it_is_gone() {
        assert_eq!(decoded(RTM_DELLINK, &link_message(0)), Ok(Some(MonitorEvent::LinkGone { index: 7 })));
        assert_eq!(decoded(RTM_DELLINK, &link_message(libc::AF_BRIDGE as u8)), Ok(None));
        let changed = decoded(RTM_NEWLINK, &link_message(0));
        assert!(matches!(changed, Ok(Some(MonitorEvent::LinkChanged(link))) if link.name == "eth7"));
        assert_eq!(decoded(99, &link_message(0)), Ok(None));
    }

    #[test]
    fn a_removed_address_is_named_with_its_interface() {
        let cidr = IpCidr::host([192, 0, 2, 1].into());
        for peer in [None, Some(Ipv4Addr::new(192, 0, 2, 2))] {
            let request = address::encode(&crate::vrrp::AddressOp::Remove {
                interface: 7,
                cidr,
                peer: peer.map(Into::into),
            });
            let expected = MonitorEvent::AddressRemoved { interface: 7, cidr, peer };
            assert_eq!(decoded(address::RTM_DELADDR, &request), Ok(Some(expected)));
        }
    }

    /// Put octets into the monitor's queue, as anybody with root can who is not the kernel.
    fn forge(monitor: &Monitor, octets: &[u8]) -> Option<()> {
        let mut own = netlink_sys::SocketAddr::new(0, 0);
        monitor.socket.get_address(&mut own).ok()?;
        let other = netlink_sys::Socket::new(libc::NETLINK_ROUTE as isize).ok()?;
        other.send_to(octets, &own, 0).ok().map(drop)
    }

    #[test]
    fn what_does_not_come_from_the_kernel_is_counted_and_ignored() {
        let mut monitor = Monitor::open().unwrap();
        let gone = Request::new(RTM_DELLINK, 0, link_message(0).payload()).finish(0, 0);
        if forge(&monitor, &gone).is_none() {
            println!("skipped: only root may send netlink messages to another process");
            return;
        }
        let mut events = Vec::new();
        let start = monotonic_now();
        while monitor.counters().foreign == 0
            && monotonic_now().saturating_duration_since(start) < Duration::from_secs(20)
        {
            monitor.read(&mut events).unwrap();
        }
        assert_eq!(monitor.counters(), MonitorCounters { foreign: 1, ..Default::default() });
        assert!(!events.contains(&MonitorEvent::LinkGone { index: 7 }));
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_asks_for_a_dump() {
        let mut monitor = Monitor::open().unwrap();
        let mut events = Vec::new();
        monitor.read(&mut events).unwrap();
        events.clear();
        // As if the kernel had sent it: a link message without attributes, and half a header.
        monitor.buffer = Request::new(RTM_NEWLINK, 0, &link::header(7, None)).finish(0, 0);
        monitor.take(&mut events);
        monitor.buffer = vec![1; 10];
        monitor.take(&mut events);
        assert_eq!((monitor.counters().undecodable, events.len()), (2, 0));
        monitor.read(&mut events).unwrap();
        assert_eq!(events.last(), Some(&MonitorEvent::Overrun));
    }

    proptest! {
        #[test]
        fn any_octets_are_an_event_or_refused(kind: u16, payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            for kind in [kind, RTM_NEWLINK, address::RTM_NEWADDR, address::RTM_DELADDR, routing::RTM_NEWROUTE] {
                let _ = decode(&Message { kind, flags: 0, sequence: 0, payload: &payload });
            }
        }
    }
}
