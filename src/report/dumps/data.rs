//! `keepalived.data`.
//!
//! Exporters differ in how they read it: one of them takes an instance for finished at the first line without `=`.
//! So all lines with `=` come first, in keepalived's order, and lists come after them; keepalived itself mixes both.

use super::global::{Writer, globals};
use super::text::{Text, account};
use super::{Facts, words};
use crate::net::AddressFamily;
use crate::plan::scripts::TrackedScript;
use crate::plan::track::{TrackerKey, TrackerKind};
use crate::plan::transport::WirePolicy;
use crate::plan::vrrp::{RouterPlan, Transport};
use crate::report::{RouterStatus, TrackerStatus};
use crate::time::Civil;
use crate::wire::vrrp::{Authentication, Version};
use std::time::Duration;

/// The whole file.
pub fn data(facts: &Facts) -> String {
    let mut text = Text::default();
    globals(&mut text, facts.plans, Writer::Vrrp);
    text.section("VRRP Topology");
    for (plan, status) in facts.routers() {
        instance(&mut text, facts, plan, status);
    }
    groups(&mut text, facts);
    trackers(&mut text, facts);
    text.0
}

fn instance(text: &mut Text, facts: &Facts, plan: &RouterPlan, status: &RouterStatus) {
    text.head("VRRP Instance", &plan.name);
    text.property("VRRP Version", plan.version.number());
    let group = facts.plans.vrrp.groups.iter().find(|group| group.members.contains(&plan.key));
    if let Some(group) = group {
        text.property("Sync group", &group.name);
    }
    text.property("State", &status.state);
    text.property("Wantstate", words::wanted_state(status));
    text.property("Last transition", moment(facts.transition(&plan.name)));
    if let Some(master) = &status.master {
        text.property("Master router", master.address);
        text.property("Master priority", master.priority.0);
    }
    match words::virtual_interface(plan) {
        Some(name) => {
            text.property("Interface", format_args!("{name}, vmac on {}", plan.key.interface));
        }
        None => text.property("Interface", &plan.key.interface),
    }
    settings(text, plan, status);
    hooks(text, facts, plan);
    lists(text, plan, status);
}

fn settings(text: &mut Text, plan: &RouterPlan, status: &RouterStatus) {
    let announce = &plan.announce;
    let source = match &plan.transport {
        Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
    };
    if let Some(source) = source {
        text.property("Using src_ip", format_args!("{source} (from configuration)"));
    }
    text.property("Gratuitous ARP delay", announce.delay.as_secs());
    text.property("Gratuitous ARP repeat", announce.repeat);
    text.property("Gratuitous ARP refresh", announce.refresh.map_or(0, |refresh| refresh.as_secs()));
    text.property("Gratuitous ARP refresh repeat", announce.refresh_repeat);
    text.property("Gratuitous ARP lower priority delay", announce.lower_priority_delay.as_secs());
    text.property("Gratuitous ARP lower priority repeat", announce.lower_priority_repeat);
    text.property("Down timer adverts", plan.down_timer_adverts);
    text.property("Send advert after receive lower priority advert", plan.answer_lower_priority);
    text.property("Send advert after receive higher priority advert", plan.answer_higher_priority);
    text.property("Virtual Router ID", plan.key.vrid.get());
    text.property("Priority", plan.priority.0);
    text.property("Effective priority", status.priority.0);
    match plan.version {
        Version::V2 => text.property("Advert interval", format_args!("{} sec", status.interval_ms / 1000)),
        Version::V3 => text.property("Advert interval", format_args!("{} milli-sec", status.interval_ms)),
    }
    let enabled = |on: bool| if on { "enabled" } else { "disabled" };
    text.property("Accept", enabled(plan.accept));
    text.property("Preempt", enabled(plan.preempt));
    if plan.preempt_delay > Duration::ZERO {
        text.property("Preempt delay", format_args!("{} secs", plan.preempt_delay.as_secs_f64()));
    }
    text.property("Promote_secondaries", enabled(plan.promote_secondaries));
    let kind = match plan.authentication {
        Authentication::None => None,
        Authentication::Password(_) => Some("SIMPLE_PASSWORD"),
        Authentication::Header(_) => Some("IPSEC_AH"),
    };
    if let Some(kind) = kind {
        text.property("Authentication type", kind);
        text.property("Password", "********");
    }
}

fn hooks(text: &mut Text, facts: &Facts, plan: &RouterPlan) {
    let hooks = words::hooks(facts, &plan.name);
    text.property("Using smtp notification", if hooks.mail { "yes" } else { "no" });
    text.property("Notify deleted", if hooks.deleted.is_some() { "Deleted" } else { "Fault" });
    let named = [
        ("Backup", hooks.scripts.backup),
        ("Master", hooks.scripts.master),
        ("Fault", hooks.scripts.fault),
        ("Stop", hooks.scripts.stop),
        ("Deleted", hooks.deleted.flatten()),
        ("Generic", hooks.scripts.any),
        ("Master rx lower pri", hooks.master_rx_lower_pri),
    ];
    for (state, command) in named {
        if let Some(command) = command {
            let account = account(command.identity.as_ref());
            let line = format!("{}, uid:gid {account}", words::command(&command));
            text.property(&format!("{state} state transition script"), line);
        }
    }
    text.property("Notify priority changes", hooks.priority_changes);
}

