//! A small file in memory as a table of 64-bit words that several processes share: a store costs no system call, and
//! what was stored outlives the process that stored it.
#![allow(unsafe_code)]

use super::no_link;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::statfs::{FsType, fstatfs};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// ramfs, which libc does not name.
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// The most words of a table: 4 MB. A file that is longer is none of ours.
pub const MOST_WORDS: usize = 1 << 19;

/// The table. The lock on its file is held for as long as it lives.
#[derive(Debug)]
pub struct SharedWords {
    file: Flock<File>,
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the mapping belongs to this value alone, and all access to it is atomic.
unsafe impl Send for SharedWords {}

/// Is the directory on a file system that lives in memory? A store to any other may wait for a disk.
pub fn is_in_memory(directory: &Path) -> bool {
    let Ok(file) = File::open(directory) else { return false };
    fstatfs(file.as_fd()).is_ok_and(|about| {
        let kind = about.filesystem_type();
        kind == nix::sys::statfs::TMPFS_MAGIC || kind == FsType(RAMFS_MAGIC as _)
    })
}

impl SharedWords {
    /// Opens the file, makes it (mode 0600) if it is not there, and locks it. It has at least `least` words, those that
    /// are new are 0. WouldBlock: another process has it locked. InvalidData: the file is a link, belongs to somebody else,
    /// or may be opened by others.
    pub fn open(path: &Path, least: usize) -> io::Result<SharedWords> {
        let file = open(path)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
        // Whoever had the lock may have removed the file meanwhile: then this is not the one that others will find.
        let (there, ours) = (std::fs::symlink_metadata(path)?, file.metadata()?);
        if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut words = SharedWords { file, words: NonNull::dangling(), count: 0 };
        let present = usize::try_from(ours.len() / 8).unwrap_or(usize::MAX);
        words.map(present.max(least))?;
        Ok(words)
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes it at least `least` words long.
    pub fn grow(&mut self, least: usize) -> io::Result<()> {
        if least > self.count { self.map(least) } else { Ok(()) }
    }

    /// The word at `index`; 0 beyond the end.
    pub fn load(&self, index: usize) -> u64 {
        self.word(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets the word at `index`; nothing happens beyond the end. Other processes see stores in their order.
    pub fn store(&self, index: usize, value: u64) {
        if let Some(word) = self.word(index) {
            word.store(value, Ordering::Release);
        }
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: `words` points to `count` words of a live mapping, aligned to a page, which only `map` and `drop`
        // replace, and both need this value for themselves.
        (index < self.count).then(|| unsafe { self.words.add(index).as_ref() })
    }

    /// Brings the file to `count` words, all of them allocated (a store must not find the file system full), and maps it.
    fn map(&mut self, count: usize) -> io::Result<()> {
        if count == 0 || count > MOST_WORDS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has an impossible length"));
        }
        let length = count * 8;
        nix::fcntl::fallocate(
            self.file.as_fd(),
            nix::fcntl::FallocateFlags::empty(),
            0,
            libc::off_t::try_from(length).map_err(io::Error::other)?,
        )?;
        let bytes = std::num::NonZeroUsize::new(length).expect("count is not 0");
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};
        // SAFETY: a new shared mapping of a file that is as long as it; the kernel chooses where.
        let at = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE,
                self.file.as_fd(),
                0,
            )
        }?;
        self.unmap();
        (self.words, self.count) = (at.cast(), count);
        Ok(())
    }

    fn unmap(&mut self) {
        if self.count > 0 {
            // SAFETY: exactly what `map` mapped, and nobody has a reference to it now.
            unsafe { nix::sys::mman::munmap(self.words.cast(), self.count * 8) }.ok();
            self.count = 0;
        }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// A second look at a table that another process has locked: words are read and stored, nothing else.
#[derive(Debug)]
pub struct Peek {
    file: File,
}

impl Peek {
    /// Opens the file if it is there, under the same conditions as [`SharedWords::open`].
    pub fn open(path: &Path) -> io::Result<Peek> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
        check(&file)?;
        Ok(Peek { file })
    }

    /// The word at `index`; 0 beyond the end.
    pub fn load(&self, index: usize) -> u64 {
        use std::os::unix::fs::FileExt;
        let mut octets = [0; 8];
        let whole = self.file.read_exact_at(&mut octets, index as u64 * 8);
        whole.map_or(0, |()| u64::from_ne_bytes(octets))
    }

    /// Sets the word at `index`.
    pub fn store(&self, index: usize, value: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        self.file.write_all_at(&value.to_ne_bytes(), index as u64 * 8)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).map_err(no_link::in_words)?;
    check(&file)?;
    Ok(file)
}

/// /dev/shm is for everybody: only a plain file of our own, which nobody else may open and which has one name.
fn check(file: &File) -> io::Result<()> {
    let about = file.metadata()?;
    let own = about.uid() == nix::unistd::geteuid().as_raw();
    if about.is_file() && own && about.mode() & 0o077 == 0 && about.nlink() == 1 {
        return Ok(());
    }
    let what = "it is no plain file of this user alone with mode 0600";
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("holdfast-words-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        directory.join("table")
    }

    #[test]
    fn words_outlive_who_stored_them() {
        let path = place("live");
        let mut words = SharedWords::open(&path, 4).expect("opens");
        words.store(3, 7);
        words.grow(1000).expect("grows");
        words.store(999, 9);
        words.store(1000, 1);
        assert_eq!(
            SharedWords::open(&path, 4).expect_err("locked").kind(),
            io::ErrorKind::WouldBlock,
            "one at a time"
        );
        let peek = Peek::open(&path).expect("opens");
        assert_eq!((peek.load(3), peek.load(999), peek.load(1000)), (7, 9, 0));
        peek.store(2, 5).expect("stores");
        assert_eq!(words.load(2), 5);
        drop(words);
        let again = SharedWords::open(&path, 4).expect("opens");
        assert_eq!((again.len(), again.load(3), again.load(999)), (1000, 7, 9));
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(path.parent().expect("it has one")).expect("removed");
    }

    #[test]
    fn links_and_open_files_are_refused() {
        let path = place("links");
        let target = path.with_extension("target");
        std::fs::write(&target, [0; 64]).expect("written");
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        let error = SharedWords::open(&path, 4).expect_err("a symbolic link");
        assert!(error.to_string().contains("a symbolic link, which is not followed"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, [0; 64]).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(SharedWords::open(&path, 4).is_err(), "others may read it");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        let second = path.with_extension("second");
        std::fs::hard_link(&path, &second).expect("linked");
        assert!(SharedWords::open(&path, 4).is_err(), "it has a second name");
        std::fs::remove_file(&second).expect("removed");
        drop(SharedWords::open(&path, 4).expect("ours alone"));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65534), None).expect("root may");
            assert!(SharedWords::open(&path, 4).is_err(), "somebody else's");
        }
        std::fs::remove_dir_all(path.parent().expect("it has one")).expect("removed");
    }
}
