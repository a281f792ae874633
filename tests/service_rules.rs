//! The packet filter's part of virtual servers on a real kernel, each test in a network namespace of its own.
//!
//! Needs root, nf_tables and the `nft` program, but no IPVS: rules of `nft` stand in for it, which give a packet its real
//! server as destination as IPVS does, and leave the connection's original destination in connection tracking. Where
//! something is missing the test says so and does nothing.

use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::netlink::service_rules::RulesSocket;
use holdfast::plan::lvs::{Marked, ServiceKey, ServiceRules, Translated};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Addresses of one family: virtual, client, server, another server, source.
struct Family {
    table: &'static str,
    addresses: [&'static str; 5],
}

const FAMILIES: [Family; 2] = [
    Family { table: "ip", addresses: ["192.0.2.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9"] },
    Family {
        table: "ip6",
        addresses: ["2001:db8::1", "2001:db8::a1", "2001:db8::a2", "2001:db8::a3", "2001:db8::a9"],
    },
];

impl Family {
    fn at(&self, index: usize) -> IpAddr {
        self.addresses[index].parse().expect("an address")
    }

    fn service(&self, port: u16) -> ServiceKey {
        ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: self.at(0), port }
    }

    fn translated(&self, service: ServiceKey, server: usize, port: u16, source: Option<usize>) -> Translated {
        let server = SocketAddr::new(self.at(server), port);
        Translated { service, server, source: source.map(|index| self.at(index)) }
    }

    /// Whom server `server` sees when the client goes to the virtual address and `port`.
    fn seen(&self, server: usize, port: u16) -> IpAddr {
        let listener = listen((self.at(server), 8080).into());
        let family = if self.at(1).is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let client = Socket::new(family, Type::STREAM, None).expect("a socket");
        client.bind(&SocketAddr::new(self.at(1), 0).into()).expect("the address is there");
        client.connect_timeout(&SocketAddr::new(self.at(0), port).into(), PATIENCE).expect("it gets there");
        let (_, peer) = listener.accept().expect("a connection");
        peer.ip()
    }
}

