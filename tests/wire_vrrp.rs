//! VRRP messages on the wire: vectors, properties, an independent reading of the IP layer, public captures.

use holdfast::net::{AddressFamily, Priority, VirtualRouterId};
use holdfast::time::Interval;
use holdfast::wire::vrrp::{
    Addresses, Advertisement, Authentication, ChecksumDialect, Discard, Expectation, HOP_LIMIT, PROTOCOL,
    Path, Unsayable, Version, decode, peek_addresses, peek_interval, peek_vrid,
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const NO_AUTH: Authentication = Authentication::None;

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hex digit") as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn path(source: &str, destination: &str) -> Path {
    let parse = |text: &str| text.parse().expect("an address");
    Path { source: parse(source), destination: parse(destination), hop_limit: HOP_LIMIT }
}

fn group_path() -> Path {
    path("192.0.2.7", "224.0.0.18")
}

fn v2() -> Expectation<'static> {
    Expectation {
        version: Version::V2,
        authentication: &NO_AUTH,
        interval: Interval::ONE_SECOND,
        checksum: ChecksumDialect::PseudoHeader,
        hop_limit_255: true,
        trailer: Ok(()),
        header: Ok(()),
    }
}

fn v3() -> Expectation<'static> {
    Expectation { version: Version::V3, ..v2() }
}

fn vrid(vrid: u8) -> VirtualRouterId {
    VirtualRouterId::new(vrid).expect("not 0")
}

fn sample_v2() -> Advertisement {
    let addresses = vec![Ipv4Addr::new(192, 168, 0, 1)];
    Advertisement::v2(vrid(1), Priority(100), Interval::ONE_SECOND, NO_AUTH, addresses).expect("sayable")
}

fn sample_v2_bytes() -> Vec<u8> {
    let Path { source, destination, .. } = group_path();
    sample_v2().encode(source, destination, ChecksumDialect::PseudoHeader)
}

