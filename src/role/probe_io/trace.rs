//! The record of one conversation, for those who want to see it.

use crate::check::probe::Probe;
use crate::check::probe::traced::{Passing, Traced};
use crate::report::checks::Step;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Steps that are kept of a conversation; a server that sends octet by octet fills a page, no more.
const MAX_STEPS: usize = 100;

/// Octets shown of one step: the head of an answer fits.
const SHOWN: usize = 1024;

/// A record under way. Clones write into the same.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<Log>>);

#[derive(Debug)]
struct Log {
    started: Instant,
    steps: Vec<Step>,
    dropped: usize,
}

impl Trace {
    /// Begins now.
    pub fn begin() -> Trace {
        Trace(Arc::new(Mutex::new(Log { started: Instant::now(), steps: Vec::new(), dropped: 0 })))
    }

    /// Something happened.
    pub fn note(&self, words: &str) {
        self.passes(Passing::Note(words));
    }

    /// `probe`, recorded.
    pub fn watch(&self, probe: Box<dyn Probe>) -> Box<dyn Probe> {
        let trace = self.clone();
        Box::new(Traced::new(probe, move |passing: Passing<'_>| trace.passes(passing)))
    }

    /// What was recorded.
    pub fn steps(&self) -> Vec<Step> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let after_us = log.started.elapsed().as_micros() as u64;
        let mut steps = std::mem::take(&mut log.steps);
        if log.dropped > 0 {
            let text = format!("{} more steps are not shown", log.dropped);
            steps.push(Step { after_us, kind: "note".into(), text, octets: 0 });
        }
        steps
    }

    /// Something passes.
    pub(super) fn passes(&self, passing: Passing<'_>) {
        let (kind, text, octets) = match passing {
            Passing::Note(words) => ("note", words.to_owned(), 0),
            Passing::Sent(octets) => ("sent", shown(octets), octets.len()),
            Passing::Received(octets) => ("received", shown(octets), octets.len()),
        };
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.steps.len() >= MAX_STEPS {
            log.dropped += 1;
            return;
        }
        let after_us = log.started.elapsed().as_micros() as u64;
        log.steps.push(Step { after_us, kind: kind.into(), text, octets });
    }
}

/// Text as it is but for controls, which are escaped; line feeds stay.
fn shown(octets: &[u8]) -> String {
    let part = octets.get(..SHOWN).unwrap_or(octets);
    let mut text = String::new();
    for octet in part {
        match octet {
            b'\n' => text.push('\n'),
            b'\r' => text.push_str("\\r"),
            0x20..=0x7e => text.push(char::from(*octet)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    if octets.len() > SHOWN {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_shown_without_controls_and_in_part() {
        assert_eq!(shown(b"HTTP/1.0 200\r\n\x1b[0m\xff"), "HTTP/1.0 200\\r\n\\x1b[0m\\xff");
        assert_eq!(shown(&[b'a'; SHOWN + 1]).len(), SHOWN + 3);
    }

    #[test]
    fn a_server_that_sends_octet_by_octet_fills_a_page_only() {
        let trace = Trace::begin();
        for _ in 0..MAX_STEPS + 5 {
            trace.passes(Passing::Received(b"x"));
        }
        let steps = trace.steps();
        assert_eq!(steps.len(), MAX_STEPS + 1);
        assert_eq!(steps.last().map(|step| step.text.as_str()), Some("5 more steps are not shown"));
    }
}