/// A program that another thread starts has the descriptor of the listener before this one until it runs.
fn listen(address: SocketAddr) -> std::net::TcpListener {
    let begun = std::time::Instant::now();
    loop {
        match std::net::TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && begun.elapsed() < PATIENCE => {
                std::thread::yield_now();
            }
            Err(error) => panic!("{address}: {error}"),
        }
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    child.stdin.take().expect("piped").write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Runs `test` where the virtual addresses lead to servers on ports 80 (server 2), 81 (3) and 90 (2).
fn in_namespace(test: impl FnOnce(RulesSocket) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: a network namespace needs root");
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        let (mut links, mut stand_in) = ("link set lo up\n".to_owned(), String::new());
        for Family { table, addresses: [to, client, server, other, source] } in FAMILIES {
            let nodad = if table == "ip6" { "nodad" } else { "" };
            for address in [to, client, server, other, source] {
                links.push_str(&format!("addr add {address} dev lo {nodad}\n"));
            }
            let to_port = |address: &str| {
                if table == "ip6" { format!("[{address}]:8080") } else { format!("{address}:8080") }
            };
            stand_in.push_str(&format!(
                "table {table} ipvs {{ chain output {{ type nat hook output priority -99; \
                 {table} daddr {to} tcp dport 80 dnat to {}; {table} daddr {to} tcp dport 81 dnat to {}; \
                 {table} daddr {to} tcp dport 90 dnat to {}; }}; }}\n",
                to_port(server),
                to_port(other),
                to_port(server),
            ));
        }
        run("ip", &["-force", "-batch", "-"], &links).expect("addresses on lo");
        match run("nft", &["-f", "-"], &stand_in) {
            Err(why) => println!("skipped: no nft that can translate here: {why}"),
            Ok(_) => test(RulesSocket::open().expect("there is netfilter")),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn what_goes_to_servers_behind_full_nat_has_another_source() {
    in_namespace(|mut socket| {
        for family in &FAMILIES {
            assert_eq!(family.seen(2, 80), family.at(1), "before there are rules");
        }
        let translated = FAMILIES.iter().flat_map(|family| {
            [
                family.translated(family.service(80), 2, 8080, Some(4)),
                // Another one's: not asked for below.
                family.translated(family.service(81), 2, 8081, Some(4)),
            ]
        });
        let mut rules =
            ServiceRules { translated: translated.collect(), counters: true, ..ServiceRules::default() };
        socket.replace(&rules, Some("0")).expect("the kernel takes them");
        for family in &FAMILIES {
            assert_eq!(family.seen(2, 80), family.at(4), "the source that was asked for");
            assert_eq!(family.seen(3, 81), family.at(1), "a server that is not named");
        }
        // Every port, and the address of the interface to the server, which here is the first on lo.
        rules.translated =
            FAMILIES.iter().map(|family| family.translated(family.service(0), 3, 0, None)).collect();
        socket.replace(&rules, Some("0")).expect("the kernel takes them");
        for family in &FAMILIES {
            assert_eq!(family.seen(2, 80), family.at(1), "not any more");
            assert_ne!(family.seen(3, 81), family.at(1), "masqueraded");
        }
    });
}

#[test]
fn packets_of_a_group_have_its_mark_and_servers_of_marks_see_another_source() {
    in_namespace(|mut socket| {
        let protocol = TransportProtocol::Tcp;
        let marked = |family: &Family, port, mark| Marked { protocol, address: family.at(0), port, mark };
        let rules = ServiceRules {
            marked: FAMILIES
                .iter()
                .flat_map(|family| [marked(family, 80, 1000), marked(family, 81, 1001)])
                .collect(),
            translated: FAMILIES
                .iter()
                .map(|family| {
                    let version = if family.table == "ip" { AddressFamily::V4 } else { AddressFamily::V6 };
                    let service = ServiceKey::FwMark { family: version, mark: 1000 };
                    family.translated(service, 2, 0, Some(4))
                })
                .collect(),
            ..ServiceRules::default()
        };
        socket.replace(&rules, None).expect("the kernel takes them");
        for family in &FAMILIES {
            assert_eq!(family.seen(2, 80), family.at(4), "mark 1000");
            assert_eq!(family.seen(3, 81), family.at(1), "mark 1001, another service");
            assert_eq!(family.seen(2, 90), family.at(1), "no mark, though the server is the same");
        }
        // A service of every port has the mark too.
        let rules =
            ServiceRules { marked: FAMILIES.iter().map(|family| marked(family, 0, 1000)).collect(), ..rules };
        socket.replace(&rules, None).expect("the kernel takes them");
        for family in &FAMILIES {
            assert_eq!(family.seen(2, 90), family.at(4));
        }
    });
}

#[test]
fn the_table_can_be_read_is_known_again_and_goes() {
    in_namespace(|mut socket| {
        let family = &FAMILIES[0];
        let rules = ServiceRules {
            marked: vec![Marked {
                protocol: TransportProtocol::Udp,
                address: family.at(0),
                port: 53,
                mark: 7,
            }],
            translated: vec![family.translated(family.service(80), 2, 8080, None)],
            ..ServiceRules::default()
        };
        socket.replace(&rules, Some("0")).expect("the kernel takes them");
        let listed = run("nft", &["list", "table", "ip", "holdfast_ipvs"], "").expect("nft can print it");
        for words in [
            "made by holdfast for IPVS",
            "udp . 192.0.2.1 . 53 : 0x00000007",
            "tcp . 192.0.2.1 . 10.0.0.2 . 8080",
            "masquerade",
        ] {
            assert!(listed.contains(words), "{words} is not in\n{listed}");
        }
        let found = socket.find("holdfast_ipvs").expect("it can be looked for");
        assert_eq!((found.ours, found.foreign), (1, false));
        assert_eq!(found.conntrack_was.as_deref(), Some("0"));
        assert!(socket.find("ipvs").expect("it can be looked for").foreign, "somebody else's");
        socket.replace(&ServiceRules::default(), None).expect("the kernel removes them");
        assert_eq!(socket.find("holdfast_ipvs").expect("it can be looked for").ours, 0);
        assert!(run("nft", &["list", "table", "ip", "ipvs"], "").is_ok(), "the other table stays");
    });
}

#[test]
fn ten_thousand_servers_are_one_transaction() {
    in_namespace(|mut socket| {
        let family = &FAMILIES[1];
        let server = |n: u32| {
            SocketAddr::new(std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(n)).into(), 80)
        };
        let translated = (0..10_000).map(|n| Translated {
            service: family.service(80),
            server: server(n),
            source: Some(family.at(4)),
        });
        let rules = ServiceRules { translated: translated.collect(), ..ServiceRules::default() };
        socket.replace(&rules, None).expect("the kernel takes them");
        let listed = run("nft", &["list", "table", "ip6", "holdfast_ipvs"], "").expect("nft can print it");
        assert_eq!(listed.matches(" . 80 : ").count(), 10_000);
    });
}

/// Every kind of set and rule there is, for both families.
fn everything() -> ServiceRules {
    let protocol = TransportProtocol::Tcp;
    let marked = |family: &Family, port| Marked { protocol, address: family.at(0), port, mark: 7 };
    let of = |family: &Family, port, source| family.translated(family.service(port), 2, port, source);
    let by_mark = |family: &Family| {
        let version = if family.table == "ip" { AddressFamily::V4 } else { AddressFamily::V6 };
        family.translated(ServiceKey::FwMark { family: version, mark: 7 }, 2, 0, None)
    };
    let each = |family: &Family| {
        [
            of(family, 80, None),
            of(family, 81, None),
            of(family, 80, Some(4)),
            of(family, 0, None),
            by_mark(family),
        ]
    };
    ServiceRules {
        marked: FAMILIES.iter().flat_map(|family| [marked(family, 80), marked(family, 0)]).collect(),
        translated: FAMILIES.iter().flat_map(each).collect(),
        counters: true,
        ..ServiceRules::default()
    }
}

/// What `nft` is told, TABLE being our table, HANDLE that of the first rule with the words at the end.
const CHANGES: [(&str, &str, &str); 12] = [
    ("an element less", "delete element ip TABLE servers { tcp . 192.0.2.1 . 10.0.0.2 . 81 }", ""),
    ("an element more", "add element ip6 TABLE marked_servers { 9 . 2001:db8::a3 }", ""),
    ("a mark less", "delete element ip TABLE services { tcp . 192.0.2.1 . 80 }", ""),
    (
        "another mark",
        "delete element ip TABLE services { tcp . 192.0.2.1 . 80 }\n\
         add element ip TABLE services { tcp . 192.0.2.1 . 80 : 8 }",
        "",
    ),
    (
        "another source",
        "delete element ip TABLE servers_with_source { tcp . 192.0.2.1 . 10.0.0.2 . 80 }\n\
         add element ip TABLE servers_with_source { tcp . 192.0.2.1 . 10.0.0.2 . 80 : 10.0.0.3 }",
        "",
    ),
    (
        "another rule",
        "replace rule ip TABLE postrouting handle HANDLE ip daddr 10.0.0.2 accept",
        "@servers counter",
    ),
    ("a rule less", "delete rule ip TABLE prerouting handle HANDLE", "map @services"),
    ("a rule more", "insert rule ip6 TABLE postrouting accept", ""),
    ("another policy", "chain ip TABLE prerouting { policy drop; }", ""),
    ("a table at rest", "add table ip TABLE { flags dormant; }", ""),
    ("no rules", "flush chain ip6 TABLE postrouting", ""),
    ("no table", "delete table ip TABLE", ""),
];

#[test]
fn whatever_somebody_changes_is_seen() {
    in_namespace(|mut socket| {
        let (rules, table) = (everything(), "holdfast_ipvs");
        for (what, change, rule) in CHANGES {
            socket.replace(&rules, None).expect("the kernel takes them");
            let mut seen = socket.see(table).expect("it can be looked into");
            assert!(socket.is_still(table, &mut seen).expect("it can be asked"), "before: {what}");
            let listed = run("nft", &["-a", "list", "table", "ip", table], "").expect("it is there");
            let mut rules_listed = listed.lines().filter_map(|line| line.split_once(" # handle "));
            let (_, handle) = rules_listed.find(|(line, _)| line.contains(rule)).expect("the rule is there");
            let change = change.replace("TABLE", table).replace("HANDLE", handle);
            run("nft", &["-f", "-"], &change).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(!socket.is_still(table, &mut seen).expect("it can be asked"), "{what}: {change}");
        }
    });
}

#[test]
fn what_counters_and_other_tables_do_is_no_change() {
    in_namespace(|mut socket| {
        let (family, rules, t) = (&FAMILIES[0], everything(), "holdfast_ipvs");
        socket.replace(&rules, None).expect("the kernel takes them");
        let mut seen = socket.see(t).expect("it can be looked into");
        family.seen(2, 80);
        let other = "table ip other { chain c { type filter hook input priority 0; }; }";
        run("nft", &["-f", "-"], other).expect("nft makes a table");
        let listed = run("nft", &["list", "table", "ip", t], "").expect("nft can print it");
        assert!(
            listed.lines().any(|line| line.contains("counter packets") && !line.contains("packets 0")),
            "{listed}"
        );
        assert!(socket.is_still(t, &mut seen).expect("it can be asked"));
        // Made anew it is the same.
        socket.replace(&rules, None).expect("the kernel takes them");
        assert!(socket.is_still(t, &mut seen).expect("it can be asked"));
    });
}
