//! A role's end of the link where no runtime is used: never blocks, never grows without bound.

use crate::link::frame::{Decoder, FrameError, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Octets that may wait for a supervisor that does not read. A snapshot of 1000 routers takes about 1 MB;
/// beyond this, messages are dropped and counted: elections and sessions never wait for a reader.
const MAX_BACKLOG: usize = 16 << 20;

/// How long the last words ("stopped") may take to leave.
const FAREWELL: Duration = Duration::from_millis(500);

/// Non-blocking message link to the supervisor, whose orders are of type `In`.
pub struct SupervisorLink<In> {
    stream: UnixStream,
    decoder: Decoder,
    outgoing: Vec<u8>,
    dropped: u64,
    orders: PhantomData<In>,
}

/// What reading the link found.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The supervisor is there.
    Open,
    /// It is gone: it died, or closed the link.
    Closed,
}

impl<In: DeserializeOwned> SupervisorLink<In> {
    /// Takes the stream over and makes it non-blocking.
    pub fn new(stream: UnixStream) -> io::Result<SupervisorLink<In>> {
        stream.set_nonblocking(true)?;
        Ok(SupervisorLink {
            stream,
            decoder: Decoder::default(),
            outgoing: Vec::new(),
            dropped: 0,
            orders: PhantomData,
        })
    }

    /// Reads what there is and appends whole messages to `messages`.
    pub fn receive(&mut self, messages: &mut Vec<In>) -> Result<LinkState, FrameError> {
        let mut buffer = [0; 64 << 10];
        let state = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break LinkState::Closed,
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break LinkState::Open,
                Err(_) => break LinkState::Closed,
            }
        };
        while let Some(message) = self.decoder.message()? {
            messages.push(message);
        }
        Ok(state)
    }

    /// Queues a message; dropped (and counted) when the supervisor has not read for long.
    pub fn send(&mut self, message: &impl Serialize) {
        let Ok(frame) = encode(message) else {
            self.dropped += 1;
            return;
        };
        if self.outgoing.len() + frame.len() > MAX_BACKLOG {
            self.dropped += 1;
            return;
        }
        self.outgoing.extend_from_slice(&frame);
        self.flush();
    }

    /// Messages dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Does output wait for room?
    pub fn has_backlog(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Writes as much as fits now.
    pub fn flush(&mut self) {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(0) => return,
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.outgoing.clear();
                    return;
                }
            }
        }
        self.outgoing = Vec::new();
    }

    /// The last message before the process ends: waits a moment for the supervisor to take it.
    pub fn farewell(mut self, message: &impl Serialize) {
        self.send(message);
        if self.stream.set_nonblocking(false).is_ok() && self.stream.set_write_timeout(Some(FAREWELL)).is_ok()
        {
            // Nobody is left to tell if this fails: the process ends either way.
            let _ = self.stream.write_all(&self.outgoing);
        }
    }
}

impl<In> AsFd for SupervisorLink<In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{FromVrrp, ToVrrp};

    #[test]
    fn a_supervisor_that_never_reads_costs_messages_not_memory() {
        let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
        let mut link: SupervisorLink<ToVrrp> = SupervisorLink::new(ours).expect("non-blocking");
        let large = FromVrrp::Snapshot(1, crate::report::VrrpStatus::default());
        for _ in 0..(2 * MAX_BACKLOG / 40) {
            link.send(&large);
        }
        assert!(link.dropped() > 0);
        assert!(link.outgoing.len() <= MAX_BACKLOG);
    }

    #[test]
    fn messages_arrive_and_a_closed_link_is_seen() {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        let mut link: SupervisorLink<ToVrrp> = SupervisorLink::new(ours).expect("non-blocking");
        theirs.write_all(&encode(&ToVrrp::AreYouThere(7)).expect("encodes")).expect("room");
        let mut messages = Vec::new();
        assert_eq!(link.receive(&mut messages).expect("well formed"), LinkState::Open);
        assert_eq!(messages, [ToVrrp::AreYouThere(7)]);
        drop(theirs);
        assert_eq!(link.receive(&mut messages).expect("well formed"), LinkState::Closed);
    }
}
