//! The table in ipvsadm's layouts (ipvsadm 1.31), trailing blanks included. Pure.

use super::grammar::Format;
use super::names::Names;
use crate::net::{AddressFamily, TransportProtocol};
use crate::netlink::ipvs_codec::{Info, Stats};
use crate::netlink::ipvs_raw::{
    DIRECT, LOCAL, MASQUERADE, ONE_PACKET, PERSISTENT, RawDaemon, RawDestination, RawService, RawTimeouts,
    TUNNEL,
};
use std::net::{Ipv4Addr, SocketAddr};

/// The first line of a whole listing.
pub fn version(info: &Info) -> String {
    let (major, minor, patch) = info.version;
    format!("IP Virtual Server version {major}.{minor}.{patch} (size={})\n", info.table_size)
}

/// The heads of the columns.
pub fn heading(format: &Format) -> String {
    let columns = |names: [&str; 5]| {
        let [a, b, c, d, e] = names;
        format!(
            "{:<33} {a:>8} {b:>8} {c:>8} {d:>8} {e:>8}\n  -> RemoteAddress:Port\n",
            "Prot LocalAddress:Port"
        )
    };
    if format.stats {
        columns(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"])
    } else if format.rate {
        columns(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"])
    } else if format.thresholds {
        format!(
            "{:<33} {:<10} {:<10} {:<10} {:<10}\n  -> RemoteAddress:Port\n",
            "Prot LocalAddress:Port", "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
        )
    } else if format.persistent {
        format!(
            "{:<33} {:<9} {:<11} {:<10} {:<10}\n  -> RemoteAddress:Port\n",
            "Prot LocalAddress:Port", "Weight", "PersistConn", "ActiveConn", "InActConn"
        )
    } else if format.tunnels {
        "Prot LocalAddress:Port Scheduler Flags\n\
         \x20 -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
            .to_owned()
    } else {
        "Prot LocalAddress:Port Scheduler Flags\n\
         \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
            .to_owned()
    }
}

/// The line of a service.
pub fn service_line(service: &RawService, format: &Format, names: &Names) -> String {
    let name = service_name(service, names);
    if format.stats {
        return format!("{name:<33}{}\n", counters(&service.stats, format.exact));
    }
    if format.rate {
        return format!("{name:<33}{}\n", rates(&service.stats, format.exact));
    }
    let mut line = format!("{name} {}", service.scheduler);
    let flags = scheduler_flags(service);
    if !flags.is_empty() {
        line += &format!(" ({})", flags.join(","));
    }
    // Engine and mask are only told of where they matter.
    if service.flags & PERSISTENT != 0 {
        line += &format!(" persistent {}", service.timeout);
        if let Some(mask) = mask(service) {
            line += &format!(" mask {mask}");
        }
        if !service.engine.is_empty() {
            line += &format!(" pe {}", service.engine);
        }
    }
    if service.flags & ONE_PACKET != 0 {
        line += " ops";
    }
    line + "\n"
}

/// The line of a destination.
pub fn destination_line(
    destination: &RawDestination,
    service: &RawService,
    format: &Format,
    names: &Names,
) -> String {
    let endpoint = SocketAddr::new(destination.address, destination.port);
    let name = names.endpoint(endpoint, protocol(service));
    let RawDestination { weight, active, inactive, persistent, upper_threshold, lower_threshold, .. } =
        destination;
    let weight = i32::from_ne_bytes(weight.to_ne_bytes());
    let forward = forward(destination.forwarding);
    if format.stats {
        format!("  -> {name:<28}{}\n", counters(&destination.stats, format.exact))
    } else if format.rate {
        format!("  -> {name:<28}{}\n", rates(&destination.stats, format.exact))
    } else if format.thresholds {
        format!("  -> {name:<28} {upper_threshold:<10} {lower_threshold:<10} {active:<10} {inactive:<10}\n")
    } else if format.persistent {
        format!("  -> {name:<28} {weight:<9} {persistent:<11} {active:<10} {inactive:<10}\n")
    } else if format.tunnels {
        let tunnel = tunnel(destination);
        format!("  -> {name:<28} {forward:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}\n")
    } else {
        format!("  -> {name:<28} {forward:<7} {weight:<6} {active:<10} {inactive:<10}\n")
    }
}

/// The timeouts.
pub fn timeouts(timeouts: &RawTimeouts) -> String {
    let RawTimeouts { tcp, tcp_fin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n")
}

/// A synchronisation daemon.
pub fn daemon(daemon: &RawDaemon) -> String {
    let state = if daemon.state == 1 { "master" } else { "backup" };
    let mut line = format!("{state} sync daemon (mcast={}, syncid={}", daemon.interface, daemon.syncid);
    if daemon.maxlen != 0 {
        line += &format!(", maxlen={}", daemon.maxlen);
    }
    if let Some(group) = daemon.group {
        line += &format!(", group={group}");
    }
    if daemon.port != 0 {
        line += &format!(", port={}", daemon.port);
    }
    if daemon.ttl != 0 {
        line += &format!(", ttl={}", daemon.ttl);
    }
    line + ")\n"
}

/// The service's protocol, where ports have names.
pub fn protocol(service: &RawService) -> Option<TransportProtocol> {
    if service.mark != 0 {
        return None;
    }
    u8::try_from(service.protocol).ok().and_then(TransportProtocol::from_number)
}

/// The flags by the names that their scheduler gives them. Of `sh` and `mh`, which have no use for it, the third is not
/// told of, as there.
pub fn scheduler_flags(service: &RawService) -> Vec<&'static str> {
    let names: &[&str] = match service.scheduler.as_str() {
        "sh" => &["sh-fallback", "sh-port"],
        "mh" => &["mh-fallback", "mh-port"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let bits = [0x08, 0x10, 0x20].into_iter().zip(names);
    bits.filter(|(bit, _)| service.flags & bit != 0).map(|(_, name)| *name).collect()
}

/// The persistence mask, unless it is a host's.
pub fn mask(service: &RawService) -> Option<String> {
    match service.family {
        AddressFamily::V4 => {
            (service.netmask != [255; 4]).then(|| Ipv4Addr::from(service.netmask).to_string())
        }
        AddressFamily::V6 => {
            let bits = u32::from_ne_bytes(service.netmask);
            (bits != 128).then(|| bits.to_string())
        }
    }
}

fn service_name(service: &RawService, names: &Names) -> String {
    if service.mark != 0 {
        return match service.family {
            AddressFamily::V4 => format!("FWM  {}", i32::from_ne_bytes(service.mark.to_ne_bytes())),
            AddressFamily::V6 => format!("FWM  {} IPv6", i32::from_ne_bytes(service.mark.to_ne_bytes())),
        };
    }
    let protocol = protocol(service);
    let word = protocol.map_or_else(|| "?".to_owned(), |protocol| protocol.to_string());
    format!("{word:<4} {}", names.endpoint(SocketAddr::new(service.address, service.port), protocol))
}

fn forward(method: u32) -> &'static str {
    match method {
        MASQUERADE => "Masq",
        LOCAL => "Local",
        TUNNEL => "Tunnel",
        DIRECT => "Route",
        _ => "Unknown",
    }
}

fn tunnel(destination: &RawDestination) -> String {
    let checksum = match destination.tunnel_flags {
        flags if flags & 2 != 0 => "r+c",
        flags if flags & 1 != 0 => "+c",
        _ => "-c",
    };
    match (destination.forwarding, destination.tunnel_kind) {
        (TUNNEL, 0) => "ipip".to_owned(),
        (TUNNEL, 1) => format!("gue:{}:{checksum}", destination.tunnel_port),
        (TUNNEL, 2) => format!("gre:{checksum}"),
        _ => "n/a".to_owned(),
    }
}

fn counters(stats: &Stats, exact: bool) -> String {
    [stats.connections, stats.in_packets, stats.out_packets, stats.in_bytes, stats.out_bytes]
        .map(|number| large(number, exact))
        .concat()
}

fn rates(stats: &Stats, exact: bool) -> String {
    [
        stats.connection_rate,
        stats.in_packet_rate,
        stats.out_packet_rate,
        stats.in_byte_rate,
        stats.out_byte_rate,
    ]
    .map(|number| large(number, exact))
    .concat()
}

/// A number in nine columns: from a hundred million on in thousands, and so on.
fn large(number: u64, exact: bool) -> String {
    const MILLION: u64 = 1_000_000;
    if exact {
        return format!(" {number:>8}");
    }
    // Past each bound the next unit begins.
    if number < 100 * MILLION {
        format!("{number:>9}")
    } else if number < 1000 * MILLION {
        format!("{:>8}K", number / 1000)
    } else if number < 100_000 * MILLION {
        format!("{:>8}M", number / MILLION)
    } else if number < 100_000_000 * MILLION {
        format!("{:>8}G", number / (1000 * MILLION))
    } else {
        format!("{:>8}T", number / (MILLION * MILLION))
    }
}

#[cfg(test)]
mod tests;
