//! Traffic by hand: what an operator has said of weights, and what that makes of a server's weight now. Pure.
//!
//! The hand is stronger than the configuration and than what checks say of weights, and weaker than what checks say of
//! health: nobody is put into service by hand. Where several things were said of one server, the first of these counts:
//! it is drained, it is not of the set in use, its weight was given.
//!
//! Times are of the wall clock, since what is said here outlives processes and the machine. A clock that is set moves a
//! ramp with it; the end of a ramp is never passed.

mod follow;
pub mod orders;
pub mod resolve;

use crate::plan::lvs::{Kind, RealServer, ServiceKey, VirtualServer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The most overrides kept: a person cannot follow more, and each costs room in a message.
pub const MAX_OVERRIDES: usize = 10_000;

/// Between two steps of a ramp, in milliseconds: each is a batch of messages to the kernel.
const RAMP_STEP_MS: u64 = 1000;

/// Milliseconds since 1970 (UTC), as the machine's clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub u64);

/// Everything said by hand, in the order in which it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides(pub Vec<Override>);

/// One thing said by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Names it, from 1 on; not given again while it is in force.
    pub number: u32,
    /// What.
    pub hand: Hand,
    /// When it was said.
    pub given: Wall,
    /// When it ends by itself.
    #[serde(default)]
    pub until: Option<Wall>,
    /// The group whose virtual server is meant. It has this name and is of the kind of the service that is named, whatever
    /// addresses the configuration gives to it meanwhile.
    #[serde(default)]
    pub group: Option<String>,
}

impl Override {
    /// Is `plan` a virtual server that it is about?
    pub fn is_about(&self, plan: &VirtualServer) -> bool {
        let Some(service) = self.hand.service() else { return true };
        match &self.group {
            Some(group) => plan.group() == Some(group) && plan.kind() == service.kind(),
            None => plan.known_as().any(|key| key == service),
        }
    }
}

/// What can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hand {
    /// No new connections.
    Drain {
        /// At this virtual server (one of its services); at all of them without.
        service: Option<ServiceKey>,
        /// The server.
        server: ServerName,
    },
    /// A weight, at once or bit by bit.
    Weight {
        /// The virtual server (one of its services).
        service: ServiceKey,
        /// The server.
        endpoint: SocketAddr,
        /// The weight in the end.
        weight: u32,
        /// How it gets there.
        #[serde(default)]
        ramp: Option<Ramp>,
    },
    /// Of the servers that belong to a set, only those of this one get traffic.
    Set {
        /// The virtual server (one of its services).
        service: ServiceKey,
        /// The set's name.
        set: String,
    },
}

impl Hand {
    /// One of the services of the virtual server that is meant; none for all of them.
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Hand::Drain { service, .. } => service.as_ref(),
            Hand::Weight { service, .. } | Hand::Set { service, .. } => Some(service),
        }
    }
}

/// A real server as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerName {
    /// Its address.
    pub address: IpAddr,
    /// Its port; every port without.
    pub port: Option<u16>,
}

impl ServerName {
    /// Does it name this one?
    pub fn names(&self, endpoint: &SocketAddr) -> bool {
        self.address == endpoint.ip() && self.port.is_none_or(|port| port == endpoint.port())
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// A straight way from one weight to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    /// The weight when it began.
    pub from: u32,
    /// When that was.
    pub begun: Wall,
    /// How long it takes, in milliseconds; not 0.
    pub lasts_ms: u64,
}

impl Ramp {
    /// The weight at `now`, on the way to `weight`.
    fn at(&self, weight: u32, now: Wall) -> u32 {
        let gone = now.0.saturating_sub(self.begun.0).min(self.lasts_ms);
        let (from, to) = (i128::from(self.from), i128::from(weight));
        let there = from + (to - from) * i128::from(gone) / i128::from(self.lasts_ms.max(1));
        u32::try_from(there).unwrap_or(weight)
    }

    /// When it arrives.
    pub fn end(&self) -> Wall {
        Wall(self.begun.0.saturating_add(self.lasts_ms))
    }
}

/// What was said by hand, ready to be asked about a server.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    overrides: Overrides,
    now: Wall,
    /// By the address of the server.
    drains: BTreeMap<IpAddr, Vec<usize>>,
    weights: BTreeMap<SocketAddr, Vec<usize>>,
    sets: BTreeMap<ServiceKey, usize>,
    /// By the group and which of its virtual servers.
    sets_of_groups: BTreeMap<(String, Kind), usize>,
}

