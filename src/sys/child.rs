//! What a child process does between fork and exec: becomes another user, and dies with its parent.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Whom a child runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Makes `command` become `credentials` (stay what it is when `None`) and get SIGTERM when the thread that starts it
/// ends. Fails when it is started, with EPERM, if this process may not change its user.
pub fn prepare(command: &mut Command, credentials: Option<Credentials>) {
    let parent = std::process::id();
    let before_exec = move || {
        if let Some(Credentials { uid, gid, groups }) = &credentials {
            become_user(*uid, *gid, groups)?;
        }
        // After the change of user, which clears it.
        // SAFETY: prctl with PR_SET_PDEATHSIG takes a number only.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        // The parent may have died before that.
        // SAFETY: getppid has no arguments and cannot fail.
        let orphaned = u32::try_from(unsafe { libc::getppid() }).ok() != Some(parent);
        if orphaned { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
    };
    // SAFETY: what runs between fork and exec makes system calls only; it does not allocate, lock or unwind, and what it
    // owns was allocated before the fork.
    unsafe { command.pre_exec(before_exec) };
}

fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: geteuid has no arguments and cannot fail.
    let unchanged = unsafe { libc::geteuid() } == uid && uid != 0;
    if unchanged {
        return Ok(());
    }
    // SAFETY: the pointer and length are those of a live slice of gid_t, which is u32 on Linux.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: takes numbers only.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: takes numbers only.
    check(unsafe { libc::setresuid(uid, uid, uid) })
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(credentials: Option<Credentials>, script: &str) -> String {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        prepare(&mut command, credentials);
        let output = command.output().expect("a shell starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn a_child_is_who_it_shall_be() {
        let own = std::fs::metadata("/proc/self").map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
        if own.expect("proc is mounted") != 0 {
            assert_eq!(output(None, "echo here"), "here");
            return;
        }
        let nobody = Credentials { uid: 65534, gid: 65533, groups: vec![65532, 65531] };
        assert_eq!(output(Some(nobody), "id -u; id -g; id -G"), "65534\n65533\n65533 65531 65532");
        let root = Credentials { uid: 0, gid: 0, groups: Vec::new() };
        assert_eq!(output(Some(root), "id -u; id -G"), "0\n0");
    }
}
