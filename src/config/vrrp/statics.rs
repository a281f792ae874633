//! Routes and rules of instances, and everything static.

use super::address::static_address;
use super::route::route;
use super::rule::{Preferences, rule};
use crate::config::Diagnostics;
use crate::config::names::Names;
use crate::plan::route::Item;
use crate::plan::vrrp::{RouterPlan, TrackedInterface};
use keepalived_compat::Config;
use keepalived_compat::config::setting::{Setting, Settings as _};

/// What lowering routes and rules needs to know of the whole configuration.
pub(super) struct Routing<'a> {
    names: &'a Names,
    preferences: Preferences,
}

impl<'a> Routing<'a> {
    pub fn new(config: &'a Config, names: &'a Names) -> Routing<'a> {
        let virtuals = config.instances.iter().flat_map(|i| lines(&i.settings.others, "virtual_rules"));
        let rules = lines(&config.others, "static_rules").chain(virtuals);
        Routing { names, preferences: Preferences::new(rules, names) }
    }

    /// `virtual_routes`, then `virtual_rules` of an instance.
    pub fn of_instance(&self, others: &[Setting], out: &mut Diagnostics) -> Vec<Item> {
        let mut items = Vec::new();
        for line in lines(others, "virtual_routes") {
            push(&mut items, self.route(line, out));
        }
        for line in lines(others, "virtual_rules") {
            push(&mut items, self.rule(line, out));
        }
        items
    }

    /// `static_ipaddress`, `static_routes`, `static_rules`. The interfaces of lines with a `track_group` are tracked by
    /// the instances of the group, as in keepalived: they are in FAULT while one is down.
    pub fn statics(&self, config: &Config, routers: &mut [RouterPlan], out: &mut Diagnostics) -> Vec<Item> {
        let default = config.global.others.text("default_interface");
        let mut items = Vec::new();
        for line in lines(&config.others, "static_ipaddress") {
            let item = static_address(line, default, out).map(Item::Address);
            track(config, line, item.as_ref(), routers);
            push(&mut items, item);
        }
        for line in lines(&config.others, "static_routes") {
            let item = self.route(line, out);
            track(config, line, item.as_ref(), routers);
            push(&mut items, item);
        }
        for line in lines(&config.others, "static_rules") {
            let item = self.rule(line, out);
            track(config, line, item.as_ref(), routers);
            push(&mut items, item);
        }
        items
    }

    fn route(&self, line: &Setting, out: &mut Diagnostics) -> Option<Item> {
        route(line, self.names, out).map(|route| Item::Route(Box::new(route)))
    }

    fn rule(&self, line: &Setting, out: &mut Diagnostics) -> Option<Item> {
        rule(line, &self.preferences, self.names, out).map(|rule| Item::Rule(Box::new(rule)))
    }
}

/// The same line twice is one thing in the kernel.
fn push(items: &mut Vec<Item>, item: Option<Item>) {
    items.extend(item.filter(|item| !items.contains(item)));
}

/// The lines of all blocks of that name.
fn lines<'s>(settings: &'s [Setting], block: &'static str) -> impl Iterator<Item = &'s Setting> {
    settings.iter().filter(move |setting| setting.keyword == block).flat_map(|setting| &setting.block)
}

fn track(config: &Config, line: &Setting, item: Option<&Item>, routers: &mut [RouterPlan]) {
    let (Some(group), Some(item)) = (line.block.text("track_group"), item) else { return };
    let groups = config.others.iter().filter(|s| s.keyword == "track_group" && s.name() == Some(group));
    let members: Vec<&str> = groups
        .flat_map(|group| group.block.iter().filter(|s| s.keyword == "group"))
        .flat_map(|list| list.block.iter().filter_map(Setting::name))
        .collect();
    for router in routers.iter_mut().filter(|router| members.contains(&router.name.as_str())) {
        for interface in item.interfaces() {
            let known = router.track_interfaces.iter().any(|t| t.interface == interface && t.weight == 0);
            if !known && interface != router.key.interface {
                let interface = interface.to_owned();
                router.track_interfaces.push(TrackedInterface { interface, weight: 0, reverse: false });
            }
        }
    }
}
