//! Which values are written out, under which keyword, in which words.

use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::check::{CheckKind, CheckerPlan};
use crate::plan::lvs::{RealServer, ServiceKey, VirtualServer};
use crate::plan::vrrp::{ChecksumDialect, RouterPlan, Version};
use std::time::Duration;

/// A keyword whose value a plan knows.
pub(super) struct Setting<T> {
    /// The keyword and its aliases.
    pub names: &'static [&'static str],
    /// Is a written line left as it is? Where the plan does not hold all that it says.
    pub as_written: bool,
    /// Keyword and value; `None` where the keyword does not apply.
    pub value: fn(&T) -> Option<Vec<String>>,
}

const fn setting<T>(names: &'static [&'static str], value: fn(&T) -> Option<Vec<String>>) -> Setting<T> {
    Setting { names, as_written: false, value }
}

const fn as_written<T>(names: &'static [&'static str], value: fn(&T) -> Option<Vec<String>>) -> Setting<T> {
    Setting { names, as_written: true, value }
}

/// Of `vrrp_instance`.
pub(super) const INSTANCE: &[Setting<RouterPlan>] = &[
    setting(&["version"], |r| words("version", if r.version == Version::V2 { "2" } else { "3" })),
    setting(&["priority"], |r| words("priority", r.priority)),
    setting(&["advert_int"], |r| words("advert_int", seconds(r.interval.duration()))),
    setting(&["down_timer_adverts"], |r| words("down_timer_adverts", r.down_timer_adverts)),
    setting(&["preempt", "nopreempt"], |r| {
        Some(vec![if r.preempt { "preempt" } else { "nopreempt" }.to_owned()])
    }),
    setting(&["preempt_delay"], |r| words("preempt_delay", seconds(r.preempt_delay))),
    setting(&["garp_master_delay"], |r| words("garp_master_delay", seconds(r.announce.delay))),
    setting(&["garp_master_repeat"], |r| words("garp_master_repeat", r.announce.repeat)),
    setting(&["garp_master_refresh"], |r| {
        words("garp_master_refresh", seconds(r.announce.refresh.unwrap_or_default()))
    }),
    setting(&["garp_master_refresh_repeat"], |r| {
        words("garp_master_refresh_repeat", r.announce.refresh_repeat)
    }),
    setting(&["garp_lower_prio_delay"], |r| {
        words("garp_lower_prio_delay", seconds(r.announce.lower_priority_delay))
    }),
    setting(&["garp_lower_prio_repeat"], |r| {
        words("garp_lower_prio_repeat", r.announce.lower_priority_repeat)
    }),
    setting(&["lower_prio_no_advert"], |r| words("lower_prio_no_advert", flag(!r.answer_lower_priority))),
    setting(&["higher_prio_send_advert"], |r| {
        words("higher_prio_send_advert", flag(r.answer_higher_priority))
    }),
    setting(&["v3_checksum_as_v2"], |r| {
        let applies = r.version == Version::V3 && r.key.family == AddressFamily::V4;
        words("v3_checksum_as_v2", flag(r.checksum == ChecksumDialect::MessageOnly)).filter(|_| applies)
    }),
];

/// Of `virtual_server`.
pub(super) const VIRTUAL_SERVER: &[Setting<VirtualServer>] = &[
    // Its flags are lines of their own that must follow it.
    as_written(&["lvs_sched", "lb_algo"], |v| words("lvs_sched", &v.scheduler)),
    // keepalived's default; a plan knows only what it makes of each server.
    as_written(&["lvs_method", "lb_kind"], |_| words("lvs_method", "NAT")),
    as_written(&["protocol"], |v| {
        v.keys.iter().find_map(|key| match key {
            ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, .. } => words("protocol", "TCP"),
            ServiceKey::Endpoint { protocol: TransportProtocol::Udp, .. } => words("protocol", "UDP"),
            ServiceKey::Endpoint { protocol: TransportProtocol::Sctp, .. } => words("protocol", "SCTP"),
            ServiceKey::FwMark { .. } => None,
        })
    }),
    setting(&["quorum"], |v| words("quorum", v.quorum)),
    setting(&["hysteresis"], |v| words("hysteresis", v.hysteresis)),
];

/// Of `real_server`.
pub(super) const REAL_SERVER: &[Setting<RealServer>] = &[setting(&["weight"], |r| words("weight", r.weight))];

/// Blocks of checks.
pub(super) const CHECKER_BLOCKS: &[&str] = &[
    "TCP_CHECK",
    "PING_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "UDP_CHECK",
    "SMTP_CHECK",
    "DNS_CHECK",
    "MISC_CHECK",
    "BFD_CHECK",
    "FILE_CHECK",
];

/// Of the checks that are in plans.
pub(super) const CHECKERS: &[Setting<CheckerPlan>] = &[
    setting(&["delay_loop"], |c| asks(c).and_then(|()| words("delay_loop", seconds(c.schedule.delay_loop)))),
    setting(&["connect_timeout"], |c| {
        // A program connects to nothing of ours.
        let connects = !matches!(c.kind, CheckKind::Misc(_));
        asks(c)
            .filter(|()| connects)
            .and_then(|()| words("connect_timeout", seconds(c.schedule.connect_timeout)))
    }),
    setting(&["retry", "nb_get_retry"], |c| asks(c).and_then(|()| words("retry", c.schedule.retry))),
    setting(&["delay_before_retry"], |c| {
        asks(c).and_then(|()| words("delay_before_retry", seconds(c.schedule.delay_before_retry)))
    }),
    setting(&["warmup"], |c| asks(c).and_then(|()| words("warmup", seconds(c.schedule.warmup)))),
];

/// Nothing for a check that listens to a file or a BFD session: it has no schedule.
fn asks(checker: &CheckerPlan) -> Option<()> {
    checker.kind.tracker().is_none().then_some(())
}

fn words(keyword: &str, value: impl ToString) -> Option<Vec<String>> {
    Some(vec![keyword.to_owned(), value.to_string()])
}

fn flag(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Seconds with at most six places: `1`, `0.25`.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:06}", duration.as_secs(), duration.subsec_micros());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_only_the_places_they_need() {
        let texts = [0, 250, 1000, 60_000].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(texts, ["0", "0.25", "1", "60"]);
    }
}
