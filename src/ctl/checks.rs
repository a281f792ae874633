//! `holdfastctl checks` and `check-now`: the health checks one by one, and what is said in them.

use super::client::{AskError, ask};
use super::{Done, Form, print_json, text};
use crate::link::control::{Answer, Request};
use crate::report::checks::{Asker, CheckReport, ChecksReport, Conversation};
use crate::report::{CheckNowReport, ServerFilter};
use std::io::IsTerminal;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// A check failed.
const EXIT_FAILURE: u8 = 2;

/// Names of virtual servers that a line holds; more are counted.
const NAMED: usize = 3;

/// What to list.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only those of this server: ADDRESS or ADDRESS:PORT of a real server, a virtual server, or what a check asks
    server: Option<ServerFilter>,
    #[command(flatten)]
    form: Form,
    /// Again and again, every so many seconds (2 unless given), until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub(super) struct Now {
    /// The server: ADDRESS or ADDRESS:PORT of a real server, a virtual server, or what a check asks
    server: ServerFilter,
    #[command(flatten)]
    form: Form,
}

pub(super) fn list(socket: &Path, what: &List) -> Done {
    let filter = what.server.unwrap_or_default();
    loop {
        let report = match ask(socket, Request::Checks(filter))? {
            Answer::Checks(report) => report,
            other => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
        };
        if what.form.json {
            print_json(&*report)?;
        } else {
            if what.watch.is_some() && std::io::stdout().is_terminal() {
                text::print(CLEAR);
            }
            text::print(&render(&report, filter));
        }
        match what.watch {
            Some(seconds) => sleep(Duration::from_secs(seconds)),
            None => return Ok(0),
        }
    }
}

/// Home, and clear from there on.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) fn now(socket: &Path, what: &Now) -> Done {
    let report = match ask(socket, Request::CheckNow(what.server))? {
        Answer::CheckedNow(report) => report,
        other => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
    };
    if report.conversations.is_empty() && report.left_out.is_empty() {
        return Err(nothing(what.server).into());
    }
    if what.form.json {
        print_json(&*report)?;
    } else {
        text::print(&conversations(&report));
    }
    let good = report.left_out.is_empty() && report.conversations.iter().all(|c| c.outcome == "success");
    Ok(if good { 0 } else { EXIT_FAILURE })
}

fn nothing(filter: ServerFilter) -> String {
    format!("no check of {filter} is configured (holdfastctl checks lists all)")
}

/// The list for people.
fn render(report: &ChecksReport, filter: ServerFilter) -> String {
    if report.checks.is_empty() {
        return nothing(filter) + "\n";
    }
    let head = ["check", "of", "state", "for", "latency 50/95/99 %", "next run", "late", "last result"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.checks.iter().map(row));
    // What a program printed stands below the line of its check.
    let table = text::columns(0, &rows);
    let mut lines = table.lines();
    let mut page = lines.next().map(|line| format!("{line}\n")).unwrap_or_default();
    for (line, check) in lines.zip(&report.checks) {
        page += &format!("{line}\n");
        page += &text::block(4, check.output.as_deref().unwrap_or_default());
    }
    let count = |state: &str| report.checks.iter().filter(|check| check.state == state).count();
    let [up, down, unknown] = ["up", "down", "unknown"].map(count);
    page += &format!(
        "{}: {up} up, {down} down, {unknown} not known yet, {} under way",
        text::plural(report.checks.len(), "check"),
        text::plural(report.running, "conversation"),
    );
    let cannot = count("cannot run");
    if cannot > 0 {
        page += &format!(", {cannot} cannot be made");
    }
    if report.waiting_for_room > 0 {
        page += &format!(", {} due and waiting for room", report.waiting_for_room);
    }
    page + "\n"
}

fn row(check: &CheckReport) -> Vec<String> {
    let mut result = check.last_result.clone().unwrap_or_else(|| "not asked yet".to_owned());
    if check.failures > 0 {
        result += &format!(", {} in a row", text::plural(check.failures as usize, "failure"));
    }
    vec![
        check.check.clone(),
        servers(&check.servers),
        if check.state == "down" { "DOWN".to_owned() } else { check.state.clone() },
        text::span(check.since_ms / 1000),
        check.latency.map_or("-".to_owned(), |times| {
            let [half, most, all] = [times.p50_us, times.p95_us, times.p99_us].map(milliseconds);
            format!("{half} / {most} / {all} ms")
        }),
        match check.next_run_ms {
            Some(ms) => format!("in {}.{} s", ms / 1000, ms % 1000 / 100),
            None => check.phase.clone(),
        },
        if check.late_us < 1000 { "-".to_owned() } else { format!("{} ms", milliseconds(check.late_us)) },
        result,
    ]
}

