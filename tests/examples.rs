//! The configurations of `docs/examples`: read without an error by the daemon, without a lint by the tool. That they do
//! what they say is for netns-scripts/tests/examples.

use std::path::Path;
use std::process::Command;

/// File and the identifiers of its two nodes.
const EXAMPLES: &[(&str, [&str; 2])] = &[
    ("nginx-pair.conf", ["lb1", "lb2"]),
    ("router-pair.conf", ["r1", "r2"]),
    ("virtual-mac.conf", ["a", "b"]),
];

fn check(file: &Path, id: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfastctl"));
    let output = command.args(["check", "-i", id]).arg(file).output().expect("our program starts");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn examples_are_accepted_without_a_remark_about_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let there = std::fs::read_dir(&folder).expect("the examples").count();
    assert_eq!(there, EXAMPLES.len(), "every example is listed here");
    for (name, ids) in EXAMPLES {
        for id in ids {
            let said = check(&folder.join(name), id);
            // What this machine lacks (its interfaces, curl) is no fault of the example.
            let remarks: Vec<&str> = said
                .lines()
                .filter(|line| {
                    line.starts_with("error[") || line.starts_with("warning[") || line.starts_with("hint[")
                })
                .filter(|line| !line.contains("there is no interface") && !line.contains("/usr/bin/"))
                .collect();
            assert!(remarks.is_empty(), "{name} -i {id}: {said}");
            let judged = said.contains("nothing to say") || said.contains(": 0 errors");
            assert!(judged, "{name} -i {id}: {said}");
        }
    }
}
