//! Checkers: `TCP_CHECK`, `PING_CHECK`, `HTTP_GET`, `SSL_GET`; those of other kinds keep their keywords as settings.

use super::Context;
use super::global::set;
use super::lvs::Who;
use super::setting::{Setting, Settings as _, Value};
use super::value::MOST_SECONDS;
use crate::Code;
use crate::diagnostics::Diagnostic;
use crate::keywords::{Keyword, Place};
use crate::lexer::Word;
use crate::source::Span;
use crate::tree::Statement;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Times and counts that a virtual server, a real server and a checker may each set; the innermost counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `delay_loop`, above 0.
    pub delay_loop: Option<Duration>,
    /// `connect_timeout`, above 0.
    pub connect_timeout: Option<Duration>,
    /// `retry`.
    pub retry: Option<u32>,
    /// `delay_before_retry`.
    pub delay_before_retry: Option<Duration>,
    /// `warmup`.
    pub warmup: Option<Duration>,
}

/// Where a timing stands: a checker may say `retry 0`, the blocks around it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimingRule {
    Default,
    Checker,
}

impl Timing {
    /// Takes a keyword; false when it is none of these.
    pub(super) fn read(&mut self, cx: &mut Context, name: &str, s: &Statement, rule: TimingRule) -> bool {
        let longest = Duration::from_secs(MOST_SECONDS);
        let shortest = Duration::from_micros(1);
        match name {
            "delay_loop" => set(&mut self.delay_loop, cx.seconds(s, shortest..=longest)),
            "connect_timeout" => {
                // keepalived's timers end at 2^32 microseconds.
                let longest = Duration::from_micros(u64::from(u32::MAX));
                set(&mut self.connect_timeout, cx.seconds(s, shortest..=longest));
            }
            "delay_before_retry" => {
                set(&mut self.delay_before_retry, cx.seconds(s, Duration::ZERO..=longest))
            }
            "warmup" => set(&mut self.warmup, cx.seconds(s, Duration::ZERO..=longest)),
            "retry" => {
                let least = u32::from(rule == TimingRule::Default);
                set(&mut self.retry, cx.argument_u32(s, least..=u32::MAX));
            }
            _ => return false,
        }
        true
    }

    /// Of a block that was read by the shapes of its keywords.
    pub fn of(block: &[Setting]) -> Timing {
        Timing {
            delay_loop: block.time("delay_loop"),
            connect_timeout: block.time("connect_timeout"),
            retry: block.number("retry").and_then(|n| u32::try_from(n).ok()),
            delay_before_retry: block.time("delay_before_retry"),
            warmup: block.time("warmup"),
        }
    }

    /// This, with `outer` where it says nothing.
    #[must_use]
    pub fn or(self, outer: Timing) -> Timing {
        Timing {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
        }
    }
}

/// One checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checker {
    /// Where it begins.
    pub span: Span,
    /// What it asks.
    pub kind: CheckerKind,
    /// Whom it asks, and where from. In a box: few say.
    pub connection: Option<Box<Connection>>,
    /// Times. There may be a million checkers, most with the times of the one before, which they share.
    pub timing: Arc<Timing>,
    /// `alpha`.
    pub alpha: Option<bool>,
    /// All else, in the order of the file.
    pub others: Vec<Setting>,
}

/// What a checker says of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// `connect_ip`.
    pub connect_ip: Option<IpAddr>,
    /// `connect_port`.
    pub connect_port: Option<u16>,
    /// `bindto`.
    pub bind_address: Option<IpAddr>,
    /// `bind_port`.
    pub bind_port: Option<u16>,
    /// `fwmark`.
    pub fwmark: Option<u32>,
}

impl Connection {
    /// Of a block that was read by the shapes of its keywords.
    pub fn of(block: &[Setting]) -> Connection {
        let address = |keyword| match block.find(keyword).map(|found| &found.value) {
            Some(Value::Address(address)) => Some(*address),
            _ => None,
        };
        let port = |keyword| block.number(keyword).and_then(|n| u16::try_from(n).ok());
        Connection {
            connect_ip: address("connect_ip"),
            connect_port: port("connect_port"),
            bind_address: address("bindto"),
            bind_port: port("bind_port"),
            fwmark: block.number("fwmark").and_then(|n| u32::try_from(n).ok()),
        }
    }

    /// This, with `outer` where it says nothing.
    #[must_use]
    pub fn or(self, outer: Connection) -> Connection {
        Connection {
            connect_ip: self.connect_ip.or(outer.connect_ip),
            connect_port: self.connect_port.or(outer.connect_port),
            bind_address: self.bind_address.or(outer.bind_address),
            bind_port: self.bind_port.or(outer.bind_port),
            fwmark: self.fwmark.or(outer.fwmark),
        }
    }
}

