//! Leases (`vip_lease`) as the driver keeps them: renewed with advertisements and only then; what runs out, the kernel
//! takes away, whether there is a process or not.

use super::clock::{MS, SECOND};
use super::model;
use super::node::Node;
use super::world::{What, World};
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::{RouterKey, RouterPlan};
use holdfast::vrrp::{Action, AddressOp, Event, Frame, OpId, RouterId, State};
use std::collections::BTreeMap;

/// Renewals are no more frequent.
const SHORTEST_PERIOD: u64 = SECOND;
/// What the kernel may need from the advertisement to the renewed lease.
const MARGIN: u64 = 500 * MS;
/// A renewal that comes so much too early comes all the same.
const EARLY: u64 = 100 * MS;
/// A loop that is so late asks whether it was silent for too long.
const PAUSE: u64 = 100 * MS;

/// What is known of a router's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    period: u64,
    valid: u64,
    asked_at: Option<u64>,
    /// No lease is older, and so long each was.
    renewed_at: Option<u64>,
    given: u64,
}

impl Term {
    fn of(plan: &RouterPlan) -> Term {
        let interval = plan.interval.duration().as_nanos() as u64;
        let period = interval.max(SHORTEST_PERIOD);
        let patience = model::down_interval(plan, plan.priority, interval);
        let valid = (patience + MARGIN + period - interval).next_multiple_of(SECOND);
        Term { period, valid, asked_at: None, renewed_at: None, given: valid }
    }
}

/// Leases of one router that are to be renewed together.
pub struct Renewal {
    pub node: usize,
    incarnation: u32,
    key: RouterKey,
    asked_at: u64,
    valid: u64,
    addresses: Vec<(u32, IpCidr)>,
}

/// All leases of a router are renewed: its process hears of it, as of an operation, after the news that came before.
pub struct Renewed {
    pub node: usize,
    incarnation: u32,
    key: RouterKey,
    asked_at: u64,
}

impl World {
    /// A plan came into force: leases of another length are renewed at once.
    pub(super) fn follow_leases(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if !it.applied.vip_lease {
            return;
        }
        let before = std::mem::take(&mut it.terms);
        let mut due = Vec::new();
        for plan in &it.applied.routers {
            let mut term = Term::of(plan);
            match before.get(&plan.key) {
                Some(old) if (old.valid, old.period) == (term.valid, term.period) => term = *old,
                _ => due.push(plan.key.clone()),
            }
            it.terms.insert(plan.key.clone(), term);
        }
        due.into_iter().for_each(|key| self.renew(node, &key));
    }

    /// Who has just spoken holds on to its addresses; who hands over does until its successor has them.
    pub(super) fn renew_leases(&mut self, node: usize, actions: &[Action]) {
        let mut last = None;
        for action in actions {
            let (Action::Transmit(id, Frame::Advertisement { .. } | Frame::Sealed { .. })
            | Action::Silence { router: id, .. }) = action
            else {
                continue;
            };
            if last.replace(*id) == Some(*id) {
                continue;
            }
            let (now, it) = (self.now, &mut self.nodes[node]);
            let master = it.core.router(*id).filter(|router| router.state() == State::Master);
            let Some(master) = master else { continue };
            let handover = master.handover();
            let rest = handover.map(|view| it.clock.world_time(view.let_go_at).saturating_sub(now));
            let Some(key) = key_of(it, *id) else { continue };
            let due = |term: &&mut Term| term.asked_at.is_none_or(|at| now + EARLY >= at + term.period);
            if let Some(term) = it.terms.get_mut(&key).filter(|term| rest.is_some() || due(term)) {
                term.given = rest.map_or(0, |rest| (rest + MARGIN).next_multiple_of(SECOND)).max(term.valid);
                self.renew(node, &key);
            }
        }
    }

    /// A router asks for addresses. Where it holds none, these are its first leases.
    pub(super) fn note_first_leases(&mut self, node: usize, actions: &[Action]) {
        let it = &mut self.nodes[node];
        for action in actions {
            let Action::Kernel(op, AddressOp::Add { .. }) = action else { continue };
            let owner = it.core.owner_of(*op).and_then(|id| it.core.router(id));
            let first = owner.filter(|router| !router.addresses().any(|address| address.installed));
            let key = first.map(|router| router.plan().key.to_key());
            if let Some(term) = key.and_then(|key| it.terms.get_mut(&key)) {
                (term.renewed_at, term.given) = (Some(self.now), term.valid);
            }
        }
    }

    fn renew(&mut self, node: usize, key: &RouterKey) {
        let (now, it) = (self.now, &mut self.nodes[node]);
        let Some(term) = it.terms.get_mut(key) else { return };
        term.asked_at = Some(now);
        let valid = term.given;
        let addresses = leased(it, key);
        if !addresses.is_empty() {
            let (incarnation, key) = (it.incarnation, key.clone());
            let at = it.kernel.schedule(&mut self.kernels, now);
            let renewal = Renewal { node, incarnation, key, asked_at: now, valid, addresses };
            self.schedule(at, What::Renew(renewal));
        }
    }

