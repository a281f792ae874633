//! The checker role as its supervisor sees it: real sockets on loopback, a stand-in for the kernel's table.

mod checker_support;

use checker_support::{
    Role, Server, checker, closed_port, key, own_address, real, tcp_servers, virtual_server, wait,
};
use holdfast::link::frame::encode;
use holdfast::link::{FromChecker, News, ToChecker};
use holdfast::lvs::reconcile;
use holdfast::lvs::sync::SyncDaemon;
use holdfast::lvs::table::{Destination, Service, ServiceSettings, Table, TableOp};
use holdfast::plan::Generation;
use holdfast::plan::check::{CheckKind, HttpCheck, HttpUrl, HttpVersion, Source, Target, TlsCheck, UdpCheck};
use holdfast::plan::lvs::{
    ForwardingMethod, KernelSettings, LvsPlan, RealServer, ServiceKey, ServiceRules, SorryServer, SyncPlan,
    SyncRole, SyncSettings, Timeouts, VirtualServer,
};
use holdfast::report::CheckerStatus;
use holdfast::role::checker::run_with;
use holdfast::role::ipvs_worker::{Opener, Standing, StoreError, TableStore};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    timeouts: Timeouts,
    daemons: Vec<SyncDaemon>,
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

    fn timeouts(&mut self) -> Result<Timeouts, StoreError> {
        Ok(self.with(|state| state.timeouts))
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), StoreError> {
        self.with(|state| state.timeouts = *timeouts);
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(self.with(|state| state.daemons.clone()))
    }

    fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), StoreError> {
        self.with(|state| state.daemons.push(daemon.clone()));
        Ok(())
    }

    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), StoreError> {
        self.with(|state| state.daemons.retain(|daemon| daemon.role != role));
        Ok(())
    }

    fn set_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_rules(&mut self, _: &ServiceRules, _: &mut Standing) -> Result<bool, StoreError> {
        Ok(true)
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

/// A role on the stand-in.
fn start(kernel: &Kernel) -> Role {
    let opener = kernel.opener();
    Role::start(move |link| run_with(link, opener))
}

// ---- plans and tables ------------------------------------------------------------------------------------------

fn web(status: u16) -> CheckKind {
    let url = HttpUrl { status: vec![status..=status], ..HttpUrl::new("/") };
    CheckKind::Http(HttpCheck {
        version: HttpVersion::V1_0,
        urls: vec![url],
        tls: None,
        fast_recovery: false,
    })
}

/// A service that other software owns.
fn foreign() -> (ServiceKey, Arc<Service>) {
    let settings = ServiceSettings {
        scheduler: "rr".into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
    };
    let destinations = [(closed_port(), weight(7))].into();
    (key(9999), Service { settings, destinations }.into())
}

fn weight(weight: u32) -> Destination {
    Destination { forwarding: ForwardingMethod::Masquerade, weight, upper_threshold: 0, lower_threshold: 0 }
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
    let mut role = start(&kernel);
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
    role.status();
    let told = role.news.iter().map(|news| match news {
        News::VirtualServer { service, up, .. } if *service == key(80) => (None, *up),
        News::RealServer { service, endpoint: server, up, .. } if *service == key(80) => (Some(*server), *up),
        other => panic!("nothing else happened: {other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(None, true), (Some(endpoint), false), (Some(endpoint), true)]);
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
        let mut role = start(&Kernel::default());
        role.plan(1, vec![virtual_server(vec![real(checker(web(200), server.endpoint))])]);
        assert_eq!(role.wait_for_state(state).last_result.as_deref(), Some(result));
        role.stop(false);
    }
}

/// Answers every TLS connection with `HTTP/1.0 200`, showing a self-signed certificate that ended in 2020.
fn tls_server(names: Arc<Mutex<Vec<Option<String>>>>) -> SocketAddr {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("data/expired.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("data/expired.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("the versions are known");
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("certificate and key belong together"));
    let listener = TcpListener::bind(own_address()).expect("a port");
    let endpoint = listener.local_addr().expect("a bound socket");
    // Ends with the test program.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().filter_map(Result::ok) {
            let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut request = [0; 1024];
            if std::io::Read::read(&mut stream, &mut request).is_err() {
                continue;
            }
            let _gone = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
            names.lock().expect("no panic").push(session.server_name().map(str::to_owned));
        }
    });
    endpoint
}

