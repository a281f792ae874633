//! The vrrp core as a snapshot.

use super::{
    AddressStatus, AtOddsStatus, ClaimStatus, GroupStatus, MasterSeen, RouterStatus, RoutingStatus,
    VrrpStatus,
};
use crate::time::Instant;
use crate::vrrp::{
    AddressView, AtOddsView, ClaimView, Core, Group, HandoverView, HeldView, Router, RouterId,
};

/// What the core knows at `now`.
pub fn snapshot(core: &Core, now: Instant) -> VrrpStatus {
    VrrpStatus {
        routers: core.routers().map(|router| router_status(core, router, now)).collect(),
        statics: core.statics().map(routing_status).collect(),
        groups: core.groups().map(|group| group_status(core, group, now)).collect(),
        counters: [
            ("discarded_unknown_vrid".to_owned(), core.unknown_router_packets()),
            ("heard_by_another_interface".to_owned(), core.copied_packets()),
            ("dropped_announcements".to_owned(), core.dropped_announcements()),
        ]
        .into(),
        unrecorded: false,
    }
}

fn group_status(core: &Core, group: &Group, now: Instant) -> GroupStatus {
    let name = |id: &RouterId| core.router(*id).map(|router| router.plan().name.to_string());
    GroupStatus {
        name: group.name().to_owned(),
        state: group.state().to_string(),
        reason: group.cause().to_owned(),
        since_seconds: now.saturating_duration_since(group.since()).as_secs(),
        members: group.members().iter().filter_map(name).collect(),
    }
}

/// Why it is what it is, and what it waits for.
fn reason(router: &Router, now: Instant) -> String {
    let seconds = |at: Instant| format!("{:.1} s", at.saturating_duration_since(now).as_secs_f32());
    let waits = router.held_back().filter(|at| *at > now && router.active().is_some());
    if let Some(HandoverView { successor, let_go_at }) = router.handover() {
        let left = seconds(let_go_at);
        match successor {
            Some(by) => format!("hands over to {by}, lets go in {left}"),
            None => format!("hands over: resigned, keeps the addresses until another speaks, {left} at most"),
        }
    } else if let Some(at) = waits {
        format!("{}; leaves its Master in peace for {} more (failover)", router.cause(), seconds(at))
    } else if router.wants_master() {
        format!("{}; it would be Master, and waits for the other members of its sync group", router.cause())
    } else {
        router.cause().to_string()
    }
}

fn router_status(core: &Core, router: &Router, now: Instant) -> RouterStatus {
    let plan = router.plan();
    RouterStatus {
        name: plan.name.to_string(),
        interface: plan.key.interface.to_string(),
        vrid: plan.key.vrid.get(),
        family: plan.key.family,
        version: plan.version.number(),
        state: router.state().to_string(),
        reason: reason(router, now),
        since_seconds: now.saturating_duration_since(router.since()).as_secs(),
        base_priority: plan.priority,
        priority: router.priority(),
        interval_ms: u64::from(plan.interval.centiseconds()) * 10,
        master: router.active().map(|(active, down_at)| MasterSeen {
            address: active.address,
            priority: active.priority,
            down_in_ms: u64::try_from(down_at.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX),
            interval_ms: u64::from(router.master_interval().centiseconds()) * 10,
        }),
        addresses: router.addresses().map(address_status).collect(),
        routing: router.routing().map(routing_status).collect(),
        claim: router.claim().map(|claim| claim_status(claim, now)),
        counters: router.stats().counters().map(|(name, value)| (name.to_owned(), value)).collect(),
        since_us: u64::try_from(now.saturating_duration_since(router.since()).as_micros())
            .unwrap_or(u64::MAX),
        wants_master: router.wants_master(),
        hands_over: router.handover().is_some(),
        missing_source: core.missing_source(router),
        at_odds: router.at_odds(now).into_iter().map(|view| at_odds_status(view, now)).collect(),
    }
}

fn at_odds_status(view: AtOddsView, now: Instant) -> AtOddsStatus {
    let AtOddsView { from, counter, what, meaning, advice, times, first, last } = view;
    let for_seconds = now.saturating_duration_since(first).as_secs();
    let last_ms = u64::try_from(now.saturating_duration_since(last).as_millis()).unwrap_or(u64::MAX);
    AtOddsStatus { from, counter: counter.to_owned(), what, meaning, advice, times, for_seconds, last_ms }
}

fn claim_status(claim: ClaimView<'_>, now: Instant) -> ClaimStatus {
    let ClaimView { granted, running, since, again, failures, error } = claim;
    let seconds = now.saturating_duration_since(since).as_secs();
    let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
    let failed = error.map(|error| format!("failed {times}, last: {error}"));
    let words = match (granted, running, failed) {
        (true, ..) => format!("claimed {seconds} s ago"),
        (false, true, None) => format!("WAITING for notify_claim, which has run for {seconds} s"),
        (false, true, Some(failed)) => format!("WAITING for notify_claim, which runs again; it has {failed}"),
        (false, false, failed) => {
            let wait = again.map_or(0, |at| at.saturating_duration_since(now).as_millis().div_ceil(1000));
            format!("WAITING for notify_claim: it has {}; again in {wait} s", failed.unwrap_or_default())
        }
    };
    ClaimStatus { granted, has_failed: !granted && failures > 0, words }
}

fn routing_status(view: HeldView<'_>) -> RoutingStatus {
    RoutingStatus {
        what: view.item.to_string(),
        installed: view.installed,
        error: view.error.map(|error| format!("{} (errno {})", error.message, error.errno)),
    }
}

fn address_status(view: AddressView<'_>) -> AddressStatus {
    AddressStatus {
        address: view.address.cidr,
        interface: view.interface.to_owned(),
        installed: view.installed,
        error: view.error.map(|error| format!("{} (errno {})", error.message, error.errno)),
    }
}
