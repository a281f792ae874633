//! docs/compat.md, printed from the keyword table.

use crate::diagnostics::{Code, Severity};
use crate::keywords::{self, Keyword, Say, Status};
use std::fmt::Write;

/// The whole page as Markdown.
pub fn compatibility() -> String {
    let mut page = String::from(HEAD);
    let (mut works, mut accepted, mut later) = (0, 0, 0);
    for (_, list) in keywords::places() {
        for keyword in list {
            match keyword.status {
                Status::Works => works += 1,
                Status::Accepted(_) => accepted += 1,
                Status::NotYet { .. } | Status::Inner => later += 1,
            }
        }
    }
    let _ = writeln!(
        page,
        "{works} keywords work, {accepted} are accepted without effect, {later} are not built yet.\n"
    );
    for (place, list) in keywords::places() {
        let _ = writeln!(
            page,
            "## {}\n\n| keyword | arguments | holdfast |\n|---|---|---|",
            escape(place.path())
        );
        for keyword in list {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                escape(keyword.name),
                code(keyword.arguments),
                status(keyword)
            );
        }
        page.push('\n');
    }
    page.push_str("## Diagnostics\n\n| code | severity | `-t` status | meaning |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        };
        let _ = writeln!(page, "| {code} | {severity} | {} | {} |", code.status(), code.meaning());
    }
    page
}

const HEAD: &str = "\
# keepalived.conf in holdfast

Printed from the keyword table of `keepalived-compat` (`src/keywords/`); the test `compat_page_is_up_to_date` compares it.
Every keyword of keepalived 2.4.3 is known. One that is not built yet is named at start and by `holdfast -t`; **bold** marks
those where that may change who holds an address or which server is in service.

";

fn status(keyword: &Keyword) -> String {
    match keyword.status {
        Status::Works => "works".to_owned(),
        Status::Accepted(reason) => format!("no effect: {}", escape(reason)),
        Status::NotYet { meaning, say: Say::Warning } => format!("not yet: {}", escape(meaning)),
        Status::NotYet { meaning, .. } => format!("**not yet**: {}", escape(meaning)),
        Status::Inner => "not yet, with its block".to_owned(),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", escape(text)) }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
