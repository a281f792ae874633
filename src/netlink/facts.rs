//! What is known about every interface, folded from dumps and announcements into the core's vocabulary.

use super::address::{Address, is_secondary, is_usable};
use super::link::Link;
use super::monitor::MonitorEvent;
use crate::net::IpCidr;
use crate::vrrp::{Event, InterfaceFacts};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Links and their addresses, by index. Pure: it yields [`Event`]s and asks for a dump when it must.
///
/// Announcements that were queued before a dump may be folded after it: they are older than what the dump said.
/// Each object's last announcement agrees with the dump, so the table still ends where the kernel is.
#[derive(Clone, Debug, Default)]
pub struct InterfaceTable {
    interfaces: BTreeMap<u32, Interface>,
    /// Names of interfaces without a link, as their drivers say when they are asked.
    without_link: BTreeSet<String>,
}

/// The caller's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Nothing: the table is as good as the announcements.
    Continue,
    /// Announcements were lost: dump links and addresses and call [`InterfaceTable::resync`].
    Dump,
}

/// Changes of addresses that are folded but not yet told, by interface.
#[derive(Default)]
struct Pending {
    before: BTreeMap<u32, InterfaceFacts>,
    removed: BTreeMap<u32, BTreeSet<IpCidr>>,
}

#[derive(Clone, Debug)]
struct Interface {
    link: Link,
    /// In the kernel's order, each family by itself.
    addresses: Vec<KnownAddress>,
    /// Its driver was asked for its link and has none.
    no_link: bool,
}

/// What is kept of an [`Address`]: there may be thousands, and nobody asks for their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// The address with its prefix length.
    pub cidr: IpCidr,
    /// The far end, as [`Address::peer`].
    pub peer: Option<Ipv4Addr>,
    /// Kernel scope number.
    pub scope: u8,
    /// Who put it there, where the kernel says so.
    pub protocol: Option<u8>,
    /// IFA_F_* flags, the lower half: those of an address that are looked at.
    pub flags: u16,
    /// Seconds until the kernel removes it, as of the message; `None` for never.
    pub valid: Option<u32>,
}

impl From<Address> for KnownAddress {
    fn from(address: Address) -> KnownAddress {
        let Address { interface: _, label: _, cidr, peer, flags, scope, protocol, valid } = address;
        let [low, high, ..] = flags.to_le_bytes();
        KnownAddress { cidr, peer, scope, protocol, flags: u16::from_le_bytes([low, high]), valid }
    }
}

impl KnownAddress {
    fn is(&self, cidr: IpCidr, peer: Option<Ipv4Addr>) -> bool {
        (self.cidr, self.peer) == (cidr, peer)
    }

    /// As [`Address::is_secondary`].
    fn is_secondary(&self) -> bool {
        is_secondary(self.cidr, self.flags.into())
    }

    /// As [`Address::is_usable`].
    fn is_usable(&self) -> bool {
        is_usable(self.flags.into())
    }
}

impl InterfaceTable {
    /// An empty table; [`InterfaceTable::resync`] fills it.
    pub fn new() -> InterfaceTable {
        InterfaceTable::default()
    }

    /// Fold announcements in order, and append what they mean. Of several changes to the addresses of one
    /// interface only the outcome is told, so that a thousand new addresses are one event; changes of a link are
    /// told one by one, so that a short loss of carrier is seen.
    pub fn handle(&mut self, events: impl IntoIterator<Item = MonitorEvent>, out: &mut Vec<Event>) -> Next {
        let mut next = Next::Continue;
        let mut pending = Pending::default();
        for event in events {
            match event {
                MonitorEvent::LinkChanged(link) => {
                    self.tell(link.index, &mut pending, out);
                    self.link_changed(link, out);
                }
                MonitorEvent::LinkGone { index } => {
                    self.tell(index, &mut pending, out);
                    self.link_gone(index, out);
                }
                MonitorEvent::AddressAdded(address) => {
                    if let Some(interface) = self.interfaces.get_mut(&address.interface) {
                        pending.before.entry(address.interface).or_insert_with(|| interface.facts());
                        interface.insert(address.into());
                    }
                }
                MonitorEvent::AddressRemoved { interface: index, cidr, peer } => {
                    if let Some(interface) = self.interfaces.get_mut(&index) {
                        pending.before.entry(index).or_insert_with(|| interface.facts());
                        if interface.remove(cidr, peer) {
                            pending.removed.entry(index).or_default().insert(cidr);
                        }
                    }
                }
                MonitorEvent::RoutingGone(gone) => out.push(Event::RoutingGone(gone)),
                // The worker, which has added the address, waits for these.
                MonitorEvent::Answers { .. } => {}
                MonitorEvent::Overrun => next = Next::Dump,
            }
        }
        while let Some(index) = pending.before.keys().next().copied() {
            self.tell(index, &mut pending, out);
        }
        next
    }

