//! The thread that talks to rtnetlink and waits for its answers, so that a slow kernel never delays an
//! advertisement.

use super::routes::KernelChange;
use crate::netlink::route::RouteSocket;
use crate::netlink::{Address, Link, NetlinkError};
use crate::sys::poll::Waker;
use crate::vrrp::{KernelError, OpId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Operations sent to the kernel together. The core has at most one outstanding per address, so the queue is
/// bounded by the plan; this bounds one netlink message.
const BATCH: usize = 128;

/// Something for the worker.
enum Job {
    Change(OpId, KernelChange),
    Dump,
}

/// Something the worker has done.
pub enum Done {
    /// An address, route or rule was changed, or not.
    Change(OpId, Result<(), KernelError>),
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

    /// Asks for a dump of links and addresses; never blocks.
    pub fn dump(&self) {
        self.submit(Job::Dump);
    }

    fn submit(&self, job: Job) {
        self.jobs.send(job).expect("the worker ends only when this sender is dropped");
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
    let mut ids = Vec::new();
    let mut changes = Vec::new();
    let mut dumps = false;
    for job in jobs {
        match job {
            Job::Change(id, change) => {
                ids.push(id);
                changes.push(change);
            }
            Job::Dump => dumps = true,
        }
    }
    let mut done: Vec<Done> = Vec::new();
    match open(socket) {
        Ok(socket) => {
            let changes: Vec<_> = changes.iter().map(KernelChange::borrow).collect();
            let results = if changes.is_empty() { Vec::new() } else { socket.perform(&changes) };
            done.extend(ids.into_iter().zip(results).map(|(id, result)| Done::Change(id, result)));
            if dumps {
                done.push(Done::Dump(dump(socket)));
            }
        }
        Err(error) => {
            // The core tries its changes again, the driver its dump.
            let told = KernelError { errno: error.errno, message: error.to_string() };
            done.extend(ids.into_iter().map(|id| Done::Change(id, Err(told.clone()))));
            if dumps {
                done.push(Done::Dump(Err(error)));
            }
        }
    }
    done
}

fn open(socket: &mut Option<RouteSocket>) -> Result<&mut RouteSocket, NetlinkError> {
    match socket {
        Some(socket) => Ok(socket),
        None => Ok(socket.insert(RouteSocket::open()?)),
    }
}
