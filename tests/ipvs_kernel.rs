//! The IPVS table of a real kernel, beside the real ipvsadm. Each test runs in a network namespace of its own.
//!
//! Without IPVS (many kernels have none; a User Mode Linux guest has) every test says so and does nothing, unless
//! HOLDFAST_REQUIRE_IPVS is set: then it fails.

mod ipvs_support;

use holdfast::lvs::table::{Destination, ServiceSettings, TableOp};
use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::netlink::ipvs::{Ipvs, ServiceEntry, SyncDaemon};
use holdfast::netlink::ipvs_connections::connections;
use holdfast::netlink::route::RouteSocket;
use holdfast::plan::lvs::{
    ForwardingMethod, Granularity, Persistence, ServiceKey, SyncRole, SyncSettings, Timeouts, TunnelChecksum,
    TunnelKind,
};
use ipvs_support::{LOOPBACK, run};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The kernel sums its counters every two seconds; a guest may be ten times slower than its host.
const LIMIT: Duration = Duration::from_secs(60);

/// Held for writing by the test that unloads the modules under everybody's feet.
static MODULES: RwLock<()> = RwLock::new(());

fn in_namespace(test: impl FnOnce(Ipvs) + Send + 'static) {
    let _others_may_run = MODULES.read().unwrap_or_else(PoisonError::into_inner);
    ipvs_support::in_namespace(test);
}

