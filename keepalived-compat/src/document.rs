//! docs/compat.md, printed from the keyword table.

use crate::diagnostics::{Code, Severity};
use crate::keywords::{self, Keyword, Say, Status};
use std::fmt::Write;

/// A way in which holdfast differs from keepalived 2.4.3 on purpose, or as long as something is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name, for the tests that compare the two.
    pub key: &'static str,
    /// When it shows.
    pub when: &'static str,
    /// What keepalived does.
    pub theirs: &'static str,
    /// What holdfast does.
    pub ours: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// All known differences of whole configurations, for docs/compat.md.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        key: "missing-interface",
        when: "an interface that is named does not exist, and `dynamic_interfaces` is not set",
        theirs: "`-t` warns (status 5); the daemon refuses to start",
        ours: "the same status; the daemon starts, and the instance or address waits for the interface",
        reason: "one interface that is late must not take down all the others",
    },
    Difference {
        key: "no-usable-peer",
        when: "`unicast_peer` has lines and none of them can be used",
        theirs: "sends to the multicast group",
        ours: "the instance stays in FAULT, and its sync group with it, and says so",
        reason: "advertisements where nobody expects them make two masters",
    },
    Difference {
        key: "prefix-not-a-number",
        when: "the prefix length of a virtual address is no number",
        theirs: "0, so that every address is on the link (seen with 2.2.7; same status of `-t`)",
        ours: "that of a host",
        reason: "a route to everything through the link cuts the machine off",
    },
    Difference {
        key: "address-with-peer-stays",
        when: "an address with a `peer` is given up, at a stop, a reload or in FAULT",
        theirs: "it stays on the interface (seen with 2.2.7)",
        ours: "it is removed",
        reason: "two nodes would hold it",
    },
    Difference {
        key: "fifo-priority-at-start",
        when: "a weighted `track_file` moves the priority at the start, and a FIFO is told",
        theirs: "`BACKUP_PRIORITY 110` (where asked for) comes before `BACKUP 110`",
        ours: "`BACKUP 100`, then `BACKUP_PRIORITY 110`, as with a weighted script in both",
        reason: "another process reads the files, and the election waits for no file",
    },
    Difference {
        key: "fifo-priority-at-reload",
        when: "a Master with weighted trackers reloads, and `notify_priority_changes` is on",
        theirs: "`BACKUP_PRIORITY` with each reload, also when nothing changed (seen with 2.2.7)",
        ours: "`MASTER_PRIORITY`, when the priority changes",
        reason: "it is Master all the time",
    },
    Difference {
        key: "unicast-without-interface",
        when: "a unicast instance has `unicast_src_ip` and no `interface`",
        theirs: "2.2.7 refuses it (status 5); later versions bind to no interface",
        ours: "it uses the interface that has the address and follows it; the instance is in FAULT until there is one",
        reason: "addresses and announcements need an interface",
    },
    Difference {
        key: "old-checksum-learned",
        when: "a unicast VRRPv3 peer sums as keepalived before 1.3.7 did",
        theirs: "from then on only that form is accepted, even from the other peers (seen with 2.2.7)",
        ours: "both forms are accepted, and the old one is sent",
        reason: "one old or forged advertisement must not make the node deaf to the others",
    },
    Difference {
        key: "endless-definition",
        when: "a `$definition` refers to itself",
        theirs: "hangs",
        ours: "status 5; the line is left out, with the chain shown",
        reason: "a test that never ends helps nobody",
    },
    Difference {
        key: "forgotten-brace",
        when: "a block lacks its `}`, and another that stands in no block (`vrrp_instance`) follows",
        theirs: "the lines of the other are read into the first, which has its VRID and its addresses then (seen with 2.2.7)",
        ours: "the first ends before the other, each is read by itself; the same status",
        reason: "a slip of the pen must not make one router of two",
    },
    Difference {
        key: "unknown-block",
        when: "a block of which the name is not known stands in another block",
        theirs: "its `}` ends the block around it: what follows there, addresses too, is left out (seen with 2.2.7)",
        ours: "it alone is left out; the same status",
        reason: "a word that is wrong must not take addresses away",
    },
    Difference {
        key: "sorry-port",
        when: "a `sorry_server` behind NAT has no port",
        theirs: "a destination with port 0 (seen with 2.2.7)",
        ours: "the port of the virtual server, as for a `real_server`",
        reason: "the listing says where connections go; the kernel takes port 0 for that of the virtual server",
    },
    Difference {
        key: "list-brace",
        when: "the `{` of a list is missing (`virtual_ipaddress`, `track_interface`), or both braces of a block",
        theirs: "the list is read, and its `}` ends the block around it: what follows there is lost (seen with 2.2.7)",
        ours: "the list is read and said (HF0006), and the block goes on; without both braces it ends, where that can be told, before a word of the block around it",
        reason: "a priority that is lost moves addresses",
    },
    Difference {
        key: "group-granularity",
        when: "a `virtual_server` of a group has `persistence_granularity`",
        theirs: "it is ignored (seen with 2.2.7)",
        ours: "it counts as anywhere else",
        reason: "it is written there",
    },
    Difference {
        key: "check-without-port",
        when: "a `real_server` without a port, and its check without `connect_port`",
        theirs: "port 0 is asked: the server is down for ever (seen with 2.2.7)",
        ours: "the port of the virtual server is asked; where there is none (a mark) or several (a group) the check is left out and said (HF0009)",
        reason: "a server that works is not taken out",
    },
    Difference {
        key: "group-families-named",
        when: "a group of both families behind tunnels alone, and the `virtual_server` has `ip_family`",
        theirs: "the virtual server is left out (seen with 2.2.7)",
        ours: "all services work; a mark without a family has that one",
        reason: "the word says of what family marks are, and takes nothing away",
    },
    Difference {
        key: "service-gone",
        when: "a reload removes real servers of a virtual server that goes on serving, by those that stay, by new ones or by its sorry server",
        theirs: "the quorum may be told of as lost, and is never told of as met again; where the sorry server serves nothing is told (seen with 2.2.7)",
        ours: "the quorum is told of when it is lost; of each real server that was up, that it is down",
        reason: "who withdraws a route in `quorum_down` would take away a service that works",
    },
    Difference {
        key: "threshold",
        when: "`lthreshold` is above `uthreshold`, or written without it",
        theirs: "the kernel refuses the real server, which never serves (seen with 2.2.7; `-t` status 0)",
        ours: "it serves without the lower threshold, and status 5",
        reason: "a test that passes without the server is worth nothing",
    },
    Difference {
        key: "service-twice",
        when: "two `virtual_server` have the same service (the same address twice, or a mark or an address of a group), with other real servers",
        theirs: "the kernel's service has the settings of the first and real servers of both (seen at a start of 2.2.7; `-t` status 0)",
        ours: "the real servers of the first one, and status 5 with what is lost; the second one keeps its other services",
        reason: "two quorums and two verdicts for one service have no answer",
    },
    Difference {
        key: "mixed-group",
        when: "a `virtual_server_group` has IPv4 and IPv6, and not all servers are tunnels, or there is a `persistence_granularity`, or a mark without `inet` or `inet6`",
        theirs: "the virtual server is left out; `-t` status 0 unless it is for the mark (seen with 2.2.7)",
        ours: "status 5; the services of the first one's family work",
        reason: "one half is better than none, and a test must see it",
    },
    Difference {
        key: "no-group",
        when: "a `virtual_server` names a group that does not exist",
        theirs: "it is left out; `-t` ends with status 0 (seen with 2.2.7)",
        ours: "the same, with status 5",
        reason: "a test that passes without the service is worth nothing",
    },
    Difference {
        key: "granularity-family",
        when: "`persistence_granularity` is a prefix length and the service IPv4 (`24`)",
        theirs: "the mask 0.0.0.24, by which clients of all networks share servers (seen with 2.2.7; `-t` status 0)",
        ours: "each client counts for itself, and status 5",
        reason: "nobody means that mask",
    },
    Difference {
        key: "real-server-port",
        when: "a `real_server` is written with the port of its service and once more without one",
        theirs: "the kernel refuses the second as one that it has (seen with 2.2.7; `-t` status 0)",
        ours: "the second is left out, with status 5",
        reason: "two verdicts for one server have no answer",
    },
    Difference {
        key: "crash",
        when: "the configuration makes keepalived crash (139)",
        theirs: "ends with SIGSEGV",
        ours: "status 5, with what is wrong",
        reason: "no input may crash it",
    },
    Difference {
        key: "script-pending",
        when: "an instance tracks a script that counts as a condition (weight 0) and has not ended yet",
        theirs: "is in no state until it has, and says nothing",
        ours: "the same, and says what it waits for",
        reason: "a script that hangs must be seen",
    },
    Difference {
        key: "announcement-gaps",
        when: "announcements wait for `vrrp_garp_interval`, `vrrp_gna_interval` or a `garp_group`",
        theirs: "each address is announced once or twice in a burst, whatever `garp_master_repeat` says (seen with 2.2.7)",
        ours: "as often as it says, each so far from the one before",
        reason: "the number is what somebody asked for",
    },
    Difference {
        key: "real-time-limit",
        when: "a process with `vrrp_rt_priority` uses up its `vrrp_rlimit_rttime` (checker and bfd likewise)",
        theirs: "the kernel warns it at half of that and kills it at the whole (limits seen with 2.2.7)",
        ours: "it leaves real time at the whole, says so and runs on",
        reason: "a Master that is killed is worse than one that is slow",
    },
    Difference {
        key: "main-file",
        when: "the configuration file cannot be read",
        theirs: "`-t` ends with status 0",
        ours: "status 4",
        reason: "a test that passes without a file is worth nothing",
    },
];

