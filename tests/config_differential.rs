//! Generated configurations, read by Debian's keepalived and by `compile`: the same exit status of `-t`, without and
//! with interfaces, and the same virtual routers. Needs root, keepalived, unshare; says so and passes without them.
//!
//! HOLDFAST_DIFFERENTIAL_CASES and HOLDFAST_DIFFERENTIAL_SEED (the first case's number) ask for more or others.

#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/peer.rs"]
mod peer;

use holdfast::net::IpCidr;
use holdfast::plan::Generation;
use holdfast::plan::vrrp::{RouterPlan, Transport, Version};
use holdfast::role::compile::{CompileRequest, compile, config_test};
use peer::{Read, Router};
use std::collections::BTreeMap;
use std::path::Path;

/// What `-t` and the plan say of a file.
fn ours(file: &Path) -> Read {
    let request = |interface_exists| CompileRequest {
        file: file.to_owned(),
        config_id: Some("no-such-id".to_owned()),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        snmp: false,
        snmp_socket: None,
        interface_exists,
        address_exists: |_| true,
    };
    let status = |exists: fn(&str) -> bool| config_test(&request(exists), &mut Vec::new());
    let present: fn(&str) -> bool = |name| peer::INTERFACES.contains(&name);
    let routers = compile(&request(present)).plans.map(|plans| plans.vrrp.routers);
    Read {
        bare_status: i32::from(status(|_| false)),
        status: i32::from(status(present)),
        routers: routers.unwrap_or_default().iter().map(router).collect(),
    }
}

fn router(plan: &RouterPlan) -> Router {
    let peers = match &plan.transport {
        Transport::Unicast { peers, .. } => peers.iter().map(ToString::to_string).collect(),
        Transport::Multicast { .. } => Vec::new(),
    };
    Router {
        name: plan.name.clone(),
        interface: plan.advert_interface().to_owned(),
        vrid: plan.key.vrid.get().to_string(),
        priority: plan.priority.0.to_string(),
        milliseconds: plan.interval.duration().as_millis(),
        version: if plan.version == Version::V2 { "2" } else { "3" }.to_owned(),
        preempt: plan.preempt,
        addresses: plan.addresses.iter().map(|a| shown(a.cidr)).collect(),
        peers,
    }
}

/// As keepalived's dump has it: a host's prefix is left out.
fn shown(cidr: IpCidr) -> String {
    if cidr == IpCidr::host(cidr.address()) { cidr.address().to_string() } else { cidr.to_string() }
}

/// Why the routers of a file may differ; the exit statuses may not. What the file holds, and the reason.
const KNOWN: &[(&[&str], &str)] = &[
    (
        &["priority 1.5", "priority 100x", "virtual_router_id 07x", "advert_int 1s"],
        "of a number with rubbish behind it 2.4.3 takes the digits, 2.2.7 nothing",
    ),
    (
        &["/x"],
        "a prefix length that is no number is 0 in keepalived, which puts every address on the link; here it is the host's",
    ),
    (
        &["eth9"],
        "when an interface of an address does not exist keepalived refuses to start; here the address waits for it",
    ),
    (
        &["2001:db8:0::", "2001:db8:1::", "2001:db8:2::"],
        "keepalived 2.2.7 leaves `version 2` on an instance with IPv6 addresses; IPv6 has only version 3 (RFC 5798)",
    ),
    (
        &["2001:db8::9", "192.0.2.300"],
        "when no unicast peer can be used keepalived sends to the multicast group; here the instance stays in FAULT",
    ),
];

fn reason(text: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(words, _)| words.iter().any(|word| text.contains(word))).map(|(_, reason)| *reason)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How `theirs` and `ours` differ; `text` may explain routers.
fn differences(text: &str, theirs: &Read, ours: &Read) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, theirs: String, ours: String| {
        if theirs != ours {
            found.push(format!("{what}: keepalived {theirs}, holdfast {ours}"));
        }
    };
    compare("-t without interfaces", theirs.bare_status.to_string(), ours.bare_status.to_string());
    compare("-t", theirs.status.to_string(), ours.status.to_string());
    if theirs.routers == ours.routers || reason(text).is_some() {
        return found;
    }
    let names = |read: &Read| read.routers.iter().map(|r| r.name.clone()).collect::<Vec<_>>().join(" ");
    compare("instances", names(theirs), names(ours));
    for (a, b) in theirs.routers.iter().zip(&ours.routers) {
        compare(&a.name, format!("{a:?}"), format!("{b:?}"));
    }
    found
}

