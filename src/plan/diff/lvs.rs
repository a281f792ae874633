//! Services, real servers and checks: the rules of `lvs/director.rs` and `check`. A service is its key, a server its
//! endpoint within the service, a check its question.

use super::words::forwarding;
use super::{Change, Weight, What};
use crate::plan::check::{CheckerPlan, Question};
use crate::plan::lvs::{
    KernelSettings, LvsPlan, Persistence, RealServer, ServiceKey, ServiceRules, SorryServer, SyncPlan,
    SyncSettings, Timeouts, VirtualServer,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

pub(super) fn compare(old: &LvsPlan, new: &LvsPlan, changes: &mut Vec<Change>) {
    let owners = |plan: &LvsPlan| -> BTreeMap<ServiceKey, usize> {
        let keys = plan.virtual_servers.iter().enumerate();
        keys.flat_map(|(index, server)| server.keys.iter().map(move |key| (*key, index))).collect()
    };
    let (before, after) = (owners(old), owners(new));
    for (service, index) in before.iter().filter(|(key, _)| !after.contains_key(key)) {
        let Some(server) = old.virtual_servers.get(*index) else { continue };
        let what = What::ServiceRemoved { virtual_server: server.name.clone(), service: *service };
        changes.push(Change::new(Weight::Stops, what));
    }
    // Services that stay, by the virtual servers that had and have them: a group changes as one.
    let mut pairs: BTreeMap<(usize, usize), Vec<ServiceKey>> = BTreeMap::new();
    for (service, new_index) in &after {
        match before.get(service) {
            Some(old_index) => pairs.entry((*new_index, *old_index)).or_default().push(*service),
            None => {
                let Some(server) = new.virtual_servers.get(*new_index) else { continue };
                let (virtual_server, servers) = (server.name.clone(), server.real_servers.len());
                let what = What::ServiceAdded { virtual_server, service: *service, servers };
                changes.push(Change::new(Weight::Shifts, what));
            }
        }
    }
    for ((new_index, old_index), services) in pairs {
        let (Some(old), Some(new)) = (old.virtual_servers.get(old_index), new.virtual_servers.get(new_index))
        else {
            continue;
        };
        let mut pair = Pair { old, new, services, changes };
        pair.settings();
        pair.servers();
    }
    globals(old, new, changes);
    checks(old, new, changes);
}

/// Settings that are of no virtual server. Exhaustive on purpose.
fn globals(old: &LvsPlan, new: &LvsPlan, changes: &mut Vec<Change>) {
    let LvsPlan { generation: _, virtual_servers: _, flush_at_start, init_notifies: _, kernel, untold: _ } =
        old;
    let KernelSettings { timeouts, sync, flush_at_stop, rules } = kernel;
    let state = |on: bool| if on { "on" } else { "off" }.to_owned();
    let kernel = &new.kernel;
    use Weight::{Quiet, Shifts};
    let fields = [
        (Quiet, "lvs_flush", state(*flush_at_start), state(new.flush_at_start), false),
        (Quiet, "lvs_flush_on_stop", state(*flush_at_stop), state(kernel.flush_at_stop), false),
        (Quiet, "lvs_timeouts", seconds(timeouts), seconds(&kernel.timeouts), true),
        (Shifts, "lvs_sync_daemon", daemon(sync), daemon(&kernel.sync), true),
        (Shifts, "nftables_ipvs, FULLNAT", words_of(rules, None), words_of(&kernel.rules, Some(rules)), true),
    ];
    for (weight, field, old, new, in_kernel) in fields.into_iter().filter(|(_, _, old, new, _)| old != new) {
        let (virtual_server, services) = ("all".to_owned(), Vec::new());
        let what = What::ServiceField { virtual_server, services, field, old, new, in_kernel };
        changes.push(Change::new(weight, what));
    }
}

/// The packet filter's part; `before` tells apart what would read alike.
fn words_of(rules: &ServiceRules, before: Option<&ServiceRules>) -> String {
    let ServiceRules { table, priority, first_mark: _, counters, marked, translated } = rules;
    let (marked, translated) = (marked.len(), translated.len());
    let words = |rules: &ServiceRules| (rules.marked.len(), rules.translated.len());
    let others = before.is_some_and(|before| before != rules && words(before) == words(rules));
    let counters = if *counters { ", counted" } else { "" };
    let others = if others { ", not the same" } else { "" };
    format!(
        "{marked} addresses marked, {translated} servers behind FULLNAT{counters} in {table} at {priority}{others}"
    )
}

/// A virtual server before and after, and the services that are of both.
struct Pair<'a> {
    old: &'a VirtualServer,
    new: &'a VirtualServer,
    services: Vec<ServiceKey>,
    changes: &'a mut Vec<Change>,
}

