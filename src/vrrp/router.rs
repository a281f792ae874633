//! One virtual router: what each event means in each state. It only decides; every change of state goes
//! through `transition`, every effect through the files beside this one.

use super::accept::Inbound;
use super::claim::Claim;
use super::context::Context;
use super::election::{Timing, Wait, outranks};
use super::event::{Action, LogLevel, RouterId, State, TransitionCause};
use super::held::HeldList;
use super::kept::{KeptPlan, Planned};
use super::news::{News, WeakerHeard};
use super::rival::Rare;
use super::sparse::Sparse;
use super::speech::Speech;
use super::state::{ActiveRouter, Backup, Phase};
use super::stats::Stats;
use super::story::Story;
use super::vips::Vip;
use crate::net::Priority;
use crate::plan::vrrp::{TrackedInterface, TrackedObject};
use crate::time::{Instant, Interval};
use crate::wire::vrrp::Version;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Shortest time between two sentences about the same weaker router.
const WEAKER_LOG_GAP: Duration = Duration::from_secs(10);

/// A virtual router of this node.
#[derive(Debug)]
pub struct Router {
    pub(super) id: RouterId,
    pub(super) plan: KeptPlan,
    pub(super) phase: Phase,
    pub(super) since: Instant,
    pub(super) cause: TransitionCause,
    /// Why it is in FAULT.
    pub(super) faults: Sparse<Vec<String>>,
    /// What the last look around found missing; members of a sync group fail for each other's.
    pub(super) own_faults: Sparse<Vec<String>>,
    /// Conditions of which nothing is known yet.
    pub(super) pending: Sparse<Vec<String>>,
    /// What it shares with the members of its sync group.
    pub(super) shared: Arc<Shared>,
    /// Something changed that its sync group must consider.
    pub(super) stirred: bool,
    /// Heard a weaker Master: the members of its sync group announce their addresses again, too.
    pub(super) alarmed: bool,
    /// Came to a sync group that is Master already: the others stay where they are while it listens.
    pub(super) joining: bool,
    pub(super) link: Option<u32>,
    pub(super) source: Option<IpAddr>,
    pub(super) priority: Priority,
    pub(super) vips: Vec<Vip>,
    pub(super) next_retry: Option<Instant>,
    /// Routes and rules.
    pub(super) routing: Sparse<HeldList>,
    /// Master with `notify_claim`: how far it is.
    pub(super) claim: Option<Box<Claim>>,
    /// What is to be told when the kernel is done.
    pub(super) story: Option<Box<Story>>,
    /// Sequence numbers and checksums, sent and heard.
    pub(super) speech: Sparse<Speech>,
    pub(super) stats: Stats,
    /// Kinds of sentence said since the last change of state.
    pub(super) said: Said,
    /// It says 254 until that one is gone.
    pub(super) gave_way: bool,
    /// The deadline under which the core has queued this router.
    pub(super) queued: Option<Instant>,
    /// The key under which the core finds it for packets.
    pub(super) bound: Option<u32>,
    /// No longer in the configuration; ends when its addresses are gone.
    pub(super) doomed: bool,
    /// Questions for its addresses are not answered.
    pub(super) silent: bool,
    /// What most routers never need.
    pub(super) rare: Option<Box<Rare>>,
}

/// What the members of a sync group share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// Index of the group.
    pub group: Option<usize>,
    /// Its tracked interfaces.
    pub interfaces: Vec<TrackedInterface>,
    /// Its other trackers.
    pub trackers: Vec<TrackedObject>,
}

/// Which kinds of sentence were already said: one bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said(u32);

impl Said {
    /// True the first time only.
    pub(super) fn first(&mut self, bit: u32) -> bool {
        let mask = 1 << bit;
        let first = self.0 & mask == 0;
        self.0 |= mask;
        first
    }
}

/// Bits of [`Said`] above those of the discards.
pub(super) const SAID_FLOOD: u32 = 28;
const SAID_TWO_OWNERS: u32 = 29;
pub(super) const SAID_ADDRESSES: u32 = 30;
pub(super) const SAID_INTERVAL: u32 = 31;

