//! A router's plan as the core keeps it. Thousands of routers mostly differ in name, VRID and addresses only: the rest is
//! kept once for all that have it in common.

use super::election::{Timing, Wait};
use crate::net::Priority;
use crate::plan::route::Item;
use crate::plan::vrrp::{
    AnnouncePolicy, Authentication, ChecksumDialect, ClaimPlan, RouterKey, RouterPlan, TrackedInterface,
    TrackedObject, Transport, Version, VirtualAddress, VirtualLinkPlan, WirePolicy,
};
use crate::time::Interval;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Policies that are compared with each router's: routers that share one mostly stand together in the file, or take
/// turns with a few others.
const REMEMBERED: usize = 16;

/// As [`RouterPlan`]; its other fields are reached through the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPlan {
    /// The instance's name.
    pub name: String,
    /// Identity.
    pub key: RouterKey,
    /// Addresses carried in the advertisement.
    pub addresses: Box<[VirtualAddress]>,
    /// Addresses that come and go with the others.
    pub excluded_addresses: Box<[VirtualAddress]>,
    policy: Arc<Policy>,
}

macro_rules! policy {
    ($($field:ident: $type:ty),* $(,)?) => {
        /// What routers may have in common: the fields of [`RouterPlan`], explained there.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "documented in RouterPlan")]
        pub struct Policy { $(pub $field: $type),* }

        /// The parts of a plan; a field that a plan has and the policy has not does not compile.
        fn split(plan: RouterPlan) -> (String, RouterKey, Vec<VirtualAddress>, Vec<VirtualAddress>, Policy) {
            let RouterPlan { name, key, addresses, excluded_addresses, $($field),* } = plan;
            (name, key, addresses, excluded_addresses, Policy { $($field),* })
        }

        impl KeptPlan {
            /// The whole plan.
            pub fn to_plan(&self) -> RouterPlan {
                let KeptPlan { name, key, addresses, excluded_addresses, policy } = self.clone();
                let Policy { $($field),* } = (*policy).clone();
                let (addresses, excluded_addresses) = (addresses.into_vec(), excluded_addresses.into_vec());
                RouterPlan { name, key, addresses, excluded_addresses, $($field),* }
            }
        }
    };
}

policy! {
    version: Version,
    priority: Priority,
    interval: Interval,
    preempt: bool,
    preempt_delay: Duration,
    down_timer_adverts: u8,
    authentication: Authentication,
    transport: Transport,
    checksum: ChecksumDialect,
    announce: AnnouncePolicy,
    answer_lower_priority: bool,
    answer_higher_priority: bool,
    track_primary: bool,
    track_interfaces: Vec<TrackedInterface>,
    trackers: Vec<TrackedObject>,
    virtual_links: Vec<VirtualLinkPlan>,
    advert_link: Option<String>,
    accept: bool,
    promote_secondaries: bool,
    wire: WirePolicy,
    routing: Vec<Item>,
    claim: Option<ClaimPlan>,
    listens_when_late: Option<Priority>,
    track_source: bool,
}

impl Deref for KeptPlan {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

impl KeptPlan {
    /// The interface that advertisements leave and enter by.
    pub fn advert_interface(&self) -> &str {
        self.advert_link.as_deref().unwrap_or(&self.key.interface)
    }

    /// Is it another interface than the one that the router's own addresses are on?
    pub(super) fn is_elsewhere(&self, interface: &str) -> bool {
        let own = |link: &VirtualLinkPlan| link.name == interface && link.base == self.key.interface;
        interface != self.key.interface && !self.virtual_links.iter().any(own)
    }

    /// The source address that the configuration gives, where it is to be watched.
    pub(super) fn tracked_source(&self) -> Option<IpAddr> {
        match self.transport {
            _ if !self.track_source => None,
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
        }
    }

    /// The same addresses, in the same order?
    pub(super) fn has_addresses_of(&self, other: &KeptPlan) -> bool {
        (&self.addresses, &self.excluded_addresses) == (&other.addresses, &other.excluded_addresses)
    }

    /// All its addresses: the advertised ones, then the excluded ones.
    pub fn all_addresses(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().chain(&self.excluded_addresses)
    }
}

impl Policy {
    /// How long the peers listen to silence before one takes over: Master_Down_Interval by our own numbers.
    pub fn patience(&self) -> Duration {
        self.patience_of(self.priority)
    }

    /// The same for a peer of another priority.
    pub(super) fn patience_of(&self, priority: Priority) -> Duration {
        let Policy { version, down_timer_adverts, interval, .. } = *self;
        Timing { version, priority, down_timer_adverts, master_interval: interval }.wait(Wait::Down)
    }
}

/// Makes kept plans of new ones. What is kept is copied, so that it lies close together and the plan that was read goes
/// away whole: its lists grew piece by piece between everything else that was read.
#[derive(Debug, Default)]
pub(super) struct Keeper(VecDeque<Arc<Policy>>);

impl Keeper {
    /// Keep `plan`.
    pub fn keep(&mut self, plan: RouterPlan) -> KeptPlan {
        let (name, key, addresses, excluded_addresses, policy) = split(plan);
        KeptPlan {
            name: name.as_str().to_owned(),
            key: key.clone(),
            addresses: addresses.as_slice().into(),
            excluded_addresses: excluded_addresses.as_slice().into(),
            policy: self.share(policy),
        }
    }

    fn share(&mut self, policy: Policy) -> Arc<Policy> {
        if let Some(known) = self.0.iter().find(|known| ***known == policy) {
            return known.clone();
        }
        let new = Arc::new(policy);
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::router_plan;
    use super::*;

    #[test]
    fn a_plan_comes_back_whole() {
        let mut plan = router_plan(100);
        plan.excluded_addresses = plan.addresses.clone();
        plan.track_primary = false;
        assert_eq!(Keeper::default().keep(plan.clone()).to_plan(), plan);
    }

    #[test]
    fn what_routers_have_in_common_is_kept_once() {
        let mut keeper = Keeper::default();
        let kept: Vec<KeptPlan> =
            [150, 100, 150, 100].map(|priority| keeper.keep(router_plan(priority))).into();
        assert!(
            Arc::ptr_eq(&kept[0].policy, &kept[2].policy) && Arc::ptr_eq(&kept[1].policy, &kept[3].policy)
        );
        assert_eq!((kept[0].priority, kept[1].priority), (Priority(150), Priority(100)));
        assert_ne!(kept[0], kept[1]);
    }
}
