//! Handover: a Master that goes in order says priority 0 and keeps its addresses until its successor has told everybody
//! where they are now. Meanwhile it forwards as before; once the successor speaks, it answers no question for the
//! addresses any more, or it would take them back.

use super::answers::Answers;
use super::context::Context;
use super::election::{Timing, Wait, outranks};
use super::event::{Action, LogLevel, RouterId, TransitionCause};
use super::router::Router;
use super::state::{ActiveRouter, Backup, Master, Phase};
use super::vips::VipState;
use super::{Core, Life};
use crate::net::Priority;
use crate::plan::vmac::VirtualLinkKind;
use crate::plan::vrrp::RouterPlan;
use crate::time::{Instant, Interval};
use crate::wire::vrrp::Version;
use std::net::IpAddr;
use std::time::Duration;

/// Over the longest Skew_Time that a Backup may wait: a packet each way, and a process that wakes late on a busy machine.
pub const MARGIN: Duration = Duration::from_millis(300);

/// From a successor's first advertisement on: it asks its kernel for the addresses and announces them.
pub const ANNOUNCING: Duration = Duration::from_millis(300);

/// The longest wait for a successor, however long the interval: the stop of a host waits for it.
pub const LONGEST: Duration = Duration::from_secs(30);

/// A Master on its way out: silent, its addresses still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaving {
    /// The addresses go at this moment.
    pub let_go_at: Instant,
    /// Who has spoken since, and its interval.
    pub successor: Option<(ActiveRouter, Interval)>,
    /// What comes then.
    pub exit: Exit,
}

/// What a Master becomes after its handover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Nothing: the daemon stops.
    End(TransitionCause),
    /// Backup, or out of the election if it is in maintenance by then. With neither a successor nor maintenance it stays
    /// Master.
    Yield,
}

/// A handover as a report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandoverView {
    /// Who has spoken since priority 0.
    pub successor: Option<IpAddr>,
    /// When the addresses go.
    pub let_go_at: Instant,
}

/// How long a Master of this plan may take to hand over: longer than any Backup waits by our own numbers.
pub fn handover_limit(plan: &RouterPlan) -> Duration {
    let RouterPlan { version, down_timer_adverts, interval, .. } = *plan;
    longest_skew(version, down_timer_adverts, interval) + ANNOUNCING
}

fn longest_skew(version: Version, down_timer_adverts: u8, master_interval: Interval) -> Duration {
    let weakest = Timing { version, priority: Priority(1), down_timer_adverts, master_interval };
    (weakest.wait(Wait::Skew) + MARGIN).min(LONGEST)
}

impl Core {
    /// The daemon ends: Masters hand over, the others end at once.
    //= keepalived M-117
    pub(super) fn stop(&mut self, cause: TransitionCause, now: Instant, actions: &mut Vec<Action>) {
        let all: Vec<RouterId> = self.routers.keys().copied().collect();
        // Only a daemon that is told to stop has the time; one without its supervisor has not.
        let in_order = self.handover && cause == TransitionCause::Stopped;
        self.life = Life::Leaving;
        for id in all {
            let wait = self.longest_wait(id);
            self.with_router(id, now, actions, |router, ctx| {
                if let Phase::Leaving(leaving) = &mut router.phase
                    && in_order
                {
                    leaving.exit = Exit::End(cause.clone());
                } else if router.phase == Phase::Initialize {
                    // Left the plan earlier; the kernel may have refused to let go of its addresses.
                    router.withdraw_routing(ctx);
                    router.withdraw_addresses(ctx);
                } else if in_order && router.may_hand_over(ctx) {
                    router.leave(Exit::End(cause.clone()), wait, ctx);
                } else {
                    router.transition(Phase::Initialize, cause.clone(), ctx);
                }
            });
        }
        self.end_if_left(&cause, now, actions);
    }

    /// The end that cannot wait any longer.
    pub(super) fn cut_short(&mut self, cause: &TransitionCause, now: Instant, actions: &mut Vec<Action>) {
        for id in self.leaving() {
            self.with_router(id, now, actions, |router, ctx| {
                router.transition(Phase::Initialize, cause.clone(), ctx);
            });
        }
        self.end_if_left(cause, now, actions);
    }

    /// Handovers that are due, while the daemon stops.
    pub(super) fn let_go_in_time(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for id in self.leaving() {
            self.with_router(id, now, actions, Router::let_go_if_due);
        }
        self.end_if_left(&TransitionCause::Stopped, now, actions);
    }

