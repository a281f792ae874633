//! What the configuration says of the daemon itself: its namespace, its files, its first and last script.

use super::settings::Settings;
use super::takeover::record_path;
use crate::plan::GlobalPlan;
use crate::plan::process::{IpvsNamespace, LifeScript};
use crate::role::namespace;
use crate::role::scripts::{Push, run_command};
use crate::sys::process::set_name;
use crate::track::scripts::Ending;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// From SIGTERM to SIGKILL for a script that takes too long.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What must stay open for as long as the daemon lives.
#[derive(Debug, Default)]
pub struct Home {
    /// The namespace that the daemon was started in, where its IPVS table is to be.
    _original: Option<File>,
}

/// Moves to where the configuration says, before any role starts. The error is a sentence.
pub fn settle(settings: &mut Settings, global: &GlobalPlan) -> Result<Home, String> {
    let GlobalPlan { daemon, processes, .. } = global;
    let mut home = Home::default();
    match &daemon.ipvs_namespace {
        None => {}
        Some(IpvsNamespace::Named(name)) => {
            settings.launcher.ipvs_namespace = Some(namespace::path_of(name));
        }
        Some(IpvsNamespace::Original) => {
            let original = File::open("/proc/self/ns/net")
                .map_err(|error| format!("net_namespace_ipvs: /proc/self/ns/net: {error}"))?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), original.as_raw_fd());
            settings.launcher.ipvs_namespace = Some(PathBuf::from(path));
            home._original = Some(original);
        }
    }
    if let Some(name) = daemon.namespace.as_ref().filter(|_| settings.namespace.is_none()) {
        namespace::enter(name)
            .map_err(|error| format!("net_namespace {name}: {error}; nothing was started"))?;
        tracing::info!("in network namespace {name}");
    }
    settings.settled = true;
    settings.take_names(daemon);
    settings.launcher.record = record_path(&settings.pid_file);
    if let Some(directory) = settings.pid_file.parent().filter(|path| path.starts_with("/run/keepalived")) {
        // What goes wrong here is said with the name of the file that then cannot be made.
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).ok();
    }
    adopt(settings, global);
    if let Some(name) = &processes.supervisor
        && let Err(error) = set_name(name)
    {
        tracing::warn!("process_name {name}: {error}");
    }
    Ok(home)
}

/// What a reload may change too.
pub fn adopt(settings: &mut Settings, global: &GlobalPlan) {
    if let Some(limit) = global.daemon.stop_limit {
        settings.limits.stop = limit;
    }
    let before = std::mem::replace(&mut settings.launcher.no_confinement, global.daemon.no_confinement);
    match (before, global.daemon.no_confinement) {
        (false, true) => {
            tracing::warn!(
                "no_confinement: roles that are started from now on keep every right of the daemon"
            );
        }
        (true, false) => {
            tracing::info!(
                "no_confinement ends: roles that are started from now on keep what they need only"
            );
        }
        _ => {}
    }
}

/// Runs `startup_script` or `shutdown_script` to its end.
pub async fn run_script(keyword: &str, script: Option<&LifeScript>) {
    let Some(LifeScript { command, timeout: limit }) = script else { return };
    let name = command.words.join(" ");
    if let Some(why) = &command.cannot_run {
        return tracing::error!("{keyword} {name} is not run: {why}");
    }
    tracing::info!("{keyword} {name} runs");
    let (push, pushes) = mpsc::channel(2);
    let run = run_command(command, pushes);
    tokio::pin!(run);
    let ended = match timeout(*limit, &mut run).await {
        Ok(ended) => Some(ended),
        Err(_) => {
            tracing::error!("{keyword} {name} takes longer than {} s and is ended", limit.as_secs_f32());
            // Two places, and nobody else fills them.
            push.try_send(Push::Terminate).ok();
            let ended = timeout(LAST_MOMENT, &mut run).await.ok();
            if ended.is_none() {
                push.try_send(Push::Kill).ok();
                timeout(LAST_MOMENT, &mut run).await.ok();
            }
            return;
        }
    };
    match ended {
        Some((Ending::Exited(0), _)) => tracing::info!("{keyword} has ended"),
        Some((ending, output)) => {
            tracing::error!("{keyword} {name}: {ending:?}; the daemon goes on. {output}")
        }
        None => {}
    }
}
