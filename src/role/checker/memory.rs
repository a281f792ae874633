//! What the supervisor holds of this process's verdicts, for the next one.

use super::State;
use crate::check::held::{HeldVerdict, print_of};
use crate::link::FromChecker;
use crate::lvs::director::Director;
use crate::lvs::notify;
use crate::plan::check::Question;
use crate::sys::clock::since_boot;

impl State {
    /// The director begins with the verdicts of the process before this one, so that what it first wants of the kernel is
    /// what is there. What those verdicts say is no news.
    pub(super) fn restore(&mut self, director: &mut Director, events: &mut Vec<notify::Event>) {
        self.remembered.sort_by_key(|held| held.question);
        let known = |question: &Question| -> Option<&HeldVerdict> {
            let at = self.remembered.binary_search_by_key(&print_of(question), |held| held.question);
            at.ok().and_then(|at| self.remembered.get(at))
        };
        let restored = director.restore(|question| {
            let HeldVerdict { down, weight, .. } = known(question)?;
            Some((down.clone().map_or(Ok(()), Err), *weight))
        });
        events.clear();
        tracing::info!("goes on with {restored} verdicts of the process before this one");
    }

    /// The checks go on from there, once they exist.
    pub(super) fn restore_checks(&mut self) {
        let all = std::mem::take(&mut self.remembered);
        let now = self.now();
        self.checks.restore(&all, now, since_boot());
        self.hold_all();
    }

    /// The supervisor holds these from now on, and no others.
    pub(super) fn hold_all(&mut self) {
        let list = self.checks.all_held(self.now(), since_boot());
        self.outbox.send(&FromChecker::Verdicts { all: true, list });
    }

    /// And this one.
    pub(super) fn remember(&mut self, question: &Question) {
        if let Some(held) = self.checks.held(question, self.now(), since_boot()) {
            self.outbox.send(&FromChecker::Verdicts { all: false, list: vec![held] });
        }
    }
}
