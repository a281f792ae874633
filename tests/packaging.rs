//! The service unit: systemd reads it without a complaint, and unit and decision 13 say the same.

use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value of a setting of the unit; it stands there once.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let lines: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect();
    assert_eq!(lines.len(), 1, "{name} stands {} times in the unit", lines.len());
    lines[0]
}

#[test]
fn systemd_reads_the_unit() {
    let analyze = Command::new("systemd-analyze").arg("--version").output();
    if !analyze.is_ok_and(|output| output.status.success()) {
        println!("no systemd-analyze here: not tried");
        return;
    }
    // It wants the programs to be where the unit says.
    let daemon = Path::new(env!("CARGO_BIN_EXE_holdfast"));
    let folder = daemon.parent().expect("a program is in a folder").display();
    let unit = read("packaging/holdfast.service").replace("/usr/local/sbin/", &format!("{folder}/"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("holdfast.service");
    std::fs::write(&path, unit).expect("written");
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let output = Command::new("systemd-analyze").args(verify).arg(&path).output().expect("it runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !complaints.contains("holdfast.service"), "{complaints}");
}

#[test]
fn unit_and_decision_agree() {
    let unit = read("packaging/holdfast.service");
    let decision = read("docs/decisions/0013-a-restarted-vrrp-role-goes-on-as-master.md");
    let mode = format!("KillMode={}", setting(&unit, "KillMode"));
    assert!(decision.contains(&mode), "decision 13 does not say {mode}");
    // The longest handover, and what the daemon may take beside it.
    let limit: u64 = setting(&unit, "TimeoutStopSec").parse().expect("seconds");
    assert!(limit >= holdfast::vrrp::LONGEST.as_secs() + 10, "systemd would kill a handover after {limit} s");
    assert_eq!(setting(&unit, "Restart"), "always", "a supervisor that died comes back");
}
