//! `keepalived_bfd.data`. What keepalived tells of its descriptors and threads has no counterpart here.

use super::global::{Writer, globals};
use super::text::Text;
use super::words;
use crate::plan::Plans;
use crate::plan::bfd::BfdSessionPlan;
use crate::report::bfd::{BfdSessionStatus, BfdStatus};
use std::time::Duration;

/// The whole file. `status`: what the bfd role says, which may lack a session that was added since.
pub fn bfd(plans: &Plans, status: &BfdStatus) -> String {
    let mut text = Text::default();
    globals(&mut text, plans, Writer::Other);
    text.section("BFD Data");
    text.section("BFD Topology");
    for plan in &plans.bfd.sessions {
        configured(&mut text, plan);
        if let Some(status) = status.sessions.iter().find(|status| status.name == plan.name) {
            state(&mut text, status);
        }
    }
    text.0
}

fn configured(text: &mut Text, plan: &BfdSessionPlan) {
    text.head("BFD Instance", &plan.name);
    text.property("Neighbor IP", plan.neighbor);
    if let Some(source) = plan.source {
        text.property("Source IP", source);
    }
    let micros = |time: Duration| format!("{} us", time.as_micros());
    text.property("Required min RX interval", micros(plan.min_rx));
    text.property("Desired min TX interval", micros(plan.min_tx));
    text.property("Desired idle TX interval", micros(plan.idle_tx));
    text.property("Detection multiplier", plan.multiplier);
    let ttl = if plan.neighbor.is_ipv4() { "TTL" } else { "Hoplimit" };
    text.property(ttl, plan.ttl);
    // keepalived has the distance from what is sent; where every packet is heard, all of it.
    text.property(
        "max_hops",
        if plan.least_ttl == 0 { 255 } else { plan.ttl.saturating_sub(plan.least_ttl) },
    );
    text.property("passive", plan.passive);
    let yes = |on: bool| if on { "Yes" } else { "No" };
    text.property("send event to VRRP process", yes(plan.to_vrrp));
    text.property("send event to checker process", yes(plan.to_checker));
}

fn state(text: &mut Text, status: &BfdSessionStatus) {
    let remote = status.remote.as_ref();
    text.property("send error", status.trouble.is_some());
    text.property("local state", &status.state);
    text.property("remote state", remote.map_or("Down", |remote| remote.state.as_str()));
    text.property("local discriminator", format_args!("{:#x}", status.discriminator));
    text.property(
        "remote discriminator",
        format_args!("{:#x}", remote.map_or(0, |remote| remote.discriminator)),
    );
    text.property("local diag", words::diagnostic(status.diagnostic));
    text.property("remote diag", words::diagnostic(remote.map_or(0, |remote| remote.diagnostic)));
    text.property("remote min tx intv", format_args!("{} us", remote.map_or(0, |remote| remote.min_tx_us)));
    text.property("remote min rx intv", format_args!("{} us", remote.map_or(0, |remote| remote.min_rx_us)));
    // Demand mode is not spoken (RFC 5880 6.6).
    text.property("local demand", 0);
    text.property("remote detect multiplier", remote.map_or(0, |remote| remote.multiplier));
    text.property("local tx intv", format_args!("{} us", status.transmit_interval_us));
    text.property("local detection time", format_args!("{} us", status.detection_time_us));
}