/// Whose check it is, and that several share it.
fn servers(askers: &[Asker]) -> String {
    let mut names: Vec<&str> = askers.iter().map(|asker| asker.virtual_server.as_str()).collect();
    names.dedup();
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match askers.len() {
        0 | 1 => shown,
        count => format!("{shown}{more} (one check for {})", text::plural(count, "server")),
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{}", micros / 1000, micros % 1000 / 100)
}

/// What was said, for people.
fn conversations(report: &CheckNowReport) -> String {
    let mut page = String::new();
    for one in &report.conversations {
        page += &conversation(one);
    }
    for line in &report.left_out {
        page += &text::block(0, line);
    }
    page
}

fn conversation(one: &Conversation) -> String {
    let mut page = text::block(0, &one.check);
    for step in &one.steps {
        let time = format!("{:>9} ms", milliseconds(step.after_us));
        let what = match step.kind.as_str() {
            "note" => format!("{time}  {}", step.text),
            kind => format!("{time}  {kind} {}:", text::plural(step.octets, "octet")),
        };
        page += &text::block(2, &what);
        if step.kind != "note" {
            page += &text::block(16, &step.text);
        }
    }
    let time = milliseconds(one.took_us);
    let Conversation { outcome, words, state, .. } = one;
    page + &text::block(2, &format!("{time:>9} ms  {outcome}: {words}; the checker is {state}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::checks::{LatencyReport, Step};

    fn check() -> CheckReport {
        let asker =
            |name: &str| Asker { virtual_server: name.to_owned(), real_server: ([10, 0, 0, 1], 80).into() };
        CheckReport {
            check: "HTTP_GET of 10.0.0.1:80".to_owned(),
            servers: ["a", "b", "c", "d"].map(asker).to_vec(),
            state: "up".to_owned(),
            since_ms: 61_000,
            last_result: Some("status 200".to_owned()),
            failures: 0,
            latency: Some(LatencyReport { last_us: 400, p50_us: 400, p95_us: 1250, p99_us: 9999 }),
            phase: "waits".to_owned(),
            next_run_ms: Some(2540),
            late_us: 120,
            output: None,
        }
    }

    #[test]
    fn a_line_for_each_check_and_what_a_program_printed_below() {
        let failed = CheckReport {
            check: "MISC_CHECK /x of 10.0.0.2:80".to_owned(),
            servers: Vec::new(),
            state: "down".to_owned(),
            last_result: Some("exit status 1".to_owned()),
            failures: 2,
            latency: None,
            phase: "runs".to_owned(),
            next_run_ms: None,
            late_us: 12_345,
            output: Some("no disk\nsecond".to_owned()),
            ..check()
        };
        let report = ChecksReport { checks: vec![check(), failed], running: 1, waiting_for_room: 3 };
        assert_eq!(
            render(&report, ServerFilter::default()),
            "check                         of                                            state  for        latency 50/95/99 %  next run  late     last result\n\
             HTTP_GET of 10.0.0.1:80       a, b, c and 1 more (one check for 4 servers)  up     1 min 1 s  0.4 / 1.2 / 9.9 ms  in 2.5 s  -        status 200\n\
             MISC_CHECK /x of 10.0.0.2:80                                                DOWN   1 min 1 s  -                   runs      12.3 ms  exit status 1, 2 failures in a row\n\
             \x20   no disk\n\
             \x20   second\n\
             2 checks: 1 up, 1 down, 0 not known yet, 1 conversation under way, 3 due and waiting for room\n"
        );
        let nothing = render(&ChecksReport::default(), "192.0.2.9".parse().expect("an address"));
        assert_eq!(nothing, "no check of 192.0.2.9 is configured (holdfastctl checks lists all)\n");
    }

    #[test]
    fn a_conversation_is_shown_step_by_step() {
        let step = |after_us, kind: &str, text: &str, octets| Step {
            after_us,
            kind: kind.to_owned(),
            text: text.to_owned(),
            octets,
        };
        let report = CheckNowReport {
            conversations: vec![Conversation {
                check: "HTTP_GET of 10.0.0.1:80".to_owned(),
                steps: vec![
                    step(0, "note", "connected", 0),
                    step(100, "sent", "GET / HTTP/1.0\\r\n\\r\n", 18),
                ],
                outcome: "failure".to_owned(),
                words: "status 503, wanted 200-299".to_owned(),
                took_us: 1200,
                state: "up".to_owned(),
            }],
            left_out: vec!["BFD_CHECK of core asks nothing".to_owned()],
        };
        assert_eq!(
            conversations(&report),
            "HTTP_GET of 10.0.0.1:80\n\
             \x20       0.0 ms  connected\n\
             \x20       0.1 ms  sent 18 octets:\n\
             \x20               GET / HTTP/1.0\\r\n\
             \x20               \\r\n\
             \x20       1.2 ms  failure: status 503, wanted 200-299; the checker is up\n\
             BFD_CHECK of core asks nothing\n"
        );
    }
}
