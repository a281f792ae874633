//! Which packets a router acts upon: keepalived's checks in keepalived's order, each with a counter.

use super::Core;
use super::context::Context;
use super::event::{Action, LogLevel, Packet, RouterId};
use super::explain::discard_sentence;
use super::router::Router;
use super::state::Phase;
use crate::net::AddressFamily;
use crate::plan::vrrp::{Authentication, HmacMode, OldChecksum, Transport, Version};
use crate::time::Instant;
use crate::wire::ah::Sealed;
use crate::wire::discard::Discard;
use crate::wire::trailer::Sequence;
use crate::wire::vrrp::{Advertisement, Expectation, Path, decode, peek_interval, peek_vrid, split_trailer};
use std::net::IpAddr;

/// A packet taken apart as far as the IP layer goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inbound<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Group or own address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The VRRP message, maybe with a trailer.
    pub bytes: &'a [u8],
    /// The authentication header it came behind.
    pub sealed: Option<&'a Sealed<'a>>,
}

/// An advertisement to act upon, and what is to be remembered of it.
struct Accepted {
    advert: Advertisement,
    signed: Option<Sequence>,
    old_checksum: bool,
}

impl Core {
    /// A packet of IP protocol 112.
    pub(super) fn receive(&mut self, packet: Packet<'_>, now: Instant, actions: &mut Vec<Action>) {
        let Packet { interface, source, destination, hop_limit, bytes } = packet;
        let inbound = Inbound { source, destination, hop_limit, bytes, sealed: None };
        self.dispatch(interface, inbound, now, actions);
    }

    /// A packet of IP protocol 51. One that is not VRRP behind an authentication header is no business of ours.
    pub(super) fn receive_sealed(
        &mut self,
        interface: u32,
        packet: &[u8],
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(sealed) = Sealed::parse(packet) else { return };
        let inbound = Inbound {
            source: sealed.source.into(),
            destination: sealed.destination.into(),
            hop_limit: sealed.hop_limit,
            bytes: sealed.message,
            sealed: Some(&sealed),
        };
        self.dispatch(interface, inbound, now, actions);
    }

    /// The time of day, as far as it concerns anybody here.
    pub(super) fn take_time_of_day(&mut self, unix_nanoseconds: u64, now: Instant) {
        self.day_offset = i64::try_from(i128::from(unix_nanoseconds) - i128::from(now.0)).unwrap_or(0);
    }

    //= RFC9568 7.1 M-34
    fn dispatch(&mut self, interface: u32, packet: Inbound<'_>, now: Instant, actions: &mut Vec<Action>) {
        if self.asleep_until.is_some() {
            return;
        }
        let family = AddressFamily::of(packet.source);
        let meant = |id: RouterId| self.routers.get(&id).is_some_and(|router| router.is_meant(packet));
        let id =
            peek_vrid(packet.bytes).and_then(|vrid| self.receivers.find((interface, family, vrid), meant));
        match id {
            Some(id) => self.with_router(id, now, actions, |router, ctx| router.receive(packet, ctx)),
            None => self.hear_stranger((interface, family), packet, now, actions),
        }
    }
}

impl Router {
    /// Of several routers of one VRID: is it for this one? Unicast ones are told apart by the sender.
    fn is_meant(&self, packet: Inbound<'_>) -> bool {
        match &self.plan.transport {
            Transport::Multicast { .. } => Some(packet.destination) == self.group(),
            Transport::Unicast { peers, .. } => {
                !packet.destination.is_multicast() && peers.contains(&packet.source)
            }
        }
    }

    /// Judge a packet. What is refused is counted, and said once for each reason and state.
    pub(super) fn accept(&mut self, packet: Inbound<'_>, ctx: &mut Context) -> Option<Advertisement> {
        let judged = self.judge(packet, ctx.unix_nanoseconds()).and_then(|accepted| {
            self.stats.received += 1;
            self.note_differences(&accepted.advert, packet.source, ctx);
            self.judge_sender(packet).map(|()| accepted)
        });
        match judged {
            Ok(accepted) => {
                self.end_refused(packet.source);
                self.remember(packet, &accepted, ctx);
                Some(accepted.advert)
            }
            Err(reason) => {
                self.stats.discard(reason);
                if !matches!(reason, Discard::NotListening | Discard::OwnPacket | Discard::Owner) {
                    self.refuse(packet, reason, ctx);
                }
                None
            }
        }
    }

    /// One that somebody should look at.
    fn refuse(&mut self, packet: Inbound<'_>, reason: Discard, ctx: &mut Context) {
        let interval = peek_interval(packet.bytes);
        let begins = self.note_refused(packet.source, reason, packet.into(), interval, ctx.now);
        let first = self.said.first(reason as u32);
        if self.may_say_odds(begins, first, ctx.now) {
            ctx.log(LogLevel::Warning, discard_sentence(&self.plan.name, packet, reason));
        }
    }

