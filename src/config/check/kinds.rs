//! What each kind of checker asks.

use super::{Around, DELAY_LOOP, Kind, ours};
use crate::config::{Diagnostics, scripts};
use crate::plan::check::{
    CheckKind, DnsCheck, FileCheck, HttpCheck, HttpUrl, HttpVersion, MiscCheck, SmtpCheck, TlsCheck, UdpCheck,
};
use crate::plan::search::{SearchPlan, Unsearchable};
use crate::wire::dns;
use keepalived_compat::config::check as conf;
use keepalived_compat::config::check::{Checker, CheckerKind};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::{Code, Config, Diagnostic};

/// keepalived's name in HELO.
const HELO: &str = "smtpchecker.keepalived.org";

/// The longest good answer of a UDP server when none is written.
const MAX_REPLY: u16 = 255;

pub(super) fn kind(checker: &Checker, around: &Around<'_>, out: &mut Diagnostics) -> Kind {
    let others = checker.others.as_slice();
    Some(match &checker.kind {
        CheckerKind::Tcp => ours::tcp(others, around, out),
        CheckerKind::Ping => CheckKind::Ping,
        CheckerKind::Http(http) => CheckKind::Http(web(http, checker, around, out)),
        CheckerKind::Udp => CheckKind::Udp(udp(others)),
        CheckerKind::Smtp => {
            CheckKind::Smtp(SmtpCheck { helo: others.text("helo_name").unwrap_or(HELO).to_owned() })
        }
        CheckerKind::Dns => CheckKind::Dns(name_server(checker, out)?),
        CheckerKind::Misc => CheckKind::Misc(program(others, around)?),
        CheckerKind::File => CheckKind::File(file(others, around.config)?),
        CheckerKind::Bfd => CheckKind::Bfd(others.text("name")?.to_owned()),
    })
}

fn web(http: &conf::Http, checker: &Checker, around: &Around<'_>, out: &mut Diagnostics) -> HttpCheck {
    let others = checker.others.as_slice();
    let version = match http.version {
        conf::HttpVersion::V1_0 => HttpVersion::V1_0,
        conf::HttpVersion::V1_0Close => HttpVersion::V1_0Close,
        conf::HttpVersion::V1_1 => HttpVersion::V1_1,
        conf::HttpVersion::V2 => HttpVersion::V2,
    };
    let outer = http
        .virtualhost
        .as_ref()
        .or(around.server.virtualhost.as_ref())
        .or(around.virtual_server.virtualhost.as_ref());
    let compliant = others.is_on("tls_compliant");
    let mut url = |url: &conf::Url| HttpUrl {
        path: url.path.as_deref().unwrap_or("/").to_owned(),
        host: url.virtualhost.as_ref().or(outer).map(|host| host.to_string()),
        status: if url.status.is_empty() { vec![200..=299] } else { url.status.clone() },
        digest: url.digest,
        search: ours::body_match(&url.others, out).or_else(|| search(&url.others, out)),
        close_notify: match url.others.find("tls_compliant") {
            Some(_) => url.others.is_on("tls_compliant"),
            None => compliant,
        },
        request: ours::request(&url.others, version, out),
    };
    let urls = http.urls.iter().map(&mut url).collect();
    let sni_name = others.text("sni_name").map(str::to_owned);
    let enable_sni = others.is_on("enable_sni") || others.find("sni_name").is_some();
    let tls = http.tls.then(|| TlsCheck { enable_sni, sni_name, options: ours::tls(others, around.config) });
    HttpCheck { version, urls, tls, fast_recovery: others.is_on("fast_recovery") }
}

/// `regex` and what belongs to it; nothing (said) when the pattern cannot be searched for.
fn search(others: &[Setting], out: &mut Diagnostics) -> Option<SearchPlan> {
    let written = others.find("regex")?;
    let options: Vec<&str> = others
        .iter()
        .filter_map(|setting| match (setting.keyword, &setting.value) {
            ("regex_options", Value::Names(names)) => Some(names.iter().copied()),
            _ => None,
        })
        .flatten()
        .collect();
    let is = |option| options.contains(&option);
    let offset = |keyword| others.number(keyword).and_then(|n| u64::try_from(n).ok());
    let plan = SearchPlan {
        pattern: others.text("regex")?.to_owned(),
        negate: others.find("regex_no_match").is_some(),
        caseless: is("caseless"),
        dotall: is("dotall"),
        multiline: is("multiline"),
        extended: is("extended"),
        dollar_endonly: is("dollar_endonly"),
        firstline: is("firstline"),
        utf: is("utf"),
        min_offset: offset("regex_min_offset").unwrap_or(0),
        max_offset: offset("regex_max_offset"),
    };
    match plan.compile() {
        Ok(_) => Some(plan),
        Err(why) => {
            let title = format!("`regex` {}: {why}", plan.pattern);
            let (now, instead) = match why {
                Unsearchable::NeedsFeature(_) => (
                    "keepalived searches for it; here the body is not searched, so a server that answers with the wrong page \
                     counts as up",
                    "build holdfast with --features pcre2, or write a pattern without look-around and back references",
                ),
                Unsearchable::Never(_) => (
                    "the body is not searched, so a server that answers with the wrong page counts as up",
                    "a pattern that says the same in other words",
                ),
            };
            let diagnostic = Diagnostic::new(Code::NotYetTraffic, written.span, title, now);
            out.say(diagnostic.instead(instead));
            None
        }
    }
}

