//! The checker role on the IPVS table of a real kernel. Each test runs in a network namespace of its own.
//!
//! Without IPVS (many kernels have none; a User Mode Linux guest has) every test says so and does nothing, unless
//! HOLDFAST_REQUIRE_IPVS is set: then it fails.

mod checker_support;
mod ipvs_support;

use checker_support::{
    Role, Server, checker, closed_port, key, own_address, real, tcp_servers, virtual_server, wait,
};
use holdfast::link::{FromChecker, ToChecker};
use holdfast::lvs::director::Director;
use holdfast::lvs::table::{Destination, ServiceSettings, Table, TableOp};
use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::netlink::ipvs::Ipvs;
use holdfast::plan::Generation;
use holdfast::plan::check::CheckKind;
use holdfast::plan::lvs::{
    ForwardingMethod, Granularity, KernelSettings, LvsPlan, Persistence, RealServer, ServiceKey, SyncPlan,
    SyncRole, SyncSettings, Timeouts, TunnelKind, VirtualServer,
};
use holdfast::role::checker::run;
use ipvs_support::in_namespace;
use std::net::SocketAddr;
use std::process::ExitCode;

fn table(ipvs: &mut Ipvs) -> Table {
    ipvs.dump().expect("a dump")
}

/// The destinations of a service; `None` when there is no such service.
fn serving(ipvs: &mut Ipvs, key: ServiceKey) -> Option<Vec<SocketAddr>> {
    table(ipvs).services.get(&key).map(|service| service.destinations.keys().copied().collect())
}

fn change(ipvs: &mut Ipvs, ops: &[TableOp]) {
    for result in ipvs.apply(ops) {
        result.expect("the kernel takes it");
    }
}

fn sorted(mut endpoints: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
    endpoints.sort();
    Some(endpoints)
}

/// A server that nothing checks.
fn unchecked(endpoint: &str, forwarding: ForwardingMethod) -> RealServer {
    let endpoint = endpoint.parse().expect("address:port");
    RealServer { forwarding, checkers: vec![], ..real(checker(CheckKind::Tcp, endpoint)) }
}

/// One virtual server of each kind.
fn everything() -> Vec<VirtualServer> {
    let with = |name: &str, key, server| VirtualServer {
        name: name.into(),
        keys: vec![key],
        ..virtual_server(vec![server])
    };
    let endpoint = |protocol, text: &str| {
        let vip: SocketAddr = text.parse().expect("address:port");
        ServiceKey::Endpoint { protocol, address: vip.ip(), port: vip.port() }
    };
    let mut any_port = with(
        "any port",
        endpoint(TransportProtocol::Tcp, "198.51.100.2:0"),
        unchecked("127.0.0.1:0", ForwardingMethod::DirectRouting),
    );
    any_port.persistence = Some(Persistence {
        timeout_seconds: 360,
        granularity: Granularity::Netmask([255, 255, 0, 255].into()),
    });
    let mut v6 = with(
        "v6",
        endpoint(TransportProtocol::Udp, "[2001:db8::9]:53"),
        unchecked("[::1]:53", ForwardingMethod::Tunnel(TunnelKind::Ipip)),
    );
    (v6.one_packet, v6.scheduler) = (true, "rr".into());
    let mut sctp = with(
        "sctp",
        endpoint(TransportProtocol::Sctp, "[2001:db8::a]:5"),
        unchecked("[::1]:5", ForwardingMethod::Masquerade),
    );
    sctp.persistence = Some(Persistence { timeout_seconds: 100, granularity: Granularity::Prefix(64) });
    (sctp.scheduler, sctp.scheduler_flags) = ("sh".into(), 0x08);
    let mut mark = with(
        "mark",
        ServiceKey::FwMark { family: AddressFamily::V4, mark: 7 },
        unchecked("127.0.0.1:0", ForwardingMethod::DirectRouting),
    );
    (mark.real_servers[0].upper_threshold, mark.real_servers[0].lower_threshold) = (100, 50);
    let mut group = virtual_server(vec![unchecked("127.0.0.1:80", ForwardingMethod::Masquerade)]);
    group.keys.push(key(81));
    vec![any_port, v6, sctp, mark, group]
}

