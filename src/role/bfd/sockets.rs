//! The sockets of the bfd role: one per family and port that listens, one per session that sends.

use crate::bfd::{Event, Path, Received, SessionId};
use crate::net::AddressFamily;
use crate::plan::bfd::BfdPlan;
use crate::sys::bfd_socket::{BfdBuffers, BfdListener, BfdSender};
use crate::sys::poll::{Interest, Poller};
use crate::wire::bfd::{MULTIHOP_PORT, SINGLE_HOP_PORT};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Batches taken from one socket per wake-up: a flood to one port must not starve the others. Level-triggered polling
/// brings the rest.
const MAX_BATCHES: usize = 4;

/// Source ports of BFD (RFC 5881 4).
const FIRST_PORT: u16 = 49152;
const PORTS: u16 = u16::MAX - FIRST_PORT + 1;

/// Ports tried for one session before it is said that none is free.
const PORT_TRIES: u16 = 64;

/// Tokens from here on belong to listeners.
pub const FIRST_SOCKET_TOKEN: u64 = 16;

/// Which listener: family, and whether it is the port of multihop sessions.
pub type ListenerKey = (AddressFamily, bool);

/// All sockets.
pub struct Sockets {
    listeners: BTreeMap<ListenerKey, BfdListener>,
    /// Listeners that are wanted and cannot be opened, and why.
    deaf: BTreeMap<ListenerKey, String>,
    senders: BTreeMap<SessionId, Sender>,
    buffers: BfdBuffers,
    next_port: u16,
}

struct Sender {
    socket: BfdSender,
    source: Option<IpAddr>,
    ttl: u8,
}

impl Sockets {
    /// None yet. Source ports are tried from one that depends on `chance`.
    pub fn new(chance: u64) -> Sockets {
        Sockets {
            listeners: BTreeMap::new(),
            deaf: BTreeMap::new(),
            senders: BTreeMap::new(),
            buffers: BfdBuffers::new(),
            next_port: (chance % u64::from(PORTS)) as u16,
        }
    }

    /// Opens the listeners that are wanted and not open, and closes the others. Returns those that are newly deaf.
    pub fn listen(&mut self, wanted: &BTreeSet<ListenerKey>, poller: &Poller) -> Vec<String> {
        self.listeners.retain(|key, listener| {
            let keep = wanted.contains(key);
            if !keep {
                // Closing removes it from the poller as well; asking for it is only the tidy way.
                let _ = poller.delete(&*listener);
            }
            keep
        });
        let before = std::mem::take(&mut self.deaf);
        let mut news = Vec::new();
        for key in wanted {
            if self.listeners.contains_key(key) {
                continue;
            }
            match open_listener(*key, poller) {
                Ok(listener) => drop(self.listeners.insert(*key, listener)),
                Err(error) => {
                    let why = deafness(*key, &error);
                    news.extend((before.get(key) != Some(&why)).then(|| why.clone()));
                    self.deaf.insert(*key, why);
                }
            }
        }
        news
    }

    /// Is a listener missing?
    pub fn is_deaf(&self) -> bool {
        !self.deaf.is_empty()
    }

    /// Why sessions of this kind hear nothing, if so.
    pub fn deafness(&self, key: ListenerKey) -> Option<&str> {
        self.deaf.get(&key).map(String::as_str)
    }

    /// Takes what the listener with this token has, as events.
    pub fn receive(&mut self, token: u64, events: &mut Vec<Event>) -> io::Result<()> {
        let Some(key) = key_of(token) else { return Ok(()) };
        let Some(listener) = self.listeners.get(&key) else { return Ok(()) };
        for _ in 0..MAX_BATCHES {
            if listener.receive_batch(&mut self.buffers)? == 0 {
                break;
            }
            events.extend(self.buffers.datagrams().map(|datagram| {
                Event::Packet(Received {
                    source: datagram.source,
                    hop_limit: datagram.hop_limit,
                    multihop: key.1,
                    bytes: datagram.bytes.to_vec(),
                })
            }));
        }
        Ok(())
    }

