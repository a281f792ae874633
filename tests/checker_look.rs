//! What is shown of checks: the list, the conversations of checks that are made at once, what programs print, and why a
//! check cannot be made.

mod checker_support;
#[path = "checker_support/nowhere.rs"]
mod nowhere;

use checker_support::{Role, Server, checker, closed_port, key, real, tcp_servers, virtual_server, wait};
use holdfast::link::frame::{Decoder, encode};
use holdfast::link::{FromChecker, FromScripts, ToChecker, ToScripts};
use holdfast::plan::check::{
    CheckKind, HttpCheck, HttpUrl, HttpVersion, MiscCheck, Source, Target, TlsCheck, UdpCheck,
};
use holdfast::plan::lvs::VirtualServer;
use holdfast::plan::scripts::{CommandPlan, RunEnd, RunOrder, RunReport, Unrunnable};
use holdfast::report::checks::CheckReport;
use holdfast::report::{CheckNowReport, ChecksReport, ServerFilter};
use holdfast::role::checker::run_with;
use holdfast::role::ipvs_worker::TableStore;
use nowhere::Nowhere;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

fn start() -> Role {
    Role::start(|link| run_with(link, Box::new(|| Ok(Box::new(Nowhere) as Box<dyn TableStore>))))
}

fn checks(role: &mut Role, filter: &str) -> ChecksReport {
    role.tell(&ToChecker::Checks(7, filter.parse().expect("a filter")));
    match role.hear() {
        FromChecker::Checks(7, report) => report,
        other => panic!("asked for the checks, heard {other:?}"),
    }
}

fn check_now(role: &mut Role, filter: &str) -> CheckNowReport {
    role.tell(&ToChecker::CheckNow(8, filter.parse().expect("a filter")));
    match role.hear() {
        FromChecker::CheckedNow(8, report) => report,
        other => panic!("asked to check now, heard {other:?}"),
    }
}

/// A check that would not run by itself for an hour.
fn hourly(kind: CheckKind, endpoint: std::net::SocketAddr) -> VirtualServer {
    let mut plan = checker(kind, endpoint);
    plan.manner_mut().schedule.delay_loop = Duration::from_secs(3600);
    plan.manner_mut().schedule.warmup = Duration::from_secs(36_000_000);
    virtual_server(vec![real(plan)])
}

fn web(paths: &[&str]) -> CheckKind {
    let urls = paths.iter().map(|path| HttpUrl::new(path)).collect();
    CheckKind::Http(HttpCheck { version: HttpVersion::V1_0, urls, tls: None, fast_recovery: false })
}

/// `endpoint`, asked from that address.
fn bound(endpoint: std::net::SocketAddr, address: [u8; 4]) -> Target {
    Target::new(endpoint).coming_from(Source { bind_address: Some(address.into()), ..Source::default() })
}

#[test]
fn equal_questions_are_one_check_of_all_who_ask() {
    let (server, closed) = (Server::start("", true), closed_port());
    let mut role = start();
    let other = VirtualServer { name: "api".into(), keys: vec![key(81)], ..tcp_servers(&[server.endpoint]) };
    role.plan(1, vec![tcp_servers(&[server.endpoint, closed]), other]);
    let report = wait("both to be known", || {
        let all = checks(&mut role, "198.51.100.1");
        let known = all.checks.iter().all(|check| check.state != "unknown");
        known.then_some(all)
    });
    assert_eq!(report.checks.len(), 2);
    let of: Vec<&str> = report.checks[0].servers.iter().map(|asker| asker.virtual_server.as_str()).collect();
    assert_eq!(of, ["web", "api"], "one check, two who ask");
    assert_eq!(report.checks[0].state, "up");
    let latency = report.checks[0].latency.expect("it succeeded");
    assert!(latency.p50_us <= latency.p99_us && latency.p99_us > 0);
    assert_eq!(report.checks[1].state, "down");
    assert_eq!(report.checks[1].latency, None);
    let only = checks(&mut role, &closed.to_string());
    assert_eq!(only.checks.len(), 1, "{only:?}");
    assert!(only.checks[0].failures > 0 && only.checks[0].phase != "listens");
    assert_eq!(checks(&mut role, "192.0.2.1").checks, []);
    role.stop(false);
}

