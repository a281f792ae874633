//! The one place that knows which code is which role.

use crate::cli::Options;
use crate::plan::Generation;
use crate::role::compile::CompileRequest;
use crate::role::{self, Role};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs `role` on its link until it ends.
pub fn run(role: Role, link: UnixStream, options: &Options) -> ExitCode {
    match role {
        Role::Vrrp => role::vrrp::run(link),
        Role::Checker => role::checker::run(link),
        Role::Compile => role::compile::run_role(link, &compile_request(options.file.clone(), options)),
    }
}

/// What `options` ask to be read from `file`.
pub fn compile_request(file: PathBuf, options: &Options) -> CompileRequest {
    CompileRequest {
        file,
        config_id: options.config_id.clone(),
        generation: Generation(options.generation),
        want_vrrp: options.want_vrrp(),
        want_checker: options.want_checker(),
    }
}
