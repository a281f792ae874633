//! What tests/reconcile.rs promises of the way from one table to another, on a real kernel whose table somebody else
//! changes meanwhile: the thread that owns the table is told one generated plan after the other, and after each single
//! change that it makes the kernel's table is read.
//!
//! Without IPVS this says so and does nothing, unless HOLDFAST_REQUIRE_IPVS is set: then it fails. HOLDFAST_SEED takes another seed than 1.

mod ipvs_support;

use holdfast::lvs::sync::SyncDaemon;
use holdfast::lvs::table::{Destination, Service, ServiceSettings, Table, TableOp};
use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::netlink::ipvs::Ipvs;
use holdfast::plan::Generation;
use holdfast::plan::lvs::{
    ForwardingMethod, Granularity, KernelSettings, Persistence, ServiceKey, ServiceRules, SyncRole, Timeouts,
    TunnelKind,
};
use holdfast::role::ipvs_worker::{IpvsWorker, Report, Standing, StoreError, TableStore};
use ipvs_support::in_namespace;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Plans, each with what somebody did before it.
const ROUNDS: u64 = 400;

/// Services that are ours at times; those behind them never are.
const OURS: u64 = 8;
const ALL: u64 = OURS + 3;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// Every protocol, both families, marks.
fn key(number: u64) -> ServiceKey {
    let port = 80 + number as u16; // below ALL
    let v4 = IpAddr::from([198, 51, 100, 1]);
    let v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
    let endpoint = |protocol, address| ServiceKey::Endpoint { protocol, address, port };
    match number % 6 {
        0 | 1 => endpoint(TransportProtocol::Tcp, v4),
        2 => endpoint(TransportProtocol::Udp, v6),
        3 => ServiceKey::FwMark { family: AddressFamily::V4, mark: port.into() },
        4 => endpoint(TransportProtocol::Sctp, v4),
        _ => ServiceKey::FwMark { family: AddressFamily::V6, mark: port.into() },
    }
}

fn server(random: &mut Random, key: &ServiceKey) -> SocketAddr {
    let low = random.below(5) as u8 + 1; // below 6
    match key.family() {
        AddressFamily::V4 => SocketAddr::from(([192, 0, 2, low], 80)),
        AddressFamily::V6 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 1, low.into()], 80)),
    }
}

fn settings(random: &mut Random, key: &ServiceKey) -> ServiceSettings {
    let schedulers = ["rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq"];
    let persistence = random.one_in(3).then(|| Persistence {
        timeout_seconds: 60 + random.below(2) as u32 * 60,
        granularity: match key.family() {
            _ if random.one_in(2) => Granularity::Client,
            AddressFamily::V4 if random.one_in(2) => Granularity::Netmask([255, 0, 255, 0].into()),
            AddressFamily::V4 => Granularity::Netmask([255, 255, 255, 0].into()),
            AddressFamily::V6 => Granularity::Prefix(24),
        },
    });
    ServiceSettings {
        scheduler: schedulers[random.below(8) as usize].into(), // there are 8
        scheduler_flags: random.below(8) as u32 * 8,
        persistence,
        persistence_engine: None,
        one_packet: random.one_in(5),
    }
}

fn destination(random: &mut Random) -> Destination {
    let forwarding = match random.below(3) {
        0 => ForwardingMethod::Masquerade,
        1 => ForwardingMethod::DirectRouting,
        _ => ForwardingMethod::Tunnel(TunnelKind::Ipip),
    };
    let (upper_threshold, lower_threshold) = if random.one_in(4) { (100, 50) } else { (0, 0) };
    Destination { forwarding, weight: random.below(3) as u32, upper_threshold, lower_threshold }
}

fn service(random: &mut Random, key: &ServiceKey) -> Service {
    let settings = settings(random, key);
    let destinations = (0..random.below(5)).map(|_| (server(random, key), destination(random))).collect();
    Service { settings, destinations }
}

