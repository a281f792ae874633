//! SMTP_CHECK: greeting 220, HELO taken with 250, QUIT answered.
//!
//! As keepalived: an answer is one line; its code is followed by a blank or the end, so an answer of several lines fails.

use super::{Outcome, Probe, ProbeInput, ProbeStep, words};
use crate::plan::check::SmtpCheck;

/// The longest line of an answer (RFC 5321 4.5.3.1.5), and some more.
pub const MAX_LINE: usize = 1024;

/// One conversation.
#[derive(Debug)]
pub struct Smtp {
    helo: String,
    stage: Stage,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Helo,
    Quit,
}

impl Stage {
    /// The code that goes on; any when `None`.
    const fn wanted(self) -> Option<&'static str> {
        match self {
            Stage::Greeting => Some("220"),
            Stage::Helo => Some("250"),
            Stage::Quit => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Stage::Greeting => "greeting",
            Stage::Helo => "answer to HELO",
            Stage::Quit => "answer to QUIT",
        }
    }
}

impl Smtp {
    /// A conversation.
    pub fn new(check: &SmtpCheck) -> Smtp {
        Smtp { helo: check.helo.clone(), stage: Stage::Greeting, line: Vec::new() }
    }

    fn take(&mut self, octets: &[u8]) -> ProbeStep {
        let end = octets.iter().position(|octet| *octet == b'\n');
        let part = &octets[..end.unwrap_or(octets.len())]; // position() is within
        if self.line.len() + part.len() > MAX_LINE {
            return self.fail(&format!("a line over {MAX_LINE} octets"));
        }
        self.line.extend_from_slice(part);
        match end {
            // What comes behind a line came before we spoke: it answers nothing.
            Some(_) => self.answered(),
            None => ProbeStep::Wait,
        }
    }

    fn answered(&mut self) -> ProbeStep {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if let Some(code) = self.stage.wanted()
            && !line.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        {
            return self.fail(&format!("`{}`, wanted {code}", shown(line)));
        }
        match self.stage {
            Stage::Greeting => {
                self.stage = Stage::Helo;
                ProbeStep::Send(format!("HELO {}\r\n", self.helo).into_bytes())
            }
            Stage::Helo => {
                self.stage = Stage::Quit;
                ProbeStep::Send(b"QUIT\r\n".to_vec())
            }
            Stage::Quit => ProbeStep::Done(Outcome::Success("greets, takes HELO and QUIT".into())),
        }
    }

    fn fail(&self, words: &str) -> ProbeStep {
        ProbeStep::Done(Outcome::Failure(format!("{}: {words}", self.stage.name())))
    }
}

/// The beginning of what a server said, fit for a line of a log.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut out: String = clean.take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        out.push_str("...");
    }
    out
}

impl Probe for Smtp {
    fn step(&mut self, input: ProbeInput<'_>) -> ProbeStep {
        match input {
            ProbeInput::Connected => ProbeStep::Wait,
            ProbeInput::Data(octets) => self.take(octets),
            ProbeInput::Closed => self.fail("closed instead"),
            ProbeInput::Broken(how) => self.fail(how),
            ProbeInput::TimedOut(limit) => self.fail(&format!("none within {}", words(limit))),
        }
    }
}
