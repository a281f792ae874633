//! Any sequence of events whatever: no panic, and the promises of the core hold after each.

use super::testing::{ABOVE, BELOW, advert, facts, plan, router_plan, vip};
use super::{
    Action, AddressOp, ClaimOrder, Command, Core, Event, KernelError, OpId, Received, RouterId, State,
};
use crate::net::{IpCidr, Priority};
use crate::plan::vrrp::{ClaimPlan, RouterPlan, TrackedInterface, VirtualAddress, VrrpPlan};
use crate::time::{Instant, Interval};
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Feed(Box<Event>),
    /// Time passes; every deadline on the way is dealt with.
    Pass(Duration),
    /// Time passes unnoticed, then one timeout.
    Stall(Duration),
    /// The kernel deals with that many of the waiting operations, and may refuse the last of them.
    Kernel(usize, bool),
    /// Somebody removes one of our addresses.
    Steal(u8),
    /// The claim script ends, well or not.
    Claimed(bool),
}

fn feed(event: Event) -> Step {
    Step::Feed(Box::new(event))
}

/// A core, a kernel with a queue, and what it holds.
struct World {
    core: Core,
    now: Instant,
    queue: VecDeque<(OpId, AddressOp)>,
    /// Who is to be silent.
    silences: VecDeque<RouterId>,
    held: BTreeSet<(u32, IpCidr)>,
    /// Operations at the head of the queue whose interface is gone.
    in_vain: usize,
    stopped: u32,
    /// The claim script that runs.
    claim: Option<ClaimOrder>,
}

impl World {
    fn new() -> World {
        World {
            core: Core::new(),
            now: Instant(1_000_000_000),
            queue: VecDeque::new(),
            silences: VecDeque::new(),
            held: BTreeSet::new(),
            in_vain: 0,
            stopped: 0,
            claim: None,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Feed(event) => self.feed((**event).clone()),
            Step::Pass(by) => {
                let end = self.now + *by;
                while let Some(at) = self.core.next_timeout().filter(|at| *at <= end) {
                    self.now = self.now.max(at);
                    self.timeout();
                }
                self.now = end;
            }
            Step::Stall(by) => {
                self.now += *by;
                self.timeout();
            }
            Step::Kernel(count, refuse) => {
                for left in (0..*count).rev() {
                    self.kernel(*refuse && left == 0);
                }
            }
            Step::Claimed(well) => {
                if let Some(ClaimOrder { router, claim, .. }) = self.claim.take() {
                    let result = if *well { Ok(()) } else { Err("exit status 1".to_owned()) };
                    self.feed(Event::Claimed { router, claim, result });
                }
            }
            Step::Steal(last) => {
                if self.held.remove(&(2, vip(*last).cidr)) {
                    self.feed(Event::AddressRemoved { index: 2, cidr: vip(*last).cidr });
                }
            }
        }
    }

    fn feed(&mut self, event: Event) {
        if matches!(event, Event::InterfaceGone { index: 2 }) {
            // Whatever was asked of an interface that is gone fails, also if another takes its place.
            self.held.clear();
            self.in_vain = self.queue.len();
        }
        let mut actions = Vec::new();
        self.core.handle(event, self.now, &mut actions);
        self.perform(actions);
    }

