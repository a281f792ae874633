//! Keywords of virtual and real servers.

use super::shape::Shape::*;
use super::shape::{EVER, I32, U32};
use super::{Keyword, Place, accepted, works};

/// The places of this file and their keywords.
pub(super) const PLACES: &[(Place, &[Keyword])] = &[
    (Place::Ssl, SSL),
    (Place::VirtualServerGroup, VIRTUAL_SERVER_GROUP),
    (Place::VirtualServer, VIRTUAL_SERVER),
    (Place::Scheduler, SCHEDULER),
    (Place::Method, METHOD),
    (Place::RealServer, REAL_SERVER),
];

#[rustfmt::skip]
const SSL: &[Keyword] = &[
    works("password", 1, "STRING").takes(Text).lenient(),
    works("ca", 1, "PATH").takes(Text).lenient(),
    works("certificate", 1, "PATH").takes(Text).lenient(),
    works("key", 1, "PATH").takes(Text).lenient(),
];

#[rustfmt::skip]
const VIRTUAL_SERVER_GROUP: &[Keyword] = &[
    works("(address)", 0, "ADDR [PORT]").takes(Rest),
    works("(range)", 0, "A.B.C.D-N | ADDR-ADDR | ADDR/LEN, then [PORT]").takes(Rest),
    works("fwmark", 1, "N 0..4294967295 [inet|inet6]").takes(Words),
];

