//! Many sockets watched at once: what happened to each is said once (epoll, edge-triggered), and those that are fresh are
//! looked at together without being watched at all (poll).

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Events taken per system call; it is called again while it fills them all.
const MOST: usize = 1024;

/// What happened to a descriptor since that was last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// The token given to [`Edges::add`]; in [`ready_now`] the place in the order.
    pub token: u64,
    /// Reading will not block: there is something, or an end, or an error.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The other end sends no more, in good order: what is not read yet is the last. Never said of TCP's urgent data, at
    /// which reads stop short.
    pub ended: bool,
    /// There is an error, or both directions have ended.
    pub broken: bool,
}

/// A set of descriptors. Those that are closed leave it by themselves.
#[derive(Debug)]
pub struct Edges {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Edges {
    /// An empty set.
    pub fn new() -> io::Result<Edges> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Edges { epoll, events: vec![EpollEvent::empty(); MOST] })
    }

    /// Watches `fd` for something to read and, if `writes`, for room to write. What it is ready for already is said, too.
    pub fn add(&self, fd: impl AsFd, token: u64, writes: bool) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(writes), token))?)
    }

    /// Changes what a watched `fd` is watched for.
    pub fn modify(&self, fd: impl AsFd, token: u64, writes: bool) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags(writes), token))?)
    }

    /// Adds to `edges` what has happened, without waiting.
    pub fn take(&mut self, edges: &mut Vec<Edge>) -> io::Result<()> {
        loop {
            let count = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            edges.extend(self.events.iter().take(count).map(edge));
            if count < self.events.len() {
                return Ok(());
            }
        }
    }
}

impl AsFd for Edges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

fn flags(writes: bool) -> EpollFlags {
    let reads = EpollFlags::EPOLLET | EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI;
    if writes { reads | EpollFlags::EPOLLOUT } else { reads }
}

fn edge(event: &EpollEvent) -> Edge {
    let flags = event.events();
    let broken = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
    let ended = flags.contains(EpollFlags::EPOLLRDHUP);
    Edge {
        token: event.data(),
        readable: broken || ended || flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLPRI),
        writable: flags.contains(EpollFlags::EPOLLOUT),
        ended: ended && !broken && !flags.contains(EpollFlags::EPOLLPRI),
        broken,
    }
}

/// Which of `descriptors` can be written to or are broken at this moment, in their order. One system call for all.
pub fn ready_now(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<Edge>> {
    let mut asked: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLOUT)).collect();
    loop {
        match poll(&mut asked, PollTimeout::ZERO) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let found = asked.iter().enumerate().map(|(place, asked)| {
        let flags = asked.revents().unwrap_or(PollFlags::empty());
        Edge {
            token: place as u64,
            writable: flags.contains(PollFlags::POLLOUT),
            broken: flags.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL),
            ..Edge::default()
        }
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn taken(set: &mut Edges) -> Vec<Edge> {
        let mut edges = Vec::new();
        set.take(&mut edges).expect("a set of ours");
        edges
    }

    #[test]
    fn what_happens_is_said_once() {
        let mut set = Edges::new().expect("a set");
        let (near, mut far) = UnixStream::pair().expect("a pair");
        set.add(&near, 7, false).expect("it can be watched");
        assert_eq!(taken(&mut set), []);
        far.write_all(b"x").expect("room");
        let readable = Edge { token: 7, readable: true, ..Edge::default() };
        assert_eq!(taken(&mut set), [readable]);
        assert_eq!(taken(&mut set), []);
        set.modify(&near, 8, true).expect("it is watched");
        assert_eq!(taken(&mut set), [Edge { token: 8, writable: true, ..readable }]);
        far.shutdown(std::net::Shutdown::Write).expect("it is open");
        assert_eq!(taken(&mut set), [Edge { token: 8, writable: true, ended: true, ..readable }]);
        drop(far);
        assert!(matches!(taken(&mut set)[..], [Edge { broken: true, ended: false, .. }]));
        drop(near);
        assert_eq!(taken(&mut set), []);
    }

    #[test]
    fn many_are_looked_at_at_once_and_more_than_fit_come_all() {
        let pairs: Vec<_> = (0..50).map(|_| UnixStream::pair().expect("a pair")).collect();
        let mut set = Edges::new().expect("a set");
        set.events.truncate(8);
        for (token, (near, _)) in pairs.iter().enumerate() {
            set.add(near, token as u64, true).expect("it can be watched");
        }
        let near: Vec<_> = pairs.iter().map(|(near, _)| near.as_fd()).collect();
        assert_eq!(ready_now(&near).expect("ours").iter().filter(|edge| edge.writable).count(), near.len());
        let mut tokens: Vec<u64> = taken(&mut set).iter().map(|edge| edge.token).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, (0..pairs.len() as u64).collect::<Vec<_>>());
    }
}
