//! A configuration back to text: what is known, in its order, in one canonical form.
//!
//! The source is the block tree, so that it does not matter which keywords are typed yet. Includes, definitions, `@id`
//! lines and comments are resolved before the tree is built; the keyword table takes out what keepalived would leave out.

use crate::MAX_LINE;
use crate::keywords::{self, Keyword, Opens, Place};
use crate::lexer::{Word, is_script};
use crate::source::encode;
use crate::tree::Statement;
use std::collections::BTreeSet;

/// A statement to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The words, the keyword first; at least one.
    pub words: Vec<Printed>,
    /// A remark that is printed as a comment.
    pub note: Option<&'static str>,
    /// Its block.
    pub block: Option<Vec<Line>>,
}

/// A word to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// The text without quotes.
    pub text: String,
    /// Is it a word of a command, which is quoted in another way?
    pub command: bool,
}

/// What stands for a password.
pub const HIDDEN: &str = "********";

/// Blanks for each block.
const INDENT: usize = 4;

/// Bytes of one definition of a line that is too long for one: far enough below [`MAX_LINE`] for its name.
const CHUNK: usize = MAX_LINE - 64;

impl Line {
    /// A line of plain words without a block.
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Line {
        let words = words.into_iter().map(|text| Printed { text: text.into(), command: false }).collect();
        Line { words, note: None, block: None }
    }

    /// The first word.
    pub fn keyword(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// The words after the keyword.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(1).map(|word| word.text.as_str())
    }

    fn of(words: &[&Word]) -> Line {
        let script = words.first().is_some_and(|keyword| is_script(&keyword.text));
        let printed =
            |(n, word): (usize, &&Word)| Printed { text: word.text.clone(), command: script && n > 0 };
        Line { words: words.iter().enumerate().map(printed).collect(), note: None, block: None }
    }
}

/// What of the configuration is in force: known keywords with their words and blocks, in their order.
pub(crate) fn effective(tree: &[Statement]) -> Vec<Line> {
    let mut lines = known(Place::Root, tree);
    let mut seen = BTreeSet::new();
    // Of instances and groups of one name only the first counts.
    lines.retain(|line| {
        !matches!(line.keyword(), "vrrp_instance" | "virtual_server_group")
            || seen.insert((line.keyword().to_owned(), line.arguments().next().map(str::to_owned)))
    });
    lines
}

/// The known statements of a block.
fn known(place: Place, body: &[Statement]) -> Vec<Line> {
    body.iter().filter_map(|statement| known_line(place, statement)).collect()
}

fn known_line(place: Place, statement: &Statement) -> Option<Line> {
    let name = &statement.keyword().text;
    let keyword = keywords::find(place, name).filter(|k| !k.name.starts_with('('));
    let keyword = keyword.filter(|k| statement.arguments().len() >= k.words)?;
    let words: Vec<&Word> = statement.words.iter().collect();
    let mut line = Line::of(&words);
    line.block = match (keyword.opens, &statement.block) {
        (Opens::Nothing, _) => None,
        (_, None) => return None,
        (Opens::Block(inner), Some(block)) => Some(known(inner, &block.body)),
        (Opens::List(inner), Some(block)) => Some(block.body.iter().map(|s| list_line(inner, s)).collect()),
    };
    Some(line)
}

/// A line of a list. Where the options are known one by one, unknown ones are left out.
fn list_line(place: Place, statement: &Statement) -> Line {
    let mut words = vec![statement.keyword()];
    let mut rest = statement.arguments().iter();
    let checked = matches!(
        place,
        Place::VirtualAddress | Place::ExcludedAddress | Place::TrackInterface | Place::SyncTrackInterface
    );
    while let Some(word) = rest.next() {
        match option(place, word).filter(|_| checked) {
            Some(option) => {
                words.push(word);
                words.extend(rest.by_ref().take(option.words.min(1)));
            }
            None if checked => {}
            None => words.push(word),
        }
    }
    let mut line = Line::of(&words);
    // Route lines and the like may have blocks of their own.
    line.block = statement.block.as_ref().map(|b| b.body.iter().map(|s| list_line(place, s)).collect());
    line
}

