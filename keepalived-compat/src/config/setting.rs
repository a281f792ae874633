//! Settings: keywords with their checked values, read by the shape that the keyword table gives.
//!
//! What holdfast executes has fields of its own ([`super::vrrp::Settings`] and the like). Everything else that
//! keepalived knows is kept here, in the order of the file: a reader of a later behaviour finds it typed, and
//! whoever prints the configuration finds all of it.

use super::Context;
use super::line;
use super::lvs::{SyncDaemon, Timeouts, daemon};
use super::value::{address, boolean, seconds, shortened};
use super::vrrp::{HmacKey, Ipvlan, Vmac, hmac, is_interface_name, link};
use crate::command::{self, Account, Command, SplitError};
use crate::keywords::{self, Keyword, Opens, Place, Shape};
use crate::lexer::Word;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use crate::{Code, Diagnostic};
use std::net::IpAddr;
use std::time::Duration;

/// A keyword with its value and what is in its braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The keyword; empty for a line that begins with a name or an address.
    pub keyword: &'static str,
    /// Where it is written.
    pub span: Span,
    /// What follows it. For a line without a keyword: its first word.
    pub value: Value,
    /// Statements or lines in its braces; for a line, its options.
    pub block: Vec<Setting>,
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing follows.
    None,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A time.
    Time(Duration),
    /// A word.
    Text(String),
    /// Some words.
    Words(Vec<String>),
    /// An address.
    Address(IpAddr),
    /// A prefix; [`None`] is `default`, `any` or `all`.
    Prefix(Option<(IpAddr, Option<u8>)>),
    /// A command and the account that runs it.
    Command(Box<Command>),
    /// An account.
    Account(Box<Account>),
    /// A weight, and the word after it: true for `reverse`, false for `noreverse`.
    Weight(i64, Option<bool>),
    /// `use_vmac`.
    Vmac(Box<Vmac>),
    /// `use_ipvlan`.
    Ipvlan(Box<Ipvlan>),
    /// `key` of `auth_hmac`.
    HmacKey(Box<HmacKey>),
    /// `lvs_sync_daemon`.
    SyncDaemon(Box<SyncDaemon>),
    /// `lvs_timeouts`.
    Timeouts(Box<Timeouts>),
    /// `include_check`; empty means all of them.
    Includes(Vec<IncludeChange>),
    /// Words of a fixed set.
    Names(Vec<&'static str>),
}

/// A word of `include_check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncludeChange {
    /// How it changes what held before.
    pub change: Change,
    /// `read`, `match`, `wildcard_match` or `brace_match`.
    pub check: &'static str,
}

/// The sign before a word of `include_check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// None: the first of the line switches all others off.
    Set,
    /// `+`
    Add,
    /// `-`
    Remove,
}

/// Finds settings by their keyword.
pub trait Settings {
    /// The last one, which is the one that counts.
    fn find(&self, keyword: &str) -> Option<&Setting>;

    /// Its number.
    fn number(&self, keyword: &str) -> Option<i64> {
        match self.find(keyword)?.value {
            Value::Number(number) | Value::Weight(number, _) => Some(number),
            _ => None,
        }
    }

    /// Its word.
    fn text(&self, keyword: &str) -> Option<&str> {
        match &self.find(keyword)?.value {
            Value::Text(text) => Some(text),
            Value::Command(command) => Some(&command.text),
            _ => None,
        }
    }

    /// Its command.
    fn command(&self, keyword: &str) -> Option<&Command> {
        match &self.find(keyword)?.value {
            Value::Command(command) => Some(command),
            _ => None,
        }
    }

    /// Its account.
    fn account(&self, keyword: &str) -> Option<&Account> {
        match &self.find(keyword)?.value {
            Value::Account(account) => Some(account),
            _ => None,
        }
    }

    /// Its time.
    fn time(&self, keyword: &str) -> Option<Duration> {
        match self.find(keyword)?.value {
            Value::Time(time) => Some(time),
            _ => None,
        }
    }

    /// Does it stand there, and does it not say `off`?
    fn is_on(&self, keyword: &str) -> bool {
        self.find(keyword).is_some_and(|s| s.value != Value::Bool(false))
    }
}

impl Settings for [Setting] {
    fn find(&self, keyword: &str) -> Option<&Setting> {
        self.iter().rev().find(|s| s.keyword == keyword)
    }
}

impl Setting {
    /// The name that the block or line begins with.
    pub fn name(&self) -> Option<&str> {
        match &self.value {
            Value::Text(name) => Some(name),
            Value::Words(words) => words.first().map(String::as_str),
            _ => None,
        }
    }

    /// The name with its place, for messages.
    pub(super) fn named(&self) -> Option<Spanned<String>> {
        self.name().map(|name| Spanned::new(name.to_owned(), self.span))
    }
}

