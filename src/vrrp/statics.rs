//! Static addresses, routes and rules: there while the daemon runs, whatever the routers do.

use super::Core;
use super::context::Context;
use super::event::{Action, KernelError, LogLevel, OpId, RouterId, RoutingGone};
use super::held::{HeldList, HeldView, Loss};
use super::router::Router;
use super::vips::VipState;
use crate::net::IpCidr;
use crate::plan::route::Item;
use crate::time::Instant;

/// Owner of the operations on static things; no router gets this number.
pub(super) const STATICS: RouterId = RouterId(u32::MAX);

impl Core {
    /// The static addresses, routes and rules.
    pub fn statics(&self) -> impl Iterator<Item = HeldView<'_>> {
        self.statics.views()
    }

    /// The first plan or a new one: what left goes, the rest is asked for, also what somebody removed meanwhile.
    pub(super) fn adopt_statics(&mut self, plan: &[Item], now: Instant, actions: &mut Vec<Action>) {
        self.with_statics(now, actions, |list, ctx| {
            list.drop_others(plan);
            list.withdraw_dropped(STATICS, ctx);
            list.arrange(plan);
            list.install_all(STATICS, ctx);
        });
    }

    pub(super) fn statics_done(
        &mut self,
        op: OpId,
        slot: usize,
        result: Result<(), KernelError>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.with_statics(now, actions, |list, ctx| {
            list.done(op, slot, result, "static: ", ctx);
        });
    }

    pub(super) fn release_statics(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.with_statics(now, actions, |list, ctx| list.withdraw_all(STATICS, ctx));
    }

    pub(super) fn retry_statics(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.with_statics(now, actions, |list, ctx| list.retry(STATICS, ctx));
    }

    pub(super) fn statics_timeout(&self) -> Option<Instant> {
        self.statics.next_retry()
    }

    /// A route or rule is gone: put it back unless it is not tracked.
    fn static_routing_gone(&mut self, gone: &RoutingGone, now: Instant, actions: &mut Vec<Action>) {
        self.with_statics(now, actions, |list, ctx| {
            let loss = list.gone(gone, STATICS, ctx);
            put_back(list, loss, ctx);
        });
    }

    /// The same for an address.
    pub(super) fn static_address_gone(
        &mut self,
        interface: &str,
        cidr: IpCidr,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.with_statics(now, actions, |list, ctx| {
            let found = list.items.iter().position(|held| match &held.item {
                Item::Address(address) => {
                    held.state == VipState::Installed
                        && address.cidr == cidr
                        && address.interface.as_deref() == Some(interface)
                }
                Item::Route(_) | Item::Rule(_) => false,
            });
            let loss = found.map_or(Loss::None, |slot| list.lost(slot, STATICS, ctx));
            put_back(list, loss, ctx);
        });
    }

    /// A route or rule is gone, of whomever.
    pub(super) fn routing_gone(&mut self, gone: &RoutingGone, now: Instant, actions: &mut Vec<Action>) {
        for id in self.routers_with_routing() {
            self.with_router(id, now, actions, |router, ctx| router.routing_gone(gone, ctx));
        }
        self.static_routing_gone(gone, now, actions);
    }

    /// The kernel's news about routes and rules were lost: what is gone comes back, the rest stays as it is.
    pub(super) fn assure_routing(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for id in self.routers_with_routing() {
            self.with_router(id, now, actions, Router::assure_routing);
        }
        self.with_statics(now, actions, |list, ctx| list.assure(STATICS, ctx));
    }

    /// An interface came up: what the kernel dropped with it comes back.
    pub(super) fn link_up(&mut self, name: &str, now: Instant, actions: &mut Vec<Action>) {
        for id in self.routers_with_routing() {
            self.with_router(id, now, actions, |router, ctx| router.link_up(name, ctx));
        }
        self.with_statics(now, actions, |list, ctx| list.link_up(name, STATICS, ctx));
    }

    fn routers_with_routing(&self) -> Vec<RouterId> {
        let with = self.routers.values().filter(|router| !router.routing.items.is_empty());
        with.map(|router| router.id()).collect()
    }

    fn with_statics(
        &mut self,
        now: Instant,
        actions: &mut Vec<Action>,
        work: impl FnOnce(&mut HeldList, &mut Context),
    ) {
        let (interfaces, operations) = (&self.interfaces, &mut self.operations);
        let (samples, priorities) = (&self.samples, &mut self.priorities);
        let day_offset = self.day_offset;
        let (gaps, heard, asleep) = (&mut self.gaps, &self.heard, self.asleep_until.is_some());
        work(
            &mut self.statics,
            &mut Context {
                now,
                day_offset,
                interfaces,
                samples,
                gaps,
                heard,
                asleep,
                overlaps: self.handover,
                crowded: false,
                operations,
                actions,
                priorities,
            },
        );
    }
}

fn put_back(list: &mut HeldList, loss: Loss, ctx: &mut Context) {
    let Loss::Missing(slot) = loss else { return };
    let Some(held) = list.items.get(slot) else { return };
    let item = &held.item;
    if item.tracked() {
        ctx.log(LogLevel::Warning, format!("somebody else removed the static {item}: put back"));
        list.restore(slot, STATICS, ctx);
    } else {
        let sentence = format!("somebody else removed the static {item}; it is not tracked and stays away");
        ctx.log(LogLevel::Warning, sentence);
    }
}
