//! Orders of an operator: checked against the plan in force, they become overrides. Pure.

use super::resolve::{
    real_server, server_name, unknown_server, unknown_set, virtual_server, virtual_server_with,
};
use super::{Hand, MAX_OVERRIDES, Override, Overrides, Ramp, ServerName, Traffic, Wall};
use crate::lvs::director::Director;
use crate::net::TransportProtocol;
use crate::plan::lvs::{ServiceKey, VirtualServer};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The greatest weight, as in keepalived and the kernel.
const MOST_WEIGHT: u32 = 2_147_483_647;

/// The longest ramp, in milliseconds: a month.
const LONGEST_RAMP_MS: u64 = 31 * 86_400_000;

/// Virtual servers that a refusal names; more would fill the screen.
const MAX_NAMED: usize = 20;

/// What an operator wants. Servers are named as he wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// No new connections for a server.
    Drain {
        /// Real server: `ADDRESS:PORT` or `ADDRESS`.
        server: String,
        /// Only there.
        virtual_server: Option<String>,
        /// When it ends by itself.
        until: Option<Wall>,
        /// Even if a quorum is lost.
        force: bool,
    },
    /// The end of that.
    Undrain {
        /// Real server.
        server: String,
        /// Only there.
        virtual_server: Option<String>,
    },
    /// A weight for a server.
    Weight {
        /// Where.
        virtual_server: String,
        /// Real server.
        server: String,
        /// The weight; `None` gives it back to the configuration.
        weight: Option<u32>,
        /// How long it takes to get there, in milliseconds; 0 for at once.
        ramp_ms: u64,
        /// When it ends by itself.
        until: Option<Wall>,
        /// Even if a quorum is lost.
        force: bool,
    },
    /// Traffic for another set of servers.
    Switch {
        /// Where.
        virtual_server: String,
        /// The set; `None` gives the choice back to the configuration.
        set: Option<String>,
        /// When it ends by itself.
        until: Option<Wall>,
        /// Even if a quorum is lost.
        force: bool,
    },
    /// The end of these overrides, by number; of all of them when empty.
    Drop(Vec<u32>),
}

/// What an order comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Everything that is said by hand from now on.
    pub overrides: Overrides,
    /// What was done, in sentences.
    pub said: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The servers that are meant.
    pub touched: Vec<Touched>,
}

/// A server that an order is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Its virtual server, by name.
    pub virtual_server: String,
    /// The kernel's services behind it.
    pub services: Vec<ServiceKey>,
    /// The server.
    pub endpoint: SocketAddr,
    /// With `nftables_ipvs`: the protocol that the mark stands for.
    #[serde(default)]
    pub protocol: Option<TransportProtocol>,
}

impl Touched {
    fn of(server: &VirtualServer, endpoint: SocketAddr) -> Touched {
        // Of marks that the file has beside ours nothing is known.
        let ours_alone = !server.marked.is_empty()
            && server.keys.iter().filter(|key| key.protocol().is_none()).count() == server.marks_of_ours();
        let protocol = server.protocol().filter(|_| ours_alone);
        let virtual_server = server.name.clone();
        Touched { virtual_server, services: server.keys.clone(), endpoint, protocol }
    }
}

/// What `order` comes to at `now`, or why it is refused.
pub fn decide(director: &Director, order: &Order, now: Wall) -> Result<Decided, String> {
    let overrides = director.traffic().at(now).overrides().clone();
    let mut desk =
        Desk { director, now, overrides, said: Vec::new(), warnings: Vec::new(), touched: Vec::new() };
    let force = match order {
        Order::Drain { server, virtual_server, until, force } => {
            desk.drain(server, virtual_server.as_deref(), *until)?;
            *force
        }
        Order::Undrain { server, virtual_server } => {
            desk.undrain(server, virtual_server.as_deref())?;
            true
        }
        Order::Weight { virtual_server, server, weight, ramp_ms, until, force } => {
            desk.weight(virtual_server, server, *weight, *ramp_ms, *until)?;
            *force
        }
        Order::Switch { virtual_server, set, until, force } => {
            desk.switch(virtual_server, set.as_deref(), *until)?;
            *force
        }
        Order::Drop(numbers) => {
            desk.drop_numbers(numbers)?;
            true
        }
    };
    desk.decided(force)
}

