//! Things that are kept in the kernel in order: a router's routes and rules, and everything static. What the kernel was
//! asked, what it answered, when to ask again. One list serves a router, another the whole node.

use super::context::Context;
use super::event::{
    AddressOp, GoneRoute, InterfaceFacts, KernelError, LogLevel, OpId, RouterId, RoutingGone, RoutingOp,
};
use super::interfaces::Interfaces;
use super::sparse::Blank;
use super::vips::{ECHO_WINDOW, RETRY_DOUBLINGS, RETRY_FIRST, VipState};
use crate::net::AddressFamily;
use crate::plan::route::{Item, RoutePlan, RulePlan};
use crate::time::Instant;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// The kernel's metric for an IPv6 route that is given none.
const IPV6_METRIC: u32 = 1024;

/// Set in the hint of an operation: it concerns this kind of list, not a virtual address.
pub(super) const HINT: usize = 1 << (usize::BITS - 1);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// As planned.
    pub item: Item,
    /// Gone from the configuration; kept only until the kernel has removed it.
    pub dropped: bool,
    /// Where it stands.
    pub state: VipState,
    /// Why the last operation failed.
    pub error: Option<KernelError>,
    failures: u32,
    /// Losses, each soon after it was put back.
    losses: u32,
    asked_at: Instant,
}

/// Some of them, in the order of installation.
#[derive(Debug, Default)]
pub(super) struct HeldList {
    pub items: Vec<Held>,
    next_retry: Option<Instant>,
}

impl Blank for HeldList {
    const BLANK: &'static HeldList = &HeldList { items: Vec::new(), next_retry: None };
}

/// What it means that something is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was not there anyway, or it is an echo of our own removal.
    None,
    /// It is missing now: which.
    Missing(usize),
}

/// A route or rule as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldView<'a> {
    /// As planned.
    pub item: &'a Item,
    /// Is it there, put there by us?
    pub installed: bool,
    /// Why the last kernel operation on it failed.
    pub error: Option<&'a KernelError>,
}

