//! Checkers to [`CheckerPlan`]: keepalived's defaults, and what the blocks around a checker say.

mod kinds;
mod ours;

use super::Diagnostics;
use super::notify::Defaults;
use crate::plan::check::{CheckKind, CheckerPlan, Schedule, Source, Target};
use keepalived_compat::config::check::{Checker, CheckerKind, Connection, Timing};
use keepalived_compat::config::lvs::{RealServer, VirtualServer};
use keepalived_compat::config::setting::{Setting, Settings as _};
use keepalived_compat::{Code, Config, Diagnostic};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(super) const DELAY_LOOP: Duration = Duration::from_secs(60);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: u32 = 1;
const RETRY_DNS: u32 = 3;
const DELAY_BEFORE_RETRY: Duration = Duration::from_secs(1);
const DELAY_BEFORE_RETRY_HTTP: Duration = Duration::from_secs(3);

/// What stands around the checkers of one real server.
pub(super) struct Around<'a> {
    pub(super) config: &'a Config,
    pub(super) defaults: &'a Defaults,
    pub(super) virtual_server: &'a VirtualServer,
    pub(super) server: &'a RealServer,
}

/// The checks of a real server. `asked` is the server as written: a check asks that port even where the kernel's
/// destination takes the service's.
pub(super) fn checkers(around: &Around<'_>, asked: SocketAddr, out: &mut Diagnostics) -> Vec<CheckerPlan> {
    let mut plans = Vec::with_capacity(around.server.checkers.len());
    for checker in &around.server.checkers {
        plans.extend(one(around, checker, asked, out));
        // A deprecated form: each host of a mail check is one check more.
        let hosts = checker.others.iter().filter(|setting| setting.keyword == "host");
        for host in hosts.filter(|_| checker.kind == CheckerKind::Smtp) {
            plans.extend(one(around, &with_host(checker, host), asked, out));
        }
    }
    plans.shrink_to_fit();
    plans
}

fn one(
    around: &Around<'_>,
    checker: &Checker,
    asked: SocketAddr,
    out: &mut Diagnostics,
) -> Option<CheckerPlan> {
    let target = target(checker, asked, out)?;
    let alpha = checker.alpha.or(around.server.alpha).unwrap_or(around.virtual_server.alpha);
    let schedule = schedule(checker, around);
    Some(CheckerPlan::new(kinds::kind(checker, around, out)?, target, schedule, alpha))
}

/// A mail check with what one of its `host` blocks says of the connection.
fn with_host(checker: &Checker, host: &Setting) -> Checker {
    let block = host.block.as_slice();
    let mut others: Vec<Setting> = checker.others.iter().filter(|s| s.keyword != "host").cloned().collect();
    others.extend(host.block.iter().cloned());
    Checker {
        connection: Some(Box::new(Connection::of(block).or(checker.connection()))),
        timing: Arc::new(Timing::of(block).or(*checker.timing)),
        alpha: block.find("alpha").map(|_| block.is_on("alpha")).or(checker.alpha),
        others,
        ..checker.clone()
    }
}

fn target(checker: &Checker, asked: SocketAddr, out: &mut Diagnostics) -> Option<Target> {
    let connection = checker.connection();
    let port = connection.connect_port.unwrap_or(asked.port());
    let endpoint = SocketAddr::new(connection.connect_ip.unwrap_or(asked.ip()), port);
    let portless =
        matches!(checker.kind, CheckerKind::Ping | CheckerKind::Misc | CheckerKind::File | CheckerKind::Bfd);
    if port == 0 && !portless {
        let title = format!("{} is not checked: there is no port to connect to", asked.ip());
        let now = "the check is left out; with no other check the server counts as up";
        let diagnostic = Diagnostic::new(Code::BadValue, checker.span, title, now);
        out.say(diagnostic.instead("connect_port N in the check"));
        return None;
    }
    let bind_address = connection.bind_address.filter(|a| a.is_ipv4() == endpoint.is_ipv4());
    if bind_address != connection.bind_address {
        let title = format!("bindto is not of the family of {}", endpoint.ip());
        out.tell(Code::BadValue, checker.span, title, "bindto is left out, as in keepalived");
    }
    let bind_interface = checker.others.text("bind_if").map(Box::from);
    if bind_interface.is_none() && is_link_local(endpoint.ip()) && !portless {
        let title = format!("{} is link-local: a check of it needs an interface", endpoint.ip());
        let now = "the check cannot be made until there is one";
        out.say(Diagnostic::new(Code::BadValue, checker.span, title, now).instead("bind_if INTERFACE"));
    }
    let bind_port = connection.bind_port.unwrap_or(0);
    let fwmark = connection.fwmark.unwrap_or(0);
    let source = Source { bind_address, bind_port, fwmark, bind_interface };
    Some(Target::new(endpoint).coming_from(source))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn schedule(checker: &Checker, around: &Around<'_>) -> Schedule {
    let of_server = around.server.timing.as_deref().copied().unwrap_or_default();
    let timing = checker.timing.or(of_server).or(around.virtual_server.timing);
    let delay_loop = timing.delay_loop.unwrap_or(DELAY_LOOP);
    let (retry, before_retry) = match checker.kind {
        CheckerKind::Http(_) => (RETRY, DELAY_BEFORE_RETRY_HTTP),
        CheckerKind::Dns => (RETRY_DNS, delay_loop),
        CheckerKind::Misc => (0, DELAY_BEFORE_RETRY),
        _ => (RETRY, DELAY_BEFORE_RETRY),
    };
    let written = checker.others.find("log_all_failures").map(|_| checker.others.is_on("log_all_failures"));
    let plain = Schedule {
        delay_loop,
        connect_timeout: timing.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        retry: timing.retry.unwrap_or(retry),
        delay_before_retry: timing.delay_before_retry.unwrap_or(before_retry),
        warmup: timing.warmup.unwrap_or(delay_loop),
        log_failures: written
            .unwrap_or_else(|| around.config.global.others.is_on("checker_log_all_failures")),
        rise: 1,
        fall: 0,
    };
    ours::hysteresis(&checker.others, plain)
}

/// What is asked; nothing (said) when it cannot be asked.
type Kind = Option<CheckKind>;

#[cfg(test)]
mod tests;
