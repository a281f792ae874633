//! Conversations over plain TCP: all in one set, without a task, a timer or a registration for each.
//!
//! A connection that is begun is not watched yet. After a few are, one look at all of them finds those that stand or are
//! refused already (a server on this machine or next to it); only the others are handed to the kernel to be watched, once.
//! The deadlines of all conversations, and that of whoever drives this, share one timer.

use super::{HEARD, MAX_STEPS, Trace, end, how_it_broke, not_answered, not_begun, open_stream, opening};
use crate::check::CheckId;
use crate::check::probe::{Mark, Outcome, Probe, ProbeInput, ProbeStep, conversation, words};
use crate::plan::check::{CheckKind, HttpVersion, Question};
use crate::sys::clock::monotonic_now;
use crate::sys::closing::close_all;
use crate::sys::edges::{Edge, Edges, ready_now};
use crate::sys::readable::Readable;
use crate::sys::timer::Timer;
use crate::time::Instant;
use socket2::Socket;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Connections that are begun before the first of them are looked at, and the clock is: at 10 to 20 us each, how long one
/// took is known well enough.
const TOGETHER: usize = 16;

/// The token of the timer; checks count from 0.
const ALARM: u64 = u64::MAX;

/// Is `question` asked over plain TCP? HTTP/2, and with it gRPC, has a state that is a task's.
pub fn is_stream(question: &Question) -> bool {
    match &question.kind {
        CheckKind::Tcp | CheckKind::Talk(_) | CheckKind::Smtp(_) => true,
        CheckKind::Http(check) => check.tls.is_none() && check.version != HttpVersion::V2,
        _ => false,
    }
}

/// All conversations of a role. `start` them, then `settle`; when `ready` says so, `turn`; what has ended is in
/// `next_ended`.
pub struct Streams {
    talks: HashMap<CheckId, Box<Talk>>,
    /// Each conversation once, no later than its own deadline is.
    deadlines: BTreeSet<(Instant, CheckId)>,
    /// Begun when, and not looked at since.
    fresh: Vec<CheckId>,
    fresh_since: Instant,
    /// There may be more to read at once; each gets its turn.
    again: Vec<CheckId>,
    ended: VecDeque<Ended>,
    /// Of conversations that are over, to be closed together.
    done: Vec<OwnedFd>,
    watched: Edges,
    seen: Vec<Edge>,
    readable: Readable,
    timer: Timer,
    /// What the timer is set to.
    alarm: Option<Instant>,
}

/// A conversation that is over.
#[derive(Debug)]
pub struct Ended {
    /// Whose.
    pub check: CheckId,
    /// What about.
    pub question: Arc<Question>,
    /// How.
    pub outcome: Outcome,
    /// How long it took.
    pub latency: Duration,
}

impl Streams {
    /// None under way. Call it inside the runtime.
    pub fn new() -> io::Result<Streams> {
        let (watched, timer) = (Edges::new()?, Timer::new()?);
        watched.add(&timer, ALARM, false)?;
        Ok(Streams {
            talks: HashMap::new(),
            deadlines: BTreeSet::new(),
            fresh: Vec::new(),
            fresh_since: Instant::ZERO,
            again: Vec::new(),
            ended: VecDeque::new(),
            done: Vec::new(),
            readable: Readable::new(&watched)?,
            watched,
            seen: Vec::new(),
            timer,
            alarm: None,
        })
    }

