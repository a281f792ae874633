//! `drain --wait`: looks at the kernel's table until the connections of drained servers have ended.

use crate::ctl::text::{clean, complain, plural};
use crate::lvs::traffic::orders::Touched;
use crate::net::TransportProtocol;
use crate::netlink::NetlinkError;
use crate::netlink::ipvs_raw::{MASQUERADE, RawDestination, RawIpvs, RawService};
use crate::plan::lvs::ServiceKey;
use crate::report::TableHome;
use crate::role::ipvs_worker::AUDIT_INTERVAL;
use crate::role::namespace::enter_table;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Where nobody looks on, a line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A drain is in the table long before this; a weight that is above 0 even then has not been drained, or no longer is.
const FOLLOWS: Duration = Duration::from_secs(60);

/// Who takes a row out of the table by hand sees it put back by the next audit, with its connections: one that stays
/// away longer was taken out on purpose.
const STAYS_AWAY: Duration = Duration::from_secs(AUDIT_INTERVAL.as_secs() + 2);

/// A destination in the table.
type Row = (ServiceKey, SocketAddr);

/// What is left at the drained servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Left {
    /// Established connections.
    active: u64,
    /// Others.
    inactive: u64,
    /// Of the others, those to wait for.
    awaited: u64,
    /// Clients that would come back.
    persistent: u64,
    /// Servers that a service should have and has not.
    missing: u64,
    /// Destinations whose weight is 0.
    drained: BTreeSet<Row>,
    /// Destinations whose weight is not 0.
    undrained: BTreeMap<Row, u32>,
}

impl Left {
    /// TCP and SCTP have an established state. UDP has none, and what a mark of somebody's stands for is not known: there
    /// every connection counts until it runs out. `protocol`: what a mark of ours stands for.
    fn add(&mut self, key: &ServiceKey, protocol: Option<TransportProtocol>, destination: &RawDestination) {
        let inactive = u64::from(destination.inactive);
        self.active += u64::from(destination.active);
        self.inactive += inactive;
        self.awaited += match key.protocol().or(protocol) {
            Some(TransportProtocol::Tcp | TransportProtocol::Sctp) => 0,
            Some(TransportProtocol::Udp) | None => inactive,
        };
        self.persistent += u64::from(destination.persistent);
        let row = (*key, SocketAddr::new(destination.address, destination.port));
        if destination.weight == 0 {
            self.drained.insert(row);
        } else {
            self.undrained.insert(row, destination.weight);
        }
    }

    fn words(&self) -> String {
        let count = |n: u64, word| plural(usize::try_from(n).unwrap_or(usize::MAX), word);
        let mut words = format!("{}, {} inactive", count(self.active, "active connection"), self.inactive);
        if self.awaited > 0 {
            words += " (waited for as well: of UDP, or of a mark)";
        }
        if self.persistent > 0 {
            words += &format!(", {}", count(self.persistent, "persistent client"));
        }
        if self.missing > 0 {
            words += &format!(", {} not in the table", count(self.missing, "destination"));
        }
        words
    }
}

/// How a wait ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The connections have ended.
    Drained,
    /// The limit came first.
    Late,
    /// It takes connections again, for this reason.
    Undone(String),
}

/// What was seen before.
#[derive(Debug, Default)]
struct Seen {
    /// Destinations that had weight 0.
    drained: BTreeSet<Row>,
    /// Since when some are missing.
    missing_since: Option<Duration>,
}

impl Seen {
    /// Is it over? `elapsed`: since the wait began.
    fn judge(&mut self, left: &Left, elapsed: Duration, limit: Option<Duration>) -> Option<End> {
        if let Some(((key, server), weight)) =
            left.undrained.iter().find(|(row, _)| self.drained.contains(row) || elapsed >= FOLLOWS)
        {
            let again = if self.drained.contains(&(*key, *server)) { "again" } else { "still" };
            return Some(End::Undone(format!(
                "{server} has {again} weight {weight} at {key}: it takes new connections, so nobody waits any longer \
                 (holdfastctl overrides lists what is drained)"
            )));
        }
        self.drained.extend(left.drained.iter().copied());
        self.missing_since = if left.missing > 0 { self.missing_since.or(Some(elapsed)) } else { None };
        let stays_away = self.missing_since.is_none_or(|since| elapsed.saturating_sub(since) >= STAYS_AWAY);
        if left.active == 0 && left.awaited == 0 && left.undrained.is_empty() && stays_away {
            return Some(End::Drained);
        }
        limit.filter(|limit| elapsed >= *limit).map(|_| End::Late)
    }
}

