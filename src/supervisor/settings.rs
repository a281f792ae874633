//! What the supervisor was told on its command line, and its limits.

use super::worker::Worker;
use crate::cli::Options;
use crate::link::control::DEFAULT_SOCKET;
use crate::plan::process::DaemonPlan;
use crate::role::Role;
use crate::role::options::{LogOptions, upgrade_variables};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// What must outlive the machine is kept here.
const STATE_DIRECTORY: &str = "/var/lib/holdfast";

/// Everything a supervisor needs to know before it reads a configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a role is started.
    pub launcher: Launcher,
    /// The configuration file (or pattern), absolute.
    pub configuration: PathBuf,
    /// `-i`.
    pub config_id: Option<String>,
    /// May the vrrp role run?
    pub want_vrrp: bool,
    /// May the checker role run?
    pub want_checker: bool,
    /// May the bfd role run?
    pub want_bfd: bool,
    /// `-x`: there is an SNMP agent, whatever the configuration says.
    pub snmp: bool,
    /// `-A`: where its master listens, whatever the configuration says.
    pub snmp_socket: Option<String>,
    /// `--all`: run the roles that may run even when the configuration gives them nothing to do.
    pub run_all: bool,
    /// Give the virtual addresses up at the end (not with `-V`).
    pub release_vrrp: bool,
    /// Remove our services from the kernel at the end (not with `-I`).
    pub release_ipvs: bool,
    /// Restart a role that died (not with `-R`).
    pub respawn: bool,
    /// `--ignore-sigint`.
    pub ignore_sigint: bool,
    /// Leave the terminal once the first configuration is accepted.
    pub detach: bool,
    /// Pid file of the supervisor, locked as long as it runs.
    pub pid_file: PathBuf,
    /// Pid file of the vrrp role.
    pub vrrp_pid_file: PathBuf,
    /// Pid file of the checker role.
    pub checkers_pid_file: PathBuf,
    /// Pid file of the bfd role.
    pub bfd_pid_file: PathBuf,
    /// Pid file of the scripts role, which keepalived does not have: beside that of the supervisor.
    pub scripts_pid_file: PathBuf,
    /// Pid file of the snmp role, likewise.
    pub snmp_pid_file: PathBuf,
    /// Where `holdfastctl` connects.
    pub socket: PathBuf,
    /// What is said of traffic by hand is kept there: beside the pid file where `-p` names it, else under /var/lib.
    pub overrides_file: PathBuf,
    /// Did the command line name the pid file (`-p`), the vrrp role's (`-r`), the checker's (`-c`), the bfd role's (`-b`)?
    pub named: [bool; 4],
    /// `-s`: overrides the configuration's `net_namespace`.
    pub namespace: Option<String>,
    /// This process is in the network namespace in which the daemon lives.
    pub settled: bool,
    /// `-u`: overrides the configuration's `umask`.
    pub umask: Option<u32>,
    /// Where state files are written: `$TMPDIR` if that is an absolute path, else `/tmp`, as in keepalived.
    pub dump_directory: PathBuf,
    /// Refuse to start without the capabilities that the roles need; they would only fail and be restarted.
    pub need_privileges: bool,
    /// Options that do nothing yet, one line each.
    pub notes: Vec<String>,
    /// Time and count limits.
    pub limits: Limits,
}

