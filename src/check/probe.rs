//! One conversation with a real server, without I/O: octets in, octets out, an outcome.

pub mod answer;
pub mod dns;
pub mod grpc;
pub mod http;
pub mod http2;
pub mod misc;
pub mod ping;
pub mod search;
pub mod smtp;
pub mod talk;
pub mod tcp;
pub mod traced;
pub mod udp;

use crate::net::AddressFamily;
use crate::plan::check::{CheckKind, HttpVersion, Question, WeightChange};
use std::fmt;
use std::time::Duration;

/// One conversation. The driver connects, passes on what it hears, and stops at [`ProbeStep::Done`].
pub trait Probe: Send {
    /// What to do after `input`. Not called again after `Done`.
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep;
}

/// What happened on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeInput<'a> {
    /// It stands. For datagram probes: the socket is ready.
    Connected,
    /// Octets arrived: any piece of a stream, one whole datagram otherwise.
    Data(&'a [u8]),
    /// The peer ended the stream in good order.
    Closed,
    /// The connection broke; the words say how.
    Broken(&'a str),
    /// Nothing happened for this long.
    TimedOut(Duration),
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeStep {
    /// Send these octets, then wait.
    Send(Vec<u8>),
    /// Wait for the next input.
    Wait,
    /// Close the connection.
    Done(Outcome),
}

/// How a conversation ended, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As wanted.
    Success(String),
    /// As wanted, and it says what weight the server should have.
    Weighed(String, WeightChange),
    /// Not as wanted, or not at all.
    Failure(String),
    /// Our own machine could not ask (no socket, no such local address). Says nothing about the server.
    NotRun(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Success(words) | Outcome::Weighed(words, _) => write!(f, "success, {words}"),
            Outcome::Failure(words) => write!(f, "failure, {words}"),
            Outcome::NotRun(words) => write!(f, "not made, {words}"),
        }
    }
}

/// Numbers a datagram probe puts into its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Names the checker.
    pub identifier: u16,
    /// Counts its conversations.
    pub sequence: u16,
}

/// The conversation for part `part` of `question`; parts past the end count as the last one. `None` where nothing is
/// asked over the network (a program is run, a tracker listened to), and where HTTP/2 carries the question: see
/// [`http2::call`].
pub fn conversation(question: &Question, part: usize, mark: Mark) -> Option<Box<dyn Probe>> {
    let endpoint = question.target.endpoint;
    Some(match &question.kind {
        CheckKind::Tcp => Box::new(tcp::Tcp),
        CheckKind::Talk(check) => Box::new(talk::Talk::new(check)),
        CheckKind::Ping => Box::new(ping::Ping::new(AddressFamily::of(endpoint.ip()), mark)),
        CheckKind::Http(check) if check.version == HttpVersion::V2 => return None,
        CheckKind::Http(check) => Box::new(http::Http::new(check, part, endpoint)),
        CheckKind::Udp(check) => Box::new(udp::Udp::new(check, mark)),
        CheckKind::Dns(check) => Box::new(dns::Dns::new(check, mark)),
        CheckKind::Smtp(check) => Box::new(smtp::Smtp::new(check)),
        CheckKind::Grpc(_) | CheckKind::Misc(_) | CheckKind::File(_) | CheckKind::Bfd(_) => return None,
    })
}

/// A duration as a person writes it: `0.4 ms`, `120 ms`, `5 s`, `2.5 s`.
pub fn words(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    let (number, unit) = if ms >= 1000.0 { (ms / 1000.0, "s") } else { (ms, "ms") };
    if number >= 10.0 || (number - number.round()).abs() < 0.05 && number >= 0.95 {
        format!("{number:.0} {unit}")
    } else {
        format!("{number:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let cases =
            [(400, "0.4 ms"), (1_000, "1 ms"), (12_345, "12 ms"), (5_000_000, "5 s"), (2_500_000, "2.5 s")];
        for (micros, expected) in cases {
            assert_eq!(words(Duration::from_micros(micros)), expected);
        }
    }
}
