//! Links and addresses over rtnetlink.

use super::address::{self, Address};
use super::link::{self, Link};
use super::message::{Malformed, Request};
use super::socket::{Answer, NetlinkError, NetlinkSocket};
use super::virtual_link::{self, LinkChange, NewLink};
use crate::vrrp::{AddressOp, KernelError};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_SETLINK: u16 = 19;

const IFLA_EXT_MASK: u16 = 29;
/// Leave the counters out of a dump of links: half of its size, and nobody here reads them.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/// A socket for links and addresses in the network namespace of the thread that opened it. Blocking.
#[derive(Debug)]
pub struct RouteSocket {
    socket: NetlinkSocket,
}

impl RouteSocket {
    /// Open.
    pub fn open() -> Result<RouteSocket, NetlinkError> {
        Ok(RouteSocket { socket: NetlinkSocket::open(libc::NETLINK_ROUTE)? })
    }

    /// Every link.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let mut request = Request::new(RTM_GETLINK, 0, &link::header(0, None));
        request.attribute(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let context = "cannot list the network interfaces";
        let answers = self.socket.dump(&request, context)?;
        decode_all(answers, RTM_NEWLINK, link::decode, context)
    }

    /// Every IPv4 and IPv6 address, per interface in the kernel's order.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let request = Request::new(RTM_GETADDR, 0, &[0; address::HEADER]);
        let context = "cannot list the addresses";
        let answers = self.socket.dump(&request, context)?;
        decode_all(answers, address::RTM_NEWADDR, address::decode, context)
    }

    /// Perform `ops` in order; one result each. "Already there" is success for adding; "not there", "no such
    /// interface" and "no IPv6 here" are success for removing. An existing address is not changed by adding it.
    pub fn apply(&mut self, ops: &[AddressOp]) -> Vec<Result<(), KernelError>> {
        let requests = ops.iter().map(address::encode).collect();
        let results = self.socket.batch(requests, |_| String::new());
        let judged = results.into_iter().zip(ops).map(|(result, op)| match result {
            Err(error) if !address::is_already_so(op, error.errno) => {
                Err(KernelError { errno: error.errno, message: error.message })
            }
            _ => Ok(()),
        });
        judged.collect()
    }

    /// Make an interface on another one; it is down then.
    pub fn create_link(&mut self, new: &NewLink<'_>) -> Result<(), NetlinkError> {
        let context = format!("cannot make the interface {}", new.name);
        self.socket.call(virtual_link::create(new), &context).map(drop)
    }

    /// Change an interface that [`RouteSocket::create_link`] made.
    pub fn change_link(&mut self, index: u32, change: LinkChange<'_>) -> Result<(), NetlinkError> {
        let context = format!("cannot set {change:?} on interface {index}");
        self.socket.call(virtual_link::change(index, change), &context).map(drop)
    }

    /// Remove an interface, and with it all that was on it.
    pub fn delete_link(&mut self, index: u32) -> Result<(), NetlinkError> {
        let context = format!("cannot remove interface {index}");
        self.socket.call(virtual_link::delete(index), &context).map(drop)
    }

    /// Set an interface administratively up or down.
    pub fn set_up(&mut self, interface: u32, up: bool) -> Result<(), NetlinkError> {
        let request = Request::new(RTM_SETLINK, 0, &link::header(interface, Some(up)));
        let context = format!("cannot set interface {interface} {}", if up { "up" } else { "down" });
        self.socket.call(request, &context).map(drop)
    }
}

fn decode_all<T>(
    answers: Vec<Answer>,
    kind: u16,
    decode: impl Fn(&[u8]) -> Result<Option<T>, Malformed>,
    context: &str,
) -> Result<Vec<T>, NetlinkError> {
    let relevant = answers.iter().filter(|answer| answer.kind == kind);
    let decoded = relevant.filter_map(|answer| decode(&answer.payload).transpose());
    decoded.collect::<Result<_, _>>().map_err(|error| NetlinkError::malformed(error, context))
}
