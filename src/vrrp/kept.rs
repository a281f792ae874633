//! A router's plan as the core keeps it. Thousands of routers mostly differ in name, VRID and addresses only: the rest is
//! kept once for all that have it in common.

use super::election::{Timing, Wait};
use super::event::RouterId;
use super::names::{Name, Names};
use crate::net::{AddressFamily, IpCidr, Priority, VirtualRouterId};
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

/// As [`RouterPlan`]; its other fields are reached through the policy, its addresses are the router's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPlan {
    /// The instance's name.
    pub name: Name,
    /// Identity.
    pub key: KeptKey,
    policy: Arc<Policy>,
}

/// As [`RouterKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented in RouterKey")]
pub struct KeptKey {
    pub interface: Name,
    pub family: AddressFamily,
    pub vrid: VirtualRouterId,
    pub among: Option<Box<IpAddr>>,
}

impl KeptKey {
    /// As everybody else knows it.
    pub fn to_key(&self) -> RouterKey {
        let KeptKey { interface, family, vrid, among } = self;
        RouterKey {
            interface: interface.to_string(),
            family: *family,
            vrid: *vrid,
            among: among.as_deref().copied(),
        }
    }

    /// As [`RouterKey::place`].
    pub fn place(&self) -> Option<(IpAddr, Option<&str>)> {
        RouterKey::place_of(&self.interface)
    }
}

/// A virtual address as the core keeps it. What few addresses have is kept once for all that have it in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeptAddress {
    /// Address and prefix length.
    pub cidr: IpCidr,
    /// All else, if there is anything, with [`NOWHERE`] as the address.
    options: Option<Arc<VirtualAddress>>,
}

const NOWHERE: IpCidr = IpCidr::host(AddressFamily::V4.unspecified());

impl KeptAddress {
    /// As it was planned.
    pub fn whole(&self) -> VirtualAddress {
        match &self.options {
            Some(options) => VirtualAddress { cidr: self.cidr, ..(**options).clone() },
            None => VirtualAddress::new(self.cidr),
        }
    }

    /// Interface to hold it; the router's own when `None`.
    pub fn interface(&self) -> Option<&str> {
        self.options.as_deref()?.interface.as_deref()
    }

    /// Its label.
    pub fn label(&self) -> Option<&str> {
        self.options.as_deref()?.label.as_deref()
    }

    /// The far end of a point-to-point pair.
    pub fn peer(&self) -> Option<IpAddr> {
        self.options.as_deref()?.options.peer
    }

    /// Does the kernel look for duplicates of it?
    pub fn detects_duplicates(&self) -> bool {
        self.options.as_deref().is_some_and(|options| options.options.detect_duplicates)
    }

    /// Does losing it matter?
    pub fn tracked(&self) -> bool {
        self.options.as_deref().is_none_or(|options| options.tracked)
    }
}

/// The addresses of a router's plan: the advertised ones, then the excluded ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned<'a> {
    all: &'a [KeptAddress],
    advertised: usize,
}

impl<'a> Planned<'a> {
    /// All of them.
    pub fn all(self) -> impl Iterator<Item = &'a KeptAddress> {
        self.all.iter()
    }

    /// Each with its place in the plan.
    pub fn listed(self) -> impl Iterator<Item = (&'a KeptAddress, Listed)> + Clone {
        let list = move |at| if at < self.advertised { Listed::Advertised } else { Listed::Excluded };
        self.all.iter().enumerate().map(move |(at, address)| (address, list(at)))
    }
}

/// Where the plan has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Among those that advertisements carry.
    Advertised,
    /// Among those that come and go with them.
    Excluded,
    /// Not any more.
    Nowhere,
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
            /// The whole plan, with these addresses.
            pub(super) fn to_plan<'a>(
                &self,
                listed: impl Iterator<Item = (&'a KeptAddress, Listed)> + Clone,
            ) -> RouterPlan {
                let (name, key) = (self.name.to_string(), self.key.to_key());
                let Policy { $($field),* } = (*self.policy).clone();
                let those = |list| {
                    let there = listed.clone().filter(move |(_, listed)| *listed == list);
                    there.map(|(address, _)| address.whole()).collect()
                };
                let (addresses, excluded_addresses) = (those(Listed::Advertised), those(Listed::Excluded));
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

    /// Is it an interface that no advertisement leaves by, so that switches forget it? With `vmac_xmit_base` the
    /// router's own virtual interface is one, as in keepalived.
    pub(super) fn is_elsewhere(&self, interface: &str) -> bool {
        interface != &*self.key.interface && interface != self.advert_interface()
    }

    /// The source address that the configuration gives, where it is to be watched.
    pub(super) fn tracked_source(&self) -> Option<IpAddr> {
        match self.transport {
            _ if !self.track_source => None,
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
        }
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

/// Makes kept plans of new ones. Nothing of the plan that was read stays in use, and nothing small is left between its
/// parts: its memory goes away whole, or routers are made in it.
#[derive(Debug)]
pub(super) struct Keeper {
    names: Names,
    policies: Recent<Policy>,
    options: Recent<VirtualAddress>,
    kept: Arrivals,
}

/// The routers of a new plan, in its order.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    routers: Vec<(RouterId, KeptPlan, Span)>,
    /// Of all routers, one behind the other.
    addresses: Vec<KeptAddress>,
}

/// The part of the addresses that is one router's.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
    advertised: usize,
}

