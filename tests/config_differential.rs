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
use std::path::Path;

/// What `-t` and the plan say of a file.
fn ours(file: &Path) -> Read {
    let request = |interface_exists| CompileRequest {
        file: file.to_owned(),
        config_id: Some("no-such-id".to_owned()),
        generation: Generation(1),
        want_vrrp: true,
        want_checker: true,
        interface_exists,
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
        interface: plan.key.interface.clone(),
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

/// Differences that are meant, by what the file holds.
const KNOWN: &[(&str, &str)] = &[];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How `theirs` and `ours` differ, field by field.
fn differences(theirs: &Read, ours: &Read) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: String, theirs: String, ours: String| {
        if theirs != ours {
            found.push(format!("{what}: keepalived {theirs}, holdfast {ours}"));
        }
    };
    compare("-t without interfaces".into(), theirs.bare_status.to_string(), ours.bare_status.to_string());
    compare("-t".into(), theirs.status.to_string(), ours.status.to_string());
    let names = |read: &Read| read.routers.iter().map(|r| r.name.clone()).collect::<Vec<_>>().join(" ");
    compare("instances".into(), names(theirs), names(ours));
    for (a, b) in theirs.routers.iter().zip(&ours.routers) {
        compare(a.name.clone(), format!("{a:?}"), format!("{b:?}"));
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
    let (mut unexplained, mut routers) = (Vec::new(), 0);
    for seed in first..first.saturating_add(cases) {
        let text = generate::configuration(seed);
        std::fs::write(&file, &text).expect("the directory is ours");
        let theirs = peer::read(&file);
        routers += theirs.routers.len();
        let found = differences(&theirs, &ours(&file));
        if !found.is_empty() && !KNOWN.iter().any(|(word, _)| text.contains(word)) {
            unexplained.push(format!("seed {seed}: {}\n{text}", found.join("\n    ")));
        }
    }
    println!("{cases} files, {routers} virtual routers, {} files differ", unexplained.len());
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert!(cases == 0 || routers as u64 > cases / 2, "hardly any router was compared");
}
