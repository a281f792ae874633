//! What travels for checkers: samples of files and BFD sessions to them, programs to the scripts role and back.

use super::run::Supervisor;
use super::worker::Worker;
use crate::check::held::HeldVerdict;
use crate::link::frame::{FrameError, encode};
use crate::link::kept::KeptPlans;
use crate::link::{ToChecker, ToScripts};
use crate::plan::scripts::{RunEnd, RunOrder, RunReport};
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use std::time::Duration;

impl Supervisor {
    /// A sample, for the checker role if it is for it.
    pub(super) fn relay_to_checker(&mut self, key: &TrackerKey, sample: Option<Sample>) {
        if !self.tracked.contains(key) || !for_checker(&self.plans, key) {
            return;
        }
        let slot = &mut self.slots[Worker::Checker.index()];
        if let Some(child) = &slot.child
            && !child.send(encode(&ToChecker::Tracker(key.clone(), sample)))
        {
            slot.unheard = true;
        }
    }

    /// Tells a checker role all that it listens to, when it has missed something.
    pub(super) fn catch_up_checker(&mut self) {
        let plans = &self.plans;
        let wanted = self.samples.iter().filter(|(key, _)| for_checker(plans, key));
        let slot = &mut self.slots[Worker::Checker.index()];
        if let Some(child) = slot.child.as_ref().filter(|_| slot.unheard) {
            let frames: Result<Vec<Vec<u8>>, FrameError> =
                wanted.map(|(key, sample)| encode(&ToChecker::Tracker(key.clone(), *sample))).collect();
            slot.unheard = match frames {
                Ok(frames) if frames.is_empty() => false,
                frames => !child.send(frames.map(|frames| frames.concat())),
            };
        }
    }

    /// Verdicts for the next checker role. As many as there are checks: the checker says when to begin anew.
    pub(super) fn hold_verdicts(&mut self, all: bool, list: Vec<HeldVerdict>) {
        let verdicts = self.verdicts.get_or_insert_default();
        if all {
            verdicts.clear();
        }
        verdicts.extend(list.into_iter().map(|held| (held.question, held)));
    }

    /// What a checker role that starts must hear of its predecessor's verdicts, if there was one that had a plan in force.
    pub(super) fn held_verdicts(&self) -> Option<Vec<u8>> {
        let all: Vec<HeldVerdict> = self.verdicts.as_ref()?.values().cloned().collect();
        // More than fits into a frame: it begins with what the kernel's table says.
        encode(&ToChecker::Held(all)).or_else(|_| encode(&ToChecker::Held(Vec::new()))).ok()
    }

    /// A program to run. Where nobody can, the checker hears that at once.
    pub(super) fn relay_order(&mut self, order: RunOrder) {
        let number = order.number;
        let taken = match &self.slots[Worker::Scripts.index()].child {
            Some(child) => child.send(encode(&ToScripts::Run(order))),
            None => false,
        };
        if !taken {
            let end = RunEnd::NoProcess("the scripts role is not there or is too busy".into());
            self.relay_end(RunReport { number, end, output: String::new(), took: Duration::ZERO });
        }
    }

    /// The end of a program. A checker that does not read hears of it by its own clock.
    pub(super) fn relay_end(&mut self, report: RunReport) {
        let slot = &mut self.slots[Worker::Checker.index()];
        if let Some(child) = &slot.child
            && !child.send(encode(&ToChecker::Ran(report)))
        {
            slot.dropped += 1;
        }
    }
}

/// Files, and the sessions that are for checkers.
fn for_checker(plans: &KeptPlans, key: &TrackerKey) -> bool {
    match key.kind {
        TrackerKind::File => true,
        TrackerKind::Bfd => plans.bfd.sessions.iter().any(|s| s.to_checker && s.name == key.name),
        TrackerKind::Script | TrackerKind::Process => false,
    }
}
