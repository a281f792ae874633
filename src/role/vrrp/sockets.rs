//! The sockets of the vrrp role: one per interface and family for advertisements, one for Ethernet frames.

use crate::net::AddressFamily;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::poll::{Interest, Poller};
use crate::sys::vrrp_socket::{BATCH, Buffers, Incoming, Outgoing, VrrpSocket};
use crate::vrrp::{Event, Frame, Packet};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Batches taken from one socket per wake-up: a flood on one interface must not starve the others. Level-triggered
/// polling brings the rest.
const MAX_BATCHES: usize = 4;

/// Tokens from here on belong to sockets.
pub const FIRST_SOCKET_TOKEN: u64 = 16;

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaks {
    /// VRRP in packets of a family.
    Plain(AddressFamily),
    /// VRRP behind an authentication header, IPv4 only.
    Sealed,
}

impl std::fmt::Display for Speaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Speaks::Plain(family) => family.fmt(f),
            Speaks::Sealed => f.write_str("IPv4 AH"),
        }
    }
}

/// Which socket: interface index and what it speaks.
pub type SocketKey = (u32, Speaks);

/// What a socket must hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The interface's name.
    pub name: String,
    /// Groups to join.
    pub groups: BTreeSet<IpAddr>,
}

/// All sockets.
pub struct Sockets {
    open: BTreeMap<SocketKey, (VrrpSocket, BTreeSet<IpAddr>)>,
    ethernet: PacketSocket,
    buffers: Buffers,
    /// Datagrams whose lengths lie; they never reach the core.
    malformed: u64,
}

impl Sockets {
    /// No advertisement socket yet.
    pub fn new() -> io::Result<Sockets> {
        Ok(Sockets {
            open: BTreeMap::new(),
            ethernet: PacketSocket::open()?,
            buffers: Buffers::new(),
            malformed: 0,
        })
    }

    /// Opens what is wanted and not open. Returns what could not be opened, with the reason.
    pub fn open_all(
        &mut self,
        wanted: &BTreeMap<SocketKey, Wanted>,
        poller: &Poller,
    ) -> Vec<(SocketKey, io::Error)> {
        let mut failures = Vec::new();
        for (key, want) in wanted {
            if let Err(error) = self.ensure(*key, want, poller) {
                failures.push((*key, error));
            }
        }
        failures
    }

    /// Closes what is not wanted.
    pub fn close_others(&mut self, wanted: &BTreeMap<SocketKey, Wanted>, poller: &Poller) {
        self.open.retain(|key, (socket, _)| {
            let keep = wanted.contains_key(key);
            if !keep {
                // Closing removes it from the poller as well; asking for it is only the tidy way.
                let _ = poller.delete(&*socket);
            }
            keep
        });
    }

    fn ensure(&mut self, key: SocketKey, want: &Wanted, poller: &Poller) -> io::Result<()> {
        if let Some((socket, joined)) = self.open.get_mut(&key) {
            for group in want.groups.difference(&joined.clone()) {
                socket.join(*group)?;
                joined.insert(*group);
            }
            return Ok(());
        }
        let socket = match key.1 {
            Speaks::Plain(family) => VrrpSocket::open(key.0, &want.name, family)?,
            Speaks::Sealed => VrrpSocket::open_sealed(key.0, &want.name)?,
        };
        for group in &want.groups {
            socket.join(*group)?;
        }
        poller.add(&socket, token(key), Interest::Read)?;
        self.open.insert(key, (socket, want.groups.clone()));
        Ok(())
    }

