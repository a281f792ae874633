//! Routers: the rules of `vrrp/reconfigure.rs`. A router is its key; of one that stays, everything changes in place.

use super::{Change, Weight, What, place};
use crate::net::Priority;
use crate::plan::route::Item;
use crate::plan::vmac::FilterSettings;
use crate::plan::vrrp::{
    Authentication, ChecksumDialect, ClaimPlan, HmacPolicy, OldChecksum, PeerLimits, RouterKey, RouterPlan,
    TrackedInterface, TrackedObject, Transport, Unfit, Version, VirtualAddress, VirtualLinkKind,
    VirtualLinkPlan, VrrpPlan, WirePolicy,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

pub(super) fn compare(old: &VrrpPlan, new: &VrrpPlan, changes: &mut Vec<Change>) {
    if old.filter != new.filter {
        let what = What::Filter { old: filter(&old.filter), new: filter(&new.filter) };
        changes.push(Change::new(Weight::Quiet, what));
    }
    if old.vip_lease != new.vip_lease {
        changes.push(Change::new(Weight::Quiet, What::VipLease { on: new.vip_lease }));
    }
    if old.handover != new.handover {
        changes.push(Change::new(Weight::Quiet, What::Handover { on: new.handover }));
    }
    if old.no_resume != new.no_resume {
        changes.push(Change::new(Weight::Quiet, What::Resume { on: !new.no_resume }));
    }
    super::whole::compare(old, new, changes);
    statics(old, new, changes);
    let found;
    let old = if old.routers.iter().any(|router| router.key.place().is_some()) {
        found = placed_as_in(old, new);
        &found
    } else {
        old
    };
    let by_key = |plan: &'_ VrrpPlan| -> BTreeMap<RouterKey, usize> {
        plan.routers.iter().enumerate().map(|(index, r)| (r.key.clone(), index)).collect()
    };
    let (before, after) = (by_key(old), by_key(new));
    let named: HashMap<&str, &RouterPlan> = new.routers.iter().map(|r| (r.name.as_str(), r)).collect();
    let mut holders = HashMap::new();
    for router in &new.routers {
        for address in held(router) {
            holders.insert(place(address, &router.key), router.name.as_str());
        }
    }
    for router in old.routers.iter().filter(|r| !after.contains_key(&r.key)) {
        let what = What::RouterRemoved {
            router: router.name.clone(),
            key: router.key.clone(),
            addresses: held(router).cloned().collect(),
            becomes: named.get(router.name.as_str()).map(|r| r.key.clone()),
        };
        changes.push(Change::new(Weight::Stops, what));
    }
    for router in &new.routers {
        match before.get(&router.key).and_then(|index| old.routers.get(*index)) {
            None => changes.push(Change::new(Weight::Shifts, added(router))),
            Some(old) => {
                addresses(old, router, &holders, changes);
                fields(old, router, changes);
            }
        }
    }
}

/// A unicast router without `interface` is one router, whether the compiler has found its interface or not.
fn placed_as_in(old: &VrrpPlan, new: &VrrpPlan) -> VrrpPlan {
    let source = |router: &RouterPlan| match router.transport {
        Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
    };
    let mut old = old.clone();
    for router in old.routers.iter_mut().filter(|router| router.key.place().is_some()) {
        let same = |other: &&RouterPlan| {
            let unplaced = RouterKey { interface: router.key.interface.clone(), ..other.key.clone() };
            unplaced == router.key && source(other) == source(router)
        };
        if let Some(now) = new.routers.iter().find(same) {
            router.key = now.key.clone();
        }
    }
    old
}

fn filter(settings: &FilterSettings) -> String {
    let FilterSettings { table, priority, counters } = settings;
    format!("table {table}, priority {priority}{}", if *counters { ", with counters" } else { "" })
}

/// Static things are compared with all they say: what changed goes and comes.
fn statics(old: &VrrpPlan, new: &VrrpPlan, changes: &mut Vec<Change>) {
    let (before, after): (HashSet<&Item>, HashSet<&Item>) =
        (old.statics.iter().collect(), new.statics.iter().collect());
    for item in old.statics.iter().filter(|item| !after.contains(item)) {
        changes.push(Change::new(Weight::Stops, What::Static { item: item.clone(), comes: false }));
    }
    for item in new.statics.iter().filter(|item| !before.contains(item)) {
        changes.push(Change::new(Weight::Shifts, What::Static { item: item.clone(), comes: true }));
    }
}

