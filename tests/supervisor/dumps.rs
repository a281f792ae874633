//! State files on signals, and what a reload cannot change.

use crate::Test;
use crate::lab::{Lab, named};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub const TESTS: &[Test] = &[
    ("a_signal_writes_the_state_for_root_alone", a_signal_writes_the_state_for_root_alone),
    ("a_link_in_the_place_of_a_state_file_is_replaced", a_link_in_the_place_of_a_state_file_is_replaced),
    ("a_state_file_that_cannot_be_written_is_named", a_state_file_that_cannot_be_written_is_named),
    ("without_the_vrrp_role_no_state_is_invented", without_the_vrrp_role_no_state_is_invented),
    (
        "a_node_without_virtual_routers_tells_of_its_servers",
        a_node_without_virtual_routers_tells_of_its_servers,
    ),
    ("a_role_that_does_not_answer_holds_nothing_up", a_role_that_does_not_answer_holds_nothing_up),
    ("a_role_that_was_started_again_is_in_the_file_too", a_role_that_was_started_again_is_in_the_file_too),
    ("a_reload_cannot_change_the_instance", a_reload_cannot_change_the_instance),
];

fn text(lab: &Lab, file: &str) -> Option<String> {
    fs::read_to_string(lab.path().join(file)).ok()
}

fn a_signal_writes_the_state_for_root_alone() {
    let lab = Lab::new(2, 0);
    lab.wait_for_order("vrrp plan 1 of 2");
    lab.signal(Signal::SIGUSR1);
    lab.wait_for("keepalived.data", || text(&lab, "keepalived.data").is_some());
    let data = text(&lab, "keepalived.data").expect("just seen");
    assert!(data.contains("------< VRRP Topology >------\n"), "{data}");
    lab.signal(Signal::SIGUSR2);
    lab.wait_for("keepalived.stats", || text(&lab, "keepalived.stats").is_some());
    let mode = fs::metadata(lab.path().join("keepalived.data")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Every role goes on.
    assert!(lab.status().daemon.roles.iter().all(|role| role.restarts == 0));
}

fn a_link_in_the_place_of_a_state_file_is_replaced() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    let (precious, link) = (lab.path().join("precious"), lab.path().join("keepalived.data"));
    fs::write(&precious, "precious").expect("written");
    std::os::unix::fs::symlink(&precious, &link).expect("linked");
    lab.signal(Signal::SIGUSR1);
    lab.wait_for("a file", || fs::symlink_metadata(&link).is_ok_and(|there| there.is_file()));
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
}

fn a_state_file_that_cannot_be_written_is_named() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    fs::create_dir(lab.path().join("keepalived.data")).expect("made");
    lab.signal(Signal::SIGUSR1);
    lab.wait_for_log("keepalived.data not written: Is a directory");
    assert!(lab.status().vrrp.is_some());
}

fn without_the_vrrp_role_no_state_is_invented() {
    let lab = Lab::new(0, 1);
    lab.wait_for_order("checker plan 1 of 1");
    lab.signal(Signal::SIGUSR2);
    lab.wait_for_log("keepalived.stats not written: the vrrp role does not run");
    assert_eq!(text(&lab, "keepalived.stats"), None);
}

fn a_node_without_virtual_routers_tells_of_its_servers() {
    let lab = Lab::new(0, 1);
    lab.wait_for_order("checker plan 1 of 1");
    lab.signal(Signal::SIGUSR1);
    lab.wait_for("keepalived_check.data", || text(&lab, "keepalived_check.data").is_some());
    let check = text(&lab, "keepalived_check.data").expect("just seen");
    assert!(check.contains("------< LVS Topology >------\n"), "{check}");
    lab.wait_for("keepalived_parent.data", || text(&lab, "keepalived_parent.data").is_some());
    assert_eq!((text(&lab, "keepalived.data"), text(&lab, "keepalived_bfd.data")), (None, None));
}

fn a_role_that_does_not_answer_holds_nothing_up() {
    let lab = Lab::with(1, 0, &[("vrrp", "mute")], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.signal(Signal::SIGUSR1);
    lab.wait_for_log("keepalived.data not written: the vrrp role does not run or does not answer");
    assert_eq!(text(&lab, "keepalived.data"), None);
}

fn a_role_that_was_started_again_is_in_the_file_too() {
    let lab = Lab::with(1, 0, &[("vrrp", "asked"), ("patient", "")], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.behave("vrrp", "");
    lab.signal(Signal::SIGUSR1);
    lab.wait_for("keepalived.data", || text(&lab, "keepalived.data").is_some());
    assert_eq!(lab.status().daemon.roles[1].restarts, 1);
}

fn a_reload_cannot_change_the_instance() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.configure(&named(1, "east"));
    lab.signal(Signal::SIGHUP);
    lab.wait_for_log("instance differs, which only a restart can change");
    lab.wait_for_log("reload refused: configuration 1 goes on untouched");
}
