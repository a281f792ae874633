//! The scripts role with real scripts, which hang, fork, refuse to die, talk too much and disappear.

mod scripts_support;

use holdfast::link::ToScripts;
use holdfast::plan::scripts::{Identity, TrackedScript, Unrunnable};
use holdfast::plan::track::{Sample, TrackerKind};
use nix::sys::signal::{Signal, kill};
use scripts_support::{Lab, alive, key};
use std::fs;
use std::time::{Duration, Instant};

const UP: Option<Sample> = Some(Sample::Up);
const DOWN: Option<Sample> = Some(Sample::Down);

fn quick(script: TrackedScript) -> TrackedScript {
    TrackedScript { interval: Duration::from_millis(50), timeout: Duration::from_millis(300), ..script }
}

#[test]
fn exit_statuses_become_samples() {
    let mut lab = Lab::new();
    let file = lab.path("state");
    let script = quick(lab.script("s", &format!("exit $(cat {})", file.display())));
    fs::write(&file, "0").expect("written");
    lab.plan(vec![script]);
    lab.expect("s", UP);
    fs::write(&file, "3").expect("written");
    lab.expect("s", DOWN);
    assert_eq!(lab.tracker("s").last_result.as_deref(), Some("exit status 3"));
    let key = key(TrackerKind::Script, "s");
    assert_eq!(lab.words[&key], "exit status 3", "told before the sample");
    fs::write(&file, "0").expect("written");
    lab.expect("s", UP);
    assert_eq!(lab.words[&key], "", "there is nothing to add to a success");
    assert!(lab.counter("script_runs") >= 3);
}

#[test]
fn a_script_that_hangs_is_down_at_its_timeout_and_its_children_are_ended() {
    let mut lab = Lab::new();
    let pids = lab.path("pids");
    let script =
        lab.script("s", &format!("sleep 3600 & echo $! >>{0}; echo $$ >>{0}; sleep 3600", pids.display()));
    lab.plan(vec![TrackedScript { timeout: Duration::from_millis(300), ..script }]);
    let begun = Instant::now();
    lab.expect("s", DOWN);
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    assert_eq!(lab.tracker("s").last_result.as_deref(), Some("no answer within 0.3 s"));
    lab.wait_for("the end of the whole group", |lab| lab.pids("pids").iter().all(|pid| !alive(*pid)));
    assert!(lab.pids("pids").len() >= 2);
    assert!(lab.counter("script_timeouts") >= 1);
}

#[test]
fn a_script_that_ignores_sigterm_is_killed() {
    let mut lab = Lab::new();
    let pids = lab.path("pids");
    let text = format!("trap '' TERM; echo $$ >>{}; while :; do sleep 0.1; done", pids.display());
    let script = lab.script("s", &text);
    lab.plan(vec![TrackedScript {
        timeout: Duration::from_millis(300),
        interval: Duration::from_secs(60),
        ..script
    }]);
    lab.expect("s", DOWN);
    let pid = lab.pids("pids")[0];
    assert!(alive(pid), "it ignores the first signal");
    lab.wait_for("SIGKILL", |_| !alive(pid));
}

#[test]
fn a_script_that_forks_for_ever_does_not_outlive_its_time() {
    let mut lab = Lab::new();
    let pids = lab.path("pids");
    let text = format!(
        "trap '' TERM; for n in 1 2 3 4 5 6 7 8; do sh -c 'trap \"\" TERM; echo $$ >>{0}; while :; do sleep 0.1; done' & done; exit 0",
        pids.display()
    );
    // It exits at once and leaves programs that write to its output: they are left alone, as by keepalived.
    let script = lab.script("s", &text);
    lab.plan(vec![TrackedScript { interval: Duration::from_secs(60), ..script }]);
    lab.expect("s", UP);
    lab.wait_for("its children", |lab| lab.pids("pids").len() == 8);
    let children = lab.pids("pids");
    assert!(children.iter().all(|pid| alive(*pid)));
    for pid in children {
        kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("our own descendant");
    }
    // One that never exits takes its whole family with it.
    let text = format!(
        "echo >{0}; trap '' TERM; while :; do sh -c 'trap \"\" TERM; echo $$ >>{0}; exec sleep 3600' & sleep 0.05; done",
        pids.display()
    );
    let script = lab.script("t", &text);
    lab.plan(vec![TrackedScript {
        timeout: Duration::from_millis(500),
        interval: Duration::from_secs(60),
        ..script
    }]);
    lab.expect("t", DOWN);
    lab.wait_for("the end of all", |lab| {
        let pids = lab.pids("pids");
        pids.len() > 2 && pids.iter().all(|pid| !alive(*pid))
    });
}

#[test]
fn a_script_that_is_killed_has_failed() {
    let mut lab = Lab::new();
    let script = quick(lab.script("s", "kill -9 $$"));
    lab.plan(vec![script]);
    lab.expect("s", DOWN);
    assert_eq!(lab.tracker("s").last_result.as_deref(), Some("ended by SIGKILL"));
}