fn udp(others: &[Setting]) -> UdpCheck {
    let words = |keyword| match others.find(keyword).map(|setting| &setting.value) {
        Some(Value::Words(words)) => Some(nibbles(words)),
        Some(_) => Some(Vec::new()),
        None => None,
    };
    let payload = words("payload").map(|pairs| pairs.into_iter().map(|(octet, _)| octet).collect());
    let length = |keyword| others.number(keyword).and_then(|n| u16::try_from(n).ok());
    let least = length("min_reply_length").unwrap_or(0);
    UdpCheck {
        payload,
        reply: words("require_reply"),
        reply_length: least..=length("max_reply_length").unwrap_or(MAX_REPLY),
    }
}

/// Octets in hexadecimal, `X` for any digit: the octets, each with the bits that count.
fn nibbles(words: &[String]) -> Vec<(u8, u8)> {
    let digits: Vec<(u8, u8)> = words
        .iter()
        .flat_map(|word| word.strip_prefix("0x").unwrap_or(word).chars())
        .map(|c| c.to_digit(16).map_or((0, 0), |digit| (digit as u8, 0xf)))
        .collect();
    let octet = |pair: &[(u8, u8)]| match pair {
        [high, low] => (high.0 << 4 | low.0, high.1 << 4 | low.1),
        // Half an octet is the lower half.
        [low] => (low.0, 0xf0 | low.1),
        _ => (0, 0),
    };
    digits.chunks(2).map(octet).collect()
}

fn name_server(checker: &Checker, out: &mut Diagnostics) -> Option<DnsCheck> {
    let others = checker.others.as_slice();
    let word = others.text("type").unwrap_or("SOA");
    let name = others.text("name").unwrap_or(".").to_owned();
    let record_type = dns::record_type(word)?; // the language knows the same words
    if dns::query(0, &name, record_type).is_none() {
        let title = format!("DNS_CHECK: {name} is not a domain name");
        let now = "the check is left out; with no other check the server counts as up";
        let diagnostic = Diagnostic::new(Code::BadValue, checker.span, title, now);
        out.say(diagnostic.instead("labels of at most 63 octets, 255 in all"));
        return None;
    }
    Some(DnsCheck { record_type, name })
}

fn program(others: &[Setting], around: &Around<'_>) -> Option<MiscCheck> {
    let mut command = around.defaults.command(others.command("misc_path")?);
    command.account = around.defaults.user(others).or(command.account);
    // As keepalived: the delay_loop of the virtual server, whatever the check itself says.
    let default = around.virtual_server.timing.delay_loop.unwrap_or(DELAY_LOOP);
    Some(MiscCheck {
        command: Box::new(command),
        timeout: others.time("misc_timeout").filter(|time| !time.is_zero()).unwrap_or(default),
        dynamic: others.find("misc_dynamic").is_some(),
        unrunnable: scripts::unrunnable(around.config),
    })
}

fn file(others: &[Setting], config: &Config) -> Option<FileCheck> {
    let name = others.text("track_file")?;
    let weight = |settings: &[Setting]| match settings.find("weight")?.value {
        Value::Weight(weight, reverse) => {
            let weight = i32::try_from(weight).ok()?;
            Some(if reverse == Some(true) { weight.saturating_neg() } else { weight })
        }
        Value::Number(weight) => i32::try_from(weight).ok(),
        _ => None,
    };
    let of_file = || {
        let is_it =
            |s: &&Setting| matches!(s.keyword, "track_file" | "vrrp_track_file") && s.name() == Some(name);
        config.others.iter().find(is_it).and_then(|block| weight(&block.block))
    };
    Some(FileCheck { file: name.to_owned(), weight: weight(others).or_else(of_file).unwrap_or(1) })
}
