//! For those who look: the list of checks, and checks that are made at once and shown step by step.

use crate::check::probe::Outcome;
use crate::check::{CheckId, Checks, Phase};
use crate::link::FromChecker;
use crate::lvs::director::Director;
use crate::plan::check::Question;
use crate::report::checks::{self, CheckNowReport, Conversation, ServerFilter, Step};
use crate::role::probe_io::Trace;
use crate::time::Instant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Checks made for one request; more are named and left out. A screen holds no more, and a server no less.
const MAX_CHECKS: usize = 64;

/// Requests that may wait at a time: each belongs to a client of the supervisor, which serves fewer.
const MAX_REQUESTS: usize = 64;

/// When a request is answered with what there is. Most conversations end within their connect_timeout, 5 s by default.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who looks, and what is kept for them.
#[derive(Default)]
pub struct Looks {
    lists: VecDeque<(u64, ServerFilter)>,
    rounds: Vec<Round>,
    traces: HashMap<CheckId, Trace>,
    /// What programs of failing checks printed last.
    outputs: HashMap<CheckId, String>,
}

/// One request to check now.
struct Round {
    number: u64,
    until: Instant,
    waiting: BTreeMap<CheckId, Wanted>,
    report: CheckNowReport,
}

/// A check of a round.
struct Wanted {
    question: Arc<Question>,
    /// Conversations to be held yet: one for each url.
    left: usize,
}

impl Looks {
    /// Somebody wants the list of checks.
    pub fn list(&mut self, number: u64, filter: ServerFilter) {
        if self.lists.len() < MAX_REQUESTS {
            self.lists.push_back((number, filter));
        }
    }

    /// Somebody wants checks to be made now: those to hurry.
    pub fn check_now(
        &mut self,
        number: u64,
        filter: ServerFilter,
        director: &Director,
        checks: &Checks,
        now: Instant,
    ) -> Vec<CheckId> {
        if self.rounds.len() >= MAX_REQUESTS {
            return Vec::new();
        }
        let mut round = Round {
            number,
            until: now + PATIENCE,
            waiting: BTreeMap::new(),
            report: CheckNowReport::default(),
        };
        let mut surplus = 0;
        for (question, _) in checks::asked(director, filter) {
            let why = match (checks.id(&question), checks.view(&question).map(|view| view.phase)) {
                (Some(_), Some(Phase::Listening)) => {
                    let heard = checks.checker(&question).and_then(|machine| machine.last_result());
                    format!("asks nothing, it listens; heard last: {}", heard.unwrap_or("nothing"))
                }
                (Some(_), Some(_)) if round.waiting.len() >= MAX_CHECKS => {
                    surplus += 1;
                    continue;
                }
                (Some(id), Some(_)) => {
                    let left = question.kind.parts();
                    round.waiting.insert(id, Wanted { question, left });
                    continue;
                }
                _ => "rests: its virtual address is not on this node (ha_suspend)".to_owned(),
            };
            round.report.left_out.push(format!("{question} {why}"));
        }
        if surplus > 0 {
            let more = format!("{surplus} more checks are not made at once: name the server with its port");
            round.report.left_out.push(more);
        }
        let hurry = round.waiting.keys().copied().collect();
        self.rounds.push(round);
        hurry
    }

    /// A conversation begins: is it watched?
    pub fn watch(&mut self, check: CheckId) -> Option<Trace> {
        if !self.rounds.iter().any(|round| round.waiting.contains_key(&check)) {
            return None;
        }
        let trace = Trace::begin();
        self.traces.insert(check, trace.clone());
        Some(trace)
    }

    /// A conversation has ended, and its checker has heard how. True: it is to be held once more, for its next url.
    pub fn ended(&mut self, check: CheckId, outcome: &Outcome, took: Duration, checks: &Checks) -> bool {
        let Some(trace) = self.traces.remove(&check) else { return false };
        let mut steps = trace.steps();
        if let Some(output) = self.outputs.get(&check) {
            let after_us = took.as_micros() as u64;
            let (text, octets) = (output.clone(), output.len());
            steps.push(Step { after_us, kind: "received".into(), text, octets });
        }
        let (word, words) = match outcome {
            Outcome::Success(words) | Outcome::Weighed(words, _) => ("success", words),
            Outcome::Failure(words) => ("failure", words),
            Outcome::NotRun(words) => ("not made", words),
        };
        let mut again = false;
        for round in &mut self.rounds {
            let Some(wanted) = round.waiting.get_mut(&check) else { continue };
            round.report.conversations.push(Conversation {
                check: wanted.question.to_string(),
                steps: steps.clone(),
                outcome: word.into(),
                words: words.clone(),
                took_us: took.as_micros() as u64,
                state: checks::belief(checks, &wanted.question).into(),
            });
            wanted.left = wanted.left.saturating_sub(1);
            match wanted.left {
                0 => _ = round.waiting.remove(&check),
                _ => again = true,
            }
        }
        again
    }

    /// What a program printed; nothing where it did not fail.
    pub fn keep(&mut self, check: CheckId, output: String) {
        match output.is_empty() {
            true => _ = self.outputs.remove(&check),
            false => _ = self.outputs.insert(check, output),
        }
    }

    /// What the program of that check printed when it failed last.
    pub fn output(&self, check: CheckId) -> Option<&str> {
        self.outputs.get(&check).map(String::as_str)
    }

    /// Checks that are not there any more are forgotten.
    pub fn forget(&mut self, is_there: impl Fn(CheckId) -> bool) {
        self.traces.retain(|id, _| is_there(*id));
        self.outputs.retain(|id, _| is_there(*id));
        for round in &mut self.rounds {
            let report = &mut round.report;
            round.waiting.retain(|id, wanted| {
                let stays = is_there(*id);
                if !stays {
                    report.left_out.push(format!("{} left the configuration meanwhile", wanted.question));
                }
                stays
            });
        }
    }

    /// When the first request is answered with what there is.
    pub fn deadline(&self) -> Option<Instant> {
        self.rounds.iter().map(|round| round.until).min()
    }

    /// The next answer, if one can be given.
    pub fn answer(&mut self, director: &Director, checks: &Checks, now: Instant) -> Option<FromChecker> {
        if let Some((number, filter)) = self.lists.pop_front() {
            let report = checks::report(director, checks, filter, now, &|id| self.output(id));
            return Some(FromChecker::Checks(number, report));
        }
        let done = |round: &Round| round.waiting.is_empty() || round.until <= now;
        let at = self.rounds.iter().position(done)?;
        let Round { number, waiting, mut report, .. } = self.rounds.swap_remove(at);
        let late = waiting
            .values()
            .map(|wanted| format!("{} has not ended within {} s", wanted.question, PATIENCE.as_secs()));
        report.left_out.extend(late);
        Some(FromChecker::CheckedNow(number, report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_forgets_what_programs_of_checks_that_left_printed() {
        let (stays, goes) = (CheckId(1), CheckId(2));
        let mut looks = Looks::default();
        for check in [stays, goes] {
            looks.keep(check, "no database".into());
            looks.traces.insert(check, Trace::begin());
        }
        looks.forget(|id| id == stays);
        assert_eq!((looks.output(stays), looks.output(goes)), (Some("no database"), None));
        assert_eq!((looks.outputs.len(), looks.traces.len()), (1, 1));
    }
}
