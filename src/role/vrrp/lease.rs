//! Leases: with `vip_lease` the kernel itself takes virtual addresses from a node whose daemon is dead or hung.
//!
//! A router's leases are renewed when its advertisement is sent, and only then: whoever no longer speaks no longer
//! holds. Nothing here runs by itself, so a loop that stands still renews nothing, whatever its threads do.

use crate::net::{AddressFamily, IpCidr};
use crate::netlink::Lifetime;
use crate::netlink::facts::{InterfaceTable, KnownAddress};
use crate::netlink::route::Outcome;
use crate::time::Instant;
use crate::vrrp::{AddressOp, Core, Event, KernelError, OpId, Router, RouterId, State};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Leases are renewed with each advertisement, but no oftener than this: a thousand addresses are a thousand requests,
/// and as many messages to everybody who watches addresses.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// The same for IPv6 addresses, of all routers together: the kernel needs 0.3 s for a thousand of them, ten times what
/// IPv4 costs, and longer the more there are (measured with Linux 6.18).
const IPV6_PER_SECOND: usize = 250;

/// What the loop, the worker and the kernel may need from the advertisement to the renewed lease.
const MARGIN: Duration = Duration::from_millis(500);

/// An advertisement that comes so much sooner than the period ends renews all the same: timers are not that exact.
const EARLY: Duration = Duration::from_millis(100);

/// `ip address` calls what keepalived and we put there `proto keepalived`.
const PROTOCOL: u8 = crate::plan::route::PROTOCOL_KEEPALIVED;

/// The longest lease that a plan can ask for; an address that somebody else gave a lifetime has mostly more.
const LONGEST_LEASE_SECONDS: u32 = 1100;

/// Leases of one router, to be renewed together.
#[derive(Debug)]
pub struct Renewal {
    /// Whose.
    pub router: RouterId,
    /// When the loop asked for it.
    pub asked_at: Instant,
    /// Each with its lifetime from now on.
    pub leases: Vec<(AddressOp, Lifetime)>,
}

/// What is known of the leases of every router.
#[derive(Debug, Default)]
pub struct Leases {
    on: bool,
    terms: BTreeMap<RouterId, Term>,
    /// Additions under way: where to.
    adding: BTreeMap<OpId, (u32, IpCidr)>,
    /// Addresses that were there before we asked for them and are not of our making, as the owner's own: they are
    /// never leased. Bounded by the plan.
    foreign: BTreeSet<(u32, IpCidr)>,
}

/// The numbers of one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    period: Duration,
    valid: u32,
    asked_at: Option<Instant>,
    /// No lease is older, and so long each was.
    renewed_at: Option<Instant>,
    given: u32,
}

impl Term {
    /// The address shall survive every silence that the peers survive, and no more than the kernel's second of any
    /// other: their patience and the margin, counted from an advertisement, in whole seconds. Where advertisements
    /// are more frequent than renewals, the last renewal may be older than the last advertisement.
    fn of(interval: Duration, patience: Duration, shortest: Duration) -> Term {
        let period = interval.max(shortest);
        let valid = whole_seconds(patience + MARGIN + (period - interval));
        Term { period, valid, asked_at: None, renewed_at: None, given: valid }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.asked_at.is_none_or(|at| now + EARLY >= at + self.period)
    }

    /// Has the kernel taken the addresses by now, or is it about to?
    fn has_run_out(&self, now: Instant) -> bool {
        let length = Duration::from_secs(self.given.into()).saturating_sub(EARLY);
        self.renewed_at.is_some_and(|at| now >= at + length)
    }
}

