//! Many checks in one checker role, without the kernel's IPVS table: what they cost, how late they start, what they hold.
//!
//! checks KIND COUNT LOOP_SECONDS SECONDS: KIND is tcp or http; the servers are 10.1.0.0/16 and on, port 80, in whatever
//! network namespace this runs (netns-scripts/bench --many makes one). Once every check has been made twice it watches
//! for SECONDS and prints CPU per check, percentiles of the lateness of each start, and memory.
#![allow(missing_docs)]

#[path = "../tests/checker_support/nowhere.rs"]
mod nowhere;

use holdfast::link::frame::{Decoder, encode};
use holdfast::link::{FromChecker, ToChecker};
use holdfast::plan::Generation;
use holdfast::report::{ChecksReport, ServerFilter};
use holdfast::role::checker::run_with;
use keepalived_compat::{Options, Reader};
use nowhere::Nowhere;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The role of the child process, on its command line.
const ROLE: &str = "--be-the-role";

/// One text.
struct Text(String);

impl Reader for Text {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.into()])
    }

    fn read(&mut self, _name: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }

    fn exists(&mut self, _name: &str) -> bool {
        true
    }

    fn variable(&mut self, _name: &str) -> Option<String> {
        None
    }
}

fn configuration(kind: &str, count: usize, every: u64) -> String {
    let check = match kind {
        "tcp" => "TCP_CHECK {\nconnect_timeout 5\n}\n",
        _ => "HTTP_GET {\nurl {\npath /\nstatus_code 200\n}\nconnect_timeout 5\n}\n",
    };
    let mut text = String::new();
    for first in (0..count).step_by(100) {
        let service = first / 100;
        let (third, port) = (service / 200 + 1, service % 200 + 1);
        let head = format!(
            "virtual_server 192.0.{third}.1 {port} {{\ndelay_loop {every}\nlvs_sched wlc\nlvs_method DR\n"
        );
        text.push_str(&head);
        for n in first..count.min(first + 100) {
            let (second, third, fourth) = (n / 62_500 + 1, n / 250 % 250, n % 250 + 1);
            writeln!(text, "real_server 10.{second}.{third}.{fourth} 80 {{\n{check}}}")
                .expect("a String takes it");
        }
        text.push_str("}\n");
    }
    text
}

/// The role, in a process of its own.
struct Role {
    child: Child,
    link: UnixStream,
    decoder: Decoder,
}

impl Role {
    fn start() -> Role {
        let (link, theirs) = UnixStream::pair().expect("a socket pair");
        let program = std::env::current_exe().expect("a path");
        let child = Command::new(program).arg(ROLE).stdin(Stdio::from(OwnedFd::from(theirs))).spawn();
        Role { child: child.expect("a process"), link, decoder: Decoder::default() }
    }

    fn tell(&mut self, message: &ToChecker) {
        self.link.write_all(&encode(message).expect("it fits a frame")).expect("the role reads");
    }

    fn hear(&mut self) -> FromChecker {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.decoder.message().expect("well-formed frames") {
                Some(FromChecker::News(_) | FromChecker::Verdicts { .. }) => {}
                Some(message) => return message,
                None => {
                    let count = self.link.read(&mut buffer).expect("the role answers");
                    assert!(count > 0, "the role ended");
                    self.decoder.push(&buffer[..count]);
                }
            }
        }
    }

    fn checks(&mut self) -> ChecksReport {
        self.tell(&ToChecker::Checks(1, ServerFilter::default()));
        match self.hear() {
            FromChecker::Checks(_, report) => report,
            other => panic!("asked for the checks, heard {other:?}"),
        }
    }

    /// CPU time, user and system, in seconds.
    fn cpu(&self) -> (f64, f64) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it lives");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        let seconds = |at: usize| fields[at].parse::<f64>().expect("ticks") / 100.0;
        (seconds(11), seconds(12))
    }

    /// Resident private memory in KiB.
    fn memory(&self) -> u64 {
        let rollup =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).expect("it lives");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("KiB")
    }
}

fn percentile(sorted: &[u64], of_hundred: usize) -> f64 {
    let at = (sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |us| *us as f64 / 1000.0)
}

fn watch(kind: &str, count: usize, every: u64, seconds: u64) {
    let mut role = Role::start();
    let options = Options { config_id: "low", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut Text(configuration(kind, count, every)), "text", options);
    let plans = holdfast::config::lower(&parsed.config, Generation(1));
    let empty = role.memory();
    role.tell(&ToChecker::Plan(plans.plans.lvs));
    assert_eq!(role.hear(), FromChecker::Applied(Generation(1)));
    let planned = role.memory();
    std::thread::sleep(Duration::from_secs(every * 2 + 2));
    let (user, system) = role.cpu();
    let before = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds));
    let (user_after, system_after) = role.cpu();
    let elapsed = before.elapsed().as_secs_f64();
    let made = elapsed * count as f64 / every as f64;
    let used = user_after + system_after - user - system;
    let after = role.memory();
    // Each check knows by how much its last run was late. Looked at once: telling of so many is work that makes others late.
    let report = role.checks();
    let running = report.running + report.waiting_for_room;
    let up = report.checks.iter().filter(|check| check.state == "up").count();
    let mut late: Vec<u64> = report.checks.iter().map(|check| check.late_us).collect();
    late.sort_unstable();
    println!(
        "{kind} {count} every {every} s: {up} up; CPU {:.1} us per check ({:.0} % of a core, {:.0} % user); late p50 {:.1} ms, \
         p99 {:.1} ms, worst {:.1} ms; {running} at once; memory {empty} KiB alone, {planned} KiB planned, {} KiB: {} octets per check",
        used * 1e6 / made,
        used * 100.0 / elapsed,
        (user_after - user) * 100.0 / (user_after + system_after - user - system).max(0.01),
        percentile(&late, 50),
        percentile(&late, 99),
        percentile(&late, 100),
        after,
        after.saturating_sub(empty) * 1024 / count as u64,
    );
    role.tell(&ToChecker::Stop { release: false });
    role.child.wait().expect("it ends");
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == ROLE) {
        let link = std::io::stdin();
        let link = std::os::fd::AsFd::as_fd(&link).try_clone_to_owned().expect("the link");
        return run_with(UnixStream::from(link), Box::new(|| Ok(Box::new(Nowhere))));
    }
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    match (words.first(), number(1), number(2), number(3)) {
        (Some(kind), Some(count), Some(every), Some(seconds)) => {
            watch(kind, count as usize, every, seconds);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: checks tcp|http COUNT LOOP_SECONDS SECONDS");
            ExitCode::SUCCESS
        }
    }
}
