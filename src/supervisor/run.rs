//! The supervisor's one loop and its state. Every wait is a deadline in the state; nothing here blocks.

use super::ask_checker::Asks as CheckerAsks;
use super::ask_servers::ServersRound;
use super::child::{ChildEvent, ChildEvents};
use super::control::Asked;
use super::dump::{Dump, Dumps};
use super::memory::Memory;
use super::orders;
use super::relay::{Samples, trackers};
use super::reload::{QueuedReload, Reload};
use super::settings::Settings;
use super::slot::{Gone, Slot};
use super::status::{Recent, StatusRound};
use super::traffic::Traffic;
use super::upgrade::Successor;
use super::worker::{Report, START_ORDER, STOP_ORDER, WORKERS, Worker};
use crate::check::held::HeldVerdict;
use crate::link::News;
use crate::link::control::{Answer, Request};
use crate::link::kept::CompileAnswer;
use crate::link::kept::KeptPlans;
use crate::plan::Generation;
use crate::plan::process::{LifeScript, ReloadTime};
use crate::plan::track::TrackerKey;
use crate::sys::process::release_free_memory;
use crate::vrrp::Maintenance;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Events that may wait for the loop; a sender then waits, and with it the role or client behind it.
const EVENTS: usize = 256;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1, SIGUSR2, STATS_CLEAR, JSON.
    Dump(Dump),
}

/// The running daemon.
pub struct Supervisor {
    pub(super) settings: Settings,
    pub(super) plans: KeptPlans,
    /// Errors in the configuration in force that keepalived tolerates, and so do we.
    pub(super) errors: usize,
    pub(super) generation: Generation,
    pub(super) slots: [Slot; WORKERS],
    /// What the configuration in force tracks.
    pub(super) tracked: BTreeSet<TrackerKey>,
    pub(super) samples: Samples,
    /// Why they are as they are, where there is something to say.
    pub(super) words: BTreeMap<TrackerKey, String>,
    /// News for a scripts role that is to come.
    pub(super) late_news: VecDeque<News>,
    /// What checks believe, for the checker role that follows one that died.
    pub(super) verdicts: Option<BTreeMap<u64, HeldVerdict>>,
    /// The virtual routers that are master, by name.
    pub(super) masters: BTreeSet<String>,
    /// What the operator has put into maintenance.
    pub(super) maintenance: Maintenance,
    /// What this process is to become.
    pub(super) successor: Option<Successor>,
    /// What it knew when it was told to leave everything to who follows.
    pub(super) left: Option<Memory>,
    pub(super) reload: Option<Reload>,
    pub(super) queued_reload: Option<QueuedReload>,
    pub(super) refused_reload: Option<String>,
    pub(super) status: StatusRound,
    pub(super) checker_asks: CheckerAsks,
    pub(super) servers: ServersRound,
    pub(super) dumps: Dumps,
    pub(super) traffic: Traffic,
    pub(super) recent: VecDeque<Recent>,
    pub(super) started: Instant,
    pub(super) compiled: mpsc::Sender<Result<CompileAnswer, String>>,
    pub(super) appointments: watch::Sender<Option<ReloadTime>>,
    events: ChildEvents,
    incarnations: u64,
    beats: u64,
    pub(super) stopping: Option<u8>,
}

/// The configuration that the daemon starts with.
pub struct Configuration {
    /// What to do.
    pub plans: KeptPlans,
    /// Which configuration it is.
    pub generation: Generation,
    /// How many errors it has in spite of that.
    pub errors: usize,
}

/// How the loop ended.
pub struct Ended {
    /// Exit status.
    pub status: u8,
    /// The script that is to run last.
    pub shutdown: Option<LifeScript>,
    /// What the process is to become instead of ending.
    pub successor: Option<Successor>,
    /// Addresses were left for a daemon that follows.
    pub kept: bool,
}

/// The receiving ends of the loop.
pub struct Inputs {
    /// From the operating system.
    pub signals: mpsc::Receiver<Asks>,
    /// From `holdfastctl`.
    pub requests: mpsc::Receiver<Asked>,
    /// Who watches `reload_time_file` hears here what a reload made of it.
    pub appointments: watch::Sender<Option<ReloadTime>>,
}

