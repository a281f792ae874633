//! What goes into the core and what comes out.

use super::claim::{ClaimId, ClaimOrder};
use super::news::News;
use super::resume::Remembered;
use super::upkeep::Maintenance;
use crate::net::{IpCidr, MacAddr, Priority};
use crate::plan::route::{Item, RulePlan};
use crate::plan::track::{Sample, TrackerKey};
use crate::plan::vrrp::{AddressOptions, RouterKey, VirtualAddress, VrrpPlan};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Names a router inside one core, stable for as long as the router lives (never reused).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouterId(pub u32);

/// Names a kernel operation, so that its result finds its way back. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// Something that happened. Recordable and replayable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A new plan: the first one, or a reload.
    Plan(VrrpPlan),
    /// A packet of IP protocol 112 arrived.
    Advertisement(Received),
    /// An IPv4 packet of protocol 51 (authentication header) arrived.
    Sealed {
        /// Index of the interface it came in on.
        interface: u32,
        /// The whole packet from the IP header on.
        packet: Vec<u8>,
    },
    /// The time of day, for `auth_hmac` only: nanoseconds since 1970 at the moment of this event. Sent before the first
    /// plan and whenever it went another way than the monotonic clock.
    TimeOfDay {
        /// Nanoseconds since 1970.
        unix_nanoseconds: u64,
    },
    /// The kernel's facts about an interface: sent for each at start and at every change.
    Interface(InterfaceFacts),
    /// The interface with this index is gone.
    InterfaceGone {
        /// Kernel index.
        index: u32,
    },
    /// An address that was on an interface is no longer there (whoever removed it).
    AddressRemoved {
        /// Kernel index.
        index: u32,
        /// The address.
        cidr: IpCidr,
    },
    /// A route or rule of keepalived's protocol is gone (whoever removed it).
    RoutingGone(RoutingGone),
    /// The kernel's news about routes and rules were lost: any may be gone.
    RoutingUncertain,
    /// What is known of a tracked thing changed; `None` when nothing is known (its role died, or has not looked yet).
    Tracker(TrackerKey, Option<Sample>),
    /// Why a tracked thing is as the next [`Event::Tracker`] says, a few words ("exit status 1"); it comes first.
    TrackerWords(TrackerKey, String),
    /// A kernel operation finished.
    KernelDone {
        /// Which.
        op: OpId,
        /// How.
        result: Result<(), KernelError>,
    },
    /// An order from the operator or the supervisor.
    Command(Command),
    /// A claim script has ended, or could not be run.
    Claimed {
        /// Whose.
        router: RouterId,
        /// Which attempt.
        claim: ClaimId,
        /// `Ok` for exit status 0, else what went wrong, a few words.
        result: Result<(), String>,
    },
    /// Masters among these instances (all, if none is named) hand over, and leave their successors in peace for a while.
    Failover {
        /// Names.
        routers: Vec<String>,
        /// How long.
        hold: Duration,
    },
    /// This, and nothing else, is in maintenance from now on. Comes before the first plan if anything is.
    Maintenance(Maintenance),
    /// This process was stopped for a while, or had no time: before anything else that happened meanwhile. A Master that
    /// was silent for longer than its peers wait listens before it claims anything.
    Paused,
    /// What the process before this one noted of its routers: before the first plan.
    Resume(Vec<Remembered>),
    /// What became of [`Action::Silence`] with addresses: questions for them are not answered any more, or that cannot be.
    Silenced {
        /// Whose.
        router: RouterId,
        /// Are they?
        done: bool,
    },
}

/// A packet as the socket delivered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Index of the interface it came in on.
    pub interface: u32,
    /// Sender.
    pub source: IpAddr,
    /// Destination: the group or an own address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The VRRP message, without the IP header.
    pub bytes: Vec<u8>,
}

/// A [`Received`] that is still where the socket put it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Index of the interface it came in on.
    pub interface: u32,
    /// Sender.
    pub source: IpAddr,
    /// Destination: the group or an own address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The VRRP message, without the IP header.
    pub bytes: &'a [u8],
}

impl<'a> From<&'a Received> for Packet<'a> {
    fn from(received: &'a Received) -> Packet<'a> {
        let Received { interface, source, destination, hop_limit, ref bytes } = *received;
        Packet { interface, source, destination, hop_limit, bytes }
    }
}

