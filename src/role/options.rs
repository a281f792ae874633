//! What a role is told on its command line: how to log. All else comes over its link.

use std::fmt;
use std::str::FromStr;

/// Variables by which one image of the daemon tells the next what it must know (`holdfastctl upgrade`). Nothing that a
/// process of ours starts inherits them: it would take itself for that image.
pub mod upgrade_variables {
    /// The processes that are its children without its knowing, with commas between.
    pub const INHERITED: &str = "HOLDFAST_INHERITED";
    /// The image to go back to if the new one cannot begin.
    pub const PREVIOUS: &str = "HOLDFAST_PREVIOUS";
    /// The process that goes on in its place if it dies before it serves.
    pub const GUARDED_BY: &str = "HOLDFAST_GUARDED_BY";
    /// To that process: whom it guards, and at which socket that one will answer.
    pub const GUARDS: &str = "HOLDFAST_GUARDS";
    /// All of them.
    pub const ALL: [&str; 4] = [INHERITED, PREVIOUS, GUARDED_BY, GUARDS];
}

/// How a process logs. The supervisor hands its own choice down to every role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// To standard error (`-l`).
    pub console: bool,
    /// Not to syslog (`-G`).
    pub no_syslog: bool,
    /// Details too (`-D`); given twice, each probe as well.
    pub detail: u8,
    /// Syslog facility (`-S`).
    pub facility: Facility,
}

impl LogOptions {
    /// The same choice as command-line words.
    pub fn arguments(&self) -> Vec<String> {
        let mut words = Vec::new();
        let flags =
            [(self.console, "-l"), (self.no_syslog, "-G"), (self.detail > 0, "-D"), (self.detail > 1, "-D")];
        words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag.to_string()));
        if self.facility != Facility::default() {
            words.push(format!("-S{}", self.facility));
        }
        words
    }
}

/// A syslog facility that keepalived's `-S` can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Facility {
    /// `user`, code 1.
    User,
    /// `daemon`, code 3.
    #[default]
    Daemon,
    /// `local0` to `local7`, codes 16 to 23.
    Local(u8),
}

impl Facility {
    /// The facility's number in a syslog priority (RFC 3164 4.1.1).
    pub const fn code(self) -> u8 {
        match self {
            Facility::User => 1,
            Facility::Daemon => 3,
            Facility::Local(n) => 16 + n,
        }
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Facility::User => f.write_str("user"),
            Facility::Daemon => f.write_str("daemon"),
            Facility::Local(n) => write!(f, "local{n}"),
        }
    }
}

impl FromStr for Facility {
    type Err = String;

    /// `0` to `7`, `local0` to `local7`, `user` or `daemon`.
    fn from_str(word: &str) -> Result<Facility, String> {
        match word {
            "user" => return Ok(Facility::User),
            "daemon" => return Ok(Facility::Daemon),
            _ => {}
        }
        match word.strip_prefix("local").unwrap_or(word).as_bytes() {
            [digit @ b'0'..=b'7'] => Ok(Facility::Local(digit - b'0')),
            _ => Err(format!("'{word}' is no log facility: 0 to 7, local0 to local7, user or daemon")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_are_named_as_keepalived_names_them() {
        for (word, code) in [("user", 1), ("daemon", 3), ("0", 16), ("7", 23), ("local3", 19)] {
            assert_eq!(word.parse::<Facility>().map(Facility::code), Ok(code), "{word}");
        }
        for word in ["8", "local8", "local", "", "mail", "local00"] {
            assert!(word.parse::<Facility>().is_err(), "{word}");
        }
    }

    #[test]
    fn a_role_inherits_what_was_chosen_and_nothing_else() {
        assert!(LogOptions::default().arguments().is_empty());
        let chosen = LogOptions { console: true, no_syslog: true, detail: 2, facility: Facility::Local(2) };
        assert_eq!(chosen.arguments(), ["-l", "-G", "-D", "-D", "-Slocal2"]);
    }
}
