//! `regex` of a url: what PCRE2 calls it, for an engine that takes time in proportion to the page; and for PCRE2 itself, where
//! that is built in and nothing less will do.

#[cfg(feature = "pcre2")]
pub mod backtracking;

#[cfg(feature = "pcre2")]
use backtracking::Backtracking;
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

    /// An engine's form of it, or why there is none.
    pub fn compile(&self) -> Result<Engine, Unsearchable> {
        match self.linear() {
            Ok(regex) => Ok(Engine::Linear(regex)),
            #[cfg(feature = "pcre2")]
            Err(Unsearchable::NeedsFeature(_)) => {
                Backtracking::new(self).map(Engine::Backtracking).map_err(Unsearchable::Never)
            }
            Err(why) => Err(why),
        }
    }

    /// The form for the engine that takes time in proportion to the page.
    fn linear(&self) -> Result<Regex, Unsearchable> {
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
            .map_err(|error| Unsearchable::Never(last_line(&error.to_string())))
    }
}

/// What searches for a pattern.
#[derive(Clone, Debug)]
pub enum Engine {
    /// In time proportional to the page, whatever the pattern.
    Linear(Regex),
    /// In a limited number of steps.
    #[cfg(feature = "pcre2")]
    Backtracking(Backtracking),
}

/// Why a pattern cannot be searched for, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsearchable {
    /// The feature `pcre2` brings it.
    #[error("{0}")]
    NeedsFeature(String),
    /// Nothing does.
    #[error("{0}")]
    Never(String),
}

impl From<&str> for Unsearchable {
    fn from(words: &str) -> Unsearchable {
        Unsearchable::Never(words.into())
    }
}

/// The engine draws the pattern with an arrow; the last line is the sentence.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or(error);
    line.trim().trim_start_matches("error: ").to_owned()
}

/// What PCRE2 and the engine write differently: a brace or a bracket that stands for itself, `\<` and `\>`, sets that the
/// engine would add and subtract.
fn translate(pattern: &str) -> Result<String, Unsearchable> {
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
                Some(c) if matches!(c, '1'..='9' | 'g' | 'k') && !in_class => {
                    return Err(needs("back references need"));
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
                return Err(needs("possessive repetitions need"));
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

/// `what` is the subject and its verb.
fn needs(what: &str) -> Unsearchable {
    Unsearchable::NeedsFeature(format!("{what} an engine that goes back in the page"))
}

fn unsupported_group(after: &str) -> Result<(), Unsearchable> {
    let brought = [
        ("?=", "look-ahead needs"),
        ("?!", "look-ahead needs"),
        ("?<=", "look-behind needs"),
        ("?<!", "look-behind needs"),
        ("?>", "an atomic group needs"),
        ("?|", "a set of groups with one number needs"),
        ("?(", "a condition needs"),
        ("?R", "recursion needs"),
        ("?P=", "back references need"),
        ("?P>", "recursion needs"),
        ("?&", "recursion needs"),
    ];
    let number = after.strip_prefix('?').map(|rest| rest.trim_start_matches(['+', '-']));
    if number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(needs("recursion needs"));
    }
    if let Some((_, what)) = brought.iter().find(|(start, _)| after.starts_with(start)) {
        return Err(needs(what));
    }
    match after {
        _ if after.starts_with("?#") => Err("comments are not supported".into()),
        _ if after.starts_with('*') => Err("verbs, such as (*SKIP), are not supported".into()),
        _ => Ok(()),
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
            let regex = plan(pattern).linear().unwrap_or_else(|why| panic!("{pattern}: {why}"));
            assert_eq!(regex.is_match(text.as_bytes()), *expected, "{pattern} in {text}");
        }
        let odd = SearchPlan { caseless: true, dotall: true, extended: true, ..plan("A . b # c") };
        assert!(odd.linear().expect("compiles").is_match(b"a\nB"));
    }

    #[test]
    fn what_a_linear_engine_cannot_do_is_said_with_whether_the_feature_can() {
        let brought = [
            (r"a(?=b)", "look-ahead needs"),
            (r"(?<!a)b", "look-behind needs"),
            (r"(a)\1", "back references need"),
            (r"(?<n>a)\k<n>", "back references need"),
            (r"a++", "possessive repetitions need"),
            (r"(?>a)", "an atomic group needs"),
            (r"(a(?1)?)", "recursion needs"),
        ];
        for (pattern, what) in brought {
            let why = Unsearchable::NeedsFeature(format!("{what} an engine that goes back in the page"));
            assert_eq!(plan(pattern).linear().err(), Some(why), "{pattern}");
            // Searched for where the feature is, refused for that reason where it is not.
            assert_eq!(plan(pattern).compile().is_ok(), cfg!(feature = "pcre2"), "{pattern}");
        }
        let never = [
            (r"(a", "unclosed group"),
            (r"a(*SKIP)b", "verbs, such as (*SKIP), are not supported"),
            (r"(?#c)a", "comments are not supported"),
        ];
        for (pattern, words) in never {
            assert_eq!(plan(pattern).compile().err(), Some(Unsearchable::Never(words.into())), "{pattern}");
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
            let regex = plan(&format!("\\Q{text}\\E")).linear().expect("quoted text compiles");
            prop_assert!(regex.is_match(text.as_bytes()));
        }
    }
}
