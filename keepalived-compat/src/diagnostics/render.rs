//! A diagnostic in words and lines.

use super::{Diagnostic, Severity};
use crate::source::{Origin, SourceMap, Span};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Definitions that are named for one place.
const MAX_CHAIN: usize = 4;

impl Diagnostic {
    /// One line: `FILE:LINE: title; now`, for lists and logs.
    pub fn line(&self, sources: &SourceMap) -> String {
        let place = self.span.and_then(|s| sources.position(s));
        let place = place.map_or(String::new(), |p| format!("{}:{}: ", p.file, p.line));
        printable(&format!("{place}{}: {}", self.title, self.now))
    }

    /// As printed: the title, the source line with the place underlined, what happens, what to do.
    /// Plain text of several lines, without a final newline.
    pub fn render(&self, sources: &SourceMap) -> String {
        self.render_by(&Renderer::plain(), sources)
    }

    /// As [`Self::render`], in the colours of a terminal.
    pub fn render_coloured(&self, sources: &SourceMap) -> String {
        self.render_by(&Renderer::styled(), sources)
    }

    /// Where the place came from, one phrase each: the definitions it was written in, then the files that
    /// include its file, from the inside out.
    pub fn chain(&self, sources: &SourceMap) -> Vec<String> {
        let at = |span| sources.position(span).map(|p| printable(&format!("{}:{}", p.file, p.line)));
        let Some(span) = self.span else { return Vec::new() };
        let definition = |o: &Origin| match o.defined.and_then(at) {
            Some(place) => format!("${} is defined at {place}", printable(&o.name)),
            None => format!("${} is predefined", printable(&o.name)),
        };
        let mut chain: Vec<String> = sources.origins(span).take(MAX_CHAIN).map(definition).collect();
        let mut file = span.file;
        while let Some(span) = sources.included_at(file) {
            // At most MAX_INCLUDE_DEPTH: a file comes after the one that includes it.
            chain.extend(at(span).map(|place| format!("included at {place}")));
            file = span.file;
        }
        chain
    }

    fn render_by(&self, renderer: &Renderer, sources: &SourceMap) -> String {
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
        for link in self.chain(sources) {
            group = group.element(Level::NOTE.with_name("from").message(link));
        }
        group = group.element(Level::NOTE.with_name("now").message(now));
        if !instead.is_empty() {
            group = group.element(Level::HELP.with_name("instead").message(instead));
        }
        let text = renderer.render(&[group]);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
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
pub(super) fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

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
}