#[test]
fn tls_servers_are_asked_and_bad_certificates_only_remarked() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let endpoint = tls_server(names.clone());
    for (sni, name) in [(None, None), (Some("www.example.org"), Some("www.example.org".to_owned()))] {
        let CheckKind::Http(check) = web(200) else { panic!("it is one") };
        let tls = TlsCheck { enable_sni: sni.is_some(), sni_name: sni.map(str::to_owned), options: None };
        let check = CheckKind::Http(HttpCheck { tls: Some(tls), ..check });
        let mut role = start(&Kernel::default());
        names.lock().expect("no panic").clear();
        role.plan(1, vec![virtual_server(vec![real(checker(check, endpoint))])]);
        let result = role.wait_for_state("up").last_result.expect("a result");
        assert!(result.starts_with("status 200, TLS 1.3, CERTIFICATE EXPIRED "), "{result}");
        assert!(names.lock().expect("no panic").contains(&name));
        role.stop(false);
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_down_and_says_why() {
    let plain = Server::start("HTTP/1.0 400 Bad Request\r\n\r\n", true);
    let CheckKind::Http(check) = web(200) else { panic!("it is one") };
    let check = CheckKind::Http(HttpCheck { tls: Some(TlsCheck::default()), ..check });
    let mut role = start(&Kernel::default());
    role.plan(1, vec![virtual_server(vec![real(checker(check, plain.endpoint))])]);
    let result = role.wait_for_state("down").last_result.expect("a result");
    assert!(result.contains("TLS"), "{result}");
    role.stop(false);
}

#[test]
fn a_datagram_is_refused_or_answered() {
    let server = std::net::UdpSocket::bind(own_address()).expect("a port");
    let endpoint = server.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((count, peer)) = server.recv_from(&mut datagram) {
            let _gone = server.send_to(&datagram[..count], peer);
        }
    });
    let reply = Some(vec![(0xab, 0xf0)]);
    let kind = CheckKind::Udp(UdpCheck { payload: Some(vec![0xa1, 2]), reply, reply_length: 0..=255 });
    for (endpoint, state, words) in
        [(endpoint, "up", "the wanted answer, 2 octets"), (closed_port(), "down", "port unreachable")]
    {
        let mut role = start(&Kernel::default());
        role.plan(1, vec![virtual_server(vec![real(checker(kind.clone(), endpoint))])]);
        assert_eq!(role.wait_for_state(state).last_result.as_deref(), Some(words));
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
    let mut role = start(&kernel);
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
        let mut role = start(&kernel);
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
    let mut role = start(&kernel);
    role.plan(1, vec![tcp_servers(&[endpoint])]);
    drop(role.link);
    assert_eq!(role.thread.join().expect("no panic"), ExitCode::SUCCESS);
    assert_eq!(kernel.destinations(key(80)), sorted(vec![endpoint]));
}

#[test]
fn a_release_that_was_ordered_is_carried_out_though_the_link_ends() {
    let kernel = Kernel::default();
    let mut role = start(&kernel);
    role.plan(1, vec![tcp_servers(&[closed_port()])]);
    role.tell(&ToChecker::Stop { release: true });
    drop(role.link);
    assert_eq!(role.thread.join().expect("no panic"), ExitCode::SUCCESS);
    assert_eq!(kernel.destinations(key(80)), None);
}

