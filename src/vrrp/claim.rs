//! `notify_claim`: before a Master installs its addresses, a script makes the network send their traffic here (a cloud's
//! interface for it). The advertisements never wait for it.

use super::context::Context;
use super::event::{Action, LogLevel, RouterId};
use super::kept::KeptPlan;
use super::router::Router;
use super::state::Phase;
use crate::net::{IpCidr, Priority};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// First pause before a claim that failed is tried again; it doubles with each failure, up to [`AGAIN_MOST`].
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest such pause.
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// Who runs the script ends it at its timeout and says so. Without a word so long after that, nobody runs it.
const GRACE: Duration = Duration::from_secs(5);

/// Names one attempt. Never reused, not by a process that follows one that died either: it grows with the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClaimId(pub u64);

/// Run the claim script of a router once, and answer with [`Event::Claimed`](super::Event::Claimed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOrder {
    /// Which attempt.
    pub claim: ClaimId,
    /// The router.
    pub router: RouterId,
    /// Its name, by which its script is known.
    pub name: String,
    /// Its effective priority.
    pub priority: Priority,
    /// Its addresses, the advertised ones first.
    pub addresses: Vec<IpCidr>,
    /// The script is ended after this time and has failed.
    pub timeout: Duration,
}

/// A Master's claim on its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    stage: Stage,
    /// When this stage began.
    since: Instant,
    /// Attempts that failed in a row.
    failures: u32,
    /// Why the last one did.
    error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The script runs, and is given up at that moment.
    Asked(ClaimId, Instant),
    /// It failed, and runs again at that moment.
    Failed(Instant),
    /// It has exited 0.
    Granted,
}

/// A claim as a report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimView<'a> {
    /// Has the script exited 0?
    pub granted: bool,
    /// Does it run at this moment?
    pub running: bool,
    /// When it was started, failed, or exited 0.
    pub since: Instant,
    /// When it is run again after a failure.
    pub again: Option<Instant>,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Why the last one did.
    pub error: Option<&'a str>,
}

impl Claim {
    /// One that an earlier process made.
    pub fn granted(now: Instant) -> Claim {
        Claim { stage: Stage::Granted, since: now, failures: 0, error: None }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Asked(_, at) | Stage::Failed(at) => Some(at),
            Stage::Granted => None,
        }
    }
}

