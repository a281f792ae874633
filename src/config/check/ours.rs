//! Keywords of checkers that keepalived does not have.

use super::Around;
use crate::config::Diagnostics;
use crate::plan::check::{
    CheckKind, GrpcCheck, HttpRequest, HttpVersion, Password, Schedule, TalkCheck, TlsCheck, TlsOptions,
};
use crate::plan::search::SearchPlan;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::{Code, Config};

/// What the daemon writes into a request itself.
const WRITTEN: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// What HTTP/2 knows no more (RFC 9113 8.2.2).
const GONE: [&str; 4] = ["keep-alive", "proxy-connection", "te", "upgrade"];

/// `rise` and `fall`.
pub(super) fn hysteresis(others: &[Setting], schedule: Schedule) -> Schedule {
    let count = |keyword| others.number(keyword).and_then(|n| u32::try_from(n).ok());
    Schedule {
        rise: count("rise").unwrap_or(schedule.rise).max(1),
        fall: count("fall").unwrap_or(schedule.fall),
        ..schedule
    }
}

/// `TCP_CHECK`, with `send` and `expect`, with `grpc_health`, or with nothing of the kind.
pub(super) fn tcp(others: &[Setting], around: &Around<'_>, out: &mut Diagnostics) -> CheckKind {
    let mut idle = |keywords: &[&str], title: &str, now: &str| {
        for setting in others.iter().filter(|setting| keywords.contains(&setting.keyword)) {
            let title = format!("`{}` {title}", setting.keyword);
            out.tell(Code::BadValue, setting.span, title, &format!("the line is left out: {now}"));
        }
    };
    if others.find("grpc_health").is_some() {
        idle(&["send", "expect"], "stands beside `grpc_health`", "the server is asked for its health");
        if !others.is_on("tls") {
            idle(&OVER_TLS, "stands without `tls`", "the server is asked without TLS");
        }
        return CheckKind::Grpc(Box::new(grpc(others, around)));
    }
    idle(&["tls", "virtualhost"], "stands without `grpc_health`", "the check only connects");
    idle(&OVER_TLS, "stands without `grpc_health`", "the check only connects");
    let text = |keyword| others.text(keyword).map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    let (send, expect) = (text("send"), text("expect"));
    match send.is_empty() && expect.is_empty() {
        true => CheckKind::Tcp,
        false => CheckKind::Talk(TalkCheck { send, expect }),
    }
}

/// What a TCP_CHECK says of its TLS.
const OVER_TLS: [&str; 4] = ["verify", "ca_file", "server_name", "expiry_warning"];

fn grpc(others: &[Setting], around: &Around<'_>) -> GrpcCheck {
    let outer = || around.server.virtualhost.as_deref().or(around.virtual_server.virtualhost.as_deref());
    GrpcCheck {
        service: others.text("grpc_health").unwrap_or_default().to_owned(),
        host: others.text("virtualhost").or_else(outer).map(str::to_owned),
        tls: others.is_on("tls").then(|| TlsCheck {
            // As gRPC does where there is a name.
            enable_sni: true,
            sni_name: None,
            options: tls(others, around.config),
        }),
    }
}

/// `method`, `header` and `request_body` of a url.
pub(super) fn request(
    others: &[Setting],
    version: HttpVersion,
    out: &mut Diagnostics,
) -> Option<Box<HttpRequest>> {
    let mut headers = Vec::new();
    for setting in others.iter().filter(|setting| setting.keyword == "header") {
        headers.extend(header(setting, version, out));
    }
    let method = method(others, out);
    let body = others.text("request_body").map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    if method.is_none() && headers.is_empty() && body.is_empty() {
        return None;
    }
    let default = if body.is_empty() { "GET" } else { "POST" };
    let method = method.unwrap_or_else(|| default.to_owned());
    Some(Box::new(HttpRequest { method, headers, body }))
}

fn method(others: &[Setting], out: &mut Diagnostics) -> Option<String> {
    let written = others.find("method")?;
    let method = others.text("method")?;
    if is_token(method) && method != "CONNECT" {
        return Some(method.to_owned());
    }
    let title = format!("`method` {method} is not one that a check can use");
    out.tell(Code::BadValue, written.span, title, "the line is left out: the url is asked with GET");
    None
}

fn header(setting: &Setting, version: HttpVersion, out: &mut Diagnostics) -> Option<(String, String)> {
    let Value::Text(text) = &setting.value else { return None };
    let found = text.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
    let fits = |(name, value): &(&str, &str)| is_token(name) && !value.chars().any(|c| c.is_control());
    match found.filter(fits) {
        Some((name, _)) if WRITTEN.iter().any(|own| name.eq_ignore_ascii_case(own)) => {
            let title = format!("`header` {name}: the check writes this one itself");
            let now = "the line is left out; virtualhost sets Host";
            out.tell(Code::BadValue, setting.span, title, now);
            None
        }
        Some((name, _))
            if version == HttpVersion::V2 && GONE.iter().any(|gone| name.eq_ignore_ascii_case(gone)) =>
        {
            let title = format!("`header` {name}: HTTP/2 has no such header");
            out.tell(Code::BadValue, setting.span, title, "the line is left out");
            None
        }
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => {
            let title = "`header` is not of the form \"NAME: VALUE\"".to_owned();
            out.tell(Code::BadValue, setting.span, title, "the line is left out");
            None
        }
    }
}

/// A token of RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let is_mark = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || is_mark(b))
}

/// `body_match`: text that must stand in the body.
pub(super) fn body_match(others: &[Setting], out: &mut Diagnostics) -> Option<SearchPlan> {
    let written = others.find("body_match")?;
    if others.find("regex").is_some() {
        let title = "`body_match` stands beside `regex`".to_owned();
        out.tell(Code::BadValue, written.span, title, "the body is searched for the regex only");
        return None;
    }
    others.text("body_match").filter(|text| !text.is_empty()).map(SearchPlan::literal)
}

/// What keywords of an SSL_GET and the `SSL` block say beyond "any certificate will do".
pub(super) fn tls(others: &[Setting], config: &Config) -> Option<Box<TlsOptions>> {
    let own: &[Setting] = config.others.find("SSL").map_or(&[], |block| &block.block);
    let text = |keyword| others.text(keyword).map(str::to_owned);
    let of_block = |keyword| own.text(keyword).map(str::to_owned);
    let verify = others.is_on("verify");
    let days = others.number("expiry_warning").and_then(|n| u16::try_from(n).ok());
    let options = TlsOptions {
        verify,
        ca_file: text("ca_file").or_else(|| of_block("ca")).filter(|_| verify),
        server_name: text("server_name"),
        expiry_warning_days: days,
        certificate: of_block("certificate"),
        key: of_block("key"),
        password: of_block("password").filter(|_| own.text("certificate").is_some()).map(Password),
    };
    (options != TlsOptions::default()).then(|| Box::new(options))
}
