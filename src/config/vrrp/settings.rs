//! Single settings of an instance: each function applies keepalived's defaults and rules to one of them.

use crate::config::Diagnostics;
use crate::net::{AddressFamily, Priority};
use crate::plan::vrrp::{AnnouncePolicy, Authentication, ChecksumDialect, TrackedInterface, Version};
use crate::time::Interval;
use keepalived_compat::config::setting::{Settings as _, Value};
use keepalived_compat::config::vrrp::{AuthType, Settings, VrrpInstance};
use keepalived_compat::{Code, Diagnostic};
use std::time::Duration;

/// The written version, else 3 for IPv6, else `vrrp_version`, else 2. IPv6 always speaks 3; keepalived's version 2 over IPv6
/// is in no standard.
pub(super) fn version(instance: &VrrpInstance, family: AddressFamily, out: &mut Diagnostics) -> Version {
    let two = instance.settings.version.as_ref().filter(|v| v.value == 2 && family == AddressFamily::V6);
    if let Some(two) = two.filter(|_| !strict(instance)) {
        let title = format!("vrrp_instance {}: version 2 over IPv6 is not built", instance.name.value);
        let now = "it speaks version 3: a keepalived that speaks version 2 does not hear it, and both hold the addresses";
        let diagnostic = Diagnostic::new(Code::NotYetTraffic, two.span, title, now);
        out.say(diagnostic.instead("version 3 on all nodes"));
    }
    let written = instance.settings.version.map(|v| v.value).or(instance.defaults.version);
    if family == AddressFamily::V6 || written == Some(3) { Version::V3 } else { Version::V2 }
}

/// `strict_mode`, else `vrrp_strict`.
pub(super) fn strict(instance: &VrrpInstance) -> bool {
    instance.settings.strict.unwrap_or(instance.defaults.strict.is_some())
}

/// Says that strict mode takes a setting away.
fn not_strict(instance: &VrrpInstance, what: &str, now: &str, out: &mut Diagnostics) {
    let title = format!("vrrp_instance {}: {what} does not go with strict mode", instance.name.value);
    out.tell(Code::Cleared, instance.name.span, title, now);
}

/// What strict mode takes away without another function seeing it. `state MASTER` says nothing about the first wait
/// (everybody but the owner listens first); global settings are passed over in silence, as by keepalived.
pub(super) fn note_strict(instance: &VrrpInstance, priority: Priority, out: &mut Diagnostics) {
    if !strict(instance) {
        return;
    }
    let settings = &instance.settings;
    let garp = &settings.garp;
    let master = settings.master.is_some_and(|m| m.value) && !priority.is_owner();
    let taken = [
        (master, "state MASTER without priority 255", "it starts as BACKUP"),
        (garp.lower_prio_repeat.is_some_and(|n| n > 0), "garp_lower_prio_repeat", "0 is used"),
        (garp.lower_prio_delay.is_some_and(|d| !d.is_zero()), "garp_lower_prio_delay", "0 is used"),
        (settings.lower_prio_no_advert == Some(false), "an answer to weaker routers", "they get none"),
        (settings.higher_prio_send_advert == Some(true), "higher_prio_send_advert", "it is off"),
    ];
    for (_, what, now) in taken.iter().filter(|(applies, ..)| *applies) {
        not_strict(instance, what, &format!("{now}, as in keepalived"), out);
    }
}

/// Advertisements that may be missed: always 3 in strict mode.
pub(super) fn down_timer_adverts(instance: &VrrpInstance, out: &mut Diagnostics) -> u8 {
    const DEFAULT: u8 = 3;
    let written =
        instance.settings.down_timer_adverts.or(instance.defaults.down_timer_adverts).unwrap_or(DEFAULT);
    if strict(instance) && written != DEFAULT {
        not_strict(instance, "down_timer_adverts", "3 is used, as in keepalived", out);
        return DEFAULT;
    }
    written
}

/// Are advertisements of lower and of higher priority answered? Neither in strict mode.
pub(super) fn answers(instance: &VrrpInstance) -> (bool, bool) {
    let (settings, defaults) = (&instance.settings, &instance.defaults);
    if strict(instance) {
        return (false, false);
    }
    let silent = settings.lower_prio_no_advert.or(defaults.lower_prio_no_advert).unwrap_or(false);
    let higher = settings.higher_prio_send_advert.or(defaults.higher_prio_send_advert).unwrap_or(false);
    (!silent, higher)
}