impl HeldList {
    /// A list of which nothing is known yet.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a Item>) -> HeldList {
        HeldList { items: items.into_iter().cloned().map(Held::new).collect(), next_retry: None }
    }

    /// As a report shows them.
    pub fn views(&self) -> impl Iterator<Item = HeldView<'_>> {
        self.items.iter().map(|held| HeldView {
            item: &held.item,
            installed: held.state == VipState::Installed,
            error: held.error.as_ref(),
        })
    }

    /// When to call [`HeldList::retry`].
    pub fn next_retry(&self) -> Option<Instant> {
        self.next_retry
    }

    /// Ask for everything that is not there yet, in order.
    pub fn install_all(&mut self, owner: RouterId, ctx: &mut Context) {
        for slot in 0..self.items.len() {
            let wanted = self.items.get(slot).is_some_and(|held| {
                !held.dropped && !matches!(held.state, VipState::Installed | VipState::Adding(_))
            });
            if wanted {
                self.begin_anew(slot);
                self.install(slot, owner, ctx);
            }
        }
    }

    /// Remove everything that is, or may be, there: rules, then routes, then addresses, as keepalived does.
    pub fn withdraw_all(&mut self, owner: RouterId, ctx: &mut Context) {
        self.withdraw_where(owner, ctx, |_| true);
    }

    /// Remove what left the configuration.
    pub fn withdraw_dropped(&mut self, owner: RouterId, ctx: &mut Context) {
        self.withdraw_where(owner, ctx, |held| held.dropped);
    }

    fn withdraw_where(&mut self, owner: RouterId, ctx: &mut Context, which: impl Fn(&Held) -> bool) {
        for kind in [Kind::Rule, Kind::Route, Kind::Address] {
            for slot in 0..self.items.len() {
                if self.items.get(slot).is_some_and(|held| held.kind() == kind && which(held)) {
                    self.begin_anew(slot);
                    self.withdraw(slot, owner, ctx);
                }
            }
        }
        self.forget_dropped();
    }

    /// Mark what `items` no longer has.
    pub fn drop_others<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        let wanted: HashSet<&Item> = items.into_iter().collect();
        for held in &mut self.items {
            held.dropped = !wanted.contains(&held.item);
        }
    }

    /// Bring the list into the order of `items`, with what is new, and what leaves at its end.
    pub fn arrange<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        let mut known: HashMap<Item, Held> = HashMap::new();
        let mut leaving = Vec::new();
        for held in std::mem::take(&mut self.items) {
            if held.dropped {
                leaving.push(held);
            } else {
                known.insert(held.item.clone(), held);
            }
        }
        let wanted =
            items.into_iter().map(|item| known.remove(item).unwrap_or_else(|| Held::new(item.clone())));
        self.items = wanted.chain(leaving).collect();
    }

    /// The kernel answered `op`; false if it is none of this list. `name` begins the sentence about a failure.
    pub fn done(
        &mut self,
        op: OpId,
        hint: usize,
        result: Result<(), KernelError>,
        name: &str,
        ctx: &mut Context,
    ) -> bool {
        let is_it =
            |held: &Held| matches!(held.state, VipState::Adding(o) | VipState::Removing(o) if o == op);
        let hint = hint & !HINT;
        let slot = match self.items.get(hint) {
            Some(held) if is_it(held) => hint,
            _ => match self.items.iter().position(is_it) {
                Some(slot) => slot,
                None => return false,
            },
        };
        let Some(held) = self.items.get_mut(slot) else { return false };
        let adding = matches!(held.state, VipState::Adding(_));
        match result {
            Ok(()) => {
                held.failures = 0;
                held.error = None;
                held.state = if adding { VipState::Installed } else { VipState::Absent };
                self.forget_dropped();
            }
            Err(error) => {
                let at = held.back_off(ctx.now);
                held.state = if adding { VipState::AddFailed(at) } else { VipState::RemoveFailed(at) };
                ctx.log(LogLevel::Error, failure_sentence(name, &held.item, adding, &error));
                held.error = Some(error);
                self.note_retry(at);
            }
        }
        true
    }

    /// Ask again where the kernel refused.
    pub fn retry(&mut self, owner: RouterId, ctx: &mut Context) {
        if self.next_retry.is_none_or(|at| at > ctx.now) {
            return;
        }
        for slot in 0..self.items.len() {
            match self.items.get(slot).map(|held| held.state) {
                Some(VipState::AddFailed(at)) if at <= ctx.now => self.install(slot, owner, ctx),
                Some(VipState::RemoveFailed(at)) if at <= ctx.now => self.withdraw(slot, owner, ctx),
                _ => {}
            }
        }
        self.forget_dropped();
        self.next_retry = self.items.iter().filter_map(Held::retry_at).min();
    }

    /// Something is gone from the kernel.
    pub fn gone(&mut self, what: &RoutingGone, owner: RouterId, ctx: &mut Context) -> Loss {
        let found = self.items.iter().position(|held| match (&held.item, what) {
            _ if held.state != VipState::Installed => false,
            (Item::Route(route), RoutingGone::Route(gone)) => is_route(route, gone, ctx.interfaces),
            (Item::Rule(rule), RoutingGone::Rule(gone)) => is_rule(rule, gone),
            _ => false,
        });
        match found {
            Some(slot) => self.lost(slot, owner, ctx),
            None => Loss::None,
        }
    }

    /// The thing at `slot`, which was there, is gone.
    pub fn lost(&mut self, slot: usize, owner: RouterId, ctx: &mut Context) -> Loss {
        let Some(held) = self.items.get_mut(slot) else { return Loss::None };
        if ctx.now.saturating_duration_since(held.asked_at) < ECHO_WINDOW {
            // Perhaps an echo of our own removal; somebody who removes it each time is not fought without pause.
            held.losses = held.losses.saturating_add(1);
            if held.losses == 1 {
                self.install(slot, owner, ctx);
            } else {
                let at = ctx.now + pause(held.losses);
                held.state = VipState::AddFailed(at);
                self.note_retry(at);
            }
            return Loss::None;
        }
        held.losses = 0;
        held.state = VipState::Absent;
        Loss::Missing(slot)
    }

    /// Put one back.
    pub fn restore(&mut self, slot: usize, owner: RouterId, ctx: &mut Context) {
        self.install(slot, owner, ctx);
    }

    /// An interface came up, or there is a new one of that name: what the kernel dropped while it was down comes back.
    pub fn link_up(&mut self, name: &str, owner: RouterId, ctx: &mut Context) {
        for slot in 0..self.items.len() {
            let concerned = self.items.get(slot).is_some_and(|held| {
                let refused = matches!(held.state, VipState::AddFailed(_) | VipState::Absent);
                let flushed = held.state == VipState::Installed && held.kind() == Kind::Route;
                let named = held.item.interfaces();
                !held.dropped && (refused || flushed) && (named.is_empty() || named.contains(&name))
            });
            if concerned {
                self.install(slot, owner, ctx);
            }
        }
    }

    /// Ask for everything again that should be there: what is there stays as it is.
    pub fn assure(&mut self, owner: RouterId, ctx: &mut Context) {
        for slot in 0..self.items.len() {
            if self.items.get(slot).is_some_and(|held| held.state == VipState::Installed) {
                self.install(slot, owner, ctx);
            }
        }
    }

    /// An interface is gone, with every address and route on it.
    pub fn link_gone(&mut self, name: &str) {
        for held in &mut self.items {
            let kept = held.kind() == Kind::Rule;
            if !kept && held.item.interfaces().contains(&name) {
                held.state = VipState::Absent;
            }
        }
        self.forget_dropped();
    }

    /// Failures of another wish do not count.
    fn begin_anew(&mut self, slot: usize) {
        if let Some(held) = self.items.get_mut(slot) {
            held.failures = 0;
        }
    }

    fn install(&mut self, slot: usize, owner: RouterId, ctx: &mut Context) {
        let Some(held) = self.items.get_mut(slot) else { return };
        held.asked_at = ctx.now;
        match operation(&held.item, true, ctx.interfaces) {
            Some(op) => held.state = VipState::Adding(issue(op, slot, owner, ctx)),
            // It comes with its interface.
            None => held.state = VipState::Absent,
        }
    }

    fn withdraw(&mut self, slot: usize, owner: RouterId, ctx: &mut Context) {
        let replaced = self.is_replaced(slot);
        let Some(held) = self.items.get_mut(slot) else { return };
        if matches!(held.state, VipState::Absent | VipState::Removing(_)) {
            return;
        }
        match operation(&held.item, false, ctx.interfaces) {
            Some(op) if !replaced => held.state = VipState::Removing(issue(op, slot, owner, ctx)),
            _ => held.state = VipState::Absent,
        }
    }

    /// Is what leaves still wanted, in the same place of the kernel's tables, under another line?
    fn is_replaced(&self, slot: usize) -> bool {
        let Some(held) = self.items.get(slot).filter(|held| held.dropped) else { return false };
        self.items.iter().any(|other| {
            !other.dropped
                && match (&held.item, &other.item) {
                    (Item::Rule(a), Item::Rule(b)) => is_rule(a, b),
                    (Item::Address(a), Item::Address(b)) => (a.cidr, &a.interface) == (b.cidr, &b.interface),
                    _ => false,
                }
        })
    }

    fn note_retry(&mut self, at: Instant) {
        self.next_retry = Some(self.next_retry.map_or(at, |known| known.min(at)));
    }

    fn forget_dropped(&mut self) {
        self.items.retain(|held| !(held.dropped && held.state == VipState::Absent));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Route,
    Rule,
}

