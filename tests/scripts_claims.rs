//! The scripts role with claim scripts, which succeed, fail, hang and are no longer wanted.

mod scripts_support;

use holdfast::link::ToScripts;
use holdfast::net::{IpCidr, Priority};
use holdfast::plan::notify::{InstanceHooks, NotifyPlan};
use holdfast::plan::scripts::{CommandPlan, ScriptsPlan};
use holdfast::vrrp::{ClaimId, ClaimOrder, RouterId};
use scripts_support::{Lab, alive};
use std::fs;
use std::time::Duration;

/// A role whose instances of these names have that script.
fn lab(names: &[&str], text: impl Fn(&Lab) -> String) -> Lab {
    let mut lab = Lab::new();
    let command = lab.script("claim", &text(&lab)).command;
    let hooks = |name: &&str| InstanceHooks {
        name: (*name).to_owned(),
        claim: Some(command.clone()),
        ..InstanceHooks::default()
    };
    let instances = names.iter().map(hooks).collect();
    lab.plan_all(plan(instances));
    lab
}

fn plan(instances: Vec<InstanceHooks>) -> ScriptsPlan {
    let notify = Box::new(NotifyPlan { instances, ..NotifyPlan::default() });
    ScriptsPlan { notify, ..ScriptsPlan::default() }
}

fn order(name: &str, claim: u64) -> ToScripts {
    let address = |last| IpCidr::new([10, 0, 0, last].into(), 24).expect("24 is at most 32");
    ToScripts::Claim(ClaimOrder {
        claim: ClaimId(claim),
        router: RouterId(7),
        name: name.to_owned(),
        priority: Priority(150),
        addresses: vec![address(100), address(101)],
        timeout: Duration::from_millis(500),
    })
}

#[test]
fn a_claim_script_is_told_what_to_claim_and_answers_with_its_exit_status() {
    let mut lab = lab(&["A"], |lab| format!("echo \"$@\" >{}", lab.path("words").display()));
    lab.say(&order("A", 1));
    let claimed = lab.claimed();
    assert_eq!((claimed.router, claimed.claim, claimed.result), (RouterId(7), ClaimId(1), Ok(())));
    let words = fs::read_to_string(lab.path("words")).expect("written");
    assert_eq!(words, "INSTANCE A MASTER 150 10.0.0.100/24 10.0.0.101/24\n");
    assert_eq!(lab.counter("claim_runs"), 1);
}

#[test]
fn one_that_fails_says_what_it_printed_and_one_that_is_not_there_why() {
    let mut lab = lab(&["A"], |_| "echo no such instance >&2; exit 3".to_owned());
    lab.say(&order("A", 1));
    assert_eq!(lab.claimed().result, Err("exit status 3, `no such instance`".to_owned()));
    lab.say(&order("B", 2));
    let unknown = "this instance has none in the configuration in force".to_owned();
    assert_eq!(lab.claimed().result, Err(unknown));
    let command = CommandPlan {
        words: vec!["/nowhere/claim".to_owned()],
        cannot_run: Some("/nowhere/claim does not exist".to_owned()),
        ..CommandPlan::default()
    };
    let hooks = InstanceHooks { name: "A".to_owned(), claim: Some(command), ..InstanceHooks::default() };
    lab.plan_all(plan(vec![hooks]));
    lab.say(&order("A", 3));
    assert_eq!(lab.claimed().result, Err("it is not run: /nowhere/claim does not exist".to_owned()));
    assert_eq!(lab.counter("claim_failures"), 3);
}

#[test]
fn one_that_hangs_is_ended_at_its_timeout_with_its_children() {
    let text = |lab: &Lab| {
        let pids = lab.path("pids");
        format!("trap '' TERM; sleep 3600 & echo $! >>{0}; echo $$ >>{0}; wait; sleep 3600", pids.display())
    };
    let mut lab = lab(&["A"], text);
    lab.say(&order("A", 1));
    assert_eq!(lab.claimed().result, Err("no end within 0.5 s".to_owned()));
    assert_eq!(lab.pids("pids").len(), 2);
    lab.wait_for("the end of the whole group", |lab| lab.pids("pids").iter().all(|pid| !alive(*pid)));
}

/// A node that is MASTER no more must not take the addresses from the next one.
#[test]
fn one_that_is_no_longer_wanted_is_ended_and_says_nothing_and_the_next_waits_for_its_end() {
    let text = |lab: &Lab| {
        let (pids, go) = (lab.path("pids"), lab.path("go"));
        format!("echo $$ >>{}; [ -e {} ] || sleep 3600", pids.display(), go.display())
    };
    let mut lab = lab(&["A", "B"], text);
    lab.say(&order("A", 1));
    lab.wait_for("its start", |lab| !lab.pids("pids").is_empty());
    lab.say(&ToScripts::Unclaim(Some(ClaimId(1))));
    let first = lab.pids("pids")[0];
    lab.wait_for("its end", |_| !alive(first));
    fs::write(lab.path("go"), "").expect("written");
    lab.say(&order("A", 2));
    let claimed = lab.claimed();
    assert_eq!((claimed.claim, claimed.result), (ClaimId(2), Ok(())), "the first one was not answered");
    // One that is asked for again while it runs begins anew.
    fs::remove_file(lab.path("go")).expect("there");
    lab.say(&order("A", 3));
    lab.wait_for("its start", |lab| lab.pids("pids").len() == 3);
    fs::write(lab.path("go"), "").expect("written");
    lab.say(&order("A", 4));
    lab.say(&order("B", 5));
    let mut answers = [lab.claimed().claim, lab.claimed().claim];
    answers.sort();
    assert_eq!(answers, [ClaimId(4), ClaimId(5)]);
    let third = lab.pids("pids")[2];
    assert!(!alive(third));
}

#[test]
fn a_role_that_ends_ends_its_claim_scripts() {
    let text = |lab: &Lab| format!("echo $$ >>{}; exec sleep 3600", lab.path("pids").display());
    let mut lab = lab(&["A"], text);
    lab.say(&order("A", 1));
    lab.wait_for("its start", |lab| !lab.pids("pids").is_empty());
    let pid = lab.pids("pids")[0];
    lab.say(&ToScripts::Stop);
    lab.wait_for("its end", |_| !alive(pid));
}
