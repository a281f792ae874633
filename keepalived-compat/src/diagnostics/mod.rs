//! What the parser has to say, for people: code, place, what happens now, what to write instead.

mod render;
mod stories;

use crate::source::Span;
pub use stories::{page, story};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is lost.
    Hint,
    /// Something differs from what was written.
    Warning,
    /// Something that was written is lost, or the traffic is at stake.
    Error,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $severity:ident, $status:literal, $meaning:literal;)*) => {
        /// Stable identity of a kind of diagnostic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl Code {
            /// All codes in order.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// How bad this kind is.
            pub const fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }

            /// Exit status that it gives to `-t`: 0 when keepalived would have nothing to say. (For a main file that
            /// is missing keepalived says 0 too; a test that passes then is worth nothing, so it is 4 here.)
            pub const fn status(self) -> u8 {
                match self { $(Code::$name => $status,)* }
            }

            /// Does keepalived refuse to start because of it?
            pub const fn is_fatal(self) -> bool {
                matches!(
                    self,
                    Code::MainFile | Code::RequiredInclude | Code::MissingWord | Code::Incomplete | Code::Conflict
                )
            }

            /// One sentence for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    MainFile = 1, Error, 4, "The configuration file cannot be read.";
    Include = 2, Error, 0, "An included file is missing or cannot be used.";
    RequiredInclude = 3, Error, 6, "A file that must be there (includer and its kin) is missing.";
    Line = 4, Error, 5, "A line is too long or holds a NUL; it is left out.";
    Quote = 5, Error, 5, "A quote is not closed; the word runs to the end of the line.";
    Brace = 6, Error, 5, "A brace is missing or too many.";
    UnknownKeyword = 7, Error, 5, "keepalived does not know the word at this place; it is left out with its block.";
    MissingWord = 8, Error, 2, "A keyword lacks the word that must follow; keepalived ends with status 2.";
    BadValue = 9, Error, 5, "A value cannot be understood; the default stays.";
    Adjusted = 10, Warning, 5, "A value is rounded, cut or replaced, as keepalived does.";
    Duplicate = 11, Error, 5, "A name or address is defined twice; the second is left out.";
    UnknownName = 12, Error, 5, "Something is referred to that is not defined.";
    Cleared = 13, Warning, 5, "Two settings do not go together; one is cleared, as keepalived does.";
    Deprecated = 14, Warning, 5, "An old spelling that keepalived still takes.";
    Limit = 15, Error, 5, "A limit of this parser was reached.";
    Incomplete = 16, Error, 5, "A block lacks something it cannot do without; keepalived refuses to start.";
    Conflict = 17, Error, 5, "Two virtual routers are the same; keepalived refuses to start.";
    NotYet = 20, Warning, 0, "Known to keepalived, not built in holdfast yet.";
    NotYetTraffic = 21, Error, 0, "Known to keepalived, not built in holdfast yet, and the traffic may notice.";
    NoEffect = 22, Hint, 0, "Accepted without effect, and nothing is lost by that.";
    Undefined = 23, Hint, 0, "A $NAME that has no definition stays as written.";
    Default = 24, Hint, 5, "A default is used that keepalived mentions too.";
    ScriptSecurity = 25, Warning, 6, "Scripts are used without enable_script_security.";
    ScriptMissing = 26, Error, 5, "A script cannot be run: it is missing, not executable, unsafe, or has no account; keepalived leaves it out.";
    MissingInterface = 27, Warning, 5, "An interface does not exist now; the daemon waits for it.";
    CommandMissing = 28, Warning, 0, "The program of a notification or check does not exist; keepalived leaves it out and says nothing.";
    DelayInterface = 29, Warning, 4, "A delay is for an interface that does not exist; keepalived's -t ends with status 4.";
    TrackedTwice = 30, Warning, 0, "An instance and its sync group track the same thing; the line of the group counts.";
    AddressTwice = 31, Warning, 0, "A virtual address is listed twice; it is advertised twice and held once.";
    ServiceTwice = 32, Warning, 0, "A virtual server names a service that is there already, with the same real servers; it is there once.";
    MissingSource = 33, Warning, 0, "No interface has the source address of FULLNAT now.";
    AddressOutside = 100, Hint, 0, "A virtual address is in no network that its interface or another address has.";
    IntervalMismatch = 101, Warning, 0, "Members of a sync group advertise at different intervals.";
    ScriptWritable = 102, Warning, 0, "Others than root may change a script, or put another in its place.";
    QuorumUnreachable = 103, Warning, 0, "A quorum that is lost once can never be met again.";
    WeightIgnored = 104, Hint, 0, "A weight that can never change the outcome.";
}

