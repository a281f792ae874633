//! An upgrade has a guard: a process of the old image, which becomes the daemon when the new one dies before it serves.
//! Until then the vrrp role speaks on without a supervisor.

use crate::role::options::upgrade_variables::{GUARDED_BY, GUARDS, INHERITED, PREVIOUS};
use crate::sys::process::{Stat, born};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// So long the place is left to whoever else starts the daemon: a service manager does it after 100 ms
/// (packaging/holdfast.service).
const OTHERS: Duration = Duration::from_millis(1500);

/// A vrrp role that has lost its supervisor has resigned by then: nothing is left to guard.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts the guard of this process, which is about to become another program: `own` is this one, with its words. Its
/// process id.
pub(super) fn post(mut own: Command, socket: &Path) -> Option<u32> {
    own.env(GUARDS, format!("{} {}", std::process::id(), socket.display()));
    // Should it become the daemon, that is no first start.
    own.env(INHERITED, "").env_remove(PREVIOUS);
    match own.stdin(Stdio::null()).process_group(0).spawn() {
        Ok(guard) => Some(guard.id()),
        Err(error) => {
            tracing::warn!("nobody guards this upgrade: {error}");
            None
        }
    }
}

/// The process id of who guards this process.
pub(super) fn of_this_process() -> Option<u32> {
    std::env::var(GUARDED_BY).ok()?.parse().ok()
}

/// The new program serves, or was told to end: its guard goes.
pub(super) fn dismiss() {
    let guard = of_this_process().and_then(|guard| i32::try_from(guard).ok()).map(Pid::from_raw);
    // A child that has not been waited for has its id still.
    if let Some(guard) = guard.filter(|guard| guard.as_raw() > 1)
        && matches!(waitpid(guard, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
    {
        kill(guard, Signal::SIGKILL).ok();
    }
}

/// Is this process to be the daemon? One that is no guard is; a guard when whom it guarded has died without serving, and
/// nobody has come in its place.
pub(super) fn stand() -> bool {
    let Ok(orders) = std::env::var(GUARDS) else { return true };
    let Some((process, socket)) =
        orders.split_once(' ').and_then(|(id, path)| Some((id.parse().ok()?, path)))
    else {
        return false;
    };
    if !is_left_alone(process, socket, OTHERS) {
        return false;
    }
    tracing::error!(
        "the program that this daemon was to become has ended before it served (pid {process}): the one before it goes on"
    );
    true
}

/// Has the process died without anybody answering at `socket`, and for so long after that?
fn is_left_alone(process: u32, socket: &str, others: Duration) -> bool {
    let begun = Instant::now();
    let since = born(process);
    while lives(process, since) {
        if is_served(socket) || begun.elapsed() > LIMIT {
            return false;
        }
        sleep(LOOK);
    }
    let died = Instant::now();
    while died.elapsed() < others {
        if is_served(socket) {
            return false;
        }
        sleep(LOOK);
    }
    true
}

fn is_served(socket: &str) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Does the process that was started then run? A zombie does not.
fn lives(process: u32, since: Option<u64>) -> bool {
    let is_it = |stat: Stat| !stat.has_ended() && since.is_some() && stat.started() == since;
    Stat::of(process).is_some_and(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_who_died_without_serving_is_succeeded() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("main.sock");
        let socket = path.to_str().expect("plain");
        let mut child = Command::new("sleep").arg("0.2").spawn().expect("a program");
        // Not waited for: a zombie is dead too.
        assert!(is_left_alone(child.id(), socket, LOOK), "dead, and nobody serves");
        child.wait().expect("our child");
        assert!(is_left_alone(child.id(), socket, LOOK), "gone altogether");
        let _listener = UnixListener::bind(&path).expect("bound");
        assert!(!is_left_alone(child.id(), socket, LIMIT), "somebody else came in its place");
        assert!(!is_left_alone(std::process::id(), socket, LOOK), "it serves");
    }
}
