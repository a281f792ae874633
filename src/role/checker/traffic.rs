//! Traffic by hand, in the checker role: orders are decided here, since here is the plan that they name; the supervisor
//! keeps what comes of them.

use super::State;
use crate::link::FromChecker;
use crate::lvs::director::Director;
use crate::lvs::notify;
use crate::lvs::traffic::orders::{Decided, Order, decide};
use crate::lvs::traffic::{Overrides, Traffic, Wall};
use crate::plan::lvs::ServiceKey;
use crate::report::{TrafficOutcome, traffic};
use crate::time::Instant;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::{info, warn};

/// The machine's clock may be set: what depends on it is looked at this often at least.
const LOOK: Duration = Duration::from_secs(30);

/// Orders that may wait for an answer; the supervisor waits for each before long.
const MAX_ANSWERS: usize = 1024;

/// An order is answered when the kernel's table has it, but not later: the supervisor gives up after two seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Overrides that end together and are named in the log one by one; nobody reads more.
const MAX_NAMED: usize = 50;

/// What is said by hand, beside the director.
#[derive(Debug, Default)]
pub struct Desk {
    /// What held before the first plan.
    held: Overrides,
    /// Messages to the supervisor.
    pub answers: VecDeque<FromChecker>,
    /// Orders whose changes the table's thread has in hand, the oldest first.
    in_hand: VecDeque<InHand>,
    since: Since,
}

/// An order that was decided.
#[derive(Debug)]
struct InHand {
    number: u64,
    until: Instant,
    outcome: Box<TrafficOutcome>,
}

/// Since when servers are up or down.
#[derive(Debug, Default)]
struct Since(HashMap<(ServiceKey, SocketAddr), Instant>);

impl Desk {
    /// What was said before this process began.
    pub fn hold(&mut self, overrides: Overrides) {
        self.held = overrides;
    }

    /// For the first plan.
    pub fn first(&mut self) -> Traffic {
        let held = std::mem::take(&mut self.held);
        let (count, now) = (held.0.len(), wall());
        let traffic = Traffic::new(held, now);
        if count > 0 {
            let hold = match traffic.overrides().0.len() {
                0 => {
                    "nothing that was said of traffic by hand holds any more: its time has passed".to_owned()
                }
                1 => "1 thing said of traffic by hand still holds".to_owned(),
                many => format!("{many} things said of traffic by hand still hold"),
            };
            info!("{hold} (holdfastctl overrides)");
        }
        if traffic.overrides().0.len() != count {
            self.tell(traffic.overrides().clone());
        }
        traffic
    }

    /// A server came up or went down.
    pub fn note(&mut self, events: &[notify::Event], now: Instant) {
        for event in events {
            if let notify::Event::ServerUp { service, endpoint, .. }
            | notify::Event::ServerDown { service, endpoint, .. } = event
            {
                self.since.0.insert((*service, *endpoint), now);
            }
        }
    }

    /// Forgets servers that the plan has no more.
    pub fn forget(&mut self, keep: impl Fn(&ServiceKey, &SocketAddr) -> bool) {
        self.since.0.retain(|(service, endpoint), _| keep(service, endpoint));
    }

    /// Since when a server is what it is, if it changed in this process's time.
    pub fn since(&self, service: &ServiceKey, endpoint: &SocketAddr) -> Option<Instant> {
        self.since.0.get(&(*service, *endpoint)).copied()
    }

    /// When patience with the table's thread ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.in_hand.front().map(|order| order.until)
    }

    fn answer(&mut self, order: InHand, trouble: impl IntoIterator<Item = String>) {
        let InHand { number, mut outcome, .. } = order;
        outcome.trouble.extend(trouble);
        self.answers.push_back(FromChecker::Traffic(number, Ok(outcome)));
    }

    fn tell(&mut self, overrides: Overrides) {
        // Only the newest counts.
        self.answers.retain(|message| !matches!(message, FromChecker::Overrides(_)));
        self.answers.push_back(FromChecker::Overrides(overrides));
    }
}

/// The machine's clock.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The numbers of what is about something in the configuration in force.
pub(super) fn fitting(director: &Director) -> BTreeSet<u32> {
    let all = traffic::overrides(director, director.traffic().now());
    all.iter().filter(|over| over.concerns_something).map(|over| over.number).collect()
}