/// A router of a new plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// Its identifier, known or new.
    pub id: RouterId,
    /// What is kept of its plan.
    pub plan: &'a KeptPlan,
    /// And its addresses.
    pub addresses: Planned<'a>,
}

impl Arrivals {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Arrival<'_>> {
        self.routers.iter().map(|(id, plan, Span { from, to, advertised })| {
            let addresses =
                Planned { all: self.addresses.get(*from..*to).unwrap_or_default(), advertised: *advertised };
            Arrival { id: *id, plan, addresses }
        })
    }
}

/// The last ones of which a router had one, each once.
#[derive(Debug)]
struct Recent<T>(VecDeque<Arc<T>>);

impl<T: PartialEq> Recent<T> {
    fn share(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.0.iter().find(|known| ***known == value) {
            return known.clone();
        }
        let new = Arc::new(value);
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front(new.clone());
        new
    }
}

impl Keeper {
    /// Of these routers.
    pub fn new(routers: &[RouterPlan]) -> Keeper {
        let names = routers.iter().flat_map(|router| [router.name.as_str(), &router.key.interface]);
        let count = |router: &RouterPlan| router.addresses.len() + router.excluded_addresses.len();
        Keeper {
            names: Names::of(names),
            policies: Recent(VecDeque::new()),
            options: Recent(VecDeque::new()),
            kept: Arrivals {
                routers: Vec::with_capacity(routers.len()),
                addresses: Vec::with_capacity(routers.iter().map(count).sum()),
            },
        }
    }

    /// Keep `plan`.
    pub fn keep(&mut self, id: RouterId, plan: RouterPlan) {
        let (name, key, addresses, excluded_addresses, policy) = split(plan);
        let RouterKey { interface, family, vrid, among } = key;
        let interface = self.names.keep(&interface);
        let key = KeptKey { interface, family, vrid, among: among.map(Box::new) };
        let plan = KeptPlan { name: self.names.keep(&name), key, policy: self.policies.share(policy) };
        let (from, advertised) = (self.kept.addresses.len(), addresses.len());
        for address in addresses.into_iter().chain(excluded_addresses) {
            let address = self.keep_address(address);
            self.kept.addresses.push(address);
        }
        let to = self.kept.addresses.len();
        self.kept.routers.push((id, plan, Span { from, to, advertised }));
    }

    /// All that was kept.
    pub fn finish(self) -> Arrivals {
        self.kept
    }

    fn keep_address(&mut self, address: VirtualAddress) -> KeptAddress {
        let cidr = address.cidr;
        let plain = address == VirtualAddress::new(cidr);
        let options = (!plain).then(|| self.options.share(VirtualAddress { cidr: NOWHERE, ..address }));
        KeptAddress { cidr, options }
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
        plan.excluded_addresses[0].label = Some("eth0:1".to_owned());
        plan.key.among = Some(IpAddr::from([10, 0, 0, 2]));
        plan.track_primary = false;
        let mut keeper = Keeper::new(std::slice::from_ref(&plan));
        keeper.keep(RouterId(7), plan.clone());
        let kept = keeper.finish();
        let all: Vec<_> = kept.iter().map(|one| (one.id, one.plan.to_plan(one.addresses.listed()))).collect();
        assert_eq!(all, [(RouterId(7), plan)]);
    }

    #[test]
    fn what_routers_have_in_common_is_kept_once() {
        let plans = [150, 100, 150, 100].map(|priority| {
            let mut plan = router_plan(priority);
            plan.addresses[0].label = Some(format!("eth0:{priority}"));
            plan
        });
        let mut keeper = Keeper::new(&plans);
        plans.into_iter().for_each(|plan| keeper.keep(RouterId(0), plan));
        let kept = keeper.finish();
        let kept: Vec<Arrival> = kept.iter().collect();
        let same = |a: usize, b: usize| {
            let options = |at: usize| kept[at].addresses.all[0].options.as_ref().expect("it has a label");
            Arc::ptr_eq(&kept[a].plan.policy, &kept[b].plan.policy) && Arc::ptr_eq(options(a), options(b))
        };
        assert!(same(0, 2) && same(1, 3) && !same(0, 1));
        assert_eq!((kept[0].plan.priority, kept[1].plan.priority), (Priority(150), Priority(100)));
        assert_ne!(kept[0].plan, kept[1].plan);
    }
}
