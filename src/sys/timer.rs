//! A timer that is a descriptor: absolute, CLOCK_MONOTONIC, 0.05 ms late where a runtime's timers are 1 to 2 ms late.

use crate::time::Instant;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// One deadline. The descriptor is readable from the deadline on, until [`Timer::consume`] or another `set`.
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
}

impl Timer {
    /// A disarmed timer, non-blocking.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Timer { fd: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)? })
    }

    /// Fire at `deadline`, at once if it has passed; `None` disarms. Replaces what was set before.
    pub fn set(&self, deadline: Option<Instant>) -> io::Result<()> {
        let Some(deadline) = deadline else {
            return Ok(self.fd.unset()?);
        };
        // Zero would disarm, and the kernel's seconds are signed: stay within both ends.
        let nanoseconds = deadline.0.clamp(1, i64::MAX as u64);
        let at = TimeSpec::new(
            (nanoseconds / 1_000_000_000) as libc::time_t,
            (nanoseconds % 1_000_000_000) as libc::c_long,
        );
        Ok(self.fd.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Clear readability. True if the deadline had passed.
    ///
    /// A driver decides what is due from the clock, never from this: it only keeps a poller from spinning.
    pub fn consume(&self) -> io::Result<bool> {
        match self.fd.wait() {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::monotonic_now;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::time::Duration;

    fn wait(timer: &Timer) {
        let mut fds = [PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(10_000u16)), Ok(1), "the timer fires within 10 s");
    }

    #[test]
    fn it_fires_at_the_deadline_and_not_before() {
        let timer = Timer::new().unwrap();
        let deadline = monotonic_now() + Duration::from_millis(20);
        timer.set(Some(deadline)).unwrap();
        assert!(!timer.consume().unwrap() || monotonic_now() >= deadline);
        wait(&timer);
        assert!(monotonic_now() >= deadline);
        assert!(timer.consume().unwrap());
        assert!(!timer.consume().unwrap(), "once");
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once_even_the_origin() {
        let timer = Timer::new().unwrap();
        timer.set(Some(Instant::ZERO)).unwrap();
        wait(&timer);
        assert!(timer.consume().unwrap());
    }

    #[test]
    fn a_disarmed_timer_is_silent_and_the_end_of_time_is_accepted() {
        let timer = Timer::new().unwrap();
        timer.set(Some(Instant::ZERO)).unwrap();
        timer.set(None).unwrap();
        assert!(!timer.consume().unwrap());
        timer.set(Some(Instant(u64::MAX))).unwrap();
        assert!(!timer.consume().unwrap());
    }
}
