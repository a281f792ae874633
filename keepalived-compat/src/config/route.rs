//! Lines of routes and rules (ip-route(8), ip-rule(8), as keepalived reads them).

use super::Context;
use super::line::refers_to_group;
use super::setting::{Setting, Settings, Value};
use super::value::shortened;
use crate::keywords::{self, Place};
use crate::lexer::Word;
use crate::tree::Statement;
use crate::{Code, Diagnostic};

/// Route types, which may stand before the destination.
const TYPES: &[&str] = &[
    "unicast",
    "local",
    "broadcast",
    "brd",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// What a rule may do.
const ACTIONS: &[&str] =
    &["table", "lookup", "l3mdev", "goto", "nop", "blackhole", "unreachable", "prohibit"];

/// Routes that need no interface to be tracked by.
const NO_INTERFACE: &[&str] = &["no_track", "dev", "oif", "nexthop"];

/// A route: its destination is the value. `None` (said) when keepalived leaves it out.
pub(super) fn route(cx: &mut Context, place: Place, statement: &Statement) -> Option<Setting> {
    let mut line = Line { cx, place, kept: Vec::new(), destination: None };
    line.route(&statement.words)?;
    let (destination, kept) = (line.destination, line.kept);
    let Some(destination) = destination else {
        let title = "a route without a destination";
        cx.tell(Code::BadValue, statement.span(), title, "the line is left out, as in keepalived");
        return None;
    };
    if let Some(why) = mixed(&destination, &kept) {
        cx.tell(Code::BadValue, statement.span(), why, "the line is left out, as in keepalived");
        return None;
    }
    protocol(cx, &kept);
    refers_to_group(cx, &kept);
    for (old, new) in [("gw", "via"), ("or", "nexthop")] {
        if let Some(option) = kept.find(old) {
            let title = format!("`{old}` is deprecated");
            cx.say(Diagnostic::new(Code::Deprecated, option.span, title, "it is taken").instead(new));
        }
    }
    if !NO_INTERFACE.iter().any(|o| kept.find(o).is_some()) {
        let title = "a route without an interface cannot be tracked";
        let diagnostic =
            Diagnostic::new(Code::Adjusted, statement.span(), title, "it is set but not tracked");
        cx.say(diagnostic.instead("dev INTERFACE, or no_track"));
    }
    Some(Setting { keyword: "", span: statement.span(), value: destination, block: kept })
}

/// A rule: its selectors and its action. `None` (said) when keepalived leaves it out.
pub(super) fn rule(cx: &mut Context, place: Place, statement: &Statement) -> Option<Setting> {
    let mut line = Line { cx, place, kept: Vec::new(), destination: None };
    line.rule(&statement.words)?;
    let kept = line.kept;
    if !ACTIONS.iter().any(|a| kept.find(a).is_some()) {
        let title = "a rule without an action";
        let diagnostic =
            Diagnostic::new(Code::BadValue, statement.span(), title, "it is left out, as in keepalived");
        cx.say(diagnostic.instead("a table, as in: from 192.0.2.0/24 table 100 preference 1000"));
        return None;
    }
    let table = ["table", "lookup"].iter().find_map(|k| kept.text(k));
    let why = if kept.iter().filter(|s| ACTIONS.contains(&s.keyword)).count() > 1 {
        Some("a rule with more than one action")
    } else if table == Some("0") {
        Some("a rule cannot look up table 0")
    } else {
        mixed(&Value::None, &kept)
    };
    if let Some(why) = why {
        cx.tell(Code::BadValue, statement.span(), why, "the line is left out, as in keepalived");
        return None;
    }
    protocol(cx, &kept);
    let preference = ["preference", "order", "priority"].iter().find_map(|k| kept.number(k));
    match (preference, kept.number("goto")) {
        (Some(own), Some(goto)) if own >= goto => {
            let title = format!("a rule with preference {own} cannot go to {goto}");
            cx.tell(Code::BadValue, statement.span(), title, "it is left out, as in keepalived");
            return None;
        }
        (None, _) => {
            let title = "a rule without a preference";
            let now = "one is made up, counting down from 16384 in each family, as in keepalived";
            let diagnostic = Diagnostic::new(Code::Adjusted, statement.span(), title, now);
            cx.say(diagnostic.instead("preference NUMBER"));
        }
        _ => {}
    }
    refers_to_group(cx, &kept);
    Some(Setting { keyword: "", span: statement.span(), value: Value::None, block: kept })
}

/// keepalived recognises by their protocol the routes and rules that it tracks.
const PROTOCOL: &str = "18";

fn protocol(cx: &mut Context, kept: &[Setting]) {
    if let Some(setting) = kept.find("protocol").filter(|_| kept.find("no_track").is_none()) {
        let own = match &setting.value {
            Value::Number(number) => number.to_string() == PROTOCOL,
            _ => matches!(setting.name(), Some("keepalived" | PROTOCOL)),
        };
        if !own {
            let title = "what is tracked has the protocol keepalived";
            let diagnostic = Diagnostic::new(Code::Adjusted, setting.span, title, "protocol 18 is used");
            cx.say(diagnostic.instead("no_track, or no protocol"));
        }
    }
}

/// Says why the addresses of a line do not go together.
fn mixed(destination: &Value, kept: &[Setting]) -> Option<&'static str> {
    let family = |value: &Value| match value {
        Value::Address(address) => Some(address.is_ipv6()),
        Value::Prefix(Some((address, _))) => Some(address.is_ipv6()),
        _ => None,
    };
    let mut families = kept.iter().map(|s| &s.value).chain([destination]).filter_map(family);
    let first = families.next();
    let flag = |name: &str| kept.find(name).is_some();
    let v4 = if flag("inet6") { false } else { first != Some(true) };
    if families.any(|f| Some(f) != first) {
        Some("IPv4 and IPv6 addresses in one line")
    } else if first == Some(false) && flag("inet6") || first == Some(true) && flag("inet") {
        Some("the addresses are of the other family than the line says")
    } else if v4 && (flag("expires") || flag("pref") || flag("from") && !matches!(destination, Value::None)) {
        Some("`expires`, `pref` and `from` are for IPv6 routes only")
    } else {
        None
    }
}

