//! Keywords that count once: keepalived leaves out a second line (seen with 2.2.7); of all others the last one counts.

use super::Context;
use crate::keywords::{Keyword, Place};
use crate::source::Span;
use crate::tree::Statement;
use crate::{Code, Diagnostic};

const STATES: &[&str] = &[
    "notify",
    "notify_master",
    "notify_backup",
    "notify_fault",
    "notify_stop",
    "notify_deleted",
    "notify_master_rx_lower_pri",
    "use_vmac",
];

const GLOBAL: &[&str] = &[
    "notify_fifo",
    "notify_fifo_script",
    "vrrp_notify_fifo",
    "vrrp_notify_fifo_script",
    "lvs_notify_fifo",
    "lvs_notify_fifo_script",
    "startup_script",
    "shutdown_script",
    "snmp_socket",
    "nftables",
    "lvs_sync_daemon",
];

/// Does the first line of this keyword count?
fn counts_once(place: Place, keyword: &str) -> bool {
    let names: &[&str] = match place {
        Place::Root => &["net_namespace", "instance"],
        Place::GlobalDefs => GLOBAL,
        Place::VrrpInstance | Place::SyncGroup => STATES,
        Place::VirtualServer => &["quorum_up", "quorum_down"],
        Place::RealServer => &["notify_up", "notify_down"],
        Place::TrackProcess => &["process", "weight"],
        Place::TrackFile | Place::VrrpTrackFile => &["file", "weight"],
        Place::HttpUrl | Place::SslUrl => &["digest"],
        Place::DnsCheck => &["name"],
        _ => &[],
    };
    names.contains(&keyword)
}

/// Keywords of a block that have been read and count once, and where.
#[derive(Debug, Default)]
pub(super) struct Once(Vec<(&'static str, Span)>);

impl Once {
    /// Was the keyword read before in this block? Then it is said.
    pub(super) fn has(&self, cx: &mut Context, keyword: &Keyword, statement: &Statement) -> bool {
        let Some((_, first)) = self.0.iter().find(|(name, _)| *name == keyword.name) else { return false };
        // Only the name of a virtual interface counts once.
        if !(keyword.name == "use_vmac" && statement.arguments().is_empty()) {
            let title = format!("`{}` stands here already", keyword.name);
            let now = "the first one counts, as in keepalived";
            let diagnostic = Diagnostic::new(Code::Duplicate, statement.span(), title, now);
            cx.say(diagnostic.related(*first, "first written here"));
        }
        true
    }

    /// It has been read: it is kept, or nobody complained.
    pub(super) fn note(&mut self, place: Place, keyword: &Keyword, statement: &Statement) {
        let named = keyword.name != "use_vmac" || !statement.arguments().is_empty();
        if named && counts_once(place, keyword.name) {
            self.0.push((keyword.name, statement.span()));
        }
    }
}
