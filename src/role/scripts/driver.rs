//! The loop: orders in, samples out, and between them the cores.

use super::checks::CheckRuns;
use super::claims::Claims;
use super::files::Files;
use super::link::{LinkError, ScriptsLink};
use super::notify::NotifyDriver;
use super::processes::Watch;
use super::runner::{self, Push};
use crate::link::{FromScripts, ToScripts};
use crate::plan::scripts::{CommandPlan, ScriptsPlan};
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use crate::report::{self, ScriptsStatus};
use crate::time::Instant;
use crate::track::LogLevel;
use crate::track::process;
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
    link: ScriptsLink,
    ended: mpsc::Receiver<Ended>,
    files: Files,
    processes: Watch,
    claims: Claims,
    /// News of processes wait.
    more: bool,
    checks: CheckRuns,
    state: State,
}

struct State {
    origin: std::time::Instant,
    scripts: Scripts,
    runs: BTreeMap<RunId, mpsc::Sender<Push>>,
    on_ended: mpsc::Sender<Ended>,
    /// What is to be told to the supervisor.
    samples: Vec<(TrackerKey, Option<Sample>)>,
    notify: NotifyDriver,
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
            notify: NotifyDriver::default(),
        };
        let (files, processes) = (Files::default(), Watch::default());
        let (link, claims) = (ScriptsLink::new(link)?, Claims::default());
        let checks = CheckRuns::default();
        Ok(Driver { link, ended, files, processes, claims, checks, more: false, state })
    }

    /// Until the supervisor says stop or is gone.
    pub async fn live(mut self) -> Result<(), LinkError> {
        loop {
            let wait = self.wait();
            tokio::select! {
                open = self.link.turn() => if !open? {
                    info!("the supervisor is gone: no script is run any more");
                    self.end().await;
                    return Ok(());
                },
                Some((run, ending, output)) = self.ended.recv() => self.state.ended(run, ending, output),
                () = self.state.notify.turn() => {}
                () = self.claims.turn() => {}
                report = self.checks.turn() => self.link.ran(report),
                ready = self.files.wait() => {
                    ready?;
                    self.files.take(self.state.now(), &mut self.state.samples);
                }
                ready = self.processes.wait(), if !self.more => {
                    ready?;
                    self.more = true;
                }
                () = tokio::task::yield_now(), if self.more => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            while let Some(order) = self.link.order() {
                match order {
                    ToScripts::Held(samples) => self.state.held(samples),
                    ToScripts::Plan(plan) => {
                        let generation = plan.generation;
                        self.plan(plan);
                        self.link.applied(generation);
                    }
                    ToScripts::Run(order) => self.checks.order(order),
                    ToScripts::News(news) => self.state.notify.news(&news),
                    ToScripts::Claim(order) => self.claims.claim(order),
                    ToScripts::Unclaim(claim) => self.claims.unclaim(claim),
                    ToScripts::Snapshot(number) => self.link.want_snapshot(number),
                    ToScripts::AreYouThere(number) => self.link.alive(number),
                    ToScripts::Stop => {
                        self.end().await;
                        self.link.farewell(&FromScripts::Stopped).await;
                        return Ok(());
                    }
                }
            }
            self.watch_processes();
            self.state.timeouts();
            for (key, sample) in std::mem::take(&mut self.state.samples) {
                let words = self.words(&key, sample);
                self.link.sample(key, sample, words);
            }
            let Driver { link, files, processes, claims, state, .. } = &mut self;
            claims.answers().for_each(|claimed| link.claimed(claimed));
            link.answer(|number| FromScripts::Snapshot(number, state.status(files, processes, claims)));
        }
    }

    /// Ends tracked scripts, and lets notifications come to an end.
    async fn end(&mut self) {
        let notify = std::mem::take(&mut self.state.notify);
        let claims = std::mem::take(&mut self.claims);
        let mut checks = std::mem::take(&mut self.checks);
        tokio::join!(self.end_runs(), checks.end(LAST_MOMENT), notify.stop(), claims.stop());
    }

    /// Why a script or process fails; empty when it does not.
    fn words(&self, key: &TrackerKey, sample: Option<Sample>) -> Option<String> {
        let fails = sample? == Sample::Down;
        let words = match key.kind {
            TrackerKind::Script => {
                let script =
                    self.state.scripts.scripts().iter().find(|script| script.plan.name == key.name)?;
                script.last_result.clone()
            }
            TrackerKind::Process => {
                let watched = self.processes.core().processes();
                Some(watched.iter().find(|process| process.plan.name == key.name)?.words())
            }
            TrackerKind::File | TrackerKind::Bfd => return None,
        };
        Some(words.filter(|_| fails).unwrap_or_default())
    }

    /// Time until something is due.
    fn wait(&self) -> Option<Duration> {
        let due = [self.state.scripts.next_timeout(), self.processes.core().next_timeout()];
        due.into_iter().flatten().min().map(|due| due.saturating_duration_since(self.state.now()))
    }

    fn plan(&mut self, plan: ScriptsPlan) {
        self.claims.plan(&plan.notify);
        self.state.notify.plan(*plan.notify);
        let now = self.state.now();
        self.files.plan(plan.files, now, &mut self.state.samples);
        let mut actions = Vec::new();
        self.processes.plan(plan.processes, now, &mut actions);
        self.state.perform_process(actions);
        self.state.script_event(Event::Plan(plan.scripts, plan.unrunnable));
    }

    fn watch_processes(&mut self) {
        let (now, mut actions) = (self.state.now(), Vec::new());
        if std::mem::take(&mut self.more) {
            self.more = !self.processes.take(now, &mut actions);
        }
        self.processes.timeout(now, &mut actions);
        self.state.perform_process(actions);
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

    fn held(&mut self, samples: Vec<(TrackerKey, Sample)>) {
        for (key, sample) in samples {
            if key.kind == TrackerKind::Script {
                self.script_event(Event::Held(key, sample));
            }
        }
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

    fn perform_process(&mut self, actions: Vec<process::Action>) {
        for action in actions {
            match action {
                process::Action::Sample(key, sample) => self.samples.push((key, sample)),
                process::Action::Log(level, line) => log(level, &line),
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

    fn status(&self, files: &Files, processes: &Watch, claims: &Claims) -> ScriptsStatus {
        let now = self.now();
        let mut status = report::scripts::snapshot(&self.scripts, processes.core(), now);
        status.trackers.extend(files.status(now));
        let counters = self.notify.counters().into_iter().chain(claims.counters());
        status.counters.extend(counters.map(|(name, count)| (name.to_owned(), count)));
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
