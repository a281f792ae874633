//! The block tree: statements and their braces, built line by line, whatever the text.

use crate::diagnostics::{Code, Diagnostic, keep};
use crate::keywords::{self, Opens, Place};
use crate::lexer::Word;
use crate::source::Span;

/// A line of words, perhaps with a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The words; at least one.
    pub words: Vec<Word>,
    /// Its block.
    pub block: Option<Block>,
}

impl Statement {
    /// The first word, the keyword.
    pub fn keyword(&self) -> &Word {
        self.words.first().expect("the builder makes no statement without words")
    }

    /// The words after the keyword.
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// From the first word to the last.
    pub fn span(&self) -> Span {
        let first = self.keyword().span;
        self.words.last().map_or(first, |last| first.to(last.span))
    }

    /// The statements of its block; none without a block.
    pub fn body(&self) -> &[Statement] {
        self.block.as_ref().map_or(&[], |b| &b.body)
    }
}

/// Braces and what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The opening brace.
    pub open: Span,
    /// The statements.
    pub body: Vec<Statement>,
}

/// Blocks in blocks; keepalived's own nesting ends at six.
pub const MAX_DEPTH: usize = 32;

/// Memory of statements that were read, for the next ones: a long configuration has a million words, and asking for
/// the memory of each would be a quarter of the time.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    lists: Vec<Vec<Word>>,
    texts: Vec<String>,
}

impl Spare {
    /// Lists and texts that are kept: those of a large block.
    const MOST: usize = 4096;
    /// Bytes of a text that is kept.
    const LONGEST: usize = 64;

    pub(crate) fn list(&mut self) -> Vec<Word> {
        self.lists.pop().unwrap_or_default()
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut spare = self.texts.pop().unwrap_or_default();
        spare.push_str(text);
        spare
    }

    pub(crate) fn take(&mut self, mut statement: Statement) {
        // Blocks are at most MAX_DEPTH deep.
        for inner in statement.block.into_iter().flat_map(|b| b.body) {
            self.take(inner);
        }
        for mut word in statement.words.drain(..) {
            if self.texts.len() < Self::MOST && word.text.capacity() <= Self::LONGEST {
                word.text.clear();
                self.texts.push(word.text);
            }
        }
        if self.lists.len() < Self::MOST {
            self.lists.push(statement.words);
        }
    }
}

/// A block that is open.
#[derive(Debug)]
struct Level {
    /// Its brace, or the keyword that lacks it.
    brace: Span,
    body: Vec<Statement>,
    /// Which keywords it holds; `None` in a list, and in a block that is not known.
    place: Option<Place>,
    /// Where a brace was missing.
    wants: Wants,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Nothing,
    /// It was opened without its brace.
    ItsOpening,
    /// A block in it was opened without its brace: what closed that may have been meant to close this one.
    PerhapsItsClosing,
}

/// Builds the tree from pieces of lines.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// The last statement of the outermost level, then those of each open block.
    root: Vec<Statement>,
    open: Vec<Level>,
    /// Open blocks beyond [`MAX_DEPTH`] or after a stray brace; what they hold is dropped.
    dropped: usize,
}

