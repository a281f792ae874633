//! A set of addresses on interfaces that takes little more room than they do.

use crate::net::IpCidr;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Thousands of addresses: a set of interface and [`IpCidr`] would take ten times as much.
#[derive(Debug, Default)]
pub struct Cidrs(BTreeMap<u32, OnInterface>);

/// Sorted, each with its prefix length at the end.
#[derive(Debug, Default)]
struct OnInterface {
    v4: Vec<[u8; 5]>,
    v6: Vec<[u8; 17]>,
}

impl Cidrs {
    /// Add one.
    pub fn insert(&mut self, interface: u32, cidr: IpCidr) {
        let there = self.0.entry(interface).or_default();
        match octets(cidr) {
            Octets::V4(octets) => insert(&mut there.v4, octets),
            Octets::V6(octets) => insert(&mut there.v6, octets),
        }
    }

    /// Is it there?
    pub fn has(&self, interface: u32, cidr: IpCidr) -> bool {
        self.0.get(&interface).is_some_and(|there| match octets(cidr) {
            Octets::V4(octets) => there.v4.binary_search(&octets).is_ok(),
            Octets::V6(octets) => there.v6.binary_search(&octets).is_ok(),
        })
    }

    /// Take one out; false if it was not there.
    pub fn remove(&mut self, interface: u32, cidr: IpCidr) -> bool {
        let Some(there) = self.0.get_mut(&interface) else { return false };
        let was_there = match octets(cidr) {
            Octets::V4(octets) => remove(&mut there.v4, octets),
            Octets::V6(octets) => remove(&mut there.v6, octets),
        };
        if there.v4.is_empty() && there.v6.is_empty() {
            self.0.remove(&interface);
        }
        was_there
    }
}

enum Octets {
    V4([u8; 5]),
    V6([u8; 17]),
}

fn octets(cidr: IpCidr) -> Octets {
    match cidr.address() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Octets::V4([a, b, c, d, cidr.prefix()])
        }
        IpAddr::V6(v6) => {
            let mut octets = [cidr.prefix(); 17];
            octets[..16].copy_from_slice(&v6.octets());
            Octets::V6(octets)
        }
    }
}

fn insert<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}

fn remove<T: Ord>(list: &mut Vec<T>, item: T) -> bool {
    let found = list.binary_search(&item);
    found.is_ok_and(|at| {
        list.remove(at);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_there_once_on_each_interface_until_it_is_removed() {
        let cidr = |text: &str, prefix| IpCidr::new(text.parse().expect("an address"), prefix).expect("fits");
        let all =
            [cidr("10.0.0.1", 32), cidr("10.0.0.1", 24), cidr("2001:db8::1", 64), cidr("2001:db8::1", 128)];
        let mut cidrs = Cidrs::default();
        for _ in 0..2 {
            all.iter().for_each(|cidr| cidrs.insert(2, *cidr));
        }
        cidrs.insert(3, all[0]);
        for cidr in all {
            assert!(cidrs.remove(2, cidr), "{cidr}");
            assert!(!cidrs.remove(2, cidr), "{cidr}");
        }
        assert!(cidrs.remove(3, all[0]) && cidrs.0.is_empty());
    }
}
