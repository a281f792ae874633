//! One line: comments, quotes, braces, words (keepalived.conf(5), "CONFIGURATION FILE" and what the program does).

use crate::source::{FileId, Span};
use crate::tree::Spare;

/// A word of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text without quotes.
    pub text: String,
    /// Where it was written; for a substituted word, the place of the reference.
    pub span: Span,
    /// Was it in double quotes?
    pub quoted: bool,
}

/// What a line consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A word.
    Word(Word),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
}

/// Which quote of a line is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenQuote {
    /// That of a word, which ends with the line.
    Word,
    /// That of a command, whose line is left out.
    Script,
}

/// Keywords that a command follows; its quotes are read in another way.
pub(crate) fn is_script(keyword: &str) -> bool {
    keyword.starts_with("notify")
        || keyword.ends_with("_script") && !keyword.starts_with("track") && keyword != "vrrp_script"
        || matches!(keyword, "script" | "misc_path" | "quorum_up" | "quorum_down" | "process" | "regex")
}

/// Pieces of a line that needs no second look: ASCII without references, quotes, escapes, NUL, `@` and `~`. Nearly all
/// lines of a long file are such; `None` for the others, which are read as [`Text`], with the same result.
pub(crate) fn plain_pieces(file: FileId, base: u32, line: &str) -> Option<Plain<'_>> {
    let mut end = line.len();
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'#' | b'!' => {
                end = at;
                break;
            }
            0 | b'$' | b'"' | b'\'' | b'\\' | b'@' | b'~' | 0x80.. => return None,
            _ => {}
        }
    }
    if line.as_bytes().get(end..)?.contains(&0) {
        return None;
    }
    Some(Plain { line: line.get(..end)?, at: 0, base, file })
}

/// See [`plain_pieces`].
pub(crate) struct Plain<'a> {
    line: &'a str,
    at: usize,
    base: u32,
    file: FileId,
}

impl Plain<'_> {
    /// Does the line begin so, blanks aside?
    pub(crate) fn starts_with(&self, word: &str) -> bool {
        self.line.trim_start().starts_with(word)
    }

    /// The next piece, made of spare memory.
    pub(crate) fn next(&mut self, spare: &mut Spare) -> Option<Piece> {
        let blank = |b: &u8| is_blank(char::from(*b));
        let rest = self.line.as_bytes().get(self.at..)?;
        let start = self.at + rest.iter().position(|b| !blank(b))?;
        let rest = self.line.as_bytes().get(start..)?;
        let brace = |b: &u8| matches!(b, b'{' | b'}');
        let length = rest.iter().position(|b| blank(b) || brace(b)).unwrap_or(rest.len()).max(1);
        let end = start + length;
        self.at = end;
        let place = |at: usize| self.base.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        let span = Span { file: self.file, start: place(start), end: place(end) };
        Some(match rest.first()? {
            b'{' => Piece::Open(span),
            b'}' => Piece::Close(span),
            _ => {
                let text = spare.text(self.line.get(start..end).unwrap_or_default());
                Piece::Word(Word { text, span, quoted: false })
            }
        })
    }
}

/// Text of a line that remembers where each byte came from, also after substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    chars: String,
    origin: Vec<(u32, u32)>,
    file: FileId,
}

impl Text {
    /// A line that begins at byte `base` of its file.
    pub(crate) fn new(file: FileId, base: u32, line: &str) -> Text {
        let mut text = Text { chars: String::with_capacity(line.len()), origin: Vec::new(), file };
        let mut at = base;
        for c in line.chars() {
            let next = at.saturating_add(width(c));
            text.push(c, (at, next));
            at = next;
        }
        text
    }

    /// Text that stands for the reference at `span`.
    pub(crate) fn substituted(span: Span, value: &str) -> Text {
        Text { chars: value.to_owned(), origin: vec![(span.start, span.end); value.len()], file: span.file }
    }

    pub(crate) fn empty(file: FileId) -> Text {
        Text { chars: String::new(), origin: Vec::new(), file }
    }

    fn push(&mut self, c: char, origin: (u32, u32)) {
        self.chars.push(c);
        self.origin.extend(std::iter::repeat_n(origin, c.len_utf8()));
    }

