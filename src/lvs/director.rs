//! Holds the last verdict of every checker and derives from them the whole table the kernel should have.
//!
//! As keepalived: a server is down from the first failed check until the last failed check recovers; a virtual server
//! whose quorum is lost hands all its traffic to the sorry server, if there is one.
//!
//! Beyond keepalived: at start a server keeps the state in which the kernel has it until its checks have spoken, so
//! that a restart of this role puts no dead server back into service.

mod reload;

use super::answers::{Answers, Asker};
use super::notify::{Event, Figures, Up};
use super::ramp::Ramp;
use super::table::{Destination, Service, ServiceSettings, Table};
use super::traffic::Traffic;
use crate::plan::check::{CheckKind, Question, WeightChange};
use crate::plan::lvs::{ForwardingMethod, LvsPlan, RealServer, ServiceKey, VirtualServer};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// The policy of all virtual servers.
#[derive(Debug, Default)]
pub struct Director {
    pub(super) plan: LvsPlan,
    pub(super) states: Vec<VirtualState>,
    pub(super) answers: Answers,
    desired: Table,
    changed: BTreeSet<ServiceKey>,
    traffic: Traffic,
    /// The time as it was told last.
    pub(super) now: Instant,
    /// When a weight that grows takes its next step.
    pub(super) next_step: Option<Instant>,
    /// To be told of what is new.
    pub(super) first_news: Vec<Event>,
}

/// State of one virtual server, beside its plan.
#[derive(Debug)]
pub(super) struct VirtualState {
    pub(super) quorum_up: bool,
    /// Nothing was told of it yet.
    pub(super) is_new: bool,
    pub(super) servers: Vec<ServerState>,
}

/// State of one real server, beside its plan.
#[derive(Clone, Debug)]
pub(super) struct ServerState {
    pub(super) up: bool,
    /// What it weighs: what was given by hand, else the configured weight and what checks say of it.
    pub(super) weight: u32,
    /// The one given by hand.
    pub(super) by_hand: Option<u32>,
    presumed: Presumed,
    /// Nothing was told of it yet.
    pub(super) is_new: bool,
    /// Of the failed check, for people.
    cause: Option<Box<str>>,
    /// `slow_start`.
    pub(super) ramp: Ramp,
    /// `min_alive` keeps it in service although its checks fail.
    pub(super) kept: bool,
    /// Was it in service, up or kept, when that was last decided?
    pub(super) served: bool,
}

impl ServerState {
    /// The weight that the kernel gets: a growing one (`slow_start`) unless it was given by hand.
    fn in_force(&self, plan: &RealServer, now: Instant) -> u32 {
        self.by_hand.unwrap_or_else(|| self.ramp.weight(self.weight, plan.slow_start, now))
    }

    /// Drained, of a set that rests, or given a weight of 0.
    pub(super) fn is_out_by_hand(&self) -> bool {
        self.by_hand == Some(0)
    }
}

/// What a server counts as while a check of it has not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presumed {
    Up,
    Down,
    /// Down if the check says `alpha`, up otherwise.
    AsConfigured,
}

impl Director {
    /// The first plan, on top of what the kernel has: `observed`, all services in it.
    pub fn start(plan: LvsPlan, observed: &Table, events: &mut Vec<Event>) -> Director {
        Director::start_with(plan, observed, Traffic::default(), events)
    }

    /// The same, where something was said by hand before.
    pub fn start_with(
        plan: LvsPlan,
        observed: &Table,
        traffic: Traffic,
        events: &mut Vec<Event>,
    ) -> Director {
        let mut director = Director { traffic, ..Director::default() };
        let by_hand = &director.traffic;
        let states =
            plan.virtual_servers.iter().map(|server| adopt(server, observed, by_hand, events)).collect();
        director.take_plan(plan, states, events);
        director
    }

