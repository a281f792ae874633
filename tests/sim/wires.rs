//! Between a process and the rest: its kernel's operations and news, the frames it sends and hears.

use super::kernel::own_address;
use super::model;
use super::node::{Process, SOCKET_BUFFER};
use super::telling::hex;
use super::world::{NEWS_DELAY, What, World};
use holdfast::net::AddressFamily;
use holdfast::vrrp::{AddressOp, Event, Frame, OpId, Received, RouterId};
use std::net::IpAddr;

impl World {
    pub(super) fn perform(&mut self, node: usize, incarnation: u32, op: OpId, body: &AddressOp) {
        let living = self.nodes[node].incarnation == incarnation;
        // Of what a dead process asked for, only what had reached the kernel is done.
        if !living && self.kernels.chance(50) {
            return;
        }
        let outcome = self.nodes[node].kernel.perform(&mut self.kernels, body);
        self.trace.line(
            self.now,
            &format!("n{node} kernel {body:?}: {}", if outcome.result.is_ok() { "done" } else { "failed" }),
        );
        if !living {
            self.nodes[node].note_orphan(body);
        }
        if let (Some(_), AddressOp::Add { cidr, .. }) = (outcome.changed, body) {
            self.nodes[node].announced.insert(cidr.address(), 0);
        }
        if outcome.result.is_ok() && living {
            self.lease_added(node, op, body);
        }
        if let Some((index, cidr)) = outcome.removed {
            self.tell(node, Event::AddressRemoved { index, cidr });
        }
        if let Some(at) = outcome.changed {
            self.tell_facts(node, at);
        }
        if living {
            self.nodes[node].awry |= outcome.result.is_err();
            self.nodes[node].may_try_again |= outcome.result.is_err();
            self.nodes[node].operations -= 1;
            // The answer comes after the news it caused: the driver reads its monitor first.
            self.tell(node, Event::KernelDone { op, result: outcome.result });
            self.leave_if_done(node);
        }
    }

    /// The kernel is to answer nothing about some addresses: another thread than that of the addresses asks it, and it
    /// may refuse, or take its time.
    pub(super) fn be_silent(&mut self, node: usize, router: RouterId) {
        let kernel = &self.nodes[node].kernel;
        let (failing, stall) = (kernel.failing, kernel.stall);
        let done = !self.kernels.chance(failing);
        let at = self.now + self.kernels.between(20_000, NEWS_DELAY) + stall;
        let incarnation = self.nodes[node].incarnation;
        self.schedule(at, What::Silenced { node, incarnation, router, done });
    }

    /// News for the process, after those that are under way.
    pub fn tell(&mut self, node: usize, event: Event) {
        if self.nodes[node].process == Process::Dead {
            return;
        }
        let delay = self.kernels.between(10_000, NEWS_DELAY);
        let it = &mut self.nodes[node];
        it.news_until = it.news_until.max(self.now + delay);
        it.news_under_way += 1;
        let (at, incarnation) = (it.news_until, it.incarnation);
        self.schedule(at, What::News { node, incarnation, event });
    }

    /// What the kernel says about an interface.
    pub fn tell_facts(&mut self, node: usize, at: usize) {
        let interface = &self.nodes[node].kernel.interfaces[at];
        if interface.exists {
            let facts = interface.facts();
            self.tell(node, Event::Interface(facts));
        }
    }

    pub(super) fn transmit(&mut self, node: usize, frame: &Frame) {
        let index = match frame {
            Frame::Advertisement { interface, .. }
            | Frame::Sealed { interface, .. }
            | Frame::Ethernet { interface, .. } => *interface,
        };
        let Some(at) = self.nodes[node].kernel.by_index(index) else {
            // Fair while the process has not heard yet that the interface went.
            if !self.nodes[node].has_news() {
                self.fail(format!("n{node}: a frame for interface {index}, which does not exist"));
            }
            return;
        };
        if !self.nodes[node].kernel.interfaces[at].works() {
            return;
        }
        let Frame::Advertisement { source, destination, bytes, .. } = frame else {
            return self.announce(node, frame);
        };
        let lan = self.nodes[node].kernel.interfaces[at].lan;
        let family = AddressFamily::of(*destination);
        let only = (*destination != family.vrrp_group()).then(|| self.who_has(lan, *destination));
        if only == Some(None) {
            return self.fail(format!("n{node}: an advertisement to {destination}, which is nobody"));
        }
        for arrival in self.network.send(&mut self.packets, self.now, lan, node, only.flatten()) {
            let mut bytes = bytes.clone();
            if let Some(bit) = arrival.corrupt {
                let bit = bit as usize % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let interface = self.nodes[arrival.to].kernel.interfaces[lan].index;
            let received =
                Received { interface, source: *source, destination: *destination, hop_limit: 255, bytes };
            self.schedule(arrival.at, What::Packet { to: arrival.to, received });
        }
    }

    fn announce(&mut self, node: usize, frame: &Frame) {
        let Frame::Ethernet { bytes, .. } = frame else { return };
        match model::announced(bytes) {
            Some(address) => *self.nodes[node].announced.entry(address).or_default() += 1,
            None => self.fail(format!("n{node}: announces nothing: {}", hex(bytes))),
        }
    }

    fn who_has(&self, lan: usize, address: IpAddr) -> Option<usize> {
        (0..self.nodes.len()).find(|node| own_address(*node, lan, AddressFamily::of(address)) == address)
    }

    pub(super) fn arrive(&mut self, to: usize, received: Received) {
        let node = &mut self.nodes[to];
        let up =
            node.kernel.by_index(received.interface).is_some_and(|at| node.kernel.interfaces[at].works());
        if node.process != Process::Dead && up && node.inbox.len() < SOCKET_BUFFER {
            self.hand_over(to, Event::Advertisement(received));
        }
    }
}
