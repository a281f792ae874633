//! Roles that die, hang or talk nonsense.

use crate::Test;
use crate::lab::{Lab, compiled};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub const TESTS: &[Test] = &[
    ("a_killed_role_is_started_again_with_its_plan", a_killed_role_is_started_again_with_its_plan),
    (
        "a_role_that_keeps_dying_is_started_later_and_later",
        a_role_that_keeps_dying_is_started_later_and_later,
    ),
    (
        "a_vrrp_role_that_keeps_dying_gives_its_addresses_up",
        a_vrrp_role_that_keeps_dying_gives_its_addresses_up,
    ),
    (
        "a_role_that_is_down_at_the_stop_still_gives_up_what_it_held",
        a_role_that_is_down_at_the_stop_still_gives_up_what_it_held,
    ),
    ("without_respawn_a_dead_role_ends_the_daemon", without_respawn_a_dead_role_ends_the_daemon),
    (
        "without_respawn_a_dead_role_still_gives_up_what_it_held",
        without_respawn_a_dead_role_still_gives_up_what_it_held,
    ),
    ("a_silent_role_is_ended_and_started_again", a_silent_role_is_ended_and_started_again),
    ("a_stopped_vrrp_role_is_noticed_and_ended", a_stopped_vrrp_role_is_noticed_and_ended),
    ("a_reload_does_not_wait_for_a_silent_role", a_reload_does_not_wait_for_a_silent_role),
    (
        "a_role_that_talks_nonsense_is_ended_and_started_again",
        a_role_that_talks_nonsense_is_ended_and_started_again,
    ),
    ("a_role_that_does_not_stop_is_killed", a_role_that_does_not_stop_is_killed),
    (
        "what_a_hung_role_held_at_the_stop_is_given_up_by_another",
        what_a_hung_role_held_at_the_stop_is_given_up_by_another,
    ),
    ("told_to_retain_nobody_gives_up_for_a_hung_role", told_to_retain_nobody_gives_up_for_a_hung_role),
    ("a_release_that_hangs_is_tried_again", a_release_that_hangs_is_tried_again),
    (
        "a_role_that_does_not_answer_leaves_the_rest_of_the_status",
        a_role_that_does_not_answer_leaves_the_rest_of_the_status,
    ),
    (
        "a_role_that_was_started_again_is_asked_for_its_status_again",
        a_role_that_was_started_again_is_asked_for_its_status_again,
    ),
    ("strange_signals_do_not_end_the_supervisor", strange_signals_do_not_end_the_supervisor),
    ("signals_for_the_supervisor_do_not_end_a_role", signals_for_the_supervisor_do_not_end_a_role),
];

fn a_killed_role_is_started_again_with_its_plan() {
    let lab = Lab::new(2, 0);
    lab.wait_for_order("vrrp plan 1 of 2");
    let first = lab.pid("vrrp.pid").expect("it runs");
    kill(Pid::from_raw(first as i32), Signal::SIGKILL).expect("it runs");
    lab.wait_for("a second plan", || lab.orders() == ["vrrp plan 1 of 2", "vrrp plan 1 of 2"]);
    assert_ne!(lab.pid("vrrp.pid"), Some(first));
    lab.wait_for_log("died of SIGKILL");
    lab.wait_for("a restart that is counted", || lab.status().daemon.roles[1].restarts == 1);
}

fn a_role_that_keeps_dying_is_started_later_and_later() {
    let mut lab = Lab::with(0, 1, &[("checker", "crash")], &[]);
    lab.wait_for_log("it is started again at once");
    lab.wait_for_log("it is started again in 1 s");
    lab.wait_for_log("it is started again in 2 s");
    lab.wait_for("a reason in the status", || {
        let trouble = lab.status().daemon.roles[0].trouble.clone().unwrap_or_default();
        trouble.contains("died of SIGABRT; started again in")
    });
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    assert!(lab.log().contains("its services may still be in the IPVS table"), "{}", lab.log());
}

fn a_vrrp_role_that_keeps_dying_gives_its_addresses_up() {
    let lab = Lab::with(1, 0, &[("vrrp", "crash")], &[]);
    lab.wait_for_log("the 5th time within 60 s: it is started once more, to send priority 0");
    lab.wait_for_log("died of SIGABRT while it gave up what it held: its virtual addresses may still be");
    lab.wait_for("a reason in the status", || {
        let trouble = lab.status().daemon.roles[1].trouble.clone().unwrap_or_default();
        trouble.contains("died 5 times within 60 s and could not give up what it held; started again in")
    });
    let plans = lab.orders().iter().filter(|line| *line == "vrrp plan 1 of 1").count();
    assert!(lab.log().contains("while it gave up what it held: it is tried again"), "{}", lab.log());
    assert_eq!(plans, 7, "{:?}", lab.orders());
    // A reload ends the wait.
    lab.behave("vrrp", "");
    assert!(lab.reload().accepted);
    lab.wait_for("an answer", || lab.status().daemon.roles[1].generation.is_some());
    for death in 1..=5 {
        let pid = lab.pid("vrrp.pid").expect("it runs");
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
        lab.wait_for("the next one", || death == 5 || lab.pid("vrrp.pid").is_some_and(|next| next != pid));
    }
    lab.wait_for_log("holdfast_vrrp died 5 times within 60 s and gave up what it held");
    assert_eq!(lab.orders().last().map(String::as_str), Some("vrrp stop release=true"));
}