    /// Verdicts of a process before this one, right after the start. How many there were. What follows from them is
    /// what that process told already.
    pub fn restore(
        &mut self,
        known: impl Fn(&Question) -> Option<(Result<(), String>, WeightChange)>,
    ) -> usize {
        let mut restored = 0;
        for (question, answer) in self.answers.iter_mut() {
            if let Some((result, change)) = known(question) {
                (answer.last, answer.change) = (Some(result.map_err(Box::from)), Some(change));
                restored += 1;
            }
        }
        let mut told_already = Vec::new();
        for index in 0..self.states.len() {
            for server in 0..self.states[index].servers.len() {
                self.evaluate_server(index, server, &mut told_already);
            }
            self.evaluate_quorum(index, &mut told_already);
            self.derive(index);
        }
        restored
    }

    /// A checker changed its mind: works, or does not and why.
    pub fn verdict(&mut self, question: &Question, result: Result<(), String>, events: &mut Vec<Event>) {
        let Some(answer) = self.answers.get_mut(question) else { return };
        let first = answer.last.replace(result.map_err(Box::from)).is_none();
        for (virtual_index, server_index) in answer.askers().into_iter().map(Asker::places) {
            let waited = first && self.waits(virtual_index, server_index);
            if self.evaluate_server(virtual_index, server_index, events) {
                self.evaluate_quorum(virtual_index, events);
                self.derive(virtual_index);
            } else if waited && tells_first_failure(&question.kind) {
                events.extend(self.down(virtual_index, server_index));
            }
        }
    }

    /// Has the server been down from the start, for want of answers (`alpha`)?
    pub(super) fn waits(&self, index: usize, server: usize) -> bool {
        let state = self.states.get(index).and_then(|state| state.servers.get(server));
        state.is_some_and(|state| {
            !state.up && state.cause.is_none() && state.presumed == Presumed::AsConfigured
        })
    }

    /// That a server is down, if a check of it says so.
    pub(super) fn down(&self, index: usize, server_index: usize) -> Option<Event> {
        let plan = self.plan.virtual_servers.get(index)?;
        Some(Event::ServerDown {
            virtual_server: plan.name.clone(),
            service: *plan.keys.first()?,
            endpoint: plan.real_servers.get(server_index)?.endpoint,
            cause: self.cause(index, server_index)?.to_owned(),
        })
    }

    /// A checker says something else of the weight of those who ask it.
    pub fn weigh(&mut self, question: &Question, change: WeightChange, events: &mut Vec<Event>) {
        let Some(answer) = self.answers.get_mut(question) else { return };
        answer.change = Some(change);
        for (virtual_index, server_index) in answer.askers().into_iter().map(Asker::places) {
            self.evaluate_server(virtual_index, server_index, events);
            self.evaluate_quorum(virtual_index, events);
            self.derive(virtual_index);
        }
    }

    /// Something else is said by hand, or time has moved on.
    pub fn set_traffic(&mut self, traffic: Traffic, events: &mut Vec<Event>) {
        self.traffic = traffic;
        for index in 0..self.states.len() {
            let plan = &self.plan.virtual_servers[index]; // as many as states
            let servers = plan.real_servers.iter().zip(&self.states[index].servers);
            let mut servers =
                servers.map(|(server, state)| self.traffic.weight(plan, server) != state.by_hand);
            if !servers.any(|changed| changed) {
                continue;
            }
            for server in 0..self.states[index].servers.len() {
                self.evaluate_server(index, server, events);
            }
            self.evaluate_quorum(index, events);
            self.derive(index);
        }
    }

    /// What is said by hand.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What the live weight of virtual server number `index` would be with `traffic`.
    pub fn live_weight_with(&self, index: usize, traffic: &Traffic) -> u64 {
        let (Some(plan), Some(state)) = (self.plan.virtual_servers.get(index), self.states.get(index)) else {
            return 0;
        };
        let servers = plan.real_servers.iter().zip(&state.servers);
        let servers = servers.filter(|(_, state)| state.up || state.kept);
        let weight = |(server, _)| {
            let by_hand = traffic.weight(plan, server);
            u64::from(by_hand.unwrap_or_else(|| weight(server, &self.answers)))
        };
        servers.map(weight).sum()
    }

