//! Routes, rules and static things in scenarios: `10.9.0.0/24@eth1`, `1001`, with `!` at the end when not tracked.

use super::{Outcome, World, cidr, duration, parse};
use holdfast::net::AddressFamily;
use holdfast::plan::route::{Item, NextHop, RoutePlan, RuleAction, RulePlan};
use holdfast::plan::vrrp::{LinkDelay, VirtualAddress};
use holdfast::vrrp::{AddressOp, Event, GoneRoute, RoutingGone, RoutingOp};

/// What the kernel is asked.
pub enum Order {
    Address(AddressOp),
    Routing(RoutingOp),
}

impl Order {
    /// The prefix that `refuse` names.
    pub fn prefix(&self) -> Option<holdfast::net::IpCidr> {
        match self {
            Order::Address(AddressOp::Add { cidr, .. } | AddressOp::Remove { cidr, .. }) => Some(*cidr),
            Order::Routing(RoutingOp { item: Item::Route(route), .. }) => Some(route.destination),
            Order::Routing(_) => None,
        }
    }
}

pub fn show(op: &RoutingOp) -> String {
    let links: Vec<String> = op.links.iter().map(|(name, index)| format!(" {name}={index}")).collect();
    format!("kernel: {} {}{}", if op.add { "add" } else { "remove" }, op.item, links.concat())
}

/// The routes, then the rules.
pub fn items(routes: Option<&str>, rules: Option<&str>) -> Outcome<Vec<Item>> {
    let routes = list(routes).map(route);
    routes.chain(list(rules).map(rule)).collect()
}

pub fn address(text: &str) -> Outcome<Item> {
    let (text, tracked) = tracked(text);
    let (prefix, interface) = text.split_once('@').ok_or("a static address has its interface")?;
    let interface = Some(interface.to_owned());
    Ok(Item::Address(VirtualAddress { interface, tracked, ..VirtualAddress::new(cidr(prefix)?) }))
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter().flat_map(|text| text.split(','))
}

fn tracked(text: &str) -> (&str, bool) {
    text.strip_suffix('!').map_or((text, true), |text| (text, false))
}

fn route(text: &str) -> Outcome<Item> {
    let (text, tracked) = tracked(text);
    let (prefix, interface) = text.split_once('@').map_or((text, None), |(p, i)| (p, Some(i.to_owned())));
    let hops = interface.map(|name| NextHop { interface: Some(name), ..NextHop::default() });
    let hops = hops.into_iter().collect();
    Ok(Item::Route(Box::new(RoutePlan { hops, tracked, ..RoutePlan::new(cidr(prefix)?) })))
}

fn rule(text: &str) -> Outcome<Item> {
    let (text, tracked) = tracked(text);
    let rule = RulePlan::new(AddressFamily::V4, parse(text)?, RuleAction::Table(100));
    Ok(Item::Rule(Box::new(RulePlan { tracked, ..rule })))
}

impl World {
    /// Somebody removed a route (by its destination) or a rule (by its priority).
    pub(super) fn unroute(&self, text: &str) -> Outcome<Event> {
        let Ok(prefix) = cidr(text) else {
            let Item::Rule(rule) = rule(text)? else { return Err("no rule".to_owned()) };
            return Ok(Event::RoutingGone(RoutingGone::Rule(rule)));
        };
        let known = self.plan.routers.iter().flat_map(|router| &router.routing).chain(&self.plan.statics);
        let mut routes = known.into_iter().filter_map(|item| match item {
            Item::Route(route) if route.destination == prefix => Some(route),
            _ => None,
        });
        let route = routes.next_back().ok_or("no such route")?;
        let index = |hop: &NextHop| Some(self.interfaces.get(hop.interface.as_ref()?)?.index);
        let gone = GoneRoute {
            destination: prefix,
            source: None,
            kind: route.kind,
            table: route.table,
            protocol: route.protocol,
            tos: 0,
            metric: 0,
            hops: route.hops.iter().map(|hop| (hop.gateway, index(hop))).collect(),
        };
        Ok(Event::RoutingGone(RoutingGone::Route(Box::new(gone))))
    }
}

/// `eth0 500ms 200ms`: down, then up.
pub fn link_delay(words: &[&str]) -> Outcome<LinkDelay> {
    let [interface, down, up] = words else { return Err("delay INTERFACE DOWN UP".to_owned()) };
    Ok(LinkDelay { interface: (*interface).to_owned(), down: duration(down)?, up: duration(up)? })
}
