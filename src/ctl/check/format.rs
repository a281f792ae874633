//! The ways to print what was found.

use crate::ctl::text::{clean, plural};
use crate::role::compile::{Examined, MAX_SHOWN};
use keepalived_compat::diagnostics::{Diagnostic, Severity, worst};
use keepalived_compat::{SourceMap, Span};
use serde::Serialize;

/// Diagnostics in the formats that programs read; more than that is one mistake made often.
const MAX_LISTED: usize = 2_000;

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "hint",
    }
}

fn count(examined: &Examined, severity: Severity) -> usize {
    examined.diagnostics.iter().filter(|d| d.severity() == severity).count()
}

/// Source lines with the places underlined, and a summary.
pub(super) fn human(examined: &Examined, name: &str, colours: bool) -> String {
    let (shown, more) = worst(&examined.diagnostics, MAX_SHOWN);
    let mut text = String::new();
    for diagnostic in shown {
        let rendered = if colours {
            diagnostic.render_coloured(&examined.sources)
        } else {
            diagnostic.render(&examined.sources)
        };
        text += &format!("{rendered}\n\n");
    }
    if more > 0 {
        text += &format!("and {more} more (--format short lists up to {MAX_LISTED})\n");
    }
    let of = |severity| plural(count(examined, severity), word(severity));
    let name = clean(name);
    if examined.diagnostics.is_empty() {
        return text + &format!("{name}: nothing to say\n");
    }
    let [errors, warnings, hints] = [Severity::Error, Severity::Warning, Severity::Hint].map(of);
    text += &format!("{name}: {errors}, {warnings}, {hints}\n");
    text + "holdfastctl check --explain CODE tells the story of a code\n"
}

/// `FILE:LINE:COLUMN: error[HF0007]: TITLE; WHAT HAPPENS`.
pub(super) fn short(examined: &Examined) -> String {
    let (shown, more) = worst(&examined.diagnostics, MAX_LISTED);
    let mut text = String::new();
    for diagnostic in shown {
        let place = Place::of(&examined.sources, diagnostic.span);
        let place = place.map(|p| format!("{}:{}:{}: ", p.file, p.line, p.column)).unwrap_or_default();
        let Diagnostic { code, title, now, .. } = diagnostic;
        let severity = word(diagnostic.severity());
        text += &clean(&format!("{place}{severity}[{code}]: {title}; {now}"));
        text.push('\n');
    }
    if more > 0 {
        text += &format!("and {more} more\n");
    }
    text
}

/// Workflow commands: `::error file=F,line=1,col=2,title=HF0007::TEXT`.
pub(super) fn github(examined: &Examined) -> String {
    let (shown, more) = worst(&examined.diagnostics, MAX_LISTED);
    let mut text = String::new();
    for diagnostic in shown {
        let command = match diagnostic.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "notice",
        };
        let place = Place::of(&examined.sources, diagnostic.span).map(|p| {
            let Place { file, line, column, end_column } = p;
            format!("file={},line={line},col={column},endColumn={end_column},", property(&file))
        });
        let mut message = format!("{}: {}.", diagnostic.title, diagnostic.now);
        if !diagnostic.instead.is_empty() {
            message += &format!(" Instead: {}", diagnostic.instead);
        }
        let (place, code) = (place.unwrap_or_default(), diagnostic.code);
        text += &format!("::{command} {place}title={code}::{}\n", data(&message));
    }
    if more > 0 {
        text += &format!("::notice title=holdfastctl::and {more} more\n");
    }
    text
}

/// Text after the last colons of a workflow command.
fn data(text: &str) -> String {
    clean(text).replace('%', "%25")
}

/// A value before them.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A place in numbers from 1.
#[derive(Serialize)]
struct Place {
    file: String,
    line: u32,
    column: u32,
    end_column: u32,
}

impl Place {
    fn of(sources: &SourceMap, span: Option<Span>) -> Option<Place> {
        let position = sources.position(span?)?;
        let width = position.text.get(position.start..position.end).map_or(0, |t| t.chars().count());
        let end_column = position.column.saturating_add(u32::try_from(width).unwrap_or(0));
        Some(Place { file: nearby(position.file), line: position.line, column: position.column, end_column })
    }
}

/// The name from the current directory on, if the file is below it: that is how people and GitHub write names.
fn nearby(file: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = std::path::Path::new(file);
    clean(&path.strip_prefix(here).unwrap_or(path).display().to_string())
}

#[derive(Serialize)]
struct Finding<'a> {
    code: String,
    severity: &'static str,
    place: Option<Place>,
    title: &'a str,
    now: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instead: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<Related<'a>>,
    /// Definitions and includes it came through, from the inside out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<String>,
}

#[derive(Serialize)]
struct Related<'a> {
    place: Option<Place>,
    label: &'a str,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    errors: usize,
    warnings: usize,
    hints: usize,
    /// Findings that are not listed.
    more: usize,
    findings: Vec<Finding<'a>>,
}

/// Everything, as one object.
pub(super) fn json(examined: &Examined, name: &str) -> Result<String, serde_json::Error> {
    let (shown, more) = worst(&examined.diagnostics, MAX_LISTED);
    let sources = &examined.sources;
    let findings = shown
        .into_iter()
        .map(|d| Finding {
            code: d.code.to_string(),
            severity: word(d.severity()),
            place: Place::of(sources, d.span),
            title: &d.title,
            now: &d.now,
            instead: &d.instead,
            related: d
                .related
                .as_ref()
                .map(|(s, label)| Related { place: Place::of(sources, Some(*s)), label }),
            from: d.chain(sources),
        })
        .collect();
    let of = |severity| count(examined, severity);
    let (errors, warnings, hints) = (of(Severity::Error), of(Severity::Warning), of(Severity::Hint));
    let report = Report { file: name, errors, warnings, hints, more, findings };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}
