//! IPv6 addresses that the kernel has taken and does not answer for yet.
//!
//! It acknowledges an address that needs no duplicate address detection before it has a local route to it: that comes from a
//! work queue (addrconf), 0.1 ms later on an idle machine, 2 to 36 ms beside four busy processes on two processors. Who
//! announces the address in between takes clients to a node that drops their packets. So an addition is done when its local
//! route is there, which the kernel tells of.

use super::routes::KernelChange;
use crate::netlink::monitor::{Monitor, MonitorEvent};
use crate::sys::clock::monotonic_now;
use crate::time::Instant;
use crate::vrrp::{AddressOp, OpId};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// An address is as good as there after this long, whatever the kernel says. A predecessor that hands over keeps it for
/// [`crate::vrrp::ANNOUNCING`], which is longer.
const LIMIT: Duration = Duration::from_millis(200);

/// One look at the news waits so long at most: other work comes in between.
const GLANCE: Duration = Duration::from_millis(1);

/// An address on an interface.
pub type Place = (u32, Ipv6Addr);

/// Where the kernel will tell that it answers, if this change is done.
pub fn place(change: &KernelChange) -> Option<Place> {
    let (KernelChange::Address(op) | KernelChange::Leased(op, _)) = change else { return None };
    match op {
        AddressOp::Add { interface, cidr, options, .. } if !options.detect_duplicates => match cidr.address()
        {
            IpAddr::V6(address) => Some((*interface, address)),
            IpAddr::V4(_) => None,
        },
        _ => None,
    }
}

/// Additions that are not done before the kernel answers. Bounded by the plan.
pub struct Unanswered {
    limit: Duration,
    /// Open from before an addition is sent until nothing is waited for.
    news: Option<Monitor>,
    waiting: Vec<(OpId, Place, Instant)>,
}

impl Default for Unanswered {
    fn default() -> Unanswered {
        Unanswered::new(LIMIT)
    }
}

impl Unanswered {
    /// Waits for each address so long at most.
    pub fn new(limit: Duration) -> Unanswered {
        Unanswered { limit, news: None, waiting: Vec::new() }
    }

    /// Is nothing waited for?
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Before changes are sent: begin to listen if one of them needs it.
    pub fn listen_for(&mut self, changes: &[KernelChange]) {
        if self.news.is_none() && changes.iter().any(|change| place(change).is_some()) {
            // Without it the kernel's acknowledgement has to do.
            self.news = Monitor::of_local_routes().ok();
        }
    }

    /// The kernel has taken the address. False if nothing will be heard of it: it is done now.
    pub fn expect(&mut self, op: OpId, place: Place) -> bool {
        if self.news.is_none() {
            return false;
        }
        self.waiting.push((op, place, monotonic_now() + self.limit));
        true
    }

    /// After changes are judged: nothing is heard, and nothing piles up, if nothing is waited for.
    pub fn rest(&mut self) {
        if self.waiting.is_empty() {
            self.news = None;
        }
    }

    /// Which of them are done now. Waits a moment for news if there are none.
    pub fn settle(&mut self) -> Vec<OpId> {
        let Some(news) = &mut self.news else { return Vec::new() };
        let mut events = Vec::new();
        let whole = news.wait(GLANCE).is_ok()
            && news.read(&mut events).is_ok()
            && !events.contains(&MonitorEvent::Overrun);
        let now = monotonic_now();
        let answering: BTreeSet<Place> = events.iter().filter_map(answering).collect();
        let settled = |(_, place, until): &mut (OpId, Place, Instant)| {
            !whole || *until <= now || answering.contains(place)
        };
        let done = self.waiting.extract_if(.., settled).map(|(op, ..)| op).collect();
        self.rest();
        done
    }
}

fn answering(event: &MonitorEvent) -> Option<Place> {
    match event {
        MonitorEvent::Answers { interface, address } => Some((*interface, *address)),
        _ => None,
    }
}
