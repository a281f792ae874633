//! What the checker role must do: virtual servers, their real servers, and the checks.

use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::check::CheckerPlan;
use crate::plan::manners::sharing;
use crate::plan::{Generation, brief, exact, is_default};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use crate::plan::service_rules::{Marked, ServiceRules, Translated};

/// All virtual servers of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LvsPlan {
    /// Which configuration this is.
    pub generation: Generation,
    /// The virtual servers in the order of the file; keys are unique.
    #[serde(deserialize_with = "sharing")]
    pub virtual_servers: Vec<VirtualServer>,
    /// `lvs_flush`: empty the kernel's table at start, foreign services included.
    pub flush_at_start: bool,
    /// `rs_init_notifies`: at start, servers that are up are told of.
    pub init_notifies: bool,
    /// What is set in the kernel beside services.
    pub kernel: KernelSettings,
    /// No script, FIFO or mail tells of servers: their changes are logged, and no news.
    pub untold: bool,
}

impl LvsPlan {
    /// Is there something to do?
    pub fn has_work(&self) -> bool {
        !self.virtual_servers.is_empty() || self.kernel.sync.is_some()
    }
}

/// Settings of IPVS as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSettings {
    /// `lvs_timeouts`.
    pub timeouts: Timeouts,
    /// `lvs_sync_daemon`.
    pub sync: Option<SyncPlan>,
    /// `lvs_flush_on_stop` without `VS`: a stop empties the kernel's table, foreign services included.
    pub flush_at_stop: bool,
    /// What the packet filter does for virtual servers.
    pub rules: ServiceRules,
}

/// `lvs_sync_daemon`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPlan {
    /// The virtual router whose state says if this node tells (master) or hears (otherwise); without one it does both.
    pub instance: Option<String>,
    /// How.
    pub settings: SyncSettings,
}

/// How the kernel tells services apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceKey {
    /// A virtual address, protocol and port; port 0 means every port.
    Endpoint {
        /// Transport protocol.
        protocol: TransportProtocol,
        /// Virtual address.
        address: IpAddr,
        /// Virtual port.
        port: u16,
    },
    /// A firewall mark, one service per family.
    FwMark {
        /// Family of the packets.
        family: AddressFamily,
        /// The mark, never 0.
        mark: u32,
    },
}

impl ServiceKey {
    /// Family of the service's packets.
    pub const fn family(&self) -> AddressFamily {
        match self {
            ServiceKey::Endpoint { address, .. } => AddressFamily::of(*address),
            ServiceKey::FwMark { family, .. } => *family,
        }
    }

    /// Transport protocol; none for a mark.
    pub const fn protocol(&self) -> Option<TransportProtocol> {
        match self {
            ServiceKey::Endpoint { protocol, .. } => Some(*protocol),
            ServiceKey::FwMark { .. } => None,
        }
    }

    /// Which of a group's virtual servers it belongs to.
    pub const fn kind(&self) -> Kind {
        match self {
            ServiceKey::Endpoint { protocol, .. } => (Some(*protocol), None),
            ServiceKey::FwMark { family, .. } => (None, Some(*family)),
        }
    }

    /// The virtual port; 0 for a mark, which has none.
    pub const fn port(&self) -> u16 {
        match self {
            ServiceKey::Endpoint { port, .. } => *port,
            ServiceKey::FwMark { .. } => 0,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Endpoint { protocol, address, port } => {
                write!(f, "{protocol} {}", SocketAddr::new(*address, *port))
            }
            ServiceKey::FwMark { family: AddressFamily::V4, mark } => write!(f, "FWM {mark}"),
            ServiceKey::FwMark { family: AddressFamily::V6, mark } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

/// How packets reach a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ForwardingMethod {
    /// NAT.
    Masquerade,
    /// DR: same link, rewritten MAC.
    DirectRouting,
    /// TUN.
    Tunnel(TunnelKind),
}

impl ForwardingMethod {
    /// Where the kernel's destination for `server` stands in the table of `service`. Packets that are not translated keep
    /// the service's port, and the destination has it too, as keepalived writes it.
    pub const fn destination(&self, server: SocketAddr, service: &ServiceKey) -> SocketAddr {
        match self {
            ForwardingMethod::Masquerade => server,
            ForwardingMethod::DirectRouting | ForwardingMethod::Tunnel(_) => {
                SocketAddr::new(server.ip(), service.port())
            }
        }
    }
}

/// Encapsulation of a tunnelled destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port of the far end.
        port: u16,
        /// Checksum handling.
        checksum: TunnelChecksum,
    },
    /// GRE.
    Gre {
        /// Checksum handling.
        checksum: TunnelChecksum,
    },
}

