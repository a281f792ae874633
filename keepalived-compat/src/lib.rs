//! The keepalived.conf language: source text to typed configuration, with diagnostics.
//!
//! The crate knows nothing of holdfast and opens no file itself: the caller hands it a [`Reader`].
//! Parsing never fails and never panics: it yields a value and a list of diagnostics.
//!
//! The way of a line: [`source`] (bytes to text), `lexer` (comments, quotes, braces, words), `preprocess`
//! (includes, `@id`, definitions), [`tree`] (blocks), [`keywords`] (what is known where), [`config`] (typed values).
#![forbid(unsafe_code)]

pub mod config;
pub mod diagnostics;
pub mod document;
pub mod keywords;
mod lexer;
mod preprocess;
pub mod source;
pub mod tree;

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
    let read = preprocess::read(reader, main, options.config_id);
    let mut diagnostics = read.diagnostics;
    let config = Config::from_tree(&read.tree, options, &mut diagnostics);
    Parsed { config, diagnostics, sources: read.sources }
}
