//! Who was asked for a snapshot and has not answered yet.

use super::slot::Slot;
use super::worker::{Order, Worker};

/// The roles of one round of questions.
#[derive(Debug, Default)]
pub struct Asked {
    number: u64,
    /// Each with the incarnation that was asked.
    waiting: Vec<(Worker, u64)>,
}

impl Asked {
    /// Asks those of `slots` that run. No other round has this number.
    pub fn round<'a>(number: u64, slots: impl Iterator<Item = &'a Slot>) -> Asked {
        Asked { number, waiting: slots.filter_map(|slot| question(slot, number)).collect() }
    }

    /// A role answered in the round `number`: was that waited for?
    pub fn hear(&mut self, number: u64, worker: Worker) -> bool {
        let heard = number == self.number && self.is_late(worker);
        if heard {
            self.waiting.retain(|(waiting, _)| *waiting != worker);
        }
        heard
    }

    /// Whose process has ended is not waited for; who was started again meanwhile never heard the question, and is asked
    /// once its plan is in force: until then it knows of nothing.
    pub fn ask_again(&mut self, slots: &[Slot]) {
        for (worker, asked) in std::mem::take(&mut self.waiting) {
            let slot = &slots[worker.index()]; // each has one
            let Some(child) = &slot.child else { continue };
            let waiting = match child.incarnation == asked || child.generation.is_none() {
                true => Some((worker, asked)),
                false => question(slot, self.number),
            };
            self.waiting.extend(waiting);
        }
    }

    /// Has it not answered?
    pub fn is_late(&self, worker: Worker) -> bool {
        self.waiting.iter().any(|(waiting, _)| *waiting == worker)
    }

    /// Has one of those that `counts` says yes to not answered?
    pub fn waits_for(&self, counts: impl Fn(Worker) -> bool) -> bool {
        self.waiting.iter().any(|(worker, _)| counts(*worker))
    }
}

/// Asks a role that runs, and tells which incarnation that was.
fn question(slot: &Slot, number: u64) -> Option<(Worker, u64)> {
    let child = slot.child.as_ref()?;
    child.send_order(Order::Snapshot(number)).then_some((slot.worker, child.incarnation))
}
