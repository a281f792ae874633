//! The thread that talks to rtnetlink and waits for its answers, so that a slow kernel never delays an
//! advertisement.

use super::lease::Renewal;
use super::routes::KernelChange;
use super::unanswered::{self, Place, Unanswered};
use crate::netlink::route::{Outcome, RouteSocket};
use crate::netlink::{Address, Link, NetlinkError};
use crate::sys::poll::Waker;
use crate::time::Instant;
use crate::vrrp::{KernelError, OpId, RouterId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
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
        KernelWorker::start_with(Unanswered::default())
    }

    fn start_with(unanswered: Unanswered) -> io::Result<KernelWorker> {
        let (jobs, inbox) = channel();
        let (outbox, done) = channel();
        let waker = Arc::new(Waker::new()?);
        let wake = Arc::clone(&waker);
        thread::Builder::new()
            .name("addresses".into())
            .spawn(move || work(&inbox, &outbox, &wake, unanswered))?;
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
fn work(inbox: &Receiver<Job>, outbox: &Sender<Done>, wake: &Waker, unanswered: Unanswered) {
    let mut hands = Hands { socket: None, unanswered };
    while let Some(jobs) = next_jobs(inbox, hands.unanswered.is_empty()) {
        let mut done = hands.settle();
        if !jobs.is_empty() {
            done.extend(hands.perform(jobs));
        }
        let wakes = !done.is_empty();
        if done.into_iter().any(|done| outbox.send(done).is_err()) || (wakes && wake.wake().is_err()) {
            return;
        }
    }
}

/// What is queued; waits for something if the worker is idle. `None` when nobody can ask any more.
fn next_jobs(inbox: &Receiver<Job>, idle: bool) -> Option<Vec<Job>> {
    let first = match inbox.try_recv() {
        Err(TryRecvError::Empty) if idle => inbox.recv().ok()?,
        Err(TryRecvError::Empty) => return Some(Vec::new()),
        Err(TryRecvError::Disconnected) => return None,
        Ok(job) => job,
    };
    Some(std::iter::once(first).chain(inbox.try_iter().take(BATCH - 1)).collect())
}

/// What the thread works with.
struct Hands {
    socket: Option<RouteSocket>,
    unanswered: Unanswered,
}

impl Hands {
    /// Additions that waited for the kernel to answer and are done now.
    fn settle(&mut self) -> Vec<Done> {
        self.unanswered.settle().into_iter().map(|op| Done::Change(op, Ok(Outcome::Done))).collect()
    }

    /// Changes first, in one batch, then at most one dump: it shows what the changes did.
    fn perform(&mut self, jobs: Vec<Job>) -> Vec<Done> {
        let mut asked = Vec::new();
        let mut changes = Vec::new();
        let mut dumps = false;
        for job in jobs {
            match job {
                Job::Change(id, change) => {
                    asked.push(Asked::Change(id, unanswered::place(&change)));
                    changes.push(change);
                }
                Job::Renew(Renewal { router, asked_at, leases }) => {
                    asked.push(Asked::Renewal(router, asked_at, leases.len()));
                    changes
                        .extend(leases.into_iter().map(|(op, lifetime)| KernelChange::Renewed(op, lifetime)));
                }
                Job::Dump => dumps = true,
            }
        }
        self.unanswered.listen_for(&changes);
        let results = self.change(&changes);
        let mut results = results.into_iter();
        let mut done: Vec<Done> = Vec::new();
        for asked in asked {
            done.extend(asked.conclude(&mut results, &mut self.unanswered));
        }
        self.unanswered.rest();
        if dumps {
            done.push(Done::Dump(open(&mut self.socket).and_then(dump)));
        }
        done
    }

    /// One result for each. The core tries its changes again, the driver, with the next advertisement, its renewals.
    fn change(&mut self, changes: &[KernelChange]) -> Vec<Result<Outcome, KernelError>> {
        if changes.is_empty() {
            return Vec::new();
        }
        match open(&mut self.socket) {
            Ok(socket) => socket.perform(&changes.iter().map(KernelChange::borrow).collect::<Vec<_>>()),
            Err(error) => {
                let told = KernelError { errno: error.errno, message: error.to_string() };
                changes.iter().map(|_| Err(told.clone())).collect()
            }
        }
    }
}

/// What a run of results answers.
enum Asked {
    Change(OpId, Option<Place>),
    Renewal(RouterId, Instant, usize),
}

impl Asked {
    /// Takes its results; there is one for each change. `None` if it is not done yet.
    fn conclude(
        self,
        results: &mut impl Iterator<Item = Result<Outcome, KernelError>>,
        unanswered: &mut Unanswered,
    ) -> Option<Done> {
        match self {
            Asked::Change(id, place) => match (results.next()?, place) {
                (Ok(Outcome::Done), Some(place)) if unanswered.expect(id, place) => None,
                (result, _) => Some(Done::Change(id, result)),
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::IpCidr;
    use crate::plan::vrrp::VirtualAddress;
    use crate::vrrp::AddressOp;
    use std::net::{IpAddr, Ipv6Addr};
    use std::process::{Child, Command};

    /// The loopback interface's index, in every network namespace.
    const LOOPBACK: u32 = 1;

    /// What no other work of the machine takes so long to let through.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// More work than processors, each in a session of its own: the kernel's threads get their share late.
    struct Busy(Vec<Child>);

    impl Busy {
        fn begin() -> Busy {
            let one = |_| Command::new("setsid").args(["sh", "-c", "while :; do :; done"]).spawn();
            let count = 2 * thread::available_parallelism().map_or(2, usize::from);
            Busy((0..count).map(|number| one(number).expect("util-linux and a shell")).collect())
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            for child in &mut self.0 {
                child.kill().expect("it runs");
                child.wait().expect("our child");
            }
        }
    }

    fn has_local_route(address: Ipv6Addr) -> bool {
        let digits: String = address.octets().iter().map(|octet| format!("{octet:02x}")).collect();
        let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route").expect("a kernel with IPv6");
        routes.lines().any(|line| line.starts_with(&format!("{digits} 80")))
    }

    #[test]
    fn an_ipv6_address_that_is_done_is_answered_for() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: this test makes a network namespace, which needs root");
            return;
        }
        let tried = thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
                .expect("root may make a network namespace");
            RouteSocket::open()
                .and_then(|mut route| route.set_up(LOOPBACK, true))
                .expect("it has a loopback");
            // However busy the machine is: that it waits is seen here, not for how long.
            let worker = KernelWorker::start_with(Unanswered::new(PATIENCE)).expect("a thread");
            let _busy = Busy::begin();
            for number in 1..=20 {
                let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number);
                let cidr = IpCidr::new(IpAddr::V6(address), 64).expect("64 is at most 128");
                let add = AddressOp::add(LOOPBACK, &VirtualAddress::new(cidr));
                worker.change(OpId(number.into()), KernelChange::Address(add));
                let done = worker.wait(2 * PATIENCE);
                assert!(matches!(done, Some(Done::Change(_, Ok(Outcome::Done)))), "{number}: added");
                assert!(has_local_route(address), "{number}: the kernel does not answer yet");
            }
        });
        tried.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}
