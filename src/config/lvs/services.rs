//! Which services of IPVS a virtual server is.

use super::Lowering;
use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::lvs::{RealServer, ServiceKey, VirtualServer};
use keepalived_compat::config::lvs::{Entry, Group, Method, Service};
use keepalived_compat::{Code, Diagnostic, Span, Spanned};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A service that is there already, and where the other virtual server is that has it; `None`: it is this one.
pub(super) type Twice = (ServiceKey, Option<Span>);

/// Of a name that several virtual servers have (a group or an address for TCP and UDP, a mark of both families), makes one
/// for each: with its protocol before it or its family after it.
pub(super) fn tell_apart(servers: &mut [VirtualServer]) {
    let mut seen = BTreeSet::new();
    let names = servers.iter().map(|server| server.name.as_str());
    let shared: BTreeSet<String> = names.filter(|name| !seen.insert(*name)).map(str::to_owned).collect();
    for server in servers.iter_mut().filter(|server| shared.contains(&server.name)) {
        let first = server.known_as().next().copied();
        server.name = match (server.protocol(), first) {
            (Some(protocol), _) => format!("{} {}", protocol.to_string().to_lowercase(), server.name),
            (None, Some(ServiceKey::FwMark { family, .. })) => format!("{} {family}", server.name),
            (None, _) => continue,
        };
    }
}

