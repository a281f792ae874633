//! Conversations: how they begin, and what becomes of those that are over.

use super::State;
use crate::check::probe::{Mark, Outcome, words};
use crate::check::{self, CheckId};
use crate::plan::check::{CheckKind, Question};
use crate::role::probe_io;
use crate::role::probe_io::streams::{Ended, is_stream};
use std::sync::Arc;
use std::time::Duration;
use tracing::trace;

/// The end of a conversation.
pub(super) struct Finished {
    pub(super) check: CheckId,
    pub(super) outcome: Outcome,
    pub(super) latency: Duration,
    /// What a program printed that failed.
    pub(super) output: String,
}

impl State {
    /// Begins a conversation.
    pub(super) fn converse(&mut self, check: CheckId, question: Arc<Question>, part: usize, mark: Mark) {
        let trace = self.looks.watch(check);
        if is_stream(&question) {
            return self.streams.start(check, question, part, mark, trace);
        }
        let on_finished = self.on_finished.clone();
        if let CheckKind::Misc(program) = &question.kind {
            if let Some(trace) = &trace {
                trace.note(&format!("runs {}", program.command.words.join(" ")));
            }
            let task = tokio::spawn(self.programs.run(program, check, on_finished));
            self.conversations.insert(check, task.abort_handle());
            return;
        }
        // Other programs that ping from here count from small numbers, too.
        let mark = Mark { identifier: mark.identifier ^ self.process as u16, ..mark };
        let task = tokio::spawn(async move {
            let (outcome, latency) = probe_io::ask(&question, part, mark, trace).await;
            log(&question, &outcome, latency);
            // Fails only when the role has ended.
            let output = String::new();
            let _ended = on_finished.send(Finished { check, outcome, latency, output }).await;
        });
        self.conversations.insert(check, task.abort_handle());
    }

    /// Nobody wants to hear the end of this one.
    pub(super) fn cancel(&mut self, check: CheckId) {
        self.streams.cancel(check);
        if let Some(task) = self.conversations.remove(&check) {
            task.abort();
        }
        self.looks.keep(check, String::new());
    }

    /// Nor of any.
    pub(super) fn drop_conversations(&mut self) {
        self.streams.cancel_all();
        for (_, task) in self.conversations.drain() {
            task.abort();
        }
    }

    /// Those over plain TCP that are over. What follows may begin others, which may be over at once; how many begin in one
    /// turn is limited (`check::pace`).
    pub(super) fn hear_ends(&mut self) {
        while let Some(Ended { check, question, outcome, latency }) = self.streams.next_ended() {
            log(&question, &outcome, latency);
            self.finished(Finished { check, outcome, latency, output: String::new() });
        }
    }

    /// A conversation is over.
    pub(super) fn finished(&mut self, Finished { check, outcome, latency, output }: Finished) {
        if self.stopping {
            return;
        }
        self.conversations.remove(&check);
        self.looks.keep(check, output);
        self.checks_event(check::Event::Finished { check, outcome: outcome.clone(), latency });
        if self.looks.ended(check, &outcome, latency, &self.checks) {
            self.checks_event(check::Event::Hurry(vec![check]));
        }
    }
}

fn log(question: &Question, outcome: &Outcome, latency: Duration) {
    match outcome {
        Outcome::Success(_) | Outcome::Weighed(..) => {
            trace!("{question}: {outcome}, after {}", words(latency))
        }
        // The sentence of a failure names its own time where that says anything.
        Outcome::Failure(_) | Outcome::NotRun(_) => trace!("{question}: {outcome}"),
    }
}
