//! `include` and its stricter kin, and `include_check` (keepalived.conf(5), "INCLUDES").

use super::Reading;
use crate::diagnostics::{Code, Diagnostic};
use crate::lexer::{Text, Word};
use crate::source::{Span, decode_owned};
use crate::{MAX_FILE, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_TEXT};

/// Alternatives that the braces of one pattern may expand to.
const MAX_ALTERNATIVES: usize = 1_000;

/// Which kinds of missing files an include does not put up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Insists {
    /// A file that is there must be readable, regular and not executable.
    read: bool,
    /// A name without wildcards must be there.
    plain: bool,
    /// A name with wildcards must fit something.
    wild: bool,
    /// Each alternative in braces must fit something.
    braces: bool,
}

/// What an include keyword insists on by itself; `None` for any other word.
pub(super) fn keyword(word: &str) -> Option<Insists> {
    let read = Insists { read: true, ..Insists::default() };
    Some(match word {
        "include" => Insists::default(),
        "includer" => read,
        "includem" => Insists { plain: true, ..read },
        "includew" => Insists { plain: true, wild: true, ..read },
        "includeb" => Insists { braces: true, ..read },
        "includea" => Insists { plain: true, wild: true, braces: true, ..read },
        _ => return None,
    })
}

/// A line that begins with an include: the keyword, and the name if there is one. As in keepalived the name is
/// the whole rest of the line: blanks, quotes and braces are parts of it.
pub(super) fn line(text: &Text) -> Option<(Insists, Vec<Word>)> {
    let line = text.as_str();
    let first = line.split_whitespace().next()?;
    let insists = keyword(first)?;
    let start = line.len() - line.trim_start().len();
    let rest = line.get(start + first.len()..).unwrap_or_default();
    let name = rest.trim();
    let at = line.len() - rest.trim_start().len();
    let word = |text_of: &str, start: usize| Word {
        text: text_of.to_owned(),
        span: text.span(start, start + text_of.len()),
        quoted: false,
    };
    let mut words = vec![word(first, start)];
    words.extend((!name.is_empty()).then(|| word(name, at)));
    Some((insists, words))
}

impl Insists {
    fn or(self, other: Insists) -> Insists {
        Insists {
            read: self.read || other.read,
            plain: self.plain || other.plain,
            wild: self.wild || other.wild,
            braces: self.braces || other.braces,
        }
    }

    /// `include_check`: alone it switches all on; words with a sign change what there was, others replace it.
    pub(super) fn change(&mut self, words: &[Word]) {
        if words.is_empty() {
            *self = Insists { read: true, plain: true, wild: true, braces: true };
            return;
        }
        if words.first().is_some_and(|w| !w.text.starts_with(['+', '-'])) {
            *self = Insists::default();
        }
        for word in words {
            let on = !word.text.starts_with('-');
            match word.text.trim_start_matches(['+', '-']) {
                "read" => self.read = on,
                "match" => self.plain = on,
                "wildcard_match" => self.wild = on,
                "brace_match" => self.braces = on,
                _ => {}
            }
        }
    }
}

