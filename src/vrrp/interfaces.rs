//! What the core knows about the node's interfaces, reduced to what routers depend on.

use super::event::{InterfaceFacts, RouterId};
use crate::net::{AddressFamily, IpCidr, MacAddr};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The part of the facts that a router can depend on. While it stays equal, no router needs to look: a
/// takeover of a thousand addresses changes the facts a thousand times and this never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// Kernel index.
    pub index: u32,
    /// Up and with carrier.
    pub up: bool,
    /// Hardware address, all zero if none.
    pub mac: MacAddr,
    /// Sets the R flag of neighbour advertisements.
    pub ipv6_forwarding: bool,
    ipv4: Option<IpAddr>,
    ipv6: Option<IpAddr>,
}

impl Interface {
    /// The address to send from: the first that is not virtual, as keepalived has it; else the first that
    /// this node owns (RFC 3768 4.2: each of two routers owns one address and backs up the other's).
    pub fn source(&self, family: AddressFamily) -> Option<IpAddr> {
        match family {
            AddressFamily::V4 => self.ipv4,
            AddressFamily::V6 => self.ipv6,
        }
    }
}

/// All interfaces, and who depends on them.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    facts: BTreeMap<u32, InterfaceFacts>,
    by_name: BTreeMap<String, Interface>,
    /// Sorted.
    watchers: BTreeMap<String, Vec<RouterId>>,
    /// Virtual addresses and who holds them, sorted.
    held: Vec<Holding>,
    /// The interfaces that `held` speaks of.
    names: BTreeMap<String, u32>,
}

/// Address, number of the interface, who holds it there, and does that one own it?
type Holding = (IpCidr, u32, RouterId, bool);

impl Interfaces {
    /// The interface of that name, if it exists.
    pub fn get(&self, name: &str) -> Option<&Interface> {
        self.by_name.get(name)
    }

    /// The name that goes with an index.
    pub fn name(&self, index: u32) -> Option<&str> {
        self.facts.get(&index).map(|facts| facts.name.as_str())
    }

    /// All that is known of an interface.
    pub fn facts(&self, index: u32) -> Option<&InterfaceFacts> {
        self.facts.get(&index)
    }

    /// Does any interface have the address?
    pub fn has(&self, address: IpAddr) -> bool {
        self.facts.values().any(|facts| facts.has(address))
    }

    /// The names that an arriving fact makes obsolete: an interface was renamed, or deleted and made again.
    pub fn superseded_by(&self, facts: &InterfaceFacts) -> Vec<u32> {
        let renamed = self.name(facts.index).filter(|name| *name != facts.name).map(|_| facts.index);
        let remade = self.get(&facts.name).map(|known| known.index).filter(|index| *index != facts.index);
        renamed.into_iter().chain(remade).collect()
    }

    /// Take in facts. True if something changed that a router can depend on.
    pub fn update(&mut self, facts: InterfaceFacts) -> bool {
        let new = self.reduce(&facts);
        let name = facts.name.clone();
        self.facts.insert(facts.index, facts);
        if self.by_name.get(&name) == Some(&new) {
            return false;
        }
        self.by_name.insert(name, new);
        true
    }

    /// Forget an interface; its name if it was known.
    pub fn remove(&mut self, index: u32) -> Option<String> {
        let facts = self.facts.remove(&index)?;
        self.by_name.remove(&facts.name);
        Some(facts.name)
    }

    /// Routers that depend on the interface.
    pub fn watchers(&self, name: &str) -> Vec<RouterId> {
        self.watchers.get(name).into_iter().flatten().copied().collect()
    }