/// What the kernel says about one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceFacts {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up and with carrier (IFF_UP and IFF_RUNNING).
    pub up: bool,
    /// Hardware address; all zero if it has none.
    pub mac: MacAddr,
    /// MTU in octets.
    pub mtu: u32,
    /// Does this node forward IPv6 on it (`net.ipv6.conf.IFACE.forwarding`)? Sets the R flag of neighbour
    /// advertisements.
    pub ipv6_forwarding: bool,
    /// IPv4 addresses in the kernel's order; the first is the primary one. VIPs of ours are left out by the core.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 link-local addresses that may be used (not tentative, not failed), in the kernel's order.
    pub ipv6_link_local: Vec<Ipv6Addr>,
    /// Its other IPv6 addresses.
    #[serde(default)]
    pub ipv6_wide: Vec<Ipv6Addr>,
}

impl InterfaceFacts {
    /// Does it have the address?
    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.ipv4.contains(&v4),
            IpAddr::V6(v6) => self.ipv6_link_local.contains(&v6) || self.ipv6_wide.contains(&v6),
        }
    }
}

/// Why a kernel operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelError {
    /// The errno.
    pub errno: i32,
    /// The kernel's own words (extended ACK) or the errno's text.
    pub message: String,
}

/// Orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// End: with `release`, Masters send priority 0 and remove their addresses; without, nothing is touched.
    Stop {
        /// Give the addresses up?
        release: bool,
    },
    /// The supervisor is gone: end, and give the addresses up.
    Orphaned,
}

/// Something the driver must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Send a frame now.
    Transmit(RouterId, Frame),
    /// Change an address; answer with [`Event::KernelDone`].
    Kernel(OpId, AddressOp),
    /// Change a route or rule; answer with [`Event::KernelDone`]. In one order with the changes of addresses.
    Routing(OpId, RoutingOp),
    /// A router changed state.
    Notify(Transition),
    /// Something else that notify scripts and FIFOs tell.
    News(News),
    /// A sentence for the operator that is no change of state (already rate-limited by the core).
    Log(LogLevel, String),
    /// Every router has ended after [`Command::Stop`]: the role may exit once queued actions are done.
    Stopped,
    /// Run a claim script; answer with [`Event::Claimed`].
    Claim(ClaimOrder),
    /// End that attempt, if it still runs; no answer is needed.
    Unclaim(ClaimId),
    /// Answer no ARP request and no neighbour solicitation for these addresses: somebody else answers already. An empty
    /// list ends that. Answer with [`Event::Silenced`] unless the list is empty.
    Silence {
        /// Whose.
        router: RouterId,
        /// Which.
        addresses: Vec<IpAddr>,
    },
}

/// How loud a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// The traffic is or may be hurt.
    Error,
    /// Worth a look.
    Warning,
    /// Normal life.
    Info,
}

/// A frame to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// A VRRP message as an IP payload: TTL 255, TOS 0xc0, protocol 112.
    Advertisement {
        /// Interface index.
        interface: u32,
        /// Source address.
        source: IpAddr,
        /// Group or peer.
        destination: IpAddr,
        /// TTL or hop limit; multicast ones always have 255.
        hop_limit: u8,
        /// The VRRP message with its checksum.
        bytes: Vec<u8>,
    },
    /// A whole IPv4 packet behind an authentication header; only its header checksum is left to the kernel.
    Sealed {
        /// Interface index.
        interface: u32,
        /// Group or peer.
        destination: Ipv4Addr,
        /// From the IP header on.
        packet: Vec<u8>,
    },
    /// A whole Ethernet frame (gratuitous ARP or unsolicited neighbour advertisement).
    Ethernet {
        /// Interface index.
        interface: u32,
        /// From the destination MAC on.
        bytes: Vec<u8>,
    },
}

/// A change to the kernel's addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AddressOp {
    /// Install; "already there" counts as success.
    Add {
        /// Interface index.
        interface: u32,
        /// Address and prefix.
        cidr: IpCidr,
        /// Label, IPv4 only.
        label: Option<String>,
        /// Kernel scope number.
        scope: Option<u8>,
        /// Broadcast address.
        broadcast: Option<Ipv4Addr>,
        /// What else is wanted.
        options: AddressOptions,
    },
    /// Remove; "not there" counts as success.
    Remove {
        /// Interface index.
        interface: u32,
        /// Address and prefix.
        cidr: IpCidr,
        /// Far end of a point-to-point pair.
        peer: Option<IpAddr>,
    },
}

