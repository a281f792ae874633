//! Bytes to values and back. Pure, total: no input whatever makes it panic.

pub mod agentx;
pub mod ah;
pub mod arp;
pub mod bfd;
pub mod checksum;
pub mod discard;
pub mod dns;
pub mod icmp;
pub mod ndp;
pub mod trailer;
pub mod vrrp;
pub mod x509;
