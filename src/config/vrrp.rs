//! `vrrp_instance` to [`RouterPlan`].

mod address;
mod claim;
mod delays;
mod groups;
mod line;
mod linkbeat;
mod route;
mod rule;
mod settings;
mod statics;
mod track;
mod transport;
mod vmac;
mod whole;

use super::Diagnostics;
use super::names::Names;
use crate::net::{AddressFamily, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::vrrp::{RouterKey, RouterPlan, Transport, VrrpPlan};
use address::{addresses, excluded};
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::config::vrrp as conf;
use keepalived_compat::config::vrrp::VrrpInstance;
use keepalived_compat::{Code, Config, Diagnostic};
use statics::Routing;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses that one advertisement can carry: its count is one octet (RFC 9568 5.2.5).
const MOST_ADDRESSES: usize = 255;

pub(super) fn lower(
    config: &Config,
    generation: Generation,
    names: &Names,
    out: &mut Diagnostics,
) -> VrrpPlan {
    let routing = Routing::new(config, names);
    let mut routers: Vec<RouterPlan> = Vec::new();
    let mut keys: BTreeMap<RouterKey, &VrrpInstance> = BTreeMap::new();
    let mut links = vmac::Links::new(config);
    for instance in &config.instances {
        let Some(mut router) = router(instance, &mut links, out) else { continue };
        router.routing = routing.of_instance(&instance.settings.others, out);
        router.trackers = track::trackers(&instance.settings.others, config);
        if router.priority.is_owner() {
            track::of_an_owner(&mut router);
        }
        router.claim = claim::claim(instance, out);
        router.announce = whole::announce(instance, config, router.announce);
        if let Some(first) = keys.get(&router.key) {
            router.key.among = among(&router, &routers);
            if router.key.among.is_none() {
                conflict(first, instance, &router, out);
                continue;
            }
        }
        keys.insert(router.key.clone(), instance);
        routers.push(router);
    }
    let groups = groups::groups(config, &mut routers);
    let statics = routing.statics(config, &mut routers, out);
    let (startup_delay, log_unknown_vrids) = (whole::startup_delay(config), whole::log_unknown_vrids(config));
    let link_delays = delays::link_delays(config, &routers, out);
    let announce_gaps = whole::announce_gaps(config, out);
    let polled_links = linkbeat::polled_links(config, &routers, &groups);
    VrrpPlan {
        generation,
        routers,
        groups,
        filter: vmac::filter(config),
        statics,
        startup_delay,
        log_unknown_vrids,
        announce_gaps,
        vip_lease: whole::vip_lease(config),
        handover: whole::handover(config),
        no_resume: whole::no_resume(config),
        link_delays,
        boot_delay: whole::boot_delay(config),
        no_local_igmp: whole::no_local_igmp(config),
        polled_links,
    }
}

/// A second router of a key: keepalived takes it when unicast peers or groups tell it from the first.
fn among(router: &RouterPlan, others: &[RouterPlan]) -> Option<IpAddr> {
    let here = || others.iter().filter(|o| RouterKey { among: None, ..o.key.clone() } == router.key);
    match &router.transport {
        Transport::Unicast { peers, .. } => {
            let taken = |peer: &IpAddr| {
                here()
                    .any(|o| matches!(&o.transport, Transport::Unicast { peers, .. } if peers.contains(peer)))
            };
            peers.first().copied().filter(|_| !peers.iter().any(taken))
        }
        Transport::Multicast { .. } => {
            let group = |given: &Option<IpAddr>| given.unwrap_or_else(|| router.key.family.vrrp_group());
            let own = group(&router.transport.group_given());
            let taken = here().any(|o| match &o.transport {
                Transport::Multicast { group: given, .. } => group(given) == own,
                Transport::Unicast { .. } => false,
            });
            (!taken).then_some(own)
        }
    }
}

/// Two instances are one virtual router: keepalived refuses that.
fn conflict(first: &VrrpInstance, second: &VrrpInstance, router: &RouterPlan, out: &mut Diagnostics) {
    let RouterKey { interface, family, vrid, .. } = &router.key;
    let place = |i: &VrrpInstance| i.settings.vrid.map_or(i.name.span, |v| v.span);
    let names = (&first.name.value, &second.name.value);
    let title = format!(
        "vrrp_instance {} and {} both use VRID {vrid} with {family} on {interface}",
        names.0, names.1
    );
    let now = "the configuration is refused, as in keepalived";
    out.say(
        Diagnostic::new(Code::Conflict, place(second), title, now)
            .related(place(first), "the first one")
            .instead("give one of them another virtual_router_id, on all nodes"),
    );
}

/// One router; `None` (said) when it cannot be started.
fn router(instance: &VrrpInstance, links: &mut vmac::Links, out: &mut Diagnostics) -> Option<RouterPlan> {
    let name = instance.name.value.clone();
    let settings = &instance.settings;
    let family = family(settings);
    let (Some(vrid), Some(interface)) = (vrid(instance, out), interface(instance, out)) else { return None };
    let version = settings::version(instance, family, out);
    let mut addresses = addresses(&name, family, &interface, &settings.addresses, out);
    let mut excluded_addresses = excluded(&settings.excluded);
    settings::check_addresses(instance, version, addresses.len(), out);
    if addresses.len() > MOST_ADDRESSES {
        let title =
            format!("vrrp_instance {name} has {} addresses, an advertisement carries 255", addresses.len());
        let now = "the addresses after the 255th are held but not advertised";
        out.tell(Code::Limit, instance.name.span, title, now);
        excluded_addresses.splice(0..0, addresses.split_off(MOST_ADDRESSES));
    }
    let authentication = settings::authentication(instance, family, version, out);
    let priority = settings::priority(settings);
    let transport = transport::transport(instance, family, out);
    let (preempt, preempt_delay) = settings::preemption(instance, priority, out);
    settings::note_strict(instance, priority, out);
    let (answer_lower_priority, answer_higher_priority) = settings::answers(instance);
    let key = RouterKey::new(interface, family, vrid);
    let mut router = RouterPlan {
        interval: settings::interval(instance, version, out),
        preempt,
        preempt_delay,
        priority,
        version,
        down_timer_adverts: settings::down_timer_adverts(instance, out),
        addresses,
        excluded_addresses,
        authentication,
        wire: transport::wire_policy(instance, family, version, &transport, out),
        transport,
        checksum: settings::checksum(instance, family, version),
        announce: settings::announce(instance),
        answer_lower_priority,
        answer_higher_priority,
        track_primary: !settings.dont_track_primary,
        track_interfaces: settings::track_interfaces(instance, &key.interface, out),
        track_source: settings.others.find("track_src_ip").is_some(),
        listens_when_late: settings::listens_when_late(instance, preempt, out),
        ..RouterPlan::new(name, key)
    };
    vmac::virtual_links(instance, &mut router, links, out);
    router.accept = vmac::accept(instance, &router, out);
    router.promote_secondaries = vmac::promote_secondaries(instance, &router);
    Some(router)
}

/// The family of the first address that is written, whatever it is for; else IPv4.
fn family(settings: &conf::Settings) -> AddressFamily {
    if settings.native_ipv6 || settings.ipv6 == Some(true) { AddressFamily::V6 } else { AddressFamily::V4 }
}

fn vrid(instance: &VrrpInstance, out: &mut Diagnostics) -> Option<VirtualRouterId> {
    let vrid = instance.settings.vrid.and_then(|v| VirtualRouterId::new(v.value));
    if vrid.is_none() {
        let title = format!("vrrp_instance {} has no usable virtual_router_id", instance.name.value);
        let now = "the configuration is refused, as in keepalived";
        let diagnostic = Diagnostic::new(Code::Incomplete, instance.name.span, title, now);
        out.say(diagnostic.instead("virtual_router_id N, a number from 1 to 255, the same on all nodes"));
    }
    vrid
}

fn interface(instance: &VrrpInstance, out: &mut Diagnostics) -> Option<String> {
    let (settings, name) = (&instance.settings, &instance.name);
    if let Some(interface) = &settings.interface {
        return Some(interface.value.clone());
    }
    if let Some(source) = settings.unicast_source.filter(|_| !settings.unicast_peers.is_empty()) {
        return Some(RouterKey::place_for(source.value, settings.others.text("vrf")));
    }
    let title = format!("vrrp_instance {} has no interface", name.value);
    let now = "the configuration is refused, as in keepalived";
    let diagnostic = Diagnostic::new(Code::Incomplete, name.span, title, now);
    out.say(diagnostic.instead("interface NAME, the one that reaches the other routers"));
    None
}
