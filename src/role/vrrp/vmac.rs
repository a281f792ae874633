//! Makes, adopts and removes virtual interfaces, their sysctls and the filter. Runs on the thread of `surroundings`.

use super::igmp::LocalReports;
use super::surroundings::Needs;
use super::sysctl::{BASE, Originals, maker, set_own};
use crate::net::{AddressFamily, IpCidr};
use crate::netlink::nftables::FilterSocket;
use crate::netlink::route::RouteSocket;
use crate::netlink::virtual_link::{LinkChange, NewLink};
use crate::netlink::{Link, NetlinkError};
use crate::plan::vmac::{Filter, FilterSettings, VirtualLinkKind, VirtualLinkPlan};
use crate::sys::process::Stat;
use crate::vrrp::AddressOp;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;
use std::time::Duration;

/// A new interface runs once the kernel's link watcher has looked; looked at so often, with this pause. A router that
/// saw it before would begin in FAULT and tell everybody.
const RUNNING_TRIES: u32 = 50;
const RUNNING_PAUSE: Duration = Duration::from_millis(20);

/// Everything made so far.
#[derive(Default)]
pub struct Workshop {
    needs: Needs,
    originals: Originals,
    local_reports: LocalReports,
    /// Virtual interfaces by name: index, and whether we made it (else it was there and fitted).
    made: BTreeMap<String, Made>,
    filter: Option<(FilterSettings, Filter)>,
    filter_failed: bool,
    socket: Option<RouteSocket>,
    complained: BTreeSet<String>,
    /// Interfaces whose addresses stay when they are adopted: their routers go on as Master.
    kept: BTreeSet<String>,
}

struct Made {
    index: u32,
    base: String,
    ours: bool,
}

impl Workshop {
    /// Make what is needed and is not there.
    pub fn prepare(&mut self, needs: Needs, kept: BTreeSet<String>) {
        self.kept = kept;
        let first = self.filter.is_none() && !self.filter_failed;
        if self.needs != needs {
            self.complained.clear();
        }
        self.needs = needs;
        if let Err(error) = self.make_links() {
            self.complain(format!("virtual interfaces: {error}; trying again each second"));
        }
        for name in self.needs.promote.clone() {
            if let Err(error) = self.originals.set(&name, "promote_secondaries", "1") {
                self.complain(format!("cannot set promote_secondaries on {name}: {error}"));
            }
        }
        self.set_filter(self.needs.settings.clone(), self.needs.filter.clone(), first);
        self.turn_local_igmp();
    }

    fn turn_local_igmp(&mut self) {
        if let Err(error) = self.local_reports.turn(self.needs.no_local_igmp) {
            self.complain(format!("disable_local_igmp: {error}; the kernel's setting stays as it is"));
        }
    }

    /// Remove what is not needed any more, and what an earlier run left.
    //= keepalived M-107
    pub fn settle(&mut self) {
        if let Err(error) = self.remove_links() {
            self.complain(format!("virtual interfaces that nothing needs are left: {error}"));
        }
        let bases: BTreeSet<&String> = self.made.values().map(|made| &made.base).collect();
        let promote = &self.needs.promote;
        let none = bases.is_empty();
        let problems = self.originals.restore(|(_, interface, key)| match *key {
            "promote_secondaries" => !promote.contains(interface),
            "rp_filter" => none,
            _ => !bases.contains(interface),
        });
        problems.iter().for_each(|problem| tracing::warn!("{problem}"));
        self.turn_local_igmp();
    }

    /// Remove everything.
    pub fn tear_down(&mut self) {
        let settings = self.needs.settings.clone();
        self.needs = Needs { settings: settings.clone(), ..Needs::default() };
        self.settle();
        self.set_filter(settings, Filter::default(), false);
    }

