//! The one-shot compile process: it reads the configuration so that nobody else has to.

use super::child::ending;
use super::settings::Settings;
use crate::link::MAX_FRAME;
use crate::link::frame::Decoder;
use crate::link::kept::CompileAnswer;
use crate::plan::Generation;
use crate::role::Role;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// Read at most this much at once.
const READ: usize = 64 << 10;

/// After its answer a compile process has nothing left to do but exit.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// Compiles the configuration as `generation`. The error says why there is no answer; an answer may still
/// say that the configuration cannot be run. Dropping the future kills the process.
pub async fn compile(settings: &Settings, generation: Generation) -> Result<CompileAnswer, String> {
    let limit = settings.limits.compile;
    match tokio::time::timeout(limit, run(settings, generation)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!(
            "reading {} took longer than {} s and was given up",
            settings.configuration.display(),
            limit.as_secs_f32()
        )),
    }
}

async fn run(settings: &Settings, generation: Generation) -> Result<CompileAnswer, String> {
    let failed = |error: io::Error| format!("the process that reads the configuration cannot run: {error}");
    let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let mut link = UnixStream::from_std(ours).map_err(failed)?;
    let mut command = settings.launcher.command(Role::Compile);
    command.arg("--use-file").arg(&settings.configuration);
    command.args(["--generation", &generation.0.to_string()]);
    if let Some(id) = &settings.config_id {
        command.args(["--config-id", id]);
    }
    if let Some(name) = &settings.namespace {
        command.args(["--namespace", name]);
    }
    command.args(settings.settled.then_some("--settled"));
    for (wanted, flag) in [(settings.want_vrrp, "--vrrp"), (settings.want_checker, "--check")] {
        command.args(wanted.then_some(flag));
    }
    command.args(settings.snmp.then_some("--snmp"));
    if let Some(socket) = &settings.snmp_socket {
        command.args(["--snmp-agent-socket", socket]);
    }
    command.stdin(Stdio::from(OwnedFd::from(theirs))).kill_on_drop(true);
    let mut process = command.spawn().map_err(failed)?;
    // The command keeps its copy of the other end: without dropping it the end of the link would never be seen.
    drop(command);
    let answer = read_answer(&mut link).await;
    let status = tokio::time::timeout(EXIT_LIMIT, process.wait()).await;
    match (answer, status) {
        (Ok(Some(compiled)), _) => Ok(compiled),
        (Ok(None), Ok(status)) => {
            Err(format!("the process that reads the configuration {} before it answered", ending(&status)))
        }
        (Ok(None), Err(_)) => Err("the process that reads the configuration closed its link".to_owned()),
        (Err(reason), _) => {
            Err(format!("the process that reads the configuration is not understood: {reason}"))
        }
    }
}

/// The one answer; `None` if the link ends before it is whole.
async fn read_answer(link: &mut UnixStream) -> Result<Option<CompileAnswer>, String> {
    let mut decoder = Decoder::default();
    let mut octets = vec![0; READ];
    let mut total = 0;
    // The decoder refuses a frame over the limit; this bounds what is collected while it is not whole.
    while total <= MAX_FRAME + 4 {
        // A process that died may reset the link: that is its end too.
        let count = link.read(&mut octets).await.unwrap_or(0);
        if count == 0 {
            return Ok(None);
        }
        decoder.push(&octets[..count]);
        total += count;
        if let Some(compiled) = decoder.message().map_err(|error| error.to_string())? {
            return Ok(Some(compiled));
        }
    }
    Err("its answer is too long".to_owned())
}