    /// Routers whose address it is, on that interface.
    pub fn holders(&self, cidr: IpCidr, name: &str) -> impl Iterator<Item = RouterId> + '_ {
        let first = self.held.partition_point(|(known, ..)| *known < cidr);
        let name = self.names.get(name).copied();
        let same = self.held.iter().skip(first).take_while(move |(known, ..)| *known == cidr);
        same.filter(move |(_, at, ..)| Some(*at) == name).map(|(_, _, router, _)| *router)
    }

    /// Forget who depends on what; a plan follows.
    pub fn clear_dependants(&mut self) {
        self.watchers.clear();
        self.held.clear();
        self.names.clear();
    }

    /// `router` depends on the interface.
    pub fn watch(&mut self, name: &str, router: RouterId) {
        let watchers = match self.watchers.get_mut(name) {
            Some(watchers) => watchers,
            None => self.watchers.entry(name.to_owned()).or_default(),
        };
        if let Err(at) = watchers.binary_search(&router) {
            watchers.insert(at, router);
        }
    }

    /// All who depend on something have said so.
    pub fn shrink(&mut self) {
        self.held.shrink_to_fit();
        self.watchers.values_mut().for_each(Vec::shrink_to_fit);
    }

    /// `router` holds the address while it is Master, or `owns` it.
    pub fn hold(&mut self, cidr: IpCidr, name: &str, router: RouterId, owns: bool) {
        let next = u32::try_from(self.names.len()).expect("a plan names fewer than 2^32 interfaces");
        let at = match self.names.get(name) {
            Some(at) => *at,
            None => *self.names.entry(name.to_owned()).or_insert(next),
        };
        // In a long configuration addresses come in order: this appends.
        let holding = (cidr, at, router, owns);
        let place = self.held.partition_point(|known| *known < holding);
        self.held.insert(place, holding);
    }

    /// After the virtual addresses changed: the names of interfaces that now look different.
    pub fn reduce_again(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        for facts in self.facts.values() {
            let new = self.reduce(facts);
            if self.by_name.get(&facts.name) != Some(&new) {
                changed.push((facts.name.clone(), new));
            }
        }
        let names = changed.iter().map(|(name, _)| name.clone()).collect();
        self.by_name.extend(changed);
        names
    }

    fn reduce(&self, facts: &InterfaceFacts) -> Interface {
        Interface {
            index: facts.index,
            up: facts.up,
            mac: facts.mac,
            ipv6_forwarding: facts.ipv6_forwarding,
            ipv4: self.first_source(facts.ipv4.iter().copied().map(IpAddr::V4)),
            ipv6: self.first_source(facts.ipv6_link_local.iter().copied().map(IpAddr::V6)),
        }
    }

    //= RFC9568 5.1.1.1 M-01
    //= RFC9568 5.1.2.1 M-05
    fn first_source(&self, mut addresses: impl Iterator<Item = IpAddr> + Clone) -> Option<IpAddr> {
        let real = addresses.clone().find(|address| self.is_owned(*address).is_none());
        real.or_else(|| addresses.find(|address| self.is_owned(*address) == Some(true)))
    }

    /// Is a virtual address owned by this node? `None` for one that is not virtual.
    fn is_owned(&self, address: IpAddr) -> Option<bool> {
        let first = self.held.partition_point(|(cidr, ..)| cidr.address() < address);
        let same = self.held.iter().skip(first).take_while(|(cidr, ..)| cidr.address() == address);
        same.map(|(.., owns)| *owns).reduce(|all, owns| all && owns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn cidr(address: [u8; 4]) -> IpCidr {
        IpCidr::host(IpAddr::V4(Ipv4Addr::from(address)))
    }

    fn facts(index: u32, name: &str, ipv4: &[[u8; 4]]) -> InterfaceFacts {
        InterfaceFacts {
            index,
            name: name.to_owned(),
            up: true,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            ipv6_forwarding: false,
            ipv4: ipv4.iter().copied().map(Ipv4Addr::from).collect(),
            ipv6_link_local: Vec::new(),
            ipv6_wide: Vec::new(),
        }
    }

    #[test]
    fn a_virtual_address_is_no_source_unless_it_is_owned() {
        let mut interfaces = Interfaces::default();
        interfaces.hold(cidr([10, 0, 0, 100]), "eth0", RouterId(0), false);
        interfaces.hold(cidr([10, 0, 0, 1]), "eth0", RouterId(1), true);
        interfaces.update(facts(2, "eth0", &[[10, 0, 0, 100], [10, 0, 0, 1]]));
        let eth0 = interfaces.get("eth0").expect("just updated");
        assert_eq!(eth0.source(AddressFamily::V4), Some(Ipv4Addr::new(10, 0, 0, 1).into()));
        assert_eq!(eth0.source(AddressFamily::V6), None);
        interfaces.update(facts(2, "eth0", &[[10, 0, 0, 1], [10, 0, 0, 100], [10, 0, 0, 7]]));
        let eth0 = interfaces.get("eth0").expect("just updated");
        assert_eq!(eth0.source(AddressFamily::V4), Some(Ipv4Addr::new(10, 0, 0, 7).into()));
    }

    #[test]
    fn a_virtual_address_that_comes_or_goes_is_no_change() {
        let mut interfaces = Interfaces::default();
        interfaces.hold(cidr([10, 0, 0, 100]), "eth0", RouterId(0), false);
        assert!(interfaces.update(facts(2, "eth0", &[[10, 0, 0, 1]])));
        assert!(!interfaces.update(facts(2, "eth0", &[[10, 0, 0, 1], [10, 0, 0, 100]])));
        assert!(interfaces.update(facts(2, "eth0", &[])));
    }

    #[test]
    fn a_rename_and_a_new_index_supersede_what_was_known() {
        let mut interfaces = Interfaces::default();
        interfaces.update(facts(2, "eth0", &[]));
        interfaces.update(facts(3, "eth1", &[]));
        assert!(interfaces.superseded_by(&facts(2, "eth0", &[[10, 0, 0, 1]])).is_empty());
        assert_eq!(interfaces.superseded_by(&facts(2, "wan0", &[])), [2]);
        assert_eq!(interfaces.superseded_by(&facts(9, "eth1", &[])), [3]);
        assert_eq!(interfaces.superseded_by(&facts(2, "eth1", &[])), [2, 3]);
    }
}
