//! A router's own advertisements: built from what is true at the moment of sending, kept while it stays true.

use super::context::Context;
use super::event::{Action, Frame};
use super::router::Router;
use crate::net::{AddressFamily, Priority};
use crate::plan::vrrp::Transport;
use crate::time::Interval;
use crate::wire::vrrp::{Addresses, Advertisement, MAX_ADDRESSES, MAX_V3_INTERVAL, Version};
use std::net::IpAddr;

impl Router {
    /// Send an advertisement with the priority in force.
    pub(super) fn send_advertisement(&mut self, ctx: &mut Context) {
        if self.frames.is_empty() {
            self.frames = self.build_frames(self.priority);
        }
        self.stats.sent += self.frames.len() as u64;
        ctx.actions.extend(self.frames.iter().cloned().map(|frame| Action::Transmit(self.id, frame)));
    }

    /// Say that this router stops being Master: priority 0 (RFC 9568 5.2.4).
    pub(super) fn send_resignation(&mut self, ctx: &mut Context) {
        let frames = self.build_frames(Priority::RESIGN);
        self.stats.sent += frames.len() as u64;
        self.stats.resignations_sent += frames.len() as u64;
        ctx.actions.extend(frames.into_iter().map(|frame| Action::Transmit(self.id, frame)));
    }

    /// The interval as the version in use can say it.
    pub(super) fn own_interval(&self) -> Interval {
        let centiseconds = self.plan.interval.centiseconds();
        let sayable = match self.plan.version {
            Version::V2 => (centiseconds / 100).clamp(1, 255) * 100,
            Version::V3 => centiseconds.min(MAX_V3_INTERVAL),
        };
        Interval::from_centiseconds(sayable).unwrap_or(Interval::ONE_SECOND)
    }

    /// The addresses that are advertised. A count field has one octet: a longer list is cut.
    pub(super) fn advertised(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.plan.addresses.iter().map(|address| address.cidr.address()).take(MAX_ADDRESSES)
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

    /// One frame per destination; none while there is no interface or no source address.
    fn build_frames(&self, priority: Priority) -> Vec<Frame> {
        let (Some(interface), Some(source), Some(message)) = (self.link, self.source, self.message(priority))
        else {
            return Vec::new();
        };
        let frame = |destination: IpAddr| Frame::Advertisement {
            interface,
            source,
            destination,
            bytes: message.encode(source, destination, self.plan.checksum),
        };
        match (&self.plan.transport, self.group()) {
            (Transport::Unicast { peers, .. }, _) => peers.iter().copied().map(frame).collect(),
            (Transport::Multicast { .. }, group) => group.into_iter().map(frame).collect(),
        }
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
