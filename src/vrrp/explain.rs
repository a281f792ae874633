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
            TransitionCause::Recovered(reasons) => {
                write!(f, "FAULT is over; its cause was: {}", reasons.join("; "))
            }
            TransitionCause::LinkRemade { silence_ms } => {
                write!(
                    f,
                    "its virtual interface is back, {silence_ms} ms after its last advertisement: its peers still wait"
                )
            }
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

/// What is worth saying of a packet that was refused; the packet itself is gone by the time it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    destination: IpAddr,
    hop_limit: u8,
    /// Octets.
    length: usize,
    /// Of VRRP, as its first octet has it.
    version: u8,
    /// Behind an authentication header.
    sealed: bool,
}

impl From<Inbound<'_>> for Looks {
    fn from(packet: Inbound<'_>) -> Looks {
        let Inbound { source: _, destination, hop_limit, bytes, sealed } = packet;
        let version = bytes.first().map_or(0, |first| first >> 4);
        Looks { destination, hop_limit, length: bytes.len(), version, sealed: sealed.is_some() }
    }
}

/// Why a packet was not acted upon.
pub(super) fn refusal(looks: Looks, reason: Discard) -> String {
    let Looks { destination, hop_limit, length, version, sealed } = looks;
    let words = match reason {
        Discard::Length => return format!("its length, {length} octets, is wrong"),
        Discard::HopLimit => {
            return format!("its TTL is {hop_limit}, not 255: it crossed a router or is forged");
        }
        Discard::Version => return format!("it speaks VRRP version {version}"),
        Discard::PeerHopLimit => {
            return format!("its TTL, {hop_limit}, is outside min_ttl and max_ttl of that peer");
        }
        Discard::Destination => {
            return format!("it was sent to {destination}, where this router does not listen");
        }
        Discard::HeaderPresence if sealed => {
            "it comes behind an authentication header (auth_type AH), and ours have none"
        }
        Discard::HeaderPresence => "it has no authentication header (auth_type AH)",
        Discard::TrailerMissing => "it is not signed (auth_hmac)",
        Discard::TrailerMalformed => "its signature is of an unknown type (auth_hmac)",
        Discard::TrailerKey => "it is signed with a key that is not configured here (auth_hmac)",
        Discard::TrailerStale => {
            "it was signed too long ago or in the future: compare the clocks (auth_hmac time_window)"
        }
        Discard::TrailerHmac => "its signature is wrong: another key, or a forgery (auth_hmac)",
        Discard::TrailerReplay => "it was sent before: a replay (auth_hmac)",
        Discard::HeaderIndex => "the index in its authentication header is not its sender",
        Discard::HeaderReplay => {
            "the sequence number of its authentication header was used before: a replay, or its sender began anew"
        }
        Discard::HeaderValue => {
            "the check value of its authentication header is wrong: another password, or a forgery"
        }
        Discard::Owner => "this router owns the addresses and listens to nobody",
        Discard::Sender => "its sender is not one of our unicast peers",
        Discard::AuthType => "its authentication type is not ours",
        Discard::AuthMismatch => "its password is not ours",
        Discard::Interval => "its advertisement interval is not ours",
        Discard::Type => "it is no advertisement",
        Discard::Checksum => "its checksum is wrong",
        Discard::OwnPacket => "it is our own",
        Discard::NotListening => "this router does not take part now",
        Discard::UnknownRouter => "no router here has its VRID",
    };
    words.to_owned()
}