    /// Take fresh dumps as the truth, and append what they mean against what was known: interfaces and addresses
    /// whose removal was never heard of are reported gone. The links must have been dumped before the addresses.
    pub fn resync(&mut self, links: Vec<Link>, addresses: Vec<Address>, out: &mut Vec<Event>) {
        let mut fresh: BTreeMap<u32, Interface> = BTreeMap::new();
        for link in links {
            fresh.insert(link.index, Interface::new(link, &self.without_link));
        }
        for address in addresses {
            // An interface younger than the dump of links announces itself, and its addresses after it.
            if let Some(interface) = fresh.get_mut(&address.interface) {
                interface.addresses.push(address.into());
            }
        }
        let gone: Vec<u32> =
            self.interfaces.keys().filter(|index| !fresh.contains_key(index)).copied().collect();
        for index in gone {
            self.link_gone(index, out);
        }
        for (index, interface) in fresh {
            let known = self.interfaces.insert(index, interface.clone());
            let lost = known.as_ref().map(|known| known.missing_from(&interface)).unwrap_or_default();
            report(known.map(|known| known.facts()), interface.facts(), lost, out);
        }
    }

    /// The driver of the interface of this name was asked for its link: an interface without one is down, whatever the
    /// kernel says.
    pub fn beat(&mut self, name: &str, link: bool, out: &mut Vec<Event>) {
        if link {
            self.without_link.remove(name)
        } else {
            self.without_link.insert(name.to_owned())
        };
        if let Some(interface) = self.interfaces.values_mut().find(|interface| interface.link.name == name) {
            let before = interface.facts();
            interface.no_link = !link;
            report(Some(before), interface.facts(), Vec::new(), out);
        }
    }

    /// What is known about the interface with this index.
    pub fn facts(&self, index: u32) -> Option<InterfaceFacts> {
        self.interfaces.get(&index).map(Interface::facts)
    }

    /// Every interface, by index.
    pub fn all(&self) -> impl Iterator<Item = InterfaceFacts> + '_ {
        self.interfaces.values().map(Interface::facts)
    }

    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.interfaces.values().map(|interface| &interface.link).find(|link| link.name == name)
    }

    /// Every link, by index.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.interfaces.values().map(|interface| &interface.link)
    }

    /// The addresses of the interface with this index, in the kernel's order; none if it is unknown.
    pub fn addresses(&self, index: u32) -> &[KnownAddress] {
        self.interfaces.get(&index).map(|interface| interface.addresses.as_slice()).unwrap_or_default()
    }

    fn link_changed(&mut self, link: Link, out: &mut Vec<Event>) {
        let index = link.index;
        match self.interfaces.get_mut(&index) {
            Some(interface) => {
                let before = interface.facts();
                interface.no_link = self.without_link.contains(&link.name);
                interface.link = link;
                report(Some(before), interface.facts(), Vec::new(), out);
            }
            None => {
                let interface = Interface::new(link, &self.without_link);
                out.push(Event::Interface(interface.facts()));
                self.interfaces.insert(index, interface);
            }
        }
    }

    /// The interface first: whoever hears of the addresses knows already that there is nothing to put them back on.
    fn link_gone(&mut self, index: u32, out: &mut Vec<Event>) {
        if let Some(interface) = self.interfaces.remove(&index) {
            out.push(Event::InterfaceGone { index });
            out.extend(
                interface.addresses.iter().map(|address| Event::AddressRemoved { index, cidr: address.cidr }),
            );
        }
    }

    /// Tell the outcome of the pending changes of one interface.
    fn tell(&mut self, index: u32, pending: &mut Pending, out: &mut Vec<Event>) {
        let before = pending.before.remove(&index);
        let removed = pending.removed.remove(&index).unwrap_or_default();
        if let (Some(before), Some(interface)) = (before, self.interfaces.get(&index)) {
            let lost = removed.into_iter().filter(|cidr| !interface.has(*cidr)).collect();
            report(Some(before), interface.facts(), lost, out);
        }
    }
}

