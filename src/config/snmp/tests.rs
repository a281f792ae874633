use super::*;
use crate::config::{Lowered, lower_owned, names::Names};
use crate::plan::Generation;
use crate::plan::lvs::{ForwardingMethod, ServiceKey};
use crate::plan::snmp::{SnmpGroup, SnmpRealServer};
use keepalived_compat::{Code, Options, Reader};
use std::collections::BTreeMap;

struct Memory<'a>(&'a str);

impl Reader for Memory<'_> {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }
}

fn asked(checker: bool, socket: Option<&str>) -> Asked {
    Asked { checker, socket: socket.map(str::to_owned), host: "lb.example.net".to_owned() }
}

fn lowered(text: &str, asked: &Asked) -> (Lowered, Vec<Code>) {
    let options = Options { config_id: "lb1", vrrp: true, checker: true };
    let parsed = keepalived_compat::parse(&mut Memory(text), "main", options);
    let mut codes: Vec<Code> = parsed.diagnostics.iter().map(|d| d.code).collect();
    let lowered = lower_owned(parsed.config, Generation(7), &Names::default(), asked);
    codes.extend(lowered.diagnostics.iter().map(|d| d.code));
    (lowered, codes)
}

const SERVER: &str = "virtual_server 192.0.2.1 80 {\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\nreal_server 198.51.100.1 80 {\n}\n}\n";

/// `global_defs` with these lines, and a virtual server.
fn plan_of(global: &str, asked: &Asked) -> SnmpPlan {
    let (lowered, codes) = lowered(&format!("global_defs {{\n{global}\n}}\n{SERVER}"), asked);
    assert_eq!(codes, []);
    lowered.plans.snmp
}

/// An agent for this text.
fn plan(text: &str) -> SnmpPlan {
    lowered(text, &asked(true, None)).0.plans.snmp
}

/// The first virtual server, of this header and body.
fn server(header: &str, body: &str) -> SnmpVirtualServer {
    let text = format!("virtual_server {header} {{\nlvs_sched rr\nprotocol TCP\n{body}\n}}\n");
    plan(&text).virtual_servers.swap_remove(0)
}

fn cell(cells: &Cells, column: u32) -> Option<&Value> {
    cells.iter().find(|(known, _)| *known == column).map(|(_, value)| value)
}

fn scalar<'a>(plan: &'a SnmpPlan, object: &[u32]) -> Option<&'a Value> {
    plan.scalars.iter().find(|(known, _)| known == object).map(|(_, value)| value)
}

/// As tests/walk.txt has it.
fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => format!("i{number}"),
        Value::Gauge32(number) => format!("u{number}"),
        Value::Octets(octets) => match std::str::from_utf8(octets) {
            Ok(text) if text.chars().all(|c| matches!(c, ' '..='~')) => format!("\"{text}\""),
            _ => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
        },
        other => panic!("{other:?} is none of a configuration's"),
    }
}

/// Object and row to value.
type Walk = BTreeMap<(String, String), String>;

fn table(walk: &mut Walk, table: &str, row: &str, cells: &Cells) {
    assert!(cells.is_sorted_by(|one, next| one.0 < next.0), "{table} {row}: {cells:?}");
    for (column, value) in cells {
        walk.insert((format!("{table}.{column}"), row.to_owned()), shown(value));
    }
}

fn walk(plan: &SnmpPlan) -> Walk {
    let mut walk = Walk::new();
    assert!(plan.scalars.is_sorted_by(|one, next| one.0 < next.0), "{:?}", plan.scalars);
    for (object, value) in &plan.scalars {
        let object: Vec<String> = object.iter().map(ToString::to_string).collect();
        walk.insert((object.join("."), "0".to_owned()), shown(value));
    }
    for (at, address) in (1..).zip(&plan.mail) {
        walk.insert(("1.3.5.1.2".to_owned(), format!("{at}")), format!("\"{address}\""));
    }
    for (at, group) in (1..).zip(&plan.groups) {
        walk.insert(("3.1.1.2".to_owned(), format!("{at}")), format!("\"{}\"", group.name));
        for (member, cells) in (1..).zip(&group.members) {
            table(&mut walk, "3.2.1", &format!("{at}.{member}"), cells);
        }
    }
    for (at, server) in (1..).zip(&plan.virtual_servers) {
        table(&mut walk, "3.3.1", &format!("{at}"), &server.cells);
        let real: Vec<&SnmpRealServer> = server.sorry_server.iter().chain(&server.real_servers).collect();
        for (number, real) in (1..).zip(real) {
            table(&mut walk, "3.4.1", &format!("{at}.{number}"), &real.cells);
        }
    }
    walk
}