    /// When the next handover of a daemon that stops is due.
    pub(super) fn leaving_timeout(&self) -> Option<Instant> {
        self.routers.values().filter_map(|router| router.handover()).map(|view| view.let_go_at).min()
    }

    /// While the daemon stops: an interface changed. A Master whose cable is out waits for nobody.
    pub(super) fn look_while_leaving(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        for id in self.interfaces.watchers(name) {
            self.with_router(id, now, actions, |router, ctx| {
                if matches!(router.phase, Phase::Leaving(_)) {
                    router.look_around(ctx);
                    if !router.own_faults.is_empty() {
                        router.let_go_at_once(ctx);
                    }
                }
            });
        }
    }

    /// Everybody has let go: groups and static things follow.
    pub(super) fn end_if_left(&mut self, cause: &TransitionCause, now: Instant, actions: &mut Vec<Action>) {
        if self.life != Life::Leaving || !self.leaving().is_empty() {
            return;
        }
        self.life = Life::Stopping;
        for index in 0..self.groups.len() {
            self.change_group(index, super::State::Initialize, cause.to_string(), now, actions);
        }
        self.groups.clear();
        self.release_statics(now, actions);
        self.end_if_idle(actions);
    }

    /// How long this router may have to wait for a successor. The members of a sync group elsewhere take over together,
    /// when the slowest of them may: none lets go before.
    pub(super) fn longest_wait(&self, id: RouterId) -> Duration {
        let group = self.router(id).and_then(|router| self.groups.get(router.shared.group?));
        let members = group.map_or(&[][..], |group| group.members());
        let all = members.iter().chain([&id]).filter_map(|id| self.router(*id));
        all.map(Router::longest_wait).max().unwrap_or_default()
    }

    fn leaving(&self) -> Vec<RouterId> {
        let leaving = self.routers.values().filter(|router| matches!(router.phase, Phase::Leaving(_)));
        leaving.map(|router| router.id).collect()
    }
}

impl Router {
    /// Where its handover stands.
    pub fn handover(&self) -> Option<HandoverView> {
        match &self.phase {
            Phase::Leaving(leaving) => Some(HandoverView {
                successor: leaving.successor.map(|(active, _)| active.address),
                let_go_at: leaving.let_go_at,
            }),
            _ => None,
        }
    }

    /// Is there something to hand over, and somebody who could hear of it? Who has not spoken yet just goes.
    pub(super) fn may_hand_over(&self, ctx: &Context) -> bool {
        matches!(&self.phase, Phase::Master(master) if !master.unspoken)
            && self.can_send(ctx)
            && self.may_hold()
    }

    fn longest_wait(&self) -> Duration {
        longest_skew(self.plan.version, self.plan.down_timer_adverts, self.own_interval())
    }

    /// Resign, and stay until somebody else is there.
    //= RFC9568 6.4.3 M-71
    pub(super) fn leave(&mut self, exit: Exit, wait: Duration, ctx: &mut Context) {
        self.send_resignation(ctx);
        ctx.gaps.withdraw(self.id);
        for vip in &mut self.vips {
            vip.end_second_burst();
        }
        self.end_reclaim();
        let (name, most) = (&self.plan.name, wait.as_millis());
        ctx.log(
            LogLevel::Info,
            format!("({name}) hands over: resigned, and keeps the addresses until another speaks, {most} ms at most"),
        );
        self.phase = Phase::Leaving(Box::new(Leaving { let_go_at: ctx.now + wait, successor: None, exit }));
    }

    /// Anybody who speaks now is the successor. A virtual MAC is at one port only: the switch has moved it already, and
    /// every frame of ours would move it back, so nothing is kept for a moment longer.
    pub(super) fn leaving_hears(&mut self, speaker: ActiveRouter, interval: Interval, ctx: &mut Context) {
        let shares_mac = self.shares_mac();
        let announcing = ctx.gaps.time_for(&self.plan.key.interface, self.vips.len()) + ANNOUNCING;
        let Phase::Leaving(leaving) = &mut self.phase else { return };
        if speaker.priority == Priority::RESIGN {
            return;
        }
        // Of two that answered the weaker one yields: what it said last tells nothing about the one that stays.
        if let Some((known, _)) = &leaving.successor
            && outranks((known.priority, known.address), (speaker.priority, speaker.address))
        {
            return;
        }
        // Each of its advertisements counts: with short intervals it would be taken for dead when the addresses go.
        if leaving.successor.replace((speaker, interval)).is_some() {
            return;
        }
        leaving.let_go_at = ctx.now + if shares_mac { Duration::ZERO } else { announcing.min(LONGEST) };
        let ms = leaving.let_go_at.saturating_duration_since(ctx.now).as_millis();
        let (name, by) = (&self.plan.name, speaker.address);
        ctx.log(LogLevel::Info, format!("({name}) {by} takes over; the addresses go in {ms} ms"));
        if shares_mac {
            return self.let_go(ctx);
        }
        self.hush(ctx);
    }

