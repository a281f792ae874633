//! The snmp role asks how the servers are: the checker role is asked for a snapshot, which goes on to it.

use super::asked::Asked;
use super::run::Supervisor;
use super::worker::{Snapshot, Worker, servers_frame};
use crate::report::VirtualServerState;
use tokio::time::Instant;

/// These questions have their numbers from here on; those for state files end before, those for `holdfastctl` count from 1.
const FIRST_NUMBER: u64 = 1 << 49;

/// One question. Asked again meanwhile by the same process, it is still one.
#[derive(Debug, Default)]
pub struct ServersRound {
    round: u64,
    until: Option<Instant>,
    /// The incarnation of the snmp role that wants to know.
    caller: u64,
    asked: Asked,
    answer: Option<Vec<VirtualServerState>>,
}

impl ServersRound {
    /// When patience ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Takes the checker role's answer, or gives back what belongs to another round.
    pub fn collect(&mut self, number: u64, worker: Worker, snapshot: Snapshot) -> Option<Snapshot> {
        if self.until.is_none() || !self.asked.hear(number, worker) {
            return Some(snapshot);
        }
        if let Snapshot::Checker(checker) = snapshot {
            self.answer = Some(checker.virtual_servers.iter().map(VirtualServerState::from).collect());
        }
        None
    }
}

impl Supervisor {
    /// A process of the snmp role wants to know.
    pub(super) fn ask_servers(&mut self, caller: u64) {
        let servers = &mut self.servers;
        if servers.until.is_some() && servers.caller == caller {
            return;
        }
        servers.round += 1;
        servers.until = Some(Instant::now() + self.settings.limits.snapshot);
        servers.caller = caller;
        servers.answer = None;
        let checker = self.slots.iter().filter(|slot| slot.worker == Worker::Checker);
        servers.asked = Asked::round(FIRST_NUMBER + servers.round, checker);
    }

    /// Answers once the checker role has answered, does not run, or patience has ended.
    pub(super) fn finish_servers(&mut self, now: Instant) {
        let servers = &mut self.servers;
        let Some(until) = servers.until else { return };
        servers.asked.ask_again(&self.slots);
        if servers.asked.waits_for(|_| true) && now < until {
            return;
        }
        servers.asked = Asked::default();
        let answer = servers.answer.take();
        let caller = self.slots[Worker::Snmp.index()].child.as_ref();
        // More than fits into a frame is as good as no answer.
        let frame = || servers_frame(answer).or_else(|_| servers_frame(None));
        let told = caller
            .filter(|child| child.incarnation == servers.caller)
            .is_none_or(|child| child.send(frame()));
        // One that is behind with its reading gets an answer later: it would wait for ever.
        servers.until = (!told).then(|| now + self.settings.limits.heartbeat);
    }
}
