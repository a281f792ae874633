//! Many checks at once, by simulated time: when they start, and what dead servers cost.

use super::pace::{MANY, MOMENT, STEP, STEP_STARTS};
use super::samples::tcp_of;
use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Questions about `count` servers, every minute, with that warmup.
fn many(count: u32, warmup: Duration) -> Vec<Question> {
    let one = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        let mut question = tcp_of(&format!("10.{a}.{b}.{c}:80"));
        question.manner_mut().schedule.delay_loop = Duration::from_secs(60);
        question.manner_mut().schedule.warmup = warmup;
        question
    };
    (0..count).map(one).collect()
}

/// What happened in a run of the core.
#[derive(Default)]
struct Seen {
    starts: Vec<(Instant, CheckId)>,
    /// How often the core was called.
    calls: u64,
    most_at_once: usize,
    worst_late: Duration,
    reported_late: u64,
}

impl Seen {
    /// The most starts within any `part` of time, by parts that begin at its multiples.
    fn most_in(&self, part: Duration) -> usize {
        let mut parts: BTreeMap<u64, usize> = BTreeMap::new();
        for (when, _) in &self.starts {
            *parts.entry(when.0 / part.as_nanos() as u64).or_default() += 1;
        }
        parts.into_values().max().unwrap_or(0)
    }
}

