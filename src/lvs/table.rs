//! The IPVS table in the kernel's words: services and destinations.

use crate::plan::lvs::{ForwardingMethod, Persistence, ServiceKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A table: services by key. Destinations are keyed by endpoint, so order never matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The services; tables of one process share those that are equal.
    pub services: BTreeMap<ServiceKey, Arc<Service>>,
}

impl Table {
    /// Holds the services of `other` that it has equal ones of as `other` holds them.
    pub fn share_all(&mut self, other: &Table) {
        for (key, theirs) in &other.services {
            if let Some(ours) = self.services.get_mut(key)
                && !Arc::ptr_eq(ours, theirs)
                && ours == theirs
            {
                *ours = theirs.clone();
            }
        }
    }

    /// Has the service `key` as `other` has it, or has it not.
    pub fn follow(&mut self, key: &ServiceKey, other: &Table) {
        match other.services.get(key) {
            Some(theirs) => self.services.insert(*key, theirs.clone()),
            None => self.services.remove(key),
        };
    }
}

/// A service and its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its settings.
    pub settings: ServiceSettings,
    /// Its destinations.
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// What can be edited about a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceSettings {
    /// Scheduler name.
    pub scheduler: String,
    /// Scheduler flags (0x08, 0x10, 0x20).
    pub scheduler_flags: u32,
    /// Persistence.
    pub persistence: Option<Persistence>,
    /// Persistence engine.
    pub persistence_engine: Option<String>,
    /// One-packet scheduling.
    pub one_packet: bool,
}

/// What can be edited about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// Forwarding.
    pub forwarding: ForwardingMethod,
    /// Weight; 0 takes no new connections.
    pub weight: u32,
    /// Upper connection threshold, 0 for none.
    pub upper_threshold: u32,
    /// Lower connection threshold, 0 for none.
    pub lower_threshold: u32,
}

/// One change to the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TableOp {
    /// Add a service without destinations.
    AddService(ServiceKey, ServiceSettings),
    /// Change a service in place.
    EditService(ServiceKey, ServiceSettings),
    /// Delete a service and its destinations.
    DelService(ServiceKey),
    /// Add a destination.
    AddDest(ServiceKey, SocketAddr, Destination),
    /// Change a destination in place.
    EditDest(ServiceKey, SocketAddr, Destination),
    /// Delete a destination.
    DelDest(ServiceKey, SocketAddr),
}

impl TableOp {
    /// The service that it changes.
    pub fn service(&self) -> &ServiceKey {
        match self {
            TableOp::AddService(key, _) | TableOp::EditService(key, _) | TableOp::DelService(key) => key,
            TableOp::AddDest(key, ..) | TableOp::EditDest(key, ..) | TableOp::DelDest(key, _) => key,
        }
    }
}
