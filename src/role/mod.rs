//! Drivers: the processes that perform what the pure cores decide.

/// The exit status with which a role says "do not restart me: I was told to stop".
pub const EXIT_STOPPED: u8 = 0;

pub mod checker;
pub mod ipvs_worker;
mod probe_io;