#[test]
fn a_check_is_made_at_once_and_shown_step_by_step() {
    let server = Server::start("HTTP/1.0 200 OK\r\n\r\nhello", true);
    let mut role = start();
    role.plan(1, vec![hourly(web(&["/a", "/b"]), server.endpoint)]);
    let waiting = checks(&mut role, &server.endpoint.to_string());
    assert_eq!((waiting.checks[0].state.as_str(), waiting.checks[0].phase.as_str()), ("unknown", "waits"));
    assert!(waiting.checks[0].next_run_ms.is_some_and(|ms| ms > 60_000), "{waiting:?}");

    let report = check_now(&mut role, &server.endpoint.to_string());
    let words: Vec<&str> = report.conversations.iter().map(|one| one.words.as_str()).collect();
    assert_eq!(words, ["url /a: status 200", "url /b: status 200"], "each url once");
    let last = &report.conversations[1];
    assert_eq!((last.outcome.as_str(), last.state.as_str()), ("success", "up"), "it counts");
    let kinds: Vec<&str> = last.steps.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(kinds, ["note", "note", "sent", "received", "note"], "{:?}", last.steps);
    assert!(last.steps[2].text.starts_with("GET /b HTTP/1.0\\r\n"), "{:?}", last.steps[2]);
    assert!(last.steps[3].text.ends_with("hello"));
    assert_eq!(checks(&mut role, &server.endpoint.to_string()).checks[0].state, "up");
    role.stop(false);
}

#[test]
fn a_conversation_over_http_2_is_shown_in_words() {
    // SETTINGS, HEADERS with `:status: 200`, DATA that ends the answer.
    const ANSWER: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x05\0\x01\0\0\0\x01hello";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("a bound socket");
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("the check comes");
        assert!(connection.read(&mut [0; 4096]).expect("a request") > 0);
        connection.write_all(ANSWER).expect("the check listens");
        // Until the check is done with it.
        while matches!(connection.read(&mut [0; 4096]), Ok(1..)) {}
    });
    let CheckKind::Http(check) = web(&["/a"]) else { panic!("a web check") };
    let mut role = start();
    let kind = CheckKind::Http(HttpCheck { version: HttpVersion::V2, ..check });
    role.plan(1, vec![hourly(kind, endpoint)]);
    let report = check_now(&mut role, &endpoint.to_string());
    let last = &report.conversations[0];
    assert_eq!((last.words.as_str(), last.state.as_str()), ("status 200, HTTP/2", "up"));
    let texts: Vec<&str> = last.steps.iter().map(|step| step.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.starts_with("GET http://127.")), "{texts:?}");
    assert!(texts.contains(&"the server sends SETTINGS(0), HEADERS(1), DATA(5)"), "{texts:?}");
    assert!(texts.contains(&"200\n") && texts.contains(&"hello"), "{texts:?}");
    role.stop(false);
    server.join().expect("no panic");
}

#[test]
fn a_refusal_is_shown_and_nothing_that_is_not_asked() {
    let closed = closed_port();
    let mut role = start();
    role.plan(1, vec![hourly(CheckKind::Tcp, closed)]);
    let report = check_now(&mut role, &closed.ip().to_string());
    assert_eq!(report.conversations[0].outcome, "failure");
    assert!(report.conversations[0].words.starts_with("connection refused after "));
    role.wait_for_state("down");
    let _back = Server::restart(closed);
    assert_eq!(check_now(&mut role, &closed.to_string()).conversations[0].state, "up", "it counts");
    assert_eq!(check_now(&mut role, "192.0.2.1"), CheckNowReport::default());
    role.stop(false);
}

#[test]
fn what_a_failing_program_prints_is_kept_until_it_succeeds() {
    let command = CommandPlan { words: vec!["/check".into(), "disk".into()], ..CommandPlan::default() };
    let kind = CheckKind::Misc(MiscCheck {
        command: Box::new(command),
        timeout: Duration::from_secs(60),
        dynamic: false,
        unrunnable: Unrunnable::Dropped,
    });
    let mut role = start();
    role.plan(1, vec![hourly(kind, closed_port())]);
    let output = "no disk\n".repeat(512);
    for (end, printed, state) in [(RunEnd::Exited(1), output.as_str(), "down"), (RunEnd::Exited(0), "", "up")]
    {
        role.tell(&ToChecker::CheckNow(8, ServerFilter::default()));
        let FromChecker::Run(order) = role.hear() else { panic!("a program is to run") };
        let report =
            RunReport { number: order.number, end, output: printed.into(), took: Duration::from_millis(1) };
        role.tell(&ToChecker::Ran(report));
        let FromChecker::CheckedNow(8, report) = role.hear() else { panic!("an answer") };
        assert_eq!(report.conversations[0].state, state);
        assert_eq!(report.conversations[0].steps[0].text, "runs /check disk");
        let kept = (!printed.is_empty()).then(|| printed.to_owned());
        assert_eq!(role.checker().output, kept, "the whole of it");
        assert_eq!(checks(&mut role, "198.51.100.1").checks[0].output, kept);
    }
    role.stop(false);
}

