//! What a router needs and what moves its priority: interfaces and a source address.

use super::context::Context;
use super::event::{LogLevel, TransitionCause};
use super::interfaces::Interfaces;
use super::router::Router;
use super::state::Phase;
use crate::net::{AddressFamily, Priority};
use crate::plan::vrrp::{RouterPlan, TrackedInterface, Transport};
use std::net::IpAddr;

/// What the surroundings say about a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    /// Index of the router's interface.
    pub link: Option<u32>,
    /// Address to send from.
    pub source: Option<IpAddr>,
    /// Effective priority.
    pub priority: Priority,
    /// Why it cannot take part, a sentence each; empty if it can.
    pub faults: Vec<String>,
}

impl Outlook {
    /// Look around.
    pub fn of(plan: &RouterPlan, interfaces: &Interfaces) -> Outlook {
        let own = interfaces.get(&plan.key.interface);
        let source = match plan.transport {
            Transport::Multicast { source: Some(source), .. }
            | Transport::Unicast { source: Some(source), .. } => Some(source),
            _ => own.and_then(|interface| interface.source(plan.key.family)),
        };
        let mut faults = Vec::new();
        let name = &plan.key.interface;
        match own {
            None => faults.push(format!("interface {name} does not exist")),
            Some(interface) if plan.track_primary && !interface.up => {
                faults.push(format!("interface {name} is down"));
            }
            Some(_) if source.is_none() => faults.push(no_source(plan)),
            Some(_) => {}
        }
        faults.extend(address_faults(plan, interfaces));
        faults.extend(plan.track_interfaces.iter().filter_map(|tracked| tracker_fault(tracked, interfaces)));
        Outlook {
            link: own.map(|interface| interface.index),
            source,
            priority: effective_priority(plan, interfaces),
            faults,
        }
    }
}

impl Router {
    /// Something around the router changed: look again and act on the difference.
    pub(super) fn reevaluate(&mut self, ctx: &mut Context) {
        let seen = Outlook::of(&self.plan, ctx.interfaces);
        if (seen.link, seen.source) != (self.link, self.source) {
            self.frames.clear();
            self.link = seen.link;
            self.source = seen.source;
        }
        if seen.priority != self.priority {
            self.change_priority(seen.priority, ctx);
        }
        match (&self.phase, seen.faults.is_empty()) {
            (Phase::Fault, true) => self.recover(ctx),
            (Phase::Fault, false) if seen.faults != self.faults => {
                let reasons = seen.faults.join("; ");
                ctx.log(LogLevel::Warning, format!("({}) still in FAULT: {reasons}", self.plan.name));
                self.cause = TransitionCause::Fault(seen.faults.clone());
                self.faults = seen.faults;
            }
            (Phase::Backup(_) | Phase::Master(_), false) => self.fail(seen.faults, ctx),
            (Phase::Initialize | Phase::Backup(_) | Phase::Master(_) | Phase::Fault, _) => {}
        }
    }

    /// keepalived recomputes a Backup's timer in place; a Master just says the new number from now on.
    fn change_priority(&mut self, priority: Priority, ctx: &mut Context) {
        let before = std::mem::replace(&mut self.priority, priority);
        self.frames.clear();
        let timing = self.timing();
        if let Phase::Backup(backup) = &mut self.phase {
            backup.recompute(timing);
        }
        if self.phase != Phase::Initialize {
            let name = &self.plan.name;
            ctx.log(
                LogLevel::Info,
                format!("({name}) effective priority changes from {before} to {priority}"),
            );
        }
    }
}

/// keepalived's arithmetic: base plus contributions, kept in 1..=254; an owner never changes.
fn effective_priority(plan: &RouterPlan, interfaces: &Interfaces) -> Priority {
    if plan.priority.is_owner() {
        return plan.priority;
    }
    let total = plan
        .track_interfaces
        .iter()
        .map(|tracked| contribution(tracked, is_up(&tracked.interface, interfaces)))
        .fold(i32::from(plan.priority.0), i32::saturating_add);
    Priority(u8::try_from(total.clamp(1, 254)).expect("it was brought into 1..=254"))
}

/// Up adds a positive weight, down a negative one; `reverse` negates what is added.
fn contribution(tracked: &TrackedInterface, up: bool) -> i32 {
    let weight = i32::from(tracked.weight);
    let added = if up { weight.max(0) } else { weight.min(0) };
    if tracked.reverse { -added } else { added }
}

/// A tracker of weight 0 is a condition: up, or with `reverse` down.
fn tracker_fault(tracked: &TrackedInterface, interfaces: &Interfaces) -> Option<String> {
    let name = &tracked.interface;
    if tracked.weight != 0 || is_up(name, interfaces) != tracked.reverse {
        return None;
    }
    Some(if tracked.reverse {
        format!("tracked interface {name} is up (tracked in reverse)")
    } else if interfaces.get(name).is_none() {
        format!("tracked interface {name} does not exist")
    } else {
        format!("tracked interface {name} is down")
    })
}

/// Interfaces that hold virtual addresses are needed as much as the router's own.
fn address_faults(plan: &RouterPlan, interfaces: &Interfaces) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for address in plan.addresses.iter().chain(&plan.excluded_addresses) {
        let Some(name) = address.interface.as_ref().filter(|name| **name != plan.key.interface) else {
            continue;
        };
        if seen.contains(&name) || is_up(name, interfaces) {
            continue;
        }
        seen.push(name);
        let trouble = if interfaces.get(name).is_none() { "does not exist" } else { "is down" };
        faults.push(format!("interface {name}, which is to hold {}, {trouble}", address.cidr));
    }
    faults
}

fn no_source(plan: &RouterPlan) -> String {
    let name = &plan.key.interface;
    match plan.key.family {
        AddressFamily::V4 => format!("interface {name} has no IPv4 address to send from"),
        AddressFamily::V6 => format!("interface {name} has no IPv6 link-local address to send from"),
    }
}

fn is_up(name: &str, interfaces: &Interfaces) -> bool {
    interfaces.get(name).is_some_and(|interface| interface.up)
}
