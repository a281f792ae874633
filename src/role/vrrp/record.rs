//! What the next process must know if this one dies: see `link/record.rs` for the layout. A store is an instruction, so it
//! is made at each advertisement.
//!
//! The lock on the file lives as long as the process: two vrrp roles of one daemon never speak at once.

use crate::link::record::{HEADER, MAGIC, PLACE, VERSION, header, place};
use crate::net::Priority;
use crate::plan::vrrp::VrrpPlan;
use crate::sys::clock::{monotonic_now, since_boot};
use crate::sys::shared_words::SharedWords;
use crate::time::Instant;
use crate::vrrp::{Action, Core, Frame, News, Numbers, Remembered, Router, RouterId, State, fingerprint};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A record whose role has not said for so long that it lives is of an earlier run of the daemon: what was told then is
/// told again. Heartbeats come once a second.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Words of the record by router, sorted. As a list, which takes a third of what a map does.
#[derive(Debug, Default)]
struct Places(Vec<(RouterId, u32)>);

impl Places {
    fn get(&self, id: RouterId) -> Option<usize> {
        let at = self.0.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        self.0.get(at).map(|(_, place)| *place as usize)
    }
}

impl FromIterator<(RouterId, usize)> for Places {
    fn from_iter<I: IntoIterator<Item = (RouterId, usize)>>(places: I) -> Places {
        let place = |at| u32::try_from(at).expect("a record has at most MOST_WORDS words");
        let mut places: Vec<_> = places.into_iter().map(|(id, at)| (id, place(at))).collect();
        places.sort_unstable();
        Places(places)
    }
}

/// The record of this process.
pub struct Record {
    words: SharedWords,
    /// Where each router's place begins.
    places: Places,
    /// What stands in it before the first plan.
    found: Vec<Remembered>,
    on: bool,
    /// Nobody hears what becomes of the routers: the state that was told last stays.
    unheard: bool,
}

impl Record {
    /// Takes the record over and reads what the process before this one left. WouldBlock: another process keeps it.
    pub fn open(path: &Path) -> io::Result<Record> {
        let words = SharedWords::open(path, HEADER + PLACE)?;
        let mut record =
            Record { words, places: Places::default(), found: Vec::new(), on: true, unheard: false };
        let own = identity()?;
        let is_ours = own.iter().all(|(index, value)| record.words.load(*index) == *value);
        if is_ours {
            record.found = record.read();
        } else {
            if record.words.load(header::MAGIC) != 0 {
                tracing::warn!(
                    "{} is of another version, another start of the machine or another network namespace: \
                     not used, the election begins anew",
                    path.display()
                );
            }
            (0..record.words.len()).for_each(|index| record.words.store(index, 0));
            own.iter().for_each(|(index, value)| record.words.store(*index, *value));
        }
        record.words.store(header::YIELD, 0);
        record.words.store(header::BORN, crate::sys::process::born(std::process::id()).unwrap_or(0));
        record.words.store(header::PROCESS, std::process::id().into());
        Ok(record)
    }

    fn read(&self) -> Vec<Remembered> {
        let (now, boot) = (monotonic_now(), since_boot());
        if boot.saturating_sub(self.words.load(header::ALIVE)) > FORGOTTEN_AFTER.as_nanos() as u64 {
            return Vec::new();
        }
        let moment = |at: u64| Instant(now.0.saturating_sub(boot.saturating_sub(at)));
        let to_come = |at: u64| (at > boot).then(|| Instant(now.0.saturating_add(at - boot)));
        let places = (HEADER..self.words.len()).step_by(PLACE);
        let one = |at: usize| {
            let word = |index| self.words.load(at + index);
            let (fingerprint, spoke_at, state) =
                (word(place::FINGERPRINT), word(place::SPOKE_AT), word(place::STATE));
            (fingerprint != 0).then(|| Remembered {
                fingerprint,
                state: [State::Initialize, State::Backup, State::Master, State::Fault][(state & 3) as usize],
                since: moment(word(place::SINCE)),
                spoke_at: (spoke_at != 0).then(|| moment(spoke_at)),
                patience: Duration::from_nanos(word(place::PATIENCE)),
                priority: Priority((state >> 8 & 0xff) as u8),
                held_back: to_come(word(place::HELD_BACK)),
                numbers: Numbers { header: word(place::NUMBERS), trailer: word(place::TRAILER) },
            })
        };
        places.filter_map(one).collect()
    }