/// A scripts role beside the checker role: programs really run.
struct Scripts {
    link: UnixStream,
    decoder: Decoder,
}

impl Scripts {
    fn start() -> Scripts {
        let (link, theirs) = UnixStream::pair().expect("a socket pair");
        link.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
        // Ends with its link.
        std::thread::spawn(move || holdfast::role::scripts::run(theirs));
        Scripts { link, decoder: Decoder::default() }
    }

    fn run(&mut self, order: RunOrder) -> RunReport {
        let frame = encode(&ToScripts::Run(order)).expect("messages encode");
        self.link.write_all(&frame).expect("the role reads");
        loop {
            match self.decoder.message().expect("well-formed frames") {
                Some(FromScripts::Ran(report)) => return report,
                Some(_) => continue,
                None => {}
            }
            let mut buffer = [0; 8192];
            let count = self.link.read(&mut buffer).expect("the role answers in time");
            assert!(count > 0, "the role ended");
            self.decoder.push(&buffer[..count]);
        }
    }
}

fn program(path: &str, unrunnable: Unrunnable) -> MiscCheck {
    let command = CommandPlan { words: vec![path.to_owned()], ..CommandPlan::default() };
    MiscCheck { command: Box::new(command), timeout: Duration::from_secs(60), dynamic: false, unrunnable }
}

#[test]
fn every_end_of_a_program_has_its_own_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = |name: &str, mode: u32, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("ours");
        path.to_str().expect("plain").to_owned()
    };
    let long = "echo begin; head -c 10000 /dev/zero | tr '\\0' x; exit 3";
    let locked = script("locked", 0o644, "exit 0");
    let (gone, drops, fault) = ("/does/not/exist", Unrunnable::Dropped, Unrunnable::Fault);
    let slow = MiscCheck {
        timeout: Duration::from_secs(2),
        ..program(&script("slow", 0o755, "echo 'asks db1'; exec sleep 600"), drops)
    };
    let mut unsafe_one = program(&script("unsafe", 0o777, "exit 0"), drops);
    unsafe_one.command.cannot_run = Some("it may be written by others".into());
    let unsafe_fault = MiscCheck { unrunnable: fault, ..unsafe_one.clone() };
    let cases = [
        (program(&script("good", 0o755, "echo begin; exit 0"), drops), "up", "exit status 0"),
        (program(&script("long", 0o755, long), drops), "down", "exit status 3, it said: begin"),
        (program(&script("killed", 0o755, "kill -9 $$"), drops), "down", "killed by SIGKILL"),
        (slow, "down", "not done within 2 s, it said: asks db1"),
        (program(gone, drops), "cannot run", "the program cannot be run: No such file or directory"),
        (program(gone, fault), "down", "the program cannot be run: No such file or directory"),
        (program(&locked, drops), "cannot run", "the program cannot be run: Permission denied"),
        (unsafe_one, "cannot run", "the program cannot be run: it may be written by others"),
        (unsafe_fault, "down", "the program cannot be run: it may be written by others"),
    ];
    let mut role = start();
    let mut scripts = Scripts::start();
    for (generation, (check, state, words)) in (1..).zip(cases) {
        let orders = check.command.cannot_run.is_none();
        role.plan(generation, vec![hourly(CheckKind::Misc(check), closed_port())]);
        role.tell(&ToChecker::CheckNow(8, ServerFilter::default()));
        if orders {
            let FromChecker::Run(order) = role.hear() else { panic!("a program is to run") };
            role.tell(&ToChecker::Ran(scripts.run(order)));
        }
        let FromChecker::CheckedNow(8, report) = role.hear() else { panic!("an answer") };
        let said = &report.conversations[0].words;
        assert!(said.starts_with(words), "{said:?}, not {words:?}");
        let shown = role.checker();
        assert_eq!(shown.state, state, "{words}");
        let up = role.status().virtual_servers[0].real_servers[0].up;
        assert_eq!(up, state != "down", "{words}: what cannot be asked says nothing of the server");
        // Of a success nothing is kept.
        let kept = shown.output.map(|output| (output.starts_with("begin\nxxx"), output.len()));
        let wanted = match words {
            words if words.contains("begin") => Some((true, 4096)),
            words if words.contains("asks db1") => Some((false, 8)),
            _ => None,
        };
        assert_eq!(kept, wanted, "{words}");
    }
    role.stop(false);
}

/// Puts the calling thread into a network namespace of its own; its id, by which others find that.
fn apart() -> i32 {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
    nix::unistd::gettid().as_raw()
}

