//! Two nodes whose sync groups meet on two LANs: one of the two must come out as Master of everything, and stay it.

use super::testing::{facts, plan, router_plan};
use super::{Action, Core, Event, Frame, InterfaceFacts, Received, State};
use crate::net::{Priority, VirtualRouterId};
use crate::plan::vrrp::{RouterPlan, SyncGroupPlan};
use crate::time::Instant;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Two cores with clocks that agree to the nanosecond, and LANs that take no time: the worst case for a tie.
struct Meeting {
    nodes: [Core; 2],
    now: Instant,
    takeovers: usize,
}

fn member(number: u8, priority: u8) -> RouterPlan {
    let mut router = router_plan(priority);
    router.name = format!("m{number}");
    router.key.interface = format!("eth{number}");
    router.key.vrid = VirtualRouterId::new(51 + number).expect("not 0");
    router.priority = Priority(priority);
    router
}

fn interface(node: u8, number: u8) -> InterfaceFacts {
    InterfaceFacts {
        index: 2 + u32::from(number),
        name: format!("eth{number}"),
        ipv4: vec![Ipv4Addr::new(10, 0, number, 1 + node)],
        ..facts(true)
    }
}

impl Meeting {
    fn new(priorities: [[u8; 2]; 2]) -> Meeting {
        let mut it = Meeting { nodes: [Core::new(), Core::new()], now: Instant(1_000_000_000), takeovers: 0 };
        for node in 0..2u8 {
            for number in 0..2 {
                it.feed(node.into(), Event::Interface(interface(node, number)));
            }
            let [first, second] = priorities[usize::from(node)];
            let routers = vec![member(0, first), member(1, second)];
            let Event::Plan(mut plan) = plan(routers) else { unreachable!("plan() makes a plan") };
            plan.groups.push(SyncGroupPlan {
                name: "g".to_owned(),
                members: plan.routers.iter().map(|router| router.key.clone()).collect(),
                track_interfaces: Vec::new(),
                trackers: Vec::new(),
            });
            it.feed(node.into(), Event::Plan(plan));
        }
        it
    }

    fn feed(&mut self, node: usize, event: Event) {
        let mut actions = Vec::new();
        self.nodes[node].handle(event, self.now, &mut actions);
        self.perform(node, actions);
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Transmit(_, Frame::Advertisement { interface, source, destination, bytes, .. }) => {
                    let packet = Received { interface, source, destination, hop_limit: 255, bytes };
                    self.feed(1 - node, Event::Advertisement(packet));
                }
                Action::Kernel(op, _) => self.feed(node, Event::KernelDone { op, result: Ok(()) }),
                Action::Notify(t) if t.to == State::Master => self.takeovers += 1,
                _ => {}
            }
        }
    }

    /// Both nodes handle a moment before either hears of what the other made of it.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let next = self.nodes.iter().filter_map(Core::next_timeout).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = at;
            let mut all = [Vec::new(), Vec::new()];
            for (core, actions) in self.nodes.iter_mut().zip(&mut all) {
                core.handle_timeout(at, actions);
            }
            for (node, actions) in all.into_iter().enumerate() {
                self.perform(node, actions);
            }
        }
        self.now = end;
    }

    fn states(&self) -> [Vec<State>; 2] {
        [0, 1].map(|node: usize| self.nodes[node].routers().map(super::Router::state).collect())
    }
}

#[test]
fn groups_that_are_stronger_on_different_lans_agree_on_one_node() {
    for priorities in [
        [[150, 100], [100, 150]],
        [[100, 150], [150, 100]],
        [[100, 100], [100, 100]],
        [[200, 100], [100, 100]],
    ] {
        let mut meeting = Meeting::new(priorities);
        meeting.run(Duration::from_secs(30));
        let (states, takeovers) = (meeting.states(), meeting.takeovers);
        let mut masters = states.iter().filter(|node| node.iter().all(|state| *state == State::Master));
        assert_eq!(masters.by_ref().count(), 1, "{priorities:?}: {states:?}");
        meeting.run(Duration::from_secs(60));
        assert_eq!((meeting.states(), meeting.takeovers), (states, takeovers), "{priorities:?}");
    }
}