impl Leases {
    /// A plan came into force. What is held is renewed at once where leases are new or of another length, and made
    /// permanent where they end.
    pub fn follow(&mut self, on: bool, core: &Core, now: Instant) -> Vec<Renewal> {
        let was_on = std::mem::replace(&mut self.on, on);
        let before = std::mem::take(&mut self.terms);
        if !on {
            return if was_on { self.permanent(core, now) } else { Vec::new() };
        }
        let shortest =
            shortest_period(core.routers().flat_map(Router::addresses).map(|view| view.address.cidr));
        let mut renewals = Vec::new();
        for router in core.routers() {
            let mut term = Term::of(router.plan().interval.duration(), router.plan().patience(), shortest);
            match before.get(&router.id()) {
                Some(old) if old.valid == term.valid && old.period == term.period => term = *old,
                _ => {
                    term.asked_at = Some(now);
                    renewals.extend(self.renewal(router, core, term.valid, now));
                }
            }
            self.terms.insert(router.id(), term);
        }
        renewals
    }

    /// Everything that is held, for ever: what stays without a daemon must not be taken by the kernel.
    pub fn permanent(&self, core: &Core, now: Instant) -> Vec<Renewal> {
        core.routers().filter_map(|router| self.renewal(router, core, Lifetime::FOREVER, now)).collect()
    }

    /// Are there leases?
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The core asks for a change: with which lifetimes, if any, and whether an earlier run left the address there.
    pub fn note(
        &mut self,
        id: OpId,
        op: &AddressOp,
        core: &Core,
        known: &InterfaceTable,
        now: Instant,
    ) -> Option<(Lifetime, bool)> {
        match op {
            AddressOp::Add { interface, cidr, .. } => {
                self.adding.insert(id, (*interface, *cidr));
                let owner = core.owner_of(id)?;
                let term = self.terms.get_mut(&owner)?;
                if !core.router(owner)?.addresses().any(|view| view.installed) {
                    // Its first one: a kernel that is slow enough takes it before it renews it for the first time.
                    (term.renewed_at, term.given) = (Some(now), term.valid);
                }
                let there = known.addresses(*interface).iter().find(|address| address.cidr == *cidr);
                Some((Lifetime::of(op, term.valid, Duration::ZERO), there.is_some_and(is_ours)))
            }
            AddressOp::Remove { interface, cidr, .. } => {
                self.foreign.remove(&(*interface, *cidr));
                None
            }
        }
    }

    /// The kernel answered. What was there already is leased only if it is of our making.
    pub fn answered(&mut self, id: OpId, result: &Result<Outcome, KernelError>, known: &InterfaceTable) {
        let Some(place) = self.adding.remove(&id) else { return };
        self.foreign.remove(&place);
        if *result == Ok(Outcome::WasSo) {
            let is_there = |address: &&KnownAddress| address.cidr == place.1;
            let address = known.addresses(place.0).iter().find(is_there);
            if address.is_some_and(|address| !is_ours(address)) {
                self.foreign.insert(place);
            }
        }
    }

    /// A router's advertisement was sent: its leases, if it is time. Who hands over speaks no more, and holds what it has
    /// until its successor has it: its leases last for so long, from priority 0 on, and from its successor's first word.
    /// Who has yielded renews nothing, and may be Master again with the leases that it has.
    pub fn spoke(&mut self, id: RouterId, core: &Core, now: Instant) -> Option<Renewal> {
        let router = core.router(id).filter(|router| router.state() == State::Master)?;
        let leaves = router.handover().map(|view| view.let_go_at.saturating_duration_since(now));
        let term = self.terms.get_mut(&id).filter(|term| leaves.is_some() || term.is_due(now))?;
        term.asked_at = Some(now);
        term.given = leaves.map_or(0, |rest| whole_seconds(rest + MARGIN)).max(term.valid);
        let valid = term.given;
        self.renewal(router, core, valid, now)
    }

    /// The kernel renewed all leases of a router that were asked for at that moment.
    pub fn renewed(&mut self, id: RouterId, asked_at: Instant) {
        if let Some(term) = self.terms.get_mut(&id) {
            term.renewed_at = Some(asked_at);
        }
    }

