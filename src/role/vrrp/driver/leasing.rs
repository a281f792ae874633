//! The driver's part in leases: when they are renewed, and what a pause or an end means for them.

use super::super::kernel::Done;
use super::super::lease::expired_sentence;
use super::{Driver, PAUSE, RETAIN_LIMIT};
use crate::sys::clock::monotonic_now;
use crate::time::Instant;
use crate::vrrp::{Action, Event, Frame, KernelError, RouterId};

impl Driver {
    /// With leases, what the kernel may have done while this process stood still comes before what others said.
    pub(super) fn notice_pause(&mut self, now: Instant) {
        let late = self.core.next_timeout().map(|due| now.saturating_duration_since(due));
        if !self.leases.is_on() {
            return;
        }
        if late.is_some_and(|late| late >= PAUSE) {
            self.core.handle(Event::Paused, now, &mut self.actions);
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
        let name =
            self.core.router(router).map_or("a router that ended", |router| router.plan().name.as_str());
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
            let Action::Transmit(id, Frame::Advertisement { .. } | Frame::Sealed { .. }) = action else {
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
