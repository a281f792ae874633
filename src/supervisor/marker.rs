//! `reload_file`: there, and empty, exactly while the configuration files are being read.

use super::settings::Settings;
use crate::plan::process::ReloadMarker;
use crate::sys::no_link;
use nix::fcntl::OFlag;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file is there for as long as this lives.
#[derive(Debug)]
pub struct Marker {
    path: PathBuf,
}

impl Marker {
    /// Makes or empties the file that the configuration in force names. What goes wrong is said; the reload goes on.
    pub fn set(plan: Option<&ReloadMarker>, settings: &Settings) -> Option<Marker> {
        let path = match plan? {
            ReloadMarker::Named(path) => PathBuf::from(path),
            ReloadMarker::Usual => settings.pid_file.with_file_name("keepalived.reload"),
        };
        match make(&path) {
            Ok(()) => Some(Marker { path }),
            Err(error) => {
                tracing::warn!("reload_file {}: {error}; the reload goes on without it", path.display());
                None
            }
        }
    }
}

/// Follows no link and waits for nobody: the directory may be somebody else's. A second name is that of a file that may be
/// precious, so it is not emptied.
fn make(path: &Path) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits());
    let file = options.open(path).map_err(no_link::in_words)?;
    let about = file.metadata()?;
    if !about.is_file() || about.nlink() != 1 {
        return Err(io::Error::other("it is no plain file with one name"));
    }
    file.set_len(0)
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("reload_file {} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_precious_is_not_emptied_and_a_fifo_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let (target, link, fifo) =
            (directory.path().join("target"), directory.path().join("link"), directory.path().join("fifo"));
        std::fs::write(&target, "kept").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        make(&link).expect_err("a link");
        assert_eq!(std::fs::read_to_string(&target).expect("read"), "kept");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
        make(&fifo).expect_err("nobody reads it");
        let second = directory.path().join("second");
        std::fs::hard_link(&target, &second).expect("linked");
        make(&second).expect_err("it has another name");
        assert_eq!(std::fs::read_to_string(&target).expect("read"), "kept");
        std::fs::remove_file(&second).expect("removed");
        make(&target).expect("a file");
        assert_eq!(std::fs::read_to_string(&target).expect("read"), "");
    }
}
