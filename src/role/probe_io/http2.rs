//! HTTP/2 below a check. The `h2` library wants a stream and a runtime; here it gets two buffers, and is asked what it has
//! to say whenever octets have come. So an HTTP/2 conversation is a probe like any other: octets in, octets out, an end.

use super::trace::Trace;
use crate::check::probe::answer::MAX_HEAD;
use crate::check::probe::http2::frames::{Frames, PREFACE};
use crate::check::probe::http2::{self, Call, Field, Said};
use crate::check::probe::traced::Passing;
use crate::check::probe::{Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::Question;
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Uri, Version};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a server may send before it hears that it was read: enough that a large page does not wait for that.
const WINDOW: u32 = 1 << 20;

/// How often the library may ask to be asked again for one piece of what came. It needs a handful.
const TURNS: usize = 1000;

/// Characters shown of what a server says with GOAWAY.
const SHOWN: usize = 80;

/// The conversation about part `part` of `question`; `None` where HTTP/2 does not carry it, an error in words where the
/// request cannot be written.
pub fn conversation(
    question: &Question,
    part: usize,
    trace: Option<Trace>,
) -> Option<Result<Box<dyn Probe>, String>> {
    let (request, call) = http2::call(question, part)?;
    Some(written(&request).map(|written| {
        let probe = Http2 {
            call,
            request: Some((written, Bytes::from(request.body))),
            session: None,
            wire: Pipe::default(),
            woken: Arc::default(),
            sent: Frames::default(),
            heard: Frames::default(),
            limit: question.schedule.connect_timeout,
            progress: Instant::now(),
            trace,
        };
        Box::new(probe) as Box<dyn Probe>
    }))
}

/// The same, with nobody who watches.
pub fn probe(question: &Question, part: usize) -> Option<Result<Box<dyn Probe>, String>> {
    conversation(question, part, None)
}

/// One request and its answer on a connection of its own.
struct Http2 {
    call: Box<dyn Call>,
    /// Until the connection stands.
    request: Option<(http::Request<()>, Bytes)>,
    session: Option<Session>,
    wire: Pipe,
    woken: Arc<Woken>,
    sent: Frames,
    heard: Frames,
    /// Of the answer something must come within this time, however many pings a server sends.
    limit: Duration,
    progress: Instant,
    trace: Option<Trace>,
}

/// What the library has of it.
struct Session {
    connection: Option<Connection<Pipe, Bytes>>,
    answer: Answer,
    /// Held, for the connection ends without it.
    _requests: SendRequest<Bytes>,
}

enum Answer {
    Head(ResponseFuture),
    Body(RecvStream),
    Ended,
}

impl Probe for Http2 {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        let outcome = match input {
            ProbeInput::Connected => match self.begin() {
                Ok(()) => self.pump(),
                Err(why) => Some(Outcome::NotRun(why)),
            },
            ProbeInput::Data(octets) => self.data(octets),
            ProbeInput::Closed => {
                self.note("the server ended the stream");
                self.wire.lock().closed = true;
                self.pump().or_else(|| self.call.hear(Said::Closed))
            }
            ProbeInput::Broken(how) => {
                self.note(how);
                self.call.hear(Said::Broken(how))
            }
            ProbeInput::TimedOut(limit) => {
                self.note(&format!("nothing for {}", words(limit)));
                self.call.hear(Said::TimedOut(limit))
            }
        };
        let ends = matches!(input, ProbeInput::Closed | ProbeInput::Broken(_) | ProbeInput::TimedOut(_));
        match outcome {
            Some(outcome) => ProbeStep::Done(outcome),
            None if ends => ProbeStep::Done(Outcome::Failure("no answer".into())),
            None => self.say(),
        }
    }
}

