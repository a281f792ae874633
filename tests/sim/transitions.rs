//! What a change of state must satisfy.

use super::clock::MS;
use super::groups;
use super::invariants::{Invariants, by_slow_clock, sides};
use super::kernel::own_address;
use super::model::{self, label};
use super::network::{Network, WILD_DELAY};
use super::node::Node;
use holdfast::vrrp::{State, Transition, TransitionCause};
use std::time::Duration;

impl Invariants {
    /// Node `number` has just made it.
    pub fn transition(
        &self,
        now: u64,
        nodes: &[Node],
        network: &Network,
        number: usize,
        transition: &Transition,
    ) -> Result<(), String> {
        let it = format!("n{number}: {} {:?}", label(&transition.key), transition.cause);
        if let TransitionCause::Resumed { silence_ms } = transition.cause {
            // What its peers last heard counts, not what a reload has made of the plan since.
            let patience = nodes[number].patience.get(&transition.key).map_or(0, Duration::as_millis);
            let on_time = u128::from(silence_ms) < patience;
            return if on_time {
                Ok(())
            } else {
                Err(format!("{it} after its peers' patience of {patience} ms"))
            };
        }
        if let Some(drill) =
            self.drill.as_ref().filter(|drill| !drill.allows(number, &transition.key, transition.to))
        {
            return Err(format!("{it} although all that happened is {:?}", drill.deed));
        }
        let key = &transition.key;
        let for_itself = !groups::is_grouped(key, nodes) || groups::united(key, nodes, network);
        if self.is_settled(key, now) && for_itself {
            return Err(format!("{it} long after the last fault"));
        }
        if let TransitionCause::Outranked { by, priority } = transition.cause {
            let lan = model::lan_of(&transition.key.interface);
            let own = (transition.priority, own_address(number, lan, transition.key.family));
            if (priority, by) <= own {
                return Err(format!("{it} yields although it has {own:?}"));
            }
        }
        match transition.to {
            State::Master => self.is_due(now, nodes, network, number, transition),
            _ => Ok(()),
        }
    }

    /// On a calm LAN nobody takes over from a Master that has been heard all the while, unless it preempts, and
    /// not before its delay is over. Who has resigned and only serves until another speaks is not heard.
    fn is_due(
        &self,
        now: u64,
        nodes: &[Node],
        network: &Network,
        number: usize,
        transition: &Transition,
    ) -> Result<(), String> {
        let (Some(start), key) = (self.quiet, &transition.key) else { return Ok(()) };
        let heard_since = now.saturating_sub(by_slow_clock(self.longest_down(key, nodes)) + WILD_DELAY);
        let lan = model::lan_of(&key.interface);
        let established = sides(key, nodes, network).into_iter().find_map(|(side, members)| {
            let same = side == network.group(lan, number);
            members.into_iter().filter(|_| same).find(|n| {
                let node = &nodes[*n];
                let speaks = node.state(key) == State::Master && !node.departs(key);
                *n != number && speaks && node.since[key] < heard_since
            })
        });
        let (Some(other), Some(plan)) =
            (established.filter(|_| start < heard_since), nodes[number].router(key))
        else {
            return Ok(());
        };
        let listens_since = nodes[number].since.get(key).copied();
        let outranked_at = self.outranked.get(&(number, key.clone())).copied();
        let waited = now - listens_since.max(outranked_at).unwrap_or(0);
        let patience = plan.preempt_delay.as_nanos() as u64;
        let strong = transition.priority
            > model::priority(nodes[other].router(key).unwrap_or(plan), &nodes[other].kernel);
        let owner = plan.priority.is_owner();
        // Two Masters met, and the one that left spoke last: its interval is the learned one (RFC 9568 6.4.2), however
        // slowly the one that stays speaks. With `preempt_delay` a weaker one that speaks is waited for, too.
        let theirs = own_address(other, lan, key.family);
        let rival = match transition.cause {
            TransitionCause::MasterDown { last: Some(last), .. } => last != theirs,
            TransitionCause::Preempted { from, .. } => patience > 0 && from != theirs,
            _ => false,
        };
        if rival || owner || (strong && plan.preempt && by_slow_clock(waited) >= patience) {
            return Ok(());
        }
        Err(format!(
            "n{number}: {} takes over from n{other} after {} ms of listening; preempts: {}, after {} ms",
            label(key),
            waited / MS,
            plan.preempt,
            patience / MS
        ))
    }
}
