//! What the thread does with a kernel that refuses, step by step and without clocks.

use super::*;
use crate::lvs::table::{Destination, ServiceSettings};
use crate::net::TransportProtocol;
use crate::plan::lvs::{ForwardingMethod, SyncPlan, SyncSettings};
use proptest::prelude::*;
use std::net::SocketAddr;

/// A kernel that refuses some rows.
#[derive(Clone, Default)]
struct Kernel(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    table: Table,
    refused: BTreeSet<Row>,
    /// Every change that was tried.
    tried: Vec<Row>,
    timeouts: Timeouts,
    daemons: Vec<SyncDaemon>,
    /// Daemons that were started.
    started: usize,
    /// Of the interface of synchronisation; 0: it is not there.
    interface: u32,
}

impl Kernel {
    fn with<T>(&self, look: impl FnOnce(&mut Shared) -> T) -> T {
        look(&mut self.0.lock().expect("no test panics while it looks"))
    }
}

impl TableStore for Kernel {
    fn dump(&mut self) -> Result<Table, StoreError> {
        Ok(self.with(|kernel| kernel.table.clone()))
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        let change = |kernel: &mut Shared, op: &TableOp| {
            kernel.tried.push(row(op));
            if kernel.refused.contains(&row(op)) {
                return Err(StoreError("refused".into()));
            }
            reconcile::apply(&mut kernel.table, op);
            Ok(())
        };
        self.with(|kernel| ops.iter().map(|op| change(kernel, op)).collect())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        Ok(self.with(|kernel| kernel.timeouts))
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), StoreError> {
        let new = |old: u32, new: u32| if new == 0 { old } else { new };
        self.with(|kernel| {
            let Timeouts { tcp, tcp_fin, udp } = kernel.timeouts;
            kernel.timeouts = Timeouts {
                tcp: new(tcp, timeouts.tcp),
                tcp_fin: new(tcp_fin, timeouts.tcp_fin),
                udp: new(udp, timeouts.udp),
            };
        });
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(self.with(|kernel| kernel.daemons.clone()))
    }

    fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), StoreError> {
        self.with(|kernel| {
            kernel.started += 1;
            kernel.daemons.push(daemon.clone());
        });
        Ok(())
    }

    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), StoreError> {
        self.with(|kernel| kernel.daemons.retain(|daemon| daemon.role != role));
        Ok(())
    }

    fn interface(&mut self, _: &str) -> Option<u32> {
        Some(self.with(|kernel| kernel.interface)).filter(|index| *index > 0)
    }

    fn set_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<bool, StoreError> {
        Ok(true)
    }
}

fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: [192, 0, 2, 1].into(), port }
}

fn service(servers: &[u8]) -> Arc<Service> {
    weighted("rr", servers.iter().map(|last| (*last, 1)))
}

