//! The bfd role: performs what the BFD core decides. One loop, no runtime (docs/decisions/0001).

mod driver;
mod sockets;

use crate::role::EXIT_STOPPED;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs until the supervisor says stop or is gone. Logging must be set up; no capability is needed.
pub fn run(link: UnixStream) -> ExitCode {
    match driver::Driver::start(link).and_then(driver::Driver::run) {
        Ok(()) => ExitCode::from(EXIT_STOPPED),
        Err(error) => {
            tracing::error!("the bfd role ends: {error}; the neighbours see its sessions go down");
            ExitCode::FAILURE
        }
    }
}