    /// Closes the listener with this token; [`Sockets::listen`] opens it anew.
    pub fn forget(&mut self, token: u64) {
        key_of(token).and_then(|key| self.listeners.remove(&key));
    }

    /// Sends a packet of a session; its socket is opened with the first one.
    pub fn send(&mut self, session: SessionId, path: Path, bytes: &[u8]) -> io::Result<()> {
        let stale = self.senders.get(&session).is_some_and(|sender| sender.source != path.source);
        if stale || !self.senders.contains_key(&session) {
            let socket = self.open_sender(path)?;
            socket.set_ttl(path.ttl)?;
            self.senders.insert(session, Sender { socket, source: path.source, ttl: path.ttl });
        }
        let Some(sender) = self.senders.get_mut(&session) else { return Ok(()) };
        if sender.ttl != path.ttl {
            sender.socket.set_ttl(path.ttl)?;
            sender.ttl = path.ttl;
        }
        sender.socket.send(SocketAddr::new(path.neighbor, port(path.multihop)), bytes)
    }

    /// The session is gone.
    pub fn close(&mut self, session: SessionId) {
        self.senders.remove(&session);
    }

    fn open_sender(&mut self, path: Path) -> io::Result<BfdSender> {
        let family = AddressFamily::of(path.neighbor);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..PORT_TRIES {
            let port = FIRST_PORT + self.next_port;
            self.next_port = (self.next_port + 1) % PORTS;
            match BfdSender::open(family, path.source, port) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                result => return result,
            }
        }
        Err(last)
    }
}

/// The listeners that the sessions of a plan need.
pub fn wanted(plan: &BfdPlan) -> BTreeSet<ListenerKey> {
    plan.sessions.iter().map(|session| (AddressFamily::of(session.neighbor), session.multihop)).collect()
}

const fn port(multihop: bool) -> u16 {
    if multihop { MULTIHOP_PORT } else { SINGLE_HOP_PORT }
}

fn open_listener(key: ListenerKey, poller: &Poller) -> io::Result<BfdListener> {
    let listener = BfdListener::open(key.0, port(key.1))?;
    poller.add(&listener, token(key), Interest::Read)?;
    Ok(listener)
}

fn deafness((family, multihop): ListenerKey, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => ": another program speaks BFD on this machine (ss -ulnp)",
        _ => "",
    };
    format!("nothing is heard on {family} UDP port {}: {error}{hint}", port(multihop))
}

fn token((family, multihop): ListenerKey) -> u64 {
    FIRST_SOCKET_TOKEN + u64::from(family == AddressFamily::V6) + 2 * u64::from(multihop)
}

fn key_of(token: u64) -> Option<ListenerKey> {
    let number = token.checked_sub(FIRST_SOCKET_TOKEN).filter(|number| *number < 4)?;
    let family = if number % 2 == 1 { AddressFamily::V6 } else { AddressFamily::V4 };
    Some((family, number >= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_listener() {
        let keys = [AddressFamily::V4, AddressFamily::V6].map(|f| [(f, false), (f, true)]);
        for key in keys.into_iter().flatten() {
            assert_eq!(key_of(token(key)), Some(key));
        }
        assert_eq!(key_of(FIRST_SOCKET_TOKEN - 1), None);
        assert_eq!(key_of(FIRST_SOCKET_TOKEN + 4), None);
    }

    #[test]
    fn each_session_sends_from_a_port_of_its_own_in_the_range_of_the_rfc() {
        // A port that nobody listens on: what matters is only which ports the senders took.
        let mut sockets = Sockets::new(16_383);
        let path = Path {
            source: Some(IpAddr::from([127, 0, 0, 1])),
            neighbor: IpAddr::from([127, 0, 0, 1]),
            multihop: true,
            ttl: 255,
        };
        for id in 0..3 {
            sockets.send(SessionId(id), path, &[0; 24]).expect("loopback takes it");
        }
        assert_eq!(sockets.senders.len(), 3);
        assert!(sockets.next_port <= 66, "the ports after the last one are the first ones");
        sockets.close(SessionId(1));
        assert_eq!(sockets.senders.len(), 2);
    }
}
