//! The kernel's IPVS table: read it, change it; its timeouts and synchronisation daemons.
//!
//! No module needs to be loaded first: asking for the family makes the kernel load ip_vs, and a service makes it load
//! its scheduler and persistence engine, wherever it has them as modules and a modprobe (kernel.modprobe).

use super::genl::GenericSocket;
use super::ipvs_codec::{self as codec, command};
pub use super::ipvs_codec::{DestinationEntry, Info, ServiceRecord, Stats};
use super::message::Malformed;
use super::socket::NetlinkError;
pub use crate::lvs::sync::SyncDaemon;
use crate::lvs::table::{Service, ServiceSettings, Table, TableOp};
use crate::plan::lvs::{ServiceKey, SyncRole, SyncSettings, Timeouts};
use std::sync::Arc;

/// A door to the IPVS table of the network namespace of the thread that opened it. Blocking.
///
/// The kernel does not mark a listing that was changed meanwhile: with other writers about, list again when an
/// operation surprises.
#[derive(Debug)]
pub struct Ipvs {
    netlink: GenericSocket,
}

/// A service with its counters and destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Identity.
    pub key: ServiceKey,
    /// Settings.
    pub settings: ServiceSettings,
    /// The flags that a user sets: 0x1 persistent, 0x4 one-packet, 0x08, 0x10 and 0x20 the scheduler's.
    pub flags: u32,
    /// Counters.
    pub stats: Stats,
    /// Destinations, sorted by endpoint.
    pub destinations: Vec<DestinationEntry>,
}

impl Ipvs {
    /// Open; this loads ip_vs where the kernel has it as a module and the process may. ENOENT without IPVS.
    pub fn open() -> Result<Ipvs, NetlinkError> {
        let netlink = GenericSocket::open("IPVS").map_err(without_ipvs)?;
        Ok(Ipvs { netlink })
    }

