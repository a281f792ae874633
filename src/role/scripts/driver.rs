//! The loop: orders in, samples out, and between them the cores.

use super::runner::{self, Push};
use crate::link::{FromScripts, News, ToScripts};
use crate::plan::scripts::{CommandPlan, ScriptsPlan};
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use crate::report::{self, ScriptsStatus};
use crate::role::tracker_link::{LinkError, TrackerLink};
use crate::time::Instant;
use crate::track::LogLevel;
use crate::track::scripts::{Action, Ending, Event, RunId, Scripts};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Tracked scripts that run at once: more than any sensible configuration has, and few enough for any machine.
const MAX_RUNNING: usize = 128;

/// How long running scripts may take to end when the role does.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Signals that may wait for one run: a SIGTERM and some SIGKILL, which say nothing new.
const PUSHES: usize = 4;

/// The end of a run.
type Ended = (RunId, Ending, String);

/// Orders and events; apart from [`State`], so that waiting for them borrows nothing else.
pub struct Driver {
    link: TrackerLink<ToScripts>,
    ended: mpsc::Receiver<Ended>,
    state: State,
}

struct State {
    origin: std::time::Instant,
    scripts: Scripts,
    runs: BTreeMap<RunId, mpsc::Sender<Push>>,
    on_ended: mpsc::Sender<Ended>,
    /// What is to be told to the supervisor.
    samples: Vec<(TrackerKey, Option<Sample>)>,
    news: u64,
}

impl Driver {
    /// Takes the link over. Call it inside the runtime.
    pub fn start(link: UnixStream) -> Result<Driver, LinkError> {
        let (on_ended, ended) = mpsc::channel(MAX_RUNNING);
        let state = State {
            origin: std::time::Instant::now(),
            scripts: Scripts::new(MAX_RUNNING),
            runs: BTreeMap::new(),
            on_ended,
            samples: Vec::new(),
            news: 0,
        };
        Ok(Driver { link: TrackerLink::new(link)?, ended, state })
    }

    /// Until the supervisor says stop or is gone.
    pub async fn live(mut self) -> Result<(), LinkError> {
        loop {
            let wait = self.state.wait();
            tokio::select! {
                open = self.link.turn() => if !open? {
                    info!("the supervisor is gone: no script is run any more");
                    self.end_runs().await;
                    return Ok(());
                },
                Some((run, ending, output)) = self.ended.recv() => self.state.ended(run, ending, output),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            while let Some(order) = self.link.order() {
                match order {
                    ToScripts::Held(samples) => self.state.held(samples),
                    ToScripts::Plan(plan) => {
                        let generation = plan.generation;
                        self.state.plan(plan);
                        self.link.applied(generation);
                    }
                    ToScripts::News(news) => self.state.news(news),
                    ToScripts::Snapshot(number) => self.link.want_snapshot(number),
                    ToScripts::AreYouThere(number) => self.link.alive(number),
                    ToScripts::Stop => {
                        self.end_runs().await;
                        self.link.farewell(&FromScripts::Stopped).await;
                        return Ok(());
                    }
                }
            }
            self.state.timeouts();
            for (key, sample) in self.state.samples.drain(..) {
                self.link.sample(key, sample);
            }
            let state = &self.state;
            self.link.answer(|number| FromScripts::Snapshot(number, state.status()));
        }
    }

    /// Ends what runs, the hard way what does not end by itself.
    async fn end_runs(&mut self) {
        for push in [Push::Terminate, Push::Kill] {
            for run in self.state.runs.values() {
                // A full queue holds a SIGKILL already.
                run.try_send(push).ok();
            }
            let all_ended = async {
                while !self.state.runs.is_empty() {
                    let Some((run, ..)) = self.ended.recv().await else { return };
                    self.state.runs.remove(&run);
                }
            };
            if tokio::time::timeout(LAST_MOMENT, all_ended).await.is_ok() {
                return;
            }
        }
    }
}

impl State {
    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Time until something is due.
    fn wait(&self) -> Option<Duration> {
        self.scripts.next_timeout().map(|due| due.saturating_duration_since(self.now()))
    }

    fn held(&mut self, samples: Vec<(TrackerKey, Sample)>) {
        for (key, sample) in samples {
            if key.kind == TrackerKind::Script {
                self.script_event(Event::Held(key, sample));
            }
        }
    }

    fn plan(&mut self, plan: ScriptsPlan) {
        self.script_event(Event::Plan(plan.scripts, plan.unrunnable));
    }

    /// Scripts, FIFOs and mail that are to hear of it belong here.
    fn news(&mut self, _news: News) {
        self.news += 1;
    }

    fn ended(&mut self, run: RunId, ending: Ending, output: String) {
        self.runs.remove(&run);
        self.script_event(Event::Ended { run, ending, output });
    }

    fn timeouts(&mut self) {
        let now = self.now();
        if self.scripts.next_timeout().is_some_and(|due| due <= now) {
            let mut actions = Vec::new();
            self.scripts.handle_timeout(now, &mut actions);
            self.perform(actions);
        }
    }

    fn script_event(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.scripts.handle(event, self.now(), &mut actions);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(run, command) => self.begin(run, command),
                Action::Terminate(run) => self.push(run, Push::Terminate),
                Action::Kill(run) => self.push(run, Push::Kill),
                Action::Sample(key, sample) => self.samples.push((key, sample)),
                Action::Log(level, line) => log(level, &line),
            }
        }
    }

    fn begin(&mut self, run: RunId, command: Arc<CommandPlan>) {
        let (pushes, orders) = mpsc::channel(PUSHES);
        self.runs.insert(run, pushes);
        let on_ended = self.on_ended.clone();
        tokio::spawn(async move {
            let (ending, output) = runner::run(&command, orders).await;
            // Closed only when the role ends.
            on_ended.send((run, ending, output)).await.ok();
        });
    }

    fn push(&self, run: RunId, push: Push) {
        if let Some(pushes) = self.runs.get(&run) {
            // A full queue holds a SIGKILL already.
            pushes.try_send(push).ok();
        }
    }

    fn status(&self) -> ScriptsStatus {
        let mut status = report::scripts::snapshot(&self.scripts, self.now());
        status.counters.insert("news".to_owned(), self.news);
        status
    }
}

fn log(level: LogLevel, line: &str) {
    match level {
        LogLevel::Info => info!("{line}"),
        LogLevel::Warning => warn!("{line}"),
        LogLevel::Error => error!("{line}"),
    }
}
