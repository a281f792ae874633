//! Any octets whatever as the kernel's answers and news: no panic, an end, and what was understood can be acted on.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --profile sim --lib netlink::fuzz -- --nocapture
//!
//! runs for that long: see `tests/fuzz/`. Messages are built as the kernel builds them, with numbers and lengths that
//! may be wrong, and then octets of them are harmed.

use super::facts::{InterfaceTable, Next};
use super::ipvs_raw::codec as raw;
use super::message::{Request, attributes, messages};
use super::monitor::{self, MonitorEvent};
use super::socket::{Answer, verdict};
use super::{
    address, genl, ipvs_codec, ipvs_connections, link, nftables, proc_events, routing, rule, service_rules,
};
use crate::fuzzing::{self, Random};
use crate::lvs::table::TableOp;
use crate::net::{AddressFamily, VirtualRouterId};
use crate::plan::Generation;
use crate::plan::route::PROTOCOL_KEEPALIVED;
use crate::plan::vrrp::{RouterKey, RouterPlan, VirtualAddress, VrrpPlan};
use crate::time::Instant;
use crate::vrrp::{Core, Event};
use std::time::Duration;

/// Cases of an ordinary run.
const CASES: u64 = 3000;

/// Most octets of a datagram of ours: some hundred messages, which the loops must all get through.
const DATAGRAM: usize = 32_768;

/// Message types that somebody here reads, and some that nobody does.
const KINDS: [u16; 12] = [2, 3, 16, 17, 20, 21, 24, 25, 32, 33, 0x10, 0x25];

/// What attributes hold that are read as something.
const VALUES: [&[u8]; 14] = [
    b"eth0\0",
    b"vrf\0",
    b"macvlan\0",
    b"wlc\0",
    b"holdfast\0",
    b"\0\x2aholdfast: net.ipv4.vs.conntrack was 0\0",
    &[10, 0, 0, 100],
    &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    &[255, 255, 255, 255],
    &[2, 0, 0, 0, 0, 1],
    &[6, 0],
    &[0, 80],
    &[0xff; 4],
    &[0; 8],
];

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 | 1 => random.one(&VALUES).to_vec(),
        2 => random.number().to_ne_bytes()[..1 << random.below(4)].to_vec(),
        _ => random.octets(24),
    }
}

fn fill(random: &mut Random, request: &mut Request, depth: usize) {
    for _ in 0..random.below(7) {
        let kind = match random.below(3) {
            0 => random.below(12) as u16,
            1 => random.below(64) as u16,
            _ => random.number() as u16,
        };
        if depth > 0 && random.once_in(2) {
            request.nest(kind, |inside| fill(random, inside, depth - 1));
        } else {
            request.attribute(kind, &value(random));
        }
    }
}

/// What stands before the attributes of that type of message, or nearly so.
fn header(random: &mut Random, kind: u16) -> Vec<u8> {
    let length = match kind {
        16 | 17 => 16,
        20 | 21 => 8,
        24 | 25 | 32 | 33 => 12,
        _ => 4,
    };
    let mut header: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
    header[0] = *random.of(&[0, 2, 2, 10, 10, 7]);
    // Interface 2 is one that the core knows; protocol 18 is ours.
    match kind {
        16 | 17 | 20 | 21 if random.once_in(2) => header[4..8].copy_from_slice(&2_u32.to_ne_bytes()),
        24 | 25 => header[5] = PROTOCOL_KEEPALIVED,
        _ => {}
    }
    header
}

fn message(random: &mut Random) -> Vec<u8> {
    let kind = if random.once_in(20) { random.number() as u16 } else { *random.of(&KINDS) };
    let mut request = Request::new(kind, random.number() as u16, &header(random, kind));
    let depth = random.below(4);
    fill(random, &mut request, depth);
    request.finish(random.below(4) as u32, 0)
}

/// An interface that works, and its address: what later news are about.
fn sound_news() -> Vec<u8> {
    let mut header = link::header(2, None);
    header[8..12].copy_from_slice(&0x41_u32.to_ne_bytes()); // IFF_UP, IFF_RUNNING
    let mut news = Request::new(16, 0, &header);
    news.text(3, "eth0").attribute(1, &[2, 0, 0, 0, 0, 1]).attribute(4, &1500_u32.to_ne_bytes());
    let mut address = Request::new(20, 0, &[2, 24, 0, 0, 2, 0, 0, 0]);
    address.attribute(2, &[10, 0, 0, 1]).attribute(1, &[10, 0, 0, 1]);
    [news.finish(0, 0), address.finish(0, 0)].concat()
}

fn datagram(random: &mut Random) -> Vec<u8> {
    let mut datagram = if random.once_in(3) { sound_news() } else { Vec::new() };
    let count = if random.once_in(30) { 100 } else { 1 + random.below(4) };
    for _ in 0..count {
        datagram.extend(message(random));
    }
    random.harm(&mut datagram, 4);
    datagram.truncate(DATAGRAM);
    datagram
}

