//! A configured source address that is nowhere on this node: with `track_src_ip` the router does not take part; without it a
//! unicast router speaks, and nobody's answer reaches it.

use super::Core;
use super::event::{Action, LogLevel, RouterId, State};
use super::interfaces::Interfaces;
use super::kept::KeptPlan;
use super::router::Router;
use crate::plan::vrrp::Transport;
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

    /// The source address of a unicast router that takes part although no interface has it (keepalived 2.2.7 is in FAULT
    /// then, 2.4.3 only with `track_src_ip`).
    pub fn missing_source(&self, router: &Router) -> Option<IpAddr> {
        let Transport::Unicast { source: Some(source), .. } = router.plan.transport else { return None };
        let takes_part = matches!(router.state(), State::Backup | State::Master);
        (takes_part && !self.interfaces.has(source)).then_some(source)
    }

    /// Says so of those that a plan brought, `first` and later.
    pub(super) fn warn_of_missing_sources(&self, first: RouterId, actions: &mut Vec<Action>) {
        for router in self.routers.values().filter(|router| router.id() >= first) {
            if let Some(source) = self.missing_source(router) {
                let what = format!(
                    "({}) no interface has {source} (unicast_src_ip): what peers send to it does not arrive, and this node may become Master \
                     beside theirs. Add the address, or correct it; with track_src_ip the instance is in FAULT meanwhile",
                    router.plan.name
                );
                actions.push(Action::Log(LogLevel::Error, what));
            }
        }
    }
}
