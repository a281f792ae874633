//! A thread that owns the kernel's IPVS table: it alone dumps and changes it, so a slow kernel delays no check.
//!
//! It is told what is wanted and sees to it: reconciles what changed, repairs what others changed, and after a
//! refusal takes a fresh dump and tries again, ever more slowly.

mod around;
mod rows;
mod rules;
mod timeouts;

use crate::lvs::reconcile;
use crate::lvs::sync::SyncDaemon;
use crate::lvs::table::{Service, Table, TableOp};
use crate::netlink::ipvs::Ipvs;
use crate::netlink::{MAX_BATCH, NetlinkError};
use crate::plan::Generation;
use crate::plan::lvs::{KernelSettings, ServiceKey, ServiceRules, SyncRole, Timeouts};
use crate::report::TableLatency;
use around::Around;
use nix::net::if_::if_nametoindex;
use rows::{Row, added_service, needs_any_of, row};
pub use rules::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Our services are compared with the kernel's this often, to find what somebody else changed.
pub const AUDIT_INTERVAL: Duration = Duration::from_secs(10);

/// Wait after a second failure in a row; the first one is tried again at once, upon a fresh dump.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// The longest wait between tries.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Differences or refusals named in the log one by one; the rest is counted.
const MAX_SENTENCES: usize = 20;

/// Dumps tried at start before the kernel's state is taken as unknown.
const FIRST_DUMPS: usize = 3;

/// The kernel's table, or a stand-in for tests.
pub trait TableStore {
    /// All of it.
    fn dump(&mut self) -> Result<Table, StoreError>;
    /// Performs changes in order; one result for each.
    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>>;
    /// Empties it.
    fn flush(&mut self) -> Result<(), StoreError>;
    /// The timeouts of connections.
    fn timeouts(&mut self) -> Result<Timeouts, StoreError>;
    /// Sets them; those that are 0 stay.
    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), StoreError>;
    /// The synchronisation daemons that run.
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError>;
    /// Starts one.
    fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), StoreError>;
    /// Stops the one of this role.
    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), StoreError>;
    /// The index of the interface of this name where the table is.
    fn interface(&mut self, name: &str) -> Option<u32> {
        if_nametoindex(name).ok()
    }
    /// Makes the packet filter's part as `rules` say. What is there of us, as far as is known, is in `standing`.
    fn set_rules(&mut self, rules: &ServiceRules, standing: &mut Standing) -> Result<(), StoreError>;
    /// Is it still as it was set?
    fn has_rules(&mut self, rules: &ServiceRules, standing: &mut Standing) -> Result<bool, StoreError>;
}

/// Opens the table; called again, slowly, for as long as it fails.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn TableStore>, StoreError> + Send>;

/// Why the table cannot be read or changed, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

impl From<NetlinkError> for StoreError {
    fn from(error: NetlinkError) -> StoreError {
        StoreError(error.to_string())
    }
}

impl TableStore for Ipvs {
    fn dump(&mut self) -> Result<Table, StoreError> {
        Ok(Ipvs::dump(self)?)
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        Ipvs::apply(self, ops).into_iter().map(|result| result.map_err(StoreError::from)).collect()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(Ipvs::flush(self)?)
    }

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        Ok(Ipvs::timeouts(self)?)
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), StoreError> {
        Ok(Ipvs::set_timeouts(self, timeouts)?)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(Ipvs::daemons(self)?)
    }

    fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), StoreError> {
        Ok(Ipvs::start_daemon(self, daemon.role, &daemon.settings)?)
    }

    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), StoreError> {
        Ok(Ipvs::stop_daemon(self, role)?)
    }

    fn set_rules(&mut self, rules: &ServiceRules, standing: &mut Standing) -> Result<(), StoreError> {
        rules::set(rules, standing)
    }

    fn has_rules(&mut self, rules: &ServiceRules, standing: &mut Standing) -> Result<bool, StoreError> {
        rules::are_there(rules, standing)
    }
}

/// Opens the kernel's own table.
pub fn open_kernel() -> Result<Box<dyn TableStore>, StoreError> {
    crate::role::namespace::enter_ipvs().map_err(StoreError)?;
    Ok(Box::new(Ipvs::open()?))
}

