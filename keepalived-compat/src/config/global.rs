//! `global_defs`.

use super::Context;
use super::setting::Setting;
use super::value::boolean;
use crate::keywords::{Keyword, Place};
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::net::IpAddr;
use std::time::Duration;

/// Daemon-wide settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Global {
    /// `router_id`.
    pub router_id: Option<String>,
    /// Defaults of instances; each instance copies what stands above it, as in keepalived.
    pub instance: InstanceDefaults,
    /// `lvs_flush`.
    pub lvs_flush: bool,
    /// `enable_script_security`.
    pub script_security: bool,
    /// All else, in the order of the file.
    pub others: Vec<Setting>,
}

/// Defaults of instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceDefaults {
    /// `vrrp_version`, 2 or 3.
    pub version: Option<u8>,
    /// `vrrp_garp_*`.
    pub garp: Garp,
    /// `vrrp_down_timer_adverts`, 1 to 100.
    pub down_timer_adverts: Option<u8>,
    /// `vrrp_lower_prio_no_advert`.
    pub lower_prio_no_advert: Option<bool>,
    /// `vrrp_higher_prio_send_advert`.
    pub higher_prio_send_advert: Option<bool>,
    /// `v3_checksum_as_v2`.
    pub checksum_as_v2: bool,
    /// `vrrp_mcast_group4`.
    pub group4: Option<Spanned<IpAddr>>,
    /// `vrrp_mcast_group6`.
    pub group6: Option<Spanned<IpAddr>>,
    /// `vrrp_check_unicast_src`.
    pub check_unicast_source: bool,
    /// `vrrp_owner_ignore_adverts`.
    pub owner_ignore_adverts: Option<bool>,
    /// `vrrp_strict`, and where.
    pub strict: Option<Span>,
}

/// Settings of gratuitous ARP and unsolicited neighbour advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garp {
    /// Time to the second burst.
    pub delay: Option<Duration>,
    /// Packets per burst.
    pub repeat: Option<u32>,
    /// Time between refreshes, zero for none.
    pub refresh: Option<Duration>,
    /// Packets per refresh.
    pub refresh_repeat: Option<u32>,
    /// Time to the second burst after a lower-priority advertisement.
    pub lower_prio_delay: Option<Duration>,
    /// Packets after a lower-priority advertisement.
    pub lower_prio_repeat: Option<u32>,
}

impl Garp {
    /// Reads a setting by its name without `vrrp_`; false when it is none of these.
    pub(super) fn read(&mut self, cx: &mut Context, name: &str, statement: &Statement) -> bool {
        match name {
            "garp_master_delay" => set(&mut self.delay, burst_delay(cx, statement)),
            "garp_master_repeat" => set(&mut self.repeat, at_least_one(cx, statement)),
            "garp_master_refresh" => set(&mut self.refresh, cx.whole_seconds(statement)),
            "garp_master_refresh_repeat" => set(&mut self.refresh_repeat, at_least_one(cx, statement)),
            "garp_lower_prio_delay" => set(&mut self.lower_prio_delay, burst_delay(cx, statement)),
            "garp_lower_prio_repeat" => {
                let count = cx.argument_u32(statement, 0..=u32::MAX);
                set(&mut self.lower_prio_repeat, count.map(|n| n.min(MOST_PACKETS)));
            }
            _ => return false,
        }
        true
    }
}

/// keepalived's timers end at 2^32 microseconds.
fn burst_delay(cx: &mut Context, statement: &Statement) -> Option<Duration> {
    const LONGEST: u64 = 4294;
    cx.argument(statement, 0..=LONGEST).map(Duration::from_secs)
}

/// Packets in a burst; more than a minute of nothing else helps nobody.
const MOST_PACKETS: u32 = 10_000;

/// Puts a value where there is one to put.
pub(super) fn set<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn at_least_one(cx: &mut Context, statement: &Statement) -> Option<u32> {
    let count = cx.argument_u32(statement, 0..=u32::MAX)?.min(MOST_PACKETS);
    if count == 0 {
        let title = format!("`{}` must be greater than 0", statement.keyword().text);
        cx.tell(crate::Code::Adjusted, statement.span(), title, "1 is used, as in keepalived");
    }
    Some(count.max(1))
}

/// Is it an address that packets can be multicast to?
pub(super) fn group(cx: &mut Context, statement: &Statement, v6: bool) -> Option<Spanned<IpAddr>> {
    let word = statement.arguments().first()?;
    let keyword = &statement.keyword().text;
    let address = cx.address(word, keyword)?;
    if !address.is_multicast() || address.is_ipv6() != v6 {
        let wanted = if v6 {
            "an IPv6 multicast address like ff02::12"
        } else {
            "an IPv4 multicast address like 224.0.0.18"
        };
        cx.bad(word, keyword, wanted);
        return None;
    }
    Some(Spanned::new(address, word.span))
}

impl Global {
    pub(super) fn read(&mut self, cx: &mut Context, body: &[Statement]) {
        let others =
            cx.block(Place::GlobalDefs, body, |cx, keyword, statement| self.keyword(cx, keyword, statement));
        self.others.extend(others);
    }

    fn keyword(&mut self, cx: &mut Context, keyword: &'static Keyword, statement: &Statement) {
        let defaults = &mut self.instance;
        match keyword.name {
            "router_id" => self.router_id = statement.arguments().first().map(|w| w.text.clone()),
            "vrrp_version" => set(&mut defaults.version, cx.argument(statement, 2..=3).map(|n| n as u8)),
            "v3_checksum_as_v2" => defaults.checksum_as_v2 = true,
            "vrrp_check_unicast_src" => defaults.check_unicast_source = true,
            "vrrp_owner_ignore_adverts" => set(&mut defaults.owner_ignore_adverts, cx.flag(statement)),
            "vrrp_down_timer_adverts" => {
                set(&mut defaults.down_timer_adverts, cx.argument(statement, 1..=100).map(|n| n as u8));
            }
            "vrrp_lower_prio_no_advert" => set(&mut defaults.lower_prio_no_advert, cx.flag(statement)),
            "vrrp_higher_prio_send_advert" => set(&mut defaults.higher_prio_send_advert, cx.flag(statement)),
            "vrrp_mcast_group4" => set(&mut defaults.group4, group(cx, statement, false)),
            "vrrp_mcast_group6" => set(&mut defaults.group6, group(cx, statement, true)),
            "vrrp_strict" => {
                let on = statement.arguments().first().is_none_or(|w| boolean(&w.text) != Some(false));
                defaults.strict = on.then_some(statement.keyword().span);
            }
            // The preprocessor has heeded them where they stood.
            "include_check" | "random_seed" => cx.leave(),
            "lvs_flush" => self.lvs_flush = true,
            "nftables" | "nftables_priority" | "nftables_counters" | "vmac_prefix" | "vmac_addr_prefix" => {
                self.others.extend(cx.setting(keyword, statement));
            }
            "enable_script_security" => self.script_security = true,
            name => {
                let name = name.strip_prefix("vrrp_").unwrap_or(name);
                if !defaults.garp.read(cx, name, statement) {
                    cx.leave();
                }
            }
        }
    }
}
