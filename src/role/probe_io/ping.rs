//! ICMP echo over a datagram socket, or a raw one where those are not allowed.

use super::{cannot_bind, end, how_it_broke, is_our_own, prepare};
use crate::check::probe::{Mark, Outcome, Probe, ProbeInput, ProbeStep};
use crate::plan::check::Target;
use crate::wire::icmp::Echo;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// The largest ICMP message looked at: our payload and any IP header fit many times.
const DATAGRAM_SIZE: usize = 2048;

/// An ICMP socket.
struct PingSocket {
    socket: UdpSocket,
    /// A raw socket hears all ICMP from the peer, with the IP header over IPv4; a datagram socket only our replies.
    raw: bool,
}

/// A conversation of one request; the limit covers the whole of it, whatever else arrives meanwhile.
pub(super) async fn ping(target: &Target, mut probe: Box<dyn Probe>, mark: Mark, limit: Duration) -> Outcome {
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
    prepare(SockRef::from(&socket), target)?;
    if let Some(local) = target.source().bind_address {
        let local = SocketAddr::new(local, 0);
        socket.bind(&local.into()).map_err(|error| cannot_bind(local, &error))?;
    }
    // To send, receive and poll, any datagram socket is alike.
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| format!("no ICMP socket: {error}"))?;
    Ok(PingSocket { socket, raw })
}
