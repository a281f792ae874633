//! The conversation with a mail relay (RFC 5321), one mail long. As keepalived: HELO, no extensions.

use super::mail::{Envelope, Outcome};

/// Octets of an answer line (RFC 5321 4.5.3.1.5 says 512); a relay that says more is none.
pub const MAX_LINE: usize = 4096;

/// Lines of one answer.
const MAX_LINES: usize = 100;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read more.
    Wait,
    /// Send these octets, then read.
    Send(Vec<u8>),
    /// It is over. What is to be sent still needs no answer.
    Done(Outcome, Vec<u8>),
}

/// Where a conversation is.
#[derive(Debug)]
pub struct Conversation {
    envelope: Envelope,
    stage: Stage,
    input: Vec<u8>,
    lines: usize,
    refused: Vec<String>,
}

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Helo,
    From,
    /// To the recipient with this number.
    To(usize),
    Data,
    Content,
}

impl Conversation {
    /// Begins; the relay speaks first.
    pub fn new(envelope: Envelope) -> Conversation {
        Conversation { envelope, stage: Stage::Greeting, input: Vec::new(), lines: 0, refused: Vec::new() }
    }

    /// Octets from the relay.
    pub fn input(&mut self, octets: &[u8]) -> Step {
        self.input.extend_from_slice(octets);
        while let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.lines += 1;
            if line.get(3) == Some(&b'-') && self.lines < MAX_LINES {
                continue; // more lines of this answer follow
            }
            self.lines = 0;
            return self.answer(String::from_utf8_lossy(&line).trim());
        }
        if self.input.len() > MAX_LINE {
            return Step::Done(Outcome::Later("an answer without end".into()), Vec::new());
        }
        Step::Wait
    }

    /// What it waits for, in words.
    pub fn waits_for(&self) -> &'static str {
        match self.stage {
            Stage::Greeting => "the greeting",
            Stage::Helo => "the answer to HELO",
            Stage::From => "the answer to MAIL FROM",
            Stage::To(_) => "the answer to RCPT TO",
            Stage::Data => "the answer to DATA",
            Stage::Content => "the answer to the mail",
        }
    }

    fn answer(&mut self, line: &str) -> Step {
        let code: u16 = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        let fits = match self.stage {
            Stage::Greeting => code == 220,
            Stage::Data => code == 354,
            _ => code == 250 || code == 251,
        };
        match self.stage {
            // One recipient that the relay does not know shall not keep the mail from the others.
            Stage::To(_) if !fits => self.refused.push(line.to_owned()),
            _ if !fits => return self.refuse(code, line),
            _ => {}
        }
        let (stage, words) = match self.stage {
            Stage::Greeting => (Stage::Helo, format!("HELO {}\r\n", self.envelope.helo)),
            Stage::Helo => (Stage::From, format!("MAIL FROM:<{}>\r\n", self.envelope.from)),
            Stage::From => self.recipient(0),
            Stage::To(number) if number + 1 < self.envelope.to.len() => self.recipient(number + 1),
            Stage::To(_) if self.refused.len() >= self.envelope.to.len() => {
                let line = self.refused.join("; ");
                let later = self.refused.iter().any(|line| !line.starts_with('5'));
                return self.refuse(if later { 450 } else { 550 }, &line);
            }
            Stage::To(_) => (Stage::Data, "DATA\r\n".to_owned()),
            Stage::Data => (Stage::Content, stuffed(&self.envelope.content)),
            Stage::Content => return Step::Done(Outcome::Sent, b"QUIT\r\n".to_vec()),
        };
        self.stage = stage;
        Step::Send(words.into_bytes())
    }

    fn recipient(&self, number: usize) -> (Stage, String) {
        let to = self.envelope.to.get(number).map_or("", String::as_str);
        (Stage::To(number), format!("RCPT TO:<{to}>\r\n"))
    }

    /// RFC 5321 4.2.1: 5yz is for ever. What is no answer at all may be better later.
    fn refuse(&self, code: u16, line: &str) -> Step {
        let why = format!("{} is `{line}`", self.waits_for());
        let outcome = if (500..600).contains(&code) { Outcome::Never(why) } else { Outcome::Later(why) };
        Step::Done(outcome, b"QUIT\r\n".to_vec())
    }

    /// Recipients that the relay did not take, in its words; for a mail that was sent.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }
}

/// The content with a dot more where a line begins with one, and the line that ends it (RFC 5321 4.5.2).
fn stuffed(content: &str) -> String {
    let mut out = String::with_capacity(content.len() + 8);
    for line in content.split_inclusive("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
    }
    out.push_str(".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(to: &[&str], content: &str) -> Conversation {
        Conversation::new(Envelope {
            helo: "lb1".into(),
            from: "lb1@example.org".into(),
            to: to.iter().map(|to| (*to).to_owned()).collect(),
            content: content.into(),
        })
    }

    /// Everything that is sent to a relay that answers so, and how it ends.
    fn talk(conversation: &mut Conversation, answers: &[&str]) -> (String, Option<Outcome>) {
        let mut said = String::new();
        for answer in answers {
            match conversation.input(answer.as_bytes()) {
                Step::Wait => {}
                Step::Send(octets) => said.push_str(&String::from_utf8_lossy(&octets)),
                Step::Done(outcome, octets) => {
                    said.push_str(&String::from_utf8_lossy(&octets));
                    return (said, Some(outcome));
                }
            }
        }
        (said, None)
    }

    #[test]
    fn a_mail_for_two() {
        let mut mail = conversation(&["a@example.org", "b@example.org"], "Subject: x\r\n\r\n.dot\r\n");
        let ok = "250 ok\r\n";
        let answers =
            ["220-two lines\r\n", "220 relay\r\n", ok, ok, ok, "25", "0 ok\r", "\n", "354 go\r\n", ok];
        let (said, outcome) = talk(&mut mail, &answers);
        assert_eq!(
            said,
            "HELO lb1\r\nMAIL FROM:<lb1@example.org>\r\nRCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n\
             DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"
        );
        assert_eq!(outcome, Some(Outcome::Sent));
    }

    #[test]
    fn each_answer_may_refuse_for_now_or_for_ever() {
        let good = ["220 relay\r\n", "250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"];
        for bad in 0..good.len() {
            for (answer, never) in [("421 busy\r\n", false), ("550 no\r\n", true), ("hello\r\n", false)] {
                let mut answers = good;
                answers[bad] = answer;
                let (said, outcome) = talk(&mut conversation(&["a@example.org"], "x\r\n"), &answers);
                assert!(said.ends_with("QUIT\r\n"), "{answer} at {bad}: {said}");
                match outcome {
                    Some(Outcome::Never(_)) => assert!(never, "{answer} at {bad}"),
                    Some(Outcome::Later(_)) => assert!(!never, "{answer} at {bad}"),
                    other => panic!("{answer} at {bad}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_recipient_that_is_refused_does_not_keep_the_mail_from_the_others() {
        let mut mail = conversation(&["gone@example.org", "b@example.org"], "x\r\n");
        let ok = "250 ok\r\n";
        let (_, outcome) = talk(&mut mail, &["220 r\r\n", ok, ok, "550 who?\r\n", ok, "354 go\r\n", ok]);
        assert_eq!((outcome, mail.refused()), (Some(Outcome::Sent), &["550 who?".to_owned()][..]));
    }

    #[test]
    fn a_relay_that_never_ends_its_line_is_left() {
        let mut mail = conversation(&["a@example.org"], "x\r\n");
        assert!(matches!(mail.input(&[b'2'; MAX_LINE + 1]), Step::Done(Outcome::Later(_), _)));
    }
}