impl Lowering<'_> {
    pub(super) fn group(&self) -> Option<String> {
        match &self.written.service.value {
            Service::Group(name) => Some(name.clone()),
            Service::Address { .. } | Service::Fwmark(_) => None,
        }
    }

    /// Family of a mark: the written one, else that of the first server that is not tunnelled, else that of the group's first
    /// address, else IPv4.
    pub(super) fn family(&self, groups: &[Group]) -> AddressFamily {
        let family = |v6| if v6 { AddressFamily::V6 } else { AddressFamily::V4 };
        let default = self.written.method.map(|m| m.value);
        let plain = self
            .written
            .real_servers
            .iter()
            .find(|r| !matches!(r.method.map(|m| m.value).or(default), Some(Method::Tun(_))));
        let address = plain.and_then(|r| r.endpoint).map(|e| e.value.0);
        let address = address.or_else(|| self.first_address(groups));
        self.written.ipv6.map(family).or(address.map(AddressFamily::of)).unwrap_or(AddressFamily::V4)
    }

    fn first_address(&self, groups: &[Group]) -> Option<IpAddr> {
        let group = self.group()?;
        let entries = &groups.iter().find(|known| known.name.value == group)?.entries;
        entries.iter().find_map(|entry| match entry.value {
            Entry::Address(address, _) => Some(address),
            Entry::Fwmark(..) => None,
        })
    }

    pub(super) fn keys(&mut self, groups: &[Group], family: AddressFamily) -> Vec<ServiceKey> {
        match &self.written.service.value {
            Service::Fwmark(mark) => {
                if self.written.protocol.is_some() {
                    self.tell(
                        Code::Adjusted,
                        "a mark has no protocol",
                        "the protocol is ignored, as in keepalived",
                    );
                }
                vec![ServiceKey::FwMark { family, mark: *mark }]
            }
            Service::Address { address, port } => {
                let protocol = self.protocol();
                vec![ServiceKey::Endpoint { protocol, address: *address, port: *port }]
            }
            Service::Group(group) => match groups.iter().find(|g| g.name.value == *group) {
                Some(group) => self.group_keys(group, family),
                None => {
                    let what = format!("there is no virtual_server_group {group}");
                    self.tell(Code::UnknownName, &what, "the virtual server is left out");
                    Vec::new()
                }
            },
        }
    }

    fn group_keys(&mut self, group: &Group, family: AddressFamily) -> Vec<ServiceKey> {
        let endpoints = group.entries.iter().any(|e| matches!(e.value, Entry::Address(..)));
        let protocol = if endpoints { self.protocol() } else { TransportProtocol::Tcp };
        let written = |v6| if v6 { AddressFamily::V6 } else { AddressFamily::V4 };
        let keys: Vec<ServiceKey> = group
            .entries
            .iter()
            .map(|entry| match entry.value {
                Entry::Address(address, port) => ServiceKey::Endpoint { protocol, address, port },
                Entry::Fwmark(mark, v6) => ServiceKey::FwMark { family: v6.map_or(family, written), mark },
            })
            .collect();
        if keys.is_empty() {
            let what = format!("the group {} is empty", group.name.value);
            self.tell(Code::UnknownName, &what, "the virtual server is left out");
        }
        self.of_fitting_families(group, keys)
    }

    /// Those of both families if all servers are tunnelled, else those of the first one's family.
    fn of_fitting_families(&mut self, group: &Group, keys: Vec<ServiceKey>) -> Vec<ServiceKey> {
        let first = keys.first().map(ServiceKey::family);
        if keys.iter().all(|key| Some(key.family()) == first) || self.may_mix(group) {
            return keys;
        }
        let title = format!("virtual_server {}: the group mixes IPv4 and IPv6", self.name);
        let now = "only the entries of the first one's family are balanced";
        let diagnostic = Diagnostic::new(Code::BadValue, self.written.service.span, title, now);
        self.out.say(diagnostic.instead(
            "a group for each family, or tunnels alone, without persistence_granularity, and marks with their family",
        ));
        keys.into_iter().filter(|key| Some(key.family()) == first).collect()
    }

    /// May a group have IPv4 and IPv6? As in keepalived: if everything is tunnelled, and the family of a mark is known.
    fn may_mix(&self, group: &Group) -> bool {
        let written = self.written;
        let is_tunnel = |method: Option<Spanned<Method>>| {
            matches!(method.or(written.method).map(|method| method.value), Some(Method::Tun(_)))
        };
        let told = |entry: &Spanned<Entry>| !matches!(entry.value, Entry::Fwmark(_, None));
        written.granularity.is_none()
            && written.real_servers.iter().all(|server| is_tunnel(server.method))
            && written.sorry_server.as_ref().is_none_or(|sorry| is_tunnel(sorry.method))
            && (written.ipv6.is_some() || group.entries.iter().all(told))
    }

    /// Nothing is left: all of it is other virtual servers'.
    pub(super) fn left_out(&mut self, twice: &[Twice]) {
        if let Some((key, first)) = twice.first() {
            self.tell_twice(*key, *first, twice.len(), "this one is left out, with its real servers");
        }
    }

    /// Services that are others' as well: the first to name one has it.
    pub(super) fn served_by_others(&mut self, twice: &[Twice], servers: &[RealServer]) {
        let (others, own): (Vec<Twice>, Vec<Twice>) = twice.iter().partition(|(_, first)| first.is_some());
        if let Some((key, _)) = own.first() {
            let what = several(key, own.len());
            let title = format!("virtual_server {}: its group lists {what} twice", self.name);
            let now = "it is there once, as in keepalived";
            self.out.tell(Code::ServiceTwice, self.written.service.span, title, now);
        }
        let (same, lost): (Vec<Twice>, Vec<Twice>) =
            others.into_iter().partition(|(key, _)| self.is_served_alike(key, servers));
        if let Some((key, first)) = same.first() {
            let what = several(key, same.len());
            let title =
                format!("virtual_server {}: another one has {what}, with these real servers", self.name);
            let now = "the first one's settings and checks count there";
            let diagnostic = Diagnostic::new(Code::ServiceTwice, self.written.service.span, title, now);
            self.out.say(related(diagnostic, *first));
        }
        if let Some((key, first)) = lost.first() {
            let now = format!("the real servers of this one do not serve {}", several(key, lost.len()));
            self.tell_twice(*key, *first, lost.len(), &now);
        }
    }

    fn tell_twice(&mut self, key: ServiceKey, first: Option<Span>, count: usize, now: &str) {
        let what = several(&key, count);
        let title = format!("virtual_server {}: {what} is defined already", self.name);
        let diagnostic = Diagnostic::new(Code::Duplicate, self.written.service.span, title, now);
        let diagnostic = diagnostic.instead("put all real servers into one virtual_server");
        self.out.say(related(diagnostic, first));
    }

    /// Does who has the service already send it to all of these?
    fn is_served_alike(&self, key: &ServiceKey, servers: &[RealServer]) -> bool {
        let to =
            |server: &RealServer| (server.forwarding, server.forwarding.destination(server.endpoint, key));
        let other = self.before.iter().find(|other| other.keys.contains(key));
        other.is_some_and(|other| {
            servers.iter().all(|server| other.real_servers.iter().any(|theirs| to(theirs) == to(server)))
        })
    }
}

