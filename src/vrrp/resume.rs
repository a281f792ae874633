//! Going on where a process that died stopped. The driver keeps a record of each router outside of the process; a new
//! process hands it to the core before its first plan. A Master whose last advertisement is younger than its peers'
//! patience goes on as Master: it asks for its addresses again (they are there), and its next advertisement comes when
//! it was due.

use super::claim::Claim;
use super::context::Context;
use super::event::{Action, LogLevel, RouterId, State, Transition, TransitionCause};
use super::kept::{Arrival, Arrivals, KeptAddress, KeptKey, KeptPlan, Listed};
use super::router::Router;
use super::state::{Master, Phase};
use super::{Core, speech};
use crate::net::{AddressFamily, IpCidr, Priority, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::route::Item;
use crate::plan::vrrp::{RouterKey, RouterPlan, Transport, Version, VirtualAddress, VirtualLinkPlan};
use crate::time::{Instant, Interval};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

/// The part of an interval within which an advertisement that is sent at once is with the peers for certain.
const MARGIN_PART: u32 = 8;

/// The `down_timer_adverts` of a node that does not set it: RFC 9568, 6.1.
const USUAL_DOWN_TIMER_ADVERTS: u8 = 3;

/// What is remembered of a router. Sources of the numbers: [`Router::memory`], and the driver for the times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// [`fingerprint`] of its plan.
    pub fingerprint: u64,
    /// The state that was told last.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// As Master that holds its addresses: when its last advertisement left.
    pub spoke_at: Option<Instant>,
    /// How long after that the most impatient peer waits.
    pub patience: Duration,
    /// Effective priority.
    pub priority: Priority,
    /// Told to fail over: until when it leaves a weaker Master in peace.
    pub held_back: Option<Instant>,
    /// Numbers that may not be used twice.
    pub numbers: Numbers,
}

/// Sequence numbers of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Authentication header: sequence number above, IP identification in the lowest 16 bits.
    pub header: u64,
    /// Trailer (`auth_hmac`); 0 for none.
    pub trailer: u64,
}

/// What a process must know of a router to go on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Effective priority.
    pub priority: Priority,
    /// Master, and the claim script (if any) has said yes: the next process may go on.
    pub holds: bool,
    /// Until when it leaves a weaker Master in peace.
    pub held_back: Option<Instant>,
    /// What was sent last.
    pub numbers: Numbers,
}

/// A number that is the same for two plans if what one holds in the kernel the other would hold too: identity,
/// version, addresses, virtual interfaces, routes and rules (FNV-1a over their words). Priorities, intervals and what is
/// only told to people may differ, as at a reload. It is written to a record that another build may read: where it changes,
/// an upgrade is an election.
pub fn fingerprint(plan: &RouterPlan) -> u64 {
    let RouterPlan { key, addresses, excluded_addresses, .. } = plan;
    let mut hash = Fnv::default();
    let RouterKey { interface, family, vrid, among } = key;
    hash.key((interface, *family, *vrid, *among), plan.version, &plan.transport);
    for (kind, list) in [(ADVERTISED, addresses), (EXCLUDED, excluded_addresses)] {
        for VirtualAddress { cidr, interface, label, options, .. } in list {
            hash.address(kind, *cidr, interface.as_deref(), label.as_deref(), options.peer);
        }
    }
    hash.surroundings(&plan.virtual_links, &plan.routing);
    hash.0
}

/// How long the most impatient peer waits after an advertisement: Master_Down_Interval without its skew, which for
/// the strongest is next to nothing. `down_timer_adverts` is each node's own: a peer may have the usual one.
pub fn least_patience(plan: &RouterPlan) -> Duration {
    least(plan.interval, plan.down_timer_adverts)
}

fn least(interval: Interval, adverts: u8) -> Duration {
    interval.duration() * u32::from(adverts.min(USUAL_DOWN_TIMER_ADVERTS))
}

/// How a fingerprint calls the lists of addresses.
const ADVERTISED: &str = "vip";
const EXCLUDED: &str = "more";

