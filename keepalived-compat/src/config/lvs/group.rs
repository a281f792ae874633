//! `virtual_server_group`: addresses, ranges, marks.

use crate::Code;
use crate::config::Context;
use crate::config::value::shortened;
use crate::lexer::Word;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A named set of services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Spanned<String>,
    /// Its entries.
    pub entries: Vec<Spanned<Entry>>,
    /// How many entries each line stands for; together they are all.
    pub lines: Vec<usize>,
}

/// One service of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An address; port 0 means every port.
    Address(IpAddr, u16),
    /// A mark and, when written, whether it is for IPv6.
    Fwmark(u32, Option<bool>),
}

/// Addresses that one range may stand for: keepalived's widest form, the last 16 bits of an IPv6 address.
const MOST_ADDRESSES: u64 = 65_536;

impl Group {
    pub(in crate::config) fn read(cx: &mut Context, name: Spanned<String>, body: &[Statement]) -> Group {
        let mut group = Group { name, entries: Vec::new(), lines: Vec::new() };
        for line in body {
            let span = line.span();
            let entries = match line.keyword().text.as_str() {
                "fwmark" => fwmark(cx, line),
                _ => addresses(cx, line),
            };
            group.lines.extend(Some(entries.len()).filter(|entries| *entries > 0));
            group.entries.extend(entries.into_iter().map(|e| Spanned::new(e, span)));
        }
        group
    }
}

fn fwmark(cx: &mut Context, line: &Statement) -> Vec<Entry> {
    let Some(mark) = cx.argument_u32(line, 1..=u32::MAX) else { return Vec::new() };
    let family = line.arguments().get(1).map(|w| w.text == "inet6");
    vec![Entry::Fwmark(mark, family)]
}

fn addresses(cx: &mut Context, line: &Statement) -> Vec<Entry> {
    let word = line.keyword();
    let Some(port) = port(cx, line) else { return Vec::new() };
    let Some((first, last)) = range(&word.text) else {
        let title = format!("`{}` is neither an address nor a range", shortened(&word.text));
        cx.tell(Code::BadValue, word.span, title, "the line is left out: these addresses are not balanced");
        return Vec::new();
    };
    if last - first >= u128::from(MOST_ADDRESSES) {
        too_many(cx, word.span);
        return Vec::new();
    }
    let v4 = !word.text.contains(':');
    (first..=last).map(|n| Entry::Address(number_address(n, v4), port)).collect()
}

fn too_many(cx: &mut Context, span: Span) {
    let title = format!("a range of more than {MOST_ADDRESSES} addresses");
    cx.tell(Code::Limit, span, title, "the line is left out: these addresses are not balanced");
}

/// The port after the addresses; `None` (said) when it is not one.
fn port(cx: &mut Context, line: &Statement) -> Option<u16> {
    let Some(word) = line.arguments().first() else { return Some(0) };
    let port: Option<u16> = word.text.parse().ok();
    if port.is_none() {
        lost(cx, word);
    }
    port
}

fn lost(cx: &mut Context, word: &Word) {
    let title = format!("`{}` is no port", shortened(&word.text));
    cx.tell(Code::BadValue, word.span, title, "the line is left out: these addresses are not balanced");
}

/// First and last address of `ADDR`, `ADDR-ADDR`, `A.B.C.D-N`, `x::y-n` (hexadecimal) or `ADDR/LEN`, as numbers.
fn range(text: &str) -> Option<(u128, u128)> {
    if let Some((address, prefix)) = text.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let host_bits = bits - prefix.parse::<u32>().ok().filter(|p| *p <= bits)?;
        let hosts = 1u128.checked_shl(host_bits).map_or(u128::MAX, |n| n - 1); // ::/0 has 128 host bits
        let first = address_number(address);
        return (first & hosts == 0).then_some((first, first | hosts));
    }
    let Some((first, last)) = text.split_once('-') else {
        let one = address_number(text.parse().ok()?);
        return Some((one, one));
    };
    let address: IpAddr = first.parse().ok()?;
    let first = address_number(address);
    let last = match (last.parse::<IpAddr>(), address) {
        (Ok(last), _) if last.is_ipv4() == address.is_ipv4() => address_number(last),
        (Ok(_), _) => return None,
        (Err(_), IpAddr::V4(_)) => first & !0xff | u128::from(last.parse::<u8>().ok()?),
        (Err(_), IpAddr::V6(_)) => first & !0xffff | u128::from(u16::from_str_radix(last, 16).ok()?),
    };
    (first <= last).then_some((first, last))
}

fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

fn number_address(number: u128, v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(n) if v4 => IpAddr::V4(Ipv4Addr::from(n)),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Option<u128> {
        range(text).map(|(first, last)| last - first + 1)
    }

    #[test]
    fn ranges_are_read_as_keepalived_does() {
        assert_eq!(count("192.0.2.1"), Some(1));
        assert_eq!(count("192.0.2.1-10"), Some(10));
        assert_eq!(count("192.0.2.250-192.0.3.5"), Some(12));
        assert_eq!(count("192.0.2.0/28"), Some(16));
        assert_eq!(count("2001:db8::1-f"), Some(15));
        assert_eq!(count("2001:db8::/120"), Some(256));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in
            ["192.0.2.1/28", "192.0.2.10-1", "192.0.2.1-256", "192.0.2.1-::1", "x", "192.0.2.0/33", "-", "/"]
        {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
