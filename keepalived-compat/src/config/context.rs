//! Walks blocks by the keyword table and says what it finds.

use super::check::Timing;
use super::once::Once;
use super::setting::Setting;
use super::value::{boolean, shortened};
use crate::diagnostics::{Code, Diagnostic, keep};
use crate::keywords::{self, Keyword, Opens, Place, Say, Shape, Status};
use crate::lexer::Word;
use crate::source::Span;
use crate::tree::Statement;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What all readers of blocks share.
pub(crate) struct Context<'a> {
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
    said: BTreeSet<(Place, &'static str)>,
    /// Names that may be referred to, by the keyword that refers to them (`track_script`, `track_group`, ...).
    pub(crate) defined: BTreeSet<(&'static str, String)>,
    /// Where they were defined.
    pub(super) places: BTreeMap<(&'static str, String), Span>,
    /// Neighbours of BFD instances.
    pub(super) bfd_neighbors: BTreeSet<IpAddr>,
    /// Is a checker's block being read? There `track_file` refers instead of defining.
    pub(super) in_checker: bool,
    /// Times of the checker that was read last.
    timing: Arc<Timing>,
    /// Has the reader of the place no field for the keyword? Then it is kept as a setting.
    left: bool,
    /// Settings outside blocks that have been read and count once.
    once_outside: Once,
    /// Those of `global_defs`.
    once_global: Once,
}

impl<'a> Context<'a> {
    pub(crate) fn new(diagnostics: &'a mut Vec<Diagnostic>) -> Context<'a> {
        Context {
            diagnostics,
            said: BTreeSet::new(),
            defined: BTreeSet::new(),
            places: BTreeMap::new(),
            bfd_neighbors: BTreeSet::new(),
            in_checker: false,
            timing: Arc::default(),
            left: false,
            once_outside: Once::default(),
            once_global: Once::default(),
        }
    }

    pub(crate) fn say(&mut self, diagnostic: Diagnostic) {
        keep(self.diagnostics, diagnostic);
    }

    pub(crate) fn tell(
        &mut self,
        code: Code,
        span: impl Into<Option<Span>>,
        title: impl Into<String>,
        now: impl Into<String>,
    ) {
        self.say(Diagnostic::new(code, span, title, now));
    }

    /// Hands every statement of a block whose keyword is built to `handle`, after its words were counted. All
    /// else is reported here; what is not built, and what `handle` leaves, comes back as settings.
    pub(crate) fn block(
        &mut self,
        place: Place,
        body: &[Statement],
        mut handle: impl FnMut(&mut Self, &'static Keyword, &Statement),
    ) -> Vec<Setting> {
        self.each(place, body, |cx, keyword, statement| {
            if cx.wanted(place, keyword, statement) {
                cx.left = false;
                handle(cx, keyword, statement);
                if !std::mem::take(&mut cx.left) {
                    return None;
                }
            }
            cx.kept(keyword, statement)
        })
    }

    /// What `read` makes of the statements of a block that are known, have their words, and are no second line of a keyword
    /// that counts once.
    pub(super) fn each(
        &mut self,
        place: Place,
        body: &[Statement],
        mut read: impl FnMut(&mut Self, &'static Keyword, &Statement) -> Option<Setting>,
    ) -> Vec<Setting> {
        let mut settings = Vec::new();
        // Blocks of global settings add up, and those outside blocks come one by one.
        let mut once = self.once_of(place).map(std::mem::take).unwrap_or_default();
        for statement in body {
            let Some(keyword) = self.known(place, statement) else { continue };
            if !self.shaped(keyword, statement) || once.has(self, keyword, statement) {
                continue;
            }
            let said = self.diagnostics.len();
            let setting = read(self, keyword, statement);
            if setting.is_some() || self.diagnostics.len() == said {
                once.note(place, keyword, statement);
            }
            settings.extend(setting);
        }
        if let Some(kept) = self.once_of(place) {
            *kept = once;
        }
        settings
    }

    fn once_of(&mut self, place: Place) -> Option<&mut Once> {
        match place {
            Place::Root => Some(&mut self.once_outside),
            Place::GlobalDefs => Some(&mut self.once_global),
            _ => None,
        }
    }

    /// A statement as a setting; `None` (said) when keepalived leaves it out.
    pub(super) fn kept(&mut self, keyword: &'static Keyword, statement: &Statement) -> Option<Setting> {
        self.setting(keyword, statement).filter(|setting| super::objects::accept(self, setting))
    }

    /// The block of a check that is not built; `None` (said) when keepalived leaves it out.
    pub(super) fn checker(&mut self, keyword: &'static Keyword, statement: &Statement) -> Option<Setting> {
        self.in_checker = true;
        let setting = self.kept(keyword, statement);
        self.in_checker = false;
        setting
    }

    /// Times that are those of the checker before are held once.
    pub(super) fn share(&mut self, timing: &mut Arc<Timing>) {
        if *timing == self.timing {
            *timing = self.timing.clone();
        } else {
            self.timing = timing.clone();
        }
    }

    /// A built keyword for which its reader has no field: [`Self::block`] keeps it as a setting.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    pub(super) fn known(&mut self, place: Place, statement: &Statement) -> Option<&'static Keyword> {
        let word = statement.keyword();
        let found = keywords::find(place, &word.text).filter(|k| !k.name.starts_with('('));
        if found.is_none() {
            self.unknown(place, word, statement.block.is_some());
        }
        found
    }

    /// An unknown option word of a line, which is kept without it.
    pub(crate) fn unknown_option(&mut self, place: Place, word: &Word) {
        self.say_unknown(place, word, false, "the word is left out, the rest of the line is kept");
    }

    fn unknown(&mut self, place: Place, word: &Word, block: bool) {
        let now = if block { "the line and its block are left out" } else { "the line is left out" };
        self.say_unknown(place, word, block, now);
    }

    /// An unknown keyword, with the best advice there is.
    fn say_unknown(&mut self, place: Place, word: &Word, block: bool, now: &str) {
        if self.diagnostics.len() > crate::MAX_DIAGNOSTICS {
            return; // It would not be kept, and the search for what was meant is the slowest thing here.
        }
        let title = format!("unknown keyword `{}`", shortened(&word.text));
        let diagnostic = Diagnostic::new(Code::UnknownKeyword, word.span, title, now);
        let diagnostic = if block && place != Place::Root && keywords::find(Place::Root, &word.text).is_some()
        {
            let advice = format!("close the blocks above it: `{}` stands outside all blocks", word.text);
            diagnostic.instead(advice)
        } else if let Some(blank) = word.text.chars().find(|c| c.is_whitespace() && !c.is_ascii()) {
            let number = u32::from(blank);
            diagnostic.instead(format!(
                "a plain blank for the U+{number:04X} in it, which keepalived takes for a letter"
            ))
        } else if let Some(near) = nearest(place, &word.text) {
            diagnostic.instead(format!("did you mean `{near}`?"))
        } else if let Some(other) = keywords::places_of(&word.text).next() {
            diagnostic.instead(format!("its place is {}", other.path()))
        } else {
            diagnostic
        };
        self.say(diagnostic);
    }

    /// Has it the words and the block that it needs?
    pub(super) fn shaped(&mut self, keyword: &Keyword, statement: &Statement) -> bool {
        let word = statement.keyword();
        if statement.arguments().len() < keyword.words {
            let title = format!("`{}` lacks a word", keyword.name);
            let (code, now) = match (keyword.lenient, statement.block.is_some()) {
                (false, _) => (Code::MissingWord, "the configuration is refused, as in keepalived"),
                (true, true) => (Code::BadValue, "the line and its block are left out, as in keepalived"),
                (true, false) => (Code::BadValue, "the line is left out, as in keepalived"),
            };
            let usage = format!("{} {}", keyword.name, keyword.arguments);
            self.say(Diagnostic::new(code, word.span, title, now).instead(usage));
            return false;
        }
        if !self.only_its_name(keyword, statement) {
            return false;
        }
        match (&statement.block, keyword.opens) {
            (None, Opens::Block(_) | Opens::List(_)) => {
                let title = format!("`{}` has no block", keyword.name);
                let diagnostic = Diagnostic::new(Code::Brace, word.span, title, "the line is left out");
                self.say(diagnostic.instead(format!("{} {}", keyword.name, keyword.arguments)));
                false
            }
            (Some(block), Opens::Nothing) => {
                let title = format!("`{}` takes no block", keyword.name);
                self.tell(Code::Brace, block.open, title, "the block is left out, the line is kept");
                true
            }
            _ => true,
        }
    }

    /// Has the line of a block no more words than it may? A list is read without them, a block that must have one name is
    /// left out (tried with 2.2.7).
    fn only_its_name(&mut self, keyword: &Keyword, statement: &Statement) -> bool {
        const NAMED: [&str; 4] = ["vrrp_instance", "vrrp_sync_group", "track_group", "virtual_server_group"];
        let (true, Some(word)) = (statement.block.is_some(), statement.arguments().get(keyword.words)) else {
            return true;
        };
        let title =
            format!("`{}` cannot stand before the block of `{}`", shortened(&word.text), keyword.name);
        let usage = format!("{} {}", keyword.name, keyword.arguments);
        if NAMED.contains(&keyword.name) {
            let now = "the line and its block are left out, as in keepalived";
            let usage = format!("{usage}, a name with blanks in double quotes");
            self.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(usage));
            return false;
        }
        if matches!(keyword.opens, Opens::List(_)) {
            let now = "the word is left out, the block is read, as in keepalived";
            self.say(Diagnostic::new(Code::BadValue, word.span, title, now).instead(usage));
        }
        true
    }

    /// Is it for a reader? If not, says why.
    fn wanted(&mut self, place: Place, keyword: &'static Keyword, statement: &Statement) -> bool {
        let (code, title, now) = match keyword.status {
            Status::Works => return true,
            Status::Accepted(reason) => {
                (Code::NoEffect, format!("`{}` has no effect here", keyword.name), reason)
            }
            Status::NotYet { meaning, say } => {
                let code = if say == Say::Error { Code::NotYetTraffic } else { Code::NotYet };
                (
                    code,
                    format!("`{}` is known to keepalived, not built in holdfast yet", keyword.name),
                    meaning,
                )
            }
        };
        // Who writes the default loses nothing.
        if !says_default(place, keyword, statement) && self.said.insert((place, keyword.name)) {
            self.tell(code, statement.keyword().span, title, now);
        }
        false
    }

    /// Reports an option word of a line (`dev`, `peer`, ...) that is known but not built; false when it is unknown.
    pub(crate) fn option(&mut self, place: Place, word: &Word) -> bool {
        let Some(keyword) = keywords::find(place, &word.text) else { return false };
        let (code, meaning) = match keyword.status {
            Status::NotYet { meaning, say: Say::Warning } => (Code::NotYet, meaning),
            Status::NotYet { meaning, .. } => (Code::NotYetTraffic, meaning),
            Status::Accepted(reason) => (Code::NoEffect, reason),
            Status::Works => return true,
        };
        if self.said.insert((place, keyword.name)) {
            let title = format!("`{}` is known to keepalived, not built in holdfast yet", keyword.name);
            self.tell(code, word.span, title, meaning);
        }
        true
    }
}

/// Does the line say what holds without it?
fn says_default(place: Place, keyword: &Keyword, statement: &Statement) -> bool {
    let Some(default) = keywords::default(place, keyword.name) else { return false };
    match statement.arguments() {
        [word] if keyword.shape == Shape::Bool => boolean(&word.text) == boolean(default),
        [word] => word.text == default,
        _ => false,
    }
}

/// The keyword of the place that differs by at most two letters.
fn nearest(place: Place, word: &str) -> Option<&'static str> {
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let allowed = if word.len() < 5 { 1 } else { 2 };
    keywords::at(place)
        .iter()
        .map(|k| (distance(word, k.name), k.name))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let best = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            diagonal = above;
            left = best;
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("raise", "rise"), 1);
        assert_eq!(distance("vvrp_script", "vrrp_script"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
