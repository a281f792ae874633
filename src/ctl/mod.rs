//! `holdfastctl`: one file per verb. Everything about the daemon is asked of the supervisor; the IPVS table is read from
//! the kernel, with or without a daemon.

mod bfd;
mod check;
mod checks;
mod client;
mod diff;
mod ipvs;
mod keywords;
mod metrics;
mod orders;
mod reload;
mod show;
mod status;
mod text;
mod traffic;
mod vrrp;
mod when;

use crate::link::control::DEFAULT_SOCKET;
use clap::{Args, Parser, Subcommand};
use client::AskError;
use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Something did not go as asked.
const EXIT_FAILED: u8 = 1;

/// No daemon answers.
const EXIT_NO_DAEMON: u8 = 3;

/// Where the socket is looked for when no option names it.
const SOCKET_VARIABLE: &str = "HOLDFAST_SOCKET";

#[derive(Debug, Parser)]
#[command(name = "holdfastctl", version, about = "Ask and order a running holdfast")]
struct Tool {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

/// Which daemon.
#[derive(Debug, Args)]
struct Place {
    /// The daemon's control socket (default: $HOLDFAST_SOCKET, or /run/holdfast.sock)
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "pid")]
    socket: Option<PathBuf>,
    /// The daemon's pid file, as given to holdfast -p
    #[arg(long, global = true, value_name = "FILE")]
    pid: Option<PathBuf>,
}