/// Some services as they were, some changed a little, some new, some gone.
fn next(random: &mut Random, old: &Table) -> Table {
    let mut table = Table::default();
    for key in (0..OURS).map(key) {
        let kept = old.services.get(&key).filter(|_| !random.one_in(4));
        let service = match kept {
            _ if random.one_in(4) => continue,
            Some(service) => {
                let mut service = Service::clone(service);
                let away = server(random, &key);
                service.destinations.remove(&away);
                if random.one_in(2) {
                    service.destinations.insert(server(random, &key), destination(random));
                }
                service
            }
            None => service(random, &key),
        };
        table.services.insert(key, service.into());
    }
    table
}

/// What somebody else does: to our rows, to rows that nobody wants, to theirs. Some of it the kernel refuses.
fn meddling(random: &mut Random) -> Vec<TableOp> {
    let mut ops = Vec::new();
    for _ in 0..random.below(16) {
        let key = key(random.below(ALL));
        let server = server(random, &key);
        match random.below(8) {
            0 => ops.push(TableOp::DelService(key)),
            1 => ops.push(TableOp::EditService(key, settings(random, &key))),
            2 => {
                let Service { settings, destinations } = service(random, &key);
                ops.push(TableOp::AddService(key, settings));
                ops.extend(destinations.into_iter().map(|(server, all)| TableOp::AddDest(key, server, all)));
            }
            3 => ops.push(TableOp::AddDest(key, server, destination(random))),
            4 | 5 => ops.push(TableOp::EditDest(key, server, destination(random))),
            _ => ops.push(TableOp::DelDest(key, server)),
        }
    }
    ops
}

type Services = BTreeMap<ServiceKey, Arc<Service>>;

fn part(table: &Table, wanted: impl Fn(&ServiceKey) -> bool) -> Services {
    let chosen = table.services.iter().filter(|(key, _)| wanted(key));
    chosen.map(|(key, service)| (*key, service.clone())).collect()
}

fn serves(table: &Table, key: &ServiceKey) -> bool {
    table.services.get(key).is_some_and(|service| service.destinations.values().any(|have| have.weight > 0))
}

/// What must hold after each change.
#[derive(Default)]
struct Watch {
    serving: BTreeSet<ServiceKey>,
    owned: BTreeSet<ServiceKey>,
    others: Services,
    faults: Vec<String>,
    changes: usize,
    refused: usize,
}

/// The kernel's table, looked at after each change.
struct Watched(Ipvs, Arc<Mutex<Watch>>);

impl TableStore for Watched {
    fn dump(&mut self) -> Result<Table, StoreError> {
        TableStore::dump(&mut self.0)
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        let mut results = Vec::new();
        for op in ops {
            results.extend(TableStore::apply(&mut self.0, std::slice::from_ref(op)));
            let now = self.dump().expect("a dump");
            let mut watch = self.1.lock().expect("nobody panics with it");
            watch.changes += 1;
            watch.refused += usize::from(matches!(results.last(), Some(Err(_))));
            let empty: Vec<String> =
                watch.serving.iter().filter(|key| !serves(&now, key)).map(ToString::to_string).collect();
            let touched = part(&now, |key| !watch.owned.contains(key)) != watch.others;
            if !empty.is_empty() || touched {
                watch.faults.push(format!(
                    "after {op:?}: without a server {empty:?}, foreign rows touched: {touched}"
                ));
            }
        }
        results
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        TableStore::flush(&mut self.0)
    }

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        TableStore::timeouts(&mut self.0)
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), StoreError> {
        TableStore::set_timeouts(&mut self.0, timeouts)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        TableStore::daemons(&mut self.0)
    }

    fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), StoreError> {
        TableStore::start_daemon(&mut self.0, daemon)
    }

    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), StoreError> {
        TableStore::stop_daemon(&mut self.0, role)
    }

    fn set_rules(&mut self, rules: &ServiceRules, standing: &mut Standing) -> Result<(), StoreError> {
        TableStore::set_rules(&mut self.0, rules, standing)
    }

    fn has_rules(&mut self, rules: &ServiceRules, standing: &mut Standing) -> Result<bool, StoreError> {
        TableStore::has_rules(&mut self.0, rules, standing)
    }
}