impl Pair<'_> {
    fn field(&mut self, weight: Weight, field: &'static str, old: String, new: String, in_kernel: bool) {
        if old == new {
            return;
        }
        let (virtual_server, services) = (self.new.name.clone(), self.services.clone());
        let what = What::ServiceField { virtual_server, services, field, old, new, in_kernel };
        self.changes.push(Change::new(weight, what));
    }

    /// Exhaustive on purpose: a setting that is added to the plan must be thought of here.
    fn settings(&mut self) {
        let VirtualServer {
            name: _,
            group,
            keys: _,
            scheduler,
            scheduler_flags,
            persistence,
            persistence_engine,
            one_packet,
            quorum,
            hysteresis,
            sorry_server,
            alpha,
            omega,
            real_servers: _,
            ha_suspend,
            active_set,
            min_alive,
            marked: _,
        } = self.old;
        let new = self.new;
        use Weight::{Quiet, Shifts};
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "none".to_owned());
        self.field(Quiet, "virtual_server_group", word(group), word(&new.group), false);
        self.field(Shifts, "lvs_sched", scheduler.clone(), new.scheduler.clone(), true);
        let flags = |flags: u32| format!("{flags:#04x}");
        self.field(Shifts, "scheduler flags", flags(*scheduler_flags), flags(new.scheduler_flags), true);
        self.field(Shifts, "persistence_timeout", sticky(persistence), sticky(&new.persistence), true);
        let (engine, new_engine) = (word(persistence_engine), word(&new.persistence_engine));
        self.field(Shifts, "persistence_engine", engine, new_engine, true);
        self.field(Shifts, "ops", one_packet.to_string(), new.one_packet.to_string(), true);
        self.field(Shifts, "quorum", quorum.to_string(), new.quorum.to_string(), false);
        self.field(Shifts, "hysteresis", hysteresis.to_string(), new.hysteresis.to_string(), false);
        self.field(Shifts, "sorry_server", sorry(sorry_server), sorry(&new.sorry_server), false);
        self.field(Quiet, "alpha", alpha.to_string(), new.alpha.to_string(), false);
        self.field(Quiet, "omega", omega.to_string(), new.omega.to_string(), false);
        self.field(Shifts, "active_set", word(active_set), word(&new.active_set), false);
        self.field(Quiet, "ha_suspend", ha_suspend.to_string(), new.ha_suspend.to_string(), false);
        self.field(Quiet, "min_alive", min_alive.to_string(), new.min_alive.to_string(), false);
    }

    fn servers(&mut self) {
        let by_endpoint = |server: &'_ VirtualServer| -> HashMap<SocketAddr, usize> {
            server.real_servers.iter().enumerate().map(|(index, r)| (r.endpoint, index)).collect()
        };
        let (before, after) = (by_endpoint(self.old), by_endpoint(self.new));
        let (old, new) = (self.old, self.new);
        for server in old.real_servers.iter().filter(|r| !after.contains_key(&r.endpoint)) {
            let (virtual_server, services) = (new.name.clone(), self.services.clone());
            let what = What::ServerRemoved { virtual_server, services, endpoint: server.endpoint };
            self.changes.push(Change::new(Weight::Shifts, what));
        }
        for server in &new.real_servers {
            match before.get(&server.endpoint).and_then(|index| old.real_servers.get(*index)) {
                Some(old) => self.server(old, server),
                None => {
                    let what = What::ServerAdded {
                        virtual_server: new.name.clone(),
                        services: self.services.clone(),
                        endpoint: server.endpoint,
                        weight: server.weight,
                        waits: server.checkers.iter().any(|checker| checker.alpha),
                    };
                    self.changes.push(Change::new(Weight::Shifts, what));
                }
            }
        }
    }

    /// Exhaustive on purpose, as above. Checks are compared by question, for all servers at once.
    fn server(&mut self, old: &RealServer, new: &RealServer) {
        let RealServer {
            endpoint: _,
            weight,
            forwarding: method,
            inhibit_on_failure,
            upper_threshold,
            lower_threshold,
            checkers,
            set,
            slow_start,
        } = old;
        let named = |set: &Option<Box<str>>| set.as_deref().unwrap_or("none").to_owned();
        let alpha = |c: &[CheckerPlan]| c.iter().any(|checker| checker.alpha).to_string();
        let none = |n: u32| if n == 0 { "none".to_owned() } else { n.to_string() };
        let ramp = |time: std::time::Duration| format!("{} s", time.as_secs());
        use Weight::{Quiet, Shifts};
        let fields = [
            (Shifts, "weight", weight.to_string(), new.weight.to_string(), true),
            (Shifts, "lvs_method", forwarding(*method), forwarding(new.forwarding), true),
            (Shifts, "uthreshold", none(*upper_threshold), none(new.upper_threshold), true),
            (Shifts, "lthreshold", none(*lower_threshold), none(new.lower_threshold), true),
            (
                Quiet,
                "inhibit_on_failure",
                inhibit_on_failure.to_string(),
                new.inhibit_on_failure.to_string(),
                false,
            ),
            (Quiet, "alpha", alpha(checkers), alpha(&new.checkers), false),
            (Shifts, "set", named(set), named(&new.set), false),
            (Quiet, "slow_start", ramp(*slow_start), ramp(new.slow_start), false),
        ];
        for (weight, field, before, after, in_kernel) in fields {
            if before == after {
                continue;
            }
            let what = What::ServerField {
                virtual_server: self.new.name.clone(),
                services: self.services.clone(),
                endpoint: new.endpoint,
                field,
                old: before,
                new: after,
                in_kernel,
            };
            self.changes.push(Change::new(weight, what));
        }
    }
}

