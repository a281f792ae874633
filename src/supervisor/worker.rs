//! The roles that live as long as the daemon, and what travels on their links, under common names.

use super::settings::Limits;
use crate::check::held::HeldVerdict;
use crate::link::control::Answer;
use crate::link::frame::{Decoder, FrameError, encode};
use crate::link::kept::KeptPlans;
use crate::link::{
    Claimed, FromBfd, FromChecker, FromScripts, FromSnmp, FromVrrp, News, ToBfd, ToChecker, ToScripts,
    ToSnmp, ToVrrp,
};
use crate::lvs::traffic::Overrides;
use crate::plan::Generation;
use crate::plan::scripts::{RunOrder, RunReport};
use crate::plan::track::{Sample, TrackerKey};
use crate::report::{
    BfdStatus, CheckerStatus, ScriptsStatus, SnmpStatus, TrafficOutcome, VirtualServerState, VrrpStatus,
};
use crate::role::Role;
use crate::vrrp::{ClaimId, ClaimOrder, Transition};
use std::collections::BTreeMap;
use std::time::Duration;

/// A long-lived role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worker {
    /// Probes and IPVS.
    Checker,
    /// Elections and addresses.
    Vrrp,
    /// Scripts, tracked files and processes.
    Scripts,
    /// BFD sessions.
    Bfd,
    /// The SNMP agent.
    Snmp,
}

/// How many there are.
pub const WORKERS: usize = 5;

/// In the order in which they are started and reported: keepalived's, then those that only serve others.
pub const START_ORDER: [Worker; WORKERS] =
    [Worker::Checker, Worker::Vrrp, Worker::Scripts, Worker::Bfd, Worker::Snmp];

/// Addresses go first, so that clients are with the peer before our table goes; then those that serve others: the
/// scripts role last, to tell the end of all else.
pub const STOP_ORDER: [Worker; WORKERS] =
    [Worker::Vrrp, Worker::Checker, Worker::Bfd, Worker::Snmp, Worker::Scripts];

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
    /// Its process is restricted by Landlock of this version.
    Landlock(u32),
    /// The plan of this generation is in force.
    Applied(Generation),
    /// A snapshot with its number.
    Snapshot(u64, Snapshot),
    /// Heartbeat answer.
    Alive,
    /// A router changed state.
    Transition(Transition),
    /// What is known of a tracker, for the vrrp role.
    Tracker(TrackerKey, Option<Sample>),
    /// Why the next one is as it is.
    TrackerWords(TrackerKey, String),
    /// Other news of the vrrp role.
    News(crate::vrrp::News),
    /// News of the checker role.
    Told(News),
    /// The vrrp role wants a claim script to be run.
    Claim(ClaimOrder),
    /// The vrrp role no longer wants it.
    Unclaim(ClaimId),
    /// How a claim script ended, for the vrrp role.
    Claimed(Claimed),
    /// A checker wants a program run.
    Order(RunOrder),
    /// A program for a checker has ended.
    Ran(RunReport),
    /// What checks believe: all of them, or these.
    Verdicts(bool, Vec<HeldVerdict>),
    /// What is said of traffic by hand, to be kept.
    Overrides(Overrides),
    /// What became of an order.
    Traffic(u64, Result<Box<TrafficOutcome>, String>),
    /// The snmp role wants to know how the servers are.
    AskServers,
    /// What somebody asked the role through us, with the number of the question.
    Answer(u64, Answer),
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
    /// The scripts role.
    Scripts(ScriptsStatus),
    /// The bfd role.
    Bfd(BfdStatus),
    /// The snmp role.
    Snmp(SnmpStatus),
}

impl Worker {
    /// Its place in [`START_ORDER`].
    pub const fn index(self) -> usize {
        match self {
            Worker::Checker => 0,
            Worker::Vrrp => 1,
            Worker::Scripts => 2,
            Worker::Bfd => 3,
            Worker::Snmp => 4,
        }
    }

