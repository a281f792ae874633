//! The thread that talks to rtnetlink and waits for its answers, so that a slow kernel never delays an
//! advertisement.

use super::lease::Renewal;
use super::routes::KernelChange;
use crate::netlink::route::{Outcome, RouteSocket};
use crate::netlink::{Address, Link, NetlinkError};
use crate::sys::poll::Waker;
use crate::time::Instant;
use crate::vrrp::{KernelError, OpId, RouterId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Operations sent to the kernel together. The core has at most one outstanding per address, so the queue is
/// bounded by the plan; this bounds one netlink message.
const BATCH: usize = 128;

/// Something for the worker.
enum Job {
    Change(OpId, KernelChange),
    Renew(Renewal),
    Dump,
}

/// Something the worker has done.
pub enum Done {
    /// An address, route or rule was changed, or not.
    Change(OpId, Result<Outcome, KernelError>),
    /// The leases of one router were renewed, or not: the first failure.
    Renewed(RouterId, Instant, Result<(), KernelError>),
    /// All links and addresses.
    Dump(Result<Facts, NetlinkError>),
}

/// A dump: links first, then addresses.
pub type Facts = (Vec<Link>, Vec<Address>);

/// Performs jobs in order; what is done can be collected when the descriptor is readable.
pub struct KernelWorker {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    waker: Arc<Waker>,
}

impl KernelWorker {
    /// Starts the thread, in the caller's network namespace.
    pub fn start() -> io::Result<KernelWorker> {
        let (jobs, inbox) = channel();
        let (outbox, done) = channel();
        let waker = Arc::new(Waker::new()?);
        let wake = Arc::clone(&waker);
        thread::Builder::new().name("addresses".into()).spawn(move || work(&inbox, &outbox, &wake))?;
        Ok(KernelWorker { jobs, done, waker })
    }

    /// Queues a change of an address, route or rule; never blocks.
    pub fn change(&self, op: OpId, what: KernelChange) {
        self.submit(Job::Change(op, what));
    }

    /// Queues the renewal of leases, in one order with the changes; never blocks.
    pub fn renew(&self, renewal: Renewal) {
        self.submit(Job::Renew(renewal));
    }

    /// Asks for a dump of links and addresses; never blocks.
    pub fn dump(&self) {
        self.submit(Job::Dump);
    }

    fn submit(&self, job: Job) {
        self.jobs.send(job).expect("the worker ends only when this sender is dropped");
    }

    /// The next thing done; `None` when nothing is within `limit`. For the end only: the loop never waits.
    pub fn wait(&self, limit: Duration) -> Option<Done> {
        self.done.recv_timeout(limit).ok()
    }

    /// What has been done since the last call.
    pub fn collect(&self) -> io::Result<Vec<Done>> {
        self.waker.consume()?;
        Ok(self.done.try_iter().collect())
    }
}

impl AsFd for KernelWorker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// Links and addresses as they are now.
pub fn dump(socket: &mut RouteSocket) -> Result<Facts, NetlinkError> {
    let links = socket.links()?;
    Ok((links, socket.addresses()?))
}

/// Ends when either end of the channels is dropped.
fn work(inbox: &Receiver<Job>, outbox: &Sender<Done>, wake: &Waker) {
    let mut socket = None;
    while let Ok(first) = inbox.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(inbox.try_iter().take(BATCH - 1)).collect();
        for done in perform(&mut socket, jobs) {
            if outbox.send(done).is_err() {
                return;
            }
        }
        if wake.wake().is_err() {
            return;
        }
    }
}

/// Changes first, in one batch, then at most one dump: it shows what the changes did.
fn perform(socket: &mut Option<RouteSocket>, jobs: Vec<Job>) -> Vec<Done> {
    let mut asked = Vec::new();
    let mut changes = Vec::new();
    let mut dumps = false;
    for job in jobs {
        match job {
            Job::Change(id, change) => {
                asked.push(Asked::Change(id));
                changes.push(change);
            }
            Job::Renew(Renewal { router, asked_at, leases }) => {
                asked.push(Asked::Renewal(router, asked_at, leases.len()));
                changes.extend(leases.into_iter().map(|(op, lifetime)| KernelChange::Renewed(op, lifetime)));
            }
            Job::Dump => dumps = true,
        }
    }
    let mut done: Vec<Done> = Vec::new();
    match open(socket) {
        Ok(socket) => {
            let changes: Vec<_> = changes.iter().map(KernelChange::borrow).collect();
            let results = if changes.is_empty() { Vec::new() } else { socket.perform(&changes) };
            let mut results = results.into_iter();
            done.extend(asked.into_iter().filter_map(|asked| asked.conclude(&mut results)));
            if dumps {
                done.push(Done::Dump(dump(socket)));
            }
        }
        Err(error) => {
            // The core tries its changes again, the driver its dump and, with the next advertisement, its renewals.
            let told = KernelError { errno: error.errno, message: error.to_string() };
            let mut results = changes.iter().map(|_| Err(told.clone()));
            done.extend(asked.into_iter().filter_map(|asked| asked.conclude(&mut results)));
            if dumps {
                done.push(Done::Dump(Err(error)));
            }
        }
    }
    done
}

/// What a run of results answers.
enum Asked {
    Change(OpId),
    Renewal(RouterId, Instant, usize),
}

impl Asked {
    /// Takes its results; there is one for each change.
    fn conclude(self, results: &mut impl Iterator<Item = Result<Outcome, KernelError>>) -> Option<Done> {
        match self {
            Asked::Change(id) => Some(Done::Change(id, results.next()?)),
            Asked::Renewal(router, asked_at, count) => {
                let mut failure = Ok(());
                for result in results.take(count) {
                    // An interface that is gone took its addresses along: the core hears of that by itself.
                    if let Err(error) = result
                        && error.errno != libc::ENODEV
                        && failure.is_ok()
                    {
                        failure = Err(error);
                    }
                }
                Some(Done::Renewed(router, asked_at, failure))
            }
        }
    }
}

fn open(socket: &mut Option<RouteSocket>) -> Result<&mut RouteSocket, NetlinkError> {
    match socket {
        Some(socket) => Ok(socket),
        None => Ok(socket.insert(RouteSocket::open()?)),
    }
}
