//! The checker role: performs what the cores `check` and `lvs` decide.
//!
//! Conversations over plain TCP share one set of sockets (`probe_io::streams`), others are tasks of a current-thread
//! runtime; the kernel's table belongs to a thread of its own
//! (`ipvs_worker`), programs to the scripts role (`programs`). The end of the link means *retain*: the process ends and the table stays as it is.

mod converse;
mod look;
mod memory;
mod outbox;
mod programs;
mod traffic;
mod verdicts;

use super::held_addresses::HeldAddresses;
use super::ipvs_worker::{IpvsWorker, Opener, Report, open_kernel};
use super::logging::together;
use super::probe_io::streams::Streams;
use super::scheduling::Scheduling;
use super::{EXIT_STOPPED, probe_io};
use crate::check::held::HeldVerdict;
use crate::check::probe::words;
use crate::check::{self, Action, CheckId, Checks};
use crate::link::frame::{Decoder, FrameError};
use crate::link::{FromChecker, ToChecker};
use crate::lvs::director::Director;
use crate::lvs::notify;
use crate::netlink::NetlinkError;
use crate::plan::lvs::{LvsPlan, ServiceKey, VirtualServer};
use crate::report::{self, CheckerStatus, ServerFilter};
use crate::sys::clock::monotonic_now;
use crate::sys::process::{release_free_memory, return_large_blocks, share_one_arena};
use crate::time::Instant;
use converse::Finished;
use look::Looks;
use outbox::Outbox;
use programs::Programs;
use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{error, info, warn};
use traffic::fitting;
use verdicts::{Unsettled, say};

/// How long the last words ("stopped") may take to leave.
const FAREWELL: Duration = Duration::from_millis(500);

/// Reports of the table thread that may wait; it waits itself when there are more.
const REPORTS: usize = 16;

/// Ends of conversations that are looked at before the link is heard again.
const ENDS_AT_ONCE: usize = 1000;

/// Octets read from the link at once; plans are large.
const LINK_READ: usize = 64 << 10;

/// The role on the kernel's table; ends with the link or at `Stop`.
pub fn run(link: UnixStream) -> ExitCode {
    share_one_arena();
    run_with(link, Box::new(open_kernel))
}

/// The role on a table that `opener` opens (the kernel's, or a stand-in); ends with the link or at `Stop`.
pub fn run_with(link: UnixStream, opener: Opener) -> ExitCode {
    return_large_blocks();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return fail(&format!("no runtime: {why}")),
    };
    // As a task of its own: what wakes it from this thread then costs no system call, which a root future's waker does.
    let life = async {
        let role = Role::start(link, opener)?;
        let ended = tokio::spawn(role.live()).await;
        ended.map_err(|error| RoleError::Io("the role's task", io::Error::other(error)))?
    };
    match runtime.block_on(life) {
        Ok(()) => ExitCode::from(EXIT_STOPPED),
        Err(why) => fail(&why.to_string()),
    }
}

fn fail(why: &str) -> ExitCode {
    error!("checker role ends: {why}; the kernel's IPVS table stays as it is");
    ExitCode::FAILURE
}

/// The next change of this node's addresses; never, where nobody watches.
async fn changed(addresses: &mut Option<HeldAddresses>) -> Result<BTreeSet<IpAddr>, NetlinkError> {
    match addresses {
        Some(watched) => watched.changed().await.map(|()| watched.addresses()),
        None => std::future::pending().await,
    }
}

