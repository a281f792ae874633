//! `keepalived.json`.

use super::{Counters, Facts, words};
use crate::plan::notify::InstanceHooks;
use crate::plan::scripts::{CommandPlan, ProcessMatch, TrackedProcess};
use crate::plan::track::TrackerKind;
use crate::plan::vrrp::{RouterPlan, VirtualAddress};
use crate::report::RouterStatus;
use crate::wire::vrrp::Authentication;
use serde::Serialize;
use std::time::Duration;

/// The file in layout `version` (`json_version`): 1 is an array of instances, 2 an object with them and the tracked
/// processes. `None` when there is no instance: keepalived then writes no file.
pub fn json(facts: &Facts, version: u8) -> Option<String> {
    let vrrp: Vec<Instance> = facts.routers().map(|(plan, status)| instance(facts, plan, status)).collect();
    if vrrp.is_empty() {
        return None;
    }
    let track_process = facts.plans.scripts.processes.iter().map(|plan| process(facts, plan)).collect();
    let text = match version {
        2 => serde_json::to_string(&Version2 { vrrp, track_process }),
        _ => serde_json::to_string(&vrrp),
    };
    // Strings and numbers always encode.
    text.ok()
}

#[derive(Serialize)]
struct Version2 {
    vrrp: Vec<Instance>,
    track_process: Vec<Process>,
}

#[derive(Serialize)]
struct Instance {
    data: Data,
    stats: Counters,
}

/// In keepalived's order. A number where a boolean is meant is keepalived's.
#[derive(Serialize)]
struct Data {
    iname: String,
    dont_track_primary: u8,
    skip_check_adv_addr: u8,
    strict_mode: u8,
    vmac_ifname: String,
    ifp_ifname: String,
    master_priority: u8,
    last_transition: f64,
    garp_delay: u64,
    garp_refresh: u64,
    garp_rep: u32,
    garp_refresh_rep: u32,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u32,
    lower_prio_no_advert: u8,
    higher_prio_send_advert: u8,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    promote_secondaries: bool,
    adver_int: Number,
    master_adver_int: Number,
    accept: u8,
    nopreempt: bool,
    preempt_delay: Number,
    state: u8,
    wantstate: u8,
    version: u8,
    smtp_alert: bool,
    notify_deleted: bool,
    #[serde(flatten)]
    scripts: Scripts,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vroutes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vrules: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_ifp: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_script: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_process: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<&'static str>,
}

/// Absent when not configured.
#[derive(Serialize)]
struct Scripts {
    #[serde(skip_serializing_if = "Option::is_none")]
    script_backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_deleted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master_rx_lower_pri: Option<String>,
}

/// A number of seconds, without a fraction where there is none: keepalived writes `1` and `0.5`.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

impl From<Duration> for Number {
    fn from(time: Duration) -> Number {
        match time.subsec_nanos() {
            0 => Number::Whole(time.as_secs()),
            _ => Number::Fraction(time.as_secs_f64()),
        }
    }
}

fn instance(facts: &Facts, plan: &RouterPlan, status: &RouterStatus) -> Instance {
    let hooks = words::hooks(facts, &plan.name);
    let announce = &plan.announce;
    let addresses =
        |list: &[VirtualAddress]| list.iter().map(|a| words::address(plan, status, a)).collect::<Vec<_>>();
    let interval = Number::from(Duration::from_millis(status.interval_ms));
    let (auth_type, auth_data) = authentication(plan);
    let data = Data {
        iname: plan.name.clone(),
        dont_track_primary: u8::from(!plan.track_primary),
        skip_check_adv_addr: 0,
        strict_mode: u8::from(facts.plans.global.daemon.strict.contains(&plan.name)),
        vmac_ifname: words::virtual_interface(plan).unwrap_or_default().to_owned(),
        ifp_ifname: words::interface(plan).to_owned(),
        master_priority: status.master.as_ref().map_or(0, |master| master.priority.0),
        last_transition: facts.transition(&plan.name).as_micros() as f64 / 1e6,
        garp_delay: announce.delay.as_secs(),
        garp_refresh: announce.refresh.map_or(0, |refresh| refresh.as_secs()),
        garp_rep: announce.repeat,
        garp_refresh_rep: announce.refresh_repeat,
        garp_lower_prio_delay: announce.lower_priority_delay.as_secs(),
        garp_lower_prio_rep: announce.lower_priority_repeat,
        lower_prio_no_advert: u8::from(!plan.answer_lower_priority),
        higher_prio_send_advert: u8::from(plan.answer_higher_priority),
        vrid: plan.key.vrid.get(),
        base_priority: plan.priority.0,
        effective_priority: status.priority.0,
        vipset: status.addresses.iter().any(|address| address.installed),
        promote_secondaries: plan.promote_secondaries,
        adver_int: interval,
        master_adver_int: interval,
        accept: u8::from(plan.accept),
        nopreempt: !plan.preempt,
        preempt_delay: plan.preempt_delay.into(),
        state: words::state_number(&status.state),
        wantstate: words::state_number(words::wanted_state(status)),
        version: plan.version.number(),
        smtp_alert: hooks.mail,
        notify_deleted: hooks.deleted.is_some(),
        scripts: scripts(&hooks),
        vips: addresses(&plan.addresses),
        evips: addresses(&plan.excluded_addresses),
        vroutes: words::routes(plan),
        vrules: words::rules(plan),
        track_ifp: plan.track_interfaces.iter().map(|tracked| tracked.interface.clone()).collect(),
        track_script: tracked_scripts(facts, plan),
        track_process: tracked(plan, TrackerKind::Process).map(str::to_owned).collect(),
        auth_type,
        auth_data,
    };
    Instance { data, stats: facts.cleared.since(&plan.name, &status.counters) }
}