/// The lines of tests/walk.txt: an object, and the value of each of its rows.
fn kept(text: &str) -> Walk {
    let mut walk = Walk::new();
    for line in text.lines() {
        let (object, rows) = line.split_once(": ").expect("an object");
        let mut rows = rows.to_owned();
        while !rows.is_empty() {
            let (row, rest) = rows.split_once('=').expect("a row");
            let end = match rest.strip_prefix('"') {
                Some(text) => text.find('"').expect("an end") + 2,
                None => rest.find(' ').unwrap_or(rest.len()),
            };
            walk.insert((object.to_owned(), row.to_owned()), rest[..end].to_owned());
            rows = rest[end..].trim_start().to_owned();
        }
    }
    walk
}

#[test]
fn each_object_of_a_rich_configuration_is_keepalived_s() {
    let (lowered, _) = lowered(include_str!("tests/walk.conf"), &asked(false, None));
    let (mut theirs, mut ours) = (kept(include_str!("tests/walk.txt")), walk(&lowered.plans.snmp));
    let version = ("1.1".to_owned(), "0".to_owned());
    let own = ours.remove(&version).expect("a version");
    assert!(own.starts_with("\"Holdfast v"), "{own}");
    assert_eq!(theirs.remove(&version).as_deref(), Some("\"Keepalived v2.2.7 (01/16,2022)\""));
    let missing: Vec<_> = theirs.iter().filter(|(object, value)| ours.get(object) != Some(value)).collect();
    let wrong: Vec<_> = ours.iter().filter(|(object, value)| theirs.get(object) != Some(value)).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "they say {missing:?}, we {wrong:?}");
}

#[test]
fn nobody_asks_and_nothing_is_kept() {
    let nothing = SnmpPlan { generation: Generation(7), ..SnmpPlan::default() };
    assert_eq!(plan_of("", &asked(false, None)), nothing);
    assert_eq!(plan_of("enable_traps\nsnmp_socket udp:192.0.2.9:705", &asked(false, Some("x"))), nothing);
    assert!(!nothing.has_work());
}

#[test]
fn an_agent_without_virtual_servers_has_nothing_to_say() {
    let (lowered, _) = lowered("global_defs {\nenable_snmp_checker\nenable_traps\n}", &asked(true, None));
    assert!(!lowered.plans.snmp.has_work() && lowered.plans.lvs.untold);
}

#[test]
fn the_file_and_the_command_line_each_ask_for_the_agent() {
    assert!(plan_of("enable_snmp_checker", &asked(false, None)).has_work());
    assert!(plan_of("", &asked(true, None)).has_work());
}

#[test]
fn the_command_line_s_socket_counts_and_then_the_first_of_the_file() {
    let socket = |global: &str, line| plan_of(global, &asked(true, line)).socket;
    let one = "snmp_socket unix:/run/a";
    assert_eq!(socket(one, Some("udp:192.0.2.9:705")).as_deref(), Some("udp:192.0.2.9:705"));
    assert_eq!(socket(one, None).as_deref(), Some("unix:/run/a"));
    assert_eq!(socket("", None), None);
    let both = format!("global_defs {{\n{one}\nsnmp_socket unix:/run/b\n}}\n{SERVER}");
    let (both, codes) = lowered(&both, &asked(true, None));
    assert_eq!((both.plans.snmp.socket.as_deref(), codes), (Some("unix:/run/a"), vec![Code::Duplicate]));
}

#[test]
fn counters_are_as_old_as_the_shorter_interval() {
    let age = |global| plan_of(global, &asked(true, None)).stats_age;
    assert_eq!(age(""), Duration::from_secs(5));
    assert_eq!(age("snmp_vs_stats_update_interval 0.5"), Duration::from_millis(500));
    assert_eq!(age("snmp_rs_stats_update_interval 20"), Duration::from_secs(5));
    assert_eq!(
        age("snmp_vs_stats_update_interval 20\nsnmp_rs_stats_update_interval 10"),
        Duration::from_secs(10)
    );
}

