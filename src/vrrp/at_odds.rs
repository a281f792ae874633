//! Who on the wire does not go together with a router, for as long as it speaks: its advertisements of our VRID are refused
//! or carry other addresses, or it has an address of ours under another VRID. Two such nodes may both be Master, each of
//! them well as far as it can see: the status says it, as the log did once.

use super::context::Context;
use super::event::LogLevel;
use super::explain::{Difference, Looks, difference_sentence, is_free, refusal, remedy, splits_the_router};
use super::router::{Router, SAID_ADDRESSES, SAID_INTERVAL};
use super::state::Phase;
use crate::net::{AddressFamily, VirtualRouterId};
use crate::time::Instant;
use crate::wire::vrrp::{Addresses, Advertisement, Discard};
use std::net::IpAddr;
use std::time::Duration;

/// Senders that are kept for each router: more than anybody reads. Packets of others are counted by their reason alone.
const SENDERS: usize = 4;

/// It is over when nothing came for so many intervals, the sender's or ours, whichever is longer ...
const INTERVALS: u32 = 3;

/// ... and this: a packet may be late.
const LATENESS: Duration = Duration::from_secs(1);

/// What begins anew is logged again, but no sooner than this.
const LOG_GAP: Duration = Duration::from_secs(60);

/// Those of one router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AtOdds {
    /// At most [`SENDERS`].
    senders: Vec<Sender>,
    /// When the log was told last.
    said_at: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sender {
    from: IpAddr,
    matter: Matter,
    first: Instant,
    last: Instant,
    until: Instant,
    times: u64,
}

/// What is the matter with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matter {
    /// Its advertisements are refused.
    Refused(Discard, Looks),
    /// It advertises these addresses.
    Addresses {
        /// Its list.
        theirs: Vec<IpAddr>,
        /// A VRID that nobody was heard to use.
        free: Option<VirtualRouterId>,
    },
    /// It advertises an address of ours under another VRID.
    OtherVrid(VirtualRouterId, IpAddr),
}

/// For people: somebody who does not go together with a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtOddsView {
    /// Who.
    pub from: IpAddr,
    /// The counter that has its packets.
    pub counter: &'static str,
    /// What is the matter, a sentence about it.
    pub what: String,
    /// What it means for the traffic.
    pub meaning: String,
    /// What to do.
    pub advice: String,
    /// Packets.
    pub times: u64,
    /// The first of them.
    pub first: Instant,
    /// The last of them.
    pub last: Instant,
}

impl AtOdds {
    /// A packet of `from`; its next one is to come within that time. True if this begins now.
    fn note(&mut self, from: IpAddr, matter: Matter, next_within: Duration, now: Instant) -> bool {
        let until = now + next_within * INTERVALS + LATENESS;
        let same = |sender: &&mut Sender| sender.from == from && sender.matter.is_like(&matter);
        let mut anew = true;
        if let Some(sender) = self.senders.iter_mut().find(same) {
            anew = sender.until < now;
            if anew {
                (sender.first, sender.times) = (now, 0);
            }
            (sender.last, sender.until, sender.matter) = (now, until, matter);
            sender.times += 1;
        } else {
            self.senders.retain(|sender| sender.until >= now);
            if self.senders.len() < SENDERS {
                self.senders.push(Sender { from, matter, first: now, last: now, until, times: 1 });
            }
        }
        anew
    }
}

