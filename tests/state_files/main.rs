//! The state files, read as exporters read them.

mod parsers;

use holdfast::config::lower;
use holdfast::plan::vrrp::{RouterPlan, VirtualAddress};
use holdfast::plan::{Generation, Plans};
use holdfast::report::dumps::{Cleared, Facts, data, json, stats};
use holdfast::report::{
    AddressStatus, GroupStatus, MasterSeen, RouterStatus, ScriptsStatus, TrackerStatus, VrrpStatus,
};
use keepalived_compat::{Options, Reader};
use std::collections::BTreeMap;
use std::time::Duration;

/// Two instances of a group, of which one is Master.
const CONFIGURATION: &str = r#"
global_defs {
  router_id node-a
  script_user root
}
vrrp_script chk { 
  script "/bin/true x"
  interval 2
}
vrrp_track_process web {
  process nginx worker
  quorum 2
}
vrrp_sync_group both {
  group {
    one
    two
  }
}
vrrp_instance one {
  state MASTER
  interface va
  virtual_router_id 51
  priority 150
  garp_master_delay 3
  authentication {
    auth_type PASS
    auth_pass secret
  }
  virtual_ipaddress {
    192.0.2.100/24
    192.0.2.101/24 dev vb label vb:x
  }
  virtual_ipaddress_excluded {
    192.0.2.102
  }
  virtual_routes {
    10.98.0.0/16 via 192.0.2.253 dev va
  }
  track_script {
    chk
  }
  track_process {
    web weight 0
  }
  notify_fault "/bin/true x y"
  smtp_alert
}
vrrp_instance two {
  interface va
  virtual_router_id 52
  version 3
  advert_int 0.5
  nopreempt
  unicast_src_ip 192.0.2.1
  unicast_peer {
    192.0.2.2
  }
  virtual_ipaddress {
    192.0.2.110 scope link
  }
}
"#;

/// That file, in memory.
struct Memory;

impl Reader for Memory {
    fn resolve(&mut self, pattern: &str, _: Option<&str>) -> Result<Vec<String>, String> {
        Ok(vec![pattern.to_owned()])
    }

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(CONFIGURATION.as_bytes().to_vec())
    }
}

fn plans() -> Plans {
    let options = Options { config_id: "test", vrrp: true, checker: true };
    lower(&keepalived_compat::parse(&mut Memory, "main", options).config, Generation(1)).plans
}

fn router(plan: &RouterPlan, state: &str) -> RouterStatus {
    let held = |address: &VirtualAddress| AddressStatus {
        address: address.cidr,
        interface: address.interface.clone().unwrap_or("va".to_owned()),
        installed: state == "MASTER",
        error: None,
    };
    RouterStatus {
        name: plan.name.clone(),
        interface: "va".to_owned(),
        vrid: plan.key.vrid.get(),
        family: plan.key.family,
        version: plan.version.number(),
        state: state.to_owned(),
        reason: String::new(),
        since_seconds: 4,
        base_priority: plan.priority,
        priority: plan.priority,
        interval_ms: u64::from(plan.interval.centiseconds()) * 10,
        master: None,
        addresses: plan.addresses.iter().chain(&plan.excluded_addresses).map(held).collect(),
        claim: None,
        routing: Vec::new(),
        counters: [
            ("advertisements_received", 2),
            ("advertisements_sent", 7),
            ("became_master", 1),
            ("discard_length", 3),
            ("discard_ah_spi", 1),
            ("discard_auth_mismatch", 4),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into(),
        since_us: 4_000_000,
        wants_master: false,
        hands_over: false,
        missing_source: None,
        at_odds: Vec::new(),
    }
}

/// The configuration running; the second router listens to another node.
struct Running {
    plans: Plans,
    vrrp: VrrpStatus,
    scripts: ScriptsStatus,
    transitions: BTreeMap<String, Duration>,
    cleared: Cleared,
}

impl Running {
    fn new() -> Running {
        let plans = plans();
        let [one, two] = plans.vrrp.routers.as_slice() else { panic!("two routers") };
        let master = MasterSeen {
            address: "192.0.2.2".parse().expect("an address"),
            priority: holdfast::net::Priority(200),
            down_in_ms: 900,
            interval_ms: 1000,
        };
        let two = RouterStatus { master: Some(master), wants_master: true, ..router(two, "BACKUP") };
        let group = GroupStatus {
            name: "both".to_owned(),
            state: "BACKUP".to_owned(),
            reason: String::new(),
            since_seconds: 1,
            members: vec!["one".to_owned(), "two".to_owned()],
        };
        let routers = vec![router(one, "MASTER"), two];
        let tracker = |kind: &str, name: &str, state: &str| TrackerStatus {
            kind: kind.to_owned(),
            name: name.to_owned(),
            state: state.to_owned(),
            since_seconds: 1,
            last_result: None,
            late_ms: None,
            output: None,
            running: kind == "script",
        };
        let trackers = vec![tracker("script", "chk", "down"), tracker("process", "web", "up")];
        Running {
            vrrp: VrrpStatus { routers, groups: vec![group], ..VrrpStatus::default() },
            scripts: ScriptsStatus { trackers, counters: BTreeMap::new() },
            transitions: [("one".to_owned(), Duration::from_micros(1_795_224_158_475_502))].into(),
            cleared: Cleared::default(),
            plans,
        }
    }

    fn facts(&self) -> Facts<'_> {
        let Running { plans, vrrp, scripts, transitions, cleared } = self;
        Facts { plans, vrrp, scripts: Some(scripts), transitions, cleared }
    }
}

