//! `holdfastctl ipvs`: the kernel's table, read from the kernel, with or without a daemon.

mod listing;
mod names;

use super::{Done, print_json, text};
use crate::netlink::ipvs::{DestinationEntry, Info, Ipvs, ServiceEntry};
use listing::{DestinationLine, Listing, ServiceLine};
use names::Names;

pub(super) fn run(numeric: bool, json: bool) -> Done {
    let mut ipvs = Ipvs::open()?;
    let info = ipvs.info()?;
    let listing = listing(info, ipvs.list()?);
    if json {
        print_json(&listing)?;
    } else {
        let names = if numeric { Names::default() } else { Names::of_system() };
        text::print(&listing.render(&names));
    }
    Ok(0)
}

/// The kernel's table in ipvsadm's order.
fn listing(info: Info, entries: Vec<ServiceEntry>) -> Listing {
    let (major, minor, patch) = info.version;
    let mut listing = Listing {
        version: format!("{major}.{minor}.{patch}"),
        size: info.table_size,
        services: entries.into_iter().map(service).collect(),
    };
    listing.sort();
    listing
}

fn service(entry: ServiceEntry) -> ServiceLine {
    let settings = entry.settings;
    ServiceLine {
        key: entry.key,
        scheduler: settings.scheduler,
        scheduler_flags: settings.scheduler_flags,
        persistence_seconds: settings.persistence.map(|p| p.timeout_seconds),
        granularity_prefix: settings.persistence.map(|p| p.granularity_prefix),
        persistence_engine: settings.persistence_engine,
        one_packet: settings.one_packet,
        destinations: entry.destinations.into_iter().map(destination).collect(),
    }
}

fn destination(entry: DestinationEntry) -> DestinationLine {
    DestinationLine {
        endpoint: entry.endpoint,
        forwarding: entry.destination.forwarding,
        weight: entry.destination.weight,
        active_connections: entry.active,
        inactive_connections: entry.inactive,
    }
}