#[test]
fn a_stop_right_after_the_first_plan_leaves_nothing_behind() {
    let kernel = Kernel::default();
    let mut role = start(&kernel);
    let virtual_servers = vec![tcp_servers(&[closed_port()])];
    // In one piece: the role reads both before its table thread has looked at the kernel.
    let mut frames =
        encode(&ToChecker::Plan(LvsPlan { virtual_servers, ..LvsPlan::default() })).expect("plans encode");
    frames.extend(encode(&ToChecker::Stop { release: true }).expect("orders encode"));
    role.link.write_all(&frames).expect("the role reads");
    assert_eq!(role.hear(), FromChecker::Stopped);
    assert_eq!(role.thread.join().expect("no panic"), ExitCode::SUCCESS);
    assert_eq!(kernel.with(|state| state.table.clone()), Table::default());
}

#[test]
fn a_malformed_frame_ends_the_role_and_retains_the_table() {
    let kernel = Kernel::default();
    let mut role = start(&kernel);
    role.plan(1, vec![tcp_servers(&[closed_port()])]);
    role.link.write_all(&[0, 0, 0, 1, b'{']).expect("the role reads");
    assert_eq!(role.thread.join().expect("no panic"), ExitCode::FAILURE);
    assert!(kernel.destinations(key(80)).is_some());
}

#[test]
fn heartbeats_are_answered_before_any_plan() {
    let mut role = start(&Kernel::default());
    role.tell(&ToChecker::AreYouThere(5));
    assert_eq!(role.hear(), FromChecker::Alive(5));
    assert_eq!(CheckerStatus { table: None, ..role.status() }, CheckerStatus::default());
    role.stop(true);
}

