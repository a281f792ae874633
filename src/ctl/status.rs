//! `holdfastctl status`: the whole on one screen. The second line says whether all is well, and if not, what is wrong.

use super::client::{AskError, ask};
use super::text::{block, columns, plural, print, span};
use super::{Done, print_json};
use crate::link::control::{Answer, Request};
use crate::report::{
    AtOddsStatus, BfdSessionStatus, CheckerDetail, CheckerStatus, DaemonStatus, RealServerStatus,
    RecentTransition, RoleStatus, RouterStatus, RoutingStatus, SnmpStatus, Status, TrackerStatus,
    VirtualServerStatus,
};
use std::path::Path;

/// Exit status of `status --check` when there is trouble.
const EXIT_TROUBLE: u8 = 2;

/// Seconds after which a router that waits for something, such as the first result of a script, is in trouble.
const BEGINS_WITHIN: u64 = 10;

/// Changes of state shown; `--json` has all that the daemon remembers.
const RECENT: usize = 5;

/// With `check` the exit status is 2 when something hurts the traffic, for monitoring.
pub(super) fn run(socket: &Path, json: bool, check: bool) -> Done {
    let status = match ask(socket, Request::Status)? {
        Answer::Status(status) => status,
        other => return Err(AskError::Misunderstood(socket.to_owned(), format!("{other:?}")).into()),
    };
    if json {
        print_json(&status)?;
    } else {
        print(&render(&status));
    }
    Ok(if check && !troubles(&status).is_empty() { EXIT_TROUBLE } else { 0 })
}

/// The screen.
fn render(status: &Status) -> String {
    let mut page = head(&status.daemon) + &verdict(status) + &roles(&status.daemon);
    if let Some(vrrp) = status.vrrp.as_ref().filter(|vrrp| !vrrp.routers.is_empty()) {
        page += "\nvirtual routers\n";
        page += &columns(2, &vrrp.routers.iter().map(router).collect::<Vec<_>>());
    }
    if let Some(scripts) = status.scripts.as_ref().filter(|scripts| !scripts.trackers.is_empty()) {
        page += "\ntracked\n";
        page += &columns(2, &scripts.trackers.iter().map(tracker).collect::<Vec<_>>());
    }
    if let Some(checker) = &status.checker {
        page += &virtual_servers(checker);
        if !checker.overrides.is_empty() {
            page += "\noverridden by hand\n";
            page += &super::traffic::table(2, &checker.overrides);
        }
    }
    if let Some(bfd) = status.bfd.as_ref().filter(|bfd| !bfd.sessions.is_empty()) {
        page += "\nBFD sessions\n";
        page += &columns(2, &bfd.sessions.iter().map(session).collect::<Vec<_>>());
    }
    if let Some(agent) = agent(status) {
        page += "\n";
        page += &block(0, &agent_line(agent));
    }
    if !status.transitions.is_empty() {
        page += "\nlast changes of state\n";
        let latest = status.transitions.iter().rev().take(RECENT).map(transition);
        page += &columns(2, &latest.collect::<Vec<_>>());
    }
    page += &rights(&status.daemon);
    if !status.daemon.not_yet.is_empty() {
        page += "\nconfigured, not built yet\n";
        page += &status.daemon.not_yet.iter().map(|sentence| block(2, sentence)).collect::<String>();
    }
    page
}

fn head(daemon: &DaemonStatus) -> String {
    let line = format!(
        "holdfast {}, pid {}, up {}, configuration {} from {}",
        daemon.program,
        daemon.pid,
        span(daemon.uptime_seconds),
        daemon.generation.0,
        daemon.configuration
    );
    block(0, &line)
}

