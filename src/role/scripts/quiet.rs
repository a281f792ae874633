//! One run of a notify script: as keepalived starts it, with nothing to read and nobody to hear it, so that what it leaves
//! in the background never finds a closed pipe.

use super::runner::Push;
use crate::plan::scripts::CommandPlan;
use crate::sys::child::{self, Credentials};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use tokio::sync::mpsc;

/// Variables that change what a program does, taken out of the environment as keepalived does.
const REMOVED: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// Runs the program until its process is gone; what went wrong, if anything did. Signals that come over `pushes` go to its
/// process group.
pub async fn run(plan: &CommandPlan, mut pushes: mpsc::Receiver<Push>) -> Result<(), String> {
    let mut process = start(plan)?;
    // It is not waited for yet, so the id is its own; i32 holds every pid of Linux.
    let group = Pid::from_raw(process.id().unwrap_or_default() as i32);
    loop {
        tokio::select! {
            biased;
            status = process.wait() => {
                return status.map_err(|error| format!("its end was not seen ({error})")).and_then(verdict);
            }
            Some(push) = pushes.recv() => send(group, push),
        }
    }
}

fn start(plan: &CommandPlan) -> Result<tokio::process::Child, String> {
    if let Some(why) = &plan.cannot_run {
        return Err(format!("it is not run: {why}"));
    }
    let (program, arguments) = plan.words.split_first().ok_or("there is no program")?;
    let mut command = std::process::Command::new(program);
    command.args(arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in REMOVED {
        command.env_remove(name);
    }
    let credentials = plan.identity.as_ref().map(|identity| Credentials {
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
    });
    child::prepare(&mut command, credentials);
    tokio::process::Command::from(command).spawn().map_err(|error| format!("it cannot be started: {error}"))
}

fn send(group: Pid, push: Push) {
    let signal = match push {
        Push::Terminate => Signal::SIGTERM,
        Push::Kill => Signal::SIGKILL,
    };
    // A group that is gone needs no signal; a process id of 0 would be our own group.
    if group.as_raw() > 1 {
        killpg(group, signal).ok();
    }
}

fn verdict(status: ExitStatus) -> Result<(), String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit status {code}")),
        (None, Some(number)) => Err(match Signal::try_from(number) {
            Ok(signal) => format!("ended by {signal}"),
            Err(_) => format!("ended by signal {number}"),
        }),
        (None, None) => Err(status.to_string()),
    }
}
