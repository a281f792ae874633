//! One node: a kernel that outlives the process, and the process, which runs the production core as the real
//! driver does: everything that is queued first, then timers that are due.

use super::clock::Clock;
use super::handover::Departure;
use super::kernel::Kernel;
use super::leases::Terms;
use super::linger::Lingering;
use super::model;
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::{RouterKey, RouterPlan, VrrpPlan};
use holdfast::time::Instant;
use holdfast::vrrp::{Action, AddressOp, Core, Event, Remembered, Router, RouterId, State, fingerprint};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Packets that a socket buffer holds for a process that does not read; more are lost.
pub const SOCKET_BUFFER: usize = 200;

/// Is the process there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Dead,
    Running,
    /// Alive, but not scheduled: a stopped virtual machine, a page fault on a dead disk.
    Paused,
}

/// What went into a core and what came out: `None` is a timeout.
pub type Recorded = (Instant, Option<Event>, Vec<Action>);

/// A node.
pub struct Node {
    pub clock: Clock,
    pub kernel: Kernel,
    pub process: Process,
    /// Counts processes: answers to a dead one reach nobody.
    pub incarnation: u32,
    pub core: Core,
    /// What the process has not read yet.
    pub inbox: VecDeque<Event>,
    /// The plan the core has, empty before it got one.
    pub applied: VrrpPlan,
    /// The plan the operator wants; a new process gets it.
    pub wanted: VrrpPlan,
    /// State of each router as its transitions told it.
    pub states: BTreeMap<RouterKey, State>,
    /// When each router last changed its state, in the world's time.
    pub since: BTreeMap<RouterKey, u64>,
    /// Kernel operations without an answer yet.
    pub operations: usize,
    /// Events on their way from the kernel to the process.
    pub news_under_way: usize,
    /// News of the kernel arrive in order, none before this moment.
    pub news_until: u64,
    /// An operation failed and the addresses have not been right since.
    pub awry: bool,
    /// An operation failed in this storm: a try again may be pending even where the addresses are right by chance.
    pub may_try_again: bool,
    /// How often each address was announced since the kernel has it.
    pub announced: BTreeMap<IpAddr, u32>,
    /// Addresses that an earlier process left and the plan of this one does not name. Nobody knows that they were
    /// ours: they stay until a plan names them.
    pub orphans: BTreeSet<(String, IpCidr)>,
    /// It was told to stop: `true` to give its addresses up.
    pub stopping: Option<bool>,
    /// It knows that: no plan changes anything any more.
    pub ends: bool,
    /// When it was told to stop and give them up.
    pub stop_asked_at: Option<u64>,
    /// Masters that have resigned and keep their addresses for a successor.
    pub departures: BTreeMap<RouterKey, Departure>,
    /// Those that have yielded to a stronger one and serve on for a moment.
    pub lingering: BTreeMap<RouterKey, Lingering>,
    /// Masters that have told nobody yet, and since when.
    pub preparing: BTreeMap<RouterKey, u64>,
    /// What each router answers nobody about.
    pub silenced: BTreeMap<RouterId, Vec<IpAddr>>,
    /// It leaves weaker successors in peace until then, after a failover.
    pub held_back_until: u64,
    /// Leases of the routers in force; empty without `vip_lease`.
    pub terms: Terms,
    /// It stopped and exits once its last operations are done.
    pub leaving: bool,
    /// Number of the wake-up that counts; older ones are stale.
    pub wake: u64,
    /// A reload may have brought members to a sync group that have not joined the others yet.
    pub reloaded: bool,
    /// What the next process will find of the one that ended.
    pub record: Vec<Remembered>,
    /// How long the peers of the routers of the process that ended wait at least.
    pub patience: BTreeMap<RouterKey, Duration>,
    /// What an earlier process told last of routers of which this one has told nothing yet.
    pub told: BTreeMap<RouterKey, State>,
    /// Routers that told their first state in this call.
    pub begun: BTreeSet<RouterKey>,
    /// It went on where another one stopped.
    pub resumed: bool,
    /// What went in and out, when it is to be kept.
    pub recording: Option<Vec<Recorded>>,
}

