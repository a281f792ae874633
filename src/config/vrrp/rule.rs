//! Lines of `virtual_rules` and `static_rules` to [`RulePlan`].

use super::line::{Line, family};
use crate::config::Diagnostics;
use crate::config::names::{NameKind, Names, number_of};
use crate::net::AddressFamily;
use crate::plan::route::{PROTOCOL_KEEPALIVED, RuleAction, RulePlan};
use keepalived_compat::Span;
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use std::collections::BTreeMap;

/// The first preference that keepalived makes up in a family; each further one is lower.
const FIRST_MADE_UP: u32 = 16384;

/// Preferences for rules that have none, by where they stand: in the order of the file, counting down, for each family by
/// itself (keepalived 2.2.7).
#[derive(Debug, Default)]
pub(super) struct Preferences(BTreeMap<Span, u32>);

impl Preferences {
    /// Number all of `rules` that lack one; those that cannot be made take none.
    pub fn new<'a>(rules: impl Iterator<Item = &'a Setting>, names: &Names) -> Preferences {
        let can_be_made = |line: &&Setting| {
            let mut said_later = Diagnostics(Vec::new());
            rule(line, &Preferences::default(), names, &mut said_later).is_some()
        };
        let lacking = rules.filter(|rule| written(&rule.block).is_none()).filter(can_be_made);
        let mut places: Vec<(Span, AddressFamily)> = lacking.map(|rule| (rule.span, family(rule))).collect();
        places.sort_unstable_by_key(|(span, _)| *span);
        let of = |wanted| places.iter().filter(move |(_, family)| *family == wanted).map(|(span, _)| *span);
        let numbers = || (0..=FIRST_MADE_UP).rev();
        let (v4, v6) = (of(AddressFamily::V4).zip(numbers()), of(AddressFamily::V6).zip(numbers()));
        Preferences(v4.chain(v6).collect())
    }
}

/// A rule; `None` (said) when it cannot be made.
pub(super) fn rule(
    line: &Setting,
    preferences: &Preferences,
    names: &Names,
    out: &mut Diagnostics,
) -> Option<RulePlan> {
    lower(&mut Line::new(line, names, out), preferences).ok()
}

fn lower(line: &mut Line, preferences: &Preferences) -> Result<RulePlan, ()> {
    let priority = written(line.options).or_else(|| preferences.0.get(&line.line.span).copied());
    let action = action(line)?;
    let tracked = !line.options.is_on("no_track");
    let protocol = line.number(&["protocol"]).and_then(|p| u8::try_from(p).ok());
    let tos = line.named(NameKind::DsField, &["tos", "dsfield"])?;
    let ip_protocol = line.named(NameKind::IpProtocol, &["ipproto"])?;
    let prefix = |keyword: &str| {
        let option = line.options.find(keyword)?;
        line.prefix(&option.value).filter(|prefix| prefix.prefix() > 0)
    };
    let (from, to) = (prefix("from"), prefix("to"));
    let plan = RulePlan::new(line.family(), priority.unwrap_or(0), action);
    Ok(RulePlan {
        invert: line.options.is_on("not"),
        from,
        to,
        tos: tos.and_then(|t| u8::try_from(t).ok()).unwrap_or(0),
        mark: line.text(&["fwmark"]).and_then(mark),
        input: line.text(&["dev", "iif"]).map(str::to_owned),
        output: line.text(&["oif"]).map(str::to_owned),
        realms: line.realms(line.options.find("realms"))?,
        suppress_prefix_length: line.number(&["suppress_prefixlength", "sup_pl"]),
        suppress_group: line.named(NameKind::Group, &["suppress_ifgroup", "sup_group"])?,
        tunnel: line.options.number("tunnel-id").and_then(|id| u64::try_from(id).ok()),
        users: line.text(&["uidrange"]).and_then(span),
        // keepalived 2.2.7: a rule that is not tracked has no protocol unless one is written.
        protocol: if tracked { PROTOCOL_KEEPALIVED } else { protocol.unwrap_or(0) },
        ip_protocol: ip_protocol.and_then(|p| u8::try_from(p).ok()),
        source_ports: ports(line, "sport")?,
        destination_ports: ports(line, "dport")?,
        tracked,
        ..plan
    })
}

fn action(line: &mut Line) -> Result<RuleAction, ()> {
    if let Some(table) = line.named(NameKind::Table, &["table", "lookup"])? {
        return Ok(RuleAction::Table(table));
    }
    let words = ["l3mdev", "goto", "nop", "blackhole", "unreachable", "prohibit"];
    match line.find(&words).map(|option| option.keyword) {
        Some("l3mdev") => Ok(RuleAction::L3mdev),
        Some("goto") => Ok(RuleAction::Goto(line.number(&["goto"]).unwrap_or(0))),
        Some("nop") => Ok(RuleAction::Nop),
        Some("blackhole") => Ok(RuleAction::Blackhole),
        Some("unreachable") => Ok(RuleAction::Unreachable),
        Some("prohibit") => Ok(RuleAction::Prohibit),
        _ => line.refuse("a rule without an action".to_owned()),
    }
}

fn written(options: &[Setting]) -> Option<u32> {
    let option = options.iter().rev().find(|o| matches!(o.keyword, "preference" | "order" | "priority"))?;
    match option.value {
        Value::Number(number) => u32::try_from(number).ok(),
        _ => None,
    }
}

fn mark(text: &str) -> Option<(u32, Option<u32>)> {
    match text.split_once('/') {
        Some((mark, mask)) => Some((number_of(mark)?, Some(number_of(mask)?))),
        None => Some((number_of(text)?, None)),
    }
}

fn span(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn ports(line: &mut Line, keyword: &str) -> Result<Option<(u16, u16)>, ()> {
    let Some((first, last)) = line.text(&[keyword]).and_then(span) else { return Ok(None) };
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(first), Ok(last)) => Ok(Some((first, last))),
        _ => line.refuse(format!("`{keyword}`: ports are at most 65535")),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;
    use crate::plan::route::Item;

    #[test]
    fn preferences_that_are_made_up_count_down_in_each_family() {
        let file = "vrrp_instance a {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.0.0.100/24\n}\n\
                    virtual_rules {\nfwmark 3 table 101\nfrom 2001:db8::/64 table 102\nfrom 10.0.0.0/8 table 103\n\
                    from 10.0.0.1 table 104 priority 500\niif eth1 inet6 table 105\n}\n}\n\
                    static_rules {\nto 10.1.0.0/16 table 106\n}\n";
        let plan = lowered(file).0.vrrp;
        let of = |items: &[Item]| -> Vec<u32> {
            let rule = |item: &Item| if let Item::Rule(rule) = item { Some(rule.priority) } else { None };
            items.iter().filter_map(rule).collect()
        };
        assert_eq!(of(&plan.routers[0].routing), [16384, 16384, 16383, 500, 16383]);
        assert_eq!(of(&plan.statics), [16382]);
        // A rule that is left out takes none.
        let file = file.replace("fwmark 3 table 101", "fwmark 3 table no-such-table");
        assert_eq!(of(&lowered(&file).0.vrrp.statics), [16383]);
    }
}
