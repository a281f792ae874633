//! The file that keeps what was said of traffic by hand over the end of the daemon.

use super::own_file::{self, beside};
use crate::lvs::traffic::Overrides;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The largest file that is read, in octets: 10,000 overrides take a third of it.
const MOST: u64 = 8 << 20;

/// Grows when the layout changes its meaning.
const VERSION: u32 = 1;

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    overrides: Overrides,
}

/// What is kept; nothing where there is no file. A file that makes no sense is put aside and named in the error, so that
/// the next write does not destroy it.
pub fn read(path: &Path) -> Result<Overrides, String> {
    let text = match own_file::read(path, MOST) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Overrides::default()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let why = match serde_json::from_slice::<Content>(&text) {
        Ok(content) if content.version == VERSION => return Ok(content.overrides),
        Ok(content) => format!("it has version {}, this program knows {VERSION}", content.version),
        Err(error) => error.to_string(),
    };
    let aside = beside(path, "corrupt");
    let where_to = match fs::rename(path, &aside) {
        Ok(()) => format!("it is now {}", aside.display()),
        Err(error) => format!("it cannot be put aside: {error}"),
    };
    Err(format!("{} makes no sense: {why}; {where_to}", path.display()))
}

/// Keeps `overrides`, whole or not at all; with nothing to keep there is no file.
pub fn write(path: &Path, overrides: &Overrides) -> io::Result<()> {
    if overrides.0.is_empty() {
        return own_file::remove(path);
    }
    let text = serde_json::to_vec_pretty(&Content { version: VERSION, overrides: overrides.clone() })?;
    let folder = path.parent().ok_or_else(|| io::Error::other("it is no file"))?;
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    own_file::replace(path, "new", |mut file| {
        file.write_all(&text)?;
        file.write_all(b"\n")?;
        file.sync_all()
    })?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvs::traffic::{Hand, Override, ServerName, Wall};
    use std::os::unix::fs::PermissionsExt;

    fn some() -> Overrides {
        let hand =
            Hand::Drain { service: None, server: ServerName { address: [10, 0, 0, 1].into(), port: None } };
        Overrides(vec![Override { number: 1, hand, given: Wall(5), until: Some(Wall(7)), group: None }])
    }

    #[test]
    fn what_is_written_is_read_and_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/overrides.json");
        assert_eq!(read(&path), Ok(Overrides::default()));
        write(&path, &some()).expect("written");
        assert_eq!(read(&path), Ok(some()));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        write(&path, &Overrides::default()).expect("removed");
        write(&path, &Overrides::default()).expect("nothing to remove");
        assert!(!path.exists());
        assert_eq!(fs::read_dir(folder.path().join("a/b")).expect("there").count(), 0);
    }

    #[test]
    fn a_corrupt_file_is_put_aside_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("overrides.json");
        for text in ["{\"version\": 1, \"overr", "", "\u{0}\u{0}", "{\"version\": 9, \"overrides\": []}"] {
            fs::write(&path, text).expect("written");
            let error = read(&path).expect_err("it makes no sense");
            assert!(error.contains("overrides.json.corrupt"), "{error}");
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(beside(&path, "corrupt")).expect("kept"), text);
        }
    }

    #[test]
    fn links_pipes_and_files_of_others_are_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, path) = (folder.path().join("real"), folder.path().join("overrides.json"));
        write(&real, &some()).expect("written");
        std::os::unix::fs::symlink(&real, &path).expect("linked");
        assert!(read(&path).expect_err("a link").contains("a symbolic link, which is not followed"));
        write(&path, &some()).expect("a link is replaced, not followed");
        assert!(!fs::symlink_metadata(&path).expect("there").is_symlink());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o622)).expect("changed");
        assert!(read(&path).expect_err("others write it").contains("others"));
        fs::remove_file(&path).expect("removed");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert!(read(&path).expect_err("a pipe").contains("no regular file"));
    }
}
