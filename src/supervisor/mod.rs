//! The parent of all roles: starts them, listens for their hearts, hands out plans, reloads, stops, and answers
//! `holdfastctl`. It parses no configuration and touches no network.

mod appointment;
mod ask_checker;
mod ask_servers;
mod asked;
mod backoff;
mod child;
mod compiler;
mod control;
#[cfg(test)]
mod control_fuzz;
mod difference;
mod dispatch;
mod dump;
mod guard;
mod life;
mod marker;
mod memory;
mod named;
mod orders;
mod overrides_file;
mod own_file;
mod pidfile;
mod privileges;
mod relay;
mod relay_checks;
mod reload;
mod run;
pub mod settings;
mod signals;
mod slot;
mod start;
mod status;
mod takeover;
mod traffic;
mod upgrade;
mod worker;

pub use settings::{Launcher, Limits, Settings};
pub use start::main;
pub use start::supervise;
