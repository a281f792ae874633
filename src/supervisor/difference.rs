//! What a reload changed, in one line for the log.

use super::relay::trackers;
use crate::plan::Plans;
use crate::plan::lvs::{Identities, Identity, LvsPlan, ServiceKey, Translated, VirtualServer};
use crate::plan::vrrp::{RouterKey, RouterPlan, VirtualAddress};
use std::collections::{BTreeMap, HashSet};

/// Names in each part of the line; the rest is counted.
const NAMED: usize = 5;

/// What `new` has more, less or otherwise than `old`: `+1 address, -2 routers (V3, V6), 1 router changed (V1)`.
pub fn difference(old: &Plans, new: &Plans) -> String {
    let mut parts = Vec::new();
    router_parts(old, new, &mut parts);
    let (before, after) = (trackers(&old.scripts, &old.bfd), trackers(&new.scripts, &new.bfd));
    parts.extend(number("+", "tracker", after.difference(&before).count()));
    parts.extend(number("-", "tracker", before.difference(&after).count()));
    server_parts(old, new, &mut parts);
    let changed = ipvs_settings(old, new);
    parts.extend((!changed.is_empty()).then(|| format!("{} changed", changed.join(", "))));
    if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
}

fn router_parts(old: &Plans, new: &Plans, parts: &mut Vec<String>) {
    let (old, new) = (routers(old), routers(new));
    let kept = || new.iter().filter_map(|(key, router)| Some((*old.get(key)?, *router)));
    let (mut more, mut less) = (0, 0);
    for (before, after) in kept() {
        let (before, after) = (addresses(before), addresses(after));
        more += after.difference(&before).count();
        less += before.difference(&after).count();
    }
    parts.extend(number("+", "address", more));
    parts.extend(number("-", "address", less));
    let came = new.iter().filter(|(key, _)| !old.contains_key(*key));
    let left = old.iter().filter(|(key, _)| !new.contains_key(*key));
    let changed = kept().filter(|(before, after)| is_changed(before, after));
    parts.extend(part("+", "router", "", came.map(|(_, router)| router.name.clone()).collect()));
    parts.extend(part("-", "router", "", left.map(|(_, router)| router.name.clone()).collect()));
    parts.extend(part("", "router", " changed", changed.map(|(_, after)| after.name.clone()).collect()));
}

fn server_parts(old: &Plans, new: &Plans, parts: &mut Vec<String>) {
    let identities = Identities::between(&old.lvs, &new.lvs);
    let (before, after) = (servers(&old.lvs, &identities), servers(&new.lvs, &identities));
    let (sources_before, sources) = (translated(old), translated(new));
    let is_other = |server: &VirtualServer, known: &VirtualServer| {
        let sources_differ = server.keys.iter().any(|key| sources.get(key) != sources_before.get(key));
        sources_differ
            || known != server && VirtualServer { name: server.name.clone(), ..known.clone() } != *server
    };
    let came = after.iter().filter(|(key, _)| !before.contains_key(*key));
    let left = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let changed =
        after.iter().filter(|(key, server)| before.get(*key).is_some_and(|known| is_other(server, known)));
    let name = |(_, server): (&Identity<'_>, &&VirtualServer)| server.name.clone();
    parts.extend(part("+", "virtual server", "", came.map(name).collect()));
    parts.extend(part("-", "virtual server", "", left.map(name).collect()));
    parts.extend(part("", "virtual server", " changed", changed.map(name).collect()));
}

/// What FULLNAT does for each service.
fn translated(plans: &Plans) -> BTreeMap<ServiceKey, Vec<&Translated>> {
    let mut all: BTreeMap<ServiceKey, Vec<&Translated>> = BTreeMap::new();
    for one in &plans.lvs.kernel.rules.translated {
        all.entry(one.service).or_default().push(one);
    }
    all
}

/// Keywords of IPVS as a whole that say something else.
fn ipvs_settings(old: &Plans, new: &Plans) -> Vec<&'static str> {
    let (old, new) = (&old.lvs.kernel, &new.lvs.kernel);
    let settings = [
        ("lvs_sync_daemon", old.sync != new.sync),
        ("lvs_timeouts", old.timeouts != new.timeouts),
        ("lvs_flush_on_stop", old.flush_at_stop != new.flush_at_stop),
    ];
    settings.into_iter().filter(|(_, changed)| *changed).map(|(keyword, _)| keyword).collect()
}

fn routers(plans: &Plans) -> BTreeMap<&RouterKey, &RouterPlan> {
    plans.vrrp.routers.iter().map(|router| (&router.key, router)).collect()
}

fn servers<'a>(plan: &'a LvsPlan, identities: &Identities<'_>) -> BTreeMap<Identity<'a>, &'a VirtualServer> {
    plan.virtual_servers.iter().map(|server| (identities.of(server), server)).collect()
}

