//! Patterns that a linear-time engine cannot search for, by PCRE2, which is also keepalived's engine (feature `pcre2`).
//!
//! PCRE2 limits the steps from each place of the page at which a match may begin. Here the pattern itself walks through the
//! page (`\G(?s:.*?)\K`), so that one limit covers the whole search.

use super::SearchPlan;
use pcre2::bytes::{Regex, RegexBuilder};

/// The most octets of a page that are searched: what a step may look at is not counted, so the square of this bounds the
/// work. A page made for it keeps `[^a]*+a` busy for 75 ms; most patterns end within 10 ms.
pub const MOST_OCTETS: usize = 16 << 10;

/// Steps of a search; about 10 ms.
const STEPS: u32 = 1 << 20;

/// Steps where each may compare a long group again, letter by letter.
const STEPS_CASELESS: u32 = 1 << 16;

/// Kibibytes that a search may hold to find its way back.
const HEAP: u32 = 16 << 10;

/// A pattern, ready to be searched for.
#[derive(Clone, Debug)]
pub struct Backtracking {
    regex: Regex,
}

impl Backtracking {
    /// Of the pattern as written, or why not, in words.
    pub(super) fn new(plan: &SearchPlan) -> Result<Backtracking, String> {
        if plan.dollar_endonly {
            return Err("dollar_endonly is not for patterns that need PCRE2: write \\z instead of `$`".into());
        }
        let written = plan.pattern.as_str();
        if ["(?R", "(?0)", "\\g<0>", "\\g'0'"].iter().any(|whole| written.contains(whole)) {
            return Err("a pattern cannot refer to the whole of itself: (x(?1)y) refers to a group".into());
        }
        // By itself first: its faults are its own, and it cannot end the group that it is put into.
        build(plan, written)?;
        let letter_by_letter = refers_back(written) && (plan.caseless || turns_caseless(written));
        let steps = if letter_by_letter { STEPS_CASELESS } else { STEPS };
        // A comment of an `extended` pattern ends with its line.
        let end = if plan.extended { "\n" } else { "" };
        let limits = format!("(*LIMIT_MATCH={steps})(*LIMIT_HEAP={HEAP})(*NO_AUTO_POSSESS)");
        let regex = build(plan, &format!("{limits}\\G(?s:.*?)\\K(?:{written}{end})"))?;
        Ok(Backtracking { regex })
    }

    /// Where the first match that begins at `from` or later begins; in words, why that is not known.
    pub fn find_at(&self, page: &[u8], from: usize) -> Result<Option<usize>, String> {
        if from > page.len() {
            return Ok(None);
        }
        match self.regex.find_at(page, from) {
            Ok(found) => Ok(found.map(|found| found.start())),
            Err(error) => Err(format!("the regex cannot be searched for in this body: {}", plain(&error))),
        }
    }
}

fn build(plan: &SearchPlan, pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new();
    builder.caseless(plan.caseless).dotall(plan.dotall).multi_line(plan.multiline).extended(plan.extended);
    builder.utf(plan.utf).build(pattern).map_err(|error| plain(&error))
}

fn plain(error: &pcre2::Error) -> String {
    let words = error.to_string();
    words.strip_prefix("PCRE2: ").unwrap_or(&words).to_owned()
}

/// May a step compare a whole group? Rather yes: it costs steps, no more.
fn refers_back(pattern: &str) -> bool {
    let mut escapes = pattern.split('\\').skip(1);
    pattern.contains("(?P=")
        || escapes.any(|after| after.starts_with(|c: char| c.is_ascii_digit() || matches!(c, 'g' | 'k')))
}

/// May a group of it turn `caseless` on?
fn turns_caseless(pattern: &str) -> bool {
    let is_flag = |c: &char| c.is_ascii_lowercase() || matches!(c, '^' | '-');
    pattern.split("(?").skip(1).any(|after| after.chars().take_while(is_flag).any(|c| c == 'i'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Backtracking {
        let plan = SearchPlan { pattern: text.into(), ..SearchPlan::default() };
        Backtracking::new(&plan).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_search_finds_what_pcre2_finds() {
        #[rustfmt::skip]
        let cases: &[(&str, &str, Option<usize>)] = &[
            ("up(?=now)", "up upnow", Some(3)),
            ("up(?!now)", "upnow up", Some(6)),
            ("(?<=is )ok", "ok is ok", Some(6)),
            ("(?<!is )ok", "is ok", None),
            (r"(\w)\1", "abccd", Some(2)),
            ("(?>a*)ab", "aaab", None),
            (r"(\((?:[^()]|(?1))*\))$", "x(a(b)c)", Some(1)),
            ("a++b", "aab", Some(0)),
            ("x|(?=b)", "aab", Some(2)),
            ("^(?!error)", "error", None),
            ("ok(?=$)", "ok\n", Some(0)),
            ("(?=\\Aa)a", "ba", None),
        ];
        for (text, page, at) in cases {
            assert_eq!(pattern(text).find_at(page.as_bytes(), 0), Ok(*at), "{text} in {page}");
        }
        assert_eq!(pattern("(?<=b)a").find_at(b"ba", 1), Ok(Some(1)), "what stands before is seen");
        assert_eq!(pattern("(?<=b)a").find_at(b"ba", 3), Ok(None), "past the end");
        assert_eq!(pattern("(?=a)").find_at(b"\xff\xfea", 0), Ok(Some(2)), "a page of octets");
        let odd = SearchPlan {
            pattern: "A (?=b) # c".into(),
            extended: true,
            caseless: true,
            ..SearchPlan::default()
        };
        assert_eq!(Backtracking::new(&odd).expect("compiles").find_at(b"xaB", 0), Ok(Some(1)));
    }

    /// Each of these would go on for hours.
    #[test]
    fn a_search_ends_whatever_the_page() {
        let page = [b'a'; MOST_OCTETS];
        for text in
            ["(?=(a+)+b)", r"(a*)*\1c", "(?=.*.*.*b)", r"(a|a)*(?!a)\1d", "(?:a?){99}(?=b)", r"(?i)(a*)\1b"]
        {
            let why = pattern(text).find_at(&page, 0).expect_err(text);
            assert!(why.starts_with("the regex cannot be searched for in this body: "), "{text}: {why}");
            assert!(why.contains("limit exceeded"), "{text}: {why}");
        }
        for text in ["b(?=a)", r"(b+)\1", r"(?i:(b+)\1)", "(?s)^(?!.*error).*ok"] {
            assert_eq!(pattern(text).find_at(&page, 0), Ok(None), "{text}: an ordinary one is not cut short");
        }
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        let why = |plan: SearchPlan| Backtracking::new(&plan).map(|_| ()).expect_err("it is refused");
        let plan = |text: &str| SearchPlan { pattern: text.into(), ..SearchPlan::default() };
        assert!(why(plan("(?=a")).contains("parenthesis"));
        assert!(why(plan("(?=a))(b")).contains("parenthesis"), "it does not end what it stands in");
        assert!(why(plan("a(?R)?b")).starts_with("a pattern cannot refer to the whole of itself"));
        assert!(why(SearchPlan { dollar_endonly: true, ..plan("(?=a)$") }).contains("write \\z"));
    }
}
