//! Sentences for people.

use super::context::PriorityChange;
use super::event::{Received, TransitionCause};
use crate::wire::vrrp::Discard;
use std::fmt;

/// More routers than this, changed by one event, share one sentence.
const MANY_ROUTERS: usize = 10;

/// Of these, so many are named.
const NAMED_ROUTERS: usize = 3;

impl fmt::Display for TransitionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransitionCause::Started => f.write_str("started, listening for a Master"),
            TransitionCause::Owner => f.write_str("owns the addresses (priority 255)"),
            TransitionCause::MasterDown { last: Some(last), silence_ms } => {
                write!(f, "no advertisement for {}, last from {last}", seconds(*silence_ms))
            }
            TransitionCause::MasterDown { last: None, silence_ms } => {
                write!(f, "no advertisement from anybody for {}", seconds(*silence_ms))
            }
            TransitionCause::MasterResigned { by } => write!(f, "{by} resigned (priority 0)"),
            TransitionCause::Outranked { by, priority } => {
                write!(f, "{by} is stronger (priority {priority})")
            }
            TransitionCause::Preempted { from, priority } => {
                write!(f, "preempted {from}, which is weaker (priority {priority})")
            }
            TransitionCause::Group { group, member, cause } => {
                write!(f, "sync group {group}: {member}: {cause}")
            }
            TransitionCause::Waiting(reasons) => write!(f, "waits: {}", reasons.join("; ")),
            TransitionCause::Fault(reasons) => f.write_str(&reasons.join("; ")),
            TransitionCause::Recovered(reasons) => write!(f, "no longer: {}", reasons.join("; ")),
            TransitionCause::AddressLost { cidr } => write!(f, "somebody else removed {cidr}"),
            TransitionCause::Removed => f.write_str("removed by the reload"),
            TransitionCause::Stopped => f.write_str("stopped"),
            TransitionCause::Orphaned => f.write_str("the supervisor is gone"),
        }
    }
}

/// Sentences about the priorities that one event changed: one for each router, or one for many.
pub(super) fn priority_sentences(changes: &[PriorityChange], cause: &str) -> impl Iterator<Item = String> {
    let many = (changes.len() > MANY_ROUTERS).then(|| {
        let named: Vec<String> = changes
            .iter()
            .take(NAMED_ROUTERS)
            .map(|PriorityChange { name, from, to }| format!("{name} from {from} to {to}"))
            .collect();
        let (all, rest) = (changes.len(), changes.len() - NAMED_ROUTERS);
        let named = named.join(", ");
        format!("the effective priority of {all} routers changes: {named} (+{rest} more): {cause}")
    });
    let few = if many.is_some() { &[] } else { changes };
    let each = few.iter().map(move |PriorityChange { name, from, to }| {
        format!("({name}) effective priority changes from {from} to {to}: {cause}")
    });
    each.chain(many)
}

/// Milliseconds as people read them: `3.609 s`, `35 ms`.
fn seconds(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{:03} s", ms / 1000, ms % 1000) }
}

/// Why a packet was not acted upon, and what to look at.
pub(super) fn discard_sentence(name: &str, packet: &Received, reason: Discard) -> String {
    let Received { source, destination, hop_limit, bytes, .. } = packet;
    let what = match reason {
        Discard::Length => format!("its length, {} octets, is wrong", bytes.len()),
        Discard::HopLimit => format!("its TTL is {hop_limit}, not 255: it crossed a router or is forged"),
        Discard::Version => {
            format!("it speaks VRRP version {}", bytes.first().map_or(0, |first| first >> 4))
        }
        Discard::AuthType => "its authentication type is not ours".to_owned(),
        Discard::AuthMismatch => "its password is not ours".to_owned(),
        Discard::Interval => "its advertisement interval is not ours".to_owned(),
        Discard::Type => "it is no advertisement".to_owned(),
        Discard::Checksum => "its checksum is wrong".to_owned(),
        Discard::Destination => format!("it was sent to {destination}, where this router does not listen"),
        Discard::OwnPacket => "it is our own".to_owned(),
        Discard::NotListening => "this router does not take part now".to_owned(),
        Discard::UnknownRouter => "no router here has its VRID".to_owned(),
    };
    let consequence = if splits_the_router(reason) {
        "; this node does not hear that Master: both may come to hold the addresses; make the configurations agree"
    } else {
        ""
    };
    format!("({name}) advertisement from {source} discarded: {what}{consequence}")
}

/// Does every advertisement of the sender meet this fate? Then two routers of one VRID do not hear each other.
fn splits_the_router(reason: Discard) -> bool {
    match reason {
        Discard::Version
        | Discard::AuthType
        | Discard::AuthMismatch
        | Discard::Checksum
        | Discard::Interval => true,
        Discard::Length
        | Discard::HopLimit
        | Discard::Type
        | Discard::Destination
        | Discard::OwnPacket
        | Discard::NotListening
        | Discard::UnknownRouter => false,
    }
}
