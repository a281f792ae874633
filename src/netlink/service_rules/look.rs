//! What the kernel has of our tables, and whether somebody changed it: a set's element, a rule for another one, a policy.

use super::super::message::{Request, attributes};
use super::super::nftables as nft;
use super::super::socket::NetlinkError;
use super::{RulesSocket, about, comment, conntrack_was, number};
use crate::net::AddressFamily;
use std::hash::{DefaultHasher, Hash, Hasher};

const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_GETSET: u16 = 10;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_GETGEN: u16 = 16;

const NFTA_GEN_ID: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ELEM_FLAGS: u16 = 3;

/// What is known of a table by our name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// It is there for this many families.
    pub ours: usize,
    /// One is there that we did not make.
    pub foreign: bool,
    /// What `net.ipv4.vs.conntrack` was before we set it.
    pub conntrack_was: Option<String>,
}

/// A look at our tables, to compare with a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The packet filter's generation, which grows with every change of anybody's table.
    generation: u32,
    /// What is in them, in short: without handles and counters, in whatever order.
    contents: u64,
}

impl RulesSocket {
    /// Look for the tables of this name.
    pub fn find(&mut self, table: &str) -> Result<Found, NetlinkError> {
        let mut found = Found::default();
        for family in [AddressFamily::V4, AddressFamily::V6] {
            let Some(description) = self.description(family, table)? else { continue };
            match comment(&description) {
                Some(comment) => {
                    found.ours += 1;
                    found.conntrack_was = found.conntrack_was.or(conntrack_was(&comment));
                }
                None => found.foreign = true,
            }
        }
        Ok(found)
    }

    /// Look into the tables of this name.
    pub fn see(&mut self, table: &str) -> Result<Seen, NetlinkError> {
        // First: what changes while the rest is read makes the next look another one.
        let generation = self.generation()?;
        Ok(Seen { generation, contents: self.contents(table)? })
    }

    /// Are the tables of this name as they were `seen`? Nothing is read where nobody has changed anything; `seen` becomes
    /// this look.
    pub fn is_still(&mut self, table: &str, seen: &mut Seen) -> Result<bool, NetlinkError> {
        if self.generation()? == seen.generation {
            return Ok(true);
        }
        let before = std::mem::replace(seen, self.see(table)?);
        Ok(seen.contents == before.contents)
    }

    fn generation(&mut self) -> Result<u32, NetlinkError> {
        let request = Request::new(nft::NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, &[0; nft::NFGENMSG]);
        let context = "cannot ask for the packet filter's generation";
        let answers = self.socket.call(request, context)?;
        let number = answers.iter().find_map(|answer| {
            attributes(nft::described(&answer.payload))
                .flatten()
                .find(|it| it.kind == NFTA_GEN_ID)?
                .octets()
                .map(u32::from_be_bytes)
                .ok()
        });
        number.ok_or_else(|| NetlinkError::new(libc::EBADMSG, context))
    }

    fn description(&mut self, family: AddressFamily, table: &str) -> Result<Option<Vec<u8>>, NetlinkError> {
        let request = about(nft::NFT_MSG_GETTABLE, 0, family, table);
        match self.socket.call(request, &format!("cannot look for the nftables table {table}")) {
            Err(error) if error.errno == libc::ENOENT => Ok(None),
            answers => Ok(answers?.into_iter().next().map(|answer| answer.payload)),
        }
    }

    /// Equal if the tables are, whoever made them.
    fn contents(&mut self, table: &str) -> Result<u64, NetlinkError> {
        let context = format!("cannot look into the nftables table {table}");
        let mut sum = 0u64;
        for family in [AddressFamily::V4, AddressFamily::V6] {
            let Some(description) = self.description(family, table)? else { continue };
            let salt = number(family);
            let of_table = &[NFTA_TABLE_FLAGS, nft::NFTA_TABLE_USERDATA];
            sum = sum.wrapping_add(digest(salt, nft::described(&description), of_table));
            let mut requests = vec![
                about(NFT_MSG_GETCHAIN, 0, family, table),
                about(NFT_MSG_GETRULE, 0, family, table),
                about(NFT_MSG_GETSET, 0, family, table),
            ];
            let sets = self.socket.dump(&about(NFT_MSG_GETSET, 0, family, table), &context)?;
            requests.extend(sets.iter().filter_map(|set| {
                let name = text(nft::described(&set.payload), nft::NFTA_SET_NAME)?;
                let mut request = about(NFT_MSG_GETSETELEM, 0, family, table);
                request.text(nft::NFTA_ELEMENTS_SET, &name);
                Some(request)
            }));
            for request in requests {
                let digests = self.socket.dump_as(&request, &context, |kind, message| {
                    // Not every kernel leaves out the chains of other tables.
                    let of_ours = text(nft::described(message), nft::TABLE).is_some_and(|it| it == table);
                    Ok(of_ours.then(|| item(salt, kind & 0xff, nft::described(message))))
                })?;
                sum = digests.into_iter().fold(sum, u64::wrapping_add);
            }
        }
        Ok(sum)
    }
}

fn text(attributes_of: &[u8], kind: u16) -> Option<String> {
    attributes(attributes_of).flatten().find(|it| it.kind == kind).map(|it| it.text())
}

/// What a chain, a rule, a set, or elements of a set come down to.
pub(in super::super) fn item(salt: u8, kind: u16, described: &[u8]) -> u64 {
    match kind {
        nft::NFT_MSG_NEWCHAIN => {
            let parts = [nft::NFTA_CHAIN_NAME, nft::NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, nft::NFTA_CHAIN_TYPE];
            digest(salt, described, &parts)
        }
        nft::NFT_MSG_NEWRULE => rule(salt, described),
        nft::NFT_MSG_NEWSET => {
            let parts: Vec<u16> = (nft::NFTA_SET_NAME..=NFTA_SET_DATA_LEN).collect();
            digest(salt, described, &parts)
        }
        nft::NFT_MSG_NEWSETELEM => elements(salt, described),
        _ => 0,
    }
}

/// The attributes of these kinds.
fn digest(salt: u8, described: &[u8], kinds: &[u16]) -> u64 {
    let mut hasher = DefaultHasher::new();
    salt.hash(&mut hasher);
    for attribute in attributes(described).flatten().filter(|it| kinds.contains(&it.kind)) {
        (attribute.kind, attribute.value).hash(&mut hasher);
    }
    hasher.finish()
}

/// Its expressions, but for what counters have counted.
fn rule(salt: u8, described: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (salt, text(described, nft::NFTA_RULE_CHAIN)).hash(&mut hasher);
    let lists = attributes(described).flatten().filter(|it| it.kind == nft::NFTA_RULE_EXPRESSIONS);
    for expression in lists.flat_map(|list| list.nested()).flatten() {
        match text(expression.value, nft::NFTA_EXPR_NAME).as_deref() {
            Some("counter") => "counter".hash(&mut hasher),
            _ => expression.value.hash(&mut hasher),
        }
    }
    hasher.finish()
}

fn elements(salt: u8, described: &[u8]) -> u64 {
    let set = text(described, nft::NFTA_ELEMENTS_SET);
    let lists = attributes(described).flatten().filter(|it| it.kind == nft::NFTA_ELEMENTS);
    let parts = [nft::NFTA_SET_ELEM_KEY, super::NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_FLAGS];
    lists.flat_map(|list| list.nested()).flatten().fold(0, |sum: u64, element| {
        let mut hasher = DefaultHasher::new();
        (&set, digest(salt, element.value, &parts)).hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}
