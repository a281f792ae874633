//! The marks of `nftables_ipvs` over a reload: a group that stays keeps its mark, whoever comes or goes before it in the file.
//! The kernel knows a service by its mark. Under another one it would be another service, and the connections of the
//! old one would end with it.

use super::Plans;
use super::lvs::{LvsPlan, ServiceKey, VirtualServer};
use crate::net::{AddressFamily, TransportProtocol};
use std::collections::{BTreeMap, BTreeSet};

/// Which group it is: how it is written, its protocol, its family.
type Identity<'a> = (&'a str, Option<TransportProtocol>, AddressFamily);

/// `new` with the marks that its groups had in `old`; `None` if it has them. Where `nftables_ipvs_start_fwmark` differs all
/// are numbered from there.
pub fn kept(old: &LvsPlan, new: &Plans) -> Option<Plans> {
    let moved = moved(old, &new.lvs);
    if moved.is_empty() {
        return None;
    }
    let mut kept = new.clone();
    let rename = |key: &mut ServiceKey| {
        if let ServiceKey::FwMark { mark, .. } = key
            && let Some(to) = moved.get(mark)
        {
            *mark = *to;
        }
    };
    for server in kept.lvs.virtual_servers.iter_mut().filter(|server| !server.marked.is_empty()) {
        let ours = server.marks_of_ours();
        server.keys.iter_mut().take(ours).for_each(rename);
    }
    // One for each virtual server, in the same order, if there is an agent.
    for (row, server) in kept.snmp.virtual_servers.iter_mut().zip(&new.lvs.virtual_servers) {
        row.services.iter_mut().take(server.marks_of_ours()).for_each(rename);
    }
    let rules = &mut kept.lvs.kernel.rules;
    for marked in &mut rules.marked {
        marked.mark = moved.get(&marked.mark).copied().unwrap_or(marked.mark);
    }
    rules.translated.iter_mut().for_each(|translated| rename(&mut translated.service));
    kept.scripts.notify.services.iter_mut().for_each(|hooks| rename(&mut hooks.service));
    Some(kept)
}

/// Marks of ours in `new` that must be others, and which.
fn moved(old: &LvsPlan, new: &LvsPlan) -> BTreeMap<u32, u32> {
    let mut before: BTreeMap<Identity<'_>, u32> = ours(old).collect();
    let first = new.kernel.rules.first_mark;
    if before.is_empty() || first != old.kernel.rules.first_mark {
        return BTreeMap::new();
    }
    let written: BTreeSet<u32> = new.virtual_servers.iter().flat_map(written).collect();
    // The mark of a group that goes is not given to another one at once: their connections are not the same.
    let mut taken: BTreeSet<u32> = written.iter().chain(before.values()).copied().collect();
    let (mut to, mut come) = (BTreeMap::new(), Vec::new());
    for (identity, now) in ours(new) {
        match before.remove(&identity).filter(|mark| !written.contains(mark)) {
            Some(mark) => _ = to.insert(now, mark),
            None => come.push(now),
        }
    }
    for now in come {
        let mark = if taken.contains(&now) { free(&taken, first) } else { now };
        taken.insert(mark);
        to.insert(now, mark);
    }
    to.retain(|from, to| from != to);
    to
}

/// The groups behind marks of ours.
fn ours(plan: &LvsPlan) -> impl Iterator<Item = (Identity<'_>, u32)> {
    plan.virtual_servers.iter().filter(|server| !server.marked.is_empty()).filter_map(|server| {
        match server.keys.first()? {
            ServiceKey::FwMark { family, mark } => {
                Some(((server.group()?, server.protocol(), *family), *mark))
            }
            ServiceKey::Endpoint { .. } => None,
        }
    })
}

/// The marks that the configuration names.
fn written(server: &VirtualServer) -> impl Iterator<Item = u32> {
    server.known_as().filter_map(|key| match key {
        ServiceKey::FwMark { mark, .. } => Some(*mark),
        ServiceKey::Endpoint { .. } => None,
    })
}

