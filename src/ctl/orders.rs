//! `holdfastctl stop`, `failover` and `maintenance`: each returns when it is done, and says what became of it.

use super::client::{AskError, ask};
use super::{Done, EXIT_FAILED, reload, text};
use crate::link::control::{Answer, Request};
use crate::report::{RoleStatus, RouterStatus, Status};
use crate::vrrp::Upkeep;
use clap::{Args, ValueEnum};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(100);

/// The longest handover takes thirty seconds, and a stop as long as its slowest role.
const LIMIT: Duration = Duration::from_secs(75);

/// Words of `failover`.
#[derive(Debug, Args)]
pub(super) struct Failover {
    /// The vrrp_instance; all of which this node is Master when none is named
    instance: Option<String>,
    /// All, in so many words
    #[arg(long, conflicts_with = "instance")]
    all: bool,
    /// Leave the successor in peace for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    hold: u32,
}

/// Words of `maintenance`.
#[derive(Debug, Args)]
pub(super) struct Maintain {
    /// Begin, or end
    switch: Switch,
    /// The vrrp_instance; all, those of later configurations too, when none is named
    instance: Option<String>,
    /// Serve all the same when no other node does (priority 1)
    #[arg(long)]
    allow_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Words of `stop`.
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// Leave addresses, routes and the IPVS table: a daemon that is started before the peers lose patience goes on with
    /// them (for restarts). Reloads first
    #[arg(long)]
    keep: bool,
}

/// Words of `upgrade`.
#[derive(Debug, Args)]
pub(super) struct Upgrade {
    /// The program; that of the running daemon, as it is on the disk now, when none is named
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Ends when the daemon has.
pub(super) fn stop(socket: &Path, order: &Stop) -> Done {
    if order.keep {
        put_in_force(socket, "nothing was stopped; holdfastctl stop hands over")?;
    }
    begin(socket, Request::Stop { keep: order.keep })?;
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Err(AskError::NoDaemon(..)) = ask(socket, Request::Status) {
            text::print("stopped\n");
            return Ok(0);
        }
        std::thread::sleep(LOOK);
    }
    Err(format!("the daemon still runs after {} s: see its log", LIMIT.as_secs()).into())
}

/// Ends when every handover has.
pub(super) fn failover(socket: &Path, order: Failover) -> Done {
    let Failover { instance, all: _, hold } = order;
    let instances: Vec<String> = instance.into_iter().collect();
    let names = begin(socket, Request::Failover { instances, hold_seconds: hold })?;
    let routers = settled(socket, |router| names.contains(&router.name))?;
    let (kept, gone): (Vec<_>, Vec<_>) = routers.into_iter().partition(|router| router.state == "MASTER");
    for router in &gone {
        text::print(&text::block(0, &format!("{}: {}: {}", router.name, router.state, router.reason)));
    }
    for router in &kept {
        let sentence = format!("{}: still MASTER: no other node has taken over", router.name);
        text::print(&text::block(0, &sentence));
    }
    Ok(if kept.is_empty() { 0 } else { EXIT_FAILED })
}

/// Ends when every handover has.
pub(super) fn maintenance(socket: &Path, order: Maintain) -> Done {
    let Maintain { switch, instance, allow_last } = order;
    let upkeep = (switch == Switch::On).then_some(Upkeep { allow_last });
    let names = begin(socket, Request::Maintenance { instance, upkeep })?;
    let chosen = |router: &RouterStatus| names.is_empty() || names.contains(&router.name);
    for router in settled(socket, chosen)? {
        text::print(&text::block(0, &format!("{}: {}: {}", router.name, router.state, router.reason)));
    }
    Ok(0)
}