    /// Would virtual server number `index`, whose quorum is met, keep it with `traffic`?
    pub fn would_keep_quorum(&self, index: usize, traffic: &Traffic) -> bool {
        let live_weight = self.live_weight_with(index, traffic);
        self.plan.virtual_servers.get(index).is_some_and(|plan| is_met(plan, live_weight, true))
    }

    /// The weight in force, when it serves, of real server number `server` of virtual server number `index`.
    pub fn weight(&self, index: usize, server: usize) -> u32 {
        let state = self.states.get(index).and_then(|state| state.servers.get(server));
        let plan = self.plan.virtual_servers.get(index).and_then(|plan| plan.real_servers.get(server));
        plan.zip(state).map_or(0, |(plan, state)| state.in_force(plan, self.now))
    }

    /// The table the kernel should have, foreign services aside.
    pub fn desired(&self) -> &Table {
        &self.desired
    }

    /// The services whose desired state changed (or ended) since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<ServiceKey> {
        std::mem::take(&mut self.changed)
    }

    /// The plan in force.
    pub fn plan(&self) -> &LvsPlan {
        &self.plan
    }

    /// Is the quorum of virtual server number `index` met?
    pub fn quorum_up(&self, index: usize) -> bool {
        self.states.get(index).is_some_and(|state| state.quorum_up)
    }

    /// Is real server number `server` of virtual server number `index` up?
    pub fn server_up(&self, index: usize, server: usize) -> bool {
        self.states.get(index).and_then(|state| state.servers.get(server)).is_some_and(|server| server.up)
    }

    /// Why real server number `server` of virtual server number `index` is down.
    pub fn cause(&self, index: usize, server: usize) -> Option<&str> {
        let state = self.states.get(index).and_then(|state| state.servers.get(server))?;
        state.cause.as_deref()
    }

    /// Sum of the weights of the servers of virtual server number `index` that are up, or kept in service.
    pub fn live_weight(&self, index: usize) -> u64 {
        let (Some(plan), Some(state)) = (self.plan.virtual_servers.get(index), self.states.get(index)) else {
            return 0;
        };
        live_weight(plan, state)
    }

    /// At the end: with `omega` everything that is up is told of as down.
    pub fn last_news(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (plan, state) in self.plan.virtual_servers.iter().zip(&self.states).filter(|(plan, _)| plan.omega)
        {
            for (server, _) in plan.real_servers.iter().zip(&state.servers).filter(|(_, state)| state.up) {
                events.push(Event::ServerDown {
                    virtual_server: plan.name.clone(),
                    service: plan.keys[0], // a plan has one at least
                    endpoint: server.endpoint,
                    cause: "the daemon stops".to_owned(),
                });
            }
            if state.quorum_up {
                events.push(quorum_event(plan, 0, true, false));
            }
        }
        events
    }

    fn take_plan(&mut self, plan: LvsPlan, states: Vec<VirtualState>, events: &mut Vec<Event>) {
        let old = std::mem::take(&mut self.answers);
        self.answers = Answers::of_plan(questions(&plan), old);
        self.plan = plan;
        self.states = states;
        self.drop_services_that_left();
        for index in 0..self.states.len() {
            self.begin(index, events);
            self.derive(index);
        }
    }

    fn drop_services_that_left(&mut self) {
        let named: BTreeSet<ServiceKey> =
            self.plan.virtual_servers.iter().flat_map(|server| server.keys.iter().copied()).collect();
        let changed = &mut self.changed;
        self.desired.services.retain(|key, _| {
            let stays = named.contains(key);
            if !stays {
                changed.insert(*key);
            }
            stays
        });
    }

    /// Applies the verdicts to one server; true if its state changed.
    pub(super) fn evaluate_server(
        &mut self,
        index: usize,
        server_index: usize,
        events: &mut Vec<Event>,
    ) -> bool {
        let virtual_server = &self.plan.virtual_servers[index]; // indices come from the plan in force
        let server = &virtual_server.real_servers[server_index];
        let state = &mut self.states[index].servers[server_index];
        let (up, cause) = judge(server, state.presumed, &self.answers);
        let was = std::mem::replace(&mut state.up, up);
        // The only place where a weight is decided.
        state.by_hand = self.traffic.weight(virtual_server, server);
        state.weight = state.by_hand.unwrap_or_else(|| weight(server, &self.answers));
        state.cause = cause.clone();
        if was == up {
            return false;
        }
        // One that was kept in service is not cold.
        state.ramp = if up && !state.kept { Ramp::begin(self.now) } else { Ramp::default() };
        let (virtual_server, service) = (virtual_server.name.clone(), virtual_server.keys[0]); // a plan has one at least
        let endpoint = server.endpoint;
        events.push(if up {
            let why = why_up(server, &self.answers);
            Event::ServerUp { virtual_server, service, endpoint, why }
        } else {
            let cause = cause.map_or_else(|| "its checks have not spoken yet".into(), String::from);
            Event::ServerDown { virtual_server, service, endpoint, cause }
        });
        true
    }

    pub(super) fn evaluate_quorum(&mut self, index: usize, events: &mut Vec<Event>) {
        self.keep_floor(index, events);
        self.plan_steps(index);
        let plan = &self.plan.virtual_servers[index];
        let state = &mut self.states[index];
        let live_weight = live_weight(plan, state);
        let up = is_met(plan, live_weight, state.quorum_up);
        let was_met = std::mem::replace(&mut state.quorum_up, up);
        if was_met != up {
            events.push(quorum_event(plan, live_weight, was_met, up));
        }
    }

    /// Renews the desired services of one virtual server.
    pub(super) fn derive(&mut self, index: usize) {
        let plan = &self.plan.virtual_servers[index];
        // Collected once more: a map that grew piece by piece is half empty.
        let service = |key: &ServiceKey| {
            let destinations = destinations(plan, &self.states[index], key, self.now).into_iter().collect();
            Arc::new(Service { settings: settings(plan), destinations })
        };
        let mut of = plan.keys[0]; // a plan has one at least
        let mut service_of = service(&of);
        for key in &plan.keys {
            // Services of a group differ by port and family at most.
            if (key.port(), key.family()) != (of.port(), of.family()) {
                (of, service_of) = (*key, service(key));
            }
            let service = &service_of;
            if self.desired.services.get(key) != Some(service) {
                self.desired.services.insert(*key, service.clone());
                self.changed.insert(*key);
            }
        }
    }
}

