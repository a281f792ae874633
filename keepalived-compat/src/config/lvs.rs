//! `virtual_server`, `real_server` and `virtual_server_group`.

pub(super) mod daemon;
mod group;
mod server;

pub use daemon::{SyncDaemon, Timeouts};
pub use group::{Entry, Group};
pub(super) use server::Who;
pub use server::{RealServer, SorryServer};

use super::check::{Timing, TimingRule};
use super::global::set;
use super::setting::Setting;
use super::value::shortened;
use super::{Context, method};
use crate::Code;
use crate::diagnostics::Diagnostic;
use crate::keywords::{self, Keyword, Place};
use crate::lexer::Word;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::net::{IpAddr, Ipv4Addr};

/// What a virtual server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// An address and port; every port when none or 0 is written.
    Address {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// Packets with a firewall mark.
    Fwmark(u32),
    /// The entries of a group.
    Group(String),
}

/// `persistence_granularity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// For IPv4: any mask, as keepalived and the kernel take it.
    Netmask(Ipv4Addr),
    /// For IPv6: leading bits, 1 to 128.
    Prefix(u8),
}

/// `protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// `lvs_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Masquerading.
    Nat,
    /// Masquerading of both ends: real servers see the director, by this address if one is written.
    FullNat(Option<IpAddr>),
    /// Direct routing.
    Dr,
    /// Tunnelling.
    Tun(Tunnel),
}

/// Encapsulation of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port.
        port: u16,
        /// Checksum.
        checksum: Checksum,
    },
    /// GRE; never [`Checksum::Remote`].
    Gre {
        /// Checksum.
        checksum: Checksum,
    },
}

/// Checksum of a tunnel's outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// `nocsum`.
    None,
    /// `csum`.
    Full,
    /// `remcsum`.
    Remote,
}

/// Scheduler flags as the kernel counts them.
pub const FLAG_1: u32 = 0x08;
/// See [`FLAG_1`].
pub const FLAG_2: u32 = 0x10;
/// See [`FLAG_1`].
pub const FLAG_3: u32 = 0x20;

/// One `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServer {
    /// What it serves, with the place of its header.
    pub service: Spanned<Service>,
    /// `ip_family`: true for inet6.
    pub ipv6: Option<bool>,
    /// `lvs_sched`, one that the kernel has.
    pub scheduler: Option<String>,
    /// Scheduler flags.
    pub flags: u32,
    /// `lvs_method`.
    pub method: Option<Spanned<Method>>,
    /// `protocol`.
    pub protocol: Option<Spanned<Protocol>>,
    /// `persistence_timeout` in seconds.
    pub persistence_timeout: Option<u32>,
    /// `persistence_granularity`.
    pub granularity: Option<Spanned<Granularity>>,
    /// `persistence_engine`.
    pub engine: Option<String>,
    /// `ops`.
    pub one_packet: Option<Span>,
    /// `quorum`, at least 1.
    pub quorum: Option<Spanned<u32>>,
    /// `hysteresis`.
    pub hysteresis: Option<Spanned<u32>>,
    /// `weight`, the default of the real servers.
    pub weight: Option<u32>,
    /// `alpha`.
    pub alpha: bool,
    /// `omega`.
    pub omega: bool,
    /// `ha_suspend`.
    pub ha_suspend: bool,
    /// `inhibit_on_failure`.
    pub inhibit_on_failure: bool,
    /// `virtualhost`.
    pub virtualhost: Option<Box<str>>,
    /// Defaults of the checks.
    pub timing: Timing,
    /// `sorry_server`.
    pub sorry_server: Option<SorryServer>,
    /// `real_server` blocks.
    pub real_servers: Vec<RealServer>,
    /// All else, in the order of the file.
    pub others: Vec<Setting>,
}

impl VirtualServer {
    pub(super) fn read(cx: &mut Context, statement: &Statement) -> Option<VirtualServer> {
        let service = service(cx, statement)?;
        let mut server = VirtualServer {
            service: Spanned::new(service, statement.span()),
            ipv6: None,
            scheduler: None,
            flags: 0,
            method: None,
            protocol: None,
            persistence_timeout: None,
            granularity: None,
            engine: None,
            one_packet: None,
            quorum: None,
            hysteresis: None,
            weight: None,
            alpha: false,
            omega: false,
            ha_suspend: false,
            inhibit_on_failure: false,
            virtualhost: None,
            timing: Timing::default(),
            sorry_server: None,
            real_servers: Vec::new(),
            others: Vec::new(),
        };
        let (body, name) = (statement.body(), server.name());
        // There may be a million: a list that grows while its servers are read leaves holes in memory.
        let servers = body.iter().filter(|statement| statement.keyword().text == "real_server").count();
        server.real_servers.reserve_exact(servers);
        let others =
            cx.block(Place::VirtualServer, body, |cx, keyword, s| server.keyword(cx, &name, keyword, s));
        server.others = others;
        server.real_servers.shrink_to_fit();
        Some(server)
    }

