//! A Master over a weaker one that lives has its addresses before it speaks.
//!
//! The weaker one lets go at the first advertisement. If the kernel is asked only then, nobody has the addresses for as
//! long as it needs, which clients notice on a busy machine (4 to 11 ms). So they are asked for first, and the
//! advertisement follows when they are there; the announcements follow it, as ever (RFC 9568 6.4.2, keepalived).
//!
//! Meanwhile two nodes have the addresses, as they do in a handover, and both serve: whichever of them a client asks
//! answers for itself, and what the announcements say a moment later is true whoever was asked. Our kernel does not
//! say anything by itself: addresses are added without duplicate address detection, or else not this early.
//!
//! Nobody waits like this for a Master that is silent, or that resigned: its clients wait for us.

use super::Core;
use super::context::Context;
use super::event::RouterId;
use super::router::Router;
use super::state::{Master, Phase};
use super::vips::VipState;
use crate::time::Instant;
use std::time::Duration;

/// The kernel may take so long, then the advertisement leaves whatever it does. Several times what it needs for an
/// ordinary router on a busy machine. The weaker Master serves all the while, so the wait costs nothing by itself.
const LONGEST: Duration = Duration::from_millis(50);

/// And no more than this part of the interval: twelve steps of priority in Skew_Time. A third router that is stronger than
/// the Master too, but weaker than this one by more, still hears this one before its own timer ends.
const PART: u32 = 20;

/// A Master that was heard within its interval and this part of it lives: its next advertisement may be late.
const LATE_PART: u32 = 8;

impl Core {
    /// Who has what it asked the kernel for speaks; members of a sync group together, because the weaker Master of one
    /// lets go of all.
    pub(super) fn speak_prepared(&mut self, now: Instant, actions: &mut Vec<super::Action>) {
        for id in std::mem::take(&mut self.prepared) {
            let group = self.router(id).and_then(|router| router.shared.group);
            let members = group.and_then(|index| self.groups.get(index)).map(|group| group.members.clone());
            let members: Vec<RouterId> = members.unwrap_or_else(|| vec![id]);
            let waits = |id: &RouterId| self.router(*id).is_some_and(|r| r.is_unspoken() && r.asks_kernel());
            if members.iter().any(waits) {
                continue;
            }
            for id in members {
                self.with_router(id, now, actions, Router::begin_to_speak);
            }
        }
    }
}

impl Router {
    /// A Master from now on, that has not spoken yet. It does so at once unless it takes over from a weaker one that
    /// lives. A claim script may take seconds, and nothing is there before it has ended; duplicate address detection would
    /// find the weaker one's.
    pub(super) fn coming_master(&self, now: Instant) -> Master {
        let master = self.new_master(now);
        let interval = self.own_interval().duration();
        let weaker_lives = match &self.phase {
            Phase::Backup(backup) if backup.resigned.is_none() => {
                backup.ignored.is_some_and(|weaker| now <= weaker.at + interval + interval / LATE_PART)
            }
            _ => false,
        };
        let detects = self.vips.iter().any(|vip| !vip.dropped && vip.address.detects_duplicates());
        if weaker_lives && !detects && self.plan.claim.is_none() {
            let next_advertisement = now + LONGEST.min(interval / PART);
            Master { unspoken: true, next_advertisement, ..master }
        } else {
            master
        }
    }

    /// Master, and nobody has been told yet?
    pub(super) fn is_unspoken(&self) -> bool {
        matches!(&self.phase, Phase::Master(master) if master.unspoken)
    }

    /// Is an address, a route or a rule asked for, and the kernel has not answered? It answers in order: the last one
    /// is looked at first.
    pub(super) fn asks_kernel(&self) -> bool {
        let mut routing = self.routing.items.iter().rev();
        routing.any(|held| matches!(held.state, VipState::Adding(_)))
            || self.vips.iter().rev().any(|vip| matches!(vip.state, VipState::Adding(_)))
    }

