//! The part of nf_tables that dropping packets to a few addresses takes: tables, base chains, sets, rules.
//! Everything is replaced in one transaction, so a packet sees the old rules or the new ones.

pub mod silence;

use super::message::{Request, attributes};
use super::socket::{NetlinkError, NetlinkSocket};
use crate::net::AddressFamily;
use crate::plan::vmac::{Filter, FilterSettings};

pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
pub(super) const NFNL_MSG_BATCH_BEGIN: u16 = 16;
pub(super) const NFNL_MSG_BATCH_END: u16 = 17;

pub(super) const NFT_MSG_NEWTABLE: u16 = 0;
pub(super) const NFT_MSG_GETTABLE: u16 = 1;
pub(super) const NFT_MSG_DELTABLE: u16 = 2;
pub(super) const NFT_MSG_NEWCHAIN: u16 = 3;
pub(super) const NFT_MSG_NEWRULE: u16 = 6;
pub(super) const NFT_MSG_NEWSET: u16 = 9;
pub(super) const NFT_MSG_NEWSETELEM: u16 = 12;

/// The first attribute of tables, chains, rules, sets and elements: the table's name.
pub(super) const TABLE: u16 = 1;
pub(super) const NFTA_TABLE_USERDATA: u16 = 6;
/// As the `nft` program writes a comment: type 0, length, text with NUL.
const COMMENT: &[u8] = b"\x00\x11made by holdfast\x00";
/// Octets of struct nfgenmsg, which stands before the attributes.
pub(super) const NFGENMSG: usize = 4;
pub(super) const NFTA_CHAIN_NAME: u16 = 3;
pub(super) const NFTA_CHAIN_HOOK: u16 = 4;
pub(super) const NFTA_CHAIN_TYPE: u16 = 7;
pub(super) const NFTA_HOOK_HOOKNUM: u16 = 1;
pub(super) const NFTA_HOOK_PRIORITY: u16 = 2;
pub(super) const NFTA_RULE_CHAIN: u16 = 2;
pub(super) const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(super) const NFTA_SET_NAME: u16 = 2;
pub(super) const NFTA_SET_KEY_TYPE: u16 = 4;
pub(super) const NFTA_SET_KEY_LEN: u16 = 5;
pub(super) const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
/// For the `nft` program alone: the key's order of octets (type 0, length 4) is the machine's (1). It prints names of
/// interfaces only then.
const KEY_IN_MACHINE_ORDER: [u8; 2] = [0, 4];
pub(super) const NFTA_ELEMENTS_SET: u16 = 2;
pub(super) const NFTA_ELEMENTS: u16 = 3;
pub(super) const NFTA_LIST_ELEM: u16 = 1;
pub(super) const NFTA_SET_ELEM_KEY: u16 = 1;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
pub(super) const NFTA_EXPR_NAME: u16 = 1;
pub(super) const NFTA_EXPR_DATA: u16 = 2;

const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NF_INET_LOCAL_IN: u32 = 1;
const NF_INET_LOCAL_OUT: u32 = 3;

const REGISTER_VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;
const REGISTER_2: u32 = 2;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
pub(super) const META_L4PROTO: u32 = 16;
pub(super) const NETWORK_HEADER: u32 = 1;
pub(super) const TRANSPORT_HEADER: u32 = 2;

/// Numbers by which the `nft` program knows how to print keys.
pub(super) const TYPE_IPV4: u32 = 7;
pub(super) const TYPE_IPV6: u32 = 8;
const TYPE_IFNAME: u32 = 41;
/// A concatenation: six bits for each part.
const TYPE_IPV6_IFNAME: u32 = TYPE_IPV6 << 6 | TYPE_IFNAME;

/// Octets of an interface name in a register (IFNAMSIZ).
const IFNAME: usize = 16;

/// Elements in one message: their list is one attribute of at most 64 KiB.
pub(super) const MAX_ELEMENTS: usize = 500;

