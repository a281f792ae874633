//! What a router may use while it handles an event.

use super::claim::ClaimId;
use super::event::{Action, AddressOp, LogLevel, OpId, RouterId, RoutingOp};
use super::gaps::Gaps;
use super::heard::Heard;
use super::interfaces::Interfaces;
use super::samples::Samples;
use crate::net::Priority;
use crate::time::Instant;
use std::collections::BTreeMap;

/// The moment, the surroundings, and where actions go.
pub(super) struct Context<'a> {
    pub now: Instant,
    /// Time of day less `now`, in nanoseconds; 0 while nobody has told it.
    pub day_offset: i64,
    pub interfaces: &'a Interfaces,
    pub samples: &'a Samples,
    pub gaps: &'a mut Gaps,
    /// VRIDs in use on each interface, ours and those heard.
    pub heard: &'a Heard,
    /// `vrrp_startup_delay` is not over.
    pub asleep: bool,
    /// Addresses may be on two nodes for a moment (not with `no_handover`).
    pub overlaps: bool,
    /// There are so many routers that they speak in convoys.
    pub crowded: bool,
    pub operations: &'a mut Operations,
    pub actions: &'a mut Vec<Action>,
    /// Priorities that this event changed: told together, with its name as the cause.
    pub priorities: &'a mut Vec<PriorityChange>,
}

/// A router's effective priority changed.
#[derive(Debug)]
pub(super) struct PriorityChange {
    /// The router's name.
    pub name: String,
    /// Before.
    pub from: Priority,
    /// Now.
    pub to: Priority,
}

impl Context<'_> {
    /// Nanoseconds since 1970.
    pub fn unix_nanoseconds(&self) -> u64 {
        self.now.0.saturating_add_signed(self.day_offset)
    }

    /// Ask the kernel for a change; `slot` is where the router keeps the address, a hint for the answer.
    pub fn issue(&mut self, router: RouterId, slot: usize, op: AddressOp) -> OpId {
        let id = self.operations.begin(router, slot);
        self.actions.push(Action::Kernel(id, op));
        id
    }

    /// The same for a route or rule.
    pub fn issue_routing(&mut self, owner: RouterId, slot: usize, op: RoutingOp) -> OpId {
        let id = self.operations.begin(owner, slot);
        self.actions.push(Action::Routing(id, op));
        id
    }

    /// Tell the operator.
    pub fn log(&mut self, level: LogLevel, sentence: String) {
        self.actions.push(Action::Log(level, sentence));
    }
}

/// Kernel operations under way.
#[derive(Debug, Default)]
pub(super) struct Operations {
    next: u64,
    /// The last attempt of a claim script.
    claim: ClaimId,
    pending: BTreeMap<OpId, (RouterId, usize)>,
}

impl Operations {
    fn begin(&mut self, router: RouterId, slot: usize) -> OpId {
        let id = OpId(self.next);
        self.next += 1;
        self.pending.insert(id, (router, slot));
        id
    }

    /// The next attempt of a claim script: more than the last one, and than those of an earlier process.
    pub fn next_claim(&mut self, now: Instant) -> ClaimId {
        self.claim = ClaimId(now.0.max(self.claim.0 + 1));
        self.claim
    }

    /// One finished: whose it was. `None` for an operation that is not under way.
    pub fn finish(&mut self, op: OpId) -> Option<(RouterId, usize)> {
        self.pending.remove(&op)
    }

    /// Whose operation it is, while it is under way.
    pub fn owner_of(&self, op: OpId) -> Option<RouterId> {
        self.pending.get(&op).map(|(router, _)| *router)
    }

    /// Is nothing under way?
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}
