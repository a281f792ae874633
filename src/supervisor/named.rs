//! The virtual addresses that the configuration in force names, written down for the daemon after this one: what an earlier
//! run held and the configuration names no more, nobody else would remove, and a peer that still names it takes it over.

use super::own_file;
use crate::link::kept::KeptPlans;
use crate::net::IpCidr;
use crate::netlink::NetlinkError;
use crate::netlink::route::RouteSocket;
use crate::plan::route::PROTOCOL_KEEPALIVED;
use crate::plan::vrrp::{RouterPlan, VrrpPlan};
use crate::vrrp::AddressOp;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

/// The largest file that is read, in octets: 4,000 routers of 20 addresses take half of it.
const MOST: u64 = 8 << 20;

/// Interface and address.
type Named = BTreeSet<(String, IpCidr)>;

/// An earlier run has ended, however that was: its addresses that `plans` do not name go, and those of `plans` are written
/// down at `path`.
pub fn succeed(path: &Path, plans: &KeptPlans) {
    let Some(new) = named_by(plans) else { return };
    let old = match own_file::read(path, MOST).map(|text| serde_json::from_slice::<Named>(&text)) {
        Ok(Ok(old)) => old,
        Err(error) if error.kind() == ErrorKind::NotFound => Named::new(),
        Ok(Err(error)) => return unknown(path, &error),
        Err(error) => return unknown(path, &error),
    };
    let forgotten: Named = old.difference(&new).cloned().collect();
    if !forgotten.is_empty()
        && let Err(error) = remove(&forgotten)
    {
        tracing::error!("{} addresses that an earlier run may have left stay: {error}", forgotten.len());
    }
    write(path, &new);
}

/// Writes down what `plans` name; nothing is left where they name nothing.
pub fn write_down(path: &Path, plans: &KeptPlans) {
    if let Some(named) = named_by(plans) {
        write(path, &named);
    }
}

fn write(path: &Path, named: &Named) {
    let written = match named.is_empty() {
        true => own_file::remove(path),
        false => own_file::write(path, named),
    };
    if let Err(error) = written {
        tracing::warn!(
            "{}: {error}; a daemon that follows a crash will not know which addresses this one held",
            path.display()
        );
    }
}

fn unknown(path: &Path, error: &dyn std::error::Error) {
    tracing::warn!(
        "{}: {error}; addresses of an earlier run that are not configured any more stay",
        path.display()
    );
}

fn named_by(plans: &KeptPlans) -> Option<Named> {
    match plans.vrrp_plan() {
        Ok(plan) => Some(names(&plan)),
        Err(error) => {
            tracing::error!("the addresses of the plan cannot be read: {error}");
            None
        }
    }
}

/// An owner's addresses are on its interface without us.
fn names(plan: &VrrpPlan) -> Named {
    let of = |router: &RouterPlan| {
        let own = router.key.interface.clone();
        let all = router.addresses.iter().chain(&router.excluded_addresses);
        all.map(|address| (address.interface.clone().unwrap_or_else(|| own.clone()), address.cidr))
            .collect::<Vec<_>>()
    };
    plan.routers.iter().filter(|router| !router.priority.is_owner()).flat_map(of).collect()
}

/// Removes those that are there and that nobody but us has put there, as far as the kernel says (Linux 5.18). One that says it
/// of no address, not even of the loopback's, does not know.
fn remove(forgotten: &Named) -> Result<(), NetlinkError> {
    let mut socket = RouteSocket::open()?;
    let links: BTreeMap<u32, String> =
        socket.links()?.into_iter().map(|link| (link.index, link.name)).collect();
    let addresses = socket.addresses()?;
    let says = addresses.iter().any(|address| address.protocol.is_some());
    let mut found = Vec::new();
    for address in addresses {
        let Some(name) = links.get(&address.interface) else { continue };
        let ours = !says || address.protocol == Some(PROTOCOL_KEEPALIVED);
        if ours && forgotten.contains(&(name.clone(), address.cidr)) {
            let peer = address.peer.map(Into::into);
            let op = AddressOp::Remove { interface: address.interface, cidr: address.cidr, peer };
            found.push((op, name.clone(), address.cidr));
        }
    }
    let ops: Vec<AddressOp> = found.iter().map(|(op, ..)| op.clone()).collect();
    for ((_, name, cidr), result) in found.iter().zip(socket.apply(&ops)) {
        match result {
            Ok(()) => tracing::warn!(
                "removed {cidr} from {name}: an earlier run held it, and it is configured no more"
            ),
            Err(error) => tracing::error!(
                "{cidr} on {name}, which an earlier run held, is configured no more and cannot be removed: {}; \
                 remove it by hand, or two nodes may have it",
                error.message
            ),
        }
    }
    Ok(())
}