    /// What the process before this one left, once.
    pub fn take_found(&mut self) -> Vec<Remembered> {
        std::mem::take(&mut self.found)
    }

    /// Virtual interfaces of routers that will most likely go on as Master: their addresses stay.
    pub fn kept_links(&self, plan: &VrrpPlan) -> BTreeSet<String> {
        let masters = self.found.iter().filter(|one| one.spoke_at.is_some());
        let masters: BTreeSet<u64> = masters.map(|one| one.fingerprint).collect();
        if masters.is_empty() || plan.no_resume {
            return BTreeSet::new();
        }
        let kept = plan.routers.iter().filter(|router| masters.contains(&fingerprint(router)));
        kept.flat_map(|router| &router.virtual_links).map(|link| link.name.clone()).collect()
    }

    /// A plan is in force: each router has a place, its old one if it had one.
    pub fn follow(&mut self, core: &Core, on: bool) {
        self.on = on;
        let mut by_print: BTreeMap<u64, usize> = BTreeMap::new();
        if self.places.0.is_empty() {
            for at in (HEADER..self.words.len()).step_by(PLACE) {
                by_print.insert(self.words.load(at + place::FINGERPRINT), at);
            }
        }
        let routers: Vec<(&Router, u64)> =
            core.routers().filter(|_| on).map(|router| (router, router.fingerprint())).collect();
        let old = std::mem::take(&mut self.places);
        let known = |router: &Router, print| old.get(router.id()).or_else(|| by_print.get(&print).copied());
        let mut places: BTreeMap<RouterId, usize> = routers
            .iter()
            .filter_map(|(router, print)| Some((router.id(), known(router, *print)?)))
            .collect();
        let used: BTreeSet<usize> = places.values().copied().collect();
        for at in (HEADER..self.words.len()).step_by(PLACE).filter(|at| !used.contains(at)) {
            self.words.store(at + place::SPOKE_AT, 0);
            self.words.store(at + place::FINGERPRINT, 0);
        }
        let mut free = (HEADER..).step_by(PLACE).filter(|at| !used.contains(at));
        for (router, print) in routers {
            let at = match places.get(&router.id()) {
                Some(at) => *at,
                None => free.next().expect("the places have no end"),
            };
            if let Err(error) = self.words.grow(at + PLACE) {
                tracing::warn!(
                    "no place in the record for {}: {error}; it will not resume",
                    router.plan().name
                );
                continue;
            }
            places.insert(router.id(), at);
            self.write(at, router, print);
        }
        self.places = places.into_iter().collect();
        self.words.store(header::ALIVE, since_boot());
    }

    fn write(&self, at: usize, router: &Router, print: u64) {
        let spoke_at = self.words.load(at + place::SPOKE_AT);
        let holds = router.memory().holds && self.words.load(at + place::FINGERPRINT) != 0;
        self.words.store(at + place::SPOKE_AT, 0);
        self.words.store(at + place::FINGERPRINT, print);
        let patience = u64::try_from(router.plan().least_patience().as_nanos()).unwrap_or(u64::MAX);
        self.words.store(at + place::PATIENCE, patience);
        self.write_state(at, router);
        if holds {
            self.words.store(at + place::SPOKE_AT, spoke_at);
        }
    }