impl Context<'_> {
    /// Reads a statement by its shape; `None` (said) when keepalived leaves it out.
    pub(super) fn setting(&mut self, keyword: &'static Keyword, statement: &Statement) -> Option<Setting> {
        let word = statement.keyword();
        let mut words = statement.arguments();
        let value = self.value(keyword, word, &mut words)?;
        let block = match keyword.opens {
            Opens::Nothing => Vec::new(),
            Opens::Block(place) => self.settings(place, statement.body()),
            Opens::List(place) => line::read(self, place, statement.body()),
        };
        Some(Setting { keyword: keyword.name, span: statement.span(), value, block })
    }

    /// A block of which nothing is executed.
    pub(super) fn settings(&mut self, place: Place, body: &[Statement]) -> Vec<Setting> {
        self.each(place, body, Self::kept)
    }

    /// The value at the front of `words`, which is moved behind it.
    pub(super) fn value(&mut self, keyword: &Keyword, head: &Word, words: &mut &[Word]) -> Option<Value> {
        if matches!(keyword.shape, Shape::Flag) {
            return Some(Value::None);
        }
        let all = *words;
        if let Some(value) = self.grammar(keyword, head, all) {
            *words = &[];
            return value;
        }
        let first = take(words);
        let Some(word) = first else { return self.absent(keyword, head) };
        let wanted = || format!("{} {}", keyword.name, keyword.arguments);
        let value = match keyword.shape {
            Shape::Weight(most) => return self.weight(keyword, word, words, most),
            Shape::Clamped(low, high) => {
                let clamped = digits(&word.text).map(|n| n.clamp(low, high));
                if let Some(used) = clamped.filter(|n| digits(&word.text) != Some(*n)) {
                    let title = format!("`{}` is not from {low} to {high}", shortened(&word.text));
                    self.tell(Code::Adjusted, word.span, title, format!("{used} is used, as in keepalived"));
                }
                clamped.map(Value::Number)
            }
            Shape::Cut(most) => {
                let number = digits(&word.text).filter(|n| n.abs() <= most + 1);
                if number.is_some_and(|n| n.abs() > most) {
                    let title = format!("a weight is at most {most}");
                    self.tell(Code::Adjusted, word.span, title, format!("{most} is used, as in keepalived"));
                }
                number.map(|n| Value::Number(n.clamp(-most, most)))
            }
            Shape::Command | Shape::MaybeCommand => {
                return self.command(keyword, word, std::mem::take(words)).map(Value::Command);
            }
            Shape::User => {
                *words = &[];
                Account::read(all).map(|account| Value::Account(Box::new(account)))
            }
            Shape::Pattern => match command::unescape(&word.text) {
                Ok(pattern) => Some(Value::Text(pattern)),
                Err(error) => return self.broken(keyword, word, error),
            },
            Shape::Words | Shape::Hex | Shape::Rest => {
                *words = &[];
                self.many(keyword, all)
            }
            Shape::ExtraInterface => {
                let number = if word.text == "all" { take(words) } else { first };
                let used = digits(&number?.text).filter(|n| (0..=86_400).contains(n));
                used.map(|n| {
                    if word.text == "all" { vec!["all".into(), n.to_string()] } else { vec![n.to_string()] }
                })
                .map(Value::Words)
            }
            Shape::Locked if word.text == "lock" => {
                let value = take(words).filter(|n| metric(keyword.name, &n.text));
                value.map(|n| Value::Words(vec!["lock".to_owned(), n.text.clone()]))
            }
            Shape::Gateway if matches!(word.text.as_str(), "inet" | "inet6" | "to") => {
                let address = take(words)?;
                let family = word.text.clone();
                let read = self.address(address, keyword.name)?;
                return Some(Value::Words(vec![family, read.to_string()]));
            }
            Shape::Locked => metric(keyword.name, &word.text).then(|| Value::Text(word.text.clone())),
            shape => plain(shape, &word.text),
        };
        if value.is_none() {
            self.bad(word, keyword.name, &wanted());
        }
        value
    }

    /// The value of a keyword that has a grammar of its own for the rest of its line; `None` for the others, and
    /// inside it (said) when keepalived leaves the line out.
    fn grammar(&mut self, keyword: &Keyword, head: &Word, words: &[Word]) -> Option<Option<Value>> {
        Some(match keyword.shape {
            Shape::Vmac => Some(Value::Vmac(Box::new(link::vmac(self, keyword, words)))),
            Shape::Ipvlan => Some(Value::Ipvlan(Box::new(link::ipvlan(self, keyword, words)))),
            Shape::HmacKey => hmac::key(self, keyword, words).map(|key| Value::HmacKey(Box::new(key))),
            Shape::SyncDaemon => {
                daemon::sync_daemon(self, keyword, words).map(|daemon| Value::SyncDaemon(Box::new(daemon)))
            }
            Shape::Timeouts => {
                daemon::timeouts(self, keyword, head, words).map(|t| Value::Timeouts(Box::new(t)))
            }
            Shape::IncludeCheck => Some(Value::Includes(self.include_check(keyword, words))),
            Shape::Names(place) => self.names(keyword, place, words).map(Value::Names),
            _ => return None,
        })
    }

    fn include_check(&mut self, keyword: &Keyword, words: &[Word]) -> Vec<IncludeChange> {
        let mut changes = Vec::new();
        for word in words {
            let name = word.text.trim_start_matches(['+', '-']);
            let change = match word.text.as_bytes().first() {
                Some(b'+') => Change::Add,
                Some(b'-') => Change::Remove,
                _ => Change::Set,
            };
            match keywords::find(Place::IncludeCheck, name) {
                Some(known) => changes.push(IncludeChange { change, check: known.name }),
                None => self.bad(word, keyword.name, keyword.arguments),
            }
        }
        changes
    }

    /// Words that the table knows at a place; `None` (said) when one is none of them.
    fn names(&mut self, keyword: &Keyword, place: Place, words: &[Word]) -> Option<Vec<&'static str>> {
        let mut names = Vec::new();
        for word in words {
            let Some(known) = keywords::find(place, &word.text) else {
                self.bad(word, keyword.name, "options of a regular expression, like caseless");
                return None;
            };
            names.push(known.name);
        }
        Some(names)
    }

    /// A command; `None` when it is empty, and (said) when it cannot be split.
    fn command(&mut self, keyword: &Keyword, word: &Word, account: &[Word]) -> Option<Box<Command>> {
        let argv = match command::split(&word.text) {
            Ok(argv) => argv,
            Err(error) => return self.broken(keyword, word, error),
        };
        if argv.is_empty() {
            let title = format!("`{}` names no program", keyword.name);
            self.tell(Code::NoEffect, word.span, title, "nothing is run");
            return None;
        }
        // Of the words behind `script` and `misc_path` keepalived takes no notice.
        let account = Account::read(account).filter(|_| keyword.arguments.contains("USER"));
        Some(Box::new(Command { text: word.text.clone(), argv, account }))
    }

    fn broken<T>(&mut self, keyword: &Keyword, word: &Word, error: SplitError) -> Option<T> {
        let title = format!("`{}` cannot be read: {error}", keyword.name);
        let now = "the line is left out, as in keepalived";
        let advice = "'...' around an argument with blanks; \\\\ for a backslash, \\' and \\\" for quotes";
        self.say(Diagnostic::new(Code::Quote, word.span, title, now).instead(advice));
        None
    }

    /// What a keyword without the words that may follow it means.
    fn absent(&mut self, keyword: &Keyword, head: &Word) -> Option<Value> {
        match keyword.shape {
            Shape::Bool => Some(Value::Bool(true)),
            Shape::ExtraInterface => {
                self.bad(head, keyword.name, &format!("{} {}", keyword.name, keyword.arguments));
                None
            }
            _ if keyword.words == 0 => Some(Value::None),
            _ => {
                let title = format!("`{}` lacks a word", keyword.name);
                self.tell(
                    Code::MissingWord,
                    head.span,
                    title,
                    "the configuration is refused, as in keepalived",
                );
                None
            }
        }
    }

    fn weight(&mut self, keyword: &Keyword, word: &Word, words: &mut &[Word], most: i64) -> Option<Value> {
        let Some(weight) = digits(&word.text).filter(|n| n.abs() <= most) else {
            self.bad(word, keyword.name, &format!("{} {}", keyword.name, keyword.arguments));
            return None;
        };
        let reverse = words.first().and_then(|w| match w.text.as_str() {
            "reverse" => Some(true),
            "noreverse" => Some(false),
            _ => None,
        });
        if reverse.is_some() {
            take(words);
        }
        Some(Value::Weight(weight, reverse))
    }

    fn many(&mut self, keyword: &Keyword, words: &[Word]) -> Option<Value> {
        let hex = |w: &Word| {
            let text = w.text.strip_prefix("0x").unwrap_or(&w.text);
            let wild = keyword.words == 0;
            text.bytes().all(|b| b.is_ascii_hexdigit() || (wild && matches!(b, b'x' | b'X')))
        };
        if keyword.shape == Shape::Hex
            && let Some(word) = words.iter().find(|w| !hex(w))
        {
            self.bad(word, keyword.name, "bytes in hexadecimal, like 0102ff");
            return None;
        }
        Some(Value::Words(texts(words)))
    }
}