fn option(place: Place, word: &Word) -> Option<&'static Keyword> {
    keywords::find(place, &word.text).filter(|k| !k.name.starts_with('('))
}

/// The lines as keepalived.conf, a statement each. Passwords are printed only with `secrets`.
///
/// A line longer than keepalived reads is put together from definitions. Only a single word of that length, which no
/// file can hold either, is not read back.
pub fn text(lines: &[Line], secrets: bool) -> String {
    let mut printer = Printer { out: String::new(), secrets, definitions: 0 };
    for (index, line) in lines.iter().enumerate() {
        if index > 0 && line.block.is_some() {
            printer.out.push('\n');
        }
        printer.line(line, "", 0);
    }
    printer.out
}

/// Is word number `index` of `line` in the block `parent` a secret?
pub fn is_secret(parent: &str, line: &Line, index: usize) -> bool {
    match line.keyword() {
        "auth_pass" | "password" => index > 0,
        "key" if parent == "auth_hmac" => index > 1,
        _ => false,
    }
}

struct Printer {
    out: String,
    secrets: bool,
    definitions: usize,
}

impl Printer {
    fn line(&mut self, line: &Line, parent: &str, depth: usize) {
        let mut turned = false;
        let shown = |(index, word): (usize, &Printed)| {
            if !self.secrets && is_secret(parent, line, index) {
                HIDDEN.to_owned()
            } else {
                quoted(word, &mut turned)
            }
        };
        let words: Vec<String> = line.words.iter().enumerate().map(shown).collect();
        let indent = " ".repeat(INDENT * depth);
        let whole = format!("{indent}{}", words.join(" "));
        // Two more for the brace.
        if encode(&whole).len() + 2 <= MAX_LINE {
            self.out.push_str(&whole);
        } else {
            self.long(&words);
        }
        match &line.block {
            None => self.note(line.note),
            Some(block) => {
                self.out.push_str(" {");
                self.note(line.note);
                for inner in block {
                    self.line(inner, line.keyword(), depth + 1);
                }
                self.out.push_str(&indent);
                self.out.push_str("}\n");
            }
        }
    }

    fn note(&mut self, note: Option<&str>) {
        if let Some(note) = note {
            self.out.push_str("    # ");
            self.out.push_str(note);
        }
        self.out.push('\n');
    }

    /// A line that is too long: its words in definitions, then the definitions.
    fn long(&mut self, words: &[String]) {
        let mut chunks: Vec<String> = Vec::new();
        for word in words {
            match chunks.last_mut() {
                Some(chunk) if encode(chunk).len() + encode(word).len() < CHUNK => {
                    chunk.push(' ');
                    chunk.push_str(word);
                }
                _ => chunks.push(word.clone()),
            }
        }
        let mut names = Vec::new();
        for chunk in chunks {
            self.definitions += 1;
            let name = format!("$LINE_{}", self.definitions);
            self.out.push_str(&format!("{name}={chunk}\n"));
            names.push(name);
        }
        self.out.push_str(&names.join(" "));
    }
}

/// A word as it is read back: in quotes where a character would mean something else.
fn quoted(word: &Printed, turned: &mut bool) -> String {
    let special =
        |c: char| c.is_whitespace() || matches!(c, '{' | '}' | '#' | '!' | '@' | '~' | '$' | '=' | '\\');
    let of_command = |c: char| word.command && matches!(c, '"' | '\'');
    if !word.text.is_empty() && !word.text.contains(|c| special(c) || of_command(c)) {
        word.text.clone()
    } else if word.command {
        command(&word.text, turned)
    } else {
        format!("\"{}\"", word.text)
    }
}

