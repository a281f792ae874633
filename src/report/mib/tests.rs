use super::*;
use crate::net::TransportProtocol;
use crate::plan::lvs::ForwardingMethod;
use crate::plan::snmp::{SnmpGroup, SnmpRealServer, SnmpVirtualServer};
use crate::report::RealServerState;

fn key(last: u8) -> ServiceKey {
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: [192, 0, 2, last].into(), port: 80 }
}

fn real(last: u8, kind: i32) -> SnmpRealServer {
    SnmpRealServer {
        endpoint: ([10, 0, 0, last], 8080).into(),
        forwarding: ForwardingMethod::Masquerade,
        cells: vec![(2, Value::Integer(kind)), (55, Value::text(&format!("s{last}")))],
    }
}

fn plan() -> SnmpPlan {
    let server = |last, sorry| SnmpVirtualServer {
        services: vec![key(last)],
        cells: vec![(2, Value::Integer(2)), (20, Value::Gauge32(2)), (22, Value::Gauge32(1))],
        real_servers: vec![real(1, 1), real(2, 1)],
        sorry_server: sorry,
    };
    SnmpPlan {
        checker: true,
        router_id: "lb1".to_owned(),
        scalars: vec![(vec![1, 1], Value::text("holdfast")), (vec![1, 3, 6], Value::Gauge32(25))],
        mail: vec!["a@b.c".to_owned()],
        groups: vec![SnmpGroup {
            name: "g".to_owned(),
            members: vec![vec![(2, Value::Integer(1)), (3, Value::Gauge32(7))]],
        }],
        virtual_servers: vec![server(10, Some(real(9, 2))), server(11, None)],
        ..SnmpPlan::default()
    }
}

fn states() -> Vec<VirtualServerState> {
    let real = |last, up, weight| RealServerState {
        endpoint: ([10, 0, 0, last], 8080).into(),
        up,
        weight,
        failed_checks: u32::from(!up),
    };
    let server = |last, up, real_servers| VirtualServerState { services: vec![key(last)], up, real_servers };
    vec![
        server(10, true, vec![real(1, true, 5), real(2, false, 3)]),
        server(11, false, vec![real(1, false, 1), real(2, false, 1)]),
    ]
}

fn known() -> Mib {
    let mut mib = Mib::new(plan());
    assert!(mib.take_states(&states()));
    mib
}

fn at(numbers: &[u32]) -> Oid {
    below(numbers)
}

/// All variables behind `start`, as a walk finds them.
fn walk(mib: &Mib, start: &[u32]) -> Vec<VarBind> {
    let end = Oid::from([1, 3, 6, 1, 4, 1, 9586, 100, 6]);
    let mut found: Vec<VarBind> = Vec::new();
    let mut from = below(start);
    loop {
        let range = Range { start: from, include: false, end: end.clone() };
        let (name, value) = mib.next(&range);
        if value == Value::EndOfMibView {
            return found;
        }
        from = name.clone();
        found.push((name, value));
    }
}

#[test]
fn a_walk_goes_through_everything_once_and_in_order() {
    let mib = known();
    let found = walk(&mib, &[]);
    assert!(found.is_sorted_by(|a, b| a.0 < b.0), "{found:?}");
    for (name, value) in &found {
        assert_eq!(mib.get(name), *value, "{name}");
    }
    // 2 objects, 1 address of mail, 1 group, 2 columns of its member; virtual servers: 5 written or judged and 24 counted;
    // real servers: 5 and 26, the sorry server: 2 and 26.
    assert_eq!(found.len(), 2 + 1 + 1 + 2 + 2 * (6 + 23) + 4 * (5 + 26) + 2 + 26, "{found:#?}");
    assert_eq!(found[0], (at(&[1, 1, 0]), Value::text("holdfast")));
    assert_eq!(found[1].0, at(&[1, 3, 5, 1, 2, 1]), "the table of addresses comes before the port behind it");
    assert_eq!(found[2].0, at(&[1, 3, 6, 0]));
}

#[test]
fn an_include_gives_the_variable_itself_and_an_end_is_kept() {
    let mib = known();
    let range = |include, end: &[u32]| Range { start: at(&[1, 1, 0]), include, end: at(end) };
    assert_eq!(mib.next(&range(true, &[2])).0, at(&[1, 1, 0]));
    assert_eq!(mib.next(&range(false, &[2])).0, at(&[1, 3, 5, 1, 2, 1]));
    assert_eq!(mib.next(&range(false, &[1, 3])), (at(&[1, 1, 0]), Value::EndOfMibView));
    let before = Range { start: Oid::from([1, 3]), include: false, end: Oid::default() };
    assert_eq!(mib.next(&before).0, at(&[1, 1, 0]), "from before all of ours");
    let behind = Range { start: Oid::from([2]), include: false, end: Oid::default() };
    assert_eq!(mib.next(&behind).1, Value::EndOfMibView);
}

