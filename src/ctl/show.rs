//! `holdfastctl show config [FILE]`: the effective configuration. Needs no daemon and touches none.

use super::{Done, Form, print_json, text};
use crate::plan::Generation;
use crate::role::compile::{self, CompileRequest};
use clap::Subcommand;
use keepalived_compat::print::{self, HIDDEN, Line, is_secret};
use keepalived_compat::source::encode;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Where keepalived's configuration is.
const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// The file cannot be run.
const EXIT_REFUSED: u8 = 2;

/// What to show.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// The effective configuration of a file: includes and definitions resolved, comments and unknown words gone, the
    /// values in force written out
    ///
    /// A value that would be the same without its line is marked `# default`. The output is a keepalived.conf with the
    /// same effect, except that passwords are hidden unless --secrets is given. Exit status: 0, or 2 when the file
    /// cannot be run (nothing is printed then but the reasons).
    Config {
        /// The file
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
        /// Which lines that begin with @ID count; the host name up to its first dot otherwise
        #[arg(short = 'i', long, value_name = "ID")]
        config_id: Option<String>,
        /// Print passwords and keys too
        #[arg(long)]
        secrets: bool,
        #[command(flatten)]
        form: Form,
    },
}

/// Prints the configuration.
pub(super) fn run(what: What) -> Done {
    let What::Config { file, config_id, secrets, form } = what;
    let request = CompileRequest {
        file,
        config_id,
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: compile::interface_exists,
        address_exists: compile::address_exists,
    };
    let compiled = compile::compile(&request);
    if compiled.plans.is_none() {
        compiled.diagnostics.iter().for_each(|diagnostic| text::complain(diagnostic));
        text::complain(&format!("{}: this file cannot be run", request.file.display()));
        return Ok(EXIT_REFUSED);
    }
    if compiled.errors > 0 {
        let (count, name) = (text::plural(compiled.errors, "error"), request.file.display());
        text::complain(&format!("{name} has {count}, which are left out here: see holdfastctl check {name}"));
    }
    let lines = compile::effective(&request);
    if form.json {
        print_json(&json!({ "file": request.file, "statements": statements(&lines, "", secrets) }))?;
    } else {
        let page = format!("{}{}", head(&request, secrets), print::text(&lines, secrets));
        // A reader that went away is no error.
        std::io::stdout().write_all(&encode(&page)).ok();
    }
    Ok(0)
}

fn head(request: &CompileRequest, secrets: bool) -> String {
    let name = text::clean(&request.file.display().to_string());
    let hidden = if secrets { "" } else { "; passwords are hidden, --secrets shows them" };
    format!("# Effective configuration of {name}{hidden}\n\n")
}

/// Statements as JSON: `words`, the keyword first, then `default`, `not_run` and `block` where there is one.
fn statements(lines: &[Line], parent: &str, secrets: bool) -> Value {
    let statement = |line: &Line| {
        let word = |(index, word): (usize, &print::Printed)| {
            let hide = !secrets && is_secret(parent, line, index);
            Value::from(if hide { HIDDEN } else { word.text.as_str() })
        };
        let mut object = Map::new();
        object.insert("words".into(), line.words.iter().enumerate().map(word).collect());
        if line.note == Some(compile::DEFAULT) {
            object.insert("default".into(), true.into());
        }
        if line.note == Some(compile::NOT_RUN) {
            object.insert("not_run".into(), true.into());
        }
        if let Some(block) = &line.block {
            object.insert("block".into(), statements(block, line.keyword(), secrets));
        }
        Value::Object(object)
    };
    lines.iter().map(statement).collect()
}
