//! What one role says and another must hear.

use crate::Test;
use crate::lab::{Lab, compiled, following, managed, tracking};
use holdfast::link::control::{Answer, Request};
use holdfast::report::ServerFilter;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub const TESTS: &[Test] = &[
    ("roles_that_serve_others_start_and_stop_last", roles_that_serve_others_start_and_stop_last),
    ("a_reload_starts_and_stops_the_scripts_role", a_reload_starts_and_stops_the_scripts_role),
    ("a_scripts_role_without_work_tells_what_leaves", a_scripts_role_without_work_tells_what_leaves),
    ("samples_reach_the_vrrp_role_and_its_successor", samples_reach_the_vrrp_role_and_its_successor),
    ("samples_are_held_while_the_scripts_role_is_dead", samples_are_held_while_the_scripts_role_is_dead),
    ("samples_of_what_is_tracked_no_more_are_forgotten", samples_of_what_is_tracked_no_more_are_forgotten),
    (
        "claims_reach_the_scripts_role_and_its_answer_the_vrrp_role",
        claims_reach_the_scripts_role_and_its_answer_the_vrrp_role,
    ),
    ("a_claim_without_a_scripts_role_has_failed", a_claim_without_a_scripts_role_has_failed),
    ("news_reach_the_scripts_role", news_reach_the_scripts_role),
    ("synchronisation_hears_of_its_virtual_router", synchronisation_hears_of_its_virtual_router),
    ("verdicts_reach_the_next_checker_role", verdicts_reach_the_next_checker_role),
    (
        "questions_about_checks_are_answered_by_the_checker",
        questions_about_checks_are_answered_by_the_checker,
    ),
    ("the_snmp_role_hears_how_servers_are", the_snmp_role_hears_how_servers_are),
    (
        "the_snmp_role_does_not_wait_for_a_checker_that_says_nothing",
        the_snmp_role_does_not_wait_for_a_checker_that_says_nothing,
    ),
];

fn verdicts_reach_the_next_checker_role() {
    let lab = Lab::with(0, 1, &[("checker", "believes")], &[]);
    lab.wait_for_order("checker plan 1 of 1");
    lab.wait_for("a plan in force", || lab.status().daemon.roles[0].generation.is_some());
    end(&lab, "checkers.pid");
    lab.wait_for("a second plan", || lab.orders().len() == 3);
    let orders = lab.orders();
    let place = |number: u64| orders[1].find(&format!("question: {number}")).expect("it is held");
    assert!(orders[1].starts_with("checker held [") && place(4) < place(9), "{orders:?}");
    assert_eq!(orders[1].matches("refused").count(), 2, "each once: {orders:?}");
    assert_eq!(orders[2], "checker plan 1 of 1");
}

/// A lab that tracks.
fn lab(scripts: usize, sessions: usize, modes: &[(&str, &str)]) -> Lab {
    let lab = Lab::start(&tracking(1, scripts, sessions), modes, &[]);
    lab.wait_until_it_listens();
    lab
}

fn end(lab: &Lab, pid_file: &str) {
    let pid = lab.pid(pid_file).expect("it runs");
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
}

/// The lines of one role, in order.
fn heard(lab: &Lab, role: &str) -> Vec<String> {
    let prefix = format!("{role} ");
    lab.orders().iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}

fn roles_that_serve_others_start_and_stop_last() {
    let mut lab = lab(2, 1, &[]);
    lab.wait_for("all roles in force", || {
        let roles = lab.status().daemon.roles;
        roles.iter().filter(|role| role.generation.is_some()).count() == 3
    });
    let names: Vec<_> = lab.status().daemon.roles.iter().map(|role| role.name.clone()).collect();
    assert_eq!(names, ["checker", "vrrp", "scripts", "bfd"]);
    assert!(lab.status().scripts.is_some() && lab.status().bfd.is_some());
    assert!(lab.pid("main.scripts.pid").is_some() && lab.pid("bfd.pid").is_some());
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    let stops: Vec<_> = lab.orders().into_iter().filter(|line| line.contains("stop")).collect();
    assert_eq!(stops, ["vrrp stop release=true", "bfd stop release=true", "scripts stop release=true"]);
    assert!(lab.pid("main.scripts.pid").is_none() && lab.pid("bfd.pid").is_none());
}

