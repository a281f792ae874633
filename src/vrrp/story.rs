//! What became of the addresses after a change of state, told once, when the kernel has done everything.

use super::context::Context;
use super::event::LogLevel;
use super::kept::KeptAddress;
use super::router::Router;
use super::state::Phase;
use super::vips::VipState;
use crate::net::AddressFamily;
use std::collections::BTreeSet;

/// Addresses that a sentence names; the rest is counted.
const NAMED: usize = 3;

/// What is still to be told.
#[derive(Clone, Debug)]
pub(super) struct Story {
    what: What,
    /// The first address that the kernel is not done with.
    slot: usize,
}

#[derive(Clone, Debug)]
enum What {
    /// A Master waits for its addresses. The number is that of the announcements sent before.
    Takes(u64),
    /// A former Master waits for its addresses to go: how they will be named.
    GivesUp(String),
}

impl Story {
    fn of(what: What) -> Box<Story> {
        Box::new(Story { what, slot: 0 })
    }
}

impl Router {
    /// The addresses stand in another order: those that the kernel was done with are looked at again.
    pub(super) fn story_begins_anew(&mut self) {
        if let Some(story) = self.story.as_deref_mut() {
            story.slot = 0;
        }
    }

    /// A change of state was made: remember what is to be told at its end.
    pub(super) fn begin_story(&mut self, was_master: bool, announced: u64, ctx: &mut Context) {
        self.story_begins_anew();
        if matches!(self.phase, Phase::Master(_)) {
            self.story = Some(Story::of(What::Takes(announced)));
        } else if was_master {
            let leaving = self.vips.iter().filter(|vip| matches!(vip.state, VipState::Removing(_)));
            let named = self.name_addresses(leaving.map(|vip| &vip.address));
            self.story = named.map(|named| Story::of(What::GivesUp(named)));
        }
        self.tell_story(ctx);
    }

    /// The kernel answered: tell the story if this was its end.
    pub(super) fn tell_story(&mut self, ctx: &mut Context) {
        let unspoken = self.is_unspoken();
        let Some(story) = self.story.as_deref_mut().filter(|_| !unspoken) else { return };
        let takes = matches!(story.what, What::Takes(_));
        // Answers come in the order of the addresses: each is looked at once, not once for each answer.
        let waits = |vip: &super::vips::Vip| match takes {
            true => !vip.dropped && vip.state != VipState::Installed,
            false => matches!(vip.state, VipState::Removing(_) | VipState::RemoveFailed(_)),
        };
        let from = if story.slot < self.vips.len() { story.slot } else { 0 };
        if let Some(at) = self.vips.iter().skip(from).position(waits) {
            story.slot = from + at;
            return;
        }
        let name = &self.plan.name;
        let sentence = match self.story.take().map(|story| story.what) {
            Some(What::Takes(before)) => {
                let held = self.vips.iter().filter(|vip| !vip.dropped);
                let announced = self.stats.announcements_sent.saturating_sub(before);
                let how = self.name_announcements(announced);
                self.name_addresses(held.map(|vip| &vip.address))
                    .map(|addresses| format!("({name}) holds {addresses}{how}"))
            }
            Some(What::GivesUp(addresses)) => Some(format!("({name}) gave up {addresses}")),
            None => None,
        };
        if let Some(sentence) = sentence {
            ctx.log(LogLevel::Info, sentence);
        }
    }

    /// `10.0.0.100/24, 10.0.0.101/24 on eth0 (+7 more)`; `None` for no address.
    fn name_addresses<'a>(&'a self, all: impl Iterator<Item = &'a KeptAddress>) -> Option<String> {
        let all: Vec<&KeptAddress> = all.collect();
        let interface = |address: &'a KeptAddress| address.interface().unwrap_or(&self.plan.key.interface);
        let first = interface(all.first()?);
        let shown = all.iter().take(NAMED);
        let mut text = if all.iter().take(NAMED).all(|address| interface(address) == first) {
            let list: Vec<String> = shown.map(|address| address.cidr.to_string()).collect();
            format!("{} on {first}", list.join(", "))
        } else {
            let list: Vec<String> =
                shown.map(|address| format!("{} on {}", address.cidr, interface(address))).collect();
            list.join(", ")
        };
        if all.len() > NAMED {
            text.push_str(&format!(" (+{} more)", all.len() - NAMED));
        }
        Some(text)
    }

    fn name_announcements(&self, sent: u64) -> String {
        let held: Vec<&KeptAddress> =
            self.vips.iter().filter(|vip| !vip.dropped).map(|vip| &vip.address).collect();
        let families: BTreeSet<AddressFamily> = held.iter().map(|address| address.cidr.family()).collect();
        let kind = match (families.contains(&AddressFamily::V4), families.contains(&AddressFamily::V6)) {
            (true, false) => "gratuitous ARP",
            (false, true) => "neighbour advertisement",
            _ => "announcement",
        };
        let count = u64::try_from(held.len()).unwrap_or(u64::MAX).max(1);
        let (number, each) =
            if count > 1 && sent.is_multiple_of(count) { (sent / count, " each") } else { (sent, "") };
        match number {
            0 => String::new(),
            1 => format!("; announced with 1 {kind}{each}"),
            n => format!("; announced with {n} {kind}s{each}"),
        }
    }
}