impl Builder {
    /// A line's words. Gives the statement of the outermost level that is complete now, because another begins.
    pub(crate) fn statement(
        &mut self,
        words: Vec<Word>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Statement> {
        if self.dropped > 0 {
            return None;
        }
        let first = words.first()?;
        while self.ends_before(first) {
            self.close_all_the_same(first, diagnostics);
        }
        if let Some(opens) = self.lacks_its_brace(first) {
            self.open_all_the_same(opens, diagnostics);
        }
        let complete = if self.open.is_empty() { self.root.pop() } else { None };
        self.level().push(Statement { words, block: None });
        complete
    }

    /// What the statement before `next` would open, if it has no brace and `next` belongs into its block: in doubt it does, as in
    /// keepalived.
    fn lacks_its_brace(&self, next: &Word) -> Option<Opens> {
        let place = self.place()?;
        let last = self.open.last().map_or(&self.root, |level| &level.body).last()?;
        if last.block.is_some() || self.open.len() >= MAX_DEPTH {
            return None;
        }
        let opens = keywords::find(place, &last.keyword().text)?.opens;
        let is_known_at = |place| keywords::find(place, &next.text).is_some();
        let belongs = match opens {
            Opens::Nothing => false,
            Opens::Block(inner) => is_known_at(inner) || !is_known_at(place),
            Opens::List(_) => !is_known_at(place),
        };
        (belongs && !keywords::is_outermost(&next.text)).then_some(opens)
    }

    fn open_all_the_same(&mut self, opens: Opens, diagnostics: &mut Vec<Diagnostic>) {
        let Some(statement) = self.level().last() else { return };
        let (brace, keyword) = (statement.span(), &statement.keyword().text);
        let title = format!("`{keyword}` lacks its `{{`");
        let diagnostic = Diagnostic::new(Code::Brace, brace, title, "the block is read as if it were there");
        keep(diagnostics, diagnostic.instead("put a `{` at the end of the line"));
        if let Some(around) = self.open.last_mut().filter(|around| around.wants == Wants::Nothing) {
            around.wants = Wants::PerhapsItsClosing;
        }
        self.open.push(Level { brace, body: Vec::new(), place: inner(opens), wants: Wants::ItsOpening });
    }

    /// Was the closing brace forgotten as well as an opening one? So it seems where `next` is known around the block, not in it.
    fn ends_before(&self, next: &Word) -> bool {
        let Some((level, around)) = self.open.split_last() else { return false };
        let is_enough = match level.wants {
            Wants::Nothing => return false,
            Wants::ItsOpening => |_| true,
            Wants::PerhapsItsClosing => |opens| !matches!(opens, Opens::Nothing),
        };
        let place = around.last().map_or(Some(Place::Root), |around| around.place);
        let Some(keyword) = place.and_then(|place| keywords::find(place, &next.text)) else { return false };
        let known_here = level.place.is_some_and(|place| keywords::find(place, &next.text).is_some());
        !known_here && is_enough(keyword.opens)
    }

    fn close_all_the_same(&mut self, next: &Word, diagnostics: &mut Vec<Diagnostic>) {
        let Some(Level { brace, body, .. }) = self.open.pop() else { return };
        self.attach(Block { open: brace, body });
        let keyword = self.level().last().map_or("", |statement| &statement.keyword().text);
        let title = format!("`{keyword}` lacks its `}}`");
        let now = ended_by(std::slice::from_ref(next));
        let diagnostic = Diagnostic::new(Code::Brace, brace, title, now);
        keep(diagnostics, diagnostic.instead("close the block where it ends"));
    }

    /// Which keywords are known here.
    fn place(&self) -> Option<Place> {
        self.open.last().map_or(Some(Place::Root), |level| level.place)
    }

    /// An opening brace: it belongs to the statement before it, on this line or an earlier one.
    pub(crate) fn open(&mut self, brace: Span, diagnostics: &mut Vec<Diagnostic>) {
        if self.dropped > 0 {
            self.dropped += 1;
            return;
        }
        let deep = self.open.len() >= MAX_DEPTH;
        let place = self.place();
        match self.level().last() {
            Some(statement) if statement.block.is_none() && !deep => {
                let known = place.and_then(|place| keywords::find(place, &statement.keyword().text));
                let place = known.and_then(|keyword| inner(keyword.opens));
                self.open.push(Level { brace, body: Vec::new(), place, wants: Wants::Nothing });
            }
            _ => {
                self.dropped = 1;
                let title =
                    if deep { "too many blocks in blocks" } else { "a `{` without a keyword before it" };
                let code = if deep { Code::Limit } else { Code::Brace };
                let diagnostic = Diagnostic::new(code, brace, title, "the block is left out up to its `}`");
                let advice = "write the keyword that the block belongs to before the brace";
                keep(diagnostics, diagnostic.instead(advice));
            }
        }
    }

    /// A closing brace.
    pub(crate) fn close(&mut self, brace: Span, diagnostics: &mut Vec<Diagnostic>) {
        if self.dropped > 0 {
            self.dropped -= 1;
            return;
        }
        match self.open.pop() {
            Some(Level { brace, body, .. }) => self.attach(Block { open: brace, body }),
            None => {
                let diagnostic =
                    Diagnostic::new(Code::Brace, brace, "a `}` without its `{`", "it is left out");
                let advice = "remove it, or look for a block above that ends too early";
                keep(diagnostics, diagnostic.instead(advice));
            }
        }
    }

    fn attach(&mut self, block: Block) {
        if let Some(statement) = self.level().last_mut() {
            statement.block = Some(block);
        }
    }

    fn level(&mut self) -> &mut Vec<Statement> {
        match self.open.last_mut() {
            Some(level) => &mut level.body,
            None => &mut self.root,
        }
    }

    /// What is left of the outermost level; blocks that are still open end here, or before the first block in them of
    /// which `outermost` says that it stands in no other: with a forgotten brace goes one block, not all that follow.
    pub(crate) fn finish(
        mut self,
        outermost: impl Fn(&str) -> bool,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<Statement> {
        let mut after = Vec::new();
        while let Some(Level { brace: open, mut body, .. }) = self.open.pop() {
            let first = body.iter().position(|s| s.block.is_some() && outermost(&s.keyword().text));
            let now = match (first.and_then(|at| body.get(at)), after.is_empty()) {
                (Some(statement), _) => ended_by(&statement.words),
                (None, false) => "the block ends there as well".to_owned(),
                (None, true) => "the block ends with the file".to_owned(),
            };
            let diagnostic = Diagnostic::new(Code::Brace, open, "a `{` without its `}`", now);
            let advice = if first.is_none() && after.is_empty() {
                "close the block where it ends; what follows it belongs to it now"
            } else {
                "close the block where it ends; what follows is read as if it were closed"
            };
            keep(diagnostics, diagnostic.instead(advice));
            let mut own = body.split_off(first.unwrap_or(body.len()));
            own.append(&mut after);
            after = own;
            self.attach(Block { open, body });
        }
        self.root.append(&mut after);
        self.root
    }
}

/// The place of keywords that it opens.
fn inner(opens: Opens) -> Option<Place> {
    match opens {
        Opens::Block(place) => Some(place),
        Opens::Nothing | Opens::List(_) => None,
    }
}

fn ended_by(words: &[Word]) -> String {
    let words: Vec<&str> = words.iter().take(2).map(|word| word.text.as_str()).collect();
    format!("the block ends before `{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::{Piece, Text};
    use crate::source::SourceMap;

    fn tree(text: &str) -> (String, Vec<Code>) {
        let mut map = SourceMap::default();
        let file = map.add("t".into(), text.into());
        let (mut builder, mut diagnostics) = (Builder::default(), Vec::new());
        let mut root = Vec::new();
        for line in text.lines() {
            let mut run = Vec::new();
            for piece in Text::new(file, 0, line).pieces().0 {
                match piece {
                    Piece::Word(word) => run.push(word),
                    Piece::Open(span) => {
                        root.extend(builder.statement(std::mem::take(&mut run), &mut diagnostics));
                        builder.open(span, &mut diagnostics);
                    }
                    Piece::Close(span) => {
                        root.extend(builder.statement(std::mem::take(&mut run), &mut diagnostics));
                        builder.close(span, &mut diagnostics);
                    }
                }
            }
            root.extend(builder.statement(run, &mut diagnostics));
        }
        root.extend(builder.finish(|word| word == "root", &mut diagnostics));
        (shown(&root), diagnostics.iter().map(|d| d.code).collect())
    }

    fn shown(statements: &[Statement]) -> String {
        let one = |s: &Statement| {
            let words: Vec<&str> = s.words.iter().map(|w| w.text.as_str()).collect();
            let block = s.block.as_ref().map_or(String::new(), |b| format!("{{{}}}", shown(&b.body)));
            words.join(" ") + &block
        };
        statements.iter().map(one).collect::<Vec<_>>().join(";")
    }

    #[test]
    fn braces_may_stand_on_any_line() {
        let want = ("a{b{c};d};e".to_owned(), vec![]);
        assert_eq!(tree("a {\nb { c }\nd\n}\ne"), want);
        assert_eq!(tree("a\n{\nb{c}d}e"), want);
    }

    #[test]
    fn missing_and_extra_braces_are_said_and_survived() {
        assert_eq!(tree("a {\nb"), ("a{b}".to_owned(), vec![Code::Brace]));
        assert_eq!(tree("a\n}\nb"), ("a;b".to_owned(), vec![Code::Brace]));
        assert_eq!(tree("{ x { y } }\nb"), ("b".to_owned(), vec![Code::Brace]));
    }

    #[test]
    fn a_block_without_its_brace_ends_before_one_that_stands_in_no_other() {
        let brace = vec![Code::Brace];
        assert_eq!(
            tree("root {\nb\nroot x {\nc\n}\nroot y {\nd\n}"),
            ("root{b};root x{c};root y{d}".into(), brace.clone())
        );
        // Nearer to the end than the outermost block; whose brace closes which cannot be known.
        assert_eq!(
            tree("root {\nb {\nc\n}\nroot x { d }\ne"),
            ("root{b{c}};root x{d};e".into(), brace.clone())
        );
        assert_eq!(tree("root {\nb {\nroot x {\nc {\nroot y { d }").1, vec![Code::Brace; 4]);
        assert_eq!(
            tree("root {\nb {\nroot x {\nc {\nroot y { d }").0,
            "root{b};root x{c};root y{d}".replace("b}", "b{}}").replace("c}", "c{}}")
        );
        // A word alone is a name, and a block that is closed stays where it is.
        assert_eq!(tree("a {\nroot\nb"), ("a{root;b}".into(), brace));
        assert_eq!(tree("a {\nroot { b }\nc\n}"), ("a{root{b};c}".into(), vec![]));
    }

    #[test]
    fn a_block_whose_first_brace_is_missing_is_read_as_if_it_were_there() {
        let brace = vec![Code::Brace];
        assert_eq!(
            tree("virtual_server 192.0.2.1 80\nlvs_sched rr\n}\nvrrp_instance A { }").0,
            "virtual_server 192.0.2.1 80{lvs_sched rr};vrrp_instance A{}"
        );
        assert_eq!(
            tree("vrrp_instance A {\nvirtual_ipaddress\n192.0.2.1\n}\npriority 5\n}"),
            ("vrrp_instance A{virtual_ipaddress{192.0.2.1};priority 5}".to_owned(), brace.clone())
        );
        // On the next line it is there.
        assert_eq!(
            tree("vrrp_instance A\n\n{\npriority 5\n}"),
            ("vrrp_instance A{priority 5}".into(), vec![])
        );
        // Both braces are missing, and nothing that would be in the block follows.
        for text in [
            "vrrp_instance A {\nunicast_peer\npriority 5\n}",
            "vrrp_instance A {\npriority 5\nunicast_peer\n}",
        ] {
            assert_eq!(tree(text).0.matches('{').count(), 1, "{text}");
        }
        assert_eq!(
            tree("virtual_server_group g\nvrrp_instance A { }").0,
            "virtual_server_group g;vrrp_instance A{}"
        );
        let many =
            tree("real\nvirtual_server a\nreal_server b\nweight 1\nTCP_CHECK\nconnect_port 3\n}\n}\n}\nc");
        let blocks = "real;virtual_server a{real_server b{weight 1;TCP_CHECK{connect_port 3}}};c";
        assert_eq!(many, (blocks.to_owned(), vec![Code::Brace; 3]));
    }

    #[test]
    fn where_both_braces_are_missing_the_words_around_the_block_end_it() {
        let both = vec![Code::Brace; 2];
        assert_eq!(
            tree("vrrp_instance A {\nunicast_peer\n192.0.2.7\npriority 5\nvirtual_ipaddress { a }\n}"),
            ("vrrp_instance A{unicast_peer{192.0.2.7};priority 5;virtual_ipaddress{a}}".into(), both.clone())
        );
        // Its words are known around it, so that the brace of the server seems to be its own.
        let server = "virtual_server a {\nreal_server b {\nTCP_CHECK\ndelay_loop 5\n}\n";
        let read = "virtual_server a{real_server b{TCP_CHECK{delay_loop 5}};";
        let next = "real_server c {\nweight 1\n}\nsorry_server d\n}\ne";
        assert_eq!(
            tree(&format!("{server}{next}")),
            (format!("{read}real_server c{{weight 1}};sorry_server d}};e"), both.clone())
        );
        // The server's own words after it.
        let text = "virtual_server a {\nreal_server b {\nTCP_CHECK\nconnect_port 5\nweight 1\n}\n}\ne";
        let read = "virtual_server a{real_server b{TCP_CHECK{connect_port 5};weight 1}};e";
        assert_eq!(tree(text), (read.into(), both));
        // Where only the first is missing a misplaced word ends nothing.
        assert_eq!(
            tree("virtual_server a {\nreal_server b {\nTCP_CHECK\nconnect_port 5\n}\nlvs_sched rr\n}\n}").0,
            "virtual_server a{real_server b{TCP_CHECK{connect_port 5};lvs_sched rr}}"
        );
    }

    #[test]
    fn depth_is_bounded() {
        let (shown, codes) = tree(&("a {\n".repeat(5000) + &"}\n".repeat(5000)));
        assert_eq!(shown.matches('{').count(), MAX_DEPTH);
        assert_eq!(codes, [Code::Limit]);
    }
}
