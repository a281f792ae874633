//! Two Masters that hear each other: a split that ended, or a switch that lost packets. Both say with whom and for how
//! long, and count it.

use super::at_odds::{AtOdds, AtOddsView};
use super::context::Context;
use super::event::{LogLevel, State, TransitionCause};
use super::linger::Linger;
use super::reclaim::Reclaim;
use super::router::Router;
use super::state::Phase;
use super::upkeep::Upkeep;
use crate::net::Priority;
use crate::plan::vrrp::Transport;
use crate::time::Instant;
use std::net::IpAddr;

/// Intervals of silence after which the other one is believed to have yielded.
const SILENCE: u32 = 3;

/// A second Master that is weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    address: IpAddr,
    first: Instant,
    last: Instant,
    times: u64,
}

/// What most routers never need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rare {
    /// Before the first state: the one that a process before this one told last.
    pub told: Option<State>,
    /// After a resume: the priority that was in force, while a tracker has not said anything yet.
    pub held_priority: Option<Priority>,
    /// It was told to fail over: a weaker Master is left in peace until then.
    pub held_back: Option<Instant>,
    /// It is in maintenance.
    pub upkeep: Option<Upkeep>,
    /// As Master: a weaker one that is heard.
    pub rival: Option<Rival>,
    /// Another owner speaks although we are stronger: since when, and when it was last heard.
    pub contested: Option<(Instant, Instant)>,
    /// When others were last told of a weaker Master.
    pub weaker_told_at: Option<Instant>,
    /// When the log was told of it last.
    pub weaker_said_at: Option<Instant>,
    /// As Master with a virtual MAC: when the switch is told of it again.
    pub reclaim: Option<Reclaim>,
    /// As Backup that was Master: how long it holds its addresses still.
    pub linger: Option<Linger>,
    /// Who is refused, or differs.
    pub at_odds: Option<Box<AtOdds>>,
    /// A Master whose virtual interface is gone: when it spoke last.
    pub cut_off_at: Option<Instant>,
}

impl Router {
    /// To change something rare.
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Another state: who was met in the last one does not matter.
    pub(super) fn forget_meetings(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            (rare.rival, rare.contested) = (None, None);
            (rare.weaker_told_at, rare.weaker_said_at) = (None, None);
            rare.reclaim = None;
        }
    }

    /// A weaker Master spoke. One that is being preempted may speak once more before it hears us: that is no split.
    pub(super) fn note_rival(&mut self, address: IpAddr, ctx: &mut Context) {
        let interval = self.own_interval().duration();
        if matches!(self.cause, TransitionCause::Preempted { .. }) && ctx.now < self.since + interval * 2 {
            return;
        }
        match &mut self.rare().rival {
            Some(rival) if rival.address == address => {
                rival.last = ctx.now;
                rival.times += 1;
            }
            rival => {
                *rival = Some(Rival { address, first: ctx.now, last: ctx.now, times: 1 });
                self.stats.split_brains = self.stats.split_brains.saturating_add(1);
            }
        }
    }

    /// A second Master that is heard now, for people.
    pub(super) fn rival_view(&self, now: Instant) -> Option<AtOddsView> {
        let Rival { address, first, last, times } = self.rare.as_deref()?.rival?;
        if now >= last + self.own_interval().duration() * SILENCE {
            return None;
        }
        let advice = match &self.plan.transport {
            Transport::Unicast { peers, .. } if !peers.contains(&address) => {
                "this node does not send to it: add it to unicast_peer here"
            }
            _ => {
                "look for what keeps our advertisements from it: a switch, a filter, or other settings of that instance there"
            }
        };
        Some(AtOddsView {
            from: address,
            counter: "split_brains",
            what: format!("it is Master too, and weaker than this node, of VRID {}", self.plan.key.vrid),
            meaning: "both hold the addresses; if this goes on, it does not hear this node".to_owned(),
            advice: advice.to_owned(),
            times,
            first,
            last,
        })
    }

    /// Looked at whenever an advertisement is due: has the other one yielded?
    pub(super) fn settle_rival(&mut self, ctx: &mut Context) {
        let interval = self.own_interval().duration();
        let Some(rival) = self.rare.as_deref().and_then(|rare| rare.rival) else { return };
        let goes_on = matches!(self.phase, Phase::Master(_)) && ctx.now < rival.last + interval * SILENCE;
        if goes_on {
            return;
        }
        self.rare().rival = None;
        let Rival { address, first, last, times: _ } = rival;
        let lasted = last.saturating_duration_since(first).as_millis();
        let ours = first.saturating_duration_since(self.since).as_millis();
        let name = &self.plan.name;
        ctx.log(
            LogLevel::Warning,
            format!(
                "({name}) two Masters have met: {address} was heard beside this node for {lasted} ms and speaks no more; \
                 before that they did not hear each other for at most {ours} ms; this node stays Master"
            ),
        );
    }
}

