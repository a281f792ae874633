//! `keepalived_check.data`: virtual servers, their real servers, what is checked.

use super::checkers::checkers;
use super::global::{Writer, globals};
use super::text::{Text, account};
use super::words;
use crate::net::AddressFamily;
use crate::plan::Plans;
use crate::plan::check::CheckKind;
use crate::plan::lvs::{
    ForwardingMethod, Granularity, Persistence, RealServer, ServiceKey, TunnelChecksum, TunnelKind,
    VirtualServer,
};
use crate::plan::notify::{ServerHooks, ServiceHooks};
use crate::plan::scripts::CommandPlan;
use crate::report::{CheckerStatus, RealServerStatus, VirtualServerStatus};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The whole file. `status`: what the checker role says.
pub fn check(plans: &Plans, status: &CheckerStatus) -> String {
    let mut text = Text::default();
    globals(&mut text, plans, Writer::Other);
    if uses_tls(plans) {
        text.section("SSL definitions");
        text.plain("Using autogen SSL context");
    }
    text.section("LVS Topology");
    let servers = &plans.lvs.virtual_servers;
    groups(&mut text, plans, servers);
    for server in servers {
        let known = status.virtual_servers.iter().find(|known| known.services == server.keys);
        virtual_server(&mut text, plans, server, known);
    }
    checkers(&mut text, plans, status);
    text.0
}

fn uses_tls(plans: &Plans) -> bool {
    let servers = plans.lvs.virtual_servers.iter().flat_map(|server| &server.real_servers);
    let mut checkers = servers.flat_map(|server| &server.checkers);
    checkers.any(|checker| matches!(&checker.kind, CheckKind::Http(check) if check.tls.is_some()))
}

/// `[192.0.2.100]:tcp:80`, `FWM 7`, `[group]:0`: as keepalived names a virtual server in this file.
pub(super) fn name(hooks: Option<&ServiceHooks>, server: &VirtualServer) -> String {
    if let Some(group) = hooks.and_then(|hooks| hooks.group.as_ref()) {
        return format!("[{group}]:0");
    }
    match server.keys.first() {
        Some(ServiceKey::Endpoint { protocol, address, port }) => {
            format!("[{address}]:{}:{port}", protocol.to_string().to_lowercase())
        }
        Some(ServiceKey::FwMark { mark, .. }) => format!("FWM {mark}"),
        None => server.name.clone(),
    }
}

/// Hooks of a virtual server, if it has any.
pub(super) fn hooks<'a>(plans: &'a Plans, server: &VirtualServer) -> Option<&'a ServiceHooks> {
    let first = server.keys.first()?;
    plans.scripts.notify.services.iter().find(|hooks| hooks.service == *first)
}

/// keepalived's protocol of a service, in lower case; `none` for a mark.
pub(super) fn protocol(server: &VirtualServer) -> String {
    match server.keys.first() {
        Some(ServiceKey::Endpoint { protocol, .. }) => protocol.to_string(),
        _ => "none".to_owned(),
    }
}

/// Each group that a virtual server has; its ranges address by address.
fn groups(text: &mut Text, plans: &Plans, servers: &[VirtualServer]) {
    let mut seen: Vec<&str> = Vec::new();
    for server in servers {
        let Some(group) = hooks(plans, server).and_then(|hooks| hooks.group.as_deref()) else { continue };
        if seen.contains(&group) {
            continue;
        }
        seen.push(group);
        let has = |family| yes(server.keys.iter().any(|key| key.family() == family));
        let families = format!("IPv4 = {}, IPv6 = {}", has(AddressFamily::V4), has(AddressFamily::V6));
        text.plain("------< Virtual server group >------");
        text.head("Virtual Server Group", format_args!("{group}, {families}"));
        for key in &server.keys {
            match key {
                ServiceKey::Endpoint { address, port, .. } => {
                    text.property("VIP", format_args!("{address}, VPORT = {port}"));
                }
                ServiceKey::FwMark { mark, .. } => text.property("FWMARK", mark),
            }
        }
    }
}

