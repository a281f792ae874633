//! One fault in a settled network, and the takeover timed on both sides: not too late, not too early.

use super::clock::{MAX_PPM, MS};
use super::faults::Deed;
use super::groups;
use super::handover;
use super::invariants::sides;
use super::model::{addresses, down_interval, faulty, label, priority, skew};
use super::network::{CALM_DELAY, Network};
use super::node::{Node, Process};
use super::rng::Rng;
use super::world::WAKE_LATENCY;
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::{RouterKey, RouterPlan};
use holdfast::vrrp::{State, TransitionCause, Upkeep};

/// A Master that is about to go, and when its successor must appear.
struct Succession {
    key: RouterKey,
    candidates: Vec<usize>,
    earliest: u64,
    latest: u64,
    /// What is never on none of them and the victim: it hands these over.
    kept: Vec<(String, IpCidr)>,
    done: bool,
    /// Two took over at once: one of them has yielded since.
    met: bool,
}

/// What is done to whom, and what must follow.
pub struct Drill {
    pub deed: Deed,
    /// Ends the fault.
    pub undo: Deed,
    victim: usize,
    successions: Vec<Succession>,
    /// Routers for which the victim must not become Master.
    forbidden: Vec<RouterKey>,
    /// Routers of which nothing is expected.
    free: Vec<RouterKey>,
    /// May other routers than these change state on other nodes?
    others_rest: bool,
    end: u64,
}

/// A failover's successor is left in peace for longer than the drill takes.
const HOLD: u64 = 9000 * MS;

/// Watched on after the last deadline.
const AFTERMATH: u64 = 100 * MS;

impl Drill {
    /// Starts a dead node in a settled network: it preempts when its plan says so, or never.
    pub fn draw_return(rng: &mut Rng, now: u64, nodes: &[Node], network: &Network) -> Option<Drill> {
        let dead: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].process == Process::Dead).collect();
        if dead.is_empty() {
            return None;
        }
        let victim = *rng.pick(&dead);
        let (deed, undo) = (Deed::Start { node: victim }, Deed::Repeat { node: victim });
        let mut drill = Drill {
            deed,
            undo,
            victim,
            successions: Vec::new(),
            forbidden: Vec::new(),
            free: Vec::new(),
            others_rest: true,
            end: now,
        };
        for plan in &nodes[victim].wanted.routers {
            drill.expect_of_return(now, plan, nodes, network);
        }
        // Others' groups follow a member that yields to the victim, also on LANs where the victim has no router.
        drill.free.extend(keys(nodes).into_iter().filter(|key| groups::is_grouped(key, nodes)));
        Some(drill)
    }

    fn expect_of_return(&mut self, now: u64, plan: &RouterPlan, nodes: &[Node], network: &Network) {
        let (key, node) = (plan.key.clone(), &nodes[self.victim]);
        if groups::is_grouped(&key, nodes) {
            return self.free.push(key);
        }
        let lan = super::model::lan_of(&key.interface);
        let side = sides(&key, nodes, network).remove(&network.group(lan, self.victim)).unwrap_or_default();
        let master = side.iter().find(|n| nodes[**n].state(&key) == State::Master);
        let established =
            master.and_then(|n| Some((priority(nodes[*n].router(&key)?, &nodes[*n].kernel), *n)));
        let own = plan.interval.duration().as_nanos() as u64;
        let mine = priority(plan, &node.kernel);
        let wait = down_interval(plan, mine, own);
        let (Some((theirs, other)), false) = (established, faulty(plan, &node.kernel)) else {
            return self.free.push(key);
        };
        let interval = nodes[other].router(&key).map_or(own, |p| p.interval.duration().as_nanos() as u64);
        let delay = plan.preempt_delay.as_nanos() as u64;
        let (least, most) = if plan.priority.is_owner() {
            (0, 0)
        } else if wait <= 2 * interval {
            // It may become impatient before it hears the other at all.
            return self.free.push(key);
        } else if !plan.preempt || theirs >= mine {
            self.end = self.end.max(now + 2 * wait + delay + AFTERMATH);
            return self.forbidden.push(key);
        } else if delay == 0 {
            (wait, wait)
        } else {
            (delay, delay + interval + down_interval(plan, mine, own.max(interval)))
        };
        let drift = |time: u64| time * (MAX_PPM as u64 + 1) / 1_000_000;
        let (earliest, latest) =
            (now + least - drift(least), now + most + drift(most) + CALM_DELAY + WAKE_LATENCY);
        self.end = self.end.max(latest + AFTERMATH);
        self.successions.push(Succession {
            key,
            candidates: vec![self.victim],
            earliest,
            latest,
            kept: Vec::new(),
            done: false,
            met: false,
        });
    }
}

