//! The thread that changes addresses, so that a slow kernel never delays an advertisement.

use crate::netlink::route::RouteSocket;
use crate::sys::poll::Waker;
use crate::vrrp::{AddressOp, Event, KernelError, OpId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Operations sent to the kernel together. The core has at most one outstanding per address, so the queue is
/// bounded by the plan; this bounds one netlink message.
const BATCH: usize = 128;

/// Performs [`AddressOp`]s in order; results come back as [`Event::KernelDone`] when the descriptor is readable.
pub struct KernelWorker {
    requests: Sender<(OpId, AddressOp)>,
    results: Receiver<(OpId, Result<(), KernelError>)>,
    waker: Arc<Waker>,
}

impl KernelWorker {
    /// Starts the thread, in the caller's network namespace.
    pub fn start() -> io::Result<KernelWorker> {
        let (requests, inbox) = channel();
        let (outbox, results) = channel();
        let waker = Arc::new(Waker::new()?);
        let wake = Arc::clone(&waker);
        thread::Builder::new().name("addresses".into()).spawn(move || work(&inbox, &outbox, &wake))?;
        Ok(KernelWorker { requests, results, waker })
    }

    /// Queues an operation; never blocks.
    pub fn submit(&self, op: OpId, what: AddressOp) {
        self.requests.send((op, what)).expect("the worker lives as long as this sender: it ends when it is dropped");
    }

    /// Appends the results that are there.
    pub fn collect(&self, events: &mut Vec<Event>) -> io::Result<()> {
        self.waker.consume()?;
        events.extend(self.results.try_iter().map(|(op, result)| Event::KernelDone { op, result }));
        Ok(())
    }
}

impl AsFd for KernelWorker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

fn work(
    inbox: &Receiver<(OpId, AddressOp)>,
    outbox: &Sender<(OpId, Result<(), KernelError>)>,
    wake: &Waker,
) {
    let mut socket = None;
    while let Ok(first) = inbox.recv() {
        let mut ids = vec![first.0];
        let mut ops = vec![first.1];
        for (id, op) in inbox.try_iter().take(BATCH - 1) {
            ids.push(id);
            ops.push(op);
        }
        let results = apply(&mut socket, &ops);
        for pair in ids.into_iter().zip(results) {
            if outbox.send(pair).is_err() {
                return;
            }
        }
        if wake.wake().is_err() {
            return;
        }
    }
}

/// One result per operation. A socket that could not be opened fails them all; the core tries again.
fn apply(socket: &mut Option<RouteSocket>, ops: &[AddressOp]) -> Vec<Result<(), KernelError>> {
    if socket.is_none() {
        match RouteSocket::open() {
            Ok(opened) => *socket = Some(opened),
            Err(error) => {
                let error = KernelError { errno: error.errno, message: error.to_string() };
                return vec![Err(error); ops.len()];
            }
        }
    }
    let open = socket.as_mut().expect("opened above");
    let results = open.apply(ops);
    debug_assert_eq!(results.len(), ops.len());
    results
}