/// `all is well: ...`, or `TROUBLE:` and each trouble on a line of its own.
fn verdict(status: &Status) -> String {
    let troubles = troubles(status);
    if !troubles.is_empty() {
        let head = if troubles.len() == 1 { "TROUBLE: " } else { "TROUBLE:\n" };
        let indent = if troubles.len() == 1 { 0 } else { 2 };
        return head.to_owned() + &troubles.iter().map(|t| block(indent, t)).collect::<String>();
    }
    let mut facts = Vec::new();
    if let Some(vrrp) = &status.vrrp {
        let masters = vrrp.routers.iter().filter(|router| router.state == "MASTER").count();
        facts.push(format!("master of {masters} of {}", plural(vrrp.routers.len(), "virtual router")));
    }
    if let Some(checker) = &status.checker {
        facts.push(format!("{} up", plural(checker.virtual_servers.len(), "virtual server")));
    }
    if let Some(bfd) = &status.bfd {
        facts.push(format!("{} up", plural(bfd.sessions.len(), "BFD session")));
    }
    let facts = if facts.is_empty() { "nothing to do".to_owned() } else { facts.join(", ") };
    format!("all is well{}: {facts}\n", reservations(status))
}

/// What the configuration asks for and does not get, and what is missed later, so that nobody takes "well" for "as configured".
fn reservations(status: &Status) -> String {
    let (daemon, mut but) = (&status.daemon, Vec::new());
    if daemon.configuration_errors > 0 {
        let errors = plural(daemon.configuration_errors, "error");
        but.push(format!("{errors} in the configuration (holdfastctl check {})", daemon.configuration));
    }
    if !daemon.not_yet.is_empty() {
        but.push(format!("{} not built yet (see below)", plural(daemon.not_yet.len(), "setting")));
    }
    if status.vrrp.as_ref().is_some_and(|vrrp| vrrp.unrecorded) {
        but.push("no record for the next vrrp process: a crash, a restart or an upgrade is an election (its log says why)".to_owned());
    }
    if agent(status).is_some_and(|agent| !agent.connected) {
        but.push("no session with the SNMP master (see below)".to_owned());
    }
    if but.is_empty() { String::new() } else { format!(" except {}", but.join(" and ")) }
}

