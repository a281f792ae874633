//! The one-shot `compile` role: reads the configuration, lowers it, answers once, exits. No long-lived process
//! ever parses a configuration file.

mod effective;
mod files;
mod interfaces;
mod keys;
mod machine;
mod names;
mod scripts;
mod sources;
mod verdict;

#[cfg(test)]
mod tests;

use crate::config::lower_owned;
use crate::config::snmp::Asked;
use crate::link::Compiled;
use crate::link::frame::encode;
use crate::link::kept::CompileAnswer;
use crate::plan::Generation;
use crate::report::plural;
pub use effective::{DEFAULT, NOT_RUN, effective};
use files::Files;
pub use interfaces::interface_exists;
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::diagnostics::worst;
use keepalived_compat::{Code, Diagnostic, Options, Severity, SourceMap};
pub use machine::{Machine, ThisMachine};
pub use sources::address_exists;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to read and for whom.
#[derive(Clone, Debug)]
pub struct CompileRequest {
    /// The configuration file; may be a glob.
    pub file: PathBuf,
    /// `--config-id`; the host name up to its first dot when `None`.
    pub config_id: Option<String>,
    /// Number of the plans.
    pub generation: Generation,
    /// Read virtual routers.
    pub want_vrrp: bool,
    /// Read virtual servers.
    pub want_checker: bool,
    /// `-x`: there is an SNMP agent, whatever the configuration says.
    pub snmp: bool,
    /// `-A`: where its master listens, whatever the configuration says.
    pub snmp_socket: Option<String>,
    /// Is there an interface of this name now? [`interface_exists`], except in tests.
    pub interface_exists: fn(&str) -> bool,
    /// Has an interface this address now? [`address_exists`], except in tests.
    pub address_exists: fn(IpAddr) -> bool,
}

/// Diagnostics that are printed at once; the worst ones are, and the number of the others.
pub const MAX_SHOWN: usize = 200;
/// Status with which keepalived ends when it finds no usable configuration file.
const STATUS_NO_FILE: u8 = 6;
/// Status with which keepalived ends when the configuration cannot be run.
const STATUS_CONFIG: u8 = 2;

/// Reads and lowers the configuration. Does the file I/O.
pub fn compile(request: &CompileRequest) -> Compiled {
    let outcome = Outcome::of(request);
    let fatal = outcome.diagnostics.iter().any(|d| d.code.is_fatal());
    let status = if fatal { outcome.start_status() } else { outcome.test_status() };
    Compiled {
        diagnostics: outcome.rendered().collect(),
        plans: (!fatal).then_some(outcome.plans),
        status,
        errors: outcome.diagnostics.iter().filter(|d| counts(d)).count(),
        cannot_run: outcome.diagnostics.iter().filter(|d| d.code == Code::ScriptMissing).count(),
    }
}

/// Is it an error of the file, so that a reload may not bring it? What keepalived knows and holdfast does not build yet is
/// none: a valid keepalived.conf must stay reloadable. A script that cannot be run is none either: the file may be as
/// good as it was, and the machine is not.
fn counts(diagnostic: &Diagnostic) -> bool {
    let spared = matches!(diagnostic.code, Code::NotYetTraffic | Code::ScriptMissing);
    diagnostic.severity() == Severity::Error && !spared
}

