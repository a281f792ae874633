//! The kernel's connections in ipvsadm's layout (`-Lc`), from the lines of /proc/net/ip_vs_conn. Pure.

use super::names::Names;
use crate::net::TransportProtocol;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The heads of the columns; `engines`: with what persistence engines keep.
pub fn heading(engines: bool) -> String {
    let columns = format!("pro expire {:<11} {:<18} {:<18}", "state", "source", "virtual");
    match engines {
        true => {
            format!("IPVS connection entries\n{columns} {:<18} {:<16} pe_data\n", "destination", "pe name")
        }
        false => format!("IPVS connection entries\n{columns} destination\n"),
    }
}

/// A connection as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Connection<'a> {
    /// `TCP` and so on.
    pub protocol: &'a str,
    /// As the kernel calls it.
    pub state: &'a str,
    /// The client.
    pub source: SocketAddr,
    /// The service.
    pub service: SocketAddr,
    /// The server.
    pub destination: SocketAddr,
    /// Seconds that are left unless there are packets.
    pub expires_seconds: u64,
    /// What keeps it together with others, and its word for them.
    pub persistence_engine: Option<(&'a str, &'a str)>,
}

/// One line of the kernel's list; nothing for a line that is no connection.
pub fn read(text: &str) -> Option<Connection<'_>> {
    let mut words = text.split_whitespace();
    let mut word = || words.next();
    let protocol = word()?;
    let mut end = || {
        let address = address(word()?)?;
        let port = u16::from_str_radix(word()?, 16).ok()?;
        Some(SocketAddr::new(address, port))
    };
    let (source, service, destination) = (end()?, end()?, end()?);
    let state = word()?;
    let expires_seconds = word()?.parse().ok()?;
    let persistence_engine = word().zip(word());
    Some(Connection { protocol, state, source, service, destination, expires_seconds, persistence_engine })
}

/// One connection; nothing for a line that is none.
pub fn line(text: &str, engines: bool, names: &Names) -> Option<String> {
    let connection = read(text)?;
    let Connection { protocol, state, expires_seconds: seconds, .. } = connection;
    let known = match protocol {
        "TCP" => Some(TransportProtocol::Tcp),
        "UDP" => Some(TransportProtocol::Udp),
        "SCTP" => Some(TransportProtocol::Sctp),
        _ => None,
    };
    let end = |endpoint| names.endpoint(endpoint, known);
    let (source, service) = (end(connection.source), end(connection.service));
    let destination = end(connection.destination);
    let expire = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let columns = format!("{protocol:<3} {expire:<6} {state:<11} {source:<18} {service:<18}");
    Some(match (engines, connection.persistence_engine) {
        (true, Some((engine, data))) => {
            format!("{columns} {destination:<16} {engine:<18} {data}\n")
        }
        _ => format!("{columns} {destination}\n"),
    })
}

/// Eight hexadecimal digits, or IPv6 in brackets.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse().ok();
    }
    if text.contains(':') {
        return text.parse().ok();
    }
    u32::from_str_radix(text, 16).ok().map(|bits| Ipv4Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_of_each_family_and_what_is_none() {
        let names = Names::default();
        let v4 = "TCP C0000201 C350 0A000001 0050 0A010001 1F90 ESTABLISHED     895";
        assert_eq!(
            line(v4, false, &names).as_deref(),
            Some("TCP 14:55  ESTABLISHED 192.0.2.1:50000    10.0.0.1:80        10.1.0.1:8080\n")
        );
        let v6 = "UDP [2001:0db8:0000:0000:0000:0000:0000:0001] 1389 \
                  [2001:0db8:0000:0000:0000:0000:0000:0002] 13C4 \
                  [2001:0db8:0000:0000:0000:0000:0000:0003] 13C4 UDP         60 sip call-1";
        assert_eq!(
            line(v6, true, &names).as_deref(),
            Some(
                "UDP 01:00  UDP         [2001:db8::1]:5001 [2001:db8::2]:5060 [2001:db8::3]:5060 sip                call-1\n"
            )
        );
        assert_eq!(
            line(
                "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData",
                true,
                &names
            ),
            None
        );
    }
}
