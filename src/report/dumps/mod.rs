//! The files that keepalived writes on a signal, for the exporters and plugins that read them: `keepalived.data`
//! (SIGUSR1; with `keepalived_check.data`, `keepalived_bfd.data` and `keepalived_parent.data`), `keepalived.stats` (SIGUSR2,
//! STATS_CLEAR) and `keepalived.json` (JSON). Names of fields, blocks and
//! lines are keepalived's; what holdfast does not know is left out, secrets are hidden.

mod bfd;
mod check;
mod checkers;
mod counters;
mod data;
mod global;
mod json;
mod stats;
mod text;
mod words;

pub use bfd::bfd;
pub use check::check;
pub use counters::{Cleared, Counters};
pub use data::data;
pub use json::json;
pub use stats::stats;

use super::{RouterStatus, ScriptsStatus, VrrpStatus};
use crate::plan::Plans;
use crate::plan::vrrp::RouterPlan;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the files tell of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The configuration in force.
    pub plans: &'a Plans,
    /// What the vrrp role says.
    pub vrrp: &'a VrrpStatus,
    /// What the scripts role says, if it was asked and answered.
    pub scripts: Option<&'a ScriptsStatus>,
    /// When each router changed state last, by name, since 1970 (UTC).
    pub transitions: &'a BTreeMap<String, Duration>,
    /// Counters as they were when they were cleared.
    pub cleared: &'a Cleared,
}

/// `keepalived_parent.data`.
pub fn parent(plans: &Plans) -> String {
    let mut text = text::Text::default();
    global::globals(&mut text, plans, global::Writer::Parent);
    text.0
}

impl<'a> Facts<'a> {
    /// Plan and status of each router that has both, in the order of the file.
    fn routers(&self) -> impl Iterator<Item = (&'a RouterPlan, &'a RouterStatus)> + use<'a> {
        let known: BTreeMap<&str, &RouterStatus> =
            self.vrrp.routers.iter().map(|status| (status.name.as_str(), status)).collect();
        let plans = self.plans.vrrp.routers.iter();
        plans.filter_map(move |plan| known.get(plan.name.as_str()).map(|status| (plan, *status)))
    }

    /// When `router` changed state last; zero when it is not known.
    fn transition(&self, router: &str) -> Duration {
        self.transitions.get(router).copied().unwrap_or_default()
    }
}
