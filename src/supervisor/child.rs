//! One running process of a role: its link, its heartbeat, and how it ends.

use super::settings::Launcher;
use super::worker::{Order, Report, Worker};
use crate::link::frame::{Decoder, FrameError};
use crate::link::kept::KeptPlans;
use crate::plan::Generation;
use crate::sys::process::Stat;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Signals that may wait for delivery: at most an abort and a kill are ever sent.
const SIGNALS: usize = 4;

/// Read at most this much of a link at once.
const READ: usize = 64 << 10;

/// What happened to a process of a role. Stale ones are told by their incarnation.
#[derive(Debug)]
pub enum ChildEvent {
    /// It said something.
    Said(Report),
    /// It closed its link; most likely it is ending.
    LinkClosed,
    /// Its link is unusable, and why.
    LinkBroken(String),
    /// It is gone.
    Exited(io::Result<ExitStatus>),
}

/// Where events go: (which role, which incarnation, what).
pub type ChildEvents = mpsc::Sender<(Worker, u64, ChildEvent)>;

/// Is the process meant to live?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Yes.
    No,
    /// It was told to stop.
    Asked {
        /// Patience ends here.
        until: Instant,
    },
    /// It was sent SIGABRT, or closed its link.
    Ending {
        /// Patience ends here.
        until: Instant,
    },
    /// It was sent SIGKILL.
    Killed,
}

/// A running process of a role.
#[derive(Debug)]
pub struct Child {
    /// Process id.
    pub pid: u32,
    /// Tells its events from those of its predecessors.
    pub incarnation: u64,
    /// When it was started.
    pub started: Instant,
    /// The plan that it reported last.
    pub generation: Option<Generation>,
    /// Heartbeats sent since it last said anything.
    pub unanswered: u32,
    /// How it ends.
    pub end: End,
    /// The version of Landlock that restricts it, by its own word.
    pub landlock: Option<u32>,
    /// How much longer than others it may take to stop, by the plans it was given.
    farewell: Duration,
    worker: Worker,
    frames: mpsc::Sender<Vec<u8>>,
    signals: mpsc::Sender<Signal>,
}

impl Child {
    /// Starts a process for `worker` with its link as file descriptor 0.
    pub fn spawn(
        launcher: &Launcher,
        worker: Worker,
        incarnation: u64,
        events: &ChildEvents,
    ) -> io::Result<Child> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(ours)?.into_split();
        let mut command = launcher.command(worker.role());
        let process = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        // Until it is waited for, and nobody else does that, a process has its id.
        let pid = process.id().unwrap_or_default();
        let (frames, queue) = mpsc::channel(worker.queue());
        let (signals, orders) = mpsc::channel(SIGNALS);
        tokio::spawn(write_frames(write, queue));
        let to = Sink { worker, incarnation, events: events.clone() };
        let reader = tokio::spawn(read_reports(read, to.clone()));
        tokio::spawn(wait(process, orders, reader, to));
        let (generation, unanswered, landlock) = (None, 0, None);
        let (started, end, farewell) = (Instant::now(), End::No, Duration::ZERO);
        Ok(Child {
            pid,
            incarnation,
            started,
            generation,
            unanswered,
            end,
            landlock,
            farewell,
            worker,
            frames,
            signals,
        })
    }

    /// Queues a plan; false if it cannot be.
    pub fn send_plan(&mut self, plans: &KeptPlans) -> bool {
        // The plan before may be in force still.
        self.farewell = self.farewell.max(self.worker.farewell(plans));
        let process = self.worker.process_frame(plans);
        let frames = process.and_then(|mut frames| {
            frames.extend(self.worker.plan_frame(plans)?);
            Ok(frames)
        });
        self.send(frames)
    }

    /// Queues an order; false if it cannot be.
    pub fn send_order(&self, order: Order) -> bool {
        self.send(self.worker.order_frame(order))
    }

    /// Queues whole frames; false if they cannot be.
    pub fn send(&self, frame: Result<Vec<u8>, FrameError>) -> bool {
        match frame {
            Ok(frame) => self.frames.try_send(frame).is_ok(),
            Err(error) => {
                tracing::error!("cannot tell {} anything: {error}", self.worker.role().ident());
                false
            }
        }
    }

    /// Tells it to stop within `limit`, and the time that its plans give it.
    pub fn stop(&mut self, release: bool, limit: Duration) {
        if self.send_order(Order::Stop { release }) {
            self.end = End::Asked { until: Instant::now() + limit + self.farewell };
        } else {
            self.kill();
        }
    }

    /// Sends SIGABRT, so that a core dump can show where it hangs; SIGKILL follows.
    fn abort(&mut self, limit: Duration) {
        self.signal(Signal::SIGABRT);
        self.expect_end(limit);
    }

    /// Ends a silent process: with SIGABRT, which a process that was stopped (SIGSTOP) would only take when it is
    /// continued, and then with SIGKILL.
    pub fn end_silent(&mut self, limit: Duration) {
        if self.is_stopped() { self.kill() } else { self.abort(limit) }
    }

    /// Is the process stopped by a signal or a debugger (proc_pid_stat(5), field 3)?
    pub fn is_stopped(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| matches!(stat.state(), 'T' | 't'))
    }

    /// It was told to stop in order, and is stopped in the other sense.
    pub fn kill_stopped(&mut self, ident: &str) {
        let pid = self.pid;
        tracing::error!("{ident} (pid {pid}) is stopped by a signal or a debugger and is killed");
        self.kill();
    }

    /// Gives it a last moment to end by itself.
    pub fn expect_end(&mut self, limit: Duration) {
        self.end = End::Ending { until: Instant::now() + limit };
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.end = End::Killed;
    }

    fn signal(&self, signal: Signal) {
        // A full queue holds a SIGKILL; a closed one means that it is gone already.
        self.signals.try_send(signal).ok();
    }

    /// When patience with it ends.
    pub fn deadline(&self) -> Option<Instant> {
        match self.end {
            End::Asked { until } | End::Ending { until } => Some(until),
            End::No | End::Killed => None,
        }
    }
}