impl Router {
    /// Its claim on its addresses, as Master with `notify_claim`.
    pub fn claim(&self) -> Option<ClaimView<'_>> {
        let Claim { stage, since, failures, error } = self.claim.as_deref()?;
        Some(ClaimView {
            granted: *stage == Stage::Granted,
            running: matches!(stage, Stage::Asked(..)),
            since: *since,
            again: if let Stage::Failed(at) = stage { Some(*at) } else { None },
            failures: *failures,
            error: error.as_deref(),
        })
    }

    /// A Master's addresses, then its routes and rules: asked of the kernel unless the claim script has not said yes.
    pub(super) fn take_up(&mut self, ctx: &mut Context) {
        if self.may_hold() {
            self.install_addresses(ctx);
            self.install_routing(ctx);
        }
    }

    /// May it ask for what it does not hold yet?
    pub(super) fn may_hold(&self) -> bool {
        self.claim.as_ref().is_none_or(|claim| claim.stage == Stage::Granted)
    }

    /// Just become Master. What an earlier run left over goes until the script has exited 0.
    pub(super) fn begin_claim(&mut self, ctx: &mut Context) {
        if self.plan.claim.is_none() {
            return;
        }
        self.withdraw_routing(ctx);
        self.withdraw_addresses(ctx);
        self.ask_anew(ctx);
    }

    /// No longer Master: a script that runs is ended, so that it does not take the addresses from the next Master.
    pub(super) fn end_claim(&mut self, ctx: &mut Context) {
        if let Some(claim) = self.claim.take()
            && let Stage::Asked(id, _) = claim.stage
        {
            ctx.actions.push(Action::Unclaim(id));
        }
    }

    /// Another plan: a Master claims what is new, and at once what it failed to claim. What it holds it keeps meanwhile.
    pub(super) fn claim_again(&mut self, old: &KeptPlan, known: &[IpCidr], ctx: &mut Context) {
        if !matches!(self.phase, Phase::Master(_)) {
            return;
        }
        if self.plan.claim.is_none() {
            return self.end_claim(ctx);
        }
        let more = self.claimable().iter().any(|cidr| !known.contains(cidr));
        if old.claim.is_none() || more {
            self.end_claim(ctx);
            self.ask_anew(ctx);
        } else {
            self.retry_claim(ctx);
        }
    }

    /// A reload may have mended what was wrong.
    pub(super) fn retry_claim(&mut self, ctx: &mut Context) {
        if self.claim.as_ref().is_some_and(|claim| matches!(claim.stage, Stage::Failed(_))) {
            self.ask_anew(ctx);
        }
    }

    /// The addresses that the script is told.
    pub(super) fn claimable(&self) -> Vec<IpCidr> {
        self.listed().map(|(address, _)| address.cidr).collect()
    }

    /// When the claim has something to do next.
    pub(super) fn claim_deadline(&self) -> Option<Instant> {
        self.claim.as_deref().and_then(Claim::deadline)
    }

    /// A script that nobody speaks of any more has failed; one that failed is run again.
    pub(super) fn claim_due(&mut self, ctx: &mut Context) {
        match self.claim.as_deref() {
            Some(Claim { stage: Stage::Failed(at), .. }) if *at <= ctx.now => self.ask(ctx),
            Some(Claim { stage: Stage::Asked(id, at), .. }) if *at <= ctx.now => {
                let id = *id;
                ctx.actions.push(Action::Unclaim(id));
                self.claimed(id, Err("nothing was heard of it in time".to_owned()), ctx);
            }
            _ => {}
        }
    }

    /// The script has ended.
    pub(super) fn claimed(&mut self, id: ClaimId, result: Result<(), String>, ctx: &mut Context) {
        let name = &self.plan.name;
        let Some(claim) =
            self.claim.as_deref_mut().filter(|c| matches!(c.stage, Stage::Asked(i, _) if i == id))
        else {
            return; // of an attempt that was given up
        };
        let took = ctx.now.saturating_duration_since(claim.since);
        claim.since = ctx.now;
        match result {
            Ok(()) => {
                claim.stage = Stage::Granted;
                claim.error = None;
                claim.failures = 0;
                ctx.log(
                    LogLevel::Info,
                    format!("({name}) notify_claim succeeded after {} ms", took.as_millis()),
                );
                self.take_up(ctx);
            }
            Err(why) => {
                let pause = (AGAIN_FIRST * (1 << claim.failures.min(5))).min(AGAIN_MOST);
                claim.failures = claim.failures.saturating_add(1);
                claim.stage = Stage::Failed(ctx.now + pause);
                let sentence = format!(
                    "({name}) notify_claim failed: {why}; addresses that this node does not hold yet are served by nobody \
                     until it succeeds, trying again in {} s",
                    pause.as_secs()
                );
                claim.error = Some(why);
                self.stats.claim_failures += 1;
                ctx.log(LogLevel::Error, sentence);
            }
        }
    }

    fn ask_anew(&mut self, ctx: &mut Context) {
        let stage = Stage::Failed(ctx.now);
        self.claim = Some(Box::new(Claim { stage, since: ctx.now, failures: 0, error: None }));
        self.ask(ctx);
    }

    fn ask(&mut self, ctx: &mut Context) {
        let Some(plan) = &self.plan.claim else { return };
        let Some(claim) = self.claim.as_deref_mut() else { return };
        let id = ctx.operations.next_claim(ctx.now);
        claim.stage = Stage::Asked(id, ctx.now + plan.timeout + GRACE);
        claim.since = ctx.now;
        let order = ClaimOrder {
            claim: id,
            router: self.id,
            name: self.plan.name.to_string(),
            priority: self.priority,
            addresses: self.claimable(),
            timeout: plan.timeout,
        };
        ctx.actions.push(Action::Claim(order));
    }
}