/// An accepted advertisement, as far as the election cares.
#[derive(Clone, Copy, Debug)]
struct Heard {
    from: IpAddr,
    priority: Priority,
    interval: Interval,
}

impl Router {
    /// A router in INIT; `start` moves it.
    pub(super) fn new(
        id: RouterId,
        (plan, addresses): (KeptPlan, Planned<'_>),
        shared: Arc<Shared>,
        now: Instant,
    ) -> Router {
        let vips = addresses.listed().map(|(address, listed)| Vip::new(address.clone(), listed)).collect();
        Router {
            id,
            priority: plan.priority,
            phase: Phase::Initialize,
            since: now,
            cause: TransitionCause::Started,
            faults: Sparse::new(),
            own_faults: Sparse::new(),
            pending: Sparse::new(),
            shared,
            stirred: false,
            alarmed: false,
            joining: false,
            link: None,
            source: None,
            vips,
            next_retry: None,
            routing: Sparse::unless(plan.routing.is_empty(), HeldList::new(&plan.routing)),
            claim: None,
            story: None,
            speech: Sparse::new(),
            stats: Stats::default(),
            said: Said::default(),
            gave_way: false,
            queued: None,
            bound: None,
            doomed: false,
            silent: false,
            rare: None,
            plan,
        }
    }

    /// Its identifier in this core.
    pub fn id(&self) -> RouterId {
        self.id
    }

    /// Its configuration.
    pub fn plan(&self) -> &KeptPlan {
        &self.plan
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// And why.
    pub fn cause(&self) -> &TransitionCause {
        &self.cause
    }

    /// Effective priority.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The Master a Backup listens to, and the moment it will be considered down.
    pub fn active(&self) -> Option<(ActiveRouter, Instant)> {
        match &self.phase {
            Phase::Backup(backup) => backup.active.map(|active| (active, backup.master_down_at)),
            _ => None,
        }
    }

    /// The interval by which it waits for its Master: in version 3 what that one advertises, else its own.
    pub fn master_interval(&self) -> Interval {
        self.timing().master_interval
    }

    /// Its counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The earliest moment at which it has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Initialize | Phase::Fault => None,
            Phase::Backup(backup) => (!backup.wants_master).then_some(backup.master_down_at),
            Phase::Leaving(leaving) => Some(leaving.let_go_at),
            Phase::Master(master) => [
                Some(master.next_advertisement),
                master.second_burst_at,
                master.refresh_at,
                master.elsewhere_at,
            ]
            .into_iter()
            .flatten()
            .min(),
        };
        let others = [
            self.next_retry,
            self.routing.next_retry(),
            self.claim_deadline(),
            self.reclaim_at(),
            self.linger_at(),
        ];
        others.into_iter().chain([phase]).flatten().min()
    }

    /// The numbers behind its timers. Version 2 knows one interval, its own.
    pub(super) fn timing(&self) -> Timing {
        let master_interval = match (&self.phase, self.plan.version) {
            (Phase::Backup(backup), Version::V3) => backup.master_interval,
            _ => self.own_interval(),
        };
        Timing {
            version: self.plan.version,
            priority: self.priority,
            down_timer_adverts: self.plan.down_timer_adverts,
            master_interval,
        }
    }

    /// RFC 9568 6.4.1: the owner becomes Master at once, others listen first, for the whole down interval even
    /// with `state MASTER` (keepalived 2.2.7, measured in versions 2 and 3). While nothing is known of a condition,
    /// the router has no state yet, as in keepalived.
    //= RFC9568 6.4.1 M-48
    //= RFC9568 6.4.1 M-49
    //= keepalived M-110
    pub(super) fn start(&mut self, ctx: &mut Context) {
        self.look_around(ctx);
        self.stirred = true;
        if self.shared.group.is_none() || ctx.asleep {
            self.begin(ctx);
        } else if !self.pending.is_empty() {
            self.wait(self.pending.clone(), ctx);
        }
    }