    /// Its role.
    pub const fn role(self) -> Role {
        match self {
            Worker::Checker => Role::Checker,
            Worker::Vrrp => Role::Vrrp,
            Worker::Scripts => Role::Scripts,
            Worker::Bfd => Role::Bfd,
            Worker::Snmp => Role::Snmp,
        }
    }

    /// Does the plan give it something to do?
    pub fn has_work(self, plans: &KeptPlans) -> bool {
        match self {
            Worker::Checker => plans.lvs.has_work(),
            Worker::Vrrp => !plans.vrrp.is_empty(),
            Worker::Scripts => plans.scripts.has_work(),
            Worker::Bfd => !plans.bfd.sessions.is_empty(),
            Worker::Snmp => plans.snmp.has_work(),
        }
    }

    /// Does it hold something in the kernel that outlives its process, and that another process must give up?
    pub const fn holds(self) -> bool {
        matches!(self, Worker::Checker | Worker::Vrrp)
    }

    /// Does it know things of trackers?
    pub const fn tracks(self) -> bool {
        matches!(self, Worker::Scripts | Worker::Bfd)
    }

    /// Frames that may wait for it. Heartbeats come once a second and a silent role is ended before 64 of them, so a
    /// full queue means that it does not read. News for the scripts and snmp roles come in bursts: thousands of routers may change
    /// state, some of them twice, before it is scheduled.
    pub const fn queue(self) -> usize {
        match self {
            // As many programs may end at once as may run for checkers.
            Worker::Checker => 1024,
            Worker::Vrrp | Worker::Bfd => 64,
            Worker::Scripts | Worker::Snmp => 16_384,
        }
    }

