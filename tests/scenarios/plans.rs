//! Plans of routers, as directives write them.

use super::{Outcome, Words, authentication, interval, parse, routing, version};
use holdfast::net::{AddressFamily, IpCidr, Priority, VirtualRouterId};
use holdfast::plan::track::{TrackerKey, TrackerKind};
use holdfast::plan::vrrp::{
    AnnouncePolicy, Authentication, ChecksumDialect, ClaimPlan, RouterKey, RouterPlan, TrackedInterface,
    TrackedObject, Transport, Version, VirtualAddress,
};
use holdfast::time::Interval;
use std::net::IpAddr;
use std::time::Duration;

pub(super) fn router_plan(name: &str, words: &Words) -> Outcome<RouterPlan> {
    words.only(&[
        name,
        "vrid",
        "prio",
        "vips",
        "excluded",
        "iface",
        "vip_iface",
        "version",
        "interval",
        "state",
        "nopreempt",
        "preempt_delay",
        "down_timer_adverts",
        "password",
        "source",
        "group",
        "peers",
        "checksum",
        "garp_repeat",
        "garp_delay",
        "garp_refresh",
        "garp_lower",
        "garp_extra_if",
        "lower_prio_no_advert",
        "higher_prio_send_advert",
        "dont_track_primary",
        "track",
        "trackers",
        "label",
        "vip_untracked",
        "routes",
        "rules",
        "claim",
        "track_source",
        "late",
        "vmac",
    ])?;
    let vips = words.cidrs("vips")?;
    let excluded = words.cidrs("excluded")?;
    let family = vips.first().or(excluded.first()).map_or(AddressFamily::V4, |vip| vip.family());
    let default_version = if family == AddressFamily::V6 { Version::V3 } else { Version::V2 };
    let source = words.get("source")?;
    let peers: Vec<IpAddr> = words.list("peers")?;
    let repeat = words.get("garp_repeat")?.unwrap_or(1);
    let delay = words.time("garp_delay")?.unwrap_or(Duration::ZERO);
    let key = RouterKey {
        interface: words.value("iface").unwrap_or("eth0").to_owned(),
        family,
        vrid: VirtualRouterId::new(words.get("vrid")?.unwrap_or(51)).ok_or("vrid 0")?,
        among: None,
    };
    Ok(RouterPlan {
        version: words.value("version").map_or(Ok(default_version), version)?,
        priority: Priority(words.get("prio")?.unwrap_or(100)),
        interval: words.time("interval")?.map_or(Ok(Interval::ONE_SECOND), interval)?,
        preempt: !words.flag("nopreempt"),
        preempt_delay: words.time("preempt_delay")?.unwrap_or_default(),
        down_timer_adverts: words.get("down_timer_adverts")?.unwrap_or(3),
        addresses: virtual_addresses(vips, words),
        excluded_addresses: virtual_addresses(excluded, words),
        authentication: authentication(words).unwrap_or(Authentication::None),
        transport: if peers.is_empty() {
            Transport::Multicast { source, group: words.get("group")? }
        } else {
            Transport::Unicast { source, peers }
        },
        checksum: match words.value("checksum") {
            Some("message_only") => ChecksumDialect::MessageOnly,
            _ => ChecksumDialect::PseudoHeader,
        },
        announce: AnnouncePolicy {
            repeat,
            delay,
            refresh: words.time("garp_refresh")?,
            refresh_repeat: 1,
            lower_priority_repeat: words.get("garp_lower")?.unwrap_or(repeat),
            lower_priority_delay: delay,
            elsewhere: words.time("garp_extra_if")?,
            elsewhere_virtual: false,
        },
        answer_lower_priority: !words.flag("lower_prio_no_advert"),
        answer_higher_priority: words.flag("higher_prio_send_advert"),
        track_primary: !words.flag("dont_track_primary"),
        track_interfaces: items(words, "track", tracked)?,
        trackers: items(words, "trackers", tracked_object)?,
        routing: routing::items(words.value("routes"), words.value("rules"))?,
        claim: words.time("claim")?.map(|timeout| ClaimPlan { timeout }),
        track_source: words.flag("track_source"),
        listens_when_late: words.get("late")?.map(Priority),
        advert_link: words.value("vmac").map(str::to_owned),
        ..RouterPlan::new(name.to_owned(), key)
    })
}

fn virtual_addresses(cidrs: Vec<IpCidr>, words: &Words) -> Vec<VirtualAddress> {
    let address = |cidr| VirtualAddress {
        cidr,
        interface: words.value("vip_iface").or(words.value("vmac")).map(str::to_owned),
        label: words.value("label").map(str::to_owned),
        tracked: !words.flag("vip_untracked"),
        ..VirtualAddress::new(cidr)
    };
    cidrs.into_iter().map(address).collect()
}

/// `eth1`, `eth1:-20`, `eth1:10:reverse`.
pub(super) fn tracked(text: &str) -> Outcome<TrackedInterface> {
    let mut parts = text.split(':');
    let interface = parts.next().unwrap_or_default().to_owned();
    let weight = parts.next().map_or(Ok(0), parse)?;
    Ok(TrackedInterface { interface, weight, reverse: parts.next() == Some("reverse") })
}

/// `script/chk:-20`, `file/load:1:reverse`.
pub(super) fn tracked_object(text: &str) -> Outcome<TrackedObject> {
    let TrackedInterface { interface, weight, reverse } = tracked(text)?;
    Ok(TrackedObject { tracker: tracker_key(&interface)?, weight, reverse })
}

/// `script/chk`, `file/load`, `process/web`, `bfd/peer`.
pub(super) fn tracker_key(text: &str) -> Outcome<TrackerKey> {
    let (kind, name) = text.split_once('/').ok_or_else(|| format!("`{text}` needs a kind"))?;
    let kind = match kind {
        "script" => TrackerKind::Script,
        "file" => TrackerKind::File,
        "process" => TrackerKind::Process,
        "bfd" => TrackerKind::Bfd,
        other => return Err(format!("nothing is a {other}")),
    };
    Ok(TrackerKey { kind, name: name.to_owned() })
}

pub(super) fn items<T>(words: &Words, key: &str, read: fn(&str) -> Outcome<T>) -> Outcome<Vec<T>> {
    words.value(key).into_iter().flat_map(|list| list.split(',')).map(read).collect()
}
