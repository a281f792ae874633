//! Lines of `virtual_ipaddress`: `ADDR[/PREFIX] [dev IF] [scope S] [brd B] [label L] ...`.

use crate::Code;
use crate::config::Context;
use crate::config::setting::{Setting, Settings as _, Value};
use crate::config::value::shortened;
use crate::diagnostics::Diagnostic;
use crate::keywords::{self, Place};
use crate::lexer::Word;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::net::{IpAddr, Ipv4Addr};

/// A virtual address as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// Where the line stands.
    pub span: Span,
    /// The address.
    pub address: IpAddr,
    /// Prefix length, when written.
    pub prefix: Option<u8>,
    /// `dev`.
    pub interface: Option<Spanned<String>>,
    /// `label`, IPv4 only, at most 15 letters.
    pub label: Option<String>,
    /// `scope` as the kernel counts: 0 global, 200 site, 253 link, 254 host, 255 nowhere. IPv4 only.
    pub scope: Option<u8>,
    /// `broadcast`, IPv4 only.
    pub broadcast: Option<Broadcast>,
    /// All other options.
    pub others: Vec<Setting>,
}

/// `broadcast ADDR`, `+` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// This address.
    Address(Ipv4Addr),
    /// All host bits set.
    Ones,
    /// All host bits clear.
    Zeros,
}

impl std::fmt::Display for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broadcast::Address(address) => address.fmt(f),
            Broadcast::Ones => f.write_str("+"),
            Broadcast::Zeros => f.write_str("-"),
        }
    }
}

/// Reads the lines of a block into `addresses`.
pub(super) fn read(cx: &mut Context, place: Place, body: &[Statement], addresses: &mut Vec<VirtualAddress>) {
    addresses.extend(body.iter().filter_map(|line| VirtualAddress::read(cx, place, line)));
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::ExcludedAddress => "virtual_ipaddress_excluded",
        Place::StaticAddress => "static_ipaddress",
        _ => "virtual_ipaddress",
    }
}

impl VirtualAddress {
    /// Reads a line; `None` (said) when keepalived leaves the address out.
    pub(in crate::config) fn read(
        cx: &mut Context,
        place: Place,
        line: &Statement,
    ) -> Option<VirtualAddress> {
        let (address, prefix) = cx.cidr(line.keyword(), place_name(place))?;
        let mut entry = VirtualAddress {
            span: line.span(),
            address,
            prefix,
            interface: None,
            label: None,
            scope: None,
            broadcast: None,
            others: Vec::new(),
        };
        entry.options(cx, place, line.arguments()).then_some(entry)
    }

    /// As a line of a list, with `dev` and the like among its options.
    pub(in crate::config) fn into_setting(self) -> Setting {
        let option = |keyword, value| Setting { keyword, span: self.span, value, block: Vec::new() };
        let mut block = Vec::new();
        block.extend(self.interface.map(|i| option("dev", Value::Text(i.value))));
        block.extend(self.label.map(|l| option("label", Value::Text(l))));
        block.extend(self.scope.map(|s| option("scope", Value::Number(i64::from(s)))));
        block.extend(self.broadcast.map(|b| option("broadcast", Value::Text(b.to_string()))));
        block.extend(self.others);
        let value = Value::Prefix(Some((self.address, self.prefix)));
        Setting { keyword: "", span: self.span, value, block }
    }

    /// Reads the options; false (said) when keepalived leaves the whole address out because of one.
    fn options(&mut self, cx: &mut Context, place: Place, words: &[Word]) -> bool {
        let mut words = words.iter();
        while let Some(option) = words.next() {
            let Some(count) = super::option_words(place, &option.text) else {
                cx.unknown_option(place, option);
                continue;
            };
            let argument = if count > 0 { words.next() } else { None };
            if count > 0 && argument.is_none() {
                let title = format!("`{}` lacks a word", option.text);
                cx.tell(Code::BadValue, option.span, title, "the address is left out");
                return false;
            }
            let kept = match (option.text.as_str(), argument) {
                ("dev", Some(word)) => {
                    // On another interface than the written one it would do harm.
                    self.interface = super::interface_name(cx, word, "dev");
                    self.interface.is_some()
                }
                ("label", Some(word)) => self.set_label(cx, word),
                ("broadcast" | "brd", Some(word)) => self.set_broadcast(cx, word),
                ("scope", Some(word)) => {
                    self.scope = self.scope(cx, word);
                    true
                }
                (_, argument) => {
                    cx.option(place, option);
                    self.other(cx, place, option, argument);
                    true
                }
            };
            if !kept {
                return false;
            }
        }
        let peer = self.others.find("peer").map(|peer| peer.span);
        if let (Some(span), Some(_)) = (peer, self.broadcast) {
            let title = "an address with a peer has no broadcast address";
            cx.tell(Code::Adjusted, span, title, "the broadcast address is left out, as in keepalived");
            self.broadcast = None;
        }
        true
    }

