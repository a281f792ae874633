//! `vrrp_instance`.

mod address;
pub(in crate::config) mod hmac;
pub(in crate::config) mod link;

pub use address::{Broadcast, VirtualAddress};
pub use hmac::{AntiReplay, AuthHmac, HmacKey, HmacMode, HmacSecret};
pub use link::{Ipvlan, IpvlanMode, Vmac, VmacAddress};

use super::global::{Garp, Global, InstanceDefaults, group, set};
use super::setting::{Setting, Value};
use super::{Context, value};
use crate::Code;
use crate::diagnostics::Diagnostic;
use crate::keywords::{self, Keyword, Place};
use crate::lexer::Word;
use crate::source::{Span, Spanned, encode};
use crate::tree::Statement;
use std::net::IpAddr;
use std::time::Duration;

/// What a `vrrp_instance` block says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `state`: true for MASTER.
    pub master: Option<Spanned<bool>>,
    /// `interface`.
    pub interface: Option<Spanned<String>>,
    /// `virtual_router_id`, 1 to 255.
    pub vrid: Option<Spanned<u8>>,
    /// `priority`, 1 to 255.
    pub priority: Option<Spanned<u8>>,
    /// `version`, 2 or 3.
    pub version: Option<Spanned<u8>>,
    /// Is the first address an IPv6 one? Of virtual addresses, sources and peers the one written first decides the
    /// family of the instance, and those of the other family are left out (tried with keepalived 2.2.7).
    pub ipv6: Option<bool>,
    /// `native_ipv6`: an IPv6 instance even without addresses.
    pub native_ipv6: bool,
    /// `advert_int`, 10 ms to 255 s.
    pub advert_int: Option<Spanned<Duration>>,
    /// `virtual_ipaddress`.
    pub addresses: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded`.
    pub excluded: Vec<VirtualAddress>,
    /// `no_virtual_ipaddress`.
    pub no_virtual_ipaddress: bool,
    /// `unicast_peer` stands there, maybe without peers.
    pub unicast: Option<Span>,
    /// The peers.
    pub unicast_peers: Vec<Spanned<IpAddr>>,
    /// Options of peers: the address is the value.
    pub peer_options: Vec<Setting>,
    /// `unicast_src_ip`.
    pub unicast_source: Option<Spanned<IpAddr>>,
    /// `mcast_src_ip`.
    pub mcast_source: Option<Spanned<IpAddr>>,
    /// `mcast_dst_ip`.
    pub mcast_group: Option<Spanned<IpAddr>>,
    /// Does a `unicast_peer` block have lines, usable or not?
    pub peers_written: bool,
    /// `dont_track_primary`.
    pub dont_track_primary: bool,
    /// `track_interface`.
    pub track_interfaces: Vec<TrackedInterface>,
    /// `nopreempt`, unless a later `preempt` took it back.
    pub nopreempt: Option<Span>,
    /// `preempt_delay`, at most 1000 s.
    pub preempt_delay: Option<Spanned<Duration>>,
    /// `garp_*`.
    pub garp: Garp,
    /// `down_timer_adverts`, 1 to 100.
    pub down_timer_adverts: Option<u8>,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: Option<bool>,
    /// `higher_prio_send_advert`.
    pub higher_prio_send_advert: Option<bool>,
    /// `v3_checksum_as_v2`.
    pub checksum_as_v2: Option<bool>,
    /// `authentication`.
    pub authentication: Option<Authentication>,
    /// `strict_mode`.
    pub strict: Option<bool>,
    /// All else, in the order of the file.
    pub others: Vec<Setting>,
}

/// A `vrrp_instance` with the defaults that stood above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpInstance {
    /// Its name.
    pub name: Spanned<String>,
    /// Defaults as `global_defs` gave them up to here.
    pub defaults: InstanceDefaults,
    /// What the block says.
    pub settings: Settings,
}

/// `authentication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Where the block begins.
    pub span: Span,
    /// `auth_type`.
    pub kind: Option<AuthType>,
    /// `auth_pass`, at most eight octets.
    pub password: Option<Vec<u8>>,
}

