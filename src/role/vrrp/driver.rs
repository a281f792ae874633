//! The loop: hear everything that is queued, then let time pass, then perform.

mod leasing;
mod links;
mod survival;
mod tidying;

use super::breath::Breath;
use super::kernel::{self, Done, KernelWorker};
use super::lease::Leases;
use super::leftovers::Leftovers;
use super::linkbeat::Linkbeat;
use super::placing::Placing;
use super::record::Record;
use super::routes::{KernelChange, ROUTING, RoutingWatch};
use super::sockets::{FIRST_SOCKET_TOKEN, SocketKey, Sockets, Speaks, Wanted};
use super::surroundings::{Needs, Surroundings};
use crate::link::{Claimed, FromVrrp, ToVrrp};
use crate::netlink::facts::{InterfaceTable, Next};
use crate::netlink::monitor::Monitor;
use crate::netlink::route::RouteSocket;
use crate::plan::Generation;
use crate::plan::vrrp::{Authentication, RouterPlan, Transport, VrrpPlan};
use crate::report;
use crate::role::Role;
use crate::role::lateness::Lateness;
use crate::role::scheduling::Scheduling;
use crate::role::supervisor_link::{LinkState, SupervisorLink};
use crate::sys::clock::{monotonic_now, unix_nanoseconds, uptime};
use crate::sys::membership::Membership;
use crate::sys::poll::{Interest, Poller, Readiness};
use crate::sys::process;
use crate::sys::timer::Timer;
use crate::time::Instant;
use crate::vrrp::{Action, Command, Core, Event, Frame, LogLevel, Transition};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;
use survival::Orphan;
pub(super) use survival::open_record;

const LINK: u64 = 0;
const MONITOR: u64 = 1;
const KERNEL: u64 = 2;
const TIMER: u64 = 3;
const SURROUNDINGS: u64 = 4;
const LINKBEAT: u64 = 6;

/// A deadline handled later than this is worth a line: the peers' patience is three intervals.
const LATE: Duration = Duration::from_millis(500);

/// A socket that could not be opened, or a dump that failed, is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// After the supervisor is gone: how long the kernel may take to give the addresses back.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);

/// The time of day is told again when it has moved so far from the monotonic clock: well within the seconds that
/// `auth_hmac` allows.
const DAY_DRIFT: Duration = Duration::from_millis(50);

/// Rounds of hearing before time is looked at: a flood must not stop the clock.
const MAX_HEARINGS: usize = 8;

/// The same complaint about sending is repeated no sooner than this.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Everything the vrrp role owns.
pub struct Driver {
    core: Core,
    link: SupervisorLink<ToVrrp>,
    monitor: Monitor,
    /// A dump is under way: announcements wait, so that they are folded after it.
    dumping: bool,
    interfaces: InterfaceTable,
    sockets: Sockets,
    kernel: KernelWorker,
    leftovers: Leftovers,
    leases: Leases,
    surroundings: Surroundings,
    /// Once the plan has an interface to poll.
    linkbeat: Option<Linkbeat>,
    placing: Placing,
    /// A plan whose virtual interfaces are being made.
    waiting_plan: Option<VrrpPlan>,
    /// Told to stop before any plan was in force: what the first one names may be there, left by an earlier process.
    stops_with_plan: bool,
    /// A plan has come into force: what it does not need can go once the last words are sent.
    settle: bool,
    /// Leave everything as it is at the end.
    keep: bool,
    memberships: BTreeMap<(u32, IpAddr), Membership>,
    routing: RoutingWatch,
    timer: Timer,
    /// What the timer is set to, until it fires; it may be earlier than what comes first.
    armed: Option<Instant>,
    /// The moment up to which everything was heard: a deadline after it is not believed yet.
    believed: Instant,
    poller: Poller,
    link_interest: Interest,
    ready: Vec<Readiness>,
    breath: Breath,
    /// Freed memory goes back to the kernel then.
    tidy_at: Option<Instant>,
    /// What routers of the plan listen to: interface name, kind of packet, groups.
    listeners: BTreeSet<(String, Speaks, Option<IpAddr>)>,
    /// Groups that a base interface must be a member of, because its virtual interface says nothing to switches.
    spoken_for: Vec<(String, IpAddr)>,
    /// `auth_hmac` needs the time of day: its difference to the monotonic clock as last told to the core.
    day_offset: Option<i128>,
    events: Vec<Event>,
    actions: Vec<Action>,
    /// The sockets may be more than the plan needs.
    surplus_sockets: bool,
    retry_at: Option<Instant>,
    /// What the next process must know.
    record: Option<Record>,
    orphan: Option<Orphan>,
    /// The process that follows keeps what this one holds.
    handed_over: bool,
    complained: BTreeMap<String, Instant>,
    scheduling: Scheduling,
    lateness: Lateness,
    stopped: bool,
}

