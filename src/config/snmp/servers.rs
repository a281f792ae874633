//! Virtual servers and their real servers to rows of virtualServerTable and realServerTable. What changes while the daemon
//! runs (states, weights, counters) is not among their columns.

use super::{Row, address_type};
use crate::config::check::{CONNECT_TIMEOUT, DELAY_LOOP};
use crate::config::lvs::forwarding;
use crate::config::notify::{self, Defaults};
use crate::net::{AddressFamily, TransportProtocol};
use crate::plan::lvs::{
    ForwardingMethod, RealServer, SorryServer, TunnelChecksum, TunnelKind, VirtualServer,
};
use crate::plan::snmp::{SnmpRealServer, SnmpVirtualServer};
use keepalived_compat::config::check::Timing;
use keepalived_compat::config::lvs as conf;
use keepalived_compat::config::lvs::{FLAG_1, FLAG_2, FLAG_3, Service};
use keepalived_compat::config::setting::{Setting, Settings as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a virtual server is made of.
const FWMARK: i32 = 1;
const ADDRESS: i32 = 2;
const GROUP: i32 = 3;

/// Kinds of real servers.
const REGULAR: i32 = 1;
const SORRY: i32 = 2;

/// The numbers of schedulers begin with 1.
const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];
const UNKNOWN_SCHEDULER: i32 = 99;

/// Columns of a virtual server and of a real one, most of which most of them have.
const MOST_OF_VIRTUAL: usize = 44;
const MOST_OF_REAL: usize = 20;

/// A virtual server with the rows of its real servers. `plan`: what was made of `written`.
pub(in crate::config) fn virtual_server(
    written: &conf::VirtualServer,
    plan: &VirtualServer,
    real_servers: Vec<SnmpRealServer>,
    defaults: &Defaults,
) -> SnmpVirtualServer {
    let mut row = Row::with_room(MOST_OF_VIRTUAL);
    let method = forwarding(written.method.map_or(conf::Method::Nat, |method| method.value));
    let family = plan.service().family();
    service(&mut row, &written.service.value, family);
    schedule(&mut row, plan, method);
    row.text(12, written.virtualhost.as_deref());
    persistence(&mut row, written, plan, family);
    let delay_loop = written.timing.delay_loop.unwrap_or(DELAY_LOOP);
    row.unsigned(16, seconds(delay_loop));
    row.on(17, plan.ha_suspend);
    row.on(18, plan.alpha);
    row.on(19, plan.omega);
    row.unsigned(20, u32::try_from(plan.real_servers.len()).unwrap_or(u32::MAX));
    row.unsigned(22, plan.quorum);
    row.text(24, script(&written.others, "quorum_up"));
    row.text(25, script(&written.others, "quorum_down"));
    row.unsigned(26, plan.hysteresis);
    row.on(37, plan.one_packet);
    granularity_number(&mut row, written, family);
    flags(&mut row, plan.scheduler_flags);
    failure(&mut row, written);
    row.on(61, notify::mail_of_service(written, defaults));
    row.on(62, plan.scheduler_flags & FLAG_1 != 0);
    row.on(63, plan.scheduler_flags & FLAG_2 != 0);
    row.unsigned(64, micros(delay_loop));
    row.unsigned(65, micros(written.timing.delay_before_retry.unwrap_or_default()));
    row.unsigned(66, micros(written.timing.warmup.unwrap_or_default()));
    row.unsigned(67, micros(written.timing.connect_timeout.unwrap_or(CONNECT_TIMEOUT)));
    tunnel(&mut row, 68, method);
    row.text(71, written.others.text("snmp_name"));
    SnmpVirtualServer {
        services: plan.keys.clone(),
        cells: row.into_cells(),
        real_servers,
        sorry_server: plan.sorry_server.as_ref().map(sorry_server),
    }
}

