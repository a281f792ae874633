//! A virtual MAC is where the switch saw it last. A Master that resigned, or that is preempted, lets go at our first
//! advertisement; an answer of its that was already on its way crosses what we say, and moves the MAC back to it, where
//! nobody serves any more. So we say it again, a few times within a moment, instead of with the next advertisement.
//!
//! A Master that fell silent may be a dead daemon on a living kernel, which has interface and addresses still and answers
//! whoever it is asked by, until their lease ends (`vip_lease`): each answer moves the MAC back. Nobody knows when that is,
//! so we say it at regular times for as long as both may have the addresses.

use super::announce::announcement;
use super::context::Context;
use super::event::TransitionCause;
use super::router::Router;
use super::state::Phase;
use crate::time::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// From the first advertisement to the first repetition; each further pause is twice as long. What crosses comes as late
/// as the other node hears us and its kernel obeys, so clients wait at most about as long as that took again.
const FIRST: Duration = Duration::from_millis(10);

/// Repetitions: 10, 30, 70, 150 and 310 ms after the first advertisement. A node that needs longer is not merely late.
const TIMES: u8 = 5;

/// After a silent Master: between two repetitions. Clients wait at most so long once its lease has ended.
const REGULAR: Duration = Duration::from_millis(100);

/// And how often: for two seconds, by when the lease of a node that died has ended.
const REGULAR_TIMES: u8 = 20;

/// What is still to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reclaim {
    at: Instant,
    pause: Duration,
    /// Each pause is so many times as long as the one before.
    growth: u32,
    left: u8,
}

impl Router {
    /// Just spoken for the first time as Master: will an answer of the one before cross?
    pub(super) fn begin_reclaim(&mut self, ctx: &Context) {
        let (pause, growth, left) = match self.cause {
            TransitionCause::MasterResigned { .. } | TransitionCause::Preempted { .. } => (FIRST, 2, TIMES),
            TransitionCause::MasterDown { last: Some(_), .. } => (REGULAR, 1, REGULAR_TIMES),
            _ => return,
        };
        if self.plan.announce.repeat > 0 && self.shares_mac() {
            self.rare().reclaim = Some(Reclaim { at: ctx.now + pause, pause, growth, left });
        }
    }

    /// When to say it next.
    pub(super) fn reclaim_at(&self) -> Option<Instant> {
        self.rare.as_deref().and_then(|rare| rare.reclaim).map(|reclaim| reclaim.at)
    }

