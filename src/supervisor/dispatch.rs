//! The one place that knows which code is which role.

use super::start::tell;
use crate::cli::Options;
use crate::plan::Generation;
use crate::role::compile::{self, CompileRequest};
use crate::role::{self, Role};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs `role` on its link until it ends.
pub fn run(role: Role, link: UnixStream, options: &Options) -> ExitCode {
    if options.namespace.is_some() {
        role::namespace::choose();
    }
    if let Some(path) = &options.ipvs_namespace {
        role::namespace::set_ipvs(path.clone());
    }
    match role {
        Role::Vrrp => role::vrrp::run(link, options.record.as_deref()),
        Role::Compile => compile::run_role(link, &request(options)),
        Role::Checker => role::checker::run(link),
        Role::Scripts => role::scripts::run(link),
        Role::Bfd => role::bfd::run(link),
    }
}

/// `-t`: the report goes to standard error, or is appended to the file that `-t` names.
pub fn config_test(options: &Options, file: &std::ffi::OsStr) -> ExitCode {
    let mut out: Box<dyn Write> = if file.is_empty() {
        Box::new(std::io::stderr())
    } else {
        match std::fs::OpenOptions::new().create(true).append(true).open(file) {
            Ok(file) => Box::new(file),
            Err(error) => {
                tell(&format!("holdfast: cannot write to {}: {error}", file.to_string_lossy()));
                return ExitCode::from(1);
            }
        }
    };
    ExitCode::from(compile::config_test(&request(options), &mut out))
}

/// What the command line says about compiling. The supervisor names what it wants with `--vrrp` and `--check`.
fn request(options: &Options) -> CompileRequest {
    CompileRequest {
        file: options.file.clone(),
        config_id: options.config_id.clone(),
        generation: Generation(options.generation),
        want_vrrp: options.want_vrrp(),
        want_checker: options.want_checker(),
        interface_exists: compile::interface_exists,
    }
}