fn weighted(scheduler: &str, servers: impl IntoIterator<Item = (u8, u32)>) -> Arc<Service> {
    let settings = ServiceSettings {
        scheduler: scheduler.into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
    };
    let destination = |weight| Destination {
        forwarding: ForwardingMethod::Masquerade,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    let servers = servers.into_iter().map(|(last, weight)| (server(last), destination(weight)));
    Arc::new(Service { settings, destinations: servers.collect() })
}

fn worker(kernel: &Kernel) -> (Worker, mpsc::Receiver<Report>) {
    let (reports, heard) = mpsc::channel(64);
    let kernel = kernel.clone();
    let opener: Opener = Box::new(move || Ok(Box::new(kernel.clone()) as Box<dyn TableStore>));
    (Worker::new(opener, Arc::new(Mailbox::default()), reports), heard)
}

/// While one server is refused, and a whole service, the others are looked after as ever, and the refused ones are left to
/// the next retry.
#[test]
fn a_refused_row_holds_up_no_other_one() {
    let kernel = Kernel::default();
    kernel.with(|kernel| kernel.refused = [(key(80), Some(server(1))), (key(443), None)].into());
    let (mut worker, mut heard) = worker(&kernel);
    let wanted = [(key(80), Some(service(&[1, 2]))), (key(443), Some(service(&[3])))];
    worker.note(wanted.into_iter().collect());
    worker.settle(&[key(80), key(443)].into());
    assert!(worker.retry_at.is_some());
    let trouble = Report::Trouble(Some("refused; refused".into()));
    assert_eq!(heard.try_recv(), Ok(trouble));

    // Somebody takes the other server out.
    kernel.with(|kernel| {
        let service = kernel.table.services.get_mut(&key(80)).expect("it was added");
        Arc::make_mut(service).destinations.clear();
        kernel.tried.clear();
    });
    worker.audit();
    kernel.with(|kernel| {
        assert_eq!(kernel.table.services[&key(80)], service(&[2]));
        assert_eq!(std::mem::take(&mut kernel.tried), [(key(80), Some(server(2)))]);
    });

    // A verdict on the same service.
    worker.note([(key(80), Some(service(&[1, 4])))].into());
    worker.settle(&[key(80)].into());
    kernel.with(|kernel| {
        assert_eq!(kernel.table.services[&key(80)], service(&[4]));
        assert_eq!(std::mem::take(&mut kernel.tried).len(), 2);
        kernel.refused.clear();
    });
    assert!(worker.retry_at.is_some() && heard.try_recv().is_err());

    worker.settle_all();
    kernel.with(|kernel| assert_eq!(kernel.table, worker.desired));
    assert_eq!((worker.retry_at, heard.try_recv()), (None, Ok(Report::Trouble(None))));
}

/// What is wanted of three services, one after the other, and which rows the kernel refuses meanwhile.
type Wish = (u16, Option<Arc<Service>>, BTreeSet<(u16, Option<u8>)>);

fn wish() -> impl Strategy<Value = Wish> {
    let servers = proptest::collection::btree_map(1u8..5, 0u32..3, 0..4);
    let service = (prop_oneof![Just("rr"), Just("wlc")], servers);
    let service = service.prop_map(|(scheduler, servers)| weighted(scheduler, servers));
    let refused = proptest::collection::btree_set((80u16..83, proptest::option::of(1u8..5)), 0..3);
    let refused = prop_oneof![2 => Just(BTreeSet::new()), 1 => refused];
    (80u16..83, proptest::option::weighted(0.8, service), refused)
}

proptest! {
    /// Whatever the kernel refused: it has what is thought that it has, and in the end what was wanted.
    #[test]
    fn what_is_known_of_the_table_is_the_table(wishes in proptest::collection::vec(wish(), 1..12)) {
        let kernel = Kernel::default();
        let (mut worker, mut heard) = worker(&kernel);
        for (port, wanted, refused) in wishes {
            let refused = refused.into_iter().map(|(port, last)| (key(port), last.map(server)));
            kernel.with(|kernel| kernel.refused = refused.collect());
            worker.note([(key(port), wanted)].into());
            worker.settle(&[key(port)].into());
            if let Some(observed) = &worker.observed {
                prop_assert_eq!(observed, &kernel.with(|kernel| kernel.table.clone()));
            }
            while heard.try_recv().is_ok() {}
        }
        kernel.with(|kernel| kernel.refused.clear());
        worker.settle_all();
        prop_assert_eq!(&worker.desired, &kernel.with(|kernel| kernel.table.clone()));
        prop_assert_eq!(&worker.observed, &Some(worker.desired.clone()));
    }
}

/// Somebody has taken out the server that the new plan keeps: it is back before the other one goes.
#[test]
fn the_way_to_a_new_plan_begins_at_the_table_that_is_there() {
    let kernel = Kernel::default();
    let (reports, mut heard) = mpsc::channel(64);
    let theirs = kernel.clone();
    let opener: Opener = Box::new(move || Ok(Box::new(theirs.clone()) as Box<dyn TableStore>));
    let worker = IpvsWorker::start(opener, reports).expect("a thread");
    let mut plan = |generation, servers: &[u8]| {
        let generation = Generation(generation);
        worker.plan(generation, &KernelSettings::default(), [(key(80), Some(service(servers)))]);
        assert_eq!(heard.blocking_recv(), Some(Report::Settled(generation)));
    };
    plan(1, &[1, 2]);
    kernel.with(|kernel| {
        reconcile::apply(&mut kernel.table, &TableOp::DelDest(key(80), server(1)));
        kernel.tried.clear();
    });
    plan(2, &[1]);
    kernel.with(|kernel| {
        assert_eq!(kernel.table.services[&key(80)], service(&[1]));
        assert_eq!(kernel.tried, [(key(80), Some(server(1))), (key(80), Some(server(2)))]);
    });
}

#[test]
fn synchronisation_begins_anew_on_an_interface_that_was_made_anew() {
    let mut kernel = Kernel::default();
    let settings = SyncSettings {
        interface: "s0".into(),
        sync_id: 5,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    let mut around = around::Around::default();
    let sync = Some(SyncPlan { instance: None, settings });
    around.plan(KernelSettings { sync, ..KernelSettings::default() });
    for (interface, started, why) in [
        (7, 2, "both daemons"),
        (7, 2, "they run"),
        (0, 2, "nothing can be done without the interface"),
        (9, 4, "it is another one"),
        (9, 4, "they run"),
    ] {
        kernel.with(|kernel| kernel.interface = interface);
        around.settle(&mut kernel);
        assert_eq!(kernel.with(|kernel| (kernel.started, kernel.daemons.len())), (started, 2), "{why}");
    }
}

#[test]
fn timeouts_are_what_they_were_when_ours_go() {
    let mut kernel = Kernel::default();
    let of = |tcp, tcp_fin, udp| Timeouts { tcp, tcp_fin, udp };
    kernel.set_timeouts(&of(800, 110, 290)).expect("this kernel does");
    let mut around = around::Around::default();
    for (wanted, have) in [
        (of(0, 0, 0), of(800, 110, 290)),
        (of(700, 0, 15), of(700, 110, 15)),
        (of(0, 0, 20), of(800, 110, 20)),
        (of(0, 0, 0), of(800, 110, 290)),
        (of(0, 60, 25), of(800, 60, 25)),
    ] {
        around.plan(KernelSettings { timeouts: wanted, ..KernelSettings::default() });
        around.settle(&mut kernel);
        assert_eq!(kernel.timeouts().expect("this kernel does"), have, "{wanted:?}");
    }
    // What somebody else sets meanwhile stays, and comes back where it gives way to another value of ours.
    kernel.set_timeouts(&of(750, 66, 28)).expect("this kernel does");
    let timeouts = of(0, 60, 26);
    around.plan(KernelSettings { timeouts, ..KernelSettings::default() });
    around.settle(&mut kernel);
    assert_eq!(kernel.timeouts().expect("this kernel does"), of(750, 66, 26));
    assert!(around.holds());
    around.release(&mut kernel);
    assert_eq!(kernel.timeouts().expect("this kernel does"), of(750, 66, 28));
}
