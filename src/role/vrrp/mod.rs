//! The vrrp role: performs what the election core decides. One loop, no runtime (docs/decisions/0001).

mod breath;
mod cidrs;
mod driver;
mod igmp;
mod kernel;
mod lease;
mod leftovers;
mod linkbeat;
mod placing;
mod record;
mod routes;
mod silence;
mod sockets;
mod surroundings;
mod sysctl;
mod unanswered;
mod vmac;

use crate::role::EXIT_STOPPED;
use crate::sys::process::return_large_blocks;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

/// The exit status after a failure that a restart may cure.
const EXIT_FAILED: u8 = 1;

/// Runs until the supervisor says stop or is gone. Logging must be set up; needs CAP_NET_ADMIN and CAP_NET_RAW.
/// `record`: where the next process finds what it must know if this one dies. `confine` gives up what the role does not
/// need from then on: the record is the only file that it opens to write.
pub fn run(link: UnixStream, record: Option<&Path>, confine: impl FnOnce(&UnixStream)) -> ExitCode {
    return_large_blocks();
    let life = || {
        let record = driver::open_record(record)?;
        confine(&link);
        driver::Driver::start(link, record)?.run()
    };
    match life() {
        Ok(()) => ExitCode::from(EXIT_STOPPED),
        Err(error) => {
            tracing::error!("the vrrp role ends: {error}; no advertisement is sent until it is restarted");
            ExitCode::from(EXIT_FAILED)
        }
    }
}