impl Held {
    fn new(item: Item) -> Held {
        Held {
            item,
            dropped: false,
            state: VipState::Unknown,
            error: None,
            failures: 0,
            losses: 0,
            asked_at: Instant::ZERO,
        }
    }

    fn kind(&self) -> Kind {
        match self.item {
            Item::Address(_) => Kind::Address,
            Item::Route(_) => Kind::Route,
            Item::Rule(_) => Kind::Rule,
        }
    }

    fn retry_at(&self) -> Option<Instant> {
        match self.state {
            VipState::AddFailed(at) | VipState::RemoveFailed(at) => Some(at),
            _ => None,
        }
    }

    fn back_off(&mut self, now: Instant) -> Instant {
        let at = now + pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        at
    }
}

fn pause(failures: u32) -> Duration {
    RETRY_FIRST * (1 << failures.min(RETRY_DOUBLINGS))
}

/// Is an interface that `facts` describe newly able to carry routes?
pub(super) fn comes_up(before: Option<(u32, bool)>, facts: &InterfaceFacts) -> bool {
    before != Some((facts.index, true)) && facts.up
}

enum Operation {
    Address(AddressOp),
    Routing(RoutingOp),
}

/// What the kernel is to be asked; `None` for an address without its interface.
fn operation(item: &Item, add: bool, interfaces: &Interfaces) -> Option<Operation> {
    if let Item::Address(address) = item {
        let index = interfaces.get(address.interface.as_deref()?)?.index;
        let op = if add { AddressOp::add(index, address) } else { AddressOp::remove(index, address) };
        return Some(Operation::Address(op));
    }
    let known = |name: &str| Some((name.to_owned(), interfaces.get(name)?.index));
    let links: BTreeMap<String, u32> = item.interfaces().into_iter().filter_map(known).collect();
    Some(Operation::Routing(RoutingOp { add, item: item.clone(), links }))
}

