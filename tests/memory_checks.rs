//! What one check more costs the checker role in memory, at rest: its part of the plan, as the link brings it, its
//! question, its machine with as many latencies as it remembers, its server's state and its place in the table, as it is wanted
//! and as it was seen in the kernel. Counted by the allocator, so it fails for a few octets too many. What the process as a whole
//! takes is measured by `netns-scripts/bench`.

mod counting;

use counting::in_use;
use holdfast::check::latencies::REMEMBERED;
use holdfast::check::probe::Outcome;
use holdfast::check::{Action, Checks, Event, Verdict, questions};
use holdfast::link::ToChecker;
use holdfast::link::frame::{Decoder, encode};
use holdfast::lvs::director::Director;
use holdfast::lvs::sync::SyncDaemon;
use holdfast::lvs::table::{Table, TableOp};
use holdfast::net::TransportProtocol;
use holdfast::plan::Generation;
use holdfast::plan::check::{CheckKind, CheckerPlan, HttpCheck, HttpUrl, HttpVersion, Schedule, Target};
use holdfast::plan::lvs::{
    ForwardingMethod, LvsPlan, RealServer, ServiceKey, ServiceRules, SyncRole, Timeouts, VirtualServer,
};
use holdfast::role::ipvs_worker::{IpvsWorker, Report, Standing, StoreError, TableStore};
use holdfast::time::Instant;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;

/// Real servers of each virtual server, as in `netns-scripts/bench.d/checks`.
const EACH: u32 = 100;

/// Checks that are counted. Of powers of two, which tables grow by, the worst: just too many for the one below.
const COUNT: u32 = 3600;

/// Octets that a role may leave behind: what the standard library sets up once.
const LEFT_OVER: usize = 16 << 10;

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
}

fn real_server(kind: Kind, number: u32) -> RealServer {
    let endpoint = SocketAddr::new(Ipv4Addr::from(0x0a01_0000 + number).into(), 80);
    let url = HttpUrl { status: vec![200..=200], ..HttpUrl::new("/") };
    let kind = match kind {
        Kind::Tcp => CheckKind::Tcp,
        Kind::Http => CheckKind::Http(HttpCheck {
            version: HttpVersion::V1_0,
            urls: vec![url],
            tls: None,
            fast_recovery: false,
        }),
    };
    let schedule = Schedule {
        retry: 3,
        delay_before_retry: Duration::from_secs(10),
        warmup: Duration::from_secs(10),
        ..Schedule::every(Duration::from_secs(10))
    };
    RealServer {
        endpoint,
        weight: 1,
        forwarding: ForwardingMethod::DirectRouting,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        checkers: vec![CheckerPlan::new(kind, Target::new(endpoint), schedule, false)],
        set: None,
        slow_start: Duration::ZERO,
    }
}

fn plan(kind: Kind, count: u32) -> LvsPlan {
    let virtual_server = |first: u32| {
        let address = Ipv4Addr::from(0xc000_0200 + first / EACH);
        let key =
            ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: address.into(), port: 80 };
        let servers = (first..count.min(first + EACH)).map(|number| real_server(kind, number)).collect();
        VirtualServer::new(format!("{address} 80"), vec![key], servers)
    };
    let virtual_servers = (0..count).step_by(EACH as usize).map(virtual_server).collect();
    LvsPlan { generation: Generation(1), virtual_servers, ..LvsPlan::default() }
}

/// A kernel that takes everything, and shows all of a plan once something was given to it. It holds nothing.
struct Kernel {
    kind: Kind,
    count: u32,
    filled: bool,
}

impl TableStore for Kernel {
    fn dump(&mut self) -> Result<Table, StoreError> {
        let plan = if self.filled { plan(self.kind, self.count) } else { LvsPlan::default() };
        Ok(Director::start(plan, &Table::default(), &mut Vec::new()).desired().clone())
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        self.filled = true;
        ops.iter().map(|_| Ok(())).collect()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        Ok(Timeouts::default())
    }

    fn set_timeouts(&mut self, _timeouts: &Timeouts) -> Result<(), StoreError> {
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(Vec::new())
    }

    fn start_daemon(&mut self, _daemon: &SyncDaemon) -> Result<(), StoreError> {
        Ok(())
    }

