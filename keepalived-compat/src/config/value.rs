//! Words to values: numbers, seconds, booleans, addresses, as keepalived reads them.

use super::context::Context;
use crate::diagnostics::{Code, Diagnostic};
use crate::lexer::Word;
use crate::tree::Statement;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A count of seconds that no setting exceeds, so that durations never overflow.
pub(crate) const MOST_SECONDS: u64 = 4_294_967_295;

/// Is the word a boolean? Exact lower case only.
pub(crate) fn boolean(word: &str) -> Option<bool> {
    match word {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

impl Context<'_> {
    pub(crate) fn bad(&mut self, word: &Word, keyword: &str, wanted: &str) {
        self.bad_so(
            word,
            keyword,
            wanted,
            "the line has no effect, the default or what was set before stays",
        );
    }

    /// As [`Self::bad`] where something else happens.
    pub(crate) fn bad_so(&mut self, word: &Word, keyword: &str, wanted: &str, now: &str) {
        let title = format!("`{}` is not valid for `{keyword}`", shortened(&word.text));
        self.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(plainly(wanted, word)));
    }

    /// The number after the keyword, or `fallback` (said) when it is not one: keepalived forgets what was set before.
    pub(crate) fn argument_or(
        &mut self,
        statement: &Statement,
        range: RangeInclusive<u64>,
        fallback: u64,
    ) -> u64 {
        let keyword = &statement.keyword().text;
        let Some(word) = statement.arguments().first() else { return fallback };
        if leading(&word.text, &range).is_some() {
            return self.number(word, keyword, range).unwrap_or(fallback);
        }
        let wanted = format!("{keyword} followed by a number from {} to {}", range.start(), range.end());
        self.bad_so(word, keyword, &wanted, &format!("{fallback} is used, as in keepalived"));
        fallback
    }

    /// A decimal number. Rubbish after digits that fit is said and survived, as in keepalived.
    pub(crate) fn number(&mut self, word: &Word, keyword: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("{keyword} followed by a number from {} to {}", range.start(), range.end());
        let Some(value) = leading(&word.text, &range) else {
            self.bad(word, keyword, &wanted);
            return None;
        };
        if !unsigned(&word.text).bytes().all(|b| b.is_ascii_digit()) {
            let title = format!("`{}` is not a number", shortened(&word.text));
            let now = format!("{value} is used");
            let advice = plainly(&wanted, word);
            self.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(advice));
        }
        Some(value)
    }

    /// The number after the keyword.
    pub(crate) fn argument(&mut self, statement: &Statement, range: RangeInclusive<u64>) -> Option<u64> {
        let keyword = statement.keyword().text.clone();
        statement.arguments().first().and_then(|word| self.number(word, &keyword, range))
    }

    /// As [`Self::argument`] for values that fit in 32 bits.
    pub(crate) fn argument_u32(&mut self, statement: &Statement, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.argument(statement, range).and_then(|n| u32::try_from(n).ok())
    }

    /// A number with a sign.
    pub(crate) fn signed(&mut self, word: &Word, keyword: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value =
            word.text.strip_prefix('+').unwrap_or(&word.text).parse().ok().filter(|n| range.contains(n));
        if value.is_none() {
            let wanted = format!("{keyword} followed by a number from {} to {}", range.start(), range.end());
            self.bad(word, keyword, &wanted);
        }
        value
    }

    /// Decimal seconds after the keyword, to the microsecond.
    pub(crate) fn seconds(
        &mut self,
        statement: &Statement,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let keyword = statement.keyword().text.clone();
        let word = statement.arguments().first()?;
        let value = seconds(&word.text).filter(|d| range.contains(d));
        if value.is_none() {
            let (low, high) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            self.bad(
                word,
                &keyword,
                &format!("{keyword} followed by seconds from {low} to {high}, like 1 or 0.25"),
            );
        }
        value
    }

    /// Whole seconds after the keyword.
    pub(crate) fn whole_seconds(&mut self, statement: &Statement) -> Option<Duration> {
        self.argument(statement, 0..=MOST_SECONDS).map(Duration::from_secs)
    }

    /// An optional boolean after the keyword; absent means yes.
    pub(crate) fn flag(&mut self, statement: &Statement) -> Option<bool> {
        let keyword = statement.keyword().text.clone();
        let Some(word) = statement.arguments().first() else { return Some(true) };
        let value = boolean(&word.text);
        if value.is_none() {
            self.bad(word, &keyword, &format!("{keyword} alone, or followed by on or off"));
        }
        value
    }

    pub(crate) fn address(&mut self, word: &Word, keyword: &str) -> Option<IpAddr> {
        let value = address(&word.text);
        if value.is_none() {
            self.bad(word, keyword, "an address like 192.0.2.1 or 2001:db8::1");
        }
        value
    }

    /// The address after the keyword.
    pub(crate) fn argument_address(&mut self, statement: &Statement) -> Option<IpAddr> {
        let keyword = statement.keyword().text.clone();
        statement.arguments().first().and_then(|word| self.address(word, &keyword))
    }

    /// `ADDR[/PREFIX]`; the prefix is `None` when it is not written. An address that is not one is an error; a
    /// prefix that does not fit becomes the host prefix, as in keepalived; of `24,` the digits count.
    pub(crate) fn cidr(&mut self, word: &Word, keyword: &str) -> Option<(IpAddr, Option<u8>)> {
        let (address, prefix) = match word.text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word.text.as_str(), None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let wanted = "an address like 192.0.2.1/24 or 2001:db8::1/64";
            self.bad_so(word, keyword, wanted, "the address is left out");
            return None;
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let Some(prefix) = prefix else { return Some((address, None)) };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let fits = leading(prefix, &(0..=u64::from(longest))).and_then(|p| u8::try_from(p).ok());
        let used = fits.unwrap_or(longest);
        if !digits || fits.is_none() {
            let title = format!("the prefix length of `{}` is not 0 to {longest}", shortened(&word.text));
            self.tell(Code::BadValue, word.span, title, format!("/{used} is used"));
        }
        Some((address, Some(used)))
    }
}

