//! `nftables_ipvs`: the addresses of a group share one mark, and so one service of the kernel.

use super::Lowering;
use crate::net::AddressFamily;
use crate::plan::lvs::{Marked, ServiceKey, ServiceRules};
use keepalived_compat::config::lvs::{Entry, Service};
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::{Config, Span};
use std::collections::{BTreeMap, BTreeSet};

/// The marks that are still free.
pub(super) struct Marks {
    wanted: bool,
    next: u32,
    taken: BTreeSet<u32>,
}

impl Marks {
    pub(super) fn of(config: &Config, rules: &ServiceRules) -> Marks {
        let services = config.virtual_servers.iter().filter_map(|server| match server.service.value {
            Service::Fwmark(mark) => Some(mark),
            _ => None,
        });
        let groups = config.groups.iter().flat_map(|group| &group.entries);
        let entries = groups.filter_map(|entry| match entry.value {
            Entry::Fwmark(mark, _) => Some(mark),
            Entry::Address(..) => None,
        });
        Marks {
            wanted: config.global.others.find("nftables_ipvs").is_some(),
            next: rules.first_mark,
            taken: services.chain(entries).collect(),
        }
    }

    fn next(&mut self) -> u32 {
        while self.next == 0 || self.taken.contains(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        self.taken.insert(self.next);
        self.next
    }
}

/// The table, with nothing in it yet.
pub(super) fn settings(config: &Config) -> ServiceRules {
    let global = &config.global.others;
    let default = ServiceRules::default();
    ServiceRules {
        table: global.text("nftables_ipvs").map_or(default.table, str::to_owned),
        priority: global
            .number("nftables_ipvs_priority")
            .and_then(|priority| i32::try_from(priority).ok())
            .unwrap_or(default.priority),
        first_mark: global
            .number("nftables_ipvs_start_fwmark")
            .and_then(|first| u32::try_from(first).ok())
            .unwrap_or(default.first_mark),
        counters: global.find("nftables_counters").is_some(),
        ..ServiceRules::default()
    }
}

impl Lowering<'_> {
    /// With `nftables_ipvs`, a mark in place of the addresses of a group. Marks that were written stay.
    pub(super) fn mark(
        &mut self,
        keys: Vec<ServiceKey>,
        seen: &mut BTreeMap<ServiceKey, Span>,
    ) -> Vec<ServiceKey> {
        let is_group = matches!(self.written.service.value, Service::Group(_));
        if !self.marks.wanted || !is_group || keys.is_empty() {
            return keys;
        }
        let (written, endpoints): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| matches!(key, ServiceKey::FwMark { .. }));
        if endpoints.is_empty() {
            return written;
        }
        let mark = self.marks.next();
        let marked = endpoints.iter().filter_map(|key| match *key {
            ServiceKey::Endpoint { protocol, address, port } => {
                Some(Marked { protocol, address, port, mark })
            }
            ServiceKey::FwMark { .. } => None,
        });
        self.rules.marked.extend(marked);
        seen.extend(endpoints.iter().map(|key| (*key, self.written.service.span)));
        // One for each family, the first one's first.
        let first = endpoints.first().map_or(AddressFamily::V4, ServiceKey::family);
        let other = endpoints.iter().map(ServiceKey::family).find(|family| *family != first);
        self.endpoints = endpoints;
        let ours = [Some(first), other].into_iter().flatten();
        ours.map(|family| ServiceKey::FwMark { family, mark }).chain(written).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::lowered;
    use crate::plan::lvs::LvsPlan;
    use keepalived_compat::Code;

    const GROUP: &str = "virtual_server_group WEB {\n192.0.2.1-3 80\n192.0.2.9 443\n}\n";

    fn plan(global: &str, servers: &str) -> (LvsPlan, Vec<Code>) {
        let (plans, codes) = lowered(&format!("global_defs {{\n{global}\n}}\n{GROUP}{servers}"));
        (plans.lvs, codes)
    }

    fn server(protocol: &str, more: &str) -> String {
        format!(
            "virtual_server group WEB {{\nlvs_sched rr\nlvs_method {more}\nprotocol {protocol}\n\
             real_server 198.51.100.1 {{ weight 1 }}\n}}\n"
        )
    }

    #[test]
    fn a_group_has_one_mark_for_each_protocol() {
        let both = server("TCP", "DR")
            + &server("UDP", "DR")
            + "virtual_server fwmark 1001 {\nlvs_sched rr\nlvs_method DR\nreal_server 198.51.100.1 { weight 1 }\n}\n";
        let (plan, codes) = plan("nftables_ipvs", &both);
        assert_eq!(codes, []);
        let keys: Vec<Vec<ServiceKey>> = plan.virtual_servers.iter().map(|s| s.keys.clone()).collect();
        let mark = |mark| vec![ServiceKey::FwMark { family: AddressFamily::V4, mark }];
        // 1001 is taken by a service that was written.
        assert_eq!(keys, [mark(1000), mark(1002), mark(1001)]);
        let marks: Vec<(String, u16, u32)> =
            plan.kernel.rules.marked.iter().map(|m| (m.address.to_string(), m.port, m.mark)).collect();
        let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9"];
        let expected: Vec<(String, u16, u32)> = [1000, 1002]
            .iter()
            .flat_map(|mark| {
                addresses.iter().map(|a| ((*a).into(), if *a == "192.0.2.9" { 443 } else { 80 }, *mark))
            })
            .collect();
        assert_eq!(marks, expected);
        assert_eq!(plan.virtual_servers[0].real_servers[0].endpoint.port(), 0);
    }

    #[test]
    fn the_table_its_priority_and_the_first_mark_are_as_written() {
        let (plan, _) = plan(
            "nftables_ipvs mine\nnftables_ipvs_priority -200\nnftables_ipvs_start_fwmark 7\nnftables_counters",
            &server("TCP", "NAT"),
        );
        let rules = &plan.kernel.rules;
        assert_eq!((rules.table.as_str(), rules.priority, rules.counters), ("mine", -200, true));
        assert_eq!((rules.first_mark, rules.marked[0].mark), (7, 7));
    }

    #[test]
    fn without_it_every_address_is_a_service() {
        let (plan, _) = plan("", &server("TCP", "DR"));
        assert_eq!(plan.virtual_servers[0].keys.len(), 4);
        assert!(plan.kernel.rules.is_empty());
    }

    #[test]
    fn full_nat_names_each_service_and_server() {
        let (plan, codes) = plan("nftables_ipvs", &server("TCP", "FULLNAT source 203.0.113.7"));
        assert_eq!(codes, []);
        let translated = plan.kernel.rules.translated;
        assert_eq!(translated.len(), 1);
        assert_eq!(translated[0].service, plan.virtual_servers[0].keys[0]);
        assert_eq!(translated[0].source, Some([203, 0, 113, 7].into()));
        let (plan, codes) = self::plan("", &server("TCP", "FULLNAT source 2001:db8::1"));
        assert_eq!(codes, [Code::BadValue]);
        assert_eq!(plan.kernel.rules.translated.len(), 4);
        assert_eq!(plan.kernel.rules.translated[0].source, None);
    }
}
