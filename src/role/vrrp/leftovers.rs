//! Addresses that were on an interface before this process put any there: left by an earlier run, or set by
//! somebody else. The core removes them at start; a person wants to read which.

use super::cidrs::Cidrs;
use crate::net::IpCidr;
use crate::netlink::facts::InterfaceTable;
use crate::vrrp::{AddressOp, OpId};
use std::collections::BTreeMap;

/// Lines for one batch of the kernel's answers; a node may hold thousands of addresses.
const MAX_LINES: usize = 10;

/// Which removals concern addresses that this process never asked for. Bounded by the plans.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Asked for by this process: interface index and address.
    asked_for: Cidrs,
    /// Removals under way, and where.
    removing: BTreeMap<OpId, (IpCidr, String)>,
    /// Removals under way of what was asked for.
    given_up: BTreeMap<OpId, (u32, IpCidr)>,
    leaving: Cidrs,
    removed: Vec<(IpCidr, String)>,
}

impl Leftovers {
    /// The core wants `op`; `interfaces` shows what is there before it.
    //= keepalived M-115
    pub fn note(&mut self, id: OpId, op: &AddressOp, interfaces: &InterfaceTable) {
        match op {
            AddressOp::Add { interface, cidr, .. } => {
                self.asked_for.insert(*interface, *cidr);
            }
            AddressOp::Remove { interface, cidr, .. } => {
                if self.asked_for.remove(*interface, *cidr) {
                    self.given_up.insert(id, (*interface, *cidr));
                    self.leaving.insert(*interface, *cidr);
                    return;
                }
                let there = interfaces.addresses(*interface).iter().any(|address| address.cidr == *cidr);
                if there && !self.leaving.has(*interface, *cidr) {
                    let name = interfaces.facts(*interface).map(|facts| facts.name).unwrap_or_default();
                    self.removing.insert(id, (*cidr, name));
                }
            }
        }
    }

    /// The kernel answered. A refusal is the core's to report.
    pub fn answered(&mut self, id: OpId, success: bool) {
        if let Some((interface, cidr)) = self.given_up.remove(&id) {
            self.leaving.remove(interface, cidr);
        }
        if let Some(gone) = self.removing.remove(&id)
            && success
        {
            self.removed.push(gone);
        }
    }

    /// A line for each that is gone since the last call; the last one counts what is over the limit.
    pub fn sentences(&mut self) -> Vec<String> {
        let removed = std::mem::take(&mut self.removed);
        let rest = removed.len().saturating_sub(MAX_LINES);
        let line = |(cidr, name): &(IpCidr, String)| {
            format!("removed {cidr} from {name}: it was there before this process held it")
        };
        let mut lines: Vec<String> = removed.iter().take(MAX_LINES).map(line).collect();
        lines.extend((rest > 0).then(|| format!("removed {rest} more addresses that were there before")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Address, Link};
    use crate::plan::vrrp::VirtualAddress;

    fn cidr(last: u8) -> IpCidr {
        IpCidr::host(std::net::IpAddr::from([10, 0, 0, last]))
    }

    fn table(count: u8) -> InterfaceTable {
        let link = Link {
            index: 2,
            name: "eth0".to_owned(),
            up: true,
            running: true,
            mac: crate::net::MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            ipv6_forwarding: false,
            kind: None,
            ties: Default::default(),
        };
        let addresses = (1..=count).map(|last| Address {
            interface: 2,
            cidr: cidr(last),
            peer: None,
            flags: 0,
            scope: 0,
            protocol: None,
            label: None,
            valid: None,
        });
        let mut table = InterfaceTable::new();
        table.resync(vec![link], addresses.collect(), &mut Vec::new());
        table
    }

    fn remove(last: u8) -> AddressOp {
        AddressOp::remove(2, &VirtualAddress::new(cidr(last)))
    }

    #[test]
    fn only_what_was_there_and_is_not_ours_is_left_over() {
        let mut leftovers = Leftovers::default();
        let table = table(3);
        let add = AddressOp::add(2, &VirtualAddress::new(cidr(1)));
        leftovers.note(OpId(0), &add, &table);
        for last in 1..=4 {
            leftovers.note(OpId(last.into()), &remove(last), &table);
            leftovers.answered(OpId(last.into()), last != 3);
        }
        let lines = leftovers.sentences();
        assert_eq!(lines, ["removed 10.0.0.2/32 from eth0: it was there before this process held it"]);
        assert!(leftovers.sentences().is_empty());
    }

    /// A plan may list an address twice: it is given up twice.
    #[test]
    fn what_was_ours_and_is_removed_twice_is_not_left_over() {
        let mut leftovers = Leftovers::default();
        let table = table(1);
        leftovers.note(OpId(0), &AddressOp::add(2, &VirtualAddress::new(cidr(1))), &table);
        for op in [OpId(1), OpId(2)] {
            leftovers.note(op, &remove(1), &table);
        }
        for op in [OpId(1), OpId(2)] {
            leftovers.answered(op, true);
        }
        assert_eq!(leftovers.sentences(), <[&str; 0]>::default());
        // Somebody else puts it there later.
        leftovers.note(OpId(3), &remove(1), &table);
        leftovers.answered(OpId(3), true);
        assert_eq!(leftovers.sentences().len(), 1);
    }

    #[test]
    fn many_are_counted() {
        let mut leftovers = Leftovers::default();
        for last in 1..=30 {
            leftovers.note(OpId(last.into()), &remove(last), &table(30));
            leftovers.answered(OpId(last.into()), true);
        }
        let lines = leftovers.sentences();
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[MAX_LINES], "removed 20 more addresses that were there before");
    }
}