    fn stop_daemon(&mut self, _role: SyncRole) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// The role, without its sockets.
struct Role {
    director: Director,
    checks: Checks,
    worker: IpvsWorker,
    reports: mpsc::Receiver<Report>,
    now: Instant,
}

impl Role {
    fn new(kind: Kind, count: u32) -> Role {
        let kernel =
            move || -> Result<Box<dyn TableStore>, _> { Ok(Box::new(Kernel { kind, count, filled: false })) };
        let (on_report, mut reports) = mpsc::channel(16);
        let worker = IpvsWorker::start(Box::new(kernel), on_report).expect("a thread");
        worker.begin(false);
        let Some(Report::Observed(table)) = reports.blocking_recv() else { panic!("it looks first") };
        let plan = as_the_link_brings_it(plan(kind, count));
        let director = Director::start(plan, &table, &mut Vec::new());
        let mut checks = Checks::new(1024);
        let questions = questions(director.plan());
        checks.handle(Event::Plan { questions, random: 7 }, Instant::ZERO, &mut Vec::new());
        let mut role = Role { director, checks, worker, reports, now: Instant::ZERO };
        role.settle();
        role
    }

    /// The table is as the director wants it, and the kernel's was looked at.
    fn settle(&mut self) {
        for _ in 0..2 {
            let changed = self.director.take_changed();
            let wanted = &self.director.desired().services;
            let changes: Vec<_> = changed.into_iter().map(|key| (key, wanted.get(&key).cloned())).collect();
            self.worker.plan(Generation(1), &self.director.plan().kernel, changes);
            assert_eq!(self.reports.blocking_recv(), Some(Report::Settled(Generation(1))));
        }
    }

    /// Each check is made so often, and ends like this.
    fn run(&mut self, outcome: &Outcome, rounds: u32, count: u32) {
        let (mut left, mut actions) = (rounds * count, Vec::new());
        while left > 0 {
            self.now = self.now.max(self.checks.next_timeout().expect("checks wait"));
            self.checks.handle_timeout(self.now, &mut actions);
            for action in std::mem::take(&mut actions) {
                let Action::Start { check, .. } = action else { continue };
                let outcome = outcome.clone();
                let ended =
                    Event::Finished { check, outcome, latency: Duration::from_micros(u64::from(left)) };
                self.checks.handle(ended, self.now, &mut actions);
                left = left.saturating_sub(1);
            }
            for action in std::mem::take(&mut actions) {
                let Action::Verdict(question, verdict) = action else { continue };
                let result = match verdict {
                    Verdict::Up => Ok(()),
                    Verdict::Down(cause) => Err(cause),
                };
                self.director.verdict(&question, result, &mut Vec::new());
            }
        }
        self.settle();
    }
}

fn as_the_link_brings_it(plan: LvsPlan) -> LvsPlan {
    let mut decoder = Decoder::default();
    decoder.push(&encode(&ToChecker::Plan(plan)).expect("it fits"));
    match decoder.message() {
        Ok(Some(ToChecker::Plan(plan))) => plan,
        other => panic!("a plan was said, heard {other:?}"),
    }
}

/// Octets for each check of a role whose checks all end like this. It has come to rest when there are no more than `limit`: the
/// table's thread says that it is done before it has let go of what it was told.
fn at_rest(kind: Kind, outcome: &Outcome, limit: usize) -> usize {
    let before = in_use();
    let mut role = Role::new(kind, COUNT);
    role.run(outcome, REMEMBERED as u32 + 1, COUNT);
    let patience = std::time::Instant::now() + Duration::from_secs(20);
    while in_use() - before > limit * COUNT as usize && std::time::Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    let octets = in_use() - before;
    drop(role);
    // The table's thread ends by itself, and its room must not be missing from what comes next.
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    while in_use() > before + LEFT_OVER {
        assert!(std::time::Instant::now() < limit, "{} octets are left", in_use() - before);
        std::thread::sleep(Duration::from_millis(1));
    }
    octets / COUNT as usize
}

#[test]
fn a_check_more_costs_little() {
    let connected = Outcome::Success("connected after 0.4 ms".to_owned());
    let answered = Outcome::Success("status 200 after 0.6 ms".to_owned());
    let refused = Outcome::Failure("connection refused after 0.2 ms".to_owned());
    let all = [
        ("TCP", Kind::Tcp, connected, 816),
        ("HTTP", Kind::Http, answered, 816),
        ("TCP, down", Kind::Tcp, refused, 920),
    ];
    for (what, kind, outcome, limit) in all {
        let octets = at_rest(kind, &outcome, limit);
        println!("{what}: {octets} of {limit}");
        assert!(octets <= limit, "a check ({what}) costs {octets} octets");
    }
}