impl Code {
    /// Finds a code by its text, `HF0007`; in letters of either case, and also without them.
    pub fn parse(text: &str) -> Option<Code> {
        let upper = text.trim().to_ascii_uppercase();
        let number: u16 = upper.strip_prefix("HF").unwrap_or(&upper).parse().ok()?;
        Code::ALL.iter().copied().find(|code| *code as u16 == number)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HF{:04}", *self as u16)
    }
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind.
    pub code: Code,
    /// Where; `None` when it is about the whole configuration.
    pub span: Option<Span>,
    /// A second place that belongs to it, with a label ("first defined here").
    pub related: Option<(Span, String)>,
    /// What is the matter, without full stop.
    pub title: String,
    /// What happens now, one sentence.
    pub now: String,
    /// What to write instead, one sentence; empty when there is nothing to advise.
    pub instead: String,
}

impl Diagnostic {
    /// A diagnostic without advice.
    pub fn new(
        code: Code,
        span: impl Into<Option<Span>>,
        title: impl Into<String>,
        now: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code,
            span: span.into(),
            related: None,
            title: title.into(),
            now: now.into(),
            instead: String::new(),
        }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn instead(mut self, advice: impl Into<String>) -> Diagnostic {
        self.instead = advice.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.related = Some((span, label.into()));
        self
    }

    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// Diagnostics beyond [`crate::MAX_DIAGNOSTICS`] that are kept because nothing may start without them being known.
const MAX_FATAL: usize = 100;

/// Keeps a diagnostic, up to [`crate::MAX_DIAGNOSTICS`]; of the rest only what is fatal, because a configuration
/// that keepalived refuses must not start for having too many other faults.
pub fn keep(diagnostics: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
    use crate::MAX_DIAGNOSTICS;
    let count = diagnostics.len();
    if count < MAX_DIAGNOSTICS || diagnostic.code.is_fatal() && count < MAX_DIAGNOSTICS + MAX_FATAL {
        diagnostics.push(diagnostic);
    } else if count == MAX_DIAGNOSTICS {
        let title = format!("there are more than {MAX_DIAGNOSTICS} things to say about this configuration");
        let now = "the rest is not shown, the configuration is read to its end";
        let last = Diagnostic::new(Code::Limit, None, title, now);
        diagnostics.push(last.instead("look at the first ones: the others often follow from them"));
    }
}

/// At most `most` of the diagnostics, the most severe ones, in their order; and how many others there are.
pub fn worst(diagnostics: &[Diagnostic], most: usize) -> (Vec<&Diagnostic>, usize) {
    let mut kept: Vec<(usize, &Diagnostic)> = diagnostics.iter().enumerate().collect();
    kept.sort_by_key(|(index, d)| (std::cmp::Reverse(d.severity()), *index));
    kept.truncate(most);
    kept.sort_by_key(|(index, _)| *index);
    (kept.into_iter().map(|(_, d)| d).collect(), diagnostics.len().saturating_sub(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered() {
        assert!(Code::ALL.windows(2).all(|pair| (pair[0] as u16) < (pair[1] as u16)));
    }

    #[test]
    fn the_worst_are_shown_in_order() {
        let of = |code| Diagnostic::new(code, None, "t", "n");
        let all = [Code::Undefined, Code::Adjusted, Code::BadValue, Code::Adjusted, Code::Brace].map(of);
        let (shown, more) = worst(&all, 3);
        let codes: Vec<Code> = shown.iter().map(|d| d.code).collect();
        assert_eq!((codes, more), (vec![Code::Adjusted, Code::BadValue, Code::Brace], 2));
        assert_eq!(worst(&all, 9).1, 0);
    }

    #[test]
    fn a_code_is_found_by_its_text() {
        assert_eq!(Code::parse("HF0007"), Some(Code::UnknownKeyword));
        assert_eq!(Code::parse(" hf7"), Some(Code::UnknownKeyword));
        assert_eq!((Code::parse("HF0999"), Code::parse("")), (None, None));
    }
}
