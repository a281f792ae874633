//! The IPVS interface as the kernel speaks it, for `ipvsadm`: every value it takes, also those that no plan of ours
//! would say (masks with holes, flags without persistence), in the kernel's order, read as a stream.

pub(super) mod codec;

use super::genl::{GenericSocket, request as generic_request};
use super::ipvs_codec::{Info, Stats, decode_info};
use super::message::Request;
use super::socket::NetlinkError;
use crate::net::AddressFamily;
use crate::plan::lvs::ServiceKey;
use codec::command;
use std::net::IpAddr;

/// Version of the interface (IPVS_GENL_VERSION).
const VERSION: u8 = 1;

/// A virtual service: as identity only the first five fields count, `mark` before all if it is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawService {
    /// Family of the packets.
    pub family: AddressFamily,
    /// IPPROTO_*.
    pub protocol: u16,
    /// Virtual address.
    pub address: IpAddr,
    /// Virtual port.
    pub port: u16,
    /// Firewall mark, 0 for none.
    pub mark: u32,
    /// Name of the scheduler, at most 15 octets.
    pub scheduler: String,
    /// Name of the persistence engine, or empty.
    pub engine: String,
    /// IP_VS_SVC_F_*: [`PERSISTENT`], [`ONE_PACKET`] and three of the scheduler, 0x08 to 0x20.
    pub flags: u32,
    /// Seconds of persistence.
    pub timeout: u32,
    /// Persistence mask: four octets for IPv4; a number of bits in the machine's order for IPv6.
    pub netmask: [u8; 4],
    /// Counters.
    pub stats: Stats,
}

impl RawService {
    /// The identity of a service; nothing else is set.
    pub fn of_key(key: &ServiceKey) -> RawService {
        let (protocol, address, port, mark) = match key {
            ServiceKey::Endpoint { protocol, address, port } => {
                (u16::from(protocol.number()), *address, *port, 0)
            }
            ServiceKey::FwMark { family: AddressFamily::V4, mark } => (0, IpAddr::from([0; 4]), 0, *mark),
            ServiceKey::FwMark { family: AddressFamily::V6, mark } => (0, IpAddr::from([0; 16]), 0, *mark),
        };
        RawService {
            family: key.family(),
            protocol,
            address,
            port,
            mark,
            scheduler: String::new(),
            engine: String::new(),
            flags: 0,
            timeout: 0,
            netmask: [255; 4],
            stats: Stats::default(),
        }
    }
}

/// The flag of a persistent service.
pub const PERSISTENT: u32 = 0x1;
/// The flag of one-packet scheduling.
pub const ONE_PACKET: u32 = 0x4;
/// The bits of a destination's forwarding method.
pub const FORWARDING_MASK: u32 = 0x7;
/// NAT.
pub const MASQUERADE: u32 = 0;
/// The kernel's own word for a destination on this host.
pub const LOCAL: u32 = 1;
/// Tunnelling.
pub const TUNNEL: u32 = 2;
/// Direct routing.
pub const DIRECT: u32 = 3;

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDestination {
    /// Address, perhaps of another family than the service's.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// One of [`MASQUERADE`], [`TUNNEL`], [`DIRECT`]; the kernel also says [`LOCAL`].
    pub forwarding: u32,
    /// Weight.
    pub weight: u32,
    /// Upper connection threshold, 0 for none.
    pub upper_threshold: u32,
    /// Lower connection threshold, 0 for none.
    pub lower_threshold: u32,
    /// 0 ipip, 1 gue, 2 gre.
    pub tunnel_kind: u8,
    /// UDP port of gue.
    pub tunnel_port: u16,
    /// 0 no checksum, 1 full checksum, 2 remote checksum offload.
    pub tunnel_flags: u16,
    /// Connections in an established state.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Counters.
    pub stats: Stats,
}

impl RawDestination {
    /// A destination of weight 1 that has no address yet.
    pub fn nowhere() -> RawDestination {
        RawDestination {
            address: IpAddr::from([0; 4]),
            port: 0,
            forwarding: DIRECT,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel_kind: 0,
            tunnel_port: 0,
            tunnel_flags: 0,
            active: 0,
            inactive: 0,
            persistent: 0,
            stats: Stats::default(),
        }
    }
}

/// Seconds; 0 keeps a value when set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawTimeouts {
    /// Established TCP.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// A connection synchronisation daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawDaemon {
    /// 1 master, 2 backup.
    pub state: u32,
    /// Multicast interface.
    pub interface: String,
    /// Identity of the group of directors.
    pub syncid: u32,
    /// Longest message, 0 for the kernel's choice.
    pub maxlen: u16,
    /// Multicast group, none for the kernel's choice.
    pub group: Option<IpAddr>,
    /// UDP port, 0 for the kernel's choice.
    pub port: u16,
    /// TTL, 0 for the kernel's choice.
    pub ttl: u8,
}

/// A door to the IPVS of the network namespace of the thread that opened it. Blocking.
#[derive(Debug)]
pub struct RawIpvs {
    netlink: GenericSocket,
}

impl RawIpvs {
    /// Open; ENOENT without IPVS.
    pub fn open() -> Result<RawIpvs, NetlinkError> {
        Ok(RawIpvs { netlink: GenericSocket::open("IPVS")? })
    }

    /// Version and size of the connection table.
    pub fn info(&mut self) -> Result<Info, NetlinkError> {
        let mut info = None;
        let request = self.request(command::GET_INFO);
        for answer in self.netlink.socket.call(request, "cannot ask IPVS about itself")? {
            info = Some(decode_info(&answer.payload));
        }
        let info = info.unwrap_or(Err(super::message::Malformed("no answer")));
        info.map_err(|error| NetlinkError::malformed(error, "cannot ask IPVS about itself"))
    }