/// Who has what.
impl InterfaceTable {
    /// The interfaces that have the address, by index.
    pub fn holders(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let has = move |interface: &&Interface| {
            interface.addresses.iter().any(|known| known.cidr.address() == address && known.is_usable())
        };
        self.interfaces.values().filter(has).map(|interface| interface.link.name.as_str())
    }

    /// The bridge, bond or VRF that the interface belongs to.
    pub fn master(&self, name: &str) -> Option<&str> {
        let master = self.link(name)?.ties.master?;
        self.interfaces.get(&master).map(|interface| interface.link.name.as_str())
    }
}

impl Interface {
    fn new(link: Link, without_link: &BTreeSet<String>) -> Interface {
        Interface { no_link: without_link.contains(&link.name), link, addresses: Vec::new() }
    }

    fn facts(&self) -> InterfaceFacts {
        let mut facts = InterfaceFacts {
            index: self.link.index,
            name: self.link.name.clone(),
            up: self.link.up && self.link.running && !self.no_link,
            mac: self.link.mac,
            mtu: self.link.mtu,
            ipv6_forwarding: self.link.ipv6_forwarding,
            ipv4: Vec::new(),
            ipv6_link_local: Vec::new(),
            ipv6_wide: Vec::new(),
        };
        for address in &self.addresses {
            match address.cidr.address() {
                IpAddr::V4(v4) => facts.ipv4.push(v4),
                IpAddr::V6(v6) if v6.is_unicast_link_local() && address.is_usable() => {
                    facts.ipv6_link_local.push(v6);
                }
                IpAddr::V6(v6) if !v6.is_unicast_link_local() && address.is_usable() => {
                    facts.ipv6_wide.push(v6);
                }
                IpAddr::V6(_) => {}
            }
        }
        facts
    }

    /// Put `address` where the kernel has it. A change that keeps its place is made in place.
    fn insert(&mut self, address: KnownAddress) {
        if let Some(known) = self.addresses.iter_mut().find(|known| known.is(address.cidr, address.peer)) {
            if known.is_secondary() == address.is_secondary() {
                *known = address;
                return;
            }
            // A secondary that was promoted moves.
            self.addresses.retain(|known| !known.is(address.cidr, address.peer));
        }
        let position = self.position(&address);
        self.addresses.insert(position, address);
    }

    /// IPv4: a primary address goes behind the last primary of no narrower scope, a secondary to the end.
    /// IPv6: before the others, newest first (only the order among link-local addresses is of use).
    fn position(&self, new: &KnownAddress) -> usize {
        if new.cidr.address().is_ipv6() {
            return 0;
        }
        if new.is_secondary() {
            return self.addresses.len();
        }
        let precedes = |old: &KnownAddress| {
            old.cidr.address().is_ipv4() && !old.is_secondary() && new.scope <= old.scope
        };
        let last = self.addresses.iter().rposition(precedes);
        let first_v4 = self.addresses.iter().position(|old| old.cidr.address().is_ipv4());
        last.map(|last| last + 1).or(first_v4).unwrap_or(self.addresses.len())
    }

    fn remove(&mut self, cidr: IpCidr, peer: Option<Ipv4Addr>) -> bool {
        let before = self.addresses.len();
        self.addresses.retain(|address| !address.is(cidr, peer));
        self.addresses.len() < before
    }

    fn has(&self, cidr: IpCidr) -> bool {
        self.addresses.iter().any(|address| address.cidr == cidr)
    }

