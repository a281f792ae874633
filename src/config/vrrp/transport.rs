//! Where an instance's advertisements go, whose it believes, and how they are signed.

use super::settings;
use crate::config::Diagnostics;
use crate::net::AddressFamily;
use crate::plan::vrrp::{
    HmacKey, HmacMode, HmacPolicy, OldChecksum, PeerLimits, Transport, Version, WirePolicy,
};
use crate::wire::trailer::{MAX_KEY, MIN_KEY};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::config::vrrp::VrrpInstance;
use keepalived_compat::source::encode;
use keepalived_compat::{Code, Diagnostic, Spanned};
use std::net::IpAddr;

/// `time_window` unless three intervals are more.
const SHORTEST_DEFAULT_WINDOW: u64 = 5;
/// Longest `time_window`.
const LONGEST_WINDOW: u64 = 300;
/// Hop limit of unicast IPv6 advertisements without `unicast_ttl`: keepalived leaves it to the kernel.
const KERNEL_HOP_LIMIT: u8 = 64;

/// Multicast or peers. `None` (said) when the instance must not be started.
pub(super) fn transport(
    instance: &VrrpInstance,
    family: AddressFamily,
    out: &mut Diagnostics,
) -> Option<Transport> {
    let settings = &instance.settings;
    let name = &instance.name.value;
    let mut fits = |what: &str, address: &Spanned<IpAddr>| {
        let fits = AddressFamily::of(address.value) == family;
        if !fits {
            let title =
                format!("vrrp_instance {name}: the {what} {} is not an {family} address", address.value);
            out.tell(Code::BadValue, address.span, title, "it is left out, as in keepalived");
        }
        fits
    };
    let source = settings.unicast_source.filter(|s| fits("unicast_src_ip", s)).map(|s| s.value);
    let source = source.or(settings.mcast_source.filter(|s| fits("mcast_src_ip", s)).map(|s| s.value));
    let peers: Vec<IpAddr> =
        settings.unicast_peers.iter().filter(|p| fits("peer", p)).map(|p| p.value).collect();
    let group = settings.mcast_group.filter(|g| fits("mcast_dst_ip", g));
    if !peers.is_empty() {
        return Some(Transport::Unicast { source, peers });
    }
    if settings.peers_written && !faults_without_peer(instance) {
        let title = format!("vrrp_instance {name}: no line of its unicast_peer can be used");
        let now = "the instance is not started: by multicast its peers would not hear it, and both would hold the addresses";
        let span = settings.unicast.unwrap_or(instance.name.span);
        out.tell(Code::BadValue, span, title, now);
        return None;
    }
    if let Some(span) = unicast_without_peer(instance) {
        let title = format!("vrrp_instance {name} has a unicast keyword but no peer");
        if faults_without_peer(instance) {
            let now = "it stays in FAULT, as in keepalived (unicast_fault_no_peer)";
            out.tell(Code::Adjusted, span, title, now);
        } else {
            out.tell(Code::Deprecated, span, title, "it speaks multicast, as in keepalived");
        }
    }
    let default = match family {
        AddressFamily::V4 => instance.defaults.group4,
        AddressFamily::V6 => instance.defaults.group6,
    };
    let group = group.or(default).map(|g| g.value);
    Some(Transport::Multicast { source, group: group.filter(|g| *g != family.vrrp_group()) })
}

fn faults_without_peer(instance: &VrrpInstance) -> bool {
    instance.settings.others.find("unicast_fault_no_peer").is_some()
}

/// Where a unicast keyword stands.
fn unicast_without_peer(instance: &VrrpInstance) -> Option<keepalived_compat::Span> {
    let settings = &instance.settings;
    let flag = settings.others.find("unicast_fault_no_peer").map(|s| s.span);
    settings.unicast.or(settings.unicast_source.map(|s| s.span)).or(flag)
}

/// All else about the wire. `None` (said) when the instance must not be started.
pub(super) fn wire_policy(
    instance: &VrrpInstance,
    family: AddressFamily,
    version: Version,
    transport: &Transport,
    out: &mut Diagnostics,
) -> Option<WirePolicy> {
    let (settings, defaults) = (&instance.settings, &instance.defaults);
    let unicast = matches!(transport, Transport::Unicast { .. });
    let strict = settings::strict(instance);
    let owner = settings::priority(settings).is_owner();
    let owner_ignores = settings.others.find("owner_ignore_adverts").is_some()
        || defaults.owner_ignore_adverts == Some(true)
        || strict;
    let old_checksum = match settings.others.find("old_unicast_checksum") {
        None => OldChecksum::Detect,
        Some(_) if settings.others.text("old_unicast_checksum") == Some("never") => OldChecksum::Never,
        Some(_) => OldChecksum::Always,
    };
    let hmac = match settings.others.find("auth_hmac") {
        Some(block) => Some(hmac(instance, block, version, strict, out)?),
        None => None,
    };
    Some(WirePolicy {
        unicast_hop_limit: hop_limit(instance, family, unicast, out),
        check_source: unicast
            && (settings.others.find("check_unicast_src").is_some() || defaults.check_unicast_source),
        peer_limits: if unicast { peer_limits(&settings.peer_options) } else { Vec::new() },
        old_checksum,
        owner_ignores: owner_ignores && owner,
        lacks_peers: !unicast && faults_without_peer(instance) && unicast_without_peer(instance).is_some(),
        hmac,
    })
}