fn state(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

fn able(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

fn virtual_server(
    text: &mut Text,
    plans: &Plans,
    server: &VirtualServer,
    known: Option<&VirtualServerStatus>,
) {
    let hooks = hooks(plans, server);
    text.plain("------< Virtual server >------");
    match (hooks.and_then(|hooks| hooks.group.as_ref()), server.keys.first()) {
        (Some(group), _) => text.head("VS GROUP", format_args!("[{group}]:0")),
        (None, Some(ServiceKey::Endpoint { address, port, .. })) => {
            text.head("VS VIP", format_args!("{address}, VPORT = {port}"));
        }
        (None, Some(ServiceKey::FwMark { mark, .. })) => text.head("VS FWMARK", mark),
        (None, None) => text.head("VS", &server.name),
    }
    settings(text, server);
    let notified = [("up", hooks.and_then(|h| h.up.as_ref())), ("down", hooks.and_then(|h| h.down.as_ref()))];
    for (direction, command) in notified {
        if let Some(command) = command {
            text.property(&format!("Quorum {direction} notify script"), scripted(command));
        }
    }
    if server.ha_suspend {
        text.title("Using HA suspend");
    }
    text.property("Using smtp notification", yes(hooks.is_some_and(|hooks| hooks.mail)));
    if let Some(first) = server.real_servers.first() {
        text.property("default forwarding method", forwarding(first.forwarding));
    }
    if let Some(sorry) = &server.sorry_server {
        text.property("sorry server", format_args!("{}", bracketed(sorry.endpoint, &protocol(server))));
        text.property("  forwarding method", forwarding(sorry.forwarding));
        text.title(format_args!("  Inhibit on failure is {}", state(sorry.inhibit)));
    }
    if let Some(known) = known {
        // It is in the kernel's table, whoever serves.
        text.property("alive", 1);
        text.property("quorum_state_up", u8::from(known.up));
    }
    for (at, real) in server.real_servers.iter().enumerate() {
        let known = known.and_then(|known| known.real_servers.get(at));
        let own = hooks.and_then(|hooks| hooks.servers.iter().find(|own| own.endpoint == real.endpoint));
        let mail = plans.scripts.notify.mail.as_ref().is_none_or(|mail| mail.servers);
        real_server(text, server, real, known, (own, mail));
    }
}

fn settings(text: &mut Text, server: &VirtualServer) {
    let v4 = server.keys.iter().any(|key| key.family() == AddressFamily::V4);
    let v6 = server.keys.iter().any(|key| key.family() == AddressFamily::V6);
    text.property(
        "Address family",
        match (v4, v6) {
            (true, true) => "IPv4 & IPv6",
            (false, true) => "inet6",
            _ => "inet",
        },
    );
    if let Some(schedule) = schedule(server) {
        text.property("delay_loop", seconds(schedule));
    }
    text.property("lvs_sched", &server.scheduler);
    for (flag, bit) in flags(&server.scheduler) {
        text.property(flag, able(server.scheduler_flags & bit != 0));
    }
    text.property("One packet scheduling", able(server.one_packet));
    if let Some(engine) = &server.persistence_engine {
        text.property("persistence engine", engine);
    }
    if let Some(Persistence { timeout_seconds, granularity }) = server.persistence {
        text.property("persistence timeout", timeout_seconds);
        match granularity {
            Granularity::Client => {}
            Granularity::Netmask(mask) => text.property("persistence granularity", mask),
            Granularity::Prefix(bits) => text.property("persistence granularity", bits),
        }
    }
    let protocol = protocol(server);
    text.property("protocol", if protocol == "none" { protocol } else { protocol.to_uppercase() });
    text.title(format_args!("alpha is {}", state(server.alpha)));
    text.title(format_args!("omega is {}", state(server.omega)));
    text.property("quorum", format_args!("{}, hysteresis = {}", server.quorum, server.hysteresis));
}

/// keepalived's names for the flags of a scheduler, and their bits.
fn flags(scheduler: &str) -> &'static [(&'static str, u32)] {
    match scheduler {
        "sh" => &[("sh-port", 0x10), ("sh-fallback", 0x08)],
        "mh" => &[("mh-port", 0x10), ("mh-fallback", 0x08)],
        _ => &[("flag-1", 0x08), ("flag-2", 0x10), ("flag-3", 0x20)],
    }
}

