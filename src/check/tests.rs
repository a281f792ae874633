//! The core over all checkers: who is asked when.

use super::samples::{of_kind, plan, tcp, tcp_of};
use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn success(check: CheckId) -> Event {
    Event::Finished { check, outcome: Outcome::Success("fine".into()), latency: SECOND }
}

fn started(actions: &[Action]) -> Vec<CheckId> {
    let starts = actions.iter().filter_map(|action| match action {
        Action::Start { check, .. } => Some(*check),
        _ => None,
    });
    starts.collect()
}

/// A core that has started `questions`, and what it said by then.
fn running(questions: &[Question], limit: usize) -> (Checks, Vec<Action>) {
    let mut checks = Checks::new(limit);
    let mut actions = Vec::new();
    checks.handle(plan(questions), at(0), &mut actions);
    assert_eq!(actions, [], "nothing happens in the first second");
    checks.handle_timeout(at(11), &mut actions);
    (checks, actions)
}

#[test]
fn a_check_first_runs_after_a_second_and_a_part_of_the_warmup() {
    let mut checks = Checks::new(10);
    checks.handle(plan(&[tcp()]), at(5), &mut Vec::new());
    let first = checks.next_timeout().expect("a check waits");
    assert!(first >= at(6) && first <= at(16), "{first:?}");
    let mut actions = Vec::new();
    checks.handle_timeout(Instant(first.0 - 1), &mut actions);
    assert_eq!(started(&actions), []);
    checks.handle_timeout(first, &mut actions);
    assert_eq!(started(&actions), [CheckId(0)]);
    assert_eq!(checks.next_timeout(), None, "a check that runs has no deadline");
}

#[test]
fn first_runs_are_spread() {
    let questions: Vec<Question> = (1..=100).map(|n| tcp_of(&format!("192.0.2.{n}:80"))).collect();
    let mut checks = Checks::new(1000);
    checks.handle(plan(&questions), at(0), &mut Vec::new());
    let mut actions = Vec::new();
    checks.handle_timeout(at(6), &mut actions);
    let half = started(&actions).len();
    assert!((25..=75).contains(&half), "{half} of 100 in the first half");
}

#[test]
fn checks_that_listen_hear_what_is_said_before_and_after_their_plan() {
    let file = |weight| of_kind(CheckKind::File(FileCheck { file: "f".into(), weight }));
    let key = file(1).kind.tracker().expect("a file is listened to");
    let mut checks = Checks::new(10);
    let mut hear = |event| {
        let mut actions = Vec::new();
        checks.handle(event, at(0), &mut actions);
        assert_eq!(checks.next_timeout(), None, "nothing is asked");
        actions
    };
    let sample = |value| Event::Sample(key.clone(), Some(Sample::Value(value)));
    assert_eq!(hear(sample(3)), []);
    let question = Arc::new(file(-2));
    let weight = |by| Action::Weight(question.clone(), WeightChange::By(by));
    let verdict = |verdict| Action::Verdict(question.clone(), verdict);
    assert_eq!(hear(plan(&[file(-2)])), [weight(-6), verdict(Verdict::Up)]);
    assert_eq!(hear(sample(0)), [weight(0)]);
    assert_eq!(hear(Event::Sample(key.clone(), None)), [], "what was known counts on");
    assert!(matches!(hear(sample(i32::MAX)).as_slice(), [Action::Verdict(_, Verdict::Down(_))]));
    let strict = hear(plan(&[file(0)]));
    assert!(matches!(strict.as_slice(), [Action::Verdict(_, Verdict::Down(_))]), "{strict:?}");
    assert_eq!(hear(plan(&[])), []);
    assert_eq!(hear(sample(1)), [], "nobody listens any more");
}

#[test]
fn equal_questions_share_one_checker() {
    let (_, actions) = running(&[tcp(), tcp()], 10);
    assert_eq!(started(&actions), [CheckId(0)]);
}

#[test]
fn the_next_run_is_counted_from_the_end_of_the_last() {
    let (mut checks, _) = running(&[tcp()], 10);
    let mut actions = Vec::new();
    checks.handle(success(CheckId(0)), at(20), &mut actions);
    assert_eq!(actions, [Action::Verdict(Arc::new(tcp()), Verdict::Up)]);
    assert_eq!(checks.next_timeout(), Some(at(26)));
}

