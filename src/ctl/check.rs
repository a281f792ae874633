//! `holdfastctl check FILE`: what is wrong with a configuration. Needs no daemon and touches none.

mod format;

use super::Done;
use super::keywords::{OneOf, code_names};
use crate::plan::Generation;
use crate::role::compile::{self, CompileRequest, Examined, ThisMachine, examine};
use clap::{Args, ValueEnum};
use keepalived_compat::diagnostics::{Code, Severity, story};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Exit status after warnings.
const EXIT_WARNINGS: u8 = 1;
/// Exit status after errors.
const EXIT_ERRORS: u8 = 2;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file
    #[arg(required_unless_present = "explain")]
    file: Option<PathBuf>,
    /// Which lines that begin with @ID count; the host name up to its first dot otherwise
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// How to print what is found
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Tell the story of a code such as HF0007, and check nothing
    #[arg(long, value_name = "CODE", conflicts_with_all = ["file", "format"],
          hide_possible_values = true, value_parser = OneOf(code_names))]
    explain: Option<String>,
}

/// How diagnostics are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the source line and the place underlined; in colours on a terminal
    Human,
    /// One JSON object with everything
    Json,
    /// Commands that make GitHub show each finding beside its line
    Github,
    /// One line each
    Short,
}

pub(super) fn run(check: Check) -> Done {
    let Check { file, config_id, format, explain } = check;
    if let Some(code) = explain {
        return tell(&code);
    }
    // clap demands the file when no code is to be explained.
    let file = file.unwrap_or_default();
    let request = CompileRequest {
        file: file.clone(),
        config_id,
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: compile::interface_exists,
        address_exists: compile::address_exists,
    };
    let examined = examine(&request, &ThisMachine);
    let name = file.display().to_string();
    super::text::print(&match format {
        Format::Human => format::human(&examined, &name, colours()),
        Format::Json => format::json(&examined, &name)?,
        Format::Github => format::github(&examined),
        Format::Short => format::short(&examined),
    });
    Ok(status(&examined))
}

/// Are colours wanted? See <https://no-color.org>.
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    std::io::stdout().is_terminal() && !refused
}

fn status(examined: &Examined) -> u8 {
    match examined.diagnostics.iter().map(|d| d.severity()).max() {
        Some(Severity::Error) => EXIT_ERRORS,
        Some(Severity::Warning) => EXIT_WARNINGS,
        Some(Severity::Hint) | None => 0,
    }
}

fn tell(text: &str) -> Done {
    let code = Code::parse(text).ok_or_else(|| {
        let known = Code::ALL.iter().map(Code::to_string).collect::<Vec<_>>().join(", ");
        format!("there is no code {}; there are {known}", super::text::clean(text))
    })?;
    super::text::print(&format!("{code}: {}\n\n{}\n", code.meaning(), story(code)));
    Ok(0)
}
