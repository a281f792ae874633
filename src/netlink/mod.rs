//! Netlink: links, addresses and the IPVS table. Synchronous; callers put requests on a worker or poll the monitor.
//!
//! Invariants: what the kernel sends is never trusted to be well formed and never silently dropped; every request
//! socket has extended ACK, capped ACK and strict checking on; every answer must come from port 0, the kernel.

mod address;
pub mod facts;
mod genl;
pub mod ipvs;
pub mod ipvs_codec;
pub mod ipvs_connections;
pub mod ipvs_raw;
mod link;
pub mod message;
pub mod monitor;
pub mod nftables;
pub mod proc_events;
pub mod route;
pub mod routing;
mod rule;
pub mod service_rules;
mod socket;
pub mod virtual_link;

#[cfg(test)]
mod fuzz;

pub use address::{Address, Lifetime};
pub use link::{Link, LinkTies};
pub use socket::{MAX_BATCH, NetlinkError, NetlinkSocket};