impl Node {
    pub fn new(clock: Clock, kernel: Kernel, plan: VrrpPlan) -> Node {
        Node {
            clock,
            kernel,
            process: Process::Dead,
            incarnation: 0,
            core: Core::new(),
            inbox: VecDeque::new(),
            applied: VrrpPlan::default(),
            wanted: plan,
            states: BTreeMap::new(),
            since: BTreeMap::new(),
            operations: 0,
            news_under_way: 0,
            news_until: 0,
            awry: false,
            may_try_again: false,
            announced: BTreeMap::new(),
            orphans: BTreeSet::new(),
            stopping: None,
            ends: false,
            stop_asked_at: None,
            departures: BTreeMap::new(),
            lingering: BTreeMap::new(),
            preparing: BTreeMap::new(),
            silenced: BTreeMap::new(),
            held_back_until: 0,
            terms: BTreeMap::new(),
            leaving: false,
            wake: 0,
            reloaded: false,
            record: Vec::new(),
            patience: BTreeMap::new(),
            told: BTreeMap::new(),
            begun: BTreeSet::new(),
            resumed: false,
            recording: None,
        }
    }

    /// A new process without memory.
    pub fn begin(&mut self) {
        self.end();
        self.core = Core::new();
        self.told = self.memories().collect();
        self.resumed = false;
        self.process = Process::Running;
        if let Some(recording) = &mut self.recording {
            recording.clear();
        }
    }

    /// What the record says of the routers that are wanted.
    fn memories(&self) -> impl Iterator<Item = (RouterKey, State)> + '_ {
        self.record.iter().filter_map(|one| {
            let plan = self.wanted.routers.iter().find(|plan| fingerprint(plan) == one.fingerprint)?;
            Some((plan.key.clone(), one.state))
        })
    }

    /// Notes what the real driver would have noted by now. `spoke`: when each router last advertised, by this node's
    /// clock.
    pub fn note_record(&mut self, spoke: impl Fn(&RouterKey) -> Option<Instant>) {
        let one = |router: &Router| {
            let memory = router.memory();
            Remembered {
                fingerprint: router.fingerprint(),
                state: memory.state,
                since: memory.since,
                spoke_at: memory.holds.then(|| spoke(&router.plan().key.to_key())).flatten(),
                patience: router.plan().least_patience(),
                priority: memory.priority,
                held_back: memory.held_back,
                numbers: memory.numbers,
            }
        };
        self.record = self.core.routers().map(one).collect();
        // 3 is what a peer waits for that does not set `down_timer_adverts`.
        let least = |plan: &RouterPlan| plan.interval.duration() * u32::from(plan.down_timer_adverts.min(3));
        let routers = &self.applied.routers;
        self.patience = routers.iter().map(|plan| (plan.key.clone(), least(plan))).collect();
    }

    /// The process is gone; the kernel keeps its addresses and does what it was asked.
    pub fn end(&mut self) {
        self.process = Process::Dead;
        self.incarnation += 1;
        self.inbox.clear();
        self.applied = VrrpPlan::default();
        self.states.clear();
        self.since.clear();
        self.operations = 0;
        self.news_under_way = 0;
        self.awry = false;
        self.may_try_again = false;
        self.stopping = None;
        self.ends = false;
        self.stop_asked_at = None;
        self.departures.clear();
        self.lingering.clear();
        self.preparing.clear();
        self.silenced.clear();
        self.terms.clear();
        self.leaving = false;
        self.reloaded = false;
        self.wake += 1;
    }

    pub fn runs(&self) -> bool {
        self.process == Process::Running
    }

    pub fn state(&self, key: &RouterKey) -> State {
        self.states.get(key).copied().unwrap_or(State::Initialize)
    }

    /// The router's plan as the core has it.
    pub fn router(&self, key: &RouterKey) -> Option<&RouterPlan> {
        self.applied.routers.iter().find(|r| r.key == *key)
    }

    /// What a process before this one left and the plan in force does not name.
    pub fn find_orphans(&mut self) {
        let named: BTreeSet<_> = self.applied.routers.iter().flat_map(model::addresses).collect();
        self.orphans = self.kernel.held().into_iter().filter(|held| !named.contains(held)).collect();
    }

    /// A dead process's last operation came through.
    pub fn note_orphan(&mut self, op: &AddressOp) {
        let AddressOp::Add { interface, cidr, .. } = op else { return };
        let Some(at) = self.kernel.by_index(*interface) else { return };
        let added = (self.kernel.interfaces[at].name.clone(), *cidr);
        if !self.applied.routers.iter().flat_map(model::addresses).any(|named| named == added) {
            self.orphans.insert(added);
        }
    }

    /// The addresses that the kernel holds on this process's account, sorted.
    pub fn held(&self) -> Vec<(String, IpCidr)> {
        self.kernel.held().into_iter().filter(|held| !self.orphans.contains(held)).collect()
    }

    /// Has everything that the kernel said been read?
    pub fn knows_all(&self) -> bool {
        self.inbox.is_empty() && self.news_under_way == 0
    }

    /// Is there something to read, or will there be without the process doing anything?
    pub fn has_news(&self) -> bool {
        !self.knows_all() || self.operations > 0
    }
}
