//! `$NAME=value` and its uses (keepalived.conf(5), "PARAMETER SUBSTITUTION").

use crate::diagnostics::{Code, Diagnostic, keep};
use crate::lexer::Text;
use crate::source::{Reader, SourceMap, Span};
use std::collections::{BTreeMap, BTreeSet};

/// How deep definitions of several lines may refer to each other; the deepest seen is two.
pub(super) const MAX_NESTING: usize = 16;

/// Substitutions in one line; a definition that names itself ends here.
const MAX_IN_LINE: usize = 256;

/// Substitutions in one configuration, besides [`MAX_PER_LINE`] for each line that was read; definitions that
/// double each other end here.
const MAX_IN_ALL: usize = 200_000;

/// Substitutions that each line adds to what is allowed: a large file may use definitions in every line.
const MAX_PER_LINE: usize = 16;

/// The largest value of `${_RANDOM}` without arguments, as in a shell.
const MOST_RANDOM: u64 = 32_767;

/// Bytes a line may grow to.
const MAX_GROWN: usize = 8192;

/// A line after substitution, and the further lines that a definition of several lines brings.
pub(super) struct Expanded {
    pub(super) line: Text,
    pub(super) more: Vec<Text>,
    /// Was anything substituted?
    pub(super) substituted: bool,
}

/// What a name stands for, and where that was said.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    lines: Vec<String>,
    place: Option<Span>,
}

/// All definitions made so far.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    values: BTreeMap<String, Definition>,
    used: usize,
    undefined: BTreeSet<String>,
    /// State of the generator behind `${_RANDOM}`; `None` before the first use.
    random: Option<u64>,
}

/// What predefined names are made of.
pub(super) struct Surroundings<'a> {
    pub(super) reader: &'a mut dyn Reader,
    pub(super) sources: &'a mut SourceMap,
    pub(super) config_id: &'a str,
    /// Lines that were read so far.
    pub(super) lines: usize,
}

/// A reference that has a value.
struct Found {
    start: usize,
    end: usize,
    name: String,
    definition: Definition,
}

/// `$NAME=value`, if the line is one.
pub(super) fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim_start().strip_prefix('$')?.split_once('=')?;
    is_name(name).then(|| (name.to_owned(), value.to_owned()))
}

pub(super) fn is_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit())
}

/// A reference in a line, by byte positions.
struct Reference<'a> {
    start: usize,
    end: usize,
    name: &'a str,
}

/// The references of a line from left to right.
fn references(line: &str) -> impl Iterator<Item = Reference<'_>> {
    line.match_indices('$').filter_map(|(start, _)| {
        let rest = line.get(start + 1..)?;
        if let Some(inner) = rest.strip_prefix('{') {
            let length = inner.find('}')?;
            let name = inner.get(..length)?;
            return Some(Reference { start, end: start + 2 + length + 1, name });
        }
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        let ends = after.chars().next().is_none_or(|c| c.is_whitespace() || ",)]}>".contains(c));
        (ends && is_name(name)).then_some(Reference { start, end: start + 1 + length, name })
    })
}

impl Definitions {
    /// Defines or redefines `name`; several lines when `lines` has several.
    pub(super) fn set(&mut self, name: String, lines: Vec<String>, place: Option<Span>) {
        self.values.insert(name, Definition { lines, place });
    }

    /// What `name` stands for.
    pub(super) fn get(&self, name: &str) -> Option<Definition> {
        self.values.get(name).cloned()
    }

    /// Undoes a [`Self::set`]: `before` is what [`Self::get`] gave then.
    pub(super) fn restore(&mut self, name: String, before: Option<Definition>) {
        match before {
            Some(definition) => self.values.insert(name, definition),
            None => self.values.remove(&name),
        };
    }

    /// `random_seed`: the numbers of `${_RANDOM}` begin anew.
    pub(super) fn seed(&mut self, seed: u64) {
        self.random = Some(seed);
    }

