//! `drain --wait`: looks at the kernel's table until the connections of drained servers have ended.

use crate::ctl::text::{clean, complain, plural};
use crate::lvs::traffic::orders::Touched;
use crate::net::TransportProtocol;
use crate::netlink::NetlinkError;
use crate::netlink::ipvs_raw::{RawDestination, RawIpvs, RawService};
use crate::plan::lvs::ServiceKey;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Where nobody looks on, a line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is left at the drained servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    /// Connections to wait for.
    active: u64,
    /// Others, which end by themselves.
    inactive: u64,
    /// Clients that would come back.
    persistent: u64,
    /// Destinations whose weight is not 0 yet.
    undrained: u64,
}

impl Left {
    /// UDP has no established state: there every connection counts until it runs out.
    fn add(&mut self, key: &ServiceKey, destination: &RawDestination) {
        let (active, inactive) = (u64::from(destination.active), u64::from(destination.inactive));
        let udp = matches!(key, ServiceKey::Endpoint { protocol: TransportProtocol::Udp, .. });
        self.active += if udp { active + inactive } else { active };
        self.inactive += if udp { 0 } else { inactive };
        self.persistent += u64::from(destination.persistent);
        self.undrained += u64::from(destination.weight > 0);
    }

    fn words(&self) -> String {
        let connections = plural(usize::try_from(self.active).unwrap_or(usize::MAX), "active connection");
        let mut words = format!("{connections}, {} inactive", self.inactive);
        if self.persistent > 0 {
            words += &format!(", {} persistent clients", self.persistent);
        }
        words
    }
}

/// True when the active connections of all of them have ended; false when `limit` came first.
pub fn until_drained(servers: &[Touched], limit: Option<Duration>) -> Result<bool, String> {
    let refused = |error: NetlinkError| format!("the IPVS table cannot be read, so nobody waits: {error}");
    let mut ipvs = RawIpvs::open().map_err(refused)?;
    let (begun, redraws) = (Instant::now(), std::io::stderr().is_terminal());
    let mut said: Option<(Instant, Left)> = None;
    loop {
        let left = look(&mut ipvs, servers).map_err(refused)?;
        let over = left.active == 0 && left.undrained == 0;
        let late = limit.is_some_and(|limit| begun.elapsed() >= limit);
        let due = said.is_none_or(|(when, before)| redraws && before != left || when.elapsed() >= LINE_EVERY);
        if due || over || late {
            show(&left, redraws, over || late);
            said = Some((Instant::now(), left));
        }
        if over || late {
            return Ok(over);
        }
        std::thread::sleep(PAUSE);
    }
}

fn show(left: &Left, redraws: bool, last: bool) {
    let words = clean(&left.words());
    if redraws {
        // Nobody may look any more, which is no reason to stop waiting.
        write!(std::io::stderr(), "\r\x1b[K{words}{}", if last { "\n" } else { "" }).ok();
    } else {
        complain(&words);
    }
}

/// A destination that is not there has no connections that it could go on with.
fn look(ipvs: &mut RawIpvs, servers: &[Touched]) -> Result<Left, NetlinkError> {
    let mut left = Left::default();
    let mut keys: Vec<ServiceKey> =
        servers.iter().flat_map(|server| server.services.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in &keys {
        let destinations = match ipvs.destinations(&RawService::of_key(key)) {
            Ok(destinations) => destinations,
            Err(error) if error.errno == libc::ESRCH => continue,
            Err(error) => return Err(error),
        };
        for destination in &destinations {
            let drained = |server: &Touched| {
                server.services.contains(key)
                    && server.endpoint.ip() == destination.address
                    && server.endpoint.port() == destination.port
            };
            if servers.iter().any(drained) {
                left.add(key, destination);
            }
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_waits_for_every_connection_and_tcp_for_established_ones() {
        let mut destination = RawDestination::nowhere();
        (destination.active, destination.inactive, destination.persistent) = (2, 5, 1);
        let key = |protocol| ServiceKey::Endpoint { protocol, address: [192, 0, 2, 1].into(), port: 53 };
        let left = |protocol| {
            let mut left = Left::default();
            left.add(&key(protocol), &destination);
            left
        };
        assert_eq!(
            left(TransportProtocol::Tcp).words(),
            "2 active connections, 5 inactive, 1 persistent clients"
        );
        assert_eq!(left(TransportProtocol::Udp).active, 7);
        assert_eq!(left(TransportProtocol::Tcp).undrained, 1);
    }
}