/// What the thread has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Answer to [`IpvsWorker::begin`]: the kernel's table; empty if it cannot be had.
    Observed(Table),
    /// Everything asked for with this generation has been tried.
    Settled(Generation),
    /// Answer to [`IpvsWorker::echo`].
    Tried(u64),
    /// Why the kernel's table is not as it should be; `None` once it is.
    Trouble(Option<String>),
    /// Answer to [`IpvsWorker::release`].
    Released,
}

/// The driver's end. Dropping it ends the thread after the batch in hand; the table stays.
pub struct IpvsWorker {
    mailbox: Arc<Mailbox>,
}

impl IpvsWorker {
    /// Starts the thread.
    pub fn start(opener: Opener, reports: mpsc::Sender<Report>) -> io::Result<IpvsWorker> {
        let mailbox = Arc::new(Mailbox::default());
        let theirs = mailbox.clone();
        let worker = move || Worker::new(opener, theirs, reports).run();
        std::thread::Builder::new().name("ipvs".into()).spawn(worker)?;
        Ok(IpvsWorker { mailbox })
    }

    /// Looks at the kernel's table (with `flush`: empties it first); answered by [`Report::Observed`].
    pub fn begin(&self, flush: bool) {
        self.mailbox.post(|pending| pending.begin = Some(flush));
    }

    /// Wants these services so from now on (`None`: gone), as was decided at `since`. Later wishes replace earlier ones of
    /// the same service.
    pub fn want(
        &self,
        changes: impl IntoIterator<Item = (ServiceKey, Option<Arc<Service>>)>,
        since: Instant,
    ) {
        self.mailbox.post(|pending| {
            pending.changes.extend(changes);
            pending.since.get_or_insert(since);
        });
    }

    /// How long verdicts took to get into the kernel's table.
    pub fn latency(&self) -> Option<TableLatency> {
        let latency = self.mailbox.latency.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let &Latency { changes, total_us, worst_us, last_us } = &*latency;
        let mean_us = total_us.checked_div(changes)?;
        Some(TableLatency { changes, mean_us, worst_us, last_us })
    }

    /// A new plan is in force: tries `changes`, audits, and answers [`Report::Settled`].
    pub fn plan(
        &self,
        generation: Generation,
        settings: &KernelSettings,
        changes: impl IntoIterator<Item = (ServiceKey, Option<Arc<Service>>)>,
    ) {
        self.mailbox.post(|pending| {
            pending.changes.extend(changes);
            pending.settings = Some(settings.clone());
            pending.generation = Some(generation);
        });
    }

    /// Answers [`Report::Tried`] with this number once everything that was wanted before has been tried. Who asks limits how
    /// many are under way.
    pub fn echo(&self, number: u64) {
        self.mailbox.post(|pending| pending.echoes.push(number));
    }

    /// The virtual router that the synchronisation daemons follow is master, or is not.
    pub fn master(&self, master: bool) {
        self.mailbox.post(|pending| pending.master = Some(master));
    }

    /// Removes our services from the kernel; answered by [`Report::Released`].
    pub fn release(&self) {
        self.mailbox.post(|pending| pending.release = true);
    }
}

impl Drop for IpvsWorker {
    fn drop(&mut self) {
        self.mailbox.post(|pending| pending.closed = true);
    }
}

/// Orders not yet taken. Wishes for one service coalesce, so it is bounded by the number of services.
#[derive(Default)]
struct Pending {
    begin: Option<bool>,
    changes: BTreeMap<ServiceKey, Option<Arc<Service>>>,
    /// When the first of the changes that follow from verdicts was wanted.
    since: Option<Instant>,
    echoes: Vec<u64>,
    generation: Option<Generation>,
    settings: Option<KernelSettings>,
    master: Option<bool>,
    release: bool,
    closed: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.begin.is_none()
            && self.changes.is_empty()
            && self.echoes.is_empty()
            && self.generation.is_none()
            && self.settings.is_none()
            && self.master.is_none()
            && !self.release
            && !self.closed
    }
}

#[derive(Default)]
struct Mailbox {
    pending: Mutex<Pending>,
    filled: Condvar,
    latency: Mutex<Latency>,
}

