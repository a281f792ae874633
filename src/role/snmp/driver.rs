//! The loop: hear the supervisor and the master, ask for what is too old, answer.

use super::session::{Ended, Question, Session};
use crate::link::{FromSnmp, News, ToSnmp};
use crate::netlink::ipvs::{Ipvs, Stats};
use crate::plan::snmp::{Place, SnmpPlan};
use crate::report::mib::{Counters, KernelService, Mib};
use crate::report::{SnmpStatus, VirtualServerState};
use crate::role::namespace;
use crate::role::supervisor_link::{LinkState, SupervisorLink};
use crate::sys::clock::monotonic_now;
use crate::sys::poll::{Interest, Poller};
use crate::sys::process;
use crate::sys::timer::Timer;
use crate::time::Instant;
use crate::wire::agentx::{Header, Range, Value, VarBind};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const LINK: u64 = 0;
const TIMER: u64 = 1;
const MASTER: u64 = 2;

/// A master that is not there is looked for again after this.
const RETRY: Duration = Duration::from_secs(5);

/// How long a question waits for the checker role, which the supervisor gives less; then what it said before counts.
const CHECKER: Duration = Duration::from_secs(3);

/// A checker role that does not know all virtual servers yet is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Questions that may wait; beyond that they are answered with what is known.
const MAX_WAITING: usize = 4096;

/// Traps wait so long for the first session after a start.
const FIRST_SESSION: Duration = Duration::from_secs(10);

/// No more of them wait.
const MAX_TRAPS: usize = 16_384;

/// The most variables that one GetBulk gets, if it does not ask for more at once.
const MAX_BULK: usize = 1000;

/// The variables of one.
type Trap = Option<Vec<VarBind>>;

/// Everything the snmp role owns.
pub(super) struct Driver {
    link: SupervisorLink<ToSnmp>,
    poller: Poller,
    timer: Timer,
    /// `None`: there is no agent.
    place: Option<Result<Place, String>>,
    traps: bool,
    stats_age: Duration,
    mib: Mib,
    /// That of the plan before, which alone knows what a reload has taken away; only with traps.
    before: Option<Mib>,
    session: Option<Session>,
    /// Without a session: when the next one is tried.
    retry_at: Option<Instant>,
    /// Questions that wait for what the checker role says.
    waiting: Vec<(Header, Question)>,
    /// The checker role was asked: so long its answer is waited for.
    asked: Option<Instant>,
    /// What it will say is of the plan before.
    asked_early: bool,
    /// It did not know of everything: when it is asked again.
    ask_at: Option<Instant>,
    /// Traps that wait for the first session, and until when.
    early: Vec<Vec<VarBind>>,
    early_until: Option<Instant>,
    /// Until then what is known is new enough.
    fresh_until: Option<Instant>,
    ipvs: Option<Ipvs>,
    status: SnmpStatus,
    stopped: bool,
}

impl Driver {
    /// The plan comes over the link.
    pub(super) fn start(link: UnixStream) -> io::Result<Driver> {
        let driver = Driver {
            link: SupervisorLink::new(link)?,
            poller: Poller::new()?,
            timer: Timer::new()?,
            place: None,
            traps: false,
            stats_age: Duration::ZERO,
            mib: Mib::default(),
            before: None,
            session: None,
            retry_at: None,
            waiting: Vec::new(),
            asked: None,
            asked_early: false,
            ask_at: None,
            early: Vec::new(),
            early_until: None,
            fresh_until: None,
            ipvs: None,
            status: SnmpStatus::default(),
            stopped: false,
        };
        driver.poller.add(&driver.link, LINK, Interest::Read)?;
        driver.poller.add(&driver.timer, TIMER, Interest::Read)?;
        Ok(driver)
    }

    /// Runs until it is told to stop, or nobody is left to tell it.
    pub(super) fn run(mut self) -> io::Result<()> {
        while !self.stopped {
            self.let_time_pass();
            self.answer();
            self.write();
            self.arm()?;
            self.hear()?;
        }
        if let Some(session) = self.session.take() {
            session.farewell();
        }
        self.link.farewell(&FromSnmp::Stopped);
        Ok(())
    }

