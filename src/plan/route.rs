//! Routes and rules that the vrrp role keeps in the kernel: those of a router (`virtual_routes`, `virtual_rules`), there
//! while it is Master, and static ones, there while the daemon runs. Numbers are the kernel's (`linux/rtnetlink.h`,
//! `linux/fib_rules.h`); names were looked up when the plan was made.

use crate::net::{AddressFamily, IpCidr};
use crate::plan::vrrp::VirtualAddress;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// The origin that keepalived gives its routes and rules (RTPROT_KEEPALIVED), by which it knows them again.
pub const PROTOCOL_KEEPALIVED: u8 = 18;
/// RT_TABLE_MAIN.
pub const TABLE_MAIN: u32 = 254;

/// Route types (RTN_*) that are spoken of by name.
pub mod kind {
    /// An ordinary route.
    pub const UNICAST: u8 = 1;
    /// Delivered here.
    pub const LOCAL: u8 = 2;
    /// Sent as a broadcast.
    pub const BROADCAST: u8 = 3;
    /// Received as a broadcast, sent as unicast.
    pub const ANYCAST: u8 = 4;
    /// A multicast route.
    pub const MULTICAST: u8 = 5;
    /// Dropped in silence.
    pub const BLACKHOLE: u8 = 6;
    /// Refused as unreachable.
    pub const UNREACHABLE: u8 = 7;
    /// Refused as prohibited.
    pub const PROHIBIT: u8 = 8;
    /// Not in this table.
    pub const THROW: u8 = 9;
    /// Obsolete; the kernel refuses it.
    pub const NAT: u8 = 10;
    /// Obsolete; the kernel refuses it.
    pub const XRESOLVE: u8 = 11;
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoutePlan {
    /// Destination; prefix 0 is the default route. Its family is the route's.
    pub destination: IpCidr,
    /// Source prefix (IPv6 only).
    pub source: Option<IpCidr>,
    /// RTN_*, see [`kind`].
    pub kind: u8,
    /// Routing table.
    pub table: u32,
    /// Origin (RTPROT_*).
    pub protocol: u8,
    /// Scope (RT_SCOPE_*).
    pub scope: u8,
    /// Type of service.
    pub tos: u8,
    /// Priority among routes to one destination; the kernel's default when `None`.
    pub metric: Option<u32>,
    /// Preferred source address.
    pub preferred_source: Option<IpAddr>,
    /// Where to; empty for blackholes and the like.
    pub hops: Vec<NextHop>,
    /// Is it a multipath route, even with one hop?
    pub multipath: bool,
    /// RTAX_* metrics, by number.
    pub metrics: Vec<(u16, u32)>,
    /// Metrics that the kernel must not change: a bit for each RTAX_* number.
    pub locked: u32,
    /// Congestion control algorithm.
    pub congestion: Option<String>,
    /// Realms: from << 16 | to.
    pub realms: Option<u32>,
    /// Lifetime in seconds (IPv6).
    pub expires: Option<u32>,
    /// Router preference (IPv6): 0 medium, 1 high, 3 low.
    pub preference: Option<u8>,
    /// Is the TTL copied into the MPLS header?
    pub ttl_propagate: Option<bool>,
    /// Where among the routes to the same destination.
    pub insertion: Insertion,
    /// Does losing it matter to the router, or is it put back (a static one)?
    pub tracked: bool,
}

/// Where a new route goes among those to the same destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Insertion {
    /// Before them (keepalived's default for unicast routes).
    Prepend,
    /// After them.
    Append,
    /// There must be none (keepalived's default for blackholes and the like).
    Add,
}

/// One way to the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextHop {
    /// Gateway; may be of the other family.
    pub gateway: Option<IpAddr>,
    /// Output interface.
    pub interface: Option<String>,
    /// Share of the traffic beyond one: weight 1 is 0.
    pub hops: u8,
    /// Is the gateway attached although no address says so?
    pub onlink: bool,
    /// Lightweight tunnel.
    pub encap: Option<Encapsulation>,
    /// Realms: from << 16 | to.
    pub realms: Option<u32>,
}

