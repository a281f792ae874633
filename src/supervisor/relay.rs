//! What travels from role to role. Links form a star, so it passes here: samples of trackers to the vrrp role, news to
//! the scripts role and, of servers, to the snmp role.
//!
//! The last sample of each tracker is kept. A vrrp role that starts hears all of them after its plan, and so does one
//! that did not take one in time. When the role that watches dies, its samples are held: a crash of ours is no failure of
//! what is watched. The new process is told what is held, and goes on from there.

use super::child::End;
use super::run::Supervisor;
use super::worker::{
    Worker, claim_frame, claimed_frame, held_frame, master_frame, news_frame, tracker_frames, trap_frame,
    unclaim_frame,
};
use crate::link::{Claimed, News};
use crate::plan::bfd::BfdPlan;
use crate::plan::scripts::ScriptsPlan;
use crate::plan::track::{Sample, TrackerKey, TrackerKind};
use crate::vrrp::{ClaimId, ClaimOrder, State, Transition};
use std::collections::{BTreeMap, BTreeSet};

/// The last sample of each tracker.
pub type Samples = BTreeMap<TrackerKey, Option<Sample>>;

/// Octets of the words about a tracker; the scripts role says fewer.
const MAX_WORDS: usize = 1024;

/// News that wait for a scripts role: as many as its link takes. The oldest go when there are more.
const MAX_LATE_NEWS: usize = 16_384;

impl Supervisor {
    /// Words about the next sample of a tracker.
    pub(super) fn note_words(&mut self, key: TrackerKey, words: String) {
        if self.tracked.contains(&key) && words.len() <= MAX_WORDS {
            self.words.insert(key, words);
        }
    }

    /// A sample from the scripts or the bfd role.
    pub(super) fn relay_sample(&mut self, key: TrackerKey, sample: Option<Sample>) {
        // What a role said before it took its new plan may be of a tracker that is none any more.
        if !self.tracked.contains(&key) {
            return;
        }
        let for_vrrp = self.for_vrrp(&key);
        let frames = tracker_frames([(&key, &sample)].into_iter(), &self.words);
        self.samples.insert(key, sample);
        if !for_vrrp {
            return;
        }
        let slot = &mut self.slots[Worker::Vrrp.index()];
        if let Some(child) = &slot.child
            && !child.send(frames)
        {
            slot.behind = true;
        }
    }

    /// Tells a vrrp role all samples, when it has missed one.
    pub(super) fn catch_up(&mut self) {
        if self.slots[Worker::Checker.index()].behind {
            self.tell_master();
        }
        let slot = &mut self.slots[Worker::Vrrp.index()];
        if let Some(child) = slot.child.as_ref().filter(|_| slot.behind) {
            slot.behind =
                !self.samples.is_empty() && !child.send(tracker_frames(self.samples.iter(), &self.words));
        }
        self.catch_up_checker();
    }

    /// A session that is for checkers alone is nothing that a virtual router hears of.
    fn for_vrrp(&self, key: &TrackerKey) -> bool {
        let sessions = &self.plans.bfd.sessions;
        key.kind != TrackerKind::Bfd || sessions.iter().any(|s| s.to_vrrp && s.name == key.name)
    }

    /// What a role that starts must hear before its plan.
    pub(super) fn before_plan(&self, worker: Worker) -> Option<Vec<u8>> {
        if worker == Worker::Checker {
            let master = self.followed_is_master().and_then(|master| master_frame(master).ok());
            let frames = master.into_iter().chain(self.held_verdicts()).chain(self.overrides_frame());
            let frames: Vec<u8> = frames.flatten().collect();
            return (!frames.is_empty()).then_some(frames);
        }
        if worker == Worker::Vrrp {
            // Before its plan, so that a Master that goes on says the same priority as before.
            let samples = self.samples.iter().filter(|(key, _)| self.for_vrrp(key));
            let mut frames = tracker_frames(samples, &self.words).unwrap_or_default();
            frames.extend(self.maintenance_frame().unwrap_or_default());
            return Some(frames).filter(|frames| !frames.is_empty());
        }
        let of_scripts = |key: &TrackerKey| key.kind != TrackerKind::Bfd;
        let samples = self.samples.iter().filter(|(key, _)| of_scripts(key));
        let held: Vec<_> = samples.filter_map(|(key, sample)| Some((key.clone(), (*sample)?))).collect();
        if worker != Worker::Scripts || held.is_empty() {
            return None;
        }
        held_frame(held).ok()
    }

