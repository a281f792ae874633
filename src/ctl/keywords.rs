//! `holdfastctl keywords` and `holdfastctl completion`: the keyword table for people, editors and shells.

use super::{Done, Tool, print_json, text};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use keepalived_compat::complete::{Candidate, Completion, at, keywords_at};
use keepalived_compat::diagnostics::Code;
use keepalived_compat::keywords::{Place, Status, places};
use serde::Serialize;
use std::ffi::OsStr;
use std::io::Read;

/// Bytes of a file that is completed; an editor asks at each key.
const MOST: u64 = 16 << 20;

/// Arguments of `keywords`.
#[derive(Debug, Args)]
pub(super) struct Keywords {
    /// Only those that begin so
    #[arg(conflicts_with = "at")]
    prefix: Option<String>,
    /// Those of one block, such as vrrp_instance or virtual_server/real_server; of the whole table otherwise
    #[arg(long, value_name = "BLOCK", conflicts_with = "at", hide_possible_values = true,
          value_parser = OneOf(place_names))]
    place: Option<String>,
    /// What may be written at the cursor: a file (- for standard input), a line and a column, from 1
    #[arg(long, value_name = "FILE:LINE:COLUMN", allow_hyphen_values = true)]
    at: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One keyword, as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    word: String,
    arguments: &'static str,
    /// Block that it stands in.
    place: &'static str,
    /// `works`, `accepted`, `not yet`, or nothing for a value or a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// Why it has no effect, or what happens without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'static str>,
}

impl Shown {
    fn of(candidate: Candidate, place: &'static str) -> Shown {
        let (status, because) = match candidate.status {
            None => (None, None),
            Some(Status::Works) => (Some("works"), None),
            Some(Status::Accepted(reason)) => (Some("accepted"), Some(reason)),
            Some(Status::NotYet { meaning, .. }) => (Some("not yet"), Some(meaning)),
        };
        Shown { word: candidate.word, arguments: candidate.arguments, place, status, because }
    }

    fn line(&self) -> String {
        let Shown { word, arguments, place, status, because } = self;
        let because = because.map_or(String::new(), |reason| format!(": {reason}"));
        format!("{word}\t{arguments}\t{place}\t{}{because}\n", status.unwrap_or_default())
    }
}

pub(super) fn run(arguments: Keywords) -> Done {
    let Keywords { prefix, place, at, json } = arguments;
    let shown = match at {
        Some(cursor) => at_cursor(&cursor)?,
        None => listed(&prefix.unwrap_or_default(), place.as_deref())?,
    };
    if json {
        print_json(&shown)?;
    } else {
        text::print(&shown.iter().map(Shown::line).collect::<String>());
    }
    Ok(0)
}

fn listed(prefix: &str, place: Option<&str>) -> Result<Vec<Shown>, String> {
    let wanted = |at: &Place| place.is_none_or(|path| at.path() == path);
    if !places().any(|(at, _)| wanted(&at)) {
        let block = text::clean(place.unwrap_or_default());
        return Err(format!(
            "there is no block {block}; the headings of docs/compat.md are the blocks there are"
        ));
    }
    let mut shown = Vec::new();
    for (at, list) in places().filter(|(at, _)| wanted(at)) {
        // The includes may stand anywhere: they are said once, unless one block is asked for.
        let all: Vec<_> = if place.is_some() { keywords_at(at).collect() } else { list.iter().collect() };
        let begins = all.into_iter().filter(|k| k.name.starts_with(prefix));
        shown.extend(begins.map(|k| Shown::of(Candidate::keyword(k), at.path())));
    }
    Ok(shown)
}

fn at_cursor(cursor: &str) -> Result<Vec<Shown>, String> {
    let usage = || format!("{} is not FILE:LINE:COLUMN", text::clean(cursor));
    let mut parts = cursor.rsplitn(3, ':');
    let mut number = || parts.next().and_then(|n| n.parse().ok()).ok_or_else(usage);
    let (column, line) = (number()?, number()?);
    let file = parts.next().ok_or_else(usage)?;
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin().take(MOST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(MOST).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("{}: {error}", text::clean(file)))?;
    let Completion { place, candidates, .. } = at(&String::from_utf8_lossy(&bytes), line, column);
    let place = place.map_or("", Place::path);
    Ok(candidates.into_iter().map(|candidate| Shown::of(candidate, place)).collect())
}

/// Prints what a shell needs in order to complete the words of `holdfastctl`.
pub(super) fn completion(shell: Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Tool::command(), "holdfastctl", &mut script);
    text::print(&String::from_utf8_lossy(&script));
    Ok(0)
}

/// Any text; shells complete it to one of a list. What is wrong with another text is said by whoever reads it.
#[derive(Clone, Copy)]
pub(super) struct OneOf(pub fn() -> Vec<String>);

impl TypedValueParser for OneOf {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}

/// The codes of diagnostics.
pub(super) fn code_names() -> Vec<String> {
    Code::ALL.iter().map(Code::to_string).collect()
}

fn place_names() -> Vec<String> {
    places().map(|(place, _)| place.path().to_owned()).collect()
}
