//! What follows from verdicts: the wanted table, the log, and news for those who asked to be told.

use super::State;
use crate::check::Verdict;
use crate::link::News;
use crate::lvs::notify;
use crate::lvs::table::Service;
use crate::plan::check::{Question, WeightChange};
use crate::plan::lvs::ServiceKey;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, warn};

/// Verdicts whose changes go to the table's thread together. Waking it costs as much as ten of them, and so many are
/// decided well within a millisecond.
const AT_ONCE: usize = 64;

/// Changes of servers that may wait to be told: a table of 100,000 servers that all change at once.
const MAX_NEWS: usize = 100_000;

/// Verdicts that the table's thread has not heard of.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    count: usize,
    /// When the first of them was decided.
    since: Option<Instant>,
}

impl State {
    /// A check changed its mind. What follows for the table is told with what follows from others of this turn:
    /// [`State::settle`].
    pub(super) fn verdict(&mut self, question: &Question, verdict: Verdict) {
        let now = self.now();
        let Some(director) = &mut self.director else { return };
        self.unsettled.since.get_or_insert_with(Instant::now);
        self.unsettled.count += 1;
        director.advance(now);
        let mut events = Vec::new();
        let result = match verdict {
            Verdict::Up => Ok(()),
            Verdict::Down(cause) => Err(cause),
        };
        director.verdict(question, result, &mut events);
        self.tell(&events);
        say(events);
        if self.unsettled.count >= AT_ONCE {
            self.settle();
        }
    }

    /// A check says something else of weights.
    pub(super) fn weigh(&mut self, question: &Question, change: WeightChange) {
        self.settle();
        let Some(director) = &mut self.director else { return };
        let mut events = Vec::new();
        director.weigh(question, change, &mut events);
        self.tell(&events);
        say(events);
        if self.settle() {
            info!("{question}: the weight changes, {}", change_words(change));
        }
    }

    /// Tells the table's thread what is wanted now; false if that is what was wanted before.
    pub(super) fn settle(&mut self) -> bool {
        let Unsettled { since, .. } = std::mem::take(&mut self.unsettled);
        let changes = self.changes();
        let differs = !changes.is_empty();
        if differs {
            self.worker.want(changes, since.unwrap_or_else(Instant::now));
        }
        differs
    }

    /// The services whose desired state changed since last asked.
    pub(super) fn changes(&mut self) -> Vec<(ServiceKey, Option<Arc<Service>>)> {
        let Some(director) = &mut self.director else { return Vec::new() };
        let changed = director.take_changed();
        changed.into_iter().map(|key| (key, director.desired().services.get(&key).cloned())).collect()
    }

    /// News for those who asked to be told.
    pub(super) fn tell(&mut self, events: &[notify::Event]) {
        self.desk.note(events, self.now());
        if self.director.as_ref().is_some_and(|director| director.plan().untold) {
            return;
        }
        let news = events.iter().filter_map(News::of_server);
        self.outbox.news.extend(news);
        let surplus = self.outbox.news.len().saturating_sub(MAX_NEWS);
        if surplus > 0 {
            warn!(
                "the supervisor does not read: {surplus} changes of servers are not told to scripts, FIFOs and mail"
            );
            self.outbox.news.drain(..surplus);
        }
    }
}

/// Says it in the log.
pub(super) fn say(events: Vec<notify::Event>) {
    for event in events {
        match event.is_bad() {
            true => warn!("{event}"),
            false => info!("{event}"),
        }
    }
}

fn change_words(change: WeightChange) -> String {
    match change {
        WeightChange::To(weight) => format!("to {weight}"),
        WeightChange::By(0) => "back to the configured one".into(),
        WeightChange::By(by) => format!("by {by:+}"),
    }
}
