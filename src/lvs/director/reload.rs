//! Another plan in place of the one in force: what stays keeps its state, what leaves is told of as down.

use super::super::notify::Event;
use super::super::traffic::Traffic;
use super::{Director, Presumed, ServerState, VirtualState, initial};
use crate::plan::lvs::{Identities, Identity, LvsPlan, RealServer, ServiceKey, VirtualServer};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

impl Director {
    /// Another plan. Servers that stay keep their state until their checks say else; equal checks keep their verdict. True if
    /// something that was said by hand is now about a virtual server of another name.
    pub fn reload(&mut self, plan: LvsPlan, events: &mut Vec<Event>) -> bool {
        let followed = self.traffic.follow(&self.plan, &plan);
        let has_followed = followed.is_some();
        if let Some(overrides) = followed {
            self.traffic = Traffic::new(overrides, self.traffic.now());
        }
        let states = std::mem::take(&mut self.states);
        let old = Old::of(&self.plan, states, &plan);
        let states = plan.virtual_servers.iter().map(|server| old.carry_over(server)).collect();
        self.take_plan(plan, states, events);
        has_followed
    }

    /// What leaves when `plan` comes, to be told before it does: a group by its name, which those who are told read. As keepalived 2.2.7, with and without `omega`; other than
    /// it, servers that are up are told of where a sorry server has taken their place, too.
    pub fn leaving(&self, plan: &LvsPlan) -> Vec<Event> {
        let mut events = Vec::new();
        let identities = Identities::between(&self.plan, plan);
        let staying: HashMap<Identity, &VirtualServer> =
            plan.virtual_servers.iter().map(|server| (identities.of(server), server)).collect();
        for (server, state) in self.plan.virtual_servers.iter().zip(&self.states) {
            let stays = staying.get(&identities.of(server));
            let servers: HashSet<SocketAddr> =
                stays.iter().flat_map(|stays| stays.real_servers.iter().map(|real| real.endpoint)).collect();
            let service = server.keys[0]; // a plan has one at least
            for (real, state) in server.real_servers.iter().zip(&state.servers) {
                if state.up && !servers.contains(&real.endpoint) {
                    let (virtual_server, endpoint) = (server.name.clone(), real.endpoint);
                    events.push(Event::ServerGone { virtual_server, service, endpoint });
                }
            }
            if stays.is_none() {
                let (virtual_server, quorum_up) = (server.name.clone(), state.quorum_up);
                events.push(Event::ServiceGone { virtual_server, service, quorum_up });
            }
        }
        events
    }
}

/// What a reload finds.
struct Old<'a> {
    by_service: BTreeMap<ServiceKey, usize>,
    identities: Identities<'a>,
    by_name: HashMap<Identity<'a>, usize>,
    /// Whether the quorum is met, and the servers by endpoint.
    states: Vec<(bool, BTreeMap<SocketAddr, ServerState>)>,
}

impl<'a> Old<'a> {
    fn of(plan: &'a LvsPlan, states: Vec<VirtualState>, new: &'a LvsPlan) -> Old<'a> {
        let identities = Identities::between(plan, new);
        let plans = &plan.virtual_servers;
        let services =
            plans.iter().enumerate().flat_map(|(index, plan)| plan.known_as().map(move |key| (*key, index)));
        let names = plans.iter().enumerate().map(|(index, plan)| (identities.of(plan), index));
        let by_name = names.collect();
        let states = plans.iter().zip(states).map(|(plan, state)| {
            let servers = plan.real_servers.iter().map(|server| server.endpoint).zip(state.servers);
            (state.quorum_up, servers.collect())
        });
        Old { by_service: services.collect(), identities, by_name, states: states.collect() }
    }

    /// A group is known by its name, whatever services it has now.
    fn carry_over(&self, plan: &VirtualServer) -> VirtualState {
        let by_name = self.by_name.get(&self.identities.of(plan));
        let index = by_name.or_else(|| plan.known_as().find_map(|key| self.by_service.get(key)));
        let old = index.map(|&index| &self.states[index]); // as many as plans
        // Under another name it goes on as it is, but nobody was told of it.
        let is_new = by_name.is_none();
        let server = |server: &RealServer| match old.and_then(|(_, servers)| servers.get(&server.endpoint)) {
            Some(old) => {
                let presumed = if old.up { Presumed::Up } else { Presumed::Down };
                ServerState { presumed, is_new, ..old.clone() }
            }
            None => initial(server, Presumed::AsConfigured),
        };
        VirtualState {
            quorum_up: old.is_some_and(|(quorum_up, _)| *quorum_up),
            is_new,
            servers: plan.real_servers.iter().map(server).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
