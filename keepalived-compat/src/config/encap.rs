//! `encap ...` and `nexthop ...` of a route line.

use super::Context;
use super::setting::{Setting, Settings, Value, plain};
use super::value::shortened;
use crate::Code;
use crate::keywords::{self, Place, Shape};
use crate::lexer::Word;

/// What describes a tunnel of `encap ip`, and how each is read (tried with keepalived 2.2.7).
const TUNNEL4: &[(&str, Shape)] = &[
    ("id", Shape::Number(0, i64::MAX)),
    ("dst", Shape::Address),
    ("src", Shape::Address),
    ("tos", Shape::Named(255)),
    ("ttl", Shape::Number(0, 255)),
    ("hoplimit", Shape::Number(0, 255)),
    ("flags", Shape::Number(0, 65_535)),
];
/// The same for `encap ip6`.
const TUNNEL6: &[(&str, Shape)] = &[
    ("id", Shape::Number(0, i64::MAX)),
    ("dst", Shape::Address),
    ("src", Shape::Address),
    ("tc", Shape::Named(255)),
    ("hoplimit", Shape::Number(0, 255)),
    ("flags", Shape::Number(0, 65_535)),
];
/// What describes a next hop.
const HOP: &[&str] = &["via", "dev", "oif", "weight", "onlink", "encap", "realms"];
/// Shares of a next hop.
const MOST_WEIGHT: u32 = 256;

/// `ip|ip6 OPTION...`, `mpls LABELS` or `ila LOCATOR`; `None` (said) when keepalived leaves the route out. The value
/// is the type, its description stands in the block.
pub(super) fn encap(cx: &mut Context, head: &Word, words: &mut &[Word]) -> Option<Setting> {
    let kind = take(words).and_then(|w| keywords::find(Place::RouteEncap, &w.text));
    let Some(kind) = kind else { return refuse(cx, head, "`encap` is followed by ip, ip6, mpls or ila") };
    let mut block = Vec::new();
    if matches!(kind.name, "mpls" | "ila") {
        let Some(word) = take(words) else { return refuse(cx, head, "`encap` lacks its label or locator") };
        let label = |l: &str| l.parse::<u32>().is_ok_and(|l| l < 1 << 20);
        if kind.name == "mpls" && !word.text.split('/').all(label) {
            return refuse(cx, word, "labels are numbers below 1048576");
        }
        let group = |g: &str| (1..=4).contains(&g.len()) && u16::from_str_radix(g, 16).is_ok();
        if kind.name == "ila" && !(word.text.split(':').count() == 4 && word.text.split(':').all(group)) {
            return refuse(cx, word, "a locator is four groups of hexadecimal digits, like 1:2:3:4");
        }
        block.push(setting(kind.name, word, Value::Text(word.text.clone())));
    } else {
        let (known, v6) = if kind.name == "ip6" { (TUNNEL6, true) } else { (TUNNEL4, false) };
        while let Some((name, shape)) = words.first().and_then(|w| known.iter().find(|t| t.0 == w.text)) {
            take(words);
            let Some(word) = take(words) else {
                return refuse(cx, head, "an option of `encap` lacks its value");
            };
            let value = plain(*shape, &word.text).filter(|value| match value {
                Value::Address(address) => address.is_ipv6() == v6,
                _ => true,
            });
            let Some(value) = value else {
                return refuse(cx, word, "it is no value of this option of `encap`");
            };
            block.push(setting(name, word, value));
        }
        if block.find("dst").is_none() && block.find("id").is_none() {
            return refuse(cx, head, "`encap ip` needs `dst` or `id`");
        }
    }
    Some(Setting { block, ..setting("encap", head, Value::Text(kind.name.to_owned())) })
}

/// All next hops up to the end of the line, each with its options in its block.
pub(super) fn nexthops(
    cx: &mut Context,
    place: Place,
    head: &Word,
    mut words: &[Word],
) -> Option<Vec<Setting>> {
    let mut hops = vec![setting("nexthop", head, Value::None)];
    while let Some(word) = take(&mut words) {
        if word.text == "nexthop" {
            hops.push(setting("nexthop", word, Value::None));
            continue;
        }
        let option = match word.text.as_str() {
            "encap" => encap(cx, word, &mut words)?,
            "weight" => {
                let weight = take(&mut words).and_then(|w| w.text.parse().ok());
                let Some(weight) = weight.filter(|w: &u32| (1..=MOST_WEIGHT).contains(w)) else {
                    return refuse(cx, word, "a weight is a number from 1 to 256");
                };
                setting("weight", word, Value::Number(i64::from(weight)))
            }
            name if HOP.contains(&name) => {
                let keyword = keywords::find(place, name)?;
                setting(keyword.name, word, cx.value(keyword, word, &mut words)?)
            }
            _ if hops.last().is_none_or(|hop| hop.block.is_empty()) => {
                return refuse(cx, word, "it does not describe a next hop");
            }
            // keepalived 2.2.7 sets the route with what it has read by then.
            _ => {
                let title = format!("`{}`: it does not describe a next hop", shortened(&word.text));
                let now = "it and the rest of the line are left out, as in keepalived";
                cx.tell(Code::BadValue, word.span, title, now);
                break;
            }
        };
        hops.last_mut().expect("one was put there above").block.push(option);
    }
    Some(hops)
}

fn setting(keyword: &'static str, word: &Word, value: Value) -> Setting {
    Setting { keyword, span: word.span, value, block: Vec::new() }
}

fn take<'w>(words: &mut &'w [Word]) -> Option<&'w Word> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    Some(first)
}

fn refuse<T>(cx: &mut Context, word: &Word, why: &str) -> Option<T> {
    let title = format!("`{}`: {why}", shortened(&word.text));
    cx.tell(Code::BadValue, word.span, title, "the whole line is left out, as in keepalived");
    None
}
