//! Socket options by number, for those that no safe library covers.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Plain kernel structures: every bit pattern may be read by the kernel, no pointers inside.
pub(super) trait Plain: Copy {}
impl Plain for libc::c_int {}
impl Plain for libc::ip_mreqn {}
impl Plain for libc::ipv6_mreq {}

/// setsockopt with one structure as value.
pub(super) fn set<T: Plain>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: `value` is a live reference to `size_of::<T>()` octets that the kernel only reads, and `T` is Plain.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ask for a receive buffer of `octets`, beyond net.core.rmem_max if the process may; best effort.
pub(super) fn grow_receive_buffer(socket: &impl AsFd, octets: usize) {
    let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &octets).is_err() {
        // Without CAP_NET_ADMIN the kernel clips to rmem_max; a smaller buffer only means an earlier overrun.
        let _ = set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &octets);
    }
}

/// Ask for a send buffer of `octets`, beyond net.core.wmem_max if the process may; best effort.
pub(super) fn grow_send_buffer(socket: &impl AsFd, octets: usize) {
    let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    if set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &octets).is_err() {
        // As above: a smaller buffer only means an earlier EAGAIN.
        let _ = set(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &octets);
    }
}
