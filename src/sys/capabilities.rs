//! Capabilities of this process (capabilities(7)), and the promise that no program it becomes gets more.
#![allow(unsafe_code)]

use std::io;
use std::ops::BitOr;

/// A set; bit N is capability N of linux/capability.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

/// Names in their order in linux/capability.h, without `CAP_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl Capabilities {
    /// Do with any file what its mode says of nobody: read, write, connect to a socket with a path.
    pub const DAC_OVERRIDE: Capabilities = Capabilities(1 << 1);
    /// Read any file, search any directory.
    pub const DAC_READ_SEARCH: Capabilities = Capabilities(1 << 2);
    /// Bind ports below net.ipv4.ip_unprivileged_port_start.
    pub const NET_BIND_SERVICE: Capabilities = Capabilities(1 << 10);
    /// Addresses, links, routes, the packet filter, IPVS, and large buffers.
    pub const NET_ADMIN: Capabilities = Capabilities(1 << 12);
    /// Raw and packet sockets.
    pub const NET_RAW: Capabilities = Capabilities(1 << 13);
    /// Lock memory without limit.
    pub const IPC_LOCK: Capabilities = Capabilities(1 << 14);
    /// Enter a namespace, among much else.
    pub const SYS_ADMIN: Capabilities = Capabilities(1 << 21);
    /// Real time and negative nice values.
    pub const SYS_NICE: Capabilities = Capabilities(1 << 23);

    /// Has it all of these?
    pub const fn has(self, others: Capabilities) -> bool {
        self.0 & others.0 == others.0
    }

    /// What is in both.
    pub const fn and(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    /// Names as in capabilities(7), in lower case without `CAP_`; numbers for those that are not known here.
    pub fn names(self) -> Vec<String> {
        let present = (0..u64::BITS as usize).filter(|number| self.0 >> number & 1 == 1);
        present
            .map(|number| NAMES.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned()))
            .collect()
    }

    /// The effective set in the text of /proc/PID/status (proc_pid_status(5)).
    pub fn effective(status: &str) -> Option<Capabilities> {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Capabilities)
    }
}

impl BitOr for Capabilities {
    type Output = Capabilities;

    fn bitor(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }
}

/// _LINUX_CAPABILITY_VERSION_3.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    /// 0: the calling thread.
    thread: libc::c_int,
}

/// 32 capabilities of each set; the kernel takes two of these, the lower ones first.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Part {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Keeps what it has of `keep` and gives everything else up, for the calling thread and those that it starts: effective,
/// permitted, inheritable, ambient and, where it may change that, bounding set. There is no way back.
pub fn keep_only(keep: Capabilities) -> io::Result<()> {
    shrink_bounds(keep);
    // EINVAL before Linux 4.3, which has no such set.
    // SAFETY: prctl with these takes numbers only.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let kept = permitted()?.and(keep).0;
    let part = |word: u32| Part { effective: word, permitted: word, inheritable: 0 };
    let parts = [part(kept as u32), part((kept >> 32) as u32)];
    let header = Header { version: VERSION, thread: 0 };
    // SAFETY: capset(2) reads a header and, in this version, two parts; both live across the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, parts.as_ptr()) })
}

fn permitted() -> io::Result<Capabilities> {
    let header = Header { version: VERSION, thread: 0 };
    let mut parts = [Part::default(); 2];
    // SAFETY: capget(2) reads a header and, in this version, writes two parts; both live across the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, parts.as_mut_ptr()) })?;
    let [low, high] = parts;
    Ok(Capabilities(u64::from(low.permitted) | u64::from(high.permitted) << 32))
}

/// Without CAP_SETPCAP the bounding set stays as it is: it says what a program may get that is run later, and
/// `no_new_privs` says that too.
fn shrink_bounds(keep: Capabilities) {
    for number in 0..libc::c_ulong::from(u64::BITS) {
        // SAFETY: prctl with PR_CAPBSET_READ takes a number only. EINVAL beyond the last capability.
        let present = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        if present == 1 && keep.0 >> number & 1 == 0 {
            // SAFETY: prctl with PR_CAPBSET_DROP takes a number only.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        }
    }
}

/// No program that this process becomes or starts gets rights that it does not have (`no_new_privs`).
pub fn no_new_privileges() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_named_as_the_kernel_writes_them() {
        let set =
            Capabilities::effective("Name:\tx\nCapPrm:\tff\nCapEff:\t0000000000003000\n").expect("a set");
        assert_eq!(set, Capabilities::NET_ADMIN | Capabilities::NET_RAW);
        assert_eq!(set.names(), ["net_admin", "net_raw"]);
        assert_eq!(Capabilities(1 << 40 | 1 << 63).names(), ["checkpoint_restore", "63"]);
        assert_eq!(Capabilities::SYS_NICE.names(), ["sys_nice"]);
        assert_eq!(Capabilities::SYS_ADMIN.names(), ["sys_admin"]);
        assert_eq!(Capabilities::IPC_LOCK.names(), ["ipc_lock"]);
        assert_eq!(Capabilities::DAC_OVERRIDE.names(), ["dac_override"]);
        assert_eq!(Capabilities::DAC_READ_SEARCH.names(), ["dac_read_search"]);
        assert_eq!(Capabilities::NET_BIND_SERVICE.names(), ["net_bind_service"]);
        assert_eq!(Capabilities::effective("Name:\tx\n"), None);
        let own = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
        assert!(Capabilities::effective(&own).is_some());
    }

    #[test]
    fn what_is_not_kept_is_gone_from_every_set_of_the_thread() {
        // A thread of its own: the others of the test program keep theirs.
        let sets = std::thread::spawn(|| {
            let before = permitted().expect("known");
            keep_only(Capabilities::NET_RAW | Capabilities::SYS_NICE).expect("less is always allowed");
            let text = std::fs::read_to_string("/proc/thread-self/status").expect("proc is mounted");
            (before, text)
        });
        let (before, text) = sets.join().expect("it ends");
        let set = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel has it");
            Capabilities(u64::from_str_radix(line.trim(), 16).expect("hexadecimal"))
        };
        let kept = before.and(Capabilities::NET_RAW | Capabilities::SYS_NICE);
        assert_eq!([set("CapEff:"), set("CapPrm:")], [kept; 2]);
        assert_eq!([set("CapInh:"), set("CapAmb:")], [Capabilities::default(); 2]);
        let may = before.has(Capabilities(1 << 8));
        assert!(!may || set("CapBnd:").and(kept) == set("CapBnd:"), "{text}");
    }
}
