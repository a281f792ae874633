//! A filter of system calls (seccomp(2)): those that no role has any business with fail with EPERM, and the kernel logs the
//! attempt.
#![allow(unsafe_code)]

use libc::{c_long, sock_filter};
use std::io;

/// Calls that start programs or look into other processes, change the kernel or the tree of file systems, open new ways
/// into the kernel, change whose a file is and who may use it (Landlock does not judge that: /bin/sh could be made setuid),
/// or set the machine's clocks and names. Those above 423 have one number on every architecture.
const REFUSED: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    438, // pidfd_getfd
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_reboot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    425, // io_uring_setup
    426, // io_uring_enter
    427, // io_uring_register
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    428, // open_tree
    429, // move_mount
    430, // fsopen
    431, // fsconfig
    432, // fsmount
    433, // fspick
    442, // mount_setattr
    467, // open_tree_attr
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    443, // quotactl_fd
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    452, // fchmodat2
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    463, // setxattrat
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    466, // removexattrat
    libc::SYS_unshare,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// Calls of this architecture alone.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: c_long = 320;
/// The number of all architectures that came later.
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: c_long = 294;

/// What the kernel calls this architecture (linux/audit.h). `None`: no filter is made here.
const ARCHITECTURE: Option<u32> = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
    Some(0xc000_003e)
} else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "riscv64") {
    Some(0xc000_00f3)
} else {
    None
};

/// Calls of x86_64 with 32-bit pointers (x32) have this bit. On other architectures no number is so large.
const X32: u32 = 0x4000_0000;

/// clone3(2) names its flags in memory, where a filter cannot look. Every C library goes on to clone(2) at ENOSYS.
const CLONE3: u32 = 435;

/// Flags of clone(2) that make a namespace.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

/// The kinds of socket(2), without SOCK_CLOEXEC and SOCK_NONBLOCK.
const KINDS: u32 = 0xf;

/// Where struct seccomp_data has the number of the call, the architecture, and the lower halves of the first two arguments
/// (on machines that put the lower half first, as all of the above do).
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const SECOND_ARGUMENT: u32 = 24;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_NOT_LESS: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// One instruction: `yes` and `no` say how many to skip.
fn step(code: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    // The codes of classic BPF fit into 16 bits.
    sock_filter { code: code as u16, jt: yes, jf: no, k: value }
}

/// What stays allowed, for those who need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Entering a namespace: setns(2).
    pub namespaces: bool,
    /// Connections to services of this machine over unix(7) sockets. Many of them take orders from whoever is root. Datagrams
    /// (syslog) and pairs are always allowed.
    pub services: bool,
}