/// `auth_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// A password in clear.
    Pass,
    /// IPsec AH.
    Ah,
}

/// A line of `track_interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedInterface {
    /// The interface.
    pub interface: Spanned<String>,
    /// -253 to 253; 0 means fault.
    pub weight: i16,
    /// Up and down change places.
    pub reverse: bool,
}

/// Octets of a VRRPv2 password on the wire.
const PASSWORD_OCTETS: usize = 8;

/// Letters in an interface name (IFNAMSIZ - 1).
const INTERFACE_NAME: usize = 15;

impl VrrpInstance {
    pub(super) fn read(
        cx: &mut Context,
        name: Spanned<String>,
        global: &Global,
        body: &[Statement],
    ) -> VrrpInstance {
        let mut instance =
            VrrpInstance { name, defaults: global.instance.clone(), settings: Settings::default() };
        let settings = &mut instance.settings;
        let others = cx.block(Place::VrrpInstance, body, |cx, keyword, s| settings.keyword(cx, keyword, s));
        instance.settings.others.extend(others);
        instance
    }
}

impl Settings {
    /// Does the instance own its addresses: priority 255, or `state MASTER` without one?
    pub fn is_owner(&self) -> bool {
        match self.priority {
            Some(priority) => priority.value == u8::MAX,
            None => self.master.is_some_and(|master| master.value),
        }
    }

    fn keyword(&mut self, cx: &mut Context, keyword: &'static Keyword, statement: &Statement) {
        let span = statement.span();
        let byte = |n: u64| u8::try_from(n).ok();
        match keyword.name {
            "state" => {
                let master = state(cx, statement);
                let is = |state: Option<&Spanned<bool>>, master| state.is_some_and(|s| s.value == master);
                if is(self.master.as_ref(), true) && is(master.as_ref(), false) {
                    let now = "MASTER, which stands here already, counts, as in keepalived";
                    cx.tell(Code::Duplicate, span, "the instance has another `state`", now);
                } else {
                    self.master = master;
                }
            }
            "interface" => set(&mut self.interface, interface(cx, statement)),
            "virtual_router_id" => {
                let vrid = cx.argument(statement, 1..=255).and_then(byte);
                self.vrid = vrid.map(|n| Spanned::new(n, span));
            }
            "priority" => {
                // A priority that cannot be read is 100, not "none written": that would be 255 with state MASTER.
                let priority = byte(cx.argument_or(statement, 1..=255, 100)).unwrap_or(100);
                self.priority = Some(Spanned::new(priority, span));
            }
            "version" => {
                let version = cx.argument(statement, 2..=3).and_then(byte);
                match (&self.version, version) {
                    (Some(first), Some(other)) if first.value != other => {
                        let title = format!("the instance has `version {}` already", first.value);
                        cx.tell(Code::Duplicate, span, title, "the first one counts, as in keepalived");
                    }
                    _ => set(&mut self.version, version.map(|n| Spanned::new(n, span))),
                }
            }
            "native_ipv6" => {
                let title = "`native_ipv6` is deprecated";
                cx.tell(Code::Deprecated, span, title, "the instance is an IPv6 one, version 3");
                self.native_ipv6 = true;
            }
            "advert_int" => {
                let range = Duration::from_millis(10)..=Duration::from_secs(255);
                set(&mut self.advert_int, cx.seconds(statement, range).map(|d| Spanned::new(d, span)));
            }
            "virtual_ipaddress" => {
                address::read(cx, Place::VirtualAddress, statement.body(), &mut self.addresses)
            }
            "virtual_ipaddress_excluded" => {
                address::read(cx, Place::ExcludedAddress, statement.body(), &mut self.excluded);
            }
            "no_virtual_ipaddress" => self.no_virtual_ipaddress = true,
            "accept"
            | "no_accept"
            | "promote_secondaries"
            | "use_vmac"
            | "use_vmac_addr"
            | "vmac_xmit_base"
            | "use_ipvlan" => self.others.extend(cx.setting(keyword, statement)),
            "unicast_peer" => {
                self.unicast = Some(statement.keyword().span);
                self.peers_written |= !statement.body().is_empty();
                let options = unicast_peers(cx, statement.body(), &mut self.unicast_peers);
                self.peer_options.extend(options);
            }
            "unicast_src_ip" => self.unicast_source = source(cx, statement),
            "mcast_src_ip" => self.mcast_source = source(cx, statement),
            "mcast_dst_ip" => {
                let v6 = statement.arguments().first().is_some_and(|w| w.text.contains(':'));
                set(&mut self.mcast_group, group(cx, statement, v6));
            }
            "dont_track_primary" => self.dont_track_primary = true,
            "track_interface" => track_interfaces(cx, statement.body(), &mut self.track_interfaces),
            "nopreempt" => self.nopreempt = Some(span),
            "preempt" => self.nopreempt = None,
            "preempt_delay" => {
                let range = Duration::ZERO..=Duration::from_secs(1000);
                set(&mut self.preempt_delay, cx.seconds(statement, range).map(|d| Spanned::new(d, span)));
            }
            "down_timer_adverts" => {
                set(&mut self.down_timer_adverts, cx.argument(statement, 1..=100).and_then(byte));
            }
            "lower_prio_no_advert" => set(&mut self.lower_prio_no_advert, cx.flag(statement)),
            "higher_prio_send_advert" => set(&mut self.higher_prio_send_advert, cx.flag(statement)),
            "strict_mode" => set(&mut self.strict, cx.flag(statement)),
            "v3_checksum_as_v2" => set(&mut self.checksum_as_v2, cx.flag(statement)),
            "authentication" => self.authentication = Some(authentication(cx, statement)),
            name => {
                if !self.garp.read(cx, name, statement) {
                    cx.leave();
                }
            }
        }
        self.ipv6 = self.ipv6.or_else(|| self.any_address().map(|address| address.is_ipv6()));
    }