#[test]
fn a_restart_adopts_the_table_it_finds() {
    let kernel = Kernel::default();
    let (alive, dead) = (Server::start("", true), closed_port());
    let mut role = start(&kernel);
    role.plan(1, vec![tcp_servers(&[alive.endpoint, dead])]);
    let alone = sorted(vec![alive.endpoint]);
    wait("the dead server to leave", || (kernel.destinations(key(80)) == alone).then_some(()));
    drop(role.link);
    role.thread.join().expect("no panic");

    let mut role = start(&kernel);
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
    let mut role = start(&kernel);
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
    let mut role = start(&kernel);
    role.plan(1, vec![tcp_servers(&[server.endpoint])]);
    kernel.with(|state| {
        state.table.services.insert(foreign.0, foreign.1.clone());
        let ours = state.table.services.get_mut(&key(80)).map(Arc::make_mut).expect("our service");
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
    let mut role = start(&kernel);
    role.plan(1, vec![tcp_servers(&[server.endpoint])]);
    let why = role.status().ipvs_error.expect("the trouble is shown");
    assert_eq!(why, "refused by the test", "once, not again for each destination");
    let wanted = sorted(vec![server.endpoint]);
    wait("the table", || (kernel.destinations(key(80)) == wanted).then_some(()));
    wait("the trouble to end", || role.status().ipvs_error.is_none().then_some(()));
    role.stop(false);
}

#[test]
fn a_table_that_changed_under_us_is_no_trouble() {
    let kernel = Kernel::default();
    let (stays, dies) = (Server::start("", true), Server::start("", true));
    let mut role = start(&kernel);
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
    let mut role = start(&kernel);
    let virtual_servers = vec![tcp_servers(&[closed_port()])];
    let empties = LvsPlan { virtual_servers, flush_at_start: true, ..LvsPlan::default() };
    let plan = |n| ToChecker::Plan(LvsPlan { generation: Generation(n), ..empties.clone() });
    role.tell(&plan(1));
    assert_eq!(role.hear(), FromChecker::Applied(Generation(1)));
    assert_eq!(kernel.destinations(key(9999)), None);
    assert!(kernel.with(|state| std::mem::take(&mut state.flushed)));
    role.tell(&plan(2));
    assert_eq!(role.hear(), FromChecker::Applied(Generation(2)));
    assert!(!kernel.with(|state| state.flushed), "only at start");
    role.stop(false);
    let mut next = start(&kernel);
    next.tell(&ToChecker::Held(Vec::new()));
    next.tell(&plan(3));
    assert_eq!(next.hear(), FromChecker::Applied(Generation(3)));
    assert!(!kernel.with(|state| state.flushed), "the process before this one has done so");
    next.stop(false);
}

#[test]
fn a_reload_drops_services_and_checks_that_left() {
    let kernel = Kernel::default();
    let server = Server::start("", true);
    let mut role = start(&kernel);
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
    let not_ours = Source { bind_address: Some([192, 0, 2, 77].into()), ..Source::default() };
    plan.target = Target::new(server.endpoint).coming_from(not_ours);
    let mut role = start(&kernel);
    role.plan(1, vec![virtual_server(vec![real(plan)])]);
    let result = wait("a result", || role.checker().last_result);
    assert!(result.starts_with("not run: no interface has the address 192.0.2.77 (bindto)"), "{result}");
    assert_eq!(role.checker().state, "cannot run");
    assert_eq!(kernel.destinations(key(80)), sorted(vec![server.endpoint]));
    role.stop(false);
}

#[test]
fn checks_come_from_the_address_and_port_they_are_bound_to() {
    let listener = TcpListener::bind(own_address()).expect("a port");
    let wanted = closed_port();
    let endpoint = listener.local_addr().expect("a bound socket");
    let source = Source { bind_address: Some(wanted.ip()), bind_port: wanted.port(), ..Source::default() };
    let mut plan = checker(CheckKind::Tcp, endpoint);
    plan.target = Target::new(endpoint).coming_from(source);
    let mut role = start(&Kernel::default());
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
        plan.manner_mut().schedule.delay_loop = Duration::from_secs(3600 + u64::from(n));
        let [high, low] = n.to_be_bytes();
        RealServer { endpoint: SocketAddr::from(([192, 0, high, low], 80)), ..real(plan) }
    });
    let mut role = start(&Kernel::default());
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
        if let Err(why) = TcpListener::bind(address) {
            println!("skipped: this machine has no {address}: {why}");
            continue;
        }
        let mut role = start(&Kernel::default());
        let plan = checker(CheckKind::Ping, address.parse().expect("an address"));
        role.plan(1, vec![virtual_server(vec![real(plan)])]);
        let result = wait("a result", || role.checker().last_result);
        // Needs the privilege of raw sockets, or a group within net.ipv4.ping_group_range.
        let may_not = result.starts_with("not run: no ICMP socket: ") && !nix::unistd::geteuid().is_root();
        assert!(result == "echo reply" || may_not, "{address}: {result}");
        role.stop(false);
    }
}