    /// Version and size of the connection table.
    pub fn info(&mut self) -> Result<Info, NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let context = "cannot ask IPVS about itself";
            let request = codec::request(ipvs.netlink.family, command::GET_INFO);
            let answers = ipvs.netlink.socket.call(request, context)?;
            let answer = answers.first().ok_or(Malformed("no answer"));
            let info = answer.and_then(|answer| codec::decode_info(&answer.payload));
            info.map_err(|error| NetlinkError::malformed(error, context))
        })
    }

    /// The services in the kernel's order, without their destinations.
    pub fn services(&mut self) -> Result<Vec<ServiceRecord>, NetlinkError> {
        self.again_if_reloaded(Ipvs::services_once)
    }

    /// One service. ESRCH if there is none.
    pub fn service(&mut self, key: &ServiceKey) -> Result<ServiceRecord, NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let context = format!("cannot show the virtual service {key}");
            let request = codec::about(ipvs.netlink.family, command::GET_SERVICE, key);
            let answers = ipvs.netlink.socket.call(request, &context).map_err(no_such_service)?;
            let answer = answers.first().ok_or(Malformed("no answer"));
            let record = answer.and_then(|answer| codec::decode_service(&answer.payload));
            let record = record.and_then(|record| record.ok_or(Malformed("another service than asked for")));
            record.map_err(|error| NetlinkError::malformed(error, &context))
        })
    }

    /// The destinations of a service in the kernel's order. ESRCH if there is no such service.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, NetlinkError> {
        let context = format!("cannot list the destinations of {key}");
        let request = codec::about(self.netlink.family, command::GET_DEST, key);
        let decode = |_, payload: &[u8]| codec::decode_destination(payload, key.family()).map(Some);
        self.netlink.socket.dump_as(&request, &context, decode).map_err(no_such_service)
    }

    /// The table without counters, for comparing.
    pub fn dump(&mut self) -> Result<Table, NetlinkError> {
        self.again_if_reloaded(Ipvs::dump_once)
    }

    /// The table with counters, sorted by key.
    pub fn list(&mut self) -> Result<Vec<ServiceEntry>, NetlinkError> {
        self.again_if_reloaded(Ipvs::list_once)
    }

    /// Perform `ops` in order, many per system call; one result each. A refused one does not stop the others.
    pub fn apply(&mut self, ops: &[TableOp]) -> Vec<Result<(), NetlinkError>> {
        let mut results = self.apply_once(ops);
        let unknown = |result: &Result<(), NetlinkError>| {
            result.as_ref().is_err_and(|error| error.errno == libc::ENOENT)
        };
        // No such scheduler, no such destination, or no such family: in the last case nothing at all was done.
        if !results.is_empty() && results.iter().all(unknown) {
            match self.netlink.refresh() {
                Ok(false) => {}
                Ok(true) => results = self.apply_once(ops),
                Err(error) => return vec![Err(without_ipvs(error)); ops.len()],
            }
        }
        let explained = results.into_iter().zip(ops).map(|(result, op)| {
            result.map_err(|error| match explain(op, error.errno) {
                Some(words) => NetlinkError { message: words, ..error },
                None => error,
            })
        });
        explained.collect()
    }

    /// Remove every service, whoever made it.
    pub fn flush(&mut self) -> Result<(), NetlinkError> {
        self.command(command::FLUSH, "cannot empty the IPVS table")
    }

    /// Set the counters of a service and its destinations to zero, or those of all (`None`). ESRCH if there is no such
    /// service.
    pub fn zero(&mut self, key: Option<&ServiceKey>) -> Result<(), NetlinkError> {
        let Some(key) = key else { return self.command(command::ZERO, "cannot zero the counters") };
        self.again_if_reloaded(|ipvs| {
            let context = format!("cannot zero the counters of {key}");
            let request = codec::about(ipvs.netlink.family, command::ZERO, key);
            ipvs.netlink.socket.call(request, &context).map(drop).map_err(no_such_service)
        })
    }

    /// How long the kernel keeps connections.
    pub fn timeouts(&mut self) -> Result<Timeouts, NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let context = "cannot read the IPVS timeouts";
            let request = codec::request(ipvs.netlink.family, command::GET_CONFIG);
            let answers = ipvs.netlink.socket.call(request, context)?;
            let answer = answers.first().ok_or(Malformed("no answer"));
            let timeouts = answer.and_then(|answer| codec::decode_timeouts(&answer.payload));
            timeouts.map_err(|error| NetlinkError::malformed(error, context))
        })
    }

    /// Set them; what is 0 stays as it is.
    pub fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let request = codec::timeouts(ipvs.netlink.family, timeouts);
            ipvs.netlink.socket.call(request, "cannot set the IPVS timeouts").map(drop)
        })
    }

    /// The synchronisation daemons that run, at most one of each role.
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let request = codec::request(ipvs.netlink.family, command::GET_DAEMON);
            let decode = |_, payload: &[u8]| codec::decode_daemon(payload).map(Some);
            ipvs.netlink.socket.dump_as(&request, "cannot list the synchronisation daemons", decode)
        })
    }

    /// Start a synchronisation daemon. EEXIST if one of this role runs, ENODEV without its interface.
    pub fn start_daemon(&mut self, role: SyncRole, settings: &SyncSettings) -> Result<(), NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let context = format!("cannot start the {role} synchronisation daemon on {}", settings.interface);
            let request = codec::start_daemon(ipvs.netlink.family, role, settings);
            ipvs.netlink.socket.call(request, &context).map(drop).map_err(explain_daemon)
        })
    }

    /// Stop one. ESRCH if none of this role runs.
    pub fn stop_daemon(&mut self, role: SyncRole) -> Result<(), NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let context = format!("cannot stop the {role} synchronisation daemon");
            let family = ipvs.netlink.family;
            // One that has not run yet ends "interrupted", which the kernel does not acknowledge: a question behind
            // it tells that it is done.
            let requests = vec![codec::stop_daemon(family, role), codec::request(family, command::GET_INFO)];
            let results = ipvs.netlink.socket.batch(requests, |_| context.clone());
            match results.into_iter().next() {
                Some(Err(error)) if error.errno == libc::EINTR => Ok(()),
                Some(result) => result.map_err(explain_daemon),
                None => Ok(()), // two were asked
            }
        })
    }

    fn command(&mut self, command: u8, context: &str) -> Result<(), NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let request = codec::request(ipvs.netlink.family, command);
            ipvs.netlink.socket.call(request, context).map(drop)
        })
    }

    fn services_once(&mut self) -> Result<Vec<ServiceRecord>, NetlinkError> {
        let request = codec::request(self.netlink.family, command::GET_SERVICE);
        let decode = |_, payload: &[u8]| codec::decode_service(payload);
        self.netlink.socket.dump_as(&request, "cannot list the IPVS services", decode)
    }

    /// A service after the other: one that looks often keeps no room for counters that it drops.
    fn dump_once(&mut self) -> Result<Table, NetlinkError> {
        let mut table = Table::default();
        for codec::ServiceRecord { key, settings, .. } in self.services_once()? {
            let destinations = match self.destinations(&key) {
                // Deleted by somebody else since it was listed.
                Err(error) if error.errno == libc::ESRCH => continue,
                destinations => destinations?.into_iter().map(|dest| (dest.endpoint, dest.destination)),
            };
            let service = Service { settings, destinations: destinations.collect() };
            table.services.insert(key, Arc::new(service));
        }
        Ok(table)
    }

    fn list_once(&mut self) -> Result<Vec<ServiceEntry>, NetlinkError> {
        let mut entries = Vec::new();
        for codec::ServiceRecord { key, settings, flags, stats } in self.services_once()? {
            let mut destinations = match self.destinations(&key) {
                // Deleted by somebody else since it was listed.
                Err(error) if error.errno == libc::ESRCH => continue,
                destinations => destinations?,
            };
            destinations.sort_by_key(|entry| entry.endpoint);
            destinations.dedup_by_key(|entry| entry.endpoint);
            entries.push(ServiceEntry { key, settings, flags, stats, destinations });
        }
        // The kernel lists in the order of its hash table, and one that changes meanwhile may be listed twice.
        entries.sort_by_key(|entry| entry.key);
        entries.dedup_by_key(|entry| entry.key);
        Ok(entries)
    }

    fn apply_once(&mut self, ops: &[TableOp]) -> Vec<Result<(), NetlinkError>> {
        let requests = ops.iter().map(|op| codec::encode(self.netlink.family, op)).collect();
        let describe = |index| ops.get(index).map(describe).unwrap_or_default();
        // No change of the table can be interrupted.
        self.netlink.socket.batch_of_few_words(requests, describe)
    }

    /// ENOENT from a request that names nothing but the family means that the family's number is not known (any
    /// more): ip_vs was unloaded, and perhaps loaded again. Look for it, and try once more.
    fn again_if_reloaded<T>(
        &mut self,
        request: impl Fn(&mut Ipvs) -> Result<T, NetlinkError>,
    ) -> Result<T, NetlinkError> {
        match request(self) {
            Err(error) if error.errno == libc::ENOENT => {
                self.netlink.refresh().map_err(without_ipvs)?;
                request(self)
            }
            result => result,
        }
    }
}

