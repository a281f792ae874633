//! What ipvsadm lists, as JSON. Services are written as they are read, so that a large table is never held as text.

use super::grammar::{Format, Subject};
use super::perform::{Failure, Stage, connection_lines};
use super::{connections, listing};
use crate::netlink::ipvs_codec::Stats;
use crate::netlink::ipvs_raw::{
    LOCAL, MASQUERADE, ONE_PACKET, PERSISTENT, RawDestination, RawService, TUNNEL,
};
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};

/// Status of a listing that cannot be made.
const NO_LISTING: u8 = 1;

/// Writes the listing to standard output.
pub fn list(stage: &mut Stage<'_>, subject: &Subject, format: &Format) -> Result<(), Failure> {
    let refused = |error| Failure::Refused(error, NO_LISTING);
    let mut out = BufWriter::new(io::stdout().lock());
    match subject {
        Subject::Everything => {
            let info = stage.ipvs.info().map_err(refused)?;
            let (major, minor, patch) = info.version;
            write!(
                out,
                "{{\n  \"version\": \"{major}.{minor}.{patch}\",\n  \"size\": {},\n  \"services\": [",
                info.table_size
            )?;
            for (index, service) in stage.services(format).map_err(refused)?.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(out, "{comma}\n    ")?;
                write_service(stage, service, format, &mut out)?;
            }
            writeln!(out, "\n  ]\n}}")?;
        }
        Subject::Service(key) => {
            let service = stage.ipvs.service(key).map_err(refused)?;
            write_service(stage, &service, format, &mut out)?;
            writeln!(out)?;
        }
        Subject::Timeouts => {
            let timeouts = stage.ipvs.timeouts().map_err(refused)?;
            let value = json!({
                "tcp_seconds": timeouts.tcp, "tcp_fin_seconds": timeouts.tcp_fin, "udp_seconds": timeouts.udp,
            });
            writeln!(out, "{value}")?;
        }
        Subject::Daemons => {
            let daemons = stage.ipvs.daemons().map_err(refused)?;
            let values: Vec<Value> = daemons
                .iter()
                .map(|daemon| {
                    json!({
                        "state": if daemon.state == 1 { "master" } else { "backup" },
                        "interface": daemon.interface, "syncid": daemon.syncid, "maxlen": daemon.maxlen,
                        "group": daemon.group, "port": daemon.port, "ttl": daemon.ttl,
                    })
                })
                .collect();
            writeln!(out, "{}", Value::from(values))?;
        }
        Subject::Connections => {
            let mut separator = "[";
            for text in connection_lines()? {
                let text = text?;
                if let Some(connection) = connections::read(&text) {
                    write!(out, "{separator}\n  {}", json!(connection))?;
                    separator = ",";
                }
            }
            writeln!(out, "{}\n]", if separator == "[" { "[" } else { "" })?;
        }
    }
    out.flush()?;
    Ok(())
}

fn write_service(
    stage: &mut Stage<'_>,
    service: &RawService,
    format: &Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let destinations = stage.destinations(service, format)?;
    let head = service_value(service).to_string();
    // The object is left open for its destinations.
    write!(out, "{},\"destinations\":[", head.strip_suffix('}').unwrap_or(&head))?;
    for (index, destination) in destinations.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}\n      {}", destination_value(destination))?;
    }
    write!(out, "]}}")?;
    Ok(())
}

fn service_value(service: &RawService) -> Value {
    let persistent = service.flags & PERSISTENT != 0;
    let place = match service.mark {
        0 => json!({
            "protocol": listing::protocol(service).map(|protocol| protocol.to_string().to_lowercase()),
            "address": service.address, "port": service.port,
        }),
        mark => json!({ "mark": mark, "family": service.family.to_string() }),
    };
    json!({
        "key": place,
        "scheduler": service.scheduler,
        "scheduler_flags": listing::scheduler_flags(service),
        "persistence_seconds": persistent.then_some(service.timeout),
        "persistence_mask": persistent.then(|| listing::mask(service)).flatten(),
        "persistence_engine": (!service.engine.is_empty()).then_some(&service.engine),
        "one_packet": service.flags & ONE_PACKET != 0,
        "stats": stats(&service.stats),
    })
}

fn destination_value(destination: &RawDestination) -> Value {
    let tunnel = (destination.forwarding == TUNNEL).then(|| {
        json!({
            "type": match destination.tunnel_kind { 1 => "gue", 2 => "gre", _ => "ipip" },
            "port": destination.tunnel_port,
            "checksum": match destination.tunnel_flags { 0 => "none", 1 => "full", _ => "remote" },
        })
    });
    json!({
        "address": destination.address,
        "port": destination.port,
        "forwarding": match destination.forwarding {
            MASQUERADE => "masquerade",
            LOCAL => "local",
            TUNNEL => "tunnel",
            _ => "direct_routing",
        },
        "tunnel": tunnel,
        "weight": destination.weight,
        "upper_threshold": destination.upper_threshold,
        "lower_threshold": destination.lower_threshold,
        "active_connections": destination.active,
        "inactive_connections": destination.inactive,
        "persistent_connections": destination.persistent,
        "stats": stats(&destination.stats),
    })
}

fn stats(stats: &Stats) -> Value {
    json!({
        "connections": stats.connections,
        "in_packets": stats.in_packets,
        "out_packets": stats.out_packets,
        "in_bytes": stats.in_bytes,
        "out_bytes": stats.out_bytes,
        "connections_per_second": stats.connection_rate,
        "in_packets_per_second": stats.in_packet_rate,
        "out_packets_per_second": stats.out_packet_rate,
        "in_bytes_per_second": stats.in_byte_rate,
        "out_bytes_per_second": stats.out_byte_rate,
    })
}