    /// Begins a conversation about part `part` of `question`, recorded in `trace`.
    pub fn start(
        &mut self,
        check: CheckId,
        question: Arc<Question>,
        part: usize,
        mark: Mark,
        trace: Option<Trace>,
    ) {
        if self.fresh.is_empty() {
            self.fresh_since = monotonic_now();
        }
        let started = self.fresh_since;
        let ended = |question, outcome| Ended { check, question, outcome, latency: Duration::ZERO };
        let Some(mut probe) = conversation(&question, part, mark) else {
            let outcome = Outcome::NotRun("it is not asked over the network".into());
            return self.ended.push_back(ended(question, outcome));
        };
        if let Some(trace) = &trace {
            trace.note(&opening(&question));
            probe = trace.watch(probe);
        }
        let limit = question.schedule.connect_timeout;
        let target = &question.target;
        let socket = match open_stream(target) {
            Ok(socket) => socket,
            Err(why) => return self.ended.push_back(ended(question, Outcome::NotRun(why))),
        };
        match socket.connect(&target.endpoint.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
                let took = monotonic_now().saturating_duration_since(started);
                let outcome = not_begun(target, &error, took, &mut *probe);
                return self.ended.push_back(ended(question, outcome));
            }
            _ => {}
        }
        let (step_by, end_by) = (started + limit, started + limit.saturating_mul(MAX_STEPS));
        let talk = Talk {
            socket,
            probe,
            question,
            limit,
            started,
            step_by,
            end_by,
            alarm: step_by.min(end_by),
            stage: Stage::Connecting,
            watched: None,
            readable: false,
            ended: false,
            drained: false,
        };
        self.deadlines.insert((talk.alarm, check));
        self.talks.insert(check, Box::new(talk));
        self.fresh.push(check);
        if self.fresh.len() >= TOGETHER {
            self.look();
        }
    }

    /// Looks once at the connections begun last: those that stand go on, the others are watched from now on.
    pub fn settle(&mut self) {
        self.look();
        self.close();
    }

    fn look(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|check| self.talks.contains_key(check));
        if fresh.is_empty() {
            return;
        }
        let sockets = fresh.iter().filter_map(|check| self.talks.get(check)).map(|talk| talk.socket.as_fd());
        // What cannot be looked at is watched.
        let looks = ready_now(&sockets.collect::<Vec<_>>()).unwrap_or_default();
        let now = if looks.iter().any(|edge| edge.writable || edge.broken) {
            monotonic_now()
        } else {
            self.fresh_since
        };
        for (place, check) in fresh.iter().enumerate() {
            self.happened(*check, looks.get(place).copied().unwrap_or_default(), now);
        }
        fresh.clear();
        self.fresh = fresh;
    }

    /// Nobody wants to hear the end of this one.
    pub fn cancel(&mut self, check: CheckId) {
        if let Some(talk) = self.talks.remove(&check) {
            self.deadlines.remove(&(talk.alarm, check));
        }
    }

    /// Nor of any.
    pub fn cancel_all(&mut self) {
        self.talks.clear();
        self.deadlines.clear();
        self.ended.clear();
    }

    /// A conversation that is over.
    pub fn next_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// When a conversation takes too long.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// [`ready`](Self::ready) at `at` at the latest.
    pub fn wake_at(&mut self, at: Option<Instant>) -> io::Result<()> {
        if at == self.alarm {
            return Ok(());
        }
        self.alarm = at;
        self.timer.set(at)
    }

    /// Returns when there is something to do. Dropping the future loses nothing.
    pub async fn ready(&mut self) -> io::Result<()> {
        if self.again.is_empty() {
            return self.readable.wait().await;
        }
        // Others first.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Goes on with all conversations that can go on; ends those that took too long.
    pub fn turn(&mut self, now: Instant) -> io::Result<()> {
        let again = std::mem::take(&mut self.again);
        let mut seen = std::mem::take(&mut self.seen);
        self.watched.take(&mut seen)?;
        for edge in seen.drain(..) {
            match edge.token {
                ALARM => self.alarm = None,
                token => self.happened(CheckId(token), edge, now),
            }
        }
        self.seen = seen;
        for check in again {
            self.happened(check, Edge::default(), now);
        }
        self.expire(now);
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        if !self.done.is_empty() {
            close_all(std::mem::take(&mut self.done));
        }
    }

    fn happened(&mut self, check: CheckId, edge: Edge, now: Instant) {
        // It may have ended, or been cancelled, since this was seen.
        let Some(talk) = self.talks.get_mut(&check) else { return };
        let rest = talk.happened(edge, now);
        self.rest(check, rest, now);
    }

    fn rest(&mut self, check: CheckId, rest: Rest, now: Instant) {
        let Some(talk) = self.talks.get_mut(&check) else { return };
        match rest {
            Rest::Over(outcome) => self.end(check, outcome, now),
            Rest::More if self.again.contains(&check) => {}
            Rest::More => self.again.push(check),
            Rest::Waits => {
                if let Err(error) = talk.be_watched(&self.watched, check) {
                    let why = format!("the kernel does not watch the connection: {error}");
                    self.end(check, Outcome::NotRun(why), now);
                }
            }
        }
    }

    fn end(&mut self, check: CheckId, outcome: Outcome, now: Instant) {
        let Some(talk) = self.talks.remove(&check) else { return };
        self.deadlines.remove(&(talk.alarm, check));
        let Talk { socket, question, started, .. } = *talk;
        let latency = now.saturating_duration_since(started);
        // Another conversation may want the same local port at once.
        match question.target.source().bind_port {
            0 => self.done.push(socket.into()),
            _ => drop(socket),
        }
        self.ended.push_back(Ended { check, question, outcome, latency });
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(at, check)) = self.deadlines.first() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            let Some(talk) = self.talks.get_mut(&check) else { continue };
            let rest = talk.look_at_deadlines(now);
            // Something may have come since it was set. It lies ahead, or the conversation is over.
            talk.alarm = talk.step_by.min(talk.end_by);
            self.deadlines.insert((talk.alarm, check));
            if let Some(rest) = rest {
                self.rest(check, rest, now);
            }
        }
    }
}