/// Checks live by their question, wherever in the plan it is asked.
fn checks(old: &LvsPlan, new: &LvsPlan, changes: &mut Vec<Change>) {
    let (before, after) = (questions(old), questions(new));
    let (old_set, new_set): (HashSet<_>, HashSet<_>) =
        (before.iter().copied().collect(), after.iter().copied().collect());
    let count = changes.len();
    for question in before.iter().filter(|q| !new_set.contains(*q)) {
        changes.push(Change::new(Weight::Quiet, What::CheckEnds { question: (*question).clone() }));
    }
    for question in after.iter().filter(|q| !old_set.contains(*q)) {
        changes.push(Change::new(Weight::Quiet, What::CheckStarts { question: (*question).clone() }));
    }
    let kept = old_set.intersection(&new_set).count();
    if changes.len() > count && kept > 0 {
        changes.push(Change::new(Weight::Quiet, What::ChecksKept { count: kept }));
    }
}

/// The questions of a plan in its order, each once.
fn questions(plan: &LvsPlan) -> Vec<&Question> {
    let servers = plan.virtual_servers.iter().flat_map(|v| &v.real_servers);
    let all = servers.flat_map(|server| server.checkers.iter().map(|checker| &*checker.question));
    let mut seen = HashSet::new();
    all.filter(|question| seen.insert(*question)).collect()
}

fn sticky(persistence: &Option<Persistence>) -> String {
    persistence.map_or("none".to_owned(), |p| format!("{} s, {}", p.timeout_seconds, p.granularity))
}

fn seconds(timeouts: &Timeouts) -> String {
    let word = |seconds: u32| if seconds == 0 { "not set".to_owned() } else { format!("{seconds} s") };
    format!("tcp {}, tcpfin {}, udp {}", word(timeouts.tcp), word(timeouts.tcp_fin), word(timeouts.udp))
}

fn daemon(sync: &Option<SyncPlan>) -> String {
    let Some(SyncPlan { instance, settings }) = sync else { return "none".to_owned() };
    let SyncSettings { interface, sync_id, max_length, group, port, ttl } = settings;
    let mut words = format!("{interface} {} id {sync_id}", instance.as_deref().unwrap_or("(both)"));
    let numbers =
        [("maxlen", max_length.map(u32::from)), ("port", port.map(u32::from)), ("ttl", ttl.map(u32::from))];
    for (name, number) in numbers {
        words += &number.map_or(String::new(), |number| format!(" {name} {number}"));
    }
    words + &group.map_or(String::new(), |group| format!(" group {group}"))
}

fn sorry(sorry: &Option<SorryServer>) -> String {
    sorry.as_ref().map_or("none".to_owned(), |s| {
        let inhibit = if s.inhibit { ", inhibited" } else { "" };
        format!("{} {}{inhibit}", s.endpoint, forwarding(s.forwarding))
    })
}
