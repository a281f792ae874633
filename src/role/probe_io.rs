//! Real sockets for the conversations of `check::probe`: one socket, one deadline per step. Those over plain TCP, which
//! are most, share one set (`streams`); the others are tasks.

pub(super) mod http2;
#[cfg(feature = "openssl")]
pub(super) mod old_tls;
mod overheard;
mod ping;
pub mod streams;
pub(super) mod tls;
mod trace;
mod trust;

pub use trace::Trace;

use crate::check::probe::{Mark, Outcome, Probe, ProbeInput, ProbeStep, conversation, words};
use crate::plan::check::{CheckKind, Question, Source, Target};
use crate::sys::process::raise_descriptor_limit;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// Conversations at a time, where there are file descriptors for them: each takes one. A /16 of servers that do not answer,
/// asked every ten seconds with a connect_timeout of five, needs half as many.
const MOST_CONVERSATIONS: u64 = 65_536;

/// As many at a time, however little the machine allows: what has no descriptor then says so.
const LEAST_CONVERSATIONS: u64 = 64;

/// File descriptors that this process needs besides.
const OTHER_DESCRIPTORS: u64 = 128;

/// Conversations at a time; the process takes as many descriptors for them as it may have.
pub fn most_conversations() -> usize {
    let descriptors = raise_descriptor_limit(MOST_CONVERSATIONS + OTHER_DESCRIPTORS).unwrap_or(0);
    descriptors.saturating_sub(OTHER_DESCRIPTORS).clamp(LEAST_CONVERSATIONS, MOST_CONVERSATIONS) as usize
}

/// A conversation ends after this many connect_timeouts, however lively: a server that sends one octet now and then
/// would hold a socket for ever.
pub const MAX_STEPS: u32 = 60;

/// The most that is read of a stream at once.
const READ_SIZE: usize = 64 << 10;

/// Octets of a datagram that are looked at, where no `max_reply_length` asks for more. Each conversation has room of its own,
/// and there may be many; a name server sends 512 to those who do not say that they take more (RFC 1035 4.2.1).
const DATAGRAM_SIZE: usize = 4 << 10;

/// Holds the conversation about part `part` of `question`; how it ended and how long it took. What passes is recorded
/// in `trace`.
pub async fn ask(question: &Question, part: usize, mark: Mark, trace: Option<Trace>) -> (Outcome, Duration) {
    let started = Instant::now();
    let limit = question.schedule.connect_timeout;
    if let Some(trace) = &trace {
        trace.note(&opening(question));
    }
    let probe = match begin(question, part, mark, trace.as_ref()) {
        Ok(probe) => probe,
        Err(why) => return (Outcome::NotRun(why), Duration::ZERO),
    };
    let trace = trace.as_ref();
    let talk = async {
        match question.kind {
            // In boxes: a task is as large as the largest of them, and most are TCP.
            CheckKind::Ping => Box::pin(ping::ping(&question.target, probe, mark, limit)).await,
            CheckKind::Udp(_) | CheckKind::Dns(_) => Box::pin(datagrams(question, probe, limit)).await,
            _ => connected(question, part, probe, limit, trace).await,
        }
    };
    let outcome = match timeout(limit.saturating_mul(MAX_STEPS), talk).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!("no end within {}", words(limit * MAX_STEPS))),
    };
    (outcome, started.elapsed())
}

/// The conversation, recorded where somebody wants to see it.
fn begin(
    question: &Question,
    part: usize,
    mark: Mark,
    trace: Option<&Trace>,
) -> Result<Box<dyn Probe>, String> {
    if let Some(begun) = http2::conversation(question, part, trace.cloned()) {
        return begun;
    }
    let probe = conversation(question, part, mark).ok_or("it is not asked over the network")?;
    Ok(match trace {
        Some(trace) => trace.watch(probe),
        None => probe,
    })
}

/// The first line of a record: to whom, and from where.
fn opening(question: &Question) -> String {
    let endpoint = question.target.endpoint;
    let Source { bind_address, bind_port, fwmark, bind_interface } = question.target.source();
    let mut line = match question.kind {
        CheckKind::Ping => format!("to {}", endpoint.ip()),
        _ => format!("to {endpoint}"),
    };
    if let Some(address) = bind_address {
        line += &format!(" from {address}");
    }
    if *bind_port != 0 {
        line += &format!(" from port {bind_port}");
    }
    if let Some(interface) = bind_interface {
        line += &format!(" through {interface}");
    }
    if *fwmark != 0 {
        line += &format!(" with mark {fwmark}");
    }
    line + &format!(", {} for each step", words(question.schedule.connect_timeout))
}