/// Where the tasks of one process report.
#[derive(Clone)]
struct Sink {
    worker: Worker,
    incarnation: u64,
    events: ChildEvents,
}

impl Sink {
    async fn send(&self, event: ChildEvent) {
        // Closed only when the supervisor ends.
        self.events.send((self.worker, self.incarnation, event)).await.ok();
    }
}

async fn write_frames(mut link: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = queue.recv().await {
        if link.write_all(&frame).await.is_err() {
            // The reader sees the same end and reports it.
            return;
        }
    }
}

async fn read_reports(mut link: OwnedReadHalf, to: Sink) {
    let mut decoder = Decoder::default();
    let mut octets = vec![0; READ];
    loop {
        match link.read(&mut octets).await {
            Ok(0) => return to.send(ChildEvent::LinkClosed).await,
            Ok(count) => decoder.push(&octets[..count]),
            Err(error) => return to.send(ChildEvent::LinkBroken(error.to_string())).await,
        }
        loop {
            match to.worker.next_report(&mut decoder) {
                Ok(Some(report)) => to.send(ChildEvent::Said(report)).await,
                Ok(None) => break,
                Err(error) => return to.send(ChildEvent::LinkBroken(error.to_string())).await,
            }
        }
    }
}

/// Waits for the end of the process, delivers signals until then, and reports the end after all that it said.
async fn wait(
    mut process: tokio::process::Child,
    mut orders: mpsc::Receiver<Signal>,
    reader: tokio::task::JoinHandle<()>,
    to: Sink,
) {
    let mut open = true;
    let status = loop {
        tokio::select! {
            status = process.wait() => break status,
            signal = orders.recv(), if open => match (signal, process.id()) {
                (Some(signal), Some(pid)) => {
                    // Not waited for yet, so the id is still its own. i32 holds every pid of Linux.
                    kill(Pid::from_raw(pid as i32), signal).ok();
                }
                (None, _) => open = false,
                (Some(_), None) => {}
            },
        }
    };
    // A descendant may hold the other end open: do not wait for that.
    tokio::time::timeout(Duration::from_secs(1), reader).await.ok();
    to.send(ChildEvent::Exited(status)).await;
}

/// How a process ended, in words.
pub fn ending(status: &io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Err(error) => format!("ended unseen ({error})"),
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with status {code}"),
            (None, Some(number)) => match Signal::try_from(number) {
                Ok(signal) => format!("died of {signal}"),
                Err(_) => format!("died of signal {number}"),
            },
            (None, None) => status.to_string(),
        },
    }
}