    fn any_address(&self) -> Option<IpAddr> {
        let source = self.unicast_source.or(self.mcast_source).or(self.unicast_peers.first().copied());
        self.addresses.first().map(|a| a.address).or(source.map(|s| s.value))
    }
}

fn state(cx: &mut Context, statement: &Statement) -> Option<Spanned<bool>> {
    let word = statement.arguments().first()?;
    if !matches!(word.text.as_str(), "MASTER" | "BACKUP") {
        let title = format!("unknown state `{}`", value::shortened(&word.text));
        let diagnostic =
            Diagnostic::new(Code::BadValue, word.span, title, "BACKUP is used, as in keepalived");
        cx.say(diagnostic.instead("state MASTER or state BACKUP"));
    }
    Some(Spanned::new(word.text == "MASTER", statement.span()))
}

fn interface(cx: &mut Context, statement: &Statement) -> Option<Spanned<String>> {
    let word = statement.arguments().first()?;
    if word.text == "lo" {
        cx.bad(word, "interface", "an interface that other routers are reached through");
        return None;
    }
    interface_name(cx, word, "interface")
}

/// Would the kernel take this name?
pub(in crate::config) fn is_interface_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= INTERFACE_NAME && !name.contains('/')
}

/// An interface name that the kernel would take.
pub(super) fn interface_name(cx: &mut Context, word: &Word, keyword: &str) -> Option<Spanned<String>> {
    if !is_interface_name(&word.text) {
        cx.bad(word, keyword, "an interface name of at most 15 letters");
        return None;
    }
    Some(Spanned::new(word.text.clone(), word.span))
}

fn source(cx: &mut Context, statement: &Statement) -> Option<Spanned<IpAddr>> {
    if let Some(address) = statement.arguments().first().and_then(|word| without_prefix(cx, word)) {
        return Some(Spanned::new(address, statement.span()));
    }
    cx.argument_address(statement).map(|a| Spanned::new(a, statement.span()))
}