/// True when the connections of all of them have ended; false when `limit` came first, or the end of the drain. `home`:
/// where the table is.
pub fn until_drained(
    servers: &[Touched],
    home: Option<&TableHome>,
    limit: Option<Duration>,
) -> Result<bool, String> {
    let refused = |error: NetlinkError| format!("the IPVS table cannot be read, so nobody waits: {error}");
    // A look into another table would find no connection.
    home.map_or(Ok(()), enter_table).map_err(|why| format!("nobody waits: {why}"))?;
    let mut ipvs = RawIpvs::open().map_err(refused)?;
    let (begun, redraws) = (Instant::now(), std::io::stderr().is_terminal());
    let mut seen = Seen::default();
    let mut said: Option<(Instant, String)> = None;
    loop {
        let left = look(&mut ipvs, servers).map_err(refused)?;
        let end = seen.judge(&left, begun.elapsed(), limit);
        let words = clean(&left.words());
        let due = said
            .as_ref()
            .is_none_or(|(when, before)| redraws && *before != words || when.elapsed() >= LINE_EVERY);
        if due || end.is_some() {
            show(&words, redraws, end.is_some());
            said = Some((Instant::now(), words));
        }
        match end {
            Some(End::Undone(why)) => {
                complain(&format!("holdfastctl: {}", clean(&why)));
                return Ok(false);
            }
            Some(end) => return Ok(end == End::Drained),
            None => std::thread::sleep(PAUSE),
        }
    }
}

fn show(words: &str, redraws: bool, last: bool) {
    if redraws {
        // Nobody may look any more, which is no reason to stop waiting.
        write!(std::io::stderr(), "\r\x1b[K{words}{}", if last { "\n" } else { "" }).ok();
    } else {
        complain(words);
    }
}

