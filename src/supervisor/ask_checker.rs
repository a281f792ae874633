//! Questions of `holdfastctl` that the checker role answers: the list of checks, and checks made at once.

use super::run::Supervisor;
use super::worker::Worker;
use crate::link::ToChecker;
use crate::link::control::Answer;
use crate::link::frame::encode;
use crate::report::ServerFilter;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The role itself answers a check-now after 30 s with what there is.
const CHECK_NOW: Duration = Duration::from_secs(35);

/// Those who wait: no more than the control socket serves.
#[derive(Debug, Default)]
pub struct Asks {
    number: u64,
    waiting: Vec<Ask>,
}

#[derive(Debug)]
struct Ask {
    number: u64,
    until: Instant,
    reply: oneshot::Sender<Answer>,
}

impl Asks {
    /// The role's answer.
    pub fn answered(&mut self, number: u64, answer: Answer) {
        if let Some(at) = self.waiting.iter().position(|ask| ask.number == number) {
            // Who went away does not want to know.
            self.waiting.swap_remove(at).reply.send(answer).ok();
        }
    }

    /// When patience ends for the first of them.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|ask| ask.until).min()
    }
}

impl Supervisor {
    /// Wants the list of checks.
    pub(super) fn ask_checks(&mut self, filter: ServerFilter, reply: oneshot::Sender<Answer>) {
        let limit = self.settings.limits.snapshot;
        self.ask_checker(|number| ToChecker::Checks(number, filter), limit, reply);
    }

    /// Has checks made.
    pub(super) fn ask_check_now(&mut self, filter: ServerFilter, reply: oneshot::Sender<Answer>) {
        self.ask_checker(|number| ToChecker::CheckNow(number, filter), CHECK_NOW, reply);
    }

    fn ask_checker(
        &mut self,
        message: impl FnOnce(u64) -> ToChecker,
        limit: Duration,
        reply: oneshot::Sender<Answer>,
    ) {
        let asks = &mut self.checker_asks;
        asks.number += 1;
        let number = asks.number;
        let slot = &self.slots[Worker::Checker.index()];
        let Some(child) = &slot.child else {
            let why = slot.trouble(&self.settings.limits).unwrap_or_else(|| "it does not run".to_owned());
            reply.send(Answer::Refused(format!("the checker role says nothing: {why}"))).ok();
            return;
        };
        if child.send(encode(&message(number))) {
            asks.waiting.push(Ask { number, until: Instant::now() + limit, reply });
        } else {
            reply.send(Answer::Refused("the checker role does not read what it is told".to_owned())).ok();
        }
    }

    /// Answers those who have waited long enough, or whose role is gone.
    pub(super) fn expire_checker_asks(&mut self, now: Instant) {
        let gone = self.slots[Worker::Checker.index()].child.is_none();
        let asks = &mut self.checker_asks;
        while let Some(at) = asks.waiting.iter().position(|ask| gone || ask.until <= now) {
            let why =
                if gone { "the checker role has ended" } else { "the checker role did not answer in time" };
            asks.waiting.swap_remove(at).reply.send(Answer::Refused(why.to_owned())).ok();
        }
    }
}
