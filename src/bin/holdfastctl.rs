//! The tool that people type.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::ctl::main()
}
