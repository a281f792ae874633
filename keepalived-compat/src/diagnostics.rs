//! What the parser has to say, for people: code, place, what happens now, what to write instead.

use crate::source::{SourceMap, Span};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

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
    Include = 2, Error, 5, "An included file is missing or cannot be used.";
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
    ScriptMissing = 26, Warning, 5, "A script does not exist or is not executable; keepalived would not run it.";
    MissingInterface = 27, Warning, 5, "An interface does not exist now; the daemon waits for it.";
    CommandMissing = 28, Warning, 0, "The program of a notification or check does not exist; keepalived leaves it out and says nothing.";
    DelayInterface = 29, Warning, 4, "A delay is for an interface that does not exist; keepalived's -t ends with status 4.";
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

    /// One line: `FILE:LINE: title; now`, for lists and logs.
    pub fn line(&self, sources: &SourceMap) -> String {
        let place = self.span.and_then(|s| sources.position(s));
        let place = place.map_or(String::new(), |p| format!("{}:{}: ", p.file, p.line));
        printable(&format!("{place}{}: {}", self.title, self.now))
    }

    /// As printed: the title, the source line with the place underlined, what happens, what to do.
    /// Plain text of several lines, without a final newline.
    pub fn render(&self, sources: &SourceMap) -> String {
        let level = match self.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Hint => Level::INFO.with_name("hint"),
        };
        let id = self.code.to_string();
        let title = printable(&self.title);
        let (now, instead) = (printable(&self.now), printable(&self.instead));
        let places: Vec<Shown> =
            [self.span.map(|s| (s, "")), self.related.as_ref().map(|(s, l)| (*s, l.as_str()))]
                .into_iter()
                .flatten()
                .filter_map(|(span, label)| Shown::new(sources, span, label))
                .collect();
        let mut group = level.primary_title(title).id(id.as_str()).elements(places.iter().enumerate().map(
            |(index, shown)| {
                let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let mark = kind.span(shown.start..shown.end);
                let mark = if shown.label.is_empty() { mark } else { mark.label(shown.label.as_str()) };
                Snippet::source(shown.text.as_str())
                    .line_start(shown.line)
                    .path(shown.file.as_str())
                    .annotation(mark)
            },
        ));
        group = group.element(Level::NOTE.with_name("now").message(now));
        if !instead.is_empty() {
            group = group.element(Level::HELP.with_name("instead").message(instead));
        }
        let text = Renderer::plain().render(&[group]);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// Keeps a diagnostic, up to [`crate::MAX_DIAGNOSTICS`].
pub(crate) fn keep(diagnostics: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
    if diagnostics.len() < crate::MAX_DIAGNOSTICS {
        diagnostics.push(diagnostic);
    }
}

/// A source line ready to be printed: at most [`SHOWN_WIDTH`] characters around the place, no control characters.
struct Shown {
    file: String,
    line: usize,
    text: String,
    start: usize,
    end: usize,
    label: String,
}

/// Characters of a source line that are shown; a screen is rarely wider.
const SHOWN_WIDTH: usize = 160;

impl Shown {
    fn new(sources: &SourceMap, span: Span, label: &str) -> Option<Shown> {
        let position = sources.position(span)?;
        let before = position.text.get(..position.start)?.chars().count();
        let marked = position.text.get(position.start..position.end)?.chars().count();
        // Keep the line's head unless the place would fall off the screen.
        let skip = before.saturating_sub(SHOWN_WIDTH / 2);
        let line = masked(position.text);
        let part =
            |from: usize, count: usize| line.chars().skip(from).take(count).map(visible).collect::<String>();
        let head = part(skip, before - skip);
        let place = part(before, marked.min(SHOWN_WIDTH));
        let room = SHOWN_WIDTH.saturating_sub(head.chars().count() + place.chars().count());
        let tail = part(before + marked, room);
        let (start, end) = (head.len(), head.len() + place.len());
        let text = head + &place + &tail;
        let line = position.line as usize;
        Some(Shown { file: printable(position.file), line, text, start, end, label: printable(label) })
    }
}

/// The line with its secret (`auth_pass`, `password`, the `key` of `auth_hmac`) as stars: diagnostics end up in
/// logs and tickets.
fn masked(line: &str) -> String {
    let start = line.len() - line.trim_start().len();
    let end_of = |word: &str| line.find(word).map(|at| at + word.len());
    let key = line.trim_start().starts_with("key ").then_some(start + "key ".len());
    let Some(end) = [end_of("auth_pass"), end_of("password"), key].into_iter().flatten().min() else {
        return line.to_owned();
    };
    let (before, after) = line.split_at(end);
    let star = |c: char| if c.is_whitespace() || c == '}' { c } else { '*' };
    before.chars().chain(after.chars().map(star)).collect()
}

/// A character that cannot upset a terminal: no controls, no writing-direction marks, no private characters.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{f0000}'.. => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Text that cannot upset a terminal, on one line.
fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_the_line_and_underlines_the_place() {
        let mut sources = SourceMap::default();
        let file = sources.add("k.conf".into(), "global_defs {\n\tvvrp_script x {\n".into());
        let span = Span { file, start: 15, end: 26 };
        let text =
            Diagnostic::new(Code::UnknownKeyword, span, "unknown keyword `vvrp_script`", "it is left out")
                .instead("vrrp_script")
                .render(&sources);
        let want = "\
error[HF0007]: unknown keyword `vvrp_script`
 --> k.conf:2:2
  |
2 |  vvrp_script x {
  |  ^^^^^^^^^^^
  |
  = now: it is left out
  = instead: vrrp_script";
        assert_eq!(text, want);
    }

    #[test]
    fn control_characters_of_the_file_never_reach_the_terminal() {
        let mut sources = SourceMap::default();
        let file = sources.add("k.conf".into(), "a\u{1b}[2Jb\n".into());
        let text = Diagnostic::new(Code::BadValue, Span { file, start: 0, end: 6 }, "bad\u{7}", "x")
            .render(&sources);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text}");
    }

    #[test]
    fn a_password_is_never_shown() {
        for line in
            ["{ auth_pass hunter2hunter2 }", "  key 1 hunter2", "password hunter2", "auth_passhunter2"]
        {
            let mut sources = SourceMap::default();
            let file = sources.add("k.conf".into(), line.into());
            let span = Span { file, start: 0, end: 20 };
            let text = Diagnostic::new(Code::Adjusted, span, "too long", "cut").render(&sources);
            assert!(!text.contains("hunter") && text.contains("*****"), "{text}");
        }
    }

    #[test]
    fn codes_are_unique_and_ordered() {
        assert!(Code::ALL.windows(2).all(|pair| (pair[0] as u16) < (pair[1] as u16)));
    }
}