/// Is the quorum met by this weight? `was`: was it before? Weights given by hand count as they are: a quorum is a measure
/// of who takes traffic.
pub(super) fn is_met(plan: &VirtualServer, live_weight: u64, was: bool) -> bool {
    let (quorum, hysteresis) = (u64::from(plan.quorum), u64::from(plan.hysteresis));
    let needed = if was { quorum.saturating_sub(hysteresis) } else { quorum + hysteresis };
    live_weight > 0 && live_weight >= needed
}

/// A quorum that is gained or lost; `was_met`: before.
pub(super) fn quorum_event(plan: &VirtualServer, live_weight: u64, was_met: bool, up: bool) -> Event {
    let quorum = Figures { live_weight, quorum: plan.quorum, hysteresis: plan.hysteresis };
    let sorry_server = plan.sorry_server.as_ref().map(|sorry| sorry.endpoint);
    let (virtual_server, service) = (plan.name.clone(), plan.keys[0]); // a plan has one at least
    if up {
        Event::QuorumGained { virtual_server, service, quorum, sorry_server }
    } else {
        Event::QuorumLost { was_met, virtual_server, service, quorum, sorry_server }
    }
}

/// The questions of a plan, repetitions included, with who asks them.
fn questions(plan: &LvsPlan) -> impl Iterator<Item = (&Arc<Question>, Asker)> + Clone {
    plan.virtual_servers.iter().enumerate().flat_map(|(virtual_index, virtual_server)| {
        virtual_server.real_servers.iter().enumerate().flat_map(move |(index, server)| {
            let asker = Asker::new(virtual_index, index);
            server.checkers.iter().filter_map(move |checker| Some((checker.question(), asker?)))
        })
    })
}

