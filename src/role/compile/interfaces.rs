//! Interfaces that a configuration names: are they there?

use keepalived_compat::{Code, Config, Diagnostic};
use nix::net::if_::if_nametoindex;
use std::collections::BTreeSet;

/// Is there an interface of this name in the network namespace of this process?
pub fn interface_exists(name: &str) -> bool {
    if_nametoindex(name).is_ok()
}

/// One diagnostic per interface that does not exist now. It may still come: the daemon waits for it.
pub(super) fn diagnose(config: &Config, exists: fn(&str) -> bool) -> Vec<Diagnostic> {
    let mut asked = BTreeSet::new();
    let mut diagnostics = Vec::new();
    for instance in &config.instances {
        let tracked = instance.settings.track_interfaces.iter().map(|tracked| &tracked.interface);
        let settings = &instance.settings;
        let addresses = settings.addresses.iter().chain(&settings.excluded);
        let holders = addresses.filter_map(|address| address.interface.as_ref());
        for name in settings.interface.iter().chain(tracked).chain(holders) {
            if !asked.insert(name.value.as_str()) || exists(&name.value) {
                continue;
            }
            let title = format!("there is no interface {}", name.value);
            let now = format!("vrrp_instance {} stays in FAULT until there is one", instance.name.value);
            diagnostics.push(Diagnostic::new(Code::MissingInterface, name.span, title, now));
        }
    }
    diagnostics
}