/// The way from `old` to `new` as a plan says it.
fn changes(old: &Table, new: &Table) -> BTreeMap<ServiceKey, Option<Arc<Service>>> {
    let gone = old.services.keys().filter(|key| !new.services.contains_key(key)).map(|key| (*key, None));
    let wanted = new.services.iter().filter(|(key, service)| old.services.get(key) != Some(service));
    gone.chain(wanted.map(|(key, service)| (*key, Some(service.clone())))).collect()
}

fn wait_for(reports: &mut mpsc::Receiver<Report>, wanted: &Report) {
    loop {
        match reports.blocking_recv().expect("the thread lives") {
            Report::Trouble(Some(why)) => panic!("trouble: {why}"),
            report if report == *wanted => return,
            _ => {}
        }
    }
}

fn seed() -> u64 {
    std::env::var("HOLDFAST_SEED").map_or(1, |seed| seed.parse().expect("a number"))
}

#[test]
fn what_others_changed_becomes_what_is_wanted_without_an_empty_moment_and_theirs_stays() {
    in_namespace(|mut ipvs| {
        let seed = seed();
        println!("HOLDFAST_SEED={seed}");
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let watch = Arc::new(Mutex::new(Watch::default()));
        let (on_report, mut reports) = mpsc::channel(16);
        let theirs = watch.clone();
        let opener = move || Ok(Box::new(Watched(Ipvs::open()?, theirs.clone())) as Box<dyn TableStore>);
        let worker = IpvsWorker::start(Box::new(opener), on_report).expect("a thread");
        worker.begin(false);
        wait_for(&mut reports, &Report::Observed(Table::default()));
        let mut old = Table::default();
        let (mut meddled, mut watched) = (0, 0);
        for round in 1..=ROUNDS {
            meddled += ipvs.apply(&meddling(&mut random)).into_iter().filter(Result::is_ok).count();
            // At times nothing else is wanted: what is mended then is theirs alone.
            let new = if random.one_in(4) { old.clone() } else { next(&mut random, &old) };
            let before = ipvs.dump().expect("a dump");
            let owned: BTreeSet<ServiceKey> =
                old.services.keys().chain(new.services.keys()).copied().collect();
            let others = part(&before, |key| !owned.contains(key));
            let was_meant_to = |key: &ServiceKey| !old.services.contains_key(key) || serves(&old, key);
            let stays = |key: &&ServiceKey| serves(&before, key) && was_meant_to(key) && serves(&new, key);
            let serving: BTreeSet<ServiceKey> = owned.iter().filter(stays).copied().collect();
            watched += serving.len();
            {
                let mut watch = watch.lock().expect("nobody panics with it");
                (watch.serving, watch.owned, watch.others) = (serving, owned.clone(), others.clone());
            }
            worker.plan(Generation(round), &KernelSettings::default(), changes(&old, &new));
            wait_for(&mut reports, &Report::Settled(Generation(round)));
            let now = ipvs.dump().expect("a dump");
            let faults = std::mem::take(&mut watch.lock().expect("nobody panics with it").faults);
            assert!(faults.is_empty(), "round {round}: {faults:#?}");
            assert_eq!(part(&now, |key| owned.contains(key)), new.services, "round {round}");
            assert_eq!(part(&now, |key| !owned.contains(key)), others, "round {round}: theirs");
            old = new;
        }
        let watch = watch.lock().expect("nobody panics with it");
        println!(
            "{meddled} changes by others, {} of ours, {} refused; {watched} services watched",
            watch.changes, watch.refused
        );
        assert!(meddled > 500 && watch.changes > 1000 && watched > 300, "it was worth it");
    });
}
