//! A router's virtual addresses: what the kernel was asked, what it answered, when to ask again.

use super::announce::MAX_BURST;
use super::context::Context;
use super::event::{AddressOp, KernelError, LogLevel, OpId};
use super::held::{HINT, HeldList};
use super::kept::{KeptAddress, Listed, Planned};
use super::router::Router;
use super::state::Phase;
use crate::net::IpCidr;
use crate::plan::vrrp::{RouterPlan, Transport};
use crate::time::Instant;
use std::time::Duration;

/// First pause before a failed operation is tried again; it doubles with each failure.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The pause grows to at most this many times the first: about half a minute.
pub(super) const RETRY_DOUBLINGS: u32 = 5;
/// A removal reported this soon after we asked for the address may be an echo of our own earlier removal
/// (the kernel's news and its answers travel separately): the address is asked for again, nothing else.
pub(super) const ECHO_WINDOW: Duration = Duration::from_secs(2);

/// One virtual address.
#[derive(Clone, Debug)]
pub(super) struct Vip {
    /// As configured.
    pub address: KeptAddress,
    /// Where the plan in force has it.
    pub listed: Listed,
    /// Gone from the configuration; kept only until the kernel has removed it.
    pub dropped: bool,
    /// Where it stands.
    pub state: VipState,
    /// When to announce it again; never with a count of 0.
    second_burst_at: Instant,
    /// And how often, as announcements are counted.
    second_burst_count: u8,
    /// It was on the interface before we asked for it: the owner's own address.
    real: bool,
    trouble: Option<Box<Trouble>>,
    wanted_since: Instant,
    /// A process before this one held it: no network has to learn of it.
    pub resumed: bool,
}

/// What the kernel refused since it did something for an address last.
#[derive(Clone, Debug)]
struct Trouble {
    /// How often.
    failures: u32,
    /// Why the last time.
    error: KernelError,
}

/// Where a virtual address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VipState {
    /// Perhaps left over from an earlier run.
    Unknown,
    /// Not there.
    Absent,
    /// Asked for.
    Adding(OpId),
    /// There.
    Installed,
    /// Removal asked for.
    Removing(OpId),
    /// Refused; asked for again at that moment.
    AddFailed(Instant),
    /// Removal refused; asked for again at that moment.
    RemoveFailed(Instant),
}

impl Vip {
    /// An address of which nothing is known yet.
    pub fn new(address: KeptAddress, listed: Listed) -> Vip {
        Vip {
            address,
            listed,
            dropped: false,
            state: VipState::Unknown,
            second_burst_at: Instant::ZERO,
            second_burst_count: 0,
            real: false,
            trouble: None,
            wanted_since: Instant::ZERO,
            resumed: false,
        }
    }

    /// The same one in another place of the plan.
    pub fn listed(mut self, listed: Listed) -> Vip {
        self.listed = listed;
        self
    }

    /// The interface that holds it.
    pub fn interface<'a>(&'a self, own: &'a str) -> &'a str {
        self.address.interface().unwrap_or(own)
    }

    /// Another plan has the address, or has it not. While it was dropped, somebody else may have added it behind the
    /// removal that is under way: of one that comes back nothing is known.
    pub fn take_back_or_drop(&mut self, dropped: bool) {
        if self.dropped && !dropped && matches!(self.state, VipState::Removing(_)) {
            self.state = VipState::Unknown;
        }
        self.dropped = dropped;
    }

    /// When to announce it again, and how often.
    pub fn second_burst(&self) -> Option<(Instant, u32)> {
        (self.second_burst_count > 0).then(|| (self.second_burst_at, self.second_burst_count.into()))
    }

    /// Announce it again, at that moment and so often.
    pub fn plan_second_burst(&mut self, at: Instant, count: u32) {
        self.second_burst_at = at;
        self.second_burst_count = u8::try_from(count.min(MAX_BURST)).unwrap_or(u8::MAX);
    }