impl Traffic {
    /// What holds of `overrides` at `now`: those whose time is over are left out.
    pub fn new(overrides: Overrides, now: Wall) -> Traffic {
        let mut traffic = Traffic { now, ..Traffic::default() };
        traffic.overrides.0 =
            overrides.0.into_iter().filter(|o| o.until.is_none_or(|end| now < end)).collect();
        for (index, over) in traffic.overrides.0.iter().enumerate() {
            match &over.hand {
                Hand::Drain { server, .. } => traffic.drains.entry(server.address).or_default().push(index),
                Hand::Weight { endpoint, .. } => traffic.weights.entry(*endpoint).or_default().push(index),
                Hand::Set { service, .. } => drop(match &over.group {
                    Some(group) => traffic.sets_of_groups.insert((group.clone(), service.kind()), index),
                    None => traffic.sets.insert(*service, index),
                }),
            }
        }
        traffic
    }

    /// The same at another time.
    pub fn at(&self, now: Wall) -> Traffic {
        Traffic::new(self.overrides.clone(), now)
    }

    /// What all of it comes to in the end, if nobody says more and nothing ran out: ramps have arrived.
    pub fn arrived(&self) -> Traffic {
        Traffic { now: Wall(u64::MAX), ..self.clone() }
    }

    /// All that holds.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// The time it was made for.
    pub fn now(&self) -> Wall {
        self.now
    }

    /// The weight that `server` of `plan` has by hand; `None` leaves it to the configuration and the checks.
    pub fn weight(&self, plan: &VirtualServer, server: &RealServer) -> Option<u32> {
        if self.drained(plan, &server.endpoint).is_some() || self.rests(plan, server) {
            return Some(0);
        }
        let Hand::Weight { weight, ramp, .. } = &self.weighed(plan, &server.endpoint)?.hand else {
            return None;
        };
        Some(ramp.map_or(*weight, |ramp| ramp.at(*weight, self.now)))
    }

    /// What drains this server of `plan`.
    pub fn drained(&self, plan: &VirtualServer, endpoint: &SocketAddr) -> Option<&Override> {
        let found = self.drains.get(&endpoint.ip())?.iter().map(|index| &self.overrides.0[*index]); // indices of new()
        found.into_iter().find(|over| match &over.hand {
            Hand::Drain { server, .. } => server.names(endpoint) && over.is_about(plan),
            Hand::Weight { .. } | Hand::Set { .. } => false,
        })
    }

    /// What gives this server of `plan` its weight; the last word counts.
    pub fn weighed(&self, plan: &VirtualServer, endpoint: &SocketAddr) -> Option<&Override> {
        let found = self.weights.get(endpoint)?.iter().map(|index| &self.overrides.0[*index]); // indices of new()
        found.rev().find(|over| match &over.hand {
            Hand::Weight { .. } => over.is_about(plan),
            Hand::Drain { .. } | Hand::Set { .. } => false,
        })
    }

    /// The set of `plan` that gets traffic: the one said by hand, else `active_set`. One that no server belongs to any
    /// more is none: a reload that renames a set must not take all servers out.
    pub fn set<'a>(&'a self, plan: &'a VirtualServer) -> Option<&'a str> {
        let exists = |name: &&str| plan.real_servers.iter().any(|server| server.set.as_deref() == Some(name));
        let of_group = || {
            let group = plan.group().filter(|_| !self.sets_of_groups.is_empty())?;
            self.sets_of_groups.get(&(group.to_owned(), plan.kind()))
        };
        let by_key = || plan.known_as().find_map(|key| self.sets.get(key));
        let by_hand = match of_group().or_else(by_key).map(|index| &self.overrides.0[*index].hand) {
            Some(Hand::Set { set, .. }) => Some(set.as_str()).filter(exists),
            _ => None,
        };
        by_hand.or(plan.active_set.as_deref().filter(exists))
    }

    /// Is it of a set that is not in use?
    pub fn rests(&self, plan: &VirtualServer, server: &RealServer) -> bool {
        server.set.as_deref().is_some_and(|own| self.set(plan).is_some_and(|active| active != own))
    }

    /// When something changes by itself: an end, or a step of a ramp.
    pub fn next_change(&self) -> Option<Wall> {
        let ends = self.overrides.0.iter().filter_map(|over| over.until);
        let steps = self.overrides.0.iter().filter_map(|over| match &over.hand {
            Hand::Weight { ramp: Some(ramp), .. } if self.now < ramp.end() => {
                Some(Wall(self.now.0.saturating_add(RAMP_STEP_MS)).min(ramp.end()))
            }
            _ => None,
        });
        ends.chain(steps).min()
    }
}

#[cfg(test)]
mod tests;
