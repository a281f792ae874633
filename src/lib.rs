//! holdfast: VRRP election, IPVS and health checks for Linux, reading keepalived.conf.
//!
//! Modules stand in layer order: each may use the ones above it, never the ones below
//! (docs/ARCHITECTURE.md; `tests/tidy.rs` checks it). The pure cores (`vrrp`, `check`, `lvs`) know no
//! clock, no socket, no runtime. Unsafe code stands only in `sys`.
#![deny(unsafe_code)]

pub mod net;
pub mod time;

pub mod wire;

pub mod plan;

pub mod config;

pub mod bfd;
pub mod check;
pub mod lvs;
pub mod track;
pub mod vrrp;

pub mod report;

pub mod link;

pub mod notify;

pub mod netlink;
pub mod sys;

pub mod role;

pub mod cli;

pub mod ctl;
pub mod supervisor;

/// What the fuzz targets among the sources share with those in `tests`.
#[cfg(test)]
#[path = "../tests/fuzz/mod.rs"]
mod fuzzing;
