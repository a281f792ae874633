//! Searches a body that arrives in pieces, whatever its length, in bounded memory.
//!
//! The engine sees a window of the body. The window is searched when it is full and at the end; then only its end is
//! kept, so a match that is longer than [`KEPT`] may be missed in a body that is longer than [`WINDOW`].

#[cfg(feature = "pcre2")]
mod whole;

use crate::plan::search::{Engine, SearchPlan};
use regex::bytes::Regex;
#[cfg(feature = "pcre2")]
use whole::Whole;

/// Octets of a body that are held at once.
pub const WINDOW: usize = 256 << 10;

/// Octets that stay in the window when it moves on.
pub const KEPT: usize = 64 << 10;

/// A match that ends this close to the end of what has come may end otherwise once more comes: `$` and `\b` look at the
/// next character.
const LOOKED_AT: usize = 4;

/// One search.
#[derive(Debug)]
pub enum Search {
    /// Of a body of any length.
    Sliding(Sliding),
    /// Of a short body at once.
    #[cfg(feature = "pcre2")]
    Whole(Whole),
}

impl Search {
    /// A search; the words when the pattern has no form for an engine (the plan was made of one that has).
    pub fn new(plan: &SearchPlan) -> Result<Search, String> {
        match plan.compile().map_err(|why| why.to_string())? {
            Engine::Linear(regex) => Ok(Search::Sliding(Sliding::new(regex, plan))),
            #[cfg(feature = "pcre2")]
            Engine::Backtracking(pattern) => Ok(Search::Whole(Whole::new(pattern, plan))),
        }
    }

    /// Takes a piece of the body.
    pub fn take(&mut self, octets: &[u8]) {
        match self {
            Search::Sliding(search) => search.take(octets),
            #[cfg(feature = "pcre2")]
            Search::Whole(search) => search.take(octets),
        }
    }

    /// The body has ended: was the pattern in it? In words, why that is not known.
    pub fn end(&mut self) -> Result<bool, String> {
        match self {
            Search::Sliding(search) => Ok(search.end()),
            #[cfg(feature = "pcre2")]
            Search::Whole(search) => search.end(),
        }
    }
}

/// The search of a window that moves on.
#[derive(Debug)]
pub struct Sliding {
    regex: Regex,
    plan: SearchPlan,
    window: Vec<u8>,
    /// Where in the body the window begins.
    base: u64,
    /// The window is searched again when it is this long.
    next: usize,
    found: bool,
    /// No match can begin any more.
    over: bool,
    /// `$` may stand before a line feed that ends the body.
    trims: bool,
}

/// The window is searched first when it holds this much, then each time it has doubled.
const FIRST: usize = 4 << 10;

impl Sliding {
    fn new(regex: Regex, plan: &SearchPlan) -> Sliding {
        let plan = plan.clone();
        // Where the very end is wanted as well, a line feed must not be taken for it.
        let trims = !plan.dollar_endonly && !wants_the_very_end(&plan.pattern);
        Sliding { regex, plan, window: Vec::new(), base: 0, next: FIRST, found: false, over: false, trims }
    }

    /// Takes a piece of the body.
    fn take(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && !self.found && !self.over {
            let room = WINDOW.saturating_sub(self.window.len()).min(octets.len());
            let (now, later) = octets.split_at(room); // room is at most its length
            self.window.extend_from_slice(now);
            octets = later;
            if self.window.len() >= self.next {
                self.look(false);
                self.next = (self.window.len() * 2).min(WINDOW);
            }
            if self.window.len() >= WINDOW {
                self.move_on();
            }
        }
        if self.found || self.over {
            self.window = Vec::new();
        }
    }

    /// The body has ended: was the pattern in it?
    fn end(&mut self) -> bool {
        if !self.found && !self.over {
            self.look(true);
        }
        self.found
    }

    fn look(&mut self, all: bool) {
        let from = self.offset(self.plan.min_offset);
        let trimmed = self.window.strip_suffix(b"\n").filter(|_| all && self.trims);
        // PCRE's `$` also stands before a line feed that ends the body.
        let haystacks = [Some(self.window.as_slice()), trimmed];
        for haystack in haystacks.into_iter().flatten().filter(|haystack| from <= haystack.len()) {
            let Some(found) = self.regex.find_at(haystack, from) else { continue };
            if !all && found.end() + LOOKED_AT > haystack.len() {
                continue;
            }
            let start = self.base + found.start() as u64;
            self.found = start <= self.last_start(haystack);
            if self.found {
                return;
            }
        }
    }

    /// The last offset of the body at which a match may begin.
    fn last_start(&self, haystack: &[u8]) -> u64 {
        let most = self.plan.max_offset.unwrap_or(u64::MAX);
        if !self.plan.firstline {
            return most;
        }
        // The window moves on only as long as it has no line feed.
        let line = haystack.iter().position(|octet| *octet == b'\n');
        line.map_or(most, |at| most.min(self.base + at as u64))
    }