/// What the table has of `servers` now.
fn look(ipvs: &mut RawIpvs, servers: &[Touched]) -> Result<Left, NetlinkError> {
    let mut left = Left::default();
    let mut keys: Vec<ServiceKey> =
        servers.iter().flat_map(|server| server.services.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in &keys {
        let destinations = match ipvs.destinations(&RawService::of_key(key)) {
            Ok(destinations) => destinations,
            Err(error) if error.errno == libc::ESRCH => Vec::new(),
            Err(error) => return Err(error),
        };
        look_at(key, &destinations, servers, &mut left);
    }
    Ok(left)
}

/// Adds what `destinations`, those of the service `key`, have of `servers`.
fn look_at(key: &ServiceKey, destinations: &[RawDestination], servers: &[Touched], left: &mut Left) {
    let here: Vec<&Touched> = servers.iter().filter(|server| server.services.contains(key)).collect();
    for destination in destinations {
        if let Some(server) = here.iter().find(|server| is_of(destination, server)) {
            left.add(key, server.protocol, destination);
        }
    }
    let missing = here.iter().filter(|server| !destinations.iter().any(|one| is_of(one, server)));
    left.missing += missing.count() as u64;
}

/// Only NAT has ports of the servers' own.
fn is_of(destination: &RawDestination, server: &Touched) -> bool {
    let port = destination.forwarding != MASQUERADE || server.endpoint.port() == destination.port;
    server.endpoint.ip() == destination.address && port
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::AddressFamily;
    use crate::netlink::ipvs_raw::DIRECT;
    use std::net::IpAddr;

    const MARK: ServiceKey = ServiceKey::FwMark { family: AddressFamily::V4, mark: 7 };

    fn key(protocol: TransportProtocol) -> ServiceKey {
        ServiceKey::Endpoint { protocol, address: [192, 0, 2, 1].into(), port: 53 }
    }

    fn server(services: Vec<ServiceKey>) -> Touched {
        let address: IpAddr = [10, 0, 0, 1].into();
        let endpoint = SocketAddr::new(address, 80);
        Touched { virtual_server: "group web".into(), services, endpoint, protocol: None }
    }

    /// A row of [`server`].
    fn row(weight: u32, active: u32, inactive: u32) -> RawDestination {
        let address = [10, 0, 0, 1].into();
        RawDestination { address, port: 80, weight, active, inactive, ..RawDestination::nowhere() }
    }

    fn left(destinations: &[RawDestination]) -> Left {
        let tcp = key(TransportProtocol::Tcp);
        let mut left = Left::default();
        look_at(&tcp, destinations, &[server(vec![tcp])], &mut left);
        left
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_destination_that_keeps_the_services_port_is_its_servers() {
        let destination = |forwarding| RawDestination { port: 443, forwarding, ..row(0, 0, 0) };
        assert!(is_of(&destination(DIRECT), &server(Vec::new())));
        assert!(!is_of(&destination(MASQUERADE), &server(Vec::new())));
    }

    #[test]
    fn udp_waits_for_every_connection_and_tcp_for_established_ones() {
        let destination = RawDestination { persistent: 1, ..row(1, 2, 5) };
        let left = |key: ServiceKey, protocol| {
            let mut left = Left::default();
            left.add(&key, protocol, &destination);
            left
        };
        let tcp = left(key(TransportProtocol::Tcp), None);
        assert_eq!(tcp.words(), "2 active connections, 5 inactive, 1 persistent client");
        assert_eq!((tcp.awaited, tcp.undrained.len()), (0, 1));
        assert_eq!(left(key(TransportProtocol::Udp), None).awaited, 5);
        // A mark of ours is known by what it stands for; any other may stand for UDP.
        assert_eq!(left(MARK, Some(TransportProtocol::Udp)).awaited, 5);
        assert_eq!(left(MARK, Some(TransportProtocol::Tcp)).awaited, 0);
        assert_eq!(left(MARK, None).awaited, 5);
    }

    #[test]
    fn connections_without_an_established_state_keep_it_waiting() {
        let mut inactive = Left::default();
        look_at(&MARK, &[row(0, 0, 1)], &[server(vec![MARK])], &mut inactive);
        assert_eq!(Seen::default().judge(&inactive, at(1), None), None);
        assert_eq!(Seen::default().judge(&inactive, at(1), Some(at(1))), Some(End::Late));
        assert_eq!(Seen::default().judge(&left(&[row(0, 0, 1)]), at(1), None), Some(End::Drained));
    }

    #[test]
    fn the_wait_ends_with_the_drain() {
        let mut seen = Seen::default();
        assert_eq!(seen.judge(&left(&[row(3, 1, 0)]), at(0), None), None, "not yet drained");
        assert_eq!(seen.judge(&left(&[row(0, 1, 0)]), at(1), None), None);
        let Some(End::Undone(why)) = seen.judge(&left(&[row(3, 0, 0)]), at(2), None) else {
            panic!("it goes on although the drain is over");
        };
        assert!(why.starts_with("10.0.0.1:80 has again weight 3 at TCP 192.0.2.1:53"), "{why}");
        // It never came about.
        let mut seen = Seen::default();
        assert_eq!(seen.judge(&left(&[row(3, 1, 0)]), at(59), None), None);
        assert!(matches!(seen.judge(&left(&[row(3, 1, 0)]), at(60), None), Some(End::Undone(_))));
    }

    #[test]
    fn a_row_that_is_gone_is_believed_when_no_audit_brings_it_back() {
        let mut seen = Seen::default();
        assert_eq!(seen.judge(&left(&[row(0, 1, 0)]), at(0), None), None);
        assert_eq!(left(&[]).words(), "0 active connections, 0 inactive, 1 destination not in the table");
        for (second, rows) in [(1, vec![]), (9, vec![]), (10, vec![row(0, 1, 0)]), (14, vec![]), (25, vec![])]
        {
            assert_eq!(seen.judge(&left(&rows), at(second), None), None, "{second}");
        }
        assert_eq!(seen.judge(&left(&[]), at(26), None), Some(End::Drained));
    }
}
