//! One run of a program: its process, its end, the beginning of what it prints.

use crate::plan::scripts::CommandPlan;
use crate::role::options::upgrade_variables;
use crate::sys::child::{self, Credentials};
use crate::track::scripts::Ending;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

/// How much of what a failing program prints is kept.
pub const KEPT_OUTPUT: usize = 4096;

/// Variables that change what a program does, taken out of the environment as keepalived does.
const REMOVED: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// Read at most this much of a pipe at once.
const READ: usize = 16 << 10;

/// How long the last octets in a pipe may take to arrive once the process is gone.
const LAST_OCTETS: Duration = Duration::from_millis(50);

/// Programs that a run left behind keep its pipe open. So many pipes are read on, so that those programs do not die of
/// writing into a closed one; what comes after this many is closed.
const LINGERING: usize = 64;

/// A signal for the process group of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What a program has printed so far, at most [`KEPT_OUTPUT`] octets, for who does not wait for its end.
#[derive(Clone, Debug, Default)]
pub struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets()).trim_end().to_owned()
    }

    fn octets(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, octets: &[u8]) {
        let mut kept = self.octets();
        let room = KEPT_OUTPUT.saturating_sub(kept.len()).min(octets.len());
        kept.extend_from_slice(&octets[..room]); // room is at most its length
    }
}

/// Runs the program until its process is gone. Signals that come over `pushes` go to its process group.
pub async fn run(command: &CommandPlan, pushes: mpsc::Receiver<Push>) -> (Ending, String) {
    run_showing(command, pushes, Printed::default()).await
}

/// The same; what it prints is in `printed` as it comes.
pub async fn run_showing(
    command: &CommandPlan,
    mut pushes: mpsc::Receiver<Push>,
    printed: Printed,
) -> (Ending, String) {
    let (mut process, mut output) = match start(command, printed.clone()) {
        Ok(started) => started,
        Err(ending) => return (ending, String::new()),
    };
    // It is not waited for yet, so the id is its own; i32 holds every pid of Linux.
    let group = Pid::from_raw(process.id().unwrap_or_default() as i32);
    let mut pushed = false;
    let status = loop {
        tokio::select! {
            biased;
            status = process.wait() => break status,
            Some(push) = pushes.recv() => {
                pushed = true;
                send(group, push);
            }
            () = output.read(), if output.open => {}
        }
    };
    if pushed {
        // What it started and what does not go by itself.
        send(group, Push::Kill);
    }
    let ending = match status {
        Ok(status) => ending(status),
        Err(error) => Ending::NoProcess(format!("its end was not seen ({error})")),
    };
    if ending != Ending::Exited(0) {
        output.read_rest().await;
    }
    output.linger();
    (ending, printed.text())
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

fn start(plan: &CommandPlan, printed: Printed) -> Result<(tokio::process::Child, Output), Ending> {
    let Some((program, arguments)) = plan.words.split_first() else {
        return Err(Ending::NotExecuted("there is no program".to_owned()));
    };
    let no_process = |error: io::Error| Ending::NoProcess(error.to_string());
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| no_process(errno.into()))?;
    let second = theirs.try_clone().map_err(no_process)?;
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(theirs).stderr(second).process_group(0);
    for name in REMOVED.into_iter().chain(upgrade_variables::ALL) {
        command.env_remove(name);
    }
    child::prepare(
        &mut command,
        plan.identity.as_ref().map(|identity| Credentials {
            uid: identity.uid,
            gid: identity.gid,
            groups: identity.groups.clone(),
        }),
    );
    let pipe = pipe::Receiver::from_owned_fd(ours).map_err(no_process)?;
    let spawned = tokio::process::Command::from(command).spawn();
    let process = spawned.map_err(|error| refusal(&error))?;
    Ok((process, Output { pipe, printed, open: true }))
}

/// Does it lie with the program, or with this machine?
fn refusal(error: &io::Error) -> Ending {
    use nix::libc::{EAGAIN, EMFILE, ENFILE, ENOMEM, ESRCH};
    match error.raw_os_error() {
        Some(EAGAIN | ENOMEM | EMFILE | ENFILE | ESRCH) => Ending::NoProcess(error.to_string()),
        _ => Ending::NotExecuted(error.to_string()),
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, Some(number)) => Ending::Signalled(match Signal::try_from(number) {
            Ok(signal) => signal.to_string(),
            Err(_) => format!("signal {number}"),
        }),
        (None, None) => Ending::Signalled(status.to_string()),
    }
}

/// What a program prints.
struct Output {
    pipe: pipe::Receiver,
    printed: Printed,
    open: bool,
}

impl Output {
    /// Takes what there is. Dropping the future loses nothing.
    async fn read(&mut self) {
        let mut octets = [0; READ];
        let readable = self.pipe.readable().await;
        match readable.and_then(|()| self.pipe.try_read(&mut octets)) {
            Ok(0) => self.open = false,
            Ok(count) => self.printed.take(&octets[..count]), // try_read() counts within the buffer
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.open = false,
        }
    }

    /// Takes what is still in the pipe of a process that is gone, as far as it is kept.
    async fn read_rest(&mut self) {
        while self.open && self.printed.octets().len() < KEPT_OUTPUT {
            if tokio::time::timeout(LAST_OCTETS, self.read()).await.is_err() {
                return;
            }
        }
    }

    /// Reads on for programs that were left behind.
    fn linger(mut self) {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static LINGER: AtomicUsize = AtomicUsize::new(0);
        if !self.open || LINGER.fetch_add(1, Ordering::Relaxed) >= LINGERING {
            LINGER.fetch_sub(usize::from(self.open), Ordering::Relaxed);
            return;
        }
        tokio::spawn(async move {
            while self.open {
                self.read().await;
            }
            LINGER.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
