//! The two roles that live as long as the daemon, and what travels on their links, under common names.

use super::settings::Limits;
use crate::link::frame::{Decoder, FrameError, encode};
use crate::link::{FromChecker, FromVrrp, ToChecker, ToVrrp};
use crate::plan::{Generation, Plans};
use crate::report::{CheckerStatus, VrrpStatus};
use crate::role::Role;
use crate::vrrp::{News, Transition, patience};

/// A long-lived role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worker {
    /// Probes and IPVS.
    Checker,
    /// Elections and addresses.
    Vrrp,
}

/// In the order keepalived starts them.
pub const START_ORDER: [Worker; 2] = [Worker::Checker, Worker::Vrrp];

/// Addresses go first, so that clients are with the peer before our table goes.
pub const STOP_ORDER: [Worker; 2] = [Worker::Vrrp, Worker::Checker];

/// What the supervisor says, beside plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send a snapshot with this number.
    Snapshot(u64),
    /// Answer with this number.
    AreYouThere(u64),
    /// End.
    Stop {
        /// Give up what you hold?
        release: bool,
    },
}

/// What a role says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The plan of this generation is in force.
    Applied(Generation),
    /// A snapshot with its number.
    Snapshot(u64, Snapshot),
    /// Heartbeat answer.
    Alive,
    /// A router changed state.
    Transition(Transition),
    /// Other news of the vrrp role.
    News(News),
    /// The process exits next.
    Stopped,
}

/// What one role knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// The vrrp role.
    Vrrp(VrrpStatus),
    /// The checker role.
    Checker(CheckerStatus),
}

impl Worker {
    /// Its place in [`START_ORDER`].
    pub const fn index(self) -> usize {
        match self {
            Worker::Checker => 0,
            Worker::Vrrp => 1,
        }
    }

    /// Its role.
    pub const fn role(self) -> Role {
        match self {
            Worker::Checker => Role::Checker,
            Worker::Vrrp => Role::Vrrp,
        }
    }

    /// Does the plan give it something to do?
    pub fn has_work(self, plans: &Plans) -> bool {
        match self {
            Worker::Checker => !plans.lvs.virtual_servers.is_empty(),
            Worker::Vrrp => !plans.vrrp.routers.is_empty(),
        }
    }

    /// What it lacks when it has no work.
    pub const fn idle(self) -> &'static str {
        match self {
            Worker::Checker => "not running: the configuration has no virtual server, or -P was given",
            Worker::Vrrp => "not running: the configuration has no virtual router, or -C was given",
        }
    }

    /// What its silence means for the traffic.
    pub const fn silence(self) -> &'static str {
        match self {
            Worker::Checker => "no server is probed, and the IPVS table stays as it is",
            Worker::Vrrp => {
                "no advertisement leaves, and a peer may take the addresses while they are still here"
            }
        }
    }

    /// How many heartbeats a running process may leave unanswered. The vrrp role gets no more time than the most
    /// impatient peer of its routers.
    pub fn silent_beats(self, plans: &Plans, limits: &Limits) -> u32 {
        let patience = match self {
            Worker::Checker => None,
            Worker::Vrrp => plans.vrrp.routers.iter().map(patience).min(),
        };
        let beats = patience.map(|time| time.as_nanos().div_ceil(limits.heartbeat.as_nanos().max(1)));
        let beats = beats.and_then(|beats| u32::try_from(beats).ok()).unwrap_or(u32::MAX);
        beats.max(limits.noticed_beats).min(limits.silent_beats)
    }

    /// What stays behind when it ends without giving up what it holds.
    pub const fn leftovers(self) -> &'static str {
        match self {
            Worker::Checker => "its services may still be in the IPVS table: see ipvsadm -Ln",
            Worker::Vrrp => "its virtual addresses may still be on this node: see ip address",
        }
    }

    /// Its part of the plans as a frame.
    pub fn plan_frame(self, plans: &Plans) -> Result<Vec<u8>, FrameError> {
        match self {
            Worker::Checker => encode(&ToChecker::Plan(plans.lvs.clone())),
            Worker::Vrrp => encode(&ToVrrp::Plan(plans.vrrp.clone())),
        }
    }

    /// An order as a frame.
    pub fn order_frame(self, order: Order) -> Result<Vec<u8>, FrameError> {
        match self {
            Worker::Checker => encode(&match order {
                Order::Snapshot(number) => ToChecker::Snapshot(number),
                Order::AreYouThere(number) => ToChecker::AreYouThere(number),
                Order::Stop { release } => ToChecker::Stop { release },
            }),
            Worker::Vrrp => encode(&match order {
                Order::Snapshot(number) => ToVrrp::Snapshot(number),
                Order::AreYouThere(number) => ToVrrp::AreYouThere(number),
                Order::Stop { release } => ToVrrp::Stop { release },
            }),
        }
    }

    /// The next whole message from the role, if there is one.
    pub fn next_report(self, decoder: &mut Decoder) -> Result<Option<Report>, FrameError> {
        Ok(match self {
            Worker::Checker => decoder.message::<FromChecker>()?.map(|message| match message {
                FromChecker::Applied(generation) => Report::Applied(generation),
                FromChecker::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Checker(status)),
                FromChecker::Alive(_) => Report::Alive,
                FromChecker::Stopped => Report::Stopped,
            }),
            Worker::Vrrp => decoder.message::<FromVrrp>()?.map(|message| match message {
                FromVrrp::Applied(generation) => Report::Applied(generation),
                FromVrrp::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Vrrp(status)),
                FromVrrp::Alive(_) => Report::Alive,
                FromVrrp::Transition(transition) => Report::Transition(transition),
                FromVrrp::News(news) => Report::News(news),
                FromVrrp::Stopped => Report::Stopped,
            }),
        })
    }
}