impl Settings {
    /// From the command line. Paths become absolute, since a daemon leaves its working directory.
    pub fn new(options: &Options) -> io::Result<Settings> {
        let path = |given: &Option<PathBuf>, default: &str| {
            std::path::absolute(given.as_deref().unwrap_or(Path::new(default)))
        };
        Ok(Settings {
            launcher: Launcher {
                core_dump: options.core_dump || options.core_dump_pattern.is_some(),
                unconfined: options.unconfined,
                ..Launcher::own_image(options.log())
            },
            configuration: std::path::absolute(&options.file)?,
            config_id: options.config_id.clone(),
            want_vrrp: options.want_vrrp(),
            want_checker: options.want_checker(),
            want_bfd: !options.no_bfd,
            snmp: options.snmp,
            snmp_socket: options.snmp_socket(),
            run_all: options.all,
            release_vrrp: !options.dont_release_vrrp,
            release_ipvs: !options.dont_release_ipvs,
            respawn: !options.dont_respawn,
            ignore_sigint: options.ignore_sigint,
            detach: !options.dont_fork,
            pid_file: path(&options.pid, "/run/keepalived.pid")?,
            vrrp_pid_file: path(&options.vrrp_pid, "/run/vrrp.pid")?,
            checkers_pid_file: path(&options.checkers_pid, "/run/checkers.pid")?,
            bfd_pid_file: path(&options.bfd_pid, "/run/bfd.pid")?,
            scripts_pid_file: path(&options.pid, "/run/keepalived.pid")?.with_extension("scripts.pid"),
            snmp_pid_file: path(&options.pid, "/run/keepalived.pid")?.with_extension("snmp.pid"),
            socket: match &options.pid {
                Some(pid) => std::path::absolute(pid)?.with_extension("sock"),
                None => PathBuf::from(DEFAULT_SOCKET),
            },
            overrides_file: match &options.pid {
                Some(pid) => std::path::absolute(pid)?.with_extension("overrides.json"),
                None => Path::new(STATE_DIRECTORY).join("overrides.json"),
            },
            named: [&options.pid, &options.vrrp_pid, &options.checkers_pid, &options.bfd_pid]
                .map(Option::is_some),
            namespace: options.namespace.clone(),
            settled: options.namespace.is_some(),
            umask: options.umask,
            dump_directory: std::env::var_os("TMPDIR")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| PathBuf::from("/tmp")),
            need_privileges: true,
            notes: crate::cli::not_built(options),
            limits: Limits::default(),
        })
    }

    /// Pid files and the socket go where `use_pid_dir`, `instance` and a network namespace say, as in keepalived, unless
    /// the command line names them: `/run/keepalived/NAMESPACE/keepalived_INSTANCE.pid`. keepalived hides that
    /// directory behind a mount of its own; here it is the same from everywhere.
    pub fn take_names(&mut self, daemon: &DaemonPlan) {
        let namespace = self.namespace.as_ref().or(daemon.namespace.as_ref());
        if !daemon.pid_directory && daemon.instance.is_none() && namespace.is_none() {
            return;
        }
        let mut directory = PathBuf::from("/run/keepalived");
        directory.extend(namespace);
        let instance = daemon.instance.as_ref().map(|name| format!("_{name}")).unwrap_or_default();
        let file = |stem: &str| directory.join(format!("{stem}{instance}.pid"));
        let usual = [
            (&mut self.pid_file, "keepalived"),
            (&mut self.vrrp_pid_file, "vrrp"),
            (&mut self.checkers_pid_file, "checkers"),
            (&mut self.bfd_pid_file, "bfd"),
        ];
        for ((path, stem), named) in usual.into_iter().zip(self.named) {
            if !named {
                *path = file(stem);
            }
        }
        if !self.named[0] {
            self.scripts_pid_file = file("scripts");
            self.snmp_pid_file = file("snmp");
            self.socket = self.pid_file.with_extension("sock");
            let mut directory = PathBuf::from(STATE_DIRECTORY);
            directory.extend(namespace);
            self.overrides_file = directory.join(format!("overrides{instance}.json"));
        }
    }

    /// May the role run?
    pub fn allows(&self, worker: Worker) -> bool {
        match worker {
            Worker::Vrrp => self.want_vrrp,
            // What it tells is of virtual servers.
            Worker::Checker | Worker::Snmp => self.want_checker,
            Worker::Scripts => true,
            Worker::Bfd => self.want_bfd,
        }
    }

    /// Where it is kept what is in maintenance, over a restart: beside the pid file, so until the next boot.
    pub fn maintenance_file(&self) -> PathBuf {
        self.pid_file.with_extension("maintenance")
    }

    /// Where a daemon that leaves everything to the next one leaves what it knows: beside the pid file, so until the next
    /// boot.
    pub fn memory_file(&self) -> PathBuf {
        self.pid_file.with_extension("memory")
    }

    /// Where the addresses of the configuration in force are written down: beside the pid file, so until the next boot.
    pub fn addresses_file(&self) -> PathBuf {
        self.pid_file.with_extension("addresses")
    }

    /// Does the role give up what it holds when the daemon stops?
    pub fn release(&self, worker: Worker) -> bool {
        match worker {
            Worker::Vrrp => self.release_vrrp,
            Worker::Checker => self.release_ipvs,
            Worker::Scripts | Worker::Bfd | Worker::Snmp => true,
        }
    }

    /// Pid file of a role.
    pub fn pid_file_of(&self, worker: Worker) -> &Path {
        match worker {
            Worker::Vrrp => &self.vrrp_pid_file,
            Worker::Checker => &self.checkers_pid_file,
            Worker::Scripts => &self.scripts_pid_file,
            Worker::Bfd => &self.bfd_pid_file,
            Worker::Snmp => &self.snmp_pid_file,
        }
    }
}

