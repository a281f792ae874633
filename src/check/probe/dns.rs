//! DNS_CHECK: a question that is answered without error; what the answer says is not looked at.

use super::{Mark, Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::DnsCheck;
use crate::wire::dns;

/// One question and its answer.
#[derive(Debug)]
pub struct Dns {
    id: u16,
    query: Vec<u8>,
}

impl Dns {
    /// A conversation whose question carries a number made of `mark`.
    pub fn new(check: &DnsCheck, mark: Mark) -> Dns {
        let id = mark.identifier.wrapping_mul(0x9e37) ^ mark.sequence;
        // The plan holds only names that can be asked for.
        let query = dns::query(id, &check.name, check.record_type).unwrap_or_default();
        Dns { id, query }
    }
}

impl Probe for Dns {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        ProbeStep::Done(match input {
            ProbeInput::Connected => return ProbeStep::Send(self.query.clone()),
            ProbeInput::Closed => return ProbeStep::Wait,
            ProbeInput::Broken(how) => Outcome::Failure(how.into()),
            ProbeInput::TimedOut(limit) => Outcome::Failure(format!("no answer within {}", words(limit))),
            ProbeInput::Data(message) => match dns::Answer::decode(message) {
                None => Outcome::Failure(format!("{} octets that are no DNS answer", message.len())),
                // To another question: the right one may still come.
                Some(answer) if answer.id != self.id => return ProbeStep::Wait,
                Some(answer) if !answer.is_response => {
                    Outcome::Failure("a question instead of an answer".into())
                }
                Some(answer) if answer.code != 0 => {
                    Outcome::Failure(format!("answered {} ({})", dns::code_name(answer.code), answer.code))
                }
                Some(answer) => Outcome::Success(format!("answered with {} records", answer.answers)),
            },
        })
    }
}
