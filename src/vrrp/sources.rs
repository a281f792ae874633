//! `track_src_ip`: a router whose configured source address is nowhere on this node does not take part.

use super::Core;
use super::event::{Action, RouterId};
use super::interfaces::Interfaces;
use super::kept::KeptPlan;
use super::router::Router;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The addresses that are tracked: is each there?
pub(super) type Sources = BTreeMap<IpAddr, bool>;

/// Why the router cannot speak, if its source address is tracked. Any interface may have the address, as the kernel
/// sends from any of its own (keepalived 2.4.3 asks whether it exists; 2.2.7 knows the keyword and does nothing).
pub(super) fn source_fault(plan: &KeptPlan, interfaces: &Interfaces) -> Option<String> {
    let source = plan.tracked_source()?;
    (!interfaces.has(source)).then(|| format!("no interface has the source address {source} (track_src_ip)"))
}

impl Core {
    /// The addresses that a new plan tracks.
    pub(super) fn note_sources<'a>(&mut self, routers: impl Iterator<Item = &'a KeptPlan>) {
        let tracked = routers.filter_map(KeptPlan::tracked_source);
        self.sources = tracked.map(|source| (source, self.interfaces.has(source))).collect();
    }

    /// An interface changed: tell the routers of a source address that came or went.
    pub(super) fn look_for_sources(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let interfaces = &self.interfaces;
        let changed: Vec<IpAddr> = self
            .sources
            .iter_mut()
            .filter_map(|(source, there)| {
                let before = std::mem::replace(there, interfaces.has(*source));
                (before != *there).then_some(*source)
            })
            .collect();
        let concerned =
            |router: &&Router| router.plan.tracked_source().is_some_and(|source| changed.contains(&source));
        if changed.is_empty() {
            return;
        }
        let routers: Vec<RouterId> = self.routers.values().filter(concerned).map(Router::id).collect();
        for id in routers {
            self.with_router(id, now, actions, Router::reevaluate);
        }
    }
}
