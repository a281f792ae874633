//! A folder, a daemon in it, and what a test can ask of both.

use holdfast::cli::{Invocation, Options};
use holdfast::link::Compiled;
use holdfast::link::control::{Answer, ReloadOutcome, Request};
use holdfast::link::frame::{Decoder, encode};
use holdfast::net::{AddressFamily, VirtualRouterId};
use holdfast::plan::bfd::BfdSessionPlan;
use holdfast::plan::lvs::{ServiceKey, SyncPlan, SyncSettings, VirtualServer};
use holdfast::plan::scripts::{CommandPlan, TrackedScript};
use holdfast::plan::vrrp::{RouterKey, RouterPlan};
use holdfast::plan::{GlobalPlan, Plans};
use holdfast::report::Status;
use holdfast::supervisor::{Limits, Settings, supervise};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Whatever has not happened by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// The supervisor with our own roles and short limits: `daemon FOLDER OPTIONS...`.
pub fn be_daemon(words: &[String]) -> ExitCode {
    let folder = Path::new(&words[0]);
    let own = ["-n", "-l", "-G", "-f", "test.conf"].map(String::from).into_iter();
    let files = [("-p", "main.pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid"), ("-b", "bfd.pid")]
        .map(|(flag, file)| format!("{flag}{}", folder.join(file).display()));
    let options =
        match Options::parse_words(own.chain(files).chain(words[1..].iter().cloned()).map(Into::into)) {
            Invocation::Run(options) => options,
            Invocation::Version => panic!("only the version was asked for"),
            Invocation::Say(text, _) => panic!("{text}"),
        };
    let mut settings = Settings::new(&options).expect("a working directory");
    settings.launcher.program = std::env::current_exe().expect("our own path");
    // Our roles do nothing that needs them.
    settings.need_privileges = false;
    settings.limits = Limits {
        heartbeat: Duration::from_millis(50),
        silent_beats: 40,
        noticed_beats: 20,
        compile: Duration::from_secs(2),
        apply: Duration::from_secs(5),
        snapshot: if folder.join("patient").exists() { PATIENCE } else { Duration::from_millis(500) },
        stop: Duration::from_secs(1),
        abort: Duration::from_millis(500),
        settled: Duration::from_secs(3600),
    };
    holdfast::role::logging::init(&settings.launcher.log, "holdfast");
    ExitCode::from(supervise(settings))
}

/// A daemon under test. Dropping it kills the daemon, and the roles follow.
pub struct Lab {
    folder: tempfile::TempDir,
    daemon: Child,
}

impl Lab {
    /// A daemon with `routers` virtual routers and `servers` virtual servers, running.
    pub fn new(routers: usize, servers: usize) -> Lab {
        Lab::with(routers, servers, &[], &[])
    }

    /// The same with roles that misbehave and options. A `patient` among them is a supervisor that waits long for a status.
    pub fn with(routers: usize, servers: usize, modes: &[(&str, &str)], options: &[&str]) -> Lab {
        let lab = Lab::start(&compiled(routers, servers), modes, options);
        lab.wait_until_it_listens();
        lab
    }