    fn hear(&mut self) -> io::Result<()> {
        let ready: Vec<_> = self.poller.wait(None)?.collect();
        for readiness in ready {
            match readiness.token {
                TIMER => drop(self.timer.consume()?),
                LINK => self.hear_link(readiness.writable)?,
                MASTER => self.hear_master(),
                _ => {}
            }
        }
        Ok(())
    }

    fn hear_link(&mut self, writable: bool) -> io::Result<()> {
        if writable {
            self.link.flush();
        }
        let mut orders = Vec::new();
        let state = self.link.receive(&mut orders).unwrap_or_else(|error| {
            tracing::error!("the supervisor's message cannot be read ({error}); taking it for gone");
            LinkState::Closed
        });
        orders.into_iter().for_each(|order| self.obey(order));
        if state == LinkState::Closed {
            self.poller.delete(&self.link)?;
            self.stopped = true;
        }
        Ok(())
    }

    fn obey(&mut self, order: ToSnmp) {
        match order {
            ToSnmp::Plan(plan) => self.take_plan(plan),
            ToSnmp::Servers(states) => self.take_servers(states.as_deref()),
            ToSnmp::News(news) => self.tell(&news),
            ToSnmp::Snapshot(number) => self.link.send(&FromSnmp::Snapshot(number, self.status.clone())),
            ToSnmp::AreYouThere(number) => self.link.send(&FromSnmp::Alive(number)),
            ToSnmp::Stop => self.stopped = true,
        }
    }

    fn take_plan(&mut self, plan: SnmpPlan) {
        let generation = plan.generation;
        let spec = plan.checker.then(|| plan.master());
        if self.place.is_none() && spec.is_some() {
            self.early_until = Some(monotonic_now() + FIRST_SESSION);
        }
        self.look_at(spec);
        self.traps = plan.traps;
        self.stats_age = plan.stats_age;
        let mib = Mib::after(plan, &self.mib);
        self.before = Some(std::mem::replace(&mut self.mib, mib)).filter(|_| self.traps);
        self.fresh_until = None;
        process::release_free_memory();
        // States are known before the first question or trap comes.
        self.asked_early = self.asked.is_some();
        self.ask();
        self.link.send(&FromSnmp::Applied(generation));
    }

    /// Goes to the master at `spec`; to none without one.
    fn look_at(&mut self, spec: Option<&str>) {
        let place = spec.map(str::parse);
        if place == self.place && self.status.master == spec.unwrap_or_default() {
            return;
        }
        if let Some(session) = self.session.take() {
            session.farewell();
        }
        self.waiting.clear();
        let failed = place.as_ref().and_then(|place: &Result<Place, String>| place.as_ref().err());
        if let Some(why) = failed {
            tracing::error!("there is no SNMP agent at {}: {why}", spec.unwrap_or_default());
        }
        self.status.master = spec.unwrap_or_default().to_owned();
        self.status.connected = false;
        self.status.trouble = failed.cloned();
        self.retry_at = matches!(place, Some(Ok(_))).then(monotonic_now);
        self.ask_at = None;
        self.place = place;
    }

    /// Has the supervisor ask the checker role, unless it does.
    fn ask(&mut self) {
        if self.place.is_some() && self.asked.is_none() {
            self.asked = Some(monotonic_now() + CHECKER);
            self.ask_at = None;
            self.link.send(&FromSnmp::Servers);
        }
    }

    /// The checker role's answer, or none in time. Whoever waits is answered with what is known now.
    fn take_servers(&mut self, states: Option<&[VirtualServerState]>) {
        self.asked = None;
        let whole = states.is_some_and(|states| self.mib.take_states(states));
        if let Some(table) = self.table() {
            self.mib.take_table(&table);
        }
        let now = monotonic_now();
        self.fresh_until = Some(now + self.stats_age);
        self.answer_all();
        if std::mem::take(&mut self.asked_early) {
            self.fresh_until = None;
            self.ask();
        } else if whole {
            // All that leaves has been told by now.
            self.before = None;
        } else {
            self.ask_at = Some(now + AGAIN);
        }
    }