/// What to do about advertisements that are refused for this reason.
pub(super) fn remedy(reason: Discard) -> &'static str {
    match reason {
        Discard::Version => "give both nodes the same vrrp_version (or version of the instance)",
        Discard::AuthType | Discard::AuthMismatch | Discard::HeaderPresence | Discard::HeaderValue => {
            "make the authentication blocks of both nodes alike"
        }
        Discard::TrailerMissing | Discard::TrailerMalformed | Discard::TrailerKey | Discard::TrailerHmac => {
            "make the auth_hmac blocks of both nodes alike"
        }
        Discard::TrailerStale => "set the clocks of both nodes",
        Discard::Interval => "give both nodes the same advert_int",
        Discard::Checksum => {
            "compare version, v3_checksum_as_v2 and old_unicast_checksum of both nodes; else something on the way damages packets"
        }
        Discard::Length => {
            "compare version and auth_hmac of both nodes; else something on the way damages packets"
        }
        Discard::Destination => "give both nodes a unicast_peer, or neither; with multicast the same group",
        Discard::Sender => "add it to unicast_peer here, or take this node out of its own",
        Discard::PeerHopLimit => "compare min_ttl and max_ttl of that peer with the way to it",
        Discard::HopLimit
        | Discard::Type
        | Discard::HeaderIndex
        | Discard::HeaderReplay
        | Discard::TrailerReplay
        | Discard::Owner
        | Discard::OwnPacket
        | Discard::NotListening
        | Discard::UnknownRouter => "find out who sends it",
    }
}

/// Why a packet was not acted upon, and what to look at.
pub(super) fn discard_sentence(name: &str, packet: Inbound<'_>, reason: Discard) -> String {
    let (from, what) = (packet.source, refusal(packet.into(), reason));
    let consequence = if splits_the_router(reason) {
        "; this node does not hear that Master: both may come to hold the addresses; make the configurations agree"
    } else {
        ""
    };
    format!("({name}) advertisement from {from} discarded: {what}{consequence}")
}

/// Another list of addresses than ours.
pub(super) struct Difference {
    /// Which.
    pub what: String,
    /// Is the sender another virtual router altogether?
    pub stranger: bool,
}

impl Difference {
    /// Between what we advertise and what somebody else does.
    pub fn of(ours: &[IpAddr], theirs: &[IpAddr]) -> Difference {
        let extra: Vec<&IpAddr> = theirs.iter().filter(|address| !ours.contains(address)).collect();
        let missing: Vec<&IpAddr> = ours.iter().filter(|address| !theirs.contains(address)).collect();
        if !theirs.is_empty() && extra.len() == theirs.len() && !ours.is_empty() {
            return Difference { what: list(&extra), stranger: true };
        }
        let what = match (extra.is_empty(), missing.is_empty()) {
            (false, false) => format!("advertises also {} and not {}", list(&extra), list(&missing)),
            (false, true) => format!("advertises also {}", list(&extra)),
            (true, false) => format!("does not advertise {}", list(&missing)),
            (true, true) => "advertises some address twice".to_owned(),
        };
        Difference { what, stranger: false }
    }
}

/// The same for the log; `free` is a VRID that nobody uses.
pub(super) fn difference_sentence(
    plan: &KeptPlan,
    from: IpAddr,
    ours: &[IpAddr],
    theirs: &[IpAddr],
    free: Option<VirtualRouterId>,
) -> String {
    let (name, KeptKey { interface, vrid, .. }) = (&plan.name, &plan.key);
    let Difference { what, stranger } = Difference::of(ours, theirs);
    if stranger {
        let free = is_free(free);
        return format!(
            "({name}) {from} uses VRID {vrid} on {interface} for none of our addresses but {what}: it seems to be another \
             virtual router, and only one of the two can be Master; give one of them another VRID{free}"
        );
    }
    format!("({name}) {from} {what}: compare the configurations")
}

/// `; VRID 7 is free as far as was heard`.
pub(super) fn is_free(free: Option<VirtualRouterId>) -> String {
    free.map_or(String::new(), |vrid| format!("; VRID {vrid} is free as far as was heard"))
}

fn list(addresses: &[&IpAddr]) -> String {
    let named: Vec<String> = addresses.iter().take(NAMED_ADDRESSES).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(NAMED_ADDRESSES) {
        0 => named.join(", "),
        more => format!("{} (+{more} more)", named.join(", ")),
    }
}

/// Does every advertisement of the sender meet this fate? Then two routers of one VRID do not hear each other.
pub(super) fn splits_the_router(reason: Discard) -> bool {
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
        | Discard::Destination
        | Discard::Interval => true,
        Discard::Length
        | Discard::HeaderIndex
        | Discard::HeaderReplay
        | Discard::TrailerReplay
        | Discard::Owner
        | Discard::HopLimit
        | Discard::Type
        | Discard::OwnPacket
        | Discard::NotListening
        | Discard::UnknownRouter => false,
    }
}