/// Is the first failure of a server that waited for its checks (`alpha`) told of, although it was down already? As seen of
/// keepalived 2.2.7: those of HTTP_GET and SSL_GET are not.
pub(super) fn tells_first_failure(kind: &CheckKind) -> bool {
    !matches!(kind, CheckKind::Http(_)) && kind.tracker().is_none()
}

/// Up or down, and the cause of the latter.
fn judge(server: &RealServer, presumed: Presumed, answers: &Answers) -> (bool, Option<Box<str>>) {
    let mut up = true;
    for checker in &server.checkers {
        let question = checker.question();
        match answers.get(question).and_then(|answer| answer.last.as_ref()) {
            Some(Ok(())) => {}
            Some(Err(cause)) => return (false, Some(format!("{question}: {cause}").into())),
            None => {
                up &= match presumed {
                    Presumed::Up => true,
                    Presumed::Down => false,
                    Presumed::AsConfigured => !checker.alpha,
                }
            }
        }
    }
    (up, None)
}

/// Why a server is up that is.
pub(super) fn why_up(server: &RealServer, answers: &Answers) -> Up {
    let spoken = |question| answers.get(question).is_some_and(|answer| answer.last.is_some());
    if server.checkers.is_empty() {
        Up::Unchecked
    } else if server.checkers.iter().all(|checker| spoken(checker.question())) {
        Up::Checked
    } else {
        Up::Presumed
    }
}

pub(super) fn live_weight(plan: &VirtualServer, state: &VirtualState) -> u64 {
    let servers = plan.real_servers.iter().zip(&state.servers);
    servers.filter(|(_, state)| state.up || state.kept).map(|(_, state)| u64::from(state.weight)).sum()
}

/// As keepalived: what checks say of the weight adds up to the configured one, between 0 and the kernel's greatest.
fn weight(server: &RealServer, answers: &Answers) -> u32 {
    let configured = i64::from(server.weight);
    let by = |change| match change {
        WeightChange::To(weight) => i64::from(weight) - configured,
        WeightChange::By(by) => by,
    };
    let changes = server.checkers.iter().filter_map(|checker| answers.get(checker.question())?.change);
    let weight = changes.map(by).fold(configured, i64::saturating_add);
    u32::try_from(weight.clamp(0, MOST_WEIGHT)).unwrap_or(0)
}

/// The kernel's greatest weight.
const MOST_WEIGHT: i64 = 2_147_483_647;

fn settings(plan: &VirtualServer) -> ServiceSettings {
    ServiceSettings {
        scheduler: plan.scheduler.clone(),
        scheduler_flags: plan.scheduler_flags,
        persistence: plan.persistence,
        persistence_engine: plan.persistence_engine.clone(),
        one_packet: plan.one_packet,
    }
}

/// Who gets traffic of the service `key`. With a sorry server and no quorum: it alone; otherwise the servers that are up.
fn destinations(
    plan: &VirtualServer,
    state: &VirtualState,
    key: &ServiceKey,
    now: Instant,
) -> BTreeMap<SocketAddr, Destination> {
    let sorry_serves = plan.sorry_server.is_some() && !state.quorum_up;
    let mut table = BTreeMap::new();
    for (server, state) in plan.real_servers.iter().zip(&state.servers) {
        let serves = (state.up || state.kept) && !sorry_serves;
        // Who was taken out by hand keeps the connections it has as long as it is up, whoever serves.
        let drains = state.up && state.is_out_by_hand();
        if serves || drains || server.inhibit_on_failure {
            table.insert(
                server.forwarding.destination(server.endpoint, key),
                Destination {
                    forwarding: server.forwarding,
                    weight: if serves { state.in_force(server, now) } else { 0 },
                    upper_threshold: server.upper_threshold,
                    lower_threshold: server.lower_threshold,
                },
            );
        }
    }
    if let Some(sorry) = &plan.sorry_server {
        let weight = u32::from(sorry_serves);
        let destination =
            Destination { forwarding: sorry.forwarding, weight, upper_threshold: 0, lower_threshold: 0 };
        let endpoint = sorry.forwarding.destination(sorry.endpoint, key);
        if sorry_serves {
            table.insert(endpoint, destination);
        } else if sorry.inhibit {
            // One that is a real server too goes on as such.
            table.entry(endpoint).or_insert(destination);
        }
    }
    table
}

