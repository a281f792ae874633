//! The command line of `holdfast`: keepalived's, word for word, and the hidden words for our own roles.

pub mod genhash;
mod getopt;
mod notes;
mod signals;

pub use notes::not_built;
pub use signals::signal_number;

use crate::role::Role;
use crate::role::options::{Facility, LogOptions};
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// keepalived's default configuration file.
pub const DEFAULT_CONFIGURATION: &str = "/etc/keepalived/keepalived.conf";

/// Everything keepalived 2.4.3 takes (its manual, section "OPTIONS"), in the manual's order.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "holdfast",
    about = "High-availability daemon: VRRP, IPVS and health checks. Takes keepalived's options and reads its file.",
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    infer_long_args = true
)]
pub struct Options {
    /// Read this configuration file
    #[arg(short = 'f', long = "use-file", value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    #[arg(allow_hyphen_values = true)]
    pub file: PathBuf,
    /// Only run the VRRP subsystem
    #[arg(short = 'P', long = "vrrp")]
    pub vrrp_only: bool,
    /// Only run the health checker subsystem
    #[arg(short = 'C', long = "check")]
    pub check_only: bool,
    /// Do not run the BFD subsystem
    #[arg(short = 'B', long = "no_bfd")]
    pub no_bfd: bool,
    /// Run every subsystem, even those that the configuration gives no work
    #[arg(long = "all")]
    pub all: bool,
    /// Log to the console (standard error); use it with -n
    #[arg(short = 'l', long = "log-console")]
    pub log_console: bool,
    /// Log in detail; twice for more
    #[arg(short = 'D', long = "log-detail", action = ArgAction::Count)]
    pub log_detail: u8,
    /// Syslog facility: 0 to 7, local0 to local7, user, or daemon
    #[arg(short = 'S', long = "log-facility", value_name = "FACILITY", default_value = "daemon")]
    #[arg(allow_hyphen_values = true)]
    pub log_facility: Facility,
    /// Also log to a file
    #[arg(short = 'g', long = "log-file", value_name = "FILE")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "/tmp/keepalived.log")]
    pub log_file: Option<PathBuf>,
    /// Flush the log file after each line
    #[arg(long = "flush-log-file")]
    pub flush_log_file: bool,
    /// Do not log to syslog
    #[arg(short = 'G', long = "no-syslog")]
    pub no_syslog: bool,
    /// Mask for the modes of files we create: decimal, 0octal or 0xhex
    #[arg(short = 'u', long = "umask", value_name = "MASK", value_parser = parse_umask)]
    #[arg(allow_hyphen_values = true)]
    pub umask: Option<u32>,
    /// Remove virtual addresses that this run did not set, too
    #[arg(short = 'X', long = "release-vips")]
    pub release_vips: bool,
    /// Leave virtual addresses in place at the end
    #[arg(short = 'V', long = "dont-release-vrrp")]
    pub dont_release_vrrp: bool,
    /// Leave the IPVS table in place at the end
    #[arg(short = 'I', long = "dont-release-ipvs")]
    pub dont_release_ipvs: bool,
    /// Stop instead of restarting a role that died
    #[arg(short = 'R', long = "dont-respawn")]
    pub dont_respawn: bool,
    /// Stay in the foreground
    #[arg(short = 'n', long = "dont-fork")]
    pub dont_fork: bool,
    /// Dump the parsed configuration
    #[arg(short = 'd', long = "dump-conf")]
    pub dump_conf: bool,
    /// Pid file of the daemon; the control socket stands beside it with the extension .sock
    #[arg(short = 'p', long = "pid", value_name = "FILE", allow_hyphen_values = true)]
    pub pid: Option<PathBuf>,
    /// Pid file of the vrrp role
    #[arg(short = 'r', long = "vrrp_pid", value_name = "FILE", allow_hyphen_values = true)]
    pub vrrp_pid: Option<PathBuf>,
    /// Be genhash, the tool that prints the digest of a page (only as the first option)
    #[arg(short = 'T', long = "genhash")]
    pub genhash: bool,
    /// Pid file of the checker role
    #[arg(short = 'c', long = "checkers_pid", value_name = "FILE", allow_hyphen_values = true)]
    pub checkers_pid: Option<PathBuf>,
    /// Log every change of an address
    #[arg(short = 'a', long = "address-monitoring")]
    pub address_monitoring: bool,
    /// Pid file of the bfd role
    #[arg(short = 'b', long = "bfd_pid", value_name = "FILE", allow_hyphen_values = true)]
    pub bfd_pid: Option<PathBuf>,
    /// Enable SNMP
    #[arg(short = 'x', long = "snmp")]
    pub snmp: bool,
    /// Socket of the SNMP master agent
    #[arg(short = 'A', long = "snmp-agent-socket", value_name = "FILE", allow_hyphen_values = true)]
    pub snmp_agent_socket: Option<PathBuf>,
    /// Run in this network namespace
    #[arg(short = 's', long = "namespace", value_name = "NAME", allow_hyphen_values = true)]
    pub namespace: Option<String>,
    /// Dump core if a process ends abnormally
    #[arg(short = 'm', long = "core-dump")]
    pub core_dump: bool,
    /// Also write this to /proc/sys/kernel/core_pattern
    #[arg(short = 'M', long = "core-dump-pattern", value_name = "PATTERN")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "core")]
    pub core_dump_pattern: Option<String>,
    /// A missing configuration file is an error, as with include's checks
    #[arg(short = 'e', long = "all-config")]
    pub all_config: bool,
    /// Which lines that begin with @ID count; the host name up to its first dot otherwise
    #[arg(short = 'i', long = "config-id", value_name = "ID", allow_hyphen_values = true)]
    pub config_id: Option<String>,
    /// Print the number of a signal: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
    #[arg(long = "signum", value_name = "NAME", allow_hyphen_values = true)]
    pub signum: Option<String>,
    /// Check the configuration, report on standard error or append to FILE
    #[arg(short = 't', long = "config-test", value_name = "FILE")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub config_test: Option<OsString>,
    /// Ignore SIGINT (for debuggers)
    #[arg(long = "ignore-sigint")]
    pub ignore_sigint: bool,
    /// Record performance data
    #[arg(long = "perf", value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "run")]
    pub perf: Option<String>,
    /// Debug output
    #[arg(long = "debug", value_name = "WHAT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "")]
    pub debug: Option<String>,
    /// Do not check memory
    #[arg(long = "no-mem-check")]
    pub no_mem_check: bool,
    /// Internal to keepalived
    #[arg(long = "config-fd", value_name = "FD", hide = true, allow_hyphen_values = true)]
    pub config_fd: Option<String>,
    /// Every process keeps the rights that the daemon has (holdfast's own; `no_confinement` in global_defs)
    #[arg(long = "unconfined")]
    pub unconfined: bool,
    /// Print the version
    #[arg(short = 'v', long = "version")]
    pub version: bool,
    /// Print this text
    #[arg(short = 'h', long = "help")]
    pub help: bool,

