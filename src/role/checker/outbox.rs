//! What the checker role tells its supervisor.

use crate::link::frame::encode;
use crate::link::{FromChecker, News};
use crate::plan::Generation;
use crate::role::questions::Questions;
use std::collections::VecDeque;
use std::io;
use tokio::net::unix::OwnedWriteHalf;
use tracing::error;

/// Octets of messages that are put together before they are sent.
const AT_ONCE: usize = 64 << 10;

/// Messages on their way to the supervisor. Of each kind but news only the newest waits, and the backlog is one
/// message: a supervisor that does not read costs next to nothing.
pub struct Outbox {
    /// To the supervisor; watched until it takes more.
    pub writer: OwnedWriteHalf,
    backlog: Vec<u8>,
    /// How much of the backlog has left.
    sent: usize,
    /// The heartbeat that waits for its answer.
    pub alive: Option<u64>,
    /// The plan that is in force, where that is not told yet.
    pub applied: Option<Generation>,
    /// What snapshots answer.
    pub snapshots: Questions,
    /// In the order in which it happened.
    pub news: VecDeque<News>,
}

impl Outbox {
    /// Nothing waits.
    pub fn new(writer: OwnedWriteHalf) -> Outbox {
        Outbox {
            writer,
            backlog: Vec::new(),
            sent: 0,
            alive: None,
            applied: None,
            snapshots: Questions::default(),
            news: VecDeque::new(),
        }
    }

    /// Is there something that did not fit?
    pub fn waits(&self) -> bool {
        self.sent < self.backlog.len()
    }

    /// What is put here at once leaves at once: a thousand verdicts are a few system calls.
    pub fn takes_more(&self) -> bool {
        self.sent == 0 && self.backlog.len() < AT_ONCE
    }

    /// Says it now, as far as it fits.
    pub fn send(&mut self, message: &FromChecker) {
        self.put(message);
        self.flush();
    }

    /// Says it with what follows, at the next [`flush`](Self::flush).
    pub fn put(&mut self, message: &FromChecker) {
        match encode(message) {
            Ok(frame) => self.backlog.extend_from_slice(&frame),
            Err(why) => error!("message to the supervisor dropped: {why}"),
        }
    }

    /// Writes as much as fits now. A link that broke is noticed by the reader.
    pub fn flush(&mut self) {
        while self.waits() {
            match self.writer.try_write(&self.backlog[self.sent..]) {
                Ok(count) if count > 0 => self.sent += count,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => self.sent = self.backlog.len(),
            }
        }
        // A snapshot is large and rare: its memory goes back.
        (self.backlog, self.sent) = (Vec::new(), 0);
    }
}
