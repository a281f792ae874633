//! From files to the tree: `include`, `@id` lines, `$definitions`.

mod definitions;
mod generators;
mod include;

use crate::diagnostics::{Code, Diagnostic, keep};
use crate::lexer::{OpenQuote, Piece, Text, Word, plain_pieces};
use crate::source::{FileId, Reader, SourceMap, Span};
use crate::tree::{Builder, Spare, Statement};
use crate::{MAX_LINE, MAX_STATEMENTS};
use definitions::{Definitions, Surroundings, assignment};
use include::Insists;

/// Lines that generators may bring in one configuration, so that generators in generators come to an end.
const MAX_GENERATED: usize = 1_000_000;

/// Takes the statements of the outermost level one by one, whole, in the order of the text. What it gives back is
/// used for the next ones.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Statement) -> Option<Statement>;

/// Reads `main` and all it includes. No tree of the whole configuration ever exists: `sink` gets each statement as
/// soon as it is complete.
pub(crate) fn read(
    reader: &mut dyn Reader,
    main: &str,
    config_id: &str,
    sink: Sink<'_>,
) -> (SourceMap, Vec<Diagnostic>) {
    let mut reading = Reading {
        reader,
        sink,
        spare: Spare::default(),
        config_id,
        sources: SourceMap::default(),
        builder: Builder::default(),
        diagnostics: Vec::new(),
        definitions: Definitions::default(),
        collecting: Collecting::No,
        statements: 0,
        generated: 0,
        lines: 0,
        octets: 0,
        insists: Insists::default(),
        open_files: Vec::new(),
    };
    reading.main(main);
    for statement in reading.builder.finish(crate::keywords::is_outermost, &mut reading.diagnostics) {
        (reading.sink)(statement);
    }
    (reading.sources, reading.diagnostics)
}

/// A definition of several lines that is being read.
enum Collecting {
    No,
    /// Name, its place and the lines so far; without a name the lines are dropped (an `@id` said so). The flag: an empty
    /// line was the last.
    Lines(Option<String>, Span, Vec<String>, bool),
}

struct Reading<'a> {
    reader: &'a mut dyn Reader,
    sink: Sink<'a>,
    spare: Spare,
    config_id: &'a str,
    sources: SourceMap,
    builder: Builder,
    diagnostics: Vec<Diagnostic>,
    definitions: Definitions,
    collecting: Collecting,
    statements: usize,
    /// Lines that generators brought.
    generated: usize,
    /// Lines that were read.
    lines: usize,
    /// Octets of all files, each as often as it is included.
    octets: usize,
    /// What `include_check` says just now.
    insists: Insists,
    /// The file being read and those that include it, by name and identity: none may include itself.
    open_files: Vec<(String, String)>,
}

