//! The connection to an AgentX master: a Unix socket or TCP.

use crate::plan::snmp::Place;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a connection over TCP may take; heartbeats wait meanwhile.
const CONNECT: Duration = Duration::from_secs(1);

/// A connection; never blocks.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    pub(super) fn open(place: &Place) -> io::Result<Stream> {
        let stream = match place {
            Place::Path(path) => Stream::Unix(connect(path)?),
            Place::Tcp(address) => Stream::Tcp(TcpStream::connect_timeout(address, CONNECT)?),
        };
        if let Stream::Tcp(stream) = &stream {
            stream.set_nonblocking(true)?;
        }
        Ok(stream)
    }
}

/// A master that does not accept has a full queue one day, and connecting would wait for ever.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) => Ok(socket.into()),
        Err(Errno::EAGAIN) => Err(io::Error::other("it accepts no connection: does it hang?")),
        Err(errno) => Err(errno.into()),
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(octets),
            Stream::Tcp(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_accepts_nobody_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("master");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("listens");
        // The queue of a listener is finite, whatever its length.
        let mut held = Vec::new();
        let refused = std::iter::repeat_with(|| Stream::open(&Place::Path(path.clone())))
            .take(100_000)
            .find_map(|opened| match opened {
                Ok(stream) => {
                    held.push(stream);
                    None
                }
                Err(error) => Some(error.to_string()),
            });
        assert_eq!(refused.as_deref(), Some("it accepts no connection: does it hang?"));
        drop(listener);
    }
}