    /// Leave INIT, if that can be.
    pub(super) fn begin(&mut self, ctx: &mut Context) {
        if ctx.asleep {
            self.wait(vec!["vrrp_startup_delay is not over".to_owned()], ctx);
        } else if !self.own_faults.is_empty() {
            self.fail(self.own_faults.clone(), ctx);
        } else if !self.pending.is_empty() {
            self.wait(self.pending.clone(), ctx);
        } else if self.begins_as_owner(ctx.now) {
            self.become_master(TransitionCause::Owner, ctx);
        } else {
            self.become_backup(Wait::Down, TransitionCause::Started, ctx);
        }
    }

    /// Leave INIT or FAULT together with the sync group: owners only among owners are Master at once.
    pub(super) fn begin_in_group(&mut self, owners: bool, ctx: &mut Context) {
        if self.phase == Phase::Fault {
            self.announce_source(ctx);
        }
        let cause = match &self.phase {
            Phase::Fault => TransitionCause::Recovered(self.faults.clone()),
            _ if owners => TransitionCause::Owner,
            _ => TransitionCause::Started,
        };
        if owners {
            self.become_master(cause, ctx);
        } else {
            self.become_backup(Wait::Down, cause, ctx);
        }
    }

    /// Stay in INIT and say what is missing; addresses of an earlier run go.
    fn wait(&mut self, reasons: Vec<String>, ctx: &mut Context) {
        let cause = TransitionCause::Waiting(reasons);
        if cause != self.cause {
            ctx.log(LogLevel::Info, format!("({}) {cause}", self.plan.name));
            self.cause = cause;
            self.withdraw_addresses(ctx);
        }
    }

    /// What was missing is back.
    pub(super) fn recover(&mut self, ctx: &mut Context) {
        let cause = TransitionCause::Recovered(self.faults.clone());
        self.announce_source(ctx);
        if let Some(silence_ms) = self.was_cut_off_for(ctx.now) {
            self.become_master(TransitionCause::LinkRemade { silence_ms }, ctx);
        } else if self.begins_as_owner(ctx.now) {
            self.become_master(cause, ctx);
        } else {
            self.become_backup(Wait::Down, cause, ctx);
        }
    }

    /// Something the router needs is missing.
    pub(super) fn fail(&mut self, faults: Vec<String>, ctx: &mut Context) {
        self.note_cut_off(&faults, ctx);
        self.transition(Phase::Fault, TransitionCause::Fault(faults), ctx);
    }

    /// As [`Router::fail`]; in FAULT already, only the reasons change.
    pub(super) fn fail_or_restate(&mut self, faults: Vec<String>, ctx: &mut Context) {
        if self.phase != Phase::Fault {
            self.fail(faults, ctx);
        } else if faults != *self.faults {
            self.note_cut_off(&faults, ctx);
            let reasons = faults.join("; ");
            ctx.log(LogLevel::Warning, format!("({}) still in FAULT: {reasons}", self.plan.name));
            self.cause = TransitionCause::Fault(faults.clone());
            self.faults = faults.into();
        }
    }

    /// Has its timer ended, so that only its sync group keeps it from being Master?
    pub fn wants_master(&self) -> bool {
        matches!(&self.phase, Phase::Backup(backup) if backup.wants_master)
    }

    /// The sync group lets it be Master.
    pub(super) fn take_wanted(&mut self, ctx: &mut Context) {
        if let Phase::Backup(backup) = &self.phase
            && backup.wants_master
        {
            let cause = takeover_cause(backup, self.since, ctx.now);
            self.become_master(cause, ctx);
        }
    }

    /// A Backup that has not heard anybody waits one interval more.
    pub(super) fn wait_longer(&mut self) {
        let (timing, interval) = (self.timing(), self.own_interval().duration());
        if let Phase::Backup(backup) = &mut self.phase
            && backup.active.is_none()
        {
            backup.counted_from += interval;
            backup.recompute(timing);
        }
    }