const IGMP: u8 = 2;
const ICMPV6: u8 = 58;
/// MLDv1 report and done, router solicitation, MLDv2 report.
const SPOKEN_BY_ITSELF: [u8; 4] = [131, 132, 133, 143];
/// Neighbour solicitation and advertisement.
const NEIGHBOUR_DISCOVERY: [u8; 2] = [135, 136];

/// A socket for the packet filter, in the network namespace of the thread that opened it. Blocking.
#[derive(Debug)]
pub struct FilterSocket {
    socket: NetlinkSocket,
}

impl FilterSocket {
    /// Open. Fails where the kernel has no netfilter.
    pub fn open() -> Result<FilterSocket, NetlinkError> {
        Ok(FilterSocket { socket: NetlinkSocket::open(libc::NETLINK_NETFILTER)? })
    }

    /// Is there a table of this name that we did not make? Replacing it would take somebody's firewall away. Ours have a
    /// comment that says so (kernels before 5.10 keep none).
    pub fn is_foreign(&mut self, table: &str) -> Result<bool, NetlinkError> {
        for family in [libc::NFPROTO_IPV4, libc::NFPROTO_IPV6] {
            let kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
            let mut request = Request::new(kind, 0, &[family as u8, 0, 0, 0]);
            request.text(TABLE, table);
            let answers =
                match self.socket.call(request, &format!("cannot look for the nftables table {table}")) {
                    Err(error) if error.errno == libc::ENOENT => continue,
                    answers => answers?,
                };
            if !answers.iter().any(|answer| is_ours(&answer.payload)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Replace our tables by what `filter` asks for; a table with nothing to do goes.
    pub fn replace(&mut self, settings: &FilterSettings, filter: &Filter) -> Result<(), NetlinkError> {
        let batch = encode(settings, filter);
        self.socket.transaction(batch, &format!("cannot set the nftables table {}", settings.table))
    }
}

/// Does the description of a table carry our comment?
pub(super) fn is_ours(payload: &[u8]) -> bool {
    attributes(described(payload))
        .flatten()
        .any(|it| it.kind == NFTA_TABLE_USERDATA && it.value.starts_with(COMMENT))
}

/// The attributes of a message; none of one that is cut short.
pub(super) fn described(payload: &[u8]) -> &[u8] {
    payload.get(NFGENMSG..).unwrap_or(&[])
}

fn encode(settings: &FilterSettings, filter: &Filter) -> Vec<Request> {
    let mut batch = vec![bracket(NFNL_MSG_BATCH_BEGIN)];
    for family in [AddressFamily::V4, AddressFamily::V6] {
        // Deleting what may not be there: made first, so that there is something to delete.
        let mut table = Table { family, settings, batch: &mut batch, sets: 0 };
        table.message(NFT_MSG_NEWTABLE, libc::NLM_F_CREATE as u16, |_| {});
        table.message(NFT_MSG_DELTABLE, 0, |_| {});
        match family {
            AddressFamily::V4 => table.fill_v4(filter),
            AddressFamily::V6 => table.fill_v6(filter),
        }
    }
    batch.push(bracket(NFNL_MSG_BATCH_END));
    batch
}

/// The first and the last message of a batch.
pub(super) fn bracket(kind: u16) -> Request {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    Request::new(kind, 0, &[libc::AF_UNSPEC as u8, 0, high, low])
}

/// One table under construction.
struct Table<'a> {
    family: AddressFamily,
    settings: &'a FilterSettings,
    batch: &'a mut Vec<Request>,
    sets: u32,
}

/// Which way packets go.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

impl Table<'_> {
    fn fill_v4(&mut self, filter: &Filter) {
        if filter.v4.is_empty() && filter.silent_links.is_empty() {
            return;
        }
        self.begin();
        if !filter.silent_links.is_empty() {
            self.set(
                "virtual_links",
                TYPE_IFNAME,
                filter.silent_links.iter().map(|name| padded(name).to_vec()),
            );
            self.rule(Way::Out, |rule| {
                rule.protocol_v4(IGMP).link(Way::Out, REGISTER_1).is_in("virtual_links").verdict(NF_DROP);
            });
        }
        if !filter.v4.is_empty() {
            self.set("vips", TYPE_IPV4, filter.v4.iter().map(|address| address.octets().to_vec()));
            for way in [Way::In, Way::Out] {
                self.rule(way, |rule| {
                    rule.own_address_v4(way).is_in("vips").verdict(NF_DROP);
                });
            }
        }
    }

    fn fill_v6(&mut self, filter: &Filter) {
        let addresses = !filter.v6.is_empty() || !filter.v6_link_local.is_empty();
        if !addresses && filter.silent_links.is_empty() {
            return;
        }
        self.begin();
        if !filter.silent_links.is_empty() {
            self.set(
                "virtual_links",
                TYPE_IFNAME,
                filter.silent_links.iter().map(|name| padded(name).to_vec()),
            );
            for kind in SPOKEN_BY_ITSELF {
                self.rule(Way::Out, |rule| {
                    rule.icmpv6(kind).link(Way::Out, REGISTER_1).is_in("virtual_links").verdict(NF_DROP);
                });
            }
        }
        if addresses {
            self.pass_neighbour_discovery();
        }
        if !filter.v6.is_empty() {
            self.set("vips", TYPE_IPV6, filter.v6.iter().map(|address| address.octets().to_vec()));
            for way in [Way::In, Way::Out] {
                self.rule(way, |rule| {
                    rule.own_address_v6(way).is_in("vips").verdict(NF_DROP);
                });
            }
        }
        if !filter.v6_link_local.is_empty() {
            let key = |(address, link): &(std::net::Ipv6Addr, String)| {
                [&address.octets()[..], &padded(link)[..]].concat()
            };
            self.set("vips_link_local", TYPE_IPV6_IFNAME, filter.v6_link_local.iter().map(key));
            for way in [Way::In, Way::Out] {
                self.rule(way, |rule| {
                    rule.own_address_v6(way).link(way, REGISTER_2).is_in("vips_link_local").verdict(NF_DROP);
                });
            }
        }
    }

    //= RFC9568 6.1 M-70
    fn pass_neighbour_discovery(&mut self) {
        for way in [Way::In, Way::Out] {
            for kind in NEIGHBOUR_DISCOVERY {
                self.rule(way, |rule| {
                    rule.icmpv6(kind).verdict(NF_ACCEPT);
                });
            }
        }
    }

    /// The table and its two chains.
    fn begin(&mut self) {
        self.message(NFT_MSG_NEWTABLE, libc::NLM_F_CREATE as u16, |table| {
            table.attribute(NFTA_TABLE_USERDATA, COMMENT);
        });
        let priority = self.settings.priority.to_be_bytes();
        for (name, hook) in [("in", NF_INET_LOCAL_IN), ("out", NF_INET_LOCAL_OUT)] {
            self.message(NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE as u16, |chain| {
                chain.text(NFTA_CHAIN_NAME, name).text(NFTA_CHAIN_TYPE, "filter");
                chain.nest(NFTA_CHAIN_HOOK, |at| {
                    at.attribute(NFTA_HOOK_HOOKNUM, &hook.to_be_bytes());
                    at.attribute(NFTA_HOOK_PRIORITY, &priority);
                });
            });
        }
    }

    fn set(&mut self, name: &str, kind: u32, keys: impl Iterator<Item = Vec<u8>>) {
        let keys: Vec<Vec<u8>> = keys.collect();
        let length = keys.first().map_or(0, Vec::len) as u32;
        self.sets += 1;
        let id = self.sets.to_be_bytes();
        self.message(NFT_MSG_NEWSET, libc::NLM_F_CREATE as u16, |set| {
            set.text(NFTA_SET_NAME, name).attribute(NFTA_SET_KEY_TYPE, &kind.to_be_bytes());
            set.attribute(NFTA_SET_KEY_LEN, &length.to_be_bytes()).attribute(NFTA_SET_ID, &id);
            if kind == TYPE_IFNAME {
                let order = [&KEY_IN_MACHINE_ORDER[..], &1u32.to_ne_bytes()].concat();
                set.attribute(NFTA_SET_USERDATA, &order);
            }
        });
        for some in keys.chunks(MAX_ELEMENTS) {
            self.message(NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE as u16, |elements| {
                elements.text(NFTA_ELEMENTS_SET, name).nest(NFTA_ELEMENTS, |list| {
                    for key in some {
                        list.nest(NFTA_LIST_ELEM, |element| {
                            element.nest(NFTA_SET_ELEM_KEY, |data| {
                                data.attribute(NFTA_DATA_VALUE, key);
                            });
                        });
                    }
                });
            });
        }
    }

    fn rule(&mut self, way: Way, fill: impl FnOnce(&mut Rule<'_>)) {
        let chain = match way {
            Way::In => "in",
            Way::Out => "out",
        };
        let counters = self.settings.counters;
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
        self.message(NFT_MSG_NEWRULE, flags, |rule| {
            rule.text(NFTA_RULE_CHAIN, chain).nest(NFTA_RULE_EXPRESSIONS, |expressions| {
                fill(&mut Rule { expressions, counters });
            });
        });
    }

    /// A message about this table.
    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Request)) {
        let family = match self.family {
            AddressFamily::V4 => libc::NFPROTO_IPV4,
            AddressFamily::V6 => libc::NFPROTO_IPV6,
        };
        let mut request = Request::new(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, &[family as u8, 0, 0, 0]);
        request.text(TABLE, &self.settings.table);
        fill(&mut request);
        self.batch.push(request);
    }
}