#[test]
fn synchronisation_follows_the_virtual_router_and_ends_with_the_daemon() {
    let kernel = Kernel::default();
    let mut role = start(&kernel);
    let settings = SyncSettings {
        interface: "eth0".into(),
        sync_id: 51,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    let sync = Some(SyncPlan { instance: Some("VI_1".into()), settings });
    let timeouts = Timeouts { tcp: 900, tcp_fin: 0, udp: 300 };
    let settings = KernelSettings { timeouts, sync, flush_at_stop: true, rules: ServiceRules::default() };
    role.tell(&ToChecker::Plan(LvsPlan {
        generation: Generation(7),
        virtual_servers: vec![tcp_servers(&[closed_port()])],
        kernel: settings,
        ..LvsPlan::default()
    }));
    assert_eq!(role.hear(), FromChecker::Applied(Generation(7)));
    let roles = || kernel.with(|state| state.daemons.iter().map(|daemon| daemon.role).collect::<Vec<_>>());
    assert_eq!(roles(), [SyncRole::Backup]);
    assert_eq!(kernel.with(|state| state.timeouts), timeouts);
    role.tell(&ToChecker::Master(true));
    wait("the master daemon", || (roles() == [SyncRole::Master]).then_some(()));
    role.tell(&ToChecker::Master(false));
    wait("the backup daemon", || (roles() == [SyncRole::Backup]).then_some(()));
    role.stop(true);
    assert_eq!(roles(), []);
    assert!(kernel.with(|state| state.flushed && state.table == Table::default()));
}

/// What `ip` does in the network namespace of thread `thread` of this process.
fn ip_in(thread: i32, arguments: &str) {
    let namespace = format!("--net=/proc/{}/task/{thread}/ns/net", std::process::id());
    let mut command = Command::new("nsenter");
    let status = command.arg(namespace).arg("ip").args(arguments.split(' ')).status();
    assert!(status.expect("nsenter is installed").success(), "ip {arguments}");
}

#[test]
fn the_checks_of_ha_suspend_run_only_where_the_address_is() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes a network namespace, which needs root");
        return;
    }
    let kernel = Kernel::default();
    let opener = kernel.opener();
    let (tell, hear) = std::sync::mpsc::channel();
    let mut role = Role::start(move |link| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        tell.send(nix::unistd::gettid().as_raw()).expect("the test waits");
        run_with(link, opener)
    });
    let thread = hear.recv().expect("the role starts");
    ip_in(thread, "link set lo up");
    let other = VirtualServer { keys: vec![key(8443)], ..tcp_servers(&[closed_port()]) };
    let server = VirtualServer { ha_suspend: true, ..tcp_servers(&[closed_port()]) };
    role.plan(1, vec![server, other]);
    role.wait_for_state("suspended");
    wait("the other one to be asked", || {
        let state = role.status().virtual_servers[1].real_servers[0].checkers[0].state.clone();
        (state == "down").then_some(())
    });
    assert_eq!(role.checker().state, "suspended");
    assert!(role.status().virtual_servers[0].real_servers[0].up, "it keeps the state it had");
    ip_in(thread, "address add 198.51.100.1/32 dev lo");
    role.wait_for_state("down");
    ip_in(thread, "address delete 198.51.100.1/32 dev lo");
    role.wait_for_state("suspended");
    let up = role.status().virtual_servers[0].real_servers[0].up;
    assert!(!up, "what was found out stays");
    role.stop(false);
}

#[test]
fn orders_by_hand_change_the_table_end_by_themselves_and_are_told_to_be_kept() {
    use holdfast::lvs::traffic::orders::Order;
    let kernel = Kernel::default();
    let mut role = start(&kernel);
    let server = own_address();
    role.plan(
        1,
        vec![virtual_server(vec![RealServer { checkers: vec![], ..real(checker(CheckKind::Tcp, server)) }])],
    );
    let weight = |wanted: u32| {
        wait("the weight", || (kernel.destinations(key(80))?.first()?.1 == wanted).then_some(()));
    };
    weight(1);
    let name = server.to_string();
    let drain = |until, force| Order::Drain { server: name.clone(), virtual_server: None, until, force };
    role.tell(&ToChecker::Traffic(7, drain(None, false)));
    assert!(matches!(role.hear(), FromChecker::Traffic(7, Err(why)) if why.contains("quorum")));
    role.tell(&ToChecker::Traffic(8, drain(None, true)));
    assert!(matches!(role.hear(), FromChecker::Overrides(overrides) if overrides.0.len() == 1));
    assert!(matches!(role.hear(), FromChecker::Traffic(8, Ok(outcome)) if outcome.servers.len() == 1));
    weight(0);
    let now = holdfast::sys::clock::unix_nanoseconds() / 1_000_000;
    // The same drain again, with an end.
    role.tell(&ToChecker::Traffic(9, drain(Some(holdfast::lvs::traffic::Wall(now + 5000)), true)));
    assert!(matches!(role.hear(), FromChecker::Overrides(overrides) if overrides.0.len() == 1));
    assert!(matches!(role.hear(), FromChecker::Traffic(9, Ok(_))));
    // Its end comes without a word of anybody.
    assert!(matches!(role.hear(), FromChecker::Overrides(overrides) if overrides.0.is_empty()));
    weight(1);
    role.stop(true);
}