fn addresses(router: &RouterPlan) -> HashSet<&VirtualAddress> {
    router.addresses.iter().chain(&router.excluded_addresses).collect()
}

/// Did more change than which addresses there are? Those are counted for themselves.
fn is_changed(before: &RouterPlan, after: &RouterPlan) -> bool {
    if before == after {
        return false;
    }
    let mut same_addresses = after.clone();
    same_addresses.addresses.clone_from(&before.addresses);
    same_addresses.excluded_addresses.clone_from(&before.excluded_addresses);
    same_addresses != *before || addresses(before) == addresses(after)
}

fn number(sign: &str, what: &str, count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("{sign}1 {what}")),
        n if what.ends_with('s') => Some(format!("{sign}{n} {what}es")),
        n => Some(format!("{sign}{n} {what}s")),
    }
}

fn part(sign: &str, what: &str, happened: &str, names: Vec<String>) -> Option<String> {
    let counted = number(sign, what, names.len())?;
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let rest = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(", {rest} more"),
    };
    Some(format!("{counted}{happened} ({shown}{rest})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::AddressFamily;
    use crate::net::TransportProtocol::{self, Tcp, Udp};
    use crate::plan::lvs::Timeouts;

    fn server(name: &str, protocol: TransportProtocol) -> VirtualServer {
        let key = ServiceKey::Endpoint { protocol, address: [192, 0, 2, 1].into(), port: 53 };
        VirtualServer::new(name.to_owned(), vec![key], Vec::new())
    }

    /// A name is made another by a second virtual server of this name.
    #[test]
    fn another_name_is_no_change() {
        let (mut old, mut new) = (Plans::default(), Plans::default());
        old.lvs.virtual_servers = vec![server("192.0.2.1 53", Tcp)];
        new.lvs.virtual_servers = vec![server("tcp 192.0.2.1 53", Tcp), server("udp 192.0.2.1 53", Udp)];
        assert_eq!(difference(&old, &new), "+1 virtual server (udp 192.0.2.1 53)");
        assert_eq!(difference(&new, &old), "-1 virtual server (udp 192.0.2.1 53)");
    }

    #[test]
    fn a_group_of_marks_that_gets_an_address_is_changed() {
        let (mut old, mut new) = (Plans::default(), Plans::default());
        let of_group = |keys: Vec<ServiceKey>| VirtualServer {
            group: Some("g".to_owned()),
            ..VirtualServer::new("group g".to_owned(), keys, Vec::new())
        };
        let mark = ServiceKey::FwMark { mark: 22, family: AddressFamily::V4 };
        old.lvs.virtual_servers = vec![of_group(vec![mark])];
        new.lvs.virtual_servers = vec![of_group(vec![mark, server("a", Tcp).keys[0]])];
        assert_eq!(difference(&old, &new), "1 virtual server changed (group g)");
        assert_eq!(difference(&new, &old), "1 virtual server changed (group g)");
        // Of two protocols, one goes and the other stays.
        new.lvs.virtual_servers = vec![
            of_group(vec![server("a", Tcp).keys[0]]),
            VirtualServer { name: "udp group g".to_owned(), ..of_group(vec![server("a", Udp).keys[0]]) },
        ];
        old.lvs.virtual_servers = new.lvs.virtual_servers[1..].to_vec();
        assert_eq!(difference(&new, &old), "-1 virtual server (group g)");
    }

    #[test]
    fn what_fullnat_does_belongs_to_its_virtual_server() {
        let (mut old, mut new) = (Plans::default(), Plans::default());
        let server = server("192.0.2.1 53", Tcp);
        let translated = |source: Option<[u8; 4]>| Translated {
            service: server.keys[0],
            server: ([10, 0, 0, 1], 53).into(),
            source: source.map(Into::into),
        };
        (old.lvs.virtual_servers, new.lvs.virtual_servers) = (vec![server.clone()], vec![server.clone()]);
        for now in [None, Some([10, 0, 0, 9])] {
            new.lvs.kernel.rules.translated = vec![translated(now)];
            assert_eq!(difference(&old, &new), "1 virtual server changed (192.0.2.1 53)");
            old.lvs.kernel.rules.translated = vec![translated(now)];
            assert_eq!(difference(&old, &new), "nothing changed");
        }
    }

    #[test]
    fn settings_of_ipvs_as_a_whole_are_named() {
        let (old, mut new) = (Plans::default(), Plans::default());
        assert_eq!(difference(&old, &new), "nothing changed");
        new.lvs.kernel.timeouts = Timeouts { tcp: 60, ..Timeouts::default() };
        new.lvs.kernel.flush_at_stop = true;
        assert_eq!(difference(&old, &new), "lvs_timeouts, lvs_flush_on_stop changed");
    }
}
