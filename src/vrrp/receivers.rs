//! Who a packet is for.

use super::event::RouterId;
use crate::net::{AddressFamily, VirtualRouterId};
use std::collections::BTreeMap;

/// Interface, family and VRID: nearly always one router. Several are told apart by the sender or the group.
type Key = (u32, AddressFamily, VirtualRouterId);

/// The routers that listen.
#[derive(Debug, Default)]
pub(super) struct Receivers(BTreeMap<Key, Vec<RouterId>>);

impl Receivers {
    /// `router` listens there.
    pub fn insert(&mut self, key: Key, router: RouterId) {
        let here = self.0.entry(key).or_default();
        if !here.contains(&router) {
            here.push(router);
        }
    }

    /// It no longer does.
    pub fn remove(&mut self, key: Key, router: RouterId) {
        if let Some(here) = self.0.get_mut(&key) {
            here.retain(|id| *id != router);
            if here.is_empty() {
                self.0.remove(&key);
            }
        }
    }

    /// The one that `is_meant`; else the first, which will say why the packet is not for it. `None` if nobody listens.
    pub fn find(&self, key: Key, is_meant: impl Fn(RouterId) -> bool) -> Option<RouterId> {
        match self.0.get(&key)?.as_slice() {
            [only] => Some(*only),
            several => several.iter().copied().find(|id| is_meant(*id)).or(several.first().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_router_gets_everything_and_of_several_the_one_that_is_meant() {
        let vrid = VirtualRouterId::new(51).expect("not 0");
        let key = (2, AddressFamily::V4, vrid);
        let mut receivers = Receivers::default();
        assert_eq!(receivers.find(key, |_| true), None);
        receivers.insert(key, RouterId(1));
        receivers.insert(key, RouterId(1));
        assert_eq!(receivers.find(key, |_| false), Some(RouterId(1)));
        receivers.insert(key, RouterId(2));
        assert_eq!(receivers.find(key, |id| id == RouterId(2)), Some(RouterId(2)));
        assert_eq!(receivers.find(key, |_| false), Some(RouterId(1)));
        receivers.remove(key, RouterId(1));
        assert_eq!(receivers.find(key, |_| false), Some(RouterId(2)));
        receivers.remove(key, RouterId(2));
        assert_eq!(receivers.find((3, AddressFamily::V4, vrid), |_| true), None);
        assert_eq!(receivers.find(key, |_| true), None);
    }
}
