//! Attributes of the process.
#![allow(unsafe_code)]

use super::option;
use std::io;
use std::os::fd::AsFd;

/// Ask for a receive buffer of `octets`, beyond net.core.rmem_max if the process may; best effort.
pub fn grow_receive_buffer(socket: &impl AsFd, octets: usize) {
    option::grow_receive_buffer(socket, octets);
}

/// Ask for a send buffer of `octets`, beyond net.core.wmem_max if the process may; best effort.
pub fn grow_send_buffer(socket: &impl AsFd, octets: usize) {
    option::grow_send_buffer(socket, octets);
}

/// Keep every page that is or will be touched in memory (MCL_ONFAULT: untouched ones cost nothing).
/// EPERM or ENOMEM without CAP_IPC_LOCK and beyond RLIMIT_MEMLOCK: the process then runs on unlocked.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: mlockall takes flags only and changes no memory that the program can see.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Give memory that was freed back to the kernel. Worth its microseconds after a plan was read: the text is
/// several times as large as what is kept of it, and the daemon lives for months.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim touches only memory that the allocator holds and nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Set for a copy of this test program that is to play the child in the test of the same name.
    const CHILD: &str = "HOLDFAST_TEST_CHILD";

    #[test]
    fn memory_locking_takes_effect_or_names_the_limit() {
        if std::env::var_os(CHILD).is_some() {
            let locked = lock_memory();
            let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
            let kilobytes =
                status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("Linux has it");
            let none = kilobytes.trim() == "0 kB";
            let consistent = match locked {
                Ok(()) => !none,
                Err(error) => none && matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM)),
            };
            std::process::exit(if consistent { 0 } else { 1 });
        }
        let name = "sys::process::tests::memory_locking_takes_effect_or_names_the_limit";
        let mut child = Command::new(std::env::current_exe().expect("a program has a path"));
        child.args([name, "--exact", "--test-threads=1"]).env(CHILD, "1").stdout(Stdio::null());
        assert!(child.status().expect("it starts").success());
    }

    #[test]
    fn freed_memory_goes_back() {
        let resident = || -> usize {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("proc is mounted");
            statm
                .split(' ')
                .nth(1)
                .and_then(|pages| pages.parse().ok())
                .expect("the second field is a number")
        };
        // Below the size from which the allocator asks the kernel for each block by itself.
        let blocks: Vec<Vec<u8>> = (0..2000).map(|_| vec![1; 32 << 10]).collect();
        let last = vec![1; 64];
        let full = resident();
        drop(blocks);
        release_free_memory();
        let empty = resident();
        assert!(empty + 4000 < full || cfg!(not(target_env = "gnu")), "{full} pages, then {empty}");
        drop(last);
    }
}