    /// As the configuration wrote it: `192.0.2.1 80`, `fwmark 5`, `group web`.
    pub fn name(&self) -> String {
        match &self.service.value {
            Service::Address { address, port: 0 } => address.to_string(),
            Service::Address { address, port } => format!("{address} {port}"),
            Service::Fwmark(mark) => format!("fwmark {mark}"),
            Service::Group(name) => format!("group {name}"),
        }
    }

    fn keyword(&mut self, cx: &mut Context, name: &str, keyword: &'static Keyword, s: &Statement) {
        let first = s.arguments().first();
        match keyword.name {
            "ip_family" => self.ipv6 = first.and_then(|w| family(cx, w)),
            "lb_algo" | "lvs_sched" => set(&mut self.scheduler, first.and_then(|w| scheduler(cx, w))),
            "flag-1" | "sh-fallback" | "mh-fallback" => self.flag(cx, s, FLAG_1),
            "flag-2" | "sh-port" | "mh-port" => self.flag(cx, s, FLAG_2),
            "flag-3" => self.flag(cx, s, FLAG_3),
            "lb_kind" | "lvs_method" => set(&mut self.method, method::read(cx, s)),
            "protocol" => set(&mut self.protocol, first.and_then(|w| protocol(cx, w))),
            "persistence_timeout" => set(&mut self.persistence_timeout, persistence(cx, s)),
            "persistence_granularity" => set(&mut self.granularity, first.and_then(|w| granularity(cx, w))),
            "persistence_engine" => self.engine = first.map(|w| engine(cx, w)),
            "ops" => self.one_packet = Some(s.span()),
            "quorum" => self.quorum = quorum(cx, s),
            "hysteresis" => {
                let value = cx.argument_u32(s, 0..=u32::MAX);
                set(&mut self.hysteresis, value.map(|n| Spanned::new(n, s.span())));
            }
            "weight" => set(&mut self.weight, cx.argument_u32(s, 1..=MOST_WEIGHT)),
            "alpha" => self.alpha = true,
            "omega" => self.omega = true,
            "ha_suspend" => self.ha_suspend = true,
            "inhibit_on_failure" => self.inhibit_on_failure = true,
            "virtualhost" => self.virtualhost = first.map(|w| w.text.as_str().into()),
            "sorry_server" => set(&mut self.sorry_server, SorryServer::read(cx, s)),
            "sorry_server_inhibit" | "sorry_server_lvs_method" => {
                server::sorry_option(cx, s, &mut self.sorry_server)
            }
            "real_server" => self.real_servers.extend(RealServer::read(cx, name, s)),
            _ => {
                if !self.timing.read(cx, keyword.name, s, TimingRule::Default) {
                    cx.leave();
                }
            }
        }
    }

    /// `sh-` and `mh-` flags count only after their scheduler, as in keepalived.
    fn flag(&mut self, cx: &mut Context, statement: &Statement, flag: u32) {
        let name = &statement.keyword().text;
        let wanted =
            ["sh", "mh"].into_iter().find(|s| name.strip_prefix(s).is_some_and(|r| r.starts_with('-')));
        match wanted {
            Some(wanted) if self.scheduler.as_deref() != Some(wanted) => {
                let title = format!("`{name}` does not follow `lvs_sched {wanted}`");
                let diagnostic = Diagnostic::new(Code::Cleared, statement.span(), title, "it is left out");
                cx.say(diagnostic.instead(format!("put it after lvs_sched {wanted}")));
            }
            _ => self.flags |= flag,
        }
    }
}

/// The largest weight, as in keepalived and the kernel.
pub(super) const MOST_WEIGHT: u32 = i32::MAX.unsigned_abs();

fn service(cx: &mut Context, statement: &Statement) -> Option<Service> {
    let words = statement.arguments();
    let (first, second) = (words.first()?, words.get(1));
    match (first.text.as_str(), second) {
        ("fwmark", Some(mark)) => {
            let mark = cx.number(mark, "fwmark", 1..=u64::from(u32::MAX))?;
            Some(Service::Fwmark(u32::try_from(mark).ok()?))
        }
        ("group", Some(name)) => Some(Service::Group(name.text.clone())),
        ("fwmark" | "group", None) => {
            let title = format!("`virtual_server {}` lacks a word", first.text);
            cx.tell(Code::MissingWord, first.span, title, "the configuration is refused, as in keepalived");
            None
        }
        _ => {
            let (address, port) = endpoint(cx, "virtual_server", words)?;
            Some(Service::Address { address, port: port.unwrap_or(0) })
        }
    }
}

