//! A notify FIFO: made, written without waiting, taken away again.

use crate::notify::lines::Lines;
use crate::plan::notify::FifoPlan;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, mkfifo};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use tokio::net::unix::pipe::Sender;
use tracing::{info, warn};

/// Its owner and its group read. Anybody else who did would take lines from those whom they are for: keepalived 2.4 lets them,
/// 2.2 did not.
const MODE: u32 = 0o640;

/// With so many octets waiting the FIFO is full, and not only waited for by the runtime for a moment.
const FULL: usize = 16 << 10;

/// An open FIFO.
pub struct Fifo {
    /// As configured.
    pub plan: FifoPlan,
    sender: Sender,
    /// Was it made here?
    made: bool,
    lines: Lines,
    /// Has it been said that nobody reads?
    said_full: bool,
}

impl Fifo {
    /// Opens the FIFO, making it if there is none. A path is used only if it is a FIFO that belongs to us or to the account
    /// that the configuration names: whoever could put another thing there would read or write in our name.
    pub fn open(plan: FifoPlan) -> Result<Fifo, String> {
        let path = Path::new(&plan.path);
        let fail = |what: &str, error: &dyn std::fmt::Display| format!("{} {what}: {error}", plan.path);
        let made = match mkfifo(path, Mode::from_bits_truncate(MODE)) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(error) => return Err(fail("cannot be made", &error)),
        };
        let file = open(path).map_err(|error| fail("cannot be opened", &error))?;
        let meta = file.metadata().map_err(|error| fail("cannot be looked at", &error))?;
        if !meta.file_type().is_fifo() {
            return Err(format!("{} exists and is no FIFO", plan.path));
        }
        let own = nix::unistd::geteuid().as_raw();
        let wanted = plan.owner.as_ref().map_or(own, |owner| owner.uid);
        if meta.uid() != own && meta.uid() != wanted {
            return Err(format!("{} belongs to user {}, who is not to have it", plan.path, meta.uid()));
        }
        if made {
            // The umask took bits away.
            let bits = Mode::from_bits_truncate(MODE);
            nix::sys::stat::fchmod(&file, bits).map_err(|error| fail("keeps its mode", &error))?;
            let (user, group) = accounts(&plan);
            if (meta.uid(), meta.gid()) != (user, group) {
                nix::unistd::fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
                    .map_err(|error| fail("keeps its owner", &error))?;
            }
        }
        let sender = Sender::from_file(file).map_err(|error| fail("cannot be written", &error))?;
        Ok(Fifo { plan, sender, made, lines: Lines::default(), said_full: false })
    }

    /// Adds a line, and writes what fits.
    pub fn tell(&mut self, line: Vec<u8>) {
        self.lines.push(line);
        self.write();
        if self.lines.octets() > FULL && !self.said_full {
            self.said_full = true;
            warn!(
                "{} {} is full: nobody reads it; the newest lines are kept",
                self.plan.listens.keyword(),
                self.plan.path
            );
        }
    }

    /// Writes what fits; a line is short enough to be written whole or not at all (PIPE_BUF).
    pub fn write(&mut self) {
        while let Some(line) = self.lines.first() {
            match self.sender.try_write(line) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    warn!("{} cannot be written: {error}; a line is lost", self.plan.path);
                    self.lines.written();
                }
                Ok(_) => self.lines.written(),
            }
        }
        self.said_full = false;
    }

    /// Do lines wait for room?
    pub fn waits(&self) -> bool {
        self.lines.first().is_some()
    }

    /// Has a reader taken everything?
    pub fn is_read(&self) -> bool {
        let mut pipe = [PollFd::new(self.sender.as_fd(), PollFlags::POLLIN)];
        !self.waits() && poll(&mut pipe, PollTimeout::ZERO) == Ok(0)
    }

    /// Returns when there may be room.
    pub async fn room(&self) {
        // An error shows when it is written.
        self.sender.writable().await.ok();
    }

    /// Lines that are lost.
    pub fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Takes it away if it was made here.
    pub fn close(self) {
        if self.made
            && let Err(error) = std::fs::remove_file(&self.plan.path)
        {
            info!("{} is left behind: {error}", self.plan.path);
        }
    }
}

/// Whose it is when it is made here: user and group. A reader of ours that is not that user reads it by its group.
fn accounts(plan: &FifoPlan) -> (u32, u32) {
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let (user, group) = plan.owner.as_ref().map_or(own, |owner| (owner.uid, owner.gid));
    let reader = plan.script.as_ref().and_then(|script| script.identity.as_ref());
    let other = reader.filter(|reader| reader.uid != user && reader.uid != 0);
    (user, other.map_or(group, |reader| reader.gid))
}

/// Open for reading too, as keepalived does it: so the first line needs no reader, and none is told that nobody writes.
fn open(path: &Path) -> io::Result<File> {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}
