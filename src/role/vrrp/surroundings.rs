//! What stands around the election: virtual interfaces, sysctls, the packet filter. A thread of its own makes and
//! removes them, so that a slow kernel never delays an advertisement.

use super::silence::Silencer;
use super::vmac::Workshop;
use crate::netlink::facts::InterfaceTable;
use crate::plan::vmac::{Filter, FilterSettings, VirtualLinkPlan};
use crate::plan::vrrp::VrrpPlan;
use crate::sys::poll::Waker;
use crate::vrrp::RouterId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
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
    /// Make what is needed; nothing is removed yet. The addresses on the named interfaces stay: their routers go on.
    Prepare(Box<Needs>, BTreeSet<String>),
    /// Remove what the last needs do not name.
    Settle,
    /// Answer no questions for these addresses, and again for all others. With the number of the request.
    Silence(u64, BTreeSet<IpAddr>),
    /// Remove everything.
    TearDown,
}

/// What the thread has done.
enum Done {
    /// Made what is needed, or removed everything.
    Made,
    /// The kernel does what the request with this number, and all before it, ask; or cannot.
    Silent(u64, bool),
}

/// The driver's end.
pub struct Surroundings {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    waker: Arc<Waker>,
    needs: Needs,
    /// Nothing was prepared yet: an earlier run may have left things.
    fresh: bool,
    outstanding: usize,
    /// Addresses that somebody else answers for, by router.
    silent: BTreeMap<RouterId, Vec<IpAddr>>,
    /// They, or the list of them, changed since the last request.
    silence_changed: bool,
    /// Number of that request.
    silence_requests: u64,
    /// Routers that wait for one.
    unconfirmed: Vec<(u64, RouterId)>,
    confirmed: Vec<(RouterId, bool)>,
}

impl Surroundings {
    /// Starts the thread, in the caller's network namespace.
    pub fn start() -> io::Result<Surroundings> {
        let (jobs, inbox) = channel();
        let (outbox, done) = channel();
        let waker = Arc::new(Waker::new()?);
        let wake = Arc::clone(&waker);
        thread::Builder::new().name("surroundings".into()).spawn(move || work(&inbox, &outbox, &wake))?;
        Ok(Surroundings {
            jobs,
            done,
            waker,
            needs: Needs::default(),
            fresh: true,
            outstanding: 0,
            silent: BTreeMap::new(),
            silence_changed: false,
            silence_requests: 0,
            unconfirmed: Vec::new(),
            confirmed: Vec::new(),
        })
    }

    /// Begin to make what `needs` names, with the addresses of the interfaces `kept` left on them. True when the plan must wait for it.
    pub fn prepare(&mut self, needs: Needs, kept: BTreeSet<String>) -> bool {
        if self.needs == needs && !self.fresh {
            // What failed before may succeed now: a module was loaded, a name set free.
            let busy = self.outstanding > 0;
            self.mend();
            return busy;
        }
        let must_wait = !needs.is_empty();
        self.fresh = false;
        self.needs = needs;
        self.make(kept);
        must_wait
    }

    /// Make again what is missing.
    pub fn mend(&mut self) {
        self.make(BTreeSet::new());
    }

    fn make(&mut self, kept: BTreeSet<String>) {
        self.submit(Job::Prepare(Box::new(self.needs.clone()), kept));
        self.outstanding += 1;
    }

    /// The plan is in force: remove what it does not name.
    pub fn settle(&self) {
        self.submit(Job::Settle);
    }

    /// Answer no questions for these addresses of a router; an empty list ends that. It begins with the next
    /// [`Surroundings::hush`], for all at once: a thousand routers may yield in one moment.
    pub fn silence(&mut self, router: RouterId, addresses: Vec<IpAddr>) {
        self.silence_changed = true;
        if addresses.is_empty() {
            self.silent.remove(&router);
        } else {
            self.silent.insert(router, addresses);
            self.unconfirmed.push((self.silence_requests + 1, router));
        }
    }

    /// Ask for what has changed.
    pub fn hush(&mut self) {
        if std::mem::take(&mut self.silence_changed) {
            self.silence_requests += 1;
            let all = self.silent.values().flatten().copied().collect();
            self.submit(Job::Silence(self.silence_requests, all));
        }
    }

    /// Routers that are, or cannot be, silent, since the last call.
    pub fn take_silenced(&mut self) -> Vec<(RouterId, bool)> {
        std::mem::take(&mut self.confirmed)
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
        let mut finished = 0;
        for done in self.done.try_iter() {
            match done {
                Done::Made => finished += 1,
                Done::Silent(number, well) => {
                    // They stand in the order of their requests.
                    let answered = self.unconfirmed.partition_point(|(request, _)| *request <= number);
                    let answered = self.unconfirmed.drain(..answered);
                    self.confirmed.extend(answered.map(|(_, router)| (router, well)));
                }
            }
        }
        self.outstanding = self.outstanding.saturating_sub(finished);
        Ok(finished > 0)
    }

    /// Remove everything and wait for it, but not for ever.
    pub fn tear_down(mut self) {
        self.submit(Job::TearDown);
        // The last answer is that to tearing down.
        self.outstanding += 1;
        while self.outstanding > 0 {
            match self.done.recv_timeout(TEAR_DOWN_LIMIT) {
                Ok(Done::Made) => self.outstanding -= 1,
                Ok(Done::Silent(..)) => {}
                Err(_) => {
                    tracing::error!(
                        "the kernel did not take virtual interfaces and filter back in time: the next start removes them"
                    );
                    return;
                }
            }
        }
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
fn work(inbox: &Receiver<Job>, outbox: &Sender<Done>, wake: &Waker) {
    let mut workshop = Workshop::default();
    let mut silencer = Silencer::default();
    let mut next = None;
    while let Some(job) = next.take().or_else(|| inbox.recv().ok()) {
        let done = match job {
            Job::Prepare(needs, kept) => {
                workshop.prepare(*needs, kept);
                Done::Made
            }
            Job::Settle => {
                workshop.settle();
                continue;
            }
            Job::Silence(number, addresses) => {
                next = inbox.try_recv().ok();
                if matches!(next, Some(Job::Silence(..))) {
                    continue; // only the last one counts
                }
                Done::Silent(number, silencer.silence(&addresses))
            }
            Job::TearDown => {
                workshop.tear_down();
                Done::Made
            }
        };
        if outbox.send(done).is_err() || wake.wake().is_err() {
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
