//! What a reload from one plan to another does, said before it is done. Pure.
//!
//! It states the rules of `vrrp/reconfigure.rs`, `lvs/director.rs` and `check` in words; tests/diff.rs runs those cores
//! and compares.

mod bfd;
mod groups;
mod lvs;
mod notify;
mod process;
mod snmp;
mod trackers;
mod vrrp;
mod whole;
mod words;

use crate::net::IpCidr;
use crate::plan::Plans;
use crate::plan::check::Question;
use crate::plan::lvs::ServiceKey;
use crate::plan::marks;
use crate::plan::vrrp::{RouterKey, VirtualAddress};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;

/// How much the traffic feels of a change, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// An address or a service is given up.
    Stops,
    /// Another node may become Master, or two may be for a time.
    MayFailOver,
    /// Traffic goes elsewhere, or more or less of it.
    Shifts,
    /// Nothing that passes now is touched.
    Quiet,
}

/// One consequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// How much the traffic feels of it.
    pub weight: Weight,
    /// What happens.
    #[serde(flatten)]
    pub what: What,
}

/// What happens to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum What {
    /// A role has no work any more, or has some for the first time.
    Role {
        /// `vrrp`, `checker`, `scripts`, `bfd` or `snmp`.
        role: &'static str,
        /// Does it start? Else it ends.
        starts: bool,
    },
    /// A tracked script, file or process comes, goes or changes.
    Tracker {
        /// Its block.
        tracker: String,
        /// What that means.
        happens: &'static str,
    },
    /// Notify scripts, a FIFO or mail.
    Notify {
        /// Whose, or which.
        who: String,
        /// What that means.
        happens: &'static str,
    },
    /// `nftables*` of `global_defs`: the tables are made anew.
    Filter {
        /// Before.
        old: String,
        /// After.
        new: String,
    },
    /// A role's priority, processors, memory or name.
    Process {
        /// `vrrp`, `checker` or `bfd`.
        role: &'static str,
    },
    /// Something that only a restart can change.
    Fixed {
        /// keepalived's keyword.
        keyword: &'static str,
    },
    /// The SNMP agent: another master, or other values.
    Snmp {
        /// What that means.
        happens: &'static str,
    },
    /// `vip_lease` of `global_defs`: the addresses stay, with another lifetime.
    VipLease {
        /// From now on?
        on: bool,
    },
    /// `no_handover` of `global_defs`: how the next stop is.
    Handover {
        /// Handed over from now on?
        on: bool,
    },
    /// `no_resume` of `global_defs`: what a restarted vrrp role will do.
    Resume {
        /// Will it go on as Master?
        on: bool,
    },
    /// `no_confinement` of `global_defs`: what roles give up that are started from then on.
    Confinement {
        /// What they do not need?
        on: bool,
    },
    /// A setting of all routers together changes; their states are kept.
    VrrpField {
        /// keepalived's keyword.
        field: &'static str,
        /// Before.
        old: String,
        /// After.
        new: String,
        /// What that means, a sentence without its full stop.
        meaning: &'static str,
    },
    /// `router_id` of `global_defs`.
    RouterId {
        /// Before; the host name when `None`.
        old: Option<String>,
        /// After.
        new: Option<String>,
    },
    /// A router leaves the configuration: a Master resigns and gives all addresses up.
    RouterRemoved {
        /// Its name.
        router: String,
        /// Its identity.
        key: RouterKey,
        /// All it held.
        addresses: Vec<VirtualAddress>,
        /// The identity under which the new plan has a router of this name.
        becomes: Option<RouterKey>,
    },
    /// A router is new: it listens first, unless it owns its addresses.
    RouterAdded {
        /// Its name.
        router: String,
        /// Its identity.
        key: RouterKey,
        /// What it will hold.
        addresses: Vec<VirtualAddress>,
        /// Priority 255: Master at once.
        owner: bool,
        /// How long it waits for a Master otherwise.
        wait: Duration,
    },
    /// A setting of a router changes in place: its state is kept.
    RouterField {
        /// Its name in the new plan.
        router: String,
        /// Its identity.
        key: RouterKey,
        /// keepalived's keyword.
        field: &'static str,
        /// Before.
        old: String,
        /// After.
        new: String,
        /// What that means, a sentence without its full stop.
        meaning: String,
    },
    /// A sync group comes, goes or changes.
    GroupField {
        /// Its name.
        group: String,
        /// keepalived's keyword.
        field: &'static str,
        /// Before.
        old: String,
        /// After.
        new: String,
        /// What that means, a sentence without its full stop.
        meaning: String,
    },
    /// A static address, route or rule comes or goes.
    Static {
        /// It.
        item: crate::plan::route::Item,
        /// Does it come?
        comes: bool,
    },
    /// A router that stays no longer holds an address (or holds it with another prefix, label, ...).
    AddressRemoved {
        /// The router.
        router: String,
        /// Its identity.
        key: RouterKey,
        /// The address.
        address: VirtualAddress,
        /// The router that has it in the new plan.
        moves_to: Option<String>,
    },
    /// A router that stays holds one more address.
    AddressAdded {
        /// The router.
        router: String,
        /// Its identity.
        key: RouterKey,
        /// The address.
        address: VirtualAddress,
        /// Is it carried in advertisements?
        advertised: bool,
    },
    /// A BFD session starts, ends or changes.
    BfdSession {
        /// Its name in the new plan, or in the old one when it ends.
        session: String,
        /// What that means, a sentence without its full stop.
        meaning: String,
    },
    /// A service leaves the kernel's table with its destinations.
    ServiceRemoved {
        /// The virtual server as written.
        virtual_server: String,
        /// The service.
        service: ServiceKey,
    },
    /// A service enters the kernel's table.
    ServiceAdded {
        /// The virtual server as written.
        virtual_server: String,
        /// The service.
        service: ServiceKey,
        /// Its real servers.
        servers: usize,
    },
    /// A setting of services changes in place.
    ServiceField {
        /// The virtual server as written.
        virtual_server: String,
        /// The services.
        services: Vec<ServiceKey>,
        /// keepalived's keyword.
        field: &'static str,
        /// Before.
        old: String,
        /// After.
        new: String,
        /// Is it a setting of the kernel's service? Else one of holdfast alone.
        in_kernel: bool,
    },
    /// A real server leaves services that stay.
    ServerRemoved {
        /// The virtual server as written.
        virtual_server: String,
        /// The services.
        services: Vec<ServiceKey>,
        /// The server.
        endpoint: SocketAddr,
    },
    /// A real server enters services that stay.
    ServerAdded {
        /// The virtual server as written.
        virtual_server: String,
        /// The services.
        services: Vec<ServiceKey>,
        /// The server.
        endpoint: SocketAddr,
        /// Its weight.
        weight: u32,
        /// Does it get traffic only when a check has succeeded (`alpha`)?
        waits: bool,
    },
    /// A real server is changed in place: its connections stay.
    ServerField {
        /// The virtual server as written.
        virtual_server: String,
        /// The services.
        services: Vec<ServiceKey>,
        /// The server.
        endpoint: SocketAddr,
        /// keepalived's keyword.
        field: &'static str,
        /// Before.
        old: String,
        /// After.
        new: String,
        /// Is it a setting of the kernel's destination? Else one of holdfast alone.
        in_kernel: bool,
    },
    /// A check is asked no more.
    CheckEnds {
        /// What was asked.
        question: Question,
    },
    /// A check is new, or its question changed: it begins without a verdict.
    CheckStarts {
        /// What is asked.
        question: Question,
    },
    /// Checks that go on with their verdict; said only beside other changes of checks.
    ChecksKept {
        /// How many.
        count: usize,
    },
}

