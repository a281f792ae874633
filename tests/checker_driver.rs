//! The checker role as its supervisor sees it: real sockets on loopback, a stand-in for the kernel's table.

use holdfast::link::frame::{Decoder, encode};
use holdfast::link::{FromChecker, ToChecker};
use holdfast::lvs::reconcile;
use holdfast::lvs::table::{Destination, Service, ServiceSettings, Table, TableOp};
use holdfast::net::TransportProtocol;
use holdfast::plan::Generation;
use holdfast::plan::check::{CheckKind, CheckerPlan, HttpCheck, HttpUrl, HttpVersion, Schedule, Target};
use holdfast::plan::lvs::{ForwardingMethod, LvsPlan, RealServer, ServiceKey, SorryServer, VirtualServer};
use holdfast::report::{CheckerDetail, CheckerStatus};
use holdfast::role::checker::run_with;
use holdfast::role::ipvs_worker::{Opener, StoreError, TableStore};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

// ---- the stand-in for the kernel -------------------------------------------------------------------------------

/// A table that can be looked at, changed behind the role's back, and told to refuse.
#[derive(Clone, Default)]
struct Kernel(Arc<Mutex<KernelState>>);

#[derive(Default)]
struct KernelState {
    table: Table,
    /// Why the table cannot be opened.
    absent: Option<String>,
    /// Refuse that many changes.
    refuse: usize,
    flushed: bool,
}

impl Kernel {
    fn with<T>(&self, look: impl FnOnce(&mut KernelState) -> T) -> T {
        look(&mut self.0.lock().expect("no test panics while it looks"))
    }

    fn opener(&self) -> Opener {
        let kernel = self.clone();
        Box::new(move || match kernel.with(|state| state.absent.clone()) {
            Some(why) => Err(StoreError(why)),
            None => Ok(Box::new(kernel.clone()) as Box<dyn TableStore>),
        })
    }

    /// The destinations of a service as (endpoint, weight); `None` when there is no such service.
    fn destinations(&self, key: ServiceKey) -> Option<Vec<(SocketAddr, u32)>> {
        self.with(|state| {
            let service = state.table.services.get(&key)?;
            Some(service.destinations.iter().map(|(endpoint, have)| (*endpoint, have.weight)).collect())
        })
    }
}

impl TableStore for Kernel {
    fn dump(&mut self) -> Result<Table, StoreError> {
        Ok(self.with(|state| state.table.clone()))
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        self.with(|state| ops.iter().map(|op| state.change(op)).collect())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.with(|state| {
            state.table = Table::default();
            state.flushed = true;
        });
        Ok(())
    }
}

impl KernelState {
    fn change(&mut self, op: &TableOp) -> Result<(), StoreError> {
        if self.refuse > 0 {
            self.refuse -= 1;
            return Err(StoreError("refused by the test".into()));
        }
        // As the kernel does: what changes nothing was asked in error.
        let before = self.table.clone();
        reconcile::apply(&mut self.table, op);
        if self.table == before { Err(StoreError(format!("{op:?} changes nothing"))) } else { Ok(()) }
    }
}

// ---- the supervisor's side --------------------------------------------------------------------------------------

struct Role {
    link: UnixStream,
    decoder: Decoder,
    thread: JoinHandle<ExitCode>,
    asked: u64,
}

impl Role {
    fn start(kernel: &Kernel) -> Role {
        let (link, theirs) = UnixStream::pair().expect("a socket pair");
        link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let opener = kernel.opener();
        let thread = thread::spawn(move || run_with(theirs, opener));
        Role { link, decoder: Decoder::default(), thread, asked: 0 }
    }

    fn tell(&mut self, message: &ToChecker) {
        let frame = encode(message).expect("messages encode");
        self.link.write_all(&frame).expect("the role reads");
    }

    fn hear(&mut self) -> FromChecker {
        loop {
            if let Some(message) = self.decoder.next().expect("well-formed frames") {
                return message;
            }
            let mut buffer = [0; 4096];
            let count = self.link.read(&mut buffer).expect("the role answers in time");
            assert!(count > 0, "the role ended");
            self.decoder.push(&buffer[..count]);
        }
    }

    /// Puts a plan in force.
    fn plan(&mut self, generation: u64, virtual_servers: Vec<VirtualServer>) {
        let generation = Generation(generation);
        self.tell(&ToChecker::Plan(LvsPlan { generation, virtual_servers, flush_at_start: false }));
        assert_eq!(self.hear(), FromChecker::Applied(generation));
    }

