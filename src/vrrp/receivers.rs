//! Who a packet is for.

use super::event::RouterId;
use crate::net::{AddressFamily, VirtualRouterId};

/// Interface, family and VRID: nearly always one router. Several are told apart by the sender or the group.
type Key = (u32, AddressFamily, VirtualRouterId);

/// The routers that listen, sorted by what they listen to.
#[derive(Debug, Default)]
pub(super) struct Receivers(Vec<(Key, RouterId)>);

impl Receivers {
    /// `router` listens there.
    pub fn insert(&mut self, key: Key, router: RouterId) {
        if let Err(at) = self.0.binary_search(&(key, router)) {
            self.0.insert(at, (key, router));
        }
    }

    /// A router that listens on that interface, whatever it listens to.
    pub fn any_on(&self, interface: u32) -> Option<RouterId> {
        let from = self.0.partition_point(|((link, ..), _)| *link < interface);
        self.0.get(from).filter(|((link, ..), _)| *link == interface).map(|(_, id)| *id)
    }

    /// It no longer does.
    pub fn remove(&mut self, key: Key, router: RouterId) {
        if let Ok(at) = self.0.binary_search(&(key, router)) {
            self.0.remove(at);
        }
    }

    /// Gives back the room of those that no longer do.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// The one that `is_meant`; else the first, which will say why the packet is not for it. `None` if nobody listens.
    pub fn find(&self, key: Key, is_meant: impl Fn(RouterId) -> bool) -> Option<RouterId> {
        let from = self.0.partition_point(|(known, _)| *known < key);
        let here = self.0.get(from..).unwrap_or_default().iter();
        let mut here = here.take_while(|(known, _)| *known == key).map(|(_, id)| *id);
        let first = here.next()?;
        match here.next() {
            None => Some(first),
            Some(second) => [first, second].into_iter().chain(here).find(|id| is_meant(*id)).or(Some(first)),
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
        assert_eq!([1, 2, 3].map(|link| receivers.any_on(link)), [None, Some(RouterId(1)), None]);
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