/// Why the role ends before it was told to.
#[derive(Debug, thiserror::Error)]
enum RoleError {
    #[error("link: {0}")]
    Frame(#[from] FrameError),
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
}

/// What ended the wait.
enum Happened {
    Read(io::Result<usize>),
    Writable,
    Finished(Finished),
    Told(Report),
    Addresses(Result<BTreeSet<IpAddr>, NetlinkError>),
    /// A conversation goes on, or something is due.
    Streams(io::Result<()>),
}

/// The sources of events. Apart from [`State`], so that waiting for them borrows nothing else.
struct Role {
    reader: OwnedReadHalf,
    finished: mpsc::Receiver<Finished>,
    reports: mpsc::Receiver<Report>,
    /// Watched from the first plan on that has a use for it.
    addresses: Option<HeldAddresses>,
    decoder: Decoder,
    /// What was read last.
    buffer: Vec<u8>,
    link_ended: bool,
    state: State,
}

struct State {
    /// When it began.
    began: Instant,
    now: Instant,
    /// Its own number; asking for it is a system call.
    process: u32,
    checks: Checks,
    /// From the first plan on, once the kernel's table is known.
    director: Option<Director>,
    /// Verdicts of the process before this one, if there was one, until the first plan.
    remembered: Option<Vec<HeldVerdict>>,
    /// A plan that waits for that.
    first_plan: Option<LvsPlan>,
    worker: IpvsWorker,
    unsettled: Unsettled,
    /// Checks whose belief the supervisor does not hold yet.
    unheld: BTreeSet<CheckId>,
    trouble: Option<String>,
    /// The addresses of this node; `None` while nobody asks, or they are not known: then all checks run.
    held: Option<BTreeSet<IpAddr>>,
    /// They cannot be had, which was said.
    unwatchable: bool,
    streams: Streams,
    /// Conversations that are tasks.
    conversations: HashMap<CheckId, AbortHandle>,
    on_finished: mpsc::Sender<Finished>,
    programs: Programs,
    desk: traffic::Desk,
    looks: Looks,
    outbox: Outbox,
    scheduling: Scheduling,
    stopping: bool,
    /// What to say last; the role ends when it is set.
    farewell: Option<FromChecker>,
}

impl Role {
    fn start(link: UnixStream, opener: Opener) -> Result<Role, RoleError> {
        let link_error = |error| RoleError::Io("link", error);
        link.set_nonblocking(true).map_err(link_error)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(link).map_err(link_error)?.into_split();
        let limit = probe_io::most_conversations();
        let (on_finished, finished) = mpsc::channel(limit);
        let (on_report, reports) = mpsc::channel(REPORTS);
        let worker =
            IpvsWorker::start(opener, on_report).map_err(|error| RoleError::Io("no thread", error))?;
        let began = monotonic_now();
        let streams = Streams::new().map_err(|error| RoleError::Io("no set of sockets", error))?;
        let state = State {
            began,
            now: began,
            process: std::process::id(),
            checks: Checks::new(limit),
            director: None,
            remembered: None,
            first_plan: None,
            worker,
            unsettled: Unsettled::default(),
            unheld: BTreeSet::new(),
            trouble: None,
            held: None,
            unwatchable: false,
            streams,
            conversations: HashMap::new(),
            on_finished,
            programs: Programs::new(random()),
            desk: traffic::Desk::default(),
            looks: Looks::default(),
            outbox: Outbox::new(writer),
            scheduling: Scheduling::new(super::Role::Checker.ident(), false),
            stopping: false,
            farewell: None,
        };
        Ok(Role {
            reader,
            finished,
            reports,
            addresses: None,
            decoder: Decoder::default(),
            buffer: vec![0; LINK_READ],
            link_ended: false,
            state,
        })
    }

    async fn live(mut self) -> Result<(), RoleError> {
        let timer_error = |error| RoleError::Io("timer", error);
        while self.state.farewell.is_none() {
            let state = &mut self.state;
            state.streams.wake_at(state.due()).map_err(timer_error)?;
            let happened = tokio::select! {
                read = self.reader.read(&mut self.buffer), if !self.link_ended => Happened::Read(read),
                _ = state.outbox.writer.writable(), if state.outbox.waits() => Happened::Writable,
                Some(finished) = self.finished.recv() => Happened::Finished(finished),
                Some(report) = self.reports.recv() => Happened::Told(report),
                change = changed(&mut self.addresses) => Happened::Addresses(change),
                ready = state.streams.ready() => Happened::Streams(ready),
            };
            if !together(|| self.turn(happened))? {
                return Ok(());
            }
        }
        self.state.leave().await;
        Ok(())
    }