/// The longest time between checks; keepalived has one for the whole virtual server.
fn schedule(server: &VirtualServer) -> Option<Duration> {
    let checkers = server.real_servers.iter().flat_map(|real| &real.checkers);
    checkers.map(|checker| checker.schedule.delay_loop).max()
}

fn real_server(
    text: &mut Text,
    server: &VirtualServer,
    real: &RealServer,
    known: Option<&RealServerStatus>,
    (hooks, mail): (Option<&ServerHooks>, bool),
) {
    text.title("------< Real server >------");
    let (ip, port): (IpAddr, u16) = (real.endpoint.ip(), real.endpoint.port());
    let effective = known.map_or(real.weight, |known| known.weight);
    let line = format!("RIP = {ip}, RPORT = {port}, WEIGHT = {} EFF WEIGHT = {effective}", real.weight);
    text.title(line);
    text.property("forwarding method", forwarding(real.forwarding));
    let alpha = real.checkers.first().map_or(server.alpha, |checker| checker.alpha);
    text.title(format_args!("Alpha is {}", state(alpha)));
    text.property(
        "connection limit range",
        format_args!("{} -> {}", real.lower_threshold, real.upper_threshold),
    );
    if let Some(delay) = real.checkers.iter().map(|checker| checker.schedule.delay_loop).max() {
        text.property("Delay loop", seconds(delay));
    }
    text.title(format_args!("Inhibit on failure is {}", state(real.inhibit_on_failure)));
    for (direction, command) in
        [("up", hooks.and_then(|h| h.up.as_ref())), ("down", hooks.and_then(|h| h.down.as_ref()))]
    {
        if let Some(command) = command {
            text.property(&format!("  RS {direction} notify script"), scripted(command));
        }
    }
    text.property("Using smtp notification", yes(hooks.map_or(mail, |hooks| hooks.mail)));
    text.property("initial weight", real.weight);
    text.property("effective weight", effective);
    if let Some(known) = known {
        text.property("alive", u8::from(known.up));
        let failed = known.checkers.iter().filter(|checker| checker.state == "down").count();
        text.property("num failed checkers", failed);
        text.property("RS set", u8::from(known.up || real.inhibit_on_failure));
    }
}

/// `'program' 'argument', uid:gid 0:0`.
fn scripted(command: &CommandPlan) -> String {
    format!("{}, uid:gid {}", words::command(command), account(command.identity.as_ref()))
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

/// `[192.0.2.40]:tcp:80`.
pub(super) fn bracketed(endpoint: SocketAddr, protocol: &str) -> String {
    format!("[{}]:{}:{}", endpoint.ip(), protocol.to_lowercase(), endpoint.port())
}

fn forwarding(method: ForwardingMethod) -> String {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => "",
        TunnelChecksum::Full => ", csum",
        TunnelChecksum::Remote => ", remcsum",
    };
    match method {
        ForwardingMethod::Masquerade => "NAT".to_owned(),
        ForwardingMethod::DirectRouting => "DR".to_owned(),
        ForwardingMethod::Tunnel(TunnelKind::Ipip) => "TUN, type = IPIP".to_owned(),
        ForwardingMethod::Tunnel(TunnelKind::Gue { port, checksum: sum }) => {
            format!("TUN, type = GUE, port = {port}{}", checksum(sum))
        }
        ForwardingMethod::Tunnel(TunnelKind::Gre { checksum: sum }) => {
            format!("TUN, type = GRE{}", checksum(sum))
        }
    }
}
