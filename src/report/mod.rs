//! Versioned snapshots of what the daemon knows, for `holdfastctl`, for tests, for other programs.
//! The JSON of `holdfastctl --json` is exactly these types.

pub mod bfd;
pub mod check;
pub mod checks;
pub mod dumps;
pub mod mib;
pub mod scripts;
pub mod snmp;
pub mod traffic;
pub mod vrrp;

pub use bfd::{BfdSessionStatus, BfdStatus};
pub use checks::{CheckNowReport, ChecksReport, ServerFilter};
pub use scripts::{ScriptsStatus, TrackerStatus};
pub use snmp::{RealServerState, SnmpStatus, VirtualServerState};
pub use traffic::{OverrideStatus, TrafficOutcome};

use crate::net::{AddressFamily, IpCidr, Priority};
use crate::plan::Generation;
use crate::plan::lvs::ServiceKey;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Version of the JSON layout; grows when a field changes its meaning or goes away.
pub const VERSION: u32 = 1;

/// `1 server`, `2 servers`: a number in what people read.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `holdfastctl status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The daemon itself.
    pub daemon: DaemonStatus,
    /// The virtual routers; `None` when the vrrp role does not run or does not answer (see `daemon.roles`).
    pub vrrp: Option<VrrpStatus>,
    /// The virtual servers; `None` when the checker role does not run or does not answer.
    pub checker: Option<CheckerStatus>,
    /// Tracked scripts, files and processes; `None` when the scripts role does not run or does not answer.
    #[serde(default)]
    pub scripts: Option<ScriptsStatus>,
    /// BFD sessions; `None` when the bfd role does not run or does not answer.
    #[serde(default)]
    pub bfd: Option<BfdStatus>,
    /// The SNMP agent; `None` when the snmp role does not run or does not answer.
    #[serde(default)]
    pub snmp: Option<SnmpStatus>,
    /// The latest changes of state, oldest first; at most a hundred.
    #[serde(default)]
    pub transitions: Vec<RecentTransition>,
}

/// A change of a router's state that the supervisor heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentTransition {
    /// Instance name, or `sync group NAME`.
    pub router: String,
    /// `INIT`, `BACKUP`, `MASTER` or `FAULT`.
    pub from: String,
    /// The same.
    pub to: String,
    /// Why, one sentence.
    pub cause: String,
    /// Effective priority at that moment; 0 for a group.
    pub priority: Priority,
    /// When, in seconds since 1970 (UTC).
    pub unix_seconds: u64,
    /// How long ago, by a clock that nobody sets.
    pub seconds_ago: u64,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Program version.
    pub program: String,
    /// Supervisor's process id.
    pub pid: u32,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// Configuration file.
    pub configuration: String,
    /// Which configuration is in force.
    pub generation: Generation,
    /// Outcome of the last reload when it was refused: the diagnostics.
    pub refused_reload: Option<String>,
    /// Errors in the configuration in force: what they concern is left out, as in keepalived.
    pub configuration_errors: usize,
    /// Keywords accepted without effect, one sentence each.
    pub not_yet: Vec<String>,
    /// The roles.
    pub roles: Vec<RoleStatus>,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleStatus {
    /// `vrrp`, `checker`, ...
    pub name: String,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// How often it was restarted.
    pub restarts: u32,
    /// Plan generation it reported last.
    pub generation: Option<Generation>,
    /// Why it does not run, or answers late; empty when all is well.
    pub trouble: Option<String>,
    /// Messages that it did not take in time and that were dropped.
    #[serde(default)]
    pub dropped: u64,
    /// What its process may do; `None` while it does not run.
    #[serde(default)]
    pub rights: Option<Rights>,
}

/// What a process may do, as the kernel tells it (proc_pid_status(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Capabilities in force, as capabilities(7) calls them, in lower case without `CAP_`.
    pub capabilities: Vec<String>,
    /// Are these all that the supervisor has?
    pub all_of_the_daemon: bool,
    /// No program that it runs gets more.
    pub no_new_privileges: bool,
    /// System calls are refused to it by a filter (seccomp).
    pub seccomp: bool,
    /// Files are refused to it by rules of this version of Landlock; by its own word, as the kernel does not tell.
    pub landlock: Option<u32>,
}

