//! State files on a signal, as keepalived writes them (`report::dumps` has their text). The roles are asked for a
//! snapshot; nobody waits for the disk: a thread writes, one file after the other.

use super::asked::Asked;
use super::own_file;
use super::run::Supervisor;
use super::worker::{Snapshot, Worker};
use crate::plan::process::DaemonPlan;
use crate::report::bfd::BfdStatus;
use crate::report::dumps::{self, Cleared, Facts};
use crate::report::{CheckerStatus, ScriptsStatus, VrrpStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
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
    /// SIGUSR1: `keepalived.data`, and a file for each of keepalived's other processes.
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
    asked: Asked,
    /// Not only the roles that every file needs.
    asked_all: bool,
    vrrp: Option<VrrpStatus>,
    scripts: Option<ScriptsStatus>,
    checker: Option<CheckerStatus>,
    bfd: Option<BfdStatus>,
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
        if self.until.is_none() || !self.asked.hear(number, worker) {
            return;
        }
        match snapshot {
            Snapshot::Vrrp(vrrp) => self.vrrp = Some(vrrp.clone()),
            Snapshot::Scripts(scripts) => self.scripts = Some(scripts.clone()),
            Snapshot::Checker(checker) => self.checker = Some(checker.clone()),
            Snapshot::Bfd(bfd) => self.bfd = Some(bfd.clone()),
            Snapshot::Snmp(_) => {}
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
        // One that comes late is answered by a round of its own if it needs somebody who was not asked.
        let data = self.dumps.wanted.contains(&Dump::Data);
        if self.dumps.until.is_none() || (data && !self.dumps.asked_all) {
            self.dumps.round += 1;
            self.dumps.asked_all = data;
            self.dumps.until = Some(Instant::now() + self.settings.limits.snapshot);
            let slots = self.slots.iter();
            let asked = slots.filter(|slot| match slot.worker {
                Worker::Vrrp | Worker::Scripts => true,
                Worker::Checker | Worker::Bfd => data,
                Worker::Snmp => false,
            });
            self.dumps.asked = Asked::round(FIRST_NUMBER + self.dumps.round, asked);
        }
    }

    /// Writes once every role has answered, or patience has ended.
    pub(super) fn finish_dumps(&mut self, now: Instant) {
        let Some(until) = self.dumps.until else { return };
        self.dumps.asked.ask_again(&self.slots);
        let data = self.dumps.wanted.contains(&Dump::Data);
        let needs_scripts = data || self.dumps.wanted.contains(&Dump::Json);
        let waits = |worker| match worker {
            Worker::Vrrp => true,
            Worker::Scripts => needs_scripts,
            Worker::Checker | Worker::Bfd => data,
            Worker::Snmp => false,
        };
        if self.dumps.asked.waits_for(waits) && now < until {
            return;
        }
        self.dumps.until = None;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.dumps.note_transitions(wall);
        let wanted = std::mem::take(&mut self.dumps.wanted);
        let files = self.files(&wanted);
        let mode = 0o666 & !(self.settings.umask.or(self.plans.global.daemon.umask).unwrap_or(UMASK) | 0o002);
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

    /// What is written where. A process that does not run writes no file, as in keepalived.
    fn files(&mut self, wanted: &BTreeSet<Dump>) -> Vec<(PathBuf, String)> {
        let plans = match self.plans.whole() {
            Ok(plans) => plans,
            Err(error) => {
                tracing::error!("no state file is written: the plans in force cannot be read: {error}");
                return Vec::new();
            }
        };
        let Dumps { vrrp, scripts, checker, bfd, .. } = &mut self.dumps;
        let (vrrp, scripts, checker, bfd) = (vrrp.take(), scripts.take(), checker.take(), bfd.take());
        let mut files: Vec<(Process, Dump, String)> = Vec::new();
        if wanted.contains(&Dump::Data) {
            files.push((Process::Parent, Dump::Data, dumps::parent(&plans)));
            files.extend(checker.map(|status| (Process::Checker, Dump::Data, dumps::check(&plans, &status))));
            files.extend(bfd.map(|status| (Process::Bfd, Dump::Data, dumps::bfd(&plans, &status))));
        }
        if let Some(vrrp) = &vrrp {
            let facts = Facts {
                plans: &plans,
                vrrp,
                scripts: scripts.as_ref(),
                transitions: &self.dumps.transitions,
                cleared: &self.dumps.cleared,
            };
            let version = plans.global.daemon.json_version;
            let text = |dump: &Dump| match dump {
                Dump::Data => Some(dumps::data(&facts)),
                Dump::Stats | Dump::StatsClear => Some(dumps::stats(&facts)),
                Dump::Json => dumps::json(&facts, version),
            };
            files.extend(wanted.iter().filter_map(|dump| Some((Process::Vrrp, *dump, text(dump)?))));
            if wanted.contains(&Dump::StatsClear) {
                let routers = vrrp.routers.iter().map(|router| (router.name.as_str(), &router.counters));
                self.dumps.cleared.clear(routers);
            }
        } else if !plans.vrrp.routers.is_empty() || wanted.iter().any(|dump| *dump != Dump::Data) {
            let names: Vec<_> = wanted.iter().map(|dump| file_name(Process::Vrrp, *dump)).collect();
            tracing::warn!(
                "{} not written: the vrrp role does not run or does not answer; see holdfastctl status",
                names.join(", ")
            );
        }
        let directory = &self.settings.dump_directory;
        let daemon = &plans.global.daemon;
        files.into_iter().map(|(of, dump, text)| (path_of(of, dump, daemon, directory), text)).collect()
    }
}

/// Which of keepalived's processes would write the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Vrrp,
    Checker,
    Bfd,
    Parent,
}

