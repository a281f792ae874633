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
    refers_to_group(cx, &kept)?;
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
    let preference = ["preference", "order", "priority"].iter().find_map(|k| kept.number(k));
    match (preference, kept.number("goto")) {
        (Some(own), Some(goto)) if own >= goto => {
            let title = format!("a rule with preference {own} cannot go to {goto}");
            cx.tell(Code::BadValue, statement.span(), title, "it is left out, as in keepalived");
            return None;
        }
        (None, _) => {
            let title = "a rule without a preference";
            let now = "one is made up, counting down from 16384, as in keepalived";
            let diagnostic = Diagnostic::new(Code::Adjusted, statement.span(), title, now);
            cx.say(diagnostic.instead("preference NUMBER"));
        }
        _ => {}
    }
    refers_to_group(cx, &kept)?;
    Some(Setting { keyword: "", span: statement.span(), value: Value::None, block: kept })
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
            if name == "to" {
                continue;
            }
            if TYPES.contains(&name) {
                self.push(name, word, Value::None);
                continue;
            }
            match keywords::find(self.place, name) {
                Some(keyword) if matches!(name, "nexthop" | "encap") => {
                    // The rest of the line describes it.
                    let rest = words.iter().map(|w| w.text.clone()).collect();
                    self.push(keyword.name, word, Value::Words(rest));
                    return Some(());
                }
                Some(_) => self.option(word, &mut words)?,
                None if self.destination.is_none() => self.destination = Some(self.prefix(word)?),
                None => return self.refuse(word),
            }
        }
        Some(())
    }

    fn rule(&mut self, mut words: &[Word]) -> Option<()> {
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            match word.text.as_str() {
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

    /// An unknown word: keepalived leaves the whole line out.
    fn refuse(&mut self, word: &Word) -> Option<()> {
        let title = format!("`{}` is not understood here", shortened(&word.text));
        self.cx.tell(Code::BadValue, word.span, title, "the whole line is left out, as in keepalived");
        None
    }
}
