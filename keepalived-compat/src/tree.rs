//! The block tree: statements and their braces, built line by line, whatever the text.

use crate::diagnostics::{Code, Diagnostic, keep};
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

/// Builds the tree from pieces of lines.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// The last statement of the outermost level, then those of each open block with its brace.
    root: Vec<Statement>,
    open: Vec<(Span, Vec<Statement>)>,
    /// Open blocks beyond [`MAX_DEPTH`] or after a stray brace; what they hold is dropped.
    dropped: usize,
}

impl Builder {
    /// A line's words. Gives the statement of the outermost level that is complete now, because another begins.
    pub(crate) fn statement(&mut self, words: Vec<Word>) -> Option<Statement> {
        if self.dropped > 0 || words.is_empty() {
            return None;
        }
        let complete = if self.open.is_empty() { self.root.pop() } else { None };
        self.level().push(Statement { words, block: None });
        complete
    }

    /// An opening brace: it belongs to the statement before it, on this line or an earlier one.
    pub(crate) fn open(&mut self, brace: Span, diagnostics: &mut Vec<Diagnostic>) {
        if self.dropped > 0 {
            self.dropped += 1;
            return;
        }
        let deep = self.open.len() >= MAX_DEPTH;
        match self.level().last() {
            Some(statement) if statement.block.is_none() && !deep => self.open.push((brace, Vec::new())),
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
            Some((open, body)) => self.attach(Block { open, body }),
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
            Some((_, body)) => body,
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
        while let Some((open, mut body)) = self.open.pop() {
            let first = body.iter().position(|s| s.block.is_some() && outermost(&s.keyword().text));
            let now = match (first.and_then(|at| body.get(at)), after.is_empty()) {
                (Some(statement), _) => ended_by(statement),
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

fn ended_by(statement: &Statement) -> String {
    let words: Vec<&str> = statement.words.iter().take(2).map(|word| word.text.as_str()).collect();
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
                        root.extend(builder.statement(std::mem::take(&mut run)));
                        builder.open(span, &mut diagnostics);
                    }
                    Piece::Close(span) => {
                        root.extend(builder.statement(std::mem::take(&mut run)));
                        builder.close(span, &mut diagnostics);
                    }
                }
            }
            root.extend(builder.statement(run));
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
    fn depth_is_bounded() {
        let (shown, codes) = tree(&("a {\n".repeat(5000) + &"}\n".repeat(5000)));
        assert_eq!(shown.matches('{').count(), MAX_DEPTH);
        assert_eq!(codes, [Code::Limit]);
    }
}
