//! RTM_NEWRULE and RTM_DELRULE.

use super::message::{Attribute, Malformed, Request, attributes};
use super::routing::{address, cidr, family_number, ip};
use crate::net::AddressFamily;
use crate::plan::route::{RuleAction, RulePlan};

/// Octets of struct fib_rule_hdr.
pub(super) const HEADER: usize = 12;

pub(super) const RTM_NEWRULE: u16 = 32;
pub(super) const RTM_DELRULE: u16 = 33;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_GOTO: u8 = 2;
const FR_ACT_NOP: u8 = 3;
const FR_ACT_BLACKHOLE: u8 = 6;
const FR_ACT_UNREACHABLE: u8 = 7;
const FR_ACT_PROHIBIT: u8 = 8;

const FIB_RULE_INVERT: u32 = 2;

const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

/// The request that makes or removes a rule.
pub(super) fn encode(rule: &RulePlan, add: bool) -> Request {
    let (type_, flags) = if add { (RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL) } else { (RTM_DELRULE, 0) };
    let table = match rule.action {
        RuleAction::Table(table) => table,
        _ => 0,
    };
    let length = |prefix: Option<crate::net::IpCidr>| prefix.map_or(0, |p| p.prefix());
    let [f0, f1, f2, f3] = if rule.invert { FIB_RULE_INVERT } else { 0 }.to_ne_bytes();
    let header = [
        family_number(rule.family),
        length(rule.to),
        length(rule.from),
        rule.tos,
        u8::try_from(table).unwrap_or(0),
        0,
        0,
        action(rule.action),
        f0,
        f1,
        f2,
        f3,
    ];
    let mut request = Request::new(type_, flags, &header);
    for (kind, prefix) in [(FRA_SRC, rule.from), (FRA_DST, rule.to)] {
        if let Some(prefix) = prefix.filter(|prefix| prefix.prefix() > 0) {
            address(&mut request, kind, prefix.address());
        }
    }
    match rule.action {
        RuleAction::Table(table) if table > u32::from(u8::MAX) => {
            request.attribute(FRA_TABLE, &table.to_ne_bytes());
        }
        RuleAction::Goto(target) => {
            request.attribute(FRA_GOTO, &target.to_ne_bytes());
        }
        RuleAction::L3mdev => {
            request.attribute(FRA_L3MDEV, &[1]);
        }
        _ => {}
    }
    selectors(&mut request, rule);
    request
}

fn selectors(request: &mut Request, rule: &RulePlan) {
    let (mark, mask) = rule.mark.map_or((None, None), |(mark, mask)| (Some(mark), mask));
    let numbers = [
        (FRA_PRIORITY, Some(rule.priority)),
        (FRA_FWMARK, mark),
        (FRA_FWMASK, mask),
        (FRA_FLOW, rule.realms),
        (FRA_SUPPRESS_PREFIXLEN, rule.suppress_prefix_length),
        (FRA_SUPPRESS_IFGROUP, rule.suppress_group),
    ];
    for (kind, number) in numbers {
        if let Some(number) = number {
            request.attribute(kind, &number.to_ne_bytes());
        }
    }
    for (kind, name) in [(FRA_IIFNAME, &rule.input), (FRA_OIFNAME, &rule.output)] {
        if let Some(name) = name {
            request.text(kind, name);
        }
    }
    if let Some(tunnel) = rule.tunnel {
        request.attribute(FRA_TUN_ID, &tunnel.to_be_bytes());
    }
    if let Some((first, last)) = rule.users {
        request.attribute(FRA_UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
    }
    if rule.protocol != 0 {
        request.attribute(FRA_PROTOCOL, &[rule.protocol]);
    }
    if let Some(protocol) = rule.ip_protocol {
        request.attribute(FRA_IP_PROTO, &[protocol]);
    }
    for (kind, ports) in [(FRA_SPORT_RANGE, rule.source_ports), (FRA_DPORT_RANGE, rule.destination_ports)] {
        if let Some((first, last)) = ports {
            request.attribute(kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
        }
    }
}

/// The rule of a message; `None` for other families, for actions that no configuration has, and for rules that do not
/// carry `protocol`.
pub(super) fn decode(payload: &[u8], protocol: u8) -> Result<Option<RulePlan>, Malformed> {
    let (header, rest) = payload.split_first_chunk::<HEADER>().ok_or(Malformed("rule header cut short"))?;
    let [family, to, from, tos, table, _, _, action, f0, f1, f2, f3] = *header;
    let family = match libc::c_int::from(family) {
        libc::AF_INET => AddressFamily::V4,
        libc::AF_INET6 => AddressFamily::V6,
        _ => return Ok(None),
    };
    let mut table = u32::from(table);
    let (mut l3mdev, mut target, mut mark, mut mask) = (false, 0, None, None);
    let mut rule = RulePlan::new(family, 0, RuleAction::Nop);
    rule.protocol = 0;
    rule.tos = tos;
    rule.invert = u32::from_ne_bytes([f0, f1, f2, f3]) & FIB_RULE_INVERT != 0;
    for attribute in attributes(rest) {
        let attribute = attribute?;
        match attribute.kind {
            FRA_SRC => rule.from = Some(cidr(ip(family, attribute.value)?, from)?),
            FRA_DST => rule.to = Some(cidr(ip(family, attribute.value)?, to)?),
            FRA_PRIORITY => rule.priority = attribute.u32()?,
            FRA_TABLE => table = attribute.u32()?,
            FRA_GOTO => target = attribute.u32()?,
            FRA_L3MDEV => l3mdev = attribute.u8()? != 0,
            FRA_FWMARK => mark = Some(attribute.u32()?),
            FRA_FWMASK => mask = Some(attribute.u32()?),
            _ => selector(&mut rule, attribute)?,
        }
    }
    rule.mark = match (mark, mask) {
        (None, None) => None,
        (mark, mask) => Some((mark.unwrap_or(0), mask)),
    };
    rule.action = match action {
        FR_ACT_TO_TBL if l3mdev => RuleAction::L3mdev,
        FR_ACT_TO_TBL => RuleAction::Table(table),
        FR_ACT_GOTO => RuleAction::Goto(target),
        FR_ACT_NOP => RuleAction::Nop,
        FR_ACT_BLACKHOLE => RuleAction::Blackhole,
        FR_ACT_UNREACHABLE => RuleAction::Unreachable,
        FR_ACT_PROHIBIT => RuleAction::Prohibit,
        _ => return Ok(None),
    };
    Ok((rule.protocol == protocol).then_some(rule))
}

fn selector(rule: &mut RulePlan, attribute: Attribute<'_>) -> Result<(), Malformed> {
    // The kernel says "none" with all bits set.
    let wanted = |number: u32| (number != u32::MAX).then_some(number);
    match attribute.kind {
        FRA_IIFNAME => rule.input = Some(attribute.text()),
        FRA_OIFNAME => rule.output = Some(attribute.text()),
        FRA_FLOW => rule.realms = Some(attribute.u32()?),
        FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefix_length = wanted(attribute.u32()?),
        FRA_SUPPRESS_IFGROUP => rule.suppress_group = wanted(attribute.u32()?),
        FRA_TUN_ID => rule.tunnel = Some(u64::from_be_bytes(attribute.octets()?)),
        FRA_UID_RANGE => {
            let [a, b, c, d, e, f, g, h] = attribute.octets()?;
            rule.users = Some((u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])));
        }
        FRA_PROTOCOL => rule.protocol = attribute.u8()?,
        FRA_IP_PROTO => rule.ip_protocol = Some(attribute.u8()?),
        FRA_SPORT_RANGE => rule.source_ports = Some(ports(attribute)?),
        FRA_DPORT_RANGE => rule.destination_ports = Some(ports(attribute)?),
        _ => {}
    }
    Ok(())
}

