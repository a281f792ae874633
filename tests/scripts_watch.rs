//! The scripts role with real files and processes.

mod scripts_support;

use holdfast::plan::scripts::{InitFile, ProcessMatch, ScriptsPlan, TrackedFile, TrackedProcess};
use holdfast::plan::track::{Sample, TrackerKind};
use scripts_support::{Lab, key};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn file(lab: &Lab, path: &str, init: Option<InitFile>) -> ScriptsPlan {
    let path = lab.path(path).display().to_string();
    ScriptsPlan { files: vec![TrackedFile { name: "f".to_owned(), path, init }], ..ScriptsPlan::default() }
}

#[test]
fn a_file_counts_when_it_is_written_replaced_and_removed() {
    let mut lab = Lab::new();
    let tracker = key(TrackerKind::File, "f");
    let path = lab.path("number");
    lab.plan_all(file(&lab, "number", None));
    lab.expect_of(&tracker, Some(Sample::Value(0)));
    fs::write(&path, "12\n").expect("written");
    lab.expect_of(&tracker, Some(Sample::Value(12)));
    fs::write(lab.path("other"), "-0x10").expect("written");
    fs::rename(lab.path("other"), &path).expect("renamed");
    lab.expect_of(&tracker, Some(Sample::Value(-16)));
    let words = lab.tracker("f").last_result.expect("a result");
    assert!(words.ends_with("number says -16"), "{words}");
    fs::remove_file(&path).expect("removed");
    lab.expect_of(&tracker, Some(Sample::Value(0)));
}

#[test]
fn a_directory_that_goes_and_comes_back_is_watched_again() {
    let mut lab = Lab::new();
    let tracker = key(TrackerKind::File, "f");
    let directory = lab.path("directory");
    lab.plan_all(file(&lab, "directory/number", None));
    lab.expect_of(&tracker, Some(Sample::Value(0)));
    for value in [5, 6] {
        fs::create_dir(&directory).expect("made");
        fs::write(directory.join("number"), value.to_string()).expect("written");
        lab.expect_of(&tracker, Some(Sample::Value(value)));
        fs::remove_dir_all(&directory).expect("removed");
        lab.expect_of(&tracker, Some(Sample::Value(0)));
    }
}

#[test]
fn a_fifo_or_a_directory_is_no_number_and_stops_nothing() {
    let mut lab = Lab::new();
    let tracker = key(TrackerKind::File, "f");
    nix::unistd::mkfifo(&lab.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    lab.plan_all(file(&lab, "fifo", None));
    lab.expect_of(&tracker, Some(Sample::Value(0)));
    let words = lab.tracker("f").last_result.expect("a result");
    assert!(words.contains("cannot be read and counts as 0: it is no file"), "{words}");
}

#[test]
fn a_file_is_made_or_overwritten_as_wanted() {
    let init = |value, overwrite| Some(InitFile { value, overwrite });
    for (there, init, expected) in [
        (None, init(7, false), 7),
        (Some("3"), init(7, false), 3),
        (Some("3"), init(-7, true), -7),
        (Some("3"), None, 3),
    ] {
        let mut lab = Lab::new();
        if let Some(text) = there {
            fs::write(lab.path("number"), text).expect("written");
        }
        lab.plan_all(file(&lab, "number", init));
        lab.expect_of(&key(TrackerKind::File, "f"), Some(Sample::Value(expected)));
    }
}

#[test]
fn a_link_is_not_followed_when_a_file_is_overwritten() {
    let mut lab = Lab::new();
    fs::write(lab.path("precious"), "1").expect("written");
    std::os::unix::fs::symlink(lab.path("precious"), lab.path("link")).expect("linked");
    lab.plan_all(file(&lab, "link", Some(InitFile { value: 5, overwrite: true })));
    lab.expect_of(&key(TrackerKind::File, "f"), Some(Sample::Value(1)));
    assert_eq!(fs::read_to_string(lab.path("precious")).expect("readable"), "1");
}

/// A sleeper that no other test starts; ended when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start(seconds: &str) -> Sleeper {
        let mut command = Command::new("sleep");
        Sleeper(command.arg(seconds).stdout(Stdio::null()).spawn().expect("sleep is there"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn processes_are_counted_as_they_come_and_go() {
    let mut lab = Lab::new();
    let tracker = key(TrackerKind::Process, "p");
    let process = TrackedProcess {
        name: "p".to_owned(),
        process: "sleep".to_owned(),
        matching: ProcessMatch::Exact(vec!["98761".to_owned()]),
        quorum: 2,
        quorum_max: 2,
        fork_delay: Duration::ZERO,
        terminate_delay: Duration::from_millis(200),
    };
    let first = Sleeper::start("98761");
    lab.plan_all(ScriptsPlan { processes: vec![process], ..ScriptsPlan::default() });
    lab.expect_of(&tracker, Some(Sample::Down));
    assert_eq!(lab.tracker("p").last_result.as_deref(), Some("1 running, 2 to 2 wanted"));
    let second = Sleeper::start("98761");
    let _other = Sleeper::start("98762");
    lab.expect_of(&tracker, Some(Sample::Up));
    let third = Sleeper::start("98761");
    lab.expect_of(&tracker, Some(Sample::Down));
    drop(third);
    lab.expect_of(&tracker, Some(Sample::Up));
    drop((first, second));
    lab.expect_of(&tracker, Some(Sample::Down));
}