fn lists(text: &mut Text, plan: &RouterPlan, status: &RouterStatus) {
    if plan.key.family == AddressFamily::V6 {
        text.title("Using Native IPv6");
    }
    let WirePolicy { unicast_hop_limit, check_source, .. } = plan.wire;
    if let Transport::Unicast { peers, .. } = &plan.transport {
        text.title("Using unicast");
        text.title(format_args!("Check unicast src : {}", if check_source { "yes" } else { "no" }));
        text.title(format_args!("Unicast TTL : {unicast_hop_limit}"));
        text.list("Unicast Peer :", peers.iter().map(ToString::to_string));
    }
    let shown = |address| words::address(plan, status, address);
    text.list(format_args!("Virtual IP ({}):", plan.addresses.len()), plan.addresses.iter().map(shown));
    text.list("Virtual IP Excluded :", plan.excluded_addresses.iter().map(shown));
    text.list("Virtual Routes :", words::routes(plan));
    text.list("Virtual Rules :", words::rules(plan));
    let interfaces = plan.track_interfaces.iter();
    text.list("Tracked interfaces :", interfaces.map(|t| format!("{} weight {}", t.interface, t.weight)));
    let kinds = [
        (TrackerKind::Script, "scripts", ""),
        (TrackerKind::File, "files", ","),
        (TrackerKind::Process, "processes", ","),
        (TrackerKind::Bfd, "BFDs", ","),
    ];
    for (kind, title, comma) in kinds {
        let own = plan.trackers.iter().filter(|tracked| tracked.tracker.kind == kind);
        let lines = own.map(|t| format!("{}{comma} weight {}", t.tracker.name, t.weight));
        // A script that cannot be run is dropped by keepalived, and not listed; holdfast keeps it in sight.
        text.list(format_args!("Tracked {title} :"), lines);
    }
}

fn groups(text: &mut Text, facts: &Facts) {
    if facts.plans.vrrp.groups.is_empty() {
        return;
    }
    text.section("VRRP Sync groups");
    for plan in &facts.plans.vrrp.groups {
        let state = facts.vrrp.groups.iter().find(|group| group.name == plan.name);
        let state = state.map_or("INIT", |group| group.state.as_str());
        text.head("VRRP Sync Group", format_args!("{}, {state}", plan.name));
        let routers = facts.plans.vrrp.routers.iter();
        let members = routers.filter(|router| plan.members.contains(&router.key));
        text.list("VRRP member instances :", members.map(|router| router.name.clone()));
    }
}

fn trackers(text: &mut Text, facts: &Facts) {
    let plan = &facts.plans.scripts;
    let known = |kind: &str, name: &str| {
        let trackers = facts.scripts.map(|scripts| scripts.trackers.iter()).into_iter().flatten();
        trackers.into_iter().find(|tracker| tracker.kind == kind && tracker.name == name)
    };
    if !plan.scripts.is_empty() {
        text.section("VRRP Scripts");
    }
    for script in &plan.scripts {
        script_lines(text, script, known("script", &script.name));
        tracking(text, facts, TrackerKind::Script, &script.name);
    }
    if !plan.files.is_empty() {
        text.section("VRRP Track files");
    }
    for file in &plan.files {
        text.head("Track file", &file.name);
        text.property("File", &file.path);
        if let Some(tracker) = known("file", &file.name) {
            text.property("Status", &tracker.state);
        }
        tracking(text, facts, TrackerKind::File, &file.name);
    }
    if !plan.processes.is_empty() {
        text.section("VRRP Track processes");
    }
    for process in &plan.processes {
        text.head("VRRP Track process", &process.name);
        text.property("Process", &process.process);
        text.property("Min processes", process.quorum);
        if let Some(tracker) = known("process", &process.name) {
            text.property("Have quorum", tracker.state == "up");
        }
        tracking(text, facts, TrackerKind::Process, &process.name);
    }
}

fn script_lines(text: &mut Text, script: &TrackedScript, known: Option<&TrackerStatus>) {
    text.head("VRRP Script", &script.name);
    text.property("Command", words::command(&script.command));
    text.property("Interval", format_args!("{} sec", script.interval.as_secs_f64()));
    text.property("Timeout", format_args!("{} sec", script.timeout.as_secs_f64()));
    text.property("Rise", script.rise);
    text.property("Fall", script.fall);
    let (insecure, status) = match known.map(|tracker| tracker.state.as_str()) {
        Some("up") => ("no", "GOOD"),
        Some("down") => ("no", "BAD"),
        Some("cannot run") => ("yes", "DISABLED"),
        _ => ("no", "INIT"),
    };
    text.property("Insecure", insecure);
    text.property("Status", status);
    text.property("Script uid:gid", account(script.command.identity.as_ref()));
    let running = known.is_some_and(|tracker| tracker.running);
    text.property("State", if running { "running" } else { "idle" });
}

/// Who tracks it.
fn tracking(text: &mut Text, facts: &Facts, kind: TrackerKind, name: &str) {
    let key = TrackerKey { kind, name: name.to_owned() };
    let entries = facts.plans.vrrp.routers.iter().flat_map(|router| {
        let own = router.trackers.iter().filter(|tracked| tracked.tracker == key);
        own.map(|tracked| format!("{}, weight {}", router.name, tracked.weight))
    });
    text.list("Tracking instances :", entries.collect::<Vec<_>>());
}

/// `1795224158.475502 (Sat Nov 21 01:22:38.475502 2026 UTC)`; keepalived writes local time there, without a zone.
fn moment(time: Duration) -> String {
    let Civil { weekday, month, day, year, hour, minute, second } = Civil::of(time.as_secs());
    let (seconds, micros) = (words::seconds(time), time.subsec_micros());
    format!("{seconds} ({weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02}.{micros:06} {year} UTC)")
}
