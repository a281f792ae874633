//! From the command line to a running daemon.

use super::appointment;
use super::compiler::compile;
use super::control::ControlSocket;
use super::guard;
use super::life;
use super::named;
use super::own_file;
use super::pidfile::PidLock;
use super::privileges;
use super::reload::log_diagnostics;
use super::run::{Asks, Configuration, Ended, Inputs, run};
use super::settings::Settings;
use super::signals;
use super::upgrade::{self, Successor};
use crate::cli::{Invocation, Options, genhash, signal_number, version, wants_genhash};
use crate::link::kept::CompileAnswer;
use crate::plan::Generation;
use crate::report::plural;
use crate::role::{self, Role, logging, namespace};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::mpsc;

/// keepalived's exit statuses (its manual, "EXIT STATUS").
const EXIT_FATAL: u8 = 1;
const EXIT_NO_PRIVILEGES: u8 = 4;
const EXIT_PROGRAM_ERROR: u8 = 70;

/// For an answer to leave before this process becomes another program.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(20);

/// Requests that may wait for the loop; each comes from a client that waits.
const REQUESTS: usize = 16;

/// The program `holdfast`, by whatever name it was called.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from).unwrap_or_default();
    let words: Vec<_> = words.collect();
    if wants_genhash(&program, words.first()) {
        return be_genhash(&program, words);
    }
    match Options::parse_words(words) {
        Invocation::Say(text, status) => {
            tell(text.trim_end());
            ExitCode::from(status)
        }
        Invocation::Version => {
            tell(version(&program).trim_end());
            ExitCode::SUCCESS
        }
        Invocation::Run(options) => act(&options),
    }
}

fn act(options: &Options) -> ExitCode {
    if let Some(role) = options.role {
        return be_role(role, options);
    }
    if options.genhash {
        // keepalived would forget the options before it and go on with those behind it.
        tell("holdfast: -T must be the first option; nothing was fetched");
        return ExitCode::from(EXIT_FATAL);
    }
    if let Some(name) = &options.signum {
        return print_signal(name);
    }
    if !options.extra.is_empty() {
        let words: Vec<_> = options.extra.iter().map(|word| word.to_string_lossy()).collect();
        print(&format!("Unexpected argument(s): {}", words.join(" ")));
    }
    // Running in the wrong namespace would put addresses where they do not belong.
    if let Some(name) = &options.namespace {
        if let Err(reason) = namespace::enter(name) {
            tell(&format!("holdfast: -s {name}: {reason}; nothing was started"));
            return ExitCode::from(EXIT_FATAL);
        }
        namespace::choose();
    }
    if let Some(file) = &options.config_test {
        return super::dispatch::config_test(options, file);
    }
    limits_of_process(options);
    match Settings::new(options) {
        Ok(settings) => daemon(settings),
        Err(error) => {
            tell(&format!("holdfast: a path on the command line cannot be made absolute: {error}"));
            ExitCode::from(EXIT_FATAL)
        }
    }
}

fn be_genhash(program: &Path, mut words: Vec<OsString>) -> ExitCode {
    let name = program.to_string_lossy();
    if program.file_name().is_some_and(|name| name == "genhash") {
        return genhash::main(&name, words);
    }
    words.remove(0); // wants_genhash() saw -T there
    genhash::main(&format!("{name} --genhash"), words)
}

/// A line on standard error. Nobody may be there to read it.
pub(super) fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).ok();
}

/// A line on standard output, likewise.
fn print(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).ok();
}

fn print_signal(name: &str) -> ExitCode {
    match signal_number(name) {
        Some(number) => {
            print(&number.to_string());
            ExitCode::SUCCESS
        }
        None => {
            tell(&format!(
                "holdfast: no signal is called {name}: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON"
            ));
            ExitCode::from(EXIT_FATAL)
        }
    }
}

/// Runs one role in this process: the link is file descriptor 0.
fn be_role(role: Role, options: &Options) -> ExitCode {
    logging::init(&options.log(), role.ident());
    match role::take_link(role) {
        Ok(link) => super::dispatch::run(role, link, options),
        Err(error) => {
            tell(&format!("holdfast: --role is for the daemon's own use: no link to it ({error})"));
            ExitCode::from(EXIT_FATAL)
        }
    }
}

/// `-u`, `-m` and `-M`. What fails is said and no reason to stop.
fn limits_of_process(options: &Options) {
    if let Some(mask) = options.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    if (options.core_dump || options.core_dump_pattern.is_some())
        && let Err(error) = setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)
    {
        tell(&format!("holdfast: core dumps stay limited: {error}"));
    }
    if let Some(pattern) = &options.core_dump_pattern
        && let Err(error) = std::fs::write("/proc/sys/kernel/core_pattern", pattern)
    {
        tell(&format!("holdfast: the core pattern stays as it is: {error}"));
    }
}

/// Leaves the terminal if told to, then supervises. Nothing before this starts a thread.
fn daemon(settings: Settings) -> ExitCode {
    // Like keepalived, the parent returns 0 as soon as there is a child; the terminal keeps hearing the child
    // until the configuration is accepted.
    if settings.detach
        && let Err(error) = nix::unistd::daemon(false, true)
    {
        tell(&format!("holdfast: cannot go into the background: {error}"));
        return ExitCode::from(EXIT_FATAL);
    }
    logging::init(&settings.launcher.log, "holdfast");
    if !guard::stand() {
        return ExitCode::SUCCESS;
    }
    ExitCode::from(supervise(settings))
}

