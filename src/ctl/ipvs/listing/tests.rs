//! What ipvsadm 1.31 printed for the same table on a kernel with IPVS.

use super::*;
use crate::plan::lvs::TunnelChecksum;

/// What `ipvsadm -Ln` printed.
const NUMERIC: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  9.1.1.2:6 rr
TCP  10.1.1.2:0 rr persistent 60
TCP  10.1.1.2:443 sh (sh-fallback,sh-port)
TCP  10.1.1.2:12345 mh (mh-port) persistent 300 mask 255.255.255.0
  -> 10.1.1.9:80                  Masq    2147483647 0          0         .
  -> 10.1.1.10:80                 Masq    0      0          0         .
TCP  127.0.0.1:80 rr
  -> 127.0.0.1:80                 Masq    1      3          12        .
UDP  10.1.1.2:53 wlc ops
  -> 10.1.1.9:53                  Route   1      0          0         .
UDP  10.1.1.2:5060 rr persistent 60 pe sip ops
SCTP 10.1.1.2:53 wrr (flag-1,flag-3)
TCP  [fd00::2]:80 wlc persistent 100 mask 64
  -> [fd00::9]:80                 Tunnel  1      0          0         .
TCP  [fd00::3]:22 wlc
  -> [fd00:1111:2222:3333:4444:5555:6666:7777]:22 Tunnel  1      0          0         .
FWM  2 IPv6 rr
FWM  5 wlc persistent 100 ops
  -> 10.1.1.9:0                   Route   1      0          0         .
FWM  5 IPv6 rr
";

/// The lines of `ipvsadm -L` that differ, where /etc/hosts names 127.0.0.1 and fd00::9.
const NAMED: &[&str] = &[
    "TCP  10.1.1.2:https sh (sh-fallback,sh-port)",
    "  -> 10.1.1.9:http                Masq    2147483647 0          0         ",
    "TCP  localhost:http rr",
    "  -> localhost:http               Masq    1      3          12        ",
    "UDP  10.1.1.2:domain wlc ops",
    "SCTP 10.1.1.2:53 wrr (flag-1,flag-3)",
    "  -> [six.example.org]:http       Tunnel  1      0          0         ",
    "  -> [fd00:1111:2222:3333:4444:5555:6666:7777]:ssh Tunnel  1      0          0         ",
    "  -> 10.1.1.9:0                   Route   1      0          0         ",
];

fn service(key: &str, scheduler: &str, destinations: Vec<DestinationLine>) -> ServiceLine {
    let (protocol, endpoint) = key.split_once(' ').expect("PROTOCOL ENDPOINT");
    let endpoint: SocketAddr = endpoint.parse().expect("an endpoint");
    let protocol = match protocol {
        "TCP" => TransportProtocol::Tcp,
        "UDP" => TransportProtocol::Udp,
        _ => TransportProtocol::Sctp,
    };
    let key = ServiceKey::Endpoint { protocol, address: endpoint.ip(), port: endpoint.port() };
    ServiceLine { key, ..fwmark(AddressFamily::V4, 1, scheduler, destinations) }
}

fn fwmark(
    family: AddressFamily,
    mark: u32,
    scheduler: &str,
    destinations: Vec<DestinationLine>,
) -> ServiceLine {
    ServiceLine {
        key: ServiceKey::FwMark { family, mark },
        scheduler: scheduler.to_owned(),
        scheduler_flags: 0,
        persistence_seconds: None,
        granularity_prefix: None,
        persistence_engine: None,
        one_packet: false,
        destinations,
    }
}

fn persistent(mut service: ServiceLine, seconds: u32, prefix: u8) -> ServiceLine {
    service.persistence_seconds = Some(seconds);
    service.granularity_prefix = Some(prefix);
    service
}

fn destination(endpoint: &str, forwarding: ForwardingMethod, weight: u32) -> DestinationLine {
    let endpoint = endpoint.parse().expect("an endpoint");
    DestinationLine { endpoint, forwarding, weight, active_connections: 0, inactive_connections: 0 }
}

/// In an order as the kernel might have it.
fn table() -> Listing {
    let (nat, route) = (ForwardingMethod::Masquerade, ForwardingMethod::DirectRouting);
    let gre = ForwardingMethod::Tunnel(TunnelKind::Gre { checksum: TunnelChecksum::None });
    let ipip = ForwardingMethod::Tunnel(TunnelKind::Ipip);
    let mut local = destination("127.0.0.1:80", nat, 1);
    (local.active_connections, local.inactive_connections) = (3, 12);
    let long = "[fd00:1111:2222:3333:4444:5555:6666:7777]:22";
    let two = vec![destination("10.1.1.10:80", nat, 0), destination("10.1.1.9:80", nat, 2_147_483_647)];
    let mut services = vec![
        fwmark(AddressFamily::V6, 5, "rr", Vec::new()),
        persistent(fwmark(AddressFamily::V4, 5, "wlc", vec![destination("10.1.1.9:0", route, 1)]), 100, 32),
        fwmark(AddressFamily::V6, 2, "rr", Vec::new()),
        service("TCP [fd00::3]:22", "wlc", vec![destination(long, gre, 1)]),
        persistent(service("TCP [fd00::2]:80", "wlc", vec![destination("[fd00::9]:80", ipip, 1)]), 100, 64),
        service("SCTP 10.1.1.2:53", "wrr", Vec::new()),
        persistent(service("UDP 10.1.1.2:5060", "rr", Vec::new()), 60, 32),
        service("UDP 10.1.1.2:53", "wlc", vec![destination("10.1.1.9:53", route, 1)]),
        service("TCP 127.0.0.1:80", "rr", vec![local]),
        persistent(service("TCP 10.1.1.2:12345", "mh", two), 300, 24),
        service("TCP 10.1.1.2:443", "sh", Vec::new()),
        persistent(service("TCP 10.1.1.2:0", "rr", Vec::new()), 60, 32),
        service("TCP 9.1.1.2:6", "rr", Vec::new()),
    ];
    services[1].one_packet = true;
    services[5].scheduler_flags = 0x28;
    (services[6].one_packet, services[6].persistence_engine) = (true, Some("sip".to_owned()));
    services[7].one_packet = true;
    services[9].scheduler_flags = 0x10;
    services[10].scheduler_flags = 0x18;
    let mut listing = Listing { version: "1.2.1".to_owned(), size: 4096, services };
    listing.sort();
    listing
}

#[test]
fn the_numeric_table_is_ipvsadms_to_the_last_blank() {
    assert_eq!(table().render(&Names::default()), NUMERIC.replace(" .\n", " \n"));
}

#[test]
fn the_named_table_is_ipvsadms() {
    let services = "ssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n";
    let names = Names::parse("127.0.0.1 localhost\nfd00::9 six.example.org\n", services);
    let text = table().render(&names);
    for line in NAMED {
        assert!(text.lines().any(|l| l == *line), "{line} is missing from\n{text}");
    }
}

#[test]
fn an_empty_table_is_three_lines() {
    let listing = Listing { version: "1.2.1".to_owned(), size: 4096, services: Vec::new() };
    assert_eq!(listing.render(&Names::default()).lines().count(), 3);
}

#[test]
fn masks_of_any_length_are_printed() {
    let masks = [0, 1, 24, 32, 200].map(|prefix| mask(prefix).to_string());
    assert_eq!(masks, ["0.0.0.0", "128.0.0.0", "255.255.255.0", "255.255.255.255", "255.255.255.255"]);
}