    fn status(&mut self) -> CheckerStatus {
        self.asked += 1;
        self.tell(&ToChecker::Snapshot(self.asked));
        match self.hear() {
            FromChecker::Snapshot(number, status) if number == self.asked => status,
            other => panic!("asked for a snapshot, heard {other:?}"),
        }
    }

    /// The only checker of the first real server.
    fn checker(&mut self) -> CheckerDetail {
        self.status().virtual_servers[0].real_servers[0].checkers[0].clone()
    }

    fn wait_for_state(&mut self, wanted: &str) -> CheckerDetail {
        wait(&format!("the checker to be {wanted}"), || {
            let checker = self.checker();
            (checker.state == wanted).then_some(checker)
        })
    }

    fn stop(mut self, release: bool) {
        self.tell(&ToChecker::Stop { release });
        assert_eq!(self.hear(), FromChecker::Stopped);
        assert_eq!(self.thread.join().expect("no panic"), ExitCode::SUCCESS);
    }
}

/// Waits until `look` finds something.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

// ---- real servers -----------------------------------------------------------------------------------------------

/// Listens on loopback until dropped and says `answer` to each connection, then closes or keeps it open.
struct Server {
    endpoint: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: &'static str, closes: bool) -> Server {
        Server::listen(TcpListener::bind(own_address()).expect("a port"), answer, closes)
    }

    fn restart(endpoint: SocketAddr) -> Server {
        Server::listen(TcpListener::bind(endpoint).expect("the port is free again"), "", true)
    }

    fn listen(listener: TcpListener, answer: &'static str, closes: bool) -> Server {
        let endpoint = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("non-blocking");
        let end = Arc::new(AtomicBool::new(false));
        let theirs = end.clone();
        let thread = thread::spawn(move || {
            let mut open = Vec::new();
            while !theirs.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut connection, _)) => {
                        // The peer may be gone already.
                        let _gone = connection.write_all(answer.as_bytes());
                        if !closes {
                            open.push(connection);
                        }
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Server { endpoint, end, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("servers do not panic");
        }
    }
}

// ---- plans ------------------------------------------------------------------------------------------------------

fn key(port: u16) -> ServiceKey {
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: [198, 51, 100, 1].into(), port }
}

fn checker(kind: CheckKind, endpoint: SocketAddr) -> CheckerPlan {
    CheckerPlan {
        kind,
        target: Target { endpoint, bind_address: None, bind_port: 0, fwmark: 0 },
        schedule: Schedule {
            delay_loop: Duration::from_millis(50),
            connect_timeout: Duration::from_millis(500),
            retry: 1,
            delay_before_retry: Duration::from_millis(20),
            warmup: Duration::ZERO,
        },
        alpha: false,
    }
}

fn web(status: u16) -> CheckKind {
    let url = HttpUrl { path: "/".into(), host: None, status: vec![status..=status], digest: None };
    CheckKind::Http(HttpCheck { version: HttpVersion::V1_0, urls: vec![url] })
}

fn real(checker: CheckerPlan) -> RealServer {
    RealServer {
        endpoint: checker.target.endpoint,
        weight: 1,
        forwarding: ForwardingMethod::Masquerade,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        checkers: vec![checker],
    }
}

fn virtual_server(real_servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer {
        name: "web".into(),
        keys: vec![key(80)],
        scheduler: "wlc".into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        alpha: false,
        omega: false,
        real_servers,
    }
}

fn tcp_servers(endpoints: &[SocketAddr]) -> VirtualServer {
    virtual_server(endpoints.iter().map(|endpoint| real(checker(CheckKind::Tcp, *endpoint))).collect())
}

/// A service that other software owns.
fn foreign() -> (ServiceKey, Service) {
    let settings = ServiceSettings {
        scheduler: "rr".into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
    };
    (key(9999), Service { settings, destinations: [(closed_port(), weight(7))].into() })
}

fn weight(weight: u32) -> Destination {
    Destination { forwarding: ForwardingMethod::Masquerade, weight, upper_threshold: 0, lower_threshold: 0 }
}

/// A loopback address of its own for every server, so that no test meets the port of another by chance.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = 16 + (std::process::id() % 200) as u8;
    SocketAddr::from(([127, process, high, low], 0))
}

