//! Start, status, stop.

use crate::Test;
use crate::lab::{Lab, broken};
use holdfast::link::control::Answer;
use holdfast::vrrp::TransitionCause;
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

pub const TESTS: &[Test] = &[
    ("roles_start_with_their_plans_and_stop_in_order", roles_start_with_their_plans_and_stop_in_order),
    ("a_role_without_work_does_not_run", a_role_without_work_does_not_run),
    ("all_runs_every_role", all_runs_every_role),
    ("vrrp_only_leaves_the_checker_out", vrrp_only_leaves_the_checker_out),
    ("told_to_retain_roles_retain", told_to_retain_roles_retain),
    ("a_broken_first_configuration_is_shown_whole", a_broken_first_configuration_is_shown_whole),
    ("a_compiler_that_hangs_at_start_is_given_up", a_compiler_that_hangs_at_start_is_given_up),
    ("a_stop_while_the_first_configuration_is_read", a_stop_while_the_first_configuration_is_read),
    ("a_second_daemon_refuses", a_second_daemon_refuses),
    ("the_status_names_roles_and_what_is_not_built", the_status_names_roles_and_what_is_not_built),
    ("transitions_are_remembered", transitions_are_remembered),
    (
        "a_client_that_talks_nonsense_or_nothing_harms_nobody",
        a_client_that_talks_nonsense_or_nothing_harms_nobody,
    ),
    ("the_end_of_the_supervisor_is_the_end_of_the_link", the_end_of_the_supervisor_is_the_end_of_the_link),
];

