//! Plans: validated plain data that says what each role must do. Made by `config`, carried by `link`,
//! consumed by the pure cores. A plan that exists can be executed; it is never checked again.

pub mod bfd;
pub mod check;
pub mod diff;
pub mod lvs;
pub mod notify;
pub mod process;
pub mod route;
pub mod scripts;
pub mod search;
pub mod service_rules;
pub mod track;
pub mod transport;
pub mod vmac;
pub mod vrrp;

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Counts configurations: 1 for the first, one more for each accepted reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// Everything one configuration asks for, split by role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plans {
    /// For the vrrp role.
    pub vrrp: vrrp::VrrpPlan,
    /// For the checker role.
    pub lvs: lvs::LvsPlan,
    /// For the scripts role.
    pub scripts: scripts::ScriptsPlan,
    /// For the bfd role.
    pub bfd: bfd::BfdPlan,
    /// Daemon-wide settings, for the supervisor.
    pub global: GlobalPlan,
}

impl Plans {
    /// Give spare room back, once they were read.
    pub fn shrink(&mut self) {
        self.vrrp.routers.iter_mut().for_each(vrrp::RouterPlan::shrink);
        self.vrrp.routers.shrink_to_fit();
    }
}

/// A list that takes no more room than it needs: one that grows while it is read has room for four at least, and most
/// servers have one check, most checks one url.
pub(crate) fn exact<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Box::<[T]>::deserialize(from).map(<[T]>::into_vec)
}

/// Daemon-wide settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalPlan {
    /// `router_id`: the machine's name in messages; the host name when absent.
    pub router_id: Option<String>,
    /// `vrrp_startup_delay`-like settings live in the role plans; this lists keywords that were accepted but
    /// have no effect yet, each as a sentence for the log.
    pub not_yet: Vec<String>,
    /// How the processes are scheduled.
    pub processes: process::ProcessPlans,
    /// Where the daemon lives, and what its files are called.
    pub daemon: process::DaemonPlan,
    /// `global_defs` as it is written, for state files alone: keyword to value, the last one of each; times in seconds.
    /// Empty for a bare keyword and for what a plan holds in another form.
    pub written: BTreeMap<String, String>,
}