    /// The end of a handover, if it is time.
    pub(super) fn let_go_if_due(&mut self, ctx: &mut Context) {
        if let Phase::Leaving(leaving) = &self.phase
            && leaving.let_go_at <= ctx.now
        {
            self.let_go(ctx);
        }
    }

    /// It can no longer take part: there is nothing to wait for.
    pub(super) fn let_go_at_once(&mut self, ctx: &mut Context) {
        let Phase::Leaving(leaving) = &self.phase else { return };
        match &leaving.exit {
            Exit::End(cause) => self.transition(Phase::Initialize, cause.clone(), ctx),
            Exit::Yield => self.fail(self.own_faults.clone(), ctx),
        }
    }

    /// Give the addresses up; or, told to yield and with nobody there to take over, keep them.
    pub(super) fn let_go(&mut self, ctx: &mut Context) {
        let Phase::Leaving(leaving) = &self.phase else { return };
        let Leaving { successor, exit, .. } = (**leaving).clone();
        match exit {
            Exit::End(cause) => self.transition(Phase::Initialize, cause, ctx),
            Exit::Yield => self.rest_or_follow(successor, ctx),
        }
    }

    /// Listen to the successor.
    pub(super) fn follow(&mut self, active: ActiveRouter, interval: Interval, ctx: &mut Context) {
        let master_interval = if self.plan.version == Version::V3 { interval } else { self.own_interval() };
        let timing = Timing { master_interval, ..self.timing() };
        let mut backup = Backup::new(Wait::Down, timing, active.at);
        backup.active = Some(active);
        self.transition(Phase::Backup(backup), TransitionCause::HandedOver { to: active.address }, ctx);
    }

    /// Nobody was there: the address is better here than nowhere. All are announced again: what came while it was silent
    /// was not announced at all, and of the others no second burst was sent.
    pub(super) fn stay(&mut self, ctx: &mut Context) {
        self.end_hold();
        self.phase = Phase::Master(self.new_master(ctx.now));
        self.send_advertisement(ctx);
        self.announce_held(ctx);
        self.stirred = true;
        let name = &self.plan.name;
        let sentence = format!("({name}) nobody has taken over: this node stays Master");
        ctx.log(LogLevel::Warning, sentence);
        // What a reload brought meanwhile.
        self.take_up(ctx);
    }

    /// A Master that has just spoken.
    pub(super) fn new_master(&self, now: Instant) -> Master {
        Master {
            next_advertisement: now + self.own_interval().duration(),
            unspoken: false,
            refresh_at: self.first_refresh(now),
            elsewhere_at: self.first_elsewhere(now),
            second_burst_at: None,
            quiet_until: now,
            answers: Answers::new(now),
        }
    }

    /// Questions for its addresses are answered again once they are gone, or its own again.
    pub(super) fn end_silence(&mut self, actions: &mut Vec<Action>) {
        let gone = || {
            let absent =
                |state| matches!(state, VipState::Absent | VipState::Unknown | VipState::AddFailed(_));
            self.vips.iter().all(|vip| absent(vip.state))
        };
        let over = match self.phase {
            Phase::Leaving(_) => false,
            Phase::Backup(_) if self.linger_at().is_some() => false,
            Phase::Master(_) => true,
            Phase::Initialize | Phase::Backup(_) | Phase::Fault => gone(),
        };
        if self.silent && over {
            self.silent = false;
            actions.push(Action::Silence { router: self.id, addresses: Vec::new() });
        }
    }

    /// Are its addresses on an interface with a virtual MAC?
    pub(super) fn shares_mac(&self) -> bool {
        let own = &self.plan.key.interface;
        self.vips.iter().any(|vip| self.has_virtual_mac(vip.interface(own)))
    }

    /// Is this one of its interfaces with a virtual MAC?
    pub(super) fn has_virtual_mac(&self, name: &str) -> bool {
        let mut links = self.plan.virtual_links.iter();
        links.any(|link| link.name == name && matches!(link.kind, VirtualLinkKind::Macvlan { .. }))
    }
}
