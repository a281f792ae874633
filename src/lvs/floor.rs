//! `min_alive`: a floor under which servers whose checks fail are not taken out. When everything seems to fail at once, the
//! fault is more often with the check, or between us and the servers, than with all of them.

use super::director::Director;
use super::notify::Event;

impl Director {
    /// Decides which servers of virtual server number `index` are kept although their checks fail: as many as the floor
    /// wants, of those that served until now, in the order of the file. Who was taken out by hand takes no traffic: it neither
    /// counts as one that is left, nor is it kept.
    pub(super) fn keep_floor(&mut self, index: usize, events: &mut Vec<Event>) {
        let plan = &self.plan.virtual_servers[index]; // indices come from the plan in force
        let state = &mut self.states[index];
        let alive = state.servers.iter().filter(|server| server.up && !server.is_out_by_hand()).count();
        let mut wanted = (plan.min_alive as usize).saturating_sub(alive);
        let before = state.servers.iter().filter(|server| server.kept).count();
        let mut kept = 0;
        for server in &mut state.servers {
            server.kept = !server.up && server.served && wanted > 0 && !server.is_out_by_hand();
            if server.kept {
                (wanted, kept) = (wanted - 1, kept + 1);
            }
            server.served = server.up || server.kept;
        }
        if kept == before {
            return;
        }
        let (virtual_server, service) = (plan.name.clone(), plan.keys[0]); // a plan has one at least
        let min_alive = plan.min_alive;
        events.push(Event::Floor { virtual_server, service, alive, kept, min_alive });
    }

    /// Is real server number `server` of virtual server number `index` kept in service although its checks fail?
    pub fn is_kept(&self, index: usize, server: usize) -> bool {
        self.states.get(index).and_then(|state| state.servers.get(server)).is_some_and(|server| server.kept)
    }
}