impl Place {
    fn socket(self) -> PathBuf {
        let by_pid = self.pid.map(|file| file.with_extension("sock"));
        let by_variable = || std::env::var_os(SOCKET_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
        self.socket.or(by_pid).or_else(by_variable).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Everything on one screen: daemon, roles, routers, servers, and why
    Status {
        #[command(flatten)]
        form: Form,
        /// Exit with 2 when something hurts the traffic
        #[arg(long)]
        check: bool,
    },
    /// The virtual routers: state, since when, why, priority, master, addresses
    Vrrp(vrrp::Vrrp),
    /// The BFD sessions: state, since when, why, neighbour, timing, counters
    Bfd(Form),
    /// The health checks one by one: state, since when, last result, how long answers take, next run, lateness
    Checks(checks::List),
    /// Make the checks of a server at once and show what is said, step by step; exits with 2 when one fails
    ///
    /// The results count as those of any other run. A check whose conversation is going on is made again after it.
    CheckNow(checks::Now),
    /// The kernel's IPVS table: ipvsadm with all its options (see holdfastctl ipvs -h); needs no daemon
    ///
    /// Without a command it lists. Beyond ipvsadm: --json; -S also saves thresholds; -R reads everything before it
    /// changes anything and names the lines of errors (--partial does what makes sense in spite of them); --health adds
    /// what the daemon knows of each server; --watch[=SPAN] draws again and again (--times=N ends it).
    #[command(disable_help_flag = true)]
    Ipvs {
        /// As for ipvsadm
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
        words: Vec<OsString>,
    },
    /// What is wrong with a configuration file, and what to write instead; needs no daemon. Exits with 0 when nothing
    /// is (hints do not count), 1 after warnings, 2 after errors
    Check(check::Check),
    /// What a reload from one configuration file to another would do; needs no daemon
    ///
    /// One line for each consequence, the heaviest for the traffic first: `stops` (an address or a service is given
    /// up), `may fail over` (another node may become Master), `shifts` (traffic goes elsewhere), `quiet`. What is not
    /// named goes on untouched. Exit status: 0 no difference, 1 differences, 2 a file cannot be run.
    Diff(diff::Diff),
    /// What is configured; needs no daemon
    #[command(subcommand)]
    Show(show::What),
    /// The keywords of keepalived.conf, what they take and whether they work here; or what may be written at the cursor
    /// of an editor
    Keywords(keywords::Keywords),
    /// Print a script that completes the words of holdfastctl in a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The status as Prometheus reads it: VRRP states, counters, servers, connections
    Metrics,
    /// Send a real server no new connections; those that it has go on. Kept over reloads and restarts
    Drain(traffic::Drain),
    /// End a drain
    Undrain(traffic::Undrain),
    /// Give a real server another weight, at once or bit by bit. Kept over reloads and restarts
    Weight(traffic::Weight),
    /// Send a virtual server's traffic to another set of real servers, in one batch. Kept over reloads and restarts
    Switch(traffic::Switch),
    /// What is said of traffic by hand; ends it with --drop
    Overrides(traffic::Overrides),
    /// Read the configuration again; if it cannot be run, the old one goes on
    Reload(Form),
    /// End the daemon; virtual addresses are handed over to the next Master first
    Stop(orders::Stop),
    /// Become another build of holdfast without a failover: checks that it takes the configuration, then has the daemon go
    /// on as that program. One that cannot be run, or refuses, changes nothing
    Upgrade(orders::Upgrade),
    /// Hand virtual routers over to another node, once
    ///
    /// A router that is Master resigns, keeps its addresses until its successor has announced them, and leaves a weaker
    /// successor in peace for --hold seconds; when the successor goes, it takes over again at once. Without a successor
    /// it stays Master, and the exit status is 1. Members of a sync group go together.
    Failover(orders::Failover),
    /// Keep virtual routers out of the election, over reloads and restarts of the daemon (not of the machine)
    ///
    /// A Master hands over first. The router is in FAULT, with that reason, until `maintenance off`.
    Maintenance(orders::Maintain),
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Args)]
struct Form {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The program `holdfastctl`.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from).unwrap_or_default();
    if ipvs::called_as_ipvsadm(&program) {
        return ipvs::ipvsadm(&program.to_string_lossy(), words);
    }
    let Tool { place, verb } = Tool::parse();
    let socket = place.socket();
    let done = match verb {
        Verb::Status { form, check } => status::run(&socket, form.json, check),
        Verb::Vrrp(what) => vrrp::run(&socket, &what),
        Verb::Bfd(form) => bfd::run(&socket, form.json),
        Verb::Checks(what) => checks::list(&socket, &what),
        Verb::CheckNow(what) => checks::now(&socket, &what),
        Verb::Ipvs { words } => Ok(ipvs::tool(&words, &socket)),
        Verb::Check(check) => check::run(check),
        Verb::Diff(arguments) => diff::run(arguments),
        Verb::Show(what) => show::run(what),
        Verb::Keywords(arguments) => keywords::run(arguments),
        Verb::Completion { shell } => keywords::completion(shell),
        Verb::Metrics => metrics::run(&socket),
        Verb::Drain(arguments) => traffic::drain(&socket, arguments),
        Verb::Undrain(arguments) => traffic::undrain(&socket, arguments),
        Verb::Weight(arguments) => traffic::weight(&socket, arguments),
        Verb::Switch(arguments) => traffic::switch(&socket, arguments),
        Verb::Overrides(arguments) => traffic::overrides(&socket, &arguments),
        Verb::Reload(form) => reload::run(&socket, form.json),
        Verb::Stop(order) => orders::stop(&socket, &order),
        Verb::Upgrade(order) => orders::upgrade(&socket, order),
        Verb::Failover(order) => orders::failover(&socket, order),
        Verb::Maintenance(order) => orders::maintenance(&socket, order),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            text::complain(&format!("holdfastctl: {}", text::clean(&error.to_string())));
            ExitCode::from(match error.downcast_ref::<AskError>() {
                Some(AskError::NoDaemon(..)) => EXIT_NO_DAEMON,
                _ => EXIT_FAILED,
            })
        }
    }
}

/// What a verb returns: the exit status, or why it could not do its work.
type Done = Result<u8, Box<dyn std::error::Error>>;

/// Prints a report as JSON.
fn print_json<T: Serialize>(report: &T) -> Result<(), serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    text::print(&text);
    Ok(())
}