/// How a role is started: a program and the words that come before our own.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Words before `--role`.
    pub before: Vec<OsString>,
    /// How every role logs.
    pub log: LogOptions,
    /// The network namespace that the checker role sets IPVS up in, and the snmp role reads it in, if not the one they live in.
    pub ipvs_namespace: Option<PathBuf>,
    /// Where the vrrp role notes what its successor must know.
    pub record: Option<PathBuf>,
    /// Roles may leave core files: `-m`, `-M`.
    pub core_dump: bool,
    /// Roles keep every right of this process: `--unconfined`.
    pub unconfined: bool,
    /// The same, for `no_confinement` in the configuration in force.
    pub no_confinement: bool,
}

impl Launcher {
    /// Our own image, even if its file was replaced since we started.
    pub fn own_image(log: LogOptions) -> Launcher {
        Launcher {
            program: PathBuf::from("/proc/self/exe"),
            before: Vec::new(),
            log,
            ipvs_namespace: None,
            record: None,
            core_dump: false,
            unconfined: false,
            no_confinement: false,
        }
    }

    /// The command for `role`, without its link.
    pub fn command(&self, role: Role) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0("holdfast").args(&self.before).args(["--role", role.name()]).args(self.log.arguments());
        if let Some(path) =
            self.ipvs_namespace.as_ref().filter(|_| matches!(role, Role::Checker | Role::Snmp))
        {
            command.arg("--ipvs-namespace").arg(path);
        }
        if let Some(path) = self.record.as_ref().filter(|_| role == Role::Vrrp) {
            command.arg("--record").arg(path);
        }
        command.args(self.core_dump.then_some("--core-dump"));
        command.args((self.unconfined || self.no_confinement).then_some("--unconfined"));
        for name in upgrade_variables::ALL {
            command.env_remove(name);
        }
        // A process group of its own: what a terminal sends to the foreground reaches the supervisor alone.
        command.process_group(0).stdout(std::process::Stdio::null());
        command
    }
}

/// Limits, all of them generous: they end what hangs, not what is slow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// Heartbeats that may go unanswered. Counted in heartbeats, not in time, so that a pause of the whole
    /// machine is nobody's silence.
    pub silent_beats: u32,
    /// The vrrp role has less time: its peers take over after their routers' patience, and then two nodes hold the
    /// addresses. At least this many heartbeats, which is also when its silence is worth a line.
    pub noticed_beats: u32,
    /// For a compile process to answer.
    pub compile: Duration,
    /// For a role to put a plan in force.
    pub apply: Duration,
    /// For a role to answer with its snapshot.
    pub snapshot: Duration,
    /// For a role to stop.
    pub stop: Duration,
    /// From SIGABRT to SIGKILL.
    pub abort: Duration,
    /// A role that ran this long is restarted at once (keepalived's rule).
    pub settled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            heartbeat: Duration::from_secs(1),
            silent_beats: 15,
            noticed_beats: 3,
            compile: Duration::from_secs(60),
            apply: Duration::from_secs(30),
            snapshot: Duration::from_secs(2),
            stop: Duration::from_secs(10),
            abort: Duration::from_secs(2),
            settled: Duration::from_secs(60),
        }
    }
}