fn a_reload_starts_and_stops_the_scripts_role() {
    let lab = lab(0, 0, &[]);
    lab.wait_for_order("vrrp plan 1 of 1");
    assert_eq!(lab.status().daemon.roles.len(), 2);
    lab.configure(&tracking(1, 3, 0));
    let outcome = lab.reload();
    assert!(outcome.accepted && outcome.trouble.is_empty(), "{outcome:?}");
    assert_eq!(heard(&lab, "scripts"), ["plan 2 of 3"]);
    lab.configure(&compiled(1, 0));
    assert!(lab.reload().accepted);
    lab.wait_for_order("scripts stop release=true");
}

fn a_scripts_role_without_work_tells_what_leaves() {
    let lab = lab(1, 0, &[("vrrp", "late")]);
    lab.wait_for_order("scripts plan 1 of 1");
    lab.configure(&compiled(1, 0));
    let outcome = lab.reload();
    assert!(outcome.accepted && outcome.trouble.is_empty(), "{outcome:?}");
    assert_eq!(heard(&lab, "scripts")[1..], ["plan 2 of 0", "news web MASTER", "stop release=true"]);
}

fn samples_reach_the_vrrp_role_and_its_successor() {
    let lab = lab(2, 1, &[("scripts", "samples"), ("bfd", "samples")]);
    let samples = [
        "words script script1 exit status 1",
        "tracker script script1 Some(Down)",
        "tracker script script2 Some(Up)",
    ];
    let session = "tracker BFD session session1 Some(Up)";
    lab.wait_for("three samples", || {
        let vrrp = heard(&lab, "vrrp");
        samples.iter().chain([&session]).all(|line| vrrp.iter().any(|heard| heard == line))
    });
    end(&lab, "vrrp.pid");
    lab.wait_for("them again", || heard(&lab, "vrrp").len() == 10);
    // Before its plan, so that a Master that goes on says the same priority. A tracker that nobody configured is none.
    let all = [samples[0], samples[1], samples[2], session, "plan 1 of 1"];
    assert_eq!(heard(&lab, "vrrp")[5..], all);
}

fn samples_are_held_while_the_scripts_role_is_dead() {
    let lab = lab(2, 0, &[("scripts", "samples")]);
    lab.wait_for_order("vrrp tracker script script2 Some(Up)");
    lab.behave("scripts", "");
    end(&lab, "main.scripts.pid");
    lab.wait_for_log("died of SIGKILL");
    lab.wait_for("its successor", || {
        heard(&lab, "scripts").iter().filter(|line| *line == "plan 1 of 2").count() == 2
    });
    let held = ["held script script1 Down", "held script script2 Up", "plan 1 of 2"];
    assert_eq!(heard(&lab, "scripts")[1..], held);
    assert_eq!(heard(&lab, "vrrp").len(), 4, "the vrrp role hears nothing of it: {:?}", heard(&lab, "vrrp"));
}

fn samples_of_what_is_tracked_no_more_are_forgotten() {
    let lab = lab(2, 0, &[("scripts", "samples")]);
    lab.wait_for_order("vrrp tracker script script2 Some(Up)");
    lab.configure(&tracking(1, 1, 0));
    assert!(lab.reload().accepted);
    end(&lab, "vrrp.pid");
    let plans = || heard(&lab, "vrrp").iter().filter(|word| *word == "plan 2 of 1").count();
    lab.wait_for("a second life", || plans() == 2);
    // In the first one, what the scripts role said on its new plan may have come as well.
    let words = heard(&lab, "vrrp");
    let again = words.iter().rposition(|word| word == "plan 2 of 1").expect("it was counted");
    let expected = ["words script script1 exit status 1", "tracker script script1 Some(Down)", "plan 2 of 1"];
    assert_eq!(words[again - 2..=again], expected, "{words:?}");
    let reloaded = words.iter().position(|word| word == "plan 2 of 1").expect("it was counted");
    assert!(!words[reloaded..].iter().any(|word| word.contains("script2")), "{words:?}");
}

fn claims_reach_the_scripts_role_and_its_answer_the_vrrp_role() {
    let lab = lab(1, 0, &[("vrrp", "claims")]);
    lab.wait_for_order("scripts claim web");
    lab.wait_for_order("scripts unclaim Some(4)");
    lab.wait_for_order("vrrp claimed Ok(())");
    end(&lab, "vrrp.pid");
    lab.wait_for_order("scripts unclaim None");
}

fn a_claim_without_a_scripts_role_has_failed() {
    let lab = Lab::with(1, 0, &[("vrrp", "claims")], &[]);
    lab.wait_for_order("vrrp claimed Err(\"there is no scripts role to run it\")");
}

