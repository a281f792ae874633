//! What may be written at a place of a file, from the keyword table: for editors and shells.
//!
//! Only the text before the place counts, and only of this file: includes are not followed, definitions not expanded.

use crate::keywords::{self, Keyword, Opens, Place, Shape, Status};
use crate::lexer::{Piece, Text, Word};
use crate::source::SourceMap;
use std::collections::BTreeMap;

/// What may be written next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The block that the place is in; `None` in a block that is not known.
    pub place: Option<Place>,
    /// What is there of the word already.
    pub prefix: String,
    /// Words that begin with it, in the order of the table.
    pub candidates: Vec<Candidate>,
}

/// A word that may stand at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The word.
    pub word: String,
    /// What may follow it, for people.
    pub arguments: &'static str,
    /// What holdfast does with it; `None` for values and names.
    pub status: Option<Status>,
}

impl Candidate {
    /// A keyword of the table.
    pub fn keyword(keyword: &Keyword) -> Candidate {
        Candidate {
            word: keyword.name.to_owned(),
            arguments: keyword.arguments,
            status: Some(keyword.status),
        }
    }

    fn value(word: impl Into<String>) -> Candidate {
        Candidate { word: word.into(), arguments: "", status: None }
    }
}

/// The keywords of a place, and the includes, which may stand anywhere.
pub fn keywords_at(place: Place) -> impl Iterator<Item = &'static Keyword> {
    let includes = keywords::at(Place::Lexical).iter().filter(|k| k.name.starts_with("include"));
    let includes = includes.filter(move |_| place != Place::Lexical);
    keywords::at(place).iter().filter(|k| !k.name.starts_with('(')).chain(includes)
}

/// What may be written in `text` at a line and column, both from 1; the column counts characters, and is that of the
/// cursor: what begins there does not count. Beyond the end of the line it is the end, beyond the text too.
pub fn at(text: &str, line: usize, column: usize) -> Completion {
    let mut walk = Walk::default();
    walk.open.push(Frame { place: Some(Place::Root), list: false });
    let mut lines = text.lines();
    for before in lines.by_ref().take(line.saturating_sub(1)) {
        walk.line(before);
        walk.end_line();
    }
    let cut: String = lines.next().unwrap_or_default().chars().take(column.saturating_sub(1)).collect();
    let definition = walk.continued || cut.trim_start().starts_with('$');
    walk.line(&cut);
    let in_word = cut.chars().last().is_some_and(|c| !c.is_whitespace() && !matches!(c, '{' | '}' | '"'));
    let prefix = if in_word { walk.words.pop().unwrap_or_default() } else { String::new() };
    let mut candidates = if definition { Vec::new() } else { walk.candidates() };
    candidates.retain(|c| c.word.starts_with(&prefix));
    Completion { place: walk.frame().place, prefix, candidates }
}

/// A block that is open.
struct Frame {
    place: Option<Place>,
    /// Do its lines begin with names or addresses?
    list: bool,
}

/// The blocks that are open, and the statement that is being written.
#[derive(Default)]
struct Walk {
    /// The outermost level first, which is always there.
    open: Vec<Frame>,
    /// Names of blocks, by their keyword.
    names: BTreeMap<String, Vec<String>>,
    words: Vec<String>,
    /// Do the words wait for a brace on a later line? They are forgotten when another statement begins.
    waiting: bool,
    /// Is it a line of a definition of several lines?
    continued: bool,
}

/// Deeper blocks than any keyword opens.
const MAX_OPEN: usize = 64;

impl Walk {
    fn frame(&self) -> &Frame {
        self.open.last().expect("the outermost one is never closed")
    }

    fn line(&mut self, line: &str) {
        if self.continued || line.trim_start().starts_with('$') {
            self.continued = line.trim_end().ends_with('\\');
            return;
        }
        // An `@id` before a line changes nothing of what may follow.
        let line = match line.trim_start().strip_prefix('@') {
            Some(rest) => rest.trim_start_matches(|c: char| !c.is_whitespace()),
            None => line,
        };
        let mut map = SourceMap::default();
        let file = map.add_included(String::new(), String::new(), None);
        for piece in Text::new(file, 0, line).without_comment().pieces().0 {
            match piece {
                Piece::Word(Word { text, .. }) => {
                    if std::mem::take(&mut self.waiting) {
                        self.words.clear();
                    }
                    self.words.push(text);
                }
                Piece::Open(_) => self.open_block(),
                Piece::Close(_) => {
                    self.words.clear();
                    if self.open.len() > 1 {
                        self.open.pop();
                    }
                }
            }
        }
    }

    fn end_line(&mut self) {
        self.waiting = self.keyword().is_some_and(|k| k.opens != Opens::Nothing);
        if !self.waiting {
            self.words.clear();
        }
    }

    fn open_block(&mut self) {
        let opens = self.keyword().map(|k| k.opens);
        if let [keyword, name, ..] = self.words.as_slice() {
            self.names.entry(keyword.clone()).or_default().push(name.clone());
        }
        self.words.clear();
        self.waiting = false;
        if self.open.len() < MAX_OPEN {
            self.open.push(match opens {
                Some(Opens::Block(place)) => Frame { place: Some(place), list: false },
                Some(Opens::List(place)) => Frame { place: Some(place), list: true },
                _ => Frame { place: None, list: false },
            });
        }
    }

