//! What is tracked beside interfaces, pure: when a script runs and what its end means, what a tracked file says, how many
//! of a process there are. The driver (the scripts role) owns processes, files and clocks.

pub mod file;
pub mod scripts;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// As it should be.
    Info,
    /// Somebody should look.
    Warning,
    /// Something that was asked for cannot be done.
    Error,
}