/// How long verdicts took to get into the kernel's table, in microseconds.
#[derive(Default)]
struct Latency {
    changes: u64,
    total_us: u64,
    worst_us: u64,
    last_us: u64,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nobody panics while holding it, and a panic would abort the process.
        self.pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn post(&self, write: impl FnOnce(&mut Pending)) {
        write(&mut self.lock());
        self.filled.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What was wanted at `since` is in the kernel's table now.
    fn settled(&self, since: Instant) {
        let took = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut latency = self.latency.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        latency.changes = latency.changes.saturating_add(1);
        latency.total_us = latency.total_us.saturating_add(took);
        latency.worst_us = latency.worst_us.max(took);
        latency.last_us = took;
    }

    /// What has been posted; empty when `deadline` comes first.
    fn take(&self, deadline: Instant) -> Pending {
        let mut pending = self.lock();
        while pending.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            pending = match self.filled.wait_timeout(pending, wait) {
                Ok((pending, _)) => pending,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let closed = pending.closed;
        let taken = std::mem::take(&mut *pending);
        pending.closed = closed;
        taken
    }
}

/// The thread's own state.
struct Worker {
    opener: Opener,
    mailbox: Arc<Mailbox>,
    reports: mpsc::Sender<Report>,
    store: Option<Box<dyn TableStore>>,
    /// The kernel's table as far as known; `None` when it must be dumped afresh.
    observed: Option<Table>,
    desired: Table,
    /// Services of ours: wanted, or not yet gone.
    owned: BTreeSet<ServiceKey>,
    /// `lvs_flush` is still to be done.
    flush: bool,
    failures: u32,
    retry_at: Option<Instant>,
    /// What the kernel refused last.
    refused: BTreeSet<Row>,
    audit_at: Instant,
    trouble: Option<String>,
    around: Around,
}

impl Worker {
    fn new(opener: Opener, mailbox: Arc<Mailbox>, reports: mpsc::Sender<Report>) -> Worker {
        Worker {
            opener,
            mailbox,
            reports,
            store: None,
            observed: None,
            desired: Table::default(),
            owned: BTreeSet::new(),
            flush: false,
            failures: 0,
            retry_at: None,
            refused: BTreeSet::new(),
            audit_at: Instant::now() + AUDIT_INTERVAL,
            trouble: None,
            around: Around::default(),
        }
    }

    fn run(mut self) {
        loop {
            let deadline = self.retry_at.map_or(self.audit_at, |retry_at| retry_at.min(self.audit_at));
            let pending = self.mailbox.take(deadline);
            if pending.closed {
                return;
            }
            if let Some(flush) = pending.begin {
                self.flush |= flush;
                self.begin();
            }
            let now = Instant::now();
            // A reload looks as well; at start the table has just been seen.
            let reloads = pending.generation.is_some() && !self.owned.is_empty();
            let audits = reloads || now >= self.audit_at;
            if let Some(master) = pending.master {
                self.around.master(master);
            }
            if let Some(settings) = pending.settings {
                self.around.plan(settings);
            }
            if audits || pending.generation.is_some() || pending.master.is_some() {
                self.settle_around();
            }
            // The way to a new plan begins at the table that is there: one that somebody has changed meanwhile could be
            // without a server on the way from what it was.
            let found = if reloads { self.differences() } else { None };
            let mut scope: BTreeSet<ServiceKey> = pending.changes.keys().copied().collect();
            scope.extend(found.iter().flatten().map(|op| *op.service()));
            self.note(pending.changes);
            match self.retry_at {
                Some(at) if now >= at || pending.generation.is_some() => self.settle_all(),
                _ => self.settle(&scope),
            }
            if let Some(since) = pending.since.filter(|_| self.retry_at.is_none()) {
                self.mailbox.settled(since);
            }
            for number in pending.echoes {
                self.report(Report::Tried(number));
            }
            if audits {
                self.audit_at = now + AUDIT_INTERVAL;
                // A verdict comes first: reading a long table takes a while.
                if !reloads {
                    self.audit();
                }
            }
            if let Some(generation) = pending.generation {
                self.report(Report::Settled(generation));
            }
            if pending.release {
                self.release();
                self.report(Report::Released);
            }
        }
    }

    fn note(&mut self, changes: BTreeMap<ServiceKey, Option<Arc<Service>>>) {
        for (key, service) in changes {
            self.owned.insert(key);
            match service {
                Some(service) => self.desired.services.insert(key, service),
                None => self.desired.services.remove(&key),
            };
        }
    }

    fn begin(&mut self) {
        let mut result = self.try_look();
        for _ in 1..FIRST_DUMPS {
            if result.is_err() {
                result = self.try_look();
            }
        }
        if let Err(StoreError(why)) = result {
            self.failed(why);
        }
        self.report(Report::Observed(self.observed.clone().unwrap_or_default()));
    }

    /// Sees that `observed` is known, opening and flushing first if need be.
    fn look(&mut self) -> bool {
        match self.try_look() {
            Ok(()) => true,
            Err(StoreError(why)) => {
                self.failed(why);
                false
            }
        }
    }

    fn try_look(&mut self) -> Result<(), StoreError> {
        // Put back only if it works: one that fails is opened anew.
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.opener)()?,
        };
        if self.flush {
            store.flush()?;
            self.flush = false;
            info!("IPVS table emptied, as lvs_flush says");
        }
        if self.observed.is_none() {
            // At rest the two are equal, and take no more room than one.
            let mut observed = store.dump()?;
            observed.share_all(&self.desired);
            self.observed = Some(observed);
        }
        self.store = Some(store);
        Ok(())
    }

