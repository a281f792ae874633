//! The keepalived.conf language: source text to typed configuration, with diagnostics.
//!
//! The crate knows nothing of holdfast and opens no file itself: the caller hands it a [`Reader`].
//! Parsing never fails and never panics: it yields a value and a list of diagnostics.
//!
//! The way of a line: [`source`] (bytes to text), `lexer` (comments, quotes, braces, words), `preprocess`
//! (includes, `@id`, definitions), [`tree`] (blocks), [`keywords`] (what is known where), [`config`] (typed values).
#![forbid(unsafe_code)]

pub mod command;
pub mod complete;
pub mod config;
pub mod diagnostics;
pub mod document;
pub mod keywords;
mod lexer;
pub mod lint;
mod preprocess;
pub mod print;
pub mod source;
pub mod tree;

#[cfg(test)]
mod grammar_tests;
#[cfg(test)]
mod language_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use diagnostics::{Code, Diagnostic, Severity};
pub use lexer::Word;
pub use source::{Position, Reader, SourceMap, Span, Spanned};

/// Bytes in one file. The largest real one seen has 200 kB; 10,000 services of 100 servers fit.
pub const MAX_FILE: usize = 256 << 20;
/// Bytes of all files of a configuration, each as often as it is included, so that memory stays a multiple of the input.
pub const MAX_TEXT: usize = 2 * MAX_FILE;
/// Files in one configuration, each inclusion counted.
pub const MAX_FILES: usize = 10_000;
/// Files included by files; keepalived's users go three deep.
pub const MAX_INCLUDE_DEPTH: usize = 32;
/// Bytes in one line, as in keepalived.
pub const MAX_LINE: usize = 1023;
/// Statements in one configuration, so that includes and definitions that multiply each other come to an end.
pub const MAX_STATEMENTS: usize = 10_000_000;
/// Diagnostics that are kept; nobody reads more.
pub const MAX_DIAGNOSTICS: usize = 10_000;

/// What parsing gives.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The configuration, with defaults where the text could not be understood.
    pub config: Config,
    /// All that is to be said, in the order it was found.
    pub diagnostics: Vec<Diagnostic>,
    /// The files, for rendering.
    pub sources: SourceMap,
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Decides about `@id` lines; keepalived's default is the host name up to its first dot.
    pub config_id: &'a str,
    /// Read blocks of virtual routers; without it they are skipped unread, as with `keepalived -C`.
    pub vrrp: bool,
    /// Read blocks of virtual servers; without it they are skipped unread, as with `keepalived -P`.
    pub checker: bool,
}

/// Parses `main` (a file name or a glob) and all it includes.
pub fn parse(reader: &mut dyn Reader, main: &str, options: Options<'_>) -> Parsed {
    read_all(reader, main, options, &mut Some)
}

/// As [`parse`], and what of it is in force as lines to print.
pub fn parse_and_print(
    reader: &mut dyn Reader,
    main: &str,
    options: Options<'_>,
) -> (Parsed, Vec<print::Line>) {
    let mut tree = Vec::new();
    let parsed = read_all(reader, main, options, &mut |statement| {
        tree.push(statement);
        None
    });
    (parsed, print::effective(&tree))
}

/// As [`parse`], with the advice of [`lint`] behind the diagnostics.
pub fn parse_and_lint(
    reader: &mut dyn Reader,
    main: &str,
    options: Options<'_>,
    facts: &dyn lint::Facts,
) -> Parsed {
    let mut linter = lint::Linter::default();
    let mut parsed = read_all(reader, main, options, &mut |statement| {
        linter.see(&statement);
        Some(statement)
    });
    let advice = linter.finish(facts);
    advice.into_iter().for_each(|diagnostic| diagnostics::keep(&mut parsed.diagnostics, diagnostic));
    parsed
}

/// Blocks are read as they come and then given to `keep`: a tree of all is several times as large as their values.
fn read_all(reader: &mut dyn Reader, main: &str, options: Options<'_>, keep: preprocess::Sink<'_>) -> Parsed {
    let mut said = Vec::new();
    let mut assembly = config::Assembly::new(&mut said);
    let mut sink = |statement: tree::Statement| {
        if config::wanted(&statement, options) {
            assembly.add(&statement);
        }
        keep(statement)
    };
    let (sources, mut diagnostics) = preprocess::read(reader, main, options.config_id, &mut sink);
    let config = assembly.finish();
    said.into_iter().for_each(|diagnostic| diagnostics::keep(&mut diagnostics, diagnostic));
    Parsed { config, diagnostics, sources }
}