    /// The kernel's table; none where it cannot be read, which the checker role says.
    fn table(&mut self) -> Option<Vec<KernelService>> {
        if self.ipvs.is_none() {
            self.ipvs = open_kernel();
        }
        let listed = self.ipvs.as_mut().map(Ipvs::list);
        let Some(Ok(services)) = listed else {
            self.ipvs = None;
            return None;
        };
        let rows = services.into_iter().map(|service| KernelService {
            key: service.key,
            counters: counted(&service.stats),
            destinations: service
                .destinations
                .iter()
                .map(|to| {
                    let [active, inactive, persistent] =
                        [to.active, to.inactive, to.persistent].map(u64::from);
                    (to.endpoint, Counters { active, inactive, persistent, ..counted(&to.stats) })
                })
                .collect(),
        });
        Some(rows.collect())
    }

    fn tell(&mut self, news: &News) {
        let trap = match news {
            News::RealServer { service, endpoint, up, gone, .. } => {
                self.trap_of(*gone, |mib| mib.server_changed(service, *endpoint, *up))
            }
            News::VirtualServer { service, up, gone, .. } => {
                self.trap_of(*gone, |mib| mib.quorum_changed(service, *up))
            }
            _ => None,
        };
        let Some(trap) = trap.filter(|_| self.traps) else { return };
        if self.early_until.is_some() && self.early.len() < MAX_TRAPS {
            self.early.push(trap);
        } else {
            self.send(&trap);
        }
    }

    fn send(&mut self, trap: &[VarBind]) {
        if self.session.as_mut().is_some_and(|session| session.trap(trap)) {
            self.status.traps += 1;
        } else {
            self.status.traps_lost += 1;
        }
    }

    /// The first session is there, or none came in time.
    fn settle_early(&mut self) {
        self.early_until = None;
        for trap in std::mem::take(&mut self.early) {
            self.send(&trap);
        }
    }

    /// What a reload has taken away the plan before knows; the service may be another virtual server's now.
    fn trap_of(&mut self, gone: bool, trap: impl Fn(&mut Mib) -> Trap) -> Trap {
        match self.before.as_mut().filter(|_| gone) {
            Some(before) => trap(before),
            None => trap(&mut self.mib),
        }
    }

    fn hear_master(&mut self) {
        let Some(session) = &mut self.session else { return };
        let was_open = session.is_open();
        match session.hear(monotonic_now()) {
            Ok(questions) => {
                self.waiting.extend(questions);
                if !was_open && session.is_open() {
                    self.connected();
                }
            }
            Err(ended) => self.disconnected(&ended),
        }
    }

    fn connected(&mut self) {
        tracing::info!("the SNMP agent serves KEEPALIVED-MIB through {}", self.status.master);
        self.status.connected = true;
        self.status.trouble = None;
        self.settle_early();
    }

    /// Said once for as long as the reason is the same.
    fn disconnected(&mut self, Ended(why): &Ended) {
        if self.status.trouble.as_ref() != Some(why) {
            tracing::warn!(
                "no SNMP session with {}: {why}; trying again every {} s, the traffic goes on",
                self.status.master,
                RETRY.as_secs()
            );
        }
        self.status.connected = false;
        self.status.trouble = Some(why.clone());
        self.session = None;
        self.waiting.clear();
        self.retry_at = Some(monotonic_now() + RETRY);
    }

    fn let_time_pass(&mut self) {
        let now = monotonic_now();
        if self.asked.is_some_and(|until| until <= now) {
            tracing::debug!("the checker role has not answered: what it said before counts");
            self.take_servers(None);
        }
        if self.ask_at.take_if(|at| *at <= now).is_some() {
            self.ask();
        }
        if self.early_until.is_some_and(|until| until <= now) {
            self.settle_early();
        }
        if let Some(session) = &mut self.session
            && let Err(ended) = session.overdue(now)
        {
            self.disconnected(&ended);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.connect(now);
        }
    }