/// Everything a router holds as Master.
fn held(router: &RouterPlan) -> impl Iterator<Item = &VirtualAddress> {
    router.addresses.iter().chain(&router.excluded_addresses)
}

fn added(router: &RouterPlan) -> What {
    What::RouterAdded {
        router: router.name.clone(),
        key: router.key.clone(),
        addresses: held(router).cloned().collect(),
        owner: router.priority.is_owner(),
        wait: down_interval(router),
    }
}

/// Master_Down_Interval (RFC 9568 6.1; the skew of version 2 is RFC 3768's).
fn down_interval(router: &RouterPlan) -> Duration {
    let interval = router.interval.duration();
    let whole = if router.version == Version::V2 { Duration::from_secs(1) } else { interval };
    interval * u32::from(router.down_timer_adverts) + whole * (256 - u32::from(router.priority.0)) / 256
}

/// Addresses are compared with prefix, label and all: another label is another address.
fn addresses(
    old: &RouterPlan,
    new: &RouterPlan,
    holders: &HashMap<(crate::net::IpCidr, &str), &str>,
    changes: &mut Vec<Change>,
) {
    let (before, after): (HashSet<_>, HashSet<_>) = (held(old).collect(), held(new).collect());
    for address in held(old).filter(|address| !after.contains(address)) {
        let holder = holders.get(&place(address, &new.key));
        let what = What::AddressRemoved {
            router: new.name.clone(),
            key: new.key.clone(),
            address: address.clone(),
            moves_to: holder.map(|name| (*name).to_owned()),
        };
        changes.push(Change::new(Weight::Stops, what));
    }
    let mut add = |address: &VirtualAddress, advertised| {
        if !before.contains(address) {
            let (router, key, address) = (new.name.clone(), new.key.clone(), address.clone());
            let what = What::AddressAdded { router, key, address, advertised };
            changes.push(Change::new(Weight::Shifts, what));
        }
    };
    new.addresses.iter().for_each(|address| add(address, true));
    new.excluded_addresses.iter().for_each(|address| add(address, false));
}

/// Routes and rules, in words.
fn items(items: &[Item]) -> String {
    if items.is_empty() { "none".to_owned() } else { words_of(items) }
}

fn words_of(items: &[Item]) -> String {
    items.iter().map(Item::to_string).collect::<Vec<_>>().join(", ")
}

/// Collects the settings that differ.
struct Fields<'a> {
    router: &'a RouterPlan,
    changes: &'a mut Vec<Change>,
}

impl Fields<'_> {
    fn say(&mut self, weight: Weight, field: &'static str, old: String, new: String, meaning: &str) {
        let (router, key) = (self.router.name.clone(), self.router.key.clone());
        let meaning = meaning.to_owned();
        let what = What::RouterField { router, key, field, old, new, meaning };
        self.changes.push(Change::new(weight, what));
    }
}

