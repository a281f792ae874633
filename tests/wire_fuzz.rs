//! Any octets whatever from the network: no panic, a packet or a reason, and a core that has heard them goes on.
//!
//! HOLDFAST_FUZZ_SECONDS=600 cargo test --profile sim --test wire_fuzz -- --nocapture
//!
//! runs for that long: see `tests/fuzz/`. Most packets are nearly right, with their checksum put right again, because
//! nobody looks further into others.

#[path = "fuzz/mod.rs"]
mod fuzz;

use fuzz::Random;
use holdfast::net::{AddressFamily, IpCidr, MacAddr, Priority, VirtualRouterId};
use holdfast::plan::Generation;
use holdfast::plan::vrrp::{
    Authentication, ChecksumDialect, RouterKey, RouterPlan, Version, VirtualAddress, VrrpPlan,
};
use holdfast::time::{Instant, Interval};
use holdfast::vrrp::{Action, Core, Event, Frame, InterfaceFacts, Received};
use holdfast::wire::checksum::Checksum;
use holdfast::wire::vrrp::{
    Addresses, Advertisement, Expectation, PROTOCOL, Path, decode, peek_vrid, split_trailer,
};
use holdfast::wire::{agentx, ah, bfd, dns, icmp, trailer, x509};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Cases of an ordinary run.
const CASES: u64 = 3000;

/// Most events that a core is told in one case.
const EVENTS: usize = 30;

/// Most actions that one event of one router may cause: its addresses, frames and sentences, and a few.
const MOST_ACTIONS: usize = 200;

const NO_AUTH: Authentication = Authentication::None;
const PASSWORD: Authentication = Authentication::Password(*b"secret\0\0");

fn peer(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => Ipv4Addr::new(10, 0, 0, 2).into(),
        AddressFamily::V6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2).into(),
    }
}

fn path(random: &mut Random, family: AddressFamily) -> Path {
    let hop_limit = if random.once_in(10) { random.number() as u8 } else { 255 };
    Path { source: peer(family), destination: family.vrrp_group(), hop_limit }
}

/// A message that some router of ours says, harmed; the sum is right again in most.
fn advertisement(random: &mut Random, family: AddressFamily, path: Path) -> Vec<u8> {
    let vrid = VirtualRouterId::new(*random.of(&[51, 51, 51, 1, 255])).expect("none is 0");
    let priority = Priority(*random.of(&[0, 1, 99, 100, 101, 254, 255]));
    let interval = Interval::from_centiseconds(*random.of(&[100, 100, 1, 200, 4095])).expect("none is 0");
    let v2 = family == AddressFamily::V4 && random.once_in(2);
    let said = match family {
        AddressFamily::V4 => {
            let addresses = vec![Ipv4Addr::new(10, 0, 0, 100); random.below(3) + 1];
            let whole = Interval::from_centiseconds(100).expect("not 0");
            let auth = if random.once_in(3) { PASSWORD } else { NO_AUTH };
            if v2 {
                Advertisement::v2(vrid, priority, whole, auth, addresses)
            } else {
                Advertisement::v3(vrid, priority, interval, Addresses::V4(addresses))
            }
        }
        AddressFamily::V6 => {
            let addresses = vec![Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, 1); random.below(3) + 1];
            Advertisement::v3(vrid, priority, interval, Addresses::V6(addresses))
        }
    };
    let dialect = *random.of(&[ChecksumDialect::PseudoHeader, ChecksumDialect::MessageOnly]);
    let said = said.expect("it can be said");
    let mut bytes = said.encode(path.source, path.destination, dialect);
    random.harm(&mut bytes, 3);
    if bytes.len() >= 8 && !random.once_in(4) {
        let mut sum = Checksum::new();
        bytes[6..8].fill(0);
        if !v2 && (family == AddressFamily::V6 || dialect == ChecksumDialect::PseudoHeader) {
            sum = sum.with_pseudo_header(path.source, path.destination, PROTOCOL, bytes.len());
        }
        let sum = sum.with(&bytes).finish();
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// What was understood can be said again, and is then understood the same.
fn decodes(random: &mut Random, bytes: &[u8], path: Path) {
    let _ = (peek_vrid(bytes), split_trailer(bytes, AddressFamily::of(path.source)));
    for (version, authentication) in
        [(Version::V2, &NO_AUTH), (Version::V2, &PASSWORD), (Version::V3, &NO_AUTH)]
    {
        for checksum in [ChecksumDialect::PseudoHeader, ChecksumDialect::MessageOnly] {
            let expected = Expectation {
                version,
                authentication,
                interval: Interval::ONE_SECOND,
                checksum,
                hop_limit_255: random.once_in(2),
                trailer: Ok(()),
                header: Ok(()),
            };
            let Ok(heard) = decode(bytes, path, expected) else { continue };
            let again = heard.encode(path.source, path.destination, checksum);
            let path = Path { hop_limit: 255, ..path };
            assert_eq!(decode(&again, path, expected), Ok(heard), "{bytes:02x?} is not said again");
        }
    }
}

/// The other parsers that read what anybody on the network may send.
fn others_decode(random: &mut Random) {
    let envelope = ah::Envelope {
        source: Ipv4Addr::new(10, 0, 0, 2),
        destination: Ipv4Addr::new(224, 0, 0, 18),
        hop_limit: 255,
        identification: 1,
        sequence: random.number() as u32,
    };
    let mut sealed = ah::seal(envelope, b"secret\0\0", &random.octets(40));
    random.harm(&mut sealed, 3);
    for octets in [sealed, random.octets(60)] {
        if let Some(packet) = ah::Sealed::parse(&octets) {
            packet.is_genuine(b"secret\0\0");
        }
        let _ = (bfd::ControlPacket::decode(&octets), dns::Answer::decode(&octets), x509::not_after(&octets));
        let _ = (icmp::Echo::decode_v4(&octets), icmp::Echo::decode_v6(&octets, None));
        if let Some(octets) = octets.last_chunk::<{ trailer::LEN }>()
            && let Some(trailer) = trailer::Trailer::parse(octets)
        {
            trailer.is_genuine(peer(AddressFamily::V4), &octets[..], b"key");
        }
    }
    let mut head = [1, *random.of(&[5, 6, 7, 8, 18, 2]), *random.of(&[0, 0x10]), 0].repeat(5);
    random.harm(&mut head, 2);
    head.resize(agentx::HEADER_LEN, 0);
    if let Ok(header) = agentx::Header::decode(head.as_slice().try_into().expect("twenty octets")) {
        let _ = agentx::Heard::decode(&header, &random.octets(80));
    }
    let mut packet = random.octets(24);
    packet.resize(24, 0);
    (packet[0], packet[3], packet[2]) = (0x20 | packet[0] & 0x1f, 24, 3);
    random.harm(&mut packet, 2);
    if let Ok(packet) = bfd::ControlPacket::decode(&packet) {
        assert_eq!(bfd::ControlPacket::decode(&packet.encode()), Ok(packet));
    }
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
        ipv6_link_local: vec![Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)],
        ipv6_wide: Vec::new(),
    }
}