/// A conversation over TCP that is not one of `streams`: through TLS, or over HTTP/2.
async fn connected(
    question: &Question,
    part: usize,
    mut probe: Box<dyn Probe>,
    limit: Duration,
    trace: Option<&Trace>,
) -> Outcome {
    let target = &question.target;
    let started = Instant::now();
    let begun = open_stream(target).map(|socket| (socket.connect(&target.endpoint.into()), socket));
    let connection = match begun {
        Err(why) => return Outcome::NotRun(why),
        Ok((Err(error), _)) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
            return not_begun(target, &error, started.elapsed(), &mut *probe);
        }
        Ok((_, socket)) => match TcpStream::from_std(socket.into()) {
            Ok(connection) => connection,
            Err(error) => return Outcome::NotRun(no_socket(&error)),
        },
    };
    match timeout(limit, stands(&connection)).await {
        Err(_) => end(probe.step(ProbeInput::TimedOut(limit))),
        Ok(Err(error)) => not_answered(target, &error, started.elapsed(), &mut *probe),
        Ok(Ok(())) => match tls::Session::of(&question.kind, part) {
            Some(session) => {
                if let Some(trace) = trace {
                    trace.note("the connection stands, TLS begins");
                }
                Box::pin(tls::converse(&session, target, connection, probe, limit)).await
            }
            None => talk(&mut { connection }, &mut *probe, limit).await,
        },
    }
}

/// Waits until it does, or is known not to.
async fn stands(connection: &TcpStream) -> io::Result<()> {
    connection.writable().await?;
    connection.take_error()?.map_or(Ok(()), Err)
}

/// What it means that no connection was begun, `took` after it was asked for.
fn not_begun(target: &Target, error: &io::Error, took: Duration, probe: &mut dyn Probe) -> Outcome {
    match is_our_own(error) {
        true => Outcome::NotRun(cannot_connect(target, error)),
        false => no_connection(target, error, took, probe),
    }
}

/// What it means that a connection was begun and came to nothing. EACCES is then an answer from the network: a firewall
/// rejects over IPv6 ("administratively prohibited", RFC 4443 3.1); at once it is a prohibition of this machine.
fn not_answered(target: &Target, error: &io::Error, took: Duration, probe: &mut dyn Probe) -> Outcome {
    match error.raw_os_error() {
        Some(libc::EACCES) => no_connection(target, error, took, probe),
        _ => not_begun(target, error, took, probe),
    }
}

fn no_connection(target: &Target, error: &io::Error, took: Duration, probe: &mut dyn Probe) -> Outcome {
    let why = match error.kind() {
        io::ErrorKind::NetworkUnreachable if has_no_route(target) => NO_ROUTE.to_owned(),
        _ => how_it_broke(error),
    };
    let how = format!("{why} after {}", words(took));
    end(probe.step(ProbeInput::Broken(&how)))
}

/// Said where it is this machine that knows no way. A failure all the same, as for keepalived: clients are sent the same way.
const NO_ROUTE: &str = "this machine has no route to it";

/// Does this machine itself know no way there? A router far away says the same words.
fn has_no_route(target: &Target) -> bool {
    let Ok(socket) = datagram_socket(target) else { return false };
    let connected = socket.connect(&target.endpoint.into());
    connected.is_err_and(|error| error.kind() == io::ErrorKind::NetworkUnreachable)
}

/// Passes on what is said, over anything that is a stream.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut S,
    probe: &mut dyn Probe,
    limit: Duration,
) -> Outcome {
    let mut step = probe.step(ProbeInput::Connected);
    loop {
        step = match step {
            ProbeStep::Done(outcome) => return outcome,
            ProbeStep::Send(octets) => match timeout(limit, send(connection, &octets)).await {
                Ok(Ok(())) => ProbeStep::Wait,
                Ok(Err(error)) => probe.step(ProbeInput::Broken(&how_it_broke(&error))),
                Err(_) => probe.step(ProbeInput::TimedOut(limit)),
            },
            ProbeStep::Wait => match timeout(limit, hear(connection, probe)).await {
                Ok(step) => step,
                Err(_) => probe.step(ProbeInput::TimedOut(limit)),
            },
        };
    }
}