fn news_reach_the_scripts_role() {
    let lab = lab(1, 0, &[("vrrp", "failover")]);
    lab.wait_for_order("scripts news web MASTER");
    let status = lab.status();
    assert!(status.daemon.roles.iter().all(|role| role.dropped == 0), "{status:?}");
}

fn synchronisation_hears_of_its_virtual_router() {
    let lab = Lab::start(&following("web"), &[("vrrp", "failover")], &[]);
    lab.wait_for_order("checker master true");
    assert_eq!(heard(&lab, "checker")[..2], ["master false", "plan 1 of 1"]);
    end(&lab, "checkers.pid");
    let plans = || heard(&lab, "checker").iter().filter(|word| *word == "plan 1 of 1").count();
    lab.wait_for("a second life", || plans() == 2);
    let words = heard(&lab, "checker");
    let again = words.iter().rposition(|word| word == "plan 1 of 1").expect("it was counted");
    assert_eq!(words[again - 1], "master true", "{words:?}");
    lab.configure(&following("other"));
    assert!(lab.reload().accepted);
    lab.wait_for_order("checker plan 2 of 1");
    let last = heard(&lab, "checker");
    assert_eq!(last[last.len() - 2..], ["master false", "plan 2 of 1"]);
}

fn questions_about_checks_are_answered_by_the_checker() {
    let lab = Lab::start(&following("web"), &[], &[]);
    lab.wait_for_order("checker plan 1 of 1");
    let filter: ServerFilter = "192.0.2.1:80".parse().expect("an endpoint");
    assert_eq!(lab.ask(Request::Checks(filter)), Answer::Checks(Box::default()));
    assert_eq!(heard(&lab, "checker").last().map(String::as_str), Some("checks of 192.0.2.1:80"));
    match lab.ask(Request::CheckNow(filter)) {
        Answer::CheckedNow(report) => assert_eq!(report.left_out, ["192.0.2.1:80"]),
        other => panic!("{other:?}"),
    }
    lab.configure(&compiled(1, 0));
    assert!(lab.reload().accepted);
    lab.wait_for("the checker to go", || {
        matches!(lab.ask(Request::Checks(filter)), Answer::Refused(why) if why.starts_with("the checker role says nothing: not running"))
    });
}

fn the_snmp_role_hears_how_servers_are() {
    let mut lab = Lab::start(&managed(2, true), &[("snmp", "asks"), ("checker", "tells")], &[]);
    lab.wait_until_it_listens();
    lab.wait_for_order("snmp servers Some(0)");
    let told = |lab: &Lab| heard(lab, "snmp").iter().filter(|line| line.starts_with("news Virt")).count();
    lab.wait_for("the trap", || told(&lab) == 1);
    let status = lab.status();
    assert!(status.snmp.is_some() && lab.pid("main.snmp.pid").is_some(), "{status:?}");
    let names: Vec<_> = status.daemon.roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["checker", "vrrp", "snmp"]);
    // Without traps nobody tells it; what it asks it still hears.
    lab.configure(&managed(2, false));
    assert!(lab.reload().accepted);
    lab.wait_for("the second answer", || {
        heard(&lab, "snmp").iter().filter(|line| *line == "servers Some(0)").count() == 2
    });
    assert_eq!(told(&lab), 1);
    lab.signal(Signal::SIGTERM);
    assert_eq!(lab.wait_for_exit().code(), Some(0));
    let stops: Vec<_> = lab.orders().into_iter().filter(|line| line.contains("stop")).collect();
    assert_eq!(stops, ["vrrp stop release=true", "checker stop release=true", "snmp stop release=true"]);
}

fn the_snmp_role_does_not_wait_for_a_checker_that_says_nothing() {
    let lab = Lab::start(&managed(1, false), &[("snmp", "asks"), ("checker", "secretive")], &[]);
    lab.wait_until_it_listens();
    lab.wait_for_order("checker asked");
    // Asked meanwhile for the whole status, which it does not answer either.
    let status = lab.status();
    assert!(status.checker.is_none() && status.snmp.is_some(), "{status:?}");
    lab.wait_for_order("snmp servers None");
    // And where there is none at all.
    lab.configure(&managed(0, false));
    assert!(lab.reload().accepted);
    lab.wait_for("an answer without a checker", || {
        heard(&lab, "snmp").iter().filter(|line| *line == "servers None").count() == 2
    });
}
