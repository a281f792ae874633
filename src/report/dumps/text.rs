//! The form of keepalived's state files: sections, objects, properties, lists.

use crate::plan::scripts::Identity;
use std::fmt::{Display, Write};

/// Lines, each with the indent of its rank. Writing to a string cannot fail.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn section(&mut self, title: &str) {
        writeln!(self.0, "------< {title} >------").ok();
    }

    /// The head of an object.
    pub(super) fn head(&mut self, what: &str, name: impl Display) {
        writeln!(self.0, " {what} = {name}").ok();
    }

    /// A line of the first rank without a value.
    pub(super) fn plain(&mut self, line: impl Display) {
        writeln!(self.0, " {line}").ok();
    }

    /// A property of the object.
    pub(super) fn property(&mut self, name: &str, value: impl Display) {
        writeln!(self.0, "   {name} = {value}").ok();
    }

    /// The title of a list.
    pub(super) fn title(&mut self, title: impl Display) {
        writeln!(self.0, "   {title}").ok();
    }

    /// A line of a list.
    pub(super) fn entry(&mut self, line: impl Display) {
        writeln!(self.0, "     {line}").ok();
    }

    /// A list with its title, unless it is empty.
    pub(super) fn list(&mut self, title: impl Display, entries: impl IntoIterator<Item = String>) {
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_some() {
            self.title(title);
        }
        for entry in entries {
            self.entry(entry);
        }
    }
}

/// The daemon's own account is root's.
pub(super) fn account(identity: Option<&Identity>) -> String {
    identity.map_or_else(|| "0:0".to_owned(), |identity| format!("{}:{}", identity.uid, identity.gid))
}