fn a_role_that_is_down_at_the_stop_still_gives_up_what_it_held() {
    let mut lab = Lab::with(1, 0, &[("vrrp", "crash")], &[]);
    lab.wait_for_log("could not give up what it held; it is started again in 60 s");
    lab.behave("vrrp", "");
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    assert_eq!(lab.orders().last().map(String::as_str), Some("vrrp stop release=true"));
}

fn without_respawn_a_dead_role_ends_the_daemon() {
    let mut lab = Lab::start(&compiled(1, 1), &[("vrrp", "crash")], &["-R"]);
    assert_eq!(lab.wait_for_exit().code(), Some(1));
    assert!(lab.orders().contains(&"checker stop release=true".to_owned()), "{:?}", lab.orders());
    // Started once more to give up what it held, and then again, it died: what remains is said.
    let plans = lab.orders().iter().filter(|line| *line == "vrrp plan 1 of 1").count();
    assert_eq!(plans, 3, "{:?}", lab.orders());
    assert!(lab.log().contains("virtual addresses may still be on this node"), "{}", lab.log());
}

fn without_respawn_a_dead_role_still_gives_up_what_it_held() {
    let mut lab = Lab::with(1, 0, &[], &["-R"]);
    lab.wait_for_order("vrrp plan 1 of 1");
    let pid = lab.pid("vrrp.pid").expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
    assert_eq!(lab.wait_for_exit().code(), Some(1));
    assert_eq!(lab.orders(), ["vrrp plan 1 of 1", "vrrp plan 1 of 1", "vrrp stop release=true"]);
}