    /// Why its sync group cannot be Master while this member listens.
    pub(super) fn yielding_cause(&self) -> TransitionCause {
        match (&self.phase, &self.cause) {
            (
                _,
                TransitionCause::AddressLost { .. }
                | TransitionCause::Outranked { .. }
                | TransitionCause::HandedOver { .. }
                | TransitionCause::Ordered,
            ) => self.cause.clone(),
            (Phase::Backup(Backup { active: Some(active), .. }), _) => {
                TransitionCause::Outranked { by: active.address, priority: active.priority }
            }
            _ => self.cause.clone(),
        }
    }

    /// Scripts, files, processes and BFD sessions that count: its own and its sync group's.
    pub(super) fn trackers(&self) -> impl Iterator<Item = &TrackedObject> {
        self.plan.trackers.iter().chain(&self.shared.trackers)
    }

    /// A packet for this router.
    pub(super) fn receive(&mut self, packet: Inbound<'_>, ctx: &mut Context) {
        let Some(advert) = self.accept(packet, ctx) else { return };
        let heard = Heard { from: packet.source, priority: advert.priority(), interval: advert.interval() };
        self.listen_if_too_late(ctx);
        match &self.phase {
            Phase::Backup(_) => self.backup_hears(heard, ctx),
            Phase::Master(_) => self.master_hears(heard, ctx),
            Phase::Leaving(_) => {
                let Heard { from: address, priority, interval } = heard;
                self.leaving_hears(ActiveRouter { address, priority, at: ctx.now }, interval, ctx);
            }
            Phase::Initialize | Phase::Fault => {} // `accept` let nothing through
        }
    }

    //= RFC9568 6.4.2 M-55
    /// A deadline has passed. First the election, then announcements, then the kernel.
    //= RFC9568 6.4.3 M-28
    //= RFC9568 6.4.3 M-72
    pub(super) fn timeout(&mut self, ctx: &mut Context) {
        self.listen_if_too_late(ctx);
        self.listen_if_overslept(ctx);
        match &mut self.phase {
            Phase::Backup(backup) if backup.master_down_at <= ctx.now && !backup.wants_master => {
                if self.shared.group.is_some() {
                    backup.wants_master = true;
                    self.stirred = true;
                } else {
                    let cause = takeover_cause(backup, self.since, ctx.now);
                    self.become_master(cause, ctx);
                }
            }
            Phase::Master(_) => {
                self.speak_if_due(ctx);
                self.settle_rival(ctx);
            }
            Phase::Leaving(_) => self.let_go_if_due(ctx),
            Phase::Initialize | Phase::Backup(_) | Phase::Fault => {}
        }
        self.announce_due(ctx);
        self.reclaim_due(ctx);
        self.claim_due(ctx);
        self.linger_due(ctx);
        self.retry_addresses(ctx);
        if let Some(routing) = self.routing.there() {
            routing.retry(self.id, ctx);
        }
    }

    /// Somebody removed an address of ours: keepalived resigns and lets the election decide, with everybody
    /// waiting only for the skew (seen with 2.2.7).
    pub(super) fn lose_address(&mut self, cause: TransitionCause, ctx: &mut Context) {
        self.become_backup(Wait::Skew, cause, ctx);
    }

    pub(super) fn become_backup(&mut self, wait: Wait, cause: TransitionCause, ctx: &mut Context) {
        let timing = Timing { master_interval: self.own_interval(), ..self.timing() };
        self.transition(Phase::Backup(Backup::new(wait, timing, ctx.now)), cause, ctx);
    }

    fn become_master(&mut self, cause: TransitionCause, ctx: &mut Context) {
        self.end_hold();
        if self.plan.priority.is_owner() && !self.priority.is_owner() {
            self.priority = self.plan.priority; // the other owner is gone
            self.gave_way = false;
        }
        let master = self.coming_master(ctx.now);
        self.transition(Phase::Master(master), cause, ctx);
    }

