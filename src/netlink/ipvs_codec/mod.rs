//! The attributes of IPVS (linux/ip_vs.h): tables and changes to octets and back.

mod config;
mod decode;
mod encode;

pub use config::decode_daemon;
pub(super) use config::{decode_timeouts, start_daemon, stop_daemon, timeouts};
pub use decode::{decode_destination, decode_service};
pub(super) use decode::{decode_info, decode_stats};
pub use encode::encode;
pub(super) use encode::{about, request};

use super::message::Malformed;
use crate::lvs::table::{Destination, ServiceSettings};
use crate::net::AddressFamily;
use crate::plan::lvs::{Granularity, ServiceKey};
use std::net::{IpAddr, SocketAddr};

/// IPVS_CMD_*.
pub(super) mod command {
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const GET_SERVICE: u8 = 4;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const GET_DEST: u8 = 8;
    pub const NEW_DAEMON: u8 = 9;
    pub const DEL_DAEMON: u8 = 10;
    pub const GET_DAEMON: u8 = 11;
    pub const SET_CONFIG: u8 = 12;
    pub const GET_CONFIG: u8 = 13;
    pub const GET_INFO: u8 = 15;
    pub const ZERO: u8 = 16;
    pub const FLUSH: u8 = 17;
}

/// IPVS_CMD_ATTR_*.
const SERVICE: u16 = 1;
const DEST: u16 = 2;
const DAEMON: u16 = 3;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;

/// IPVS_SVC_ATTR_*.
mod service {
    pub const AF: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const ADDR: u16 = 3;
    pub const PORT: u16 = 4;
    pub const FWMARK: u16 = 5;
    pub const SCHED_NAME: u16 = 6;
    pub const FLAGS: u16 = 7;
    pub const TIMEOUT: u16 = 8;
    pub const NETMASK: u16 = 9;
    pub const STATS: u16 = 10;
    pub const PE_NAME: u16 = 11;
    pub const STATS64: u16 = 12;
}

/// IPVS_DEST_ATTR_*.
mod dest {
    pub const ADDR: u16 = 1;
    pub const PORT: u16 = 2;
    pub const FWD_METHOD: u16 = 3;
    pub const WEIGHT: u16 = 4;
    pub const U_THRESH: u16 = 5;
    pub const L_THRESH: u16 = 6;
    pub const ACTIVE_CONNS: u16 = 7;
    pub const INACT_CONNS: u16 = 8;
    pub const PERSIST_CONNS: u16 = 9;
    pub const STATS: u16 = 10;
    pub const ADDR_FAMILY: u16 = 11;
    pub const STATS64: u16 = 12;
    pub const TUN_TYPE: u16 = 13;
    pub const TUN_PORT: u16 = 14;
    pub const TUN_FLAGS: u16 = 15;
}

/// IPVS_DAEMON_ATTR_*.
mod daemon {
    pub const STATE: u16 = 1;
    pub const MCAST_IFN: u16 = 2;
    pub const SYNC_ID: u16 = 3;
    pub const SYNC_MAXLEN: u16 = 4;
    pub const MCAST_GROUP: u16 = 5;
    pub const MCAST_GROUP6: u16 = 6;
    pub const MCAST_PORT: u16 = 7;
    pub const MCAST_TTL: u16 = 8;
}

/// IPVS_INFO_ATTR_*.
const INFO_VERSION: u16 = 1;
const INFO_TABLE_SIZE: u16 = 2;

/// Service flags (IP_VS_SVC_F_*). 0x2 (HASHED) is the kernel's own.
const PERSISTENT: u32 = 0x1;
const ONE_PACKET: u32 = 0x4;
const SCHEDULER_FLAGS: u32 = 0x38;
/// The flags that a user sets, as `ipvsadm` counts them.
pub const USER_FLAGS: u32 = PERSISTENT | ONE_PACKET | SCHEDULER_FLAGS;

/// The low bits of a destination's flags (IP_VS_CONN_F_FWD_MASK).
const FORWARDING_MASK: u32 = 0x7;
const MASQUERADE: u32 = 0;
const TUNNEL: u32 = 2;
const DIRECT: u32 = 3;

/// IP_VS_CONN_F_TUNNEL_TYPE_*.
const TUNNEL_IPIP: u8 = 0;
const TUNNEL_GUE: u8 = 1;
const TUNNEL_GRE: u8 = 2;

/// IP_VS_TUNNEL_ENCAP_FLAG_*.
const CHECKSUM_FULL: u16 = 1;
const CHECKSUM_REMOTE: u16 = 2;

/// What IPVS says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Version: major, minor, patch.
    pub version: (u8, u8, u8),
    /// Slots of the connection table.
    pub table_size: u32,
}

/// Counters of a service or destination; rates are the kernel's estimates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients (masquerading only).
    pub out_packets: u64,
    /// Octets from clients.
    pub in_bytes: u64,
    /// Octets to clients.
    pub out_bytes: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets from clients per second.
    pub in_packet_rate: u64,
    /// Packets to clients per second.
    pub out_packet_rate: u64,
    /// Octets from clients per second.
    pub in_byte_rate: u64,
    /// Octets to clients per second.
    pub out_byte_rate: u64,
}

/// A service as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Identity.
    pub key: ServiceKey,
    /// Settings.
    pub settings: ServiceSettings,
    /// The flags that a user sets: 0x1 persistent, 0x4 one-packet, 0x08, 0x10 and 0x20 the scheduler's.
    pub flags: u32,
    /// Counters.
    pub stats: Stats,
}

/// A destination as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationEntry {
    /// Address and port.
    pub endpoint: SocketAddr,
    /// Settings.
    pub destination: Destination,
    /// Connections in an established state.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Counters.
    pub stats: Stats,
}

fn family_number(family: AddressFamily) -> u16 {
    match family {
        AddressFamily::V4 => libc::AF_INET as u16,
        AddressFamily::V6 => libc::AF_INET6 as u16,
    }
}

fn family_of(number: u16) -> Option<AddressFamily> {
    [AddressFamily::V4, AddressFamily::V6].into_iter().find(|family| family_number(*family) == number)
}

/// union nf_inet_addr: sixteen octets, of which IPv4 uses the first four.
fn address_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn ip(family: AddressFamily, value: &[u8]) -> Result<IpAddr, Malformed> {
    let short = Malformed("IPVS address cut short");
    match family {
        AddressFamily::V4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)).ok_or(short),
        AddressFamily::V6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)).ok_or(short),
    }
}

/// The persistence mask: an address in network order for IPv4, a number of bits in the machine's order for IPv6.
fn netmask(family: AddressFamily, granularity: Granularity) -> [u8; 4] {
    match (family, granularity) {
        (AddressFamily::V4, Granularity::Netmask(mask)) => mask.octets(),
        (AddressFamily::V4, _) => [u8::MAX; 4],
        (AddressFamily::V6, Granularity::Prefix(bits)) => u32::from(bits).to_ne_bytes(),
        (AddressFamily::V6, _) => u32::from(family.host_prefix()).to_ne_bytes(),
    }
}

fn granularity(family: AddressFamily, netmask: [u8; 4]) -> Granularity {
    match family {
        AddressFamily::V4 => Granularity::netmask(netmask.into()),
        AddressFamily::V6 => {
            Granularity::prefix(u8::try_from(u32::from_ne_bytes(netmask)).unwrap_or(u8::MAX))
        }
    }
}

#[cfg(test)]
mod tests;