fn without_ipvs(error: NetlinkError) -> NetlinkError {
    if error.errno != libc::ENOENT {
        return error;
    }
    NetlinkError {
        errno: error.errno,
        message: "virtual servers cannot be programmed; load ip_vs".into(),
        context: "this kernel has no IPVS (generic netlink family \"IPVS\" unknown)".into(),
    }
}

fn no_such_service(error: NetlinkError) -> NetlinkError {
    match error.errno {
        libc::ESRCH => NetlinkError { message: "No such service".into(), ..error },
        _ => error,
    }
}

/// The terms are ipvsadm's where it has any.
fn explain_daemon(error: NetlinkError) -> NetlinkError {
    let message = match error.errno {
        libc::EEXIST => "Daemon has already run",
        libc::ESRCH => "No daemon is running",
        libc::ENODEV => "there is no such interface",
        libc::EINVAL => {
            "Invalid settings: the group must be multicast, a message of at most the interface's MTU, and no \
             destination of another address family than its service's"
        }
        _ => return error,
    };
    NetlinkError { message: message.into(), ..error }
}

fn describe(op: &TableOp) -> String {
    match op {
        TableOp::AddService(key, settings) => {
            format!("cannot add the virtual service {key} with scheduler {}", settings.scheduler)
        }
        TableOp::EditService(key, settings) => {
            format!("cannot change the virtual service {key} with scheduler {}", settings.scheduler)
        }
        TableOp::DelService(key) => format!("cannot delete the virtual service {key}"),
        TableOp::AddDest(key, endpoint, _) => format!("cannot add the destination {endpoint} to {key}"),
        TableOp::EditDest(key, endpoint, _) => format!("cannot change the destination {endpoint} of {key}"),
        TableOp::DelDest(key, endpoint) => format!("cannot delete the destination {endpoint} of {key}"),
    }
}