/// One conversation.
struct Talk {
    socket: Socket,
    probe: Box<dyn Probe>,
    question: Arc<Question>,
    limit: Duration,
    started: Instant,
    /// When this step has taken too long.
    step_by: Instant,
    /// When all of it has, however lively.
    end_by: Instant,
    /// The one of these that is among the deadlines; they may have moved away since.
    alarm: Instant,
    stage: Stage,
    /// Watched, and if so for room to write, too?
    watched: Option<bool>,
    /// There is something to read, for all that is known.
    readable: bool,
    /// The other end was seen to have ended.
    ended: bool,
    /// And all that it said is read.
    drained: bool,
}

enum Stage {
    Connecting,
    /// Octets, and how many of them are sent.
    Sending(Vec<u8>, usize),
    Hearing,
}

/// Why a conversation does not go on at once.
enum Rest {
    /// Nothing more can be done now.
    Waits,
    /// It can go on, but others may wait.
    More,
    Over(Outcome),
}

/// What a read brought.
enum Heard {
    /// The step that follows; there may be more.
    More(ProbeStep),
    /// The step that follows.
    Step(ProbeStep),
    Nothing,
}

impl Talk {
    fn happened(&mut self, edge: Edge, now: Instant) -> Rest {
        self.readable |= edge.readable;
        self.ended = if edge.broken { false } else { self.ended || edge.ended };
        match &self.stage {
            Stage::Connecting if edge.broken || edge.writable => {
                if edge.broken
                    && let Ok(Some(error)) = self.socket.take_error()
                {
                    return Rest::Over(self.not_connected(&error, now));
                }
                self.progress(now);
                self.stage = Stage::Hearing;
                let step = self.probe.step(ProbeInput::Connected);
                self.go_on(step, now)
            }
            Stage::Connecting => Rest::Waits,
            Stage::Sending(..) => match self.flush() {
                Ok(true) => {
                    self.progress(now);
                    self.go_on(ProbeStep::Wait, now)
                }
                Ok(false) => Rest::Waits,
                Err(error) => {
                    let step = self.probe.step(ProbeInput::Broken(&how_it_broke(&error)));
                    self.go_on(step, now)
                }
            },
            Stage::Hearing => self.go_on(ProbeStep::Wait, now),
        }
    }