    /// RFC 9568 6.4.2.
    //= RFC9568 6.4.2 M-60
    //= RFC9568 6.4.2 M-61
    //= RFC9568 6.4.2 M-62
    //= RFC9568 6.4.2 M-63
    //= RFC9568 6.4.2 M-86
    fn backup_hears(&mut self, heard: Heard, ctx: &mut Context) {
        let timing = self.timing();
        let held_back = self.is_held_back(ctx.now);
        let Phase::Backup(backup) = &mut self.phase else { return };
        if heard.priority == Priority::RESIGN {
            self.stats.resignations_received += 1;
            backup.resigned = Some(heard.from);
            backup.arm(Wait::Skew, timing, ctx.now);
            return;
        }
        let speaker = ActiveRouter { address: heard.from, priority: heard.priority, at: ctx.now };
        let weaker = heard.priority < self.priority;
        if weaker && !held_back && !still_patient(backup, &self.plan, ctx.now) {
            backup.ignored = Some(speaker); // discarded: the timer runs on
            return;
        }
        if !weaker {
            backup.preempt_after = None;
        }
        self.stirred |= self.joining || backup.wants_master;
        self.joining = false;
        if self.plan.version == Version::V3 {
            backup.master_interval = heard.interval;
        }
        backup.active = Some(speaker);
        backup.ignored = None;
        backup.resigned = None;
        let timing = Timing { master_interval: backup.master_interval, ..timing };
        backup.arm(Wait::Down, timing, ctx.now);
    }

    //= RFC9568 8.3.2 M-97
    /// RFC 9568 6.4.3.
    //= RFC9568 6.4.3 M-73
    //= RFC9568 6.4.3 M-75
    //= RFC9568 6.4.3 M-80
    fn master_hears(&mut self, heard: Heard, ctx: &mut Context) {
        let ours = (self.priority, self.source.unwrap_or(heard.from));
        if heard.priority.is_owner() && self.priority.is_owner() && self.said.first(SAID_TWO_OWNERS) {
            let (name, from) = (&self.plan.name, heard.from);
            ctx.log(
                LogLevel::Error,
                format!(
                    "({name}) {from} owns the addresses too (priority 255): give one of us a lower priority"
                ),
            );
        }
        if heard.priority == Priority::RESIGN {
            self.stats.resignations_received += 1;
            let interval = self.own_interval().duration();
            if self.is_unspoken() {
                self.begin_to_speak(ctx); // nobody serves any more
            } else if self.answer(ctx)
                && let Phase::Master(master) = &mut self.phase
            {
                master.next_advertisement = ctx.now + interval;
            }
        } else if outranks((heard.priority, heard.from), ours) {
            self.yield_to(heard, ctx);
        } else if !self.is_unspoken() {
            self.contest_ownership(heard, ctx);
            self.stand_against(heard, ctx);
        }
    }

    /// Two owners: the one with the lower address yields. If it does not, although it has heard us for two
    /// advertisements and more, we say 254 until it is gone (keepalived 2.4.3; 2.2.7 does so on both sides at once).
    //= RFC9568 8.3.2 M-97
    fn contest_ownership(&mut self, heard: Heard, ctx: &mut Context) {
        if !heard.priority.is_owner() || !self.priority.is_owner() {
            return;
        }
        let interval = self.own_interval().duration();
        // A silence in between means that the other one gave way: a new contest.
        let goes_on = self
            .rare
            .as_deref()
            .and_then(|rare| rare.contested)
            .filter(|(_, last)| ctx.now < *last + interval * 4);
        let first = goes_on.map_or(ctx.now, |(first, _)| first);
        self.rare().contested = Some((first, ctx.now));
        if ctx.now >= first + interval * 32 / 10 {
            self.priority = Priority(254);
            self.gave_way = true;
            let (name, from) = (&self.plan.name, heard.from);
            let what = format!(
                "({name}) {from} keeps speaking as owner of the addresses: this node says 254 and yields until it is gone"
            );
            ctx.log(LogLevel::Error, what);
        }
    }

