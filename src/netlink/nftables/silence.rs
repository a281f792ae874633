//! Dropping our own answers to "who has this address?", for the moment in which another node has it too. The tables
//! belong to the socket that made them: the kernel takes them away with it, however the process ends (Linux 5.12).

use super::{
    COMMENT, MAX_ELEMENTS, NETWORK_HEADER, NF_DROP, NF_INET_LOCAL_OUT, NFNL_MSG_BATCH_BEGIN,
    NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
    NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE, NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_TYPE,
    NFTA_ELEMENTS, NFTA_ELEMENTS_SET, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_LIST_ELEM, NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS, NFTA_SET_ELEM_KEY, NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE,
    NFTA_SET_NAME, NFTA_TABLE_USERDATA, NetlinkError, NetlinkSocket, Request, Rule, TABLE, TRANSPORT_HEADER,
    TYPE_IPV4, TYPE_IPV6, bracket,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

const NFTA_TABLE_FLAGS: u16 = 2;
const NFT_TABLE_F_OWNER: u32 = 2;
const NF_ARP_OUT: u32 = 1;
/// Of the sender's protocol address in an ARP packet for IPv4 over Ethernet.
const ARP_SENDER: u32 = 14;
/// Of the target address in neighbour solicitations and advertisements.
const NDP_TARGET: u32 = 8;
const IPV6_SOURCE: u32 = 8;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const CHAIN: &str = "out";
const SET: &str = "leaving";

/// Tables that drop what this node says of some addresses. They go when this is dropped.
#[derive(Debug)]
pub struct Silence {
    socket: NetlinkSocket,
    table: String,
}

impl Silence {
    /// Opens the socket, in the network namespace of the thread. Fails where the kernel has no netfilter.
    pub fn open() -> Result<Silence, NetlinkError> {
        let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER)?;
        Ok(Silence { socket, table: format!("holdfast_leaving_{}", std::process::id()) })
    }

    /// Say nothing of these addresses, and again of all others: ARP packets that name them as the sender, neighbour
    /// advertisements about them and neighbour solicitations from them are dropped on their way out.
    pub fn keep(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<(), NetlinkError> {
        let mut batch = Batch { table: &self.table, requests: vec![bracket(NFNL_MSG_BATCH_BEGIN)] };
        let v4 = addresses
            .iter()
            .filter_map(|it| if let IpAddr::V4(v4) = it { Some(v4.octets().to_vec()) } else { None });
        let v6 = addresses
            .iter()
            .filter_map(|it| if let IpAddr::V6(v6) = it { Some(v6.octets().to_vec()) } else { None });
        batch.arp(&v4.collect::<Vec<_>>());
        batch.ndp(&v6.collect::<Vec<_>>());
        batch.requests.push(bracket(NFNL_MSG_BATCH_END));
        self.socket.transaction(batch.requests, "cannot drop answers for addresses that are handed over")
    }
}

/// A transaction under construction.
struct Batch<'a> {
    table: &'a str,
    requests: Vec<Request>,
}

impl Batch<'_> {
    fn arp(&mut self, addresses: &[Vec<u8>]) {
        let family = libc::NFPROTO_ARP;
        self.remove(family);
        if addresses.is_empty() {
            return;
        }
        self.begin(family, NF_ARP_OUT, TYPE_IPV4, addresses);
        self.rule(family, |rule| {
            rule.payload(NETWORK_HEADER, ARP_SENDER, 4).is_in(SET).verdict(NF_DROP);
        });
    }

    fn ndp(&mut self, addresses: &[Vec<u8>]) {
        let family = libc::NFPROTO_IPV6;
        self.remove(family);
        if addresses.is_empty() {
            return;
        }
        self.begin(family, NF_INET_LOCAL_OUT, TYPE_IPV6, addresses);
        self.rule(family, |rule| {
            let rule = rule.icmpv6(NEIGHBOUR_ADVERTISEMENT);
            rule.payload(TRANSPORT_HEADER, NDP_TARGET, 16).is_in(SET).verdict(NF_DROP);
        });
        self.rule(family, |rule| {
            let rule = rule.icmpv6(NEIGHBOUR_SOLICITATION);
            rule.payload(NETWORK_HEADER, IPV6_SOURCE, 16).is_in(SET).verdict(NF_DROP);
        });
    }

    /// Deleting what may not be there: made first, so that there is something to delete.
    fn remove(&mut self, family: i32) {
        self.make(family);
        self.message(family, NFT_MSG_DELTABLE, 0, |_| {});
    }

    fn make(&mut self, family: i32) {
        self.message(family, NFT_MSG_NEWTABLE, libc::NLM_F_CREATE as u16, |table| {
            table.attribute(NFTA_TABLE_FLAGS, &NFT_TABLE_F_OWNER.to_be_bytes());
            table.attribute(NFTA_TABLE_USERDATA, COMMENT);
        });
    }

    /// The table with its chain and the set of addresses.
    fn begin(&mut self, family: i32, hook: u32, kind: u32, addresses: &[Vec<u8>]) {
        let create = libc::NLM_F_CREATE as u16;
        self.make(family);
        self.message(family, NFT_MSG_NEWCHAIN, create, |chain| {
            chain.text(NFTA_CHAIN_NAME, CHAIN).text(NFTA_CHAIN_TYPE, "filter");
            chain.nest(NFTA_CHAIN_HOOK, |at| {
                at.attribute(NFTA_HOOK_HOOKNUM, &hook.to_be_bytes());
                at.attribute(NFTA_HOOK_PRIORITY, &0i32.to_be_bytes());
            });
        });
        let length = addresses.first().map_or(0, Vec::len) as u32;
        self.message(family, NFT_MSG_NEWSET, create, |set| {
            set.text(NFTA_SET_NAME, SET).attribute(NFTA_SET_KEY_TYPE, &kind.to_be_bytes());
            set.attribute(NFTA_SET_KEY_LEN, &length.to_be_bytes())
                .attribute(NFTA_SET_ID, &1u32.to_be_bytes());
        });
        for some in addresses.chunks(MAX_ELEMENTS) {
            self.message(family, NFT_MSG_NEWSETELEM, create, |elements| {
                elements.text(NFTA_ELEMENTS_SET, SET).nest(NFTA_ELEMENTS, |list| {
                    for key in some {
                        list.nest(NFTA_LIST_ELEM, |element| {
                            element.nest(NFTA_SET_ELEM_KEY, |data| {
                                data.attribute(super::NFTA_DATA_VALUE, key);
                            });
                        });
                    }
                });
            });
        }
    }

    fn rule(&mut self, family: i32, fill: impl FnOnce(&mut Rule<'_>)) {
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
        self.message(family, NFT_MSG_NEWRULE, flags, |rule| {
            rule.text(NFTA_RULE_CHAIN, CHAIN).nest(NFTA_RULE_EXPRESSIONS, |expressions| {
                fill(&mut Rule { expressions, counters: false });
            });
        });
    }

    fn message(&mut self, family: i32, kind: u16, flags: u16, fill: impl FnOnce(&mut Request)) {
        let mut request = Request::new(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, &[family as u8, 0, 0, 0]);
        request.text(TABLE, self.table);
        fill(&mut request);
        self.requests.push(request);
    }
}
