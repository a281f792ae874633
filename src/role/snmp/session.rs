//! A session with an AgentX master: opens it, registers what is ours, hands questions on, writes answers. Nothing waits.

use super::stream::Stream;
use crate::plan::snmp::Place;
use crate::report::mib;
use crate::sys::poll::{Interest, Poller};
use crate::time::Instant;
use crate::wire::agentx::{self, Fault, HEADER_LEN, Header, Heard, Oid, Range, VarBind};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

/// Octets that may wait for a master that does not read; more than that, and the session ends.
const MAX_BACKLOG: usize = 32 << 20;

/// Traps are given up first.
const MAX_TRAPS: usize = MAX_BACKLOG / 2;

/// The master is asked if it is there after so long without a word, and given up after the same time again.
const SILENCE: Duration = Duration::from_secs(15);

/// AgentX's error for a session that is not there (RFC 2741, 6.2.16).
const NOT_OPEN: u16 = 257;

/// Its error for a subtree that somebody has registered with the same priority.
const DUPLICATE: u16 = 263;

/// Seconds that a master should wait for an answer: the checker role may be asked for it.
const PATIENCE: u8 = 5;

/// What a manager wants to know.
#[derive(Debug)]
pub(super) enum Question {
    /// The values of these.
    Get(Vec<Range>),
    /// What is next.
    Next(Vec<Range>),
    /// What is next, once for the first so many, then over and over.
    Bulk { once: u16, times: u16, ranges: Vec<Range> },
}

/// How the session ended, a sentence.
#[derive(Debug)]
pub(super) struct Ended(pub(super) String);

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended(error.to_string())
    }
}

#[derive(Debug)]
enum Phase {
    /// The session is asked for.
    Opening,
    /// What is left to register; the first has been asked for.
    Registering(VecDeque<Oid>),
    Open,
}

/// A session, or the way to one.
#[derive(Debug)]
pub(super) struct Session {
    stream: Stream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    phase: Phase,
    number: u32,
    packet: u32,
    heard_at: Instant,
    pinged_at: Option<Instant>,
}

impl Session {
    /// Connects and asks for a session.
    pub(super) fn begin(place: &Place, now: Instant) -> io::Result<Session> {
        let stream = Stream::open(place)?;
        let outgoing = agentx::open(1, PATIENCE, "holdfast");
        let (phase, incoming) = (Phase::Opening, Vec::new());
        Ok(Session {
            stream,
            incoming,
            outgoing,
            phase,
            number: 0,
            packet: 1,
            heard_at: now,
            pinged_at: None,
        })
    }

    /// Watches the connection.
    pub(super) fn watch(&self, poller: &Poller, token: u64) -> io::Result<()> {
        poller.add(&self.stream, token, self.interest())
    }

    /// Says again what is waited for.
    pub(super) fn rearm(&self, poller: &Poller, token: u64) -> io::Result<()> {
        poller.modify(&self.stream, token, self.interest())
    }