/// Supervises in this process until told to stop; returns the exit status.
pub fn supervise(settings: Settings) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&settings, &format!("no runtime: {error}"), EXIT_FATAL),
    };
    upgrade::settle_in();
    let detached = settings.detach;
    // As a task of its own: what wakes it from this thread then costs no system call, which a root future's waker does.
    let life = async { tokio::spawn(live(settings)).await };
    let ended = runtime.block_on(life).unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let (status, successor) = match ended {
        Ok(ended) => ended,
        Err(status) => {
            drop(runtime);
            upgrade::roll_back(detached);
            return status;
        }
    };
    drop(runtime);
    if let Some(successor) = successor {
        successor.begin(detached);
        return EXIT_FATAL;
    }
    tracing::info!("stopped holdfast {}", env!("CARGO_PKG_VERSION"));
    status
}

/// The exit status and what is to follow; the error is the exit status of a daemon that could not begin.
async fn live(mut settings: Settings) -> Result<(u8, Option<Successor>), u8> {
    announce(&settings);
    let (to, mut signals) = match signals::catch(settings.ignore_sigint) {
        Ok(signals) => signals,
        Err(error) => {
            return Err(complain(&settings, &format!("signals cannot be caught: {error}"), EXIT_FATAL));
        }
    };
    let first = first_configuration(&settings, &mut signals).await?;
    let _home = match life::settle(&mut settings, &first.plans.global) {
        Ok(home) => home,
        Err(sentence) => return Err(complain(&settings, &sentence, EXIT_FATAL)),
    };
    // Only now is it known what the file is called.
    let _lock = match PidLock::take(&settings.pid_file) {
        Ok(lock) => lock,
        Err(error) => return Err(complain(&settings, &error.to_string(), EXIT_FATAL)),
    };
    tokio::spawn(upgrade::bury_inherited());
    let record = settings.launcher.record.clone().filter(|_| settings.want_vrrp);
    if let Some(path) = &record {
        super::takeover::take_over(path).await;
    }
    let addresses = settings.want_vrrp.then(|| settings.addresses_file());
    if let Some(path) = &addresses {
        named::succeed(path, &first.plans);
    }
    let appointments = appointment::keep(first.plans.global.daemon.reload_time.clone(), to);
    let (to, requests) = mpsc::channel(REQUESTS);
    let control = match ControlSocket::open(&settings.socket, to) {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::error!("holdfastctl cannot reach this daemon: {}: {error}", settings.socket.display());
            None
        }
    };
    guard::dismiss();
    if settings.detach {
        leave_terminal();
    }
    let record = record.filter(|_| settings.release_vrrp);
    if !upgrade::is_upgrade() {
        life::run_script("startup_script", first.plans.global.daemon.startup.as_ref()).await;
    }
    let Ended { status, shutdown, successor, kept } =
        run(settings, first, Inputs { signals, requests, appointments }).await;
    if successor.is_some() {
        // Who gave the order still has to hear that it was taken.
        tokio::time::sleep(LAST_WORDS).await;
        return Ok((status, successor));
    }
    drop(control);
    if let Some(path) = record.as_ref().filter(|_| !kept) {
        // Everything was given up; what was not, nobody goes on with.
        std::fs::remove_file(path).ok();
    }
    if let Some(path) = addresses.as_ref().filter(|_| !kept) {
        own_file::remove(path).ok();
    }
    life::run_script("shutdown_script", shutdown.as_ref()).await;
    Ok((status, None))
}

fn announce(settings: &Settings) {
    tracing::info!("starting holdfast {}", env!("CARGO_PKG_VERSION"));
    let words: Vec<_> = std::env::args_os().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    tracing::info!("command line: {}", words.join(" "));
    tracing::info!("configuration file {}", settings.configuration.display());
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
}

/// The first configuration, or the status to exit with.
async fn first_configuration(
    settings: &Settings,
    signals: &mut mpsc::Receiver<Asks>,
) -> Result<Configuration, u8> {
    let compiling = compile(settings, Generation(1));
    tokio::pin!(compiling);
    let answer = loop {
        tokio::select! {
            answer = &mut compiling => break answer,
            Some(asks) = signals.recv() => if asks == Asks::Stop {
                guard::dismiss();
                tracing::info!("told to stop while reading the configuration");
                return Err(0);
            },
        }
    };
    match answer {
        Err(reason) => Err(complain(settings, &reason, EXIT_PROGRAM_ERROR)),
        Ok(CompileAnswer { plans: Some(plans), diagnostics, errors, .. }) => {
            log_diagnostics(&diagnostics);
            match privileges::missing(&plans).filter(|_| settings.need_privileges) {
                Some(lacking) => {
                    let sentence = format!("nothing was started: this needs {lacking}; run holdfast as root");
                    Err(complain(settings, &sentence, EXIT_NO_PRIVILEGES))
                }
                None => Ok(Configuration { generation: plans.generation(), plans, errors }),
            }
        }
        Ok(CompileAnswer { plans: None, diagnostics, status, errors, .. }) => {
            for diagnostic in &diagnostics {
                complain(settings, diagnostic, status);
            }
            let file = settings.configuration.display();
            let errors = plural(errors, "error");
            let sentence = format!("{file} cannot be run ({errors}): nothing was started");
            Err(complain(settings, &sentence, status))
        }
    }
}

/// Says it in the log and on standard error, once each; returns `status`.
fn complain(settings: &Settings, sentence: &str, status: u8) -> u8 {
    for line in sentence.lines() {
        tracing::error!("{line}");
    }
    if !settings.launcher.log.console {
        tell(sentence);
    }
    status
}

/// Standard input, output and error go to /dev/null.
fn leave_terminal() {
    let to_null = || -> std::io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        nix::unistd::dup2_stdout(&null)?;
        nix::unistd::dup2_stderr(&null)?;
        Ok(())
    };
    if let Err(error) = to_null() {
        tracing::warn!("the terminal stays attached: /dev/null: {error}");
    }
}