    /// Announce it no second time.
    pub fn end_second_burst(&mut self) {
        self.second_burst_count = 0;
    }

    fn retry_at(&self) -> Option<Instant> {
        match self.state {
            VipState::AddFailed(at) | VipState::RemoveFailed(at) => Some(at),
            _ => None,
        }
    }

    /// The kernel refused it: when to ask again.
    fn back_off(&mut self, error: KernelError, now: Instant) -> Instant {
        let failures = self.trouble.as_ref().map_or(0, |trouble| trouble.failures);
        self.trouble = Some(Box::new(Trouble { failures: failures.saturating_add(1), error }));
        now + RETRY_FIRST * (1 << failures.min(RETRY_DOUBLINGS))
    }
}

/// A virtual address as a report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressView<'a> {
    /// As configured.
    pub address: &'a KeptAddress,
    /// The interface that holds it.
    pub interface: &'a str,
    /// Is it there, put there by us?
    pub installed: bool,
    /// Why the last kernel operation on it failed.
    pub error: Option<&'a KernelError>,
}

impl Router {
    /// The addresses of its plan, in their order.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&KeptAddress, Listed)> + Clone {
        let there = self.vips.iter().filter(|vip| vip.listed != Listed::Nowhere);
        there.map(|vip| (&vip.address, vip.listed))
    }

    /// Are these the addresses of its plan, in the same order?
    pub(super) fn has(&self, addresses: Planned<'_>) -> bool {
        self.listed().eq(addresses.listed())
    }

    /// Its whole plan.
    pub fn to_plan(&self) -> RouterPlan {
        self.plan.to_plan(self.listed())
    }

    /// The addresses: the advertised ones, then the excluded ones, then those that are leaving.
    pub fn addresses(&self) -> impl Iterator<Item = AddressView<'_>> {
        self.vips.iter().map(|vip| AddressView {
            address: &vip.address,
            interface: vip.interface(&self.plan.key.interface),
            installed: matches!(vip.state, VipState::Installed),
            error: vip.trouble.as_deref().map(|trouble| &trouble.error),
        })
    }

    //= RFC9568 6.4.3 M-65
    //= RFC9568 6.4.3 M-66
    //= RFC9568 8.3.1 M-96
    /// Ask for every address that is not there yet.
    pub(super) fn install_addresses(&mut self, ctx: &mut Context) {
        for slot in 0..self.vips.len() {
            let Some(vip) = self.vips.get_mut(slot) else { return };
            if !vip.dropped && !matches!(vip.state, VipState::Installed | VipState::Adding(_)) {
                vip.wanted_since = ctx.now;
                self.install(slot, ctx);
            }
        }
    }

    //= RFC9568 6.4.2 M-51
    //= RFC9568 6.4.2 M-52
    //= RFC9568 6.4.2 M-54
    /// Remove every address that is, or may be, there. At start that is what an earlier run left over.
    //= RFC9568 6.4.1 M-50
    pub(super) fn withdraw_addresses(&mut self, ctx: &mut Context) {
        for slot in 0..self.vips.len() {
            self.withdraw(slot, ctx);
        }
        self.forget_dropped();
    }

    /// Remove the addresses that left the configuration.
    pub(super) fn withdraw_dropped(&mut self, ctx: &mut Context) {
        for slot in 0..self.vips.len() {
            if self.vips.get(slot).is_some_and(|vip| vip.dropped) {
                self.withdraw(slot, ctx);
            }
        }
        self.forget_dropped();
    }

    /// The kernel answered.
    pub(super) fn operation_done(
        &mut self,
        op: OpId,
        hint: usize,
        result: Result<(), KernelError>,
        ctx: &mut Context,
    ) {
        if hint & HINT != 0 {
            let name = format!("({}) ", self.plan.name);
            let is_ours = |routing: &mut HeldList| routing.done(op, hint, result.clone(), &name, ctx);
            if !self.routing.there().is_some_and(is_ours) {
                return; // overtaken
            }
            if result.is_err() {
                self.stats.kernel_failures += 1;
            }
            return self.tell_story(ctx);
        }
        let is_it = |vip: &Vip| matches!(vip.state, VipState::Adding(o) | VipState::Removing(o) if o == op);
        let slot = match self.vips.get(hint) {
            Some(vip) if is_it(vip) => hint,
            _ => match self.vips.iter().position(is_it) {
                Some(slot) => slot,
                None => return, // overtaken by a later operation on the same address
            },
        };
        let Some(vip) = self.vips.get_mut(slot) else { return };
        let adding = matches!(vip.state, VipState::Adding(_));
        match result {
            Ok(()) => {
                vip.trouble = None;
                vip.state = if adding { VipState::Installed } else { VipState::Absent };
                if adding {
                    self.announce_new(slot, ctx);
                } else {
                    self.forget_dropped();
                }
            }
            Err(error) => {
                let sentence =
                    failure_sentence(&self.plan.name, vip, &self.plan.key.interface, adding, &error);
                let at = vip.back_off(error, ctx.now);
                vip.state = if adding { VipState::AddFailed(at) } else { VipState::RemoveFailed(at) };
                self.stats.kernel_failures += 1;
                self.note_retry(at);
                ctx.log(LogLevel::Error, sentence);
            }
        }
        self.tell_story(ctx);
    }

    /// Ask again where the kernel refused.
    pub(super) fn retry_addresses(&mut self, ctx: &mut Context) {
        if self.next_retry.is_none_or(|at| at > ctx.now) {
            return;
        }
        for slot in 0..self.vips.len() {
            match self.vips.get(slot).map(|vip| vip.state) {
                Some(VipState::AddFailed(at)) if at <= ctx.now => self.install(slot, ctx),
                Some(VipState::RemoveFailed(at)) if at <= ctx.now => self.withdraw(slot, ctx),
                _ => {}
            }
        }
        self.forget_dropped();
        self.next_retry = self.vips.iter().filter_map(Vip::retry_at).min();
    }

    /// An address is gone from an interface. True if a Master lost it: somebody else removed it. One with `no_track`
    /// just stays away, as with keepalived.
    pub(super) fn address_removed(&mut self, interface: &str, cidr: IpCidr, ctx: &mut Context) -> bool {
        let own = &self.plan.key.interface;
        let found = self.vips.iter().position(|vip| {
            vip.address.cidr == cidr && vip.interface(own) == interface && vip.state == VipState::Installed
        });
        let Some(slot) = found else { return false };
        let lingers = self.linger_at().is_some();
        let Some(vip) = self.vips.get_mut(slot) else { return false };
        if !lingers && ctx.now.saturating_duration_since(vip.wanted_since) < ECHO_WINDOW {
            self.install(slot, ctx);
            return false;
        }
        // Who hands over asks for nothing now, and lets go soon: a lease of it that was being renewed brings it back.
        let leaves = lingers || matches!(self.phase, Phase::Leaving(_));
        vip.state = if leaves { VipState::Unknown } else { VipState::Absent };
        vip.address.tracked() && matches!(self.phase, Phase::Master(_))
    }

    /// An interface is gone, and every address with it.
    pub(super) fn addresses_gone(&mut self, interface: &str) {
        let own = &self.plan.key.interface;
        for vip in &mut self.vips {
            if vip.interface(own) == interface {
                vip.state = VipState::Absent;
                vip.end_second_burst();
            }
        }
        // What went with its interface was not given up, and what was asked for will not come.
        self.story = None;
        self.forget_dropped();
    }

    fn install(&mut self, slot: usize, ctx: &mut Context) {
        let real = self.vips.get(slot).is_some_and(|vip| self.is_real(vip));
        let Some(vip) = self.vips.get_mut(slot) else { return };
        vip.real = real;
        let Some(interface) = ctx.interfaces.get(vip.interface(&self.plan.key.interface)) else {
            // A router whose address has no interface is in FAULT, so this is a race about to be resolved.
            vip.state = VipState::Absent;
            return;
        };
        let op = AddressOp::add(interface.index, &vip.address.whole());
        vip.state = VipState::Adding(ctx.issue(self.id, slot, op));
    }

    fn withdraw(&mut self, slot: usize, ctx: &mut Context) {
        let taken_over = self.is_taken_over(slot, ctx);
        let real = self.vips.get(slot).is_some_and(|vip| self.is_real(vip));
        let Some(vip) = self.vips.get_mut(slot) else { return };
        vip.end_second_burst();
        if real {
            vip.state = if vip.dropped { VipState::Absent } else { VipState::Unknown };
            return;
        }
        match vip.state {
            VipState::Absent | VipState::Removing(_) => return,
            VipState::RemoveFailed(_) if taken_over => {
                vip.state = VipState::Absent;
                return;
            }
            _ => {}
        }
        let Some(interface) = ctx.interfaces.get(vip.interface(&self.plan.key.interface)) else {
            // An address cannot outlive its interface; one left over may show up together with it.
            if vip.state != VipState::Unknown || vip.dropped {
                vip.state = VipState::Absent;
            }
            return;
        };
        let op = AddressOp::remove(interface.index, &vip.address.whole());
        vip.state = VipState::Removing(ctx.issue(self.id, slot, op));
    }

    /// Is it the only address that the owner can speak from, before or without our asking for it? Then it is
    /// the interface's own and stays: without it the owner could never come back.
    fn is_real(&self, vip: &Vip) -> bool {
        let configured = match self.plan.transport {
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
        };
        self.plan.priority.is_owner()
            && vip.interface(&self.plan.key.interface) == &*self.plan.key.interface
            && configured.is_none()
            && self.source == Some(vip.address.cidr.address())
            && (vip.real || vip.state == VipState::Unknown)
    }

    /// Did a reload give a dropped address to somebody else, or put it back in another shape that is held now, before
    /// the kernel let go of it? Then it is no longer ours to remove. A shape that is not held removes nothing: what it
    /// asked for last may have been done before this one was refused.
    fn is_taken_over(&self, slot: usize, ctx: &Context) -> bool {
        let own = &self.plan.key.interface;
        let Some(vip) = self.vips.get(slot).filter(|vip| vip.dropped) else { return false };
        let (cidr, name) = (vip.address.cidr, vip.interface(own));
        ctx.interfaces.holders(cidr, name).any(|holder| holder != self.id)
            || self.vips.iter().any(|other| {
                !other.dropped
                    && matches!(other.state, VipState::Adding(_) | VipState::Installed)
                    && other.address.cidr == cidr
                    && other.interface(own) == name
            })
    }

    fn note_retry(&mut self, at: Instant) {
        self.next_retry = Some(self.next_retry.map_or(at, |known| known.min(at)));
    }

    pub(super) fn forget_dropped(&mut self) {
        let before = self.vips.len();
        // Until the new plan is in force, what it drops is part of the old one.
        let forgets = |vip: &Vip| vip.dropped && (self.doomed || vip.listed == Listed::Nowhere);
        self.vips.retain(|vip| !(forgets(vip) && vip.state == VipState::Absent));
        if self.vips.len() != before {
            self.story_begins_anew();
        }
    }
}

fn failure_sentence(name: &str, vip: &Vip, own: &str, adding: bool, error: &KernelError) -> String {
    let KernelError { errno, message } = error;
    let (cidr, interface) = (vip.address.cidr, vip.interface(own));
    if adding {
        format!(
            "({name}) cannot add {cidr} to {interface}: {message} (errno {errno}); \
             nobody serves this address until it succeeds, trying again"
        )
    } else {
        format!(
            "({name}) cannot remove {cidr} from {interface}: {message} (errno {errno}); \
             two nodes may hold this address until it succeeds, trying again"
        )
    }
}
