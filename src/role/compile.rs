//! The one-shot `compile` role: reads the configuration, lowers it, answers once, exits. No long-lived process
//! ever parses a configuration file.

mod effective;
mod files;
mod interfaces;
mod scripts;

#[cfg(test)]
mod tests;

use crate::config::lower;
use crate::link::Compiled;
use crate::link::frame::encode;
use crate::plan::Generation;
pub use effective::{DEFAULT, effective};
use files::Files;
pub use interfaces::interface_exists;
use keepalived_compat::{Code, Diagnostic, Options, Severity, SourceMap};
use std::io::Write;
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
    /// Is there an interface of this name now? [`interface_exists`], except in tests.
    pub interface_exists: fn(&str) -> bool,
}

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
        plans: (!fatal).then_some(outcome.plans),
        status,
        diagnostics: outcome.diagnostics.iter().map(|d| d.render(&outcome.sources)).collect(),
        errors: outcome.diagnostics.iter().filter(|d| d.severity() == Severity::Error).count(),
    }
}

/// Compiles and writes the one framed [`Compiled`] to `link`. Exit status 1 when the supervisor does not take it.
pub fn run_role(mut link: UnixStream, request: &CompileRequest) -> ExitCode {
    let compiled = compile(request);
    let frame = encode(&compiled).or_else(|error| {
        // Only an absurd configuration is larger than a frame: say that instead of it.
        let sentence = format!("the configuration cannot be handed over: {error}");
        encode(&Compiled { plans: None, status: STATUS_CONFIG, diagnostics: vec![sentence], errors: 1 })
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
        for diagnostic in &outcome.diagnostics {
            writeln!(out, "{}\n", diagnostic.render(&outcome.sources))?;
        }
        if errors + warnings > 0 {
            writeln!(out, "{errors} errors, {warnings} warnings in {}", request.file.display())?;
        }
        out.flush()
    };
    // Nobody reads what is printed: the status still counts.
    let _ = print();
    outcome.test_status()
}

/// A compiled configuration before it is put into words.
struct Outcome {
    plans: crate::plan::Plans,
    diagnostics: Vec<Diagnostic>,
    sources: SourceMap,
}

impl Outcome {
    fn of(request: &CompileRequest) -> Outcome {
        let config_id = request.config_id.clone().unwrap_or_else(host);
        let options =
            Options { config_id: &config_id, vrrp: request.want_vrrp, checker: request.want_checker };
        // Absolute, because ${_PWD} of a file is used inside it as the start of other names.
        let file = std::path::absolute(&request.file).unwrap_or_else(|_| request.file.clone());
        let parsed = keepalived_compat::parse(&mut Files, &file.to_string_lossy(), options);
        let lowered = lower(&parsed.config, request.generation);
        let mut plans = lowered.plans;
        let mut diagnostics = parsed.diagnostics;
        diagnostics.extend(lowered.diagnostics);
        diagnostics.extend(scripts::diagnose(&parsed.config));
        diagnostics.extend(interfaces::diagnose(&parsed.config, request.interface_exists));
        diagnostics.sort_by_key(|d| d.span.map(|s| (s.file, s.start)));
        let later = |d: &&Diagnostic| matches!(d.code, Code::NotYet | Code::NotYetTraffic);
        plans.global.not_yet = diagnostics.iter().filter(later).map(|d| d.line(&parsed.sources)).collect();
        Outcome { plans, diagnostics, sources: parsed.sources }
    }

    /// A missing word ends keepalived at once; else the class it counts as least severe wins: script security,
    /// then general errors.
    fn test_status(&self) -> u8 {
        let has = |status| self.diagnostics.iter().any(|d| d.code.status() == status);
        [2, 6, 5, 4].into_iter().find(|status| has(*status)).unwrap_or(0)
    }

    fn start_status(&self) -> u8 {
        let no_file = |d: &Diagnostic| matches!(d.code, Code::MainFile | Code::RequiredInclude);
        if self.diagnostics.iter().any(no_file) { STATUS_NO_FILE } else { STATUS_CONFIG }
    }
}

/// The host name up to its first dot, keepalived's default configuration id.
fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}