/// An endpoint that refuses.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind(own_address()).expect("a port");
    listener.local_addr().expect("a bound socket")
}

fn sorted(mut endpoints: Vec<SocketAddr>) -> Option<Vec<(SocketAddr, u32)>> {
    endpoints.sort();
    Some(endpoints.into_iter().map(|endpoint| (endpoint, 1)).collect())
}

// ---- tests ------------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_dies_leaves_the_table_and_returns_with_its_service() {
    let kernel = Kernel::default();
    let (stays, dies) = (Server::start("", true), Server::start("", true));
    let both = sorted(vec![stays.endpoint, dies.endpoint]);
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[dies.endpoint, stays.endpoint])]);
    assert_eq!(kernel.destinations(key(80)), both, "servers serve until a check fails");
    let seen = role.wait_for_state("up");
    assert_eq!(seen.last_result.as_deref(), Some("connected"));
    assert!(seen.latency_us.is_some());

    let endpoint = dies.endpoint;
    drop(dies);
    let alone = sorted(vec![stays.endpoint]);
    wait("the dead server to leave", || (kernel.destinations(key(80)) == alone).then_some(()));
    let seen = role.checker();
    assert_eq!((seen.state.as_str(), seen.latency_us.is_some()), ("down", true));
    let why = seen.last_result.expect("a result");
    assert!(why.starts_with("connection refused after "), "{why}");

    let _back = Server::restart(endpoint);
    wait("it to return", || (kernel.destinations(key(80)) == both).then_some(()));
    role.stop(false);
}

#[test]
fn web_servers_are_judged_by_what_they_say() {
    let cases = [
        (Server::start("HTTP/1.0 200 OK\r\n\r\nhello", true), "up", "status 200"),
        (Server::start("HTTP/1.0 503 Busy\r\n\r\n", true), "down", "status 503, wanted 200"),
        (Server::start("", false), "down", "no answer within 500 ms"),
    ];
    for (server, state, result) in cases {
        let mut role = Role::start(&Kernel::default());
        role.plan(1, vec![virtual_server(vec![real(checker(web(200), server.endpoint))])]);
        assert_eq!(role.wait_for_state(state).last_result.as_deref(), Some(result));
        role.stop(false);
    }
}

#[test]
fn the_sorry_server_takes_over_while_nobody_answers() {
    let kernel = Kernel::default();
    let sorry = closed_port();
    let server = Server::start("", true);
    let mut plan = tcp_servers(&[server.endpoint]);
    plan.sorry_server =
        Some(SorryServer { endpoint: sorry, forwarding: ForwardingMethod::Masquerade, inhibit: false });
    let mut role = Role::start(&kernel);
    role.plan(1, vec![plan]);
    let endpoint = server.endpoint;
    drop(server);
    wait("the sorry server", || (kernel.destinations(key(80)) == sorted(vec![sorry])).then_some(()));
    let status = role.status();
    assert!(status.virtual_servers[0].sorry_server_in_use && !status.virtual_servers[0].up);
    let _back = Server::restart(endpoint);
    wait("the real server", || (kernel.destinations(key(80)) == sorted(vec![endpoint])).then_some(()));
    role.stop(false);
}

#[test]
fn a_stop_removes_our_services_only_when_told_to() {
    let kernel = Kernel::default();
    let foreign = foreign();
    kernel.with(|state| state.table.services.insert(foreign.0, foreign.1.clone()));
    for (release, left) in [(false, true), (true, false)] {
        let mut role = Role::start(&kernel);
        role.plan(1, vec![tcp_servers(&[closed_port()])]);
        role.stop(release);
        assert_eq!(kernel.destinations(key(80)).is_some(), left);
        assert_eq!(
            kernel.with(|state| state.table.services.get(&foreign.0).cloned()),
            Some(foreign.1.clone())
        );
    }
}

#[test]
fn the_end_of_the_link_retains_the_table() {
    let kernel = Kernel::default();
    let endpoint = closed_port();
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[endpoint])]);
    drop(role.link);
    assert_eq!(role.thread.join().expect("no panic"), ExitCode::SUCCESS);
    assert_eq!(kernel.destinations(key(80)), sorted(vec![endpoint]));
}

