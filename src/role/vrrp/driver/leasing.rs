//! What the loop does for the leases of addresses.

use super::super::kernel::Done;
use super::super::lease::expired_sentence;
use super::{Driver, LATE};
use crate::sys::clock::monotonic_now;
use crate::time::Instant;
use crate::vrrp::{Action, Event, Frame, KernelError, RouterId};
use std::time::Duration;

/// With leases: a loop that is so late asks whether it was silent for too long.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the kernel may take to make addresses permanent that outlive this process.
const RETAIN_LIMIT: Duration = Duration::from_secs(2);

impl Driver {
    /// A loop that comes back from a pause says so, whatever the core makes of what was said meanwhile. With leases the core
    /// hears of it before that.
    pub(super) fn notice_pause(&mut self) {
        let now = monotonic_now();
        let late = self.core.next_timeout().map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        // Each doubling is a complaint of its own: what cost the addresses is not hushed up for a trifle of a moment ago.
        let doublings = (late.as_millis() / LATE.as_millis()).checked_ilog2();
        let about = doublings.map(|doublings| format!("late, 2^{doublings}"));
        if let Some(about) = about.filter(|about| !self.has_complained(about, now)) {
            let (ms, cause) = (late.as_millis(), self.lateness.explain(late));
            self.complain(about, &format!("woke {ms} ms late, and what was due with it: {cause}"));
        }
        if self.leases.is_on() && late >= PAUSE {
            self.core.handle(Event::Paused, now, &mut self.actions);
        }
    }

    /// What the kernel took because this process or its own worker was late comes back; the core does not hear of it.
    pub(super) fn mend_leases(&mut self, now: Instant) {
        if !self.leases.is_on() {
            return;
        }
        let (lost, renewals) = self.leases.take_expired(&mut self.events, &self.core, now);
        if let Some(sentence) = expired_sentence(&lost) {
            tracing::error!("{sentence}");
        }
        for renewal in renewals {
            self.kernel.renew(renewal);
        }
    }

    pub(super) fn lease_not_renewed(&mut self, router: RouterId, error: &KernelError) {
        let name = self.core.router(router).map_or("a router that ended", |router| &*router.plan().name);
        let sentence = format!(
            "({name}) the lease of an address was not renewed: {}; the kernel removes it unless the next try succeeds",
            error.message
        );
        self.complain(sentence.clone(), &sentence);
    }

    /// Addresses that stay without a daemon: the kernel must not take them. Nothing is left to be late for.
    pub(super) fn make_permanent(&mut self) {
        if !self.leases.is_on() {
            return;
        }
        let now = monotonic_now();
        let renewals = self.leases.permanent(&self.core, now);
        let mut missing = renewals.len();
        for renewal in renewals {
            self.kernel.renew(renewal);
        }
        let end = now + RETAIN_LIMIT;
        while missing > 0 && monotonic_now() < end {
            match self.kernel.wait(end.saturating_duration_since(monotonic_now())) {
                Some(Done::Renewed(router, asked_at, result)) if asked_at == now => {
                    missing -= 1;
                    if let Err(error) = result {
                        self.lease_not_renewed(router, &error);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
    }

    /// Who has just spoken holds on to its addresses.
    pub(super) fn renew_leases(&mut self, actions: &[Action]) {
        if !self.leases.is_on() {
            return;
        }
        let now = monotonic_now();
        let mut last = None;
        for action in actions {
            let (Action::Transmit(id, Frame::Advertisement { .. } | Frame::Sealed { .. })
            | Action::Silence { router: id, .. }) = action
            else {
                continue;
            };
            if last.replace(*id) != Some(*id)
                && let Some(renewal) = self.leases.spoke(*id, &self.core, now)
            {
                self.kernel.renew(renewal);
            }
        }
    }
}
