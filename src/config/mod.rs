//! From the typed configuration to plans: defaults, inheritance, references, limits. Pure.
//!
//! What cannot be executed is left out with a diagnostic; what keepalived refuses to start with is a fatal
//! diagnostic ([`keepalived_compat::Code::is_fatal`]).

mod bfd;
mod check;
pub mod effective;
mod lvs;
pub mod names;
mod notify;
mod process;
mod scripts;
pub mod snmp;
mod vrrp;
mod written;

#[cfg(test)]
pub(crate) mod tests;

use crate::plan::{Generation, GlobalPlan, Plans};
use keepalived_compat::config::lvs::VirtualServer;
use keepalived_compat::{Code, Config, Diagnostic, Span};
use names::Names;
use snmp::Asked;
use std::borrow::Borrow;

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
    let servers = config.virtual_servers.iter();
    lower_servers(config, servers, generation, &Names::default(), &Asked::default())
}

/// As [`lower`], with the names of tables and the like that are known here, and what is asked of the SNMP agent beside
/// the file. Each virtual server is given up once its plan is made, because with a million real servers the two beside
/// each other would be twice the memory.
pub fn lower_owned(mut config: Config, generation: Generation, names: &Names, asked: &Asked) -> Lowered {
    let servers = std::mem::take(&mut config.virtual_servers);
    lower_servers(&config, servers.into_iter(), generation, names, asked)
}

fn lower_servers<V: Borrow<VirtualServer>>(
    config: &Config,
    servers: impl Iterator<Item = V>,
    generation: Generation,
    names: &Names,
    asked: &Asked,
) -> Lowered {
    let mut out = Diagnostics(Vec::new());
    let vrrp = vrrp::lower(config, generation, names, &mut out);
    let rows = asked.wants_agent(config).then(Vec::new);
    let mut beside = lvs::Beside { hooks: Vec::new(), rows };
    let mut lvs = lvs::lower(config, servers, generation, &mut beside, &mut out);
    let global = GlobalPlan {
        router_id: config.global.router_id.clone(),
        not_yet: Vec::new(),
        processes: process::processes(config),
        daemon: process::daemon(config),
        written: written::written(config),
    };
    let mut scripts = scripts::lower(config, &vrrp, &lvs, generation, &mut out);
    *scripts.notify = notify::lower(config, beside.hooks, !lvs.virtual_servers.is_empty());
    scripts.notify.know(&vrrp);
    let snmp = snmp::lower(config, asked, &lvs, beside.rows, &mut out);
    lvs.untold = !scripts.notify.tells_of_servers() && !snmp.traps;
    let bfd = bfd::lower(config, generation);
    Lowered { plans: Plans { vrrp, lvs, scripts, bfd, snmp, global }, diagnostics: out.0 }
}

/// Collects what lowering has to say.
struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    fn tell(&mut self, code: Code, span: impl Into<Option<Span>>, title: String, now: &str) {
        self.say(Diagnostic::new(code, span, title, now));
    }

    fn say(&mut self, diagnostic: Diagnostic) {
        keepalived_compat::diagnostics::keep(&mut self.0, diagnostic);
    }
}