    /// A virtual router changed state: the connection synchronisation may follow it.
    pub(super) fn relay_state(&mut self, transition: &Transition) {
        let changed = match transition.to {
            State::Master => self.masters.insert(transition.name.clone()),
            _ => self.masters.remove(&transition.name),
        };
        let sync = self.plans.lvs.sync();
        if changed && sync.is_some_and(|sync| sync.instance.as_ref() == Some(&transition.name)) {
            self.tell_master();
        }
    }

    /// Tells the checker role if the virtual router that its synchronisation follows is master.
    pub(super) fn tell_master(&mut self) {
        let Some(master) = self.followed_is_master() else { return };
        let slot = &mut self.slots[Worker::Checker.index()];
        if let Some(child) = &slot.child {
            slot.behind = !child.send(master_frame(master));
        }
    }

    fn followed_is_master(&self) -> Option<bool> {
        let instance = self.plans.lvs.sync()?.instance.as_ref()?;
        Some(self.masters.contains(instance))
    }

    /// Something to tell the world. A scripts role that died hears it when there is one again; counted when it does not
    /// take it.
    pub(super) fn relay_news(&mut self, news: News) {
        let slot = &mut self.slots[Worker::Scripts.index()];
        match &slot.child {
            Some(child) if matches!(child.end, End::No | End::Asked { .. }) => {
                slot.dropped += u64::from(!child.send(news_frame(news)));
            }
            _ if !slot.wanted => {}
            _ => {
                if self.late_news.len() >= MAX_LATE_NEWS {
                    self.late_news.pop_front();
                    slot.dropped += 1;
                }
                self.late_news.push_back(news);
            }
        }
    }

    /// News of servers and quorums for SNMP managers. What happens while there is no snmp role is lost, as traps may be;
    /// counted when it does not take it.
    pub(super) fn relay_trap(&mut self, news: &News) {
        if !self.plans.snmp.traps() {
            return;
        }
        let slot = &mut self.slots[Worker::Snmp.index()];
        let hears = |end: &End| matches!(end, End::No | End::Asked { .. });
        if let Some(child) = slot.child.as_ref().filter(|child| hears(&child.end)) {
            slot.dropped += u64::from(!child.send(trap_frame(news.clone())));
        }
    }

    /// What happened while there was no scripts role.
    pub(super) fn tell_late_news(&mut self) {
        for news in std::mem::take(&mut self.late_news) {
            self.relay_news(news);
        }
    }

    /// A claim script for the scripts role; without one, it has failed.
    pub(super) fn relay_claim(&mut self, order: ClaimOrder) {
        let (router, claim) = (order.router, order.claim);
        let slot = &self.slots[Worker::Scripts.index()];
        let why = match &slot.child {
            Some(child) if child.send(claim_frame(order)) => return,
            Some(_) => "the scripts role does not read what it is told",
            None if slot.wanted => {
                "the scripts role, which would run it, is not there; it is being restarted"
            }
            None => "there is no scripts role to run it",
        };
        self.relay_claimed(Claimed { router, claim, result: Err(why.to_owned()) });
    }

    /// An attempt that nobody waits for any more, or every one.
    pub(super) fn relay_unclaim(&mut self, claim: Option<ClaimId>) {
        if let Some(child) = &self.slots[Worker::Scripts.index()].child {
            // One that does not read has not begun it, or ends it at its timeout.
            child.send(unclaim_frame(claim));
        }
    }

    /// How a claim script ended. A vrrp role that does not take it asks again when its own patience ends.
    pub(super) fn relay_claimed(&mut self, claimed: Claimed) {
        if let Some(child) = &self.slots[Worker::Vrrp.index()].child {
            child.send(claimed_frame(claimed));
        }
    }

    /// Forgets what the plans in force do not track.
    pub(super) fn retrack(&mut self) {
        self.tracked = trackers(&self.plans.scripts, &self.plans.bfd);
        self.samples.retain(|key, _| self.tracked.contains(key));
        self.words.retain(|key, _| self.tracked.contains(key));
    }
}

/// What is watched.
pub fn trackers(scripts: &ScriptsPlan, bfd: &BfdPlan) -> BTreeSet<TrackerKey> {
    let key = |kind, name: &String| TrackerKey { kind, name: name.clone() };
    let files = scripts.files.iter().map(|file| key(TrackerKind::File, &file.name));
    let processes = scripts.processes.iter().map(|process| key(TrackerKind::Process, &process.name));
    let scripts = scripts.scripts.iter().map(|script| key(TrackerKind::Script, &script.name));
    let sessions = bfd.sessions.iter().map(|session| key(TrackerKind::Bfd, &session.name));
    scripts.chain(files).chain(processes).chain(sessions).collect()
}
