//! Drivers: the processes that perform what the pure cores decide.

pub mod bfd;
pub mod checker;
pub mod compile;
pub mod confinement;
mod held_addresses;
pub mod ipvs_worker;
mod lateness;
pub mod logging;
pub mod namespace;
pub mod options;
mod probe_io;
mod questions;
mod scheduling;
pub mod scripts;
pub mod snmp;
mod supervisor_link;
pub mod vrrp;

pub use probe_io::http2::probe as http2_probe;
#[cfg(feature = "openssl")]
pub(crate) use probe_io::old_tls::any_server as any_old_server;
pub(crate) use probe_io::tls::config as any_certificate;

use nix::sys::signal::{SigSet, Signal};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The exit status with which a role says "do not restart me: I was told to stop".
pub const EXIT_STOPPED: u8 = 0;

/// A process of the daemon other than the supervisor; its word follows `--role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Probes servers and programs IPVS.
    Checker,
    /// Elects, and holds the virtual addresses.
    Vrrp,
    /// Runs scripts, watches files and processes.
    Scripts,
    /// Holds BFD sessions.
    Bfd,
    /// Answers SNMP managers.
    Snmp,
    /// Reads the configuration once and exits.
    Compile,
}

impl Role {
    /// Its word on the command line, in messages and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Checker => "checker",
            Role::Vrrp => "vrrp",
            Role::Scripts => "scripts",
            Role::Bfd => "bfd",
            Role::Snmp => "snmp",
            Role::Compile => "compile",
        }
    }

    /// Its name in the log.
    pub const fn ident(self) -> &'static str {
        match self {
            Role::Checker => "holdfast_checkers",
            Role::Vrrp => "holdfast_vrrp",
            Role::Scripts => "holdfast_scripts",
            Role::Bfd => "holdfast_bfd",
            Role::Snmp => "holdfast_snmp",
            Role::Compile => "holdfast_compile",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Role, String> {
        [Role::Checker, Role::Vrrp, Role::Scripts, Role::Bfd, Role::Snmp, Role::Compile]
            .into_iter()
            .find(|role| role.name() == word)
            .ok_or_else(|| format!("there is no role '{word}'"))
    }
}

/// Every signal, also the real-time ones, but those of a fault in the program, of job control, and those with
/// which a person or the supervisor ends a process that hangs.
fn nobodys_business() -> SigSet {
    let mut set = SigSet::all();
    for left_alone in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
        Signal::SIGTRAP,
        Signal::SIGSYS,
        Signal::SIGABRT,
        Signal::SIGQUIT,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGCHLD,
    ] {
        set.remove(left_alone);
    }
    set
}

/// Takes the link to the supervisor from file descriptor 0 and leaves /dev/null there, so that no program
/// started later holds the link open.
///
/// Signals are blocked: a terminal or a service manager may send them to every process, and scripts send
/// keepalived's real-time signals to the pid of its vrrp process, but only the supervisor may decide to stop a
/// role. Call it before any thread starts.
pub fn take_link(role: Role) -> io::Result<UnixStream> {
    nobodys_business().thread_block()?;
    let link = io::stdin().as_fd().try_clone_to_owned()?;
    let null: OwnedFd = OpenOptions::new().read(true).write(true).open("/dev/null")?.into();
    nix::unistd::dup2_stdin(&null)?;
    let link = UnixStream::from(link);
    // Fails when fd 0 is no connected socket, for instance when a person typed `--role`.
    link.peer_addr()?;
    // For ps and top, which otherwise show "exe", the last word of /proc/self/exe. The kernel cuts it at 15 octets.
    let name = std::ffi::CString::new(role.ident())?;
    nix::sys::prctl::set_name(&name)?;
    Ok(link)
}