    /// Sees to timeouts and synchronisation daemons. What fails is tried again with the next audit.
    fn settle_around(&mut self) {
        if !self.around.has_work() || !self.look() {
            return;
        }
        if let Some(store) = &mut self.store
            && self.around.settle(store.as_mut())
        {
            self.report_trouble();
        }
    }

    /// Compares our services with the kernel's and repairs what somebody else changed: the configuration wins.
    fn audit(&mut self) {
        if let Some(ops) = self.differences() {
            self.perform(ops);
        }
    }

    /// What would repair what somebody else changed, after a look at the kernel's table; it is said.
    fn differences(&mut self) -> Option<Vec<TableOp>> {
        // Without a table the retry sees to it.
        if self.owned.is_empty() || (self.store.is_none() && self.retry_at.is_some()) {
            return None;
        }
        self.observed = None;
        if !self.look() {
            return None;
        }
        let observed = self.observed.as_ref()?;
        let ops = self.but_for_refused(observed, reconcile::plan(observed, &self.desired, &self.owned));
        for op in ops.iter().take(MAX_SENTENCES) {
            warn!(
                "IPVS table was changed by somebody else: {}; repairing",
                reconcile::difference(observed, op)
            );
        }
        if ops.len() > MAX_SENTENCES {
            warn!("IPVS table was changed by somebody else: {} more differences", ops.len() - MAX_SENTENCES);
        }
        Some(ops)
    }

    /// Brings the services `scope` to their desired state.
    fn settle(&mut self, scope: &BTreeSet<ServiceKey>) {
        // Without a store the retry brings everything in.
        if scope.is_empty() || (self.store.is_none() && self.retry_at.is_some()) || !self.look() {
            return;
        }
        let Some(observed) = &self.observed else { return };
        let ops = self.but_for_refused(observed, reconcile::plan(observed, &self.desired, scope));
        if self.perform(ops) {
            self.forget_what_is_gone(scope);
        } else if self.failures == 1 {
            self.settle_all();
        }
    }

    /// After a failure: a fresh dump, and everything of ours.
    fn settle_all(&mut self) {
        self.observed = None;
        if !self.look() {
            return;
        }
        let Some(observed) = &self.observed else { return };
        let ops = reconcile::plan(observed, &self.desired, &self.owned);
        self.refused.clear();
        if self.perform(ops) {
            self.recovered();
            self.forget_what_is_gone(&self.owned.clone());
        }
    }

    /// Without what the kernel refused last: there the table differs by its doing, and the next retry sees to it.
    fn but_for_refused(&self, observed: &Table, mut ops: Vec<TableOp>) -> Vec<TableOp> {
        if !self.refused.is_empty() {
            ops.retain(|op| {
                let (service, server) = row(op);
                let missing = !observed.services.contains_key(&service);
                !(self.refused.contains(&(service, server))
                    || missing && self.refused.contains(&(service, None)))
            });
        }
        ops
    }