#[test]
fn traps_make_the_checker_talk() {
    let told = |global: &str, line| {
        let text = format!("global_defs {{\n{global}\n}}\n{SERVER}");
        let plans = lowered(&text, &asked(line, None)).0.plans;
        (plans.snmp.traps, !plans.lvs.untold)
    };
    assert_eq!(told("enable_snmp_checker\nenable_traps", false), (true, true));
    assert_eq!(told("enable_traps", true), (true, true));
    assert_eq!(told("enable_traps", false), (false, false));
    assert_eq!(told("enable_snmp_checker", false), (false, false));
}

#[test]
fn a_node_without_a_router_id_is_its_host() {
    let plan = plan_of("", &asked(true, None));
    assert_eq!(plan.router_id, "lb.example.net");
    assert_eq!(scalar(&plan, &[1, 2]), Some(&Value::Octets(b"lb.example.net".to_vec())));
}

#[test]
fn what_is_not_written_of_mail_is_as_in_keepalived() {
    let shown = |global: &str| -> Vec<String> {
        let plan = plan_of(global, &asked(true, None));
        plan.scalars
            .iter()
            .filter(|(object, _)| object.starts_with(&[1, 3]))
            .map(|(_, value)| shown(value))
            .collect()
    };
    assert_eq!(shown(""), ["i2", "00000000", "u0", "u0", "i1", "i3", "i3", "i3"]);
    assert_eq!(
        shown("smtp_server 2001:db8::25\nsmtp_alert_checker"),
        ["i2", "20010db8000000000000000000000025", "u30", "u25", "i1", "i3", "i3", "i1"]
    );
    assert_eq!(
        shown("smtp_server 192.0.2.25\nnotification_email {\nops@example.com\n}")[3],
        "\"root@lb.example.net\""
    );
    assert_eq!(
        shown("smtp_server mail.example 26\nsmtp_alert\nsmtp_alert_vrrp off\nno_email_faults"),
        ["i2", "00000000", "u30", "u26", "i2", "i1", "i2", "i3"]
    );
}

