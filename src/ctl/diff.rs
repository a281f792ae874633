//! `holdfastctl diff OLD NEW`: what a reload would do. Needs no daemon and touches none.

use super::{Done, Form, print_json, text};
use crate::link::Compiled;
use crate::plan::Generation;
use crate::plan::diff::{Change, diff};
use crate::role::compile::{self, CompileRequest};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// There are differences.
const EXIT_DIFFERENT: u8 = 1;

/// A file cannot be run.
const EXIT_REFUSED: u8 = 2;

/// Columns of the widest weight.
const WEIGHT_COLUMNS: usize = 13;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The configuration in force
    old: PathBuf,
    /// The configuration to come
    new: PathBuf,
    /// Which lines that begin with @ID count; the host name up to its first dot otherwise
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    /// Would a running daemon refuse the reload, because the new file has more errors?
    refused: bool,
    changes: Vec<Said<'a>>,
}

/// A change with its sentence.
#[derive(Serialize)]
struct Said<'a> {
    text: String,
    #[serde(flatten)]
    change: &'a Change,
}

/// Compares two files.
pub(super) fn run(arguments: Diff) -> Done {
    let Diff { old, new, config_id, form } = arguments;
    let (before, after) = (compiled(&old, &config_id), compiled(&new, &config_id));
    let (Some(old_plans), Some(new_plans)) = (&before.plans, &after.plans) else {
        for (file, compiled) in [(&old, &before), (&new, &after)] {
            if compiled.plans.is_none() {
                compiled.diagnostics.iter().for_each(|diagnostic| text::complain(diagnostic));
                text::complain(&format!("{}: this file cannot be run", file.display()));
            }
        }
        return Ok(EXIT_REFUSED);
    };
    let changes = diff(old_plans, new_plans);
    let refused = after.errors > before.errors;
    if form.json {
        let said = |change| Said { text: text::clean(&format!("{change}")), change };
        print_json(&Answer { refused, changes: changes.iter().map(said).collect() })?;
    } else {
        print(&changes);
    }
    if refused {
        let (more, fewer) = (text::plural(after.errors, "error"), before.errors);
        let name = new.display();
        text::complain(&format!(
            "a running holdfast would refuse this reload and change nothing: {name} has {more}, the old file has {fewer}; \
             see holdfastctl check {name}"
        ));
    }
    Ok(if changes.is_empty() { 0 } else { EXIT_DIFFERENT })
}

fn compiled(file: &std::path::Path, config_id: &Option<String>) -> Compiled {
    compile::compile(&CompileRequest {
        file: file.to_owned(),
        config_id: config_id.clone(),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists: compile::interface_exists,
        address_exists: compile::address_exists,
    })
}

fn print(changes: &[Change]) {
    let line = |change: &Change| {
        let weight = change.weight.to_string();
        format!("{weight:<WEIGHT_COLUMNS$} {}\n", text::clean(&change.to_string()))
    };
    let page: String = changes.iter().map(line).collect();
    text::print(if page.is_empty() { "no difference: a reload changes nothing\n" } else { &page });
}
