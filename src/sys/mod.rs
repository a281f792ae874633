//! The only unsafe code of the crate, and the thin safe doors in front of it: clock, timer, poller, raw and packet
//! sockets, and the attributes of the process. Everything is synchronous; every descriptor is close-on-exec.
//!
//! Invariant: nothing here decides. A value goes to the kernel or comes from it, with its units named.

pub mod bfd_socket;
pub mod calendar;
pub mod capabilities;
pub mod child;
pub mod clock;
pub mod closing;
pub mod edges;
pub mod landlock;
pub mod link_state;
pub mod membership;
mod mmsg;
pub mod no_link;
mod option;
pub mod packet_socket;
pub mod poll;
pub mod process;
pub mod readable;
pub mod screen;
pub mod seccomp;
pub mod shared_words;
pub mod timer;
pub mod vrrp_socket;