    pub(crate) fn append(&mut self, other: &Text) {
        self.chars.push_str(&other.chars);
        self.origin.extend_from_slice(&other.origin);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.chars
    }

    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    /// A part, by byte positions that lie on character boundaries.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Text {
        let chars = self.chars.get(start..end).unwrap_or_default().to_owned();
        let origin = self.origin.get(start..end).unwrap_or_default().to_vec();
        Text { chars, origin, file: self.file }
    }

    /// Where the bytes `start..end` came from; the first byte of the file for an empty range.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let part = self.origin.get(start..end).unwrap_or_default();
        let first = part.iter().map(|o| o.0).min().unwrap_or(0);
        let last = part.iter().map(|o| o.1).max().unwrap_or(first);
        Span { file: self.file, start: first, end: last }
    }

    /// Where the whole text came from, blanks at both ends left out.
    pub(crate) fn span_trimmed(&self) -> Span {
        let start = self.chars.len() - self.chars.trim_start().len();
        self.span(start, start + self.chars.trim().len())
    }

    /// The text without its comment; outside quotes `\#` and `\!` become the bare character.
    pub(crate) fn without_comment(&self) -> Text {
        let mut out = Text::empty(self.file);
        let mut quoted = false;
        let mut chars = self.chars.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => quoted = !quoted,
                '#' | '!' if !quoted => break,
                '\\' if !quoted => {
                    if let Some((next_at, next @ ('#' | '!'))) = chars.peek().copied() {
                        chars.next();
                        out.push(next, self.origin_at(next_at));
                        continue;
                    }
                }
                _ => {}
            }
            out.push(c, self.origin_at(at));
        }
        out
    }

    fn origin_at(&self, at: usize) -> (u32, u32) {
        self.origin.get(at).copied().unwrap_or_default()
    }

    /// Splits into words and braces, and says which quote is not closed.
    pub(crate) fn pieces(&self) -> (Vec<Piece>, Option<OpenQuote>) {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut at = 0;
        let mut open_quote = None;
        while let Some(c) = self.chars.get(at..).and_then(|rest| rest.chars().next()) {
            let next = at + c.len_utf8();
            match c {
                '{' => pieces.push(Piece::Open(self.span(at, next))),
                '}' => pieces.push(Piece::Close(self.span(at, next))),
                '"' => {
                    let rest = self.chars.get(next..).unwrap_or_default();
                    let length = rest.find('"');
                    open_quote = length.is_none().then_some(OpenQuote::Word);
                    let end = next + length.unwrap_or(rest.len());
                    let after = (end + 1).min(self.chars.len());
                    pieces.push(self.word(next, end, self.span(at, after), true));
                    at = after;
                    continue;
                }
                c if is_blank(c) => {}
                _ => {
                    let end = self.word_end(at);
                    let first = !matches!(pieces.last(), Some(Piece::Word(_)));
                    let script = first && self.chars.get(at..end).is_some_and(is_script);
                    pieces.push(self.word(at, end, self.span(at, end), false));
                    at = end;
                    if script {
                        let (words, end) = self.script_words(at);
                        at = end;
                        match words {
                            Some(words) => pieces.extend(words.into_iter().map(Piece::Word)),
                            None => {
                                pieces.pop();
                                open_quote = Some(OpenQuote::Script);
                            }
                        }
                    }
                    continue;
                }
            }
            at = next;
        }
        (pieces, open_quote)
    }

    /// The words of a command from `at` up to a brace, and where they end; no words when a quote or an escape is not complete. `"` and
    /// `'` quote and may be glued to other text; escapes stay for the second pass ([`crate::command`]). Braces, like
    /// comments, heed double quotes only, and each of these.
    fn script_words(&self, at: usize) -> (Option<Vec<Word>>, usize) {
        let mut words = Vec::new();
        let mut word: Option<(usize, String)> = None;
        let (mut quote, mut protected, mut reference, mut before) = (None, false, false, ' ');
        let (mut end, mut complete) = (self.chars.len(), true);
        let mut chars = self.chars.get(at..).unwrap_or_default().char_indices();
        while let Some((offset, c)) = chars.next() {
            let here = at + offset;
            let opens_reference = c == '{' && before == '$';
            let in_reference = opens_reference || (c == '}' && reference);
            before = c;
            match c {
                '{' | '}' if !protected && !in_reference => {
                    end = here;
                    break;
                }
                '{' | '}' => {
                    reference = opens_reference;
                    word.get_or_insert_with(|| (here, String::new())).1.push(c);
                }
                '\\' => {
                    let text = &mut word.get_or_insert_with(|| (here, String::new())).1;
                    text.push(c);
                    let next = chars.clone().next().map(|(_, next)| next);
                    match next.filter(|n| protected || !matches!(n, '{' | '}')) {
                        Some(next) => {
                            chars.next();
                            text.push(next);
                            protected ^= next == '"';
                        }
                        None => complete = false,
                    }
                }
                '"' | '\'' if quote.is_none() || quote == Some(c) => {
                    word.get_or_insert_with(|| (here, String::new()));
                    quote = if quote.is_none() { Some(c) } else { None };
                    protected ^= c == '"';
                }
                c if quote.is_none() && !reference && is_blank(c) => {
                    words.extend(word.take().map(|(start, text)| self.script_word(start, here, text)));
                }
                c => {
                    protected ^= c == '"';
                    word.get_or_insert_with(|| (here, String::new())).1.push(c);
                }
            }
        }
        words.extend(word.map(|(start, text)| self.script_word(start, end, text)));
        ((complete && quote.is_none()).then_some(words), end)
    }

    fn script_word(&self, start: usize, end: usize, text: String) -> Word {
        Word { text, span: self.span(start, end), quoted: false }
    }

    fn word(&self, start: usize, end: usize, span: Span, quoted: bool) -> Piece {
        let text = self.chars.get(start..end).unwrap_or_default().to_owned();
        Piece::Word(Word { text, span, quoted })
    }

    /// End of the plain word at `start`: a blank, a quote or a brace; the braces of `${NAME}` belong to the word.
    fn word_end(&self, start: usize) -> usize {
        let rest = self.chars.get(start..).unwrap_or_default();
        let mut reference = false;
        let mut before = ' ';
        for (at, c) in rest.char_indices() {
            match c {
                '{' if before == '$' => reference = true,
                '}' if reference => reference = false,
                '"' | '{' | '}' => return start + at,
                c if is_blank(c) && !reference => return start + at,
                _ => {}
            }
            before = c;
        }
        self.chars.len()
    }
}

