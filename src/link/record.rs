//! The record of a vrrp role: words in a file in memory, written by the role at each advertisement, read by the process
//! that follows it, and by a supervisor that finds a role without one. Here is its layout; `role/vrrp/record.rs` keeps it.
//!
//! Header of [`HEADER`] words, then places of [`PLACE`] words, one for each router. A router is Master if its place has
//! the time of an advertisement, which is stored last and cleared first.

/// The first word: whose file it is, and in which order its octets are.
pub const MAGIC: u64 = u64::from_be_bytes(*b"holdfast");

/// Another layout or another meaning has another number, and is refused.
pub const VERSION: u64 = 1;

/// Words before the first place.
pub const HEADER: usize = 16;

/// Words of a place.
pub const PLACE: usize = 8;

/// Words of the header.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::VERSION`].
    pub const VERSION: usize = 1;
    /// Boot id, first half, as a number.
    pub const BOOT: usize = 2;
    /// Second half.
    pub const BOOT_LOW: usize = 3;
    /// Inode of the network namespace.
    pub const NAMESPACE: usize = 4;
    /// Process id of the role.
    pub const PROCESS: usize = 5;
    /// When that process was started (proc_pid_stat(5), field 22): ids are used again.
    pub const BORN: usize = 6;
    /// Not 0: a new supervisor (its process id) asks a role without one to end and to leave everything as it is.
    pub const YIELD: usize = 7;
    /// When the role last said that it lives, in nanoseconds since boot.
    pub const ALIVE: usize = 8;
}

/// Words of a place. Times are nanoseconds since boot (CLOCK_BOOTTIME).
pub mod place {
    /// `vrrp::fingerprint` of the plan; 0 for an empty place.
    pub const FINGERPRINT: usize = 0;
    /// When the last advertisement left; 0 for whoever is not Master, or does not hold its addresses.
    pub const SPOKE_AT: usize = 1;
    /// How long after that its peers wait at least, in nanoseconds.
    pub const PATIENCE: usize = 2;
    /// State below (0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT), effective priority from bit 8 on.
    pub const STATE: usize = 3;
    /// Since when it is in that state.
    pub const SINCE: usize = 4;
    /// Numbers of the authentication header.
    pub const NUMBERS: usize = 5;
    /// The last trailer's sequence.
    pub const TRAILER: usize = 6;
    /// Until when a weaker Master is left in peace (`failover --hold`); 0 for not.
    pub const HELD_BACK: usize = 7;
}
