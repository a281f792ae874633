//! Bytes to values and back. Pure, total: no input whatever makes it panic.

pub mod arp;
pub mod checksum;
pub mod ndp;
pub mod vrrp;