    fn timeout(&mut self) {
        let mut actions = Vec::new();
        self.core.handle_timeout(self.now, &mut actions);
        assert!(self.core.next_timeout().is_none_or(|at| at > self.now), "a deadline was left behind");
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Kernel(op, order) => self.queue.push_back((op, order)),
                Action::Routing(..) => unreachable!("the plans of a storm have no routes"),
                Action::Stopped => self.stopped += 1,
                Action::Claim(order) => {
                    let before = self.claim.replace(order);
                    assert!(before.is_none(), "two claims at once");
                }
                Action::Unclaim(claim) => {
                    let before = self.claim.take();
                    assert_eq!(before.map(|order| order.claim), Some(claim));
                }
                Action::Silence { router, addresses } if !addresses.is_empty() => {
                    self.silences.push_back(router);
                }
                Action::Transmit(..)
                | Action::Notify(_)
                | Action::News(_)
                | Action::Silence { .. }
                | Action::Log(..) => {
                    assert!(self.stopped == 0, "the core acts after its end: {action:?}");
                }
            }
        }
    }

    fn kernel(&mut self, refuse: bool) {
        if let Some(router) = self.silences.pop_front() {
            self.feed(Event::Silenced { router, done: !refuse });
        }
        let Some((op, order)) = self.queue.pop_front() else { return };
        let in_vain = self.in_vain > 0;
        self.in_vain = self.in_vain.saturating_sub(1);
        let result = if in_vain {
            Err(KernelError { errno: 19, message: "no such device".to_owned() })
        } else if refuse {
            Err(KernelError { errno: 12, message: "no memory".to_owned() })
        } else {
            match order {
                AddressOp::Add { interface, cidr, .. } => self.held.insert((interface, cidr)),
                AddressOp::Remove { interface, cidr, .. } => self.held.remove(&(interface, cidr)),
            };
            Ok(())
        };
        self.feed(Event::KernelDone { op, result });
    }

    /// Once the kernel is done and nothing is to be tried again: an address is there if and only if its
    /// router is Master.
    fn check_addresses(&self) {
        for router in self.core.routers() {
            let master = router.state() == State::Master;
            for view in router.addresses() {
                let there = self.held.contains(&(2, view.address.cidr));
                assert_eq!(there, master, "{} in {:?}", view.address.cidr, router.state());
                assert_eq!(view.installed, master);
            }
        }
    }
}

fn any_plan() -> impl Strategy<Value = Event> {
    let router = (
        1..=255u8,
        1..=300u16,
        proptest::collection::btree_set(100..104u8, 0..4),
        any::<[bool; 4]>(),
        0..3u64,
        -40..40i16,
    );
    router.prop_map(|(priority, centiseconds, vips, flags, delay, weight)| {
        let [none, preempt, answer_higher_priority, tracks] = flags;
        let mut router: RouterPlan = router_plan(priority);
        router.priority = Priority(priority);
        router.interval = Interval::from_centiseconds(centiseconds).expect("not 0");
        let label = answer_higher_priority.then(|| "eth0:ha".to_owned());
        router.addresses =
            vips.into_iter().map(|last| VirtualAddress { label: label.clone(), ..vip(last) }).collect();
        router.preempt = preempt;
        router.preempt_delay = Duration::from_secs(delay);
        router.answer_higher_priority = answer_higher_priority;
        router.announce.delay = Duration::from_secs(delay);
        router.announce.refresh = (delay == 1).then_some(Duration::from_secs(3));
        router.claim = (priority % 8 == 0).then_some(ClaimPlan { timeout: Duration::from_secs(2) });
        if tracks {
            let interface = "eth1".to_owned();
            router.track_interfaces = vec![TrackedInterface { interface, weight, reverse: preempt }];
        }
        let handover = priority % 2 == 0;
        match plan(if none && priority % 4 == 0 { vec![] } else { vec![router] }) {
            Event::Plan(plan) => Event::Plan(VrrpPlan { handover, ..plan }),
            other => other,
        }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let priorities = prop_oneof![Just(0u8), any::<u8>()];
    let adverts = (priorities, any::<bool>())
        .prop_map(|(priority, above)| advert(priority, if above { ABOVE } else { BELOW }));
    let garbage = proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
        Event::Advertisement(Received {
            interface: 2,
            source: IpAddr::V4(ABOVE),
            destination: IpAddr::V4(super::testing::GROUP),
            hop_limit: 255,
            bytes,
        })
    });
    let links = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(up, addressed, other)| {
        let mut facts = facts(up);
        if !addressed {
            facts.ipv4.clear();
        }
        if other {
            facts.index = 3;
            facts.name = "eth1".to_owned();
        }
        Event::Interface(facts)
    });
    let gone = Just(Event::InterfaceGone { index: 2 });
    let time = (0..6_000u64).prop_map(Duration::from_millis);
    prop_oneof![
        6 => adverts.prop_map(feed),
        1 => garbage.prop_map(feed),
        2 => links.prop_map(feed),
        1 => gone.prop_map(feed),
        2 => any_plan().prop_map(feed),
        6 => time.clone().prop_map(Step::Pass),
        1 => time.prop_map(Step::Stall),
        4 => (1..5usize, any::<bool>()).prop_map(|(count, refuse)| Step::Kernel(count, refuse)),
        1 => (100..104u8).prop_map(Step::Steal),
        1 => any::<bool>().prop_map(Step::Claimed),
    ]
}