    /// What it lacks when it has no work.
    pub const fn idle(self) -> &'static str {
        match self {
            Worker::Checker => "not running: the configuration has no virtual server, or -P was given",
            Worker::Vrrp => "not running: the configuration has no virtual router, or -C was given",
            Worker::Scripts => "not running: the configuration has nothing to run or to watch",
            Worker::Bfd => "not running: the configuration has no BFD session, or -B was given",
            Worker::Snmp => "not running: neither enable_snmp_checker nor -x asks for it, or -P was given",
        }
    }

    /// What its silence means for the traffic.
    pub const fn silence(self) -> &'static str {
        match self {
            Worker::Checker => "no server is probed, and the IPVS table stays as it is",
            Worker::Vrrp => {
                "no advertisement leaves, and a peer may take the addresses while they are still here"
            }
            Worker::Scripts => {
                "no script runs, and what tracked scripts, files and processes said last holds"
            }
            Worker::Bfd => "no BFD packet leaves, and the neighbours see the sessions go down",
            Worker::Snmp => "SNMP managers get no answer and no trap; the traffic goes on",
        }
    }

    /// How many heartbeats a running process may leave unanswered. The vrrp role gets no more time than the most
    /// impatient peer of its routers.
    pub fn silent_beats(self, plans: &KeptPlans, limits: &Limits) -> u32 {
        let patience = match self {
            Worker::Checker | Worker::Scripts | Worker::Bfd | Worker::Snmp => None,
            Worker::Vrrp => plans.vrrp.patience(),
        };
        let beats = patience.map(|time| time.as_nanos().div_ceil(limits.heartbeat.as_nanos().max(1)));
        let beats = beats.and_then(|beats| u32::try_from(beats).ok()).unwrap_or(u32::MAX);
        beats.max(limits.noticed_beats).min(limits.silent_beats)
    }

    /// How much longer than another role it may take to stop: a Master waits for its successor.
    pub fn farewell(self, plans: &KeptPlans) -> Duration {
        if self == Worker::Vrrp { plans.vrrp.handover() } else { Duration::ZERO }
    }

    /// What stays behind when it ends without giving up what it holds.
    pub const fn leftovers(self) -> &'static str {
        match self {
            Worker::Checker => "its services may still be in the IPVS table: see ipvsadm -Ln",
            Worker::Vrrp => "its virtual addresses may still be on this node: see ip address",
            Worker::Scripts => "not everything may have been told, and scripts that it ran may still run",
            Worker::Bfd => "its neighbours were not told",
            Worker::Snmp => "the SNMP master was not told",
        }
    }

    /// Its part of the plans as a frame.
    pub fn plan_frame(self, plans: &KeptPlans) -> Result<Vec<u8>, FrameError> {
        match self {
            Worker::Checker => Ok(plans.lvs.frame()),
            Worker::Vrrp => Ok(plans.vrrp.frame()),
            Worker::Scripts => encode(&ToScripts::Plan(plans.scripts.clone())),
            Worker::Bfd => encode(&ToBfd::Plan(plans.bfd.clone())),
            Worker::Snmp => Ok(plans.snmp.frame()),
        }
    }

    /// How it is scheduled, as a frame that goes before the plan. The roles that keepalived does not have as processes are
    /// scheduled as the system says.
    pub fn process_frame(self, plans: &KeptPlans) -> Result<Vec<u8>, FrameError> {
        let processes = &plans.global.processes;
        match self {
            Worker::Checker => encode(&ToChecker::Process(processes.checker.clone())),
            Worker::Vrrp => encode(&ToVrrp::Process(processes.vrrp.clone())),
            Worker::Bfd => encode(&ToBfd::Process(processes.bfd.clone())),
            Worker::Scripts | Worker::Snmp => Ok(Vec::new()),
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
            Worker::Scripts => encode(&match order {
                Order::Snapshot(number) => ToScripts::Snapshot(number),
                Order::AreYouThere(number) => ToScripts::AreYouThere(number),
                Order::Stop { .. } => ToScripts::Stop,
            }),
            Worker::Bfd => encode(&match order {
                Order::Snapshot(number) => ToBfd::Snapshot(number),
                Order::AreYouThere(number) => ToBfd::AreYouThere(number),
                Order::Stop { .. } => ToBfd::Stop,
            }),
            Worker::Snmp => encode(&match order {
                Order::Snapshot(number) => ToSnmp::Snapshot(number),
                Order::AreYouThere(number) => ToSnmp::AreYouThere(number),
                Order::Stop { .. } => ToSnmp::Stop,
            }),
        }
    }

    /// The next whole message from the role, if there is one.
    pub fn next_report(self, decoder: &mut Decoder) -> Result<Option<Report>, FrameError> {
        Ok(match self {
            Worker::Checker => decoder.message::<FromChecker>()?.map(|message| match message {
                FromChecker::Landlock(version) => Report::Landlock(version),
                FromChecker::Applied(generation) => Report::Applied(generation),
                FromChecker::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Checker(status)),
                FromChecker::Alive(_) => Report::Alive,
                FromChecker::News(news) => Report::Told(news),
                FromChecker::Run(order) => Report::Order(order),
                FromChecker::Verdicts { all, list } => Report::Verdicts(all, list),
                FromChecker::Overrides(overrides) => Report::Overrides(overrides),
                FromChecker::Traffic(number, result) => Report::Traffic(number, result),
                FromChecker::Checks(number, report) => {
                    Report::Answer(number, Answer::Checks(Box::new(report)))
                }
                FromChecker::CheckedNow(number, report) => {
                    Report::Answer(number, Answer::CheckedNow(Box::new(report)))
                }
                FromChecker::Stopped => Report::Stopped,
            }),
            Worker::Vrrp => decoder.message::<FromVrrp>()?.map(|message| match message {
                FromVrrp::Landlock(version) => Report::Landlock(version),
                FromVrrp::Applied(generation) => Report::Applied(generation),
                FromVrrp::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Vrrp(status)),
                FromVrrp::Alive(_) => Report::Alive,
                FromVrrp::Transition(transition) => Report::Transition(transition),
                FromVrrp::News(news) => Report::News(news),
                FromVrrp::Claim(order) => Report::Claim(order),
                FromVrrp::Unclaim(claim) => Report::Unclaim(claim),
                FromVrrp::Stopped => Report::Stopped,
            }),
            Worker::Scripts => decoder.message::<FromScripts>()?.map(|message| match message {
                FromScripts::Applied(generation) => Report::Applied(generation),
                FromScripts::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Scripts(status)),
                FromScripts::Alive(_) => Report::Alive,
                FromScripts::Tracker(key, sample) => Report::Tracker(key, sample),
                FromScripts::TrackerWords(key, words) => Report::TrackerWords(key, words),
                FromScripts::Claimed(claimed) => Report::Claimed(claimed),
                FromScripts::Ran(report) => Report::Ran(report),
                FromScripts::Stopped => Report::Stopped,
            }),
            Worker::Bfd => decoder.message::<FromBfd>()?.map(|message| match message {
                FromBfd::Landlock(version) => Report::Landlock(version),
                FromBfd::Applied(generation) => Report::Applied(generation),
                FromBfd::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Bfd(status)),
                FromBfd::Alive(_) => Report::Alive,
                FromBfd::Tracker(key, sample) => Report::Tracker(key, sample),
                FromBfd::Stopped => Report::Stopped,
            }),
            Worker::Snmp => decoder.message::<FromSnmp>()?.map(|message| match message {
                FromSnmp::Landlock(version) => Report::Landlock(version),
                FromSnmp::Applied(generation) => Report::Applied(generation),
                FromSnmp::Snapshot(number, status) => Report::Snapshot(number, Snapshot::Snmp(status)),
                FromSnmp::Alive(_) => Report::Alive,
                FromSnmp::Servers => Report::AskServers,
                FromSnmp::Stopped => Report::Stopped,
            }),
        })
    }
}