/// State of a virtual server at start, from what the kernel has.
fn adopt(plan: &VirtualServer, observed: &Table, traffic: &Traffic, events: &mut Vec<Event>) -> VirtualState {
    let weight = |endpoint, method| observed_weight(plan, observed, endpoint, method);
    let is_live = |endpoint, method| weight(endpoint, method).is_some_and(|weight| weight > 0);
    let sorry_serves =
        plan.sorry_server.as_ref().is_some_and(|sorry| is_live(sorry.endpoint, sorry.forwarding));
    let somebody_serves = plan.real_servers.iter().any(|server| is_live(server.endpoint, server.forwarding));
    // One of ours serves: an earlier run left this table, and who is not in it was taken out for a reason.
    let left_by_us = sorry_serves || somebody_serves;
    let weighs = |server: &RealServer| traffic.weight(plan, server).unwrap_or(server.weight);
    let presumed = |server: &RealServer| match weight(server.endpoint, server.forwarding) {
        // Who fails is in the table only with `inhibit_on_failure`. Another weight of 0 was given by hand, to a set that
        // rested or by another configuration, and says nothing of health.
        Some(0) if server.inhibit_on_failure && weighs(server) > 0 => Presumed::Down,
        Some(_) => Presumed::Up,
        None if left_by_us => Presumed::Down,
        None => Presumed::AsConfigured,
    };
    // Who served has no weight any more: what the table says of the others would leave nobody.
    let serves = |server: &RealServer| weighs(server) > 0 && presumed(server) != Presumed::Down;
    let is_deserted = !sorry_serves && !plan.real_servers.iter().any(serves);
    let mut server = |server: &RealServer| {
        let presumed = match presumed(server) {
            Presumed::Down if is_deserted => Presumed::AsConfigured,
            presumed => presumed,
        };
        let state = initial(server, presumed);
        if presumed == Presumed::Down && !state.up {
            let (virtual_server, endpoint) = (plan.name.clone(), server.endpoint);
            let service = plan.keys[0]; // a plan has one at least
            events.push(Event::ServerWaits { virtual_server, service, endpoint });
        }
        state
    };
    VirtualState {
        quorum_up: !sorry_serves && somebody_serves,
        is_new: true,
        servers: plan.real_servers.iter().map(&mut server).collect(),
    }
}

/// The weight that the kernel has for a server, the greatest where a group's services differ.
pub(super) fn observed_weight(
    plan: &VirtualServer,
    observed: &Table,
    endpoint: SocketAddr,
    method: ForwardingMethod,
) -> Option<u32> {
    let have = |key: &ServiceKey| {
        let service = observed.services.get(key)?;
        service.destinations.get(&method.destination(endpoint, key)).map(|have| have.weight)
    };
    plan.keys.iter().filter_map(have).max()
}

/// A server before any verdict: no transition is reported for what it starts as.
fn initial(server: &RealServer, presumed: Presumed) -> ServerState {
    let (up, cause) = judge(server, presumed, &Answers::default());
    ServerState {
        up,
        weight: server.weight,
        by_hand: None,
        presumed,
        is_new: true,
        cause,
        ramp: Ramp::default(),
        kept: false,
        served: up,
    }
}

#[cfg(test)]
mod tests;