impl Driver {
    /// Opens everything and learns the interfaces. The plan comes over the link.
    pub fn start(link: UnixStream, record: Option<Record>) -> io::Result<Driver> {
        // A page that was swapped out delays an advertisement; not being allowed to lock is no reason not to run.
        if let Err(error) = process::lock_memory() {
            tracing::debug!("memory is not locked: {error}");
        }
        let monitor = Monitor::open().map_err(io::Error::other)?;
        let mut driver = Driver {
            core: Core::new(),
            link: SupervisorLink::new(link)?,
            monitor,
            dumping: false,
            interfaces: InterfaceTable::new(),
            sockets: Sockets::new()?,
            kernel: KernelWorker::start()?,
            leftovers: Leftovers::default(),
            leases: Leases::default(),
            surroundings: Surroundings::start()?,
            linkbeat: None,
            placing: Placing::default(),
            waiting_plan: None,
            stops_with_plan: false,
            settle: false,
            keep: false,
            memberships: BTreeMap::new(),
            routing: RoutingWatch::default(),
            timer: Timer::new()?,
            armed: None,
            believed: Instant::ZERO,
            poller: Poller::new()?,
            link_interest: Interest::Read,
            ready: Vec::new(),
            breath: Breath::default(),
            tidy_at: None,
            listeners: BTreeSet::new(),
            spoken_for: Vec::new(),
            day_offset: None,
            events: Vec::new(),
            actions: Vec::new(),
            surplus_sockets: false,
            retry_at: None,
            record,
            orphan: None,
            handed_over: false,
            complained: BTreeMap::new(),
            scheduling: Scheduling::new(Role::Vrrp.ident(), true),
            lateness: Lateness::default(),
            stopped: false,
        };
        driver.poller.add(&driver.link, LINK, Interest::Read)?;
        driver.poller.add(&driver.monitor, MONITOR, Interest::Read)?;
        driver.poller.add(&driver.kernel, KERNEL, Interest::Read)?;
        driver.poller.add(&driver.timer, TIMER, Interest::Read)?;
        driver.poller.add(&driver.surroundings, SURROUNDINGS, Interest::Read)?;
        // Nothing is elected yet, so this one dump may block.
        let mut socket = RouteSocket::open().map_err(io::Error::other)?;
        let (links, addresses) = kernel::dump(&mut socket).map_err(io::Error::other)?;
        driver.interfaces.resync(links, addresses, &mut driver.events);
        Ok(driver)
    }