/// `ADDR [PORT]`; said, with what is lost, when either is not valid.
pub(super) fn endpoint(cx: &mut Context, keyword: &str, words: &[Word]) -> Option<(IpAddr, Option<u16>)> {
    let first = words.first()?;
    let skipped = |cx: &mut Context, word: &Word, what: &str| {
        let title = format!("`{}` is no {what}", shortened(&word.text));
        let diagnostic =
            Diagnostic::new(Code::BadValue, word.span, title, format!("this {keyword} is left out"));
        cx.say(diagnostic.instead(format!("{keyword} ADDRESS PORT, with a port from 1 to 65535")));
    };
    let Some(address) = address_before_rest(&first.text) else {
        skipped(cx, first, "address");
        return None;
    };
    if first.text.contains(['/', '-']) {
        let title = format!("`{}` is one address and more", shortened(&first.text));
        cx.tell(Code::NoEffect, first.span, title, format!("{address} alone is taken, as in keepalived"));
    }
    let Some(word) = words.get(1) else { return Some((address, None)) };
    match word.text.parse::<u16>() {
        Ok(port) => Some((address, Some(port))),
        Err(_) => {
            skipped(cx, word, "port");
            None
        }
    }
}

/// The address; a prefix length or the end of a range after it does not count.
fn address_before_rest(text: &str) -> Option<IpAddr> {
    text.split(['/', '-']).next()?.parse().ok()
}

fn family(cx: &mut Context, word: &Word) -> Option<bool> {
    match word.text.as_str() {
        "inet" => Some(false),
        "inet6" => Some(true),
        _ => {
            cx.bad(word, "ip_family", "ip_family inet or ip_family inet6");
            None
        }
    }
}

fn scheduler(cx: &mut Context, word: &Word) -> Option<String> {
    if keywords::find(Place::Scheduler, &word.text).is_none() {
        let names: Vec<&str> = keywords::at(Place::Scheduler).iter().map(|k| k.name).collect();
        cx.bad(word, "lvs_sched", &format!("one of {}", names.join(", ")));
        return None;
    }
    Some(word.text.clone())
}

/// The kernel's names have 15 octets at most.
fn engine(cx: &mut Context, word: &Word) -> String {
    const MOST: usize = 15;
    let end = (0..=MOST).rev().find(|end| word.text.is_char_boundary(*end)).unwrap_or(0);
    if word.text.len() <= MOST {
        return word.text.clone();
    }
    let title = format!("`persistence_engine` is longer than {MOST} octets");
    cx.tell(Code::Adjusted, word.span, title, "the first 15 are used, as in keepalived");
    word.text[..end].to_owned()
}

fn protocol(cx: &mut Context, word: &Word) -> Option<Spanned<Protocol>> {
    let protocol = match word.text.to_ascii_uppercase().as_str() {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => {
            cx.bad(word, "protocol", "protocol TCP, UDP or SCTP");
            return None;
        }
    };
    Some(Spanned::new(protocol, word.span))
}

fn persistence(cx: &mut Context, statement: &Statement) -> Option<u32> {
    /// What keepalived takes when no time is written.
    const DEFAULT: u32 = 360;
    /// 31 days, the kernel's limit.
    const LONGEST: u32 = 2_678_400;
    if statement.arguments().is_empty() { Some(DEFAULT) } else { cx.argument_u32(statement, 1..=LONGEST) }
}

fn granularity(cx: &mut Context, word: &Word) -> Option<Spanned<Granularity>> {
    let v4 = || word.text.parse().ok().map(Granularity::Netmask);
    let v6 = || word.text.parse().ok().filter(|p| (1..=128).contains(p)).map(Granularity::Prefix);
    let value = v4().or_else(v6);
    if value.is_none() {
        cx.bad(
            word,
            "persistence_granularity",
            "an IPv4 netmask like 255.255.255.0, or an IPv6 prefix from 1 to 128",
        );
    }
    value.map(|v| Spanned::new(v, word.span))
}

fn quorum(cx: &mut Context, statement: &Statement) -> Option<Spanned<u32>> {
    let value = cx.argument_or(statement, 1..=u64::from(u32::MAX), 1);
    u32::try_from(value).ok().map(|n| Spanned::new(n, statement.span()))
}