/// Exhaustive on purpose: a setting that is added to the plan must be thought of here.
fn fields(old: &RouterPlan, new: &RouterPlan, changes: &mut Vec<Change>) {
    let RouterPlan {
        name,
        key: _,
        version,
        priority,
        interval,
        preempt,
        preempt_delay,
        down_timer_adverts,
        addresses: _,
        excluded_addresses: _,
        authentication,
        transport,
        checksum,
        announce,
        answer_lower_priority,
        answer_higher_priority,
        track_primary,
        track_interfaces,
        trackers,
        virtual_links,
        advert_link,
        accept,
        promote_secondaries,
        wire,
        routing,
        claim,
        track_source,
        listens_when_late,
    } = old;
    let mut to = Fields { router: new, changes };
    use Weight::{MayFailOver, Quiet};
    if *name != new.name {
        to.say(Quiet, "name", name.clone(), new.name.clone(), "the same router under another name");
    }
    if *version != new.version {
        let number = |v: Version| if v == Version::V2 { "2" } else { "3" }.to_owned();
        let meaning =
            "peers of the other version do not understand it: two nodes may be Master until all change";
        to.say(MayFailOver, "version", number(*version), number(new.version), meaning);
    }
    if *priority != new.priority {
        let meaning = priority_meaning(*priority, new.priority, new.preempt);
        to.say(MayFailOver, "priority", priority.to_string(), new.priority.to_string(), meaning);
    }
    if *interval != new.interval {
        let (weight, meaning) = match new.version {
            Version::V2 => (
                MayFailOver,
                "version 2 does not learn it: peers must change too, or their timers do not fit",
            ),
            Version::V3 => (Quiet, "Backups learn it from the Master"),
        };
        to.say(weight, "advert_int", secs(interval.duration()), secs(new.interval.duration()), meaning);
    }
    if *preempt != new.preempt {
        let (weight, meaning) = if new.preempt {
            (MayFailOver, "a Backup of higher priority than the Master may take over")
        } else {
            (Quiet, "a Backup leaves a Master of lower priority in peace")
        };
        to.say(weight, "preempt", on(*preempt), on(new.preempt), meaning);
    }
    if *preempt_delay != new.preempt_delay {
        let weight = if new.preempt_delay < *preempt_delay { MayFailOver } else { Quiet };
        let meaning = "counts for a Backup of higher priority than the Master";
        to.say(weight, "preempt_delay", secs(*preempt_delay), secs(new.preempt_delay), meaning);
    }
    if *down_timer_adverts != new.down_timer_adverts {
        let meaning = "a Backup's timer goes on from its start with the new number";
        let (a, b) = (down_timer_adverts.to_string(), new.down_timer_adverts.to_string());
        to.say(Quiet, "down_timer_adverts", a, b, meaning);
    }
    if *authentication != new.authentication {
        let kind = |a: &Authentication| match a {
            Authentication::None => "none".to_owned(),
            Authentication::Password(_) => "a password".to_owned(),
            Authentication::Header(_) => "an authentication header".to_owned(),
        };
        let after = match (authentication, &new.authentication) {
            (Authentication::Password(_), Authentication::Password(_))
            | (Authentication::Header(_), Authentication::Header(_)) => "another password".to_owned(),
            (_, after) => kind(after),
        };
        let meaning =
            "peers that still have the old one are not heard: two nodes may be Master until all change";
        to.say(MayFailOver, "authentication", kind(authentication), after, meaning);
    }
    if *transport != new.transport {
        let meaning = "advertisements go elsewhere: two nodes may be Master until all peers fit";
        to.say(MayFailOver, "transport", way(transport), way(&new.transport), meaning);
    }
    if *checksum != new.checksum {
        let as_v2 = |c: ChecksumDialect| on(c == ChecksumDialect::MessageOnly);
        let meaning = "peers of another kind of checksum may refuse it: two nodes may be Master";
        to.say(MayFailOver, "v3_checksum_as_v2", as_v2(*checksum), as_v2(new.checksum), meaning);
    }
    if *announce != new.announce {
        let meaning = "counts from the next gratuitous ARP or neighbour advertisement on";
        to.say(
            Quiet,
            "garp_*",
            super::words::announce(announce),
            super::words::announce(&new.announce),
            meaning,
        );
    }
    if *answer_lower_priority != new.answer_lower_priority {
        let meaning = "as Master, about peers of lower priority";
        let (a, b) = (on(!answer_lower_priority), on(!new.answer_lower_priority));
        to.say(Quiet, "lower_prio_no_advert", a, b, meaning);
    }
    if *answer_higher_priority != new.answer_higher_priority {
        let meaning = "as Master, when it yields";
        let (a, b) = (on(*answer_higher_priority), on(new.answer_higher_priority));
        to.say(Quiet, "higher_prio_send_advert", a, b, meaning);
    }
    if *track_primary != new.track_primary {
        let meaning = "a router whose interface is down may enter or leave FAULT";
        to.say(MayFailOver, "dont_track_primary", on(!track_primary), on(!new.track_primary), meaning);
    }
    if *track_interfaces != new.track_interfaces {
        let meaning =
            "the priority may change, or the router may enter or leave FAULT, as the interfaces are";
        to.say(
            MayFailOver,
            "track_interface",
            tracked(track_interfaces),
            tracked(&new.track_interfaces),
            meaning,
        );
    }
    if *trackers != new.trackers {
        let meaning =
            "the priority may change, or the router may enter or leave FAULT, as the tracked things are";
        to.say(MayFailOver, "trackers", objects(trackers), objects(&new.trackers), meaning);
    }
    if (virtual_links, advert_link) != (&new.virtual_links, &new.advert_link) {
        let meaning =
            "neighbours learn another MAC address; peers whose settings differ may not hear this node";
        to.say(MayFailOver, "use_vmac", links(old), links(new), meaning);
    }
    if *accept != new.accept {
        let meaning = "packets to the virtual addresses are accepted, or dropped by the packet filter";
        to.say(Weight::Shifts, "accept", on(*accept), on(new.accept), meaning);
    }
    if *promote_secondaries != new.promote_secondaries {
        let meaning = "the sysctl of the interface changes";
        let (a, b) = (on(*promote_secondaries), on(new.promote_secondaries));
        to.say(Quiet, "promote_secondaries", a, b, meaning);
    }
    if *wire != new.wire {
        wire_policy(wire, &new.wire, &mut to);
    }
    if *routing != new.routing {
        let meaning = "what left goes, then what is new comes; the rest is not touched";
        to.say(MayFailOver, "virtual_routes, virtual_rules", items(routing), items(&new.routing), meaning);
    }
    if *claim != new.claim {
        let meaning = match (claim, &new.claim) {
            (None, _) => "a Master keeps its addresses while the script runs for the first time",
            (_, None) => "a Master whose script has not succeeded takes its addresses at once",
            _ => "counts from the next run of the script on",
        };
        let words = |claim: &Option<ClaimPlan>| {
            claim.as_ref().map_or("none".to_owned(), |claim| format!("within {}", secs(claim.timeout)))
        };
        to.say(Quiet, "notify_claim", words(claim), words(&new.claim), meaning);
    }
    if *track_source != new.track_source {
        let meaning = "a router whose source address is missing may enter or leave FAULT";
        to.say(MayFailOver, "track_src_ip", on(*track_source), on(new.track_source), meaning);
    }
    if *listens_when_late != new.listens_when_late {
        let words = |other: &Option<Priority>| other.map_or("off".to_owned(), |other| other.to_string());
        let meaning = "counts for a Master that is held up from now on";
        to.say(
            Quiet,
            "timer_expired_backup",
            words(listens_when_late),
            words(&new.listens_when_late),
            meaning,
        );
    }
    order(old, new, &mut to);
}