    /// All services in the kernel's order.
    pub fn services(&mut self) -> Result<Vec<RawService>, NetlinkError> {
        let request = self.request(command::GET_SERVICE);
        let mut services = Vec::new();
        self.netlink.socket.dump_each(&request, "cannot list the IPVS services", |payload| {
            services.push(codec::service(payload)?);
            Ok(())
        })?;
        Ok(services)
    }

    /// One service with what the kernel knows of it. ESRCH if there is none.
    pub fn service(&mut self, key: &RawService) -> Result<RawService, NetlinkError> {
        let context = "cannot read the IPVS service";
        let mut request = self.request(command::GET_SERVICE);
        request.nest(codec::SERVICE, |nest| codec::put_key(nest, key));
        let answers = self.netlink.socket.call(request, context)?;
        let first = answers.first().ok_or(super::message::Malformed("no answer"));
        let service = first.and_then(|answer| codec::service(&answer.payload));
        service.map_err(|error| NetlinkError::malformed(error, context))
    }

    /// The destinations of a service, decoded as they arrive, in the kernel's order.
    pub fn destinations(&mut self, key: &RawService) -> Result<Vec<RawDestination>, NetlinkError> {
        let mut request = self.request(command::GET_DEST);
        request.nest(codec::SERVICE, |nest| codec::put_key(nest, key));
        let mut destinations = Vec::new();
        self.netlink.socket.dump_each(&request, "cannot list the IPVS destinations", |payload| {
            destinations.push(codec::destination(payload, key.family)?);
            Ok(())
        })?;
        Ok(destinations)
    }

    /// Add a service, or change one.
    pub fn set_service(&mut self, service: &RawService, new: bool) -> Result<(), NetlinkError> {
        let mut request = self.request(if new { command::NEW_SERVICE } else { command::SET_SERVICE });
        request.nest(codec::SERVICE, |nest| codec::put_service(nest, service));
        self.order(request)
    }

    /// Delete a service.
    pub fn delete_service(&mut self, key: &RawService) -> Result<(), NetlinkError> {
        let mut request = self.request(command::DEL_SERVICE);
        request.nest(codec::SERVICE, |nest| codec::put_key(nest, key));
        self.order(request)
    }

    /// Add a destination, or change one.
    pub fn set_destination(
        &mut self,
        key: &RawService,
        destination: &RawDestination,
        new: bool,
    ) -> Result<(), NetlinkError> {
        let mut request = self.request(if new { command::NEW_DEST } else { command::SET_DEST });
        request.nest(codec::SERVICE, |nest| codec::put_key(nest, key));
        request.nest(codec::DEST, |nest| codec::put_destination(nest, destination));
        self.order(request)
    }

    /// Delete a destination.
    pub fn delete_destination(
        &mut self,
        key: &RawService,
        destination: &RawDestination,
    ) -> Result<(), NetlinkError> {
        let mut request = self.request(command::DEL_DEST);
        request.nest(codec::SERVICE, |nest| codec::put_key(nest, key));
        request.nest(codec::DEST, |nest| codec::put_endpoint(nest, destination));
        self.order(request)
    }

    /// Remove everything.
    pub fn flush(&mut self) -> Result<(), NetlinkError> {
        let request = self.request(command::FLUSH);
        self.order(request)
    }

    /// Zero the counters of a service, or of everything.
    pub fn zero(&mut self, key: Option<&RawService>) -> Result<(), NetlinkError> {
        let mut request = self.request(command::ZERO);
        if let Some(key) = key {
            request.nest(codec::SERVICE, |nest| codec::put_key(nest, key));
        }
        self.order(request)
    }

    /// The timeouts in force.
    pub fn timeouts(&mut self) -> Result<RawTimeouts, NetlinkError> {
        let context = "cannot read the IPVS timeouts";
        let request = self.request(command::GET_CONFIG);
        let answers = self.netlink.socket.call(request, context)?;
        let first = answers.first().ok_or(super::message::Malformed("no answer"));
        let timeouts = first.and_then(|answer| codec::timeouts(&answer.payload));
        timeouts.map_err(|error| NetlinkError::malformed(error, context))
    }

    /// Change timeouts.
    pub fn set_timeouts(&mut self, timeouts: RawTimeouts) -> Result<(), NetlinkError> {
        let mut request = self.request(command::SET_CONFIG);
        codec::put_timeouts(&mut request, timeouts);
        self.order(request)
    }

    /// The daemons that run: at most a master and a backup.
    pub fn daemons(&mut self) -> Result<Vec<RawDaemon>, NetlinkError> {
        let request = self.request(command::GET_DAEMON);
        let mut daemons = Vec::new();
        self.netlink.socket.dump_each(&request, "cannot list the IPVS daemons", |payload| {
            daemons.push(codec::daemon(payload)?);
            Ok(())
        })?;
        Ok(daemons)
    }

    /// Start a daemon.
    pub fn start_daemon(&mut self, daemon: &RawDaemon) -> Result<(), NetlinkError> {
        let mut request = self.request(command::NEW_DAEMON);
        request.nest(codec::DAEMON, |nest| codec::put_daemon(nest, daemon));
        self.order(request)
    }

    /// Stop a daemon.
    pub fn stop_daemon(&mut self, daemon: &RawDaemon) -> Result<(), NetlinkError> {
        let mut request = self.request(command::DEL_DAEMON);
        request.nest(codec::DAEMON, |nest| codec::put_daemon(nest, daemon));
        self.order(request)
    }

    fn request(&self, command: u8) -> Request {
        generic_request(self.netlink.family, command, VERSION)
    }

    fn order(&mut self, request: Request) -> Result<(), NetlinkError> {
        self.netlink.socket.call(request, "the kernel's IPVS refuses").map(drop)
    }
}
