//! `holdfastctl reload`: returns when every role has the new configuration, or when it was refused.

use super::client::{AskError, ask};
use super::{Done, EXIT_FAILED, print_json, text};
use crate::link::control::{Answer, ReloadOutcome, Request};
use std::path::Path;

pub(super) fn run(socket: &Path, json: bool) -> Done {
    let outcome = ask_for(socket)?;
    if json {
        print_json(&outcome)?;
    } else {
        text::print(&render(&outcome));
    }
    Ok(if outcome.accepted && outcome.trouble.is_empty() { 0 } else { EXIT_FAILED })
}

/// What became of a reload that is asked for now.
pub(super) fn ask_for(socket: &Path) -> Result<ReloadOutcome, AskError> {
    match ask(socket, Request::Reload)? {
        Answer::Reload(outcome) => Ok(outcome),
        other => Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}"))),
    }
}

/// The outcome for people: diagnostics first, the verdict last, where the eye is.
pub(super) fn render(outcome: &ReloadOutcome) -> String {
    let mut page: String = outcome.diagnostics.iter().map(|diagnostic| text::block(0, diagnostic)).collect();
    for trouble in &outcome.trouble {
        page += &text::block(0, trouble);
    }
    let number = outcome.generation.0;
    let but = match outcome.cannot_run {
        0 => String::new(),
        n => format!(", and {} cannot run (see holdfastctl status)", text::plural(n, "script")),
    };
    page + &match (outcome.accepted, outcome.errors) {
        (true, 0) => format!("reloaded: configuration {number} is in force{but}\n"),
        (true, n) => {
            let errors = text::plural(n, "error");
            format!("reloaded in spite of {errors}: configuration {number} is in force{but}\n")
        }
        (false, 0) => format!("refused: configuration {number} goes on untouched\n"),
        (false, n) => {
            format!("refused for {}: configuration {number} goes on untouched\n", text::plural(n, "error"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Generation;

    fn outcome(accepted: bool, errors: usize, trouble: &[&str]) -> ReloadOutcome {
        ReloadOutcome {
            accepted,
            generation: Generation(3),
            diagnostics: (1..=errors).map(|n| format!("k.conf:{n}: wrong")).collect(),
            errors,
            cannot_run: 0,
            trouble: trouble.iter().map(|t| t.to_string()).collect(),
        }
    }

    #[test]
    fn the_last_line_is_the_verdict() {
        assert_eq!(render(&outcome(true, 0, &[])), "reloaded: configuration 3 is in force\n");
        let refused =
            "k.conf:1: wrong\nk.conf:2: wrong\nrefused for 2 errors: configuration 3 goes on untouched\n";
        assert_eq!(render(&outcome(false, 2, &[])), refused);
        let died = "the compiler died\nrefused: configuration 3 goes on untouched\n";
        assert_eq!(render(&outcome(false, 0, &["the compiler died"])), died);
        assert!(
            render(&outcome(true, 1, &[])).ends_with("in spite of 1 error: configuration 3 is in force\n")
        );
        let lame = ReloadOutcome { cannot_run: 2, ..outcome(true, 0, &[]) };
        let but =
            "reloaded: configuration 3 is in force, and 2 scripts cannot run (see holdfastctl status)\n";
        assert_eq!(render(&lame), but);
    }
}
