//! Which VRIDs are in use on each interface, so that a free one can be named.

use super::kept::KeptKey;
use crate::net::{AddressFamily, VirtualRouterId};
use std::collections::BTreeMap;

/// Our VRIDs by the interface's name, and those of others by its index. Bounded: 255 VRIDs, two families.
#[derive(Debug, Default)]
pub(super) struct Heard {
    own: BTreeMap<String, [Vrids; 2]>,
    others: BTreeMap<(u32, AddressFamily), Vrids>,
}

/// A set of VRIDs, a bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Vrids([u64; 4]);

impl Vrids {
    fn bit(vrid: VirtualRouterId) -> (usize, u64) {
        (usize::from(vrid.get()) / 64, 1 << (vrid.get() % 64))
    }

    /// False if it was there.
    fn insert(&mut self, vrid: VirtualRouterId) -> bool {
        let new = !self.contains(vrid);
        let (word, bit) = Vrids::bit(vrid);
        self.0[word] |= bit; // 255 / 64 is 3
        new
    }

    fn contains(&self, vrid: VirtualRouterId) -> bool {
        let (word, bit) = Vrids::bit(vrid);
        self.0[word] & bit != 0
    }
}

impl Heard {
    /// The routers of the plan.
    pub fn own<'a>(&mut self, keys: impl Iterator<Item = &'a KeptKey>) {
        self.own.clear();
        for key in keys {
            let own = self.own.entry(key.interface.to_string()).or_default();
            own[key.family as usize].insert(key.vrid); // one of two
        }
    }

    /// A VRID that is not ours was heard; true the first time.
    pub fn note(&mut self, at: (u32, AddressFamily), vrid: VirtualRouterId) -> bool {
        self.others.entry(at).or_default().insert(vrid)
    }

    /// Has a router of ours that VRID on `interface`, or on a virtual one that lives on it?
    pub fn is_own(&self, interface: &str, family: AddressFamily, vrid: VirtualRouterId) -> bool {
        self.own.get(interface).is_some_and(|own| own[family as usize].contains(vrid)) // one of two
    }

    /// The lowest VRID that nobody was heard to use.
    pub fn free(&self, key: &KeptKey, link: Option<u32>) -> Option<VirtualRouterId> {
        let own = self.own.get(&*key.interface).map(|own| &own[key.family as usize]); // one of two
        let others = link.and_then(|link| self.others.get(&(link, key.family)));
        (1..=255)
            .filter_map(VirtualRouterId::new)
            .find(|vrid| ![own, others].into_iter().flatten().any(|used| used.contains(*vrid)))
    }
}