/// Everything that hurts or may hurt the traffic, worst first.
fn troubles(status: &Status) -> Vec<String> {
    let mut found = Vec::new();
    for router in status.vrrp.iter().flat_map(|vrrp| &vrrp.routers) {
        if router.state == "FAULT" {
            found.push(format!("router {} is in FAULT: {}", router.name, router.reason));
        }
        let waits = router.state == "INIT" && router.since_seconds >= BEGINS_WITHIN;
        if waits && !router.reason.contains("vrrp_startup_delay") {
            let waited = span(router.since_seconds);
            found.push(format!("router {} has not begun for {waited}: {}", router.name, router.reason));
        }
        if let Some(source) = router.missing_source {
            found.push(format!(
                "router {}: no interface has {source} (unicast_src_ip): it does not hear its peers, and may be Master beside them; \
                 add the address, or correct it",
                router.name
            ));
        }
        for sender in &router.at_odds {
            found.push(format!("router {}: {}", router.name, at_odds(sender)));
        }
        for address in &router.addresses {
            if let Some(error) = &address.error {
                found.push(format!("router {} cannot hold {}: {error}", router.name, address.address));
            }
        }
        for RoutingStatus { what, error, .. } in &router.routing {
            let error =
                error.iter().map(|error| format!("router {} cannot set {what}: {error}", router.name));
            found.extend(error);
        }
        if let Some(claim) = router.claim.as_ref().filter(|claim| claim.has_failed) {
            found.push(format!("router {} is Master without its addresses: {}", router.name, claim.words));
        }
    }
    for RoutingStatus { what, error, .. } in status.vrrp.iter().flat_map(|vrrp| &vrrp.statics) {
        found.extend(error.iter().map(|error| format!("static {what} cannot be set: {error}")));
    }
    if let Some(error) = status.checker.as_ref().and_then(|checker| checker.ipvs_error.as_ref()) {
        found.push(format!("the IPVS table cannot be programmed: {error}"));
    }
    for server in status.checker.iter().flat_map(|checker| &checker.virtual_servers) {
        let down = server.real_servers.iter().filter(|real| !real.up).count();
        let of = plural(server.real_servers.len(), "server");
        if down == 0 && !server.up {
            let needed = server.quorum.saturating_add(server.hysteresis);
            let serves = if server.sorry_server_in_use { "; its sorry server serves" } else { "" };
            found.push(format!(
                "{} has no quorum: no server is down, live weight {}, {needed} needed{}{serves}",
                server.name,
                server.live_weight,
                resting(server)
            ));
            continue;
        }
        match (server.up, server.sorry_server_in_use) {
            (false, true) => {
                let name = &server.name;
                found.push(format!(
                    "{name} is served by its sorry server: {down} of {of} down{}",
                    resting(server)
                ))
            }
            (false, false) => {
                found.push(format!("{} is down: {down} of {of} down{}", server.name, resting(server)))
            }
            (true, _) if down > 0 => {
                let kept = server.real_servers.iter().filter(|real| real.kept).count();
                let held = match kept {
                    0 => String::new(),
                    kept => format!(", {kept} kept in service all the same (min_alive {})", server.min_alive),
                };
                found.push(format!("{}: {down} of {of} down{held}", server.name));
            }
            (true, _) => {}
        }
    }
    for over in status.checker.iter().flat_map(|checker| &checker.overrides) {
        if !over.concerns_something {
            let words = over.words(span);
            found.push(format!("by hand, number {}: {words}", over.number));
        }
    }
    found.extend(status.checker.as_ref().and_then(not_made));
    for session in status.bfd.iter().flat_map(|bfd| &bfd.sessions).filter(|session| session.state != "Up") {
        let why = session.trouble.as_ref().unwrap_or(&session.reason);
        found.push(format!("BFD session {} is {}: {why}", session.name, session.state));
    }
    for tracker in status.scripts.iter().flat_map(|scripts| &scripts.trackers) {
        let words = tracker.last_result.as_deref().unwrap_or("no result yet");
        match tracker.state.as_str() {
            "down" => found.push(format!("{} {}: {words}{}", tracker.kind, tracker.name, output(tracker))),
            "cannot run" => {
                found.push(format!("{} {}: {words}; it checks nothing", tracker.kind, tracker.name))
            }
            _ => {}
        }
    }
    for role in &status.daemon.roles {
        if role.dropped > 0 {
            found.push(format!("role {}: {} messages for it were dropped", role.name, role.dropped));
        }
        match &role.trouble {
            Some(trouble) if !trouble.starts_with("not running:") => {
                found.push(format!("role {}: {trouble}", role.name));
            }
            _ => {}
        }
    }
    if let Some(why) = &status.daemon.refused_reload {
        let first = why.lines().next().unwrap_or_default();
        found.push(format!("the last reload was refused, the old configuration goes on: {first}"));
    }
    found
}

/// Servers that are up and get nothing all the same: drained, of a set that rests, given no weight.
fn resting(server: &VirtualServerStatus) -> String {
    match server.real_servers.iter().filter(|real| real.up && real.weight == 0).count() {
        0 => String::new(),
        resting => format!(", {resting} up with weight 0"),
    }
}

/// Who, what, what it means, what to do, and that it goes on.
fn at_odds(sender: &AtOddsStatus) -> String {
    let AtOddsStatus { from, what, meaning, advice, .. } = sender;
    format!("{from}: {what}; {meaning}; {advice} ({})", spoken(sender))
}

/// How often, and when last.
pub(super) fn spoken(sender: &AtOddsStatus) -> String {
    let times = plural(usize::try_from(sender.times).unwrap_or(usize::MAX), "advertisement");
    let last = format!("{}.{} s ago", sender.last_ms / 1000, sender.last_ms % 1000 / 100);
    match sender.times {
        1 => format!("{times}, {last}"),
        _ => format!("{times} in {}, the last {last}", span(sender.for_seconds)),
    }
}

