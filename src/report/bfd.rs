//! BFD sessions as `holdfastctl bfd` shows them.

use crate::bfd::{Core, Counters, Remote, Session};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The bfd role's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdStatus {
    /// The sessions in the order of the file.
    pub sessions: Vec<BfdSessionStatus>,
    /// What concerns no single session: packets that are malformed or belong to no session, by reason.
    pub counters: BTreeMap<String, u64>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSessionStatus {
    /// Instance name.
    pub name: String,
    /// The other end.
    pub neighbor: IpAddr,
    /// Configured address of this end.
    pub source: Option<IpAddr>,
    /// Port 4784 instead of 3784?
    pub multihop: bool,
    /// `AdminDown`, `Down`, `Init` or `Up` (RFC 5880 6.2).
    pub state: String,
    /// Why it is in that state, one sentence.
    pub reason: String,
    /// Seconds in that state.
    pub since_seconds: u64,
    /// Diagnostic code of this end (RFC 5880 4.1).
    pub diagnostic: u8,
    /// The same in words.
    pub diagnostic_text: String,
    /// Discriminator of this end.
    pub discriminator: u32,
    /// Time between packets sent, in microseconds, before jitter; 0 while none are due.
    pub transmit_interval_us: u64,
    /// Silence after which the neighbour is taken for dead, in microseconds; 0 while it is not known.
    pub detection_time_us: u64,
    /// How often it went up.
    pub ups: u64,
    /// How often it left that state.
    pub downs: u64,
    /// The other end as it describes itself; `None` until it was heard, and after it fell silent.
    pub remote: Option<BfdRemote>,
    /// Why nothing can be sent or heard, if so.
    pub trouble: Option<String>,
    /// Counters by name. Sorted by name.
    pub counters: BTreeMap<String, u64>,
}

/// What the neighbour's last packet said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdRemote {
    /// Its discriminator.
    pub discriminator: u32,
    /// Its state.
    pub state: String,
    /// Its diagnostic code.
    pub diagnostic: u8,
    /// Its Desired Min TX Interval in microseconds.
    pub min_tx_us: u32,
    /// Its Required Min RX Interval in microseconds.
    pub min_rx_us: u32,
    /// Its Detect Mult.
    pub multiplier: u8,
}

/// What the core knows at `now`.
pub fn snapshot(core: &Core, now: Instant) -> BfdStatus {
    BfdStatus {
        sessions: core.sessions().map(|session| session_status(session, now)).collect(),
        // Nothing is sent or answered on behalf of strangers: only the reasons of discard mean something.
        counters: named(core.strangers())
            .into_iter()
            .filter(|(name, _)| name.starts_with("discarded"))
            .collect(),
    }
}

fn session_status(session: &Session, now: Instant) -> BfdSessionStatus {
    let plan = session.plan();
    let (state, reason, since) = session.state();
    let (ups, downs) = session.changes();
    BfdSessionStatus {
        name: plan.name.clone(),
        neighbor: plan.neighbor,
        source: plan.source,
        multihop: plan.multihop,
        state: state.to_string(),
        reason: reason.to_string(),
        since_seconds: now.saturating_duration_since(since).as_secs(),
        diagnostic: session.diagnostic().number(),
        diagnostic_text: session.diagnostic().to_string(),
        discriminator: session.discriminator().get(),
        transmit_interval_us: session.transmit_interval().map_or(0, micros),
        detection_time_us: session.detection_time().map_or(0, micros),
        ups,
        downs,
        remote: session.remote().map(remote_status),
        trouble: session.send_error().map(str::to_owned),
        counters: named(session.counters()),
    }
}

fn remote_status(remote: &Remote) -> BfdRemote {
    let word = |time| u32::try_from(micros(time)).unwrap_or(u32::MAX);
    BfdRemote {
        discriminator: remote.discriminator.get(),
        state: remote.state.to_string(),
        diagnostic: remote.diagnostic.number(),
        min_tx_us: word(remote.desired_min_tx),
        min_rx_us: word(remote.required_min_rx),
        multiplier: remote.multiplier,
    }
}

fn named(counters: &Counters) -> BTreeMap<String, u64> {
    counters.named().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
