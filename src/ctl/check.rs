//! `holdfastctl check FILE`: what holdfast would make of a configuration. Needs no daemon and touches none.

use super::Done;
use crate::plan::Generation;
use crate::role::compile::{self, CompileRequest, config_test};
use std::path::PathBuf;

/// Prints the diagnostics; the status is that of `holdfast -t`.
pub(super) fn run(file: PathBuf, config_id: Option<String>) -> Done {
    let request = CompileRequest {
        file,
        config_id,
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        interface_exists: compile::interface_exists,
    };
    Ok(config_test(&request, &mut std::io::stdout()))
}
