//! MISC_CHECK: what the end of a program means.

use super::{Outcome, words};
use crate::plan::check::{MiscCheck, WeightChange};
use crate::plan::scripts::{RunEnd, Unrunnable};

/// Characters of a failing program's output that go into its sentence.
const SHOWN: usize = 120;

/// The outcome of a run. As keepalived: with `misc_dynamic` status 0 leaves the configured weight, 1 is a failure, more is
/// the weight plus 2; without it any status but 0 is a failure.
pub fn outcome(check: &MiscCheck, end: &RunEnd, output: &str) -> Outcome {
    let failure = |words: String| Outcome::Failure(words + &said(output));
    match end {
        RunEnd::Exited(0) if check.dynamic => Outcome::Weighed("exit status 0".into(), WeightChange::By(0)),
        RunEnd::Exited(0) => Outcome::Success("exit status 0".into()),
        RunEnd::Exited(status) if check.dynamic && *status >= 2 => {
            let weight = u32::try_from(*status - 2).unwrap_or(0);
            Outcome::Weighed(format!("exit status {status}: weight {weight}"), WeightChange::To(weight))
        }
        RunEnd::Exited(status) => failure(format!("exit status {status}")),
        RunEnd::Signalled(name) => failure(format!("killed by {name}")),
        RunEnd::TimedOut => failure(format!("not done within {}", words(check.timeout))),
        RunEnd::NotExecuted(why) => unrunnable(check, why),
        RunEnd::NoProcess(why) => Outcome::NotRun(format!("no process: {why}")),
    }
}

/// The outcome where the program cannot be run at all, as was seen when the configuration was read.
pub fn cannot_run(check: &MiscCheck) -> Option<Outcome> {
    check.command.cannot_run.as_ref().map(|why| unrunnable(check, why))
}

fn unrunnable(check: &MiscCheck, why: &str) -> Outcome {
    match check.unrunnable {
        Unrunnable::Dropped => Outcome::NotRun(format!("the program cannot be run: {why}")),
        Unrunnable::Fault => Outcome::Failure(format!("the program cannot be run: {why}")),
    }
}

fn said(output: &str) -> String {
    let Some(line) = output.lines().find(|line| !line.trim().is_empty()) else { return String::new() };
    let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    format!(", it said: {}", clean.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(dynamic: bool, unrunnable: Unrunnable) -> MiscCheck {
        MiscCheck { command: Box::default(), timeout: Duration::from_secs(6), dynamic, unrunnable }
    }

    #[test]
    fn what_an_end_means() {
        let weighed = |words: &str, change| Outcome::Weighed(words.into(), change);
        let failure = |words: &str| Outcome::Failure(words.into());
        let not_run = |words: &str| Outcome::NotRun(words.into());
        #[rustfmt::skip]
        let cases = [
            (false, RunEnd::Exited(0), "", Outcome::Success("exit status 0".into())),
            (false, RunEnd::Exited(1), "", failure("exit status 1")),
            (false, RunEnd::Exited(5), "\n  no disk\u{7}\nmore", failure("exit status 5, it said: no disk")),
            (true, RunEnd::Exited(0), "", weighed("exit status 0", WeightChange::By(0))),
            (true, RunEnd::Exited(1), "", failure("exit status 1")),
            (true, RunEnd::Exited(2), "", weighed("exit status 2: weight 0", WeightChange::To(0))),
            (true, RunEnd::Exited(255), "", weighed("exit status 255: weight 253", WeightChange::To(253))),
            (true, RunEnd::TimedOut, "", failure("not done within 6 s")),
            (false, RunEnd::TimedOut, "asks db1", failure("not done within 6 s, it said: asks db1")),
            (false, RunEnd::Signalled("SIGSEGV".into()), "", failure("killed by SIGSEGV")),
            (false, RunEnd::NoProcess("no memory".into()), "", not_run("no process: no memory")),
            (false, RunEnd::NotExecuted("no such file".into()), "", not_run("the program cannot be run: no such file")),
        ];
        for (dynamic, end, output, expected) in cases {
            assert_eq!(outcome(&check(dynamic, Unrunnable::Dropped), &end, output), expected, "{end:?}");
        }
        let strict = check(false, Unrunnable::Fault);
        let end = RunEnd::NotExecuted("gone".into());
        assert_eq!(outcome(&strict, &end, ""), failure("the program cannot be run: gone"));
    }
}
