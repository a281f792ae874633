//! The one place that knows which code is which role.

use crate::cli::Options;
use crate::role::{self, Role};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs `role` on its link until it ends.
pub fn run(role: Role, link: UnixStream, _options: &Options) -> ExitCode {
    match role {
        Role::Vrrp => role::vrrp::run(link),
        Role::Checker | Role::Compile => {
            drop(link);
            tracing::error!("this build has no {} role", role.name());
            ExitCode::from(1)
        }
    }
}