/// A role in a namespace of its own, and its thread.
fn start_apart() -> (Role, i32) {
    let (tell, hear) = std::sync::mpsc::channel();
    let role = Role::start(move |link| {
        tell.send(apart()).expect("the test waits");
        run_with(link, Box::new(|| Ok(Box::new(Nowhere) as Box<dyn TableStore>)))
    });
    (role, hear.recv().expect("the role starts"))
}

/// Runs a program in the namespace of that thread.
fn inside(thread: i32, program: &str, arguments: &[&str]) {
    let namespace = format!("--net=/proc/{}/task/{thread}/ns/net", std::process::id());
    let status = Command::new("nsenter").arg(namespace).arg(program).args(arguments).status();
    assert!(status.expect("nsenter is installed").success(), "{program} {arguments:?}");
}

#[test]
fn a_firewall_that_rejects_over_ipv6_takes_the_server_out() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes network namespaces, which needs root");
        return;
    }
    let (mut role, here) = start_apart();
    let ((tell, hear), (stay, end)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let router = std::thread::spawn(move || {
        tell.send(apart()).expect("the test waits");
        // Until the test is over.
        let _over = end.recv();
    });
    let there = hear.recv().expect("the thread starts");
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    inside(
        here,
        "ip",
        &["link", "add", "name", "near", "type", "veth", "peer", "name", "far", "netns", &there.to_string()],
    );
    for (thread, line) in [
        (here, "-6 addr add 2001:db8::1/64 dev near nodad"),
        (there, "-6 addr add 2001:db8::2/64 dev far nodad"),
        (here, "link set near up"),
        (there, "link set far up"),
        (here, "-6 route add 2001:db8:9::/64 via 2001:db8::2"),
        // What it answers is what a firewall says: administratively prohibited (RFC 4443 3.1).
        (there, "-6 route add prohibit 2001:db8:9::1/128"),
    ] {
        inside(thread, "ip", &words(line));
    }
    inside(there, "sysctl", &["-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0"]);
    let tls = Some(TlsCheck::default());
    let CheckKind::Http(plain) = web(&["/"]) else { panic!("a web check") };
    let udp = UdpCheck { payload: None, reply: None, reply_length: 0..=255 };
    let kinds =
        [CheckKind::Tcp, CheckKind::Http(HttpCheck { tls, ..plain }), CheckKind::Udp(udp), CheckKind::Ping];
    for (generation, kind) in (1..).zip(kinds) {
        let mut asked = checker(kind, "[2001:db8:9::1]:80".parse().expect("an endpoint"));
        // An answer that comes before connect() is over is forgotten: the next SYN, a second later, gets another one.
        asked.manner_mut().schedule.connect_timeout = Duration::from_secs(20);
        let name = asked.kind.keyword();
        role.plan(generation, vec![virtual_server(vec![real(asked)])]);
        // At first the link may not carry anything yet.
        wait(&format!("{name} to be told"), || {
            let shown = role.checker();
            let told = shown.last_result.is_some_and(|why| why.starts_with("administratively prohibited"));
            (told && shown.state == "down").then_some(())
        });
    }
    role.stop(false);
    drop(stay);
    router.join().expect("no panic");
}

#[test]
fn checks_from_one_address_share_its_ports() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes a network namespace, which needs root");
        return;
    }
    let (mut role, here) = start_apart();
    inside(here, "ip", &["link", "set", "lo", "up"]);
    inside(here, "sysctl", &["-qw", "net.ipv4.ip_local_port_range=40000 40000"]);
    let namespace = format!("/proc/{}/task/{here}/ns/net", std::process::id());
    let servers = std::thread::spawn(move || {
        let namespace = std::fs::File::open(namespace).expect("the role lives");
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).expect("it is one");
        [9, 10].map(|port| Server::restart(([127, 0, 0, 1], port).into()))
    });
    let servers = servers.join().expect("no panic");
    let asked = servers.each_ref().map(|server| {
        let mut server = hourly(CheckKind::Tcp, server.endpoint).real_servers.remove(0);
        server.checkers[0].target = bound(server.endpoint, [127, 0, 0, 2]);
        server
    });
    role.plan(1, vec![virtual_server(asked.to_vec())]);
    // The port of the first is not free for a minute (TIME_WAIT); the other way it is.
    for server in &servers {
        let report = check_now(&mut role, &server.endpoint.to_string());
        assert_eq!(report.conversations[0].words, "connected");
    }
    role.stop(false);
}

/// Set in the child of the test below.
const FEW: &str = "HOLDFAST_TEST_FEW_DESCRIPTORS";

