//! The BFD core: asynchronous mode of RFC 5880 for IPv4 and IPv6, single hop (RFC 5881) and multihop (RFC 5883).
//!
//! Pure: packets, time and the seed of all chance (jitter, discriminators) come in, packets and samples go out.

mod chance;
mod counters;
mod event;
mod reception;
mod session;
#[cfg(test)]
mod tests;
mod timing;

pub use counters::Counters;
pub use event::{Action, Event, Path, Reason, Received, SessionId, Transition};
pub use session::{Remote, Session};

use crate::plan::Generation;
use crate::plan::bfd::{BfdPlan, BfdSessionPlan};
use crate::time::Instant;
use crate::wire::bfd::ControlPacket;
use chance::Chance;
use session::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// All sessions of this node.
#[derive(Clone, Debug)]
pub struct Core {
    chance: Chance,
    generation: Generation,
    sessions: BTreeMap<SessionId, Session>,
    /// The sessions of the plan, in its order. Others are on their way out.
    order: Vec<SessionId>,
    by_discriminator: BTreeMap<u32, SessionId>,
    by_neighbor: BTreeMap<IpAddr, SessionId>,
    deadlines: BTreeSet<(Instant, SessionId)>,
    next_id: u32,
    /// Packets that belong to no session.
    strangers: Counters,
    stopping: bool,
}

impl Core {
    /// No session yet. `seed` should differ between nodes and runs: discriminators and jitter follow from it.
    pub fn new(seed: u64) -> Core {
        Core {
            chance: Chance::new(seed),
            generation: Generation::default(),
            sessions: BTreeMap::new(),
            order: Vec::new(),
            by_discriminator: BTreeMap::new(),
            by_neighbor: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_id: 0,
            strangers: Counters::default(),
            stopping: false,
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Plan(plan) => self.take_plan(plan, now, actions),
            Event::Packet(packet) => self.receive(&packet, now, actions),
            Event::Sending(id, error) => self.note_sending(id, error),
            Event::Stop => self.stop(now, actions),
        }
    }