    /// Performs what follows from `happened`; false if the role ends at once.
    fn turn(&mut self, happened: Happened) -> Result<bool, RoleError> {
        let state = &mut self.state;
        state.look_at_the_clock();
        match happened {
            // An order given before still counts.
            Happened::Read(Ok(0) | Err(_)) if state.stopping => self.link_ended = true,
            Happened::Read(Ok(0) | Err(_)) => {
                info!("the supervisor is gone: checks end, the kernel's IPVS table stays as it is");
                return Ok(false);
            }
            Happened::Read(Ok(count)) => {
                self.decoder.push(&self.buffer[..count]); // read() counts within the buffer
                while let Some(message) = self.decoder.message()? {
                    state.hear(message);
                }
            }
            Happened::Writable => state.outbox.flush(),
            Happened::Finished(finished) => {
                state.finished(finished);
                // What ended meanwhile, too: a turn of this loop costs more than they do.
                for _ in 0..ENDS_AT_ONCE {
                    let Ok(another) = self.finished.try_recv() else { break };
                    state.finished(another);
                }
            }
            Happened::Told(report) => state.told(report),
            Happened::Addresses(Ok(addresses)) => state.hold(addresses),
            Happened::Addresses(Err(error)) => {
                warn!("{error}; the checks of ha_suspend run all the time");
                (self.addresses, state.held, state.unwatchable) = (None, None, true);
                state.ask();
            }
            Happened::Streams(ready) => {
                let turned = ready.and_then(|()| state.streams.turn(state.now));
                turned.map_err(|error| RoleError::Io("conversations", error))?;
                // Before others begin: their verdicts wait for nothing.
                state.hear_ends();
                state.settle();
            }
        }
        if self.addresses.is_none() && state.must_watch() {
            self.addresses = state.watch();
        }
        state.run_due_checks();
        state.hear_ends();
        state.move_traffic_on();
        state.settle();
        state.answer_late_orders();
        state.answer();
        Ok(true)
    }
}

impl State {
    /// When the wait ended: the clock is read once a turn.
    fn now(&self) -> Instant {
        self.now
    }

    fn look_at_the_clock(&mut self) {
        self.now = monotonic_now();
    }

    /// When a check is due, somebody who looks has waited long enough, or something said by hand changes.
    fn due(&self) -> Option<Instant> {
        if self.stopping {
            return None;
        }
        let due = self.checks.next_timeout().into_iter().chain(self.looks.deadline());
        let due = due.chain(self.director.as_ref().and_then(Director::next_timeout));
        let due = due.chain(self.streams.next_timeout()).chain(self.desk.deadline());
        due.chain(self.traffic_due().map(|span| self.now + span)).min()
    }

    fn hear(&mut self, message: ToChecker) {
        match message {
            ToChecker::AreYouThere(number) => {
                self.scheduling.look();
                self.outbox.alive = Some(number);
            }
            ToChecker::Process(plan) => self.scheduling.adopt(plan),
            ToChecker::Snapshot(number) => self.outbox.snapshots.ask(number),
            ToChecker::Checks(number, filter) => self.looks.list(number, filter),
            ToChecker::CheckNow(number, filter) => self.check_now(number, filter),
            ToChecker::Plan(plan) => self.plan(plan),
            ToChecker::Tracker(key, sample) => self.checks_event(check::Event::Sample(key, sample)),
            ToChecker::Ran(report) => self.programs.ended(report),
            ToChecker::Held(mut all) => {
                all.sort_by_key(|held| held.question);
                self.remembered = Some(all);
            }
            ToChecker::Master(master) => self.worker.master(master),
            ToChecker::Overrides(overrides) => self.desk.hold(overrides),
            ToChecker::Traffic(number, order) => self.order(number, &order),
            ToChecker::Stop { release } => self.stop(release),
        }
    }

    fn plan(&mut self, plan: LvsPlan) {
        if self.stopping {
            return;
        }
        self.tell_of_what_leaves(&plan);
        match &mut self.director {
            None => {
                // A second plan may come before the table is known: the first one asked for the dump.
                if self.first_plan.is_none() {
                    // What the process before this one left is adopted.
                    self.worker.begin(plan.flush_at_start && self.remembered.is_none());
                }
                self.first_plan = Some(plan);
            }
            Some(director) => {
                let (fitted, mut events) = (fitting(director), Vec::new());
                let renamed = director.reload(plan, &mut events);
                let first = director.take_first_news();
                self.follow(renamed, &fitted);
                self.plan_in_force(events);
                self.first_news(first);
                self.hold_all();
            }
        }
    }

    /// Before `plan` comes: who is told is as the plan in force says.
    fn tell_of_what_leaves(&mut self, plan: &LvsPlan) {
        let Some(director) = &self.director else { return };
        let leaving = director.leaving(plan);
        self.tell(&leaving);
        say(leaving);
    }