impl Http2 {
    fn begin(&mut self) -> Result<(), String> {
        self.note("connected, HTTP/2 begins");
        self.progress = Instant::now();
        let (request, body) = self.request.take().ok_or("asked twice")?;
        if let Some(trace) = &self.trace {
            let head = format!("{} {}\n{}", request.method(), request.uri(), fields_text(request.headers()));
            trace.passes(Passing::Sent(head.as_bytes()));
            if !body.is_empty() {
                trace.passes(Passing::Sent(&body));
            }
        }
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_HEAD as u32); // 64 KiB
        let handshake = pin!(builder.handshake(self.wire.clone()));
        // It only writes the preface, and the buffer takes it.
        let Poll::Ready(begun) = handshake.poll(&mut Context::from_waker(Waker::noop())) else {
            return Err("HTTP/2 does not begin".into());
        };
        let (mut requests, connection) = begun.map_err(|error| format!("HTTP/2 does not begin: {error}"))?;
        let cannot = |error: h2::Error| format!("the request cannot be sent over HTTP/2: {error}");
        let (response, mut rest) = requests.send_request(request, body.is_empty()).map_err(cannot)?;
        if !body.is_empty() {
            rest.send_data(body, true).map_err(cannot)?;
        }
        let answer = Answer::Head(response);
        self.session = Some(Session { connection: Some(connection), answer, _requests: requests });
        Ok(())
    }

    fn data(&mut self, octets: &[u8]) -> Option<Outcome> {
        let mut seen = Vec::new();
        let checked = self.heard.take(octets, |frame| seen.push(frame));
        if let Some(trace) = self.trace.as_ref().filter(|_| !seen.is_empty()) {
            trace.note(&format!("the server sends {}", listed(&seen)));
        }
        self.wire.lock().inbound.extend(octets);
        // The first octets are shown to the library once it is known that they are no other protocol.
        let outcome = if self.heard.has_begun() { self.pump() } else { None };
        if let (None, Err(why)) = (&outcome, checked) {
            return self.call.hear(Said::Broken(&why));
        }
        if outcome.is_none() && self.progress.elapsed() >= self.limit {
            return self.call.hear(Said::TimedOut(self.limit));
        }
        outcome
    }

    /// What the library wants to say, if anything.
    fn say(&mut self) -> ProbeStep {
        let octets = std::mem::take(&mut self.wire.lock().outbound);
        if octets.is_empty() {
            return ProbeStep::Wait;
        }
        if let Some(trace) = &self.trace {
            let frames = octets.strip_prefix(PREFACE).unwrap_or(&octets);
            let mut said = Vec::new();
            // No limit holds for what we say ourselves.
            let _counted = self.sent.take(frames, |frame| said.push(frame));
            trace.note(&format!("we send {}", listed(&said)));
        }
        ProbeStep::Send(octets)
    }

    /// Lets the library work until it waits for the server.
    fn pump(&mut self) -> Option<Outcome> {
        let waker = Waker::from(self.woken.clone());
        let mut context = Context::from_waker(&waker);
        for _ in 0..TURNS {
            self.woken.0.store(false, Ordering::Relaxed);
            let ended = self.session.as_mut()?.work(&mut context);
            if let Poll::Ready(outcome) = self.hear(&mut context) {
                return Some(outcome);
            }
            if let Some(result) = ended {
                return self.broken(result.err());
            }
            if !self.woken.0.load(Ordering::Relaxed) {
                break;
            }
        }
        None
    }

    /// Passes on what there is of the answer.
    fn hear(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let Some(session) = &mut self.session else { return Poll::Pending };
            let heard = match &mut session.answer {
                Answer::Head(response) => match ready!(Pin::new(response).poll(context)) {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        session.answer = Answer::Body(body);
                        record_fields(self.trace.as_ref(), head.status.as_str(), &head.headers);
                        Ok(self.call.hear(Said::Head(head.status.as_u16(), &fields(&head.headers))))
                    }
                    Err(error) => Err(error),
                },
                Answer::Body(body) => match ready!(body.poll_data(context)) {
                    Some(Ok(octets)) => {
                        // The stream may be gone; then nobody waits for room on it.
                        let _gone = body.flow_control().release_capacity(octets.len());
                        if let Some(trace) = &self.trace {
                            trace.passes(Passing::Received(&octets));
                        }
                        Ok(self.call.hear(Said::Data(&octets)))
                    }
                    Some(Err(error)) => Err(error),
                    None => match ready!(body.poll_trailers(context)) {
                        Ok(trailers) => {
                            let trailers = trailers.unwrap_or_default();
                            record_fields(self.trace.as_ref(), "the answer ends", &trailers);
                            session.answer = Answer::Ended;
                            Ok(self.call.hear(Said::End(&fields(&trailers))))
                        }
                        Err(error) => Err(error),
                    },
                },
                Answer::Ended => return Poll::Pending,
            };
            self.progress = Instant::now();
            let outcome = match heard {
                Ok(outcome) => outcome,
                Err(error) => self.broken(Some(error)),
            };
            if let Some(outcome) = outcome {
                return Poll::Ready(outcome);
            }
        }
    }

    /// The request or the connection is over.
    fn broken(&mut self, error: Option<h2::Error>) -> Option<Outcome> {
        match error {
            Some(error) if !error.is_io() => self.call.hear(Said::Broken(&how_it_broke(&error))),
            _ => self.call.hear(Said::Closed),
        }
    }

    fn note(&self, words: &str) {
        if let Some(trace) = &self.trace {
            trace.note(words);
        }
    }
}

