//! The connection, read as the tool reads it; each way in which it may fail has keepalived's words.

use super::options::Asked;
use super::page::{Ended, Page, ROOM};
use crate::check::probe::http;
use crate::plan::check::HttpUrl;
use crate::role::any_certificate;
#[cfg(feature = "openssl")]
use crate::role::any_old_server;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Asks for the page and reads it to its end.
pub fn fetch(asked: &Asked, page: &mut Page) -> Ended {
    match connect(asked).and_then(|connection| converse(asked, connection, page)) {
        Ok(()) => Ended::Closed,
        Err(line) => Ended::Broken(line),
    }
}

fn connect(asked: &Asked) -> Result<TcpStream, &'static str> {
    const FAILED: &str = "Connection failed";
    let socket = Socket::new(Domain::for_address(asked.endpoint), Type::STREAM, None).map_err(|_| FAILED)?;
    if asked.fwmark != 0 {
        socket.set_mark(asked.fwmark).map_err(|_| FAILED)?;
    }
    let endpoint = asked.endpoint.into();
    let connected = match asked.timeout {
        Some(limit) => socket.connect_timeout(&endpoint, limit.max(LEAST)),
        None => socket.connect(&endpoint),
    };
    connected.map_err(|error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "Timeout connecting",
        ErrorKind::NetworkUnreachable => "HTTP_CHECK - network unreachable",
        _ => FAILED,
    })?;
    if asked.timeout == Some(Duration::ZERO) {
        return Err("Timeout WEB write");
    }
    socket.set_read_timeout(asked.timeout).map_err(|_| FAILED)?;
    socket.set_write_timeout(asked.timeout).map_err(|_| FAILED)?;
    Ok(socket.into())
}

/// No time at all is no time limit to the kernel.
const LEAST: Duration = Duration::from_millis(1);

fn converse(asked: &Asked, mut connection: TcpStream, page: &mut Page) -> Result<(), &'static str> {
    if !asked.tls {
        return talk(asked, &mut connection, page);
    }
    let named = asked.host.as_ref().filter(|_| asked.sni);
    let name = match named {
        Some(host) => ServerName::try_from(host.clone()).map_err(|_| FAILED)?,
        None => ServerName::IpAddress(asked.endpoint.ip().into()),
    };
    let config = any_certificate().ok_or(FAILED)?;
    let mut session = ClientConnection::new(config, name).map_err(|_| FAILED)?;
    while session.is_handshaking() {
        if session.complete_io(&mut connection).is_err() {
            drop(connection);
            return converse_in_old_tls(asked, named.map(String::as_str), page);
        }
    }
    talk(asked, &mut StreamOwned::new(session, connection), page)
}

const FAILED: &str = "SSL handshake/communication error connecting to";

/// As the checks: who does not speak to rustls is asked by OpenSSL, where there is one in this build.
#[cfg(feature = "openssl")]
fn converse_in_old_tls(asked: &Asked, name: Option<&str>, page: &mut Page) -> Result<(), &'static str> {
    let connection = connect(asked)?;
    let mut ssl = any_old_server().map_err(|_| FAILED)?;
    if let Some(name) = name {
        ssl.set_hostname(name).map_err(|_| FAILED)?;
    }
    let mut session = ssl.connect(connection).map_err(|_| FAILED)?;
    talk(asked, &mut session, page)
}

#[cfg(not(feature = "openssl"))]
fn converse_in_old_tls(_: &Asked, _: Option<&str>, _: &mut Page) -> Result<(), &'static str> {
    Err(FAILED)
}

fn talk(asked: &Asked, connection: &mut (impl Read + Write), page: &mut Page) -> Result<(), &'static str> {
    let url = HttpUrl { host: asked.host.clone(), ..HttpUrl::new(&asked.url) };
    let request = http::request(asked.version, Some(&url), asked.endpoint);
    let sent = connection.write_all(&request).and_then(|()| connection.flush());
    sent.map_err(|error| if is_late(&error) { "Timeout WEB write" } else { "Write error with" })?;
    let mut buffer = [0; ROOM];
    let mut begun = false;
    while page.room() > 0 {
        let room = &mut buffer[..page.room()]; // at most ROOM
        match connection.read(room) {
            Ok(0) => break,
            Ok(count) => page.take(&room[..count]), // read() counts within the buffer
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // The end of a TLS stream without close_notify.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) if is_late(&error) && begun => return Err("Timeout HTTP read"),
            Err(error) if is_late(&error) => return Err("Timeout WEB read"),
            Err(_) => return Err("Read error with"),
        }
        begun = true;
    }
    Ok(())
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
