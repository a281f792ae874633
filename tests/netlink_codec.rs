//! The netlink codec beside independent ones: the netlink-packet crates, and vectors from the tests of two IPVS
//! libraries where HOLDFAST_SHARED names the directory that has them (ipvs-vectors/netlink_vectors.json).

use holdfast::lvs::table::{Destination, ServiceSettings, TableOp};
use holdfast::net::{AddressFamily, TransportProtocol};
use holdfast::netlink::ipvs_codec::{decode_destination, decode_service, encode};
use holdfast::netlink::message::{Request, attributes, messages};
use holdfast::plan::lvs::{
    ForwardingMethod, Granularity, Persistence, ServiceKey, TunnelChecksum, TunnelKind,
};
use netlink_packet_core::{NetlinkBuffer, NlaBuffer, NlasIterator};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

const SERVICE: u16 = 1;
const DEST: u16 = 2;
/// Octets before the attributes of a whole message: struct nlmsghdr and struct genlmsghdr.
const HEADERS: usize = 20;

/// The attributes as netlink-packet-core reads them.
fn oracle(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    NlasIterator::new(bytes)
        .map(|attribute: Result<NlaBuffer<&[u8]>, _>| {
            let attribute = attribute.expect("the oracle can read it");
            (attribute.kind(), attribute.value().to_vec())
        })
        .collect()
}

fn own(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    attributes(bytes)
        .map(|attribute| attribute.map(|a| (a.kind, a.value.to_vec())).expect("readable"))
        .collect()
}

#[test]
fn netlink_packet_core_reads_what_is_built() {
    let key =
        ServiceKey::Endpoint { protocol: TransportProtocol::Sctp, address: [192, 0, 2, 1].into(), port: 80 };
    let settings = ServiceSettings {
        scheduler: "wlc".into(),
        scheduler_flags: 0x10,
        persistence: Some(Persistence {
            timeout_seconds: 50,
            granularity: Granularity::Netmask([255, 255, 255, 0].into()),
        }),
        persistence_engine: None,
        one_packet: false,
    };
    let bytes = encode(0x25, &TableOp::AddService(key, settings)).finish(99, 5);
    let buffer = NetlinkBuffer::new_checked(&bytes[..]).unwrap();
    assert_eq!((buffer.message_type(), buffer.flags(), buffer.sequence_number()), (0x25, 5, 99));
    assert_eq!(buffer.length() as usize, bytes.len());
    assert_eq!(buffer.payload()[..4], [1, 1, 0, 0], "IPVS_CMD_NEW_SERVICE, version 1");
    let outer = oracle(&buffer.payload()[4..]);
    assert_eq!(outer.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [SERVICE]);
    let inner: BTreeMap<_, _> = oracle(&outer[0].1).into_iter().collect();
    assert_eq!(inner[&2], 132u16.to_ne_bytes());
    assert_eq!(inner[&4], 80u16.to_be_bytes());
    assert_eq!(inner[&6], b"wlc\0");
    assert_eq!(inner[&9], [255, 255, 255, 0]);
}

proptest! {
    /// Both readers see the same attributes in whatever either of them accepts whole.
    #[test]
    fn both_readers_agree(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let theirs: Result<Vec<_>, _> = NlasIterator::new(&bytes[..])
            .map(|attribute: Result<NlaBuffer<&[u8]>, _>| attribute.map(|a| (a.kind(), a.value().to_vec())))
            .collect();
        let ours: Result<Vec<_>, _> =
            attributes(&bytes).map(|attribute| attribute.map(|a| (a.kind, a.value.to_vec()))).collect();
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            prop_assert_eq!(ours, theirs);
        }
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
    }

    #[test]
    fn the_oracle_reads_any_attributes_that_are_built(
        parts in proptest::collection::vec((1u16..0x3fff, proptest::collection::vec(any::<u8>(), 0..60)), 0..6),
    ) {
        let mut request = Request::new(1, 0, &[]);
        for (kind, value) in &parts {
            request.attribute(*kind, value);
        }
        prop_assert_eq!(oracle(request.payload()), parts);
    }
}

/// The octets of a hexadecimal string.
fn hex(text: &str) -> Vec<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// The inside of a vector's service or destination attribute, and which of the two it is.
fn inside(vector: &Value) -> (u16, Vec<u8>) {
    if let Some(message) = vector["message"].as_str() {
        let bytes = hex(message);
        let message = messages(&bytes).next().expect("one message").expect("readable");
        assert_eq!(message.payload.len() + HEADERS - 4, bytes.len());
        return own(&message.payload[4..]).remove(0);
    }
    match vector["service_attr"].as_str() {
        Some(text) => (SERVICE, hex(text)),
        None => (DEST, hex(vector["dest_attr"].as_str().expect("a message, a service or a destination"))),
    }
}