    fn connect(&mut self, now: Instant) {
        let Some(Ok(place)) = &self.place else { return };
        let begun = Session::begin(place, now).and_then(|session| {
            session.watch(&self.poller, MASTER)?;
            Ok(session)
        });
        match begun {
            Ok(session) => self.session = Some(session),
            Err(error) => self.disconnected(&error.into()),
        }
    }

    /// Answers what waits, if what is known is new enough.
    fn answer(&mut self) {
        let fresh = self.fresh_until.is_some_and(|until| monotonic_now() < until);
        match self.waiting.len() {
            0 => {}
            many if fresh || many > MAX_WAITING => self.answer_all(),
            _ => self.ask(),
        }
    }

    fn answer_all(&mut self) {
        let Some(session) = &mut self.session else { return };
        for (header, question) in self.waiting.drain(..) {
            let values = match &question {
                Question::Get(ranges) => {
                    ranges.iter().map(|range| (range.start.clone(), self.mib.get(&range.start))).collect()
                }
                Question::Next(ranges) => ranges.iter().map(|range| self.mib.next(range)).collect(),
                Question::Bulk { once, times, ranges } => bulk(&self.mib, *once, *times, ranges),
            };
            self.status.requests += 1;
            session.answer(&header, &values);
        }
    }

    fn write(&mut self) {
        if let Some(session) = &mut self.session
            && let Err(ended) = session.write()
        {
            self.disconnected(&ended);
        }
    }

    /// Sets the timer to what comes first, and asks for room to write when output waits.
    fn arm(&mut self) -> io::Result<()> {
        let silence = self.session.as_ref().map(Session::deadline);
        self.timer.set(
            [self.asked, self.ask_at, self.early_until, self.retry_at, silence].into_iter().flatten().min(),
        )?;
        if let Some(session) = &self.session {
            session.rearm(&self.poller, MASTER)?;
        }
        if !self.stopped {
            let interest = if self.link.has_backlog() { Interest::ReadWrite } else { Interest::Read };
            self.poller.modify(&self.link, LINK, interest)?;
        }
        Ok(())
    }
}

/// The first `once` ranges get one variable each, the others up to `times` (RFC 2741, 7.2.3.3).
fn bulk(mib: &Mib, once: u16, times: u16, ranges: &[Range]) -> Vec<VarBind> {
    let (first, rest) = ranges.split_at(ranges.len().min(once.into()));
    let mut values: Vec<VarBind> = first.iter().map(|range| mib.next(range)).collect();
    let mut rest = rest.to_vec();
    for round in 0..times {
        if rest.is_empty() || (round > 0 && values.len() + rest.len() > MAX_BULK) {
            break;
        }
        for range in &mut rest {
            let (name, value) = mib.next(range);
            *range = Range { start: name.clone(), include: false, end: std::mem::take(&mut range.end) };
            values.push((name, value));
        }
        if values.iter().rev().take(rest.len()).all(|(_, value)| *value == Value::EndOfMibView) {
            break;
        }
    }
    values
}

/// A socket stays in the network namespace of the thread that opened it; the way to the master is in the daemon's.
fn open_kernel() -> Option<Ipvs> {
    let opened = std::thread::spawn(|| {
        namespace::enter_ipvs().ok()?;
        Ipvs::open().ok()
    });
    opened.join().ok().flatten()
}

fn counted(stats: &Stats) -> Counters {
    Counters {
        connections: stats.connections,
        in_packets: stats.in_packets,
        out_packets: stats.out_packets,
        in_bytes: stats.in_bytes,
        out_bytes: stats.out_bytes,
        rates: [
            stats.connection_rate,
            stats.in_packet_rate,
            stats.out_packet_rate,
            stats.in_byte_rate,
            stats.out_byte_rate,
        ],
        ..Counters::default()
    }
}
