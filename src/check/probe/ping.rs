//! PING_CHECK: an echo request, and the reply with its sequence number.

use super::{Mark, Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::net::AddressFamily;
use crate::wire::icmp::{Echo, EchoKind};

/// Octets after the ICMP header, as keepalived sends.
pub const PAYLOAD: usize = 128;

/// One request and its reply.
#[derive(Debug)]
pub struct Ping {
    family: AddressFamily,
    mark: Mark,
}

impl Ping {
    /// A conversation whose request carries `mark`.
    pub fn new(family: AddressFamily, mark: Mark) -> Ping {
        Ping { family, mark }
    }

    fn request(&self) -> Vec<u8> {
        let echo = Echo {
            kind: EchoKind::Request,
            identifier: self.mark.identifier,
            sequence: self.mark.sequence,
            payload: (0..PAYLOAD).map(|i| i as u8).collect(),
        };
        match self.family {
            AddressFamily::V4 => echo.encode_v4(),
            AddressFamily::V6 => echo.encode_v6(None),
        }
    }

    /// The identifier is not compared: on a datagram socket the kernel writes its own and sorts replies by it; on a
    /// raw socket the driver does (it alone knows which kind it has).
    fn is_answer(&self, message: &[u8]) -> bool {
        let echo = match self.family {
            AddressFamily::V4 => Echo::decode_v4(message),
            AddressFamily::V6 => Echo::decode_v6(message, None),
        };
        echo.is_ok_and(|echo| echo.kind == EchoKind::Reply && echo.sequence == self.mark.sequence)
    }
}

impl Probe for Ping {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        match input {
            ProbeInput::Connected => ProbeStep::Send(self.request()),
            ProbeInput::Data(message) if self.is_answer(message) => {
                ProbeStep::Done(Outcome::Success("echo reply".into()))
            }
            // A late reply to an earlier request, or something else's ICMP.
            ProbeInput::Data(_) | ProbeInput::Closed => ProbeStep::Wait,
            ProbeInput::Broken(how) => ProbeStep::Done(Outcome::Failure(how.into())),
            ProbeInput::TimedOut(limit) => {
                ProbeStep::Done(Outcome::Failure(format!("no echo reply within {}", words(limit))))
            }
        }
    }
}
