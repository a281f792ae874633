//! One question to the daemon, one answer.

use crate::link::MAX_FRAME;
use crate::link::control::{Answer, Request};
use crate::link::frame::{Decoder, encode};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon answers for a silent role after two seconds.
const STATUS_LIMIT: Duration = Duration::from_secs(10);

/// The daemon answers after 35 seconds at the latest.
const CHECK_NOW_LIMIT: Duration = Duration::from_secs(45);

/// Two reloads in a row, each with the daemon's limits for compiling and applying.
const RELOAD_LIMIT: Duration = Duration::from_secs(200);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error("no daemon answers at {0} ({1}): is holdfast running?")]
    NoDaemon(PathBuf, String),
    /// We may not ask.
    #[error("{0} cannot be opened (permission denied): only root may ask the daemon")]
    Permission(PathBuf),
    /// Somebody is there and does not answer as we understand it.
    #[error("the daemon at {0} is not understood ({1}): are holdfast and holdfastctl of one version?")]
    Misunderstood(PathBuf, String),
    /// The daemon says no.
    #[error("the daemon refuses: {0}")]
    Refused(String),
}

/// Asks the daemon behind `socket`.
pub fn ask(socket: &Path, request: Request) -> Result<Answer, AskError> {
    let octets = converse(socket, request).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => AskError::Permission(socket.to_owned()),
        kind => AskError::NoDaemon(socket.to_owned(), reason(kind, &error)),
    })?;
    let misunderstood = |why: String| AskError::Misunderstood(socket.to_owned(), why);
    let mut decoder = Decoder::default();
    decoder.push(&octets);
    match decoder.message().map_err(|error| misunderstood(error.to_string()))? {
        Some(Answer::Refused(why)) => Err(AskError::Refused(why)),
        Some(answer) => Ok(answer),
        None if octets.is_empty() => {
            Err(AskError::NoDaemon(socket.to_owned(), "it closed the connection".to_owned()))
        }
        None => Err(misunderstood("its answer is not whole".to_owned())),
    }
}

fn converse(socket: &Path, request: Request) -> io::Result<Vec<u8>> {
    let limit = match &request {
        Request::Status
        | Request::Checks(_)
        | Request::Stop { .. }
        | Request::Upgrade { .. }
        | Request::Failover { .. }
        | Request::Maintenance { .. } => STATUS_LIMIT,
        Request::CheckNow(_) => CHECK_NOW_LIMIT,
        Request::Reload => RELOAD_LIMIT,
        Request::Traffic(_) => STATUS_LIMIT,
    };
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(&encode(&request).map_err(io::Error::other)?)?;
    let mut octets = Vec::new();
    stream.take(MAX_FRAME as u64 + 4).read_to_end(&mut octets)?;
    Ok(octets)
}

fn reason(kind: ErrorKind, error: &io::Error) -> String {
    match kind {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it is silent".to_owned(),
        _ => error.to_string(),
    }
}
