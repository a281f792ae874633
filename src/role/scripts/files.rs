//! Tracked files: read when somebody has written and closed them, or put another in their place.
//!
//! What is watched is the directory, as by keepalived; where that cannot be, the file is read each second.

use crate::plan::scripts::{InitFile, TrackedFile};
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use crate::report::TrackerStatus;
use crate::sys::readable::Readable;
use crate::time::Instant;
use crate::track::file::{MAX_NUMBER, parse};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use tracing::{error, info, warn};

/// How often a file is read whose directory cannot be watched, and the watch is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The tracked files.
#[derive(Default)]
pub struct Files {
    files: Vec<Tracked>,
    watch: Option<(Inotify, Readable)>,
    /// When files that are not watched are read again; a wait that is dropped must not begin anew.
    retry_at: Option<tokio::time::Instant>,
}

struct Tracked {
    plan: TrackedFile,
    /// What was told of it.
    value: Option<i32>,
    since: Instant,
    /// What was found, in words.
    words: String,
    watched: Option<WatchDescriptor>,
    /// Was it said that it cannot be watched?
    complained: bool,
}

/// What changed.
pub type Samples = Vec<(TrackerKey, Option<Sample>)>;

impl Files {
    /// Watches other files from now on; what was known of one whose plan is the same stays.
    pub fn plan(&mut self, plans: Vec<TrackedFile>, now: Instant, samples: &mut Samples) {
        let mut known: BTreeMap<String, Tracked> =
            self.files.drain(..).map(|file| (file.plan.name.clone(), file)).collect();
        for plan in plans {
            let before = known.remove(&plan.name).filter(|file| file.plan == plan);
            let file = before.unwrap_or_else(|| {
                initialise(&plan);
                Tracked {
                    plan,
                    value: None,
                    since: now,
                    words: String::new(),
                    watched: None,
                    complained: false,
                }
            });
            self.files.push(file);
        }
        // Watches are made anew: two files may share a directory, and with it a watch.
        self.watch = None;
        for file in &mut self.files {
            file.watched = None;
        }
        if !self.files.is_empty() {
            self.watch = open().inspect_err(|why| error!("tracked files are read each second: {why}")).ok();
        }
        self.look(now, samples);
    }

    /// Waits until a file may have changed.
    pub async fn wait(&self) -> io::Result<()> {
        let retry = async {
            match self.retry_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        match &self.watch {
            Some((_, readable)) => tokio::select! {
                ready = readable.wait() => ready,
                () = retry => Ok(()),
            },
            None => {
                retry.await;
                Ok(())
            }
        }
    }

    /// Reads what may have changed.
    pub fn take(&mut self, now: Instant, samples: &mut Samples) {
        if let Some((inotify, _)) = &self.watch {
            let gone =
                AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
            while let Ok(events) = inotify.read_events() {
                for event in events.iter().filter(|event| event.mask.intersects(gone)) {
                    // Another directory may come to stand there.
                    inotify.rm_watch(event.wd).ok();
                    let lost = self.files.iter_mut().filter(|file| file.watched == Some(event.wd));
                    lost.for_each(|file| file.watched = None);
                }
            }
        }
        self.look(now, samples);
    }

    /// What is known of each.
    pub fn status(&self, now: Instant) -> impl Iterator<Item = TrackerStatus> {
        self.files.iter().map(move |file| TrackerStatus {
            kind: "file".to_owned(),
            name: file.plan.name.clone(),
            state: file.value.map_or("unknown".to_owned(), |value| value.to_string()),
            since_seconds: now.saturating_duration_since(file.since).as_secs(),
            last_result: Some(format!("{} {}", file.plan.path, file.words)),
            late_ms: None,
            output: None,
            running: false,
        })
    }

    /// Watches what is not watched, then reads all: nothing falls between.
    fn look(&mut self, now: Instant, samples: &mut Samples) {
        for file in &mut self.files {
            if let (None, Some((inotify, _))) = (file.watched, &self.watch) {
                file.watch(inotify);
            }
            let (value, words) = read(Path::new(&file.plan.path));
            if words != file.words {
                info!("track_file {}: {} {words}", file.plan.name, file.plan.path);
                file.words = words;
            }
            if file.value != Some(value) {
                (file.value, file.since) = (Some(value), now);
                let key = TrackerKey { kind: TrackerKind::File, name: file.plan.name.clone() };
                samples.push((key, Some(Sample::Value(value))));
            }
        }
        let unwatched = self.files.iter().any(|file| file.watched.is_none());
        self.retry_at = unwatched.then(|| tokio::time::Instant::now() + RETRY);
    }
}

impl Tracked {
    fn watch(&mut self, inotify: &Inotify) {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let path = Path::new(&self.plan.path);
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match inotify.add_watch(directory, flags) {
            Ok(watch) => (self.watched, self.complained) = (Some(watch), false),
            Err(errno) if !self.complained => {
                self.complained = true;
                let (name, directory) = (&self.plan.name, directory.display());
                warn!(
                    "track_file {name}: {directory} cannot be watched ({errno}); the file is read each second"
                );
            }
            Err(_) => {}
        }
    }
}

fn open() -> io::Result<(Inotify, Readable)> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let readable = Readable::new(&inotify)?;
    Ok((inotify, readable))
}

/// What a file says, and how that was found. What is not there says 0, as for keepalived.
fn read(path: &Path) -> (i32, String) {
    let mut octets = Vec::new();
    // Opening a FIFO must not wait for a writer.
    let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let found = opened.and_then(|file: File| {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        file.take(MAX_NUMBER as u64).read_to_end(&mut octets)
    });
    match found {
        Ok(_) => {
            let value = parse(&octets);
            (value, format!("says {value}"))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => (0, "does not exist and counts as 0".to_owned()),
        Err(why) => (0, format!("cannot be read and counts as 0: {why}")),
    }
}

/// `init_file`: makes the file, or writes over it.
fn initialise(plan: &TrackedFile) {
    let Some(InitFile { value, overwrite }) = plan.init else { return };
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).mode(0o644);
    let opened = match overwrite {
        true => options.create(true).truncate(true).open(&plan.path),
        false => options.create_new(true).open(&plan.path),
    };
    let written = match opened {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists && !overwrite => return,
        opened => opened.and_then(|mut file| file.write_all(format!("{value}\n").as_bytes())),
    };
    if let Err(why) = written {
        error!("track_file {}: {} cannot be initialised: {why}", plan.name, plan.path);
    }
}
