//! The commands a configuration names: nothing runs them yet, but whether they could be run is worth saying.

use super::{Context, duplicate, name_of};
use crate::keywords::{self, Place};
use crate::preprocess::is_script;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use crate::{Code, Diagnostic};
use std::collections::BTreeMap;

/// Scripts by name, and the commands in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// Programs (first words of commands) that are in use: notifications, checks, and scripts that are tracked.
    pub programs: Vec<Spanned<String>>,
}

/// `vrrp_script` blocks by name: the place of the name, and the command.
type Defined = BTreeMap<String, (Spanned<String>, Option<Spanned<String>>)>;

/// Finds scripts; knows those defined so far.
#[derive(Debug, Default)]
pub(super) struct Finder {
    defined: Defined,
}

impl Finder {
    /// Finds the scripts of a block of the outermost level; says which tracked ones are not defined above it.
    pub(super) fn look(&mut self, cx: &mut Context, scripts: &mut Scripts, statement: &Statement) {
        match statement.keyword().text.as_str() {
            "vrrp_script" => {
                let Some(name) = name_of(statement) else { return };
                if let Some((first, _)) = self.defined.get(&name.value) {
                    return duplicate(cx, "vrrp_script", &name, first);
                }
                let command =
                    statement.body().iter().find(|s| s.keyword().text == "script").and_then(program);
                self.defined.insert(name.value.clone(), (name, command));
            }
            keyword if keywords::find(Place::Root, keyword).is_none() => {}
            _ => scripts.of_block(cx, statement.body(), &self.defined),
        }
    }
}

impl Scripts {
    fn of_block(&mut self, cx: &mut Context, body: &[Statement], defined: &Defined) {
        for statement in body {
            let keyword = statement.keyword().text.as_str();
            if keyword == "track_script" {
                for line in statement.body() {
                    match defined.get(&line.keyword().text) {
                        Some((_, command)) => self.programs.extend(command.clone()),
                        None => undefined(cx, &line.keyword().text, line.span()),
                    }
                }
            } else if is_script(keyword) && !matches!(keyword, "process" | "regex") {
                self.programs.extend(program(statement).filter(|_| !keyword.ends_with("_fifo")));
            } else {
                self.of_block(cx, statement.body(), defined);
            }
        }
    }
}

fn undefined(cx: &mut Context, name: &str, span: Span) {
    let title = format!("the script `{name}` is not defined above");
    let diagnostic = Diagnostic::new(Code::UnknownName, span, title, "it is not tracked");
    cx.say(diagnostic.instead("put its vrrp_script block before the instance"));
}

/// The program of a command: its first word, out of quotes.
fn program(statement: &Statement) -> Option<Spanned<String>> {
    let word = statement.arguments().first()?;
    let program = word.text.split_whitespace().next()?.trim_matches(['\'', '"']);
    (!program.is_empty()).then(|| Spanned::new(program.to_owned(), word.span))
}
