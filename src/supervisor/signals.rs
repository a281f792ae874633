//! Signals to what they ask for.

use super::dump::Dump;
use super::run::Asks;
use crate::cli::signal_number;
use nix::libc;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that may wait for the loop. More of the same while it is busy say nothing new.
const WAITING: usize = 16;

/// Catches every signal that keepalived understands. Others may ask over the sender, too. Call it inside the runtime.
pub fn catch(ignore_sigint: bool) -> io::Result<(mpsc::Sender<Asks>, mpsc::Receiver<Asks>)> {
    let (to, asks) = mpsc::channel(WAITING);
    let table = [
        (SignalKind::terminate(), Some(Asks::Stop)),
        (SignalKind::interrupt(), (!ignore_sigint).then_some(Asks::Stop)),
        (SignalKind::hangup(), Some(Asks::Reload)),
        (SignalKind::user_defined1(), Some(Asks::Dump(Dump::Data))),
        (SignalKind::user_defined2(), Some(Asks::Dump(Dump::Stats))),
        (raw("STATS_CLEAR"), Some(Asks::Dump(Dump::StatsClear))),
        (raw("JSON"), Some(Asks::Dump(Dump::Json))),
    ];
    for (kind, asks) in table {
        let mut caught = signal(kind)?;
        let to = to.clone();
        tokio::spawn(async move {
            while caught.recv().await.is_some() {
                if let Some(asks) = asks
                    && to.send(asks).await.is_err()
                {
                    return;
                }
            }
        });
    }
    for number in meaningless() {
        // Caught from now on, although nobody listens: without this each of them would end the daemon.
        drop(signal(SignalKind::from_raw(number))?);
    }
    // A broken pipe is an error to handle where it happens: Rust's runtime ignores SIGPIPE already, and roles,
    // being Rust programs, do the same at their start.
    Ok((to, asks))
}

/// Signals that mean nothing to us and whose default is the end of the process. Those of a fault are not among them.
fn meaningless() -> impl Iterator<Item = i32> {
    let classic = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF, libc::SIGIO, libc::SIGSTKFLT, libc::SIGPWR];
    classic.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
}

fn raw(name: &str) -> SignalKind {
    SignalKind::from_raw(signal_number(name).expect("a name of keepalived's"))
}
