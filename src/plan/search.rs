//! `regex` of a url: what PCRE2 calls it, for an engine that takes time in proportion to the page.

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// The most octets of compiled program; a pattern beyond it is refused when the configuration is read.
const MAX_PROGRAM: usize = 1 << 20;

/// The most octets that one search may use to go faster.
const MAX_CACHE: usize = 1 << 20;

/// `regex` and its options, in the words of PCRE2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SearchPlan {
    /// As written, escapes of the configuration language decoded.
    pub pattern: String,
    /// `regex_no_match`: a body that matches is the failure.
    pub negate: bool,
    /// `caseless`.
    pub caseless: bool,
    /// `dotall`.
    pub dotall: bool,
    /// `multiline`.
    pub multiline: bool,
    /// `extended`.
    pub extended: bool,
    /// `dollar_endonly`.
    pub dollar_endonly: bool,
    /// `firstline`: a match begins in the first line.
    pub firstline: bool,
    /// `utf`: characters instead of octets.
    pub utf: bool,
    /// `regex_min_offset`.
    pub min_offset: u64,
    /// `regex_max_offset`: the last offset at which a match may begin.
    pub max_offset: Option<u64>,
}

impl SearchPlan {
    /// A search for `text` as it is.
    pub fn literal(text: &str) -> SearchPlan {
        SearchPlan { pattern: regex::escape(text), ..SearchPlan::default() }
    }

    /// The engine's form of it, or why there is none, in words.
    pub fn compile(&self) -> Result<Regex, String> {
        let pattern = translate(&self.pattern)?;
        RegexBuilder::new(&pattern)
            .unicode(self.utf)
            .case_insensitive(self.caseless)
            .dot_matches_new_line(self.dotall)
            .multi_line(self.multiline)
            .ignore_whitespace(self.extended)
            .size_limit(MAX_PROGRAM)
            .dfa_size_limit(MAX_CACHE)
            .build()
            .map_err(|error| last_line(&error.to_string()))
    }
}

/// The engine draws the pattern with an arrow; the last line is the sentence.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or(error);
    line.trim().trim_start_matches("error: ").to_owned()
}