/// Ends when the new program answers.
pub(super) fn upgrade(socket: &Path, order: Upgrade) -> Done {
    let before = status(socket)?;
    let running = PathBuf::from(format!("/proc/{}/exe", before.daemon.pid));
    let binary = match order.binary {
        Some(path) => std::path::absolute(path)?,
        None => {
            let name = std::fs::read_link(&running)?.to_string_lossy().into_owned();
            PathBuf::from(name.strip_suffix(" (deleted)").unwrap_or(&name))
        }
    };
    let new = test_configuration(&binary, &before.daemon.configuration)?;
    // A configuration that runs in spite of errors may have them still.
    if new != Some(0) && new != test_configuration(&running, &before.daemon.configuration)? {
        let path = binary.display();
        return Err(format!("{path} does not take the configuration: the daemon goes on as it is").into());
    }
    put_in_force(
        socket,
        "the daemon goes on as it is; upgrade with the configuration in force, then change it",
    )?;
    let images = (image(&running), image(&binary));
    let path = binary.display().to_string();
    let begun = Instant::now();
    begin(socket, Request::Upgrade { binary })?;
    while begun.elapsed() < LIMIT {
        std::thread::sleep(LOOK);
        let Ok(now) = status(socket) else { continue };
        let young = Duration::from_secs(now.daemon.uptime_seconds) <= begun.elapsed();
        let ready = |role: &RoleStatus| role.pid.is_none() || role.generation.is_some();
        if young && now.daemon.roles.iter().all(ready) {
            let (program, pid) = (&now.daemon.program, now.daemon.pid);
            if images.0 != images.1 && image(&PathBuf::from(format!("/proc/{pid}/exe"))) == images.0 {
                let sentence =
                    format!("{path} could not begin: the program before it goes on, pid {pid}; see the log");
                return Err(sentence.into());
            }
            text::print(&text::block(0, &format!("holdfast {program} goes on, pid {pid}")));
            return Ok(0);
        }
    }
    Err(format!("no new program answers after {} s: see the log", LIMIT.as_secs()).into())
}

/// The daemon that follows goes on with what its own configuration names, and removes nothing that only the one before it
/// knew. So what was changed in the file goes into force while somebody is there who can give up what it no longer names.
fn put_in_force(socket: &Path, otherwise: &str) -> Result<(), Box<dyn std::error::Error>> {
    let outcome = reload::ask_for(socket)?;
    if outcome.accepted && outcome.trouble.is_empty() {
        return Ok(());
    }
    text::print(&reload::render(&outcome));
    Err(format!("the configuration on the disk cannot be put in force first: {otherwise}").into())
}

/// What tells one program from another; the file may have lost its name.
fn image(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// The exit status of the program's look at the configuration; what it prints is for the user.
fn test_configuration(binary: &Path, configuration: &str) -> Result<Option<i32>, String> {
    let mut command = std::process::Command::new(binary);
    let status = command.args(["-t", "-f", configuration]).stdin(std::process::Stdio::null()).status();
    status.map(|status| status.code()).map_err(|error| format!("{}: {error}", binary.display()))
}

fn status(socket: &Path) -> Result<Status, AskError> {
    match ask(socket, Request::Status)? {
        Answer::Status(status) => Ok(*status),
        other => Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}"))),
    }
}

fn begin(socket: &Path, request: Request) -> Result<Vec<String>, AskError> {
    match ask(socket, request)? {
        Answer::Begun(names) => Ok(names),
        other => Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}"))),
    }
}

/// The chosen routers, once none of them hands over any more.
fn settled(
    socket: &Path,
    chosen: impl Fn(&RouterStatus) -> bool,
) -> Result<Vec<RouterStatus>, Box<dyn std::error::Error>> {
    let end = Instant::now() + LIMIT;
    loop {
        let routers = status(socket)?.vrrp.map(|vrrp| vrrp.routers).unwrap_or_default();
        let routers: Vec<RouterStatus> = routers.into_iter().filter(&chosen).collect();
        if routers.iter().all(|router| !router.hands_over) {
            return Ok(routers);
        }
        if Instant::now() > end {
            return Err(format!("not done after {} s: see holdfastctl status", LIMIT.as_secs()).into());
        }
        std::thread::sleep(LOOK);
    }
}
