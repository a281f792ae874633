//! Links and addresses over rtnetlink.

use super::address::{self, Address, Lifetime};
use super::link::{self, Link};
use super::message::{Malformed, Request};
use super::routing;
use super::socket::{Answer, NetlinkError, NetlinkSocket};
use super::virtual_link::{self, LinkChange, NewLink};
use crate::vrrp::{AddressOp, KernelError, RoutingOp};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_SETLINK: u16 = 19;

const IFLA_EXT_MASK: u16 = 29;
/// Leave the counters out of a dump of links: half of its size, and nobody here reads them.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/// Something to be changed.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// An address.
    Address(&'a AddressOp),
    /// An address to be added that the kernel shall remove by itself in the end.
    Leased(&'a AddressOp, Lifetime),
    /// The lifetimes of an address begin anew.
    Renewed(&'a AddressOp, Lifetime),
    /// A route or rule.
    Routing(&'a RoutingOp),
}

/// How a change that did not fail came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done by this request.
    Done,
    /// It was so already.
    WasSo,
}

impl Change<'_> {
    fn encode(&self) -> Result<Vec<Request>, KernelError> {
        match self {
            Change::Address(op) => Ok(vec![address::encode(op)]),
            Change::Leased(op, lifetime) => Ok(vec![address::encode_leased(op, *lifetime)]),
            Change::Renewed(op, lifetime) => Ok(vec![address::encode_renewal(op, *lifetime)]),
            Change::Routing(op) => routing::encode(op),
        }
    }

    fn removes(&self) -> bool {
        match self {
            Change::Address(op) | Change::Leased(op, _) | Change::Renewed(op, _) => {
                matches!(op, AddressOp::Remove { .. })
            }
            Change::Routing(op) => !op.add,
        }
    }

    fn is_already_so(&self, errno: i32) -> bool {
        match self {
            Change::Address(op) | Change::Leased(op, _) => address::is_already_so(op, errno),
            Change::Renewed(..) => false,
            Change::Routing(op) => routing::is_already_so(op, errno),
        }
    }
}

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

    /// The VRF interfaces with their tables.
    pub fn vrf_tables(&mut self) -> Result<Vec<(String, u32)>, NetlinkError> {
        let mut request = Request::new(RTM_GETLINK, 0, &link::header(0, None));
        request.attribute(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let context = "cannot list the VRF interfaces";
        let answers = self.socket.dump(&request, context)?;
        decode_all(answers, RTM_NEWLINK, link::vrf_table, context)
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
        let changes: Vec<Change<'_>> = ops.iter().map(Change::Address).collect();
        self.perform(&changes).into_iter().map(|result| result.map(drop)).collect()
    }

    /// Perform changes of addresses, routes and rules in order, many to a send; one result each. Repeating what is
    /// done already is a success, as in [`RouteSocket::apply`].
    pub fn perform(&mut self, changes: &[Change<'_>]) -> Vec<Result<Outcome, KernelError>> {
        let mut requests = Vec::new();
        // For each change the last of its requests; none if there is nothing to do.
        let mut ends: Vec<Result<Option<usize>, KernelError>> = Vec::new();
        for change in changes {
            ends.push(match change.encode() {
                Ok(several) => {
                    requests.extend(several);
                    Ok(requests.len().checked_sub(1))
                }
                Err(_) if change.removes() => Ok(None),
                Err(error) => Err(error),
            });
        }
        let results = self.socket.batch(requests, |_| String::new());
        let judged = ends.into_iter().zip(changes).map(|(end, change)| {
            match results.get(end?.unwrap_or(usize::MAX)) {
                Some(Err(error)) if !change.is_already_so(error.errno) => {
                    Err(KernelError { errno: error.errno, message: error.message.clone() })
                }
                Some(Ok(())) => Ok(Outcome::Done),
                _ => Ok(Outcome::WasSo),
            }
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

    /// Add the route to fe80::/64 on an interface that is up; "already there" is success.
    pub fn add_link_local_route(&mut self, index: u32) -> Result<(), NetlinkError> {
        let context = format!("cannot add a route to fe80::/64 on interface {index}");
        match self.socket.call(virtual_link::link_local_route(index), &context) {
            Err(error) if error.errno != libc::EEXIST => Err(error),
            _ => Ok(()),
        }
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
