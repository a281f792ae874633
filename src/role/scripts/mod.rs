//! The scripts role: runs scripts, watches files and processes, tells the world. One loop on tokio's single-threaded runtime; each run of
//! a program is a task.

mod checks;
mod claims;
mod driver;
mod files;
mod link;
mod notify;
mod processes;
mod quiet;
mod runner;

use crate::role::EXIT_STOPPED;
pub use runner::{Push, run as run_command};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs until the supervisor says stop or is gone.
pub fn run(link: UnixStream) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return fail(&why.to_string()),
    };
    match runtime.block_on(async { driver::Driver::start(link)?.live().await }) {
        Ok(()) => ExitCode::from(EXIT_STOPPED),
        Err(why) => fail(&why.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    tracing::error!("scripts role ends: {why}; what trackers said last holds until it is restarted");
    ExitCode::FAILURE
}