impl Router {
    /// A stronger Master spoke, and this one yields. It may have been Master all the while, or have listened until now and
    /// preempted: its advertisements do not say. Only of one that left in order, and is back, it is known.
    pub(super) fn note_stronger(&mut self, address: IpAddr, priority: Priority, ctx: &mut Context) {
        if self.is_unspoken() {
            return;
        }
        self.stats.outranked = self.stats.outranked.saturating_add(1);
        if self.cause == (TransitionCause::MasterResigned { by: address }) {
            return;
        }
        let ours = ctx.now.saturating_duration_since(self.since).as_millis();
        let name = &self.plan.name;
        ctx.log(
            LogLevel::Info,
            format!(
                "({name}) yields to {address} with priority {priority}, which preempts; if it was Master already, then for at \
                 most {ours} ms"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ABOVE, BELOW, Bench, advert, facts, plan, router_plan};
    use crate::vrrp::{Action, Event};
    use std::time::Duration;

    fn master() -> Bench {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(plan(vec![router_plan(150)]));
        while bench.core.routers().all(|router| router.state() != crate::vrrp::State::Master) {
            bench.timeout();
        }
        bench
    }

    fn splits(bench: &Bench) -> u64 {
        bench.core.routers().map(|router| u64::from(router.stats().split_brains)).sum()
    }

    /// What is logged when this is heard, and how often it has yielded by then.
    fn yields(bench: &mut Bench, heard: Event) -> (Vec<String>, u32) {
        let mut actions = Vec::new();
        bench.core.handle(heard, bench.now, &mut actions);
        (logged(actions), bench.core.routers().map(|router| router.stats().outranked).sum())
    }

    fn logged(actions: Vec<Action>) -> Vec<String> {
        let line = |action| match action {
            Action::Log(_, line) => Some(line),
            _ => None,
        };
        actions.into_iter().filter_map(line).collect()
    }

    /// What was logged while the clock of `bench` runs on.
    fn lines(bench: &mut Bench, timeouts: u32) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..timeouts {
            let mut actions = Vec::new();
            bench.now = bench.core.next_timeout().expect("a Master has a timer");
            bench.core.handle_timeout(bench.now, &mut actions);
            lines.extend(logged(actions));
        }
        lines
    }

    #[test]
    fn the_winner_says_with_whom_and_for_how_long() {
        let mut bench = master();
        bench.now += Duration::from_millis(500);
        bench.feed(advert(100, BELOW));
        bench.now += Duration::from_millis(250);
        bench.feed(advert(100, BELOW));
        assert_eq!(splits(&bench), 1, "one split, however many packets");
        let said = lines(&mut bench, 6);
        let expected = "two Masters have met: 10.0.0.1 was heard beside this node for 250 ms and speaks no more; \
                        before that they did not hear each other for at most 500 ms";
        assert_eq!(said.iter().filter(|line| line.contains(expected)).count(), 1, "{said:?}");
        bench.feed(advert(100, BELOW));
        assert_eq!(splits(&bench), 2, "a new one");
    }

    #[test]
    fn the_loser_says_with_whom_and_for_how_long_at_most() {
        let mut bench = master();
        bench.now += Duration::from_millis(2500);
        let (said, times) = yields(&mut bench, advert(200, ABOVE));
        let expected = "yields to 10.0.0.3 with priority 200, which preempts; if it was Master already, then for at most 2500 ms";
        assert_eq!(said.iter().filter(|line| line.contains(expected)).count(), 1, "{said:?}");
        assert_eq!((times, splits(&bench)), (1, 0));
        assert_eq!(yields(&mut bench, advert(200, ABOVE)), (vec![], 1), "a Backup yields to nobody");
    }

    #[test]
    fn one_that_left_in_order_and_is_back_was_no_second_master() {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(plan(vec![router_plan(150)]));
        bench.feed(advert(200, ABOVE));
        bench.feed(advert(0, ABOVE));
        bench.timeout();
        bench.now += Duration::from_secs(60);
        assert_eq!(yields(&mut bench, advert(200, ABOVE)), (vec![], 1));
    }

    #[test]
    fn each_advertisement_beside_a_weaker_master_is_followed_by_an_announcement() {
        let mut bench = master();
        assert_eq!(bench.timeout(), ["advert 150"]);
        bench.now += Duration::from_millis(500);
        bench.feed(advert(100, BELOW));
        // It may yield to any of them, until it was silent for three intervals.
        for _ in 0..4 {
            let said: Vec<String> = bench.timeout().into_iter().filter(|word| word != "warning").collect();
            assert_eq!(said, ["advert 150", "announce"]);
        }
        assert_eq!(bench.timeout(), ["advert 150"]);
    }

    #[test]
    fn a_weaker_master_that_is_preempted_is_no_split() {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(plan(vec![router_plan(150)]));
        bench.now += Duration::from_secs(3);
        bench.feed(advert(100, BELOW));
        bench.timeout();
        bench.feed(advert(100, BELOW));
        assert_eq!(splits(&bench), 0);
    }
}
