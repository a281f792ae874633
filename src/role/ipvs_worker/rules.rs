//! The packet filter's part of virtual servers, and the connection tracking that FULLNAT needs.
//!
//! What `net.ipv4.vs.conntrack` was is kept in the comment of the table: it lives as long as the rules that need it, so
//! after a crash the next run knows what to put back.

use super::StoreError;
use crate::net::AddressFamily;
use crate::netlink::service_rules::RulesSocket;
use crate::netlink::service_rules::look::Seen;
use crate::plan::lvs::ServiceRules;
use std::fs;
use std::io;
use std::path::Path;
use tracing::{info, warn};

/// Makes IPVS keep the kernel's connection tracking.
const CONNTRACK: &str = "/proc/sys/net/ipv4/vs/conntrack";

/// There once nf_tables is loaded, as a module.
const LOADED: &str = "/sys/module/nf_tables";

/// What the kernel is called that has its modules in a folder of this name.
const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// What the packet filter has of us, as far as this process knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Name of the table.
    pub table: Option<String>,
    /// What `net.ipv4.vs.conntrack` was before we set it. The table's comment says it too, but somebody may have taken that away.
    pub conntrack_was: Option<String>,
    /// The table when it was set.
    pub seen: Option<Seen>,
}

/// Sets the rules; a table that stands goes if it has another name.
pub(super) fn set(rules: &ServiceRules, standing: &mut Standing) -> Result<(), StoreError> {
    let before = standing.table.as_deref();
    if rules.is_empty() && before.is_none() && !is_loaded() {
        return Ok(());
    }
    let mut socket = RulesSocket::open()?;
    let mut was = standing.conntrack_was.clone();
    if let Some(old) = before.filter(|old| *old != rules.table) {
        was = was.or(socket.find(old)?.conntrack_was);
        let nothing = ServiceRules { table: old.to_owned(), ..ServiceRules::default() };
        socket.replace(&nothing, None)?;
    }
    let found = socket.find(&rules.table)?;
    if found.foreign {
        if rules.is_empty() {
            return put_back(was);
        }
        return Err(StoreError(format!(
            "there is an nftables table {} which holdfast did not make, and which is left alone: give nftables_ipvs \
             another name",
            rules.table
        )));
    }
    was = was.or(found.conntrack_was);
    if rules.translated.is_empty() {
        if !rules.is_empty() || found.ours > 0 {
            socket.replace(rules, None)?;
            standing.seen = Some(socket.see(&rules.table)?);
        }
        put_back(was)?;
        standing.conntrack_was = None;
        return Ok(());
    }
    let now = read(CONNTRACK).map_err(no_tracking)?;
    let was = was.unwrap_or(now);
    socket.replace(rules, Some(&was))?;
    standing.conntrack_was = Some(was);
    standing.seen = Some(socket.see(&rules.table)?);
    write(CONNTRACK, "1").map_err(no_tracking)?;
    warn_of_forwarding(rules);
    Ok(())
}

/// Where nf_tables is a module that is not loaded there is nothing of ours to remove, and asking would load it.
fn is_loaded() -> bool {
    let release = read(RELEASE).unwrap_or_default();
    let built_in = fs::read_to_string(format!("/lib/modules/{release}/modules.builtin"));
    Path::new(LOADED).exists() || is_built_in(built_in.ok().as_deref())
}

/// One that is built in need not be in /sys. Without a list of what is there are no modules that could be loaded either.
fn is_built_in(list: Option<&str>) -> bool {
    list.is_none_or(|list| list.lines().any(|line| line.ends_with("/nf_tables.ko")))
}

/// Are our tables as we set them?
pub(super) fn are_there(rules: &ServiceRules, standing: &mut Standing) -> Result<bool, StoreError> {
    let tracked = rules.translated.is_empty() || read(CONNTRACK).is_ok_and(|value| value == "1");
    let Some(seen) = standing.seen.as_mut().filter(|_| tracked) else { return Ok(false) };
    Ok(RulesSocket::open()?.is_still(&rules.table, seen)?)
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
    StoreError(format!("FULLNAT needs net.ipv4.vs.conntrack, which cannot be set: {why}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_asked() {
        assert!(is_built_in(Some(
            "kernel/net/netfilter/nf_conntrack.ko\nkernel/net/netfilter/nf_tables.ko\n"
        )));
        assert!(!is_built_in(Some("kernel/net/netfilter/nf_conntrack.ko\n")), "a module, and not loaded");
        assert!(is_built_in(None), "no modules at all");
    }
}
