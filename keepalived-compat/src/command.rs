//! Commands of a configuration as the arguments of a program: keepalived's second pass over quotes and escapes.
//!
//! The first pass (`lexer`) makes words of the line; it takes the quotes away and leaves escapes as they are. A command
//! is one such word, split here once more.

use crate::lexer::Word;
use crate::source::{decode, encode};
use std::fmt;

/// A command and who is to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As it is written, without its outer quotes.
    pub text: String,
    /// The program and its arguments; at least the program. See [`Command::octets`].
    pub argv: Vec<String>,
    /// The account behind the command.
    pub account: Option<Account>,
}

impl Command {
    /// The program and its arguments as a program gets them: text of the configuration may hold octets that are no
    /// UTF-8, and none of these holds a NUL.
    pub fn octets(&self) -> impl Iterator<Item = Vec<u8>> {
        self.argv.iter().map(|argument| encode(argument))
    }
}

/// `USER [[:]GROUP]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user, by name.
    pub user: String,
    /// The group, by name; the user's own when none is written.
    pub group: Option<String>,
    /// `:` before the group: the supplementary groups of the user too.
    pub supplementary: bool,
}

impl Account {
    /// `None` without words; more words than a user and a group are overlooked, as in keepalived.
    pub(crate) fn read(words: &[Word]) -> Option<Account> {
        let mut words = words.iter().map(|word| word.text.as_str());
        let user = words.next()?.to_owned();
        let written = words.next().unwrap_or_default();
        let supplementary = written.starts_with(':');
        let group = match written.trim_start_matches(':') {
            "" if supplementary => words.next(),
            "" => None,
            group => Some(group),
        };
        Some(Account { user, group: group.map(str::to_owned), supplementary })
    }
}

/// Why a command cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// This quote is not closed.
    Quote(char),
    /// It ends with a backslash, or with `\c`.
    Escape,
    /// An escape stands for NUL, which no argument can hold.
    Nul,
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::Quote(quote) => write!(f, "a {quote} is not closed"),
            SplitError::Escape => write!(f, "it ends within an escape"),
            SplitError::Nul => write!(f, "an argument cannot hold a NUL"),
        }
    }
}

impl std::error::Error for SplitError {}

/// Splits a command into the program and its arguments, as keepalived does (keepalived.conf(5), "Quoted strings"; tried
/// with 2.2.7): blanks separate; `"` and `'` quote and may be glued to other text; escapes are decoded inside quotes and
/// outside. An empty command has no arguments.
pub fn split(command: &str) -> Result<Vec<String>, SplitError> {
    let mut argv = Vec::new();
    // What there is of the current argument; quotes make even an empty one.
    let mut argument: Option<Vec<u8>> = None;
    let mut quote: Option<char> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, argument.get_or_insert_default())?,
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                argument.get_or_insert_default();
            }
            c if quote.is_none() && c.is_ascii_whitespace() => argv.extend(argument.take()),
            c => push(c, argument.get_or_insert_default()),
        }
    }
    argv.extend(argument);
    match quote {
        Some(quote) => Err(SplitError::Quote(quote)),
        None if argv.iter().any(|a| a.contains(&0)) => Err(SplitError::Nul),
        None => Ok(argv.iter().map(|a| decode(a)).collect()),
    }
}

/// The text with its escapes decoded and nothing else changed: what `regex` searches for.
pub fn unescape(text: &str) -> Result<String, SplitError> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out)?,
            c => push(c, &mut out),
        }
    }
    if out.contains(&0) { Err(SplitError::Nul) } else { Ok(decode(&out)) }
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend(encode(c.encode_utf8(&mut [0; 4])));
}

/// What follows a backslash. Numbers beyond an octet lose their upper bits, as in keepalived.
fn escape(chars: &mut std::str::Chars, out: &mut Vec<u8>) -> Result<(), SplitError> {
    let c = chars.next().ok_or(SplitError::Escape)?;
    let octet = match c {
        'a' => 0x07,
        'b' => 0x08,
        'E' => 0x1b,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        'c' => {
            let control = chars.next().ok_or(SplitError::Escape)?;
            encode(control.encode_utf8(&mut [0; 4])).first().copied().unwrap_or_default() & 0x1f
        }
        'x' if chars.clone().next().is_some_and(|d| d.is_ascii_hexdigit()) => {
            digits(chars, 16, usize::MAX, 0)
        }
        '0'..='7' => digits(chars, 8, 2, c.to_digit(8).unwrap_or_default()),
        other => {
            push(other, out);
            return Ok(());
        }
    };
    out.push(octet);
    Ok(())
}

/// At most so many digits more; the last eight bits of the number.
fn digits(chars: &mut std::str::Chars, base: u32, most: usize, first: u32) -> u8 {
    let mut value = first;
    for _ in 0..most {
        let Some(digit) = chars.clone().next().and_then(|d| d.to_digit(base)) else { break };
        chars.next();
        value = (value * base + digit) & 0xffff;
    }
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(command: &str) -> Vec<String> {
        split(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    // What is expected is what keepalived 2.2.7 gave to a script, with each backslash doubled: its first pass decodes
    // escapes too, that of 2.4.3 keeps them for this one.
    #[test]
    fn quotes_separate_and_glue_as_in_keepalived() {
        assert_eq!(argv("/bin/x a  b "), ["/bin/x", "a", "b"]);
        assert_eq!(argv("x 'a b' \"c d\""), ["x", "a b", "c d"]);
        assert_eq!(argv("x 'x'y\"z \"w"), ["x", "xyz w"]);
        assert_eq!(argv("x '' \"\""), ["x", "", ""]);
        assert_eq!(argv("x '\"' \"'\""), ["x", "\"", "'"]);
        assert_eq!(argv("x a\tb"), ["x", "a", "b"]);
        assert_eq!(argv("   "), [""; 0]);
        assert_eq!(argv("x $X ~ * #b !c {d}"), ["x", "$X", "~", "*", "#b", "!c", "{d}"]);
    }

    #[test]
    fn escapes_are_decoded_in_quotes_and_outside() {
        assert_eq!(argv(r"x a\ b"), ["x", "a b"]);
        assert_eq!(argv(r#"x 'it\'s' \"a b\""#), ["x", "it's", "\"a", "b\""]);
        assert_eq!(argv(r"x \101\x42\cA \c[ \E\e\z"), ["x", "AB\u{1}", "\u{1b}", "\u{1b}ez"]);
        assert_eq!(argv(r"x 'a\tb' \n \a\b\f\r\v"), ["x", "a\tb", "\n", "\u{7}\u{8}\u{c}\r\u{b}"]);
        assert_eq!(argv(r"x \1234 \x123 \8 \x \\"), ["x", "S4", "#", "8", "x", "\\"]);
        assert_eq!(encode(&argv(r"x \xff\303\251")[1]), [0xff, 0xc3, 0xa9]);
        assert_eq!(argv(r"x \303\251"), ["x", "é"]);
        assert_eq!(unescape(r#"a\x41 'b' "c""#).as_deref(), Ok(r#"aA 'b' "c""#));
    }

    #[test]
    fn what_cannot_be_split_says_why() {
        assert_eq!(split("x 'a"), Err(SplitError::Quote('\'')));
        assert_eq!(split("x \"a"), Err(SplitError::Quote('"')));
        assert_eq!(split(r"x a\"), Err(SplitError::Escape));
        assert_eq!(split(r"x \c"), Err(SplitError::Escape));
        assert_eq!(split(r"x \400"), Err(SplitError::Nul));
        assert_eq!(split(r"x \x100"), Err(SplitError::Nul));
    }
}