    /// Runs until every router has stopped.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            self.feed();
            self.let_time_pass();
            let decided = !self.actions.is_empty();
            self.perform();
            self.close_surplus_sockets();
            if std::mem::take(&mut self.settle) {
                self.surroundings.settle();
            }
            if self.stopped {
                if self.handed_over {
                    // Nothing is done: it belongs to another process.
                } else if self.keep {
                    self.make_permanent();
                } else {
                    self.surroundings.tear_down();
                }
                self.link.farewell(&FromVrrp::Stopped);
                return Ok(());
            }
            self.tidy(decided);
            self.arm()?;
            if let Some(pause) = self.breath.take(monotonic_now(), self.armed) {
                thread::sleep(pause);
            }
            self.hear(None)?;
            // A packet that came while the first ones were read is heard before any timer is believed.
            for _ in 0..MAX_HEARINGS {
                if !self.is_something_due() || !self.hear(Some(Duration::ZERO))? {
                    break;
                }
            }
        }
    }

    /// Waits and collects events. False if there was nothing but the timer.
    fn hear(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        ready.extend(self.poller.wait(timeout)?);
        self.notice_pause();
        let (mut heard, mut adverts) = (false, false);
        for readiness in &ready {
            match readiness.token {
                TIMER => {
                    // `arm` sets it again, which also clears its readability.
                    self.armed = None;
                    continue;
                }
                LINK => self.hear_link(readiness.writable)?,
                MONITOR => self.hear_monitor()?,
                KERNEL => self.hear_kernel()?,
                SURROUNDINGS => self.hear_surroundings()?,
                ROUTING => self.hear_routing()?,
                LINKBEAT => self.hear_linkbeat()?,
                token if token >= FIRST_SOCKET_TOKEN => {
                    self.hear_socket(token);
                    adverts = true;
                }
                _ => {}
            }
            heard = true;
        }
        if adverts {
            self.breath.heard(monotonic_now());
        }
        self.ready = ready;
        Ok(heard)
    }

    /// Is a deadline of the core in the past? What was queued by now is to be heard first.
    fn is_something_due(&mut self) -> bool {
        self.believed = monotonic_now();
        self.core.next_timeout().is_some_and(|due| due <= self.believed)
    }

    /// What happened before is fed before; then each packet from where the kernel put it to the core.
    fn hear_socket(&mut self, token: u64) {
        if !self.events.is_empty() {
            self.feed();
        }
        let now = monotonic_now();
        let Driver { sockets, core, actions, events, .. } = self;
        if let Err(error) = sockets.receive(token, events, |packet| core.hear(packet, now, actions)) {
            self.complain("receive".to_owned(), &format!("cannot receive advertisements: {error}"));
        }
    }

    fn hear_monitor(&mut self) -> io::Result<()> {
        let mut announcements = Vec::new();
        self.monitor.read(&mut announcements).map_err(io::Error::other)?;
        if self.interfaces.handle(announcements, &mut self.events) == Next::Dump {
            tracing::warn!("the kernel's news about interfaces were lost; reading all of them again");
            self.start_dump()?;
        }
        Ok(())
    }

    /// An interface that went down took its routes along: that it is down is heard first.
    fn hear_routing(&mut self) -> io::Result<()> {
        if !self.dumping {
            self.hear_monitor()?;
        }
        self.routing.read(&mut self.events)
    }

    fn start_dump(&mut self) -> io::Result<()> {
        self.dumping = true;
        self.poller.delete(&self.monitor)?;
        self.kernel.dump();
        Ok(())
    }

    fn hear_kernel(&mut self) -> io::Result<()> {
        let finished = self.kernel.collect()?;
        // The kernel tells everybody what an operation changed before it answers who asked: the core hears it in
        // that order too, or its own removals would look like somebody else's.
        if !self.dumping {
            self.hear_monitor()?;
        }
        self.routing.read(&mut self.events)?;
        // With leases something is renewed each second: that leaves nothing behind.
        if finished.iter().any(|done| !matches!(done, Done::Renewed(..))) {
            self.tidy_after_changes();
        }
        for done in finished {
            match done {
                Done::Change(op, result) => {
                    self.leftovers.answered(op, result.is_ok());
                    self.leases.answered(op, &result, &self.interfaces);
                    self.events.push(Event::KernelDone { op, result: result.map(drop) });
                }
                Done::Renewed(router, asked_at, Ok(())) => self.leases.renewed(router, asked_at),
                Done::Renewed(router, _, Err(error)) => self.lease_not_renewed(router, &error),
                Done::Dump(Ok((links, addresses))) => {
                    self.interfaces.resync(links, addresses, &mut self.events);
                    self.dumping = false;
                    self.poller.add(&self.monitor, MONITOR, Interest::Read)?;
                    self.start_waiting_plan();
                }
                Done::Dump(Err(error)) => {
                    self.complain("dump".to_owned(), &error.to_string());
                    self.retry_at = Some(monotonic_now() + RETRY);
                }
            }
        }
        for sentence in self.leftovers.sentences() {
            tracing::info!("{sentence}");
        }
        Ok(())
    }

    /// What was made is news of the kernel: the core hears that first, then the plan that waited for it.
    fn hear_surroundings(&mut self) -> io::Result<()> {
        let made = self.surroundings.collect()?;
        let silenced = self.surroundings.take_silenced().into_iter();
        self.events.extend(silenced.map(|(router, done)| Event::Silenced { router, done }));
        if !made {
            return Ok(());
        }
        if !self.dumping {
            self.hear_monitor()?;
            self.start_waiting_plan();
        }
        if self.surroundings.is_missing_any(&self.interfaces) {
            self.retry_at = Some(monotonic_now() + RETRY);
        }
        Ok(())
    }

    fn start_waiting_plan(&mut self) {
        if self.surroundings.is_idle()
            && let Some(plan) = self.waiting_plan.take()
        {
            self.start_plan(plan);
            if std::mem::take(&mut self.stops_with_plan) {
                self.take_stop(true);
            }
        }
    }

    fn take_stop(&mut self, release: bool) {
        self.keep = !release;
        let begins = self.waiting_plan.is_some() && self.core.generation() == Generation::default();
        if release && begins {
            self.stops_with_plan = true;
        } else {
            self.events.push(Event::Command(Command::Stop { release }));
        }
    }

    /// A virtual interface that is gone while its base is there (or back) is made again.
    fn mend_surroundings(&mut self) {
        if self.surroundings.is_idle() && self.surroundings.is_missing_any(&self.interfaces) {
            self.surroundings.mend();
        }
    }

    fn hear_link(&mut self, writable: bool) -> io::Result<()> {
        if writable {
            self.link.flush();
        }
        let mut messages = Vec::new();
        let state = self.link.receive(&mut messages).unwrap_or_else(|error| {
            tracing::error!("the supervisor's message cannot be read ({error}); taking it for gone");
            LinkState::Closed
        });
        for message in messages {
            self.obey(message);
        }
        if state == LinkState::Closed && self.orphan.is_none() {
            self.poller.delete(&self.link)?;
            self.lose_supervisor();
        }
        Ok(())
    }

    fn obey(&mut self, message: ToVrrp) {
        match message {
            ToVrrp::Process(plan) => self.scheduling.adopt(plan),
            ToVrrp::Plan(plan) => self.take_plan(plan),
            ToVrrp::Stop { release } => self.take_stop(release),
            ToVrrp::Tracker(key, sample) => self.events.push(Event::Tracker(key, sample)),
            ToVrrp::TrackerWords(key, words) => self.events.push(Event::TrackerWords(key, words)),
            ToVrrp::Claimed(Claimed { router, claim, result }) => {
                self.events.push(Event::Claimed { router, claim, result });
            }
            // Fed at once: who gave the order asks next what became of it.
            ToVrrp::Failover { routers, hold } => {
                self.events.push(Event::Failover { routers, hold });
                self.feed();
            }
            ToVrrp::Maintenance(maintenance) => {
                self.events.push(Event::Maintenance(maintenance));
                self.feed();
            }
            ToVrrp::AreYouThere(number) => {
                self.scheduling.look();
                self.lateness.beat();
                self.record.iter().for_each(Record::lives);
                self.link.send(&FromVrrp::Alive(number));
            }
            ToVrrp::Snapshot(number) => {
                let mut snapshot = report::vrrp::snapshot(&self.core, monotonic_now());
                let own = [
                    ("discarded_malformed_datagram", self.sockets.malformed()),
                    ("dropped_messages_to_supervisor", self.link.dropped()),
                    ("netlink_overruns", self.monitor.counters().overruns),
                    ("netlink_undecodable", self.monitor.counters().undecodable),
                ];
                snapshot.counters.extend(own.map(|(name, count)| (name.to_owned(), count)));
                snapshot.unrecorded = self.record.is_none();
                self.link.send(&FromVrrp::Snapshot(number, snapshot));
            }
        }
    }

    /// A plan that needs virtual interfaces or a filter waits until they are there; the old one stays in force.
    fn take_plan(&mut self, plan: VrrpPlan) {
        let plan = self.placing.place(plan, &self.interfaces);
        self.surround(plan);
    }

    fn surround(&mut self, plan: VrrpPlan) {
        let kept = self.record.as_ref().map(|record| record.kept_links(&plan)).unwrap_or_default();
        if self.surroundings.prepare(Needs::of(&plan), kept) {
            self.waiting_plan = Some(plan);
        } else {
            self.waiting_plan = None;
            self.start_plan(plan);
        }
    }

    fn start_plan(&mut self, mut plan: VrrpPlan) {
        plan.startup_delay = plan.startup_delay.max(plan.boot_delay.saturating_sub(uptime()));
        self.settle = true;
        self.breath.adopt(&plan);
        let listener = |router: &RouterPlan| {
            let (speaks, group) = listens_to(router);
            (router.advert_interface().to_owned(), speaks, group)
        };
        self.listeners = plan.routers.iter().map(listener).collect();
        let virtual_links = plan.routers.iter().filter(|router| router.advert_link.is_some());
        self.spoken_for = virtual_links
            .filter_map(|router| Some((router.key.interface.clone(), listens_to(router).1?)))
            .collect();
        let signed = plan.routers.iter().any(|router| router.wire.hmac.is_some());
        self.day_offset = signed.then(|| self.day_offset.unwrap_or(i128::MAX));
        self.tell_time_of_day();
        if let Err(error) = self.routing.follow(&plan, &self.poller) {
            self.complain("routing".to_owned(), &format!("routes are not watched: {error}"));
        }
        let (generation, vip_lease): (Generation, bool) = (plan.generation, plan.vip_lease);
        let resumes = !plan.no_resume;
        self.poll_links(&plan);
        self.recall(&plan);
        self.events.push(Event::Plan(plan));
        // What the core wants to send needs its socket now. Sockets that nothing needs any more stay open until the
        // last words of the routers that left have gone out.
        self.open_sockets();
        self.feed();
        if let Some(record) = &mut self.record {
            record.follow(&self.core, resumes);
        }
        for renewal in self.leases.follow(vip_lease, &self.core, monotonic_now()) {
            self.kernel.renew(renewal);
        }
        self.tidy_after_plan();
        self.link.send(&FromVrrp::Applied(generation));
    }

    /// Tells the core when the time of day went another way than the monotonic clock, if any router signs.
    fn tell_time_of_day(&mut self) {
        let Some(known) = self.day_offset else { return };
        let unix_nanoseconds = unix_nanoseconds();
        let offset = i128::from(unix_nanoseconds) - i128::from(monotonic_now().0);
        if offset.abs_diff(known) > DAY_DRIFT.as_nanos() {
            self.day_offset = Some(offset);
            self.events.insert(0, Event::TimeOfDay { unix_nanoseconds });
        }
    }

    /// Hands the collected events to the core.
    fn feed(&mut self) {
        self.tell_time_of_day();
        let now = monotonic_now();
        self.notice_pause();
        self.mend_leases(now);
        let mut interfaces_changed = false;
        for event in std::mem::take(&mut self.events) {
            interfaces_changed |= matches!(event, Event::Interface(_) | Event::InterfaceGone { .. });
            self.core.handle(event, now, &mut self.actions);
        }
        if interfaces_changed {
            self.open_sockets();
            self.mend_surroundings();
            if let Some(plan) = self.placing.again(&self.interfaces) {
                self.surround(plan);
            }
        }
    }

    fn let_time_pass(&mut self) {
        let now = monotonic_now();
        if let Some(due) = self.core.next_timeout().filter(|due| *due <= self.believed) {
            let late = now.saturating_duration_since(due);
            self.scheduling.woke(late);
            self.core.handle_timeout(now, &mut self.actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            if self.dumping {
                self.kernel.dump();
            }
            self.open_sockets();
            self.mend_surroundings();
        }
        self.look_for_supervisor(now);
        // What that means is not left for the next advertisement.
        if !self.events.is_empty() {
            self.feed();
        }
    }

    /// Performs what the core decided: advertisements, then frames, then the kernel, then news.
    fn perform(&mut self) {
        let actions = std::mem::take(&mut self.actions);
        let now = monotonic_now();
        self.record_before(&actions);
        let frames: Vec<&Frame> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Transmit(_, frame) => Some(frame),
                _ => None,
            })
            .collect();
        if !frames.is_empty() {
            let failures = self.sockets.transmit(&frames, |index| interface_name(&self.interfaces, index));
            for failure in failures {
                self.complain(failure.clone(), &failure);
            }
        }
        self.record_after(&actions);
        self.renew_leases(&actions);
        for action in actions {
            match action {
                Action::Transmit(..) => {}
                Action::Kernel(op, what) => {
                    self.leftovers.note(op, &what, &self.interfaces);
                    let change = match self.leases.note(op, &what, &self.core, &self.interfaces, now) {
                        Some((lifetime, true)) => KernelChange::Renewed(what, lifetime),
                        Some((lifetime, false)) => KernelChange::Leased(what, lifetime),
                        None => KernelChange::Address(what),
                    };
                    self.kernel.change(op, change);
                }
                Action::Routing(op, what) => self.kernel.change(op, KernelChange::Routing(what)),
                Action::Notify(transition) => self.tell(transition),
                Action::News(news) => self.link.send(&FromVrrp::News(news)),
                Action::Log(LogLevel::Error, sentence) => tracing::error!("{sentence}"),
                Action::Log(LogLevel::Warning, sentence) => tracing::warn!("{sentence}"),
                Action::Log(LogLevel::Info, sentence) => tracing::info!("{sentence}"),
                Action::Claim(order) => self.link.send(&FromVrrp::Claim(order)),
                Action::Unclaim(claim) => self.link.send(&FromVrrp::Unclaim(claim)),
                Action::Silence { router, addresses } => self.surroundings.silence(router, addresses),
                Action::Stopped => self.stopped = true,
            }
        }
        self.surroundings.hush();
    }

    fn tell(&mut self, transition: Transition) {
        tracing::info!(
            "({}) {} -> {} on {} (VRID {}, priority {}): {}",
            transition.name,
            transition.from,
            transition.to,
            transition.key.interface,
            transition.key.vrid,
            transition.priority,
            transition.cause,
        );
        self.link.send(&FromVrrp::Transition(transition));
    }

    /// Opens the sockets that the plan needs on the interfaces that exist. Others stay open for the frames that
    /// are still to be sent: `close_surplus_sockets` follows them.
    fn open_sockets(&mut self) {
        self.surplus_sockets = true;
        for ((index, speaks), error) in self.sockets.open_all(&self.wanted_sockets(), &self.poller) {
            let name = interface_name(&self.interfaces, index);
            let sentence =
                format!("no {speaks} socket for advertisements on {name}: {error}; trying again each second");
            self.complain(sentence.clone(), &sentence);
            self.retry_at = Some(monotonic_now() + RETRY);
        }
        self.join_for_virtual_links();
    }

    fn close_surplus_sockets(&mut self) {
        if std::mem::take(&mut self.surplus_sockets) {
            self.sockets.close_others(&self.wanted_sockets(), &self.poller);
        }
    }

    fn wanted_sockets(&self) -> BTreeMap<SocketKey, Wanted> {
        let mut wanted: BTreeMap<SocketKey, Wanted> = BTreeMap::new();
        for (name, speaks, group) in &self.listeners {
            let Some(index) = self.interfaces.link(name).map(|link| link.index) else { continue };
            let entry = wanted.entry((index, *speaks)).or_default();
            entry.name.clone_from(name);
            entry.groups.extend(*group);
        }
        wanted
    }

    /// Sets the timer to what comes first, and asks for room to write when output waits.
    fn arm(&mut self) -> io::Result<()> {
        let orphan = self.orphan.map(Orphan::deadline);
        let next = [self.core.next_timeout(), self.retry_at, orphan].into_iter().flatten().min();
        // An earlier end than needed costs one look; a later one is set only when that has come. A Backup's deadline
        // moves with every advertisement.
        if !matches!((self.armed, next), (Some(armed), Some(next)) if armed <= next) {
            self.timer.set(next)?;
            self.armed = next;
        }
        let interest = if self.link.has_backlog() { Interest::ReadWrite } else { Interest::Read };
        if self.orphan.is_none() && interest != self.link_interest {
            self.poller.modify(&self.link, LINK, interest)?;
            self.link_interest = interest;
        }
        Ok(())
    }

    fn has_complained(&self, about: &str, now: Instant) -> bool {
        self.complained.get(about).is_some_and(|at| now < *at + COMPLAINT_INTERVAL)
    }

    /// Logs a warning, but the same one not again within a minute.
    fn complain(&mut self, about: String, sentence: &str) {
        let now = monotonic_now();
        self.complained.retain(|_, at| now < *at + COMPLAINT_INTERVAL);
        if let Entry::Vacant(first) = self.complained.entry(about) {
            first.insert(now);
            tracing::warn!("{sentence}");
        }
    }
}

/// Which kind of packets, and which group.
fn listens_to(router: &RouterPlan) -> (Speaks, Option<IpAddr>) {
    let group = match &router.transport {
        Transport::Multicast { group, .. } => Some(group.unwrap_or_else(|| router.key.family.vrrp_group())),
        Transport::Unicast { .. } => None,
    };
    let speaks = match router.authentication {
        Authentication::Header(_) => Speaks::Sealed,
        Authentication::None | Authentication::Password(_) => Speaks::Plain(router.key.family),
    };
    (speaks, group)
}

/// The interface's name, for people; its index if it is gone.
fn interface_name(interfaces: &InterfaceTable, index: u32) -> String {
    interfaces.facts(index).map_or_else(|| format!("the interface with index {index}"), |facts| facts.name)
}