/// What PCRE2 and the engine write differently: a brace or a bracket that stands for itself, `\<` and `\>`, sets that the
/// engine would add and subtract.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        let after = rest.as_str();
        match c {
            '\\' => match rest.next() {
                Some(c @ ('<' | '>')) => out.push(c),
                Some('Q') => quote(&mut out, &mut rest),
                Some('E') => {}
                Some('e') => out.push_str("\\x1b"),
                Some('h') if in_class => out.push_str(" \\t"),
                Some('h') => out.push_str("[ \\t]"),
                Some('R') if !in_class => out.push_str("(?:\\r\\n|[\\n\\x0b\\f\\r])"),
                Some('N') if !in_class && !rest.as_str().starts_with('{') => out.push_str("[^\\n]"),
                Some('Z') => return Err("\\Z is not supported: `$` is, or \\z".into()),
                Some(c) if c.is_ascii_digit() && c != '0' && !in_class => {
                    return Err("back references are not supported".into());
                }
                Some(c) => out.extend(['\\', c]),
                None => return Err("it ends with a backslash".into()),
            },
            '[' if in_class && !after.starts_with(':') => out.push_str("\\["),
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '[' if in_class => {
                // A class by name, `[:alpha:]`, ends with its own bracket.
                let end = after.find(":]").ok_or("a class by name does not end")?;
                out.push('[');
                out.push_str(&after[..end + 2]); // find() found both characters there
                rest = after[end + 2..].chars();
            }
            '[' => {
                in_class = true;
                out.push(c);
                if rest.as_str().starts_with('^') {
                    rest.next();
                    out.push('^');
                }
                // A bracket that stands first is an ordinary character.
                if rest.as_str().starts_with(']') {
                    rest.next();
                    out.push_str("\\]");
                }
            }
            '{' if !in_class && !is_repetition(after) => out.push_str("\\{"),
            '(' if !in_class => {
                unsupported_group(after)?;
                out.push(c);
            }
            '*' | '+' | '?' | '}' if !in_class && after.starts_with('+') => {
                return Err("possessive repetitions are not supported".into());
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// `\Q...\E`: all of it stands for itself.
fn quote(out: &mut String, rest: &mut std::str::Chars<'_>) {
    let text = rest.as_str();
    let (quoted, after) = text.split_once("\\E").unwrap_or((text, ""));
    out.push_str(&regex::escape(quoted));
    *rest = after.chars();
}

/// Is what follows a brace the rest of `{2}`, `{2,}` or `{2,3}`?
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !low.is_empty() && digits(low) && digits(high)
}

fn unsupported_group(after: &str) -> Result<(), String> {
    let says = [
        ("?=", "look-ahead"),
        ("?!", "look-ahead"),
        ("?<=", "look-behind"),
        ("?<!", "look-behind"),
        ("?>", "atomic groups"),
        ("?|", "groups with one number"),
        ("?(", "conditions"),
        ("?R", "recursion"),
        ("?#", "comments"),
        ("*", "verbs"),
    ];
    match says.iter().find(|(start, _)| after.starts_with(start)) {
        Some((_, what)) => Err(format!("{what} cannot be searched for in time proportional to the page")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(pattern: &str) -> SearchPlan {
        SearchPlan { pattern: pattern.into(), ..SearchPlan::default() }
    }

    #[test]
    fn pcre_patterns_match_what_they_match_there() {
        #[rustfmt::skip]
        let cases: &[(&str, &str, bool)] = &[
            (r#"{"status":"ok"}"#, r#"{"status":"ok"}"#, true),
            (r"a{2,3}", "xaax", true),
            (r"a{2,3}", "xax", false),
            (r"x{,3}", "x{,3}", true),
            (r"\<html\>", "<html>", true),
            (r"[[]a]", "[a]", true),
            (r"[]x]", "]", true),
            (r"[^]x]", "]", false),
            (r"[[:digit:]]+", "abc7", true),
            (r"[a&&b]", "&", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b\E", "axb", false),
            (r"\d\h\w", "1\tz", true),
            (r"a\Rb", "a\r\nb", true),
            (r"\d", "\u{663}", false),
        ];
        for (pattern, text, expected) in cases {
            let regex = plan(pattern).compile().unwrap_or_else(|why| panic!("{pattern}: {why}"));
            assert_eq!(regex.is_match(text.as_bytes()), *expected, "{pattern} in {text}");
        }
        let odd = SearchPlan { caseless: true, dotall: true, extended: true, ..plan("A . b # c") };
        assert!(odd.compile().expect("compiles").is_match(b"a\nB"));
    }

    #[test]
    fn what_takes_more_than_linear_time_is_refused_in_words() {
        let cases = [
            (r"a(?=b)", "look-ahead cannot be searched for in time proportional to the page"),
            (r"(?<!a)b", "look-behind cannot be searched for in time proportional to the page"),
            (r"(a)\1", "back references are not supported"),
            (r"a++", "possessive repetitions are not supported"),
            (r"(?>a)", "atomic groups cannot be searched for in time proportional to the page"),
            (r"(a", "unclosed group"),
        ];
        for (pattern, words) in cases {
            assert_eq!(plan(pattern).compile().err().as_deref(), Some(words), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in ".{0,40}", utf: bool, extended: bool) {
            let _either = SearchPlan { utf, extended, ..plan(&pattern) }.compile().is_ok();
        }

        #[test]
        fn quoted_text_finds_itself(text in "[ -~]{1,20}") {
            prop_assume!(!text.contains("\\E"));
            let regex = plan(&format!("\\Q{text}\\E")).compile().expect("quoted text compiles");
            prop_assert!(regex.is_match(text.as_bytes()));
        }
    }
}