/// Runs the daemon with its first configuration until it is stopped, or is to become another image of itself.
pub async fn run(settings: Settings, first: Configuration, inputs: Inputs) -> Ended {
    let Inputs { mut signals, mut requests, appointments } = inputs;
    let (events, mut happened) = mpsc::channel(EVENTS);
    let (compiled, mut answers) = mpsc::channel(1);
    let mut beat = interval(settings.limits.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let memory = Memory::take(&settings.memory_file());
    let mut supervisor = Supervisor::new(settings, first, events, compiled, appointments);
    supervisor.recall(memory);
    supervisor.start_wanted();
    while !supervisor.is_over() {
        let wake = supervisor.next_deadline();
        // What was said is heard before silence is believed.
        tokio::select! {
            biased;
            Some(asks) = signals.recv() => supervisor.on_signal(asks),
            Some((worker, incarnation, event)) = happened.recv() => {
                supervisor.on_child(worker, incarnation, event);
                // What was said meanwhile, too: a turn of this loop costs more than most of it.
                for _ in 0..EVENTS {
                    let Ok((worker, incarnation, event)) = happened.try_recv() else { break };
                    supervisor.on_child(worker, incarnation, event);
                }
            }
            Some(answer) = answers.recv() => supervisor.on_compiled(answer),
            Some((request, reply)) = requests.recv() => supervisor.on_request(request, reply),
            _ = beat.tick() => supervisor.on_beat(),
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
        }
        supervisor.on_time(Instant::now());
    }
    let Supervisor { stopping, successor, settings, mut plans, left, .. } = supervisor;
    if let Some(memory) = left {
        memory.leave(&settings.memory_file());
    }
    let shutdown = plans.global.daemon.shutdown.take();
    Ended { status: stopping.unwrap_or_default(), shutdown, successor, kept: !settings.release_vrrp }
}

impl Supervisor {
    fn new(
        settings: Settings,
        first: Configuration,
        events: ChildEvents,
        compiled: mpsc::Sender<Result<CompileAnswer, String>>,
        appointments: watch::Sender<Option<ReloadTime>>,
    ) -> Supervisor {
        let Configuration { plans, generation, errors } = first;
        let maintenance = orders::load(&settings.maintenance_file());
        Supervisor {
            traffic: Traffic::from_file(settings.overrides_file.clone()),
            settings,
            generation,
            tracked: trackers(&plans.scripts, &plans.bfd),
            samples: Samples::new(),
            words: BTreeMap::new(),
            late_news: VecDeque::new(),
            verdicts: None,
            masters: BTreeSet::new(),
            plans,
            errors,
            appointments,
            slots: START_ORDER.map(Slot::new),
            maintenance,
            successor: None,
            left: None,
            reload: None,
            queued_reload: None,
            refused_reload: None,
            status: StatusRound::default(),
            checker_asks: CheckerAsks::default(),
            servers: ServersRound::default(),
            dumps: Dumps::default(),
            recent: VecDeque::new(),
            started: Instant::now(),
            compiled,
            events,
            incarnations: 0,
            beats: 0,
            stopping: None,
        }
    }

    fn slot(&mut self, worker: Worker) -> &mut Slot {
        &mut self.slots[worker.index()]
    }

    /// Does the configuration in force want the role to run?
    fn wants(&self, worker: Worker) -> bool {
        self.settings.allows(worker)
            && self.stopping.is_none()
            && (self.settings.run_all || worker.has_work(&self.plans))
    }

    /// Starts the roles that have work and do not run, stops those that have none any more.
    pub(super) fn start_wanted(&mut self) {
        for worker in START_ORDER {
            let wanted = self.wants(worker);
            let Supervisor { settings, slots, .. } = self;
            let slot = &mut slots[worker.index()];
            slot.wanted = wanted;
            match (wanted, slot.child.is_some()) {
                (true, false) if slot.restart_at.is_none() => self.start(worker),
                (false, true) if worker == Worker::Scripts => {} // see dismiss_scripts()
                (false, true) => slot.dismiss(&settings.limits),
                (false, false) => slot.restart_at = None,
                (true, _) => {}
            }
        }
        if !self.slots[Worker::Scripts.index()].wanted {
            self.late_news.clear();
        }
    }

    fn start(&mut self, worker: Worker) {
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let before = self.before_plan(worker);
        let Supervisor { settings, plans, events, slots, .. } = self;
        let slot = &mut slots[worker.index()];
        slot.start(settings, plans, before, incarnation, events);
        if slot.releasing {
            slot.stop(true, &settings.limits);
        }
        slot.unheard = worker == Worker::Checker;
        if worker == Worker::Scripts {
            self.tell_late_news();
        }
        self.catch_up();
    }

    fn on_child(&mut self, worker: Worker, incarnation: u64, event: ChildEvent) {
        let Supervisor { settings, slots, stopping, status, servers, dumps, .. } = self;
        let slot = &mut slots[worker.index()];
        let Some(child) = slot.child.as_mut().filter(|child| child.incarnation == incarnation) else {
            return;
        };
        match event {
            ChildEvent::Said(report) => {
                child.unanswered = 0;
                match report {
                    Report::Applied(generation) => {
                        child.generation = Some(generation);
                        // The text of the plans has left by now.
                        release_free_memory();
                    }
                    Report::Snapshot(number, snapshot) => {
                        dumps.collect(number, worker, &snapshot);
                        if let Some(snapshot) = servers.collect(number, worker, snapshot) {
                            status.collect(number, worker, snapshot);
                        }
                    }
                    Report::Transition(transition) => {
                        self.remember(&transition);
                        self.relay_state(&transition);
                        if let Some(news) = News::of_transition(&transition) {
                            self.relay_news(news);
                        }
                    }
                    Report::News(news) => {
                        self.remember_news(&news);
                        self.relay_news(News::of_vrrp(news));
                    }
                    Report::Told(news) => {
                        // What the role said before it is older.
                        self.finish_servers(Instant::now());
                        self.relay_trap(&news);
                        self.relay_news(news);
                    }
                    Report::AskServers => self.ask_servers(incarnation),
                    Report::Tracker(key, sample) => {
                        self.relay_to_checker(&key, sample);
                        self.relay_sample(key, sample);
                    }
                    Report::TrackerWords(key, words) => self.note_words(key, words),
                    Report::Claim(order) => self.relay_claim(order),
                    Report::Unclaim(claim) => self.relay_unclaim(Some(claim)),
                    Report::Claimed(claimed) => self.relay_claimed(claimed),
                    Report::Order(order) => self.relay_order(order),
                    Report::Verdicts(all, list) => self.hold_verdicts(all, list),
                    Report::Ran(report) => self.relay_end(report),
                    Report::Overrides(overrides) => self.keep_overrides(overrides),
                    Report::Traffic(number, result) => self.on_traffic(number, result),
                    Report::Answer(number, answer) => self.checker_asks.answered(number, answer),
                    Report::Landlock(version) => child.landlock = Some(version),
                    Report::Alive => {}
                    // Its exit follows, and is logged.
                    Report::Stopped => {}
                }
            }
            ChildEvent::LinkClosed => slot.on_link_closed(&settings.limits),
            ChildEvent::LinkBroken(reason) => slot.on_link_broken(&reason),
            ChildEvent::Exited(how) => {
                let gone = slot.on_exit(&how, settings, stopping.is_some());
                let unwanted = gone == Gone::Unwanted;
                let respawn = settings.respawn;
                if worker == Worker::Vrrp {
                    self.relay_unclaim(None);
                }
                if worker == Worker::Checker && !unwanted {
                    // It gave its services up: the next one begins anew.
                    self.verdicts = None;
                }
                if unwanted && !respawn {
                    tracing::error!("stopping: roles are not restarted (-R)");
                    self.stop(1, Some(worker));
                }
                if gone == Gone::Owing {
                    self.give_up_for(worker);
                }
            }
        }
    }

    fn on_signal(&mut self, asks: Asks) {
        match asks {
            Asks::Stop => self.stop(0, None),
            Asks::Reload => self.ask_reload(None),
            Asks::Dump(dump) => self.ask_dump(dump),
        }
    }

    fn on_request(&mut self, request: Request, reply: oneshot::Sender<Answer>) {
        match request {
            _ if self.stopping.is_some() => {
                reply.send(Answer::Refused("the daemon is stopping".to_owned())).ok();
            }
            // Whoever asked has hung up meanwhile.
            _ if reply.is_closed() => {}
            Request::Status => self.ask_status(reply),
            Request::Reload => self.ask_reload(Some(reply)),
            Request::Traffic(order) => self.ask_traffic(order, reply),
            Request::Checks(filter) => self.ask_checks(filter, reply),
            Request::CheckNow(filter) => self.ask_check_now(filter, reply),
            Request::Stop { keep } => self.ask_stop(keep, reply),
            Request::Upgrade { binary } => self.ask_upgrade(binary, reply),
            Request::Failover { instances, hold_seconds } => {
                self.ask_failover(instances, hold_seconds, reply);
            }
            Request::Maintenance { instance, upkeep } => self.ask_maintenance(instance, upkeep, reply),
        }
    }

    fn on_beat(&mut self) {
        self.beats += 1;
        for slot in &mut self.slots {
            slot.on_beat(self.beats, &self.plans, &self.settings.limits);
        }
        self.catch_up();
    }

    /// Everything whose time has come, and everything that waited for something that has now happened.
    fn on_time(&mut self, now: Instant) {
        for worker in START_ORDER {
            if self.slot(worker).on_time(now) {
                self.start(worker);
            }
        }
        self.finish_status(now);
        self.expire_checker_asks(now);
        self.finish_servers(now);
        self.finish_dumps(now);
        self.dismiss_scripts();
        self.finish_reload(now);
        self.finish_traffic(now);
        self.advance_stop();
    }

    fn next_deadline(&self) -> Option<Instant> {
        let slots = self.slots.iter().filter_map(Slot::deadline);
        let rounds = self.status.deadline().into_iter().chain(self.dumps.deadline());
        let rounds = rounds.chain(self.checker_asks.deadline()).chain(self.traffic.deadline());
        let rounds = rounds.chain(self.servers.deadline());
        slots.chain(rounds).chain(self.reload.as_ref().and_then(Reload::deadline)).min()
    }

    /// Begins the end. The roles stop one after the other, vrrp first. A role that is down, or has just `fallen`,
    /// held something that no other process would give up.
    pub(super) fn stop(&mut self, status: u8, fallen: Option<Worker>) {
        if self.stopping.is_some() {
            return tracing::info!("already stopping");
        }
        tracing::info!("stopping");
        self.stopping = Some(status);
        self.left = self.left_at_end();
        self.abandon_reload();
        let is_down =
            |slot: &&Slot| slot.worker.holds() && (slot.restart_at.is_some() || Some(slot.worker) == fallen);
        let down: Vec<Worker> = self.slots.iter().filter(is_down).map(|slot| slot.worker).collect();
        let (to_release, to_leave): (Vec<Worker>, Vec<Worker>) =
            down.into_iter().partition(|w| self.settings.release(*w));
        for slot in &mut self.slots {
            slot.wanted = false;
            slot.restart_at = None;
        }
        for worker in to_release {
            self.give_up_for(worker);
        }
        for worker in to_leave {
            tracing::warn!("{} is down and held what it had: {}", worker.role().ident(), worker.leftovers());
        }
    }

    /// A role that is down held something: another process of it gives that up, and does no more.
    fn give_up_for(&mut self, worker: Worker) {
        let ident = worker.role().ident();
        tracing::info!("{ident} is down; it is started once more, to give up what it held");
        self.slot(worker).releasing = true;
        self.start(worker);
        if self.slot(worker).child.is_none() {
            tracing::error!("{ident} cannot give up what it held: {}", worker.leftovers());
        }
    }

    fn advance_stop(&mut self) {
        if self.stopping.is_none() {
            return;
        }
        for worker in STOP_ORDER {
            let Supervisor { settings, slots, .. } = self;
            let slot = &mut slots[worker.index()];
            if slot.child.is_some() {
                return slot.stop(settings.release(worker), &settings.limits);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.successor.is_some()
            || self.stopping.is_some() && self.slots.iter().all(|slot| slot.child.is_none())
    }
}