    fn write_state(&self, at: usize, router: &Router) {
        let memory = router.memory();
        let number: u64 = match memory.state {
            State::Initialize => 0,
            State::Backup => 1,
            State::Master => 2,
            State::Fault => 3,
        };
        let told = self.words.load(at + place::STATE) & 0xff;
        let number = if self.unheard { told } else { number };
        let age = monotonic_now().saturating_duration_since(memory.since).as_nanos() as u64;
        self.words.store(at + place::STATE, number | u64::from(memory.priority.0) << 8);
        self.words.store(at + place::SINCE, since_boot().saturating_sub(age));
        self.words.store(at + place::NUMBERS, memory.numbers.header);
        self.words.store(at + place::TRAILER, memory.numbers.trailer);
        let left = memory.held_back.map(|until| until.saturating_duration_since(monotonic_now()));
        let left = left.map_or(0, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        let held_back = if left == 0 { 0 } else { since_boot().saturating_add(left) };
        self.words.store(at + place::HELD_BACK, held_back);
    }

    /// There is no supervisor to tell from now on: the next process will tell what has become of the routers.
    pub fn is_unheard(&mut self) {
        self.unheard = true;
    }

    /// This process lives.
    pub fn lives(&self) {
        self.words.store(header::ALIVE, since_boot());
    }

    /// Before `actions` are performed: who resigns is no Master for the next process.
    pub fn before(&self, actions: &[Action]) {
        for action in actions {
            if let Action::Notify(transition) = action
                && transition.to != State::Master
                && let Some(at) = self.places.get(transition.router)
            {
                self.words.store(at + place::SPOKE_AT, 0);
            }
        }
    }

    /// After the frames among `actions` have left.
    pub fn after(&self, actions: &[Action], core: &Core) {
        let (mut last, mut now) = (None, 0);
        for action in actions {
            match action {
                Action::Transmit(id, Frame::Advertisement { .. } | Frame::Sealed { .. })
                    if last.replace(*id) != Some(*id) =>
                {
                    if now == 0 {
                        now = since_boot();
                    }
                    self.spoke(*id, core, now);
                }
                Action::Notify(transition) => self.note(transition.router, core),
                Action::News(News::Priority(news)) => self.note(news.router, core),
                _ => {}
            }
        }
    }

    fn spoke(&self, id: RouterId, core: &Core, now: u64) {
        let (Some(at), Some(router)) = (self.places.get(id), core.router(id)) else { return };
        let memory = router.memory();
        if router.counts() {
            self.words.store(at + place::NUMBERS, memory.numbers.header);
            self.words.store(at + place::TRAILER, memory.numbers.trailer);
        }
        // What was said may have been priority 0, of a Master that hands over: nobody goes on with that, and for how long the
        // successor is to be left in peace is known.
        self.words.store(at + place::SPOKE_AT, if memory.holds { now } else { 0 });
        if !memory.holds {
            self.write_state(at, router);
        }
    }

    fn note(&self, id: RouterId, core: &Core) {
        if let (Some(at), Some(router)) = (self.places.get(id), core.router(id)) {
            self.write_state(at, router);
            self.lives();
        }
    }

    /// Does a new supervisor want this process, which has lost its own, to end?
    pub fn is_asked_to_yield(&self) -> bool {
        self.words.load(header::YIELD) != 0
    }

    /// May a process that has lost its supervisor go on for a while, because another one can take over from it?
    pub fn is_on(&self) -> bool {
        self.on && !self.places.0.is_empty()
    }
}

/// Words that must be the same for a record to mean anything.
fn identity() -> io::Result<[(usize, u64); 5]> {
    use std::os::unix::fs::MetadataExt;
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let boot = u128::from_str_radix(&digits, 16).map_err(io::Error::other)?;
    let namespace = std::fs::metadata("/proc/self/ns/net")?.ino();
    Ok([
        (header::MAGIC, MAGIC),
        (header::VERSION, VERSION),
        (header::BOOT, (boot >> 64) as u64),
        (header::BOOT_LOW, boot as u64),
        (header::NAMESPACE, namespace),
    ])
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod fuzz;
