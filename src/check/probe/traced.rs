//! A conversation that somebody watches: what passes is told to a listener, and nothing else changes.

use super::{Probe, ProbeInput, ProbeStep, words};

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing<'a> {
    /// Octets to the server.
    Sent(&'a [u8]),
    /// Octets from it.
    Received(&'a [u8]),
    /// Something else happened, in words.
    Note(&'a str),
}

/// A probe and its listener.
pub struct Traced<F> {
    probe: Box<dyn Probe>,
    listener: F,
}

impl<F: FnMut(Passing<'_>) + Send> Traced<F> {
    /// `probe`, watched.
    pub fn new(probe: Box<dyn Probe>, listener: F) -> Traced<F> {
        Traced { probe, listener }
    }
}

impl<F: FnMut(Passing<'_>) + Send> Probe for Traced<F> {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        match input {
            ProbeInput::Connected => (self.listener)(Passing::Note("connected")),
            ProbeInput::Data(octets) => (self.listener)(Passing::Received(octets)),
            ProbeInput::Closed => (self.listener)(Passing::Note("the server ended the stream")),
            ProbeInput::Broken(how) => (self.listener)(Passing::Note(how)),
            ProbeInput::TimedOut(limit) => {
                (self.listener)(Passing::Note(&format!("nothing for {}", words(limit))))
            }
        }
        let step = self.probe.step(input);
        if let ProbeStep::Send(octets) = &step {
            (self.listener)(Passing::Sent(octets));
        }
        step
    }
}