/// An address gets a label, loses it and gets it back while the kernel is slow, and the last removal is refused.
#[test]
fn an_address_that_two_shapes_share_does_not_stay_when_neither_holds_it() {
    let shaped = |label: Option<&str>| {
        let mut router = router_plan(255);
        router.addresses = vec![VirtualAddress { label: label.map(str::to_owned), ..vip(101) }];
        plan(vec![router])
    };
    let mut world = World::new();
    world.feed(Event::Interface(facts(true)));
    world.feed(shaped(Some("eth0:ha")));
    world.step(&Step::Kernel(1, false));
    assert!(world.held.contains(&(2, vip(101).cidr)));
    world.feed(Event::Interface(facts(false)));
    world.feed(shaped(None));
    world.feed(Event::Interface(facts(true)));
    world.feed(Event::Interface(facts(false)));
    world.feed(shaped(Some("eth0:ha")));
    world.step(&Step::Kernel(world.queue.len(), true));
    for _ in 0..2 {
        world.step(&Step::Pass(Duration::from_secs(2)));
        world.step(&Step::Kernel(world.queue.len(), false));
    }
    world.check_addresses();
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_hold(
        steps in proptest::collection::vec(any_step(), 1..60),
        end in any::<bool>(),
    ) {
        let mut world = World::new();
        world.feed(Event::Interface(facts(true)));
        world.feed(plan(vec![router_plan(100)]));
        for step in &steps {
            world.step(step);
        }
        if end {
            world.feed(Event::Command(Command::Stop { release: true }));
            // Longer than any handover.
            world.step(&Step::Pass(Duration::from_secs(31)));
            world.step(&Step::Kernel(world.queue.len(), false));
            prop_assert_eq!(world.stopped, 1);
            prop_assert!(world.held.is_empty(), "{:?} left behind", world.held);
            return Ok(());
        }
        // Quiet: retries and answers until nothing is left to do.
        // In steps that are shorter than a claim's time limit, for longer than any pause between two attempts.
        for _ in 0..180 {
            world.step(&Step::Claimed(true));
            world.step(&Step::Kernel(world.queue.len(), false));
            world.step(&Step::Pass(Duration::from_secs(1)));
        }
        world.step(&Step::Claimed(true));
        world.step(&Step::Kernel(world.queue.len(), false));
        world.check_addresses();
    }

    #[test]
    fn the_same_events_give_the_same_actions(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let run = || {
            let mut core = Core::new();
            let mut actions = Vec::new();
            let mut now = Instant(1_000_000_000);
            core.handle(Event::Interface(facts(true)), now, &mut actions);
            for step in &steps {
                match step {
                    Step::Feed(event) => core.handle((**event).clone(), now, &mut actions),
                    Step::Pass(by) | Step::Stall(by) => {
                        now += *by;
                        core.handle_timeout(now, &mut actions);
                    }
                    Step::Kernel(..) | Step::Steal(_) | Step::Claimed(_) => {}
                }
            }
            actions
        };
        prop_assert_eq!(run(), run());
    }
}
