//! Lints of virtual routers.

use super::{Facts, last, number, word};
use crate::Code;
use crate::config::value_seconds;
use crate::diagnostics::{Diagnostic, keep};
use crate::lexer::Word;
use crate::source::{Span, Spanned};
use crate::tree::Statement;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What keepalived takes when no interval is written.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// The priority of an owner, which nothing changes.
const OWNER: i64 = 255;

/// An address line.
#[derive(Debug)]
struct Address {
    address: IpAddr,
    prefix: Option<u8>,
    interface: Option<String>,
    span: Span,
}

/// A line of `track_script` and its kin.
#[derive(Debug)]
struct Track {
    /// The keyword of the list.
    list: &'static str,
    name: String,
    weight: Option<Weight>,
}

/// `weight N [reverse]`.
#[derive(Clone, Copy, Debug)]
struct Weight {
    /// The number, negated by `reverse`: positive when it can only raise the priority, negative when it can only lower it.
    direction: i64,
    span: Span,
}

/// Lists of tracked things, and the blocks that define them with a weight of their own.
const TRACKED: &[(&str, &str)] = &[
    ("track_script", "vrrp_script"),
    ("track_interface", ""),
    ("track_process", "vrrp_track_process"),
    ("track_bfd", "bfd_instance"),
    ("track_file", "track_file"),
];

/// The list that an owner keeps with its weights; of the others' [`crate::Code::Cleared`] says what becomes.
const PROCESSES: &str = "track_process";

/// What a file holds is multiplied by its weight, so that it goes both ways.
const FILES: &str = "track_file";

#[derive(Debug)]
struct Instance {
    name: String,
    interface: Option<String>,
    interval: Option<Spanned<Duration>>,
    priority: Option<Spanned<i64>>,
    addresses: Vec<Address>,
    tracks: Vec<Track>,
}

/// Virtual routers and what belongs to them.
#[derive(Debug, Default)]
pub(super) struct Routers {
    instances: Vec<Instance>,
    /// Members by group.
    groups: Vec<(String, Vec<String>)>,
    /// Weights of scripts and the like, by the keyword of the list that names them.
    weights: BTreeMap<(&'static str, String), Option<Weight>>,
}

impl Routers {
    pub(super) fn instance(&mut self, statement: &Statement) {
        let Some(name) = statement.arguments().first() else { return };
        let body = statement.body();
        let interval = word(body, "advert_int")
            .and_then(|(text, span)| value_seconds(text).map(|duration| Spanned::new(duration, span)));
        let lines = |keyword| last(body, keyword).map_or(&[][..], |s| s.body());
        let addresses = [lines("virtual_ipaddress"), lines("virtual_ipaddress_excluded")].concat();
        self.instances.push(Instance {
            name: name.text.clone(),
            interface: word(body, "interface").map(|(text, _)| text.to_owned()),
            interval,
            priority: number(body, "priority"),
            addresses: addresses.iter().filter_map(address).collect(),
            tracks: TRACKED
                .iter()
                .flat_map(|(list, _)| lines(list).iter().map(|line| track(list, line)))
                .collect(),
        });
    }

    pub(super) fn group(&mut self, statement: &Statement) {
        let Some(name) = statement.arguments().first() else { return };
        let group = last(statement.body(), "group").map_or(&[][..], |s| s.body());
        let members = group.iter().flat_map(|s| &s.words).map(|w| w.text.clone()).collect();
        self.groups.push((name.text.clone(), members));
    }

    /// A block that defines something to track; any other is overlooked.
    pub(super) fn tracked(&mut self, statement: &Statement) {
        let keyword = statement.keyword().text.as_str();
        let list = TRACKED.iter().find(|(_, block)| *block == keyword).map(|(list, _)| *list);
        if let (Some(list), Some(name)) = (list, statement.arguments().first()) {
            let line = last(statement.body(), "weight");
            self.weights.insert((list, name.text.clone()), line.and_then(|s| weight(&s.words)));
        }
    }

    pub(super) fn lint(&self, facts: &dyn Facts, diagnostics: &mut Vec<Diagnostic>) {
        for (name, members) in &self.groups {
            self.intervals(name, members, diagnostics);
        }
        for instance in &self.instances {
            self.weights(instance, diagnostics);
            outside(instance, facts, diagnostics);
        }
    }

    /// Members of a group change state together, so they should notice together.
    fn intervals(&self, group: &str, members: &[String], diagnostics: &mut Vec<Diagnostic>) {
        let of = |i: &Instance| i.interval.map_or(DEFAULT_INTERVAL, |interval| interval.value);
        let mut members = members.iter().filter_map(|m| self.instances.iter().find(|i| i.name == *m));
        let Some(first) = members.next() else { return };
        let Some(other) = members.find(|i| of(i) != of(first)) else { return };
        // One of the two wrote it, or both would have the default.
        let Some(span) = other.interval.or(first.interval).map(|i| i.span) else { return };
        let title = format!(
            "vrrp_sync_group {group}: {} advertises every {} s, {} every {} s",
            first.name,
            of(first).as_secs_f64(),
            other.name,
            of(other).as_secs_f64()
        );
        let now = "the members notice a dead Master at different times, and all move when the first does";
        let diagnostic = Diagnostic::new(Code::IntervalMismatch, span, title, now);
        keep(diagnostics, diagnostic.instead("the same advert_int for all members, on all nodes"));
    }