/// Interface, family, VRID, and what tells it from another of these.
type Key<'a> = (&'a str, AddressFamily, VirtualRouterId, Option<IpAddr>);

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn key(&mut self, key: Key<'_>, version: Version, transport: &Transport) {
        let (interface, family, vrid, among) = key;
        self.words(format_args!("{interface} {family} {vrid} {among:?} {version:?}"));
        if let Transport::Unicast { .. } = transport {
            self.words(format_args!("unicast"));
        }
    }

    fn address(
        &mut self,
        kind: &str,
        cidr: IpCidr,
        interface: Option<&str>,
        label: Option<&str>,
        peer: Option<IpAddr>,
    ) {
        self.words(format_args!("{kind} {cidr} {interface:?} {label:?} {peer:?}"));
    }

    fn surroundings(&mut self, links: &[VirtualLinkPlan], routing: &[Item]) {
        for link in links {
            self.words(format_args!("link {} {} {:?}", link.name, link.base, link.kind));
        }
        for item in routing {
            self.words(format_args!("{item}"));
        }
    }

    fn words(&mut self, words: std::fmt::Arguments<'_>) {
        self.write_fmt(words).expect("writing a number fails never");
        self.octet(b'\n');
    }

    fn octet(&mut self, octet: u8) {
        self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        text.bytes().for_each(|octet| self.octet(octet));
        Ok(())
    }
}

/// What was remembered and no router has taken yet.
pub(super) type Memories = BTreeMap<u64, Remembered>;

/// Members of a sync group go on together or not at all: one that must listen would take the others along anyway.
pub(super) fn only_whole_groups(
    routers: &Arrivals,
    group: impl Fn(&RouterId) -> Option<usize>,
    memories: &mut Memories,
    now: Instant,
) {
    let fresh = |router: &Arrival<'_>| {
        let memory = memories.get(&router.fingerprint());
        memory.is_some_and(|memory| memory.silence(now, router.plan.interval.duration()).is_some())
    };
    let stale = routers.iter().filter(|router| !fresh(router));
    let broken: BTreeSet<usize> = stale.filter_map(|router| group(&router.id)).collect();
    let breaks = |router: &Arrival<'_>| group(&router.id).is_some_and(|at| broken.contains(&at));
    for router in routers.iter().filter(breaks) {
        if let Some(memory) = memories.get_mut(&router.fingerprint()) {
            memory.spoke_at = None;
        }
    }
}

/// Is an advertisement that is sent now with the most impatient peer before its patience ends?
pub(super) fn is_patient(silence: Duration, interval: Duration, patience: Duration) -> bool {
    silence + interval / MARGIN_PART < patience
}

impl Remembered {
    /// How long it was silent, if that is less than its peers wait. `interval`: the one that it will keep.
    fn silence(&self, now: Instant, interval: Duration) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.spoke_at?);
        is_patient(silence, interval, self.patience).then_some(silence)
    }
}

impl Core {
    /// What the process before this one left; only before the first plan.
    pub(super) fn remember(&mut self, all: Vec<Remembered>) {
        if self.generation == Generation::default() {
            self.memories = all.into_iter().map(|one| (one.fingerprint, one)).collect();
        }
    }

    /// Groups whose members were all in one state have told it; they say it no second time.
    pub(super) fn recall_groups(&mut self) {
        for group in &mut self.groups {
            let told = |id: &RouterId| self.routers.get(id).and_then(|router| router.told_before());
            let mut states = group.members.iter().map(told);
            group.told = states.next().flatten().filter(|first| states.all(|state| state == Some(*first)));
        }
    }
}

impl KeptPlan {
    /// [`fingerprint`] of the plan with these addresses.
    pub(super) fn fingerprint<'a>(&self, addresses: impl Iterator<Item = (&'a KeptAddress, Listed)>) -> u64 {
        let KeptKey { interface, family, vrid, among } = &self.key;
        let mut hash = Fnv::default();
        hash.key((interface, *family, *vrid, among.as_deref().copied()), self.version, &self.transport);
        for (address, listed) in addresses {
            let kind = if listed == Listed::Advertised { ADVERTISED } else { EXCLUDED };
            hash.address(kind, address.cidr, address.interface(), address.label(), address.peer());
        }
        hash.surroundings(&self.virtual_links, &self.routing);
        hash.0
    }

    /// [`least_patience`] of the plan's peers.
    pub fn least_patience(&self) -> Duration {
        least(self.interval, self.down_timer_adverts)
    }
}