fn ports(attribute: Attribute<'_>) -> Result<(u16, u16), Malformed> {
    let [a, b, c, d] = attribute.octets()?;
    Ok((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
}

fn action(action: RuleAction) -> u8 {
    match action {
        RuleAction::Table(_) | RuleAction::L3mdev => FR_ACT_TO_TBL,
        RuleAction::Goto(_) => FR_ACT_GOTO,
        RuleAction::Nop => FR_ACT_NOP,
        RuleAction::Blackhole => FR_ACT_BLACKHOLE,
        RuleAction::Unreachable => FR_ACT_UNREACHABLE,
        RuleAction::Prohibit => FR_ACT_PROHIBIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::IpCidr;
    use proptest::prelude::*;

    fn full() -> RulePlan {
        RulePlan {
            invert: true,
            from: IpCidr::new([10, 2, 0, 0].into(), 24),
            to: IpCidr::new([10, 3, 0, 0].into(), 24),
            tos: 0x10,
            mark: Some((5, Some(0xff))),
            input: Some("eth0".into()),
            output: Some("eth1".into()),
            realms: Some(0x0005_0006),
            suppress_prefix_length: Some(8),
            suppress_group: Some(4),
            tunnel: Some(77),
            users: Some((5, 10)),
            ip_protocol: Some(6),
            source_ports: Some((10, 20)),
            destination_ports: Some((30, 40)),
            ..RulePlan::new(AddressFamily::V4, 1002, RuleAction::Table(1000))
        }
    }

    #[test]
    fn a_rule_is_read_as_it_was_written() {
        for action in [
            RuleAction::Table(100),
            RuleAction::Table(100_000),
            RuleAction::L3mdev,
            RuleAction::Goto(2000),
            RuleAction::Nop,
            RuleAction::Blackhole,
            RuleAction::Unreachable,
            RuleAction::Prohibit,
        ] {
            let rule = RulePlan { action, ..full() };
            assert_eq!(decode(encode(&rule, true).payload(), 18), Ok(Some(rule)));
        }
    }

    /// Seen from keepalived 2.2.7: the order is another, the attributes are the same.
    #[test]
    fn a_small_table_stands_in_the_header_alone() {
        let rule = RulePlan::new(AddressFamily::V6, 1011, RuleAction::Table(105));
        let request = encode(&rule, false);
        assert_eq!(request.payload()[..HEADER], [10, 0, 0, 0, 105, 0, 0, 1, 0, 0, 0, 0]);
        let kinds: Vec<u16> =
            attributes(&request.payload()[HEADER..]).map(|part| part.expect("well formed").kind).collect();
        assert_eq!(kinds, [FRA_PRIORITY, FRA_PROTOCOL]);
    }

    #[test]
    fn rules_of_others_and_unset_suppressors_are_left_out() {
        let rule = RulePlan { suppress_prefix_length: Some(u32::MAX), ..full() };
        let request = encode(&rule, true);
        assert_eq!(decode(request.payload(), 3), Ok(None));
        let read = decode(request.payload(), 18).expect("well formed").expect("ours");
        assert_eq!(read.suppress_prefix_length, None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_rule_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&bytes, 18);
        }
    }
}