/// Everybody who reads a payload reads this one.
fn read_by_all(payload: &[u8]) {
    let _ = (address::decode(payload), link::decode(payload), link::vrf_table(payload));
    let _ = rule::decode(payload, PROTOCOL_KEEPALIVED);
    let _ = routing::decode_gone(payload, PROTOCOL_KEEPALIVED);
    let answer = Answer { kind: 0x10, payload: payload.to_vec() };
    let _ = genl::family_id(std::slice::from_ref(&answer));
    let _ = (nftables::is_ours(payload), service_rules::comment(payload));
    for kind in [nftables::NFT_MSG_NEWCHAIN, nftables::NFT_MSG_NEWRULE, nftables::NFT_MSG_NEWSETELEM] {
        let _ = service_rules::look::item(0, kind, payload);
    }
    ipvs_is_read(payload);
    for attribute in attributes(payload).flatten() {
        assert!(attribute.text().len() <= 3 * attribute.value.len(), "text is no longer than its octets");
        let _ = (attribute.u8(), attribute.u16_be(), attribute.u16(), attribute.u32(), attribute.u64());
    }
}

fn ipvs_is_read(payload: &[u8]) {
    let _ = (ipvs_codec::decode_info(payload), ipvs_codec::decode_timeouts(payload));
    let _ = ipvs_codec::decode_daemon(payload);
    // What the kernel lists is written again when it is changed.
    let mut again = Request::new(0x25, 0, &[1, 1, 0, 0]);
    if let Ok(service) = raw::service(payload) {
        raw::put_service(&mut again, &service);
    }
    for family in [AddressFamily::V4, AddressFamily::V6] {
        if let Ok(destination) = raw::destination(payload, family) {
            raw::put_destination(&mut again, &destination);
        }
    }
    if let (Ok(timeouts), Ok(daemon)) = (raw::timeouts(payload), raw::daemon(payload)) {
        raw::put_timeouts(&mut again, timeouts);
        raw::put_daemon(&mut again, &daemon);
    }
    if let Ok(Some(service)) = ipvs_codec::decode_service(payload) {
        let op = TableOp::AddService(service.key, service.settings);
        ipvs_codec::encode(0x25, &op).finish(1, 0);
        for family in [AddressFamily::V4, AddressFamily::V6] {
            if let Ok(entry) = ipvs_codec::decode_destination(payload, family) {
                let op = TableOp::AddDest(service.key, entry.endpoint, entry.destination);
                ipvs_codec::encode(0x25, &op).finish(1, 0);
            }
        }
    }
}

/// A core with an interface 2 named eth0 and a router on it.
fn core(actions: &mut Vec<crate::vrrp::Action>) -> Core {
    let mut core = Core::new();
    let vrid = VirtualRouterId::new(51).expect("not 0");
    let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid);
    let address = VirtualAddress::new(crate::net::IpCidr::host([10, 0, 0, 100].into()));
    let router = RouterPlan { addresses: vec![address], ..RouterPlan::new("r".to_owned(), key) };
    let plan = VrrpPlan { generation: Generation(1), routers: vec![router], ..VrrpPlan::default() };
    core.handle(Event::Plan(plan), Instant(0), actions);
    core
}

fn survives(seed: u64) {
    let mut random = Random(seed);
    let random = &mut random;
    let (mut table, mut actions) = (InterfaceTable::new(), Vec::new());
    let mut core = core(&mut actions);
    let mut now = Instant(1);
    for _ in 0..1 + random.below(4) {
        let datagram = datagram(random);
        let mut events: Vec<MonitorEvent> = Vec::new();
        let mut count = 0;
        for message in messages(&datagram) {
            count += 1;
            let Ok(message) = message else { continue };
            read_by_all(message.payload);
            let _ = verdict(&message);
            events.extend(monitor::decode(&message).ok().flatten());
        }
        assert!(count <= datagram.len() / 16 + 1, "{count} messages in {} octets", datagram.len());
        // The driver does the same with what the monitor says.
        let mut told = Vec::new();
        if matches!(table.handle(events, &mut told), Next::Dump) {
            table.resync(Vec::new(), Vec::new(), &mut told);
        }
        for event in told {
            core.handle(event, now, &mut actions);
        }
        now += Duration::from_millis(random.below(5000) as u64);
        core.handle_timeout(now, &mut actions);
    }
    let raw = random.octets(80);
    read_by_all(&raw);
    proc_events::decode(&raw);
    let words = ["TCP", "C0A80164", "D431", "[2001:db8::1]", "ESTABLISHED", "899", "sip", "\u{e4}", ""];
    let line: Vec<&str> = (0..random.below(14)).map(|_| random.one(&words)).collect();
    let _ = ipvs_connections::parse(&line.join(" "));
    let _ = ipvs_connections::parse(&String::from_utf8_lossy(&raw));
}

#[test]
fn any_octets_are_an_answer_of_the_kernel() {
    fuzzing::run("netlink replies", CASES, survives);
}
