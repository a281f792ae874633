//! Packets that no router of ours is to hear: of other virtual routers on the same wire, of one that has an address of ours
//! under another VRID, and copies of what another instance here hears by its own interface.

use super::Core;
use super::accept::Inbound;
use super::event::{Action, LogLevel, RouterId};
use crate::net::{AddressFamily, VirtualRouterId};
use crate::time::Instant;
use crate::wire::vrrp::{HOP_LIMIT, peek_addresses, peek_interval, peek_vrid};
use std::net::IpAddr;
use std::time::Duration;

/// The addresses of so many strangers' packets are looked at in each [`SPAN`]: a flood of them must not cost a search each.
const LOOKS: u32 = 16;
const SPAN: Duration = Duration::from_secs(1);

/// Strangers with an address of ours whose every packet is looked at, so that it is known for how long they go on.
const KNOWN: usize = 8;

/// What is counted and remembered of them.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Packets that were for no router of ours.
    unknown: u64,
    /// Packets that another interface of ours on the same wire is for.
    copies: u64,
    looking_since: Instant,
    looks: u32,
    known: Vec<(IpAddr, VirtualRouterId)>,
}

impl Strangers {
    /// May the addresses of this one be looked at?
    fn may_look(&mut self, source: IpAddr, vrid: VirtualRouterId, now: Instant) -> bool {
        if self.known.contains(&(source, vrid)) {
            return true;
        }
        if now >= self.looking_since + SPAN {
            (self.looking_since, self.looks) = (now, 0);
        }
        self.looks += 1;
        self.looks <= LOOKS
    }

    fn has_ours(&mut self, source: IpAddr, vrid: VirtualRouterId) {
        if !self.known.contains(&(source, vrid)) {
            if self.known.len() == KNOWN {
                self.known.remove(0);
            }
            self.known.push((source, vrid));
        }
    }
}

impl Core {
    /// Packets that were for no router of ours.
    pub fn unknown_router_packets(&self) -> u64 {
        self.strangers.unknown
    }

    /// Packets that another instance here was to hear, and hears by its own interface: a virtual interface gets what its
    /// base gets, and the other way round.
    pub fn copied_packets(&self) -> u64 {
        self.strangers.copies
    }

    /// A packet that no router listens for on this interface.
    //= RFC9568 7.1 M-34
    pub(super) fn hear_stranger(
        &mut self,
        (interface, family): (u32, AddressFamily),
        packet: Inbound<'_>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(vrid) = peek_vrid(packet.bytes) else {
            self.strangers.unknown += 1;
            return;
        };
        if self.is_own_elsewhere(interface, family, vrid) {
            self.strangers.copies += 1;
            return;
        }
        self.strangers.unknown += 1;
        self.note_unknown((interface, family), packet, vrid, actions);
        // One that has crossed a router is no neighbour, and nothing that it says is acted upon.
        if packet.hop_limit == HOP_LIMIT && self.strangers.may_look(packet.source, vrid, now) {
            self.look_for_ours((interface, family), packet, vrid, now, actions);
        }
    }

    /// Is it an instance of ours that lives on the same wire, by another interface?
    fn is_own_elsewhere(&self, interface: u32, family: AddressFamily, vrid: VirtualRouterId) -> bool {
        let listener = self.receivers.any_on(interface).and_then(|id| self.routers.get(&id));
        listener.is_some_and(|router| self.heard.is_own(&router.plan.key.interface, family, vrid))
    }

    /// `log_unknown_vrids`: once for each VRID on each interface.
    fn note_unknown(
        &mut self,
        (interface, family): (u32, AddressFamily),
        packet: Inbound<'_>,
        vrid: VirtualRouterId,
        actions: &mut Vec<Action>,
    ) {
        let first = self.heard.note((interface, family), vrid);
        let Some(name) = self.interfaces.name(interface).filter(|_| first && self.log_unknown) else {
            return;
        };
        let source = packet.source;
        let what = format!("{source} advertises {family} VRID {vrid} on {name}: no router here has it");
        actions.push(Action::Log(LogLevel::Info, what));
    }

    /// Two nodes with one address and two VRIDs are both Master of their own.
    fn look_for_ours(
        &mut self,
        (interface, family): (u32, AddressFamily),
        packet: Inbound<'_>,
        vrid: VirtualRouterId,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let theirs = peek_addresses(packet.bytes, family);
        let shared = self.routers.values().find_map(|router| {
            let here = router.bound == Some(interface) && router.plan.key.family == family;
            let both =
                router.advertised().filter(|_| here).find(|ours| theirs.clone().any(|one| one == *ours));
            both.map(|address| (router.id, address))
        });
        let Some((id, address)) = shared else { return };
        self.strangers.has_ours(packet.source, vrid);
        self.warn_of(id, (packet, vrid, address), now, actions);
    }

    fn warn_of(
        &mut self,
        id: RouterId,
        (packet, vrid, address): (Inbound<'_>, VirtualRouterId, IpAddr),
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let (from, interval) = (packet.source, peek_interval(packet.bytes));
        self.with_router(id, now, actions, |router, ctx| {
            let begins = router.note_other_vrid(from, (vrid, address), interval, now);
            if router.may_say_odds(begins, false, now) {
                let (name, ours) = (&router.plan.name, router.plan.key.vrid);
                let what = format!(
                    "({name}) {from} advertises {address} under VRID {vrid}, which is ours under VRID {ours}: both may \
                     come to hold it; give both nodes one virtual_router_id"
                );
                ctx.log(LogLevel::Error, what);
            }
        });
    }
}
