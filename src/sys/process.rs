//! Attributes of the process, and what a role does once at its start.

use super::option;
use std::os::fd::AsFd;

/// Ask for a receive buffer of `octets`, beyond net.core.rmem_max if the process may; best effort.
pub fn grow_receive_buffer(socket: &impl AsFd, octets: usize) {
    option::grow_receive_buffer(socket, octets);
}