/// keepalived refuses a version 3 instance without addresses and warns about a version 2 one.
pub(super) fn check_addresses(
    instance: &VrrpInstance,
    version: Version,
    count: usize,
    out: &mut Diagnostics,
) {
    if count > 0 || instance.settings.no_virtual_ipaddress {
        return;
    }
    let title = format!("vrrp_instance {} has no virtual address", instance.name.value);
    let diagnostic = match version {
        _ if strict(instance) => {
            let now = "the configuration is refused, as in keepalived: strict mode needs one";
            Diagnostic::new(Code::Incomplete, instance.name.span, title, now)
        }
        Version::V3 => {
            let now = "the configuration is refused, as in keepalived: version 3 needs one";
            Diagnostic::new(Code::Incomplete, instance.name.span, title, now)
        }
        Version::V2 => {
            Diagnostic::new(Code::Adjusted, instance.name.span, title, "it takes part and holds nothing")
        }
    };
    out.say(diagnostic.instead("virtual_ipaddress { ADDRESS/PREFIX }, or no_virtual_ipaddress"));
}

/// The written priority; 255 for `state MASTER` without one; else 100.
pub(super) fn priority(settings: &Settings) -> Priority {
    match settings.priority {
        Some(priority) => Priority(priority.value),
        None if settings.is_owner() => Priority::OWNER,
        None => Priority::DEFAULT,
    }
}

/// Preempt or not, and after which delay. `nopreempt` is cleared by priority 255 and by state MASTER; the delay
/// by state MASTER, by `nopreempt` and by strict mode.
pub(super) fn preemption(
    instance: &VrrpInstance,
    priority: Priority,
    out: &mut Diagnostics,
) -> (bool, Duration) {
    let settings = &instance.settings;
    let name = &instance.name.value;
    // In strict mode `state MASTER` is nothing to anybody but the owner (tried with 2.2.7).
    let master = settings.master.is_some_and(|m| m.value) && (priority.is_owner() || !strict(instance));
    let mut nopreempt = settings.nopreempt;
    if let Some(span) = nopreempt
        && (priority.is_owner() || master)
    {
        let why = if priority.is_owner() { "priority 255" } else { "state MASTER" };
        let title = format!("vrrp_instance {name}: `nopreempt` does not go with {why}");
        let diagnostic =
            Diagnostic::new(Code::Cleared, span, title, "nopreempt is cleared: the instance preempts");
        out.say(diagnostic.instead("state BACKUP on all nodes, with nopreempt"));
        nopreempt = None;
    }
    let mut delay = Duration::ZERO;
    if let Some(written) = settings.preempt_delay.filter(|d| !d.value.is_zero()) {
        let against = [
            (master, "state MASTER"),
            // An owner begins as MASTER unless `state BACKUP` is written; then its delay stays (tried with 2.2.7).
            (priority.is_owner() && settings.master.is_none(), "priority 255"),
            (nopreempt.is_some(), "nopreempt"),
            (strict(instance), "strict mode"),
        ];
        match against.into_iter().find(|(applies, _)| *applies) {
            Some((_, why)) => {
                let title = format!("vrrp_instance {name}: `preempt_delay` does not go with {why}");
                out.tell(Code::Cleared, written.span, title, "the delay is cleared");
            }
            None => delay = written.value,
        }
    }
    (nopreempt.is_none(), delay)
}

/// `timer_expired_backup`: the highest priority that another router may have. It goes with `nopreempt` only: a Master that
/// preempts would take everything back at once.
pub(super) fn listens_when_late(
    instance: &VrrpInstance,
    preempt: bool,
    out: &mut Diagnostics,
) -> Option<Priority> {
    const SHORTEST_WAIT: i64 = 254;
    let others = &instance.settings.others;
    let setting = others.find("timer_expired_backup").or_else(|| others.find("thread_timer_expired"))?;
    if preempt {
        let title =
            format!("vrrp_instance {}: `{}` goes with nopreempt", instance.name.value, setting.keyword);
        out.tell(Code::Cleared, setting.span, title, "it has no effect");
        return None;
    }
    let priority = if let Value::Number(number) = setting.value { number } else { SHORTEST_WAIT };
    u8::try_from(priority).ok().map(Priority)
}

/// Whole seconds up to 255 for version 2, hundredths up to 40.95 s for version 3; rounded when it is not.
pub(super) fn interval(instance: &VrrpInstance, version: Version, out: &mut Diagnostics) -> Interval {
    let Some(written) = instance.settings.advert_int else { return Interval::ONE_SECOND };
    let micros = written.value.as_micros();
    let (unit, most, unit_name) = match version {
        Version::V2 => (1_000_000, 255, "whole seconds up to 255"),
        Version::V3 => (10_000, 4095, "hundredths of a second up to 40.95"),
    };
    let units = ((micros + unit / 2) / unit).clamp(1, most);
    if units * unit != micros {
        let title =
            format!("vrrp_instance {}: advert_int of this version counts {unit_name}", instance.name.value);
        let used = Duration::from_micros(u64::try_from(units * unit).unwrap_or(0)).as_secs_f64();
        let now = format!("{used} s is used, as in keepalived");
        let diagnostic = Diagnostic::new(Code::Adjusted, written.span, title, now);
        out.say(diagnostic.instead("the same advert_int on all nodes; version 3 for parts of a second"));
    }
    let centiseconds = u16::try_from(units * unit / 10_000).unwrap_or(u16::MAX);
    Interval::from_centiseconds(centiseconds).unwrap_or(Interval::ONE_SECOND)
}

