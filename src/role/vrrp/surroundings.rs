//! What stands around the election: virtual interfaces, sysctls, the packet filter. A thread of its own makes and
//! removes them, so that a slow kernel never delays an advertisement.

use super::vmac::Workshop;
use crate::netlink::facts::InterfaceTable;
use crate::plan::vmac::{Filter, FilterSettings, VirtualLinkPlan};
use crate::plan::vrrp::VrrpPlan;
use crate::sys::poll::Waker;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long the end of the process waits for the kernel to take everything back.
const TEAR_DOWN_LIMIT: Duration = Duration::from_secs(5);

/// What a plan needs around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Virtual interfaces by name; true for those that hold IPv6 addresses.
    pub links: BTreeMap<String, (VirtualLinkPlan, bool)>,
    /// What is dropped.
    pub filter: Filter,
    /// In which tables.
    pub settings: FilterSettings,
    /// Interfaces that get `promote_secondaries`.
    pub promote: BTreeSet<String>,
    /// The kernel reports no link-local groups by IGMP.
    pub no_local_igmp: bool,
}

impl Needs {
    /// What `plan` needs.
    pub fn of(plan: &VrrpPlan) -> Needs {
        let mut links = BTreeMap::new();
        for router in &plan.routers {
            for link in &router.virtual_links {
                let held = router.addresses.iter().chain(&router.excluded_addresses);
                let v6 = held
                    .filter(|address| address.interface.as_ref() == Some(&link.name))
                    .any(|address| address.cidr.address().is_ipv6());
                let v6 = v6 || link.family == crate::net::AddressFamily::V6;
                let (_, known) = links.entry(link.name.clone()).or_insert((link.clone(), v6));
                *known |= v6;
            }
        }
        let promoting = plan.routers.iter().filter(|router| router.promote_secondaries);
        Needs {
            links,
            filter: Filter::of(plan),
            settings: plan.filter.clone(),
            promote: promoting.map(|router| router.key.interface.clone()).collect(),
            no_local_igmp: plan.no_local_igmp,
        }
    }

    /// Nothing at all?
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.filter.is_empty() && self.promote.is_empty() && !self.no_local_igmp
    }
}

/// Something for the thread.
enum Job {
    /// Make what is needed; nothing is removed yet.
    Prepare(Box<Needs>),
    /// Remove what the last needs do not name.
    Settle,
    /// Remove everything.
    TearDown,
}

/// The driver's end.
pub struct Surroundings {
    jobs: Sender<Job>,
    done: Receiver<()>,
    waker: Arc<Waker>,
    needs: Needs,
    /// Nothing was prepared yet: an earlier run may have left things.
    fresh: bool,
    outstanding: usize,
}

impl Surroundings {
    /// Starts the thread, in the caller's network namespace.
    pub fn start() -> io::Result<Surroundings> {
        let (jobs, inbox) = channel();
        let (outbox, done) = channel();
        let waker = Arc::new(Waker::new()?);
        let wake = Arc::clone(&waker);
        thread::Builder::new().name("surroundings".into()).spawn(move || work(&inbox, &outbox, &wake))?;
        Ok(Surroundings { jobs, done, waker, needs: Needs::default(), fresh: true, outstanding: 0 })
    }

    /// Begin to make what `needs` names. True when the plan must wait for it.
    pub fn prepare(&mut self, needs: Needs) -> bool {
        if self.needs == needs && !self.fresh {
            // What failed before may succeed now: a module was loaded, a name set free.
            let busy = self.outstanding > 0;
            self.mend();
            return busy;
        }
        let must_wait = !needs.is_empty();
        self.fresh = false;
        self.needs = needs;
        self.mend();
        must_wait
    }

    /// Make again what is missing.
    pub fn mend(&mut self) {
        self.submit(Job::Prepare(Box::new(self.needs.clone())));
        self.outstanding += 1;
    }

    /// The plan is in force: remove what it does not name.
    pub fn settle(&self) {
        self.submit(Job::Settle);
    }

    /// Is nothing being made?
    pub fn is_idle(&self) -> bool {
        self.outstanding == 0
    }

    /// Is a virtual interface missing whose base is there?
    pub fn is_missing_any(&self, interfaces: &InterfaceTable) -> bool {
        let missing = |(link, _): &(VirtualLinkPlan, bool)| {
            interfaces.link(&link.base).is_some() && interfaces.link(&link.name).is_none()
        };
        self.needs.links.values().any(missing)
    }

    /// Take note of what was made. True if something was.
    pub fn collect(&mut self) -> io::Result<bool> {
        self.waker.consume()?;
        let finished = self.done.try_iter().count();
        self.outstanding = self.outstanding.saturating_sub(finished);
        Ok(finished > 0)
    }

    /// Remove everything and wait for it, but not for ever.
    pub fn tear_down(mut self) {
        self.submit(Job::TearDown);
        for _ in 0..=self.outstanding {
            if self.done.recv_timeout(TEAR_DOWN_LIMIT).is_err() {
                tracing::error!(
                    "the kernel did not take virtual interfaces and filter back in time: the next start removes them"
                );
                return;
            }
        }
        self.outstanding = 0;
    }

    fn submit(&self, job: Job) {
        self.jobs.send(job).expect("the thread ends only when this sender is dropped");
    }
}

impl AsFd for Surroundings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// Ends when either end of the channels is dropped. Settling is not reported: nobody waits for it.
fn work(inbox: &Receiver<Job>, outbox: &Sender<()>, wake: &Waker) {
    let mut workshop = Workshop::default();
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Prepare(needs) => workshop.prepare(*needs),
            Job::Settle => {
                workshop.settle();
                continue;
            }
            Job::TearDown => workshop.tear_down(),
        }
        if outbox.send(()).is_err() || wake.wake().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{AddressFamily, IpCidr, MacAddr, VirtualRouterId};
    use crate::plan::vmac::VirtualLinkKind;
    use crate::plan::vrrp::{RouterKey, RouterPlan, VirtualAddress};

    fn router(vip: &str) -> RouterPlan {
        let vrid = VirtualRouterId::new(51).expect("51 is not 0");
        let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid);
        let link = VirtualLinkPlan {
            name: "vrrp.51".to_owned(),
            base: "eth0".to_owned(),
            family: AddressFamily::V4,
            kind: VirtualLinkKind::Macvlan { mac: MacAddr::default() },
            group: None,
        };
        let address = VirtualAddress {
            interface: Some("vrrp.51".to_owned()),
            ..VirtualAddress::new(IpCidr::host(vip.parse().expect("an address")))
        };
        RouterPlan { virtual_links: vec![link], addresses: vec![address], ..RouterPlan::new("r".into(), key) }
    }

    #[test]
    fn a_link_has_ipv6_if_any_router_holds_such_an_address_on_it() {
        let needs = |vips: &[&str]| {
            let routers = vips.iter().map(|vip| router(vip)).collect();
            Needs::of(&VrrpPlan { routers, ..VrrpPlan::default() })
        };
        assert!(!needs(&["192.0.2.1"]).links["vrrp.51"].1);
        assert!(needs(&["192.0.2.1", "2001:db8::1"]).links["vrrp.51"].1);
        assert!(needs(&[]).is_empty());
        assert!(!needs(&["192.0.2.1"]).is_empty());
    }
}
