//! The packet filter's part of virtual servers, in a table of our own for each family: marks for the addresses of groups,
//! and other sources for what goes to servers behind FULLNAT. Replaced in one transaction.
//!
//! IPVS with `net.ipv4.vs.conntrack` keeps the kernel's connection tracking; where the packet leaves, its entry still
//! has the virtual address as the original destination. The sets are what the `nft` program can print.

pub mod look;

use super::message::{Request, attributes};
use super::nftables as nft;
use super::socket::{NetlinkError, NetlinkSocket};
use crate::net::AddressFamily;
use crate::plan::lvs::{Marked, ServiceKey, ServiceRules, Translated};
use std::net::IpAddr;

/// What the table's comment begins with, and what follows when there is something to put back.
const COMMENT: &str = "made by holdfast for IPVS";
const CONNTRACK_WAS: &str = ", net.ipv4.vs.conntrack was ";

const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_USERDATA: u16 = 13;
/// For the `nft` program alone: the data's order of octets (type 1, length 4) is the machine's (1).
const DATA_IN_MACHINE_ORDER: [u8; 2] = [1, 4];
const NFT_SET_MAP: u32 = 8;

const TYPE_PROTOCOL: u32 = 12;
const TYPE_SERVICE: u32 = 13;
const TYPE_MARK: u32 = 19;

const HOOK_PRE_ROUTING: u32 = 0;
const HOOK_OUTPUT: u32 = 3;
const HOOK_POST_ROUTING: u32 = 4;
/// Marks of what this node sends itself come before IPVS looks (NF_IP_PRI_MANGLE).
const BEFORE_IPVS: i32 = -150;
/// NF_IP_PRI_NAT_SRC.
const SOURCE_NAT: i32 = 100;

/// The first of sixteen registers of four octets, and the first of four of sixteen, which are the same place.
const FIRST: u32 = 8;
const WHOLE: u32 = 1;
const META_MARK: u32 = 3;
const CT_DST_IP: u32 = 20;
const CT_DST_IP6: u32 = 22;
const NAT_SOURCE: u32 = 0;

/// A socket for the rules, in the network namespace of the thread that opened it. Blocking.
#[derive(Debug)]
pub struct RulesSocket {
    socket: NetlinkSocket,
}

impl RulesSocket {
    /// Open. Fails where the kernel has no netfilter.
    pub fn open() -> Result<RulesSocket, NetlinkError> {
        Ok(RulesSocket { socket: NetlinkSocket::open(libc::NETLINK_NETFILTER)? })
    }

    /// Replace our tables; one with nothing to do goes. `conntrack_was` is kept in them.
    pub fn replace(&mut self, rules: &ServiceRules, conntrack_was: Option<&str>) -> Result<(), NetlinkError> {
        let batch = encode(rules, conntrack_was);
        self.socket.transaction(batch, &format!("cannot set the nftables table {}", rules.table))
    }
}

/// Our comment on a table; `None` for somebody else's.
pub(super) fn comment(payload: &[u8]) -> Option<String> {
    let data =
        attributes(nft::described(payload)).flatten().find(|it| it.kind == nft::NFTA_TABLE_USERDATA)?;
    // Type 0, length, text with NUL.
    let text = String::from_utf8_lossy(data.value.get(2..)?).trim_end_matches('\0').to_owned();
    text.starts_with(COMMENT).then_some(text)
}

/// What a comment of ours says of `net.ipv4.vs.conntrack`.
fn conntrack_was(comment: &str) -> Option<String> {
    comment.split_once(CONNTRACK_WAS).map(|(_, was)| was.to_owned())
}

/// A request about a table of this name.
fn about(kind: u16, flags: u16, family: AddressFamily, table: &str) -> Request {
    let header = [number(family), 0, 0, 0];
    let mut request = Request::new(nft::NFNL_SUBSYS_NFTABLES << 8 | kind, flags, &header);
    request.text(nft::TABLE, table);
    request
}

fn number(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::V4 => libc::NFPROTO_IPV4 as u8,
        AddressFamily::V6 => libc::NFPROTO_IPV6 as u8,
    }
}

fn encode(rules: &ServiceRules, conntrack_was: Option<&str>) -> Vec<Request> {
    let mut batch = vec![nft::bracket(nft::NFNL_MSG_BATCH_BEGIN)];
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let mut table = Table { family, rules, batch: &mut batch, sets: 0 };
        // Deleting what may not be there: made first, so that there is something to delete.
        table.message(nft::NFT_MSG_NEWTABLE, CREATE, |_| {});
        table.message(nft::NFT_MSG_DELTABLE, 0, |_| {});
        table.fill(conntrack_was);
    }
    batch.push(nft::bracket(nft::NFNL_MSG_BATCH_END));
    batch
}