    /// Keeps an option that is not built.
    fn other(&mut self, cx: &mut Context, place: Place, option: &Word, argument: Option<&Word>) {
        let Some(keyword) = keywords::find(place, &option.text) else { return };
        let mut words = argument.map_or(&[][..], std::slice::from_ref);
        if let Some(word) =
            argument.filter(|word| keyword.name == "peer" && word.text.parse::<IpAddr>().is_err())
        {
            let wanted = "an address without a prefix length";
            return cx.bad_so(word, "peer", wanted, "the peer is left out, as in keepalived");
        }
        let Some(value) = cx.value(keyword, option, &mut words) else { return };
        if let Value::Address(peer) = value {
            if peer.is_ipv4() != self.address.is_ipv4() {
                let title = format!("the peer {peer} is not of the family of {}", self.address);
                cx.tell(Code::BadValue, option.span, title, "the peer is left out, as in keepalived");
                return;
            }
            let host = if peer.is_ipv4() { 32 } else { 128 };
            if self.prefix.take().is_some_and(|prefix| prefix != host) {
                let title = "an address with a peer has no prefix length of its own";
                cx.tell(Code::Adjusted, option.span, title, "it is left out, as in keepalived");
            }
        }
        let lifetime = |word: &str| word == "forever" || word.parse::<u32>().is_ok();
        if keyword.name == "preferred_lft"
            && let Some(word) = argument.filter(|w| !lifetime(&w.text))
        {
            return cx.bad(word, "preferred_lft", "preferred_lft followed by seconds, or forever");
        }
        self.others.push(Setting { keyword: keyword.name, span: option.span, value, block: Vec::new() });
    }

    /// Options of IPv4 addresses are left out for IPv6 ones, as in keepalived.
    fn is_v4(&self, cx: &mut Context, word: &Word, what: &str) -> bool {
        if self.address.is_ipv6() {
            let title = format!("an IPv6 address has no {what}");
            cx.tell(Code::BadValue, word.span, title, format!("the {what} is left out"));
        }
        self.address.is_ipv4()
    }

    /// keepalived leaves out an address whose label is too long.
    fn set_label(&mut self, cx: &mut Context, word: &Word) -> bool {
        const LONGEST: usize = 15;
        if !self.is_v4(cx, word, "label") {
            return true;
        }
        if word.text.is_empty() || word.text.len() > LONGEST {
            let title = format!("`{}` is no label", shortened(&word.text));
            let diagnostic = Diagnostic::new(
                Code::BadValue,
                word.span,
                title,
                "the address is left out, as in keepalived",
            );
            cx.say(diagnostic.instead("a label of at most 15 letters, like eth0:1"));
            return false;
        }
        self.label = Some(word.text.clone());
        true
    }

    /// keepalived leaves out an address whose broadcast address is not one.
    fn set_broadcast(&mut self, cx: &mut Context, word: &Word) -> bool {
        if !self.is_v4(cx, word, "broadcast address") {
            return true;
        }
        self.broadcast = match (word.text.as_str(), word.text.parse()) {
            ("+", _) => Some(Broadcast::Ones),
            ("-", _) => Some(Broadcast::Zeros),
            (_, Ok(address)) => Some(Broadcast::Address(address)),
            (_, Err(_)) => None,
        };
        if self.broadcast.is_none() {
            let title = format!("`{}` is no broadcast address", shortened(&word.text));
            cx.tell(Code::BadValue, word.span, title, "the address is left out, as in keepalived");
        }
        self.broadcast.is_some()
    }

    fn scope(&self, cx: &mut Context, word: &Word) -> Option<u8> {
        // The only scope an IPv6 address can have, written out.
        let v6_global = self.address.is_ipv6() && word.text == "global";
        if v6_global || !self.is_v4(cx, word, "scope") {
            return None;
        }
        let number = match word.text.as_str() {
            "global" => Some(0),
            "site" => Some(200),
            "link" => Some(253),
            "host" => Some(254),
            "nowhere" => Some(255),
            number => number.parse().ok(),
        };
        if number.is_none() {
            cx.bad(word, "scope", "global, site, link, host, or a number from 0 to 255");
        }
        number
    }
}
