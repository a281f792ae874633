//! Mail: what it says, and when it is tried.

use crate::time::Civil;
use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Mails that wait. A relay that is away for long meets the newest ones, the others are counted.
pub const MAX_WAITING: usize = 500;

/// Times that a mail is tried; keepalived tries once.
pub const MAX_TRIES: u32 = 5;

/// From one try to the next; doubled each time. All tries together take two and a half minutes beside the waiting for
/// answers, which outlasts a relay's restart.
pub const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Octets of a reason that are written; what can go on for ever is no reason.
const MAX_BODY: usize = 4 << 10;

/// A mail without what is the same in all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The subject without the machine's name.
    pub title: String,
    /// The text.
    pub body: String,
}

impl Letter {
    /// A mail that says why something is as its title says.
    pub fn new(title: String, cause: &str) -> Letter {
        let mut end = cause.len().min(MAX_BODY);
        while !cause.is_char_boundary(end) {
            end -= 1;
        }
        let (title, cause) = (one_line(&title), one_line(&cause[..end]));
        Letter { body: format!("{title}\nReason: {cause}\n"), title }
    }
}

/// What is the same in all mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stationery {
    /// `router_id` or the host name, in front of every subject.
    pub router_id: String,
    /// The sender, as a header.
    pub from: String,
    /// The recipients, as a header.
    pub to: Vec<String>,
    /// The name that HELO says.
    pub helo: String,
}

/// A mail as the relay gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The name that HELO says.
    pub helo: String,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// Headers and text, lines ended by CR LF, not dot-stuffed yet.
    pub content: String,
}

impl Stationery {
    /// Makes a mail of a letter, dated `date` (RFC 5322). Headers as keepalived writes them, so that filters go on working.
    pub fn envelope(&self, letter: &Letter, date: &str) -> Envelope {
        let to: Vec<String> = self.to.iter().map(|to| one_line(to)).collect();
        let headers = [
            ("Date", date.to_owned()),
            ("From", one_line(&self.from)),
            ("Subject", one_line(&format!("[{}] {}", self.router_id, letter.title))),
            ("X-Mailer", "Keepalived".to_owned()),
            ("To", to.join(",\r\n ")),
        ];
        let mut content: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        content.push_str("\r\n");
        for line in letter.body.lines() {
            content.push_str(line);
            content.push_str("\r\n");
        }
        Envelope {
            helo: one_line(&self.helo),
            from: address(&self.from),
            to: self.to.iter().map(|to| address(to)).collect(),
            content,
        }
    }
}

/// Text that cannot end its line: whoever can name an instance shall not write headers.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The address in `Name <address>`, or all of it.
fn address(text: &str) -> String {
    let inner = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address);
    let kept = inner.unwrap_or(text).trim();
    kept.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>' | ' ')).collect()
}

/// A date as RFC 5322 3.3 writes it, in UTC: `Sat, 21 Nov 2026 00:06:54 +0000`.
pub fn date(unix_seconds: u64) -> String {
    let Civil { weekday, month, day, year, hour, minute, second } = Civil::of(unix_seconds);
    format!("{weekday}, {day} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The relay took it.
    Sent,
    /// It may take it later.
    Later(String),
    /// It will never take it.
    Never(String),
}

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A mail was not taken now.
    TriedAgain {
        /// Its title.
        title: String,
        /// Why.
        why: String,
        /// Until the next try.
        after: Duration,
    },
    /// A mail is given up.
    GivenUp {
        /// Its title.
        title: String,
        /// Why.
        why: String,
    },
}

/// The mails that wait, with the time of each, in order: one conversation at a time.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<(Letter, u64)>,
    tries: u32,
    under_way: bool,
    retry_at: Option<Instant>,
    sent: u64,
    lost: u64,
}

impl Outbox {
    /// Adds a mail about something that happened at `unix_seconds`. True if an older one is lost for it.
    pub fn push(&mut self, letter: Letter, unix_seconds: u64) -> bool {
        self.waiting.push_back((letter, unix_seconds));
        let full = self.waiting.len() > MAX_WAITING;
        if full {
            // The first one may be under way.
            self.waiting.remove(1);
            self.lost += 1;
        }
        full
    }

    /// The mail to try now, if there is one; tell [`Outbox::ended`].
    pub fn start(&mut self, now: Instant) -> Option<(Letter, u64)> {
        if self.under_way || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let first = self.waiting.front()?.clone();
        self.under_way = true;
        Some(first)
    }