const CREATE: u16 = libc::NLM_F_CREATE as u16;

/// What a key is made of, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Protocol,
    /// Where the connection was going at first: the virtual address.
    Virtual,
    Address,
    Port,
    Mark,
}

const ENDPOINT: &[Part] = &[Part::Protocol, Part::Address, Part::Port];
const EVERY_PORT: &[Part] = &[Part::Protocol, Part::Address];
const SERVER: &[Part] = &[Part::Protocol, Part::Virtual, Part::Address, Part::Port];
const SERVER_EVERY_PORT: &[Part] = &[Part::Protocol, Part::Virtual, Part::Address];
const MARKED_SERVER: &[Part] = &[Part::Mark, Part::Address];

/// A set, or a map where the elements have data.
struct Elements {
    name: &'static str,
    parts: &'static [Part],
    elements: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One table under construction.
struct Table<'a> {
    family: AddressFamily,
    rules: &'a ServiceRules,
    batch: &'a mut Vec<Request>,
    sets: u32,
}

impl Table<'_> {
    fn fill(&mut self, conntrack_was: Option<&str>) {
        let rules = self.rules;
        let of_family = |address: IpAddr| AddressFamily::of(address) == self.family;
        let marked: Vec<&Marked> = rules.marked.iter().filter(|it| of_family(it.address)).collect();
        let translated: Vec<&Translated> =
            rules.translated.iter().filter(|it| it.service.family() == self.family).collect();
        if marked.is_empty() && translated.is_empty() {
            return;
        }
        self.message(nft::NFT_MSG_NEWTABLE, CREATE, |table| {
            let was = conntrack_was.map(|was| format!("{CONNTRACK_WAS}{was}")).unwrap_or_default();
            let text = format!("{COMMENT}{was}\0");
            let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
            table.attribute(nft::NFTA_TABLE_USERDATA, &[&[0, length], text.as_bytes()].concat());
        });
        if !marked.is_empty() {
            self.mark(&marked);
        }
        if !translated.is_empty() {
            self.translate(&translated);
        }
    }

    fn mark(&mut self, marked: &[&Marked]) {
        self.chain("prerouting", "filter", HOOK_PRE_ROUTING, self.rules.priority);
        self.chain("output", "route", HOOK_OUTPUT, BEFORE_IPVS);
        for (name, parts) in [("services", ENDPOINT), ("services_of_every_port", EVERY_PORT)] {
            let fitting = marked.iter().filter(|it| (it.port == 0) == (parts == EVERY_PORT));
            let elements = fitting.map(|it| {
                let protocol = vec![it.protocol.number()];
                let fields = [protocol, octets(it.address), it.port.to_be_bytes().to_vec()];
                (key(fields.into_iter().take(parts.len())), it.mark.to_ne_bytes().to_vec())
            });
            let map = Elements { name, parts, elements: elements.collect() };
            if self.elements(&map, Some(TYPE_MARK)) {
                for chain in ["prerouting", "output"] {
                    self.rule(chain, &map, |rule| {
                        expression(rule, "meta", &[(2, META_MARK), (3, WHOLE)]);
                    });
                }
            }
        }
    }

    fn translate(&mut self, translated: &[&Translated]) {
        self.chain("postrouting", "nat", HOOK_POST_ROUTING, SOURCE_NAT);
        let shapes = [
            ("servers", "servers_with_source", SERVER),
            ("servers_of_every_port", "servers_of_every_port_with_source", SERVER_EVERY_PORT),
            ("marked_servers", "marked_servers_with_source", MARKED_SERVER),
        ];
        let (data, nfproto) = match self.family {
            AddressFamily::V4 => (nft::TYPE_IPV4, libc::NFPROTO_IPV4 as u32),
            AddressFamily::V6 => (nft::TYPE_IPV6, libc::NFPROTO_IPV6 as u32),
        };
        for (plain, with_source, parts) in shapes {
            let fitting = || translated.iter().filter(move |it| shape(it) == parts);
            let without = fitting().filter(|it| it.source.is_none()).map(|it| (server_key(it), Vec::new()));
            let set = Elements { name: plain, parts, elements: unique(without) };
            if self.elements(&set, None) {
                self.rule("postrouting", &set, |rule| expression(rule, "masq", &[]));
            }
            let with = fitting().filter_map(|it| Some((server_key(it), octets(it.source?))));
            let map = Elements { name: with_source, parts, elements: unique(with) };
            if self.elements(&map, Some(data)) {
                self.rule("postrouting", &map, |rule| {
                    expression(rule, "nat", &[(1, NAT_SOURCE), (2, nfproto), (3, WHOLE)]);
                });
            }
        }
    }

    fn chain(&mut self, name: &str, kind: &str, hook: u32, priority: i32) {
        self.message(nft::NFT_MSG_NEWCHAIN, CREATE, |chain| {
            chain.text(nft::NFTA_CHAIN_NAME, name).text(nft::NFTA_CHAIN_TYPE, kind);
            chain.nest(nft::NFTA_CHAIN_HOOK, |at| {
                at.attribute(nft::NFTA_HOOK_HOOKNUM, &hook.to_be_bytes());
                at.attribute(nft::NFTA_HOOK_PRIORITY, &priority.to_be_bytes());
            });
        });
    }

    /// The set or, with a type of data, map; false if there is nothing to put into it.
    fn elements(&mut self, set: &Elements, data: Option<u32>) -> bool {
        let Some((key, value)) = set.elements.first() else { return false };
        let (key_length, data_length) = (key.len() as u32, value.len() as u32);
        let kind = set.parts.iter().fold(0, |kind, part| kind << 6 | self.type_of(*part));
        self.sets += 1;
        let id = self.sets;
        self.message(nft::NFT_MSG_NEWSET, CREATE, |message| {
            let mut put = |attribute, number: u32| {
                message.attribute(attribute, &number.to_be_bytes());
            };
            put(nft::NFTA_SET_KEY_TYPE, kind);
            put(nft::NFTA_SET_KEY_LEN, key_length);
            put(nft::NFTA_SET_ID, id);
            if let Some(data) = data {
                put(NFTA_SET_FLAGS, NFT_SET_MAP);
                put(NFTA_SET_DATA_TYPE, data);
                put(NFTA_SET_DATA_LEN, data_length);
            }
            message.text(nft::NFTA_SET_NAME, set.name);
            if data == Some(TYPE_MARK) {
                let order = [&DATA_IN_MACHINE_ORDER[..], &1u32.to_ne_bytes()].concat();
                message.attribute(NFTA_SET_USERDATA, &order);
            }
        });
        for some in set.elements.chunks(nft::MAX_ELEMENTS) {
            self.message(nft::NFT_MSG_NEWSETELEM, CREATE, |message| {
                message.text(nft::NFTA_ELEMENTS_SET, set.name).nest(nft::NFTA_ELEMENTS, |list| {
                    for (key, value) in some {
                        list.nest(nft::NFTA_LIST_ELEM, |element| {
                            element.nest(nft::NFTA_SET_ELEM_KEY, |it| {
                                it.attribute(nft::NFTA_DATA_VALUE, key);
                            });
                            if data.is_some() {
                                element.nest(NFTA_SET_ELEM_DATA, |it| {
                                    it.attribute(nft::NFTA_DATA_VALUE, value);
                                });
                            }
                        });
                    }
                });
            });
        }
        true
    }

    fn type_of(&self, part: Part) -> u32 {
        match (part, self.family) {
            (Part::Protocol, _) => TYPE_PROTOCOL,
            (Part::Port, _) => TYPE_SERVICE,
            (Part::Mark, _) => TYPE_MARK,
            (Part::Virtual | Part::Address, AddressFamily::V4) => nft::TYPE_IPV4,
            (Part::Virtual | Part::Address, AddressFamily::V6) => nft::TYPE_IPV6,
        }
    }

    /// What is in `set` meets `then`; the data of a map is in the first register by then.
    fn rule(&mut self, chain: &str, set: &Elements, then: impl FnOnce(&mut Request)) {
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
        let (family, counters) = (self.family, self.rules.counters);
        let is_map = set.elements.first().is_some_and(|(_, value)| !value.is_empty());
        self.message(nft::NFT_MSG_NEWRULE, flags, |rule| {
            rule.text(nft::NFTA_RULE_CHAIN, chain).nest(nft::NFTA_RULE_EXPRESSIONS, |expressions| {
                load(expressions, family, set.parts);
                let data: &[(u16, u32)] = if is_map { &[(2, WHOLE), (3, WHOLE)] } else { &[(2, WHOLE)] };
                named(expressions, "lookup", |lookup| {
                    lookup.text(1, set.name);
                    numbers(lookup, data);
                });
                if counters {
                    named(expressions, "counter", |_| {});
                }
                then(expressions);
            });
        });
    }

    /// A message about this table.
    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Request)) {
        let mut request = about(kind, flags, self.family, &self.rules.table);
        fill(&mut request);
        self.batch.push(request);
    }
}

