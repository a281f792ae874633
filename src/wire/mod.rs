//! Bytes to values and back. Pure, total: no input whatever makes it panic.
pub mod icmp;