#[test]
fn the_kernel_gives_back_exactly_what_was_wanted_so_no_audit_sees_a_difference() {
    in_namespace(|mut ipvs| {
        let plan = LvsPlan { virtual_servers: everything(), ..LvsPlan::default() };
        let wanted = Director::start(plan, &Table::default(), &mut Vec::new()).desired().clone();
        let mut role = Role::start(run);
        role.plan(1, everything());
        assert_eq!(role.status().ipvs_error, None);
        assert_eq!(table(&mut ipvs), wanted);
        role.plan(2, everything());
        assert_eq!(table(&mut ipvs), wanted);
        role.plan(3, vec![]);
        assert_eq!(table(&mut ipvs), Table::default());
        role.stop(true);
    });
}

#[test]
fn servers_come_and_go_and_a_restart_adopts() {
    in_namespace(|mut ipvs| {
        let (stays, dies) = (Server::start("", true), Server::start("", true));
        let both = [dies.endpoint, stays.endpoint];
        let alone = sorted(vec![stays.endpoint]);
        let mut role = Role::start(run);
        role.plan(1, vec![tcp_servers(&both)]);
        assert_eq!(serving(&mut ipvs, key(80)), sorted(both.to_vec()));
        role.wait_for_state("up");
        let endpoint = dies.endpoint;
        drop(dies);
        wait("the dead server to leave", || (serving(&mut ipvs, key(80)) == alone).then_some(()));
        assert_eq!(role.checker().state, "down");
        drop(role.link);
        assert_eq!(role.thread.join().expect("no panic"), ExitCode::SUCCESS);
        assert_eq!(serving(&mut ipvs, key(80)), alone, "the end of the link retains");

        let mut role = Role::start(run);
        role.plan(1, vec![tcp_servers(&both)]);
        assert_eq!(serving(&mut ipvs, key(80)), alone, "out stays out until it answers");
        let _back = Server::restart(endpoint);
        wait("it to return", || (serving(&mut ipvs, key(80)) == sorted(both.to_vec())).then_some(()));
        role.stop(true);
        assert_eq!(table(&mut ipvs), Table::default());
    });
}

#[test]
fn a_service_that_the_kernel_refuses_stops_no_other_and_names_the_module() {
    in_namespace(|mut ipvs| {
        let server = Server::start("", true);
        let good = tcp_servers(&[server.endpoint]);
        let refused = VirtualServer { keys: vec![key(81)], scheduler: "nosuch".into(), ..good.clone() };
        let mut role = Role::start(run);
        let engine = VirtualServer {
            persistence: Some(Persistence { timeout_seconds: 60, granularity: Granularity::Client }),
            persistence_engine: Some("nosuch".into()),
            ..good.clone()
        };
        role.plan(1, vec![engine]);
        let trouble = role.status().ipvs_error.expect("it is said");
        assert!(trouble.contains("198.51.100.1:80") && trouble.contains("ip_vs_pe_nosuch"), "{trouble}");
        role.plan(2, vec![refused.clone(), good.clone()]);
        assert_eq!(serving(&mut ipvs, key(80)), Some(vec![server.endpoint]), "the others go on");
        assert_eq!(serving(&mut ipvs, key(81)), None);
        let trouble = role.status().ipvs_error.expect("it is said");
        assert!(trouble.contains("198.51.100.1:81") && trouble.contains("ip_vs_nosuch"), "{trouble}");
        // Verdicts reach the services that are there, and soon.
        role.wait_for_state("up");
        let endpoint = server.endpoint;
        drop(server);
        wait("the dead server to leave", || (serving(&mut ipvs, key(80)) == Some(vec![])).then_some(()));
        let _back = Server::restart(endpoint);
        role.plan(3, vec![VirtualServer { scheduler: "rr".into(), ..refused }, good]);
        wait("both services", || {
            let both = [80, 81].map(|port| serving(&mut ipvs, key(port)));
            (both == [Some(vec![endpoint]), Some(vec![endpoint])]).then_some(())
        });
        wait("no trouble", || role.status().ipvs_error.is_none().then_some(()));
        role.stop(true);
    });
}