/// The payload of a generic netlink message with that attribute.
fn wrap(kind: u16, inside: &[u8]) -> Vec<u8> {
    let mut request = Request::new(1, 0, &[0; 4]);
    request.attribute(kind, inside);
    request.payload().to_vec()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

fn check_service(name: &str, kind: &str, inside: &[u8], value: &Value) {
    let record = decode_service(&wrap(SERVICE, inside)).expect(name).expect("TCP over IP");
    let address: IpAddr = text(&value["address"]).parse().unwrap();
    let port = u16::try_from(number(&value["port"])).unwrap();
    let expected = ServiceKey::Endpoint { protocol: TransportProtocol::Tcp, address, port };
    assert_eq!(
        (record.key, record.settings.scheduler.as_str()),
        (expected, text(&value["scheduler"])),
        "{name}"
    );
    assert_eq!(record.flags, number(&value["flags"]) & 0x3d, "{name}");
    if let Some(stats) = value.get("stats") {
        let found = [
            record.stats.connections,
            record.stats.in_packets,
            record.stats.in_bytes,
            record.stats.in_byte_rate,
        ];
        let wanted = ["conns", "inpkts", "inbytes", "inbps"].map(|counter| stats[counter].as_u64().unwrap());
        assert_eq!(found, wanted, "{name}");
    }
    if kind == "encode" {
        // The flags of the vector (0xf1f2f3f4) are not for a user to set; everything else must be the same.
        let made = encode(1, &TableOp::AddService(record.key, record.settings)).finish(0, 0);
        let made: BTreeMap<_, _> = own(&own(&made[HEADERS..])[0].1).into_iter().collect();
        for (attribute, octets) in own(inside).into_iter().filter(|(attribute, _)| *attribute != 7) {
            assert_eq!(made.get(&attribute), Some(&octets), "{name}: attribute {attribute}");
        }
    }
}

fn expected_forwarding(value: &Value) -> ForwardingMethod {
    match text(&value["forward"]) {
        "tunnel" => {
            assert_eq!((text(&value["tun_type"]), text(&value["tun_flags"])), ("gue", "remcsum"));
            let port = u16::try_from(number(&value["tun_port"])).unwrap();
            ForwardingMethod::Tunnel(TunnelKind::Gue { port, checksum: TunnelChecksum::Remote })
        }
        // "droute", or the bypass (4) in the low bits of 0xf1f2f3f4.
        _ => ForwardingMethod::DirectRouting,
    }
}

fn check_destination(name: &str, kind: &str, inside: &[u8], value: &Value) {
    let address: IpAddr = text(&value["address"]).parse().unwrap();
    let entry = decode_destination(&wrap(DEST, inside), AddressFamily::of(address)).expect(name);
    let endpoint = SocketAddr::new(address, u16::try_from(number(&value["port"])).unwrap());
    let expected = Destination {
        forwarding: expected_forwarding(value),
        weight: number(&value["weight"]),
        upper_threshold: number(&value["u_threshold"]),
        lower_threshold: number(&value["l_threshold"]),
    };
    assert_eq!((entry.endpoint, entry.destination), (endpoint, expected), "{name}");
    let connections = ["active", "inactive", "persistent"].map(|counter| number(&value[counter]));
    assert_eq!([entry.active, entry.inactive, entry.persistent], connections, "{name}");
    if kind == "encode" {
        let key = ServiceKey::FwMark { family: AddressFamily::of(address), mark: 1 };
        let made = encode(1, &TableOp::AddDest(key, endpoint, expected)).finish(0, 0);
        let made: BTreeMap<_, _> = own(&own(&made[HEADERS..])[1].1).into_iter().collect();
        let odd_flags = value.get("conn_flags").is_some();
        for (attribute, octets) in own(inside) {
            // Counters are the kernel's to send; a tunnel's attributes only go with a tunnel.
            let counters = (7..=9).contains(&attribute);
            let no_tunnel = attribute >= 13 && !matches!(expected.forwarding, ForwardingMethod::Tunnel(_));
            if !(counters || no_tunnel || odd_flags && attribute == 3) {
                assert_eq!(made.get(&attribute), Some(&octets), "{name}: attribute {attribute}");
            }
        }
    }
}

#[test]
fn vectors_of_other_implementations_are_read_and_matched() {
    let Some(shared) = std::env::var_os("HOLDFAST_SHARED") else {
        println!("skipped: HOLDFAST_SHARED names no directory with vectors");
        return;
    };
    let path = std::path::Path::new(&shared).join("ipvs-vectors/netlink_vectors.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(vectors.len() >= 14);
    for vector in &vectors {
        let (name, kind) = (text(&vector["name"]), text(&vector["kind"]));
        let (outer, inside) = inside(vector);
        match (kind, outer) {
            ("malformed", _) => assert!(decode_service(&wrap(outer, &inside)).is_err(), "{name}"),
            (_, SERVICE) => check_service(name, kind, &inside, &vector["value"]),
            (_, DEST) => check_destination(name, kind, &inside, &vector["value"]),
            other => panic!("{name}: {other:?}"),
        }
    }
}