    /// Everything up to the moment at which keepalived counts an advertisement as received.
    //= RFC9568 7.1 M-46
    //= RFC9568 8.4 M-101
    //= keepalived M-109
    fn judge(&self, packet: Inbound<'_>, unix_nanoseconds: u64) -> Result<Accepted, Discard> {
        if matches!(self.phase, Phase::Initialize | Phase::Fault) {
            return Err(Discard::NotListening);
        }
        let sealed = matches!(self.plan.authentication, Authentication::Header(_));
        if sealed != packet.sealed.is_some() {
            return Err(Discard::HeaderPresence);
        }
        let (message, signed) = self.check_trailer(packet, unix_nanoseconds);
        let group = self.group();
        let expected = Expectation {
            version: self.plan.version,
            authentication: &self.plan.authentication,
            interval: self.own_interval(),
            checksum: self.plan.checksum,
            //= RFC9568 7.1 M-29
            hop_limit_255: group.is_some(),
            trailer: signed.map(|_| ()),
            header: self.check_header(packet),
        };
        let Inbound { source, destination, hop_limit, .. } = packet;
        let path = Path { source, destination, hop_limit };
        let (advert, old_checksum) = match decode(message, path, expected) {
            Err(Discard::Checksum) if self.may_sum_as_before(destination) => {
                let group = self.plan.key.family.vrrp_group();
                (decode(message, Path { destination: group, ..path }, expected)?, true)
            }
            decoded => (decoded?, false),
        };
        let suits = match group {
            Some(group) => destination == group,
            None => !destination.is_multicast(),
        };
        if !suits {
            return Err(Discard::Destination);
        }
        //= RFC9568 7.1 M-35
        if self.plan.wire.owner_ignores && self.plan.priority.is_owner() {
            return Err(Discard::Owner);
        }
        if Some(source) == self.source {
            return Err(Discard::OwnPacket);
        }
        Ok(Accepted { advert, signed: signed.ok().flatten(), old_checksum })
    }

    /// The message without its trailer, and what is to be thought of that.
    fn check_trailer<'a>(
        &self,
        packet: Inbound<'a>,
        unix_nanoseconds: u64,
    ) -> (&'a [u8], Result<Option<Sequence>, Discard>) {
        // Without `auth_hmac` a trailer is a wrong length, as in keepalived.
        let Some(policy) = &self.plan.wire.hmac else { return (packet.bytes, Ok(None)) };
        let Some((message, trailer)) = split_trailer(packet.bytes, self.plan.key.family) else {
            return (packet.bytes, Err(Discard::Length));
        };
        let found = match trailer {
            Some(octets) => {
                self.speech.verify(policy, packet.source, message, octets, unix_nanoseconds).map(Some)
            }
            None if policy.mode == HmacMode::Enforce => Err(Discard::TrailerMissing),
            None => Ok(None),
        };
        (message, found)
    }

    /// keepalived's order: index, sequence number, value (seen with 2.2.7). A number that wraps is never accepted
    /// again; at 100 a second that takes more than a year.
    fn check_header(&self, packet: Inbound<'_>) -> Result<(), Discard> {
        let (Authentication::Header(key), Some(sealed)) = (&self.plan.authentication, packet.sealed) else {
            return Ok(());
        };
        if !sealed.index_fits {
            Err(Discard::HeaderIndex)
        } else if sealed.sequence <= self.speech.header_sequence {
            Err(Discard::HeaderReplay)
        } else if !sealed.is_genuine(key) {
            Err(Discard::HeaderValue)
        } else {
            Ok(())
        }
    }

    /// Unicast VRRPv3 over IPv4 of keepalived before 1.3.7: the group was summed in place of the destination.
    fn may_sum_as_before(&self, destination: IpAddr) -> bool {
        self.plan.version == Version::V3
            && destination.is_ipv4()
            && self.group().is_none()
            && self.plan.wire.old_checksum != OldChecksum::Never
    }

    /// Unicast: is the sender a peer, and as far away as it should be? Looked at only when one of them is configured.
    //= keepalived M-108
    fn judge_sender(&self, packet: Inbound<'_>) -> Result<(), Discard> {
        let Transport::Unicast { peers, .. } = &self.plan.transport else { return Ok(()) };
        let wire = &self.plan.wire;
        if !wire.check_source && wire.peer_limits.is_empty() {
            return Ok(());
        }
        if !peers.contains(&packet.source) {
            return Err(Discard::Sender);
        }
        match wire.peer_limits.iter().find(|limits| limits.peer == packet.source) {
            Some(limits) if !(limits.least..=limits.most).contains(&packet.hop_limit) => {
                Err(Discard::PeerHopLimit)
            }
            _ => Ok(()),
        }
    }

    fn remember(&mut self, packet: Inbound<'_>, accepted: &Accepted, ctx: &mut Context) {
        if let Some(sealed) = packet.sealed {
            self.speech.header_sequence = sealed.sequence;
        }
        match accepted.signed {
            Some(sequence) => {
                let listed = match &self.plan.transport {
                    Transport::Unicast { peers, .. } => peers.len(),
                    Transport::Multicast { .. } => 0,
                };
                self.speech.remember(packet.source, sequence, listed);
            }
            None if self.plan.wire.hmac.is_some() => self.stats.unsigned_accepted += 1,
            None => {}
        }
        if accepted.old_checksum && !self.speech.old_checksum {
            self.speech.old_checksum = true;
            let (name, from) = (&self.plan.name, packet.source);
            ctx.log(
                LogLevel::Info,
                format!(
                    "({name}) {from} sums its advertisements as keepalived before 1.3.7: so do we from now on"
                ),
            );
        }
    }
}
