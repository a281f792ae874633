//! What is shown of checks: the list, the conversations of checks that are made at once, what programs print.

mod checker_support;

use checker_support::{Role, Server, checker, closed_port, key, real, tcp_servers, virtual_server, wait};
use holdfast::link::{FromChecker, ToChecker};
use holdfast::lvs::sync::SyncDaemon;
use holdfast::lvs::table::{Table, TableOp};
use holdfast::plan::check::{CheckKind, HttpCheck, HttpUrl, HttpVersion, MiscCheck};
use holdfast::plan::lvs::{SyncRole, Timeouts, VirtualServer};
use holdfast::plan::scripts::{CommandPlan, RunEnd, RunReport, Unrunnable};
use holdfast::report::{CheckNowReport, ChecksReport, ServerFilter};
use holdfast::role::checker::run_with;
use holdfast::role::ipvs_worker::{StoreError, TableStore};
use std::time::Duration;

/// A table that takes everything and shows nothing.
struct Nowhere;

impl TableStore for Nowhere {
    fn dump(&mut self) -> Result<Table, StoreError> {
        Ok(Table::default())
    }

    fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), StoreError>> {
        ops.iter().map(|_| Ok(())).collect()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_timeouts(&mut self, _timeouts: &Timeouts) -> Result<(), StoreError> {
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, StoreError> {
        Ok(Vec::new())
    }

    fn start_daemon(&mut self, _daemon: &SyncDaemon) -> Result<(), StoreError> {
        Ok(())
    }

    fn stop_daemon(&mut self, _role: SyncRole) -> Result<(), StoreError> {
        Ok(())
    }
}

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