    /// Substitutes until nothing changes.
    pub(super) fn expand(
        &mut self,
        mut text: Text,
        around: &mut Surroundings<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Expanded {
        if !text.as_str().contains('$') {
            return Expanded { line: text, more: Vec::new(), substituted: false };
        }
        let allowed = MAX_IN_ALL.saturating_add(around.lines.saturating_mul(MAX_PER_LINE));
        let mut more = Vec::new();
        let mut last = String::new();
        for round in 0..MAX_IN_LINE {
            let Some(found) = self.next(&text, around) else {
                self.tell_undefined(&text, diagnostics);
                return Expanded { line: text, more, substituted: round > 0 };
            };
            self.used += 1;
            let Found { start, end, name, definition: Definition { lines, place } } = found;
            let span = text.span(start, end);
            around.sources.came_from(span, &name, place);
            let mut line = text.slice(0, start);
            line.append(&Text::substituted(span, lines.first().map_or("", String::as_str)));
            if lines.len() < 2 {
                line.append(&text.slice(end, text.as_str().len()));
            }
            let further = lines.iter().skip(1).map(|l| Text::substituted(span, l));
            more.splice(0..0, further);
            text = line;
            last = name;
            if self.used > allowed || text.as_str().len() > MAX_GROWN {
                break;
            }
        }
        keep(diagnostics, self.endless(&last, text.span_trimmed()));
        Expanded { line: Text::empty(text.file()), more: Vec::new(), substituted: true }
    }

    /// What is said when substitution from `name` does not come to an end.
    pub(super) fn endless(&self, name: &str, span: Span) -> Diagnostic {
        let cycle = self.cycle(name);
        let title = match &cycle {
            Some(names) => format!("substitution does not come to an end: ${}", names.join(" -> $")),
            None => "substitution does not come to an end".to_owned(),
        };
        let diagnostic = Diagnostic::new(Code::Limit, span, title, "the line is left out");
        let again = cycle.as_ref().and_then(|names| names.first()).and_then(|n| self.values.get(n));
        let diagnostic = match again.and_then(|d| d.place) {
            Some(place) if place != span => diagnostic.related(place, "the chain begins and ends here"),
            _ => diagnostic,
        };
        diagnostic.instead("give one of the definitions a value that does not refer to itself")
    }

    /// Names that refer to each other in a circle that `name` leads to; the first is also the last.
    fn cycle(&self, name: &str) -> Option<Vec<String>> {
        let mut path: Vec<(&str, Vec<&str>)> = vec![(name, self.referred(name))];
        let mut done = BTreeSet::new();
        while let Some((_, open)) = path.last_mut() {
            match open.pop() {
                None => done.extend(path.pop().map(|(name, _)| name)),
                Some(next) => {
                    if let Some(at) = path.iter().position(|(name, _)| *name == next) {
                        let names = path.iter().skip(at).map(|(name, _)| (*name).to_owned());
                        return Some(names.chain([next.to_owned()]).collect());
                    }
                    if !done.contains(next) && path.len() < MAX_IN_LINE {
                        path.push((next, self.referred(next)));
                    }
                }
            }
        }
        None
    }

    /// The names that the value of `name` refers to, the last one first.
    fn referred(&self, name: &str) -> Vec<&str> {
        let lines = self.values.get(name).map_or(&[][..], |d| &d.lines);
        let mut names: Vec<&str> = lines.iter().flat_map(|l| references(l)).map(|r| r.name).collect();
        names.reverse();
        names
    }

    /// The first reference that has a value.
    fn next(&mut self, text: &Text, around: &mut Surroundings<'_>) -> Option<Found> {
        let line = text.as_str();
        references(line).find_map(|Reference { start, end, name }| {
            let definition = match self.values.get(name) {
                Some(definition) => definition.clone(),
                None => {
                    let value = self.predefined(name, text, around)?;
                    Definition { lines: vec![value], place: None }
                }
            };
            // Several lines stand only for a reference that ends its line.
            let last = line.get(end..).is_none_or(|rest| rest.trim().is_empty());
            (definition.lines.len() < 2 || last).then(|| Found {
                start,
                end,
                name: name.to_owned(),
                definition,
            })
        })
    }

    fn predefined(&mut self, name: &str, text: &Text, around: &mut Surroundings<'_>) -> Option<String> {
        let mut words = name.split_whitespace();
        match (words.next()?, words.next(), words.next(), words.next()) {
            ("_PWD", None, ..) => Some(super::directory(around.sources.name(text.file())).to_owned()),
            ("_INSTANCE", None, ..) => Some(around.config_id.to_owned()),
            ("_HASH", None, ..) => Some("#".to_owned()),
            ("_BANG", None, ..) => Some("!".to_owned()),
            // A line feed in a variable must not become a line, nor a dollar sign a reference without end.
            ("_ENV", Some(variable), None, _) => {
                let value = around.reader.variable(variable).unwrap_or_default();
                Some(value.chars().filter(|c| !c.is_control()).take(crate::MAX_LINE).collect())
            }
            ("_RANDOM", low, high, None) => {
                let number = |word: Option<&str>, other| word.map_or(Some(other), decimal);
                let (low, high) = (number(low, 0)?, number(high, MOST_RANDOM)?);
                let width = high.checked_sub(low)?.checked_add(1)?;
                let draw = self.draw(around.reader) % width;
                Some((low + draw).to_string())
            }
            _ => None,
        }
    }

    /// The next number of a splitmix64 sequence.
    fn draw(&mut self, reader: &mut dyn Reader) -> u64 {
        let state = self.random.get_or_insert_with(|| reader.seed());
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn tell_undefined(&mut self, text: &Text, diagnostics: &mut Vec<Diagnostic>) {
        let line = text.as_str();
        let keyword = line.split_whitespace().next().unwrap_or_default();
        // A command may well hold a shell's variables, a password anything (and must not be shown).
        if crate::lexer::is_script(keyword) || line.contains("auth_pass") || line.contains("password") {
            return;
        }
        for Reference { start, end, name } in references(line) {
            let generated = matches!(name.split_whitespace().next(), Some("_RANDOM" | "_ENV"));
            if !(is_name(name) || generated)
                || self.values.contains_key(name)
                || !self.undefined.insert(name.to_owned())
            {
                continue;
            }
            let span = text.span(start, end);
            // Where it has braces keepalived 2.2.7 takes them for those of a block.
            let braces = line.get(start..end).is_some_and(|written| written.ends_with('}'));
            let now = if braces { "it stays as written" } else { "it stays as written, as in keepalived" };
            let diagnostic = if generated {
                let title = format!("`${{{name}}}` is not complete");
                Diagnostic::new(Code::BadValue, span, title, now)
                    .instead("${_ENV NAME} or ${_RANDOM LOWEST HIGHEST}, in digits")
            } else {
                Diagnostic::new(Code::Undefined, span, format!("`${name}` is not defined here"), now)
                    .instead(format!("define it above with ${name}=VALUE, if it is meant as a reference"))
            };
            keep(diagnostics, diagnostic);
        }
    }
}

/// Digits only, and few enough that sums never overflow.
fn decimal(word: &str) -> Option<u64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse::<u32>().ok().map(u64::from))?
}