/// What tells the vrrp role of trackers, each behind the words about it: several frames in one piece.
pub fn tracker_frames<'a>(
    samples: impl Iterator<Item = (&'a TrackerKey, &'a Option<Sample>)>,
    words: &BTreeMap<TrackerKey, String>,
) -> Result<Vec<u8>, FrameError> {
    let mut frames = Vec::new();
    for (key, sample) in samples {
        if let Some(words) = words.get(key) {
            frames.extend(encode(&ToVrrp::TrackerWords(key.clone(), words.clone()))?);
        }
        frames.extend(encode(&ToVrrp::Tracker(key.clone(), *sample))?);
    }
    Ok(frames)
}

/// What tells the scripts role what is held, before its first plan.
pub fn held_frame(samples: Vec<(TrackerKey, Sample)>) -> Result<Vec<u8>, FrameError> {
    encode(&ToScripts::Held(samples))
}

/// What tells the checker role if the virtual router that its synchronisation follows is master.
pub fn master_frame(master: bool) -> Result<Vec<u8>, FrameError> {
    encode(&ToChecker::Master(master))
}

/// What tells the scripts role the news.
pub fn news_frame(news: News) -> Result<Vec<u8>, FrameError> {
    encode(&ToScripts::News(news))
}

/// What tells the snmp role the news.
pub fn trap_frame(news: News) -> Result<Vec<u8>, FrameError> {
    encode(&ToSnmp::News(news))
}

/// What tells the snmp role how the servers are, as far as that is known.
pub fn servers_frame(states: Option<Vec<VirtualServerState>>) -> Result<Vec<u8>, FrameError> {
    encode(&ToSnmp::Servers(states))
}

/// What has the scripts role run a claim script.
pub fn claim_frame(order: ClaimOrder) -> Result<Vec<u8>, FrameError> {
    encode(&ToScripts::Claim(order))
}

/// What has it end an attempt, or every one.
pub fn unclaim_frame(claim: Option<ClaimId>) -> Result<Vec<u8>, FrameError> {
    encode(&ToScripts::Unclaim(claim))
}

/// What tells the vrrp role how an attempt ended.
pub fn claimed_frame(claimed: Claimed) -> Result<Vec<u8>, FrameError> {
    encode(&ToVrrp::Claimed(claimed))
}
