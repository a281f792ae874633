//! Gratuitous ARP and unsolicited neighbour advertisements: who is told, how often, when again.
//!
//! keepalived's schedule: `repeat` packets per address at once, as many again after `delay`, then
//! `refresh_repeat` each `refresh`; another pair of bursts when a weaker router speaks.

use super::context::Context;
use super::event::Frame;
use super::router::Router;
use super::state::{Master, Phase};
use super::vips::{Vip, VipState};
use crate::net::MacAddr;
use crate::plan::vrrp::Transport;
use crate::time::Instant;
use crate::wire::arp::gratuitous_arp;
use crate::wire::ndp::neighbour_advertisement;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Packets per address in one burst, whatever the configuration says: more teaches no switch anything and
/// would hold up the advertisements.
pub(super) const MAX_BURST: u32 = 100;

impl Router {
    /// An address has just been installed.
    //= RFC9568 6.4.2 M-56
    //= RFC9568 6.4.2 M-58
    pub(super) fn announce_new(&mut self, slot: usize, ctx: &mut Context) {
        let policy = self.plan.announce;
        let Phase::Master(master) = &mut self.phase else { return };
        if master.unspoken {
            return; // with the first advertisement, `announce_held` does it
        }
        let Some(vip) = self.vips.get_mut(slot) else { return };
        let chosen = vip.address.cidr;
        if std::mem::take(&mut vip.resumed) {
            // Once, in case the kernel took it while nobody renewed it.
            return self.burst(policy.repeat.min(1), |vip| vip.address.cidr == chosen, ctx);
        }
        if let Some(at) = later(ctx.now, policy.delay) {
            vip.plan_second_burst(at, policy.repeat);
            master.note_second_burst(at);
        }
        self.burst(policy.repeat, |vip| vip.address.cidr == chosen, ctx);
    }

    /// A Master that waited for its addresses, or for a successor that did not come, has spoken: they follow.
    pub(super) fn announce_held(&mut self, ctx: &mut Context) {
        let policy = self.plan.announce;
        self.pair_of_bursts(policy.repeat, policy.delay, ctx);
    }

    /// A weaker router spoke: switches and hosts may have learned its address. False where the configuration wants none of
    /// that.
    pub(super) fn announce_again(&mut self, ctx: &mut Context) -> bool {
        let policy = self.plan.announce;
        let interval = self.own_interval().duration();
        let Phase::Master(master) = &mut self.phase else { return false };
        if policy.lower_priority_repeat == 0 || master.unspoken {
            return false;
        }
        // One pair of bursts for each of the other's intervals, not for each packet of a flood.
        if ctx.now >= master.quiet_until {
            master.quiet_until = ctx.now + interval / 2;
            self.pair_of_bursts(policy.lower_priority_repeat, policy.lower_priority_delay, ctx);
        }
        true
    }

    /// Every address now, and again after `delay`.
    fn pair_of_bursts(&mut self, count: u32, delay: Duration, ctx: &mut Context) {
        if !matches!(self.phase, Phase::Master(_)) {
            return;
        }
        if let Some(at) = later(ctx.now, delay) {
            self.plan_bursts(at, count);
        }
        self.burst(count, |_| true, ctx);
    }

    /// Every address at this time, if this is a Master still.
    fn plan_bursts(&mut self, at: Instant, count: u32) {
        let Phase::Master(master) = &mut self.phase else { return };
        for vip in self.vips.iter_mut().filter(|vip| vip.state == VipState::Installed) {
            vip.plan_second_burst(at, count);
        }
        master.note_second_burst(at);
    }

    /// A weaker Master goes without a word when it hears us at last, and clients and switches still believe it: any
    /// advertisement of ours may be the one that it hears, so each is followed by an announcement until it is silent.
    /// keepalived announces when the weaker one speaks, and 5 s later.
    pub(super) fn announce_beside_rival(&mut self, ctx: &mut Context) {
        let beside = self.rare.as_deref().is_some_and(|rare| rare.rival.is_some());
        if beside {
            self.burst(self.plan.announce.lower_priority_repeat, |_| true, ctx);
        }
    }

    /// The hardware address of an interface changed: what others have learned is wrong.
    pub(super) fn announce_new_mac(&mut self, interface: &str, ctx: &mut Context) {
        if matches!(self.phase, Phase::Master(_)) {
            let own = self.plan.key.interface.clone();
            self.burst(self.plan.announce.repeat, |vip| vip.interface(&own) == interface, ctx);
        }
    }

    /// Bursts and refreshes that are due.
    //= keepalived M-104
    pub(super) fn announce_due(&mut self, ctx: &mut Context) {
        let policy = self.plan.announce;
        let Phase::Master(master) = &mut self.phase else { return };
        if master.second_burst_at.is_some_and(|at| at <= ctx.now) {
            master.second_burst_at = None;
            self.second_bursts(ctx);
        }
        let Phase::Master(master) = &mut self.phase else { return };
        if master.refresh_at.is_some_and(|at| at <= ctx.now) {
            master.refresh_at = policy.refresh.and_then(|period| later(ctx.now, period));
            self.burst(policy.refresh_repeat, |_| true, ctx);
        }
        let Phase::Master(master) = &mut self.phase else { return };
        if master.elsewhere_at.is_some_and(|at| at <= ctx.now) {
            master.elsewhere_at = policy.elsewhere.and_then(|period| later(ctx.now, period));
            let elsewhere = self.elsewhere();
            self.burst(1, |vip| vip.address.interface().is_some_and(|name| elsewhere.contains(name)), ctx);
        }
    }

