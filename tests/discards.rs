//! Packets that must not be acted upon: a generated family of malformed ones, strangers, forgeries and replays. Each
//! is dropped for its own reason, with its own counter, and the router stays what it was.

use holdfast::net::{AddressFamily, IpCidr, MacAddr, Priority, VirtualRouterId};
use holdfast::plan::vrrp::{
    Authentication, HmacKey, HmacMode, HmacPolicy, OldChecksum, PeerLimits, RouterKey, RouterPlan,
    SyncGroupPlan, Transport, Unfit, Version, VirtualAddress, VrrpPlan,
};
use holdfast::time::{Instant, Interval};
use holdfast::vrrp::{Action, Core, Event, Frame, InterfaceFacts, Received, State};
use holdfast::wire::ah::{self, Envelope};
use holdfast::wire::checksum::Checksum;
use holdfast::wire::trailer::{self, Sequence};
use holdfast::wire::vrrp::{Addresses, Advertisement, ChecksumDialect};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const WORD: [u8; 8] = *b"secret\0\0";
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const SECOND: u64 = 1_000_000_000;
/// The time of day at which the tests begin.
const DAY: u64 = 1_800_000_000 * SECOND;

fn vrid(number: u8) -> VirtualRouterId {
    VirtualRouterId::new(number).expect("not 0")
}

fn plan(version: Version) -> RouterPlan {
    let key = RouterKey::new("eth0".to_owned(), AddressFamily::V4, vrid(51));
    let address = VirtualAddress::new(IpCidr::host(VIP.into()));
    RouterPlan { version, addresses: vec![address], ..RouterPlan::new("a".to_owned(), key) }
}

fn unicast(version: Version) -> RouterPlan {
    RouterPlan { transport: Transport::Unicast { source: None, peers: vec![PEER.into()] }, ..plan(version) }
}

fn signed(mode: HmacMode) -> HmacPolicy {
    HmacPolicy { keys: vec![HmacKey { id: 7, secret: KEY.to_vec() }], active: 7, window: Some(5), mode }
}

/// A Backup that listens, and what it has counted.
struct Router {
    core: Core,
    now: Instant,
    sent: Vec<Frame>,
    said: usize,
}

impl Router {
    fn new(plans: impl IntoIterator<Item = RouterPlan>) -> Router {
        let mut router = Router { core: Core::new(), now: Instant(SECOND), sent: Vec::new(), said: 0 };
        router.feed(Event::TimeOfDay { unix_nanoseconds: DAY });
        router.feed(Event::Interface(InterfaceFacts {
            index: 2,
            name: "eth0".to_owned(),
            up: true,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            ipv6_forwarding: false,
            ipv4: vec![OURS],
            ipv6_link_local: vec![Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2)],
            ipv6_wide: Vec::new(),
        }));
        let routers = plans.into_iter().collect();
        router.feed(Event::Plan(VrrpPlan { routers, ..VrrpPlan::default() }));
        router
    }

    fn feed(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.core.handle(event, self.now, &mut actions);
        self.note(actions);
    }

    fn timeout(&mut self) {
        self.now = self.core.next_timeout().expect("a router has a deadline");
        let mut actions = Vec::new();
        self.core.handle_timeout(self.now, &mut actions);
        self.note(actions);
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Transmit(_, frame) => self.sent.push(frame),
                Action::Log(..) => self.said += 1,
                _ => {}
            }
        }
    }

    fn hear(&mut self, bytes: Vec<u8>) {
        self.hear_by(PEER.into(), GROUP.into(), 255, bytes);
    }

    fn hear_by(&mut self, source: IpAddr, destination: IpAddr, hop_limit: u8, bytes: Vec<u8>) {
        self.feed(Event::Advertisement(Received { interface: 2, source, destination, hop_limit, bytes }));
    }

    /// Counters that are not zero, discards and acceptances only.
    fn counted(&self) -> BTreeMap<&'static str, u64> {
        let router = self.core.routers().next().expect("a router");
        let interesting = |name: &str| name.starts_with("discard") || name == "advertisements_received";
        let mut counted: BTreeMap<_, _> =
            router.stats().counters().filter(|(name, count)| interesting(name) && *count > 0).collect();
        if self.core.unknown_router_packets() > 0 {
            counted.insert("discard_unknown_router", self.core.unknown_router_packets());
        }
        counted
    }

    /// The one counter that moved since there were none.
    fn only(&self) -> &'static str {
        let counted = self.counted();
        assert_eq!(counted.values().sum::<u64>(), 1, "{counted:?}");
        counted.keys().next().expect("one")
    }

    fn state(&self) -> State {
        self.core.routers().next().expect("a router").state()
    }

    /// Nobody else is listened to: the timer was not touched.
    fn has_heard_nobody(&self) -> bool {
        self.core.routers().next().is_some_and(|router| router.active().is_none())
    }
}