/// A rule's expressions under construction, executed in order until one does not match.
struct Rule<'a> {
    expressions: &'a mut Request,
    counters: bool,
}

impl Rule<'_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Request)) -> &mut Self {
        self.expressions.nest(NFTA_LIST_ELEM, |element| {
            element.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill);
        });
        self
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) -> &mut Self {
        self.numbers("payload", &[(1, REGISTER_1), (2, base), (3, offset), (4, length)])
    }

    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.numbers("meta", &[(1, register), (2, key)])
    }

    fn numbers(&mut self, name: &str, numbers: &[(u16, u32)]) -> &mut Self {
        self.expression(name, |data| {
            for (kind, number) in numbers {
                data.attribute(*kind, &number.to_be_bytes());
            }
        })
    }

    fn equals(&mut self, octet: u8) -> &mut Self {
        self.expression("cmp", |data| {
            data.attribute(1, &REGISTER_1.to_be_bytes()).attribute(2, &0u32.to_be_bytes());
            data.nest(3, |value| {
                value.attribute(NFTA_DATA_VALUE, &[octet]);
            });
        })
    }

    fn protocol_v4(&mut self, protocol: u8) -> &mut Self {
        self.payload(NETWORK_HEADER, 9, 1).equals(protocol)
    }

    fn icmpv6(&mut self, kind: u8) -> &mut Self {
        self.meta(META_L4PROTO, REGISTER_1).equals(ICMPV6).payload(TRANSPORT_HEADER, 0, 1).equals(kind)
    }

    /// The destination of what comes in, the source of what goes out.
    fn own_address_v4(&mut self, way: Way) -> &mut Self {
        self.payload(NETWORK_HEADER, if matches!(way, Way::In) { 16 } else { 12 }, 4)
    }

    fn own_address_v6(&mut self, way: Way) -> &mut Self {
        self.payload(NETWORK_HEADER, if matches!(way, Way::In) { 24 } else { 8 }, 16)
    }

    /// The interface's name into a register.
    fn link(&mut self, way: Way, register: u32) -> &mut Self {
        self.meta(if matches!(way, Way::In) { META_IIFNAME } else { META_OIFNAME }, register)
    }

    /// Is what begins in the first register an element of the set?
    fn is_in(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |data| {
            data.text(1, set).attribute(2, &REGISTER_1.to_be_bytes());
        })
    }

    fn verdict(&mut self, verdict: u32) {
        if self.counters {
            self.expression("counter", |_| {});
        }
        self.expression("immediate", |data| {
            data.attribute(1, &REGISTER_VERDICT.to_be_bytes()).nest(2, |value| {
                value.nest(NFTA_DATA_VERDICT, |inner| {
                    inner.attribute(NFTA_VERDICT_CODE, &verdict.to_be_bytes());
                });
            });
        });
    }
}