/// Change octets and put the plain checksum right again.
fn altered(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = sample_v2_bytes();
    change(&mut message);
    if message.len() >= 8 {
        message[6..8].fill(0);
        let checksum = holdfast::wire::checksum::Checksum::new().with(&message).finish();
        message[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    message
}

//= RFC9568 5.2.1 M-09
//= RFC3768 5.3.8 M-20
//= RFC3768 5.3.10 M-25
#[test]
fn version_2_vectors_of_other_programs_decode_and_encode() {
    let cases = [
        ("210164010001ba52c0a800010000000000000000", 1, 100, Ipv4Addr::new(192, 168, 0, 1)),
        ("21331e010001b5c50a0001050000000000000000", 51, 30, Ipv4Addr::new(10, 0, 1, 5)),
    ];
    for (hex, id, priority, address) in cases {
        let advert = decode(&bytes(hex), group_path(), v2()).expect(hex);
        let expected =
            Advertisement::v2(vrid(id), Priority(priority), Interval::ONE_SECOND, NO_AUTH, vec![address]);
        assert_eq!(Ok(&advert), expected.as_ref());
        let again =
            advert.encode(group_path().source, group_path().destination, ChecksumDialect::PseudoHeader);
        assert_eq!(again, bytes(hex));
    }
}

//= RFC9568 5.2.6 M-17
//= RFC9568 5.2.8 M-22
#[test]
fn version_3_vectors_carry_the_pseudo_header() {
    let four = (
        "3102fe020001b25e1400010214000103",
        path("20.0.0.3", "224.0.0.18"),
        Addresses::V4(vec![Ipv4Addr::new(20, 0, 1, 2), Ipv4Addr::new(20, 0, 1, 3)]),
    );
    let six = (
        "3102fe020001481b20010db800000000000000000000000220010db8000000000000000000000003",
        path("2001:db8::1", "ff02::12"),
        Addresses::V6(vec![
            "2001:db8::2".parse().expect("an address"),
            "2001:db8::3".parse().expect("an address"),
        ]),
    );
    for (hex, path, addresses) in [four, six] {
        let advert = decode(&bytes(hex), path, v3()).expect(hex);
        let interval = Interval::from_centiseconds(1).expect("not 0");
        assert_eq!(Ok(&advert), Advertisement::v3(vrid(2), Priority(254), interval, addresses).as_ref());
        let again = advert.encode(path.source, path.destination, ChecksumDialect::PseudoHeader);
        assert_eq!(again, bytes(hex));
    }
}

/// Captured from Debian's keepalived 2.2.7 with its defaults: the pseudo-header is in every version 3 sum.
#[test]
fn what_keepalived_sends_is_accepted_and_sent_alike() {
    let ll: Ipv6Addr = "fe80::1:2:3".parse().expect("an address");
    let global: Ipv6Addr = "2001:db8::1".parse().expect("an address");
    let (first, second) = (Ipv4Addr::new(10, 77, 0, 100), Ipv4Addr::new(10, 77, 0, 101));
    let four = path("10.77.0.1", "224.0.0.18");
    let six = path("fe80::50b1:64ff:fefc:63e8", "ff02::12");
    let (priority, second_long) = (Priority(100), Interval::ONE_SECOND);
    let cases = [
        (
            "21336401000170190a4d00640000000000000000",
            four,
            v2(),
            Advertisement::v2(vrid(51), priority, second_long, NO_AUTH, vec![first]),
        ),
        (
            "3133640200646a220a4d00640a4d0065",
            four,
            v3(),
            Advertisement::v3(vrid(51), priority, second_long, Addresses::V4(vec![first, second])),
        ),
        (
            "3134640200642760fe80000000000000000000010002000320010db8000000000000000000000001",
            six,
            v3(),
            Advertisement::v3(vrid(52), priority, second_long, Addresses::V6(vec![ll, global])),
        ),
    ];
    for (hex, path, expected, advert) in cases {
        let advert = advert.expect("sayable");
        let sent = advert.encode(path.source, path.destination, ChecksumDialect::PseudoHeader);
        assert_eq!(sent, bytes(hex));
        assert_eq!(decode(&bytes(hex), path, expected), Ok(advert));
    }
}

//= RFC9568 5.2.8 M-21
//= RFC9568 5.2.8 M-43
/// RFC 9568 5.2.8: over IPv4 the sum covers the message only.
#[test]
fn the_message_only_dialect_reads_both_forms_and_writes_its_own() {
    let Path { source, destination, .. } = group_path();
    let addresses = Addresses::V4(vec![Ipv4Addr::new(192, 0, 2, 1)]);
    let advert = Advertisement::v3(vrid(9), Priority(50), Interval::ONE_SECOND, addresses).expect("sayable");
    let plain = advert.encode(source, destination, ChecksumDialect::MessageOnly);
    let pseudo = advert.encode(source, destination, ChecksumDialect::PseudoHeader);
    assert_ne!(plain, pseudo);
    let message_only = Expectation { checksum: ChecksumDialect::MessageOnly, ..v3() };
    assert_eq!(decode(&plain, group_path(), message_only), Ok(advert.clone()));
    assert_eq!(decode(&pseudo, group_path(), message_only), Ok(advert));
    assert_eq!(decode(&plain, group_path(), v3()), Err(Discard::Checksum));
    let mut wrong = plain;
    wrong[6] ^= 1;
    assert_eq!(decode(&wrong, group_path(), message_only), Err(Discard::Checksum));
}

/// RFC 9568 7.1, RFC 3768 7.1, RFC 2338 7.1.
#[test]
fn each_fault_of_a_message_has_its_own_reason() {
    let password = Authentication::Password(*b"secret\0\0");
    let with_password = Expectation { authentication: &password, ..v2() };
    let cases: Vec<(&str, Vec<u8>, Expectation, Discard)> = vec![
        ("empty", vec![], v2(), Discard::Length),
        ("seven octets", sample_v2_bytes()[..7].to_vec(), v2(), Discard::Length),
        ("vrid 0", altered(|m| m[1] = 0), v2(), Discard::UnknownRouter),
        ("version 3 to a version 2 router", altered(|m| m[0] = 0x31), v2(), Discard::Version),
        ("version 2 to a version 3 router", sample_v2_bytes(), v3(), Discard::Version),
        ("version 15", altered(|m| m[0] = 0xf1), v2(), Discard::Version),
        ("a password unasked for", altered(|m| m[4] = 1), v2(), Discard::AuthType),
        ("auth type 9", altered(|m| m[4] = 9), v2(), Discard::AuthType),
        ("no password", sample_v2_bytes(), with_password, Discard::AuthType),
        ("a wrong password", altered(|m| m[4] = 1), with_password, Discard::AuthMismatch),
        (
            "a password cut short",
            altered(|m| {
                m[4] = 1;
                m.truncate(14);
            }),
            with_password,
            Discard::Length,
        ),
        ("two seconds", altered(|m| m[5] = 2), v2(), Discard::Interval),
        ("no seconds", altered(|m| m[5] = 0), v2(), Discard::Interval),
        ("type 2", altered(|m| m[0] = 0x22), v2(), Discard::Type),
        ("a count beyond the list", altered(|m| m[3] = 2), v2(), Discard::Length),
        ("a count below the list", altered(|m| m[3] = 0), v2(), Discard::Length),
        ("no authentication data", altered(|m| m.truncate(12)), v2(), Discard::Length),
        ("octets after the end", altered(|m| m.push(0)), v2(), Discard::Length),
        (
            "a wrong checksum",
            {
                let mut message = sample_v2_bytes();
                message[7] ^= 0x40;
                message
            },
            v2(),
            Discard::Checksum,
        ),
        ("version 3, interval 0", bytes("3102fe000000cbfd"), v3(), Discard::Interval),
    ];
    for (name, message, expectation, reason) in cases {
        assert_eq!(decode(&message, group_path(), expectation), Err(reason), "{name}");
    }
}

#[test]
fn the_hop_limit_counts_only_where_it_is_asked_for() {
    let near = Path { hop_limit: 254, ..group_path() };
    assert_eq!(decode(&sample_v2_bytes(), near, v2()), Err(Discard::HopLimit));
    let lax = Expectation { hop_limit_255: false, ..v2() };
    assert_eq!(decode(&sample_v2_bytes(), near, lax), Ok(sample_v2()));
}

#[test]
fn version_2_does_not_exist_over_ipv6() {
    let message = sample_v2_bytes();
    assert_eq!(decode(&message, path("fe80::1", "ff02::12"), v2()), Err(Discard::Version));
}

//= RFC9568 5.2.6 M-42
/// RFC 9568 5.2.6.
#[test]
fn reserved_bits_are_ignored() {
    let Path { source, destination, .. } = group_path();
    let advert = Advertisement::v3(
        vrid(5),
        Priority(1),
        Interval::ONE_SECOND,
        Addresses::V4(vec![Ipv4Addr::new(192, 0, 2, 1)]),
    )
    .expect("sayable");
    let mut message = advert.encode(source, destination, ChecksumDialect::MessageOnly);
    message[4] |= 0xf0;
    message[6..8].fill(0);
    let checksum = holdfast::wire::checksum::Checksum::new().with(&message).finish();
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    let message_only = Expectation { checksum: ChecksumDialect::MessageOnly, ..v3() };
    assert_eq!(decode(&message, group_path(), message_only), Ok(advert));
}

/// keepalived sends and accepts it when every address is excluded; RFC 9568 5.2.5 would ignore it.
#[test]
fn an_empty_list_of_addresses_is_a_message() {
    let Path { source, destination, .. } = group_path();
    let two =
        Advertisement::v2(vrid(7), Priority(9), Interval::ONE_SECOND, NO_AUTH, vec![]).expect("sayable");
    let three = Advertisement::v3(vrid(7), Priority(9), Interval::ONE_SECOND, Addresses::V4(vec![]));
    for (advert, expected) in [(two, v2()), (three.expect("sayable"), v3())] {
        let message = advert.encode(source, destination, ChecksumDialect::PseudoHeader);
        assert_eq!(decode(&message, group_path(), expected), Ok(advert));
    }
}

#[test]
fn what_the_wire_cannot_say_is_refused() {
    let many = vec![Ipv4Addr::LOCALHOST; 256];
    let interval = |centiseconds| Interval::from_centiseconds(centiseconds).expect("not 0");
    assert_eq!(
        Advertisement::v2(vrid(1), Priority(1), interval(100), NO_AUTH, many),
        Err(Unsayable::TooManyAddresses(256))
    );
    assert_eq!(
        Advertisement::v2(vrid(1), Priority(1), interval(150), NO_AUTH, vec![]),
        Err(Unsayable::Interval(150))
    );
    assert_eq!(
        Advertisement::v3(vrid(1), Priority(1), interval(4096), Addresses::V6(vec![])),
        Err(Unsayable::Interval(4096))
    );
}

fn any_advertisement() -> impl Strategy<Value = Advertisement> {
    let id = (1..=255u8).prop_map(vrid);
    let v4 = proptest::collection::vec(any::<[u8; 4]>().prop_map(Ipv4Addr::from), 0..20);
    let v6 = proptest::collection::vec(any::<[u8; 16]>().prop_map(Ipv6Addr::from), 0..20);
    let list = prop_oneof![v4.clone().prop_map(Addresses::V4), v6.prop_map(Addresses::V6)];
    let auth = prop_oneof![Just(Authentication::None), any::<[u8; 8]>().prop_map(Authentication::Password)];
    let two =
        (id.clone(), any::<u8>(), 1..=255u8, auth, v4).prop_map(|(id, priority, seconds, auth, list)| {
            let interval = Interval::from_seconds(seconds).expect("not 0");
            Advertisement::v2(id, Priority(priority), interval, auth, list).expect("sayable")
        });
    let three = (id, any::<u8>(), 1..=4095u16, list).prop_map(|(id, priority, centiseconds, list)| {
        let interval = Interval::from_centiseconds(centiseconds).expect("not 0");
        Advertisement::v3(id, Priority(priority), interval, list).expect("sayable")
    });
    prop_oneof![two, three]
}

fn ends(family: AddressFamily) -> Path {
    match family {
        AddressFamily::V4 => group_path(),
        AddressFamily::V6 => path("fe80::7", "ff02::12"),
    }
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        advert in any_advertisement(),
        word in any::<[u8; 8]>(),
        message_only in any::<bool>(),
    ) {
        let path = ends(advert.addresses().family());
        let checksum =
            if message_only { ChecksumDialect::MessageOnly } else { ChecksumDialect::PseudoHeader };
        let message = advert.encode(path.source, path.destination, checksum);
        prop_assert_eq!(peek_vrid(&message), Some(advert.vrid()));
        let password = match message[4] {
            1 if advert.version() == Version::V2 => {
                let end = message.len() - 8;
                Authentication::Password(message[end..].try_into().expect("eight octets"))
            }
            _ => Authentication::None,
        };
        let expected = Expectation {
            version: advert.version(),
            authentication: &password,
            interval: advert.interval(),
            checksum,
            hop_limit_255: true,
            trailer: Ok(()),
            header: Ok(()),
        };
        let other = Authentication::Password(word);
        if advert.version() == Version::V2 && password != other {
            let stranger = Expectation { authentication: &other, ..expected };
            prop_assert!(decode(&message, path, stranger).is_err());
        }
        prop_assert_eq!(decode(&message, path, expected), Ok(advert));
    }

    #[test]
    fn one_flipped_bit_is_never_taken_for_the_same_message(
        advert in any_advertisement(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        prop_assume!(advert.version() == Version::V3);
        let path = ends(advert.addresses().family());
        let mut message = advert.encode(path.source, path.destination, ChecksumDialect::PseudoHeader);
        let at = at.index(message.len());
        message[at] ^= 1 << bit;
        let expected = Expectation { version: Version::V3, ..v2() };
        prop_assert!(decode(&message, path, expected).is_err());
    }

    #[test]
    fn no_octets_whatever_make_it_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..64),
        head in any::<bool>(),
        v6 in any::<bool>(),
    ) {
        let mut octets = octets;
        if head {
            octets.iter_mut().take(1).for_each(|first| *first = 0x21 | (*first & 0x10));
        }
        let path = ends(if v6 { AddressFamily::V6 } else { AddressFamily::V4 });
        for expected in [v2(), v3(), Expectation { checksum: ChecksumDialect::MessageOnly, ..v3() }] {
            if let Ok(advert) = decode(&octets, path, expected) {
                prop_assert_eq!(Some(advert.vrid()), peek_vrid(&octets));
            }
        }
    }
}

