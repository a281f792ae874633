//! When freed memory goes back to the kernel: in a turn in which nothing was decided, and not just before one.

use super::Driver;
use crate::sys::clock::monotonic_now;
use crate::sys::process;
use crate::time::Instant;
use std::time::Duration;

/// After the last change of the kernel's addresses, routes and rules: their announcements are out by then (the second
/// burst five seconds later by default), and what a thousand takeovers needed is free.
const AFTER_CHANGES: Duration = Duration::from_secs(8);

/// It takes 1.2 ms with one router and 2 to 17 with a thousand, most of it to unlock memory and lock it again: what is
/// due within this must not wait for it. It has no timer of its own: the supervisor's question wakes this process each second.
const ROOM: Duration = Duration::from_millis(20);

/// With many routers something is always due soon: then it is done after what a turn decided.
const PATIENCE: Duration = Duration::from_secs(3);

/// Has the moment come for what was asked for at `wanted`? A turn that decided something has the kernel's answers to wait
/// for: announcements follow them.
fn is_time(wanted: Instant, now: Instant, decided: bool, due: Option<Instant>) -> bool {
    let quiet = !decided && due.is_none_or(|due| due >= now + ROOM);
    now >= wanted && (quiet || now >= wanted + PATIENCE)
}

impl Driver {
    pub(super) fn tidy_after_changes(&mut self) {
        self.tidy_at = Some(monotonic_now() + AFTER_CHANGES);
    }

    /// A plan's text is several times as large as what is kept of it.
    pub(super) fn tidy_after_plan(&mut self) {
        self.tidy_at = Some(monotonic_now());
    }

    /// To be called when everything that this turn has `decided` is sent.
    pub(super) fn tidy(&mut self, decided: bool) {
        let Some(wanted) = self.tidy_at else { return };
        if is_time(wanted, monotonic_now(), decided, self.core.next_timeout()) {
            self.tidy_at = None;
            self.core.tidy();
            process::release_free_memory();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(60_000_000_000);

    #[test]
    fn nothing_is_tidied_before_its_time() {
        assert!(!is_time(NOW + Duration::from_nanos(1), NOW, false, None));
        assert!(is_time(NOW, NOW, false, None));
    }

    #[test]
    fn what_is_due_now_or_soon_comes_first() {
        assert!(!is_time(NOW, NOW, false, Some(NOW)));
        assert!(!is_time(NOW, NOW, false, Some((NOW + ROOM).before(Duration::from_nanos(1)))));
        assert!(is_time(NOW, NOW, false, Some(NOW + ROOM)));
    }

    #[test]
    fn announcements_that_wait_for_the_kernel_come_first() {
        assert!(!is_time(NOW, NOW, true, None));
    }

    #[test]
    fn where_there_is_never_room_it_is_done_in_the_end() {
        let end = NOW + PATIENCE;
        for decided in [true, false] {
            assert!(!is_time(NOW, end.before(Duration::from_nanos(1)), decided, Some(end)));
            assert!(is_time(NOW, end, decided, Some(end)));
        }
    }
}
