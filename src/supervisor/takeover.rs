//! What an earlier run left: its record, and perhaps a vrrp role that goes on without a supervisor.

use crate::link::record::{MAGIC, header};
use crate::sys::process::born;
use crate::sys::shared_words::{Peek, SharedWords, is_in_memory};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Where records are kept, if it is in memory.
const DIRECTORIES: [&str; 2] = ["/run", "/dev/shm"];

/// A role without supervisor looks each 10 ms; one that has not ended after this hangs.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a killed process may take to go.
const FUNERAL: Duration = Duration::from_secs(5);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// The record of the daemon with this pid file; `None` where no directory is in memory.
pub fn record_path(pid_file: &Path) -> Option<PathBuf> {
    let directory = DIRECTORIES.iter().map(Path::new).find(|path| is_in_memory(path))?;
    let words: Vec<_> = pid_file.components().map(|word| word.as_os_str().to_string_lossy()).collect();
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "-._".contains(letter) { letter } else { '_' };
    let name: String = words.join("-").chars().filter(|letter| *letter != '/').map(plain).collect();
    // NAME_MAX is 255; the end of a path tells more than its beginning.
    let skip = name.chars().count().saturating_sub(120);
    let name: String = name.chars().skip(skip).collect();
    Some(directory.join(format!("holdfast.{}.record", name.trim_start_matches('-'))))
}

/// Waits until no vrrp role of an earlier supervisor runs: asks it to end and to leave everything as it is, and kills it
/// if it does not. What it held, the next one goes on with.
pub async fn take_over(path: &Path) {
    let begun = Instant::now();
    let mut asked = false;
    let mut killed = false;
    loop {
        let Ok(peek) = Peek::open(path) else { return };
        match SharedWords::open(path, 1) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Free, or of no use: the role says which when it opens it.
            _ => return,
        }
        let (process, since) = (peek.load(header::PROCESS), peek.load(header::BORN));
        let pid = i32::try_from(process).ok().filter(|pid| *pid > 1 && peek.load(header::MAGIC) == MAGIC);
        let is_it = pid.is_some() && u32::try_from(process).ok().and_then(born) == Some(since);
        if !asked && peek.store(header::YIELD, std::process::id().into()).is_ok() {
            asked = true;
            tracing::info!("a vrrp role (pid {process}) of an earlier supervisor runs: taking over from it");
        }
        let waited = begun.elapsed();
        if waited > PATIENCE && !killed && is_it {
            killed = true;
            tracing::error!("it has not answered for {} ms and is killed", PATIENCE.as_millis());
            // It has the lock, and it was started when the record says: the id is its own still.
            kill(Pid::from_raw(pid.unwrap_or_default()), Signal::SIGKILL).ok();
        }
        if waited > PATIENCE + FUNERAL {
            return tracing::error!(
                "process {process} keeps {}: no vrrp role can run until it ends",
                path.display()
            );
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_daemon_has_a_record_of_its_own() {
        let Some(path) = record_path(Path::new("/run/keepalived.pid")) else { return };
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        assert_eq!(name(path), Some("holdfast.run-keepalived.pid.record".to_owned()));
        let other = record_path(Path::new("/run/keepalived/red/keepalived_a.pid")).and_then(name);
        assert_eq!(other, Some("holdfast.run-keepalived-red-keepalived_a.pid.record".to_owned()));
        let long = format!("/{}/x.pid", "é".repeat(400));
        assert!(record_path(Path::new(&long)).and_then(name).is_some_and(|name| name.len() < 255));
    }
}