/// The advice, with a word on what other languages write and this one does not.
fn plainly(wanted: &str, word: &Word) -> String {
    match word.text.chars().next_back() {
        Some(sign @ ('=' | ';' | ',')) => format!("{wanted}, without `{sign}`"),
        _ => wanted.to_owned(),
    }
}

/// An address; a prefix length after it is overlooked, as in keepalived.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    prefix.parse::<u8>().ok()?;
    address.parse().ok()
}

/// Without the plus sign that strtoul(3) takes.
fn unsigned(text: &str) -> &str {
    text.strip_prefix('+').unwrap_or(text)
}

/// The digits that a word begins with, as a number in range.
fn leading(text: &str, range: &RangeInclusive<u64>) -> Option<u64> {
    let digits = unsigned(text).split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|n| range.contains(n))
}

/// Decimal seconds with up to six places; further places are rounded.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    const PLACES: usize = 6;
    let text = unsigned(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(PLACES).collect();
    let up = fraction.as_bytes().get(PLACES).is_some_and(|b| *b >= b'5');
    let micros: u64 = kept.parse().ok()?;
    (whole <= MOST_SECONDS)
        .then(|| Duration::from_secs(whole) + Duration::from_micros(micros + u64::from(up)))
}

/// A word for a message: no line should be longer than a screen because of a word.
pub(crate) fn shortened(word: &str) -> String {
    const SHOWN: usize = 60;
    if word.chars().count() <= SHOWN {
        word.to_owned()
    } else {
        word.chars().take(SHOWN).chain("...".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_six_places() {
        assert_eq!(seconds("1"), Some(Duration::from_secs(1)));
        assert_eq!(seconds("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(seconds(".25"), Some(Duration::from_millis(250)));
        assert_eq!(seconds("1.0000005"), Some(Duration::from_micros(1_000_001)));
        assert_eq!(seconds("0.9999999"), Some(Duration::from_secs(1)));
        for bad in ["", ".", "-1", "1s", "1.2.3", "99999999999999999999", "1e3"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
