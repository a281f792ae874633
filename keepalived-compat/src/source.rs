//! Source text: which byte came from where.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A file of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A stretch of a file's text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From the start of `self` to the end of `other`; `self` when they stand in different files.
    pub fn to(self, other: Span) -> Span {
        if self.file == other.file { Span { end: other.end.max(self.end), ..self } } else { self }
    }
}

/// A value and where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Ties a value to its place.
    pub const fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }
}

/// A span in human terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// File name as it was opened.
    pub file: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The whole line without its end.
    pub text: &'a str,
    /// Where the span begins in `text`, in bytes.
    pub start: usize,
    /// Where it ends in `text`, in bytes.
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SourceFile {
    name: String,
    text: Arc<String>,
    /// Where its lines begin; counted when a diagnostic first asks.
    lines: OnceLock<Vec<u32>>,
    /// The statement that includes it.
    included_at: Option<Span>,
}

impl SourceFile {
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let bytes = self.text.bytes().enumerate();
            let after_newlines = bytes.filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0)
                .chain(after_newlines)
                .map(|at| u32::try_from(at).expect("MAX_FILE is far below 4 GiB"))
                .collect()
        })
    }
}

/// A definition that a piece of text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name, without the dollar sign.
    pub name: String,
    /// Where it was defined; `None` for a predefined name.
    pub defined: Option<Span>,
}

/// All files that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    /// What the references at these places stood for, the outermost definition first.
    origins: BTreeMap<Span, Vec<Origin>>,
}

/// Definitions that are remembered for one place; a chain that is longer is not read by anybody.
const MAX_ORIGINS: usize = 8;

/// Places of references that are remembered.
const MAX_PLACES: usize = 100_000;

impl SourceMap {
    /// Adds a file that nothing includes.
    #[cfg(test)]
    pub(crate) fn add(&mut self, name: String, text: String) -> FileId {
        self.add_included(name, text, None)
    }

    /// Adds a file, and the statement that includes it. The caller keeps `text` below 4 GiB ([`crate::MAX_FILE`]).
    pub(crate) fn add_included(&mut self, name: String, text: String, included_at: Option<Span>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("MAX_FILES is far below 2^32"));
        self.files.push(SourceFile { name, text: Arc::new(text), lines: OnceLock::new(), included_at });
        id
    }

    /// Text of a file, shared.
    pub(crate) fn text(&self, file: FileId) -> Arc<String> {
        self.files.get(file.0 as usize).map(|f| Arc::clone(&f.text)).unwrap_or_default()
    }

    /// Name of a file.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |f| &f.name)
    }

    /// How many files were read.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Was no file read?
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The statement that includes a file; `None` for the main file.
    pub fn included_at(&self, file: FileId) -> Option<Span> {
        self.files.get(file.0 as usize).and_then(|f| f.included_at)
    }

    /// Remembers that the reference at `place` stood for a definition.
    pub(crate) fn came_from(&mut self, place: Span, name: &str, defined: Option<Span>) {
        if self.origins.len() >= MAX_PLACES && !self.origins.contains_key(&place) {
            return;
        }
        let known = self.origins.entry(place).or_default();
        if known.len() < MAX_ORIGINS && known.iter().all(|o| o.name != name || o.defined != defined) {
            known.push(Origin { name: name.to_owned(), defined });
        }
    }

    /// The definitions that text in `span` came from, the outermost first.
    pub fn origins(&self, span: Span) -> impl Iterator<Item = &Origin> {
        let first = Span { end: 0, ..span };
        let past = Span { start: span.end.max(span.start.saturating_add(1)), end: 0, ..span };
        self.origins.range(first..past).filter(move |(place, _)| place.end <= span.end).flat_map(|(_, o)| o)
    }

    /// Bytes of a file's text.
    pub(crate) fn length(&self, file: FileId) -> usize {
        self.files.get(file.0 as usize).map_or(0, |f| f.text.len())
    }

    /// Line, column and source line of a span (its first line, if it has several).
    pub fn position(&self, span: Span) -> Option<Position<'_>> {
        let file = self.files.get(span.file.0 as usize)?;
        let lines = file.lines();
        let index = lines.partition_point(|start| *start <= span.start).checked_sub(1)?;
        let line_start = *lines.get(index)? as usize;
        let rest = file.text.get(line_start..)?;
        let text = rest.split('\n').next()?.trim_end_matches('\r');
        let start = (span.start as usize - line_start).min(text.len());
        let end = (span.end as usize).saturating_sub(line_start).clamp(start, text.len());
        let column = text.get(..start).map_or(start, |before| before.chars().count()) + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Some(Position { file: &file.name, line: number(index + 1), column: number(column), text, start, end })
    }
}

/// Where bytes that are not UTF-8 live in decoded text: byte b is this plus b, in a private plane.
const RAW_BYTES: u32 = 0x10_f000;

/// Text of any encoding: what is UTF-8 stays, any other byte becomes one private character, so that nothing is
/// lost and [`encode`] gives back the bytes of the file (passwords are compared byte for byte).
pub fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        let raw =
            |b: &u8| char::from_u32(RAW_BYTES + u32::from(*b)).expect("0x10f000 to 0x10f0ff are characters");
        text.extend(chunk.invalid().iter().map(raw));
    }
    text
}

/// As [`decode`], without a copy where the bytes are text already.
pub(crate) fn decode_owned(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| decode(error.as_bytes()))
}

/// The bytes that [`decode`] read.
pub fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        match u32::from(c).checked_sub(RAW_BYTES).and_then(|b| u8::try_from(b).ok()) {
            Some(raw) => bytes.push(raw),
            None => bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    bytes
}

/// What the parser needs from the outside: files by name.
pub trait Reader {
    /// The files that `pattern` (a name, or a glob with `*`, `?`, `[...]` and `{a,b}`) stands for, in order.
    /// A relative pattern is taken from the directory of `from`, the including file.
    /// `Err` is a sentence why nothing fits.
    fn resolve(&mut self, pattern: &str, from: Option<&str>) -> Result<Vec<String>, String>;

    /// The octets of a file. `Err` is a sentence why it cannot be used.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, String>;

    /// Is there a file of this name? Asked of names without wildcards when an include insists that they match.
    fn exists(&mut self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// The one name of a file that has several, so that a circle of includes is seen whatever their spelling.
    fn identity(&mut self, name: &str) -> String {
        name.to_owned()
    }

    /// A variable of the environment, for `${_ENV NAME}`.
    fn variable(&mut self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// Where the numbers of `${_RANDOM}` begin, unless `random_seed` says it.
    fn seed(&mut self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_encoding_survive() {
        let latin1 = b"auth_pass p\xe4ss\n".to_vec();
        assert_eq!(encode(&decode(&latin1)), latin1);
        assert_eq!(decode("größe".as_bytes()), "größe");
    }

    #[test]
    fn a_span_knows_its_line_and_column() {
        let mut map = SourceMap::default();
        let file = map.add("a.conf".into(), "eins\r\n  zwei drei\r\n".into());
        let position = map.position(Span { file, start: 13, end: 17 }).expect("inside the file");
        assert_eq!((position.line, position.column, position.text), (2, 8, "  zwei drei"));
        assert_eq!(&position.text[position.start..position.end], "drei");
    }
}