    /// Handles every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let due = self.deadlines.range(..=(now, SessionId(u32::MAX)));
        for id in due.map(|(_, id)| *id).collect::<Vec<_>>() {
            self.with(id, now, actions, Session::handle_timeout);
            self.bury(id, now, actions);
        }
    }

    /// When [`Core::handle_timeout`] must be called next.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// The sessions of the plan, in its order.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.order.iter().filter_map(|id| self.sessions.get(id))
    }

    /// The plan in force.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Packets that belong to no session.
    pub fn strangers(&self) -> &Counters {
        &self.strangers
    }

    /// Does something with a session and keeps its deadline known.
    fn with<R>(
        &mut self,
        id: SessionId,
        now: Instant,
        actions: &mut Vec<Action>,
        what: impl FnOnce(&mut Session, &mut Context) -> R,
    ) -> Option<R> {
        let session = self.sessions.get_mut(&id)?;
        let before = session.deadline();
        let result = what(session, &mut Context { now, chance: &mut self.chance, actions });
        let after = session.deadline();
        if before != after {
            before.map(|due| self.deadlines.remove(&(due, id)));
            after.map(|due| self.deadlines.insert((due, id)));
        }
        Some(result)
    }

    fn take_plan(&mut self, plan: BfdPlan, now: Instant, actions: &mut Vec<Action>) {
        self.generation = plan.generation;
        if self.stopping {
            return;
        }
        let old = std::mem::take(&mut self.order);
        let wanted: BTreeMap<IpAddr, &BfdSessionPlan> =
            plan.sessions.iter().map(|session| (session.neighbor, session)).collect();
        for id in old {
            let Some(session) = self.sessions.get(&id) else { continue };
            match wanted.get(&session.plan.neighbor) {
                Some(new) if same_session(&session.plan, new) => {}
                Some(_) => {
                    // Its successor speaks to the same neighbour from now on: no repeated farewell.
                    self.with(id, now, actions, |s, cx| s.leave(Reason::Removed, cx));
                    self.remove(id, actions);
                }
                None => self.take_leave(id, Reason::Removed, now, actions),
            }
        }
        for session in plan.sessions {
            let id = match self.by_neighbor.get(&session.neighbor).copied() {
                Some(id) if self.sessions.get(&id).is_some_and(|s| !s.is_leaving()) => {
                    self.with(id, now, actions, |s, cx| s.take_plan(session, cx));
                    id
                }
                leaving => {
                    leaving.into_iter().for_each(|id| self.remove(id, actions));
                    self.add(session, now, actions)
                }
            };
            self.order.push(id);
        }
    }

    fn add(&mut self, plan: BfdSessionPlan, now: Instant, actions: &mut Vec<Action>) -> SessionId {
        let id = SessionId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let discriminator = self.free_discriminator();
        let neighbor = plan.neighbor;
        let session =
            Session::new(id, plan, discriminator, &mut Context { now, chance: &mut self.chance, actions });
        session.deadline().map(|due| self.deadlines.insert((due, id)));
        self.by_discriminator.insert(discriminator.get(), id);
        self.by_neighbor.insert(neighbor, id);
        self.sessions.insert(id, session);
        id
    }

    /// Unique on this node, not zero, and hard to guess from outside (RFC 5880 6.3, 6.8.1).
    fn free_discriminator(&mut self) -> NonZeroU32 {
        loop {
            let number = NonZeroU32::new((self.chance.next() >> 32) as u32);
            if let Some(number) = number.filter(|n| !self.by_discriminator.contains_key(&n.get())) {
                return number;
            }
        }
    }

    fn remove(&mut self, id: SessionId, actions: &mut Vec<Action>) {
        let Some(session) = self.sessions.remove(&id) else { return };
        session.deadline().map(|due| self.deadlines.remove(&(due, id)));
        self.by_discriminator.remove(&session.discriminator.get());
        self.by_neighbor.remove(&session.plan.neighbor);
        actions.push(Action::Close(id));
    }

    fn take_leave(&mut self, id: SessionId, reason: Reason, now: Instant, actions: &mut Vec<Action>) {
        self.with(id, now, actions, |session, cx| session.leave(reason, cx));
        self.bury(id, now, actions);
    }

    /// Removes a session that has left. The last one ends the core when it is stopping.
    fn bury(&mut self, id: SessionId, now: Instant, actions: &mut Vec<Action>) {
        if self.sessions.get(&id).is_some_and(|session| session.has_left(now)) {
            self.remove(id, actions);
            if self.stopping && self.sessions.is_empty() {
                actions.push(Action::Stopped);
            }
        }
    }

    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        if self.sessions.is_empty() {
            actions.push(Action::Stopped);
        }
        let staying: Vec<SessionId> =
            self.sessions.values().filter(|s| !s.is_leaving()).map(|s| s.id).collect();
        for id in staying {
            self.take_leave(id, Reason::Stopped, now, actions);
        }
    }

    fn note_sending(&mut self, id: SessionId, error: Option<String>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.counters.send_errors += u64::from(error.is_some());
            session.send_error = error;
        }
    }

    fn receive(&mut self, packet: &Received, now: Instant, actions: &mut Vec<Action>) {
        let claimed = self.by_neighbor.get(&packet.source).copied();
        let control = match ControlPacket::decode(&packet.bytes) {
            Ok(control) => control,
            // Counted where an operator looks first: at the session whose neighbour seems to have sent it.
            Err(why) => return self.counters_of(claimed).discard(why),
        };
        // RFC 5880 6.8.6: by Your Discriminator, and by the addresses only while that is not known.
        let found = match control.your_discriminator {
            0 => claimed,
            number => self.by_discriminator.get(&number).copied(),
        };
        let found = found.filter(|id| {
            self.sessions.get(id).is_some_and(|session| session.plan.multihop == packet.multihop)
        });
        let Some(id) = found else {
            self.counters_of(claimed).discarded_no_session += 1;
            return;
        };
        self.with(id, now, actions, |session, cx| {
            if packet.hop_limit < session.plan.least_ttl {
                session.counters.discarded_ttl += 1;
            } else {
                session.receive(&control, cx);
            }
        });
        self.bury(id, now, actions);
    }

    fn counters_of(&mut self, id: Option<SessionId>) -> &mut Counters {
        match id.and_then(|id| self.sessions.get_mut(&id)) {
            Some(session) => &mut session.counters,
            None => &mut self.strangers,
        }
    }
}

/// Does a session live on when its plan changes to `new`? A neighbour knows it by its addresses.
fn same_session(old: &BfdSessionPlan, new: &BfdSessionPlan) -> bool {
    (old.neighbor, old.source, old.multihop) == (new.neighbor, new.source, new.multihop)
}