/// The vrrp role's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// The routers in the order of the file.
    pub routers: Vec<RouterStatus>,
    /// Static addresses, routes and rules.
    #[serde(default)]
    pub statics: Vec<RoutingStatus>,
    /// The sync groups in the order of the file.
    #[serde(default)]
    pub groups: Vec<GroupStatus>,
    /// What concerns no single router: packets of unknown VRIDs, datagrams whose lengths lie, messages to the
    /// supervisor that were dropped, times the kernel's news were lost.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// Nothing is noted for the next process: one that follows this one begins a new election.
    #[serde(default)]
    pub unrecorded: bool,
}

/// One sync group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// `INIT`, `BACKUP`, `MASTER` or `FAULT`: FAULT if one member is, MASTER if all are.
    pub state: String,
    /// Why, with the member that began it.
    pub reason: String,
    /// Seconds in that state.
    pub since_seconds: u64,
    /// Instance names in the order of the group.
    pub members: Vec<String>,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Instance name.
    pub name: String,
    /// Interface.
    pub interface: String,
    /// VRID.
    pub vrid: u8,
    /// Family.
    pub family: AddressFamily,
    /// Protocol version, 2 or 3.
    pub version: u8,
    /// `INIT`, `BACKUP`, `MASTER` or `FAULT`.
    pub state: String,
    /// Why it is in that state, one sentence.
    pub reason: String,
    /// Seconds in that state.
    pub since_seconds: u64,
    /// Configured priority.
    pub base_priority: Priority,
    /// Priority in force.
    pub priority: Priority,
    /// Own interval in milliseconds.
    pub interval_ms: u64,
    /// The Master heard last, when this node is not Master.
    pub master: Option<MasterSeen>,
    /// Virtual addresses.
    pub addresses: Vec<AddressStatus>,
    /// Virtual routes, then rules.
    #[serde(default)]
    pub routing: Vec<RoutingStatus>,
    /// `notify_claim`, while it is Master.
    #[serde(default)]
    pub claim: Option<ClaimStatus>,
    /// Counters by name; see docs for their meaning. Sorted by name.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// Microseconds in that state.
    #[serde(default)]
    pub since_us: u64,
    /// Would it be Master, if its sync group let it?
    #[serde(default)]
    pub wants_master: bool,
    /// A Master that hands over: resigned, its addresses still there.
    #[serde(default)]
    pub hands_over: bool,
    /// Its `unicast_src_ip`, where no interface has it: it does not hear its peers.
    #[serde(default)]
    pub missing_source: Option<IpAddr>,
    /// Who on the wire does not go together with it, now.
    #[serde(default)]
    pub at_odds: Vec<AtOddsStatus>,
}

/// Somebody whose advertisements are refused, or differ, or who is a second Master; for as long as it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtOddsStatus {
    /// Who.
    pub from: IpAddr,
    /// The counter that has its packets, such as `discard_auth_mismatch`.
    pub counter: String,
    /// What is the matter, a sentence about it.
    pub what: String,
    /// What it means for the traffic.
    pub meaning: String,
    /// What to do.
    pub advice: String,
    /// Packets of it.
    pub times: u64,
    /// Seconds since the first of them.
    pub for_seconds: u64,
    /// Milliseconds since the last.
    pub last_ms: u64,
}

/// A Master's claim script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimStatus {
    /// Has it exited 0? The addresses wait for that.
    pub granted: bool,
    /// Has it failed, and not succeeded since?
    #[serde(default)]
    pub has_failed: bool,
    /// Where it stands, a few words.
    pub words: String,
}

/// The Master that a Backup listens to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterSeen {
    /// Address.
    pub address: IpAddr,
    /// Priority.
    pub priority: Priority,
    /// Milliseconds until it is considered down.
    pub down_in_ms: u64,
    /// The interval of its advertisements by which that is reckoned, in milliseconds.
    #[serde(default)]
    pub interval_ms: u64,
}