/// What holds when the keyword is not written at this place, typed; `None` where that depends on something else.
pub fn default(place: Place, keyword: &str) -> Option<Value> {
    let text = keywords::default(place, keyword)?;
    match keywords::find(place, keyword)?.shape {
        Shape::Weight(_) => digits(text).map(|weight| Value::Weight(weight, None)),
        Shape::Clamped(..) | Shape::Cut(_) => digits(text).map(Value::Number),
        shape => plain(shape, text),
    }
}

/// A value of one word.
pub(super) fn plain(shape: Shape, text: &str) -> Option<Value> {
    let one = |list: &[&str]| list.contains(&text).then(|| Value::Text(text.to_owned()));
    let within = |d: Duration, low: u64, high: u64| {
        let micros = u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        (low..=high).contains(&micros).then_some(Value::Time(d))
    };
    match shape {
        Shape::Bool => boolean(text).map(Value::Bool),
        Shape::Number(low, high) | Shape::MaybeNumber(low, high) => {
            digits(text).filter(|n| (low..=high).contains(n)).map(Value::Number)
        }
        Shape::AnyBase(low, high) => any_base(text).filter(|n| (low..=high).contains(n)).map(Value::Number),
        Shape::Seconds(low, high) => {
            let count = text.parse::<u32>().ok().filter(|n| (low..=high).contains(n))?;
            Some(Value::Time(Duration::from_secs(u64::from(count))))
        }
        Shape::Decimal(low, high) => within(seconds(text)?, low, high),
        Shape::Millis(low, high) => within(seconds(text)? / 1000, low, high),
        Shape::OneOf(list) | Shape::MaybeOneOf(list) => one(list),
        Shape::AnyCase(list) => {
            list.iter().find(|w| w.eq_ignore_ascii_case(text)).map(|w| Value::Text((*w).to_owned()))
        }
        Shape::Address | Shape::Gateway => address(text).map(Value::Address),
        Shape::Prefix => prefix(text).map(Value::Prefix),
        Shape::Interface => is_interface_name(text).then(|| Value::Text(text.to_owned())),
        Shape::Named(most) => {
            let name = text.starts_with(|c: char| c.is_ascii_alphabetic());
            let fits = any_base(text).map_or(name, |n| (0..=most).contains(&n));
            fits.then(|| Value::Text(text.to_owned()))
        }
        Shape::Span => {
            let (low, high) = text.split_once('-')?;
            let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
            (low <= high).then(|| Value::Text(text.to_owned()))
        }
        Shape::Realms => {
            let fits = |n: &str| plain(Shape::Named(255), n).is_some();
            text.split('/').count().le(&2).then_some(())?;
            text.split('/').all(fits).then(|| Value::Text(text.to_owned()))
        }
        Shape::Mark => {
            let (mark, mask) = text.split_once('/').unwrap_or((text, "0"));
            let fits = |n: &str| any_base(n).is_some_and(|n| (0..=i64::from(u32::MAX)).contains(&n));
            (fits(mark) && fits(mask)).then(|| Value::Text(text.to_owned()))
        }
        _ => Some(Value::Text(text.to_owned())),
    }
}

