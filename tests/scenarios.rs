//! Runs `tests/scenarios/*.txt`: what goes into the core, and, indented below it, what comes out.
//!
//! `UPDATE=1 cargo test --test scenarios` writes the outcome into the files; read the difference before
//! you keep it. The language, one directive per line, `#` begins a comment:
//!
//! ```text
//! interface eth0 ipv4=10.0.0.1,.. ipv6=fe80::1,.. mac=.. index=2 down forwarding   facts (kept, then sent)
//! router a vrid=51 prio=100 vips=10.0.0.100/24,.. iface=eth0 version=2 interval=1s ..   into the plan
//! forget a                    out of the plan
//! plan                        hand the plan to the core
//! advert prio=150 from=10.0.0.2 vrid=51 vips=.. version=2 interval=1s ttl=255 to=.. iface=eth0 damaged
//! advance 3.61s               let time pass; every deadline is handled when it is due
//! late 10s                    let time pass as for a stopped process: one timeout at the end
//! link eth0 down | link eth0 up | gone eth0
//! lost 10.0.0.100/24 eth0     somebody removed the address
//! refuse 10.0.0.100/24        from now on the kernel fails to add or remove it; `accept` ends that
//! router a routes=10.9.0.0/24@eth1,10.8.0.0/24! rules=1001,1002!   `!`: not tracked
//! static addresses=10.0.0.5/24@eth0 routes=.. rules=..             into the plan
//! unroute 10.9.0.0/24 | unroute 1001   somebody removed the route, the rule
//! uncertain                   news about routes were lost
//! hold | release              the kernel's answers wait | come
//! stop release | stop retain | orphaned
//! group g members=a,b track=eth2:-20 trackers=script/chk    a sync group into the plan; `ungroup g` takes it out
//! gap arp=100ms ndp=0s on=eth0,eth1    least time between announcements, for these interfaces or for each
//! handover                    Masters that stop hand over: not `no_handover`, into the plan
//! failover a hold=60s | maintenance a [last] | maintenance all [last] | maintenance off
//! startup_delay 3s | log_unknown_vrids
//! delay eth0 500ms 200ms      it must be down, or up, for so long before that counts
//! router a track_source       `track_src_ip`; late=200: `timer_expired_backup`; interface .. wide=2001:db8::1 other addresses
//! sample script/chk up|down|unknown|NUMBER [because exit status 1]    what is known of a tracked thing
//! router a claim=10s          `notify_claim`; `claimed a well` | `claimed a exit status 1`: how the script ended
//! router a vmac=vrrp.51       speaks through that virtual interface
//! status                      of the routers, of whom is at odds with them, and of all together
//! ```

#[path = "scenarios/world.rs"]
mod world;

use std::path::{Path, PathBuf};
use world::World;

#[test]
fn every_scenario_has_its_written_outcome() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the directory of scenarios")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 15, "only {} scenarios in {}", files.len(), directory.display());
    let update = std::env::var_os("UPDATE").is_some();
    let mut different = Vec::new();
    for file in &files {
        let written = std::fs::read_to_string(file).expect("a readable scenario");
        let outcome = play(&written, file);
        if written != outcome && update {
            std::fs::write(file, outcome).expect("a writable scenario");
        } else if written != outcome {
            different.push(format!("{}\n{}", file.display(), first_difference(&written, &outcome)));
        }
    }
    assert!(different.is_empty(), "{}\nUPDATE=1 rewrites them", different.join("\n"));
}

/// The file with the lines of the core's own making.
fn play(written: &str, file: &Path) -> String {
    let mut world = World::new();
    let mut outcome = String::new();
    for (number, line) in written.lines().enumerate() {
        if line.starts_with(' ') {
            continue;
        }
        outcome.push_str(line);
        outcome.push('\n');
        let directive = line.split('#').next().unwrap_or_default().trim();
        if directive.is_empty() {
            continue;
        }
        let said = world
            .perform(directive)
            .unwrap_or_else(|error| panic!("{}:{}: {error}", file.display(), number + 1));
        for said in said {
            outcome.push_str("    ");
            outcome.push_str(&said);
            outcome.push('\n');
        }
    }
    outcome
}

fn first_difference(written: &str, outcome: &str) -> String {
    let mut after = "";
    let mut lines = outcome.lines();
    for (number, line) in written.lines().enumerate() {
        if !line.starts_with(' ') {
            after = line;
        }
        let now = lines.next().unwrap_or("(nothing)");
        if line != now {
            return format!("  line {}, after `{after}`\n  written: {line}\n  now:     {now}", number + 1);
        }
    }
    format!("  at the end, after `{after}`\n  now:     {}", lines.next().unwrap_or("(nothing)"))
}
