//! From the table that is to the table that should be, without a gap in service on the way.

use super::table::{Destination, Service, Table, TableOp};
use crate::plan::lvs::ServiceKey;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// The changes that make `observed` equal to `desired` for the services in `owned`; others are not touched. A
/// service in `owned` that `desired` lacks is deleted.
///
/// The order is the promise: services and destinations are added first, then edits (those that give weight before
/// those that take it), then destinations and services are deleted. So a service that serves before and serves after
/// serves all the time: at no moment has it no destination of weight above 0.
pub fn plan(observed: &Table, desired: &Table, owned: &BTreeSet<ServiceKey>) -> Vec<TableOp> {
    let pairs = owned.iter().map(|key| (key, observed.services.get(key), desired.services.get(key)));
    let differ = |(_, have, want): &(_, Option<&Arc<Service>>, Option<&Arc<Service>>)| match (have, want) {
        (Some(have), Some(want)) => !Arc::ptr_eq(have, want),
        (None, None) => false,
        _ => true,
    };
    let changes: Vec<Change> = pairs
        .filter(differ)
        .map(|(key, have, want)| Change { key, have: have.map(Arc::as_ref), want: want.map(Arc::as_ref) })
        .collect();
    // Step by step into one list: that of a whole table is long.
    let mut ops = Vec::new();
    let steps: [fn(&Change, &mut Vec<TableOp>); 7] = [
        |change, ops| change.add_service(ops),
        |change, ops| change.add_destinations(ops),
        |change, ops| change.edit_service(ops),
        |change, ops| change.edit_destinations(ops, |weight| weight > 0),
        |change, ops| change.edit_destinations(ops, |weight| weight == 0),
        |change, ops| change.delete_destinations(ops),
        |change, ops| change.delete_service(ops),
    ];
    for step in steps {
        changes.iter().for_each(|change| step(change, &mut ops));
    }
    ops
}

/// Performs a change on a table in memory as the kernel does on its own; what the kernel refuses is left out.
pub fn apply(table: &mut Table, op: &TableOp) {
    match op {
        TableOp::AddService(key, settings) => {
            let fresh = Service { settings: settings.clone(), destinations: Default::default() };
            table.services.entry(*key).or_insert_with(|| Arc::new(fresh));
        }
        TableOp::EditService(key, settings) => {
            if let Some(service) = table.services.get_mut(key) {
                Arc::make_mut(service).settings = settings.clone();
            }
        }
        TableOp::DelService(key) => {
            table.services.remove(key);
        }
        TableOp::AddDest(key, endpoint, destination) => {
            if let Some(service) = table.services.get_mut(key) {
                Arc::make_mut(service).destinations.entry(*endpoint).or_insert(*destination);
            }
        }
        TableOp::EditDest(key, endpoint, destination) => {
            let service = table.services.get_mut(key).map(Arc::make_mut);
            if let Some(have) = service.and_then(|service| service.destinations.get_mut(endpoint)) {
                *have = *destination;
            }
        }
        TableOp::DelDest(key, endpoint) => {
            if let Some(service) = table.services.get_mut(key) {
                Arc::make_mut(service).destinations.remove(endpoint);
            }
        }
    }
}

/// What is wrong with `observed` that `op` would repair, as a sentence.
pub fn difference(observed: &Table, op: &TableOp) -> String {
    let have = |key: &ServiceKey, endpoint: &SocketAddr| {
        observed.services.get(key).and_then(|service| service.destinations.get(endpoint))
    };
    match op {
        TableOp::AddService(key, _) => format!("service {key} was missing"),
        TableOp::EditService(key, _) => format!("service {key} had other settings"),
        TableOp::DelService(key) => format!("service {key} should not exist"),
        TableOp::AddDest(key, endpoint, _) => format!("destination {endpoint} of {key} was missing"),
        TableOp::DelDest(key, endpoint) => format!("destination {endpoint} of {key} should not exist"),
        TableOp::EditDest(key, endpoint, want) => match have(key, endpoint) {
            Some(have) if have.weight != want.weight => {
                format!("destination {endpoint} of {key} had weight {}, not {}", have.weight, want.weight)
            }
            _ => format!("destination {endpoint} of {key} had other settings"),
        },
    }
}

/// A service that is not as it should be.
struct Change<'a> {
    key: &'a ServiceKey,
    have: Option<&'a Service>,
    want: Option<&'a Service>,
}

impl Change<'_> {
    fn add_service(&self, ops: &mut Vec<TableOp>) {
        if let (None, Some(want)) = (self.have, self.want) {
            ops.push(TableOp::AddService(*self.key, want.settings.clone()));
        }
    }

    fn add_destinations(&self, ops: &mut Vec<TableOp>) {
        for (endpoint, destination) in self.want.iter().flat_map(|want| &want.destinations) {
            if self.there(endpoint).is_none() {
                ops.push(TableOp::AddDest(*self.key, *endpoint, *destination));
            }
        }
    }

    fn edit_service(&self, ops: &mut Vec<TableOp>) {
        if let (Some(have), Some(want)) = (self.have, self.want)
            && have.settings != want.settings
        {
            ops.push(TableOp::EditService(*self.key, want.settings.clone()));
        }
    }

    /// Those that get such a weight.
    fn edit_destinations(&self, ops: &mut Vec<TableOp>, weight: fn(u32) -> bool) {
        for (endpoint, destination) in self.want.iter().flat_map(|want| &want.destinations) {
            let differs = self.there(endpoint).is_some_and(|have| have != destination);
            if differs && weight(destination.weight) {
                ops.push(TableOp::EditDest(*self.key, *endpoint, *destination));
            }
        }
    }

    fn delete_destinations(&self, ops: &mut Vec<TableOp>) {
        let (Some(have), Some(want)) = (self.have, self.want) else { return };
        for endpoint in have.destinations.keys() {
            if !want.destinations.contains_key(endpoint) {
                ops.push(TableOp::DelDest(*self.key, *endpoint));
            }
        }
    }

    /// With all that it has.
    fn delete_service(&self, ops: &mut Vec<TableOp>) {
        if self.have.is_some() && self.want.is_none() {
            ops.push(TableOp::DelService(*self.key));
        }
    }

    fn there(&self, endpoint: &SocketAddr) -> Option<&Destination> {
        self.have.and_then(|have| have.destinations.get(endpoint))
    }
}
