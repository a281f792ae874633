//! The one place where a router changes state, with everything that goes with leaving and entering one.

use super::context::Context;
use super::event::{Action, State, Transition, TransitionCause};
use super::router::{Router, Said};
use super::sparse::Sparse;
use super::state::Phase;

impl Router {
    /// Leave the present state, enter `to`, tell everybody why.
    ///
    /// Leaving Master: resign if the others should not wait, then remove the addresses. Entering Master:
    /// the advertisement first, then the addresses (RFC 9568 6.4.2, keepalived), routes and rules; each address is
    /// announced when the kernel has it. Over a weaker Master that lives, the addresses first (`prepare`). Entering any
    /// other state removes what an earlier run may have left, yielding to a stronger Master a moment later (`linger`).
    //= RFC9568 6.4.2 M-55
    //= RFC9568 6.4.2 M-64
    pub(super) fn transition(&mut self, to: Phase, cause: TransitionCause, ctx: &mut Context) {
        // What a process before this one told is what those who listen believe.
        let told = self.rare.as_deref_mut().and_then(|rare| rare.told.take());
        let told = told.filter(|_| self.phase == Phase::Initialize);
        let (from, announced) = (told.unwrap_or(self.phase.state()), self.stats.announcements_sent);
        if matches!(self.phase, Phase::Master(_) | Phase::Leaving(_)) {
            self.stats.left_master += 1;
            self.end_claim(ctx);
            ctx.gaps.withdraw(self.id);
            let silent = matches!(self.phase, Phase::Leaving(_)) || self.is_unspoken();
            if !silent && resigns(&cause) && self.can_send(ctx) {
                self.send_resignation(ctx);
            }
        }
        let handed_over = matches!(self.phase, Phase::Leaving(_));
        let lingers = self.may_linger(&to, &cause, ctx);
        let lingered = self.end_linger();
        self.phase = to;
        if handed_over {
            self.note_rest();
        }
        self.stirred = true;
        self.joining &= matches!(self.phase, Phase::Backup(_));
        self.since = ctx.now;
        self.cause = cause;
        self.said = Said::default();
        self.forget_meetings();
        self.faults = match &self.cause {
            TransitionCause::Fault(reasons) => reasons.clone().into(),
            _ => Sparse::new(),
        };
        if matches!(self.phase, Phase::Master(_)) {
            self.stats.became_master += 1;
            if !self.is_unspoken() {
                self.send_advertisement(ctx);
                self.begin_reclaim(ctx);
            }
            self.begin_claim(ctx);
            self.take_up(ctx);
            if lingered {
                // The kernel has no answer to wait for: they are there, and somebody else's word was the last one.
                self.announce_held(ctx);
            }
        } else if lingers {
            self.linger(ctx);
        } else {
            self.withdraw_routing(ctx);
            self.withdraw_addresses(ctx);
        }
        ctx.actions.push(Action::Notify(Transition {
            router: self.id,
            key: self.plan.key.to_key(),
            name: self.plan.name.to_string(),
            from,
            to: self.phase.state(),
            cause: self.cause.clone(),
            at: ctx.now,
            priority: self.priority,
        }));
        self.begin_story(from == State::Master || lingered, announced, ctx);
    }

    /// Is the interface up, and with a virtual MAC the one that lives on it?
    pub(super) fn can_send(&self, ctx: &Context) -> bool {
        let up = |name| ctx.interfaces.get(name).is_some_and(|interface| interface.up);
        up(&self.plan.key.interface) && up(self.plan.advert_interface())
    }
}

/// Does a Master that leaves for this reason send priority 0? Not to one who is stronger: it has spoken. Who handed over
/// has said it before; a member of its sync group that nobody relieved has not.
//= RFC9568 6.4.3 M-71
fn resigns(cause: &TransitionCause) -> bool {
    match cause {
        TransitionCause::Group { cause, .. } => resigns(cause),
        TransitionCause::Fault(_)
        | TransitionCause::AddressLost { .. }
        | TransitionCause::RoutingLost { .. }
        | TransitionCause::Removed
        | TransitionCause::Stopped
        | TransitionCause::Ordered
        | TransitionCause::HandedOver { .. }
        | TransitionCause::Orphaned => true,
        TransitionCause::Started
        | TransitionCause::Owner
        | TransitionCause::Waiting(_)
        | TransitionCause::MasterDown { .. }
        | TransitionCause::MasterResigned { .. }
        | TransitionCause::Outranked { .. }
        | TransitionCause::Preempted { .. }
        | TransitionCause::Recovered(_)
        | TransitionCause::LinkRemade { .. }
        | TransitionCause::Resumed { .. }
        | TransitionCause::Paused { .. } => false,
    }
}
