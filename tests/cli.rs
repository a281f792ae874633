//! Both programs from the outside: words in, text and exit status out.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Whatever has not happened by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

const DAEMON: &str = env!("CARGO_BIN_EXE_holdfast");
const TOOL: &str = env!("CARGO_BIN_EXE_holdfastctl");

/// Nothing to do for any role, so that it runs anywhere.
const QUIET: &str = "global_defs {\n    router_id test\n}\n";

fn run(program: &str, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).env_remove("HOLDFAST_SOCKET");
    command.output().expect("our program starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with this text, as a word for a command line.
    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("written");
        self.word(name)
    }

    fn word(&self, name: &str) -> String {
        self.path(name).to_str().expect("plain").to_owned()
    }
}

#[test]
fn bad_options_are_refused_as_keepalived_does() {
    for words in [&["--bogus"][..], &["-Z"], &["-f"], &["-S", "mail"]] {
        let output = run(DAEMON, words);
        assert_eq!(code(&output), 1, "{words:?}");
        assert!(out(&output).is_empty());
        assert_eq!(err(&output).lines().count(), 1, "{words:?}: {}", err(&output));
    }
}

#[test]
fn help_and_version_go_to_standard_error() {
    for (word, part) in [("--help", "--use-file"), ("-v", "holdfast v")] {
        let output = run(DAEMON, &[word]);
        assert_eq!(code(&output), 0);
        assert!(out(&output).is_empty());
        assert!(err(&output).contains(part), "{}", err(&output));
    }
}

#[test]
fn signal_numbers_go_to_standard_output() {
    let output = run(DAEMON, &["--signum=STATS_CLEAR"]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "63\n"));
    let output = run(DAEMON, &["--signum", "NOTHING"]);
    assert_eq!((code(&output), out(&output).as_str()), (1, ""));
    assert!(err(&output).contains("NOTHING"));
}

