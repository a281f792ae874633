//! keepalived's counters out of ours.

use serde::Serialize;
use std::collections::BTreeMap;

/// The counters of one router under keepalived's names, in the order of its JSON file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Advertisements believed.
    pub advert_rcvd: u64,
    /// Advertisements sent.
    pub advert_sent: u64,
    /// Times it became Master.
    pub become_master: u64,
    /// Times it ceased to be.
    pub release_master: u64,
    /// Wrong length.
    pub packet_len_err: u64,
    /// Another interval.
    pub advert_interval_err: u64,
    /// Wrong TTL or hop limit.
    pub ip_ttl_err: u64,
    /// Not an advertisement.
    pub invalid_type_rcvd: u64,
    /// Other addresses than ours.
    pub addr_list_err: u64,
    /// Always 0: our decoder has one counter for an authentication type that is not ours, whatever it is.
    pub invalid_authtype: u64,
    /// Another authentication type.
    pub authtype_mismatch: u64,
    /// Wrong password, or an authentication header that does not fit.
    pub auth_failure: u64,
    /// `auth_hmac`: no trailer.
    pub auth_ext_missing: u64,
    /// `auth_hmac`: a trailer of another type.
    pub auth_ext_malformed: u64,
    /// `auth_hmac`: a key that is not configured.
    pub auth_ext_unknown_key: u64,
    /// `auth_hmac`: the HMAC does not fit.
    pub auth_ext_invalid_hmac: u64,
    /// `auth_hmac`: signed too long ago.
    pub auth_ext_stale: u64,
    /// `auth_hmac`: sent before.
    pub auth_ext_replay: u64,
    /// Resignations heard.
    pub pri_zero_rcvd: u64,
    /// Resignations sent.
    pub pri_zero_sent: u64,
}

impl Counters {
    /// From the counters of a router's status.
    pub fn of(ours: &BTreeMap<String, u64>) -> Counters {
        let sum = |names: &[&str]| names.iter().filter_map(|name| ours.get(*name)).sum();
        Counters {
            advert_rcvd: sum(&["advertisements_received"]),
            advert_sent: sum(&["advertisements_sent"]),
            become_master: sum(&["became_master"]),
            release_master: sum(&["left_master"]),
            packet_len_err: sum(&["discard_length"]),
            advert_interval_err: sum(&["discard_interval"]),
            ip_ttl_err: sum(&["discard_hop_limit", "discard_peer_hop_limit"]),
            invalid_type_rcvd: sum(&["discard_type"]),
            addr_list_err: sum(&["address_list_mismatch"]),
            invalid_authtype: 0,
            authtype_mismatch: sum(&["discard_auth_type", "discard_ah_presence"]),
            auth_failure: sum(&[
                "discard_auth_mismatch",
                "discard_ah_spi",
                "discard_ah_replay",
                "discard_ah_invalid",
            ]),
            auth_ext_missing: sum(&["discard_hmac_missing"]),
            auth_ext_malformed: sum(&["discard_hmac_malformed"]),
            auth_ext_unknown_key: sum(&["discard_hmac_unknown_key"]),
            auth_ext_invalid_hmac: sum(&["discard_hmac_invalid"]),
            auth_ext_stale: sum(&["discard_hmac_stale"]),
            auth_ext_replay: sum(&["discard_hmac_replay"]),
            pri_zero_rcvd: sum(&["resignations_received"]),
            pri_zero_sent: sum(&["resignations_sent"]),
        }
    }
}

/// Counters as they were when somebody cleared them (STATS_CLEAR), by router name. `holdfastctl` goes on counting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared(BTreeMap<String, BTreeMap<String, u64>>);

impl Cleared {
    /// From now on they count from these values.
    pub fn clear<'a>(&mut self, routers: impl Iterator<Item = (&'a str, &'a BTreeMap<String, u64>)>) {
        self.0 = routers.map(|(name, counters)| (name.to_owned(), counters.clone())).collect();
    }

    /// The counters of `router` since then. A counter that is smaller than it was belongs to a new process of the
    /// role, which began at zero.
    pub fn since(&self, router: &str, now: &BTreeMap<String, u64>) -> Counters {
        let Some(before) = self.0.get(router) else { return Counters::of(now) };
        let restarted = before.iter().any(|(name, was)| now.get(name).is_some_and(|is| is < was));
        if restarted {
            return Counters::of(now);
        }
        let left = |name: &String, is: u64| is - before.get(name).copied().unwrap_or_default();
        Counters::of(&now.iter().map(|(name, is)| (name.clone(), left(name, *is))).collect())
    }
}
