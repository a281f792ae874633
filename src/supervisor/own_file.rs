//! What the supervisor writes for the one after it, and reads again.

use crate::sys::no_link;
use nix::fcntl::OFlag;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

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
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // Ours, from a process that died while it wrote; anything else makes the next line fail.
    remove(&new)?;
    let written = (|| {
        let flags = OFlag::O_NOFOLLOW.bits();
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).custom_flags(flags).open(&new)?;
        let mut writer = BufWriter::new(file);
        serde_json::to_writer(&mut writer, content)?;
        writer.flush()?;
        drop(writer);
        fs::rename(&new, path)
    })();
    if written.is_err() {
        remove(&new).ok();
    }
    written
}

/// Removes it, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