    fn missing_from(&self, other: &Interface) -> Vec<IpCidr> {
        let there: BTreeSet<IpCidr> = other.addresses.iter().map(|address| address.cidr).collect();
        self.addresses.iter().map(|address| address.cidr).filter(|cidr| !there.contains(cidr)).collect()
    }
}

/// Facts first, then the losses: whoever hears of a loss knows the interface's state already.
fn report(before: Option<InterfaceFacts>, after: InterfaceFacts, lost: Vec<IpCidr>, out: &mut Vec<Event>) {
    let index = after.index;
    if before.as_ref() != Some(&after) {
        out.push(Event::Interface(after));
    }
    out.extend(lost.into_iter().map(|cidr| Event::AddressRemoved { index, cidr }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MacAddr;
    use proptest::prelude::*;

    fn link(index: u32, running: bool) -> Link {
        let name = format!("eth{index}");
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        Link {
            index,
            name,
            up: true,
            running,
            mac,
            mtu: 1500,
            ipv6_forwarding: false,
            kind: None,
            ties: Default::default(),
        }
    }

    fn cidr(text: &str) -> IpCidr {
        let (address, prefix) = text.split_once('/').unwrap();
        IpCidr::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
    }

    fn address(text: &str, flags: u32) -> Address {
        Address {
            interface: 1,
            cidr: cidr(text),
            peer: None,
            flags,
            scope: 0,
            protocol: None,
            label: None,
            valid: None,
        }
    }

    fn table(addresses: &[Address]) -> InterfaceTable {
        let mut table = InterfaceTable::new();
        table.resync(vec![link(1, true)], addresses.to_vec(), &mut Vec::new());
        table
    }

    fn handle(table: &mut InterfaceTable, events: Vec<MonitorEvent>) -> Vec<Event> {
        let mut out = Vec::new();
        assert_eq!(table.handle(events, &mut out), Next::Continue);
        out
    }

    fn ipv4(table: &InterfaceTable) -> Vec<String> {
        table.facts(1).unwrap().ipv4.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_interface_whose_driver_has_no_link_is_down_whatever_the_kernel_says() {
        let (mut table, mut out) = (table(&[]), Vec::new());
        table.beat("eth1", false, &mut out);
        assert_eq!(out, [Event::Interface(InterfaceFacts { up: false, ..table.facts(1).unwrap() })]);
        assert!(handle(&mut table, vec![MonitorEvent::LinkChanged(link(1, true))]).is_empty());
        // It is made anew, and still has none.
        handle(&mut table, vec![MonitorEvent::LinkGone { index: 1 }]);
        let again = Link { name: "eth1".to_owned(), ..link(7, true) };
        handle(&mut table, vec![MonitorEvent::LinkChanged(again)]);
        assert!(!table.facts(7).unwrap().up);
        out.clear();
        table.beat("eth1", true, &mut out);
        assert!(table.facts(7).unwrap().up && out.len() == 1);
    }

    #[test]
    fn the_first_dump_tells_of_every_interface() {
        let mut table = InterfaceTable::new();
        let mut out = Vec::new();
        table.resync(vec![link(1, true), link(2, false)], vec![address("192.0.2.1/24", 0)], &mut out);
        let told: Vec<_> = table.all().map(Event::Interface).collect();
        assert_eq!(out, told);
        assert_eq!(table.facts(1).map(|facts| (facts.up, facts.ipv4.len())), Some((true, 1)));
        assert_eq!(table.facts(2).map(|facts| facts.up), Some(false));
        assert_eq!(table.link("eth2").map(|link| link.index), Some(2));
    }

    #[test]
    fn a_loss_and_a_return_of_carrier_are_both_told() {
        let mut table = table(&[]);
        let flap = [false, true].map(|running| MonitorEvent::LinkChanged(link(1, running)));
        let told = handle(&mut table, flap.to_vec());
        let ups: Vec<_> =
            told.iter().map(|event| matches!(event, Event::Interface(facts) if facts.up)).collect();
        assert_eq!(ups, [false, true]);
        assert_eq!(
            handle(&mut table, vec![MonitorEvent::LinkChanged(link(1, true))]),
            [],
            "no change, no event"
        );
    }

    #[test]
    fn a_removed_address_is_told_after_the_facts_and_only_if_it_stayed_away() {
        let mut table = table(&[address("192.0.2.1/24", 0), address("192.0.2.9/32", 0)]);
        let gone = MonitorEvent::AddressRemoved { interface: 1, cidr: cidr("192.0.2.9/32"), peer: None };
        let told = handle(&mut table, vec![gone.clone()]);
        assert!(matches!(&told[0], Event::Interface(facts) if facts.ipv4.len() == 1));
        assert_eq!(told[1..], [Event::AddressRemoved { index: 1, cidr: cidr("192.0.2.9/32") }]);
        assert_eq!(handle(&mut table, vec![gone.clone()]), [], "it was not there any more");
        let back = MonitorEvent::AddressAdded(address("192.0.2.9/32", 0));
        handle(&mut table, vec![back.clone()]);
        assert_eq!(handle(&mut table, vec![gone, back]), []);
    }

    #[test]
    fn many_new_addresses_are_one_event() {
        let mut table = table(&[]);
        let events = (1..=250).map(|n| MonitorEvent::AddressAdded(address(&format!("192.0.2.{n}/32"), 0)));
        let told = handle(&mut table, events.collect());
        assert!(matches!(&told[..], [Event::Interface(facts)] if facts.ipv4.len() == 250));
    }

    #[test]
    fn ipv4_addresses_stand_in_the_kernels_order() {
        let mut table = table(&[address("10.0.0.1/8", 0), address("10.0.0.2/8", 1)]);
        handle(&mut table, vec![MonitorEvent::AddressAdded(address("192.0.2.1/24", 0))]);
        assert_eq!(ipv4(&table), ["10.0.0.1", "192.0.2.1", "10.0.0.2"]);
        let link_scope = Address { scope: 253, ..address("169.254.0.1/16", 0) };
        handle(&mut table, vec![MonitorEvent::AddressAdded(link_scope)]);
        assert_eq!(ipv4(&table), ["169.254.0.1", "10.0.0.1", "192.0.2.1", "10.0.0.2"]);
        // The primary goes and the secondary is promoted: net.ipv4.conf.*.promote_secondaries.
        let promoted = MonitorEvent::AddressAdded(address("10.0.0.2/8", 0));
        let removed = MonitorEvent::AddressRemoved { interface: 1, cidr: cidr("10.0.0.1/8"), peer: None };
        handle(&mut table, vec![removed, promoted]);
        assert_eq!(ipv4(&table), ["169.254.0.1", "192.0.2.1", "10.0.0.2"]);
    }

    #[test]
    fn only_usable_link_local_addresses_are_facts() {
        let mut table = table(&[address("fe80::1/64", 0x40), address("2001:db8::1/64", 0)]);
        assert_eq!(table.facts(1).unwrap().ipv6_link_local.len(), 0);
        let told = handle(&mut table, vec![MonitorEvent::AddressAdded(address("fe80::1/64", 0x80))]);
        assert!(matches!(&told[..], [Event::Interface(facts)] if facts.ipv6_link_local.len() == 1));
        let told = handle(&mut table, vec![MonitorEvent::AddressAdded(address("fe80::1/64", 0x48))]);
        assert!(matches!(&told[..], [Event::Interface(facts)] if facts.ipv6_link_local.is_empty()));
    }

    /// The kernel has it once for each: what is left of them is not gone.
    #[test]
    fn an_address_is_gone_when_it_is_there_with_no_peer_any_more() {
        let alone = address("192.0.2.9/32", 0);
        let far = |last: u8| Some(Ipv4Addr::new(192, 0, 2, last));
        let mut table = table(std::slice::from_ref(&alone));
        let paired =
            [1, 2].map(|last| MonitorEvent::AddressAdded(Address { peer: far(last), ..alone.clone() }));
        handle(&mut table, paired.to_vec());
        assert_eq!(table.addresses(1).len(), 3);
        let mut remove = |peer| {
            let gone = MonitorEvent::AddressRemoved { interface: 1, cidr: cidr("192.0.2.9/32"), peer };
            handle(&mut table, vec![gone])
                .contains(&Event::AddressRemoved { index: 1, cidr: cidr("192.0.2.9/32") })
        };
        assert_eq!([far(2), None, far(3), far(1)].map(&mut remove), [false, false, false, true]);
    }

    #[test]
    fn a_link_that_goes_takes_its_addresses() {
        let mut table = table(&[address("192.0.2.1/24", 0)]);
        let told = handle(&mut table, vec![MonitorEvent::LinkGone { index: 1 }]);
        let removed = Event::AddressRemoved { index: 1, cidr: cidr("192.0.2.1/24") };
        assert_eq!(told, [Event::InterfaceGone { index: 1 }, removed]);
        assert_eq!(table.facts(1), None);
        assert_eq!(handle(&mut table, vec![MonitorEvent::AddressAdded(address("192.0.2.1/24", 0))]), []);
    }

    #[test]
    fn after_an_overrun_a_dump_tells_what_was_missed() {
        let mut table = table(&[address("192.0.2.1/24", 0), address("192.0.2.9/32", 0)]);
        let mut out = Vec::new();
        assert_eq!(table.handle([MonitorEvent::Overrun], &mut out), Next::Dump);
        assert_eq!(out, []);
        table.resync(vec![link(1, true)], vec![address("192.0.2.1/24", 0)], &mut out);
        assert!(matches!(&out[0], Event::Interface(facts) if facts.ipv4.len() == 1));
        assert_eq!(out[1..], [Event::AddressRemoved { index: 1, cidr: cidr("192.0.2.9/32") }]);
        out.clear();
        table.resync(vec![link(1, true)], vec![address("192.0.2.1/24", 0)], &mut out);
        assert_eq!(out, [], "the same dump again is no news");
        table.resync(vec![], vec![], &mut out);
        assert_eq!(out[0], Event::InterfaceGone { index: 1 });
    }

    fn any_event() -> impl Strategy<Value = MonitorEvent> {
        let cidr = |n: u8| IpCidr::host(IpAddr::from([10, 0, 0, n]));
        prop_oneof![
            (1u32..3, any::<bool>()).prop_map(move |(index, up)| MonitorEvent::LinkChanged(link(index, up))),
            (1u32..3).prop_map(|index| MonitorEvent::LinkGone { index }),
            (1u32..3, 0u8..4, 0u32..2).prop_map(move |(interface, n, flags)| {
                let known = Address {
                    interface,
                    cidr: cidr(n),
                    peer: None,
                    flags,
                    scope: 0,
                    protocol: None,
                    label: None,
                    valid: None,
                };
                MonitorEvent::AddressAdded(known)
            }),
            (1u32..3, 0u8..4).prop_map(move |(interface, n)| MonitorEvent::AddressRemoved {
                interface,
                cidr: cidr(n),
                peer: None
            }),
        ]
    }

    proptest! {
        /// Whoever keeps only the last facts told knows what the table knows, however events are grouped.
        #[test]
        fn what_is_told_adds_up_to_what_is_known(batches in proptest::collection::vec(
            proptest::collection::vec(any_event(), 0..6), 0..12))
        {
            let mut table = InterfaceTable::new();
            let mut known = BTreeMap::new();
            for batch in batches {
                for event in handle(&mut table, batch) {
                    match event {
                        Event::Interface(facts) => { known.insert(facts.index, facts); }
                        Event::InterfaceGone { index } => { known.remove(&index); }
                        Event::AddressRemoved { index, cidr } => {
                            let still = known.get(&index).is_some_and(|facts| {
                                facts.ipv4.iter().any(|v4| IpAddr::V4(*v4) == cidr.address())
                            });
                            prop_assert!(!still, "told as removed but still among the facts");
                        }
                        other => prop_assert!(false, "unexpected {:?}", other),
                    }
                }
                prop_assert_eq!(known.values().cloned().collect::<Vec<_>>(), table.all().collect::<Vec<_>>());
            }
        }
    }
}