    fn make_links(&mut self) -> Result<(), NetlinkError> {
        let needed: Vec<(VirtualLinkPlan, bool)> = self.needs.links.values().cloned().collect();
        if needed.is_empty() {
            return Ok(());
        }
        let links = self.links()?;
        for (plan, v6) in &needed {
            let Some(base) = links.iter().find(|link| link.name == plan.base) else { continue };
            if let Err(error) = self.ensure(plan, *v6, base, &links) {
                self.complain(format!(
                    "virtual interface {} on {}: {error}; its virtual router stays in FAULT until it can be made",
                    plan.name, plan.base
                ));
            }
        }
        self.wait_until_running()
    }

    /// Make the interface unless it is there and fits.
    fn ensure(
        &mut self,
        plan: &VirtualLinkPlan,
        v6: bool,
        base: &Link,
        links: &[Link],
    ) -> Result<(), String> {
        let there = links.iter().find(|link| link.name == plan.name);
        if let Some(link) = there {
            let fits = fits(link, plan, base);
            let known = self.made.get(&plan.name).is_some_and(|made| made.index == link.index);
            let maker = maker(link.ties.alias.as_deref());
            let stale = maker.is_some_and(is_gone);
            if fits && known {
                return Ok(());
            }
            if !known && !stale && !fits {
                let kind = link.kind.as_deref().unwrap_or("device");
                return Err(format!(
                    "an interface of that name, a {kind}, is there and is not ours: choose another name in use_vmac"
                ));
            }
            self.originals.learn(link.ties.alias.as_deref().unwrap_or_default());
            if fits {
                return self.adopt(plan, v6, link.index, stale);
            }
            if stale {
                tracing::info!("removed {}: an earlier run left it, and it does not fit any more", plan.name);
            }
            self.call(|socket| socket.delete_link(link.index)).map_err(|error| error.to_string())?;
        }
        let index = self.create(plan, base, links)?;
        self.made.insert(plan.name.clone(), Made { index, base: plan.base.clone(), ours: true });
        if let Err(error) = self.furnish(plan, v6, index) {
            // Half furnished it would be taken for finished at the next try.
            self.made.remove(&plan.name);
            let removed = self.call(|socket| socket.delete_link(index));
            return Err(match removed {
                Ok(()) => error.to_string(),
                Err(more) => format!("{error}; {more}"),
            });
        }
        tracing::info!("made {} on {}", plan.name, plan.base);
        Ok(())
    }

    /// Use what is there: `ours` if an earlier run of ours left it, which goes at the end like one made now. It keeps its
    /// text until the new one replaces it, so a crash in between loses nothing.
    fn adopt(&mut self, plan: &VirtualLinkPlan, v6: bool, index: u32, ours: bool) -> Result<(), String> {
        let whose = if ours { "an earlier run left it" } else { "it fits, and stays when this process ends" };
        tracing::info!("took over {} on {}: {whose}", plan.name, plan.base);
        self.made.insert(plan.name.clone(), Made { index, base: plan.base.clone(), ours });
        let stripped = if self.kept.contains(&plan.name) { Ok(()) } else { self.strip(index) };
        stripped.and_then(|()| self.furnish(plan, v6, index)).map_err(|error| {
            self.made.remove(&plan.name);
            error.to_string()
        })
    }

    /// Takes the addresses off: the election begins anew.
    fn strip(&mut self, interface: u32) -> io::Result<()> {
        let socket = self.socket().map_err(io::Error::other)?;
        let addresses = socket.addresses().map_err(io::Error::other)?;
        let there = addresses.into_iter().filter(|address| address.interface == interface);
        let ops: Vec<_> =
            there.map(|address| AddressOp::Remove { interface, cidr: address.cidr, peer: None }).collect();
        for (result, op) in socket.apply(&ops).into_iter().zip(&ops) {
            result.map_err(|error| io::Error::other(format!("{op:?}: {}", error.message)))?;
        }
        Ok(())
    }