/// A lightweight tunnel (`linux/lwtunnel.h`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encapsulation {
    /// A stack of labels, outermost first, each below 2^20.
    Mpls(Vec<u32>),
    /// Over IPv4 or IPv6, with the metadata of the tunnel.
    Ip {
        /// Of the outer header.
        family: AddressFamily,
        /// Tunnel id.
        id: Option<u64>,
        /// Outer destination.
        destination: Option<IpAddr>,
        /// Outer source.
        source: Option<IpAddr>,
        /// TOS or traffic class.
        tos: Option<u8>,
        /// TTL or hop limit.
        ttl: Option<u8>,
        /// TUNNEL_* flags.
        flags: Option<u16>,
    },
    /// Identifier-locator addressing: the locator.
    Ila(u64),
}

/// A policy rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RulePlan {
    /// IPv4 or IPv6.
    pub family: AddressFamily,
    /// Its place: lower ones are asked first.
    pub priority: u32,
    /// Does it apply to what does not match?
    pub invert: bool,
    /// Source prefix.
    pub from: Option<IpCidr>,
    /// Destination prefix.
    pub to: Option<IpCidr>,
    /// Type of service.
    pub tos: u8,
    /// Mark and, when written, its mask.
    pub mark: Option<(u32, Option<u32>)>,
    /// Incoming interface.
    pub input: Option<String>,
    /// Outgoing interface.
    pub output: Option<String>,
    /// What it does.
    pub action: RuleAction,
    /// Realms: from << 16 | to.
    pub realms: Option<u32>,
    /// Matches of this prefix length or shorter do not count.
    pub suppress_prefix_length: Option<u32>,
    /// Matches through interfaces of this group do not count.
    pub suppress_group: Option<u32>,
    /// Tunnel id.
    pub tunnel: Option<u64>,
    /// Users of local sockets, first and last.
    pub users: Option<(u32, u32)>,
    /// Origin (RTPROT_*).
    pub protocol: u8,
    /// IP protocol.
    pub ip_protocol: Option<u8>,
    /// Source ports, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// Does losing it matter to the router, or is it put back (a static one)?
    pub tracked: bool,
}

/// What a rule does with what matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RuleAction {
    /// Looks it up in a table.
    Table(u32),
    /// Looks it up in the table of the interface's VRF.
    L3mdev,
    /// Goes on with the rule of that priority.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drops it in silence.
    Blackhole,
    /// Refuses it as unreachable.
    Unreachable,
    /// Refuses it as prohibited.
    Prohibit,
}

/// Something that is kept in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Item {
    /// An address with its interface (static ones only; a router's addresses are not among its items).
    Address(VirtualAddress),
    /// A route.
    Route(Box<RoutePlan>),
    /// A rule.
    Rule(Box<RulePlan>),
}

impl Item {
    /// Does losing it matter?
    pub fn tracked(&self) -> bool {
        match self {
            Item::Address(address) => address.tracked,
            Item::Route(route) => route.tracked,
            Item::Rule(rule) => rule.tracked,
        }
    }

    /// The interfaces that it needs, for a router to be of use.
    pub fn interfaces(&self) -> Vec<&str> {
        match self {
            Item::Address(address) => address.interface.as_deref().into_iter().collect(),
            Item::Route(route) => route.hops.iter().filter_map(|hop| hop.interface.as_deref()).collect(),
            Item::Rule(rule) => rule.input.as_deref().into_iter().chain(rule.output.as_deref()).collect(),
        }
    }
}