/// The virtual interfaces, each with what it is made on; the one of the advertisements is marked.
fn links(router: &RouterPlan) -> String {
    let one = |link: &VirtualLinkPlan| {
        let what = match &link.kind {
            VirtualLinkKind::Macvlan { mac } => mac.to_string(),
            VirtualLinkKind::Ipvlan { .. } => "ipvlan".to_owned(),
        };
        let carries = router.advert_link.as_ref() == Some(&link.name);
        let adverts = if carries { ", with the advertisements" } else { "" };
        format!("{} on {} ({what}{adverts})", link.name, link.base)
    };
    let all: Vec<String> = router.virtual_links.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// What advertisements are believed, and how unicast ones are sent. Exhaustive on purpose.
fn wire_policy(old: &WirePolicy, new: &WirePolicy, to: &mut Fields) {
    let WirePolicy { unicast_hop_limit, check_source, peer_limits, old_checksum, owner_ignores, unfit, hmac } =
        old;
    use Weight::{MayFailOver, Quiet};
    if *unicast_hop_limit != new.unicast_hop_limit {
        let meaning = "a peer with min_ttl or max_ttl may refuse the advertisements";
        let (a, b) = (unicast_hop_limit.to_string(), new.unicast_hop_limit.to_string());
        to.say(MayFailOver, "unicast_ttl", a, b, meaning);
    }
    if (check_source, peer_limits) != (&new.check_source, &new.peer_limits) {
        let words = |check: bool, limits: &[PeerLimits]| {
            let each = limits.iter().map(|l| format!("{} TTL {} to {}", l.peer, l.least, l.most));
            let all: Vec<String> = check.then(|| "only peers".to_owned()).into_iter().chain(each).collect();
            if all.is_empty() { "anybody".to_owned() } else { all.join(", ") }
        };
        let meaning = "a Master that is no longer believed is replaced: two nodes may be Master";
        let (a, b) = (words(*check_source, peer_limits), words(new.check_source, &new.peer_limits));
        to.say(MayFailOver, "check_unicast_src, min_ttl, max_ttl", a, b, meaning);
    }
    if *old_checksum != new.old_checksum {
        let word = |o: OldChecksum| match o {
            OldChecksum::Detect => "detected",
            OldChecksum::Always => "always",
            OldChecksum::Never => "never",
        };
        let meaning = "peers of another kind of checksum may refuse it: two nodes may be Master";
        let (a, b) = (word(*old_checksum).to_owned(), word(new.old_checksum).to_owned());
        to.say(MayFailOver, "old_unicast_checksum", a, b, meaning);
    }
    if *owner_ignores != new.owner_ignores {
        let meaning = "counts for the owner of the addresses (priority 255)";
        to.say(Quiet, "owner_ignore_adverts", on(*owner_ignores), on(new.owner_ignores), meaning);
    }
    if *unfit != new.unfit {
        let word = |unfit: Option<Unfit>| unfit.map_or("nothing", Unfit::sentence).to_owned();
        let meaning = "for as long as something is lacking the router is in FAULT";
        to.say(MayFailOver, "what it lacks", word(*unfit), word(new.unfit), meaning);
    }
    if *hmac != new.hmac {
        let word = |hmac: &Option<HmacPolicy>| match hmac {
            None => "none".to_owned(),
            Some(hmac) => {
                let ids: Vec<String> = hmac.keys.iter().map(|key| key.id.to_string()).collect();
                let window = hmac.window.map_or("monotonic".to_owned(), |w| format!("within {w} s"));
                format!("keys {}, signs with {}, {window}, {:?}", ids.join(" "), hmac.active, hmac.mode)
            }
        };
        let (a, b) = (word(hmac), word(&new.hmac));
        let b = if a == b { "another key of the same number".to_owned() } else { b };
        let meaning =
            "peers that sign or verify otherwise are not heard: two nodes may be Master until all fit";
        to.say(MayFailOver, "auth_hmac", a, b, meaning);
    }
}

/// Addresses that stay, in another order or moved between advertised and excluded.
fn order(old: &RouterPlan, new: &RouterPlan, to: &mut Fields) {
    let (before, after): (HashSet<_>, HashSet<_>) = (held(old).collect(), held(new).collect());
    let staying = |list: &[VirtualAddress]| -> Vec<String> {
        let stays = |a: &&VirtualAddress| before.contains(a) && after.contains(a);
        list.iter().filter(stays).map(|a| a.cidr.to_string()).collect()
    };
    for (field, was, is) in [
        ("virtual_ipaddress", &old.addresses, &new.addresses),
        ("virtual_ipaddress_excluded", &old.excluded_addresses, &new.excluded_addresses),
    ] {
        let (was, is) = (staying(was), staying(is));
        if was != is {
            let meaning = "what advertisements carry, or its order; the addresses stay where they are";
            to.say(Weight::Quiet, field, was.join(" "), is.join(" "), meaning);
        }
    }
}

fn priority_meaning(old: Priority, new: Priority, preempt: bool) -> &'static str {
    match (new < old, preempt) {
        (true, _) => "a Master may lose its addresses to a Backup of a priority between the two",
        (false, _) if new.is_owner() => {
            "a Backup takes over when it next hears the Master; this node owns the addresses"
        }
        (false, true) => "a Backup may take over from a Master of a priority between the two",
        (false, false) => {
            "with nopreempt a Backup takes over only when the Master is gone, then it is more likely to"
        }
    }
}

fn secs(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn on(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn way(transport: &Transport) -> String {
    let from = |source: &Option<std::net::IpAddr>| source.map_or(String::new(), |s| format!(" from {s}"));
    match transport {
        Transport::Multicast { source, group } => {
            let to = group.map_or(String::new(), |g| format!(" to {g}"));
            format!("multicast{to}{}", from(source))
        }
        Transport::Unicast { source, peers } => {
            let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
            format!("unicast to {}{}", peers.join(" "), from(source))
        }
    }
}

pub(super) fn objects(list: &[TrackedObject]) -> String {
    let one = |t: &TrackedObject| {
        let reverse = if t.reverse { " reverse" } else { "" };
        format!("{} weight {}{reverse}", t.tracker, t.weight)
    };
    let all: Vec<String> = list.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

pub(super) fn tracked(list: &[TrackedInterface]) -> String {
    let one = |t: &TrackedInterface| {
        let weight = if t.weight == 0 { String::new() } else { format!(" weight {}", t.weight) };
        format!("{}{weight}{}", t.interface, if t.reverse { " reverse" } else { "" })
    };
    let all: Vec<String> = list.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