#[test]
fn a_malformed_frame_ends_the_role_and_retains_the_table() {
    let kernel = Kernel::default();
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[closed_port()])]);
    role.link.write_all(&[0, 0, 0, 1, b'{']).expect("the role reads");
    assert_eq!(role.thread.join().expect("no panic"), ExitCode::FAILURE);
    assert!(kernel.destinations(key(80)).is_some());
}

#[test]
fn heartbeats_are_answered_before_any_plan() {
    let mut role = Role::start(&Kernel::default());
    role.tell(&ToChecker::AreYouThere(5));
    assert_eq!(role.hear(), FromChecker::Alive(5));
    assert_eq!(role.status(), CheckerStatus::default());
    role.stop(true);
}

#[test]
fn a_restart_adopts_the_table_it_finds() {
    let kernel = Kernel::default();
    let (alive, dead) = (Server::start("", true), closed_port());
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[alive.endpoint, dead])]);
    let alone = sorted(vec![alive.endpoint]);
    wait("the dead server to leave", || (kernel.destinations(key(80)) == alone).then_some(()));
    drop(role.link);
    role.thread.join().expect("no panic");

    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[alive.endpoint, dead])]);
    assert_eq!(kernel.destinations(key(80)), alone, "a server that was out stays out until it answers");
    role.wait_for_state("up");
    assert_eq!(kernel.destinations(key(80)), alone);
    let _back = Server::restart(dead);
    let both = sorted(vec![alive.endpoint, dead]);
    wait("the other to return", || (kernel.destinations(key(80)) == both).then_some(()));
    role.stop(false);
}

#[test]
fn without_ip_vs_checks_go_on_and_the_table_follows_when_it_comes() {
    let kernel = Kernel::default();
    kernel.with(|state| state.absent = Some("this kernel has no ip_vs".into()));
    let server = Server::start("", true);
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[server.endpoint])]);
    role.wait_for_state("up");
    assert_eq!(role.status().ipvs_error.as_deref(), Some("this kernel has no ip_vs"));
    kernel.with(|state| state.absent = None);
    let wanted = sorted(vec![server.endpoint]);
    wait("the table", || (kernel.destinations(key(80)) == wanted).then_some(()));
    wait("the trouble to end", || role.status().ipvs_error.is_none().then_some(()));
    role.stop(false);
}

#[test]
fn what_others_change_in_our_services_is_repaired_at_a_reload() {
    let kernel = Kernel::default();
    let foreign = foreign();
    let server = Server::start("", true);
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[server.endpoint])]);
    kernel.with(|state| {
        state.table.services.insert(foreign.0, foreign.1.clone());
        let ours = state.table.services.get_mut(&key(80)).expect("our service");
        ours.settings.scheduler = "rr".into();
        ours.destinations = [(closed_port(), weight(3))].into();
    });
    role.plan(2, vec![tcp_servers(&[server.endpoint])]);
    assert_eq!(kernel.destinations(key(80)), sorted(vec![server.endpoint]));
    kernel.with(|state| {
        assert_eq!(state.table.services[&key(80)].settings.scheduler, "wlc");
        assert_eq!(state.table.services[&foreign.0], foreign.1);
    });
    role.stop(false);
}

#[test]
fn a_refused_change_is_tried_again() {
    let kernel = Kernel::default();
    let server = Server::start("", true);
    // The first and the second try each fail on the service and on its destination.
    kernel.with(|state| state.refuse = 4);
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[server.endpoint])]);
    let why = role.status().ipvs_error.expect("the trouble is shown");
    assert_eq!(why, "refused by the test; refused by the test");
    let wanted = sorted(vec![server.endpoint]);
    wait("the table", || (kernel.destinations(key(80)) == wanted).then_some(()));
    wait("the trouble to end", || role.status().ipvs_error.is_none().then_some(()));
    role.stop(false);
}

#[test]
fn a_table_that_changed_under_us_is_no_trouble() {
    let kernel = Kernel::default();
    let (stays, dies) = (Server::start("", true), Server::start("", true));
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[dies.endpoint, stays.endpoint])]);
    // Somebody else deletes the service; then a server dies, and its removal must fail.
    kernel.with(|state| state.table.services.remove(&key(80)));
    drop(dies);
    let wanted = sorted(vec![stays.endpoint]);
    wait("the table", || (kernel.destinations(key(80)) == wanted).then_some(()));
    assert_eq!(role.status().ipvs_error, None);
    role.stop(false);
}

