//! After a pause: what a process that stood still may still believe.

use super::context::Context;
use super::election::Wait;
use super::event::{LogLevel, OpId, RouterId, TransitionCause};
use super::router::Router;
use super::state::Phase;
use super::{Action, Core};
use crate::time::Instant;
use std::time::Duration;

impl Core {
    /// Whose address a kernel operation under way is about; `None` once it is answered.
    pub fn owner_of(&self, op: OpId) -> Option<RouterId> {
        self.operations.owner_of(op)
    }

    /// The index of the interface with this name.
    pub fn interface_index(&self, name: &str) -> Option<u32> {
        self.interfaces.get(name).map(|interface| interface.index)
    }

    /// Masters that were silent for too long become Backup before they hear what was said meanwhile.
    pub(super) fn listen_after_pause(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for id in self.order.clone() {
            self.with_router(id, now, actions, Router::listen_after_pause);
        }
    }
}

impl Router {
    /// Silent for longer than the peers wait, by our own numbers, one of them may be Master, and the kernel may have
    /// taken the addresses back (`vip_lease`). The owner listens as well: its peers yield as soon as it speaks.
    fn listen_after_pause(&mut self, ctx: &mut Context) {
        self.listen_after(self.plan.patience(), ctx);
    }

    /// `timer_expired_backup`, as keepalived 2.3 has it: with `nopreempt`, a Master that was held up for so long that
    /// another one may have taken over leaves it to that one. Before what it hears, or says, next.
    pub(super) fn listen_if_too_late(&mut self, ctx: &mut Context) {
        if let Some(other) = self.plan.listens_when_late {
            self.listen_after(self.plan.patience_of(other), ctx);
        }
    }

    /// A Backup that wakes a whole Master_Down_Interval after it should have taken over: a machine that stood still has lost
    /// what was said meanwhile, and a claim beside a living Master takes its clients away. So it listens first, once: a
    /// machine that is always so late serves all the same.
    pub(super) fn listen_if_overslept(&mut self, ctx: &mut Context) {
        let timing = self.timing();
        let Phase::Backup(backup) = &mut self.phase else { return };
        let late = ctx.now.saturating_duration_since(backup.master_down_at);
        if backup.overslept || backup.wants_master || late < timing.wait(Wait::Down) {
            return;
        }
        backup.arm(Wait::Down, timing, ctx.now);
        backup.overslept = true;
        let (name, ms) = (&self.plan.name, late.as_millis());
        let sentence = format!(
            "({name}) woke {ms} ms after its peer's silence made it Master: what was said meanwhile may be lost, so it listens first"
        );
        ctx.log(LogLevel::Warning, sentence);
    }

    fn listen_after(&mut self, patience: Duration, ctx: &mut Context) {
        let Phase::Master(master) = &self.phase else { return };
        let interval = self.own_interval().duration();
        let silence = ctx.now.saturating_duration_since(master.next_advertisement) + interval;
        if silence >= patience {
            let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
            self.become_backup(Wait::Down, TransitionCause::Paused { silence_ms }, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ABOVE, BELOW, Bench, advert, facts, plan, router_plan};
    use crate::vrrp::Event;
    use std::time::Duration;

    /// Master since its second advertisement; the next one is due `late` before the event.
    fn master_that_is_late(priority: u8, late: Duration) -> Bench {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(plan(vec![router_plan(priority)]));
        while !bench.core.routers().all(|router| router.state() == crate::vrrp::State::Master) {
            bench.timeout();
        }
        bench.timeout();
        bench.now = bench.core.next_timeout().expect("a Master has a timer") + late;
        bench
    }

    #[test]
    fn a_master_that_stood_still_for_longer_than_its_peers_wait_listens_first() {
        // Patience at priority 150: 3 s and 106/256 of one; the silence began an interval before the deadline.
        let mut bench = master_that_is_late(150, Duration::from_millis(2415));
        assert_eq!(bench.feed(Event::Paused), ["remove 10.0.0.100", "BACKUP", "info"]);
        assert_eq!(bench.feed(advert(100, BELOW)), [] as [&str; 0], "nothing is claimed at once");
        assert!(bench.timeout().contains(&"MASTER".to_owned()), "preempts when its timer ends");
    }

    /// A Backup whose timer ended `late` ago when it wakes.
    fn backup_that_is_late(late: Duration) -> Bench {
        let mut bench = Bench::new();
        bench.feed(Event::Interface(facts(true)));
        bench.feed(plan(vec![router_plan(150)]));
        bench.feed(advert(200, ABOVE));
        bench.now += DOWN + late;
        bench
    }

    /// Master_Down_Interval at priority 150: 3 s and 106/256 of one.
    const DOWN: Duration = Duration::from_nanos(3_414_062_500);

    #[test]
    fn a_backup_that_slept_through_its_timer_hears_the_master_first() {
        let mut bench = backup_that_is_late(DOWN);
        assert_eq!(bench.wake(), ["warning"], "nothing is claimed");
        bench.now += Duration::from_secs(1);
        assert_eq!(bench.feed(advert(200, ABOVE)), [] as [&str; 0], "it was only us");
        let mut punctual = backup_that_is_late(DOWN - Duration::from_millis(1));
        assert!(punctual.wake().contains(&"MASTER".to_owned()), "late, but not for long");
    }

    #[test]
    fn it_listens_once() {
        let mut bench = backup_that_is_late(10 * DOWN);
        assert_eq!(bench.wake(), ["warning"]);
        bench.now += 10 * DOWN;
        assert!(bench.wake().contains(&"MASTER".to_owned()), "somebody must serve");
    }

    #[test]
    fn a_shorter_pause_changes_nothing() {
        let mut bench = master_that_is_late(150, Duration::from_millis(2410));
        assert_eq!(bench.feed(Event::Paused), [] as [&str; 0]);
        let mut idle = Bench::new();
        idle.feed(Event::Interface(facts(true)));
        idle.feed(plan(vec![router_plan(150)]));
        idle.now += Duration::from_secs(60);
        assert_eq!(idle.feed(Event::Paused), [] as [&str; 0], "a Backup listens already");
    }
}
