//! Sentences for people.

use super::accept::Inbound;
use super::context::PriorityChange;
use super::event::TransitionCause;
use super::kept::{KeptKey, KeptPlan};
use crate::net::VirtualRouterId;
use crate::wire::vrrp::Discard;
use std::fmt;
use std::net::IpAddr;

/// More routers than this, changed by one event, share one sentence.
const MANY_ROUTERS: usize = 10;

/// Addresses that a sentence names; the rest is counted.
const NAMED_ADDRESSES: usize = 3;

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
            TransitionCause::RoutingLost { what } => write!(f, "somebody else removed {what}"),
            TransitionCause::Removed => f.write_str("removed by the reload"),
            TransitionCause::Stopped => f.write_str("stopped"),
            TransitionCause::Paused { silence_ms } => {
                write!(
                    f,
                    "this process stood still for {silence_ms} ms, longer than its peers wait: listening first"
                )
            }
            TransitionCause::HandedOver { to } => write!(f, "handed over to {to} by order"),
            TransitionCause::Ordered => f.write_str("gave up by order"),
            TransitionCause::Orphaned => f.write_str("the supervisor is gone"),
            TransitionCause::Resumed { silence_ms } => {
                write!(
                    f,
                    "goes on where the process before this one stopped, {silence_ms} ms after its last advertisement"
                )
            }
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
pub(super) fn discard_sentence(name: &str, packet: Inbound<'_>, reason: Discard) -> String {
    let Inbound { source, destination, hop_limit, bytes, sealed } = packet;
    let what = match reason {
        Discard::Length => format!("its length, {} octets, is wrong", bytes.len()),
        Discard::HopLimit => format!("its TTL is {hop_limit}, not 255: it crossed a router or is forged"),
        Discard::Version => {
            format!("it speaks VRRP version {}", bytes.first().map_or(0, |first| first >> 4))
        }
        Discard::HeaderPresence if sealed.is_some() => {
            "it comes behind an authentication header (auth_type AH), and ours have none".to_owned()
        }
        Discard::HeaderPresence => "it has no authentication header (auth_type AH)".to_owned(),
        Discard::TrailerMissing => "it is not signed (auth_hmac)".to_owned(),
        Discard::TrailerMalformed => "its signature is of an unknown type (auth_hmac)".to_owned(),
        Discard::TrailerKey => "it is signed with a key that is not configured here (auth_hmac)".to_owned(),
        Discard::TrailerStale => {
            "it was signed too long ago or in the future: compare the clocks (auth_hmac time_window)".to_owned()
        }
        Discard::TrailerHmac => "its signature is wrong: another key, or a forgery (auth_hmac)".to_owned(),
        Discard::TrailerReplay => "it was sent before: a replay (auth_hmac)".to_owned(),
        Discard::HeaderIndex => "the index in its authentication header is not its sender".to_owned(),
        Discard::HeaderReplay => {
            "the sequence number of its authentication header was used before: a replay, or its sender began anew"
                .to_owned()
        }
        Discard::HeaderValue => {
            "the check value of its authentication header is wrong: another password, or a forgery".to_owned()
        }
        Discard::Owner => "this router owns the addresses and listens to nobody".to_owned(),
        Discard::Sender => "its sender is not one of our unicast peers".to_owned(),
        Discard::PeerHopLimit => {
            format!("its TTL, {hop_limit}, is outside min_ttl and max_ttl of that peer")
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

/// Another list of addresses than ours: which, and whether the sender is another virtual router altogether.
pub(super) fn difference_sentence(
    plan: &KeptPlan,
    from: IpAddr,
    ours: &[IpAddr],
    theirs: &[IpAddr],
    free: Option<VirtualRouterId>,
) -> String {
    let (name, KeptKey { interface, vrid, .. }) = (&plan.name, &plan.key);
    let extra: Vec<&IpAddr> = theirs.iter().filter(|address| !ours.contains(address)).collect();
    let missing: Vec<&IpAddr> = ours.iter().filter(|address| !theirs.contains(address)).collect();
    if !theirs.is_empty() && extra.len() == theirs.len() && !ours.is_empty() {
        let free = free.map_or(String::new(), |vrid| format!("; VRID {vrid} is free as far as was heard"));
        return format!(
            "({name}) {from} uses VRID {vrid} on {interface} for none of our addresses but {}: it seems to be another \
             virtual router, and only one of the two can be Master; give one of them another VRID{free}",
            list(&extra)
        );
    }
    let also = if extra.is_empty() { String::new() } else { format!(" also {}", list(&extra)) };
    let lacks = if missing.is_empty() { String::new() } else { format!(" not {}", list(&missing)) };
    let both = if also.is_empty() || lacks.is_empty() { "" } else { " and" };
    let what = if also.is_empty() && lacks.is_empty() { " some address twice" } else { "" };
    format!("({name}) {from} advertises{also}{both}{lacks}{what}: compare the configurations")
}

fn list(addresses: &[&IpAddr]) -> String {
    let named: Vec<String> = addresses.iter().take(NAMED_ADDRESSES).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(NAMED_ADDRESSES) {
        0 => named.join(", "),
        more => format!("{} (+{more} more)", named.join(", ")),
    }
}

/// Does every advertisement of the sender meet this fate? Then two routers of one VRID do not hear each other.
fn splits_the_router(reason: Discard) -> bool {
    match reason {
        Discard::Version
        | Discard::AuthType
        | Discard::AuthMismatch
        | Discard::HeaderPresence
        | Discard::HeaderValue
        | Discard::TrailerMissing
        | Discard::TrailerMalformed
        | Discard::TrailerKey
        | Discard::TrailerStale
        | Discard::TrailerHmac
        | Discard::Sender
        | Discard::PeerHopLimit
        | Discard::Checksum
        | Discard::Interval => true,
        Discard::Length
        | Discard::HeaderIndex
        | Discard::HeaderReplay
        | Discard::TrailerReplay
        | Discard::Owner
        | Discard::HopLimit
        | Discard::Type
        | Discard::Destination
        | Discard::OwnPacket
        | Discard::NotListening
        | Discard::UnknownRouter => false,
    }
}
