//! Any words whatever in the record that the process before this one left, and a file of any length: it is read or left
//! alone, and a core that is told what was found goes on.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --profile sim --lib record::fuzz -- --nocapture
//!
//! runs for that long: see `tests/fuzz/`.

use super::*;
use crate::fuzzing::{self, Random};
use crate::net::{AddressFamily, IpCidr, MacAddr, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::vrrp::{RouterKey, RouterPlan, SyncGroupPlan, VirtualAddress};
use crate::vrrp::{Event, InterfaceFacts};

/// Cases of an ordinary run.
const CASES: u64 = 400;

/// Routers of the plan.
const ROUTERS: u8 = 3;

fn plan(grouped: bool) -> VrrpPlan {
    let router = |number: u8| {
        let vrid = VirtualRouterId::new(number).expect("counted from 1");
        let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid);
        let address = VirtualAddress::new(IpCidr::host([10, 0, 0, 100 + number].into()));
        RouterPlan { addresses: vec![address], ..RouterPlan::new(format!("r{number}"), key) }
    };
    let routers: Vec<RouterPlan> = (1..=ROUTERS).map(router).collect();
    let members = routers.iter().take(2).map(|router| router.key.clone()).collect();
    let group =
        SyncGroupPlan { name: "G".to_owned(), members, track_interfaces: Vec::new(), trackers: Vec::new() };
    let groups = if grouped { vec![group] } else { Vec::new() };
    VrrpPlan { generation: Generation(1), routers, groups, ..VrrpPlan::default() }
}

fn facts() -> InterfaceFacts {
    InterfaceFacts {
        index: 2,
        name: "eth0".to_owned(),
        up: true,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        ipv6_forwarding: false,
        ipv4: vec![[10, 0, 0, 1].into()],
        ipv6_link_local: Vec::new(),
        ipv6_wide: Vec::new(),
    }
}

/// The words of a record: of ours in most, with places of routers that the plan has in many.
fn words(random: &mut Random, plan: &VrrpPlan) -> Vec<u64> {
    let now = since_boot();
    let own = identity().expect("this machine has one");
    let mut words = vec![0; HEADER];
    for (index, value) in own {
        words[index] = value;
    }
    words[header::ALIVE] = now;
    for _ in 0..random.below(6) {
        let mut one = [0; PLACE];
        for word in &mut one {
            *word = random.number();
        }
        if !random.once_in(4) {
            one[place::FINGERPRINT] = fingerprint(random.of(&plan.routers));
        }
        let age = *random.of(&[0, 1, 500_000_000, 2_500_000_000, u64::MAX]);
        match random.below(4) {
            0 => {}
            1 => one[place::SPOKE_AT] = now.wrapping_add(age),
            _ => one[place::SPOKE_AT] = now.saturating_sub(age),
        }
        if random.once_in(2) {
            one[place::PATIENCE] = 3_000_000_000;
        }
        if random.once_in(2) {
            one[place::STATE] = 2 | 100 << 8;
        }
        words.extend(one);
    }
    for _ in 0..random.below(4) {
        let at = random.below(words.len());
        words[at] = random.number();
    }
    words
}

fn survives(path: &Path, seed: u64) {
    let mut random = Random(seed);
    let random = &mut random;
    let plan = plan(random.once_in(3));
    let mut octets: Vec<u8> = words(random, &plan).into_iter().flat_map(u64::to_ne_bytes).collect();
    if random.once_in(4) {
        random.harm(&mut octets, 3);
    }
    std::fs::write(path, &octets).expect("written");
    let mut record = Record::open(path).expect("it is ours to open, whatever is in it");
    let found = record.take_found();
    assert!(found.len() <= octets.len() / 8 / PLACE + 1, "more places than there are");
    record.kept_links(&plan);
    let (mut core, mut actions) = (Core::new(), Vec::new());
    let mut now = monotonic_now();
    core.handle(Event::Interface(facts()), now, &mut actions);
    core.handle(Event::Resume(found), now, &mut actions);
    core.handle(Event::Plan(plan), now, &mut actions);
    record.follow(&core, true);
    for _ in 0..3 {
        now += Duration::from_millis(random.below(4000) as u64);
        core.handle_timeout(now, &mut actions);
    }
    record.before(&actions);
    record.after(&actions, &core);
    let next = record.read();
    assert!(next.len() <= usize::from(ROUTERS), "places of routers that nobody has: {next:?}");
}

#[test]
fn any_words_are_a_record_or_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("record");
    let open = |path: &Path| {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
    };
    open(&path).expect("made");
    fuzzing::run("records", CASES, |seed| survives(&path, seed));
}