fn a_silent_role_is_ended_and_started_again() {
    let lab = Lab::with(1, 0, &[("vrrp", "silent")], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.behave("vrrp", "");
    lab.wait_for_log("has not answered for 2 s and is ended");
    lab.wait_for_log("died of SIGABRT");
    lab.wait_for("an answer", || lab.status().daemon.roles[1].generation.is_some());
}

/// Long before the checker's patience ends: the peers take over after 3.6 s.
fn a_stopped_vrrp_role_is_noticed_and_ended() {
    let mut plans = compiled(1, 0);
    plans = plans.replacen("\"interval\":100", "\"interval\":30", 1);
    let lab = Lab::start(&plans, &[], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.wait_for("a role in force", || lab.status().daemon.roles[1].generation.is_some());
    let pid = lab.pid("vrrp.pid").expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("it runs");
    lab.wait_for_log("has not answered for 1 s: it is stopped or starved; no advertisement leaves");
    lab.wait_for("a second plan", || lab.orders() == ["vrrp plan 1 of 1", "vrrp plan 1 of 1"]);
    // 0.3 s three times and the skew of version 2, in heartbeats of 50 ms.
    let log = lab.log();
    assert!(log.contains("has not answered for 1.55 s and is ended"), "{log}");
    assert!(log.contains("died of SIGKILL"), "SIGABRT would wait until it is continued: {log}");
}

fn a_reload_does_not_wait_for_a_silent_role() {
    let lab = Lab::with(0, 1, &[], &[]);
    lab.wait_for_order("checker plan 1 of 1");
    let pid = lab.pid("checkers.pid").expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("it runs");
    let outcome = lab.reload();
    assert!(outcome.accepted, "{outcome:?}");
    let trouble = outcome.trouble.join("\n");
    assert!(trouble.contains("configuration 2 yet (has not answered for"), "{trouble}");
}

fn a_role_that_talks_nonsense_is_ended_and_started_again() {
    let lab = Lab::with(0, 1, &[("checker", "garbage")], &[]);
    lab.wait_for_order("checker plan 1 of 1");
    lab.behave("checker", "");
    lab.wait_for_log("its link is unusable");
    lab.wait_for("an answer", || lab.status().daemon.roles[0].generation.is_some());
}

fn a_role_that_does_not_stop_is_killed() {
    let mut lab = Lab::with(1, 1, &[("vrrp", "deaf")], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.wait_for_order("checker plan 1 of 1");
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    let log = lab.log();
    assert!(log.contains("did not stop in time and is killed"), "{log}");
    assert!(log.contains("died of SIGKILL instead of stopping: its virtual addresses may still"), "{log}");
    assert!(
        lab.orders().contains(&"checker stop release=true".to_owned()),
        "the other one is stopped properly"
    );
}

/// Each of the three: it never answers the order; it is stopped before it; it is stopped while it carries it out.
fn what_a_hung_role_held_at_the_stop_is_given_up_by_another() {
    for (mode, stopped_before) in [("deaf", false), ("", true), ("deaf", true)] {
        let mut lab = Lab::with(1, 1, &[("vrrp", mode)], &[]);
        lab.wait_for_order("vrrp plan 1 of 1");
        lab.behave("vrrp", "");
        let pid = lab.pid("vrrp.pid").expect("it runs");
        let freeze = || kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("it runs");
        if stopped_before && mode.is_empty() {
            freeze();
        }
        lab.signal(Signal::SIGTERM);
        if stopped_before && !mode.is_empty() {
            lab.wait_for_order("vrrp stop release=true");
            freeze();
        }
        assert_eq!(lab.wait_for_exit().code(), Some(0));
        let log = lab.log();
        assert!(log.contains("is down; it is started once more, to give up what it held"), "{log}");
        assert!(!log.contains("may still be"), "{log}");
        let how = if stopped_before { "is stopped by a signal" } else { "did not stop in time" };
        assert!(log.contains(how), "{log}");
        let orders = lab.orders();
        let vrrp: Vec<&String> = orders.iter().filter(|line| line.starts_with("vrrp")).collect();
        assert_eq!(vrrp[vrrp.len() - 2..], ["vrrp plan 1 of 1", "vrrp stop release=true"], "{orders:?}");
        assert_eq!(orders.last().map(String::as_str), Some("checker stop release=true"), "vrrp first");
    }
}

fn told_to_retain_nobody_gives_up_for_a_hung_role() {
    let mut lab = Lab::with(1, 0, &[], &["-V"]);
    lab.wait_for_order("vrrp plan 1 of 1");
    let pid = lab.pid("vrrp.pid").expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).expect("it runs");
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    assert_eq!(lab.orders(), ["vrrp plan 1 of 1"]);
}

/// It dies five times; the process that is to give up what they held hangs, the next one does it.
fn a_release_that_hangs_is_tried_again() {
    let lab = Lab::with(1, 0, &[], &[]);
    for death in 1..=5 {
        lab.wait_for("an answer", || lab.status().daemon.roles[1].generation.is_some());
        let pid = lab.pid("vrrp.pid").expect("it runs");
        lab.behave("vrrp", if death == 5 { "silent" } else { "" });
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
        lab.wait_for("the next one", || lab.pid("vrrp.pid").is_some_and(|next| next != pid));
    }
    lab.wait_for("its plan", || lab.orders().len() == 6);
    lab.behave("vrrp", "");
    lab.wait_for_log("while it gave up what it held: it is tried again");
    lab.wait_for_log("died 5 times within 60 s and gave up what it held");
    assert_eq!(lab.orders().last().map(String::as_str), Some("vrrp stop release=true"));
}

fn a_role_that_does_not_answer_leaves_the_rest_of_the_status() {
    let lab = Lab::with(1, 1, &[("vrrp", "mute")], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    let status = lab.status();
    assert!(status.vrrp.is_none() && status.checker.is_some());
    let trouble = status.daemon.roles[1].trouble.as_deref().expect("it does not answer");
    assert!(trouble.contains("did not answer within 0.5 s") || trouble.contains("silent"), "{trouble}");
}

fn signals_for_the_supervisor_do_not_end_a_role() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    let pid = lab.pid("vrrp.pid").expect("it runs");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        kill(Pid::from_raw(pid as i32), signal).expect("it runs");
    }
    send_strange_signals(pid);
    assert!(lab.reload().accepted);
    assert_eq!(lab.pid("vrrp.pid"), Some(pid));
}

fn a_role_that_was_started_again_is_asked_for_its_status_again() {
    let lab = Lab::with(1, 0, &[("vrrp", "asked"), ("patient", "")], &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.behave("vrrp", "");
    let status = lab.status();
    let role = &status.daemon.roles[1];
    assert_eq!((role.restarts, &role.trouble), (1, &None));
    assert!(status.vrrp.is_some(), "{status:?}");
}

fn strange_signals_do_not_end_the_supervisor() {
    let lab = Lab::new(1, 0);
    send_strange_signals(lab.daemon_pid());
    assert_eq!(lab.status().daemon.pid, lab.daemon_pid());
    assert!(lab.reload().accepted);
}

/// What nobody means for us, and what scripts send to the pid of keepalived's vrrp process: JSON is 36, STATS_CLEAR 63.
fn send_strange_signals(pid: u32) {
    let names = ["ALRM", "VTALRM", "PROF", "IO", "STKFLT", "PWR"].map(str::to_owned);
    for signal in names.into_iter().chain((34..=64).map(|number: u8| number.to_string())) {
        let order = format!("kill -{signal} {pid}");
        let sent = std::process::Command::new("bash").args(["-c", &order]).status().expect("bash is there");
        assert!(sent.success(), "{order}");
    }
}
