//! Vectors written by hand from linux/ip_vs.h, and properties.

use super::decode::nested;
use super::*;
use crate::lvs::table::TableOp;
use crate::net::TransportProtocol;
use crate::netlink::message::Request;
use crate::plan::lvs::{ForwardingMethod, Persistence, TunnelChecksum, TunnelKind};
use proptest::prelude::*;

/// The attributes nested in attribute `outer` of a request, as (type, value).
fn inside(request: &Request, outer: u16) -> Vec<(u16, Vec<u8>)> {
    let found = nested(request.payload(), outer).unwrap();
    found.map(|attribute| attribute.map(|a| (a.kind, a.value.to_vec())).unwrap()).collect()
}

fn web() -> ServiceKey {
    ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address: [192, 0, 2, 1].into(), port: 80 }
}

fn settings(scheduler: &str) -> ServiceSettings {
    ServiceSettings {
        scheduler: scheduler.into(),
        scheduler_flags: 0,
        persistence: None,
        persistence_engine: None,
        one_packet: false,
    }
}

fn plain(forwarding: ForwardingMethod) -> Destination {
    Destination { forwarding, weight: 1, upper_threshold: 0, lower_threshold: 0 }
}

#[test]
fn a_new_service_octet_by_octet() {
    let op = TableOp::AddService(web(), settings("wlc"));
    let bytes = encode(0x25, &op).finish(7, 5);
    let ne16 = |n: u16| n.to_ne_bytes().to_vec();
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = [ne16(value.len() as u16 + 4), ne16(kind), value.to_vec()].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let service = [
        attribute(1, &ne16(2)),
        attribute(2, &ne16(6)),
        attribute(3, &[192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        attribute(4, &[0, 80]),
        attribute(6, b"wlc\0"),
        attribute(7, &[0, 0, 0, 0, 255, 255, 255, 255]),
        attribute(8, &[0, 0, 0, 0]),
        attribute(9, &[255, 255, 255, 255]),
    ]
    .concat();
    let body = [vec![1, 1, 0, 0], attribute(0x8001, &service)].concat();
    let length = (16 + body.len() as u32).to_ne_bytes();
    let header =
        [&length[..], &0x25u16.to_ne_bytes(), &5u16.to_ne_bytes(), &7u32.to_ne_bytes(), &[0; 4]].concat();
    assert_eq!(bytes, [header, body].concat());
}

#[test]
fn a_mark_has_neither_protocol_nor_address() {
    let key = ServiceKey::FwMark { family: AddressFamily::V6, mark: 0x0102_0304 };
    let request = encode(1, &TableOp::DelService(key));
    assert_eq!(request.payload()[0], command::DEL_SERVICE);
    let expected =
        [(service::AF, 10u16.to_ne_bytes().to_vec()), (service::FWMARK, 0x0102_0304u32.to_ne_bytes().into())];
    assert_eq!(inside(&request, SERVICE), expected);
}

#[test]
fn persistence_is_a_flag_a_timeout_and_a_mask_of_the_family() {
    let settings = ServiceSettings {
        persistence: Some(Persistence { timeout_seconds: 360, granularity: Granularity::Client }),
        persistence_engine: Some("sip".into()),
        one_packet: true,
        scheduler_flags: 0x18,
        ..settings("sh")
    };
    let value_by = |granularity, key, kind| {
        let persistence = settings.persistence.map(|it| Persistence { granularity, ..it });
        let settings = ServiceSettings { persistence, ..settings.clone() };
        let request = encode(1, &TableOp::EditService(key, settings));
        inside(&request, SERVICE).into_iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
    };
    let value = |key, kind| value_by(Granularity::Client, key, kind);
    let mask = Granularity::Netmask([255, 0, 255, 0].into());
    let v6 = ServiceKey::FwMark { family: AddressFamily::V6, mark: 1 };
    assert_eq!(value(web(), service::FLAGS).unwrap()[..4], 0x1du32.to_ne_bytes());
    assert_eq!(value(web(), service::TIMEOUT).unwrap(), 360u32.to_ne_bytes());
    assert_eq!(value(web(), service::NETMASK).unwrap(), [255; 4]);
    assert_eq!(value(v6, service::NETMASK).unwrap(), 128u32.to_ne_bytes());
    assert_eq!(value_by(mask, web(), service::NETMASK).unwrap(), [255, 0, 255, 0]);
    assert_eq!(value_by(Granularity::Prefix(24), v6, service::NETMASK).unwrap(), 24u32.to_ne_bytes());
    assert_eq!(value(web(), service::PE_NAME).unwrap(), b"sip\0");
}

#[test]
fn a_destination_is_deleted_by_address_and_port_alone() {
    let request = encode(1, &TableOp::DelDest(web(), "[2001:db8::1]:8080".parse().unwrap()));
    let kinds: Vec<_> = inside(&request, DEST).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [dest::ADDR_FAMILY, dest::ADDR, dest::PORT]);
    assert!(inside(&request, DEST).contains(&(dest::PORT, vec![0x1f, 0x90])));
}

#[test]
fn a_gue_tunnel_carries_type_port_and_checksum() {
    let kind = TunnelKind::Gue { port: 6080, checksum: TunnelChecksum::Remote };
    let dest_op = plain(ForwardingMethod::Tunnel(kind));
    let request = encode(1, &TableOp::AddDest(web(), "10.0.0.1:80".parse().unwrap(), dest_op));
    let found = inside(&request, DEST);
    assert!(found.contains(&(dest::FWD_METHOD, 2u32.to_ne_bytes().into())));
    assert!(found.contains(&(dest::TUN_TYPE, vec![1])));
    assert!(found.contains(&(dest::TUN_PORT, vec![0x17, 0xc0])));
    assert!(found.contains(&(dest::TUN_FLAGS, 2u16.to_ne_bytes().into())));
}

/// A listed service: the request that makes it, with more attributes put into the nest.
fn listed(op: &TableOp, outer: u16, more: impl FnOnce(&mut Request)) -> Vec<u8> {
    let made = encode(1, op);
    let attributes = inside(&made, outer);
    let mut request = request(1, 0);
    request.nest(outer, |nest| {
        for (kind, value) in &attributes {
            nest.attribute(*kind, value);
        }
        more(nest);
    });
    request.payload().to_vec()
}

fn put_stats(nest: &mut Request, kind: u16, wide: bool, base: u64) {
    nest.nest(kind, |stats| {
        for n in 1..=10u16 {
            let value = base + u64::from(n);
            if wide || n == 4 || n == 5 {
                stats.attribute(n, &value.to_ne_bytes());
            } else {
                stats.attribute(n, &(value as u32).to_ne_bytes());
            }
        }
    });
}

#[test]
fn the_kernels_own_flag_is_not_ours() {
    let op = TableOp::AddService(web(), settings("rr"));
    let payload = listed(&op, SERVICE, |nest| {
        nest.attribute(service::FLAGS, &[0x2fu32.to_ne_bytes(), [255; 4]].concat());
    });
    let record = decode_service(&payload).unwrap().unwrap();
    assert_eq!(
        (record.flags, record.settings.scheduler_flags, record.settings.one_packet),
        (0x2d, 0x28, true)
    );
}

#[test]
fn wide_counters_win_and_narrow_ones_are_the_fallback() {
    let op = TableOp::AddService(web(), settings("rr"));
    let big = 1 << 40;
    for wide_first in [true, false] {
        let payload = listed(&op, SERVICE, |nest| {
            if wide_first {
                put_stats(nest, service::STATS64, true, big);
            }
            put_stats(nest, service::STATS, false, 100);
            if !wide_first {
                put_stats(nest, service::STATS64, true, big);
            }
        });
        let stats = decode_service(&payload).unwrap().unwrap().stats;
        assert_eq!((stats.connections, stats.out_byte_rate), (big + 1, big + 10));
    }
    let payload = listed(&op, SERVICE, |nest| put_stats(nest, service::STATS, false, 100));
    let stats = decode_service(&payload).unwrap().unwrap().stats;
    assert_eq!((stats.connections, stats.in_bytes, stats.out_byte_rate), (101, 104, 110));
}

#[test]
fn a_destination_without_a_family_is_of_its_services() {
    let mut request = request(1, 0);
    request.nest(DEST, |nest| {
        nest.attribute(dest::ADDR, &[10, 0, 0, 1]).attribute(dest::PORT, &[0, 80]);
    });
    let entry = decode_destination(request.payload(), AddressFamily::V4).unwrap();
    assert_eq!(entry.endpoint, "10.0.0.1:80".parse().unwrap());
    assert!(
        decode_destination(request.payload(), AddressFamily::V6).is_err(),
        "four octets are no IPv6 address"
    );
}

#[test]
fn what_cannot_be_named_is_skipped_and_what_is_broken_refused() {
    let op = TableOp::AddService(web(), settings("rr"));
    let payload = listed(&op, SERVICE, |nest| {
        nest.attribute(service::PROTOCOL, &1u16.to_ne_bytes());
    });
    assert_eq!(decode_service(&payload), Ok(None));
    let payload = listed(&op, SERVICE, |nest| {
        nest.attribute(service::AF, &[2]);
    });
    assert!(decode_service(&payload).is_err());
    assert!(decode_service(&[]).is_err());
    assert!(decode_service(request(1, 0).payload()).is_err());
    let mut nothing = request(1, 0);
    nothing.nest(SERVICE, |nest| {
        nest.attribute(service::AF, &2u16.to_ne_bytes());
    });
    assert!(decode_service(nothing.payload()).is_err());
}

#[test]
fn masks_of_both_families_go_there_and_back() {
    let back = |family, it| granularity(family, netmask(family, it));
    for bits in 0..=128 {
        let it = Granularity::prefix(bits);
        assert_eq!(back(AddressFamily::V6, it), it, "/{bits}");
    }
    for bits in 0..=32 {
        // With a hole, too: an audit must see whatever somebody sets by hand.
        let ones = u32::MAX.checked_shl(bits).unwrap_or(0);
        for it in [ones, ones ^ 1 << 31].map(|mask| Granularity::netmask(mask.into())) {
            assert_eq!(back(AddressFamily::V4, it), it, "{it}");
        }
    }
    assert_eq!(granularity(AddressFamily::V6, u32::MAX.to_ne_bytes()), Granularity::Client);
}

#[test]
fn info_is_a_version_and_a_size() {
    let mut answer = request(1, 0);
    answer.attribute(INFO_VERSION, &0x0001_0201u32.to_ne_bytes());
    answer.attribute(INFO_TABLE_SIZE, &4096u32.to_ne_bytes());
    let expected = Info { version: (1, 2, 1), table_size: 4096 };
    assert_eq!(decode_info(answer.payload()), Ok(expected));
}

fn any_key() -> impl Strategy<Value = ServiceKey> {
    let protocol =
        prop::sample::select(vec![TransportProtocol::Tcp, TransportProtocol::Udp, TransportProtocol::Sctp]);
    let family = prop::sample::select(vec![AddressFamily::V4, AddressFamily::V6]);
    prop_oneof![
        (protocol, any::<IpAddr>(), any::<u16>())
            .prop_map(|(protocol, address, port)| ServiceKey::Endpoint { protocol, address, port }),
        (family, 1u32..).prop_map(|(family, mark)| ServiceKey::FwMark { family, mark }),
    ]
}

fn any_service() -> impl Strategy<Value = (ServiceKey, ServiceSettings)> {
    any_key().prop_flat_map(|key| (Just(key), any_settings(key.family())))
}

fn any_settings(family: AddressFamily) -> impl Strategy<Value = ServiceSettings> {
    let engine = prop::option::of("[a-z]{1,15}");
    let granularity = any::<[u8; 4]>().prop_map(move |octets| granularity(family, octets));
    ("[a-z]{1,15}", 0u32..8, prop::option::of((1u32.., granularity)), engine, any::<bool>()).prop_map(
        |(scheduler, flags, persistence, persistence_engine, one_packet)| ServiceSettings {
            scheduler,
            scheduler_flags: flags << 3,
            persistence: persistence
                .map(|(timeout_seconds, granularity)| Persistence { timeout_seconds, granularity }),
            persistence_engine,
            one_packet,
        },
    )
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let checksum =
        prop::sample::select(vec![TunnelChecksum::None, TunnelChecksum::Full, TunnelChecksum::Remote]);
    let forwarding = prop_oneof![
        Just(ForwardingMethod::Masquerade),
        Just(ForwardingMethod::DirectRouting),
        Just(ForwardingMethod::Tunnel(TunnelKind::Ipip)),
        (any::<u16>(), checksum.clone())
            .prop_map(|(port, checksum)| ForwardingMethod::Tunnel(TunnelKind::Gue { port, checksum })),
        checksum.prop_map(|checksum| ForwardingMethod::Tunnel(TunnelKind::Gre { checksum })),
    ];
    (forwarding, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(forwarding, weight, upper_threshold, lower_threshold)| Destination {
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    )
}

proptest! {
    #[test]
    fn a_service_is_decoded_as_it_was_encoded((key, settings) in any_service()) {
        let request = encode(1, &TableOp::AddService(key, settings.clone()));
        let record = decode_service(request.payload()).unwrap().unwrap();
        prop_assert_eq!((record.key, record.settings), (key, settings));
    }

    #[test]
    fn a_destination_is_decoded_as_it_was_encoded(
        key in any_key(), address: IpAddr, port: u16, destination in any_destination(),
    ) {
        let endpoint = SocketAddr::new(address, port);
        let request = encode(1, &TableOp::AddDest(key, endpoint, destination));
        let entry = decode_destination(request.payload(), key.family()).unwrap();
        prop_assert_eq!((entry.endpoint, entry.destination), (endpoint, destination));
    }

    #[test]
    fn any_octets_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode_service(&bytes), decode_info(&bytes));
        let _ = (decode_destination(&bytes, AddressFamily::V4), decode_destination(&bytes, AddressFamily::V6));
    }

    /// Near misses: a good message with one octet changed, or cut short.
    #[test]
    fn a_damaged_message_is_decoded_or_refused(
        (key, settings) in any_service(), position: prop::sample::Index, value: u8, cut: prop::sample::Index,
    ) {
        let mut payload = encode(1, &TableOp::AddService(key, settings)).payload().to_vec();
        let position = position.index(payload.len());
        payload[position] = value;
        let _ = decode_service(&payload);
        payload.truncate(cut.index(payload.len()));
        let _ = decode_service(&payload);
    }
}