impl RoutePlan {
    /// A unicast route in the main table, as keepalived makes it from nothing but a destination.
    pub fn new(destination: IpCidr) -> RoutePlan {
        RoutePlan {
            destination,
            source: None,
            kind: kind::UNICAST,
            table: TABLE_MAIN,
            protocol: PROTOCOL_KEEPALIVED,
            scope: 0,
            tos: 0,
            metric: None,
            preferred_source: None,
            hops: Vec::new(),
            multipath: false,
            metrics: Vec::new(),
            locked: 0,
            congestion: None,
            realms: None,
            expires: None,
            preference: None,
            ttl_propagate: None,
            insertion: Insertion::Prepend,
            tracked: true,
        }
    }

    /// Its family.
    pub fn family(&self) -> AddressFamily {
        self.destination.family()
    }
}

impl RulePlan {
    /// A rule without selectors.
    pub fn new(family: AddressFamily, priority: u32, action: RuleAction) -> RulePlan {
        RulePlan {
            family,
            priority,
            invert: false,
            from: None,
            to: None,
            tos: 0,
            mark: None,
            input: None,
            output: None,
            action,
            realms: None,
            suppress_prefix_length: None,
            suppress_group: None,
            tunnel: None,
            users: None,
            protocol: PROTOCOL_KEEPALIVED,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            tracked: true,
        }
    }
}

const KINDS: &[(u8, &str)] = &[
    (kind::LOCAL, "local"),
    (kind::BROADCAST, "broadcast"),
    (kind::ANYCAST, "anycast"),
    (kind::MULTICAST, "multicast"),
    (kind::BLACKHOLE, "blackhole"),
    (kind::UNREACHABLE, "unreachable"),
    (kind::PROHIBIT, "prohibit"),
    (kind::THROW, "throw"),
    (kind::NAT, "nat"),
    (kind::XRESOLVE, "xresolve"),
];

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Address(address) => {
                write!(f, "address {}", address.cidr)?;
                match &address.interface {
                    Some(interface) => write!(f, " on {interface}"),
                    None => Ok(()),
                }
            }
            Item::Route(route) => write!(f, "route {route}"),
            Item::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// As `ip route` would show what tells it from others: `10.0.0.0/24 via 192.0.2.254 dev eth0 table 100`.
impl fmt::Display for RoutePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = KINDS.iter().find(|(kind, _)| *kind == self.kind) {
            write!(f, "{name} ")?;
        }
        match self.destination.prefix() {
            0 => f.write_str("default")?,
            _ => write!(f, "{}", self.destination)?,
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        for hop in &self.hops {
            f.write_str(if self.multipath { " nexthop" } else { "" })?;
            if let Some(gateway) = hop.gateway {
                write!(f, " via {gateway}")?;
            }
            if let Some(interface) = &hop.interface {
                write!(f, " dev {interface}")?;
            }
        }
        if self.table != TABLE_MAIN {
            write!(f, " table {}", self.table)?;
        }
        if self.tos != 0 {
            write!(f, " tos {:#x}", self.tos)?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        Ok(())
    }
}

/// As `ip rule` would show what tells it from others: `1000: from 192.0.2.0/24 lookup 100`.
impl fmt::Display for RulePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.priority, if self.invert { " not" } else { "" })?;
        match self.from {
            Some(from) => write!(f, " from {from}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}")?;
            if let Some(mask) = mask {
                write!(f, "/{mask:#x}")?;
            }
        }
        if let Some(input) = &self.input {
            write!(f, " iif {input}")?;
        }
        if let Some(output) = &self.output {
            write!(f, " oif {output}")?;
        }
        match self.action {
            RuleAction::Table(table) => write!(f, " lookup {table}"),
            RuleAction::L3mdev => f.write_str(" l3mdev"),
            RuleAction::Goto(target) => write!(f, " goto {target}"),
            RuleAction::Nop => f.write_str(" nop"),
            RuleAction::Blackhole => f.write_str(" blackhole"),
            RuleAction::Unreachable => f.write_str(" unreachable"),
            RuleAction::Prohibit => f.write_str(" prohibit"),
        }
    }
}