fn roles_start_with_their_plans_and_stop_in_order() {
    let mut lab = Lab::new(2, 3);
    lab.wait_for_order("checker plan 1 of 3");
    lab.wait_for_order("vrrp plan 1 of 2");
    assert_eq!(lab.pid("main.pid"), Some(lab.daemon_pid()));
    for file in ["vrrp.pid", "checkers.pid"] {
        let pid = lab.pid(file).expect("a role runs");
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        let mode = std::fs::metadata(lab.path().join(file)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{file}");
    }
    let mode = std::fs::metadata(lab.socket()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only root may ask and order");
    let log = lab.log();
    assert!(log.find("started holdfast_checkers") < log.find("started holdfast_vrrp"), "{log}");
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    let stops: Vec<String> = lab.orders().into_iter().filter(|line| line.contains("stop")).collect();
    assert_eq!(stops, ["vrrp stop release=true", "checker stop release=true"]);
    for file in ["main.pid", "vrrp.pid", "checkers.pid", "main.sock"] {
        assert!(!lab.path().join(file).exists(), "{file} is left behind");
    }
}

fn a_role_without_work_does_not_run() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    assert_eq!(lab.pid("checkers.pid"), None);
    let status = lab.status();
    let checker = &status.daemon.roles[0];
    assert_eq!((checker.name.as_str(), checker.pid), ("checker", None));
    assert!(checker.trouble.as_deref().is_some_and(|t| t.contains("no virtual server")), "{checker:?}");
    assert!(status.checker.is_none() && status.vrrp.is_some());
}

fn all_runs_every_role() {
    let lab = Lab::with(0, 0, &[], &["--all"]);
    lab.wait_for_order("checker plan 1 of 0");
    lab.wait_for_order("vrrp plan 1 of 0");
}

fn vrrp_only_leaves_the_checker_out() {
    let lab = Lab::with(1, 1, &[], &["-P"]);
    lab.wait_for_order("vrrp plan 1 of 1");
    assert_eq!(lab.all_orders()[0], "compile 1 --vrrp");
    assert_eq!(lab.pid("checkers.pid"), None);
}

fn told_to_retain_roles_retain() {
    let mut lab = Lab::with(1, 1, &[], &["-V", "-I"]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.wait_for_order("checker plan 1 of 1");
    lab.signal(Signal::SIGINT);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    let stops: Vec<String> = lab.orders().into_iter().filter(|line| line.contains("stop")).collect();
    assert_eq!(stops, ["vrrp stop release=false", "checker stop release=false"]);
}

fn a_broken_first_configuration_is_shown_whole() {
    let mut lab = Lab::start(&broken(4), &[], &[]);
    assert_eq!(lab.wait_for_exit().code(), Some(4));
    let log = lab.log();
    for part in ["test.conf:3: first", "test.conf:4: second", "cannot be run (2 errors)"] {
        assert!(log.contains(part), "{part} is missing from {log}");
    }
    assert!(lab.orders().is_empty(), "no role was started");
    assert!(!lab.path().join("main.pid").exists());
}

fn a_compiler_that_hangs_at_start_is_given_up() {
    let mut lab = Lab::start("hang", &[], &[]);
    assert_eq!(lab.wait_for_exit().code(), Some(70));
    assert!(lab.log().contains("took longer than"), "{}", lab.log());
}

fn a_stop_while_the_first_configuration_is_read() {
    let mut lab = Lab::start("hang", &[], &[]);
    lab.wait_for("the compile role", || !lab.all_orders().is_empty());
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
}

fn a_second_daemon_refuses() {
    let lab = Lab::new(1, 0);
    let (status, text) = lab.second_daemon();
    assert_eq!(status, Some(1));
    assert!(text.contains(&format!("already running as PID {}", lab.daemon_pid())), "{text}");
    assert_eq!(lab.pid("main.pid"), Some(lab.daemon_pid()), "the file is the first one's");
    lab.status();
}

fn the_status_names_roles_and_what_is_not_built() {
    let lab = Lab::new(1, 1);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.wait_for("both roles in force", || {
        lab.status().daemon.roles.iter().all(|role| role.generation.map(|g| g.0) == Some(1))
    });
    let status = lab.status();
    assert_eq!(status.daemon.pid, lab.daemon_pid());
    assert!(status.daemon.configuration.ends_with("/test.conf"));
    assert_eq!(status.daemon.not_yet, ["track_script: no script runs"]);
    assert_eq!(status.daemon.refused_reload, None);
    assert_eq!(status.daemon.roles.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["checker", "vrrp"]);
    assert!(
        status.daemon.roles.iter().all(|role| role.trouble.is_none() && role.restarts == 0),
        "{status:?}"
    );
    assert!(status.vrrp.is_some() && status.checker.is_some());
}

fn transitions_are_remembered() {
    let lab = Lab::with(1, 0, &[("vrrp", "failover")], &[]);
    lab.wait_for("a transition", || !lab.status().transitions.is_empty());
    let heard = lab.status().transitions.remove(0);
    assert_eq!((heard.router.as_str(), heard.from.as_str(), heard.to.as_str()), ("web", "BACKUP", "MASTER"));
    assert_eq!(heard.cause, TransitionCause::MasterResigned { by: [10, 0, 0, 2].into() }.to_string());
}

fn a_client_that_talks_nonsense_or_nothing_harms_nobody() {
    let lab = Lab::new(1, 0);
    let silent: Vec<UnixStream> =
        (0..10).map(|_| UnixStream::connect(lab.socket()).expect("a listening daemon")).collect();
    for octets in [&[0, 0, 0, 2, b'{', b'}'][..], &[0xff; 4], &[0, 0, 0, 0]] {
        assert!(matches!(lab.converse(octets), Answer::Refused(_)), "{octets:?}");
    }
    assert_eq!(lab.status().daemon.generation.0, 1);
    drop(silent);
}

fn the_end_of_the_supervisor_is_the_end_of_the_link() {
    let mut lab = Lab::new(1, 1);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.wait_for_order("checker plan 1 of 1");
    lab.signal(Signal::SIGKILL);
    lab.wait_for_exit();
    lab.wait_for_order("vrrp eof");
    lab.wait_for_order("checker eof");
    // What it left behind is in nobody's way.
    assert!(lab.path().join("main.pid").exists() && lab.socket().exists());
    lab.start_again();
    lab.wait_for("a new daemon", || lab.pid("main.pid") == Some(lab.daemon_pid()));
    lab.wait_for("its roles", || lab.orders().iter().filter(|line| *line == "vrrp plan 1 of 1").count() == 2);
    lab.status();
}
