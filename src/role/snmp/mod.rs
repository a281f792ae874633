//! The snmp role: an AgentX subagent (RFC 2741) that serves the checker part of KEEPALIVED-MIB and sends its traps. One loop,
//! no runtime; nobody who decides about traffic waits for it.

mod driver;
mod session;
mod stream;

use crate::role::EXIT_STOPPED;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs until the supervisor says stop or is gone. Logging must be set up.
pub fn run(link: UnixStream) -> ExitCode {
    match driver::Driver::start(link).and_then(driver::Driver::run) {
        Ok(()) => ExitCode::from(EXIT_STOPPED),
        Err(error) => {
            tracing::error!("the snmp role ends: {error}; SNMP managers get no answer, the traffic goes on");
            ExitCode::FAILURE
        }
    }
}
