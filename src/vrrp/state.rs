//! The states of a router, each with its own deadlines: a timer of another state cannot exist.

use super::answers::Answers;
use super::election::{Timing, Wait};
use super::event::State;
use super::handover::Leaving;
use crate::net::Priority;
use crate::time::{Instant, Interval};
use std::net::IpAddr;

/// Where a router stands in RFC 9568 6.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started, or ended.
    Initialize,
    /// Listens.
    Backup(Backup),
    /// Holds the addresses.
    Master(Master),
    /// Holds the addresses and is silent: it hands over.
    Leaving(Box<Leaving>),
    /// Cannot take part; the router's `faults` say why.
    Fault,
}

impl Phase {
    /// Its name.
    pub const fn state(&self) -> State {
        match self {
            Phase::Initialize => State::Initialize,
            Phase::Backup(_) => State::Backup,
            Phase::Master(_) | Phase::Leaving(_) => State::Master,
            Phase::Fault => State::Fault,
        }
    }
}

/// Somebody who speaks for our VRID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveRouter {
    /// Its primary address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: Priority,
    /// When it was last heard.
    pub at: Instant,
}

/// Listening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backup {
    /// Master_Down_Timer: take over at this moment.
    pub master_down_at: Instant,
    /// Since when the timer runs, and with which formula: a changed priority recomputes it in place.
    pub counted_from: Instant,
    /// The timer has ended, and the sync group waits for its other members.
    pub wants_master: bool,
    /// The formula.
    pub wait: Wait,
    /// Master_Adver_Interval (RFC 9568 6.1): learned in version 3.
    pub master_interval: Interval,
    /// The Master that is listened to.
    pub active: Option<ActiveRouter>,
    /// A weaker Master that is being preempted: its advertisements do not hold the timer.
    pub ignored: Option<ActiveRouter>,
    /// Who resigned last, until somebody else speaks.
    pub resigned: Option<IpAddr>,
    /// `preempt_delay`: before this moment a weaker Master is left in peace.
    pub preempt_after: Option<Instant>,
    /// The timer runs once more, because its end was slept through.
    pub overslept: bool,
}

impl Backup {
    /// A Backup that has heard nobody, with its timer running from `now`.
    pub fn new(wait: Wait, timing: Timing, now: Instant) -> Backup {
        Backup {
            master_down_at: now + timing.wait(wait),
            counted_from: now,
            wants_master: false,
            wait,
            master_interval: timing.master_interval,
            active: None,
            ignored: None,
            resigned: None,
            preempt_after: None,
            overslept: false,
        }
    }

    /// Start the timer anew.
    pub fn arm(&mut self, wait: Wait, timing: Timing, now: Instant) {
        self.wait = wait;
        self.overslept = false;
        self.wants_master = false;
        self.counted_from = now;
        self.recompute(timing);
    }

    /// The timer's end by today's numbers, counted from where it was started.
    pub fn recompute(&mut self, timing: Timing) {
        self.master_down_at = self.counted_from + timing.wait(self.wait);
    }
}

/// Speaking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    /// Adver_Timer.
    pub next_advertisement: Instant,
    /// The first advertisement is still to come: it waits for the kernel.
    pub unspoken: bool,
    /// Next repetition of the announcements (`garp_master_refresh`).
    pub refresh_at: Option<Instant>,
    /// Next announcement of addresses on other interfaces (`garp_extra_if`).
    pub elsewhere_at: Option<Instant>,
    /// The earliest second burst of any address.
    pub second_burst_at: Option<Instant>,
    /// The announcements after a weaker advertisement are not repeated before this moment.
    pub quiet_until: Instant,
    /// Advertisements out of turn that may still be sent.
    pub answers: Answers,
}