impl Process {
    /// What stands before the last dot of its file.
    fn suffix(self) -> &'static str {
        match self {
            Process::Vrrp => "",
            Process::Checker => "_check",
            Process::Bfd => "_bfd",
            Process::Parent => "_parent",
        }
    }
}

fn file_name(of: Process, dump: Dump) -> String {
    match dump {
        Dump::Data => format!("keepalived{}.data", of.suffix()),
        Dump::Stats | Dump::StatsClear => "keepalived.stats".to_owned(),
        Dump::Json => "keepalived.json".to_owned(),
    }
}

/// Where keepalived writes: `state_dump_file` moves the files of SIGUSR1 only, and `data_use_instance` puts namespace and
/// instance into its name (`keepalived.NAMESPACE_INSTANCE.data`).
fn path_of(of: Process, dump: Dump, daemon: &DaemonPlan, directory: &Path) -> PathBuf {
    let usual = directory.join(file_name(of, dump));
    if dump != Dump::Data {
        return usual;
    }
    let path = match daemon.state_dump_file.as_deref().map(Path::new) {
        Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            directory.join(path).join(file_name(of, dump))
        }
        Some(path) => {
            let mut name = path.file_stem().unwrap_or_default().to_owned();
            name.push(of.suffix());
            if let Some(extension) = path.extension() {
                name.push(".");
                name.push(extension);
            }
            directory.join(path).with_file_name(name)
        }
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

/// Replaces the file whole. Two daemons may write the same one.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    own_file::replace(path, &format!("{}.new", std::process::id()), |mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(mode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        let path_for =
            |of, dump, daemon: &DaemonPlan| path_of(of, dump, daemon, directory).display().to_string();
        let path = |dump, daemon: &DaemonPlan| path_for(Process::Vrrp, dump, daemon);
        let plain = DaemonPlan::default();
        assert_eq!(path(Dump::Data, &plain), "/tmp/keepalived.data");
        assert_eq!(path(Dump::StatsClear, &plain), "/tmp/keepalived.stats");
        let named = DaemonPlan {
            instance: Some("foo".to_owned()),
            namespace: Some("blue".to_owned()),
            names_in_dumps: true,
            ..DaemonPlan::default()
        };
        assert_eq!(path_for(Process::Parent, Dump::Data, &named), "/tmp/keepalived_parent.blue_foo.data");
        // As keepalived 2.2.7 does: the other two keep their names.
        assert_eq!(path(Dump::Data, &named), "/tmp/keepalived.blue_foo.data");
        assert_eq!(path(Dump::Json, &named), "/tmp/keepalived.json");
        let moved = DaemonPlan { state_dump_file: Some("/var/x/".to_owned()), ..DaemonPlan::default() };
        assert_eq!(path(Dump::Data, &moved), "/var/x/keepalived.data");
        let moved =
            DaemonPlan { state_dump_file: Some("/var/x/state.txt".to_owned()), ..DaemonPlan::default() };
        assert_eq!(path(Dump::Data, &moved), "/var/x/state.txt");
        assert_eq!(path_for(Process::Bfd, Dump::Data, &moved), "/var/x/state_bfd.txt");
        let bare = DaemonPlan { state_dump_file: Some("state".to_owned()), ..DaemonPlan::default() };
        assert_eq!(path_for(Process::Checker, Dump::Data, &bare), "/tmp/state_check");
    }
}
