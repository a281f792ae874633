//! Which files this process may still open (landlock(7)), as far as the kernel can refuse the others.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The rights that are known here, of the version of Linux 6.2; later ones (commands to devices) nobody asks about.
const FILES: ABI = ABI::V3;

/// What is left. Descriptors that are open stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left<'a> {
    /// Files may be changed, not made, below these directories.
    pub changes: &'a [&'a str],
    /// Files and directories may be read there; everywhere when `None`.
    pub reads: Option<&'a [&'a str]>,
    /// TCP (Linux 6.7).
    pub tcp: bool,
    /// Signals to processes outside, and sockets of theirs without a path (Linux 6.12).
    pub others: bool,
}

/// Directories of rules, open for as long as the process lives. A rule holds to the inode, and under /proc a directory that
/// was forgotten meanwhile comes back as another one.
static HELD: Mutex<Vec<PathFd>> = Mutex::new(Vec::new());

/// Gives everything but `left` up, for the calling thread and those that it starts: no file can be made, removed, renamed
/// or run any more. There is no way back. The version of the kernel's rules; `None` if it has none.
pub fn restrict(left: &Left<'_>) -> Result<Option<u32>, String> {
    restrict_as_known(left).map_err(|error| error.to_string())
}

fn restrict_as_known(left: &Left<'_>) -> Result<Option<u32>, landlock::RulesetError> {
    let mut handled = AccessFs::from_write(FILES) | AccessFs::Execute;
    if left.reads.is_some() {
        handled |= AccessFs::from_read(FILES);
    }
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(handled)?;
    if !left.tcp {
        rules = rules.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    if !left.others {
        rules = rules.scope(Scope::from_all(ABI::V6))?;
    }
    let mut rules = rules.create()?;
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = left.changes.iter().map(|path| (path, AccessFs::WriteFile | AccessFs::Truncate));
    let reads = left.reads.into_iter().flatten().map(|path| (path, read_of(path)));
    for (path, access) in changes.chain(reads) {
        // What is not there cannot be opened either.
        let Ok(place) = PathFd::new(path) else { continue };
        rules = rules.add_rule(PathBeneath::new(&place, access))?;
        held.push(place);
    }
    let status = rules.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi as u32),
        _ => None,
    })
}

fn read_of(path: &str) -> BitFlags<AccessFs> {
    let file = AccessFs::ReadFile.into();
    if Path::new(path).is_dir() { file | AccessFs::ReadDir } else { file }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::process::Command;

    #[test]
    fn a_thread_changes_what_it_may_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
        for place in [&inside, &outside] {
            fs::create_dir(place).expect("made");
            fs::write(place.join("file"), "before").expect("written");
        }
        let allowed: &'static str = inside.to_str().expect("plain").to_owned().leak();
        // A thread of its own: the others of the test program stay free.
        let outcome = std::thread::spawn(move || {
            let mut open =
                fs::OpenOptions::new().append(true).open(outside.join("file")).expect("still free");
            let version = restrict(&Left { changes: &[allowed], ..Left::default() }).expect("rules that fit");
            version?;
            Some([
                fs::write(inside.join("file"), "after").is_ok(),
                open.write_all(b" and after").is_ok(),
                fs::read(outside.join("file")).is_ok(),
                fs::write(outside.join("file"), "no").is_ok(),
                fs::write(inside.join("new"), "no").is_ok(),
                fs::remove_file(inside.join("file")).is_ok(),
                Command::new("/bin/true").status().is_ok(),
            ])
        });
        let Some(outcome) = outcome.join().expect("it ends") else { return };
        assert_eq!(outcome, [true, true, true, false, false, false, false]);
    }

    #[test]
    fn reading_can_be_restricted_too() {
        let outcome = std::thread::spawn(|| {
            restrict(&Left { reads: Some(&["/proc", "/dev/urandom", "/nowhere"]), ..Left::default() })
                .expect("rules that fit")?;
            let read = |path: &str| fs::File::open(path).is_ok();
            Some(["/proc/self/status", "/proc", "/dev/urandom", "/etc/passwd"].map(read))
        });
        let Some(outcome) = outcome.join().expect("it ends") else { return };
        assert_eq!(outcome, [true, true, true, false]);
    }
}