/// `ADDR[/LEN]`, or `None` inside for `default`, `any` and `all`.
fn prefix(text: &str) -> Option<Option<(IpAddr, Option<u8>)>> {
    if matches!(text, "default" | "any" | "all") {
        return Some(None);
    }
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length {
        None => Some(Some((address, None))),
        Some(length) => {
            let length = length.parse().ok().filter(|l: &u8| *l <= most)?;
            Some(Some((address, Some(length))))
        }
    }
}

/// Is it a metric of a route: a number, perhaps with a unit of time, or the name of a congestion control?
fn metric(keyword: &str, text: &str) -> bool {
    let number = match keyword {
        "congctl" => return !text.is_empty(),
        "rtt" | "rttvar" | "rto_min" => text.trim_end_matches(|c: char| c.is_ascii_alphabetic()),
        _ => text,
    };
    digits(number).is_some_and(|n| (0..=i64::from(u32::MAX)).contains(&n))
}

fn digits(text: &str) -> Option<i64> {
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

/// A number as C's `strtoul` reads it with base 0.
fn any_base(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8).ok(),
        None => digits(text),
    }
}

fn take<'w>(words: &mut &'w [Word]) -> Option<&'w Word> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    Some(first)
}

fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|w| w.text.clone()).collect()
}

/// Says that a block is left out.
pub(super) fn removed(cx: &mut Context, span: Span, title: String, advice: &str) {
    let diagnostic = Diagnostic::new(Code::BadValue, span, title, "it is left out, as in keepalived");
    cx.say(diagnostic.instead(advice));
}