/// The filter.
fn program(architecture: u32, allowed: Allowed) -> Vec<sock_filter> {
    let mut steps = vec![
        step(LOAD, MACHINE, 0, 0),
        step(IF_EQUAL, architecture, 1, 0),
        step(RETURN, REFUSE, 0, 0),
        step(LOAD, NUMBER, 0, 0),
        step(IF_NOT_LESS, X32, 0, 1),
        step(RETURN, REFUSE, 0, 0),
        step(IF_EQUAL, CLONE3, 0, 1),
        step(RETURN, UNKNOWN, 0, 0),
    ];
    let setns = (!allowed.namespaces).then_some(&libc::SYS_setns);
    for number in REFUSED.iter().chain(REFUSED_HERE).chain(setns) {
        // All numbers are small and positive.
        steps.push(step(IF_EQUAL, *number as u32, 0, 1));
        steps.push(step(RETURN, REFUSE, 0, 0));
    }
    steps.extend([
        step(IF_EQUAL, libc::SYS_clone as u32, 0, 4),
        step(LOAD, FIRST_ARGUMENT, 0, 0),
        step(IF_ANY_BIT, NEW_NAMESPACES, 0, 1),
        step(RETURN, REFUSE, 0, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]);
    if !allowed.services {
        steps.extend([
            step(IF_EQUAL, libc::SYS_socket as u32, 0, 6),
            step(LOAD, FIRST_ARGUMENT, 0, 0),
            step(IF_EQUAL, libc::AF_UNIX as u32, 0, 4),
            step(LOAD, SECOND_ARGUMENT, 0, 0),
            step(AND, KINDS, 0, 0),
            step(IF_EQUAL, libc::SOCK_DGRAM as u32, 1, 0),
            step(RETURN, REFUSE, 0, 0),
        ]);
    }
    steps.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    steps
}

/// Puts the filter in force for the calling thread and those that it starts; `no_new_privs` must be set. There is no way
/// back. False: this kernel or architecture has no such filter.
pub fn refuse_foreign_business(allowed: Allowed) -> io::Result<bool> {
    let Some(architecture) = ARCHITECTURE else { return Ok(false) };
    let mut steps = program(architecture, allowed);
    let filter = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(io::Error::other)?,
        filter: steps.as_mut_ptr(),
    };
    // Refused calls are worth a line of the kernel's log; and what old kernels do against Spectre to processes with a filter
    // would slow advertisements down, in a process that runs no code of others.
    let flags = libc::SECCOMP_FILTER_FLAG_LOG | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    for flags in [flags, 0] {
        // SAFETY: seccomp(2) reads a sock_fprog and the instructions it points to; both live across the call.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
        };
        let error = io::Error::last_os_error();
        match (result, error.raw_os_error()) {
            (0, _) => return Ok(true),
            // The flags are not known (before Linux 4.17), or there are no filters.
            (_, Some(libc::EINVAL)) => {}
            (_, Some(libc::ENOSYS)) => return Ok(false),
            _ => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::capabilities::no_new_privileges;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::process::{Command, Stdio};

    /// What the filter makes of a call, by running its instructions.
    fn verdict(steps: &[sock_filter], architecture: u32, number: c_long, arguments: [i32; 2]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = steps[at];
            let jump = |yes: bool| usize::from(if yes { jt } else { jf });
            at += 1;
            match u32::from(code) {
                LOAD => {
                    accumulator = match k {
                        NUMBER => number as u32,
                        MACHINE => architecture,
                        FIRST_ARGUMENT => arguments[0] as u32,
                        SECOND_ARGUMENT => arguments[1] as u32,
                        other => panic!("offset {other}"),
                    }
                }
                AND => accumulator &= k,
                IF_EQUAL => at += jump(accumulator == k),
                IF_NOT_LESS => at += jump(accumulator >= k),
                IF_ANY_BIT => at += jump(accumulator & k != 0),
                RETURN => return k,
                other => panic!("code {other}"),
            }
        }
    }

    const HERE: u32 = 0xc000_003e;
    const PASSES: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn calls_of_other_machines_and_those_listed_fail_all_others_pass() {
        const OTHER: u32 = 0x4000_0003; // i386
        let steps = program(HERE, Allowed::default());
        let call = |number: c_long| verdict(&steps, HERE, number, [0; 2]);
        for number in REFUSED.iter().chain(REFUSED_HERE).chain(&[libc::SYS_setns]) {
            assert_eq!(call(*number), REFUSE, "call {number}");
        }
        let refused = (0..600).filter(|number| call(*number) == REFUSE).count();
        assert_eq!(
            refused,
            REFUSED.len() + REFUSED_HERE.len() + 1,
            "each is listed once, and no other is met"
        );
        for number in
            [libc::SYS_read, libc::SYS_socket, libc::SYS_clone, libc::SYS_exit_group, libc::SYS_capset]
        {
            assert_eq!(call(number), PASSES, "call {number}");
            assert_eq!(verdict(&steps, OTHER, number, [0; 2]), REFUSE, "call {number} elsewhere");
            assert_eq!(call(number | c_long::from(X32)), REFUSE, "call {number} of x32");
        }
        assert_eq!(call(CLONE3.into()), UNKNOWN);
        assert_eq!(call(-1), REFUSE);
    }

    #[test]
    fn arguments_decide_over_namespaces_and_services() {
        let all = Allowed { namespaces: true, services: true };
        let [none, all] = [Allowed::default(), all].map(|allowed| program(HERE, allowed));
        let clone = |flags: i32| verdict(&none, HERE, libc::SYS_clone, [flags, 0]);
        assert_eq!(clone(libc::CLONE_VM | libc::CLONE_THREAD), PASSES);
        assert_eq!(clone(libc::CLONE_NEWUSER | libc::SIGCHLD), REFUSE);
        assert_eq!(verdict(&all, HERE, libc::SYS_setns, [0; 2]), PASSES);
        let (unix, closed) = (libc::AF_UNIX, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        for (domain, kind, wanted) in [
            (unix, libc::SOCK_DGRAM | closed, PASSES),
            (unix, libc::SOCK_STREAM | closed, REFUSE),
            (unix, libc::SOCK_STREAM, REFUSE),
            (unix, libc::SOCK_SEQPACKET, REFUSE),
            (libc::AF_INET, libc::SOCK_STREAM | closed, PASSES),
            (libc::AF_INET6, libc::SOCK_RAW, PASSES),
            (libc::AF_NETLINK, libc::SOCK_RAW, PASSES),
            (libc::AF_PACKET, libc::SOCK_RAW, PASSES),
        ] {
            assert_eq!(verdict(&none, HERE, libc::SYS_socket, [domain, kind]), wanted, "{domain} {kind}");
            assert_eq!(verdict(&all, HERE, libc::SYS_socket, [domain, kind]), PASSES, "{domain} {kind}");
        }
        assert_eq!(verdict(&none, HERE, libc::SYS_socketpair, [unix, libc::SOCK_STREAM]), PASSES);
    }

    #[test]
    fn a_thread_with_the_filter_runs_and_starts_threads_but_no_program() {
        // A thread of its own: the others of the test program keep their calls.
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let outcome = std::thread::spawn(move || {
            no_new_privileges().expect("always allowed");
            if !refuse_foreign_business(Allowed::default()).expect("a filter that the kernel takes") {
                return None;
            }
            let program = Command::new("/bin/true").stdin(Stdio::null()).status().err();
            let namespace = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).err();
            let service = UnixStream::connect("/nowhere").err();
            // A file is root's own: without the filter no capability is needed to let everybody write it.
            let mode = std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).err();
            let owner = std::os::unix::fs::chown(&file, Some(0), None).err();
            let pair = UnixStream::pair().is_ok() && UnixDatagram::unbound().is_ok();
            let thread = std::thread::spawn(|| 7).join().ok();
            Some((
                program.map(|error| error.kind()),
                namespace,
                service.map(|error| error.kind()),
                [mode, owner].map(|error| error.map(|error| error.kind())),
                pair,
                thread,
            ))
        });
        let Some(outcome) = outcome.join().expect("it ends") else { return };
        let denied = Some(io::ErrorKind::PermissionDenied);
        let refused = (denied, Some(nix::errno::Errno::EPERM), denied, [denied; 2], true, Some(7));
        assert_eq!(outcome, refused);
    }
}