/// The type, for version 2 also when there is none, and in place of the password that there is one.
fn authentication(plan: &RouterPlan) -> (Option<u8>, Option<&'static str>) {
    match plan.authentication {
        Authentication::None => (Some(0), None),
        Authentication::Password(_) => (Some(1), Some("********")),
        Authentication::Header(_) => (Some(2), Some("********")),
    }
}

fn scripts(hooks: &InstanceHooks) -> Scripts {
    let words = |command: &Option<CommandPlan>| command.as_ref().map(words::command);
    Scripts {
        script_backup: words(&hooks.scripts.backup),
        script_master: words(&hooks.scripts.master),
        script_fault: words(&hooks.scripts.fault),
        script_stop: words(&hooks.scripts.stop),
        script_deleted: words(&hooks.deleted.clone().flatten()),
        script: words(&hooks.scripts.any),
        script_master_rx_lower_pri: words(&hooks.master_rx_lower_pri),
    }
}

fn tracked(plan: &RouterPlan, kind: TrackerKind) -> impl Iterator<Item = &str> {
    let trackers = plan.trackers.iter().filter(move |tracked| tracked.tracker.kind == kind);
    trackers.map(|tracked| tracked.tracker.name.as_str())
}

/// Their commands, as in keepalived.
fn tracked_scripts(facts: &Facts, plan: &RouterPlan) -> Vec<String> {
    let scripts = &facts.plans.scripts.scripts;
    let found = |name: &str| scripts.iter().find(|script| script.name == name);
    tracked(plan, TrackerKind::Script)
        .filter_map(found)
        .map(|script| words::command(&script.command))
        .collect()
}

/// In keepalived's order.
#[derive(Serialize)]
struct Process {
    process: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<String>,
    param_match: &'static str,
    min_processes: u32,
    max_processes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    have_quorum: Option<bool>,
    terminate_delay: Number,
    fork_delay: Number,
    full_command: bool,
}

fn process(facts: &Facts, plan: &TrackedProcess) -> Process {
    let (param_match, parameters) = match &plan.matching {
        ProcessMatch::Name | ProcessMatch::FirstWord => ("none", None),
        ProcessMatch::Exact(words) => ("exact", Some(words)),
        ProcessMatch::Initial(words) => ("initial", Some(words)),
        ProcessMatch::Partial(words) => ("partial", Some(words)),
    };
    let trackers = facts.scripts.map(|scripts| scripts.trackers.iter()).into_iter().flatten();
    let mut own = trackers.filter(|tracker| tracker.kind == "process" && tracker.name == plan.name);
    Process {
        process: plan.process.clone(),
        parameters: parameters.map(|words| words.join(" ")),
        param_match,
        min_processes: plan.quorum,
        max_processes: plan.quorum_max,
        have_quorum: own.next().map(|tracker| tracker.state == "up"),
        terminate_delay: plan.terminate_delay.into(),
        fork_delay: plan.fork_delay.into(),
        full_command: plan.matching != ProcessMatch::Name,
    }
}