fn ipvsadm(arguments: &str) -> String {
    // A guest's first process has no PATH that leads to sbin.
    let mut command = Command::new("ipvsadm");
    command.env("PATH", "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin").args(arguments.split_whitespace());
    let output = command.output().expect("ipvsadm is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ipvsadm {arguments}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn endpoint(protocol: TransportProtocol, text: &str) -> ServiceKey {
    let endpoint = socket(text);
    ServiceKey::Endpoint { protocol, address: endpoint.ip(), port: endpoint.port() }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("address:port")
}

fn settings(scheduler: &str) -> ServiceSettings {
    ServiceSettings {
        scheduler: scheduler.into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
    }
}

fn dest(forwarding: ForwardingMethod, weight: u32) -> Destination {
    Destination { forwarding, weight, upper_threshold: 0, lower_threshold: 0 }
}

fn all_done(ipvs: &mut Ipvs, ops: &[TableOp]) {
    for (result, op) in ipvs.apply(ops).into_iter().zip(ops) {
        if let Err(error) = result {
            panic!("{op:?}: {error}");
        }
    }
}

/// A table that uses every attribute there is.
fn everything() -> Vec<TableOp> {
    use ForwardingMethod::{DirectRouting, Masquerade, Tunnel};
    let web = endpoint(TransportProtocol::Tcp, "192.0.2.1:80");
    let sip = endpoint(TransportProtocol::Udp, "192.0.2.2:5060");
    let sctp = endpoint(TransportProtocol::Sctp, "192.0.2.3:9000");
    let web6 = endpoint(TransportProtocol::Tcp, "[2001:db8::1]:80");
    let mark = ServiceKey::FwMark { family: AddressFamily::V4, mark: 7 };
    let mark6 = ServiceKey::FwMark { family: AddressFamily::V6, mark: 7 };
    let sticky = |timeout_seconds, granularity| Some(Persistence { timeout_seconds, granularity });
    let gue = TunnelKind::Gue { port: 6080, checksum: TunnelChecksum::Remote };
    let gre = TunnelKind::Gre { checksum: TunnelChecksum::Full };
    let limited = Destination { upper_threshold: 2000, lower_threshold: 1000, ..dest(Masquerade, 3) };
    vec![
        TableOp::AddService(web, settings("wlc")),
        TableOp::AddDest(web, socket("10.0.0.1:80"), limited),
        TableOp::AddDest(web, socket("10.0.0.2:8080"), dest(Masquerade, 0)),
        TableOp::AddService(
            sip,
            ServiceSettings {
                persistence: sticky(360, Granularity::Netmask([255, 255, 255, 0].into())),
                persistence_engine: Some("sip".into()),
                ..settings("rr")
            },
        ),
        TableOp::AddDest(sip, socket("10.0.0.1:5060"), dest(DirectRouting, 1)),
        TableOp::AddService(sctp, ServiceSettings { scheduler_flags: 0x18, ..settings("sh") }),
        TableOp::AddDest(sctp, socket("10.0.0.3:9000"), dest(Tunnel(TunnelKind::Ipip), 100)),
        TableOp::AddDest(sctp, socket("10.0.0.4:9000"), dest(Tunnel(gue), 100)),
        TableOp::AddDest(sctp, socket("10.0.0.5:9000"), dest(Tunnel(gre), 100)),
        TableOp::AddDest(sctp, socket("[2001:db8::99]:9000"), dest(Tunnel(TunnelKind::Ipip), 100)),
        TableOp::AddService(
            web6,
            ServiceSettings { persistence: sticky(50, Granularity::Prefix(64)), ..settings("wrr") },
        ),
        TableOp::AddDest(web6, socket("[2001:db8::11]:80"), dest(Masquerade, 65535)),
        TableOp::AddService(mark, ServiceSettings { one_packet: true, ..settings("lc") }),
        TableOp::AddDest(mark, socket("10.0.0.1:0"), dest(DirectRouting, 1)),
        TableOp::AddService(
            mark6,
            ServiceSettings { persistence: sticky(300, Granularity::Client), ..settings("rr") },
        ),
    ]
}

/// What the table must be after `ops`, all of them additions.
fn expected(ops: &[TableOp]) -> holdfast::lvs::table::Table {
    let mut table = holdfast::lvs::table::Table::default();
    for op in ops {
        match op {
            TableOp::AddService(key, settings) => {
                let service = holdfast::lvs::table::Service {
                    settings: settings.clone(),
                    destinations: Default::default(),
                };
                table.services.insert(*key, service.into());
            }
            TableOp::AddDest(key, endpoint, dest) => {
                let service = table.services.get_mut(key).map(Arc::make_mut);
                service.expect("its service came first").destinations.insert(*endpoint, *dest);
            }
            _ => unreachable!("only additions"),
        }
    }
    table
}

/// `ipvsadm -Ln`, words only, one line per service and destination (without its endless columns of spaces), each
/// destination behind its service's line.
fn ipvsadm_lines(text: &str) -> BTreeSet<String> {
    let mut service = String::new();
    let mut lines = BTreeSet::new();
    for line in text.lines().skip(3) {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.starts_with("->") {
            lines.insert(format!("{service} {words}"));
        } else {
            service = words.clone();
            lines.insert(words);
        }
    }
    lines
}

/// ipvsadm's names for the scheduler flags of the schedulers used here.
fn flag_names(scheduler: &str) -> [(u32, &'static str); 3] {
    match scheduler {
        "sh" => [(0x08, "sh-fallback"), (0x10, "sh-port"), (0x20, "flag-3")],
        "mh" => [(0x08, "mh-fallback"), (0x10, "mh-port"), (0x20, "flag-3")],
        _ => [(0x08, "flag-1"), (0x10, "flag-2"), (0x20, "flag-3")],
    }
}

/// The same of our own listing, in ipvsadm's words.
fn own_lines(entries: &[ServiceEntry]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for entry in entries {
        let mut service = format!("{} {}", entry.key, entry.settings.scheduler);
        let named: Vec<&str> = flag_names(&entry.settings.scheduler)
            .into_iter()
            .filter(|(bit, _)| entry.flags & bit != 0)
            .map(|(_, name)| name)
            .collect();
        if !named.is_empty() {
            service += &format!(" ({})", named.join(","));
        }
        if let Some(persistence) = entry.settings.persistence {
            service += &format!(" persistent {}", persistence.timeout_seconds);
            service += &match persistence.granularity {
                Granularity::Client => String::new(),
                Granularity::Netmask(mask) => format!(" mask {mask}"),
                Granularity::Prefix(bits) => format!(" mask {bits}"),
            };
        }
        if let Some(engine) = &entry.settings.persistence_engine {
            service += &format!(" pe {engine}");
        }
        if entry.settings.one_packet {
            service += " ops";
        }
        lines.insert(service.clone());
        for dest in &entry.destinations {
            let forward = match dest.destination.forwarding {
                ForwardingMethod::Masquerade => "Masq",
                ForwardingMethod::DirectRouting => "Route",
                ForwardingMethod::Tunnel(_) => "Tunnel",
            };
            let weight = dest.destination.weight;
            lines.insert(format!(
                "{service} -> {} {forward} {weight} {} {}",
                dest.endpoint, dest.active, dest.inactive
            ));
        }
    }
    lines
}

#[test]
fn a_table_with_everything_comes_back_as_it_was_sent_and_as_ipvsadm_shows_it() {
    in_namespace(|mut ipvs| {
        let info = ipvs.info().unwrap();
        assert_eq!((info.version.0, info.version.1), (1, 2), "{info:?}");
        assert!(info.table_size >= 256, "{info:?}");
        let ops = everything();
        all_done(&mut ipvs, &ops);
        assert_eq!(ipvs.dump().unwrap(), expected(&ops));
        let shown = ipvsadm("-Ln");
        let version = format!(
            "version {}.{}.{} (size={})",
            info.version.0, info.version.1, info.version.2, info.table_size
        );
        assert!(shown.contains(&version), "{version}");
        assert_eq!(own_lines(&ipvs.list().unwrap()), ipvsadm_lines(&shown));
        let saved = ipvsadm("-Sn");
        for line in [
            "-r 10.0.0.4:9000 -i -w 100 --tun-type gue --tun-port 6080 --tun-remcsum",
            "-r 10.0.0.5:9000 -i -w 100 --tun-type gre --tun-csum",
            "-r [2001:db8::99]:9000 -i -w 100 --tun-type ipip",
        ] {
            assert!(saved.contains(line), "{line} not in {saved}");
        }
        let thresholds = ipvsadm_lines(&ipvsadm("-Ln --thresholds"));
        assert!(thresholds.contains("TCP 192.0.2.1:80 wlc -> 10.0.0.1:80 2000 1000 0 0"), "{thresholds:?}");
        ipvs.flush().unwrap();
        assert!(ipvs.list().unwrap().is_empty());
    });
}

#[test]
fn what_ipvsadm_makes_is_read() {
    in_namespace(|mut ipvs| {
        ipvsadm("-A -t 192.0.2.1:443 -s mh -b mh-fallback -p 100 -M 255.255.0.0");
        ipvsadm("-a -t 192.0.2.1:443 -r 10.0.0.1 -i --tun-type gue --tun-port 5555 --tun-csum -w 9");
        ipvsadm("-A -f 3 -6 -s wlc -o");
        let table = ipvs.dump().unwrap();
        let web = &table.services[&endpoint(TransportProtocol::Tcp, "192.0.2.1:443")];
        let persistence = Some(Persistence {
            timeout_seconds: 100,
            granularity: Granularity::Netmask([255, 255, 0, 0].into()),
        });
        assert_eq!(web.settings, ServiceSettings { persistence, scheduler_flags: 0x08, ..settings("mh") });
        let gue = TunnelKind::Gue { port: 5555, checksum: TunnelChecksum::Full };
        assert_eq!(web.destinations[&socket("10.0.0.1:443")], dest(ForwardingMethod::Tunnel(gue), 9));
        let mark = &table.services[&ServiceKey::FwMark { family: AddressFamily::V6, mark: 3 }];
        assert_eq!(mark.settings, ServiceSettings { one_packet: true, ..settings("wlc") });
        assert_eq!(table.services.len(), 2);
    });
}

#[test]
fn services_and_destinations_are_shown_one_by_one_in_the_kernels_order() {
    in_namespace(|mut ipvs| {
        all_done(&mut ipvs, &everything());
        let web = endpoint(TransportProtocol::Tcp, "192.0.2.1:80");
        let record = ipvs.service(&web).unwrap();
        assert_eq!((record.key, record.settings), (web, settings("wlc")));
        let mut found: Vec<_> = ipvs.services().unwrap().into_iter().map(|record| record.key).collect();
        found.sort();
        assert_eq!(found, ipvs.list().unwrap().into_iter().map(|entry| entry.key).collect::<Vec<_>>());
        let shown: Vec<_> =
            ipvs.destinations(&web).unwrap().into_iter().map(|entry| entry.endpoint).collect();
        assert_eq!(shown.len(), 2);
        let other = endpoint(TransportProtocol::Udp, "192.0.2.1:80");
        for error in [ipvs.service(&other).unwrap_err(), ipvs.zero(Some(&other)).unwrap_err()] {
            assert_eq!((error.errno, &*error.message), (libc::ESRCH, "No such service"));
        }
        ipvs.zero(Some(&web)).unwrap();
        ipvs.zero(None).unwrap();
    });
}

#[test]
fn timeouts_are_set_and_read_as_ipvsadm_shows_them() {
    in_namespace(|mut ipvs| {
        let before = ipvs.timeouts().unwrap();
        assert!(before.tcp > 0 && before.tcp_fin > 0 && before.udp > 0, "{before:?}");
        ipvs.set_timeouts(&Timeouts { tcp: 1234, tcp_fin: 0, udp: 56 }).unwrap();
        assert_eq!(ipvs.timeouts().unwrap(), Timeouts { tcp: 1234, tcp_fin: before.tcp_fin, udp: 56 });
        let shown = ipvsadm("-L --timeout");
        assert!(shown.contains(&format!("1234 {} 56", before.tcp_fin)), "{shown}");
    });
}

#[test]
fn synchronisation_daemons_run_with_every_setting() {
    in_namespace(|mut ipvs| {
        for line in [
            "link add sync0 type dummy",
            "link set sync0 up",
            "address add 192.0.2.77/24 dev sync0",
            "address add 2001:db8::77/64 dev sync0 nodad",
        ] {
            let status =
                Command::new("/sbin/ip").args(line.split(' ')).status().expect("iproute2 is installed");
            assert!(status.success(), "ip {line}");
        }
        assert_eq!(ipvs.daemons().unwrap(), []);
        let settings = |group: &str, sync_id| SyncSettings {
            interface: "sync0".into(),
            sync_id,
            max_length: Some(1300),
            group: Some(group.parse().unwrap()),
            port: Some(9001),
            ttl: Some(4),
        };
        let (master, backup) = (settings("224.0.0.99", 51), settings("ff02::99", 0));
        ipvs.start_daemon(SyncRole::Master, &master).unwrap();
        ipvs.start_daemon(SyncRole::Backup, &backup).unwrap();
        let again = ipvs.start_daemon(SyncRole::Master, &master).unwrap_err();
        assert_eq!(
            again.to_string(),
            "cannot start the master synchronisation daemon on sync0: Daemon has already run"
        );
        let mut found = ipvs.daemons().unwrap();
        found.sort_by_key(|daemon| daemon.role);
        let wanted = [(SyncRole::Master, master), (SyncRole::Backup, backup)]
            .map(|(role, settings)| SyncDaemon { role, settings });
        assert_eq!(found, wanted);
        let shown = ipvsadm("-L --daemon");
        assert!(shown.contains("master sync daemon (mcast=sync0, syncid=51, maxlen=1300"), "{shown}");
        ipvs.stop_daemon(SyncRole::Master).unwrap();
        ipvs.stop_daemon(SyncRole::Backup).unwrap();
        let none = ipvs.stop_daemon(SyncRole::Backup).unwrap_err();
        assert_eq!(none.message, "No daemon is running");
        assert_eq!(ipvs.daemons().unwrap(), []);
        let plain =
            SyncSettings { max_length: None, group: None, port: None, ttl: None, ..settings("224.0.0.1", 0) };
        ipvs.start_daemon(SyncRole::Backup, &plain).unwrap();
        let filled = ipvs.daemons().unwrap().remove(0).settings;
        assert_eq!(
            (filled.group, filled.port, filled.ttl),
            (Some([224, 0, 0, 81].into()), Some(8848), Some(1))
        );
        ipvs.stop_daemon(SyncRole::Backup).unwrap();
        let nowhere = SyncSettings { interface: "nosuch0".into(), ..plain };
        assert_eq!(ipvs.start_daemon(SyncRole::Backup, &nowhere).unwrap_err().errno, libc::ENODEV);
    });
}

#[test]
fn edits_change_in_place_and_deletions_delete() {
    in_namespace(|mut ipvs| {
        all_done(&mut ipvs, &everything());
        let web = endpoint(TransportProtocol::Tcp, "192.0.2.1:80");
        let sip = endpoint(TransportProtocol::Udp, "192.0.2.2:5060");
        let edited = dest(ForwardingMethod::DirectRouting, 42);
        let gone = ServiceKey::FwMark { family: AddressFamily::V6, mark: 7 };
        all_done(
            &mut ipvs,
            &[
                TableOp::EditService(sip, settings("wrr")),
                TableOp::EditDest(web, socket("10.0.0.1:80"), edited),
                TableOp::DelDest(web, socket("10.0.0.2:8080")),
                TableOp::DelService(gone),
            ],
        );
        let mut wanted = expected(&everything());
        wanted.services.get_mut(&sip).map(Arc::make_mut).unwrap().settings = settings("wrr");
        let destinations = &mut wanted.services.get_mut(&web).map(Arc::make_mut).unwrap().destinations;
        destinations.insert(socket("10.0.0.1:80"), edited);
        destinations.remove(&socket("10.0.0.2:8080"));
        wanted.services.remove(&gone);
        assert_eq!(ipvs.dump().unwrap(), wanted);
    });
}

#[test]
fn refusals_are_explained_and_stop_nothing() {
    in_namespace(|mut ipvs| {
        let web = endpoint(TransportProtocol::Tcp, "192.0.2.1:80");
        let other = endpoint(TransportProtocol::Tcp, "192.0.2.9:80");
        let server = socket("10.0.0.1:80");
        let masq = dest(ForwardingMethod::Masquerade, 1);
        let crossed = Destination { upper_threshold: 1, lower_threshold: 2, ..masq };
        let results = ipvs.apply(&[
            TableOp::AddService(web, settings("rr")),
            TableOp::AddService(web, settings("rr")),
            TableOp::AddService(other, settings("nosuch")),
            TableOp::EditService(other, settings("rr")),
            TableOp::DelService(other),
            TableOp::AddDest(other, server, masq),
            TableOp::AddDest(web, server, masq),
            TableOp::AddDest(web, server, masq),
            TableOp::EditDest(web, socket("10.0.0.2:80"), masq),
            TableOp::DelDest(web, socket("10.0.0.2:80")),
            TableOp::AddDest(web, socket("224.0.0.1:80"), masq),
            TableOp::AddDest(web, socket("[2001:db8::1]:80"), masq),
            TableOp::AddDest(web, socket("10.0.0.3:80"), crossed),
            TableOp::AddDest(web, socket("10.0.0.4:80"), masq),
        ]);
        let words: Vec<String> = results
            .iter()
            .map(|result| result.as_ref().map_or_else(ToString::to_string, |()| String::new()))
            .collect();
        let wanted = [
            "",
            "cannot add the virtual service TCP 192.0.2.1:80 with scheduler rr: Service already exists",
            "scheduler nosuch: Scheduler or persistence engine not found",
            "No such service",
            "cannot delete the virtual service TCP 192.0.2.9:80: No such service",
            "Service not defined",
            "",
            "Destination already exists",
            "No such destination",
            "No such destination",
            "must be unicast",
            "of the service's family",
            "above the upper one",
            "",
        ];
        for (found, wanted) in words.iter().zip(wanted) {
            let fits = if wanted.is_empty() { found.is_empty() } else { found.contains(wanted) };
            assert!(fits, "{wanted:?} wanted, found {found:?}");
        }
        assert_eq!(words.len(), wanted.len());
        assert_eq!(ipvs.dump().unwrap().services[&web].destinations.len(), 2);
    });
}

#[test]
fn a_thousand_destinations_go_in_few_calls() {
    in_namespace(|mut ipvs| {
        let services = (0..10u8).map(|n| ServiceKey::Endpoint {
            protocol: TransportProtocol::Tcp,
            address: IpAddr::from([192, 0, 2, n]),
            port: 80,
        });
        let mut ops = Vec::new();
        for key in services {
            ops.push(TableOp::AddService(key, settings("wlc")));
            for n in 0..100u8 {
                let server = SocketAddr::new(IpAddr::from([10, 0, 0, n + 1]), 80);
                ops.push(TableOp::AddDest(key, server, dest(ForwardingMethod::DirectRouting, u32::from(n))));
            }
        }
        let start = Instant::now();
        all_done(&mut ipvs, &ops);
        println!("1000 destinations in {:?}", start.elapsed());
        let start = Instant::now();
        assert_eq!(ipvs.dump().unwrap(), expected(&ops));
        println!("dumped in {:?}", start.elapsed());
    });
}

#[test]
fn a_connection_is_balanced_and_counted() {
    in_namespace(|mut ipvs| {
        let mut route = RouteSocket::open().unwrap();
        let cidr = holdfast::net::IpCidr::host([192, 0, 2, 1].into());
        let vip = holdfast::vrrp::AddressOp::add(LOOPBACK, &holdfast::plan::vrrp::VirtualAddress::new(cidr));
        assert_eq!(route.apply(&[vip]), [Ok(())]);
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let web = endpoint(TransportProtocol::Tcp, "192.0.2.1:80");
        let real = dest(ForwardingMethod::Masquerade, 1);
        all_done(
            &mut ipvs,
            &[TableOp::AddService(web, settings("rr")), TableOp::AddDest(web, address, real)],
        );
        let mut clients = BTreeSet::new();
        for _ in 0..3 {
            let mut client = TcpStream::connect("192.0.2.1:80").unwrap();
            clients.insert(client.local_addr().unwrap());
            drop(server.accept().unwrap());
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "the real server closed");
        }
        let listed: Vec<_> = connections().unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(listed.iter().map(|connection| connection.client).collect::<BTreeSet<_>>(), clients);
        for connection in &listed {
            assert_eq!((&*connection.protocol, connection.destination), ("TCP", address), "{connection:?}");
            assert_eq!(connection.service, socket("192.0.2.1:80"));
        }
        let start = Instant::now();
        let entry = loop {
            let entry = ipvs.list().unwrap().remove(0);
            if entry.stats.connections == 3 || start.elapsed() > LIMIT {
                break entry;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(entry.stats.connections, 3, "{entry:?}");
        assert!(
            entry.stats.in_packets >= 9 && entry.stats.in_bytes > entry.stats.in_packets * 40,
            "{entry:?}"
        );
        let only = &entry.destinations[0];
        assert_eq!(
            (only.stats.connections, only.active + only.inactive, only.persistent),
            (3, 3, 0),
            "{entry:?}"
        );
    });
}

fn is_user_mode_linux() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"))
}

/// Unload every module of IPVS; those of namespaces that just ended need a moment.
fn unload_ipvs() {
    let start = Instant::now();
    loop {
        let modules = std::fs::read_to_string("/proc/modules").expect("/proc is mounted");
        let names: Vec<&str> = modules.lines().filter_map(|line| line.split(' ').next()).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| name.starts_with("ip_vs")).collect();
        if names.is_empty() {
            return;
        }
        assert!(start.elapsed() < LIMIT, "still loaded: {names:?}");
        // Those that others depend on refuse until the others are gone.
        let mut command = Command::new("modprobe");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-r").args(&names);
        let _ = command.output().expect("kmod is installed");
    }
}

/// Only in a guest of our own: on a real machine the modules may be in use.
#[test]
fn ipvs_is_found_again_after_it_was_unloaded() {
    if !is_user_mode_linux() {
        println!("skipped: this test unloads ip_vs, which it does only in User Mode Linux");
        return;
    }
    let _alone = MODULES.write().unwrap_or_else(PoisonError::into_inner);
    run(true, |mut ipvs| {
        let web = endpoint(TransportProtocol::Tcp, "192.0.2.1:80");
        assert_eq!(ipvs.list().unwrap(), []);
        unload_ipvs();
        let results = ipvs.apply(&[TableOp::AddService(web, settings("rr"))]);
        assert_eq!(results, [Ok(())], "the module was loaded again and found under its new number");
        assert_eq!(ipvs.list().unwrap().len(), 1);
        ipvs.flush().unwrap();
        unload_ipvs();
        assert_eq!(ipvs.list().unwrap(), []);
    });
}
