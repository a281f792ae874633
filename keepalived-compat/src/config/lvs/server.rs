//! `real_server` and `sorry_server`.

use super::{MOST_WEIGHT, Method, endpoint};
use crate::Code;
use crate::config::check::{Checker, CheckerKind, Timing, TimingRule};
use crate::config::global::set;
use crate::config::setting::Setting;
use crate::config::{Context, method};
use crate::diagnostics::Diagnostic;
use crate::keywords::{Keyword, Place};
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::net::IpAddr;

/// `sorry_server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SorryServer {
    /// Where it is written.
    pub span: Span,
    /// Address.
    pub address: IpAddr,
    /// Port, when written.
    pub port: Option<u16>,
    /// `sorry_server_inhibit`.
    pub inhibit: bool,
    /// `sorry_server_lvs_method`.
    pub method: Option<Spanned<Method>>,
}

impl SorryServer {
    pub(super) fn read(cx: &mut Context, statement: &Statement) -> Option<SorryServer> {
        let (address, port) = endpoint(cx, "sorry_server", statement.arguments())?;
        Some(SorryServer { span: statement.span(), address, port, inhibit: false, method: None })
    }
}

/// `sorry_server_inhibit` and `sorry_server_lvs_method`, which must follow their `sorry_server`.
pub(super) fn sorry_option(cx: &mut Context, statement: &Statement, sorry: &mut Option<SorryServer>) {
    let name = &statement.keyword().text;
    let Some(sorry) = sorry else {
        let title = format!("`{name}` does not follow a `sorry_server`");
        let diagnostic = Diagnostic::new(Code::Cleared, statement.span(), title, "it is left out");
        return cx.say(diagnostic.instead("put it after sorry_server"));
    };
    if name == "sorry_server_inhibit" {
        sorry.inhibit = true;
    } else {
        set(&mut sorry.method, method::read(cx, statement));
    }
}

/// One `real_server`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealServer {
    /// Address, port when written, and where.
    pub endpoint: Option<Spanned<(IpAddr, Option<u16>)>>,
    /// `weight`.
    pub weight: Option<u32>,
    /// `lvs_method`.
    pub method: Option<Spanned<Method>>,
    /// `uthreshold`.
    pub upper_threshold: Option<u32>,
    /// `lthreshold`.
    pub lower_threshold: Option<u32>,
    /// `inhibit_on_failure`.
    pub inhibit_on_failure: Option<bool>,
    /// `alpha`.
    pub alpha: Option<bool>,
    /// `virtualhost`.
    pub virtualhost: Option<Box<str>>,
    /// Defaults of its checks; few servers have any.
    pub timing: Option<Box<Timing>>,
    /// Its checks.
    pub checkers: Vec<Checker>,
    /// All else, in the order of the file.
    pub others: Vec<Setting>,
}

/// A real server's name for messages, put together only where there is one.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Who<'a> {
    endpoint: (IpAddr, Option<u16>),
    /// The virtual server's name.
    service: &'a str,
}

impl std::fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Who { endpoint: (address, port), service } = self;
        match port {
            Some(port) => write!(f, "real_server {address} {port} of {service}"),
            None => write!(f, "real_server {address} of {service}"),
        }
    }
}

/// The checkers whose blocks are read by the shapes of their keywords.
fn checker_kind(name: &str) -> Option<CheckerKind> {
    Some(match name {
        "UDP_CHECK" => CheckerKind::Udp,
        "SMTP_CHECK" => CheckerKind::Smtp,
        "DNS_CHECK" => CheckerKind::Dns,
        "MISC_CHECK" => CheckerKind::Misc,
        "FILE_CHECK" => CheckerKind::File,
        "BFD_CHECK" => CheckerKind::Bfd,
        _ => return None,
    })
}

impl RealServer {
    /// `service` names the virtual server for messages.
    pub(super) fn read(cx: &mut Context, service: &str, statement: &Statement) -> Option<RealServer> {
        let endpoint = endpoint(cx, "real_server", statement.arguments())?;
        let mut server =
            RealServer { endpoint: Some(Spanned::new(endpoint, statement.span())), ..RealServer::default() };
        let who = Who { endpoint, service };
        let body = statement.body();
        let others = cx.block(Place::RealServer, body, |cx, keyword, s| server.keyword(cx, who, keyword, s));
        server.others.extend(others);
        server.checkers.shrink_to_fit();
        Some(server)
    }

    /// One check more. There may be a million servers, most with one: room for three more, given back later, would leave
    /// holes that are most of the memory.
    fn check(&mut self, checker: Option<Checker>) {
        if self.checkers.len() == self.checkers.capacity() {
            self.checkers.reserve_exact(self.checkers.len().max(1));
        }
        self.checkers.extend(checker);
    }

    fn keyword(&mut self, cx: &mut Context, who: Who<'_>, keyword: &'static Keyword, s: &Statement) {
        match keyword.name {
            "weight" => set(&mut self.weight, cx.argument_u32(s, 0..=MOST_WEIGHT)),
            "lvs_method" => set(&mut self.method, method::read(cx, s)),
            "uthreshold" => set(&mut self.upper_threshold, cx.argument_u32(s, 0..=u32::MAX)),
            "lthreshold" => set(&mut self.lower_threshold, cx.argument_u32(s, 0..=u32::MAX)),
            "inhibit_on_failure" => set(&mut self.inhibit_on_failure, cx.flag(s)),
            "alpha" => set(&mut self.alpha, cx.flag(s)),
            "virtualhost" => self.virtualhost = s.arguments().first().map(|w| w.text.as_str().into()),
            "TCP_CHECK" | "PING_CHECK" | "HTTP_GET" | "SSL_GET" => {
                self.check(Checker::read(cx, who, s));
            }
            name => {
                if let Some(kind) = checker_kind(name) {
                    let block = cx.checker(keyword, s);
                    self.check(block.map(|block| Checker::of_setting(kind, block)));
                    return;
                }
                if !self.timing.get_or_insert_default().read(cx, name, s, TimingRule::Default) {
                    cx.leave();
                }
            }
        }
    }
}
