//! `holdfastctl diff` says what a reload would do. Here the cores do it, and what they do is compared.

use holdfast::check::checker::Belief;
use holdfast::check::probe::Outcome;
use holdfast::check::{self, Checks, questions};
use holdfast::lvs::director::Director;
use holdfast::lvs::reconcile;
use holdfast::lvs::table::{Table, TableOp};
use holdfast::net::{AddressFamily, IpCidr, MacAddr, Priority, TransportProtocol, VirtualRouterId};
use holdfast::plan::check::{CheckKind, CheckerPlan, Question, Schedule, Target};
use holdfast::plan::diff::{Change, Weight, What, diff};
use holdfast::plan::lvs::{ForwardingMethod, LvsPlan, RealServer, ServiceKey, VirtualServer};
use holdfast::plan::vrrp::{
    AnnouncePolicy, Authentication, ChecksumDialect, RouterKey, RouterPlan, TrackedInterface, Version,
    VirtualAddress, VrrpPlan,
};
use holdfast::plan::{Generation, Plans};
use holdfast::time::{Instant, Interval};
use holdfast::vrrp::{Action, AddressOp, Core, Event, Frame, InterfaceFacts, Received, RouterId, State};
use holdfast::wire::vrrp::{Addresses, Advertisement};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const INTERFACES: [&str; 2] = ["eth0", "eth1"];
/// Addresses that routers share out; none is on an interface before.
const ADDRESSES: usize = 6;

// ---- routers

/// The settings of a router that are drawn, beside its key.
type Drawn = (u8, u16, bool, u64, u8, bool, u8, Option<i16>);

fn drawn() -> impl Strategy<Value = Drawn> {
    (
        prop_oneof![Just(100u8), Just(150), Just(200), Just(255)],
        prop_oneof![Just(100u16), Just(200)],
        any::<bool>(),
        0u64..2,
        3u8..5,
        any::<bool>(),
        0u8..4,
        prop_oneof![Just(None), Just(Some(-20i16)), Just(Some(20))],
    )
}

fn router(key: RouterKey, drawn: Drawn) -> RouterPlan {
    let (priority, centiseconds, preempt, delay, adverts, v3, many, weight) = drawn;
    let version = if v3 || key.family == AddressFamily::V6 { Version::V3 } else { Version::V2 };
    let password = version == Version::V2 && many == 1;
    let tracked = |weight| TrackedInterface { interface: "eth1".to_owned(), weight, reverse: false };
    RouterPlan {
        version,
        priority: Priority(priority),
        interval: Interval::from_centiseconds(centiseconds).expect("in range"),
        preempt,
        preempt_delay: Duration::from_secs(delay),
        down_timer_adverts: adverts,
        addresses: Vec::new(),
        authentication: if password { Authentication::Password([7; 8]) } else { Authentication::None },
        announce: AnnouncePolicy { repeat: u32::from(many) + 1, ..AnnouncePolicy::default() },
        answer_lower_priority: many != 2,
        answer_higher_priority: many == 3,
        track_interfaces: weight.map(tracked).into_iter().filter(|_| key.interface == "eth0").collect(),
        ..RouterPlan::new(format!("{}-{}", key.interface, key.vrid), key)
    }
}

fn address(number: usize, family: AddressFamily, labelled: bool) -> VirtualAddress {
    let last = u8::try_from(number).expect("few addresses");
    let ip = match family {
        AddressFamily::V4 => IpAddr::V4(Ipv4Addr::new(10, 9, 0, last)),
        AddressFamily::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, u16::from(last))),
    };
    let label = (labelled && family == AddressFamily::V4).then(|| "eth0:x".to_owned());
    let cidr = IpCidr::new(ip, 24).expect("24 fits");
    VirtualAddress { label, ..VirtualAddress::new(cidr) }
}

/// A few routers out of few keys, and each address with one router or none.
fn vrrp_plan() -> impl Strategy<Value = VrrpPlan> {
    let key = (0usize..2, any::<bool>(), 1u8..3).prop_map(|(interface, v6, vrid)| RouterKey {
        interface: INTERFACES[interface].to_owned(),
        family: if v6 { AddressFamily::V6 } else { AddressFamily::V4 },
        vrid: VirtualRouterId::new(vrid).expect("not 0"),
        among: None,
    });
    let share = prop::collection::vec((0usize..8, any::<bool>(), any::<bool>()), ADDRESSES);
    (prop::collection::btree_map(key, drawn(), 0..6), share).prop_map(|(routers, share)| {
        let mut routers: Vec<RouterPlan> = routers.into_iter().map(|(k, d)| router(k, d)).collect();
        for (number, (owner, excluded, labelled)) in share.into_iter().enumerate() {
            let Some(router) = routers.get_mut(owner) else { continue };
            let address = address(number, router.key.family, labelled);
            if excluded { &mut router.excluded_addresses } else { &mut router.addresses }.push(address);
        }
        VrrpPlan { generation: Generation(1), routers, ..VrrpPlan::default() }
    })
}

