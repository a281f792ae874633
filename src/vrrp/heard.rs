//! Which VRIDs are in use on each interface, so that a free one can be named.

use crate::net::{AddressFamily, VirtualRouterId};
use crate::plan::vrrp::RouterKey;
use std::collections::{BTreeMap, BTreeSet};

/// Our VRIDs by the interface's name, and those of others by its index. Bounded: 255 VRIDs, two families.
#[derive(Debug, Default)]
pub(super) struct Heard {
    own: BTreeMap<(String, AddressFamily), BTreeSet<VirtualRouterId>>,
    others: BTreeMap<(u32, AddressFamily), BTreeSet<VirtualRouterId>>,
}

impl Heard {
    /// The routers of the plan.
    pub fn own<'a>(&mut self, keys: impl Iterator<Item = &'a RouterKey>) {
        self.own.clear();
        for key in keys {
            self.own.entry((key.interface.clone(), key.family)).or_default().insert(key.vrid);
        }
    }

    /// A VRID that is not ours was heard; true the first time.
    pub fn note(&mut self, at: (u32, AddressFamily), vrid: VirtualRouterId) -> bool {
        self.others.entry(at).or_default().insert(vrid)
    }

    /// The lowest VRID that nobody was heard to use.
    pub fn free(&self, key: &RouterKey, link: Option<u32>) -> Option<VirtualRouterId> {
        let own = self.own.get(&(key.interface.clone(), key.family));
        let others = link.and_then(|link| self.others.get(&(link, key.family)));
        (1..=255)
            .filter_map(VirtualRouterId::new)
            .find(|vrid| ![own, others].into_iter().flatten().any(|used| used.contains(vrid)))
    }
}
