//! epoll and eventfd, as much of them as a role needs.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Events taken per wait; the rest comes with the next wait, so a limit loses nothing.
const MAX_EVENTS: usize = 128;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the other end gone.
    Read,
    /// Room to write.
    Write,
    /// Both.
    ReadWrite,
}

/// Something a descriptor is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The token given to [`Poller::add`].
    pub token: u64,
    /// Reading will not block (it may report an end or an error).
    pub readable: bool,
    /// Writing will not block (it may report an error).
    pub writable: bool,
    /// The other end is gone or the descriptor is in error.
    pub hung_up: bool,
}

/// A level-triggered epoll set.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Poller {
    /// An empty set.
    pub fn new() -> io::Result<Poller> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Poller { epoll, events: vec![EpollEvent::empty(); MAX_EVENTS] })
    }

    /// Watch `fd`; its events carry `token`. EEXIST if it is watched already.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(interest.flags(), token))?)
    }

    /// Change token or interest of a watched `fd`. ENOENT if it is not watched.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(interest.flags(), token))?)
    }

    /// Stop watching `fd`. Must come before the descriptor is closed if it was duplicated anywhere.
    pub fn delete(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Wait until something is ready, or `timeout` (rounded up to milliseconds; `None` for ever) has passed.
    /// A signal ends the wait early with no events.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = Readiness> + '_> {
        let count = match self.epoll.wait(&mut self.events, epoll_timeout(timeout)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(self.events.iter().take(count).map(readiness))
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }
}

/// Wait until a descriptor has something to read, at most for so long (rounded up to milliseconds). A signal ends the wait
/// early.
pub fn readable_within(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
    let limit = PollTimeout::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], limit) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Interest::Read => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP,
            Interest::Write => EpollFlags::EPOLLOUT,
            Interest::ReadWrite => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLOUT,
        }
    }
}

/// Wakes a poller from another thread.
#[derive(Debug)]
pub struct Waker {
    fd: EventFd,
}

impl Waker {
    /// Not yet woken; non-blocking.
    pub fn new() -> io::Result<Waker> {
        Ok(Waker { fd: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)? })
    }

    /// Make the descriptor readable. Waking what is awake is nothing; it never blocks.
    pub fn wake(&self) -> io::Result<()> {
        match self.fd.write(1) {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Clear readability. True if it had been woken.
    pub fn consume(&self) -> io::Result<bool> {
        match self.fd.read() {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn epoll_timeout(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else { return EpollTimeout::NONE };
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
    EpollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::ZERO)
}

fn readiness(event: &EpollEvent) -> Readiness {
    let flags = event.events();
    let hung_up = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLERR);
    Readiness {
        token: event.data(),
        readable: flags.contains(EpollFlags::EPOLLIN) || hung_up,
        writable: flags.contains(EpollFlags::EPOLLOUT) || flags.contains(EpollFlags::EPOLLERR),
        hung_up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    const LONG: Option<Duration> = Some(Duration::from_secs(10));

    #[test]
    fn a_waker_wakes_once_and_carries_its_token() {
        let mut poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        poller.add(&waker, 7, Interest::Read).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
        waker.wake().unwrap();
        waker.wake().unwrap();
        let ready: Vec<_> = poller.wait(LONG).unwrap().collect();
        assert_eq!(ready, [Readiness { token: 7, readable: true, writable: false, hung_up: false }]);
        assert!(waker.consume().unwrap());
        assert!(!waker.consume().unwrap());
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
    }

    #[test]
    fn interest_can_change_and_an_end_is_seen() {
        let mut poller = Poller::new().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        poller.add(&near, 1, Interest::Read).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
        poller.modify(&near, 2, Interest::ReadWrite).unwrap();
        let ready: Vec<_> = poller.wait(LONG).unwrap().collect();
        assert!(matches!(ready[..], [Readiness { token: 2, readable: false, writable: true, .. }]));
        poller.modify(&near, 2, Interest::Read).unwrap();
        far.write_all(b"x").unwrap();
        drop(far);
        let ready: Vec<_> = poller.wait(LONG).unwrap().collect();
        assert!(matches!(ready[..], [Readiness { token: 2, readable: true, hung_up: true, .. }]));
        poller.delete(&near).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
    }
}