    /// Yield at once, and wait for the stronger router's silence by its own interval.
    //= RFC9568 6.4.3 M-74
    //= RFC9568 6.4.3 M-76
    fn yield_to(&mut self, heard: Heard, ctx: &mut Context) {
        let master_interval =
            if self.plan.version == Version::V3 { heard.interval } else { self.own_interval() };
        // One that promises the next sooner than the stronger one speaks would make a third router take over again and again.
        let promises_too_much = self.own_interval() < master_interval;
        if self.plan.answer_higher_priority && !self.is_unspoken() && !promises_too_much {
            self.send_advertisement(ctx);
        }
        self.note_stronger(heard.from, heard.priority, ctx);
        let timing = Timing { master_interval, ..self.timing() };
        let mut backup = Backup::new(Wait::Down, timing, ctx.now);
        backup.active = Some(ActiveRouter { address: heard.from, priority: heard.priority, at: ctx.now });
        let cause = TransitionCause::Outranked { by: heard.from, priority: heard.priority };
        self.transition(Phase::Backup(backup), cause, ctx);
    }

    /// RFC 9568 6.4.3: assert the Master's state to the weaker one and to learning bridges.
    //= RFC9568 6.4.3 M-78
    //= RFC9568 6.4.3 M-79
    fn stand_against(&mut self, heard: Heard, ctx: &mut Context) {
        self.stats.lower_priority_heard += 1;
        let answered = self.plan.answer_lower_priority && self.answer(ctx);
        self.note_rival(heard.from, ctx);
        self.tell_of_weaker(heard, ctx);
        let announces = self.announce_again(ctx);
        self.alarmed = true;
        let said_at = self.rare().weaker_said_at;
        if said_at.is_none_or(|at| ctx.now >= at + WEAKER_LOG_GAP) {
            self.rare().weaker_said_at = Some(ctx.now);
            let Heard { from, priority, .. } = heard;
            let (name, ours) = (&self.plan.name, self.priority);
            let answer = if answered { "told it so" } else { "not answered" };
            let again = if announces {
                "this node announces its addresses again until the other is silent"
            } else {
                "the addresses are not announced again (garp_lower_prio_repeat 0)"
            };
            let why = if priority == ours { " and the lower address" } else { "" };
            ctx.log(
                LogLevel::Warning,
                format!(
                    "({name}) a second Master, {from}, has priority {priority}{why}, ours is {ours}: {answer}; {again}"
                ),
            );
        }
    }

    /// Notify scripts hear of it, but a flood of packets is no flood of scripts.
    fn tell_of_weaker(&mut self, heard: Heard, ctx: &mut Context) {
        if self
            .rare
            .as_deref()
            .and_then(|rare| rare.weaker_told_at)
            .is_some_and(|at| ctx.now < at + self.own_interval().duration() / 2)
        {
            return;
        }
        self.rare().weaker_told_at = Some(ctx.now);
        ctx.actions.push(Action::News(News::WeakerHeard(WeakerHeard {
            router: self.id,
            key: self.plan.key.to_key(),
            name: self.plan.name.to_string(),
            priority: self.priority,
            by: heard.from,
            theirs: heard.priority,
        })));
    }
}

//= RFC9568 6.1 M-85
//= RFC9568 6.1 M-86
/// Is a weaker Master left in peace? Always with `nopreempt`, and for `preempt_delay` from the first time
/// it is heard. The owner preempts whatever is configured (RFC 9568 6.1).
fn still_patient(backup: &mut Backup, plan: &KeptPlan, now: Instant) -> bool {
    if plan.priority.is_owner() {
        return false;
    }
    if !plan.preempt {
        return true;
    }
    if plan.preempt_delay.is_zero() {
        return false;
    }
    now < *backup.preempt_after.get_or_insert(now + plan.preempt_delay)
}

/// Why a Backup takes over when its timer ends.
fn takeover_cause(backup: &Backup, since: Instant, now: Instant) -> TransitionCause {
    if let Some(by) = backup.resigned {
        return TransitionCause::MasterResigned { by };
    }
    if let Some(weaker) = backup.ignored {
        return TransitionCause::Preempted { from: weaker.address, priority: weaker.priority };
    }
    let heard_at = backup.active.map_or(since, |active| active.at);
    let silence = now.saturating_duration_since(heard_at);
    TransitionCause::MasterDown {
        last: backup.active.map(|active| active.address),
        silence_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
    }
}
