//! `keepalived.stats`: blocks of counters. Exporters find a block by a line that ends in a colon and take
//! `name: number` below it.

use super::{Counters, Facts};
use std::fmt::Write;

/// The whole file.
pub fn stats(facts: &Facts) -> String {
    let mut text = String::new();
    for (plan, status) in facts.routers() {
        let counters = facts.cleared.since(&plan.name, &status.counters);
        // Writing to a string cannot fail.
        writeln!(text, "VRRP Instance: {}", plan.name).ok();
        for (title, lines) in blocks(&counters) {
            match (title, lines.as_slice()) {
                (_, [("", count)]) => writeln!(text, "  {title}: {count}").ok(),
                _ => writeln!(text, "  {title}:").ok(),
            };
            for (name, count) in lines.iter().filter(|(name, _)| !name.is_empty()) {
                writeln!(text, "    {name}: {count}").ok();
            }
        }
    }
    text
}

type Block = (&'static str, Vec<(&'static str, u64)>);

/// Titles and what stands below them; a line without a name stands beside its title.
fn blocks(counters: &Counters) -> [Block; 7] {
    [
        ("Advertisements", vec![("Received", counters.advert_rcvd), ("Sent", counters.advert_sent)]),
        ("Became master", vec![("", counters.become_master)]),
        ("Released master", vec![("", counters.release_master)]),
        (
            "Packet Errors",
            vec![
                ("Length", counters.packet_len_err),
                ("TTL", counters.ip_ttl_err),
                ("Invalid Type", counters.invalid_type_rcvd),
                ("Advertisement Interval", counters.advert_interval_err),
                ("Address List", counters.addr_list_err),
            ],
        ),
        (
            "Authentication Errors",
            vec![
                ("Invalid Type", counters.invalid_authtype),
                ("Type Mismatch", counters.authtype_mismatch),
                ("Failure", counters.auth_failure),
            ],
        ),
        (
            "Authentication Extension Errors",
            vec![
                ("Missing", counters.auth_ext_missing),
                ("Malformed", counters.auth_ext_malformed),
                ("Unknown Key", counters.auth_ext_unknown_key),
                ("Invalid HMAC", counters.auth_ext_invalid_hmac),
                ("Stale", counters.auth_ext_stale),
                ("Replay", counters.auth_ext_replay),
            ],
        ),
        ("Priority Zero", vec![("Received", counters.pri_zero_rcvd), ("Sent", counters.pri_zero_sent)]),
    ]
}
