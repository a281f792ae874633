//! The story behind each code, for `holdfastctl check --explain` and docs/diagnostics.md.

use super::{Code, Severity};
use std::fmt::Write;

/// One section per code, under its heading `## HFnnnn`.
const STORIES: &str = include_str!("stories.md");

/// What there is to tell about a code, in Markdown without headings; every code has one (a test holds that).
pub fn story(code: Code) -> &'static str {
    let heading = format!("## {code}\n");
    let Some((_, rest)) = STORIES.split_once(heading.as_str()) else { return "" };
    rest.split("\n## ").next().unwrap_or_default().trim()
}

/// The page docs/diagnostics.md. `example` gives a configuration and what is said about it.
pub fn page(mut example: impl FnMut(Code) -> Option<(String, String)>) -> String {
    let mut page = String::from(HEAD);
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        };
        let _ = writeln!(
            page,
            "## {code}\n\n**{}** ({severity}, `-t` status {})\n",
            code.meaning(),
            code.status()
        );
        let _ = writeln!(page, "{}\n", story(*code));
        if let Some((text, said)) = example(*code) {
            let _ = writeln!(page, "```\n{}\n```\n\n```text\n{}\n```\n", text.trim_end(), said.trim_end());
        }
    }
    page
}

const HEAD: &str = "\
# What holdfast says about a configuration

Printed from `keepalived-compat/src/diagnostics/` and the examples in `tests/configs/codes/`; the test
`diagnostics_page_is_up_to_date` compares it. `holdfastctl check FILE` prints all of these with the place in the file,
`holdfastctl check --explain HF0007` tells one of these stories. Codes from HF0100 on come only from `holdfastctl check`: they
are advice that keepalived never gives, and no exit status of `holdfast -t` depends on them. A code never changes its meaning.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_story_and_every_story_its_code() {
        for code in Code::ALL {
            assert!(story(*code).len() > 80, "{code} has no story");
        }
        let headings = STORIES.lines().filter_map(|l| l.strip_prefix("## "));
        let known: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
        assert_eq!(headings.collect::<Vec<_>>(), known);
    }
}
