//! Traffic by hand: orders reach the checker role, and what was said outlives it and the daemon.

use crate::Test;
use crate::lab::Lab;
use holdfast::link::control::{Answer, Request};
use holdfast::lvs::traffic::orders::Order;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;

pub const TESTS: &[Test] = &[
    ("what_is_said_by_hand_outlives_role_and_daemon", what_is_said_by_hand_outlives_role_and_daemon),
    ("a_corrupt_file_is_put_aside_and_stops_nothing", a_corrupt_file_is_put_aside_and_stops_nothing),
    ("a_file_that_cannot_be_written_is_told", a_file_that_cannot_be_written_is_told),
    ("orders_that_nobody_can_obey_are_refused", orders_that_nobody_can_obey_are_refused),
];

fn file(lab: &Lab) -> PathBuf {
    lab.path().join("main.overrides.json")
}

fn drain(lab: &Lab) -> Answer {
    let (server, virtual_server) = ("10.0.0.1".to_owned(), None);
    lab.ask(Request::Traffic(Order::Drain { server, virtual_server, until: None, force: false }))
}

fn what_is_said_by_hand_outlives_role_and_daemon() {
    let mut lab = Lab::new(0, 1);
    lab.wait_for_order("checker plan 1 of 1");
    assert!(matches!(drain(&lab), Answer::Traffic(outcome) if outcome.trouble.is_empty()));
    // Kept before the answer.
    assert!(fs::read_to_string(file(&lab)).expect("kept").contains("10.0.0.1"));
    let pid = lab.pid("checkers.pid").expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
    lab.wait_for_order("checker overrides 1");
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    let before = lab.orders().len();
    lab.start_again();
    lab.wait_for("the next daemon's checker role", || {
        lab.orders().iter().skip(before).any(|line| line == "checker plan 1 of 1")
    });
    assert!(lab.orders().iter().skip(before).any(|line| line == "checker overrides 1"));
    lab.wait_for("the control socket", || lab.socket().exists());
    assert!(matches!(lab.ask(Request::Traffic(Order::Drop(Vec::new()))), Answer::Traffic(_)));
    assert!(!file(&lab).exists(), "nothing is said any more");
}

fn a_corrupt_file_is_put_aside_and_stops_nothing() {
    let mut lab = Lab::new(0, 1);
    lab.wait_for_order("checker plan 1 of 1");
    lab.signal(Signal::SIGTERM);
    lab.wait_for_exit();
    fs::write(file(&lab), "{\"version\": 1, \"over").expect("written");
    let before = lab.orders().len();
    lab.start_again();
    lab.wait_for("the next daemon's checker role", || {
        lab.orders().iter().skip(before).any(|line| line == "checker plan 1 of 1")
    });
    assert!(!lab.orders().iter().skip(before).any(|line| line.starts_with("checker overrides")));
    assert!(lab.path().join("main.overrides.json.corrupt").exists());
    assert!(lab.log().contains("makes no sense"), "{}", lab.log());
    lab.wait_for("the control socket", || lab.socket().exists());
    assert!(matches!(drain(&lab), Answer::Traffic(_)));
}

fn a_file_that_cannot_be_written_is_told() {
    let lab = Lab::new(0, 1);
    lab.wait_for_order("checker plan 1 of 1");
    fs::create_dir(file(&lab)).expect("a directory in its place");
    let Answer::Traffic(outcome) = drain(&lab) else { panic!("it is obeyed") };
    assert!(outcome.trouble[0].contains("forgets"), "{:?}", outcome.trouble);
}

fn orders_that_nobody_can_obey_are_refused() {
    let lab = Lab::new(1, 0);
    let Answer::Refused(why) = drain(&lab) else { panic!("there is no checker role") };
    assert!(why.contains("the configuration has no virtual server"), "{why}");
    let lab = Lab::with(0, 1, &[("checker", "mute")], &[]);
    lab.wait_for_order("checker plan 1 of 1");
    let Answer::Refused(why) = drain(&lab) else { panic!("the checker role says nothing") };
    assert!(why.contains("not answered in time") || why.contains("ended before"), "{why}");
    let lab = Lab::new(0, 1);
    lab.wait_for_order("checker plan 1 of 1");
    let undrain = Order::Undrain { server: "10.0.0.1".to_owned(), virtual_server: None };
    assert!(matches!(lab.ask(Request::Traffic(undrain)), Answer::Refused(why) if why == "not by me"));
}