fn count(servers: usize) -> String {
    if servers == 1 { "1 server".to_owned() } else { format!("{servers} servers") }
}

/// An order on its way.
struct Desk<'a> {
    director: &'a Director,
    now: Wall,
    overrides: Overrides,
    said: Vec<String>,
    warnings: Vec<String>,
    touched: Vec<Touched>,
}

impl<'a> Desk<'a> {
    fn plan(&self, index: usize) -> &'a VirtualServer {
        &self.director.plan().virtual_servers[index] // found there
    }

    fn drain(&mut self, word: &str, at: Option<&str>, until: Option<Wall>) -> Result<(), String> {
        let plan = self.director.plan();
        let server = server_name(word)?;
        let at = at.map(|at| virtual_server_with(plan, at, Some(word))).transpose()?;
        if let Some(index) = at
            && !plan.virtual_servers[index].real_servers.iter().any(|real| server.names(&real.endpoint))
        {
            return real_server(plan, index, word).map(drop);
        }
        for (index, virtual_server) in plan.virtual_servers.iter().enumerate() {
            if at.is_some_and(|at| at != index) {
                continue;
            }
            let found = virtual_server.real_servers.iter().filter(|real| server.names(&real.endpoint));
            let found: Vec<Touched> = found.map(|real| Touched::of(virtual_server, real.endpoint)).collect();
            if let Some(persistence) = virtual_server.persistence.filter(|_| !found.is_empty()) {
                self.warnings.push(format!(
                    "{} is persistent: its clients come back to the drained server until their {} s are over, unless \
                     sysctl net.ipv4.vs.expire_quiescent_template is 1",
                    virtual_server.name, persistence.timeout_seconds
                ));
            }
            self.touched.extend(found);
        }
        if self.touched.is_empty() {
            return Err(unknown_server(plan, &server));
        }
        let of = at.map(|index| self.plan(index));
        let service = of.map(VirtualServer::service);
        let same = |over: &Override| match &over.hand {
            Hand::Drain { service: s, server: n } if *n == server => {
                s.is_some() == of.is_some() && of.is_none_or(|of| over.is_about(of))
            }
            _ => false,
        };
        if until.is_some() && self.overrides.0.iter().any(|over| same(over) && over.until.is_none()) {
            self.warnings
                .push(format!("{server} was drained without an end; now it is drained until the end given"));
        }
        self.overrides.0.retain(|over| !same(over));
        self.say(Hand::Drain { service, server }, of, until)?;
        self.said.push(format!("{server} is drained at {}: no new connections", self.places()));
        Ok(())
    }

    /// The virtual servers of the touched servers, in words.
    fn places(&self) -> String {
        let mut names: Vec<&str> =
            self.touched.iter().map(|touched| touched.virtual_server.as_str()).collect();
        names.dedup();
        match names.as_slice() {
            [one] => (*one).to_owned(),
            many => format!("{} virtual servers", many.len()),
        }
    }

    fn undrain(&mut self, word: &str, at: Option<&str>) -> Result<(), String> {
        let plan = self.director.plan();
        let wanted = server_name(word)?;
        let at = at.map(|at| virtual_server_with(plan, at, Some(word))).transpose()?;
        let of = at.map(|index| self.plan(index));
        let meant = |server: &ServerName| {
            server.address == wanted.address && (wanted.port.is_none() || wanted.port == server.port)
        };
        let mut everywhere = false;
        let before = self.overrides.0.len();
        self.overrides.0.retain(|over| match &over.hand {
            Hand::Drain { service, server } if meant(server) => match (of, service) {
                (None, _) => false,
                (Some(of), Some(_)) => !over.is_about(of),
                (Some(_), None) => {
                    everywhere = true;
                    true
                }
            },
            _ => true,
        });
        if before == self.overrides.0.len() {
            return Err(match everywhere {
                true => format!("{wanted} is drained at all virtual servers: undrain it without --vs"),
                false => self.not_drained(&wanted),
            });
        }
        self.said.push(format!("{wanted} is no longer drained"));
        Ok(())
    }

    fn not_drained(&self, wanted: &ServerName) -> String {
        let drained: Vec<String> = self
            .overrides
            .0
            .iter()
            .filter_map(|over| match &over.hand {
                Hand::Drain { server, .. } => Some(server.to_string()),
                Hand::Weight { .. } | Hand::Set { .. } => None,
            })
            .take(5)
            .collect();
        match drained.is_empty() {
            true => format!("{wanted} is not drained, nor is any other server"),
            false => format!("{wanted} is not drained; drained are {}", drained.join(", ")),
        }
    }

    fn weight(
        &mut self,
        at: &str,
        word: &str,
        weight: Option<u32>,
        ramp_ms: u64,
        until: Option<Wall>,
    ) -> Result<(), String> {
        let plan = self.director.plan();
        let index = virtual_server_with(plan, at, Some(word))?;
        let position = real_server(plan, index, word)?;
        let of = self.plan(index);
        let server = &of.real_servers[position]; // found there
        let (endpoint, name) = (server.endpoint, &of.name);
        let from = self.director.weight(index, position);
        let drained = self.director.traffic().drained(of, &endpoint).is_some();
        self.touched.push(Touched::of(of, endpoint));
        let same = |over: &Override| {
            matches!(over.hand, Hand::Weight { endpoint: e, .. } if e == endpoint) && over.is_about(of)
        };
        let before = self.overrides.0.len();
        self.overrides.0.retain(|over| !same(over));
        let Some(weight) = weight else {
            if before == self.overrides.0.len() {
                return Err(format!("the weight of {endpoint} at {name} is not given by hand"));
            }
            self.said
                .push(format!("{endpoint} at {name} has its configured weight again, {}", server.weight));
            return Ok(());
        };
        if weight > MOST_WEIGHT {
            return Err(format!("{weight} is too much for a weight: {MOST_WEIGHT} is the greatest"));
        }
        if ramp_ms > LONGEST_RAMP_MS {
            return Err("a ramp of more than 31 days".to_owned());
        }
        let ramp =
            (ramp_ms > 0 && from != weight).then_some(Ramp { from, begun: self.now, lasts_ms: ramp_ms });
        if until.zip(ramp).is_some_and(|(until, ramp)| until < ramp.end()) {
            return Err("its end comes before the ramp has arrived: give it a later --until".to_owned());
        }
        self.say(Hand::Weight { service: of.service(), endpoint, weight, ramp }, Some(of), until)?;
        self.said.push(match ramp {
            Some(_) => format!("{endpoint} at {name}: weight {from}, on its way to {weight}"),
            None => format!("{endpoint} at {name} has weight {weight}"),
        });
        if drained {
            self.warnings.push(format!("{endpoint} is drained: the weight counts when that ends"));
        } else if self.director.traffic().rests(self.plan(index), &self.plan(index).real_servers[position]) {
            self.warnings.push(format!("the set of {endpoint} is not in use: the weight counts when it is"));
        }
        if !self.director.server_up(index, position) {
            self.warnings.push(format!("{endpoint} is down: the weight counts when its checks succeed"));
        }
        Ok(())
    }

    fn switch(&mut self, at: &str, set: Option<&str>, until: Option<Wall>) -> Result<(), String> {
        let plan = self.director.plan();
        let index = virtual_server(plan, at)?;
        let of = self.plan(index);
        let name = &of.name;
        self.touched = of
            .real_servers
            .iter()
            .filter(|server| server.set.is_some())
            .map(|server| Touched::of(of, server.endpoint))
            .collect();
        let before = self.overrides.0.len();
        self.overrides.0.retain(|over| !matches!(over.hand, Hand::Set { .. }) || !over.is_about(of));
        let Some(set) = set else {
            if before == self.overrides.0.len() {
                return Err(format!("the set of {name} is not chosen by hand"));
            }
            let now = self
                .plan(index)
                .active_set
                .as_deref()
                .map_or("all sets serve".to_owned(), |set| format!("set {set}"));
            self.said.push(format!("{name}: the configuration chooses again: {now}"));
            return Ok(());
        };
        let members =
            of.real_servers.iter().enumerate().filter(|(_, server)| server.set.as_deref() == Some(set));
        let members: Vec<usize> = members.map(|(position, _)| position).collect();
        if members.is_empty() {
            return Err(unknown_set(plan, index, set));
        }
        let down = members.iter().filter(|position| !self.director.server_up(index, **position)).count();
        if down > 0 {
            self.warnings.push(format!("{down} of {} of set {set} down", count(members.len())));
        }
        self.say(Hand::Set { service: of.service(), set: set.to_owned() }, Some(of), until)?;
        self.said.push(format!(
            "{name}: set {set} serves, {}; the others take no new connections",
            count(members.len())
        ));
        Ok(())
    }

    fn drop_numbers(&mut self, numbers: &[u32]) -> Result<(), String> {
        for number in numbers {
            if !self.overrides.0.iter().any(|over| over.number == *number) {
                return Err(format!("there is no override {number}; nothing is dropped"));
            }
        }
        let before = self.overrides.0.len();
        self.overrides.0.retain(|over| !numbers.is_empty() && !numbers.contains(&over.number));
        self.said.push(match before - self.overrides.0.len() {
            0 => "nothing is overridden".to_owned(),
            1 => "1 override dropped".to_owned(),
            count => format!("{count} overrides dropped"),
        });
        Ok(())
    }

    /// `at`: the virtual server, unless all of them are meant.
    fn say(&mut self, hand: Hand, at: Option<&VirtualServer>, until: Option<Wall>) -> Result<(), String> {
        if self.overrides.0.len() >= MAX_OVERRIDES {
            return Err(format!(
                "there are {MAX_OVERRIDES} overrides already: drop some (holdfastctl overrides)"
            ));
        }
        if until.is_some_and(|until| until <= self.now) {
            return Err("its end is in the past".to_owned());
        }
        let number =
            (1..).find(|n| self.overrides.0.iter().all(|over| over.number != *n)).unwrap_or(u32::MAX);
        let group = at.and_then(|plan| plan.group()).map(str::to_owned);
        self.overrides.0.push(Override { number, hand, given: self.now, until, group });
        Ok(())
    }

    /// Refuses what costs a quorum, unless it is meant.
    fn decided(mut self, force: bool) -> Result<Decided, String> {
        let after = Traffic::new(self.overrides.clone(), self.now).arrived();
        let mut losses = Vec::new();
        for (index, plan) in self.director.plan().virtual_servers.iter().enumerate() {
            let touched = self.touched.iter().any(|touched| touched.services == plan.keys);
            if !touched || !self.director.quorum_up(index) || self.director.would_keep_quorum(index, &after) {
                continue;
            }
            let left = self.director.live_weight_with(index, &after);
            let needed = u64::from(plan.quorum).saturating_sub(u64::from(plan.hysteresis)).max(1);
            let then = match (&plan.sorry_server, left) {
                (Some(sorry), _) => format!("the sorry server {} serves", sorry.endpoint),
                (None, 0) => "nobody takes new connections".to_owned(),
                (None, _) => "the others go on serving".to_owned(),
            };
            losses.push(format!(
                "{} loses its quorum: live weight {left}, at least {needed} needed; {then}",
                plan.name
            ));
        }
        if !force && !losses.is_empty() {
            let more = losses.len().saturating_sub(MAX_NAMED);
            losses.truncate(MAX_NAMED);
            if more > 0 {
                losses.push(format!("So do {more} more virtual servers"));
            }
            return Err(format!(
                "{}. Nothing is changed; --force does it in spite of that",
                losses.join(". ")
            ));
        }
        self.warnings.extend(losses);
        let Desk { overrides, said, warnings, touched, .. } = self;
        Ok(Decided { overrides, said, warnings, touched })
    }
}