thread_local! {
    /// What is read is looked at before anybody else reads: one place is enough for all conversations of a thread.
    static HEARD: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into_boxed_slice());
}

/// The step that follows from the next octets, or from their end. Nothing is held while none come.
async fn hear<S: AsyncRead + Unpin>(connection: &mut S, probe: &mut dyn Probe) -> ProbeStep {
    poll_fn(|context| {
        HEARD.with_borrow_mut(|place| {
            let mut buffer = ReadBuf::new(place);
            let read = ready!(Pin::new(&mut *connection).poll_read(context, &mut buffer));
            Poll::Ready(match read {
                Ok(()) if buffer.filled().is_empty() => probe.step(ProbeInput::Closed),
                Ok(()) => probe.step(ProbeInput::Data(buffer.filled())),
                // The end of a TLS stream without close_notify: as for keepalived, an end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => probe.step(ProbeInput::Closed),
                Err(error) => probe.step(ProbeInput::Broken(&how_it_broke(&error))),
            })
        })
    })
    .await
}

async fn send<S: AsyncWrite + Unpin>(connection: &mut S, octets: &[u8]) -> io::Result<()> {
    connection.write_all(octets).await?;
    connection.flush().await
}

/// A TCP socket from where the configuration wants it, not connected.
fn open_stream(target: &Target) -> Result<Socket, String> {
    let domain = Domain::for_address(target.endpoint);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP));
    let socket = socket.map_err(|error| no_socket(&error))?;
    prepare(SockRef::from(&socket), target)?;
    if let Some(local) = local_address(target) {
        // The local port of the last check may still be in TIME_WAIT.
        socket.set_reuse_address(true).map_err(|error| format!("cannot reuse a local port: {error}"))?;
        if local.port() == 0 {
            // The port is found when it is known to whom: else the ports of conversations that are over (TIME_WAIT, a minute)
            // are used up by 500 checks a second. A kernel without this still has ports.
            setsockopt(&socket, IpBindAddressNoPort, &true).ok();
        }
        socket.bind(&local.into()).map_err(|error| cannot_bind(local, &error))?;
    }
    Ok(socket)
}

/// Room for an answer: one octet more than the longest good one, so that a longer one is seen to be too long.
fn datagram_room(kind: &CheckKind) -> usize {
    match kind {
        CheckKind::Udp(check) => DATAGRAM_SIZE.max(usize::from(*check.reply_length.end()) + 1),
        _ => DATAGRAM_SIZE,
    }
}

/// A conversation of datagrams; the limit covers the whole of it.
async fn datagrams(question: &Question, mut probe: Box<dyn Probe>, limit: Duration) -> Outcome {
    let target = &question.target;
    let socket = datagram_socket(target);
    let socket =
        socket.and_then(|socket| UdpSocket::from_std(socket.into()).map_err(|error| no_socket(&error)));
    let socket = match socket {
        Ok(socket) => socket,
        Err(why) => return Outcome::NotRun(why),
    };
    let deadline = Instant::now() + limit;
    if let Err(error) = socket.connect(target.endpoint).await {
        return match is_our_own(&error) {
            true => Outcome::NotRun(cannot_connect(target, &error)),
            false => end(probe.step(ProbeInput::Broken(&how_it_broke(&error)))),
        };
    }
    let mut buffer = Vec::new();
    let mut step = probe.step(ProbeInput::Connected);
    loop {
        step = match step {
            ProbeStep::Done(outcome) => return outcome,
            ProbeStep::Send(octets) => match timeout_at(deadline, socket.send(&octets)).await {
                Ok(Ok(_)) => ProbeStep::Wait,
                Ok(Err(error)) if is_our_own(&error) => {
                    return Outcome::NotRun(format!("cannot send: {error}"));
                }
                Ok(Err(error)) => probe.step(ProbeInput::Broken(&refused(&error))),
                Err(_) => probe.step(ProbeInput::TimedOut(limit)),
            },
            ProbeStep::Wait => {
                buffer.resize(datagram_room(&question.kind), 0);
                match timeout_at(deadline, socket.recv(&mut buffer)).await {
                    Ok(Ok(count)) => probe.step(ProbeInput::Data(&buffer[..count])), // recv() counts within the buffer
                    Ok(Err(error)) => probe.step(ProbeInput::Broken(&refused(&error))),
                    Err(_) => probe.step(ProbeInput::TimedOut(limit)),
                }
            }
        };
    }
}

