//! The kernel's IPVS table: read it, change it.

use super::genl::GenericSocket;
use super::ipvs_codec::{self as codec, command};
pub use super::ipvs_codec::{DestinationEntry, Info, Stats};
use super::message::Malformed;
use super::socket::NetlinkError;
use crate::lvs::table::{Service, ServiceSettings, Table, TableOp};
use crate::plan::lvs::ServiceKey;

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

    /// The table without counters, for comparing.
    pub fn dump(&mut self) -> Result<Table, NetlinkError> {
        let services = self.list()?.into_iter().map(|entry| {
            let destinations = entry.destinations.into_iter().map(|dest| (dest.endpoint, dest.destination));
            (entry.key, Service { settings: entry.settings, destinations: destinations.collect() })
        });
        Ok(Table { services: services.collect() })
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
                Some(words) => NetlinkError { message: words.into(), ..error },
                None => error,
            })
        });
        explained.collect()
    }

    /// Remove every service, whoever made it.
    pub fn flush(&mut self) -> Result<(), NetlinkError> {
        self.again_if_reloaded(|ipvs| {
            let request = codec::request(ipvs.netlink.family, command::FLUSH);
            ipvs.netlink.socket.call(request, "cannot empty the IPVS table").map(drop)
        })
    }

    fn list_once(&mut self) -> Result<Vec<ServiceEntry>, NetlinkError> {
        let context = "cannot list the IPVS services";
        let request = codec::request(self.netlink.family, command::GET_SERVICE);
        let mut entries = Vec::new();
        for answer in self.netlink.socket.dump(&request, context)? {
            let record = codec::decode_service(&answer.payload);
            if let Some(record) = record.map_err(|error| NetlinkError::malformed(error, context))? {
                let destinations = self.destinations(&record.key)?;
                let codec::ServiceRecord { key, settings, flags, stats } = record;
                entries.push(ServiceEntry { key, settings, flags, stats, destinations });
            }
        }
        // The kernel lists in the order of its hash table, and one that changes meanwhile may be listed twice.
        entries.sort_by_key(|entry| entry.key);
        entries.dedup_by_key(|entry| entry.key);
        Ok(entries)
    }

    fn apply_once(&mut self, ops: &[TableOp]) -> Vec<Result<(), NetlinkError>> {
        let requests = ops.iter().map(|op| codec::encode(self.netlink.family, op)).collect();
        let describe = |index| ops.get(index).map(describe).unwrap_or_default();
        self.netlink.socket.batch(requests, describe)
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

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, NetlinkError> {
        let context = format!("cannot list the destinations of {key}");
        let request = codec::list_destinations(self.netlink.family, key);
        let answers = self.netlink.socket.dump(&request, &context)?;
        let decoded = answers.iter().map(|answer| codec::decode_destination(&answer.payload, key.family()));
        let result: Result<Vec<_>, Malformed> = decoded.collect();
        let mut entries = result.map_err(|error| NetlinkError::malformed(error, &context))?;
        entries.sort_by_key(|entry| entry.endpoint);
        entries.dedup_by_key(|entry| entry.endpoint);
        Ok(entries)
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
fn explain(op: &TableOp, errno: i32) -> Option<&'static str> {
    use TableOp::{AddDest, AddService, DelDest, DelService, EditDest, EditService};
    Some(match (errno, op) {
        (libc::EEXIST, AddService(..)) => "Service already exists",
        (libc::EEXIST, AddDest(..)) => "Destination already exists",
        (libc::ESRCH, EditService(..) | DelService(_)) => "No such service",
        (libc::ESRCH, AddDest(..) | EditDest(..) | DelDest(..)) => "Service not defined",
        (libc::ENOENT, AddService(..) | EditService(..)) => {
            "Scheduler or persistence engine not found; is its kernel module (ip_vs_NAME, ip_vs_pe_NAME) there?"
        }
        (libc::ENOENT, EditDest(..) | DelDest(..)) => "No such destination",
        (libc::EINVAL, AddDest(..) | EditDest(..)) => {
            "Invalid destination: its address must be unicast and, without tunnelling, of the service's family; \
             a network namespace that never had an address (not even lo up) refuses every one"
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
        assert_eq!(explain(&del_service, libc::ESRCH), Some("No such service"));
        assert_eq!(explain(&del_dest, libc::ESRCH), Some("Service not defined"));
        assert_eq!(explain(&del_dest, libc::ENOENT), Some("No such destination"));
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