/// Runs the core from `from` to `to`; a conversation ends as `server` says, for each check.
fn run(
    checks: &mut Checks,
    (from, to): (Instant, Instant),
    server: impl Fn(CheckId) -> (Duration, bool),
) -> Seen {
    let mut seen = Seen::default();
    let mut ends: BinaryHeap<Reverse<(Instant, CheckId)>> = BinaryHeap::new();
    let mut now = from;
    loop {
        let end = ends.peek().map(|Reverse((when, _))| *when);
        let Some(next) = checks.next_timeout().into_iter().chain(end).min() else { break };
        now = now.max(next);
        if now > to {
            break;
        }
        let mut actions = Vec::new();
        seen.calls += 1;
        if end.is_some_and(|end| end <= now)
            && let Some(Reverse((_, check))) = ends.pop()
        {
            let (latency, good) = server(check);
            let outcome =
                if good { Outcome::Success("fine".into()) } else { Outcome::Failure("silent".into()) };
            checks.handle(Event::Finished { check, outcome, latency }, now, &mut actions);
        } else {
            checks.handle_timeout(now, &mut actions);
        }
        for action in actions {
            match action {
                Action::Start { check, .. } => {
                    seen.starts.push((now, check));
                    let late = Duration::from_micros(u64::from(checks.checks[&check].late));
                    seen.worst_late = seen.worst_late.max(late);
                    ends.push(Reverse((now + server(check).0, check)));
                }
                Action::Late { count, .. } => seen.reported_late += count,
                _ => {}
            }
        }
        seen.most_at_once = seen.most_at_once.max(checks.running());
    }
    seen
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

const LIVE: (Duration, bool) = (Duration::from_millis(1), true);

/// A connect_timeout of 5 s.
const DEAD: (Duration, bool) = (Duration::from_secs(5), false);

/// As many conversations at a time as the driver holds at most.
const LIMIT: usize = 65_536;

fn started(questions: Vec<Question>, limit: usize) -> Checks {
    let mut checks = Checks::new(limit);
    let questions = questions.into_iter().map(Arc::new).collect();
    let plan = Event::Plan { questions, random: 0x1234_5678_9abc_def0 };
    checks.handle(plan, Instant::ZERO, &mut Vec::new());
    checks
}

#[test]
fn first_runs_come_evenly_over_the_warmup() {
    let mut checks = started(many(6000, Duration::from_secs(60)), LIMIT);
    let seen = run(&mut checks, (at(0), at(61)), |_| LIVE);
    let each: BTreeSet<CheckId> = seen.starts.iter().map(|(_, check)| *check).collect();
    assert_eq!(each.len(), 6000, "each has run");
    // 100 a second: chance alone would have 130 in some second, and 20 in some tenth.
    assert!(seen.most_in(Duration::from_secs(1)) <= 110, "{}", seen.most_in(Duration::from_secs(1)));
    assert!(seen.most_in(Duration::from_millis(100)) <= 16, "{}", seen.most_in(Duration::from_millis(100)));
}

#[test]
fn many_checks_begin_together_and_few_at_their_own_time() {
    let whole = |count: u32| {
        let mut checks = started(many(count, Duration::from_secs(60)), LIMIT);
        run(&mut checks, (at(0), at(61)), |_| LIVE)
    };
    let (few, lots) = (whole(MANY as u32 - 1), whole(6000));
    assert_eq!((few.starts.len(), few.worst_late), (MANY - 1, Duration::ZERO));
    let wakes: BTreeSet<Instant> = lots.starts.iter().map(|(when, _)| *when).collect();
    assert!(wakes.len() <= 1500, "{} wakes in a minute", wakes.len()); // a minute has so many moments
    assert!(lots.worst_late <= MOMENT, "{:?}", lots.worst_late);
}

#[test]
fn programs_and_others_begin_in_the_order_they_are_due() {
    let mut questions = many(600, Duration::from_secs(10));
    for question in questions.iter_mut().step_by(20) {
        let (command, timeout) = (Box::default(), Duration::from_secs(5));
        let unrunnable = crate::plan::scripts::Unrunnable::Dropped;
        question.manner_mut().kind =
            CheckKind::Misc(crate::plan::check::MiscCheck { command, timeout, dynamic: false, unrunnable });
    }
    let mut checks = started(questions, LIMIT);
    let due: BTreeMap<CheckId, Instant> = checks.deadlines.iter().map(|&(due, id)| (id, due)).collect();
    // The machine stood still: all are overdue.
    let seen = run(&mut checks, (at(20), at(21)), |_| DEAD);
    let order: Vec<Instant> = seen.starts.iter().map(|(_, id)| due[id]).collect();
    assert_eq!(order.len(), 600);
    assert!(order.is_sorted());
}

#[test]
fn what_is_due_at_once_is_spread() {
    let mut checks = started(many(10_000, Duration::ZERO), LIMIT);
    let seen = run(&mut checks, (at(0), at(10)), |_| LIVE);
    assert_eq!(seen.starts.len(), 10_000);
    // The parts of the count and those of the core need not begin together.
    assert!(seen.most_in(STEP) <= 2 * STEP_STARTS, "{}", seen.most_in(STEP));
    assert!(seen.worst_late <= Duration::from_millis(600), "{:?}", seen.worst_late);
    // The machine stands still for five minutes: everything is overdue.
    let seen = run(&mut checks, (at(400), at(410)), |_| LIVE);
    assert_eq!(seen.starts.len(), 10_000);
    assert!(seen.most_in(STEP) <= 2 * STEP_STARTS, "{}", seen.most_in(STEP));
}

#[test]
fn who_seldom_gets_the_processor_keeps_up() {
    let mut questions = many(5000, Duration::from_secs(1));
    questions
        .iter_mut()
        .for_each(|question| question.manner_mut().schedule.delay_loop = Duration::from_secs(1));
    let mut checks = started(questions, LIMIT);
    let (mut now, mut actions, mut worst) = (at(0), VecDeque::new(), Duration::ZERO);
    while now < at(20) {
        now += Duration::from_millis(45);
        let mut said = Vec::new();
        checks.handle_timeout(now, &mut said);
        actions.extend(said);
        while let Some(action) = actions.pop_front() {
            let Action::Start { check, .. } = action else { continue };
            worst = worst.max(Duration::from_micros(u64::from(checks.checks[&check].late)));
            let (outcome, mut said) = (Outcome::Success("fine".into()), Vec::new());
            checks.handle(Event::Finished { check, outcome, latency: LIVE.0 }, now, &mut said);
            actions.extend(said);
        }
    }
    assert!(worst <= Duration::from_millis(100), "{worst:?}");
}

#[test]
fn a_dead_16_costs_no_more_than_a_live_one() {
    let whole = |server: (Duration, bool)| {
        let mut checks = started(many(65_536, Duration::from_secs(60)), LIMIT);
        run(&mut checks, (at(0), at(90)), |_| server)
    };
    let (live, dead) = (whole(LIVE), whole(DEAD));
    assert!(live.starts.len() > 65_536);
    assert!(dead.starts.len() <= live.starts.len());
    assert!(dead.calls <= live.calls, "{} calls, {}", dead.calls, live.calls);
    assert!(dead.most_at_once <= 6000, "{}", dead.most_at_once);
    assert_eq!((live.reported_late, dead.reported_late), (0, 0));
    assert!(dead.worst_late <= MOMENT + STEP, "{:?}", dead.worst_late);
}

#[test]
fn live_servers_are_asked_in_time_beside_dead_ones() {
    let mut checks = started(many(8192, Duration::from_secs(60)), 512);
    let server = |check: CheckId| if check.0.is_multiple_of(2) { LIVE } else { DEAD };
    let seen = run(&mut checks, (at(0), at(180)), server);
    assert!(seen.most_at_once <= 512);
    assert!(seen.worst_late <= MOMENT + STEP, "{:?} with {} at once", seen.worst_late, seen.most_at_once);
}
