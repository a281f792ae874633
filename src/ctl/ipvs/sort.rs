//! ipvsadm's order. Pure.
//!
//! That program compares marks and addresses by the sign of a 32-bit difference, which is no order when they are more
//! than half the range apart (10/8 and 192.168/16): what comes out then depends on how glibc's qsort merges. So the
//! same comparisons are made here in the same sequence.

use crate::netlink::ipvs_raw::{RawDestination, RawService};
use std::cmp::Ordering;
use std::net::IpAddr;

/// Marks, then families, protocols, addresses, ports.
pub fn services(services: Vec<RawService>) -> Vec<RawService> {
    sorted(services, &|a, b| {
        difference(a.mark, b.mark)
            .then(a.family.cmp(&b.family))
            .then(a.protocol.cmp(&b.protocol))
            .then_with(|| addresses(a.address, b.address))
            .then(a.port.cmp(&b.port))
    })
}

/// Addresses, ports. Where both families are mixed, that program looks at the first 32 bits of either, unless the left
/// one is IPv6: then at all 128, of which IPv4 fills the first.
pub fn destinations(destinations: Vec<RawDestination>) -> Vec<RawDestination> {
    sorted(destinations, &|a, b| addresses(a.address, b.address).then(a.port.cmp(&b.port)))
}

fn addresses(a: IpAddr, b: IpAddr) -> Ordering {
    let compared = if a.is_ipv6() { 4 } else { 1 };
    let words = words(a).into_iter().zip(words(b)).take(compared);
    words.map(|(a, b)| difference(a, b)).fold(Ordering::Equal, Ordering::then)
}

/// The 128 bits of union nf_inet_addr.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [address.to_bits(), 0, 0, 0],
        // The cut to 32 bits is meant.
        IpAddr::V6(address) => [96, 64, 32, 0].map(|shift| (address.to_bits() >> shift) as u32),
    }
}

/// The sign of the difference in 32 bits.
fn difference(a: u32, b: u32) -> Ordering {
    (a.wrapping_sub(b) as i32).cmp(&0)
}

/// By an order of indices: a hundred thousand destinations of one service are in memory once.
fn sorted<T>(mut items: Vec<T>, compare: &dyn Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut order = merge_sort((0..items.len()).collect(), &|a: &usize, b| compare(&items[*a], &items[*b]));
    for start in 0..items.len() {
        let mut at = start;
        // The items of a cycle move up one by one; what stood at its start goes along to its end.
        while order[at] != start {
            let from = std::mem::replace(&mut order[at], at);
            items.swap(at, from);
            at = from;
        }
        order[at] = at;
    }
    items
}

/// glibc's merge sort: the first half is the smaller one, and the left wins ties.
fn merge_sort<T>(mut items: Vec<T>, compare: &dyn Fn(&T, &T) -> Ordering) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let right = merge_sort(items.split_off(items.len() / 2), compare);
    let left = merge_sort(items, compare);
    let mut sorted = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    loop {
        let from_left = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => compare(a, b) != Ordering::Greater,
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if from_left { left.next() } else { right.next() } {
            Some(item) => sorted.push(item),
            None => return sorted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn near_addresses_are_in_order_and_far_ones_as_they_wrap() {
        assert_eq!(difference(10 << 24, 192 << 24), Ordering::Greater);
        assert_eq!(difference(1, 2), Ordering::Less);
        let sorted = sorted(vec![5, 3, 9, 1, 3, 0, 7], &|a: &i32, b| a.cmp(b));
        assert_eq!(sorted, [0, 1, 3, 3, 5, 7, 9]);
        let (a, b): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        assert_eq!(addresses(a, b), Ordering::Less);
        assert_eq!(addresses(b, b), Ordering::Equal);
    }

    proptest! {
        /// Numbers that wrap, and many that are equal: where they stood before is the second of each.
        #[test]
        fn a_sort_by_indices_is_the_sort(keys in prop::collection::vec(prop_oneof![any::<u32>(), 0_u32..4], 0..60)) {
            let items: Vec<(u32, usize)> = keys.into_iter().zip(0..).collect();
            let compare = |a: &(u32, usize), b: &(u32, usize)| difference(a.0, b.0);
            prop_assert_eq!(sorted(items.clone(), &compare), merge_sort(items, &compare));
        }
    }
}