    /// The table is known: the first plan begins.
    fn adopt(&mut self, observed: crate::lvs::table::Table) {
        let Some(plan) = self.first_plan.take() else { return };
        let mut events = Vec::new();
        let mut director = Director::start_with(plan, &observed, self.desk.first(), &mut events);
        let remembered = self.remembered.take();
        let mut first = director.take_first_news();
        if let Some(remembered) = &remembered {
            // The process before this one has told of everything.
            (events, first) = (Vec::new(), Vec::new());
            memory::restore(&mut director, remembered);
        }
        director.go_on_growing(&observed, self.now());
        self.director = Some(director);
        self.warn_of_lost(|_| true);
        self.plan_in_force(events);
        self.first_news(first);
        self.restore_checks(&remembered.unwrap_or_default());
    }

    /// Of what is new: told, and in the log where service is hurt.
    fn first_news(&mut self, mut events: Vec<notify::Event>) {
        self.tell(&events);
        events.retain(notify::Event::is_bad);
        say(events);
    }

    fn plan_in_force(&mut self, events: Vec<notify::Event>) {
        self.tell(&events);
        say(events);
        let changes = self.changes();
        let Some(director) = &self.director else { return };
        self.worker.plan(director.plan().generation, &director.plan().kernel, changes);
        let plan = director.plan();
        // Put together only if there is something to forget.
        let servers = LazyCell::new(|| -> HashSet<(ServiceKey, SocketAddr)> {
            let services = plan.virtual_servers.iter();
            services
                .flat_map(|server| server.keys.first().map(|key| (*key, &server.real_servers)))
                .flat_map(|(key, servers)| servers.iter().map(move |server| (key, server.endpoint)))
                .collect()
        });
        self.desk.forget(|service, endpoint| servers.contains(&(*service, *endpoint)));
        self.ask();
    }

    /// Asks the questions of the plan in force, except where `ha_suspend` says to rest.
    fn ask(&mut self) {
        let Some(director) = &self.director else { return };
        let rests = |server: &VirtualServer| self.held.as_ref().is_some_and(|held| server.is_suspended(held));
        let questions = check::questions_of(director.plan(), |server| !rests(server));
        let event = check::Event::Plan { questions, random: random() };
        self.checks_event(event);
        let checks = &self.checks;
        self.looks.forget(|id| checks.is_there(id));
    }

    /// Does the plan in force ask for the addresses of this node, and has nobody tried to get them?
    fn must_watch(&self) -> bool {
        let asks =
            |director: &Director| director.plan().virtual_servers.iter().any(|server| server.ha_suspend);
        !self.stopping && self.held.is_none() && !self.unwatchable && self.director.as_ref().is_some_and(asks)
    }

    fn watch(&mut self) -> Option<HeldAddresses> {
        match HeldAddresses::open() {
            Ok(addresses) => {
                self.hold(addresses.addresses());
                Some(addresses)
            }
            Err(error) => {
                warn!("{error}; the checks of ha_suspend run all the time");
                self.unwatchable = true;
                None
            }
        }
    }

    /// This node has these addresses now.
    fn hold(&mut self, addresses: BTreeSet<IpAddr>) {
        let before = self.held.replace(addresses);
        let (Some(director), Some(held), false) = (&self.director, &self.held, self.stopping) else { return };
        let mut changed = false;
        for server in director.plan().virtual_servers.iter().filter(|server| server.ha_suspend) {
            let rested = before.as_ref().is_some_and(|before| server.is_suspended(before));
            match (rested, server.is_suspended(held)) {
                (false, true) => info!("{}: its address is not on this node, its checks rest", server.name),
                (true, false) => info!("{}: its address is on this node, its checks run", server.name),
                _ => continue,
            }
            changed = true;
        }
        if changed {
            self.ask();
        }
    }

    fn check_now(&mut self, number: u64, filter: ServerFilter) {
        let (nothing, now) = (Director::default(), self.now());
        let director = self.director.as_ref().unwrap_or(&nothing);
        let hurried = self.looks.check_now(number, filter, director, &self.checks, now);
        self.checks_event(check::Event::Hurry(hurried));
    }

    fn checks_event(&mut self, event: check::Event) {
        let mut actions = Vec::new();
        self.checks.handle(event, self.now(), &mut actions);
        self.perform(actions);
    }

    fn run_due_checks(&mut self) {
        let now = self.now();
        if self.stopping {
            return;
        }
        self.grow(now);
        if self.checks.next_timeout().is_some_and(|due| due <= now) {
            let mut actions = Vec::new();
            self.checks.handle_timeout(now, &mut actions);
            self.perform(actions);
        }
    }

