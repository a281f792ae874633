//! The packet filter's part of virtual servers, and the connection tracking that FULLNAT needs.
//!
//! What `net.ipv4.vs.conntrack` was is kept in the comment of the table: it lives as long as the rules that need it, so
//! after a crash the next run knows what to put back.

use super::StoreError;
use crate::net::AddressFamily;
use crate::netlink::service_rules::{RulesSocket, families};
use crate::plan::lvs::ServiceRules;
use std::fs;
use std::io;
use std::path::Path;
use tracing::{info, warn};

/// Makes IPVS keep the kernel's connection tracking.
const CONNTRACK: &str = "/proc/sys/net/ipv4/vs/conntrack";

/// There once nf_tables is loaded: where it is not, there is nothing of ours to remove.
const LOADED: &str = "/sys/module/nf_tables";

/// Sets the rules; a table called `before` goes if it has another name.
pub(super) fn set(rules: &ServiceRules, before: Option<&str>) -> Result<(), StoreError> {
    if rules.is_empty() && before.is_none() && !Path::new(LOADED).exists() {
        return Ok(());
    }
    let mut socket = RulesSocket::open()?;
    let mut was = None;
    if let Some(old) = before.filter(|old| *old != rules.table) {
        was = socket.find(old)?.conntrack_was;
        let nothing = ServiceRules { table: old.to_owned(), ..ServiceRules::default() };
        socket.replace(&nothing, None)?;
    }
    let found = socket.find(&rules.table)?;
    if found.foreign {
        if rules.is_empty() {
            return Ok(());
        }
        return Err(StoreError(format!(
            "there is an nftables table {} which holdfast did not make: it is left alone, and what needs it does not \
             work; give nftables_ipvs another name",
            rules.table
        )));
    }
    was = was.or(found.conntrack_was);
    if rules.is_empty() && found.ours == 0 {
        return put_back(was);
    }
    if rules.translated.is_empty() {
        socket.replace(rules, None)?;
        return put_back(was);
    }
    let now = read(CONNTRACK).map_err(no_tracking)?;
    let was = was.unwrap_or(now);
    socket.replace(rules, Some(&was))?;
    write(CONNTRACK, "1").map_err(no_tracking)?;
    warn_of_forwarding(rules);
    Ok(())
}

/// Is our table there for every family that has something to do?
pub(super) fn are_there(rules: &ServiceRules) -> Result<bool, StoreError> {
    let found = RulesSocket::open()?.find(&rules.table)?;
    let tracked = rules.translated.is_empty() || read(CONNTRACK).is_ok_and(|value| value == "1");
    Ok(found.ours == families(rules) && tracked)
}

fn put_back(was: Option<String>) -> Result<(), StoreError> {
    let Some(was) = was else { return Ok(()) };
    if read(CONNTRACK).is_ok_and(|now| now != was) {
        write(CONNTRACK, &was).map_err(|error| {
            StoreError(format!("cannot put net.ipv4.vs.conntrack back to {was}: {error}"))
        })?;
        info!("net.ipv4.vs.conntrack is {was} again");
    }
    Ok(())
}

fn no_tracking(error: io::Error) -> StoreError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "this kernel's IPVS has no connection tracking (CONFIG_IP_VS_NFCT)".into(),
        _ => error.to_string(),
    };
    StoreError(format!("FULLNAT needs net.ipv4.vs.conntrack, which cannot be set: {why}; answers get lost"))
}

/// Answers of real servers are routed on to the client.
fn warn_of_forwarding(rules: &ServiceRules) {
    let settings = [
        (AddressFamily::V4, "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        (AddressFamily::V6, "net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
    ];
    for (family, name, path) in settings {
        let used = rules.translated.iter().any(|it| it.service.family() == family);
        if used && read(path).is_ok_and(|value| value == "0") {
            warn!("{name} is 0: answers of servers behind FULLNAT are dropped until it is 1");
        }
    }
}

fn read(path: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

fn write(path: &str, value: &str) -> io::Result<()> {
    if read(path)? == value {
        return Ok(());
    }
    fs::write(path, value)
}
