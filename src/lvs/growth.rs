//! The director's clock: it is told the time, and says when weights that grow are to grow on.

use super::director::Director;
use crate::time::Instant;

impl Director {
    /// It is `now`: weights that grow take their next step.
    pub fn advance(&mut self, now: Instant) {
        self.now = now;
        if self.next_step.is_none_or(|next| next > now) {
            return;
        }
        self.next_step = None;
        for index in 0..self.states.len() {
            let grows = self.states[index].servers.iter().any(|server| server.ramp != Default::default());
            if grows {
                self.plan_steps(index);
                self.derive(index);
            }
        }
    }

    /// When [`Director::advance`] is wanted.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_step
    }

    /// Forgets what has grown up, and finds when the next of virtual server number `index` grows on.
    pub(super) fn plan_steps(&mut self, index: usize) {
        let servers = &self.plan.virtual_servers[index].real_servers; // indices come from the plan in force
        for (server, state) in servers.iter().zip(&mut self.states[index].servers) {
            match state.ramp.next(server.slow_start, self.now) {
                None => state.ramp = Default::default(),
                next => self.next_step = self.next_step.into_iter().chain(next).min(),
            }
        }
    }
}
