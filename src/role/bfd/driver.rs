//! The loop: hear everything that is queued, then let time pass, then perform.

use super::sockets::{self, FIRST_SOCKET_TOKEN, ListenerKey, Sockets};
use crate::bfd::{Action, Core, Event, Path, SessionId, Transition};
use crate::link::{FromBfd, ToBfd};
use crate::net::AddressFamily;
use crate::plan::bfd::BfdPlan;
use crate::plan::track::{Sample, TrackerKey};
use crate::report;
use crate::role::Role;
use crate::role::scheduling::Scheduling;
use crate::role::supervisor_link::{LinkState, SupervisorLink};
use crate::sys::clock::monotonic_now;
use crate::sys::poll::{Interest, Poller};
use crate::sys::process;
use crate::sys::timer::Timer;
use crate::time::Instant;
use crate::wire::bfd::State;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const LINK: u64 = 0;
const TIMER: u64 = 1;

/// A listener that could not be opened is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// Rounds of hearing before time is looked at: a flood must not stop the clock.
const MAX_HEARINGS: usize = 8;

/// Everything the bfd role owns.
pub struct Driver {
    core: Core,
    link: SupervisorLink<ToBfd>,
    sockets: Sockets,
    wanted: BTreeSet<ListenerKey>,
    timer: Timer,
    poller: Poller,
    events: Vec<Event>,
    actions: Vec<Action>,
    /// Sessions whose last packet the kernel refused.
    mute: BTreeSet<SessionId>,
    /// The newest sample of each tracker that waits for the supervisor to read.
    samples: BTreeMap<TrackerKey, Sample>,
    retry_at: Option<Instant>,
    orphaned: bool,
    scheduling: Scheduling,
    stopped: bool,
}

impl Driver {
    /// The plan comes over the link.
    pub fn start(link: UnixStream) -> io::Result<Driver> {
        // A page that was swapped out delays a packet; not being allowed to lock is no reason not to run.
        if let Err(error) = process::lock_memory() {
            tracing::debug!("memory is not locked: {error}");
        }
        let (seed, chance) = (random()?, random()?);
        let driver = Driver {
            core: Core::new(seed),
            link: SupervisorLink::new(link)?,
            sockets: Sockets::new(chance),
            wanted: BTreeSet::new(),
            timer: Timer::new()?,
            poller: Poller::new()?,
            events: Vec::new(),
            actions: Vec::new(),
            mute: BTreeSet::new(),
            samples: BTreeMap::new(),
            retry_at: None,
            orphaned: false,
            scheduling: Scheduling::new(Role::Bfd.ident(), true),
            stopped: false,
        };
        driver.poller.add(&driver.link, LINK, Interest::Read)?;
        driver.poller.add(&driver.timer, TIMER, Interest::Read)?;
        Ok(driver)
    }

