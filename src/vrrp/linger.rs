//! A Master that yields to a stronger one keeps its addresses until that one has told everybody where they are now.
//!
//! The winner of a preemption, or of a split that ends, announces the addresses with its first advertisement. A client
//! reads that a moment later, tens of milliseconds on a busy machine, and sends to the old Master until then. So the old
//! one is Backup at once for everybody who asks, and speaks no more (RFC 9568 6.4.3), but goes on serving who has its
//! hardware address, for as long as at the end of a handover and as silently: it answers no question for the addresses.
//!
//! Without that silence it could take clients back, so it must be confirmed; where there is none, the addresses go at once.
//! A virtual MAC is at one port of a switch only: nothing is kept for a moment longer.

use super::context::Context;
use super::event::{Action, RouterId, TransitionCause};
use super::handover::{ANNOUNCING, LONGEST};
use super::router::Router;
use super::state::Phase;
use super::vips::VipState;
use super::{Core, Life};
use crate::time::Instant;
use std::time::Duration;

/// So long the driver may take to have the kernel silent: an answer that leaves before is heard beside the winner's first
/// announcement, as without all this.
const CONFIRMING: Duration = Duration::from_millis(50);

/// A Backup that holds its addresses still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linger {
    /// The addresses go at this moment.
    pub let_go_at: Instant,
    /// Or at this one, once the kernel is silent.
    end: Instant,
}

impl Core {
    /// The driver has, or has not, silenced a router that lingers.
    pub(super) fn silenced(&mut self, router: RouterId, done: bool, now: Instant, actions: &mut Vec<Action>) {
        self.with_router(router, now, actions, |router, ctx| router.silenced(done, ctx));
    }

    /// The daemon ends and leaves everything as it is, but not what others hold by now: it ends when that is gone.
    pub(super) fn stop_as_it_is(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let lingering: Vec<RouterId> =
            self.routers.values().filter(|router| router.linger_at().is_some()).map(|r| r.id).collect();
        if lingering.is_empty() || self.life != Life::Running {
            return self.stopped(actions);
        }
        for id in lingering {
            self.with_router(id, now, actions, Router::let_linger_go);
        }
        self.life = Life::Stopping;
        self.end_if_idle(actions);
    }
}

impl Router {
    /// When it lets go, as a Backup that holds its addresses still.
    pub(super) fn linger_at(&self) -> Option<Instant> {
        self.rare.as_deref().and_then(|rare| rare.linger).map(|linger| linger.let_go_at)
    }

    /// Is this a change after which clients are served for a moment longer? Everything must be there and be its own: an
    /// owner's address stays anyway, a claim script gives what is elsewhere to somebody else, and duplicate address
    /// detection of the winner would find what is kept.
    pub(super) fn may_linger(&self, to: &Phase, cause: &TransitionCause, ctx: &Context) -> bool {
        let spoke = matches!(&self.phase, Phase::Master(master) if !master.unspoken);
        let whole = self
            .vips
            .iter()
            .all(|vip| vip.state == VipState::Installed && !vip.dropped && !vip.address.detects_duplicates());
        spoke
            && ctx.overlaps
            && matches!(to, Phase::Backup(_))
            && is_outranked(cause)
            && whole
            && !self.vips.is_empty()
            && !self.asks_kernel()
            && self.routing.next_retry().is_none()
            && !self.plan.priority.is_owner()
            && self.plan.claim.is_none()
            && !self.shares_mac()
    }

    /// Just become Backup: keep everything, and answer for nothing.
    pub(super) fn linger(&mut self, ctx: &mut Context) {
        for vip in &mut self.vips {
            vip.end_second_burst();
        }
        let announcing = ctx.gaps.time_for(&self.plan.key.interface, self.vips.len()) + ANNOUNCING;
        let end = ctx.now + announcing.min(LONGEST);
        self.rare().linger = Some(Linger { let_go_at: ctx.now + CONFIRMING, end });
        self.hush(ctx);
    }

    /// Whatever it is now, it holds nothing beside somebody else any more. True if it did.
    pub(super) fn end_linger(&mut self) -> bool {
        self.rare.as_deref_mut().and_then(|rare| rare.linger.take()).is_some()
    }