#[rustfmt::skip]
const VIRTUAL_SERVER: &[Keyword] = &[
    works("ip_family", 1, "inet|inet6").takes(OneOf(&["inet", "inet6"])),
    works("retry", 1, "1..").takes(Number(1, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("inhibit_on_failure", 0, ""),
    works("lb_algo", 1, "SCHEDULER").takes(Text),
    works("lvs_sched", 1, "SCHEDULER").takes(Text),
    accepted("hashed", 0, "", "keepalived ignores it too"),
    works("ops", 0, "flag (UDP or fwmark)"),
    works("flag-1", 0, ""),
    works("flag-2", 0, ""),
    works("flag-3", 0, ""),
    works("sh-port", 0, "flag, after lvs_sched sh"),
    works("sh-fallback", 0, "flag, after lvs_sched sh"),
    works("mh-port", 0, "flag, after lvs_sched mh"),
    works("mh-fallback", 0, "flag, after lvs_sched mh"),
    works("lb_kind", 1, "as lvs_method").takes(Words),
    works("lvs_method", 1, "NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]|FULLNAT [source ADDR]").takes(Words),
    works("persistence_engine", 1, "NAME").takes(Text),
    works("persistence_timeout", 0, "[SECS 1..2678400]").takes(MaybeNumber(1, 2678400)),
    works("persistence_granularity", 1, "IPv4 mask | IPv6 prefix 1..128").takes(Text),
    works("protocol", 1, "TCP|UDP|SCTP (any case)").takes(AnyCase(&["TCP", "UDP", "SCTP"])),
    works("ha_suspend", 0, "flag (not with fwmark)"),
    works("smtp_alert", 0, "[BOOL]").takes(Bool),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("snmp_name", 1, "STRING").takes(Text).lenient(),
    works("alpha", 0, ""),
    works("omega", 0, ""),
    works("active_set", 1, "NAME (a keyword of holdfast)").takes(Text),
    works("quorum_up", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("quorum_down", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("quorum", 1, "1.. (cut to total weight)").takes(Number(1, U32)),
    works("hysteresis", 1, "0.. (cut to quorum-1)").takes(Number(0, U32)),
    works("weight", 1, "1..2147483647").takes(Number(1, I32)),
    works("sorry_server", 1, "ADDR [PORT]").takes(Words),
    works("sorry_server_inhibit", 0, "flag, after sorry_server"),
    works("sorry_server_lvs_method", 1, "as lvs_method, after sorry_server").takes(Words),
    works("slow_start", 1, "SECS 0..3600 (a keyword of holdfast)").takes(Seconds(0, 3600)).lenient(),
    works("min_alive", 1, "COUNT 0.. (a keyword of holdfast)").takes(Number(0, U32)).lenient(),
    works("real_server", 1, "ADDR [PORT] { block }").takes(Words).block(Place::RealServer),
];

#[rustfmt::skip]
const SCHEDULER: &[Keyword] = &[
    works("rr", 0, ""),
    works("wrr", 0, ""),
    works("lc", 0, ""),
    works("wlc", 0, ""),
    works("lblc", 0, ""),
    works("sh", 0, ""),
    works("mh", 0, ""),
    works("dh", 0, ""),
    works("fo", 0, ""),
    works("ovf", 0, ""),
    works("lblcr", 0, ""),
    works("sed", 0, ""),
    works("nq", 0, ""),
    works("twos", 0, ""),
];

#[rustfmt::skip]
const METHOD: &[Keyword] = &[
    works("NAT", 0, ""),
    works("FULLNAT", 0, "[source ADDR] (a word of holdfast)").takes(Words),
    works("source", 1, "ADDR, after FULLNAT").takes(Words),
    works("DR", 0, ""),
    works("TUN", 0, "[type T] [port N] [checksum word]").takes(Words),
    works("type", 1, "ipip|gue|gre").takes(OneOf(&["ipip", "gue", "gre"])),
    works("ipip", 0, ""),
    works("gue", 1, "requires port"),
    works("gre", 1, "no remcsum"),
    works("port", 1, "1..65535 (gue only)").takes(Number(1, 65535)),
    works("nocsum", 0, ""),
    works("csum", 0, ""),
    works("remcsum", 1, "gue only"),
];

#[rustfmt::skip]
const REAL_SERVER: &[Keyword] = &[
    works("weight", 1, "0..2147483647").takes(Number(0, I32)),
    works("lvs_method", 1, "as virtual_server").takes(Words),
    works("uthreshold", 1, "0..").takes(Number(0, U32)),
    works("lthreshold", 1, "0..").takes(Number(0, U32)),
    works("inhibit_on_failure", 0, "[BOOL]").takes(Bool),
    works("notify_up", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("notify_down", 1, "\"CMD args\" [USER [[:]GROUP]]").takes(Command),
    works("alpha", 0, "[BOOL]").takes(Bool),
    works("set", 1, "NAME (a keyword of holdfast)").takes(Text),
    works("retry", 1, "1..").takes(Number(1, U32)),
    works("delay_before_retry", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("warmup", 1, "SECS decimal").takes(Decimal(0, EVER)),
    works("connect_timeout", 1, "SECS decimal >0").takes(Decimal(1, U32 as u64)),
    works("delay_loop", 1, "SECS decimal >0").takes(Decimal(1, EVER)),
    works("smtp_alert", 0, "[BOOL]").takes(Bool),
    works("virtualhost", 1, "STRING").takes(Text).lenient(),
    works("snmp_name", 1, "STRING").takes(Text).lenient(),
    works("slow_start", 1, "SECS 0..3600 (a keyword of holdfast)").takes(Seconds(0, 3600)).lenient(),
    works("MISC_CHECK", 0, "{ block }").block(Place::MiscCheck),
    works("SMTP_CHECK", 0, "{ block }").block(Place::SmtpCheck),
    works("TCP_CHECK", 0, "{ block }").block(Place::TcpCheck),
    works("PING_CHECK", 0, "{ block }").block(Place::PingCheck),
    works("UDP_CHECK", 0, "{ block }").block(Place::UdpCheck),
    works("HTTP_GET", 0, "{ block }").block(Place::HttpGet),
    works("SSL_GET", 0, "{ block }").block(Place::SslGet),
    works("DNS_CHECK", 0, "{ block }").block(Place::DnsCheck),
    works("FILE_CHECK", 0, "{ block }").block(Place::FileCheck),
    works("BFD_CHECK", 0, "{ block }").block(Place::BfdCheck),
];
