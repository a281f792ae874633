//! Routes and rules in the vrrp role: changes for the worker, and the news of what is gone.

use crate::netlink::Lifetime;
use crate::netlink::monitor::{Monitor, MonitorEvent};
use crate::netlink::route::Change;
use crate::plan::route::Item;
use crate::plan::vrrp::VrrpPlan;
use crate::sys::poll::{Interest, Poller};
use crate::vrrp::{AddressOp, Event, RoutingOp};
use std::io;

/// The poller's token of the news.
pub const ROUTING: u64 = 8;

/// Something for the kernel worker. Addresses, routes and rules share one queue: a route comes after the address that
/// it is reached from, and goes before it.
pub enum KernelChange {
    /// An address.
    Address(AddressOp),
    /// An address to be added that the kernel removes by itself unless the lease is renewed.
    Leased(AddressOp, Lifetime),
    /// The lease of an address is renewed.
    Renewed(AddressOp, Lifetime),
    /// A route or rule.
    Routing(RoutingOp),
}

impl KernelChange {
    /// As the socket takes it.
    pub fn borrow(&self) -> Change<'_> {
        match self {
            KernelChange::Address(op) => Change::Address(op),
            KernelChange::Leased(op, lifetime) => Change::Leased(op, *lifetime),
            KernelChange::Renewed(op, lifetime) => Change::Renewed(op, *lifetime),
            KernelChange::Routing(op) => Change::Routing(op),
        }
    }
}

/// Watches routes and rules for as long as a plan has some: on a node with a full table the news are many.
#[derive(Default)]
pub struct RoutingWatch {
    monitor: Option<Monitor>,
}

impl RoutingWatch {
    /// Begin or end watching as `plan` needs it.
    pub fn follow(&mut self, plan: &VrrpPlan, poller: &Poller) -> io::Result<()> {
        let items = plan.routers.iter().flat_map(|router| &router.routing).chain(&plan.statics);
        let needed = items.into_iter().any(|item| !matches!(item, Item::Address(_)));
        match (&self.monitor, needed) {
            (None, true) => {
                let monitor = Monitor::of_routing().map_err(io::Error::other)?;
                poller.add(&monitor, ROUTING, Interest::Read)?;
                self.monitor = Some(monitor);
            }
            (Some(monitor), false) => {
                poller.delete(monitor)?;
                self.monitor = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// What is gone since the last call.
    pub fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let Some(monitor) = &mut self.monitor else { return Ok(()) };
        let mut news = Vec::new();
        monitor.read(&mut news).map_err(io::Error::other)?;
        events.extend(news.into_iter().filter_map(|event| match event {
            MonitorEvent::RoutingGone(gone) => Some(Event::RoutingGone(gone)),
            MonitorEvent::Overrun => {
                tracing::warn!("the kernel's news about routes were lost; asking for all of ours again");
                Some(Event::RoutingUncertain)
            }
            _ => None,
        }));
        Ok(())
    }
}