#[test]
fn keepalived_reads_generated_files_alike() {
    if let Err(why) = peer::usable() {
        println!("not compared: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a directory for the files");
    let file = folder.path().join("keepalived.conf");
    let (first, cases) = (number("HOLDFAST_DIFFERENTIAL_SEED", 1), number("HOLDFAST_DIFFERENTIAL_CASES", 40));
    let (mut unexplained, mut routers, mut explained) = (Vec::new(), 0, BTreeMap::new());
    for seed in first..first.saturating_add(cases) {
        let (text, included) = generate::configuration(seed);
        std::fs::write(&file, &text).expect("the directory is ours");
        std::fs::write(folder.path().join(generate::INCLUDED), &included).expect("the directory is ours");
        let text = format!("{text}# {}:\n{included}", generate::INCLUDED);
        let theirs = peer::read(&file);
        routers += theirs.routers.len();
        let ours = ours(&file);
        let found = differences(&text, &theirs, &ours);
        if let (true, Some(reason)) = (theirs.routers != ours.routers, reason(&text)) {
            *explained.entry(reason).or_insert(0) += 1;
        }
        if !found.is_empty() {
            unexplained.push(format!("seed {seed}: {}\n{text}", found.join("\n    ")));
        }
    }
    println!("{cases} files, {routers} virtual routers, {} files differ without a reason", unexplained.len());
    for (reason, count) in explained {
        println!("  {count} files: {reason}");
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert!(cases == 0 || routers as u64 > cases / 2, "hardly any router was compared");
}

/// Lines before an instance, in it, and in its list of addresses.
const WRITTEN: [(&str, &str, &str); 18] = [
    ("", "version 2\nversion 3", ""),
    ("", "version 3\nversion 2", ""),
    ("", "state MASTER\nstate BACKUP", ""),
    ("", "state BACKUP\nstate MASTER", ""),
    ("", "state MASTER\nstate BACKUP\nnopreempt", ""),
    ("", "use_vmac va\nuse_vmac vb", ""),
    ("", "notify_master /bin/true\nnotify_master /bin/false", ""),
    ("", "notify /bin/true\nnotify /bin/false", ""),
    ("", "@^other priority 7", ""),
    ("", "unicast_peer { 192.0.2.99 } @other priority 7", ""),
    ("", "priority +50\nadvert_int +2", ""),
    ("", "priority\u{a0}200", ""),
    ("", "", "~LST(X, 7, 8) 10.0.0.${X}/24"),
    ("", "", "@^other 10.0.0.7/24"),
    ("~SEQ(N, 7, 8) $SERVER${N}=10.0.0.${N}/24", "", "$SERVER7\n$SERVER8"),
    ("$VIPS= \\\n10.0.0.7/24 \\\n10.0.0.8/24 \\\n\n", "", "$VIPS"),
    ("$VIPS= \\\n10.0.0.7/24 \\\n10.0.0.8/24 \\\n\n$OTHER=x\n", "", "$VIPS"),
    ("global_defs {\nsnmp_socket unix:/a\nsnmp_socket unix:/b\n}", "", ""),
];

/// What keepalived was seen to do with lines that nobody generates.
#[test]
fn keepalived_reads_written_files_alike() {
    if let Err(why) = peer::usable() {
        println!("not compared: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a directory for the files");
    let file = folder.path().join("keepalived.conf");
    let security = "global_defs {\nscript_user root\nenable_script_security\n}";
    for (before, lines, addresses) in WRITTEN {
        let head = "interface eth0\nvirtual_router_id 5";
        let text = format!(
            "{security}\n{before}\nvrrp_instance A {{ {lines}\n{head}\n\
             virtual_ipaddress {{ {addresses}\n10.0.0.1/24\n}}\n}}\n"
        );
        std::fs::write(&file, &text).expect("the directory is ours");
        let (theirs, ours) = (peer::read(&file), ours(&file));
        assert_eq!(theirs.routers.len(), 1, "nothing to compare: {text}");
        let found = differences("", &theirs, &ours);
        assert!(found.is_empty(), "{}\n{text}", found.join("\n"));
    }
}