    fn create(&mut self, plan: &VirtualLinkPlan, base: &Link, links: &[Link]) -> Result<u32, String> {
        let master = base.ties.master.and_then(|index| links.iter().find(|link| link.index == index));
        let vrf = master.filter(|link| link.kind.as_deref() == Some("vrf")).map(|link| link.index);
        let group = plan.group.unwrap_or(base.ties.group);
        let new = NewLink { name: &plan.name, base: base.index, kind: plan.kind, group, vrf };
        self.call(|socket| socket.create_link(&new)).map_err(|error| match error.errno {
            libc::EOPNOTSUPP => format!("{error} (does this kernel have the module macvlan, or ipvlan?)"),
            libc::EADDRINUSE => format!("{error} (another interface on {} has this MAC address)", plan.base),
            _ => error.to_string(),
        })?;
        let links = self.links().map_err(|error| error.to_string())?;
        let made = links.iter().find(|link| link.name == plan.name).map(|link| link.index);
        made.ok_or_else(|| "it was removed as soon as it was made".to_owned())
    }

    /// Sysctls and the rest, then up. What is needed to put the base back is written down before it is changed.
    //= RFC9568 8.1.2 M-87
    //= RFC9568 8.2.2 M-91
    fn furnish(&mut self, plan: &VirtualLinkPlan, v6: bool, index: u32) -> io::Result<()> {
        let name = plan.name.as_str();
        let ours = self.made.get(name).is_some_and(|made| made.ours);
        let call = |this: &mut Workshop, change: LinkChange<'_>| {
            this.call(|socket| socket.change_link(index, change)).map_err(io::Error::other)
        };
        // A kernel without IPv6 has nothing to switch off.
        let has_v6 = call(self, LinkChange::NoAutomaticAddress).is_ok();
        if has_v6 {
            set_own("ipv6", name, "disable_ipv6", if v6 { "0" } else { "1" })?;
            // Router advertisements heard with the virtual MAC must not give this interface addresses or routes.
            set_own("ipv6", name, "accept_ra", "0")?;
            set_own("ipv6", name, "autoconf", "0")?;
        }
        if plan.family == AddressFamily::V4 {
            let macvlan = matches!(plan.kind, VirtualLinkKind::Macvlan { .. });
            let own = [("arp_ignore", "1"), ("accept_local", "1"), ("promote_secondaries", "1")];
            for (key, value) in own.into_iter().filter(|_| macvlan) {
                set_own("ipv4", name, key, value)?;
            }
            self.prepare_base(&plan.base, if macvlan { &BASE } else { &[] }, ours.then_some(index))?;
            set_own("ipv4", name, "rp_filter", "0")?;
        } else if ours {
            let text = self.originals.text(std::process::id(), &plan.base);
            call(self, LinkChange::Alias(&text))?;
        }
        call(self, LinkChange::Up)?;
        if v6 && has_v6 {
            self.call(|socket| socket.add_link_local_route(index)).map_err(io::Error::other)?;
        }
        if let VirtualLinkKind::Ipvlan { address: Some(address), .. } = plan.kind {
            self.add_address(index, address)?;
        }
        Ok(())
    }

    /// The base's sysctls; what they were is written down first.
    fn prepare_base(
        &mut self,
        base: &str,
        keys: &[(&'static str, &str)],
        link: Option<u32>,
    ) -> io::Result<()> {
        if let Some(index) = link {
            let text = Originals::ahead_of(&self.originals, base, keys)?.text(std::process::id(), base);
            self.call(|socket| socket.change_link(index, LinkChange::Alias(&text)))
                .map_err(io::Error::other)?;
        }
        for (key, value) in keys {
            self.originals.set(base, key, value)?;
        }
        if self.originals.move_rp_filter()? {
            tracing::info!(
                "net.ipv4.conf.all.rp_filter is 0 from now on and every interface has its value: \
                 virtual interfaces could hear nothing otherwise; it is put back at the end"
            );
        }
        Ok(())
    }

    fn add_address(&mut self, interface: u32, cidr: IpCidr) -> io::Result<()> {
        let op = AddressOp::Add {
            interface,
            cidr,
            label: None,
            scope: None,
            broadcast: None,
            options: Default::default(),
        };
        let results = self.socket().map_err(io::Error::other)?.apply(&[op]);
        results.into_iter().try_for_each(|result| {
            result.map_err(|error| io::Error::other(format!("cannot add {cidr}: {}", error.message)))
        })
    }

    /// Wait until what was made runs, where its base does.
    fn wait_until_running(&mut self) -> Result<(), NetlinkError> {
        for _ in 0..RUNNING_TRIES {
            let links = self.links()?;
            let runs = |name: &str| links.iter().any(|link| link.name == name && link.up && link.running);
            let waiting = self.made.iter().any(|(name, made)| {
                links.iter().any(|link| link.index == made.index) && runs(&made.base) && !runs(name)
            });
            if !waiting {
                break;
            }
            thread::sleep(RUNNING_PAUSE);
        }
        Ok(())
    }

    /// Remove interfaces that are not needed: those made here, and those of a process that is gone.
    fn remove_links(&mut self) -> Result<(), NetlinkError> {
        let links = self.links()?;
        for link in links {
            if self.needs.links.contains_key(&link.name) {
                continue;
            }
            let made = self.made.get(&link.name).filter(|made| made.index == link.index);
            let maker = maker(link.ties.alias.as_deref());
            let stale = maker.is_some_and(is_gone);
            if !made.is_some_and(|made| made.ours) && !stale {
                continue;
            }
            if stale {
                self.originals.learn(link.ties.alias.as_deref().unwrap_or_default());
            }
            match self.call(|socket| socket.delete_link(link.index)) {
                Ok(()) if stale => tracing::info!("removed {}: an earlier run left it", link.name),
                Ok(()) => tracing::info!("removed {}", link.name),
                Err(error) if error.errno == libc::ENODEV => {}
                Err(error) => self.complain(format!("{}: {error}", link.name)),
            }
        }
        let needed = &self.needs.links;
        self.made.retain(|name, _| needed.contains_key(name));
        Ok(())
    }

    /// At first the tables of an earlier run go, whatever is needed; a kernel without nf_tables has none.
    fn set_filter(&mut self, settings: FilterSettings, filter: Filter, first: bool) {
        let wanted = (settings, filter);
        if self.filter.as_ref() == Some(&wanted) {
            return;
        }
        let (settings, filter) = &wanted;
        let quiet = filter.is_empty() && (first || self.filter_failed);
        let renamed =
            self.filter.as_ref().filter(|(old, _)| old.table != settings.table).map(|(old, _)| old.clone());
        let looks = self.filter.is_none() && settings.table != FilterSettings::default().table;
        let result = FilterSocket::open().and_then(|mut socket| {
            if (looks || renamed.is_some()) && socket.is_foreign(&settings.table)? {
                return Err(NetlinkError {
                    errno: libc::EEXIST,
                    message: "it is there and not ours, and stays as it is: name another one".to_owned(),
                    context: format!("nftables table {}", settings.table),
                });
            }
            if let Some(old) = &renamed {
                socket.replace(old, &Filter::default())?;
            }
            socket.replace(settings, filter)
        });
        match result {
            Ok(()) => {
                self.filter_failed = false;
                self.filter = Some(wanted);
            }
            Err(_) if quiet => self.filter_failed = true,
            Err(error) => {
                self.filter_failed = true;
                let refused = filter.v4.len() + filter.v6.len() + filter.v6_link_local.len();
                let accepted = if refused == 0 {
                    String::new()
                } else {
                    format!(
                        " packets to the {refused} addresses of no_accept or strict instances are accepted;"
                    )
                };
                let speaks = if filter.silent_links.is_empty() {
                    ""
                } else {
                    " a Backup's virtual interface may teach switches the virtual MAC (IGMP, MLD);"
                };
                self.complain(format!(
                    "{error}:{accepted}{speaks}{}",
                    if error.errno == libc::EEXIST { "" } else { " does this kernel have nf_tables?" }
                ));
            }
        }
    }

    fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        self.call(RouteSocket::links)
    }

    fn call<T>(
        &mut self,
        request: impl FnOnce(&mut RouteSocket) -> Result<T, NetlinkError>,
    ) -> Result<T, NetlinkError> {
        request(self.socket()?)
    }

    fn socket(&mut self) -> Result<&mut RouteSocket, NetlinkError> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            socket => Ok(socket.insert(RouteSocket::open()?)),
        }
    }

    /// Says each thing once: what cannot be made is tried again and again.
    fn complain(&mut self, sentence: String) {
        if !self.complained.contains(&sentence) {
            tracing::error!("{sentence}");
            self.complained.insert(sentence);
        }
    }
}