/// The core with a kernel that obeys at once and a network without others.
struct Bench {
    core: Core,
    now: Instant,
}

impl Bench {
    /// Runs `plan` until every router is Master.
    fn settled(plan: &VrrpPlan) -> Bench {
        let mut bench = Bench { core: Core::new(), now: Instant(1_000_000_000) };
        for (index, name) in (2u32..).zip(INTERFACES) {
            let last = u8::try_from(index).expect("small");
            bench.feed(Event::Interface(InterfaceFacts {
                index,
                name: name.to_owned(),
                up: true,
                mac: MacAddr([2, 0, 0, 0, 0, last]),
                mtu: 1500,
                ipv6_forwarding: false,
                ipv4: vec![Ipv4Addr::new(10, 0, last, 2)],
                ipv6_link_local: vec![Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last))],
                ipv6_wide: Vec::new(),
            }));
        }
        bench.feed(Event::Plan(plan.clone()));
        for _ in 0..10_000 {
            if bench.core.routers().all(|r| r.state() == State::Master) {
                return bench;
            }
            bench.now = bench.core.next_timeout().expect("somebody waits");
            let mut actions = Vec::new();
            bench.core.handle_timeout(bench.now, &mut actions);
            bench.answer(actions);
        }
        panic!("the routers do not become Master");
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.core.handle(event, self.now, &mut actions);
        self.answer(actions)
    }

    fn answer(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        let mut next = 0;
        while let Some(action) = actions.get(next) {
            next += 1;
            if let Action::Kernel(op, _) = action {
                let done = Event::KernelDone { op: *op, result: Ok(()) };
                self.core.handle(done, self.now, &mut actions);
            }
        }
        actions
    }
}

/// Kernel operations and changes of state, sorted: what happened or is foretold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deeds {
    added: Vec<(u32, IpCidr)>,
    removed: Vec<(u32, IpCidr)>,
    /// Interface and VRID of advertisements of priority 0.
    resigned: BTreeSet<(u32, AddressFamily, u8)>,
    states: BTreeSet<(RouterKey, State)>,
}

impl Deeds {
    fn sorted(mut self) -> Deeds {
        self.added.sort_unstable();
        self.removed.sort_unstable();
        self
    }

    fn done(actions: &[Action]) -> Deeds {
        let mut deeds = Deeds::default();
        for action in actions {
            match action {
                Action::Kernel(_, AddressOp::Add { interface, cidr, .. }) => {
                    deeds.added.push((*interface, *cidr))
                }
                Action::Kernel(_, AddressOp::Remove { interface, cidr, .. }) => {
                    deeds.removed.push((*interface, *cidr))
                }
                Action::Transmit(_, Frame::Advertisement { interface, source, bytes, .. })
                    if bytes[2] == 0 =>
                {
                    deeds.resigned.insert((*interface, AddressFamily::of(*source), bytes[1]));
                }
                Action::Notify(transition) => {
                    deeds.states.insert((transition.key.clone(), transition.to));
                }
                _ => {}
            }
        }
        deeds.sorted()
    }

    /// All routers are Masters when the reload comes.
    fn foretold(changes: &[Change]) -> Deeds {
        let index = |key: &RouterKey| if key.interface == "eth0" { 2 } else { 3 };
        let mut deeds = Deeds::default();
        for change in changes {
            match &change.what {
                What::RouterRemoved { key, addresses, .. } => {
                    deeds.removed.extend(addresses.iter().map(|a| (index(key), a.cidr)));
                    deeds.resigned.insert((index(key), key.family, key.vrid.get()));
                    deeds.states.insert((key.clone(), State::Initialize));
                }
                What::RouterAdded { key, addresses, owner, .. } => {
                    let all = addresses.iter().map(|a| (index(key), a.cidr));
                    // A Backup removes what an earlier run may have left.
                    if *owner {
                        deeds.added.extend(all)
                    } else {
                        deeds.removed.extend(all)
                    }
                    deeds.states.insert((key.clone(), if *owner { State::Master } else { State::Backup }));
                }
                What::AddressRemoved { key, address, .. } => deeds.removed.push((index(key), address.cidr)),
                What::AddressAdded { key, address, .. } => deeds.added.push((index(key), address.cidr)),
                _ => {}
            }
        }
        deeds.sorted()
    }
}