impl Session {
    /// Reads and writes frames; the end of the connection.
    fn work(&mut self, context: &mut Context<'_>) -> Option<Result<(), h2::Error>> {
        match Pin::new(self.connection.as_mut()?).poll(context) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.connection = None;
                Some(result)
            }
        }
    }
}

/// The request as the library takes it.
fn written(request: &http2::Request) -> Result<http::Request<()>, String> {
    let cannot = |what: &str, value: &str| format!("{what} {value} cannot be sent over HTTP/2");
    let authority = Authority::try_from(request.authority.as_str())
        .map_err(|_| cannot("virtualhost", &request.authority))?;
    let path = PathAndQuery::try_from(request.path.as_str()).map_err(|_| cannot("path", &request.path))?;
    let uri = Uri::builder().scheme(request.scheme).authority(authority).path_and_query(path).build();
    let uri = uri.map_err(|_| cannot("path", &request.path))?;
    let mut builder =
        http::Request::builder().method(request.method.as_str()).uri(uri).version(Version::HTTP_2);
    for (name, value) in &request.headers {
        builder = builder.header(name.as_str(), value.as_str());
    }
    builder.body(()).map_err(|error| format!("the request cannot be sent over HTTP/2: {error}"))
}

fn fields(headers: &HeaderMap) -> Vec<Field<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn fields_text(headers: &HeaderMap) -> String {
    let line = |(name, value): Field<'_>| format!("{name}: {}\n", String::from_utf8_lossy(value));
    fields(headers).into_iter().map(line).collect()
}

fn record_fields(trace: Option<&Trace>, first: &str, headers: &HeaderMap) {
    if let Some(trace) = trace {
        trace.passes(Passing::Received(format!("{first}\n{}", fields_text(headers)).as_bytes()));
    }
}

fn listed(frames: &[http2::frames::Frame]) -> String {
    match frames {
        [] => "the rest of a frame".into(),
        frames => frames.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Why there is no answer, or not all of it.
fn how_it_broke(error: &h2::Error) -> String {
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    if error.is_remote() {
        return match (error.is_reset(), reason) {
            (true, Reason::HTTP_1_1_REQUIRED) => "the server wants HTTP/1.1 for this url".into(),
            (true, _) => format!("the server ended the request: RST_STREAM {reason:?}"),
            // The library's own words add what the server said, if anything.
            (false, _) => format!("the server ended the connection: GOAWAY {reason:?}{}", said(error)),
        };
    }
    match reason {
        Reason::ENHANCE_YOUR_CALM => {
            "the server floods: too many frames, or headers that unpack to too much (ENHANCE_YOUR_CALM)"
                .into()
        }
        Reason::PROTOCOL_ERROR => format!(
            "the answer breaks the rules of HTTP/2, or its headers are over {} KiB (PROTOCOL_ERROR)",
            MAX_HEAD >> 10
        ),
        reason => format!("the answer breaks the rules of HTTP/2 ({reason:?})"),
    }
}

/// What a server says with GOAWAY, as the library shows it: in brackets, escaped.
fn said(error: &h2::Error) -> String {
    let text = error.to_string();
    let words = text.split_once(" (").map_or("", |(_, words)| words);
    match words {
        "" => String::new(),
        words => format!(" ({}", words.chars().take(SHOWN).collect::<String>()),
    }
}

/// The library asked to be asked again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream that is two buffers. Clones are the same stream.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Buffers>>);

#[derive(Default)]
struct Buffers {
    /// At most one piece, and what the library has left of the last one.
    inbound: VecDeque<u8>,
    closed: bool,
    /// Answers to one piece.
    outbound: Vec<u8>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Buffers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Pipe {
    /// Nothing has to be woken: after each piece the library is asked.
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffers = self.lock();
        if buffers.inbound.is_empty() && !buffers.closed {
            return Poll::Pending;
        }
        let (first, _) = buffers.inbound.as_slices();
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..count]); // at most its length
        buffers.inbound.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().outbound.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod live;
#[cfg(test)]
mod tests;