#[test]
fn the_sorry_server_is_the_first_row_and_has_no_state() {
    let mib = known();
    assert_eq!(mib.get(&at(&[3, 4, 1, 2, 1, 1])), Value::Integer(2));
    assert_eq!(mib.get(&at(&[3, 4, 1, 6, 1, 1])), Value::NoSuchInstance);
    assert_eq!(mib.get(&at(&[3, 4, 1, 55, 1, 2])), Value::text("s1"));
    assert_eq!(
        mib.get(&at(&[3, 4, 1, 55, 2, 1])),
        Value::text("s1"),
        "where there is none the first row is a server"
    );
}

#[test]
fn states_and_weights_are_those_of_the_checker_role() {
    let mib = known();
    let get = |numbers: &[u32]| mib.get(&at(numbers));
    assert_eq!((get(&[3, 4, 1, 6, 1, 2]), get(&[3, 4, 1, 7, 1, 2])), (Value::Integer(1), Value::Integer(5)));
    assert_eq!((get(&[3, 4, 1, 6, 1, 3]), get(&[3, 4, 1, 7, 1, 3])), (Value::Integer(2), Value::Integer(3)));
    assert_eq!((get(&[3, 3, 1, 21, 1]), get(&[3, 3, 1, 23, 1])), (Value::Gauge32(1), Value::Integer(1)));
    assert_eq!((get(&[3, 3, 1, 21, 2]), get(&[3, 3, 1, 23, 2])), (Value::Gauge32(0), Value::Integer(2)));
    let unknown = Mib::new(plan());
    assert_eq!(
        unknown.get(&at(&[3, 4, 1, 6, 1, 2])),
        Value::NoSuchInstance,
        "nothing is said of what nobody knows"
    );
    assert_eq!(unknown.get(&at(&[3, 3, 1, 21, 1])), Value::NoSuchInstance, "nor counted");
    assert_eq!(unknown.get(&at(&[3, 3, 1, 20, 1])), Value::Gauge32(2));
}

#[test]
fn counters_come_from_the_kernel_s_rows() {
    let mut mib = known();
    let counters = |connections, rate| Counters {
        connections,
        in_packets: (7 << 32) + 1,
        rates: [rate, 0, 0, 0, 0],
        active: 3,
        ..Counters::default()
    };
    let row = KernelService {
        key: key(10),
        counters: counters(4, (2 << 32) + 9),
        destinations: vec![
            (([10, 0, 0, 2], 8080).into(), counters(6, 1)),
            (([10, 0, 0, 9], 8080).into(), counters(8, 1)),
            (([10, 0, 0, 77], 8080).into(), counters(100, 1)),
        ],
    };
    mib.take_table(&[row]);
    let get = |numbers: &[u32]| mib.get(&at(numbers));
    assert_eq!(get(&[3, 3, 1, 27, 1]), Value::Gauge32(4));
    assert_eq!(
        (get(&[3, 3, 1, 28, 1]), get(&[3, 3, 1, 39, 1])),
        (Value::Counter32(1), Value::Counter64((7 << 32) + 1))
    );
    assert_eq!((get(&[3, 3, 1, 41, 1]), get(&[3, 3, 1, 42, 1])), (Value::Gauge32(9), Value::Gauge32(2)));
    assert_eq!(
        (get(&[3, 4, 1, 14, 1, 3]), get(&[3, 4, 1, 15, 1, 3])),
        (Value::Gauge32(6), Value::Gauge32(3))
    );
    assert_eq!(get(&[3, 4, 1, 14, 1, 1]), Value::Gauge32(8), "the sorry server's");
    assert_eq!(get(&[3, 4, 1, 14, 1, 2]), Value::Gauge32(0), "not in the table");
    mib.take_table(&[]);
    assert_eq!(mib.get(&at(&[3, 3, 1, 27, 1])), Value::Gauge32(0));
}