    /// Performs `step` and those that follow from it.
    fn go_on(&mut self, mut step: ProbeStep, now: Instant) -> Rest {
        loop {
            step = match step {
                ProbeStep::Done(outcome) => return Rest::Over(outcome),
                ProbeStep::Send(octets) => {
                    self.progress(now);
                    self.stage = Stage::Sending(octets, 0);
                    match self.flush() {
                        Ok(true) => ProbeStep::Wait,
                        Ok(false) => return Rest::Waits,
                        Err(error) => self.probe.step(ProbeInput::Broken(&how_it_broke(&error))),
                    }
                }
                ProbeStep::Wait if self.drained => self.closed(),
                ProbeStep::Wait if !self.readable => return Rest::Waits,
                ProbeStep::Wait => match self.hear() {
                    Heard::Nothing => return Rest::Waits,
                    Heard::Step(step) => {
                        self.progress(now);
                        step
                    }
                    Heard::More(ProbeStep::Wait) => {
                        self.progress(now);
                        return Rest::More;
                    }
                    Heard::More(step) => step,
                },
            };
        }
    }

    /// Something happened: the next step has all its time.
    fn progress(&mut self, now: Instant) {
        self.step_by = now + self.limit;
    }

    /// Sends what there is to send; true once all of it is.
    fn flush(&mut self) -> io::Result<bool> {
        let Stage::Sending(octets, sent) = &mut self.stage else { return Ok(true) };
        while let Some(rest) = octets.get(*sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.send_with_flags(rest, libc::MSG_NOSIGNAL) {
                Ok(count) => *sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => {
                    self.stage = Stage::Hearing;
                    return Err(error);
                }
            }
        }
        self.stage = Stage::Hearing;
        Ok(true)
    }

    /// One read, into the place that all conversations share.
    fn hear(&mut self) -> Heard {
        HEARD.with_borrow_mut(|place| {
            let read = loop {
                match (&self.socket).read(place) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            match read {
                Ok(0) => Heard::Step(self.closed()),
                Ok(count) => {
                    let step = self.probe.step(ProbeInput::Data(&place[..count])); // read() counts within its place
                    if count == place.len() {
                        return Heard::More(step);
                    }
                    // That was all, and the last if the end was seen before: no read is needed to see it again.
                    self.readable = false;
                    self.drained = self.ended;
                    Heard::Step(step)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Heard::Nothing
                }
                Err(error) => Heard::Step(self.probe.step(ProbeInput::Broken(&how_it_broke(&error)))),
            }
        })
    }

    /// The end of what the server says is told once.
    fn closed(&mut self) -> ProbeStep {
        (self.readable, self.drained) = (false, false);
        self.probe.step(ProbeInput::Closed)
    }

    /// What follows where a deadline has passed.
    fn look_at_deadlines(&mut self, now: Instant) -> Option<Rest> {
        if self.end_by <= now {
            let whole = self.limit.saturating_mul(MAX_STEPS);
            return Some(Rest::Over(Outcome::Failure(format!("no end within {}", words(whole)))));
        }
        if self.step_by > now {
            return None;
        }
        self.progress(now);
        let step = self.probe.step(ProbeInput::TimedOut(self.limit));
        Some(match self.stage {
            Stage::Connecting => Rest::Over(end(step)),
            Stage::Sending(..) | Stage::Hearing => {
                self.stage = Stage::Hearing;
                self.go_on(step, now)
            }
        })
    }

    fn not_connected(&mut self, error: &io::Error, now: Instant) -> Outcome {
        let took = now.saturating_duration_since(self.started);
        not_answered(&self.question.target, error, took, &mut *self.probe)
    }

    /// The kernel is to say when it can go on.
    fn be_watched(&mut self, watched: &Edges, check: CheckId) -> io::Result<()> {
        let writes = !matches!(self.stage, Stage::Hearing);
        match self.watched {
            None => watched.add(&self.socket, check.0, writes)?,
            Some(false) if writes => watched.modify(&self.socket, check.0, writes)?,
            Some(_) => return Ok(()),
        }
        self.watched = Some(writes);
        Ok(())
    }
}