fn vrrp_only(plan: &VrrpPlan) -> Plans {
    Plans { vrrp: plan.clone(), ..Plans::default() }
}

/// A version 3 advertisement for a router of ours, from its neighbour of the higher address.
fn advert(plan: &RouterPlan, priority: u8) -> Event {
    let index = if plan.key.interface == "eth0" { 2 } else { 3 };
    let from = Ipv4Addr::new(10, 0, index, 9);
    let group = Ipv4Addr::new(224, 0, 0, 18);
    let carried = plan.addresses.iter().filter_map(|a| match a.cidr.address() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let addresses = Addresses::V4(carried.collect());
    let message =
        Advertisement::v3(plan.key.vrid, Priority(priority), plan.interval, addresses).expect("sayable");
    Event::Advertisement(Received {
        interface: u32::from(index),
        source: from.into(),
        destination: group.into(),
        hop_limit: 255,
        bytes: message.encode(from.into(), group.into(), ChecksumDialect::PseudoHeader),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn routers_do_what_was_foretold(old in vrrp_plan(), new in vrrp_plan()) {
        let changes = diff(&vrrp_only(&old), &vrrp_only(&new));
        let mut bench = Bench::settled(&old);
        let actions = bench.feed(Event::Plan(new.clone()));
        prop_assert_eq!(Deeds::done(&actions), Deeds::foretold(&changes));
        if changes.is_empty() {
            prop_assert_eq!(&old.routers, &new.routers);
            prop_assert!(actions.is_empty(), "{:?}", actions);
        }
        // A router that no change names is not touched: it transmits nothing either.
        let named: BTreeSet<&RouterKey> = changes.iter().filter_map(|c| key_of(&c.what)).collect();
        let key = |id: &RouterId| bench.core.router(*id).map(|r| r.plan().key.to_key());
        for action in &actions {
            if let Action::Transmit(id, _) = action && let Some(key) = key(id) {
                prop_assert!(named.contains(&key), "{key:?} speaks: {action:?}");
            }
        }
    }

    #[test]
    fn only_a_router_that_was_named_yields_to_a_peer_that_kept_still(
        before in drawn(), after in drawn(), which in 0u8..8, priority in 1u8..255,
    ) {
        let after = one_changed(before, after, which);
        let [old, new] = [before, after].map(speaker);
        let changes = diff(&vrrp_only(&old), &vrrp_only(&new));
        let yields = |bench: &mut Bench| {
            let actions = bench.feed(advert(&old.routers[0], priority));
            actions.iter().any(|a| matches!(a, Action::Notify(_)))
        };
        let mut bench = Bench::settled(&old);
        bench.feed(Event::Plan(new.clone()));
        if !yields(&mut Bench::settled(&old)) && yields(&mut bench) {
            let named = changes.iter().any(|c| c.weight == Weight::MayFailOver);
            prop_assert!(named, "it yields to {priority}: {changes:#?}");
        }
    }
}

/// `before` with one setting of `after`.
fn one_changed(before: Drawn, after: Drawn, which: u8) -> Drawn {
    let mut drawn = before;
    match which {
        0 => drawn.0 = after.0,
        1 => drawn.1 = after.1,
        2 => drawn.2 = after.2,
        3 => drawn.3 = after.3,
        4 => drawn.4 = after.4,
        5 => drawn.5 = after.5,
        6 => drawn.6 = after.6,
        _ => drawn.7 = after.7,
    }
    drawn
}

/// A plan of one IPv4 router with one address.
fn speaker(drawn: Drawn) -> VrrpPlan {
    let vrid = VirtualRouterId::new(1).expect("not 0");
    let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid);
    let mut router = router(key, drawn);
    router.addresses.push(address(1, AddressFamily::V4, false));
    VrrpPlan { generation: Generation(1), routers: vec![router], ..VrrpPlan::default() }
}

fn key_of(what: &What) -> Option<&RouterKey> {
    match what {
        What::RouterRemoved { key, .. }
        | What::RouterAdded { key, .. }
        | What::RouterField { key, .. }
        | What::AddressRemoved { key, .. }
        | What::AddressAdded { key, .. } => Some(key),
        _ => None,
    }
}

// ---- services

fn service_key() -> impl Strategy<Value = ServiceKey> {
    // Of one port, as the servers': where ports differ the kernel has destinations of other names.
    (1u8..6).prop_map(|last| ServiceKey::Endpoint {
        protocol: TransportProtocol::Tcp,
        address: [198, 51, 100, last].into(),
        port: 80,
    })
}

fn checker() -> impl Strategy<Value = CheckerPlan> {
    let kind = prop_oneof![Just(CheckKind::Tcp), Just(CheckKind::Ping)];
    (kind, 1u8..4, 1u64..3, any::<bool>()).prop_map(|(kind, last, retry, alpha)| {
        let schedule = Schedule {
            connect_timeout: Duration::from_secs(3),
            delay_before_retry: Duration::from_secs(retry),
            ..Schedule::every(Duration::from_secs(6))
        };
        let target = Target::new(SocketAddr::from(([192, 0, 2, last], 80)));
        CheckerPlan::new(kind, target, schedule, alpha)
    })
}

fn real_server() -> impl Strategy<Value = RealServer> {
    let forwarding = prop_oneof![Just(ForwardingMethod::Masquerade), Just(ForwardingMethod::DirectRouting)];
    (1u8..5, 1u32..4, forwarding, any::<bool>(), 0u32..2, prop::collection::vec(checker(), 0..3)).prop_map(
        |(last, weight, forwarding, inhibit_on_failure, upper_threshold, checkers)| RealServer {
            endpoint: SocketAddr::from(([192, 0, 2, last], 80)),
            weight,
            forwarding,
            inhibit_on_failure,
            upper_threshold,
            lower_threshold: 0,
            checkers,
            set: None,
            slow_start: Duration::ZERO,
        },
    )
}

fn lvs_plan() -> impl Strategy<Value = LvsPlan> {
    let server = (
        prop::collection::btree_set(service_key(), 1..4),
        prop_oneof![Just("rr"), Just("wlc")],
        any::<bool>(),
        prop::collection::vec(real_server(), 1..5),
    );
    prop::collection::vec(server, 0..4).prop_map(|servers| {
        let mut taken = BTreeSet::new();
        let mut virtual_servers = Vec::new();
        for (keys, scheduler, alpha, mut real_servers) in servers {
            let keys: Vec<ServiceKey> = keys.into_iter().filter(|key| taken.insert(*key)).collect();
            let Some(first) = keys.first() else { continue };
            let mut seen = BTreeSet::new();
            real_servers.retain(|server| seen.insert(server.endpoint));
            virtual_servers.push(VirtualServer {
                scheduler: scheduler.to_owned(),
                alpha,
                ..VirtualServer::new(first.to_string(), keys, real_servers)
            });
        }
        LvsPlan { generation: Generation(1), virtual_servers, ..LvsPlan::default() }
    })
}

/// Every check says that its server works.
fn all_up(director: &mut Director) {
    let mut events = Vec::new();
    for question in questions(&director.plan().clone()) {
        director.verdict(&question, Ok(()), &mut events);
    }
}

/// Operations without their values: what is touched.
type Touched = BTreeSet<(&'static str, ServiceKey, Option<SocketAddr>)>;

fn touched(ops: &[TableOp]) -> Touched {
    let one = |op: &TableOp| match op {
        TableOp::AddService(key, _) => ("add service", *key, None),
        TableOp::EditService(key, _) => ("edit service", *key, None),
        TableOp::DelService(key) => ("delete service", *key, None),
        TableOp::AddDest(key, endpoint, _) => ("add", *key, Some(*endpoint)),
        TableOp::EditDest(key, endpoint, _) => ("edit", *key, Some(*endpoint)),
        TableOp::DelDest(key, endpoint) => ("delete", *key, Some(*endpoint)),
    };
    ops.iter().map(one).collect()
}

/// With all servers up; a service that is added brings all its servers.
fn foretold(changes: &[Change], new: &LvsPlan) -> Touched {
    let mut all = Touched::new();
    for change in changes {
        match &change.what {
            What::ServiceRemoved { service, .. } => {
                all.insert(("delete service", *service, None));
            }
            What::ServiceAdded { service, .. } => {
                all.insert(("add service", *service, None));
                let server =
                    new.virtual_servers.iter().find(|v| v.keys.contains(service)).expect("it is new");
                all.extend(server.real_servers.iter().map(|r| ("add", *service, Some(r.endpoint))));
            }
            What::ServiceField { services, in_kernel: true, .. } => {
                all.extend(services.iter().map(|key| ("edit service", *key, None)));
            }
            What::ServerRemoved { services, endpoint, .. } => {
                all.extend(services.iter().map(|key| ("delete", *key, Some(*endpoint))));
            }
            What::ServerAdded { services, endpoint, .. } => {
                all.extend(services.iter().map(|key| ("add", *key, Some(*endpoint))));
            }
            What::ServerField { services, endpoint, in_kernel: true, .. } => {
                all.extend(services.iter().map(|key| ("edit", *key, Some(*endpoint))));
            }
            _ => {}
        }
    }
    all
}

fn lvs_only(plan: &LvsPlan) -> Plans {
    Plans { lvs: plan.clone(), ..Plans::default() }
}

/// Runs every check of the plan once, with success.
fn checked(plan: &LvsPlan) -> Checks {
    let mut checks = Checks::new(1000);
    let mut actions = Vec::new();
    let event = check::Event::Plan { questions: questions(plan), random: 1 };
    checks.handle(event, Instant::ZERO, &mut actions);
    let later = Instant(3_600_000_000_000);
    checks.handle_timeout(later, &mut actions);
    for action in std::mem::take(&mut actions) {
        if let check::Action::Start { check, .. } = action {
            let outcome = Outcome::Success("works".to_owned());
            let event = check::Event::Finished { check, outcome, latency: Duration::from_millis(1) };
            checks.handle(event, later, &mut actions);
        }
    }
    checks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_changes_as_foretold(old in lvs_plan(), new in lvs_plan()) {
        let changes = diff(&lvs_only(&old), &lvs_only(&new));
        prop_assert_eq!(changes.is_empty(), old == new);
        let mut events = Vec::new();
        let mut director = Director::start(old.clone(), &Table::default(), &mut events);
        all_up(&mut director);
        let before = director.desired().clone();
        director.reload(new.clone(), &mut events);
        all_up(&mut director);
        let owned = old.virtual_servers.iter().chain(&new.virtual_servers).flat_map(|v| v.keys.clone()).collect();
        let ops = reconcile::plan(&before, director.desired(), &owned);
        prop_assert_eq!(touched(&ops), foretold(&changes, &new));
    }

    #[test]
    fn checks_keep_their_verdict_as_foretold(old in lvs_plan(), new in lvs_plan()) {
        let changes = diff(&lvs_only(&old), &lvs_only(&new));
        let mut checks = checked(&old);
        let mut actions = Vec::new();
        let event = check::Event::Plan { questions: questions(&new), random: 2 };
        checks.handle(event, Instant(3_600_000_000_001), &mut actions);
        let starts: BTreeMap<String, bool> = changes
            .iter()
            .filter_map(|c| match &c.what {
                What::CheckStarts { question } => Some((format!("{question:?}"), true)),
                _ => None,
            })
            .collect();
        for question in questions(&new) {
            let machine = checks.checker(&question).expect("every question has its machine");
            let anew = machine.belief() == Belief::Unknown;
            prop_assert_eq!(anew, starts.contains_key(&format!("{question:?}")), "{:?}", question);
        }
        for change in &changes {
            if let What::CheckEnds { question } = &change.what {
                prop_assert!(checks.checker(question).is_none(), "{:?}", question);
            }
        }
        let gone = |question: &Question| checks.checker(question).is_none();
        let ended = changes.iter().filter(|c| matches!(c.what, What::CheckEnds { .. })).count();
        let lost: BTreeSet<String> =
            questions(&old).iter().filter(|q| gone(q)).map(|q| format!("{q:?}")).collect();
        prop_assert_eq!(lost.len(), ended);
    }
}

// ---- the tool

fn tool(arguments: &[&Path]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfastctl"));
    let output = command.arg("diff").args(arguments).output().expect("the tool runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn the_tool_says_one_line_for_each_consequence() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let (pair, broken) = (configs.join("pair.conf"), configs.join("broken.conf"));
    assert_eq!(tool(&[&pair, &pair]).0, Some(0));
    assert_eq!(tool(&[&pair, &broken]).0, Some(2));
    let text = std::fs::read_to_string(&pair).expect("a configuration");
    let folder = tempfile::tempdir().expect("a folder");
    let new = folder.path().join("new.conf");
    let changed = text
        .replace("weight 3", "weight 5")
        .replace("auth_pass secret", "auth_pass other")
        .replace("192.0.2.101/24 brd +", "");
    std::fs::write(&new, changed).expect("a file");
    let (status, said) = tool(&[&pair, &new]);
    let want = "\
stops         vrrp_instance WEB: a Master removes 192.0.2.101/24 brd 192.0.2.255 from eth0
may fail over vrrp_instance WEB: authentication a password -> another password, in place: peers that still have the \
old one are not heard: two nodes may be Master until all change
shifts        virtual_server 192.0.2.100 80: real_server 198.51.100.1:8080: weight 3 -> 5, in place
";
    assert_eq!((status, said.as_str()), (Some(1), want));
}
