//! "Health checkers" of `keepalived_check.data`.

use super::check::{bracketed, hooks, name, protocol};
use super::text::{Text, account};
use super::words;
use crate::plan::Plans;
use crate::plan::check::{CheckKind, CheckerPlan, HttpCheck, HttpVersion, MiscCheck, UdpCheck};
use crate::plan::search::SearchPlan;
use crate::report::{CheckerDetail, CheckerStatus};
use std::fmt::Write;
use std::net::SocketAddr;

/// Each checker of each real server, in the order of the file.
pub(super) fn checkers(text: &mut Text, plans: &Plans, status: &CheckerStatus) {
    text.section("Health checkers");
    for server in &plans.lvs.virtual_servers {
        let known = status.virtual_servers.iter().find(|known| known.services == server.keys);
        let (name, protocol) = (name(hooks(plans, server), server), protocol(server));
        for (at, real) in server.real_servers.iter().enumerate() {
            let known = known.and_then(|known| known.real_servers.get(at));
            for (which, checker) in real.checkers.iter().enumerate() {
                text.plain(format_args!("{name} -> {}", bracketed(real.endpoint, &protocol)));
                let detail = known.and_then(|server| Some((server.checkers.get(which)?, server.up)));
                one(text, checker, detail);
            }
        }
    }
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

/// Does it count as up? One that has not answered yet does but for `alpha`; one that rests or cannot run has no word of its
/// own, and its server's counts.
fn counts_as_up(detail: &CheckerDetail, alpha: bool, server_up: bool) -> bool {
    match detail.state.as_str() {
        "up" => true,
        "down" => false,
        "unknown" => !alpha,
        _ => server_up,
    }
}

/// Failures in a row as `TCP_CHECK` of keepalived 2.2.7 counts them, which begins anew each time that the retries are used up.
fn iterations(detail: &CheckerDetail, retry: u32) -> u32 {
    match &detail.last_result {
        Some(_) => detail.failures % retry.saturating_add(1),
        None => retry,
    }
}

fn one(text: &mut Text, checker: &CheckerPlan, detail: Option<(&CheckerDetail, bool)>) {
    if let Some((detail, server_up)) = detail {
        text.property("Enabled", yes(detail.state != "suspended"));
        text.property("Up", yes(counts_as_up(detail, checker.alpha, server_up)));
        text.property("Has run", yes(detail.last_result.is_some()));
    }
    text.property("Alpha", yes(checker.alpha));
    let schedule = &checker.schedule;
    text.property("Delay loop", format_args!("{} us", schedule.delay_loop.as_micros()));
    text.property("Warmup", format_args!("{} us", schedule.warmup.as_micros()));
    text.property("Retries", schedule.retry);
    if schedule.retry > 0 {
        text.property("Delay before retry", format_args!("{} us", schedule.delay_before_retry.as_micros()));
        if let Some((detail, _)) = detail {
            text.property("Retries iterations", iterations(detail, schedule.retry));
        }
    }
    text.property("Log all failures", yes(schedule.log_failures));
    let listens = matches!(checker.kind, CheckKind::Misc(_) | CheckKind::File(_) | CheckKind::Bfd(_));
    if !listens {
        connection(text, checker);
    }
    kind(text, checker);
}

fn connection(text: &mut Text, checker: &CheckerPlan) {
    let bracket = |endpoint: SocketAddr| format!("[{}]:{}", endpoint.ip(), endpoint.port());
    let target = &checker.target;
    text.title("Connection");
    text.entry(format_args!("Dest = {}", bracket(target.endpoint)));
    let source = target.source();
    if let Some(address) = source.bind_address {
        text.entry(format_args!("Bind to = {}", bracket(SocketAddr::new(address, source.bind_port))));
    }
    if let Some(interface) = &source.bind_interface {
        text.entry(format_args!("Bind i/f = {interface}"));
    }
    if source.fwmark != 0 {
        text.entry(format_args!("Mark = {}", source.fwmark));
    }
    text.entry(format_args!("Timeout = {:.6}", checker.schedule.connect_timeout.as_secs_f64()));
}

fn kind(text: &mut Text, checker: &CheckerPlan) {
    let method = checker.kind.keyword();
    match &checker.kind {
        CheckKind::Http(check) => web(text, method, check),
        other => {
            text.property("Keepalive method", method);
            match other {
                CheckKind::Misc(check) => misc(text, check),
                CheckKind::Udp(check) => udp(text, check),
                CheckKind::Dns(check) => {
                    text.property("Type", crate::wire::dns::type_name(check.record_type));
                    text.property("Name", &check.name);
                }
                CheckKind::Smtp(check) => text.property("helo", &check.helo),
                CheckKind::File(check) => {
                    text.entry(format_args!("Tracked file = {}", check.file));
                    text.entry(format_args!("Weight = {}", check.weight));
                }
                CheckKind::Bfd(session) => {
                    text.property("Name", session);
                    text.title(format_args!("Alpha is {}", if checker.alpha { "ON" } else { "OFF" }));
                }
                CheckKind::Ping
                | CheckKind::Tcp
                | CheckKind::Talk(_)
                | CheckKind::Grpc(_)
                | CheckKind::Http(_) => {}
            }
        }
    }
}

fn web(text: &mut Text, method: &str, check: &HttpCheck) {
    let version = match check.version {
        HttpVersion::V1_0 => "1.0",
        HttpVersion::V1_0Close => "1.0C",
        HttpVersion::V1_1 => "1.1",
        HttpVersion::V2 => "2",
    };
    text.property("Keepalive method", format_args!("{method}, http protocol {version}"));
    let set = |on: bool| if on { "set" } else { "unset" };
    text.title(format_args!("Enable SNI {}", set(check.tls.as_ref().is_some_and(|tls| tls.enable_sni))));
    text.title(format_args!("Fast recovery {}", set(check.fast_recovery)));
    for url in &check.urls {
        text.property("Checked url", &url.path);
        if let Some(digest) = &url.digest {
            let hex = digest.iter().fold(String::new(), |mut hex, octet| {
                // Writing to a string cannot fail.
                write!(hex, "{octet:02x}").ok();
                hex
            });
            text.entry(format_args!("digest = {hex}"));
        }
        text.entry("HTTP Status Code(s)");
        for range in &url.status {
            let (first, last) = (range.start(), range.end());
            let codes = if first == last { first.to_string() } else { format!("{first}-{last}") };
            text.entry(format_args!("  {codes}"));
        }
        if let Some(host) = &url.host {
            text.entry(format_args!("Virtual host = {host}"));
        }
        if let Some(search) = &url.search {
            text.entry(format_args!("Regex = \"{}\"", search.pattern));
            if search.negate {
                text.entry("Regex no match");
            }
            text.entry(format_args!("Regex options:{}", options(search)));
        }
    }
}

/// Each with a blank before it.
fn options(search: &SearchPlan) -> String {
    let all = [
        ("caseless", search.caseless),
        ("dollar_endonly", search.dollar_endonly),
        ("dotall", search.dotall),
        ("extended", search.extended),
        ("firstline", search.firstline),
        ("multiline", search.multiline),
        ("utf", search.utf),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| format!(" {name}")).collect()
}

fn misc(text: &mut Text, check: &MiscCheck) {
    text.property("script", words::command(&check.command));
    text.property("timeout", check.timeout.as_secs());
    text.property("dynamic", if check.dynamic { "YES" } else { "NO" });
    text.property("uid:gid", account(check.command.identity.as_ref()));
}

fn udp(text: &mut Text, check: &UdpCheck) {
    match &check.payload {
        Some(payload) => text.property("Payload len", payload.len()),
        None => text.property("Payload specified", "no"),
    }
    text.property("Require reply", yes(check.reply.is_some()));
    if let Some(reply) = check.reply.as_ref().filter(|reply| !reply.is_empty()) {
        text.entry(format_args!("Min reply length = {}", check.reply_length.start()));
        text.entry(format_args!("Max reply length = {}", check.reply_length.end()));
        text.entry(format_args!("Reply data len = {}", reply.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_without_a_word_of_its_own_is_as_its_server() {
        let detail = |state: &str| CheckerDetail {
            kind: "MISC_CHECK".to_owned(),
            state: state.to_owned(),
            last_result: None,
            latency_us: None,
            failures: 0,
            output: None,
        };
        for (state, alpha, server_up, up) in [
            ("up", true, false, true),
            ("down", false, true, false),
            ("unknown", false, false, true),
            ("unknown", true, true, false),
            ("suspended", true, true, true),
            ("suspended", false, false, false),
            ("cannot run", false, true, true),
        ] {
            let detail = detail(state);
            assert_eq!(counts_as_up(&detail, alpha, server_up), up, "{detail:?} {alpha} {server_up}");
        }
        let after =
            |failures| CheckerDetail { failures, last_result: Some("refused".to_owned()), ..detail("down") };
        assert_eq!(iterations(&detail("unknown"), 3), 3);
        assert_eq!([0, 1, 3, 4, 7, 8].map(|failures| iterations(&after(failures), 3)), [0, 1, 3, 0, 3, 0]);
    }
}