#[test]
fn lvs_flush_empties_the_table_once() {
    let kernel = Kernel::default();
    let foreign = foreign();
    kernel.with(|state| state.table.services.insert(foreign.0, foreign.1));
    let mut role = Role::start(&kernel);
    let plan = |generation| {
        let virtual_servers = vec![tcp_servers(&[closed_port()])];
        ToChecker::Plan(LvsPlan { generation: Generation(generation), virtual_servers, flush_at_start: true })
    };
    role.tell(&plan(1));
    assert_eq!(role.hear(), FromChecker::Applied(Generation(1)));
    assert_eq!(kernel.destinations(key(9999)), None);
    assert!(kernel.with(|state| std::mem::take(&mut state.flushed)));
    role.tell(&plan(2));
    assert_eq!(role.hear(), FromChecker::Applied(Generation(2)));
    assert!(!kernel.with(|state| state.flushed), "only at start");
    role.stop(false);
}

#[test]
fn a_reload_drops_services_and_checks_that_left() {
    let kernel = Kernel::default();
    let server = Server::start("", true);
    let mut role = Role::start(&kernel);
    role.plan(1, vec![tcp_servers(&[server.endpoint])]);
    role.wait_for_state("up");
    role.plan(2, vec![]);
    assert_eq!(kernel.with(|state| state.table.clone()), Table::default());
    assert_eq!(role.status().virtual_servers, []);
    role.stop(false);
}

#[test]
fn a_check_that_our_machine_cannot_make_invents_no_verdict() {
    let kernel = Kernel::default();
    let server = Server::start("", true);
    let mut plan = checker(CheckKind::Tcp, server.endpoint);
    plan.target.bind_address = Some([192, 0, 2, 77].into()); // not ours
    let mut role = Role::start(&kernel);
    role.plan(1, vec![virtual_server(vec![real(plan)])]);
    let result = wait("a result", || role.checker().last_result);
    assert!(result.starts_with("not run: cannot bind to 192.0.2.77:0: "), "{result}");
    assert_eq!(role.checker().state, "unknown");
    assert_eq!(kernel.destinations(key(80)), sorted(vec![server.endpoint]));
    role.stop(false);
}

#[test]
fn checks_come_from_the_address_and_port_they_are_bound_to() {
    let listener = TcpListener::bind(own_address()).expect("a port");
    let wanted = closed_port();
    let mut plan = checker(CheckKind::Tcp, listener.local_addr().expect("a bound socket"));
    plan.target.bind_address = Some(wanted.ip());
    plan.target.bind_port = wanted.port();
    let mut role = Role::start(&Kernel::default());
    role.plan(1, vec![virtual_server(vec![real(plan)])]);
    let (_connection, from) = listener.accept().expect("a check");
    assert_eq!(from, wanted);
    role.stop(false);
}

#[test]
fn more_checks_than_may_run_at_once_are_all_made() {
    let refusing = closed_port();
    // Each with a schedule of its own, so that none shares another's conversation.
    let servers = (0..700u16).map(|n| {
        let mut plan = checker(CheckKind::Tcp, refusing);
        plan.schedule.delay_loop = Duration::from_secs(3600 + u64::from(n));
        let [high, low] = n.to_be_bytes();
        RealServer { endpoint: SocketAddr::from(([192, 0, high, low], 80)), ..real(plan) }
    });
    let mut role = Role::start(&Kernel::default());
    role.plan(1, vec![virtual_server(servers.collect())]);
    wait("all verdicts", || {
        let servers = &role.status().virtual_servers[0].real_servers;
        servers.iter().all(|server| server.checkers[0].state == "down").then_some(())
    });
    role.stop(false);
}

#[test]
fn loopback_answers_a_ping() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let mut role = Role::start(&Kernel::default());
        let plan = checker(CheckKind::Ping, address.parse().expect("an address"));
        role.plan(1, vec![virtual_server(vec![real(plan)])]);
        let result = wait("a result", || role.checker().last_result);
        // Needs the privilege of raw sockets, or a group within net.ipv4.ping_group_range.
        let may_not = result.starts_with("not run: no ICMP socket: ") && !nix::unistd::geteuid().is_root();
        assert!(result == "echo reply" || may_not, "{address}: {result}");
        role.stop(false);
    }
}