/// An address with a prefix length where one has no meaning: keepalived takes the address and says nothing.
fn without_prefix(cx: &mut Context, word: &Word) -> Option<IpAddr> {
    let (address, prefix) = word.text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let title = format!("`/{prefix}` has no meaning here");
    let now = format!("{address} is used, as in keepalived");
    cx.say(Diagnostic::new(Code::NoEffect, word.span, title, now).instead(address.to_string()));
    Some(address)
}

/// Adds the peers; what their options say comes back.
fn unicast_peers(cx: &mut Context, body: &[Statement], peers: &mut Vec<Spanned<IpAddr>>) -> Vec<Setting> {
    let mut options = Vec::new();
    for line in body {
        let word = line.keyword();
        let Some(address) = word.text.parse().ok().or_else(|| without_prefix(cx, word)) else {
            let wanted = "an address like 192.0.2.1 or 2001:db8::1";
            cx.bad_so(word, "unicast_peer", wanted, "the peer is left out: it hears nothing from here");
            continue;
        };
        if let Some(first) = peers.iter().find(|p| p.value == address) {
            let title = format!("the peer {address} is listed twice");
            let diagnostic = Diagnostic::new(Code::Duplicate, word.span, title, "it is used once");
            cx.say(diagnostic.related(first.span, "first listed here"));
            continue;
        }
        for option in line.arguments().iter().step_by(2) {
            cx.option(Place::UnicastPeer, option);
        }
        let block = super::line::options(cx, Place::UnicastPeer, line.arguments());
        if !block.is_empty() {
            options.push(Setting { keyword: "", span: line.span(), value: Value::Address(address), block });
        }
        peers.push(Spanned::new(address, word.span));
    }
    options
}

fn track_interfaces(cx: &mut Context, body: &[Statement], tracked: &mut Vec<TrackedInterface>) {
    for line in body {
        let Some(interface) = interface_name(cx, line.keyword(), "track_interface") else { continue };
        if !super::line::weighed(cx, Place::TrackInterface, line) {
            continue;
        }
        let mut entry = TrackedInterface { interface, weight: 0, reverse: false };
        let mut words = line.arguments().iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "weight" => {
                    let Some(number) = words.next() else {
                        cx.tell(Code::BadValue, word.span, "`weight` lacks a word", "it is left out");
                        break;
                    };
                    let weight = cx.signed(number, "weight", -254..=254).unwrap_or(0);
                    if weight.abs() == 254 {
                        cx.tell(
                            Code::Adjusted,
                            number.span,
                            "a weight is at most 253",
                            "253 is used, as in keepalived",
                        );
                    }
                    entry.weight = i16::try_from(weight.clamp(-253, 253)).unwrap_or(0);
                }
                "reverse" => entry.reverse = true,
                _ => cx.unknown_option(Place::TrackInterface, word),
            }
        }
        tracked.push(entry);
    }
}

fn authentication(cx: &mut Context, statement: &Statement) -> Authentication {
    let mut auth = Authentication { span: statement.keyword().span, kind: None, password: None };
    cx.block(Place::Authentication, statement.body(), |cx, keyword, line| {
        let Some(word) = line.arguments().first() else { return };
        match keyword.name {
            "auth_type" => {
                auth.kind = match word.text.as_str() {
                    "PASS" => Some(AuthType::Pass),
                    "AH" => Some(AuthType::Ah),
                    _ => {
                        cx.bad(word, "auth_type", "auth_type PASS");
                        None
                    }
                }
            }
            "auth_pass" => {
                let mut password = encode(&word.text);
                if password.len() > PASSWORD_OCTETS {
                    let title = "`auth_pass` is longer than 8 octets";
                    cx.tell(Code::Adjusted, word.span, title, "the first 8 are used, as in keepalived");
                }
                password.truncate(PASSWORD_OCTETS);
                auth.password = Some(password);
            }
            _ => cx.leave(),
        }
    });
    auth
}

/// Is the option of an address line known, and how many words follow it?
pub(super) fn option_words(place: Place, name: &str) -> Option<usize> {
    keywords::find(place, name).map(|k| k.words)
}
