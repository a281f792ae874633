//! Load-balancer policy, pure: verdicts and configuration to a desired table, and the difference between
//! that and what the kernel has.

pub mod director;
pub mod notify;
pub mod reconcile;
pub mod sync;
pub mod table;
pub mod traffic;