mod captures {
    //! Public captures, read when HOLDFAST_SHARED names the directory that holds `pcaps/`.

    use super::*;
    use etherparse::{NetSlice, SlicedPacket};

    /// Frames of a classic pcap file, microsecond or nanosecond, little-endian.
    fn frames(name: &str) -> Option<Vec<Vec<u8>>> {
        let directory = std::env::var_os("HOLDFAST_SHARED")?;
        let file = std::path::Path::new(&directory).join("pcaps").join(name);
        let data = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(matches!(data[..4], [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]), "a pcap file");
        let mut rest = &data[24..];
        let mut frames = Vec::new();
        while rest.len() >= 16 {
            let length = u32::from_le_bytes(rest[8..12].try_into().expect("four octets")) as usize;
            frames.push(rest[16..16 + length].to_vec());
            rest = &rest[16 + length..];
        }
        Some(frames)
    }

    /// The VRRP message of a frame and how it travelled.
    fn message(frame: &[u8]) -> Option<(Path, Vec<u8>)> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (source, destination, hop_limit, payload) = match packet.net? {
            NetSlice::Ipv4(ip) => {
                let h = ip.header();
                (h.source_addr().into(), h.destination_addr().into(), h.ttl(), ip.payload().clone())
            }
            NetSlice::Ipv6(ip) => {
                let h = ip.header();
                (
                    IpAddr::V6(h.source_addr()),
                    h.destination_addr().into(),
                    h.hop_limit(),
                    ip.payload().clone(),
                )
            }
            NetSlice::Arp(_) => return None,
        };
        if payload.ip_number.0 != PROTOCOL {
            return None;
        }
        Some((Path { source, destination, hop_limit }, payload.payload.to_vec()))
    }

    #[test]
    fn every_advertisement_of_a_real_network_decodes() {
        let Some(frames) = frames("tcpdump-vrrp.pcap") else { return };
        let mut seen = std::collections::BTreeMap::<u8, usize>::new();
        for (path, message) in frames.iter().filter_map(|frame| message(frame)) {
            let password = (message[0] >> 4 == 2 && message[4] == 1).then(|| {
                let end = message.len() - 8;
                Authentication::Password(message[end..].try_into().expect("eight octets"))
            });
            let expected = Expectation {
                version: if message[0] >> 4 == 2 { Version::V2 } else { Version::V3 },
                authentication: password.as_ref().unwrap_or(&NO_AUTH),
                interval: Interval::from_seconds(10).expect("not 0"),
                ..v2()
            };
            let advert = decode(&message, path, expected).expect("a right message");
            assert_eq!(advert.encode(path.source, path.destination, ChecksumDialect::PseudoHeader), message);
            *seen.entry(advert.vrid().get()).or_default() += 1;
        }
        assert_eq!(seen.values().sum::<usize>(), 165);
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [42, 43, 44, 45, 46]);
    }

    #[test]
    fn malformed_captures_are_discarded() {
        let names = ["tcpdump-vrrp_print-oobr.pcap", "tcpdump-vrrp_print-oobr-2.pcap"];
        for name in names {
            let Some(frames) = frames(name) else { return };
            for (path, message) in frames.iter().filter_map(|frame| message(frame)) {
                for expected in [v2(), v3()] {
                    let expected = Expectation { hop_limit_255: false, ..expected };
                    assert!(decode(&message, path, expected).is_err(), "{name}: {message:02x?}");
                }
            }
        }
    }
}