/// Is the process gone that made an interface? Not if it is one of ours (`instance` runs several in one namespace).
fn is_gone(process: u32) -> bool {
    if process == std::process::id() {
        return false;
    }
    match Stat::of(process) {
        Some(stat) => !is_live_role(&stat),
        // It may be there and be hidden from this process (hidepid= of proc(5)).
        None => match i32::try_from(process) {
            Ok(process) if process > 0 => kill(Pid::from_raw(process), None) == Err(Errno::ESRCH),
            _ => true,
        },
    }
}

/// A role that still works.
fn is_live_role(stat: &Stat) -> bool {
    stat.name().starts_with("holdfast") && !stat.has_ended() && !stat.is_ending()
}

/// Is it what the plan would make?
fn fits(link: &Link, plan: &VirtualLinkPlan, base: &Link) -> bool {
    let kind = match plan.kind {
        VirtualLinkKind::Macvlan { mac } => {
            link.kind.as_deref() == Some("macvlan") && link.ties.private_macvlan && link.mac == mac
        }
        VirtualLinkKind::Ipvlan { .. } => link.kind.as_deref() == Some("ipvlan"),
    };
    kind && link.ties.base == Some(base.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::MacAddr;
    use crate::netlink::LinkTies;

    fn link(index: u32, mac: u8, ties: LinkTies) -> Link {
        Link {
            index,
            name: format!("link{index}"),
            up: true,
            running: true,
            mac: MacAddr([0, 0, 0x5e, 0, 1, mac]),
            mtu: 1500,
            ipv6_forwarding: false,
            kind: Some("macvlan".to_owned()),
            ties,
        }
    }

    #[test]
    fn only_a_private_macvlan_on_the_base_with_the_mac_fits() {
        let plan = VirtualLinkPlan {
            name: "link3".to_owned(),
            base: "link2".to_owned(),
            family: AddressFamily::V4,
            kind: VirtualLinkKind::Macvlan { mac: MacAddr([0, 0, 0x5e, 0, 1, 51]) },
            group: None,
        };
        let base = link(2, 1, LinkTies::default());
        let ties = LinkTies { base: Some(2), private_macvlan: true, ..LinkTies::default() };
        assert!(fits(&link(3, 51, ties.clone()), &plan, &base));
        assert!(!fits(&link(3, 52, ties.clone()), &plan, &base), "another MAC");
        assert!(
            !fits(&link(3, 51, LinkTies { base: Some(9), ..ties.clone() }), &plan, &base),
            "another base"
        );
        assert!(
            !fits(&link(3, 51, LinkTies { private_macvlan: false, ..ties }), &plan, &base),
            "bridge mode"
        );
    }

    #[test]
    fn this_process_is_not_gone() {
        assert!(!is_gone(std::process::id()));
        assert!(is_gone(u32::MAX));
    }

    #[test]
    fn a_zombie_and_a_process_that_ends_are_gone() {
        let line = |state: &str, flags: u32| {
            is_live_role(&format!("70 (holdfast_vrrp) {state} 1 70 70 0 -1 {flags} 150 0").into())
        };
        assert!(line("S", 0x0040_0140) && line("T", 0x0040_0140));
        assert!(!line("Z", 0x0040_0140) && !line("X", 0) && !line("R", 0x0040_0144));
        assert!(!is_live_role(&"70 (nginx) S 1 70 70 0 -1 4194560 150 0".to_owned().into()));
        // A real process, under a name of ours: alive, then a zombie until it is waited for.
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        let lives =
            || is_live_role(&std::fs::read_to_string(&stat).unwrap().replacen('(', "(holdfast ", 1).into());
        assert!(lives());
        child.kill().unwrap();
        while lives() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
