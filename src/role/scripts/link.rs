//! The scripts role's end of the link: never waits for the supervisor, never grows without bound.

use crate::link::frame::{Decoder, FrameError, encode};
use crate::link::{Claimed, FromScripts, ToScripts};
use crate::plan::Generation;
use crate::plan::scripts::RunReport;
use crate::plan::track::{Sample, TrackerKey};
use crate::role::questions::Questions;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tracing::{error, warn};

/// How long the last words ("stopped") may take to leave.
const FAREWELL: Duration = Duration::from_millis(500);

/// Ends of programs that may wait for the supervisor: as many as may run or wait.
const MAX_RAN: usize = 1024;

/// Octets read from the link at once.
const READ: usize = 64 << 10;

/// Of each kind of answer only the newest waits, of snapshots the newest few, of samples the newest of each
/// tracker, and the backlog is one message: a supervisor that does not read costs nothing.
pub struct ScriptsLink {
    reader: OwnedReadHalf,
    decoder: Decoder,
    buffer: Vec<u8>,
    heard: VecDeque<ToScripts>,
    writer: OwnedWriteHalf,
    backlog: Vec<u8>,
    /// How much of the backlog has left.
    sent: usize,
    alive: Option<u64>,
    applied: Option<Generation>,
    snapshots: Questions,
    /// With the words that go before it.
    samples: BTreeMap<TrackerKey, (Option<Sample>, Option<String>)>,
    /// One for each attempt that the vrrp role waits for, at most.
    claimed: VecDeque<Claimed>,
    ran: VecDeque<RunReport>,
}

/// Why a role ends before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It does not keep to the protocol.
    #[error("link: {0}")]
    Frame(#[from] FrameError),
    /// The stream cannot be used.
    #[error("link: {0}")]
    Io(#[from] io::Error),
}

impl ScriptsLink {
    /// Takes the stream over. Call it inside the runtime.
    pub fn new(stream: UnixStream) -> Result<ScriptsLink, LinkError> {
        stream.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(stream)?.into_split();
        Ok(ScriptsLink {
            reader,
            decoder: Decoder::default(),
            buffer: vec![0; READ],
            heard: VecDeque::new(),
            writer,
            backlog: Vec::new(),
            sent: 0,
            alive: None,
            applied: None,
            snapshots: Questions::default(),
            samples: BTreeMap::new(),
            claimed: VecDeque::new(),
            ran: VecDeque::new(),
        })
    }

    /// Waits until something was heard or what waits could be written; false when the supervisor is gone. Dropping
    /// the future loses nothing.
    pub async fn turn(&mut self) -> Result<bool, LinkError> {
        let waits = self.waits();
        tokio::select! {
            read = self.reader.read(&mut self.buffer) => match read {
                Ok(0) | Err(_) => return Ok(false),
                Ok(count) => {
                    self.decoder.push(&self.buffer[..count]); // read() counts within the buffer
                    while let Some(order) = self.decoder.message()? {
                        self.heard.push_back(order);
                    }
                }
            },
            _ = self.writer.writable(), if waits => self.flush(),
        }
        Ok(true)
    }

    /// The next order that was heard.
    pub fn order(&mut self) -> Option<ToScripts> {
        self.heard.pop_front()
    }

    /// A heartbeat to answer.
    pub fn alive(&mut self, number: u64) {
        self.alive = Some(number);
    }

    /// The plan of this generation is in force.
    pub fn applied(&mut self, generation: Generation) {
        self.applied = Some(generation);
    }

    /// A snapshot is wanted.
    pub fn want_snapshot(&mut self, number: u64) {
        self.snapshots.ask(number);
    }

    /// A tracker's sample changed; and why, if that is known.
    pub fn sample(&mut self, key: TrackerKey, sample: Option<Sample>, words: Option<String>) {
        self.samples.insert(key, (sample, words));
    }

    /// A claim script has ended.
    pub fn claimed(&mut self, claimed: Claimed) {
        self.claimed.retain(|earlier| earlier.router != claimed.router);
        self.claimed.push_back(claimed);
    }

    /// A program for a check has ended. The oldest is forgotten when nobody reads: the checker has its own clock.
    pub fn ran(&mut self, report: RunReport) {
        if self.ran.len() >= MAX_RAN {
            self.ran.pop_front();
        }
        self.ran.push_back(report);
    }

    /// Says what there is to say, once the supervisor has read what went before.
    pub fn answer(&mut self, mut snapshot: impl FnMut(u64) -> FromScripts) {
        while !self.waits() {
            let message = if let Some(number) = self.alive.take() {
                FromScripts::Alive(number)
            } else if let Some(claimed) = self.claimed.pop_front() {
                FromScripts::Claimed(claimed)
            } else if let Some((key, (sample, words))) = self.samples.pop_first() {
                if let Some(words) = words {
                    self.send(&FromScripts::TrackerWords(key.clone(), words));
                }
                FromScripts::Tracker(key, sample)
            } else if let Some(report) = self.ran.pop_front() {
                FromScripts::Ran(report)
            } else if let Some(generation) = self.applied.take() {
                FromScripts::Applied(generation)
            } else if let Some(number) = self.snapshots.next() {
                snapshot(number)
            } else {
                return;
            };
            self.send(&message);
        }
    }

    /// Says the last words, and waits a moment for the supervisor to take them.
    pub async fn farewell(mut self, message: &FromScripts) {
        self.send(message);
        let send_all = async {
            while self.waits() && self.writer.writable().await.is_ok() {
                self.flush();
            }
        };
        if tokio::time::timeout(FAREWELL, send_all).await.is_err() {
            warn!("the supervisor did not read the end of this role");
        }
    }

    fn waits(&self) -> bool {
        self.sent < self.backlog.len()
    }

    fn send(&mut self, message: &FromScripts) {
        match encode(message) {
            Ok(frame) => {
                self.backlog.extend_from_slice(&frame);
                self.flush();
            }
            Err(why) => error!("message to the supervisor dropped: {why}"),
        }
    }

    /// Writes as much as fits now. A link that broke is noticed by the reader.
    fn flush(&mut self) {
        while self.waits() {
            match self.writer.try_write(&self.backlog[self.sent..]) {
                Ok(count) if count > 0 => self.sent += count,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => self.sent = self.backlog.len(),
            }
        }
        (self.backlog, self.sent) = (Vec::new(), 0);
    }
}
