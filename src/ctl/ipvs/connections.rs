//! The kernel's connections in ipvsadm's layout (`-Lc`), from the lines of /proc/net/ip_vs_conn. Pure.

use super::names::Names;
use crate::net::TransportProtocol;
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

/// One connection; nothing for a line that is none.
pub fn line(text: &str, engines: bool, names: &Names) -> Option<String> {
    let mut words = text.split_whitespace();
    let mut word = || words.next();
    let protocol = word()?;
    let known = match protocol {
        "TCP" => Some(TransportProtocol::Tcp),
        "UDP" => Some(TransportProtocol::Udp),
        "SCTP" => Some(TransportProtocol::Sctp),
        _ => None,
    };
    let mut end = || {
        let address = address(word()?)?;
        let port = u16::from_str_radix(word()?, 16).ok()?;
        Some(names.endpoint(SocketAddr::new(address, port), known))
    };
    let (source, service, destination) = (end()?, end()?, end()?);
    let state = word()?;
    let seconds: u64 = word()?.parse().ok()?;
    let expire = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let columns = format!("{protocol:<3} {expire:<6} {state:<11} {source:<18} {service:<18}");
    Some(match (engines, word(), word()) {
        (true, Some(engine), Some(data)) => {
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
