//! Attributes of the process, and what a role does once at its start.
#![allow(unsafe_code)]

use super::option;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
pub use nix::sys::signal::Signal;
use nix::sys::stat;
use nix::unistd::{self, ForkResult};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A task's name holds so many octets (TASK_COMM_LEN less the NUL).
const NAME_LIMIT: usize = 15;

/// Real-time scheduling classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealTime {
    /// SCHED_RR: yields to its equals after a time slice.
    RoundRobin,
    /// SCHED_FIFO: yields only by blocking.
    Fifo,
}

/// Send `signal` to this process when the thread that started it ends; `None` sends nothing. A parent that has
/// ended before the call is not noticed: compare the parent's process number afterwards.
pub fn set_parent_death_signal(signal: Option<Signal>) -> io::Result<()> {
    Ok(prctl::set_pdeathsig(signal)?)
}

/// Name the calling thread, which names the process when it is the first one; shown by ps and top.
/// Cut after 15 octets, or at a NUL.
pub fn set_name(name: &str) -> io::Result<()> {
    let octets: Vec<u8> = name.bytes().take_while(|octet| *octet != 0).take(NAME_LIMIT).collect();
    let name = CString::new(octets).expect("octets up to the first NUL hold none");
    Ok(prctl::set_name(&name)?)
}

/// Keep every page that is or will be touched in memory (MCL_ONFAULT: untouched ones cost nothing).
/// EPERM or ENOMEM without CAP_IPC_LOCK and beyond RLIMIT_MEMLOCK: the process then runs on unlocked.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: mlockall takes flags only and changes no memory that the program can see.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Schedule the calling thread in a real-time class with `priority` 1 to 99. Processes and threads that it starts
/// later are ordinary ones. EPERM without CAP_SYS_NICE and beyond RLIMIT_RTPRIO.
pub fn set_real_time(class: RealTime, priority: u8) -> io::Result<()> {
    let policy = match class {
        RealTime::RoundRobin => libc::SCHED_RR,
        RealTime::Fifo => libc::SCHED_FIFO,
    };
    let parameter = libc::sched_param { sched_priority: libc::c_int::from(priority) };
    // The system call, not the function: musl's function only returns ENOSYS.
    // SAFETY: the kernel reads `parameter`, which lives until the call returns; 0 is the calling thread.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            policy | libc::SCHED_RESET_ON_FORK,
            &raw const parameter,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Set the mask of permissions that new files do not get; returns the former one.
pub fn set_umask(mask: u32) -> u32 {
    stat::umask(stat::Mode::from_bits_truncate(mask & 0o777)).bits()
}

/// Become a daemon: a child of init in a session of its own, without a terminal, with /dev/null as standard input,
/// output and error. The original process exits with status 0. The working directory stays.
///
/// Must come before any thread exists (a fork copies only the calling one): fails with InvalidInput otherwise.
pub fn daemonize() -> io::Result<()> {
    if thread_count()? != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot daemonize a process with threads"));
    }
    detach()
}

/// The stream socket that the parent passed as standard input, close-on-exec; /dev/null takes its place.
/// Fails if standard input is no Unix socket: the process was not started by a supervisor.
pub fn take_stdin_link() -> io::Result<UnixStream> {
    let link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    link.local_addr()?;
    unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(link)
}

/// Move the calling thread, and threads it starts later, into the network namespace that `path` names (as
/// /run/netns/NAME or /proc/PID/ns/net). Needs CAP_SYS_ADMIN.
pub fn enter_network_namespace(path: &Path) -> io::Result<()> {
    Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?)
}