    /// The kernel renews; what is gone comes back.
    pub(super) fn perform_renewal(&mut self, renewal: Renewal) {
        let Renewal { node, incarnation, key, asked_at, valid, addresses } = renewal;
        let failing = self.nodes[node].kernel.failing;
        let failed = self.kernels.chance(failing);
        let living = self.nodes[node].incarnation == incarnation;
        for (index, cidr) in &addresses {
            let Some(at) = self.nodes[node].kernel.by_index(*index).filter(|_| !failed) else { continue };
            let interface = &mut self.nodes[node].kernel.interfaces[at];
            if !interface.added.contains(cidr) {
                // It was taken off meanwhile, by its Master or by somebody else: it is there for one lease.
                interface.added.push(*cidr);
                self.nodes[node].awry |= living;
                self.tell_facts(node, at);
            }
            self.lease(node, at, *cidr, valid);
        }
        if living && !failed {
            let at = self.nodes[node].news_until;
            self.schedule(at, What::Renewed(Renewed { node, incarnation, key, asked_at }));
        }
    }

    /// The process hears of it.
    pub(super) fn note_renewal(&mut self, renewed: Renewed) {
        let it = &mut self.nodes[renewed.node];
        if it.incarnation == renewed.incarnation
            && let Some(term) = it.terms.get_mut(&renewed.key)
        {
            term.renewed_at = Some(renewed.asked_at);
        }
    }

    /// An address was added by a router that has leases.
    pub(super) fn lease_added(&mut self, node: usize, op: OpId, body: &AddressOp) {
        let AddressOp::Add { interface, cidr, .. } = body else { return };
        let it = &self.nodes[node];
        let key = it.core.owner_of(op).and_then(|id| key_of(it, id));
        let valid = key.and_then(|key| it.terms.get(&key)).map(|term| term.valid);
        let at = it.kernel.by_index(*interface);
        if let (Some(valid), Some(at)) = (valid, at) {
            self.lease(node, at, *cidr, valid);
        }
    }

    fn lease(&mut self, node: usize, at: usize, cidr: IpCidr, valid: u64) {
        let until = self.now + valid;
        self.nodes[node].kernel.interfaces[at].leases.insert(cidr, until);
        self.schedule(until, What::Expire { node, at, cidr });
    }

    /// A lease may have run out.
    pub(super) fn expire(&mut self, node: usize, at: usize, cidr: IpCidr) {
        let interface = &mut self.nodes[node].kernel.interfaces[at];
        if interface.leases.get(&cidr).is_none_or(|until| *until > self.now) {
            return;
        }
        interface.take_off(|held| *held == cidr);
        let index = interface.index;
        self.nodes[node].awry = true;
        self.trace.line(self.now, &format!("n{node} kernel takes {cidr} back: its lease ran out"));
        self.tell(node, Event::AddressRemoved { index, cidr });
        self.tell_facts(node, at);
    }

    /// Is this the news of a lease that ran out while its Master lives? Then it comes back, and the core does not hear
    /// of it.
    pub(super) fn mend_lease(&mut self, node: usize, event: &Event) -> bool {
        let Event::AddressRemoved { index, cidr } = event else { return false };
        let it = &self.nodes[node];
        let run_out = |term: &Term| term.renewed_at.is_some_and(|at| self.now + EARLY >= at + term.given);
        let mut suspects = it.terms.iter().filter(|(_, term)| run_out(term)).map(|(key, _)| key);
        let Some(key) = suspects.find(|key| leased(it, key).contains(&(*index, *cidr))).cloned() else {
            return false;
        };
        // Until it is back.
        self.nodes[node].awry = true;
        self.renew(node, &key);
        true
    }

    /// Does the process come back from a pause that its leases may not have survived?
    pub(super) fn was_paused(&self, node: usize) -> bool {
        let it = &self.nodes[node];
        let due = it.core.next_timeout().map(|at| it.clock.world_time(at));
        it.applied.vip_lease && due.is_some_and(|due| self.now >= due + PAUSE)
    }

    /// Addresses that stay without a process.
    pub(super) fn make_permanent(&mut self, node: usize) {
        for interface in &mut self.nodes[node].kernel.interfaces {
            interface.leases.clear();
        }
    }
}

fn key_of(node: &Node, id: RouterId) -> Option<RouterKey> {
    node.core.router(id).map(|router| router.plan().key.to_key())
}

/// All that a Master holds, by its own account.
fn leased(node: &Node, key: &RouterKey) -> Vec<(u32, IpCidr)> {
    let mut routers = node.core.routers();
    let Some(router) =
        routers.find(|router| router.plan().key.to_key() == *key && router.state() == State::Master)
    else {
        return Vec::new();
    };
    let installed = router.addresses().filter(|view| view.installed);
    installed
        .filter_map(|view| Some((node.core.interface_index(view.interface)?, view.address.cidr)))
        .collect()
}

/// A process begins to lease anew.
pub type Terms = BTreeMap<RouterKey, Term>;
