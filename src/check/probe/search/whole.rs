//! The search for a pattern that looks around: in what came of the body, once it has all come.

use crate::plan::search::SearchPlan;
use crate::plan::search::backtracking::{Backtracking, MOST_OCTETS};

/// One search.
#[derive(Debug)]
pub struct Whole {
    pattern: Backtracking,
    plan: SearchPlan,
    body: Vec<u8>,
    /// More came than is searched.
    more: bool,
}

impl Whole {
    pub(super) fn new(pattern: Backtracking, plan: &SearchPlan) -> Whole {
        Whole { pattern, plan: plan.clone(), body: Vec::new(), more: false }
    }

    pub(super) fn take(&mut self, octets: &[u8]) {
        let room = MOST_OCTETS - self.body.len(); // no more than that is ever put in
        self.body.extend_from_slice(&octets[..room.min(octets.len())]);
        self.more |= octets.len() > room;
    }

    /// What is found in the first octets is found, as for keepalived, which looks at 4 KiB at a time. What is not found there
    /// may stand in the rest: that is not known.
    pub(super) fn end(&mut self) -> Result<bool, String> {
        let from = usize::try_from(self.plan.min_offset).unwrap_or(usize::MAX);
        let start = self.pattern.find_at(&self.body, from)?;
        let found = start.is_some_and(|start| start <= self.last_start());
        match self.more && !found {
            true => Err(format!(
                "the regex is not in the first {} KiB of the body, and no more is searched for a pattern that looks around",
                MOST_OCTETS >> 10
            )),
            false => Ok(found),
        }
    }

    /// The last place at which a match may begin.
    fn last_start(&self) -> usize {
        let most = self.plan.max_offset.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let line = self.body.iter().position(|octet| *octet == b'\n').filter(|_| self.plan.firstline);
        line.map_or(most, |at| most.min(at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Search;
    use super::*;

    fn search(plan: SearchPlan, body: &[u8], size: usize) -> Result<bool, String> {
        let mut search = Search::new(&plan).expect("the test's pattern compiles");
        assert!(matches!(search, Search::Whole(_)));
        body.chunks(size).for_each(|piece| search.take(piece));
        search.end()
    }

    fn plan(pattern: &str) -> SearchPlan {
        SearchPlan { pattern: pattern.into(), ..SearchPlan::default() }
    }

    #[test]
    fn offsets_and_lines_count_as_for_other_patterns() {
        for size in [1, 3, 4096] {
            let all = |plan: SearchPlan, body: &str| search(plan, body.as_bytes(), size);
            assert_eq!(all(plan("a(?=b)"), "b ab"), Ok(true));
            assert_eq!(all(SearchPlan { min_offset: 1, ..plan("a(?=b)") }, "ab"), Ok(false));
            assert_eq!(all(SearchPlan { min_offset: 9, ..plan("(?=b)") }, "ab"), Ok(false));
            assert_eq!(all(SearchPlan { max_offset: Some(2), ..plan("a(?=b)") }, "xxab"), Ok(true));
            assert_eq!(all(SearchPlan { max_offset: Some(1), ..plan("a(?=b)") }, "xxab"), Ok(false));
            assert_eq!(all(SearchPlan { firstline: true, ..plan("a(?=b)") }, "x\nab"), Ok(false));
        }
    }

    #[test]
    fn a_page_that_is_too_long_is_no_page_without_a_match() {
        let mut body = vec![b'x'; MOST_OCTETS];
        assert_eq!(search(plan("up(?=now)"), &body, 1000), Ok(false));
        body.extend_from_slice(b"upnow");
        let why = search(plan("up(?=now)"), &body, 1000).expect_err("it is not known");
        assert!(why.starts_with("the regex is not in the first 16 KiB of the body"), "{why}");
        body[..5].copy_from_slice(b"upnow");
        assert_eq!(search(plan("up(?=now)"), &body, 1000), Ok(true));
    }
}