/// VRRPv2 authentication. `auth_hmac` takes its place, strict mode and version 3 take it away.
pub(super) fn authentication(
    instance: &VrrpInstance,
    family: AddressFamily,
    version: Version,
    out: &mut Diagnostics,
) -> Authentication {
    let name = &instance.name.value;
    let Some(auth) = &instance.settings.authentication else { return Authentication::None };
    let Some(kind) = auth.kind else { return Authentication::None };
    if instance.settings.others.find("auth_hmac").is_some() {
        let title = format!("vrrp_instance {name}: `authentication` does not go with `auth_hmac`");
        out.tell(Code::Cleared, auth.span, title, "auth_hmac is used, as in keepalived");
        return Authentication::None;
    }
    if strict(instance) {
        not_strict(instance, "authentication", "it is left out, as in keepalived", out);
        return Authentication::None;
    }
    if version == Version::V3 || family == AddressFamily::V6 {
        let title = format!("vrrp_instance {name}: version 3 has no authentication");
        out.tell(Code::Cleared, auth.span, title, "it is left out, as in keepalived");
        return Authentication::None;
    }
    let password = auth.password.as_deref().filter(|p| !p.is_empty());
    let Some(password) = password else {
        let title = format!("vrrp_instance {name}: authentication without auth_pass");
        out.tell(Code::BadValue, auth.span, title, "advertisements are not authenticated, as in keepalived");
        return Authentication::None;
    };
    let mut octets = [0; 8];
    for (octet, written) in octets.iter_mut().zip(password) {
        *octet = *written;
    }
    match kind {
        AuthType::Pass => Authentication::Password(octets),
        AuthType::Ah => Authentication::Header(octets),
    }
}

/// `v3_checksum_as_v2` matters only for version 3 over IPv4.
pub(super) fn checksum(instance: &VrrpInstance, family: AddressFamily, version: Version) -> ChecksumDialect {
    let as_v2 = instance.settings.checksum_as_v2.unwrap_or(instance.defaults.checksum_as_v2);
    if as_v2 && family == AddressFamily::V4 && version == Version::V3 {
        ChecksumDialect::MessageOnly
    } else {
        ChecksumDialect::PseudoHeader
    }
}

/// The instance's `garp_*`, else the global ones, else keepalived's defaults. Those for lower-priority
/// advertisements follow the global ordinary ones, not the instance's (seen in keepalived's dump).
pub(super) fn announce(instance: &VrrpInstance) -> AnnouncePolicy {
    let (own, all) = (&instance.settings.garp, &instance.defaults.garp);
    let base = AnnouncePolicy::default();
    let repeat = all.repeat.unwrap_or(base.repeat);
    let delay = all.delay.unwrap_or(base.delay);
    let strict = strict(instance);
    let lower_repeat = own.lower_prio_repeat.or(all.lower_prio_repeat).unwrap_or(repeat);
    let lower_delay = own.lower_prio_delay.or(all.lower_prio_delay).unwrap_or(delay);
    AnnouncePolicy {
        repeat: own.repeat.unwrap_or(repeat),
        delay: own.delay.unwrap_or(delay),
        refresh: own.refresh.or(all.refresh).filter(|d| !d.is_zero()),
        refresh_repeat: own.refresh_repeat.or(all.refresh_repeat).unwrap_or(base.refresh_repeat),
        lower_priority_repeat: if strict { 0 } else { lower_repeat },
        lower_priority_delay: if strict { Duration::ZERO } else { lower_delay },
        elsewhere: base.elsewhere,
        elsewhere_virtual: base.elsewhere_virtual,
    }
}

/// Tracked interfaces, each once; the instance's own is left out, as in keepalived.
pub(super) fn track_interfaces(
    instance: &VrrpInstance,
    own: &str,
    out: &mut Diagnostics,
) -> Vec<TrackedInterface> {
    let mut tracked: Vec<TrackedInterface> = Vec::new();
    for entry in &instance.settings.track_interfaces {
        let interface = &entry.interface.value;
        let why = if interface == own {
            "its own interface"
        } else if tracked.iter().any(|t| t.interface == *interface) {
            "an interface that is tracked already"
        } else {
            let plan = TrackedInterface {
                interface: interface.clone(),
                weight: entry.weight,
                reverse: entry.reverse,
            };
            tracked.push(plan);
            continue;
        };
        let title = format!("vrrp_instance {} tracks {interface}, {why}", instance.name.value);
        out.tell(Code::Cleared, entry.interface.span, title, "the line is left out, as in keepalived");
    }
    tracked
}
