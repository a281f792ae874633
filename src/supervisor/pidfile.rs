//! Pid files. The supervisor's own is locked for as long as it runs; the roles' are for people and scripts.

use crate::sys::no_link;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file may be removed between our opening and our locking it; so often in a row it is not chance.
const ATTEMPTS: u32 = 10;

/// Readable by all, writable by root only: whoever writes a pid file chooses whom others kill (CVE-2011-1784).
const MODE: u32 = 0o644;

/// Our pid in a locked file. Dropping it removes the file.
#[derive(Debug)]
pub struct PidLock {
    path: PathBuf,
    file: Flock<File>,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum PidError {
    /// Another daemon runs.
    #[error("already running as PID {0}")]
    Running(String),
    /// The file cannot be used.
    #[error("pid file {0}: {1}")]
    File(PathBuf, io::Error),
}

impl PidLock {
    /// Writes our pid to `path` and locks it, or says who has it.
    pub fn take(path: &Path) -> Result<PidLock, PidError> {
        let failed = |error: io::Error| PidError::File(path.to_owned(), error);
        for _ in 0..ATTEMPTS {
            let Some((mut file, made)) = open(path).map_err(failed)? else { continue };
            let holder = read_pid(&mut file);
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK)) => return Err(PidError::Running(holder)),
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            if !is_still(path, &file).map_err(failed)? {
                continue;
            }
            if !made && !is_fit(&file).map_err(failed)? {
                remove(path);
                continue;
            }
            // keepalived before 2.3.2 does not lock its file.
            if is_keepalived(&holder) {
                return Err(PidError::Running(holder));
            }
            write_pid(&mut file, std::process::id()).map_err(failed)?;
            return Ok(PidLock { path: path.to_owned(), file });
        }
        Err(failed(io::Error::other("it is removed again and again while we lock it")))
    }
}

impl Drop for PidLock {
    fn drop(&mut self) {
        if is_still(&self.path, &self.file).unwrap_or(false) {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Writes a role's pid file.
pub fn write(path: &Path, pid: u32) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        let Some((mut file, made)) = open(path)? else { continue };
        if made || is_fit(&file)? {
            return write_pid(&mut file, pid);
        }
        remove(path);
    }
    Err(io::Error::other("another file is put there again and again"))
}

/// Removes a role's pid file; it does not matter if it is gone.
pub fn remove(path: &Path) {
    std::fs::remove_file(path).ok();
}

/// The file, and whether it was made here; `None` when it went between two looks.
fn open(path: &Path) -> io::Result<Option<(File, bool)>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.map(|file| Some((file, true))),
    }
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(|file| Some((file, false))).map_err(no_link::in_words),
    }
}

/// A plain file of ours with one name. Another one's is not written: a second name is that of a file that may be precious,
/// and who made the file himself says whom others kill.
fn is_fit(file: &File) -> io::Result<bool> {
    let about = file.metadata()?;
    Ok(about.is_file() && about.uid() == nix::unistd::geteuid().as_raw() && about.nlink() == 1)
}

/// Does `path` still name the open file?
fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The pid in the file, or what stands there instead.
fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    // A file that is no pid file is not worth more than its first octets.
    match file.take(20).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Is that the pid of a living keepalived? A zombie has no image any more.
fn is_keepalived(pid: &str) -> bool {
    let Ok(number) = pid.parse::<u32>() else { return false };
    let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    let lives = std::fs::read_link(format!("/proc/{number}/exe")).is_ok();
    number != std::process::id() && name.trim_end() == "keepalived" && lives
}

fn write_pid(file: &mut File, pid: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{pid}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_first_holder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keepalived.pid");
        let lock = PidLock::take(&path).expect("nobody holds it");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o7777, MODE);
        let refused = PidLock::take(&path).expect_err("held").to_string();
        assert_eq!(refused, format!("already running as PID {}", std::process::id()));
        drop(lock);
        assert!(!path.exists());
        PidLock::take(&path).expect("free again");
    }

    #[test]
    fn a_stale_file_is_taken_over_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stale = folder.path().join("stale.pid");
        std::fs::write(&stale, "4194304999 and more than that\n").expect("written");
        drop(PidLock::take(&stale).expect("no such process"));
        let (target, link) = (folder.path().join("target"), folder.path().join("link.pid"));
        std::fs::write(&target, "precious").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        let refused = PidLock::take(&link).expect_err("a link").to_string();
        assert!(refused.contains("a symbolic link, which is not followed"), "{refused}");
        assert_eq!(std::fs::read_to_string(&target).expect("readable"), "precious");
    }

    #[test]
    fn a_second_name_of_another_file_and_a_file_of_somebody_else_are_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (target, path) = (folder.path().join("target"), folder.path().join("a.pid"));
        std::fs::write(&target, "precious").expect("written");
        std::fs::set_permissions(&target, Permissions::from_mode(0o600)).expect("ours");
        std::fs::hard_link(&target, &path).expect("linked");
        drop(PidLock::take(&path).expect("it takes the name away"));
        std::fs::hard_link(&target, &path).expect("linked");
        write(&path, 77).expect("likewise");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "77\n");
        assert_eq!(std::fs::read_to_string(&target).expect("there"), "precious");
        assert_eq!(std::fs::metadata(&target).expect("there").mode() & 0o777, 0o600);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65534), None).expect("root may");
            let _lock = PidLock::take(&path).expect("it makes its own");
            assert_eq!(std::fs::metadata(&path).expect("there").uid(), 0);
        }
    }

    #[test]
    fn a_file_that_was_taken_over_by_another_is_not_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keepalived.pid");
        let lock = PidLock::take(&path).expect("free");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "1\n").expect("written");
        drop(lock);
        assert!(path.exists());
    }
}
