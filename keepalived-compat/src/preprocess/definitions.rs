//! `$NAME=value` and its uses (keepalived.conf(5), "PARAMETER SUBSTITUTION").

use crate::diagnostics::{Code, Diagnostic, keep};
use crate::lexer::Text;
use std::collections::{BTreeMap, BTreeSet};

/// How deep definitions of several lines may refer to each other; the deepest seen is two.
pub(super) const MAX_NESTING: usize = 16;

/// Substitutions in one line; a definition that names itself ends here.
const MAX_IN_LINE: usize = 256;

/// Substitutions in one configuration; definitions that double each other end here.
const MAX_IN_ALL: usize = 200_000;

/// Bytes a line may grow to.
const MAX_GROWN: usize = 8192;

/// A line after substitution, and the further lines that a definition of several lines brings.
pub(super) struct Expanded {
    pub(super) line: Text,
    pub(super) more: Vec<Text>,
    /// Was anything substituted?
    pub(super) substituted: bool,
}

/// All definitions made so far.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    values: BTreeMap<String, Vec<String>>,
    used: usize,
    undefined: BTreeSet<String>,
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
    pub(super) fn set(&mut self, name: String, lines: Vec<String>) {
        self.values.insert(name, lines);
    }

    /// What `name` stands for.
    pub(super) fn get(&self, name: &str) -> Option<Vec<String>> {
        self.values.get(name).cloned()
    }

    /// Undoes a [`Self::set`]: `before` is what [`Self::get`] gave then.
    pub(super) fn restore(&mut self, name: String, before: Option<Vec<String>>) {
        match before {
            Some(lines) => self.values.insert(name, lines),
            None => self.values.remove(&name),
        };
    }

    /// Substitutes until nothing changes.
    pub(super) fn expand(
        &mut self,
        mut text: Text,
        pwd: &str,
        config_id: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Expanded {
        let mut more = Vec::new();
        for round in 0..MAX_IN_LINE {
            let Some((start, end, lines)) = self.next(&text, pwd, config_id) else {
                self.tell_undefined(&text, diagnostics);
                return Expanded { line: text, more, substituted: round > 0 };
            };
            self.used += 1;
            let span = text.span(start, end);
            let mut line = text.slice(0, start);
            line.append(&Text::substituted(span, lines.first().map_or("", String::as_str)));
            if lines.len() < 2 {
                line.append(&text.slice(end, text.as_str().len()));
            }
            let further = lines.iter().skip(1).map(|l| Text::substituted(span, l));
            more.splice(0..0, further);
            text = line;
            if self.used > MAX_IN_ALL || text.as_str().len() > MAX_GROWN {
                break;
            }
        }
        let title = "substitution does not come to an end";
        let diagnostic = Diagnostic::new(Code::Limit, text.span_trimmed(), title, "the line is left out");
        keep(diagnostics, diagnostic.instead("look for a definition that refers to itself"));
        Expanded { line: Text::empty(text.file()), more: Vec::new(), substituted: true }
    }

    /// The first reference that has a value.
    fn next(&self, text: &Text, pwd: &str, config_id: &str) -> Option<(usize, usize, Vec<String>)> {
        let line = text.as_str();
        references(line).find_map(|reference| {
            let Reference { start, end, name } = reference;
            let lines = match (self.values.get(name), name) {
                (Some(lines), _) => lines.clone(),
                (None, "_PWD") => vec![pwd.to_owned()],
                (None, "_INSTANCE") => vec![config_id.to_owned()],
                (None, "_HASH") => vec!["#".to_owned()],
                (None, "_BANG") => vec!["!".to_owned()],
                _ => return None,
            };
            // Several lines stand only for a reference that ends its line.
            let last = line.get(end..).is_none_or(|rest| rest.trim().is_empty());
            (lines.len() < 2 || last).then_some((start, end, lines))
        })
    }

    fn tell_undefined(&mut self, text: &Text, diagnostics: &mut Vec<Diagnostic>) {
        let line = text.as_str();
        let keyword = line.split_whitespace().next().unwrap_or_default();
        // A command may well hold a shell's variables, a password anything (and must not be shown).
        if super::is_script(keyword) || line.contains("auth_pass") || line.contains("password") {
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
            let diagnostic = if generated {
                let title = format!("`${{{name}}}` is known to keepalived, not built in holdfast yet");
                Diagnostic::new(Code::NotYetTraffic, span, title, "the words stay as written")
                    .instead("write the value")
            } else {
                let title = format!("`${name}` is not defined here");
                Diagnostic::new(Code::Undefined, span, title, "it stays as written, as in keepalived")
                    .instead(format!("define it above with ${name}=VALUE, if it is meant as a reference"))
            };
            keep(diagnostics, diagnostic);
        }
    }
}
