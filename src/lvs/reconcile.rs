//! From the table that is to the table that should be, without a gap in service on the way.

use super::table::{Service, Table, TableOp};
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
    let mut steps = Steps::default();
    for key in owned {
        match (observed.services.get(key), desired.services.get(key)) {
            (Some(have), Some(want)) if Arc::ptr_eq(have, want) => {}
            (Some(have), Some(want)) => steps.service(key, Some(have), want),
            (None, Some(want)) => {
                steps.add_services.push(TableOp::AddService(*key, want.settings.clone()));
                steps.service(key, None, want);
            }
            (Some(_), None) => steps.delete_services.push(TableOp::DelService(*key)),
            (None, None) => {}
        }
    }
    steps.in_order()
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

/// The changes by kind, each in the order of the keys.
#[derive(Default)]
struct Steps {
    add_services: Vec<TableOp>,
    add_destinations: Vec<TableOp>,
    edit_services: Vec<TableOp>,
    raise: Vec<TableOp>,
    lower: Vec<TableOp>,
    delete_destinations: Vec<TableOp>,
    delete_services: Vec<TableOp>,
}

impl Steps {
    fn service(&mut self, key: &ServiceKey, have: Option<&Service>, want: &Service) {
        if have.is_some_and(|have| have.settings != want.settings) {
            self.edit_services.push(TableOp::EditService(*key, want.settings.clone()));
        }
        for (endpoint, destination) in &want.destinations {
            match have.and_then(|have| have.destinations.get(endpoint)) {
                None => self.add_destinations.push(TableOp::AddDest(*key, *endpoint, *destination)),
                Some(have) if have == destination => {}
                Some(_) => {
                    let edits = if destination.weight > 0 { &mut self.raise } else { &mut self.lower };
                    edits.push(TableOp::EditDest(*key, *endpoint, *destination));
                }
            }
        }
        for endpoint in have.iter().flat_map(|have| have.destinations.keys()) {
            if !want.destinations.contains_key(endpoint) {
                self.delete_destinations.push(TableOp::DelDest(*key, *endpoint));
            }
        }
    }

    fn in_order(self) -> Vec<TableOp> {
        let mut ops = self.add_services;
        ops.extend(self.add_destinations);
        ops.extend(self.edit_services);
        ops.extend(self.raise);
        ops.extend(self.lower);
        ops.extend(self.delete_destinations);
        ops.extend(self.delete_services);
        ops
    }
}
