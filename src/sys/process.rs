//! Attributes of the process.
#![allow(unsafe_code)]

use super::option;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a process in real time may run without a pause, where nothing else is said (keepalived's value).
pub const REAL_TIME_LIMIT: Duration = Duration::from_micros(10_000);

/// Ask for a receive buffer of `octets`, beyond net.core.rmem_max if the process may; best effort.
pub fn grow_receive_buffer(socket: &impl AsFd, octets: usize) {
    option::grow_receive_buffer(socket, octets);
}

/// Ask for a send buffer of `octets`, beyond net.core.wmem_max if the process may; best effort.
pub fn grow_send_buffer(socket: &impl AsFd, octets: usize) {
    option::grow_send_buffer(socket, octets);
}

/// Has [`lock_memory`] succeeded last?
static LOCKED: AtomicBool = AtomicBool::new(false);

/// Keep every page that is or will be touched in memory (MCL_ONFAULT: untouched ones cost nothing).
/// EPERM or ENOMEM without CAP_IPC_LOCK and beyond RLIMIT_MEMLOCK: the process then runs on unlocked.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: mlockall takes flags only and changes no memory that the program can see.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    LOCKED.store(result == 0, Ordering::Relaxed);
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Undoes [`lock_memory`].
pub fn unlock_memory() -> io::Result<()> {
    // SAFETY: munlockall takes nothing and changes no memory that the program can see.
    let result = unsafe { libc::munlockall() };
    LOCKED.store(false, Ordering::Relaxed);
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The threads of this process.
fn threads() -> io::Result<Vec<i32>> {
    let tasks = std::fs::read_dir("/proc/self/task")?;
    Ok(tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect())
}

/// Nice value of the calling thread.
pub fn nice() -> io::Result<i32> {
    nix::errno::Errno::clear();
    // SAFETY: getpriority takes and gives numbers only.
    let value = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    match nix::errno::Errno::last_raw() {
        0 => Ok(value),
        // -1 is a value too.
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Sets the nice value of every thread of this process; threads that they start later inherit it. EACCES without
/// CAP_SYS_NICE for a lower one.
pub fn set_nice(nice: i32) -> io::Result<()> {
    for thread in threads()? {
        // A thread may have ended meanwhile, and its number is not used again so soon.
        // SAFETY: setpriority takes numbers only; thread numbers are positive.
        let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, nice) };
        let error = io::Error::last_os_error();
        if result != 0 && error.raw_os_error() != Some(libc::ESRCH) {
            return Err(error);
        }
    }
    Ok(())
}

/// Processors that the calling thread may run on.
pub fn processors() -> io::Result<BTreeSet<u16>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let has = |number: &u16| set.is_set(usize::from(*number)).unwrap_or(false);
    Ok((0..u16::try_from(CpuSet::count()).unwrap_or(u16::MAX)).filter(has).collect())
}

/// Binds every thread of this process to these processors. EINVAL when there is none of them.
pub fn set_processors(processors: &BTreeSet<u16>) -> io::Result<()> {
    let mut set = CpuSet::new();
    for number in processors {
        set.set(usize::from(*number))?;
    }
    for thread in threads()? {
        match sched_setaffinity(Pid::from_raw(thread), &set) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// When the process was started, in clock ticks since boot (proc_pid_stat(5), field 22); `None` if it is gone. Together
/// with its id it names a process for ever.
pub fn born(process: u32) -> Option<u64> {
    Stat::of(process)?.started()
}

/// What the kernel says of a process in one line (proc_pid_stat(5)).
pub struct Stat(String);

impl Stat {
    /// `None`: there is none, or this process may not see it.
    pub fn of(process: u32) -> Option<Stat> {
        std::fs::read_to_string(format!("/proc/{process}/stat")).ok().map(Stat)
    }

    /// What ps calls it, 15 octets at most.
    pub fn name(&self) -> &str {
        let from = self.0.split_once('(').map_or("", |(_, rest)| rest);
        from.rsplit_once(") ").map_or(from, |(name, _)| name)
    }

    /// A letter: R, S, D, T, t, Z, X and others.
    pub fn state(&self) -> char {
        self.field(3).and_then(|state| state.chars().next()).unwrap_or_default()
    }

    /// It works no more, although it may stay as a zombie for long, where process 1 is slow to collect what is left to it
    /// (containers).
    pub fn has_ended(&self) -> bool {
        matches!(self.state(), 'Z' | 'X')
    }

    /// It has begun to end: one that was killed takes a moment.
    pub fn is_ending(&self) -> bool {
        const EXITING: u32 = 0x4; // PF_EXITING
        self.field(9).and_then(|flags| flags.parse::<u32>().ok()).is_some_and(|flags| flags & EXITING != 0)
    }

    /// When it was started, in clock ticks since boot.
    pub fn started(&self) -> Option<u64> {
        self.field(22)?.parse().ok()
    }

    /// Fields count from 1; the first that can be asked for is 3. The name before it is in parentheses and may hold anything.
    fn field(&self, number: usize) -> Option<&str> {
        self.0.rsplit_once(") ")?.1.split_ascii_whitespace().nth(number - 3)
    }
}

impl From<String> for Stat {
    fn from(line: String) -> Stat {
        Stat(line)
    }
}

/// Has a descriptor that came with this image closed when the process becomes another program, or starts one. EBADF: it
/// is not open.
pub fn close_on_exec(number: i32) -> io::Result<()> {
    // SAFETY: a flag of the descriptor is set, nothing more; whoever owns it goes on with it.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What ps and top call the process; the kernel cuts it at 15 octets.
pub fn set_name(name: &str) -> io::Result<()> {
    let name = std::ffi::CString::new(name)?;
    Ok(nix::sys::prctl::set_name(&name)?)
}

/// SCHED_RR with this priority for the main thread, or normal scheduling. Threads and processes that it starts are
/// scheduled normally. EPERM without CAP_SYS_NICE and beyond RLIMIT_RTPRIO, or where no time is left for real time
/// (cpu.rt_runtime_us of a control group).
pub fn set_real_time(priority: Option<u8>) -> io::Result<()> {
    let (policy, priority) = match priority {
        Some(priority) => (libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, i32::from(priority)),
        None => (libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0),
    };
    set_scheduler(policy, priority)
}

fn set_scheduler(policy: i32, priority: i32) -> io::Result<()> {
    // SAFETY: a sched_param is plain numbers, and zero is a value of each.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: `parameters` lives across the call, which only reads it. The process number is the main thread's.
    let result = unsafe { libc::sched_setscheduler(libc::getpid(), policy, &parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Was the process taken out of real time?
static DEMOTED: AtomicBool = AtomicBool::new(false);

/// Normal scheduling in place of death: SIGXCPU's default would end the process, and its addresses with it.
extern "C" fn demote(_: libc::c_int) {
    // Only sched_setscheduler and an atomic store: both may be done in a signal handler.
    if set_scheduler(libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0).is_ok() {
        DEMOTED.store(true, Ordering::Relaxed);
    }
}

/// From now on a stretch of `limit` in real time without a pause ends in normal scheduling: a process that runs wild
/// must not take the machine with it.
pub fn limit_real_time(limit: Duration) -> io::Result<()> {
    // SAFETY: a sigaction is plain data, and zero is a value of each part.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = demote as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe (see there); `action` lives across the call; the old one is not wanted.
    if unsafe { libc::sigaction(libc::SIGXCPU, &action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME)?;
    let soft = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).min(hard);
    Ok(setrlimit(Resource::RLIMIT_RTTIME, soft, hard)?)
}

/// Was it taken out of real time since this was asked last?
pub fn was_demoted() -> bool {
    DEMOTED.swap(false, Ordering::Relaxed)
}

/// Give memory that was freed back to the kernel. Worth its microseconds after a plan was read: the text is
/// several times as large as what is kept of it, and the daemon lives for months.
pub fn release_free_memory() {
    // The kernel takes nothing back out of the midst of what is locked (EINVAL, madvise(2)): it is unlocked meanwhile, if
    // it may be locked again.
    let locked = LOCKED.load(Ordering::Relaxed) && lock_memory().is_ok() && unlock_memory().is_ok();
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim touches only memory that the allocator holds and nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
    if locked && let Err(error) = lock_memory() {
        tracing::warn!("memory is no longer locked: {error}; what is swapped out delays advertisements");
    }
}

/// Blocks from this size on are mappings of their own.
const LARGE: libc::c_int = 128 << 10;

/// Large blocks go back to the kernel when they are freed. Otherwise glibc raises the size from which on they do to that of
/// the largest one freed, which here is a plan's: what thousands of advertisements sent together need for a moment, each
/// second, would stay in memory.
pub fn return_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes numbers only.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// All threads take memory from one place, which grows in steps of 128 KiB. That of a second thread grows by one page at a
/// time, with a system call for each. To be called before one starts, in a process whose threads rarely allocate at once.
pub fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes numbers only.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Lets this process have up to `wanted` file descriptors, as far as the hard limit goes (setrlimit(2)); how many it may
/// have now.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = wanted.min(hard);
    if most > soft {
        setrlimit(Resource::RLIMIT_NOFILE, most, hard)?;
    }
    Ok(most.max(soft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Set for a copy of this test program that is to play the child in the test of the same name.
    const CHILD: &str = "HOLDFAST_TEST_CHILD";

    #[test]
    fn descriptors_are_taken_up_to_the_hard_limit_which_stays() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits are known");
        let most = (soft + 1).min(hard);
        // Other tests of this process may have raised it further.
        assert!(raise_descriptor_limit(soft + 1).expect("within the hard limit") >= most);
        assert!(raise_descriptor_limit(1).expect("nothing to do") >= most, "it never sinks");
        let limits = getrlimit(Resource::RLIMIT_NOFILE).expect("limits are known");
        assert!(limits.0 >= most && limits.1 == hard, "{limits:?}");
    }

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
