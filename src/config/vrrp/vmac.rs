//! `use_vmac`, `use_ipvlan`, `use_vmac_addr`, `accept` and what belongs to them.

use super::settings::strict;
use crate::config::Diagnostics;
use crate::net::{AddressFamily, IpCidr, MacAddr, VirtualRouterId};
use crate::plan::vmac::{FilterSettings, IpvlanMode, VirtualLinkKind, VirtualLinkPlan};
use crate::plan::vrrp::{RouterPlan, Transport, Unfit, Version, VirtualAddress};
use keepalived_compat::config::setting::{Setting, Settings as _, Value};
use keepalived_compat::config::vrrp::{IpvlanMode as Mode, VrrpInstance};
use keepalived_compat::{Code, Config};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// keepalived's prefix of generated names.
const PREFIX: &str = "vrrp";

/// The virtual interfaces of all routers, and the names that are taken.
pub(super) struct Links {
    made: Vec<VirtualLinkPlan>,
    taken: BTreeSet<String>,
    prefix: String,
    address_prefix: String,
}

impl Links {
    /// None made yet. Names that the configuration mentions as interfaces are not given to generated ones.
    pub(super) fn new(config: &Config) -> Links {
        let interfaces = config.instances.iter().filter_map(|i| i.settings.interface.as_ref());
        let taken = interfaces.map(|interface| interface.value.clone()).collect();
        let global = &config.global.others;
        // Room for a digit, the dot and the VRID.
        let usable = |prefix: &&str| !prefix.is_empty() && prefix.len() <= 9 && !prefix.contains('/');
        let prefix = global.text("vmac_prefix").filter(usable).unwrap_or(PREFIX).to_owned();
        let address_prefix = global.text("vmac_addr_prefix").filter(usable).unwrap_or(&prefix).to_owned();
        Links { made: Vec::new(), taken, prefix, address_prefix }
    }

    /// keepalived's names: `vrrp.51`, for IPv6 then `vrrp6.51`, then `vrrp1.51` and so on.
    fn free_name(&self, prefix: &str, vrid: VirtualRouterId, family: AddressFamily) -> String {
        let sixth = (family == AddressFamily::V6).then(|| format!("{prefix}6.{vrid}"));
        let numbered = (1..).map(|n| format!("{prefix}{n}.{vrid}"));
        std::iter::once(format!("{prefix}.{vrid}"))
            .chain(sixth)
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .expect("names without end against a finite set")
    }

    /// The interface with these properties; one on the same base with the same MAC address is shared, because the
    /// kernel allows no second.
    fn make(&mut self, link: VirtualLinkPlan, router: &mut RouterPlan) -> String {
        let same = |known: &&VirtualLinkPlan| {
            known.base == link.base
                && known.kind == link.kind
                && matches!(link.kind, VirtualLinkKind::Macvlan { .. })
        };
        let link = self.made.iter().find(same).cloned().unwrap_or(link);
        if self.taken.insert(link.name.clone()) {
            self.made.push(link.clone());
        }
        let name = link.name.clone();
        if !router.virtual_links.contains(&link) {
            router.virtual_links.push(link);
        }
        name
    }
}

/// What `use_vmac` or `use_ipvlan` says.
#[derive(Default)]
struct Written {
    name: Option<String>,
    mac: Option<MacAddr>,
    address: Option<IpCidr>,
    mode: Option<IpvlanMode>,
    group: Option<u32>,
}

/// Gives `router` its virtual interfaces and puts its addresses on them. An ipvlan that it could not speak by is not
/// made, as in keepalived.
pub(super) fn virtual_links(
    instance: &VrrpInstance,
    router: &mut RouterPlan,
    links: &mut Links,
    out: &mut Diagnostics,
) {
    let others = &instance.settings.others;
    let own = match (others.find("use_vmac"), others.find("use_ipvlan")) {
        (Some(setting), _) => {
            let written = read(instance, router, setting, out);
            let mac = written.mac.unwrap_or(router.key.vrid.virtual_mac(router.key.family));
            Some((written, VirtualLinkKind::Macvlan { mac }, setting))
        }
        (None, Some(setting)) => {
            let written = read(instance, router, setting, out);
            let kind = VirtualLinkKind::Ipvlan {
                mode: written.mode.unwrap_or(IpvlanMode::Bridge),
                address: written.address,
            };
            Some((written, kind, setting))
        }
        (None, None) => None,
    };
    let own = match own {
        None => None,
        Some((_, kind, _)) if !source_of_ipvlan(router, kind) => {
            router.wire.unfit = Some(Unfit::NoAddress);
            None
        }
        Some((written, kind, setting)) => {
            let name = own_name(instance, router, links, written.name, setting, out);
            let link = VirtualLinkPlan {
                name,
                base: router.key.interface.clone(),
                family: router.key.family,
                kind,
                group: written.group,
            };
            Some(links.make(link, router))
        }
    };
    if let Some(own) = &own
        && !speaks_by_base(instance, router, out)
    {
        router.advert_link = Some(own.clone());
    }
    // On an ipvlan keepalived holds none: the base has the same MAC address.
    let holder = own.filter(|name| {
        let it = router.virtual_links.iter().find(|link| link.name == *name);
        it.is_some_and(|link| matches!(link.kind, VirtualLinkKind::Macvlan { .. }))
    });
    place_addresses(instance, router, holder.as_deref(), links);
}