/// Checksum of the tunnel's outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TunnelChecksum {
    /// None.
    None,
    /// Full checksum.
    Full,
    /// Remote checksum offload.
    Remote,
}

/// Persistence ("sticky clients") of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds, at least 1.
    pub timeout_seconds: u32,
    /// Which clients share a server.
    pub granularity: Granularity,
}

/// What of a client's address counts for persistence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Granularity {
    /// All of it: each client for itself.
    Client,
    /// IPv4: the bits where the mask has ones. It may have holes, as the kernel allows, and is not 255.255.255.255.
    Netmask(Ipv4Addr),
    /// IPv6: so many leading bits, at most 127.
    Prefix(u8),
}

impl Granularity {
    /// That of IPv4 clients.
    pub fn netmask(mask: Ipv4Addr) -> Granularity {
        if mask == Ipv4Addr::BROADCAST { Granularity::Client } else { Granularity::Netmask(mask) }
    }

    /// That of IPv6 clients.
    pub fn prefix(bits: u8) -> Granularity {
        if bits >= 128 { Granularity::Client } else { Granularity::Prefix(bits) }
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Granularity::Client => f.write_str("each client"),
            Granularity::Netmask(mask) => write!(f, "clients by {mask}"),
            Granularity::Prefix(bits) => write!(f, "clients by /{bits}"),
        }
    }
}

/// How long the kernel keeps connections without packets, in seconds; 0 leaves what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// What a connection synchronisation daemon of the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncRole {
    /// Tells other directors of its connections.
    Master,
    /// Hears of those of others.
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncRole::Master => "master",
            SyncRole::Backup => "backup",
        })
    }
}

/// How directors tell each other of their connections. `None`: the kernel's own default.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncSettings {
    /// Interface that the messages are sent and heard on.
    pub interface: String,
    /// A backup hears masters with its own id alone, those with id 0 hear all.
    pub sync_id: u8,
    /// The largest message, in octets of UDP payload (kernel: what fits the interface's MTU).
    pub max_length: Option<u16>,
    /// Multicast group, IPv4 or IPv6 (kernel: 224.0.0.81).
    pub group: Option<IpAddr>,
    /// UDP port (kernel: 8848).
    pub port: Option<u16>,
    /// Hop limit of the messages (kernel: 1).
    pub ttl: Option<u8>,
}

/// One `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// As the configuration wrote it, for people; no other one has it.
    pub name: String,
    /// The `virtual_server_group` whose virtual server this is.
    pub group: Option<String>,
    /// The kernel's services behind it; at least one.
    #[serde(deserialize_with = "exact")]
    pub keys: Vec<ServiceKey>,
    /// Scheduler name as the kernel knows it, at most 15 octets.
    pub scheduler: String,
    /// Scheduler flags: bits 3 to 5 of the service flags (0x08, 0x10, 0x20).
    pub scheduler_flags: u32,
    /// Persistence, if any.
    pub persistence: Option<Persistence>,
    /// Persistence engine (`sip`), if any.
    pub persistence_engine: Option<String>,
    /// One-packet scheduling (UDP and marks).
    pub one_packet: bool,
    /// Live weight needed for the virtual server to count as up; at least 1.
    pub quorum: u32,
    /// Margin around the quorum; below `quorum`.
    pub hysteresis: u32,
    /// Where traffic goes when the quorum is lost.
    pub sorry_server: Option<SorryServer>,
    /// `alpha`: servers start as down until a check succeeds.
    pub alpha: bool,
    /// `omega`: the end of the daemon counts as down for notifications.
    pub omega: bool,
    /// The real servers in the order of the file; endpoints are unique.
    #[serde(deserialize_with = "sharing")]
    pub real_servers: Vec<RealServer>,
    /// `ha_suspend`: checks run only while a virtual address is on this node.
    pub ha_suspend: bool,
    /// `active_set`: of the real servers that belong to a set, only those of this one get traffic.
    pub active_set: Option<String>,
    /// `min_alive`: so many servers stay in service even when their checks fail; 0 for none.
    pub min_alive: u32,
    /// With `nftables_ipvs`: the addresses that a mark of ours stands for. It is the first key, and the second as well
    /// where they are of both families.
    #[serde(default, deserialize_with = "exact")]
    pub marked: Vec<ServiceKey>,
}

/// Which of a group's virtual servers one is: that of a protocol or, of marks alone, that of a family.
pub type Kind = (Option<TransportProtocol>, Option<AddressFamily>);

/// See [`Identities`]: the group, which of its virtual servers, else the service.
pub type Identity<'a> = (Option<&'a str>, Option<Kind>, Option<ServiceKey>);

/// What tells virtual servers apart while one plan takes the place of another.
#[derive(Clone, Debug)]
pub struct Identities<'a> {
    /// Groups that have several virtual servers in one of the plans.
    shared: BTreeSet<&'a str>,
}