    /// Runs until every session has ended.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            self.feed();
            self.let_time_pass();
            self.perform();
            self.say_samples();
            if self.stopped {
                self.link.farewell(&FromBfd::Stopped);
                return Ok(());
            }
            self.arm()?;
            self.hear(None)?;
            // A packet that came while the first ones were read is heard before any detection time is believed.
            for _ in 0..MAX_HEARINGS {
                if !self.hear(Some(Duration::ZERO))? {
                    break;
                }
            }
        }
    }

    /// Waits and collects events. False if there was nothing but the timer.
    fn hear(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let ready: Vec<_> = self.poller.wait(timeout)?.collect();
        let mut heard = false;
        for readiness in ready {
            match readiness.token {
                TIMER => {
                    self.timer.consume()?;
                    continue;
                }
                LINK => self.hear_link(readiness.writable)?,
                token if token >= FIRST_SOCKET_TOKEN => self.hear_packets(token),
                _ => {}
            }
            heard = true;
        }
        Ok(heard)
    }

    fn hear_packets(&mut self, token: u64) {
        if let Err(error) = self.sockets.receive(token, &mut self.events) {
            tracing::error!("BFD packets cannot be received ({error}); opening the socket anew");
            self.sockets.forget(token);
            self.retry_at = Some(monotonic_now() + RETRY);
        }
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
        for order in orders {
            self.obey(order);
        }
        if state == LinkState::Closed && !self.orphaned {
            tracing::error!("the supervisor is gone: telling the neighbours, and ending");
            self.poller.delete(&self.link)?;
            self.orphaned = true;
            self.events.push(Event::Stop);
        }
        Ok(())
    }

    fn obey(&mut self, order: ToBfd) {
        match order {
            ToBfd::Process(plan) => self.scheduling.adopt(plan),
            ToBfd::Plan(plan) => self.take_plan(plan),
            ToBfd::Stop => self.events.push(Event::Stop),
            ToBfd::AreYouThere(number) => {
                self.scheduling.look();
                self.link.send(&FromBfd::Alive(number));
            }
            ToBfd::Snapshot(number) => {
                let mut snapshot = report::bfd::snapshot(&self.core, monotonic_now());
                for session in &mut snapshot.sessions {
                    let key = (AddressFamily::of(session.neighbor), session.multihop);
                    if let Some(why) = self.sockets.deafness(key) {
                        session.trouble = Some(why.to_owned());
                    }
                }
                let dropped = ("dropped_messages_to_supervisor".to_owned(), self.link.dropped());
                snapshot.counters.extend([dropped]);
                self.link.send(&FromBfd::Snapshot(number, snapshot));
            }
        }
    }

    fn take_plan(&mut self, plan: BfdPlan) {
        let generation = plan.generation;
        self.wanted = sockets::wanted(&plan);
        self.listen();
        self.events.push(Event::Plan(plan));
        self.feed();
        process::release_free_memory();
        self.link.send(&FromBfd::Applied(generation));
    }

    fn listen(&mut self) {
        for sentence in self.sockets.listen(&self.wanted, &self.poller) {
            tracing::error!("{sentence}; trying again each second");
        }
        self.retry_at = self.sockets.is_deaf().then(|| monotonic_now() + RETRY);
    }

    /// Hands the collected events to the core.
    fn feed(&mut self) {
        let now = monotonic_now();
        for event in std::mem::take(&mut self.events) {
            self.core.handle(event, now, &mut self.actions);
        }
    }

    fn let_time_pass(&mut self) {
        let now = monotonic_now();
        if let Some(due) = self.core.next_timeout().filter(|due| *due <= now) {
            self.scheduling.woke(now.saturating_duration_since(due));
            self.core.handle_timeout(now, &mut self.actions);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.listen();
        }
    }

    fn perform(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Transmit { session, path, bytes } => self.transmit(session, path, &bytes),
                Action::Close(session) => {
                    self.mute.remove(&session);
                    self.sockets.close(session);
                }
                Action::Notify(transition) => tell(&transition),
                Action::Sample { tracker, sample } => drop(self.samples.insert(tracker, sample)),
                Action::Stopped => self.stopped = true,
            }
        }
    }

    fn transmit(&mut self, session: SessionId, path: Path, bytes: &[u8]) {
        match self.sockets.send(session, path, bytes) {
            Ok(()) => {
                if self.mute.remove(&session) {
                    tracing::info!("BFD packets to {} leave again", path.neighbor);
                    self.events.push(Event::Sending(session, None));
                }
            }
            Err(error) => {
                let why = refusal(&path, &error);
                if self.mute.insert(session) {
                    tracing::warn!("{why}");
                }
                self.events.push(Event::Sending(session, Some(why)));
            }
        }
    }

    /// Tells the supervisor what trackers are to know, the newest of each, once it has read what went before.
    fn say_samples(&mut self) {
        while !self.link.has_backlog()
            && let Some((tracker, sample)) = self.samples.pop_first()
        {
            self.link.send(&FromBfd::Tracker(tracker, Some(sample)));
        }
    }

    /// Sets the timer to what comes first, and asks for room to write when output waits.
    fn arm(&mut self) -> io::Result<()> {
        // What performing brought (the outcome of sending) is for the core before it sleeps.
        self.feed();
        self.timer.set([self.core.next_timeout(), self.retry_at].into_iter().flatten().min())?;
        if !self.orphaned {
            let interest = if self.link.has_backlog() { Interest::ReadWrite } else { Interest::Read };
            self.poller.modify(&self.link, LINK, interest)?;
        }
        Ok(())
    }
}

/// A line for each change of state: what, and why.
fn tell(transition: &Transition) {
    let Transition { name, neighbor, from, to, reason, .. } = transition;
    let sentence = format!("BFD session {name} with {neighbor}: {from} -> {to}: {reason}");
    if *from == State::Up && *to == State::Down {
        tracing::warn!("{sentence}");
    } else {
        tracing::info!("{sentence}");
    }
}

fn refusal(path: &Path, error: &io::Error) -> String {
    let from = path.source.map_or(String::new(), |source| format!(" from {source}"));
    let hint = match error.kind() {
        io::ErrorKind::AddrNotAvailable => ": source_ip is no address of this machine",
        _ => "",
    };
    format!("no BFD packet to {}{from} leaves: {error}{hint}", path.neighbor)
}

/// Eight octets of the kernel's chance.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}