    /// Performs changes; false if the kernel refused one.
    fn perform(&mut self, ops: Vec<TableOp>) -> bool {
        let Some(store) = self.store.as_mut().filter(|_| self.observed.is_some()) else { return false };
        let mut refusals = Vec::new();
        let (mut missing, mut undone) = (BTreeSet::new(), BTreeSet::new());
        // Between system calls it looks up whether it shall end.
        for batch in ops.chunks(MAX_BATCH) {
            if self.mailbox.is_closed() {
                return true; // what is left stays as it is, on purpose
            }
            let mut results = store.apply(batch).into_iter();
            for op in batch {
                match results.next() {
                    Some(Ok(())) => continue,
                    // That a service which could not be added takes no destinations goes without saying.
                    Some(Err(_)) if needs_any_of(&missing, op) => {}
                    Some(Err(StoreError(why))) => {
                        refusals.push(why);
                        missing.extend(added_service(op));
                        self.refused.insert(row(op));
                    }
                    None => refusals.push("a change was not answered".into()),
                }
                undone.insert(row(op));
            }
        }
        if let Some(observed) = &mut self.observed {
            rows::observe(observed, &self.desired, &self.refused, &ops, &undone);
        }
        if refusals.is_empty() {
            return true;
        }
        let more = refusals.len().saturating_sub(MAX_SENTENCES);
        refusals.truncate(MAX_SENTENCES);
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        self.failed(format!("{}{more}", refusals.join("; ")));
        false
    }

    /// Of the services `scope`, for there may be many others.
    fn forget_what_is_gone(&mut self, scope: &BTreeSet<ServiceKey>) {
        let (desired, observed) = (&self.desired, self.observed.as_ref());
        let is_there = |key: &ServiceKey| observed.is_none_or(|observed| observed.services.contains_key(key));
        for key in scope.iter().filter(|key| !desired.services.contains_key(key) && !is_there(key)) {
            self.owned.remove(key);
        }
    }

    fn release(&mut self) {
        self.desired = Table::default();
        self.observed = None;
        let flush = self.around.flushes_at_stop();
        if self.owned.is_empty() && !flush && !self.around.holds() {
            return;
        }
        if !self.look() {
            warn!(
                "IPVS services could not be removed at stop: {}",
                self.trouble.as_deref().unwrap_or("unknown")
            );
            return;
        }
        if let Some(store) = &mut self.store {
            self.around.release(store.as_mut());
            match flush.then(|| store.flush()) {
                Some(Ok(())) => return info!("IPVS table emptied, as lvs_flush_on_stop says"),
                Some(Err(StoreError(why))) => warn!("IPVS table could not be emptied at stop: {why}"),
                None => {}
            }
        }
        let Some(observed) = &self.observed else { return };
        let ops = reconcile::plan(observed, &self.desired, &self.owned);
        let count = ops.len();
        if self.perform(ops) {
            info!("{count} IPVS services removed");
        }
    }

    fn failed(&mut self, why: String) {
        let exponent = self.failures.saturating_sub(1).min(16); // 2^16 s is past MAX_BACKOFF
        let backoff = FIRST_BACKOFF.saturating_mul(1 << exponent).min(MAX_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        let now = Instant::now();
        // A try that is already due sooner stays: a server that flaps must not put it off for ever.
        self.retry_at = Some(self.retry_at.filter(|at| *at > now).unwrap_or(now + backoff));
        if self.trouble.as_ref() == Some(&why) {
            return;
        }
        // The first refusal may be a table that changed under us: the fresh dump that follows at once will tell.
        if self.failures > 1 || self.store.is_none() {
            error!(
                "IPVS table cannot be set: {why}; checks go on, trying again within {} s",
                MAX_BACKOFF.as_secs()
            );
            self.trouble = Some(why);
            self.report_trouble();
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        self.retry_at = None;
        if self.trouble.take().is_some() {
            info!("IPVS table is as it should be again");
            self.report_trouble();
        }
    }

    fn report_trouble(&self) {
        let all: Vec<&str> =
            [&self.trouble, &self.around.trouble].into_iter().flatten().map(String::as_str).collect();
        self.report(Report::Trouble((!all.is_empty()).then(|| all.join("; "))));
    }

    /// The driver reads without delay; when it is gone there is nobody to tell.
    fn report(&self, report: Report) {
        let _gone = self.reports.blocking_send(report);
    }
}

#[cfg(test)]
mod tests;