#[test]
fn the_first_4_kib_of_a_failing_scripts_output_are_kept() {
    let mut lab = Lab::new();
    let text = "echo begin; head -c 1000000 /dev/zero | tr '\\0' x; echo end >&2; exit 1";
    let script = TrackedScript { timeout: Duration::from_secs(20), ..lab.script("s", text) };
    lab.plan(vec![script]);
    lab.expect("s", DOWN);
    let status = lab.tracker("s");
    assert_eq!(status.last_result.as_deref(), Some("exit status 1"), "it was not stopped by its own words");
    let output = status.output.expect("it spoke");
    assert!(output.starts_with("begin\nxxx") && output.len() == 4096, "{} octets", output.len());
}

#[test]
fn short_words_on_standard_error_are_kept_whole() {
    let mut lab = Lab::new();
    let script = lab.script("s", "echo one; echo two >&2; exit 2");
    lab.plan(vec![script]);
    lab.expect("s", DOWN);
    assert_eq!(lab.tracker("s").output.as_deref(), Some("one\ntwo"));
}

#[test]
fn a_script_that_disappears_has_failed_and_comes_back() {
    let mut lab = Lab::new();
    let script = quick(lab.script("s", "exit 0"));
    let file = script.command.words[0].clone();
    lab.plan(vec![script]);
    lab.expect("s", UP);
    let hidden = format!("{file}.hidden");
    fs::rename(&file, &hidden).expect("renamed");
    lab.expect("s", DOWN);
    let words = lab.tracker("s").last_result.expect("a result");
    assert!(words.contains("cannot be executed: No such file or directory"), "{words}");
    fs::rename(&hidden, &file).expect("renamed");
    lab.expect("s", UP);
}

#[test]
fn what_cannot_run_is_said_and_is_a_failure_on_request() {
    let mut lab = Lab::new();
    let mut script = lab.script("s", "exit 0");
    script.command.cannot_run = Some("it may be written by anybody".to_owned());
    lab.plan(vec![script.clone()]);
    let status = lab.tracker("s");
    assert_eq!((status.state.as_str(), lab.counter("scripts_cannot_run")), ("cannot run", 1));
    lab.plan_with(vec![script], Unrunnable::Fault);
    lab.expect("s", DOWN);
    assert_eq!(lab.tracker("s").last_result.as_deref(), Some("cannot run: it may be written by anybody"));
}

#[test]
fn scripts_see_a_clean_environment_and_no_terminal() {
    let mut lab = Lab::new();
    let seen = lab.path("seen");
    let text = format!(
        "{{ readlink /proc/self/fd/0; ps -o pgid= -p $$ | tr -d ' '; echo $$; grep -E '^Sig(Blk|Ign)' /proc/self/status; }} >{}; exit 1",
        seen.display()
    );
    let script = lab.script("s", &text);
    lab.plan(vec![script]);
    lab.expect("s", DOWN);
    let seen = fs::read_to_string(seen).expect("written");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "/dev/null");
    assert_eq!(lines[1], lines[2], "a process group of its own");
    let mask =
        |line: &str| u64::from_str_radix(line.rsplit('\t').next().expect("a value"), 16).expect("a mask");
    assert_eq!(mask(lines[3]), 0, "a role blocks signals, a script must hear them: {}", lines[3]);
    assert_eq!(mask(lines[4]) & 1 << (Signal::SIGPIPE as u32 - 1), 0, "{}", lines[4]);
}

#[test]
fn a_script_runs_as_its_account() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut lab = Lab::new();
    let mut script = lab.script("s", "[ \"$(id -u) $(id -g) $(id -G)\" = '65534 65533 65533 65532' ]");
    script.command.identity = Some(Identity { uid: 65534, gid: 65533, groups: vec![65532] });
    lab.open_to_all();
    lab.plan(vec![script]);
    lab.expect("s", UP);
}

#[test]
fn what_was_held_is_not_said_again() {
    let mut lab = Lab::new();
    let script = TrackedScript { fall: 2, ..quick(lab.script("s", "exit 1")) };
    lab.say(&ToScripts::Held(vec![(script_key("s"), Sample::Up)]));
    lab.plan(vec![script]);
    // Down after two failures, not after the first.
    lab.expect("s", DOWN);
    assert!(lab.counter("script_failures") >= 2);
}

#[test]
fn at_the_end_running_scripts_are_ended() {
    let mut lab = Lab::new();
    let pids = lab.path("pids");
    let script = lab.script("s", &format!("echo $$ >{}; exec sleep 3600", pids.display()));
    lab.plan(vec![TrackedScript { timeout: Duration::from_secs(60), ..script }]);
    lab.wait_for("a running script", |lab| !lab.pids("pids").is_empty());
    let pid = lab.pids("pids")[0];
    lab.stop();
    assert!(!alive(pid));
}

fn script_key(name: &str) -> holdfast::plan::track::TrackerKey {
    scripts_support::key(holdfast::plan::track::TrackerKind::Script, name)
}