/// `vmac_xmit_base`: always with unicast, never in strict mode.
fn speaks_by_base(instance: &VrrpInstance, router: &RouterPlan, out: &mut Diagnostics) -> bool {
    let written = instance.settings.others.find("vmac_xmit_base");
    let name = &instance.name.value;
    // The parser has said so where it is not written.
    if matches!(router.transport, Transport::Unicast { .. }) {
        return true;
    }
    match written {
        Some(setting) if strict(instance) => {
            let title = format!("vrrp_instance {name}: vmac_xmit_base does not go with strict mode");
            out.tell(Code::Cleared, setting.span, title, "it is left out, as in keepalived");
            false
        }
        Some(_) => true,
        None => false,
    }
}

/// An ipvlan shares the MAC address of its base, so over IPv4 it needs an address of its own to be told apart.
/// The parser has said so where there is none.
fn source_of_ipvlan(router: &mut RouterPlan, kind: VirtualLinkKind) -> bool {
    let VirtualLinkKind::Ipvlan { address, .. } = kind else { return true };
    if let Some(address) = address
        && let Transport::Multicast { source: source @ None, .. } = &mut router.transport
    {
        *source = Some(address.address());
    }
    let (Transport::Multicast { source, .. } | Transport::Unicast { source, .. }) = &router.transport;
    source.is_some() || router.key.family == AddressFamily::V6
}

/// The written name if it is free, as in keepalived; else a generated one.
fn own_name(
    instance: &VrrpInstance,
    router: &RouterPlan,
    links: &Links,
    written: Option<String>,
    setting: &Setting,
    out: &mut Diagnostics,
) -> String {
    let free = links.free_name(&links.prefix, router.key.vrid, router.key.family);
    let Some(name) = written else { return free };
    if !links.taken.contains(&name) {
        return name;
    }
    let title = format!("vrrp_instance {}: the name {name} is taken", instance.name.value);
    let now = format!("the virtual interface is called {free}");
    out.tell(Code::Duplicate, setting.span, title, &now);
    free
}

/// Addresses of the router's family without `dev`, or with that of its base, go to its own virtual interface (seen with
/// 2.2.7); `use_vmac_addr` gives all others one of theirs, the option `use_vmac` of a line only this one.
fn place_addresses(instance: &VrrpInstance, router: &mut RouterPlan, own: Option<&str>, links: &mut Links) {
    let written = instance.settings.addresses.iter().chain(&instance.settings.excluded);
    let marked: BTreeSet<_> = written
        .filter(|a| a.others.find("use_vmac").is_some())
        .map(|a| (a.address, a.interface.as_ref().map(|i| i.value.clone())))
        .collect();
    let all = instance.settings.others.find("use_vmac_addr").is_some();
    let addresses = std::mem::take(&mut router.addresses);
    let excluded = std::mem::take(&mut router.excluded_addresses);
    let mut place = |mut address: VirtualAddress| {
        let family = address.cidr.family();
        let on_base = address.interface.as_ref().is_none_or(|dev| *dev == router.key.interface);
        let at_home = on_base && family == router.key.family;
        let wants = all || marked.contains(&(address.cidr.address(), address.interface.clone()));
        if let (Some(own), true) = (own, at_home) {
            address.interface = Some(own.to_owned());
        } else if wants {
            let link = VirtualLinkPlan {
                name: links.free_name(&links.address_prefix, router.key.vrid, family),
                base: address.interface.take().unwrap_or_else(|| router.key.interface.clone()),
                family,
                kind: VirtualLinkKind::Macvlan { mac: router.key.vrid.virtual_mac(family) },
                group: None,
            };
            address.interface = Some(links.make(link, router));
        }
        address
    };
    let addresses = addresses.into_iter().map(&mut place).collect();
    let excluded = excluded.into_iter().map(&mut place).collect();
    router.addresses = addresses;
    router.excluded_addresses = excluded;
}

