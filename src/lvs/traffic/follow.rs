//! What was said by hand of a group follows it when a reload gives it another name or other services. Pure.

use super::{Hand, Override, Overrides, Traffic};
use crate::plan::lvs::{Identities, LvsPlan, ServiceKey, VirtualServer};

impl Traffic {
    /// What holds when `new` takes the place of `old`; `None` if nothing that was said of a group has to be said of another
    /// virtual server now. That is the same group's, of another kind, or the one that is new and has one of its services.
    pub fn follow(&self, old: &LvsPlan, new: &LvsPlan) -> Option<Overrides> {
        let mut overrides = self.overrides.clone();
        let mut followed = false;
        for over in overrides.0.iter_mut().filter(|over| over.group.is_some()) {
            if let Some(heir) = heir(over, old, new) {
                over.group = heir.group.clone();
                over.hand.rename(heir.service());
                followed = true;
            }
        }
        followed.then_some(overrides)
    }
}

fn heir<'a>(over: &Override, old: &LvsPlan, new: &'a LvsPlan) -> Option<&'a VirtualServer> {
    if new.virtual_servers.iter().any(|server| over.is_about(server)) {
        return None;
    }
    let before = old.virtual_servers.iter().find(|server| over.is_about(server))?;
    let identities = Identities::between(old, new);
    let same = |server: &&VirtualServer| identities.of(server) == identities.of(before);
    new.virtual_servers.iter().find(same).or_else(|| by_service(before, old, new))
}

fn by_service<'a>(before: &VirtualServer, old: &LvsPlan, new: &'a LvsPlan) -> Option<&'a VirtualServer> {
    let has_a_service = |server: &&VirtualServer| {
        server.known_as().any(|key| before.known_as().any(|was: &ServiceKey| was == key))
    };
    let heir = new.virtual_servers.iter().find(has_a_service)?;
    let named_alike = |server: &VirtualServer| {
        server.group.is_some() && server.group == heir.group && server.kind() == heir.kind()
    };
    (!old.virtual_servers.iter().any(named_alike)).then_some(heir)
}

impl Hand {
    /// It is about the virtual server of this service now, if it is about one.
    fn rename(&mut self, key: ServiceKey) {
        match self {
            Hand::Drain { service: Some(service), .. }
            | Hand::Weight { service, .. }
            | Hand::Set { service, .. } => *service = key,
            Hand::Drain { service: None, .. } => {}
        }
    }
}
