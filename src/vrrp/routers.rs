//! The routers of a core, by identifier.

use super::event::RouterId;
use super::router::Router;

/// Two lists in step: the nodes of a map are half empty when identifiers only grow, and a lookup goes through numbers that
/// lie close together.
#[derive(Debug, Default)]
pub(super) struct Routers {
    ids: Vec<RouterId>,
    #[allow(
        clippy::vec_box,
        reason = "a list that grows moves what is in it, and has room for twice as many"
    )]
    routers: Vec<Box<Router>>,
}

impl Routers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// One of them.
    pub fn get(&self, id: &RouterId) -> Option<&Router> {
        let at = self.ids.binary_search(id).ok()?;
        self.routers.get(at).map(|router| &**router)
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, id: &RouterId) -> Option<&mut Router> {
        let at = self.ids.binary_search(id).ok()?;
        self.routers.get_mut(at).map(|router| &mut **router)
    }

    /// All of them, the oldest first.
    pub fn values(&self) -> impl Iterator<Item = &Router> {
        self.routers.iter().map(|router| &**router)
    }

    /// Their identifiers.
    pub fn keys(&self) -> impl Iterator<Item = &RouterId> {
        self.ids.iter()
    }

    /// A new one; it takes the place of one with its identifier.
    pub fn insert(&mut self, router: Router) {
        match self.ids.binary_search(&router.id) {
            Ok(at) => *self.routers[at] = router, // the lists are in step
            Err(at) => {
                self.ids.insert(at, router.id);
                self.routers.insert(at, Box::new(router));
            }
        }
    }

    /// One is gone.
    pub fn remove(&mut self, id: &RouterId) {
        if let Ok(at) = self.ids.binary_search(id) {
            self.ids.remove(at);
            self.routers.remove(at);
        }
    }

    /// Gives back the room of those that are gone or never came.
    pub fn shrink(&mut self) {
        self.ids.shrink_to_fit();
        self.routers.shrink_to_fit();
    }
}
