//! What is shown of checks: the list, the conversations of checks that are made at once, what programs print, and why a
//! check cannot be made.

mod checker_support;
#[path = "checker_support/nowhere.rs"]
mod nowhere;

use checker_support::{Role, Server, checker, closed_port, key, real, tcp_servers, virtual_server, wait};
use holdfast::link::frame::{Decoder, encode};
use holdfast::link::{FromChecker, FromScripts, ToChecker, ToScripts};
use holdfast::plan::check::{CheckKind, HttpCheck, HttpUrl, HttpVersion, MiscCheck};
use holdfast::plan::lvs::VirtualServer;
use holdfast::plan::scripts::{CommandPlan, RunEnd, RunOrder, RunReport, Unrunnable};
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
    plan.schedule.delay_loop = Duration::from_secs(3600);
    plan.schedule.warmup = Duration::from_secs(36_000_000);
    virtual_server(vec![real(plan)])
}

fn web(paths: &[&str]) -> CheckKind {
    let urls = paths.iter().map(|path| HttpUrl::new(path)).collect();
    CheckKind::Http(HttpCheck { version: HttpVersion::V1_0, urls, tls: None, fast_recovery: false })
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
        timeout: Duration::from_millis(300),
        ..program(&script("slow", 0o755, "exec sleep 600"), drops)
    };
    let mut unsafe_one = program(&script("unsafe", 0o777, "exit 0"), drops);
    unsafe_one.command.cannot_run = Some("it may be written by others".into());
    let unsafe_fault = MiscCheck { unrunnable: fault, ..unsafe_one.clone() };
    let cases = [
        (program(&script("good", 0o755, "exit 0"), drops), "up", "exit status 0"),
        (program(&script("long", 0o755, long), drops), "down", "exit status 3, it said: begin"),
        (program(&script("killed", 0o755, "kill -9 $$"), drops), "down", "killed by SIGKILL"),
        (slow, "down", "not done within 300 ms"),
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
        let kept = shown.output.map(|output| (output.starts_with("begin\nxxx"), output.len()));
        assert_eq!(kept, words.contains("begin").then_some((true, 4096)), "{words}");
    }
    role.stop(false);
}

#[test]
fn no_way_no_address_and_no_port_are_told_apart() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: this test makes a network namespace, which needs root");
        return;
    }
    let (tell, hear) = std::sync::mpsc::channel();
    let mut role = Role::start(move |link| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
        tell.send(nix::unistd::gettid().as_raw()).expect("the test waits");
        run_with(link, Box::new(|| Ok(Box::new(Nowhere) as Box<dyn TableStore>)))
    });
    let thread = hear.recv().expect("the role starts");
    let inside = |program: &str, arguments: &[&str]| {
        let namespace = format!("--net=/proc/{}/task/{thread}/ns/net", std::process::id());
        let status = Command::new("nsenter").arg(namespace).arg(program).args(arguments).status();
        assert!(status.expect("nsenter is installed").success(), "{program} {arguments:?}");
    };
    inside("ip", &["link", "set", "lo", "up"]);
    let far = checker(CheckKind::Tcp, ([203, 0, 113, 1], 80).into());
    role.plan(1, vec![virtual_server(vec![real(far)])]);
    let why = role.wait_for_state("down").last_result.expect("a result");
    assert!(why.starts_with("this machine has no route to it after "), "{why}");

    let mut early = checker(CheckKind::Tcp, ([127, 0, 0, 1], 9).into());
    early.target.bind_address = Some([192, 0, 2, 77].into());
    role.plan(2, vec![virtual_server(vec![real(early)])]);
    let shown = role.wait_for_state("cannot run");
    let words = "not run: no interface has the address 192.0.2.77:0 (bindto)";
    assert_eq!(shown.last_result.as_deref(), Some(words));
    assert!(role.status().virtual_servers[0].real_servers[0].up, "nothing is known of it");
    inside("ip", &["address", "add", "192.0.2.77/32", "dev", "lo"]);
    let why = role.wait_for_state("down").last_result.expect("a result");
    assert!(why.starts_with("connection refused"), "it is asked again by itself: {why}");

    // The only local port is taken by a connection of somebody else to the same server.
    inside("sysctl", &["-qw", "net.ipv4.ip_local_port_range=40000 40000"]);
    // A check of the plan before this one may have it for a moment.
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
    role.plan(3, vec![virtual_server(vec![real(plain)])]);
    let why = role.wait_for_state("cannot run").last_result.expect("a result");
    assert!(why.starts_with("not run: no local port is free"), "{why}");
    drop(python.stdin.take());
    python.wait().expect("it ends");
    role.stop(false);
}