fn hop_limit(instance: &VrrpInstance, family: AddressFamily, unicast: bool, out: &mut Diagnostics) -> u8 {
    let default = if family == AddressFamily::V6 && unicast { KERNEL_HOP_LIMIT } else { 255 };
    let Some(setting) = instance.settings.others.find("unicast_ttl").filter(|_| unicast) else {
        return default;
    };
    match setting.value {
        Value::Number(number @ 1..=255) => u8::try_from(number).unwrap_or(default),
        _ => {
            let title = format!("vrrp_instance {}: a packet with TTL 0 goes nowhere", instance.name.value);
            let now = if default == 255 { "255 is used" } else { "64 is used" };
            out.tell(Code::Adjusted, setting.span, title, now);
            default
        }
    }
}

fn peer_limits(options: &[Setting]) -> Vec<PeerLimits> {
    let limit = |peer: &Setting, keyword| peer.block.number(keyword).and_then(|n| u8::try_from(n).ok());
    let limits = options.iter().filter_map(|line| {
        let Value::Address(peer) = line.value else { return None };
        let (least, most) = (limit(line, "min_ttl"), limit(line, "max_ttl"));
        (least.is_some() || most.is_some()).then(|| PeerLimits {
            peer,
            least: least.unwrap_or(0),
            most: most.unwrap_or(255),
        })
    });
    limits.collect()
}

/// `auth_hmac`; `None` (said) when it cannot sign: the instance would be deaf to its peers and they to it.
fn hmac(
    instance: &VrrpInstance,
    block: &Setting,
    version: Version,
    strict: bool,
    out: &mut Diagnostics,
) -> Option<HmacPolicy> {
    let name = &instance.name.value;
    let mut keys: Vec<HmacKey> = Vec::new();
    for written in block.block.iter().filter(|s| s.keyword == "key") {
        match key(written) {
            Ok(key) if keys.iter().all(|k| k.id != key.id) => keys.push(key),
            Ok(key) => {
                let title = format!("vrrp_instance {name}: the auth_hmac key {} is there already", key.id);
                out.tell(Code::Duplicate, written.span, title, "the first one counts");
            }
            Err(why) => {
                let title = format!("vrrp_instance {name}: an auth_hmac key cannot be used: {why}");
                let diagnostic = Diagnostic::new(Code::BadValue, written.span, title, "it is left out");
                out.say(
                    diagnostic.instead("key ID VALUE: 32 to 64 octets, as text, hex:DIGITS or file:PATH"),
                );
            }
        }
    }
    let active = block.block.number("active_key").and_then(|n| u8::try_from(n).ok());
    let Some(active) = active.filter(|id| keys.iter().any(|key| key.id == *id)) else {
        let title = format!("vrrp_instance {name}: auth_hmac has no usable active_key");
        let now = "the instance is not started: it and its peers would not hear each other";
        let diagnostic = Diagnostic::new(Code::BadValue, block.span, title, now);
        out.say(diagnostic.instead("active_key ID, the number of one of the keys"));
        return None;
    };
    let mode = match block.block.text("mode") {
        Some("permissive") => HmacMode::Permissive,
        Some("receive-only") => HmacMode::ReceiveOnly,
        _ => HmacMode::Enforce,
    };
    if strict && mode != HmacMode::Enforce {
        let title = format!("vrrp_instance {name}: strict mode demands `mode enforce` of auth_hmac");
        out.tell(Code::Cleared, block.span, title, "enforce is used, as in keepalived");
    }
    let interval =
        u64::from(settings::interval(instance, version, &mut Diagnostics(Vec::new())).centiseconds());
    let default = (interval * 3).div_ceil(100).clamp(SHORTEST_DEFAULT_WINDOW, LONGEST_WINDOW);
    let seconds = block.block.time("time_window").map_or(default, |window| window.as_secs());
    let window = u16::try_from(seconds).ok().filter(|_| block.block.text("anti_replay") != Some("monotonic"));
    Some(HmacPolicy { keys, active, window, mode: if strict { HmacMode::Enforce } else { mode } })
}

/// `ID VALUE`; the words of a refusal never show the value.
fn key(written: &Setting) -> Result<HmacKey, String> {
    let Value::Words(words) = &written.value else { return Err("it has no value".to_owned()) };
    let [id, value] = words.as_slice() else { return Err("it is not ID VALUE".to_owned()) };
    let id = id.parse().ok().filter(|id| *id > 0).ok_or("its number is not from 1 to 255")?;
    let secret = match value.strip_prefix("hex:") {
        Some(digits) => octets(digits).ok_or("it is not hexadecimal digits, two for an octet")?,
        None if value.starts_with("file:") => return Err("its file was not read".to_owned()),
        None => encode(value),
    };
    if !(MIN_KEY..=MAX_KEY).contains(&secret.len()) {
        return Err(format!("it has {} octets, not {MIN_KEY} to {MAX_KEY}", secret.len()));
    }
    Ok(HmacKey { id, secret })
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let digits: Vec<u8> = digits.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None }).collect()
}
