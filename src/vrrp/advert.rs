//! A router's own advertisements: built from what is true at the moment of sending.

use super::context::Context;
use super::event::{Action, Frame};
use super::kept::Listed;
use super::router::Router;
use super::state::Phase;
use crate::net::{AddressFamily, Priority};
use crate::plan::vrrp::{Authentication, OldChecksum, Transport};
use crate::time::{Instant, Interval};
use crate::wire::ah::{self, Envelope};
use crate::wire::trailer;
use crate::wire::vrrp::{Addresses, Advertisement, HOP_LIMIT, MAX_ADDRESSES, MAX_V3_INTERVAL, Version};
use std::net::IpAddr;
use std::time::Duration;

/// The longest time by which an advertisement may be early so that it leaves together with others.
pub(super) const EARLIEST: Duration = Duration::from_micros(500);

/// The same as a part of the interval: one step of priority in Skew_Time.
const EARLY_PART: u32 = 256;

/// From so many routers on, those of one interval gather into convoys: a wake-up and a system call for many
/// advertisements instead of one for each. With fewer there is nothing to save, and each keeps its own beat.
pub(super) const CROWD: usize = 64;

/// Convoys in an interval. The 255 VRIDs of an interface then come sixteen at a time, which every receiver's buffer takes.
const CONVOYS: u64 = 16;

/// Earlier than `next`, by no more than an advertisement may be early: towards the last of the moments, sixteen in each
/// interval, at which the routers of that interval speak together.
fn towards_convoy(next: Instant, interval: Duration) -> Instant {
    let period = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX) / CONVOYS;
    let beyond = next.0.checked_rem(period).unwrap_or(0);
    let most = u64::try_from(earliness(interval).as_nanos()).unwrap_or(u64::MAX);
    Instant(next.0 - beyond.min(most))
}

/// How much earlier than its time an advertisement may leave.
fn earliness(interval: Duration) -> Duration {
    (interval / EARLY_PART).min(EARLIEST)
}

impl Router {
    /// Is an advertisement due, or so soon that it may go now?
    pub(super) fn may_speak(&self, now: Instant) -> bool {
        let Phase::Master(master) = &self.phase else { return false };
        master.next_advertisement <= now + earliness(self.own_interval().duration())
    }

    /// Send an advertisement if it is time.
    pub(super) fn speak_if_due(&mut self, ctx: &mut Context) {
        if !self.may_speak(ctx.now) {
            return;
        }
        if self.is_unspoken() {
            return self.begin_to_speak(ctx);
        }
        let interval = self.own_interval().duration();
        if let Phase::Master(master) = &mut self.phase {
            // Counted from the deadline, so that neither lateness nor haste adds up; after a pause, from now.
            let next = master.next_advertisement + interval;
            let next = if next > ctx.now { next } else { ctx.now + interval };
            master.next_advertisement = if ctx.crowded { towards_convoy(next, interval) } else { next };
        }
        self.send_advertisement(ctx);
        self.announce_beside_rival(ctx);
    }

    /// Send an advertisement with the priority in force. It is made anew each time: what it takes is nothing beside the
    /// system call, and thousands of routers would each keep the last one for nothing.
    pub(super) fn send_advertisement(&mut self, ctx: &mut Context) {
        self.stats.sent += self.say(self.priority, ctx);
    }

    /// Say that this router stops being Master: priority 0 (RFC 9568 5.2.4).
    //= RFC9568 5.2.4 M-14
    pub(super) fn send_resignation(&mut self, ctx: &mut Context) {
        let sent = self.say(Priority::RESIGN, ctx);
        self.stats.sent += sent;
        self.stats.resignations_sent += sent;
    }

    /// Is one advertisement like the next? Not when each has a number of its own.
    pub(super) fn repeats_itself(&self) -> bool {
        self.signs().is_none() && !matches!(self.plan.authentication, Authentication::Header(_))
    }

    /// The interval as the version in use can say it.
    //= RFC9568 6.1 M-77
    pub(super) fn own_interval(&self) -> Interval {
        let centiseconds = self.plan.interval.centiseconds();
        let sayable = match self.plan.version {
            Version::V2 => (centiseconds / 100).clamp(1, 255) * 100,
            Version::V3 => centiseconds.min(MAX_V3_INTERVAL),
        };
        Interval::from_centiseconds(sayable).unwrap_or(Interval::ONE_SECOND)
    }

