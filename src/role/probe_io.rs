//! Real sockets for the conversations of `check::probe`: one socket, one task, one deadline per step.

use crate::check::probe::{Mark, Outcome, Probe, ProbeInput, ProbeStep, conversation, words};
use crate::plan::check::{CheckKind, Question, Target};
use crate::wire::icmp::Echo;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// Conversations at a time. Each takes a file descriptor, of which a process has 1024 unless somebody says else.
pub const MAX_CONVERSATIONS: usize = 512;

/// A conversation ends after this many connect_timeouts, however lively: a server that sends one octet now and then
/// would hold a socket for ever.
pub const MAX_STEPS: u32 = 60;

/// Octets read at once.
const READ_SIZE: usize = 16 << 10;

/// The largest ICMP message looked at: our payload and any IP header fit many times.
const DATAGRAM_SIZE: usize = 2048;

/// Holds the conversation about part `part` of `question`; how it ended and how long it took.
pub async fn ask(question: &Question, part: usize, mark: Mark) -> (Outcome, Duration) {
    let started = Instant::now();
    let limit = question.schedule.connect_timeout;
    let probe = conversation(question, part, mark);
    let talk = async {
        match question.kind {
            CheckKind::Ping => ping(&question.target, probe, mark, limit).await,
            CheckKind::Tcp | CheckKind::Http(_) => stream(&question.target, probe, limit).await,
        }
    };
    let outcome = match timeout(limit.saturating_mul(MAX_STEPS), talk).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!("no end within {}", words(limit * MAX_STEPS))),
    };
    (outcome, started.elapsed())
}

/// A conversation over TCP.
async fn stream(target: &Target, mut probe: Box<dyn Probe>, limit: Duration) -> Outcome {
    let socket = match tcp_socket(target) {
        Ok(socket) => socket,
        Err(why) => return Outcome::NotRun(why),
    };
    let started = Instant::now();
    match timeout(limit, socket.connect(target.endpoint)).await {
        Err(_) => end(probe.step(ProbeInput::TimedOut(limit))),
        Ok(Err(error)) if is_our_own(&error) => Outcome::NotRun(format!("cannot connect: {error}")),
        Ok(Err(error)) => {
            let how = format!("{} after {}", how_it_broke(&error), words(started.elapsed()));
            end(probe.step(ProbeInput::Broken(&how)))
        }
        Ok(Ok(connection)) => talk(connection, probe, limit).await,
    }
}

async fn talk(mut connection: TcpStream, mut probe: Box<dyn Probe>, limit: Duration) -> Outcome {
    let mut buffer = Vec::new();
    let mut step = probe.step(ProbeInput::Connected);
    loop {
        step = match step {
            ProbeStep::Done(outcome) => return outcome,
            ProbeStep::Send(octets) => match timeout(limit, connection.write_all(&octets)).await {
                Ok(Ok(())) => ProbeStep::Wait,
                Ok(Err(error)) => probe.step(ProbeInput::Broken(&how_it_broke(&error))),
                Err(_) => probe.step(ProbeInput::TimedOut(limit)),
            },
            ProbeStep::Wait => {
                buffer.resize(READ_SIZE, 0);
                match timeout(limit, connection.read(&mut buffer)).await {
                    Ok(Ok(0)) => probe.step(ProbeInput::Closed),
                    Ok(Ok(count)) => probe.step(ProbeInput::Data(&buffer[..count])), // read() counts within the buffer
                    Ok(Err(error)) => probe.step(ProbeInput::Broken(&how_it_broke(&error))),
                    Err(_) => probe.step(ProbeInput::TimedOut(limit)),
                }
            }
        };
    }
}

fn tcp_socket(target: &Target) -> Result<TcpSocket, String> {
    let socket = match target.endpoint {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|error| format!("no socket: {error}"))?;
    set_mark(SockRef::from(&socket), target.fwmark)?;
    if let Some(local) = local_address(target) {
        // The local port of the last check may still be in TIME_WAIT.
        socket.set_reuseaddr(true).map_err(|error| format!("cannot reuse a local port: {error}"))?;
        socket.bind(local).map_err(|error| format!("cannot bind to {local}: {error}"))?;
    }
    Ok(socket)
}

/// An ICMP socket.
struct PingSocket {
    socket: UdpSocket,
    /// A raw socket hears all ICMP from the peer, with the IP header over IPv4; a datagram socket only our replies.
    raw: bool,
}

