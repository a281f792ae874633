//! The commands a configuration names: nothing runs them yet, but whether they could be run is worth saying.

use super::name_of;
use crate::command;
use crate::keywords::{self, Opens, Place};
use crate::lexer::is_script;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;

/// Scripts by name, and the commands in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// Programs (first words of commands) that are in use: notifications, checks, and scripts that are tracked.
    pub programs: Vec<Spanned<String>>,
    /// Those of them that are tracked.
    pub tracked: BTreeSet<String>,
    /// All commands that are defined, in use or not, with the account that their block or line names.
    pub commands: Vec<Command>,
    /// Which of them, and of the programs, belong to a `vrrp_sync_group`; by where it begins.
    of_groups: Vec<(Span, Range<usize>, Range<usize>)>,
}

/// A command and who is to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, with its place.
    pub program: Spanned<String>,
    /// User, and perhaps group, when written.
    pub user: Option<Spanned<String>>,
    /// Is the user a word behind the command, instead of a `user` of its block?
    pub inline: bool,
}

/// `vrrp_script` blocks by name, with their commands.
type Defined = BTreeMap<String, Option<Spanned<String>>>;

/// Finds commands; knows the scripts defined so far.
#[derive(Debug, Default)]
pub(super) struct Finder {
    defined: Defined,
}

impl Finder {
    /// Finds the commands of a block of the outermost level.
    pub(super) fn look(&mut self, scripts: &mut Scripts, statement: &Statement) {
        match (statement.keyword().text.as_str(), name_of(statement)) {
            ("vrrp_script", Some(name)) => {
                let body = statement.body();
                let found = body.iter().find(|s| s.keyword().text == "script").and_then(program);
                // The first of that name counts.
                if let Entry::Vacant(place) = self.defined.entry(name.value) {
                    let user = body.iter().find(|s| s.keyword().text == "user");
                    scripts.command(place.insert(found).clone(), user);
                }
            }
            ("vrrp_script", None) => {}
            (keyword, _) => {
                let Some(Opens::Block(place)) = keywords::find(Place::Root, keyword).map(|k| k.opens) else {
                    return;
                };
                let (programs, commands) = (scripts.programs.len(), scripts.commands.len());
                scripts.of_block(place, statement.body(), &self.defined);
                if keyword == "vrrp_sync_group" {
                    let (programs, commands) =
                        (programs..scripts.programs.len(), commands..scripts.commands.len());
                    scripts.of_groups.push((statement.span(), programs, commands));
                }
            }
        }
    }
}

impl Scripts {
    /// Forgets what the sync groups that begin at these places name: groups that are left out run nothing.
    pub(super) fn without_groups(&mut self, groups: &[Span]) {
        let groups: Vec<_> =
            std::mem::take(&mut self.of_groups).into_iter().filter(|(at, ..)| groups.contains(at)).collect();
        let (mut program, mut command) = (0.., 0..);
        self.programs.retain(|_| {
            let index = program.next();
            !groups.iter().any(|(_, programs, _)| index.is_some_and(|i| programs.contains(&i)))
        });
        self.commands.retain(|_| {
            let index = command.next();
            !groups.iter().any(|(.., commands)| index.is_some_and(|i| commands.contains(&i)))
        });
    }

    fn command(&mut self, program: Option<Spanned<String>>, user: Option<&Statement>) {
        let user = user.and_then(|s| s.arguments().first());
        let user = user.map(|w| Spanned::new(w.text.clone(), w.span));
        self.commands.extend(program.map(|program| Command { program, user, inline: false }));
    }

    /// What stands where keepalived does not know it is no script.
    fn of_block(&mut self, place: Place, body: &[Statement], defined: &Defined) {
        for statement in body {
            let keyword = statement.keyword().text.as_str();
            let Some(known) = keywords::find(place, keyword) else { continue };
            if keyword == "track_script" {
                let lines = statement.body().iter().filter_map(|line| defined.get(&line.keyword().text));
                let found: Vec<Spanned<String>> = lines.flatten().cloned().collect();
                self.tracked.extend(found.iter().map(|program| program.value.clone()));
                self.programs.extend(found);
            } else if is_script(keyword) && !matches!(keyword, "process" | "regex") {
                let found = program(statement).filter(|_| !keyword.ends_with("_fifo"));
                let own = statement.arguments().get(1);
                let user = own.map(|w| Spanned::new(w.text.clone(), w.span));
                if keyword == "misc_path" {
                    self.command(found.clone(), body.iter().find(|s| s.keyword().text == "user"));
                } else {
                    self.commands.extend(found.clone().map(|program| Command {
                        program,
                        user,
                        inline: true,
                    }));
                }
                self.programs.extend(found);
            } else if let Opens::Block(inner) = known.opens {
                self.of_block(inner, statement.body(), defined);
            }
        }
    }
}

/// The program of a command.
fn program(statement: &Statement) -> Option<Spanned<String>> {
    let word = statement.arguments().first()?;
    let program = command::split(&word.text).ok()?.into_iter().next()?;
    Some(Spanned::new(program, word.span))
}