    //= RFC9568 5.2.9 M-23
    //= RFC9568 5.2.9 M-24
    /// The addresses that are advertised. A count field has one octet: a longer list is cut.
    pub(super) fn advertised(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let advertised = self.listed().filter(|(_, listed)| *listed == Listed::Advertised);
        advertised.map(|(address, _)| address.cidr.address()).take(MAX_ADDRESSES)
    }

    /// Where advertisements go if not to peers.
    pub(super) fn group(&self) -> Option<IpAddr> {
        match &self.plan.transport {
            Transport::Multicast { group, .. } => {
                Some(group.unwrap_or_else(|| self.plan.key.family.vrrp_group()))
            }
            Transport::Unicast { .. } => None,
        }
    }

    /// One frame per destination, and how many; none while there is no interface or no source address. What is signed or
    /// numbered is so once for all destinations, as keepalived does it.
    fn say(&mut self, priority: Priority, ctx: &mut Context) -> u64 {
        let (Some(interface), Some(source), Some(message)) = (self.link, self.source, self.message(priority))
        else {
            return 0;
        };
        let trailer = self.sign(source, &message, ctx);
        let seal = match self.plan.authentication {
            Authentication::Header(key) => Some((key, self.speech.next_header())),
            Authentication::None | Authentication::Password(_) => None,
        };
        let sums_group = self.sums_as_before().then(|| self.plan.key.family.vrrp_group());
        let checksum = self.plan.checksum;
        let say = |destination: IpAddr, hop_limit: u8| {
            let mut bytes = message.encode(source, sums_group.unwrap_or(destination), checksum);
            bytes.extend(trailer.iter().flatten());
            let frame = match (seal, source, destination) {
                (Some((key, (sequence, identification))), IpAddr::V4(source), IpAddr::V4(destination)) => {
                    let envelope = Envelope { source, destination, hop_limit, identification, sequence };
                    Frame::Sealed { interface, destination, packet: ah::seal(envelope, &key, &bytes) }
                }
                _ => Frame::Advertisement { interface, source, destination, hop_limit, bytes },
            };
            Action::Transmit(self.id, frame)
        };
        let before = ctx.actions.len();
        match (&self.plan.transport, self.group()) {
            (Transport::Unicast { peers, .. }, _) => {
                let hop_limit = self.plan.wire.unicast_hop_limit;
                ctx.actions.extend(peers.iter().map(|peer| say(*peer, hop_limit)));
            }
            (Transport::Multicast { .. }, group) => {
                ctx.actions.extend(group.map(|group| say(group, HOP_LIMIT)));
            }
        }
        (ctx.actions.len() - before) as u64
    }

    /// The trailer of `auth_hmac`. It does not cover the checksum, so the destination does not matter.
    fn sign(&mut self, source: IpAddr, message: &Advertisement, ctx: &Context) -> Option<[u8; trailer::LEN]> {
        let policy = self.signs()?;
        let (active, window) = (policy.active, policy.window);
        let key = policy.key(active)?.to_vec();
        let sequence = self.speech.next_trailer(window, ctx.unix_nanoseconds());
        let bytes = message.encode(source, source, self.plan.checksum);
        Some(trailer::sign(source, &bytes, active, &key, sequence))
    }

    /// Unicast VRRPv3 over IPv4 with the group in the pseudo-header: configured, or heard from a peer.
    fn sums_as_before(&self) -> bool {
        let unicast = matches!(self.plan.transport, Transport::Unicast { .. });
        let old = match self.plan.wire.old_checksum {
            OldChecksum::Detect => self.speech.old_checksum,
            OldChecksum::Always => true,
            OldChecksum::Never => false,
        };
        old && unicast && self.plan.version == Version::V3 && self.plan.key.family == AddressFamily::V4
    }

    fn message(&self, priority: Priority) -> Option<Advertisement> {
        let vrid = self.plan.key.vrid;
        let v4 = || self.advertised().filter_map(|a| if let IpAddr::V4(a) = a { Some(a) } else { None });
        let v6 = || self.advertised().filter_map(|a| if let IpAddr::V6(a) = a { Some(a) } else { None });
        let interval = self.own_interval();
        match (self.plan.version, self.plan.key.family) {
            (Version::V2, _) => {
                let authentication = self.plan.authentication.clone();
                Advertisement::v2(vrid, priority, interval, authentication, v4().collect())
            }
            (Version::V3, AddressFamily::V4) => {
                Advertisement::v3(vrid, priority, interval, Addresses::V4(v4().collect()))
            }
            (Version::V3, AddressFamily::V6) => {
                Advertisement::v3(vrid, priority, interval, Addresses::V6(v6().collect()))
            }
        }
        .ok() // interval and count were brought into range above
    }
}
