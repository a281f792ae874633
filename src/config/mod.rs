//! From the typed configuration to plans: defaults, inheritance, references, limits. Pure.
//!
//! What cannot be executed is left out with a diagnostic; what keepalived refuses to start with is a fatal
//! diagnostic ([`keepalived_compat::Code::is_fatal`]).

mod check;
pub mod effective;
mod lvs;
mod vrrp;

#[cfg(test)]
mod tests;

use crate::plan::{Generation, GlobalPlan, Plans};
use keepalived_compat::{Code, Config, Diagnostic, Span};

/// Plans, and what was to be said on the way to them.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The plans. Not to be run when a diagnostic is fatal.
    pub plans: Plans,
    /// In the order of the file's blocks.
    pub diagnostics: Vec<Diagnostic>,
}

/// Makes plans of a configuration.
pub fn lower(config: &Config, generation: Generation) -> Lowered {
    let mut out = Diagnostics(Vec::new());
    let vrrp = vrrp::lower(config, generation, &mut out);
    let lvs = lvs::lower(config, generation, &mut out);
    let global = GlobalPlan { router_id: config.global.router_id.clone(), not_yet: Vec::new() };
    Lowered { plans: Plans { vrrp, lvs, global }, diagnostics: out.0 }
}

/// Collects what lowering has to say.
struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    fn tell(&mut self, code: Code, span: impl Into<Option<Span>>, title: String, now: &str) {
        self.say(Diagnostic::new(code, span, title, now));
    }

    fn say(&mut self, diagnostic: Diagnostic) {
        if self.0.len() < keepalived_compat::MAX_DIAGNOSTICS {
            self.0.push(diagnostic);
        }
    }
}
