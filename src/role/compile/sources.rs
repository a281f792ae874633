//! Source addresses of FULLNAT: does the director have them?

use keepalived_compat::config::lvs::{Method, VirtualServer};
use keepalived_compat::config::setting::{Settings as _, Value};
use keepalived_compat::{Code, Config, Diagnostic, Span};
use nix::ifaddrs::getifaddrs;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Has an interface in the network namespace of this process the address?
pub fn address_exists(address: IpAddr) -> bool {
    // Where nobody can look, nothing is missing.
    getifaddrs().map_or(true, |mut all| {
        all.any(|entry| entry.address.as_ref().and_then(super::machine::address_of) == Some(address))
    })
}

/// One diagnostic per `source` that neither an interface has now nor the configuration brings.
pub(super) fn diagnose(config: &Config, exists: fn(IpAddr) -> bool) -> Vec<Diagnostic> {
    // Where the table is there may be others.
    if ["net_namespace", "net_namespace_ipvs"]
        .iter()
        .any(|word| config.others.as_slice().find(word).is_some())
    {
        return Vec::new();
    }
    let mut asked = BTreeSet::new();
    let written = config.virtual_servers.iter().flat_map(sources);
    let missing: Vec<_> = written.filter(|(source, _)| asked.insert(*source) && !exists(*source)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let own = brought(config);
    missing.into_iter().filter(|(source, _)| !own.contains(source)).map(tell).collect()
}

/// Each with the place of its method.
fn sources(server: &VirtualServer) -> impl Iterator<Item = (IpAddr, Span)> {
    let methods = server
        .method
        .iter()
        .chain(server.sorry_server.iter().flat_map(|sorry| &sorry.method))
        .chain(server.real_servers.iter().flat_map(|real| &real.method));
    methods.filter_map(|method| match method.value {
        Method::FullNat(source) => Some((source?, method.span)),
        _ => None,
    })
}

/// Addresses that the daemon itself sets, now or as Master.
fn brought(config: &Config) -> BTreeSet<IpAddr> {
    let settings = config.instances.iter().map(|instance| &instance.settings);
    let virtual_ones = settings.flat_map(|s| s.addresses.iter().chain(&s.excluded)).map(|it| it.address);
    let lists = config.others.iter().filter(|setting| setting.keyword == "static_ipaddress");
    let statics = lists.flat_map(|list| &list.block).filter_map(|line| match line.value {
        Value::Prefix(Some((address, _))) => Some(address),
        _ => None,
    });
    virtual_ones.chain(statics).collect()
}

fn tell((source, span): (IpAddr, Span)) -> Diagnostic {
    let title = format!("no interface has {source}, the source of FULLNAT");
    let now = "real servers answer to whoever has it, and no connection comes to be until this host does";
    Diagnostic::new(Code::MissingSource, span, title, now).instead(format!(
        "add {source} to an interface or to virtual_ipaddress_excluded, or leave `source` out"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_its_address() {
        assert!(address_exists([127, 0, 0, 1].into()) && address_exists("::1".parse().expect("an address")));
        assert!(!address_exists([203, 0, 113, 77].into()));
    }
}