/// How a datagram socket says that an ICMP error came.
fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "port unreachable".into(),
        _ => how_it_broke(error),
    }
}

fn datagram_socket(target: &Target) -> Result<Socket, String> {
    let domain = Domain::for_address(target.endpoint);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), None).map_err(|error| no_socket(&error))?;
    prepare(SockRef::from(&socket), target)?;
    if let Some(local) = local_address(target) {
        socket.bind(&local.into()).map_err(|error| cannot_bind(local, &error))?;
    }
    Ok(socket)
}

/// What the configuration says of the packets of a check.
fn prepare(socket: SockRef<'_>, target: &Target) -> Result<(), String> {
    let source = target.source();
    if source.fwmark != 0 {
        let mark = source.fwmark;
        socket.set_mark(mark).map_err(|error| format!("cannot set fwmark {mark}: {error}"))?;
    }
    if let Some(name) = &source.bind_interface {
        let bound = socket.bind_device(Some(name.as_bytes()));
        bound.map_err(|error| format!("cannot leave through interface {name}: {error}"))?;
    }
    Ok(())
}

/// Told apart for people: an address that is not there (yet) is the usual reason.
fn cannot_bind(local: SocketAddr, error: &io::Error) -> String {
    match (error.kind(), local.port()) {
        (io::ErrorKind::AddrNotAvailable, _) => {
            format!("no interface has the address {} (bindto)", local.ip())
        }
        (io::ErrorKind::AddrInUse, 0) => format!("{NO_PORT} on {}", local.ip()),
        (io::ErrorKind::AddrInUse, _) => format!("the local address and port {local} are taken"),
        _ => format!("cannot bind to {local}: {error}"),
    }
}

/// All local ports are in use.
const NO_PORT: &str = "no local port is free (widen net.ipv4.ip_local_port_range)";

/// No socket, and what to do about it.
fn no_socket(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "this process has no file descriptor left (raise LimitNOFILE)".into(),
        Some(libc::ENFILE) => "this machine has no file descriptor left (raise fs.file-max)".into(),
        _ => format!("no socket: {error}"),
    }
}

/// A connection that our own machine could not begin.
fn cannot_connect(target: &Target, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable if target.source().bind_port == 0 => {
            format!("{NO_PORT}, or no address")
        }
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
            "the connection from this local port is still known to the kernel (bind_port)".into()
        }
        io::ErrorKind::InvalidInput
            if target.source().bind_interface.is_none() && target.endpoint.is_ipv6() =>
        {
            "a link-local address needs an interface (bind_if)".into()
        }
        _ => format!("cannot connect: {error}"),
    }
}

/// What to bind to, if anything.
fn local_address(target: &Target) -> Option<SocketAddr> {
    let any = match target.endpoint {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let source = target.source();
    match (source.bind_address, source.bind_port) {
        (None, 0) => None,
        (address, port) => Some(SocketAddr::new(address.unwrap_or(any), port)),
    }
}

/// Does the error speak of this machine rather than of the server or the way to it?
fn is_our_own(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    let theirs = [
        ConnectionRefused,
        ConnectionReset,
        ConnectionAborted,
        HostUnreachable,
        NetworkUnreachable,
        NetworkDown,
        TimedOut,
        BrokenPipe,
    ];
    // An ICMP error that the kernel translates to these speaks of the way, too.
    let icmp = [libc::EHOSTDOWN, libc::ENONET, libc::EPROTO, libc::ENOPROTOOPT];
    !theirs.contains(&error.kind()) && !error.raw_os_error().is_some_and(|errno| icmp.contains(&errno))
}

fn how_it_broke(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset by the server".into(),
        io::ErrorKind::BrokenPipe => "connection closed by the server while we spoke".into(),
        io::ErrorKind::HostUnreachable => "host unreachable".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        io::ErrorKind::TimedOut => "connection timed out".into(),
        // Of what comes from the network only ICMPv6 means this.
        _ if error.raw_os_error() == Some(libc::EACCES) => {
            "administratively prohibited (a firewall rejects)".into()
        }
        _ => error.to_string(),
    }
}

/// The outcome of a step that a probe answers with an end.
fn end(step: ProbeStep) -> Outcome {
    match step {
        ProbeStep::Done(outcome) => outcome,
        ProbeStep::Send(_) | ProbeStep::Wait => Outcome::Failure("no connection".into()),
    }
}

#[cfg(test)]
mod tests;
