//! The doors to the kernel, against a real kernel: each test in a network namespace of its own, on a thread of its
//! own. Needs root; without it each test says so and does nothing.

mod lease;
mod monitor;
mod namespace;
mod processes;
mod route;
mod sockets;