fn router(random: &mut Random, family: AddressFamily) -> RouterPlan {
    let vrid = VirtualRouterId::new(51).expect("not 0");
    let address = match family {
        AddressFamily::V4 => IpCidr::host([10, 0, 0, 100].into()),
        AddressFamily::V6 => IpCidr::host(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, 1).into()),
    };
    let v2 = family == AddressFamily::V4 && random.once_in(2);
    RouterPlan {
        version: if v2 { Version::V2 } else { Version::V3 },
        authentication: if v2 && random.once_in(3) { PASSWORD } else { NO_AUTH },
        priority: Priority(*random.of(&[1, 100, 100, 254, 255])),
        preempt: random.once_in(2),
        preempt_delay: Duration::from_millis(*random.of(&[0, 0, 500])),
        addresses: vec![VirtualAddress::new(address)],
        ..RouterPlan::new("r".to_owned(), RouterKey::new("eth0".to_owned(), family, vrid))
    }
}

/// A core hears packets, and time passes: it goes on, says only what it may, and does not amplify.
fn a_core_goes_on(random: &mut Random) {
    let family = *random.of(&[AddressFamily::V4, AddressFamily::V6]);
    let mut core = Core::new();
    let mut actions: Vec<Action> = Vec::new();
    let mut now = Instant(1_000_000_000);
    core.handle(Event::Interface(facts()), now, &mut actions);
    let routers = vec![router(random, family)];
    let handover = random.once_in(2);
    let plan = VrrpPlan { generation: Generation(1), routers, handover, ..VrrpPlan::default() };
    core.handle(Event::Plan(plan), now, &mut actions);
    for _ in 0..random.below(EVENTS) {
        actions.clear();
        if random.once_in(3) {
            now += Duration::from_millis(random.below(4000) as u64);
            core.handle_timeout(now, &mut actions);
        } else {
            let path = path(random, family);
            let bytes = advertisement(random, family, path);
            let source = if random.once_in(20) { facts_source(family) } else { path.source };
            let Path { destination, hop_limit, .. } = path;
            let received = Received { interface: 2, source, destination, hop_limit, bytes };
            core.handle(Event::Advertisement(received), now, &mut actions);
        }
        assert!(actions.len() <= MOST_ACTIONS, "one packet causes {} actions", actions.len());
        for action in &actions {
            if let Action::Transmit(_, Frame::Advertisement { bytes, .. }) = action {
                assert!(bytes.len() >= 8 && bytes[1] == 51, "it says {bytes:02x?}");
            }
        }
    }
    let due = core.next_timeout();
    core.handle_timeout(due.unwrap_or(now), &mut actions);
    assert!(core.next_timeout() != due || due.is_none(), "a deadline that does not pass");
}

fn facts_source(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => facts().ipv4[0].into(),
        AddressFamily::V6 => facts().ipv6_link_local[0].into(),
    }
}

fn survives(seed: u64) {
    let mut random = Random(seed);
    let random = &mut random;
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let path = path(random, family);
        let bytes = advertisement(random, family, path);
        decodes(random, &bytes, path);
        let bytes = random.octets(60);
        decodes(random, &bytes, path);
    }
    others_decode(random);
    a_core_goes_on(random);
}

#[test]
fn any_octets_are_a_packet_or_a_reason() {
    fuzz::run("wire", CASES, survives);
}