impl AddressOp {
    /// Install `address` on the interface with this index.
    pub fn add(interface: u32, address: &VirtualAddress) -> AddressOp {
        let VirtualAddress { cidr, interface: _, label, scope, broadcast, options, tracked: _ } = address;
        AddressOp::Add {
            interface,
            cidr: *cidr,
            label: label.clone(),
            scope: *scope,
            broadcast: *broadcast,
            options: *options,
        }
    }

    /// Remove it from there.
    pub fn remove(interface: u32, address: &VirtualAddress) -> AddressOp {
        AddressOp::Remove { interface, cidr: address.cidr, peer: address.options.peer }
    }
}

/// A change to the kernel's routes and rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingOp {
    /// Install or remove? "Already there" and "not there" are successes.
    pub add: bool,
    /// What; never an address.
    pub item: Item,
    /// Index of each interface that it names.
    pub links: BTreeMap<String, u32>,
}

/// A route or rule that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutingGone {
    /// A route, as the kernel described it.
    Route(Box<GoneRoute>),
    /// A rule.
    Rule(Box<RulePlan>),
}

/// What the kernel says of a route that it removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneRoute {
    /// Destination.
    pub destination: IpCidr,
    /// Source prefix (IPv6).
    pub source: Option<IpCidr>,
    /// RTN_*.
    pub kind: u8,
    /// Table.
    pub table: u32,
    /// RTPROT_*.
    pub protocol: u8,
    /// Type of service.
    pub tos: u8,
    /// Metric; 0 in IPv4 when it has none.
    pub metric: u32,
    /// Gateway and interface of each hop.
    pub hops: Vec<(Option<IpAddr>, Option<u32>)>,
}

/// A router's state, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Configured, not started, or stopped.
    Initialize,
    /// Listens.
    Backup,
    /// Holds the addresses ("Active" in RFC 9568).
    Master,
    /// Cannot take part.
    Fault,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Initialize => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
        })
    }
}

/// A change of state with its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Which router.
    pub router: RouterId,
    /// Its identity.
    pub key: RouterKey,
    /// Its name.
    pub name: String,
    /// From.
    pub from: State,
    /// To.
    pub to: State,
    /// Why.
    pub cause: TransitionCause,
    /// When.
    pub at: Instant,
    /// Effective priority at that moment.
    pub priority: Priority,
}

/// Why a router changed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransitionCause {
    /// The configuration started it.
    Started,
    /// The owner of the addresses takes them at once.
    Owner,
    /// No advertisement for the whole down interval.
    MasterDown {
        /// The last Master heard, if any.
        last: Option<IpAddr>,
        /// Time without an advertisement, in milliseconds.
        silence_ms: u64,
    },
    /// The Master resigned (priority 0).
    MasterResigned {
        /// The Master that did.
        by: IpAddr,
    },
    /// A stronger router speaks.
    Outranked {
        /// Its address.
        by: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// The Master is weaker and this router preempts.
    Preempted {
        /// The weaker Master.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// Its sync group moves together: another member began.
    Group {
        /// The group.
        group: String,
        /// The member that began.
        member: String,
        /// Why it did.
        cause: Box<TransitionCause>,
    },
    /// Not started yet: what is waited for, a sentence each.
    Waiting(Vec<String>),
    /// Something the router needs is missing; each reason is a sentence.
    Fault(Vec<String>),
    /// What was missing is back: the reasons for FAULT that are no longer true, a sentence each.
    Recovered(Vec<String>),
    /// The virtual interface that a Master spoke through was gone for less than its peers wait.
    LinkRemade {
        /// Time without an advertisement of ours, in milliseconds.
        silence_ms: u64,
    },
    /// An address of ours was removed by somebody else.
    AddressLost {
        /// The address.
        cidr: IpCidr,
    },
    /// A route or rule of ours was removed by somebody else.
    RoutingLost {
        /// The route or rule, in words.
        what: String,
    },
    /// It is no longer in the configuration.
    Removed,
    /// The daemon ends.
    Stopped,
    /// The supervisor ended without a word: nobody would restart this role or tell it anything.
    Orphaned,
    /// Told to give mastership up, with `no_handover`.
    Ordered,
    /// Mastership was given up by order, and somebody took over.
    HandedOver {
        /// Who took over.
        to: IpAddr,
    },
    /// This process was stopped, or had no time, for longer than the peers wait: one of them may be Master now.
    Paused {
        /// Time without an advertisement of ours, in milliseconds.
        silence_ms: u64,
    },
    /// A new process goes on as Master where one that died stopped; the peers noticed nothing.
    Resumed {
        /// Time without an advertisement of ours, in milliseconds.
        silence_ms: u64,
    },
}