impl Change {
    fn new(weight: Weight, what: What) -> Change {
        Change { weight, what }
    }
}

/// The consequences of a reload from `old` to `new`, the heaviest first; empty if there are none.
pub fn diff(old: &Plans, new: &Plans) -> Vec<Change> {
    let kept = marks::kept(&old.lvs, new);
    let new = kept.as_ref().unwrap_or(new);
    let mut changes = Vec::new();
    roles(old, new, &mut changes);
    vrrp::compare(&old.vrrp, &new.vrrp, &mut changes);
    groups::compare(&old.vrrp, &new.vrrp, &mut changes);
    notify::compare(&old.scripts.notify, &new.scripts.notify, &mut changes);
    trackers::compare(&old.scripts, &new.scripts, &mut changes);
    lvs::compare(&old.lvs, &new.lvs, &mut changes);
    bfd::compare(&old.bfd, &new.bfd, &mut changes);
    let (before, after) = (&old.global, &new.global);
    process::compare((&before.processes, &before.daemon), (&after.processes, &after.daemon), &mut changes);
    let (before, after) = (&old.global.router_id, &new.global.router_id);
    if before != after {
        let what = What::RouterId { old: before.clone(), new: after.clone() };
        changes.push(Change::new(Weight::Quiet, what));
    }
    // Stable: within a weight the order of the plans stays.
    changes.sort_by_key(|change| change.weight);
    changes
}

/// A role runs while the configuration gives it work.
fn roles(old: &Plans, new: &Plans, changes: &mut Vec<Change>) {
    let vrrp = |plans: &Plans| !plans.vrrp.routers.is_empty();
    let checker = |plans: &Plans| !plans.lvs.virtual_servers.is_empty();
    let bfd = |plans: &Plans| !plans.bfd.sessions.is_empty();
    let roles = [
        ("vrrp", vrrp(old), vrrp(new)),
        ("checker", checker(old), checker(new)),
        ("scripts", old.scripts.has_work(), new.scripts.has_work()),
        ("bfd", bfd(old), bfd(new)),
        ("snmp", old.snmp.has_work(), new.snmp.has_work()),
    ];
    for (role, before, after) in roles {
        if before != after {
            changes.push(Change::new(Weight::Quiet, What::Role { role, starts: after }));
        }
    }
    if old.snmp.has_work() && new.snmp.has_work() {
        changes.extend(snmp::changes(&old.snmp, &new.snmp));
    }
}

/// An address and the interface that holds it.
fn place<'a>(address: &'a VirtualAddress, key: &'a RouterKey) -> (IpCidr, &'a str) {
    (address.cidr, address.interface.as_deref().unwrap_or(&key.interface))
}
