//! Tracked processes: the kernel's news of them, or a look at all of them each second where it does not speak.

use crate::netlink::proc_events::{ProcEvent, ProcEvents};
use crate::sys::readable::Readable;
use crate::time::Instant;
use crate::track::process::{Action, Facts, Processes};
use std::io;
use std::time::Duration;
use tracing::warn;

/// How often all processes are looked at where the kernel does not speak.
const LOOK: Duration = Duration::from_secs(1);

/// News taken at once; the loop does other things in between.
const NEWS: usize = 256;

/// Octets of a command line that are read: those of the kernel's longest argument and some more.
const COMMAND_LINE: u64 = 256 << 10;

/// The processes and where news of them come from.
#[derive(Default)]
pub struct Watch {
    core: Processes,
    source: Option<Source>,
}

enum Source {
    Kernel(ProcEvents, Readable),
    /// The next look is due then; a wait that is dropped must not begin anew.
    Looking(tokio::time::Instant),
}

impl Watch {
    /// What is known.
    pub fn core(&self) -> &Processes {
        &self.core
    }

    /// Watches other processes from now on.
    pub fn plan(
        &mut self,
        plans: Vec<crate::plan::scripts::TrackedProcess>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let idle = plans.is_empty();
        self.core.plan(plans, now, actions);
        if idle {
            self.source = None;
            return;
        }
        // Listen first, then look: nothing falls between.
        self.source.get_or_insert_with(open);
        self.look(now, actions);
    }

    /// Waits until there is news, or it is time to look.
    pub async fn wait(&self) -> io::Result<()> {
        match &self.source {
            Some(Source::Kernel(_, readable)) => readable.wait().await,
            Some(Source::Looking(at)) => {
                tokio::time::sleep_until(*at).await;
                Ok(())
            }
            None => std::future::pending().await,
        }
    }

    /// Takes what there is. False: there may be more.
    pub fn take(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let Some(Source::Kernel(events, _)) = &mut self.source else {
            self.look(now, actions);
            self.source = self.source.is_some().then(looking);
            return true;
        };
        for _ in 0..NEWS {
            match events.next() {
                Ok(None) => return true,
                Ok(Some(ProcEvent::Changed(pid))) => match facts(pid, self.core.want_words()) {
                    Some(facts) => self.core.changed(pid, &facts, now, actions),
                    None => self.core.gone(pid, now, actions),
                },
                Ok(Some(ProcEvent::Gone(pid))) => self.core.gone(pid, now, actions),
                Ok(Some(ProcEvent::Answer(_) | ProcEvent::Other)) => {}
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {
                    warn!("news of processes were lost: all are looked at anew");
                    self.look(now, actions);
                    return false;
                }
                Err(error) => {
                    no_news(&error);
                    self.source = Some(looking());
                    return true;
                }
            }
        }
        false
    }

    /// Lets changes count whose delay is over.
    pub fn timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.core.handle_timeout(now, actions);
    }

    fn look(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let want_words = self.core.want_words();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let found: Vec<(i32, Facts)> = pids.filter_map(|pid| Some((pid, facts(pid, want_words)?))).collect();
        self.core.scan(&found, now, actions);
    }
}

fn open() -> Source {
    let opened = ProcEvents::open().and_then(|events| Ok((Readable::new(&events)?, events)));
    match opened {
        Ok((readable, events)) => Source::Kernel(events, readable),
        Err(error) => {
            no_news(&error);
            looking()
        }
    }
}

fn looking() -> Source {
    Source::Looking(tokio::time::Instant::now() + LOOK)
}

fn no_news(error: &io::Error) {
    warn!(
        "the kernel gives no news of processes here ({error}; it does in the initial network namespace, with \
         CAP_NET_ADMIN): tracked processes are looked for once a second"
    );
}

/// What a process is; `None` if it is gone, or a zombie.
fn facts(pid: i32, want_words: bool) -> Option<Facts> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // PID (NAME) STATE ...: the name may hold anything.
    let open = stat.iter().position(|octet| *octet == b'(')?;
    let close = stat.iter().rposition(|octet| *octet == b')')?;
    let state = stat.get(close + 2)?;
    if matches!(state, b'Z' | b'X' | b'x') {
        return None;
    }
    let name = stat.get(open + 1..close)?.to_vec();
    let words = if want_words { command_line(pid) } else { Vec::new() };
    Some(Facts { name, words })
}

fn command_line(pid: i32) -> Vec<Vec<u8>> {
    use std::io::Read;
    let mut octets = Vec::new();
    let read = std::fs::File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(COMMAND_LINE).read_to_end(&mut octets));
    let ended = octets.strip_suffix(&[0]).unwrap_or(&octets);
    match read {
        Ok(count) if count > 0 => ended.split(|octet| *octet == 0).map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    }
}