    /// The first advertisement of a Master that waited for the kernel, and what follows it.
    //= RFC9568 6.4.2 M-55
    pub(super) fn begin_to_speak(&mut self, ctx: &mut Context) {
        let interval = self.own_interval().duration();
        let Phase::Master(master) = &mut self.phase else { return };
        if !std::mem::take(&mut master.unspoken) {
            return;
        }
        master.next_advertisement = ctx.now + interval;
        self.send_advertisement(ctx);
        self.begin_reclaim(ctx);
        self.announce_held(ctx);
        self.tell_story(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ABOVE, BELOW, Bench, advert, facts, plan, router_plan, vip};
    use super::super::{Action, Command, Event, Frame, State};
    use crate::plan::vrrp::RouterPlan;
    use crate::time::Instant;
    use std::time::Duration;

    /// A Backup of priority 150 whose timer ends in `left` after it heard priority 100, and a kernel that does not answer.
    fn preempting(left: Duration, change: fn(&mut RouterPlan)) -> Bench {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        let mut router = router_plan(150);
        change(&mut router);
        bench.feed(plan(vec![router]));
        let end = bench.core.next_timeout().expect("a Backup waits");
        bench.now = Instant(end.0 - u64::try_from(left.as_nanos()).expect("a moment"));
        bench.feed(advert(100, BELOW));
        bench.holds = true;
        bench
    }

    fn state(bench: &Bench) -> State {
        bench.core.routers().next().expect("one router").state()
    }

    #[test]
    fn the_addresses_are_there_before_a_weaker_master_is_told_to_go() {
        let mut bench = preempting(Duration::from_millis(900), |router| router.addresses.push(vip(101)));
        assert_eq!(bench.timeout(), ["add 10.0.0.100", "add 10.0.0.101", "MASTER"]);
        let mut waiting = std::mem::take(&mut bench.waiting).into_iter();
        let mut done = |bench: &mut Bench| {
            let op = waiting.next().expect("two were asked for");
            bench.now += Duration::from_millis(2);
            bench.feed(Event::KernelDone { op, result: Ok(()) })
        };
        assert_eq!(done(&mut bench), [] as [&str; 0], "one is missing");
        assert_eq!(done(&mut bench), ["advert 150", "announce", "announce", "info"]);
        let spoke_at = bench.now;
        while !bench.timeout().contains(&"advert 150".to_owned()) {}
        assert_eq!(bench.now.saturating_duration_since(spoke_at), Duration::from_secs(1), "its interval");
    }

    #[test]
    fn a_kernel_that_hangs_delays_the_advertisement_by_little() {
        let mut bench = preempting(Duration::from_millis(900), |_| {});
        assert_eq!(bench.timeout(), ["add 10.0.0.100", "MASTER"]);
        let began = bench.now;
        assert_eq!(bench.timeout(), ["advert 150"]);
        assert_eq!(bench.now.saturating_duration_since(began), super::LONGEST);
        assert_eq!(bench.answer(), ["announce", "info"]);
    }

    #[test]
    fn a_kernel_that_refuses_delays_it_no_longer() {
        let mut bench = preempting(Duration::from_millis(900), |_| {});
        bench.timeout();
        let error = super::super::KernelError { errno: 1, message: "not permitted".to_owned() };
        let op = bench.waiting.pop().expect("it was asked");
        assert_eq!(bench.feed(Event::KernelDone { op, result: Err(error) }), ["error", "advert 150"]);
    }

    #[test]
    fn nobody_waits_for_the_kernel_for_a_silent_or_resigned_master_a_claim_or_detection() {
        let at_once = ["advert 150", "add 10.0.0.100", "MASTER"];
        let mut silent = preempting(Duration::from_millis(1200), |_| {});
        assert_eq!(silent.timeout(), at_once);
        let mut resigned = preempting(Duration::from_millis(900), |_| {});
        resigned.feed(advert(0, BELOW));
        assert_eq!(resigned.timeout(), at_once);
        let mut claims = preempting(Duration::from_millis(900), |router| {
            router.claim = Some(crate::plan::vrrp::ClaimPlan { timeout: Duration::from_secs(9) });
        });
        assert!(claims.timeout().contains(&"advert 150".to_owned()));
        let mut detects = preempting(Duration::from_millis(900), |router| {
            router.addresses[0].options.detect_duplicates = true;
        });
        assert_eq!(detects.timeout(), at_once);
    }

    /// What each event means to a Master that has not spoken yet.
    #[test]
    fn who_has_not_spoken_says_nothing_that_nobody_needs() {
        let yields: &[&str] = &["remove 10.0.0.100", "BACKUP"];
        let table: [(Event, &[&str], State); 6] = [
            (advert(100, BELOW), &[], State::Master),
            (advert(0, BELOW), &["advert 150"], State::Master),
            (advert(200, ABOVE), yields, State::Backup),
            (Event::Interface(facts(false)), &["remove 10.0.0.100", "FAULT"], State::Fault),
            (
                Event::Command(Command::Stop { release: true }),
                &["remove 10.0.0.100", "INIT"],
                State::Initialize,
            ),
            (Event::Failover { routers: Vec::new(), hold: Duration::from_secs(60) }, yields, State::Backup),
        ];
        for (event, words, after) in table {
            let mut bench = preempting(Duration::from_millis(900), |_| {});
            bench.timeout();
            assert_eq!(bench.feed(event.clone()), words, "{event:?}");
            assert_eq!(state(&bench), after, "{event:?}");
        }
    }

    #[test]
    fn the_first_advertisement_goes_before_the_first_announcement() {
        let mut bench = preempting(Duration::from_millis(900), |_| {});
        bench.timeout();
        let op = bench.waiting.pop().expect("it was asked");
        let mut actions = Vec::new();
        bench.core.handle(Event::KernelDone { op, result: Ok(()) }, bench.now, &mut actions);
        let sent = actions.iter().filter_map(|action| match action {
            Action::Transmit(_, frame) => Some(matches!(frame, Frame::Advertisement { .. })),
            _ => None,
        });
        assert_eq!(sent.collect::<Vec<bool>>(), [true, false]);
    }
}