/// Leaves out services that another virtual server has, or this one twice.
pub(super) fn unique(
    keys: Vec<ServiceKey>,
    seen: &BTreeMap<ServiceKey, Span>,
) -> (Vec<ServiceKey>, Vec<Twice>) {
    let (mut kept, mut twice) = (Vec::with_capacity(keys.len()), Vec::new());
    let mut own = BTreeSet::new();
    for key in keys {
        let first = seen.get(&key).copied();
        if first.is_none() && own.insert(key) {
            kept.push(key);
        } else {
            twice.push((key, first));
        }
    }
    (kept, twice)
}

fn several(first: &ServiceKey, count: usize) -> String {
    match count {
        1 => first.to_string(),
        _ => format!("{first} (and {} more)", count - 1),
    }
}

fn related(diagnostic: Diagnostic, first: Option<Span>) -> Diagnostic {
    match first {
        Some(first) => diagnostic.related(first, "first defined here"),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::lowered;
    use crate::plan::lvs::VirtualServer;

    fn plan(text: &str) -> (Vec<VirtualServer>, Vec<Code>) {
        let (plans, codes) = lowered(text);
        (plans.lvs.virtual_servers, codes)
    }

    fn group(entries: &str) -> String {
        format!("virtual_server_group WEB {{\n{entries}\n}}\n")
    }

    /// `virtual_server HEADER` with a real server at each of `servers`.
    fn server(header: &str, method: &str, servers: &[&str], more: &str) -> String {
        let servers = servers.iter().map(|address| format!("real_server {address} 80 {{ }}\n"));
        let servers: String = servers.collect();
        format!("virtual_server {header} {{\nlvs_sched rr\nlvs_method {method}\n{more}\n{servers}}}\n")
    }

    fn names(server: &VirtualServer) -> Vec<String> {
        server.keys.iter().map(ServiceKey::to_string).collect()
    }

    #[test]
    fn a_mark_behind_tunnels_is_of_the_family_of_the_addresses_beside_it() {
        for entries in ["fwmark 7\n2001:db8::100 80", "2001:db8::100 80\nfwmark 7"] {
            let text = group(entries) + &server("group WEB", "TUN", &["2001:db8::1"], "protocol TCP");
            let (servers, codes) = plan(&text);
            let mut names = names(&servers[0]);
            names.sort();
            assert_eq!(names, ["FWM 7 IPv6", "TCP [2001:db8::100]:80"]);
            assert!(!codes.contains(&Code::BadValue), "{codes:?}");
        }
    }

    #[test]
    fn several_of_one_name_are_told_apart() {
        let one = |header, more| server(header, "NAT", &["198.51.100.1"], more);
        let text = group("192.0.2.9 80")
            + &one("192.0.2.1 53", "protocol TCP")
            + &one("192.0.2.1 53", "protocol UDP")
            + &one("192.0.2.1 80", "protocol TCP")
            + &one("group WEB", "protocol TCP")
            + &one("group WEB", "protocol UDP")
            + &one("fwmark 5", "ip_family inet")
            + &server("fwmark 5", "NAT", &["2001:db8::1"], "ip_family inet6");
        let (servers, _) = plan(&text);
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        let (tcp, udp) = ("tcp group WEB", "udp group WEB");
        let marks = ["fwmark 5 IPv4", "fwmark 5 IPv6"];
        assert_eq!(
            names,
            ["tcp 192.0.2.1 53", "udp 192.0.2.1 53", "192.0.2.1 80", tcp, udp, marks[0], marks[1]]
        );
        let groups: Vec<Option<&str>> = servers.iter().map(VirtualServer::group).collect();
        assert_eq!(groups[2..5], [None, Some("WEB"), Some("WEB")]);
    }

    #[test]
    fn servers_of_a_group_are_called_as_they_are_written() {
        let of = |entries: &str, method: &str| {
            let text = group(entries)
                + &format!("virtual_server group WEB {{\nlvs_sched rr\nlvs_method {method}\nprotocol TCP\n")
                + "real_server 198.51.100.1 8080 {\n}\nreal_server 198.51.100.2 {\nTCP_CHECK {\n}\n}\n}\n";
            let (servers, _) = plan(&text);
            servers[0].real_servers.clone()
        };
        for (entries, method) in [
            ("192.0.2.1 80", "DR"),
            ("192.0.2.1 80", "NAT"),
            ("192.0.2.1 80\n192.0.2.2 443", "DR"),
            ("fwmark 7", "NAT"),
        ] {
            let servers = of(entries, method);
            let names: Vec<String> = servers.iter().map(|server| server.endpoint.to_string()).collect();
            assert_eq!(names, ["198.51.100.1:8080", "198.51.100.2:0"], "{entries} {method}");
        }
        // What is asked is where it serves.
        let asked = &of("192.0.2.1 80", "DR")[1].checkers;
        assert!(format!("{asked:?}").contains("198.51.100.2:80"), "{asked:?}");
    }

    const BOTH: &str = "192.0.2.1 80\n2001:db8::1 80";

    #[test]
    fn what_a_group_lists_twice_is_there_once() {
        let one = |entries| {
            plan(&(group(entries) + &server("group WEB", "NAT", &["198.51.100.1"], "protocol TCP")))
        };
        let (servers, codes) = one("192.0.2.1-3 80\n192.0.2.2-4 80");
        assert_eq!((servers[0].keys.len(), codes), (4, vec![Code::ServiceTwice]));
        let (servers, codes) = one("192.0.2.1 80\n192.0.2.1 80\nfwmark 7\nfwmark 7");
        assert_eq!(
            (names(&servers[0]), codes),
            (vec!["TCP 192.0.2.1:80".into(), "FWM 7".into()], vec![Code::ServiceTwice])
        );
    }

    #[test]
    fn a_mark_of_two_virtual_servers_is_lost_on_real_servers_that_only_the_second_has() {
        let two = |second: &[&str], method: &str| {
            let tcp = server("group WEB", "NAT", &["198.51.100.1", "198.51.100.2"], "protocol TCP");
            let udp = server("group WEB", method, second, "protocol UDP");
            plan(&(group("192.0.2.1 80\nfwmark 7") + &tcp + &udp))
        };
        for (second, method, code) in [
            (&["198.51.100.1", "198.51.100.2"][..], "NAT", Code::ServiceTwice),
            (&["198.51.100.2"], "NAT", Code::ServiceTwice),
            (&["198.51.100.2", "198.51.100.3"], "NAT", Code::Duplicate),
        ] {
            let (servers, codes) = two(second, method);
            assert_eq!(codes, [code], "{second:?} {method}");
            assert_eq!(names(&servers[0]), ["TCP 192.0.2.1:80", "FWM 7"]);
            assert_eq!(names(&servers[1]), ["UDP 192.0.2.1:80"]);
        }
    }

    #[test]
    fn a_virtual_server_of_which_others_have_everything_is_left_out() {
        let first = group("192.0.2.1-2 80") + &server("group WEB", "NAT", &["198.51.100.1"], "protocol TCP");
        let second = server("192.0.2.2 80", "NAT", &["198.51.100.1"], "protocol TCP");
        let (servers, codes) = plan(&(first + &second));
        assert_eq!((servers.len(), codes), (1, vec![Code::Duplicate]));
    }

    #[test]
    fn a_group_of_both_families_is_for_tunnels() {
        let mixed = |entries: &str, method: &str, servers: &[&str], more: &str| {
            let (servers, codes) = plan(&(group(entries) + &server("group WEB", method, servers, more)));
            (names(&servers[0]), servers[0].real_servers.len(), codes)
        };
        let both = vec!["TCP 192.0.2.1:80".to_owned(), "TCP [2001:db8::1]:80".into()];
        let two = ["198.51.100.1", "2001:db8::9"];
        let tcp = "protocol TCP";
        assert_eq!(mixed(BOTH, "TUN", &two, tcp), (both.clone(), 2, vec![]));
        assert_eq!(mixed(BOTH, "TUN type gre", &two[..1], tcp), (both.clone(), 1, vec![]));
        let sorry = "protocol TCP\nsorry_server 2001:db8::8 80";
        assert_eq!(mixed(BOTH, "TUN", &two[..1], sorry), (both.clone(), 1, vec![]));
        // Not one that is not tunnelled, nor with a granularity of one family.
        let first = |count| (both[..1].to_vec(), count, vec![Code::BadValue]);
        assert_eq!(mixed(BOTH, "NAT", &two[..1], tcp), first(1));
        let sorry = "protocol TCP\nsorry_server 198.51.100.8 80\nsorry_server_lvs_method NAT";
        assert_eq!(mixed(BOTH, "TUN", &two, sorry), first(2));
        let granular = "protocol TCP\npersistence_granularity 255.255.255.0";
        assert_eq!(mixed(BOTH, "TUN", &two, granular), first(2));
        // A mark says its family.
        let marked = |family: &str| mixed(&format!("{BOTH}\nfwmark 7 {family}"), "TUN", &two, tcp);
        let all = [both.clone(), vec!["FWM 7 IPv6".into()]].concat();
        assert_eq!(marked("inet6"), (all, 2, vec![Code::Adjusted; 2]));
        let of_first = vec![both[0].clone(), "FWM 7".into()];
        assert_eq!(marked(""), (of_first, 2, vec![Code::BadValue, Code::Adjusted, Code::Adjusted]));
    }

    #[test]
    fn persistence_of_both_families_is_of_single_clients() {
        let text = group(BOTH)
            + &server("group WEB", "TUN", &["198.51.100.1"], "protocol TCP\npersistence_timeout 30");
        let (servers, codes) = plan(&text);
        assert_eq!(codes, []);
        let persistence = servers[0].persistence.expect("it is written");
        assert_eq!(persistence.granularity, crate::plan::lvs::Granularity::Client);
    }

    #[test]
    fn a_persistence_engine_is_for_persistent_services() {
        let engine = |more: &str| {
            let more = format!("protocol UDP\npersistence_engine sip\n{more}");
            let (servers, codes) = plan(&server("192.0.2.1 5060", "NAT", &["198.51.100.1"], &more));
            (servers[0].persistence_engine.clone(), codes)
        };
        assert_eq!(engine("persistence_timeout 5"), (Some("sip".into()), vec![]));
        assert_eq!(engine(""), (None, vec![]));
    }

    #[test]
    fn the_name_of_an_engine_is_cut() {
        let more = "protocol UDP\npersistence_timeout 5\npersistence_engine abcdefghijklmnopq";
        let (servers, codes) = plan(&server("192.0.2.1 5060", "NAT", &["198.51.100.1"], more));
        assert_eq!(
            (servers[0].persistence_engine.as_deref(), codes),
            (Some("abcdefghijklmno"), vec![Code::Adjusted])
        );
    }

    #[test]
    fn a_threshold_that_the_kernel_refuses_is_left_out() {
        for (more, wanted, faulty) in [
            ("uthreshold 5\nlthreshold 5", (5, 5), false),
            ("uthreshold 5\nlthreshold 6", (5, 0), true),
            ("lthreshold 1", (0, 0), true),
        ] {
            let text = server("192.0.2.1 80", "NAT", &["198.51.100.1"], "protocol TCP");
            let (servers, codes) = plan(&text.replace("80 { }", &format!("80 {{\n{more}\n}}")));
            let real = &servers[0].real_servers[0];
            assert_eq!((real.upper_threshold, real.lower_threshold), wanted, "{more}");
            assert_eq!(codes.contains(&Code::BadValue), faulty, "{more}");
        }
    }

    #[test]
    fn with_nftables_both_families_have_the_same_mark() {
        let text = "global_defs {\nnftables_ipvs\n}\n".to_owned()
            + &group(&format!("{BOTH}\nfwmark 7 inet"))
            + &server("group WEB", "TUN", &["198.51.100.1"], "protocol TCP");
        let (plans, codes) = lowered(&text);
        assert_eq!(codes, []);
        let server = &plans.lvs.virtual_servers[0];
        assert_eq!(names(server), ["FWM 1000", "FWM 1000 IPv6", "FWM 7"]);
        let known: Vec<String> = server.known_as().map(ServiceKey::to_string).collect();
        assert_eq!(known, ["TCP 192.0.2.1:80", "TCP [2001:db8::1]:80", "FWM 7"]);
        assert_eq!(plans.lvs.kernel.rules.marked.len(), 2);
    }
}
