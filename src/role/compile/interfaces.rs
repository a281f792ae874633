//! Interfaces that a configuration names: are they there?

use keepalived_compat::config::setting::{Setting, Settings as _};
use keepalived_compat::config::vrrp::VrrpInstance;
use keepalived_compat::{Code, Config, Diagnostic, Span, Spanned};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Is there an interface of this name in the network namespace of this process?
pub fn interface_exists(name: &str) -> bool {
    if_nametoindex(name).is_ok()
}

/// One diagnostic per interface that does not exist now. It may still come: the daemon waits for it.
pub(super) fn diagnose(config: &Config, exists: fn(&str) -> bool) -> Vec<Diagnostic> {
    // In another network namespace there may be others; and some configurations say that they come later.
    if config.others.find("net_namespace").is_some() || config.global.others.is_on("dynamic_interfaces") {
        return Vec::new();
    }
    let mut search = Search { exists, asked: BTreeSet::new(), found: Vec::new() };
    for instance in &config.instances {
        search.instance(instance);
    }
    for list in config.others.iter().filter(|s| s.keyword.starts_with("static_")) {
        search.lines(list, list.keyword);
    }
    search.delays(config);
    search.found
}

/// A unicast instance without `interface` uses the one that holds its `unicast_src_ip` now; without one, or in a VRF,
/// the vrrp role finds it.
pub(super) fn find_by_source(config: &mut Config) {
    for instance in &mut config.instances {
        let settings = &mut instance.settings;
        if let (None, Some(source), false) =
            (&settings.interface, settings.unicast_source, settings.unicast_peers.is_empty())
            && settings.others.find("vrf").is_none()
        {
            settings.interface = holder(source.value).map(|name| Spanned::new(name, source.span));
        }
    }
}

/// The interface that has the address.
fn holder(address: IpAddr) -> Option<String> {
    let has = |entry: &InterfaceAddress| match (address, &entry.address) {
        (IpAddr::V4(address), Some(here)) => here.as_sockaddr_in().is_some_and(|a| a.ip() == address),
        (IpAddr::V6(address), Some(here)) => here.as_sockaddr_in6().is_some_and(|a| a.ip() == address),
        (_, None) => false,
    };
    getifaddrs().ok()?.find(has).map(|entry| entry.interface_name)
}

/// Looks names up, each once.
struct Search<'a> {
    exists: fn(&str) -> bool,
    asked: BTreeSet<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> Search<'a> {
    fn instance(&mut self, instance: &'a VrrpInstance) {
        let name = &instance.name.value;
        let settings = &instance.settings;
        let tracked = settings.track_interfaces.iter().map(|tracked| &tracked.interface);
        for interface in settings.interface.iter().chain(tracked) {
            let now = format!("vrrp_instance {name} stays in FAULT until there is one");
            self.ask(&interface.value, interface.span, now);
        }
        // Addresses may be on the macvlan of an instance, which the daemon makes.
        let made = |interface: &str| settings.virtual_link_name() == Some(interface);
        for address in settings.addresses.iter().chain(&settings.excluded) {
            if let Some(interface) = address.interface.as_ref().filter(|i| !made(&i.value)) {
                let now = format!("vrrp_instance {name} cannot hold {} until there is one", address.address);
                self.ask(&interface.value, interface.span, now);
            }
        }
        for list in settings.others.iter().filter(|s| matches!(s.keyword, "virtual_routes" | "virtual_rules"))
        {
            self.lines(list, list.keyword);
        }
    }

    fn lines(&mut self, list: &'a Setting, what: &str) {
        for line in &list.block {
            for option in line.block.iter().filter(|o| matches!(o.keyword, "dev" | "oif" | "iif")) {
                let now = format!("a line of {what} has no effect until there is one");
                self.ask(option.name().unwrap_or_default(), option.span, now);
            }
        }
    }

    fn delays(&mut self, config: &'a Config) {
        for line in
            config.others.iter().filter(|s| s.keyword == "interface_up_down_delays").flat_map(|s| &s.block)
        {
            let name = line.name().unwrap_or_default();
            if !(self.exists)(name) {
                let title = format!("there is no interface {name} to delay");
                self.found.push(Diagnostic::new(
                    Code::DelayInterface,
                    line.span,
                    title,
                    "the line is left out",
                ));
            }
        }
    }

    fn ask(&mut self, name: &'a str, span: Span, now: String) {
        if self.asked.insert(name) && !(self.exists)(name) {
            let title = format!("there is no interface {name}");
            self.found.push(Diagnostic::new(Code::MissingInterface, span, title, now));
        }
    }
}