    /// Takes those addresses from `events` that the kernel removed because their lease ran out while this process
    /// lived and is Master still: nobody else removed them, and they come back. Router and address, for people.
    pub fn take_expired(
        &mut self,
        events: &mut Vec<Event>,
        core: &Core,
        now: Instant,
    ) -> (Vec<(String, IpCidr)>, Vec<Renewal>) {
        let suspects: BTreeSet<RouterId> =
            self.terms.iter().filter(|(_, term)| term.has_run_out(now)).map(|(id, _)| *id).collect();
        if suspects.is_empty() || !events.iter().any(|event| matches!(event, Event::AddressRemoved { .. })) {
            return (Vec::new(), Vec::new());
        }
        let mut held = BTreeMap::new();
        for router in suspects.iter().filter_map(|id| core.router(*id)) {
            for (op, _) in self.leases(router, core, 0, now) {
                if let AddressOp::Add { interface, cidr, .. } = op {
                    held.insert((interface, cidr), router.plan().name.to_string());
                }
            }
        }
        let mut lost = Vec::new();
        events.retain(|event| {
            let Event::AddressRemoved { index, cidr } = event else { return true };
            let Some(name) = held.get(&(*index, *cidr)) else { return true };
            lost.push((name.clone(), *cidr));
            false
        });
        let mut renewals = Vec::new();
        for id in suspects.into_iter().filter(|_| !lost.is_empty()) {
            if let (Some(term), Some(router)) = (self.terms.get_mut(&id), core.router(id)) {
                term.asked_at = Some(now);
                let valid = term.given;
                renewals.extend(self.renewal(router, core, valid, now));
            }
        }
        (lost, renewals)
    }

    fn renewal(&self, router: &Router, core: &Core, valid: u32, now: Instant) -> Option<Renewal> {
        let leases = self.leases(router, core, valid, now);
        (!leases.is_empty()).then(|| Renewal { router: router.id(), asked_at: now, leases })
    }

    /// All that a Master holds and that is of our making.
    fn leases(&self, router: &Router, core: &Core, valid: u32, now: Instant) -> Vec<(AddressOp, Lifetime)> {
        if router.state() != State::Master {
            return Vec::new();
        }
        let age = now.saturating_duration_since(router.since());
        let held = router.addresses().filter(|view| view.installed).filter_map(|view| {
            let index = core.interface_index(view.interface)?;
            let op = AddressOp::add(index, &view.address.whole());
            (!self.foreign.contains(&(index, view.address.cidr))).then(|| (Lifetime::of(&op, valid, age), op))
        });
        held.map(|(lifetime, op)| (op, lifetime)).collect()
    }
}

