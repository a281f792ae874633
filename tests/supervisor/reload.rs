//! Reload: accepted, refused, queued.

use crate::Test;
use crate::lab::{Lab, broken, compiled, tolerated};
use holdfast::link::control::{Answer, Request};
use holdfast::net::IpCidr;
use holdfast::plan::vrrp::VirtualAddress;
use nix::sys::signal::Signal;

pub const TESTS: &[Test] = &[
    (
        "a_queued_reload_is_dropped_when_its_client_hangs_up",
        a_queued_reload_is_dropped_when_its_client_hangs_up,
    ),
    ("a_client_that_says_no_more_is_answered", a_client_that_says_no_more_is_answered),
    ("a_reload_says_what_it_changed", a_reload_says_what_it_changed),
    ("a_reload_reaches_every_role_before_it_is_answered", a_reload_reaches_every_role_before_it_is_answered),
    ("a_reload_starts_and_stops_roles", a_reload_starts_and_stops_roles),
    ("a_refused_reload_changes_nothing_and_says_why", a_refused_reload_changes_nothing_and_says_why),
    ("new_errors_refuse_a_reload_and_old_ones_do_not", new_errors_refuse_a_reload_and_old_ones_do_not),
    ("an_empty_file_takes_nothing_away", an_empty_file_takes_nothing_away),
    ("a_compiler_that_fails_refuses_the_reload", a_compiler_that_fails_refuses_the_reload),
    ("a_hangup_during_a_reload_is_queued", a_hangup_during_a_reload_is_queued),
    ("a_reload_does_not_wait_for_a_role_to_be_forgiven", a_reload_does_not_wait_for_a_role_to_be_forgiven),
    ("a_role_that_does_not_apply_is_reported", a_role_that_does_not_apply_is_reported),
];

fn a_reload_reaches_every_role_before_it_is_answered() {
    let lab = Lab::new(1, 1);
    lab.configure(&compiled(2, 3));
    let outcome = lab.reload();
    assert!(outcome.accepted && outcome.trouble.is_empty(), "{outcome:?}");
    assert_eq!((outcome.generation.0, outcome.errors), (2, 0));
    assert_eq!(outcome.diagnostics, ["test.conf:1: a warning"]);
    let orders = lab.orders();
    for order in ["vrrp plan 2 of 2", "checker plan 2 of 3"] {
        assert!(orders.iter().any(|line| line == order), "{order} is missing from {orders:?}");
    }
    assert_eq!(lab.status().daemon.roles.iter().map(|r| r.restarts).sum::<u32>(), 0);
}

fn a_reload_says_what_it_changed() {
    let lab = Lab::new(2, 7);
    let address = VirtualAddress::new(IpCidr::host([10, 0, 0, 100].into()));
    let with_address = format!("\"addresses\":[{}]", serde_json::to_string(&address).expect("plain data"));
    for (configuration, line) in [
        (compiled(1, 7), "configuration 2 is in force: -1 router (router2)"),
        (compiled(1, 7), "configuration 3 is in force: nothing changed"),
        (
            compiled(1, 1).replace("\"priority\":100", "\"priority\":90"),
            "configuration 4 is in force: 1 router changed (router1), \
             -6 virtual servers (server2, server3, server4, server5, server6, 1 more)",
        ),
        (
            compiled(1, 1)
                .replace("\"priority\":100", "\"priority\":90")
                .replace("\"addresses\":[]", &with_address),
            "configuration 5 is in force: +1 address",
        ),
        (compiled(1, 1), "configuration 6 is in force: -1 address, 1 router changed (router1)"),
    ] {
        lab.configure(&configuration);
        assert!(lab.reload().accepted);
        lab.wait_for_log(line);
    }
}

fn a_reload_starts_and_stops_roles() {
    let lab = Lab::new(1, 0);
    lab.configure(&compiled(0, 2));
    let outcome = lab.reload();
    assert!(outcome.accepted && outcome.trouble.is_empty(), "{outcome:?}");
    let orders = lab.orders();
    for order in ["vrrp stop release=true", "checker plan 2 of 2"] {
        assert!(orders.iter().any(|line| line == order), "{order} is missing from {orders:?}");
    }
    assert_eq!(lab.pid("vrrp.pid"), None);
    lab.configure(&compiled(1, 2));
    assert!(lab.reload().accepted);
    lab.wait_for_order("vrrp plan 3 of 1");
}

fn a_refused_reload_changes_nothing_and_says_why() {
    let lab = Lab::new(1, 1);
    lab.wait_for_order("checker plan 1 of 1");
    lab.configure(&broken(4));
    let outcome = lab.reload();
    assert!(!outcome.accepted);
    assert_eq!((outcome.generation.0, outcome.errors), (1, 2));
    assert_eq!(outcome.diagnostics, ["test.conf:3: first", "test.conf:4: second"]);
    let daemon = lab.status().daemon;
    assert_eq!(daemon.generation.0, 1);
    assert_eq!(daemon.refused_reload.as_deref(), Some("test.conf:3: first\ntest.conf:4: second"));
    assert!(!lab.orders().iter().any(|line| line.contains("plan 2")), "{:?}", lab.orders());
    lab.configure(&compiled(1, 1));
    assert_eq!(lab.reload().generation.0, 2);
    assert_eq!(lab.status().daemon.refused_reload, None, "an accepted reload ends the complaint");
}

