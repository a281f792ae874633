//! Values of options as ipvsadm reads them, generosities included. Names are asked of a [`Resolver`].

use super::names::Names;
use crate::net::TransportProtocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names to numbers.
pub trait Resolver {
    /// The IPv4 address of a host.
    fn host(&self, name: &str) -> Option<Ipv4Addr>;
    /// The port of a service.
    fn port(&self, name: &str, protocol: TransportProtocol) -> Option<u16>;
}

impl Resolver for Names {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        self.address_of(name)
    }

    fn port(&self, name: &str, protocol: TransportProtocol) -> Option<u16> {
        self.port_of(name, protocol)
    }
}

/// An address and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: IpAddr,
    pub port: Option<u16>,
}

/// `HOST[:PORT]`, IPv6 in brackets or without a port. IPv4 in brackets loses its port, as there.
pub fn place(text: &str, protocol: Option<TransportProtocol>, names: &dyn Resolver) -> Option<Place> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Place { address: address.into(), port: None });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':')?;
        return match host.parse::<Ipv6Addr>() {
            Ok(address) => {
                Some(Place { address: address.into(), port: Some(port_number(port, protocol, names)?) })
            }
            Err(_) => Some(Place { address: host_address(host, names)?.into(), port: None }),
        };
    }
    match text.rsplit_once(':') {
        // A number alone is more likely a port than 0.0.0.80.
        None if !text.bytes().all(|octet| octet.is_ascii_digit()) => {
            Some(Place { address: host_address(text, names)?.into(), port: None })
        }
        None => None,
        Some((host, port)) => {
            let address = host_address(host, names)?.into();
            Some(Place { address, port: Some(port_number(port, protocol, names)?) })
        }
    }
}

fn port_number(text: &str, protocol: Option<TransportProtocol>, names: &dyn Resolver) -> Option<u16> {
    let number = number(text, 0, 65_535).and_then(|number| u16::try_from(number).ok());
    number.or_else(|| names.port(text, protocol?))
}

/// An IPv4 address in any of C's notations, or a name.
pub fn host_address(text: &str, names: &dyn Resolver) -> Option<Ipv4Addr> {
    inet_aton(text).or_else(|| names.host(text))
}

/// A decimal number as strtol takes it: leading blanks and a sign are allowed, nothing may follow.
pub fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let digits = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok().filter(|number| (least..=most).contains(number))
}

/// The digits that `text` begins with, as atoi takes them.
pub fn leading_number(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let sign = usize::from(text.starts_with(['+', '-']));
    let end = text.bytes().skip(sign).position(|octet| !octet.is_ascii_digit());
    let end = end.map_or(text.len(), |position| sign + position);
    text.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// inet_aton(3): one to four parts, each decimal, octal or hexadecimal; the last one fills the rest.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    // A blank ends the address.
    let text = text.split([' ', '\t', '\n']).next()?;
    let parts: Vec<u32> = text.split('.').map(c_number).collect::<Option<_>>()?;
    let (last, heads) = parts.split_last()?;
    let room = 32_u32.checked_sub(8 * u32::try_from(heads.len()).ok()?).filter(|room| *room >= 8)?;
    if heads.iter().any(|head| *head > 255) || room < 32 && *last >= 1 << room {
        return None;
    }
    let mut bits = *last;
    for (index, head) in (0_u32..).zip(heads) {
        bits |= head << (24 - 8 * index);
    }
    Some(Ipv4Addr::from_bits(bits))
}

fn c_number(text: &str) -> Option<u32> {
    let (digits, radix) = if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        (hex, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (text, 8)
    } else {
        (text, 10)
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_notation_of_c() {
        let read = |text| inet_aton(text).map(|address| address.to_string());
        assert_eq!(read("1.2.3.4").as_deref(), Some("1.2.3.4"));
        assert_eq!(read("01.2.3.010").as_deref(), Some("1.2.3.8"));
        assert_eq!(read("1.2").as_deref(), Some("1.0.0.2"));
        assert_eq!(read("1.2.3").as_deref(), Some("1.2.0.3"));
        assert_eq!(read("0x10").as_deref(), Some("0.0.0.16"));
        assert_eq!(read("4294967295").as_deref(), Some("255.255.255.255"));
        for bad in ["", "1.2.3.256", "1.2.3.4.5", "1.", "x", "1.2.3.", "256.1.1.1", "+1.2.3.4", "4294967296"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_as_strtol_takes_them() {
        assert_eq!(number(" +7", 0, 10), Some(7));
        assert_eq!(number("010", 0, 10), Some(10));
        for bad in ["", "0x10", "1x", "11", "-1", "99999999999999999999", "+", "5 "] {
            assert_eq!(number(bad, 0, 10), None, "{bad}");
        }
        assert_eq!((leading_number("64x"), leading_number(" 64"), leading_number("x")), (64, 64, 0));
        assert_eq!(leading_number("255.255.255.0"), 255);
    }
}
