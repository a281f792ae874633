//! What lines of routes and rules have in common: names and numbers, prefixes, families, groups.

use crate::config::Diagnostics;
use crate::config::names::{NameKind, Names};
use crate::net::{AddressFamily, IpCidr};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::{Code, Diagnostic};
use std::net::IpAddr;

/// A line that is being lowered, with what it needs.
pub(super) struct Line<'a> {
    pub line: &'a Setting,
    pub options: &'a [Setting],
    pub names: &'a Names,
    pub out: &'a mut Diagnostics,
}

impl<'a> Line<'a> {
    pub fn new(line: &'a Setting, names: &'a Names, out: &'a mut Diagnostics) -> Line<'a> {
        Line { line, options: &line.block, names, out }
    }

    /// Its family.
    pub fn family(&self) -> AddressFamily {
        family(self.line)
    }

    /// A prefix of the line; `default` and `any` are all addresses of its family.
    pub fn prefix(&self, value: &Value) -> Option<IpCidr> {
        match value {
            Value::Prefix(Some((address, length))) => {
                Some(length.and_then(|l| IpCidr::new(*address, l)).unwrap_or(IpCidr::host(*address)))
            }
            Value::Prefix(None) => IpCidr::new(self.family().unspecified(), 0),
            _ => None,
        }
    }

    /// The last of some aliases.
    pub fn find(&self, aliases: &[&str]) -> Option<&'a Setting> {
        self.options.iter().rev().find(|option| aliases.contains(&option.keyword))
    }

    /// Number of the last of some aliases.
    pub fn number(&self, aliases: &[&str]) -> Option<u32> {
        match self.find(aliases)?.value {
            Value::Number(number) => u32::try_from(number).ok(),
            _ => None,
        }
    }

    /// Text of the last of some aliases.
    pub fn text(&self, aliases: &[&str]) -> Option<&'a str> {
        match &self.find(aliases)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An address that stands behind the keyword.
    pub fn address(&self, keyword: &str) -> Option<IpAddr> {
        match self.options.find(keyword)?.value {
            Value::Address(address) => Some(address),
            _ => None,
        }
    }

    /// The number that a word names: `Ok(None)` when it is not written, `Err` (said) when nobody knows the name.
    pub fn named(&mut self, kind: NameKind, aliases: &[&str]) -> Result<Option<u32>, ()> {
        match self.find(aliases) {
            None => Ok(None),
            Some(Setting { value: Value::Number(number), .. }) => {
                u32::try_from(*number).map(Some).map_err(drop)
            }
            Some(option) => {
                let text = option.name().unwrap_or_default();
                self.look_up(kind, text, option).map(Some)
            }
        }
    }

    /// `[FROM/]TO` as the kernel has it.
    pub fn realms(&mut self, option: Option<&Setting>) -> Result<Option<u32>, ()> {
        let Some(option) = option else { return Ok(None) };
        let text = option.name().unwrap_or_default();
        let (from, to) = text.split_once('/').map_or((None, text), |(from, to)| (Some(from), to));
        let from = from.map_or(Ok(0), |from| self.look_up(NameKind::Realm, from, option))?;
        let to = self.look_up(NameKind::Realm, to, option)?;
        Ok(Some(from << 16 | to & 0xffff))
    }

    fn look_up(&mut self, kind: NameKind, text: &str, option: &Setting) -> Result<u32, ()> {
        let found = self.names.number(kind, text);
        found.ok_or_else(|| {
            let (what, place) = described(kind);
            let title = format!("there is no {what} `{text}`");
            let now = "the line is left out, as in keepalived";
            let diagnostic = Diagnostic::new(Code::BadValue, option.span, title, now);
            self.out.say(diagnostic.instead(format!("a number, or a line for it in {place}")));
        })
    }

    /// Says that the line is left out.
    pub fn refuse<T>(&mut self, title: String) -> Result<T, ()> {
        self.out.tell(Code::BadValue, self.line.span, title, "the line is left out");
        Err(())
    }
}

/// IPv4 or IPv6: as the line says, else as its first address, else IPv4.
pub(super) fn family(line: &Setting) -> AddressFamily {
    if line.block.is_on("inet6") {
        return AddressFamily::V6;
    }
    let of = |value: &Value| match value {
        Value::Address(address) | Value::Prefix(Some((address, _))) => Some(AddressFamily::of(*address)),
        _ => None,
    };
    let hops = line.block.iter().flat_map(|option| &option.block);
    let mut values = std::iter::once(&line.value).chain(line.block.iter().chain(hops).map(|o| &o.value));
    values.find_map(of).unwrap_or(AddressFamily::V4)
}

fn described(kind: NameKind) -> (&'static str, &'static str) {
    match kind {
        NameKind::Table => ("routing table", "/etc/iproute2/rt_tables"),
        NameKind::Protocol => ("routing protocol", "/etc/iproute2/rt_protos"),
        NameKind::Scope => ("scope", "/etc/iproute2/rt_scopes"),
        NameKind::Realm => ("realm", "/etc/iproute2/rt_realms"),
        NameKind::DsField => ("type of service", "/etc/iproute2/rt_dsfield"),
        NameKind::Group => ("group of interfaces", "/etc/iproute2/group"),
        NameKind::IpProtocol => ("IP protocol", "/etc/protocols"),
        NameKind::Vrf => ("VRF interface", "the system's network configuration, before the daemon starts"),
    }
}