    /// A place of the body as a place of the window.
    fn offset(&self, in_body: u64) -> usize {
        // One octet before it stays in view, so that the start of the window is not taken for the start of the body.
        let least = usize::from(self.base > 0);
        usize::try_from(in_body.saturating_sub(self.base)).unwrap_or(usize::MAX).max(least)
    }

    fn move_on(&mut self) {
        let first_line_ended = self.plan.firstline && self.window.contains(&b'\n');
        let gone = self.window.len() - KEPT; // the window is full
        self.window.drain(..gone);
        self.base += gone as u64;
        self.next = WINDOW;
        self.over = first_line_ended || self.plan.max_offset.is_some_and(|most| most < self.base);
    }
}

/// Has the pattern a `\z`?
fn wants_the_very_end(pattern: &str) -> bool {
    let mut rest = pattern.chars();
    // An escaped backslash is no beginning of it.
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next() == Some('z') {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finds(plan: &SearchPlan, body: &[u8], size: usize) -> bool {
        let search = Search::new(plan).expect("the test's pattern compiles");
        // The only kind there is without the feature.
        #[cfg_attr(not(feature = "pcre2"), allow(irrefutable_let_patterns))]
        let Search::Sliding(mut search) = search else { panic!("{plan:?} needs no look-around") };
        for piece in body.chunks(size.max(1)) {
            search.take(piece);
            assert!(search.window.len() <= WINDOW);
        }
        search.end()
    }

    fn plan(pattern: &str) -> SearchPlan {
        SearchPlan { pattern: pattern.into(), ..SearchPlan::default() }
    }

    #[test]
    fn options_are_those_of_pcre() {
        let all = |plan: SearchPlan, body: &str| {
            let each = [1, 3, 4096].map(|size| finds(&plan, body.as_bytes(), size));
            assert!(each.iter().all(|found| *found == each[0]), "{plan:?} depends on the pieces");
            each[0]
        };
        assert!(all(plan("ok$"), "is ok"));
        assert!(all(plan("ok$"), "is ok\n"), "$ stands before the last line feed");
        assert!(!all(SearchPlan { dollar_endonly: true, ..plan("ok$") }, "is ok\n"));
        assert!(!all(plan("ok\\z"), "is ok\n"), "\\z does not");
        assert!(all(plan("ok\\z"), "is ok") && all(plan("ok\n\\z"), "is ok\n"));
        assert!(all(plan("ok\\\\z$"), "ok\\z\n"), "a backslash and a z");
        assert!(!all(plan("ok$"), "ok\nis"));
        assert!(all(SearchPlan { multiline: true, ..plan("ok$") }, "ok\nis"));
        assert!(all(SearchPlan { min_offset: 3, ..plan("a") }, "b b a"));
        assert!(!all(SearchPlan { min_offset: 3, ..plan("a") }, "a b b"));
        assert!(!all(SearchPlan { min_offset: 3, ..plan("^a") }, "b ba"));
        assert!(!all(SearchPlan { min_offset: 30, ..plan("a") }, "a"), "past the end");
        assert!(all(SearchPlan { max_offset: Some(2), ..plan("aa") }, "bbaa"));
        assert!(!all(SearchPlan { max_offset: Some(1), ..plan("aa") }, "bbaa"));
        assert!(all(SearchPlan { firstline: true, ..plan("b\\nc") }, "ab\nc"));
        assert!(!all(SearchPlan { firstline: true, ..plan("c") }, "ab\nc"));
    }

    #[test]
    fn a_body_longer_than_the_window_is_searched_to_its_end() {
        let mut body = vec![b'x'; 3 * WINDOW];
        assert!(!finds(&plan("needle"), &body, 10_000));
        body.extend_from_slice(b"needle");
        assert!(finds(&plan("needle$"), &body, 10_000));
        assert!(!finds(&plan("^needle"), &body, 10_000));
        assert!(!finds(&SearchPlan { max_offset: Some(100), ..plan("needle") }, &body, 10_000));
        let far = 3 * WINDOW as u64;
        assert!(finds(
            &SearchPlan { max_offset: Some(far), min_offset: far, ..plan("needle") },
            &body,
            9_999
        ));
        let mut across = vec![b'x'; WINDOW - 3];
        across.extend_from_slice(b"needle");
        across.resize(3 * WINDOW, b'x');
        assert!(finds(&plan("needle"), &across, 777));
    }

    proptest! {
        /// Pieces change nothing, and the answer is the engine's own.
        #[test]
        fn pieces_change_nothing(body in "[ab\n]{0,60}", pattern in "[ab.$^]{1,4}", size in 1usize..9) {
            let plan = SearchPlan { dollar_endonly: true, ..plan(&pattern) };
            let pattern = regex::bytes::RegexBuilder::new(&plan.pattern).unicode(false).build();
            let whole = pattern.expect("the alphabet has no syntax").is_match(body.as_bytes());
            prop_assert_eq!(finds(&plan, body.as_bytes(), size), whole);
        }
    }
}