fn issue(op: Operation, slot: usize, owner: RouterId, ctx: &mut Context) -> OpId {
    match op {
        Operation::Address(op) => ctx.issue(owner, slot | HINT, op),
        Operation::Routing(op) => ctx.issue_routing(owner, slot | HINT, op),
    }
}

/// Is it the route that is gone? All that tells routes apart in the kernel must be equal.
fn is_route(route: &RoutePlan, gone: &GoneRoute, interfaces: &Interfaces) -> bool {
    let default = if route.family() == AddressFamily::V6 { IPV6_METRIC } else { 0 };
    let network = (route.destination, route.source, route.kind, route.table, route.protocol, route.tos);
    let theirs = (gone.destination, gone.source, gone.kind, gone.table, gone.protocol, gone.tos);
    if network != theirs || route.metric.unwrap_or(default) != gone.metric {
        return false;
    }
    match (route.hops.as_slice(), gone.hops.as_slice()) {
        ([ours], [(gateway, index)]) => {
            let same_link = match (&ours.interface, index) {
                (Some(name), Some(index)) => interfaces.name(*index) == Some(name),
                _ => true,
            };
            same_link && ours.gateway == *gateway
        }
        // The kernel tells of an IPv6 multipath route one hop at a time.
        _ => true,
    }
}

/// Is it the same rule to the kernel? A mark without a mask is a mark with all bits.
fn is_rule(ours: &RulePlan, theirs: &RulePlan) -> bool {
    let mark = |rule: &RulePlan| rule.mark.map(|(mark, mask)| (mark, mask.unwrap_or(u32::MAX)));
    mark(ours) == mark(theirs)
        && RulePlan { mark: theirs.mark, tracked: theirs.tracked, ..ours.clone() } == *theirs
}

fn failure_sentence(name: &str, item: &Item, adding: bool, error: &KernelError) -> String {
    let KernelError { errno, message } = error;
    if adding {
        format!(
            "{name}cannot add {item}: {message} (errno {errno}); \
             packets may take another way until it succeeds, trying again"
        )
    } else {
        format!("{name}cannot remove {item}: {message} (errno {errno}); it still counts, trying again")
    }
}