/// A word of a command as it is read back. Comments and braces end it where the number of `"` before them is even,
/// whatever these mean to the command; so a `"` that does not end a quotation turns the others around, up to the end
/// of the line.
fn command(text: &str, turned: &mut bool) -> String {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    let switch = |to: char, quote: &mut Option<char>, out: &mut String| {
        if *quote != Some(to) {
            out.extend(quote.replace(to));
            out.push(to);
        }
    };
    switch(if *turned { '\'' } else { '"' }, &mut quote, &mut out);
    while let Some(c) = chars.next() {
        let needs = match c {
            '"' => '\'',
            '\'' => '"',
            _ if *turned => '\'',
            _ => '"',
        };
        switch(needs, &mut quote, &mut out);
        out.push(c);
        *turned ^= c == '"';
        if c == '\\'
            && let Some(next) = chars.next()
        {
            out.push(next);
            *turned ^= next == '"';
        }
    }
    out.extend(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Reader, parse_and_print};

    struct One(String);

    impl Reader for One {
        fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
            Ok(vec![pattern.to_owned()])
        }

        fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
            Ok(encode(&self.0))
        }
    }

    fn printed(source: &str) -> String {
        let options = Options { config_id: "lb1", vrrp: true, checker: true };
        text(&parse_and_print(&mut One(source.to_owned()), "t.conf", options).1, true)
    }

    #[test]
    fn what_is_unknown_goes_and_quotes_stay_where_they_are_needed() {
        let source = "$IF=\"eth0\"\nvrrp_instance \"a b\"{ interface $IF ! comment\n bogus { x }\n priority\n\
            virtual_ipaddress { 10.0.0.1 dev $IF bogus label \"a#b\" }\n\
            authentication { auth_pass \"a#b{\" } }\n@other vrrp_instance c { }\n";
        let want = "vrrp_instance \"a b\" {\n    interface eth0\n    virtual_ipaddress {\n        \
            10.0.0.1 dev eth0 label \"a#b\"\n    }\n    authentication {\n        auth_pass \"a#b{\"\n    }\n}\n";
        assert_eq!(printed(source), want);
        assert_eq!(printed(want), want);
    }

    #[test]
    fn commands_are_read_back_as_they_were() {
        for (source, text) in [
            ("/x", "/x"),
            ("\"/x 'a b' #c {d}\"", "/x 'a b' #c {d}"),
            ("'/x \"a b\" c'", "/x \"a b\" c"),
            ("'/x \"a {b# ! c\" d '\"'}\"", "/x \"a {b# ! c\" d '}"),
            (r#""/x \"a b c\" 'd#' e""#, r#"/x \"a b c\" 'd#' e"#),
            ("'/x '\"'\"'\"'\"'\"'{\"'", "/x '\"'{\""),
            ("''", ""),
        ] {
            let once = printed(&format!("vrrp_instance a {{\nnotify {source} root \"x y\"\n}}\n"));
            let [at, end] = ["notify ", " root "]
                .map(|part| once.find(part).unwrap_or_else(|| panic!("{source}: {once}")));
            let mut words = One(once.clone());
            let options = Options { config_id: "", vrrp: true, checker: true };
            let lines = parse_and_print(&mut words, "t", options).1;
            let block = lines[0].block.as_ref().expect("an instance has a block");
            let read: Vec<&str> = block[0].arguments().collect();
            assert_eq!(read, [text, "root", "x y"], "{source}: {}", &once[at..end]);
            assert_eq!(printed(&once), once, "{source}");
        }
    }

    #[test]
    fn a_line_too_long_for_a_file_comes_back_whole() {
        let words: Vec<String> = (0..400).map(|n| format!("word{n}")).collect();
        let mut line = Line::new(["notify"]);
        line.words.extend(words.into_iter().map(|text| Printed { text, command: false }));
        let instance = Line { block: Some(vec![line]), ..Line::new(["vrrp_instance", "a"]) };
        let whole = text(&[instance], true);
        assert!(whole.lines().all(|l| l.len() <= MAX_LINE));
        assert_eq!(printed(&whole), whole);
    }

    #[test]
    fn secrets_are_hidden() {
        let source =
            "vrrp_instance a {\n authentication { auth_pass sesame }\n auth_hmac { key 1 sesame }\n}\n";
        let options = Options { config_id: "", vrrp: true, checker: true };
        let shown = text(&parse_and_print(&mut One(source.to_owned()), "t", options).1, false);
        assert!(!shown.contains("sesame"), "{shown}");
        assert_eq!(shown.matches(HIDDEN).count(), 2, "{shown}");
    }
}