/// The next mark from `first` on that nobody has. There are more marks than virtual servers.
fn free(taken: &BTreeSet<u32>, first: u32) -> u32 {
    let mut mark = first;
    while mark == 0 || taken.contains(&mark) {
        mark = mark.wrapping_add(1);
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::lvs::{Marked, Translated};
    use crate::plan::notify::ServiceHooks;
    use crate::plan::snmp::SnmpVirtualServer;
    use TransportProtocol::{Tcp, Udp};

    fn fwmark(mark: u32) -> ServiceKey {
        ServiceKey::FwMark { family: AddressFamily::V4, mark }
    }

    /// A configuration with these groups behind these marks, each with an address, a FULLNAT server and a hook; a group
    /// without a name is a mark that was written.
    fn plans(groups: &[(&str, TransportProtocol, u32)]) -> Plans {
        let mut plans = Plans::default();
        for (name, protocol, mark) in groups {
            let endpoint =
                ServiceKey::Endpoint { protocol: *protocol, address: [192, 0, 2, 1].into(), port: 80 };
            let mut server = VirtualServer::new(format!("group {name}"), vec![fwmark(*mark)], Vec::new());
            if !name.is_empty() {
                server.marked = vec![endpoint];
                let address = [192, 0, 2, 1].into();
                let marked = Marked { protocol: *protocol, address, port: 80, mark: *mark };
                plans.lvs.kernel.rules.marked.push(marked);
            }
            plans.lvs.virtual_servers.push(server);
            let server = "10.0.0.1:80".parse().expect("an endpoint");
            let translated = Translated { service: fwmark(*mark), server, source: None };
            plans.lvs.kernel.rules.translated.push(translated);
            let (service, group) = (fwmark(*mark), Some((*name).to_owned()));
            let hooks = ServiceHooks {
                service,
                group,
                protocol: None,
                up: None,
                down: None,
                mail: false,
                servers: Vec::new(),
            };
            plans.scripts.notify.services.push(hooks);
            let services =
                plans.lvs.virtual_servers.last().map(|server| server.keys.clone()).unwrap_or_default();
            let (cells, real_servers, sorry_server) = (Vec::new(), Vec::new(), None);
            plans.snmp.virtual_servers.push(SnmpVirtualServer {
                services,
                cells,
                real_servers,
                sorry_server,
            });
        }
        plans
    }

    /// The marks that the groups of `new` have after `old`, which all parts of the plans agree on.
    fn after(old: &[(&str, TransportProtocol, u32)], new: &[(&str, TransportProtocol, u32)]) -> Vec<u32> {
        let (old, new) = (plans(old), plans(new));
        let kept = kept(&old.lvs, &new).unwrap_or(new);
        let mark = |key: &ServiceKey| match key {
            ServiceKey::FwMark { mark, .. } => *mark,
            ServiceKey::Endpoint { .. } => 0,
        };
        let servers = &kept.lvs.virtual_servers;
        let marks: Vec<u32> = servers.iter().map(|server| mark(&server.keys[0])).collect();
        let rules = &kept.lvs.kernel.rules;
        let hooks = kept.scripts.notify.services.iter().map(|hooks| mark(&hooks.service));
        assert_eq!(hooks.collect::<Vec<_>>(), marks);
        let rows = kept.snmp.virtual_servers.iter().map(|row| mark(&row.services[0]));
        assert_eq!(rows.collect::<Vec<_>>(), marks);
        assert_eq!(rules.translated.iter().map(|it| mark(&it.service)).collect::<Vec<_>>(), marks);
        let ours =
            servers.iter().filter(|server| !server.marked.is_empty()).map(|server| mark(&server.keys[0]));
        assert_eq!(rules.marked.iter().map(|it| it.mark).collect::<Vec<_>>(), ours.collect::<Vec<_>>());
        marks
    }

    #[test]
    fn groups_that_stay_keep_their_marks() {
        let old = [("A", Tcp, 1000), ("B", Tcp, 1001), ("B", Udp, 1002)];
        assert_eq!(after(&old, &old), [1000, 1001, 1002]);
        assert_eq!(after(&old, &[("B", Tcp, 1000), ("B", Udp, 1001)]), [1001, 1002], "one goes");
        let comes = [("N", Tcp, 1000), ("A", Tcp, 1001), ("B", Tcp, 1002), ("B", Udp, 1003)];
        assert_eq!(after(&old, &comes), [1003, 1000, 1001, 1002], "one comes before them");
        let turned = [("B", Udp, 1000), ("B", Tcp, 1001), ("A", Tcp, 1002)];
        assert_eq!(after(&old, &turned), [1002, 1001, 1000], "another order");
    }

    #[test]
    fn a_group_of_both_families_keeps_its_mark_in_both() {
        let v6 = |mark| ServiceKey::FwMark { family: AddressFamily::V6, mark };
        let mut new = plans(&[("N", Tcp, 1000), ("A", Tcp, 1001)]);
        let server = &mut new.lvs.virtual_servers[1];
        let address = "2001:db8::1".parse().expect("an address");
        server.marked.push(ServiceKey::Endpoint { protocol: Tcp, address, port: 80 });
        // The third was written: nobody renames it.
        server.keys = vec![fwmark(1001), v6(1001), v6(7)];
        let kept = kept(&plans(&[("A", Tcp, 1000)]).lvs, &new).expect("the mark moves");
        assert_eq!(kept.lvs.virtual_servers[1].keys, [fwmark(1000), v6(1000), v6(7)]);
    }

    #[test]
    fn the_mark_of_a_group_that_goes_is_not_given_at_once() {
        assert_eq!(after(&[("A", Tcp, 1000)], &[("N", Tcp, 1000)]), [1001]);
        assert_eq!(after(&[("A", Tcp, 1001)], &[("N", Tcp, 1000)]), [1000], "nobody had it");
    }

    #[test]
    fn a_mark_that_is_written_now_is_left_to_who_wrote_it() {
        let new = [("", Tcp, 1001), ("A", Tcp, 1000), ("B", Tcp, 1002)];
        assert_eq!(after(&[("A", Tcp, 1000), ("B", Tcp, 1001)], &new), [1001, 1000, 1002]);
    }

    #[test]
    fn another_first_mark_numbers_all_anew() {
        let (old, mut new) = (plans(&[("A", Tcp, 1000)]), plans(&[("A", Tcp, 5)]));
        new.lvs.kernel.rules.first_mark = 5;
        assert_eq!(kept(&old.lvs, &new), None);
    }
}