/// What a checker asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckerKind {
    /// `TCP_CHECK`.
    Tcp,
    /// `PING_CHECK`.
    Ping,
    /// `HTTP_GET` and `SSL_GET`; in a box, for there may be a million checkers of another kind.
    Http(Box<Http>),
    /// `UDP_CHECK`; its own keywords are among the others.
    Udp,
    /// `SMTP_CHECK`; its own keywords are among the others.
    Smtp,
    /// `DNS_CHECK`; its own keywords are among the others.
    Dns,
    /// `MISC_CHECK`; its own keywords are among the others.
    Misc,
    /// `FILE_CHECK`; its own keywords are among the others.
    File,
    /// `BFD_CHECK`; its own keywords are among the others.
    Bfd,
}

/// `HTTP_GET` and `SSL_GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Is it `SSL_GET`?
    pub tls: bool,
    /// `http_protocol`.
    pub version: HttpVersion,
    /// `virtualhost`.
    pub virtualhost: Option<Box<str>>,
    /// `url` blocks; at least one.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// `1.0`.
    #[default]
    V1_0,
    /// `1.0C`: with `Connection: close`.
    V1_0Close,
    /// `1.1`.
    V1_1,
    /// `2`, of holdfast alone.
    V2,
}

/// One `url`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// `path`.
    pub path: Option<Box<str>>,
    /// `digest`.
    pub digest: Option<[u8; 16]>,
    /// `status_code`; empty when not written.
    pub status: Vec<RangeInclusive<u16>>,
    /// `virtualhost`.
    pub virtualhost: Option<Box<str>>,
    /// All else, in the order of the file.
    pub others: Vec<Setting>,
}

impl Checker {
    /// Reads a checker's block; `None` (said) when it cannot ask anything. `who` names the real server.
    pub(super) fn read(cx: &mut Context, who: Who<'_>, statement: &Statement) -> Option<Checker> {
        let name = statement.keyword().text.as_str();
        let (place, kind) = match name {
            "TCP_CHECK" => (Place::TcpCheck, CheckerKind::Tcp),
            "PING_CHECK" => (Place::PingCheck, CheckerKind::Ping),
            "SSL_GET" => (Place::SslGet, CheckerKind::Http(Box::new(Http { tls: true, ..Http::default() }))),
            _ => (Place::HttpGet, CheckerKind::Http(Box::default())),
        };
        let mut checker = Checker {
            span: statement.keyword().span,
            kind,
            connection: None,
            timing: Arc::default(),
            alpha: None,
            others: Vec::new(),
        };
        let body = statement.body();
        let others = cx.block(place, body, |cx, keyword, s| checker.keyword(cx, keyword, s));
        checker.others = others;
        cx.share(&mut checker.timing);
        if let CheckerKind::Http(http) = &checker.kind
            && http.urls.is_empty()
        {
            let title = format!("{who} is not checked: {name} without a url that has a path");
            let diagnostic = Diagnostic::new(Code::BadValue, checker.span, title, "the check is left out");
            cx.say(diagnostic.instead(format!("{name} {{ url {{ path / }} }}")));
            return None;
        }
        if let CheckerKind::Http(http) = &mut checker.kind {
            http.urls.shrink_to_fit();
        }
        Some(checker)
    }

    /// A checker of another kind from its block, which was read by the shapes of its keywords.
    pub(super) fn of_setting(kind: CheckerKind, setting: Setting) -> Checker {
        let block = setting.block.as_slice();
        let connection = Connection::of(block);
        Checker {
            span: setting.span,
            kind,
            connection: (connection != Connection::default()).then(|| Box::new(connection)),
            timing: Arc::new(Timing::of(block)),
            alpha: block.find("alpha").map(|_| block.is_on("alpha")),
            others: setting.block,
        }
    }

    /// What it says of its connection.
    pub fn connection(&self) -> Connection {
        self.connection.as_deref().copied().unwrap_or_default()
    }

    fn connection_mut(&mut self) -> &mut Connection {
        self.connection.get_or_insert_default()
    }