/// Descriptors above 2 that a started program would inherit. There should be none.
pub fn inheritable_descriptors() -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(number) = number.filter(|number| *number > 2)
            && !is_close_on_exec(number)
        {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Ask for a receive buffer of `octets`, beyond net.core.rmem_max if the process may; best effort.
pub fn grow_receive_buffer(socket: &impl AsFd, octets: usize) {
    option::grow_receive_buffer(socket, octets);
}

fn is_close_on_exec(number: RawFd) -> bool {
    // SAFETY: the borrow does not outlive this call, which only asks; a number that was closed meanwhile is EBADF.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    // What is closed already (EBADF) will not be inherited.
    fcntl(descriptor, FcntlArg::F_GETFD).map_or(true, |flags| flags & libc::FD_CLOEXEC != 0)
}

/// [`daemonize`] for a process that has one thread.
fn detach() -> io::Result<()> {
    // Opened first: what can fail should fail while there is somebody to tell.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    fork_and_leave()?;
    unistd::setsid()?;
    // The second fork: not a leader of its session, the process can never acquire a terminal.
    fork_and_leave()?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    Ok(unistd::dup2_stderr(&null)?)
}

fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Go on in a child; the calling process ends here, without running destructors that belong to the child now.
fn fork_and_leave() -> io::Result<()> {
    // SAFETY: the callers made sure that no other thread does anything, so no lock is held by one the child lacks.
    match unsafe { unistd::fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: _exit ends the process without touching its memory.
        ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::FdFlag;
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    /// Set for a copy of this test program that is to play the child in the test of the same name.
    const CHILD: &str = "HOLDFAST_TEST_CHILD";

    /// A copy of this program that runs the test `name` alone, on its first thread, as the child.
    fn child(name: &str, argument: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("sys::process::tests::{name}"), "--exact", "--test-threads=1", "--nocapture"]);
        command.env(CHILD, argument).env_remove("RUST_TEST_THREADS");
        command
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (_keep, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        assert_eq!(daemonize().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        drop(_keep);
        assert!(other.join().unwrap().is_err());
    }

    #[test]
    fn a_daemon_has_its_own_session_and_no_terminal() {
        if let Ok(path) = std::env::var(CHILD) {
            // The test program's first thread does nothing but wait for this one.
            detach().unwrap();
            let session = unistd::getsid(None).unwrap();
            let inputs: Vec<_> =
                (0..3).map(|n| fs::read_link(format!("/proc/self/fd/{n}")).unwrap()).collect();
            let leads = session == unistd::getpid();
            fs::write(format!("{path}.new"), format!("{session} {leads} {inputs:?}")).unwrap();
            fs::rename(format!("{path}.new"), &path).unwrap();
            std::process::exit(0);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let name = "a_daemon_has_its_own_session_and_no_terminal";
        let status = child(name, path.to_str().unwrap()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "the original process ends at once: {status}");
        let start = Instant::now();
        while !path.exists() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let report = fs::read_to_string(&path).unwrap();
        let null = "\"/dev/null\"";
        assert!(report.ends_with(&format!(" false [{null}, {null}, {null}]")), "{report}");
        assert!(!report.starts_with(&format!("{} ", unistd::getsid(None).unwrap())), "{report}");
    }

    #[test]
    fn the_link_is_taken_from_standard_input_and_null_left_there() {
        if std::env::var_os(CHILD).is_some() {
            let mut link = take_stdin_link().unwrap();
            let left = fs::read_link("/proc/self/fd/0").unwrap();
            let inherited = inheritable_descriptors().unwrap();
            write!(link, "{} {inherited:?}", left.display()).unwrap();
            std::process::exit(0);
        }
        let (mut here, there) = UnixStream::pair().unwrap();
        let name = "the_link_is_taken_from_standard_input_and_null_left_there";
        let mut command = child(name, "1");
        let mut child = command.stdin(OwnedFd::from(there)).stdout(Stdio::null()).spawn().unwrap();
        drop(command);
        let mut said = String::new();
        here.read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(said.starts_with("/dev/null ["), "{said}");
    }

    #[test]
    fn a_standard_input_that_is_no_socket_is_no_link() {
        if std::env::var_os(CHILD).is_some() {
            std::process::exit(if take_stdin_link().is_err() { 0 } else { 1 });
        }
        let name = "a_standard_input_that_is_no_socket_is_no_link";
        let status = child(name, "1").stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_name_is_cut_to_what_the_kernel_holds() {
        let named = std::thread::spawn(|| {
            set_name("holdfast-supervisor\0x").unwrap();
            fs::read_to_string("/proc/thread-self/comm").unwrap()
        });
        assert_eq!(named.join().unwrap(), "holdfast-superv\n");
    }

    #[test]
    fn only_descriptors_without_the_flag_are_inheritable() {
        let descriptor = OwnedFd::from(File::open("/dev/null").unwrap());
        let number = descriptor.as_raw_fd();
        for (flags, inheritable) in [(FdFlag::FD_CLOEXEC, false), (FdFlag::empty(), true)] {
            fcntl(&descriptor, FcntlArg::F_SETFD(flags)).unwrap();
            assert_eq!(inheritable_descriptors().unwrap().contains(&number), inheritable);
        }
    }

    #[test]
    fn real_time_scheduling_takes_effect_or_names_the_permission() {
        let thread = std::thread::spawn(|| match set_real_time(RealTime::RoundRobin, 1) {
            Ok(()) => {
                let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
                let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
                // Fields 40 (rt_priority) and 41 (policy) of proc(5); the first here is field 3.
                assert_eq!((fields[37], fields[38]), ("1", "2"));
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        });
        thread.join().unwrap();
        assert_eq!(set_real_time(RealTime::Fifo, 100).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn memory_locking_takes_effect_or_names_the_limit() {
        if std::env::var_os(CHILD).is_some() {
            let locked = lock_memory();
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            let none = kilobytes.trim() == "0 kB";
            let consistent = match locked {
                Ok(()) => !none,
                Err(error) => none && matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM)),
            };
            std::process::exit(if consistent { 0 } else { 1 });
        }
        let status =
            child("memory_locking_takes_effect_or_names_the_limit", "1").stdout(Stdio::null()).status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn a_parent_death_signal_and_the_umask_are_set() {
        if std::env::var_os(CHILD).is_some() {
            set_parent_death_signal(Some(Signal::SIGTERM)).unwrap();
            let right = prctl::get_pdeathsig() == Ok(Some(Signal::SIGTERM));
            set_umask(0o077);
            std::process::exit(if right && set_umask(0o022) == 0o077 { 0 } else { 1 });
        }
        let status = child("a_parent_death_signal_and_the_umask_are_set", "1").stdout(Stdio::null()).status();
        assert!(status.unwrap().success());
    }
}