    /// The driver's answer.
    fn silenced(&mut self, done: bool, ctx: &mut Context) {
        let Some(linger) = self.rare.as_deref_mut().and_then(|rare| rare.linger.as_mut()) else { return };
        if done {
            linger.let_go_at = linger.end;
        } else {
            self.let_linger_go(ctx);
        }
    }

    /// The winner has had its time.
    pub(super) fn linger_due(&mut self, ctx: &mut Context) {
        if self.linger_at().is_some_and(|at| at <= ctx.now) {
            self.let_linger_go(ctx);
        }
    }

    fn let_linger_go(&mut self, ctx: &mut Context) {
        if self.end_linger() {
            self.withdraw_routing(ctx);
            self.withdraw_addresses(ctx);
            self.begin_story(true, 0, ctx);
        }
    }

    /// Answer no question for the addresses.
    pub(super) fn hush(&mut self, ctx: &mut Context) {
        self.silent = true;
        let addresses = self.vips.iter().map(|vip| vip.address.cidr.address()).collect();
        ctx.actions.push(Action::Silence { router: self.id, addresses });
    }
}

/// Has somebody stronger spoken, to this router or to a member of its sync group?
fn is_outranked(cause: &TransitionCause) -> bool {
    match cause {
        TransitionCause::Outranked { .. } => true,
        TransitionCause::Group { cause, .. } => is_outranked(cause),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ABOVE, BELOW, Bench, advert, facts, plan, router_plan, vip};
    use super::super::{Command, Event, Maintenance, State, Upkeep};
    use super::{ANNOUNCING, CONFIRMING};
    use crate::net::IpCidr;
    use crate::plan::Generation;
    use crate::plan::vrrp::{ClaimPlan, RouterPlan, VrrpPlan};
    use std::time::Duration;

    fn overlapping(routers: Vec<RouterPlan>) -> Event {
        match plan(routers) {
            Event::Plan(plan) => Event::Plan(VrrpPlan { handover: true, ..plan }),
            other => other,
        }
    }

    fn state(bench: &Bench) -> Option<State> {
        bench.core.routers().next().map(super::super::Router::state)
    }

    /// A Master of priority 100 that has been so for a while.
    fn master(router: RouterPlan) -> Bench {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(overlapping(vec![router]));
        while state(&bench) != Some(State::Master) {
            bench.timeout();
        }
        bench.timeout();
        bench
    }

    /// The same after a stronger one has spoken.
    fn lingering() -> Bench {
        let mut bench = master(router_plan(100));
        assert_eq!(bench.feed(advert(200, ABOVE)), ["info", "silence", "BACKUP"]);
        bench
    }

    /// What comes of the next deadline that means anything.
    fn next_words(bench: &mut Bench) -> Vec<String> {
        loop {
            let words = bench.timeout();
            if !words.is_empty() {
                return words;
            }
        }
    }

    #[test]
    fn who_yields_is_backup_at_once_and_serves_on_in_silence() {
        let mut bench = lingering();
        let began = bench.now;
        assert_eq!(state(&bench), Some(State::Backup));
        assert_eq!(next_words(&mut bench), ["remove 10.0.0.100", "info", "speak"]);
        assert_eq!(bench.now.saturating_duration_since(began), ANNOUNCING);
    }

    #[test]
    fn without_silence_it_lets_go() {
        let mut bench = master(router_plan(100));
        bench.silences = Some(false);
        let words = ["info", "silence", "BACKUP", "remove 10.0.0.100", "info", "speak"];
        assert_eq!(bench.feed(advert(200, ABOVE)), words);
        let mut bench = master(router_plan(100));
        bench.silences = None;
        let began = bench.now;
        assert_eq!(bench.feed(advert(200, ABOVE)), ["info", "silence", "BACKUP"]);
        assert_eq!(next_words(&mut bench), ["remove 10.0.0.100", "info", "speak"]);
        assert_eq!(bench.now.saturating_duration_since(began), CONFIRMING);
    }

    #[test]
    fn what_ends_it_before_its_time() {
        let lost = Event::AddressRemoved {
            index: 2,
            cidr: IpCidr::new([10, 0, 0, 100].into(), 24).expect("24 is at most 32"),
        };
        let rest = Maintenance { all: Some(Upkeep { allow_last: false }), ..Maintenance::default() };
        let empty = Event::Plan(VrrpPlan { generation: Generation(2), ..VrrpPlan::default() });
        let other = RouterPlan { addresses: vec![vip(101)], ..router_plan(100) };
        let nothing: &[&str] = &[];
        let table = [
            (advert(200, ABOVE), nothing),
            (advert(0, ABOVE), nothing),
            (advert(50, BELOW), nothing),
            (lost, nothing),
            (Event::Paused, nothing),
            (overlapping(vec![router_plan(100)]), nothing),
            (Event::Failover { routers: Vec::new(), hold: Duration::from_secs(9) }, nothing),
            (Event::Interface(facts(false)), &["remove 10.0.0.100", "FAULT", "info", "speak"]),
            (Event::InterfaceGone { index: 2 }, &["FAULT", "speak"]),
            (Event::Maintenance(rest), &["remove 10.0.0.100", "FAULT", "info", "speak"]),
            (overlapping(vec![other]), &["remove 10.0.0.100", "remove 10.0.0.101", "speak"]),
            (empty, &["remove 10.0.0.100", "INIT", "info", "speak"]),
            (
                Event::Command(Command::Stop { release: true }),
                &["remove 10.0.0.100", "INIT", "info", "speak", "stopped"],
            ),
            (
                Event::Command(Command::Stop { release: false }),
                &["remove 10.0.0.100", "info", "speak", "stopped"],
            ),
            (Event::Command(Command::Orphaned), &["remove 10.0.0.100", "INIT", "info", "speak", "stopped"]),
        ];
        for (event, words) in table {
            let mut bench = lingering();
            assert_eq!(bench.feed(event.clone()), words, "{event:?}");
        }
    }

    /// Somebody took it meanwhile: what a renewed lease may bring back is removed all the same.
    #[test]
    fn what_was_lost_meanwhile_is_removed_and_not_asked_for() {
        let mut bench = lingering();
        let cidr = vip(100).cidr;
        assert_eq!(bench.feed(Event::AddressRemoved { index: 2, cidr }), [] as [&str; 0]);
        assert_eq!(next_words(&mut bench), ["remove 10.0.0.100", "info", "speak"]);
    }

    /// Its Skew_Time is 8 ms: the winner resigned at once.
    #[test]
    fn master_again_it_has_everything_and_says_so() {
        let mut bench = master(router_plan(254));
        bench.feed(advert(255, ABOVE));
        bench.feed(advert(0, ABOVE));
        assert_eq!(bench.timeout(), ["advert 254", "announce", "MASTER", "info", "speak"]);
        let spoke_at = bench.now;
        assert_eq!(bench.timeout(), ["advert 254"]);
        assert_eq!(
            bench.now.saturating_duration_since(spoke_at),
            Duration::from_secs(1),
            "nothing is let go"
        );
    }

    /// The answer to a wish for silence that is of no use any more.
    #[test]
    fn who_does_not_serve_on_needs_no_answer() {
        for (up, leads) in [(false, false), (true, false), (true, true)] {
            for done in [true, false] {
                let mut bench = Bench::new();
                bench.feed(Event::Interface(facts(up)));
                bench.feed(overlapping(vec![router_plan(100)]));
                if leads {
                    bench.timeout();
                }
                let router = bench.core.routers().next().expect("one router").id();
                assert_eq!(bench.feed(Event::Silenced { router, done }), [] as [&str; 0]);
            }
        }
    }

    #[test]
    fn who_does_not_serve_on() {
        let changes: [fn(&mut RouterPlan); 3] = [
            |router| router.claim = Some(ClaimPlan { timeout: Duration::from_secs(9) }),
            |router| router.addresses[0].options.detect_duplicates = true,
            |router| router.addresses.clear(),
        ];
        for change in changes {
            let mut router = router_plan(100);
            change(&mut router);
            let words = master(router).feed(advert(200, ABOVE));
            assert!(!words.contains(&"silence".to_owned()), "{words:?}");
        }
        let mut plain = Bench::new();
        plain.feed(Event::Interface(facts(true)));
        plain.feed(plan(vec![router_plan(100)]));
        plain.timeout();
        assert_eq!(plain.feed(advert(200, ABOVE)), ["info", "remove 10.0.0.100", "BACKUP", "info"]);
    }
}