    /// A daemon that may not even come up.
    pub fn start(compiled: &str, modes: &[(&str, &str)], options: &[&str]) -> Lab {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("compiled"), compiled).expect("written");
        for (role, mode) in modes {
            fs::write(folder.path().join(role), mode).expect("written");
        }
        let daemon = spawn(folder.path(), options, "log");
        Lab { folder, daemon }
    }

    /// A new daemon where the last one has ended.
    pub fn start_again(&mut self) {
        self.daemon = spawn(self.path(), &[], "log");
    }

    /// A second daemon in the same place: its exit status and what it said.
    pub fn second_daemon(&self) -> (Option<i32>, String) {
        let mut second = spawn(self.path(), &[], "second-log");
        let status = second.wait().expect("our child");
        (status.code(), fs::read_to_string(self.path().join("second-log")).expect("its log"))
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("main.sock")
    }

    /// The socket's file is there a moment before anybody listens.
    pub fn wait_until_it_listens(&self) {
        self.wait_for("the control socket", || UnixStream::connect(self.socket()).is_ok());
    }

    pub fn daemon_pid(&self) -> u32 {
        self.daemon.id()
    }

    /// What the next compile process answers.
    pub fn configure(&self, compiled: &str) {
        fs::write(self.path().join("compiled"), compiled).expect("written");
    }

    /// How a role behaves from its next start on.
    pub fn behave(&self, role: &str, mode: &str) {
        fs::write(self.path().join(role), mode).expect("written");
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.daemon.id() as i32), signal).expect("our child");
    }

    /// The orders that roles heard, without those of the compile role.
    pub fn orders(&self) -> Vec<String> {
        self.all_orders().into_iter().filter(|line| !line.starts_with("compile")).collect()
    }

    pub fn all_orders(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("orders")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The pid in a pid file.
    pub fn pid(&self, file: &str) -> Option<u32> {
        fs::read_to_string(self.path().join(file)).ok()?.trim().parse().ok()
    }

    pub fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: never; the log:\n{}\norders: {:?}",
                self.log(),
                self.all_orders()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait_for_order(&self, order: &str) {
        self.wait_for(order, || self.orders().iter().any(|line| line == order));
    }

    pub fn wait_for_log(&self, part: &str) {
        self.wait_for(part, || self.log().contains(part));
    }

    /// The daemon's end.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.daemon.try_wait().expect("our child") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon does not end; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// One conversation on the control socket.
    pub fn ask(&self, request: Request) -> Answer {
        self.converse(&encode(&request).expect("a small request"))
    }

    /// The same with any octets as the request.
    pub fn converse(&self, octets: &[u8]) -> Answer {
        let mut client = UnixStream::connect(self.socket()).expect("a listening daemon");
        client.set_read_timeout(Some(PATIENCE)).expect("not zero");
        client.write_all(octets).expect("it reads");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer in time");
        let mut decoder = Decoder::default();
        decoder.push(&answer);
        decoder.message().expect("well formed").expect("whole")
    }

    pub fn status(&self) -> Status {
        match self.ask(Request::Status) {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub fn reload(&self) -> ReloadOutcome {
        match self.ask(Request::Reload) {
            Answer::Reload(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
        // Roles end at the end of their link; those that sleep are ours to end.
        for file in ["vrrp.pid", "checkers.pid", "bfd.pid", "main.scripts.pid", "main.snmp.pid"] {
            if let Some(pid) = self.pid(file) {
                kill(Pid::from_raw(pid as i32), Signal::SIGKILL).ok();
            }
        }
    }
}

fn spawn(folder: &Path, options: &[&str], log: &str) -> Child {
    let log = fs::File::create(folder.join(log)).expect("a log file");
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.arg("daemon").arg(folder).args(options).env("FAKE_DIR", folder).env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("our own image starts")
}

/// What a good configuration compiles to.
pub fn compiled(routers: usize, servers: usize) -> String {
    tolerated(routers, servers, 0)
}

/// What a configuration compiles to that runs in spite of errors.
pub fn tolerated(routers: usize, servers: usize, errors: usize) -> String {
    let mut plans = Plans::default();
    plans.vrrp.routers = (1..=routers).map(router).collect();
    plans.lvs.virtual_servers = (1..=servers).map(virtual_server).collect();
    plans.global = GlobalPlan { not_yet: vec!["track_script: no script runs".to_owned()], ..plans.global };
    let diagnostics = vec!["test.conf:1: a warning".to_owned()];
    json(&Compiled { plans: Some(plans), status: 5, diagnostics, errors, cannot_run: 0 })
}

/// What a configuration compiles to that names its instance.
pub fn named(routers: usize, instance: &str) -> String {
    let mut plans = Plans::default();
    plans.vrrp.routers = (1..=routers).map(router).collect();
    plans.global.daemon.instance = Some(instance.to_owned());
    json(&Compiled { plans: Some(plans), status: 0, diagnostics: Vec::new(), errors: 0, cannot_run: 0 })
}

/// What a configuration compiles to that tracks scripts and BFD sessions.
pub fn tracking(routers: usize, scripts: usize, sessions: usize) -> String {
    let mut plans = Plans::default();
    plans.vrrp.routers = (1..=routers).map(router).collect();
    plans.scripts.scripts = (1..=scripts).map(script).collect();
    plans.bfd.sessions = (1..=sessions).map(session).collect();
    json(&Compiled { plans: Some(plans), status: 0, diagnostics: Vec::new(), errors: 0, cannot_run: 0 })
}

/// What a configuration compiles to that has an SNMP agent, with traps or without.
pub fn managed(servers: usize, traps: bool) -> String {
    let mut plans = Plans::default();
    plans.vrrp.routers = vec![router(1)];
    plans.lvs.virtual_servers = (1..=servers).map(virtual_server).collect();
    (plans.snmp.checker, plans.snmp.traps) = (true, traps);
    json(&Compiled { plans: Some(plans), status: 0, diagnostics: Vec::new(), errors: 0, cannot_run: 0 })
}

/// What a configuration compiles to whose connection synchronisation follows the virtual router `instance`.
pub fn following(instance: &str) -> String {
    let mut plans = Plans::default();
    plans.vrrp.routers = vec![router(1)];
    plans.lvs.virtual_servers = vec![virtual_server(1)];
    let settings = SyncSettings {
        interface: "eth0".to_owned(),
        sync_id: 0,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    plans.lvs.kernel.sync = Some(SyncPlan { instance: Some(instance.to_owned()), settings });
    json(&Compiled { plans: Some(plans), status: 0, diagnostics: Vec::new(), errors: 0, cannot_run: 0 })
}

/// What a bad configuration compiles to.
pub fn broken(status: u8) -> String {
    let diagnostics = vec!["test.conf:3: first".to_owned(), "test.conf:4: second".to_owned()];
    json(&Compiled { plans: None, status, diagnostics, errors: 2, cannot_run: 0 })
}

fn json(compiled: &Compiled) -> String {
    serde_json::to_string(compiled).expect("plain data")
}

fn router(number: usize) -> RouterPlan {
    let vrid = u8::try_from(number).ok().and_then(VirtualRouterId::new).expect("few and not 0");
    let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid);
    RouterPlan::new(format!("router{number}"), key)
}

fn script(number: usize) -> TrackedScript {
    TrackedScript {
        name: format!("script{number}"),
        command: CommandPlan { words: vec!["/bin/true".to_owned()], ..CommandPlan::default() },
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        failed_until_rise: false,
    }
}

fn session(number: usize) -> BfdSessionPlan {
    BfdSessionPlan::new(format!("session{number}"), [10, 0, 0, 9].into())
}

fn virtual_server(number: usize) -> VirtualServer {
    let mark = u32::try_from(number).expect("there are few");
    let key = ServiceKey::FwMark { family: AddressFamily::V4, mark };
    VirtualServer::new(format!("server{number}"), vec![key], Vec::new())
}
