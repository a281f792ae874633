//! The sockets of the vrrp role: one per interface and family for advertisements, one for Ethernet frames.

use crate::net::AddressFamily;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::poll::{Interest, Poller};
use crate::sys::vrrp_socket::{Buffers, Outgoing, VrrpSocket};
use crate::vrrp::{Event, Frame, Received};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

/// Batches taken from one socket per wake-up: a flood on one interface must not starve the others. Level-triggered
/// polling brings the rest.
const MAX_BATCHES: usize = 4;

/// Tokens from here on belong to sockets.
pub const FIRST_SOCKET_TOKEN: u64 = 16;

/// Which socket: interface index and family.
pub type SocketKey = (u32, AddressFamily);

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
        let socket = VrrpSocket::open(key.0, &want.name, key.1)?;
        for group in &want.groups {
            socket.join(*group)?;
        }
        poller.add(&socket, token(key), Interest::Read)?;
        self.open.insert(key, (socket, want.groups.clone()));
        Ok(())
    }

    /// Takes what the socket with this token has, as events.
    pub fn receive(&mut self, token: u64, events: &mut Vec<Event>) -> io::Result<()> {
        let Some((socket, _)) = key_of(token).and_then(|key| self.open.get(&key)) else { return Ok(()) };
        for _ in 0..MAX_BATCHES {
            if socket.receive_batch(&mut self.buffers)? == 0 {
                break;
            }
            for packet in self.buffers.packets() {
                match packet {
                    Some(packet) => events.push(Event::Advertisement(Received {
                        interface: socket.interface(),
                        source: packet.source,
                        destination: packet.destination,
                        hop_limit: packet.hop_limit,
                        bytes: packet.bytes.to_vec(),
                    })),
                    None => self.malformed += 1,
                }
            }
        }
        Ok(())
    }

    /// Sends frames: advertisements first, batched per socket, then Ethernet frames. Returns a sentence per failure,
    /// in which `name` says what an interface is called.
    pub fn transmit(&self, frames: &[&Frame], name: impl Fn(u32) -> String) -> Vec<String> {
        let mut adverts: BTreeMap<SocketKey, Vec<Outgoing<'_>>> = BTreeMap::new();
        let mut ethernet: Vec<(u32, &[u8])> = Vec::new();
        for frame in frames {
            match frame {
                Frame::Advertisement { interface, source, destination, bytes } => {
                    let key = (*interface, AddressFamily::of(*destination));
                    let message = Outgoing { source: *source, destination: *destination, bytes };
                    adverts.entry(key).or_default().push(message);
                }
                Frame::Ethernet { interface, bytes } => ethernet.push((*interface, bytes)),
            }
        }
        let mut failures = Vec::new();
        for (key, messages) in &adverts {
            match self.open.get(key) {
                Some((socket, _)) => {
                    failures.extend(socket.send_batch(messages).into_iter().map(|(at, error)| {
                        let destination = messages[at].destination;
                        format!("advertisement to {destination} on {} not sent: {error}", name(key.0))
                    }))
                }
                None => failures.push(format!(
                    "advertisement on {} not sent: its {} socket is not open",
                    name(key.0),
                    key.1
                )),
            }
        }
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

fn token((index, family): SocketKey) -> u64 {
    FIRST_SOCKET_TOKEN + u64::from(index) * 2 + u64::from(family == AddressFamily::V6)
}

fn key_of(token: u64) -> Option<SocketKey> {
    let number = token.checked_sub(FIRST_SOCKET_TOKEN)?;
    let family = if number % 2 == 1 { AddressFamily::V6 } else { AddressFamily::V4 };
    Some((u32::try_from(number / 2).ok()?, family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_socket() {
        for key in [(1, AddressFamily::V4), (1, AddressFamily::V6), (u32::MAX, AddressFamily::V6)] {
            assert_eq!(key_of(token(key)), Some(key));
        }
        assert_eq!(key_of(FIRST_SOCKET_TOKEN - 1), None);
    }
}