    /// Be a role of a running daemon
    #[arg(long = "role", value_name = "NAME", hide = true)]
    pub role: Option<Role>,
    /// The generation that the compile role gives its plans
    #[arg(long = "generation", value_name = "N", hide = true, default_value_t = 1)]
    pub generation: u64,
    /// Where the checker role sets IPVS up and the snmp role reads it
    #[arg(long = "ipvs-namespace", value_name = "FILE", hide = true)]
    pub ipvs_namespace: Option<PathBuf>,
    /// Where the vrrp role notes what its successor must know
    #[arg(long = "record", value_name = "FILE", hide = true)]
    pub record: Option<PathBuf>,
    /// The compile role is where the daemon will live
    #[arg(long = "settled", hide = true)]
    pub settled: bool,
    /// Words that mean nothing here
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
}

/// What was asked for on the command line.
#[derive(Debug)]
pub enum Invocation {
    /// Run with these options: the daemon, a role, a test of the configuration.
    Run(Box<Options>),
    /// Print this on standard error and exit with this status.
    Say(String, u8),
    /// Print [`version`] there and exit with status 0.
    Version,
}

impl Options {
    /// Parses the words after the program's name as getopt_long would.
    pub fn parse_words(words: impl IntoIterator<Item = OsString>) -> Invocation {
        let command = Options::command();
        let words = getopt::attach_optional_values(&command, words.into_iter().collect());
        let words = std::iter::once(OsString::from("holdfast")).chain(words);
        let parsed = command.try_get_matches_from(words).and_then(|m| Options::from_arg_matches(&m));
        match parsed {
            Ok(options) if options.help => Invocation::Say(help(), 0),
            Ok(options) if options.version => Invocation::Version,
            Ok(options) => Invocation::Run(Box::new(options)),
            Err(error) => Invocation::Say(complaint(&error), 1),
        }
    }