    fn interest(&self) -> Interest {
        if self.outgoing.is_empty() { Interest::Read } else { Interest::ReadWrite }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Reads what there is: questions are for the caller. What was said before an end still counts: it may be the reason.
    pub(super) fn hear(&mut self, now: Instant) -> Result<Vec<(Header, Question)>, Ended> {
        let end = self.read(now);
        let mut questions = Vec::new();
        let mut read = 0;
        while let Some((header, payload)) = whole_packet(&self.incoming[read..])? {
            let heard = Heard::decode(&header, payload);
            read += HEADER_LEN + payload.len();
            questions.extend(self.understand(&header, heard)?.map(|question| (header, question)));
        }
        self.incoming.drain(..read);
        end.map(|()| questions)
    }

    fn read(&mut self, now: Instant) -> Result<(), Ended> {
        let mut buffer = [0; 16 << 10];
        while self.incoming.len() <= MAX_BACKLOG {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Ended("the master has closed the connection".to_owned())),
                Ok(count) => {
                    self.incoming.extend_from_slice(&buffer[..count]);
                    self.heard_at = now;
                    self.pinged_at = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A question, if it is one that must be looked up.
    fn understand(
        &mut self,
        header: &Header,
        heard: Result<Heard, agentx::Malformed>,
    ) -> Result<Option<Question>, Ended> {
        let fault = match heard {
            Ok(Heard::Get(ranges)) => return Ok(Some(Question::Get(ranges))),
            Ok(Heard::GetNext(ranges)) => return Ok(Some(Question::Next(ranges))),
            Ok(Heard::GetBulk { once, times, ranges }) => {
                return Ok(Some(Question::Bulk { once, times, ranges }));
            }
            Ok(Heard::Response(error)) => return self.answered(header, error).map(|()| None),
            Ok(Heard::Close(reason)) => return Err(closed(reason)),
            Ok(Heard::CleanupSet) => return Ok(None),
            Ok(Heard::TestSet | Heard::Set) => Fault::NotWritable,
            Ok(Heard::Context) => Fault::UnsupportedContext,
            Ok(Heard::Other(_)) => Fault::General,
            Err(_) if header.is_question() => Fault::Parse,
            Err(error) => return Err(Ended(format!("the master sends {error}"))),
        };
        self.say(agentx::respond(header, Err((fault, 1))));
        Ok(None)
    }

    /// An answer to a packet of ours.
    fn answered(&mut self, header: &Header, error: u16) -> Result<(), Ended> {
        match &mut self.phase {
            Phase::Opening if error != 0 => {
                return Err(Ended(format!("the master refuses the session (AgentX error {error})")));
            }
            Phase::Opening => {
                self.number = header.session;
                self.phase = Phase::Registering(mib::subtrees().into());
                self.register_first();
            }
            Phase::Registering(left) => {
                let subtree = left.pop_front().unwrap_or_default();
                match error {
                    0 => {}
                    // Another agent may say who this node is.
                    DUPLICATE if !mib::is_of_servers(&subtree) => {}
                    DUPLICATE => {
                        let why = format!(
                            "{subtree} is served by somebody else: does keepalived run, or a second holdfast?"
                        );
                        return Err(Ended(why));
                    }
                    error => {
                        return Err(Ended(format!(
                            "the master does not take {subtree}: AgentX error {error}"
                        )));
                    }
                }
                if left.is_empty() {
                    self.phase = Phase::Open;
                } else {
                    self.register_first();
                }
            }
            // Of pings and traps.
            Phase::Open if error == NOT_OPEN => {
                return Err(Ended("the master no longer knows the session".to_owned()));
            }
            Phase::Open => {}
        }
        Ok(())
    }

    fn register_first(&mut self) {
        let Phase::Registering(left) = &self.phase else { return };
        let Some(subtree) = left.front().cloned() else { return };
        let packet = self.next_packet();
        self.say(agentx::register(self.number, packet, &subtree));
    }

    fn next_packet(&mut self) -> u32 {
        self.packet = self.packet.wrapping_add(1);
        self.packet
    }

    /// Answers with values.
    pub(super) fn answer(&mut self, question: &Header, values: &[VarBind]) {
        self.say(agentx::respond(question, Ok(values)));
    }

    /// Sends a trap; false if that cannot be done: there is no session yet, or the master is far behind.
    pub(super) fn trap(&mut self, variables: &[VarBind]) -> bool {
        if !self.is_open() || self.outgoing.len() > MAX_TRAPS {
            return false;
        }
        let packet = self.next_packet();
        self.say(agentx::notify(self.number, packet, variables));
        true
    }

    /// The last word; nobody waits for an answer.
    pub(super) fn farewell(mut self) {
        let packet = self.next_packet();
        self.say(agentx::close(self.number, packet));
        // It is gone already if this fails.
        let _ = self.write();
    }

    fn say(&mut self, packet: Vec<u8>) {
        self.outgoing.extend(packet);
    }

    /// Writes as much as fits now.
    pub(super) fn write(&mut self) -> Result<(), Ended> {
        let mut written = 0;
        while written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.outgoing.drain(..written);
        if self.outgoing.len() > MAX_BACKLOG {
            return Err(Ended("the master does not read its answers".to_owned()));
        }
        Ok(())
    }

    /// When the master must be asked if it is there, or given up.
    pub(super) fn deadline(&self) -> Instant {
        self.pinged_at.unwrap_or(self.heard_at) + SILENCE
    }

    /// That time has come.
    pub(super) fn overdue(&mut self, now: Instant) -> Result<(), Ended> {
        if self.deadline() > now {
            return Ok(());
        }
        if self.pinged_at.is_some() || !self.is_open() {
            return Err(Ended("the master does not answer".to_owned()));
        }
        self.pinged_at = Some(now);
        let packet = self.next_packet();
        self.say(agentx::ping(self.number, packet));
        Ok(())
    }
}

/// The first packet of `octets`, if it is all there.
fn whole_packet(octets: &[u8]) -> Result<Option<(Header, &[u8])>, Ended> {
    let Some((head, rest)) = octets.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let header = Header::decode(head).map_err(|error| Ended(format!("the master sends {error}")))?;
    Ok(rest.get(..header.payload).map(|payload| (header, payload)))
}

fn closed(reason: u8) -> Ended {
    let why = match reason {
        2 => "it could not read what we said",
        3 => "we broke the protocol",
        4 => "we did not answer in time",
        5 => "it shuts down",
        6 => "a manager wanted it",
        _ => "no reason is given",
    };
    Ended(format!("the master has closed the session: {why}"))
}