/// A line that is being read.
struct Line<'a, 'b> {
    cx: &'a mut Context<'b>,
    place: Place,
    kept: Vec<Setting>,
    destination: Option<Value>,
}

impl Line<'_, '_> {
    fn route(&mut self, mut words: &[Word]) -> Option<()> {
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            let name = word.text.as_str();
            if rest.is_empty() && (name == "to" || TYPES.contains(&name)) {
                return self.lacks(word);
            }
            if name == "to" {
                continue;
            }
            if TYPES.contains(&name) {
                self.push(name, word, Value::None);
                continue;
            }
            match keywords::find(self.place, name) {
                Some(_) if name == "encap" => {
                    let encap = super::encap::encap(self.cx, word, &mut words)?;
                    self.kept.push(encap);
                }
                Some(_) if name == "nexthop" => {
                    self.kept.extend(super::encap::nexthops(self.cx, self.place, word, words)?);
                    return Some(());
                }
                Some(_) => self.option(word, &mut words)?,
                // A later destination takes the place of the first, as in keepalived.
                None => {
                    let destination = self.prefix(word)?;
                    if let Some(first) = &self.destination
                        && mixed(
                            first,
                            &[Setting {
                                keyword: "",
                                span: word.span,
                                value: destination.clone(),
                                block: Vec::new(),
                            }],
                        )
                        .is_some()
                    {
                        return self.refuse(word);
                    }
                    self.destination = Some(destination);
                }
            }
        }
        Some(())
    }

    fn rule(&mut self, mut words: &[Word]) -> Option<()> {
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            match word.text.as_str() {
                "type" if rest.is_empty() => return self.lacks(word),
                "type" => {}
                name if keywords::find(self.place, name).is_some() => self.option(word, &mut words)?,
                _ => return self.refuse(word),
            }
        }
        Some(())
    }

    fn option(&mut self, word: &Word, words: &mut &[Word]) -> Option<()> {
        let keyword = keywords::find(self.place, &word.text)?;
        let before = self.cx.diagnostics.len();
        let value = self.cx.value(keyword, word, words);
        if value.is_none() && self.cx.diagnostics.len() == before {
            return self.refuse(word);
        }
        self.push(keyword.name, word, value?);
        Some(())
    }

    fn prefix(&mut self, word: &Word) -> Option<Value> {
        let text = &word.text;
        if matches!(text.as_str(), "default" | "any" | "all") {
            return Some(Value::Prefix(None));
        }
        let parsed = text.split('/').next().and_then(|a| a.parse::<std::net::IpAddr>().ok());
        if parsed.is_none() {
            self.refuse(word);
            return None;
        }
        self.cx.cidr(word, "a route").map(|c| Value::Prefix(Some(c)))
    }

    fn push(&mut self, name: &str, word: &Word, value: Value) {
        if let Some(keyword) = keywords::find(self.place, name) {
            self.kept.push(Setting { keyword: keyword.name, span: word.span, value, block: Vec::new() });
        }
    }

    fn lacks(&mut self, word: &Word) -> Option<()> {
        let title = format!("`{}` lacks a word", word.text);
        self.cx.tell(Code::MissingWord, word.span, title, "the configuration is refused, as in keepalived");
        None
    }

    /// An unknown word: keepalived leaves the whole line out.
    fn refuse(&mut self, word: &Word) -> Option<()> {
        let title = format!("`{}` is not understood here", shortened(&word.text));
        self.cx.tell(Code::BadValue, word.span, title, "the whole line is left out, as in keepalived");
        None
    }
}