impl State {
    /// An order of an operator. A refusal is answered at once, else the table's thread has the next word.
    pub(super) fn order(&mut self, number: u64, order: &Order) {
        let outcome = self.obey(order);
        match &outcome {
            Ok(outcome) => {
                outcome.said.iter().for_each(|said| info!("by hand: {said}"));
                outcome.warnings.iter().for_each(|warning| warn!("by hand: {warning}"));
            }
            Err(why) => info!("an order by hand is refused: {why}"),
        }
        if self.desk.answers.len() + self.desk.in_hand.len() >= MAX_ANSWERS {
            return;
        }
        match outcome {
            Ok(outcome) => {
                let until = self.now() + PATIENCE;
                self.desk.in_hand.push_back(InHand { number, until, outcome: Box::new(outcome) });
                self.worker.echo(number);
            }
            Err(why) => self.desk.answers.push_back(FromChecker::Traffic(number, Err(why))),
        }
    }

    /// The table's thread has tried what this order changed; what the kernel refused of it was said before.
    pub(super) fn order_tried(&mut self, number: u64) {
        let position = self.desk.in_hand.iter().position(|order| order.number == number);
        // None, if it was answered before.
        if let Some(order) = position.and_then(|position| self.desk.in_hand.remove(position)) {
            let trouble = &self.trouble;
            let trouble = trouble.iter().map(|why| format!("the kernel's table does not follow: {why}"));
            self.desk.answer(order, trouble);
        }
    }

    /// Answers the orders that have waited long enough for the table's thread.
    pub(super) fn answer_late_orders(&mut self) {
        while self.desk.deadline().is_some_and(|until| until <= self.now())
            && let Some(order) = self.desk.in_hand.pop_front()
        {
            let why = "the kernel's table does not have it yet: what was to be done before takes its time";
            self.desk.answer(order, [why.to_owned()]);
        }
    }

    fn obey(&mut self, order: &Order) -> Result<TrafficOutcome, String> {
        if self.stopping {
            return Err("the daemon is stopping".to_owned());
        }
        let now = wall();
        let director = self.director.as_ref();
        let director = director.ok_or("the kernel's table is not known yet; try again in a moment")?;
        let Decided { overrides, said, warnings, touched } = decide(director, order, now)?;
        self.desk.tell(overrides.clone());
        self.set_traffic(Traffic::new(overrides, now));
        let overrides = self.director.as_ref().map(|director| traffic::overrides(director, now));
        let overrides = overrides.unwrap_or_default();
        let table = crate::role::namespace::table();
        Ok(TrafficOutcome { said, warnings, servers: touched, overrides, trouble: Vec::new(), table })
    }

    /// A reload has come; `fitted` are the numbers of what was about something before.
    pub(super) fn follow(&mut self, renamed: bool, fitted: &BTreeSet<u32>) {
        let Some(director) = &self.director else { return };
        if renamed {
            info!(
                "what was said by hand of a group that has another name or other services now holds on (holdfastctl \
                 overrides)"
            );
            self.desk.tell(director.traffic().overrides().clone());
        }
        self.warn_of_lost(|number| fitted.contains(&number));
    }

    /// Of what fits nothing in the plan in force.
    pub(super) fn warn_of_lost(&self, is_news: impl Fn(u32) -> bool) {
        let Some(director) = &self.director else { return };
        let all = traffic::overrides(director, wall());
        let lost = all.iter().filter(|over| !over.concerns_something && is_news(over.number));
        for over in lost.take(MAX_NAMED) {
            let words = over.words(|seconds| format!("{seconds} s"));
            let number = over.number;
            warn!(
                "said by hand, number {number}: {words}; it holds again when that is back, until it is dropped"
            );
        }
    }

    /// Time until something changes by itself.
    pub(super) fn traffic_due(&self) -> Option<Duration> {
        let next = self.director.as_ref()?.traffic().next_change()?;
        Some(Duration::from_millis(next.0.saturating_sub(wall().0)).min(LOOK))
    }

    /// Performs what time has brought.
    pub(super) fn move_traffic_on(&mut self) {
        let Some(director) = self.director.as_ref().filter(|_| !self.stopping) else { return };
        let old = director.traffic();
        // Asking for the time is a system call on some machines, and most of the time nothing is said by hand.
        if old.next_change().is_none() {
            return;
        }
        let now = wall();
        let set_back = now.0.saturating_add(2 * LOOK.as_millis() as u64) < old.now().0;
        if !set_back && old.next_change().is_none_or(|due| now < due) {
            return;
        }
        let new = old.at(now);
        let ended = traffic::ended(director, &new);
        for over in ended.iter().take(MAX_NAMED) {
            info!("said by hand, and over now: {over}");
        }
        if ended.len() > MAX_NAMED {
            info!("{} more things said by hand are over now", ended.len() - MAX_NAMED);
        }
        if !ended.is_empty() {
            self.desk.tell(new.overrides().clone());
        }
        self.set_traffic(new);
    }

    fn set_traffic(&mut self, traffic: Traffic) {
        let Some(director) = &mut self.director else { return };
        let mut events = Vec::new();
        director.set_traffic(traffic, &mut events);
        self.tell(&events);
        super::say(events);
        self.settle();
    }
}
