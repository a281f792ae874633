//! `disable_local_igmp`: the kernel does not tell switches of groups in 224.0.0.0/24, which they must flood anyway.

use std::fs;
use std::io;

const REPORTS: &str = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";

/// The setting, and what it was before this process changed it.
#[derive(Debug, Default)]
pub struct LocalReports {
    before: Option<String>,
}

impl LocalReports {
    /// Turn them off, or put back what was.
    pub fn turn(&mut self, off: bool) -> io::Result<()> {
        match (off, &self.before) {
            (true, None) => {
                let before = fs::read_to_string(REPORTS)?;
                fs::write(REPORTS, "0")?;
                self.before = Some(before);
            }
            (false, Some(before)) => {
                fs::write(REPORTS, before.trim())?;
                self.before = None;
            }
            _ => {}
        }
        Ok(())
    }
}