    /// Takes what the socket with this token has: packets to `hear`, those behind an authentication header as events.
    pub fn receive(
        &mut self,
        token: u64,
        events: &mut Vec<Event>,
        mut hear: impl FnMut(Packet<'_>),
    ) -> io::Result<()> {
        let Some(key) = key_of(token) else { return Ok(()) };
        let Some((socket, _)) = self.open.get(&key) else { return Ok(()) };
        for _ in 0..MAX_BATCHES {
            let count = socket.receive_batch(&mut self.buffers)?;
            if key.1 == Speaks::Sealed {
                for packet in self.buffers.whole_packets() {
                    match packet {
                        Some(packet) => {
                            events.push(Event::Sealed { interface: key.0, packet: packet.to_vec() });
                        }
                        None => self.malformed += 1,
                    }
                }
            } else {
                for packet in self.buffers.packets() {
                    match packet {
                        Some(Incoming { source, destination, hop_limit, bytes }) => {
                            hear(Packet { interface: key.0, source, destination, hop_limit, bytes });
                        }
                        None => self.malformed += 1,
                    }
                }
            }
            // The socket is empty, or was a moment ago; polling is level-triggered.
            if count < BATCH {
                break;
            }
        }
        Ok(())
    }

    /// Sends frames: advertisements first, batched per socket, then Ethernet frames. Returns a sentence per failure,
    /// in which `name` says what an interface is called.
    pub fn transmit(&self, frames: &[&Frame], name: impl Fn(u32) -> String) -> Vec<String> {
        let mut adverts: BTreeMap<SocketKey, Vec<Outgoing<'_>>> = BTreeMap::new();
        let mut sealed: BTreeMap<SocketKey, Vec<(Ipv4Addr, &[u8])>> = BTreeMap::new();
        let mut ethernet: Vec<(u32, &[u8])> = Vec::new();
        for frame in frames {
            match frame {
                Frame::Advertisement { interface, source, destination, hop_limit, bytes } => {
                    let key = (*interface, Speaks::Plain(AddressFamily::of(*destination)));
                    let (source, destination, hop_limit) = (*source, *destination, *hop_limit);
                    let message = Outgoing { source, destination, hop_limit, bytes };
                    adverts.entry(key).or_default().push(message);
                }
                Frame::Sealed { interface, destination, packet } => {
                    sealed.entry((*interface, Speaks::Sealed)).or_default().push((*destination, packet));
                }
                Frame::Ethernet { interface, bytes } => ethernet.push((*interface, bytes)),
            }
        }
        let mut failures = Vec::new();
        let mut missing = |key: &SocketKey| {
            let sentence =
                format!("advertisement on {} not sent: its {} socket is not open", name(key.0), key.1);
            failures.push(sentence);
        };
        let mut refused: Vec<(SocketKey, IpAddr, io::Error)> = Vec::new();
        for (key, messages) in &adverts {
            let Some((socket, _)) = self.open.get(key) else {
                missing(key);
                continue;
            };
            let failed = socket.send_batch(messages).into_iter();
            refused.extend(failed.map(|(at, error)| (*key, messages[at].destination, error)));
        }
        for (key, packets) in &sealed {
            let Some((socket, _)) = self.open.get(key) else {
                missing(key);
                continue;
            };
            let failed = socket.send_packets(packets).into_iter();
            refused.extend(failed.map(|(at, error)| (*key, IpAddr::V4(packets[at].0), error)));
        }
        failures.extend(refused.into_iter().map(|(key, destination, error)| {
            format!("advertisement to {destination} on {} not sent: {error}", name(key.0))
        }));
        failures.extend(self.ethernet.send_batch(&ethernet).into_iter().map(|(at, error)| {
            format!("gratuitous ARP or neighbour advertisement on {} not sent: {error}", name(ethernet[at].0))
        }));
        failures
    }

    /// Datagrams dropped before the core because their lengths lie.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

fn token((index, speaks): SocketKey) -> u64 {
    let kind = match speaks {
        Speaks::Plain(AddressFamily::V4) => 0,
        Speaks::Plain(AddressFamily::V6) => 1,
        Speaks::Sealed => 2,
    };
    FIRST_SOCKET_TOKEN + u64::from(index) * 3 + kind
}

fn key_of(token: u64) -> Option<SocketKey> {
    let number = token.checked_sub(FIRST_SOCKET_TOKEN)?;
    let speaks = match number % 3 {
        0 => Speaks::Plain(AddressFamily::V4),
        1 => Speaks::Plain(AddressFamily::V6),
        _ => Speaks::Sealed,
    };
    Some((u32::try_from(number / 3).ok()?, speaks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_socket() {
        let (four, six) = (Speaks::Plain(AddressFamily::V4), Speaks::Plain(AddressFamily::V6));
        for key in [(1, four), (1, six), (1, Speaks::Sealed), (u32::MAX, six)] {
            assert_eq!(key_of(token(key)), Some(key));
        }
        assert_eq!(key_of(FIRST_SOCKET_TOKEN - 1), None);
    }
}
