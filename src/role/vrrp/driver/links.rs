//! Interfaces whose drivers are asked for their link, and those that are members of a group for the sake of others.

use super::{Driver, LINKBEAT, RETRY, interface_name};
use crate::plan::vrrp::VrrpPlan;
use crate::role::vrrp::linkbeat::Linkbeat;
use crate::sys::clock::monotonic_now;
use crate::sys::membership::Membership;
use crate::sys::poll::Interest;
use std::collections::btree_map::Entry;
use std::io;
use std::net::IpAddr;

impl Driver {
    /// `linkbeat_interfaces` of the plan; a thread is started for the first ones.
    pub(super) fn poll_links(&mut self, plan: &VrrpPlan) {
        if self.linkbeat.is_none() && !plan.polled_links.is_empty() {
            let started = Linkbeat::start().and_then(|linkbeat| {
                self.poller.add(&linkbeat, LINKBEAT, Interest::Read)?;
                Ok(linkbeat)
            });
            match started {
                Ok(linkbeat) => self.linkbeat = Some(linkbeat),
                Err(error) => {
                    let sentence = format!("linkbeat: {error}; interfaces count as up as netlink says");
                    self.complain("linkbeat".to_owned(), &sentence);
                }
            }
        }
        if let Some(linkbeat) = &mut self.linkbeat {
            linkbeat.follow(&plan.polled_links);
        }
    }

    pub(super) fn hear_linkbeat(&mut self) -> io::Result<()> {
        let beats = self.linkbeat.as_ref().map(Linkbeat::collect).transpose()?.unwrap_or_default();
        for (name, up) in beats {
            self.interfaces.beat(&name, up, &mut self.events);
        }
        Ok(())
    }

    pub(super) fn join_for_virtual_links(&mut self) {
        let interfaces = &self.interfaces;
        let index = |name: &String| interfaces.link(name).map(|link| link.index);
        let wanted: Vec<(u32, IpAddr)> =
            self.spoken_for.iter().filter_map(|(name, group)| Some((index(name)?, *group))).collect();
        self.memberships.retain(|key, _| wanted.contains(key));
        let mut failures = Vec::new();
        for key in wanted {
            if let Entry::Vacant(place) = self.memberships.entry(key) {
                match Membership::join(key.0, key.1) {
                    Ok(membership) => drop(place.insert(membership)),
                    Err(error) => failures.push((key, error)),
                }
            }
        }
        for ((index, group), error) in failures {
            let name = interface_name(&self.interfaces, index);
            let sentence = format!(
                "cannot join {group} on {name}: {error}; a switch that filters multicast may keep advertisements away"
            );
            self.complain(sentence.clone(), &sentence);
            self.retry_at = Some(monotonic_now() + RETRY);
        }
    }
}