#[test]
fn ipvs_as_a_whole_is_shown_as_far_as_it_is_written() {
    let of = |global: &str| {
        let instance = "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n";
        let plan = plan(&format!("global_defs {{\n{global}\n}}\n{instance}{SERVER}"));
        let objects = plan.scalars.iter().filter(|(object, _)| object.starts_with(&[3]));
        let flush = scalar(&plan, &[1, 11]).cloned();
        (objects.map(|(object, value)| (object[1..].to_vec(), shown(value))).collect::<Vec<_>>(), flush)
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(of(""), (vec![(vec![6, 1], text("i2"))], Some(Value::Integer(2))));
    let (objects, flush) =
        of("lvs_sync_daemon eth1 VI_1\nlvs_timeouts tcp 77\nlvs_flush_on_stop VS\ndynamic_interfaces");
    let wanted = [
        (vec![6, 1], text("i1")),
        (vec![6, 2], text("\"eth1\"")),
        (vec![6, 3], text("\"VI_1\"")),
        (vec![6, 4], text("i7")),
        (vec![6, 5], text("i0")),
        (vec![6, 6], text("i0")),
        (vec![6, 7], text("i0")),
        (vec![7, 1], text("i77")),
    ];
    assert_eq!((objects.as_slice(), flush), (wanted.as_slice(), Some(Value::Integer(3))));
    assert_eq!(of("lvs_flush_on_stop").1, Some(Value::Integer(1)));
}

const ONE: &str = "lvs_method NAT\nreal_server 198.51.100.1 8080 {\n}";

#[test]
fn a_name_is_there_if_it_is_written() {
    let named = server(
        "192.0.2.1 80",
        "snmp_name web\nlvs_method NAT\nreal_server 198.51.100.1 80 {\nsnmp_name first\n}",
    );
    assert_eq!(cell(&named.cells, 71), Some(&Value::Octets(b"web".to_vec())));
    assert_eq!(cell(&named.real_servers[0].cells, 55), Some(&Value::Octets(b"first".to_vec())));
    let nameless = server("192.0.2.1 80", ONE);
    assert_eq!((cell(&nameless.cells, 71), cell(&nameless.real_servers[0].cells, 55)), (None, None));
}

#[test]
fn a_mark_has_no_protocol_and_both_granularities() {
    let of = |header: &str, more: &str| {
        let row = server(header, &format!("{ONE}\n{more}"));
        [8, 15, 51].map(|column| cell(&row.cells, column).map(shown))
    };
    let mask = "persistence_timeout 50\npersistence_granularity 255.255.255.0";
    assert_eq!(
        of("fwmark 7", mask),
        [None, Some("ffffff00".to_owned()), Some(0x00ff_ffff_u32).map(|n| format!("u{n}"))]
    );
    assert_eq!(of("192.0.2.1 80", mask), [Some("i1".to_owned()), Some("ffffff00".to_owned()), None]);
}

#[test]
fn a_server_that_is_left_out_has_no_row() {
    let body = "lvs_method NAT\nreal_server 198.51.100.1 80 {\n}\nreal_server 2001:db8::1 80 {\n}\n\
                real_server 198.51.100.1 80 {\n}\nreal_server 198.51.100.2 80 {\nweight 3\n}";
    let row = server("192.0.2.1 80", body);
    let names: Vec<String> = row.real_servers.iter().map(|real| real.endpoint.to_string()).collect();
    assert_eq!(names, ["198.51.100.1:80", "198.51.100.2:80"]);
    assert_eq!(cell(&row.cells, 20), Some(&Value::Gauge32(2)));
}

#[test]
fn a_row_is_found_by_what_the_checker_and_the_kernel_call_it() {
    let row = server(
        "192.0.2.1 80",
        "lvs_method DR\nsorry_server 198.51.100.9 99\nsorry_server_lvs_method NAT\nreal_server 198.51.100.1 80 {\n}",
    );
    let key = ServiceKey::Endpoint {
        protocol: crate::net::TransportProtocol::Tcp,
        address: [192, 0, 2, 1].into(),
        port: 80,
    };
    assert_eq!(row.services, [key]);
    let sorry = row.sorry_server.expect("a sorry server");
    assert_eq!(sorry.endpoint, ([198, 51, 100, 9], 99).into());
    assert_eq!(sorry.forwarding, ForwardingMethod::Masquerade);
    assert_eq!(row.real_servers[0].forwarding, ForwardingMethod::DirectRouting);
}

#[test]
fn each_line_of_a_group_is_a_member_and_marks_come_first() {
    let kinds = |group: &SnmpGroup| -> Vec<String> {
        let columns =
            |cells: &Cells| cells.iter().map(|(_, value)| shown(value)).collect::<Vec<_>>().join(" ");
        group.members.iter().map(columns).collect()
    };
    let groups = "virtual_server_group WEB {\n192.0.2.1-3 80\n192.0.2.4 80\n192.0.2.5 80\nfwmark 7\n192.0.2.8/32 0\n}\n\
                  virtual_server_group IDLE {\n}\n";
    let plan = plan(&format!("{groups}{SERVER}"));
    assert_eq!(
        kinds(&plan.groups[0]),
        [
            "i1 u7",
            "i3 i1 c0000201 c0000203 u80",
            "i2 i1 c0000204 u80",
            "i2 i1 c0000205 u80",
            "i2 i1 c0000208 u0"
        ]
    );
    assert_eq!((plan.groups[1].name.as_str(), plan.groups[1].members.len()), ("IDLE", 0));
}

#[test]
fn mail_about_servers_is_on_where_nothing_is_written_and_off_about_virtual_ones() {
    let of = |global: &str, own: &str| {
        let text = format!(
            "global_defs {{\n{global}\n}}\n{}",
            SERVER.replace("80 {\n}", &format!("80 {{\n{own}\n}}"))
        );
        let row = plan(&text).virtual_servers.swap_remove(0);
        (cell(&row.cells, 61).map(shown), cell(&row.real_servers[0].cells, 47).map(shown))
    };
    let both = |service: &str, server: &str| (Some(service.to_owned()), Some(server.to_owned()));
    assert_eq!(of("", ""), both("i2", "i1"));
    assert_eq!(of("smtp_alert", "smtp_alert off"), both("i1", "i2"));
    assert_eq!(of("smtp_alert_checker off", ""), both("i2", "i2"));
}

#[test]
fn times_that_no_column_holds_are_cut() {
    let row = server("192.0.2.1 80", &format!("delay_loop 5000\n{ONE}"));
    assert_eq!(cell(&row.cells, 16), Some(&Value::Gauge32(5000)));
    assert_eq!(cell(&row.cells, 64), Some(&Value::Gauge32(u32::MAX)));
}

#[test]
fn a_socket_that_no_agent_can_reach_is_said() {
    let said = |socket: &str| {
        let global = format!("global_defs {{\nenable_snmp_checker\nsnmp_socket {socket}\n}}\n{SERVER}");
        lowered(&global, &asked(false, None)).1
    };
    assert_eq!(said("udp:127.0.0.1:705"), [Code::NotYet]);
    assert_eq!(said("unix:/run/agentx"), []);
}
