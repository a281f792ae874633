//! Checkers to [`CheckerPlan`]: keepalived's defaults, and what the blocks around a checker say.

use super::Diagnostics;
use crate::plan::check::{CheckKind, CheckerPlan, HttpCheck, HttpUrl, HttpVersion, Schedule, Target};
use keepalived_compat::config::check as conf;
use keepalived_compat::config::check::{Checker, CheckerKind};
use keepalived_compat::config::lvs::{RealServer, VirtualServer};
use keepalived_compat::{Code, Diagnostic};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: u32 = 1;
const DELAY_BEFORE_RETRY: Duration = Duration::from_secs(1);
const DELAY_BEFORE_RETRY_HTTP: Duration = Duration::from_secs(3);

/// The checks of a real server. `address` and `port` are the server's as written: a check asks that port even
/// where the kernel's destination takes the service's.
pub(super) fn checkers(
    virtual_server: &VirtualServer,
    server: &RealServer,
    address: IpAddr,
    port: u16,
    out: &mut Diagnostics,
) -> Vec<CheckerPlan> {
    let one = |checker: &Checker| {
        let target = target(checker, address, port, out)?;
        Some(CheckerPlan {
            kind: kind(checker, server, virtual_server),
            target,
            schedule: schedule(checker, server, virtual_server),
            alpha: checker.alpha.or(server.alpha).unwrap_or(virtual_server.alpha),
        })
    };
    let mut checkers: Vec<CheckerPlan> = server.checkers.iter().filter_map(one).collect();
    checkers.shrink_to_fit();
    checkers
}

fn target(checker: &Checker, address: IpAddr, port: u16, out: &mut Diagnostics) -> Option<Target> {
    let port = checker.connect_port.unwrap_or(port);
    let endpoint = SocketAddr::new(checker.connect_ip.unwrap_or(address), port);
    if port == 0 && checker.kind != CheckerKind::Ping {
        let title = format!("{address} is not checked: there is no port to connect to");
        let now = "the check is left out; with no other check the server counts as up";
        let diagnostic = Diagnostic::new(Code::BadValue, checker.span, title, now);
        out.say(diagnostic.instead("connect_port N in the check"));
        return None;
    }
    let bind_address = checker.bind_address.filter(|a| a.is_ipv4() == endpoint.is_ipv4());
    if bind_address != checker.bind_address {
        let title = format!("bindto is not of the family of {}", endpoint.ip());
        out.tell(Code::BadValue, checker.span, title, "bindto is left out, as in keepalived");
    }
    Some(Target { endpoint, bind_address, bind_port: checker.bind_port.unwrap_or(0), fwmark: checker.fwmark })
}

fn schedule(checker: &Checker, server: &RealServer, virtual_server: &VirtualServer) -> Schedule {
    let of_server = server.timing.as_deref().copied().unwrap_or_default();
    let timing = checker.timing.or(of_server).or(virtual_server.timing);
    let before_retry = match checker.kind {
        CheckerKind::Http(_) => DELAY_BEFORE_RETRY_HTTP,
        CheckerKind::Tcp | CheckerKind::Ping => DELAY_BEFORE_RETRY,
    };
    let delay_loop = timing.delay_loop.unwrap_or(DELAY_LOOP);
    Schedule {
        delay_loop,
        connect_timeout: timing.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        retry: timing.retry.unwrap_or(RETRY),
        delay_before_retry: timing.delay_before_retry.unwrap_or(before_retry),
        warmup: timing.warmup.unwrap_or(delay_loop),
    }
}

fn kind(checker: &Checker, server: &RealServer, virtual_server: &VirtualServer) -> CheckKind {
    let http = match &checker.kind {
        CheckerKind::Tcp => return CheckKind::Tcp,
        CheckerKind::Ping => return CheckKind::Ping,
        CheckerKind::Http(http) => http,
    };
    let version = match http.version {
        conf::HttpVersion::V1_0 => HttpVersion::V1_0,
        conf::HttpVersion::V1_0Close => HttpVersion::V1_0Close,
        conf::HttpVersion::V1_1 => HttpVersion::V1_1,
    };
    let outer =
        http.virtualhost.as_ref().or(server.virtualhost.as_ref()).or(virtual_server.virtualhost.as_ref());
    let url = |url: &conf::Url| HttpUrl {
        path: url.path.as_deref().unwrap_or("/").to_owned(),
        host: url.virtualhost.as_ref().or(outer).map(|host| host.to_string()),
        status: if url.status.is_empty() { vec![200..=299] } else { url.status.clone() },
        digest: url.digest,
    };
    CheckKind::Http(HttpCheck { version, urls: http.urls.iter().map(url).collect() })
}