fn new_errors_refuse_a_reload_and_old_ones_do_not() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.configure(&tolerated(0, 0, 1));
    let outcome = lab.reload();
    assert!(!outcome.accepted, "a slip must not take an address away");
    assert!(
        outcome.trouble[0].contains("it has 1 error, the configuration in force has none"),
        "{outcome:?}"
    );
    assert_eq!(lab.orders(), ["vrrp plan 1 of 1"]);
    // A file that had errors at start may keep them.
    let lab = Lab::start(&tolerated(1, 0, 2), &[], &[]);
    lab.wait_until_it_listens();
    lab.configure(&tolerated(2, 0, 2));
    assert!(lab.reload().accepted);
    lab.configure(&tolerated(2, 0, 3));
    assert!(!lab.reload().accepted);
    lab.configure(&tolerated(3, 0, 1));
    assert!(lab.reload().accepted);
    lab.configure(&tolerated(3, 0, 2));
    assert!(!lab.reload().accepted, "what was mended stays mended");
}

fn an_empty_file_takes_nothing_away() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.configure(&tolerated(0, 0, 0));
    let outcome = lab.reload();
    assert!(!outcome.accepted && outcome.trouble[0].contains("a file cut short?"), "{outcome:?}");
    assert_eq!(lab.orders(), ["vrrp plan 1 of 1"]);
    lab.configure(&tolerated(0, 1, 0));
    assert!(lab.reload().accepted, "whoever still asks for something may have it");
}

fn a_compiler_that_fails_refuses_the_reload() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    for (answer, part) in
        [("die", "died of SIGABRT"), ("hang", "took longer than"), ("garbage", "not understood")]
    {
        lab.configure(answer);
        let outcome = lab.reload();
        assert!(!outcome.accepted);
        assert!(outcome.trouble.iter().any(|t| t.contains(part)), "{answer}: {outcome:?}");
        assert!(lab.status().daemon.refused_reload.is_some_and(|why| why.contains(part)));
    }
    assert_eq!(lab.orders(), ["vrrp plan 1 of 1"]);
}

fn a_hangup_during_a_reload_is_queued() {
    let lab = Lab::new(1, 0);
    lab.configure("hang");
    lab.signal(Signal::SIGHUP);
    lab.wait_for("the compile role", || lab.all_orders().iter().any(|line| line.starts_with("compile 2")));
    lab.configure(&compiled(3, 0));
    lab.signal(Signal::SIGHUP);
    lab.wait_for_log("it follows the one under way");
    // The first one is given up in time, the second one succeeds.
    lab.wait_for_order("vrrp plan 2 of 3");
}

fn a_queued_reload_is_dropped_when_its_client_hangs_up() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    lab.configure("hang");
    lab.signal(Signal::SIGHUP);
    lab.wait_for("the compile role", || lab.all_orders().iter().any(|line| line.starts_with("compile 2")));
    lab.configure(&compiled(3, 0));
    let mut client = std::os::unix::net::UnixStream::connect(lab.socket()).expect("a listening daemon");
    let request = holdfast::link::frame::encode(&Request::Reload).expect("a small request");
    std::io::Write::write_all(&mut client, &request).expect("it reads");
    lab.wait_for_log("it follows the one under way");
    drop(client);
    lab.wait_for_log("who asked for it has hung up");
    assert!(!lab.orders().contains(&"vrrp plan 2 of 3".to_owned()), "{:?}", lab.orders());
}

/// A client that ended its own sending still wants its answer.
fn a_client_that_says_no_more_is_answered() {
    let lab = Lab::new(1, 0);
    let mut client = std::os::unix::net::UnixStream::connect(lab.socket()).expect("a listening daemon");
    let request = holdfast::link::frame::encode(&Request::Reload).expect("a small request");
    std::io::Write::write_all(&mut client, &request).expect("it reads");
    client.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut client, &mut answer).expect("an answer");
    let mut decoder = holdfast::link::frame::Decoder::default();
    decoder.push(&answer);
    let answer: Option<Answer> = decoder.message().expect("well formed");
    assert!(matches!(answer, Some(Answer::Reload(outcome)) if outcome.accepted));
}

fn a_reload_does_not_wait_for_a_role_to_be_forgiven() {
    let lab = Lab::with(1, 0, &[("vrrp", "crash")], &[]);
    // Longer than the limit for applying a plan.
    lab.wait_for_log("it is started again in 8 s");
    lab.behave("vrrp", "");
    let outcome = lab.reload();
    assert!(outcome.accepted && outcome.trouble.is_empty(), "{outcome:?}");
    assert!(lab.orders().contains(&"vrrp plan 2 of 1".to_owned()), "{:?}", lab.orders());
}

fn a_role_that_does_not_apply_is_reported() {
    let lab = Lab::new(1, 0);
    lab.wait_for_order("vrrp plan 1 of 1");
    // The role dies at its next plans, more often than patience allows.
    lab.behave("vrrp", "crash");
    lab.behave("checker", "mute");
    lab.configure(&compiled(1, 1));
    let outcome = lab.reload();
    assert!(outcome.accepted, "the configuration itself is good");
    assert!(
        outcome.trouble.iter().any(|t| t.contains("checker role has not reported configuration 2")),
        "{outcome:?}"
    );
}