/// A route, a rule or a static address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingStatus {
    /// What it is, in the words of ip(8): `route 10.0.0.0/24 via 192.0.2.254 dev eth0`.
    pub what: String,
    /// Is it there, put there by us?
    pub installed: bool,
    /// Why the kernel refused it, in its words.
    pub error: Option<String>,
}

/// A virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// Address and prefix.
    pub address: IpCidr,
    /// Interface that holds it.
    pub interface: String,
    /// Is it installed by us?
    pub installed: bool,
    /// Why not, when it should be.
    pub error: Option<String>,
}

/// The checker role's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerStatus {
    /// Why the kernel's table cannot be programmed, if so.
    pub ipvs_error: Option<String>,
    /// The virtual servers.
    pub virtual_servers: Vec<VirtualServerStatus>,
    /// How long verdicts took to get into the kernel's table; `None` before the first.
    #[serde(default)]
    pub table_latency: Option<TableLatency>,
    /// What is said of traffic by hand.
    #[serde(default)]
    pub overrides: Vec<OverrideStatus>,
    /// Where the table is.
    #[serde(default)]
    pub table: Option<TableHome>,
}

/// The network namespace of the daemon's IPVS table: every namespace has a table of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableHome {
    /// The file that leads there: `/run/netns/NAME`, or `/proc/PID/ns/net`.
    pub path: String,
    /// What tells it from others: the file's inode.
    pub inode: u64,
}

/// From the moment a verdict was reached until the kernel had acknowledged what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLatency {
    /// Batches of changes.
    pub changes: u64,
    /// Mean, in microseconds.
    pub mean_us: u64,
    /// The longest, in microseconds.
    pub worst_us: u64,
    /// The last, in microseconds.
    pub last_us: u64,
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServerStatus {
    /// Name as configured.
    pub name: String,
    /// Is the quorum met?
    pub up: bool,
    /// Sum of the weights of servers that are up.
    pub live_weight: u64,
    /// Wanted.
    pub quorum: u32,
    /// Margin around the quorum: it is gained at `quorum + hysteresis`, lost below `quorum - hysteresis`.
    pub hysteresis: u32,
    /// Does the sorry server serve?
    pub sorry_server_in_use: bool,
    /// The real servers.
    pub real_servers: Vec<RealServerStatus>,
    /// The kernel's services behind it.
    #[serde(default)]
    pub services: Vec<ServiceKey>,
    /// Of the servers that belong to a set, only those of this one get traffic.
    #[serde(default)]
    pub active_set: Option<String>,
    /// So many servers stay in service even when their checks fail (`min_alive`).
    #[serde(default)]
    pub min_alive: u32,
}

/// One real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServerStatus {
    /// Address and port.
    pub endpoint: SocketAddr,
    /// Weight in force, when it is up: given by hand, or the configured one and what checks say of it.
    pub weight: u32,
    /// Is it in service as far as checks say?
    pub up: bool,
    /// Its checkers.
    pub checkers: Vec<CheckerDetail>,
    /// Configured weight.
    #[serde(default)]
    pub configured_weight: u32,
    /// The weight that it grows to (`slow_start`), while it does.
    #[serde(default)]
    pub grows_to: Option<u32>,
    /// Why the weight is not the configured one, if somebody decided that.
    #[serde(default)]
    pub by_hand: Option<String>,
    /// The set that it belongs to.
    #[serde(default)]
    pub set: Option<String>,
    /// Of what is down: the check that failed, and how.
    #[serde(default)]
    pub cause: Option<String>,
    /// Seconds since it came up or went down, or since it is known.
    #[serde(default)]
    pub since_seconds: u64,
    /// Is it kept in service although its checks fail (`min_alive`)?
    #[serde(default)]
    pub kept: bool,
}

/// One checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerDetail {
    /// `PING_CHECK`, `TCP_CHECK`, `HTTP_GET`.
    pub kind: String,
    /// `up`, `down`, `unknown` (not asked yet), `cannot run` (our own trouble) or `suspended` (`ha_suspend`).
    pub state: String,
    /// Last result in words.
    pub last_result: Option<String>,
    /// Latency of the last success in microseconds.
    pub latency_us: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// What the program of a failing MISC_CHECK printed, at most 4 KiB.
    #[serde(default)]
    pub output: Option<String>,
}
