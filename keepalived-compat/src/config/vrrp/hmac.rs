//! `auth_hmac`: the keys that sign and check the advertisements of an instance.

use super::super::Context;
use super::super::setting::{Setting, Settings as _, Value};
use super::super::value::shortened;
use crate::keywords::Keyword;
use crate::lexer::Word;
use crate::source::encode;
use crate::{Code, Diagnostic};
use std::fmt;
use std::time::Duration;

/// Octets of a key.
pub const KEY_OCTETS: std::ops::RangeInclusive<usize> = 32..=64;

/// An `auth_hmac` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthHmac {
    /// The keys, each number once.
    pub keys: Vec<HmacKey>,
    /// `active_key`: the key that signs.
    pub active: Option<u8>,
    /// `time_window`, 1 s to 300 s; three advertisement intervals, 5 s at least and 300 s at most, when not written.
    pub window: Option<Duration>,
    /// `anti_replay`.
    pub anti_replay: AntiReplay,
    /// `mode`.
    pub mode: HmacMode,
}

/// What makes an advertisement fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AntiReplay {
    /// A mark that grows, within the window of the receiver's clock.
    #[default]
    Time,
    /// A mark that grows.
    Monotonic,
}

/// How far a migration has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HmacMode {
    /// Signs, and refuses what is not signed.
    #[default]
    Enforce,
    /// Signs, and takes what is not signed.
    Permissive,
    /// Does not sign, and takes what is not signed.
    ReceiveOnly,
}

/// A key and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacKey {
    /// 1 to 255, the same on all nodes.
    pub id: u8,
    /// The key itself.
    pub secret: HmacSecret,
}

/// Where the octets of a key are.
#[derive(Clone, PartialEq, Eq)]
pub enum HmacSecret {
    /// Here: 32 to 64 of them.
    Octets(Vec<u8>),
    /// In this file, see [`HmacSecret::of_file`].
    File(String),
}

impl HmacSecret {
    /// The octets of a key as a file holds it: the text that could stand in the configuration, its last end of line
    /// aside. An error says what is wrong with it, as the rest of a sentence that begins with the file's name.
    pub fn of_file(content: &[u8]) -> Result<Vec<u8>, String> {
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        octets(content)
    }
}

/// Keys are not for logs.
impl fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HmacSecret::Octets(octets) => write!(f, "{} octets", octets.len()),
            HmacSecret::File(name) => write!(f, "file {name}"),
        }
    }
}

impl AuthHmac {
    /// The key that signs; without one the instance can neither sign nor check, and must not run.
    pub fn active_key(&self) -> Option<&HmacKey> {
        self.keys.iter().find(|key| Some(key.id) == self.active)
    }

    fn of(block: &[Setting]) -> AuthHmac {
        let mut hmac = AuthHmac::default();
        for setting in block {
            match (setting.keyword, &setting.value) {
                ("key", Value::HmacKey(key)) if hmac.keys.iter().all(|k| k.id != key.id) => {
                    hmac.keys.push((**key).clone());
                }
                ("active_key", Value::Number(id)) => hmac.active = u8::try_from(*id).ok(),
                ("time_window", Value::Time(window)) => hmac.window = Some(*window),
                ("anti_replay", Value::Text(text)) if text == "monotonic" => {
                    hmac.anti_replay = AntiReplay::Monotonic;
                }
                ("anti_replay", _) => hmac.anti_replay = AntiReplay::Time,
                ("mode", Value::Text(text)) => {
                    hmac.mode = match text.as_str() {
                        "permissive" => HmacMode::Permissive,
                        "receive-only" => HmacMode::ReceiveOnly,
                        _ => HmacMode::Enforce,
                    }
                }
                _ => {}
            }
        }
        hmac
    }
}

impl super::Settings {
    /// `auth_hmac`; look at [`AuthHmac::active_key`] before the instance is run.
    pub fn hmac(&self) -> Option<AuthHmac> {
        self.others.find("auth_hmac").map(|setting| AuthHmac::of(&setting.block))
    }
}

/// `ID VALUE` after `key`; `None` (said) when it is not a key.
pub(in crate::config) fn key(cx: &mut Context, keyword: &Keyword, words: &[Word]) -> Option<HmacKey> {
    let bad = |cx: &mut Context, word: &Word, what: &str| {
        let title = format!("`key`: {what}");
        let now = "the key is left out: it neither signs nor checks";
        cx.say(
            Diagnostic::new(Code::BadValue, word.span, title, now)
                .instead(format!("key {}", keyword.arguments)),
        );
        None
    };
    let number = words.first()?;
    let Some(id) = number.text.parse().ok().filter(|id| *id != 0) else {
        return bad(cx, number, &format!("`{}` is not a number from 1 to 255", shortened(&number.text)));
    };
    let Some(value) = words.get(1) else {
        return bad(cx, number, "the key itself is missing");
    };
    if let Some(file) = value.text.strip_prefix("file:") {
        if file.is_empty() {
            return bad(cx, value, "`file:` without a path");
        }
        return Some(HmacKey { id, secret: HmacSecret::File(file.to_owned()) });
    }
    match octets(&encode(&value.text)) {
        Ok(octets) => Some(HmacKey { id, secret: HmacSecret::Octets(octets) }),
        Err(why) => bad(cx, value, &format!("the key {why}")),
    }
}

/// A key as it is written: `hex:` and digits, or the octets themselves.
fn octets(text: &[u8]) -> Result<Vec<u8>, String> {
    let octets = match text.strip_prefix(b"hex:") {
        Some(digits) => hexadecimal(digits).ok_or("has something else than pairs of digits after `hex:`")?,
        None => text.to_vec(),
    };
    if KEY_OCTETS.contains(&octets.len()) {
        return Ok(octets);
    }
    Err(format!("has {} octets instead of {} to {}", octets.len(), KEY_OCTETS.start(), KEY_OCTETS.end()))
}

fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |d: &u8| char::from(*d).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// Says when the block cannot do what it is there for.
pub(in crate::config) fn complete(cx: &mut Context, setting: &Setting) {
    let mut seen = Vec::new();
    for (id, span) in setting.block.iter().filter_map(|s| match &s.value {
        Value::HmacKey(key) => Some((key.id, s.span)),
        _ => None,
    }) {
        if seen.contains(&id) {
            let title = format!("the key {id} is written already");
            cx.tell(Code::Duplicate, span, title, "the first one counts");
        }
        seen.push(id);
    }
    let hmac = AuthHmac::of(&setting.block);
    let title = match (hmac.keys.is_empty(), hmac.active) {
        (true, _) => "`auth_hmac` has no key".to_owned(),
        (false, None) => "`auth_hmac` has no `active_key`".to_owned(),
        (false, Some(id)) if hmac.active_key().is_none() => {
            format!("`active_key {id}` names no key of the block")
        }
        _ => return,
    };
    let now = "the instance stays in FAULT: its peers would not take its advertisements";
    cx.say(
        Diagnostic::new(Code::BadValue, setting.span, title, now)
            .instead("auth_hmac { key 1 VALUE  active_key 1 }"),
    );
}