/// Reads the words of `use_vmac` or `use_ipvlan`.
fn read(instance: &VrrpInstance, router: &RouterPlan, setting: &Setting, out: &mut Diagnostics) -> Written {
    let (written, group) = match &setting.value {
        Value::Vmac(vmac) => {
            let mac = vmac.mac.map(|mac| MacAddr(mac.octets(router.key.vrid.get())));
            (Written { name: vmac.name.clone(), mac, ..Written::default() }, &vmac.group)
        }
        Value::Ipvlan(ipvlan) => {
            let address = ipvlan.address.and_then(|(address, prefix)| address_of(address, prefix, router));
            let mode = Some(match ipvlan.mode {
                Mode::Bridge => IpvlanMode::Bridge,
                Mode::Private => IpvlanMode::Private,
                Mode::Vepa => IpvlanMode::Vepa,
            });
            (Written { name: ipvlan.name.clone(), address, mode, ..Written::default() }, &ipvlan.group)
        }
        _ => return Written::default(),
    };
    let name = &instance.name.value;
    let number = group.as_ref().map(|group| (group, group_number(group)));
    if let Some((group, None)) = number {
        let title = format!("vrrp_instance {name}: {}: group `{group}` is not understood", setting.keyword);
        let now = "the interface is in its base's group: write a number";
        out.tell(Code::BadValue, setting.span, title, now);
    }
    let mut written = Written { group: number.and_then(|(_, number)| number), ..written };
    if strict(instance) && written.mac.take().is_some() {
        let title = format!("vrrp_instance {name}: a MAC address does not go with strict mode");
        out.tell(Code::Cleared, setting.span, title, "the virtual router's own is used, as in keepalived");
    }
    written
}

fn group_number(word: &str) -> Option<u32> {
    if word == "default" { Some(0) } else { word.parse().ok() }
}

fn address_of(address: IpAddr, prefix: Option<u8>, router: &RouterPlan) -> Option<IpCidr> {
    let cidr = prefix.map_or(Some(IpCidr::host(address)), |prefix| IpCidr::new(address, prefix))?;
    (cidr.family() == router.key.family).then_some(cidr)
}

/// Are packets to the addresses accepted? By an owner always, in strict mode only if version 3 says so, else unless
/// `no_accept` says otherwise.
pub(super) fn accept(instance: &VrrpInstance, router: &RouterPlan, out: &mut Diagnostics) -> bool {
    let others = &instance.settings.others;
    let written = others.iter().rev().find(|s| matches!(s.keyword, "accept" | "no_accept"));
    let name = &instance.name.value;
    if router.priority.is_owner() {
        if let Some(setting) = written.filter(|s| s.keyword == "no_accept") {
            let title =
                format!("vrrp_instance {name}: no_accept means nothing to the owner of the addresses");
            out.tell(Code::NoEffect, setting.span, title, "packets to them are accepted, as in keepalived");
        }
        return true;
    }
    match written.map(|s| (s.keyword, s)) {
        Some(("accept", setting)) if strict(instance) && router.version == Version::V2 => {
            let title = format!("vrrp_instance {name}: accept does not go with strict mode in version 2");
            out.tell(Code::Cleared, setting.span, title, "it is left out, as in keepalived");
            false
        }
        Some(("accept", _)) => true,
        Some(_) => false,
        None => !strict(instance),
    }
}

/// `promote_secondaries`, where the interface itself holds addresses (with `use_ipvlan` it does); a virtual one always
/// has it.
pub(super) fn promote_secondaries(instance: &VrrpInstance, router: &RouterPlan) -> bool {
    let base = Some(&router.key.interface);
    let mut held = router.addresses.iter().chain(&router.excluded_addresses);
    instance.settings.others.find("promote_secondaries").is_some()
        && held.any(|address| address.interface.is_none() || address.interface.as_ref() == base)
}

/// `nftables`, `nftables_priority`, `nftables_counters`.
pub(super) fn filter(config: &Config) -> FilterSettings {
    let default = FilterSettings::default();
    let global = &config.global.others;
    FilterSettings {
        table: global.text("nftables").map_or(default.table, str::to_owned),
        priority: global
            .number("nftables_priority")
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(default.priority),
        counters: global.find("nftables_counters").is_some(),
    }
}

#[cfg(test)]
#[path = "vmac_tests.rs"]
mod tests;