/// A conversation of one request; the limit covers the whole of it, whatever else arrives meanwhile.
async fn ping(target: &Target, mut probe: Box<dyn Probe>, mark: Mark, limit: Duration) -> Outcome {
    let PingSocket { socket, raw } = match ping_socket(target) {
        Ok(socket) => socket,
        Err(why) => return Outcome::NotRun(why),
    };
    let deadline = Instant::now() + limit;
    // Not before a socket stands: an unreachable network shows here, and is the server's trouble.
    if let Err(error) = socket.connect(SocketAddr::new(target.endpoint.ip(), 0)).await {
        return match is_our_own(&error) {
            true => Outcome::NotRun(format!("cannot ping: {error}")),
            false => end(probe.step(ProbeInput::Broken(&how_it_broke(&error)))),
        };
    }
    let mut buffer = vec![0; DATAGRAM_SIZE];
    let mut step = probe.step(ProbeInput::Connected);
    loop {
        step = match step {
            ProbeStep::Done(outcome) => return outcome,
            ProbeStep::Send(octets) => match timeout_at(deadline, socket.send(&octets)).await {
                Ok(Ok(_)) => ProbeStep::Wait,
                Ok(Err(error)) if is_our_own(&error) => {
                    return Outcome::NotRun(format!("cannot ping: {error}"));
                }
                Ok(Err(error)) => probe.step(ProbeInput::Broken(&how_it_broke(&error))),
                Err(_) => probe.step(ProbeInput::TimedOut(limit)),
            },
            ProbeStep::Wait => match timeout_at(deadline, socket.recv(&mut buffer)).await {
                Ok(Ok(count)) => match message(&buffer[..count], raw, target, mark) {
                    // recv() counts within the buffer
                    Some(message) => probe.step(ProbeInput::Data(message)),
                    None => ProbeStep::Wait,
                },
                Ok(Err(error)) => probe.step(ProbeInput::Broken(&how_it_broke(&error))),
                Err(_) => probe.step(ProbeInput::TimedOut(limit)),
            },
        };
    }
}

/// The ICMP message in a datagram, if it is for this conversation.
fn message<'a>(datagram: &'a [u8], raw: bool, target: &Target, mark: Mark) -> Option<&'a [u8]> {
    if !raw {
        return Some(datagram);
    }
    let (message, echo) = match target.endpoint {
        SocketAddr::V4(_) => {
            let header = usize::from(*datagram.first()? & 0x0f) * 4; // IHL, RFC 791 section 3.1
            let message = datagram.get(header..)?;
            (message, Echo::decode_v4(message))
        }
        SocketAddr::V6(_) => (datagram, Echo::decode_v6(datagram, None)),
    };
    echo.is_ok_and(|echo| echo.identifier == mark.identifier).then_some(message)
}

fn ping_socket(target: &Target) -> Result<PingSocket, String> {
    let (domain, protocol) = match target.endpoint {
        SocketAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        SocketAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    // Datagram sockets need no privilege but a group within net.ipv4.ping_group_range; raw ones need CAP_NET_RAW.
    let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let raw = Socket::new(domain, Type::RAW, Some(protocol));
            let say =
                |raw| format!("no ICMP socket: {raw} (net.ipv4.ping_group_range forbids the other kind)");
            (raw.map_err(say)?, true)
        }
        socket => (socket.map_err(|error| format!("no ICMP socket: {error}"))?, false),
    };
    socket.set_nonblocking(true).map_err(|error| format!("no ICMP socket: {error}"))?;
    set_mark(SockRef::from(&socket), target.fwmark)?;
    if let Some(local) = target.bind_address {
        let bound = socket.bind(&SocketAddr::new(local, 0).into());
        bound.map_err(|error| format!("cannot bind to {local}: {error}"))?;
    }
    // To send, receive and poll, any datagram socket is alike.
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| format!("no ICMP socket: {error}"))?;
    Ok(PingSocket { socket, raw })
}

fn set_mark(socket: SockRef<'_>, mark: u32) -> Result<(), String> {
    match mark {
        0 => Ok(()),
        mark => socket.set_mark(mark).map_err(|error| format!("cannot set fwmark {mark}: {error}")),
    }
}

/// What to bind to, if anything.
fn local_address(target: &Target) -> Option<SocketAddr> {
    let any = match target.endpoint {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    match (target.bind_address, target.bind_port) {
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
    let icmp = [libc::EHOSTDOWN, libc::EPROTO, libc::ENOPROTOOPT];
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
