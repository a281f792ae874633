//! What ipvsadm 1.31 printed for the same table on a kernel with IPVS.

use super::super::grammar::{Command, parse};
use super::super::sort;
use super::*;

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

/// The commands that made the table, in an order as the kernel might have it.
const COMMANDS: &[&str] = &[
    "-A -f 5 -6 -s rr",
    "-A -f 5 -p 100 -o",
    "-a -f 5 -r 10.1.1.9:0",
    "-A -f 2 -6 -s rr",
    "-A -t [fd00::3]:22",
    "-a -t [fd00::3]:22 -r [fd00:1111:2222:3333:4444:5555:6666:7777]:22 -i --tun-type gre",
    "-A -t [fd00::2]:80 -p 100 -M 64",
    "-a -t [fd00::2]:80 -r [fd00::9]:80 -i",
    "-A --sctp-service 10.1.1.2:53 -s wrr -b flag-1,flag-3",
    "-A -u 10.1.1.2:5060 -s rr -p 60 --pe sip -o",
    "-A -u 10.1.1.2:53 -o",
    "-a -u 10.1.1.2:53 -r 10.1.1.9",
    "-A -t 127.0.0.1:80 -s rr",
    "-a -t 127.0.0.1:80 -r 127.0.0.1 -m",
    "-A -t 10.1.1.2:12345 -s mh -p 300 -M 255.255.255.0 -b mh-port",
    "-a -t 10.1.1.2:12345 -r 10.1.1.10:80 -m -w 0",
    "-a -t 10.1.1.2:12345 -r 10.1.1.9:80 -m -w 2147483647",
    "-A -t 10.1.1.2:443 -s sh -b sh-fallback,sh-port",
    "-A -t 10.1.1.2:0 -s rr -p 60",
    "-A -t 9.1.1.2:6 -s rr",
];

fn table(format: &Format, names: &Names) -> String {
    let mut services: Vec<(RawService, Vec<RawDestination>)> = Vec::new();
    for line in COMMANDS {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        match parse(&words, &Names::default(), true) {
            Ok(Command::AddService(service)) => services.push((service, Vec::new())),
            Ok(Command::AddServer(_, mut server)) => {
                if server.address.is_loopback() {
                    (server.active, server.inactive) = (3, 12);
                }
                services.last_mut().expect("a service stands first").1.push(server);
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    let info = Info { version: (1, 2, 1), table_size: 4096 };
    let mut text = version(&info) + &heading(format);
    for key in sort::services(services.iter().map(|(service, _)| service.clone()).collect()) {
        text += &service_line(&key, format, names);
        let (_, servers) = services.iter().find(|(service, _)| *service == key).expect("it is from there");
        for server in sort::destinations(servers.clone()) {
            text += &destination_line(&server, &key, format, names);
        }
    }
    text
}

#[test]
fn the_numeric_table_is_ipvsadms_to_the_last_blank() {
    assert_eq!(table(&Format::default(), &Names::default()), NUMERIC.replace(" .\n", " \n"));
}

#[test]
fn the_named_table_is_ipvsadms() {
    let services = "ssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n";
    let names = Names::parse("127.0.0.1 localhost\nfd00::9 six.example.org\n", services);
    let text = table(&Format::default(), &names);
    for line in NAMED {
        assert!(text.lines().any(|l| l == *line), "{line} is missing from\n{text}");
    }
}

#[test]
fn large_numbers_shrink_unless_they_shall_not() {
    let shown = [0, 99_999_999, 100_000_000, 999_999_999, 1_000_000_000, 99_999_999_999, 100_000_000_000]
        .map(|number| large(number, false));
    let wanted = ["        0", " 99999999", "  100000K", "  999999K", "    1000M", "   99999M", "     100G"];
    assert_eq!(shown, wanted);
    assert_eq!(large(u64::MAX, false), "18446744T");
    assert_eq!(large(u64::MAX, true), " 18446744073709551615");
    assert_eq!(large(7, true), "        7");
}

#[test]
fn daemons_tell_what_they_were_told() {
    let bare = RawDaemon { state: 1, interface: "eth0".into(), syncid: 5, ..RawDaemon::default() };
    assert_eq!(daemon(&bare), "master sync daemon (mcast=eth0, syncid=5)\n");
    let whole = RawDaemon {
        state: 2,
        maxlen: 1000,
        group: Some("ff05::1".parse().expect("an address")),
        port: 99,
        ttl: 3,
        ..bare
    };
    assert_eq!(
        daemon(&whole),
        "backup sync daemon (mcast=eth0, syncid=5, maxlen=1000, group=ff05::1, port=99, ttl=3)\n"
    );
}
