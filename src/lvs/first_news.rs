//! What is told of virtual servers and real servers that a start or a reload brings, although nothing has changed. As
//! keepalived 2.2.7: a virtual server whose quorum is met is told of as up, whether it was announced with `alpha` or has checks
//! at all; one whose quorum is not met is told of as down where a sorry server takes over. With `rs_init_notifies` the real
//! servers that begin as up are told of too.
//!
//! Other than keepalived: where a check that is shared with others has failed already, nothing is told of as up first. What
//! `alpha` lets begin as down and the kernel's table shows at work is told of as up: it was, had the daemon not been away.

use super::director::{Director, is_met, live_weight, quorum_event, tells_first_failure, why_up};
use super::notify::Event;

impl Director {
    /// What is to be told, and told only, of what came with the last plan.
    pub fn take_first_news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.first_news)
    }

    /// Judges virtual server number `index` of a plan that has just come into force.
    pub(super) fn begin(&mut self, index: usize, events: &mut Vec<Event>) {
        let (plan, state) = (&self.plan.virtual_servers[index], &mut self.states[index]); // indices come from the plan in force
        let is_new = std::mem::replace(&mut state.is_new, false);
        let begins_up = state.quorum_up || is_met(plan, live_weight(plan, state), false);
        for server in 0..self.states[index].servers.len() {
            self.begin_server(index, server, events);
        }
        if !is_new {
            return self.evaluate_quorum(index, events);
        }
        let mut changes = Vec::new();
        self.evaluate_quorum(index, &mut changes);
        let is_quorum =
            |event: &Event| matches!(event, Event::QuorumGained { .. } | Event::QuorumLost { .. });
        events.extend(changes.into_iter().filter(|event| !is_quorum(event)));
        let (plan, state) = (&self.plan.virtual_servers[index], &self.states[index]);
        if state.quorum_up || plan.sorry_server.is_some() || begins_up {
            self.first_news.push(quorum_event(plan, live_weight(plan, state), begins_up, state.quorum_up));
        }
    }

    fn begin_server(&mut self, index: usize, server: usize, events: &mut Vec<Event>) {
        let waited = self.waits(index, server);
        let is_new = std::mem::replace(&mut self.states[index].servers[server].is_new, false);
        if self.evaluate_server(index, server, events) {
            return;
        }
        let plan = &self.plan.virtual_servers[index];
        let real = &plan.real_servers[server];
        if is_new && self.states[index].servers[server].up {
            let at_work = real.checkers.iter().any(|checker| checker.alpha);
            if self.plan.init_notifies || at_work {
                self.first_news.push(Event::ServerUp {
                    virtual_server: plan.name.clone(),
                    service: plan.keys[0], // a plan has one at least
                    endpoint: real.endpoint,
                    why: why_up(real, &self.answers),
                });
            }
        } else if waited && self.has_failed(index, server) {
            events.extend(self.down(index, server));
        }
    }

    /// Has a check whose first failure is told of failed already, because others ask the same?
    fn has_failed(&self, index: usize, server: usize) -> bool {
        let checkers = &self.plan.virtual_servers[index].real_servers[server].checkers;
        let mut questions = checkers.iter().map(|checker| checker.question());
        questions.any(|question| {
            let last = self.answers.get(question).and_then(|answer| answer.last.as_ref());
            last.is_some_and(Result::is_err) && tells_first_failure(&question.kind)
        })
    }
}
