//! The effective configuration of a file, as lines to print (`holdfastctl show config`).

use super::{CompileRequest, Files, host};
use crate::config::effective::with_values;
pub use crate::config::effective::{DEFAULT, NOT_RUN};
use keepalived_compat::print::Line;
use keepalived_compat::{Options, parse_and_print};

/// What of the file is in force, with values and defaults. To be asked only for a file that [`super::compile`] finds
/// plans for.
pub fn effective(request: &CompileRequest) -> Vec<Line> {
    let config_id = request.config_id.clone().unwrap_or_else(host);
    let options = Options { config_id: &config_id, vrrp: request.want_vrrp, checker: request.want_checker };
    let file = std::path::absolute(&request.file).unwrap_or_else(|_| request.file.clone());
    let (_, lines) = parse_and_print(&mut Files, &file.to_string_lossy(), options);
    with_values(&lines)
}
