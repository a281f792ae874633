//! What was said by hand of a group follows it when a reload gives it another name or other services. Pure.

use super::{Hand, Override, Overrides, Traffic};
use crate::plan::lvs::{Identities, Identity, Kind, LvsPlan, ServiceKey, VirtualServer};
use std::collections::{BTreeMap, BTreeSet};

impl Traffic {
    /// What holds when `new` takes the place of `old`; `None` if nothing that was said of a group has to be said of another
    /// virtual server now. That is the one that was not there before and has one of its services; else the same group's, if it
    /// has a protocol now and was of marks alone, or the other way round. Of that one nothing was said before.
    pub fn follow(&self, old: &LvsPlan, new: &LvsPlan) -> Option<Overrides> {
        let said_of: BTreeSet<Named> = self.overrides.0.iter().filter_map(named).collect();
        if said_of.is_empty() {
            return None;
        }
        let change = Change::between(old, new);
        let follows = |name| Some((name, change.heir(name)?));
        let heirs: BTreeMap<Named, &VirtualServer> = said_of
            .iter()
            .filter_map(|name| follows(*name))
            .filter(|(_, heir)| name_of(heir).is_none_or(|name| !said_of.contains(&name)))
            .collect();
        let mut overrides = self.overrides.clone();
        for (over, before) in overrides.0.iter_mut().zip(&self.overrides.0) {
            if let Some(heir) = named(before).and_then(|name| heirs.get(&name)) {
                over.group = heir.group.clone();
                over.hand.rename(heir.service());
            }
        }
        (!heirs.is_empty()).then_some(overrides)
    }
}

/// A group, and which of its virtual servers.
type Named<'a> = (&'a str, Kind);

fn named(over: &Override) -> Option<Named<'_>> {
    Some((over.group.as_deref()?, over.hand.service()?.kind()))
}

fn name_of(server: &VirtualServer) -> Option<Named<'_>> {
    Some((server.group()?, server.kind()))
}

/// A plan that takes the place of another. Of two virtual servers of one name the first counts.
struct Change<'a> {
    identities: Identities<'a>,
    old: BTreeMap<Named<'a>, &'a VirtualServer>,
    new: BTreeSet<Named<'a>>,
    new_of_services: BTreeMap<ServiceKey, &'a VirtualServer>,
    new_of_identities: BTreeMap<Identity<'a>, &'a VirtualServer>,
}

impl<'a> Change<'a> {
    fn between(old: &'a LvsPlan, new: &'a LvsPlan) -> Change<'a> {
        let identities = Identities::between(old, new);
        let (old, new) = (&old.virtual_servers, &new.virtual_servers);
        let services = new.iter().flat_map(|server| server.known_as().map(move |key| (*key, server)));
        Change {
            old: old.iter().rev().filter_map(|server| Some((name_of(server)?, server))).collect(),
            new: new.iter().filter_map(name_of).collect(),
            new_of_services: services.collect(),
            new_of_identities: new.iter().rev().map(|server| (identities.of(server), server)).collect(),
            identities,
        }
    }

    fn heir(&self, name: Named<'_>) -> Option<&'a VirtualServer> {
        let before = *self.old.get(&name).filter(|_| !self.new.contains(&name))?;
        self.of_a_service(before).or_else(|| self.of_marks_or_a_protocol(before))
    }

    fn of_a_service(&self, before: &VirtualServer) -> Option<&'a VirtualServer> {
        let heir = *before.known_as().find_map(|key| self.new_of_services.get(key))?;
        name_of(heir).is_none_or(|name| !self.old.contains_key(&name)).then_some(heir)
    }

    fn of_marks_or_a_protocol(&self, before: &VirtualServer) -> Option<&'a VirtualServer> {
        let heir = *self.new_of_identities.get(&self.identities.of(before))?;
        (heir.protocol().is_none() || before.protocol().is_none()).then_some(heir)
    }
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
