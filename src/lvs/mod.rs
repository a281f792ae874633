//! Load-balancer policy, pure: verdicts and configuration to a desired table, and the difference between
//! that and what the kernel has.

mod answers;
pub mod director;
mod first_news;
mod floor;
mod growth;
pub mod notify;
pub mod ramp;
pub mod reconcile;
pub mod sync;
pub mod table;
pub mod traffic;