impl Reading<'_> {
    fn say(&mut self, diagnostic: Diagnostic) {
        keep(&mut self.diagnostics, diagnostic);
    }

    fn main(&mut self, pattern: &str) {
        let names = match self.reader.resolve(pattern, None) {
            Ok(names) => names,
            Err(why) => return self.main_missing(pattern, &why),
        };
        if names.is_empty() {
            return self.main_missing(pattern, "no file has this name");
        }
        for name in names {
            if let Err(why) = self.file(&name, 0, None) {
                self.main_missing(&name, &why);
            }
        }
    }

    fn main_missing(&mut self, name: &str, why: &str) {
        let title = format!("cannot read the configuration file {name}: {why}");
        self.say(
            Diagnostic::new(Code::MainFile, None, title, "there is nothing to run")
                .instead("name a readable file with -f"),
        );
    }

    fn physical_line(&mut self, file: FileId, base: usize, line: &str, depth: usize) {
        // MAX_FILE keeps decoded text far below 4 GiB.
        let start = u32::try_from(base).unwrap_or(u32::MAX);
        self.lines += 1;
        if let (Collecting::No, true) = (&self.collecting, line.len() <= MAX_LINE)
            && let Some(mut pieces) = plain_pieces(file, start, line)
            && !pieces.starts_with("include")
        {
            return self.pieces(|spare| pieces.next(spare), depth, true);
        }
        // Characters that stand for one octet have four: only a line that is far too long is not counted.
        let length = if line.len() > 4 * MAX_LINE { line.len() } else { crate::source::encode(line).len() };
        if length > MAX_LINE || line.contains('\0') {
            let span = Span { file, start, end: start.saturating_add(1) };
            let title = if length > MAX_LINE && line.contains('\0') {
                format!("the line has {length} bytes, NUL bytes among them: this is no text")
            } else if length > MAX_LINE {
                format!("the line has {length} bytes, more than {MAX_LINE}")
            } else {
                "the line holds a NUL byte".to_owned()
            };
            return self.say(Diagnostic::new(Code::Line, span, title, "the line is left out"));
        }
        let text = Text::new(file, start, line).without_comment();
        if let Collecting::Lines(.., after_empty) = self.collecting {
            if !(after_empty && begins_something_else(text.as_str())) {
                return self.collect(text.as_str());
            }
            self.end_definition_before(&text);
        }
        self.logical_line(text, depth, 0);
    }

    /// One more line of a definition; the first that does not end in a backslash is the last.
    fn collect(&mut self, line: &str) {
        let Collecting::Lines(name, place, lines, after_empty) = &mut self.collecting else { return };
        let line = line.trim_end();
        *after_empty = line.trim().is_empty();
        if *after_empty {
            return;
        }
        match line.strip_suffix('\\') {
            Some(more) => lines.push(more.to_owned()),
            None => {
                lines.push(line.to_owned());
                let (name, place, lines) = (name.take(), *place, std::mem::take(lines));
                self.collecting = Collecting::No;
                if let Some(name) = name {
                    self.definitions.set(name, lines, Some(place));
                }
            }
        }
    }

    /// Its last line ended in a backslash too, an empty line follows, and then what can only be something else.
    fn end_definition_before(&mut self, text: &Text) {
        let next = text.span_trimmed();
        self.end_definition(|name, place| {
            let title = format!("the last line of the definition of ${name} ends in a backslash");
            let now = "the definition ends with the empty line";
            let diagnostic = Diagnostic::new(Code::NoEffect, place, title, now);
            diagnostic.related(next, "what follows is no part of it")
        });
    }

    /// A definition does not go on in another file.
    fn end_definition_of(&mut self, file: FileId) {
        let end = u32::try_from(self.sources.length(file)).unwrap_or(u32::MAX);
        self.end_definition(|name, _| {
            let title = format!("the file ends in the middle of the definition of ${name}");
            let span = Span { file, start: end, end };
            Diagnostic::new(Code::BadValue, span, title, "the definition ends here")
        });
    }

    /// The definition that is being read, if there is one, is over before its time.
    fn end_definition(&mut self, complaint: impl FnOnce(&str, Span) -> Diagnostic) {
        let collecting = std::mem::replace(&mut self.collecting, Collecting::No);
        let Collecting::Lines(Some(name), place, lines, _) = collecting else { return };
        self.say(complaint(&name, place));
        self.definitions.set(name, lines, Some(place));
    }

    /// A line after comments. `nesting` counts definitions in definitions.
    fn logical_line(&mut self, text: Text, depth: usize, nesting: usize) {
        let mut rest = Some(text);
        while let Some(text) = rest {
            rest = self.part_of_line(text, depth, nesting);
        }
    }

    /// `@id`, definition or generator, else words; and what begins anew behind one of its braces.
    fn part_of_line(&mut self, text: Text, depth: usize, nesting: usize) -> Option<Text> {
        if text.as_str().trim().is_empty() {
            return None;
        }
        let conditional = text.as_str().trim_start().starts_with('@');
        let (text, kept) = self.conditional(text);
        if let Some((name, value)) = assignment(text.as_str()) {
            self.define(kept.then_some(name), &value, text.span_trimmed());
            return None;
        }
        if !kept {
            return None;
        }
        if let Some(end) = generators::head(text.as_str()) {
            self.generate(&text, end, depth, nesting);
            return None;
        }
        let Some(at) = begins_anew(text.as_str()) else {
            self.substitute(text, conditional, depth, nesting);
            return None;
        };
        self.substitute(text.slice(0, at), conditional, depth, nesting);
        Some(text.slice(at, text.as_str().len()))
    }

    /// Substitution, then words. `conditional`: there was an `@id` before it.
    fn substitute(&mut self, text: Text, conditional: bool, depth: usize, nesting: usize) {
        let expanded = self.expand(text);
        if let (true, [], Some((name, value))) =
            (expanded.substituted, &expanded.more[..], assignment(expanded.line.as_str()))
        {
            return self.define(Some(name), &value, expanded.line.span_trimmed());
        }
        // A hash sign that a definition brings (${_HASH}) begins a comment, as seen in keepalived.
        let line = if expanded.substituted { expanded.line.without_comment() } else { expanded.line };
        if generators::head(line.as_str()).is_some() {
            self.nested(line, depth, nesting);
        } else {
            // keepalived looks for includes before it looks at @id, and once more after a substitution.
            self.words_of(line, depth, !conditional || expanded.substituted);
        }
        for line in expanded.more {
            self.nested(line, depth, nesting);
        }
    }

    fn expand(&mut self, text: Text) -> definitions::Expanded {
        let mut around = Surroundings {
            reader: &mut *self.reader,
            sources: &mut self.sources,
            config_id: self.config_id,
            lines: self.lines,
        };
        self.definitions.expand(text, &mut around, &mut self.diagnostics)
    }

    /// A line that a definition or a generator brought.
    fn nested(&mut self, line: Text, depth: usize, nesting: usize) {
        if nesting < definitions::MAX_NESTING {
            return self.logical_line(line, depth, nesting + 1);
        }
        let span = line.span_trimmed();
        let name = self.sources.origins(span).last().map(|o| o.name.clone());
        self.say(self.definitions.endless(&name.unwrap_or_default(), span));
    }

    /// Repeats the rest of a line, from byte `end` on, for each value of the generator before it.
    fn generate(&mut self, text: &Text, end: usize, depth: usize, nesting: usize) {
        if self.generated > MAX_GENERATED {
            return; // It was said when the limit was reached.
        }
        let head = self.expand(text.slice(0, end)).line;
        let Some(generator) = generators::read(head.as_str()) else {
            let title = "this is no valid ~SEQ, ~SEQx or ~LST";
            let diagnostic =
                Diagnostic::new(Code::BadValue, text.span_trimmed(), title, "the line is left out");
            return self.say(
                diagnostic.instead("~SEQ(NAME, START, STEP, END) text, or ~LST(NAME, VALUE, ...) text"),
            );
        };
        let rest = text.slice(end, text.as_str().len());
        let before: Vec<_> = generator.names.iter().map(|name| self.definitions.get(name)).collect();
        for row in generator.rows {
            self.generated += 1;
            if self.generated > MAX_GENERATED + 1 {
                break;
            }
            if self.generated > MAX_GENERATED {
                let title = format!("generators repeat more than {MAX_GENERATED} lines");
                self.say(Diagnostic::new(Code::Limit, text.span_trimmed(), title, "the rest is left out"));
                break;
            }
            for (name, value) in generator.names.iter().zip(row) {
                self.definitions.set(name.clone(), vec![value], Some(text.span(0, end)));
            }
            self.nested(rest.clone(), depth, nesting);
        }
        for (name, value) in generator.names.into_iter().zip(before) {
            self.definitions.restore(name, value);
        }
    }

    fn define(&mut self, name: Option<String>, value: &str, place: Span) {
        match value.trim_end().strip_suffix('\\') {
            Some(first) => {
                let first = first.trim();
                let lines = if first.is_empty() { Vec::new() } else { vec![first.to_owned()] };
                self.collecting = Collecting::Lines(name, place, lines, false);
            }
            None => {
                if let Some(name) = name {
                    self.definitions.set(name, vec![value.trim().to_owned()], Some(place));
                }
            }
        }
    }

    /// Takes an `@id` or `@^id` prefix off; the flag says whether the line is kept.
    fn conditional(&mut self, text: Text) -> (Text, bool) {
        let line = text.as_str();
        let start = line.len() - line.trim_start().len();
        let Some(rest) = line.trim_start().strip_prefix('@') else { return (text, true) };
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (id, after) = rest.split_at(length);
        let span = text.span(start, start + 1 + length);
        if id.trim_start_matches('^').is_empty() || after.trim().is_empty() {
            let title = "an `@id` without id or text";
            let diagnostic =
                Diagnostic::new(Code::NoEffect, span, title, "the line is left out, as in keepalived");
            self.say(diagnostic.instead("@ID KEYWORD ..., without a blank after the @"));
            return (Text::empty(span.file), false);
        }
        let kept = match id.strip_prefix('^') {
            Some(other) => other != self.config_id,
            None => id == self.config_id,
        };
        (text.slice(start + 1 + length, line.len()), kept)
    }

    /// Words and braces of a line go into the tree; an include is followed.
    fn words_of(&mut self, text: Text, depth: usize, includes: bool) {
        if let Some((insists, words)) = include::line(&text) {
            self.include(&words, insists, depth, includes);
            return;
        }
        let (pieces, open_quote) = text.pieces();
        if let Some(quote) = open_quote {
            let (title, now) = match quote {
                OpenQuote::Word => ("a quote is not closed", "the word ends with the line"),
                OpenQuote::Script => {
                    ("a quote or an escape is not complete", "the line is left out, as in keepalived")
                }
            };
            self.say(Diagnostic::new(Code::Quote, text.span_trimmed(), title, now));
        }
        let mut pieces = pieces.into_iter();
        self.pieces(|_| pieces.next(), depth, includes);
    }

    fn pieces(&mut self, mut next: impl FnMut(&mut Spare) -> Option<Piece>, depth: usize, includes: bool) {
        let mut run = Vec::new();
        while let Some(piece) = next(&mut self.spare) {
            match piece {
                Piece::Word(word) => {
                    if run.is_empty() {
                        run = self.spare.list();
                    }
                    run.push(word);
                }
                Piece::Open(span) => {
                    self.statement(std::mem::take(&mut run), depth, includes);
                    self.builder.open(span, &mut self.diagnostics);
                }
                Piece::Close(span) => {
                    self.statement(std::mem::take(&mut run), depth, includes);
                    self.builder.close(span, &mut self.diagnostics);
                }
            }
        }
        self.statement(run, depth, includes);
    }

    fn statement(&mut self, words: Vec<Word>, depth: usize, includes: bool) {
        let Some(first) = words.first() else { return };
        if let Some(insists) = include::keyword(&first.text) {
            return self.include(&words, insists, depth, includes);
        }
        match (first.text.as_str(), words.get(1)) {
            ("include_check", _) => self.insists.change(words.get(1..).unwrap_or_default()),
            ("random_seed", Some(seed)) => {
                if let Ok(seed) = seed.text.parse() {
                    self.definitions.seed(seed);
                }
            }
            _ => {}
        }
        if self.statements == MAX_STATEMENTS {
            let title = format!("more than {MAX_STATEMENTS} lines");
            self.say(Diagnostic::new(Code::Limit, first.span, title, "the rest is left out"));
        }
        self.statements += 1;
        if self.statements <= MAX_STATEMENTS
            && let Some(complete) = self.builder.statement(words, &mut self.diagnostics)
            && let Some(used) = (self.sink)(complete)
        {
            self.spare.take(used);
        }
    }
}

/// After an empty line in a definition of several lines: is this one no part of it? It does not go on itself, and is another
/// definition or begins a block of the outermost level.
fn begins_something_else(line: &str) -> bool {
    let word = line.trim_start().split([' ', '\t', '{']).next().unwrap_or_default();
    !line.trim_end().ends_with('\\') && (assignment(line).is_some() || crate::keywords::is_outermost(word))
}

/// Where a line begins anew: behind the first brace that an `@id` or a generator follows. Braces in double quotes and those
/// of references are none.
fn begins_anew(line: &str) -> Option<usize> {
    if !line.contains(['@', '~']) {
        return None;
    }
    let (mut quoted, mut reference, mut before) = (false, false, ' ');
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '{' if before == '$' => reference = true,
            '}' if reference => reference = false,
            '{' | '}' if !quoted => {
                let rest = line.get(at + 1..).unwrap_or_default();
                if rest.trim_start().starts_with('@') || generators::head(rest).is_some() {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        before = c;
    }
    None
}

/// The directory part of a file name.
fn directory(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((directory, _)) => directory,
        None => ".",
    }
}
