//! Interfaces that bounce: with `interface_up_down_delays` a change counts only when it lasts.

use super::Core;
use super::event::{Action, InterfaceFacts};
use super::router::Router;
use super::state::Phase;
use crate::plan::vrrp::LinkDelay;
use crate::time::Instant;
use crate::wire::vrrp::Version;
use std::collections::BTreeMap;
use std::time::Duration;

/// The delays of the plan, and changes that have not lasted yet.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    delays: BTreeMap<String, LinkDelay>,
    /// By index: when what the kernel says now will count. It is the opposite of what counts.
    waiting: BTreeMap<u32, Instant>,
}

impl Debounce {
    /// The delays of a new plan. A change that waits already keeps its moment.
    pub fn adopt(&mut self, delays: Vec<LinkDelay>) {
        self.delays = delays.into_iter().map(|delay| (delay.interface.clone(), delay)).collect();
    }

    /// The interface is gone, which counts at once.
    pub fn forget(&mut self, index: u32) {
        self.waiting.remove(&index);
    }

    /// When the first change will have lasted.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }

    /// Does a change to `facts.up` count already? `longest` limits the delay.
    fn counts(&mut self, facts: &InterfaceFacts, longest: Duration, now: Instant) -> bool {
        let delay = self.delays.get(&facts.name).map(|delay| if facts.up { delay.up } else { delay.down });
        let delay = delay.unwrap_or_default().min(longest);
        let at = *self.waiting.entry(facts.index).or_insert(now + delay);
        let counts = delay.is_zero() || at <= now;
        if counts {
            self.waiting.remove(&facts.index);
        }
        counts
    }

    fn take_due(&mut self, now: Instant) -> Option<u32> {
        let index = self.waiting.iter().find(|(_, at)| **at <= now).map(|(index, _)| *index)?;
        self.waiting.remove(&index);
        Some(index)
    }
}

impl Core {
    /// Hide in `facts` what has not lasted yet.
    pub(super) fn settle_link(&mut self, facts: &mut InterfaceFacts, now: Instant) {
        let counted = self.interfaces.get(&facts.name).map(|known| known.up);
        match counted {
            Some(counted) if counted != facts.up => {
                let longest = self.longest_delay_on(&facts.name);
                if !self.debounce.counts(facts, longest, now) {
                    facts.up = counted;
                }
            }
            _ => self.debounce.forget(facts.index),
        }
    }

    /// Changes that have lasted long enough.
    pub(super) fn links_settled(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some(index) = self.debounce.take_due(now) {
            let Some(mut facts) = self.interfaces.facts(index).cloned() else { continue };
            facts.up = !facts.up;
            let (name, word) = (facts.name.clone(), if facts.up { "up" } else { "down" });
            self.take_interface(facts, now, actions);
            self.tell_priorities(&format!("interface {name} is {word}"), actions);
        }
    }

    /// A Backup may have learned a shorter interval than its own, which the plan's delays fit.
    fn longest_delay_on(&self, name: &str) -> Duration {
        let using = self.routers.values().filter(|router| {
            let plan = &router.plan;
            *plan.key.interface == *name || plan.advert_interface() == name
        });
        using.map(|router| router.longest_link_delay()).min().unwrap_or(Duration::MAX)
    }
}

impl Router {
    fn longest_link_delay(&self) -> Duration {
        let interval = match &self.phase {
            Phase::Backup(backup) if self.plan.version == Version::V3 => backup.master_interval,
            _ => self.own_interval(),
        };
        LinkDelay::longest(self.plan.down_timer_adverts, interval)
    }
}
