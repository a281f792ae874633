//! A router's routes and rules: there while it is Master, after its addresses; gone before them.

use super::context::Context;
use super::event::{LogLevel, RoutingGone, TransitionCause};
use super::held::{HeldView, Loss};
use super::interfaces::Interfaces;
use super::kept::KeptPlan;
use super::router::Router;
use super::state::Phase;
use crate::plan::route::Item;

impl Router {
    /// The routes, then the rules, then those that are leaving.
    pub fn routing(&self) -> impl Iterator<Item = HeldView<'_>> {
        self.routing.views()
    }

    /// Ask for every route and rule that is not there yet. The kernel does it after the addresses that were asked for.
    //= keepalived M-116
    pub(super) fn install_routing(&mut self, ctx: &mut Context) {
        if let Some(routing) = self.routing.there() {
            routing.install_all(self.id, ctx);
        }
    }

    /// Remove every route and rule that is, or may be, there.
    pub(super) fn withdraw_routing(&mut self, ctx: &mut Context) {
        if let Some(routing) = self.routing.there() {
            routing.withdraw_all(self.id, ctx);
        }
    }

    /// Remove the routes and rules that the new plan no longer has.
    pub(super) fn drop_routing(&mut self, plan: &KeptPlan, ctx: &mut Context) {
        if self.plan.routing != plan.routing
            && let Some(routing) = self.routing.there()
        {
            routing.drop_others(&plan.routing);
            routing.withdraw_dropped(self.id, ctx);
        }
    }

    /// Somebody removed a route or rule. keepalived resigns and lets the election decide, as for an address; with
    /// `no_track` it does nothing (seen with 2.2.7).
    pub(super) fn routing_gone(&mut self, gone: &RoutingGone, ctx: &mut Context) {
        if self.linger_at().is_some() {
            return; // all of them go in a moment
        }
        let Some(routing) = self.routing.there() else { return };
        let Loss::Missing(slot) = routing.gone(gone, self.id, ctx) else { return };
        let Some(held) = self.routing.items.get(slot) else { return };
        let what = held.item.to_string();
        if !matches!(self.phase, Phase::Master(_)) {
            return;
        }
        if held.item.tracked() {
            self.lose_address(TransitionCause::RoutingLost { what }, ctx);
        } else {
            let name = &self.plan.name;
            let sentence = format!("({name}) somebody else removed {what}; it is not tracked and stays away");
            ctx.log(LogLevel::Warning, sentence);
        }
    }

    /// The kernel's news were lost.
    pub(super) fn assure_routing(&mut self, ctx: &mut Context) {
        if matches!(self.phase, Phase::Master(_))
            && let Some(routing) = self.routing.there()
        {
            routing.assure(self.id, ctx);
        }
    }

    /// An interface came up.
    pub(super) fn link_up(&mut self, name: &str, ctx: &mut Context) {
        if matches!(self.phase, Phase::Master(_))
            && self.may_hold()
            && let Some(routing) = self.routing.there()
        {
            routing.link_up(name, self.id, ctx);
        }
    }
}

/// Interfaces of tracked routes and rules are needed as much as the router's own (keepalived 2.2.7: FAULT while one is
/// down). A sentence for each that is missing.
pub(super) fn routing_faults(plan: &KeptPlan, interfaces: &Interfaces) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    // The router's own has been looked at, unless `dont_track_primary` says that it does not matter.
    let mut seen: Vec<&str> = plan.track_primary.then_some(&*plan.key.interface).into_iter().collect();
    for item in plan.routing.iter().filter(|item| item.tracked()) {
        for name in needed(item) {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let trouble = match interfaces.get(name) {
                Some(interface) if interface.up => continue,
                Some(_) => "is down",
                None => "does not exist",
            };
            faults.push(format!("interface {name} of {item} {trouble}"));
        }
    }
    faults
}

/// The interfaces without which a tracked item puts its router into FAULT.
pub(super) fn needed(item: &Item) -> Vec<&str> {
    match item {
        // One of several ways may be down.
        Item::Route(route) if route.multipath => Vec::new(),
        _ => item.interfaces(),
    }
}
