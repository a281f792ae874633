//! What the supervisor writes for the one after it, and reads again.

use crate::sys::no_link;
use nix::fcntl::OFlag;
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The whole file. Whoever else could have written it would give orders to the daemon: an error unless it is a regular
/// file of this user that nobody else may write, with at most `most` octets. Follows no link, and waits for nobody.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file =
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(no_link::in_words)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if facts.uid() != nix::unistd::geteuid().as_raw() || facts.mode() & 0o022 != 0 {
        return Err(io::Error::other("others than this user can write it"));
    }
    if facts.len() > most {
        return Err(io::Error::other(format!("it has more than {most} octets")));
    }
    let mut octets = Vec::new();
    file.take(most).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Writes it anew, for this user alone: whole, or what was there stays. Follows no link.
pub fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    replace(path, "new", |file| {
        let mut writer = BufWriter::new(file);
        serde_json::to_writer(&mut writer, content)?;
        writer.flush()
    })
}

/// Puts a whole file in the place of the old one, for this user alone: a reader sees one or the other, and a link that
/// somebody laid there is replaced, never followed. Until `fill` has filled it, its name has `ending` behind it.
pub fn replace(path: &Path, ending: &str, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let new = beside(path, ending);
    // Ours, from a process that died while it wrote; anything else makes the next line fail.
    remove(&new).ok();
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(&new)?;
        fill(&file)?;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        remove(&new).ok();
    }
    written
}

/// The file of this name with `.ENDING` behind it.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// Removes it, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
