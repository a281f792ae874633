//! Waiting for a descriptor inside tokio's runtime.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Says when a descriptor has something to read.
#[derive(Debug)]
pub struct Readable {
    registered: AsyncFd<OwnedFd>,
}

impl Readable {
    /// Watches a copy of the descriptor, which must be non-blocking. Call it inside the runtime.
    pub fn new(of: &impl AsFd) -> io::Result<Readable> {
        let copy = of.as_fd().try_clone_to_owned()?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and it lives in the AsyncFd, which
        // never hands it out.
        let registered = unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) };
        Ok(Readable { registered: registered.map_err(|error| error.into_parts().1)? })
    }

    /// Returns when there is something to read. It is said once: read until the descriptor would block. Dropping the
    /// future loses nothing.
    pub async fn wait(&self) -> io::Result<()> {
        self.registered.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_written_is_said_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
            ours.set_nonblocking(true).expect("a socket");
            let readable = Readable::new(&ours).expect("it can be watched");
            let short = std::time::Duration::from_millis(20);
            assert!(tokio::time::timeout(short, readable.wait()).await.is_err());
            theirs.write_all(b"x").expect("room");
            readable.wait().await.expect("it can be read");
            assert!(tokio::time::timeout(short, readable.wait()).await.is_err());
            theirs.write_all(b"y").expect("room");
            readable.wait().await.expect("it can be read again");
        });
    }
}