#[test]
fn traps_name_the_server_and_what_is_left() {
    let mut mib = known();
    let trap = mib.server_changed(&key(10), ([10, 0, 0, 1], 8080).into(), false).expect("a trap");
    let names: Vec<&[u32]> =
        trap.iter().map(|(name, _)| name.0.strip_prefix(&KEEPALIVED).unwrap_or(&name.0)).collect();
    let expected: [&[u32]; 7] = [
        &[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0],
        &[3, 4, 1, 6],
        &[3, 3, 1, 2],
        &[3, 3, 1, 8],
        &[3, 3, 1, 21],
        &[3, 3, 1, 20],
        &[1, 2, 0],
    ];
    assert_eq!(names, expected);
    assert_eq!(trap[0].1, Value::Oid(at(&[3, 5, 0, 1])));
    assert_eq!((&trap[1].1, &trap[4].1), (&Value::Integer(2), &Value::Gauge32(0)));
    let quorum = mib.quorum_changed(&key(10), false).expect("a trap");
    assert_eq!(quorum[0].1, Value::Oid(at(&[3, 5, 0, 2])));
    assert_eq!(quorum[3], (at(&[3, 3, 1, 23]), Value::Integer(2)));
    assert_eq!(mib.quorum_changed(&key(99), true), None);
    assert_eq!(mib.server_changed(&key(10), ([10, 0, 0, 99], 8080).into(), true), None);
}

#[test]
fn what_is_known_stays_known_in_another_order() {
    let mut turned = plan();
    turned.virtual_servers.reverse();
    turned.virtual_servers.iter_mut().for_each(|server| server.real_servers.reverse());
    let mib = Mib::after(turned, &known());
    let get = |numbers: &[u32]| mib.get(&at(numbers));
    assert_eq!((get(&[3, 3, 1, 23, 1]), get(&[3, 3, 1, 23, 2])), (Value::Integer(2), Value::Integer(1)));
    // Behind the sorry server: the second server, then the first.
    assert_eq!((get(&[3, 4, 1, 7, 2, 2]), get(&[3, 4, 1, 7, 2, 3])), (Value::Integer(3), Value::Integer(5)));
    let mut more = plan();
    more.virtual_servers[0].services = vec![key(12)];
    let mut mib = Mib::after(more, &known());
    assert_eq!(mib.get(&at(&[3, 3, 1, 23, 1])), Value::NoSuchInstance);
    assert!(!mib.take_states(&states()), "one is not known yet");
}

#[test]
fn a_trap_before_anything_is_known_says_what_it_knows() {
    let mut mib = Mib::new(plan());
    let trap = mib.server_changed(&key(10), ([10, 0, 0, 1], 8080).into(), false).expect("a trap");
    assert!(trap.contains(&(at(&[3, 4, 1, 6]), Value::Integer(2))));
    assert!(
        !trap.iter().any(|(name, _)| *name == at(&[3, 3, 1, 21])),
        "how many are up is not known: {trap:?}"
    );
    assert_eq!(mib.get(&at(&[3, 4, 1, 7, 1, 2])), Value::NoSuchInstance, "nor is the weight");
}

#[test]
fn traps_name_marks_and_groups_as_what_they_are() {
    let cells = |kind| {
        vec![(2, Value::Integer(kind)), (3, Value::text("g")), (4, Value::Gauge32(7)), (5, Value::Integer(1))]
    };
    let mut plan = plan();
    plan.virtual_servers[0].cells = cells(1);
    plan.virtual_servers[1].cells = cells(3);
    plan.virtual_servers[1].cells.push((8, Value::Integer(1)));
    let mut mib = Mib::new(plan);
    let said = |trap: Vec<VarBind>| -> Vec<u32> {
        trap.iter()
            .filter_map(|(name, _)| name.0.strip_prefix(at(&[3, 3, 1]).0.as_slice()))
            .map(|rest| rest[0])
            .collect()
    };
    assert_eq!(said(mib.quorum_changed(&key(10), true).expect("a trap")), [2, 4, 8, 23]);
    assert_eq!(said(mib.quorum_changed(&key(11), true).expect("a trap")), [2, 3, 8, 23]);
}

#[test]
fn states_of_another_plan_take_nothing_away() {
    let mut mib = known();
    let mut others = states();
    others[0].real_servers.remove(0);
    assert!(!mib.take_states(&others), "not all servers are told of");
    assert_eq!(mib.get(&at(&[3, 4, 1, 7, 1, 2])), Value::Integer(5), "what was known stays");
    // Two that were one virtual server each, and are another one now, are not two.
    let mut merged = plan();
    merged.virtual_servers[0].services.push(key(12));
    let mut mib = Mib::after(merged, &known());
    let mut twice = states();
    twice[1].services = vec![key(12)];
    assert!(!mib.take_states(&twice));
}