/// The whole page as Markdown.
pub fn compatibility() -> String {
    let mut page = String::from(HEAD);
    let (mut works, mut accepted, mut later) = (0, 0, 0);
    for (_, list) in keywords::places() {
        for keyword in list {
            match keyword.status {
                Status::Works => works += 1,
                Status::Accepted(_) => accepted += 1,
                Status::NotYet { .. } => later += 1,
            }
        }
    }
    let _ = writeln!(
        page,
        "{works} keywords work, {accepted} are accepted without effect, {later} are not built yet.\n"
    );
    for (place, list) in keywords::places() {
        let _ = writeln!(
            page,
            "## {}\n\n| keyword | arguments | holdfast |\n|---|---|---|",
            escape(place.path())
        );
        for keyword in list {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                escape(keyword.name),
                code(keyword.arguments),
                status(keyword)
            );
        }
        page.push('\n');
    }
    page.push_str("## Whole configurations\n\n| when | keepalived | holdfast | why |\n|---|---|---|---|\n");
    for Difference { when, theirs, ours, reason, .. } in DIFFERENCES {
        let _ = writeln!(page, "| {when} | {theirs} | {ours} | {reason} |");
    }
    page.push_str("\n## Diagnostics\n\n| code | severity | `-t` status | meaning |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        };
        let _ = writeln!(page, "| {code} | {severity} | {} | {} |", code.status(), code.meaning());
    }
    page
}

const HEAD: &str = "\
# keepalived.conf in holdfast

Printed from the keyword table of `keepalived-compat` (`src/keywords/`); the test `compat_page_is_up_to_date` compares it.
Every keyword of keepalived 2.4.3 is known. One that is not built yet is named at start and by `holdfast -t`; **bold** marks
those where that may change who holds an address or which server is in service.

";

fn status(keyword: &Keyword) -> String {
    match keyword.status {
        Status::Works => "works".to_owned(),
        Status::Accepted(reason) => format!("no effect: {}", escape(reason)),
        Status::NotYet { meaning, say: Say::Warning } => format!("not yet: {}", escape(meaning)),
        Status::NotYet { meaning, .. } => format!("**not yet**: {}", escape(meaning)),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", escape(text)) }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