/// Columns 2 to 7.
fn service(row: &mut Row, service: &Service, family: AddressFamily) {
    match service {
        Service::Fwmark(mark) => {
            row.integer(2, FWMARK);
            row.unsigned(4, *mark);
            row.integer(5, address_type(family));
        }
        Service::Address { address, port } => {
            row.integer(2, ADDRESS);
            row.integer(5, address_type(family));
            row.address(6, *address);
            row.unsigned(7, (*port).into());
        }
        Service::Group(name) => {
            row.integer(2, GROUP);
            row.text(3, Some(name.as_str()));
            row.integer(5, address_type(family));
        }
    }
}

/// Columns 8 to 10. Marks alone have no protocol.
fn schedule(row: &mut Row, plan: &VirtualServer, method: ForwardingMethod) {
    let protocol = plan.protocol().map(|protocol| match protocol {
        TransportProtocol::Tcp => 1,
        TransportProtocol::Udp => 2,
        TransportProtocol::Sctp => 3,
    });
    if let Some(protocol) = protocol {
        row.integer(8, protocol);
    }
    let known = SCHEDULERS.iter().zip(1..).find(|(name, _)| **name == plan.scheduler);
    row.integer(9, known.map_or(UNKNOWN_SCHEDULER, |(_, number)| number));
    row.integer(10, method_number(method));
}

/// Columns 13 to 15.
fn persistence(row: &mut Row, written: &conf::VirtualServer, plan: &VirtualServer, family: AddressFamily) {
    row.on(13, plan.persistence.is_some());
    if let Some(persistence) = plan.persistence {
        row.unsigned(14, persistence.timeout_seconds);
    }
    if !matches!(written.service.value, Service::Address { address: IpAddr::V6(_), .. }) {
        row.octets(15, granularity(written, family));
    }
}

/// Column 51.
fn granularity_number(row: &mut Row, written: &conf::VirtualServer, family: AddressFamily) {
    if !matches!(written.service.value, Service::Address { address: IpAddr::V4(_), .. }) {
        row.unsigned(51, u32::from_le_bytes(granularity(written, family)));
    }
}

/// keepalived has four octets for both families: a netmask, or a prefix length in the order of a PC. It serves them by
/// the virtual server's address, and in both columns where there is a mark or a group.
fn granularity(written: &conf::VirtualServer, family: AddressFamily) -> [u8; 4] {
    let v6 = family == AddressFamily::V6;
    match written.granularity.map(|granularity| granularity.value) {
        Some(conf::Granularity::Prefix(bits)) if v6 => u32::from(bits).to_le_bytes(),
        Some(conf::Granularity::Netmask(mask)) if !v6 => mask.octets(),
        _ => [0xff; 4],
    }
}

/// Columns 52 to 55; nothing is ever hashed.
fn flags(row: &mut Row, flags: u32) {
    row.on(52, false);
    row.on(53, flags & FLAG_1 != 0);
    row.on(54, flags & FLAG_2 != 0);
    row.on(55, flags & FLAG_3 != 0);
}

/// Columns 56 to 60: what is written for all real servers.
fn failure(row: &mut Row, written: &conf::VirtualServer) {
    row.on(56, !written.inhibit_on_failure);
    row.unsigned(57, written.timing.retry.unwrap_or(0));
    row.unsigned(58, seconds(written.timing.delay_before_retry.unwrap_or_default()));
    row.unsigned(59, seconds(written.timing.warmup.unwrap_or_default()));
    row.integer(60, written.weight.map_or(1, |weight| i32::try_from(weight).unwrap_or(i32::MAX)));
}

