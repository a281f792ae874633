//! TCP_CHECK: the connection completes, nothing is said.

use super::{Outcome, Probe, ProbeInput, ProbeStep, words};

/// The whole state of it.
#[derive(Debug)]
pub struct Tcp;

impl Probe for Tcp {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        ProbeStep::Done(match input {
            ProbeInput::Connected | ProbeInput::Data(_) | ProbeInput::Closed => {
                Outcome::Success("connected".into())
            }
            ProbeInput::Broken(how) => Outcome::Failure(how.into()),
            ProbeInput::TimedOut(limit) => Outcome::Failure(format!("no connection within {}", words(limit))),
        })
    }
}
