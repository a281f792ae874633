//! State files on a signal, as keepalived writes them (`report::dumps` has their text). The roles are asked for a
//! snapshot; nobody waits for the disk: a thread writes, one file after the other.

use super::run::Supervisor;
use super::worker::{Order, Snapshot, Worker};
use crate::plan::process::DaemonPlan;
use crate::report::dumps::{self, Cleared, Facts};
use crate::report::{ScriptsStatus, VrrpStatus};
use nix::fcntl::OFlag;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A moment that was told twice may differ by what the messages took; by less than this it is the same one.
const SAME_MOMENT: Duration = Duration::from_millis(200);

/// Rounds of questions for files have their numbers from here on; those for `holdfastctl` count from 1.
const FIRST_NUMBER: u64 = 1 << 48;

/// What keepalived takes from the mode of its files unless `umask` says else.
const UMASK: u32 = 0o177;

/// A file, or what is done after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dump {
    /// SIGUSR1: `keepalived.data`.
    Data,
    /// SIGUSR2: `keepalived.stats`.
    Stats,
    /// STATS_CLEAR: the same, then the counters begin at zero.
    StatsClear,
    /// JSON: `keepalived.json`.
    Json,
}

/// What is asked for and what is known.
#[derive(Debug, Default)]
pub struct Dumps {
    wanted: BTreeSet<Dump>,
    round: u64,
    until: Option<Instant>,
    waiting: Vec<Worker>,
    vrrp: Option<VrrpStatus>,
    scripts: Option<ScriptsStatus>,
    transitions: BTreeMap<String, Duration>,
    cleared: Cleared,
    writer: Option<tokio::task::JoinHandle<()>>,
}

impl Dumps {
    /// When patience ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Takes a role's answer, if it belongs to this round.
    pub fn collect(&mut self, number: u64, worker: Worker, snapshot: &Snapshot) {
        if self.until.is_none() || number != FIRST_NUMBER + self.round || !self.waiting.contains(&worker) {
            return;
        }
        self.waiting.retain(|w| *w != worker);
        match snapshot {
            Snapshot::Vrrp(vrrp) => self.vrrp = Some(vrrp.clone()),
            Snapshot::Scripts(scripts) => self.scripts = Some(scripts.clone()),
            Snapshot::Checker(_) | Snapshot::Bfd(_) => {}
        }
    }

    /// When each router changed state, by the wall clock. A moment that is known already does not move with the time
    /// that messages take.
    fn note_transitions(&mut self, now: Duration) {
        let Some(vrrp) = &self.vrrp else { return };
        let moment = |status: &crate::report::RouterStatus| {
            let told = now.saturating_sub(Duration::from_micros(status.since_us));
            let known = self.transitions.get(&status.name).copied();
            let same = known.filter(|known| known.abs_diff(told) < SAME_MOMENT);
            (status.name.clone(), same.unwrap_or(told))
        };
        self.transitions = vrrp.routers.iter().map(moment).collect();
    }
}

impl Supervisor {
    /// A signal asks for a file. Signals that come while the roles are asked share the answer.
    pub(super) fn ask_dump(&mut self, dump: Dump) {
        self.dumps.wanted.insert(dump);
        if self.dumps.until.is_none() {
            self.dumps.round += 1;
            self.dumps.until = Some(Instant::now() + self.settings.limits.snapshot);
            let number = FIRST_NUMBER + self.dumps.round;
            let asked = self.slots.iter().filter(|slot| {
                matches!(slot.worker, Worker::Vrrp | Worker::Scripts)
                    && slot.child.as_ref().is_some_and(|child| child.send_order(Order::Snapshot(number)))
            });
            self.dumps.waiting = asked.map(|slot| slot.worker).collect();
        }
    }

    /// Writes once every role has answered, or patience has ended.
    pub(super) fn finish_dumps(&mut self, now: Instant) {
        let Some(until) = self.dumps.until else { return };
        let slots = &self.slots;
        let running = |worker: &Worker| slots.iter().any(|s| s.worker == *worker && s.child.is_some());
        self.dumps.waiting.retain(running);
        let needs_scripts = self.dumps.wanted.iter().any(|dump| matches!(dump, Dump::Data | Dump::Json));
        let waits = |worker: &Worker| *worker == Worker::Vrrp || needs_scripts;
        if self.dumps.waiting.iter().any(waits) && now < until {
            return;
        }
        self.dumps.until = None;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.dumps.note_transitions(wall);
        let wanted = std::mem::take(&mut self.dumps.wanted);
        let (vrrp, scripts) = (self.dumps.vrrp.take(), self.dumps.scripts.take());
        let Some(vrrp) = vrrp else {
            let names: Vec<_> = wanted.into_iter().map(file_name).collect();
            return tracing::warn!(
                "{} not written: the vrrp role does not run or does not answer; see holdfastctl status",
                names.join(", ")
            );
        };
        let facts = Facts {
            plans: &self.plans.whole(),
            vrrp: &vrrp,
            scripts: scripts.as_ref(),
            transitions: &self.dumps.transitions,
            cleared: &self.dumps.cleared,
        };
        let daemon = &self.plans.global.daemon;
        let text = |dump: Dump| {
            let text = match dump {
                Dump::Data => Some(dumps::data(&facts)),
                Dump::Stats | Dump::StatsClear => Some(dumps::stats(&facts)),
                Dump::Json => dumps::json(&facts, daemon.json_version),
            };
            text.map(|text| (path_of(dump, daemon, &self.settings.dump_directory), text))
        };
        let files: Vec<(PathBuf, String)> = wanted.iter().copied().filter_map(text).collect();
        if wanted.contains(&Dump::StatsClear) {
            let routers = vrrp.routers.iter().map(|router| (router.name.as_str(), &router.counters));
            self.dumps.cleared.clear(routers);
        }
        let mode = 0o666 & !(self.settings.umask.or(daemon.umask).unwrap_or(UMASK) | 0o002);
        let before = self.dumps.writer.take();
        self.dumps.writer = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // Its end, however it came about.
                before.await.ok();
            }
            let write = move || files.iter().for_each(|(path, text)| write_and_say(path, text, mode));
            tokio::task::spawn_blocking(write).await.ok();
        }));
    }
}