fn message(version: Version, authentication: Authentication) -> Vec<u8> {
    to(GROUP.into(), version, authentication)
}

/// A valid advertisement of priority 200.
fn to(destination: IpAddr, version: Version, authentication: Authentication) -> Vec<u8> {
    let advert = match version {
        Version::V2 => {
            Advertisement::v2(vrid(51), Priority(200), Interval::ONE_SECOND, authentication, vec![VIP])
        }
        Version::V3 => {
            Advertisement::v3(vrid(51), Priority(200), Interval::ONE_SECOND, Addresses::V4(vec![VIP]))
        }
    };
    advert.expect("sayable").encode(PEER.into(), destination, ChecksumDialect::PseudoHeader)
}

/// The message with changed octets and a right checksum.
fn changed(version: Version, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = message(version, Authentication::None);
    change(&mut bytes);
    if bytes.len() >= 8 {
        bytes[6..8].fill(0);
        let sum = match version {
            Version::V2 => Checksum::new(),
            Version::V3 => Checksum::new().with_pseudo_header(PEER.into(), GROUP.into(), 112, bytes.len()),
        };
        let sum = sum.with(&bytes).finish();
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

//= RFC9568 7.1 M-30
//= RFC9568 7.1 M-31
//= RFC9568 7.1 M-32
//= RFC9568 7.1 M-33
//= RFC9568 7.1 M-34
//= RFC3768 7.1 M-36
//= RFC3768 7.1 M-37
//= RFC9568 8.4 M-101
//= RFC9568 7.1 M-46
#[test]
fn every_malformed_packet_has_its_counter_and_changes_nothing() {
    type Change = fn(&mut Vec<u8>);
    let both: &[(&str, &str, Change)] = &[
        ("version 1", "discard_version", |b| b[0] = 0x11),
        ("version 4", "discard_version", |b| b[0] = 0x41),
        ("type 0", "discard_type", |b| b[0] &= 0xf0),
        ("type 2", "discard_type", |b| b[0] = b[0] & 0xf0 | 2),
        ("count 2 with one address", "discard_length", |b| b[3] = 2),
        ("count 0 with one address", "discard_length", |b| b[3] = 0),
        ("count 255", "discard_length", |b| b[3] = 255),
        ("four octets too many", "discard_length", |b| b.extend([0; 4])),
        ("VRID 0", "discard_unknown_router", |b| b[1] = 0),
        ("VRID 52", "discard_unknown_router", |b| b[1] = 52),
    ];
    let v2: &[(&str, &str, Change)] = &[
        ("version 3", "discard_version", |b| b[0] = 0x31),
        ("a password", "discard_auth_type", |b| b[4] = 1),
        ("AH inside", "discard_auth_type", |b| b[4] = 2),
        ("an unknown authentication", "discard_auth_type", |b| b[4] = 9),
        ("2 s", "discard_interval", |b| b[5] = 2),
        ("0 s", "discard_interval", |b| b[5] = 0),
    ];
    let v3: &[(&str, &str, Change)] = &[
        ("version 2", "discard_version", |b| b[0] = 0x21),
        ("0 cs", "discard_interval", |b| b[4..6].fill(0)),
    ];
    for (version, own) in [(Version::V2, v2), (Version::V3, v3)] {
        for (what, counter, change) in both.iter().chain(own) {
            let mut router = Router::new([plan(version)]);
            router.hear(changed(version, change));
            assert_eq!(router.only(), *counter, "{what}, {version:?}");
            assert!(router.has_heard_nobody(), "{what}, {version:?}");
            let said = router.said;
            router.hear(changed(version, change));
            assert_eq!(router.said, said, "{what}: said once only");
        }
    }
}

//= RFC9568 7.1 M-32
#[test]
fn a_message_cut_at_any_octet_is_too_short() {
    for version in [Version::V2, Version::V3] {
        let whole = message(version, Authentication::None);
        for length in 0..whole.len() {
            let mut router = Router::new([plan(version)]);
            router.hear(whole[..length].to_vec());
            // Without its VRID nobody knows whose it is.
            let expected = if length < 2 { "discard_unknown_router" } else { "discard_length" };
            assert_eq!(router.only(), expected, "{length} octets, {version:?}");
        }
    }
}

//= RFC9568 7.1 M-33
#[test]
fn a_message_with_any_bit_flipped_is_refused() {
    for version in [Version::V2, Version::V3] {
        let whole = message(version, Authentication::None);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut router = Router::new([plan(version)]);
            router.hear(bytes);
            assert!(!router.counted().contains_key("advertisements_received"), "bit {bit}, {version:?}");
            assert!(router.has_heard_nobody());
        }
    }
}

//= RFC9568 7.1 M-29
#[test]
fn only_hop_limit_255_came_from_this_link() {
    for hop_limit in 0..=254 {
        let mut router = Router::new([plan(Version::V3)]);
        router.hear_by(PEER.into(), GROUP.into(), hop_limit, message(Version::V3, Authentication::None));
        assert_eq!(router.only(), "discard_hop_limit", "{hop_limit}");
    }
}

//= RFC3768 7.1 M-36
//= RFC2338 5.3.6 M-102
#[test]
fn a_password_is_compared_whole() {
    let with = |word| message(Version::V2, Authentication::Password(word));
    let cases = [
        (with(WORD), "advertisements_received"),
        (with(*b"secret\0x"), "discard_auth_mismatch"),
        (with([0; 8]), "discard_auth_mismatch"),
        (message(Version::V2, Authentication::None), "discard_auth_type"),
    ];
    for (bytes, counter) in cases {
        let mut router =
            Router::new([RouterPlan { authentication: Authentication::Password(WORD), ..plan(Version::V2) }]);
        router.hear(bytes);
        assert_eq!(router.only(), counter);
    }
}

fn envelope(sequence: u32) -> Envelope {
    Envelope { source: PEER, destination: GROUP, hop_limit: 255, identification: 1, sequence }
}

fn sealed(sequence: u32) -> Vec<u8> {
    let inside = message(Version::V2, Authentication::Header(WORD));
    ah::seal(envelope(sequence), &WORD, &inside)
}

//= RFC2338 5.3.6 M-103
#[test]
fn an_authentication_header_is_checked_as_keepalived_checks_it() {
    let header = || RouterPlan { authentication: Authentication::Header(WORD), ..plan(Version::V2) };
    let hear = |packet: Vec<u8>| {
        let mut router = Router::new([header()]);
        router.feed(Event::Sealed { interface: 2, packet });
        router
    };
    let with = |change: fn(&mut Vec<u8>)| {
        let mut packet = sealed(1);
        change(&mut packet);
        hear(packet).only()
    };
    assert_eq!(hear(sealed(1)).only(), "advertisements_received");
    assert_eq!(hear(sealed(0)).only(), "discard_ah_replay");
    assert_eq!(with(|p| p[8] = 254), "discard_hop_limit");
    assert_eq!(with(|p| p[24] ^= 1), "discard_ah_spi");
    assert_eq!(with(|p| p[33] ^= 1), "discard_ah_invalid");
    assert_eq!(with(|p| p[46] ^= 1), "discard_ah_invalid");
    let other_word =
        ah::seal(envelope(1), b"Secret\0\0", &message(Version::V2, Authentication::Header(WORD)));
    assert_eq!(hear(other_word).only(), "discard_ah_invalid");
    let no_type = ah::seal(envelope(1), &WORD, &message(Version::V2, Authentication::None));
    assert_eq!(hear(no_type).only(), "discard_auth_type");
    // Without the header, and with one where none is wanted.
    let mut router = Router::new([header()]);
    router.hear(message(Version::V2, Authentication::None));
    assert_eq!(router.only(), "discard_ah_presence");
    let mut router = Router::new([plan(Version::V2)]);
    router.feed(Event::Sealed { interface: 2, packet: sealed(1) });
    assert_eq!(router.only(), "discard_ah_presence");
}

//= RFC2338 5.3.6 M-103
#[test]
fn a_header_is_accepted_once_and_the_next_master_counts_on() {
    let mut router =
        Router::new([RouterPlan { authentication: Authentication::Header(WORD), ..plan(Version::V2) }]);
    for sequence in [41, 41, 40, 42] {
        router.feed(Event::Sealed { interface: 2, packet: sealed(sequence) });
    }
    let counted = router.counted();
    assert_eq!((counted["advertisements_received"], counted["discard_ah_replay"]), (2, 2));
    // A forgery with a higher number moves nothing.
    let mut forged = sealed(1000);
    forged[40] ^= 1;
    router.feed(Event::Sealed { interface: 2, packet: forged });
    router.timeout();
    assert_eq!(router.state(), State::Master);
    let Some(Frame::Sealed { packet, destination, .. }) = router.sent.first() else {
        panic!("no sealed advertisement: {:?}", router.sent)
    };
    let ours = ah::Sealed::parse(packet).expect("a packet");
    assert_eq!((ours.sequence, *destination), (43, GROUP));
    assert!(ours.is_genuine(&WORD) && ours.index_fits);
    router.sent.clear();
    router.timeout();
    let Some(Frame::Sealed { packet, .. }) = router.sent.first() else { panic!("it goes on") };
    assert_eq!(ah::Sealed::parse(packet).expect("a packet").sequence, 44);
}

fn with_trailer(bytes: Vec<u8>, key_id: u8, key: &[u8], sequence: Sequence) -> Vec<u8> {
    let trailer = trailer::sign(PEER.into(), &bytes, key_id, key, sequence);
    [bytes, trailer.to_vec()].concat()
}

#[test]
fn a_signature_is_demanded_offered_or_only_looked_at() {
    let plain = || message(Version::V3, Authentication::None);
    let good = || with_trailer(plain(), 7, KEY, Sequence::at(DAY));
    let unknown = || with_trailer(plain(), 8, KEY, Sequence::at(DAY));
    let old = || with_trailer(plain(), 7, KEY, Sequence::at(DAY - 6 * SECOND));
    let forged = || with_trailer(plain(), 7, b"another key, of as many octets..", Sequence::at(DAY));
    let odd = || {
        let mut bytes = good();
        bytes[12] = 9;
        bytes
    };
    let modes = [HmacMode::Enforce, HmacMode::Permissive, HmacMode::ReceiveOnly];
    for mode in modes {
        let unsigned = match mode {
            HmacMode::Enforce => "discard_hmac_missing",
            HmacMode::Permissive | HmacMode::ReceiveOnly => "advertisements_received",
        };
        let cases = [
            (plain(), unsigned),
            (good(), "advertisements_received"),
            (unknown(), "discard_hmac_unknown_key"),
            (old(), "discard_hmac_stale"),
            (forged(), "discard_hmac_invalid"),
            (odd(), "discard_hmac_malformed"),
            (good()[..39].to_vec(), "discard_length"),
        ];
        for (bytes, counter) in cases {
            let mut policy = plan(Version::V3);
            policy.wire.hmac = Some(signed(mode));
            let mut router = Router::new([policy]);
            router.hear(bytes.clone());
            assert_eq!(router.only(), counter, "{mode:?}, {} octets", bytes.len());
        }
    }
    // A node without `auth_hmac` does not know the length.
    let mut router = Router::new([plan(Version::V3)]);
    router.hear(good());
    assert_eq!(router.only(), "discard_length");
}

#[test]
fn a_signed_advert_is_accepted_once_and_ours_verify() {
    let mut policy = plan(Version::V2);
    policy.wire.hmac = Some(signed(HmacMode::Enforce));
    let mut router = Router::new([policy]);
    let good = with_trailer(message(Version::V2, Authentication::None), 7, KEY, Sequence::at(DAY));
    router.hear(good.clone());
    router.hear(good);
    assert_eq!(router.counted()["discard_hmac_replay"], 1);
    router.timeout();
    router.timeout();
    let numbers: Vec<Sequence> = router
        .sent
        .iter()
        .filter_map(|frame| match frame {
            Frame::Advertisement { bytes, .. } => Some(bytes),
            _ => None,
        })
        .map(|bytes| {
            let (message, octets) = bytes.split_at(bytes.len() - trailer::LEN);
            let octets = octets.try_into().expect("as long as a trailer");
            let trailer = trailer::Trailer::parse(octets).expect("a trailer");
            assert!(trailer.is_genuine(OURS.into(), message, KEY) && trailer.key_id == 7);
            trailer.sequence
        })
        .collect();
    assert!(numbers.len() == 2 && numbers[1].is_after(numbers[0]), "{numbers:?}");
    assert!(numbers[0].is_after(Sequence::at(DAY + 3 * SECOND)), "it is the time of day");
}

//= keepalived M-109
#[test]
fn multicast_and_unicast_routers_keep_to_their_own() {
    let group = |last| IpAddr::from([224, 0, 0, last]);
    let cases = [
        (plan(Version::V3), OURS.into(), "discard_destination"),
        (plan(Version::V3), group(19), "discard_destination"),
        (plan(Version::V3), group(18), "advertisements_received"),
        (unicast(Version::V3), group(18), "discard_destination"),
        (unicast(Version::V3), OURS.into(), "advertisements_received"),
    ];
    for (plan, destination, counter) in cases {
        let mut router = Router::new([plan.clone()]);
        router.hear_by(PEER.into(), destination, 255, to(destination, Version::V3, Authentication::None));
        assert_eq!(router.only(), counter, "{:?} at {destination}", plan.transport);
    }
    let mut router = Router::new([plan(Version::V2)]);
    router.hear_by(OURS.into(), GROUP.into(), 255, message(Version::V2, Authentication::None));
    assert_eq!(router.only(), "discard_own_packet");
}

//= keepalived M-108
#[test]
fn a_unicast_peer_is_checked_only_when_that_is_configured() {
    let stranger = IpAddr::from([10, 0, 0, 9]);
    let limits = |least, most| vec![PeerLimits { peer: PEER.into(), least, most }];
    let cases = [
        (false, vec![], stranger, 3, "advertisements_received"),
        (true, vec![], stranger, 255, "discard_sender"),
        (true, vec![], PEER.into(), 3, "advertisements_received"),
        (false, limits(250, 255), stranger, 255, "discard_sender"),
        (false, limits(250, 255), PEER.into(), 249, "discard_peer_hop_limit"),
        (false, limits(0, 10), PEER.into(), 11, "discard_peer_hop_limit"),
        (false, limits(0, 10), PEER.into(), 10, "advertisements_received"),
    ];
    for (check_source, peer_limits, from, hop_limit, counter) in cases {
        let mut plan = unicast(Version::V2);
        plan.wire.check_source = check_source;
        plan.wire.peer_limits = peer_limits;
        let mut router = Router::new([plan]);
        let bytes = message(Version::V2, Authentication::None);
        router.hear_by(from, OURS.into(), hop_limit, bytes);
        let counted = router.counted();
        assert_eq!(counted.get(counter), Some(&1), "{counted:?}");
        // keepalived counts what its last checks drop as received all the same.
        assert_eq!(counted["advertisements_received"], 1);
        assert_eq!(router.has_heard_nobody(), counter != "advertisements_received");
    }
}

//= keepalived M-108
#[test]
fn the_old_unicast_checksum_is_learned_unless_forbidden() {
    // Summed with the group although it goes to us.
    let old = || message(Version::V3, Authentication::None);
    for (policy, accepted, sums_group) in [
        (OldChecksum::Detect, true, true),
        (OldChecksum::Always, true, true),
        (OldChecksum::Never, false, false),
    ] {
        let mut plan = unicast(Version::V3);
        plan.wire.old_checksum = policy;
        let mut router = Router::new([plan]);
        router.hear_by(PEER.into(), OURS.into(), 255, old());
        let expected = if accepted { "advertisements_received" } else { "discard_checksum" };
        assert_eq!(router.only(), expected, "{policy:?}");
        router.timeout();
        let Some(Frame::Advertisement { source, bytes, hop_limit, .. }) = router.sent.first() else {
            panic!("nothing was sent")
        };
        let fits = |destination: Ipv4Addr| {
            let sum = Checksum::new().with_pseudo_header(*source, destination.into(), 112, bytes.len());
            sum.with(bytes).finish() == 0
        };
        assert_eq!((fits(GROUP), fits(PEER), *hop_limit), (sums_group, !sums_group, 255), "{policy:?}");
    }
}

//= RFC9568 7.1 M-35
#[test]
fn an_owner_listens_to_nobody_when_told_so() {
    let mut plan = RouterPlan { priority: Priority::OWNER, ..plan(Version::V3) };
    plan.wire.owner_ignores = true;
    let mut router = Router::new([plan]);
    router.hear(message(Version::V3, Authentication::None));
    assert_eq!((router.only(), router.state()), ("discard_owner", State::Master));
}

//= keepalived M-108
#[test]
fn two_routers_of_one_vrid_are_told_apart_by_the_sender() {
    let other = IpAddr::from([10, 0, 0, 4]);
    let second = RouterPlan {
        name: "b".to_owned(),
        key: RouterKey { among: Some(other), ..plan(Version::V2).key },
        transport: Transport::Unicast { source: None, peers: vec![other] },
        ..plan(Version::V2)
    };
    let mut router = Router::new([unicast(Version::V2), second]);
    let bytes = || message(Version::V2, Authentication::None);
    router.hear_by(PEER.into(), OURS.into(), 255, bytes());
    router.hear_by(other, OURS.into(), 255, bytes());
    router.hear_by(other, OURS.into(), 255, bytes());
    let received = |r: &holdfast::vrrp::Router| r.stats().received;
    assert_eq!(router.core.routers().map(received).collect::<Vec<_>>(), [1, 2]);
    // The first one leaves the configuration: the second hears on.
    let left: Vec<RouterPlan> = router.core.routers().skip(1).map(|r| r.to_plan()).collect();
    router.feed(Event::Plan(VrrpPlan { routers: left, ..VrrpPlan::default() }));
    router.hear_by(other, OURS.into(), 255, bytes());
    assert_eq!(router.core.routers().map(received).collect::<Vec<_>>(), [3]);
}

#[test]
fn without_a_peer_that_is_demanded_the_router_is_in_fault() {
    let mut plan = plan(Version::V2);
    plan.wire.unfit = Some(Unfit::NoPeer);
    let mut router = Router::new([plan]);
    assert_eq!(router.state(), State::Fault);
    router.hear(message(Version::V2, Authentication::None));
    assert_eq!(router.only(), "discard_not_listening");
}

/// keepalived 2.2.7 (tried with an ipvlan without an address): all of the sync group or none.
#[test]
fn what_a_member_lacks_holds_its_sync_group_in_fault() {
    let lacking = |unfit| {
        let mut a = plan(Version::V2);
        a.wire.unfit = unfit;
        let key = RouterKey { vrid: vrid(52), ..a.key.clone() };
        let b = RouterPlan { addresses: Vec::new(), ..RouterPlan::new("b".to_owned(), key) };
        let group = SyncGroupPlan {
            name: "g".to_owned(),
            members: vec![a.key.clone(), b.key.clone()],
            track_interfaces: Vec::new(),
            trackers: Vec::new(),
        };
        let mut router = Router::new([]);
        let (routers, groups) = (vec![a, b], vec![group]);
        router.feed(Event::Plan(VrrpPlan { routers, groups, ..VrrpPlan::default() }));
        router.core.routers().map(|router| router.state()).collect::<Vec<_>>()
    };
    for unfit in [Unfit::NoPeer, Unfit::NoUsablePeer, Unfit::NoAddress, Unfit::NoKey] {
        assert_eq!(lacking(Some(unfit)), [State::Fault; 2], "{unfit:?}");
    }
    assert_eq!(lacking(None), [State::Backup; 2]);
}

/// What is counted for an operator is explained to an operator.
#[test]
fn every_counter_is_in_the_guide() {
    let guide =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide.md")).expect("the guide");
    let router = Router::new([plan(Version::V3)]);
    let status = holdfast::report::vrrp::snapshot(&router.core, router.now);
    let own = &status.routers.first().expect("one router").counters;
    assert!(own.len() > 30 && !status.counters.is_empty());
    let missing: Vec<&String> = own
        .keys()
        .chain(status.counters.keys())
        .filter(|name| !guide.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