/// A real server; `written` with its virtual server before it.
pub(in crate::config) fn real_server(
    (virtual_server, written): (&conf::VirtualServer, &conf::RealServer),
    plan: &RealServer,
    defaults: &Defaults,
) -> SnmpRealServer {
    let mut row = Row::with_room(MOST_OF_REAL);
    endpoint(&mut row, REGULAR, plan.endpoint);
    for (column, threshold) in [(8, plan.upper_threshold), (9, plan.lower_threshold)] {
        if threshold > 0 {
            row.unsigned(column, threshold);
        }
    }
    row.on(10, !plan.inhibit_on_failure);
    row.text(11, script(&written.others, "notify_up"));
    row.text(12, script(&written.others, "notify_down"));
    row.integer(40, method_number(plan.forwarding));
    row.text(41, written.virtualhost.as_deref());
    row.on(42, written.alpha.unwrap_or(virtual_server.alpha));
    let timing = written.timing.as_deref().copied().unwrap_or_default().or(virtual_server.timing);
    let timing = Timing {
        delay_loop: timing.delay_loop.or(Some(DELAY_LOOP)),
        connect_timeout: timing.connect_timeout.or(Some(CONNECT_TIMEOUT)),
        ..timing
    };
    checked(&mut row, timing, notify::mail_of_server(written, defaults));
    tunnel(&mut row, 52, plan.forwarding);
    row.text(55, written.others.text("snmp_name"));
    SnmpRealServer { endpoint: plan.endpoint, forwarding: plan.forwarding, cells: row.into_cells() }
}

/// The sorry server: nothing checks it, and nobody writes about it.
fn sorry_server(plan: &SorryServer) -> SnmpRealServer {
    let mut row = Row::with_room(MOST_OF_REAL);
    endpoint(&mut row, SORRY, plan.endpoint);
    row.integer(40, method_number(plan.forwarding));
    row.on(42, false);
    checked(&mut row, Timing::default(), false);
    tunnel(&mut row, 52, plan.forwarding);
    SnmpRealServer { endpoint: plan.endpoint, forwarding: plan.forwarding, cells: row.into_cells() }
}

/// Columns 2 to 5 of a real server.
fn endpoint(row: &mut Row, kind: i32, endpoint: SocketAddr) {
    row.integer(2, kind);
    row.integer(3, address_type(AddressFamily::of(endpoint.ip())));
    row.address(4, endpoint.ip());
    row.unsigned(5, endpoint.port().into());
}

/// Columns 43 to 51 of a real server. The MIB and keepalived have mail between the times.
fn checked(row: &mut Row, timing: Timing, mail: bool) {
    let Timing { delay_loop, connect_timeout, retry, delay_before_retry, warmup } = timing;
    let [delay_loop, connect_timeout, delay_before_retry, warmup] =
        [delay_loop, connect_timeout, delay_before_retry, warmup].map(Option::unwrap_or_default);
    row.unsigned(43, retry.unwrap_or(0));
    row.unsigned(44, seconds(delay_before_retry));
    row.unsigned(45, seconds(warmup));
    row.unsigned(46, seconds(delay_loop));
    row.on(47, mail);
    row.unsigned(48, micros(delay_before_retry));
    row.unsigned(49, micros(warmup));
    row.unsigned(50, micros(delay_loop));
    row.unsigned(51, micros(connect_timeout));
}

/// Three columns from `first` on, where there is a tunnel: its type, its port, its checksum.
fn tunnel(row: &mut Row, first: u32, method: ForwardingMethod) {
    let ForwardingMethod::Tunnel(kind) = method else { return };
    let (number, port, checksum) = match kind {
        TunnelKind::Ipip => (1, None, None),
        TunnelKind::Gue { port, checksum } => (2, Some(port), Some(checksum)),
        TunnelKind::Gre { checksum } => (3, None, Some(checksum)),
    };
    row.integer(first, number);
    if let Some(port) = port {
        row.unsigned(first + 1, port.into());
    }
    if let Some(checksum) = checksum {
        let number = match checksum {
            TunnelChecksum::None => 1,
            TunnelChecksum::Full => 2,
            TunnelChecksum::Remote => 3,
        };
        row.integer(first + 2, number);
    }
}

const fn method_number(method: ForwardingMethod) -> i32 {
    match method {
        ForwardingMethod::Masquerade => 1,
        ForwardingMethod::DirectRouting => 2,
        ForwardingMethod::Tunnel(_) => 3,
    }
}

/// `'/usr/bin/program' 'argument'`.
fn script(settings: &[Setting], keyword: &str) -> Option<String> {
    let words = settings.command(keyword)?.argv.iter().map(|word| format!("'{word}'"));
    Some(words.collect::<Vec<_>>().join(" "))
}

/// Whole ones.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// As many as fit.
fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