/// Checks that cannot be made, with the reason of the first.
fn not_made(checker: &CheckerStatus) -> Option<String> {
    let servers = checker.virtual_servers.iter().flat_map(|server| &server.real_servers);
    let mut checks = servers.flat_map(|server| server.checkers.iter().map(move |check| (server, check)));
    let mut cannot = checks.by_ref().filter(|(_, check)| check.state == "cannot run");
    let (server, first) = cannot.next()?;
    let more = match cannot.count() {
        0 => String::new(),
        more => format!(" (and {} more)", plural(more, "check")),
    };
    let why = first.last_result.as_deref().unwrap_or_default();
    Some(format!("{} of {} is {why}{more}", first.kind, server.endpoint))
}

fn roles(daemon: &DaemonStatus) -> String {
    let row = |role: &RoleStatus| {
        let mut how = role.trouble.clone().unwrap_or_else(|| "runs".to_owned());
        if role.restarts > 0 {
            how += &format!(", restarted {}", plural(role.restarts as usize, "time"));
        }
        let pid = role.pid.map(|pid| format!("pid {pid}")).unwrap_or_else(|| "-".to_owned());
        let generation = role.generation.map(|g| format!("configuration {}", g.0)).unwrap_or_default();
        vec![role.name.clone(), pid, generation, how]
    };
    "\nroles\n".to_owned() + &columns(2, &daemon.roles.iter().map(row).collect::<Vec<_>>())
}

/// What the roles may do: what each keeps, and what else holds it back.
fn rights(daemon: &DaemonStatus) -> String {
    let row = |role: &RoleStatus| {
        let rights = role.rights.as_ref()?;
        let kept = match (rights.all_of_the_daemon, rights.capabilities.as_slice()) {
            (true, _) => "every capability of the daemon".to_owned(),
            (false, []) => "no capability".to_owned(),
            (false, kept) => kept.join(" "),
        };
        let landlock = rights.landlock.map(|version| format!("Landlock {version}"));
        let also = [
            rights.no_new_privileges.then(|| "no new privileges".to_owned()),
            rights.seccomp.then(|| "seccomp".to_owned()),
            landlock,
        ];
        let also: Vec<String> = also.into_iter().flatten().collect();
        Some(vec![role.name.clone(), kept, also.join(", ")])
    };
    let rows: Vec<_> = daemon.roles.iter().filter_map(row).collect();
    if rows.is_empty() { String::new() } else { "\nrights\n".to_owned() + &columns(2, &rows) }
}

fn router(router: &RouterStatus) -> Vec<String> {
    let priority = match router.priority == router.base_priority {
        true => format!("priority {}", router.priority),
        false => format!("priority {} of {}", router.priority, router.base_priority),
    };
    vec![
        router.name.clone(),
        router.state.clone(),
        span(router.since_seconds),
        format!("{} VRID {}", router.interface, router.vrid),
        priority,
        router.reason.clone(),
    ]
}

fn session(session: &BfdSessionStatus) -> Vec<String> {
    let why = session.trouble.as_ref().unwrap_or(&session.reason);
    vec![
        session.name.clone(),
        session.state.clone(),
        span(session.since_seconds),
        session.neighbor.to_string(),
        why.clone(),
    ]
}

/// The SNMP agent, if the configuration wants one.
fn agent(status: &Status) -> Option<&SnmpStatus> {
    status.snmp.as_ref().filter(|agent| !agent.master.is_empty())
}

/// Whom it talks to and how much, or why not.
fn agent_line(agent: &SnmpStatus) -> String {
    let count = |n: u64, what: &str| plural(usize::try_from(n).unwrap_or(usize::MAX), what);
    let SnmpStatus { master, connected, trouble, requests, traps, traps_lost } = agent;
    let lost = match traps_lost {
        0 => String::new(),
        lost => format!(", {} lost: nobody took them", count(*lost, "trap")),
    };
    match (connected, trouble) {
        (true, _) => {
            let (requests, traps) = (count(*requests, "request"), count(*traps, "trap"));
            format!("SNMP agent: connected to {master}, {requests}, {traps}{lost}")
        }
        (false, Some(trouble)) => format!("SNMP agent: no session with {master}: {trouble}{lost}"),
        (false, None) => format!("SNMP agent: no session with {master} yet{lost}"),
    }
}