impl<'a> Identities<'a> {
    /// Those of these plans.
    pub fn between(old: &'a LvsPlan, new: &'a LvsPlan) -> Identities<'a> {
        let mut shared = BTreeSet::new();
        for plan in [old, new] {
            let mut seen = BTreeSet::new();
            shared.extend(plan.virtual_servers.iter().filter_map(|s| s.group()).filter(|g| !seen.insert(*g)));
        }
        Identities { shared }
    }

    /// Whatever a reload makes of its name and, if it is of a group, of its services. The protocol or family counts only where
    /// the group has several virtual servers: one of marks alone has no protocol until the group gets an address.
    pub fn of<'s>(&self, server: &'s VirtualServer) -> Identity<'s> {
        let Some(group) = server.group() else { return (None, None, Some(server.service())) };
        (Some(group), self.shared.contains(group).then(|| server.kind()), None)
    }
}

impl VirtualServer {
    /// Scheduled by wlc, with a quorum of 1 and nothing optional. `group NAME` is one of a group.
    pub fn new(name: String, keys: Vec<ServiceKey>, real_servers: Vec<RealServer>) -> VirtualServer {
        VirtualServer {
            group: name.strip_prefix("group ").map(str::to_owned),
            name,
            keys,
            scheduler: "wlc".to_owned(),
            scheduler_flags: 0,
            persistence: None,
            persistence_engine: None,
            one_packet: false,
            quorum: 1,
            hysteresis: 0,
            sorry_server: None,
            alpha: false,
            omega: false,
            real_servers,
            ha_suspend: false,
            active_set: None,
            min_alive: 0,
            marked: Vec::new(),
        }
    }

    /// The services as people know them: a mark of ours, which another configuration may give to others, is no name.
    pub fn known_as(&self) -> impl Iterator<Item = &ServiceKey> {
        self.marked.iter().chain(self.keys.iter().skip(self.marks_of_ours()))
    }

    /// How many keys, from the first on, are a mark of ours: one for each family of the addresses behind it.
    pub fn marks_of_ours(&self) -> usize {
        let first = self.marked.first().map(ServiceKey::family);
        let another = self.marked.iter().any(|key| Some(key.family()) != first);
        usize::from(first.is_some()) + usize::from(another)
    }

    /// The group whose virtual server this is.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Its transport protocol; none where there are marks alone.
    pub fn protocol(&self) -> Option<TransportProtocol> {
        self.known_as().find_map(ServiceKey::protocol)
    }

    /// The service that stands for all of it: one of a protocol, where there is one.
    pub fn service(&self) -> ServiceKey {
        let of_protocol = self.known_as().find(|key| key.protocol().is_some());
        of_protocol.or_else(|| self.known_as().next()).copied().unwrap_or(self.keys[0]) // a plan has one at least
    }

    /// Which of its group's virtual servers it is.
    pub fn kind(&self) -> Kind {
        self.service().kind()
    }

    /// Do its checks rest when this node has the addresses `held`? As keepalived: those of marks never do.
    pub fn is_suspended(&self, held: &BTreeSet<IpAddr>) -> bool {
        let elsewhere = |key: &ServiceKey| match key {
            ServiceKey::Endpoint { address, .. } => !held.contains(address),
            ServiceKey::FwMark { .. } => false,
        };
        self.ha_suspend && self.keys.iter().all(elsewhere)
    }
}

/// The server of last resort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Address and port.
    pub endpoint: SocketAddr,
    /// Forwarding.
    pub forwarding: ForwardingMethod,
    /// Keep it in the table with weight 0 while it is not used.
    pub inhibit: bool,
}

/// One `real_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Address and port; what the kernel has of it is [`ForwardingMethod::destination`].
    pub endpoint: SocketAddr,
    /// Configured weight, 0 to 2147483647.
    pub weight: u32,
    /// Forwarding.
    pub forwarding: ForwardingMethod,
    /// On failure keep the destination with weight 0 instead of removing it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inhibit_on_failure: bool,
    /// Upper connection threshold, 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upper_threshold: u32,
    /// Lower connection threshold, 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lower_threshold: u32,
    /// Its checks; a server without any is always up.
    #[serde(deserialize_with = "exact")]
    pub checkers: Vec<CheckerPlan>,
    /// `set`: the set of servers that it belongs to. There may be a million servers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub set: Option<Box<str>>,
    /// `slow_start`: how long the weight takes to grow once the server is back; zero for at once.
    #[serde(default, skip_serializing_if = "is_default", with = "brief")]
    pub slow_start: Duration,
}

/// Persistence timeout that keepalived takes when none is written, in seconds.
pub const DEFAULT_PERSISTENCE: Duration = Duration::from_secs(360);
