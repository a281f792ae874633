//! Properties of the way from one table to another.

use holdfast::lvs::reconcile::{apply, plan};
use holdfast::lvs::table::{Destination, Service, ServiceSettings, Table, TableOp};
use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::plan::lvs::{ForwardingMethod, ServiceKey};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Few keys, so that tables overlap.
fn key() -> impl Strategy<Value = ServiceKey> {
    prop_oneof![
        (1u16..4).prop_map(|port| ServiceKey::Endpoint {
            protocol: TransportProtocol::Tcp,
            address: [198, 51, 100, 1].into(),
            port,
        }),
        (1u32..3).prop_map(|mark| ServiceKey::FwMark { family: AddressFamily::V6, mark }),
    ]
}

fn settings() -> impl Strategy<Value = ServiceSettings> {
    (prop_oneof![Just("rr"), Just("wlc")], any::<bool>()).prop_map(|(scheduler, one_packet)| {
        ServiceSettings {
            scheduler: scheduler.into(),
            scheduler_flags: 0,
            persistence: None,
            persistence_engine: None,
            one_packet,
        }
    })
}

fn destination() -> impl Strategy<Value = Destination> {
    let forwarding = prop_oneof![Just(ForwardingMethod::Masquerade), Just(ForwardingMethod::DirectRouting)];
    (forwarding, 0u32..3).prop_map(|(forwarding, weight)| Destination {
        forwarding,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    })
}

fn service() -> impl Strategy<Value = Service> {
    let endpoint = (1u8..5).prop_map(|n| SocketAddr::from(([192, 0, 2, n], 80)));
    (settings(), proptest::collection::btree_map(endpoint, destination(), 0..5))
        .prop_map(|(settings, destinations)| Service { settings, destinations })
}

fn table() -> impl Strategy<Value = Table> {
    proptest::collection::btree_map(key(), service(), 0..5).prop_map(|services| Table { services })
}

fn owned() -> impl Strategy<Value = BTreeSet<ServiceKey>> {
    proptest::collection::btree_set(key(), 0..6)
}

fn part(table: &Table, wanted: impl Fn(&ServiceKey) -> bool) -> BTreeMap<ServiceKey, Service> {
    table
        .services
        .iter()
        .filter(|(key, _)| wanted(key))
        .map(|(key, service)| (*key, service.clone()))
        .collect()
}

fn serves(table: &Table, key: &ServiceKey) -> bool {
    table.services.get(key).is_some_and(|service| service.destinations.values().any(|have| have.weight > 0))
}

/// The changes are such as the kernel accepts: nothing is added twice, nothing missing is edited or deleted.
fn kernel_accepts(table: &Table, op: &TableOp) -> bool {
    let has = |key: &ServiceKey, endpoint: &SocketAddr| {
        table.services.get(key).is_some_and(|service| service.destinations.contains_key(endpoint))
    };
    match op {
        TableOp::AddService(key, _) => !table.services.contains_key(key),
        TableOp::EditService(key, _) | TableOp::DelService(key) => table.services.contains_key(key),
        TableOp::AddDest(key, endpoint, _) => table.services.contains_key(key) && !has(key, endpoint),
        TableOp::EditDest(key, endpoint, _) | TableOp::DelDest(key, endpoint) => has(key, endpoint),
    }
}

proptest! {
    #[test]
    fn the_way_leads_there(observed in table(), desired in table(), owned in owned()) {
        let mut now = observed.clone();
        for op in plan(&observed, &desired, &owned) {
            apply(&mut now, &op);
        }
        prop_assert_eq!(part(&now, |key| owned.contains(key)), part(&desired, |key| owned.contains(key)));
        prop_assert_eq!(part(&now, |key| !owned.contains(key)), part(&observed, |key| !owned.contains(key)));
        prop_assert_eq!(plan(&now, &desired, &owned), vec![], "a second plan has nothing to do");
    }

    #[test]
    fn each_step_is_one_the_kernel_accepts(observed in table(), desired in table(), owned in owned()) {
        let mut now = observed.clone();
        for op in plan(&observed, &desired, &owned) {
            prop_assert!(kernel_accepts(&now, &op), "{op:?}");
            apply(&mut now, &op);
        }
    }

    #[test]
    fn who_serves_before_and_after_serves_all_the_time(observed in table(), desired in table(), owned in owned()) {
        let keys: Vec<&ServiceKey> =
            owned.iter().filter(|key| serves(&observed, key) && serves(&desired, key)).collect();
        let mut now = observed.clone();
        for op in plan(&observed, &desired, &owned) {
            apply(&mut now, &op);
            for key in &keys {
                prop_assert!(serves(&now, key), "{key} has nobody after {op:?}");
            }
        }
    }

    #[test]
    fn nothing_that_is_right_is_touched(table in table(), owned in owned()) {
        prop_assert_eq!(plan(&table, &table, &owned), vec![]);
    }
}
