//! Where an instance's advertisements go, whose it believes, and how they are signed.

use super::settings;
use crate::config::Diagnostics;
use crate::net::AddressFamily;
use crate::plan::vrrp::{
    HmacKey, HmacMode, HmacPolicy, OldChecksum, PeerLimits, Transport, Unfit, Version, WirePolicy,
};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::config::vrrp as conf;
use keepalived_compat::config::vrrp::{AntiReplay, AuthHmac, HmacSecret, VrrpInstance};
use keepalived_compat::{Code, Spanned};
use std::net::IpAddr;

/// `time_window` unless three intervals are more.
const SHORTEST_DEFAULT_WINDOW: u64 = 5;
/// Longest `time_window`.
const LONGEST_WINDOW: u64 = 300;
/// Hop limit of unicast IPv6 advertisements without `unicast_ttl`: keepalived leaves it to the kernel.
const KERNEL_HOP_LIMIT: u8 = 64;

/// Multicast or peers; also multicast where peers are lacking and the instance stays in FAULT (said), see [`lacks_peers`].
pub(super) fn transport(instance: &VrrpInstance, family: AddressFamily, out: &mut Diagnostics) -> Transport {
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
        return Transport::Unicast { source, peers };
    }
    let unicast = unicast_without_peer(instance);
    let title = || format!("vrrp_instance {name} has a unicast keyword but no peer");
    match (lacks_peers(instance), unicast) {
        (Some(Unfit::NoUsablePeer), span) => {
            let title = format!("vrrp_instance {name}: no line of its unicast_peer can be used");
            let now = "it stays in FAULT: by multicast its peers would not hear it, and both would hold the addresses";
            out.tell(Code::BadValue, span.unwrap_or(instance.name.span), title, now);
        }
        (Some(_), Some(span)) => {
            let now = "it stays in FAULT, as in keepalived (unicast_fault_no_peer)";
            out.tell(Code::Adjusted, span, title(), now);
        }
        (None, Some(span)) => {
            out.tell(Code::Deprecated, span, title(), "it speaks multicast, as in keepalived");
        }
        (_, None) => {}
    }
    let default = match family {
        AddressFamily::V4 => instance.defaults.group4,
        AddressFamily::V6 => instance.defaults.group6,
    };
    let group = group.or(default).map(|g| g.value);
    Transport::Multicast { source, group: group.filter(|g| *g != family.vrrp_group()) }
}

/// Why an instance without a peer that can be used is not to speak multicast.
fn lacks_peers(instance: &VrrpInstance) -> Option<Unfit> {
    let settings = &instance.settings;
    match settings.others.find("unicast_fault_no_peer") {
        Some(_) => Some(Unfit::NoPeer),
        None => settings.peers_written.then_some(Unfit::NoUsablePeer),
    }
}

/// Where a unicast keyword stands.
fn unicast_without_peer(instance: &VrrpInstance) -> Option<keepalived_compat::Span> {
    let settings = &instance.settings;
    let flag = settings.others.find("unicast_fault_no_peer").map(|s| s.span);
    settings.unicast.or(settings.unicast_source.map(|s| s.span)).or(flag)
}

/// All else about the wire.
pub(super) fn wire_policy(
    instance: &VrrpInstance,
    family: AddressFamily,
    version: Version,
    transport: &Transport,
    out: &mut Diagnostics,
) -> WirePolicy {
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
    let written = settings.hmac();
    let hmac = written.as_ref().and_then(|written| hmac(instance, written, version, strict, out));
    let silent = (written.is_some() && hmac.is_none()).then_some(Unfit::NoKey);
    WirePolicy {
        unicast_hop_limit: hop_limit(instance, family, unicast, out),
        check_source: unicast
            && (settings.others.find("check_unicast_src").is_some() || defaults.check_unicast_source),
        peer_limits: if unicast { peer_limits(&settings.peer_options) } else { Vec::new() },
        old_checksum,
        owner_ignores: owner_ignores && owner,
        unfit: silent.or(lacks_peers(instance).filter(|_| !unicast)),
        hmac,
    }
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

/// `auth_hmac`; `None` (said by whoever read the block or the key's file) when it cannot sign: the instance would be
/// deaf to its peers and they to it, and stays in FAULT.
fn hmac(
    instance: &VrrpInstance,
    written: &AuthHmac,
    version: Version,
    strict: bool,
    out: &mut Diagnostics,
) -> Option<HmacPolicy> {
    let octets = |key: &conf::HmacKey| match &key.secret {
        HmacSecret::Octets(secret) => Some(HmacKey { id: key.id, secret: secret.clone() }),
        HmacSecret::File(_) => None,
    };
    let keys: Vec<HmacKey> = written.keys.iter().filter_map(octets).collect();
    let active = written.active_key()?.id;
    if keys.iter().all(|key| key.id != active) {
        return None;
    }
    let mode = match written.mode {
        conf::HmacMode::Enforce => HmacMode::Enforce,
        conf::HmacMode::Permissive => HmacMode::Permissive,
        conf::HmacMode::ReceiveOnly => HmacMode::ReceiveOnly,
    };
    if strict && mode != HmacMode::Enforce {
        let title =
            format!("vrrp_instance {}: strict mode demands `mode enforce` of auth_hmac", instance.name.value);
        out.tell(Code::Cleared, instance.name.span, title, "enforce is used, as in keepalived");
    }
    let interval = settings::interval(instance, version, &mut Diagnostics(Vec::new()));
    let intervals = (u64::from(interval.centiseconds()) * 3).div_ceil(100);
    let default = intervals.clamp(SHORTEST_DEFAULT_WINDOW, LONGEST_WINDOW);
    let seconds = written.window.map_or(default, |window| window.as_secs());
    let window = u16::try_from(seconds).ok().filter(|_| written.anti_replay == AntiReplay::Time);
    Some(HmacPolicy { keys, active, window, mode: if strict { HmacMode::Enforce } else { mode } })
}

#[cfg(test)]
mod tests;