/// IPVS gives no words of its own, only an errno, and the same errno means different things for different
/// operations. The terms are ipvsadm's. `None`: the errno says it all.
fn explain(op: &TableOp, errno: i32) -> Option<String> {
    use TableOp::{AddService, EditService};
    if let (libc::ENOENT, AddService(_, settings) | EditService(_, settings)) = (errno, op) {
        let engine = settings.persistence_engine.as_ref();
        let engine = engine.map(|name| format!(" or ip_vs_pe_{name}")).unwrap_or_default();
        let scheduler = &settings.scheduler;
        return Some(format!(
            "Scheduler or persistence engine not found: the kernel module ip_vs_{scheduler}{engine} is not there or \
             could not be loaded"
        ));
    }
    explain_alike(op, errno).map(str::to_owned)
}

fn explain_alike(op: &TableOp, errno: i32) -> Option<&'static str> {
    use TableOp::{AddDest, AddService, DelDest, DelService, EditDest, EditService};
    Some(match (errno, op) {
        (libc::EEXIST, AddService(..)) => "Service already exists",
        (libc::EEXIST, AddDest(..)) => "Destination already exists",
        (libc::ESRCH, EditService(..) | DelService(_)) => "No such service",
        (libc::ESRCH, AddDest(..) | EditDest(..) | DelDest(..)) => "Service not defined",
        (libc::ENOENT, EditDest(..) | DelDest(..)) => "No such destination",
        (libc::EINVAL, AddDest(..) | EditDest(..)) => {
            "Invalid destination: its address must be unicast and, without tunnelling or while connections are \
             synchronised, of the service's family; a network namespace that never had an address (not even lo up) \
             refuses every one"
        }
        (libc::EINVAL, AddService(..) | EditService(..)) => {
            "Invalid service: wrong persistence mask, or a scheduler that does not suit the family or protocol"
        }
        (libc::ERANGE, AddDest(..) | EditDest(..)) => {
            "Weight below 0, or lower connection threshold above the upper one"
        }
        (libc::EAFNOSUPPORT, _) => "Address family not supported by this kernel's IPVS",
        (libc::EOPNOTSUPP, _) => "Operation not supported with IPv6",
        (libc::EPERM, _) => "Permission denied (this needs CAP_NET_ADMIN in the network namespace)",
        (libc::ENOMEM, _) => "Memory allocation problem in the kernel",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::AddressFamily;

    #[test]
    fn the_same_errno_is_explained_by_what_was_tried() {
        let key = ServiceKey::FwMark { family: AddressFamily::V4, mark: 1 };
        let endpoint = "10.0.0.1:80".parse().unwrap();
        let (del_service, del_dest) = (TableOp::DelService(key), TableOp::DelDest(key, endpoint));
        let said = |op, errno| explain(op, errno).unwrap_or_default();
        assert_eq!(said(&del_service, libc::ESRCH), "No such service");
        assert_eq!(said(&del_dest, libc::ESRCH), "Service not defined");
        assert_eq!(said(&del_dest, libc::ENOENT), "No such destination");
        assert_eq!(explain(&del_dest, libc::EIO), None);
        assert_eq!(describe(&del_dest), "cannot delete the destination 10.0.0.1:80 of FWM 1");
    }

    #[test]
    fn a_kernel_without_ipvs_is_named_as_such() {
        // On a kernel with IPVS this only shows that the family is found.
        if let Err(error) = Ipvs::open() {
            assert_eq!(
                error.to_string(),
                "this kernel has no IPVS (generic netlink family \"IPVS\" unknown): \
                 virtual servers cannot be programmed; load ip_vs"
            );
        }
    }
}