#[test]
fn the_exporters_read_the_state_of_each_instance() {
    let running = Running::new();
    let text = data(&running.facts());
    let expected = [
        (
            "one",
            "MASTER",
            "MASTER",
            "va",
            "3",
            "51",
            "1795224158.475502 (Sat Nov 21 01:22:38.475502 2026 UTC)",
        ),
        ("two", "BACKUP", "MASTER", "va", "5", "52", "0.000000 (Thu Jan  1 00:00:00.000000 1970 UTC)"),
    ];
    let patient = parsers::patient(&text);
    let hasty: BTreeMap<_, _> = parsers::hasty(&text).into_iter().collect();
    assert_eq!(patient.len(), expected.len(), "{text}");
    for (name, state, wanted, interface, delay, vrid, transition) in expected {
        let properties: BTreeMap<String, String> = [
            ("State", state),
            ("Wantstate", wanted),
            ("Interface", interface),
            ("Gratuitous ARP delay", delay),
            ("Virtual Router ID", vrid),
            ("Last transition", transition),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        assert_eq!(patient[name].properties, properties, "{text}");
        // keepalived's own file loses most of these for such a reader.
        assert_eq!(hasty[name], properties, "{text}");
    }
    let addresses = |name: &str| {
        patient[name].addresses.iter().map(|(a, i)| format!("{a} {i}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(addresses("one"), "192.0.2.100/24 va, 192.0.2.101/24 vb");
    assert_eq!(addresses("two"), "192.0.2.110 va");
    assert_eq!(parsers::scripts(&text), [("chk".to_owned(), "BAD".to_owned(), "running".to_owned())]);
}

#[test]
fn a_name_of_a_script_never_ends_up_in_an_instance() {
    let text = data(&Running::new().facts());
    let topology = text.find("------< VRRP Topology >------").expect("a section");
    let scripts = text.find("------< VRRP Scripts >------").expect("a section");
    assert!(text[topology..scripts].contains("     192.0.2.100/24 dev va scope global set\n"), "{text}");
    assert!(text[scripts..].contains("   Command = '/bin/true' 'x'\n"), "{text}");
    assert!(text[scripts..].contains("     one, weight 0\n"), "{text}");
}

#[test]
fn the_exporters_read_the_counters() {
    let text = stats(&Running::new().facts());
    let found = parsers::stats(&text);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["one", "two"]);
    let one = &found["one"];
    let expected = [
        ("Advertisements/Received", 2),
        ("Advertisements/Sent", 7),
        ("Became master", 1),
        ("Released master", 0),
        ("Packet Errors/Length", 3),
        ("Packet Errors/TTL", 0),
        ("Packet Errors/Invalid Type", 0),
        ("Packet Errors/Advertisement Interval", 0),
        ("Packet Errors/Address List", 0),
        ("Authentication Errors/Invalid Type", 0),
        ("Authentication Errors/Type Mismatch", 0),
        ("Authentication Errors/Failure", 5),
        ("Priority Zero/Received", 0),
        ("Priority Zero/Sent", 0),
    ];
    for (key, count) in expected {
        assert_eq!(one.get(key), Some(&count), "{key} in\n{text}");
    }
}

#[test]
fn cleared_counters_begin_again_and_those_of_a_new_process_are_whole() {
    let mut running = Running::new();
    let routers: Vec<_> = running.vrrp.routers.clone();
    running.cleared.clear(routers.iter().map(|status| (status.name.as_str(), &status.counters)));
    assert_eq!(parsers::stats(&stats(&running.facts()))["one"]["Advertisements/Sent"], 0);
    running.vrrp.routers[0].counters.insert("advertisements_sent".to_owned(), 9);
    assert_eq!(parsers::stats(&stats(&running.facts()))["one"]["Advertisements/Sent"], 2);
    running.vrrp.routers[0].counters.insert("advertisements_sent".to_owned(), 1);
    assert_eq!(parsers::stats(&stats(&running.facts()))["one"]["Advertisements/Sent"], 1);
}

/// Every key with its type, as keepalived 2.2.7 wrote it for such a configuration.
#[test]
fn the_json_file_has_the_fields_and_types_of_keepalived() {
    let text = json(&Running::new().facts(), 1).expect("there are instances");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let one = &value[0];
    let numbers = "dont_track_primary skip_check_adv_addr strict_mode master_priority last_transition garp_delay \
                   garp_refresh garp_rep garp_refresh_rep garp_lower_prio_delay garp_lower_prio_rep \
                   lower_prio_no_advert higher_prio_send_advert vrid base_priority effective_priority adver_int \
                   master_adver_int accept preempt_delay state wantstate version auth_type";
    let booleans = "vipset promote_secondaries nopreempt smtp_alert notify_deleted";
    let texts = "iname vmac_ifname ifp_ifname script_fault auth_data";
    let lists = "vips evips vroutes track_script track_process";
    let mut known = 0;
    for (names, is) in [
        (numbers, serde_json::Value::is_number as fn(&serde_json::Value) -> bool),
        (booleans, serde_json::Value::is_boolean),
        (texts, serde_json::Value::is_string),
        (lists, serde_json::Value::is_array),
    ] {
        for name in names.split_whitespace() {
            assert!(is(&one["data"][name]), "{name} in {text}");
            known += 1;
        }
    }
    assert_eq!(one["data"].as_object().map(serde_json::Map::len), Some(known), "{text}");
    assert_eq!(one["stats"].as_object().map(serde_json::Map::len), Some(20));
    assert_eq!((&one["data"]["state"], &one["data"]["garp_delay"]), (&2.into(), &3.into()));
    assert_eq!(one["data"]["last_transition"].as_f64(), Some(1_795_224_158.475502));
    assert_eq!(one["data"]["script_fault"], "'/bin/true' 'x' 'y'");
    assert_eq!(one["data"]["vips"][1], "192.0.2.101/24 dev vb scope global label vb:x set");
    let two = &value[1]["data"];
    assert_eq!((&two["adver_int"], &two["nopreempt"]), (&0.5.into(), &true.into()));
    assert_eq!((&two["master_priority"], &two["wantstate"]), (&200.into(), &2.into()));
    assert_eq!(two["auth_data"], serde_json::Value::Null);
    assert_eq!(two["vips"][0], "192.0.2.110 dev va scope link");
}

#[test]
fn the_second_layout_has_tracked_processes_beside_the_instances() {
    let running = Running::new();
    let text = json(&running.facts(), 2).expect("there are instances");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["vrrp"][1]["data"]["iname"], "two");
    let process = &value["track_process"][0];
    assert_eq!((&process["process"], &process["min_processes"]), (&"nginx".into(), &2.into()));
    assert_eq!((&process["have_quorum"], &process["parameters"]), (&true.into(), &"worker".into()));
    let nothing = Running { vrrp: VrrpStatus::default(), ..running };
    assert_eq!(json(&nothing.facts(), 1), None);
}

#[test]
fn secrets_are_in_no_file() {
    let running = Running::new();
    let facts = running.facts();
    for text in [data(&facts), stats(&facts), json(&facts, 1).expect("instances")] {
        assert!(!text.contains("secret"), "{text}");
    }
}
