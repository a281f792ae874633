//! `use_vmac` and `use_ipvlan`: the interface that an instance is to make for itself.

use super::super::Context;
use super::super::setting::{Settings as _, Value};
use super::super::value::shortened;
use crate::keywords::Keyword;
use crate::lexer::Word;
use crate::{Code, Diagnostic};
use std::net::IpAddr;

/// `use_vmac [[name] IFNAME] [MAC] [netlink_notify_msg] [group G]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vmac {
    /// Name of the macvlan; keepalived's is `vrrp.VRID` (or with the family behind it) when none is written.
    pub name: Option<String>,
    /// MAC address; the virtual one of the protocol when none is written.
    pub mac: Option<VmacAddress>,
    /// `netlink_notify_msg`: a message about the parent is forced after the macvlan is made.
    pub notify: bool,
    /// `group`: a link group's name or number; the parent's when none is written.
    pub group: Option<String>,
}

/// A written MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmacAddress {
    /// Without its last octet, which is the VRID.
    Prefix([u8; 5]),
    /// As it is used.
    Whole([u8; 6]),
}

impl VmacAddress {
    /// The six octets of an instance with this VRID.
    pub fn octets(self, vrid: u8) -> [u8; 6] {
        match self {
            VmacAddress::Prefix([a, b, c, d, e]) => [a, b, c, d, e, vrid],
            VmacAddress::Whole(octets) => octets,
        }
    }
}

/// `use_ipvlan [[name] IFNAME] [ADDR] [bridge|private|vepa] [group G]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipvlan {
    /// Name of the ipvlan; made from the VRID when none is written.
    pub name: Option<String>,
    /// Address and prefix length; an IPv4 instance cannot do without one.
    pub address: Option<(IpAddr, Option<u8>)>,
    /// How the ipvlans of a parent reach each other.
    pub mode: IpvlanMode,
    /// `group`: a link group's name or number; the parent's when none is written.
    pub group: Option<String>,
}

/// Flags of an ipvlan of layer 2, as in ip-link(8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpvlanMode {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through a switch outside.
    Vepa,
}

impl super::Settings {
    /// `use_vmac`.
    pub fn vmac(&self) -> Option<&Vmac> {
        match &self.others.find("use_vmac")?.value {
            Value::Vmac(vmac) => Some(vmac),
            _ => None,
        }
    }

    /// `use_ipvlan`.
    pub fn ipvlan(&self) -> Option<&Ipvlan> {
        match &self.others.find("use_ipvlan")?.value {
            Value::Ipvlan(ipvlan) => Some(ipvlan),
            _ => None,
        }
    }

    /// The name that `use_vmac` or `use_ipvlan` gives to the interface of the instance.
    pub fn virtual_link_name(&self) -> Option<&str> {
        self.vmac().and_then(|v| v.name.as_deref()).or(self.ipvlan().and_then(|v| v.name.as_deref()))
    }
}

/// The words after `use_vmac`; what is wrong with one is said, and the word left out.
pub(in crate::config) fn vmac(cx: &mut Context, keyword: &Keyword, words: &[Word]) -> Vmac {
    let mut vmac = Vmac::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "netlink_notify_msg" => vmac.notify = true,
            "group" => group(cx, keyword, word, words.next(), &mut vmac.group),
            "name" => name(cx, keyword, words.next().unwrap_or(word), &mut vmac.name),
            text if text.contains(':') => match mac(text) {
                Some(address) if vmac.mac.is_none() => vmac.mac = Some(address),
                Some(_) => again(cx, word, "the MAC address"),
                None => wrong(cx, keyword, word, "a MAC address of five or six octets, like 02:00:5e:00:01"),
            },
            _ => name(cx, keyword, word, &mut vmac.name),
        }
    }
    vmac
}

/// The words after `use_ipvlan`, in the same way.
pub(in crate::config) fn ipvlan(cx: &mut Context, keyword: &Keyword, words: &[Word]) -> Ipvlan {
    let mut ipvlan = Ipvlan::default();
    let mut mode = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let flag = match word.text.as_str() {
            "bridge" => Some(IpvlanMode::Bridge),
            "private" => Some(IpvlanMode::Private),
            "vepa" => Some(IpvlanMode::Vepa),
            _ => None,
        };
        match (word.text.as_str(), flag) {
            (_, Some(_)) if mode.is_some() => again(cx, word, "the mode"),
            (_, Some(flag)) => mode = Some(flag),
            ("group", _) => group(cx, keyword, word, words.next(), &mut ipvlan.group),
            ("name", _) => name(cx, keyword, words.next().unwrap_or(word), &mut ipvlan.name),
            (text, _) => match text.split('/').next().map(str::parse::<IpAddr>) {
                Some(Ok(_)) if ipvlan.address.is_some() => again(cx, word, "the address"),
                Some(Ok(_)) => ipvlan.address = cx.cidr(word, keyword.name),
                _ => name(cx, keyword, word, &mut ipvlan.name),
            },
        }
    }
    ipvlan.mode = mode.unwrap_or_default();
    ipvlan
}

fn name(cx: &mut Context, keyword: &Keyword, word: &Word, name: &mut Option<String>) {
    let text = &word.text;
    if name.is_some() {
        again(cx, word, "the name of the interface");
    } else if !super::is_interface_name(text) || text == "name" {
        wrong(cx, keyword, word, "an interface name of at most 15 letters");
    } else {
        *name = Some(text.clone());
    }
}

fn group(cx: &mut Context, keyword: &Keyword, head: &Word, word: Option<&Word>, group: &mut Option<String>) {
    match word {
        Some(word) => *group = Some(word.text.clone()),
        None => wrong(cx, keyword, head, "group followed by a link group's name or number"),
    }
}

fn again(cx: &mut Context, word: &Word, what: &str) {
    let title = format!("`{}`: {what} is written already", shortened(&word.text));
    cx.tell(Code::BadValue, word.span, title, "the word is left out, as in keepalived");
}

fn wrong(cx: &mut Context, keyword: &Keyword, word: &Word, wanted: &str) {
    let title = format!("`{}` is not valid for `{}`", shortened(&word.text), keyword.name);
    let now = "the word is left out, as in keepalived";
    cx.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(wanted));
}

/// Five or six octets in hexadecimal with colons between them.
fn mac(text: &str) -> Option<VmacAddress> {
    let octet = |o: &str| {
        u8::from_str_radix(o, 16).ok().filter(|_| (1..=2).contains(&o.len()) && !o.starts_with('+'))
    };
    let octets: Vec<u8> = text.split(':').map(octet).collect::<Option<_>>()?;
    match octets.len() {
        5 => octets.try_into().ok().map(VmacAddress::Prefix),
        6 => octets.try_into().ok().map(VmacAddress::Whole),
        _ => None,
    }
}