/// Compiles and writes the one framed [`CompileAnswer`] to `link`. Exit status 1 when the supervisor does not take it.
pub fn run_role(mut link: UnixStream, request: &CompileRequest) -> ExitCode {
    let answer = CompileAnswer::try_from(compile(request));
    let frame = answer.and_then(|answer| encode(&answer)).or_else(|error| {
        // Only an absurd configuration is larger than a frame: say that instead of it.
        let sentence = format!("the configuration cannot be handed over: {error}");
        encode(&CompileAnswer {
            plans: None,
            status: STATUS_CONFIG,
            diagnostics: vec![sentence],
            errors: 1,
            cannot_run: 0,
        })
    });
    let sent = frame.map_err(|e| e.to_string()).and_then(|frame| {
        link.set_nonblocking(false)
            .and_then(|()| link.write_all(&frame))
            .and_then(|()| link.flush())
            .map_err(|e| e.to_string())
    });
    if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `-t`: prints all diagnostics and a summary to `out`, returns the exit status (behaviour of keepalived 2.4.3,
/// except that a main file that cannot be read gives 4 instead of 0).
pub fn config_test(request: &CompileRequest, out: &mut dyn Write) -> u8 {
    let outcome = Outcome::of(request);
    let count = |s| outcome.diagnostics.iter().filter(|d| d.severity() == s).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut print = || -> std::io::Result<()> {
        for diagnostic in outcome.rendered() {
            writeln!(out, "{diagnostic}\n")?;
        }
        if errors + warnings > 0 {
            let (errors, warnings) = (plural(errors, "error"), plural(warnings, "warning"));
            writeln!(out, "{errors}, {warnings} in {}", request.file.display())?;
        }
        out.flush()
    };
    // Nobody reads what is printed: the status still counts.
    let _ = print();
    outcome.test_status()
}

/// All that is to be said about a configuration.
#[derive(Clone, Debug)]
pub struct Examined {
    /// In the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The files, for rendering.
    pub sources: SourceMap,
}

/// Reads and lowers the configuration as [`compile`] does, and lints it too.
pub fn examine(request: &CompileRequest, machine: &dyn Machine) -> Examined {
    let Outcome { diagnostics, sources, .. } = Outcome::with_lints(request, Some(machine));
    Examined { diagnostics, sources }
}

/// A compiled configuration before it is put into words.
struct Outcome {
    plans: crate::plan::Plans,
    diagnostics: Vec<Diagnostic>,
    sources: SourceMap,
}

impl Outcome {
    fn of(request: &CompileRequest) -> Outcome {
        Outcome::with_lints(request, None)
    }

    fn with_lints(request: &CompileRequest, machine: Option<&dyn Machine>) -> Outcome {
        let config_id = request.config_id.clone().unwrap_or_else(host);
        let options =
            Options { config_id: &config_id, vrrp: request.want_vrrp, checker: request.want_checker };
        // Absolute, because ${_PWD} of a file is used inside it as the start of other names.
        let file = std::path::absolute(&request.file).unwrap_or_else(|_| request.file.clone());
        let file = file.to_string_lossy();
        let mut parsed = match machine {
            Some(machine) => keepalived_compat::parse_and_lint(&mut Files, &file, options, machine),
            None => keepalived_compat::parse(&mut Files, &file, options),
        };
        let lints = machine.map(|machine| machine::lint(&parsed.config, machine)).unwrap_or_default();
        // Interfaces and addresses are looked up where the daemon will live.
        if let Some(name) = parsed.config.others.as_slice().text("net_namespace") {
            super::namespace::enter_configured(name);
        }
        let keys = keys::read(&mut parsed.config);
        interfaces::find_by_source(&mut parsed.config);
        let mut scripts = scripts::diagnose(&parsed.config);
        let tracked = scripts::tracked(&parsed.config);
        let interfaces = interfaces::diagnose(&parsed.config, request.interface_exists);
        // Where vrrp_instance is not read nobody knows which addresses it brings.
        let asks = request.want_vrrp.then_some(request.address_exists);
        let sources = asks.map(|exists| sources::diagnose(&parsed.config, exists)).unwrap_or_default();
        let security = parsed.config.global.script_security;
        let asked = Asked { checker: request.snmp, socket: request.snmp_socket.clone(), host: whole_host() };
        let lowered = lower_owned(parsed.config, request.generation, &names::names(), &asked);
        let mut plans = lowered.plans;
        verdict::judge_all(&mut plans, security);
        scripts::judged(&plans.scripts, &tracked, &mut scripts);
        let mut diagnostics = parsed.diagnostics;
        diagnostics.extend(lowered.diagnostics);
        diagnostics.extend(keys);
        diagnostics.extend(scripts);
        diagnostics.extend(interfaces);
        diagnostics.extend(sources);
        diagnostics.extend(lints);
        diagnostics.sort_by_key(|d| d.span.map(|s| (s.file, s.start)));
        let later = |d: &&Diagnostic| matches!(d.code, Code::NotYet | Code::NotYetTraffic);
        plans.global.not_yet = diagnostics.iter().filter(later).map(|d| d.line(&parsed.sources)).collect();
        Outcome { plans, diagnostics, sources: parsed.sources }
    }

    /// A missing include that must be there ends keepalived at once, and so does a missing word, which it comes to
    /// later; else the class it counts as least severe wins: script security, then general errors. It does not come
    /// as far as script security when an interface is missing.
    fn test_status(&self) -> u8 {
        let has = |status| self.diagnostics.iter().any(|d| d.code.status() == status);
        if self.diagnostics.iter().any(|d| d.code == Code::RequiredInclude) {
            return Code::RequiredInclude.status();
        }
        let found = [2, 6, 5, 4].into_iter().find(|status| has(*status)).unwrap_or(0);
        let missing = self.diagnostics.iter().any(|d| d.code == Code::MissingInterface);
        if found == Code::ScriptSecurity.status() && missing {
            Code::MissingInterface.status()
        } else {
            found
        }
    }

    /// The worst diagnostics in the order of the file, and a line that counts the others.
    fn rendered(&self) -> impl Iterator<Item = String> {
        let (shown, more) = worst(&self.diagnostics, MAX_SHOWN);
        let rest = (more > 0).then(|| format!("and {more} more"));
        shown.into_iter().map(|d| d.render(&self.sources)).chain(rest)
    }

    fn start_status(&self) -> u8 {
        let no_file = |d: &Diagnostic| matches!(d.code, Code::MainFile | Code::RequiredInclude);
        if self.diagnostics.iter().any(no_file) { STATUS_NO_FILE } else { STATUS_CONFIG }
    }
}

/// The host name up to its first dot, keepalived's default configuration id.
fn host() -> String {
    whole_host().split('.').next().unwrap_or_default().to_owned()
}

/// The host name.
fn whole_host() -> String {
    nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned()
}