#[test]
fn the_work_of_others_is_left_alone_and_their_work_on_ours_repaired() {
    in_namespace(|mut ipvs| {
        let settings = ServiceSettings {
            scheduler: "rr".into(),
            scheduler_flags: 0,
            persistence: None,
            persistence_engine: None,
            one_packet: false,
        };
        let weight = |weight| Destination {
            forwarding: ForwardingMethod::Masquerade,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        let foreign = [
            TableOp::AddService(key(9999), settings.clone()),
            TableOp::AddDest(key(9999), own_address(), weight(7)),
        ];
        change(&mut ipvs, &foreign);
        let before = table(&mut ipvs);
        let server = Server::start("", true);
        let mut role = Role::start(run);
        role.plan(1, vec![tcp_servers(&[server.endpoint])]);
        let wanted = table(&mut ipvs);
        let meddling = [
            TableOp::EditService(key(80), settings),
            TableOp::AddDest(key(80), closed_port(), weight(3)),
            TableOp::DelDest(key(80), server.endpoint),
        ];
        change(&mut ipvs, &meddling);
        role.plan(2, vec![tcp_servers(&[server.endpoint])]);
        assert_eq!(table(&mut ipvs), wanted);
        role.tell(&ToChecker::AreYouThere(1));
        assert_eq!(role.hear(), FromChecker::Alive(1));
        role.stop(true);
        assert_eq!(table(&mut ipvs), before);
    });
}

#[test]
fn synchronisation_follows_the_virtual_router_and_what_others_stop_is_started_again() {
    in_namespace(|mut ipvs| {
        for line in ["link add sync0 type dummy", "link set sync0 up", "address add 192.0.2.77/24 dev sync0"]
        {
            let status = std::process::Command::new("/sbin/ip").args(line.split(' ')).status();
            assert!(status.expect("iproute2 is installed").success(), "ip {line}");
        }
        let settings = SyncSettings {
            interface: "sync0".into(),
            sync_id: 51,
            max_length: Some(100),
            group: None,
            port: None,
            ttl: None,
        };
        let sync = Some(SyncPlan { instance: Some("VI_1".into()), settings });
        let timeouts = Timeouts { tcp: 901, tcp_fin: 0, udp: 0 };
        let before = ipvs.timeouts().unwrap();
        assert_ne!(before.tcp, timeouts.tcp);
        let plan = |generation, sync| {
            let rules = Default::default();
            let kernel = KernelSettings { timeouts, sync, flush_at_stop: false, rules };
            let generation = Generation(generation);
            let virtual_servers = vec![tcp_servers(&[own_address()])];
            ToChecker::Plan(LvsPlan { generation, virtual_servers, kernel, ..LvsPlan::default() })
        };
        let mut role = Role::start(run);
        role.tell(&plan(1, sync.clone()));
        assert_eq!(role.hear(), FromChecker::Applied(Generation(1)));
        assert_eq!(role.status().ipvs_error, None);
        let roles = |ipvs: &mut Ipvs| -> Vec<SyncRole> {
            ipvs.daemons().unwrap().into_iter().map(|daemon| daemon.role).collect()
        };
        assert_eq!((roles(&mut ipvs), ipvs.timeouts().unwrap().tcp), (vec![SyncRole::Backup], 901));
        role.tell(&ToChecker::Master(true));
        wait("the master daemon", || (roles(&mut ipvs) == [SyncRole::Master]).then_some(()));
        ipvs.stop_daemon(SyncRole::Master).unwrap();
        role.tell(&plan(2, sync));
        assert_eq!(role.hear(), FromChecker::Applied(Generation(2)));
        assert_eq!(roles(&mut ipvs), [SyncRole::Master], "what somebody else stopped runs again");
        role.tell(&plan(3, None));
        assert_eq!(role.hear(), FromChecker::Applied(Generation(3)));
        assert_eq!(roles(&mut ipvs), []);
        assert_eq!(ipvs.timeouts().unwrap().tcp, 901);
        role.stop(true);
        assert_eq!(ipvs.timeouts().unwrap(), before, "what was there is there again");
    });
}