/// Which of the sets of servers this one belongs to.
fn shape(translated: &Translated) -> &'static [Part] {
    match (translated.service, translated.server.port()) {
        (ServiceKey::FwMark { .. }, _) => MARKED_SERVER,
        (ServiceKey::Endpoint { port: 0, .. }, _) | (_, 0) => SERVER_EVERY_PORT,
        _ => SERVER,
    }
}

fn server_key(translated: &Translated) -> Vec<u8> {
    let server = octets(translated.server.ip());
    let port = translated.server.port().to_be_bytes().to_vec();
    let fields = match translated.service {
        ServiceKey::FwMark { mark, .. } => vec![mark.to_ne_bytes().to_vec(), server],
        ServiceKey::Endpoint { protocol, address, .. } => {
            vec![vec![protocol.number()], octets(address), server, port]
        }
    };
    key(fields.into_iter().take(shape(translated).len()))
}

/// Each key once: services that differ only by port share their elements.
fn unique(elements: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = std::collections::BTreeSet::new();
    elements.filter(|(key, _)| seen.insert(key.clone())).collect()
}

/// Every part begins in a register of its own.
fn key(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    parts.fold(Vec::new(), |mut key, part| {
        key.extend(&part);
        key.resize(key.len().next_multiple_of(4), 0);
        key
    })
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A packet's key into the registers.
fn load(expressions: &mut Request, family: AddressFamily, parts: &[Part]) {
    let (at, length, original) = match family {
        AddressFamily::V4 => (16, 4, CT_DST_IP),
        AddressFamily::V6 => (24, 16, CT_DST_IP6),
    };
    let mut register = FIRST;
    for part in parts {
        let mut taken = 1;
        match part {
            Part::Protocol => expression(expressions, "meta", &[(1, register), (2, nft::META_L4PROTO)]),
            Part::Mark => expression(expressions, "meta", &[(1, register), (2, META_MARK)]),
            Part::Port => {
                let port = [(1, register), (2, nft::TRANSPORT_HEADER), (3, 2), (4, 2)];
                expression(expressions, "payload", &port);
            }
            Part::Address => {
                let address = [(1, register), (2, nft::NETWORK_HEADER), (3, at), (4, length)];
                expression(expressions, "payload", &address);
                taken = length / 4;
            }
            Part::Virtual => {
                named(expressions, "ct", |ct| {
                    numbers(ct, &[(1, register), (2, original)]);
                    ct.attribute(3, &[0]); // the original direction
                });
                taken = length / 4;
            }
        }
        register += taken;
    }
}

fn named(expressions: &mut Request, name: &str, fill: impl FnOnce(&mut Request)) {
    expressions.nest(nft::NFTA_LIST_ELEM, |element| {
        element.text(nft::NFTA_EXPR_NAME, name).nest(nft::NFTA_EXPR_DATA, fill);
    });
}

fn expression(expressions: &mut Request, name: &str, fields: &[(u16, u32)]) {
    named(expressions, name, |data| numbers(data, fields));
}

fn numbers(data: &mut Request, fields: &[(u16, u32)]) {
    for (kind, number) in fields {
        data.attribute(*kind, &number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TransportProtocol;

    fn service(port: u16) -> ServiceKey {
        let address = [192, 0, 2, 1].into();
        ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address, port }
    }

    #[test]
    fn each_part_of_a_key_begins_in_a_register_of_its_own() {
        let server = "10.0.0.1:8080".parse().expect("an endpoint");
        let translated = Translated { service: service(80), server, source: None };
        assert_eq!(server_key(&translated), [6, 0, 0, 0, 192, 0, 2, 1, 10, 0, 0, 1, 0x1f, 0x90, 0, 0]);
        let every = Translated { service: service(0), ..translated };
        assert_eq!(server_key(&every), [6, 0, 0, 0, 192, 0, 2, 1, 10, 0, 0, 1]);
        let mark = ServiceKey::FwMark { family: AddressFamily::V4, mark: 7 };
        let marked = Translated { service: mark, ..translated };
        assert_eq!(server_key(&marked), [&7u32.to_ne_bytes()[..], &[10, 0, 0, 1]].concat());
    }

    #[test]
    fn nothing_to_do_removes_both_tables() {
        assert_eq!(encode(&ServiceRules::default(), None).len(), 6);
    }

    #[test]
    fn services_that_differ_by_port_share_an_element() {
        let server = "10.0.0.1:8080".parse().expect("an endpoint");
        let of = |port| Translated { service: service(port), server, source: None };
        let rules = ServiceRules { translated: vec![of(80), of(443)], ..ServiceRules::default() };
        // Bracket, make and delete, table, chain, set, elements, rule; make and delete; bracket.
        assert_eq!(encode(&rules, Some("0")).len(), 1 + 2 + 5 + 2 + 1);
    }
}