fn tracker(tracker: &TrackerStatus) -> Vec<String> {
    let mut words = tracker.last_result.clone().unwrap_or_else(|| "no result yet".to_owned());
    if let Some(late) = tracker.late_ms {
        words += &format!(", started {late} ms late");
    }
    vec![
        format!("{} {}", tracker.kind, tracker.name),
        tracker.state.clone(),
        span(tracker.since_seconds),
        words + &output(tracker),
    ]
}

/// The first line that a failing script printed.
fn output(tracker: &TrackerStatus) -> String {
    let line = tracker.output.as_deref().and_then(|output| output.lines().next());
    line.map(|line| format!(" (it said: {line})")).unwrap_or_default()
}

fn virtual_servers(checker: &CheckerStatus) -> String {
    if checker.virtual_servers.is_empty() {
        return String::new();
    }
    let mut rows = Vec::new();
    for server in &checker.virtual_servers {
        rows.push(virtual_server(server));
        rows.extend(server.real_servers.iter().map(real_server));
    }
    "\nvirtual servers\n".to_owned() + &columns(2, &rows)
}

fn virtual_server(server: &VirtualServerStatus) -> Vec<String> {
    let quorum = match (server.hysteresis, server.up) {
        (0, _) => format!("quorum {}", server.quorum),
        (margin, true) => {
            format!(
                "lost below {} (quorum {} - {margin})",
                server.quorum.saturating_sub(margin),
                server.quorum
            )
        }
        (margin, false) => {
            format!("{} needed (quorum {} + {margin})", server.quorum.saturating_add(margin), server.quorum)
        }
    };
    let live = format!("live weight {}, {quorum}", server.live_weight);
    let sorry = if server.sorry_server_in_use { ", SORRY SERVER IN USE" } else { "" };
    vec![server.name.clone(), up_or_down(server.up), live + sorry]
}

fn real_server(server: &RealServerStatus) -> Vec<String> {
    let checks: Vec<String> = match server.checkers.as_slice() {
        [] => vec!["not checked".to_owned()],
        checkers => checkers.iter().map(checker).collect(),
    };
    let by_hand = server.by_hand.as_ref().map_or(String::new(), |why| format!(" ({why})"));
    let grows = server.grows_to.map_or(String::new(), |full| format!(", growing to {full} (slow_start)"));
    let weight = format!("weight {}{by_hand}{grows}", server.weight);
    let state = if server.kept { "KEPT".to_owned() } else { up_or_down(server.up) };
    vec![format!("  {}", server.endpoint), state, format!("{weight}, {}", checks.join("; "))]
}

/// A check and what it heard last.
pub(super) fn checker(checker: &CheckerDetail) -> String {
    let mut text = format!("{} {}", checker.kind, checker.state);
    if let Some(result) = &checker.last_result {
        text += &format!(" ({result})");
    }
    if let Some(latency) = checker.latency_us.filter(|_| checker.state == "up") {
        text += &format!(" in {}.{} ms", latency / 1000, latency % 1000 / 100);
    }
    if checker.failures > 0 {
        text += &format!(", {} in a row", plural(checker.failures as usize, "failure"));
    }
    text
}

fn up_or_down(up: bool) -> String {
    if up { "up" } else { "DOWN" }.to_owned()
}

fn transition(heard: &RecentTransition) -> Vec<String> {
    vec![
        format!("{} ago", span(heard.seconds_ago)),
        heard.router.clone(),
        format!("{} -> {}", heard.from, heard.to),
        heard.cause.clone(),
    ]
}

#[cfg(test)]
mod tests;
