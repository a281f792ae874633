//! Unicast routers without `interface`: each is on the interface that has its source address, whenever that comes.

use crate::netlink::facts::InterfaceTable;
use crate::plan::vrrp::{RouterKey, VrrpPlan};
use std::collections::BTreeMap;

/// The plan as it was written, while it has routers without a place, and where they were put.
#[derive(Debug, Default)]
pub struct Placing {
    plan: Option<VrrpPlan>,
    /// What stands for an interface in the plan, and the interface.
    places: BTreeMap<String, String>,
}

impl Placing {
    /// A new plan, with every router in its place that has one now.
    pub fn place(&mut self, plan: VrrpPlan, interfaces: &InterfaceTable) -> VrrpPlan {
        let wanting: Vec<&RouterKey> =
            plan.routers.iter().map(|r| &r.key).filter(|k| k.place().is_some()).collect();
        if wanting.is_empty() {
            *self = Placing::default();
            return plan;
        }
        let wanted: Vec<String> = wanting.into_iter().map(|key| key.interface.clone()).collect();
        self.places.retain(|place, _| wanted.contains(place));
        self.find(&wanted, interfaces);
        let placed = self.put(plan.clone());
        self.plan = Some(plan);
        placed
    }

    /// Interfaces changed: the plan anew when a router's place did.
    pub fn again(&mut self, interfaces: &InterfaceTable) -> Option<VrrpPlan> {
        let plan = self.plan.as_ref()?;
        let wanted: Vec<String> = plan.routers.iter().map(|router| router.key.interface.clone()).collect();
        let before = self.places.clone();
        self.find(&wanted, interfaces);
        if before == self.places {
            return None;
        }
        for (place, interface) in &self.places {
            if before.get(place) != Some(interface) {
                tracing::info!(
                    "{} is on {interface}: the routers that speak from there are, too",
                    &place[1..]
                );
            }
        }
        self.plan.clone().map(|plan| self.put(plan))
    }

    /// An address that no interface has leaves its routers where they are.
    fn find(&mut self, wanted: &[String], interfaces: &InterfaceTable) {
        for place in wanted {
            let Some((address, vrf)) = RouterKey::place_of(place) else { continue };
            let fits = |name: &str| vrf.is_none_or(|vrf| name == vrf || interfaces.master(name) == Some(vrf));
            let holders: Vec<String> =
                interfaces.holders(address).filter(|name| fits(name)).map(str::to_owned).collect();
            let stays = self.places.get(place).is_some_and(|known| holders.contains(known));
            if let Some(first) = holders.into_iter().next().filter(|_| !stays) {
                self.places.insert(place.clone(), first);
            }
        }
    }

    fn put(&self, mut plan: VrrpPlan) -> VrrpPlan {
        let members = plan.groups.iter_mut().flat_map(|group| &mut group.members);
        for key in plan.routers.iter_mut().map(|router| &mut router.key).chain(members) {
            if let Some(interface) = self.places.get(&key.interface) {
                key.interface.clone_from(interface);
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{AddressFamily, IpCidr, MacAddr, VirtualRouterId};
    use crate::netlink::{Address, Link};
    use crate::plan::vrrp::RouterPlan;

    fn link(index: u32, name: &str, master: Option<u32>) -> Link {
        let mut link = Link {
            index,
            name: name.to_owned(),
            up: true,
            running: true,
            mac: MacAddr::default(),
            mtu: 1500,
            ipv6_forwarding: false,
            kind: None,
            ties: Default::default(),
        };
        link.ties.master = master;
        link
    }

    fn table(holders: &[u32]) -> InterfaceTable {
        let links = vec![
            link(2, "eth0", None),
            link(3, "eth1", Some(5)),
            link(4, "eth2", None),
            link(5, "blue", None),
        ];
        let address = |interface: &u32| Address {
            interface: *interface,
            cidr: IpCidr::host([192, 0, 2, 9].into()),
            peer: None,
            scope: 0,
            flags: 0x80,
            protocol: None,
            label: None,
            valid: None,
        };
        let mut table = InterfaceTable::new();
        table.resync(links, holders.iter().map(address).collect(), &mut Vec::new());
        table
    }

    fn plan(vrf: Option<&str>) -> VrrpPlan {
        let vrid = VirtualRouterId::new(51).expect("51 is not 0");
        let place = RouterKey::place_for([192, 0, 2, 9].into(), vrf);
        let router = RouterPlan::new("a".to_owned(), RouterKey::new(place, AddressFamily::V4, vrid));
        VrrpPlan { routers: vec![router], ..VrrpPlan::default() }
    }

    fn interface(plan: &VrrpPlan) -> &str {
        &plan.routers[0].key.interface
    }

    #[test]
    fn a_router_goes_where_its_source_address_is_and_stays_when_it_is_nowhere() {
        let mut placing = Placing::default();
        let placed = placing.place(plan(None), &table(&[]));
        assert_eq!(interface(&placed), "/192.0.2.9");
        assert_eq!(placing.again(&table(&[])), None);
        let placed = placing.again(&table(&[2])).expect("the address came");
        assert_eq!(interface(&placed), "eth0");
        assert_eq!(placing.again(&table(&[2, 4])), None);
        assert_eq!(placing.again(&table(&[])), None);
        assert_eq!(interface(&placing.again(&table(&[4])).expect("it moved")), "eth2");
        assert_eq!(interface(&placing.place(plan(None), &table(&[]))), "eth2");
    }

    #[test]
    fn a_vrf_has_its_own_interfaces() {
        let mut placing = Placing::default();
        assert_eq!(interface(&placing.place(plan(Some("blue")), &table(&[2]))), "/192.0.2.9@blue");
        assert_eq!(interface(&placing.place(plan(Some("blue")), &table(&[2, 3]))), "eth1");
    }
}