    /// Interfaces with addresses of ours that no advertisement leaves by.
    fn elsewhere(&self) -> BTreeSet<String> {
        let plan = &self.plan;
        let wanted = |name: &&str| {
            let virtual_one = plan.virtual_links.iter().any(|link| link.name == **name);
            plan.is_elsewhere(name) && (virtual_one || !plan.announce.elsewhere_virtual)
        };
        let held = self.listed().filter_map(|(address, _)| address.interface());
        held.filter(wanted).map(str::to_owned).collect()
    }

    /// When to tell again what other interfaces hold, for a Master (`garp_extra_if`).
    pub(super) fn first_elsewhere(&self, now: Instant) -> Option<Instant> {
        self.plan.announce.elsewhere.and_then(|period| later(now, period))
    }

    /// The cable is back for a Master that did not track it (`dont_track_primary`). Another one may have come meanwhile: it
    /// speaks at once, which tells switches where it is, and announces its addresses if nobody stronger has answered.
    pub(super) fn announce_returned(&mut self, ctx: &mut Context) {
        if !matches!(self.phase, Phase::Master(_)) || self.is_unspoken() {
            return;
        }
        self.send_advertisement(ctx);
        self.plan_bursts(ctx.now + self.own_interval().duration(), self.plan.announce.repeat);
    }

    /// A unicast router that comes back tells where its source address is, once (keepalived).
    pub(super) fn announce_source(&mut self, ctx: &mut Context) {
        let name = self.plan.key.interface.clone();
        let (Transport::Unicast { .. }, Some(IpAddr::V4(source)), Some(interface)) =
            (&self.plan.transport, self.source, ctx.interfaces.get(&name))
        else {
            return;
        };
        if interface.mac != MacAddr::default() {
            let bytes = gratuitous_arp(interface.mac, source).to_vec();
            let frame = Frame::Ethernet { interface: interface.index, bytes };
            ctx.gaps.send(self.id, frame, &name, ctx.now, ctx.actions);
        }
    }

    /// When to refresh next, for a Master.
    pub(super) fn first_refresh(&self, now: Instant) -> Option<Instant> {
        self.plan.announce.refresh.and_then(|period| later(now, period))
    }

    fn second_bursts(&mut self, ctx: &mut Context) {
        let now = ctx.now;
        let mut next = None::<Instant>;
        let mut frames = Vec::new();
        for vip in &mut self.vips {
            match vip.second_burst() {
                Some((at, count)) if at <= now => {
                    vip.end_second_burst();
                    if let Some((name, frame)) = announcement(vip, &self.plan.key.interface, ctx) {
                        frames.push((count.min(MAX_BURST), name, frame));
                    }
                }
                Some((at, _)) => next = Some(next.map_or(at, |known| known.min(at))),
                None => {}
            }
        }
        if let (Phase::Master(master), Some(at)) = (&mut self.phase, next) {
            master.note_second_burst(at);
        }
        self.send_rounds(frames, ctx);
    }

    fn burst(&mut self, count: u32, chosen: impl Fn(&Vip) -> bool, ctx: &mut Context) {
        if self.is_unspoken() {
            return; // nothing is announced before the first advertisement
        }
        let own = &self.plan.key.interface;
        let frames: Vec<_> = self
            .vips
            .iter()
            .filter(|vip| chosen(vip))
            .filter_map(|vip| announcement(vip, own, ctx))
            .map(|(name, frame)| (count.min(MAX_BURST), name, frame))
            .collect();
        self.send_rounds(frames, ctx);
    }

    /// Round by round, as keepalived does: each address once before any address twice.
    pub(super) fn send_rounds(&mut self, frames: Vec<(u32, String, Frame)>, ctx: &mut Context) {
        let rounds = frames.iter().map(|(count, ..)| *count).max().unwrap_or(0);
        for round in 0..rounds {
            for (_, name, frame) in frames.iter().filter(|(count, ..)| *count > round) {
                ctx.gaps.send(self.id, frame.clone(), name, ctx.now, ctx.actions);
                self.stats.announcements_sent += 1;
            }
        }
    }
}

impl Master {
    fn note_second_burst(&mut self, at: Instant) {
        self.second_burst_at = Some(self.second_burst_at.map_or(at, |known| known.min(at)));
    }
}

/// The frame that announces an installed address, and its interface; none on one without hardware addresses.
//= RFC9568 8.1.2 M-88
//= RFC9568 8.1.2 M-89
//= RFC9568 8.2.2 M-92
pub(super) fn announcement(vip: &Vip, own: &str, ctx: &Context) -> Option<(String, Frame)> {
    let name = vip.interface(own);
    let interface = ctx.interfaces.get(name)?;
    if vip.state != VipState::Installed || interface.mac == MacAddr::default() {
        return None;
    }
    let bytes = match vip.address.cidr.address() {
        IpAddr::V4(address) => gratuitous_arp(interface.mac, address).to_vec(),
        IpAddr::V6(address) => {
            neighbour_advertisement(interface.mac, address, interface.ipv6_forwarding).to_vec()
        }
    };
    Some((name.to_owned(), Frame::Ethernet { interface: interface.index, bytes }))
}

/// `delay` from now; `None` for no delay, which means "never".
fn later(now: Instant, delay: Duration) -> Option<Instant> {
    (!delay.is_zero()).then(|| now + delay)
}
