//! What the supervisor holds of this process's verdicts, for the next one.

use super::State;
use crate::check::held::{self, HeldVerdict};
use crate::link::FromChecker;
use crate::lvs::director::Director;
use crate::plan::check::Question;
use crate::sys::clock::since_boot;

/// Verdicts in one message: some 50 KB.
const AT_ONCE: usize = 500;

/// The director begins with the verdicts of the process before this one, so that what it first wants of the kernel is what is
/// there. What those verdicts say is no news.
pub(super) fn restore(director: &mut Director, remembered: &[HeldVerdict]) {
    let restored = director.restore(|question| {
        let HeldVerdict { down, weight, .. } = held::find(remembered, question)?;
        Some((down.clone().map_or(Ok(()), Err), *weight))
    });
    tracing::info!("goes on with {restored} verdicts of the process before this one");
}

impl State {
    /// The checks go on from there, once they exist.
    pub(super) fn restore_checks(&mut self, remembered: &[HeldVerdict]) {
        let now = self.now();
        self.checks.restore(remembered, now, since_boot());
        self.hold_all();
    }

    /// The supervisor holds these from now on, and no others.
    pub(super) fn hold_all(&mut self) {
        self.unheld.clear();
        let list = self.checks.all_held(self.now(), since_boot());
        self.outbox.send(&FromChecker::Verdicts { all: true, list });
    }

    /// And this one, told with others at the end of this turn.
    pub(super) fn remember(&mut self, question: &Question) {
        self.unheld.extend(self.checks.id(question));
    }

    /// Some of those that the supervisor is still to hold.
    pub(super) fn next_unheld(&mut self) -> Option<FromChecker> {
        let (now, mut list) = (self.now(), Vec::new());
        if self.unheld.is_empty() {
            return None;
        }
        let boot = since_boot();
        while list.len() < AT_ONCE
            && let Some(check) = self.unheld.pop_first()
        {
            list.extend(self.checks.held(check, now, boot));
        }
        Some(FromChecker::Verdicts { all: false, list })
    }
}
