//! The one place that knows which code is which role.

use super::start::tell;
use crate::cli::Options;
use crate::link::frame::encode;
use crate::link::{FromBfd, FromChecker, FromSnmp, FromVrrp};
use crate::plan::Generation;
use crate::role::compile::{self, CompileRequest};
use crate::role::confinement::{self, profile};
use crate::role::{self, Role};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs `role` on its link until it ends.
pub fn run(role: Role, link: UnixStream, options: &Options) -> ExitCode {
    if options.namespace.is_some() || options.settled {
        role::namespace::choose();
    }
    if let Some(path) = &options.ipvs_namespace {
        role::namespace::set_ipvs(path.clone());
    }
    let confine = |link: &UnixStream| confine(role, link, options);
    if role != Role::Vrrp {
        confine(&link);
    }
    match role {
        Role::Vrrp => role::vrrp::run(link, options.record.as_deref(), confine),
        Role::Compile => compile::run_role(link, &request(options)),
        Role::Checker => role::checker::run(link),
        Role::Scripts => role::scripts::run(link),
        Role::Bfd => role::bfd::run(link),
        Role::Snmp => role::snmp::run(link),
    }
}

/// Gives up what `role` does not need, unless told not to, and tells the supervisor what it could not see.
fn confine(role: Role, link: &UnixStream, options: &Options) {
    let enters_namespace = match role {
        Role::Checker | Role::Snmp => options.ipvs_namespace.is_some(),
        Role::Compile => !options.settled,
        _ => false,
    };
    let Some(mut profile) = profile(role, enters_namespace).filter(|_| !options.unconfined) else { return };
    if options.core_dump {
        // The kernel writes a core file as the process that dies, wherever core_pattern says.
        profile.files = None;
    }
    let Some(version) = confinement::confine(&profile) else { return };
    let message = match role {
        Role::Vrrp => encode(&FromVrrp::Landlock(version)),
        Role::Checker => encode(&FromChecker::Landlock(version)),
        Role::Bfd => encode(&FromBfd::Landlock(version)),
        Role::Snmp => encode(&FromSnmp::Landlock(version)),
        Role::Compile | Role::Scripts => return,
    };
    // The link is new: there is room for a few octets. If it has ended already, the role sees that next.
    if let Ok(frame) = message {
        (&*link).write_all(&frame).ok();
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
    // The whole file, whatever `-P` and `-C` say: as keepalived.
    let request = CompileRequest { want_vrrp: true, want_checker: true, ..request(options) };
    ExitCode::from(compile::config_test(&request, &mut out))
}

/// What the command line says about compiling. The supervisor names what it wants with `--vrrp` and `--check`, and hands on
/// what it was told of SNMP.
fn request(options: &Options) -> CompileRequest {
    CompileRequest {
        file: options.file.clone(),
        config_id: options.config_id.clone(),
        generation: Generation(options.generation),
        want_vrrp: options.want_vrrp(),
        want_checker: options.want_checker(),
        snmp: options.snmp,
        snmp_socket: options.snmp_socket(),
        interface_exists: compile::interface_exists,
        address_exists: compile::address_exists,
    }
}
