//! What goes into the core and what comes out.

use crate::plan::bfd::BfdPlan;
use crate::plan::track::{Sample, TrackerKey};
use crate::time::Instant;
use crate::wire::bfd::{Diagnostic, PACKET_LEN, State};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Names a session inside one core, for as long as it lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u32);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A new plan: the first one, or a reload.
    Plan(BfdPlan),
    /// A datagram arrived on one of BFD's ports.
    Packet(Received),
    /// The kernel did not send what [`Action::Transmit`] asked for (the reason), or sends again (`None`).
    Sending(SessionId, Option<String>),
    /// Bring every session down, tell the neighbours, and end.
    Stop,
}

/// A datagram as the socket delivered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Sender.
    pub source: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Did it come to the port of multihop sessions?
    pub multihop: bool,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}

/// Something the driver must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a packet now.
    Transmit {
        /// Of which session: each has a source port of its own (RFC 5881 4).
        session: SessionId,
        /// From where to where.
        path: Path,
        /// The packet.
        bytes: [u8; PACKET_LEN],
    },
    /// The session is gone, and so is its source port.
    Close(SessionId),
    /// A session changed state.
    Notify(Transition),
    /// What trackers of the session are to know.
    Sample {
        /// What they call it.
        tracker: TrackerKey,
        /// Up or Down.
        sample: Sample,
    },
    /// Every session has ended after [`Event::Stop`].
    Stopped,
}

/// How a session's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Source address; the kernel's choice when `None`.
    pub source: Option<IpAddr>,
    /// The neighbour.
    pub neighbor: IpAddr,
    /// To the port of multihop sessions?
    pub multihop: bool,
    /// TTL or hop limit.
    pub ttl: u8,
}

/// A change of state with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The session's name.
    pub name: String,
    /// Its neighbour.
    pub neighbor: IpAddr,
    /// From.
    pub from: State,
    /// To.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Instant,
}

/// Why a session is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The configuration started it, and nothing was heard yet.
    Started,
    /// The neighbour speaks but does not yet hear this node.
    Heard,
    /// Both ends hear each other.
    BothHear,
    /// Nothing was heard for the detection time.
    Silence {
        /// Time without a packet.
        silent: Duration,
        /// The neighbour's Detect Mult.
        multiplier: u8,
        /// The interval agreed upon.
        interval: Duration,
    },
    /// The neighbour went down first and says so.
    NeighborDown(Diagnostic),
    /// The neighbour's operator took it down.
    NeighborAdminDown,
    /// It is no longer in the configuration, or with other addresses.
    Removed,
    /// The daemon ends.
    Stopped,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Started => f.write_str("nothing was heard from the neighbour yet"),
            Reason::Heard => f.write_str("the neighbour is heard, but does not say that it hears this node"),
            Reason::BothHear => f.write_str("both ends hear each other"),
            Reason::Silence { silent, multiplier, interval } => write!(
                f,
                "nothing was heard for {} ms (allowed: {multiplier} times {} ms)",
                milliseconds(*silent),
                milliseconds(*interval)
            ),
            Reason::NeighborDown(Diagnostic::NONE) => f.write_str("the neighbour started its session anew"),
            Reason::NeighborDown(Diagnostic::TIME_EXPIRED) => {
                f.write_str("the neighbour says that it does not hear this node any more")
            }
            Reason::NeighborDown(why) => write!(f, "the neighbour went down: {why}"),
            Reason::NeighborAdminDown => {
                f.write_str("the neighbour's operator took it down (or it is being stopped)")
            }
            Reason::Removed => f.write_str("it is no longer configured like that"),
            Reason::Stopped => f.write_str("the daemon ends"),
        }
    }
}

/// With as many decimals as matter.
fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    if micros.is_multiple_of(1000) {
        (micros / 1000).to_string()
    } else {
        format!("{:.1}", micros as f64 / 1000.0)
    }
}