impl Matter {
    /// Of one kind: the newer one takes the older one's place.
    fn is_like(&self, other: &Matter) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Router {
    /// Differences that are only counted and mentioned, as keepalived does (RFC 9568 7.1).
    //= RFC9568 7.1 M-38
    //= RFC9568 7.1 M-40
    pub(super) fn note_differences(&mut self, advert: &Advertisement, from: IpAddr, ctx: &mut Context) {
        let agrees = self.carries_our_addresses(advert.addresses());
        if agrees {
            self.end_difference(from);
        } else {
            self.stats.address_list_mismatch += 1;
            let theirs: Vec<IpAddr> = addresses_of(advert.addresses());
            let begins = self.note_addresses(from, &theirs, advert.interval().duration(), ctx);
            let first = self.said.first(SAID_ADDRESSES);
            if self.may_say_odds(begins, first, ctx.now) {
                let ours: Vec<IpAddr> = self.advertised().collect();
                let free = ctx.heard.free(&self.plan.key, self.link);
                ctx.log(LogLevel::Warning, difference_sentence(&self.plan, from, &ours, &theirs, free));
            }
        }
        if advert.interval() != self.own_interval() {
            self.stats.interval_mismatch += 1;
            if self.said.first(SAID_INTERVAL) {
                let (name, theirs, ours) =
                    (&self.plan.name, advert.interval().duration(), self.own_interval().duration());
                ctx.log(
                    LogLevel::Info,
                    format!("({name}) {from} advertises every {theirs:?}, we would every {ours:?}"),
                );
            }
        }
    }

    /// The same list in the same order? The order is compared first because it nearly always fits.
    fn carries_our_addresses(&self, theirs: &Addresses) -> bool {
        let theirs: Vec<IpAddr> = match (theirs, self.plan.key.family) {
            (Addresses::V4(_), AddressFamily::V4) | (Addresses::V6(_), AddressFamily::V6) => {
                addresses_of(theirs)
            }
            _ => return false,
        };
        if theirs.iter().copied().eq(self.advertised()) {
            return true;
        }
        same_addresses(theirs, self.advertised().collect())
    }

    /// A packet was refused. True if that begins now.
    pub(super) fn note_refused(
        &mut self,
        from: IpAddr,
        reason: Discard,
        looks: Looks,
        interval: Duration,
        now: Instant,
    ) -> bool {
        self.note_at_odds(from, Matter::Refused(reason, looks), interval, now)
    }

    /// It was heard, with these addresses. True if that begins now.
    pub(super) fn note_addresses(
        &mut self,
        from: IpAddr,
        theirs: &[IpAddr],
        interval: Duration,
        ctx: &Context,
    ) -> bool {
        let free = ctx.heard.free(&self.plan.key, self.link);
        self.note_at_odds(from, Matter::Addresses { theirs: theirs.to_vec(), free }, interval, ctx.now)
    }

    /// Another VRID has an address of ours. True if that begins now.
    pub(super) fn note_other_vrid(
        &mut self,
        from: IpAddr,
        (vrid, address): (VirtualRouterId, IpAddr),
        interval: Duration,
        now: Instant,
    ) -> bool {
        self.note_at_odds(from, Matter::OtherVrid(vrid, address), interval, now)
    }

    fn note_at_odds(&mut self, from: IpAddr, matter: Matter, interval: Duration, now: Instant) -> bool {
        let next_within = interval.max(self.own_interval().duration());
        let known = self.rare().at_odds.get_or_insert_default();
        known.note(from, matter, next_within, now)
    }

    /// May the log hear of one that `begins`, or is of a kind that it has not heard of in this state? If so, it does.
    pub(super) fn may_say_odds(&mut self, begins: bool, first: bool, now: Instant) -> bool {
        let known = self.rare().at_odds.get_or_insert_default();
        let may = first || begins && known.said_at.is_none_or(|at| now >= at + LOG_GAP);
        if may {
            known.said_at = Some(now);
        }
        may
    }

    /// It is heard: what was refused is over.
    pub(super) fn end_refused(&mut self, from: IpAddr) {
        self.end_odds(|sender| sender.from == from && matches!(sender.matter, Matter::Refused(..)));
    }

    /// Its addresses are ours.
    pub(super) fn end_difference(&mut self, from: IpAddr) {
        self.end_odds(|sender| sender.from == from && matches!(sender.matter, Matter::Addresses { .. }));
    }

    fn end_odds(&mut self, is_over: impl Fn(&Sender) -> bool) {
        if let Some(known) = self.rare.as_deref_mut().and_then(|rare| rare.at_odds.as_deref_mut()) {
            known.senders.retain(|sender| !is_over(sender));
        }
    }

    /// Who does not go together with this router now.
    pub fn at_odds(&self, now: Instant) -> Vec<AtOddsView> {
        let rare = self.rare.as_deref();
        let known = rare.and_then(|rare| rare.at_odds.as_deref());
        let known = known.into_iter().flat_map(|known| &known.senders).filter(|sender| sender.until >= now);
        // A reload may have made the addresses alike since.
        let known = known.filter(|sender| match &sender.matter {
            Matter::Addresses { theirs, .. } => !same_addresses(theirs.clone(), self.advertised().collect()),
            _ => true,
        });
        known.map(|sender| self.view(sender)).chain(self.rival_view(now)).collect()
    }

    fn view(&self, sender: &Sender) -> AtOddsView {
        let Sender { from, ref matter, first, last, until: _, times } = *sender;
        let (counter, what, meaning, advice) = match matter {
            Matter::Refused(reason, looks) => self.view_refused(*reason, *looks),
            Matter::Addresses { theirs, free } => self.view_addresses(theirs, *free),
            Matter::OtherVrid(vrid, address) => self.view_other_vrid(*vrid, *address),
        };
        AtOddsView { from, counter, what, meaning, advice, times, first, last }
    }

    fn view_refused(&self, reason: Discard, looks: Looks) -> (&'static str, String, String, String) {
        let what = format!(
            "its advertisements of VRID {} are refused: {}",
            self.plan.key.vrid,
            refusal(looks, reason)
        );
        let whose = if splits_the_router(reason) { "it" } else { "if it is a node of yours, it" };
        let meaning = match &self.phase {
            Phase::Master(_) => format!("{whose} is Master as this node is, and both hold the addresses"),
            _ => format!(
                "{whose} is a Master that this node does not hear, and both may come to hold the addresses"
            ),
        };
        (reason.counter(), what, meaning, remedy(reason).to_owned())
    }

    fn view_addresses(
        &self,
        theirs: &[IpAddr],
        free: Option<VirtualRouterId>,
    ) -> (&'static str, String, String, String) {
        let ours: Vec<IpAddr> = self.advertised().collect();
        let vrid = self.plan.key.vrid;
        let Difference { what, stranger } = Difference::of(&ours, theirs);
        let (what, meaning, advice) = if stranger {
            (
                format!(
                    "it uses VRID {vrid} for none of our addresses but {what}, and seems to be another virtual router"
                ),
                "only one of the two can be Master: nobody holds the addresses of the other".to_owned(),
                format!("give one of them another virtual_router_id{}", is_free(free)),
            )
        } else {
            (
                format!("it {what}"),
                "an address that only one node has is gone whenever the other is Master".to_owned(),
                "make virtual_ipaddress of both nodes alike".to_owned(),
            )
        };
        ("address_list_mismatch", what, meaning, advice)
    }

    fn view_other_vrid(
        &self,
        vrid: VirtualRouterId,
        address: IpAddr,
    ) -> (&'static str, String, String, String) {
        let ours = self.plan.key.vrid;
        let meaning = match &self.phase {
            Phase::Master(_) => "each is Master of its own VRID, and both hold the address",
            _ => "each may be Master of its own VRID, and then both hold the address",
        };
        (
            "discarded_unknown_vrid",
            format!("it advertises {address} under VRID {vrid}, which is ours under VRID {ours}"),
            meaning.to_owned(),
            format!(
                "give both nodes one virtual_router_id, {ours} or {vrid}, or take the address from one of them"
            ),
        )
    }
}

/// In any order.
fn same_addresses(mut theirs: Vec<IpAddr>, mut ours: Vec<IpAddr>) -> bool {
    theirs.sort_unstable();
    ours.sort_unstable();
    theirs == ours
}

fn addresses_of(list: &Addresses) -> Vec<IpAddr> {
    match list {
        Addresses::V4(list) => list.iter().copied().map(IpAddr::V4).collect(),
        Addresses::V6(list) => list.iter().copied().map(IpAddr::V6).collect(),
    }
}
