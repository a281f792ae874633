//! A scripts role in a thread of the test, its link, and a folder of scripts.

use holdfast::link::frame::{Decoder, encode};
use holdfast::link::{Claimed, FromScripts, ToScripts};
use holdfast::plan::Generation;
use holdfast::plan::scripts::{CommandPlan, ScriptsPlan, TrackedScript, Unrunnable};
use holdfast::plan::track::{Sample, TrackerKey, TrackerKind};
use holdfast::report::{ScriptsStatus, TrackerStatus};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Whatever has not happened by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Lab {
    folder: tempfile::TempDir,
    link: UnixStream,
    decoder: Decoder,
    samples: VecDeque<(TrackerKey, Option<Sample>)>,
    /// What was said of each tracker, last.
    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub words: BTreeMap<TrackerKey, String>,
    role: Option<JoinHandle<ExitCode>>,
    generation: u64,
    asked: u64,
}

pub fn key(kind: TrackerKind, name: &str) -> TrackerKey {
    TrackerKey { kind, name: name.to_owned() }
}

/// Is there a process of this id that is no zombie?
#[allow(dead_code, reason = "each test program uses what it needs")]
pub fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

impl Lab {
    pub fn new() -> Lab {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        ours.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let role = std::thread::spawn(move || holdfast::role::scripts::run(theirs));
        Lab {
            folder: tempfile::tempdir().expect("a temporary folder"),
            link: ours,
            decoder: Decoder::default(),
            samples: VecDeque::new(),
            words: BTreeMap::new(),
            role: Some(role),
            generation: 0,
            asked: 0,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets other accounts reach the scripts.
    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn open_to_all(&self) {
        fs::set_permissions(self.folder.path(), PermissionsExt::from_mode(0o755)).expect("our own");
    }

    /// A shell script and the plan that runs it each second.
    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn script(&self, name: &str, text: &str) -> TrackedScript {
        let path = self.path(name);
        // Written under another name: a file that is still open for writing cannot be executed.
        let draft = self.path(&format!("{name}.draft"));
        fs::write(&draft, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&draft, PermissionsExt::from_mode(0o755)).expect("our own");
        fs::rename(&draft, &path).expect("renamed");
        TrackedScript {
            name: name.to_owned(),
            command: CommandPlan { words: vec![path.display().to_string()], ..CommandPlan::default() },
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            rise: 1,
            fall: 1,
            failed_until_rise: false,
        }
    }

    pub fn say(&mut self, order: &ToScripts) {
        self.link.write_all(&encode(order).expect("small")).expect("the role reads");
    }

    /// The next answer of a claim script.
    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn claimed(&mut self) -> Claimed {
        loop {
            if let FromScripts::Claimed(claimed) = self.hear() {
                return claimed;
            }
        }
    }

    fn hear(&mut self) -> FromScripts {
        loop {
            if let Some(message) = self.decoder.message().expect("well formed") {
                if let FromScripts::TrackerWords(key, words) = &message {
                    self.words.insert(key.clone(), words.clone());
                }
                return message;
            }
            let mut octets = [0; 4096];
            let count = self.link.read(&mut octets).expect("the role speaks in time");
            assert!(count > 0, "the role has ended");
            self.decoder.push(&octets[..count]);
        }
    }

    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn plan(&mut self, scripts: Vec<TrackedScript>) {
        self.plan_with(scripts, Unrunnable::Dropped);
    }

    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn plan_with(&mut self, scripts: Vec<TrackedScript>, unrunnable: Unrunnable) {
        self.plan_all(ScriptsPlan { scripts, unrunnable, ..ScriptsPlan::default() });
    }

    /// Gives a plan and waits until it is in force.
    pub fn plan_all(&mut self, plan: ScriptsPlan) {
        self.generation += 1;
        let generation = Generation(self.generation);
        self.say(&ToScripts::Plan(ScriptsPlan { generation, ..plan }));
        loop {
            match self.hear() {
                FromScripts::Applied(applied) if applied == generation => return,
                FromScripts::Tracker(key, sample) => self.samples.push_back((key, sample)),
                _ => {}
            }
        }
    }

    /// Waits until a script's sample is this one.
    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn expect(&mut self, script: &str, wanted: Option<Sample>) {
        self.expect_of(&key(TrackerKind::Script, script), wanted);
    }

    /// Waits until a tracker's sample is this one.
    pub fn expect_of(&mut self, tracker: &TrackerKey, wanted: Option<Sample>) {
        let begun = Instant::now();
        let mut seen = Vec::new();
        loop {
            while let Some((key, sample)) = self.samples.pop_front() {
                if key == *tracker && sample == wanted {
                    return;
                }
                seen.push((key, sample));
            }
            assert!(begun.elapsed() < PATIENCE, "{tracker}: {wanted:?} never came, but {seen:?}");
            if let FromScripts::Tracker(key, sample) = self.hear() {
                self.samples.push_back((key, sample));
            }
        }
    }

    pub fn status(&mut self) -> ScriptsStatus {
        self.asked += 1;
        let asked = self.asked;
        self.say(&ToScripts::Snapshot(asked));
        loop {
            match self.hear() {
                FromScripts::Snapshot(number, status) if number == asked => return status,
                FromScripts::Tracker(key, sample) => self.samples.push_back((key, sample)),
                _ => {}
            }
        }
    }

    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn tracker(&mut self, name: &str) -> TrackerStatus {
        let status = self.status();
        status.trackers.into_iter().find(|tracker| tracker.name == name).expect("it is in the plan")
    }

    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn counter(&mut self, name: &str) -> u64 {
        self.status().counters[name]
    }

    /// The numbers in a file of the folder.
    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn pids(&self, name: &str) -> Vec<i32> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    #[allow(dead_code, reason = "each test program uses what it needs")]
    pub fn wait_for(&self, what: &str, done: impl Fn(&Lab) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: never");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the role and waits for its end.
    pub fn stop(&mut self) {
        if let Some(role) = self.role.take() {
            self.link.write_all(&encode(&ToScripts::Stop).expect("small")).ok();
            role.join().expect("it does not panic");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop();
    }
}