    /// How to log.
    pub fn log(&self) -> LogOptions {
        LogOptions {
            console: self.log_console,
            no_syslog: self.no_syslog,
            detail: self.log_detail,
            facility: self.log_facility,
        }
    }

    /// May the vrrp role run? `-C` alone says no.
    pub fn want_vrrp(&self) -> bool {
        self.vrrp_only || !self.check_only
    }

    /// May the checker role run? `-P` alone says no.
    pub fn want_checker(&self) -> bool {
        self.check_only || !self.vrrp_only
    }

    /// Where the SNMP master listens, as it was named.
    pub fn snmp_socket(&self) -> Option<String> {
        self.snmp_agent_socket.as_ref().map(|socket| socket.to_string_lossy().into_owned())
    }
}

/// Was the program called as keepalived's hash tool, by name or by `-T` as its first word?
pub fn wants_genhash(program: &Path, first_word: Option<&OsString>) -> bool {
    let by_name = program.file_name().is_some_and(|name| name == "genhash");
    by_name || first_word.is_some_and(|word| word == "-T" || word == "--genhash")
}

fn help() -> String {
    Options::command().render_long_help().to_string()
}

/// The keepalived whose configuration language and files these are.
const KEEPALIVED_VERSION: &str = "2.4.3";

/// What `-v` says. Exporters run `keepalived -v` and take the second word of the first line, less its first letter, to
/// know which states and files to expect; called by that name we answer so.
pub fn version(program: &Path) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if program.file_name().is_some_and(|name| name == "keepalived") {
        format!("Keepalived v{KEEPALIVED_VERSION} (as holdfast {own} is)\n")
    } else {
        format!("holdfast v{own}\nin place of Keepalived v{KEEPALIVED_VERSION}\n")
    }
}

/// clap's complaint in one line.
fn complaint(error: &clap::Error) -> String {
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = context(clap::error::ContextKind::InvalidArg);
    let value = context(clap::error::ContextKind::InvalidValue);
    let sentence = match error.kind() {
        ErrorKind::UnknownArgument => format!("unknown option {argument}"),
        ErrorKind::InvalidValue | ErrorKind::NoEquals if value.is_empty() => {
            format!("missing value for option {argument}")
        }
        ErrorKind::TooManyValues => format!("option {argument} takes no value"),
        _ => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            reason.map_or_else(|| error.to_string(), |reason| format!("option {argument}: {reason}"))
        }
    };
    format!("holdfast: {sentence} (holdfast --help lists the options)\n")
}

/// A number as C writes it: decimal, 0octal or 0xhex; at most 0777.
fn parse_umask(word: &str) -> Result<u32, String> {
    let number = if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        u32::from_str_radix(hex, 16)
    } else if word.starts_with('0') {
        u32::from_str_radix(word, 8)
    } else {
        word.parse()
    };
    number.ok().filter(|mask| *mask <= 0o777).ok_or_else(|| format!("'{word}' is no mask between 0 and 0777"))
}

#[cfg(test)]
mod tests;
