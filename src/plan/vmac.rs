//! Virtual MAC interfaces and the filter for virtual addresses: what the vrrp role makes around the election.

use crate::net::{AddressFamily, IpCidr, MacAddr};
use crate::plan::vrrp::{RouterPlan, VirtualAddress, VrrpPlan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An interface that this node makes on another one (`use_vmac`, `use_ipvlan`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualLinkPlan {
    /// Its name, unique in the plan.
    pub name: String,
    /// The interface that it is made on.
    pub base: String,
    /// The family of what it carries; an IPv4 one has IPv6 switched off unless it holds IPv6 addresses too.
    pub family: AddressFamily,
    /// Macvlan or ipvlan.
    pub kind: VirtualLinkKind,
    /// Link group; the base's own when `None`.
    pub group: Option<u32>,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VirtualLinkKind {
    /// A macvlan in private mode with this MAC address.
    Macvlan {
        /// Usually the virtual router's (RFC 9568 7.3).
        mac: MacAddr,
    },
    /// An L2 ipvlan: the base's MAC address.
    Ipvlan {
        /// Who may talk to whom below one base.
        mode: IpvlanMode,
        /// The address that advertisements come from; IPv4 cannot do without.
        address: Option<IpCidr>,
    },
}

/// Flags of an ipvlan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    /// Neighbours on one base reach each other.
    Bridge,
    /// They do not.
    Private,
    /// Through the switch only.
    Vepa,
}

/// Global settings of the filter (`nftables*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterSettings {
    /// Name of the tables.
    pub table: String,
    /// Priority of the chains.
    pub priority: i32,
    /// Count what the rules match?
    pub counters: bool,
}

impl Default for FilterSettings {
    fn default() -> Self {
        FilterSettings { table: "holdfast".to_owned(), priority: -1, counters: false }
    }
}

/// What the kernel's packet filter is to drop. It does not change with the state of a router: a Backup does not
/// hold the addresses, so the same rules match nothing there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Packets to and from these (RFC 9568 6.1, Accept_Mode False).
    pub v4: BTreeSet<Ipv4Addr>,
    /// As above; neighbour discovery passes.
    pub v6: BTreeSet<Ipv6Addr>,
    /// Link-local addresses, each on its interface.
    pub v6_link_local: BTreeSet<(Ipv6Addr, String)>,
    /// Virtual MAC interfaces: what the kernel says there of its own accord (IGMP, MLD, router solicitations) would
    /// teach switches the virtual MAC at a Backup's port.
    pub silent_links: BTreeSet<String>,
}

impl Filter {
    /// What the plan asks for.
    pub fn of(plan: &VrrpPlan) -> Filter {
        let mut filter = Filter::default();
        for router in &plan.routers {
            if !router.accept {
                filter.refuse(router);
            }
            let links = router.virtual_links.iter();
            let macvlans = links.filter(|link| matches!(link.kind, VirtualLinkKind::Macvlan { .. }));
            filter.silent_links.extend(macvlans.map(|link| link.name.clone()));
        }
        filter
    }

    /// Nothing to drop?
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    fn refuse(&mut self, router: &RouterPlan) {
        for VirtualAddress { cidr, interface, .. } in
            router.addresses.iter().chain(&router.excluded_addresses)
        {
            match cidr.address() {
                IpAddr::V4(address) => {
                    self.v4.insert(address);
                }
                IpAddr::V6(address) if address.is_unicast_link_local() => {
                    let name = interface.as_ref().unwrap_or(&router.key.interface);
                    self.v6_link_local.insert((address, name.clone()));
                }
                IpAddr::V6(address) => {
                    self.v6.insert(address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::VirtualRouterId;
    use crate::plan::vrrp::RouterKey;

    fn router(accept: bool) -> RouterPlan {
        let vrid = VirtualRouterId::new(1).expect("1 is not 0");
        let key = RouterKey::new("eth0".to_owned(), AddressFamily::V6, vrid);
        let address = |text: &str, interface: Option<&str>| VirtualAddress {
            interface: interface.map(str::to_owned),
            ..VirtualAddress::new(IpCidr::host(text.parse().expect("an address")))
        };
        RouterPlan {
            accept,
            addresses: vec![address("fe80::1", None), address("2001:db8::1", None)],
            excluded_addresses: vec![address("192.0.2.1", None), address("fe80::2", Some("eth1"))],
            ..RouterPlan::new("r".to_owned(), key)
        }
    }

    #[test]
    fn only_routers_that_do_not_accept_are_filtered() {
        let plan = |accept| VrrpPlan { routers: vec![router(accept)], ..VrrpPlan::default() };
        assert!(Filter::of(&plan(true)).is_empty());
        let filter = Filter::of(&plan(false));
        assert_eq!(filter.v4, BTreeSet::from([Ipv4Addr::new(192, 0, 2, 1)]));
        assert_eq!(filter.v6.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2001:db8::1"]);
        let link_local: Vec<String> =
            filter.v6_link_local.iter().map(|(address, link)| format!("{address}%{link}")).collect();
        assert_eq!(link_local, ["fe80::1%eth0", "fe80::2%eth1"]);
    }
}
