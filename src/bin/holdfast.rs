//! The daemon, with keepalived's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::supervisor::main()
}