impl Reading<'_> {
    /// Reads one file; `from` is the statement that includes it.
    pub(super) fn file(&mut self, name: &str, depth: usize, from: Option<Span>) -> Result<(), String> {
        let identity = self.reader.identity(name);
        if let Some(at) = self.open_files.iter().position(|(_, open)| *open == identity) {
            let circle = self.open_files.iter().skip(at).map(|(name, _)| name.as_str()).chain([name]);
            return Err(format!("it includes itself ({})", circle.collect::<Vec<_>>().join(" -> ")));
        }
        if self.sources.len() >= MAX_FILES {
            return Err(format!("more than {MAX_FILES} files are included"));
        }
        let bytes = self.reader.read(name)?;
        if bytes.len() > MAX_FILE {
            return Err(format!("it is larger than {} MiB", MAX_FILE >> 20));
        }
        self.octets += bytes.len();
        if self.octets > MAX_TEXT {
            return Err(format!("all files together are larger than {} MiB", MAX_TEXT >> 20));
        }
        let file = self.sources.add_included(name.to_owned(), decode_owned(bytes), from);
        let text = self.sources.text(file);
        self.open_files.push((name.to_owned(), identity));
        let before = self.insists;
        let mut base = 0;
        for line in text.split('\n') {
            self.physical_line(file, base, line.strip_suffix('\r').unwrap_or(line), depth);
            base += line.len() + 1;
        }
        self.end_definition_of(file);
        self.insists = before;
        self.open_files.pop();
        Ok(())
    }

    /// Follows an include statement. `followed`: it does not stand behind an `@id`, where keepalived sees no include.
    pub(super) fn include(&mut self, words: &[Word], insists: Insists, depth: usize, followed: bool) {
        let (Some(keyword), Some(pattern)) = (words.first(), words.get(1)) else {
            let span = words.first().map(|w| w.span);
            let title = "`include` without a file name";
            return self.say(Diagnostic::new(Code::MissingWord, span, title, "the configuration is refused"));
        };
        if !followed {
            let title = format!("`{}` does not go behind an @ID", keyword.text);
            let now = "the file is not read, as in keepalived";
            let advice = "put @ID before the lines of that file, or include ${_INSTANCE}.conf";
            return self.say(Diagnostic::new(Code::Include, keyword.span, title, now).instead(advice));
        }
        let insists = insists.or(self.insists);
        if depth >= MAX_INCLUDE_DEPTH {
            let why = format!("files are included {MAX_INCLUDE_DEPTH} deep already");
            return self.missing(pattern, insists.read, &why);
        }
        let alternatives = match alternatives(&pattern.text) {
            Ok(alternatives) => alternatives,
            Err(why) => return self.missing(pattern, insists.read, &why),
        };
        let from = self.sources.name(keyword.span.file).to_owned();
        let several = alternatives.len() > 1;
        let (mut any, mut missing) = (false, Vec::new());
        for alternative in &alternatives {
            let found = self.alternative(pattern, alternative, &from, insists, depth);
            any |= found;
            if !found {
                missing.push(alternative.as_str());
            }
        }
        match missing.as_slice() {
            [] => {}
            // keepalived tells which braces stand for nothing, and goes on unless it is to insist.
            [first, ..] if several && any => {
                self.missing(pattern, insists.braces, &format!("nothing has the name {first}"));
            }
            _ if pattern.text.contains(['*', '?', '[']) && !insists.wild => {
                let title = format!("nothing has a name like {}", pattern.text);
                let now = "nothing is included, as in keepalived";
                self.say(Diagnostic::new(Code::NoEffect, pattern.span, title, now));
            }
            _ => {
                let wild = pattern.text.contains(['*', '?', '[']);
                let fatal = if wild { insists.wild } else { insists.plain || several && insists.braces };
                self.missing(pattern, fatal, "no file has this name");
            }
        }
    }

    /// Reads the files of one alternative; were there any?
    fn alternative(
        &mut self,
        pattern: &Word,
        alternative: &str,
        from: &str,
        insists: Insists,
        depth: usize,
    ) -> bool {
        let names = match self.reader.resolve(alternative, Some(from)) {
            Ok(names) => names,
            Err(why) => {
                self.missing(pattern, insists.read, &why);
                return true;
            }
        };
        let mut any = false;
        for name in names {
            if !self.reader.exists(&name) {
                continue;
            }
            any = true;
            if let Err(why) = self.file(&name, depth + 1, Some(pattern.span)) {
                self.missing(pattern, insists.read, &format!("{name}: {why}"));
            }
        }
        any
    }

    fn missing(&mut self, pattern: &Word, fatal: bool, why: &str) {
        let code = if fatal { Code::RequiredInclude } else { Code::Include };
        let now = if fatal {
            "the configuration is refused, as in keepalived"
        } else {
            "what it would say is missing from the configuration"
        };
        let diagnostic =
            Diagnostic::new(code, pattern.span, format!("cannot include {}: {why}", pattern.text), now);
        let advice =
            "name a readable file that is not executable, absolute or from the directory of this file";
        self.say(diagnostic.instead(advice));
    }
}

/// `a{b,c}d` as `abd` and `acd`, nested too.
fn alternatives(pattern: &str) -> Result<Vec<String>, String> {
    let mut open = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = open.pop() {
        match split_braces(&pattern) {
            None => done.push(pattern),
            Some((before, choices, after)) => {
                open.extend(choices.iter().rev().map(|choice| format!("{before}{choice}{after}")));
            }
        }
        if open.len() + done.len() > MAX_ALTERNATIVES {
            return Err(format!("its braces stand for more than {MAX_ALTERNATIVES} names"));
        }
    }
    Ok(done)
}

/// The first balanced `{...}`: what is before, its alternatives, what is after.
fn split_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (before, rest) = pattern.split_once('{')?;
    let mut depth = 0;
    let mut choices = Vec::new();
    let mut start = 0;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                choices.push(rest.get(start..at)?);
                start = at + 1;
            }
            '}' => {
                choices.push(rest.get(start..at)?);
                return Some((before, choices, rest.get(at + 1..)?));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand_in_order() {
        assert_eq!(alternatives("a{b,c{d,e}}f").expect("few"), ["abf", "acdf", "acef"]);
        assert_eq!(alternatives("a{b").expect("few"), ["a{b"]);
        assert!(alternatives(&"{a,b}".repeat(40)).is_err());
    }
}
