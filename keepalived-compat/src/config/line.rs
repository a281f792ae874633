//! Lines of lists: what is tracked, addresses, routes, rules, plain names.

use super::setting::{Setting, Value};
use super::value::shortened;
use super::{Context, route};
use crate::keywords::{self, Place};
use crate::lexer::Word;
use crate::tree::Statement;
use crate::{Code, Diagnostic};

/// Reads the lines of a list; what keepalived leaves out is said and left out.
pub(super) fn read(cx: &mut Context, place: Place, body: &[Statement]) -> Vec<Setting> {
    let mut kept: Vec<Setting> = Vec::new();
    for statement in body {
        let line = match place {
            Place::Words => {
                kept.extend(statement.words.iter().map(name));
                continue;
            }
            Place::VirtualRoutes | Place::StaticRoutes => route::route(cx, place, statement),
            Place::VirtualRules | Place::StaticRules => route::rule(cx, place, statement),
            Place::StaticAddress => address(cx, place, statement),
            Place::Delays => delays(cx, statement),
            _ => tracked(cx, place, statement, &kept),
        };
        kept.extend(line);
    }
    kept
}

fn name(word: &Word) -> Setting {
    Setting { keyword: "", span: word.span, value: Value::Text(word.text.clone()), block: Vec::new() }
}

/// `NAME [weight N] [reverse]`: a reference to something that is defined above.
fn tracked(cx: &mut Context, place: Place, statement: &Statement, before: &[Setting]) -> Option<Setting> {
    let word = statement.keyword();
    let refers = match place {
        Place::TrackScript | Place::SyncTrackScript => Some(("track_script", "vrrp_script")),
        Place::TrackFiles | Place::SyncTrackFiles => Some(("track_file", "track_file")),
        Place::TrackProcesses | Place::SyncTrackProcesses => Some(("track_process", "vrrp_track_process")),
        Place::TrackBfd | Place::SyncTrackBfd => Some(("track_bfd", "bfd_instance")),
        _ => None,
    };
    if let Some((keyword, block)) = refers {
        if !cx.defined.contains(&(keyword, word.text.clone())) {
            let title = format!("the {block} `{}` is not defined above", shortened(&word.text));
            let diagnostic = Diagnostic::new(Code::UnknownName, statement.span(), title, "it is not tracked");
            cx.say(diagnostic.instead(format!("put its {block} block before this one")));
            return None;
        }
        if let Some(first) = before.iter().find(|s| s.name() == Some(&word.text)) {
            let title = format!("`{}` is tracked twice", shortened(&word.text));
            let diagnostic = Diagnostic::new(Code::Duplicate, word.span, title, "the second is left out");
            cx.say(diagnostic.related(first.span, "first tracked here"));
            return None;
        }
    }
    let weighs = refers.is_some() || place == Place::SyncTrackInterface;
    if weighs && !weighed(cx, place, statement) {
        return None;
    }
    let block = options(cx, place, statement.arguments());
    Some(Setting { span: statement.span(), block, ..name(word) })
}

/// Is what follows the name of something tracked a weight? keepalived leaves out the whole line if it is not (said), as
/// when somebody writes several names on one line.
pub(super) fn weighed(cx: &mut Context, place: Place, statement: &Statement) -> bool {
    let Some(word) = statement.arguments().first() else { return true };
    let name = shortened(&statement.keyword().text);
    let now = format!("the line is left out, as in keepalived: `{name}` is not tracked");
    if word.text != "weight" {
        let title = format!("`{}` cannot follow `{name}`", shortened(&word.text));
        let diagnostic = Diagnostic::new(Code::UnknownKeyword, word.span, title, now);
        let advice = if keywords::find(place, &word.text).is_some() {
            format!("{name} weight NUMBER {}", word.text)
        } else {
            "each name on a line of its own, with `weight NUMBER` behind it if it has one".to_owned()
        };
        cx.say(diagnostic.instead(advice));
    } else if statement.arguments().len() < 2 {
        let diagnostic = Diagnostic::new(Code::BadValue, word.span, "`weight` lacks a word", now);
        cx.say(diagnostic.instead("weight NUMBER"));
    } else {
        return true;
    }
    false
}

/// `IFNAME DOWN [UP]` of `interface_up_down_delays`: seconds from 0 to 255.
fn delays(cx: &mut Context, statement: &Statement) -> Option<Setting> {
    const LONGEST: u64 = 255;
    let words = statement.arguments();
    if words.is_empty() {
        let title = "an interface without its delay";
        cx.tell(Code::MissingWord, statement.span(), title, "the configuration is refused, as in keepalived");
        return None;
    }
    for word in words.iter().take(2) {
        if super::value::seconds(&word.text).is_none_or(|d| d.as_secs() > LONGEST) {
            cx.bad_so(word, "interface_up_down_delays", "seconds from 0 to 255", "the line is left out");
            return None;
        }
    }
    let times = words.iter().map(|w| w.text.clone()).collect();
    let times = Setting { value: Value::Words(times), ..name(statement.keyword()) };
    Some(Setting { span: statement.span(), block: vec![times], ..name(statement.keyword()) })
}

/// `ADDR[/LEN] [dev IF] ...` of `static_ipaddress`.
fn address(cx: &mut Context, place: Place, statement: &Statement) -> Option<Setting> {
    let address = super::vrrp::VirtualAddress::read(cx, place, statement)?;
    refers_to_group(cx, &address.others);
    Some(address.into_setting())
}

/// Says when `track_group` names none that is defined above.
pub(super) fn refers_to_group(cx: &mut Context, options: &[Setting]) {
    let Some(group) = options.iter().find(|o| o.keyword == "track_group") else { return };
    let name = group.name().unwrap_or_default().to_owned();
    if cx.defined.contains(&("track_group", name.clone())) {
        return;
    }
    let title = format!("the track_group `{}` is not defined above", shortened(&name));
    let diagnostic =
        Diagnostic::new(Code::UnknownName, group.span, title, "the line is kept, nothing is tracked");
    cx.say(diagnostic.instead("put its track_group block before this one"));
}

/// Options of a line by the table; unknown ones are said.
pub(super) fn options(cx: &mut Context, place: Place, mut words: &[Word]) -> Vec<Setting> {
    let mut kept = Vec::new();
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        let reverse = matches!(word.text.as_str(), "reverse" | "noreverse");
        match keywords::find(place, &word.text) {
            Some(_) if reverse && kept.last().is_none_or(|k: &Setting| k.keyword != "weight") => {
                cx.unknown_option(place, word);
            }
            Some(keyword) if keyword.words > words.len() => {
                let title = format!("`{}` lacks a word", keyword.name);
                cx.tell(
                    Code::BadValue,
                    word.span,
                    title,
                    "the word is left out, the rest of the line is kept",
                );
            }
            Some(keyword) => {
                let value = cx.value(keyword, word, &mut words);
                kept.extend(value.map(|v| Setting {
                    keyword: keyword.name,
                    span: word.span,
                    value: v,
                    block: Vec::new(),
                }));
            }
            None => cx.unknown_option(place, word),
        }
    }
    kept
}