impl Drill {
    /// Draws a Master with at least one Backup; `None` if there is none.
    /// `spoke`: when a node last advertised a router.
    pub fn draw(
        rng: &mut Rng,
        now: u64,
        nodes: &[Node],
        network: &Network,
        spoke: impl Fn(usize, &RouterKey) -> Option<u64>,
    ) -> Option<Drill> {
        // Of groups nothing is timed: the slowest member decides.
        let (free, single): (Vec<RouterKey>, Vec<RouterKey>) =
            keys(nodes).into_iter().partition(|key| groups::is_grouped(key, nodes));
        let masters: Vec<(RouterKey, usize)> = single
            .into_iter()
            .flat_map(|key| {
                let sides = sides(&key, nodes, network);
                let contested = sides.into_values().filter(|members| members.len() > 1).flatten();
                let is_master = |n: &usize| nodes[*n].state(&key) == State::Master;
                contested.filter(is_master).map(|n| (key.clone(), n)).collect::<Vec<_>>()
            })
            .collect();
        if masters.is_empty() {
            return None;
        }
        let (chosen, victim) = rng.pick(&masters).clone();
        let lan = super::model::lan_of(&chosen.interface);
        let maintain = |upkeep| Deed::Maintain { node: victim, instance: None, upkeep };
        let (deed, undo) = match rng.below(6) {
            0 | 1 => (Deed::Stop { node: victim, release: true }, Deed::Start { node: victim }),
            2 => (Deed::Crash { node: victim }, Deed::Start { node: victim }),
            3 => (Deed::Failover { node: victim, hold: HOLD }, Deed::Repeat { node: victim }),
            4 => (maintain(Some(Upkeep { allow_last: false })), maintain(None)),
            _ => (Deed::Link { node: victim, lan, up: false }, Deed::Link { node: victim, lan, up: true }),
        };
        // A pulled cable moves priorities and faults on other LANs too: only the chosen router is timed.
        let pulled = matches!(deed, Deed::Link { .. });
        let resigns = matches!(deed, Deed::Stop { .. } | Deed::Failover { .. } | Deed::Maintain { .. });
        let hands_over = resigns && nodes[victim].applied.handover;
        let timed = masters.into_iter().filter(|(key, n)| *n == victim && (!pulled || *key == chosen));
        let successions: Vec<Succession> = timed
            .filter_map(|(key, _)| {
                let members = sides(&key, nodes, network).into_values().find(|m| m.contains(&victim))?;
                let candidates: Vec<usize> = members.into_iter().filter(|n| *n != victim).collect();
                let last = if resigns { now } else { spoke(victim, &key)? };
                let interval = nodes[victim].router(&key)?.interval.duration().as_nanos() as u64;
                let wait =
                    |n: &usize| nodes[*n].router(&key).map(|plan| wait(plan, &nodes[*n], interval, resigns));
                let least = candidates.iter().filter_map(wait).min()?;
                let drift = least * (MAX_PPM as u64 + 1) / 1_000_000;
                let (earliest, latest) =
                    (last + least - drift, last + least + drift + CALM_DELAY + WAKE_LATENCY);
                let plan = nodes[victim].router(&key).filter(|_| hands_over);
                let common = |held: &(String, IpCidr)| {
                    let plans = candidates.iter().filter_map(|n| nodes[*n].router(&key));
                    plans.into_iter().all(|plan| addresses(plan).any(|one| one == *held))
                };
                let kept = plan.into_iter().flat_map(addresses).filter(common).collect();
                Some(Succession { key, candidates, earliest, latest, kept, done: false, met: false })
            })
            .collect();
        let left = if hands_over { now + handover::longest(&nodes[victim]) } else { now };
        let end = successions.iter().map(|s| s.latest).max().unwrap_or(now).max(left) + AFTERMATH;
        let forbidden = Vec::new();
        Some(Drill { deed, undo, victim, successions, forbidden, free, others_rest: !pulled, end })
    }