/// At least so long, as the kernel counts.
fn whole_seconds(wanted: Duration) -> u32 {
    let seconds = wanted.as_secs() + u64::from(wanted.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(LONGEST_LEASE_SECONDS).min(LONGEST_LEASE_SECONDS)
}

fn shortest_period(addresses: impl Iterator<Item = IpCidr>) -> Duration {
    let count = addresses.filter(|cidr| cidr.family() == AddressFamily::V6).count();
    SHORTEST_PERIOD * u32::try_from(count.div_ceil(IPV6_PER_SECOND)).unwrap_or(u32::MAX).max(1)
}

/// Did a run of ours put it there? Kernels before 5.18 do not say who did: then a short lifetime does.
fn is_ours(address: &KnownAddress) -> bool {
    match address.protocol {
        Some(protocol) => protocol == PROTOCOL,
        None => address.valid.is_some_and(|seconds| seconds <= LONGEST_LEASE_SECONDS),
    }
}

/// What a person reads of leases that ran out.
pub fn expired_sentence(lost: &[(String, IpCidr)]) -> Option<String> {
    let (name, cidr) = lost.first()?;
    let what = match lost.len() {
        1 => cidr.to_string(),
        count => format!("{cidr} and {} more", count - 1),
    };
    let family = if cidr.family() == AddressFamily::V6 { "IPv6 " } else { "" };
    Some(format!(
        "({name}) the kernel took the {family}address {what} back: its lease was not renewed in time, because this \
         process or the kernel was late; putting it back"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{MacAddr, Priority, VirtualRouterId};
    use crate::netlink::{Address, Link};
    use crate::plan::Generation;
    use crate::plan::vrrp::{AddressOptions, RouterKey, RouterPlan, Version, VirtualAddress, VrrpPlan};
    use crate::time::Interval;
    use crate::vrrp::{Action, InterfaceFacts, patience};

    const SECOND: Duration = Duration::from_secs(1);

    fn cidr(last: u8) -> IpCidr {
        IpCidr::new([10, 0, 0, last].into(), 24).expect("24 is at most 32")
    }

    fn router_plan(priority: u8, centiseconds: u16) -> RouterPlan {
        let vrid = VirtualRouterId::new(51).expect("not 0");
        RouterPlan {
            version: Version::V3,
            priority: Priority(priority),
            interval: Interval::from_centiseconds(centiseconds).expect("not 0"),
            addresses: vec![VirtualAddress::new(cidr(100)), VirtualAddress::new(cidr(101))],
            ..RouterPlan::new("a".to_owned(), RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid))
        }
    }

    fn term(plan: &RouterPlan, shortest: Duration) -> Term {
        Term::of(plan.interval.duration(), patience(plan), shortest)
    }

    fn numbers(priority: u8, centiseconds: u16) -> (u128, u32) {
        let term = term(&router_plan(priority, centiseconds), SHORTEST_PERIOD);
        (term.period.as_millis(), term.valid)
    }

    /// Patience and half a second in whole seconds; more where renewals are rarer than advertisements.
    #[test]
    fn a_lease_is_as_long_as_the_patience_of_the_peers() {
        assert_eq!(numbers(150, 100), (1000, 4), "3.41 s and the margin");
        assert_eq!(numbers(100, 100), (1000, 5), "3.61 s and the margin");
        assert_eq!(numbers(255, 100), (1000, 4));
        assert_eq!(numbers(100, 10), (1000, 2), "0.36 s, the margin, and the older renewal");
        assert_eq!(numbers(100, 1), (1000, 2));
        assert_eq!(numbers(100, 1000), (10_000, 37), "36.1 s and the margin");
        let mut patient = router_plan(1, 4095);
        patient.down_timer_adverts = 255;
        assert_eq!(term(&patient, SECOND).valid, LONGEST_LEASE_SECONDS);
    }

    #[test]
    fn many_ipv6_addresses_are_renewed_less_often_and_leased_for_longer() {
        let many = |count: u16| {
            shortest_period(
                (0..count)
                    .map(|n| IpCidr::host(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into())),
            )
        };
        assert_eq!((many(0), many(250), many(1000)), (SECOND, SECOND, SECOND * 4));
        assert_eq!(
            term(&router_plan(150, 100), SECOND * 4).valid,
            7,
            "3.41 s, the margin and three renewals less"
        );
        assert_eq!(shortest_period((0..250).map(cidr)), SECOND);
    }

    #[test]
    fn a_configured_preferred_lifetime_is_not_renewed_with_the_lease() {
        let of = |preferred: Option<u32>, age| {
            let mut address = VirtualAddress::new(IpCidr::new("2001:db8::1".parse().unwrap(), 64).unwrap());
            address.options = AddressOptions { preferred_lifetime: preferred, ..Default::default() };
            Lifetime::of(&AddressOp::add(2, &address), 5, SECOND * age).preferred
        };
        assert_eq!((of(None, 100), of(Some(u32::MAX), 100), of(Some(0), 0)), (5, 5, 0));
        assert_eq!((of(Some(60), 10), of(Some(60), 57), of(Some(60), 61)), (5, 3, 0));
    }

    /// A Master of two addresses whose operations have been answered, and its leases.
    struct Node {
        core: Core,
        leases: Leases,
        known: InterfaceTable,
        now: Instant,
        asked: Vec<Option<(Lifetime, bool)>>,
    }

    impl Node {
        fn new(there: &[Address], outcome: Outcome) -> Node {
            let mut node = Node {
                core: Core::new(),
                leases: Leases::default(),
                known: InterfaceTable::new(),
                now: Instant::ZERO,
                asked: Vec::new(),
            };
            let mac = MacAddr([2, 0, 0, 0, 0, 1]);
            let link = Link {
                index: 2,
                name: "eth0".to_owned(),
                up: true,
                running: true,
                mac,
                mtu: 1500,
                ipv6_forwarding: false,
                kind: None,
                ties: Default::default(),
            };
            node.known.resync(vec![link], there.to_vec(), &mut Vec::new());
            let facts = InterfaceFacts {
                index: 2,
                name: "eth0".to_owned(),
                up: true,
                mac,
                mtu: 1500,
                ipv6_forwarding: false,
                ipv4: vec![[10, 0, 0, 1].into()],
                ipv6_link_local: Vec::new(),
                ipv6_wide: Vec::new(),
            };
            let mut actions = Vec::new();
            node.core.handle(Event::Interface(facts), node.now, &mut actions);
            node.plan(100, true);
            node.now = node.core.next_timeout().expect("a Backup waits");
            node.core.handle_timeout(node.now, &mut actions);
            for action in actions {
                let Action::Kernel(id, op) = action else { continue };
                node.asked.push(node.leases.note(id, &op, &node.core, &node.known, node.now));
                node.leases.answered(id, &Ok(outcome), &node.known);
                node.core.handle(Event::KernelDone { op: id, result: Ok(()) }, node.now, &mut Vec::new());
            }
            node
        }

        fn plan(&mut self, centiseconds: u16, vip_lease: bool) -> Vec<Renewal> {
            let routers = vec![router_plan(150, centiseconds)];
            let plan = VrrpPlan { generation: Generation(1), routers, vip_lease, ..VrrpPlan::default() };
            self.core.handle(Event::Plan(plan), self.now, &mut Vec::new());
            self.leases.follow(vip_lease, &self.core, self.now)
        }

        fn id(&self) -> RouterId {
            self.core.routers().next().expect("there is one").id()
        }

        fn speak(&mut self) -> Option<Renewal> {
            self.leases.spoke(self.id(), &self.core, self.now)
        }
    }

    #[test]
    fn a_handover_has_leases_that_outlast_it() {
        let mut node = Node::new(&[], Outcome::Done);
        let mut plan = VrrpPlan { handover: true, vip_lease: true, ..VrrpPlan::default() };
        // Its skew is longer than its own lease, as that of a slow member of a sync group is.
        plan.routers = vec![RouterPlan { down_timer_adverts: 1, ..router_plan(150, 1000) }];
        node.core.handle(Event::Plan(plan), node.now, &mut Vec::new());
        node.leases.follow(true, &node.core, node.now);
        node.leases.terms.values_mut().for_each(|term| (term.valid, term.given) = (2, 2));
        node.now += Duration::from_millis(300);
        assert!(node.speak().is_none(), "not due");
        let order = Event::Failover { routers: Vec::new(), hold: SECOND };
        node.core.handle(order, node.now, &mut Vec::new());
        assert_eq!(valid(&Vec::from_iter(node.speak())), [11, 11], "9.96 s, 0.3 s and the margin");
        let id = node.id();
        node.leases.renewed(id, node.now);
        node.now += SECOND * 5;
        let mut events = vec![Event::AddressRemoved { index: 2, cidr: cidr(101) }];
        assert_eq!(node.leases.take_expired(&mut events, &node.core, node.now).0, [], "by hand");
    }

    #[test]
    fn what_a_backup_wishes_renews_nothing() {
        let mut node = Node::new(&[], Outcome::Done);
        node.speak();
        let before = node.leases.terms.clone();
        node.now += SECOND;
        let order = Event::Failover { routers: Vec::new(), hold: SECOND };
        node.core.handle(order, node.now, &mut Vec::new());
        assert!(node.speak().is_none());
        assert_eq!(node.leases.terms, before, "it is due when it is Master again");
    }

    /// Each operation takes longer than a lease: no renewal has been answered yet.
    #[test]
    fn the_lease_an_address_comes_with_runs_out_too() {
        let mut node = Node::new(&[], Outcome::Done);
        node.speak();
        node.now += SECOND * 4;
        let mut events = vec![Event::AddressRemoved { index: 2, cidr: cidr(101) }];
        let (lost, renewals) = node.leases.take_expired(&mut events, &node.core, node.now);
        assert_eq!((lost.len(), valid(&renewals)), (1, vec![4, 4]));
    }

    fn valid(renewals: &[Renewal]) -> Vec<u32> {
        renewals.iter().flat_map(|renewal| &renewal.leases).map(|(_, lifetime)| lifetime.valid).collect()
    }

    #[test]
    fn addresses_come_with_a_lease_that_each_advertisement_renews() {
        let mut node = Node::new(&[], Outcome::Done);
        assert_eq!(node.asked, [Some((Lifetime { valid: 4, preferred: 4 }, false)); 2]);
        assert_eq!(node.speak().map(|renewal| renewal.leases.len()), Some(2));
        node.now += Duration::from_millis(500);
        assert!(node.speak().is_none(), "an advertisement out of turn renews nothing");
        node.now += Duration::from_millis(490);
        assert_eq!(node.speak().map(|renewal| renewal.leases.len()), Some(2));
    }

    #[test]
    fn a_reload_renews_at_once_what_changes_and_switching_off_makes_permanent() {
        let mut node = Node::new(&[], Outcome::Done);
        assert!(node.plan(100, true).is_empty(), "nothing changed");
        assert_eq!(valid(&node.plan(1000, true)), [35, 35]);
        assert_eq!(valid(&node.plan(1000, false)), [Lifetime::FOREVER; 2]);
        assert!(node.speak().is_none());
        assert!(node.plan(1000, false).is_empty());
        assert_eq!(valid(&node.plan(100, true)), [4, 4]);
        assert_eq!(valid(&node.leases.permanent(&node.core, node.now)), [Lifetime::FOREVER; 2]);
    }

    #[test]
    fn what_was_there_is_leased_only_if_it_is_of_our_making() {
        let there = |protocol, valid| {
            [100, 101].map(|last| Address {
                interface: 2,
                cidr: cidr(last),
                peer: None,
                flags: 0,
                scope: 0,
                protocol,
                label: None,
                valid,
            })
        };
        let leased = |there: &[Address]| Node::new(there, Outcome::WasSo).speak().map(|all| all.leases.len());
        assert_eq!(leased(&there(Some(18), None)), Some(2), "left by an earlier run");
        assert_eq!(leased(&there(None, Some(3))), Some(2), "the same on a kernel that does not name it");
        assert_eq!(leased(&there(None, None)), None, "the owner's own address");
        assert_eq!(leased(&there(Some(3), Some(3))), None, "somebody else's");
        assert_eq!(leased(&there(None, Some(86_400))), None, "from a DHCP server");
    }

    #[test]
    fn a_lease_that_ran_out_is_told_from_a_removal_by_hand() {
        let removed = || Event::AddressRemoved { index: 2, cidr: cidr(101) };
        let mut node = Node::new(&[], Outcome::Done);
        let id = node.id();
        node.leases.renewed(id, node.now);
        node.now += SECOND * 3;
        let mut events = vec![removed()];
        let (lost, renewals) = node.leases.take_expired(&mut events, &node.core, node.now);
        assert_eq!((lost.len(), renewals.len(), events.len()), (0, 0, 1), "by hand: the core's affair");
        node.now += SECOND;
        let (lost, renewals) = node.leases.take_expired(&mut events, &node.core, node.now);
        assert_eq!(lost, [("a".to_owned(), cidr(101))]);
        assert_eq!(valid(&renewals), [4, 4]);
        assert!(events.is_empty());
        assert!(expired_sentence(&lost).is_some_and(|sentence| sentence.contains("10.0.0.101/24 back")));
        assert_eq!(expired_sentence(&[]), None);
    }
}