fn file_name(dump: Dump) -> &'static str {
    match dump {
        Dump::Data => "keepalived.data",
        Dump::Stats | Dump::StatsClear => "keepalived.stats",
        Dump::Json => "keepalived.json",
    }
}

/// Where keepalived writes: `state_dump_file` moves the first of them only, and `data_use_instance` puts namespace and
/// instance into its name (`keepalived.NAMESPACE_INSTANCE.data`).
fn path_of(dump: Dump, daemon: &DaemonPlan, directory: &Path) -> PathBuf {
    let usual = directory.join(file_name(dump));
    if dump != Dump::Data {
        return usual;
    }
    let path = match daemon.state_dump_file.as_deref().map(Path::new) {
        Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            directory.join(path).join(file_name(dump))
        }
        Some(path) => directory.join(path),
        None => usual,
    };
    let names: Vec<&str> =
        [&daemon.namespace, &daemon.instance].into_iter().filter_map(Option::as_deref).collect();
    if !daemon.names_in_dumps || names.is_empty() {
        return path;
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    path.with_extension(format!("{}.{extension}", names.join("_")))
}

fn write_and_say(path: &Path, text: &str, mode: u32) {
    match write(path, text, mode) {
        Ok(()) => tracing::debug!("{} written", path.display()),
        Err(error) => tracing::error!(
            "{} not written: {error}; what reads it sees the state of an earlier signal, or none",
            path.display()
        ),
    }
}

/// Puts a whole file in the place of the old one: a reader sees one or the other, and a link that somebody laid there
/// is replaced, never followed.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = path.file_name().ok_or_else(|| io::Error::other("it is no file"))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    // Ours, from a process of this number that died while it wrote; anything else makes the next line fail.
    fs::remove_file(&beside).ok();
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(mode))?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        fs::remove_file(&beside).ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (precious, path) = (folder.path().join("precious"), folder.path().join("keepalived.data"));
        fs::write(&precious, "precious").expect("written");
        std::os::unix::fs::symlink(&precious, &path).expect("linked");
        write(&path, "one\n", 0o600).expect("written");
        assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
        assert_eq!(fs::read_to_string(&path).expect("there"), "one\n");
        assert!(!fs::symlink_metadata(&path).expect("there").is_symlink());
        write(&path, "two\n", 0o640).expect("written again");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 2, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a directory");
        fs::create_dir(&path).expect("made");
        write(&path, "text", 0o600).expect_err("a directory stands there");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[test]
    fn names_are_those_of_keepalived() {
        let directory = Path::new("/tmp");
        let path = |dump, daemon: &DaemonPlan| path_of(dump, daemon, directory).display().to_string();
        let plain = DaemonPlan::default();
        assert_eq!(path(Dump::Data, &plain), "/tmp/keepalived.data");
        assert_eq!(path(Dump::StatsClear, &plain), "/tmp/keepalived.stats");
        let named = DaemonPlan {
            instance: Some("foo".to_owned()),
            namespace: Some("blue".to_owned()),
            names_in_dumps: true,
            ..DaemonPlan::default()
        };
        // As keepalived 2.2.7 does: the other two keep their names.
        assert_eq!(path(Dump::Data, &named), "/tmp/keepalived.blue_foo.data");
        assert_eq!(path(Dump::Json, &named), "/tmp/keepalived.json");
        let moved = DaemonPlan { state_dump_file: Some("/var/x/".to_owned()), ..DaemonPlan::default() };
        assert_eq!(path(Dump::Data, &moved), "/var/x/keepalived.data");
        let moved =
            DaemonPlan { state_dump_file: Some("/var/x/state.txt".to_owned()), ..DaemonPlan::default() };
        assert_eq!(path(Dump::Data, &moved), "/var/x/state.txt");
    }
}