impl Arrival<'_> {
    /// [`fingerprint`] of its plan.
    pub fn fingerprint(&self) -> u64 {
        self.plan.fingerprint(self.addresses.listed())
    }
}

impl Router {
    /// [`fingerprint`] of its plan.
    pub fn fingerprint(&self) -> u64 {
        self.plan.fingerprint(self.listed())
    }

    /// What the next process must know.
    pub fn memory(&self) -> Memory {
        let master = matches!(self.phase, Phase::Master(_));
        Memory {
            state: self.phase.state(),
            since: self.since,
            priority: self.priority,
            holds: master && self.may_hold() && !self.doomed,
            held_back: self.held_back(),
            numbers: self.speech.numbers(),
        }
    }

    /// Has each of its advertisements a number?
    pub fn counts(&self) -> bool {
        !self.repeats_itself()
    }

    /// The state that was told last, by this process or the one before.
    fn told_before(&self) -> Option<State> {
        let told = self.rare.as_deref().and_then(|rare| rare.told);
        told.or(Some(self.phase.state()).filter(|state| *state != State::Initialize))
    }

    /// Go on as Master, if it was one and its peers still wait. Whatever it was, it says the same priority until its trackers
    /// have spoken; what was told to fail over leaves its successor in peace for the rest of that time. Not to be called but
    /// before the first state.
    pub(super) fn resume(&mut self, memory: &Remembered, ctx: &mut Context) -> bool {
        self.rare().told = Some(memory.state).filter(|state| *state != State::Initialize);
        self.rare().held_priority = self.rare().told.map(|_| memory.priority);
        if memory.held_back.is_some() {
            self.rare().held_back = memory.held_back;
        }
        if memory.numbers != Numbers::default() {
            self.speech.go_on(memory.numbers);
        }
        let Some(spoke_at) = memory.spoke_at else { return false };
        let interval = self.own_interval().duration();
        let silence = ctx.now.saturating_duration_since(spoke_at);
        let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        if memory.silence(ctx.now, interval).is_none() {
            let name = &self.plan.name;
            let sentence = format!(
                "({name}) was Master, but was silent for {silence_ms} ms, which is as long as its peers wait: \
                 the election begins anew"
            );
            ctx.log(LogLevel::Warning, sentence);
            return false;
        }
        self.look_around(ctx);
        let due = (spoke_at + interval).max(ctx.now);
        self.phase = Phase::Master(Master { next_advertisement: due, ..self.new_master(ctx.now) });
        // One that became Master while nobody heard it has told something else.
        self.rare().told = Some(memory.state).filter(|state| *state != State::Master);
        self.end_hold();
        self.stirred = true;
        self.since = memory.since;
        self.cause = TransitionCause::Resumed { silence_ms };
        self.claim = self.plan.claim.as_ref().map(|_| Box::new(Claim::granted(ctx.now)));
        for vip in &mut self.vips {
            vip.resumed = true;
        }
        let announced = self.stats.announcements_sent;
        self.take_up(ctx);
        ctx.actions.push(Action::Notify(Transition {
            router: self.id,
            key: self.plan.key.to_key(),
            name: self.plan.name.to_string(),
            from: memory.state,
            to: State::Master,
            cause: self.cause.clone(),
            at: ctx.now,
            priority: self.priority,
        }));
        self.begin_story(false, announced, ctx);
        // Something that it needs went while nobody looked.
        self.reevaluate(ctx);
        true
    }
}

impl speech::Speech {
    /// What was sent last.
    pub fn numbers(&self) -> Numbers {
        let header = u64::from(self.header_sequence) << 16 | u64::from(self.identification);
        Numbers { header, trailer: self.signed.map_or(0, |sequence| sequence.0) }
    }

    /// A number may have been used between the last note and the end.
    pub fn go_on(&mut self, numbers: Numbers) {
        let Numbers { header, trailer } = numbers;
        if header != 0 {
            self.header_sequence = u32::try_from(header >> 16 & 0xffff_ffff).unwrap_or(0).wrapping_add(1);
            self.identification = u16::try_from(header & 0xffff).unwrap_or(0);
        }
        if trailer != 0 {
            self.signed = Some(crate::wire::trailer::Sequence(trailer).next());
        }
    }
}

#[cfg(test)]
mod tests;