    fn keyword(&mut self, cx: &mut Context, keyword: &'static Keyword, s: &Statement) {
        match keyword.name {
            "connect_ip" => set(&mut self.connection_mut().connect_ip, cx.argument_address(s)),
            "connect_port" => set(&mut self.connection_mut().connect_port, port(cx, s)),
            "bindto" => set(&mut self.connection_mut().bind_address, cx.argument_address(s)),
            "bind_port" => set(&mut self.connection_mut().bind_port, port(cx, s)),
            "fwmark" => set(&mut self.connection_mut().fwmark, cx.argument_u32(s, 0..=u32::MAX)),
            "alpha" => set(&mut self.alpha, cx.flag(s)),
            "nb_get_retry" => {
                let title = "`nb_get_retry` is deprecated";
                let diagnostic = Diagnostic::new(Code::Deprecated, s.span(), title, "it is taken as `retry`");
                cx.say(diagnostic.instead("retry"));
                set(&mut Arc::make_mut(&mut self.timing).retry, cx.argument_u32(s, 0..=u32::MAX));
            }
            name => {
                let taken = Arc::make_mut(&mut self.timing).read(cx, name, s, TimingRule::Checker)
                    || match &mut self.kind {
                        CheckerKind::Http(http) => http.keyword(cx, name, s),
                        _ => false,
                    };
                if !taken {
                    cx.leave();
                }
            }
        }
    }
}

fn port(cx: &mut Context, statement: &Statement) -> Option<u16> {
    cx.argument(statement, 1..=65535).and_then(|n| u16::try_from(n).ok())
}

impl Http {
    fn keyword(&mut self, cx: &mut Context, name: &str, s: &Statement) -> bool {
        match name {
            "virtualhost" => self.virtualhost = s.arguments().first().map(|w| w.text.as_str().into()),
            "http_protocol" => {
                let Some(word) = s.arguments().first() else { return true };
                match word.text.as_str() {
                    "1.0" => self.version = HttpVersion::V1_0,
                    "1.0C" | "1.0c" => self.version = HttpVersion::V1_0Close,
                    "1.1" => self.version = HttpVersion::V1_1,
                    "2" => self.version = HttpVersion::V2,
                    _ => cx.bad(word, "http_protocol", "http_protocol 1.0, 1.0C, 1.1 or 2"),
                }
            }
            "url" => {
                self.urls.extend(Url::read(cx, if self.tls { Place::SslUrl } else { Place::HttpUrl }, s))
            }
            _ => return false,
        }
        true
    }
}

impl Url {
    fn read(cx: &mut Context, place: Place, statement: &Statement) -> Option<Url> {
        let mut url = Url::default();
        let body = statement.body();
        let others = cx.block(place, body, |cx, keyword, s| url.keyword(cx, keyword, s));
        url.others.extend(others);
        if url.path.is_none() {
            let title = "a url without a path";
            let diagnostic =
                Diagnostic::new(Code::BadValue, statement.keyword().span, title, "the url is left out");
            cx.say(diagnostic.instead("url { path / }"));
            return None;
        }
        url.status.shrink_to_fit();
        Some(url)
    }

    fn keyword(&mut self, cx: &mut Context, keyword: &'static Keyword, s: &Statement) {
        let first = s.arguments().first();
        match keyword.name {
            "path" => self.path = first.and_then(|w| path(cx, w)),
            "digest" => set(&mut self.digest, first.and_then(|w| digest(cx, w))),
            "status_code" => {
                for word in s.arguments() {
                    self.status.extend(status(cx, word));
                }
            }
            "virtualhost" => self.virtualhost = first.map(|w| w.text.as_str().into()),
            _ => cx.leave(),
        }
    }
}

/// A request target goes into a request line: no controls. Blanks in quotes go as they are, as with keepalived.
fn path(cx: &mut Context, word: &Word) -> Option<Box<str>> {
    if word.text.is_empty() || word.text.chars().any(char::is_control) {
        cx.bad(word, "path", "a path like /index.html");
        return None;
    }
    Some(word.text.as_str().into())
}

fn digest(cx: &mut Context, word: &Word) -> Option<[u8; 16]> {
    let value = u128::from_str_radix(&word.text, 16).ok().filter(|_| word.text.len() == 32);
    if value.is_none() {
        cx.bad(word, "digest", "32 hexadecimal digits, as genhash prints them");
    }
    value.map(u128::to_be_bytes)
}

fn status(cx: &mut Context, word: &Word) -> Option<RangeInclusive<u16>> {
    let (low, high) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
    let code = |s: &str| s.parse::<u16>().ok().filter(|n| (100..=599).contains(n));
    match (code(low), code(high)) {
        (Some(low), Some(high)) if low <= high => Some(low..=high),
        _ => {
            cx.bad(word, "status_code", "codes from 100 to 599, like 200 or 200-299");
            None
        }
    }
}
