use super::*;

fn plan(rise: u32, fall: u32) -> TrackedScript {
    TrackedScript {
        name: "s".to_owned(),
        command: CommandPlan { words: vec!["/bin/true".to_owned()], ..CommandPlan::default() },
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
        rise,
        fall,
        failed_until_rise: false,
    }
}

/// A core with its clock, and what it wants in short words.
struct Bench {
    core: Scripts,
    now: Instant,
    run: Option<RunId>,
}

impl Bench {
    fn new(plans: Vec<TrackedScript>) -> (Bench, Vec<String>) {
        let mut bench = Bench { core: Scripts::new(8), now: Instant::ZERO, run: None };
        let words = bench.event(Event::Plan(plans, Unrunnable::Dropped));
        (bench, words)
    }

    fn event(&mut self, event: Event) -> Vec<String> {
        let mut actions = Vec::new();
        self.core.handle(event, self.now, &mut actions);
        self.words(actions)
    }

    fn words(&mut self, actions: Vec<Action>) -> Vec<String> {
        let mut words = Vec::new();
        for action in actions {
            words.push(match action {
                Action::Run(run, _) => {
                    self.run = Some(run);
                    "run".to_owned()
                }
                Action::Terminate(_) => "terminate".to_owned(),
                Action::Kill(_) => "kill".to_owned(),
                Action::Sample(_, sample) => format!("{sample:?}"),
                Action::Log(..) => continue,
            });
        }
        words
    }

    /// Milliseconds pass.
    fn pass(&mut self, milliseconds: u64) -> Vec<String> {
        self.now += Duration::from_millis(milliseconds);
        let mut actions = Vec::new();
        self.core.handle_timeout(self.now, &mut actions);
        self.words(actions)
    }

    fn end(&mut self, ending: Ending) -> Vec<String> {
        let run = self.run.take().expect("something runs");
        self.event(Event::Ended { run, ending, output: "words".to_owned() })
    }

    /// Runs that end at once: `+` well, `-` not, `?` there was no process. What was told after each.
    fn results(&mut self, results: &str) -> String {
        let mut told = Vec::new();
        for result in results.chars() {
            if self.run.is_none() {
                self.pass(2000);
            }
            let words = self.end(match result {
                '+' => Ending::Exited(0),
                '-' => Ending::Exited(1),
                _ => Ending::NoProcess("no memory".to_owned()),
            });
            told.push(match words.first().map(String::as_str) {
                None => ".",
                Some("Some(Up)") => "U",
                Some("Some(Down)") => "D",
                Some(other) => panic!("{other}"),
            });
        }
        told.concat()
    }
}

#[test]
fn one_result_decides_first_then_rise_and_fall_count() {
    assert_eq!(Bench::new(vec![plan(3, 2)]).0.results("+-+--+-+++-"), "U...D....U.");
    assert_eq!(Bench::new(vec![plan(3, 2)]).0.results("-++-+++"), "D.....U");
    assert_eq!(Bench::new(vec![plan(1, 1)]).0.results("+-+-+--"), "UDUDUD.");
}

#[test]
fn what_lies_with_the_machine_changes_nothing() {
    assert_eq!(Bench::new(vec![plan(1, 2)]).0.results("?+-?-?+"), ".U..D.U");
}

#[test]
fn init_fail_rise_is_a_failure_until_rise_is_reached_but_not_in_a_reload() {
    let wary = TrackedScript { failed_until_rise: true, ..plan(2, 1) };
    let (mut bench, words) = Bench::new(vec![wary.clone()]);
    assert_eq!(words, ["Some(Down)", "run"]);
    assert_eq!(bench.results("++"), ".U");
    let (mut bench, words) = Bench::new(Vec::new());
    assert!(words.is_empty());
    assert_eq!(bench.event(Event::Plan(vec![wary], Unrunnable::Dropped)), ["None", "run"]);
    assert_eq!(bench.results("+"), "U");
}

#[test]
fn a_script_runs_at_its_times_and_never_twice_at_once() {
    let (mut bench, words) = Bench::new(vec![plan(1, 1)]);
    assert_eq!(words, ["run"]);
    assert_eq!(bench.core.next_timeout(), Some(Instant::ZERO + Duration::from_secs(5)));
    assert!(bench.pass(4500).is_empty());
    assert_eq!(bench.end(Ending::Exited(0)), ["Some(Up)"]);
    // The starts at 2 s and 4 s are left out, as in keepalived.
    assert_eq!(bench.core.next_timeout(), Some(Instant::ZERO + Duration::from_secs(6)));
    assert_eq!(bench.core.counters().skipped, 2);
    assert!(bench.pass(1499).is_empty());
    assert_eq!(bench.pass(1), ["run"]);
}

