//! Words to options as popt(3) does it, in the order in which they stand: short options in clusters, values behind
//! `=`, in the same word or in the next, and everything else put aside. Pure.

use super::options::{TABLE, Takes, Word};

/// Reads one command line.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a [String],
    next: usize,
    /// The rest of a cluster of short options.
    cluster: Option<&'a str>,
    aside: Vec<&'a str>,
    only_arguments: bool,
}

/// What popt says of a word it cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The word as it stands on the command line.
    pub word: String,
    /// popt's reason.
    pub why: &'static str,
}

impl<'a> Reader<'a> {
    /// `words` without the program's name.
    pub fn new(words: &'a [String]) -> Reader<'a> {
        Reader { words, next: 0, cluster: None, aside: Vec::new(), only_arguments: false }
    }

    /// The next option with its value; nothing at the end.
    pub fn next(&mut self) -> Option<Result<(Word, Option<&'a str>), Bad>> {
        loop {
            if let Some(rest) = self.cluster.take() {
                return Some(self.short(rest));
            }
            let word = self.words.get(self.next)?;
            self.next += 1;
            if self.only_arguments || word == "-" || !word.starts_with('-') {
                self.aside.push(word);
            } else if word == "--" {
                self.only_arguments = true;
            } else if let Some(long) = word.strip_prefix("--") {
                return Some(self.long(long));
            } else {
                return Some(self.short(&word[1..]));
            }
        }
    }

    /// The next word that was no option.
    pub fn argument(&mut self) -> Option<&'a str> {
        (!self.aside.is_empty()).then(|| self.aside.remove(0))
    }

    /// The word read last, which is the one to blame.
    pub fn current(&self) -> &'a str {
        self.next.checked_sub(1).and_then(|last| self.words.get(last)).map_or("", String::as_str)
    }

    fn long(&mut self, text: &'a str) -> Result<(Word, Option<&'a str>), Bad> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let entry = TABLE.iter().find(|entry| entry.long == name);
        let entry = entry.ok_or_else(|| self.bad("unknown option"))?;
        self.value(entry.word, entry.takes, value)
    }

    /// `rest` begins with an option's letter.
    fn short(&mut self, rest: &'a str) -> Result<(Word, Option<&'a str>), Bad> {
        let mut letters = rest.chars();
        let letter = letters.next();
        let behind = letters.as_str();
        let entry = TABLE.iter().find(|entry| entry.short.is_some() && entry.short == letter);
        let entry = entry.ok_or_else(|| self.bad("unknown option"))?;
        let attached = behind.strip_prefix('=');
        if entry.takes == Takes::Nothing && attached.is_none() {
            self.cluster = (!behind.is_empty()).then_some(behind);
            return Ok((entry.word, None));
        }
        let attached = attached.or((!behind.is_empty()).then_some(behind));
        self.value(entry.word, entry.takes, attached)
    }

    fn value(
        &mut self,
        word: Word,
        takes: Takes,
        attached: Option<&'a str>,
    ) -> Result<(Word, Option<&'a str>), Bad> {
        let following = self.words.get(self.next).map(String::as_str);
        match (takes, attached) {
            (Takes::Nothing, Some(_)) => Err(self.bad("option does not take an argument")),
            (Takes::Nothing, None) => Ok((word, None)),
            (_, Some(value)) => Ok((word, Some(value))),
            (Takes::Perhaps, None) if following.is_none_or(|next| next.starts_with('-')) => Ok((word, None)),
            (_, None) => match following {
                Some(next) => {
                    self.next += 1;
                    Ok((word, Some(next)))
                }
                None => Err(self.bad("missing argument")),
            },
        }
    }

    fn bad(&self, why: &'static str) -> Bad {
        Bad { word: self.current().to_owned(), why }
    }
}