    /// When everything must have happened.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// After anything happened.
    pub fn observe(&mut self, now: u64, nodes: &[Node]) -> Result<(), String> {
        for s in &mut self.successions {
            let has = |n: &usize, kept: &(String, IpCidr)| nodes[*n].kernel.has(&kept.0, &kept.1);
            let nowhere =
                |kept: &&(String, IpCidr)| !s.candidates.iter().chain([&self.victim]).any(|n| has(n, kept));
            if let Some((interface, cidr)) = s.kept.iter().find(nowhere) {
                let (at, deed) = (now / MS, &self.deed);
                return Err(format!(
                    "{cidr} ({interface}) is on no node at {at} ms, although all that happened is {deed:?}"
                ));
            }
            let mut heirs = s.candidates.iter().filter(|n| nodes[**n].state(&s.key) == State::Master);
            let heir = heirs.next();
            s.done |= heir.is_some();
            s.met |= heirs.next().is_some();
            let (earliest, latest) = (s.earliest / MS, s.latest / MS);
            let window = format!("between {earliest} and {latest} ms");
            let heir = heir.filter(|_| now < s.earliest);
            if let Some(heir) = heir {
                return Err(format!("{}: n{heir} is Master at {} ms, not {window}", label(&s.key), now / MS));
            }
            if now > s.latest && !s.done {
                return Err(format!("{}: nobody is Master {window} after {:?}", label(&s.key), self.deed));
            }
        }
        Ok(())
    }

    /// At its end: who was told to go has gone, and holds nothing of it.
    pub fn finish(&self, nodes: &[Node]) -> Result<(), String> {
        let victim = &nodes[self.victim];
        let stays = match self.deed {
            Deed::Stop { release: true, .. } => victim.process != Process::Dead || !victim.held().is_empty(),
            Deed::Failover { .. } => self.successions.iter().any(|s| s.is_undone(self.victim, nodes)),
            Deed::Maintain { .. } => {
                victim.states.values().any(|s| *s == State::Master) || !victim.held().is_empty()
            }
            _ => false,
        };
        if stays {
            let (n, deed) = (self.victim, &self.deed);
            return Err(format!("n{n} is {:?} long after {deed:?}: {:?}", victim.process, victim.held()));
        }
        Ok(())
    }

    /// May this router of this node make this change?
    pub fn allows(&self, node: usize, key: &RouterKey, to: State) -> bool {
        if node == self.victim {
            return to != State::Master || !self.forbidden.contains(key);
        }
        !self.others_rest || self.free.contains(key) || self.successions.iter().any(|s| s.key == *key)
    }
}

impl Succession {
    /// Is the victim of a failover Master again? Fair if two took over at once, and the one that left spoke last and said
    /// a shorter interval than the one that stays: that is the learned one (RFC 9568 6.4.2), and it ended in silence.
    fn is_undone(&self, victim: usize, nodes: &[Node]) -> bool {
        let intervals = || self.candidates.iter().filter_map(|n| Some(nodes[*n].router(&self.key)?.interval));
        let misled = self.met && intervals().min() != intervals().max();
        let mut routers = nodes[victim].core.routers();
        let timed_out = routers.any(|router| {
            router.plan().key.to_key() == self.key
                && matches!(router.cause(), TransitionCause::MasterDown { last: Some(_), .. })
        });
        nodes[victim].state(&self.key) == State::Master && !(misled && timed_out)
    }
}

fn wait(plan: &RouterPlan, node: &Node, interval: u64, resigned: bool) -> u64 {
    let priority = priority(plan, &node.kernel);
    if resigned { skew(plan, priority, interval) } else { down_interval(plan, priority, interval) }
}

fn keys(nodes: &[Node]) -> Vec<RouterKey> {
    let mut keys: Vec<RouterKey> =
        nodes.iter().flat_map(|n| n.applied.routers.iter().map(|r| r.key.clone())).collect();
    keys.sort();
    keys.dedup();
    keys
}
