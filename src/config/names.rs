//! Names for numbers of routes and rules, as iproute2 keeps them in its files. Pure: who reads the files says what is
//! in them.

use std::collections::BTreeMap;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// Routing tables (`rt_tables`).
    Table,
    /// Origins of routes (`rt_protos`).
    Protocol,
    /// Scopes (`rt_scopes`).
    Scope,
    /// Realms (`rt_realms`).
    Realm,
    /// Types of service (`rt_dsfield`).
    DsField,
    /// Groups of interfaces (`group`).
    Group,
    /// IP protocols (`/etc/protocols`: the name comes first).
    IpProtocol,
    /// VRF interfaces, and their tables.
    Vrf,
}

/// Names that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    numbers: BTreeMap<(NameKind, String), u32>,
}

/// What iproute2 knows without a file.
const BUILT_IN: &[(NameKind, &str, u32)] = &[
    (NameKind::Table, "default", 253),
    (NameKind::Table, "main", 254),
    (NameKind::Table, "local", 255),
    (NameKind::Protocol, "none", 0),
    (NameKind::Protocol, "redirect", 1),
    (NameKind::Protocol, "kernel", 2),
    (NameKind::Protocol, "boot", 3),
    (NameKind::Protocol, "static", 4),
    (NameKind::Protocol, "gated", 8),
    (NameKind::Protocol, "ra", 9),
    (NameKind::Protocol, "mrt", 10),
    (NameKind::Protocol, "zebra", 11),
    (NameKind::Protocol, "bird", 12),
    (NameKind::Protocol, "dnrouted", 13),
    (NameKind::Protocol, "xorp", 14),
    (NameKind::Protocol, "ntk", 15),
    (NameKind::Protocol, "dhcp", 16),
    (NameKind::Protocol, "keepalived", 18),
    (NameKind::Protocol, "babel", 42),
    (NameKind::Scope, "global", 0),
    (NameKind::Scope, "universe", 0),
    (NameKind::Scope, "site", 200),
    (NameKind::Scope, "link", 253),
    (NameKind::Scope, "host", 254),
    (NameKind::Scope, "nowhere", 255),
    (NameKind::Realm, "cosmos", 0),
    (NameKind::Group, "default", 0),
    (NameKind::IpProtocol, "icmp", 1),
    (NameKind::IpProtocol, "igmp", 2),
    (NameKind::IpProtocol, "tcp", 6),
    (NameKind::IpProtocol, "udp", 17),
    (NameKind::IpProtocol, "dccp", 33),
    (NameKind::IpProtocol, "gre", 47),
    (NameKind::IpProtocol, "esp", 50),
    (NameKind::IpProtocol, "ah", 51),
    (NameKind::IpProtocol, "ipv6-icmp", 58),
    (NameKind::IpProtocol, "ospf", 89),
    (NameKind::IpProtocol, "vrrp", 112),
    (NameKind::IpProtocol, "sctp", 132),
    (NameKind::IpProtocol, "udplite", 136),
];

impl Default for Names {
    fn default() -> Names {
        let numbers = BUILT_IN.iter().map(|(kind, name, number)| ((*kind, (*name).to_owned()), *number));
        Names { numbers: numbers.collect() }
    }
}

impl Names {
    /// Take in a file: lines of a number (decimal or `0x..`) and a name, in `/etc/protocols` the other way round.
    /// `#` begins a comment; a later line wins; what is no such line is left out.
    pub fn read(&mut self, kind: NameKind, text: &str) {
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
            let (number, name) = if kind == NameKind::IpProtocol { (second, first) } else { (first, second) };
            if let Some(number) = number_of(number) {
                self.add(kind, name, number);
            }
        }
    }

    /// One more name.
    pub fn add(&mut self, kind: NameKind, name: &str, number: u32) {
        self.numbers.insert((kind, name.to_owned()), number);
    }

    /// The number that `text` names or is.
    pub fn number(&self, kind: NameKind, text: &str) -> Option<u32> {
        let named = self.numbers.get(&(kind, text.to_owned())).copied();
        named.or_else(|| match kind {
            // As `ip` reads them, with or without 0x.
            NameKind::DsField => u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok(),
            NameKind::Vrf => None,
            _ => number_of(text),
        })
    }
}

/// A number as C's `strtoul` reads it with base 0.
pub(super) fn number_of(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_iproute2_is_read() {
        let mut names = Names::default();
        names.read(NameKind::Table, "#\n# reserved\n254\tmain\n100 isp1 # the first\n0x65\tisp2\nbroken\n\n");
        assert_eq!(names.number(NameKind::Table, "isp1"), Some(100));
        assert_eq!(names.number(NameKind::Table, "isp2"), Some(101));
        assert_eq!(names.number(NameKind::Table, "isp3"), None);
        assert_eq!(names.number(NameKind::Table, "0x10"), Some(16));
        assert_eq!(names.number(NameKind::Scope, "isp1"), None, "each kind has names of its own");
    }

    #[test]
    fn protocols_stand_the_other_way_round_and_types_of_service_are_hexadecimal() {
        let mut names = Names::default();
        names.read(NameKind::IpProtocol, "ip\t0\tIP\t\t# internet protocol\nhopopt 0 HOPOPT\nmptcp 262\n");
        assert_eq!(names.number(NameKind::IpProtocol, "mptcp"), Some(262));
        assert_eq!(names.number(NameKind::DsField, "10"), Some(0x10));
        assert_eq!(names.number(NameKind::DsField, "0x10"), Some(0x10));
        names.read(NameKind::DsField, "0x28\tAF11\n");
        assert_eq!(names.number(NameKind::DsField, "AF11"), Some(0x28));
    }
}