    /// It has said so often enough, or is Master no more.
    pub(super) fn end_reclaim(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.reclaim = None;
        }
    }

    /// One announcement for each interface with a virtual MAC: a switch learns from any frame, whichever address it is
    /// about.
    pub(super) fn reclaim_due(&mut self, ctx: &mut Context) {
        let Some(reclaim) = self.rare.as_deref().and_then(|rare| rare.reclaim) else { return };
        if reclaim.at > ctx.now {
            return;
        }
        let Reclaim { pause, growth, left, .. } = reclaim;
        let (pause, left) = (pause * growth, left.saturating_sub(1));
        let again = matches!(self.phase, Phase::Master(_)) && left > 0;
        self.rare().reclaim = again.then(|| Reclaim { at: ctx.now + pause, pause, growth, left });
        let own = &self.plan.key.interface;
        let mut told = BTreeSet::new();
        let held = self.vips.iter().filter(|vip| self.has_virtual_mac(vip.interface(own)));
        let frames = held
            .filter_map(|vip| announcement(vip, own, ctx))
            .filter(|(name, _)| told.insert(name.clone()))
            .map(|(name, frame)| (1, name, frame))
            .collect();
        self.send_rounds(frames, ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BELOW, Bench, advert, facts, plan, router_plan, vip};
    use super::super::{Command, Event, InterfaceFacts, Received};
    use crate::net::{AddressFamily, MacAddr};
    use crate::plan::vmac::{VirtualLinkKind, VirtualLinkPlan};
    use crate::plan::vrrp::RouterPlan;
    use crate::time::Instant;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    /// Packets enter by the virtual interface.
    fn heard(priority: u8, from: Ipv4Addr) -> Event {
        match advert(priority, from) {
            Event::Advertisement(packet) => Event::Advertisement(Received { interface: 77, ..packet }),
            other => other,
        }
    }

    fn virtual_link() -> InterfaceFacts {
        let mac = MacAddr([0, 0, 0x5e, 0, 1, 51]);
        InterfaceFacts { index: 77, name: "vrrp.51".to_owned(), mac, ipv4: Vec::new(), ..facts(true) }
    }

    /// Two addresses on an interface with a virtual MAC.
    fn with_virtual_mac(priority: u8) -> RouterPlan {
        let mut router = router_plan(priority);
        router.addresses.push(vip(101));
        router.advert_link = Some("vrrp.51".to_owned());
        router.virtual_links = vec![VirtualLinkPlan {
            name: "vrrp.51".to_owned(),
            base: "eth0".to_owned(),
            family: AddressFamily::V4,
            kind: VirtualLinkKind::Macvlan { mac: MacAddr([0, 0, 0x5e, 0, 1, 51]) },
            group: None,
        }];
        for address in &mut router.addresses {
            address.interface.clone_from(&router.advert_link);
        }
        router
    }

    /// The successor of a Master that resigned.
    fn successor(router: RouterPlan) -> Bench {
        let mut bench = backup(router);
        for priority in [200, 0] {
            bench.feed(advert(priority, BELOW)); // for one without a virtual interface
            bench.feed(heard(priority, BELOW));
        }
        take_over(&mut bench);
        bench
    }

    fn take_over(bench: &mut Bench) {
        while !bench.timeout().contains(&"MASTER".to_owned()) {}
    }

    fn backup(router: RouterPlan) -> Bench {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(Event::Interface(virtual_link()));
        bench.feed(plan(vec![router]));
        bench
    }

    /// When announcements were sent after the one that the first advertisement brought, until the next advertisement.
    fn repetitions(bench: &mut Bench) -> Vec<u128> {
        let (began, mut times) = (bench.now, Vec::new());
        loop {
            let words = bench.timeout();
            if words.contains(&"advert 150".to_owned()) {
                return times;
            }
            if !words.is_empty() {
                assert_eq!(words, ["announce"], "one for the interface, not for each address");
                times.push(bench.now.saturating_duration_since(began).as_millis());
            }
        }
    }

    #[test]
    fn the_successor_of_a_master_that_lives_announces_a_virtual_mac_again_soon() {
        let mut resigned = successor(with_virtual_mac(150));
        assert_eq!(repetitions(&mut resigned), [10, 30, 70, 150, 310]);
        let mut preempted = backup(with_virtual_mac(150));
        preempted.now = Instant(preempted.core.next_timeout().expect("a Backup waits").0 - 500_000_000);
        preempted.feed(heard(100, BELOW));
        take_over(&mut preempted);
        assert_eq!(repetitions(&mut preempted), [10, 30, 70, 150, 310]);
    }

    /// Its kernel may answer until the lease of its addresses has ended.
    #[test]
    fn the_successor_of_a_silent_master_announces_a_virtual_mac_for_two_seconds() {
        let mut bench = backup(with_virtual_mac(150));
        bench.feed(heard(200, BELOW));
        take_over(&mut bench);
        let began = bench.now;
        let regular: Vec<u128> = (1..10).map(|times| times * 100).collect();
        assert_eq!(repetitions(&mut bench), regular);
        let mut last = bench.now;
        while bench.now.saturating_duration_since(began) < Duration::from_secs(5) {
            let words = bench.timeout();
            if words.contains(&"announce".to_owned()) {
                last = bench.now;
            }
        }
        assert_eq!(last.saturating_duration_since(began), Duration::from_secs(2));
    }

    #[test]
    fn other_successors_do_not() {
        let mut of_nobody = backup(with_virtual_mac(150));
        take_over(&mut of_nobody);
        assert_eq!(repetitions(&mut of_nobody), [] as [u128; 0]);
        let mut without = successor(router_plan(150));
        assert_eq!(repetitions(&mut without), [] as [u128; 0]);
        let mut quiet = with_virtual_mac(150);
        quiet.announce.repeat = 0;
        let mut quiet = successor(quiet);
        assert_eq!(repetitions(&mut quiet), [] as [u128; 0]);
    }

    #[test]
    fn who_is_master_no_more_does_not() {
        for end in [heard(200, BELOW), Event::Command(Command::Stop { release: true })] {
            let mut bench = successor(with_virtual_mac(150));
            bench.feed(end);
            let soon = bench.now + Duration::from_secs(1);
            while bench.core.next_timeout().is_some_and(|at| at <= soon) {
                assert_eq!(bench.timeout(), [] as [&str; 0]);
            }
        }
    }
}
