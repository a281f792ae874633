//! The director's clock: it is told the time, and says when weights that grow are to grow on.

use super::answers::Answers;
use super::director::{Director, observed_weight};
use super::ramp::Ramp;
use super::table::Table;
use crate::plan::check::CheckKind;
use crate::plan::lvs::RealServer;
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

    /// Right after the start: weights that the process before this one left half grown, as `observed` shows them, grow on.
    pub fn go_on_growing(&mut self, observed: &Table, now: Instant) {
        self.now = now;
        for index in 0..self.states.len() {
            let plan = &self.plan.virtual_servers[index]; // as many as states
            let mut grows = false;
            for (server, state) in plan.real_servers.iter().zip(&mut self.states[index].servers) {
                let length = server.slow_start;
                if length.is_zero() || !state.up || state.by_hand.is_some() || is_open(server, &self.answers)
                {
                    continue;
                }
                let have = observed_weight(plan, observed, server.endpoint, server.forwarding);
                if let Some(have) = have.filter(|have| (1..state.weight).contains(have)) {
                    state.ramp = Ramp::go_on(have, state.weight, length, now);
                    grows = true;
                }
            }
            if grows {
                self.plan_steps(index);
                self.derive(index);
            }
        }
    }

    /// The weight that real server number `server` of virtual server number `index` grows to, while it does.
    pub fn grows_to(&self, index: usize, server: usize) -> Option<u32> {
        let full = self.states.get(index)?.servers.get(server)?.weight;
        (self.weight(index, server) != full).then_some(full)
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

/// Is there a check that may give the server another weight, and has not spoken?
fn is_open(server: &RealServer, answers: &Answers) -> bool {
    let gives_weight = |kind: &CheckKind| match kind {
        CheckKind::Misc(misc) => misc.dynamic,
        CheckKind::File(file) => file.weight != 0,
        _ => false,
    };
    let mut questions = server.checkers.iter().map(|checker| checker.question());
    questions.any(|question| {
        gives_weight(&question.kind) && answers.get(question).is_none_or(|answer| answer.change.is_none())
    })
}