#[test]
fn what_would_mislead_is_refused() {
    let output = run(DAEMON, &["-n", "-T", "-s", "127.0.0.1"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("-T must be the first option"), "{}", err(&output));
    let output = run(DAEMON, &["-n", "-s", "no-such-namespace"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("there is no network namespace"), "{}", err(&output));
}

#[test]
fn a_person_cannot_be_a_role() {
    let output = run(DAEMON, &["--role", "vrrp"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("for the daemon's own use"), "{}", err(&output));
}

#[test]
fn a_test_of_the_configuration_reports_where_it_is_told_to() {
    let folder = Folder::new();
    let (good, bad) = (folder.file("good.conf", QUIET), folder.file("bad.conf", "no_such_word 1\n"));
    let output = run(DAEMON, &["-t", "-f", &good]);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    let output = run(DAEMON, &["-f", &bad, "--config-test"]);
    assert_eq!(code(&output), 5);
    assert!(err(&output).contains("no_such_word"), "{}", err(&output));
    // The whole file, whatever is to run: as keepalived.
    let router = folder.file("router.conf", "vrrp_instance A {\n  no_such_word 1\n}\n");
    let output = run(DAEMON, &["-t", "-C", "-f", &router]);
    assert_ne!(code(&output), 0, "{}", err(&output));
    let report = folder.word("report");
    for glued in [format!("-t{report}"), format!("--config-test={report}")] {
        let output = run(DAEMON, &[&glued, "-f", &bad]);
        assert_eq!((code(&output), err(&output).as_str()), (5, ""));
    }
    let text = fs::read_to_string(&report).expect("written");
    assert_eq!(text.matches("unknown keyword").count(), 2, "the second report follows the first:\n{text}");
    let output = run(TOOL, &["check", &bad]);
    assert_eq!(code(&output), 2);
    assert!(out(&output).contains("no_such_word"), "{}", out(&output));
}

#[test]
fn check_says_how_bad_it_is_in_every_format() {
    let folder = Folder::new();
    let good = folder.file("good.conf", QUIET);
    let hint = folder.file("hint.conf", &format!("{QUIET}\nglobal_defs {{\n  process_names\n}}\n"));
    let bad = folder.file("bad.conf", &format!("{QUIET}\nno_such_word 1\n"));
    assert_eq!(code(&run(TOOL, &["check", &good])), 0);
    assert_eq!(code(&run(TOOL, &["check", &hint])), 0);
    let checked = |format: &str| {
        let output = run(TOOL, &["check", "--format", format, &bad]);
        assert_eq!(code(&output), 2, "{format}");
        let text = out(&output);
        assert!(!text.contains('\u{1b}'), "no colours but on a terminal: {text}");
        text
    };
    assert!(checked("human").contains("error[HF0007]: unknown keyword `no_such_word`"));
    assert!(checked("short").contains(&format!("{bad}:")) && checked("short").lines().count() == 1);
    assert!(checked("github").starts_with(&format!("::error file={bad},line=")));
    let json: serde_json::Value = serde_json::from_str(&checked("json")).expect("JSON");
    assert_eq!((&json["errors"], &json["findings"][0]["code"]), (&1.into(), &"HF0007".into()));
    assert_eq!(json["findings"][0]["place"]["column"], 1);
}

#[test]
fn check_tells_the_story_of_a_code() {
    let told = run(TOOL, &["check", "--explain", "hf7"]);
    assert_eq!(code(&told), 0);
    assert!(out(&told).starts_with("HF0007: ") && out(&told).len() > 200, "{}", out(&told));
    let unknown = run(TOOL, &["check", "--explain", "HF9999"]);
    assert!(code(&unknown) == 1 && err(&unknown).contains("there is no code HF9999"), "{}", err(&unknown));
    assert_eq!(code(&run(TOOL, &["check"])), 2, "a file or a code is needed");
}

#[test]
fn extra_words_are_named_and_the_run_goes_on() {
    let folder = Folder::new();
    let good = folder.file("good.conf", QUIET);
    let output = run(DAEMON, &["-t", "-f", &good, "one", "two"]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "Unexpected argument(s): one two\n"));
}

#[test]
fn a_dead_daemon_is_one_line_and_status_3() {
    let folder = Folder::new();
    let (absent, dead) = (folder.word("absent.sock"), folder.word("dead.sock"));
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("bound"));
    for verb in ["status", "vrrp", "reload"] {
        for (socket, reason) in [(&absent, "no such file"), (&dead, "connection refused")] {
            let output = run(TOOL, &["--socket", socket, verb, "--json"]);
            assert_eq!(code(&output), 3);
            assert!(out(&output).is_empty());
            let line =
                format!("holdfastctl: no daemon answers at {socket} ({reason}): is holdfast running?\n");
            assert_eq!(err(&output), line);
        }
    }
}

#[test]
fn the_socket_is_found_by_option_pid_file_or_environment() {
    let with = |words: &[&str]| {
        let mut command = Command::new(TOOL);
        err(&command.args(words).env("HOLDFAST_SOCKET", "/nowhere/env.sock").output().expect("it starts"))
    };
    assert!(with(&["status"]).contains("/nowhere/env.sock"));
    assert!(with(&["--pid", "/nowhere/a.pid", "status"]).contains("/nowhere/a.sock"));
    assert!(with(&["status", "--socket", "/nowhere/b"]).contains("/nowhere/b "));
}

/// A daemon in the background; killed with the test.
struct Background {
    folder: Folder,
}

impl Background {
    fn start(configuration: &str) -> (Background, Output) {
        let folder = Folder::new();
        let (file, pid) = (folder.file("test.conf", configuration), folder.word("main.pid"));
        let (vrrp, checkers) = (folder.word("vrrp.pid"), folder.word("checkers.pid"));
        let output = run(DAEMON, &["-G", "-f", &file, "-p", &pid, "-r", &vrrp, "-c", &checkers]);
        (Background { folder }, output)
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.folder.path("main.pid")).ok()?.trim().parse().ok()
    }

    fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < PATIENCE, "{what}: never");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ctl(&self, words: &[&str]) -> Output {
        run(TOOL, &[&["--pid", &self.folder.word("main.pid")], words].concat())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

#[test]
fn a_daemon_leaves_the_terminal_answers_and_stops() {
    let (daemon, started) = Background::start(QUIET);
    assert_eq!((code(&started), err(&started).as_str()), (0, ""));
    daemon.wait_for("the control socket", || UnixStream::connect(daemon.folder.path("main.sock")).is_ok());
    let pid = daemon.pid().expect("its pid file is there before its socket");
    assert_eq!(nix::unistd::getsid(Some(Pid::from_raw(pid))), Ok(Pid::from_raw(pid)), "a session of its own");
    daemon.wait_for("the null device", || {
        (0..3).all(|fd| {
            fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|to| to == Path::new("/dev/null"))
        })
    });
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).expect("ours to read"), Path::new("/"));
    let status = daemon.ctl(&["status"]);
    assert_eq!(code(&status), 0);
    assert!(out(&status).starts_with(&format!("holdfast {}, pid {pid}, ", env!("CARGO_PKG_VERSION"))));
    assert!(out(&status).contains("\nall is well: nothing to do\n"), "{}", out(&status));
    let json: serde_json::Value =
        serde_json::from_str(&out(&daemon.ctl(&["status", "--json"]))).expect("JSON");
    assert_eq!(json["daemon"]["pid"], pid);
    let vrrp = daemon.ctl(&["vrrp"]);
    assert_eq!(code(&vrrp), 1);
    assert!(err(&vrrp).contains("no virtual router"), "{}", err(&vrrp));
    let reload = daemon.ctl(&["reload"]);
    assert_eq!((code(&reload), out(&reload).as_str()), (0, "reloaded: configuration 2 is in force\n"));
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    daemon.wait_for("its end", || !Path::new(&format!("/proc/{pid}")).exists());
    assert!(!daemon.folder.path("main.pid").exists() && !daemon.folder.path("main.sock").exists());
}

#[test]
fn a_reload_of_a_broken_file_shows_the_line_and_changes_nothing() {
    let (daemon, _) = Background::start(QUIET);
    daemon.wait_for("the control socket", || UnixStream::connect(daemon.folder.path("main.sock")).is_ok());
    daemon.folder.file("test.conf", &format!("{QUIET}no_such_word 1\n"));
    let reload = daemon.ctl(&["reload"]);
    assert_eq!(code(&reload), 1);
    let text = out(&reload);
    assert!(text.contains("test.conf:4") && text.contains("no_such_word"), "{text}");
    assert!(text.ends_with("refused for 1 error: configuration 1 goes on untouched\n"), "{text}");
    let status = out(&daemon.ctl(&["status"]));
    assert!(status.contains("TROUBLE: the last reload was refused"), "{status}");
}

#[test]
fn a_file_that_cannot_be_run_is_shown_on_the_terminal() {
    let folder = Folder::new();
    let words = ["-n", "-G", "-f", "/nonexistent/holdfast.conf", "-p", &folder.word("main.pid")];
    let output = run(DAEMON, &words);
    assert_eq!(code(&output), 6);
    assert!(err(&output).contains("/nonexistent/holdfast.conf"), "{}", err(&output));
}