    /// The keyword of the statement that is being written.
    fn keyword(&self) -> Option<&'static Keyword> {
        keywords::find(self.frame().place?, self.words.first()?)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let Frame { place: Some(place), list } = *self.frame() else { return Vec::new() };
        let options = |place| keywords_of(place).map(Candidate::keyword).collect();
        match (list, self.words.is_empty()) {
            (true, true) => self.names_for(place),
            (true, false) => options(place),
            (false, true) => keywords_at(place).map(Candidate::keyword).collect(),
            (false, false) => self.keyword().map_or_else(Vec::new, |k| values(k, self.words.len())),
        }
    }

    /// Names that a list refers to.
    fn names_for(&self, place: Place) -> Vec<Candidate> {
        let blocks: &[&str] = match place {
            Place::TrackScript | Place::SyncTrackScript => &["vrrp_script"],
            Place::TrackFiles | Place::SyncTrackFiles => &["track_file", "vrrp_track_file"],
            Place::TrackProcesses | Place::SyncTrackProcesses => &["vrrp_track_process"],
            Place::TrackBfd | Place::SyncTrackBfd => &["bfd_instance"],
            Place::Words => &["vrrp_instance"],
            _ => &[],
        };
        let names = blocks.iter().filter_map(|block| self.names.get(*block)).flatten();
        names.map(Candidate::value).collect()
    }
}

fn keywords_of(place: Place) -> impl Iterator<Item = &'static Keyword> {
    keywords::at(place).iter().filter(|k| !k.name.starts_with('('))
}

/// Words that may follow a keyword when so many stand there with it.
fn values(keyword: &Keyword, words: usize) -> Vec<Candidate> {
    let place = match keyword.shape {
        Shape::Vmac => Some(Place::UseVmac),
        Shape::Ipvlan => Some(Place::UseIpvlan),
        Shape::SyncDaemon if words > 1 => Some(Place::LvsSyncDaemon),
        Shape::Timeouts => Some(Place::LvsTimeouts),
        Shape::IncludeCheck => Some(Place::IncludeCheck),
        Shape::Names(place) => Some(place),
        _ => match keyword.name {
            "lvs_sched" | "lb_algo" if words == 1 => Some(Place::Scheduler),
            "lvs_method" | "lb_kind" => Some(Place::Method),
            _ => None,
        },
    };
    if let Some(place) = place {
        return keywords_of(place).map(Candidate::keyword).collect();
    }
    match keyword.shape {
        Shape::OneOf(list) | Shape::AnyCase(list) | Shape::MaybeOneOf(list) if words == 1 => {
            list.iter().copied().map(Candidate::value).collect()
        }
        Shape::Bool if words == 1 => ["on", "off"].map(Candidate::value).to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may stand at the `|` of a text.
    fn words(text: &str) -> Vec<String> {
        let (before, after) = text.split_once('|').expect("a place is marked");
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let completion = at(&format!("{before}{after}"), line, column);
        completion.candidates.into_iter().map(|c| c.word).collect()
    }

    #[test]
    fn keywords_come_from_the_block_around_the_place() {
        assert_eq!(words("vrrp_inst|"), ["vrrp_instance"]);
        assert_eq!(words("global_defs {\n  router|"), ["router_id"]);
        assert_eq!(words("global_defs\n{\n  router|_x\n}"), ["router_id"]);
        assert_eq!(words("vrrp_instance A { state BACKUP\n prio| }"), ["priority"]);
        assert_eq!(words("vrrp_instance A { # {\n authentication { auth_t|"), ["auth_type"]);
        assert_eq!(words("vrrp_instance A {\n}\nvrrp_sync|"), ["vrrp_sync_group"]);
        assert_eq!(words("@lb1 vrrp_instance A {\n@lb1 virtual_router|"), ["virtual_router_id"]);
        assert!(words("|").len() > 20);
        assert!(words("bogus {\n|").is_empty(), "nothing is known of an unknown block");
        assert_eq!(words("bogus {\n}\n includer|"), ["includer"]);
    }

    #[test]
    fn values_come_from_the_shape_of_the_keyword() {
        let instance = |line: &str| words(&format!("vrrp_instance A {{\n{line}"));
        assert_eq!(instance("state |"), ["MASTER", "BACKUP"]);
        assert_eq!(instance("state MASTER |"), [""; 0]);
        assert_eq!(instance("smtp_alert o|"), ["on", "off"]);
        assert_eq!(instance("use_vmac v1 |"), ["name", "netlink_notify_msg", "group"]);
        assert_eq!(instance("virtual_ipaddress {\n192.0.2.1 dev eth0 la|"), ["label"]);
        assert_eq!(words("virtual_server 192.0.2.1 80 {\nlvs_sched w|"), ["wrr", "wlc"]);
    }

    #[test]
    fn names_come_from_the_blocks_above() {
        let text =
            "vrrp_script chk {\n}\nvrrp_script \"other one\" {\n}\nvrrp_instance A {\ntrack_script {\n|";
        assert_eq!(words(text), ["chk", "other one"]);
        assert_eq!(words("vrrp_instance A {\n}\nvrrp_sync_group G {\ngroup {\n|"), ["A"]);
    }

    #[test]
    fn definitions_are_no_place_for_keywords() {
        assert_eq!(words("$A= \\\nvrrp_|"), [""; 0]);
        assert_eq!(words("$A= \\\nvrrp_instance x { \\\n}\nvrrp_inst|"), ["vrrp_instance"]);
    }

    #[test]
    fn any_text_and_any_place_is_survived() {
        let text = "}}}{{{ a \" ' \\ é { \u{10f0ff}\n$x\n~SEQ(\n".repeat(100);
        for (line, column) in [(0, 0), (1, 5), (1, usize::MAX), (50, 17), (usize::MAX, 1)] {
            let completion = at(&text, line, column);
            assert!(completion.candidates.iter().all(|c| c.word.starts_with(&completion.prefix)));
        }
    }
}