#[test]
fn a_hurried_check_asks_at_once_and_one_that_runs_asks_again() {
    let mut checks = Checks::new(10);
    let mut actions = Vec::new();
    checks.handle(plan(&[tcp()]), at(0), &mut actions);
    checks.handle(Event::Hurry(vec![CheckId(0), CheckId(9)]), at(0), &mut actions);
    assert_eq!(checks.next_timeout(), Some(at(0)));
    checks.handle_timeout(at(0), &mut actions);
    assert_eq!(started(&actions), [CheckId(0)]);
    checks.handle(Event::Hurry(vec![CheckId(0)]), at(1), &mut actions);
    checks.handle(success(CheckId(0)), at(2), &mut actions);
    assert_eq!(checks.next_timeout(), Some(at(2)), "once more, without delay");
    checks.handle_timeout(at(2), &mut actions);
    checks.handle(success(CheckId(0)), at(3), &mut actions);
    assert_eq!(checks.next_timeout(), Some(at(9)), "then as ever");
}

#[test]
fn no_more_conversations_than_allowed_and_none_is_forgotten() {
    let questions: Vec<Question> = (1..=5).map(|n| tcp_of(&format!("192.0.2.{n}:80"))).collect();
    let (mut checks, mut actions) = running(&questions, 2);
    let mut seen = started(&actions);
    assert_eq!((seen.len(), checks.running()), (2, 2));
    let mut next = 0;
    while next < seen.len() {
        actions.clear();
        checks.handle(success(seen[next]), at(11), &mut actions);
        seen.extend(started(&actions));
        assert!(checks.running() <= 2);
        next += 1;
    }
    seen.sort();
    assert_eq!(seen, (0..5).map(CheckId).collect::<Vec<_>>());
}

#[test]
fn programs_have_a_limit_of_their_own_and_hold_up_nothing_else() {
    let program = |n: usize| {
        let words = vec![format!("/bin/check{n}")];
        let command = Box::new(crate::plan::scripts::CommandPlan { words, ..Default::default() });
        let unrunnable = crate::plan::scripts::Unrunnable::Dropped;
        let check = crate::plan::check::MiscCheck { command, timeout: SECOND, dynamic: false, unrunnable };
        of_kind(CheckKind::Misc(check))
    };
    let mut questions: Vec<Question> = (0..=MAX_PROGRAMS).map(program).collect();
    questions.push(tcp());
    let (mut checks, mut actions) = running(&questions, 10_000);
    while let Some(step) = checks.next_timeout() {
        checks.handle_timeout(step, &mut actions);
    }
    let begun = started(&actions);
    assert_eq!(begun.len(), MAX_PROGRAMS + 1, "all but one program, and the TCP check");
    assert!(begun.contains(&CheckId(MAX_PROGRAMS as u64 + 1)), "the TCP check waits for no program");
    let mut actions = Vec::new();
    let program = *begun.iter().find(|id| id.0 <= MAX_PROGRAMS as u64).expect("a program runs");
    checks.handle(success(program), at(12), &mut actions);
    assert_eq!(started(&actions).len(), 1, "the last program has room now");
}

#[test]
fn late_starts_are_reported_once_a_minute_and_invent_no_verdict() {
    let mut checks = Checks::new(1);
    checks.handle(plan(&[tcp()]), at(0), &mut Vec::new());
    let start = checks.next_timeout().expect("a check waits");
    checks.handle_timeout(start, &mut Vec::new());
    let mut actions = Vec::new();
    checks.handle(success(CheckId(0)), start, &mut actions);
    assert_eq!(actions.pop(), Some(Action::Verdict(Arc::new(tcp()), Verdict::Up)));
    // Seconds after the start: due at 6, at 42, at 58.
    for wakes in [36, 52, 100] {
        let now = start + Duration::from_secs(wakes);
        checks.handle_timeout(now, &mut actions);
        checks.handle(success(CheckId(0)), now, &mut actions);
    }
    actions.retain(|action| !matches!(action, Action::Start { .. }));
    let late = |count, seconds| Action::Late { count, worst: Duration::from_secs(seconds) };
    assert_eq!(actions, [late(1, 30), late(2, 42)]);
}

#[test]
fn an_equal_question_keeps_its_verdict_over_a_new_plan() {
    let (mut checks, _) = running(&[tcp()], 10);
    checks.handle(success(CheckId(0)), at(12), &mut Vec::new());
    let mut actions = Vec::new();
    checks.handle(plan(&[tcp_of("192.0.2.9:80"), tcp()]), at(13), &mut actions);
    assert_eq!(actions, []);
    assert_eq!(checks.checker(&tcp()).map(Checker::belief), Some(checker::Belief::Up));
    assert_eq!(checks.checker(&tcp_of("192.0.2.9:80")).map(Checker::belief), Some(checker::Belief::Unknown));
}

