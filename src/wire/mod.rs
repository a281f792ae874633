//! Bytes to values and back. Pure, total: no input whatever makes it panic.

pub mod arp;
pub mod bfd;
pub mod checksum;
pub mod icmp;
pub mod ndp;
pub mod vrrp;
