//! `lvs_sync_daemon` and `lvs_timeouts` of `global_defs`: settings of IPVS as a whole.

use super::super::Context;
use super::super::setting::{Settings as _, Value};
use super::super::value::shortened;
use super::super::vrrp::is_interface_name;
use crate::keywords::{Keyword, Place, find};
use crate::lexer::Word;
use crate::{Code, Diagnostic};
use std::net::IpAddr;
use std::time::Duration;

/// The longest timeout of a connection: 31 days.
const LONGEST: u32 = 2_678_400;

/// `lvs_sync_daemon IFNAME [[inst] VRRP_INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDR]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncDaemon {
    /// The interface that carries the messages.
    pub interface: String,
    /// The instance whose state selects master or backup daemon; without one both run.
    pub instance: Option<String>,
    /// `id`; the VRID of the instance, else 0, when not written.
    pub id: Option<u8>,
    /// `maxlen`, 1 to 65507 octets; the kernel's when not written.
    pub max_length: Option<u16>,
    /// `port`; 8848 when not written.
    pub port: Option<u16>,
    /// `ttl`; the kernel's, which is 1, when not written.
    pub ttl: Option<u8>,
    /// `group`; 224.0.0.81 when not written.
    pub group: Option<IpAddr>,
}

/// `lvs_timeouts [tcp S] [tcpfin S] [udp S]`, up to 31 days each; the kernel's where not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Of established TCP connections.
    pub tcp: Option<Duration>,
    /// Of TCP connections after a FIN.
    pub tcp_fin: Option<Duration>,
    /// Of UDP.
    pub udp: Option<Duration>,
}

impl super::super::global::Global {
    /// `lvs_sync_daemon`.
    pub fn sync_daemon(&self) -> Option<&SyncDaemon> {
        match &self.others.find("lvs_sync_daemon")?.value {
            Value::SyncDaemon(daemon) => Some(daemon),
            _ => None,
        }
    }

    /// `lvs_timeouts`: of several lines the last that sets a timeout counts.
    pub fn timeouts(&self) -> Timeouts {
        let lines = self.others.iter().filter_map(|setting| match &setting.value {
            Value::Timeouts(timeouts) => Some(**timeouts),
            _ => None,
        });
        lines.fold(Timeouts::default(), |all, line| Timeouts {
            tcp: line.tcp.or(all.tcp),
            tcp_fin: line.tcp_fin.or(all.tcp_fin),
            udp: line.udp.or(all.udp),
        })
    }
}

/// The words after `lvs_sync_daemon`; what is wrong with one is said, and the word left out.
pub(in crate::config) fn sync_daemon(
    cx: &mut Context,
    keyword: &Keyword,
    words: &[Word],
) -> Option<SyncDaemon> {
    let (interface, mut words) = words.split_first()?;
    if !is_interface_name(&interface.text) {
        wrong(cx, keyword, interface, "an interface name of at most 15 letters");
        return None;
    }
    let mut daemon = SyncDaemon { interface: interface.text.clone(), ..SyncDaemon::default() };
    if let Some((instance, rest)) = words.split_first()
        && find(Place::LvsSyncDaemon, &instance.text).is_none()
    {
        daemon.instance = Some(instance.text.clone());
        words = bare_id(cx, keyword, rest, &mut daemon);
    }
    let mut words = words.iter();
    while let Some(option) = words.next() {
        if find(Place::LvsSyncDaemon, &option.text).is_none() {
            wrong(cx, keyword, option, keyword.arguments);
            continue;
        }
        let Some(word) = words.next() else {
            wrong(cx, keyword, option, keyword.arguments);
            break;
        };
        let mut number = |low: u16, high: u16| {
            let number = word.text.parse().ok().filter(|n| (low..=high).contains(n));
            if number.is_none() {
                wrong(
                    cx,
                    keyword,
                    word,
                    &format!("{} followed by a number from {low} to {high}", option.text),
                );
            }
            number
        };
        let octet = |n: u16| u8::try_from(n).ok();
        match option.text.as_str() {
            "inst" => daemon.instance = Some(word.text.clone()),
            "id" => daemon.id = number(0, 255).and_then(octet),
            "maxlen" => daemon.max_length = number(1, 65_507),
            "port" => daemon.port = number(1, u16::MAX),
            "ttl" => daemon.ttl = number(1, 255).and_then(octet),
            // The table knows no other.
            _ => match word.text.parse::<IpAddr>() {
                Ok(group) if group.is_multicast() => daemon.group = Some(group),
                _ => wrong(cx, keyword, word, "group followed by a multicast address"),
            },
        }
    }
    Some(daemon)
}

/// The word after an instance without `inst`, if it is no option: the old place of the id. A wrong one leaves the VRID.
fn bare_id<'a>(
    cx: &mut Context,
    keyword: &Keyword,
    words: &'a [Word],
    daemon: &mut SyncDaemon,
) -> &'a [Word] {
    let Some((word, rest)) = words.split_first() else { return words };
    if find(Place::LvsSyncDaemon, &word.text).is_some() {
        return words;
    }
    let Ok(id) = word.text.parse::<u8>() else {
        wrong(cx, keyword, word, "id followed by a number from 0 to 255");
        return rest;
    };
    daemon.id = Some(id);
    let title = format!("`{}` has its id without the word `id`", keyword.name);
    let diagnostic = Diagnostic::new(Code::Deprecated, word.span, title, "it is taken");
    cx.say(diagnostic.instead(format!("id {id}")));
    rest
}

/// The words after `lvs_timeouts`; `None` (said) when they set nothing.
pub(in crate::config) fn timeouts(
    cx: &mut Context,
    keyword: &Keyword,
    head: &Word,
    words: &[Word],
) -> Option<Timeouts> {
    let mut timeouts = Timeouts::default();
    let mut words = words.iter();
    while let Some(option) = words.next() {
        let place = match option.text.as_str() {
            "tcp" => &mut timeouts.tcp,
            "tcpfin" => &mut timeouts.tcp_fin,
            "udp" => &mut timeouts.udp,
            _ => {
                wrong(cx, keyword, option, keyword.arguments);
                continue;
            }
        };
        match words.next().map(|word| (word, word.text.parse::<u32>())) {
            Some((_, Ok(seconds))) if seconds <= LONGEST => {
                *place = Some(Duration::from_secs(seconds.into()))
            }
            Some((word, _)) => wrong(cx, keyword, word, &format!("seconds from 0 to {LONGEST}")),
            None => wrong(cx, keyword, option, keyword.arguments),
        }
    }
    if timeouts == Timeouts::default() {
        let title = "`lvs_timeouts` sets no timeout";
        let diagnostic = Diagnostic::new(Code::BadValue, head.span, title, "the kernel keeps its own");
        cx.say(diagnostic.instead(format!("{} {}", keyword.name, keyword.arguments)));
        return None;
    }
    Some(timeouts)
}

fn wrong(cx: &mut Context, keyword: &Keyword, word: &Word, wanted: &str) {
    let title = format!("`{}` is not valid for `{}`", shortened(&word.text), keyword.name);
    let now = "the word is left out, as in keepalived";
    cx.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(wanted));
}
