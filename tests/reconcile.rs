//! Properties of the way from one table to another.

use holdfast::lvs::reconcile::{apply, plan};
use holdfast::lvs::table::{Destination, Service, ServiceSettings, Table, TableOp};
use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::plan::lvs::{
    ForwardingMethod, Granularity, Persistence, ServiceKey, TunnelChecksum, TunnelKind,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Few keys, so that tables overlap: every protocol, both families, marks.
fn key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![
        Just(TransportProtocol::Tcp),
        Just(TransportProtocol::Udp),
        Just(TransportProtocol::Sctp),
    ];
    let address = prop_oneof![
        Just(IpAddr::from([198, 51, 100, 1])),
        Just(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
    ];
    let family = prop_oneof![Just(AddressFamily::V4), Just(AddressFamily::V6)];
    prop_oneof![
        4 => (1u16..4).prop_map(|port| ServiceKey::Endpoint {
            protocol: TransportProtocol::Tcp,
            address: [198, 51, 100, 1].into(),
            port,
        }),
        1 => (protocol, address, 0u16..2).prop_map(|(protocol, address, port)| {
            ServiceKey::Endpoint { protocol, address, port }
        }),
        1 => (family, 1u32..3).prop_map(|(family, mark)| ServiceKey::FwMark { family, mark }),
    ]
}

const SCHEDULERS: &[&str] =
    &["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "mh", "sed", "nq", "fo", "ovf", "twos"];

fn settings() -> impl Strategy<Value = ServiceSettings> {
    let granularity = prop_oneof![
        Just(Granularity::Client),
        any::<[u8; 4]>().prop_map(|mask| Granularity::netmask(mask.into())),
        any::<u8>().prop_map(Granularity::prefix),
    ];
    let persistence = proptest::option::of((1u32..3, granularity)).prop_map(|persistence| {
        persistence.map(|(timeout_seconds, granularity)| Persistence { timeout_seconds, granularity })
    });
    let engine = proptest::option::of(Just("sip".to_owned()));
    let flags = (0u32..8).prop_map(|bits| bits << 3);
    (proptest::sample::select(SCHEDULERS), flags, persistence, engine, any::<bool>()).prop_map(
        |(scheduler, scheduler_flags, persistence, persistence_engine, one_packet)| ServiceSettings {
            scheduler: scheduler.into(),
            scheduler_flags,
            persistence,
            persistence_engine,
            one_packet,
        },
    )
}

fn forwarding() -> impl Strategy<Value = ForwardingMethod> {
    let any_sum =
        prop_oneof![Just(TunnelChecksum::None), Just(TunnelChecksum::Full), Just(TunnelChecksum::Remote),];
    let sum = prop_oneof![Just(TunnelChecksum::None), Just(TunnelChecksum::Full)];
    let tunnel = prop_oneof![
        Just(TunnelKind::Ipip),
        (1u16..3, any_sum).prop_map(|(port, checksum)| TunnelKind::Gue { port, checksum }),
        sum.prop_map(|checksum| TunnelKind::Gre { checksum }),
    ];
    prop_oneof![
        Just(ForwardingMethod::Masquerade),
        Just(ForwardingMethod::DirectRouting),
        tunnel.prop_map(ForwardingMethod::Tunnel),
    ]
}

fn destination() -> impl Strategy<Value = Destination> {
    (forwarding(), 0u32..3, 0u32..3, 0u32..2).prop_map(
        |(forwarding, weight, upper_threshold, lower_threshold)| Destination {
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    )
}

fn service() -> impl Strategy<Value = Service> {
    let v4 = (1u8..5).prop_map(|n| SocketAddr::from(([192, 0, 2, n], 80)));
    let v6 = (1u16..3).prop_map(|n| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 1, n], 80)));
    let endpoint = prop_oneof![4 => v4, 1 => v6];
    (settings(), proptest::collection::btree_map(endpoint, destination(), 0..5))
        .prop_map(|(settings, destinations)| Service { settings, destinations })
}

fn table() -> impl Strategy<Value = Table> {
    proptest::collection::btree_map(key(), service(), 0..5).prop_map(|services| Table {
        services: services.into_iter().map(|(key, service)| (key, service.into())).collect(),
    })
}

fn owned() -> impl Strategy<Value = BTreeSet<ServiceKey>> {
    proptest::collection::btree_set(key(), 0..6)
}

fn part(table: &Table, wanted: impl Fn(&ServiceKey) -> bool) -> BTreeMap<ServiceKey, Arc<Service>> {
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