#[test]
fn a_process_without_descriptors_says_so_and_asks_again() {
    const NAME: &str = "a_process_without_descriptors_says_so_and_asks_again";
    if std::env::var_os(FEW).is_none() {
        // In a process of its own, for the limit is one of processes. Fewer than conversations are begun at a time.
        let this = std::env::current_exe().expect("this program has a name");
        let mut child = Command::new("prlimit");
        child.arg("--nofile=60:60").arg(this).args(["--exact", NAME, "--nocapture"]).env(FEW, "1");
        let output = child.output().expect("prlimit is installed");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    // Its queue is full: who connects waits, and holds a descriptor.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    full.bind(&checker_support::own_address().into()).expect("a port");
    full.listen(0).expect("it is bound");
    let endpoint = full.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    let _first = std::net::TcpStream::connect(endpoint).expect("room for one");
    let mut role = start();
    let many = |mark| {
        let mut asked = checker(CheckKind::Tcp, endpoint);
        // Each a question of its own.
        asked.manner_mut().schedule.retry = mark;
        real(asked)
    };
    role.plan(1, vec![virtual_server((0..64).map(many).collect())]);
    let words = "not run: this process has no file descriptor left (raise LimitNOFILE)";
    wait("a check without descriptor", || {
        let shown = checks(&mut role, "198.51.100.1").checks;
        let lacks =
            |check: &CheckReport| check.last_result.as_deref() == Some(words) && check.state == "cannot run";
        shown.iter().any(lacks).then_some(())
    });
    // Those who wait end in time; where there is room again the others are asked.
    wait("all to be asked", || {
        let shown = checks(&mut role, "198.51.100.1").checks;
        let asked = |check: &&CheckReport| check.failures > 0;
        (shown.iter().filter(asked).count() == 64).then_some(())
    });
    role.stop(false);
}

#[test]
fn no_way_no_address_and_no_port_are_told_apart() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes a network namespace, which needs root");
        return;
    }
    let (mut role, thread) = start_apart();
    let inside = |program: &str, arguments: &[&str]| inside(thread, program, arguments);
    inside("ip", &["link", "set", "lo", "up"]);
    let far = checker(CheckKind::Tcp, ([203, 0, 113, 1], 80).into());
    role.plan(1, vec![virtual_server(vec![real(far)])]);
    let why = role.wait_for_state("down").last_result.expect("a result");
    assert!(why.starts_with("this machine has no route to it after "), "{why}");

    let mut early = checker(CheckKind::Tcp, ([127, 0, 0, 1], 9).into());
    early.target = bound(early.target.endpoint, [192, 0, 2, 77]);
    role.plan(2, vec![virtual_server(vec![real(early)])]);
    let shown = role.wait_for_state("cannot run");
    let words = "not run: no interface has the address 192.0.2.77 (bindto)";
    assert_eq!(shown.last_result.as_deref(), Some(words));
    assert!(role.status().virtual_servers[0].real_servers[0].up, "nothing is known of it");
    inside("ip", &["address", "add", "192.0.2.77/32", "dev", "lo"]);
    let why = role.wait_for_state("down").last_result.expect("a result");
    assert!(why.starts_with("connection refused"), "it is asked again by itself: {why}");

    // The only local port is taken by a connection of somebody else to the same server. Before there is a server nobody asks:
    // a check that was answered would hold the port for a minute more (TIME_WAIT).
    role.plan(3, Vec::new());
    inside("sysctl", &["-qw", "net.ipv4.ip_local_port_range=40000 40000"]);
    // A conversation of the plan before may end in this moment.
    let holder = "\
import socket, sys, time
server = socket.create_server(('127.0.0.1', 9))
while True:
    try:
        held = socket.create_connection(('127.0.0.1', 9))
        break
    except OSError:
        time.sleep(0.01)
print('held', flush=True)
sys.stdin.read()";
    let namespace = format!("--net=/proc/{}/task/{thread}/ns/net", std::process::id());
    let mut python = Command::new("nsenter")
        .args([namespace.as_str(), "python3", "-c", holder])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter is installed");
    let mut held = [0; 4];
    python.stdout.as_mut().expect("piped").read_exact(&mut held).expect("it holds the port");
    let plain = checker(CheckKind::Tcp, ([127, 0, 0, 1], 9).into());
    role.plan(4, vec![virtual_server(vec![real(plain)])]);
    let why = role.wait_for_state("cannot run").last_result.expect("a result");
    assert!(why.starts_with("not run: no local port is free"), "{why}");
    drop(python.stdin.take());
    python.wait().expect("it ends");
    role.stop(false);
}