    /// Weights that grow (`slow_start`) take their next step.
    fn grow(&mut self, now: Instant) {
        let Some(director) = &mut self.director else { return };
        director.advance(now);
        self.settle();
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { check, question, part, mark } => self.converse(check, question, part, mark),
                Action::Cancel(check) => self.cancel(check),
                Action::Verdict(question, verdict) => {
                    self.remember(&question);
                    self.verdict(&question, verdict);
                }
                Action::Weight(question, change) => {
                    self.remember(&question);
                    self.weigh(&question, change);
                }
                Action::Tolerated(question, cause) => warn!("{question} failed, tolerated so far: {cause}"),
                Action::NotRun(question, why) => {
                    warn!("{question} cannot be made: {why}; its servers keep their state until it can");
                }
                Action::Late { count, worst } => warn!(
                    "{count} checks started late, the worst by {}: this machine is overloaded or has too many checks",
                    words(worst)
                ),
            }
        }
        self.streams.settle();
    }

    fn told(&mut self, report: Report) {
        match report {
            Report::Observed(table) if !self.stopping => self.adopt(table),
            Report::Observed(_) => {}
            Report::Settled(generation) => self.outbox.applied = Some(generation),
            Report::Tried(number) => self.order_tried(number),
            Report::Trouble(trouble) => self.trouble = trouble,
            Report::Released => self.farewell = Some(FromChecker::Stopped),
        }
    }

    /// Answers what the supervisor has asked, and says all else that there is to say, as long as it reads.
    fn answer(&mut self) {
        while self.outbox.takes_more()
            && let Some(message) = self.next_message()
        {
            self.outbox.put(&message);
            if !self.outbox.takes_more() {
                self.outbox.flush();
            }
        }
        self.outbox.flush();
    }

    fn next_message(&mut self) -> Option<FromChecker> {
        if let Some(number) = self.outbox.alive.take() {
            return Some(FromChecker::Alive(number));
        }
        if let Some(order) = self.programs.next_order() {
            return Some(FromChecker::Run(order));
        }
        if let Some(answer) = self.desk.answers.pop_front() {
            return Some(answer);
        }
        if let Some(verdicts) = self.next_unheld() {
            return Some(verdicts);
        }
        if let Some(news) = self.outbox.news.pop_front() {
            return Some(FromChecker::News(news));
        }
        if let Some(generation) = self.outbox.applied.take() {
            release_free_memory();
            return Some(FromChecker::Applied(generation));
        }
        if let Some(number) = self.outbox.snapshots.next() {
            return Some(FromChecker::Snapshot(number, self.status()));
        }
        self.look()
    }

    fn status(&self) -> CheckerStatus {
        let nothing = Director::default();
        let director = self.director.as_ref().unwrap_or(&nothing);
        let since = |service: &ServiceKey, endpoint: &SocketAddr| self.desk.since(service, endpoint);
        let (now, began) = (self.now(), self.began);
        let clocks = report::check::Clocks { wall: traffic::wall(), now, began, since: &since };
        let output = |id| self.looks.output(id);
        CheckerStatus {
            table_latency: self.worker.latency(),
            table: super::namespace::table(),
            ..report::check::snapshot(director, &self.checks, self.trouble.clone(), &output, &clocks)
        }
    }

    /// The next answer to those who look.
    fn look(&mut self) -> Option<FromChecker> {
        let (nothing, now) = (Director::default(), self.now());
        let director = self.director.as_ref().unwrap_or(&nothing);
        self.looks.answer(director, &self.checks, now)
    }

    fn stop(&mut self, release: bool) {
        self.stopping = true;
        if release && let Some(last) = self.director.as_ref().map(Director::last_news) {
            self.tell(&last);
        }
        self.drop_conversations();
        if release {
            self.worker.release();
        } else {
            self.farewell = Some(FromChecker::Stopped);
        }
    }

    async fn leave(mut self) {
        // The last news go before the farewell.
        while let Some(news) = self.outbox.news.pop_front() {
            self.outbox.send(&FromChecker::News(news));
        }
        if let Some(farewell) = self.farewell.take() {
            self.outbox.send(&farewell);
        }
        let send_all = async {
            while self.outbox.waits() && self.outbox.writer.writable().await.is_ok() {
                self.outbox.flush();
            }
        };
        if tokio::time::timeout(FAREWELL, send_all).await.is_err() {
            warn!("the supervisor did not read the end of the checker role");
        }
    }
}

/// A random number: std seeds its hashers from the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