    /// The try has ended.
    pub fn ended(&mut self, outcome: Outcome, now: Instant) -> Option<Remark> {
        self.under_way = false;
        self.retry_at = None;
        let title = self.waiting.front().map(|(letter, _)| letter.title.clone())?;
        self.tries += 1;
        let remark = match outcome {
            Outcome::Sent => {
                self.sent += 1;
                None
            }
            Outcome::Later(why) if self.tries < MAX_TRIES => {
                let after = FIRST_PAUSE * (1 << (self.tries - 1));
                self.retry_at = Some(now + after);
                return Some(Remark::TriedAgain { title, why, after });
            }
            Outcome::Later(why) | Outcome::Never(why) => {
                self.lost += 1;
                Some(Remark::GivenUp { title, why })
            }
        };
        self.waiting.pop_front();
        self.tries = 0;
        remark
    }

    /// When [`Outbox::start`] has something again.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.retry_at.filter(|_| !self.under_way && !self.waiting.is_empty())
    }

    /// Is a mail under way or due?
    pub fn busy(&self) -> bool {
        self.under_way || (!self.waiting.is_empty() && self.retry_at.is_none())
    }

    /// Mails that wait, the one under way among them.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Mails that the relay took, since the start.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Mails that nobody will get, since the start.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(title: &str) -> Letter {
        Letter::new(title.to_owned(), "a test")
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn stationery() -> Stationery {
        Stationery {
            router_id: "lb1".into(),
            from: "Load Balancer <lb1@example.org>".into(),
            to: vec!["a@example.org".into(), "B <b@example.org>".into()],
            helo: "lb1.example.org".into(),
        }
    }

    #[test]
    fn headers_are_those_of_keepalived() {
        let envelope = stationery().envelope(
            &Letter::new("VRRP Instance V - Entering MASTER state".into(), "silence"),
            &date(1_795_219_614),
        );
        assert_eq!(
            envelope.content,
            "Date: Sat, 21 Nov 2026 00:06:54 +0000\r\n\
             From: Load Balancer <lb1@example.org>\r\n\
             Subject: [lb1] VRRP Instance V - Entering MASTER state\r\n\
             X-Mailer: Keepalived\r\n\
             To: a@example.org,\r\n B <b@example.org>\r\n\
             \r\n\
             VRRP Instance V - Entering MASTER state\r\n\
             Reason: silence\r\n"
        );
        assert_eq!(
            (envelope.from.as_str(), envelope.to),
            ("lb1@example.org", vec!["a@example.org".into(), "b@example.org".into()])
        );
    }

    #[test]
    fn nobody_writes_headers_by_a_name() {
        let letter = letter("x\r\nBcc: all@example.org\r\n.\r\n");
        let content = stationery().envelope(&letter, "now").content;
        assert!(!content.contains("\nBcc:") && !content.contains("\n.\r"), "{content}");
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(date(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 +0000");
        assert_eq!(date(4_107_542_400), "Mon, 1 Mar 2100 00:00:00 +0000");
    }

    #[test]
    fn a_relay_that_is_away_is_tried_again_with_growing_pauses_and_then_given_up() {
        let mut outbox = Outbox::default();
        outbox.push(letter("one"), 1);
        let mut now = at(0);
        for pause in [10, 20, 40, 80] {
            assert!(outbox.start(now).is_some());
            assert!(outbox.start(now).is_none(), "one conversation at a time");
            let remark = outbox.ended(Outcome::Later("away".into()), now);
            let after = Duration::from_secs(pause);
            assert_eq!(remark, Some(Remark::TriedAgain { title: "one".into(), why: "away".into(), after }));
            assert_eq!((outbox.start(now), outbox.next_timeout()), (None, Some(now + after)));
            now += after;
        }
        assert!(outbox.start(now).is_some());
        assert!(matches!(outbox.ended(Outcome::Later("away".into()), now), Some(Remark::GivenUp { .. })));
        assert_eq!((outbox.waiting(), outbox.lost(), outbox.sent()), (0, 1, 0));
    }

    #[test]
    fn mails_leave_in_order_and_a_refused_one_stops_no_other() {
        let mut outbox = Outbox::default();
        for title in ["one", "two", "three"] {
            outbox.push(letter(title), 1);
        }
        let mut titles = Vec::new();
        for outcome in [Outcome::Sent, Outcome::Never("550 no".into()), Outcome::Sent] {
            titles.extend(outbox.start(at(0)).map(|(letter, _)| letter.title));
            outbox.ended(outcome, at(0));
        }
        assert_eq!(
            (titles, outbox.sent(), outbox.lost()),
            (vec!["one".into(), "two".into(), "three".to_owned()], 2, 1)
        );
    }

    #[test]
    fn the_newest_mails_are_kept() {
        let mut outbox = Outbox::default();
        let lost = (0..MAX_WAITING + 2).filter(|number| outbox.push(letter(&number.to_string()), 1)).count();
        assert_eq!((lost, outbox.waiting(), outbox.lost()), (2, MAX_WAITING, 2));
        let first = outbox.start(at(0)).map(|(letter, _)| letter.title);
        assert_eq!(first.as_deref(), Some("0"));
    }
}