#[test]
fn a_run_over_its_time_has_failed_and_is_ended_ever_harder() {
    let (mut bench, _) = Bench::new(vec![plan(1, 1)]);
    assert_eq!(bench.pass(5000), ["terminate", "Some(Down)"]);
    assert!(bench.pass(1999).is_empty());
    assert_eq!(bench.pass(1), ["kill"]);
    assert_eq!(bench.pass(10_000), ["kill"]);
    // Its end says nothing new, whatever it is.
    assert!(bench.end(Ending::Exited(0)).is_empty());
    assert_eq!(bench.core.scripts()[0].belief, Belief::Down);
    assert_eq!(bench.core.scripts()[0].last_result.as_deref(), Some("no answer within 5 s"));
    assert_eq!(bench.pass(1000), ["run"]);
    assert_eq!(bench.end(Ending::Exited(0)), ["Some(Up)"]);
}

#[test]
fn the_end_of_a_run_is_told_in_words() {
    let table = [
        (Ending::Exited(7), "exit status 7"),
        (Ending::Signalled("SIGKILL".to_owned()), "ended by SIGKILL"),
        (Ending::NotExecuted("No such file".to_owned()), "/bin/true cannot be executed: No such file"),
    ];
    for (ending, words) in table {
        let (mut bench, _) = Bench::new(vec![plan(1, 1)]);
        assert_eq!(bench.end(ending), ["Some(Down)"]);
        assert_eq!(bench.core.scripts()[0].last_result.as_deref(), Some(words));
        assert_eq!(bench.core.scripts()[0].output.as_deref(), Some("words"));
    }
}

#[test]
fn a_reload_keeps_what_is_known_and_says_nothing() {
    let (mut bench, _) = Bench::new(vec![plan(1, 1)]);
    assert_eq!(bench.results("-"), "D");
    assert!(bench.event(Event::Plan(vec![plan(1, 1)], Unrunnable::Dropped)).is_empty());
    // Another command is the same script to keepalived: it keeps its state, and runs at once.
    let mut other = plan(2, 1);
    other.command.words = vec!["/bin/false".to_owned()];
    assert_eq!(bench.event(Event::Plan(vec![other], Unrunnable::Dropped)), ["run"]);
    assert_eq!(bench.results("++"), ".U");
}

#[test]
fn a_run_of_a_script_that_is_gone_is_ended_and_counts_no_more() {
    let (mut bench, _) = Bench::new(vec![plan(1, 1)]);
    assert_eq!(bench.event(Event::Plan(Vec::new(), Unrunnable::Dropped)), ["terminate"]);
    assert_eq!(bench.pass(2000), ["kill"]);
    assert!(bench.end(Ending::Exited(1)).is_empty());
    assert_eq!(bench.core.next_timeout(), None);
    // It comes back unknown, whatever was said of it before.
    assert_eq!(bench.event(Event::Plan(vec![plan(1, 1)], Unrunnable::Dropped)), ["None", "run"]);
}

#[test]
fn what_a_predecessor_knew_is_taken_over() {
    let mut bench = Bench { core: Scripts::new(8), now: Instant::ZERO, run: None };
    bench.event(Event::Held(key("s"), Sample::Up));
    let wary = TrackedScript { failed_until_rise: true, ..plan(3, 2) };
    assert_eq!(bench.event(Event::Plan(vec![wary], Unrunnable::Dropped)), ["run"]);
    assert_eq!(bench.results("--"), ".D");
}

#[test]
fn what_cannot_run_is_dropped_or_a_failure() {
    let mut plan = plan(1, 1);
    plan.command.cannot_run = Some("it does not exist".to_owned());
    for (unrunnable, told) in [(Unrunnable::Dropped, "None"), (Unrunnable::Fault, "Some(Down)")] {
        let (mut bench, _) = Bench::new(Vec::new());
        assert_eq!(bench.event(Event::Plan(vec![plan.clone()], unrunnable)), [told]);
        assert_eq!(bench.core.scripts()[0].belief, Belief::CannotRun);
        assert_eq!(bench.core.next_timeout(), None);
    }
    let (mut bench, _) = Bench::new(vec![plan.clone()]);
    // Said again at each reload.
    assert_eq!(bench.event(Event::Plan(vec![plan.clone()], Unrunnable::Dropped)), ["None"]);
    plan.command.cannot_run = None;
    assert_eq!(bench.event(Event::Plan(vec![plan], Unrunnable::Dropped)), ["None", "run"]);
    assert_eq!(bench.results("+"), "U");
}

#[test]
fn no_more_run_at_once_than_allowed_and_the_others_are_late() {
    let named = |name: &str| TrackedScript { name: name.to_owned(), ..plan(1, 1) };
    let mut bench = Bench { core: Scripts::new(1), now: Instant::ZERO, run: None };
    assert_eq!(bench.event(Event::Plan(vec![named("a"), named("b")], Unrunnable::Dropped)), ["run"]);
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.end(Ending::Exited(0)), ["Some(Up)", "run"]);
    assert_eq!(bench.core.scripts()[1].late, Duration::from_secs(1));
    assert_eq!(bench.core.counters().late, 1);
}