fn padded(name: &str) -> [u8; IFNAME] {
    let mut octets = [0; IFNAME];
    for (octet, letter) in octets.iter_mut().zip(name.bytes().take(IFNAME - 1)) {
        *octet = letter;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Type without the subsystem, family, and the strings of the message's first attributes.
    fn outline(filter: &Filter) -> Vec<String> {
        let messages = encode(&FilterSettings::default(), filter);
        let line = |request: Request| {
            let bytes = request.finish(1, 0);
            let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
            let family = bytes[16];
            let words: Vec<String> = attributes(&bytes[20..])
                .flatten()
                .filter(|attribute| attribute.kind <= 3 && attribute.value.ends_with(&[0]))
                .map(|attribute| attribute.text())
                .filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()))
                .collect();
            format!("{:#x} {family} {}", kind, words.join(" "))
        };
        messages.into_iter().map(line).collect()
    }

    #[test]
    fn nothing_to_drop_removes_both_tables() {
        let expected = [
            "0x10 0 ",
            "0xa00 2 holdfast",
            "0xa02 2 holdfast",
            "0xa00 10 holdfast",
            "0xa02 10 holdfast",
            "0x11 0 ",
        ];
        assert_eq!(outline(&Filter::default()), expected);
    }

    #[test]
    fn addresses_have_a_set_and_two_rules() {
        let v4 = BTreeSet::from([std::net::Ipv4Addr::new(192, 0, 2, 1)]);
        let lines = outline(&Filter { v4, ..Filter::default() });
        let expected = [
            "0xa00 2 holdfast",
            "0xa03 2 holdfast in",
            "0xa03 2 holdfast out",
            "0xa09 2 holdfast vips",
            "0xa0c 2 holdfast vips",
            "0xa06 2 holdfast in",
            "0xa06 2 holdfast out",
        ];
        assert_eq!(lines[3..10], expected);
        assert_eq!(lines[10..], ["0xa00 10 holdfast", "0xa02 10 holdfast", "0x11 0 "]);
    }

    /// The octets of a rule, as the nft program of Debian 12 sends them for `ip daddr @vips drop` (--debug=netlink).
    #[test]
    fn a_rule_is_what_nft_makes_of_it() {
        let mut expressions = Request::new(0, 0, &[]);
        let mut rule = Rule { expressions: &mut expressions, counters: false };
        rule.own_address_v4(Way::In).is_in("vips").verdict(NF_DROP);
        let names: Vec<String> = attributes(expressions.payload())
            .flatten()
            .filter_map(|element| element.nested().flatten().next().map(|name| name.text()))
            .collect();
        assert_eq!(names, ["payload", "lookup", "immediate"]);
        let payload = attributes(expressions.payload()).flatten().next().expect("the first");
        let data = payload.nested().flatten().nth(1).expect("its data");
        let numbers: Vec<(u16, [u8; 4])> =
            data.nested().flatten().map(|a| (a.kind, a.octets().expect("four"))).collect();
        // Register 1, network header, offset 16 (the destination), 4 octets; all in network order.
        assert_eq!(numbers, [(1, [0, 0, 0, 1]), (2, [0, 0, 0, 1]), (3, [0, 0, 0, 16]), (4, [0, 0, 0, 4])]);
    }

    #[test]
    fn many_elements_go_in_several_messages() {
        let v4 = (0..1200u32).map(|n| std::net::Ipv4Addr::from(0x0a00_0000 + n)).collect();
        let lines = outline(&Filter { v4, ..Filter::default() });
        assert_eq!(lines.iter().filter(|line| line.starts_with("0xa0c")).count(), 3);
    }

    #[test]
    fn a_long_name_keeps_its_nul() {
        assert_eq!(padded("vrrp.51")[..8], *b"vrrp.51\0");
        assert_eq!(padded("a_name_that_is_longer_than_that")[15], 0);
    }
}