/// isspace(3) of the C locale: a no-break space is a letter.
fn is_blank(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

/// Bytes of a character as a file offset step.
fn width(c: char) -> u32 {
    // len_utf8 is 1 to 4.
    u32::try_from(c.len_utf8()).unwrap_or(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceMap;

    fn shown(line: &str) -> Vec<String> {
        let mut map = SourceMap::default();
        let file = map.add("t".into(), line.into());
        let (pieces, _) = Text::new(file, 0, line).without_comment().pieces();
        pieces
            .into_iter()
            .map(|p| match p {
                Piece::Word(w) if w.quoted => format!("<{}>", w.text),
                Piece::Word(w) => w.text,
                Piece::Open(_) => "{".into(),
                Piece::Close(_) => "}".into(),
            })
            .collect()
    }

    #[test]
    fn braces_split_words_anywhere() {
        assert_eq!(
            shown("virtual_server 1.1.1.1 80{a}b"),
            ["virtual_server", "1.1.1.1", "80", "{", "a", "}", "b"]
        );
    }

    #[test]
    fn comments_start_anywhere_outside_quotes() {
        assert_eq!(shown("a b#c"), ["a", "b"]);
        assert_eq!(shown("auth_pass \"a#b!\" ! rest"), ["auth_pass", "<a#b!>"]);
        assert_eq!(shown(r"auth_pass a\#b\!c"), ["auth_pass", "a#b!c"]);
    }

    #[test]
    fn commands_are_quoted_in_another_way() {
        assert_eq!(shown("notify \"/x 'a b'\" root"), ["notify", "/x 'a b'", "root"]);
        assert_eq!(shown("notify '/x \"a b\"'"), ["notify", "/x \"a b\""]);
        assert_eq!(shown("a { notify \"/x\"y'z w' } b"), ["a", "{", "notify", "/xyz w", "}", "b"]);
        assert_eq!(shown(r#"script "/x \"a b\" c""#), ["script", r#"/x \"a b\" c"#]);
        assert_eq!(shown("script \"/x {a} #b ${c}\" ${d e}"), ["script", "/x {a} #b ${c}", "${d e}"]);
        assert_eq!(shown("script ''"), ["script", ""]);
        assert_eq!(shown("notify '/x {a'"), ["{", "a'"], "braces heed double quotes only");
        assert_eq!(shown("notify /x\\"), [""; 0]);
        assert_eq!(shown("a { notify '/x } b"), ["a", "{", "}", "b"], "without its quote it is left out");
    }

    #[test]
    fn a_quote_ends_a_plain_word() {
        assert_eq!(shown("state \"MAS\"TER"), ["state", "<MAS>", "TER"]);
        assert_eq!(shown("a\"b c"), ["a", "<b c>"]);
    }

    #[test]
    fn plain_lines_give_what_the_long_way_gives() {
        let mut map = SourceMap::default();
        let file = map.add("t".into(), String::new());
        for line in ["", "  ", "a", " a\tb {c}#d", "}{", "a!b", "x{ y }z ", "# \"$x", "\u{b}a\u{c}b\r"] {
            let mut plain = plain_pieces(file, 7, line).expect("a plain line");
            let plain: Vec<Piece> = std::iter::from_fn(|| plain.next(&mut Spare::default())).collect();
            assert_eq!((plain, None), Text::new(file, 7, line).without_comment().pieces(), "{line:?}");
        }
        for line in ["a $b", "a \"b\"", "notify 'a b'", "a\\#b", "@a b", "~SEQ(A, 1) b", "ä"] {
            assert!(plain_pieces(file, 0, line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn an_unknown_reference_keeps_its_braces() {
        assert_eq!(shown("src 10.0.0.${LOC} {"), ["src", "10.0.0.${LOC}", "{"]);
    }
}
