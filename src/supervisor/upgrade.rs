//! `holdfastctl upgrade`: the supervisor becomes another image of itself. Its roles see their links end and wait for the
//! new supervisor, which takes over from them by resume; the process keeps its id.

use super::guard;
use super::run::Supervisor;
use crate::link::control::Answer;
use crate::plan::process::IpvsNamespace;
use crate::role::options::upgrade_variables::{GUARDED_BY, GUARDS, INHERITED, PREVIOUS};
use crate::sys::process::close_on_exec;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::sync::oneshot;

/// Our own image, even if its file was replaced since we started.
const OWN: &str = "/proc/self/exe";

/// Where a process finds its own open files.
const DESCRIPTORS: &str = "/proc/self/fd/";

/// Between two looks at processes that are about to end.
const LOOK: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Become `binary`. The tool has seen that it takes the configuration.
    pub(super) fn ask_upgrade(&mut self, binary: PathBuf, reply: oneshot::Sender<Answer>) {
        let refusal = if matches!(self.plans.global.daemon.ipvs_namespace, Some(IpvsNamespace::Original)) {
            Some("net_namespace_ipvs without a name is the namespace of the start, which only a restart can find".to_owned())
        } else if !binary.is_absolute() {
            Some(format!("{} is no absolute path", binary.display()))
        } else {
            let error = access(&binary, AccessFlags::X_OK).err();
            error.map(|errno| format!("{}: {}", binary.display(), errno.desc()))
        };
        if let Some(why) = refusal {
            reply.send(Answer::Refused(why)).ok();
            return;
        }
        reply.send(Answer::Begun(Vec::new())).ok();
        tracing::info!("becoming {}", binary.display());
        let pids = self.slots.iter().filter_map(|slot| slot.child.as_ref()).map(|child| child.pid);
        let socket = self.settings.socket.clone();
        self.left = Some(self.memory());
        self.successor = Some(Successor { binary, children: pids.collect(), socket });
    }
}

/// What this process is to become.
#[derive(Clone, Debug)]
pub struct Successor {
    binary: PathBuf,
    children: Vec<u32>,
    /// Where it will answer.
    socket: PathBuf,
}

impl Successor {
    /// Becomes it. If that cannot be, becomes its own image again; returns only if not even that can be.
    pub fn begin(self, detached: bool) {
        let Successor { binary, mut children, socket } = self;
        let guard = guard::post(command(Path::new(OWN), detached), &socket);
        children.extend(guard);
        let own = match File::open(OWN) {
            Ok(file) => Some(file).filter(|file| fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).is_ok()),
            Err(_) => None,
        };
        let previous = own.as_ref().map(|file| format!("{DESCRIPTORS}{}", file.as_raw_fd()));
        let mut command = command(&binary, detached);
        command.env(INHERITED, list(&children));
        if let Some(previous) = &previous {
            command.env(PREVIOUS, previous);
        }
        if let Some(guard) = guard {
            command.env(GUARDED_BY, guard.to_string());
        }
        let error = command.exec();
        tracing::error!("{} cannot be run: {error}; this program goes on", binary.display());
        go_back(Path::new(OWN), &children, guard, detached);
    }
}

/// The new image could not begin: become the one before it, which has begun before. False if there is none.
pub fn roll_back(detached: bool) -> bool {
    let Some(previous) = std::env::var_os(PREVIOUS) else { return false };
    tracing::error!("this program cannot begin: the one before it goes on");
    go_back(Path::new(&previous), &inherited(), guard::of_this_process(), detached);
    false
}

/// The descriptor of the image before this one is not for the programs that this one starts, nor for the next image.
pub fn settle_in() {
    let previous = std::env::var(PREVIOUS).unwrap_or_default();
    let number = previous.strip_prefix(DESCRIPTORS).and_then(|number| number.parse().ok());
    if let Some(Err(error)) = number.map(close_on_exec) {
        tracing::warn!("the program before this one stays open: {error}");
    }
}

/// Was this process another image before?
pub fn is_upgrade() -> bool {
    std::env::var_os(INHERITED).is_some()
}

/// Waits for the end of processes that an earlier image of this one started, so that they leave the process table.
pub async fn bury_inherited() {
    let mut left = inherited();
    while !left.is_empty() {
        left.retain(|pid| {
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap_or(0));
            pid.as_raw() > 1
                && matches!(
                    waitpid(pid, Some(WaitPidFlag::WNOHANG)),
                    Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
                )
        });
        tokio::time::sleep(LOOK).await;
    }
}

fn go_back(image: &Path, children: &[u32], guard: Option<u32>, detached: bool) {
    let mut command = command(image, detached);
    command.env(INHERITED, list(children)).env_remove(PREVIOUS);
    if let Some(guard) = guard {
        command.env(GUARDED_BY, guard.to_string());
    }
    let error = command.exec();
    tracing::error!("{} cannot be run either: {error}", image.display());
}

/// The same words; a process that has left its terminal does not leave it again, and keeps its id.
fn command(image: &Path, detached: bool) -> Command {
    let mut words = std::env::args_os();
    let mut command = Command::new(image);
    command.env_remove(GUARDS).env_remove(GUARDED_BY);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    if detached {
        command.arg("-n");
    }
    command.args(words);
    command
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn inherited() -> Vec<u32> {
    let text = std::env::var(INHERITED).unwrap_or_default();
    text.split(',').filter_map(|word| word.parse().ok()).collect()
}
