//! Advice beyond what keepalived checks: codes from HF0100 on, never an error, never part of `-t`'s status.
//!
//! The rule for each lint: it must be right whatever the rest of the network looks like. What depends on the
//! machine is asked of [`Facts`], and what is not known is not said.

mod servers;
mod vrrp;

use crate::diagnostics::Diagnostic;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::net::IpAddr;

/// What a lint may want to know about this machine.
pub trait Facts {
    /// The addresses of an interface with their prefix lengths; `None` when that is not known.
    fn networks(&self, interface: &str) -> Option<Vec<(IpAddr, u8)>>;
}

/// For a machine that nothing is known about.
#[derive(Clone, Copy, Debug)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn networks(&self, _: &str) -> Option<Vec<(IpAddr, u8)>> {
        None
    }
}

/// Takes from the statements of the outermost level what lints look at.
#[derive(Debug, Default)]
pub(crate) struct Linter {
    routers: vrrp::Routers,
    diagnostics: Vec<Diagnostic>,
}

impl Linter {
    pub(crate) fn see(&mut self, statement: &Statement) {
        match statement.keyword().text.as_str() {
            "vrrp_instance" => self.routers.instance(statement),
            "vrrp_sync_group" => self.routers.group(statement),
            "virtual_server" => servers::lint(statement, &mut self.diagnostics),
            _ => self.routers.tracked(statement),
        }
    }

    pub(crate) fn finish(mut self, facts: &dyn Facts) -> Vec<Diagnostic> {
        self.routers.lint(facts, &mut self.diagnostics);
        self.diagnostics
    }
}

/// The last statement of a block with this keyword: a later line replaces an earlier one.
fn last<'a>(body: &'a [Statement], keyword: &str) -> Option<&'a Statement> {
    body.iter().rev().find(|s| s.keyword().text == keyword)
}

/// The word after a keyword.
fn word<'a>(body: &'a [Statement], keyword: &str) -> Option<(&'a str, Span)> {
    let statement = last(body, keyword)?;
    Some((statement.arguments().first()?.text.as_str(), statement.span()))
}

/// The number after a keyword; nothing when it is none: another code says that.
fn number(body: &[Statement], keyword: &str) -> Option<Spanned<i64>> {
    let (text, span) = word(body, keyword)?;
    text.parse().ok().map(|n| Spanned::new(n, span))
}