/// What is looked at in a message that nobody here may decode, whole and cut at each octet.
#[test]
fn interval_and_addresses_are_seen_without_judgement() {
    let (v4, v6) = (AddressFamily::V4, AddressFamily::V6);
    let two = vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
    let interval = Interval::from_centiseconds(250).expect("sayable");
    let message =
        Advertisement::v3(vrid(9), Priority(100), interval, Addresses::V4(two.clone())).expect("sayable");
    let Path { source, destination, .. } = group_path();
    let message = message.encode(source, destination, ChecksumDialect::PseudoHeader);
    assert_eq!(peek_interval(&message), Duration::from_millis(2500));
    assert_eq!(peek_interval(&sample_v2_bytes()), Duration::from_secs(1));
    let seen = |octets: &[u8], family| peek_addresses(octets, family).collect::<Vec<IpAddr>>();
    let two: Vec<IpAddr> = two.into_iter().map(IpAddr::V4).collect();
    assert_eq!(seen(&message, v4), two);
    // The password behind the addresses of version 2 is none of them.
    assert_eq!(seen(&sample_v2_bytes(), v4), [IpAddr::from([192, 168, 0, 1])]);
    for length in 0..message.len() {
        let whole = length.saturating_sub(8) / 4;
        assert_eq!(seen(&message[..length], v4), two[..whole.min(2)], "{length} octets");
        assert_eq!(peek_interval(&message[..length]).is_zero(), length < 6, "{length} octets");
        assert!(seen(&message[..length], v6).is_empty(), "{length} octets");
    }
    let mut six = message[..8].to_vec();
    six.extend(Ipv6Addr::LOCALHOST.octets());
    assert_eq!(seen(&six, v6), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
}
