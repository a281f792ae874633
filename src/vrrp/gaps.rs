//! `garp_interval`, `gna_interval`: the least time between two announcements on an interface. What comes too early
//! waits its turn; adverts never wait here.

use super::event::{Action, Frame, RouterId};
use crate::plan::vrrp::AnnounceGap;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Announcements that may wait on one interface: 2,000 addresses of five packets twice over, with room. More are
/// left out; the refresh tells again.
const MOST_WAITING: usize = 32_768;

/// EtherType of ARP, as the frame has it.
const ARP: [u8; 2] = [0x08, 0x06];

/// All queues.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    plan: Vec<AnnounceGap>,
    lanes: BTreeMap<Lane, Queue>,
    dropped: u64,
}

/// What shares a gap: an entry of the plan, the interface where each has its own, ARP apart from neighbour discovery.
type Lane = (usize, Option<u32>, bool);

#[derive(Debug, Default)]
struct Queue {
    gap: Duration,
    free_at: Option<Instant>,
    waiting: VecDeque<(RouterId, Frame)>,
}

impl Gaps {
    /// Take over the plan's gaps; what waits goes out by the old ones.
    pub fn adopt(&mut self, plan: &[AnnounceGap]) {
        if self.plan != plan {
            self.plan = plan.to_vec();
            self.lanes.retain(|_, queue| !queue.waiting.is_empty());
        }
    }

    /// The frame's turn: sent now, or later by [`Gaps::release`].
    pub fn send(
        &mut self,
        router: RouterId,
        frame: Frame,
        name: &str,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some((lane, gap)) = self.lane(&frame, name) else {
            return actions.push(Action::Transmit(router, frame));
        };
        let queue = self.lanes.entry(lane).or_default();
        queue.gap = gap;
        if queue.waiting.is_empty() && queue.free_at.is_none_or(|at| at <= now) {
            queue.free_at = Some(now + gap);
            actions.push(Action::Transmit(router, frame));
        } else if queue.waiting.len() < MOST_WAITING {
            queue.waiting.push_back((router, frame));
        } else {
            self.dropped += 1;
        }
    }

    /// How long a peer with the same gaps needs until each of `count` addresses of this interface was announced once.
    pub fn time_for(&self, name: &str, count: usize) -> Duration {
        let named = self.plan.iter().find(|gap| gap.interfaces.iter().any(|known| known == name));
        let gap = named.or_else(|| self.plan.iter().find(|gap| gap.interfaces.is_empty()));
        let gap = gap.map_or(Duration::ZERO, |gap| gap.arp.max(gap.ndp));
        gap.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Send what is due.
    pub fn release(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for queue in self.lanes.values_mut() {
            while queue.free_at.is_some_and(|at| at <= now) {
                let Some((router, frame)) = queue.waiting.pop_front() else { break };
                // Counted from now: after a pause the gaps are kept, not caught up.
                queue.free_at = Some(now + queue.gap);
                actions.push(Action::Transmit(router, frame));
            }
        }
    }

    /// The router is no longer Master: what it had to say is no longer true.
    pub fn withdraw(&mut self, router: RouterId) {
        for queue in self.lanes.values_mut() {
            queue.waiting.retain(|(id, _)| *id != router);
        }
    }

    /// When the next one is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.lanes.values().filter(|queue| !queue.waiting.is_empty()).filter_map(|queue| queue.free_at).min()
    }

    /// Announcements left out because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn lane(&self, frame: &Frame, name: &str) -> Option<(Lane, Duration)> {
        let Frame::Ethernet { interface, bytes } = frame else { return None };
        let arp = bytes.get(12..14) == Some(&ARP);
        let named = self.plan.iter().position(|gap| gap.interfaces.iter().any(|known| known == name));
        let at = named.or_else(|| self.plan.iter().position(|gap| gap.interfaces.is_empty()))?;
        let plan = self.plan.get(at)?;
        let gap = if arp { plan.arp } else { plan.ndp };
        let own = plan.interfaces.is_empty().then_some(*interface);
        (!gap.is_zero()).then_some(((at, own, arp), gap))
    }
}
