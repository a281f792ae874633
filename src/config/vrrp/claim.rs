//! `notify_claim` and `claim_timeout`, keywords of holdfast.

use super::super::Diagnostics;
use crate::plan::vrrp::ClaimPlan;
use keepalived_compat::Code;
use keepalived_compat::config::setting::Settings as _;
use keepalived_compat::config::vrrp::VrrpInstance;
use std::time::Duration;

/// A cloud answers within a few seconds or has lost the question.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The script itself is lowered with the other notify scripts.
pub(super) fn claim(instance: &VrrpInstance, out: &mut Diagnostics) -> Option<ClaimPlan> {
    let others = instance.settings.others.as_slice();
    if others.find("notify_claim").is_some() {
        return Some(ClaimPlan { timeout: others.time("claim_timeout").unwrap_or(DEFAULT_TIMEOUT) });
    }
    if let Some(timeout) = others.find("claim_timeout") {
        let title = format!("vrrp_instance {}: claim_timeout without notify_claim", instance.name.value);
        out.tell(Code::Cleared, timeout.span, title, "it does nothing: there is no script to wait for");
    }
    None
}