    fn weights(&self, instance: &Instance, diagnostics: &mut Vec<Diagnostic>) {
        let Some(priority) = instance.priority else { return };
        let weight = |track: &Track| {
            let general = || self.weights.get(&(track.list, track.name.clone())).copied().flatten();
            track.weight.or_else(general).filter(|w| w.direction != 0)
        };
        let goes = |up: bool| {
            let other = |t: &Track| t.list == FILES || weight(t).is_some_and(|w| (w.direction > 0) == up);
            instance.tracks.iter().any(other)
        };
        let (up, down) = (goes(true), goes(false));
        for track in &instance.tracks {
            let Some(weight) = weight(track) else { continue };
            let now = match (priority.value, weight.direction) {
                (OWNER, _) if track.list != PROCESSES => continue,
                (OWNER, _) => "nothing changes a priority of 255",
                (254, 1..) if !down => "no priority rises above 254",
                (1, ..0) if !up => "no priority falls below 1",
                _ => continue,
            };
            let title =
                format!("vrrp_instance {}: the weight of {} has no effect", instance.name, track.name);
            let diagnostic = Diagnostic::new(Code::WeightIgnored, weight.span, title, now)
                .related(priority.span, "the priority");
            keep(diagnostics, diagnostic.instead("a priority that leaves room for the weight"));
        }
    }
}

fn track(list: &'static str, line: &Statement) -> Track {
    Track { list, name: line.keyword().text.clone(), weight: weight(&line.words) }
}

/// `weight N [reverse]` among words.
fn weight(words: &[Word]) -> Option<Weight> {
    let at = words.iter().position(|w| w.text == "weight")?;
    let number = words.get(at + 1)?;
    let value: i64 = number.text.parse().ok()?;
    let reverse = words.get(at + 2).is_some_and(|w| w.text == "reverse");
    Some(Weight { direction: if reverse { value.saturating_neg() } else { value }, span: number.span })
}

fn address(line: &Statement) -> Option<Address> {
    let text = &line.keyword().text;
    let (address, prefix) = text.split_once('/').map_or((text.as_str(), None), |(a, p)| (a, Some(p)));
    let device = line.words.iter().position(|w| w.text == "dev").and_then(|at| line.words.get(at + 1));
    // An address on its own virtual interface, or to a peer, follows other rules.
    if line.words.iter().any(|w| matches!(w.text.as_str(), "peer" | "use_vmac")) {
        return None;
    }
    Some(Address {
        address: address.parse().ok()?,
        prefix: match prefix {
            Some(prefix) => Some(prefix.parse().ok()?),
            None => None,
        },
        interface: device.map(|w| w.text.clone()),
        span: line.keyword().span,
    })
}

/// Addresses that nobody on the link looks for.
fn outside(instance: &Instance, facts: &dyn Facts, diagnostics: &mut Vec<Diagnostic>) {
    for address in &instance.addresses {
        let interface = address.interface.as_ref().or(instance.interface.as_ref());
        let Some(interface) = interface else { continue };
        let host = if address.address.is_ipv4() { 32 } else { 128 };
        if address.prefix.is_some_and(|p| p < host) || is_local(address.address) {
            continue;
        }
        let same =
            |other: &&Address| other.interface.as_ref().or(instance.interface.as_ref()) == Some(interface);
        let written = instance.addresses.iter().filter(same).filter_map(|a| a.prefix.map(|p| (a.address, p)));
        let Some(known) = facts.networks(interface) else { continue };
        let mut networks = known.into_iter().chain(written);
        let networks: Vec<_> = networks
            .by_ref()
            .filter(|(a, p)| a.is_ipv4() == (host == 32) && *p < host && !is_local(*a))
            .collect();
        if networks.is_empty() || networks.iter().any(|(a, p)| holds(*a, *p, address.address)) {
            continue;
        }
        let title = format!("{} is in no network of {interface}", address.address);
        let now = "it is added, but neighbours reach it only through a route";
        let diagnostic = Diagnostic::new(Code::AddressOutside, address.span, title, now);
        keep(
            diagnostics,
            diagnostic
                .instead("write it with its prefix length, like ADDRESS/24, if it has a network of its own"),
        );
    }
}

/// IPv6 link-local: on every link.
fn is_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments().first().is_some_and(|s| s & 0xffc0 == 0xfe80))
}

/// Is `address` in the network of `member` with this prefix length?
fn holds(member: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (member, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differ = u32::from(a) ^ u32::from(b);
            differ.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = u128::from(a) ^ u128::from(b);
            differ.leading_zeros() >= u32::from(prefix)
        }
        _ => false,
    }
}