#[test]
fn a_check_that_left_the_plan_is_cancelled_and_its_late_answer_ignored() {
    let (mut checks, _) = running(&[tcp()], 1);
    let mut actions = Vec::new();
    checks.handle(plan(&[]), at(12), &mut actions);
    assert_eq!(actions, [Action::Cancel(CheckId(0))]);
    actions.clear();
    checks.handle(success(CheckId(0)), at(13), &mut actions);
    assert_eq!((actions.len(), checks.running(), checks.next_timeout()), (0, 0, None));
}

#[test]
fn trouble_of_our_own_is_said_once_until_it_changes() {
    let (mut checks, _) = running(&[tcp()], 1);
    let mut said = Vec::new();
    let mut now = at(12);
    for why in ["no socket", "no socket", "no address"] {
        let outcome = Outcome::NotRun(why.into());
        let mut actions = Vec::new();
        checks.handle(Event::Finished { check: CheckId(0), outcome, latency: SECOND }, now, &mut actions);
        said.extend(actions.into_iter().filter_map(|action| match action {
            Action::NotRun(_, why) => Some(why),
            _ => None,
        }));
        now = checks.next_timeout().expect("it is asked again");
        checks.handle_timeout(now, &mut Vec::new());
    }
    assert_eq!(said, ["no socket", "no address"]);
}

/// What may happen next to the core.
#[derive(Clone, Debug)]
enum Happening {
    Replan(BTreeSet<u8>),
    Wait(u64),
    /// The conversation of that position among those going on ends so.
    End(usize, bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => proptest::collection::btree_set(0u8..12, 0..12).prop_map(Happening::Replan),
        3 => (0u64..15).prop_map(Happening::Wait),
        6 => (0usize..8, any::<bool>()).prop_map(|(which, good)| Happening::End(which, good)),
    ]
}

proptest! {
    /// Whatever happens: every checker waits, is ready or runs; no more run than may; the driver is asked to hold
    /// exactly those conversations; and nobody is left behind.
    #[test]
    fn no_checker_is_ever_lost(happenings in proptest::collection::vec(happening(), 0..80), limit in 1usize..4) {
        let mut checks = Checks::new(limit);
        let mut held: Vec<CheckId> = Vec::new();
        let mut now = at(0);
        for happening in happenings {
            let mut actions = Vec::new();
            match happening {
                Happening::Replan(numbers) => {
                    let questions: Vec<Question> =
                        numbers.iter().map(|n| tcp_of(&format!("192.0.2.{n}:80"))).collect();
                    checks.handle(plan(&questions), now, &mut actions);
                    prop_assert_eq!(checks.checks.len(), numbers.len());
                }
                Happening::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    checks.handle_timeout(now, &mut actions);
                }
                Happening::End(which, good) if !held.is_empty() => {
                    let check = held.remove(which % held.len());
                    let outcome = if good { Outcome::Success("fine".into()) } else { Outcome::Failure("bad".into()) };
                    checks.handle(Event::Finished { check, outcome, latency: SECOND }, now, &mut actions);
                }
                Happening::End(..) => {}
            }
            for action in actions {
                match action {
                    Action::Start { check, .. } => held.push(check),
                    Action::Cancel(check) => held.retain(|one| *one != check),
                    _ => {}
                }
            }
            let running: Vec<CheckId> = checks.checks.iter().filter(|(_, check)| check.phase == Phase::Running).map(|(id, _)| *id).collect();
            let mut sorted = held.clone();
            sorted.sort();
            prop_assert_eq!(&running, &sorted);
            prop_assert_eq!(running.len(), checks.running());
            prop_assert!(running.len() <= limit);
            let ready = checks.checks.values().filter(|check| check.phase == Phase::Ready).count();
            prop_assert!(ready == 0 || running.len() == limit, "ready ones start when there is room");
            prop_assert_eq!(checks.deadlines.len() + ready + running.len(), checks.checks.len());
        }
    }
}

#[test]
fn what_a_new_plan_asks_again_is_held_once() {
    let first: Arc<Question> = Arc::new(tcp());
    let mut checks = Checks::new(1);
    let (random, questions) = (7, vec![first.clone(), Arc::new(tcp())]);
    checks.handle(Event::Plan { questions, random }, at(0), &mut Vec::new());
    assert_eq!((checks.checks.len(), Arc::strong_count(&first)), (1, 3), "ours, the machine's and its key");
    let id = checks.id(&tcp());
    let second = Arc::new(tcp());
    checks.handle(Event::Plan { questions: vec![second.clone()], random }, at(5), &mut Vec::new());
    assert_eq!((checks.id(&tcp()), Arc::strong_count(&first)), (id, 1), "nothing of the old plan is held");
    assert_eq!(Arc::strong_count(&second), 3);
}
